//! One channel as far as its users wait for it: [`Mailbox`].
//!
//! Whoever reads the socket puts things in; the users of the channel look whether what they wait
//! for is there. How they wait is the driver's business: it keeps the mailbox behind a lock of its
//! own and wakes those who wait after each change.
//!
//! ```text
//!   deliver --> [ data | stderr ] --read / swap--> application
//!                    consumed, to be released in the core: released + consumed + queued <= window
//! ```
//!
//! What is named `..._ready` is `None` as long as there is something to wait for.

use std::collections::VecDeque;
use std::sync::Arc;

use ssh_proto::message::{ChannelOpenFailureReason, TerminalSize};
use ssh_proto::mux::{RequestId, Stream};

use crate::error::{Ended, Error};
use crate::exit::ExitStatus;
use crate::queue::Queue;

/// Credit is given back when so much was consumed, or when the queue has run empty: not for every
/// read, since it takes the lock of the connection.
const RELEASE: usize = 64 * 1024;
/// Signals that the application has not asked for; more are dropped.
const MAX_SIGNALS: usize = 16;

/// What has come for the users of one channel.
#[derive(Debug, Default)]
pub struct Mailbox {
    data: Queue,
    stderr: Queue,
    /// Consumed, and not yet released.
    consumed: usize,
    eof: bool,
    open: Open,
    /// `send` accepted nothing: `Writable` will follow.
    blocked: bool,
    /// Requests that somebody waits for, and their answers.
    replies: Vec<(RequestId, Option<bool>)>,
    exit: Option<ExitStatus>,
    closed: bool,
    /// Server: a program runs here, has run, or is being decided on.
    occupied: bool,
    /// Nobody is left to read.
    abandoned: bool,
    /// Nobody is left to read this stream.
    data_unwanted: bool,
    stderr_unwanted: bool,
    ended: Option<Arc<Ended>>,
    signals: VecDeque<String>,
    size: Option<TerminalSize>,
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
pub enum Take {
    /// Standard output.
    Data,
    /// Standard error.
    Stderr,
    /// Whichever has something.
    Any,
}

/// What came of a look at the queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// From which stream, and how much; `None` at the end.
    pub data: Option<(Stream, usize)>,
    /// What is to be released in the core now.
    pub release: usize,
}

/// What comes in.
impl Mailbox {
    /// A mailbox of a channel that is being opened.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues data. False if nobody will ever read this stream: then it is to be released at once.
    #[must_use]
    pub fn deliver(&mut self, stream: Stream, data: &[u8]) -> bool {
        match stream {
            _ if self.abandoned => return false,
            Stream::Data if !self.data_unwanted => self.data.push(data),
            Stream::STDERR if !self.stderr_unwanted => self.stderr.push(data),
            Stream::Data => return false,
            Stream::Extended(_) => return false,
        }
        true
    }

    /// The channel is open. False if nobody wants it any more.
    #[must_use]
    pub fn opened(&mut self) -> bool {
        self.open = Open::Yes;
        !self.abandoned
    }

    /// The channel was refused.
    pub fn refused(&mut self, reason: ChannelOpenFailureReason, description: String) {
        self.open = Open::Refused {
            reason,
            description,
        };
        self.closed = true;
    }

    /// `send` accepts data again.
    pub const fn writable(&mut self) {
        self.blocked = false;
    }

    /// No more data will come.
    pub const fn eof(&mut self) {
        self.eof = true;
    }

    /// A request was answered. Nobody may wait for it any more.
    pub fn replied(&mut self, request: RequestId, success: bool) {
        if let Some((_, answer)) = self.replies.iter_mut().find(|(id, _)| *id == request) {
            *answer = Some(success);
        }
    }

    /// The program has ended.
    pub fn exited(&mut self, status: ExitStatus) {
        // The first one counts: a peer that changes its mind is not believed.
        self.exit.get_or_insert(status);
    }

    /// The peer sends a signal.
    pub fn signalled(&mut self, name: String) {
        if self.signals.len() < MAX_SIGNALS {
            self.signals.push_back(name);
        }
    }

    /// The terminal has this size.
    pub const fn resized(&mut self, size: TerminalSize) {
        self.size = Some(size);
    }

    /// The channel is gone.
    pub const fn closed(&mut self) {
        self.closed = true;
    }

    /// Gives memory back where nothing waits.
    pub fn give_back(&mut self) {
        self.data.give_back();
        self.stderr.give_back();
    }

    /// The connection is gone.
    pub fn ended(&mut self, ended: &Arc<Ended>) {
        self.ended = Some(ended.clone());
    }
}

/// What the users do.
impl Mailbox {
    /// Takes what fits into `into`.
    pub fn read_ready(&mut self, take: Take, into: &mut [u8]) -> Option<Result<Taken, Error>> {
        let stream = self.pick(take);
        if !self.queue(stream).is_empty() {
            let n = self.queue(stream).read(into);
            self.consumed += n;
            let release = self.release_now(stream);
            let data = Some((stream, n));
            return Some(Ok(Taken { data, release }));
        }
        self.end_of_data()
    }

    /// Gives everything of one stream in exchange for `empty`, a queue that was read to its end.
    /// None of it counts as consumed before [`consume`](Self::consume) says so.
    pub fn swap_ready(&mut self, take: Take, empty: &mut Queue) -> Option<Result<Taken, Error>> {
        let stream = self.pick(take);
        let queue = self.queue(stream);
        if !queue.is_empty() {
            std::mem::swap(queue, empty);
            let data = Some((stream, empty.len()));
            return Some(Ok(Taken { data, release: 0 }));
        }
        empty.give_back();
        self.end_of_data()
    }

    /// Says that `n` bytes of what was swapped out were consumed, and that nothing is left of it.
    /// What is to be released in the core now.
    pub fn consume(&mut self, stream: Stream, n: usize) -> usize {
        self.consumed += n;
        self.release_now(stream)
    }

    /// Says that `send` has accepted nothing, before the state of the connection is unlocked.
    pub const fn block(&mut self) {
        self.blocked = true;
    }

    /// Whether it is worth trying to send again.
    pub fn write_ready(&self) -> Option<Result<(), Error>> {
        if !self.blocked {
            return Some(Ok(()));
        }
        self.no_more()
    }

    /// The answer to our request to open the channel.
    pub fn open_ready(&self) -> Option<Result<(), Error>> {
        match &self.open {
            Open::Yes => Some(Ok(())),
            Open::Refused {
                reason,
                description,
            } => Some(Err(Error::OpenRefused {
                reason: *reason,
                description: description.clone(),
            })),
            Open::Asked => self.no_more(),
        }
    }

    /// Somebody waits for the answer to this request.
    pub fn expect(&mut self, request: RequestId) {
        self.replies.push((request, None));
    }

    /// Nobody waits for the answer to this request any more.
    pub fn forget(&mut self, request: RequestId) {
        self.replies.retain(|(id, _)| *id != request);
    }

    /// The answer to a request that was [`expect`](Self::expect)ed.
    pub fn reply_ready(&mut self, request: RequestId) -> Option<Result<(), Error>> {
        let at = self.replies.iter().position(|(id, _)| *id == request)?;
        match self.replies.get(at)?.1 {
            Some(success) => {
                self.replies.swap_remove(at);
                Some(if success {
                    Ok(())
                } else {
                    Err(Error::RequestRefused)
                })
            }
            None => self.no_more(),
        }
    }

    /// How the program ended, or that it will never be known.
    pub fn exit_ready(&self) -> Option<Result<ExitStatus, Error>> {
        if let Some(exit) = &self.exit {
            return Some(Ok(exit.clone()));
        }
        if self.closed {
            return Some(Ok(ExitStatus::Unknown));
        }
        self.no_more()
    }

    /// Whether the channel is gone.
    pub fn closed_ready(&self) -> Option<Result<(), Error>> {
        if self.closed {
            return Some(Ok(()));
        }
        self.no_more()
    }

    /// The next signal.
    pub fn signal_ready(&mut self) -> Option<Result<String, Error>> {
        let signal = self.signals.pop_front().map(Ok);
        signal.or_else(|| self.no_more())
    }

    /// The size of the terminal.
    pub const fn terminal_size(&self) -> Option<TerminalSize> {
        self.size
    }

    /// Server: one program runs on a channel. False if it is not the first.
    #[must_use]
    pub const fn occupy(&mut self) -> bool {
        !std::mem::replace(&mut self.occupied, true)
    }

    /// Server: the program was refused, and another one may be asked for.
    pub const fn vacate(&mut self) {
        self.occupied = false;
    }

    /// Nobody will read this stream any more: what came of it and what still comes is forgotten.
    /// What is to be released in the core now.
    pub fn discard(&mut self, stream: Stream) -> usize {
        match stream {
            Stream::Data => self.data_unwanted = true,
            Stream::Extended(_) => self.stderr_unwanted = true,
        }
        let queue = std::mem::take(self.queue(stream));
        queue.len() + std::mem::take(&mut self.consumed)
    }

    /// The last user has gone: what came and what still comes is forgotten.
    pub fn abandon(&mut self) {
        self.abandoned = true;
        self.data = Queue::new();
        self.stderr = Queue::new();
    }

    fn pick(&self, take: Take) -> Stream {
        match take {
            Take::Data => Stream::Data,
            Take::Stderr => Stream::STDERR,
            // What a program complains about is short and wanted first.
            Take::Any if !self.stderr.is_empty() => Stream::STDERR,
            Take::Any => Stream::Data,
        }
    }

    const fn queue(&mut self, stream: Stream) -> &mut Queue {
        match stream {
            Stream::Data => &mut self.data,
            Stream::Extended(_) => &mut self.stderr,
        }
    }

    /// Nothing is there: perhaps nothing will come.
    fn end_of_data(&mut self) -> Option<Result<Taken, Error>> {
        if self.eof || self.closed {
            let release = std::mem::take(&mut self.consumed);
            let data = None;
            return Some(Ok(Taken { data, release }));
        }
        let ended = self.ended.as_ref()?;
        Some(Err(ended.clone().into()))
    }

    /// A queue that has run empty gives its credit back: the other one may never be read, and must
    /// not keep it.
    fn release_now(&mut self, stream: Stream) -> usize {
        if self.consumed >= RELEASE || self.queue(stream).is_empty() {
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
