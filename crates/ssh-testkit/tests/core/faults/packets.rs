//! Somebody who holds the keys drops, repeats and swaps packets: row GI4.
//!
//! What is changed is protected as it should be, so it is for the protocol to see it, or not: data
//! that never came, or came twice, is the peer's word. What must hold whatever is done: the data
//! that the application gets is that of the packets that came, an end is typed and its DISCONNECT
//! the right one, nobody waits for ever without a deadline but for a peer that is connected, and
//! nothing panics.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ssh_proto::error::{End, Error};
use ssh_proto::message::{
    ChannelData, ChannelExtendedData, Disconnect, DisconnectReason, Wire, number,
};
use ssh_proto::mux::Stream;
use ssh_proto::time::TimeoutReason;
use ssh_proto::{ChannelEvent, Client, ClientEvent, Instant, Server, ServerEvent, Wants};
use ssh_testkit::raw::{Change, Middle, Raw};
use ssh_testkit::rng::SeededRandom;

use ssh_testkit::sim::{App, Session};

use super::{PACKED, mode_configs, session};

use crate::pages;

/// A session, what it was given, and how it ended on either side.
struct Watched {
    session: Session,
    data: [BTreeMap<String, Vec<u8>>; 2],
    ends: [Option<End>; 2],
}

impl Watched {
    fn data(&mut self, side: usize, event: &ChannelEvent<'_>) {
        if let ChannelEvent::Data {
            channel,
            stream,
            data,
        } = event
        {
            let all = self.data[side].entry(format!("{channel} {stream:?}"));
            all.or_default().extend_from_slice(data);
        }
    }
}

impl App for Watched {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, _now: Instant) {
        assert!(self.ends[0].is_none(), "{event:?} after the end");
        match event {
            ClientEvent::Ended(end) => self.ends[0] = Some(end),
            event => {
                if let ClientEvent::Channel(event) = &event {
                    self.data(0, event);
                }
                self.session.client.on(client, event);
            }
        }
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, _now: Instant) {
        assert!(self.ends[1].is_none(), "{event:?} after the end");
        match event {
            ServerEvent::Ended(end) => self.ends[1] = Some(end),
            event => {
                if let ServerEvent::Channel(event) = &event {
                    self.data(1, event);
                }
                self.session.server.on(server, event);
            }
        }
    }
}

/// A change: of what is sent to the server or to the client, which packet, and what is done.
type Plan = [(Direction, usize, Change)];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    ToClient,
    ToServer,
}

fn middle(mode: usize, plan: &Plan) -> Middle {
    let (client, server) = mode_configs(mode);
    let client = Client::new(client, Box::new(SeededRandom::new(1))).expect("a client");
    let server = Server::new(server, Box::new(SeededRandom::new(2))).expect("a server");
    let mut middle = Middle::new(client, server, [7; 32]);
    if mode == PACKED {
        for raw in [&mut middle.client.raw, &mut middle.server.raw] {
            for slot in [6, 7] {
                raw.offer.lists[slot] = "zlib@openssh.com".to_owned();
            }
        }
    }
    for &(direction, at, change) in plan {
        let meddler = match direction {
            Direction::ToClient => middle.client.meddler(),
            Direction::ToServer => middle.server.meddler(),
        };
        meddler.plan.insert(at, change);
    }
    middle
}

/// How it goes on or ends, on both sides.
fn meddle(mode: usize, plan: &Plan) -> [String; 2] {
    let mut middle = middle(mode, plan);
    let mut session = session();
    session.client.tolerant = true;
    let mut app = Watched {
        session,
        data: Default::default(),
        ends: [None, None],
    };
    let ended = middle.run(&mut app);
    let Middle { client, server, .. } = &mut middle;
    only_what_came(&client.raw, &app.data[0], plan);
    only_what_came(&server.raw, &app.data[1], plan);
    let mut ends = app.ends.each_ref().map(outcome);
    said_goodbye(&client.raw, &app.ends[0], plan);
    said_goodbye(&server.raw, &app.ends[1], plan);
    if !ended {
        for wants in [client.peer.wants(), server.peer.wants()] {
            let idle = matches!(wants, Wants::Bytes(_) | Wants::Closed);
            assert!(idle, "{plan:?}: {wants:?}");
        }
        assert!(client.peer.is_authenticated(), "{plan:?}: waits for ever");
        assert!(server.peer.is_authenticated(), "{plan:?}: waits for ever");
        client.peer.disconnect(DisconnectReason::BY_APPLICATION, "");
        server.peer.disconnect(DisconnectReason::BY_APPLICATION, "");
        assert!(middle.run(&mut app), "{plan:?}");
    } else if app.session.client.done {
        ends[0] += ", done";
    }
    ends
}

/// The kind of an end, or that there was none.
fn outcome(end: &Option<End>) -> String {
    match end {
        None => "waits".to_owned(),
        Some(End::ByPeer(peer)) => format!("ByPeer({})", peer.reason),
        Some(End::Error(error)) => format!("{error:?}"),
        Some(end) => format!("{end:?}"),
    }
}

/// Each stream is the beginning of what the packets carried that were sent for it.
fn only_what_came(raw: &Raw, data: &BTreeMap<String, Vec<u8>>, plan: &Plan) {
    let mut sent = BTreeMap::<String, Vec<u8>>::new();
    let meddler = raw.meddler.as_ref().expect("in the middle");
    for payload in &meddler.went {
        let (channel, stream, bytes) = match payload[0] {
            number::SSH_MSG_CHANNEL_DATA => {
                let message = ChannelData::decode(payload).expect("data");
                (message.recipient_channel, Stream::Data, message.data)
            }
            number::SSH_MSG_CHANNEL_EXTENDED_DATA => {
                let message = ChannelExtendedData::decode(payload).expect("data");
                let stream = Stream::Extended(message.data_type_code.0);
                (message.recipient_channel, stream, message.data)
            }
            _ => continue,
        };
        let all = sent.entry(format!("channel {channel} {stream:?}"));
        all.or_default().extend_from_slice(bytes);
    }
    for (stream, data) in data {
        let sent = sent.get(stream).map_or(&[][..], Vec::as_slice);
        assert!(sent.starts_with(data), "{plan:?}: {stream}");
    }
}

/// Whoever gave up told the peer why, once and last; whoever was told did not answer.
fn said_goodbye(raw: &Raw, end: &Option<End>, plan: &Plan) {
    let goodbyes = raw.numbers(0);
    let goodbyes = goodbyes
        .iter()
        .filter(|n| **n == number::SSH_MSG_DISCONNECT);
    let expected = match end {
        None | Some(End::ByPeer(_) | End::Eof { .. }) => {
            assert_eq!(goodbyes.count(), 0, "{plan:?}: {end:?}");
            return;
        }
        Some(End::Disconnected) => DisconnectReason::BY_APPLICATION,
        Some(End::Error(error)) => match error {
            Error::PeerMisbehaved(_) | Error::Malformed(_) | Error::Limit(_) => {
                DisconnectReason::PROTOCOL_ERROR
            }
            Error::Integrity => DisconnectReason::MAC_ERROR,
            Error::KeyExchange(_) | Error::Timeout(TimeoutReason::KeyExchange) => {
                DisconnectReason::KEY_EXCHANGE_FAILED
            }
            Error::Authentication(_) => DisconnectReason::NO_MORE_AUTH_METHODS_AVAILABLE,
            Error::Timeout(_) => DisconnectReason::BY_APPLICATION,
            other => panic!("{plan:?}: {other:?}"),
        },
        Some(other) => panic!("{plan:?}: {other:?}"),
    };
    assert_eq!(goodbyes.count(), 1, "{plan:?}: {end:?}");
    let last = Disconnect::decode(raw.got.last().expect("a message"));
    let said = last.expect("a DISCONNECT").reason_code;
    assert_eq!(said, expected, "{plan:?}: {end:?}");
}

/// Every packet of the honest run, but for the last one of either direction.
fn packets(mode: usize) -> Vec<(Direction, usize, u8)> {
    let mut middle = middle(mode, &[]);
    let mut app = session();
    assert!(middle.run(&mut app));
    app.check();
    let number = |direction, raw: &Raw| {
        let meddler = raw.meddler.as_ref().expect("in the middle");
        let came = meddler.came.iter().enumerate();
        came.map(|(at, payload)| (direction, at, payload[0]))
            .collect::<Vec<_>>()
    };
    let to_client = number(Direction::ToClient, &middle.client.raw);
    let to_server = number(Direction::ToServer, &middle.server.raw);
    [to_client, to_server].concat()
}

/// What becomes of every packet that is changed.
fn gi4(mode: usize) -> String {
    let mut outcomes = BTreeMap::<_, BTreeSet<_>>::new();
    for (direction, at, number) in packets(mode) {
        for change in Change::ALL {
            let ends = meddle(mode, &[(direction, at, change)]);
            let name = ssh_proto::message::name(number).expect("known");
            let kind = format!("{direction:?} {name} {change:?}");
            outcomes.entry(kind).or_default().insert(ends.join(" | "));
        }
    }
    let mut text = "# What is changed: how it ends for the client | for the server\n".to_owned();
    for (kind, ends) in outcomes {
        for end in ends {
            writeln!(text, "{kind}: {end}").expect("a string takes everything");
        }
    }
    text
}

/// What becomes of each kind of packet is pinned. `UPDATE_GOLDEN=1` writes the file anew after a
/// change that was meant.
#[test]
fn gi4_every_packet_dropped_repeated_and_swapped() {
    let text = gi4(0);
    let path = "crates/ssh-testkit/tests/golden/packets.txt";
    pages::compare(path, &text, "UPDATE_GOLDEN", "faults::packets");
    // Compressed, they are the same packets.
    assert_eq!(gi4(PACKED), text);
}

#[test]
#[ignore = "long"]
fn long_gi4_every_two_packets_dropped_repeated_and_swapped() {
    let mut ends = BTreeMap::<String, usize>::new();
    let packets = packets(0);
    let changes: Vec<_> = packets
        .iter()
        .flat_map(|&(direction, at, _)| Change::ALL.map(|change| (direction, at, change)))
        .collect();
    for (n, first) in changes.iter().enumerate() {
        for second in &changes[n + 1..] {
            // Two changes of one packet are one.
            if (first.0, first.1) != (second.0, second.1) {
                let end = meddle(0, &[*first, *second]).join(" | ");
                let kind = end.replace(|c: char| c.is_ascii_digit(), "");
                *ends.entry(kind).or_default() += 1;
            }
        }
    }
    println!("{} pairs: {ends:#?}", ends.values().sum::<usize>());
}
