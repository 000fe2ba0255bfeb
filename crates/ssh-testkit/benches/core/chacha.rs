//! What `chacha20-poly1305@openssh.com` can be composed of: the construct of `ring`; the crates `chacha20`
//! and `poly1305`; and what the core uses, the first of these crates and a Poly1305 of its own.
//!
//! The second seals in pieces, each hashed while it is still in the first cache. All verify the whole
//! before they decrypt anything.

use std::hint::black_box;

use chacha20::ChaCha20Legacy;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use poly1305::universal_hash::{KeyInit, UniversalHash};
use poly1305::{Block, Poly1305};
use ring::aead::chacha20_poly1305_openssh as ring_chacha;

use ssh_proto::fuzzing::ChaCha;

use super::{median, time};

const SIZES: [usize; 8] = [64, 256, 1024, 2048, 4096, 8192, 16 * 1024, 32 * 1024];
const KEY: [u8; 64] = [0x42; 64];
/// Sealed before it is hashed: a multiple of both blocks.
const PIECE: usize = 1024;
const BLOCK: usize = 16;
const SLICES: usize = 60;
const SLICE: usize = 1 << 20;

/// Who is compared. Each seals and opens a packet of its own.
trait Contestant {
    fn seal(&mut self, packet: &mut [u8]);
    fn open(&mut self, packet: &mut [u8]) -> bool;
}

pub(crate) fn table() {
    let mut ring = Ring {
        sealing: ring_chacha::SealingKey::new(&KEY),
        opening: ring_chacha::OpeningKey::new(&KEY),
    };
    let mut pair = Pair::new(&KEY);
    let mut ours = ChaCha::new(&KEY).expect("a key");
    let mut all: [&mut dyn Contestant; 3] = [&mut ring, &mut pair, &mut ours];
    println!("\nGB/s, medians of {SLICES} slices in turns\n");
    println!(
        "| bytes | `ring` seals | the crates | ours | to `ring` | `ring` opens | the crates | ours | to `ring` |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for size in SIZES {
        let plain: Vec<u8> = (0..4 + size + BLOCK).map(|n| n as u8).collect();
        let mut sealed = all.each_mut().map(|one| {
            let mut packet = plain.clone();
            one.seal(&mut packet);
            packet
        });
        assert!(
            sealed.iter().all(|packet| *packet == sealed[0]),
            "they differ"
        );
        let packets = SLICE / size;
        // What is opened must be sealed: so many copies of it, in a cache.
        let copies = (512 * 1024 / plain.len()).min(packets);
        let stream = sealed[0].repeat(copies);
        let rounds = packets.div_ceil(copies);
        let part = packets as f64 / (rounds * copies) as f64;
        let (mut sealing, mut opening) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
        for _ in 0..SLICES {
            for (n, one) in all.iter_mut().enumerate() {
                sealing[n].push(time(|| {
                    for _ in 0..packets {
                        one.seal(black_box(&mut sealed[n]));
                    }
                }));
            }
            let mut taken = [0.0; 3];
            for _ in 0..rounds {
                for (one, taken) in all.iter_mut().zip(&mut taken) {
                    let mut stream = stream.clone();
                    *taken += time(|| {
                        for packet in stream.chunks_exact_mut(plain.len()) {
                            assert!(one.open(packet), "sealed");
                        }
                    });
                }
            }
            for (times, taken) in opening.iter_mut().zip(taken) {
                times.push(taken * part);
            }
        }
        let speeds = [sealing, opening].map(|times| {
            let speeds = times.map(|times| SLICE as f64 / median(&times));
            let gain = speeds[2] / speeds[0];
            let [ring, pair, ours] = speeds;
            format!("{ring:.2} | {pair:.2} | {ours:.2} | {gain:.2}")
        });
        println!("| {size} | {} |", speeds.join(" | "));
    }
}

struct Ring {
    sealing: ring_chacha::SealingKey,
    opening: ring_chacha::OpeningKey,
}

impl Contestant for Ring {
    fn seal(&mut self, packet: &mut [u8]) {
        let (text, tag) = packet.split_last_chunk_mut().expect("a packet");
        self.sealing.seal_in_place(0, text, tag);
    }

    fn open(&mut self, packet: &mut [u8]) -> bool {
        let (text, tag) = packet.split_last_chunk_mut().expect("a packet");
        self.opening.open_in_place(0, text, tag).is_ok()
    }
}

impl Contestant for ChaCha {
    fn seal(&mut self, packet: &mut [u8]) {
        assert!(self.seal(0, packet), "a packet");
    }

    fn open(&mut self, packet: &mut [u8]) -> bool {
        self.open(0, packet)
    }
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
}

impl Contestant for Pair {
    fn seal(&mut self, packet: &mut [u8]) {
        let (text, tag) = packet.split_last_chunk_mut::<BLOCK>().expect("a packet");
        let (mut stream, mut hash) = self.start(0);
        self.apply_length(0, &mut text[..4]);
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

    fn open(&mut self, packet: &mut [u8]) -> bool {
        let (text, tag) = packet.split_last_chunk_mut::<BLOCK>().expect("a packet");
        let (mut stream, hash) = self.start(0);
        // In constant time, were it not a bench.
        let equal = hash.compute_unpadded(text)[..] == tag[..];
        if equal {
            stream.apply_keystream(&mut text[4..]);
        }
        equal
    }
}
