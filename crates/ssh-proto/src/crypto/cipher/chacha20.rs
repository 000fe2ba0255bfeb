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
//! So one pass has all that is needed to seal a small packet: the block under its length, the block that
//! is the key of its tag, and those under its body. Who opens needs the first two before the others are
//! of use, and has them made for several packets at once.
//!
//! A secret never decides about a branch or an address. It is here because the crate for it knows one
//! key at a time, and leaves much of what a CPU can do at once unused
//! (`cargo bench -p ssh-testkit --bench core -- chacha`).

use core::slice::Iter;

use fearless_simd::{Level, Simd, SimdBase, dispatch};

pub(super) const KEY_LEN: usize = 32;

const WORD_LEN: usize = 4;
const KEY_WORDS: usize = KEY_LEN / WORD_LEN;
const BLOCK_LEN: usize = 64;
const BLOCK_WORDS: usize = BLOCK_LEN / WORD_LEN;

/// "expand 32-byte k" (RFC 8439 section 2.3).
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

type Key = [u8; KEY_LEN];

/// How block 0 of two streams begins.
pub(super) type Heads = [[u8; KEY_LEN]; 2];

/// What this CPU can do where it can be asked (the feature `cpu-detection`), otherwise what all of its
/// kind can.
pub(super) fn level() -> Level {
    Level::try_detect().unwrap_or(Level::baseline())
}

/// All that this CPU can do, the best first; in tests down to what does without vectors. What the
/// compiler was told that all CPUs can is the least of them, whatever its name.
#[cfg(any(test, feature = "internal-fuzzing"))]
pub(crate) fn levels() -> alloc::vec::Vec<(&'static str, Level)> {
    let best = level();
    let levels = [
        Some(("best", best)),
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        best.as_avx2().map(|it| ("AVX2", Level::Avx2(it))),
        #[cfg(all(test, any(target_arch = "x86", target_arch = "x86_64")))]
        best.as_sse4_2().map(|it| ("SSE4.2", Level::Sse4_2(it))),
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        best.as_sse2().map(|it| ("SSE2", Level::Sse2(it))),
        #[cfg(test)]
        Some(("none", Level::fallback())),
    ];
    levels.into_iter().flatten().collect()
}

/// How block 0 of the streams of both keys begins, in their order. XORs `text` with what follows block
/// 0 in the stream of the second.
pub(super) fn begin(level: Level, keys: [&Key; 2], nonce: u64, heads: &mut Heads, text: &mut [u8]) {
    dispatch!(level, simd => begin_with(simd, keys, nonce, heads, text));
}

/// The heads of `nonce` and of those after it, for as many as one pass makes, or as are wanted. Returns
/// how many that were, which is one at the least where one is wanted. The second half of the nonce
/// counts, and the first stays.
pub(super) fn ahead(level: Level, keys: [&Key; 2], nonce: u64, heads: &mut [Heads]) -> usize {
    dispatch!(level, simd => ahead_with(simd, keys, nonce, heads))
}

/// XORs `text` with the stream of `key` from block 1 on.
pub(super) fn apply(level: Level, key: &Key, nonce: u64, text: &mut [u8]) {
    dispatch!(level, simd => apply_with(simd, key, nonce, 1, text));
}

#[inline(always)]
fn begin_with<S: Simd>(simd: S, keys: [&Key; 2], nonce: u64, heads: &mut Heads, text: &mut [u8]) {
    // The first lane is block 0 of the first key; behind it the second one counts from 0 on.
    let key = words(keys).map(|[first, second]| {
        S::u32s::from_fn(simd, |lane| if lane == 0 { first } else { second })
    });
    let counter = S::u32s::from_fn(simd, |lane| (lane as u32).saturating_sub(1));
    let nonce_words = nonce_words(nonce).map(|word| S::u32s::splat(simd, word));
    let stream = blocks(simd, key, counter, nonce_words);

    let (begun, stream) = stream.split_at(heads.len() * vectors::<S>());
    take_heads(simd, begun, heads.iter_mut());
    let more = lanes::<S>() - heads.len();
    let at = text.len().min(more * BLOCK_LEN);
    let (now, later) = text.split_at_mut(at);
    xor(simd, &mut stream.iter(), now);
    if !later.is_empty() {
        let [_, key] = keys;
        apply_with(simd, key, nonce, 1 + more as u32, later);
    }
}

#[inline(always)]
fn ahead_with<S: Simd>(simd: S, keys: [&Key; 2], nonce: u64, heads: &mut [Heads]) -> usize {
    // A pair of lanes is block 0 of both keys, with a nonce of its own.
    let key = words(keys).map(|[first, second]| {
        S::u32s::from_fn(simd, |lane| if lane % 2 == 0 { first } else { second })
    });
    let [first, second] = nonce_words(nonce);
    let nonce = [
        S::u32s::splat(simd, first),
        S::u32s::from_fn(simd, |lane| {
            let packet = lane as u32 / 2;
            second.swap_bytes().wrapping_add(packet).swap_bytes()
        }),
    ];
    let stream = blocks(simd, key, S::u32s::splat(simd, 0), nonce);
    take_heads(simd, &stream, heads.as_flattened_mut().iter_mut());
    heads.len().min(lanes::<S>() / 2)
}

/// From `block` on. A packet is far too short for the second word of the counter.
#[inline(always)]
fn apply_with<S: Simd>(simd: S, key: &Key, nonce: u64, block: u32, text: &mut [u8]) {
    let key = words([key, key]).map(|[word, _]| S::u32s::splat(simd, word));
    let nonce = nonce_words(nonce).map(|word| S::u32s::splat(simd, word));
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

/// How many vectors a block fills.
#[inline(always)]
const fn vectors<S: Simd>() -> usize {
    BLOCK_WORDS / lanes::<S>()
}

/// Word by word of both.
#[inline(always)]
fn words([first, second]: [&Key; 2]) -> [[u32; 2]; KEY_WORDS] {
    let mut words = [[0; 2]; KEY_WORDS];
    let pairs = first.as_chunks().0.iter().zip(second.as_chunks().0);
    for (words, (first, second)) in words.iter_mut().zip(pairs) {
        *words = [first, second].map(|bytes| u32::from_le_bytes(*bytes));
    }
    words
}

/// The bytes of a nonce are those of a uint64 (RFC 4251 section 5).
#[inline(always)]
const fn nonce_words(nonce: u64) -> [u32; 2] {
    [
        ((nonce >> u32::BITS) as u32).swap_bytes(),
        (nonce as u32).swap_bytes(),
    ]
}

/// As many blocks as there are lanes, one behind the other.
#[inline(always)]
fn blocks<S: Simd>(
    simd: S,
    key: [S::u32s; KEY_WORDS],
    counter: S::u32s,
    [first, second]: [S::u32s; 2],
) -> [S::u32s; BLOCK_WORDS] {
    // For two keys, and for a block of whole vectors.
    const { assert!(lanes::<S>() >= 2 && lanes::<S>() * vectors::<S>() == BLOCK_WORDS) }
    let splat = |word| S::u32s::splat(simd, word);
    let [b0, b1, b2, b3, c0, c1, c2, c3] = key;
    let begin = [
        CONSTANTS.map(splat),
        [b0, b1, b2, b3],
        [c0, c1, c2, c3],
        [counter, splat(0), first, second],
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

/// How each block of `stream` begins, for as many as are wanted.
#[inline(always)]
fn take_heads<'a, S: Simd>(
    simd: S,
    stream: &[S::u32s],
    heads: impl Iterator<Item = &'a mut [u8; KEY_LEN]>,
) {
    for (block, head) in stream.chunks(vectors::<S>()).zip(heads) {
        *head = [0; KEY_LEN];
        xor(simd, &mut block.iter(), head);
    }
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

/// XORs as many words as a vector has; `text` has as many or more.
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

    fn heads_of_crate(keys: [&Key; 2], nonce: u64) -> Heads {
        keys.map(|key| of_crate(key, nonce, 0, KEY_LEN).try_into().unwrap())
    }

    /// What is tested is the best that there is, and what ships takes it.
    #[test]
    fn the_best_that_the_cpu_has_is_taken() {
        let name = |level| alloc::format!("{level:?}");
        assert_eq!(name(level()), name(Level::new()));
        let names: Vec<_> = levels().into_iter().map(|(name, _)| name).collect();
        std::println!("{}, as {names:?}", name(level()));
    }

    /// RFC 8439 section 2.4.2, whose nonce of 96 bits begins with 32 that are zero here.
    #[test]
    fn a_text_is_encrypted_as_in_rfc8439() {
        let key: Key = core::array::from_fn(|at| at as u8);
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

    /// RFC 8439 appendix A.1, vectors 1 to 3, with the other key beside them.
    #[test]
    fn blocks_are_those_of_rfc8439() {
        let zeros = [0; KEY_LEN];
        let mut one = zeros;
        one[KEY_LEN - 1] = 1;
        let [head_of_zeros, of_zeros, of_one] = [
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7",
            "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
             29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
            "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a\
             8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0",
        ];
        for (name, level) in levels() {
            let begun = |keys| {
                let (mut heads, mut text) = (Heads::default(), [0; BLOCK_LEN]);
                begin(level, keys, 0, &mut heads, &mut text);
                let [first, second] = heads.map(hex::encode);
                (first, second, hex::encode(text))
            };
            let (_, head, text) = begun([&one, &zeros]);
            assert_eq!([&*head, &*text], [head_of_zeros, of_zeros], "{name}");
            let (head, _, text) = begun([&zeros, &one]);
            assert_eq!([&*head, &*text], [head_of_zeros, of_one], "{name}");
        }
    }

    /// Every length up to where each width has made several passes.
    #[test]
    fn streams_of_every_length_are_those_of_the_other_implementation() {
        let (one, other) = ([7; KEY_LEN], [0xa5; KEY_LEN]);
        let nonce = 0x0123_4567_89ab_cdef;
        let longest = 3 * BLOCK_WORDS * BLOCK_LEN + 1;
        let expected = of_crate(&other, nonce, 1, longest);
        let heads = heads_of_crate([&one, &other], nonce);
        for (name, level) in levels() {
            for len in 0..=longest {
                let (mut begun, mut text) = (Heads::default(), alloc::vec![0; len]);
                begin(level, [&one, &other], nonce, &mut begun, &mut text);
                assert_eq!(begun, heads, "{name}");
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
            let keys = keys.each_ref();
            let mut expected = of_crate(keys[1], nonce, 1, text.len());
            expected.iter_mut().zip(&text).for_each(|(to, byte)| *to ^= byte);
            for (name, level) in levels() {
                let (mut heads, mut text) = (Heads::default(), text.clone());
                begin(level, keys, nonce, &mut heads, &mut text);
                prop_assert_eq!(&text, &expected, "{}", name);
                prop_assert_eq!(heads, heads_of_crate(keys, nonce), "{}", name);
            }
        }

        /// In the end the first one comes after the last.
        #[test]
        fn heads_are_made_for_the_nonces_that_follow(
            keys: [Key; 2],
            high: u32,
            low in prop_oneof![any::<u32>(), u32::MAX - 9..=u32::MAX],
            wanted in 0..=9_usize,
        ) {
            let keys = keys.each_ref();
            let nonce = |low: u32| u64::from(high) << 32 | u64::from(low);
            for (name, level) in levels() {
                let mut heads = alloc::vec![[[0x5a; KEY_LEN]; 2]; wanted];
                let made = ahead(level, keys, nonce(low), &mut heads);
                prop_assert!((wanted.min(2)..=wanted).contains(&made), "{name} {made}");
                for (heads, n) in heads.iter().take(made).zip(0..) {
                    let nonce = nonce(low.wrapping_add(n));
                    prop_assert_eq!(*heads, heads_of_crate(keys, nonce), "{} {}", name, n);
                }
            }
        }
    }
}
