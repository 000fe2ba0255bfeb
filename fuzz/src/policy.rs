//! The application of a fuzzed connection: what it answers and does is decided by bytes. Where
//! they have run out it is friendly: it trusts, lets in, accepts and releases.

use arbitrary::Unstructured;
use ssh_proto::client::{Client, ClientEvent, Credential, Probe};
use ssh_proto::config::{ClientConfig, HostKey, Keepalive, Methods, ServerConfig, TransportConfig};
use ssh_proto::error::Misuse;
use ssh_proto::key::PrivateKey;
use ssh_proto::message::{
    ChannelOpenFailureReason, ChannelRequestType, DisconnectReason, GlobalRequestType,
    TerminalModes, TerminalSize,
};
use ssh_proto::mux::{Exit, GlobalTicket, OpenTicket, Reply, RequestTicket, Stream};
use ssh_proto::server::{AuthEvent, Server, ServerEvent};
use ssh_proto::{
    ChannelEvent, ChannelId, GlobalEvent, Instant, Peer, PeerEvent, SendSide, algorithm,
};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::random::Fixed;

/// `Limits::window` and `Limits::window_total` where the limits are small.
const SMALL_WINDOW: u32 = 4096;
const SMALL_TOTAL: u16 = 8192;

/// What an application decides with and remembers.
#[derive(Debug)]
pub(crate) struct Policy<'u> {
    pub(crate) choices: Unstructured<'u>,
    /// Ids of channels, the stale ones too.
    pub(crate) channels: Vec<ChannelId>,
    pub(crate) tickets: Vec<AnyTicket>,
    /// Keeps every ticket, to show it to another connection.
    pub(crate) hoards: bool,
    /// What was received on each channel and not released.
    unreleased: BTreeMap<ChannelId, usize>,
    /// What the window of a channel may grow to.
    pub(crate) window: usize,
}

#[derive(Debug)]
pub(crate) enum AnyTicket {
    Open(OpenTicket),
    Request(RequestTicket),
    Global(GlobalTicket),
}

/// A connection that can be fuzzed.
pub(crate) trait Driven: Peer {
    /// With the configuration that the bits of `config` stand for.
    fn make(config: u8) -> Self;
    /// Answers an event of its role.
    fn answer(&mut self, event: PeerEvent<'_>, policy: &mut Policy<'_>);
}

impl<'u> Policy<'u> {
    pub(crate) fn new(choices: &'u [u8]) -> Self {
        Self {
            choices: Unstructured::new(choices),
            channels: Vec::new(),
            tickets: Vec::new(),
            hoards: false,
            unreleased: BTreeMap::new(),
            window: usize::MAX,
        }
    }

    pub(crate) fn friendly() -> Self {
        Self::new(&[])
    }

    /// One of `n` choices; 0 is the friendly one.
    pub(crate) fn choose(&mut self, n: u8) -> u8 {
        self.choices.arbitrary::<u8>().unwrap_or(0) % n
    }

    /// To a ticket: 0 accept, 1 refuse, 2 keep it, 3 ignore it.
    fn choose_answer(&mut self) -> u8 {
        if self.hoards { 2 } else { self.choose(4) }
    }

    fn keep(&mut self, send: &mut SendSide, ticket: AnyTicket) {
        let _ = match &ticket {
            AnyTicket::Open(ticket) => send.defer(ticket),
            AnyTicket::Request(ticket) => send.defer(ticket),
            AnyTicket::Global(ticket) => send.defer(ticket),
        };
        self.tickets.push(ticket);
    }

    fn released(&mut self, channel: ChannelId, n: usize) {
        let unreleased = self.unreleased.entry(channel).or_default();
        *unreleased = unreleased.saturating_sub(n);
    }

    fn reply(&mut self) -> Reply {
        match self.choose(2) {
            0 => Reply::Wanted,
            _ => Reply::NotWanted,
        }
    }

    fn channel(&mut self) -> Option<ChannelId> {
        let n = usize::from(self.choose(255));
        let len = self.channels.len();
        (len > 0).then(|| self.channels[n % len])
    }

    fn on_channel(&mut self, send: &mut SendSide, event: ChannelEvent<'_>) {
        match event {
            ChannelEvent::OpenRequest { ticket, .. } => match self.choose_answer() {
                0 => self.answer_ticket(send, AnyTicket::Open(ticket)),
                1 => {
                    let reason = ChannelOpenFailureReason::ADMINISTRATIVELY_PROHIBITED;
                    let _ = send.reject_channel(ticket, reason, "no");
                }
                2 => {
                    self.keep(send, AnyTicket::Open(ticket));
                }
                _ => drop(ticket),
            },
            ChannelEvent::Request { ticket, .. } => match self.choose_answer() {
                0 => self.answer_ticket(send, AnyTicket::Request(ticket)),
                1 => {
                    let _ = send.refuse_request(ticket);
                }
                2 => {
                    self.keep(send, AnyTicket::Request(ticket));
                }
                _ => drop(ticket),
            },
            ChannelEvent::Opened { channel } => {
                self.channels.push(channel);
                if self.choose(2) == 0 {
                    let Ok(mut channel) = send.channel(channel) else {
                        panic!("a channel that has just been opened");
                    };
                    let _ = channel.exec(b"echo", Reply::Wanted);
                }
            }
            ChannelEvent::Data { channel, data, .. } => self.on_data(send, channel, data),
            ChannelEvent::Closed { channel, .. } => {
                self.unreleased.remove(&channel);
                let gone = send.channel(channel).map(drop);
                assert!(
                    matches!(gone, Err(Misuse::NoSuchChannel | Misuse::Ended)),
                    "{gone:?}"
                );
            }
            _ => {}
        }
    }

    fn on_data(&mut self, send: &mut SendSide, id: ChannelId, data: &[u8]) {
        let unreleased = self.unreleased.entry(id).or_default();
        *unreleased += data.len();
        assert!(*unreleased <= self.window, "{unreleased} bytes in a window");
        let choice = self.choose(4);
        let Ok(mut channel) = send.channel(id) else {
            return;
        };
        match choice {
            0 => {
                assert_eq!(channel.release(data.len()), Ok(()), "it was received");
                self.released(id, data.len());
            }
            1 => {
                let sent = channel.send(data).unwrap_or(0);
                assert_eq!(channel.release(sent), Ok(()), "it was received");
                self.released(id, sent);
            }
            2 => assert_eq!(channel.release(usize::MAX), Err(Misuse::ReleasedTooMuch)),
            _ => {}
        }
    }

    fn on_global(&mut self, send: &mut SendSide, event: GlobalEvent<'_>) {
        let GlobalEvent::Request { ticket, .. } = event else {
            return;
        };
        match self.choose_answer() {
            0 => self.answer_ticket(send, AnyTicket::Global(ticket)),
            1 => {
                let _ = send.refuse_global(ticket);
            }
            2 => {
                self.keep(send, AnyTicket::Global(ticket));
            }
            _ => drop(ticket),
        }
    }

    /// Says yes, perhaps too late.
    fn answer_ticket(&mut self, send: &mut SendSide, ticket: AnyTicket) {
        match ticket {
            AnyTicket::Open(ticket) => {
                if let Ok(id) = send.accept_channel(ticket) {
                    self.channels.push(id);
                }
            }
            AnyTicket::Request(ticket) => {
                let _ = send.accept_request(ticket);
            }
            AnyTicket::Global(ticket) => {
                let _ = send.accept_global(ticket, b"\x00\x00\x00\x16");
            }
        }
    }

    /// Something that no event asks for.
    pub(crate) fn act(&mut self, send: &mut SendSide) {
        match self.choose(16) {
            0 => {
                if let Ok(id) = send.open_session() {
                    self.channels.push(id);
                }
            }
            1 => {
                let open = send.open_direct_tcpip("localhost", 80, ("::1", 1));
                self.channels.extend(open);
            }
            2 => {
                let _ = send.rekey();
            }
            3 => {
                let _ = send.ping(b"ping");
            }
            4 => {
                let _ = send.ignore(&[0; 100]);
            }
            5 => {
                let request = match self.choose(5) {
                    0 => GlobalRequestType::TcpipForward {
                        address_to_bind: b"",
                        port_number_to_bind: u32::from(self.choose(3)),
                    },
                    1 => GlobalRequestType::CancelTcpipForward {
                        address_to_bind: b"",
                        port_number_to_bind: u32::from(self.choose(3)),
                    },
                    2 => GlobalRequestType::Keepalive,
                    3 => GlobalRequestType::NoMoreSessions,
                    _ => GlobalRequestType::Unknown {
                        name: "ask@example.com",
                        data: b"",
                    },
                };
                let _ = send.global_request(request, self.reply());
            }
            6 => {
                if let Some(ticket) = self.tickets.pop() {
                    self.answer_ticket(send, ticket);
                }
            }
            7 if self.choose(4) == 3 => send.disconnect(DisconnectReason::BY_APPLICATION, "bye"),
            _ => self.act_on_channel(send),
        }
    }

    fn act_on_channel(&mut self, send: &mut SendSide) {
        let Some(id) = self.channel() else { return };
        let choice = self.choose(14);
        let reply = self.reply();
        let n = usize::from(self.choose(255));
        let Ok(mut channel) = send.channel(id) else {
            return;
        };
        let size = TerminalSize {
            columns: 80,
            rows: 24,
            ..TerminalSize::default()
        };
        match choice {
            0 => {
                let sendable = channel.sendable();
                let data = vec![1; n * n];
                if let Ok(sent) = channel.send(&data) {
                    assert!(sent <= data.len());
                    assert!(sent <= sendable, "{sent} of {sendable}");
                }
            }
            1 => {
                let _ = channel.send_on(Stream::STDERR, &[2; 9][..n.min(9)]);
            }
            2 => {
                let _ = channel.eof();
            }
            3 => {
                let _ = channel.close();
            }
            4 => {
                if channel.release(n).is_ok() {
                    self.released(id, n);
                }
            }
            5 => {
                let _ = channel.set_interactive();
            }
            6 => {
                let _ = channel.pty(b"xterm", size, TerminalModes::EMPTY, reply);
            }
            7 => {
                let _ = channel.env(b"LANG", b"C", reply);
            }
            8 => {
                let _ = channel.shell(reply);
            }
            9 => {
                let _ = channel.request(ChannelRequestType::Keepalive, reply);
            }
            10 => {
                let _ = channel.window_change(size);
            }
            11 => {
                let _ = channel.exit(Exit::Status(1));
            }
            12 => {
                // A slot that is dropped never was.
                if let Ok(mut slot) = channel.reserve(n) {
                    slot.room().fill(3);
                }
            }
            _ => {
                if let Ok(mut slot) = channel.reserve(n) {
                    slot.room().fill(4);
                    slot.commit(n / 2);
                }
            }
        }
    }

    /// Whatever concerns both roles.
    fn on_common(&mut self, send: &mut SendSide, event: PeerEvent<'_>) {
        match event {
            PeerEvent::Channel(event) => self.on_channel(send, event),
            PeerEvent::Global(event) => self.on_global(send, event),
            _ => {}
        }
    }
}

/// Tickets of another connection change nothing.
pub(crate) fn assert_strangers_ticket_is_refused(send: &mut SendSide, ticket: AnyTicket) {
    let answered = match ticket {
        AnyTicket::Open(ticket) => send.accept_channel(ticket).map(drop),
        AnyTicket::Request(ticket) => send.accept_request(ticket),
        AnyTicket::Global(ticket) => send.accept_global(ticket, b""),
    };
    assert!(
        matches!(answered, Err(Misuse::Token | Misuse::Ended)),
        "{answered:?}"
    );
}

fn host_key() -> PrivateKey {
    PrivateKey::from_ed25519_seed(&[1; 32])
}

fn user_key() -> PrivateKey {
    PrivateKey::from_ed25519_seed(&[2; 32])
}

impl Driven for Client {
    fn make(config: u8) -> Self {
        let mut client = ClientConfig::default();
        transport(&mut client.transport, config);
        client.require_credential = config & 64 != 0;
        client.channel_types = vec!["x11".into()];
        match Self::new(client, Box::new(Fixed(1))) {
            Ok(client) => client,
            Err(error) => panic!("{error}"),
        }
    }

    fn answer(&mut self, event: PeerEvent<'_>, policy: &mut Policy<'_>) {
        let event = match event {
            PeerEvent::Client(event) => event,
            common => return policy.on_common(self, common),
        };
        match event {
            ClientEvent::HostKey { decision, .. } => {
                let answered = match policy.choose(8) {
                    7 => return drop(decision),
                    6 => self.distrust(decision),
                    _ => self.trust(decision),
                };
                assert_eq!(answered, Ok(()));
            }
            ClientEvent::Authenticate { token, .. } => {
                let key = user_key();
                let credential = match policy.choose(9) {
                    0 | 1 => Credential::Password("secret"),
                    2 => Credential::None,
                    3 => Credential::PrivateKey(&key),
                    4 => Credential::PublicKey {
                        key: key.public_key().clone(),
                        probe: Probe::First,
                    },
                    5 => Credential::PublicKey {
                        key: key.public_key().clone(),
                        probe: Probe::Skip,
                    },
                    6 => Credential::NewPassword {
                        old: "secret",
                        new: "secret2",
                    },
                    7 => return drop(token),
                    _ => return self.disconnect(DisconnectReason::BY_APPLICATION, "no more"),
                };
                assert_eq!(self.authenticate(token, "alice", credential), Ok(()));
            }
            ClientEvent::Sign(request) => {
                let answered = match policy.choose(4) {
                    0 => match user_key().sign(request.algorithm, &request.data, &mut Fixed(3)) {
                        Ok(signature) => self.signed(request, &signature),
                        Err(_) => self.not_signed(request),
                    },
                    1 => self.signed(request, b"no signature"),
                    2 => self.not_signed(request),
                    _ => return drop(request),
                };
                assert_eq!(answered, Ok(()));
            }
            ClientEvent::Authenticated { .. } if policy.choose(2) == 0 => {
                policy.channels.extend(self.open_session());
            }
            _ => {}
        }
    }
}

impl Driven for Server {
    fn make(config: u8) -> Self {
        let mut server = ServerConfig::default();
        transport(&mut server.transport, config);
        server.banner = "hello\n".into();
        server.host_keys = vec![match config & 64 {
            0 => HostKey::Private(host_key().into()),
            _ => HostKey::External(host_key().public_key().clone()),
        }];
        match Self::new(server, Box::new(Fixed(2))) {
            Ok(server) => server,
            Err(error) => panic!("{error}"),
        }
    }

    fn answer(&mut self, event: PeerEvent<'_>, policy: &mut Policy<'_>) {
        let event = match event {
            PeerEvent::Server(event) => event,
            common => return policy.on_common(self, common),
        };
        let answered = match event {
            ServerEvent::Sign(request) => match policy.choose(8) {
                7 => return drop(request),
                6 => self.not_signed(request),
                5 => self.signed(request, b"no signature"),
                _ => match host_key().sign(request.algorithm, &request.data, &mut Fixed(3)) {
                    Ok(signature) => self.signed(request, &signature),
                    Err(_) => self.not_signed(request),
                },
            },
            ServerEvent::Auth(AuthEvent::KeyOffered { offer, .. }) => match policy.choose(4) {
                0 | 1 => self.invite(offer),
                2 => self.decline(offer),
                _ => return drop(offer),
            },
            ServerEvent::Auth(
                AuthEvent::None { decision, .. }
                | AuthEvent::Password { decision, .. }
                | AuthEvent::KeyProven { decision, .. },
            ) => match policy.choose(5) {
                0 => self.accept(decision),
                1 => self.reject(decision),
                2 => self.accept_partially(decision, Methods::PASSWORD),
                3 => self.accept_partially(decision, Methods::NONE),
                _ => return drop(decision),
            },
            _ => return,
        };
        assert_eq!(answered, Ok(()));
    }
}

/// Bit 0: small limits. 1: guess. 2: strict key exchange required. 3: keepalive. 4, 5: the cipher.
/// 6: depends on the role. 7: the post-quantum method, which is slow.
fn transport(transport: &mut TransportConfig, config: u8) {
    use algorithm::{CipherAlgorithm as Cipher, KexAlgorithm, MacAlgorithm as Mac};
    if config & 1 != 0 {
        let limits = &mut transport.limits;
        limits.channels = 3;
        limits.window = SMALL_WINDOW;
        limits.window_total = SMALL_TOTAL.into();
        limits.maximum_packet = 1024;
        limits.tickets = 2;
        limits.requests_unanswered = 2;
        limits.held = 1024;
        limits.output = 2048;
        limits.control = 35_000;
        limits.banner = 8;
        limits.rekey_packets = 64;
        limits.rekey_bytes = 32 * 1024;
    }
    transport.guess = config & 2 != 0;
    transport.require_strict_kex = config & 4 != 0;
    if config & 8 != 0 {
        transport.deadlines.keepalive = Some(Keepalive {
            interval: Duration::from_secs(10),
            count: 2,
        });
    }
    let (cipher, mac) = match config >> 4 & 3 {
        0 => (Cipher::Aes256Gcm, Mac::HmacSha256),
        1 => (Cipher::ChaCha20Poly1305, Mac::HmacSha256),
        2 => (Cipher::Aes128Ctr, Mac::HmacSha256Etm),
        _ => (Cipher::Aes256Ctr, Mac::HmacSha512),
    };
    let algorithms = &mut transport.algorithms;
    algorithms.ciphers_client_to_server = vec![cipher];
    algorithms.ciphers_server_to_client = vec![cipher];
    algorithms.macs_client_to_server = vec![mac];
    algorithms.macs_server_to_client = vec![mac];
    if config & 128 == 0 {
        algorithms.kex = vec![KexAlgorithm::Curve25519Sha256];
    }
}

/// `Limits::window_total` of a configuration: no window can grow further.
pub(crate) const fn window(config: u8) -> usize {
    if config & 1 != 0 {
        SMALL_TOTAL as usize
    } else {
        16 << 20
    }
}

/// The instant after `by`.
pub(crate) fn after(now: Instant, by: Duration) -> Instant {
    Instant::new(now.since_epoch().saturating_add(by))
}
