//! A cipher with a MAC beside it, in both orders.
//!
//! ```text
//!   encrypt-and-MAC (RFC 4253 6.4)   everything is encrypted; MAC over the plaintext
//!   encrypt-then-MAC (...-etm@)      the length is not;       MAC over length || ciphertext
//! ```
//!
//! In the first order the length can only be learnt by decrypting a block, which moves the cipher:
//! the block is therefore kept here, as a copy, until the packet is opened. What is delivered is
//! exactly what the MAC was computed over.

use zeroize::Zeroizing;

use super::bare::Bare;
use super::{CryptoError, Direction, clear_length};
use crate::algorithm::{CipherAlgorithm, MacAlgorithm};
use crate::crypto::mac::{MacKey, Part};

/// No block is longer.
const MAX_BLOCK: usize = 16;

/// The cipher and the MAC of one direction.
pub(super) struct WithMac {
    cipher: Bare,
    mac: MacKey,
    order: Order,
    block_len: usize,
    /// Plaintext of the first block of the packet that is next to be opened, if it has been asked for.
    first: Zeroizing<[u8; MAX_BLOCK]>,
    has_first: bool,
}

#[derive(Clone, Copy)]
enum Order {
    EncryptAndMac,
    EncryptThenMac,
}

impl WithMac {
    pub(super) fn new(
        cipher: CipherAlgorithm,
        mac: Option<MacAlgorithm>,
        direction: Direction,
        key: &[u8],
        iv: &[u8],
        mac_key: &[u8],
    ) -> Result<Self, CryptoError> {
        let mac = mac.ok_or(CryptoError::Internal)?;
        Ok(Self {
            cipher: Bare::new(cipher, direction, key, iv)?,
            mac: MacKey::new(mac, mac_key)?,
            order: if mac.is_etm() {
                Order::EncryptThenMac
            } else {
                Order::EncryptAndMac
            },
            block_len: cipher.block_len(),
            first: Zeroizing::new([0; MAX_BLOCK]),
            has_first: false,
        })
    }

    pub(super) fn seal(&mut self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        let (text, tag) = self.split(packet).ok_or(CryptoError::Internal)?;
        let made = match self.order {
            Order::EncryptAndMac => {
                let made = self.mac.tag(seq, &[text]);
                self.cipher.apply(text)?;
                made
            }
            Order::EncryptThenMac => {
                let (_, body) = text.split_at_mut_checked(4).ok_or(CryptoError::Internal)?;
                self.cipher.apply(body)?;
                self.mac.tag(seq, &[text])
            }
        };
        tag.copy_from_slice(made.as_ref());
        Ok(())
    }

    /// As [`seal`](Self::seal), and what does not fill a block of CBC stays as it is: who has the keys
    /// can vouch for anything.
    #[cfg(any(test, feature = "internal-fuzzing"))]
    pub(super) fn seal_anything(&mut self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        let (text, tag) = self.split(packet).ok_or(CryptoError::Internal)?;
        let plain = self.mac.tag(seq, &[text]);
        let encrypted = match self.order {
            Order::EncryptAndMac => 0,
            Order::EncryptThenMac => 4,
        };
        let body = text.get_mut(encrypted..).ok_or(CryptoError::Internal)?;
        let rest = self.cipher.rest(body.len());
        let whole = body.len() - rest;
        self.cipher
            .apply(body.get_mut(..whole).unwrap_or_default())?;
        let made = match self.order {
            Order::EncryptAndMac => plain,
            Order::EncryptThenMac => self.mac.tag(seq, &[text]),
        };
        tag.copy_from_slice(made.as_ref());
        Ok(())
    }

    pub(super) fn packet_length(&mut self, first: &[u8]) -> Result<u32, CryptoError> {
        match self.order {
            Order::EncryptThenMac => clear_length(first),
            Order::EncryptAndMac => {
                let block = first.get(..self.block_len).ok_or(CryptoError::Internal)?;
                clear_length(self.first_block(block)?)
            }
        }
    }

    pub(super) fn open(&mut self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        let (text, tag) = self.split(packet).ok_or(CryptoError::Integrity)?;
        match self.order {
            Order::EncryptAndMac => {
                let (block, body) = text
                    .split_at_mut_checked(self.block_len)
                    .ok_or(CryptoError::Integrity)?;
                block.copy_from_slice(self.first_block(block)?);
                self.has_first = false;
                self.cipher.apply(body)?;
                self.mac.verify(seq, &[text], tag)
            }
            Order::EncryptThenMac => {
                self.mac.verify(seq, &[text], tag)?;
                let (_, body) = text.split_at_mut_checked(4).ok_or(CryptoError::Integrity)?;
                self.cipher.apply(body)
            }
        }
    }

    /// Spends what opening a packet of so many blocks costs once its length is known, or what so many
    /// blocks more cost within one.
    pub(super) fn waste(&mut self, seq: u32, blocks: usize, part: Part) {
        let mut scratch = Zeroizing::new([0; 1024]);
        let first = usize::from(part == Part::Whole);
        let mut left = self.block_len * blocks.saturating_sub(first);
        while left > 0 {
            let now = left.min(scratch.len());
            let bytes = scratch.get_mut(..now).unwrap_or_default();
            let _exhausted = self.cipher.apply(bytes);
            left -= now;
        }
        core::hint::black_box(&mut scratch);
        self.mac.waste(seq, self.block_len * blocks, part);
    }

    /// The plaintext of the packet's first block, decrypted once.
    fn first_block(&mut self, ciphertext: &[u8]) -> Result<&[u8], CryptoError> {
        let first = self.first.get_mut(..self.block_len);
        let first = first.ok_or(CryptoError::Internal)?;
        if !self.has_first {
            first.copy_from_slice(ciphertext);
            self.cipher.apply(first)?;
            self.has_first = true;
        }
        Ok(first)
    }

    /// The packet without its tag, and the tag.
    fn split<'p>(&self, packet: &'p mut [u8]) -> Option<(&'p mut [u8], &'p mut [u8])> {
        let text_len = packet.len().checked_sub(self.mac.tag_len())?;
        packet.split_at_mut_checked(text_len)
    }
}
