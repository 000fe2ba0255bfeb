//! A bit arrives inverted, at any place: rows GI2, P5 and P6.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use ssh_proto::algorithm::{CipherAlgorithm, MacAlgorithm};
use ssh_proto::message::number::SSH_MSG_NEWKEYS;
use ssh_proto::{Client, Server};
use ssh_testkit::sim::{Chunking, Fault, Pair, Session, pattern};

use super::live::{nothing_was_altered, run};
use super::replay::{Recording, Replay, Side, hear};
use super::{COUNT, configs, is_encrypt_and_mac};

/// What is in clear at the front of a stream.
struct Clear {
    /// Where NEWKEYS begins: everything before it is in the exchange hash, padding excepted.
    newkeys: usize,
    /// Where NEWKEYS ends.
    end: usize,
    /// The bytes of padding in it. Nothing vouches for them, and nobody looks at them.
    padding: Vec<usize>,
}

impl Clear {
    fn of(stream: &[u8]) -> Self {
        let mut at = 1 + stream.iter().position(|b| *b == b'\n').expect("a line");
        let mut padding = Vec::new();
        loop {
            let length = u32::from_be_bytes(*stream[at..].first_chunk().expect("a length"));
            let end = at + 4 + length as usize;
            padding.extend(end - usize::from(stream[at + 4])..end);
            if stream[at + 5] == SSH_MSG_NEWKEYS {
                let newkeys = at;
                return Self {
                    newkeys,
                    end,
                    padding,
                };
            }
            at = end;
        }
    }
}

/// Inverts bits of the input of one side, in each byte those that `bits` chooses; returns how
/// often it ended how.
///
/// In clear every bit but those of padding is in the exchange hash or breaks a rule: a client
/// comes to know before it asks for trust in the host key, a server at the first packet under the
/// keys. Under the keys nothing of the packet is seen, whichever bit it is.
fn flips<S: Side>(
    recording: &Recording,
    bits: impl Fn(usize) -> std::ops::Range<u32>,
) -> BTreeMap<String, usize> {
    let (mode, mut input) = (recording.mode, S::input(recording).to_vec());
    let encrypt_and_mac = is_encrypt_and_mac(mode);
    let clear = Clear::of(&input);
    let whole = hear::<S>(mode, &input);
    let mut ends = BTreeMap::<String, usize>::new();
    for at in (0..input.len()).filter(|at| !bits(*at).is_empty()) {
        // What is seen of the packets before this one, and how far into this one it is.
        let mut before = Replay::<S>::new(mode);
        before.hear(&input[..at]);
        let into = before.left();
        let before = before.finish();
        for bit in bits(at) {
            let what = format!("{} {mode}: bit {bit} of byte {at}", S::NAME);
            input[at] ^= 1 << bit;
            let run = hear::<S>(mode, &input);
            input[at] ^= 1 << bit;
            if clear.padding.contains(&at) {
                assert!(run == whole, "{what}: {run:#?}");
                *ends.entry("padding in clear".to_owned()).or_default() += 1;
                continue;
            }
            let end = run.end.as_deref().expect("an end");
            let eof = end.starts_with("Eof ");
            assert!(end.starts_with("Error(") || eof, "{what}: {end}");
            assert!(!end.contains("Internal"), "{what}: {end}");
            if at < clear.newkeys {
                let decided = run.has("HostKey") || run.has("Auth");
                assert!(!decided && run.data.is_empty(), "{what}: {run:#?}");
            } else {
                let same = (&run.lines, &run.data) == (&before.lines, &before.data);
                assert!(same, "{what}: {run:#?} {before:#?}");
                let typed = end == "Error(Integrity)"
                    || end.starts_with("Error(Limit(Packet(")
                    || end.starts_with("Error(PeerMisbehaved(PacketLength(");
                // In NEWKEYS any rule may be broken. A length may claim more than ever comes.
                let ends = typed || eof && (into < 4 || encrypt_and_mac);
                assert!(ends || at < clear.end, "{what}: {end}");
            }
            let kind = end.split(|c: char| c.is_ascii_digit()).next();
            *ends.entry(kind.unwrap_or(end).to_owned()).or_default() += 1;
        }
    }
    ends
}

/// Each mode on a thread of its own.
fn gi2(modes: std::ops::Range<usize>, bits: impl Fn(usize) -> std::ops::Range<u32> + Sync) {
    let flipped = |mode| {
        let recording = Recording::of(mode);
        let client = flips::<Client>(&recording, &bits);
        println!("client {mode}: {client:#?}");
        let server = flips::<Server>(&recording, &bits);
        println!("server {mode}: {server:#?}");
        client.values().chain(server.values()).sum::<usize>()
    };
    let all: usize = thread::scope(|scope| {
        let threads: Vec<_> = modes
            .map(|mode| scope.spawn(move || flipped(mode)))
            .collect();
        let counts = threads.into_iter().map(|thread| thread.join());
        counts.map(|count| count.expect("no panic")).sum()
    });
    println!("{all} flips");
}

#[test]
fn gi2_a_flipped_bit_of_any_byte_ends_it_and_nothing_of_its_packet_is_seen() {
    // Eight neighbours see all eight bits.
    gi2(0..1, |at| {
        let bit = at as u32 % 8;
        bit..bit + 1
    });
}

#[test]
fn gi2_a_flipped_bit_ends_it_in_the_other_modes_too() {
    // A prime, so that it meets every offset within a packet.
    gi2(1..COUNT, |at| {
        let bit = (at / 7) as u32 % 8;
        bit..bit + u32::from(at % 7 == 0)
    });
}

#[test]
#[ignore = "long"]
fn long_gi2_every_flipped_bit_ends_it_in_every_mode_and_nothing_of_its_packet_is_seen() {
    gi2(0..COUNT, |_| 0..8);
}

fn p5(step: usize) -> usize {
    let mut flips = 0;
    for mode in 0..COUNT {
        let (whole, _) = run(mode, Fault::None, Fault::None);
        for up in [true, false] {
            let length = if up { whole.up.sent } else { whole.down.sent };
            for bit in (0..8 * length).step_by(step) {
                let flip = Fault::FlipBit(bit);
                let (_, app) = if up {
                    run(mode, flip, Fault::None)
                } else {
                    run(mode, Fault::None, flip)
                };
                nothing_was_altered(&app, flip);
                flips += 1;
                // Only what nobody acts on may go unnoticed: a bit of the identification line or
                // of what is in clear is in the exchange hash, so nothing but padding in clear and
                // the very last words are left.
                if app.client.done && bit / 8 > 2000 {
                    let farewell = bit / 8 + 250 >= length;
                    assert!(farewell, "mode {mode} up={up} bit {bit} of {length}");
                }
            }
        }
    }
    flips
}

#[test]
fn p5_flipped_bits_never_alter_data_and_always_end_it() {
    println!("{} flips", p5(331));
}

#[test]
#[ignore = "long"]
fn long_p5_flipped_bits_never_alter_data_and_always_end_it() {
    println!("{} flips", p5(9));
}

/// What both ends say when a bit of the first packet behind authentication is flipped and `bytes`
/// of data follow.
fn after_a_flip(
    (cipher, mac): (CipherAlgorithm, MacAlgorithm),
    bit: u64,
    bytes: usize,
    chunking: Chunking,
) -> [String; 2] {
    let (client, server) = configs(cipher, mac);
    let latency = Duration::from_millis(10);
    let mut pair = Pair::with(1, client, server)
        .chunked(chunking)
        .latency(latency);
    let mut app = Session::new(vec![pattern(bytes, 1)]);
    // The command has been accepted; nothing but data follows.
    assert!(pair.run_until(&mut app, |_, app| app.server.log.has("Request")));
    pair.up.fault = Fault::FlipBit(8 * pair.up.sent + bit);
    assert!(pair.run(&mut app));
    [&app.server.log, &app.client.log].map(|log| log.0.last().expect("an end").clone())
}

/// Not by the error, not by the DISCONNECT, and not by when they come.
#[test]
fn p6_a_forged_length_cannot_be_told_from_a_forged_tag() {
    let modes = [
        (CipherAlgorithm::Aes128Ctr, MacAlgorithm::HmacSha256, 1),
        (CipherAlgorithm::Aes128Cbc, MacAlgorithm::HmacSha512, 1),
        (CipherAlgorithm::TdesCbc, MacAlgorithm::HmacSha1, 3),
        (CipherAlgorithm::Arcfour, MacAlgorithm::Umac64, 3),
    ];
    for (cipher, mac, step) in modes {
        // The length, padding_length, the message number, and data.
        let bits = || (0..32).step_by(step).chain([33, 39, 41, 1000, 100_000]);
        let mode = (cipher, mac);
        for bit in bits() {
            let ends = after_a_flip(mode, bit, 500_000, Chunking::Random(40_000));
            let integrity = "a packet failed its integrity check";
            assert!(ends[0].contains(integrity), "{mode:?} {bit}: {ends:?}");
            assert!(
                ends[1].contains("SSH_DISCONNECT_MAC_ERROR"),
                "{mode:?} {bit}: {ends:?}"
            );
        }
        // With too little behind it for the largest packet, what ends it is a deadline.
        let mut ends: Vec<_> = bits()
            .map(|bit| after_a_flip(mode, bit, 100_000, Chunking::Coalesced))
            .collect();
        ends.dedup();
        assert_eq!(ends.len(), 1, "{mode:?}: {ends:#?}");
        assert!(ends[0][0].contains("timed out"), "{ends:?}");
    }
}
