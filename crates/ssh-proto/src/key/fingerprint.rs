//! Fingerprints: SHA-256 of a key's blob, written `SHA256:` and base64 without padding.
//!
//! No RFC says so; it is the form that OpenSSH shows. Reading tolerates padding at the end, and
//! apart from that each fingerprint has one text only.

use alloc::{string::String, vec::Vec};
use core::{fmt, str::FromStr};

use crate::crypto::hash::sha256;

const PREFIX: &str = "SHA256:";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The SHA-256 fingerprint of a public key, as people compare and pin it.
///
/// ```
/// use ssh_proto::key::{Fingerprint, PublicKey};
///
/// let text = PublicKey::new_ed25519(&[7; 32]).fingerprint().to_string();
/// let pin: Fingerprint = text.parse()?;
/// assert_eq!(pin, PublicKey::new_ed25519(&[7; 32]).fingerprint());
/// # Ok::<(), ssh_proto::key::FingerprintError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// From the bytes of the hash.
    pub const fn from_bytes(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }

    /// The bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Of the bytes of a key on the wire.
    pub(super) fn of_blob(blob: &[u8]) -> Self {
        Self(sha256(blob))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(PREFIX.len() + 43);
        text.push_str(PREFIX);
        for chunk in self.0.chunks(3) {
            let bits = chunk
                .iter()
                .chain([0, 0].iter())
                .take(3)
                .fold(0u32, |bits, &byte| bits << 8 | u32::from(byte));
            for i in 0..=chunk.len() {
                let index = (bits >> (18 - 6 * i)) & 0x3f;
                let letter = ALPHABET.get(index as usize).copied().unwrap_or_default();
                text.push(char::from(letter));
            }
        }
        f.pad(&text)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Takes the form that [`Display`](fmt::Display) gives; padding at the end is tolerated, because
/// some tools write it.
impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let text = text.strip_prefix(PREFIX).ok_or(FingerprintError)?;
        let text = text.strip_suffix('=').unwrap_or(text);
        // 43 letters hold 258 bits, the last two of which must be zero.
        if text.len() != 43 {
            return Err(FingerprintError);
        }
        let mut bytes = Vec::with_capacity(33);
        let (mut bits, mut count) = (0u32, 0);
        for letter in text.bytes() {
            let value = ALPHABET.iter().position(|&l| l == letter);
            let value = value
                .and_then(|v| u32::try_from(v).ok())
                .ok_or(FingerprintError)?;
            bits = bits << 6 | value;
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count) as u8);
                bits &= (1 << count) - 1;
            }
        }
        if bits != 0 {
            return Err(FingerprintError);
        }
        bytes.try_into().map(Self).map_err(|_| FingerprintError)
    }
}

/// A text is not a SHA-256 fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FingerprintError;

impl fmt::Display for FingerprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a SHA-256 fingerprint")
    }
}

impl core::error::Error for FingerprintError {}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString as _};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_taken_in_one_form_only() {
        let text = "SHA256:bbXpuKG6zhzdmnxq256TlqzFBzRl2f6OOg722cYNbU8";
        let pin: Fingerprint = text.parse().unwrap();
        assert_eq!(pin.to_string(), text);
        assert_eq!(format!("{text}=").parse(), Ok(pin));
        for bad in [
            "",
            "SHA256:",
            &text[7..],
            &text[..text.len() - 1],
            &format!("{text}A"),
            &format!("{text}=="),
            // The two bits that are left over must be zero, or one hash would have four texts.
            &text.replace("bU8", "bU9"),
            &text.replace('b', "-"),
            &text.replace("SHA256", "sha256"),
            &text.replace("SHA256", "MD5"),
            &text.replace("bbX", "b\u{e9}"),
        ] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(FingerprintError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes: [u8; 32]) {
            let pin = Fingerprint::from_bytes(bytes);
            prop_assert_eq!(pin.to_string().len(), 7 + 43);
            prop_assert_eq!(pin.to_string().parse(), Ok(pin));
        }
    }
}
