//! Private keys of every type behind one verb: `sign`.
//!
//! Ed25519 and ECDSA are signed by `ssh-proto`; RSA, which takes milliseconds and needs blinding,
//! here. Whatever the type, the result is a signature blob as it goes on the wire.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use ssh_proto::{
    algorithm::{KeyType, SignatureAlgorithm},
    config::TransientRsaKey,
    key::{KeyError, PrivateKey, PublicKey, Signature, SignatureError},
    random::Random,
    wire::Mpint,
};
use zeroize::Zeroizing;

use crate::rsa::{RsaHash, RsaPrivateKey, RsaSignError};

/// A private key and the comment that stands next to it in its file.
#[derive(Debug)]
pub struct KeyPair {
    /// The key.
    pub private: SigningKey,
    /// Whatever the owner wrote; bytes that are not UTF-8 were replaced.
    pub comment: String,
}

/// A private key that can sign. Wiped when it is dropped; cannot be copied or printed.
///
/// ```
/// use ssh_keys::SigningKey;
/// # use ssh_proto::random::{Random, RandomError};
/// # struct Zeros;
/// # impl Random for Zeros {
/// #     fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> { out.fill(7); Ok(()) }
/// # }
/// # let random = &mut Zeros;
///
/// let key = SigningKey::ed25519(&[7; 32]);
/// let algorithm = key.algorithms()[0];
/// let signature = key.sign(algorithm, b"message", random)?;
/// key.public_key().verify(algorithm, b"message", &signature)?;
/// # Ok::<(), ssh_proto::key::SignatureError>(())
/// ```
pub struct SigningKey(Kind);

enum Kind {
    Core(Box<PrivateKey>),
    Rsa {
        key: Box<RsaPrivateKey>,
        public: PublicKey,
    },
}

impl SigningKey {
    /// An Ed25519 key from its seed.
    pub fn ed25519(seed: &[u8; 32]) -> Self {
        PrivateKey::from_ed25519_seed(seed).into()
    }

    /// An ECDSA key from its scalar, big-endian, unless that is 0 or not below the order of P-256.
    pub fn ecdsa_p256(scalar: &[u8; 32]) -> Result<Self, KeyError> {
        PrivateKey::from_ecdsa_p256_scalar(scalar).map(Self::from)
    }

    /// An RSA key, unless its public half is not one that goes on the wire (an exponent above
    /// 2<sup>32</sup>).
    pub fn rsa(key: RsaPrivateKey) -> Result<Self, KeyError> {
        let public = PublicKey::new_rsa(
            Mpint::from_unsigned(&key.e()),
            Mpint::from_unsigned(&key.n()),
        )?;
        let key = Box::new(key);
        Ok(Self(Kind::Rsa { key, public }))
    }

    /// Makes a new key. RSA keys are not made.
    pub fn generate(key_type: KeyType, random: &mut dyn Random) -> Result<Self, KeyError> {
        PrivateKey::generate(key_type, random).map(Self::from)
    }

    /// The key as one that `ssh-proto` signs with by itself, unless it is an RSA key, which is
    /// given back.
    pub fn into_private(self) -> Result<PrivateKey, Self> {
        match self.0 {
            Kind::Core(key) => Ok(*key),
            rsa @ Kind::Rsa { .. } => Err(Self(rsa)),
        }
    }

    /// An RSA key as one for RSA key exchange; see [`RsaPrivateKey::to_transient`]. `None` for a key of
    /// another type, or of a size that is not used.
    pub fn to_transient_rsa(&self) -> Option<TransientRsaKey> {
        match &self.0 {
            Kind::Rsa { key, .. } => key.to_transient().ok(),
            Kind::Core(_) => None,
        }
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        match &self.0 {
            Kind::Core(key) => key.public_key(),
            Kind::Rsa { public, .. } => public,
        }
    }

    /// What the key can sign with, most preferred first.
    pub fn algorithms(&self) -> &'static [SignatureAlgorithm] {
        match self.public_key().key_type() {
            KeyType::Ed25519 => &[SignatureAlgorithm::Ed25519],
            KeyType::EcdsaP256 => &[SignatureAlgorithm::EcdsaSha2Nistp256],
            //= rfc8332#section-3
            KeyType::Rsa => &[
                SignatureAlgorithm::RsaSha2_512,
                SignatureAlgorithm::RsaSha2_256,
            ],
            _ => &[],
        }
    }

    /// Signs `message`; the result is a signature blob. `random` hedges the nonce of ECDSA and
    /// blinds RSA, and is not asked for Ed25519.
    ///
    /// Errors: [`OtherKeyType`](SignatureError::OtherKeyType) for an algorithm that is not one of
    /// [`algorithms`](Self::algorithms), [`Random`](SignatureError::Random),
    /// [`Internal`](SignatureError::Internal) when the result came out wrong and was withheld.
    pub fn sign(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, SignatureError> {
        let key = match &self.0 {
            Kind::Core(key) => return key.sign(algorithm, message, random),
            Kind::Rsa { key, .. } => key,
        };
        let hash = match algorithm {
            SignatureAlgorithm::RsaSha2_256 => RsaHash::Sha256,
            SignatureAlgorithm::RsaSha2_512 => RsaHash::Sha512,
            _ => return Err(SignatureError::OtherKeyType),
        };
        let value = key
            .sign(hash, message, random)
            .map_err(|error| match error {
                RsaSignError::Random(_) => SignatureError::Random,
                RsaSignError::Internal => SignatureError::Internal,
            })?;
        Ok(Signature::new(algorithm, &value).to_blob())
    }

    /// What a file holds of the key; `None` for a type that no file format is known for.
    pub(crate) fn secret_parts(&self) -> Option<SecretParts<'_>> {
        match &self.0 {
            Kind::Rsa { key, .. } => Some(SecretParts::Rsa(key)),
            Kind::Core(key) => {
                let public = key.public_key();
                if let (Some(seed), Some(public)) = (key.ed25519_seed(), public.ed25519()) {
                    return Some(SecretParts::Ed25519 { seed, public });
                }
                Some(SecretParts::EcdsaP256 {
                    scalar: key.ecdsa_p256_scalar()?,
                    point: public.ecdsa_p256()?,
                })
            }
        }
    }
}

/// The numbers of a private key, for writing them down.
pub(crate) enum SecretParts<'a> {
    Ed25519 {
        seed: Zeroizing<[u8; 32]>,
        public: &'a [u8; 32],
    },
    EcdsaP256 {
        scalar: Zeroizing<[u8; 32]>,
        point: &'a [u8; 65],
    },
    Rsa(&'a RsaPrivateKey),
}

impl From<PrivateKey> for SigningKey {
    fn from(key: PrivateKey) -> Self {
        Self(Kind::Core(Box::new(key)))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        openssh::Limits,
        testing::{Broken, Counting, key_file},
    };

    #[test]
    fn every_key_signs_with_its_own_algorithms_only() {
        for name in ["ed25519", "ecdsa_p256", "rsa2048", "rsa3072", "rsa4096"] {
            let pair = KeyPair::from_openssh(&key_file(name), None, Limits::default()).unwrap();
            let (key, random) = (pair.private, &mut Counting::new(3));
            for &algorithm in SignatureAlgorithm::ALL {
                let signed = key.sign(algorithm, b"message", random);
                if !key.algorithms().contains(&algorithm) {
                    assert_eq!(signed, Err(SignatureError::OtherKeyType));
                    continue;
                }
                let signed = signed.unwrap();
                let public = key.public_key();
                assert_eq!(public.verify(algorithm, b"message", &signed), Ok(()));
                assert_eq!(
                    public.verify(algorithm, b"massage", &signed),
                    Err(SignatureError::Invalid)
                );
            }
        }
    }

    #[test]
    fn new_keys_sign_and_need_randomness() {
        for key_type in [KeyType::Ed25519, KeyType::EcdsaP256] {
            let random = &mut Counting::new(9);
            let key = SigningKey::generate(key_type, random).unwrap();
            let algorithm = key_type.preferred_signature();
            let signed = key.sign(algorithm, b"m", random).unwrap();
            assert_eq!(key.public_key().verify(algorithm, b"m", &signed), Ok(()));
            assert!(SigningKey::generate(key_type, &mut Broken).is_err());
        }
    }
}
