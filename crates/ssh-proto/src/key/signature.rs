//! Signatures on the wire: `string algorithm, string value` (RFC 4253 section 6.6).
//!
//! The name inside is the word of whoever made the blob. Reading it says which algorithm is
//! claimed, not that it is the one that was agreed on: that comparison belongs to whoever verifies.

use alloc::vec::Vec;
use core::fmt;

use crate::{
    algorithm::SignatureAlgorithm,
    crypto::CryptoError,
    wire::{Reader, Sink, WireError},
};

/// A signature, borrowed from the blob that holds it.
///
/// ```
/// use ssh_proto::{algorithm::SignatureAlgorithm, key::Signature};
///
/// let blob = Signature::new(SignatureAlgorithm::Ed25519, &[0; 64]).to_blob();
/// let signature = Signature::from_blob(&blob)?;
/// assert_eq!(signature.algorithm(), SignatureAlgorithm::Ed25519);
/// # Ok::<(), ssh_proto::key::SignatureError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature<'a> {
    algorithm: SignatureAlgorithm,
    value: &'a [u8],
}

impl<'a> Signature<'a> {
    /// From its parts. `value` is what stands behind the name: for ECDSA two mpints, otherwise the
    /// bytes of the signature.
    pub const fn new(algorithm: SignatureAlgorithm, value: &'a [u8]) -> Self {
        Self { algorithm, value }
    }

    /// Decodes a blob. Nothing may follow, and the name must be that of a known algorithm.
    pub fn from_blob(blob: &'a [u8]) -> Result<Self, SignatureError> {
        let mut reader = Reader::new(blob);
        let name = reader.string()?;
        let value = reader.string()?;
        reader.finish()?;
        let algorithm = core::str::from_utf8(name)
            .ok()
            .and_then(SignatureAlgorithm::from_name)
            .ok_or(SignatureError::UnknownAlgorithm)?;
        Ok(Self { algorithm, value })
    }

    /// The algorithm that it names. A peer chose it: compare it with the one that was agreed on.
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// What stands behind the name.
    pub const fn value(&self) -> &'a [u8] {
        self.value
    }

    /// Writes the blob.
    pub fn encode<S: Sink + ?Sized>(&self, out: &mut S) {
        out.put_string(self.algorithm.name().as_bytes());
        out.put_string(self.value);
    }

    /// The blob.
    pub fn to_blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        self.encode(&mut blob);
        blob
    }
}

impl fmt::Debug for Signature<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Signature({}, {} bytes)",
            self.algorithm,
            self.value.len()
        )
    }
}

/// Why a signature was not accepted, or not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureError {
    /// The blob is malformed.
    Malformed(WireError),
    /// The blob names an algorithm that is not known here.
    UnknownAlgorithm,
    /// The blob names another algorithm than the one that was agreed on: a downgrade.
    OtherAlgorithm,
    /// The algorithm does not belong to the type of the key.
    OtherKeyType,
    /// The key is valid but signatures of its size are not verified: RSA takes 2048 to 8192 bits.
    KeySize,
    /// The signature does not match the key and the message.
    Invalid,
    /// The source of randomness failed, so nothing was signed.
    Random,
    /// A signature of our own did not verify, so it was not handed out.
    Internal,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(error) => return write!(f, "malformed signature: {error}"),
            Self::UnknownAlgorithm => "the signature names an unknown algorithm",
            Self::OtherAlgorithm => "the signature names another algorithm than was agreed on",
            Self::OtherKeyType => "the algorithm does not belong to the type of the key",
            Self::KeySize => "signatures of keys of this size are not verified",
            Self::Invalid => "the signature does not match",
            Self::Random => "the source of randomness failed",
            Self::Internal => "a signature of our own did not verify",
        })
    }
}

impl core::error::Error for SignatureError {}

impl From<WireError> for SignatureError {
    fn from(error: WireError) -> Self {
        Self::Malformed(error)
    }
}

impl From<CryptoError> for SignatureError {
    fn from(error: CryptoError) -> Self {
        match error {
            CryptoError::Key => Self::KeySize,
            CryptoError::Random => Self::Random,
            CryptoError::Internal => Self::Internal,
            _ => Self::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_read_back_and_nothing_else_is() {
        for &algorithm in SignatureAlgorithm::ALL {
            let blob = Signature::new(algorithm, b"value").to_blob();
            let signature = Signature::from_blob(&blob).unwrap();
            assert_eq!(
                (signature.algorithm(), signature.value()),
                (algorithm, &b"value"[..])
            );
            for n in 0..blob.len() {
                let cut = Signature::from_blob(&blob[..n]);
                assert_eq!(cut, Err(SignatureError::Malformed(WireError::Truncated)));
            }
            let long = [&blob[..], b"x"].concat();
            let trailing = Signature::from_blob(&long);
            assert_eq!(
                trailing,
                Err(SignatureError::Malformed(WireError::TrailingBytes))
            );
        }
    }

    #[test]
    fn unknown_names_are_refused() {
        for name in [
            &b""[..],
            b"ssh-rsa",
            b"ssh-dss",
            b"RSA-SHA2-256",
            b"rsa-sha2-256\0",
            b"\xff",
        ] {
            let mut blob = Vec::new();
            blob.put_string(name);
            blob.put_string(b"value");
            let refused = Signature::from_blob(&blob);
            assert_eq!(refused, Err(SignatureError::UnknownAlgorithm));
        }
    }
}
