//! The receiving half of a connection: [`RecvSide`].
//!
//! It owns what is needed to open packets and to let data through, and nothing else, so a driver
//! may keep it on one thread without a lock while the sending half is behind a mutex. Data packets
//! touch this half only; every other packet comes out as a [`Control`], which is applied with both
//! halves in hand.
//!
//! ```text
//!   Batch --> identification / Opener --> Inflater --> Gate --+--> Opened::Data      (this half alone)
//!                                         where it is on      +--> Opened::Control   (apply: both halves)
//! ```
//!
//! What this half knows of the other is a copy: the [`View`] that the gate judges by, and for each
//! channel how much has been granted. A copy may be old. It errs on the safe side: data beyond the
//! credit that is known here goes the other way, where the truth is.

use alloc::vec::Vec;

use crate::algorithm::CompressionAlgorithm;
use crate::config::Limits;
use crate::error::{Error, LimitExceeded, PeerMisbehaved};
use crate::message::{ChannelData, ChannelExtendedData, Disconnect, Wire};
use crate::mux::{ChannelId, Stream};
use crate::recv::{Batch, Wants};
use crate::transport::{
    ExpectIdentification, Inflater, Lifetime, Line, Opener, Packet, Payload, Phase, ResetSequence,
    Role, Usage, Verdict, View,
};

/// Whether input is taken, as decided by the sending half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Open,
    /// A decision of the application is out.
    Paused,
    /// Output must drain first.
    Stalled,
    Ended,
}

/// The receiving half of a connection.
#[derive(Debug)]
pub struct RecvSide {
    identification: Option<ExpectIdentification>,
    opener: Opener,
    inflater: Inflater,
    /// On a server: packets may come that the client sent before it knew that it is in.
    under_way: bool,
    view: View,
    status: Status,
    wants: Wants,
    /// The transport has ended.
    eof: bool,
    channels: Vec<Option<Window>>,
    limits: RecvLimits,
    /// Of the keys in use.
    lifetime: Lifetime,
    before_auth: Usage,
    /// Counts what was received, as a sign of life.
    heard: u64,
    /// The last state of the channel table that the cached windows agree with.
    seen_changes: u64,
}

#[derive(Debug)]
struct RecvLimits {
    packet_before_auth: usize,
    packet: usize,
    inflated: usize,
    packets_before_auth: u64,
    bytes_before_auth: u64,
    maximum_packet: u32,
}

/// What is known here of a channel: `received <= granted`.
#[derive(Clone, Copy, Debug)]
struct Window {
    id: ChannelId,
    received: u64,
    granted: u64,
    /// False once something has changed that only the sending half knows of.
    current: bool,
}

/// What came off a batch. `Debug` does not show data.
#[non_exhaustive]
pub enum Opened<'b> {
    /// Data of a channel. Its credit goes back to the peer when it is released.
    Data {
        /// On which channel.
        channel: ChannelId,
        /// On which of its streams.
        stream: Stream,
        /// The bytes, in the receive buffer.
        data: &'b [u8],
    },
    /// Anything else: to be applied with both halves in hand.
    Control(Control<'b>),
}

impl core::fmt::Debug for Opened<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Data { channel, data, .. } => write!(f, "Data({channel}, {} bytes)", data.len()),
            Self::Control(control) => control.fmt(f),
        }
    }
}

/// Something that concerns both halves of a connection.
#[must_use = "a message that is not applied is lost, and the connection with it"]
pub struct Control<'b>(pub(crate) Kind<'b>);

impl core::fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.0 {
            Kind::Line(_) => f.write_str("Control(a line)"),
            Kind::Message(payload) => write!(f, "Control({payload:?})"),
            Kind::Unknown(seq) => write!(f, "Control(packet {seq}, not recognised)"),
            Kind::Data { data, .. } => write!(f, "Control(data, {} bytes)", data.len()),
            Kind::Eof => f.write_str("Control(end of input)"),
            Kind::Failed(error) => write!(f, "Control({error})"),
        }
    }
}

pub(crate) enum Kind<'b> {
    Line(Line),
    Message(Payload<'b>),
    /// Not recognised: to be answered with UNIMPLEMENTED.
    Unknown(u32),
    /// Data whose credit is not known here.
    Data {
        recipient_channel: u32,
        stream: Stream,
        data: &'b [u8],
    },
    Eof,
    Failed(Error),
}

impl RecvSide {
    pub(crate) fn new(role: Role, limits: &Limits) -> Self {
        Self {
            identification: Some(match role {
                Role::Client => ExpectIdentification::of_server(),
                Role::Server => ExpectIdentification::of_client(),
            }),
            opener: Opener::new(),
            inflater: Inflater::new(),
            under_way: role == Role::Server,
            view: View::new(role),
            status: Status::Open,
            wants: Wants::Bytes(1),
            eof: false,
            channels: Vec::new(),
            limits: RecvLimits {
                packet_before_auth: limits.packet_before_auth,
                packet: limits.packet,
                inflated: limits.inflated,
                packets_before_auth: limits.packets_before_auth,
                bytes_before_auth: limits.bytes_before_auth,
                maximum_packet: limits.maximum_packet,
            },
            lifetime: Lifetime::new(limits, None),
            before_auth: Usage::default(),
            heard: 0,
            seen_changes: 0,
        }
    }

    /// As if so many packets had been received already under the keys in use.
    #[cfg(feature = "internal-fuzzing")]
    pub fn fuzz_received(&mut self, packets: u32) {
        self.opener.pretend(packets);
    }

    /// As if so many bytes had been received already under the keys in use.
    #[cfg(feature = "internal-fuzzing")]
    pub fn fuzz_received_bytes(&mut self, bytes: u64) {
        self.opener.pretend_bytes(bytes);
    }

    /// What is needed next; the answer to why [`open`](Self::open) returned `None`. It is as old
    /// as that answer: what has happened on the other half since is not in it.
    pub const fn wants(&self) -> Wants {
        self.wants
    }

    /// The size of the packet at the front of the input, once its length was accepted against the
    /// limit of its phase, or the least that is needed to learn it. What a shared
    /// [`RecvBuf`](crate::recv::RecvBuf) is loaded for.
    pub fn need(&self) -> usize {
        if self.identification.is_some() {
            1
        } else {
            self.opener.need()
        }
    }

    /// The transport has ended: nothing more will come than what was read already.
    pub const fn close_input(&mut self) {
        self.eof = true;
    }

    /// Takes the next thing off the batch. `None` is explained by [`wants`](Self::wants).
    pub fn open<'b>(&mut self, batch: &mut Batch<'b>) -> Option<Opened<'b>> {
        loop {
            self.wants = match self.status {
                Status::Open => Wants::Batch,
                Status::Paused if self.eof && self.view.phase != Phase::Connected => {
                    if !self.has_room(batch) {
                        self.wants = Wants::Batch;
                        return None;
                    }
                    return Some(Opened::Control(Control(self.last_words(batch))));
                }
                // Nobody takes our output any more, and what was read already is not lost.
                Status::Stalled if self.eof => Wants::Batch,
                Status::Paused => Wants::Answer,
                Status::Stalled => Wants::Output,
                Status::Ended => Wants::Closed,
            };
            if self.wants != Wants::Batch {
                return None;
            }
            let step = match self.identification {
                Some(_) => self.line(batch),
                None => self.packet(batch),
            };
            match step {
                Ok(Some(Next::Opened(opened))) => return Some(opened),
                Ok(Some(Next::Again)) => {}
                Ok(Some(Next::Later)) => return None,
                Ok(None) if self.eof => return Some(Opened::Control(Control(Kind::Eof))),
                Ok(None) => return None,
                Err(error) => return Some(Opened::Control(Control(Kind::Failed(error)))),
            }
        }
    }

    /// The transport ended while the application decides: the connection is over, and all that is
    /// of interest is whether the peer said why.
    fn last_words<'b>(&mut self, batch: &mut Batch<'b>) -> Kind<'b> {
        self.wants = Wants::Batch;
        if self.identification.is_none()
            && let Ok(Some(Next::Opened(Opened::Control(Control(Kind::Message(payload)))))) =
                self.packet(batch)
            && payload.number == <Disconnect<'_> as Wire<'_>>::NUMBER
        {
            return Kind::Message(payload);
        }
        Kind::Eof
    }

    fn line<'b>(&mut self, batch: &mut Batch<'b>) -> Result<Option<Next<'b>>, Error> {
        let Some(expect) = &mut self.identification else {
            return Ok(Some(Next::Again));
        };
        let line = expect.next(batch)?;
        match line {
            Line::NeedMore => {
                self.wants = Wants::Bytes(1);
                return Ok(None);
            }
            Line::Notice(_) => {}
            Line::Identification(_) => self.identification = None,
        }
        Ok(Some(Next::control(Kind::Line(line))))
    }

    fn packet<'b>(&mut self, batch: &mut Batch<'b>) -> Result<Option<Next<'b>>, Error> {
        let authenticated = self.view.phase == Phase::Connected;
        let max = if authenticated {
            self.limits.packet
        } else {
            self.limits.packet_before_auth
        };
        let inflates_to = self.inflates_to(authenticated);
        if inflates_to.is_some_and(|limit| !batch.has_room(limit)) {
            self.wants = Wants::Batch;
            return Ok(Some(Next::Later));
        }
        let payload = match self.opener.next(batch, max, !authenticated)? {
            Packet::Missing(n) => {
                self.wants = Wants::Bytes(n);
                return Ok(None);
            }
            Packet::Payload(payload) => match inflates_to {
                Some(limit) => self.inflated(payload, batch, limit, authenticated)?,
                None => payload,
            },
        };
        // The lists of a KEXINIT are copied for the report: what was too much in the first exchange
        // is too much in a later one.
        if matches!(payload.number, 20..=49) && payload.bytes.len() > self.limits.packet_before_auth
        {
            let length = u32::try_from(payload.bytes.len()).unwrap_or(u32::MAX);
            return Err(LimitExceeded::Packet(length).into());
        }
        self.heard = self.heard.wrapping_add(1);
        if !authenticated {
            self.count_before_auth(payload.bytes.len())?;
        }
        if authenticated && self.lifetime.is_exceeded(self.opener.used()) {
            return Err(LimitExceeded::RekeyIgnored.into());
        }
        #[cfg(feature = "internal-fuzzing")]
        crate::fuzzing::judged(self.view, payload.bytes);
        match self.view.judge(payload.number) {
            Verdict::Accept => self.accept(payload).map(Some),
            Verdict::Ignore => Ok(Some(Next::Again)),
            Verdict::Unknown => Ok(Some(Next::control(Kind::Unknown(payload.seq)))),
            Verdict::Refuse => Err(self.view.refusal(payload.number).into()),
        }
    }

    /// The most that a packet of this phase inflates to, where packets are compressed.
    const fn inflates_to(&self, authenticated: bool) -> Option<usize> {
        if !self.inflater.is_on(authenticated) {
            return None;
        }
        Some(if authenticated {
            self.limits.inflated
        } else {
            self.limits.packet_before_auth
        })
    }

    fn has_room(&self, batch: &Batch<'_>) -> bool {
        let inflates_to = self.inflates_to(self.view.phase == Phase::Connected);
        inflates_to.is_none_or(|limit| batch.has_room(limit))
    }

    /// The payload as it was before it was compressed.
    fn inflated<'b>(
        &mut self,
        payload: Payload<'b>,
        batch: &mut Batch<'b>,
        limit: usize,
        authenticated: bool,
    ) -> Result<Payload<'b>, Error> {
        if self.under_way && authenticated && is_from_before(payload.number) {
            self.count_before_auth(payload.bytes.len())?;
            return Ok(payload);
        }
        self.under_way = false;
        let room = batch.room(limit)?;
        let length = self.inflater.unpack(payload.bytes, room, authenticated)?;
        let bytes = batch.lend(length);
        let &number = bytes.first().ok_or(PeerMisbehaved::NoPayload)?;
        Ok(Payload {
            seq: payload.seq,
            number,
            bytes,
        })
    }

    fn count_before_auth(&mut self, bytes: usize) -> Result<(), Error> {
        self.before_auth.count(bytes);
        if self.before_auth.packets > self.limits.packets_before_auth {
            return Err(LimitExceeded::PacketsBeforeAuth.into());
        }
        if self.before_auth.bytes > self.limits.bytes_before_auth {
            return Err(LimitExceeded::BytesBeforeAuth.into());
        }
        Ok(())
    }

    /// What the gate has let through: data only after authentication.
    fn accept<'b>(&mut self, payload: Payload<'b>) -> Result<Next<'b>, Error> {
        const DATA: u8 = <ChannelData<'_> as Wire<'_>>::NUMBER;
        const EXTENDED_DATA: u8 = <ChannelExtendedData<'_> as Wire<'_>>::NUMBER;
        let (recipient_channel, stream, data) = match payload.number {
            DATA => {
                let message = ChannelData::decode(payload.bytes)?;
                (message.recipient_channel, Stream::Data, message.data)
            }
            EXTENDED_DATA => {
                let message = ChannelExtendedData::decode(payload.bytes)?;
                let stream = Stream::Extended(message.data_type_code.0);
                (message.recipient_channel, stream, message.data)
            }
            _ => return Ok(Next::control(Kind::Message(payload))),
        };
        if data.len() > self.limits.maximum_packet as usize {
            return Err(PeerMisbehaved::MaximumPacketExceeded.into());
        }
        // Old keys are the sending half's business: let it see this packet.
        let aged = self.keys_are_old();
        if let Some(window) = self.window(recipient_channel)
            && !aged
            && window.current
            && window.take(data.len())
        {
            let channel = window.id;
            return Ok(Next::Opened(Opened::Data {
                channel,
                stream,
                data,
            }));
        }
        Ok(Next::control(Kind::Data {
            recipient_channel,
            stream,
            data,
        }))
    }

    #[inline]
    fn window(&mut self, slot: u32) -> Option<&mut Window> {
        self.channels.get_mut(slot as usize)?.as_mut()
    }

    /// Whether so much has been received that keys should be exchanged.
    #[inline]
    pub(crate) const fn keys_are_old(&self) -> bool {
        self.lifetime.is_over(self.opener.used())
    }

    /// Data with the truth about its channel's credit at hand.
    pub(crate) fn take_credit(
        &mut self,
        id: ChannelId,
        granted: u64,
        n: usize,
    ) -> Result<(), Error> {
        let slot = id.slot as usize;
        let missing = (slot + 1).saturating_sub(self.channels.len());
        if missing > 0 {
            self.channels.try_reserve(missing)?;
            self.channels.resize(slot + 1, None);
        }
        let Some(place) = self.channels.get_mut(slot) else {
            return Ok(());
        };
        let window = match place {
            Some(window) if window.id == id => window,
            _ => place.insert(Window {
                id,
                received: 0,
                granted,
                current: true,
            }),
        };
        (window.granted, window.current) = (granted, true);
        if window.take(n) {
            Ok(())
        } else {
            Err(PeerMisbehaved::WindowExceeded.into())
        }
    }

    /// The channel in this slot is gone or at its end: nothing may be let through unseen.
    pub(crate) fn distrust(&mut self, slot: u32) {
        if let Some(window) = self.window(slot) {
            window.current = false;
        }
    }

    /// The channel in this slot is gone.
    pub(crate) fn forget(&mut self, slot: u32) {
        if let Some(place) = self.channels.get_mut(slot as usize) {
            *place = None;
        }
        while self.channels.last().is_some_and(Option::is_none) {
            self.channels.pop();
        }
        if self.channels.is_empty() {
            self.channels = Vec::new();
        }
    }

    pub(crate) fn switch(
        &mut self,
        opening: crate::crypto::cipher::OpeningKey,
        reset: ResetSequence,
        compression: CompressionAlgorithm,
        limits: &Limits,
    ) {
        self.lifetime = Lifetime::new(limits, Some(opening.cipher()));
        self.opener.switch(opening, reset);
        self.inflater.begin(compression);
        self.under_way &= self.view.phase != Phase::Connected;
    }

    /// Takes over what the sending half knows.
    #[inline]
    pub(crate) fn follow(&mut self, view: View, status: Status, changes: u64) {
        self.view = view;
        self.status = status;
        if self.seen_changes != changes {
            self.seen_changes = changes;
            for window in self.channels.iter_mut().flatten() {
                window.current = false;
            }
        }
    }

    /// There is an event that did not come from input.
    pub(crate) const fn want_batch(&mut self) {
        self.wants = Wants::Batch;
    }

    /// It is over.
    pub(crate) fn want_nothing(&mut self) {
        self.wants = Wants::Closed;
        self.inflater.end();
    }

    /// How many packets have been received: for [`SendSide::note_heard`](crate::SendSide), where
    /// the halves are apart.
    pub const fn heard(&self) -> u64 {
        self.heard
    }

    pub(crate) const fn is_at_end(&self) -> bool {
        self.eof
    }

    pub(crate) const fn expects_identification(&self) -> bool {
        self.identification.is_some()
    }
}

/// Whether a message of this number may be one that a client sent, not compressed, before it had
/// SSH_MSG_USERAUTH_SUCCESS: of the transport or of authentication. A stream begins with an octet whose
/// lower half is 8 (RFC 1950 section 2.2), and no message that there is of these has such a number.
const fn is_from_before(number: u8) -> bool {
    matches!(number, 1..=4 | 50..=79) && number & 0x0f != 8
}

enum Next<'b> {
    Opened(Opened<'b>),
    Again,
    /// There is no room in this batch for another packet.
    Later,
}

impl<'b> Next<'b> {
    const fn control(kind: Kind<'b>) -> Self {
        Self::Opened(Opened::Control(Control(kind)))
    }
}

impl Window {
    fn take(&mut self, n: usize) -> bool {
        let received = self.received.saturating_add(n as u64);
        let fits = received <= self.granted;
        if fits {
            self.received = received;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::{format, vec};

    use super::*;
    use crate::message::number;
    use crate::recv::Consumed;

    const IGNORE: [u8; 5] = [number::SSH_MSG_IGNORE, 0, 0, 0, 0];

    /// One that has seen the identification line, has no keys yet and is in this phase.
    fn recv(phase: Phase, limits: &Limits) -> RecvSide {
        let mut recv = RecvSide::new(Role::Server, limits);
        recv.identification = None;
        recv.view.phase = phase;
        recv
    }

    /// A packet without keys (RFC 4253 section 6).
    fn packet(payload: &[u8]) -> Vec<u8> {
        let padding = 4 + (7 - (payload.len() + 8) % 8);
        let length = 1 + payload.len() + padding;
        let mut packet = vec![0, 0, 0, u8::try_from(length).unwrap()];
        packet.push(u8::try_from(padding).unwrap());
        packet.extend_from_slice(payload);
        packet.resize(4 + length, 0);
        packet
    }

    /// What became of a packet: the limit that it exceeds, and whether its bytes are to be wiped.
    fn take(recv: &mut RecvSide, payload: &[u8]) -> (Option<LimitExceeded>, bool) {
        let mut bytes = packet(payload);
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(&mut bytes, &mut consumed);
        let limit = match recv.open(&mut batch) {
            Some(Opened::Control(Control(Kind::Failed(Error::Limit(limit))))) => Some(limit),
            Some(Opened::Control(Control(Kind::Message(_)))) => None,
            other => panic!("{other:?}"),
        };
        (limit, consumed.secret())
    }

    #[test]
    fn p15_packets_and_bytes_before_authentication_are_counted_to_the_last_one() {
        let limits = Limits {
            packets_before_auth: 3,
            ..Limits::default()
        };
        let mut one = recv(Phase::Auth, &limits);
        for n in 1..=3 {
            assert_eq!(take(&mut one, &IGNORE).0, None, "{n}");
        }
        let limit = take(&mut one, &IGNORE).0;
        assert_eq!(limit, Some(LimitExceeded::PacketsBeforeAuth));
        let limits = Limits {
            bytes_before_auth: 15,
            ..Limits::default()
        };
        let mut one = recv(Phase::Auth, &limits);
        for n in 1..=3 {
            assert_eq!(take(&mut one, &IGNORE).0, None, "{n}");
        }
        let limit = take(&mut one, &IGNORE).0;
        assert_eq!(limit, Some(LimitExceeded::BytesBeforeAuth));
        let mut one = recv(Phase::Connected, &limits);
        for n in 1..=10 {
            assert_eq!(take(&mut one, &IGNORE).0, None, "{n}");
        }
    }

    #[test]
    fn q1_what_comes_before_authentication_is_wiped() {
        for (phase, secret) in [(Phase::Auth, true), (Phase::Connected, false)] {
            let mut recv = recv(phase, &Limits::default());
            assert_eq!(take(&mut recv, &IGNORE).1, secret, "{phase:?}");
        }
    }

    #[test]
    fn r2_old_keys_are_borne_for_so_many_bytes() {
        let mut limits = Limits::default();
        // Four times what asks for new keys, or that and twice the windows, whichever is more.
        for (rekey_bytes, window_total, most) in [(16, 16, 64), (16, 24, 64), (16, 40, 96)] {
            (limits.rekey_bytes, limits.window_total) = (rekey_bytes, window_total);
            let mut recv = recv(Phase::Connected, &limits);
            for n in 1..=most / 16 {
                assert_eq!(take(&mut recv, &IGNORE).0, None, "{n} of {most}");
            }
            let limit = take(&mut recv, &IGNORE).0;
            assert_eq!(limit, Some(LimitExceeded::RekeyIgnored), "{most}");
        }
    }

    #[test]
    fn keys_are_old_after_so_many_packets_or_bytes() {
        let mut limits = Limits::default();
        (limits.rekey_bytes, limits.rekey_packets) = (48, 1000);
        let mut by_bytes = recv(Phase::Connected, &limits);
        (limits.rekey_bytes, limits.rekey_packets) = (1 << 20, 3);
        let mut by_packets = recv(Phase::Connected, &limits);
        for recv in [&mut by_bytes, &mut by_packets] {
            for _ in 0..2 {
                take(recv, &IGNORE);
                assert!(!recv.keys_are_old());
            }
            take(recv, &IGNORE);
            assert!(recv.keys_are_old());
        }
    }

    /// Opens one thing of `payload`'s packet, or of nothing: what it is, and what is wanted then.
    fn open(recv: &mut RecvSide, payload: Option<&[u8]>) -> (Option<String>, Wants) {
        let mut bytes = payload.map(packet).unwrap_or_default();
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(&mut bytes, &mut consumed);
        let opened = recv.open(&mut batch).map(|opened| format!("{opened:?}"));
        (opened, recv.wants())
    }

    #[test]
    fn last_words_count_while_somebody_decides_and_nothing_else_does() {
        const GOODBYE: [u8; 13] = [
            number::SSH_MSG_DISCONNECT,
            0,
            0,
            0,
            11,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ];
        let waiting = |phase| {
            let mut recv = recv(phase, &Limits::default());
            recv.status = Status::Paused;
            recv
        };
        for phase in [Phase::Auth, Phase::Connected] {
            let mut recv = waiting(phase);
            assert_eq!(open(&mut recv, Some(&GOODBYE)), (None, Wants::Answer));
        }
        for (payload, opened) in [
            (Some(&GOODBYE[..]), "Control(Payload(number 1, 13 bytes))"),
            (Some(&IGNORE), "Control(end of input)"),
            (None, "Control(end of input)"),
        ] {
            let mut recv = waiting(Phase::Auth);
            recv.close_input();
            assert_eq!(open(&mut recv, payload).0.as_deref(), Some(opened));
        }
        // What was received on channels is not lost: it waits for the answer.
        let mut recv = waiting(Phase::Connected);
        recv.close_input();
        assert_eq!(open(&mut recv, Some(&GOODBYE)), (None, Wants::Answer));
    }

    #[cfg(feature = "legacy")]
    #[test]
    fn last_words_wait_for_room_to_inflate_them() {
        for room in [true, false] {
            let limits = Limits::default();
            let mut recv = recv(Phase::Auth, &limits);
            recv.inflater.begin(CompressionAlgorithm::Zlib);
            recv.status = Status::Paused;
            recv.close_input();
            let mut consumed = Consumed::default();
            let mut batch = Batch::over(&mut [], &mut consumed);
            batch.room(limits.packet_before_auth).unwrap();
            // All of it but what one more packet may need, or a byte less than that.
            let rest = limits.packet_before_auth - usize::from(!room);
            batch.lend(limits.packet_before_auth + crate::recv::INFLATE_AHEAD - rest);
            let opened = recv.open(&mut batch).map(|opened| format!("{opened:?}"));
            assert_eq!(opened.as_deref(), room.then_some("Control(end of input)"));
            assert_eq!(recv.wants() == Wants::Batch, !room);
        }
    }

    #[test]
    fn what_was_read_is_opened_when_nobody_takes_output_any_more() {
        let mut recv = recv(Phase::Connected, &Limits::default());
        recv.status = Status::Stalled;
        assert_eq!(open(&mut recv, Some(&IGNORE)), (None, Wants::Output));
        recv.close_input();
        let (opened, _) = open(&mut recv, Some(&IGNORE));
        assert_eq!(
            opened.as_deref(),
            Some("Control(Payload(number 2, 5 bytes))")
        );
        let (opened, _) = open(&mut recv, None);
        assert_eq!(opened.as_deref(), Some("Control(end of input)"));
    }

    /// A stream that is compressed begins with an octet whose lower half is 8.
    #[test]
    fn z4_no_message_of_before_looks_like_the_beginning_of_a_stream() {
        let from_before: Vec<u8> = (0..=u8::MAX).filter(|n| is_from_before(*n)).collect();
        let expected = (1..=4).chain(50..=55).chain(57..=71).chain(73..=79);
        assert_eq!(from_before, expected.collect::<Vec<u8>>());
    }

    #[test]
    fn what_is_wanted_is_what_the_other_half_has_last_said() {
        let mut recv = recv(Phase::Connected, &Limits::default());
        assert_eq!(open(&mut recv, None), (None, Wants::Bytes(8)));
        recv.want_batch();
        assert_eq!(recv.wants(), Wants::Batch);
        recv.want_nothing();
        assert_eq!(recv.wants(), Wants::Closed);
    }

    #[test]
    fn credit_is_that_of_one_channel_and_not_of_the_next_in_its_place() {
        let mut recv = recv(Phase::Connected, &Limits::default());
        let [one, next] = [0, 1].map(|generation| ChannelId::of(3, generation));
        for id in [one, next] {
            assert!(recv.take_credit(id, 10, 10).is_ok());
            assert!(matches!(
                recv.take_credit(id, 10, 1),
                Err(Error::PeerMisbehaved(PeerMisbehaved::WindowExceeded))
            ));
        }
    }

    #[test]
    fn q8_what_was_received_is_printed_without_its_contents() {
        let data = Kind::Data {
            recipient_channel: 1,
            stream: Stream::Data,
            data: b"hunter2",
        };
        let payload = Payload {
            seq: 9,
            number: 50,
            bytes: b"2hunter2",
        };
        for (kind, shown) in [
            (data, "Control(data, 7 bytes)"),
            (
                Kind::Message(payload),
                "Control(Payload(number 50, 8 bytes))",
            ),
            (Kind::Line(Line::NeedMore), "Control(a line)"),
            (Kind::Unknown(9), "Control(packet 9, not recognised)"),
            (Kind::Eof, "Control(end of input)"),
        ] {
            assert_eq!(format!("{:?}", Opened::Control(Control(kind))), shown);
        }
        let failed = Control(Kind::Failed(Error::Integrity));
        assert_eq!(
            format!("{failed:?}"),
            format!("Control({})", Error::Integrity)
        );
    }
}
