//! A deterministic random generator: AES-256 in counter mode with fast key erasure.
//!
//! ```text
//!   key --AES-256-CTR, counter 0--> [ next key 32 | output ]
//! ```
//!
//! The key is replaced in the same step that makes the output, and output is wiped as it is handed
//! out, so whoever reads the memory of the generator learns nothing about what it gave before. A
//! counter is never used twice with a key, because a key makes one buffer and is gone.

use core::{convert::Infallible, fmt};

use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use zeroize::{Zeroize as _, Zeroizing};

use super::mac::hmac_sha256;
use crate::random::{Random, RandomError};

const KEY_LEN: usize = 32;
/// Together with the key one pass of the cipher. Every connection holds several generators, idle
/// ones too.
const OUTPUT_LEN: usize = 96;

/// One stream of random bytes, made `N` at a time. Wiped when dropped.
pub(crate) struct Generator<const N: usize = OUTPUT_LEN> {
    key: [u8; KEY_LEN],
    output: [u8; N],
    /// Where the part of `output` begins that was not handed out yet.
    next: usize,
}

impl<const N: usize> Generator<N> {
    /// A stream that depends on the seed and on the label, and tells nothing of others.
    pub(crate) fn new(seed: &[u8; 32], label: &[u8]) -> Self {
        let mut generator = Self {
            key: [0; KEY_LEN],
            output: [0; N],
            next: N,
        };
        generator.rekey(seed, label);
        generator
    }

    /// Fills all of `out`.
    pub(crate) fn generate(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            if self.next >= N {
                self.refill();
            }
            let ready = self.output.get_mut(self.next..).unwrap_or_default();
            let n = ready.len().min(out.len());
            let (now, later) = out.split_at_mut(n);
            if let Some(ready) = ready.get_mut(..n) {
                now.copy_from_slice(ready);
                ready.zeroize();
            }
            self.next += n;
            out = later;
        }
    }

    /// Makes the key depend on `fresh` as well, and drops the output that is left.
    pub(crate) fn reseed(&mut self, fresh: &[u8; 32]) {
        let key = Zeroizing::new(self.key);
        self.rekey(&key, fresh);
    }

    /// key := HMAC-SHA-256(`secret`, `input`)
    fn rekey(&mut self, secret: &[u8; 32], input: &[u8]) {
        self.key = *hmac_sha256(secret, input);
        self.output.zeroize();
        self.next = N;
    }

    fn refill(&mut self) {
        let mut cipher = ctr::Ctr128BE::<aes::Aes256>::new(&self.key.into(), &[0; 16].into());
        self.key.zeroize();
        cipher.apply_keystream(&mut self.key);
        self.output.zeroize();
        cipher.apply_keystream(&mut self.output);
        self.next = 0;
    }
}

impl<const N: usize> Drop for Generator<N> {
    fn drop(&mut self) {
        self.key.zeroize();
        self.output.zeroize();
    }
}

impl<const N: usize> fmt::Debug for Generator<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Generator")
    }
}

impl<const N: usize> Random for Generator<N> {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        self.generate(out);
        Ok(())
    }
}

impl<const N: usize> rand_core::TryRng for Generator<N> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.generate(out);
        Ok(())
    }
}

impl<const N: usize> rand_core::TryCryptoRng for Generator<N> {}

#[cfg(test)]
mod tests {
    use rand_core::TryRng as _;

    use super::*;

    /// Computed from the picture above with Python's `cryptography` and `hmac`.
    #[test]
    fn output_is_what_the_construction_says() {
        let seed: [u8; 32] = core::array::from_fn(|i| i as u8);
        const N: usize = 480;
        let mut generator = Generator::<N>::new(&seed, b"kex");
        let mut out = [0; 3 * N];
        generator.generate(&mut out);
        for (at, expected) in [
            (0, "a87330d8ef046c6e587140d48018f264"),
            (N, "2f815aa6bd27158bcf19149bc33dbdc4"),
            (2 * N, "66bcc5a8f72e93d035e79288ab6e025c"),
        ] {
            assert_eq!(hex::encode(&out[at..at + 16]), expected, "{at}");
        }
        generator.reseed(&[7; 32]);
        generator.generate(&mut out[..16]);
        assert_eq!(hex::encode(&out[..16]), "d829cd45e559fcd9a8e010d4ac887f49");
    }

    #[test]
    fn what_was_handed_out_is_no_longer_there() {
        let mut generator = Generator::<200>::new(&[1; 32], b"x");
        let mut out = [0; 100];
        generator.generate(&mut out);
        assert_eq!(generator.output[..100], [0; 100]);
        assert_ne!(generator.output[100..132], [0; 32]);
        generator.reseed(&[2; 32]);
        assert_eq!(generator.output, [0; 200]);
    }

    #[test]
    fn words_come_from_the_same_stream() {
        let (mut a, mut b) = (
            <Generator>::new(&[1; 32], b"x"),
            <Generator>::new(&[1; 32], b"x"),
        );
        let mut out = [0; 12];
        a.fill(&mut out).unwrap();
        let (word, long) = (b.try_next_u32().unwrap(), b.try_next_u64().unwrap());
        assert_eq!(out[..4], word.to_le_bytes());
        assert_eq!(out[4..], long.to_le_bytes());
    }
}
