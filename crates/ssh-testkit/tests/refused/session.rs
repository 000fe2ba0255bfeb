//! A session in which everything becomes large that can, played by applications that keep nothing
//! on the heap.

use ssh_proto::algorithm::{Algorithms, CompressionAlgorithm};
use ssh_proto::client::Credential;
use ssh_proto::config::{ClientConfig, ConfigError, ServerConfig};
use ssh_proto::error::End;
use ssh_proto::message::DisconnectReason;
use ssh_proto::mux::{Exit, Reply};
use ssh_proto::server::AuthEvent;
use ssh_proto::{ChannelEvent, Client, ClientEvent, Instant, Peer, Server, ServerEvent};
use ssh_testkit::raw::Raw;
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{App, Pair, server_config};

/// As many as the client asks for: the tables grow past a few thousand bytes.
const CHANNELS: usize = 250;

/// More than one packet takes.
const DATA: usize = 50_000;

/// What is sent at the n-th byte of a stream.
const fn byte(at: usize) -> u8 {
    (at % 251) as u8
}

static SENT: [u8; DATA] = {
    let mut sent = [0; DATA];
    let mut at = 0;
    while at < DATA {
        sent[at] = byte(at);
        at += 1;
    }
    sent
};

/// What is compressed. What a subject receives asks for its memory; what it would compress itself is
/// allocated where nobody asks (see `docs/security.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compressed {
    Nothing,
    ToClient,
    ToServer,
}

impl Compressed {
    fn set(self, algorithms: &mut Algorithms) {
        let method = vec![CompressionAlgorithm::ZlibOpenSsh];
        match self {
            Self::Nothing => {}
            Self::ToClient => algorithms.compression_server_to_client = method,
            Self::ToServer => algorithms.compression_client_to_server = method,
        }
    }
}

/// A role as the subject.
pub(crate) trait Side: Peer + Sized {
    /// Its settings.
    type Config;
    /// What its application remembers.
    type App;

    fn config(compressed: Compressed) -> Self::Config;
    fn app() -> Self::App;
    fn make(config: Self::Config) -> Result<Self, ConfigError>;
    /// Takes an event; returns what the last one says.
    fn on(&mut self, app: &mut Self::App, event: Self::Event<'_>) -> Option<End>;
    /// Who speaks to it.
    fn raw() -> Raw;
}

/// A client that opens many channels at once and sends on the first of them.
#[derive(Default)]
pub(crate) struct Opens {
    opened: usize,
    closed: usize,
    sent: usize,
    received: usize,
}

impl Side for Client {
    type Config = ClientConfig;
    type App = Opens;

    fn config(compressed: Compressed) -> ClientConfig {
        let mut config = ClientConfig::default();
        compressed.set(&mut config.transport.algorithms);
        config.transport.limits.requests_unanswered = 2 * CHANNELS;
        config
    }

    fn app() -> Opens {
        Opens::default()
    }

    fn make(config: ClientConfig) -> Result<Self, ConfigError> {
        Self::new(config, Box::new(SeededRandom::new(1)))
    }

    fn on(&mut self, app: &mut Opens, event: ClientEvent<'_>) -> Option<End> {
        match event {
            ClientEvent::Ended(end) => return Some(end),
            ClientEvent::HostKey { decision, .. } => self.trust(decision).expect("mine"),
            ClientEvent::Authenticate { token, .. } => self
                .authenticate(token, "alice", Credential::Password("secret"))
                .expect("mine"),
            ClientEvent::Authenticated { .. } => {
                for _ in 0..CHANNELS {
                    if self.open_session().is_err() {
                        self.disconnect(DisconnectReason::BY_APPLICATION, "no channel");
                        break;
                    }
                }
            }
            ClientEvent::Channel(event) => self.channel_event(app, event),
            _ => {}
        }
        None
    }

    fn raw() -> Raw {
        Raw::new(ssh_proto::Role::Server, true)
    }
}

trait OnChannel {
    type App;
    fn channel_event(&mut self, app: &mut Self::App, event: ChannelEvent<'_>);
}

impl OnChannel for Client {
    type App = Opens;

    fn channel_event(&mut self, app: &mut Opens, event: ChannelEvent<'_>) {
        match event {
            ChannelEvent::Opened { channel } => {
                app.opened += 1;
                let mut handle = self.channel(channel).expect("just opened");
                if handle.exec(b"cat", Reply::Wanted).is_err() {
                    return self.disconnect(DisconnectReason::BY_APPLICATION, "no request");
                }
                if app.opened == 1 {
                    app.sent += handle.send(&SENT).expect("open");
                } else {
                    handle.eof().expect("open");
                }
                if app.opened == CHANNELS / 2 {
                    // What the other half is answered with waits for new keys.
                    self.rekey().expect("authenticated");
                }
            }
            ChannelEvent::Writable { channel } => {
                let mut handle = self.channel(channel).expect("blocked");
                app.sent += handle.send(&SENT[app.sent..]).expect("open");
                if app.sent == DATA {
                    handle.eof().expect("open");
                }
            }
            ChannelEvent::Data { channel, data, .. } => {
                let expected = &SENT[app.received..];
                assert!(expected.starts_with(data), "altered at {}", app.received);
                app.received += data.len();
                let mut handle = self.channel(channel).expect("it has data");
                handle.release(data.len()).expect("it was received");
                if app.received == DATA {
                    // Where all was accepted at once there is no `Writable`.
                    let _ = handle.eof();
                }
            }
            ChannelEvent::Closed { .. } => {
                app.closed += 1;
                if app.closed == CHANNELS {
                    self.disconnect(DisconnectReason::BY_APPLICATION, "done");
                }
            }
            _ => {}
        }
    }
}

/// A server that lets everybody in and sends back what it is sent.
#[derive(Default)]
pub(crate) struct Echoes {
    received: usize,
}

impl Side for Server {
    type Config = ServerConfig;
    type App = Echoes;

    fn config(compressed: Compressed) -> ServerConfig {
        let mut config = server_config();
        compressed.set(&mut config.transport.algorithms);
        config
    }

    fn app() -> Echoes {
        Echoes::default()
    }

    fn make(config: ServerConfig) -> Result<Self, ConfigError> {
        Self::new(config, Box::new(SeededRandom::new(2)))
    }

    fn on(&mut self, app: &mut Echoes, event: ServerEvent<'_>) -> Option<End> {
        match event {
            ServerEvent::Ended(end) => return Some(end),
            ServerEvent::Auth(AuthEvent::Password { decision, .. }) => {
                self.accept(decision).expect("mine");
            }
            ServerEvent::Channel(event) => self.channel_event(app, event),
            _ => {}
        }
        None
    }

    fn raw() -> Raw {
        Raw::new(ssh_proto::Role::Client, true)
    }
}

impl OnChannel for Server {
    type App = Echoes;

    fn channel_event(&mut self, app: &mut Echoes, event: ChannelEvent<'_>) {
        match event {
            ChannelEvent::OpenRequest { ticket, .. } => {
                // It is refused where there is no memory for it.
                let _ = self.accept_channel(ticket);
            }
            ChannelEvent::Request { ticket, .. } => {
                self.accept_request(ticket).expect("mine");
            }
            ChannelEvent::Data { channel, data, .. } => {
                let expected = &SENT[app.received..];
                assert!(expected.starts_with(data), "altered at {}", app.received);
                app.received += data.len();
                let mut handle = self.channel(channel).expect("it has data");
                handle.send(data).expect("open");
                handle.release(data.len()).expect("it was received");
            }
            ChannelEvent::Eof { channel } => {
                let mut handle = self.channel(channel).expect("open");
                handle.eof().expect("open");
                handle.exit(Exit::Status(0)).expect("open");
                handle.close().expect("open");
            }
            _ => {}
        }
    }
}

struct Both(Opens, Echoes);

impl App for Both {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, _now: Instant) {
        client.on(&mut self.0, event);
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, _now: Instant) {
        server.on(&mut self.1, event);
    }
}

/// What client and server say to each other when there is enough memory.
pub(crate) fn record(compressed: Compressed) -> [Vec<u8>; 2] {
    let client = <Client as Side>::make(<Client as Side>::config(compressed)).expect("a client");
    let server = <Server as Side>::make(<Server as Side>::config(compressed)).expect("a server");
    let mut pair = Pair::of(3, client, server).recorded();
    let mut app = Both(Client::app(), Server::app());
    assert!(pair.run(&mut app));
    assert_eq!((app.0.closed, app.0.received), (CHANNELS, DATA));
    [pair.up, pair.down].map(|link| link.transcript.expect("recorded"))
}

/// What makes a subject that has not authenticated its peer use as much memory as it can.
pub(crate) fn hostile<S: Side>() -> Vec<u8> {
    let mut raw = S::raw();
    if raw.role == ssh_proto::Role::Server {
        for length in [8000, 5000, 4096] {
            raw.bytes(&vec![b'x'; length]);
            raw.bytes(b"\r\n");
        }
    }
    raw.identify();
    for list in &mut raw.offer.lists[..8] {
        for n in 0..600 {
            list.push_str(&format!(",{n:06}"));
        }
    }
    raw.kexinit();
    raw.take_output()
}
