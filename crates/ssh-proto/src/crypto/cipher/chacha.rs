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
use super::chacha20::{self, Heads, KEY_LEN, level};
use super::poly1305::{self, TAG_LEN};
use super::{CryptoError, Layout};

type Length = [u8; Layout::LENGTH_LEN];

/// For how many packets at most one pass is made before they come.
const AHEAD: usize = 4;

/// The keys of one direction. Wiped when dropped.
struct Keys {
    body: Zeroizing<[u8; KEY_LEN]>,
    length: Zeroizing<[u8; KEY_LEN]>,
    level: Level,
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

    /// The key under the length first.
    fn both(&self) -> [&[u8; KEY_LEN]; 2] {
        [&self.length, &self.body]
    }
}

/// The length, encrypted or decrypted, with the head of its stream.
fn crypt_length(length: Length, [head, _]: &Heads) -> Length {
    let [a, b, c, d, ..] = *head;
    (u32::from_ne_bytes(length) ^ u32::from_ne_bytes([a, b, c, d])).to_ne_bytes()
}

/// The tag of what comes before it, with the head of the body's stream.
fn tag([_, key]: &Heads, text: &[u8]) -> [u8; TAG_LEN] {
    poly1305::tag(key, text)
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
        let mut heads = Zeroizing::<Heads>::default();
        chacha20::begin(
            self.keys.level,
            self.keys.both(),
            seq.into(),
            &mut heads,
            body,
        );
        *length = crypt_length(*length, &heads);
        *to = tag(&heads, text);
        Ok(())
    }
}

/// The key of the direction that we receive in.
pub(crate) struct OpeningKey {
    keys: Keys,
    ahead: Ahead,
}

/// What some packets need beside the stream under their bodies. It depends on their sequence numbers
/// alone, never on what the peer sends, so it cannot go stale. Wiped when dropped.
struct Ahead {
    /// The sequence number of the first.
    first: u32,
    count: usize,
    heads: Zeroizing<[Heads; AHEAD]>,
}

impl OpeningKey {
    pub(super) fn new(key: &[u8]) -> Result<Self, CryptoError> {
        Self::at(level(), key)
    }

    pub(crate) fn at(level: Level, key: &[u8]) -> Result<Self, CryptoError> {
        Ok(Self {
            keys: Keys::new(level, key)?,
            ahead: Ahead {
                first: 0,
                count: 0,
                heads: Zeroizing::default(),
            },
        })
    }

    pub(crate) fn packet_length(&mut self, seq: u32, first: &[u8]) -> Result<u32, CryptoError> {
        let length = first.first_chunk().ok_or(CryptoError::Internal)?;
        let length = crypt_length(*length, self.heads(seq)?);
        Ok(u32::from_be_bytes(length))
    }

    pub(crate) fn open(&mut self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        let (text, claimed) = split(packet).ok_or(CryptoError::Integrity)?;
        let heads = self.heads(seq)?;
        if !bool::from(tag(heads, text).ct_eq(claimed)) {
            return Err(CryptoError::Integrity);
        }
        let (length, body) = text.split_first_chunk_mut().ok_or(CryptoError::Integrity)?;
        *length = crypt_length(*length, heads);
        chacha20::apply(self.keys.level, &self.keys.body, seq.into(), body);
        Ok(())
    }

    fn heads(&mut self, seq: u32) -> Result<&Heads, CryptoError> {
        let Self { keys, ahead } = self;
        let at = seq.wrapping_sub(ahead.first) as usize;
        let at = if at < ahead.count {
            at
        } else {
            let heads = ahead.heads.as_mut_slice();
            ahead.count = chacha20::ahead(keys.level, keys.both(), seq.into(), heads);
            ahead.first = seq;
            0
        };
        ahead.heads.get(at).ok_or(CryptoError::Internal)
    }
}

/// The packet without its tag, at least as long as the length field; and the tag.
fn split(packet: &mut [u8]) -> Option<(&mut [u8], &mut [u8; TAG_LEN])> {
    packet
        .split_last_chunk_mut()
        .filter(|(text, _)| text.len() >= Layout::LENGTH_LEN)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn packet() -> Vec<u8> {
        (0..200).collect()
    }

    /// What was forged is not decrypted, not even by the way.
    #[test]
    fn a_packet_with_another_tag_stays_as_it_was() {
        let key = [3; 2 * KEY_LEN];
        let mut sealed = packet();
        SealingKey::new(&key).unwrap().seal(7, &mut sealed).unwrap();
        for at in 0..sealed.len() {
            let mut forged = sealed.clone();
            forged[at] ^= 1;
            let before = forged.clone();
            let mut opening = OpeningKey::new(&key).unwrap();
            assert!(opening.open(7, &mut forged).is_err(), "{at}");
            assert_eq!(forged, before, "{at}");
        }
    }

    /// With numbers that follow each other, are repeated, are left out, and begin again.
    #[test]
    fn what_was_made_for_a_packet_serves_no_other() {
        let key = [9; 2 * KEY_LEN];
        let sealing = SealingKey::new(&key).unwrap();
        let mut opening = OpeningKey::new(&key).unwrap();
        let end = u32::MAX;
        for seq in [
            0,
            1,
            1,
            2,
            3,
            4,
            5,
            9,
            8,
            10,
            end - 2,
            end - 1,
            end,
            0,
            1,
            end,
            2,
        ] {
            let mut sealed = packet();
            sealing.seal(seq, &mut sealed).unwrap();
            let length = u32::from_be_bytes([0, 1, 2, 3]);
            assert_eq!(opening.packet_length(seq, &sealed).unwrap(), length);
            opening.open(seq, &mut sealed).unwrap();
            let text = sealed.len() - TAG_LEN;
            assert_eq!(sealed[..text], packet()[..text], "{seq}");
        }
    }
}
