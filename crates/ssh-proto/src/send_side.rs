//! The sending half of a connection: [`SendSide`], which is also where its state lives.
//!
//! Output, key exchange, channels and timers are siblings here; the roles add authentication.
//! After every call that takes `&mut self`, look at [`output`](SendSide::output) and
//! [`poll_timeout`](SendSide::poll_timeout) before you sleep.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::algorithm::SignatureAlgorithm;
use crate::config::{ConfigError, HostKey, TransportConfig};
use crate::error::{
    End, Error, MAX_DESCRIPTION, Misuse, PeerDisconnect, PeerMisbehaved, RequestError, Stage,
};
use crate::kex::{Kex, Negotiated, NegotiationReport, Step};
use crate::key::PublicKey;
use crate::message::{
    ChannelOpenFailureReason, ChannelOpenType, DebugMessage, Disconnect, DisconnectReason, ExtInfo,
    Extension, GlobalRequestType, Ignore, List, NewKeys, Ping, Pong, ServiceRequest, Unimplemented,
    Wire, number,
};
use crate::mux::{
    Channel, ChannelEvent, ChannelId, GlobalEvent, GlobalTicket, Incoming, Mux, OpenTicket, Reply,
    RequestId, RequestTicket, Ticket,
};
use crate::out::Out;
use crate::random::Random;
use crate::recv_side::{Control, Kind, RecvSide, Status};
use crate::time::{Instant, TimeoutReason, Timer, TimerTable};
use crate::transport::{Identification, Line, Payload, Phase, Role, View};
use crate::wire::NameList;

/// Buffers that have been empty for so long are given back.
const IDLE: Duration = Duration::from_secs(1);

/// Something that concerns the transport.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransportEvent<'b> {
    /// A line of text that a server sent before it identified itself (RFC 4253 section 4.2).
    Notice {
        /// The line without its end; show it escaped.
        line: Vec<u8>,
    },
    /// The peer has identified itself; see `peer_identification`.
    Identified,
    /// The algorithms are agreed: for each of them both lists and the choice.
    Negotiated(Box<NegotiationReport>),
    /// New keys are in use in both directions.
    KeysExchanged,
    /// The peer announced extensions (RFC 8308).
    ExtInfo(ExtInfo<'b>),
    /// The peer tells something that may help to find an error (RFC 4253 section 11.3).
    Debug {
        /// Whether the peer wants it shown in any case.
        always_display: bool,
        /// The peer's words; show them escaped.
        message: &'b [u8],
    },
    /// The peer did not recognise a message of ours.
    Unimplemented {
        /// The sequence number of our packet.
        packet_sequence_number: u32,
    },
    /// The answer to a [`ping`](SendSide::ping).
    Pong {
        /// What the ping carried.
        data: &'b [u8],
    },
}

/// What both roles have in common of the outcome of a message.
#[derive(Debug)]
pub(crate) enum Applied<'b> {
    Nothing,
    Channel(ChannelEvent<'b>),
    Global(GlobalEvent<'b>),
    Transport(TransportEvent<'b>),
    /// Client: a new host key.
    Decide(PublicKey),
    /// Server: a signature from outside.
    Sign {
        algorithm: SignatureAlgorithm,
        key: PublicKey,
        data: Vec<u8>,
    },
    /// A message of authentication, for the role.
    Auth(Payload<'b>),
}

#[derive(Debug)]
enum Ending {
    None,
    Pending(End),
    Reported,
}

/// What the peer announced with EXT_INFO.
#[derive(Debug, Default)]
pub(crate) struct PeerExtensions {
    /// `server-sig-algs`, reduced to what exists here.
    pub(crate) server_sig_algs: Option<Vec<SignatureAlgorithm>>,
    ping: bool,
}

/// The sending half of a connection, with everything that both roles can do.
#[derive(Debug)]
pub struct SendSide {
    role: Role,
    config: Arc<TransportConfig>,
    pub(crate) out: Out,
    pub(crate) kex: Kex,
    pub(crate) mux: Mux,
    timers: TimerTable,
    pub(crate) phase: Phase,
    /// The nonce of the decision that is out.
    gate: Option<u64>,
    end: Ending,
    pub(crate) peer_extensions: PeerExtensions,
    /// Server: how users may sign.
    pub(crate) user_signatures: Vec<SignatureAlgorithm>,
    /// What the receive side has heard, as of the last time it was in hand.
    heard: u64,
    heard_at_keepalive: u64,
    keepalives_unanswered: u32,
}

impl SendSide {
    pub(crate) fn new(
        role: Role,
        config: TransportConfig,
        host_keys: Vec<HostKey>,
        channel_types: Vec<String>,
        random: Box<dyn Random + Send>,
    ) -> Result<(Self, RecvSide), ConfigError> {
        config.validate()?;
        let ours = Identification::ours(&config.software).ok_or_else(|| ConfigError {
            field: "software",
            reason: "is no valid software version".into(),
        })?;
        let recv = RecvSide::new(role, &config.limits);
        let config = Arc::new(config);
        let limits = &config.limits;
        let out = Out::new(random, limits.output, limits.held).map_err(|_| ConfigError {
            field: "random",
            reason: "failed".into(),
        })?;
        let mut send = Self {
            role,
            out,
            kex: Kex::new(role, config.clone(), host_keys, ours.clone()),
            mux: Mux::new(role, config.clone(), channel_types),
            timers: TimerTable::default(),
            phase: Phase::KexInit,
            gate: None,
            end: Ending::None,
            peer_extensions: PeerExtensions::default(),
            user_signatures: Vec::new(),
            heard: 0,
            heard_at_keepalive: 0,
            keepalives_unanswered: 0,
            config,
        };
        send.begin(&ours);
        Ok((send, recv))
    }

    /// The identification line and KEXINIT go out at once: neither depends on the peer.
    fn begin(&mut self, ours: &Identification) {
        self.out.raw(ours.as_bytes());
        self.out.raw(b"\r\n");
        let deadlines = self.config.deadlines.clone();
        self.timers
            .start(Timer::Identification, deadlines.identification);
        self.timers
            .start(Timer::Authentication, deadlines.authentication);
        self.start_kex();
    }

    // -- A: what is the case ------------------------------------------------------------------

    /// Which side this is.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The peer's identification, once it has come.
    pub const fn peer_identification(&self) -> Option<&Identification> {
        self.kex.peer()
    }

    /// What the latest key exchange agreed on.
    pub const fn negotiated(&self) -> Option<&Negotiated> {
        self.kex.negotiated()
    }

    /// The server's host key, once its possession was proven and, on a client, it was trusted.
    pub const fn host_key(&self) -> Option<&PublicKey> {
        self.kex.host_key()
    }

    /// The session identifier (RFC 4253 section 7.2), once there is one.
    pub fn session_id(&self) -> Option<&[u8]> {
        self.kex.session_id().map(AsRef::as_ref)
    }

    /// Whether authentication has succeeded.
    pub const fn is_authenticated(&self) -> bool {
        matches!(self.phase, Phase::Connected)
    }

    /// Whether the connection has ended: nothing more can be done but writing what waits.
    pub const fn has_ended(&self) -> bool {
        !matches!(self.end, Ending::None)
    }

    /// Whether the application owes an answer without which nothing goes on.
    pub const fn is_waiting_for_answer(&self) -> bool {
        self.gate.is_some()
    }

    /// How many channels are open or opening.
    pub const fn channels(&self) -> usize {
        self.mux.len()
    }

    /// The ids of all channels that are open or opening.
    pub fn channel_ids(&self) -> impl Iterator<Item = ChannelId> {
        self.mux.ids()
    }

    /// Whether there is something to write.
    pub const fn has_output(&self) -> bool {
        !self.out.buf.is_empty()
    }

    // -- B: inputs ----------------------------------------------------------------------------

    /// Does what is due at `now`. An event may follow.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Ticket => self.mux.refuse_expired(now, &mut self.out),
                // Before authentication has ended no peer has to exchange keys again: `connected`
                // starts this timer anew.
                Timer::Rekey if self.is_authenticated() => self.start_kex(),
                Timer::Rekey => {}
                Timer::Keepalive => self.keepalive(),
                Timer::Idle => self.out.buf.give_back(),
                Timer::Identification
                | Timer::KeyExchange
                | Timer::Authentication
                | Timer::Decision
                | Timer::OutputStalled => self.fail(Error::Timeout(timer.reason())),
            }
        }
    }

    // -- C: what the application does ---------------------------------------------------------

    /// A channel, for a call or two.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchChannel`] if it does not exist, or not any more.
    pub fn channel(&mut self, id: ChannelId) -> Result<Channel<'_>, Misuse> {
        if self.has_ended() {
            return Err(Misuse::Ended);
        }
        if !self.mux.contains(id) {
            return Err(Misuse::NoSuchChannel);
        }
        Ok(Channel::new(&mut self.mux, &mut self.out, id))
    }

    /// Opens a channel; [`ChannelEvent::Opened`] or [`ChannelEvent::OpenFailed`] follows.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotAuthenticated`], [`Misuse::Ended`], [`Misuse::Value`] if the parameters do
    /// not fit into a packet, [`RequestError::Busy`] while there are too many channels or
    /// unanswered requests, or too much output waits.
    pub fn open_channel(
        &mut self,
        channel_type: ChannelOpenType<'_>,
    ) -> Result<ChannelId, RequestError> {
        self.must_be_connected()?;
        self.mux.may_open(&channel_type, &self.out)?;
        self.mux.open(channel_type, &mut self.out)
    }

    /// Client: opens a session, for a command, a shell or a subsystem (RFC 4254 section 6.1).
    ///
    /// # Errors
    ///
    /// As [`open_channel`](Self::open_channel).
    pub fn open_session(&mut self) -> Result<ChannelId, RequestError> {
        self.open_channel(ChannelOpenType::Session)
    }

    /// Client: has the server connect to `host` and `port` (RFC 4254 section 7.2). The originator
    /// is what the server is told about where the connection came from.
    ///
    /// # Errors
    ///
    /// As [`open_channel`](Self::open_channel).
    pub fn open_direct_tcpip(
        &mut self,
        host: &str,
        port: u16,
        originator: (&str, u16),
    ) -> Result<ChannelId, RequestError> {
        self.open_channel(ChannelOpenType::DirectTcpip {
            host_to_connect: host.as_bytes(),
            port_to_connect: u32::from(port),
            originator_ip_address: originator.0.as_bytes(),
            originator_port: u32::from(originator.1),
        })
    }

    /// Opens our side of a channel that the peer asked for.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the ticket is of another connection or its time is over;
    /// [`Misuse::NoSuchChannel`] if there is no slot left, in which case the peer is refused.
    pub fn accept_channel(&mut self, ticket: OpenTicket) -> Result<ChannelId, Misuse> {
        self.must_live()?;
        self.mux.accept_channel(&ticket, &mut self.out)
    }

    /// Refuses a channel that the peer asked for; `description` is for a person to read.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the ticket is of another connection or its time is over.
    pub fn reject_channel(
        &mut self,
        ticket: OpenTicket,
        reason: ChannelOpenFailureReason,
        description: &str,
    ) -> Result<(), Misuse> {
        self.must_live()?;
        self.mux
            .reject_channel(&ticket, reason, description, &mut self.out)
    }

    /// Grants a request of the peer.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the ticket is of another connection or its time is over.
    pub fn accept_request(&mut self, ticket: RequestTicket) -> Result<(), Misuse> {
        self.must_live()?;
        self.mux.answer_request(&ticket, true, &mut self.out)
    }

    /// Refuses a request of the peer.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the ticket is of another connection or its time is over.
    pub fn refuse_request(&mut self, ticket: RequestTicket) -> Result<(), Misuse> {
        self.must_live()?;
        self.mux.answer_request(&ticket, false, &mut self.out)
    }

    /// Grants a global request of the peer, with the data that its reply carries (the port, where
    /// a forward asked for port 0).
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the ticket is of another connection or its time is over.
    pub fn accept_global(&mut self, ticket: GlobalTicket, data: &[u8]) -> Result<(), Misuse> {
        self.must_live()?;
        self.mux.answer_global(&ticket, Some(data), &mut self.out)
    }

    /// Refuses a global request of the peer.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the ticket is of another connection or its time is over.
    pub fn refuse_global(&mut self, ticket: GlobalTicket) -> Result<(), Misuse> {
        self.must_live()?;
        self.mux.answer_global(&ticket, None, &mut self.out)
    }

    /// Lets a ticket wait for its answer beyond the next event, until `Deadlines::ticket`.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the ticket is of another connection or its time is over.
    pub fn defer(&mut self, ticket: &impl Ticket) -> Result<(), Misuse> {
        self.must_live()?;
        self.mux.defer(ticket)
    }

    /// Sends a global request (RFC 4254 section 4). With [`Reply::Wanted`] a
    /// [`GlobalEvent::Success`] or [`GlobalEvent::Failure`] follows.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotAuthenticated`], [`Misuse::Ended`], [`Misuse::Value`] if the request does not
    /// fit into a packet or is a forward without a reply, [`RequestError::Busy`].
    pub fn global_request(
        &mut self,
        request: GlobalRequestType<'_>,
        reply: Reply,
    ) -> Result<Option<RequestId>, RequestError> {
        self.must_be_connected()?;
        self.mux.may_request(&request, &self.out)?;
        self.mux.global_request(request, reply, &mut self.out)
    }

    /// Exchanges keys now (RFC 4253 section 9), unless an exchange is going on.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotAuthenticated`], [`Misuse::Ended`].
    pub fn rekey(&mut self) -> Result<(), Misuse> {
        self.must_be_connected()?;
        self.start_kex();
        Ok(())
    }

    /// Sends a PING (OpenSSH PROTOCOL 1.9), which [`TransportEvent::Pong`] answers.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotAuthenticated`], [`Misuse::Ended`], [`Misuse::Value`] if `data` is longer than
    /// 1024 bytes or the peer did not announce that it answers.
    pub fn ping(&mut self, data: &[u8]) -> Result<(), Misuse> {
        self.must_be_connected()?;
        if data.len() > 1024 || !self.peer_extensions.ping {
            return Err(Misuse::Value);
        }
        self.out.message(&Ping { data });
        Ok(())
    }

    /// Sends an IGNORE (RFC 4253 section 11.2), for cover traffic.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotAuthenticated`], [`Misuse::Ended`], [`Misuse::Value`] above 16 KiB.
    pub fn ignore(&mut self, data: &[u8]) -> Result<(), Misuse> {
        self.must_be_connected()?;
        if data.len() > 16 * 1024 {
            return Err(Misuse::Value);
        }
        self.out.message(&Ignore { data });
        Ok(())
    }

    /// Says goodbye and ends the connection. [`End::Disconnected`] follows; write the output
    /// before the transport is closed.
    pub fn disconnect(&mut self, reason_code: DisconnectReason, description: &str) {
        let description = description.as_bytes();
        let description = description.get(..MAX_DESCRIPTION).unwrap_or(description);
        self.finish(End::Disconnected, Some((reason_code, description)));
    }

    // -- D: outputs ---------------------------------------------------------------------------

    /// Everything that waits to be written. Small writes to a channel that are still being
    /// collected are sealed by looking; [`has_output`](Self::has_output) only asks.
    pub fn output(&mut self) -> &[u8] {
        self.out.output()
    }

    /// Says that the first `n` bytes of [`output`](Self::output) were written.
    pub fn consume_output(&mut self, n: usize) {
        self.out.buf.consume(n);
        self.exchange_old_keys();
    }

    /// Moves the output into `out`, behind what is there. Where `out` is empty its memory is taken
    /// in exchange and nothing is copied: for I/O that completes later.
    pub fn take_output(&mut self, out: &mut Vec<u8>) {
        self.out.take_output(out);
        self.exchange_old_keys();
    }

    /// The next channel that was blocked and may send now. The events say the same as
    /// [`ChannelEvent::Writable`]; this is for drivers that own the halves apart, whose receiving
    /// half may be waiting in a read while output drains.
    pub fn poll_writable(&mut self) -> Option<ChannelId> {
        if self.has_ended() || self.is_waiting_for_answer() {
            return None;
        }
        self.mux.next_writable(&self.out)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called; `None` for no deadline.
    pub fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        if self.has_ended() {
            return None;
        }
        match self.mux.tickets.next_deadline() {
            Some(at) => self.timers.start_at(Timer::Ticket, at),
            None => self.timers.stop(Timer::Ticket),
        }
        if self.out.buf.is_empty() && self.out.buf.capacity() > 0 {
            self.timers.start_once(Timer::Idle, IDLE);
        } else {
            self.timers.stop(Timer::Idle);
        }
        if self.status() == Status::Stalled {
            self.timers
                .start_once(Timer::OutputStalled, self.config.deadlines.output_stalled);
        } else {
            self.timers.stop(Timer::OutputStalled);
        }
        self.timers.arm(now).map(|(at, _)| at)
    }

    /// What the time that [`poll_timeout`](Self::poll_timeout) returned is for.
    pub fn timeout_reason(&self) -> Option<TimeoutReason> {
        self.timers.next().map(|(_, timer)| timer.reason())
    }

    // -- inside -------------------------------------------------------------------------------

    fn must_live(&self) -> Result<(), Misuse> {
        if self.has_ended() {
            Err(Misuse::Ended)
        } else {
            Ok(())
        }
    }

    fn must_be_connected(&self) -> Result<(), Misuse> {
        self.must_live()?;
        if self.is_authenticated() {
            Ok(())
        } else {
            Err(Misuse::NotAuthenticated)
        }
    }

    pub(crate) fn stage(&self, recv: &RecvSide) -> Stage {
        match self.phase {
            _ if recv.expects_identification() => Stage::Identification,
            Phase::KexInit | Phase::Kex => Stage::KeyExchange,
            Phase::Service | Phase::Auth => Stage::Authentication,
            Phase::Connected => Stage::Connected,
        }
    }

    const fn view(&self) -> View {
        View {
            role: self.role,
            phase: self.phase,
            strict: self.kex.strict(),
            kex: self.kex.expected(),
            skip_guess: self.kex.skip_guess(),
        }
    }

    fn status(&self) -> Status {
        let limits = &self.config.limits;
        if self.has_ended() {
            Status::Ended
        } else if self.gate.is_some() {
            Status::Paused
        } else if !self.out.is_holding() && self.out.buf.filled() > limits.output + limits.control {
            // Never in a key exchange: the KEXINIT that is awaited may be behind.
            Status::Stalled
        } else {
            Status::Open
        }
    }

    /// Both halves learn what the other one knows.
    pub(crate) fn sync(&mut self, recv: &mut RecvSide) {
        self.heard = recv.heard();
        recv.follow(self.view(), self.status(), self.mux.changes());
    }

    /// What every call of `poll_event` begins with.
    pub(crate) fn begin_poll(&mut self, recv: &mut RecvSide) {
        self.mux.refuse_ignored(&mut self.out);
        self.sync(recv);
    }

    /// Events that do not come from input: how the connection ended, and who may write again.
    pub(crate) fn pending(&mut self, recv: &mut RecvSide) -> Option<Pending> {
        if let Some(error) = self.out.take_failure() {
            self.fail(error);
        }
        match core::mem::replace(&mut self.end, Ending::None) {
            Ending::None => {}
            Ending::Pending(end) => {
                self.end = Ending::Reported;
                recv.want_nothing();
                self.sync(recv);
                return Some(Pending::Ended(end));
            }
            Ending::Reported => {
                self.end = Ending::Reported;
                return None;
            }
        }
        if self.gate.is_some() {
            return None;
        }
        self.exchange_old_keys();
        let channel = self.mux.next_writable(&self.out)?;
        recv.want_batch();
        Some(Pending::Writable(channel))
    }

    /// Pauses input for a decision and returns the nonce of its token.
    pub(crate) fn raise_gate(&mut self, now: Instant) -> u64 {
        let nonce = self.out.nonce();
        self.gate = Some(nonce);
        self.timers.hold(now, self.config.deadlines.decision);
        nonce
    }

    /// The decision with this nonce has been made.
    pub(crate) fn lower_gate(&mut self, nonce: u64) -> Result<(), Misuse> {
        self.must_live()?;
        if self.gate != Some(nonce) {
            return Err(Misuse::Token);
        }
        self.gate = None;
        self.timers.resume();
        Ok(())
    }

    /// Authentication has succeeded.
    pub(crate) fn connected(&mut self) {
        self.phase = Phase::Connected;
        self.timers.stop(Timer::Authentication);
        self.timers
            .start_once(Timer::Rekey, self.config.deadlines.rekey);
        if let Some(keepalive) = self.config.deadlines.keepalive {
            self.heard_at_keepalive = self.heard;
            self.timers.start(Timer::Keepalive, keepalive.interval);
        }
    }

    /// Gives the connection up, and tells the peer why.
    pub(crate) fn fail(&mut self, error: Error) {
        let reason = error.disconnect_reason().map(|reason| (reason, &b""[..]));
        self.finish(End::Error(error), reason);
    }

    pub(crate) fn finish(&mut self, end: End, goodbye: Option<(DisconnectReason, &[u8])>) {
        if self.has_ended() {
            return;
        }
        if let Some((reason_code, description)) = goodbye {
            self.out.transport(&Disconnect {
                reason_code,
                description,
                language_tag: b"",
            });
        }
        self.out.close();
        self.gate = None;
        self.timers.stop_all();
        self.end = Ending::Pending(end);
    }

    fn start_kex(&mut self) {
        if self.has_ended() || !self.kex.is_idle() {
            return;
        }
        self.timers.stop(Timer::Rekey);
        self.timers
            .start(Timer::KeyExchange, self.config.deadlines.key_exchange);
        if let Err(error) = self.kex.start(&mut self.out) {
            self.fail(error);
        }
    }

    fn exchange_old_keys(&mut self) {
        let limits = &self.config.limits;
        let used = self.out.sealer.used();
        let old = used.bytes >= limits.rekey_bytes || used.packets >= limits.rekey_packets;
        if old && self.is_authenticated() {
            self.start_kex();
        }
    }

    fn keepalive(&mut self) {
        let Some(keepalive) = self.config.deadlines.keepalive else {
            return;
        };
        self.timers.start(Timer::Keepalive, keepalive.interval);
        if self.heard != self.heard_at_keepalive {
            self.heard_at_keepalive = self.heard;
            self.keepalives_unanswered = 0;
            return;
        }
        if self.keepalives_unanswered >= keepalive.count {
            return self.fail(Error::Timeout(TimeoutReason::Keepalive));
        }
        self.keepalives_unanswered += 1;
        // Where too many requests are unanswered already, their silence is counted just as well.
        let _ = self
            .mux
            .global_request(GlobalRequestType::Keepalive, Reply::Wanted, &mut self.out);
    }

    /// What follows a step of the key exchange: if our NEWKEYS has gone, all that waited for it.
    pub(crate) fn after_kex(&mut self) {
        let sent = self.kex.session_id().is_some() && self.kex.expected() == Some(NewKeys::NUMBER);
        if !sent || !self.out.is_holding() || self.gate.is_some() {
            return;
        }
        if self.phase < Phase::Service {
            self.announce_extensions();
            if self.role == Role::Client {
                self.out.transport(&ServiceRequest {
                    service_name: crate::auth::USERAUTH,
                });
            }
        }
        self.out.release();
        self.mux.flush_credit(&mut self.out);
    }

    //= rfc8308#section-2.4
    //# As the next packet following the client's first SSH_MSG_NEWKEYS.
    //# As the next packet following the server's first SSH_MSG_NEWKEYS.
    fn announce_extensions(&mut self) {
        if !self.kex.peer_takes_ext_info() {
            return;
        }
        let mut algorithms = String::new();
        for algorithm in &self.user_signatures {
            if !algorithms.is_empty() {
                algorithms.push(',');
            }
            algorithms.push_str(algorithm.name());
        }
        let ping = Extension {
            name: Extension::PING,
            value: b"0",
        };
        let server_sig_algs = Extension {
            name: Extension::SERVER_SIG_ALGS,
            value: algorithms.as_bytes(),
        };
        let of_server = [server_sig_algs, ping];
        let of_client = [ping];
        let extensions = match self.role {
            Role::Server => List::new(&of_server),
            Role::Client => List::new(&of_client),
        };
        self.out.transport(&ExtInfo { extensions });
    }

    /// Applies what concerns both halves.
    pub(crate) fn apply<'b>(
        &mut self,
        control: Control<'b>,
        recv: &mut RecvSide,
        now: Instant,
    ) -> Applied<'b> {
        let applied = match self.try_apply(control, recv, now) {
            Ok(applied) => applied,
            Err(error) => {
                self.fail(error);
                Applied::Nothing
            }
        };
        if recv.keys_are_old() && self.is_authenticated() {
            self.start_kex();
        }
        self.sync(recv);
        applied
    }

    fn try_apply<'b>(
        &mut self,
        Control(kind): Control<'b>,
        recv: &mut RecvSide,
        now: Instant,
    ) -> Result<Applied<'b>, Error> {
        match kind {
            Kind::Message(payload) => self.message(payload, recv, now),
            Kind::Data {
                recipient_channel,
                stream,
                data,
            } => {
                let window = self.mux.receive_window(recipient_channel)?;
                recv.take_credit(window.id, window.granted, data.len())?;
                if window.closing {
                    recv.distrust(window.id.slot);
                    return Ok(Applied::Nothing);
                }
                let channel = window.id;
                Ok(Applied::Channel(ChannelEvent::Data {
                    channel,
                    stream,
                    data,
                }))
            }
            Kind::Line(Line::Notice(line)) => {
                Ok(Applied::Transport(TransportEvent::Notice { line }))
            }
            Kind::Line(Line::Identification(peer)) => {
                self.timers.stop(Timer::Identification);
                self.kex.identified(peer);
                Ok(Applied::Transport(TransportEvent::Identified))
            }
            Kind::Line(Line::NeedMore) => Ok(Applied::Nothing),
            Kind::Unknown(packet_sequence_number) => {
                // It may be sent during a key exchange, but then nothing would bound how many of them
                // wait for a peer that does not read.
                self.out.message(&Unimplemented {
                    packet_sequence_number,
                });
                Ok(Applied::Nothing)
            }
            Kind::Eof => {
                let stage = self.stage(recv);
                self.finish(End::Eof { stage }, None);
                Ok(Applied::Nothing)
            }
            Kind::Failed(error) => Err(error),
        }
    }

    fn message<'b>(
        &mut self,
        payload: Payload<'b>,
        recv: &mut RecvSide,
        now: Instant,
    ) -> Result<Applied<'b>, Error> {
        let bytes = payload.bytes;
        Ok(match payload.number {
            1..=4 => self.transport_message(payload)?,
            number::SSH_MSG_EXT_INFO => {
                Applied::Transport(TransportEvent::ExtInfo(self.ext_info(bytes)?))
            }
            number::SSH_MSG_KEXINIT => {
                self.start_kex();
                let report = self.kex.on_kexinit(bytes, payload.seq, &mut self.out)?;
                if self.phase == Phase::KexInit {
                    self.phase = Phase::Kex;
                }
                Applied::Transport(TransportEvent::Negotiated(report))
            }
            30..=49 if self.kex.skip_guess() => {
                self.kex.guess_skipped();
                Applied::Nothing
            }
            30..=49 => match self.kex.on_method(bytes, &mut self.out)? {
                Step::Continue => {
                    self.after_kex();
                    Applied::Nothing
                }
                Step::Decide(key) => Applied::Decide(key),
                Step::Sign {
                    algorithm,
                    key,
                    data,
                } => Applied::Sign {
                    algorithm,
                    key,
                    data,
                },
            },
            number::SSH_MSG_NEWKEYS => {
                let first = self.phase == Phase::Kex;
                let finished = self.kex.on_newkeys(bytes, first)?;
                recv.switch(finished.opening, finished.reset);
                self.timers.stop(Timer::KeyExchange);
                self.timers.start(Timer::Rekey, self.config.deadlines.rekey);
                if finished.first {
                    self.phase = Phase::Service;
                }
                Applied::Transport(TransportEvent::KeysExchanged)
            }
            5 | 6 | 50..=79 => Applied::Auth(payload),
            80..=127 => self.connection_message(payload, recv, now)?,
            _ => self.ping_message(bytes)?,
        })
    }

    fn transport_message<'b>(&mut self, payload: Payload<'b>) -> Result<Applied<'b>, Error> {
        Ok(match payload.number {
            number::SSH_MSG_DISCONNECT => {
                let message = Disconnect::decode(payload.bytes)?;
                let description = message.description;
                let end = End::ByPeer(PeerDisconnect {
                    reason: message.reason_code,
                    description: description
                        .get(..MAX_DESCRIPTION)
                        .unwrap_or(description)
                        .to_vec(),
                });
                self.finish(end, None);
                Applied::Nothing
            }
            number::SSH_MSG_UNIMPLEMENTED => {
                let packet_sequence_number =
                    Unimplemented::decode(payload.bytes)?.packet_sequence_number;
                Applied::Transport(TransportEvent::Unimplemented {
                    packet_sequence_number,
                })
            }
            number::SSH_MSG_DEBUG => {
                let DebugMessage {
                    always_display,
                    message,
                    ..
                } = DebugMessage::decode(payload.bytes)?;
                Applied::Transport(TransportEvent::Debug {
                    always_display,
                    message,
                })
            }
            _ => {
                Ignore::decode(payload.bytes)?;
                Applied::Nothing
            }
        })
    }

    fn ext_info<'b>(&mut self, bytes: &'b [u8]) -> Result<ExtInfo<'b>, Error> {
        let info = ExtInfo::decode(bytes)?;
        for extension in info.extensions.iter() {
            match extension.name {
                Extension::SERVER_SIG_ALGS => {
                    // A list that is none is as good as an empty one: nothing it could allow.
                    let names = NameList::from_wire(extension.value).unwrap_or(NameList::EMPTY);
                    let known = names.iter().filter_map(SignatureAlgorithm::from_name);
                    let mut algorithms = Vec::new();
                    for algorithm in known {
                        if !algorithms.contains(&algorithm) {
                            algorithms.push(algorithm);
                        }
                    }
                    self.peer_extensions.server_sig_algs = Some(algorithms);
                }
                Extension::PING => self.peer_extensions.ping = extension.value == b"0",
                _ => {}
            }
        }
        Ok(info)
    }

    fn ping_message<'b>(&mut self, bytes: &'b [u8]) -> Result<Applied<'b>, Error> {
        if bytes.first() == Some(&Pong::NUMBER) {
            let data = Pong::decode(bytes)?.data;
            return Ok(Applied::Transport(TransportEvent::Pong { data }));
        }
        let data = Ping::decode(bytes)?.data;
        if data.len() > self.config.limits.maximum_packet as usize {
            return Err(PeerMisbehaved::Value.into());
        }
        self.out.message(&Pong { data });
        Ok(Applied::Nothing)
    }

    fn connection_message<'b>(
        &mut self,
        payload: Payload<'b>,
        recv: &mut RecvSide,
        now: Instant,
    ) -> Result<Applied<'b>, Error> {
        let Payload { number, bytes, .. } = payload;
        let out = &mut self.out;
        let incoming = match number {
            number::SSH_MSG_GLOBAL_REQUEST => self.mux.on_global_request(bytes, out, now)?,
            number::SSH_MSG_REQUEST_SUCCESS => self.mux.on_global_reply(bytes, true)?,
            number::SSH_MSG_REQUEST_FAILURE => self.mux.on_global_reply(bytes, false)?,
            number::SSH_MSG_CHANNEL_OPEN => self.mux.on_open(bytes, out, now)?,
            number::SSH_MSG_CHANNEL_OPEN_CONFIRMATION => self.mux.on_confirmation(bytes, out)?,
            number::SSH_MSG_CHANNEL_OPEN_FAILURE => self.mux.on_open_failure(bytes)?,
            number::SSH_MSG_CHANNEL_WINDOW_ADJUST => {
                self.mux.on_window_adjust(bytes)?;
                Incoming::Nothing
            }
            number::SSH_MSG_CHANNEL_EOF => self.mux.on_eof(bytes)?,
            number::SSH_MSG_CHANNEL_CLOSE => self.mux.on_close(bytes, out)?,
            number::SSH_MSG_CHANNEL_REQUEST => self.mux.on_request(bytes, out, now)?,
            number::SSH_MSG_CHANNEL_SUCCESS => self.mux.on_reply(bytes, true)?,
            number::SSH_MSG_CHANNEL_FAILURE => self.mux.on_reply(bytes, false)?,
            _ => return Err(PeerMisbehaved::UnexpectedMessage(number).into()),
        };
        Ok(match incoming {
            Incoming::Nothing => Applied::Nothing,
            Incoming::Channel(event) => Applied::Channel(event),
            Incoming::Global(event) => Applied::Global(event),
            Incoming::AtEnd(slot, event) => {
                recv.distrust(slot);
                event.map_or(Applied::Nothing, Applied::Channel)
            }
            Incoming::Gone(slot, event) => {
                recv.forget(slot);
                event.map_or(Applied::Nothing, Applied::Channel)
            }
        })
    }
}

/// An event that does not come from input.
#[derive(Debug)]
pub(crate) enum Pending {
    Ended(End),
    Writable(ChannelId),
}
