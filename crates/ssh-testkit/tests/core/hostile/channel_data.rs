//! Windows, packets and streams against the rules: rows X1 to X4, X12 and X13.

use ssh_proto::error::{Misuse, PeerMisbehaved};
use ssh_proto::message::{
    ChannelClose, ChannelData, ChannelEof, ChannelExtendedData, ChannelOpenConfirmation,
    ExtendedDataType, Wire,
};
use ssh_proto::mux::Stream;
use ssh_proto::{ChannelEvent, Client, PeerEvent, Role, Server};
use ssh_testkit::raw::{Bench, Stage, Subject};

use super::common::{PROTOCOL, adjust, channel, connected, data, encoded, misbehaved, open_as};

both_roles! {
    x1_a_window_beyond_its_largest_size => x1;
    x1_what_was_sent_makes_room_for_as_much => x1_after_sending;
    x2_more_than_the_window_or_a_packet_allows => x2;
    x2_nothing_is_delivered_of_data_that_overlaps_the_end_of_the_window => x2_overlap;
    x3_packets_of_one_byte_and_of_any_size => x3;
    x3_a_window_of_nothing_neither_sends_nor_spins => x3_nothing;
    x4_a_peer_that_never_grants_anything => x4;
    x12_any_extended_data_is_delivered_and_its_credit_returns => x12;
    x12_what_nobody_reads_stops_only_its_own_channel => x12_unread;
    x13_room_for_more_than_there_can_be => x13;
}

fn x1<P: Subject>() {
    for (window, adjusts, allowed) in [
        (0, &[u32::MAX][..], true),
        (1, &[u32::MAX - 1, 0, 0], true),
        (1, &[u32::MAX], false),
        (0, &[u32::MAX, u32::MAX], false),
        (u32::MAX, &[1], false),
        (u32::MAX, &[0], true),
    ] {
        let mut bench = connected::<P>();
        channel(&mut bench, window, 1000);
        for &n in adjusts {
            bench.message(&adjust(n));
        }
        if allowed {
            bench.lives(&(window, adjusts));
        } else {
            let overflow = misbehaved(PeerMisbehaved::WindowOverflow);
            bench.refused(&(window, adjusts), overflow, PROTOCOL);
        }
    }
}

/// Credit is what was allowed less what was sent.
fn x1_after_sending<P: Subject>() {
    let mut bench = connected::<P>();
    channel(&mut bench, u32::MAX, 1000);
    let id = bench.seen.channels[0];
    let mut handle = bench.peer.channel(id).expect("open");
    assert_eq!(handle.send(&[1; 100]).expect("open"), 100);
    bench.turn();
    for n in [99, 0, 1] {
        bench.message(&adjust(n));
        bench.lives(&n);
    }
    bench.message(&adjust(1));
    let overflow = misbehaved(PeerMisbehaved::WindowOverflow);
    bench.refused(&"one too much", overflow, PROTOCOL);
}

/// Fills the window without the application's releasing anything, then sends one byte more.
fn x2<P: Subject>() {
    for stream in [None, Some(1), Some(77)] {
        let message = |n: usize| -> Vec<u8> {
            let bytes = vec![7; n];
            match stream {
                None => encoded(&data(&bytes)),
                Some(code) => encoded(&ChannelExtendedData {
                    recipient_channel: 0,
                    data_type_code: ExtendedDataType(code),
                    data: &bytes,
                }),
            }
        };
        let mut bench = connected::<P>();
        let window = channel(&mut bench, 0, 1000) as usize;
        let mut received = 0;
        while received < window {
            let n = (window - received).min(32 * 1024);
            bench.raw.payload(&message(n));
            bench.turn_with(|_, _, seen| {
                seen.events += 1;
            });
            received += n;
        }
        bench.lives(&"exactly the window");
        bench.send(&message(1));
        let events = bench.seen.events;
        let exceeded = misbehaved(PeerMisbehaved::WindowExceeded);
        bench.refused(&stream, exceeded, PROTOCOL);
        assert_eq!(bench.seen.events, events);

        let mut bench = connected::<P>();
        channel(&mut bench, 0, 1000);
        bench.send(&message(32 * 1024 + 1));
        let exceeded = misbehaved(PeerMisbehaved::MaximumPacketExceeded);
        bench.refused(&stream, exceeded, PROTOCOL);
        assert!(bench.seen.data.is_empty(), "none of it was delivered");
    }
}

fn x2_overlap<P: Subject>() {
    for extended in [false, true] {
        let mut bench = connected::<P>();
        let window = channel(&mut bench, 0, 1000) as usize;
        let mut left = window;
        while left > 10 {
            let n = (left - 10).min(32 * 1024);
            bench.raw.message(&data(&vec![7; n]));
            bench.turn_with(|_, _, _| {});
            left -= n;
        }
        let eleven = if extended {
            encoded(&ChannelExtendedData {
                recipient_channel: 0,
                data_type_code: ExtendedDataType::STDERR,
                data: &[8; 11],
            })
        } else {
            encoded(&data(&[8; 11]))
        };
        bench.send(&eleven);
        let exceeded = misbehaved(PeerMisbehaved::WindowExceeded);
        bench.refused(&extended, exceeded, PROTOCOL);
        assert!(
            bench.seen.data.is_empty(),
            "not even what would have fitted"
        );
    }
}

fn x3<P: Subject>() {
    for max in [1, 2, u32::MAX] {
        let mut bench = connected::<P>();
        channel(&mut bench, u32::MAX, max);
        let id = bench.seen.channels[0];
        let got = bench.raw.got.len();
        let mut handle = bench.peer.channel(id).expect("open");
        assert_eq!(handle.send(&[5; 100]).expect("open"), 100);
        bench.turn();
        let mut sent = 0;
        for payload in &bench.raw.got[got..] {
            let data = ChannelData::decode(payload).expect("data").data;
            assert!(data.len() <= max as usize);
            sent += data.len();
        }
        assert_eq!(sent, 100);
    }
    // Nothing could ever be sent.
    let mut bench = connected::<P>();
    let got = bench.raw.got.len();
    if P::ROLE == Role::Server {
        bench.send(&open_as(0, 1000, 0));
        assert_eq!(bench.raw.numbers(got), [92]);
    } else {
        let id = bench.peer.open_session().expect("connected");
        bench.turn();
        bench.message(&ChannelOpenConfirmation {
            recipient_channel: 0,
            sender_channel: 0,
            initial_window_size: 1000,
            maximum_packet_size: 0,
        });
        assert!(bench.seen.log.has("OpenFailed"));
        // For the application it is gone, although the peer has still to close it.
        let gone = bench.peer.channel(id).err();
        assert_eq!(gone, Some(Misuse::NoSuchChannel));
        assert_eq!(bench.peer.channel_ids().count(), 0);
        let events = bench.seen.events;
        for message in [encoded(&data(b"x")), encoded(&adjust(1))] {
            bench.send(&message);
        }
        bench.message(&ChannelEof {
            recipient_channel: 0,
        });
        bench.message(&ChannelClose {
            recipient_channel: 0,
        });
        assert_eq!(bench.seen.events, events, "nothing more is reported");
    }
    bench.lives(&"no packets");
    assert!(bench.seen.channels.is_empty());
    assert_eq!(bench.peer.channels(), 0);
}

fn x3_nothing<P: Subject>() {
    let mut bench = connected::<P>();
    channel(&mut bench, 0, u32::MAX);
    let id = bench.seen.channels[0];
    let got = bench.raw.got.len();
    for _ in 0..100 {
        let mut handle = bench.peer.channel(id).expect("open");
        assert_eq!(handle.send(b"something").expect("open"), 0);
        bench.turn();
        bench.message(&adjust(0));
    }
    assert_eq!(bench.raw.got.len(), got, "nothing was sent");
    assert!(!bench.peer.has_output());
    bench.message(&adjust(5));
    let mut handle = bench.peer.channel(id).expect("open");
    assert_eq!(handle.send(b"something").expect("open"), 5);
    bench.turn();
    let sent = ChannelData::decode(bench.raw.got.last().expect("data"));
    assert_eq!(sent.expect("data").data, b"somet");
}

fn x4<P: Subject>() {
    let mut bench = connected::<P>();
    channel(&mut bench, 5000, 1000);
    channel(&mut bench, 1 << 20, 1000);
    let (stuck, free) = (bench.seen.channels[0], bench.seen.channels[1]);
    let mut accepted = 0;
    for _ in 0..10_000 {
        let mut handle = bench.peer.channel(stuck).expect("open");
        accepted += handle.send(&[1; 100]).expect("open");
        bench.turn();
    }
    assert_eq!(accepted, 5000);
    let mut handle = bench.peer.channel(free).expect("open");
    assert_eq!(handle.send(&[2; 10_000]).expect("open"), 10_000);
    bench.lives(&"stuck");
}

fn x12<P: Subject>() {
    for code in [0, 1, 2, u32::MAX] {
        let mut bench = connected::<P>();
        let window = channel(&mut bench, 1000, 1000) as usize;
        let got = bench.raw.got.len();
        let mut sent = 0;
        while sent < 2 * window {
            bench.message(&ChannelExtendedData {
                recipient_channel: 0,
                data_type_code: ExtendedDataType(code),
                data: &[1; 32 * 1024],
            });
            sent += 32 * 1024;
            bench.lives(&code);
        }
        let all = bench.seen.data.iter();
        assert!(
            all.clone()
                .all(|(_, stream, _)| *stream == Stream::Extended(code))
        );
        assert_eq!(all.map(|(_, _, d)| d.len()).sum::<usize>(), sent);
        assert!(bench.raw.numbers(got).contains(&93), "credit came back");
        bench.message(&data(b"out"));
        assert_eq!(bench.seen.data.last().expect("data").1, Stream::Data);
    }
}

/// Standard error shares the window of its channel: who does not read it stops that channel, and
/// nothing else, until it is read or thrown away.
fn x12_unread<P: Subject>() {
    let mut bench = connected::<P>();
    let window = channel(&mut bench, 1000, 1000) as usize;
    channel(&mut bench, 1000, 1000);
    let (unread, other) = (bench.seen.channels[0], bench.seen.channels[1]);
    let mut left = window;
    let mut delivered = 0;
    while left > 0 {
        let n = left.min(32 * 1024);
        bench.raw.message(&ChannelExtendedData {
            recipient_channel: 0,
            data_type_code: ExtendedDataType::STDERR,
            data: &vec![1; n],
        });
        bench.turn_with(|_, event, _| {
            if let PeerEvent::Channel(ChannelEvent::Data { data, .. }) = event.into() {
                delivered += data.len();
            }
        });
        left -= n;
    }
    assert_eq!(delivered, window);
    let rounds = 2 * window / 32_768 + 1;
    for _ in 0..rounds {
        bench.message(&ChannelData {
            recipient_channel: 1,
            data: &[2; 32_768],
        });
        bench.lives(&"the other one");
    }
    let arrived = bench.seen.data.iter().filter(|(id, ..)| *id == other);
    assert_eq!(
        arrived.map(|(_, _, d)| d.len()).sum::<usize>(),
        rounds * 32_768
    );
    let got = bench.raw.got.len();
    bench.turn();
    assert_eq!(bench.raw.got.len(), got, "no credit for what nobody took");
    let mut handle = bench.peer.channel(unread).expect("open");
    handle.release(window).expect("it was delivered");
    bench.turn();
    assert_eq!(bench.raw.numbers(got), [93]);
    bench.message(&data(b"and on"));
    bench.lives(&"stdout again");
    assert_eq!(bench.seen.data.last().expect("data").1, Stream::Data);
}

fn x13<P: Subject>() {
    let mut bench = connected::<P>();
    channel(&mut bench, u32::MAX, u32::MAX);
    assert!(sends(&mut bench, 4 << 20) >= 4 << 20);
    let id = bench.seen.channels[0];
    let mut handle = bench.peer.channel(id).expect("open");
    assert_eq!(handle.release(usize::MAX), Err(Misuse::ReleasedTooMuch));
}

/// Sends so many bytes by asking for room for more than 2^32 of them each time.
fn sends<P: Subject>(bench: &mut Bench<P>, bytes: u64) -> u64 {
    let mut total = 0;
    while total < bytes {
        let before = total;
        for max in [usize::MAX, usize::MAX / 2, usize::MAX >> 31] {
            let id = bench.seen.channels[0];
            let handle = bench.peer.channel(id).expect("open");
            let mut slot = handle.reserve(max).expect("open");
            let n = slot.room().len();
            assert!(n <= 1 << 20, "{n}");
            slot.commit(n);
            total += n as u64;
        }
        assert!(total > before, "it goes on");
        bench.turn();
        bench.raw.got.clear();
        bench.message(&adjust(u32::try_from(total - before).expect("a turn")));
        bench.lives(&total);
    }
    total
}

#[test]
#[ignore = "more than 4 GiB"]
fn long_x13_more_than_four_gibibytes_over_one_channel() {
    many::<Client>();
    many::<Server>();
}

fn many<P: Subject>() {
    let mut config = P::config();
    // The peer of these tests exchanges no keys by itself.
    P::transport(&mut config).limits.rekey_bytes = u64::MAX;
    let mut bench = Bench::<P>::with(config, true).up_to(Stage::Connected);
    channel(&mut bench, u32::MAX, u32::MAX);
    assert!(sends(&mut bench, (1 << 32) + (1 << 20)) > 1 << 32);
}
