//! Numbers modulo 3 and modulo q, and masks, without a branch or a division that depends on them.
//!
//! A residue is represented by the number nearest to zero: -1, 0, 1 modulo 3, and -2295 to 2295
//! modulo q = 4591. A mask is 0 or -1, all bits clear or all bits set.

/// The representative of `x` modulo `M`, for an odd `M` from 3 to 4591 and |`x`| ≤ 2^23.
///
/// The quotient is a product with the reciprocal: how long a division takes depends on the numbers.
/// With 36 bits of fraction it is wrong by at most 2^23 / 2^37, which is less than 1 / 2`M`, and no
/// fraction of `M` is nearer to one half than that.
pub(super) const fn centred<const M: i16>(x: i32) -> i16 {
    const FRACTION: u32 = 36;
    let reciprocal = const { ((1_i64 << FRACTION) + M as i64 / 2) / M as i64 };
    let quotient = (x as i64 * reciprocal + (1 << (FRACTION - 1))) >> FRACTION;
    (x - quotient as i32 * M as i32) as i16
}

/// The reciprocal of `x` modulo `M`, or 0 of 0: `x` to the power of `M` - 2, for a prime `M`.
pub(super) const fn reciprocal<const M: i16>(x: i16) -> i16 {
    let mut power = 1;
    let mut bit = 15;
    while bit > 0 {
        bit -= 1;
        power = centred::<M>(power as i32 * power as i32);
        // The exponent is no secret.
        if ((M - 2) >> bit) & 1 == 1 {
            power = centred::<M>(power as i32 * x as i32);
        }
    }
    power
}

/// The high half of a product.
#[inline(always)]
pub(super) const fn high(a: i16, b: i16) -> i16 {
    ((a as i32 * b as i32) >> 16) as i16
}

/// Whether `x` is negative.
pub(super) const fn negative(x: i16) -> i16 {
    x >> 15
}

/// Whether `x` is not zero.
pub(super) const fn nonzero(x: i16) -> i16 {
    negative(x | x.wrapping_neg())
}

/// `yes` where `mask` is set, and `no` elsewhere.
pub(super) const fn select(mask: i16, yes: i16, no: i16) -> i16 {
    no ^ ((yes ^ no) & mask)
}

#[cfg(test)]
mod tests {
    use super::super::Q;
    use super::*;

    fn slowly(x: i32, m: i16) -> i16 {
        let m = i32::from(m);
        let x = x.rem_euclid(m);
        i16::try_from(if x > m / 2 { x - m } else { x }).unwrap()
    }

    #[test]
    fn representatives_are_those_nearest_to_zero() {
        let most = 1 << 23;
        let edges = |m: i32| {
            // Where the quotient changes, and next to it.
            (-most / m..most / m).flat_map(move |k| [-1, 0, 1].map(|d| k * m + m / 2 + d))
        };
        for x in edges(Q.into()).chain([-most, most]) {
            assert_eq!(centred::<Q>(x), slowly(x, Q), "{x}");
        }
        for x in edges(3)
            .step_by(101)
            .chain([-most, most])
            .chain(-9999..9999)
        {
            assert_eq!(centred::<3>(x), slowly(x, 3), "{x}");
        }
    }

    #[test]
    fn reciprocals_of_all_numbers() {
        for x in 1..=Q / 2 {
            for x in [x, -x] {
                let product = i32::from(x) * i32::from(reciprocal::<Q>(x));
                assert_eq!(centred::<Q>(product), 1, "{x}");
            }
        }
        assert_eq!([-1, 0, 1].map(reciprocal::<3>), [-1, 0, 1]);
        assert_eq!(reciprocal::<Q>(0), 0);
    }

    #[test]
    fn masks() {
        for x in i16::MIN..=i16::MAX {
            assert_eq!(negative(x), -i16::from(x < 0));
            assert_eq!(nonzero(x), -i16::from(x != 0));
        }
        assert_eq!((select(-1, 5, -7), select(0, 5, -7)), (5, -7));
    }
}
