//! Randomness that a seed repeats. For tests: whoever knows the seed knows every byte.
//!
//! The generator is xoshiro256++ (Blackman and Vigna), its state filled by SplitMix64, so a seed of
//! zero is as good as any other. A generator made by [`SeededRandom::from_env`] prints its seed
//! when the test that owns it panics.

use std::hash::{BuildHasher, RandomState};

use ssh_proto::random::{Random, RandomError};

/// The environment variable that sets the seed of [`SeededRandom::from_env`].
pub const SEED_VARIABLE: &str = "SSH_TEST_SEED";

/// A deterministic generator. The same seed and the same calls give the same bytes.
#[derive(Debug)]
pub struct SeededRandom {
    seed: u64,
    state: [u64; 4],
    announce: bool,
}

impl SeededRandom {
    /// A generator with a seed of the caller's choice.
    pub fn new(seed: u64) -> Self {
        let mut split = seed;
        let state = std::array::from_fn(|_| split_mix(&mut split));
        Self {
            seed,
            state,
            announce: false,
        }
    }

    /// The seed in `SSH_TEST_SEED` (decimal, or hexadecimal after `0x`), otherwise a new one for
    /// every run. It is printed when the test panics.
    ///
    /// # Panics
    ///
    /// When `SSH_TEST_SEED` is set to something that is not a number of 64 bits: a run that was
    /// meant to repeat another must not silently be a new one.
    pub fn from_env() -> Self {
        let seed = match std::env::var(SEED_VARIABLE) {
            Ok(text) => parse_seed(&text)
                .unwrap_or_else(|| panic!("{SEED_VARIABLE}={text} is not a number of 64 bits")),
            Err(_) => RandomState::new().hash_one(std::process::id()),
        };
        Self {
            announce: true,
            ..Self::new(seed)
        }
    }

    /// What [`SeededRandom::new`] would repeat this generator with.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Fills `out`. Two calls that fill `a` and `b` bytes give what one of `a + b` bytes gives
    /// when `a` is a multiple of 8.
    pub fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number in `0..n`, every one as likely as the others to within `n / 2^64`.
    ///
    /// # Panics
    ///
    /// When `n` is zero: there is no such number.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "no number is below zero");
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// An independent generator, decided by this one's next value. For a part of a simulation
    /// that must not disturb the numbers of the others.
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }
}

impl Random for SeededRandom {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        Self::fill(self, out);
        Ok(())
    }
}

impl Drop for SeededRandom {
    fn drop(&mut self) {
        if self.announce && std::thread::panicking() {
            eprintln!("repeat with {SEED_VARIABLE}={:#x}", self.seed);
        }
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn parse_seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of the reference implementation of SplitMix64 for the seed 1234567.
    #[test]
    fn split_mix_gives_the_reference_values() {
        let mut state = 1_234_567;
        let values: Vec<u64> = (0..5).map(|_| split_mix(&mut state)).collect();
        assert_eq!(
            values,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ]
        );
    }

    /// The first outputs of the reference implementation of xoshiro256++ for the state 1, 2, 3, 4.
    #[test]
    fn xoshiro_gives_the_reference_values() {
        let mut rng = SeededRandom::new(0);
        rng.state = [1, 2, 3, 4];
        assert_eq!(rng.next_u64(), 41_943_041);
        assert_eq!(rng.next_u64(), 58_720_359);
        assert_eq!(rng.next_u64(), 3_588_806_011_781_223);
        assert_eq!(rng.next_u64(), 3_591_011_842_654_386);
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let bytes = |seed| {
            let mut out = [0; 77];
            SeededRandom::new(seed).fill(&mut out);
            out
        };
        assert_eq!(bytes(7), bytes(7));
        assert_ne!(bytes(7), bytes(8));
        assert_ne!(bytes(0), [0; 77]);
    }

    #[test]
    fn below_reaches_every_number_and_no_other() {
        let mut rng = SeededRandom::new(1);
        let mut seen = [0_u32; 6];
        for _ in 0..6_000 {
            seen[usize::try_from(rng.below(6)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&n| n > 800), "{seen:?}");
        assert_eq!(rng.below(1), 0);
    }

    #[test]
    fn seeds_are_read_in_both_notations() {
        assert_eq!(parse_seed("17"), Some(17));
        assert_eq!(parse_seed("0xff"), Some(255));
        assert_eq!(parse_seed("ff"), None);
        assert_eq!(parse_seed("0x1ffffffffffffffff"), None);
    }
}
