//! What data may come, and how channels end (RFC 4254 sections 5.2 and 5.3).
//!
//! Data itself is let through by the receive side; here is the truth that it asks for.

use super::super::event::{ChannelEvent, ClosedBy};
use super::super::flow::Half;
use super::super::{ChannelId, Mux};
use super::Incoming;
use crate::error::{Error, PeerMisbehaved};
use crate::message::{ChannelClose, ChannelEof, ChannelWindowAdjust, Wire};
use crate::out::Out;

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
}
