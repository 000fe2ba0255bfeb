//! Two connections in one process: a virtual clock, a simulated link each way, and applications
//! that react to events. Nothing here waits; a run of many virtual hours takes milliseconds, and
//! the same seed gives the same run.
//!
//! ```text
//!   client --output--> Link --chunks--> RecvBuf --> server --events--> App
//!   client <--chunks-- Link <--output-- server
//! ```

mod echo;
mod link;
mod log;
mod script;
mod session;

use std::sync::OnceLock;
use std::time::Duration;

pub use echo::Echo;
pub use link::{Chunking, Fault, Link};
pub use log::Log;
use num_bigint::BigUint;
pub use script::{Auth, Received, Script};
pub use session::{RekeyAt, Session};
use ssh_proto::client::{Client, ClientEvent};
use ssh_proto::config::{ClientConfig, HostKey, ServerConfig, TransientRsaKey};
use ssh_proto::key::PrivateKey;
use ssh_proto::server::{Server, ServerEvent};
use ssh_proto::{Instant, Peer, RecvBuf, Wants};

use crate::raw::RsaNumbers;
use crate::rng::SeededRandom;

/// What the two applications do with their events.
pub trait App {
    /// Something happened on the client.
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, now: Instant);
    /// Something happened on the server.
    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, now: Instant);
    /// Called once in each round, for what no event asks for. Says whether anything was done.
    fn idle(&mut self, _client: &mut Client, _server: &mut Server, _now: Instant) -> bool {
        false
    }
}

/// One side: a connection and its receive buffer.
#[derive(Debug)]
pub struct Side<P> {
    /// The connection.
    pub peer: P,
    /// Its receive buffer.
    pub rx: RecvBuf,
    ended: bool,
}

/// A client and a server with a link each way.
#[derive(Debug)]
pub struct Pair {
    /// The client's side.
    pub client: Side<Client>,
    /// The server's side.
    pub server: Side<Server>,
    /// What the client sends.
    pub up: Link,
    /// What the server sends.
    pub down: Link,
    /// The virtual time.
    pub now: Instant,
}

/// `n` bytes that differ from one another and, for another `seed`, from those of another call.
pub fn pattern(n: usize, seed: u8) -> Vec<u8> {
    (0..n)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed) ^ (i >> 8) as u8)
        .collect()
}

/// A host key that depends on nothing but this number.
pub fn key(n: u8) -> PrivateKey {
    PrivateKey::from_ed25519_seed(&[n; 32])
}

/// A server configuration with one host key.
pub fn server_config() -> ServerConfig {
    let mut config = ServerConfig::default();
    config.host_keys = vec![HostKey::Private(key(1).into())];
    config
}

/// A key of 2048 bits for RSA key exchange: always the same.
///
/// # Panics
///
/// Never.
pub fn transient_rsa() -> TransientRsaKey {
    static KEY: OnceLock<TransientRsaKey> = OnceLock::new();
    let make = || {
        let RsaNumbers { n, e, d } = rsa_numbers();
        let [n, e, d] = [n, e, d].map(|number| number.to_bytes_be());
        TransientRsaKey::from_components(&n, &e, &d).expect("an RSA key")
    };
    KEY.get_or_init(make).clone()
}

/// The numbers of [`transient_rsa`].
///
/// # Panics
///
/// Never.
pub fn rsa_numbers() -> RsaNumbers {
    let mut numbers = include_str!("rsa2048.txt")
        .lines()
        .map(|line| BigUint::parse_bytes(line.as_bytes(), 16).expect("digits"));
    let [n, e, d] = [(); 3].map(|()| numbers.next().expect("a line"));
    RsaNumbers { n, e, d }
}

impl Pair {
    /// Both with their defaults.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, ClientConfig::default(), server_config())
    }

    /// Both with settings of the caller's.
    ///
    /// # Panics
    ///
    /// If a configuration is refused.
    pub fn with(seed: u64, client: ClientConfig, server: ServerConfig) -> Self {
        let client = Client::new(client, Box::new(SeededRandom::new(seed))).expect("client");
        let server = Server::new(server, Box::new(SeededRandom::new(!seed))).expect("server");
        Self::of(seed, client, server)
    }

    /// Of two connections. The seed is for the links.
    pub fn of(seed: u64, client: Client, server: Server) -> Self {
        Self {
            client: Side {
                peer: client,
                rx: RecvBuf::new(),
                ended: false,
            },
            server: Side {
                peer: server,
                rx: RecvBuf::new(),
                ended: false,
            },
            up: Link::new(seed ^ 1),
            down: Link::new(seed ^ 2),
            now: Instant::EPOCH,
        }
    }

    /// Sets the same way of cutting the stream into reads for both directions.
    pub fn chunked(mut self, chunking: Chunking) -> Self {
        self.up.chunking = chunking.clone();
        self.down.chunking = chunking;
        self
    }

    /// Keeps everything that is sent in either direction.
    pub fn recorded(mut self) -> Self {
        self.up.transcript = Some(Vec::new());
        self.down.transcript = Some(Vec::new());
        self
    }

    /// Sets the same latency for both directions.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.up.latency = latency;
        self.down.latency = latency;
        self
    }

    /// Whether both have ended.
    pub fn ended(&self) -> bool {
        self.client.ended && self.server.ended
    }

    /// Does everything that can be done now and then moves the clock to when there is more to do.
    /// False if there never will be.
    pub fn step(&mut self, app: &mut impl App) -> bool {
        while self.work(app) {}
        let arrivals = [self.up.next_arrival(), self.down.next_arrival()];
        let timeouts = [
            self.client.peer.poll_timeout(self.now),
            self.server.peer.poll_timeout(self.now),
        ];
        // What has arrived and is not taken waits for an answer, not for the clock.
        let arrivals = arrivals.into_iter().flatten().filter(|at| *at > self.now);
        let Some(next) = arrivals.chain(timeouts.into_iter().flatten()).min() else {
            return false;
        };
        self.now = self.now.max(next);
        self.client.peer.handle_timeout(self.now);
        self.server.peer.handle_timeout(self.now);
        true
    }

    /// Steps until `done`, the end, or standstill. Says whether `done` was reached.
    ///
    /// # Panics
    ///
    /// After 200,000 steps: something goes round in circles.
    pub fn run_until<A: App>(
        &mut self,
        app: &mut A,
        mut done: impl FnMut(&Self, &A) -> bool,
    ) -> bool {
        for _ in 0..200_000 {
            if done(self, app) {
                return true;
            }
            if self.ended() || !self.step(app) {
                return done(self, app);
            }
        }
        panic!("no end after 200,000 steps");
    }

    /// Steps until both have ended. Says whether they have.
    pub fn run(&mut self, app: &mut impl App) -> bool {
        self.run_until(app, |pair, _| pair.ended())
    }

    /// One round of everything that needs no time to pass. Says whether anything was done.
    pub fn work(&mut self, app: &mut impl App) -> bool {
        let mut busy = app.idle(&mut self.client.peer, &mut self.server.peer, self.now);
        busy |= pull(&mut self.client, &mut self.up, self.now);
        busy |= pull(&mut self.server, &mut self.down, self.now);
        let now = self.now;
        busy |= push(&mut self.client, &mut self.down, now, |client, event| {
            app.client(client, event, now);
        });
        busy |= push(&mut self.server, &mut self.up, now, |server, event| {
            app.server(server, event, now);
        });
        busy
    }
}

/// Moves output to the link.
fn pull<P: Peer>(side: &mut Side<P>, link: &mut Link, now: Instant) -> bool {
    let room = link.room();
    let output = side.peer.output();
    let n = output.len().min(room);
    link.send(&output[..n], now);
    side.peer.consume_output(n);
    if side.ended && !link.closed && !side.peer.has_output() {
        link.closed = true;
        return true;
    }
    n > 0
}

/// Moves what one read takes to the connection, and its events to the application. Says whether
/// anything was done.
fn push<P: Peer>(
    side: &mut Side<P>,
    link: &mut Link,
    now: Instant,
    mut on: impl FnMut(&mut P, P::Event<'_>),
) -> bool {
    let mut busy = poll(side, now, &mut on);
    match side.peer.wants() {
        Wants::Bytes(need) => {
            let spare = side.rx.spare(need);
            assert!(spare.len() >= need && !spare.is_empty(), "spare({need})");
            match link.receive(spare, now) {
                link::Received::Nothing => return busy,
                link::Received::Bytes(n) => side.rx.filled(n),
                link::Received::Closed => side.peer.close_input(),
            }
        }
        // A driver that waits for an answer, or for room, still notices when the peer is gone.
        Wants::Answer | Wants::Output if link.is_at_end() && !side.ended => side.peer.close_input(),
        Wants::Answer | Wants::Output => return busy,
        Wants::Closed => {
            busy |= !side.ended;
            side.ended = true;
            return busy;
        }
        other => panic!("not after the last event: {other:?}"),
    }
    poll(side, now, &mut on);
    true
}

/// Hands on all events that there are.
fn poll<P: Peer>(
    side: &mut Side<P>,
    now: Instant,
    on: &mut impl FnMut(&mut P, P::Event<'_>),
) -> bool {
    let mut busy = false;
    loop {
        while let Some(event) = side.peer.poll_event(&mut side.rx.batch(), now) {
            busy = true;
            on(&mut side.peer, event);
        }
        if side.peer.wants() != Wants::Batch {
            return busy;
        }
    }
}
