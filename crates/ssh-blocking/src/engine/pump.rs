//! The pump: timers, and output that the socket did not take at once.
//!
//! It is the only thread that waits for the socket to take output, and it does so in short ticks,
//! so that timers are looked at while a peer takes nothing.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant as SystemInstant};

use ssh_proto::Instant;
use ssh_proto::error::End;

use super::{Engine, Guard, LINGER, drain, wait};

pub(super) fn spawn(engine: Arc<Engine>) -> io::Result<()> {
    std::thread::Builder::new()
        .name("ssh-pump".into())
        .spawn(move || engine.run_pump())?;
    Ok(())
}

impl Engine {
    fn run_pump(&self) {
        let mut state = self.lock();
        let mut goodbye = None;
        loop {
            let before = state.send().has_ended();
            let now = self.clock.now();
            let woken = state.pump_at.take().is_some_and(|at| at <= now);
            let due = |at: Instant| at <= now;
            if woken && state.send().poll_timeout(now).is_some_and(due) {
                // It may be idle. Where data has moved since, nothing is due.
                state.core.table().give_back();
                if !state.writing {
                    state.outbox.give_back();
                }
            }
            state.send().handle_timeout(now);
            if state.send().has_ended() {
                // A peer that was given up because it takes nothing will not take a goodbye.
                let patience = if before || !state.stuck {
                    LINGER
                } else {
                    Duration::ZERO
                };
                let until = *goodbye.get_or_insert_with(|| SystemInstant::now() + patience);
                state = self.settle(state);
                let nothing_left = !state.writing && !state.fill_outbox();
                if nothing_left || SystemInstant::now() >= until {
                    break;
                }
            } else {
                state = self.settle(state);
                if state.send().has_ended() {
                    // While it was written somebody hung up, and nobody will wake us for that.
                    continue;
                }
            }
            if state.stuck && !state.writing {
                state = self.push(state);
            } else {
                state = self.sleep(state, goodbye);
            }
        }
        // After an error the reader reads on for a while, so that the peer gets our last words.
        // Otherwise it may wait in a read and must be told.
        let how = match state.ended.as_ref().map(|ended| &ended.end) {
            Some(End::Error(_)) => Shutdown::Write,
            _ => Shutdown::Both,
        };
        drop(state);
        self.socket.shutdown(how);
    }

    /// Writes what the outbox holds, waiting for a tick at the most.
    fn push<'e>(&'e self, mut state: Guard<'e>) -> Guard<'e> {
        if !state.fill_outbox() {
            state.stuck = false;
            return state;
        }
        state.wake_writable();
        state.writing = true;
        let mut outbox = std::mem::take(&mut state.outbox);
        drop(state);
        let written = drain(&mut outbox, |bytes| self.socket.write(bytes));
        let mut state = self.lock();
        state.writing = false;
        state.outbox = outbox;
        match written {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                state.stuck = false;
                self.broken(&mut state, error);
            }
            _ => {}
        }
        if state.waiting > 0 {
            self.progress.notify_all();
        }
        state
    }

    fn sleep<'e>(&'e self, mut state: Guard<'e>, goodbye: Option<SystemInstant>) -> Guard<'e> {
        let now = self.clock.now();
        let due = state.send().poll_timeout(now);
        state.pump_at = due;
        // A deadline beyond what the system's clock can say never comes.
        let due = due.and_then(|due| SystemInstant::now().checked_add(due.saturating_since(now)));
        let until = match (due, goodbye) {
            (Some(due), Some(goodbye)) => Some(due.min(goodbye)),
            (due, goodbye) => due.or(goodbye),
        };
        wait(&self.pump, state, until).0
    }
}
