//! A [`Mailbox`] that tasks wait for: [`Inbox`], and those who wait: [`Waiters`].
//!
//! Each channel has its own lock, which is held for a copy at the most. It may be taken while the
//! state of the connection is locked, and never the other way round.

use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use ssh_driver::{Error, Mailbox, Shared};
use ssh_proto::mux::{RequestId, Stream};

use super::lock;

/// When more tasks than this wait, all are woken, and those that still wait come again: a call that
/// was given up leaves its waker behind.
const MOST: usize = 32;

/// Tasks that wait for something.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    wakers: Vec<Waker>,
    /// How many there may be beyond [`MOST`]: twice as many each time, or those that come again
    /// would wake each other for ever.
    more: usize,
}

impl Waiters {
    /// Has the task woken next time.
    pub(crate) fn register(&mut self, cx: &Context<'_>) {
        if self.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        if self.wakers.len() >= MOST + self.more {
            let more = self.more + self.wakers.len();
            self.wake();
            self.more = more;
        }
        self.wakers.push(cx.waker().clone());
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }

    pub(crate) fn wake(&mut self) {
        self.more = 0;
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }
}

/// One channel, as far as its users wait for it.
#[derive(Debug)]
pub(crate) struct Inbox {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    mailbox: Mailbox,
    /// Data, an end, an answer.
    readers: Waiters,
    /// Room to write.
    writers: Waiters,
}

impl Shared for Inbox {
    fn new(mailbox: Mailbox) -> Self {
        Self {
            inner: Mutex::new(Inner {
                mailbox,
                readers: Waiters::default(),
                writers: Waiters::default(),
            }),
        }
    }

    fn update<R>(&self, change: impl FnOnce(&mut Mailbox) -> R) -> R {
        let mut inner = self.lock();
        let result = change(&mut inner.mailbox);
        inner.readers.wake();
        inner.writers.wake();
        result
    }

    fn deliver(&self, stream: Stream, data: &[u8]) -> bool {
        self.lock().mailbox.deliver(stream, data)
    }

    fn notify(&self) {
        self.lock().readers.wake();
    }

    fn give_back(&self) {
        self.lock().mailbox.give_back();
    }

    fn writable(&self) -> bool {
        let mut inner = self.lock();
        inner.mailbox.writable();
        let waits = !inner.writers.is_empty();
        inner.writers.wake();
        waits
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Looks at the mailbox, or changes what nobody waits for.
    pub(crate) fn with<R>(&self, look: impl FnOnce(&mut Mailbox) -> R) -> R {
        look(&mut self.lock().mailbox)
    }

    /// Polls for something that is not room to write.
    pub(crate) fn poll<T>(
        &self,
        cx: &Context<'_>,
        ready: impl FnOnce(&mut Mailbox) -> Option<T>,
    ) -> Poll<T> {
        let mut inner = self.lock();
        match ready(&mut inner.mailbox) {
            Some(value) => Poll::Ready(value),
            None => {
                inner.readers.register(cx);
                Poll::Pending
            }
        }
    }

    /// Waits for something that is not room to write.
    pub(crate) async fn wait<T>(
        &self,
        mut ready: impl FnMut(&mut Mailbox) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        std::future::poll_fn(|cx| self.poll(cx, &mut ready)).await
    }

    /// Says that `send` has accepted nothing, before the state of the connection is unlocked, and
    /// has the task woken when there is room.
    pub(crate) fn block(&self, cx: &Context<'_>) {
        let mut inner = self.lock();
        inner.mailbox.block();
        inner.writers.register(cx);
    }

    /// Whether it is worth trying to send.
    pub(crate) fn poll_writable(&self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        let mut inner = self.lock();
        match inner.mailbox.write_ready() {
            Some(result) => Poll::Ready(result),
            None => {
                inner.writers.register(cx);
                Poll::Pending
            }
        }
    }

    /// Waits for the answer to a request that was expected; forgets it when the wait is given up.
    pub(crate) async fn wait_reply(&self, request: RequestId) -> Result<(), Error> {
        struct Forget<'a>(&'a Inbox, RequestId);
        impl Drop for Forget<'_> {
            fn drop(&mut self) {
                self.0.with(|mailbox| mailbox.forget(self.1));
            }
        }
        let _forget = Forget(self, request);
        self.wait(|mailbox| mailbox.reply_ready(request)).await
    }
}
