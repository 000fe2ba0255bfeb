//! Time as an argument: [`Instant`], and the table of everything that may be waited for.
//!
//! The core has no clock. Inputs carry `now`; methods of the application do not, so they leave a
//! timer *unarmed* with a duration, and `poll_timeout(now)` arms it. While a decision is out
//! (`Timer::Decision`) every other timer stands still and keeps what it had left.
//!
//! ```text
//!   Off --start(d)--> Unarmed(d) --arm(now)--> At(now + d) --expired(now)--> Off
//!                        ^                        |
//!                        +------- hold(now) ------+     (a gate is out)
//! ```

use core::fmt;
use core::ops::Add;
use core::time::Duration;

/// A point in time, counted from an epoch that the caller chooses and keeps for one connection.
///
/// It must not run backwards; where it does, nothing breaks but deadlines come late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(Duration);

impl Instant {
    /// The caller's epoch.
    pub const EPOCH: Self = Self(Duration::ZERO);

    /// The time that lies `since_epoch` after the epoch.
    pub const fn new(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// How long ago the epoch is.
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to `self`, zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the largest representable time.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// What a deadline is for: why a connection wants to be woken, or why it was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeoutReason {
    /// The peer's identification line (RFC 4253 section 4.2) has not come.
    Identification,
    /// A key exchange was begun and not finished.
    KeyExchange,
    /// The connection was not authenticated in time, all of it counted.
    Authentication,
    /// The application did not answer a decision that holds up the connection.
    Decision,
    /// The peer takes no output while so much of it waits that nothing more can be read.
    OutputStalled,
    /// A ticket was not answered by the application and is refused.
    Ticket,
    /// Keys are old enough to be exchanged again.
    Rekey,
    /// Nothing was heard of the peer: time to ask, or to give up.
    Keepalive,
    /// Buffers that have been empty for a while are given back.
    Idle,
}

impl fmt::Display for TimeoutReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identification => "waiting for the identification line",
            Self::KeyExchange => "waiting for the end of a key exchange",
            Self::Authentication => "waiting for the end of authentication",
            Self::Decision => "waiting for a decision of the application",
            Self::OutputStalled => "waiting for the peer to take output",
            Self::Ticket => "waiting for the application to answer a request",
            Self::Rekey => "keys reach their age",
            Self::Keepalive => "waiting for a sign of life",
            Self::Idle => "empty buffers are given back",
        })
    }
}

/// The timers of one connection, one for each [`TimeoutReason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    Identification,
    KeyExchange,
    Authentication,
    Decision,
    OutputStalled,
    Ticket,
    Rekey,
    Keepalive,
    Idle,
}

impl Timer {
    const ALL: [Self; 9] = [
        Self::Identification,
        Self::KeyExchange,
        Self::Authentication,
        Self::Decision,
        Self::OutputStalled,
        Self::Ticket,
        Self::Rekey,
        Self::Keepalive,
        Self::Idle,
    ];

    pub(crate) const fn reason(self) -> TimeoutReason {
        match self {
            Self::Identification => TimeoutReason::Identification,
            Self::KeyExchange => TimeoutReason::KeyExchange,
            Self::Authentication => TimeoutReason::Authentication,
            Self::Decision => TimeoutReason::Decision,
            Self::OutputStalled => TimeoutReason::OutputStalled,
            Self::Ticket => TimeoutReason::Ticket,
            Self::Rekey => TimeoutReason::Rekey,
            Self::Keepalive => TimeoutReason::Keepalive,
            Self::Idle => TimeoutReason::Idle,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Slot {
    #[default]
    Off,
    Unarmed(Duration),
    At(Instant),
}

/// One slot for each [`Timer`]; no heap.
#[derive(Debug, Default)]
pub(crate) struct TimerTable {
    slots: [Slot; Timer::ALL.len()],
    /// A decision is out: only `Timer::Decision` runs.
    held: bool,
}

impl TimerTable {
    /// Starts `timer` anew; it is armed by the next [`arm`](Self::arm).
    pub(crate) fn start(&mut self, timer: Timer, after: Duration) {
        self.set(timer, Slot::Unarmed(after));
    }

    /// As [`start`](Self::start), unless it runs already.
    pub(crate) fn start_once(&mut self, timer: Timer, after: Duration) {
        if self.slot(timer) == Slot::Off {
            self.start(timer, after);
        }
    }

    /// Sets `timer` to a deadline that is known already.
    pub(crate) fn start_at(&mut self, timer: Timer, at: Instant) {
        self.set(timer, Slot::At(at));
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.set(timer, Slot::Off);
    }

    pub(crate) fn stop_all(&mut self) {
        *self = Self::default();
    }

    /// Lets only `Timer::Decision` run; the others keep the time that they had left.
    pub(crate) fn hold(&mut self, now: Instant, decision: Duration) {
        self.held = true;
        for timer in Timer::ALL {
            if let Slot::At(at) = self.slot(timer) {
                self.set(timer, Slot::Unarmed(at.saturating_since(now)));
            }
        }
        self.set(Timer::Decision, Slot::Unarmed(decision));
    }

    pub(crate) fn resume(&mut self) {
        self.held = false;
        self.stop(Timer::Decision);
    }

    /// Arms what is unarmed and returns the earliest deadline.
    pub(crate) fn arm(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        for timer in Timer::ALL {
            if self.runs(timer)
                && let Slot::Unarmed(after) = self.slot(timer)
            {
                self.set(timer, Slot::At(now + after));
            }
        }
        self.next()
    }

    /// The earliest deadline among the armed timers.
    pub(crate) fn next(&self) -> Option<(Instant, Timer)> {
        let armed = Timer::ALL.into_iter().filter(|&timer| self.runs(timer));
        armed
            .filter_map(|timer| match self.slot(timer) {
                Slot::At(at) => Some((at, timer)),
                Slot::Off | Slot::Unarmed(_) => None,
            })
            .min_by_key(|&(at, _)| at)
    }

    /// Takes one timer that is due out of the table.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = self.next()?;
        if at > now {
            return None;
        }
        self.stop(timer);
        Some(timer)
    }

    fn runs(&self, timer: Timer) -> bool {
        !self.held || timer == Timer::Decision
    }

    fn slot(&self, timer: Timer) -> Slot {
        self.slots.get(timer as usize).copied().unwrap_or_default()
    }

    fn set(&mut self, timer: Timer, slot: Slot) {
        if let Some(place) = self.slots.get_mut(timer as usize) {
            *place = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant::new(Duration::from_secs(seconds))
    }

    #[test]
    fn a_timer_counts_from_when_it_is_armed() {
        let mut timers = TimerTable::default();
        timers.start(Timer::KeyExchange, 5 * SECOND);
        assert_eq!(
            timers.expired(at(100)),
            None,
            "an unarmed timer never fires"
        );
        assert_eq!(timers.arm(at(100)), Some((at(105), Timer::KeyExchange)));
        assert_eq!(
            timers.arm(at(102)),
            Some((at(105), Timer::KeyExchange)),
            "armed once"
        );
        assert_eq!(timers.expired(at(104)), None);
        assert_eq!(timers.expired(at(105)), Some(Timer::KeyExchange));
        assert_eq!(timers.expired(at(105)), None);
    }

    #[test]
    fn a_decision_stops_the_other_clocks_and_they_keep_what_they_had_left() {
        let mut timers = TimerTable::default();
        timers.start(Timer::Authentication, 10 * SECOND);
        timers.arm(at(0));
        timers.hold(at(4), 60 * SECOND);
        assert_eq!(timers.arm(at(5)), Some((at(65), Timer::Decision)));
        assert_eq!(timers.expired(at(50)), None);
        timers.resume();
        assert_eq!(timers.arm(at(50)), Some((at(56), Timer::Authentication)));
    }
}
