//! The task of a connection: [`Driver`] reads, looks after timers, and writes what the stream did
//! not take at once.
//!
//! Between two packets it owns no buffer: the connections of one worker thread share one
//! ([`SHARED`]), and what is left of a packet is carried. Work for one wake-up is bounded by
//! [`READS`].

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ssh_driver::{Core, Ended, Intake};
use ssh_proto::error::{End, Error as CoreError};
use ssh_proto::{Carry, PeerEvent, RecvBuf, RecvSide, Wants};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep_until};

use super::{Engine, Inbox, Role};

/// Bytes that are read at a time.
const READ_SIZE: usize = 128 * 1024;
/// Reads in one wake-up, before others have their turn.
const READS: usize = 8;
/// After so long without anything to do, memory is given back.
const IDLE: Duration = Duration::from_secs(1);
/// How long the last words may take.
const LINGER: Duration = Duration::from_secs(2);
/// How long the peer may take to close after our last words.
const FAREWELL: Duration = Duration::from_secs(1);

thread_local! {
    /// The receive buffer of the connections that run on this thread, while none of them has it.
    static SHARED: Cell<Option<RecvBuf>> = const { Cell::new(None) };
}

/// Lends the thread's receive buffer. A stream that is itself a connection's channel does not ask
/// for it; if something does, it gets one of its own.
fn with_buffer<R>(work: impl FnOnce(&mut RecvBuf) -> R) -> R {
    let mut rx = SHARED
        .take()
        .unwrap_or_else(|| RecvBuf::with_size(READ_SIZE));
    let result = work(&mut rx);
    SHARED.set(Some(rx));
    result
}

pub(super) struct Driver<R: Role> {
    engine: Arc<Engine>,
    intake: Intake<Inbox>,
    carry: Carry,
    reader: Box<dyn AsyncRead + Send + Unpin>,
    role: R,
    sleep: Option<Pin<Box<Sleep>>>,
    /// A deadline has come.
    due: bool,
    /// There may be memory to be given back.
    busy: bool,
    /// What the stream said.
    io: Option<io::Error>,
    done: bool,
}

/// The role, with the engine that it needs to answer.
struct Speaker<'a, R> {
    engine: &'a Arc<Engine>,
    role: &'a mut R,
}

impl<R: Role> ssh_driver::Role<Inbox> for Speaker<'_, R> {
    fn event(&mut self, core: &mut Core<Inbox>, event: PeerEvent<'_>) {
        self.role.event(core, event);
    }

    fn unlocked(&mut self) {
        self.role.unlocked(self.engine);
    }
}

impl<R: Role> Driver<R> {
    pub(super) fn new(
        engine: Arc<Engine>,
        recv: RecvSide,
        carry: Carry,
        reader: Box<dyn AsyncRead + Send + Unpin>,
        role: R,
    ) -> Self {
        Self {
            engine,
            intake: Intake::new(recv),
            carry,
            reader,
            role,
            sleep: None,
            due: false,
            busy: true,
            io: None,
            done: false,
        }
    }

    pub(super) async fn run(mut self) {
        let end = poll_fn(|cx| self.poll(cx)).await;
        let by_us = matches!(end, End::Error(_) | End::Disconnected);
        self.finish(end);
        // In time, or not at all.
        let _ = tokio::time::timeout(LINGER, last_words(&self.engine)).await;
        self.leave();
        if by_us {
            // Closing over unread input would take our last words away from the peer.
            let _ = tokio::time::timeout(FAREWELL, drain(&mut self.reader)).await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        {
            let mut state = self.engine.lock();
            if !state.driver.will_wake(cx.waker()) {
                state.driver = cx.waker().clone();
            }
            state.unblock_writer();
            state.parked = false;
            if std::mem::take(&mut self.due) {
                let now = self.engine.clock.now();
                state.send().handle_timeout(now);
            } else {
                self.busy = true;
            }
            // What that has to say is written below.
        }
        let end = with_buffer(|rx| {
            if rx.load(&mut self.carry, self.intake.need()).is_err() {
                return Some(End::Error(CoreError::Internal("a buffer in use")));
            }
            let end = self.input(rx, cx);
            rx.park(&mut self.carry);
            end
        });
        match end {
            Some(end) => Poll::Ready(end),
            None => {
                self.arm(cx);
                Poll::Pending
            }
        }
    }

    /// Reads and does everything that can be done with it, within bounds.
    fn input(&mut self, rx: &mut RecvBuf, cx: &mut Context<'_>) -> Option<End> {
        for _ in 0..READS {
            let mut speaker = Speaker {
                engine: &self.engine,
                role: &mut self.role,
            };
            let mut batch = rx.batch();
            let end = self.intake.round(&mut batch, &*self.engine, &mut speaker);
            let broken = self.engine.write(self.engine.lock()).0.io.is_some();
            if end.is_some() {
                return end;
            }
            match self.intake.wants() {
                Wants::Bytes(need) => match self.read(rx, need, cx) {
                    Poll::Ready(()) => {}
                    Poll::Pending if broken => self.intake.close_input(),
                    Poll::Pending => return None,
                },
                Wants::Batch => {}
                // Nothing can be written any more: what was read already is all there is.
                _ if broken => self.intake.close_input(),
                // The driver is woken when output has left, or when an answer was given.
                _ if self.park() => return None,
                _ => {}
            }
        }
        cx.waker().wake_by_ref();
        None
    }

    /// Takes no input for now, unless it may go on already.
    fn park(&self) -> bool {
        let mut state = self.engine.lock();
        state.parked = !state.may_go_on();
        state.parked
    }

    fn read(&mut self, rx: &mut RecvBuf, need: usize, cx: &mut Context<'_>) -> Poll<()> {
        let Ok(spare) = rx.try_spare(need) else {
            let error = io::ErrorKind::OutOfMemory.into();
            self.io.get_or_insert(error);
            self.intake.close_input();
            return Poll::Ready(());
        };
        let mut buf = ReadBuf::new(spare);
        match Pin::new(&mut self.reader).poll_read(cx, &mut buf) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => match buf.filled().len() {
                0 => self.intake.close_input(),
                n => {
                    rx.filled(n);
                    self.busy = true;
                }
            },
            Poll::Ready(Err(error)) => {
                self.io.get_or_insert(error);
                self.intake.close_input();
            }
        }
        Poll::Ready(())
    }

    /// Sleeps no longer than the core allows, and not at all over output that others have left here
    /// while the writer was in hand.
    fn arm(&mut self, cx: &mut Context<'_>) {
        let mut state = self.engine.lock();
        let now = self.engine.clock.now();
        let idle = self.busy.then(|| now + IDLE);
        let due = state.send().poll_timeout(now);
        if let Some(due) = due.into_iter().chain(idle).min()
            && let Some(at) = self.engine.clock.at(due)
        {
            // A deadline that has moved away is looked at when the old one has come.
            if self.sleep.is_none() || state.armed.is_none_or(|armed| due < armed) {
                match &mut self.sleep {
                    Some(sleep) => sleep.as_mut().reset(at),
                    None => self.sleep = Some(Box::pin(sleep_until(at))),
                }
                state.armed = Some(due);
            }
        }
        let again = state.send().has_ended() || state.has_unwritten();
        drop(state);
        if again {
            cx.waker().wake_by_ref();
        }
        if self
            .sleep
            .as_mut()
            .is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready())
        {
            let mut state = self.engine.lock();
            state.armed = None;
            if let Some(writer) = &mut state.writer {
                writer.give_back();
            }
            state.core.table().give_back();
            drop(state);
            self.sleep = None;
            self.due = true;
            self.busy = false;
            cx.waker().wake_by_ref();
        }
    }

    /// Closes the stream, whoever still has a handle, and tells those who wait for the last words.
    fn leave(&self) {
        let mut state = self.engine.lock();
        state.left = true;
        let writer = state.writer.take();
        state.progress.wake();
        drop(state);
        // The stream may be a channel of another connection, with a lock of its own.
        drop(writer);
    }

    /// Tells everybody that the connection has ended.
    fn finish(&mut self, end: End) {
        self.done = true;
        let mut state = self.engine.lock();
        let io = state.io.take().or_else(|| self.io.take());
        let ended = Arc::new(Ended::new(end, io));
        state.ended = Some(ended.clone());
        state.core.table().end(&ended);
        state.progress.wake();
        drop(state);
        if !std::thread::panicking() {
            // Code of users: a panic in it while another one unwinds would end the process.
            self.role.ended(&ended);
        }
    }
}

/// Writes what is left, and ends the stream's output.
async fn last_words(engine: &Engine) {
    poll_fn(|cx| {
        let mut state = engine.lock();
        state.driver = cx.waker().clone();
        state.unblock_writer();
        let (mut state, _) = engine.write(state);
        if state.io.is_some() {
            return Poll::Ready(());
        }
        if state.core.send().has_output() {
            return Poll::Pending;
        }
        match &mut state.writer {
            Some(writer) if writer.is_done() => writer.poll_shutdown(cx).map(drop),
            _ => Poll::Pending,
        }
    })
    .await;
}

/// Reads what still comes and forgets it.
async fn drain(reader: &mut (dyn AsyncRead + Send + Unpin)) {
    // Not in the future itself, which is as large as its largest moment for as long as it lives.
    let mut sink = vec![0; 4096];
    poll_fn(|cx| {
        for _ in 0..READS {
            let mut buf = ReadBuf::new(&mut sink);
            match Pin::new(&mut *reader).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                Poll::Pending => return Poll::Pending,
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl<R: Role> Drop for Driver<R> {
    fn drop(&mut self) {
        if !self.done {
            // The runtime has stopped, or code of users has panicked in it.
            self.engine.hang_up("");
            self.finish(End::Error(CoreError::Internal("the driver has stopped")));
        }
        self.leave();
    }
}
