//! UMAC (RFC 4418) over AES-128, as SSH uses it: the nonce is the sequence number as a uint64
//! (draft-miller-secsh-umac-01 section 3), and a tag has 64 or 128 bits.
//!
//! ```text
//!   message  -> chunks of 1024 bytes
//!   NH         each chunk                       8 bytes    multiplications of 32 bits
//!   POLY       all of those, if more than one   16 bytes   modulo 2^64 - 59, then 2^128 - 159
//!   L3         a product of sums                4 bytes    modulo 2^36 - 5
//!   tag      = those 4 bytes, T times with other keys, XOR a pad that AES makes of the nonce
//! ```
//!
//! `T` is how many 32-bit words a tag has: 2 or 4. A message is taken in pieces of any size; nothing
//! is allocated for it. A secret never decides about a branch or an address, and multiplications take
//! constant time where those of the CPU do.
//!
//! Where the RFC counts from 1 and speaks of strings, this counts from 0 and speaks of integers.

use alloc::boxed::Box;
use core::array;

use aes::Aes128;
use cipher::{BlockCipherEncrypt as _, Key, KeyInit as _};
use subtle::{Choice, ConditionallySelectable as _};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Digest, Running};
use crate::crypto::{CryptoError, overwrite};

pub(super) const KEY_LEN: usize = 16;

/// What NH takes at a time: eight words of 32 bits.
const BLOCK: usize = 32;
/// What NH makes 8 bytes of.
const CHUNK: usize = 1024;
/// Words of key for a chunk; each further iteration begins 4 words later in the same key.
const NH_WORDS: usize = CHUNK / 4;
const NH_SHIFT: usize = 4;
/// With room for four iterations. The last two words are for nothing but that [`Umac`] has no gap,
/// into which something of the stack could come along.
const NH_KEY: usize = NH_WORDS + 3 * NH_SHIFT + 2;
/// So many chunks are hashed modulo a prime of 64 bits, the rest modulo one of 128: 2^17 bytes of
/// what NH has made (RFC 4418 section 5.3).
const CHUNKS_64: u64 = 1 << 14;

/// A key of UMAC with everything that is derived from it. Wiped when dropped.
pub(super) struct Umac<const T: usize> {
    nh: [u32; NH_KEY],
    rounds: [Round; T],
    /// What makes a pad of a nonce.
    pad: Box<Aes128>,
}

/// The keys of one iteration behind NH.
#[derive(Clone, Copy, Default)]
struct Round {
    poly64: u64,
    poly128: u128,
    l3: [u64; 8],
    /// Of 32 bits, and as wide as the others, so that there is no gap.
    l3_xor: u64,
}

impl<const T: usize> Umac<T> {
    /// From a key of 16 bytes.
    pub(super) fn new(key: &[u8]) -> Result<Box<Self>, CryptoError> {
        let derive = Kdf(Box::new(
            Aes128::new_from_slice(key).map_err(|_| CryptoError::Internal)?,
        ));
        let mut umac = Box::new(Self {
            nh: [0; NH_KEY],
            rounds: [Round::default(); T],
            pad: Box::new(Aes128::new(&(*derive.bytes::<KEY_LEN>(0)).into())),
        });
        let l1 = derive.bytes::<{ 4 * NH_KEY }>(1);
        for (word, bytes) in umac.nh.iter_mut().zip(l1.as_chunks().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        let (l2, l3, l3_xor) = (
            derive.bytes::<{ 4 * 24 }>(2),
            derive.bytes::<{ 4 * 64 }>(3),
            derive.bytes::<{ 4 * 4 }>(4),
        );
        let keys = l2.as_chunks::<24>().0.iter();
        let keys = keys.zip(l3.as_chunks::<64>().0).zip(l3_xor.as_chunks().0);
        for (round, ((l2, l3), l3_xor)) in umac.rounds.iter_mut().zip(keys) {
            let (poly64, poly128) = l2.split_at(8);
            round.poly64 = u64_from(poly64) & 0x01ff_ffff_01ff_ffff;
            round.poly128 = u128_from(poly128) & 0x01ff_ffff_01ff_ffff_01ff_ffff_01ff_ffff;
            for (key, bytes) in round.l3.iter_mut().zip(l3.as_chunks().0) {
                *key = modulo_p36(u64::from_be_bytes(*bytes));
            }
            round.l3_xor = u32::from_be_bytes(*l3_xor).into();
        }
        Ok(umac)
    }

    /// Begins a message, whose nonce must be another than that of any other message.
    pub(super) const fn begin(&self, nonce: u64) -> Message<'_, T> {
        Message {
            key: self,
            nonce,
            block: [0; BLOCK],
            filled: 0,
            in_chunk: 0,
            nh: [0; T],
            chunks: 0,
            first: [0; T],
            poly: [1; T],
            half: [0; T],
        }
    }

    /// PDF of RFC 4418 section 4.
    fn pad(&self, nonce: u64) -> [u32; T] {
        // A block of AES has room for two pads of 64 bits; the last bit of the nonce says which.
        let pads = 4_u64.checked_div(T as u64).unwrap_or(1);
        let which = nonce & pads.saturating_sub(1);
        let mut block = [0; 16];
        for (to, from) in block.iter_mut().zip((nonce ^ which).to_be_bytes()) {
            *to = from;
        }
        let mut block = block.into();
        self.pad.encrypt_block(&mut block);
        let words = block.as_chunks::<4>().0;
        let skipped = usize::try_from(which).unwrap_or(0) * T;
        let mut words = words.iter().skip(skipped);
        let pad = array::from_fn(|_| words.next().map_or(0, |word| u32::from_be_bytes(*word)));
        block.as_mut_slice().zeroize();
        pad
    }
}

impl<const T: usize> Drop for Umac<T> {
    fn drop(&mut self) {
        self.nh.zeroize();
        for round in &mut self.rounds {
            round.poly64.zeroize();
            round.poly128.zeroize();
            round.l3.zeroize();
            round.l3_xor.zeroize();
        }
        // It lies in a union, of which the crate wipes what is in use.
        overwrite(&mut *self.pad, || Aes128::new(&Key::<Aes128>::default()));
    }
}

/// The key derivation of RFC 4418 section 3.2, under the key of the whole.
struct Kdf(Box<Aes128>);

impl Kdf {
    fn bytes<const N: usize>(&self, index: u64) -> Zeroizing<[u8; N]> {
        let mut made = Zeroizing::new([0; N]);
        for (counter, out) in (1_u64..).zip(made.chunks_mut(16)) {
            let mut input = [0; 16];
            let (front, back) = input.split_at_mut(8);
            front.copy_from_slice(&index.to_be_bytes());
            back.copy_from_slice(&counter.to_be_bytes());
            let mut block = input.into();
            self.0.encrypt_block(&mut block);
            for (out, byte) in out.iter_mut().zip(&block) {
                *out = *byte;
            }
            block.as_mut_slice().zeroize();
        }
        made
    }
}

impl Drop for Kdf {
    fn drop(&mut self) {
        overwrite(&mut *self.0, || Aes128::new(&Key::<Aes128>::default()));
    }
}

/// A message whose tag is being computed. Wiped when dropped.
///
/// `in_chunk` is a multiple of [`BLOCK`] and less than [`CHUNK`]; `filled < BLOCK`.
pub(super) struct Message<'k, const T: usize> {
    key: &'k Umac<T>,
    nonce: u64,
    /// What does not fill a block yet.
    block: [u8; BLOCK],
    filled: usize,
    /// How much of the chunk NH has had.
    in_chunk: usize,
    /// NH of that.
    nh: [u64; T],
    /// How many chunks are complete.
    chunks: u64,
    /// What NH made of the first one. If it stays alone, it does not go through POLY.
    first: [u64; T],
    /// POLY of the chunks, from the second one on.
    poly: [u128; T],
    /// The first half of the next word of POLY-128.
    half: [u64; T],
}

impl<const T: usize> Running for Message<'_, T> {
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.filled > 0 || bytes.len() < BLOCK {
                bytes = self.fill(bytes);
            } else {
                let whole = bytes.len() & !(BLOCK - 1);
                let (now, later) = bytes.split_at(whole.min(CHUNK - self.in_chunk));
                self.blocks(now.as_chunks().0);
                bytes = later;
            }
        }
    }

    fn end(mut self) -> Digest {
        let left = self.in_chunk + self.filled;
        if left > 0 || self.chunks == 0 {
            // Zeros fill up the last block, and a message without any gets one of them.
            if self.filled > 0 || left == 0 {
                for byte in self.block.iter_mut().skip(self.filled) {
                    *byte = 0;
                }
                let block = self.block;
                self.nh(&[block]);
            }
            self.end_chunk(left);
        }
        self.end_poly();
        let mut tag = [[0; 4]; T];
        let pads = self.key.pad(self.nonce);
        let sums = self.key.rounds.iter().zip(&self.poly);
        for ((word, pad), (round, sum)) in tag.iter_mut().zip(pads).zip(sums) {
            *word = (round.end(*sum) ^ pad).to_be_bytes();
        }
        Digest::take(tag.as_flattened_mut())
    }
}

impl<const T: usize> Message<'_, T> {
    /// Fills up the block with the front of `bytes`; returns the rest.
    fn fill<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let room = self.block.get_mut(self.filled..).unwrap_or_default();
        let (now, later) = bytes.split_at(bytes.len().min(room.len()));
        for (to, from) in room.iter_mut().zip(now) {
            *to = *from;
        }
        self.filled += now.len();
        if self.filled == BLOCK {
            self.filled = 0;
            let block = self.block;
            self.blocks(&[block]);
        }
        later
    }

    /// Takes blocks of one chunk.
    fn blocks(&mut self, blocks: &[[u8; BLOCK]]) {
        self.nh(blocks);
        self.in_chunk += blocks.len() * BLOCK;
        if self.in_chunk == CHUNK {
            self.in_chunk = 0;
            self.end_chunk(CHUNK);
        }
    }

    /// RFC 4418 section 5.2.2, for each iteration.
    fn nh(&mut self, blocks: &[[u8; BLOCK]]) {
        for (iteration, sum) in self.nh.iter_mut().enumerate() {
            let from = self.in_chunk / 4 + NH_SHIFT * iteration;
            let key = self.key.nh.get(from..).unwrap_or_default();
            *sum = nh(*sum, key.as_chunks().0, blocks);
        }
    }

    /// A chunk of `len` bytes has come to its end.
    fn end_chunk(&mut self, len: usize) {
        let bits = 8 * len as u64;
        let made = self.nh.map(|sum| sum.wrapping_add(bits));
        self.nh = [0; T];
        if self.chunks == 0 {
            self.first = made;
        } else {
            if self.chunks == 1 {
                self.poly(self.first, 0);
            }
            self.poly(made, self.chunks);
        }
        self.chunks += 1;
    }

    /// Takes what NH has made of a chunk (RFC 4418 section 5.3).
    fn poly(&mut self, made: [u64; T], number: u64) {
        let rounds = self.key.rounds.iter().zip(&mut self.poly);
        for (((round, sum), half), word) in rounds.zip(&mut self.half).zip(made) {
            if number < CHUNKS_64 {
                // Below 2^64, as the modulus is.
                *sum = poly64(round.poly64, *sum as u64, word).into();
                continue;
            }
            if number == CHUNKS_64 {
                *sum = poly128(round.poly128, 1, *sum);
            }
            if number.is_multiple_of(2) {
                *half = word;
            } else {
                *sum = poly128(round.poly128, *sum, joined(*half, word));
            }
        }
    }

    /// Leaves in `poly` what L3 takes.
    fn end_poly(&mut self) {
        if self.chunks <= 1 {
            self.poly = self.first.map(u128::from);
        } else if self.chunks > CHUNKS_64 {
            const END: u64 = 0x80 << 56;
            let rounds = self.key.rounds.iter().zip(&mut self.poly);
            for ((round, sum), half) in rounds.zip(&self.half) {
                let last = if self.chunks.is_multiple_of(2) {
                    joined(END, 0)
                } else {
                    joined(*half, END)
                };
                *sum = poly128(round.poly128, *sum, last);
            }
        }
    }
}

impl<const T: usize> Drop for Message<'_, T> {
    fn drop(&mut self) {
        self.block.zeroize();
        self.nh.zeroize();
        self.first.zeroize();
        self.poly.zeroize();
        self.half.zeroize();
    }
}

/// `sum` and the products of `blocks` with `key`. The words of a message are little-endian.
fn nh(sum: u64, key: &[[u32; 8]], blocks: &[[u8; BLOCK]]) -> u64 {
    let mut sum = sum;
    for (block, key) in blocks.iter().zip(key) {
        let (words, _) = block.as_chunks::<4>();
        let (near, far) = words.split_at(4);
        let (near_key, far_key) = key.split_at(4);
        for ((near, far), (near_key, far_key)) in
            near.iter().zip(far).zip(near_key.iter().zip(far_key))
        {
            let near = u32::from_le_bytes(*near).wrapping_add(*near_key);
            let far = u32::from_le_bytes(*far).wrapping_add(*far_key);
            sum = sum.wrapping_add(u64::from(near) * u64::from(far));
        }
    }
    sum
}

/// A step of POLY modulo 2^64 - 59: `key * sum + word`, with a marker before words that are too
/// large to be told from their remainder.
fn poly64(key: u64, sum: u64, word: u64) -> u64 {
    const OFFSET: u64 = 59;
    const MARKER: u64 = 0_u64.wrapping_sub(OFFSET + 1);
    const LARGE: u64 = u64::MAX << 32;
    // Both are computed: which one it is depends on the key.
    let usual = mul_add_p64(key, sum, word);
    let marked = mul_add_p64(key, sum, MARKER);
    let marked = mul_add_p64(key, marked, word.wrapping_sub(OFFSET));
    u64::conditional_select(&usual, &marked, ones(word & LARGE, LARGE))
}

/// The same modulo 2^128 - 159.
fn poly128(key: u128, sum: u128, word: u128) -> u128 {
    const OFFSET: u128 = 159;
    const MARKER: u128 = 0_u128.wrapping_sub(OFFSET + 1);
    const LARGE: u64 = u64::MAX << 32;
    let usual = mul_add_p128(key, sum, word);
    let marked = mul_add_p128(key, sum, MARKER);
    let marked = mul_add_p128(key, marked, word.wrapping_sub(OFFSET));
    // Whether the uppermost 32 bits are all ones.
    let large = ones((word >> 64) as u64 & LARGE, LARGE);
    u128::conditional_select(&usual, &marked, large)
}

/// Whether two words are the same.
fn ones(word: u64, all: u64) -> Choice {
    subtle::ConstantTimeEq::ct_eq(&word, &all)
}

/// `a * b + c` modulo 2^64 - 59, where `a` is below 2^57.
fn mul_add_p64(a: u64, b: u64, c: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b) + u128::from(c);
    // 2^64 is 59. Twice, and what is left over is below twice the modulus.
    let once = (wide >> 64) * 59 + u128::from(wide as u64);
    let twice = ((once >> 64) as u64 * 59).wrapping_add(once as u64);
    let (less, over) = twice.overflowing_add(59);
    u64::conditional_select(&twice, &less, Choice::from(u8::from(over)))
}

/// `a * b + c` modulo 2^128 - 159, where `a` is below 2^121.
fn mul_add_p128(a: u128, b: u128, c: u128) -> u128 {
    const LOW: u128 = u64::MAX as u128;
    let (a1, a0) = (a >> 64, a & LOW);
    let (b1, b0) = (b >> 64, b & LOW);
    // Four limbs of 64 bits, the carries of each added to the next.
    let r0 = a0 * b0;
    let r1 = a1 * b0 + (r0 >> 64);
    let r1_more = a0 * b1 + (r1 & LOW);
    let high = a1 * b1 + (r1 >> 64) + (r1_more >> 64);
    let (low, carry) = joined(r1_more as u64, r0 as u64).overflowing_add(c);
    let high = high + u128::from(carry);
    // 2^128 is 159.
    let s0 = (low & LOW) + (high & LOW) * 159;
    let s1 = (low >> 64) + (high >> 64) * 159 + (s0 >> 64);
    let once = joined(s1 as u64, s0 as u64);
    let (twice, carry) = once.overflowing_add((s1 >> 64) * 159);
    let twice = twice.wrapping_add(u128::from(carry) * 159);
    let (less, over) = twice.overflowing_add(159);
    u128::conditional_select(&twice, &less, Choice::from(u8::from(over)))
}

impl Round {
    /// RFC 4418 section 5.4.
    fn end(&self, sum: u128) -> u32 {
        let pieces = sum.to_be_bytes();
        let products = pieces
            .as_chunks()
            .0
            .iter()
            .zip(&self.l3)
            .map(|(piece, key)| u64::from(u16::from_be_bytes(*piece)) * key);
        // Each below 2^52, and there are eight.
        (modulo_p36(products.sum()) ^ self.l3_xor) as u32
    }
}

/// Modulo 2^36 - 5.
fn modulo_p36(number: u64) -> u64 {
    const MASK: u64 = (1 << 36) - 1;
    const P36: u64 = MASK - 4;
    let once = (number >> 36) * 5 + (number & MASK);
    let twice = (once >> 36) * 5 + (once & MASK);
    let (less, below) = twice.overflowing_sub(P36);
    u64::conditional_select(&less, &twice, Choice::from(u8::from(below)))
}

fn joined(high: u64, low: u64) -> u128 {
    u128::from(high) << 64 | u128::from(low)
}

/// From at most 8 bytes.
fn u64_from(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

/// From at most 16 bytes.
fn u128_from(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |n, byte| n << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The remainder of `a * b + c`, bit by bit.
    fn slow(a: u128, b: u128, c: u128, prime: u128) -> u128 {
        let add = |a: u128, b: u128| match a.overflowing_add(b) {
            (sum, false) if sum < prime => sum,
            (sum, _) => sum.wrapping_sub(prime),
        };
        let mut product = 0;
        for bit in (0..128).rev() {
            product = add(product, product);
            if a >> bit & 1 == 1 {
                product = add(product, b % prime);
            }
        }
        add(product, c % prime)
    }

    /// A step of POLY as RFC 4418 section 5.3.2 has it.
    fn step(key: u128, sum: u128, word: u128, bits: u32, prime: u128) -> u128 {
        let offset = 0_u128.wrapping_sub(prime) & (u128::MAX >> (128 - bits));
        if word >= u128::MAX >> (128 - bits) << (bits - 32) & (u128::MAX >> (128 - bits)) {
            let marked = slow(key, sum, prime - 1, prime);
            slow(key, marked, word - offset, prime)
        } else {
            slow(key, sum, word, prime)
        }
    }

    const P64: u128 = (1 << 64) - 59;
    const P128: u128 = u128::MAX - 158;

    /// Anything, and now and then something near its ends.
    fn word64() -> impl Strategy<Value = u64> {
        let near_end = any::<u8>().prop_map(|n| u64::MAX - u64::from(n));
        let near_large = any::<u8>().prop_map(|n| (u64::MAX << 32) - 128 + u64::from(n));
        prop_oneof![any::<u64>(), near_end, near_large, 0..3_u64]
    }

    fn word128() -> impl Strategy<Value = u128> {
        let near_end = any::<u8>().prop_map(|n| u128::MAX - u128::from(n));
        let near_large = any::<u8>().prop_map(|n| (u128::MAX << 96) - 128 + u128::from(n));
        let halves = (word64(), word64()).prop_map(|(high, low)| joined(high, low));
        prop_oneof![halves, near_end, near_large]
    }

    proptest! {
        #[test]
        fn steps_of_the_smaller_prime(key in word64(), sum in word64(), word in word64()) {
            let key = key & 0x01ff_ffff_01ff_ffff;
            let sum = (u128::from(sum) % P64) as u64;
            let expected = step(key.into(), sum.into(), word.into(), 64, P64);
            prop_assert_eq!(u128::from(poly64(key, sum, word)), expected);
        }

        #[test]
        fn steps_of_the_larger_prime(key in word128(), sum in word128(), word in word128()) {
            let key = key & 0x01ff_ffff_01ff_ffff_01ff_ffff_01ff_ffff;
            let sum = sum % P128;
            let expected = step(key, sum, word, 128, P128);
            prop_assert_eq!(poly128(key, sum, word), expected);
        }

        #[test]
        fn remainders_of_the_smallest_prime(number in word64()) {
            prop_assert_eq!(modulo_p36(number), number % ((1 << 36) - 5));
        }
    }

    /// Words that need a marker, and words just below them.
    #[test]
    fn both_kinds_of_steps_are_taken() {
        for (word, sum) in [
            ((u64::MAX << 32) - 1, u64::MAX - 59),
            (u64::MAX << 32, 1),
            (u64::MAX, 0),
        ] {
            let (key, sum) = (0x01ff_ffff_01ff_fffe, sum);
            let expected = step(key.into(), sum.into(), word.into(), 64, P64);
            assert_eq!(u128::from(poly64(key, sum, word)), expected);
        }
    }

    #[test]
    fn a_message_in_any_two_pieces_has_the_same_tag() {
        let key = Umac::<4>::new(&[9; 16]).unwrap();
        let message: [u8; 2100] = array::from_fn(|n| (n % 253) as u8);
        let mut whole = key.begin(5);
        whole.take(&message);
        let whole = whole.end();
        for cut in 0..=message.len() {
            let (front, back) = message.split_at(cut);
            let mut pieces = key.begin(5);
            pieces.take(front);
            pieces.take(back);
            assert_eq!(pieces.end(), whole, "{cut}");
        }
        let mut bytes = key.begin(5);
        for byte in &message {
            bytes.take(&[*byte]);
        }
        assert_eq!(bytes.end(), whole);
    }
}
