//! Whole sessions with compression in both directions: nobody above notices.

use std::time::Duration;

use ssh_proto::algorithm::{CompressionAlgorithm, KexAlgorithm};
use ssh_proto::config::{ClientConfig, ServerConfig};
use ssh_proto::{ChannelEvent, Client, ClientEvent, Instant, Server, ServerEvent};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{App, Auth, Chunking, Pair, RekeyAt, Session, pattern, server_config};

fn configs(method: CompressionAlgorithm, level: u8) -> (ClientConfig, ServerConfig) {
    let (mut client, mut server) = (ClientConfig::default(), server_config());
    for t in [&mut client.transport, &mut server.transport] {
        t.compression_level = level;
        t.algorithms.kex = vec![KexAlgorithm::Curve25519Sha256];
        t.algorithms.compression_client_to_server = vec![method];
        t.algorithms.compression_server_to_client = vec![method];
    }
    (client, server)
}

/// What cannot be compressed.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SeededRandom::new(seed).fill(&mut bytes);
    bytes
}

const METHODS: [CompressionAlgorithm; 2] = [
    CompressionAlgorithm::ZlibOpenSsh,
    CompressionAlgorithm::Zlib,
];

#[test]
fn data_arrives_at_every_level_with_every_way_to_log_in_and_to_cut_the_stream() {
    let auths = [
        Auth::Key,
        Auth::Outside,
        Auth::Password,
        Auth::NoneFirst,
        Auth::Both,
    ];
    let chunkings = [
        Chunking::Coalesced,
        Chunking::OneByte,
        Chunking::Random(3000),
    ];
    for method in METHODS {
        for level in 0..=9 {
            let n = usize::from(level);
            // Byte by byte less of it does.
            let size = if n % 3 == 1 { 3_000 } else { 100_000 };
            let sends = vec![
                vec![b'z'; size],
                noise(size, 1),
                pattern(size / 2, 2),
                vec![],
            ];
            let mut app = Session::new(sends).auth(auths[n % auths.len()]);
            let (client, server) = configs(method, level);
            let mut pair = Pair::with(1, client, server).chunked(chunkings[n % 3].clone());
            assert!(pair.run(&mut app), "{method} {level}: {app:#?}");
            app.check();
            // Zeros and the like take no room, and noise not much more than it has.
            let (least, most) = if level == 0 { (2, 4) } else { (1, 3) };
            let sent = usize::try_from(pair.up.sent).expect("small");
            assert!(sent >= least * size, "{method} {level}: {sent} of {size}");
            assert!(
                sent <= most * size + 6000,
                "{method} {level}: {sent} of {size}"
            );
        }
    }
}

#[test]
fn r8_keys_are_exchanged_at_every_event_by_either_side_and_both() {
    use RekeyAt::{Data, Event, Never};
    for method in METHODS {
        let mut exchanged = 0;
        for n in 0..24 {
            for (client, server) in [
                (Event(n), Never),
                (Never, Event(n)),
                (Event(n), Event(n)),
                (Event(n), Data),
            ] {
                let (c, s) = configs(method, 3);
                let sends = vec![pattern(400, 1), vec![7; 90_000]];
                let mut app = Session::new(sends).rekey(client, server);
                let mut pair = Pair::with(n, c, s).latency(Duration::from_millis(n % 3));
                assert!(pair.run(&mut app), "{method} {n}: {app:#?}");
                app.check();
                let lines = app.client.log.0.iter();
                exchanged += lines.filter(|line| line.contains("KeysExchanged")).count();
            }
        }
        assert!(exchanged > 24 * 6, "{method}: {exchanged}");
    }
}

/// Keys are exchanged after so many bytes on the wire, of which there are fewer.
#[test]
fn what_is_counted_towards_new_keys_is_what_is_sent() {
    let exchanges = |method| {
        let (mut client, mut server) = configs(method, 3);
        for t in [&mut client.transport, &mut server.transport] {
            t.limits.rekey_bytes = 100_000;
        }
        let mut app = Session::new(vec![vec![b'z'; 1_000_000]]);
        let mut pair = Pair::with(1, client, server);
        assert!(pair.run(&mut app));
        app.check();
        let lines = app.client.log.0.iter();
        lines.filter(|line| line.contains("KeysExchanged")).count()
    };
    assert!(exchanges(CompressionAlgorithm::None) >= 8);
    assert_eq!(exchanges(CompressionAlgorithm::ZlibOpenSsh), 1);
}

/// Windows are of what is not compressed: a receiver that does not read is sent no more than one.
#[test]
fn a_window_is_of_what_is_not_compressed() {
    let (client, mut server) = configs(CompressionAlgorithm::ZlibOpenSsh, 3);
    server.transport.limits.window = 64 * 1024;
    let mut app = Session::new(vec![vec![b'z'; 3_000_000]]);
    app.server.reads = false;
    let mut pair = Pair::with(1, client, server);
    pair.run_until(&mut app, |pair, _| pair.now.since_epoch().as_secs() > 10);
    assert_eq!(app.server.pending(), 64 * 1024, "exactly the window");
    app.server.reads = true;
    app.server.resume(&mut pair.server.peer);
    assert!(pair.run(&mut app));
    app.check();
}

/// Sends as much as it may as soon as there is a channel.
struct Sender {
    session: Session,
    data: Vec<u8>,
    /// What was sendable before, what was sent, and what was sendable then.
    seen: Option<[usize; 3]>,
}

impl App for Sender {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, now: Instant) {
        if let ClientEvent::Channel(ChannelEvent::Opened { channel }) = event {
            let mut channel = client.channel(channel).expect("open");
            let before = channel.sendable();
            let sent = channel.send(&self.data).expect("open");
            self.seen = Some([before, sent, channel.sendable()]);
        } else {
            self.session.client(client, event, now);
        }
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, now: Instant) {
        self.session.server(server, event, now);
    }
}

/// Data packs into less room than it needs as it is, or into a little more; who was told that
/// something may be sent can send something.
#[test]
fn what_is_sendable_is_accepted_and_more_if_it_packs_well() {
    for (data, more) in [(vec![b'z'; 1 << 20], true), (noise(1 << 20, 1), false)] {
        let (client, server) = configs(CompressionAlgorithm::ZlibOpenSsh, 3);
        let mut app = Sender {
            session: Session::new(vec![vec![1]]),
            data,
            seen: None,
        };
        let mut pair = Pair::with(1, client, server);
        pair.run_until(&mut app, |_, app| app.seen.is_some());
        let [sendable, sent, rest] = app.seen.expect("a channel");
        assert!(sendable > 10_000, "{sendable}");
        assert!(sent + 500 >= sendable, "{sent} of {sendable}");
        assert_eq!(sent > sendable, more, "{sent} of {sendable}");
        assert_eq!(rest, 0);
    }
}

/// The same seed and the same calls give the same bytes.
#[test]
fn a_transcript_is_the_same_every_time() {
    let transcript = || {
        let (client, server) = configs(CompressionAlgorithm::ZlibOpenSsh, 6);
        let mut app = Session::new(vec![pattern(20_000, 1)]);
        let mut pair = Pair::with(1, client, server).recorded();
        assert!(pair.run(&mut app));
        (pair.up.transcript, pair.down.transcript)
    };
    assert!(transcript() == transcript());
}
