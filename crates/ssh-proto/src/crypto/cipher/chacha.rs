//! `chacha20-poly1305@openssh.com`: two ChaCha20 keys, the second one for the packet length only.
//!
//! The nonce is the sequence number, so a key serves 2<sup>32</sup> packets at most; the caller
//! exchanges keys long before. The tag covers the encrypted length and the ciphertext, and is
//! verified before the body is decrypted. The length is not: it is a guess until then.

use core::hint::black_box;

use super::aead::chacha20_poly1305_openssh as construct;
use super::{CryptoError, Layout};

const KEY_LEN: usize = construct::KEY_LEN;
const TAG_LEN: usize = construct::TAG_LEN;

/// The key of the direction that we send in. Wiped when dropped.
pub(super) struct SealingKey {
    key: construct::SealingKey,
}

impl Drop for SealingKey {
    fn drop(&mut self) {
        // Not both libraries wipe keys: one that everybody knows takes the place of this one, and
        // is looked at, so that writing it is not left out.
        self.key = construct::SealingKey::new(&[0; KEY_LEN]);
        black_box(&mut self.key);
    }
}

impl SealingKey {
    pub(super) fn new(key: &[u8]) -> Result<Self, CryptoError> {
        Ok(Self {
            key: construct::SealingKey::new(key_array(key)?),
        })
    }

    pub(super) fn seal(&self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        let (text, tag) = split(packet).ok_or(CryptoError::Internal)?;
        self.key.seal_in_place(seq, text, tag);
        Ok(())
    }
}

/// The key of the direction that we receive in. Wiped when dropped.
pub(super) struct OpeningKey {
    key: construct::OpeningKey,
    /// The keystream under the length of the packet that was asked about last. It depends on the
    /// sequence number alone, never on what the peer sent, so it cannot go stale within a packet.
    length_stream: Option<(u32, [u8; Layout::LENGTH_LEN])>,
}

impl Drop for OpeningKey {
    fn drop(&mut self) {
        // As above.
        self.key = construct::OpeningKey::new(&[0; KEY_LEN]);
        // Not `None`, which would leave what was behind it.
        self.length_stream = Some((0, [0; Layout::LENGTH_LEN]));
        black_box((&mut self.key, &mut self.length_stream));
    }
}

impl OpeningKey {
    pub(super) fn new(key: &[u8]) -> Result<Self, CryptoError> {
        Ok(Self {
            key: construct::OpeningKey::new(key_array(key)?),
            length_stream: None,
        })
    }

    pub(super) fn packet_length(&mut self, seq: u32, first: &[u8]) -> Result<u32, CryptoError> {
        let length = first.first_chunk().ok_or(CryptoError::Internal)?;
        Ok(u32::from_be_bytes(self.decrypt_length(seq, *length)))
    }

    pub(super) fn open(&mut self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        let (text, tag) = split(packet).ok_or(CryptoError::Integrity)?;
        let length = *text.first_chunk().ok_or(CryptoError::Integrity)?;
        self.key
            .open_in_place(seq, text, tag)
            .map_err(|_| CryptoError::Integrity)?;
        // That decrypts the body only.
        if let Some(field) = text.first_chunk_mut() {
            *field = self.decrypt_length(seq, length);
        }
        Ok(())
    }

    fn decrypt_length(&mut self, seq: u32, length: [u8; 4]) -> [u8; 4] {
        let stream = match self.length_stream {
            Some((known, stream)) if known == seq => stream,
            // Decrypting zeros gives the keystream.
            _ => self.key.decrypt_packet_length(seq, [0; 4]),
        };
        self.length_stream = Some((seq, stream));
        (u32::from_ne_bytes(length) ^ u32::from_ne_bytes(stream)).to_ne_bytes()
    }
}

fn key_array(key: &[u8]) -> Result<&[u8; KEY_LEN], CryptoError> {
    key.try_into().map_err(|_| CryptoError::Internal)
}

/// The packet without its tag, at least as long as the length field; and the tag.
fn split(packet: &mut [u8]) -> Option<(&mut [u8], &mut [u8; TAG_LEN])> {
    packet
        .split_last_chunk_mut()
        .filter(|(text, _)| text.len() >= Layout::LENGTH_LEN)
}
