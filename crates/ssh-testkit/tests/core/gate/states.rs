//! Every state in which a connection can be found, as far as it matters to what may come next.
//!
//! A state is reached by a peer that does everything right ([`Ready::new`]) and left by the same
//! peer ([`Ready::carry_on`]), so that a message in between can be seen to have changed nothing.
//! What an application has to decide is decided at once, except in the states that are named after
//! the decision: there input is paused until [`Ready::answer`].

use std::fmt::Write;

use ssh_proto::algorithm::KexAlgorithm;
use ssh_proto::error::{Error, PeerMisbehaved};
use ssh_proto::message::{ChannelOpenType, DisconnectReason, GlobalRequestType};
use ssh_proto::mux::Reply;
use ssh_proto::{ChannelId, Role};
use ssh_testkit::raw::{Bench, Stage};

use super::roles::Stand;
use super::samples;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    Line,
    KexInit,
    Method,
    Guess,
    /// Server, group exchange: REQUEST.
    GroupRequest,
    /// Client, group exchange: GROUP.
    Group,
    /// Server, group exchange: INIT.
    GroupInit,
    /// Client, group exchange: REPLY.
    GroupReply,
    /// Client, RSA: PUBKEY.
    RsaPubkey,
    /// Server, RSA: SECRET.
    RsaSecret,
    /// Client, RSA: DONE.
    RsaDone,
    /// Client: the host key; server: the signature of the exchange.
    HostKey,
    NewKeys,
    /// Client: what to log in with.
    Credential,
    Service,
    /// Client: `none` was tried.
    None,
    /// Client: a password was sent. Server: one has come.
    Password,
    /// Client: a key was offered. Server: one has come.
    Offered,
    /// The server would take the key. Client: a signature is wanted.
    Invited,
    /// Client: a signature was sent. Server: one has come.
    Proven,
    /// Client: asked for another credential. Server: an attempt has failed.
    Failed,
    /// One proof of two was accepted, and the client has sent the other one.
    Partial,
    /// Server: no request yet.
    Auth,
    AuthRekeyMethod,
    AuthRekeyNewKeys,
    Connected,
    Ticket,
    Opening,
    Open,
    Asked,
    OurEof,
    TheirEof,
    Closing,
    RekeyKexInit,
    RekeyMethod,
    RekeyHostKey,
    RekeyNewKeys,
    Disconnected,
    Left,
    Refused,
}

impl State {
    /// The states of a client or a server, in the order in which they are reached.
    pub(super) fn of(role: Role) -> &'static [Self] {
        use State::*;
        match role {
            Role::Client => &[
                Line,
                KexInit,
                Guess,
                Method,
                Group,
                GroupReply,
                RsaPubkey,
                RsaDone,
                HostKey,
                Credential,
                NewKeys,
                Service,
                None,
                Password,
                Offered,
                Invited,
                Proven,
                Failed,
                Partial,
                AuthRekeyMethod,
                AuthRekeyNewKeys,
                Connected,
                Ticket,
                Opening,
                Open,
                Asked,
                OurEof,
                TheirEof,
                Closing,
                RekeyKexInit,
                RekeyMethod,
                RekeyNewKeys,
                Disconnected,
                Left,
                Refused,
            ],
            Role::Server => &[
                Line,
                KexInit,
                Guess,
                Method,
                GroupRequest,
                GroupInit,
                RsaSecret,
                HostKey,
                NewKeys,
                Service,
                Auth,
                Password,
                Offered,
                Invited,
                Proven,
                Failed,
                Partial,
                Connected,
                Ticket,
                Opening,
                Open,
                Asked,
                OurEof,
                TheirEof,
                Closing,
                RekeyKexInit,
                RekeyMethod,
                RekeyHostKey,
                RekeyNewKeys,
                Disconnected,
                Left,
                Refused,
            ],
        }
    }

    /// What has happened, for the page.
    pub(super) const fn about(self, role: Role) -> &'static str {
        let client = matches!(role, Role::Client);
        match self {
            Self::Line => "the peer's identification line is awaited",
            Self::KexInit => "our KEXINIT is out, the peer's first one is awaited",
            Self::Guess => "the peer's KEXINIT announced a guess, and it is wrong",
            Self::Method if client => "ECDH_INIT is out, ECDH_REPLY is awaited",
            Self::Method => "both KEXINITs are known, ECDH_INIT is awaited",
            Self::GroupRequest => "group exchange: both KEXINITs are known, REQUEST is awaited",
            Self::Group => "group exchange: REQUEST is out, GROUP is awaited",
            Self::GroupInit => "group exchange: GROUP is out, INIT is awaited",
            Self::GroupReply => "group exchange: INIT is out, REPLY is awaited",
            Self::RsaPubkey => "RSA: both KEXINITs are known, PUBKEY is awaited",
            Self::RsaSecret => "RSA: PUBKEY is out, SECRET is awaited",
            Self::RsaDone => "RSA: SECRET is out, DONE is awaited",
            Self::HostKey if client => "paused: the host key is new, the application decides",
            Self::HostKey => "paused: the exchange is being signed outside",
            Self::Credential => "paused: our NEWKEYS is out, the application chooses a credential",
            Self::NewKeys => "our NEWKEYS is out, the peer's is awaited",
            Self::Service if client => "keys are in use, SERVICE_REQUEST and a password are out",
            Self::Service => "keys are in use, SERVICE_REQUEST is awaited",
            Self::None => "`none` was tried, the answer is awaited",
            Self::Auth => "the service is granted, no request has come",
            Self::Password if client => "a password was sent, the answer is awaited",
            Self::Password => "paused: a password has come, the application decides (yes)",
            Self::Offered if client => "a key was offered, the answer is awaited",
            Self::Offered => "paused: a key was offered, the application decides (yes)",
            Self::Invited if client => "paused: PK_OK has come, a signature is being made outside",
            Self::Invited => "PK_OK was sent, the signature is awaited",
            Self::Proven if client => "a signature was sent, the answer is awaited",
            Self::Proven => "paused: a signature was right, the application decides (yes)",
            Self::Failed if client => "paused: FAILURE has come, the application chooses again",
            Self::Failed => "an attempt has failed",
            Self::Partial if client => "after partial success a signature was sent",
            Self::Partial => "the password was accepted, a signature is wanted as well",
            Self::AuthRekeyMethod => "a second exchange amid authentication, ECDH_REPLY is awaited",
            Self::AuthRekeyNewKeys => "a second exchange amid authentication, NEWKEYS is awaited",
            Self::Connected => "authenticated, no channel",
            Self::Ticket => "the peer has asked for a channel, the answer is deferred",
            Self::Opening => "we have asked for channel 0, the answer is awaited",
            Self::Open => "channel 0 is open",
            Self::Asked => "channel 0 is open, a request of it and a global one are unanswered",
            Self::OurEof => "channel 0 is open, we have sent EOF",
            Self::TheirEof => "channel 0 is open, the peer has sent EOF",
            Self::Closing => "we have sent CLOSE for channel 0, the peer's is awaited",
            Self::RekeyKexInit => "a second exchange, channel 0 open: only our KEXINIT is out",
            Self::RekeyMethod => "a second exchange, channel 0 open: the method is awaited",
            Self::RekeyHostKey => "paused: the second exchange is being signed outside",
            Self::RekeyNewKeys => "a second exchange, channel 0 open: NEWKEYS is awaited",
            Self::Disconnected => "ended: our application disconnected",
            Self::Left => "ended: the peer disconnected",
            Self::Refused => "ended: the peer broke a rule",
        }
    }

    /// Input is paused, and after the answer it is judged as in this state.
    pub(super) const fn answered(self, role: Role) -> Option<Self> {
        let client = matches!(role, Role::Client);
        Some(match self {
            Self::HostKey | Self::Credential => Self::NewKeys,
            Self::Invited if client => Self::Proven,
            Self::Failed if client => Self::Password,
            Self::Password | Self::Proven if !client => Self::Connected,
            Self::Offered if !client => Self::Invited,
            Self::RekeyHostKey => Self::RekeyNewKeys,
            _ => return None,
        })
    }

    /// The state that the page compares it with, and shows only differences.
    pub(super) const fn like(self, role: Role) -> Option<Self> {
        if let Some(answered) = self.answered(role) {
            return Some(answered);
        }
        Some(match self {
            Self::Guess => Self::Method,
            Self::GroupRequest | Self::Group | Self::GroupInit | Self::GroupReply => Self::Method,
            Self::RsaPubkey | Self::RsaSecret | Self::RsaDone => Self::Method,
            Self::Invited | Self::Failed | Self::Partial if matches!(role, Role::Server) => {
                Self::Auth
            }
            Self::Password | Self::Offered | Self::Proven | Self::Partial => Self::None,
            Self::Ticket | Self::Opening | Self::Open => Self::Connected,
            Self::Asked | Self::OurEof | Self::TheirEof | Self::Closing | Self::RekeyKexInit => {
                Self::Open
            }
            Self::AuthRekeyMethod | Self::RekeyMethod => Self::Method,
            Self::AuthRekeyNewKeys | Self::RekeyNewKeys => Self::NewKeys,
            Self::Left | Self::Refused => Self::Disconnected,
            _ => return None,
        })
    }

    /// Where the ordinary course of things is left.
    pub(super) const fn stage(self) -> Stage {
        match self {
            Self::Line => Stage::Line,
            Self::KexInit => Stage::KexInit,
            Self::Method | Self::Guess => Stage::Method,
            Self::GroupRequest | Self::Group | Self::GroupInit | Self::GroupReply => Stage::Method,
            Self::RsaPubkey | Self::RsaSecret | Self::RsaDone => Stage::Method,
            Self::HostKey | Self::Credential | Self::NewKeys => Stage::NewKeys,
            Self::Service => Stage::Service,
            Self::Failed | Self::Partial | Self::AuthRekeyMethod | Self::AuthRekeyNewKeys => {
                Stage::Auth
            }
            Self::None | Self::Auth | Self::Password | Self::Offered => Stage::Auth,
            Self::Invited | Self::Proven => Stage::Auth,
            _ => Stage::Connected,
        }
    }

    /// The number of the peer's next message of the method, where that would be understood.
    pub(super) const fn due(self, role: Role) -> Option<u8> {
        Some(match (self, role) {
            (Self::GroupRequest, _) => 34,
            (Self::Group, _) => 31,
            (Self::GroupInit, _) => 32,
            (Self::GroupReply, _) => 33,
            (Self::RsaPubkey, _) => 30,
            (Self::RsaSecret, _) => 31,
            (Self::RsaDone, _) => 32,
            (Self::Method | Self::Guess | Self::RekeyMethod | Self::AuthRekeyMethod, role) => {
                match role {
                    Role::Client => 31,
                    Role::Server => 30,
                }
            }
            _ => return None,
        })
    }

    /// The method by which keys are exchanged.
    pub(super) const fn kex(self) -> KexAlgorithm {
        match self {
            Self::GroupRequest | Self::Group | Self::GroupInit | Self::GroupReply => {
                KexAlgorithm::DiffieHellmanGroupExchangeSha256
            }
            Self::RsaPubkey | Self::RsaSecret | Self::RsaDone => KexAlgorithm::Rsa2048Sha256,
            _ => KexAlgorithm::Curve25519Sha256,
        }
    }

    /// Nothing is left to be done.
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Disconnected | Self::Left | Self::Refused)
    }
}

/// A connection in a state.
pub(super) struct Ready<P: Stand> {
    pub(super) state: State,
    pub(super) bench: Bench<P>,
    pub(super) app: P::App,
    channel: Option<ChannelId>,
}

/// Where the records of a bench were.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    events: usize,
    data: usize,
    got: usize,
}

/// What has happened since a mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) events: Vec<String>,
    pub(super) sent: Vec<u8>,
}

impl<P: Stand> Ready<P> {
    /// Brings a new connection to `state`.
    pub(super) fn new(state: State, strict: bool) -> Self {
        let mut bench = Bench::speaking_with(P::settings(state), state.kex(), strict);
        bench.raw.offer.follows = state == State::Guess;
        let mut ready = Self {
            state,
            bench,
            app: P::app(state),
            channel: None,
        };
        ready.turn();
        for step in Stage::ALL {
            if step == state.stage() {
                break;
            }
            ready.proper(step);
        }
        ready.approach();
        ready
    }

    /// From the ordinary course of things to the state.
    fn approach(&mut self) {
        match self.state {
            State::GroupInit | State::GroupReply | State::RsaDone => self.proper(Stage::Method),
            State::Invited | State::Proven if P::ROLE == Role::Client => {
                self.send(&samples::pk_ok());
            }
            State::Failed | State::Partial if P::ROLE == Role::Client => {
                self.send(&samples::failure(self.state == State::Partial));
            }
            State::Password => self.send_of_client(&samples::password(b"secret")),
            State::Partial => self.send_of_client(&samples::password(b"secret")),
            State::Failed => self.send_of_client(&samples::password(b"wrong")),
            State::Offered | State::Invited => self.send_of_client(&samples::key_offered()),
            State::Proven => self.send_of_client(&samples::key_proven(&self.bench.raw)),
            State::AuthRekeyMethod | State::AuthRekeyNewKeys => {
                self.proper(Stage::Connected);
                if self.state == State::AuthRekeyNewKeys {
                    self.proper(Stage::RekeyMethod);
                }
            }
            State::Ticket => self.send(&samples::channel_open(P::ROLE)),
            State::Opening => self.open(),
            State::Open
            | State::Asked
            | State::OurEof
            | State::TheirEof
            | State::Closing
            | State::RekeyKexInit
            | State::RekeyMethod
            | State::RekeyHostKey
            | State::RekeyNewKeys => self.with_channel(),
            State::Disconnected => {
                let reason = DisconnectReason::BY_APPLICATION;
                self.bench.peer.disconnect(reason, "enough");
                self.turn();
            }
            State::Left => self.send(&samples::disconnect()),
            State::Refused => self.send(&[0]),
            _ => {}
        }
        P::reached(&mut self.app);
    }

    fn with_channel(&mut self) {
        self.open();
        self.send(&samples::confirmation());
        let id = self.channel.expect("opened");
        match self.state {
            State::Asked => {
                let mut channel = self.bench.peer.channel(id).expect("open");
                channel.exec(b"true", Reply::Wanted).expect("room");
                let request = GlobalRequestType::NoMoreSessions;
                let asked = self.bench.peer.global_request(request, Reply::Wanted);
                asked.expect("room");
                self.turn();
            }
            State::OurEof => {
                let mut channel = self.bench.peer.channel(id).expect("open");
                channel.eof().expect("open");
                self.turn();
            }
            State::TheirEof => self.send(&samples::of_channel(96)),
            State::Closing => {
                let mut channel = self.bench.peer.channel(id).expect("open");
                channel.close().expect("open");
                self.turn();
            }
            State::RekeyKexInit => {
                self.bench.peer.rekey().expect("authenticated");
                self.turn();
            }
            State::RekeyMethod => self.proper(Stage::Connected),
            State::RekeyHostKey | State::RekeyNewKeys => {
                self.proper(Stage::Connected);
                self.proper(Stage::RekeyMethod);
            }
            _ => {}
        }
    }

    fn open(&mut self) {
        let originator_address = &b"::1"[..];
        let x11 = ChannelOpenType::X11 {
            originator_address,
            originator_port: 1,
        };
        let channel = self.bench.peer.open_channel(x11);
        self.channel = Some(channel.expect("authenticated"));
        self.turn();
    }

    fn send_of_client(&mut self, payload: &[u8]) {
        if P::ROLE == Role::Server {
            self.send(payload);
        }
    }

    /// Sends one payload and lets it take effect.
    pub(super) fn send(&mut self, payload: &[u8]) {
        self.bench.raw.payload(payload);
        self.turn();
    }

    fn proper(&mut self, stage: Stage) {
        self.bench.proper(stage);
        self.turn();
    }

    /// Delivers what waits, in both directions.
    pub(super) fn turn(&mut self) {
        let app = &mut self.app;
        self.bench
            .turn_with(|peer, event, seen| P::on(app, peer, event, seen));
    }

    /// Makes the decision that the state is named after.
    pub(super) fn answer(&mut self) {
        P::answer(&mut self.app, &mut self.bench.peer);
        self.turn();
    }

    /// The peer goes on as if nothing had happened. Returns what came of it, in full.
    pub(super) fn carry_on(&mut self) -> String {
        use Stage::{Auth, Connected, KexInit, Line, Method, NewKeys, RekeyMethod, Service};
        let mark = self.mark();
        let state = self.state.answered(P::ROLE).unwrap_or(self.state);
        let client = P::ROLE == Role::Client;
        let rest: &[Stage] = match state {
            State::Line => &[Line, KexInit, Method, NewKeys, Service, Auth],
            State::KexInit => &[KexInit, Method, NewKeys, Service, Auth],
            State::GroupRequest | State::Group | State::RsaPubkey => {
                &[Method, Method, NewKeys, Service, Auth]
            }
            State::Method | State::GroupInit | State::GroupReply => {
                &[Method, NewKeys, Service, Auth]
            }
            State::RsaSecret | State::RsaDone => &[Method, NewKeys, Service, Auth],
            State::Guess => {
                self.send(&[30]);
                &[Method, NewKeys, Service, Auth]
            }
            State::NewKeys => &[NewKeys, Service, Auth],
            State::Service => &[Service, Auth],
            State::Offered if client => {
                self.send(&samples::pk_ok());
                &[Auth]
            }
            State::Invited | State::Partial if !client => {
                self.send(&samples::key_proven(&self.bench.raw));
                &[]
            }
            State::AuthRekeyMethod => &[RekeyMethod, Stage::RekeyNewKeys, Auth],
            State::AuthRekeyNewKeys => &[Stage::RekeyNewKeys, Auth],
            State::RekeyKexInit => &[Connected, RekeyMethod, Stage::RekeyNewKeys],
            State::RekeyMethod => &[RekeyMethod, Stage::RekeyNewKeys],
            State::RekeyNewKeys => &[Stage::RekeyNewKeys],
            State::Asked => {
                self.send(&samples::of_channel(99));
                self.send(&[82]);
                &[]
            }
            State::Opening => {
                self.send(&samples::confirmation());
                &[]
            }
            State::Closing => {
                self.send(&samples::of_channel(97));
                &[]
            }
            _ if state.is_over() || self.bench.peer.is_authenticated() => &[],
            _ => &[Auth],
        };
        for stage in rest {
            if self.bench.seen.end.is_some() {
                break;
            }
            self.proper(*stage);
        }
        let sendable = self
            .channel
            .and_then(|id| Some(self.bench.peer.channel(id).ok()?.sendable()));
        let mut all = format!("{:?}", self.since(mark));
        let (end, peer) = (&self.bench.seen.end, &self.bench.peer);
        let (channels, authenticated) = (peer.channels(), peer.is_authenticated());
        write!(all, " {sendable:?} {channels} {authenticated} {end:?}").expect("a string");
        all
    }

    /// The connection was ended because strict key exchange had been broken before it was agreed.
    pub(super) fn was_found_out(&self) -> bool {
        let late = PeerMisbehaved::StrictKexSequence;
        matches!(self.bench.error(), Some(Error::PeerMisbehaved(e)) if *e == late)
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            events: self.bench.seen.log.0.len(),
            data: self.bench.seen.data.len(),
            got: self.bench.raw.got.len(),
        }
    }

    pub(super) fn since(&self, mark: Mark) -> Effect {
        let seen = &self.bench.seen;
        let mut events: Vec<String> = seen.log.0[mark.events..]
            .iter()
            .filter(|line| !line.starts_with("Ended"))
            .map(|line| first_word(line))
            .collect();
        if seen.data.len() > mark.data {
            events.push("Data".to_owned());
        }
        events.dedup();
        Effect {
            events,
            sent: self.bench.raw.numbers(mark.got),
        }
    }
}

/// The name of an event.
fn first_word(line: &str) -> String {
    let inner = line
        .strip_prefix("Transport(")
        .or_else(|| line.strip_prefix("Auth("))
        .unwrap_or(line);
    inner
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect()
}
