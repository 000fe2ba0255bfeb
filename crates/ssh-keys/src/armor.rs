//! The text around a key: a `BEGIN` line, base64 in lines, an `END` line.
//!
//! Strict where it matters: nothing but empty lines stands before and behind it, and the base64
//! is canonical. Every position in the decoded bytes leads back to the line that it came from, so
//! that an error can name it. The text of a private key is as secret as the key: all copies are
//! wiped.

use alloc::{string::String, vec::Vec};

use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

use crate::error::{KeyFileError, Malformed};

/// Characters of base64 in a line, as ssh-keygen writes them.
const LINE_WIDTH: usize = 70;

/// The decoded bytes of a file, and where they came from.
pub(crate) struct Armor {
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// For each line of base64 how many characters there are up to its end; the first of them is
    /// line `first_line` of the file.
    line_ends: Vec<usize>,
    first_line: usize,
}

impl Armor {
    /// Decodes what stands between the line `begin` and the line `end`.
    pub(crate) fn decode(file: &[u8], begin: &str, end: &str) -> Result<Self, KeyFileError> {
        let mut lines = lines(file).enumerate().map(|(i, line)| (i + 1, line));
        let (begin_line, _) = lines
            .find(|(_, line)| !line.is_empty())
            .filter(|(_, line)| *line == begin.as_bytes())
            .ok_or(KeyFileError::Unrecognized)?;

        // As long as the file: it never grows, so it leaves no copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(file.len()));
        let mut line_ends = Vec::new();
        loop {
            let Some((_, line)) = lines.next() else {
                let line = begin_line + line_ends.len();
                return Err(Malformed::NoEnd.at(line));
            };
            if line == end.as_bytes() {
                break;
            }
            text.extend_from_slice(line);
            line_ends.push(text.len());
        }
        if let Some((line, _)) = lines.find(|(_, line)| !line.is_empty()) {
            return Err(Malformed::TrailingText.at(line));
        }

        let armor = Self {
            body: Zeroizing::new(Vec::new()),
            line_ends,
            first_line: begin_line + 1,
        };
        let body = core::str::from_utf8(&text)
            .ok()
            .and_then(|text| Base64::decode_vec(text).ok());
        match body {
            Some(body) => Ok(Self {
                body: Zeroizing::new(body),
                ..armor
            }),
            None => Err(Malformed::Base64.at(armor.line_of_char(first_strange(&text)))),
        }
    }

    /// The line of the file in which byte `offset` of the body begins.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.line_of_char(offset.saturating_mul(4) / 3)
    }

    fn line_of_char(&self, at: usize) -> usize {
        let index = self.line_ends.partition_point(|&end| end <= at);
        self.first_line + index.min(self.line_ends.len().saturating_sub(1))
    }
}

/// Writes `body` between the lines `begin` and `end`.
pub(crate) fn encode(body: &[u8], begin: &str, end: &str) -> Zeroizing<String> {
    let text = Zeroizing::new(Base64::encode_string(body));
    let capacity = text.len() + text.len() / LINE_WIDTH + begin.len() + end.len() + 4;
    let mut out = Zeroizing::new(String::with_capacity(capacity));
    out.push_str(begin);
    out.push('\n');
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(LINE_WIDTH).unwrap_or((rest, ""));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str(end);
    out.push('\n');
    out
}

/// The lines of a file without their ends, LF or CR LF. What follows the last LF is a line too.
pub(crate) fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|&b| b == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Where the first character stands that base64 does not have; else the last one, whose fault the
/// rest must be.
fn first_strange(text: &[u8]) -> usize {
    text.iter()
        .position(|&b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')))
        .unwrap_or_else(|| text.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    const BEGIN: &str = "-----BEGIN X-----";
    const END: &str = "-----END X-----";

    fn decode(text: &str) -> Result<Armor, KeyFileError> {
        Armor::decode(text.as_bytes(), BEGIN, END)
    }

    #[test]
    fn errors_name_their_line() {
        for (body, line, reason) in [
            ("AAAA\nAA!A\nAAAA\n-----END X-----\n", 3, Malformed::Base64),
            ("AAAA\nAAAA\nAAA\n-----END X-----\n", 4, Malformed::Base64),
            ("AAAA\nAA=A\n-----END X-----\n", 3, Malformed::Base64),
            ("AAAA\n AAA\n-----END X-----\n", 3, Malformed::Base64),
            ("AAAA\nAAAA\n", 4, Malformed::NoEnd),
            (
                "AAAA\n-----END X-----\n\nmore\n",
                5,
                Malformed::TrailingText,
            ),
            ("-----END X----- \n", 3, Malformed::NoEnd),
        ] {
            let error = decode(&format!("{BEGIN}\n{body}")).err();
            assert_eq!(
                error,
                Some(KeyFileError::Malformed { line, reason }),
                "{body:?}"
            );
        }
        let error = decode(&format!("hello\n{BEGIN}\n{END}\n")).err();
        assert_eq!(error, Some(KeyFileError::Unrecognized));
    }

    #[test]
    fn empty_lines_around_and_carriage_returns_are_no_errors() {
        let armor = decode(&format!("\r\n\n{BEGIN}\r\nAAAA\r\nAAAA\r\n{END}\r\n\r\n\n")).unwrap();
        assert_eq!(*armor.body, [0; 6]);
        assert_eq!([armor.line_of(0), armor.line_of(2)], [4, 4]);
        assert_eq!(
            [armor.line_of(3), armor.line_of(5), armor.line_of(99)],
            [5, 5, 5]
        );
        assert!(decode(&format!("{BEGIN}\n{END}")).unwrap().body.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = encode(&body, BEGIN, END);
            prop_assert!(text.lines().all(|line| line.len() <= LINE_WIDTH));
            prop_assert_eq!(&*decode(&text).unwrap().body, &body);
        }

        #[test]
        fn any_text_ends_in_an_answer(text in "(-----BEGIN X-----\n)?([A-Z+/= \r\n]|-----END X-----\n){0,40}") {
            let _ = decode(&text);
        }
    }
}
