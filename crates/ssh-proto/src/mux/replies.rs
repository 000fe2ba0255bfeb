//! Replies leave in the order of the requests, whatever the order of the answers (RFC 4254
//! sections 4 and 5.4).
//!
//! Memory is bounded by the number of tickets: requests that were refused at once while earlier
//! ones wait are only counted.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

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
}

impl Replies {
    pub(super) const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
        }
    }

    /// The application will decide.
    pub(super) fn pending(&mut self, nonce: u64) {
        self.entries.push_back(Entry::Pending(nonce));
    }

    /// Refused without asking.
    pub(super) fn refused(&mut self) {
        if let Some(Entry::Failures(n)) = self.entries.back_mut() {
            *n = n.saturating_add(1);
        } else {
            self.entries.push_back(Entry::Failures(1));
        }
    }

    /// Answered without asking.
    pub(super) fn answered(&mut self, answer: Answer) {
        self.entries.push_back(Entry::Answered(answer));
    }

    /// The application has decided.
    pub(super) fn answer(&mut self, nonce: u64, answer: Answer) {
        let pending = |entry: &&mut Entry| matches!(entry, Entry::Pending(n) if *n == nonce);
        if let Some(entry) = self.entries.iter_mut().find(pending) {
            *entry = Entry::Answered(answer);
        }
    }

    /// The next reply that may be sent.
    pub(super) fn next(&mut self) -> Option<Answer> {
        match self.entries.front_mut()? {
            Entry::Pending(_) => None,
            Entry::Failures(n) if *n > 1 => {
                *n -= 1;
                Some(Answer::Failure)
            }
            Entry::Failures(_) => {
                self.pop();
                Some(Answer::Failure)
            }
            Entry::Answered(_) => match self.pop()? {
                Entry::Answered(answer) => Some(answer),
                Entry::Pending(_) | Entry::Failures(_) => None,
            },
        }
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
        replies.pending(1);
        replies.pending(2);
        for _ in 0..1_000_000 {
            replies.refused();
        }
        replies.pending(3);
        assert_eq!(replies.entries.len(), 4, "refusals are only counted");
        replies.answer(2, Answer::Success(Vec::new()));
        assert_eq!(replies.next(), None, "the first one is still open");
        replies.answer(1, Answer::Failure);
        assert_eq!(replies.next(), Some(Answer::Failure));
        assert_eq!(replies.next(), Some(Answer::Success(Vec::new())));
        for _ in 0..1_000_000 {
            assert_eq!(replies.next(), Some(Answer::Failure));
        }
        assert_eq!(replies.next(), None);
        replies.answer(3, Answer::Success(Vec::new()));
        assert_eq!(replies.next(), Some(Answer::Success(Vec::new())));
        assert_eq!(replies.next(), None);
    }
}
