//! Bytes between the one who delivers and the one who reads: [`Queue`].
//!
//! ```text
//!   | taken | waiting          | spare capacity |        at <= bytes.len()
//!           ^ at               ^ bytes.len()
//! ```
//!
//! One contiguous buffer, so that a reader may swap all of it for an empty one. What was taken is
//! closed up only when it is at least as long as what waits: each byte is moved once at the most
//! for each byte that is read.

use std::fmt;

/// A buffer above this gives its memory back when it has run empty.
const KEEP: usize = 2 * 1024 * 1024;

/// A queue of bytes.
#[derive(Default)]
pub struct Queue {
    bytes: Vec<u8>,
    at: usize,
}

impl Queue {
    /// An empty queue; allocates nothing.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            at: 0,
        }
    }

    /// What waits.
    pub fn waiting(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.waiting().len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// Appends `data`.
    pub fn push(&mut self, data: &[u8]) {
        let waiting = self.len();
        if self.at >= waiting
            && self.at > 0
            && self.bytes.capacity() - self.bytes.len() < data.len()
        {
            self.bytes.copy_within(self.at.., 0);
            self.bytes.truncate(waiting);
            self.at = 0;
        }
        self.bytes.extend_from_slice(data);
    }

    /// Forgets the first `n` bytes; more than there are counts as all.
    pub fn consume(&mut self, n: usize) {
        self.at = self.at.saturating_add(n).min(self.bytes.len());
        if self.at == self.bytes.len() {
            self.bytes.clear();
            self.at = 0;
            if self.bytes.capacity() > KEEP {
                self.bytes.shrink_to(KEEP);
            }
        }
    }

    /// Takes what fits into `into`, and says how much that was.
    pub fn read(&mut self, into: &mut [u8]) -> usize {
        let n = into.len().min(self.len());
        if let (Some(to), Some(from)) = (into.get_mut(..n), self.waiting().get(..n)) {
            to.copy_from_slice(from);
        }
        self.consume(n);
        n
    }

    /// Gives the memory back if nothing waits.
    pub fn give_back(&mut self) {
        if self.is_empty() {
            *self = Self::new();
        }
    }
}

/// Without the bytes: they may be a password that somebody types.
impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::Queue;

    proptest! {
        #[test]
        fn is_first_in_first_out(steps in prop::collection::vec((0usize..200, 0usize..200), 0..100)) {
            let (mut queue, mut model) = (Queue::new(), VecDeque::new());
            let mut next = 0u8;
            for (push, read) in steps {
                let data: Vec<u8> = (0..push).map(|_| { next = next.wrapping_add(1); next }).collect();
                queue.push(&data);
                model.extend(data);
                let mut piece = vec![0; read];
                let n = queue.read(&mut piece);
                prop_assert_eq!(n, read.min(model.len()));
                let expected: Vec<u8> = model.drain(..n).collect();
                prop_assert_eq!(&piece[..n], &expected[..]);
                prop_assert_eq!(queue.len(), model.len());
            }
        }
    }

    #[test]
    fn q8_what_waits_is_not_printed() {
        let mut queue = Queue::new();
        queue.push(b"hunter2");
        assert_eq!(format!("{queue:?}"), "Queue(7 bytes)");
    }

    #[test]
    fn a_queue_that_is_never_empty_does_not_grow() {
        let mut queue = Queue::new();
        queue.push(&[0; 1000]);
        for _ in 0..10_000 {
            queue.push(&[0; 100]);
            queue.consume(100);
        }
        assert_eq!(queue.len(), 1000);
        assert!(queue.bytes.capacity() < 8192, "{}", queue.bytes.capacity());
    }
}
