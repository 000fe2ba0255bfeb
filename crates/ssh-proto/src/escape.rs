//! Text from the peer, made safe to show.
//!
//! A peer's description, banner, prompt or user name may hold terminal escapes, line breaks that
//! forge a second log record, or characters that reorder or hide what follows. [`Escaped`] shows
//! such bytes on one line and without effect on the terminal. What stands for itself is printable
//! text without backslash, so the escapes cannot be forged either. The raw bytes stay reachable
//! through the field.

use core::fmt::{self, Write};

/// How many characters [`Debug`](fmt::Debug) shows unless a precision says otherwise.
const DEBUG_LIMIT: usize = 128;

/// Bytes of the peer, shown as one line of harmless text.
///
/// - control characters (C0, DEL, C1), line separators, characters that change direction and
///   invisible ones become `\u{..}`; tab, line feed and carriage return `\t`, `\n`, `\r`;
/// - a backslash becomes `\\`;
/// - every byte that is not part of valid UTF-8 becomes `\xNN`.
///
/// A precision limits how many characters of the peer are shown; `...` marks what was cut.
/// `Debug` adds quotes and shows 128 characters unless told otherwise.
///
/// ```
/// use ssh_proto::escape::Escaped;
///
/// assert_eq!(Escaped(b"bye\x1b]0;owned\x07\n").to_string(), r"bye\u{1b}]0;owned\u{7}\n");
/// assert_eq!(Escaped(b"caf\xc3\xa9 \xff").to_string(), r"café \xff");
/// assert_eq!(format!("{:.4}", Escaped(b"too long")), "too ...");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Escaped<'a>(
    /// The bytes as they came.
    pub &'a [u8],
);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = f.precision().unwrap_or(usize::MAX);
        write_escaped(f, self.0, limit)
    }
}

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = f.precision().unwrap_or(DEBUG_LIMIT);
        f.write_char('"')?;
        write_escaped(f, self.0, limit)?;
        f.write_char('"')
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, bytes: &[u8], limit: usize) -> fmt::Result {
    let mut left = limit;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if left == 0 {
                return f.write_str("...");
            }
            left -= 1;
            match c {
                '\t' => f.write_str("\\t")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\\' => f.write_str("\\\\")?,
                c if has_effect(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        for byte in chunk.invalid() {
            if left == 0 {
                return f.write_str("...");
            }
            left -= 1;
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// Whether a character does something else than show its glyph: controls, the line and paragraph
/// separators, marks that reorder text, invisible ones, tags.
fn has_effect(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn v6_terminal_escapes_lines_and_bidi_characters_are_shown_not_done() {
        let shown = |text: &str| Escaped(text.as_bytes()).to_string();
        assert_eq!(shown("\x1b]0;x\x07"), "\\u{1b}]0;x\\u{7}");
        assert_eq!(shown("a\r\nb\tc"), "a\\r\\nb\\tc");
        assert_eq!(shown("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(shown("\u{202e}txt\u{2066}"), "\\u{202e}txt\\u{2066}");
        assert_eq!(
            shown("\u{200e}\u{200f}\u{61c}\u{feff}"),
            "\\u{200e}\\u{200f}\\u{61c}\\u{feff}"
        );
        assert_eq!(shown("\u{2028}\u{2029}"), "\\u{2028}\\u{2029}");
        assert_eq!(shown("plain é 漢"), "plain é 漢");
    }

    #[test]
    fn j2_an_escape_cannot_be_forged() {
        assert_eq!(Escaped(b"\\x1b").to_string(), "\\\\x1b");
        assert_eq!(Escaped(b"\x1b").to_string(), "\\u{1b}");
    }

    #[test]
    fn p14_a_precision_cuts_long_text() {
        let long = [b'x'; 4096];
        assert_eq!(format!("{:.3}", Escaped(&long)), "xxx...");
        assert_eq!(format!("{:.3}", Escaped(b"xxx")), "xxx");
        assert_eq!(format!("{:?}", Escaped(&long)).len(), DEBUG_LIMIT + 5);
        assert_eq!(format!("{:.2}", Escaped(b"\xff\xff\xff")), "\\xff\\xff...");
    }

    proptest! {
        #[test]
        fn j3_whatever_the_bytes_it_is_one_line_without_controls(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            for text in [Escaped(&bytes).to_string(), format!("{:?}", Escaped(&bytes))] {
                prop_assert!(!text.chars().any(has_effect), "{text}");
            }
        }
    }
}
