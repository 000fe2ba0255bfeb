//! Messages whose fields are wrong, once a connection is up: rows P9 and P11 to P15. For the messages
//! of the handshake see `packet.rs`.

use ssh_proto::Role;
use ssh_proto::error::{End, Error};
use ssh_proto::message::{
    ChannelOpenConfirmation, DebugMessage, Disconnect, DisconnectReason, Unimplemented,
};
use ssh_testkit::raw::{Bench, Stage, Subject};

const PROTOCOL: DisconnectReason = DisconnectReason::PROTOCOL_ERROR;

both_roles! {
    p11_bytes_behind_every_message_of_a_connection => behind;
    p12_every_message_of_a_connection_cut_at_every_byte => cut;
    p13_every_length_in_every_message_of_a_connection => lengths;
    p9_unimplemented_is_never_answered => unimplemented;
    p14_texts_of_any_size_are_bounded_and_shown_escaped => texts;
}

/// A `string`.
fn s(content: &str) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("short");
    [&length.to_be_bytes(), content.as_bytes()].concat()
}

fn n(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// Messages that `P` may be sent when channel 0 is open, in fields.
fn messages<P: Subject>() -> Vec<Vec<Vec<u8>>> {
    let yes = || vec![1];
    let open = |kind: &str| vec![vec![90], s(kind), n(7), n(1000), n(1000)];
    let request = |kind: &str| vec![vec![98], n(0), s(kind), yes()];
    let with = |mut head: Vec<Vec<u8>>, tail: Vec<Vec<u8>>| {
        head.extend(tail);
        head
    };
    let mut all = vec![
        vec![vec![2], s("x")],
        vec![vec![3], n(0)],
        vec![vec![4], yes(), s("hm"), s("")],
        vec![vec![93], n(0), n(1)],
        vec![vec![94], n(0), s("data")],
        vec![vec![95], n(0), n(1), s("data")],
        vec![vec![96], n(0)],
        vec![vec![97], n(0)],
        vec![vec![192], s("ping")],
        with(request("signal"), vec![s("TERM")]),
    ];
    if P::ROLE == Role::Server {
        let tunnel = vec![s("h"), n(80), s("o"), n(1)];
        all.extend([
            vec![vec![80], s("tcpip-forward"), yes(), s("a"), n(0)],
            vec![vec![80], s("cancel-tcpip-forward"), yes(), s("a"), n(1)],
            open("session"),
            with(open("direct-tcpip"), tunnel),
            with(
                request("pty-req"),
                vec![s("vt"), n(80), n(24), n(0), n(0), s("\0")],
            ),
            with(request("env"), vec![s("A"), s("b")]),
            request("shell"),
            with(request("exec"), vec![s("id")]),
            with(request("subsystem"), vec![s("sftp")]),
            with(request("window-change"), vec![n(80), n(24), n(0), n(0)]),
        ]);
    } else {
        all.extend([
            with(open("forwarded-tcpip"), vec![s("h"), n(80), s("o"), n(1)]),
            with(open("x11"), vec![s("h"), n(6000)]),
            with(request("exit-status"), vec![n(1)]),
            with(
                request("exit-signal"),
                vec![s("TERM"), vec![0], s("bye"), s("")],
            ),
        ]);
    }
    all
}

fn connected<P: Subject>() -> Bench<P> {
    let mut bench = Bench::<P>::at(Stage::Connected, true);
    if P::ROLE == Role::Server {
        bench.send(&[vec![90], s("session"), n(0), n(1 << 20), n(1 << 15)].concat());
    } else {
        bench.peer.open_session().expect("connected");
        bench.turn();
        bench.message(&ChannelOpenConfirmation {
            recipient_channel: 0,
            sender_channel: 0,
            initial_window_size: 1 << 20,
            maximum_packet_size: 1 << 15,
        });
    }
    assert_eq!(bench.seen.channels.len(), 1);
    bench
}

/// The message is refused, and nothing of it takes effect.
fn refused<P: Subject>(payload: &[u8], what: &str) {
    let mut bench = connected::<P>();
    let events = bench.seen.events;
    bench.send(payload);
    let malformed = |e: &Error| matches!(e, Error::Malformed(_));
    bench.refused(&(what, payload), malformed, PROTOCOL);
    assert_eq!(bench.seen.events, events + 1, "{what} {payload:?}");
    assert!(bench.seen.data.is_empty());
}

fn behind<P: Subject>() {
    for message in messages::<P>() {
        let payload = message.concat();
        let mut bench = connected::<P>();
        bench.send(&payload);
        bench.lives(&payload);
        for more in [1, 1000] {
            refused::<P>(&[&payload[..], &vec![0; more]].concat(), "behind");
        }
    }
}

fn cut<P: Subject>() {
    for message in messages::<P>() {
        let payload = message.concat();
        for cut in 1..payload.len() {
            refused::<P>(&payload[..cut], "cut");
        }
    }
}

fn lengths<P: Subject>() {
    let mut strings = 0;
    for message in messages::<P>() {
        for (i, field) in message.iter().enumerate() {
            let Some((length, content)) = field.split_first_chunk::<4>() else {
                continue;
            };
            if u32::from_be_bytes(*length) as usize != content.len() || *length == [0; 4] {
                continue;
            }
            let rest = message[i + 1..].concat();
            let there = u32::try_from(content.len() + rest.len()).expect("short");
            for length in [u32::MAX, u32::MAX - 3, there + 1] {
                let head = [message[..i].concat(), n(length)].concat();
                refused::<P>(&[&head[..], content, &rest].concat(), "length");
            }
            strings += 1;
        }
    }
    assert!(strings > 9);
}

fn unimplemented<P: Subject>() {
    for stage in [Stage::Connected, Stage::RekeyMethod] {
        let mut bench = Bench::<P>::at(stage, true);
        let got = bench.raw.got.len();
        for packet_sequence_number in 0..100_000 {
            bench.raw.message(&Unimplemented {
                packet_sequence_number,
            });
        }
        bench.turn_with(|_, _, _| {});
        assert_eq!(bench.raw.got.len(), got);
        assert!(!bench.peer.has_output());
        bench.lives(&stage);
    }
}

fn texts<P: Subject>() {
    let evil = "\x1b]0;owned\x07\u{202e}\n".repeat(20_000);
    for stage in Stage::ALL.into_iter().skip(1) {
        // As much as a packet of the phase takes.
        let size = if stage < Stage::Connected {
            34_000
        } else {
            250_000
        };
        let text = [&evil.as_bytes()[..size - 2], b"\xff\xfe"].concat();
        let mut bench = Bench::<P>::at(stage, false);
        let got = bench.raw.got.len();
        bench.message(&DebugMessage {
            always_display: true,
            message: &text,
            language_tag: b"\x1b",
        });
        bench.lives(&stage);
        bench.message(&Disconnect {
            reason_code: DisconnectReason::TOO_MANY_CONNECTIONS,
            description: &text,
            language_tag: b"\x1b",
        });
        let Some(End::ByPeer(peer)) = &bench.seen.end else {
            panic!("{stage:?}: {:?}", bench.seen.end);
        };
        assert_eq!(peer.reason, DisconnectReason::TOO_MANY_CONNECTIONS);
        assert!(peer.description.len() <= 1024);
        let last = bench.seen.log.0.last().expect("the end");
        assert!(last.len() + peer.to_string().len() < 20_000, "{last:.200}");
        let shown = bench.seen.log.0.concat() + &peer.to_string();
        let harmless = |c: char| !c.is_control() && c != '\u{202e}';
        assert!(shown.chars().all(harmless), "{stage:?}: {shown:.200}");
        assert_eq!(bench.raw.got.len(), got, "{stage:?}: answered");
        bench.closed(&stage);
    }
}
