//! Flow control in both directions: what is slow slows down itself and nobody else, and memory is
//! bounded whatever anybody does.

use ssh_proto::error::{Misuse, RequestError};
use ssh_proto::message::{
    ChannelClose, ChannelData, ChannelOpenConfirmation, ChannelOpenFailure,
    ChannelOpenFailureReason, ChannelRequest, ChannelRequestType, ChannelWindowAdjust,
    DisconnectReason, ExtInfo, Extension, List, Ping, Pong, Wire, number,
};
use ssh_proto::mux::Stream;
use ssh_proto::{
    ChannelEvent, ChannelId, Client, ClientEvent, RecvBuf, Server, ServerEvent, Wants,
};
use ssh_testkit::raw::{Bench, Stage};
use ssh_testkit::sim::{App, Pair, Session, pattern, server_config};

/// A client with channels `0..n`, whose peer grants `window` on each.
fn client(n: u32, window: u32) -> Bench<Client> {
    let mut bench = Bench::<Client>::at(Stage::Connected, true);
    for slot in 0..n {
        bench.peer.open_session().expect("connected");
        bench.turn();
        bench.message(&ChannelOpenConfirmation {
            recipient_channel: slot,
            sender_channel: 100 + slot,
            initial_window_size: window,
            maximum_packet_size: 32 * 1024,
        });
    }
    assert_eq!(bench.seen.channels.len(), n as usize);
    bench
}

fn send(bench: &mut Bench<Client>, id: ChannelId, data: &[u8]) -> usize {
    let mut channel = bench.peer.channel(id).expect("open");
    channel.send(data).expect("open")
}

/// Channels and lengths of the data packets that came since `from`.
fn data_since(bench: &Bench<Client>, from: usize) -> Vec<(u32, usize)> {
    bench.raw.got[from..]
        .iter()
        .filter_map(|payload| ChannelData::decode(payload).ok())
        .map(|data| (data.recipient_channel, data.data.len()))
        .collect()
}

/// The server of this session does not read for a while.
struct SlowReader {
    session: Session,
    most: usize,
}

impl App for SlowReader {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, now: ssh_proto::Instant) {
        self.session.client(client, event, now);
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, now: ssh_proto::Instant) {
        self.session.server(server, event, now);
        self.most = self.most.max(self.session.server.pending());
    }
}

#[test]
fn slow_reader_is_bounded() {
    let mut config = server_config();
    config.transport.limits.window = 64 * 1024;
    let mut app = SlowReader {
        session: Session::new(vec![pattern(3_000_000, 1)]),
        most: 0,
    };
    app.session.server.reads = false;
    let mut pair = Pair::with(1, Default::default(), config);
    // Until nothing moves any more but the clock.
    pair.run_until(&mut app, |pair, _| pair.now.since_epoch().as_secs() > 10);
    assert_eq!(app.most, 64 * 1024, "exactly the window");
    app.session.server.reads = true;
    app.session.server.resume(&mut pair.server.peer);
    assert!(pair.run(&mut app));
    app.session.check();
    assert!(app.most <= 64 * 1024, "{}", app.most);
}

#[test]
fn slow_peer_is_bounded() {
    let mut bench = client(1, u32::MAX);
    let id = bench.seen.channels[0];
    bench.reads = false;
    let mut accepted = 0;
    for _ in 0..10_000 {
        accepted += send(&mut bench, id, &[1; 10_000]);
    }
    assert!((32 * 1024..=128 * 1024).contains(&accepted), "{accepted}");
    assert!(bench.peer.output().len() <= 132 * 1024);
    // Half of it drained is not enough, all of it is.
    let half = bench.peer.output()[..20_000].to_vec();
    bench.peer.consume_output(20_000);
    bench.raw.receive(&half);
    assert_eq!(send(&mut bench, id, b"x"), 0);
    bench.reads = true;
    bench.turn_with(|_, event, seen| {
        if let ClientEvent::Channel(ChannelEvent::Writable { channel }) = event {
            seen.log.0.push(format!("writable {channel}"));
        }
    });
    assert!(bench.seen.log.has("writable"), "{:#?}", bench.seen.log);
    assert_eq!(send(&mut bench, id, b"x"), 1);
}

#[test]
fn one_slow_channel_does_not_stall_the_rest() {
    let mut bench = client(3, 1000);
    let ids = bench.seen.channels.clone();
    for _ in 0..100 {
        send(&mut bench, ids[0], &[0; 10_000]);
    }
    bench.message(&ChannelWindowAdjust {
        recipient_channel: 1,
        bytes_to_add: 1 << 20,
    });
    let mut accepted = 0;
    for _ in 0..200 {
        accepted += send(&mut bench, ids[1], &[1; 10_000]);
        bench.turn();
    }
    assert_eq!(accepted, (1 << 20) + 1000);
    assert_eq!(send(&mut bench, ids[2], &[2; 5000]), 1000);
}

/// What answers them has no window, and is kept while keys are exchanged: 160 of them, for which
/// there is room in the output, were more than an honest peer could keep.
#[test]
fn pings_without_an_answer_are_bounded_and_an_answer_makes_room() {
    let mut bench = Bench::<Client>::at(Stage::Service, true);
    let ping = Extension {
        name: Extension::PING,
        value: b"0",
    };
    bench.message(&ExtInfo {
        extensions: List::new(&[ping]),
    });
    for stage in [Stage::Service, Stage::Auth] {
        bench.proper(stage);
        bench.turn();
    }
    let data = [7; 1024];
    let sent = (0..1000).take_while(|_| bench.peer.ping(&data).is_ok());
    assert_eq!(sent.count(), 7, "8 KiB with their framing");
    assert_eq!(bench.peer.ping(&data), Err(RequestError::Busy));
    bench.turn();
    assert_eq!(bench.peer.ping(&data), Err(RequestError::Busy));
    bench.message(&Pong { data: &data });
    bench.peer.ping(&data).expect("one was answered");
    // Answers to nothing are worth nothing.
    for _ in 0..100 {
        bench.message(&Pong { data: &data });
    }
    let sent = (0..1000).take_while(|_| bench.peer.ping(&data).is_ok());
    assert_eq!(sent.count(), 7);
}

#[test]
fn unread_notices_do_not_block() {
    let mut bench = client(1, 1 << 20);
    let id = bench.seen.channels[0];
    for n in 0..1000 {
        bench.message(&ChannelRequest {
            recipient_channel: 0,
            want_reply: false,
            request: ChannelRequestType::Unknown {
                name: "notice@example.com",
                data: b"",
            },
        });
        assert_eq!(send(&mut bench, id, &[0; 100]), 100, "{n}");
    }
    bench.lives(&"1000 notices");
}

#[test]
fn answers_leave_while_data_is_blocked() {
    let mut bench = client(1, u32::MAX);
    let id = bench.seen.channels[0];
    bench.reads = false;
    while send(&mut bench, id, &[1; 10_000]) > 0 {}
    let before = bench.peer.output().len();
    for _ in 0..100 {
        bench.message(&Ping { data: b"alive?" });
    }
    assert!(bench.peer.output().len() > before + 100 * 20);
    bench.lives(&"blocked");
    bench.reads = true;
    let from = bench.raw.got.len();
    bench.collect();
    let pongs = bench
        .raw
        .numbers(from)
        .iter()
        .filter(|&&n| n == 193)
        .count();
    assert_eq!(pongs, 100);
}

#[test]
fn credit_returns_only_when_data_was_consumed() {
    let mut bench = client(1, 1000);
    let id = bench.seen.channels[0];
    let got = bench.raw.got.len();
    // More than half a window arrives and is not released.
    let mut received = 0;
    while received < 400 * 1024 {
        bench.raw.message(&ChannelData {
            recipient_channel: 0,
            data: &[1; 16 * 1024],
        });
        bench.turn_with(|_, _, _| {});
        received += 16 * 1024;
    }
    bench.lives(&"within the window");
    assert_eq!(bench.raw.got.len(), got, "no credit");
    let mut granted = 0;
    for _ in 0..received / 1024 {
        let mut channel = bench.peer.channel(id).expect("open");
        channel.release(1024).expect("received");
        bench.turn();
    }
    for payload in &bench.raw.got[got..] {
        if payload.first() == Some(&number::SSH_MSG_GLOBAL_REQUEST) {
            continue;
        }
        let adjust = ChannelWindowAdjust::decode(payload).expect("nothing else");
        assert_eq!(adjust.recipient_channel, 100);
        granted += adjust.bytes_to_add as usize;
    }
    assert!(granted <= received, "{granted}");
}

#[test]
fn small_windows_and_small_packets() {
    for (window, packet) in [(1024, 1024), (1500, 1024), (4096, 2000)] {
        let (mut client, mut server) = (ssh_proto::ClientConfig::default(), server_config());
        for limits in [&mut client.transport.limits, &mut server.transport.limits] {
            limits.window = window;
            limits.maximum_packet = packet;
        }
        let mut app = Session::new(vec![pattern(50_000, 1), pattern(777, 2), Vec::new()]);
        assert!(Pair::with(1, client, server).run(&mut app), "{app:#?}");
        app.check();
    }
}

#[test]
fn small_writes_become_one_packet_until_somebody_looks() {
    let mut bench = client(2, 1 << 20);
    let ids = bench.seen.channels.clone();
    let got = bench.raw.got.len();
    for _ in 0..100 {
        assert_eq!(send(&mut bench, ids[0], &[1; 10]), 10);
    }
    bench.turn();
    assert_eq!(data_since(&bench, got), [(100, 1000)]);
    // Another channel, another stream and a message of control each begin a new one.
    let got = bench.raw.got.len();
    send(&mut bench, ids[0], &[1; 10]);
    send(&mut bench, ids[1], &[1; 10]);
    send(&mut bench, ids[0], &[1; 10]);
    let mut channel = bench.peer.channel(ids[0]).expect("open");
    channel.send_on(Stream::STDERR, b"error").expect("open");
    channel.send(&[1; 10]).expect("open");
    channel.signal(b"INT").expect("open");
    channel.send(&[1; 10]).expect("open");
    bench.turn();
    assert_eq!(bench.raw.numbers(got), [94, 94, 94, 95, 94, 98, 94]);
}

#[test]
fn a_slot_that_is_dropped_never_was() {
    let mut bench = client(1, 1 << 20);
    let id = bench.seen.channels[0];
    let got = bench.raw.got.len();
    for n in [0, 1, 5, 1000] {
        let channel = bench.peer.channel(id).expect("open");
        let mut slot = channel.reserve(1000).expect("open");
        slot.room().fill(0xee);
        if n == 0 {
            drop(slot);
        } else {
            slot.room()[..n].fill(n as u8);
            slot.commit(n);
        }
        let channel = bench.peer.channel(id).expect("open");
        let mut unused = channel.reserve(50).expect("open");
        unused.room().fill(0xdd);
    }
    bench.turn();
    let mut all = Vec::new();
    for payload in &bench.raw.got[got..] {
        all.extend_from_slice(ChannelData::decode(payload).expect("data").data);
    }
    let expected = [vec![1; 1], vec![5; 5], vec![1000_u32 as u8; 1000]].concat();
    assert_eq!(all, expected);
    // More than was lent counts as all; without credit nothing is lent.
    let mut bench = client(1, 10);
    let id = bench.seen.channels[0];
    let channel = bench.peer.channel(id).expect("open");
    let mut slot = channel.reserve(1000).expect("open");
    assert_eq!(slot.room().len(), 10);
    slot.commit(5000);
    let channel = bench.peer.channel(id).expect("open");
    assert!(channel.reserve(1000).expect("open").room().is_empty());
}

#[test]
fn blocked_channels_take_turns() {
    let mut bench = client(4, u32::MAX);
    let ids = bench.seen.channels.clone();
    bench.reads = false;
    let mut sent = [0_usize; 4];
    for round in 0..3 {
        for (n, id) in ids.iter().enumerate() {
            sent[n] += send(&mut bench, *id, &vec![n as u8; 1 << 20]);
        }
        assert!(round == 0 || sent[0] > 0);
    }
    let first = sent;
    assert!(
        first[0] > 0 && first[1..].iter().all(|n| *n == 0),
        "{first:?}"
    );
    bench.reads = true;
    let mut order = Vec::new();
    for _ in 0..40 {
        bench.turn_with(|client, event, _| {
            if let ClientEvent::Channel(ChannelEvent::Writable { channel }) = event {
                let n = ids.iter().position(|id| *id == channel).expect("mine");
                let mut handle = client.channel(channel).expect("open");
                let accepted = handle.send(&vec![n as u8; 1 << 20]).expect("open");
                sent[n] += accepted;
                order.push(n);
            }
        });
    }
    let (least, most) = (sent.iter().min(), sent.iter().max());
    let (least, most) = (*least.expect("four"), *most.expect("four"));
    assert!(least > 100_000, "{sent:?} {order:?}");
    assert!(most - least <= 128 * 1024, "{sent:?} {order:?}");
}

/// What a loop that writes, looks at `wants()` and sleeps must be told.
#[test]
fn when_output_has_drained_wants_says_that_an_event_is_due() {
    let mut bench = client(1, u32::MAX);
    let id = bench.seen.channels[0];
    let accepted = send(&mut bench, id, &[1; 1 << 20]);
    assert!(accepted < 1 << 20);
    assert!(matches!(bench.peer.wants(), Wants::Bytes(_)));
    let n = bench.peer.output().len();
    bench.peer.consume_output(n);
    assert_eq!(bench.peer.wants(), Wants::Batch);
    let mut nothing = RecvBuf::new();
    let event = bench.peer.poll_event(&mut nothing.batch(), bench.now);
    assert!(
        matches!(event, Some(ClientEvent::Channel(ChannelEvent::Writable { channel })) if channel == id)
    );
    assert!(
        bench
            .peer
            .poll_event(&mut nothing.batch(), bench.now)
            .is_none()
    );
    assert!(matches!(bench.peer.wants(), Wants::Bytes(_)));
    bench.peer.disconnect(DisconnectReason::BY_APPLICATION, "");
    assert_eq!(bench.peer.wants(), Wants::Batch, "`Ended` is due");
}

/// Nothing more will come, and that is an event.
#[test]
fn at_the_end_of_input_no_bytes_are_wanted() {
    for stage in [Stage::KexInit, Stage::Auth, Stage::Connected] {
        let mut bench = Bench::<Server>::at(stage, true);
        assert!(matches!(bench.peer.wants(), Wants::Bytes(_)), "{stage:?}");
        bench.peer.close_input();
        assert_eq!(bench.peer.wants(), Wants::Batch, "{stage:?}");
    }
}

#[test]
fn what_is_sendable_is_what_send_accepts() {
    let mut bench = client(2, 100_000);
    let ids = bench.seen.channels.clone();
    for round in 0..200 {
        let id = ids[round % 2];
        let sendable = bench.peer.channel(id).expect("open").sendable();
        let size = [1, 700, 1 << 20][round % 3];
        let accepted = send(&mut bench, id, &vec![0; size]);
        // What frames the packets after the first one takes room as well, and what is left of it may
        // not be worth a packet.
        let least = sendable.min(size).saturating_sub(256);
        assert!((least..=sendable).contains(&accepted), "{round}");
        assert_eq!(accepted == 0, sendable == 0, "{round}");
        if round % 5 == 0 {
            bench.turn();
        }
        if round % 7 == 0 {
            bench.message(&ChannelWindowAdjust {
                recipient_channel: id_slot(id),
                bytes_to_add: 50_000,
            });
        }
    }
}

/// The number of a channel on the wire.
fn id_slot(id: ChannelId) -> u32 {
    let text = id.to_string();
    text.rsplit(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("`channel N`")
}

#[test]
fn a_window_that_grows_by_nothing_wakes_nobody() {
    let mut bench = client(1, 0);
    let id = bench.seen.channels[0];
    assert_eq!(send(&mut bench, id, b"x"), 0);
    for bytes_to_add in [0, 0, 1] {
        bench.message(&ChannelWindowAdjust {
            recipient_channel: 0,
            bytes_to_add,
        });
        let n = bench.peer.output().len();
        bench.peer.consume_output(n);
        assert_eq!(send(&mut bench, id, b"x"), bytes_to_add as usize);
    }
}

#[test]
fn no_more_is_released_than_was_delivered() {
    let mut bench = client(1, 1000);
    let id = bench.seen.channels[0];
    assert_eq!(
        bench.peer.channel(id).expect("open").release(1),
        Err(Misuse::ReleasedTooMuch)
    );
    bench.message(&ChannelData {
        recipient_channel: 0,
        data: b"four",
    });
    // The bench has released them already.
    assert_eq!(
        bench.peer.channel(id).expect("open").release(1),
        Err(Misuse::ReleasedTooMuch)
    );
}

#[test]
fn x14_a_channel_that_was_given_up_while_opening_is_closed_and_never_heard_of() {
    let mut bench = Bench::<Client>::at(Stage::Connected, true);
    for confirmed in [true, false] {
        let id = bench.peer.open_session().expect("connected");
        bench.turn();
        bench
            .peer
            .channel(id)
            .expect("opening")
            .close()
            .expect("once");
        let gone = bench.peer.channel(id).err();
        assert_eq!(gone, Some(Misuse::NoSuchChannel));
        let got = bench.raw.got.len();
        let events = bench.seen.events;
        if confirmed {
            bench.message(&ChannelOpenConfirmation {
                recipient_channel: 0,
                sender_channel: 100,
                initial_window_size: 1000,
                maximum_packet_size: 1000,
            });
            assert_eq!(bench.raw.numbers(got), [number::SSH_MSG_CHANNEL_CLOSE]);
            bench.message(&ChannelClose {
                recipient_channel: 0,
            });
        } else {
            bench.message(&ChannelOpenFailure {
                recipient_channel: 0,
                reason_code: ChannelOpenFailureReason::CONNECT_FAILED,
                description: b"",
                language_tag: b"",
            });
        }
        assert_eq!(bench.seen.events, events, "nothing is reported");
        assert_eq!(bench.peer.channels(), 0);
    }
    bench.lives(&"given up");
}

#[test]
fn our_own_messages_are_bounded_and_nobody_else_is_blamed() {
    let mut bench = client(1, 1000);
    bench.peer.rekey().expect("connected");
    let mut accepted = 0;
    while bench.peer.ignore(&[0; 16 * 1024]).is_ok() {
        accepted += 1;
        assert!(accepted < 100, "no bound");
    }
    assert_eq!(bench.peer.ignore(b""), Ok(()), "small ones still fit");
    bench.lives(&"busy");
}
