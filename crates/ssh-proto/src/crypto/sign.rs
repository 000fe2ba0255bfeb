//! Private keys that sign here: Ed25519 and ECDSA over P-256.
//!
//! Ed25519 is deterministic by definition (RFC 8032). An ECDSA nonce is that of RFC 6979 with 32
//! random bytes mixed in: a bad source of randomness does not give the key away, and a fault that
//! is induced twice does not either. An ECDSA signature is verified before it is handed out.

use core::fmt;

use p256::ecdsa::signature::hazmat::RandomizedPrehashSigner as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::{CryptoError, hash::HashAlgorithm, memo::remembered, verify};
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
            key: remembered!("ed25519 key", [seed]; ed25519_dalek::SigningKey::from_bytes(seed)),
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

        remembered!("ed25519 sign", [&*self.seed(), message]; {
            self.key
                .try_sign(message)
                .map(|signature| signature.to_bytes())
                .map_err(|_| CryptoError::Internal)
        })
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

#[cfg(test)]
mod tests {
    use alloc::{format, vec::Vec};

    use super::*;
    use crate::random::testing::{BrokenRandom, SeededRandom};

    fn from_hex<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    /// RFC 8032 section 7.1, tests 1 to 3.
    #[test]
    fn rfc8032_vectors() {
        for (seed, public, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
                 5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                 085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                 18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ] {
            let key = Ed25519Key::from_seed(&from_hex(seed));
            let message = hex::decode(message).unwrap();
            assert_eq!(hex::encode(key.public()), public);
            assert_eq!(hex::encode(key.sign(&message).unwrap()), signature);
            assert_eq!(hex::encode(*key.seed()), seed);
            assert_eq!(
                verify::ed25519(&key.public(), &message, &from_hex::<64>(signature)),
                Ok(())
            );
        }
    }

    const SCALAR: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";

    /// RFC 6979 section A.2.5, with SHA-256: the key and its signatures, which are verified only,
    /// as ours are hedged.
    #[test]
    fn rfc6979_vectors() {
        let key = EcdsaP256Key::from_scalar(&from_hex(SCALAR)).unwrap();
        assert_eq!(
            hex::encode(key.public()),
            "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
             7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
        );
        assert_eq!(hex::encode(*key.scalar()), SCALAR);
        for (message, r, s) in [
            (
                "sample",
                "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
                "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
            ),
            (
                "test",
                "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367",
                "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
            ),
        ] {
            let (r, s): ([u8; 32], [u8; 32]) = (from_hex(r), from_hex(s));
            let verified = verify::ecdsa_p256(
                &key.public(),
                message.as_bytes(),
                Mpint::from_unsigned(&r),
                Mpint::from_unsigned(&s),
            );
            assert_eq!(verified, Ok(()));
        }
    }

    /// Gives the same byte for ever.
    struct ConstantRandom(u8);

    impl Random for ConstantRandom {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
            out.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn h10_ecdsa_nonces_depend_on_the_message_and_on_fresh_randomness() {
        let key = EcdsaP256Key::from_scalar(&from_hex(SCALAR)).unwrap();
        // r names the nonce. One that repeats gives the key away.
        let mut seen = std::collections::HashSet::new();
        for byte in [0, 0xff] {
            for message in [&b"sample"[..], b"test", b""] {
                let (r, _) = key.sign(message, &mut ConstantRandom(byte)).unwrap();
                assert!(
                    seen.insert(r),
                    "a broken source alone must not repeat a nonce"
                );
                let (again, _) = key.sign(message, &mut ConstantRandom(byte)).unwrap();
                assert_eq!(r, again, "same input, same signature");
            }
        }
    }

    #[test]
    fn q4_a_failing_source_makes_neither_keys_nor_ecdsa_signatures() {
        let refused = Some(CryptoError::Random);
        assert_eq!(Ed25519Key::generate(&mut BrokenRandom).err(), refused);
        assert_eq!(EcdsaP256Key::generate(&mut BrokenRandom).err(), refused);
        assert_eq!(
            EcdsaP256Key::generate(&mut ConstantRandom(0)).err(),
            refused
        );
        assert_eq!(
            EcdsaP256Key::generate(&mut ConstantRandom(0xff)).err(),
            refused
        );
        let key = EcdsaP256Key::from_scalar(&from_hex(SCALAR)).unwrap();
        assert_eq!(key.sign(b"x", &mut BrokenRandom).err(), refused);
    }

    #[test]
    fn scalars_out_of_range_are_refused() {
        let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
        let mut below: [u8; 32] = from_hex(order);
        below[31] -= 1;
        assert!(EcdsaP256Key::from_scalar(&below).is_ok());
        for bad in [[0; 32], from_hex(order), [0xff; 32]] {
            let key = EcdsaP256Key::from_scalar(&bad);
            assert_eq!(key.err(), Some(CryptoError::Key));
        }
    }

    #[test]
    fn made_keys_are_fresh() {
        let random = &mut SeededRandom::new(1);
        let made: Vec<_> = (0..3)
            .map(|_| *EcdsaP256Key::generate(random).unwrap().scalar())
            .chain((0..3).map(|_| {
                *Ed25519Key::generate(&mut SeededRandom::new(2))
                    .unwrap()
                    .seed()
            }))
            .collect();
        assert!(made[0] != made[1] && made[1] != made[2]);
        assert!(made[3] == made[4], "the same source gives the same key");
    }

    #[test]
    fn q8_nothing_of_a_key_is_printed() {
        let key = EcdsaP256Key::from_scalar(&from_hex(SCALAR)).unwrap();
        assert_eq!(format!("{key:?}"), "EcdsaP256Key");
        assert_eq!(
            format!("{:?}", Ed25519Key::from_seed(&[1; 32])),
            "Ed25519Key"
        );
    }
}
