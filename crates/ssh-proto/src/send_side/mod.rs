//! The sending half of a connection: [`SendSide`], which is also where its state lives.
//!
//! Output, key exchange, channels and timers are siblings here; the roles add authentication.
//! After every call that takes `&mut self`, look at [`output`](SendSide::output) and
//! [`poll_timeout`](SendSide::poll_timeout) before you sleep.

mod apply;
mod commands;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::algorithm::SignatureAlgorithm;
use crate::config::{ConfigError, TransportConfig};
use crate::error::{End, Error, HostKeyError, Misuse, Stage};
use crate::kex::{Kex, Keys, Negotiated, NegotiationReport};
use crate::key::PublicKey;
use crate::message::{Disconnect, DisconnectReason, ExtInfo, NewKeys, ServiceRequest, Wire};
use crate::mux::{ChannelEvent, ChannelId, GlobalEvent, Mux};
use crate::out::Out;
use crate::random::Random;
use crate::recv::Wants;
use crate::recv_side::{RecvSide, Status};
use crate::time::{Instant, TimeoutReason, Timer, TimerTable};
use crate::transport::{Identification, Lifetime, Payload, Phase, Role, View};

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
    /// What the peer owes for our pings, in bytes.
    pings_unanswered: usize,
}

impl SendSide {
    pub(crate) fn new(
        role: Role,
        config: TransportConfig,
        keys: Keys,
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
        let out = Out::new(random, limits.output).map_err(|_| ConfigError {
            field: "random",
            reason: "failed".into(),
        })?;
        let mut send = Self {
            role,
            out,
            kex: Kex::new(role, config.clone(), keys, ours.clone()),
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
            pings_unanswered: 0,
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

    /// How many channels are open or opening, as `Limits::channels` counts them: one that was closed
    /// before it was open has no id any more, and counts until the peer has answered.
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
        if self.has_ended() {
            // Tickets may still be out, and nobody waits for the answers.
            return;
        }
        self.time_tickets();
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Ticket => self.mux.refuse_expired(now, &mut self.out),
                // Before authentication has ended no peer has to exchange keys again: `connected`
                // starts this timer anew.
                Timer::Rekey if self.is_authenticated() => self.start_kex(),
                Timer::Rekey => {}
                Timer::Keepalive => self.keepalive(),
                Timer::Idle => self.out.buf.give_back(),
                Timer::Decision if self.kex.is_deciding() => {
                    self.fail(HostKeyError::Undecided.into());
                }
                Timer::Decision
                | Timer::Identification
                | Timer::KeyExchange
                | Timer::Authentication
                | Timer::OutputStalled => self.fail(Error::Timeout(timer.reason())),
            }
        }
    }

    // -- D: outputs ---------------------------------------------------------------------------

    /// Everything that waits to be written. Small writes to a channel that are still being
    /// collected are sealed by looking; [`has_output`](Self::has_output) only asks.
    pub fn output(&mut self) -> &[u8] {
        self.out.output()
    }

    /// Says that the first `n` bytes of [`output`](Self::output) were written.
    ///
    /// Somebody who was blocked may be able to send now: `wants()` of the connection then says
    /// `Batch`.
    pub fn consume_output(&mut self, n: usize) {
        if self.out.buf.consume(n) {
            self.output_moved();
        }
    }

    /// Puts the output into `out`, in place of what is there, and takes its memory in exchange:
    /// nothing is copied and, in the long run, nothing allocated. For I/O that completes later.
    ///
    /// What was taken counts as written, so take more only when it has been: otherwise output
    /// piles up where no limit sees it.
    pub fn take_output(&mut self, out: &mut Vec<u8>) {
        let had_some = self.has_output();
        self.out.take_output(out);
        if had_some {
            self.output_moved();
        }
    }

    /// Gives the memory of the output back if nothing is in it. It happens by itself when the
    /// connection has been idle for a second; this is for loops with so many connections that they
    /// would rather not wait, since by then the memory of others lies around it.
    pub fn give_back(&mut self) {
        self.out.buf.give_back();
    }

    fn output_moved(&mut self) {
        // The peer takes something: the time that it has for the rest begins anew.
        self.timers.stop(Timer::OutputStalled);
        // And nobody is idle.
        self.timers.stop(Timer::Idle);
        self.exchange_old_keys();
    }

    /// Says how many packets the receiving half has heard ([`RecvSide::heard`]), so that silence
    /// is not counted where the halves are apart and only data comes. For everybody else it is
    /// known already.
    pub const fn note_heard(&mut self, packets: u64) {
        self.heard = packets;
    }

    /// The next channel that was blocked and may send now. It says the same as
    /// [`ChannelEvent::Writable`], in place of that event where the halves are apart: there the
    /// receiving half may be waiting in a read while output drains.
    ///
    /// A channel that was returned has its turn, and the others wait for theirs as long as this is
    /// not called again.
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
        self.time_tickets();
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

    /// Tickets have deadlines of their own; the timer runs for the first of them.
    fn time_tickets(&mut self) {
        match self.mux.tickets.next_deadline() {
            Some(at) => self.timers.start_at(Timer::Ticket, at),
            None => self.timers.stop(Timer::Ticket),
        }
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

    #[inline]
    const fn view(&self) -> View {
        View {
            role: self.role,
            phase: self.phase,
            strict: self.kex.strict(),
            kex: self.kex.expected(),
            skip_guess: self.kex.skip_guess(),
        }
    }

    #[inline]
    fn status(&self) -> Status {
        let limits = &self.config.limits;
        let mark = if self.is_authenticated() {
            limits.stall_mark()
        } else {
            limits.packet_before_auth
        };
        if self.has_ended() {
            Status::Ended
        } else if self.gate.is_some() {
            Status::Paused
        } else if !self.out.is_holding() && self.out.buf.filled() > mark {
            // Never in a key exchange: the KEXINIT that is awaited may be behind.
            Status::Stalled
        } else {
            Status::Open
        }
    }

    /// What is needed next, with both halves in view: what `recv` answered last, unless something
    /// has happened since.
    pub(crate) fn wants(&self, recv: &RecvSide) -> Wants {
        let event_due = match self.end {
            Ending::Pending(_) => true,
            Ending::Reported => return Wants::Closed,
            Ending::None => self.out.has_failed(),
        };
        if event_due {
            return Wants::Batch;
        }
        match self.status() {
            Status::Paused if recv.is_at_end() && !self.is_authenticated() => Wants::Batch,
            Status::Paused => Wants::Answer,
            _ if self.mux.has_writable(&self.out) => Wants::Batch,
            Status::Stalled if !recv.is_at_end() => Wants::Output,
            _ => match recv.wants() {
                Wants::Bytes(_) if recv.is_at_end() => Wants::Batch,
                Wants::Bytes(n) => Wants::Bytes(n),
                _ => Wants::Batch,
            },
        }
    }

    /// Both halves learn what the other one knows.
    #[inline]
    pub(crate) fn sync(&mut self, recv: &mut RecvSide) {
        self.heard = recv.heard();
        recv.follow(self.view(), self.status(), self.mux.changes());
    }

    /// What every call of `poll_event` begins with.
    #[inline]
    pub(crate) fn begin_poll(&mut self, recv: &mut RecvSide) {
        self.mux.refuse_ignored(&mut self.out);
        self.sync(recv);
    }

    /// Events that do not come from input: how the connection ended, and who may write again.
    pub(crate) fn pending(&mut self, recv: &mut RecvSide) -> Option<Pending> {
        if let Some(error) = self.out.take_failure() {
            self.fail(error);
        }
        if self.has_ended() {
            let Ending::Pending(end) = core::mem::replace(&mut self.end, Ending::Reported) else {
                return None;
            };
            recv.want_nothing();
            self.sync(recv);
            return Some(Pending::Ended(end));
        }
        if self.gate.is_some() {
            return None;
        }
        self.exchange_old_keys();
        if self.mux.is_apart() {
            // Told by `poll_writable`, to whoever owns this half.
            return None;
        }
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
        self.out.sealer.authenticated();
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

    #[inline]
    fn exchange_old_keys(&mut self) {
        let sealer = &self.out.sealer;
        let lifetime = Lifetime::new(&self.config.limits, sealer.cipher());
        if lifetime.is_over(sealer.used()) && self.is_authenticated() {
            self.start_kex();
        }
    }

    fn keepalive(&mut self) {
        let Some(keepalive) = self.config.deadlines.keepalive else {
            return;
        };
        self.timers.start(Timer::Keepalive, keepalive.interval);
        if self.status() == Status::Stalled {
            // It is us who do not listen.
            return;
        }
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
        self.mux.keepalive(&mut self.out);
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
}

/// An event that does not come from input.
#[derive(Debug)]
pub(crate) enum Pending {
    Ended(End),
    Writable(ChannelId),
}
