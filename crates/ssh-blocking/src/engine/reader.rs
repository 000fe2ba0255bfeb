//! The reader: owns the receiving half, the receive buffer and the input of the socket.
//!
//! Data goes from the receive buffer into the inbox of its channel under no other lock. Everything
//! else is applied with the state locked. It never waits for a write.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant as SystemInstant};

use ssh_driver::{Core, Ended, Host, Intake};
use ssh_proto::error::{End, Error as CoreError};
use ssh_proto::{Instant, PeerEvent, RecvBuf, RecvSide, Wants};

use super::{Engine, Inbox, Role};

/// How long the reader looks away when the core takes no input for now.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the peer may take to close after our last words.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) struct Reader<R: Role> {
    engine: Arc<Engine>,
    intake: Intake<Inbox>,
    rx: RecvBuf,
    role: R,
    /// What the socket said.
    io: Option<io::Error>,
    done: bool,
}

impl<R: Role> Reader<R> {
    pub(super) fn new(engine: Arc<Engine>, recv: RecvSide, rx: RecvBuf, role: R) -> Self {
        Self {
            engine,
            intake: Intake::new(recv),
            rx,
            role,
            io: None,
            done: false,
        }
    }

    pub(super) fn run(mut self) {
        while !self.done {
            self.round();
            match self.intake.wants() {
                _ if self.done => break,
                Wants::Bytes(need) => self.read(need),
                Wants::Batch => {}
                Wants::Answer | Wants::Output => {
                    let state = self.engine.lock();
                    if state.io.is_some() {
                        // Nothing can be written any more: what was read already is all there is.
                        self.intake.close_input();
                        continue;
                    }
                    let until = SystemInstant::now() + PAUSE;
                    drop(self.engine.wait(state, Some(until)));
                }
                _ => break,
            }
        }
    }

    fn read(&mut self, need: usize) {
        let spare = self.rx.try_spare(need);
        let spare = spare.map_err(|_| io::ErrorKind::OutOfMemory.into());
        match spare.and_then(|spare| self.engine.socket.read(spare)) {
            Ok(0) => self.intake.close_input(),
            Ok(n) => self.rx.filled(n),
            Err(error) => {
                self.io.get_or_insert(error);
                self.intake.close_input();
            }
        }
    }

    /// Everything that can be done with what was read.
    fn round(&mut self) {
        let mut batch = self.rx.batch();
        let mut speaker = Speaker {
            engine: &self.engine,
            role: &mut self.role,
        };
        let end = self.intake.round(&mut batch, &*self.engine, &mut speaker);
        drop(self.engine.settle(self.engine.lock()));
        if let Some(end) = end {
            self.finish(end);
        }
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
}

impl<R: Role> ssh_driver::Role<Inbox> for Speaker<'_, R> {
    fn event(&mut self, core: &mut Core<Inbox>, event: PeerEvent<'_>) {
        self.role.event(core, event);
    }

    fn unlocked(&mut self) {
        self.role.unlocked(self.engine);
    }
}
