//! What code can do with either role: [`Peer`] for the whole connection, [`PeerSend`] for its
//! sending half. Sealed; for drivers, pumps and simulations.
//!
//! The loop from bytes to events stands here once, for both.

use core::fmt::Debug;
use core::ops::DerefMut;

use crate::client::{Client, ClientEvent, ClientSend};
use crate::error::End;
use crate::mux::{ChannelEvent, GlobalEvent};
use crate::recv::{Batch, Wants};
use crate::recv_side::{Control, Opened, RecvSide};
use crate::send_side::{SendSide, TransportEvent};
use crate::server::{Server, ServerEvent, ServerSend};
use crate::time::Instant;

mod sealed {
    #[expect(unnameable_types, reason = "this is what seals the traits")]
    pub trait Sealed {}
}

/// A connection of either role, with one owner.
pub trait Peer: sealed::Sealed + DerefMut<Target = Self::Send> {
    /// The events of the role.
    type Event<'b>: Debug + Into<PeerEvent<'b>>;
    /// The sending half.
    type Send: PeerSend;

    /// The next event; see [`Client::poll_event`].
    fn poll_event<'b>(&mut self, batch: &mut Batch<'b>, now: Instant) -> Option<Self::Event<'b>>;
    /// What is needed next.
    fn wants(&self) -> Wants;
    /// The size of the packet at the front of the input; see [`RecvSide::need`].
    fn need(&self) -> usize;
    /// The transport has ended.
    fn close_input(&mut self);
    /// Parts with the two halves.
    fn split(self) -> (RecvSide, Self::Send);
}

/// The sending half of a connection of either role.
pub trait PeerSend: sealed::Sealed + DerefMut<Target = SendSide> {
    /// The events of the role.
    type Event<'b>: Debug + Into<PeerEvent<'b>> + From<ChannelEvent<'b>>;

    /// Applies what [`RecvSide::open`] took off a batch.
    fn apply<'b>(
        &mut self,
        control: Control<'b>,
        recv: &mut RecvSide,
        now: Instant,
    ) -> Option<Self::Event<'b>>;
    /// Begins a round; see [`ClientSend::begin_poll`].
    fn begin_poll(&mut self, recv: &mut RecvSide);
    /// The next event that does not come from input.
    fn pending_event<'b>(&mut self, recv: &mut RecvSide, now: Instant) -> Option<Self::Event<'b>>;
}

/// The next event of a connection whose halves have one owner.
pub(crate) fn poll_event<'b, S: PeerSend>(
    recv: &mut RecvSide,
    send: &mut S,
    batch: &mut Batch<'b>,
    now: Instant,
) -> Option<S::Event<'b>> {
    send.begin_poll(recv);
    loop {
        if let Some(event) = send.pending_event(recv, now) {
            return Some(event);
        }
        let event = match recv.open(batch)? {
            Opened::Data {
                channel,
                stream,
                data,
            } => {
                send.mux.deliver(channel, data.len());
                let data = ChannelEvent::Data {
                    channel,
                    stream,
                    data,
                };
                Some(data.into())
            }
            Opened::Control(control) => send.apply(control, recv, now),
        };
        if event.is_some() {
            return event;
        }
    }
}

/// An event as far as both roles have it.
#[derive(Debug)]
#[non_exhaustive]
pub enum PeerEvent<'b> {
    /// Something that concerns the transport.
    Transport(TransportEvent<'b>),
    /// Something happened on a channel.
    Channel(ChannelEvent<'b>),
    /// Something that concerns the connection as a whole.
    Global(GlobalEvent<'b>),
    /// The connection has ended.
    Ended(End),
    /// An event of the client's role.
    Client(ClientEvent<'b>),
    /// An event of the server's role.
    Server(ServerEvent<'b>),
}

macro_rules! peer {
    ($peer:ident, $send:ident, $event:ident, $role:ident) => {
        impl sealed::Sealed for $peer {}
        impl sealed::Sealed for $send {}

        impl Peer for $peer {
            type Event<'b> = $event<'b>;
            type Send = $send;

            fn poll_event<'b>(
                &mut self,
                batch: &mut Batch<'b>,
                now: Instant,
            ) -> Option<$event<'b>> {
                self.poll_event(batch, now)
            }

            fn wants(&self) -> Wants {
                self.wants()
            }

            fn need(&self) -> usize {
                self.need()
            }

            fn close_input(&mut self) {
                self.close_input();
            }

            fn split(self) -> (RecvSide, $send) {
                self.split()
            }
        }

        impl PeerSend for $send {
            type Event<'b> = $event<'b>;

            fn apply<'b>(
                &mut self,
                control: Control<'b>,
                recv: &mut RecvSide,
                now: Instant,
            ) -> Option<$event<'b>> {
                self.apply(control, recv, now)
            }

            fn begin_poll(&mut self, recv: &mut RecvSide) {
                self.begin_poll(recv);
            }

            fn pending_event<'b>(
                &mut self,
                recv: &mut RecvSide,
                now: Instant,
            ) -> Option<$event<'b>> {
                self.pending_event(recv, now)
            }
        }

        impl<'b> From<ChannelEvent<'b>> for $event<'b> {
            fn from(event: ChannelEvent<'b>) -> Self {
                Self::Channel(event)
            }
        }

        impl<'b> From<$event<'b>> for PeerEvent<'b> {
            fn from(event: $event<'b>) -> Self {
                match event {
                    $event::Transport(event) => Self::Transport(event),
                    $event::Channel(event) => Self::Channel(event),
                    $event::Global(event) => Self::Global(event),
                    $event::Ended(end) => Self::Ended(end),
                    other => Self::$role(other),
                }
            }
        }
    };
}

peer!(Client, ClientSend, ClientEvent, Client);
peer!(Server, ServerSend, ServerEvent, Server);
