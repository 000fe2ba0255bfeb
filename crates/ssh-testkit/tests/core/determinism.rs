//! The same seed and the same calls give the same bytes, and nothing depends on how the stream was
//! cut into reads or on when the output was looked at.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use ssh_proto::algorithm::KexAlgorithm;
use ssh_proto::client::{Client, ClientEvent};
use ssh_proto::config::{ClientConfig, ServerConfig, TransportConfig};
use ssh_proto::server::{Server, ServerEvent};
use ssh_proto::{Instant, Peer, RecvBuf, Wants};
use ssh_testkit::rng::SeededRandom;

use ssh_testkit::sim::{
    App, Auth, Chunking, Log, Pair, Received, RekeyAt, Session, pattern, server_config,
    transient_rsa,
};

use crate::pages;

const SEED: u64 = 42;

/// Every way to log in that needs more than one message, three channels, a rekey from each side.
fn session() -> Session {
    Session::new(vec![pattern(700, 1), pattern(0, 2), pattern(41, 3)])
        .auth(Auth::Both)
        .rekey(RekeyAt::Event(4), RekeyAt::Event(9))
}

/// The quick key exchange, because there are thousands of sessions here.
fn quick(transport: &mut TransportConfig) {
    transport.algorithms.kex = vec![KexAlgorithm::Curve25519Sha256];
    transport.software = "determinism".to_owned();
}

fn configs() -> (ClientConfig, ServerConfig) {
    let (mut client, mut server) = (ClientConfig::default(), server_config());
    quick(&mut client.transport);
    quick(&mut server.transport);
    server.banner = "welcome\n".to_owned();
    (client, server)
}

fn pair() -> Pair {
    let (client, server) = configs();
    Pair::with(SEED, client, server)
}

/// What a run amounts to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    client: Log,
    server: Log,
    received: Vec<Received>,
}

fn run(mut pair: Pair) -> (Outcome, Pair) {
    let mut app = session();
    assert!(pair.run(&mut app), "{app:#?}");
    app.check();
    let outcome = Outcome {
        client: app.client.log,
        server: app.server.log,
        received: app.client.received,
    };
    (outcome, pair)
}

fn transcript(pair: Pair) -> [Vec<u8>; 2] {
    [pair.up, pair.down].map(|link| link.transcript.expect("recorded"))
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let transcript = |seed| {
        let (client, server) = configs();
        transcript(run(Pair::with(seed, client, server).recorded()).1)
    };
    assert_eq!(transcript(1), transcript(1));
    let (one, other) = (transcript(1), transcript(2));
    assert_ne!(one[0], other[0]);
    assert_ne!(one[1], other[1]);
}

/// What is on the wire is pinned. `UPDATE_GOLDEN=1` writes the file anew after a change that was
/// meant.
#[test]
fn the_golden_transcripts_have_not_changed() {
    let mut text = String::new();
    for &kex in KexAlgorithm::ALL {
        let (mut client, mut server) = configs();
        client.transport.algorithms.kex = vec![kex];
        server.transport.algorithms.kex = vec![kex];
        server.transient_rsa = Some(transient_rsa());
        let (_, pair) = run(Pair::with(SEED, client, server).recorded());
        for (side, bytes) in ["client", "server"].iter().zip(transcript(pair)) {
            let hash: String = Sha256::digest(&bytes).iter().fold(String::new(), |s, b| {
                let mut s = s;
                write!(s, "{b:02x}").expect("a string takes everything");
                s
            });
            writeln!(text, "{kex} {side} {} {hash}", bytes.len()).expect("likewise");
        }
    }
    let path = "crates/ssh-testkit/tests/golden/transcripts.txt";
    pages::compare(path, &text, "UPDATE_GOLDEN", "determinism");
}

fn every_cut_gives_the_same_events(step: usize) -> usize {
    let (whole, pair) = run(pair());
    let lengths = [pair.up.sent, pair.down.sent];
    let mut runs = 0;
    for (direction, length) in lengths.into_iter().enumerate() {
        for at in (1..length).step_by(step) {
            let mut pair = self::pair();
            let link = if direction == 0 {
                &mut pair.up
            } else {
                &mut pair.down
            };
            link.chunking = Chunking::At(at);
            let (cut, _) = run(pair);
            assert_eq!(cut, whole, "direction {direction} cut at {at}");
            runs += 1;
        }
    }
    runs
}

#[test]
fn a_cut_at_any_byte_gives_the_same_events() {
    // Prime, so that it meets every offset within a packet.
    println!("{} sessions", every_cut_gives_the_same_events(7));
}

#[test]
#[ignore = "minutes: every single offset"]
fn long_a_cut_at_every_byte_gives_the_same_events() {
    println!("{} sessions", every_cut_gives_the_same_events(1));
}

#[test]
fn byte_by_byte_and_random_pieces_give_the_same_events() {
    let (whole, _) = run(pair());
    assert_eq!(run(pair().chunked(Chunking::OneByte)).0, whole);
    for most in [2, 3, 7, 16, 33, 100, 1000] {
        let (pieces, _) = run(pair().chunked(Chunking::Random(most)));
        assert_eq!(pieces, whole, "pieces of up to {most}");
    }
}

/// Feeds `input` in pieces that end at `cuts`, and looks at the output only at the end.
fn replay<P: Peer>(
    peer: &mut P,
    input: &[u8],
    cuts: &[usize],
    mut on: impl FnMut(&mut P, P::Event<'_>),
) -> Vec<u8> {
    let mut rx = RecvBuf::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([input.len()]) {
        rx.push(&input[from..to]);
        from = to;
        loop {
            while let Some(event) = peer.poll_event(&mut rx.batch(), Instant::EPOCH) {
                on(peer, event);
            }
            match peer.wants() {
                Wants::Batch => {}
                Wants::Bytes(_) | Wants::Closed => break,
                other => panic!("{other:?}"),
            }
        }
    }
    let mut output = Vec::new();
    peer.take_output(&mut output);
    output
}

fn replay_client(input: &[u8], cuts: &[usize]) -> (Vec<u8>, Log, Vec<Received>) {
    let mut client = Client::new(configs().0, Box::new(SeededRandom::new(SEED))).expect("client");
    let mut script = session().client;
    let output = replay(&mut client, input, cuts, |client, event| {
        script.on(client, event);
    });
    (output, script.log, script.received)
}

fn replay_server(input: &[u8], cuts: &[usize]) -> (Vec<u8>, Log) {
    let mut server = Server::new(configs().1, Box::new(SeededRandom::new(!SEED))).expect("server");
    let mut echo = session().server;
    let output = replay(&mut server, input, cuts, |server, event| {
        echo.on(server, event);
    });
    (output, echo.log)
}

fn output_is_the_same_for_every_split(step: usize) {
    let [up, down] = transcript(run(pair().recorded()).1);
    let client = replay_client(&down, &[]);
    let server = replay_server(&up, &[]);
    assert!(client.1.has("Ended"), "{:#?}", client.1);
    assert!(server.1.has("Ended"), "{:#?}", server.1);
    for at in (1..down.len()).step_by(step) {
        assert!(replay_client(&down, &[at]) == client, "client, cut at {at}");
    }
    for at in (1..up.len()).step_by(step) {
        assert!(replay_server(&up, &[at]) == server, "server, cut at {at}");
    }
    let every = |n: usize| (1..n).collect::<Vec<_>>();
    assert!(replay_client(&down, &every(down.len())) == client);
    assert!(replay_server(&up, &every(up.len())) == server);
    let mut random = SeededRandom::new(SEED);
    for _ in 0..200 {
        let mut cuts = |n: usize| {
            let mut cuts: Vec<_> = (0..random.below(40))
                .map(|_| random.below(n as u64) as usize)
                .collect();
            cuts.sort_unstable();
            cuts
        };
        let (c, s) = (cuts(down.len()), cuts(up.len()));
        assert!(replay_client(&down, &c) == client, "client, cut at {c:?}");
        assert!(replay_server(&up, &s) == server, "server, cut at {s:?}");
    }
}

#[test]
fn output_collected_at_the_end_is_the_same_for_any_split() {
    output_is_the_same_for_every_split(5);
}

#[test]
#[ignore = "a minute: every single offset"]
fn long_output_collected_at_the_end_is_the_same_for_every_split() {
    output_is_the_same_for_every_split(1);
}

/// Looks at the output after some events and not after others.
struct Peeking {
    session: Session,
    random: SeededRandom,
    in_ten: u64,
}

impl App for Peeking {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, now: Instant) {
        self.session.client(client, event, now);
        if self.random.below(10) < self.in_ten {
            client.output();
        }
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, now: Instant) {
        self.session.server(server, event, now);
        if self.random.below(10) < self.in_ten {
            server.output();
        }
    }
}

/// The lines that are about one channel, for each channel. What happens on different channels may
/// overtake each other.
fn by_channel(log: &Log) -> Vec<Vec<&str>> {
    (0..3)
        .map(|n| {
            let slot = format!("slot: {n},");
            let shown = format!("channel {n}:");
            let lines = log.0.iter().map(String::as_str);
            lines
                .filter(|line| line.contains(&slot) || line.contains(&shown))
                .collect()
        })
        .collect()
}

#[test]
fn any_schedule_of_output_gives_the_same_messages_per_channel() {
    let (whole, _) = run(pair());
    assert!(
        by_channel(&whole.server)
            .iter()
            .all(|lines| lines.len() > 1)
    );
    for seed in 0..40 {
        let mut app = Peeking {
            session: session(),
            random: SeededRandom::new(seed),
            in_ten: seed % 11,
        };
        assert!(pair().run(&mut app));
        app.session.check();
        let Session { client, server } = &app.session;
        assert_eq!(by_channel(&client.log), by_channel(&whole.client));
        assert_eq!(by_channel(&server.log), by_channel(&whole.server));
        assert_eq!(client.received, whole.received);
    }
}
