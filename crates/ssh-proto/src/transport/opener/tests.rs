//! Packets as they arrive: cut, altered, forged, and of every mode.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use std::format;

use super::*;
use crate::algorithm::{CipherAlgorithm, MacAlgorithm};
use crate::crypto::cipher::{self, SealingKey, modes};
use crate::crypto::mac;
use crate::random::Streams;
use crate::random::testing::SeededRandom;
use crate::recv::Consumed;
use crate::transport::{PAYLOAD_OFFSET, Sealer};

/// No keys yet, and a few of every kind.
fn modes() -> Vec<Option<Mode>> {
    let sample = modes::sample().into_iter().map(Some);
    core::iter::once(None).chain(sample).collect()
}

type Mode = (CipherAlgorithm, Option<MacAlgorithm>);

fn keys((cipher, mac): Mode) -> (SealingKey, OpeningKey) {
    let key = vec![1; cipher.key_len()];
    let iv = vec![2; cipher.iv_len()];
    let mac_key = vec![3; mac.map_or(0, |mac| mac.key_len())];
    (
        SealingKey::new(cipher, mac, &key, &iv, &mac_key).unwrap(),
        OpeningKey::new(cipher, mac, &key, &iv, &mac_key).unwrap(),
    )
}

fn pair(mode: Option<Mode>) -> (Sealer, Opener) {
    let (mut sealer, mut opener) = (Sealer::new(), Opener::new());
    if let Some(mode) = mode {
        let (sealing, opening) = keys(mode);
        sealer.switch(sealing, ResetSequence::Yes);
        opener.switch(opening, ResetSequence::Yes);
    }
    (sealer, opener)
}

fn seal(sealer: &mut Sealer, streams: &mut Streams, payload: &[u8]) -> Vec<u8> {
    let mut room = vec![0; payload.len() + crate::transport::MAX_OVERHEAD];
    room[PAYLOAD_OFFSET..PAYLOAD_OFFSET + payload.len()].copy_from_slice(payload);
    let size = sealer.seal(&mut room, payload.len(), streams).unwrap();
    room.truncate(size);
    room
}

#[test]
fn what_is_sealed_opens_and_an_incomplete_packet_is_left_as_it_came() {
    for mode in modes() {
        sealed_and_opened(mode, 7);
    }
}

#[test]
#[ignore = "long"]
fn long_what_is_sealed_opens_in_every_mode() {
    for mode in modes::all() {
        sealed_and_opened(Some(mode), 1);
    }
}

/// Packets of several lengths, cut at every `step`th byte and around their ends.
fn sealed_and_opened(mode: Option<Mode>, step: usize) {
    let (mut sealer, mut opener) = pair(mode);
    let mut streams = Streams::new(&mut SeededRandom::new(1)).unwrap();
    for length in [1, 2, 7, 8, 15, 16, 17, 100, 1000] {
        let payload: Vec<u8> = (0..length).map(|i| (i % 255) as u8 + 1).collect();
        let packet = seal(&mut sealer, &mut streams, &payload);
        let size = packet.len();
        let near_an_end = |cut: &usize| *cut < 24 || size - *cut < 72;
        for cut in (0..size).filter(|cut| cut % step == 0 || near_an_end(cut)) {
            let mut piece = packet[..cut].to_vec();
            let mut consumed = Consumed::default();
            let mut batch = Batch::over(&mut piece, &mut consumed);
            let missing = opener.next(&mut batch, 35_000, false).unwrap();
            assert!(
                matches!(missing, Packet::Missing(n) if n > 0 && n <= size - cut),
                "{mode:?} {length} {cut}"
            );
            assert_eq!(consumed.bytes(), 0);
            assert_eq!(piece, packet[..cut], "{mode:?}");
        }
        let mut whole = packet.clone();
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(&mut whole, &mut consumed);
        let opened = opener.next(&mut batch, 35_000, true).unwrap();
        assert!(
            matches!(opened, Packet::Payload(p) if p.bytes == payload),
            "{mode:?}"
        );
        assert!(consumed.bytes() == size && consumed.secret());
    }
}

#[test]
fn p1_a_declared_length_above_the_limit_is_refused_before_anything_else() {
    for length in [35_000u32, 1 << 31, (1 << 31) - 1, u32::MAX - 4, u32::MAX] {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[4, 0, 0, 0]);
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(&mut bytes, &mut consumed);
        let error = Opener::new().next(&mut batch, 35_000, false).unwrap_err();
        assert!(matches!(error, Error::Limit(LimitExceeded::Packet(n)) if n == length));
    }
    // The largest one of all.
    let mut bytes = [0, 0, 0x88, 0xb4, 4, 0, 0, 0];
    let mut consumed = Consumed::default();
    let mut batch = Batch::over(&mut bytes, &mut consumed);
    let next = Opener::new().next(&mut batch, 35_000, false);
    assert!(matches!(next, Ok(Packet::Missing(34_992))), "{next:?}");
}

#[test]
fn p3_p4_impossible_lengths_and_paddings_are_refused() {
    let open = |length: u32, padding: u8| {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.push(padding);
        bytes.resize(4 + length as usize, 0);
        bytes.resize(bytes.len().max(8), 0);
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(&mut bytes, &mut consumed);
        Opener::new().next(&mut batch, 35_000, false).map(|_| ())
    };
    for length in [0, 1, 2, 3, 4, 5, 6, 11, 13, 19] {
        let error = open(length, 4).unwrap_err();
        assert!(
            matches!(error, Error::PeerMisbehaved(PeerMisbehaved::PacketLength(n)) if n == length),
            "{length}: {error}"
        );
    }
    for padding in [0, 1, 2, 3, 11, 12, 255] {
        let error = open(12, padding).unwrap_err();
        assert!(
            matches!(error, Error::PeerMisbehaved(PeerMisbehaved::Padding)),
            "{padding}"
        );
    }
    assert!(open(12, 10).is_ok() && open(12, 4).is_ok());
}

#[test]
fn p5_a_flipped_bit_is_noticed_in_every_mode() {
    for mode in modes().into_iter().flatten() {
        flipped(mode);
    }
}

#[test]
#[ignore = "long"]
fn long_p5_a_flipped_bit_is_noticed_in_every_mode() {
    for mode in modes::all() {
        flipped(mode);
    }
}

fn flipped(mode: Mode) {
    const MAX: usize = 500;
    let (mut sealer, _) = pair(Some(mode));
    let mut streams = Streams::new(&mut SeededRandom::new(1)).unwrap();
    let packet = seal(&mut sealer, &mut streams, b"attack at dawn");
    for bit in 0..packet.len() * 8 {
        let (_, mut opener) = pair(Some(mode));
        let mut bytes = packet.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // More input, so that a longer length has something to run over.
        bytes.resize(2 * MAX, 0);
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(&mut bytes, &mut consumed);
        let opened = opener.next(&mut batch, MAX, false);
        assert!(opened.is_err(), "{mode:?} bit {bit}");
    }
}

/// The modes of row P6.
fn encrypt_and_mac() -> impl Iterator<Item = Mode> {
    modes::sample()
        .into_iter()
        .filter(|(_, mac)| mac.is_some_and(|mac| !mac.is_etm()))
}

/// Feeds `stream` in pieces of `chunk`. How much was taken when it failed, and with what.
fn outcome(opener: &mut Opener, stream: &[u8], chunk: usize, max: usize) -> (usize, String) {
    let mut stream = stream.to_vec();
    let (mut start, mut end) = (0, 0);
    while end < stream.len() {
        end = (end + chunk).min(stream.len());
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(&mut stream[start..end], &mut consumed);
        let opened = opener
            .next(&mut batch, max, false)
            .map(|packet| match packet {
                Packet::Missing(n) => n,
                Packet::Payload(payload) => panic!("{payload:?}"),
            });
        let taken = consumed.bytes();
        match opened {
            Ok(n) => {
                assert!(n > 0 && start + taken + n <= max, "{start} {taken} {n}");
                assert_eq!(opener.need(), end - start - taken + n);
            }
            Err(error) => {
                start += taken;
                assert!(stream[..start].iter().all(|b| *b == 0), "unverified text");
                return (start, format!("{error:?}"));
            }
        }
        start += taken;
    }
    (start, "nothing yet".into())
}

#[test]
fn p6_whatever_is_wrong_with_a_packet_the_same_is_seen_after_as_much_input() {
    const MAX: usize = 1000;
    for mode in encrypt_and_mac() {
        let (mut sealer, _) = pair(Some(mode));
        let mut streams = Streams::new(&mut SeededRandom::new(1)).unwrap();
        let packet = seal(&mut sealer, &mut streams, &[7; 200]);
        // The length, padding_length, the payload, and the tag.
        let bits = (0..48).chain([300, 8 * packet.len() - 1]);
        for bit in bits {
            let mut stream = packet.clone();
            stream[bit / 8] ^= 1 << (bit % 8);
            stream.resize(MAX + 50, 0x5a);
            for chunk in [1, 15, 16, 17, 64, packet.len(), 999, 2000] {
                let (_, mut opener) = pair(Some(mode));
                let seen = outcome(&mut opener, &stream, chunk, MAX);
                assert_eq!(seen, (MAX, "Integrity".into()), "{mode:?} {bit} {chunk}");
                // Nothing is said before.
                let (_, mut opener) = pair(Some(mode));
                let (_, seen) = outcome(&mut opener, &stream[..MAX - 1], chunk, MAX);
                assert_eq!(seen, "nothing yet", "{mode:?} {bit} {chunk}");
            }
        }
    }
}

/// Bytes decrypted, bytes hashed, tags made.
type Work = (usize, usize, usize);

fn work() -> Work {
    let (hashed, ended) = mac::counting::work();
    (cipher::counting::work(), hashed, ended)
}

/// What the first `front` bytes of a stream cost, and what those behind them.
fn cost(mode: Mode, stream: &[u8], front: usize, max: usize) -> [Work; 2] {
    let (_, mut opener) = pair(Some(mode));
    let mut stream = stream.to_vec();
    work();
    let mut consumed = Consumed::default();
    let mut batch = Batch::over(&mut stream[..front], &mut consumed);
    assert!(matches!(
        opener.next(&mut batch, max, false),
        Ok(Packet::Missing(_))
    ));
    let before = work();
    let taken = consumed.bytes();
    let mut consumed = Consumed::default();
    let mut batch = Batch::over(&mut stream[taken..], &mut consumed);
    let error = opener.next(&mut batch, max, false).unwrap_err();
    assert!(matches!(error, Error::Integrity));
    assert_eq!(taken + consumed.bytes(), max);
    [before, work()]
}

/// Packets that do not verify and seem to end anywhere, and one whose length is none.
fn forgeries(mode: Mode, max: usize) -> Vec<(Option<usize>, Vec<u8>)> {
    let (cipher, mac) = mode;
    let (block, tag) = (cipher.block_len(), mac.unwrap().tag_len());
    let ends = (2 * block..=max - tag).step_by(block).map(Some);
    ends.chain([None])
        .map(|end| {
            let (mut sealing, _) = keys(mode);
            let length = end.map_or(u32::MAX, |end| end as u32 - 4);
            let mut stream = vec![4; end.unwrap_or(64) + tag];
            stream[..4].copy_from_slice(&length.to_be_bytes());
            sealing.seal(0, &mut stream).unwrap();
            *stream.last_mut().unwrap() ^= 1;
            stream.resize(max, 0x5a);
            (end.map(|end| end + tag), stream)
        })
        .collect()
}

#[test]
fn p6_the_answer_costs_as_much_wherever_the_forged_packet_ended() {
    // One that a packet can fill to the last byte, and one that none can.
    for mode in encrypt_and_mac() {
        let tag = mode.1.unwrap().tag_len();
        for max in [512 + tag, 519 + tag] {
            let forgeries = forgeries(mode, max);
            let first = mode.0.block_len();
            let text = (max - tag) / first * first;
            for front in [0, first, first + 1, 300, 512, max - 1] {
                let mut all = Vec::new();
                for (end, stream) in &forgeries {
                    let [before, answer] = cost(mode, stream, front, max);
                    // The first block is decrypted when it is there.
                    let decrypted = text - if front < first { 0 } else { first };
                    assert_eq!(
                        answer,
                        (decrypted, text, 1),
                        "{mode:?} {max} {front} {end:?}"
                    );
                    // What is thrown away costs as much as what was opened.
                    if end.is_none_or(|end| end <= front) {
                        all.push(before);
                    }
                }
                all.dedup();
                assert!(all.len() <= 1, "{mode:?} {max} {front}: {all:?}");
            }
        }
    }
}

/// Not even somebody who has the keys is told more.
#[test]
fn p6_an_impossible_length_in_a_packet_that_would_verify() {
    const MAX: usize = 1000;
    for mode in encrypt_and_mac() {
        let lengths = (0..=5).chain([11, 13, 29, 45, 1000, 1 << 31, u32::MAX]);
        for length in lengths {
            let (mut sealing, _) = keys(mode);
            let size = usize::try_from(length).unwrap().clamp(16, 512) + 4;
            let mut stream = vec![4; size + sealing.tag_len()];
            stream[..4].copy_from_slice(&length.to_be_bytes());
            sealing.seal_anything(0, &mut stream).unwrap();
            stream.resize(MAX, 0);
            let (_, mut opener) = pair(Some(mode));
            let seen = outcome(&mut opener, &stream, 100, MAX);
            assert_eq!(seen, (MAX, "Integrity".into()), "{mode:?} {length}");
        }
    }
}

#[test]
fn p6_what_will_be_thrown_away_is_asked_for_in_large_pieces() {
    let (_, mut opener) = pair(encrypt_and_mac().next());
    let max = DISCARD_STEP + 1000;
    let mut missing = Vec::new();
    let mut garbage = vec![0; 16];
    loop {
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(&mut garbage, &mut consumed);
        match opener.next(&mut batch, max, false) {
            Ok(Packet::Missing(n)) => missing.push(n),
            other => break assert!(matches!(other, Err(Error::Integrity)), "{other:?}"),
        }
        assert_eq!(missing.last(), Some(&opener.need()));
        garbage = vec![0; opener.need()];
    }
    assert_eq!(missing, [DISCARD_STEP, max - 16 - DISCARD_STEP]);
}

#[test]
fn p6_what_is_wrong_behind_a_good_mac_is_said() {
    for mode in encrypt_and_mac() {
        let (mut sealing, _) = keys(mode);
        let mut stream = vec![0; 32 + sealing.tag_len()];
        // A padding of three bytes.
        stream[..5].copy_from_slice(&[0, 0, 0, 28, 3]);
        sealing.seal(0, &mut stream).unwrap();
        let (_, mut opener) = pair(Some(mode));
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(&mut stream, &mut consumed);
        let error = opener.next(&mut batch, 35_000, false).unwrap_err();
        assert!(matches!(
            error,
            Error::PeerMisbehaved(PeerMisbehaved::Padding)
        ));
    }
}
