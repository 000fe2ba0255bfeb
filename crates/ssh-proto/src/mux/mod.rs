//! The connection protocol (RFC 4254): channels, windows, requests and their replies.
//!
//! ```text
//!   Mux    the table of channels (the number on the wire is the slot), who waits to send,
//!          replies owed in order, tickets that the application holds
//!   Flow   one channel: windows as totals that only grow, and the two half-closes
//!   window how large the windows are that we grant, and when they change
//! ```
//!
//! Invariants: `sent <= allowed <= sent + 2^32 - 1` and `released <= granted` for every channel;
//! the windows of all channels together stay within `Limits::window_total`; nothing that the
//! application did not ask for is accepted from a server.

mod channel;
mod event;
mod flow;
mod incoming;
mod replies;
mod tickets;
mod values;
mod window;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use channel::{Channel, Exit, Reply, SendSlot};
pub use event::{ChannelEvent, ClosedBy, GlobalEvent};
use flow::Flow;
pub(crate) use incoming::Incoming;
use replies::Replies;
pub(crate) use tickets::Tickets;
pub use tickets::{GlobalTicket, OpenTicket, RequestTicket, Ticket};
use window::Measure;

use crate::config::{Limits, TransportConfig};
use crate::error::{LimitExceeded, Misuse, RequestError};
use crate::message::{ChannelOpen, ChannelOpenType, GlobalRequest, GlobalRequestType};
use crate::out::{Out, encoded_len};
use crate::send::{MIN_ROOM, Share};
use crate::transport::Role;

/// A channel of one connection. A number that is used again for another channel counts as another
/// id, so an id that has grown stale is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId {
    pub(crate) slot: u32,
    generation: u32,
}

#[cfg(test)]
impl ChannelId {
    pub(crate) const fn of(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }
}

impl core::fmt::Display for ChannelId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "channel {}", self.slot)
    }
}

/// One of the streams of a channel (RFC 4254 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// CHANNEL_DATA: standard input and output.
    Data,
    /// CHANNEL_EXTENDED_DATA with this data_type_code.
    Extended(u32),
}

impl Stream {
    /// SSH_EXTENDED_DATA_STDERR: standard error.
    pub const STDERR: Self = Self::Extended(1);
}

/// One of our requests that wants a reply. Replies come in the order of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

/// A forward that we asked a server for (RFC 4254 section 7.1).
#[derive(Debug, PartialEq, Eq)]
struct Forward {
    address: Vec<u8>,
    port: u32,
}

/// What one of our global requests was for.
#[derive(Debug)]
enum Asked {
    Forward(Forward),
    CancelForward(Forward),
    Keepalive,
    /// What a channel consumes in a round trip.
    Measure,
    Other,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    /// Boxed, so that a slot that was used once costs 16 bytes.
    flow: Option<Box<Flow>>,
}

#[derive(Debug)]
pub(crate) struct Mux {
    role: Role,
    config: Arc<TransportConfig>,
    /// Types that a server may open at a client beyond forwards that were requested.
    channel_types: Vec<alloc::string::String>,
    slots: Vec<Slot>,
    open: usize,
    /// What all channels hold of `Limits::window_total`, see [`Flow::held`].
    windows_held: u64,
    /// The measure that is under way.
    measure: Option<Measure>,
    /// Channels that could send but for room in the output, by share, in the order in which they
    /// were blocked.
    interactive: VecDeque<u32>,
    bulk: VecDeque<u32>,
    /// Our global requests that want a reply.
    asked: VecDeque<(RequestId, Asked)>,
    /// Our requests of all kinds and our channel opens that have no answer yet.
    unanswered: usize,
    next_request: u64,
    /// Replies that we owe to the peer's global requests.
    globals: Replies,
    /// Replies of all queues that are decided and wait for one that is not.
    decided: usize,
    pub(crate) tickets: Tickets,
    forwards: Vec<Forward>,
    /// The client promised to open no more sessions (OpenSSH PROTOCOL 2.2).
    no_more_sessions: bool,
    /// What is delivered is counted: both halves have one owner.
    counts: bool,
    /// Counts changes that the receive side's cached windows must not outlive.
    changes: u64,
}

/// Data that one blocked channel may send before the next one gets its turn.
const QUANTUM: u64 = 64 * 1024;
/// Replies that may wait for each ticket that there may be, and at the least. An honest peer that
/// sends requests without waiting for replies has far fewer out.
const REPLIES: usize = 3;
const FEWEST_REPLIES: usize = 128;

impl Mux {
    pub(crate) const fn new(
        role: Role,
        config: Arc<TransportConfig>,
        channel_types: Vec<alloc::string::String>,
    ) -> Self {
        Self {
            role,
            config,
            channel_types,
            slots: Vec::new(),
            open: 0,
            windows_held: 0,
            measure: None,
            interactive: VecDeque::new(),
            bulk: VecDeque::new(),
            asked: VecDeque::new(),
            unanswered: 0,
            next_request: 0,
            globals: Replies::new(),
            decided: 0,
            tickets: Tickets::new(),
            forwards: Vec::new(),
            no_more_sessions: false,
            counts: true,
            changes: 0,
        }
    }

    fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// How many channels are open or opening.
    pub(crate) const fn len(&self) -> usize {
        self.open
    }

    /// Counts what the receive side must learn of before it trusts its cache again.
    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }

    fn id(&self, slot: u32) -> Option<ChannelId> {
        let place = self.slots.get(slot as usize)?;
        place.flow.as_ref()?;
        Some(ChannelId {
            slot,
            generation: place.generation,
        })
    }

    #[inline]
    fn flow(&self, id: ChannelId) -> Option<&Flow> {
        let slot = self.slots.get(id.slot as usize)?;
        slot.flow
            .as_deref()
            .filter(|_| slot.generation == id.generation)
    }

    #[inline]
    fn flow_mut(&mut self, id: ChannelId) -> Option<&mut Flow> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        slot.flow
            .as_deref_mut()
            .filter(|_| slot.generation == id.generation)
    }

    /// Whether `id` names a channel that exists for the application. One that was given up, or
    /// failed here, has a slot until the peer is done with it, and nobody's interest.
    pub(crate) fn contains(&self, id: ChannelId) -> bool {
        self.flow(id).is_some_and(|flow| !flow.stillborn)
    }

    /// Every channel that exists for the application.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ChannelId> {
        self.slots.iter().enumerate().filter_map(|(slot, place)| {
            place.flow.as_ref().filter(|flow| !flow.stillborn)?;
            Some(ChannelId {
                slot: u32::try_from(slot).ok()?,
                generation: place.generation,
            })
        })
    }

    /// Puts a channel into the lowest free slot; `None` if there is none, or no memory for one.
    fn insert(&mut self, mut flow: Flow) -> Option<ChannelId> {
        if !self.counts {
            flow.deliver(None);
        }
        if self.open >= self.limits().channels {
            return None;
        }
        let free = self.slots.iter().position(|slot| slot.flow.is_none());
        let slot = match free {
            Some(slot) => slot,
            None => {
                self.slots.try_reserve(1).ok()?;
                self.slots.push(Slot::default());
                self.slots.len() - 1
            }
        };
        let place = self.slots.get_mut(slot)?;
        self.windows_held = self.windows_held.saturating_add(flow.held());
        self.open += 1;
        place.flow = Some(Box::new(flow));
        Some(ChannelId {
            slot: u32::try_from(slot).ok()?,
            generation: place.generation,
        })
    }

    /// Frees a slot; what the application still holds of the channel has grown stale.
    fn remove(&mut self, slot: u32) {
        let Some(place) = self.slots.get_mut(slot as usize) else {
            return;
        };
        let Some(flow) = place.flow.take() else {
            return;
        };
        place.generation = place.generation.wrapping_add(1);
        self.open = self.open.saturating_sub(1);
        self.windows_held = self.windows_held.saturating_sub(flow.held());
        self.unanswered = self.unanswered.saturating_sub(flow.awaiting());
        self.decided = self.decided.saturating_sub(flow.replies.decided());
        self.tickets.forget_channel(slot);
        self.interactive.retain(|waiting| *waiting != slot);
        self.bulk.retain(|waiting| *waiting != slot);
        if self.open == 0 {
            // A connection that is idle holds no memory for channels that it once had. The
            // generations of the slots must live on, in 16 bytes each.
            self.interactive = VecDeque::new();
            self.bulk = VecDeque::new();
            self.tickets.give_back();
        }
    }

    /// Counts replies that were decided and that were sent. How many may wait goes with how many
    /// tickets there may be, since each waits for a ticket: all of them may leave at once.
    fn count_replies(&mut self, decided: usize, sent: usize) -> Result<(), LimitExceeded> {
        self.decided = (self.decided + decided).saturating_sub(sent);
        if self.decided
            > self
                .limits()
                .tickets
                .saturating_mul(REPLIES)
                .max(FEWEST_REPLIES)
        {
            return Err(LimitExceeded::Control);
        }
        Ok(())
    }

    const fn request_id(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    /// Counts one more request that wants an answer.
    fn ask(&mut self) -> Result<RequestId, RequestError> {
        if self.unanswered >= self.limits().requests_unanswered {
            return Err(RequestError::Busy);
        }
        self.asked.try_reserve(1)?;
        self.unanswered += 1;
        Ok(self.request_id())
    }

    /// Whether a channel of this type may be asked for now.
    pub(crate) fn may_open(
        &self,
        channel_type: &ChannelOpenType<'_>,
        out: &Out,
    ) -> Result<(), RequestError> {
        if !values::open_is_possible(channel_type) {
            return Err(Misuse::Value.into());
        }
        let message = ChannelOpen {
            sender_channel: 0,
            initial_window_size: 0,
            maximum_packet_size: 0,
            channel_type: *channel_type,
        };
        self.may_send_message(encoded_len(&message), out)
    }

    /// Whether this global request may be sent now.
    pub(crate) fn may_request(
        &self,
        request: &GlobalRequestType<'_>,
        out: &Out,
    ) -> Result<(), RequestError> {
        if !values::global_is_possible(request) {
            return Err(Misuse::Value.into());
        }
        let message = GlobalRequest {
            want_reply: false,
            request: *request,
        };
        self.may_send_message(encoded_len(&message), out)
    }

    fn may_send_message(&self, size: usize, out: &Out) -> Result<(), RequestError> {
        if size > channel::MAX_PAYLOAD {
            return Err(Misuse::Value.into());
        }
        self.may_send(size, out)
    }

    /// Opens a channel (RFC 4254 section 5.1).
    pub(crate) fn open(
        &mut self,
        channel_type: ChannelOpenType<'_>,
        out: &mut Out,
    ) -> Result<ChannelId, RequestError> {
        if self.open >= self.limits().channels {
            return Err(RequestError::Busy);
        }
        self.ask()?;
        let window = self.next_window();
        let maximum_packet_size = self.limits().maximum_packet;
        let Some(id) = self.insert(Flow::opening(window)) else {
            self.unanswered -= 1;
            return Err(RequestError::Busy);
        };
        out.message(&ChannelOpen {
            sender_channel: id.slot,
            initial_window_size: window,
            maximum_packet_size,
            channel_type,
        });
        Ok(id)
    }

    /// Sends a global request (RFC 4254 section 4).
    pub(crate) fn global_request(
        &mut self,
        request: GlobalRequestType<'_>,
        reply: Reply,
        out: &mut Out,
    ) -> Result<Option<RequestId>, RequestError> {
        let want_reply = reply == Reply::Wanted;
        let mut id = None;
        if want_reply {
            let request_id = self.ask()?;
            let asked = match request {
                GlobalRequestType::TcpipForward {
                    address_to_bind,
                    port_number_to_bind,
                } => Asked::Forward(Forward {
                    address: address_to_bind.to_vec(),
                    port: port_number_to_bind,
                }),
                GlobalRequestType::CancelTcpipForward {
                    address_to_bind,
                    port_number_to_bind,
                } => Asked::CancelForward(Forward {
                    address: address_to_bind.to_vec(),
                    port: port_number_to_bind,
                }),
                _ => Asked::Other,
            };
            self.asked.push_back((request_id, asked));
            id = Some(request_id);
        } else if matches!(
            request,
            GlobalRequestType::TcpipForward { .. } | GlobalRequestType::CancelTcpipForward { .. }
        ) {
            // Without the reply nobody would know which channels to expect.
            return Err(RequestError::Misuse(Misuse::Value));
        }
        out.message(&GlobalRequest {
            want_reply,
            request,
        });
        Ok(id)
    }

    /// Whether somebody who was blocked can send now.
    #[inline]
    pub(crate) fn next_writable(&mut self, out: &Out) -> Option<ChannelId> {
        if out.is_holding() {
            return None;
        }
        for share in [Share::All, Share::Half] {
            if out.buf.room(share) < MIN_ROOM {
                continue;
            }
            while let Some(slot) = self.queue(share).pop_front() {
                let id = self.id(slot);
                let waiting = id.and_then(|id| Some((id, self.flow_mut(id)?)));
                if let Some((id, flow)) = waiting.filter(|(_, flow)| flow.may_send()) {
                    flow.turn(QUANTUM);
                    return Some(id);
                }
            }
        }
        None
    }

    /// Whether [`next_writable`](Self::next_writable) has somebody to look at.
    pub(crate) fn has_writable(&self, out: &Out) -> bool {
        let room = |share| out.buf.room(share) >= MIN_ROOM;
        !out.is_holding()
            && (!self.interactive.is_empty() && room(Share::All)
                || !self.bulk.is_empty() && room(Share::Half))
    }

    /// Asks for a sign of life. Where too many requests are unanswered already, their silence is
    /// counted just as well.
    pub(crate) fn keepalive(&mut self, out: &mut Out) {
        if let Ok(request) = self.ask() {
            self.asked.push_back((request, Asked::Keepalive));
            let request = GlobalRequestType::Keepalive;
            out.message(&GlobalRequest {
                want_reply: true,
                request,
            });
        }
    }

    const fn waiting(&self, share: Share) -> &VecDeque<u32> {
        match share {
            Share::All => &self.interactive,
            Share::Half => &self.bulk,
        }
    }

    /// The application was handed data of a channel.
    #[inline]
    pub(crate) fn deliver(&mut self, id: ChannelId, n: usize) {
        if let Some(flow) = self.flow_mut(id) {
            flow.deliver(Some(n));
        }
    }

    /// Whether the halves are apart.
    pub(crate) const fn is_apart(&self) -> bool {
        !self.counts
    }

    /// The halves are apart from now on: what is delivered cannot be counted.
    pub(crate) fn stop_counting(&mut self) {
        self.counts = false;
        self.windows_held = 0;
        for flow in self
            .slots
            .iter_mut()
            .filter_map(|slot| slot.flow.as_deref_mut())
        {
            flow.deliver(None);
            self.windows_held = self.windows_held.saturating_add(flow.held());
        }
    }

    const fn queue(&mut self, share: Share) -> &mut VecDeque<u32> {
        match share {
            Share::All => &mut self.interactive,
            Share::Half => &mut self.bulk,
        }
    }
}
