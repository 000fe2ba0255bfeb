//! ChaCha20 with a counter and a nonce of 64 bits each, as OpenSSH has it
//! (`PROTOCOL.chacha20poly1305`); otherwise that of RFC 8439 section 2.3.
//!
//! ```text
//!   a0 a1 a2 a3    constants           Each of the sixteen words is a vector, and a lane of them is a
//!   b0 b1 b2 b3    key                 block, with a key and a counter of its own. A pass over the
//!   c0 c1 c2 c3    key                 rounds computes as many blocks as a vector has lanes: 16 with
//!   d0 d1 d2 d3    counter, nonce      AVX-512, 8 with AVX2, 4 with SSE2 and NEON.
//! ```
//!
//! So one pass has all that is needed for a small packet: the block under its length, the block that is
//! the key of its tag, and those under its body.
//!
//! A secret never decides about a branch or an address. It is here because the crate for it knows one
//! key at a time, and leaves most of what a CPU can do at once unused
//! (`cargo bench -p ssh-testkit --bench core -- chacha`).

use core::slice::Iter;

use fearless_simd::{Level, Simd, SimdBase, dispatch};
use zeroize::Zeroizing;

pub(super) const KEY_LEN: usize = 32;
pub(super) const BLOCK_LEN: usize = 64;

const WORD_LEN: usize = 4;
const BLOCK_WORDS: usize = BLOCK_LEN / WORD_LEN;
const KEY_WORDS: usize = KEY_LEN / WORD_LEN;

/// "expand 32-byte k" (RFC 8439 section 2.3).
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

type Key = [u8; KEY_LEN];

/// Block 0 of two streams.
type Heads = [Zeroizing<[u8; BLOCK_LEN]>; 2];

/// What this CPU can do where it can be asked (the feature `cpu-detection`), otherwise what all of its
/// kind can.
pub(super) fn level() -> Level {
    Level::try_detect().unwrap_or(Level::baseline())
}

/// All that this CPU can do, the best first; in tests down to what does without vectors.
#[cfg(any(test, feature = "internal-fuzzing"))]
pub(crate) fn levels() -> alloc::vec::Vec<(&'static str, Level)> {
    let best = level();
    let mut levels = alloc::vec![("best", best)];
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        levels.extend(best.as_avx2().map(|it| ("AVX2", Level::Avx2(it))));
        levels.extend(best.as_sse2().map(|it| ("SSE2", Level::Sse2(it))));
    }
    #[cfg(test)]
    levels.push(("none", Level::fallback()));
    levels
}

/// Block 0 of the streams of both keys, in their order. XORs `text` with what follows in the stream of
/// the second.
pub(super) fn begin(level: Level, keys: [&Key; 2], nonce: u64, text: &mut [u8]) -> Heads {
    dispatch!(level, simd => begin_with(simd, keys, nonce, text))
}

/// XORs `text` with the stream of `key` from block 1 on.
pub(super) fn apply(level: Level, key: &Key, nonce: u64, text: &mut [u8]) {
    dispatch!(level, simd => apply_with(simd, key, nonce, 1, text));
}

#[inline(always)]
fn begin_with<S: Simd>(simd: S, keys: [&Key; 2], nonce: u64, text: &mut [u8]) -> Heads {
    let [first, second] = keys.map(words);
    // The first lane is block 0 of the first key; behind it the second one counts from 0 on.
    let mut one = first.iter();
    let key = second.map(|second| {
        let first = one.next().copied().unwrap_or(0);
        S::u32s::from_fn(simd, |lane| if lane == 0 { first } else { second })
    });
    let counter = S::u32s::from_fn(simd, |lane| (lane as u32).saturating_sub(1));
    let stream = blocks(simd, key, counter, nonce);

    let mut stream = stream.iter();
    let mut heads = [(), ()].map(|()| Zeroizing::new([0; BLOCK_LEN]));
    for head in &mut heads {
        xor(simd, &mut stream, &mut **head);
    }
    let more = lanes::<S>().saturating_sub(heads.len());
    let at = text.len().min(more * BLOCK_LEN);
    let (now, later) = text.split_at_mut(at);
    xor(simd, &mut stream, now);
    if !later.is_empty() {
        let [_, key] = keys;
        apply_with(simd, key, nonce, 1 + more as u32, later);
    }
    heads
}

/// From `block` on. A packet is far too short for the second word of the counter.
#[inline(always)]
fn apply_with<S: Simd>(simd: S, key: &Key, nonce: u64, block: u32, text: &mut [u8]) {
    let key = words(key).map(|word| S::u32s::splat(simd, word));
    let mut counter = S::u32s::from_fn(simd, |lane| lane as u32) + block;
    for text in text.chunks_mut(lanes::<S>() * BLOCK_LEN) {
        let stream = blocks(simd, key, counter, nonce);
        xor(simd, &mut stream.iter(), text);
        counter += lanes::<S>() as u32;
    }
}

/// How many blocks are computed at once.
#[inline(always)]
const fn lanes<S: Simd>() -> usize {
    <S::u32s as SimdBase<S>>::LEN
}

#[inline(always)]
fn words(key: &Key) -> [u32; KEY_WORDS] {
    let mut words = [0; KEY_WORDS];
    for (word, bytes) in words.iter_mut().zip(key.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// As many blocks as there are lanes, one behind the other.
#[inline(always)]
fn blocks<S: Simd>(
    simd: S,
    key: [S::u32s; KEY_WORDS],
    counter: S::u32s,
    nonce: u64,
) -> [S::u32s; BLOCK_WORDS] {
    let splat = |word| S::u32s::splat(simd, word);
    // Its bytes are those of a uint64 (RFC 4251 section 5).
    let nonce = nonce.swap_bytes();
    let [b0, b1, b2, b3, c0, c1, c2, c3] = key;
    let begin = [
        CONSTANTS.map(splat),
        [b0, b1, b2, b3],
        [c0, c1, c2, c3],
        [
            counter,
            splat(0),
            splat(nonce as u32),
            splat((nonce >> 32) as u32),
        ],
    ];
    let mut state = begin;
    for _ in 0..10 {
        round::<S>(&mut state);
        let [a, [b0, b1, b2, b3], [c0, c1, c2, c3], [d0, d1, d2, d3]] = state;
        state = [a, [b1, b2, b3, b0], [c2, c3, c0, c1], [d3, d0, d1, d2]];
        round::<S>(&mut state);
        let [a, [b0, b1, b2, b3], [c0, c1, c2, c3], [d0, d1, d2, d3]] = state;
        state = [a, [b3, b0, b1, b2], [c2, c3, c0, c1], [d1, d2, d3, d0]];
    }
    for (row, begin) in state.iter_mut().zip(&begin) {
        add::<S>(row, begin);
    }
    let [
        [a0, a1, a2, a3],
        [b0, b1, b2, b3],
        [c0, c1, c2, c3],
        [d0, d1, d2, d3],
    ] = state;
    transposed::<S>([
        a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3,
    ])
}

/// Four quarter rounds side by side (RFC 8439 section 2.1).
#[inline(always)]
fn round<S: Simd>([a, b, c, d]: &mut [[S::u32s; 4]; 4]) {
    add::<S>(a, b);
    xor_and_rotate::<S, 16>(d, a);
    add::<S>(c, d);
    xor_and_rotate::<S, 12>(b, c);
    add::<S>(a, b);
    xor_and_rotate::<S, 8>(d, a);
    add::<S>(c, d);
    xor_and_rotate::<S, 7>(b, c);
}

#[inline(always)]
fn add<S: Simd>(to: &mut [S::u32s; 4], row: &[S::u32s; 4]) {
    for (to, word) in to.iter_mut().zip(row) {
        *to += *word;
    }
}

#[inline(always)]
fn xor_and_rotate<S: Simd, const LEFT: u32>(to: &mut [S::u32s; 4], row: &[S::u32s; 4]) {
    for (to, word) in to.iter_mut().zip(row) {
        let word = *to ^ *word;
        *to = (word << LEFT) | (word >> (u32::BITS - LEFT));
    }
}

/// Word by word becomes block by block. Where an element lies is the number of its word and behind it
/// that of its lane; to interleave both halves is to move the first bit of that to its end, and the
/// number of a word has four.
#[inline(always)]
fn transposed<S: Simd>(mut all: [S::u32s; BLOCK_WORDS]) -> [S::u32s; BLOCK_WORDS] {
    for _ in 0..BLOCK_WORDS.ilog2() {
        let (first, second) = all.split_at(BLOCK_WORDS / 2);
        let mut next = all;
        let (pairs, _) = next.as_chunks_mut();
        for ((pair, one), other) in pairs.iter_mut().zip(first).zip(second) {
            *pair = [one.zip_low(*other), one.zip_high(*other)];
        }
        all = next;
    }
    all
}

/// XORs `text` with what comes next of `stream`, of which it takes whole vectors.
#[inline(always)]
fn xor<S: Simd>(simd: S, stream: &mut Iter<'_, S::u32s>, text: &mut [u8]) {
    let mut pieces = text.chunks_exact_mut(lanes::<S>() * WORD_LEN);
    for (piece, vector) in pieces.by_ref().zip(stream.by_ref()) {
        xor_words(simd, vector, piece.as_chunks_mut().0);
    }
    let rest = pieces.into_remainder();
    if rest.is_empty() {
        return;
    }
    if let Some(vector) = stream.next() {
        let mut last = [[0; WORD_LEN]; BLOCK_WORDS];
        copy(last.as_flattened_mut(), rest);
        xor_words(simd, vector, &mut last);
        copy(rest, last.as_flattened());
    }
}

/// XORs as many words as a vector has, of which there is no less.
#[inline(always)]
fn xor_words<S: Simd>(simd: S, vector: &S::u32s, text: &mut [[u8; WORD_LEN]]) {
    let mut words = [0; BLOCK_WORDS];
    let Some(words) = words.get_mut(..lanes::<S>()) else {
        return;
    };
    for (word, bytes) in words.iter_mut().zip(&*text) {
        *word = u32::from_le_bytes(*bytes);
    }
    (S::u32s::from_slice(simd, words) ^ *vector).store_slice(words);
    for (bytes, word) in text.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
}

/// As much as both have.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    for (to, byte) in to.iter_mut().zip(from) {
        *to = *byte;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use ::chacha20::ChaCha20Legacy as Crate;
    use cipher::{KeyIvInit as _, StreamCipher as _, StreamCipherSeek as _};
    use proptest::prelude::*;

    use super::*;

    /// The stream from `block` on, by the other implementation.
    fn of_crate(key: &Key, nonce: u64, block: u64, len: usize) -> Vec<u8> {
        let mut stream = alloc::vec![0; len];
        let mut cipher = Crate::new(key.into(), &nonce.to_be_bytes().into());
        cipher.seek(block * BLOCK_LEN as u64);
        cipher.apply_keystream(&mut stream);
        stream
    }

    /// What is tested is the best that there is.
    #[test]
    fn the_cpu_can_be_asked() {
        assert!(Level::try_detect().is_some());
    }

    /// RFC 8439 section 2.4.2, whose nonce of 96 bits begins with 32 that are zero here.
    #[test]
    fn a_text_is_encrypted_as_in_rfc8439() {
        let key: [u8; KEY_LEN] = core::array::from_fn(|at| at as u8);
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you \
            only one tip for the future, sunscreen would be it.";
        let expected = "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b\
            f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8\
            07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736\
            5af90bbf74a35be6b40b8eedf2785e42874d";
        for (name, level) in levels() {
            let mut text = *text;
            apply(level, &key, 0x4a << 32, &mut text);
            assert_eq!(hex::encode(text), expected, "{name}");
        }
    }

    /// RFC 8439 appendix A.1, vectors 1 to 3; with another key before, and behind, which are not mixed up.
    #[test]
    fn blocks_are_those_of_rfc8439() {
        let zeros = [0; KEY_LEN];
        let mut one = zeros;
        one[KEY_LEN - 1] = 1;
        let [of_zeros, second, of_one] = [
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
             da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
            "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
             29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
            "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a\
             8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0",
        ];
        for (name, level) in levels() {
            let mut text = [0; BLOCK_LEN];
            let heads = begin(level, [&one, &zeros], 0, &mut text);
            assert_eq!(hex::encode(text), second, "{name}");
            let [first, head] = heads.map(|head| hex::encode(*head));
            assert_eq!(head, of_zeros, "{name}");
            // Vector 3 is block 1.
            assert_ne!(first, head);
            let mut text = [0; BLOCK_LEN];
            let [head, _] = begin(level, [&zeros, &one], 0, &mut text);
            assert_eq!(hex::encode(*head), of_zeros, "{name}");
            assert_eq!(hex::encode(text), of_one, "{name}");
        }
    }

    /// Every length up to where each width has made several passes.
    #[test]
    fn streams_of_every_length_are_those_of_the_other_implementation() {
        let (one, other) = ([7; KEY_LEN], [0xa5; KEY_LEN]);
        let nonce = 0x0123_4567_89ab_cdef;
        let longest = 3 * BLOCK_WORDS * BLOCK_LEN + 1;
        let expected = of_crate(&other, nonce, 1, longest);
        let heads = [&one, &other].map(|key| of_crate(key, nonce, 0, BLOCK_LEN));
        for (name, level) in levels() {
            for len in (0..longest).chain([longest]) {
                let mut text = alloc::vec![0; len];
                let begun = begin(level, [&one, &other], nonce, &mut text);
                assert_eq!(begun.map(|head| head.to_vec()), heads, "{name}");
                assert!(text == expected[..len], "{name} {len}");
                apply(level, &other, nonce, &mut text);
                assert!(text.iter().all(|byte| *byte == 0), "{name} {len}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_stream_is_that_of_the_other_implementation(
            keys: [Key; 2],
            nonce: u64,
            text in proptest::collection::vec(any::<u8>(), 0..5_000),
        ) {
            let [one, other] = &keys;
            let mut expected = of_crate(other, nonce, 1, text.len());
            expected.iter_mut().zip(&text).for_each(|(to, byte)| *to ^= byte);
            for (name, level) in levels() {
                let mut text = text.clone();
                let heads = begin(level, [one, other], nonce, &mut text);
                prop_assert_eq!(&text, &expected, "{}", name);
                for (head, key) in heads.iter().zip(&keys) {
                    prop_assert_eq!(head.to_vec(), of_crate(key, nonce, 0, BLOCK_LEN));
                }
            }
        }
    }
}
