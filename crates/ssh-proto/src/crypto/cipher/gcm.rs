//! AES-GCM with the packet layout and the nonces of RFC 5647.
//!
//! The length is not encrypted but authenticated, as additional data. The nonce is 12 bytes:
//!
//! ```text
//!   | fixed field 4 | invocation counter 8 |     both begin as the derived IV
//! ```
//!
//! The counter goes up by one with each packet and never comes back to a value that it had.

use core::hint::black_box;

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{CryptoError, Layout};
use crate::algorithm::CipherAlgorithm;

const TAG_LEN: usize = 16;
const NONCE_LEN: usize = 12;
const MAX_KEY_LEN: usize = 32;

/// The key of one direction. Wiped when dropped.
pub(super) struct GcmKey {
    key: LessSafeKey,
    nonces: Nonces,
}

impl Drop for GcmKey {
    fn drop(&mut self) {
        // `ring` does not wipe. The schedule of a key that everybody knows takes the place of this one,
        // and is looked at, so that writing it is not left out.
        let algorithm = self.key.algorithm();
        let nothing = [0; MAX_KEY_LEN];
        let nothing = nothing.get(..algorithm.key_len()).unwrap_or_default();
        if let Ok(nothing) = UnboundKey::new(algorithm, nothing) {
            self.key = LessSafeKey::new(nothing);
        }
        self.nonces = Nonces::new([0; NONCE_LEN]);
        black_box((&mut self.key, &mut self.nonces));
    }
}

impl GcmKey {
    pub(super) fn new(cipher: CipherAlgorithm, key: &[u8], iv: &[u8]) -> Result<Self, CryptoError> {
        let algorithm = match cipher.key_len() {
            16 => &AES_128_GCM,
            MAX_KEY_LEN => &AES_256_GCM,
            _ => return Err(CryptoError::Internal),
        };
        let key = UnboundKey::new(algorithm, key).map_err(|_| CryptoError::Internal)?;
        let iv = iv.try_into().map_err(|_| CryptoError::Internal)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            nonces: Nonces::new(iv),
        })
    }

    pub(super) fn seal(&mut self, packet: &mut [u8]) -> Result<(), CryptoError> {
        let (length, body, tag) = split(packet).ok_or(CryptoError::Internal)?;
        let nonce = self.nonces.next().ok_or(CryptoError::KeyExhausted)?;
        *tag = self.seal_with(nonce, length, body)?;
        Ok(())
    }

    pub(super) fn open(&mut self, packet: &mut [u8]) -> Result<(), CryptoError> {
        let (length, body) = packet
            .split_first_chunk_mut::<{ Layout::LENGTH_LEN }>()
            .ok_or(CryptoError::Integrity)?;
        let nonce = self.nonces.next().ok_or(CryptoError::KeyExhausted)?;
        self.open_with(nonce, length, body)
    }

    /// Nobody but the two above, and a test, may choose the nonce.
    #[inline]
    pub(super) fn seal_with(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let made = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), body)
            .map_err(|_| CryptoError::Internal)?;
        made.as_ref().try_into().map_err(|_| CryptoError::Internal)
    }

    /// As above. The tag is at the end of `body`, and stays there.
    #[inline]
    pub(super) fn open_with(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<(), CryptoError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key
            .open_in_place(nonce, Aad::from(aad), body)
            .map(|_| ())
            .map_err(|_| CryptoError::Integrity)
    }
}

type Parts<'a> = (
    &'a [u8; Layout::LENGTH_LEN],
    &'a mut [u8],
    &'a mut [u8; TAG_LEN],
);

fn split(packet: &mut [u8]) -> Option<Parts<'_>> {
    let (length, rest) = packet.split_first_chunk_mut()?;
    let (body, tag) = rest.split_last_chunk_mut()?;
    Some((length, body, tag))
}

/// The nonces of a key, each of them once.
struct Nonces {
    fixed: [u8; 4],
    /// The invocation counter at the first packet.
    first: u64,
    /// Packets so far. The counter is `first + used`, modulo 2<sup>64</sup>.
    used: u64,
}

impl Nonces {
    const fn new(iv: [u8; NONCE_LEN]) -> Self {
        let [a, b, c, d, counter @ ..] = iv;
        Self {
            fixed: [a, b, c, d],
            first: u64::from_be_bytes(counter),
            used: 0,
        }
    }

    /// The nonce of the next packet; `None` when the next one would be the first again.
    //= rfc5647#section-7.1
    //# The invocation field is treated as a 64-bit integer and is incremented after each
    //# invocation of AES-GCM to process a binary packet.
    fn next(&mut self) -> Option<[u8; NONCE_LEN]> {
        let counter = self.first.wrapping_add(self.used);
        self.used = self.used.checked_add(1)?;
        let [a, b, c, d] = self.fixed;
        let [e, f, g, h, i, j, k, l] = counter.to_be_bytes();
        Some([a, b, c, d, e, f, g, h, i, j, k, l])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn nonces(counter: u64) -> Nonces {
        let mut iv = [7; 12];
        iv[4..].copy_from_slice(&counter.to_be_bytes());
        Nonces::new(iv)
    }

    #[test]
    fn p7_no_nonce_comes_twice_within_a_million_packets() {
        // The counter starts anywhere, so it may pass 2^64: that is no repetition.
        let mut nonces = nonces(u64::MAX - 500_000);
        let mut seen = HashSet::new();
        for _ in 0..1_000_000 {
            let nonce = nonces.next().unwrap();
            assert_eq!(nonce[..4], [7; 4]);
            assert!(seen.insert(nonce));
        }
    }

    #[test]
    fn p7_the_counter_goes_up_by_one() {
        let mut nonces = nonces(0x0102);
        assert_eq!(nonces.next().unwrap()[4..], [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(nonces.next().unwrap()[4..], [0, 0, 0, 0, 0, 0, 1, 3]);
    }

    #[test]
    fn p7_an_exhausted_key_fails_and_does_not_repeat() {
        let mut nonces = nonces(3);
        nonces.used = u64::MAX - 1;
        assert!(nonces.next().is_some());
        assert!(nonces.next().is_none());
        assert!(nonces.next().is_none());
    }
}
