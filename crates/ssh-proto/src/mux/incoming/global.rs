//! Requests of the connection as a whole and their replies (RFC 4254 section 4).
//!
//! Replies to ours come in the order of the requests. Some requests were our own doing, and
//! nobody hears of their answers: keepalives, and those that measure a round trip.

use super::super::event::GlobalEvent;
use super::super::replies::Answer;
use super::super::tickets::{self, GlobalTicket, TicketKind, Token};
use super::super::{Asked, Forward, Mux, values};
use super::Incoming;
use crate::error::{Error, LimitExceeded, Misuse, PeerMisbehaved};
use crate::message::{GlobalRequest, GlobalRequestType, RequestFailure, RequestSuccess, Wire};
use crate::out::Out;
use crate::time::Instant;
use crate::transport::Role;

impl Mux {
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
            _ if !values::global_is_possible(&request) => true,
            (Role::Server, Type::NoMoreSessions) => {
                self.no_more_sessions = true;
                if want_reply {
                    self.globals
                        .answered(Answer::Success(alloc::vec::Vec::new()))?;
                    self.send_globals(1, out)?;
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
                    self.globals.pending(nonce)?;
                    self.count_replies(0, 0)?;
                }
                let ticket = GlobalTicket::new(token);
                Ok(Incoming::Global(GlobalEvent::Request { request, ticket }))
            }
            None => {
                if want_reply {
                    self.globals.answered(Answer::Failure)?;
                    self.send_globals(1, out)?;
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
            self.settle_global(token, answer, out);
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
            let port = port.filter(|port| values::is_port(*port));
            forward.port = port.ok_or(PeerMisbehaved::Value)?;
        }
        if !self.forwards.contains(&forward) {
            self.forwards.push(forward);
        }
        Ok(())
    }

    /// The reply to the request of this ticket is decided.
    pub(super) fn settle_global(&mut self, token: Token, answer: Answer, out: &mut Out) {
        let decided = self.globals.answer(token.nonce(), answer);
        // Where this is one too many, the next request of the peer is told so.
        let _ = self.send_globals(decided, out);
    }

    /// Sends what may be sent, after so many more were decided.
    fn send_globals(&mut self, decided: usize, out: &mut Out) -> Result<(), LimitExceeded> {
        let mut sent = 0;
        while let Some(answer) = self.globals.next() {
            match answer {
                Answer::Success(data) => out.message(&RequestSuccess { data: &data }),
                Answer::Failure => out.message(&RequestFailure),
            }
            sent += 1;
        }
        self.count_replies(decided, sent)
    }
}
