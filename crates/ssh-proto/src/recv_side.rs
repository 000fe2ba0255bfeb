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
mod tests;
