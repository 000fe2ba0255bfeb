//! `moduli`: groups for a server's `diffie-hellman-group-exchange-*`, in the format of OpenSSH's
//! moduli(5).
//!
//! ```text
//!   time            type  tests  tries  size  generator  modulus
//!   20220714110357  2     6      100    2047  2          E98F2A20...
//! ```
//!
//! Type, tests, tries and size are decimal; generator and modulus are hexadecimal; the size is that of
//! the modulus less one. Type 2 is a safe prime, and nothing else is a group here. Of the tests, bit 0
//! says that the number was found to be composite, the others which tests it has passed. A line that
//! says of itself that it is no tested safe prime is skipped; one that cannot be read is reported.
//!
//! What the file says of a prime is believed: testing three hundred of them takes minutes.

use alloc::{sync::Arc, vec::Vec};
use core::fmt;

use ssh_proto::config::{DhGroup, DhGroupError};

use crate::{
    armor::lines,
    public::{trim, word},
};

/// The longest line that is read, in bytes. Longer ones are refused as a whole.
pub const MAX_LINE_LEN: usize = 4096;

/// The most groups that are taken. OpenSSH's own file has some four hundred.
pub const MAX_GROUPS: usize = 4096;

/// A safe prime.
const SAFE: u32 = 2;
/// The types that there are: unknown, unstructured, safe, Schnorr, Sophie Germain, strong, and one for
/// any other.
const LAST_TYPE: u32 = 6;
/// It was found to be composite.
const COMPOSITE: u32 = 1;

/// The groups of a file.
///
/// ```
/// use ssh_keys::moduli::Moduli;
/// # fn read() -> &'static [u8] { b"# Time Type Tests Tries Size Generator Modulus\n" }
///
/// let file = read(); // of /etc/ssh/moduli
/// let moduli = Moduli::parse(&file);
/// let mut config = ssh_proto::ServerConfig::default();
/// config.transport.group_exchange.groups = moduli.into_groups();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Moduli {
    groups: Vec<DhGroup>,
    warnings: Vec<Warning>,
}

impl Moduli {
    /// Reads a file. Lines that cannot be read give no group and are [reported](Self::warnings).
    pub fn parse(file: &[u8]) -> Self {
        let mut moduli = Self::default();
        for (line, text) in (1..).zip(lines(file)) {
            let full = moduli.groups.len() >= MAX_GROUPS;
            match parse(text) {
                Ok(Some(_)) if full => {
                    let problem = LineProblem::TooMany;
                    moduli.warnings.push(Warning { line, problem });
                    break;
                }
                Ok(Some(group)) => moduli.groups.push(group),
                Ok(None) => {}
                Err(problem) => moduli.warnings.push(Warning { line, problem }),
            }
        }
        moduli
    }

    /// The groups, in the order of the file.
    pub fn groups(&self) -> &[DhGroup] {
        &self.groups
    }

    /// The groups, for
    /// [`GroupExchange::groups`](ssh_proto::config::GroupExchange::groups).
    pub fn into_groups(self) -> Arc<[DhGroup]> {
        self.groups.into()
    }

    /// The lines that could not be read.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

/// `None` for a comment, an empty line, and a number that is no tested safe prime.
fn parse(text: &[u8]) -> Result<Option<DhGroup>, LineProblem> {
    if text.len() > MAX_LINE_LEN {
        return Err(LineProblem::TooLong);
    }
    let text = trim(text);
    if matches!(text, [] | [b'#', ..]) {
        return Ok(None);
    }
    let mut rest = text;
    let mut field = || {
        let (field, behind) = word(rest);
        rest = trim(behind);
        field
    };
    let time = field();
    let [kind, tests, tries, size] = [(); 4].map(|()| decimal(field()));
    let [generator, modulus] = [(); 2].map(|()| hexadecimal(field()));
    let missing = |name| LineProblem::Field(name);
    if time.is_empty() || !time.iter().all(u8::is_ascii_digit) {
        return Err(missing(Field::Time));
    }
    let kind = kind.filter(|kind| *kind <= LAST_TYPE);
    let kind = kind.ok_or_else(|| missing(Field::Type))?;
    let tests = tests.ok_or_else(|| missing(Field::Tests))?;
    let tries = tries.ok_or_else(|| missing(Field::Tries))?;
    let size = size.ok_or_else(|| missing(Field::Size))?;
    let generator = generator.ok_or_else(|| missing(Field::Generator))?;
    let modulus = modulus.ok_or_else(|| missing(Field::Modulus))?;
    if !rest.is_empty() {
        return Err(LineProblem::TooManyFields);
    }
    let tested = tests & COMPOSITE == 0 && tests & !COMPOSITE != 0 && tries > 0;
    if kind != SAFE || !tested {
        return Ok(None);
    }
    let group = DhGroup::new(&modulus, &generator).map_err(LineProblem::Group)?;
    if size.checked_add(1) != Some(group.bits()) {
        return Err(LineProblem::Size);
    }
    Ok(Some(group))
}

/// At most nine digits.
fn decimal(digits: &[u8]) -> Option<u32> {
    if !(1..=9).contains(&digits.len()) {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Any number of digits, as a number, big-endian.
fn hexadecimal(digits: &[u8]) -> Option<Vec<u8>> {
    if digits.is_empty() {
        return None;
    }
    let mut number = Vec::with_capacity(digits.len().div_ceil(2));
    // The first digit may be alone.
    let (first, pairs) = digits.split_at(digits.len() % 2);
    for pair in [first]
        .into_iter()
        .filter(|first| !first.is_empty())
        .chain(pairs.chunks(2))
    {
        number.push(pair.iter().try_fold(0_u8, |byte, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some((byte << 4) | u8::try_from(digit).ok()?)
        })?);
    }
    Some(number)
}

/// A line that gives no group because it could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// Which one, counted from 1.
    pub line: usize,
    /// Why.
    pub problem: LineProblem,
}

/// Why a line could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineProblem {
    /// It is longer than [`MAX_LINE_LEN`].
    TooLong,
    /// There are [`MAX_GROUPS`] already. This line and what follows it is not read.
    TooMany,
    /// A field is missing, or is no number of its kind.
    Field(Field),
    /// Something follows the modulus.
    TooManyFields,
    /// The modulus has another size than the line says.
    Size,
    /// The numbers are no group.
    Group(DhGroupError),
}

/// A field of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// When the line was written.
    Time,
    /// What is known of the number's structure.
    Type,
    /// Which tests it has seen.
    Tests,
    /// How often.
    Tries,
    /// Its bits, less one.
    Size,
    /// The generator.
    Generator,
    /// The number.
    Modulus,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "time",
            Self::Type => "type",
            Self::Tests => "tests",
            Self::Tries => "tries",
            Self::Size => "size",
            Self::Generator => "generator",
            Self::Modulus => "modulus",
        })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match self.problem {
            LineProblem::TooLong => f.write_str("the line is too long"),
            LineProblem::TooMany => write!(f, "more than {MAX_GROUPS} groups"),
            LineProblem::Field(field) => write!(f, "the {field} is missing or malformed"),
            LineProblem::TooManyFields => f.write_str("something follows the modulus"),
            LineProblem::Size => f.write_str("the modulus has another size than the line says"),
            LineProblem::Group(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;

    /// Lines of OpenSSH 9.2's file, of 2048 and 3072 bits, in another order and with what may be
    /// between them.
    const FILE: &str = include_str!("../../../testdata/moduli/some");

    /// One line of 2048 bits with other fields.
    fn line(edit: impl Fn(&mut [String; 7])) -> String {
        let text = FILE.lines().find(|line| line.contains(" 2047 ")).unwrap();
        let mut fields = text.split(' ').map(String::from);
        let mut fields = [(); 7].map(|()| fields.next().unwrap());
        edit(&mut fields);
        fields.join(" ")
    }

    fn problem(text: &str) -> Option<LineProblem> {
        let moduli = Moduli::parse(text.as_bytes());
        assert!(moduli.groups().is_empty(), "{text}");
        moduli.warnings().first().map(|warning| warning.problem)
    }

    #[test]
    fn lines_of_openssh_are_read() {
        let moduli = Moduli::parse(FILE.as_bytes());
        assert_eq!(moduli.warnings(), []);
        let read: Vec<_> = moduli.groups().iter().map(|g| (g.bits(), g.g())).collect();
        assert_eq!(
            read,
            [
                (2048, &[2][..]),
                (2048, &[5]),
                (3072, &[2]),
                (4096, &[5]),
                (8192, &[2])
            ]
        );
        for (group, text) in moduli.groups().iter().zip(
            FILE.lines()
                .filter(|line| line.starts_with("2022") && line.contains(" 2 6 ")),
        ) {
            let digits: String = group.p().iter().map(|byte| format!("{byte:02X}")).collect();
            assert!(text.ends_with(&digits));
        }
        assert_eq!(moduli.into_groups().len(), 5);
    }

    #[test]
    fn line_ends_blanks_and_the_case_of_digits_do_not_matter() {
        let one = line(|_| {});
        for text in [
            format!("{one}\n"),
            format!("{one}\r\n"),
            format!("  {}  ", one.replace(' ', "\t ")),
            one.to_lowercase(),
            line(|fields| fields[6].insert_str(0, "000")),
            line(|fields| fields[5].insert(0, '0')),
        ] {
            let moduli = Moduli::parse(text.as_bytes());
            assert_eq!(moduli.warnings(), [], "{text}");
            assert_eq!(moduli.groups(), Moduli::parse(one.as_bytes()).groups());
        }
    }

    #[test]
    fn k4_what_is_no_tested_safe_prime_is_skipped() {
        for (field, values) in [
            (1, &["0", "1", "3", "4", "5", "6"][..]),
            (2, &["0", "1", "3", "7"]),
            (3, &["0"]),
        ] {
            for value in values {
                let text = line(|fields| fields[field] = String::from(*value));
                assert_eq!(problem(&text), None, "{text}");
            }
        }
        assert_eq!(problem("\n  \n# comment\n\t# another"), None);
    }

    #[test]
    fn k4_a_line_that_cannot_be_read_is_reported() {
        use Field::{Generator, Modulus, Size, Tests, Time, Tries, Type};
        for (field, name) in [Time, Type, Tests, Tries, Size, Generator, Modulus]
            .into_iter()
            .enumerate()
        {
            for value in ["-1", "x", "0x5", "1.0", "4294967296999"] {
                let hexadecimal = matches!(name, Time | Generator | Modulus);
                if hexadecimal && value.len() > 4 {
                    continue;
                }
                let text = line(|fields| fields[field] = String::from(value));
                assert_eq!(problem(&text), Some(LineProblem::Field(name)), "{value}");
            }
            // Cut off before it.
            let cut = line(|fields| fields[field..].fill(String::new()));
            assert_eq!(
                problem(cut.trim()),
                (field > 0).then_some(LineProblem::Field(name))
            );
        }
        let more = format!("{} more", line(|_| {}));
        assert_eq!(problem(&more), Some(LineProblem::TooManyFields));
        let seven = line(|fields| fields[1] = String::from("7"));
        assert_eq!(problem(&seven), Some(LineProblem::Field(Type)));
    }

    #[test]
    fn k4_numbers_that_are_no_group_are_reported() {
        let group = |error| Some(LineProblem::Group(error));
        for size in ["2046", "2048", "0", "999999999"] {
            let text = line(|fields| fields[4] = String::from(size));
            assert_eq!(problem(&text), Some(LineProblem::Size));
        }
        let even = line(|fields| fields[6].replace_range(511.., "0"));
        assert_eq!(problem(&even), group(DhGroupError::Even));
        for g in ["0", "1", "00"] {
            let text = line(|fields| fields[5] = String::from(g));
            assert_eq!(problem(&text), group(DhGroupError::Generator));
        }
        let top = line(|fields| {
            fields[5] = fields[6].clone();
            fields[5].replace_range(511.., "6");
        });
        assert_eq!(problem(&top), group(DhGroupError::Generator));
        for (digits, bits) in [("F", 4), ("0", 0)] {
            let text = line(|fields| fields[6] = String::from(digits));
            assert_eq!(problem(&text), group(DhGroupError::Size { bits }));
        }
        let small = line(|fields| fields[6].truncate(255));
        assert_eq!(problem(&small), group(DhGroupError::Size { bits: 1020 }));
        let large = line(|fields| fields[6] = "F".repeat(2049));
        assert_eq!(problem(&large), group(DhGroupError::Size { bits: 8196 }));
    }

    #[test]
    fn lines_and_groups_have_bounds() {
        let long = line(|fields| fields[6] = "F".repeat(MAX_LINE_LEN));
        assert_eq!(problem(&long), Some(LineProblem::TooLong));
        let many = format!("{}\n", line(|_| {})).repeat(MAX_GROUPS + 3);
        let moduli = Moduli::parse(many.as_bytes());
        assert_eq!(moduli.groups().len(), MAX_GROUPS);
        let [warning] = moduli.warnings() else {
            panic!("one warning");
        };
        assert_eq!(warning.line, MAX_GROUPS + 1);
        assert_eq!(format!("{warning}"), "line 4097: more than 4096 groups");
    }
}
