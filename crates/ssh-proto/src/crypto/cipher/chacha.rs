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
//!
//! Both parts are our own ([`chacha20`], [`poly1305`]): the libraries with this construct hash more
//! slowly, and compute the first blocks of both keys one after the other
//! (`cargo bench -p ssh-testkit --bench core -- chacha`).

use fearless_simd::Level;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

#[cfg(feature = "internal-fuzzing")]
pub(crate) use super::chacha20::levels;
use super::chacha20::{self, KEY_LEN, level};
use super::poly1305::{self, TAG_LEN};
use super::{CryptoError, Layout};

type Length = [u8; Layout::LENGTH_LEN];

/// The keys of one direction. Wiped when dropped.
struct Keys {
    body: Zeroizing<[u8; KEY_LEN]>,
    length: Zeroizing<[u8; KEY_LEN]>,
    level: Level,
}

/// What the packet of a sequence number needs beside the stream under its body. Wiped when dropped.
struct Begun {
    seq: u32,
    /// The stream under the length.
    length: Zeroizing<Length>,
    poly1305: Zeroizing<[u8; poly1305::KEY_LEN]>,
}

impl Keys {
    fn new(level: Level, key: &[u8]) -> Result<Self, CryptoError> {
        let (body, length) = key.split_first_chunk().ok_or(CryptoError::Internal)?;
        let length = length.try_into().map_err(|_| CryptoError::Internal)?;
        Ok(Self {
            body: Zeroizing::new(*body),
            length: Zeroizing::new(length),
            level,
        })
    }

    /// Encrypts a body as well.
    fn begin(&self, seq: u32, body: &mut [u8]) -> Result<Begun, CryptoError> {
        let keys = [&*self.length, &*self.body];
        let [length, key] = chacha20::begin(self.level, keys, seq.into(), body);
        let length = length.first_chunk().ok_or(CryptoError::Internal)?;
        let poly1305 = key.first_chunk().ok_or(CryptoError::Internal)?;
        Ok(Begun {
            seq,
            length: Zeroizing::new(*length),
            poly1305: Zeroizing::new(*poly1305),
        })
    }
}

/// The key of the direction that we send in.
pub(crate) struct SealingKey {
    keys: Keys,
}

impl SealingKey {
    pub(super) fn new(key: &[u8]) -> Result<Self, CryptoError> {
        Self::at(level(), key)
    }

    pub(crate) fn at(level: Level, key: &[u8]) -> Result<Self, CryptoError> {
        let keys = Keys::new(level, key)?;
        Ok(Self { keys })
    }

    pub(crate) fn seal(&self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        let (text, to) = split(packet).ok_or(CryptoError::Internal)?;
        let (length, body) = text.split_first_chunk_mut().ok_or(CryptoError::Internal)?;
        let begun = self.keys.begin(seq, body)?;
        *length = xor(*length, *begun.length);
        *to = poly1305::tag(&begun.poly1305, text);
        Ok(())
    }
}

/// The key of the direction that we receive in.
pub(crate) struct OpeningKey {
    keys: Keys,
    /// For the packet that was asked about last. It depends on the sequence number alone, never on
    /// what the peer sent, so it cannot go stale within a packet.
    begun: Option<Begun>,
}

impl OpeningKey {
    pub(super) fn new(key: &[u8]) -> Result<Self, CryptoError> {
        Self::at(level(), key)
    }

    pub(crate) fn at(level: Level, key: &[u8]) -> Result<Self, CryptoError> {
        let keys = Keys::new(level, key)?;
        Ok(Self { keys, begun: None })
    }

    pub(super) fn packet_length(&mut self, seq: u32, first: &[u8]) -> Result<u32, CryptoError> {
        let length = first.first_chunk().ok_or(CryptoError::Internal)?;
        let begun = self.begin(seq)?;
        let length = xor(*length, *begun.length);
        Ok(u32::from_be_bytes(length))
    }

    pub(crate) fn open(&mut self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        let (text, claimed) = split(packet).ok_or(CryptoError::Integrity)?;
        let begun = self.begin(seq)?;
        let tag = poly1305::tag(&begun.poly1305, text);
        if !bool::from(tag.ct_eq(claimed)) {
            return Err(CryptoError::Integrity);
        }
        let (length, body) = text.split_first_chunk_mut().ok_or(CryptoError::Integrity)?;
        *length = xor(*length, *begun.length);
        chacha20::apply(self.keys.level, &self.keys.body, seq.into(), body);
        Ok(())
    }

    fn begin(&mut self, seq: u32) -> Result<&Begun, CryptoError> {
        let begun = match self.begun.take().filter(|begun| begun.seq == seq) {
            Some(begun) => begun,
            None => self.keys.begin(seq, &mut [])?,
        };
        Ok(self.begun.insert(begun))
    }
}

fn xor(one: Length, other: Length) -> Length {
    (u32::from_ne_bytes(one) ^ u32::from_ne_bytes(other)).to_ne_bytes()
}

/// The packet without its tag, at least as long as the length field; and the tag.
fn split(packet: &mut [u8]) -> Option<(&mut [u8], &mut [u8; TAG_LEN])> {
    packet
        .split_last_chunk_mut()
        .filter(|(text, _)| text.len() >= Layout::LENGTH_LEN)
}
