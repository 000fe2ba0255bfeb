//! Channels, windows and requests against the rules: rows X and C9.

use std::time::Duration;

use ssh_proto::error::{Error, LimitExceeded, Misuse, PeerMisbehaved};
use ssh_proto::message::{
    ChannelClose, ChannelData, ChannelEof, ChannelExtendedData, ChannelOpen,
    ChannelOpenConfirmation, ChannelOpenFailure, ChannelOpenFailureReason, ChannelOpenType,
    ChannelRequest, ChannelRequestType, ChannelWindowAdjust, DisconnectReason, ExtendedDataType,
    GlobalRequest, GlobalRequestType, Wire,
};
use ssh_proto::mux::Stream;
use ssh_proto::{ChannelEvent, Client, ClientEvent, Role, Server, ServerEvent, Wants};
use ssh_testkit::raw::{Bench, Stage, Subject, in_every_way};

const PROTOCOL: DisconnectReason = DisconnectReason::PROTOCOL_ERROR;

both_roles! {
    x1_a_window_beyond_its_largest_size => x1;
    x2_more_than_the_window_or_a_packet_allows => x2;
    x3_packets_of_one_byte_and_of_any_size => x3;
    x4_a_peer_that_never_grants_anything => x4;
    x5_messages_after_the_end => x5;
    x6_messages_to_a_channel_that_is_not_confirmed => x6;
    x7_confirmed_twice => x7;
    x9_replies_to_nothing => x9;
    x10_requests_from_a_peer_that_does_not_read => x10;
    x11_malformed_requests => x11;
    x12_any_extended_data_is_delivered_and_its_credit_returns => x12;
}

fn misbehaved(rule: PeerMisbehaved) -> impl Fn(&Error) -> bool {
    move |error| matches!(error, Error::PeerMisbehaved(broken) if *broken == rule)
}

fn encoded<'m, M: Wire<'m>>(message: &M) -> Vec<u8> {
    let mut payload = Vec::new();
    message.encode(&mut payload);
    payload
}

/// What the peer says of its side of channel `n`.
fn open_as(n: u32, window: u32, max: u32) -> Vec<u8> {
    encoded(&ChannelOpen {
        sender_channel: n,
        initial_window_size: window,
        maximum_packet_size: max,
        channel_type: ChannelOpenType::Session,
    })
}

/// Opens a channel whose peer grants `window` and takes packets of `max`, and returns the window
/// that the subject grants.
fn channel<P: Subject>(bench: &mut Bench<P>, window: u32, max: u32) -> u32 {
    let before = bench.seen.channels.len();
    let slot = u32::try_from(before).expect("few");
    let granted = if P::ROLE == Role::Server {
        bench.send(&open_as(slot, window, max));
        let answer = bench.raw.got.last().expect("an answer");
        let answer = ChannelOpenConfirmation::decode(answer).expect("a confirmation");
        assert_eq!(answer.sender_channel, slot);
        answer.initial_window_size
    } else {
        bench.peer.open_session().expect("connected");
        bench.turn();
        let open = bench.raw.got.last().expect("a message").clone();
        let open = ChannelOpen::decode(&open).expect("an open");
        bench.message(&ChannelOpenConfirmation {
            recipient_channel: open.sender_channel,
            sender_channel: slot,
            initial_window_size: window,
            maximum_packet_size: max,
        });
        open.initial_window_size
    };
    assert_eq!(bench.seen.channels.len(), before + 1);
    granted
}

fn connected<P: Subject>() -> Bench<P> {
    Bench::at(Stage::Connected, true)
}

const fn adjust(bytes_to_add: u32) -> ChannelWindowAdjust {
    ChannelWindowAdjust {
        recipient_channel: 0,
        bytes_to_add,
    }
}

const fn data(data: &[u8]) -> ChannelData<'_> {
    ChannelData {
        recipient_channel: 0,
        data,
    }
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

/// The subject asks for a channel, which the peer does not confirm.
fn opening<P: Subject>() -> Bench<P> {
    let mut bench = connected::<P>();
    let kind = if P::ROLE == Role::Client {
        ChannelOpenType::Session
    } else {
        ChannelOpenType::AuthAgent
    };
    bench.peer.open_channel(kind).expect("connected");
    bench.turn();
    bench
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

fn x10<P: Subject>() {
    let requests = [
        encoded(&GlobalRequest {
            want_reply: true,
            request: GlobalRequestType::Keepalive,
        }),
        encoded(&ChannelRequest {
            recipient_channel: 0,
            want_reply: true,
            request: ChannelRequestType::Unknown {
                name: "x",
                data: b"",
            },
        }),
        open_as(7, 0, 0),
    ];
    for request in requests {
        let mut bench = connected::<P>();
        channel(&mut bench, 1000, 1000);
        bench.reads = false;
        let mut sent = 0;
        while matches!(bench.peer.wants(), Wants::Bytes(_)) {
            bench.send(&request);
            sent += 1;
            assert!(sent < 50_000, "it reads for ever");
        }
        assert_eq!(bench.peer.wants(), Wants::Output);
        let waiting = bench.peer.output().len();
        assert!(waiting < 300 * 1024, "{waiting}");
        let begin = bench.now.since_epoch();
        assert!(bench.wait());
        assert_eq!(bench.now.since_epoch() - begin, Duration::from_secs(60));
        bench.reads = true;
        bench.collect();
        bench.refused(&request, |_| true, DisconnectReason::CONNECTION_LOST);
    }
}

/// Replies that are due stand behind one that the application takes its time for. There may not
/// be any number of them.
#[test]
fn x10_replies_behind_a_deferred_ticket_are_bounded() {
    in_every_way(|| {
        let mut bench = connected::<Client>();
        channel(&mut bench, 1000, 1000);
        let unknown = ChannelRequest {
            recipient_channel: 0,
            want_reply: true,
            request: ChannelRequestType::Unknown {
                name: "wait-for-me",
                data: b"",
            },
        };
        let granted = ChannelRequest {
            recipient_channel: 0,
            want_reply: true,
            request: ChannelRequestType::ExitStatus { exit_status: 0 },
        };
        let refused = ChannelRequest {
            recipient_channel: 0,
            want_reply: true,
            request: ChannelRequestType::Keepalive,
        };
        bench.raw.message(&unknown);
        let mut tickets = Vec::new();
        bench.turn_with(|client, event, _| {
            if let ClientEvent::Channel(ChannelEvent::Request { ticket, .. }) = event {
                client.defer(&ticket).expect("mine");
                tickets.push(ticket);
            }
        });
        assert_eq!(tickets.len(), 1);
        // As many as anybody needs wait, and leave all at once.
        let got = bench.raw.got.len();
        for _ in 0..500 {
            bench.message(&granted);
            bench.message(&refused);
        }
        assert_eq!(bench.raw.got.len(), got, "one after the other");
        let first = tickets.pop().expect("one");
        bench.peer.refuse_request(first).expect("mine");
        bench.turn();
        let expected: Vec<u8> = [100].into_iter().chain([99, 100].repeat(500)).collect();
        assert_eq!(bench.raw.numbers(got), expected);

        for flood in [&[granted, refused][..], &[refused], &[granted]] {
            let mut bench = connected::<Client>();
            channel(&mut bench, 1000, 1000);
            bench.raw.message(&unknown);
            bench.turn_with(|client, event, _| {
                if let ClientEvent::Channel(ChannelEvent::Request { ticket, .. }) = event {
                    client.defer(&ticket).expect("mine");
                }
            });
            for _ in 0..50_000 {
                for request in flood {
                    bench.raw.message(request);
                }
            }
            bench.turn();
            let control = |e: &Error| matches!(e, Error::Limit(LimitExceeded::Control));
            bench.refused(&"replies", control, PROTOCOL);
        }
    });
}

/// As above, for the replies to global requests.
#[test]
fn x10_global_replies_behind_a_deferred_ticket_are_bounded() {
    in_every_way(|| {
        let mut bench = connected::<Server>();
        let forward = GlobalRequest {
            want_reply: true,
            request: GlobalRequestType::TcpipForward {
                address_to_bind: b"",
                port_number_to_bind: 0,
            },
        };
        bench.raw.message(&forward);
        let mut tickets = Vec::new();
        bench.turn_with(|server, event, _| {
            if let ServerEvent::Global(ssh_proto::GlobalEvent::Request { ticket, .. }) = event {
                server.defer(&ticket).expect("mine");
                tickets.push(ticket);
            }
        });
        for _ in 0..100_000 {
            for request in [
                GlobalRequestType::NoMoreSessions,
                GlobalRequestType::Keepalive,
            ] {
                bench.raw.message(&GlobalRequest {
                    want_reply: true,
                    request,
                });
            }
        }
        bench.turn();
        let control = |e: &Error| matches!(e, Error::Limit(LimitExceeded::Control));
        bench.refused(&"replies", control, PROTOCOL);
    });
}

fn x11<P: Subject>() {
    for (name, body) in [
        ("pty-req", &b"\0\0\0\x05xterm\0\0"[..]),
        ("env", b"\0\0\0\xffx"),
        ("exec", b"\xff\xff\xff\xff"),
        ("exit-status", b"\0\0\0"),
        ("exit-signal", b"\0\0\0\x03KIL"),
        ("signal", b""),
        ("window-change", b"\0\0\0\x01"),
        ("x11-req", b"\x01"),
        ("subsystem", b"\0\0\0\x04sft"),
    ] {
        let mut payload = vec![98, 0, 0, 0, 0];
        payload.extend_from_slice(&u32::try_from(name.len()).expect("short").to_be_bytes());
        payload.extend_from_slice(name.as_bytes());
        payload.push(1);
        payload.extend_from_slice(body);
        let mut bench = connected::<P>();
        channel(&mut bench, 1000, 1000);
        let events = bench.seen.events;
        bench.send(&payload);
        bench.refused(&name, |e| matches!(e, Error::Malformed(_)), PROTOCOL);
        assert_eq!(bench.seen.events, events + 1);
    }
    let mut bench = connected::<P>();
    channel(&mut bench, 1000, 1000);
    for _ in 0..1000 {
        bench.message(&ChannelRequest {
            recipient_channel: 0,
            want_reply: false,
            request: ChannelRequestType::ExitSignal {
                signal_name: b"KILL",
                core_dumped: true,
                error_message: b"",
                language_tag: b"",
            },
        });
    }
    bench.lives(&"1000 exit-signals");
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

#[test]
fn c9_a_server_opens_nothing_that_was_not_asked_for() {
    in_every_way(|| {
        let types = [
            ChannelOpenType::Session,
            ChannelOpenType::DirectTcpip {
                host_to_connect: b"h",
                port_to_connect: 22,
                originator_ip_address: b"",
                originator_port: 0,
            },
            ChannelOpenType::ForwardedTcpip {
                connected_address: b"",
                connected_port: 80,
                originator_ip_address: b"",
                originator_port: 0,
            },
            ChannelOpenType::AuthAgent,
            ChannelOpenType::Unknown {
                name: "tun@openssh.com",
                data: b"\0\0\0\x01",
            },
            ChannelOpenType::ForwardedStreamlocal {
                socket_path: b"/x",
                reserved: b"",
            },
        ];
        let mut bench = connected::<Client>();
        let events = bench.seen.events;
        for channel_type in types {
            bench.message(&ChannelOpen {
                sender_channel: 4,
                initial_window_size: 1000,
                maximum_packet_size: 1000,
                channel_type,
            });
            let answer = ChannelOpenFailure::decode(bench.raw.got.last().expect("an answer"));
            let answer = answer.expect("a failure");
            let prohibited = ChannelOpenFailureReason::ADMINISTRATIVELY_PROHIBITED;
            assert_eq!(
                (answer.recipient_channel, answer.reason_code),
                (4, prohibited)
            );
        }
        assert_eq!(bench.seen.events, events, "the application was not asked");
        bench.lives(&"refused");
    });
}
