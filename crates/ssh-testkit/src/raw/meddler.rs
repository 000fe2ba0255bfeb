//! Payloads that are dropped, repeated and swapped on their way into packets, so that what is sent is
//! sealed as it should be.

use std::collections::BTreeMap;

/// What becomes of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is not sent.
    Drop,
    /// It is sent twice.
    Repeat,
    /// It is sent behind the one that follows it.
    Swap,
}

impl Change {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Drop, Self::Repeat, Self::Swap];
}

/// Changes the sequence of payloads of one sender.
#[derive(Debug, Default)]
pub struct Meddler {
    /// What is done to which payload, counted from 0.
    pub plan: BTreeMap<usize, Change>,
    /// The payloads as they came, one for each number of the plan.
    pub came: Vec<Vec<u8>>,
    /// The payloads as they went.
    pub went: Vec<Vec<u8>>,
    held: Option<Vec<u8>>,
}

impl Meddler {
    /// What is to be sent in place of `payload`.
    pub(super) fn pass(&mut self, payload: &[u8]) -> Vec<Vec<u8>> {
        let change = self.plan.get(&self.came.len());
        self.came.push(payload.to_vec());
        let late = self.held.take();
        let mut go = match change {
            None => vec![payload.to_vec()],
            Some(Change::Drop) => Vec::new(),
            Some(Change::Repeat) => vec![payload.to_vec(); 2],
            Some(Change::Swap) => {
                self.held = Some(payload.to_vec());
                Vec::new()
            }
        };
        go.extend(late);
        self.went.extend_from_slice(&go);
        go
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_made_where_they_are_planned() {
        let sent = |plan: &[(usize, Change)]| {
            let mut meddler = Meddler {
                plan: plan.iter().copied().collect(),
                ..Meddler::default()
            };
            for n in 0..4 {
                meddler.pass(&[n]);
            }
            meddler.went.concat()
        };
        assert_eq!(sent(&[]), [0, 1, 2, 3]);
        assert_eq!(
            sent(&[(0, Change::Drop), (2, Change::Repeat)]),
            [1, 2, 2, 3]
        );
        assert_eq!(sent(&[(1, Change::Swap)]), [0, 2, 1, 3]);
        assert_eq!(sent(&[(0, Change::Swap), (1, Change::Swap)]), [0, 2, 1, 3]);
        assert_eq!(sent(&[(1, Change::Swap), (2, Change::Drop)]), [0, 1, 3]);
        assert_eq!(sent(&[(3, Change::Swap)]), [0, 1, 2], "nothing follows it");
    }
}
