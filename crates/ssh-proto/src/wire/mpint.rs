//! `mpint`: multiple precision integers in two's complement (RFC 4251 section 5).
//!
//! SSH gives a meaning to positive numbers only, so a negative one is refused where it is read. So is
//! one that is longer than any that is used, before anybody computes with it.

use super::{Sink, WireError};

/// The longest number that is read, in bytes of its magnitude: 16384 bits, as OpenSSH has it.
pub const MAX_MPINT_LEN: usize = 2048;

/// A non-negative integer of any size, as its big-endian magnitude without leading zero bytes.
///
/// ```
/// use ssh_proto::wire::{Mpint, Sink};
///
/// let mut out = Vec::new();
/// out.put_mpint(Mpint::from_unsigned(&[0, 0, 0x80]));
/// assert_eq!(out, [0, 0, 0, 2, 0x00, 0x80]); // a zero byte keeps it positive
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mpint<'a> {
    /// No leading zero byte; empty for zero.
    magnitude: &'a [u8],
}

impl<'a> Mpint<'a> {
    /// From an unsigned big-endian number; leading zero bytes are dropped.
    pub fn from_unsigned(bytes: &'a [u8]) -> Self {
        let zeros = bytes.iter().take_while(|&&b| b == 0).count();
        Self {
            magnitude: bytes.get(zeros..).unwrap_or_default(),
        }
    }

    /// From the contents of the wire's `string`.
    //= rfc4251#section-5
    //# Unnecessary leading bytes with the value 0 or 255 MUST NOT be included.
    pub const fn from_wire(bytes: &'a [u8]) -> Result<Self, WireError> {
        match bytes {
            [] => Ok(Self { magnitude: bytes }),
            [0] => Err(WireError::MpintNotMinimal),
            [0, next, ..] if *next < 0x80 => Err(WireError::MpintNotMinimal),
            [0, magnitude @ ..] if magnitude.len() > MAX_MPINT_LEN => Err(WireError::MpintTooLong),
            [0, magnitude @ ..] => Ok(Self { magnitude }),
            [0xff, next, ..] if *next >= 0x80 => Err(WireError::MpintNotMinimal),
            [first, ..] if *first >= 0x80 => Err(WireError::MpintNegative),
            magnitude if magnitude.len() > MAX_MPINT_LEN => Err(WireError::MpintTooLong),
            magnitude => Ok(Self { magnitude }),
        }
    }

    /// The magnitude, big-endian, without leading zero bytes; empty for zero.
    pub const fn as_unsigned(&self) -> &'a [u8] {
        self.magnitude
    }

    /// The number of significant bits.
    pub fn bits(&self) -> usize {
        match self.magnitude.first() {
            None => 0,
            Some(first) => self.magnitude.len() * 8 - first.leading_zeros() as usize,
        }
    }

    pub(super) fn encode<S: Sink + ?Sized>(&self, out: &mut S) {
        let pad = self.magnitude.first().is_some_and(|&b| b >= 0x80);
        let length = self.magnitude.len() + usize::from(pad);
        out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        if pad {
            out.put_u8(0);
        }
        out.put(self.magnitude);
    }
}

/// Prints the size only: an mpint may be a secret.
impl core::fmt::Debug for Mpint<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Mpint({} bits)", self.bits())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::Reader;

    fn encoded(magnitude: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_mpint(Mpint::from_unsigned(magnitude));
        out
    }

    /// The examples of RFC 4251 section 5.
    #[test]
    fn rfc4251_examples() {
        assert_eq!(encoded(&[]), hex::decode("00000000").unwrap());
        assert_eq!(
            encoded(&hex::decode("09a378f9b2e332a7").unwrap()),
            hex::decode("0000000809a378f9b2e332a7").unwrap()
        );
        assert_eq!(encoded(&[0x80]), hex::decode("000000020080").unwrap());
        for negative in ["00000002edcc", "00000005ff21524111"] {
            let bytes = hex::decode(negative).unwrap();
            assert_eq!(Reader::new(&bytes).mpint(), Err(WireError::MpintNegative));
        }
    }

    #[test]
    fn k2_unnecessary_leading_bytes_are_refused() {
        for bytes in [
            &[0][..],
            &[0, 0x7f],
            &[0, 0, 0x80],
            &[0xff, 0x80],
            &[0xff, 0xff],
        ] {
            assert_eq!(
                Mpint::from_wire(bytes),
                Err(WireError::MpintNotMinimal),
                "{bytes:?}"
            );
        }
        assert_eq!(Mpint::from_wire(&[0xff]), Err(WireError::MpintNegative));
    }

    #[test]
    fn k2_a_number_of_more_than_2048_bytes_is_refused() {
        for first in [1_u8, 0x7f, 0x80, 0xff] {
            let mut number = alloc::vec![first; MAX_MPINT_LEN];
            let read = |number: &[u8]| {
                let wire = encoded(number);
                Reader::new(&wire).mpint().map(|read| read.bits())
            };
            let bits = MAX_MPINT_LEN * 8 - first.leading_zeros() as usize;
            assert_eq!(read(&number), Ok(bits), "{first}");
            number.push(0);
            assert_eq!(read(&number), Err(WireError::MpintTooLong), "{first}");
        }
    }

    #[test]
    fn q8_a_number_is_shown_as_its_size() {
        let shown = alloc::format!("{:?}", Mpint::from_unsigned(&[0, 1, 0x23]));
        assert_eq!(shown, "Mpint(9 bits)");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let wire = encoded(&bytes);
            let mut reader = Reader::new(&wire);
            let back = reader.mpint().unwrap();
            prop_assert!(reader.is_empty());
            prop_assert_eq!(back, Mpint::from_unsigned(&bytes));
        }
    }
}
