//! How channels come to be (RFC 4254 section 5.1): the peer's opens and the answers to ours.
//!
//! A channel that the peer opens passes a rule of its role first and is then the application's to
//! decide on, with a ticket. One of ours can be addressed by the peer only after its confirmation.

use super::super::channel::MAX_PAYLOAD;
use super::super::event::ChannelEvent;
use super::super::flow::{Flow, Half};
use super::super::tickets::{self, OpenTicket, TicketKind};
use super::super::{ChannelId, Mux, values};
use super::{INTERNAL, Incoming};
use crate::error::{Error, Misuse, PeerMisbehaved};
use crate::message::{
    ChannelClose, ChannelOpen, ChannelOpenConfirmation, ChannelOpenFailure,
    ChannelOpenFailureReason, ChannelOpenType, Wire,
};
use crate::out::Out;
use crate::time::Instant;
use crate::transport::Role;

impl Mux {
    /// CHANNEL_OPEN.
    pub(crate) fn on_open<'b>(
        &mut self,
        payload: &'b [u8],
        out: &mut Out,
        now: Instant,
    ) -> Result<Incoming<'b>, Error> {
        let open = ChannelOpen::decode(payload)?;
        let refusal = self.refusal(&open);
        let ticket = match refusal {
            Some(_) => None,
            None => {
                let kind = TicketKind::Open {
                    sender_channel: open.sender_channel,
                    initial_window_size: open.initial_window_size,
                    maximum_packet_size: open.maximum_packet_size,
                };
                self.mint(kind, out, now)
            }
        };
        let Some((token, _)) = ticket else {
            let reason = refusal.unwrap_or(ChannelOpenFailureReason::RESOURCE_SHORTAGE);
            refuse_open(open.sender_channel, reason, "", out);
            return Ok(Incoming::Nothing);
        };
        let ticket = OpenTicket::new(token);
        let event = ChannelEvent::OpenRequest {
            channel_type: open.channel_type,
            ticket,
        };
        Ok(Incoming::Channel(event))
    }

    /// Why a channel is refused without asking the application.
    fn refusal(&self, open: &ChannelOpen<'_>) -> Option<ChannelOpenFailureReason> {
        const PROHIBITED: Option<ChannelOpenFailureReason> =
            Some(ChannelOpenFailureReason::ADMINISTRATIVELY_PROHIBITED);
        if open.maximum_packet_size == 0 {
            return Some(ChannelOpenFailureReason::CONNECT_FAILED);
        }
        if !values::open_is_possible(&open.channel_type) {
            return PROHIBITED;
        }
        if self.open + self.tickets.opens() >= self.limits().channels {
            return Some(ChannelOpenFailureReason::RESOURCE_SHORTAGE);
        }
        match (self.role, open.channel_type) {
            //= rfc4254#section-7.2
            //# When a connection comes to a port for which remote forwarding has been requested
            (
                Role::Client,
                ChannelOpenType::ForwardedTcpip {
                    connected_address,
                    connected_port,
                    ..
                },
            ) => {
                let requested = self.forwards.iter().any(|forward| {
                    forward.port == connected_port && forward.address == connected_address
                });
                if requested { None } else { PROHIBITED }
            }
            //= rfc4254#section-6.1
            //# Client implementations SHOULD reject any session channel open requests
            (Role::Client, ChannelOpenType::Session | ChannelOpenType::DirectTcpip { .. }) => {
                PROHIBITED
            }
            (Role::Client, other) => {
                let asked_for = self.channel_types.iter().any(|name| name == other.name());
                if asked_for { None } else { PROHIBITED }
            }
            (Role::Server, ChannelOpenType::Session) if self.no_more_sessions => PROHIBITED,
            (Role::Server, ChannelOpenType::ForwardedTcpip { .. }) => PROHIBITED,
            (Role::Server, _) => None,
        }
    }

    /// The application opens its side of a channel that the peer asked for.
    pub(crate) fn accept_channel(
        &mut self,
        ticket: &OpenTicket,
        out: &mut Out,
    ) -> Result<ChannelId, Misuse> {
        let kind = self
            .tickets
            .redeem(tickets::token(ticket))
            .ok_or(Misuse::Token)?;
        let TicketKind::Open {
            sender_channel,
            initial_window_size,
            maximum_packet_size,
        } = kind
        else {
            return Err(Misuse::Token);
        };
        let window = self.next_window();
        let mut flow = Flow::opening(window);
        flow.confirm(sender_channel, initial_window_size, maximum_packet_size);
        // Our own opens may have taken the last slot in the meantime.
        let Some(id) = self.insert(flow) else {
            refuse_open(
                sender_channel,
                ChannelOpenFailureReason::RESOURCE_SHORTAGE,
                "",
                out,
            );
            return Err(Misuse::NoSuchChannel);
        };
        out.message(&ChannelOpenConfirmation {
            recipient_channel: sender_channel,
            sender_channel: id.slot,
            initial_window_size: window,
            maximum_packet_size: self.limits().maximum_packet,
        });
        Ok(id)
    }

    /// The application refuses a channel.
    pub(crate) fn reject_channel(
        &mut self,
        ticket: &OpenTicket,
        reason: ChannelOpenFailureReason,
        description: &str,
        out: &mut Out,
    ) -> Result<(), Misuse> {
        match self.tickets.redeem(tickets::token(ticket)) {
            Some(TicketKind::Open { sender_channel, .. }) => {
                refuse_open(sender_channel, reason, description, out);
                Ok(())
            }
            _ => Err(Misuse::Token),
        }
    }

    /// CHANNEL_OPEN_CONFIRMATION.
    pub(crate) fn on_confirmation<'b>(
        &mut self,
        payload: &'b [u8],
        out: &mut Out,
    ) -> Result<Incoming<'b>, Error> {
        let message = ChannelOpenConfirmation::decode(payload)?;
        let channel = self.opening(message.recipient_channel)?;
        self.unanswered = self.unanswered.saturating_sub(1);
        let flow = self.flow_mut(channel).ok_or(INTERNAL)?;
        let (window, maximum) = (message.initial_window_size, message.maximum_packet_size);
        let given_up = flow.stillborn;
        flow.confirm(message.sender_channel, window, maximum);
        if given_up {
            out.message(&ChannelClose {
                recipient_channel: message.sender_channel,
            });
            return Ok(Incoming::Nothing);
        }
        if maximum == 0 {
            // Nothing could ever be sent: the channel is of no use, and is closed again.
            flow.sending = Half::Closed;
            flow.stillborn = true;
            out.message(&ChannelClose {
                recipient_channel: message.sender_channel,
            });
            return Ok(Incoming::Channel(ChannelEvent::OpenFailed {
                channel,
                reason: ChannelOpenFailureReason::CONNECT_FAILED,
                description: b"the peer accepts no data",
            }));
        }
        Ok(Incoming::Channel(ChannelEvent::Opened { channel }))
    }

    /// CHANNEL_OPEN_FAILURE.
    pub(crate) fn on_open_failure<'b>(&mut self, payload: &'b [u8]) -> Result<Incoming<'b>, Error> {
        let message = ChannelOpenFailure::decode(payload)?;
        let channel = self.opening(message.recipient_channel)?;
        let given_up = self.flow(channel).is_some_and(|flow| flow.stillborn);
        self.remove(channel.slot);
        if given_up {
            return Ok(Incoming::Nothing);
        }
        Ok(Incoming::Channel(ChannelEvent::OpenFailed {
            channel,
            reason: message.reason_code,
            description: message.description,
        }))
    }

    /// A channel that we asked for and that has no answer yet.
    fn opening(&self, recipient_channel: u32) -> Result<ChannelId, Error> {
        let id = self.id(recipient_channel);
        id.filter(|id| self.flow(*id).is_some_and(Flow::is_opening))
            .ok_or_else(|| PeerMisbehaved::NoSuchChannel(recipient_channel).into())
    }
}

pub(super) fn refuse_open(
    recipient_channel: u32,
    reason_code: ChannelOpenFailureReason,
    description: &str,
    out: &mut Out,
) {
    let most = description.floor_char_boundary(MAX_PAYLOAD / 2);
    let (description, _) = description.split_at(most);
    out.message(&ChannelOpenFailure {
        recipient_channel,
        reason_code,
        description: description.as_bytes(),
        language_tag: b"",
    });
}
