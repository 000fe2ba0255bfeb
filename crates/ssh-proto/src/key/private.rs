//! Private keys that sign within the core: Ed25519 and ECDSA over P-256.
//!
//! What needs more than a moment and injected randomness, RSA above all, signs outside.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use zeroize::Zeroizing;

use super::{KeyError, PublicKey, Signature, SignatureError};
use crate::{
    algorithm::{KeyType, SignatureAlgorithm},
    crypto::{
        CryptoError,
        sign::{EcdsaP256Key, Ed25519Key},
    },
    random::Random,
    wire::{Mpint, Sink as _},
};

/// A private key with its public half. Wiped when dropped; cannot be copied or printed.
pub struct PrivateKey {
    secret: Secret,
    public: PublicKey,
}

/// Boxed, so that a key that is moved leaves nothing behind where it was.
enum Secret {
    Ed25519(Box<Ed25519Key>),
    EcdsaP256(Box<EcdsaP256Key>),
}

impl PrivateKey {
    /// An Ed25519 key from its seed, the 32 bytes that RFC 8032 calls the private key.
    pub fn from_ed25519_seed(seed: &[u8; 32]) -> Self {
        Self::from_ed25519(Ed25519Key::from_seed(seed))
    }

    /// An ECDSA key from a scalar of P-256, big-endian, which must not be 0 nor reach the order
    /// of the group.
    pub fn from_ecdsa_p256_scalar(scalar: &[u8; 32]) -> Result<Self, KeyError> {
        EcdsaP256Key::from_scalar(scalar)
            .map_err(KeyError::from)
            .and_then(Self::from_ecdsa_p256)
    }

    /// Makes a new key. RSA keys are not made here.
    pub fn generate(key_type: KeyType, random: &mut dyn Random) -> Result<Self, KeyError> {
        match key_type {
            KeyType::Ed25519 => Ok(Self::from_ed25519(Ed25519Key::generate(random)?)),
            KeyType::EcdsaP256 => Self::from_ecdsa_p256(EcdsaP256Key::generate(random)?),
            KeyType::Rsa => Err(KeyError::NotGenerated),
        }
    }

    /// What kind of key it is.
    pub const fn key_type(&self) -> KeyType {
        self.public.key_type()
    }

    /// The public half.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The seed of an Ed25519 key, for writing it down.
    pub fn ed25519_seed(&self) -> Option<Zeroizing<[u8; 32]>> {
        match &self.secret {
            Secret::Ed25519(key) => Some(key.seed()),
            Secret::EcdsaP256(_) => None,
        }
    }

    /// The scalar of a P-256 key, big-endian, for writing it down.
    pub fn ecdsa_p256_scalar(&self) -> Option<Zeroizing<[u8; 32]>> {
        match &self.secret {
            Secret::Ed25519(_) => None,
            Secret::EcdsaP256(key) => Some(key.scalar()),
        }
    }

    /// Signs `message`; the result is a signature blob ([`Signature::from_blob`]). `random` hedges
    /// the nonce of ECDSA and is not asked for Ed25519.
    pub fn sign(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, SignatureError> {
        match (&self.secret, algorithm) {
            (Secret::Ed25519(key), SignatureAlgorithm::Ed25519) => {
                let signature = key.sign(message)?;
                Ok(Signature::new(algorithm, &signature).to_blob())
            }
            (Secret::EcdsaP256(key), SignatureAlgorithm::EcdsaSha2Nistp256) => {
                let (r, s) = key.sign(message, random)?;
                //= rfc5656#section-3.1.2
                //# The ecdsa_signature_blob value has the following specific encoding:
                //#    mpint r
                //#    mpint s
                let mut value = Vec::new();
                value.put_mpint(Mpint::from_unsigned(&r));
                value.put_mpint(Mpint::from_unsigned(&s));
                Ok(Signature::new(algorithm, &value).to_blob())
            }
            _ => Err(SignatureError::OtherKeyType),
        }
    }

    fn from_ed25519(key: Ed25519Key) -> Self {
        Self {
            public: PublicKey::new_ed25519(&key.public()),
            secret: Secret::Ed25519(Box::new(key)),
        }
    }

    fn from_ecdsa_p256(key: EcdsaP256Key) -> Result<Self, KeyError> {
        Ok(Self {
            public: PublicKey::new_ecdsa_p256(&key.public())?,
            secret: Secret::EcdsaP256(Box::new(key)),
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.key_type())
    }
}

impl From<CryptoError> for KeyError {
    fn from(error: CryptoError) -> Self {
        match error {
            CryptoError::Random => Self::Random,
            _ => Self::PrivateKey,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::random::testing::{BrokenRandom, SeededRandom};

    #[test]
    fn what_is_signed_is_verified() {
        let random = &mut SeededRandom::new(1);
        for key_type in [KeyType::Ed25519, KeyType::EcdsaP256] {
            let key = PrivateKey::generate(key_type, random).unwrap();
            let algorithm = key_type.preferred_signature();
            for message in [&b""[..], b"x", &[7; 1000]] {
                let blob = key.sign(algorithm, message, random).unwrap();
                let signature = Signature::from_blob(&blob).unwrap();
                assert_eq!(signature.algorithm(), algorithm);
                assert_eq!(key.public_key().verify(algorithm, message, &blob), Ok(()));
            }
        }
    }

    #[test]
    fn a_key_signs_with_its_own_algorithms_only() {
        let random = &mut SeededRandom::new(1);
        for key_type in [KeyType::Ed25519, KeyType::EcdsaP256] {
            let key = PrivateKey::generate(key_type, random).unwrap();
            for &algorithm in SignatureAlgorithm::ALL {
                let made = key.sign(algorithm, b"", random);
                assert_eq!(made.is_ok(), algorithm.key_type() == key_type);
            }
        }
        let made = PrivateKey::generate(KeyType::Rsa, random);
        assert_eq!(made.err(), Some(KeyError::NotGenerated));
    }

    #[test]
    fn keys_come_back_from_their_secret_numbers() {
        let random = &mut SeededRandom::new(1);
        let key = PrivateKey::generate(KeyType::Ed25519, random).unwrap();
        let again = PrivateKey::from_ed25519_seed(&key.ed25519_seed().unwrap());
        assert_eq!(again.public_key(), key.public_key());
        assert!(key.ecdsa_p256_scalar().is_none());

        let key = PrivateKey::generate(KeyType::EcdsaP256, random).unwrap();
        let scalar = key.ecdsa_p256_scalar().unwrap();
        let again = PrivateKey::from_ecdsa_p256_scalar(&scalar).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert!(key.ed25519_seed().is_none());
        assert_eq!(
            PrivateKey::from_ecdsa_p256_scalar(&[0; 32]).err(),
            Some(KeyError::PrivateKey)
        );
    }

    #[test]
    fn q4_a_failing_source_makes_no_key_and_no_ecdsa_signature() {
        for key_type in [KeyType::Ed25519, KeyType::EcdsaP256] {
            let made = PrivateKey::generate(key_type, &mut BrokenRandom);
            assert_eq!(made.err(), Some(KeyError::Random));
        }
        let key = PrivateKey::generate(KeyType::EcdsaP256, &mut SeededRandom::new(1)).unwrap();
        assert_eq!(
            key.sign(
                SignatureAlgorithm::EcdsaSha2Nistp256,
                b"",
                &mut BrokenRandom
            ),
            Err(SignatureError::Random)
        );
    }

    #[test]
    fn q8_nothing_of_a_key_is_printed() {
        let key = PrivateKey::from_ed25519_seed(&[1; 32]);
        assert_eq!(format!("{key:?}"), "PrivateKey(ssh-ed25519)");
    }
}
