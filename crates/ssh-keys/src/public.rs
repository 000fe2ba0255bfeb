//! Public keys in one line: `type base64 [comment]`, as in `.pub` files, `authorized_keys` and
//! `known_hosts`.
//!
//! The type stands there twice, before the base64 and inside of it. A line where the two differ
//! is refused: whoever reads it would take it for another kind of key than it is.

use alloc::{string::String, vec::Vec};
use core::{fmt, str::FromStr};

use base64ct::{Base64, Encoding as _};
use ssh_proto::{key::PublicKey, wire::Reader};

use crate::error::Malformed;

/// A public key and its comment.
///
/// ```
/// use ssh_keys::PublicKeyLine;
///
/// let text = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDOEk16YruewM0hnsBDW/JP1rjfV+UR2ez4u2RUysDen me";
/// let line: PublicKeyLine = text.parse()?;
/// assert_eq!(line.comment, "me");
/// assert_eq!(line.to_string(), text);
/// # Ok::<(), ssh_keys::Malformed>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKeyLine {
    /// The key.
    pub key: PublicKey,
    /// Whatever the owner wrote; bytes that are not UTF-8 were replaced.
    pub comment: String,
}

impl PublicKeyLine {
    /// Reads one line, with or without its end. Words are separated by spaces and tabs only.
    pub fn parse(line: &[u8]) -> Result<Self, Malformed> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (type_word, rest) = word(line);
        let (base64, rest) = word(rest);
        let blob = decode_blob(type_word, base64)?;
        Ok(Self {
            key: PublicKey::from_blob(&blob).map_err(Malformed::PublicKey)?,
            comment: String::from_utf8_lossy(trim(rest)).into_owned(),
        })
    }
}

/// The line without its end. What would end the line within the comment becomes a space.
impl fmt::Display for PublicKeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key.key_type(), base64(&self.key))?;
        if !self.comment.is_empty() {
            f.write_str(" ")?;
        }
        for part in self.comment.split_inclusive(char::is_control) {
            match part.strip_suffix(char::is_control) {
                Some(part) => write!(f, "{part} ")?,
                None => f.write_str(part)?,
            }
        }
        Ok(())
    }
}

impl FromStr for PublicKeyLine {
    type Err = Malformed;

    fn from_str(line: &str) -> Result<Self, Malformed> {
        Self::parse(line.as_bytes())
    }
}

/// The base64 of a key's blob.
pub(crate) fn base64(key: &PublicKey) -> String {
    Base64::encode_string(key.blob())
}

/// Decodes the base64 of a key whose type must be `type_word`. What follows the type is not looked
/// at.
pub(crate) fn decode_blob(type_word: &[u8], base64: &[u8]) -> Result<Vec<u8>, Malformed> {
    if type_word.is_empty() || base64.is_empty() {
        return Err(Malformed::Incomplete);
    }
    let blob = core::str::from_utf8(base64)
        .ok()
        .and_then(|text| Base64::decode_vec(text).ok())
        .ok_or(Malformed::Base64)?;
    match Reader::new(&blob).string() {
        Ok(name) if name == type_word => Ok(blob),
        Ok(_) => Err(Malformed::TypeDiffers),
        Err(error) => Err(Malformed::Wire(error)),
    }
}

/// The first word of a line, and what follows it.
pub(crate) fn word(line: &[u8]) -> (&[u8], &[u8]) {
    let line = trim_start(line);
    let end = line.iter().position(is_blank).unwrap_or(line.len());
    line.split_at_checked(end).unwrap_or((line, &[]))
}

/// Without the blanks around it.
pub(crate) fn trim(mut line: &[u8]) -> &[u8] {
    line = trim_start(line);
    while let [rest @ .., last] = line
        && is_blank(last)
    {
        line = rest;
    }
    line
}

fn trim_start(mut line: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = line
        && is_blank(first)
    {
        line = rest;
    }
    line
}

/// Space and tab separate words, and nothing else: what Unicode takes for a space is part of a
/// word.
pub(crate) const fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString as _};

    use proptest::prelude::*;

    use super::*;
    use crate::testing::key_file;

    #[test]
    fn lines_of_ssh_keygen_are_read_and_written_the_same() {
        for name in ["ed25519", "ecdsa_p256", "rsa2048", "rsa4096", "no_comment"] {
            let file = String::from_utf8(key_file(&format!("{name}.pub"))).unwrap();
            let line: PublicKeyLine = file.parse().unwrap();
            assert_eq!(line.to_string(), file.trim_end());
        }
    }

    #[test]
    fn the_type_before_the_key_must_be_the_one_inside() {
        let file = String::from_utf8(key_file("ed25519.pub")).unwrap();
        for (text, error) in [
            (
                file.replacen("ssh-ed25519", "ssh-rsa", 1),
                Malformed::TypeDiffers,
            ),
            (
                file.replacen("ssh-ed25519 ", "ssh-ed25519\u{a0}", 1),
                Malformed::Base64,
            ),
            (file.replacen("ssh-ed25519 ", "", 1), Malformed::Base64),
            ("ssh-ed25519".into(), Malformed::Incomplete),
            (String::new(), Malformed::Incomplete),
            (
                "ssh-ed25519 AAAA".into(),
                Malformed::Wire(ssh_proto::wire::WireError::Truncated),
            ),
        ] {
            assert_eq!(text.parse::<PublicKeyLine>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_comment_cannot_begin_a_second_line() {
        let file = key_file("ed25519.pub");
        let mut line = PublicKeyLine::parse(&file).unwrap();
        line.comment = "a\nssh-rsa AAAA\r\u{85}b".into();
        assert!(line.to_string().ends_with(" a ssh-rsa AAAA  b"));
    }

    proptest! {
        #[test]
        fn any_line_ends_in_an_answer(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = PublicKeyLine::parse(&line);
            let _ = decode_blob(b"ssh-rsa", &line);
        }
    }
}
