//! Two connections in memory, each worked by a function of its own, so that the work of either role
//! can be timed and counted alone; and what a server has sent, to be opened again and again.
//!
//! Everything follows from a seed. A client that is made anew and given the recorded bytes draws
//! the same ephemeral key, has the same session and opens the same packets.

use std::sync::{Arc, LazyLock};

use ssh_proto::algorithm::{CipherAlgorithm, CompressionAlgorithm, KexAlgorithm, MacAlgorithm};
use ssh_proto::client::Credential;
use ssh_proto::config::{HostKey, TransportConfig};
use ssh_proto::fuzzing;
use ssh_proto::key::PrivateKey;
use ssh_proto::mux::Reply;
use ssh_proto::recv::Consumed;
use ssh_proto::server::AuthEvent;
use ssh_proto::{
    Batch, ChannelEvent, ChannelId, Client, ClientConfig, ClientEvent, GlobalEvent, Instant,
    RecvBuf, Server, ServerConfig, ServerEvent,
};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{key, transient_rsa};

const NOW: Instant = Instant::EPOCH;
/// What the client's randomness is made of.
pub(crate) const CLIENT_SEED: u64 = 1;
const SERVER_SEED: u64 = 2;

/// A cipher and, where it needs one, a MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Protection {
    pub(crate) cipher: CipherAlgorithm,
    pub(crate) mac: Option<MacAlgorithm>,
}

impl Protection {
    pub(crate) const AES128_GCM: Self = Self {
        cipher: CipherAlgorithm::Aes128Gcm,
        mac: None,
    };

    /// Every one there is.
    pub(crate) fn all() -> Vec<Self> {
        let modes = fuzzing::modes().into_iter();
        modes.map(|(cipher, mac)| Self { cipher, mac }).collect()
    }

    pub(crate) fn name(self) -> String {
        let cipher = self.cipher.name();
        self.mac.map_or_else(
            || cipher.to_owned(),
            |mac| format!("{cipher} + {}", mac.name()),
        )
    }

    pub(crate) fn tag_len(self) -> usize {
        let mac = self.mac.map_or(0, MacAlgorithm::tag_len);
        self.cipher.aead_tag_len().unwrap_or(mac)
    }

    /// The size on the wire of a packet with so much data of a channel (RFC 4253 section 6).
    pub(crate) fn packet_len(self, data: usize) -> usize {
        let clear = if self.mac.is_some_and(|mac| !mac.is_etm()) {
            0
        } else {
            4
        };
        let (block, least) = (self.cipher.block_len(), 4 + 1 + 9 + data + 4);
        clear + (least - clear).next_multiple_of(block) + self.tag_len()
    }

    fn apply(self, transport: &mut TransportConfig) {
        let algorithms = &mut transport.algorithms;
        algorithms.ciphers_client_to_server = vec![self.cipher];
        algorithms.ciphers_server_to_client = vec![self.cipher];
        if let Some(mac) = self.mac {
            algorithms.macs_client_to_server = vec![mac];
            algorithms.macs_server_to_client = vec![mac];
        }
    }
}

/// How two ends are set up.
#[derive(Clone)]
pub(crate) struct Setup {
    client: ClientConfig,
    server: ServerConfig,
    /// A session is opened after authentication.
    session: bool,
}

impl Setup {
    pub(crate) fn new(protection: Protection) -> Self {
        let (mut client, mut server) = (ClientConfig::default(), ServerConfig::default());
        protection.apply(&mut client.transport);
        protection.apply(&mut server.transport);
        server.host_keys = vec![HostKey::Private(Arc::new(key(1)))];
        Self {
            client,
            server,
            session: true,
        }
    }

    /// With a method whose secret [`Bare`](super::bare) can compute again.
    pub(crate) fn classical(mut self) -> Self {
        self.client.transport.algorithms.kex = vec![KexAlgorithm::Curve25519Sha256];
        self
    }

    /// With this method of key exchange and no other.
    pub(crate) fn exchanging(mut self, kex: KexAlgorithm) -> Self {
        self.client.transport.algorithms.kex = vec![kex];
        self.server.transport.algorithms.kex = vec![kex];
        self.server.transient_rsa = Some(transient_rsa());
        self
    }

    /// Credit without end, and keys for as long.
    pub(crate) fn boundless(mut self) -> Self {
        for transport in [&mut self.client.transport, &mut self.server.transport] {
            transport.limits.window = u32::MAX;
            transport.limits.window_total = 1 << 50;
            transport.limits.rekey_bytes = 1 << 50;
        }
        self
    }

    /// Compression at this level from the end of authentication on.
    pub(crate) fn compressed(mut self, level: u8) -> Self {
        for transport in [&mut self.client.transport, &mut self.server.transport] {
            let method = vec![CompressionAlgorithm::ZlibOpenSsh];
            transport.compression_level = level;
            transport.algorithms.compression_client_to_server = method.clone();
            transport.algorithms.compression_server_to_client = method;
        }
        self
    }

    /// Nothing after authentication.
    pub(crate) fn login_only(mut self) -> Self {
        self.session = false;
        self
    }
}

/// One side: a connection and its receive buffer.
pub(crate) struct Side<P> {
    pub(crate) peer: P,
    rx: RecvBuf,
    pub(crate) channel: Option<ChannelId>,
}

impl<P> Side<P> {
    const fn new(peer: P) -> Self {
        Self {
            peer,
            rx: RecvBuf::new(),
            channel: None,
        }
    }
}

static USER_KEY: LazyLock<PrivateKey> = LazyLock::new(|| key(7));

/// What is made once, before anything is counted.
pub(crate) fn prepare() {
    LazyLock::force(&USER_KEY);
}

/// Everything that a client does: begins, if it has not, takes `input`, and says what it has to.
#[inline(never)]
pub(crate) fn client_work(
    side: &mut Option<Side<Client>>,
    setup: &Setup,
    input: &[u8],
    out: &mut Vec<u8>,
) {
    let side = side.get_or_insert_with(|| {
        let random = Box::new(SeededRandom::new(CLIENT_SEED));
        Side::new(Client::new(setup.client.clone(), random).expect("a client"))
    });
    let Side { peer, rx, channel } = side;
    rx.push(input);
    while let Some(event) = peer.poll_event(&mut rx.batch(), NOW) {
        match event {
            ClientEvent::HostKey { decision, .. } => peer.trust(decision).expect("mine"),
            ClientEvent::Authenticate { token, .. } => peer
                .authenticate(token, "alice", Credential::PrivateKey(&USER_KEY))
                .expect("mine"),
            ClientEvent::Authenticated { .. } if setup.session => {
                *channel = Some(peer.open_session().expect("room"));
            }
            ClientEvent::Channel(ChannelEvent::Opened { channel }) => {
                let mut channel = peer.channel(channel).expect("open");
                channel.exec(b"true", Reply::NotWanted).expect("open");
            }
            ClientEvent::Channel(ChannelEvent::Data { channel, data, .. }) => {
                let mut channel = peer.channel(channel).expect("open");
                channel.release(data.len()).expect("received");
            }
            ClientEvent::Ended(end) => panic!("client: {end}"),
            _ => {}
        }
    }
    peer.take_output(out);
}

/// Everything that a server does.
#[inline(never)]
pub(crate) fn server_work(
    side: &mut Option<Side<Server>>,
    setup: &Setup,
    input: &[u8],
    out: &mut Vec<u8>,
) {
    let side = side.get_or_insert_with(|| {
        let random = Box::new(SeededRandom::new(SERVER_SEED));
        Side::new(Server::new(setup.server.clone(), random).expect("a server"))
    });
    let Side { peer, rx, channel } = side;
    rx.push(input);
    while let Some(event) = peer.poll_event(&mut rx.batch(), NOW) {
        match event {
            ServerEvent::Auth(AuthEvent::KeyProven { decision, .. }) => {
                peer.accept(decision).expect("mine");
            }
            ServerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) => {
                *channel = Some(peer.accept_channel(ticket).expect("mine"));
            }
            ServerEvent::Channel(ChannelEvent::Request { ticket, .. }) => {
                peer.accept_request(ticket).expect("mine");
            }
            ServerEvent::Global(GlobalEvent::Request { ticket, .. }) => {
                peer.accept_global(ticket, b"").expect("mine");
            }
            ServerEvent::Ended(end) => panic!("server: {end}"),
            _ => {}
        }
    }
    peer.take_output(out);
}

/// A client and a server, and all that the server has said.
pub(crate) struct Ends {
    setup: Setup,
    client: Option<Side<Client>>,
    server: Option<Side<Server>>,
    up: Vec<u8>,
    down: Vec<u8>,
    said: Vec<u8>,
}

impl Ends {
    /// Nobody has begun.
    pub(crate) const fn new(setup: Setup) -> Self {
        Self {
            setup,
            client: None,
            server: None,
            up: Vec::new(),
            down: Vec::new(),
            said: Vec::new(),
        }
    }

    /// Logged in, with a session where one was wanted.
    pub(crate) fn connected(setup: Setup) -> Self {
        let mut ends = Self::new(setup);
        ends.settle();
        ends
    }

    /// The client's turn: it is given what was said to it. Says whether anything came of it.
    pub(crate) fn client_turn(&mut self) -> bool {
        client_work(&mut self.client, &self.setup, &self.down, &mut self.up);
        !self.up.is_empty()
    }

    /// The server's turn.
    pub(crate) fn server_turn(&mut self) -> bool {
        server_work(&mut self.server, &self.setup, &self.up, &mut self.down);
        self.said.extend_from_slice(&self.down);
        !self.down.is_empty()
    }

    /// Turns until nobody has anything to say.
    pub(crate) fn settle(&mut self) {
        while self.client_turn() | self.server_turn() {}
    }

    pub(crate) fn is_authenticated(&self) -> bool {
        let client = self.client.as_ref().map(|client| &client.peer);
        client.is_some_and(|client| client.is_authenticated())
    }

    /// The server and its channel, to be sent over.
    pub(crate) fn sender(self) -> (Server, ChannelId) {
        let side = self.server.expect("connected");
        (side.peer, side.channel.expect("open"))
    }

    /// Both, and the channel of the server.
    pub(crate) fn parts(self) -> (Client, Server, ChannelId) {
        let client = self.client.expect("connected").peer;
        let server = self.server.expect("connected");
        (client, server.peer, server.channel.expect("open"))
    }

    /// Has the server send `packets` packets of `data` bytes each.
    pub(crate) fn record(mut self, data: usize, packets: usize) -> Recording {
        let handshake = self.said.len();
        let source = vec![0x5a; data];
        // What output has room for, framing included.
        let per_turn = (48 * 1024 / (data + 128)).max(1);
        let mut left = packets;
        while left > 0 {
            let server = self.server.as_mut().expect("connected");
            for _ in 0..per_turn.min(left) {
                let id = server.channel.expect("open");
                let mut channel = server.peer.channel(id).expect("open");
                assert_eq!(channel.send(&source), Ok(data), "credit or room is lacking");
                // Looking at the output ends the packet.
                assert!(!server.peer.output().is_empty());
                left -= 1;
            }
            self.settle();
        }
        let client = self.client.as_ref().expect("connected");
        Recording {
            session_id: client.peer.session_id().expect("connected").to_vec(),
            setup: self.setup,
            handshake,
            said: self.said,
        }
    }
}

/// What a server has said.
pub(crate) struct Recording {
    setup: Setup,
    pub(crate) session_id: Vec<u8>,
    /// Where the data begins.
    handshake: usize,
    said: Vec<u8>,
}

impl Recording {
    /// What was said before there was data.
    pub(crate) fn handshake(&self) -> &[u8] {
        &self.said[..self.handshake]
    }

    /// The packets with data and what stands between them.
    pub(crate) fn data(&self) -> &[u8] {
        &self.said[self.handshake..]
    }

    /// A client that has heard all but the data.
    pub(crate) fn client(&self) -> Client {
        let mut side = None;
        client_work(&mut side, &self.setup, self.handshake(), &mut Vec::new());
        side.expect("made").peer
    }
}

/// Opens all packets in `stream` where they lie, and lets the credit for them go.
#[inline(never)]
pub(crate) fn open_all(client: &mut Client, mut stream: &mut [u8]) -> usize {
    let (mut consumed, mut total) = (Consumed::default(), 0);
    while !stream.is_empty() {
        let mut batch = Batch::over(stream, &mut consumed);
        let event = client.poll_event(&mut batch, NOW);
        if let Some(ClientEvent::Channel(ChannelEvent::Data { channel, data, .. })) = event {
            total += data.len();
            let n = data.len();
            let mut channel = client.channel(channel).expect("open");
            channel.release(n).expect("received");
        }
        assert!(consumed.bytes() > 0, "not a packet");
        stream = &mut stream[consumed.bytes()..];
    }
    let n = client.output().len();
    client.consume_output(n);
    total
}

/// Seals `packets` packets of `data`, and drops the output after every `per_drain` of them.
#[inline(never)]
pub(crate) fn send_all(
    server: &mut Server,
    id: ChannelId,
    data: &[u8],
    packets: usize,
    per_drain: usize,
) {
    for n in 1..=packets {
        let mut channel = server.channel(id).expect("open");
        assert_eq!(channel.send(data), Ok(data.len()));
        drain(server, n.is_multiple_of(per_drain) || n == packets);
    }
}

/// As [`send_all`], but the data is taken to be where it was wanted already.
#[inline(never)]
pub(crate) fn reserve_all(
    server: &mut Server,
    id: ChannelId,
    data: usize,
    packets: usize,
    per_drain: usize,
) {
    for n in 1..=packets {
        let channel = server.channel(id).expect("open");
        let mut slot = channel.reserve(data).expect("open");
        assert_eq!(std::hint::black_box(slot.room()).len(), data);
        slot.commit(data);
        drain(server, n.is_multiple_of(per_drain) || n == packets);
    }
}

/// Looking at the output ends the packet.
fn drain(server: &mut Server, forget: bool) {
    let n = std::hint::black_box(server.output()).len();
    if forget {
        server.consume_output(n);
    }
}
