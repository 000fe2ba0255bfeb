//! Replies leave in the order of the requests, whatever the order of the answers (RFC 4254
//! sections 4 and 5.4).
//!
//! A reply waits only behind one that the application takes its time for. How many wait in all
//! queues of a connection together is counted, and bounded, by `Mux::count_replies`: with each
//! request that is decided at once, and with each ticket that is handed out, so that answers cannot
//! pile up behind one that never comes.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::error::OutOfMemory;

/// Room for so many is kept, so that replies that leave at once cost no allocation.
const KEPT: usize = 4;

/// What a request was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// With the data that a global request's reply may carry.
    Success(Vec<u8>),
    Failure,
}

#[derive(Debug)]
enum Entry {
    /// The application decides; the number is the ticket's nonce.
    Pending(u64),
    Answered(Answer),
}

/// The replies owed on one channel, or for global requests.
#[derive(Debug)]
pub(crate) struct Replies {
    entries: VecDeque<Entry>,
}

impl Replies {
    pub(super) const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
        }
    }

    /// The application will decide.
    pub(super) fn pending(&mut self, nonce: u64) -> Result<(), OutOfMemory> {
        self.push(Entry::Pending(nonce))
    }

    /// Decided without asking.
    pub(super) fn answered(&mut self, answer: Answer) -> Result<(), OutOfMemory> {
        self.push(Entry::Answered(answer))
    }

    fn push(&mut self, entry: Entry) -> Result<(), OutOfMemory> {
        self.entries.try_reserve(1)?;
        self.entries.push_back(entry);
        Ok(())
    }

    /// The application has decided. Says how many replies that was: one, or none.
    pub(super) fn answer(&mut self, nonce: u64, answer: Answer) -> usize {
        let pending = |entry: &&mut Entry| matches!(entry, Entry::Pending(n) if *n == nonce);
        match self.entries.iter_mut().find(pending) {
            Some(entry) => {
                *entry = Entry::Answered(answer);
                1
            }
            None => 0,
        }
    }

    /// The next reply that may be sent.
    pub(super) fn next(&mut self) -> Option<Answer> {
        if matches!(self.entries.front()?, Entry::Pending(_)) {
            return None;
        }
        let entry = self.entries.pop_front();
        if self.entries.is_empty() && self.entries.capacity() > KEPT {
            self.entries = VecDeque::new();
        }
        match entry? {
            Entry::Answered(answer) => Some(answer),
            Entry::Pending(_) => None,
        }
    }

    /// How many are decided and wait for their turn.
    pub(super) fn decided(&self) -> usize {
        let decided = |entry: &&Entry| matches!(entry, Entry::Answered(_));
        self.entries.iter().filter(decided).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_a_few_is_kept_and_for_many_is_given_back() {
        let mut replies = Replies::new();
        for (count, kept) in [(1, true), (KEPT, true), (KEPT + 1, false), (1000, false)] {
            for _ in 0..count {
                replies.answered(Answer::Failure).unwrap();
            }
            let room = replies.entries.capacity();
            for _ in 0..count {
                assert_eq!(replies.entries.capacity(), room, "while some wait");
                replies.next().unwrap();
            }
            let left = if kept { room } else { 0 };
            assert_eq!(replies.entries.capacity(), left, "{count}");
        }
    }

    #[test]
    fn replies_leave_in_request_order() {
        let mut replies = Replies::new();
        replies.pending(1).unwrap();
        replies.pending(2).unwrap();
        for _ in 0..1000 {
            replies.answered(Answer::Failure).unwrap();
        }
        replies.pending(3).unwrap();
        assert_eq!(replies.answer(2, Answer::Success(Vec::new())), 1);
        assert_eq!(replies.next(), None, "the first one is still open");
        assert_eq!(replies.decided(), 1001);
        assert_eq!(replies.answer(1, Answer::Failure), 1);
        assert_eq!(replies.next(), Some(Answer::Failure));
        assert_eq!(replies.next(), Some(Answer::Success(Vec::new())));
        for _ in 0..1000 {
            assert_eq!(replies.next(), Some(Answer::Failure));
        }
        assert_eq!(replies.next(), None);
        assert_eq!(replies.answer(9, Answer::Failure), 0, "nobody asked");
        assert_eq!(replies.answer(3, Answer::Success(Vec::new())), 1);
        assert_eq!(replies.next(), Some(Answer::Success(Vec::new())));
        assert_eq!(replies.next(), None);
        assert_eq!(replies.decided(), 0);
    }
}
