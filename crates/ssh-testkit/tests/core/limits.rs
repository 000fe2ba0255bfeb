//! Every field of `Limits`: set to something that is not its default, and the peer pushes on it.
//! What a field bounds is counted to the packet or the byte where it can be.
//!
//! The documentation of each field names the test that proves it, which the last test checks.

use std::fs;
use std::path::Path;

use ssh_proto::config::Limits;
use ssh_proto::error::{AuthenticationError, Error, LimitExceeded, PeerMisbehaved, RequestError};
use ssh_proto::message::{
    AuthMethod, ChannelData, ChannelOpen, ChannelOpenConfirmation, ChannelOpenFailure,
    ChannelOpenFailureReason, ChannelOpenType, ChannelRequest, ChannelRequestType,
    DisconnectReason, GlobalRequest, GlobalRequestType, Ignore, UserauthBanner, UserauthRequest,
    Wire, number,
};
use ssh_proto::{ChannelEvent, Client, Role, Server, ServerEvent, Wants};
use ssh_testkit::raw::{Bench, Stage, Subject, key_blob};

const PROTOCOL: DisconnectReason = DisconnectReason::PROTOCOL_ERROR;
const NO_MORE: DisconnectReason = DisconnectReason::NO_MORE_AUTH_METHODS_AVAILABLE;

fn at<P: Subject>(stage: Stage, set: impl FnOnce(&mut Limits)) -> Bench<P> {
    let mut config = P::config();
    set(&mut P::transport(&mut config).limits);
    Bench::with(config, true).up_to(stage)
}

/// Asks the peer for a channel, which it may not have confirmed yet.
fn ask<P: Subject>(bench: &mut Bench<P>) -> Result<(), RequestError> {
    let kind = if P::ROLE == Role::Client {
        ChannelOpenType::Session
    } else {
        ChannelOpenType::AuthAgent
    };
    let asked = bench.peer.open_channel(kind).map(drop);
    bench.turn();
    asked
}

/// Opens channel `n`, the direction that the role allows, and returns the window that the subject
/// grants. `None` if there may be none.
fn channel<P: Subject>(bench: &mut Bench<P>, n: u32) -> Option<u32> {
    channel_of(bench, n, 1000)
}

/// As above, for packets with so much data at the most.
fn channel_of<P: Subject>(bench: &mut Bench<P>, n: u32, maximum_packet_size: u32) -> Option<u32> {
    let got = bench.raw.got.len();
    if P::ROLE == Role::Client {
        ask(bench).ok()?;
        let granted = ChannelOpen::decode(&bench.raw.got[got]).expect("an open");
        let granted = granted.initial_window_size;
        bench.message(&ChannelOpenConfirmation {
            recipient_channel: n,
            sender_channel: n,
            initial_window_size: u32::MAX,
            maximum_packet_size,
        });
        return Some(granted);
    }
    bench.message(&ChannelOpen {
        sender_channel: n,
        initial_window_size: u32::MAX,
        maximum_packet_size,
        channel_type: ChannelOpenType::Session,
    });
    let answer = &bench.raw.got[got];
    if let Ok(failure) = ChannelOpenFailure::decode(answer) {
        let shortage = ChannelOpenFailureReason::RESOURCE_SHORTAGE;
        assert_eq!(failure.reason_code, shortage);
        return None;
    }
    let granted = ChannelOpenConfirmation::decode(answer).expect("a confirmation");
    Some(granted.initial_window_size)
}

/// Sends IGNORE with `size` bytes until the connection has ended; how often that was.
fn ignores<P: Subject>(bench: &mut Bench<P>, size: usize) -> usize {
    let data = vec![0; size];
    for n in 1..10_000 {
        bench.message(&Ignore { data: &data });
        if bench.seen.end.is_some() {
            return n;
        }
    }
    panic!("no bound");
}

macro_rules! both_roles {
    ($($name:ident => $generic:ident;)+) => {$(
        #[test]
        fn $name() {
            $generic::<Client>();
            $generic::<Server>();
        }
    )+};
}

both_roles! {
    a_packet_before_authentication_may_be_so_long => packet_before_auth;
    a_packet_after_authentication_may_be_so_long => packet;
    a_key_exchange_has_no_larger_messages_later_than_at_first => packet_of_kex;
    before_authentication_nothing_is_read_while_a_packet_waits_to_be_written => output_before_auth;
    packets_before_authentication_are_counted => packets_before_auth;
    bytes_before_authentication_are_counted => bytes_before_auth;
    so_many_channels_may_be_open => channels;
    all_windows_together_are_bounded => window_total;
    a_data_packet_may_be_so_long => maximum_packet;
    so_many_of_our_requests_may_be_unanswered => requests_unanswered;
    what_is_owed_during_a_key_exchange_is_bounded => held;
    send_accepts_nothing_above_the_mark => output;
    what_a_bulk_channel_may_send_at_a_time_is_whole_packets => bulk;
    above_its_mark_for_replies_nothing_is_read => control;
}

fn packet_before_auth<P: Subject>() {
    longest::<P>(Stage::Service, 40_000, |limits| {
        limits.packet_before_auth = 40_000;
    });
}

fn packet<P: Subject>() {
    longest::<P>(Stage::Connected, 50_000, |limits| limits.packet = 50_000);
}

fn packet_of_kex<P: Subject>() {
    for (more, fits) in [(0, true), (100, false)] {
        let mut bench = at::<P>(Stage::Connected, |limits| {
            limits.packet_before_auth = 36_000
        });
        // An unused list, of names that are as long as names may be.
        let around: usize = bench.raw.offer.lists.iter().map(String::len).sum();
        let name = format!("{},", "x".repeat(63));
        let size = 36_000 - around - 62 + more;
        bench.raw.offer.lists[8] = name.repeat(size / 64) + &"y".repeat(size % 64);
        bench.raw.kexinit();
        bench.turn();
        if fits {
            bench.lives(&"fits");
        } else {
            let packet = |e: &Error| matches!(e, Error::Limit(LimitExceeded::Packet(36_100)));
            bench.refused(&"100 bytes more", packet, PROTOCOL);
        }
    }
}

fn output_before_auth<P: Subject>() {
    let mut bench = at::<P>(Stage::Auth, |limits| {
        limits.packet_before_auth = 36_000;
        limits.packets_before_auth = 2000;
    });
    bench.reads = false;
    while matches!(bench.peer.wants(), Wants::Bytes(_)) {
        let waiting = bench.peer.output().len();
        assert!(waiting <= 36_000, "{waiting} bytes wait, and it reads");
        // Nobody knows it.
        bench.send(&[200]);
        bench.lives(&waiting);
    }
    assert_eq!(bench.peer.wants(), Wants::Output);
    bench.reads = true;
    bench.collect();
    bench.send(&[200]);
    bench.lives(&"it goes on when that was read");
    assert!(matches!(bench.peer.wants(), Wants::Bytes(_)));
}

fn longest<P: Subject>(stage: Stage, longest: usize, set: fn(&mut Limits)) {
    // Around the data of IGNORE: 4 and 1 of the packet, 5 of the message, 4 to 19 of padding, 16
    // of the tag.
    let mut bench = at::<P>(stage, set);
    bench.message(&Ignore {
        data: &vec![0; longest - 45],
    });
    bench.lives(&"fits");
    bench.message(&Ignore {
        data: &vec![0; longest - 29],
    });
    let packet = |e: &Error| matches!(e, Error::Limit(LimitExceeded::Packet(_)));
    bench.refused(&"a byte more", packet, PROTOCOL);
}

fn packets_before_auth<P: Subject>() {
    let mut bench = at::<P>(Stage::Service, |limits| limits.packets_before_auth = 50);
    // The key exchange took three or, with EXT_INFO, four.
    let sent = ignores(&mut bench, 0);
    assert!((47..=48).contains(&sent), "{sent}");
    let packets = |e: &Error| matches!(e, Error::Limit(LimitExceeded::PacketsBeforeAuth));
    bench.refused(&"packets", packets, PROTOCOL);
}

fn bytes_before_auth<P: Subject>() {
    let mut bench = at::<P>(Stage::Service, |limits| limits.bytes_before_auth = 50_000);
    let sent = ignores(&mut bench, 1000) * 1000;
    assert!((45_000..=50_000).contains(&sent), "{sent}");
    let bytes = |e: &Error| matches!(e, Error::Limit(LimitExceeded::BytesBeforeAuth));
    bench.refused(&"bytes", bytes, PROTOCOL);
}

fn channels<P: Subject>() {
    let mut bench = at::<P>(Stage::Connected, |limits| limits.channels = 3);
    for n in 0..3 {
        assert!(channel(&mut bench, n).is_some());
    }
    assert_eq!(channel(&mut bench, 3), None);
    assert_eq!(
        ask(&mut bench),
        Err(RequestError::Busy),
        "both sides' together"
    );
    bench.lives(&"full");
    assert_eq!(bench.peer.channels(), 3);
}

fn window_total<P: Subject>() {
    let mut bench = at::<P>(Stage::Connected, |limits| {
        limits.channels = 8;
        limits.window_total = 100_000;
    });
    let granted: Vec<u32> = (0..8).filter_map(|n| channel(&mut bench, n)).collect();
    assert_eq!(granted.len(), 8);
    assert!(granted.iter().sum::<u32>() <= 100_000, "{granted:?}");
    assert!(granted.iter().all(|window| *window >= 1024), "{granted:?}");
}

fn maximum_packet<P: Subject>() {
    let mut bench = at::<P>(Stage::Connected, |limits| limits.maximum_packet = 2000);
    channel(&mut bench, 0);
    bench.message(&ChannelData {
        recipient_channel: 0,
        data: &[1; 2000],
    });
    bench.lives(&"fits");
    bench.message(&ChannelData {
        recipient_channel: 0,
        data: &[1; 2001],
    });
    let exceeded = PeerMisbehaved::MaximumPacketExceeded;
    let exceeded = |e: &Error| matches!(e, Error::PeerMisbehaved(rule) if *rule == exceeded);
    bench.refused(&"a byte more", exceeded, PROTOCOL);
}

fn requests_unanswered<P: Subject>() {
    let mut bench = at::<P>(Stage::Connected, |limits| limits.requests_unanswered = 3);
    for _ in 0..3 {
        assert_eq!(ask(&mut bench), Ok(()));
    }
    assert_eq!(ask(&mut bench), Err(RequestError::Busy));
    bench.message(&ChannelOpenFailure {
        recipient_channel: 1,
        reason_code: ChannelOpenFailureReason::CONNECT_FAILED,
        description: b"",
        language_tag: b"",
    });
    assert_eq!(ask(&mut bench), Ok(()), "one was answered");
    assert_eq!(ask(&mut bench), Err(RequestError::Busy));
}

fn held<P: Subject>() {
    let mut bench = at::<P>(Stage::Connected, |limits| limits.held = 4096);
    bench.peer.rekey().expect("connected");
    bench.turn();
    let mut sent = 0;
    while bench.seen.end.is_none() {
        // Nobody knows it: the five bytes of UNIMPLEMENTED that are owed count for 16.
        bench.send(&[200]);
        sent += 1;
        assert!(sent <= 4096 / 16 + 1, "no bound");
    }
    assert_eq!(sent, 4096 / 16 + 1);
    let held = |e: &Error| matches!(e, Error::Limit(LimitExceeded::Held));
    bench.refused(&"held", held, PROTOCOL);
}

fn output<P: Subject>() {
    let mut bench = at::<P>(Stage::Connected, |limits| limits.output = 8192);
    channel(&mut bench, 0);
    let id = bench.seen.channels[0];
    bench.reads = false;
    for _ in 0..1000 {
        let mut handle = bench.peer.channel(id).expect("open");
        handle.send(&[1; 100]).expect("open");
        bench.turn();
        let waiting = bench.peer.output().len();
        assert!(waiting <= 8192, "{waiting} bytes wait");
    }
    let mut handle = bench.peer.channel(id).expect("open");
    assert_eq!(handle.send(b"x").expect("open"), 0);
    // A channel without a terminal stops at half of it.
    let waiting = bench.peer.output().len();
    assert!(waiting > 8192 / 2 - 500, "{waiting} bytes wait");
}

fn bulk<P: Subject>() {
    for (size, count) in [(32 * 1024, 2), (16 * 1024, 4)] {
        let mut bench = at::<P>(Stage::Connected, |_| {});
        channel_of(&mut bench, 0, size);
        let id = bench.seen.channels[0];
        bench.collect();
        let got = bench.raw.got.len();
        let mut handle = bench.peer.channel(id).expect("open");
        assert_eq!(handle.send(&[1; 200_000]).expect("open"), 64 * 1024);
        assert_eq!(handle.sendable(), 0);
        bench.collect();
        // CHANNEL_DATA, with its header of 9 bytes.
        let sizes = bench.raw.got[got..].iter().map(Vec::len);
        let sizes: Vec<usize> = sizes.collect();
        assert_eq!(sizes, vec![9 + size as usize; count]);
    }
}

fn control<P: Subject>() {
    // There must be room for one more of 20,000.
    const MARK: usize = 4096 + 40_000 - 20_000;
    let mut bench = at::<P>(Stage::Connected, |limits| {
        limits.output = 4096;
        limits.control = 40_000;
        limits.maximum_packet = 20_000;
    });
    bench.reads = false;
    while matches!(bench.peer.wants(), Wants::Bytes(_)) {
        let waiting = bench.peer.output().len();
        assert!(waiting <= MARK, "{waiting} bytes wait, and it reads");
        bench.message(&GlobalRequest {
            want_reply: true,
            request: GlobalRequestType::Keepalive,
        });
    }
    assert_eq!(bench.peer.wants(), Wants::Output);
    let waiting = bench.peer.output().len();
    assert!((MARK..MARK + 100).contains(&waiting), "{waiting}");
    bench.lives(&"nothing is read");
}

#[test]
fn so_many_tickets_may_be_pending() {
    let mut bench = at::<Server>(Stage::Connected, |limits| limits.tickets = 3);
    let got = bench.raw.got.len();
    let mut tickets = Vec::new();
    for n in 0..5 {
        bench.raw.message(&ChannelOpen {
            sender_channel: n,
            initial_window_size: 1000,
            maximum_packet_size: 1000,
            channel_type: ChannelOpenType::Session,
        });
        bench.turn_with(|server, event, _| {
            if let ServerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) = event {
                server.defer(&ticket).expect("mine");
                tickets.push(ticket);
            }
        });
        if n == 3 {
            assert_eq!(tickets.len(), 3, "one more is refused without asking");
            let refused = ChannelOpenFailure::decode(&bench.raw.got[got]).expect("a failure");
            assert_eq!(refused.recipient_channel, 3);
            let answered = tickets.pop().expect("three");
            bench.peer.accept_channel(answered).expect("mine");
        }
    }
    assert_eq!(tickets.len(), 3, "one was answered, another was asked for");
    bench.lives(&"tickets");
}

#[test]
fn channels_that_wait_for_an_answer_count_as_open() {
    let mut bench = at::<Server>(Stage::Connected, |limits| limits.channels = 3);
    assert!(channel(&mut bench, 0).is_some());
    let mut tickets = Vec::new();
    for n in 1..4 {
        let got = bench.raw.got.len();
        bench.raw.message(&ChannelOpen {
            sender_channel: n,
            initial_window_size: 1000,
            maximum_packet_size: 1000,
            channel_type: ChannelOpenType::Session,
        });
        bench.turn_with(|server, event, _| {
            if let ServerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) = event {
                server.defer(&ticket).expect("mine");
                tickets.push(ticket);
            }
        });
        if n == 3 {
            let refused = ChannelOpenFailure::decode(&bench.raw.got[got]).expect("a failure");
            let shortage = ChannelOpenFailureReason::RESOURCE_SHORTAGE;
            assert_eq!(refused.reason_code, shortage);
        }
    }
    assert_eq!(tickets.len(), 2);
    for ticket in tickets {
        bench
            .peer
            .accept_channel(ticket)
            .expect("there is a place for it");
    }
    bench.turn();
    assert_eq!(bench.peer.channels(), 3);
    assert_eq!(channel(&mut bench, 3), None);
}

#[test]
fn x10_answers_do_not_pile_up_behind_one_that_is_deferred() {
    let mut bench = at::<Server>(Stage::Connected, |limits| limits.tickets = 50);
    channel(&mut bench, 0);
    let request = ChannelRequest {
        recipient_channel: 0,
        want_reply: true,
        request: ChannelRequestType::Shell,
    };
    let mut first = None;
    for n in 0..=151 {
        bench.lives(&n);
        bench.raw.message(&request);
        bench.turn_with(|server, event, seen| match event {
            ServerEvent::Channel(ChannelEvent::Request { ticket, .. }) if first.is_none() => {
                server.defer(&ticket).expect("mine");
                first = Some(ticket);
            }
            event => server.agree(event, seen),
        });
    }
    // 151 answers behind the first: with the next request it is enough.
    bench.lives(&"three for each ticket, and one");
    bench.message(&request);
    let control = |e: &Error| matches!(e, Error::Limit(LimitExceeded::Control));
    bench.refused(&"one more", control, PROTOCOL);
}

#[test]
fn so_much_text_of_banners_is_reported() {
    let mut bench = at::<Client>(Stage::Auth, |limits| limits.banner = 5000);
    for _ in 0..50 {
        bench.message(&UserauthBanner {
            message: &[b'x'; 1000],
            language_tag: b"",
        });
    }
    bench.lives(&"banners");
    let lines = bench.seen.log.0.iter();
    assert_eq!(lines.filter(|line| line.starts_with("Banner")).count(), 5);
}

const fn request<'a>(user_name: &'a [u8], method: AuthMethod<'a>) -> UserauthRequest<'a> {
    UserauthRequest {
        user_name,
        service_name: "ssh-connection",
        method,
    }
}

const fn password(password: &[u8]) -> AuthMethod<'_> {
    AuthMethod::Password {
        password,
        new_password: None,
    }
}

fn too_many(error: &Error) -> bool {
    let limit = AuthenticationError::TooManyAttempts;
    matches!(error, Error::Authentication(e) if *e == limit)
}

#[test]
fn so_many_attempts_may_fail() {
    let mut bench = at::<Server>(Stage::Auth, |limits| limits.auth_failures = 2);
    bench.message(&request(b"alice", password(b"wrong")));
    bench.lives(&"one");
    bench.message(&request(b"alice", password(b"wrong")));
    bench.refused(&"two", too_many, NO_MORE);
}

#[test]
fn so_many_keys_may_be_offered() {
    let mut bench = at::<Server>(Stage::Auth, |limits| limits.auth_probes = 3);
    for n in 0..4 {
        bench.lives(&n);
        let key = key_blob(&[n; 32]);
        let method = AuthMethod::Publickey {
            algorithm: "ssh-ed25519",
            key: &key,
            signature: None,
        };
        bench.message(&request(b"alice", method));
    }
    bench.refused(&"four", too_many, NO_MORE);
}

#[test]
fn a_user_name_may_be_so_long() {
    asked(
        |limits| limits.user_name = 10,
        |long| request(long, password(b"wrong")),
    );
}

#[test]
fn a_password_may_be_so_long() {
    asked(
        |limits| limits.password = 10,
        |long| request(b"alice", password(long)),
    );
}

/// Both fail, but the application is asked about ten bytes only.
fn asked(set: fn(&mut Limits), attempt: for<'a> fn(&'a [u8]) -> UserauthRequest<'a>) {
    for (length, asked) in [(10, true), (11, false)] {
        let mut bench = at::<Server>(Stage::Auth, set);
        let got = bench.raw.got.len();
        bench.message(&attempt(&vec![b'x'; length]));
        let failure = [number::SSH_MSG_USERAUTH_FAILURE];
        assert_eq!(bench.raw.numbers(got), failure, "{length}");
        assert_eq!(bench.seen.log.has("Auth(Password"), asked, "{length}");
    }
}

#[test]
fn each_limit_names_the_test_that_proves_it() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tests = crate::rows::all_tests();
    let config =
        fs::read_to_string(crates.join("ssh-proto/src/config/limits.rs")).expect("a source");
    let (_, limits) = config.split_once("pub struct Limits {").expect("there");
    let (limits, _) = limits.split_once("\n}").expect("its end");
    let (mut doc, mut fields) = (String::new(), 0);
    for line in limits.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push_str(text);
        } else if let Some(field) = line.strip_prefix("pub ") {
            let names = doc.split_once("Proved by ").map_or("", |(_, names)| names);
            // Between backquotes: every second piece.
            let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
            assert!(!names.is_empty(), "{field} names no test");
            for name in names {
                assert!(tests.contains(name), "{field} there is no test {name}");
            }
            doc.clear();
            fields += 1;
        }
    }
    let all = format!("{:?}", Limits::default());
    assert_eq!(fields, all.matches(": ").count(), "{all}");
}
