//! The channels of one connection, and what events mean to their users: [`Table`].

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ssh_proto::mux::Stream;
use ssh_proto::{ChannelEvent, ChannelId, SendSide};

use crate::error::{Ended, shown};
use crate::exit::ExitStatus;
use crate::mailbox::Mailbox;

/// A [`Mailbox`] behind a lock, with those who wait for it.
pub trait Shared {
    /// A mailbox of a channel that is being opened.
    fn new(mailbox: Mailbox) -> Self;
    /// Changes the mailbox and wakes whoever waits for it.
    fn update<R>(&self, change: impl FnOnce(&mut Mailbox) -> R) -> R;
    /// Delivers data, see [`Mailbox::deliver`]. Whoever waits may be woken later, by
    /// [`notify`](Self::notify): once for a whole batch.
    fn deliver(&self, stream: Stream, data: &[u8]) -> bool;
    /// Wakes those who wait for something to read.
    fn notify(&self);
    /// Data can be sent again. Whether somebody waits for that, and will try.
    fn writable(&self) -> bool;
}

/// The mailboxes of the channels that exist.
pub struct Table<S> {
    slots: HashMap<ChannelId, Arc<S>>,
}

impl<S> Default for Table<S> {
    fn default() -> Self {
        Self {
            slots: HashMap::new(),
        }
    }
}

impl<S: Shared> Table<S> {
    /// Adds a channel.
    pub fn insert(&mut self, channel: ChannelId) -> Arc<S> {
        let slot = Arc::new(S::new(Mailbox::new()));
        self.slots.insert(channel, slot.clone());
        slot
    }

    /// The mailbox of a channel.
    pub fn get(&self, channel: ChannelId) -> Option<&Arc<S>> {
        self.slots.get(&channel)
    }

    /// Forgets a channel.
    pub fn remove(&mut self, channel: ChannelId) -> Option<Arc<S>> {
        self.slots.remove(&channel)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The connection has ended: everybody is told, and nothing is left.
    pub fn end(&mut self, ended: &Arc<Ended>) {
        for (_, slot) in std::mem::take(&mut self.slots) {
            slot.update(|mailbox| mailbox.ended(ended));
        }
    }

    /// Tells those who may send again, in their order, until `most` of them have been woken.
    ///
    /// A limit is for drivers where whoever is woken is certain to try, and then to call this
    /// again: it spares those who would find the room gone.
    pub fn wake_writable(&self, send: &mut SendSide, most: usize) {
        let mut woken = 0;
        while woken < most
            && let Some(channel) = send.poll_writable()
        {
            if let Some(slot) = self.slots.get(&channel) {
                woken += usize::from(slot.writable());
            }
        }
    }

    /// Handles an event that concerns the users of one channel, and gives back what does not
    /// concern them alone. Slots that data went to are added to `touched`, to be notified.
    pub fn event<'b>(
        &mut self,
        send: &mut SendSide,
        touched: &mut Vec<Arc<S>>,
        event: ChannelEvent<'b>,
    ) -> Option<ChannelEvent<'b>> {
        let update = |channel: &ChannelId, change: &mut dyn FnMut(&mut Mailbox)| {
            if let Some(slot) = self.slots.get(channel) {
                slot.update(change);
            }
        };
        match event {
            ChannelEvent::Opened { channel } => {
                let slot = self.slots.get(&channel)?;
                if !slot.update(Mailbox::opened) {
                    let closed = send.channel(channel).and_then(|mut c| c.close());
                    debug_assert!(closed.is_ok(), "a channel that was just opened");
                }
            }
            ChannelEvent::OpenFailed {
                channel,
                reason,
                description,
            } => {
                let slot = self.slots.remove(&channel)?;
                slot.update(|mailbox| mailbox.refused(reason, shown(description)));
            }
            ChannelEvent::Data {
                channel,
                stream,
                data,
            } => {
                let slot = self.slots.get(&channel)?;
                if slot.deliver(stream, data) {
                    touched.push(slot.clone());
                } else {
                    release(send, channel, data.len());
                }
            }
            ChannelEvent::Writable { channel } => update(&channel, &mut Mailbox::writable),
            ChannelEvent::Eof { channel } => update(&channel, &mut Mailbox::eof),
            ChannelEvent::Reply {
                channel,
                request,
                success,
            } => update(&channel, &mut |mailbox| mailbox.replied(request, success)),
            ChannelEvent::ExitStatus {
                channel,
                exit_status,
            } => update(&channel, &mut |mailbox| {
                mailbox.exited(ExitStatus::Exited(exit_status));
            }),
            ChannelEvent::ExitSignal {
                channel,
                signal_name,
                core_dumped,
                error_message,
            } => update(&channel, &mut |mailbox| {
                mailbox.exited(ExitStatus::Signaled {
                    signal: shown(signal_name),
                    core_dumped,
                    message: shown(error_message),
                });
            }),
            ChannelEvent::Closed { channel, by } => {
                if let Some(slot) = self.slots.remove(&channel) {
                    slot.update(Mailbox::closed);
                }
                // The role may have notes about it.
                return Some(ChannelEvent::Closed { channel, by });
            }
            other => return Some(other),
        }
        None
    }
}

impl<S> fmt::Debug for Table<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} channels)", self.slots.len())
    }
}

/// Data that nobody will read is done with at once.
pub fn release(send: &mut SendSide, channel: ChannelId, n: usize) {
    if let Ok(mut channel) = send.channel(channel) {
        // The channel exists and has received this much: it cannot be too much.
        let _ = channel.release(n);
    }
}
