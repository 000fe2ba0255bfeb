//! Public keys: the blobs of RFC 4253 section 6.6, RFC 8709 section 4 and RFC 5656 section 3.1.
//!
//! ```text
//!   string "ssh-ed25519"          string 32 bytes
//!   string "ecdsa-sha2-nistp256"  string "nistp256"   string point, 65 bytes
//!   string "ssh-rsa"              mpint e             mpint n
//! ```
//!
//! Decoding is strict, so that one key has one blob and one fingerprint, and cheap, so that a key
//! of absurd size costs its sender more than us (CVE-2026-39829).

use alloc::{boxed::Box, vec::Vec};
use core::{fmt, ops::RangeInclusive};

use super::{Fingerprint, Signature, SignatureError};
use crate::{
    algorithm::{KeyType, SignatureAlgorithm},
    crypto::{hash::HashAlgorithm, verify},
    wire::{Mpint, Reader, Sink as _, WireError},
};

/// The name of P-256 within keys (RFC 5656 section 10.1).
const NISTP256: &[u8] = b"nistp256";

/// Bits of an RSA modulus that is a key at all. Which of them are used is narrower.
const RSA_BITS: RangeInclusive<usize> = 1024..=16384;

/// Bits of a public exponent.
const RSA_EXPONENT_BITS: RangeInclusive<usize> = 2..=32;

/// A public key, valid as far as a key alone can be.
///
/// ```
/// use ssh_proto::{algorithm::KeyType, key::PublicKey};
///
/// let key = PublicKey::new_ed25519(&[7; 32]);
/// assert_eq!(key.key_type(), KeyType::Ed25519);
/// assert_eq!(PublicKey::from_blob(key.blob())?, key);
/// # Ok::<(), ssh_proto::key::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    key_type: KeyType,
    blob: Box<[u8]>,
}

/// The numbers that a key consists of.
enum Components<'a> {
    Ed25519(&'a [u8; 32]),
    EcdsaP256(&'a [u8; 65]),
    Rsa { e: Mpint<'a>, n: Mpint<'a> },
}

impl PublicKey {
    /// Decodes a blob as it stands in KEXDH_REPLY, in a publickey request or in a file.
    ///
    /// Errors: an unknown type; anything malformed, trailing bytes included; a curve that is not
    /// that of the type; a point that is not on the curve; RSA numbers that no sound key has.
    pub fn from_blob(blob: &[u8]) -> Result<Self, KeyError> {
        let components = Components::decode(blob)?;
        components.check()?;
        Ok(Self {
            key_type: components.key_type(),
            blob: blob.into(),
        })
    }

    /// An Ed25519 key from its 32 bytes.
    pub fn new_ed25519(public: &[u8; 32]) -> Self {
        Components::Ed25519(public).into_key()
    }

    /// An ECDSA key from a point of P-256, uncompressed: 4, x, y.
    pub fn new_ecdsa_p256(point: &[u8; 65]) -> Result<Self, KeyError> {
        let components = Components::EcdsaP256(point);
        components.check()?;
        Ok(components.into_key())
    }

    /// An RSA key from its public exponent and its modulus.
    pub fn new_rsa(e: Mpint<'_>, n: Mpint<'_>) -> Result<Self, KeyError> {
        let components = Components::Rsa { e, n };
        components.check()?;
        Ok(components.into_key())
    }

    /// What kind of key it is.
    pub const fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The key on the wire, byte for byte as it was read.
    pub const fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The SHA-256 of the blob.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_blob(&self.blob)
    }

    /// The 32 bytes of an Ed25519 key.
    pub fn ed25519(&self) -> Option<&[u8; 32]> {
        match Components::decode(&self.blob) {
            Ok(Components::Ed25519(public)) => Some(public),
            _ => None,
        }
    }

    /// The uncompressed point of a P-256 key.
    pub fn ecdsa_p256(&self) -> Option<&[u8; 65]> {
        match Components::decode(&self.blob) {
            Ok(Components::EcdsaP256(point)) => Some(point),
            _ => None,
        }
    }

    /// The public exponent and the modulus, in this order, of an RSA key.
    pub fn rsa(&self) -> Option<(Mpint<'_>, Mpint<'_>)> {
        match Components::decode(&self.blob) {
            Ok(Components::Rsa { e, n }) => Some((e, n)),
            _ => None,
        }
    }

    /// The size of an RSA key.
    pub fn rsa_modulus_bits(&self) -> Option<usize> {
        self.rsa().map(|(_, n)| n.bits())
    }

    /// Verifies a signature over `message`. `signature_blob` names its algorithm, and that must
    /// be `algorithm`, the one that was agreed on.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature_blob: &[u8],
    ) -> Result<(), SignatureError> {
        if algorithm.key_type() != self.key_type {
            return Err(SignatureError::OtherKeyType);
        }
        let signature = Signature::from_blob(signature_blob)?;
        // Or a peer could agree on rsa-sha2-512 and sign with something weaker.
        if signature.algorithm() != algorithm {
            return Err(SignatureError::OtherAlgorithm);
        }
        let components = Components::decode(&self.blob).map_err(|_| SignatureError::Internal)?;
        match (components, algorithm) {
            (Components::Ed25519(public), SignatureAlgorithm::Ed25519) => {
                verify::ed25519(public, message, signature.value())?;
            }
            (Components::EcdsaP256(point), SignatureAlgorithm::EcdsaSha2Nistp256) => {
                let mut reader = Reader::new(signature.value());
                let (r, s) = (reader.mpint()?, reader.mpint()?);
                reader.finish()?;
                verify::ecdsa_p256(point, message, r, s)?;
            }
            (Components::Rsa { e, n }, SignatureAlgorithm::RsaSha2_256) => {
                verify::rsa_pkcs1(HashAlgorithm::Sha256, n, e, message, signature.value())?;
            }
            (Components::Rsa { e, n }, SignatureAlgorithm::RsaSha2_512) => {
                verify::rsa_pkcs1(HashAlgorithm::Sha512, n, e, message, signature.value())?;
            }
            _ => return Err(SignatureError::OtherKeyType),
        }
        Ok(())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.key_type, self.fingerprint())
    }
}

impl<'a> Components<'a> {
    /// Takes a blob apart. Checks its form only.
    fn decode(blob: &'a [u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::new(blob);
        let name = reader.string()?;
        let key_type = core::str::from_utf8(name)
            .ok()
            .and_then(KeyType::from_name)
            .ok_or(KeyError::UnknownType)?;
        let components = match key_type {
            KeyType::Ed25519 => Self::Ed25519(exact(reader.string()?)?),
            KeyType::EcdsaP256 => {
                if reader.string()? != NISTP256 {
                    return Err(KeyError::OtherCurve);
                }
                Self::EcdsaP256(exact(reader.string()?)?)
            }
            KeyType::Rsa => Self::Rsa {
                e: reader.mpint()?,
                n: reader.mpint().map_err(|error| match error {
                    WireError::MpintTooLong => KeyError::RsaSize,
                    other => other.into(),
                })?,
            },
        };
        reader.finish()?;
        Ok(components)
    }

    /// Whether the numbers can be those of a key.
    fn check(&self) -> Result<(), KeyError> {
        match self {
            // Its decoding to a point is part of every verification.
            Self::Ed25519(_) => Ok(()),
            //= rfc5656#section-4
            //# All elliptic curve public keys MUST be validated after they are received.
            Self::EcdsaP256(point) if verify::is_p256_point(point) => Ok(()),
            Self::EcdsaP256(_) => Err(KeyError::NotOnCurve),
            Self::Rsa { e, n } => {
                if !RSA_BITS.contains(&n.bits()) {
                    return Err(KeyError::RsaSize);
                }
                if !RSA_EXPONENT_BITS.contains(&e.bits()) || !is_odd(e) || !is_odd(n) {
                    return Err(KeyError::RsaNumbers);
                }
                Ok(())
            }
        }
    }

    const fn key_type(&self) -> KeyType {
        match self {
            Self::Ed25519(_) => KeyType::Ed25519,
            Self::EcdsaP256(_) => KeyType::EcdsaP256,
            Self::Rsa { .. } => KeyType::Rsa,
        }
    }

    fn into_key(self) -> PublicKey {
        let key_type = self.key_type();
        let mut blob = Vec::new();
        blob.put_string(key_type.name().as_bytes());
        match self {
            Self::Ed25519(public) => blob.put_string(public),
            Self::EcdsaP256(point) => {
                blob.put_string(NISTP256);
                blob.put_string(point);
            }
            Self::Rsa { e, n } => {
                blob.put_mpint(e);
                blob.put_mpint(n);
            }
        }
        PublicKey {
            key_type,
            blob: blob.into(),
        }
    }
}

fn exact<const N: usize>(bytes: &[u8]) -> Result<&[u8; N], KeyError> {
    bytes
        .try_into()
        .map_err(|_| KeyError::Malformed(WireError::Length))
}

fn is_odd(number: &Mpint<'_>) -> bool {
    number.as_unsigned().last().is_some_and(|b| b % 2 == 1)
}

/// Why bytes are not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyError {
    /// The blob is malformed.
    Malformed(WireError),
    /// The type of key is not known here.
    UnknownType,
    /// An ECDSA key whose curve is not the one of its type.
    OtherCurve,
    /// An ECDSA key that is not a point of its curve.
    NotOnCurve,
    /// An RSA modulus of less than 1024 or more than 16384 bits.
    RsaSize,
    /// An even RSA modulus, or a public exponent that is even, 1 or above 2<sup>32</sup>.
    RsaNumbers,
    /// A private key that is out of range.
    PrivateKey,
    /// Keys of this type are not made here.
    NotGenerated,
    /// The source of randomness failed.
    Random,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(error) => return write!(f, "malformed key: {error}"),
            Self::UnknownType => "the type of the key is not known",
            Self::OtherCurve => "the curve is not the one of the key type",
            Self::NotOnCurve => "the point is not on the curve",
            Self::RsaSize => "the RSA modulus is too small or too large",
            Self::RsaNumbers => "the RSA numbers are not those of a key",
            Self::PrivateKey => "the private key is out of range",
            Self::NotGenerated => "keys of this type are not made here",
            Self::Random => "the source of randomness failed",
        })
    }
}

impl core::error::Error for KeyError {}

impl From<WireError> for KeyError {
    fn from(error: WireError) -> Self {
        Self::Malformed(error)
    }
}

#[cfg(test)]
mod tests;
