//! A channel as its handles share it: [`Line`]. Dropped, it closes the channel without waiting.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ssh_driver::{Error, Mailbox, Queue, Shared, Take};
use ssh_proto::ChannelId;
use ssh_proto::error::{Misuse, RequestError};
use ssh_proto::message::ChannelRequestType;
use ssh_proto::mux::{Reply, RequestId, Stream};

use crate::engine::{Engine, Inbox};
use crate::sys::within;

/// The most that is sent under one hold of the lock.
const PIECE: usize = 64 * 1024;
/// Credit is given back when a reader has consumed so much, or all that it was lent.
const RELEASE: usize = 64 * 1024;

/// A channel of either role.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) engine: Arc<Engine>,
    pub(crate) id: ChannelId,
    pub(crate) inbox: Arc<Inbox>,
    /// How long a request may take.
    limit: Option<Duration>,
    /// Keeps a client's connection alive.
    _keep: Option<Arc<Handle>>,
}

/// Whoever uses a client's connection has one: the last one that is dropped ends it, without
/// waiting.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) engine: Arc<Engine>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.engine.hang_up("");
    }
}

impl Line {
    pub(crate) const fn new(
        engine: Arc<Engine>,
        id: ChannelId,
        inbox: Arc<Inbox>,
        limit: Option<Duration>,
        keep: Option<Arc<Handle>>,
    ) -> Self {
        Self {
            engine,
            id,
            inbox,
            limit,
            _keep: keep,
        }
    }

    /// Sends as much as is taken at once.
    pub(crate) fn poll_write(
        &self,
        cx: &Context<'_>,
        stream: Stream,
        data: &[u8],
    ) -> Poll<Result<usize, Error>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let data = data.get(..PIECE).unwrap_or(data);
        match self.inbox.poll_writable(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {}
        }
        let mut state = self.engine.lock();
        let sent = state
            .send()
            .channel(self.id)
            .and_then(|mut channel| channel.send_on(stream, data));
        let result = match sent {
            Ok(0) => {
                self.inbox.block(cx);
                Poll::Pending
            }
            Ok(sent) => Poll::Ready(Ok(sent)),
            Err(misuse) => Poll::Ready(Err(state.error(misuse))),
        };
        self.engine.settle(state);
        result
    }

    /// Gives credit back. The channel may have closed in the meantime: then nobody wants it.
    pub(crate) fn release(&self, n: usize) {
        if n > 0 {
            self.engine.release(self.id, n);
        }
    }

    /// Nobody will read this stream any more.
    pub(crate) fn discard(&self, stream: Stream) {
        let n = self.inbox.with(|mailbox| mailbox.discard(stream));
        self.release(n);
    }

    pub(crate) fn eof(&self) -> Result<(), Error> {
        self.engine.change(|send| send.channel(self.id)?.eof())?;
        // A writer on another handle learns that there is nothing to wait for.
        self.inbox.update(Mailbox::writable);
        Ok(())
    }

    pub(crate) fn close(&self) -> Result<(), Error> {
        self.engine.change(|send| send.channel(self.id)?.close())?;
        self.inbox.update(Mailbox::closed);
        Ok(())
    }

    /// Waits for something that the peer does, as long as a request may take.
    pub(crate) async fn limited<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        within(self.limit, call).await
    }

    /// A request that the peer must answer.
    pub(crate) async fn ask(&self, request: ChannelRequestType<'_>) -> Result<(), Error> {
        self.limited(async {
            match self.request(request, Reply::Wanted).await? {
                Some(id) => self.inbox.wait_reply(id).await,
                None => Ok(()),
            }
        })
        .await
    }

    /// A request that the peer does not answer.
    pub(crate) async fn tell(&self, request: ChannelRequestType<'_>) -> Result<(), Error> {
        self.request(request, Reply::NotWanted).await.map(drop)
    }

    async fn request(
        &self,
        request: ChannelRequestType<'_>,
        reply: Reply,
    ) -> Result<Option<RequestId>, Error> {
        self.attempt(
            |channel| channel.request(request, reply),
            |line, id| {
                // Before the answer can come.
                id.inspect(|id| line.inbox.with(|mailbox| mailbox.expect(*id)));
            },
        )
        .await
    }

    /// Does something to the channel, and waits a while where too much waits already. `then` is
    /// done before anything else can happen.
    pub(crate) async fn attempt<T>(
        &self,
        mut change: impl FnMut(&mut ssh_proto::mux::Channel<'_>) -> Result<T, RequestError>,
        then: impl Fn(&Self, &T),
    ) -> Result<T, Error> {
        self.engine
            .attempt(self.limit, |state| {
                let value = change(&mut state.send().channel(self.id)?)?;
                then(self, &value);
                Ok(value)
            })
            .await
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.inbox.with(Mailbox::abandon);
        let mut state = self.engine.lock();
        state.core.table().remove(self.id);
        if let Ok(mut channel) = state.send().channel(self.id) {
            // It may be closed already.
            match channel.close() {
                Ok(()) | Err(Misuse::ChannelState) => {}
                Err(misuse) => debug_assert!(false, "{misuse}"),
            }
        }
        self.engine.settle(state);
    }
}

/// Reads one of the streams of a channel. What has come is swapped out as a whole, and lent from
/// there without a lock.
#[derive(Debug)]
pub(crate) struct Reader {
    line: Arc<Line>,
    stream: Stream,
    lent: Queue,
    /// Consumed, and not yet told.
    consumed: usize,
}

impl Reader {
    pub(crate) const fn new(line: Arc<Line>, stream: Stream) -> Self {
        Self {
            line,
            stream,
            lent: Queue::new(),
            consumed: 0,
        }
    }

    /// What was lent and not yet consumed.
    pub(crate) fn lent(&self) -> &[u8] {
        self.lent.waiting()
    }

    /// Has something to lend; nothing is the end.
    pub(crate) fn poll_fill(&mut self, cx: &Context<'_>) -> Poll<io::Result<&[u8]>> {
        if self.lent.is_empty() {
            let take = match self.stream {
                Stream::Data => Take::Data,
                Stream::Extended(_) => Take::Stderr,
            };
            let lent = &mut self.lent;
            let swapped = self
                .line
                .inbox
                .poll(cx, |mailbox| mailbox.swap_ready(take, lent));
            match swapped {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Ready(Ok(taken)) => self.line.release(taken.release),
            }
        }
        Poll::Ready(Ok(self.lent.waiting()))
    }

    /// Forgets what was consumed of what was lent.
    pub(crate) fn consume(&mut self, n: usize) {
        let n = n.min(self.lent.len());
        self.lent.consume(n);
        self.consumed += n;
        if self.consumed >= RELEASE || (self.lent.is_empty() && self.consumed > 0) {
            let (stream, n) = (self.stream, std::mem::take(&mut self.consumed));
            let release = self.line.inbox.with(|mailbox| mailbox.consume(stream, n));
            self.line.release(release);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // What nobody will read must not stop the peer's other stream.
        let left = self.consumed + self.lent.len();
        self.line.release(left);
        self.line.discard(self.stream);
    }
}
