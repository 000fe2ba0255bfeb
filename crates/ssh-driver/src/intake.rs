//! What is done with input: [`Intake`] owns the receiving half.
//!
//! ```text
//!   batch --> RecvSide --+--> data: into the mailbox of its channel, under the lock of that alone
//!                        +--> anything else: applied with the Core locked, then dispatched
//! ```
//!
//! Invariants: it waits for nothing but locks. User code runs only with nothing locked, after each
//! packet: what the peer sends in one go may ask for more than may wait for an answer at a time.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ssh_proto::error::End;
use ssh_proto::{
    Batch, ChannelEvent, ChannelId, Instant, Opened, PeerEvent, RecvSide, TransportEvent, Wants,
};

use crate::core_state::Core;
use crate::table::{Shared, release};

/// The lock around the [`Core`], and the clock.
pub trait Host<S> {
    /// The time.
    fn now(&self) -> Instant;
    /// Locks the core for a moment.
    fn with<R>(&self, change: impl FnOnce(&mut Core<S>) -> R) -> R;
}

/// What one role does with events that are not a channel's own business.
pub trait Role<S> {
    /// An event, with the core locked: nothing here may wait, and no code of users may run.
    fn event(&mut self, core: &mut Core<S>, event: PeerEvent<'_>);
    /// After each packet that was no data, with nothing locked: code of users may run.
    fn unlocked(&mut self);
    /// Whether the rest of the input is left for another round: asked after
    /// [`unlocked`](Self::unlocked), for drivers that cannot run that code everywhere.
    fn leaves_off(&self) -> bool {
        false
    }
}

/// The receiving half of a connection, with what finds the channels without a lock.
pub struct Intake<S> {
    recv: RecvSide,
    /// Mailboxes that data went to.
    known: HashMap<ChannelId, Arc<S>>,
    /// Those that were delivered to since they were last notified.
    touched: Vec<Arc<S>>,
    /// The last round had something for somebody.
    eventful: bool,
}

impl<S: Shared> Intake<S> {
    /// For a connection whose user is in.
    pub fn new(recv: RecvSide) -> Self {
        Self {
            recv,
            known: HashMap::new(),
            touched: Vec::new(),
            eventful: false,
        }
    }

    /// Whether the last [`round`](Self::round) had something for somebody: not only credit, say.
    pub const fn was_eventful(&self) -> bool {
        self.eventful
    }

    /// What is needed next.
    pub fn wants(&self) -> Wants {
        self.recv.wants()
    }

    /// The size of the packet at the front of the input; see [`RecvSide::need`].
    pub fn need(&self) -> usize {
        self.recv.need()
    }

    /// The transport has ended.
    pub const fn close_input(&mut self) {
        self.recv.close_input();
    }

    /// Does everything that can be done with what was read. The core has changed afterwards: look
    /// at its output. Says how the connection ended, if it did.
    pub fn round(
        &mut self,
        batch: &mut Batch<'_>,
        host: &impl Host<S>,
        role: &mut impl Role<S>,
    ) -> Option<End> {
        let Self {
            recv,
            known,
            touched,
            eventful,
        } = self;
        let mut end = None;
        *eventful = false;
        host.with(|core| {
            core.half.begin_poll(recv);
            while let Some(event) = core.half.pending_event(recv, host.now()) {
                *eventful = true;
                dispatch(core, role, touched, &mut end, event);
            }
        });
        while let Some(opened) = recv.open(batch) {
            match opened {
                Opened::Data {
                    channel,
                    stream,
                    data,
                } => {
                    *eventful = true;
                    let slot = match known.get(&channel) {
                        Some(slot) => slot,
                        None => {
                            let found = host.with(|core| core.table.get(channel).cloned());
                            let Some(slot) = found else { continue };
                            known.entry(channel).or_insert(slot)
                        }
                    };
                    if !slot.deliver(stream, data) {
                        host.with(|core| release(core.send(), channel, data.len()));
                    }
                    if !touched.last().is_some_and(|last| Arc::ptr_eq(last, slot)) {
                        touched.push(slot.clone());
                    }
                }
                Opened::Control(control) => {
                    let now = host.now();
                    host.with(|core| {
                        // A question that nobody answered is refused.
                        core.half.begin_poll(recv);
                        if let Some(event) = core.half.apply(control, recv, now) {
                            *eventful = true;
                            if let PeerEvent::Channel(ChannelEvent::Closed { channel, .. }) = &event
                            {
                                known.remove(channel);
                            }
                            dispatch(core, role, touched, &mut end, event);
                        }
                        while let Some(event) = core.half.pending_event(recv, now) {
                            *eventful = true;
                            dispatch(core, role, touched, &mut end, event);
                        }
                        // What the role has answered at once lets input go on at once.
                        core.half.begin_poll(recv);
                        // The peer may wait for it.
                        *eventful |= core.send().has_output();
                    });
                    role.unlocked();
                    if role.leaves_off() {
                        break;
                    }
                }
                _ => {}
            }
        }
        for slot in touched.drain(..) {
            slot.notify();
        }
        role.unlocked();
        end
    }
}

/// What an event means to those who wait.
fn dispatch<S: Shared>(
    core: &mut Core<S>,
    role: &mut impl Role<S>,
    touched: &mut Vec<Arc<S>>,
    end: &mut Option<End>,
    event: PeerEvent<'_>,
) {
    let event = match event {
        PeerEvent::Ended(how) => {
            *end = Some(how);
            return;
        }
        PeerEvent::Channel(event) => match core.table.event(core.half.side(), touched, event) {
            Some(event) => PeerEvent::Channel(event),
            None => return,
        },
        PeerEvent::Transport(TransportEvent::KeysExchanged) => {
            core.exchanges += 1;
            PeerEvent::Transport(TransportEvent::KeysExchanged)
        }
        other => other,
    };
    role.event(core, event);
}

impl<S> fmt::Debug for Intake<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("recv", &self.recv)
            .finish_non_exhaustive()
    }
}
