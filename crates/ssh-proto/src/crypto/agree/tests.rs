//! Both sides agree; whoever sends a bad share gets an error.

use super::*;
use crate::random::testing::SeededRandom;

fn streams(seed: u64) -> Streams {
    Streams::new(&mut SeededRandom::new(seed)).unwrap()
}

fn encoded(secret: &SharedSecret) -> Vec<u8> {
    let mut out = Vec::new();
    secret.encode(&mut out);
    out
}

#[test]
fn both_sides_have_the_same_secret_and_it_is_fresh() {
    for &kex in KexAlgorithm::ALL {
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
    let number = encoded(&SharedSecret::Number(Zeroizing::new(high)));
    assert_eq!(number.len(), 4 + 33);
    assert_eq!(number[..6], [0, 0, 0, 33, 0, 0x80]);
    let mut short = [0; 32];
    short[31] = 1;
    let number = encoded(&SharedSecret::Number(Zeroizing::new(short)));
    assert_eq!(number, [0, 0, 0, 1, 1]);
    let digest = crate::crypto::hash::HashAlgorithm::Sha256.digest(b"x");
    assert_eq!(encoded(&SharedSecret::Hash(digest)).len(), 4 + 32);
}
