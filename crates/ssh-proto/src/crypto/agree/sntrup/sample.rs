//! Small polynomials from random bytes, four for each coefficient.

use zeroize::Zeroizing;

use super::poly::Small;
use super::{P, WEIGHT};

/// Random bytes for one polynomial.
pub(super) type Noise = [u8; 4 * P];

/// Writes a polynomial whose coefficients are -1, 0 and 1 about as often each.
pub(super) fn uniform(noise: &Noise, to: &mut Small) {
    for (to, word) in to.iter_mut().zip(words(noise)) {
        // What a product of 30 random bits with 3 has above 30 bits: 0, 1 or 2.
        *to = digit(((word & 0x3fff_ffff) * 3) >> 30);
    }
}

/// Writes a polynomial with exactly [`WEIGHT`] coefficients that are not 0.
///
/// The two low bits of each word are a coefficient, the other 30 are where it goes: sorting the words
/// shuffles the coefficients.
pub(super) fn short(noise: &Noise, to: &mut Small) {
    // No word is as large as those that fill the list up.
    let mut list = Zeroizing::new([u32::MAX; SORTED]);
    for (index, (entry, word)) in list.iter_mut().zip(words(noise)).enumerate() {
        *entry = if index < WEIGHT {
            word & !1
        } else {
            (word & !2) | 1
        };
    }
    sort(&mut list);
    for (to, &entry) in to.iter_mut().zip(list.iter()) {
        *to = digit(entry & 3);
    }
}

fn words(noise: &Noise) -> impl Iterator<Item = u32> {
    let (words, _) = noise.as_chunks();
    words.iter().map(|&word| u32::from_le_bytes(word))
}

/// 0, 1, 2 as -1, 0, 1.
const fn digit(code: u32) -> i8 {
    code as i8 - 1
}

/// Words that are sorted at once: a power of two.
const SORTED: usize = P.next_power_of_two();

/// Batcher's bitonic sort: which words are compared depends on nothing but how many there are.
///
/// Two halves that are sorted are merged by comparing the first word with the last, the second with
/// the last but one and so on; then the smaller half of them is in the lower half, and each half
/// falls into its place by comparing its own halves, quarters, eighths.
fn sort(list: &mut [u32; SORTED]) {
    let mut size = 2;
    while size <= SORTED {
        for block in list.chunks_exact_mut(size) {
            let (low, high) = block.split_at_mut(size / 2);
            for (a, b) in low.iter_mut().zip(high.iter_mut().rev()) {
                order(a, b);
            }
        }
        let mut part = size / 2;
        while part > 1 {
            for block in list.chunks_exact_mut(part) {
                let (low, high) = block.split_at_mut(part / 2);
                for (a, b) in low.iter_mut().zip(high) {
                    order(a, b);
                }
            }
            part /= 2;
        }
        size *= 2;
    }
}

/// Exchanges `a` and `b` if `a` is the larger one.
#[inline(always)]
const fn order(a: &mut u32, b: &mut u32) {
    let larger = ((*b as i64 - *a as i64) >> 32) as u32;
    let change = (*a ^ *b) & larger;
    *a ^= change;
    *b ^= change;
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_list_is_sorted(
            words in proptest::collection::vec(any::<u32>(), SORTED),
            few in any::<u32>(),
        ) {
            // As they are, and with many that are equal.
            for mask in [u32::MAX, few & (few >> 3)] {
                let words: Vec<u32> = words.iter().map(|word| word & mask).collect();
                let mut list: [u32; SORTED] = words.clone().try_into().unwrap();
                sort(&mut list);
                let mut expected = words;
                expected.sort_unstable();
                prop_assert_eq!(&list[..], &expected[..]);
            }
        }

        #[test]
        fn a_short_polynomial_has_its_weight(
            noise in proptest::collection::vec(any::<u8>(), 4 * P),
        ) {
            let noise: Noise = noise.try_into().unwrap();
            let mut to = [0; P];
            short(&noise, &mut to);
            prop_assert!(to.iter().all(|digit| (-1..=1).contains(digit)));
            prop_assert_eq!(to.iter().filter(|digit| **digit != 0).count(), WEIGHT);
        }
    }

    /// A network of comparisons that sorts all lists of zeros and ones sorts all lists; here is one of
    /// each number of ones.
    #[test]
    fn lists_of_zeros_and_ones_are_sorted() {
        for ones in 0..=SORTED {
            let mut list = [0; SORTED];
            for (i, entry) in list.iter_mut().enumerate() {
                *entry = u32::from(i * 389 % SORTED < ones);
            }
            sort(&mut list);
            assert_eq!(
                list.iter().position(|entry| *entry == 1).unwrap_or(SORTED),
                SORTED - ones
            );
            assert!(list.is_sorted());
        }
    }

    #[test]
    fn the_extremes_of_a_uniform_polynomial() {
        for (word, digit) in [
            (0_u32, -1),
            (0x1555_5555, -1),
            (0x1555_5556, 0),
            (0x2aaa_aaaa, 0),
            (0x2aaa_aaab, 1),
            (0x3fff_ffff, 1),
            (0x4000_0000, -1),
        ] {
            let noise: Noise = word.to_le_bytes().repeat(P).try_into().unwrap();
            let mut to = [9; P];
            uniform(&noise, &mut to);
            assert_eq!(to, [digit; P], "{word:x}");
        }
    }
}
