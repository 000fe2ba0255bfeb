//! What the peer says about channels, and what is answered without asking.

use super::event::{ChannelEvent, ClosedBy, GlobalEvent};
use super::flow::{Flow, Half};
use super::replies::Answer;
use super::tickets::{self, GlobalTicket, OpenTicket, RequestTicket, Ticket, TicketKind, Token};
use super::{Asked, ChannelId, Forward, Mux};
use crate::error::{Error, Misuse, PeerMisbehaved};
use crate::message::{
    ChannelClose, ChannelEof, ChannelFailure, ChannelOpen, ChannelOpenConfirmation,
    ChannelOpenFailure, ChannelOpenFailureReason, ChannelOpenType, ChannelRequest,
    ChannelRequestType, ChannelSuccess, ChannelWindowAdjust, GlobalRequest, GlobalRequestType,
    RequestFailure, RequestSuccess, Wire,
};
use crate::out::Out;
use crate::time::Instant;
use crate::transport::Role;

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

/// What the receive side must know before it lets data of a channel through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiveWindow {
    pub(crate) id: ChannelId,
    pub(crate) granted: u64,
    /// We have closed the channel: what still comes is dropped.
    pub(crate) closing: bool,
}

impl Mux {
    /// Looks up where data for `recipient_channel` belongs.
    pub(crate) fn receive_window(&self, recipient_channel: u32) -> Result<ReceiveWindow, Error> {
        let (id, flow) = self.peers_channel(recipient_channel)?;
        if flow.receiving != Half::Open {
            return Err(PeerMisbehaved::AfterEof.into());
        }
        let closing = flow.sending == Half::Closed;
        Ok(ReceiveWindow {
            id,
            granted: flow.granted(),
            closing,
        })
    }

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

    /// A channel that we asked for and that has no answer yet.
    fn opening(&self, recipient_channel: u32) -> Result<ChannelId, Error> {
        let id = self.id(recipient_channel);
        id.filter(|id| self.flow(*id).is_some_and(Flow::is_opening))
            .ok_or_else(|| PeerMisbehaved::NoSuchChannel(recipient_channel).into())
    }

    /// Hands out a ticket, unless there are too many.
    fn mint(&mut self, kind: TicketKind, out: &mut Out, now: Instant) -> Option<(Token, u64)> {
        if self.tickets.len() >= self.limits().tickets {
            return None;
        }
        let nonce = out.nonce();
        let deadline = now + self.config.deadlines.ticket;
        Some((self.tickets.mint(nonce, kind, deadline), nonce))
    }

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
            (
                Role::Server,
                ChannelOpenType::DirectTcpip {
                    port_to_connect, ..
                },
            ) => {
                let possible = u16::try_from(port_to_connect).is_ok();
                if possible {
                    None
                } else {
                    Some(ChannelOpenFailureReason::CONNECT_FAILED)
                }
            }
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

    /// CHANNEL_WINDOW_ADJUST.
    pub(crate) fn on_window_adjust(&mut self, payload: &[u8]) -> Result<(), Error> {
        let message = ChannelWindowAdjust::decode(payload)?;
        let (id, flow) = self.peers_flow(message.recipient_channel)?;
        if !flow.allow(message.bytes_to_add) {
            return Err(PeerMisbehaved::WindowOverflow.into());
        }
        self.credit_arrived(id);
        Ok(())
    }

    /// CHANNEL_EOF.
    pub(crate) fn on_eof<'b>(&mut self, payload: &'b [u8]) -> Result<Incoming<'b>, Error> {
        let message = ChannelEof::decode(payload)?;
        let (channel, flow) = self.peers_flow(message.recipient_channel)?;
        if flow.receiving != Half::Open {
            return Err(PeerMisbehaved::AfterEof.into());
        }
        let silent = flow.sending == Half::Closed;
        self.change(channel, |flow| flow.receiving = Half::Eof);
        let event = (!silent).then_some(ChannelEvent::Eof { channel });
        Ok(Incoming::AtEnd(channel.slot, event))
    }

    /// CHANNEL_CLOSE.
    pub(crate) fn on_close<'b>(
        &mut self,
        payload: &'b [u8],
        out: &mut Out,
    ) -> Result<Incoming<'b>, Error> {
        let message = ChannelClose::decode(payload)?;
        let (channel, flow) = self.peers_flow(message.recipient_channel)?;
        let (remote, stillborn) = (flow.remote(), flow.stillborn);
        let by = if flow.sending == Half::Closed {
            ClosedBy::Us
        } else {
            ClosedBy::Peer
        };
        if by == ClosedBy::Peer {
            //= rfc4254#section-5.3
            //# Upon receiving this message, a party MUST send back an SSH_MSG_CHANNEL_CLOSE
            out.message(&ChannelClose {
                recipient_channel: remote,
            });
        }
        self.remove(channel.slot);
        let event = (!stillborn).then_some(ChannelEvent::Closed { channel, by });
        Ok(Incoming::Gone(channel.slot, event))
    }

    /// CHANNEL_REQUEST.
    pub(crate) fn on_request<'b>(
        &mut self,
        payload: &'b [u8],
        out: &mut Out,
        now: Instant,
    ) -> Result<Incoming<'b>, Error> {
        let ChannelRequest {
            recipient_channel,
            want_reply,
            request,
        } = ChannelRequest::decode(payload)?;
        let role = self.role;
        let (channel, flow) = self.peers_flow(recipient_channel)?;
        if flow.sending == Half::Closed {
            return Ok(Incoming::Nothing);
        }
        let event = match (role, request) {
            (Role::Client, ChannelRequestType::ExitStatus { exit_status }) => {
                ChannelEvent::ExitStatus {
                    channel,
                    exit_status,
                }
            }
            (
                Role::Client,
                ChannelRequestType::ExitSignal {
                    signal_name,
                    core_dumped,
                    error_message,
                    ..
                },
            ) => ChannelEvent::ExitSignal {
                channel,
                signal_name,
                core_dumped,
                error_message,
            },
            _ if refused_by_rule(role, &request) => {
                if want_reply {
                    flow.replies.refused()?;
                    send_replies(flow, out);
                }
                return Ok(Incoming::Nothing);
            }
            _ => return self.ask_application(channel, request, want_reply, out, now),
        };
        if want_reply {
            flow.replies
                .answered(Answer::Success(alloc::vec::Vec::new()))?;
            send_replies(flow, out);
        }
        Ok(Incoming::Channel(event))
    }

    fn ask_application<'b>(
        &mut self,
        channel: ChannelId,
        request: ChannelRequestType<'b>,
        want_reply: bool,
        out: &mut Out,
        now: Instant,
    ) -> Result<Incoming<'b>, Error> {
        let minted = self.mint(
            TicketKind::Request {
                channel,
                want_reply,
            },
            out,
            now,
        );
        let Some(flow) = self.flow_mut(channel) else {
            return Ok(Incoming::Nothing);
        };
        Ok(match minted {
            Some((token, nonce)) => {
                if want_reply {
                    flow.replies.pending(nonce);
                }
                if matches!(request, ChannelRequestType::PtyReq { .. }) {
                    flow.share = crate::send::Share::All;
                }
                let ticket = RequestTicket::new(token);
                Incoming::Channel(ChannelEvent::Request {
                    channel,
                    request,
                    ticket,
                })
            }
            None => {
                if want_reply {
                    flow.replies.refused()?;
                    send_replies(flow, out);
                }
                Incoming::Nothing
            }
        })
    }

    /// The application's answer to a channel request.
    pub(crate) fn answer_request(
        &mut self,
        ticket: &RequestTicket,
        success: bool,
        out: &mut Out,
    ) -> Result<(), Misuse> {
        let token = tickets::token(ticket);
        let Some(TicketKind::Request {
            channel,
            want_reply,
        }) = self.tickets.redeem(token)
        else {
            return Err(Misuse::Token);
        };
        if let Some(flow) = self.flow_mut(channel)
            && want_reply
        {
            let answer = if success {
                Answer::Success(alloc::vec::Vec::new())
            } else {
                Answer::Failure
            };
            flow.replies.answer(token.nonce(), answer);
            if flow.sending != Half::Closed {
                send_replies(flow, out);
            }
        }
        Ok(())
    }

    /// CHANNEL_SUCCESS or CHANNEL_FAILURE.
    pub(crate) fn on_reply<'b>(
        &mut self,
        payload: &'b [u8],
        success: bool,
    ) -> Result<Incoming<'b>, Error> {
        let recipient_channel = if success {
            ChannelSuccess::decode(payload)?.recipient_channel
        } else {
            ChannelFailure::decode(payload)?.recipient_channel
        };
        let (channel, flow) = self.peers_flow(recipient_channel)?;
        let request = flow
            .asked
            .pop_front()
            .ok_or(PeerMisbehaved::UnrequestedReply)?;
        let silent = flow.sending == Half::Closed;
        self.unanswered = self.unanswered.saturating_sub(1);
        if silent {
            return Ok(Incoming::Nothing);
        }
        Ok(Incoming::Channel(ChannelEvent::Reply {
            channel,
            request,
            success,
        }))
    }

    /// GLOBAL_REQUEST.
    pub(crate) fn on_global_request<'b>(
        &mut self,
        payload: &'b [u8],
        out: &mut Out,
        now: Instant,
    ) -> Result<Incoming<'b>, Error> {
        use GlobalRequestType as Type;
        let GlobalRequest {
            want_reply,
            request,
        } = GlobalRequest::decode(payload)?;
        let refused = match (self.role, request) {
            // Any answer is a sign of life.
            (_, Type::Keepalive) => true,
            (Role::Server, Type::NoMoreSessions) => {
                self.no_more_sessions = true;
                if want_reply {
                    self.globals
                        .answered(Answer::Success(alloc::vec::Vec::new()))?;
                    self.send_globals(out);
                }
                return Ok(Incoming::Nothing);
            }
            (Role::Client, Type::Hostkeys { .. } | Type::Unknown { .. }) => false,
            (Role::Client, _) => true,
            (Role::Server, Type::Hostkeys { .. }) => true,
            (Role::Server, _) => false,
        };
        let kind = TicketKind::Global { want_reply };
        let minted = if refused {
            None
        } else {
            self.mint(kind, out, now)
        };
        match minted {
            Some((token, nonce)) => {
                if want_reply {
                    self.globals.pending(nonce);
                }
                let ticket = GlobalTicket::new(token);
                Ok(Incoming::Global(GlobalEvent::Request { request, ticket }))
            }
            None => {
                if want_reply {
                    self.globals.refused()?;
                    self.send_globals(out);
                }
                Ok(Incoming::Nothing)
            }
        }
    }

    /// The application's answer to a global request; `None` refuses it.
    pub(crate) fn answer_global(
        &mut self,
        ticket: &GlobalTicket,
        success: Option<&[u8]>,
        out: &mut Out,
    ) -> Result<(), Misuse> {
        let token = tickets::token(ticket);
        let Some(TicketKind::Global { want_reply }) = self.tickets.redeem(token) else {
            return Err(Misuse::Token);
        };
        if want_reply {
            let answer = success.map_or(Answer::Failure, |data| Answer::Success(data.to_vec()));
            self.globals.answer(token.nonce(), answer);
            self.send_globals(out);
        }
        Ok(())
    }

    /// REQUEST_SUCCESS or REQUEST_FAILURE.
    pub(crate) fn on_global_reply<'b>(
        &mut self,
        payload: &'b [u8],
        success: bool,
        out: &mut Out,
    ) -> Result<Incoming<'b>, Error> {
        let data = if success {
            RequestSuccess::decode(payload)?.data
        } else {
            RequestFailure::decode(payload)?;
            b""
        };
        let (request, asked) = self
            .asked
            .pop_front()
            .ok_or(PeerMisbehaved::UnrequestedReply)?;
        self.unanswered = self.unanswered.saturating_sub(1);
        match asked {
            Asked::Keepalive => return Ok(Incoming::Nothing),
            Asked::Measure => {
                self.measured(out);
                return Ok(Incoming::Nothing);
            }
            Asked::Forward(forward) if success => self.forwarded(forward, data)?,
            Asked::CancelForward(forward) if success => {
                self.forwards.retain(|active| *active != forward);
            }
            Asked::Forward(_) | Asked::CancelForward(_) | Asked::Other => {}
        }
        Ok(Incoming::Global(if success {
            GlobalEvent::Success { request, data }
        } else {
            GlobalEvent::Failure { request }
        }))
    }

    /// A forward is granted: channels for it are expected from now on.
    fn forwarded(&mut self, mut forward: Forward, data: &[u8]) -> Result<(), Error> {
        if forward.port == 0 {
            let port = data.first_chunk().map(|port| u32::from_be_bytes(*port));
            forward.port = port.ok_or(PeerMisbehaved::Value)?;
        }
        if !self.forwards.contains(&forward) {
            self.forwards.push(forward);
        }
        Ok(())
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
                refuse_open(sender_channel, reason, "", out);
            }
            Some(TicketKind::Request {
                channel,
                want_reply: true,
            }) => {
                if let Some(flow) = self.flow_mut(channel) {
                    flow.replies.answer(token.nonce(), Answer::Failure);
                    if flow.sending != Half::Closed {
                        send_replies(flow, out);
                    }
                }
            }
            Some(TicketKind::Global { want_reply: true }) => {
                self.globals.answer(token.nonce(), Answer::Failure);
                self.send_globals(out);
            }
            Some(TicketKind::Request { .. } | TicketKind::Global { .. }) | None => {}
        }
    }

    fn send_globals(&mut self, out: &mut Out) {
        while let Some(answer) = self.globals.next() {
            match answer {
                Answer::Success(data) => out.message(&RequestSuccess { data: &data }),
                Answer::Failure => out.message(&RequestFailure),
            }
        }
    }
}

const INTERNAL: Error = Error::Internal("a channel is in another state");

/// Requests that make no sense for a role are refused without asking: programs are started by
/// clients, and only servers report how they ended.
fn refused_by_rule(role: Role, request: &ChannelRequestType<'_>) -> bool {
    use ChannelRequestType as Type;
    match role {
        _ if matches!(request, Type::Keepalive | Type::Eow) => true,
        Role::Client => !matches!(request, Type::XonXoff { .. } | Type::Unknown { .. }),
        Role::Server => matches!(
            request,
            Type::ExitStatus { .. } | Type::ExitSignal { .. } | Type::XonXoff { .. }
        ),
    }
}

fn refuse_open(
    recipient_channel: u32,
    reason_code: ChannelOpenFailureReason,
    description: &str,
    out: &mut Out,
) {
    let mut description = description.as_bytes();
    if let Some(cut) = description.get(..super::channel::MAX_PAYLOAD / 2) {
        description = cut;
    }
    out.message(&ChannelOpenFailure {
        recipient_channel,
        reason_code,
        description,
        language_tag: b"",
    });
}

fn send_replies(flow: &mut Flow, out: &mut Out) {
    let recipient_channel = flow.remote();
    while let Some(answer) = flow.replies.next() {
        match answer {
            Answer::Success(_) => out.message(&ChannelSuccess { recipient_channel }),
            Answer::Failure => out.message(&ChannelFailure { recipient_channel }),
        }
    }
}
