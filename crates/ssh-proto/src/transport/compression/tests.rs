//! Both halves against one another, against streams of zlib, and against an implementation that shares
//! no code with them (zlib-rs).

mod vectors;

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use std::println;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use proptest::prelude::*;

use super::*;
use crate::algorithm::CompressionAlgorithm;
use crate::error::{CompressionError, Error, LimitExceeded};
use crate::random::Random as _;
use crate::random::testing::SeededRandom;

const METHOD: CompressionAlgorithm = CompressionAlgorithm::ZlibOpenSsh;
const LIMIT: usize = 256 * 1024;

fn deflater(level: u8) -> Deflater {
    let mut deflater = Deflater::new();
    deflater.begin(METHOD, level);
    deflater.authenticated();
    deflater
}

fn inflater() -> Inflater {
    let mut inflater = Inflater::new();
    inflater.begin(METHOD);
    inflater
}

/// Compresses one payload where it lies.
fn pack(deflater: &mut Deflater, payload: &[u8]) -> Vec<u8> {
    let mut room = payload.to_vec();
    room.resize(payload.len() + deflater.growth(payload.len()), 0);
    let made = deflater.pack(&mut room, payload.len()).unwrap();
    assert!(
        room[made..].iter().all(|b| *b == 0),
        "plaintext is left behind"
    );
    room.truncate(made);
    room
}

fn unpack(inflater: &mut Inflater, packed: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
    let mut room = vec![0; limit];
    let length = inflater.unpack(packed, &mut room, true)?;
    assert!(room[length..].iter().all(|b| *b == 0), "beyond its length");
    room.truncate(length);
    Ok(room)
}

/// The other implementation.
struct Theirs(Compress);

impl Theirs {
    fn new(level: u32) -> Self {
        Self(Compress::new(Compression::new(level), true))
    }

    fn pack(&mut self, payload: &[u8], flush: FlushCompress) -> Vec<u8> {
        let mut packed = vec![0; 2 * payload.len() + 200];
        let (read, made) = (self.0.total_in(), self.0.total_out());
        self.0.compress(payload, &mut packed, flush).unwrap();
        assert_eq!(self.0.total_in() - read, payload.len() as u64);
        packed.truncate(usize::try_from(self.0.total_out() - made).unwrap());
        packed
    }
}

/// What the other implementation makes of a packet, or why it refuses it. As there is no last block here
/// either, the end of the stream is an error.
fn theirs(decompress: &mut Decompress, packed: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let mut room = vec![0; most];
    let made = decompress.total_out();
    match decompress.decompress(packed, &mut room, FlushDecompress::Sync) {
        Ok(Status::StreamEnd) => Err("the end".to_string()),
        Ok(_) => {
            room.truncate(usize::try_from(decompress.total_out() - made).unwrap());
            Ok(room)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Words, so that there is something to compress.
fn text(length: usize, seed: u64) -> Vec<u8> {
    const WORDS: [&str; 8] = [
        "channel ",
        "window ",
        "key ",
        "exchange ",
        "of ",
        "\n",
        "packet ",
        "host ",
    ];
    let mut choices = vec![0; length / 2 + 1];
    SeededRandom::new(seed).fill(&mut choices).unwrap();
    let words = choices
        .iter()
        .flat_map(|n| WORDS[usize::from(n % 8)].bytes());
    words.take(length).collect()
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SeededRandom::new(seed).fill(&mut bytes).unwrap();
    bytes
}

/// Payloads as they come: small, large, of one letter, text, and what cannot be compressed.
fn payloads() -> Vec<Vec<u8>> {
    let mut all = vec![vec![2], vec![2, 0, 0, 0, 0], text(9, 1), vec![b'z'; 32_777]];
    all.extend([
        text(32_777, 2),
        noise(32_777, 3),
        text(100, 4),
        noise(100, 5),
    ]);
    // What was sent before and lies at the far end of the window, and beyond it.
    all.extend([
        text(32_777, 2),
        noise(32_777, 3),
        noise(70_000, 6),
        text(250_000, 7),
    ]);
    all.extend((30..70).map(|length| noise(length, 8)));
    all
}

#[test]
fn what_is_packed_here_unpacks_elsewhere_packet_by_packet_at_every_level() {
    for level in 0..=9 {
        let (mut ours, mut elsewhere) = (deflater(level), Decompress::new(true));
        let mut here = inflater();
        for payload in payloads() {
            let packed = pack(&mut ours, &payload);
            let length = payload.len();
            assert!(packed.len() < bound_of(length), "{level} {length}");
            // Well below what there is room for.
            assert!(
                packed.len() <= length + length / 512 + 20,
                "{level} {length}"
            );
            let there = theirs(&mut elsewhere, &packed, length + 1);
            assert!(there.as_ref() == Ok(&payload), "{level} {length}");
            assert_eq!(unpack(&mut here, &packed, length).unwrap(), payload);
        }
    }
}

fn bound_of(length: usize) -> usize {
    deflate_bound(length)
}

/// A synchronising flush would do as well, and is what the layer above makes of a partial one.
#[test]
fn a_packet_ends_with_a_partial_flush_and_no_other() {
    for level in 1..=9 {
        let mut ours = deflater(level);
        let first = pack(&mut ours, b"\x5e\0\0\0\x01\0\0\0\x0cattack at da");
        let second = pack(&mut ours, b"\x5e\0\0\0\x01\0\0\0\x0cattack at du");
        // As zlib has it: see `VECTORS`.
        // About what zlib makes of them, see `VECTORS`.
        assert!(
            first.len() <= 26 && second.len() <= 7,
            "{level}: {first:02x?} {second:02x?}"
        );
        assert!(!second.ends_with(&[0, 0, 0xff, 0xff]));
        // An octet of data and an empty block of ten bits.
        assert!(pack(&mut ours, b"\x5e").len() <= 4);
    }
}

#[test]
fn what_is_packed_elsewhere_unpacks_here_with_every_kind_of_flush() {
    for level in 0..=9 {
        for flush in [
            FlushCompress::Partial,
            FlushCompress::Sync,
            FlushCompress::Full,
        ] {
            let (mut elsewhere, mut here) = (Theirs::new(level), inflater());
            for payload in payloads() {
                let packed = elsewhere.pack(&payload, flush);
                let unpacked = unpack(&mut here, &packed, payload.len());
                assert!(unpacked.unwrap() == payload, "{level} {flush:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn packets_of_any_size_come_back(
        level in 0u8..=9,
        packets in prop::collection::vec((0usize..5000, any::<u64>(), 0u8..3), 1..20),
        restart in 0usize..20,
    ) {
        let (mut ours, mut here) = (deflater(level), inflater());
        let mut elsewhere = Decompress::new(true);
        for (n, (length, seed, kind)) in packets.into_iter().enumerate() {
            if n == restart {
                ours.begin(METHOD, level);
                here.begin(METHOD);
                elsewhere = Decompress::new(true);
            }
            let mut payload = match kind {
                0 => text(length, seed),
                1 => noise(length, seed),
                _ => vec![seed as u8; length],
            };
            payload.push(seed as u8);
            let packed = pack(&mut ours, &payload);
            prop_assert_eq!(&unpack(&mut here, &packed, payload.len()).unwrap(), &payload);
            prop_assert_eq!(theirs(&mut elsewhere, &packed, payload.len() + 1), Ok(payload));
        }
    }
}

#[test]
fn z1_a_bomb_goes_off_at_the_limit() {
    // 32 KiB that inflate to 32 MiB.
    let bomb = Theirs::new(9).pack(&vec![0; 32 << 20], FlushCompress::Partial);
    assert!((30_000..33_000).contains(&bomb.len()), "{}", bomb.len());
    for limit in [
        0,
        1,
        258,
        32 * 1024 - 1,
        32 * 1024,
        32 * 1024 + 1,
        35_000,
        LIMIT,
    ] {
        let mut room = vec![1; limit];
        let mut here = inflater();
        let error = here.unpack(&bomb, &mut room, true).unwrap_err();
        assert!(
            matches!(error, Error::Limit(LimitExceeded::Inflated(n)) if n as usize == limit),
            "{limit}: {error}"
        );
    }
}

#[test]
fn z2_what_inflates_to_the_limit_is_intact_and_one_more_is_too_much() {
    for limit in [
        1,
        1000,
        32 * 1024 - 1,
        32 * 1024,
        32 * 1024 + 1,
        100_000,
        LIMIT,
    ] {
        for seed in 0..3 {
            let payload = match seed {
                0 => vec![7; limit],
                1 => text(limit, seed),
                _ => noise(limit, seed),
            };
            for flush in [FlushCompress::Partial, FlushCompress::Sync] {
                // Something before, so that the end lies anywhere in the window.
                let (mut elsewhere, mut here) = (Theirs::new(6), inflater());
                for length in [1, 32 * 1024 - 1] {
                    let packed = elsewhere.pack(&text(length, 9), flush);
                    unpack(&mut here, &packed, length).unwrap();
                }
                let packed = elsewhere.pack(&payload, flush);
                assert!(
                    unpack(&mut here, &packed, limit).unwrap() == payload,
                    "{limit} {seed}"
                );
                let packed = elsewhere.pack(&payload, flush);
                let error = unpack(&mut here, &packed, limit - 1).unwrap_err();
                assert!(
                    matches!(error, Error::Limit(LimitExceeded::Inflated(n)) if n as usize == limit - 1)
                );
            }
        }
    }
    let packed = Theirs::new(9).pack(&vec![0; LIMIT], FlushCompress::Partial);
    assert!(packed.len() < LIMIT / 100, "a hundred to one");
}

/// Packs bits, the lowest of an octet first (RFC 1951 section 3.1.1).
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// A stream with the usual header.
    fn stream() -> Self {
        Self {
            bytes: vec![0x78, 0x9c],
            used: 0,
        }
    }

    fn put(&mut self, bits: u32, count: u32) {
        for n in 0..count {
            if self.used == 0 {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= u8::from(bits >> n & 1 == 1) << self.used;
            self.used = (self.used + 1) % 8;
        }
    }

    /// A code of the fixed tables, whose highest bit comes first.
    fn code(&mut self, code: u32, length: u32) {
        for n in (0..length).rev() {
            self.put(code >> n, 1);
        }
    }

    /// An empty block with the fixed tables, not the last one.
    fn empty_block(&mut self) {
        self.put(0b010, 3);
        self.put(0, 7);
    }
}

fn error_of(packed: &[u8]) -> CompressionError {
    match unpack(&mut inflater(), packed, 100) {
        Err(Error::Compression(error)) => error,
        other => panic!("{packed:02x?}: {other:?}"),
    }
}

#[test]
fn z3_streams_that_break_a_rule_are_refused() {
    use CompressionError::{Damaged, Ended};
    // RFC 1950 section 2.2: the method, the size of the window, the check, a preset dictionary.
    for header in [
        [0x79, 0x9c],
        [0x88, 0x1c],
        [0x78, 0x9d],
        [0x78, 0xbb],
        [0, 0],
    ] {
        assert_eq!(error_of(&header), Damaged, "{header:02x?}");
    }
    // `zlib.compressobj(6, zdict=b"attack at dawn")`.
    let packed = hex::decode("78bb278a05384a44e10104").unwrap();
    assert_eq!(error_of(&packed), Damaged, "a preset dictionary");
    // The last block, and the right checksum behind it: `zlib.compress(b"\2\0\0\0\0")`.
    let mut packed = hex::decode("789c6362000200000f0003").unwrap();
    assert_eq!(error_of(&packed), Ended);
    packed.push(7);
    assert_eq!(error_of(&packed), Ended, "and goes on");
    *packed.last_mut().unwrap() ^= 1;
    assert_eq!(error_of(&packed), Ended, "with a wrong checksum");

    let mut reserved = Bits::stream();
    reserved.put(0b110, 3);
    assert_eq!(error_of(&reserved.bytes), Damaged, "a block of type 3");
    let stored = [0x78, 0x9c, 0, 2, 0, 0xfd, 0xfe, 1, 2];
    assert_eq!(
        error_of(&stored),
        Damaged,
        "a length without its complement"
    );
    // One literal, and a match of three octets from two back: before the beginning.
    let mut far = Bits::stream();
    far.put(0b010, 3);
    far.code(0x30 + 2, 8);
    far.code(1, 7);
    far.code(1, 5);
    far.put(0, 7);
    assert_eq!(
        error_of(&far.bytes),
        Damaged,
        "a match before the beginning"
    );
    for (what, (hlit, hdist)) in [("too many literals", (30, 0)), ("distances", (0, 30))] {
        let mut tables = Bits::stream();
        tables.put(0b100, 3);
        tables.put(hlit, 5);
        tables.put(hdist, 5);
        tables.put(0, 4);
        tables.put(0, 12);
        assert_eq!(error_of(&tables.bytes), Damaged, "{what}");
    }
    let mut oversubscribed = Bits::stream();
    oversubscribed.put(0b100, 3);
    oversubscribed.put(0, 14);
    oversubscribed.put(0b001_001_001_001, 12);
    assert_eq!(
        error_of(&oversubscribed.bytes),
        Damaged,
        "codes for more than there are"
    );
}

/// A match may not reach into what a stream before the exchange of keys has left in the window.
#[test]
fn r8_a_stream_begins_anew_and_sees_nothing_of_the_one_before() {
    let mut here = inflater();
    let packed = Theirs::new(6).pack(&[b's'; 50_000], FlushCompress::Partial);
    unpack(&mut here, &packed, 50_000).unwrap();
    here.begin(METHOD);
    let mut far = Bits::stream();
    far.put(0b010, 3);
    far.code(0x30 + 2, 8);
    far.code(1, 7);
    far.code(1, 5);
    far.put(0, 7);
    let error = unpack(&mut here, &far.bytes, 100).unwrap_err();
    assert!(matches!(
        error,
        Error::Compression(CompressionError::Damaged)
    ));

    let (mut ours, mut here) = (deflater(6), inflater());
    let payload = text(1000, 1);
    let first = pack(&mut ours, &payload);
    assert_eq!(unpack(&mut here, &first, 1000).unwrap(), payload);
    assert!(
        pack(&mut ours, &payload).len() < first.len() / 4,
        "seen before"
    );
    ours.begin(METHOD, 6);
    here.begin(METHOD);
    let again = pack(&mut ours, &payload);
    assert_eq!(again, first, "as at first");
    assert_eq!(unpack(&mut here, &again, 1000).unwrap(), payload);
}

/// Whatever is done to a stream, what is taken of it is what another implementation takes of it.
#[test]
fn z3_a_damaged_stream_gives_what_it_gives_elsewhere_or_an_error() {
    let (mut elsewhere, mut packets) = (Theirs::new(6), Vec::new());
    for (payload, flush) in [
        (&b"\x02\0\0\0\0"[..], FlushCompress::Partial),
        (&text(300, 1), FlushCompress::Partial),
        (&noise(40, 2), FlushCompress::Sync),
        (&text(200, 1), FlushCompress::Full),
        (&[b'a'; 80], FlushCompress::Partial),
    ] {
        packets.push(elsewhere.pack(payload, flush));
    }
    let (mut right, mut wrong, mut endless) = (0, 0, 0);
    let mut compare = |packets: &[Vec<u8>]| {
        let (mut here, mut there) = (inflater(), Decompress::new(true));
        for packed in packets {
            let expected = theirs(&mut there, packed, 4000);
            let blocks = 8 + packed.len() / 32;
            match (unpack(&mut here, packed, 3999), expected) {
                (Ok(unpacked), Ok(expected)) => {
                    assert!(unpacked == expected, "{packed:02x?}");
                    right += 1;
                }
                (Err(Error::Compression(CompressionError::TooManyBlocks)), _) => {
                    assert_eq!(here.blocks(), blocks + 1);
                    break;
                }
                (Err(Error::Limit(LimitExceeded::Inflated(3999))), expected) => {
                    assert!(expected.is_ok_and(|all| all.len() > 3999));
                    break;
                }
                (Err(Error::Compression(_)), Err(_)) => {
                    wrong += 1;
                    break;
                }
                // A block without a code for its end: it can never end, and zlib looks for one.
                (Ok(_), Err(why)) if why.contains("missing end-of-block") => {
                    endless += 1;
                    break;
                }
                (ours, theirs) => panic!("{packed:02x?}: {ours:?} here, {theirs:?} there"),
            }
        }
    };
    for n in 0..packets.len() {
        for at in 0..packets[n].len() {
            // Every value of every octet, cut short there, and something behind it.
            for value in 0..=255 {
                let mut altered = packets.clone();
                altered[n][at] ^= value;
                compare(&altered);
            }
            let mut cut = packets.clone();
            cut[n].truncate(at);
            compare(&cut);
            let mut longer = packets.clone();
            longer[n].insert(at, 0x5a);
            compare(&longer);
        }
        for behind in [&[0][..], &[0xff], &[0x78, 0x9c], &[0; 50], &packets[0]] {
            let mut longer = packets.clone();
            longer[n].extend_from_slice(behind);
            compare(&longer);
        }
    }
    println!("{right} packets right, {wrong} streams refused, {endless} taken only here");
    assert!(right > 100_000 && wrong > 10_000, "{right} {wrong}");
}

#[test]
fn z1_a_packet_full_of_empty_blocks_is_not_read_to_its_end() {
    let mut many = Bits::stream();
    while many.bytes.len() < LIMIT {
        many.empty_block();
    }
    let mut here = inflater();
    let error = unpack(&mut here, &many.bytes, LIMIT).unwrap_err();
    assert!(
        matches!(error, Error::Compression(CompressionError::TooManyBlocks)),
        "{error}"
    );
    // Of 200,000 that there are.
    assert_eq!(here.blocks(), 8 + LIMIT / 32 + 1);

    // Small packets of them make no more work for each byte.
    let mut here = inflater();
    let mut few = Bits::stream();
    for _ in 0..8 {
        few.empty_block();
    }
    assert!(unpack(&mut here, &few.bytes, 10).unwrap().is_empty());
    assert_eq!(here.blocks(), 8);
    let mut few = Bits::default();
    for _ in 0..12 {
        few.empty_block();
    }
    let error = unpack(&mut here, &few.bytes, 10).unwrap_err();
    assert!(matches!(
        error,
        Error::Compression(CompressionError::TooManyBlocks)
    ));
    assert_eq!(here.blocks(), 9);
}

/// A password may be hidden among as many as fill 256 bytes.
#[test]
fn before_authentication_a_packet_may_be_padded_with_empty_blocks() {
    let mut padded = Bits::stream();
    padded.put(0b010, 3);
    padded.code(0x30 + 50, 8);
    padded.put(0, 7);
    while padded.bytes.len() < 256 {
        padded.empty_block();
    }
    let mut room = [0; 100];
    let mut here = inflater();
    assert_eq!(here.unpack(&padded.bytes, &mut room, false).unwrap(), 1);
    assert_eq!((room[0], here.blocks()), (50, 202));
    assert!(here.unpack(&padded.bytes[2..], &mut room, true).is_err());
}

#[test]
fn nothing_is_done_and_nothing_allocated_before_it_is_time() {
    let mut deflater = Deflater::new();
    for _ in 0..2 {
        assert!(!deflater.is_on() && deflater.growth(1000) == 0);
        let mut payload = *b"\x02\0\0\0\x03abc";
        assert_eq!(deflater.pack(&mut payload, 8).unwrap(), 8);
        assert_eq!(payload, *b"\x02\0\0\0\x03abc");
        deflater.begin(METHOD, 6);
    }
    deflater.authenticated();
    assert!(deflater.is_on());
    deflater.begin(CompressionAlgorithm::None, 6);
    assert!(!deflater.is_on());
    let mut inflater = Inflater::new();
    assert!(!inflater.is_on(false) && !inflater.is_on(true));
    inflater.begin(METHOD);
    assert!(!inflater.is_on(false) && inflater.is_on(true));
}

#[test]
fn q8_streams_are_shown_without_what_went_through_them() {
    let (mut ours, mut here) = (deflater(6), inflater());
    let packed = pack(&mut ours, b"\x5ehunter2");
    here.unpack(&packed, &mut [0; 100], true).unwrap();
    assert_eq!(
        (format!("{ours:?}"), format!("{here:?}")),
        (
            "Deflater { method: ZlibOpenSsh, on: true, .. }".to_owned(),
            "Inflater { method: ZlibOpenSsh, .. }".to_owned(),
        )
    );
}

#[cfg(feature = "legacy")]
#[test]
fn the_old_method_begins_with_its_keys() {
    let mut deflater = Deflater::new();
    deflater.begin(CompressionAlgorithm::Zlib, 6);
    assert!(deflater.is_on());
    let mut inflater = Inflater::new();
    inflater.begin(CompressionAlgorithm::Zlib);
    assert!(inflater.is_on(false) && inflater.is_on(true));
}

#[test]
fn without_room_the_stream_does_not_move_and_after_a_failure_nothing_follows() {
    let (mut ours, mut here) = (deflater(6), inflater());
    let mut tight = text(100, 1);
    assert!(ours.pack(&mut tight, 100).is_err());
    assert_eq!(tight, text(100, 1));
    let payload = text(100, 2);
    let packed = pack(&mut ours, &payload);
    assert_eq!(unpack(&mut here, &packed, 100).unwrap(), payload);
    ours.fail();
    let mut room = vec![0; 1000];
    assert!(ours.pack(&mut room, 100).is_err());
    // Where nothing is compressed there is nothing to fail.
    let mut off = Deflater::new();
    off.fail();
    off.begin(METHOD, 6);
    off.authenticated();
    assert!(off.pack(&mut room, 100).is_ok());
}
