//! Reciprocals of polynomials modulo x^p - x - 1, with coefficients modulo q or modulo 3.
//!
//! By the division steps of Bernstein and Yang ("Fast constant-time gcd computation and modular
//! inversion", 2019): Euclid's algorithm cut into 2p - 1 equal steps, each of which takes the lowest
//! coefficient off f or off g, both written backwards; off which of the two is decided with a mask.
//!
//! ```text
//!   f, g      begin as x^p - x - 1 and the polynomial, backwards; f ends as a constant
//!   v, r      begin as 0 and 1; v ends as the reciprocal times that constant, backwards
//!   delta     how much less the degree of g is than that of f
//! ```
//!
//! A step multiplies g and r by the lowest coefficients of f and g. The products are Montgomery's, for
//! which vector units have instructions: each comes out divided by 2^16, in g as in r, and in the end
//! only the ratio of v and f counts.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::P;
use super::arith::{centred, high, negative, nonzero, reciprocal, select};
use super::poly::Poly;

/// Writes 1 / `of` modulo `M`, a prime up to 4591, and says whether there is one.
pub(super) fn invert<const M: i16>(of: &Poly, inverse: &mut Poly) -> bool {
    let mut steps = Steps::begin(of);
    for done in 0..STEPS {
        steps.divide::<M>(done);
    }
    let scale = i32::from(reciprocal::<M>(centred::<M>(steps.f[0].into())));
    for (to, &from) in inverse.iter_mut().rev().zip(&steps.v) {
        let from = centred::<M>(from.into());
        *to = centred::<M>(scale * i32::from(from));
    }
    // That there is none may be known: another polynomial is drawn.
    steps.delta == 0
}

/// How many steps there are.
const STEPS: usize = 2 * P - 1;

/// Coefficients of f, g, v and r, filled up to a multiple of [`VECTOR`].
const LANES: usize = (P + 1).next_multiple_of(VECTOR);

/// As many coefficients as are worth working on together.
const VECTOR: usize = 32;

type Lanes = [i16; LANES];

/// What a step changes.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Steps {
    f: Lanes,
    g: Lanes,
    v: Lanes,
    r: Lanes,
    delta: i16,
    by_f: Factor,
    by_g: Factor,
}

impl Steps {
    fn begin(of: &Poly) -> Self {
        let mut steps = Self {
            f: [0; LANES],
            g: [0; LANES],
            v: [0; LANES],
            r: [0; LANES],
            delta: 1,
            by_f: Factor::ZERO,
            by_g: Factor::ZERO,
        };
        steps.f[0] = 1;
        steps.f[P - 1] = -1;
        steps.f[P] = -1;
        for (to, &from) in steps.g.iter_mut().zip(of.iter().rev()) {
            *to = from;
        }
        steps.r[0] = 1;
        steps
    }

    /// One division step, after so many.
    fn divide<const M: i16>(&mut self, done: usize) {
        let g = centred::<M>(self.g[0].into());
        let swap = negative(-self.delta) & nonzero(g);
        self.delta = select(swap, -self.delta, self.delta) + 1;
        self.by_g.set::<M>(g);
        self.by_f.set::<M>(centred::<M>(self.f[0].into()));

        // Each step that is still to come looks one coefficient less far into f and g, and v and r have
        // one more with each.
        let ahead = (STEPS - done).next_multiple_of(VECTOR).min(LANES);
        let grown = (done + 2).next_multiple_of(VECTOR).min(LANES);
        let (f, _) = self.f.split_at_mut(ahead);
        let (g, _) = self.g.split_at_mut(ahead);
        let (v, _) = self.v.split_at_mut(grown);
        let (r, _) = self.r.split_at_mut(grown);

        // v := x v
        v.copy_within(..grown - 1, 1);
        if let Some(lowest) = v.first_mut() {
            *lowest = 0;
        }
        combine::<M>(swap, &self.by_f, &self.by_g, f, g);
        combine::<M>(swap, &self.by_f, &self.by_g, v, r);
        // g := g / x
        g.copy_within(1.., 0);
    }
}

/// (`one`, `other`) becomes (`one`, f `other` - g `one`), or (`other`, the same) if `swap` is set.
///
/// Numbers below 4940 stay below it: a product is at most 2295 / 2^16 of one, and q / 2.
///
/// Only the arguments of a call are known to be different memory, so it stays one.
#[inline(never)]
fn combine<const M: i16>(swap: i16, f: &Factor, g: &Factor, one: &mut [i16], other: &mut [i16]) {
    let values = f.values.iter().zip(&g.values);
    for ((one, other), (&f_value, &g_value)) in one.iter_mut().zip(other).zip(values) {
        let (a, b) = (*one, *other);
        let from_b = times::<M>(b, f_value, f.quotient);
        let from_a = times::<M>(a, g_value, g.quotient);
        *one = select(swap, b, a);
        *other = from_b - from_a;
    }
}

/// What many numbers are multiplied by.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Factor {
    /// The same in all: only of what is loaded in the loop the compiler knows there that it has 16
    /// bits, and for anything wider vector units have no product.
    values: Lanes,
    /// It divided by the modulus, modulo 2^16.
    quotient: i16,
}

impl Factor {
    const ZERO: Self = Self {
        values: [0; LANES],
        quotient: 0,
    };

    fn set<const M: i16>(&mut self, value: i16) {
        self.values = [value; LANES];
        self.quotient = value.wrapping_mul(const { inverse_of_odd(M) });
    }
}

/// `x` times `value` divided by 2^16, modulo `M`.
///
/// What is subtracted is the multiple of `M` that has the same 16 low bits as the product: the
/// difference of the high halves is exact.
#[inline(always)]
const fn times<const M: i16>(x: i16, value: i16, quotient: i16) -> i16 {
    high(x, value) - high(x.wrapping_mul(quotient), M)
}

/// 1 / `m` modulo 2^16. Newton's iteration doubles how many bits are right, and three are at first.
const fn inverse_of_odd(m: i16) -> i16 {
    let mut inverse = m;
    let mut round = 0;
    while round < 3 {
        inverse = inverse.wrapping_mul(2_i16.wrapping_sub(m.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Q;
    use super::super::poly::multiply;
    use super::*;

    #[test]
    fn montgomery_products() {
        assert_eq!(inverse_of_odd(Q).wrapping_mul(Q), 1);
        assert_eq!(inverse_of_odd(3).wrapping_mul(3), 1);
        for value in [-2295, -2294, -1, 0, 1, 17, 2295] {
            let quotient = i16::wrapping_mul(value, inverse_of_odd(Q));
            for x in [-4940, -4096, -1, 0, 1, 2, 4095, 4940_i16] {
                let product = times::<Q>(x, value, quotient);
                let (product, exact) = (i64::from(product) << 16, i64::from(x) * i64::from(value));
                assert_eq!((product - exact) % i64::from(Q), 0);
            }
        }
    }

    /// 0 has no reciprocal, modulo 3 or modulo q.
    #[test]
    fn zero_is_not_inverted() {
        let mut inverse = [0; P];
        assert!(!invert::<3>(&[0; P], &mut inverse));
        assert!(!invert::<Q>(&[0; P], &mut inverse));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn a_small_polynomial_times_its_reciprocal_is_one(
            digits in proptest::collection::vec(-1_i8..=1, P),
        ) {
            let small: [i8; P] = digits.try_into().unwrap();
            let (mut inverse, mut product) = ([0; P], [0; P]);
            prop_assert!(invert::<Q>(&small.map(i16::from), &mut inverse));
            multiply(&inverse, &small, &mut product);
            prop_assert_eq!(product[0], 1);
            prop_assert_eq!(&product[1..], &[0; P - 1][..]);
            // As good as certain: one in 3^19 has none.
            prop_assert!(invert::<3>(&small.map(i16::from), &mut inverse));
            multiply(&inverse, &small, &mut product);
            prop_assert_eq!(centred::<3>(product[0].into()), 1);
            prop_assert!(product[1..].iter().all(|x| x % 3 == 0));
        }
    }
}
