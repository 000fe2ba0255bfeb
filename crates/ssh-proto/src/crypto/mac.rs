//! HMAC (RFC 2104, RFC 6668): a keyed state that is copied for every message.
//!
//! Parts are hashed one after the other, so that nobody has to put them together first. A tag is
//! compared as a whole and in constant time.

use alloc::boxed::Box;
use core::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{
    CryptoError,
    hash::{Digest, HashAlgorithm},
};

/// A key of HMAC, already absorbed: two blocks of hashing less per message. Wiped when dropped.
pub(crate) struct HmacKey {
    state: State,
}

/// Boxed, so that the smaller one leaves no gap into which something of the stack could come along.
enum State {
    Sha1(Box<Hmac<sha1::Sha1>>),
    Sha256(Box<Hmac<sha2::Sha256>>),
    Sha384(Box<Hmac<sha2::Sha384>>),
    Sha512(Box<Hmac<sha2::Sha512>>),
}

impl HmacKey {
    /// From a key of any length.
    pub(crate) fn new(hash: HashAlgorithm, key: &[u8]) -> Result<Self, CryptoError> {
        let refused = |_| CryptoError::Internal;
        Ok(Self {
            state: match hash {
                HashAlgorithm::Sha1 => {
                    State::Sha1(Box::new(Hmac::new_from_slice(key).map_err(refused)?))
                }
                HashAlgorithm::Sha384 => {
                    State::Sha384(Box::new(Hmac::new_from_slice(key).map_err(refused)?))
                }
                HashAlgorithm::Sha256 => {
                    State::Sha256(Box::new(Hmac::new_from_slice(key).map_err(refused)?))
                }
                HashAlgorithm::Sha512 => {
                    State::Sha512(Box::new(Hmac::new_from_slice(key).map_err(refused)?))
                }
            },
        })
    }

    /// The tag of the concatenation of `parts`.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> Digest {
        match &self.state {
            State::Sha1(key) => finish(Hmac::clone(key), parts),
            State::Sha256(key) => finish(Hmac::clone(key), parts),
            State::Sha384(key) => finish(Hmac::clone(key), parts),
            State::Sha512(key) => finish(Hmac::clone(key), parts),
        }
    }

    /// Whether `tag` is the whole tag of the concatenation of `parts`, in constant time.
    pub(crate) fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> Result<(), CryptoError> {
        if self.tag(parts).as_ref().ct_eq(tag).into() {
            Ok(())
        } else {
            Err(CryptoError::Integrity)
        }
    }
}

fn finish<M: hmac::Mac>(mut mac: M, parts: &[&[u8]]) -> Digest {
    for part in parts {
        mac.update(part);
    }
    Digest::take(mac.finalize().into_bytes().as_mut_slice())
}

/// HMAC-SHA-256 with a key of 32 bytes, which cannot fail.
pub(super) fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> Zeroizing<[u8; 32]> {
    // HMAC fills a short key up with zeros to a block.
    let mut block = Zeroizing::new([0; 64]);
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let mut mac = Hmac::<sha2::Sha256>::new((&*block).into());
    mac.update(message);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacKey")
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// RFC 4231 test cases 1, 2 and 6.
    #[test]
    fn rfc4231_vectors() {
        const HASHES: [HashAlgorithm; 2] = [HashAlgorithm::Sha256, HashAlgorithm::Sha512];
        struct Case(&'static [u8], &'static [u8], [&'static str; 2]);
        let cases = [
            Case(
                &[0x0b; 20],
                b"Hi There",
                [
                    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                    "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde\
                 daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
                ],
            ),
            Case(
                b"Jefe",
                b"what do ya want for nothing?",
                [
                    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
                ],
            ),
            Case(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                [
                    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
                    "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352\
                 6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
                ],
            ),
        ];
        for Case(key, message, tags) in cases {
            for (hash, expected) in HASHES.into_iter().zip(tags) {
                let key = HmacKey::new(hash, key).unwrap();
                let (front, back) = message.split_at(3);
                assert_eq!(hex::encode(key.tag(&[front, back]).as_ref()), expected);
            }
        }
    }

    #[test]
    fn a_tag_must_match_whole() {
        let key = HmacKey::new(HashAlgorithm::Sha256, &[7; 32]).unwrap();
        let tag = key.tag(&[b"message"]).as_ref().to_vec();
        assert_eq!(key.verify(&[b"message"], &tag), Ok(()));
        assert!(key.verify(&[b"message"], &tag[..31]).is_err());
        assert!(key.verify(&[b"message"], &[]).is_err());
        for bit in 0..256 {
            let mut bad = tag.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(key.verify(&[b"message"], &bad).is_err());
        }
        let mut long = tag;
        long.extend(vec![0; 1]);
        assert!(key.verify(&[b"message"], &long).is_err());
    }
}
