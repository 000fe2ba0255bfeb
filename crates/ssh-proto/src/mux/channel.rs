//! What the application does with a channel: the short-lived handle [`Channel`].
//!
//! It borrows the connection for a call or two; what lasts is a [`ChannelId`]. Nothing here takes
//! the time or waits: sending accepts as much as the peer's window and the room for output allow
//! and says how much that was, and a request that does not fit is refused without a change.

use super::flow::{Blocked, Flow, Half};
use super::{ChannelId, Mux, RequestId, Stream, values};
use crate::error::{Misuse, RequestError};
use crate::message::{
    ChannelClose, ChannelEof, ChannelRequest, ChannelRequestType, TerminalModes, TerminalSize,
};
use crate::out::{HELD_MIN, Out, encoded_len};
use crate::send::{DataTo, MIN_ROOM, Share};
use crate::transport::MAX_OVERHEAD;

/// The largest payload that every peer can take (RFC 4253 section 6.1).
pub(super) const MAX_PAYLOAD: usize = 32 * 1024;

/// A channel, borrowed from its connection for a call or two.
///
/// Nothing here waits: what cannot be done now says so. After a call look at `output()`.
#[derive(Debug)]
pub struct Channel<'a> {
    pub(super) mux: &'a mut Mux,
    pub(super) out: &'a mut Out,
    pub(super) id: ChannelId,
}

/// Whether a request asks the peer for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The peer must answer.
    Wanted,
    /// The peer must not answer.
    NotWanted,
}

/// How a program ended (RFC 4254 section 6.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit<'a> {
    /// By itself, with a status.
    Status(u32),
    /// By a signal.
    Signal {
        /// Without `SIG`, as in RFC 4254 section 6.9.
        signal_name: &'a [u8],
        /// Whether a core was dumped.
        core_dumped: bool,
        /// For a person to read; UTF-8.
        error_message: &'a [u8],
    },
}

impl<'a> Channel<'a> {
    pub(crate) const fn new(mux: &'a mut Mux, out: &'a mut Out, id: ChannelId) -> Self {
        Self { mux, out, id }
    }

    /// Which channel this is.
    pub const fn id(&self) -> ChannelId {
        self.id
    }

    /// Sends data and returns how many bytes of it were accepted: those for which the peer has
    /// granted credit and the output has room. Where that is less than all,
    /// [`Writable`](super::ChannelEvent::Writable) follows; what was not accepted is the caller's
    /// to keep.
    ///
    /// # Errors
    ///
    /// [`Misuse::ChannelState`] before the channel is open and after [`eof`](Self::eof) or
    /// [`close`](Self::close).
    pub fn send(&mut self, data: &[u8]) -> Result<usize, Misuse> {
        self.send_on(Stream::Data, data)
    }

    /// As [`send`](Self::send), on a stream such as [`Stream::STDERR`].
    pub fn send_on(&mut self, stream: Stream, data: &[u8]) -> Result<usize, Misuse> {
        let mut rest = data;
        while !rest.is_empty() {
            let (to, n) = self.admit(stream, rest.len())?;
            if n == 0 {
                break;
            }
            let room = self.out.reserve(to, n);
            let (now, later) = rest.split_at(room.len().min(rest.len()));
            if now.is_empty() {
                break;
            }
            room.copy_from_slice(now);
            self.commit(to, now.len());
            rest = later;
        }
        Ok(data.len() - rest.len())
    }

    /// Lends the place inside the next packet where data belongs, at most `max` bytes of it, so
    /// that a source can be read straight into it. Only [`SendSlot::commit`] changes anything. A
    /// slot without room means what 0 means from [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn reserve(self, max: usize) -> Result<SendSlot<'a>, Misuse> {
        self.reserve_on(Stream::Data, max)
    }

    /// As [`reserve`](Self::reserve), on a stream such as [`Stream::STDERR`].
    pub fn reserve_on(mut self, stream: Stream, max: usize) -> Result<SendSlot<'a>, Misuse> {
        let (to, n) = self.admit(stream, max)?;
        let len = if n == 0 {
            0
        } else {
            self.out.reserve(to, n).len()
        };
        Ok(SendSlot {
            channel: self,
            to,
            len,
        })
    }

    /// Says that no more data will be sent (RFC 4254 section 5.3). Data can still be received.
    ///
    /// # Errors
    ///
    /// [`Misuse::ChannelState`] before the channel is open and when its end was said already.
    pub fn eof(&mut self) -> Result<(), Misuse> {
        let flow = self.open_flow()?;
        flow.sending = Half::Eof;
        let recipient_channel = flow.remote();
        self.out.message(&ChannelEof { recipient_channel });
        Ok(())
    }

    /// Closes the channel (RFC 4254 section 5.3). What the peer still sends is dropped;
    /// [`Closed`](super::ChannelEvent::Closed) follows when the peer has closed it too.
    ///
    /// A channel that is still opening is given up: its id is void from now on, nothing is reported
    /// of it any more, and it is closed should the peer confirm it.
    ///
    /// # Errors
    ///
    /// [`Misuse::ChannelState`] when it was closed already.
    pub fn close(&mut self) -> Result<(), Misuse> {
        let flow = self.flow()?;
        if flow.sending == Half::Closed {
            return Err(Misuse::ChannelState);
        }
        flow.sending = Half::Closed;
        if flow.is_opening() {
            flow.stillborn = true;
            return Ok(());
        }
        let recipient_channel = flow.remote();
        self.out.message(&ChannelClose { recipient_channel });
        self.mux.changes += 1;
        Ok(())
    }

    /// Gives credit for `n` bytes of data that was received and is done with, so that the peer
    /// may send as many more. Data that is never released stops the peer at the end of the
    /// window, and nobody else.
    ///
    /// # Errors
    ///
    /// [`Misuse::ReleasedTooMuch`] if more is released than was delivered (after
    /// [`split`](crate::Client::split): than was granted). [`Misuse::NoSuchChannel`] if the channel
    /// is gone meanwhile, and then there is nothing to be done.
    pub fn release(&mut self, n: usize) -> Result<(), Misuse> {
        self.mux.release(self.id, n, self.out)
    }

    /// How many bytes [`send`](Self::send) would accept now, but for the framing of packets after
    /// the first and a last one of less than 256 bytes; 0 exactly when it would accept nothing.
    /// Where what is sent is compressed, `send` accepts more if it packs well: the output has room
    /// for packets as they are then.
    pub fn sendable(&self) -> usize {
        let flow = self.mux.flow(self.id).filter(|flow| flow.may_send());
        flow.map_or(0, |flow| self.allowance(flow))
    }

    /// How many bytes the peer's window still allows (RFC 4254 section 5.2). At 0 nothing is accepted
    /// before the peer has read more; where it is not, and yet nothing is accepted, the output is full
    /// or keys are being exchanged.
    pub fn credit(&self) -> u64 {
        let flow = self.mux.flow(self.id).filter(|flow| flow.may_send());
        flow.map_or(0, Flow::credit)
    }

    /// Lets this channel use all of the output buffer, so that a keystroke finds room beside
    /// bulk data, which may use only half of it. A channel with a terminal is interactive by
    /// itself.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchChannel`].
    pub fn set_interactive(&mut self) -> Result<(), Misuse> {
        let flow = self.flow()?;
        let waiting = flow.share != Share::All && flow.blocked == Blocked::OnRoom;
        flow.share = Share::All;
        if waiting {
            flow.blocked = Blocked::No;
            let slot = self.id.slot;
            self.mux.bulk.retain(|other| *other != slot);
            self.mux.block(self.id);
        }
        Ok(())
    }

    /// Sends a request (RFC 4254 section 5.4). With [`Reply::Wanted`] a
    /// [`Reply`](super::ChannelEvent::Reply) event follows.
    ///
    /// # Errors
    ///
    /// [`Misuse::ChannelState`] unless the channel is open, [`Misuse::Value`] if the request is
    /// too long for a packet or holds values that no peer is asked for, [`RequestError::Busy`] while too
    /// much waits already.
    pub fn request(
        &mut self,
        request: ChannelRequestType<'_>,
        reply: Reply,
    ) -> Result<Option<RequestId>, RequestError> {
        let flow = self.flow()?;
        if flow.is_opening() || flow.sending == Half::Closed {
            return Err(Misuse::ChannelState.into());
        }
        if !values::request_is_possible(&request) {
            return Err(Misuse::Value.into());
        }
        let want_reply = reply == Reply::Wanted;
        let message = ChannelRequest {
            recipient_channel: flow.remote(),
            want_reply,
            request,
        };
        self.mux.may_send_message(encoded_len(&message), self.out)?;
        let mut id = None;
        if want_reply {
            self.flow()?
                .asked
                .try_reserve(1)
                .map_err(RequestError::from)?;
            let request = self.mux.ask()?;
            self.flow()?.asked.push_back(request);
            id = Some(request);
        }
        self.out.message(&message);
        if matches!(request, ChannelRequestType::PtyReq { .. }) {
            self.set_interactive()?;
        }
        Ok(id)
    }

    /// Asks for a pseudo-terminal (RFC 4254 section 6.2).
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn pty(
        &mut self,
        term: &[u8],
        size: TerminalSize,
        modes: TerminalModes<'_>,
        reply: Reply,
    ) -> Result<Option<RequestId>, RequestError> {
        self.request(ChannelRequestType::PtyReq { term, size, modes }, reply)
    }

    /// Sets an environment variable (RFC 4254 section 6.4).
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn env(
        &mut self,
        variable_name: &[u8],
        variable_value: &[u8],
        reply: Reply,
    ) -> Result<Option<RequestId>, RequestError> {
        self.request(
            ChannelRequestType::Env {
                variable_name,
                variable_value,
            },
            reply,
        )
    }

    /// Starts the user's shell (RFC 4254 section 6.5).
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn shell(&mut self, reply: Reply) -> Result<Option<RequestId>, RequestError> {
        self.request(ChannelRequestType::Shell, reply)
    }

    /// Starts a command (RFC 4254 section 6.5).
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn exec(
        &mut self,
        command: &[u8],
        reply: Reply,
    ) -> Result<Option<RequestId>, RequestError> {
        self.request(ChannelRequestType::Exec { command }, reply)
    }

    /// Starts a subsystem such as `sftp` (RFC 4254 section 6.5).
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn subsystem(
        &mut self,
        subsystem_name: &[u8],
        reply: Reply,
    ) -> Result<Option<RequestId>, RequestError> {
        self.request(ChannelRequestType::Subsystem { subsystem_name }, reply)
    }

    /// Tells that the terminal has another size (RFC 4254 section 6.7).
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn window_change(&mut self, size: TerminalSize) -> Result<(), RequestError> {
        self.request(ChannelRequestType::WindowChange { size }, Reply::NotWanted)
            .map(drop)
    }

    /// Sends a signal, named without `SIG` (RFC 4254 section 6.9).
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn signal(&mut self, signal_name: &[u8]) -> Result<(), RequestError> {
        self.request(ChannelRequestType::Signal { signal_name }, Reply::NotWanted)
            .map(drop)
    }

    /// Server: tells how the program ended (RFC 4254 section 6.10). [`close`](Self::close) should
    /// follow.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn exit(&mut self, exit: Exit<'_>) -> Result<(), RequestError> {
        let request = match exit {
            Exit::Status(exit_status) => ChannelRequestType::ExitStatus { exit_status },
            Exit::Signal {
                signal_name,
                core_dumped,
                error_message,
            } => ChannelRequestType::ExitSignal {
                signal_name,
                core_dumped,
                error_message,
                language_tag: b"",
            },
        };
        self.request(request, Reply::NotWanted).map(drop)
    }

    fn flow(&mut self) -> Result<&mut Flow, Misuse> {
        self.mux.flow_mut(self.id).ok_or(Misuse::NoSuchChannel)
    }

    fn open_flow(&mut self) -> Result<&mut Flow, Misuse> {
        let flow = self.flow()?;
        if flow.may_send() {
            Ok(flow)
        } else {
            Err(Misuse::ChannelState)
        }
    }

    /// How many bytes may be sent now: what credit, room and the turns of others allow.
    fn allowance(&self, flow: &Flow) -> usize {
        let room = self.out.buf.room(flow.share);
        let waiting = flow.blocked == Blocked::OnRoom;
        if self.out.is_holding() || waiting || room < MIN_ROOM {
            return 0;
        }
        let others = !self.mux.waiting(flow.share).is_empty();
        let turn = if others { flow.quantum() } else { u64::MAX };
        let limit = flow.credit().min(turn);
        usize::try_from(limit).unwrap_or(usize::MAX).min(room)
    }

    /// How many of `want` bytes may go into the next packets now. A channel that may send nothing
    /// is put where `Writable` will find it.
    fn admit(&mut self, stream: Stream, want: usize) -> Result<(DataTo, usize), Misuse> {
        let ours = self.mux.limits().maximum_packet;
        let flow = self.open_flow()?;
        let to = DataTo {
            recipient: flow.remote(),
            stream,
            max: flow.maximum_packet(ours),
        };
        let allowed = match self.mux.flow(self.id) {
            Some(flow) => self.allowance(flow),
            None => 0,
        };
        if allowed == 0 {
            self.mux.block(self.id);
        }
        Ok((to, want.min(allowed)))
    }

    fn commit(&mut self, to: DataTo, n: usize) {
        self.out.buf.commit(to, n);
        if let Some(flow) = self.mux.flow_mut(self.id) {
            flow.sent(n);
        }
    }
}

/// A place inside a packet that waits to be filled. Dropped or forgotten, it never was.
#[derive(Debug)]
#[must_use = "only `commit` sends anything"]
pub struct SendSlot<'a> {
    channel: Channel<'a>,
    to: DataTo,
    len: usize,
}

impl SendSlot<'_> {
    /// The room; its contents are undefined until they are written. Empty if nothing can be
    /// sent now.
    pub fn room(&mut self) -> &mut [u8] {
        if self.len == 0 {
            return &mut [];
        }
        self.channel.out.reserve(self.to, self.len)
    }

    /// Sends the first `n` bytes of the room; more than there are counts as all.
    pub fn commit(mut self, n: usize) {
        let n = n.min(self.len);
        self.channel.commit(self.to, n);
    }
}

impl Mux {
    /// Notes that a channel wants to send and may not: without credit it waits for that, else at
    /// the end of those that wait for room.
    fn block(&mut self, id: ChannelId) {
        let Some(flow) = self.flow_mut(id) else {
            return;
        };
        if flow.blocked == Blocked::OnRoom {
            return;
        }
        if flow.credit() == 0 {
            flow.blocked = Blocked::OnCredit;
            return;
        }
        flow.blocked = Blocked::OnRoom;
        let share = flow.share;
        self.queue(share).push_back(id.slot);
    }

    /// The peer has granted credit to a channel that waited for it.
    pub(super) fn credit_arrived(&mut self, id: ChannelId) {
        let waits = |flow: &Flow| flow.may_send() && flow.blocked == Blocked::OnCredit;
        if self.flow(id).is_some_and(waits) {
            self.block(id);
        }
    }

    /// Whether the application may send a message of `size` bytes now.
    pub(crate) fn may_send(&self, size: usize, out: &Out) -> Result<(), RequestError> {
        let limits = self.limits();
        let fits = if out.is_holding() {
            // The other half is for what the peer is owed.
            (size + 4).max(HELD_MIN) <= out.held_room().saturating_sub(limits.held / 2)
        } else {
            out.buf.filled() + size + MAX_OVERHEAD <= limits.request_mark()
        };
        if fits {
            Ok(())
        } else {
            Err(RequestError::Busy)
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use alloc::{boxed::Box, vec::Vec};

    use super::*;
    use crate::config::TransportConfig;
    use crate::random::testing::SeededRandom;
    use crate::transport::Role;

    /// Who is told that it may send, may.
    #[test]
    fn room_for_a_packet_is_the_same_for_everybody_who_asks() {
        for (room, some) in [(255, false), (256, true), (257, true)] {
            let config = Arc::new(TransportConfig::default());
            let mut mux = Mux::new(Role::Client, config, Vec::new());
            let mut flow = Flow::opening(1000);
            flow.confirm(0, 1000, 1000);
            flow.share = Share::All;
            let id = mux.insert(flow).unwrap();
            let mut out = Out::new(Box::new(SeededRandom::new(1)), room).unwrap();
            let sendable = Channel::new(&mut mux, &mut out, id).sendable();
            assert_eq!(sendable, if some { room } else { 0 });
            mux.block(id);
            assert_eq!(mux.has_writable(&out), some, "{room}");
            assert_eq!(mux.next_writable(&out), some.then_some(id), "{room}");
        }
    }
}
