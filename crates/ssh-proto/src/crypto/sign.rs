//! Private keys that sign here: Ed25519 and ECDSA over P-256.
//!
//! Ed25519 is deterministic by definition (RFC 8032). An ECDSA nonce is that of RFC 6979 with 32
//! random bytes mixed in: a bad source of randomness does not give the key away, and a fault that
//! is induced twice does not either. An ECDSA signature is verified before it is handed out.

use core::fmt;

use p256::ecdsa::signature::hazmat::RandomizedPrehashSigner as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::{CryptoError, hash::HashAlgorithm, verify};
use crate::{
    random::{Random, RandomError},
    wire::Mpint,
};

/// An Ed25519 private key. Wiped when dropped.
pub(crate) struct Ed25519Key {
    key: ed25519_dalek::SigningKey,
}

impl Ed25519Key {
    /// From the seed, the 32 bytes that RFC 8032 calls the private key.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            key: ed25519_dalek::SigningKey::from_bytes(seed),
        }
    }

    pub(crate) fn generate(random: &mut dyn Random) -> Result<Self, CryptoError> {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(seed.as_mut())?;
        Ok(Self::from_seed(&seed))
    }

    pub(crate) fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<[u8; 64], CryptoError> {
        use ed25519_dalek::Signer as _;

        self.key
            .try_sign(message)
            .map(|signature| signature.to_bytes())
            .map_err(|_| CryptoError::Internal)
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ed25519Key")
    }
}

/// A P-256 private key. Wiped when dropped.
pub(crate) struct EcdsaP256Key {
    key: p256::ecdsa::SigningKey,
}

/// `r` and `s`, 32 bytes each.
pub(crate) type EcdsaP256Signature = ([u8; 32], [u8; 32]);

impl EcdsaP256Key {
    /// From the scalar, big-endian; it must be from 1 to the order of the group less one.
    pub(crate) fn from_scalar(scalar: &[u8; 32]) -> Result<Self, CryptoError> {
        p256::ecdsa::SigningKey::from_slice(scalar)
            .map(|key| Self { key })
            .map_err(|_| CryptoError::Key)
    }

    pub(crate) fn generate(random: &mut dyn Random) -> Result<Self, CryptoError> {
        // Nearly every number of 32 bytes is a scalar. A source that gives eight others is broken.
        let mut scalar = Zeroizing::new([0; 32]);
        for _ in 0..8 {
            random.fill(scalar.as_mut())?;
            if let Ok(key) = Self::from_scalar(&scalar) {
                return Ok(key);
            }
        }
        Err(CryptoError::Random)
    }

    pub(crate) fn scalar(&self) -> Zeroizing<[u8; 32]> {
        let mut bytes = self.key.to_bytes();
        let scalar = Zeroizing::new(bytes.into());
        bytes.zeroize();
        scalar
    }

    /// The public point, uncompressed.
    pub(crate) fn public(&self) -> [u8; 65] {
        let point = self.key.verifying_key().to_sec1_point(false);
        let mut bytes = [0; 65];
        for (to, from) in bytes.iter_mut().zip(point.as_bytes()) {
            *to = *from;
        }
        bytes
    }

    pub(crate) fn sign(
        &self,
        message: &[u8],
        random: &mut dyn Random,
    ) -> Result<EcdsaP256Signature, CryptoError> {
        let digest = HashAlgorithm::Sha256.digest(message);
        let signature: p256::ecdsa::Signature = self
            .key
            .sign_prehash_with_rng(&mut Rng { random }, digest.as_ref())
            .map_err(|_| CryptoError::Random)?;
        let (r, s): EcdsaP256Signature = {
            let (r, s) = signature.split_bytes();
            (r.into(), s.into())
        };
        verify::ecdsa_p256(
            &self.public(),
            message,
            Mpint::from_unsigned(&r),
            Mpint::from_unsigned(&s),
        )
        .map_err(|_| CryptoError::Internal)?;
        Ok((r, s))
    }
}

impl fmt::Debug for EcdsaP256Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EcdsaP256Key")
    }
}

/// A [`Random`] in the shape that the libraries want.
struct Rng<'a> {
    random: &'a mut dyn Random,
}

impl rand_core::TryRng for Rng<'_> {
    type Error = RandomError;

    fn try_next_u32(&mut self) -> Result<u32, RandomError> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, RandomError> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        self.random.fill(out)
    }
}

impl rand_core::TryCryptoRng for Rng<'_> {}
