//! A client or a server of `ssh-proto` with a [`Raw`] peer opposite to it.

use std::cell::Cell;
use std::fmt::Debug;

use ssh_proto::algorithm::KexAlgorithm;
use ssh_proto::client::{ClientEvent, Credential};
use ssh_proto::config::{ClientConfig, ServerConfig, TransportConfig};
use ssh_proto::error::{End, Error};
use ssh_proto::message::{
    AuthMethod, Disconnect, DisconnectReason, ServiceAccept, ServiceRequest, UserauthRequest,
    UserauthSuccess, Wire, number,
};
use ssh_proto::mux::Stream;
use ssh_proto::server::{AuthEvent, ServerEvent};
use ssh_proto::{
    ChannelEvent, ChannelId, Client, GlobalEvent, Instant, Peer, PeerEvent, RecvBuf, Role, Server,
    Wants,
};

use super::{Raw, feeding};
use crate::rng::SeededRandom;
use crate::sim::{Log, rsa_numbers, server_config, transient_rsa};

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(1) };
}

/// Runs `make` with another seed for the subjects that are made in it.
pub fn with_seed<T>(seed: u64, make: impl FnOnce() -> T) -> T {
    let before = SEED.replace(seed);
    let made = make();
    SEED.set(before);
    made
}

/// What the subject waits for from its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The identification line.
    Line,
    /// The first KEXINIT.
    KexInit,
    /// ECDH_INIT or ECDH_REPLY.
    Method,
    /// NEWKEYS.
    NewKeys,
    /// SERVICE_REQUEST or SERVICE_ACCEPT.
    Service,
    /// USERAUTH_REQUEST or its answer.
    Auth,
    /// Anything: it is authenticated.
    Connected,
    /// ECDH_INIT or ECDH_REPLY of a second exchange.
    RekeyMethod,
    /// NEWKEYS of a second exchange.
    RekeyNewKeys,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 9] = [
        Self::Line,
        Self::KexInit,
        Self::Method,
        Self::NewKeys,
        Self::Service,
        Self::Auth,
        Self::Connected,
        Self::RekeyMethod,
        Self::RekeyNewKeys,
    ];
}

/// What the subject's application saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// The events.
    pub log: Log,
    /// The data of all channels.
    pub data: Vec<(ChannelId, Stream, Vec<u8>)>,
    /// Channels that are open, in order.
    pub channels: Vec<ChannelId>,
    /// How it ended.
    pub end: Option<End>,
    /// How many events there were.
    pub events: usize,
}

/// A connection that can be put on the bench.
pub trait Subject: Peer + Sized {
    /// Its settings.
    type Config: Default;
    /// Which side it is.
    const ROLE: Role;
    /// A new one.
    fn make(config: Self::Config) -> Self;
    /// Settings that work.
    fn config() -> Self::Config;
    /// Settings with which keys are exchanged by this method, whatever is thought of it.
    fn speaking(kex: KexAlgorithm) -> Self::Config;
    /// What the settings of both roles have in common.
    fn transport(config: &mut Self::Config) -> &mut TransportConfig;
    /// What an application does that says yes to everything: it trusts every key, lets alice in
    /// with the password `secret` or any key that has signed, grants every request, and releases
    /// data at once.
    fn agree(&mut self, event: Self::Event<'_>, seen: &mut Seen);
}

impl Subject for Client {
    type Config = ClientConfig;
    const ROLE: Role = Role::Client;

    fn make(config: ClientConfig) -> Self {
        Self::new(config, Box::new(SeededRandom::new(SEED.get()))).expect("a client")
    }

    fn config() -> ClientConfig {
        let mut config = ClientConfig::default();
        config.channel_types = vec!["x11".to_owned()];
        config
    }

    fn speaking(kex: KexAlgorithm) -> ClientConfig {
        let mut config = Self::config();
        config.transport.algorithms.kex = vec![kex];
        config
    }

    fn transport(config: &mut ClientConfig) -> &mut TransportConfig {
        &mut config.transport
    }

    fn agree(&mut self, event: ClientEvent<'_>, seen: &mut Seen) {
        seen.log.client(&event);
        match event {
            ClientEvent::HostKey { decision, .. } => self.trust(decision).expect("mine"),
            ClientEvent::Authenticate { token, .. } => self
                .authenticate(token, "alice", Credential::Password("secret"))
                .expect("mine"),
            other => common(self, other.into(), seen),
        }
    }
}

impl Subject for Server {
    type Config = ServerConfig;
    const ROLE: Role = Role::Server;

    fn make(config: ServerConfig) -> Self {
        Self::new(config, Box::new(SeededRandom::new(!SEED.get()))).expect("a server")
    }

    fn config() -> ServerConfig {
        server_config()
    }

    fn speaking(kex: KexAlgorithm) -> ServerConfig {
        let mut config = Self::config();
        config.transport.algorithms.kex = vec![kex];
        config.transient_rsa = Some(transient_rsa());
        config
    }

    fn transport(config: &mut ServerConfig) -> &mut TransportConfig {
        &mut config.transport
    }

    fn agree(&mut self, event: ServerEvent<'_>, seen: &mut Seen) {
        seen.log.server(&event);
        match event {
            ServerEvent::Auth(AuthEvent::None { decision, .. }) => {
                self.reject(decision).expect("mine");
            }
            ServerEvent::Auth(AuthEvent::Password {
                user,
                password,
                decision,
                ..
            }) => {
                let right = user == b"alice" && password == b"secret";
                let done = if right {
                    self.accept(decision)
                } else {
                    self.reject(decision)
                };
                done.expect("mine");
            }
            ServerEvent::Auth(AuthEvent::KeyOffered { offer, .. }) => {
                self.invite(offer).expect("mine");
            }
            ServerEvent::Auth(AuthEvent::KeyProven { decision, .. }) => {
                self.accept(decision).expect("mine");
            }
            other => common(self, other.into(), seen),
        }
    }
}

fn common<P: Peer>(peer: &mut P, event: PeerEvent<'_>, seen: &mut Seen) {
    match event {
        PeerEvent::Ended(end) => seen.end = Some(end),
        PeerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) => {
            seen.channels
                .push(peer.accept_channel(ticket).expect("mine"));
        }
        PeerEvent::Channel(ChannelEvent::Opened { channel }) => seen.channels.push(channel),
        PeerEvent::Channel(ChannelEvent::Request { ticket, .. }) => {
            peer.accept_request(ticket).expect("mine");
        }
        PeerEvent::Channel(ChannelEvent::Data {
            channel,
            stream,
            data,
        }) => {
            seen.data.push((channel, stream, data.to_vec()));
            let mut channel = peer.channel(channel).expect("it has data");
            channel.release(data.len()).expect("it was received");
        }
        PeerEvent::Channel(ChannelEvent::Closed { channel, .. }) => {
            seen.channels.retain(|open| *open != channel);
        }
        PeerEvent::Global(GlobalEvent::Request { ticket, .. }) => {
            peer.accept_global(ticket, b"").expect("mine");
        }
        _ => {}
    }
}

/// A subject and its raw peer.
pub struct Bench<P: Subject> {
    /// The connection under test.
    pub peer: P,
    /// Its peer.
    pub raw: Raw,
    /// Its receive buffer.
    pub rx: RecvBuf,
    /// What its application saw.
    pub seen: Seen,
    /// The time.
    pub now: Instant,
    /// Most bytes in one read.
    pub piece: usize,
    /// The raw peer reads what the subject sends.
    pub reads: bool,
    fed: usize,
}

/// What it did is compared with what it did when its input was cut in another way.
impl<P: Subject> Drop for Bench<P> {
    fn drop(&mut self) {
        feeding::record(&mut self.seen, &mut self.raw.got);
    }
}

impl<P: Subject> Bench<P> {
    /// Nothing has been said yet.
    pub fn new(strict: bool) -> Self {
        Self::with(P::config(), strict)
    }

    /// As [`new`](Self::new), with settings.
    pub fn with(config: P::Config, strict: bool) -> Self {
        Self {
            peer: P::make(config),
            raw: Raw::new(P::ROLE.peer(), strict),
            rx: RecvBuf::new(),
            seen: Seen::default(),
            now: Instant::EPOCH,
            piece: usize::MAX,
            reads: true,
            fed: 0,
        }
    }

    /// As [`new`](Self::new), with both sides exchanging keys by this method.
    pub fn speaking(kex: KexAlgorithm, strict: bool) -> Self {
        Self::speaking_with(P::speaking(kex), kex, strict)
    }

    /// As [`speaking`](Self::speaking), with settings.
    pub fn speaking_with(config: P::Config, kex: KexAlgorithm, strict: bool) -> Self {
        let mut bench = Self::with(config, strict);
        let names = &mut bench.raw.offer.lists[0];
        *names = names.replace("curve25519-sha256", kex.name());
        bench.raw.rsa = Some(rsa_numbers());
        bench
    }

    /// Brought to `stage` by a peer that does everything right.
    pub fn at(stage: Stage, strict: bool) -> Self {
        Self::new(strict).up_to(stage)
    }

    /// Brought to `stage`, from the beginning.
    pub fn up_to(mut self, stage: Stage) -> Self {
        self.turn();
        for step in Stage::ALL {
            if step == stage {
                return self;
            }
            self.pass(step);
        }
        self
    }

    /// Does all that is to be done in `stage`, where that takes several messages, and delivers it.
    pub fn pass(&mut self, stage: Stage) {
        self.proper(stage);
        self.turn();
        if matches!(stage, Stage::Method | Stage::RekeyMethod) {
            for _ in 0..3 {
                if self.raw.has_agreed() || self.seen.end.is_some() {
                    break;
                }
                self.proper(stage);
                self.turn();
            }
        }
    }

    /// Sends what the subject waits for in `stage`, or the first message of it.
    pub fn proper(&mut self, stage: Stage) {
        match stage {
            Stage::Line => self.raw.identify(),
            Stage::KexInit | Stage::Connected => self.raw.kexinit(),
            Stage::Method | Stage::RekeyMethod => self.raw.method(),
            Stage::NewKeys | Stage::RekeyNewKeys => self.raw.newkeys(),
            Stage::Service | Stage::Auth => {
                let payload = proper_payload(P::ROLE.peer(), stage);
                self.raw.payload(&payload);
            }
        }
    }

    /// Delivers what waits in both directions until nothing does, with an application that says
    /// yes to everything.
    pub fn turn(&mut self) {
        self.turn_with(P::agree);
    }

    /// As [`turn`](Self::turn), with another application.
    pub fn turn_with(&mut self, mut on: impl FnMut(&mut P, P::Event<'_>, &mut Seen)) {
        let input = self.raw.take_output();
        let mut input = &input[..];
        loop {
            self.collect();
            loop {
                let mut batch = self.rx.batch();
                match self.peer.poll_event(&mut batch, self.now) {
                    Some(event) => {
                        self.seen.events += 1;
                        assert!(self.seen.end.is_none(), "{event:?} after the last event");
                        on(&mut self.peer, event, &mut self.seen);
                    }
                    None if self.peer.wants() == Wants::Batch => {}
                    None => break,
                }
            }
            self.collect();
            if input.is_empty() {
                return;
            }
            let piece = feeding::next_piece(input.len(), self.fed, self.piece);
            let (piece, rest) = input.split_at(piece);
            self.rx.push(piece);
            self.fed += piece.len();
            input = rest;
        }
    }

    /// Moves the subject's output to the peer, if the peer reads.
    pub fn collect(&mut self) {
        if !self.reads {
            return;
        }
        let mut output = Vec::new();
        self.peer.take_output(&mut output);
        self.raw.receive(&output);
    }

    /// Sends one payload and lets it take effect.
    pub fn send(&mut self, payload: &[u8]) {
        self.raw.payload(payload);
        self.turn();
    }

    /// Sends one message and lets it take effect.
    pub fn message<'m, M: Wire<'m>>(&mut self, message: &M) {
        self.raw.message(message);
        self.turn();
    }

    /// Lets the clock run to the next deadline of the subject, and says whether there was one.
    pub fn wait(&mut self) -> bool {
        let Some(at) = self.peer.poll_timeout(self.now) else {
            return false;
        };
        self.now = self.now.max(at);
        self.peer.handle_timeout(self.now);
        self.turn();
        true
    }

    /// The error with which the connection ended.
    pub const fn error(&self) -> Option<&Error> {
        match &self.seen.end {
            Some(End::Error(error)) => Some(error),
            _ => None,
        }
    }

    /// The subject gave up with an error of this shape, told its peer this reason and nothing
    /// after it, and takes nothing more.
    ///
    /// # Panics
    ///
    /// If it did not.
    #[track_caller]
    pub fn refused(
        &mut self,
        what: &dyn Debug,
        error: impl Fn(&Error) -> bool,
        reason: DisconnectReason,
    ) {
        let end = self.seen.end.as_ref();
        assert!(
            self.error().is_some_and(error),
            "{what:?}: {end:?}, {:#?}",
            self.seen.log
        );
        self.closed(what);
        let last = self.raw.got.last().expect("a message");
        let goodbye = Disconnect::decode(last);
        let said = goodbye.as_ref().map(|goodbye| goodbye.reason_code);
        assert_eq!(said, Ok(reason), "{what:?}: {last:?}");
        let numbers = self.raw.numbers(0);
        let goodbyes = numbers.iter().filter(|n| **n == number::SSH_MSG_DISCONNECT);
        assert_eq!(goodbyes.count(), 1, "{what:?}");
    }

    /// The connection has ended, and nothing has any effect any more.
    ///
    /// # Panics
    ///
    /// If it has not.
    #[track_caller]
    pub fn closed(&mut self, what: &dyn Debug) {
        assert!(self.seen.end.is_some(), "{what:?}: it lives");
        assert_eq!(self.peer.wants(), Wants::Closed, "{what:?}");
        assert_eq!(self.peer.poll_timeout(self.now), None, "{what:?}");
        let (events, got) = (self.seen.events, self.raw.got.len());
        self.raw.payload(&[number::SSH_MSG_IGNORE, 0, 0, 0, 0]);
        self.raw.payload(&[number::SSH_MSG_NEWKEYS]);
        self.turn();
        assert_eq!(self.seen.events, events, "{what:?}: an event after the end");
        assert_eq!(self.raw.got.len(), got, "{what:?}: output after the end");
        assert!(self.peer.has_ended() && !self.peer.has_output());
    }

    /// The connection lives, and still does what it is for.
    ///
    /// # Panics
    ///
    /// If it has ended.
    #[track_caller]
    pub fn lives(&mut self, what: &dyn Debug) {
        assert!(self.seen.end.is_none(), "{what:?}: {:?}", self.seen.end);
        assert!(!self.peer.has_ended(), "{what:?}");
    }
}

/// What the other side waits for from `sender` in this stage, as far as that is a message of its
/// own.
pub(super) fn proper_payload(sender: Role, stage: Stage) -> Vec<u8> {
    let mut payload = Vec::new();
    match (stage, sender) {
        (Stage::Service, Role::Client) => ServiceRequest {
            service_name: "ssh-userauth",
        }
        .encode(&mut payload),
        (Stage::Service, Role::Server) => ServiceAccept {
            service_name: "ssh-userauth",
        }
        .encode(&mut payload),
        (Stage::Auth, Role::Client) => UserauthRequest {
            user_name: b"alice",
            service_name: "ssh-connection",
            method: AuthMethod::Password {
                password: b"secret",
                new_password: None,
            },
        }
        .encode(&mut payload),
        (Stage::Auth, Role::Server) => UserauthSuccess.encode(&mut payload),
        _ => {}
    }
    payload
}
