//! Both sides agree; whoever sends a bad share gets an error.

use alloc::vec;

use super::*;
use crate::message::KexMessages;
use crate::random::testing::SeededRandom;

fn streams(seed: u64) -> Streams {
    Streams::new(&mut SeededRandom::new(seed)).unwrap()
}

fn encoded(secret: &SharedSecret) -> Vec<u8> {
    let mut out = Vec::new();
    secret.encode(&mut out);
    out
}

/// The half that is on a curve.
#[derive(Clone, Copy, PartialEq)]
enum Group {
    X25519,
    #[cfg(feature = "curve448")]
    X448,
    P256,
    P384,
    P521,
}

impl Group {
    const fn public_len(self) -> usize {
        match self {
            Self::X25519 => 32,
            #[cfg(feature = "curve448")]
            Self::X448 => 56,
            Self::P256 => 65,
            Self::P384 => 97,
            Self::P521 => 133,
        }
    }

    const fn is_nist(self) -> bool {
        matches!(self, Self::P256 | Self::P384 | Self::P521)
    }
}

/// What there is before the curve's half in C_INIT and in S_REPLY.
#[derive(Clone, Copy, PartialEq)]
struct KemLen {
    key: usize,
    ciphertext: usize,
}

const NONE: KemLen = KemLen {
    key: 0,
    ciphertext: 0,
};
const MLKEM768: KemLen = KemLen {
    key: 1184,
    ciphertext: 1088,
};
const MLKEM1024: KemLen = KemLen {
    key: 1568,
    ciphertext: 1568,
};
const SNTRUP761: KemLen = KemLen {
    key: 1158,
    ciphertext: 1039,
};

/// What the two strings of a method consist of.
fn shape(kex: KexAlgorithm) -> (KemLen, Group) {
    match kex {
        KexAlgorithm::Curve25519Sha256 | KexAlgorithm::Curve25519Sha256LibSsh => {
            (NONE, Group::X25519)
        }
        #[cfg(feature = "curve448")]
        KexAlgorithm::Curve448Sha512 => (NONE, Group::X448),
        KexAlgorithm::EcdhSha2Nistp256 => (NONE, Group::P256),
        KexAlgorithm::EcdhSha2Nistp384 => (NONE, Group::P384),
        KexAlgorithm::EcdhSha2Nistp521 => (NONE, Group::P521),
        KexAlgorithm::Mlkem768X25519Sha256 => (MLKEM768, Group::X25519),
        KexAlgorithm::Mlkem768Nistp256Sha256 => (MLKEM768, Group::P256),
        KexAlgorithm::Mlkem1024Nistp384Sha384 => (MLKEM1024, Group::P384),
        KexAlgorithm::Sntrup761X25519Sha512 | KexAlgorithm::Sntrup761X25519Sha512OpenSsh => {
            (SNTRUP761, Group::X25519)
        }
        _ => panic!("{}", kex.name()),
    }
}

/// The methods in which each side sends one value.
fn of_one_value_each() -> impl Iterator<Item = KexAlgorithm> {
    let all = KexAlgorithm::ALL.iter().copied();
    all.filter(|kex| matches!(kex.messages(), KexMessages::Ecdh | KexMessages::Dh))
}

/// Those in which it is a string.
fn of_strings() -> impl Iterator<Item = KexAlgorithm> {
    of_one_value_each().filter(|kex| kex.messages() == KexMessages::Ecdh)
}

fn hybrids() -> impl Iterator<Item = KexAlgorithm> {
    of_strings().filter(|&kex| shape(kex).0 != NONE)
}

#[test]
fn both_sides_have_the_same_secret_and_it_is_fresh() {
    for kex in of_one_value_each() {
        let (mut client, mut server) = (streams(1), streams(2));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..4 {
            let share = ClientShare::generate(kex, &mut client).unwrap();
            let (reply, ours) = server_respond(kex, share.public(), &mut server).unwrap();
            assert!(seen.insert(share.public().to_vec()) && seen.insert(reply.clone()));
            let theirs = share.finish(&reply).unwrap();
            assert_eq!(encoded(&ours), encoded(&theirs));
            assert!(seen.insert(encoded(&ours)));
        }
    }
}

#[test]
fn k7_a_hybrid_secret_is_a_string_and_a_classical_one_an_mpint() {
    let number = |bytes: &[u8]| encoded(&SharedSecret::Number(Zeroizing::new(bytes.to_vec())));
    let mut high = [0; 32];
    high[0] = 0x80;
    let long = number(&high);
    assert_eq!(long.len(), 4 + 33);
    assert_eq!(long[..6], [0, 0, 0, 33, 0, 0x80]);
    let mut short = [0; 32];
    short[31] = 1;
    assert_eq!(number(&short), [0, 0, 0, 1, 1]);

    for kex in of_strings() {
        let share = ClientShare::generate(kex, &mut streams(1)).unwrap();
        let (_, secret) = server_respond(kex, share.public(), &mut streams(2)).unwrap();
        if shape(kex).0 == NONE {
            assert!(matches!(secret, SharedSecret::Number(_)), "{kex}");
        } else {
            assert_eq!(encoded(&secret).len(), 4 + kex.hash().output_len(), "{kex}");
        }
    }
}

/// A number that begins with a bit that would be taken for a sign is a byte longer, and one that begins
/// with zeros is shorter; of eight bits one in 512 does.
#[test]
fn k3_numbers_of_every_length_agree() {
    for kex in [
        KexAlgorithm::Curve25519Sha256,
        KexAlgorithm::EcdhSha2Nistp256,
    ] {
        let mut lengths = alloc::collections::BTreeSet::new();
        let (mut client, mut server) = (streams(7), streams(8));
        for _ in 0..5000 {
            if lengths.len() == 3 {
                break;
            }
            let share = ClientShare::generate(kex, &mut client).unwrap();
            let (reply, ours) = server_respond(kex, share.public(), &mut server).unwrap();
            assert_eq!(encoded(&share.finish(&reply).unwrap()), encoded(&ours));
            lengths.insert(encoded(&ours).len() - 4);
        }
        assert!(lengths.into_iter().eq(31..=33), "{kex}");
    }
}

/// The points of order 1, 2, 4 and 8 on the curve and its twist, with the encodings that are not
/// reduced (RFC 7748 section 7 points to them).
const LOW_ORDER_25519: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// Public values on the curve of which everybody knows the secret; none where the order is prime.
fn low_order(group: Group) -> Vec<Vec<u8>> {
    match group {
        Group::X25519 => {
            let points = LOW_ORDER_25519
                .iter()
                .map(|point| hex::decode(point).unwrap());
            let both = points.flat_map(|point| {
                let mut with_top_bit = point.clone();
                with_top_bit[31] |= 0x80;
                [point, with_top_bit]
            });
            both.collect()
        }
        // 0, 1, -1, and 0 and 1 that are not reduced, where the prime is 2^448 - 2^224 - 1.
        #[cfg(feature = "curve448")]
        Group::X448 => {
            let prime = |low: u8| {
                let mut bytes = vec![0xff; 56];
                bytes[0] = low;
                bytes[28] = 0xfe;
                bytes
            };
            let mut zero = vec![0; 56];
            let mut one = zero.clone();
            one[0] = 1;
            let mut above = prime(0);
            above[..28].fill(0);
            above[28] = 0xff;
            zero[0] = 0;
            vec![zero, one, prime(0xfe), prime(0xff), above]
        }
        Group::P256 | Group::P384 | Group::P521 => Vec::new(),
    }
}

/// What both roles say to a peer's string.
fn both_refuse(kex: KexAlgorithm, as_client: &[u8], as_server: &[u8]) {
    let (mut one, mut other) = (streams(1), streams(2));
    let answer = server_respond(kex, as_client, &mut one);
    assert_eq!(answer.err(), Some(CryptoError::PeerShare), "{kex}");
    let share = ClientShare::generate(kex, &mut other).unwrap();
    let secret = share.finish(as_server);
    assert_eq!(secret.err(), Some(CryptoError::PeerShare), "{kex}");
}

fn good(kex: KexAlgorithm) -> (Vec<u8>, Vec<u8>) {
    let share = ClientShare::generate(kex, &mut streams(3)).unwrap();
    let (reply, _) = server_respond(kex, share.public(), &mut streams(4)).unwrap();
    (share.public().to_vec(), reply)
}

/// Good strings of which the half on the curve is another.
fn both_refuse_point(kex: KexAlgorithm, good: &(Vec<u8>, Vec<u8>), point: &[u8]) {
    let (kem, _) = shape(kex);
    let (init, reply) = good;
    let init = [&init[..kem.key], point].concat();
    let reply = [&reply[..kem.ciphertext], point].concat();
    both_refuse(kex, &init, &reply);
}

#[test]
fn k5_k7_low_order_points_are_refused_alone_and_within_a_hybrid() {
    let mut refused = 0;
    for kex in of_strings() {
        let good = good(kex);
        for point in low_order(shape(kex).1) {
            both_refuse_point(kex, &good, &point);
            refused += 1;
        }
    }
    let x448 = if cfg!(feature = "curve448") { 5 } else { 0 };
    assert_eq!(refused, 5 * 14 + x448);
}

#[test]
fn k5_k6_k7_every_other_length_is_refused() {
    for kex in of_strings() {
        let (kem, group) = shape(kex);
        let (init, reply) = good(kex);
        assert_eq!(init.len(), kem.key + group.public_len(), "{kex}");
        assert_eq!(reply.len(), kem.ciphertext + group.public_len(), "{kex}");
        both_refuse(kex, &[], &[]);
        for cut in [1, 2, 31, 32, group.public_len()] {
            let cut = cut.min(group.public_len());
            both_refuse(kex, &init[..init.len() - cut], &reply[..reply.len() - cut]);
            both_refuse(kex, &init[cut..], &reply[cut..]);
        }
        // The half of the KEM alone is one byte short or one too long.
        for at in [kem.key, kem.ciphertext].into_iter().filter(|at| *at > 0) {
            both_refuse(kex, &init[..at], &reply[..at.min(kem.ciphertext)]);
        }
        for more in [1, 32, 1024] {
            let extend = |bytes: &[u8]| [bytes, &vec![0; more]].concat();
            both_refuse(kex, &extend(&init), &extend(&reply));
            let before = |bytes: &[u8]| [&vec![0; more], bytes].concat();
            both_refuse(kex, &before(&init), &before(&reply));
        }
    }
}

/// A point of each curve, uncompressed.
fn points() -> [(Group, Vec<u8>); 3] {
    [
        (Group::P256, KexAlgorithm::EcdhSha2Nistp256),
        (Group::P384, KexAlgorithm::EcdhSha2Nistp384),
        (Group::P521, KexAlgorithm::EcdhSha2Nistp521),
    ]
    .map(|(group, kex)| (group, good(kex).0))
}

/// The primes of the fields (FIPS 186-4 appendix D.1.2).
fn prime(group: Group) -> Vec<u8> {
    let hex = match group {
        Group::P256 => "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff".into(),
        Group::P384 => "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe\
             ffffffff0000000000000000ffffffff"
            .into(),
        _ => ["01ff", &"ff".repeat(64)].concat(),
    };
    hex::decode::<alloc::string::String>(hex).unwrap()
}

#[test]
fn k6_k7_points_off_the_curve_at_infinity_and_compressed_are_refused() {
    for kex in of_strings() {
        let (_, group) = shape(kex);
        if !group.is_nist() {
            continue;
        }
        let good = good(kex);
        let refuse = |point: &[u8]| both_refuse_point(kex, &good, point);
        let (_, point) = points().into_iter().find(|(of, _)| *of == group).unwrap();
        let width = point.len() / 2;
        let (x, y) = (&point[1..1 + width], &point[1 + width..]);

        // Off the curve: another y, another x, x and y the wrong way round, and (0, 0).
        for at in [1, width, 1 + width, 2 * width] {
            let mut off = point.clone();
            off[at] ^= 1;
            refuse(&off);
        }
        refuse(&[&[4], y, x].concat());
        refuse(&[&[4], &vec![0; 2 * width][..]].concat());
        // At infinity, as SEC 1 says it, and as long as a point.
        refuse(&[0]);
        refuse(&vec![0; point.len()]);
        // Compressed, hybrid and compact, each for a y that there is, and as long as a point.
        for tag in [2, 3, 5, 6, 7] {
            refuse(&[&[tag], x].concat());
            refuse(&[&[tag], x, y].concat());
        }
        // A tag that is none.
        for tag in [0, 1, 8, 0x44, 0x84, 0xff] {
            refuse(&[&[tag], x, y].concat());
        }
        // Not reduced: the prime itself, and the largest number.
        for large in [prime(group), vec![0xff; width]] {
            refuse(&[&[4], &large[..], y].concat());
            refuse(&[&[4], x, &large[..]].concat());
        }
        // Of another curve, as it is and cut or filled to the width of this one.
        for (_, other) in points().into_iter().filter(|(of, _)| *of != group) {
            refuse(&other);
            let width_there = other.len() / 2;
            let fit = |coordinate: &[u8]| {
                let mut fitted = vec![0; width.saturating_sub(width_there)];
                fitted.extend_from_slice(&coordinate[width_there.saturating_sub(width)..]);
                fitted
            };
            let (x, y) = other[1..].split_at(width_there);
            refuse(&[&[4], &fit(x)[..], &fit(y)].concat());
        }
        // And in place of the curve's half one of X25519.
        refuse(&[9; 32]);
    }
}

#[test]
fn k7_unreduced_coefficients_are_refused() {
    let all = hybrids().filter(|kex| [MLKEM768, MLKEM1024].contains(&shape(*kex).0));
    for kex in all {
        let (init, _) = good(kex);
        // 12 bits each; q is 3329, so 3329 is the smallest that is not reduced.
        let last = (shape(kex).0.key - 32) / 3 * 2 - 1;
        for index in [0, 1, 383, last] {
            for value in [3329u16, 4095] {
                let mut bad = init.clone();
                let at = index / 2 * 3;
                let bytes = &mut bad[at..at + 3];
                if index % 2 == 0 {
                    bytes[0] = value as u8;
                    bytes[1] = (bytes[1] & 0xf0) | (value >> 8) as u8;
                } else {
                    bytes[1] = (bytes[1] & 0x0f) | (value << 4) as u8;
                    bytes[2] = (value >> 4) as u8;
                }
                let answer = server_respond(kex, &bad, &mut streams(1));
                assert_eq!(answer.err(), Some(CryptoError::PeerShare), "{kex} {index}");
            }
        }
    }
}

#[test]
fn k7_a_flipped_ciphertext_gives_another_secret() {
    let mut flipped = 0;
    for kex in hybrids() {
        let last = shape(kex).0.ciphertext - 1;
        for at in [0, 1, 500, last - 32, last - 31, last] {
            let share = ClientShare::generate(kex, &mut streams(1)).unwrap();
            let (mut reply, ours) = server_respond(kex, share.public(), &mut streams(2)).unwrap();
            reply[at] ^= 1;
            let theirs = share.finish(&reply).unwrap();
            assert_ne!(encoded(&ours), encoded(&theirs), "{kex} {at}");
            flipped += 1;
        }
    }
    assert_eq!(flipped, 5 * 6);
}

/// A key that was not sent, a flipped one or another valid one, leads to another secret.
#[test]
fn k7_a_flipped_key_gives_another_secret() {
    for kex in hybrids() {
        // The seed of ML-KEM's matrix and the last coefficient of sntrup761: any value is valid.
        let at = shape(kex).0.key - 1;
        let share = ClientShare::generate(kex, &mut streams(1)).unwrap();
        let mut init = share.public().to_vec();
        init[at] ^= 1;
        let (reply, ours) = server_respond(kex, &init, &mut streams(2)).unwrap();
        let theirs = share.finish(&reply).unwrap();
        assert_ne!(encoded(&ours), encoded(&theirs), "{kex}");
    }
}

#[test]
fn q8_nothing_of_a_secret_is_printed() {
    for kex in of_strings() {
        let share = ClientShare::generate(kex, &mut streams(1)).unwrap();
        assert_eq!(alloc::format!("{share:?}"), "ClientShare");
        let (_, secret) = server_respond(kex, share.public(), &mut streams(2)).unwrap();
        assert_eq!(alloc::format!("{secret:?}"), "SharedSecret");
    }
}
