//! Keys are exchanged again at any moment, by either side or both, in every cipher mode, and
//! nobody above notices.

use std::time::Duration;

use ssh_proto::algorithm::{CipherAlgorithm, KexAlgorithm, MacAlgorithm};
use ssh_proto::config::{ClientConfig, ServerConfig, TransportConfig};
use ssh_proto::fuzzing;
use ssh_proto::{Client, ClientEvent, Instant, Server, ServerEvent};
use ssh_testkit::sim::{App, Auth, Chunking, Pair, RekeyAt, Session, pattern, server_config};

#[derive(Clone, Copy, Debug)]
struct Mode(CipherAlgorithm, Option<MacAlgorithm>);

/// Every cipher in either order, and every MAC.
fn modes() -> impl Iterator<Item = Mode> {
    let modes = fuzzing::few_modes().into_iter();
    modes.map(|(cipher, mac)| Mode(cipher, mac))
}

fn set(transport: &mut TransportConfig, Mode(cipher, mac): Mode) {
    let a = &mut transport.algorithms;
    a.kex = vec![KexAlgorithm::Curve25519Sha256];
    a.ciphers_client_to_server = vec![cipher];
    a.ciphers_server_to_client = vec![cipher];
    if let Some(mac) = mac {
        a.macs_client_to_server = vec![mac];
        a.macs_server_to_client = vec![mac];
    }
}

fn configs(mode: Mode) -> (ClientConfig, ServerConfig) {
    let (mut client, mut server) = (ClientConfig::default(), server_config());
    set(&mut client.transport, mode);
    set(&mut server.transport, mode);
    (client, server)
}

const GCM: Mode = Mode(CipherAlgorithm::Aes128Gcm, None);

/// Runs it, and returns how often keys were exchanged.
fn run(mut pair: Pair, mut app: Session) -> usize {
    assert!(pair.run(&mut app), "{app:#?}");
    app.check();
    for ids in [&app.client.session_ids, &app.server.session_ids] {
        assert_eq!(ids.len(), 1, "the session identifier is constant");
    }
    assert_eq!(app.client.session_ids, app.server.session_ids);
    exchanges(&app)
}

fn exchanges(app: &Session) -> usize {
    let lines = app.client.log.0.iter();
    lines.filter(|line| line.contains("KeysExchanged")).count()
}

#[test]
fn r4_r6_at_every_event_in_every_mode_by_either_side_and_both() {
    use RekeyAt::{Event, Never};
    for mode in modes() {
        let mut most = 0;
        for n in 0.. {
            let mut rekeyed = 0;
            for (client, server) in [
                (Event(n), Never),
                (Never, Event(n)),
                (Event(n), Event(n)),
                (Event(n), Event(n / 2)),
            ] {
                let (c, s) = configs(mode);
                let app = Session::new(vec![pattern(400, 1), pattern(90, 2)]).rekey(client, server);
                let exchanged = run(Pair::with(n, c, s), app);
                rekeyed += exchanged - 1;
                most = most.max(exchanged);
            }
            // Beyond the last event there is none.
            if rekeyed == 0 {
                assert!(n > 12, "{mode:?}: only {n} events");
                break;
            }
        }
        assert!(most >= 2, "{mode:?}");
    }
}

/// Asks for new keys once, after so many rounds of the simulation. A round is one read of each
/// side, so it is between any two packets, whether they made an event or not.
struct AtRound {
    session: Session,
    rounds_left: u64,
    client: bool,
    server: bool,
}

impl App for AtRound {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, now: Instant) {
        self.session.client(client, event, now);
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, now: Instant) {
        self.session.server(server, event, now);
    }

    fn idle(&mut self, client: &mut Client, server: &mut Server, _now: Instant) -> bool {
        self.rounds_left = self.rounds_left.saturating_sub(1);
        if self.rounds_left > 0 {
            return false;
        }
        let mut done = false;
        if self.client && client.is_authenticated() && !client.has_ended() {
            client.rekey().expect("authenticated");
            self.client = false;
            done = true;
        }
        if self.server && server.is_authenticated() && !server.has_ended() {
            server.rekey().expect("authenticated");
            self.server = false;
            done = true;
        }
        done
    }
}

#[test]
fn r4_between_any_two_reads() {
    between_reads(GCM, 3);
}

#[test]
#[ignore = "every read in every mode"]
fn long_r4_between_any_two_reads_in_every_mode() {
    for mode in modes() {
        between_reads(mode, 1);
    }
}

/// Keys are exchanged once, at every `step`th round of a session whose stream comes in pieces so
/// small that every boundary of a packet is between two of them; by either side and by both.
fn between_reads(mode: Mode, step: usize) {
    let (c, s) = configs(mode);
    let mut probe = AtRound {
        session: Session::new(vec![pattern(400, 1)]),
        rounds_left: u64::MAX,
        client: false,
        server: false,
    };
    let mut pair = Pair::with(3, c, s).chunked(Chunking::Random(11));
    assert!(pair.run(&mut probe));
    let rounds = u64::MAX - probe.rounds_left;
    assert!(rounds > 300, "{rounds}");
    let mut exchanged = 0;
    for rounds_left in (1..rounds).step_by(step) {
        for (client, server) in [(true, false), (false, true), (true, true)] {
            let (c, s) = configs(mode);
            let mut app = AtRound {
                session: Session::new(vec![pattern(400, 1)]),
                rounds_left,
                client,
                server,
            };
            let mut pair = Pair::with(3, c, s).chunked(Chunking::Random(11));
            assert!(
                pair.run(&mut app),
                "{mode:?} {rounds_left} {client} {server}"
            );
            app.session.check();
            exchanged += exchanges(&app.session) - 1;
        }
    }
    assert!(exchanged > 200, "{exchanged}");
}

#[test]
fn with_every_piece_of_data_on_both_sides() {
    for mode in modes() {
        let (c, s) = configs(mode);
        let app = Session::new(vec![pattern(50_000, 1), pattern(30_000, 2)])
            .rekey(RekeyAt::Data, RekeyAt::Data);
        let pair = narrow(c, s, 5).latency(Duration::from_millis(20));
        let exchanged = run(pair, app);
        assert!(exchanged > 5, "{mode:?}: {exchanged}");
    }
}

#[test]
fn by_bytes_in_either_direction() {
    for mode in [GCM, Mode(CipherAlgorithm::ChaCha20Poly1305, None)] {
        for both in [false, true] {
            let (mut c, mut s) = configs(mode);
            c.transport.limits.rekey_bytes = 64 * 1024;
            if both {
                s.transport.limits.rekey_bytes = 64 * 1024;
            }
            let pair = Pair::with(6, c, s).latency(Duration::from_millis(1));
            let exchanged = run(pair, Session::new(vec![pattern(2_000_000, 1)]));
            // 2 MB each way; what is on its way while keys are exchanged comes on top.
            assert!((8..=64).contains(&exchanged), "{exchanged}");
        }
    }
}

/// The window is the peer's to fill until it learns that new keys are wanted.
#[test]
fn a_window_full_of_data_that_was_on_its_way_is_no_offence() {
    let (c, mut s) = configs(GCM);
    s.transport.limits.rekey_bytes = 64 * 1024;
    let window = s.transport.limits.window as usize;
    let mut pair = Pair::with(6, c, s).latency(Duration::from_millis(50));
    pair.up.capacity = 2 * window;
    let exchanged = run(pair, Session::new(vec![pattern(2 * window, 1)]));
    assert!(exchanged > 1, "{exchanged}");
}

#[test]
fn by_packets() {
    let (c, mut s) = configs(GCM);
    s.transport.limits.rekey_packets = 64;
    let pair = Pair::with(7, c, s);
    let exchanged = run(
        pair,
        Session::new((0..100).map(|n| pattern(10, n)).collect()),
    );
    // Each of the 100 channels costs the server four packets and more.
    assert!(exchanged >= 4, "{exchanged}");
}

#[test]
fn by_time() {
    for server in [false, true] {
        let (mut c, mut s) = configs(GCM);
        let hour = Duration::from_secs(3600);
        c.transport.deadlines.rekey = Duration::MAX;
        s.transport.deadlines.rekey = Duration::MAX;
        if server {
            s.transport.deadlines.rekey = hour;
        } else {
            c.transport.deadlines.rekey = hour;
        }
        let mut pair = Pair::with(8, c, s).latency(Duration::from_millis(50));
        let mut app = Session::new(vec![pattern(10, 1)]).stay();
        let day = Instant::new(Duration::from_secs(24 * 3600 + 1800));
        pair.run_until(&mut app, |pair, _| pair.now >= day);
        app.check();
        assert_eq!(exchanges(&app), 25, "once an hour");
        assert!(!pair.client.peer.has_ended() && !pair.server.peer.has_ended());
    }
}

/// Keys that grow old before authentication has ended are exchanged after it: no server has to
/// exchange keys with a stranger.
#[test]
fn r5_keys_that_age_before_authentication_are_left_alone_until_it_ends() {
    for server in [false, true] {
        let (mut c, mut s) = configs(GCM);
        let short = Duration::from_millis(500);
        if server {
            s.transport.deadlines.rekey = short;
        } else {
            c.transport.deadlines.rekey = short;
        }
        // The way to authentication takes longer than the age of the keys.
        let mut pair = Pair::with(8, c, s).latency(Duration::from_millis(400));
        let mut app = Session::new(vec![pattern(10, 1)]).auth(Auth::Both).stay();
        let later = Instant::new(Duration::from_secs(30));
        pair.run_until(&mut app, |pair, _| pair.now >= later);
        app.check();
        assert!(exchanges(&app) > 2, "{:#?}", app.client.log);
    }
}

/// Little is on its way at a time, so that each piece of data meets keys of its own.
fn narrow(mut c: ClientConfig, mut s: ServerConfig, seed: u64) -> Pair {
    for limits in [&mut c.transport.limits, &mut s.transport.limits] {
        limits.output = 4096;
        limits.maximum_packet = 1024;
        limits.window = 4096;
    }
    let mut pair = Pair::with(seed, c, s);
    pair.up.capacity = 4096;
    pair.down.capacity = 4096;
    pair
}

fn rekeys_under_16_channels(size: usize) -> usize {
    let (c, s) = configs(GCM);
    let app = Session::new((0..16).map(|n| pattern(size, n)).collect())
        .rekey(RekeyAt::Data, RekeyAt::Data);
    run(narrow(c, s, 9).chunked(Chunking::Random(900)), app)
}

#[test]
fn r4_a_hundred_rekeys_under_16_channels() {
    let exchanged = rekeys_under_16_channels(40_000);
    assert!(exchanged >= 100, "{exchanged}");
}

#[test]
#[ignore = "the thousand of them"]
fn long_r4_a_thousand_rekeys_under_16_channels() {
    let exchanged = rekeys_under_16_channels(400_000);
    assert!(exchanged >= 1000, "{exchanged}");
}
