//! Polynomials modulo x^p - x - 1.
//!
//! The coefficient of x^i is the element i. Coefficients are representatives modulo q or modulo 3
//! (see `arith`); a small polynomial is one whose coefficients are -1, 0 and 1.

use zeroize::Zeroizing;

use super::arith::{centred, high};
use super::{P, Q};

/// A polynomial with coefficients of up to 16 bits.
pub(super) type Poly = [i16; P];

/// A small polynomial.
pub(super) type Small = [i8; P];

/// Coefficients of a product before it is reduced.
const PRODUCT: usize = 2 * P - 1;

/// How many products are added up before the sums are reduced: 5221 + 12 q / 2 is less than 2^15.
const ROWS: usize = 12;

/// `a` times `b` modulo q and x^p - x - 1.
///
/// What is the product of two small polynomials is exact, without q: a coefficient is the sum of at
/// most 2p products, and that is less than q / 2.
pub(super) fn multiply(a: &Poly, b: &Small, product: &mut Poly) {
    let mut sums = Zeroizing::new([0_i16; PRODUCT]);
    for (block, digits) in b.chunks(ROWS).enumerate() {
        let (_, sums) = sums.split_at_mut(block * ROWS);
        for (shift, &digit) in digits.iter().enumerate() {
            let (_, sums) = sums.split_at_mut(shift);
            for (sum, &coefficient) in sums.iter_mut().zip(a) {
                *sum += coefficient * i16::from(digit);
            }
        }
        for sum in sums.iter_mut().take(P + ROWS - 1) {
            *sum = smaller(*sum);
        }
    }
    // x^(p + i) = x^(i + 1) + x^i
    let (low, high) = sums.split_at_mut(P);
    for (to, from) in low.iter_mut().zip(high.iter()) {
        *to += from;
    }
    for (to, from) in low.iter_mut().skip(1).zip(high.iter()) {
        *to += from;
    }
    for (to, &sum) in product.iter_mut().zip(low.iter()) {
        *to = centred::<Q>(sum.into());
    }
}

/// The same modulo q, from -631 to 5221: what is subtracted is `x` / 4681 times q.
#[inline(always)]
const fn smaller(x: i16) -> i16 {
    x - high(x, 14) * Q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaller_is_the_same_and_as_small_as_it_says() {
        for x in i16::MIN..=i16::MAX {
            let smaller = smaller(x);
            assert!((-631..=5221).contains(&smaller), "{x}");
            assert_eq!((i32::from(x) - i32::from(smaller)) % i32::from(Q), 0, "{x}");
        }
        assert!(5221 + ROWS as i32 * i32::from(Q / 2) <= i16::MAX.into());
    }

    /// x^(p-1) times x is x + 1.
    #[test]
    fn what_passes_the_degree_comes_back_twice() {
        let (mut a, mut b, mut product) = ([0; P], [0; P], [7; P]);
        a[P - 1] = 5;
        b[1] = -1;
        multiply(&a, &b, &mut product);
        assert_eq!(product[..3], [-5, -5, 0]);
        assert_eq!(product[3..], [0; P - 3]);
    }

    /// The largest coefficients that there can be neither overflow nor are reduced wrongly.
    #[test]
    fn the_largest_coefficients() {
        for (coefficient, digit) in [(Q / 2, 1), (-Q / 2, 1), (Q / 2, -1), (1, 1), (-1, -1)] {
            let mut product = [0; P];
            multiply(&[coefficient; P], &[digit; P], &mut product);
            for (i, &got) in product.iter().enumerate() {
                // The products of degree i, of i + p and of i + p - 1.
                let terms = (i + 1) + (P - 1 - i) + if i > 0 { P - i } else { 0 };
                let exact = terms as i32 * i32::from(coefficient) * i32::from(digit);
                assert_eq!(got, centred::<Q>(exact), "{i}");
                assert!(terms <= usize::from(Q.unsigned_abs()) / 2);
            }
        }
    }
}
