//! Both sides agree; whoever sends a bad share gets an error.

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

/// The methods in which each side sends one value.
fn of_one_value_each() -> impl Iterator<Item = KexAlgorithm> {
    let all = KexAlgorithm::ALL.iter().copied();
    all.filter(|kex| matches!(kex.messages(), KexMessages::Ecdh | KexMessages::Dh))
}

/// Those in which it is a string.
fn of_strings() -> impl Iterator<Item = KexAlgorithm> {
    of_one_value_each().filter(|kex| kex.messages() == KexMessages::Ecdh)
}

#[test]
fn both_sides_have_the_same_secret_and_it_is_fresh() {
    for kex in of_one_value_each() {
        let (mut client, mut server) = (streams(1), streams(2));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..8 {
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
    let mut high = [0; 32];
    high[0] = 0x80;
    let number = encoded(&SharedSecret::number(Zeroizing::new(high)));
    assert_eq!(number.len(), 4 + 33);
    assert_eq!(number[..6], [0, 0, 0, 33, 0, 0x80]);
    let mut short = [0; 32];
    short[31] = 1;
    let number = encoded(&SharedSecret::number(Zeroizing::new(short)));
    assert_eq!(number, [0, 0, 0, 1, 1]);
    let digest = crate::crypto::hash::HashAlgorithm::Sha256.digest(b"x");
    assert_eq!(encoded(&SharedSecret::Hash(digest)).len(), 4 + 32);
}

/// The points of order 1, 2, 4 and 8 on the curve and its twist, with the encodings that are not
/// reduced (RFC 7748 section 7 points to them).
pub(super) const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn low_order() -> impl Iterator<Item = [u8; 32]> {
    LOW_ORDER.iter().flat_map(|point| {
        let point: [u8; 32] = hex::decode(point).unwrap().try_into().unwrap();
        let mut with_top_bit = point;
        with_top_bit[31] |= 0x80;
        [point, with_top_bit]
    })
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

#[test]
fn k5_low_order_points_are_refused() {
    for kex in [
        KexAlgorithm::Curve25519Sha256,
        KexAlgorithm::Curve25519Sha256LibSsh,
    ] {
        for point in low_order() {
            both_refuse(kex, &point, &point);
        }
    }
}

#[test]
fn k7_low_order_points_within_the_hybrid_are_refused() {
    let kex = KexAlgorithm::Mlkem768X25519Sha256;
    let (init, reply) = good(kex);
    for point in low_order() {
        let (mut init, mut reply) = (init.clone(), reply.clone());
        init[1184..].copy_from_slice(&point);
        reply[1088..].copy_from_slice(&point);
        both_refuse(kex, &init, &reply);
    }
}

#[test]
fn k5_k7_every_other_length_is_refused() {
    for kex in of_strings() {
        let (init, reply) = good(kex);
        both_refuse(kex, &[], &[]);
        for cut in [1, 31, 32] {
            both_refuse(kex, &init[..init.len() - cut], &reply[..reply.len() - cut]);
            both_refuse(kex, &init[cut..], &reply[cut..]);
        }
        for more in [1, 32] {
            let extend = |bytes: &[u8]| [bytes, &[0; 32][..more]].concat();
            both_refuse(kex, &extend(&init), &extend(&reply));
        }
    }
    let sizes = good(KexAlgorithm::Mlkem768X25519Sha256);
    assert_eq!((sizes.0.len(), sizes.1.len()), (1184 + 32, 1088 + 32));
}

#[test]
fn k7_unreduced_coefficients_are_refused() {
    let kex = KexAlgorithm::Mlkem768X25519Sha256;
    let (init, _) = good(kex);
    // 12 bits each; q is 3329, so 3329 is the smallest that is not reduced.
    for index in [0, 1, 383, 767] {
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
            assert_eq!(answer.err(), Some(CryptoError::PeerShare));
        }
    }
}

#[test]
fn k7_a_flipped_ciphertext_gives_another_secret() {
    let kex = KexAlgorithm::Mlkem768X25519Sha256;
    for at in [0, 500, 1087] {
        let share = ClientShare::generate(kex, &mut streams(1)).unwrap();
        let (mut reply, ours) = server_respond(kex, share.public(), &mut streams(2)).unwrap();
        reply[at] ^= 1;
        let theirs = share.finish(&reply).unwrap();
        assert_ne!(encoded(&ours), encoded(&theirs));
    }
}

#[test]
fn q8_nothing_of_a_secret_is_printed() {
    let share = ClientShare::generate(KexAlgorithm::Curve25519Sha256, &mut streams(1)).unwrap();
    assert_eq!(alloc::format!("{share:?}"), "ClientShare");
    let (_, secret) = server_respond(
        KexAlgorithm::Curve25519Sha256,
        share.public(),
        &mut streams(2),
    )
    .unwrap();
    assert_eq!(alloc::format!("{secret:?}"), "SharedSecret");
}
