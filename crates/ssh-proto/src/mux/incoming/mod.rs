//! What the peer says about channels, and what is answered without asking (RFC 4254).
//!
//! ```text
//!   opening    how channels come to be
//!   data       what data may come, and how channels end
//!   requests   requests on channels and their replies
//!   global     requests of the connection and their replies
//! ```
//!
//! Here is what they share: which channel the peer means, and the tickets with which the
//! application is asked.

mod data;
mod global;
mod opening;
mod requests;

use super::event::{ChannelEvent, GlobalEvent};
use super::flow::Flow;
use super::replies::Answer;
use super::tickets::{self, Ticket, TicketKind, Token};
use super::{ChannelId, Mux};
use crate::error::{Error, Misuse, PeerMisbehaved};
use crate::message::ChannelOpenFailureReason;
use crate::out::Out;
use crate::time::Instant;

/// What a message of the connection protocol led to.
#[derive(Debug)]
pub(crate) enum Incoming<'b> {
    Nothing,
    Channel(ChannelEvent<'b>),
    Global(GlobalEvent<'b>),
    /// No data may follow in this slot.
    AtEnd(u32, Option<ChannelEvent<'b>>),
    /// The channel in this slot is gone.
    Gone(u32, Option<ChannelEvent<'b>>),
}

impl Mux {
    /// The channel that the peer means; one that it has not confirmed cannot be meant.
    fn peers_channel(&self, recipient_channel: u32) -> Result<(ChannelId, &Flow), Error> {
        let id = self.id(recipient_channel);
        let found = id.and_then(|id| Some((id, self.flow(id)?)));
        let open = found.filter(|(_, flow)| !flow.is_opening());
        open.ok_or_else(|| PeerMisbehaved::NoSuchChannel(recipient_channel).into())
    }

    fn peers_flow(&mut self, recipient_channel: u32) -> Result<(ChannelId, &mut Flow), Error> {
        let (id, _) = self.peers_channel(recipient_channel)?;
        let missing = PeerMisbehaved::NoSuchChannel(recipient_channel);
        Ok((id, self.flow_mut(id).ok_or(missing)?))
    }

    /// Hands out a ticket, unless there are too many or there is no memory.
    fn mint(&mut self, kind: TicketKind, out: &mut Out, now: Instant) -> Option<(Token, u64)> {
        if self.tickets.len() >= self.limits().tickets {
            return None;
        }
        let nonce = out.nonce();
        let deadline = now + self.config.deadlines.ticket;
        Some((self.tickets.mint(nonce, kind, deadline)?, nonce))
    }

    /// Lets a ticket wait beyond the next event.
    pub(crate) fn defer(&mut self, ticket: &impl Ticket) -> Result<(), Misuse> {
        if self.tickets.defer(tickets::token(ticket)) {
            Ok(())
        } else {
            Err(Misuse::Token)
        }
    }

    /// Refuses the ticket of the last event, if nobody has answered or deferred it.
    #[inline]
    pub(crate) fn refuse_ignored(&mut self, out: &mut Out) {
        if let Some(token) = self.tickets.take_fresh() {
            self.refuse(token, out);
        }
    }

    /// Refuses what the application has left unanswered for too long.
    pub(crate) fn refuse_expired(&mut self, now: Instant, out: &mut Out) {
        while let Some(token) = self.tickets.expired(now) {
            self.refuse(token, out);
        }
    }

    fn refuse(&mut self, token: Token, out: &mut Out) {
        match self.tickets.redeem(token) {
            Some(TicketKind::Open { sender_channel, .. }) => {
                let reason = ChannelOpenFailureReason::ADMINISTRATIVELY_PROHIBITED;
                opening::refuse_open(sender_channel, reason, "", out);
            }
            Some(TicketKind::Request {
                channel,
                want_reply: true,
            }) => {
                self.settle_request(channel, token, Answer::Failure, out);
            }
            Some(TicketKind::Global { want_reply: true }) => {
                self.settle_global(token, Answer::Failure, out);
            }
            Some(TicketKind::Request { .. } | TicketKind::Global { .. }) | None => {}
        }
    }
}

const INTERNAL: Error = Error::Internal("a channel is in another state");
