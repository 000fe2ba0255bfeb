//! The calls to the ciphers and nothing else, of the same crates that the core uses. What a packet
//! costs here is what the core cannot cost less than.
//!
//! For `chacha20-poly1305@openssh.com` it is the construct of `ring`, where the core has one of its own
//! ([`chacha`](super::chacha)): a fraction above 1 is more than `ring` could do without any protocol.
//! UMAC has no crate: its bare arm is the core's own function, called through a door. So a row with it
//! tells what the core adds, and nothing of how good that function is.

use aes::{Aes128, Aes192, Aes256};
use blowfish::Blowfish;
use cast5::Cast5;
use cbc::{Decryptor, Encryptor};
use cipher::{
    Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt as _, BlockModeEncrypt as _,
    KeyInit, KeyIvInit, StreamCipher,
};
use ctr::{Ctr64BE, Ctr128BE};
use curve25519_dalek::MontgomeryPoint;
use des::TdesEde3;
use hmac::{Hmac, Mac};
use rc4::Rc4;
use ring::aead::chacha20_poly1305_openssh as chacha;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use sha2::{Digest, Sha256};
use ssh_proto::algorithm::{CipherAlgorithm, MacAlgorithm};
use ssh_proto::fuzzing::Umac;
use ssh_proto::message::{KexEcdhReply, Wire, number};
use ssh_proto::wire::{Mpint, Sink};
use ssh_testkit::rng::SeededRandom;

use super::pair::{CLIENT_SEED, Protection, Recording};

/// The cipher of one direction.
pub(crate) struct Bare {
    cipher: Cipher,
    seq: u32,
}

#[expect(clippy::large_enum_variant, reason = "there is one of it at a time")]
enum Cipher {
    Gcm {
        key: LessSafeKey,
        fixed: [u8; 4],
        counter: u64,
    },
    Seal(chacha::SealingKey),
    Open(chacha::OpeningKey),
    WithMac {
        stream: Stream,
        mac: Key,
        tag_len: usize,
        block_len: usize,
        etm: bool,
    },
}

#[expect(clippy::large_enum_variant, reason = "there is one of it at a time")]
enum Stream {
    Aes128Ctr(Ctr128BE<Aes128>),
    Aes192Ctr(Ctr128BE<Aes192>),
    Aes256Ctr(Ctr128BE<Aes256>),
    TdesCtr(Ctr64BE<TdesEde3>),
    Arcfour(Rc4),
    Aes128Cbc(Cbc<Aes128>),
    Aes192Cbc(Cbc<Aes192>),
    Aes256Cbc(Cbc<Aes256>),
    TdesCbc(Cbc<TdesEde3>),
    BlowfishCbc(Cbc<Blowfish>),
    Cast128Cbc(Cbc<Cast5>),
}

enum Cbc<C: BlockCipherEncrypt + BlockCipherDecrypt> {
    Seal(Encryptor<C>),
    Open(Decryptor<C>),
}

enum Key {
    Md5(Hmac<md5::Md5>),
    Ripemd160(Hmac<ripemd::Ripemd160>),
    Sha1(Hmac<sha1::Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<sha2::Sha512>),
    Umac(Umac),
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Sealing,
    Opening,
}

impl Bare {
    /// Seals under keys that nobody else has.
    pub(crate) fn sealing(protection: Protection) -> Self {
        let keys = |letter, len| vec![letter; len];
        Self::new(protection, Direction::Sealing, keys)
    }

    /// Opens what was recorded, once the packets before the data are opened.
    pub(crate) fn opening(protection: Protection, recording: &Recording) -> Self {
        let (public, encrypted) = in_clear(recording.handshake());
        let secret = Secret::of(public, &recording.session_id);
        let mut bare = Self::new(protection, Direction::Opening, |letter, len| {
            secret.derive(letter, len)
        });
        bare.walk(&mut encrypted.to_vec());
        bare
    }

    fn new(
        protection: Protection,
        direction: Direction,
        derive: impl Fn(u8, usize) -> Vec<u8>,
    ) -> Self {
        let Protection { cipher, mac } = protection;
        let (iv, key) = (
            derive(b'B', cipher.iv_len()),
            derive(b'D', cipher.key_len()),
        );
        let cipher = match cipher {
            CipherAlgorithm::Aes128Gcm
            | CipherAlgorithm::Aes256Gcm
            | CipherAlgorithm::AeadAes128Gcm
            | CipherAlgorithm::AeadAes256Gcm => {
                let algorithm = match cipher.key_len() {
                    16 => &AES_128_GCM,
                    _ => &AES_256_GCM,
                };
                let (fixed, counter) = iv.split_first_chunk().expect("12 bytes");
                Cipher::Gcm {
                    key: LessSafeKey::new(UnboundKey::new(algorithm, &key).expect("its length")),
                    fixed: *fixed,
                    counter: u64::from_be_bytes(counter.try_into().expect("12 bytes")),
                }
            }
            CipherAlgorithm::ChaCha20Poly1305 => {
                let key = key.as_slice().try_into().expect("its length");
                match direction {
                    Direction::Sealing => Cipher::Seal(chacha::SealingKey::new(key)),
                    Direction::Opening => Cipher::Open(chacha::OpeningKey::new(key)),
                }
            }
            _ => {
                let mac = mac.expect("of a cipher that needs one");
                Cipher::WithMac {
                    stream: Stream::new(cipher, direction, &key, &iv),
                    mac: Key::new(mac, &derive(b'F', mac.key_len())),
                    tag_len: mac.tag_len(),
                    block_len: cipher.block_len(),
                    etm: mac.is_etm(),
                }
            }
        };
        Self { cipher, seq: 0 }
    }

    /// Seals all of `packet`, which has room for its tag at the end.
    pub(crate) fn seal(&mut self, packet: &mut [u8]) {
        let seq = self.next();
        match &mut self.cipher {
            Cipher::Gcm {
                key,
                fixed,
                counter,
            } => {
                let nonce = nonce(*fixed, counter);
                let (length, body) = packet.split_first_chunk_mut::<4>().expect("a packet");
                let (body, tag) = body.split_last_chunk_mut::<16>().expect("a packet");
                let made = key
                    .seal_in_place_separate_tag(nonce, Aad::from(*length), body)
                    .expect("sealed");
                tag.copy_from_slice(made.as_ref());
            }
            Cipher::Seal(key) => {
                let (text, tag) = packet.split_last_chunk_mut::<16>().expect("a packet");
                key.seal_in_place(seq, text, tag);
            }
            Cipher::Open(_) => unreachable!("of the other direction"),
            Cipher::WithMac {
                stream,
                mac,
                tag_len,
                etm,
                ..
            } => {
                let (text, tag) = packet.split_at_mut(packet.len() - *tag_len);
                if *etm {
                    stream.apply(&mut text[4..]);
                    mac.tag(seq, text, tag);
                } else {
                    mac.tag(seq, text, tag);
                    stream.apply(text);
                }
            }
        }
    }

    /// Opens all of `packet`.
    pub(crate) fn open(&mut self, packet: &mut [u8]) {
        self.open_from(packet, 0);
    }

    /// Opens a packet whose front is decrypted already.
    fn open_from(&mut self, packet: &mut [u8], front: usize) {
        let seq = self.next();
        match &mut self.cipher {
            Cipher::Gcm {
                key,
                fixed,
                counter,
            } => {
                let nonce = nonce(*fixed, counter);
                let (length, body) = packet.split_first_chunk_mut::<4>().expect("a packet");
                let (body, tag) = body.split_last_chunk_mut::<16>().expect("a packet");
                let tag = Tag::from(*tag);
                key.open_in_place_separate_tag(nonce, Aad::from(*length), tag, body, 0..)
                    .expect("opened");
            }
            Cipher::Open(key) => {
                let (text, tag) = packet.split_last_chunk_mut::<16>().expect("a packet");
                key.open_in_place(seq, text, tag).expect("opened");
            }
            Cipher::Seal(_) => unreachable!("of the other direction"),
            Cipher::WithMac {
                stream,
                mac,
                tag_len,
                etm,
                ..
            } => {
                let (text, tag) = packet.split_at_mut(packet.len() - *tag_len);
                if *etm {
                    mac.verify(seq, text, tag);
                    stream.apply(&mut text[4..]);
                } else {
                    stream.apply(&mut text[front..]);
                    mac.verify(seq, text, tag);
                }
            }
        }
    }

    /// Opens everything, and says how long each packet was.
    pub(crate) fn walk(&mut self, mut stream: &mut [u8]) -> Vec<u32> {
        let mut lengths = Vec::new();
        while let Some(first) = stream.first_chunk::<4>() {
            let (length, front) = match &mut self.cipher {
                Cipher::Open(key) => (key.decrypt_packet_length(self.seq, *first), 0),
                Cipher::WithMac {
                    stream: cipher,
                    block_len,
                    etm: false,
                    ..
                } => {
                    cipher.apply(&mut stream[..*block_len]);
                    (*stream.first_chunk().expect("a block"), *block_len)
                }
                _ => (*first, 0),
            };
            let tag = match &self.cipher {
                Cipher::WithMac { tag_len, .. } => *tag_len,
                _ => 16,
            };
            let length = 4 + u32::from_be_bytes(length) as usize + tag;
            let (packet, rest) = stream.split_at_mut(length);
            self.open_from(packet, front);
            lengths.push(length as u32);
            stream = rest;
        }
        lengths
    }

    const fn next(&mut self) -> u32 {
        self.seq += 1;
        self.seq - 1
    }
}

fn nonce(fixed: [u8; 4], counter: &mut u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&fixed);
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    *counter = counter.wrapping_add(1);
    Nonce::assume_unique_for_key(nonce)
}

impl Stream {
    fn new(cipher: CipherAlgorithm, direction: Direction, key: &[u8], iv: &[u8]) -> Self {
        match cipher {
            CipherAlgorithm::Aes128Ctr => Self::Aes128Ctr(keyed(key, iv)),
            CipherAlgorithm::Aes192Ctr => Self::Aes192Ctr(keyed(key, iv)),
            CipherAlgorithm::Aes256Ctr => Self::Aes256Ctr(keyed(key, iv)),
            CipherAlgorithm::TdesCtr => Self::TdesCtr(keyed(key, iv)),
            CipherAlgorithm::Arcfour
            | CipherAlgorithm::Arcfour128
            | CipherAlgorithm::Arcfour256 => {
                let mut stream = Rc4::new_from_slice(key).expect("any length");
                if cipher != CipherAlgorithm::Arcfour {
                    stream.apply_keystream(&mut [0; 1536]);
                }
                Self::Arcfour(stream)
            }
            CipherAlgorithm::Aes128Cbc => Self::Aes128Cbc(Cbc::new(direction, key, iv)),
            CipherAlgorithm::Aes192Cbc => Self::Aes192Cbc(Cbc::new(direction, key, iv)),
            CipherAlgorithm::Aes256Cbc => Self::Aes256Cbc(Cbc::new(direction, key, iv)),
            CipherAlgorithm::TdesCbc => Self::TdesCbc(Cbc::new(direction, key, iv)),
            CipherAlgorithm::BlowfishCbc => Self::BlowfishCbc(Cbc::new(direction, key, iv)),
            CipherAlgorithm::Cast128Cbc => Self::Cast128Cbc(Cbc::new(direction, key, iv)),
            other => panic!("{other:?} has no MAC beside it"),
        }
    }

    fn apply(&mut self, bytes: &mut [u8]) {
        match self {
            Self::Aes128Ctr(stream) => stream.apply_keystream(bytes),
            Self::Aes192Ctr(stream) => stream.apply_keystream(bytes),
            Self::Aes256Ctr(stream) => stream.apply_keystream(bytes),
            Self::TdesCtr(stream) => stream.apply_keystream(bytes),
            Self::Arcfour(stream) => stream.apply_keystream(bytes),
            Self::Aes128Cbc(chain) => chain.apply(bytes),
            Self::Aes192Cbc(chain) => chain.apply(bytes),
            Self::Aes256Cbc(chain) => chain.apply(bytes),
            Self::TdesCbc(chain) => chain.apply(bytes),
            Self::BlowfishCbc(chain) => chain.apply(bytes),
            Self::Cast128Cbc(chain) => chain.apply(bytes),
        }
    }
}

impl<C: BlockCipherEncrypt + BlockCipherDecrypt + KeyInit> Cbc<C> {
    fn new(direction: Direction, key: &[u8], iv: &[u8]) -> Self {
        match direction {
            Direction::Sealing => Self::Seal(keyed(key, iv)),
            Direction::Opening => Self::Open(keyed(key, iv)),
        }
    }

    fn apply(&mut self, bytes: &mut [u8]) {
        let (blocks, _) = Block::<C>::slice_as_chunks_mut(bytes);
        match self {
            Self::Seal(chain) => chain.encrypt_blocks(blocks),
            Self::Open(chain) => chain.decrypt_blocks(blocks),
        }
    }
}

fn keyed<C: KeyIvInit>(key: &[u8], iv: &[u8]) -> C {
    C::new_from_slices(key, iv).expect("their lengths")
}

impl Key {
    fn new(mac: MacAlgorithm, key: &[u8]) -> Self {
        fn hmac<M: Mac + KeyInit>(key: &[u8]) -> M {
            M::new_from_slice(key).expect("any length")
        }
        let name = mac.name();
        let is = |function: &str| name.starts_with(function);
        match () {
            () if is("hmac-md5") => Self::Md5(hmac(key)),
            () if is("hmac-ripemd160") => Self::Ripemd160(hmac(key)),
            () if is("hmac-sha1") => Self::Sha1(hmac(key)),
            () if is("hmac-sha2-256") => Self::Sha256(hmac(key)),
            () if is("hmac-sha2-512") => Self::Sha512(hmac(key)),
            () => Self::Umac(Umac::new(mac, key).expect("its length")),
        }
    }

    fn tag(&self, seq: u32, text: &[u8], tag: &mut [u8]) {
        fn end(mac: impl Mac, tag: &mut [u8]) {
            let made = mac.finalize().into_bytes();
            tag.copy_from_slice(&made[..tag.len()]);
        }
        match self {
            Self::Md5(key) => end(mac(key, seq, text), tag),
            Self::Ripemd160(key) => end(mac(key, seq, text), tag),
            Self::Sha1(key) => end(mac(key, seq, text), tag),
            Self::Sha256(key) => end(mac(key, seq, text), tag),
            Self::Sha512(key) => end(mac(key, seq, text), tag),
            Self::Umac(key) => key.tag(seq, text, tag),
        }
    }

    fn verify(&self, seq: u32, text: &[u8], tag: &[u8]) {
        let verified = match self {
            Self::Md5(key) => mac(key, seq, text).verify_truncated_left(tag).is_ok(),
            Self::Ripemd160(key) => mac(key, seq, text).verify_truncated_left(tag).is_ok(),
            Self::Sha1(key) => mac(key, seq, text).verify_truncated_left(tag).is_ok(),
            Self::Sha256(key) => mac(key, seq, text).verify_truncated_left(tag).is_ok(),
            Self::Sha512(key) => mac(key, seq, text).verify_truncated_left(tag).is_ok(),
            Self::Umac(key) => key.verify(seq, text, tag),
        };
        assert!(verified);
    }
}

fn mac<M: Mac + Clone>(key: &M, seq: u32, text: &[u8]) -> M {
    let mut mac = key.clone();
    mac.update(&seq.to_be_bytes());
    mac.update(text);
    mac
}

// --- keys --------------------------------------------------------------------------------------

/// What keys are derived from (RFC 4253 section 7.2).
struct Secret<'a> {
    /// K, encoded.
    shared: Vec<u8>,
    /// H, which is the session identifier in the first exchange.
    hash: &'a [u8],
}

impl<'a> Secret<'a> {
    /// The client's scalar is what its seed makes it: see `random.rs` and `crypto/generator.rs` of
    /// the core. Should that change, nothing opens here.
    fn of(server_public: [u8; 32], hash: &'a [u8]) -> Self {
        let mut random = SeededRandom::new(CLIENT_SEED);
        let (mut seed, mut fresh) = ([0; 32], [0; 32]);
        random.fill(&mut seed);
        random.fill(&mut fresh);
        let mut key = hmac_sha256(&hmac_sha256(&seed, b"kex"), &fresh);
        let mut scalar = [0; 32];
        let mut stream = Ctr128BE::<Aes256>::new(&key.into(), &[0; 16].into());
        stream.apply_keystream(&mut key);
        stream.apply_keystream(&mut scalar);
        let number = MontgomeryPoint(server_public)
            .mul_clamped(scalar)
            .to_bytes();
        let mut shared = Vec::new();
        shared.put_mpint(Mpint::from_unsigned(&number));
        Self { shared, hash }
    }

    fn derive(&self, letter: u8, len: usize) -> Vec<u8> {
        let begin = || {
            Sha256::new()
                .chain_update(&self.shared)
                .chain_update(self.hash)
        };
        let first = begin().chain_update([letter]).chain_update(self.hash);
        let mut key = first.finalize().to_vec();
        while key.len() < len {
            let more = begin().chain_update(&key).finalize();
            key.extend_from_slice(&more);
        }
        key.truncate(len);
        key
    }
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The server's public value, and what it said under keys.
fn in_clear(said: &[u8]) -> ([u8; 32], &[u8]) {
    let line = said.windows(2).position(|end| end == b"\r\n");
    let mut rest = &said[line.expect("a line") + 2..];
    let mut public = None;
    loop {
        let (length, behind) = rest.split_first_chunk().expect("a packet");
        let (packet, behind) = behind.split_at(u32::from_be_bytes(*length) as usize);
        let payload = &packet[1..packet.len() - usize::from(packet[0])];
        rest = behind;
        if let Ok(reply) = KexEcdhReply::decode(payload) {
            public = reply.server_public.try_into().ok();
        }
        if payload == [number::SSH_MSG_NEWKEYS] {
            return (public.expect("a reply before"), rest);
        }
    }
}
