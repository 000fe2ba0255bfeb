//! Where encoded bytes go: a vector, a packet in the making, a hash, a counter.
//!
//! Whoever wants to know the length of an encoding counts it with the code that writes it, so that
//! the two cannot differ.

use alloc::vec::Vec;

use super::Mpint;

/// Takes encoded bytes. Implemented by whatever can take bytes, so that a message is written
/// straight to its final place and a field straight into a hash.
///
/// ```
/// use ssh_proto::wire::Sink;
///
/// let mut out = Vec::new();
/// out.put_u8(5);
/// out.put_string(b"ssh-userauth");
/// assert_eq!(out.len(), 1 + 4 + 12);
/// ```
pub trait Sink {
    /// Appends `bytes`.
    fn put(&mut self, bytes: &[u8]);

    /// `byte`.
    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    /// `boolean`: TRUE is written as 1 (RFC 4251 section 5).
    fn put_boolean(&mut self, value: bool) {
        self.put(&[u8::from(value)]);
    }

    /// `uint32`.
    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    /// `uint64`.
    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }

    /// `string`. Only the first 2<sup>32</sup> - 1 bytes can be represented; every caller in this
    /// workspace is bounded by a packet, far below that.
    fn put_string(&mut self, value: &[u8]) {
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        let value = usize::try_from(length)
            .ok()
            .and_then(|n| value.get(..n))
            .unwrap_or(value);
        self.put_u32(length);
        self.put(value);
    }

    /// `mpint`.
    fn put_mpint(&mut self, value: Mpint<'_>) {
        value.encode(self);
    }

    /// `name-list`. The names must be valid and free of commas; [`NameList`](super::NameList)
    /// checks what comes from elsewhere.
    fn put_names(&mut self, names: &[&str]) {
        let commas = names.len().saturating_sub(1);
        let length = names.iter().map(|name| name.len()).sum::<usize>() + commas;
        self.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        for (i, name) in names.iter().enumerate() {
            if i > 0 {
                self.put_u8(b',');
            }
            self.put(name.as_bytes());
        }
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts the bytes of an encoding without keeping them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter(usize);

impl Counter {
    /// The number of bytes put so far.
    pub const fn len(&self) -> usize {
        self.0
    }

    /// Whether nothing was put.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

impl Sink for Counter {
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Reader;

    #[test]
    fn integers_are_big_endian() {
        let mut out = Vec::new();
        out.put_u8(1);
        out.put_u32(0x0203_0405);
        out.put_u64(0x0607_0809_0a0b_0c0d);
        assert_eq!(out, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
        let mut r = Reader::new(&out[5..]);
        assert_eq!(r.u64(), Ok(0x0607_0809_0a0b_0c0d));
    }

    #[test]
    fn a_counter_counts_what_a_vector_holds() {
        let (mut out, mut counter) = (Vec::new(), Counter::default());
        assert!(counter.is_empty());
        out.put_names(&["a", "bb"]);
        counter.put_names(&["a", "bb"]);
        assert_eq!(counter.len(), out.len());
        assert!(!counter.is_empty());
    }
}
