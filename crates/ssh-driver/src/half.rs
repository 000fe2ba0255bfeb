//! The sending half of either role, behind one type: [`Half`].

use std::any::Any;

use ssh_proto::{Control, Instant, PeerEvent, PeerSend, RecvSide, SendSide};

/// The sending half of a connection, whichever role it has.
pub trait Half: Send {
    /// What both roles can do.
    fn side(&mut self) -> &mut SendSide;
    /// For what only one role can do.
    fn as_any(&mut self) -> &mut dyn Any;
    /// As [`PeerSend::begin_poll`].
    fn begin_poll(&mut self, recv: &mut RecvSide);
    /// As [`PeerSend::pending_event`].
    fn pending_event<'b>(&mut self, recv: &mut RecvSide, now: Instant) -> Option<PeerEvent<'b>>;
    /// As [`PeerSend::apply`].
    fn apply<'b>(
        &mut self,
        control: Control<'b>,
        recv: &mut RecvSide,
        now: Instant,
    ) -> Option<PeerEvent<'b>>;
}

impl<S: PeerSend + Send + 'static> Half for S {
    fn side(&mut self) -> &mut SendSide {
        self.deref_mut()
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn begin_poll(&mut self, recv: &mut RecvSide) {
        PeerSend::begin_poll(self, recv);
    }

    fn pending_event<'b>(&mut self, recv: &mut RecvSide, now: Instant) -> Option<PeerEvent<'b>> {
        PeerSend::pending_event(self, recv, now).map(Into::into)
    }

    fn apply<'b>(
        &mut self,
        control: Control<'b>,
        recv: &mut RecvSide,
        now: Instant,
    ) -> Option<PeerEvent<'b>> {
        PeerSend::apply(self, control, recv, now).map(Into::into)
    }
}
