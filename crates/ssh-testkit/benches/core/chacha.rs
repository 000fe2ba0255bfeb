//! What `chacha20-poly1305@openssh.com` can be composed of: the construct of `ring`, which is what
//! the core uses, and one of the crates `chacha20` and `poly1305`.
//!
//! The second seals in pieces, each hashed while it is still in the first cache, and verifies the
//! whole before it decrypts anything.

use std::hint::black_box;

use chacha20::ChaCha20Legacy;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use poly1305::universal_hash::{KeyInit, UniversalHash};
use poly1305::{Block, Poly1305};
use ring::aead::chacha20_poly1305_openssh as ring_chacha;

use super::{median, time};

const SIZES: [usize; 8] = [64, 256, 1024, 2048, 4096, 8192, 16 * 1024, 32 * 1024];
const KEY: [u8; 64] = [0x42; 64];
/// Sealed before it is hashed: a multiple of both blocks.
const PIECE: usize = 1024;
const BLOCK: usize = 16;
const SLICES: usize = 60;
const SLICE: usize = 1 << 20;

pub(crate) fn table() {
    let ring_sealing = ring_chacha::SealingKey::new(&KEY);
    let ring_opening = ring_chacha::OpeningKey::new(&KEY);
    let pair = Pair::new(&KEY);
    println!("\nGB/s, medians of {SLICES} slices in turns\n");
    println!("| bytes | ring seals | the pair seals | gain | ring opens | the pair opens | gain |");
    println!("|---|---|---|---|---|---|---|");
    for size in SIZES {
        let packet: Vec<u8> = (0..4 + size + BLOCK).map(|n| n as u8).collect();
        let (mut one, mut other) = (packet.clone(), packet);
        ring_seal(&ring_sealing, &mut one);
        pair.seal(0, &mut other);
        assert!(one == other, "they differ");
        let packets = SLICE / size;
        let mut times = [const { Vec::new() }; 4];
        for _ in 0..SLICES {
            let mut buffer = one.clone();
            times[0].push(time(|| {
                for _ in 0..packets {
                    ring_seal(&ring_sealing, black_box(&mut buffer));
                }
            }));
            times[1].push(time(|| {
                for _ in 0..packets {
                    pair.seal(0, black_box(&mut buffer));
                }
            }));
            // What is opened must be sealed: so many copies of it, in a cache.
            let copies = (512 * 1024 / one.len()).min(packets);
            let sealed = one.repeat(copies);
            let rounds = packets.div_ceil(copies);
            let (mut ring_time, mut pair_time) = (0.0, 0.0);
            for _ in 0..rounds {
                let mut stream = sealed.clone();
                ring_time += time(|| {
                    for packet in stream.chunks_exact_mut(one.len()) {
                        let (text, tag) = packet.split_last_chunk_mut().expect("a packet");
                        ring_opening.open_in_place(0, text, tag).expect("sealed");
                    }
                });
                let mut stream = sealed.clone();
                pair_time += time(|| {
                    for packet in stream.chunks_exact_mut(one.len()) {
                        assert!(pair.open(0, packet), "sealed");
                    }
                });
            }
            let part = packets as f64 / (rounds * copies) as f64;
            times[2].push(ring_time * part);
            times[3].push(pair_time * part);
        }
        let speeds = times.map(|times| SLICE as f64 / median(&times));
        println!(
            "| {size} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
            speeds[0],
            speeds[1],
            speeds[1] / speeds[0],
            speeds[2],
            speeds[3],
            speeds[3] / speeds[2],
        );
    }
}

fn ring_seal(key: &ring_chacha::SealingKey, packet: &mut [u8]) {
    let (text, tag) = packet.split_last_chunk_mut().expect("a packet");
    key.seal_in_place(0, text, tag);
}

/// The two keys of OpenSSH's `PROTOCOL.chacha20poly1305`.
struct Pair {
    body: [u8; 32],
    length: [u8; 32],
}

impl Pair {
    fn new(key: &[u8; 64]) -> Self {
        let (body, length) = key.split_at(32);
        Self {
            body: body.try_into().expect("32 bytes"),
            length: length.try_into().expect("32 bytes"),
        }
    }

    /// The keystream from the second block on, and what hashes with a key from the first.
    fn start(&self, seq: u32) -> (ChaCha20Legacy, Poly1305) {
        let nonce = u64::from(seq).to_be_bytes();
        let mut stream = ChaCha20Legacy::new(&self.body.into(), &nonce.into());
        let mut first = [0; 64];
        stream.apply_keystream(&mut first);
        let (key, _) = first.split_first_chunk::<32>().expect("64 bytes");
        (stream, Poly1305::new(&(*key).into()))
    }

    fn apply_length(&self, seq: u32, length: &mut [u8]) {
        let nonce = u64::from(seq).to_be_bytes();
        ChaCha20Legacy::new(&self.length.into(), &nonce.into()).apply_keystream(length);
    }

    fn seal(&self, seq: u32, packet: &mut [u8]) {
        let (text, tag) = packet.split_last_chunk_mut::<BLOCK>().expect("a packet");
        let (mut stream, mut hash) = self.start(seq);
        self.apply_length(seq, &mut text[..4]);
        // The blocks of the hash begin with the length, those of the cipher behind it.
        let (mut encrypted, mut hashed) = (4, 0);
        while encrypted < text.len() {
            let end = text.len().min(encrypted + PIECE);
            stream.apply_keystream(&mut text[encrypted..end]);
            encrypted = end;
            let (blocks, _) = Block::slice_as_chunks(&text[hashed..encrypted]);
            hash.update(blocks);
            hashed += blocks.len() * BLOCK;
        }
        tag.copy_from_slice(&hash.compute_unpadded(&text[hashed..]));
    }

    fn open(&self, seq: u32, packet: &mut [u8]) -> bool {
        let (text, tag) = packet.split_last_chunk_mut::<BLOCK>().expect("a packet");
        let (mut stream, hash) = self.start(seq);
        // In constant time, were it not a bench.
        let equal = hash.compute_unpadded(text)[..] == tag[..];
        if equal {
            stream.apply_keystream(&mut text[4..]);
        }
        equal
    }
}
