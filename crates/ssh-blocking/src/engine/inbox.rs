//! What the reading thread leaves for the users of one channel: [`Inbox`].
//!
//! Each channel has its own lock, which is held for a copy at the most. It may be taken while the
//! state of the connection is locked, and never the other way round.
//!
//! ```text
//!   reader --deliver--> [ data | stderr ] --read--> application
//!                            consumed, to be released in the core: released + queued <= window
//! ```

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use ssh_proto::message::{ChannelOpenFailureReason, TerminalSize};
use ssh_proto::mux::{RequestId, Stream};

use super::{lock, wait};
use crate::channel::ExitStatus;
use crate::error::{Ended, Error};

/// Credit is given back when so much was consumed, or when the queue has run empty: not for every
/// read, since it takes the lock of the connection.
const RELEASE: usize = 64 * 1024;
/// Signals that the application has not asked for; more are dropped.
const MAX_SIGNALS: usize = 16;
/// A queue above this gives its memory back when it has run empty.
const KEEP: usize = 256 * 1024;

/// One channel, as far as its users wait for it.
#[derive(Debug)]
pub(crate) struct Inbox {
    inner: Mutex<Inner>,
    /// Data, an end, an answer.
    readable: Condvar,
    /// Room to write.
    writable: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    data: VecDeque<u8>,
    stderr: VecDeque<u8>,
    /// Consumed, and not yet released.
    consumed: usize,
    eof: bool,
    open: Open,
    /// `send` accepted nothing: `Writable` will follow.
    blocked: bool,
    replies: Vec<(RequestId, bool)>,
    exit: Option<ExitStatus>,
    closed: bool,
    /// Server: a program runs here, has run, or is being decided on.
    occupied: bool,
    /// Nobody is left to read.
    abandoned: bool,
    ended: Option<Arc<Ended>>,
    /// Threads in `readable`: waking nobody costs a system call too.
    readers: usize,
    writers: usize,
    /// Server: what the client said beside its data.
    pub(crate) signals: VecDeque<String>,
    pub(crate) size: Option<TerminalSize>,
}

#[derive(Debug, Default)]
enum Open {
    #[default]
    Asked,
    Yes,
    Refused {
        reason: ChannelOpenFailureReason,
        description: String,
    },
}

/// Which streams a read takes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    Data,
    Stderr,
    Any,
}

impl Inbox {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            readable: Condvar::new(),
            writable: Condvar::new(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    // -- what the reader says -----------------------------------------------------------------

    /// Queues data. False if nobody will ever read this stream: then it is to be released at
    /// once. Whoever waits is woken by [`notify`](Self::notify).
    pub(crate) fn deliver(&self, stream: Stream, data: &[u8]) -> bool {
        let mut inner = self.lock();
        if inner.abandoned {
            return false;
        }
        match stream {
            Stream::Data => inner.data.extend(data),
            Stream::STDERR => inner.stderr.extend(data),
            Stream::Extended(_) => return false,
        }
        true
    }

    /// The last user has gone: what came and what still comes is forgotten.
    pub(crate) fn abandon(&self) {
        let mut inner = self.lock();
        inner.abandoned = true;
        inner.data = VecDeque::new();
        inner.stderr = VecDeque::new();
    }

    /// Wakes those who wait for something to read.
    pub(crate) fn notify(&self) {
        if self.lock().readers > 0 {
            self.readable.notify_all();
        }
    }

    /// `send` accepts data again.
    pub(crate) fn writable(&self) {
        let mut inner = self.lock();
        inner.blocked = false;
        if inner.writers > 0 {
            self.writable.notify_all();
        }
    }

    /// The channel is open. False if nobody waits for it any more.
    #[must_use]
    pub(crate) fn opened(&self) -> bool {
        self.update(|inner| inner.open = Open::Yes);
        !self.lock().abandoned
    }

    /// The channel was refused.
    pub(crate) fn refused(&self, reason: ChannelOpenFailureReason, description: String) {
        self.update(|inner| {
            inner.open = Open::Refused {
                reason,
                description,
            };
            inner.closed = true;
        });
    }

    pub(crate) fn eof(&self) {
        self.update(|inner| inner.eof = true);
    }

    pub(crate) fn replied(&self, request: RequestId, success: bool) {
        self.update(|inner| inner.replies.push((request, success)));
    }

    pub(crate) fn exited(&self, status: ExitStatus) {
        self.update(|inner| {
            // The first one counts: a peer that changes its mind is not believed.
            inner.exit.get_or_insert(status);
        });
    }

    /// The channel is gone.
    pub(crate) fn closed(&self) {
        self.update(|inner| inner.closed = true);
    }

    /// The connection is gone.
    pub(crate) fn ended(&self, ended: &Arc<Ended>) {
        self.update(|inner| inner.ended = Some(ended.clone()));
    }

    pub(crate) fn signalled(&self, name: String) {
        self.update(|inner| {
            if inner.signals.len() < MAX_SIGNALS {
                inner.signals.push_back(name);
            }
        });
    }

    /// Server: one program runs on a channel. False if it is not the first.
    pub(crate) fn occupy(&self) -> bool {
        !std::mem::replace(&mut self.lock().occupied, true)
    }

    /// Server: the program was refused, and another one may be asked for.
    pub(crate) fn vacate(&self) {
        self.lock().occupied = false;
    }

    fn update(&self, change: impl FnOnce(&mut Inner)) {
        let mut inner = self.lock();
        change(&mut inner);
        if inner.readers > 0 {
            self.readable.notify_all();
        }
        if inner.writers > 0 {
            self.writable.notify_all();
        }
    }

    // -- what the users wait for --------------------------------------------------------------

    /// Waits for data. `Ok(None)` is the end of the stream. The second number is what is to be
    /// released now.
    pub(crate) fn read(
        &self,
        take: Take,
        into: &mut [u8],
        deadline: Option<Instant>,
    ) -> Result<(Option<(Stream, usize)>, usize), Error> {
        self.wait_readable(deadline, |inner| {
            if let Some((stream, n)) = inner.take(take, into) {
                let drained = match stream {
                    Stream::Data => inner.data.is_empty(),
                    Stream::Extended(_) => inner.stderr.is_empty(),
                };
                return Some(Ok((Some((stream, n)), inner.release_now(drained))));
            }
            if inner.eof || inner.closed {
                return Some(Ok((None, inner.release_now(true))));
            }
            let ended = inner.ended.as_ref()?;
            Some(Err(ended.clone().into()))
        })
    }

    /// Says that `send` has accepted nothing, before the state of the connection is unlocked.
    pub(crate) fn block(&self) {
        self.lock().blocked = true;
    }

    /// Waits until it is worth trying to send again.
    pub(crate) fn wait_writable(&self, deadline: Option<Instant>) -> Result<(), Error> {
        let mut inner = self.lock();
        while inner.blocked {
            if let Some(ended) = &inner.ended {
                return Err(ended.clone().into());
            }
            if inner.closed {
                return Err(Error::Closed);
            }
            inner.writers += 1;
            let (guard, in_time) = wait(&self.writable, inner, deadline);
            inner = guard;
            inner.writers -= 1;
            if !in_time && inner.blocked {
                return Err(Error::Timeout);
            }
        }
        Ok(())
    }

    /// Waits for the answer to our request to open the channel.
    pub(crate) fn wait_open(&self, deadline: Option<Instant>) -> Result<(), Error> {
        self.wait_readable(deadline, |inner| match &inner.open {
            Open::Yes => Some(Ok(())),
            Open::Refused {
                reason,
                description,
            } => Some(Err(Error::OpenRefused {
                reason: *reason,
                description: description.clone(),
            })),
            Open::Asked => inner.no_more(),
        })
    }

    /// Waits for the answer to a request.
    pub(crate) fn wait_reply(
        &self,
        request: RequestId,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        self.wait_readable(deadline, |inner| {
            if let Some(at) = inner.replies.iter().position(|(id, _)| *id == request) {
                let (_, success) = inner.replies.swap_remove(at);
                return Some(if success {
                    Ok(())
                } else {
                    Err(Error::RequestRefused)
                });
            }
            inner.no_more()
        })
    }

    /// Waits until it is known how the program ended, or that it never will be.
    pub(crate) fn wait_exit(&self, deadline: Option<Instant>) -> Result<ExitStatus, Error> {
        self.wait_readable(deadline, |inner| {
            if let Some(exit) = &inner.exit {
                return Some(Ok(exit.clone()));
            }
            if inner.closed {
                return Some(Ok(ExitStatus::Unknown));
            }
            inner.no_more()
        })
    }

    /// Waits until the peer has closed the channel.
    pub(crate) fn wait_closed(&self, deadline: Option<Instant>) -> Result<(), Error> {
        self.wait_readable(deadline, |inner| {
            if inner.closed {
                return Some(Ok(()));
            }
            inner.no_more()
        })
    }

    pub(crate) fn wait_signal(&self, deadline: Option<Instant>) -> Result<String, Error> {
        self.wait_readable(deadline, |inner| {
            let signal = inner.signals.pop_front().map(Ok);
            signal.or_else(|| inner.no_more())
        })
    }

    fn wait_readable<T>(
        &self,
        deadline: Option<Instant>,
        mut ready: impl FnMut(&mut Inner) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut inner = self.lock();
        loop {
            if let Some(result) = ready(&mut inner) {
                return result;
            }
            inner.readers += 1;
            let (guard, in_time) = wait(&self.readable, inner, deadline);
            inner = guard;
            inner.readers -= 1;
            if !in_time {
                return ready(&mut inner).unwrap_or(Err(Error::Timeout));
            }
        }
    }
}

impl Inner {
    fn take(&mut self, take: Take, into: &mut [u8]) -> Option<(Stream, usize)> {
        let (stream, queue) = match take {
            Take::Data => (Stream::Data, &mut self.data),
            Take::Stderr => (Stream::STDERR, &mut self.stderr),
            // What a program complains about is short and wanted first.
            Take::Any if !self.stderr.is_empty() => (Stream::STDERR, &mut self.stderr),
            Take::Any => (Stream::Data, &mut self.data),
        };
        if queue.is_empty() {
            return None;
        }
        let mut n = 0;
        // A ring has two parts.
        while n < into.len() && !queue.is_empty() {
            n += queue.read(into.get_mut(n..)?).ok()?;
        }
        if queue.is_empty() && queue.capacity() > KEEP {
            queue.shrink_to(KEEP);
        }
        self.consumed += n;
        Some((stream, n))
    }

    /// `drained`: the queue that was read is empty. The other one may never be read, and must not
    /// keep the credit of this one.
    fn release_now(&mut self, drained: bool) -> usize {
        if self.consumed >= RELEASE || drained {
            std::mem::take(&mut self.consumed)
        } else {
            0
        }
    }

    fn no_more<T>(&self) -> Option<Result<T, Error>> {
        if let Some(ended) = &self.ended {
            return Some(Err(ended.clone().into()));
        }
        self.closed.then_some(Err(Error::Closed))
    }
}
