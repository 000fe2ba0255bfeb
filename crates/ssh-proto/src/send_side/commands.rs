//! What the application does with a connection of either role. None of it takes the time or waits:
//! look at `output()` and `poll_timeout(now)` afterwards.
//!
//! What makes no sense now, or finds no room, is refused and changes nothing.

use super::SendSide;
use super::apply::pong_size;
use crate::error::{End, MAX_DESCRIPTION, Misuse, RequestError};
use crate::message::{
    ChannelOpenFailureReason, ChannelOpenType, DisconnectReason, GlobalRequestType, Ignore, Ping,
};
use crate::mux::{
    Channel, ChannelId, GlobalTicket, OpenTicket, Reply, RequestId, RequestTicket, Ticket,
};

/// What the peer may owe us for pings, in bytes. It must keep the answers to all of them while keys
/// are exchanged, and nobody takes data for them: pings without a bound would end an honest
/// connection, or have both sides wait for the other one to read.
const MOST_PINGS: usize = 8 * 1024;

impl SendSide {
    /// A channel, for a call or two.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoSuchChannel`] if it does not exist, or not any more.
    pub fn channel(&mut self, id: ChannelId) -> Result<Channel<'_>, Misuse> {
        if self.has_ended() {
            return Err(Misuse::Ended);
        }
        if !self.mux.contains(id) {
            return Err(Misuse::NoSuchChannel);
        }
        Ok(Channel::new(&mut self.mux, &mut self.out, id))
    }

    /// Opens a channel; [`ChannelEvent::Opened`](crate::ChannelEvent::Opened) or [`ChannelEvent::OpenFailed`](crate::ChannelEvent::OpenFailed) follows.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotAuthenticated`], [`Misuse::Ended`], [`Misuse::Value`] if the parameters do
    /// not fit into a packet or are values that no peer is asked for (a host with controls, a port
    /// above 65535, a path with NUL), [`RequestError::Busy`] while there are too many channels or
    /// unanswered requests, or too much output waits.
    pub fn open_channel(
        &mut self,
        channel_type: ChannelOpenType<'_>,
    ) -> Result<ChannelId, RequestError> {
        self.must_be_connected()?;
        self.mux.may_open(&channel_type, &self.out)?;
        self.mux.open(channel_type, &mut self.out)
    }

    /// Client: opens a session, for a command, a shell or a subsystem (RFC 4254 section 6.1).
    ///
    /// # Errors
    ///
    /// As [`open_channel`](Self::open_channel).
    pub fn open_session(&mut self) -> Result<ChannelId, RequestError> {
        self.open_channel(ChannelOpenType::Session)
    }

    /// Client: has the server connect to `host` and `port` (RFC 4254 section 7.2). The originator
    /// is what the server is told about where the connection came from.
    ///
    /// # Errors
    ///
    /// As [`open_channel`](Self::open_channel).
    pub fn open_direct_tcpip(
        &mut self,
        host: &str,
        port: u16,
        originator: (&str, u16),
    ) -> Result<ChannelId, RequestError> {
        self.open_channel(ChannelOpenType::DirectTcpip {
            host_to_connect: host.as_bytes(),
            port_to_connect: u32::from(port),
            originator_ip_address: originator.0.as_bytes(),
            originator_port: u32::from(originator.1),
        })
    }

    /// Opens our side of a channel that the peer asked for.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the ticket is of another connection or its time is over;
    /// [`Misuse::NoSuchChannel`] if there is no slot left, in which case the peer is refused.
    pub fn accept_channel(&mut self, ticket: OpenTicket) -> Result<ChannelId, Misuse> {
        self.must_live()?;
        self.mux.accept_channel(&ticket, &mut self.out)
    }

    /// Refuses a channel that the peer asked for; `description` is for a person to read.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the ticket is of another connection or its time is over.
    pub fn reject_channel(
        &mut self,
        ticket: OpenTicket,
        reason: ChannelOpenFailureReason,
        description: &str,
    ) -> Result<(), Misuse> {
        self.must_live()?;
        self.mux
            .reject_channel(&ticket, reason, description, &mut self.out)
    }

    /// Grants a request of the peer.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the ticket is of another connection or its time is over.
    pub fn accept_request(&mut self, ticket: RequestTicket) -> Result<(), Misuse> {
        self.must_live()?;
        self.mux.answer_request(&ticket, true, &mut self.out)
    }

    /// Refuses a request of the peer.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the ticket is of another connection or its time is over.
    pub fn refuse_request(&mut self, ticket: RequestTicket) -> Result<(), Misuse> {
        self.must_live()?;
        self.mux.answer_request(&ticket, false, &mut self.out)
    }

    /// Grants a global request of the peer, with the data that its reply carries (the port, where
    /// a forward asked for port 0).
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the ticket is of another connection or its time is over;
    /// [`Misuse::Value`] if `data` is longer than 1024 bytes, and then the request is refused.
    pub fn accept_global(&mut self, ticket: GlobalTicket, data: &[u8]) -> Result<(), Misuse> {
        self.must_live()?;
        if data.len() > 1024 {
            self.mux.answer_global(&ticket, None, &mut self.out)?;
            return Err(Misuse::Value);
        }
        self.mux.answer_global(&ticket, Some(data), &mut self.out)
    }

    /// Refuses a global request of the peer.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the ticket is of another connection or its time is over.
    pub fn refuse_global(&mut self, ticket: GlobalTicket) -> Result<(), Misuse> {
        self.must_live()?;
        self.mux.answer_global(&ticket, None, &mut self.out)
    }

    /// Lets a ticket wait for its answer beyond the next event, until `Deadlines::ticket`.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the ticket is of another connection or its time is over.
    pub fn defer(&mut self, ticket: &impl Ticket) -> Result<(), Misuse> {
        self.must_live()?;
        self.mux.defer(ticket)
    }

    /// Sends a global request (RFC 4254 section 4). With [`Reply::Wanted`] a
    /// [`GlobalEvent::Success`](crate::GlobalEvent::Success) or [`GlobalEvent::Failure`](crate::GlobalEvent::Failure) follows.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotAuthenticated`], [`Misuse::Ended`], [`Misuse::Value`] if the request does not
    /// fit into a packet, is a forward without a reply, or holds values that no peer is asked for,
    /// [`RequestError::Busy`].
    pub fn global_request(
        &mut self,
        request: GlobalRequestType<'_>,
        reply: Reply,
    ) -> Result<Option<RequestId>, RequestError> {
        self.must_be_connected()?;
        self.mux.may_request(&request, &self.out)?;
        self.mux.global_request(request, reply, &mut self.out)
    }

    /// Exchanges keys now (RFC 4253 section 9), unless an exchange is going on.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotAuthenticated`], [`Misuse::Ended`].
    pub fn rekey(&mut self) -> Result<(), Misuse> {
        self.must_be_connected()?;
        self.start_kex();
        Ok(())
    }

    /// Sends a PING (OpenSSH PROTOCOL 1.9), which [`TransportEvent::Pong`](crate::TransportEvent::Pong) answers.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotAuthenticated`], [`Misuse::Ended`], [`Misuse::Value`] if `data` is longer than
    /// 1024 bytes or the peer did not announce that it answers, [`RequestError::Busy`] while too
    /// much output waits or pings with 8 KiB together are unanswered, their framing included.
    pub fn ping(&mut self, data: &[u8]) -> Result<(), RequestError> {
        self.must_be_connected()?;
        if data.len() > 1024 || !self.peer_extensions.ping {
            return Err(Misuse::Value.into());
        }
        self.mux.may_send(data.len() + 5, &self.out)?;
        let owed = self.pings_unanswered + pong_size(data);
        if owed > MOST_PINGS {
            return Err(RequestError::Busy);
        }
        self.pings_unanswered = owed;
        self.out.message(&Ping { data });
        Ok(())
    }

    /// Sends an IGNORE (RFC 4253 section 11.2), for cover traffic.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotAuthenticated`], [`Misuse::Ended`], [`Misuse::Value`] above 16 KiB,
    /// [`RequestError::Busy`] while too much output waits.
    pub fn ignore(&mut self, data: &[u8]) -> Result<(), RequestError> {
        self.must_be_connected()?;
        if data.len() > 16 * 1024 {
            return Err(Misuse::Value.into());
        }
        self.mux.may_send(data.len() + 5, &self.out)?;
        self.out.message(&Ignore { data });
        Ok(())
    }

    /// Says goodbye and ends the connection. [`End::Disconnected`] follows; write the output
    /// before the transport is closed.
    pub fn disconnect(&mut self, reason_code: DisconnectReason, description: &str) {
        let (description, _) =
            description.split_at(description.floor_char_boundary(MAX_DESCRIPTION));
        let goodbye = Some((reason_code, description.as_bytes()));
        self.finish(End::Disconnected, goodbye);
    }
}
