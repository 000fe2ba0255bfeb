//! Requests on channels and their replies (RFC 4254 section 5.4).
//!
//! What makes no sense for a role is refused without asking; what a program's end is told with is
//! an event; everything else is a ticket.

use super::super::event::ChannelEvent;
use super::super::flow::{Flow, Half};
use super::super::replies::Answer;
use super::super::tickets::{self, RequestTicket, TicketKind, Token};
use super::super::{ChannelId, Mux, values};
use super::Incoming;
use crate::error::{Error, Misuse, PeerMisbehaved};
use crate::message::{ChannelFailure, ChannelRequest, ChannelRequestType, ChannelSuccess, Wire};
use crate::out::Out;
use crate::time::Instant;
use crate::transport::Role;

impl Mux {
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
                    flow.replies.answered(Answer::Failure)?;
                    let sent = send_replies(flow, out);
                    self.count_replies(1, sent)?;
                }
                return Ok(Incoming::Nothing);
            }
            _ => return self.ask_application(channel, request, want_reply, out, now),
        };
        if want_reply {
            flow.replies
                .answered(Answer::Success(alloc::vec::Vec::new()))?;
            let sent = send_replies(flow, out);
            self.count_replies(1, sent)?;
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
                if matches!(request, ChannelRequestType::PtyReq { .. }) {
                    flow.share = crate::send::Share::All;
                }
                if want_reply {
                    flow.replies.pending(nonce)?;
                    self.count_replies(0, 0)?;
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
                    flow.replies.answered(Answer::Failure)?;
                    let sent = send_replies(flow, out);
                    self.count_replies(1, sent)?;
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
        if want_reply {
            let answer = if success {
                Answer::Success(alloc::vec::Vec::new())
            } else {
                Answer::Failure
            };
            self.settle_request(channel, token, answer, out);
        }
        Ok(())
    }

    /// The reply to the request of this ticket is decided.
    pub(super) fn settle_request(
        &mut self,
        channel: ChannelId,
        token: Token,
        answer: Answer,
        out: &mut Out,
    ) {
        let Some(flow) = self.flow_mut(channel) else {
            return;
        };
        let decided = flow.replies.answer(token.nonce(), answer);
        let sent = if flow.sending == Half::Closed {
            0
        } else {
            send_replies(flow, out)
        };
        // Where this is one too many, the next request of the peer is told so.
        let _ = self.count_replies(decided, sent);
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
}

/// Requests that make no sense for a role are refused without asking: programs are started by
/// clients, and only servers report how they ended.
fn refused_by_rule(role: Role, request: &ChannelRequestType<'_>) -> bool {
    use ChannelRequestType as Type;
    match role {
        _ if matches!(request, Type::Keepalive | Type::Eow) => true,
        _ if !values::request_is_possible(request) => true,
        Role::Client => !matches!(request, Type::XonXoff { .. } | Type::Unknown { .. }),
        Role::Server => matches!(
            request,
            Type::ExitStatus { .. } | Type::ExitSignal { .. } | Type::XonXoff { .. }
        ),
    }
}

/// Sends what may be sent, and says how many replies that was.
fn send_replies(flow: &mut Flow, out: &mut Out) -> usize {
    let recipient_channel = flow.remote();
    let mut sent = 0;
    while let Some(answer) = flow.replies.next() {
        match answer {
            Answer::Success(_) => out.message(&ChannelSuccess { recipient_channel }),
            Answer::Failure => out.message(&ChannelFailure { recipient_channel }),
        }
        sent += 1;
    }
    sent
}
