//! One authenticated connection, for any number of threads.
//!
//! ```text
//!   reader thread   RecvSide, RecvBuf, the socket's input    no lock while it waits or copies; lends all
//!                   of it to a thread of the application that is alone with waiting for it
//!   applications    state.lock: send, take output; write what the socket takes at once
//!   pump thread     timers, and output that the socket did not take at once: the only one that
//!                   waits for the socket to take output
//! ```
//!
//! Invariants:
//!
//! - The reader never waits for a write. Two peers that both did would wait for ever.
//! - Nobody holds a lock across a system call on the socket, except for the wait itself.
//! - Lock order: the state, then an [`Inbox`], then [`Lead`].
//! - `writing` is true while one thread has the outbox in hand; whoever leaves output behind
//!   either is not the last to look (`writing`) or has told the pump (`stuck`).
//! - After every change to the core somebody calls [`Engine::settle`].

mod inbox;
mod lead;
mod pump;
mod reader;

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as SystemInstant};

use ssh_driver::{Core, Driven, Ended, Error, Outbox};
use ssh_proto::error::{End, Misuse, RequestError};
use ssh_proto::message::DisconnectReason;
use ssh_proto::{Instant, Peer, PeerEvent, RecvBuf, SendSide};

pub(crate) use self::inbox::Inbox;
pub(crate) use self::lead::Lead;
use crate::socket::{Clock, Socket};

/// How often one thread writes for the others before it leaves the rest to the pump.
const TURNS: usize = 4;
/// How many writers are woken at a time: more would find the room taken by the first.
const WOKEN: usize = 1;
/// How long the last words may take.
const LINGER: Duration = Duration::from_secs(2);
/// How long a call waits for others to finish before it reports [`Error::Busy`].
const BUSY: Duration = Duration::from_secs(30);

/// A connection that several threads use.
#[derive(Debug)]
pub(crate) struct Engine {
    socket: Arc<Socket>,
    clock: Clock,
    state: Mutex<State>,
    /// Wakes the pump.
    pump: Condvar,
    /// Wakes those who wait for something that is not one channel's.
    progress: Condvar,
    lead: Lead,
}

pub(crate) struct State {
    pub(crate) core: Core<Inbox>,
    outbox: Outbox,
    writing: bool,
    stuck: bool,
    /// What the socket said when it broke.
    io: Option<io::Error>,
    pub(crate) ended: Option<Arc<Ended>>,
    /// When the pump wakes by itself.
    pump_at: Option<Instant>,
    /// Threads in `progress`.
    waiting: usize,
}

type Guard<'e> = MutexGuard<'e, State>;

/// What one role does with events that are not a channel's own business. Called by the reader.
pub(crate) trait Role: Send + 'static {
    /// An event, with the core locked: nothing here may wait, and no code of users may run.
    fn event(&mut self, core: &mut Core<Inbox>, event: PeerEvent<'_>);
    /// Whether there is code of users to run.
    fn has_business(&self) -> bool;
    /// After each packet that had events, with nothing locked: code of users may run.
    fn unlocked(&mut self, engine: &Arc<Engine>);
    /// The connection has ended.
    fn ended(&mut self, _ended: &Arc<Ended>) {}
}

/// Writes until nothing is left or `write` fails.
fn drain(outbox: &mut Outbox, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
    while !outbox.rest().is_empty() {
        outbox.written(write(outbox.rest())?);
    }
    Ok(())
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("core", &self.core)
            .field("writing", &self.writing)
            .field("stuck", &self.stuck)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl State {
    /// The core.
    pub(crate) fn send(&mut self) -> &mut SendSide {
        self.core.send()
    }

    /// Moves output of the core to the outbox. False if there is nothing to write.
    fn fill_outbox(&mut self) -> bool {
        if self.io.is_some() {
            return false;
        }
        self.outbox.fill(self.core.send())
    }

    /// Tells who may send again. Each of them settles, and so wakes the next.
    fn wake_writable(&mut self) {
        let (send, table) = self.core.parts();
        table.wake_writable(send, WOKEN);
    }

    /// What a misuse means to whoever called.
    pub(crate) fn error(&self, misuse: Misuse) -> Error {
        match misuse {
            Misuse::Ended => Error::Ended(self.ended.clone().unwrap_or_else(|| {
                // This side has said goodbye, and the reader has not noticed yet.
                let end = End::Disconnected;
                Arc::new(Ended::new(end, None))
            })),
            Misuse::NoSuchChannel | Misuse::ChannelState => Error::Closed,
            other => Error::Misuse(other),
        }
    }
}

impl Engine {
    /// Starts the threads of a connection that is authenticated. What `rx` holds was read already.
    pub(crate) fn start<P: Peer>(
        peer: P,
        rx: RecvBuf,
        socket: Arc<Socket>,
        clock: Clock,
        role: impl Role,
    ) -> io::Result<Arc<Self>>
    where
        P::Send: Send + 'static,
    {
        socket.set_read_timeout(None)?;
        let (recv, send) = peer.split();
        let engine = Arc::new(Self {
            socket,
            clock,
            state: Mutex::new(State {
                core: Core::new(send),
                outbox: Outbox::default(),
                writing: false,
                stuck: false,
                io: None,
                ended: None,
                pump_at: None,
                waiting: 0,
            }),
            pump: Condvar::new(),
            progress: Condvar::new(),
            lead: Lead::new(lead::TICK),
        });
        let reader = reader::Reader::new(engine.clone(), recv, rx, role);
        // Dropped where it cannot run, the reader ends the connection, and with it the pump.
        pump::spawn(engine.clone())?;
        std::thread::Builder::new()
            .name("ssh-reader".into())
            .spawn({
                let engine = engine.clone();
                move || reader::run(&engine.lead, Box::new(reader))
            })?;
        Ok(engine)
    }

    pub(crate) fn lock(&self) -> Guard<'_> {
        lock(&self.state)
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.socket.stream()
    }

    /// What follows every change to the core: writes what the socket takes at once, wakes those
    /// who may go on, and tells the pump what it has to know. Waits for nothing.
    pub(crate) fn settle<'e>(&'e self, mut state: Guard<'e>) -> Guard<'e> {
        let was_stuck = state.stuck;
        let mut turns = TURNS;
        while !state.writing && !state.stuck && state.fill_outbox() {
            if turns == 0 {
                state.stuck = true;
                break;
            }
            turns -= 1;
            state.wake_writable();
            state.writing = true;
            let mut outbox = std::mem::take(&mut state.outbox);
            drop(state);
            let written = drain(&mut outbox, |bytes| self.socket.try_write(bytes));
            state = self.lock();
            state.writing = false;
            state.outbox = outbox;
            match written {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => state.stuck = true,
                Err(error) => self.broken(&mut state, error),
            }
        }
        state.wake_writable();
        let due = state.send().poll_timeout(self.clock.now());
        let earlier = match (due, state.pump_at) {
            (Some(due), Some(at)) => due < at,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if (state.stuck && !was_stuck) || earlier || state.send().has_ended() {
            self.pump.notify_one();
        }
        if state.waiting > 0 {
            self.progress.notify_all();
        }
        state
    }

    /// The socket is of no more use.
    fn broken(&self, state: &mut State, error: io::Error) {
        state.io.get_or_insert(error);
        self.socket.shutdown(Shutdown::Both);
    }

    /// Who reads the socket.
    pub(crate) const fn lead(&self) -> &Lead {
        &self.lead
    }

    /// Waits for progress. False if the time is over.
    fn wait<'e>(&'e self, mut state: Guard<'e>, until: Option<SystemInstant>) -> (Guard<'e>, bool) {
        let _waiting = self.lead.bind();
        state.waiting += 1;
        let (mut state, in_time) = wait(&self.progress, state, until);
        state.waiting -= 1;
        (state, in_time)
    }

    /// Does something to the core, and waits a while where the core says that too much waits.
    pub(crate) fn attempt<T>(
        &self,
        deadline: Option<SystemInstant>,
        mut change: impl FnMut(&mut State) -> Result<T, RequestError>,
    ) -> Result<T, Error> {
        let patience = SystemInstant::now() + BUSY;
        let until = deadline.map_or(patience, |deadline| deadline.min(patience));
        let mut state = self.lock();
        loop {
            match change(&mut state) {
                Ok(value) => {
                    drop(self.settle(state));
                    return Ok(value);
                }
                Err(RequestError::Misuse(misuse)) => return Err(state.error(misuse)),
                // Busy, and whatever else may be over in a while.
                Err(_) => {
                    let (guard, in_time) = self.wait(state, Some(until));
                    state = guard;
                    if !in_time {
                        return Err(Error::Busy);
                    }
                }
            }
        }
    }

    /// As [`attempt`](Self::attempt), for what is never refused for being too much.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut SendSide) -> Result<T, Misuse>,
    ) -> Result<T, Error> {
        let mut state = self.lock();
        let result = change(state.send());
        match result {
            Ok(value) => {
                drop(self.settle(state));
                Ok(value)
            }
            Err(misuse) => Err(state.error(misuse)),
        }
    }

    /// Exchanges keys, and waits until the new ones are in use.
    pub(crate) fn rekey(&self, deadline: Option<SystemInstant>) -> Result<(), Error> {
        let mut state = self.lock();
        let before = state.core.exchanges();
        if let Err(misuse) = state.send().rekey() {
            return Err(state.error(misuse));
        }
        state = self.settle(state);
        while state.core.exchanges() == before {
            if let Some(ended) = &state.ended {
                return Err(ended.clone().into());
            }
            let (guard, in_time) = self.wait(state, deadline);
            state = guard;
            if !in_time {
                return Err(Error::Timeout);
            }
        }
        Ok(())
    }

    /// Says goodbye, without waiting for anything.
    pub(crate) fn hang_up(&self, description: &str) {
        let mut state = self.lock();
        let reason = DisconnectReason::BY_APPLICATION;
        state.send().disconnect(reason, description);
        drop(self.settle(state));
    }

    /// Waits until the last words are written, not for long.
    pub(crate) fn wait_ended(&self) -> Option<Arc<Ended>> {
        let until = SystemInstant::now() + LINGER + Duration::from_secs(1);
        let mut state = self.lock();
        while state.ended.is_none() {
            let (guard, in_time) = self.wait(state, Some(until));
            state = guard;
            if !in_time {
                break;
            }
        }
        state.ended.clone()
    }
}

impl Driven for Engine {
    type Slot = Inbox;

    fn settled<R>(&self, change: impl FnOnce(&mut Core<Inbox>) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state.core);
        drop(self.settle(state));
        result
    }

    fn error(&self, misuse: Misuse) -> Error {
        self.lock().error(misuse)
    }
}

/// Locks. A thread that panicked under a lock leaves nothing half done that others could trip
/// over: no code of users runs under one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until somebody notifies. False if the time is over.
pub(crate) fn wait<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    until: Option<SystemInstant>,
) -> (MutexGuard<'a, T>, bool) {
    match until {
        None => (
            condvar.wait(guard).unwrap_or_else(PoisonError::into_inner),
            true,
        ),
        Some(until) => {
            let left = until.saturating_duration_since(SystemInstant::now());
            if left.is_zero() {
                return (guard, false);
            }
            let (guard, result) = condvar
                .wait_timeout(guard, left)
                .unwrap_or_else(PoisonError::into_inner);
            (guard, !result.timed_out())
        }
    }
}
