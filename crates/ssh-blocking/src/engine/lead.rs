//! Who has the input of a connection in hand: [`Lead`].
//!
//! A thread that reads for another one has to wake it for everything that comes, which costs more than
//! the reading. Where one thread alone waits, and data comes more slowly than it is used, that thread may
//! as well read for itself: the reader hands the input over and sleeps. So it does where nothing comes but
//! credit, which a thread that sends need not look at before it has used up what it had.
//!
//! ```text
//!   reader --hand_over--> free --take--> a thread that waits, for one read at a time
//!     ^                   |  ^                                |
//!     |   nobody took it  |  +--- it has what it waited for --+
//!     |   for a TICK      |       or may go on                |
//!     +-------------------+                                   |
//!     +--- nothing came for a TICK, or more came than one ----+
//!          thread can do, another one waits, or code of users is to run
//! ```
//!
//! Invariants:
//!
//! - Whoever has the input in hand is the only one who delivers.
//! - Input that is free, or in hand, is back with the reader two ticks after it was of use last.
//! - Code of users runs in the reader's thread alone: a thread that reads holds locks of its own, about
//!   which nothing is known here.
//! - The lock here is taken last, and nothing is done under it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::{Inbox, lock};

/// How long one read of a thread that leads may wait, and how long input may be free.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// So many reads one after another that the reader need not have made: then the input is handed over.
const STREAK: u32 = 8;

/// The input of a connection: its socket, its buffer and the half of the core that receives.
pub(super) trait Input: Send {
    /// Reads once, for a [`TICK`] at the most, and does everything that can be done with it where no
    /// code of users may run. Whether whoever waits may go on like that.
    fn lead(&mut self) -> bool;
    /// The same in the reader's thread, where it may take as long as it takes.
    fn go_on(&mut self) -> Next;
}

/// What is to be done next with the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The same again.
    Again,
    /// Whoever waits may as well do it.
    HandOver,
    /// Nothing.
    Over,
}

/// Where the input is, and who waits for what it may bring.
#[derive(Debug)]
pub(crate) struct Lead {
    /// How long input may be free.
    tick: Duration,
    turns: Mutex<Turns>,
    /// Wakes the reader.
    back: Condvar,
}

#[derive(Default)]
struct Turns {
    /// `Some` while nobody has it in hand.
    free: Option<Box<dyn Input>>,
    /// Threads that wait, and those among them that cannot lead.
    waiting: usize,
    bound: usize,
    /// Where the one waits that began when nobody did, until anybody ends.
    first: Option<Arc<Inbox>>,
    /// It was taken since the reader last looked.
    used: bool,
    /// The reader is to take it back.
    recalled: bool,
}

impl Turns {
    /// Whether a thread that waits would be alone with it.
    const fn is_for_one(&self) -> bool {
        self.waiting <= 1 && self.bound == 0
    }

    /// Whether one thread waits, alone, and it is known where.
    const fn has_one(&self) -> bool {
        self.is_for_one() && self.first.is_some()
    }
}

impl Lead {
    pub(super) fn new(tick: Duration) -> Self {
        Self {
            tick,
            turns: Mutex::default(),
            back: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        lock(&self.turns)
    }

    /// Whether one thread waits that could as well read for itself.
    pub(super) fn one_waits(&self) -> bool {
        self.lock().has_one()
    }

    /// The reader hands the input over, unless that is of no use, and waits until it is back.
    pub(super) fn hand_over(&self, input: Box<dyn Input>) -> Box<dyn Input> {
        let mut turns = self.lock();
        if turns.waiting > 0 && !turns.has_one() {
            return input;
        }
        turns.free = Some(input);
        (turns.used, turns.recalled) = (false, false);
        let first = turns.first.clone();
        drop(turns);
        if let Some(inbox) = first {
            inbox.offer();
        }
        let mut turns = self.lock();
        loop {
            if turns.recalled
                && let Some(input) = turns.free.take()
            {
                return input;
            }
            let until = Some(Instant::now() + self.tick);
            let (guard, in_time) = super::wait(&self.back, turns, until);
            turns = guard;
            if !in_time && !std::mem::take(&mut turns.used) {
                turns.recalled = true;
            }
        }
    }

    /// Has the reader take the input back.
    fn recall(&self, turns: &mut Turns) {
        if !std::mem::replace(&mut turns.recalled, true) {
            self.back.notify_one();
        }
    }

    /// Has the reader take it back at once: who read is not going to wait again.
    pub(crate) fn leave(&self) {
        self.recall(&mut self.lock());
    }

    /// A thread is going to wait for something of `inbox`. Whether it may read for itself is asked
    /// again each time.
    pub(super) fn enter(&self, inbox: &Arc<Inbox>) -> Waiting<'_> {
        let mut turns = self.lock();
        turns.waiting += 1;
        if turns.waiting == 1 {
            turns.first = Some(inbox.clone());
        }
        Waiting {
            lead: self,
            bound: false,
        }
    }

    /// A thread is going to wait for something for which it cannot read itself.
    pub(super) fn bind(&self) -> Waiting<'_> {
        let mut turns = self.lock();
        turns.waiting += 1;
        turns.bound += 1;
        self.recall(&mut turns);
        Waiting {
            lead: self,
            bound: true,
        }
    }
}

/// A thread waits for as long as this lives.
pub(super) struct Waiting<'l> {
    lead: &'l Lead,
    bound: bool,
}

impl Waiting<'_> {
    /// Takes the input, if it is free and nobody else waits for what it may bring.
    pub(super) fn take(&self) -> Option<Turn<'_>> {
        let mut turns = self.lead.lock();
        if !turns.is_for_one() {
            self.lead.recall(&mut turns);
        }
        if turns.recalled {
            return None;
        }
        let input = turns.free.take()?;
        turns.used = true;
        Some(Turn {
            lead: self.lead,
            input: Some(input),
            keep: true,
        })
    }

    /// Has the reader do it, and not ask again before another wait.
    pub(super) fn decline(&self) {
        let mut turns = self.lead.lock();
        turns.first = None;
        self.lead.recall(&mut turns);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut turns = self.lead.lock();
        turns.waiting = turns.waiting.saturating_sub(1);
        if self.bound {
            turns.bound = turns.bound.saturating_sub(1);
        }
        turns.first = None;
    }
}

/// The input in hand of a thread that waits. Dropped, it is free, or goes back to the reader.
pub(super) struct Turn<'l> {
    lead: &'l Lead,
    input: Option<Box<dyn Input>>,
    keep: bool,
}

impl Turn<'_> {
    /// Reads once.
    pub(super) fn lead(&mut self) {
        // Where it panics, the reader is to have it.
        self.keep = false;
        self.keep = self.input.as_mut().is_some_and(|input| input.lead());
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.lead.lock();
        turns.free = self.input.take();
        turns.recalled |= !self.keep || !turns.is_for_one();
        if turns.recalled {
            self.lead.back.notify_one();
        }
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns")
            .field("free", &self.free.is_some())
            .field("waiting", &self.waiting)
            .field("bound", &self.bound)
            .finish_non_exhaustive()
    }
}

/// Whether reads come one after another that the reader need not make.
#[derive(Debug)]
pub(super) struct Pace {
    last: Instant,
    streak: u32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            last: Instant::now(),
            streak: 0,
        }
    }

    /// Another read, which the reader need not have made, or did. True where it is the rule.
    pub(super) fn count(&mut self, needless: bool) -> bool {
        let now = Instant::now();
        let soon = now.saturating_duration_since(self.last) < TICK;
        self.last = now;
        self.streak = if needless && soon { self.streak + 1 } else { 0 };
        if self.streak < STREAK {
            return false;
        }
        self.streak = 0;
        true
    }
}

#[cfg(test)]
mod tests;
