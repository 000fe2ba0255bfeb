//! One authenticated connection, for any number of tasks.
//!
//! ```text
//!   driver task   Intake (receiving half), the stream's input, timers     no lock while it reads
//!   other tasks   state.lock: send, take output; write what the stream takes at once
//! ```
//!
//! There is one task for a connection, and no queue between tasks: whoever sends writes to the
//! stream at once if nobody else does, with the driver's waker, so that it is the driver that goes
//! on when the stream takes more.
//!
//! Invariants:
//!
//! - No lock is held while anything is polled, and none across an await.
//! - Lock order: the state, then an [`Inbox`].
//! - The writer is out of the state while one task has it in hand. Whoever puts it back looks
//!   whether output has come in the meantime.
//! - After every change to the core somebody calls [`Engine::settle`].

mod driver;
mod inbox;
mod writer;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ssh_driver::{Core, Driven, Ended, Error, Host};
use ssh_proto::error::{End, Misuse, RequestError};
use ssh_proto::message::DisconnectReason;
use ssh_proto::{Carry, ChannelId, Instant, Peer, PeerEvent, SendSide};

pub(crate) use self::inbox::{Inbox, Waiters};
use self::writer::Writer;
use crate::sys::{Clock, Link, within};

/// How often one task writes for the others before it leaves the rest to the driver.
const TURNS: usize = 4;
/// How long a call waits for others to finish before it reports [`Error::Busy`].
const BUSY: Duration = Duration::from_secs(30);

/// A connection that several tasks use.
pub(crate) struct Engine {
    clock: Clock,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) core: Core<Inbox>,
    /// `None` while somebody has it in hand.
    writer: Option<Writer>,
    /// The driver was woken while somebody had the writer in hand: the stream may take more, and
    /// nobody will be woken for it again.
    retry: bool,
    /// The driver takes no input before output has left or an answer was given.
    parked: bool,
    /// Wakes the driver.
    driver: Waker,
    /// What the stream said when it broke.
    io: Option<io::Error>,
    pub(crate) ended: Option<Arc<Ended>>,
    /// The last words are written, or given up.
    left: bool,
    /// When the driver wakes by itself.
    armed: Option<Instant>,
    /// Those who wait for something that is not one channel's.
    progress: Waiters,
}

type Guard<'e> = MutexGuard<'e, State>;

/// What one role does with events that are not a channel's own business. Called by the driver.
pub(crate) trait Role: Send + 'static {
    /// An event, with the core locked: nothing here may wait, and no code of users may run.
    fn event(&mut self, core: &mut Core<Inbox>, event: PeerEvent<'_>);
    /// After each packet that had events, with nothing locked: code of users may run.
    fn unlocked(&mut self, engine: &Arc<Engine>);
    /// The connection has ended.
    fn ended(&mut self, ended: &Arc<Ended>);
}

impl Host<Inbox> for Engine {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn with<R>(&self, change: impl FnOnce(&mut Core<Inbox>) -> R) -> R {
        change(&mut self.lock().core)
    }
}

impl Driven for Engine {
    type Slot = Inbox;

    fn settled<R>(&self, change: impl FnOnce(&mut Core<Inbox>) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state.core);
        self.settle(state);
        result
    }

    fn error(&self, misuse: Misuse) -> Error {
        self.lock().error(misuse)
    }
}

impl State {
    /// The core.
    pub(crate) fn send(&mut self) -> &mut SendSide {
        self.core.send()
    }

    /// The writer, if nobody has it and it has something to do.
    fn take_writer(&mut self) -> Option<Writer> {
        if self.io.is_some() {
            return None;
        }
        let mut writer = self.writer.take()?;
        if writer.fill(self.core.send()) {
            return Some(writer);
        }
        self.writer = Some(writer);
        None
    }

    /// Puts the writer back.
    fn put_writer(&mut self, mut writer: Writer) {
        if std::mem::take(&mut self.retry) {
            writer.unblock();
        }
        self.writer = Some(writer);
    }

    /// Whether input may go on that stood still. Then the driver is to look.
    fn may_go_on(&mut self) -> bool {
        let send = self.core.send();
        !send.is_waiting_for_answer() && !send.has_output()
    }

    /// Has the writer tried again. Called by the driver, which is what the stream wakes.
    fn unblock_writer(&mut self) {
        match &mut self.writer {
            Some(writer) => writer.unblock(),
            None => self.retry = true,
        }
    }

    /// Whether there is output that nobody writes and nobody is going to be woken for.
    fn has_unwritten(&mut self) -> bool {
        let waits = self.core.send().has_output();
        let writer = self.writer.as_ref();
        self.io.is_none() && writer.is_some_and(|writer| writer.is_idle_with(waits))
    }

    /// Tells everybody who may send again: a task that is woken may have given up what it waited
    /// for, so that nobody can be sure that it will try and wake the next.
    fn wake_writable(&mut self) {
        let (send, table) = self.core.parts();
        table.wake_writable(send, usize::MAX);
    }

    /// What a misuse means to whoever called.
    pub(crate) fn error(&self, misuse: Misuse) -> Error {
        match misuse {
            Misuse::Ended => Error::Ended(self.ended.clone().unwrap_or_else(|| {
                // This side has said goodbye, and the driver has not noticed yet.
                Arc::new(Ended::new(End::Disconnected, None))
            })),
            Misuse::NoSuchChannel | Misuse::ChannelState => Error::Closed,
            other => Error::Misuse(other),
        }
    }
}

impl Engine {
    /// Starts the task of a connection that is authenticated. What `carry` holds was read already.
    pub(crate) fn start<P: Peer>(
        peer: P,
        carry: Carry,
        link: Link,
        clock: Clock,
        role: impl Role,
    ) -> Arc<Self>
    where
        P::Send: Send + 'static,
    {
        let (recv, send) = peer.split();
        let engine = Arc::new(Self {
            clock,
            state: Mutex::new(State {
                core: Core::new(send),
                writer: Some(Writer::new(link.writer)),
                retry: false,
                parked: false,
                driver: Waker::noop().clone(),
                io: None,
                ended: None,
                left: false,
                armed: None,
                progress: Waiters::default(),
            }),
        });
        let driver = driver::Driver::new(engine.clone(), recv, carry, link.reader, role);
        tokio::spawn(driver.run());
        engine
    }

    pub(crate) fn lock(&self) -> Guard<'_> {
        lock(&self.state)
    }

    /// What follows every change to the core: writes what the stream takes at once, wakes those who
    /// may go on, and tells the driver what it has to know.
    pub(crate) fn settle(&self, state: Guard<'_>) {
        let (mut state, mut driver_is_due) = self.write(state);
        if let Some(at) = state.core.send().poll_timeout(self.clock.now()) {
            driver_is_due |= state.armed.is_none_or(|armed| at < armed);
        }
        driver_is_due |= state.core.send().has_ended();
        if driver_is_due {
            state.driver.wake_by_ref();
        }
    }

    /// As [`settle`](Self::settle) for the driver, which looks after its timer later: says only
    /// whether output is left to it.
    fn write<'e>(&'e self, mut state: Guard<'e>) -> (Guard<'e>, bool) {
        let mut due = false;
        let mut turns = TURNS;
        while let Some(mut writer) = state.take_writer() {
            if turns == 0 {
                state.put_writer(writer);
                due = true;
                break;
            }
            turns -= 1;
            state.wake_writable();
            let waker = state.driver.clone();
            drop(state);
            let written = writer.write(&mut Context::from_waker(&waker));
            state = self.lock();
            if state.left {
                // The connection is over: so is the stream, and not under the lock.
                drop(state);
                drop(writer);
                return (self.lock(), false);
            }
            state.put_writer(writer);
            if let Err(error) = written {
                state.io.get_or_insert(error);
                due = true;
            }
        }
        state.wake_writable();
        state.progress.wake();
        due |= state.parked && state.may_go_on();
        (state, due)
    }

    /// Does something to the core, and waits a while where the core says that too much waits.
    pub(crate) async fn attempt<T>(
        &self,
        limit: Option<Duration>,
        mut change: impl FnMut(&mut State) -> Result<T, RequestError>,
    ) -> Result<T, Error> {
        let patience = limit.map_or(BUSY, |limit| limit.min(BUSY));
        let done = within(
            Some(patience),
            poll_fn(|cx| {
                let mut state = self.lock();
                match change(&mut state) {
                    Ok(value) => {
                        self.settle(state);
                        Poll::Ready(Ok(value))
                    }
                    Err(RequestError::Misuse(misuse)) => Poll::Ready(Err(state.error(misuse))),
                    // Busy, and whatever else may be over in a while.
                    Err(_) => {
                        state.progress.register(cx);
                        Poll::Pending
                    }
                }
            }),
        )
        .await;
        match done {
            Err(Error::Timeout) => Err(Error::Busy),
            done => done,
        }
    }

    /// As [`attempt`](Self::attempt), for what is never refused for being too much.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut SendSide) -> Result<T, Misuse>,
    ) -> Result<T, Error> {
        let mut state = self.lock();
        match change(state.send()) {
            Ok(value) => {
                self.settle(state);
                Ok(value)
            }
            Err(misuse) => Err(state.error(misuse)),
        }
    }

    /// Gives credit back. Most of it is not told to the peer at once, and then there is nothing to
    /// settle. The channel may be gone: then nobody wants it.
    pub(crate) fn release(&self, channel: ChannelId, n: usize) {
        let mut state = self.lock();
        ssh_driver::release(state.send(), channel, n);
        if state.send().has_output() {
            self.settle(state);
        }
    }

    /// Exchanges keys, and waits until the new ones are in use.
    pub(crate) async fn rekey(&self) -> Result<(), Error> {
        let before = {
            let mut state = self.lock();
            let before = state.core.exchanges();
            if let Err(misuse) = state.send().rekey() {
                return Err(state.error(misuse));
            }
            self.settle(state);
            before
        };
        self.progress(|state| {
            if let Some(ended) = &state.ended {
                return Some(Err(ended.clone().into()));
            }
            (state.core.exchanges() != before).then_some(Ok(()))
        })
        .await
    }

    /// Says goodbye, without waiting for anything.
    pub(crate) fn hang_up(&self, description: &str) {
        let mut state = self.lock();
        let reason = DisconnectReason::BY_APPLICATION;
        state.send().disconnect(reason, description);
        self.settle(state);
    }

    /// Waits until the connection has ended.
    pub(crate) async fn wait_ended(&self) -> Arc<Ended> {
        self.progress(|state| state.ended.clone()).await
    }

    /// Waits until the connection has ended, and its last words are written or given up.
    pub(crate) async fn wait_left(&self) {
        self.progress(|state| state.left.then_some(())).await;
    }

    /// Waits for something that is not one channel's.
    async fn progress<T>(&self, mut ready: impl FnMut(&State) -> Option<T>) -> T {
        poll_fn(|cx| {
            let mut state = self.lock();
            match ready(&state) {
                Some(value) => Poll::Ready(value),
                None => {
                    state.progress.register(cx);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Engine")
            .field("core", &state.core)
            .field("ended", &state.ended)
            .finish_non_exhaustive()
    }
}

/// Locks. Whoever panicked under a lock leaves nothing half done that others could trip over: no
/// code of users runs under one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
