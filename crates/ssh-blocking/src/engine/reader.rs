//! The reader: owns the receiving half, the receive buffer and the input of the socket.
//!
//! Data goes from the receive buffer into the inbox of its channel under no other lock. Everything
//! else is applied with the state locked. It never waits for a write. It has a thread, and lends itself to
//! one that waits for what it reads ([`lead`](super::lead)).

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant as SystemInstant};

use ssh_driver::{Core, Ended, Host, Intake};
use ssh_proto::error::{End, Error as CoreError};
use ssh_proto::{Instant, PeerEvent, RecvBuf, RecvSide, Wants};

use super::lead::{Input, Lead, Next, Pace, TICK};
use super::{Engine, Inbox, Role};

/// How long the reader looks away when the core takes no input for now.
const PAUSE: Duration = Duration::from_millis(100);
/// A read that fills so much tells that more is there. Before a packet that is not complete there may be
/// less room than that, and then it tells nothing.
const MUCH: usize = 16 * 1024;
/// How long the peer may take to close after our last words.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) struct Reader<R: Role> {
    engine: Arc<Engine>,
    intake: Intake<Inbox>,
    rx: RecvBuf,
    role: R,
    pace: Pace,
    /// What came of the last read of the reader's thread, and whether somebody waited for it.
    got: Got,
    awaited: bool,
    /// How long a read may take, as far as the socket knows.
    patience: Option<Duration>,
    /// What the socket said.
    io: Option<io::Error>,
    /// How it ended, until everybody knows.
    end: Option<End>,
    /// A thread that leads has not come to the end of its turn.
    in_turn: bool,
    done: bool,
}

/// What came of a read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Got {
    /// Something, or the end.
    Some,
    /// As much as there was room for: more will be there already.
    Full,
    /// Nothing for as long as it might take, or before a signal came.
    Nothing,
}

impl<R: Role> Reader<R> {
    /// For a socket whose reads take as long as they take.
    pub(super) fn new(engine: Arc<Engine>, recv: RecvSide, rx: RecvBuf, role: R) -> Self {
        Self {
            engine,
            intake: Intake::new(recv),
            rx,
            role,
            pace: Pace::new(),
            got: Got::Full,
            awaited: false,
            patience: None,
            io: None,
            end: None,
            in_turn: false,
            done: false,
        }
    }

    fn read(&mut self, need: usize, patience: Option<Duration>) -> Got {
        // A socket that is over may not take it any more, and can be read all the same.
        if self.patience != patience && self.engine.socket.set_read_timeout(patience).is_ok() {
            self.patience = patience;
        }
        match self.try_read(need) {
            Ok(got) => got,
            Err(error) => {
                self.io.get_or_insert(error);
                self.intake.close_input();
                Got::Some
            }
        }
    }

    fn try_read(&mut self, need: usize) -> io::Result<Got> {
        let spare = self.rx.try_spare(need);
        let spare = spare.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let room = spare.len();
        match self.engine.socket.read_once(spare) {
            Ok(0) => {
                self.intake.close_input();
                Ok(Got::Some)
            }
            Ok(n) => {
                self.rx.filled(n);
                let full = n == room && room >= MUCH;
                Ok(if full { Got::Full } else { Got::Some })
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => Ok(Got::Nothing),
                // Not TimedOut, by which the other end of the connection is meant.
                io::ErrorKind::WouldBlock if self.patience.is_some() => Ok(Got::Nothing),
                _ => Err(error),
            },
        }
    }

    /// Everything that can be done with what was read, where no code of users may run. Whether nothing is
    /// left of it for the reader's thread.
    fn rounds(&mut self) -> bool {
        loop {
            self.round(true);
            if self.end.is_some() || self.role.has_business() {
                return false;
            }
            match self.intake.wants() {
                Wants::Bytes(_) => return true,
                Wants::Batch => {}
                _ => return false,
            }
        }
    }

    /// Everything that can be done with what was read. Where it is `quiet`, up to where code of users
    /// is to run.
    fn round(&mut self, quiet: bool) {
        let mut batch = self.rx.batch();
        let mut speaker = Speaker {
            engine: &self.engine,
            role: &mut self.role,
            quiet,
        };
        let end = self.intake.round(&mut batch, &*self.engine, &mut speaker);
        drop(self.engine.settle(self.engine.lock()));
        self.end = end;
    }

    /// Tells everybody that the connection has ended, and goes.
    fn finish(&mut self, end: End) {
        self.done = true;
        let by_us = matches!(end, End::Error(_));
        let mut state = self.engine.lock();
        let io = state.io.take().or_else(|| self.io.take());
        let ended = Arc::new(Ended::new(end, io));
        state.ended = Some(ended.clone());
        state.core.table().end(&ended);
        self.engine.pump.notify_one();
        self.engine.progress.notify_all();
        drop(state);
        if !std::thread::panicking() {
            // Code of users: a panic in it while another one unwinds would end the process.
            self.role.ended(&ended);
        }
        if by_us {
            self.engine.socket.drain(FAREWELL);
            self.engine.socket.shutdown(Shutdown::Both);
        }
    }
}

impl<R: Role> Input for Reader<R> {
    fn lead(&mut self) -> bool {
        let Wants::Bytes(need) = self.intake.wants() else {
            return false;
        };
        let got = self.read(need, Some(TICK));
        if got == Got::Nothing {
            return false;
        }
        self.in_turn = true;
        let more = self.rounds();
        self.in_turn = false;
        more && got != Got::Full
    }

    fn go_on(&mut self) -> Next {
        if self.in_turn {
            // A thread that led has panicked over what it read: nothing of it can be trusted.
            return Next::Over;
        }
        // A thread that has led leaves behind what is not its business.
        self.role.unlocked(&self.engine);
        if self.end.is_none() {
            self.round(false);
        }
        if let Some(end) = self.end.take() {
            self.finish(end);
            return Next::Over;
        }
        match self.intake.wants() {
            Wants::Bytes(need) => {
                let needless = self.awaited || !self.intake.was_eventful();
                // Not everywhere is a socket of use after a read that took too long.
                if cfg!(unix) && self.pace.count(needless && self.got != Got::Full) {
                    return Next::HandOver;
                }
                self.got = self.read(need, None);
                self.awaited = self.engine.lead.one_waits();
            }
            Wants::Batch => {}
            Wants::Answer | Wants::Output => {
                let state = self.engine.lock();
                if state.io.is_some() {
                    // Nothing can be written any more: what was read already is all there is.
                    self.intake.close_input();
                    return Next::Again;
                }
                let until = SystemInstant::now() + PAUSE;
                drop(self.engine.wait(state, Some(until)));
            }
            _ => return Next::Over,
        }
        Next::Again
    }
}

/// What the reader's thread does.
pub(super) fn run(lead: &Lead, mut input: Box<dyn Input>) {
    loop {
        match input.go_on() {
            Next::Again => {}
            Next::HandOver => input = lead.hand_over(input),
            Next::Over => return,
        }
    }
}

impl<R: Role> Drop for Reader<R> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        // It could not be started, or code of users has panicked in it.
        self.engine.hang_up("");
        self.finish(End::Error(CoreError::Internal("the reader has stopped")));
    }
}

impl Host<Inbox> for Engine {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn with<T>(&self, change: impl FnOnce(&mut Core<Inbox>) -> T) -> T {
        change(&mut self.lock().core)
    }
}

/// The role, with the engine that it needs to answer.
struct Speaker<'a, R> {
    engine: &'a Arc<Engine>,
    role: &'a mut R,
    /// No code of users may run here.
    quiet: bool,
}

impl<R: Role> ssh_driver::Role<Inbox> for Speaker<'_, R> {
    fn event(&mut self, core: &mut Core<Inbox>, event: PeerEvent<'_>) {
        self.role.event(core, event);
    }

    fn unlocked(&mut self) {
        if !self.quiet {
            self.role.unlocked(self.engine);
        }
    }

    fn leaves_off(&self) -> bool {
        self.quiet && self.role.has_business()
    }
}
