//! A deterministic random generator: AES-256 in counter mode with fast key erasure.
//!
//! ```text
//!   key --AES-256-CTR, counter 0--> [ next key 32 | output 480 ]
//! ```
//!
//! The key is replaced in the same step that makes the output, and output is wiped as it is handed
//! out, so whoever reads the memory of the generator learns nothing about what it gave before. A
//! counter is never used twice with a key, because a key makes one buffer and is gone.

use core::{convert::Infallible, fmt};

use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    hash::{Digest, HashAlgorithm},
    mac::HmacKey,
};
use crate::random::{Random, RandomError};

const KEY_LEN: usize = 32;
const OUTPUT_LEN: usize = 480;

/// One stream of random bytes. Wiped when dropped.
pub(crate) struct Generator {
    key: [u8; KEY_LEN],
    output: [u8; OUTPUT_LEN],
    /// Where the part of `output` begins that was not handed out yet.
    next: usize,
}

impl Generator {
    /// A stream that depends on the seed and on the label, and tells nothing of others.
    pub(crate) fn new(seed: &[u8; 32], label: &[u8]) -> Self {
        let mut generator = Self {
            key: [0; KEY_LEN],
            output: [0; OUTPUT_LEN],
            next: OUTPUT_LEN,
        };
        generator.rekey(seed, label);
        generator
    }

    /// Fills all of `out`.
    pub(crate) fn generate(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            if self.next >= OUTPUT_LEN {
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
        // HMAC takes a key of any length.
        let digest = HmacKey::new(HashAlgorithm::Sha256, secret).map(|key| key.tag(&[input]));
        let digest = digest.as_ref().map(Digest::as_ref).unwrap_or_default();
        if let Ok(key) = digest.try_into() {
            self.key = key;
        }
        self.output.zeroize();
        self.next = OUTPUT_LEN;
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

impl Drop for Generator {
    fn drop(&mut self) {
        self.key.zeroize();
        self.output.zeroize();
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Generator")
    }
}

impl Random for Generator {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        self.generate(out);
        Ok(())
    }
}

impl rand_core::TryRng for Generator {
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

impl rand_core::TryCryptoRng for Generator {}
