//! Everything before authentication has succeeded: one future, which drives the whole connection.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use ssh_driver::Ended;
use ssh_proto::error::{End, Error as CoreError};
use ssh_proto::{Carry, Peer, RecvBuf, Wants};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until, timeout};

use crate::sys::{Clock, Link};

/// How long the last words may take.
const LINGER: Duration = Duration::from_secs(2);
/// How long the peer may take to close after our last words.
const FAREWELL: Duration = Duration::from_secs(1);

/// What there is to do about an event.
pub(crate) enum Turn<Q> {
    /// Go on.
    Going,
    /// Somebody has to decide something that may take its time.
    Ask(Q),
    /// The connection has ended.
    Ended(End),
}

/// A connection whose user is not in yet.
pub(crate) struct Handshake<P: Peer> {
    pub(crate) peer: P,
    link: Link,
    rx: RecvBuf,
    clock: Clock,
    sleep: Option<Pin<Box<Sleep>>>,
    io: Option<io::Error>,
}

/// What it leaves behind.
pub(crate) struct Done<P> {
    pub(crate) peer: P,
    pub(crate) link: Link,
    pub(crate) carry: Carry,
    pub(crate) clock: Clock,
}

impl<P: Peer> Handshake<P> {
    pub(crate) fn new(peer: P, link: Link) -> Self {
        Self {
            peer,
            link,
            rx: RecvBuf::new(),
            clock: Clock::new(),
            sleep: None,
            io: None,
        }
    }

    /// Runs until there is a question, `None` when the user is in. `on` gets every event and
    /// answers what it can.
    ///
    /// The deadlines of the core bound every wait here.
    pub(crate) async fn run<Q>(
        &mut self,
        mut on: impl FnMut(&mut P, P::Event<'_>) -> Turn<Q>,
    ) -> Result<Option<Q>, Ended> {
        loop {
            let turn = self.events(&mut on);
            match turn {
                Turn::Going => {}
                Turn::Ask(question) => return Ok(Some(question)),
                Turn::Ended(end) => return Err(self.goodbye(end).await),
            }
            if self.peer.is_authenticated() {
                // What was read beyond belongs to whoever goes on from here.
                return Ok(None);
            }
            if self.peer.wants() == Wants::Answer {
                // Whoever asks for an answer gets it; a question that was not answered is one that
                // nobody knows how to answer.
                let end = End::Error(CoreError::Internal("a question without an answer"));
                return Err(self.goodbye(end).await);
            }
            poll_fn(|cx| self.poll(cx)).await;
        }
    }

    /// Handles the events that there are, until there is something to do about one.
    fn events<Q>(&mut self, on: &mut impl FnMut(&mut P, P::Event<'_>) -> Turn<Q>) -> Turn<Q> {
        let now = self.clock.now();
        while let Some(event) = self.peer.poll_event(&mut self.rx.batch(), now) {
            let turn = on(&mut self.peer, event);
            if !matches!(turn, Turn::Going) || self.peer.is_authenticated() {
                return turn;
            }
        }
        Turn::Going
    }

    /// Waits for an answer, and looks after the connection meanwhile. `None` if its deadline came
    /// first: the next event says so.
    pub(crate) async fn answer<T>(&mut self, answer: impl Future<Output = T>) -> Option<T> {
        let mut answer = pin!(answer);
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(Some(answer));
            }
            match self.poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Parts with everything.
    pub(crate) fn finish(mut self) -> Done<P> {
        let mut carry = Carry::new();
        self.rx.park(&mut carry);
        Done {
            peer: self.peer,
            link: self.link,
            carry,
            clock: self.clock,
        }
    }

    /// Moves bytes until it is worth asking for an event.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.clock.now();
            self.peer.handle_timeout(now);
            if let Err(error) = self.write(cx) {
                self.io.get_or_insert(error);
                self.peer.close_input();
                return Poll::Ready(());
            }
            match self.peer.wants() {
                Wants::Bytes(need) => {
                    if self.read(need, cx).is_ready() {
                        return Poll::Ready(());
                    }
                }
                Wants::Answer | Wants::Output => {}
                _ => return Poll::Ready(()),
            }
            let Some(at) = self
                .peer
                .poll_timeout(now)
                .and_then(|due| self.clock.at(due))
            else {
                return Poll::Pending;
            };
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if sleep.deadline() != at {
                sleep.as_mut().reset(at);
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Writes what the stream takes.
    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.io.is_some() {
            return Ok(());
        }
        while self.peer.has_output() {
            match Pin::new(&mut self.link.writer).poll_write(cx, self.peer.output()) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => self.peer.consume_output(n),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        match Pin::new(&mut self.link.writer).poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn read(&mut self, need: usize, cx: &mut Context<'_>) -> Poll<()> {
        let Ok(spare) = self.rx.try_spare(need) else {
            let error = io::ErrorKind::OutOfMemory.into();
            self.io.get_or_insert(error);
            self.peer.close_input();
            return Poll::Ready(());
        };
        let mut buf = ReadBuf::new(spare);
        match Pin::new(&mut self.link.reader).poll_read(cx, &mut buf) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => match buf.filled().len() {
                0 => self.peer.close_input(),
                n => self.rx.filled(n),
            },
            Poll::Ready(Err(error)) => {
                self.io.get_or_insert(error);
                self.peer.close_input();
            }
        }
        Poll::Ready(())
    }

    /// Writes the last words, in time or not at all.
    async fn goodbye(&mut self, end: End) -> Ended {
        let last_words = poll_fn(|cx| {
            if self.write(cx).is_err() {
                return Poll::Ready(());
            }
            if self.peer.has_output() && self.io.is_none() {
                return Poll::Pending;
            }
            Pin::new(&mut self.link.writer).poll_shutdown(cx).map(drop)
        });
        let written = timeout(LINGER, last_words).await.is_ok();
        if written && matches!(end, End::Error(_) | End::Disconnected) {
            // Closing over unread input would take our last words away from the peer.
            let drained = poll_fn(|cx| {
                // A stream that always has more must not keep the time limit from being looked at.
                for _ in 0..8 {
                    let Ok(spare) = self.rx.try_spare(1) else {
                        return Poll::Ready(());
                    };
                    let mut buf = ReadBuf::new(spare);
                    match Pin::new(&mut self.link.reader).poll_read(cx, &mut buf) {
                        Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(_) => return Poll::Ready(()),
                    }
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            });
            let _ = timeout(FAREWELL, drained).await;
        }
        Ended::new(end, self.io.take())
    }
}
