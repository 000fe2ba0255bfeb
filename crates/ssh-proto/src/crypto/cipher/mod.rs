//! Sealing and opening of binary packets (RFC 4253 section 6), in place.
//!
//! ```text
//!   | packet_length 4 | padding_length 1 | payload | padding | tag |
//!   |<--------------------- packet: &mut [u8] -------------------->|
//! ```
//!
//! Invariants, of every mode: a packet is opened with as many bytes as it was sealed with; what
//! does not verify is wiped whole before the error is returned, so that no unverified plaintext
//! can be read by mistake; no nonce is used twice with a key; no packet costs an allocation or a
//! copy of its body. Learning the length never changes the input.
//!
//! What happens before there are keys is the caller's affair: there is no "none" here.

mod bare;
pub(crate) mod chacha;
mod chacha20;
mod gcm;
#[cfg(any(test, feature = "internal-fuzzing"))]
pub(crate) mod modes;
mod poly1305;
mod with_mac;

use alloc::boxed::Box;
use core::fmt;

use zeroize::Zeroize as _;

use super::mac::Part;
use super::{CryptoError, on_burnt_stack};
use crate::algorithm::{CipherAlgorithm, CipherMode, MacAlgorithm};

#[cfg(test)]
pub(crate) use bare::counting;

/// How packets are laid out under a cipher and a MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    block_len: usize,
    tag_len: usize,
    first_len: usize,
    length_is_aligned: bool,
}

impl Layout {
    /// The length field's 4 bytes.
    const LENGTH_LEN: usize = 4;

    /// The layout of `cipher` with `mac`, if the two fit together: an AEAD takes no MAC, and
    /// anything else needs one.
    fn new(cipher: CipherAlgorithm, mac: Option<MacAlgorithm>) -> Result<Self, CryptoError> {
        let block_len = cipher.block_len();
        match (cipher.aead_tag_len(), mac) {
            (Some(tag_len), None) => Ok(Self {
                block_len,
                tag_len,
                first_len: Self::LENGTH_LEN,
                length_is_aligned: false,
            }),
            (None, Some(mac)) => Ok(Self {
                block_len,
                tag_len: mac.tag_len(),
                first_len: if mac.is_etm() {
                    Self::LENGTH_LEN
                } else {
                    block_len
                },
                length_is_aligned: !mac.is_etm(),
            }),
            _ => Err(CryptoError::Internal),
        }
    }
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Sealing,
    Opening,
}

/// Encrypts and authenticates the packets of one direction, from one NEWKEYS to the next.
pub(crate) struct SealingKey {
    cipher: CipherAlgorithm,
    layout: Layout,
    mode: SealingMode,
}

/// Boxed, so that a connection that is moved does not drag key schedules along.
enum SealingMode {
    Gcm(Box<gcm::GcmKey>),
    ChaCha(Box<chacha::SealingKey>),
    WithMac(Box<with_mac::WithMac>),
}

impl SealingKey {
    /// From derived keys, whose lengths must be those of the algorithms: `key` and `iv` of the
    /// cipher; `mac_key` of the MAC, or empty.
    pub(crate) fn new(
        cipher: CipherAlgorithm,
        mac: Option<MacAlgorithm>,
        key: &[u8],
        iv: &[u8],
        mac_key: &[u8],
    ) -> Result<Self, CryptoError> {
        on_burnt_stack(|| Self::make(cipher, mac, key, iv, mac_key))
    }

    fn make(
        cipher: CipherAlgorithm,
        mac: Option<MacAlgorithm>,
        key: &[u8],
        iv: &[u8],
        mac_key: &[u8],
    ) -> Result<Self, CryptoError> {
        let layout = Layout::new(cipher, mac)?;
        let mode = match cipher.mode() {
            CipherMode::Gcm => SealingMode::Gcm(Box::new(gcm::GcmKey::new(cipher, key, iv)?)),
            CipherMode::ChaCha => SealingMode::ChaCha(Box::new(chacha::SealingKey::new(key)?)),
            _ => {
                let direction = Direction::Sealing;
                let key = with_mac::WithMac::new(cipher, mac, direction, key, iv, mac_key)?;
                SealingMode::WithMac(Box::new(key))
            }
        };
        Ok(Self {
            cipher,
            layout,
            mode,
        })
    }

    /// The cipher.
    pub(crate) const fn cipher(&self) -> CipherAlgorithm {
        self.cipher
    }

    /// What the length of a packet is a multiple of; see
    /// [`length_is_aligned`](Self::length_is_aligned) for which length.
    pub(crate) const fn block_len(&self) -> usize {
        self.layout.block_len
    }

    /// Whether the four bytes of `packet_length` count for the alignment. They do where they are
    /// encrypted together with the rest.
    pub(crate) const fn length_is_aligned(&self) -> bool {
        self.layout.length_is_aligned
    }

    /// Bytes of tag at the end of a packet.
    pub(crate) const fn tag_len(&self) -> usize {
        self.layout.tag_len
    }

    /// Seals the packet with sequence number `seq` in place. `packet` is all of it, in plain
    /// text, with room for the tag at its end.
    pub(crate) fn seal(&mut self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        match &mut self.mode {
            SealingMode::Gcm(key) => key.seal(packet),
            SealingMode::ChaCha(key) => key.seal(seq, packet),
            SealingMode::WithMac(key) => key.seal(seq, packet),
        }
    }
}

#[cfg(any(test, feature = "internal-fuzzing"))]
impl SealingKey {
    /// As [`seal`](Self::seal), for what no honest peer sends: parts of blocks.
    pub(crate) fn seal_anything(&mut self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        match &mut self.mode {
            SealingMode::WithMac(key) => key.seal_anything(seq, packet),
            _ => self.seal(seq, packet),
        }
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({:?})", self.layout)
    }
}

/// Verifies and decrypts the packets of one direction, from one NEWKEYS to the next.
pub(crate) struct OpeningKey {
    cipher: CipherAlgorithm,
    layout: Layout,
    mode: OpeningMode,
}

enum OpeningMode {
    Gcm(Box<gcm::GcmKey>),
    ChaCha(Box<chacha::OpeningKey>),
    WithMac(Box<with_mac::WithMac>),
}

impl OpeningKey {
    /// See [`SealingKey::new`].
    pub(crate) fn new(
        cipher: CipherAlgorithm,
        mac: Option<MacAlgorithm>,
        key: &[u8],
        iv: &[u8],
        mac_key: &[u8],
    ) -> Result<Self, CryptoError> {
        on_burnt_stack(|| Self::make(cipher, mac, key, iv, mac_key))
    }

    fn make(
        cipher: CipherAlgorithm,
        mac: Option<MacAlgorithm>,
        key: &[u8],
        iv: &[u8],
        mac_key: &[u8],
    ) -> Result<Self, CryptoError> {
        let layout = Layout::new(cipher, mac)?;
        let mode = match cipher.mode() {
            CipherMode::Gcm => OpeningMode::Gcm(Box::new(gcm::GcmKey::new(cipher, key, iv)?)),
            CipherMode::ChaCha => OpeningMode::ChaCha(Box::new(chacha::OpeningKey::new(key)?)),
            _ => {
                let direction = Direction::Opening;
                let key = with_mac::WithMac::new(cipher, mac, direction, key, iv, mac_key)?;
                OpeningMode::WithMac(Box::new(key))
            }
        };
        Ok(Self {
            cipher,
            layout,
            mode,
        })
    }

    /// The cipher.
    pub(crate) const fn cipher(&self) -> CipherAlgorithm {
        self.cipher
    }

    /// See [`SealingKey::block_len`].
    pub(crate) const fn block_len(&self) -> usize {
        self.layout.block_len
    }

    /// See [`SealingKey::length_is_aligned`].
    pub(crate) const fn length_is_aligned(&self) -> bool {
        self.layout.length_is_aligned
    }

    /// See [`SealingKey::tag_len`].
    pub(crate) const fn tag_len(&self) -> usize {
        self.layout.tag_len
    }

    /// Whether the length is encrypted and verified together with the rest only, so that it is used
    /// before anything vouches for it and nobody must learn what came of that.
    pub(crate) const fn is_encrypt_and_mac(&self) -> bool {
        self.layout.length_is_aligned
    }

    /// How many bytes of a packet must be there before its length can be learnt.
    pub(crate) const fn first_len(&self) -> usize {
        self.layout.first_len
    }

    /// The `packet_length` of the packet with sequence number `seq`, from its first
    /// [`first_len`](Self::first_len) bytes, which stay as they are.
    ///
    /// It is NOT authenticated yet: good for knowing how much to wait for, within a limit, and for
    /// nothing else. Asking again for the same packet gives the same answer.
    pub(crate) fn packet_length(&mut self, seq: u32, first: &[u8]) -> Result<u32, CryptoError> {
        match &mut self.mode {
            OpeningMode::Gcm(_) => clear_length(first),
            OpeningMode::ChaCha(key) => key.packet_length(seq, first),
            OpeningMode::WithMac(key) => key.packet_length(first),
        }
    }

    /// Opens the packet with sequence number `seq` in place. `packet` is all of it, as it came,
    /// its tag included. Afterwards everything before the tag is plain text, the length too.
    ///
    /// If it does not verify, `packet` is all zero and the key must not be used any more.
    pub(crate) fn open(&mut self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        let opened = match &mut self.mode {
            OpeningMode::Gcm(key) => key.open(packet),
            OpeningMode::ChaCha(key) => key.open(seq, packet),
            OpeningMode::WithMac(key) => key.open(seq, packet),
        };
        if opened.is_err() {
            packet.zeroize();
        }
        opened
    }
}

impl OpeningKey {
    /// Spends what opening a packet of so many blocks costs once its length is known, or what so many
    /// blocks more cost within one. For what stands in the place of a packet that did not verify, when
    /// the key is good for nothing else.
    pub(crate) fn waste(&mut self, seq: u32, blocks: usize, part: Part) {
        if let OpeningMode::WithMac(key) = &mut self.mode {
            key.waste(seq, blocks, part);
        }
    }
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpeningKey({:?})", self.layout)
    }
}

/// The length where it is not encrypted.
fn clear_length(first: &[u8]) -> Result<u32, CryptoError> {
    match first.first_chunk() {
        Some(length) => Ok(u32::from_be_bytes(*length)),
        None => Err(CryptoError::Internal),
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
