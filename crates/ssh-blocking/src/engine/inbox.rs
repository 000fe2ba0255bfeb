//! A [`Mailbox`] that threads wait for: [`Inbox`].
//!
//! Each channel has its own lock, which is held for a copy at the most. It may be taken while the
//! state of the connection is locked, and never the other way round.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use ssh_driver::{Error, Mailbox, Shared};
use ssh_proto::message::TerminalSize;
use ssh_proto::mux::{RequestId, Stream};

use super::lead::{Lead, TICK};
use super::{lock, wait};

/// One channel, as far as its users wait for it.
#[derive(Debug)]
pub(crate) struct Inbox {
    inner: Mutex<Inner>,
    /// Data, an end, an answer.
    readable: Condvar,
    /// Room to write.
    writable: Condvar,
}

#[derive(Debug)]
struct Inner {
    mailbox: Mailbox,
    /// Threads in `readable`: waking nobody costs a system call too.
    readers: usize,
    writers: usize,
    /// The input is free for whoever waits here.
    offered: bool,
}

/// What a thread waits for: something that comes, or room to write.
#[derive(Clone, Copy)]
enum Side {
    Reading,
    Writing,
}

impl Shared for Inbox {
    fn new(mailbox: Mailbox) -> Self {
        Self {
            inner: Mutex::new(Inner {
                mailbox,
                readers: 0,
                writers: 0,
                offered: false,
            }),
            readable: Condvar::new(),
            writable: Condvar::new(),
        }
    }

    fn update<R>(&self, change: impl FnOnce(&mut Mailbox) -> R) -> R {
        let mut inner = self.lock();
        let result = change(&mut inner.mailbox);
        self.wake(inner);
        result
    }

    fn deliver(&self, stream: Stream, data: &[u8]) -> bool {
        self.lock().mailbox.deliver(stream, data)
    }

    fn notify(&self) {
        let waits = self.lock().readers > 0;
        if waits {
            self.readable.notify_all();
        }
    }

    fn give_back(&self) {
        self.lock().mailbox.give_back();
    }

    fn writable(&self) -> bool {
        let mut inner = self.lock();
        inner.mailbox.writable();
        let waits = inner.writers > 0;
        drop(inner);
        if waits {
            self.writable.notify_all();
        }
        waits
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// The last user has gone: what came and what still comes is forgotten.
    pub(crate) fn abandon(&self) {
        self.lock().mailbox.abandon();
    }

    pub(crate) fn terminal_size(&self) -> Option<TerminalSize> {
        self.lock().mailbox.terminal_size()
    }

    /// The input was handed over: whoever waits here is to look.
    pub(super) fn offer(&self) {
        let mut inner = self.lock();
        inner.offered = true;
        self.wake(inner);
    }

    /// Wakes everybody who waits here.
    fn wake(&self, inner: MutexGuard<'_, Inner>) {
        let (readers, writers) = (inner.readers, inner.writers);
        // Whoever is woken wants the lock.
        drop(inner);
        if readers > 0 {
            self.readable.notify_all();
        }
        if writers > 0 {
            self.writable.notify_all();
        }
    }

    /// Says that `send` has accepted nothing, before the state of the connection is unlocked.
    pub(crate) fn block(&self) {
        self.lock().mailbox.block();
    }

    /// Waits until it is worth trying to send again: for the peer to give credit if it is `on_credit`,
    /// or for the socket to take something.
    pub(crate) fn wait_writable(
        self: &Arc<Self>,
        lead: &Lead,
        on_credit: bool,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        // Whoever has read tries again: what it waits for may be something else now.
        let ready = |mailbox: &mut Mailbox, has_read| match mailbox.write_ready() {
            None if has_read => Some(Ok(())),
            result => result,
        };
        self.wait(lead, on_credit, Side::Writing, deadline, ready)
    }

    /// Somebody is about to wait for the answer to this request. To be said before the state of
    /// the connection is unlocked.
    pub(crate) fn expect(&self, request: RequestId) {
        self.lock().mailbox.expect(request);
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn forget(&self, request: RequestId) {
        self.lock().mailbox.forget(request);
    }

    /// Whether the channel is closed, or the connection has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().mailbox.closed_ready().is_some()
    }

    /// Waits for something that comes.
    pub(crate) fn wait_readable<T>(
        self: &Arc<Self>,
        lead: &Lead,
        deadline: Option<Instant>,
        mut ready: impl FnMut(&mut Mailbox) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        let ready = |mailbox: &mut Mailbox, _has_read| ready(mailbox);
        self.wait(lead, true, Side::Reading, deadline, ready)
    }

    /// Waits until something is `ready`, which is told whether this thread has just read: by reading, if it
    /// `comes` by that and nobody else reads.
    fn wait<T>(
        self: &Arc<Self>,
        lead: &Lead,
        comes: bool,
        side: Side,
        deadline: Option<Instant>,
        mut ready: impl FnMut(&mut Mailbox, bool) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        if let Some(result) = ready(&mut self.lock().mailbox, false) {
            return result;
        }
        let waiting = if comes { lead.enter(self) } else { lead.bind() };
        loop {
            // A read takes a tick, which a system may round up, and no deadline is to come meanwhile.
            let has_time = deadline.is_none_or(|end| end > Instant::now() + 2 * TICK);
            if !has_time {
                waiting.decline();
            } else if let Some(mut turn) = waiting.take() {
                // Nobody else delivers now, but somebody may have since the last look.
                if let Some(result) = ready(&mut self.lock().mailbox, false) {
                    return result;
                }
                turn.lead();
                drop(turn);
                if let Some(result) = ready(&mut self.lock().mailbox, true) {
                    return result;
                }
                continue;
            }
            let mut inner = self.lock();
            if let Some(result) = ready(&mut inner.mailbox, false) {
                return result;
            }
            if std::mem::take(&mut inner.offered) && has_time {
                continue;
            }
            let in_time;
            (inner, in_time) = self.sleep(side, inner, deadline);
            if let Some(result) = ready(&mut inner.mailbox, false) {
                return result;
            }
            if !in_time {
                return Err(Error::Timeout);
            }
        }
    }

    /// Waits to be woken. False if the time is over.
    fn sleep<'i>(
        &'i self,
        side: Side,
        mut inner: MutexGuard<'i, Inner>,
        deadline: Option<Instant>,
    ) -> (MutexGuard<'i, Inner>, bool) {
        let condvar = match side {
            Side::Reading => &self.readable,
            Side::Writing => &self.writable,
        };
        *inner.sleepers(side) += 1;
        let (mut inner, in_time) = wait(condvar, inner, deadline);
        *inner.sleepers(side) -= 1;
        (inner, in_time)
    }
}

impl Inner {
    const fn sleepers(&mut self, side: Side) -> &mut usize {
        match side {
            Side::Reading => &mut self.readers,
            Side::Writing => &mut self.writers,
        }
    }
}
