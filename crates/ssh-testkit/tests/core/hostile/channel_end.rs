//! Channels before their beginning, on the way to their end and behind it: rows X5 to X9.

use ssh_proto::error::PeerMisbehaved;
use ssh_proto::message::{
    ChannelClose, ChannelEof, ChannelExtendedData, ChannelOpenConfirmation, ChannelOpenFailure,
    ChannelOpenFailureReason, ChannelRequest, ChannelRequestType, ExtendedDataType, Wire,
};
use ssh_proto::{ChannelEvent, Server, ServerEvent};
use ssh_testkit::raw::{Bench, Subject, in_every_way};

use super::common::{
    PROTOCOL, adjust, channel, connected, data, encoded, misbehaved, open_as, opening,
};

both_roles! {
    x5_messages_after_the_end => x5;
    x5_every_message_in_every_state_on_the_way_to_the_end => x5_matrix;
    x6_messages_to_a_channel_that_is_not_confirmed => x6;
    x7_confirmed_twice => x7;
    x9_replies_to_nothing => x9;
}

const EOF: ChannelEof = ChannelEof {
    recipient_channel: 0,
};
const CLOSE: ChannelClose = ChannelClose {
    recipient_channel: 0,
};

/// How far a channel has come to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    WeEnded,
    PeerEnded,
    BothEnded,
    WeClosed,
    WeEndedAndClosed,
    PeerEndedWeClosed,
    PeerClosed,
    BothClosed,
    Never,
}

impl End {
    const ALL: [Self; 9] = [
        Self::WeEnded,
        Self::PeerEnded,
        Self::BothEnded,
        Self::WeClosed,
        Self::WeEndedAndClosed,
        Self::PeerEndedWeClosed,
        Self::PeerClosed,
        Self::BothClosed,
        Self::Never,
    ];

    fn reach<P: Subject>(self) -> Bench<P> {
        let mut bench = connected::<P>();
        if self == Self::Never {
            return bench;
        }
        channel(&mut bench, 1000, 1000);
        let id = bench.seen.channels[0];
        if matches!(
            self,
            Self::PeerEnded | Self::BothEnded | Self::PeerEndedWeClosed
        ) {
            bench.message(&EOF);
        }
        if matches!(
            self,
            Self::WeEnded | Self::BothEnded | Self::WeEndedAndClosed
        ) {
            bench.peer.channel(id).expect("open").eof().expect("open");
        }
        if matches!(
            self,
            Self::WeClosed | Self::WeEndedAndClosed | Self::PeerEndedWeClosed | Self::BothClosed
        ) {
            bench.peer.channel(id).expect("open").close().expect("open");
        }
        bench.turn();
        if matches!(self, Self::PeerClosed | Self::BothClosed) {
            bench.message(&CLOSE);
        }
        bench.lives(&self);
        bench
    }

    /// What becomes of a message then: `Ok(true)` it is taken, `Ok(false)` it is dropped without a
    /// trace, or the rule that it breaks.
    fn fate(self, number: u8) -> Result<bool, PeerMisbehaved> {
        let exists = !matches!(self, Self::PeerClosed | Self::BothClosed | Self::Never);
        let peer_ended = matches!(
            self,
            Self::PeerEnded | Self::BothEnded | Self::PeerEndedWeClosed
        );
        let closing = matches!(
            self,
            Self::WeClosed | Self::WeEndedAndClosed | Self::PeerEndedWeClosed
        );
        match number {
            _ if !exists => Err(PeerMisbehaved::NoSuchChannel(0)),
            91 | 92 => Err(PeerMisbehaved::NoSuchChannel(0)),
            94..=96 if peer_ended => Err(PeerMisbehaved::AfterEof),
            99 | 100 => Err(PeerMisbehaved::UnrequestedReply),
            97 => Ok(true),
            _ => Ok(!closing),
        }
    }
}

/// Every message of a channel in every state on the way to its end.
fn x5_matrix<P: Subject>() {
    let request = |want_reply| {
        encoded(&ChannelRequest {
            recipient_channel: 0,
            want_reply,
            request: ChannelRequestType::Unknown {
                name: "x",
                data: b"",
            },
        })
    };
    let messages = [
        encoded(&ChannelOpenConfirmation {
            recipient_channel: 0,
            sender_channel: 0,
            initial_window_size: 1,
            maximum_packet_size: 1,
        }),
        encoded(&ChannelOpenFailure {
            recipient_channel: 0,
            reason_code: ChannelOpenFailureReason::CONNECT_FAILED,
            description: b"",
            language_tag: b"",
        }),
        encoded(&adjust(5)),
        encoded(&data(b"x")),
        encoded(&ChannelExtendedData {
            recipient_channel: 0,
            data_type_code: ExtendedDataType::STDERR,
            data: b"x",
        }),
        encoded(&EOF),
        encoded(&CLOSE),
        request(true),
        request(false),
        vec![99, 0, 0, 0, 0],
        vec![100, 0, 0, 0, 0],
    ];
    for end in End::ALL {
        for message in &messages {
            let mut bench = end.reach::<P>();
            let (events, got) = (bench.seen.events, bench.raw.got.len());
            let delivered = bench.seen.data.len();
            bench.send(message);
            let did = (bench.seen.events, bench.raw.got.len()) != (events, got);
            match end.fate(message[0]) {
                Ok(taken) => {
                    bench.lives(&(end, message));
                    // Of an adjustment nobody hears.
                    assert_eq!(did, taken && message[0] != 93, "{end:?} {message:?}");
                }
                Err(rule) => {
                    bench.refused(&(end, message), misbehaved(rule), PROTOCOL);
                    assert_eq!(bench.seen.data.len(), delivered, "{end:?} {message:?}");
                }
            }
        }
    }
}

fn x5<P: Subject>() {
    let eof = encoded(&ChannelEof {
        recipient_channel: 0,
    });
    let close = encoded(&ChannelClose {
        recipient_channel: 0,
    });
    let after_end: [Vec<u8>; 3] = [
        encoded(&data(b"x")),
        encoded(&ChannelExtendedData {
            recipient_channel: 0,
            data_type_code: ExtendedDataType::STDERR,
            data: b"x",
        }),
        eof.clone(),
    ];
    for late in &after_end {
        // The first data of a channel goes another way than the second.
        for warm in [false, true] {
            let mut bench = connected::<P>();
            channel(&mut bench, 1000, 1000);
            if warm {
                bench.message(&data(b"warm"));
                bench.message(&data(b"warm"));
            }
            bench.send(&eof);
            let delivered = bench.seen.data.len();
            bench.send(late);
            let after = misbehaved(PeerMisbehaved::AfterEof);
            bench.refused(&(late, warm), after, PROTOCOL);
            assert_eq!(bench.seen.data.len(), delivered);
        }
    }
    let all: Vec<Vec<u8>> = after_end
        .into_iter()
        .chain([
            encoded(&adjust(5)),
            encoded(&ChannelRequest {
                recipient_channel: 0,
                want_reply: true,
                request: ChannelRequestType::Shell,
            }),
        ])
        .collect();
    for late in &all {
        for warm in [false, true] {
            // While we close it: dropped without a trace.
            let mut bench = connected::<P>();
            channel(&mut bench, 1000, 1000);
            if warm {
                bench.message(&data(b"warm"));
                bench.message(&data(b"warm"));
            }
            let id = bench.seen.channels[0];
            bench.peer.channel(id).expect("open").close().expect("open");
            bench.turn();
            let (events, got) = (bench.seen.events, bench.raw.got.len());
            bench.send(late);
            bench.lives(&late);
            assert_eq!((bench.seen.events, bench.raw.got.len()), (events, got));
            // Closed by both: it does not exist.
            bench.send(&close);
            bench.send(late);
            let none = misbehaved(PeerMisbehaved::NoSuchChannel(0));
            bench.refused(&late, none, PROTOCOL);
        }
        // Closed by the peer, and so by both.
        let mut bench = connected::<P>();
        channel(&mut bench, 1000, 1000);
        bench.message(&data(b"warm"));
        bench.send(&close);
        bench.send(late);
        let none = misbehaved(PeerMisbehaved::NoSuchChannel(0));
        bench.refused(&late, none, PROTOCOL);
        // Never opened.
        for id in [0_u32, 1, 255, u32::MAX] {
            let mut other = late.clone();
            other[1..5].copy_from_slice(&id.to_be_bytes());
            let mut bench = connected::<P>();
            bench.send(&other);
            let none = misbehaved(PeerMisbehaved::NoSuchChannel(id));
            bench.refused(&other, none, PROTOCOL);
        }
    }
}

fn x6<P: Subject>() {
    for early in [
        encoded(&data(b"x")),
        encoded(&adjust(1)),
        encoded(&ChannelEof {
            recipient_channel: 0,
        }),
        encoded(&ChannelClose {
            recipient_channel: 0,
        }),
        encoded(&ChannelRequest {
            recipient_channel: 0,
            want_reply: true,
            request: ChannelRequestType::ExitStatus { exit_status: 0 },
        }),
        vec![99, 0, 0, 0, 0],
        vec![100, 0, 0, 0, 0],
    ] {
        let mut bench = opening::<P>();
        bench.send(&early);
        let none = misbehaved(PeerMisbehaved::NoSuchChannel(0));
        bench.refused(&early, none, PROTOCOL);
    }
}

fn x7<P: Subject>() {
    let confirmation = encoded(&ChannelOpenConfirmation {
        recipient_channel: 0,
        sender_channel: 9,
        initial_window_size: 1000,
        maximum_packet_size: 1000,
    });
    let failure = encoded(&ChannelOpenFailure {
        recipient_channel: 0,
        reason_code: ChannelOpenFailureReason::CONNECT_FAILED,
        description: b"",
        language_tag: b"",
    });
    for first in [&confirmation, &failure] {
        for second in [&confirmation, &failure] {
            let mut bench = opening::<P>();
            bench.send(first);
            bench.lives(&first);
            bench.send(second);
            let none = misbehaved(PeerMisbehaved::NoSuchChannel(0));
            bench.refused(&(first, second), none, PROTOCOL);
        }
    }
    for never in [&confirmation, &failure] {
        let mut bench = connected::<P>();
        bench.send(never);
        let none = misbehaved(PeerMisbehaved::NoSuchChannel(0));
        bench.refused(&never, none, PROTOCOL);
    }
}

#[test]
fn x7_the_same_sender_id_again_is_the_peers_own_business() {
    in_every_way(|| {
        let mut bench = connected::<Server>();
        bench.send(&open_as(5, 1000, 1000));
        bench.send(&open_as(5, 1000, 1000));
        bench.lives(&"same id");
        assert_eq!(bench.seen.channels.len(), 2);
    });
}

#[test]
fn x8_rejected_channels_leave_nothing_behind() {
    in_every_way(|| {
        let mut bench = connected::<Server>();
        for _ in 0..20_000 {
            bench.raw.payload(&open_as(0, 1000, 1000));
            bench.turn_with(|server, event, _| {
                if let ServerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) = event {
                    let reason = ChannelOpenFailureReason::CONNECT_FAILED;
                    server.reject_channel(ticket, reason, "no").expect("mine");
                }
            });
            bench.raw.got.clear();
        }
        bench.lives(&"20,000 of them");
        assert_eq!(bench.peer.channels(), 0);
    });
}

#[test]
fn x8_one_channel_more_than_there_may_be() {
    in_every_way(|| {
        let mut bench = connected::<Server>();
        for n in 0..256 {
            bench.send(&open_as(n, 1000, 1000));
        }
        assert_eq!(bench.seen.channels.len(), 256);
        bench.send(&open_as(256, 1000, 1000));
        let answer = ChannelOpenFailure::decode(bench.raw.got.last().expect("an answer"));
        let reason = answer.expect("a failure").reason_code;
        assert_eq!(reason, ChannelOpenFailureReason::RESOURCE_SHORTAGE);
        bench.message(&ChannelClose {
            recipient_channel: 17,
        });
        bench.send(&open_as(256, 1000, 1000));
        assert_eq!(bench.seen.channels.len(), 256, "a slot is free again");
        bench.lives(&"full");
    });
}

fn x9<P: Subject>() {
    for reply in [
        vec![81],
        vec![82],
        vec![99, 0, 0, 0, 0],
        vec![100, 0, 0, 0, 0],
    ] {
        let mut bench = connected::<P>();
        channel(&mut bench, 1000, 1000);
        bench.send(&reply);
        let unrequested = misbehaved(PeerMisbehaved::UnrequestedReply);
        bench.refused(&reply, unrequested, PROTOCOL);
    }
}
