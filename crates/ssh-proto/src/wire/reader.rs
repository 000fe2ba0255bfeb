//! Borrowing decoder for the types of RFC 4251 section 5.
//!
//! What is read is lent from the input and nothing is allocated, so a declared length need only be
//! compared with the bytes that are there. A read that fails consumes nothing.

use core::fmt;

use super::{Mpint, NameList};

/// Walks a byte slice from front to back and lends pieces of it.
///
/// A read that fails consumes nothing.
///
/// ```
/// use ssh_proto::wire::{Reader, WireError};
///
/// let mut r = Reader::new(b"\x00\x00\x00\x03abc\x01");
/// assert_eq!(r.string()?, b"abc");
/// assert!(r.boolean()?);
/// r.finish()?;
/// # Ok::<(), WireError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes have not been read yet.
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything has been read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array, for fields of fixed size such as the cookie.
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], WireError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// `byte`.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array().map(|&[b]| b)
    }

    /// `boolean`.
    //= rfc4251#section-5
    //# All non-zero values MUST be interpreted as TRUE
    pub fn boolean(&mut self) -> Result<bool, WireError> {
        self.u8().map(|b| b != 0)
    }

    /// `uint32`.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(|b| u32::from_be_bytes(*b))
    }

    /// `uint64`.
    pub fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(|b| u64::from_be_bytes(*b))
    }

    /// `string`: arbitrary bytes, which may include NUL and need not be UTF-8.
    pub fn string(&mut self) -> Result<&'a [u8], WireError> {
        let mut ahead = self.clone();
        let length = ahead.u32()?;
        // usize is at least 32 bits wide wherever `alloc` is of use; where it is not, a length
        // that does not fit cannot be present either.
        let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
        let value = ahead.bytes(length)?;
        *self = ahead;
        Ok(value)
    }

    /// `mpint`, in its shortest form only, of at most [`MAX_MPINT_LEN`](super::MAX_MPINT_LEN) bytes.
    pub fn mpint(&mut self) -> Result<Mpint<'a>, WireError> {
        let mut ahead = self.clone();
        let value = Mpint::from_wire(ahead.string()?)?;
        *self = ahead;
        Ok(value)
    }

    /// `name-list`, checked name by name.
    pub fn name_list(&mut self) -> Result<NameList<'a>, WireError> {
        let mut ahead = self.clone();
        let value = NameList::from_wire(ahead.string()?)?;
        *self = ahead;
        Ok(value)
    }

    /// Ends the decoding: bytes that nobody asked for are an error.
    pub const fn finish(self) -> Result<(), WireError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(WireError::TrailingBytes)
        }
    }
}

/// Why bytes are not what they were declared to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WireError {
    /// A field, or the length that a string declares, reaches past the end of the data.
    Truncated,
    /// Bytes follow the last field.
    TrailingBytes,
    /// An mpint carries leading bytes that do not change its value (RFC 4251 section 5).
    MpintNotMinimal,
    /// An mpint is negative where only positive numbers have a meaning.
    MpintNegative,
    /// An mpint has more bytes than any number that is used ([`MAX_MPINT_LEN`](super::MAX_MPINT_LEN)).
    MpintTooLong,
    /// A name in a name-list is empty, longer than [`MAX_NAME_LEN`](super::MAX_NAME_LEN), or
    /// holds a byte that is not printable US-ASCII (RFC 4251 section 6).
    NameInvalid,
    /// A field that must be text is not UTF-8.
    NotUtf8,
    /// The first byte does not name the message that was expected.
    MessageNumber,
    /// A fixed-size field has another size.
    Length,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "a field reaches past the end of the data",
            Self::TrailingBytes => "bytes follow the last field",
            Self::MpintNotMinimal => "an mpint has unnecessary leading bytes",
            Self::MpintNegative => "an mpint is negative",
            Self::MpintTooLong => "an mpint is too long",
            Self::NameInvalid => "a name-list holds an invalid name",
            Self::NotUtf8 => "a text field is not UTF-8",
            Self::MessageNumber => "not a message that is known here",
            Self::Length => "a fixed-size field has another size",
        })
    }
}

impl core::error::Error for WireError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_failed_read_consumes_nothing() {
        let mut r = Reader::new(&[0, 0, 0, 9, 1]);
        assert_eq!(r.string(), Err(WireError::Truncated));
        assert_eq!(r.remaining(), 5);
        assert_eq!(r.u64(), Err(WireError::Truncated));
        assert_eq!(r.u32(), Ok(9));
        assert_eq!(r.u8(), Ok(1));
        assert_eq!(r.u8(), Err(WireError::Truncated));
    }

    #[test]
    fn p13_declared_lengths_past_the_end_are_refused() {
        for length in [u32::MAX, u32::MAX - 3, 2] {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.push(b'x');
            assert_eq!(Reader::new(&bytes).string(), Err(WireError::Truncated));
            assert_eq!(Reader::new(&bytes).mpint(), Err(WireError::Truncated));
            assert_eq!(Reader::new(&bytes).name_list(), Err(WireError::Truncated));
        }
    }

    #[test]
    fn trailing_bytes_are_an_error() {
        let mut r = Reader::new(&[1, 2]);
        assert_eq!(r.boolean(), Ok(true));
        assert_eq!(r.clone().finish(), Err(WireError::TrailingBytes));
        assert_eq!(r.boolean(), Ok(true));
        assert_eq!(r.finish(), Ok(()));
    }

    #[test]
    fn every_error_says_what_it_is() {
        for (error, text) in [
            (WireError::Truncated, "past the end"),
            (WireError::TrailingBytes, "follow the last field"),
            (WireError::MpintNotMinimal, "leading bytes"),
            (WireError::MpintNegative, "negative"),
            (WireError::NameInvalid, "invalid name"),
            (WireError::NotUtf8, "UTF-8"),
            (WireError::MessageNumber, "not a message"),
            (WireError::Length, "another size"),
        ] {
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
