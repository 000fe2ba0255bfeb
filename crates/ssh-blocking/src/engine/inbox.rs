//! A [`Mailbox`] that threads wait for: [`Inbox`].
//!
//! Each channel has its own lock, which is held for a copy at the most. It may be taken while the
//! state of the connection is locked, and never the other way round.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

use ssh_driver::{Error, ExitStatus, Mailbox, Shared, Take, Taken};
use ssh_proto::message::TerminalSize;
use ssh_proto::mux::{RequestId, Stream};

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
}

impl Shared for Inbox {
    fn new(mailbox: Mailbox) -> Self {
        Self {
            inner: Mutex::new(Inner {
                mailbox,
                readers: 0,
                writers: 0,
            }),
            readable: Condvar::new(),
            writable: Condvar::new(),
        }
    }

    fn update<R>(&self, change: impl FnOnce(&mut Mailbox) -> R) -> R {
        let mut inner = self.lock();
        let result = change(&mut inner.mailbox);
        let (readers, writers) = (inner.readers, inner.writers);
        // Whoever is woken wants the lock.
        drop(inner);
        if readers > 0 {
            self.readable.notify_all();
        }
        if writers > 0 {
            self.writable.notify_all();
        }
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

    /// Waits for data.
    pub(crate) fn read(
        &self,
        take: Take,
        into: &mut [u8],
        deadline: Option<Instant>,
    ) -> Result<Taken, Error> {
        self.wait_readable(deadline, |mailbox| mailbox.read_ready(take, into))
    }

    /// Says that `send` has accepted nothing, before the state of the connection is unlocked.
    pub(crate) fn block(&self) {
        self.lock().mailbox.block();
    }

    /// Waits until it is worth trying to send again.
    pub(crate) fn wait_writable(&self, deadline: Option<Instant>) -> Result<(), Error> {
        let mut inner = self.lock();
        loop {
            if let Some(result) = inner.mailbox.write_ready() {
                return result;
            }
            inner.writers += 1;
            let (guard, in_time) = wait(&self.writable, inner, deadline);
            inner = guard;
            inner.writers -= 1;
            if !in_time {
                let late = inner.mailbox.write_ready();
                return late.unwrap_or(Err(Error::Timeout));
            }
        }
    }

    /// Waits for the answer to our request to open the channel.
    pub(crate) fn wait_open(&self, deadline: Option<Instant>) -> Result<(), Error> {
        self.wait_readable(deadline, |mailbox| mailbox.open_ready())
    }

    /// Somebody is about to wait for the answer to this request. To be said before the state of
    /// the connection is unlocked.
    pub(crate) fn expect(&self, request: RequestId) {
        self.lock().mailbox.expect(request);
    }

    /// Waits for the answer to a request.
    pub(crate) fn wait_reply(
        &self,
        request: RequestId,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let result = self.wait_readable(deadline, |mailbox| mailbox.reply_ready(request));
        self.lock().mailbox.forget(request);
        result
    }

    /// Waits until it is known how the program ended, or that it never will be.
    pub(crate) fn wait_exit(&self, deadline: Option<Instant>) -> Result<ExitStatus, Error> {
        self.wait_readable(deadline, |mailbox| mailbox.exit_ready())
    }

    /// Waits until the peer has closed the channel.
    pub(crate) fn wait_closed(&self, deadline: Option<Instant>) -> Result<(), Error> {
        self.wait_readable(deadline, |mailbox| mailbox.closed_ready())
    }

    pub(crate) fn wait_signal(&self, deadline: Option<Instant>) -> Result<String, Error> {
        self.wait_readable(deadline, Mailbox::signal_ready)
    }

    fn wait_readable<T>(
        &self,
        deadline: Option<Instant>,
        mut ready: impl FnMut(&mut Mailbox) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut inner = self.lock();
        loop {
            if let Some(result) = ready(&mut inner.mailbox) {
                return result;
            }
            inner.readers += 1;
            let (guard, in_time) = wait(&self.readable, inner, deadline);
            inner = guard;
            inner.readers -= 1;
            if !in_time {
                return ready(&mut inner.mailbox).unwrap_or(Err(Error::Timeout));
            }
        }
    }
}
