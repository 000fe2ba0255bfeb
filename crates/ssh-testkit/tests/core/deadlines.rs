//! Every wait has an end: rows D4, D5 and V5.

use std::time::Duration;

use ssh_proto::config::{ClientConfig, Keepalive, TransportConfig};
use ssh_proto::error::{End, Error};
use ssh_proto::message::{DisconnectReason, Ignore};
use ssh_proto::time::TimeoutReason;
use ssh_proto::{Client, Instant, Server};
use ssh_testkit::raw::{Bench, Stage, Subject};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{Chunking, Fault, Pair, Session, pattern, server_config};

const fn seconds(n: u64) -> Instant {
    Instant::new(Duration::from_secs(n))
}

fn with<P: Subject>(set: impl FnOnce(&mut TransportConfig)) -> Bench<P> {
    let mut config = P::config();
    set(P::transport(&mut config));
    Bench::with(config, true)
}

/// Lets time pass until the end. Returns for what it was over.
fn until_the_end<P: Subject>(bench: &mut Bench<P>) -> TimeoutReason {
    for _ in 0..1000 {
        assert!(bench.wait(), "a wait without an end");
        match &bench.seen.end {
            Some(End::Error(Error::Timeout(reason))) => return *reason,
            Some(end) => panic!("{end:?}"),
            None => {}
        }
    }
    panic!("no end");
}

fn silence<P: Subject>() {
    use TimeoutReason::{Authentication, Identification, KeyExchange};
    for (stage, reason, at) in [
        (Stage::Line, Identification, 20),
        (Stage::KexInit, KeyExchange, 60),
        (Stage::Method, KeyExchange, 60),
        (Stage::NewKeys, KeyExchange, 60),
        (Stage::Service, Authentication, 120),
        (Stage::Auth, Authentication, 120),
        (Stage::RekeyMethod, KeyExchange, 60),
        (Stage::RekeyNewKeys, KeyExchange, 60),
    ] {
        let mut bench = Bench::<P>::at(stage, true);
        let got = bench.raw.got.len();
        assert_eq!(until_the_end(&mut bench), reason, "{stage:?}");
        assert_eq!(bench.now, seconds(at), "{stage:?}");
        if stage == Stage::Line {
            // Before the peer has identified itself there is nobody to say goodbye to.
            assert_eq!(bench.raw.got.len(), got);
            bench.closed(&stage);
        } else {
            let goodbye = match reason {
                KeyExchange => DisconnectReason::KEY_EXCHANGE_FAILED,
                _ => DisconnectReason::BY_APPLICATION,
            };
            bench.refused(&stage, |e| matches!(e, Error::Timeout(_)), goodbye);
        }
    }
}

#[test]
fn d4_a_silent_peer_in_every_stage() {
    silence::<Client>();
    silence::<Server>();
}

/// One byte in ten seconds is progress, but not enough of it.
#[test]
fn d4_v5_a_slow_drip() {
    fn drip<P: Subject>() {
        for stage in [Stage::Line, Stage::KexInit, Stage::Auth] {
            let mut bench = Bench::<P>::at(stage, true);
            bench.proper(stage);
            let input = bench.raw.take_output();
            let mut bytes = input.iter();
            let mut steps = 0;
            while bench.seen.end.is_none() {
                bench.now = Instant::new(bench.now.since_epoch() + Duration::from_secs(10));
                bench.peer.poll_timeout(bench.now);
                bench.peer.handle_timeout(bench.now);
                bench.raw.bytes(&bytes.next().map_or(vec![], |b| vec![*b]));
                bench.turn();
                steps += 1;
                assert!(steps <= 13, "{stage:?}");
            }
        }
    }
    drip::<Client>();
    drip::<Server>();
}

fn keepalives<P: Subject>() {
    let keepalive = Keepalive {
        interval: Duration::from_secs(15),
        count: 3,
    };
    // None before authentication.
    let mut bench = with::<P>(|t| t.deadlines.keepalive = Some(keepalive)).up_to(Stage::Auth);
    let got = bench.raw.got.len();
    until_the_end(&mut bench);
    assert_eq!(bench.raw.numbers(got), [1]);

    // Nobody answers: three of them, and the end.
    let mut bench = with::<P>(|t| t.deadlines.keepalive = Some(keepalive)).up_to(Stage::Connected);
    let got = bench.raw.got.len();
    assert_eq!(until_the_end(&mut bench), TimeoutReason::Keepalive);
    assert_eq!(bench.raw.numbers(got), [80, 80, 80, 1]);
    assert_eq!(bench.now, seconds(60));

    // Anything that comes is an answer.
    for answer in [
        vec![82],
        vec![81],
        vec![2, 0, 0, 0, 0],
        vec![200],
        vec![80, 0, 0, 0, 1, b'x', 1],
    ] {
        let mut bench =
            with::<P>(|t| t.deadlines.keepalive = Some(keepalive)).up_to(Stage::Connected);
        for _ in 0..200 {
            let got = bench.raw.got.len();
            assert!(bench.wait());
            if bench.raw.numbers(got).contains(&80) {
                bench.send(&answer);
            }
            bench.lives(&answer);
        }
        assert!(bench.now > seconds(1000));
    }

    // A peer that talks is not asked.
    let mut bench = with::<P>(|t| t.deadlines.keepalive = Some(keepalive)).up_to(Stage::Connected);
    let got = bench.raw.got.len();
    for n in 1..100 {
        bench.now = seconds(10 * n);
        bench.peer.poll_timeout(bench.now);
        bench.peer.handle_timeout(bench.now);
        bench.message(&Ignore { data: b"" });
    }
    assert!(
        bench.raw.numbers(got).len() <= 1,
        "{:?}",
        bench.raw.numbers(got)
    );
}

#[test]
fn d5_keepalives() {
    keepalives::<Client>();
    keepalives::<Server>();
}

#[test]
fn without_keepalive_an_idle_connection_waits_for_its_keys_only() {
    let mut bench = Bench::<Server>::at(Stage::Connected, true);
    assert!(bench.wait());
    if bench.now < seconds(10) {
        // The idle buffers.
        assert!(bench.wait());
    }
    assert_eq!(bench.now, seconds(3600));
    assert_eq!(bench.raw.got.last().map(|p| p[0]), Some(20), "new keys");
}

/// Whatever stalls, and wherever: both sides end by themselves.
#[test]
fn d4_a_stall_at_any_byte_ends_by_a_deadline() {
    let mut whole = Pair::new(1);
    assert!(whole.run(&mut Session::new(vec![pattern(3000, 1)])));
    for (direction, length) in [whole.up.sent, whole.down.sent].into_iter().enumerate() {
        for at in (0..length).step_by(97) {
            let (mut client, mut server) = (Default::default(), server_config());
            let keep = |t: &mut TransportConfig| {
                t.deadlines.keepalive = Some(Keepalive {
                    interval: Duration::from_secs(10),
                    count: 2,
                });
            };
            keep(Client::transport(&mut client));
            keep(Server::transport(&mut server));
            let mut pair = Pair::with(1, client, server).chunked(Chunking::Coalesced);
            let link = if direction == 0 {
                &mut pair.up
            } else {
                &mut pair.down
            };
            link.fault = Fault::StallAt(at);
            let mut app = Session::new(vec![pattern(3000, 1)]);
            assert!(pair.run(&mut app), "{direction} {at}: {app:#?}");
            assert!(pair.now <= seconds(300), "{direction} {at}: {:?}", pair.now);
        }
    }
}

#[test]
fn output_that_is_empty_gives_its_memory_back_after_a_second_or_when_told() {
    let random = Box::new(SeededRandom::new(1));
    let mut client = Client::new(ClientConfig::default(), random).unwrap();
    client.give_back();
    let n = client.output().len();
    assert!(n > 0, "what waits is not given away");
    client.consume_output(n);
    assert_eq!(client.poll_timeout(Instant::EPOCH), Some(seconds(1)));
    assert_eq!(client.timeout_reason(), Some(TimeoutReason::Idle));
    client.give_back();
    assert_eq!(client.poll_timeout(Instant::EPOCH), Some(seconds(20)));
    assert_eq!(client.timeout_reason(), Some(TimeoutReason::Identification));
}
