//! Lists inside of messages: read where they lie, written from a slice.
//!
//! A list from the peer is walked once when its message is decoded, so that iterating later
//! cannot fail. The walk ends at the first item that is not there: a count of 2<sup>32</sup> - 1
//! over a short body costs as much as the body is long, and nothing is allocated for it.

use core::{fmt, iter::FusedIterator};

use super::{Body, field::Kind};
use crate::wire::{Reader, Sink, WireError};

/// The items of a message, borrowed from a packet or from the caller's slice.
///
/// ```
/// use ssh_proto::message::{List, Prompt};
///
/// let prompts = [Prompt { prompt: b"Password: ", echo: false }];
/// let list = List::new(&prompts);
/// assert_eq!(list.iter().next(), Some(prompts[0]));
/// ```
#[derive(Clone, Copy)]
pub struct List<'a, T> {
    place: Place<'a, T>,
}

#[derive(Clone, Copy)]
enum Place<'a, T> {
    /// `count` items, each of which has been decoded once.
    Wire {
        count: u32,
        bytes: &'a [u8],
    },
    Slice(&'a [T]),
    /// Made up by a fuzzer, which has no place to borrow a slice of items from.
    #[cfg(any(test, feature = "arbitrary"))]
    Few([Option<T>; 3]),
}

impl<'a, T: Body<'a> + Copy> List<'a, T> {
    /// No items.
    pub const EMPTY: Self = Self::new(&[]);

    /// The items of `items`.
    pub const fn new(items: &'a [T]) -> Self {
        Self {
            place: Place::Slice(items),
        }
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        match self.place {
            // Each item took at least one byte of memory, so the count fits.
            Place::Wire { count, .. } => usize::try_from(count).unwrap_or(usize::MAX),
            Place::Slice(items) => items.len(),
            #[cfg(any(test, feature = "arbitrary"))]
            Place::Few(items) => items.iter().flatten().count(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items in order.
    pub fn iter(&self) -> Items<'a, T> {
        Items { place: self.place }
    }

    /// Walks `count` items, or with `None` all that are left.
    fn read(r: &mut Reader<'a>, count: Option<u32>) -> Result<Self, WireError> {
        let start = r.clone();
        let mut found: u32 = 0;
        while count.map_or(!r.is_empty(), |count| found < count) {
            let before = r.remaining();
            T::decode_body(r)?;
            // Every kind of item has a length of its own; one without would make the walk as
            // long as the peer's count.
            if r.remaining() == before {
                return Err(WireError::Length);
            }
            found = found.checked_add(1).ok_or(WireError::Length)?;
        }
        let bytes = start.clone().bytes(start.remaining() - r.remaining())?;
        Ok(Self {
            place: Place::Wire {
                count: found,
                bytes,
            },
        })
    }

    fn write<S: Sink + ?Sized>(&self, out: &mut S) {
        match self.place {
            Place::Wire { bytes, .. } => out.put(bytes),
            Place::Slice(items) => items.iter().for_each(|item| item.encode_body(out)),
            #[cfg(any(test, feature = "arbitrary"))]
            Place::Few(items) => items
                .iter()
                .flatten()
                .for_each(|item| item.encode_body(out)),
        }
    }
}

#[cfg(any(test, feature = "arbitrary"))]
impl<'a, T: arbitrary::Arbitrary<'a>> arbitrary::Arbitrary<'a> for List<'a, T> {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        u.arbitrary().map(|items| Self {
            place: Place::Few(items),
        })
    }
}

impl<'a, T: Body<'a> + Copy> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = Items<'a, T>;

    fn into_iter(self) -> Items<'a, T> {
        self.iter()
    }
}

impl<'a, T: Body<'a> + Copy + PartialEq> PartialEq for List<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Body<'a> + Copy + Eq> Eq for List<'a, T> {}

impl<'a, T: Body<'a> + Copy + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The items of a [`List`], in order.
#[derive(Clone)]
pub struct Items<'a, T> {
    place: Place<'a, T>,
}

impl<'a, T: Body<'a> + Copy> Iterator for Items<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.place {
            Place::Wire { count, bytes } => {
                *count = count.checked_sub(1)?;
                let mut r = Reader::new(bytes);
                let item = T::decode_body(&mut r).ok();
                *bytes = r.rest();
                item
            }
            Place::Slice(items) => {
                let (first, rest) = items.split_first()?;
                *items = rest;
                Some(*first)
            }
            #[cfg(any(test, feature = "arbitrary"))]
            Place::Few(items) => items.iter_mut().find_map(Option::take),
        }
    }
}

impl<'a, T: Body<'a> + Copy> FusedIterator for Items<'a, T> {}

impl<'a, T: Body<'a> + Copy + fmt::Debug> fmt::Debug for Items<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// `uint32` count, then that many items.
pub(super) struct Counted;
/// Items up to the end of the packet.
pub(super) struct ToEnd;

impl<'a, T: Body<'a> + Copy + fmt::Debug> Kind<'a, List<'a, T>> for Counted {
    fn read(r: &mut Reader<'a>) -> Result<List<'a, T>, WireError> {
        let count = r.u32()?;
        List::read(r, Some(count))
    }
    fn write<S: Sink + ?Sized>(value: &List<'a, T>, out: &mut S) {
        out.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        value.write(out);
    }
    fn show(value: &List<'a, T>) -> impl fmt::Debug {
        value
    }
}

impl<'a, T: Body<'a> + Copy + fmt::Debug> Kind<'a, List<'a, T>> for ToEnd {
    fn read(r: &mut Reader<'a>) -> Result<List<'a, T>, WireError> {
        List::read(r, None)
    }
    fn write<S: Sink + ?Sized>(value: &List<'a, T>, out: &mut S) {
        value.write(out);
    }
    fn show(value: &List<'a, T>) -> impl fmt::Debug {
        value
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::cell::Cell;
    use std::thread_local;

    use super::*;

    thread_local!(static DECODED: Cell<usize> = const { Cell::new(0) });

    /// A byte that counts how often one is decoded.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Tick(u8);

    impl<'a> Body<'a> for Tick {
        fn decode_body(r: &mut Reader<'a>) -> Result<Self, WireError> {
            DECODED.set(DECODED.get() + 1);
            r.u8().map(Self)
        }
        fn encode_body<S: Sink + ?Sized>(&self, out: &mut S) {
            out.put_u8(self.0);
        }
    }

    #[test]
    fn c6_the_work_is_bounded_by_the_bytes_that_are_there() {
        let bytes = [&u32::MAX.to_be_bytes()[..], &[7; 100]].concat();
        let read = <Counted as Kind<'_, List<'_, Tick>>>::read(&mut Reader::new(&bytes));
        assert_eq!(read, Err(WireError::Truncated));
        assert_eq!(DECODED.get(), 101);
    }

    #[test]
    fn a_list_reads_what_belongs_to_it_and_no_more() {
        let mut r = Reader::new(&[0, 0, 0, 2, 5, 6, 7, 8]);
        let list: List<'_, Tick> = Counted::read(&mut r).unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), [Tick(5), Tick(6)]);
        assert!(list.len() == 2 && !list.is_empty());
        assert!(List::<'_, Tick>::EMPTY.is_empty());
        assert_eq!(list, List::new(&[Tick(5), Tick(6)]));
        assert_ne!(list, List::new(&[Tick(5)]));
        let rest: List<'_, Tick> = ToEnd::read(&mut r).unwrap();
        assert_eq!(rest.iter().collect::<Vec<_>>(), [Tick(7), Tick(8)]);
        assert!(r.is_empty());
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Nothing;

    impl<'a> Body<'a> for Nothing {
        fn decode_body(_: &mut Reader<'a>) -> Result<Self, WireError> {
            Ok(Self)
        }
        fn encode_body<S: Sink + ?Sized>(&self, _: &mut S) {}
    }

    #[test]
    fn c6_items_without_bytes_do_not_make_a_long_loop() {
        let read = <Counted as Kind<'_, List<'_, Nothing>>>::read(&mut Reader::new(&[0xff; 4]));
        assert_eq!(read, Err(WireError::Length));
    }
}
