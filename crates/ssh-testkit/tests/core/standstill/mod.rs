//! Row D7 on real connections: two of them with random work, random pipes, random settings, rekeys
//! at any time and applications that answer whenever they like.
//!
//! Time does not pass. When nothing moves any more all work must be done: whatever would have needed
//! a deadline to go on has been forgotten by somebody. An application here sends what was refused
//! only when it is told that it may, releases piecemeal, and lets everything that it is asked wait
//! for a few rounds. The driver here does what [`Wants`] says and nothing else, so that what a
//! connection forgets to ask for is not done by chance.
//!
//! In the other half of the tests somebody falls silent for good: an application that never answers,
//! or a transport on which nothing arrives. Then there must be a deadline, and it must lead on.

mod driver;
mod side;

use std::time::Duration;

use ssh_proto::client::{Client, ClientEvent, Credential, Probe};
use ssh_proto::config::{ClientConfig, HostKey, TransportConfig};
use ssh_proto::error::{End, Misuse};
use ssh_proto::message::DisconnectReason;
use ssh_proto::server::{AuthEvent, Server, ServerEvent};
use ssh_proto::{Instant, Wants};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{key, server_config};

use self::driver::{Driven, Pipe, Watched};
use self::side::{Asked, Seen, Side, answer};

/// Both applications.
#[derive(Debug)]
struct Both {
    client: Side,
    server: Side,
    /// The client leaves when all is done.
    left: bool,
}

impl Both {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>) {
        let side = &mut self.client;
        match event {
            ClientEvent::HostKey { decision, .. } => side.later(Asked::HostKey(decision)),
            ClientEvent::Authenticate { token, .. } => side.later(Asked::Credential(token)),
            ClientEvent::Sign(request) => side.later(Asked::SignAsUser(request)),
            other => side.on(client, other.into()),
        }
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>) {
        let side = &mut self.server;
        match event {
            ServerEvent::Sign(request) => side.later(Asked::SignAsHost(request)),
            ServerEvent::Auth(AuthEvent::KeyOffered { offer, .. }) => {
                side.later(Asked::Offer(offer));
            }
            ServerEvent::Auth(
                AuthEvent::None { decision, .. }
                | AuthEvent::Password { decision, .. }
                | AuthEvent::KeyProven { decision, .. },
            ) => side.later(Asked::Login(decision)),
            other => side.on(server, other.into()),
        }
    }

    /// One round of what no event asks for. Says whether anything was done or is still to be.
    fn round(&mut self, client: &mut Client, server: &mut Server) -> bool {
        let (mut busy, due) = self.client.due();
        for asked in due {
            if let Some(asked) = answer(&mut self.client, client, asked) {
                decide_as_client(&mut self.client, client, asked);
            }
        }
        busy |= self.client.round(client);
        let (waits, due) = self.server.due();
        for asked in due {
            if let Some(asked) = answer(&mut self.server, server, asked) {
                decide_as_server(server, asked);
            }
        }
        busy |= waits | self.server.round(server);
        let done = client.is_authenticated() && server.is_authenticated();
        if done && self.client.is_done() && self.server.is_done() && !self.left {
            self.left = true;
            client.disconnect(DisconnectReason::BY_APPLICATION, "done");
            return true;
        }
        busy
    }
}

fn decide_as_client(side: &mut Side, client: &mut Client, asked: Asked) {
    let user = key(7);
    let result = match asked {
        Asked::HostKey(decision) => client.trust(decision),
        Asked::SignAsUser(request) => {
            let nothing = &mut SeededRandom::new(0);
            let signature = user.sign(request.algorithm, &request.data, nothing);
            client.signed(request, &signature.expect("a signature"))
        }
        Asked::Credential(token) => {
            let credential = match side.random.below(3) {
                0 => Credential::Password("secret"),
                1 => Credential::PrivateKey(&user),
                _ => Credential::PublicKey {
                    key: user.public_key().clone(),
                    probe: if side.one_in(2) {
                        Probe::First
                    } else {
                        Probe::Skip
                    },
                },
            };
            client.authenticate(token, "alice", credential)
        }
        other => panic!("{other:?}"),
    };
    assert!(matches!(result, Ok(()) | Err(Misuse::Ended)), "{result:?}");
}

fn decide_as_server(server: &mut Server, asked: Asked) {
    let result = match asked {
        Asked::SignAsHost(request) => {
            let nothing = &mut SeededRandom::new(0);
            let signature = key(1).sign(request.algorithm, &request.data, nothing);
            server.signed(request, &signature.expect("a signature"))
        }
        Asked::Login(decision) => server.accept(decision),
        Asked::Offer(offer) => server.invite(offer),
        other => panic!("{other:?}"),
    };
    assert!(matches!(result, Ok(()) | Err(Misuse::Ended)), "{result:?}");
}

/// Settings that are small in random places.
fn settings(config: &mut TransportConfig, random: &mut SeededRandom) {
    fn pick<T: Copy>(random: &mut SeededRandom, of: &[T]) -> T {
        of[random.below(of.len() as u64) as usize]
    }
    let limits = &mut config.limits;
    limits.channels = pick(random, &[2, 8, 256]);
    limits.maximum_packet = pick(random, &[1024, 5000, 32 * 1024]);
    limits.window = limits.maximum_packet * pick(random, &[1, 2, 64]);
    limits.window_total = pick(random, &[256 * 1024, 1 << 20, 16 << 20]);
    limits.output = pick(random, &[2048, 10_000, 128 * 1024]);
    limits.requests_unanswered = pick(random, &[1, 2, 128]);
    limits.tickets = pick(random, &[1, 3, 64]);
    limits.rekey_bytes = pick(random, &[32 * 1024, 100_000, 1 << 30]);
    limits.rekey_packets = pick(random, &[64, 1 << 31]);
    config.algorithms.kex = vec![ssh_proto::algorithm::KexAlgorithm::Curve25519Sha256];
    config.guess = random.below(2) == 0;
    use ssh_proto::algorithm::CompressionAlgorithm as Compression;
    for methods in [
        &mut config.algorithms.compression_client_to_server,
        &mut config.algorithms.compression_server_to_client,
    ] {
        *methods = match random.below(4) {
            0 => vec![Compression::ZlibOpenSsh, Compression::None],
            1 => vec![
                Compression::Zlib,
                Compression::ZlibOpenSsh,
                Compression::None,
            ],
            _ => vec![Compression::None],
        };
    }
}

struct World {
    client: Driven<Client>,
    server: Driven<Server>,
    /// What the client sends, and what the server does.
    up: Pipe,
    down: Pipe,
    now: Instant,
    app: Both,
    random: SeededRandom,
    /// What fits into the pipes when they are at their smallest.
    pipe: usize,
    /// The longest read.
    most: usize,
    /// Nothing has moved in the last round, with wide pipes or narrow ones.
    still: bool,
    seed: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = SeededRandom::new(seed);
        let mut client = ClientConfig::default();
        client.channel_types = vec!["x11".to_owned()];
        let mut server = server_config();
        settings(&mut client.transport, &mut random);
        settings(&mut server.transport, &mut random);
        if random.below(3) == 0 {
            server.host_keys = vec![HostKey::External(key(1).public_key().clone())];
        }
        server.transport.limits.held = 1 << 18;
        // So many answers that nothing more is read; of one side only, since two that answer each
        // other's requests like that would have to wait for the clock.
        let crowded = random.below(8) == 0;
        if crowded {
            client.transport.limits.requests_unanswered = 128;
            server.transport.limits.tickets = 64;
            server.transport.limits.output = 2048;
            server.transport.limits.control = 35_000;
        }
        let client = Client::new(client, Box::new(SeededRandom::new(seed))).expect("client");
        let server = Server::new(server, Box::new(SeededRandom::new(!seed))).expect("server");
        let mut app = Both {
            client: Side::new(&mut random),
            server: Side::new(&mut random),
            left: false,
        };
        app.server.says = [0, 100, 1024][random.below(3) as usize];
        if crowded {
            (app.client.requests, app.server.says) = (400, 1024);
        }
        Self {
            client: Driven::new(client),
            server: Driven::new(server),
            up: Pipe::default(),
            down: Pipe::default(),
            now: Instant::EPOCH,
            app,
            pipe: [1, 60, 1000, 40_000][random.below(4) as usize],
            most: [usize::MAX, 1 + random.below(40_000) as usize][random.below(2) as usize],
            random,
            still: false,
            seed,
        }
    }

    /// One round of everything. Says whether anything was done.
    fn round(&mut self) -> bool {
        let (app, now) = (&mut self.app, self.now);
        let mut busy = app.round(&mut self.client.peer, &mut self.server.peer);
        let most = self.most;
        busy |= self.client.turn(
            (&mut self.up, &mut self.down),
            most,
            now,
            |client, event| {
                app.client(client, event);
            },
        );
        busy |= self.server.turn(
            (&mut self.down, &mut self.up),
            most,
            now,
            |server, event| {
                app.server(server, event);
            },
        );
        busy
    }

    /// Until nothing moves although the clock stands still.
    fn settle(&mut self) {
        self.still = false;
        for _ in 0..2_000_000 {
            // Now and then a pipe takes nothing, for a round.
            let moving = !self.still;
            for pipe in [&mut self.up, &mut self.down] {
                let stuck = moving && self.random.below(4) == 0;
                let wide = self.random.below(2) == 0;
                pipe.capacity = match (stuck, wide) {
                    (true, _) => 0,
                    (_, true) => 1 << 17,
                    _ => self.pipe,
                };
            }
            self.still = !self.round();
            self.check();
            // Once more, since a pipe may have been stuck.
            if self.still && !moving {
                return;
            }
        }
        panic!("no standstill: {}", self.story());
    }

    /// D7: in no state is there output or work, and neither input that is wanted nor a deadline.
    fn check(&mut self) {
        let now = self.now;
        let sides: [(&mut dyn Watched, &mut Side); 2] = [
            (&mut self.client.peer, &mut self.app.client),
            (&mut self.server.peer, &mut self.app.server),
        ];
        for (peer, side) in sides {
            let (wants, deadline) = (peer.wants(), peer.deadline(now));
            side.seen.paused += u64::from(wants == Wants::Answer);
            side.seen.stalled += u64::from(wants == Wants::Output);
            let sound = match wants {
                Wants::Bytes(_) => true,
                // There are events, or output has moved: the next turn looks.
                Wants::Batch => !self.still,
                // Somebody was asked, or the other side takes nothing; and neither is for ever.
                Wants::Answer => !side.asked.is_empty() && deadline.is_some(),
                Wants::Output => peer.waits_to_write() && deadline.is_some(),
                Wants::Closed => deadline.is_none(),
                _ => false,
            };
            assert!(sound, "{:#x}: {wants:?} {deadline:?}", self.seed);
            let past = self.still && deadline.is_some_and(|at| at <= now);
            assert!(!past, "{:#x}: a deadline in the past", self.seed);
        }
    }

    fn is_over(&self) -> bool {
        self.app.client.end.is_some() && self.app.server.end.is_some()
    }

    fn seen(&self) -> Seen {
        let mut seen = self.app.client.seen;
        seen += self.app.server.seen;
        seen
    }

    fn story(&self) -> String {
        format!(
            "seed {:#x}: {:#?}\nclient {:?} {:?}\nserver {:?} {:?}",
            self.seed,
            self.app,
            self.client.peer.wants(),
            self.client.peer,
            self.server.peer.wants(),
            self.server.peer,
        )
    }
}

/// Everything is done without a clock.
fn works_to_the_end(seed: u64) -> Seen {
    let mut world = World::new(seed);
    world.settle();
    let done = world.app.left && world.is_over();
    assert!(done, "standstill with work left: {}", world.story());
    assert_eq!(world.now, Instant::EPOCH);
    let ends = [&world.app.client.end, &world.app.server.end];
    assert!(
        matches!(ends, [Some(End::Disconnected), Some(End::ByPeer(_))]),
        "{}",
        world.story()
    );
    world.seen()
}

/// Somebody falls silent, and the deadlines end it or get the rest done.
fn comes_to_an_end(seed: u64) -> Seen {
    let mut world = World::new(seed);
    let mut random = SeededRandom::new(!seed);
    match random.below(6) {
        0 => world.app.client.silent = true,
        1 => world.app.server.silent = true,
        2 => world.up.stalls_at = Some(random.below(20_000)),
        3 => world.down.stalls_at = Some(random.below(20_000)),
        4 => world.app.client.hoards = true,
        _ => world.app.server.hoards = true,
    }
    for _ in 0..400 {
        world.settle();
        if world.is_over() {
            return world.seen();
        }
        let deadlines = [
            world.client.peer.poll_timeout(world.now),
            world.server.peer.poll_timeout(world.now),
        ];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            panic!("nobody has a deadline: {}", world.story());
        };
        world.now = next;
        world.client.peer.handle_timeout(next);
        world.server.peer.handle_timeout(next);
        // Credit that nobody gives back has no deadline, and holds up nothing but itself: keys are
        // still exchanged, every hour.
        let hoards = world.app.client.hoards || world.app.server.hoards;
        if hoards && world.now > Instant::EPOCH + Duration::from_secs(5 * 3600) {
            assert!(!world.client.peer.has_ended(), "{}", world.story());
            return world.seen();
        }
    }
    panic!("the clock runs and nothing comes of it: {}", world.story());
}

/// So many worlds, in which something of everything must have happened.
fn many(n: u64, of: impl Fn(u64) -> Seen) {
    let mut random = SeededRandom::from_env();
    let mut seen = Seen::default();
    for _ in 0..n {
        seen += of(random.next_u64());
    }
    println!("{n} worlds: {seen:?}");
    let Seen {
        bytes,
        blocked,
        busy,
        exchanges,
        stalled,
        paused,
    } = seen;
    assert!(bytes > n && blocked > n && busy > n && exchanges > n && paused > n);
    assert!(stalled > 0);
}

#[test]
fn d7_when_nothing_moves_all_work_is_done() {
    many(1_000, works_to_the_end);
}

#[test]
fn d7_where_somebody_is_silent_a_deadline_leads_on() {
    many(1_000, comes_to_an_end);
}

#[test]
#[ignore = "long"]
fn long_d7_when_nothing_moves_all_work_is_done() {
    many(15_000, works_to_the_end);
}

#[test]
#[ignore = "long"]
fn long_d7_where_somebody_is_silent_a_deadline_leads_on() {
    many(15_000, comes_to_an_end);
}
