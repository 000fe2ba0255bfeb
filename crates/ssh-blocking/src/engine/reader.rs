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
use crate::socket::is_timeout;

/// How long the reader looks away when the core takes no input for now.
const PAUSE: Duration = Duration::from_millis(100);
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
    done: bool,
}

/// What came of a read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Got {
    /// Something, or the end.
    Some,
    /// As much as there was room for: more will be there already.
    Full,
    /// Nothing for as long as it might take.
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
            done: false,
        }
    }

    fn read(&mut self, need: usize, patience: Option<Duration>) -> Got {
        let got = self.try_read(need, patience);
        match got {
            Ok(got) => got,
            Err(error) if patience.is_some() && is_timeout(&error) => Got::Nothing,
            Err(error) => {
                self.io.get_or_insert(error);
                self.intake.close_input();
                Got::Some
            }
        }
    }

    fn try_read(&mut self, need: usize, patience: Option<Duration>) -> io::Result<Got> {
        if self.patience != patience {
            self.engine.socket.set_read_timeout(patience)?;
            self.patience = patience;
        }
        let spare = self.rx.try_spare(need);
        let spare = spare.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let room = spare.len();
        let n = self.engine.socket.read(spare)?;
        match n {
            0 => self.intake.close_input(),
            n => self.rx.filled(n),
        }
        Ok(if n == room { Got::Full } else { Got::Some })
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
        loop {
            self.round(true);
            if got == Got::Full || self.end.is_some() || self.role.has_business() {
                return false;
            }
            match self.intake.wants() {
                Wants::Bytes(_) => return true,
                Wants::Batch => {}
                _ => return false,
            }
        }
    }

    fn go_on(&mut self) -> Next {
        // A thread that has led leaves behind what is not its business.
        if self.end.is_none() {
            self.role.unlocked(&self.engine);
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
