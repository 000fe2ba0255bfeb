//! `chacha20-poly1305@openssh.com`: two ChaCha20 keys, the second one for the packet length only
//! (OpenSSH's `PROTOCOL.chacha20poly1305`).
//!
//! ```text
//!   | packet_length 4 | padding_length, payload, padding | tag 16 |
//!     length key,       body key, block 1 ...              Poly1305 of all before it, under a key
//!     block 0                                              that is the body key's block 0
//! ```
//!
//! The nonce is the sequence number, so a key serves 2<sup>32</sup> packets at most; the caller
//! exchanges keys long before. The tag is verified before the body is decrypted. The length is not:
//! it is a guess until then.

use chacha20::ChaCha20LegacyCore as ChaCha20;
use cipher::{KeyIvInit as _, StreamCipherCore as _};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::poly1305::{self, TAG_LEN};
use super::{CryptoError, Layout};

const KEY_LEN: usize = 32;
const BLOCK_LEN: usize = 64;

/// The keys of one direction. Wiped when dropped, as is every cipher that is made of one.
struct Keys {
    body: Zeroizing<[u8; KEY_LEN]>,
    length: Zeroizing<[u8; KEY_LEN]>,
}

impl Keys {
    fn new(key: &[u8]) -> Result<Self, CryptoError> {
        let (body, length) = key.split_first_chunk().ok_or(CryptoError::Internal)?;
        let length = length.try_into().map_err(|_| CryptoError::Internal)?;
        Ok(Self {
            body: Zeroizing::new(*body),
            length: Zeroizing::new(length),
        })
    }

    /// What the body is encrypted with, and the block in front of that.
    fn body(&self, seq: u32) -> (ChaCha20, Zeroizing<[u8; BLOCK_LEN]>) {
        let mut cipher = cipher(&self.body, seq);
        let mut first = Zeroizing::new([0; BLOCK_LEN]);
        cipher.write_keystream_block((&mut *first).into());
        (cipher, first)
    }

    /// The keystream under the length.
    fn length(&self, seq: u32) -> Result<[u8; Layout::LENGTH_LEN], CryptoError> {
        let mut length = [0; Layout::LENGTH_LEN];
        apply(cipher(&self.length, seq), &mut length)?;
        Ok(length)
    }
}

fn cipher(key: &[u8; KEY_LEN], seq: u32) -> ChaCha20 {
    let nonce = u64::from(seq).to_be_bytes();
    ChaCha20::new(key.into(), &nonce.into())
}

/// Fails only where the keystream ends, which is after 2<sup>70</sup> bytes.
fn apply(cipher: ChaCha20, bytes: &mut [u8]) -> Result<(), CryptoError> {
    cipher
        .try_apply_keystream_partial(bytes.into())
        .map_err(|_| CryptoError::Internal)
}

fn tag(first: &[u8; BLOCK_LEN], text: &[u8]) -> Result<[u8; TAG_LEN], CryptoError> {
    let key = first.first_chunk().ok_or(CryptoError::Internal)?;
    Ok(poly1305::tag(key, text))
}

/// The key of the direction that we send in.
pub(super) struct SealingKey {
    keys: Keys,
}

impl SealingKey {
    pub(super) fn new(key: &[u8]) -> Result<Self, CryptoError> {
        let keys = Keys::new(key)?;
        Ok(Self { keys })
    }

    pub(super) fn seal(&self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        let (text, to) = split(packet).ok_or(CryptoError::Internal)?;
        let (length, body) = text.split_first_chunk_mut().ok_or(CryptoError::Internal)?;
        *length = xor(*length, self.keys.length(seq)?);
        let (cipher, first) = self.keys.body(seq);
        apply(cipher, body)?;
        *to = tag(&first, text)?;
        Ok(())
    }
}

/// The key of the direction that we receive in.
pub(super) struct OpeningKey {
    keys: Keys,
    /// The keystream under the length of the packet that was asked about last. It depends on the
    /// sequence number alone, never on what the peer sent, so it cannot go stale within a packet.
    length_stream: Option<(u32, [u8; Layout::LENGTH_LEN])>,
}

impl Drop for OpeningKey {
    fn drop(&mut self) {
        // `None` would leave what was behind it.
        if let Some((_, stream)) = &mut self.length_stream {
            stream.zeroize();
        }
    }
}

impl OpeningKey {
    pub(super) fn new(key: &[u8]) -> Result<Self, CryptoError> {
        let keys = Keys::new(key)?;
        Ok(Self {
            keys,
            length_stream: None,
        })
    }

    pub(super) fn packet_length(&mut self, seq: u32, first: &[u8]) -> Result<u32, CryptoError> {
        let length = first.first_chunk().ok_or(CryptoError::Internal)?;
        let length = xor(*length, self.length_stream(seq)?);
        Ok(u32::from_be_bytes(length))
    }

    pub(super) fn open(&mut self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        let (text, claimed) = split(packet).ok_or(CryptoError::Integrity)?;
        let (cipher, first) = self.keys.body(seq);
        if !bool::from(tag(&first, text)?.ct_eq(claimed)) {
            return Err(CryptoError::Integrity);
        }
        let (length, body) = text.split_first_chunk_mut().ok_or(CryptoError::Integrity)?;
        *length = xor(*length, self.length_stream(seq)?);
        apply(cipher, body)
    }

    fn length_stream(&mut self, seq: u32) -> Result<[u8; Layout::LENGTH_LEN], CryptoError> {
        if let Some((known, stream)) = self.length_stream
            && known == seq
        {
            return Ok(stream);
        }
        let stream = self.keys.length(seq)?;
        self.length_stream = Some((seq, stream));
        Ok(stream)
    }
}

fn xor(one: [u8; Layout::LENGTH_LEN], other: [u8; Layout::LENGTH_LEN]) -> [u8; Layout::LENGTH_LEN] {
    (u32::from_ne_bytes(one) ^ u32::from_ne_bytes(other)).to_ne_bytes()
}

/// The packet without its tag, at least as long as the length field; and the tag.
fn split(packet: &mut [u8]) -> Option<(&mut [u8], &mut [u8; TAG_LEN])> {
    packet
        .split_last_chunk_mut()
        .filter(|(text, _)| text.len() >= Layout::LENGTH_LEN)
}
