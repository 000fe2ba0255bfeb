//! Replies leave in the order of the requests, whatever the order of the answers (RFC 4254
//! sections 4 and 5.4).
//!
//! Memory is bounded, and so is what leaves at once: at most [`MOST`] replies that were decided
//! without asking wait behind one that the application takes its time for.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::error::{Error, LimitExceeded, OutOfMemory};

/// An honest peer waits for the replies to far fewer requests.
const MOST: usize = 1024;

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
    Failures(u32),
}

/// The replies owed on one channel, or for global requests.
#[derive(Debug)]
pub(crate) struct Replies {
    entries: VecDeque<Entry>,
    /// Replies that are decided and wait for their turn.
    decided: usize,
}

impl Replies {
    pub(super) const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            decided: 0,
        }
    }

    /// The application will decide.
    pub(super) fn pending(&mut self, nonce: u64) -> Result<(), OutOfMemory> {
        self.push(Entry::Pending(nonce))
    }

    /// Refused without asking.
    pub(super) fn refused(&mut self) -> Result<(), Error> {
        self.count()?;
        if let Some(Entry::Failures(n)) = self.entries.back_mut() {
            *n = n.saturating_add(1);
        } else {
            self.push(Entry::Failures(1))?;
        }
        Ok(())
    }

    /// Answered without asking.
    pub(super) fn answered(&mut self, answer: Answer) -> Result<(), Error> {
        self.count()?;
        Ok(self.push(Entry::Answered(answer))?)
    }

    fn push(&mut self, entry: Entry) -> Result<(), OutOfMemory> {
        self.entries.try_reserve(1)?;
        self.entries.push_back(entry);
        Ok(())
    }

    const fn count(&mut self) -> Result<(), LimitExceeded> {
        if self.decided >= MOST {
            return Err(LimitExceeded::Control);
        }
        self.decided += 1;
        Ok(())
    }

    /// The application has decided.
    pub(super) fn answer(&mut self, nonce: u64, answer: Answer) {
        let pending = |entry: &&mut Entry| matches!(entry, Entry::Pending(n) if *n == nonce);
        if let Some(entry) = self.entries.iter_mut().find(pending) {
            *entry = Entry::Answered(answer);
            self.decided += 1;
        }
    }

    /// The next reply that may be sent.
    pub(super) fn next(&mut self) -> Option<Answer> {
        let answer = match self.entries.front_mut()? {
            Entry::Pending(_) => return None,
            Entry::Failures(n) if *n > 1 => {
                *n -= 1;
                Answer::Failure
            }
            Entry::Failures(_) => {
                self.pop();
                Answer::Failure
            }
            Entry::Answered(_) => match self.pop()? {
                Entry::Answered(answer) => answer,
                Entry::Pending(_) | Entry::Failures(_) => return None,
            },
        };
        self.decided = self.decided.saturating_sub(1);
        Some(answer)
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front();
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_leave_in_request_order() {
        let mut replies = Replies::new();
        replies.pending(1).unwrap();
        replies.pending(2).unwrap();
        for _ in 0..1000 {
            replies.refused().unwrap();
        }
        replies.pending(3).unwrap();
        assert_eq!(replies.entries.len(), 4, "refusals are only counted");
        replies.answer(2, Answer::Success(Vec::new()));
        assert_eq!(replies.next(), None, "the first one is still open");
        replies.answer(1, Answer::Failure);
        assert_eq!(replies.next(), Some(Answer::Failure));
        assert_eq!(replies.next(), Some(Answer::Success(Vec::new())));
        for _ in 0..1000 {
            assert_eq!(replies.next(), Some(Answer::Failure));
        }
        assert_eq!(replies.next(), None);
        replies.answer(3, Answer::Success(Vec::new()));
        assert_eq!(replies.next(), Some(Answer::Success(Vec::new())));
        assert_eq!(replies.next(), None);
        assert_eq!(replies.decided, 0);
    }

    #[test]
    fn x10_replies_that_wait_are_bounded() {
        let mut replies = Replies::new();
        replies.pending(1).unwrap();
        for n in 0..MOST {
            if n % 2 == 0 {
                replies.refused().unwrap();
            } else {
                replies.answered(Answer::Success(Vec::new())).unwrap();
            }
        }
        let full = replies.refused();
        assert!(matches!(full, Err(Error::Limit(LimitExceeded::Control))));
        replies.answer(1, Answer::Failure);
        while replies.next().is_some() {}
        replies.refused().unwrap();
    }
}
