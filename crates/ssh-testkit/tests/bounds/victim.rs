//! A connection whose heap is counted: its own, its configuration's and its receive buffer's, and
//! nothing of the peer's or of the test's.
//!
//! It is driven as a driver does: input goes through `RecvBuf::spare`, no more of it than is asked
//! for while nothing is wanted, and output is taken only where the peer reads.

use std::time::Duration;

use ssh_proto::algorithm::CompressionAlgorithm;
use ssh_proto::client::{ClientEvent, Credential};
use ssh_proto::config::Limits;
use ssh_proto::message::{ChannelOpen, ChannelOpenConfirmation, ChannelOpenType, Wire};
use ssh_proto::mux::{GlobalTicket, OpenTicket, RequestTicket};
use ssh_proto::server::{AuthEvent, ServerEvent};
use ssh_proto::{
    ChannelEvent, ChannelId, Client, GlobalEvent, Instant, Peer, PeerEvent, RecvBuf, Role, Server,
    Wants,
};
use ssh_testkit::alloc::measure;
use ssh_testkit::raw::{Raw, Stage, Subject};

/// What was counted, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    pub(crate) live: i64,
    pub(crate) peak: i64,
}

impl Meter {
    fn run<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let (result, usage) = measure(work);
        self.peak = self.peak.max(self.live + usage.peak);
        self.live += usage.live;
        result
    }
}

/// What the application has in hand. It has room for all of it from the beginning.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) opens: Vec<OpenTicket>,
    pub(crate) requests: Vec<RequestTicket>,
    pub(crate) globals: Vec<GlobalTicket>,
    pub(crate) channels: Vec<ChannelId>,
    /// Says yes to requests at once, or takes its time.
    pub(crate) defers: bool,
    pub(crate) ended: Option<String>,
}

/// What the application does with the events of a role.
pub(crate) trait Decides: Subject {
    fn decide(&mut self, event: Self::Event<'_>, app: &mut App);
}

impl Decides for Client {
    fn decide(&mut self, event: ClientEvent<'_>, app: &mut App) {
        match event {
            ClientEvent::HostKey { decision, .. } => self.trust(decision).expect("mine"),
            ClientEvent::Authenticate { token, .. } => self
                .authenticate(token, "alice", Credential::Password("secret"))
                .expect("mine"),
            other => common(self, other.into(), app),
        }
    }
}

impl Decides for Server {
    fn decide(&mut self, event: ServerEvent<'_>, app: &mut App) {
        match event {
            ServerEvent::Auth(AuthEvent::None { decision, .. }) => {
                self.reject(decision).expect("mine");
            }
            ServerEvent::Auth(AuthEvent::Password {
                password, decision, ..
            }) => {
                let done = if password == b"secret" {
                    self.accept(decision)
                } else {
                    self.reject(decision)
                };
                done.expect("mine");
            }
            ServerEvent::Auth(AuthEvent::KeyOffered { offer, .. }) => {
                self.invite(offer).expect("mine");
            }
            other => common(self, other.into(), app),
        }
    }
}

fn common<P: Peer>(peer: &mut P, event: PeerEvent<'_>, app: &mut App) {
    match event {
        PeerEvent::Ended(end) => app.ended = Some(format!("{end:?}")),
        PeerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) if app.defers => {
            peer.defer(&ticket).expect("mine");
            app.opens.push(ticket);
        }
        PeerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) => {
            app.channels
                .push(peer.accept_channel(ticket).expect("mine"));
        }
        PeerEvent::Channel(ChannelEvent::Opened { channel }) => app.channels.push(channel),
        PeerEvent::Channel(ChannelEvent::Request { ticket, .. }) if app.defers => {
            peer.defer(&ticket).expect("mine");
            app.requests.push(ticket);
        }
        PeerEvent::Channel(ChannelEvent::Request { ticket, .. }) => {
            peer.accept_request(ticket).expect("mine");
        }
        PeerEvent::Global(GlobalEvent::Request { ticket, .. }) if app.defers => {
            peer.defer(&ticket).expect("mine");
            app.globals.push(ticket);
        }
        PeerEvent::Global(GlobalEvent::Request { ticket, .. }) => {
            peer.accept_global(ticket, b"\0\0\x1f\x90").expect("mine");
        }
        // Data is not released: the application does not get round to it.
        _ => {}
    }
}

/// The connection, and the peer that it has.
pub(crate) struct Victim<P: Decides> {
    pub(crate) meter: Meter,
    pub(crate) raw: Raw,
    pub(crate) app: App,
    /// Whether the peer reads.
    pub(crate) reads: bool,
    peer: Box<P>,
    rx: RecvBuf,
    /// So much of the output that waits is known to the peer although it was not read.
    known: usize,
}

impl<P: Decides> Victim<P> {
    pub(crate) fn new(set: impl FnOnce(&mut Limits)) -> Self {
        Self::compressed(set, CompressionAlgorithm::None)
    }

    /// Both sides want this compression and no other.
    pub(crate) fn compressed(
        set: impl FnOnce(&mut Limits),
        compression: CompressionAlgorithm,
    ) -> Self {
        let mut victim = Self::with(|| {
            let mut config = P::config();
            let transport = P::transport(&mut config);
            set(&mut transport.limits);
            let algorithms = &mut transport.algorithms;
            algorithms.compression_client_to_server = vec![compression];
            algorithms.compression_server_to_client = vec![compression];
            config
        });
        for slot in [6, 7] {
            victim.raw.offer.lists[slot] = compression.name().to_owned();
        }
        victim
    }

    /// With other settings, which are its own.
    pub(crate) fn with(config: impl FnOnce() -> P::Config) -> Self {
        let mut meter = Meter::default();
        let peer = meter.run(|| Box::new(P::make(config())));
        let raw = Raw::new(P::ROLE.peer(), true);
        Self {
            meter,
            raw,
            app: App {
                opens: Vec::with_capacity(100),
                requests: Vec::with_capacity(100),
                globals: Vec::with_capacity(100),
                channels: Vec::with_capacity(2000),
                defers: false,
                ended: None,
            },
            reads: true,
            peer,
            rx: RecvBuf::new(),
            known: 0,
        }
    }

    /// A peer that does everything right, until the connection waits for what `stage` brings.
    pub(crate) fn up_to(mut self, stage: Stage) -> Self {
        self.deliver();
        for step in Stage::ALL {
            if step == stage {
                break;
            }
            self.proper(step);
            self.deliver();
            if step == Stage::Method {
                self.agree();
            }
        }
        self
    }

    /// The rest of the messages of the method, until the secret is known.
    pub(crate) fn agree(&mut self) {
        for _ in 0..3 {
            if self.raw.has_agreed() || self.app.ended.is_some() {
                return;
            }
            self.raw.method();
            self.deliver();
        }
    }

    fn proper(&mut self, stage: Stage) {
        let client = P::ROLE == Role::Server;
        match stage {
            Stage::Line => self.raw.identify(),
            Stage::KexInit | Stage::Connected => self.raw.kexinit(),
            Stage::Method | Stage::RekeyMethod => self.raw.method(),
            Stage::NewKeys | Stage::RekeyNewKeys => self.raw.newkeys(),
            Stage::Service if client => self.raw.payload(b"\x05\0\0\0\x0cssh-userauth"),
            Stage::Service => self.raw.payload(b"\x06\0\0\0\x0cssh-userauth"),
            Stage::Auth if client => self.raw.payload(&super::peers::password(b"secret")),
            Stage::Auth => self.raw.payload(&[52]),
        }
    }

    /// Delivers what the peer has sent, as far as it is taken, and says how much of it was.
    pub(crate) fn deliver(&mut self) -> usize {
        let input = self.raw.take_output();
        self.feed(&input)
    }

    /// As [`deliver`](Self::deliver), all but the last `n` bytes.
    pub(crate) fn deliver_all_but(&mut self, n: usize) {
        let input = self.raw.take_output();
        self.feed(&input[..input.len() - n]);
    }

    pub(crate) fn feed(&mut self, input: &[u8]) -> usize {
        let mut rest = input;
        loop {
            self.poll();
            self.collect();
            if self.app.ended.is_some() {
                break;
            }
            let (peer, rx) = (&mut self.peer, &mut self.rx);
            match peer.wants() {
                Wants::Bytes(need) if !rest.is_empty() => {
                    let taken = self.meter.run(|| {
                        let spare = rx.spare(need);
                        let n = spare.len().min(rest.len());
                        spare[..n].copy_from_slice(&rest[..n]);
                        rx.filled(n);
                        n
                    });
                    rest = &rest[taken..];
                }
                Wants::Batch => {}
                _ => break,
            }
        }
        input.len() - rest.len()
    }

    fn poll(&mut self) {
        let Self {
            peer,
            rx,
            app,
            meter,
            ..
        } = self;
        while meter.run(|| {
            let event = peer.poll_event(&mut rx.batch(), Instant::EPOCH);
            event.map(|event| peer.decide(event, app)).is_some()
        }) {}
        // Timers are armed, and none of them runs out.
        meter.run(|| peer.poll_timeout(Instant::EPOCH));
    }

    /// The peer reads what waits, or does not. Either way it knows what it says: how far it has
    /// read is nothing that a driver sees.
    fn collect(&mut self) {
        let Self { peer, meter, .. } = self;
        let output = meter.run(|| peer.output());
        let (len, known) = (output.len(), self.known);
        self.raw.receive(&output[known.min(len)..]);
        self.known = len;
        if self.reads {
            meter.run(|| peer.consume_output(len));
            self.known = 0;
        }
    }

    /// Time passes until nothing is there but what an idle connection keeps, its receive buffer
    /// shared with others; so much is held.
    pub(crate) fn rest(&mut self) -> i64 {
        let Self {
            peer, rx, meter, ..
        } = self;
        let mut now = Instant::EPOCH;
        meter.run(|| {
            rx.give_back();
            for _ in 0..2 {
                peer.handle_timeout(now);
                peer.poll_timeout(now);
                now = now + Duration::from_secs(2);
            }
        });
        meter.live
    }

    /// The application does something.
    pub(crate) fn act<R>(&mut self, work: impl FnOnce(&mut P, &mut App) -> R) -> R {
        let Self {
            peer, app, meter, ..
        } = self;
        let result = meter.run(|| work(peer, app));
        self.collect();
        result
    }

    pub(crate) fn send<'m, M: Wire<'m>>(&mut self, message: &M) {
        self.raw.message(message);
        self.deliver();
    }

    pub(crate) fn wants(&self) -> Wants {
        self.peer.wants()
    }

    /// How much waits to be written.
    pub(crate) fn waiting(&mut self) -> usize {
        let Self { peer, meter, .. } = self;
        meter.run(|| peer.output().len())
    }

    /// A channel of which the peer takes everything; the window that was granted.
    pub(crate) fn channel(&mut self) -> u32 {
        let number = u32::try_from(self.app.channels.len()).expect("few");
        let got = self.raw.got.len();
        if P::ROLE == Role::Client {
            self.act(|peer, _| peer.open_channel(ChannelOpenType::Session).expect("room"));
            let granted = ChannelOpen::decode(&self.raw.got[got]).expect("an open");
            let (granted, recipient) = (granted.initial_window_size, granted.sender_channel);
            self.send(&ChannelOpenConfirmation {
                recipient_channel: recipient,
                sender_channel: number,
                initial_window_size: u32::MAX,
                maximum_packet_size: u32::MAX,
            });
            return granted;
        }
        self.send(&ChannelOpen {
            sender_channel: number,
            initial_window_size: u32::MAX,
            maximum_packet_size: u32::MAX,
            channel_type: ChannelOpenType::Session,
        });
        let answer = ChannelOpenConfirmation::decode(&self.raw.got[got]).expect("a confirmation");
        answer.initial_window_size
    }
}
