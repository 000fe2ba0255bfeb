//! What is taken off input, by one half alone.

use alloc::string::String;
use alloc::{format, vec};

use super::*;
use crate::message::number;
use crate::recv::Consumed;

const IGNORE: [u8; 5] = [number::SSH_MSG_IGNORE, 0, 0, 0, 0];

/// One that has seen the identification line, has no keys yet and is in this phase.
fn recv(phase: Phase, limits: &Limits) -> RecvSide {
    let mut recv = RecvSide::new(Role::Server, limits);
    recv.identification = None;
    recv.view.phase = phase;
    recv
}

/// A packet without keys (RFC 4253 section 6).
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 4 + (7 - (payload.len() + 8) % 8);
    let length = 1 + payload.len() + padding;
    let mut packet = vec![0, 0, 0, u8::try_from(length).unwrap()];
    packet.push(u8::try_from(padding).unwrap());
    packet.extend_from_slice(payload);
    packet.resize(4 + length, 0);
    packet
}

/// What became of a packet: the limit that it exceeds, and whether its bytes are to be wiped.
fn take(recv: &mut RecvSide, payload: &[u8]) -> (Option<LimitExceeded>, bool) {
    let mut bytes = packet(payload);
    let mut consumed = Consumed::default();
    let mut batch = Batch::over(&mut bytes, &mut consumed);
    let limit = match recv.open(&mut batch) {
        Some(Opened::Control(Control(Kind::Failed(Error::Limit(limit))))) => Some(limit),
        Some(Opened::Control(Control(Kind::Message(_)))) => None,
        other => panic!("{other:?}"),
    };
    (limit, consumed.secret())
}

#[test]
fn p15_packets_and_bytes_before_authentication_are_counted_to_the_last_one() {
    let limits = Limits {
        packets_before_auth: 3,
        ..Limits::default()
    };
    let mut one = recv(Phase::Auth, &limits);
    for n in 1..=3 {
        assert_eq!(take(&mut one, &IGNORE).0, None, "{n}");
    }
    let limit = take(&mut one, &IGNORE).0;
    assert_eq!(limit, Some(LimitExceeded::PacketsBeforeAuth));
    let limits = Limits {
        bytes_before_auth: 15,
        ..Limits::default()
    };
    let mut one = recv(Phase::Auth, &limits);
    for n in 1..=3 {
        assert_eq!(take(&mut one, &IGNORE).0, None, "{n}");
    }
    let limit = take(&mut one, &IGNORE).0;
    assert_eq!(limit, Some(LimitExceeded::BytesBeforeAuth));
    let mut one = recv(Phase::Connected, &limits);
    for n in 1..=10 {
        assert_eq!(take(&mut one, &IGNORE).0, None, "{n}");
    }
}

#[test]
fn q1_what_comes_before_authentication_is_wiped() {
    for (phase, secret) in [(Phase::Auth, true), (Phase::Connected, false)] {
        let mut recv = recv(phase, &Limits::default());
        assert_eq!(take(&mut recv, &IGNORE).1, secret, "{phase:?}");
    }
}

#[test]
fn r2_old_keys_are_borne_for_so_many_bytes() {
    let mut limits = Limits::default();
    // Four times what asks for new keys, or that and twice the windows, whichever is more.
    for (rekey_bytes, window_total, most) in [(16, 16, 64), (16, 24, 64), (16, 40, 96)] {
        (limits.rekey_bytes, limits.window_total) = (rekey_bytes, window_total);
        let mut recv = recv(Phase::Connected, &limits);
        for n in 1..=most / 16 {
            assert_eq!(take(&mut recv, &IGNORE).0, None, "{n} of {most}");
        }
        let limit = take(&mut recv, &IGNORE).0;
        assert_eq!(limit, Some(LimitExceeded::RekeyIgnored), "{most}");
    }
}

#[test]
fn keys_are_old_after_so_many_packets_or_bytes() {
    let mut limits = Limits::default();
    (limits.rekey_bytes, limits.rekey_packets) = (48, 1000);
    let mut by_bytes = recv(Phase::Connected, &limits);
    (limits.rekey_bytes, limits.rekey_packets) = (1 << 20, 3);
    let mut by_packets = recv(Phase::Connected, &limits);
    for recv in [&mut by_bytes, &mut by_packets] {
        for _ in 0..2 {
            take(recv, &IGNORE);
            assert!(!recv.keys_are_old());
        }
        take(recv, &IGNORE);
        assert!(recv.keys_are_old());
    }
}

/// Opens one thing of `payload`'s packet, or of nothing: what it is, and what is wanted then.
fn open(recv: &mut RecvSide, payload: Option<&[u8]>) -> (Option<String>, Wants) {
    let mut bytes = payload.map(packet).unwrap_or_default();
    let mut consumed = Consumed::default();
    let mut batch = Batch::over(&mut bytes, &mut consumed);
    let opened = recv.open(&mut batch).map(|opened| format!("{opened:?}"));
    (opened, recv.wants())
}

#[test]
fn last_words_count_while_somebody_decides_and_nothing_else_does() {
    const GOODBYE: [u8; 13] = [
        number::SSH_MSG_DISCONNECT,
        0,
        0,
        0,
        11,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    let waiting = |phase| {
        let mut recv = recv(phase, &Limits::default());
        recv.status = Status::Paused;
        recv
    };
    for phase in [Phase::Auth, Phase::Connected] {
        let mut recv = waiting(phase);
        assert_eq!(open(&mut recv, Some(&GOODBYE)), (None, Wants::Answer));
    }
    for (payload, opened) in [
        (Some(&GOODBYE[..]), "Control(Payload(number 1, 13 bytes))"),
        (Some(&IGNORE), "Control(end of input)"),
        (None, "Control(end of input)"),
    ] {
        let mut recv = waiting(Phase::Auth);
        recv.close_input();
        assert_eq!(open(&mut recv, payload).0.as_deref(), Some(opened));
    }
    // What was received on channels is not lost: it waits for the answer.
    let mut recv = waiting(Phase::Connected);
    recv.close_input();
    assert_eq!(open(&mut recv, Some(&GOODBYE)), (None, Wants::Answer));
}

#[cfg(feature = "legacy")]
#[test]
fn last_words_wait_for_room_to_inflate_them() {
    for room in [true, false] {
        let limits = Limits::default();
        let mut recv = recv(Phase::Auth, &limits);
        recv.inflater.begin(CompressionAlgorithm::Zlib);
        recv.status = Status::Paused;
        recv.close_input();
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(&mut [], &mut consumed);
        batch.room(limits.packet_before_auth).unwrap();
        // All of it but what one more packet may need, or a byte less than that.
        let rest = limits.packet_before_auth - usize::from(!room);
        batch.lend(limits.packet_before_auth + crate::recv::INFLATE_AHEAD - rest);
        let opened = recv.open(&mut batch).map(|opened| format!("{opened:?}"));
        assert_eq!(opened.as_deref(), room.then_some("Control(end of input)"));
        assert_eq!(recv.wants() == Wants::Batch, !room);
    }
}

#[test]
fn what_was_read_is_opened_when_nobody_takes_output_any_more() {
    let mut recv = recv(Phase::Connected, &Limits::default());
    recv.status = Status::Stalled;
    assert_eq!(open(&mut recv, Some(&IGNORE)), (None, Wants::Output));
    recv.close_input();
    let (opened, _) = open(&mut recv, Some(&IGNORE));
    assert_eq!(
        opened.as_deref(),
        Some("Control(Payload(number 2, 5 bytes))")
    );
    let (opened, _) = open(&mut recv, None);
    assert_eq!(opened.as_deref(), Some("Control(end of input)"));
}

/// A stream that is compressed begins with an octet whose lower half is 8.
#[test]
fn z4_no_message_of_before_looks_like_the_beginning_of_a_stream() {
    let from_before: Vec<u8> = (0..=u8::MAX).filter(|n| is_from_before(*n)).collect();
    let expected = (1..=4).chain(50..=55).chain(57..=71).chain(73..=79);
    assert_eq!(from_before, expected.collect::<Vec<u8>>());
}

#[test]
fn what_is_wanted_is_what_the_other_half_has_last_said() {
    let mut recv = recv(Phase::Connected, &Limits::default());
    assert_eq!(open(&mut recv, None), (None, Wants::Bytes(8)));
    recv.want_batch();
    assert_eq!(recv.wants(), Wants::Batch);
    recv.want_nothing();
    assert_eq!(recv.wants(), Wants::Closed);
}

#[test]
fn credit_is_that_of_one_channel_and_not_of_the_next_in_its_place() {
    let mut recv = recv(Phase::Connected, &Limits::default());
    let [one, next] = [0, 1].map(|generation| ChannelId::of(3, generation));
    for id in [one, next] {
        assert!(recv.take_credit(id, 10, 10).is_ok());
        assert!(matches!(
            recv.take_credit(id, 10, 1),
            Err(Error::PeerMisbehaved(PeerMisbehaved::WindowExceeded))
        ));
    }
}

#[test]
fn q8_what_was_received_is_printed_without_its_contents() {
    let data = Kind::Data {
        recipient_channel: 1,
        stream: Stream::Data,
        data: b"hunter2",
    };
    let payload = Payload {
        seq: 9,
        number: 50,
        bytes: b"2hunter2",
    };
    for (kind, shown) in [
        (data, "Control(data, 7 bytes)"),
        (
            Kind::Message(payload),
            "Control(Payload(number 50, 8 bytes))",
        ),
        (Kind::Line(Line::NeedMore), "Control(a line)"),
        (Kind::Unknown(9), "Control(packet 9, not recognised)"),
        (Kind::Eof, "Control(end of input)"),
    ] {
        assert_eq!(format!("{:?}", Opened::Control(Control(kind))), shown);
    }
    let failed = Control(Kind::Failed(Error::Integrity));
    assert_eq!(
        format!("{failed:?}"),
        format!("Control({})", Error::Integrity)
    );
}
