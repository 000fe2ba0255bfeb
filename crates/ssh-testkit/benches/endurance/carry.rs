//! Any amount of data through one connection in memory, compared byte by byte where it arrives, with
//! new keys every 64 MiB: a third of it up, a third down, and a third over sixteen channels both
//! ways at once.

use ssh_proto::client::{ClientEvent, Credential};
use ssh_proto::config::{ClientConfig, HostKey, ServerConfig};
use ssh_proto::key::PrivateKey;
use ssh_proto::mux::ChannelEvent;
use ssh_proto::server::{AuthEvent, ServerEvent};
use ssh_proto::{
    ChannelId, Client, Instant, Peer, PeerEvent, RecvBuf, Server, TransportEvent, Wants,
};
use ssh_testkit::alloc::{Usage, measure};
use ssh_testkit::rng::SeededRandom;

/// Keys are exchanged after so many bytes.
pub(crate) const REKEY: u64 = 64 << 20;
/// Channels of the last third.
const MANY: usize = 16;
/// What a stream repeats: prime, so that no packet boundary falls into step with it.
const PERIOD: usize = 1_048_573;
/// The longest piece that is sent or compared at a time.
const PIECE: usize = 64 * 1024;

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Carried {
    /// Bytes that arrived and were compared.
    pub(crate) bytes: u64,
    /// Key exchanges, the first included.
    pub(crate) exchanges: u64,
    /// What the two connections and their buffers held at the most.
    pub(crate) peak: i64,
    /// And hold.
    pub(crate) live: i64,
}

/// The numbers that all streams are made of.
struct Pattern(Vec<u8>);

impl Pattern {
    fn new() -> Self {
        let mut bytes = vec![0; PERIOD];
        SeededRandom::new(0x100_61b).fill(&mut bytes);
        bytes.extend_from_within(..PIECE);
        Self(bytes)
    }

    /// At most a piece of stream `stream` from `at` on.
    fn piece(&self, stream: usize, at: u64, n: usize) -> &[u8] {
        let start = (at + stream as u64 * 65_537) % PERIOD as u64;
        &self.0[start as usize..][..n.min(PIECE)]
    }
}

/// One end of one direction of one channel.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    id: Option<ChannelId>,
    to_send: u64,
    sent: u64,
    received: u64,
}

/// One side.
struct Side<P> {
    peer: P,
    rx: RecvBuf,
    /// Room for all of them from the beginning.
    flows: Vec<Flow>,
    /// The other side's streams have other numbers.
    streams: (usize, usize),
    exchanges: u64,
}

/// Answers what is asked before the user is in.
trait Decides: Peer {
    fn decide(&mut self, event: PeerEvent<'_>);
}

impl Decides for Client {
    fn decide(&mut self, event: PeerEvent<'_>) {
        match event {
            PeerEvent::Client(ClientEvent::HostKey { decision, .. }) => {
                self.trust(decision).expect("mine");
            }
            PeerEvent::Client(ClientEvent::Authenticate { token, .. }) => self
                .authenticate(token, "alice", Credential::Password("secret"))
                .expect("mine"),
            _ => {}
        }
    }
}

impl Decides for Server {
    fn decide(&mut self, event: PeerEvent<'_>) {
        if let PeerEvent::Server(ServerEvent::Auth(AuthEvent::Password { decision, .. })) = event {
            self.accept(decision).expect("mine");
        }
    }
}

impl<P: Decides> Side<P> {
    fn new(peer: P, streams: (usize, usize)) -> Self {
        Self {
            peer,
            rx: RecvBuf::with_size(128 * 1024),
            flows: Vec::with_capacity(2 * MANY),
            streams,
            exchanges: 0,
        }
    }

    /// Sends what there is room for.
    fn fill(&mut self, pattern: &Pattern) {
        for (n, flow) in self.flows.iter_mut().enumerate() {
            let Some(id) = flow.id else { continue };
            while flow.sent < flow.to_send {
                let left = usize::try_from(flow.to_send - flow.sent).unwrap_or(PIECE);
                let piece = pattern.piece(self.streams.0 + n, flow.sent, left);
                let mut channel = self.peer.channel(id).expect("open");
                let sent = channel.send(piece).expect("open");
                flow.sent += sent as u64;
                if sent == 0 {
                    break;
                }
            }
        }
    }

    /// Takes a read of `from`'s output. Says whether there was any.
    fn take<Q: Decides>(&mut self, from: &mut Side<Q>) -> bool {
        let Wants::Bytes(need) = self.peer.wants() else {
            return false;
        };
        let output = from.peer.output();
        let spare = self.rx.spare(need);
        let n = output.len().min(spare.len());
        spare[..n].copy_from_slice(&output[..n]);
        self.rx.filled(n);
        from.peer.consume_output(n);
        n > 0
    }

    /// Handles the events that there are. Says whether there were any.
    fn events(&mut self, pattern: &Pattern) -> bool {
        let mut any = false;
        loop {
            let Self {
                peer,
                rx,
                flows,
                streams,
                exchanges,
            } = self;
            while let Some(event) = peer.poll_event(&mut rx.batch(), Instant::EPOCH) {
                any = true;
                match event.into() {
                    PeerEvent::Channel(ChannelEvent::Data { channel, data, .. }) => {
                        let n = flows.iter().position(|flow| flow.id == Some(channel));
                        let n = n.expect("a channel of ours");
                        let flow = &mut flows[n];
                        let want = pattern.piece(streams.1 + n, flow.received, data.len());
                        assert!(want == data, "channel {n} differs near {}", flow.received);
                        flow.received += data.len() as u64;
                        let mut handle = peer.channel(channel).expect("it has data");
                        handle.release(data.len()).expect("it was received");
                    }
                    PeerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) => {
                        let id = peer.accept_channel(ticket).expect("mine");
                        flows.push(Flow {
                            id: Some(id),
                            ..Flow::default()
                        });
                    }
                    PeerEvent::Transport(TransportEvent::KeysExchanged) => *exchanges += 1,
                    PeerEvent::Ended(end) => panic!("{end:?}"),
                    other => peer.decide(other),
                }
            }
            if self.peer.wants() != Wants::Batch {
                return any;
            }
        }
    }

    /// Nothing is left to be sent, and so much has come.
    fn is_done(&self, expected: u64) -> bool {
        let sent = self.flows.iter().all(|flow| flow.sent == flow.to_send);
        sent && self.flows.iter().map(|flow| flow.received).sum::<u64>() == expected
    }
}

/// A client and a server, logged in.
struct Pair {
    client: Side<Client>,
    server: Side<Server>,
    pattern: Pattern,
    /// What arrived at the client and at the server.
    down: u64,
    up: u64,
}

impl Pair {
    fn new(pattern: Pattern) -> Self {
        let mut client = ClientConfig::default();
        client.transport.limits.rekey_bytes = REKEY;
        let mut server = ServerConfig::default();
        server.transport.limits.rekey_bytes = REKEY;
        server.host_keys = vec![HostKey::Private(
            PrivateKey::from_ed25519_seed(&[1; 32]).into(),
        )];
        let client = Client::new(client, Box::new(SeededRandom::new(1))).expect("a client");
        let server = Server::new(server, Box::new(SeededRandom::new(2))).expect("a server");
        Self {
            client: Side::new(client, (0, 100)),
            server: Side::new(server, (100, 0)),
            pattern,
            down: 0,
            up: 0,
        }
    }

    /// Everything that can be done now. Says whether that was anything.
    fn turn(&mut self) -> bool {
        self.client.fill(&self.pattern);
        self.server.fill(&self.pattern);
        let mut busy = self.client.events(&self.pattern);
        busy |= self.server.events(&self.pattern);
        busy |= self.server.take(&mut self.client);
        busy |= self.server.events(&self.pattern);
        busy |= self.client.take(&mut self.server);
        busy |= self.client.events(&self.pattern);
        busy
    }

    fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            assert!(self.turn() || done(self), "nothing moves");
        }
    }

    fn open(&mut self) {
        let id = self.client.peer.open_session().expect("room");
        self.client.flows.push(Flow {
            id: Some(id),
            ..Flow::default()
        });
    }

    /// So much more, over so many channels, up and down.
    fn carry(&mut self, channels: usize, up: u64, down: u64) {
        while self.client.flows.len() < channels {
            self.open();
        }
        self.run_until(|pair| pair.server.flows.len() == pair.client.flows.len());
        let share = |all: u64| all / channels as u64;
        for flow in self.client.flows.iter_mut().take(channels) {
            flow.to_send += share(up);
        }
        for flow in self.server.flows.iter_mut().take(channels) {
            flow.to_send += share(down);
        }
        self.up += share(up) * channels as u64;
        self.down += share(down) * channels as u64;
        self.run_until(|pair| pair.client.is_done(pair.down) && pair.server.is_done(pair.up));
    }
}

/// Carries about so many bytes; `report` hears of each `step`.
pub(crate) fn run(bytes: u64, step: u64, mut report: impl FnMut(&Carried)) -> Carried {
    let pattern = Pattern::new();
    let mut total = Carried::default();
    let note = |total: &mut Carried, usage: Usage| {
        total.peak = total.peak.max(total.live + usage.peak);
        total.live += usage.live;
    };
    let (mut pair, usage) = measure(|| {
        let mut pair = Pair::new(pattern);
        pair.run_until(|pair| pair.client.peer.is_authenticated());
        pair
    });
    note(&mut total, usage);
    // The pattern was there before.
    while total.bytes < bytes {
        let next = step.min(bytes - total.bytes);
        let now = total.bytes * 3 / bytes.max(1);
        let ((), usage) = measure(|| match now {
            0 => pair.carry(1, next, 0),
            1 => pair.carry(1, 0, next),
            _ => pair.carry(MANY, next / 2, next / 2),
        });
        note(&mut total, usage);
        let arrived = pair.up + pair.down;
        if arrived == total.bytes {
            break;
        }
        total.bytes = arrived;
        total.exchanges = pair.server.exchanges;
        report(&total);
    }
    total
}
