//! Keys that are exchanged again against the rules: rows R1, R2, R3 and R8.

use std::time::Duration;

use ssh_proto::error::{Error, PeerMisbehaved, RequestError};
use ssh_proto::message::{
    ChannelOpenConfirmation, ChannelOpenType, ChannelRequest, ChannelRequestType, DisconnectReason,
    GlobalRequest, GlobalRequestType,
};
use ssh_proto::mux::{GlobalTicket, OpenTicket, Reply, RequestTicket};
use ssh_proto::time::TimeoutReason;
use ssh_proto::{ChannelEvent, Client, GlobalEvent, Role, Server, ServerEvent};
use ssh_testkit::raw::{Bench, Stage, Subject, in_every_way};

use super::common::{PROTOCOL, adjust, channel, connected, data, misbehaved, open_as};

both_roles! {
    r1_nothing_but_the_key_exchange_behind_kexinit => r1;
    r2_what_was_under_way_is_taken_until_the_peer_begins_and_ours_is_held => r2;
    r2_windows_hold_in_the_meantime => r2_windows;
    r3_an_exchange_that_never_ends_takes_nothing_more_and_has_a_deadline => r3;
}

/// The rest of an exchange that the peer has begun, or has not.
fn exchange<P: Subject>(bench: &mut Bench<P>, begun: bool) {
    let stages = [Stage::Connected, Stage::RekeyMethod, Stage::RekeyNewKeys];
    for stage in &stages[usize::from(begun)..] {
        bench.proper(*stage);
        bench.turn();
    }
}

fn r1<P: Subject>() {
    for stage in [Stage::RekeyMethod, Stage::RekeyNewKeys] {
        for strict in [false, true] {
            for n in [5, 6, 7, 20].into_iter().chain(50..=100).chain([192, 193]) {
                let mut bench = Bench::<P>::at(stage, strict);
                let got = bench.raw.got.len();
                for _ in 0..3 {
                    bench.raw.payload(&[n, 0, 0, 0, 0]);
                }
                bench.turn();
                let out_of_turn = |e: &Error| match e {
                    Error::PeerMisbehaved(PeerMisbehaved::UnexpectedMessage(m)) => *m == n,
                    Error::PeerMisbehaved(PeerMisbehaved::KexInitTwice) => n == 20,
                    _ => false,
                };
                bench.refused(&(stage, strict, n), out_of_turn, PROTOCOL);
                assert_eq!(bench.raw.numbers(got), [1], "no PONG, no reply");
            }
        }
    }
}

fn r2<P: Subject>() {
    let mut bench = connected::<P>();
    channel(&mut bench, 1000, 1000);
    let id = bench.seen.channels[0];
    bench.peer.rekey().expect("connected");
    bench.turn();
    let got = bench.raw.got.len();
    assert_eq!(bench.raw.got[got - 1][0], 20);
    // The peer has not seen it yet.
    for _ in 0..10 {
        bench.message(&data(b"under way"));
        bench.message(&GlobalRequest {
            want_reply: true,
            request: GlobalRequestType::Keepalive,
        });
        bench.message(&adjust(1));
        let mut handle = bench.peer.channel(id).expect("open");
        assert_eq!(handle.send(b"not now").expect("open"), 0);
    }
    bench.lives(&"under way");
    assert_eq!(bench.seen.data.len(), 10);
    assert_eq!(bench.raw.got.len(), got, "ours is held back");
    // It has now: nothing else may come, and what we owe leaves behind NEWKEYS.
    exchange(&mut bench, false);
    bench.lives(&"exchanged");
    let numbers = bench.raw.numbers(got);
    let newkeys = numbers.iter().position(|n| *n == 21).expect("NEWKEYS");
    let kex = if P::ROLE == Role::Client { 30 } else { 31 };
    assert_eq!(numbers[..newkeys], [kex]);
    assert_eq!(numbers[newkeys + 1..], [82; 10]);
    let mut handle = bench.peer.channel(id).expect("open");
    assert_eq!(handle.send(b"now").expect("open"), 3);
    bench.turn();
    assert_eq!(bench.raw.got.last().map(|p| p[0]), Some(94));
}

fn r2_windows<P: Subject>() {
    let mut bench = connected::<P>();
    let mut left = channel(&mut bench, 1000, 1000) as usize;
    bench.peer.rekey().expect("connected");
    bench.turn();
    while left > 0 {
        let n = left.min(32 * 1024);
        bench.raw.message(&data(&vec![7; n]));
        // Nobody takes it.
        bench.turn_with(|_, _, _| {});
        left -= n;
    }
    bench.lives(&"a window full");
    bench.message(&data(b"x"));
    let exceeded = misbehaved(PeerMisbehaved::WindowExceeded);
    bench.refused(&"a byte more", exceeded, PROTOCOL);
}

fn r3<P: Subject>() {
    for begun in [false, true] {
        let mut bench = connected::<P>();
        channel(&mut bench, u32::MAX, 32 * 1024);
        let id = bench.seen.channels[0];
        if begun {
            bench.raw.kexinit();
        } else {
            bench.peer.rekey().expect("connected");
        }
        bench.turn();
        let (got, begin) = (bench.raw.got.len(), bench.now.since_epoch());
        let mut busy = false;
        for _ in 0..10_000 {
            let mut handle = bench.peer.channel(id).expect("open");
            assert_eq!(handle.send(&[1; 4096]).expect("open"), 0, "would block");
            let asked = handle.request(
                ChannelRequestType::Unknown {
                    name: "x",
                    data: &[0; 500],
                },
                Reply::NotWanted,
            );
            busy |= asked == Err(RequestError::Busy);
        }
        assert!(busy, "what is held is bounded");
        bench.turn();
        assert_eq!(bench.raw.got.len(), got);
        assert!(!bench.peer.has_output());
        while bench.seen.end.is_none() {
            assert!(bench.wait());
        }
        let late = |e: &Error| matches!(e, Error::Timeout(TimeoutReason::KeyExchange));
        bench.refused(&begun, late, DisconnectReason::KEY_EXCHANGE_FAILED);
        assert_eq!(bench.now.since_epoch() - begin, Duration::from_secs(60));
    }
}

/// A client with one of everything that it can ask for, unanswered.
#[test]
fn r8_what_a_client_has_asked_for_is_answered_across_an_exchange() {
    in_every_way(|| {
        for (ours, early) in [(true, true), (true, false), (false, false)] {
            let mut bench = connected::<Client>();
            channel(&mut bench, 1000, 1000);
            let id = bench.seen.channels[0];
            let size = ssh_proto::message::TerminalSize {
                columns: 80,
                rows: 24,
                width_pixels: 0,
                height_pixels: 0,
            };
            let mut handle = bench.peer.channel(id).expect("open");
            let modes = ssh_proto::message::TerminalModes::EMPTY;
            let asked = [
                handle.pty(b"xterm", size, modes, Reply::Wanted),
                handle.env(b"LANG", b"C", Reply::Wanted),
                handle.subsystem(b"sftp", Reply::Wanted),
                handle.exec(b"true", Reply::Wanted),
                handle.shell(Reply::Wanted),
            ];
            assert!(asked.iter().all(|asked| matches!(asked, Ok(Some(_)))));
            handle.window_change(size).expect("open");
            handle.signal(b"HUP").expect("open");
            let forward = GlobalRequestType::TcpipForward {
                address_to_bind: b"",
                port_number_to_bind: 8080,
            };
            let forward = bench.peer.global_request(forward, Reply::Wanted);
            assert!(forward.expect("connected").is_some());
            bench.peer.open_session().expect("connected");
            bench.turn();
            if ours {
                bench.peer.rekey().expect("connected");
                bench.turn();
            }
            let answers = |bench: &mut Bench<Client>| {
                for success in [true, false, true, false, true] {
                    bench
                        .raw
                        .payload(&[if success { 99 } else { 100 }, 0, 0, 0, 0]);
                }
                bench.raw.payload(&[81]);
                bench.raw.message(&ChannelOpenConfirmation {
                    recipient_channel: 1,
                    sender_channel: 1,
                    initial_window_size: 1000,
                    maximum_packet_size: 1000,
                });
                bench.turn();
            };
            if early {
                // Before the peer has seen our KEXINIT.
                answers(&mut bench);
            }
            exchange(&mut bench, false);
            if !early {
                answers(&mut bench);
            }
            bench.lives(&(ours, early));
            let log = &bench.seen.log.0;
            let replies = log.iter().filter(|line| line.starts_with("Reply"));
            let successes = replies
                .clone()
                .filter(|line| line.contains("success: true"));
            assert_eq!((replies.count(), successes.count()), (5, 3), "{log:#?}");
            assert!(bench.seen.log.has("Success"), "{log:#?}");
            assert_eq!(bench.seen.channels.len(), 2);
            bench.send(&[99, 0, 0, 0, 0]);
            let unrequested = misbehaved(PeerMisbehaved::UnrequestedReply);
            bench.refused(&"one too many", unrequested, PROTOCOL);
        }
    });
}

/// What a server has been asked for and has not decided on.
#[derive(Default)]
struct Held {
    open: Option<OpenTicket>,
    request: Option<RequestTicket>,
    global: Option<GlobalTicket>,
}

/// The application decides while keys are exchanged, or when they have been.
#[test]
fn r8_what_a_server_was_asked_is_answered_across_an_exchange() {
    in_every_way(|| {
        for (ours, during) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut bench = connected::<Server>();
            channel(&mut bench, 1000, 1000);
            bench.raw.payload(&open_as(7, 1000, 1000));
            bench.raw.message(&ChannelRequest {
                recipient_channel: 0,
                want_reply: true,
                request: ChannelRequestType::Shell,
            });
            bench.raw.message(&GlobalRequest {
                want_reply: true,
                request: GlobalRequestType::TcpipForward {
                    address_to_bind: b"",
                    port_number_to_bind: 80,
                },
            });
            let mut held = Held::default();
            bench.turn_with(|server, event, _| match event {
                ServerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) => {
                    server.defer(&ticket).expect("mine");
                    held.open = Some(ticket);
                }
                ServerEvent::Channel(ChannelEvent::Request { ticket, .. }) => {
                    server.defer(&ticket).expect("mine");
                    held.request = Some(ticket);
                }
                ServerEvent::Global(GlobalEvent::Request { ticket, .. }) => {
                    server.defer(&ticket).expect("mine");
                    held.global = Some(ticket);
                }
                other => panic!("{other:?}"),
            });
            let got = bench.raw.got.len();
            let mut decide = |bench: &mut Bench<Server>| {
                let (global, request, open) =
                    (held.global.take(), held.request.take(), held.open.take());
                bench
                    .peer
                    .accept_global(global.expect("asked"), b"")
                    .expect("mine");
                bench
                    .peer
                    .accept_request(request.expect("asked"))
                    .expect("mine");
                bench
                    .peer
                    .accept_channel(open.expect("asked"))
                    .expect("mine");
                bench.turn();
            };
            if ours {
                bench.peer.rekey().expect("connected");
            } else {
                bench.raw.kexinit();
            }
            bench.turn();
            if during {
                decide(&mut bench);
                assert_eq!(bench.raw.numbers(got), [20], "held");
            }
            exchange(&mut bench, !ours);
            if !during {
                decide(&mut bench);
            }
            bench.lives(&(ours, during));
            assert_eq!(bench.raw.numbers(got), [20, 31, 21, 81, 99, 91]);
        }
    });
}

/// An open that the subject has sent when keys are exchanged, and one that it asks for meanwhile.
#[test]
fn r8_channels_are_opened_across_an_exchange() {
    fn with<P: Subject>() {
        let kind = || match P::ROLE {
            Role::Client => ChannelOpenType::Session,
            Role::Server => ChannelOpenType::AuthAgent,
        };
        let mut bench = connected::<P>();
        bench.peer.open_channel(kind()).expect("connected");
        bench.turn();
        let got = bench.raw.got.len();
        bench.peer.rekey().expect("connected");
        bench.peer.open_channel(kind()).expect("connected");
        bench.turn();
        assert_eq!(bench.raw.numbers(got), [20]);
        exchange(&mut bench, false);
        assert_eq!(bench.raw.got.last().map(|p| p[0]), Some(90));
        for n in 0..2 {
            bench.message(&ChannelOpenConfirmation {
                recipient_channel: n,
                sender_channel: n,
                initial_window_size: 10,
                maximum_packet_size: 10,
            });
        }
        bench.lives(&"opened");
        assert_eq!(bench.seen.channels.len(), 2);
    }
    in_every_way(|| {
        with::<Client>();
        with::<Server>();
    });
}
