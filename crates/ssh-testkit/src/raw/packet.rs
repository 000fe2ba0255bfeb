//! Packets of [`Raw`](super::Raw): in clear, or with AES-256-GCM (RFC 5647 in OpenSSH's layout).

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// How a packet is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As it should be.
    Proper,
    /// With this padding_length in a packet that is as long as it should be.
    PaddingLength(u8),
    /// With so many bytes behind padding_length, whatever the block size wants.
    Length(usize),
}

/// A key and its nonce, which counts up.
pub struct Gcm {
    key: LessSafeKey,
    fixed: [u8; 4],
    counter: u64,
}

impl Gcm {
    /// From derived bytes, of which the first 12 of `iv` count.
    pub fn new(key: &[u8; 32], iv: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes");
        Self {
            key: LessSafeKey::new(key),
            fixed: iv[..4].try_into().expect("4 bytes"),
            counter: u64::from_be_bytes(iv[4..12].try_into().expect("8 bytes")),
        }
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.fixed);
        nonce[4..].copy_from_slice(&self.counter.to_be_bytes());
        self.counter = self.counter.wrapping_add(1);
        Nonce::assume_unique_for_key(nonce)
    }
}

/// One packet on the wire.
pub(super) fn seal(payload: &[u8], framing: Framing, key: Option<&mut Gcm>) -> Vec<u8> {
    let (block, before) = if key.is_some() { (16, 1) } else { (8, 5) };
    let mut padding = block - (before + payload.len()) % block;
    if padding < 4 {
        padding += block;
    }
    let mut padding_length = u8::try_from(padding).expect("at most 19");
    match framing {
        Framing::Proper => {}
        Framing::PaddingLength(n) => padding_length = n,
        Framing::Length(n) => padding = n.saturating_sub(payload.len()),
    }
    let mut packet = vec![0; 4];
    packet.push(padding_length);
    packet.extend_from_slice(payload);
    packet.extend(std::iter::repeat_n(0xaa, padding));
    if framing == Framing::Length(0) {
        packet.truncate(4);
    }
    let length = u32::try_from(packet.len() - 4).expect("short");
    packet[..4].copy_from_slice(&length.to_be_bytes());
    if let Some(key) = key {
        let nonce = key.nonce();
        let (aad, body) = packet.split_at_mut(4);
        let tag = key
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(aad), body);
        packet.extend_from_slice(tag.expect("sealed").as_ref());
    }
    packet
}

/// Takes one packet off the front of `input` and returns its payload.
pub(super) fn open(input: &mut Vec<u8>, key: Option<&mut Gcm>) -> Option<Vec<u8>> {
    let length = u32::from_be_bytes(*input.first_chunk::<4>()?) as usize;
    assert!((6..300_000).contains(&length), "packet length {length}");
    let tag = if key.is_some() { 16 } else { 0 };
    if input.len() < 4 + length + tag {
        return None;
    }
    let mut packet: Vec<u8> = input.drain(..4 + length + tag).collect();
    if let Some(key) = key {
        assert_eq!(length % 16, 0, "length of a packet");
        let nonce = key.nonce();
        let (aad, body) = packet.split_at_mut(4);
        let opened = key.key.open_in_place(nonce, Aad::from(aad), body);
        opened.expect("the tag of a packet");
        packet.truncate(4 + length);
    } else {
        assert_eq!((4 + length) % 8, 0, "length of a packet");
    }
    let padding = usize::from(packet[4]);
    assert!(padding >= 4 && padding < length - 1, "padding {padding}");
    Some(packet[5..4 + length - padding].to_vec())
}
