//! What a client does with events: [`Watch`] tells the observer. Whatever the server asks for is
//! refused.

use std::fmt;
use std::sync::Arc;

use ssh_proto::PeerEvent;
use ssh_proto::client::ClientEvent;

use crate::core_state::Core;
use crate::error::Ended;
use crate::intake::Role;
use crate::observer::{Observer, Seen};

/// The role of a client.
pub struct Watch {
    observer: Box<dyn Observer>,
    seen: Vec<Seen>,
}

impl Watch {
    /// Tells this observer.
    pub fn new(observer: Box<dyn Observer>) -> Self {
        Self {
            observer,
            seen: Vec::new(),
        }
    }

    /// Whether there is something to tell.
    pub const fn has_seen(&self) -> bool {
        !self.seen.is_empty()
    }

    /// The connection has ended. Code of users runs.
    pub fn ended(&mut self, ended: &Arc<Ended>) {
        self.observer.ended(ended);
    }
}

impl<S> Role<S> for Watch {
    fn event(&mut self, _core: &mut Core<S>, event: PeerEvent<'_>) {
        let seen = match event {
            PeerEvent::Transport(mut event) => Seen::of_transport(&mut event),
            PeerEvent::Client(mut event) => match &mut event {
                ClientEvent::HostKey { .. } => None,
                event => Seen::of(event),
            },
            _ => None,
        };
        self.seen.extend(seen);
    }

    fn unlocked(&mut self) {
        for seen in self.seen.drain(..) {
            seen.tell(&mut *self.observer);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
