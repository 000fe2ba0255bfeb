//! What an application does with channels, what of it is misuse, and what the peer gets to see.

use ssh_proto::error::{Error, Misuse, PeerMisbehaved, RequestError};
use ssh_proto::message::{
    ChannelClose, ChannelData, ChannelOpenConfirmation, ChannelRequest, ChannelRequestType,
    ChannelSuccess, ChannelWindowAdjust, DisconnectReason, TerminalModes, TerminalSize, Wire,
};
use ssh_proto::mux::{Exit, Reply, RequestId};
use ssh_proto::{ChannelEvent, ChannelId, Client, ClientConfig, ClientEvent, Server, ServerEvent};
use ssh_testkit::raw::{Bench, Stage};

/// A client with channels `0..n`, which are `100..` at the peer, and so much credit on each.
fn client_with(config: ClientConfig, n: u32, window: u32) -> Bench<Client> {
    let mut bench = Bench::<Client>::with(config, true).up_to(Stage::Connected);
    for slot in 0..n {
        bench.peer.open_session().expect("connected");
        bench.turn();
        confirm(&mut bench, slot, window);
    }
    assert_eq!(bench.seen.channels.len(), n as usize);
    bench
}

fn client(n: u32, window: u32) -> Bench<Client> {
    client_with(ClientConfig::default(), n, window)
}

fn confirm(bench: &mut Bench<Client>, slot: u32, window: u32) {
    bench.message(&ChannelOpenConfirmation {
        recipient_channel: slot,
        sender_channel: 100 + slot,
        initial_window_size: window,
        maximum_packet_size: 32 * 1024,
    });
}

/// The requests that came since `from`.
fn requests(bench: &Bench<Client>, from: usize) -> Vec<(bool, String)> {
    let requests = bench.raw.got[from..].iter();
    let requests = requests.map(|payload| ChannelRequest::decode(payload).expect("a request"));
    requests
        .map(|request| {
            assert_eq!(request.recipient_channel, 100);
            (request.want_reply, format!("{:?}", request.request))
        })
        .collect()
}

#[test]
fn every_request_is_what_the_peer_gets() {
    let mut bench = client(1, 0);
    let id = bench.seen.channels[0];
    let size = TerminalSize {
        columns: 80,
        rows: 24,
        ..TerminalSize::default()
    };
    let got = bench.raw.got.len();
    let mut channel = bench.peer.channel(id).expect("open");
    let not_wanted = Reply::NotWanted;
    channel
        .pty(b"vt100", size, TerminalModes::EMPTY, Reply::Wanted)
        .expect("fits");
    channel.env(b"LANG", b"C", not_wanted).expect("fits");
    channel.shell(Reply::Wanted).expect("fits");
    channel.exec(b"ls", not_wanted).expect("fits");
    channel.subsystem(b"sftp", not_wanted).expect("fits");
    channel.window_change(size).expect("fits");
    channel.signal(b"INT").expect("fits");
    channel.exit(Exit::Status(3)).expect("fits");
    let signal = Exit::Signal {
        signal_name: b"KILL",
        core_dumped: true,
        error_message: b"oh",
    };
    channel.exit(signal).expect("fits");
    bench.turn();
    let expected = [
        (
            true,
            ChannelRequestType::PtyReq {
                term: b"vt100",
                size,
                modes: TerminalModes::EMPTY,
            },
        ),
        (
            false,
            ChannelRequestType::Env {
                variable_name: b"LANG",
                variable_value: b"C",
            },
        ),
        (true, ChannelRequestType::Shell),
        (false, ChannelRequestType::Exec { command: b"ls" }),
        (
            false,
            ChannelRequestType::Subsystem {
                subsystem_name: b"sftp",
            },
        ),
        (false, ChannelRequestType::WindowChange { size }),
        (
            false,
            ChannelRequestType::Signal {
                signal_name: b"INT",
            },
        ),
        (false, ChannelRequestType::ExitStatus { exit_status: 3 }),
        (
            false,
            ChannelRequestType::ExitSignal {
                signal_name: b"KILL",
                core_dumped: true,
                error_message: b"oh",
                language_tag: b"",
            },
        ),
    ];
    let expected = expected.map(|(reply, request)| (reply, format!("{request:?}")));
    assert_eq!(requests(&bench, got), expected);
}

#[test]
fn before_a_channel_is_open_and_after_its_end_nothing_is_sent_on_it() {
    let state = Some(Misuse::ChannelState);
    let mut bench = client(0, 0);
    let id = bench.peer.open_session().expect("connected");
    bench.turn();
    let got = bench.raw.got.len();
    let mut channel = bench.peer.channel(id).expect("opening");
    assert_eq!(channel.send(b"x").err(), state);
    assert_eq!(channel.eof().err(), state);
    assert_eq!(channel.sendable(), 0);
    let busy = channel.shell(Reply::NotWanted);
    assert_eq!(busy, Err(RequestError::Misuse(Misuse::ChannelState)));
    assert_eq!(channel.reserve(1).err(), state);
    confirm(&mut bench, 0, 1000);
    assert_eq!(bench.raw.got.len(), got, "nothing was sent");

    let mut channel = bench.peer.channel(id).expect("open");
    assert_eq!(channel.sendable(), 1000);
    assert_eq!(channel.send(b"x"), Ok(1));
    channel.eof().expect("once");
    assert_eq!(channel.eof().err(), state);
    assert_eq!(channel.send(b"x").err(), state);
    assert_eq!(channel.sendable(), 0);
    channel.signal(b"INT").expect("requests go on");
    channel.close().expect("once");
    assert_eq!(channel.close().err(), state);
    assert_eq!(channel.eof().err(), state);
    assert_eq!(channel.send(b"x").err(), state);
    let late = channel.signal(b"INT");
    assert_eq!(late, Err(RequestError::Misuse(Misuse::ChannelState)));
    bench.turn();
    assert_eq!(bench.raw.numbers(got), [94, 96, 98, 97]);
}

#[test]
fn a_request_may_fill_a_packet_that_every_peer_takes_and_no_more() {
    // RFC 4253 section 6.1. Before the command: number, channel, "exec", want_reply, lengths.
    const MOST: usize = 32 * 1024 - 18;
    let mut bench = client(1, 0);
    let id = bench.seen.channels[0];
    let got = bench.raw.got.len();
    let mut channel = bench.peer.channel(id).expect("open");
    let long = channel.exec(&[b'x'; MOST + 1], Reply::NotWanted);
    assert_eq!(long, Err(RequestError::Misuse(Misuse::Value)));
    assert_eq!(channel.exec(&[b'x'; MOST], Reply::NotWanted), Ok(None));
    bench.turn();
    assert_eq!(bench.raw.got[got].len(), 32 * 1024);
    assert_eq!(bench.raw.got.len(), got + 1);
}

/// The other half of what may be held is for what the peer is owed.
#[test]
fn during_a_key_exchange_half_of_what_is_held_is_the_applications() {
    // A signal of three letters has 23 bytes, and its length; nothing counts for less than 16.
    for (signal, counts) in [(&b"INT"[..], 27), (&[b'x'; 100], 124)] {
        let mut config = ClientConfig::default();
        config.transport.limits.held = 8192;
        let mut bench = client_with(config, 1, 0);
        let id = bench.seen.channels[0];
        bench.peer.rekey().expect("connected");
        let mut channel = bench.peer.channel(id).expect("open");
        let sent = (0..1000)
            .take_while(|_| channel.signal(signal).is_ok())
            .count();
        assert_eq!(sent, 4096 / counts, "{signal:?}");
        assert_eq!(channel.signal(signal), Err(RequestError::Busy));
        let config = ClientConfig::default();
        bench = client_with(config, 1, 0);
        bench.lives(&signal);
    }
}

#[test]
fn replies_tell_which_request_they_are_for() {
    let mut bench = client(1, 0);
    let id = bench.seen.channels[0];
    let mut channel = bench.peer.channel(id).expect("open");
    let mut ids: Vec<RequestId> = Vec::new();
    for _ in 0..3 {
        ids.extend(channel.shell(Reply::Wanted).expect("fits"));
    }
    assert!(
        ids.is_sorted() && ids[0] != ids[1] && ids[1] != ids[2],
        "{ids:?}"
    );
    let mut replies = Vec::new();
    for _ in 0..3 {
        bench.raw.message(&ChannelSuccess {
            recipient_channel: 0,
        });
        bench.turn_with(|_, event, _| {
            if let ClientEvent::Channel(ChannelEvent::Reply { request, .. }) = event {
                replies.push(request);
            }
        });
    }
    assert_eq!(replies, ids);
}

#[test]
fn what_a_channel_still_waited_for_is_forgotten_with_it() {
    let mut config = ClientConfig::default();
    config.transport.limits.requests_unanswered = 3;
    let mut bench = client_with(config, 2, 0);
    for round in 0..2 {
        let id = bench.seen.channels[0];
        let mut channel = bench.peer.channel(id).expect("open");
        for n in 0..3 {
            assert!(channel.shell(Reply::Wanted).is_ok(), "{round} {n}");
        }
        assert_eq!(channel.shell(Reply::Wanted), Err(RequestError::Busy));
        bench.message(&ChannelClose {
            recipient_channel: round,
        });
    }
    assert_eq!(bench.peer.channels(), 0);
    bench.lives(&"both gone");
}

/// Fills what bulk channels may fill of the output, so that `ids` wait for room in this order.
fn blocked(bench: &mut Bench<Client>, ids: &[ChannelId]) {
    bench.reads = false;
    for id in ids {
        let mut channel = bench.peer.channel(*id).expect("open");
        while channel.send(&[1; 10_000]).expect("open") > 0 {}
    }
}

/// Which channels are told that they may send, in this order, by one turn.
fn writable(bench: &mut Bench<Client>) -> Vec<ChannelId> {
    let mut told = Vec::new();
    bench.turn_with(|_, event, _| {
        if let ClientEvent::Channel(ChannelEvent::Writable { channel }) = event {
            told.push(channel);
        }
    });
    told
}

#[test]
fn a_channel_that_becomes_interactive_while_it_waits_has_the_other_half() {
    let mut bench = client(3, u32::MAX);
    let ids = bench.seen.channels.clone();
    blocked(&mut bench, &ids);
    assert_eq!(writable(&mut bench), []);
    bench
        .peer
        .channel(ids[1])
        .expect("open")
        .set_interactive()
        .expect("open");
    assert_eq!(writable(&mut bench), [ids[1]]);
    let mut channel = bench.peer.channel(ids[1]).expect("open");
    assert_eq!(channel.send(&[1; 1000]), Ok(1000));
    // The others keep their places, and it has none any more.
    bench.reads = true;
    bench.collect();
    assert_eq!(writable(&mut bench), [ids[0], ids[2]]);
}

#[test]
fn a_channel_that_becomes_interactive_and_does_not_wait_is_told_nothing() {
    let mut bench = client(2, 1000);
    let ids = bench.seen.channels.clone();
    let mut channel = bench.peer.channel(ids[0]).expect("open");
    channel.set_interactive().expect("open");
    assert_eq!(writable(&mut bench), []);
    // Nor one that waits for credit, or is interactive already.
    let mut channel = bench.peer.channel(ids[1]).expect("open");
    assert_eq!(channel.send(&[1; 2000]), Ok(1000));
    channel.set_interactive().expect("open");
    channel.set_interactive().expect("open");
    assert_eq!(writable(&mut bench), []);
    bench.message(&ChannelWindowAdjust {
        recipient_channel: 1,
        bytes_to_add: 5,
    });
    let mut channel = bench.peer.channel(ids[1]).expect("open");
    assert_eq!(channel.send(&[1; 2000]), Ok(5));
}

/// Of those that wait, only the one that is gone loses its place.
#[test]
fn the_end_of_one_channel_leaves_the_places_of_others() {
    for interactive in [false, true] {
        let mut bench = client(4, u32::MAX);
        let ids = bench.seen.channels.clone();
        if interactive {
            for id in &ids {
                bench
                    .peer
                    .channel(*id)
                    .expect("open")
                    .set_interactive()
                    .expect("open");
            }
        }
        blocked(&mut bench, &ids);
        bench.message(&ChannelClose {
            recipient_channel: 1,
        });
        bench.reads = true;
        bench.collect();
        assert_eq!(
            writable(&mut bench),
            [ids[0], ids[2], ids[3]],
            "{interactive}"
        );
    }
}

/// Data of the first channel comes first after that of the second one: neither forgets what the
/// other one has received.
#[test]
fn x12_credit_is_counted_for_each_channel_by_itself() {
    let mut bench = Bench::<Server>::at(Stage::Connected, true);
    let mut windows = Vec::new();
    for n in 0..2 {
        bench.message(&ssh_proto::message::ChannelOpen {
            sender_channel: n,
            initial_window_size: 1000,
            maximum_packet_size: 1000,
            channel_type: ssh_proto::message::ChannelOpenType::Session,
        });
        let answer = bench.raw.got.last().expect("an answer");
        let answer = ChannelOpenConfirmation::decode(answer).expect("a confirmation");
        windows.push(answer.initial_window_size as usize);
    }
    let data = |bench: &mut Bench<Server>, recipient_channel, n: usize| {
        for piece in vec![7; n].chunks(16 * 1024) {
            bench.raw.message(&ChannelData {
                recipient_channel,
                data: piece,
            });
        }
        bench.turn_with(|_, event, seen| {
            if let ServerEvent::Ended(end) = event {
                seen.end = Some(end);
            }
        });
    };
    data(&mut bench, 1, windows[1]);
    data(&mut bench, 0, 1);
    bench.lives(&"both within their windows");
    data(&mut bench, 1, 1);
    let exceeded = PeerMisbehaved::WindowExceeded;
    let exceeded = |e: &Error| matches!(e, Error::PeerMisbehaved(rule) if *rule == exceeded);
    bench.refused(&"a byte more", exceeded, DisconnectReason::PROTOCOL_ERROR);
}
