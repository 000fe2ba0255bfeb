//! The deadlines of many connections: a heap in which what has become stale is left until it comes
//! up or outnumbers the rest.
//!
//! ```text
//!   heap:   (at, ticket, key) ...          the earliest on top
//!   armed:  key -> (at, ticket)            what holds; an entry with another ticket is stale
//! ```
//!
//! A connection says after each of its turns when it wants to be woken. Most of the time that is
//! what it said before, or later: then nothing is done, and it is woken too early once, which the
//! core does not mind. So a busy connection costs no work here, and an idle one 16 bytes and its
//! place in the heap.
//!
//! Invariant: whenever a deadline was added, `heap.len() <= 2 * armed + SLACK`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ssh_proto::Instant;

/// Stale entries that are not worth sweeping.
const SLACK: usize = 64;

/// One deadline for each of many connections, which are told apart by small numbers.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    armed: Vec<Option<(Instant, u64)>>,
    /// How many of `armed` are set.
    live: usize,
    next_ticket: u64,
}

impl Timers {
    /// Connection `key` wants to be woken at `at` at the latest, or not at all. It may be woken
    /// earlier, if that is what it wanted before.
    pub fn set(&mut self, key: usize, at: Option<Instant>) {
        let Some(at) = at else {
            return self.forget(key);
        };
        if self.armed.len() <= key {
            self.armed.resize(key + 1, None);
        }
        let Some(armed) = self.armed.get_mut(key) else {
            return;
        };
        if armed.is_some_and(|(earlier, _)| earlier <= at) {
            return;
        }
        self.live += usize::from(armed.is_none());
        self.next_ticket += 1;
        *armed = Some((at, self.next_ticket));
        self.heap.push(Reverse((at, self.next_ticket, key)));
        if self.heap.len() > 2 * self.live + SLACK {
            let armed = &self.armed;
            self.heap
                .retain(|Reverse((_, ticket, key))| holds(armed, *key, *ticket));
        }
    }

    /// The earliest deadline.
    pub fn earliest(&mut self) -> Option<Instant> {
        while let Some(Reverse((at, ticket, key))) = self.heap.peek() {
            if holds(&self.armed, *key, *ticket) {
                return Some(*at);
            }
            self.heap.pop();
        }
        None
    }

    /// A connection whose deadline has passed; the deadline is forgotten.
    pub fn expired(&mut self, now: Instant) -> Option<usize> {
        if self.earliest()? > now {
            return None;
        }
        let Reverse((_, _, key)) = self.heap.pop()?;
        self.forget(key);
        Some(key)
    }

    fn forget(&mut self, key: usize) {
        if let Some(armed) = self.armed.get_mut(key)
            && armed.take().is_some()
        {
            self.live -= 1;
        }
    }
}

fn holds(armed: &[Option<(Instant, u64)>], key: usize, ticket: u64) -> bool {
    armed
        .get(key)
        .is_some_and(|armed| armed.is_some_and(|(_, valid)| valid == ticket))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::new(Duration::from_millis(millis))
    }

    #[test]
    fn they_come_up_in_order_and_once() {
        let mut timers = Timers::default();
        for (key, time) in [(0, 30), (1, 10), (2, 20), (3, 99)] {
            timers.set(key, Some(at(time)));
        }
        timers.set(2, None);
        assert_eq!(timers.earliest(), Some(at(10)));
        assert_eq!(timers.expired(at(9)), None);
        assert_eq!(timers.expired(at(50)), Some(1));
        assert_eq!(timers.expired(at(50)), Some(0));
        assert_eq!(timers.expired(at(50)), None);
        assert_eq!(timers.earliest(), Some(at(99)));
    }

    #[test]
    fn an_earlier_deadline_replaces_and_a_later_one_waits_for_the_earlier() {
        let mut timers = Timers::default();
        timers.set(7, Some(at(50)));
        timers.set(7, Some(at(20)));
        timers.set(7, Some(at(80)));
        assert_eq!(timers.expired(at(20)), Some(7));
        assert_eq!(timers.expired(at(1000)), None, "the stale ones never come");
    }

    #[test]
    fn what_is_stale_is_swept() {
        let mut timers = Timers::default();
        for round in 0..10_000u64 {
            timers.set(1, Some(at(20_000 - round)));
            timers.set(2, Some(at(round)));
            assert!(timers.heap.len() <= 2 * timers.live + SLACK);
            timers.set(2, None);
        }
        assert_eq!(timers.earliest(), Some(at(10_001)));
    }
}
