//! What `chacha20-poly1305@openssh.com` can be composed of: the construct of `ring`; the crates `chacha20`
//! and `poly1305`; and what the core has, with the best vectors of this CPU and with those below.
//!
//! The second seals in pieces, each hashed while it is still in the first cache. Who opens decrypts the
//! length, as who reads from a connection has to, and verifies the whole before the rest.

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
/// The places of two contestants.
const RING: usize = 0;
const OURS: usize = 2;

/// Who is compared. Each seals and opens a packet of its own.
trait Contestant {
    fn seal(&mut self, seq: u32, packet: &mut [u8]);
    fn open(&mut self, seq: u32, packet: &mut [u8]) -> bool;
}

pub(crate) fn table() {
    let mut ring = Ring {
        sealing: ring_chacha::SealingKey::new(&KEY),
        opening: ring_chacha::OpeningKey::new(&KEY),
    };
    let mut pair = Pair::new(&KEY);
    let mut ours = ChaCha::every(&KEY).expect("a key");
    let mut names = vec!["`ring`".to_owned(), "the crates".to_owned()];
    names.extend(ours.iter().map(|(name, _)| format!("ours, {name}")));
    let mut all: Vec<&mut dyn Contestant> = vec![&mut ring, &mut pair];
    for (_, ours) in &mut ours {
        all.push(ours);
    }
    println!("\nGB/s, medians of {SLICES} slices in turns\n");
    let names = names.join(" | ");
    println!("| bytes | {names} | to `ring` | opening: {names} | to `ring` |");
    println!("|---|{}", "---|".repeat(2 * (all.len() + 1)));
    for size in SIZES {
        let plain: Vec<u8> = (0..4 + size + BLOCK).map(|n| n as u8).collect();
        let seal = |one: &mut &mut dyn Contestant| {
            let mut packet = plain.clone();
            one.seal(0, &mut packet);
            packet
        };
        let mut sealed: Vec<Vec<u8>> = all.iter_mut().map(seal).collect();
        assert!(
            sealed.iter().all(|packet| *packet == sealed[0]),
            "they differ"
        );
        let packets = SLICE / size;
        // What is opened must be sealed: so many packets, in a cache.
        let copies = (512 * 1024 / plain.len()).min(packets);
        let mut stream = plain.repeat(copies);
        for (seq, packet) in (0..).zip(stream.chunks_exact_mut(plain.len())) {
            all[RING].seal(seq, packet);
        }
        let rounds = packets.div_ceil(copies);
        let part = packets as f64 / (rounds * copies) as f64;
        let (mut sealing, mut opening) = (vec![Vec::new(); all.len()], vec![Vec::new(); all.len()]);
        for _ in 0..SLICES {
            for (n, one) in all.iter_mut().enumerate() {
                sealing[n].push(time(|| {
                    for _ in 0..packets {
                        one.seal(7, black_box(&mut sealed[n]));
                    }
                }));
            }
            let mut taken = vec![0.0; all.len()];
            for _ in 0..rounds {
                for (one, taken) in all.iter_mut().zip(&mut taken) {
                    let mut stream = stream.clone();
                    *taken += time(|| {
                        for (seq, packet) in (0..).zip(stream.chunks_exact_mut(plain.len())) {
                            assert!(one.open(seq, packet), "sealed");
                        }
                    });
                }
            }
            for (times, taken) in opening.iter_mut().zip(taken) {
                times.push(taken * part);
            }
        }
        let cells = [sealing, opening].map(|times| {
            let speeds: Vec<f64> = times
                .iter()
                .map(|times| SLICE as f64 / median(times))
                .collect();
            let shown: Vec<String> = speeds.iter().map(|speed| format!("{speed:.2}")).collect();
            format!("{} | {:.2}", shown.join(" | "), speeds[OURS] / speeds[RING])
        });
        println!("| {size} | {} |", cells.join(" | "));
    }
}

struct Ring {
    sealing: ring_chacha::SealingKey,
    opening: ring_chacha::OpeningKey,
}

impl Contestant for Ring {
    fn seal(&mut self, seq: u32, packet: &mut [u8]) {
        let (text, tag) = packet.split_last_chunk_mut().expect("a packet");
        self.sealing.seal_in_place(seq, text, tag);
    }

    fn open(&mut self, seq: u32, packet: &mut [u8]) -> bool {
        let (text, tag) = packet.split_last_chunk_mut().expect("a packet");
        let length = *text.first_chunk().expect("a length");
        black_box(self.opening.decrypt_packet_length(seq, length));
        self.opening.open_in_place(seq, text, tag).is_ok()
    }
}

impl Contestant for ChaCha {
    fn seal(&mut self, seq: u32, packet: &mut [u8]) {
        assert!(self.seal(seq, packet), "a packet");
    }

    fn open(&mut self, seq: u32, packet: &mut [u8]) -> bool {
        self.open(seq, packet)
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
    fn seal(&mut self, seq: u32, packet: &mut [u8]) {
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

    fn open(&mut self, seq: u32, packet: &mut [u8]) -> bool {
        let (text, tag) = packet.split_last_chunk_mut::<BLOCK>().expect("a packet");
        let (mut stream, hash) = self.start(seq);
        // In constant time, were it not a bench.
        let equal = hash.compute_unpadded(text)[..] == tag[..];
        if equal {
            self.apply_length(seq, &mut text[..4]);
            stream.apply_keystream(&mut text[4..]);
        }
        equal
    }
}
