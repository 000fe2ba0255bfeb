//! Polynomials as bytes.
//!
//! Numbers that are below r, which is no power of two, take less than whole bits each when they are
//! packed in pairs: a + r b is below r². Whenever what a pair may be reaches 2^14 its low byte is
//! written out, the rest is a number again, of half as many numbers, and so on until one is left.
//!
//! ```text
//!   761 numbers --pairs--> bytes | 381 numbers --pairs--> bytes | 191 numbers ... 1 number -> bytes
//! ```
//!
//! How many bytes a pair gives is a matter of r alone. Whatever bytes come in are numbers: those that
//! do not fit are reduced, and nothing is refused. (So does the reference, and whoever sends such bytes
//! hurts nobody else: they are what is hashed.)

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::poly::{Poly, Small};
use super::{P, PUBLIC_LEN, Q, ROUNDED_LEN, SMALL_LEN};

/// What all numbers are below when the numbers of a level are joined in pairs.
#[derive(Clone, Copy)]
struct Level {
    count: usize,
    /// What all numbers but the last one are below: at most 2^14.
    radix: u32,
    /// What the last one is below.
    last: u32,
}

/// What becomes of two numbers.
struct Join {
    /// What the first of them is below, and so what the second is multiplied by.
    radix: u32,
    /// What the second is below.
    second: u32,
    /// How many low bytes are written out.
    bytes: usize,
    /// What the rest is below.
    limit: u32,
}

impl Join {
    const fn new(radix: u32, second: u32) -> Self {
        let (mut bytes, mut limit) = (0, radix * second);
        while limit >= 1 << 14 {
            bytes += 1;
            limit = limit.div_ceil(256);
        }
        Self {
            radix,
            second,
            bytes,
            limit,
        }
    }
}

impl Level {
    const fn first(radix: u32) -> Self {
        Self {
            count: P,
            radix,
            last: radix,
        }
    }

    /// How the pair of that index is joined.
    const fn join(self, pair: usize) -> Join {
        let is_last = 2 * pair + 2 == self.count;
        Join::new(self.radix, if is_last { self.last } else { self.radix })
    }

    /// The level above.
    const fn up(self) -> Self {
        let pairs = self.count / 2;
        Self {
            count: self.count.div_ceil(2),
            radix: Join::new(self.radix, self.radix).limit,
            last: if self.count.is_multiple_of(2) {
                self.join(pairs - 1).limit
            } else {
                self.last
            },
        }
    }

    /// Bytes that its pairs give.
    fn bytes(self) -> usize {
        (0..self.count / 2).map(|pair| self.join(pair).bytes).sum()
    }

    /// Bytes of the one number that is left in the end.
    const fn top(self) -> usize {
        let (mut bytes, mut limit) = (0, self.last);
        while limit > 1 {
            bytes += 1;
            limit = limit.div_ceil(256);
        }
        bytes
    }
}

/// Writes numbers below `radix`. They may be secret: there is neither a division nor a branch.
fn pack(mut numbers: Zeroizing<Vec<u16>>, radix: u32, out: &mut Vec<u8>) {
    let mut level = Level::first(radix);
    while level.count > 1 {
        let pairs = numbers.chunks(2).enumerate();
        let joined = pairs.map(|(index, pair)| {
            let &[first, second] = pair else {
                return pair.first().copied().unwrap_or(0);
            };
            let join = level.join(index);
            let mut rest = u32::from(first) + join.radix * u32::from(second);
            for _ in 0..join.bytes {
                out.push(rest as u8);
                rest >>= 8;
            }
            rest as u16
        });
        numbers = Zeroizing::new(joined.collect());
        level = level.up();
    }
    let mut rest = numbers.first().copied().unwrap_or(0);
    for _ in 0..level.top() {
        out.push(rest as u8);
        rest >>= 8;
    }
}

/// Reads numbers below `radix`, which are public.
fn unpack(bytes: &[u8], radix: u32) -> Vec<u16> {
    unpack_level(bytes, Level::first(radix))
}

fn unpack_level(bytes: &[u8], level: Level) -> Vec<u16> {
    if level.count == 1 {
        return [(little_endian(0, bytes) % level.last) as u16].into();
    }
    let (mut own, above) = bytes.split_at_checked(level.bytes()).unwrap_or_default();
    let mut numbers = Vec::with_capacity(level.count);
    for (index, joined) in unpack_level(above, level.up()).into_iter().enumerate() {
        if 2 * index + 1 == level.count {
            numbers.push(joined);
            break;
        }
        let join = level.join(index);
        let (low, later) = own.split_at_checked(join.bytes).unwrap_or_default();
        own = later;
        let both = little_endian(joined.into(), low);
        numbers.push((both % join.radix) as u16);
        numbers.push((both / join.radix % join.second) as u16);
    }
    numbers
}

/// `high`, and below it `low`, least significant byte first.
fn little_endian(high: u32, low: &[u8]) -> u32 {
    let bytes = low.iter().rev();
    bytes.fold(high, |number, byte| (number << 8) | u32::from(*byte))
}

/// What the coefficients of a public key are below.
const MODULUS: u32 = Q as u32;

/// What the thirds of rounded coefficients are below.
const THIRDS: u32 = MODULUS.div_ceil(3);

/// Writes a polynomial modulo q, which has been reduced.
pub(super) fn put_poly(poly: &Poly, out: &mut Vec<u8>) {
    let numbers = poly.iter().map(|&x| from_least(x)).collect();
    pack(Zeroizing::new(numbers), MODULUS, out);
}

/// Reads a polynomial modulo q, whatever the bytes are.
pub(super) fn poly(bytes: &[u8; PUBLIC_LEN]) -> Poly {
    let mut poly = [0; P];
    for (to, number) in poly.iter_mut().zip(unpack(bytes, MODULUS)) {
        *to = number.cast_signed() - Q / 2;
    }
    poly
}

/// Writes a polynomial whose coefficients are multiples of 3.
pub(super) fn put_rounded(poly: &Poly, out: &mut Vec<u8>) {
    // q / 2 is a multiple of 3 too, and what is one can be divided by a multiplication modulo 2^16.
    const ONE_THIRD: u16 = 0xaaab;
    let numbers = poly.iter().map(|&x| from_least(x).wrapping_mul(ONE_THIRD));
    pack(Zeroizing::new(numbers.collect()), THIRDS, out);
}

/// Reads a polynomial whose coefficients are multiples of 3, whatever the bytes are.
pub(super) fn rounded(bytes: &[u8; ROUNDED_LEN]) -> Poly {
    let mut poly = [0; P];
    for (to, number) in poly.iter_mut().zip(unpack(bytes, THIRDS)) {
        *to = 3 * number.cast_signed() - Q / 2;
    }
    poly
}

/// How far above -q / 2 it is.
const fn from_least(x: i16) -> u16 {
    (x + Q / 2).cast_unsigned()
}

/// A small polynomial, two bits for each coefficient.
pub(super) fn small(poly: &Small) -> Zeroizing<[u8; SMALL_LEN]> {
    let mut bytes = Zeroizing::new([0; SMALL_LEN]);
    for (byte, digits) in bytes.iter_mut().zip(poly.chunks(4)) {
        let codes = digits.iter().map(|digit| (digit + 1).cast_unsigned());
        *byte = codes.rev().fold(0, |byte, code| (byte << 2) | code);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The levels and their bytes add up to the lengths of the specification.
    #[test]
    fn lengths_are_those_of_the_specification() {
        let len = |radix| {
            let mut level = Level::first(radix);
            let mut bytes = 0;
            let mut counts = Vec::new();
            while level.count > 1 {
                counts.push(level.count);
                bytes += level.bytes();
                level = level.up();
            }
            assert_eq!(counts, [761, 381, 191, 96, 48, 24, 12, 6, 3, 2]);
            bytes + level.top()
        };
        assert_eq!(len(MODULUS), PUBLIC_LEN);
        assert_eq!(len(THIRDS), ROUNDED_LEN);
        assert_eq!(P.div_ceil(4), SMALL_LEN);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut wide = [0; P];
        let mut narrow = [0; P];
        for (i, (wide, narrow)) in wide.iter_mut().zip(&mut narrow).enumerate() {
            *wide = (i * 1811 % 4591) as i16 - Q / 2;
            *narrow = 3 * (i * 389 % 1531) as i16 - Q / 2;
        }
        for wide in [wide, [Q / 2; P], [-Q / 2; P], [0; P]] {
            let mut bytes = Vec::new();
            put_poly(&wide, &mut bytes);
            assert_eq!(poly(bytes[..].try_into().unwrap()), wide);
        }
        for narrow in [narrow, [Q / 2; P], [-Q / 2; P], [0; P]] {
            let mut bytes = Vec::new();
            put_rounded(&narrow, &mut bytes);
            assert_eq!(rounded(bytes[..].try_into().unwrap()), narrow);
        }
    }

    #[test]
    fn small_polynomials_are_two_bits_each() {
        let mut poly = [0; P];
        poly[..5].copy_from_slice(&[-1, 0, 1, -1, 1]);
        let bytes = small(&poly);
        assert_eq!(bytes[..3], [0b00_10_01_00, 0b01_01_01_10, 0b01_01_01_01]);
        assert_eq!(bytes[SMALL_LEN - 1], 0b01);
    }

    /// The largest numbers that the bytes can say are reduced, none is refused.
    #[test]
    fn any_bytes_are_a_polynomial() {
        for byte in [0, 0x7f, 0x80, 0xff] {
            for x in poly(&[byte; PUBLIC_LEN]) {
                assert!((-Q / 2..=Q / 2).contains(&x));
            }
            for x in rounded(&[byte; ROUNDED_LEN]) {
                assert!((-Q / 2..=Q / 2).contains(&x) && x % 3 == 0);
            }
        }
    }
}
