//! Every family of key exchange methods: messages twice and out of turn, guesses, what it costs, and
//! the session identifier. Rows S2, S9, N3, K3, K9, K10, R6.

use ssh_proto::algorithm::KexAlgorithm;
use ssh_proto::error::{Error, KeyExchangeError, PeerMisbehaved};
use ssh_proto::fuzzing::powers;
use ssh_proto::message::DisconnectReason;
use ssh_proto::{Client, Role, Server};
use ssh_testkit::raw::{Bench, Family, Stage, Subject, in_every_way, rsa_blob, with_seed};

use super::common::{PROTOCOL, misbehaved};

const KEX_FAILED: DisconnectReason = DisconnectReason::KEY_EXCHANGE_FAILED;

/// One method of each family.
const FAMILIES: [KexAlgorithm; 4] = [
    KexAlgorithm::Curve25519Sha256,
    KexAlgorithm::DiffieHellmanGroup14Sha256,
    KexAlgorithm::DiffieHellmanGroupExchangeSha256,
    KexAlgorithm::Rsa2048Sha256,
];

both_roles! {
    k3_k6_k7_r6_two_implementations_agree_on_every_method_and_the_session_keeps_its_name => agree;
    s2_messages_of_a_method_twice => twice;
    s9_only_the_message_that_is_due_and_before_any_computation => out_of_turn;
    n3_of_a_wrong_guess_exactly_one_packet_is_dropped => wrong_guess;
    n3_a_right_guess_of_any_method_is_used => right_guess;
    k10_a_peer_with_nothing_but_sha1 => only_sha1;
}

/// How many messages of the method the peer of a subject sends.
fn messages<P: Subject>(kex: KexAlgorithm) -> usize {
    match (Family::of(kex.name()), P::ROLE) {
        (Family::GroupExchange, _) | (Family::Rsa, Role::Client) => 2,
        _ => 1,
    }
}

/// The numbers of these messages.
fn numbers<P: Subject>(kex: KexAlgorithm) -> &'static [u8] {
    match (Family::of(kex.name()), P::ROLE) {
        (Family::Curve | Family::Fixed, Role::Server) => &[30],
        (Family::Curve | Family::Fixed, Role::Client) => &[31],
        (Family::GroupExchange, Role::Server) => &[34, 32],
        (Family::GroupExchange, Role::Client) => &[31, 33],
        (Family::Rsa, Role::Server) => &[31],
        (Family::Rsa, Role::Client) => &[30, 32],
    }
}

/// A subject to which so many messages of the method have come.
fn after<P: Subject>(kex: KexAlgorithm, rekey: bool, strict: bool, sent: usize) -> Bench<P> {
    let (before, stage) = if rekey {
        (Stage::RekeyMethod, Stage::RekeyMethod)
    } else {
        (Stage::Method, Stage::Method)
    };
    let mut bench = Bench::<P>::speaking(kex, strict).up_to(before);
    for _ in 0..sent {
        bench.proper(stage);
        bench.turn();
        bench.lives(&(kex, sent));
    }
    bench
}

/// With each family, and then again with each of the others, on every curve, with every KEM and with
/// hashes of other sizes.
fn agree<P: Subject>() {
    const GROUPS: [KexAlgorithm; 7] = [
        FAMILIES[1],
        FAMILIES[2],
        FAMILIES[3],
        KexAlgorithm::DiffieHellmanGroup14Sha1,
        KexAlgorithm::DiffieHellmanGroupExchangeSha1,
        KexAlgorithm::DiffieHellmanGroup16Sha512,
        KexAlgorithm::Rsa1024Sha1,
    ];
    let curves = KexAlgorithm::ALL.iter().copied();
    let mut names: Vec<_> = curves
        .filter(|kex| Family::of(kex.name()) == Family::Curve)
        .collect();
    assert_eq!(names.len(), 11);
    names.extend(GROUPS);
    for first in FAMILIES {
        let mut config = P::speaking(first);
        P::transport(&mut config).algorithms.kex = names.clone();
        let bench = Bench::<P>::speaking_with(config, first, true);
        let mut bench = bench.up_to(Stage::Connected);
        let id = bench.raw.session_id().expect("a session");
        for &next in &names {
            bench.raw.offer.lists[0] = next.name().to_owned();
            for stage in [Stage::Connected, Stage::RekeyMethod, Stage::RekeyNewKeys] {
                bench.pass(stage);
            }
            bench.lives(&(first, next));
            let agreed = bench.peer.negotiated().expect("agreed");
            assert_eq!(agreed.kex, next);
            assert_eq!(bench.peer.session_id(), Some(&id[..]), "r6: {first} {next}");
        }
    }
}

fn twice<P: Subject>() {
    for kex in FAMILIES {
        for rekey in [false, true] {
            for strict in [false, true] {
                for sent in 1..=messages::<P>(kex) {
                    let mut bench = after::<P>(kex, rekey, strict, sent);
                    let again = bench.raw.last.clone();
                    bench.send(&again);
                    let number = numbers::<P>(kex)[sent - 1];
                    assert_eq!(again[0], number);
                    let unexpected = misbehaved(PeerMisbehaved::UnexpectedMessage(number));
                    bench.refused(&(kex, rekey, strict, sent), unexpected, PROTOCOL);
                }
            }
        }
    }
}

fn out_of_turn<P: Subject>() {
    for kex in FAMILIES {
        for sent in 0..messages::<P>(kex) {
            let due = numbers::<P>(kex)[sent];
            for number in (30..=49).filter(|number| *number != due) {
                let mut bench = after::<P>(kex, false, true, sent);
                let before = powers();
                // What would be a body of several of them.
                bench.send(&[&[number][..], &[0, 0, 8, 0].repeat(3)].concat());
                assert_eq!(powers(), before);
                let error = match (due, number) {
                    (34, 30) => PeerMisbehaved::OldGroupRequest,
                    _ => PeerMisbehaved::UnexpectedMessage(number),
                };
                bench.refused(&(kex, sent, number), misbehaved(error), PROTOCOL);
            }
        }
    }
}

/// What somebody may have guessed.
fn guesses() -> [Vec<u8>; 5] {
    let mut request = vec![34];
    request.extend([2048_u32, 3072, 8192].iter().flat_map(|n| n.to_be_bytes()));
    [
        vec![30],
        vec![31, 0xff],
        vec![32, 0, 0, 0, 1, 1],
        vec![49],
        request,
    ]
}

fn wrong_guess<P: Subject>() {
    for kex in FAMILIES {
        for rekey in [false, true] {
            for guess in guesses() {
                for more in [false, true] {
                    let before = if rekey {
                        Stage::Connected
                    } else {
                        Stage::KexInit
                    };
                    let mut bench = Bench::<P>::speaking(kex, true).up_to(before);
                    // The method is the same; the host key algorithm is not.
                    let lists = &mut bench.raw.offer.lists;
                    lists[1] = "rsa-sha2-512,ssh-ed25519".to_owned();
                    bench.raw.offer.follows = true;
                    bench.pass(before);
                    let powers_before = powers();
                    bench.send(&guess);
                    bench.lives(&(kex, rekey, &guess));
                    assert_eq!(powers(), powers_before, "it is not looked at");
                    if more {
                        // Of another number than the one that is due.
                        bench.send(&[48]);
                        let error = misbehaved(PeerMisbehaved::UnexpectedMessage(48));
                        bench.refused(&(kex, rekey, &guess), error, PROTOCOL);
                        continue;
                    }
                    bench.pass(Stage::Method);
                    bench.pass(Stage::NewKeys);
                    bench.lives(&(kex, rekey, &guess));
                    let log = bench.seen.log.0.iter();
                    let keys = log.filter(|line| line.contains("KeysExchanged")).count();
                    assert_eq!(keys, 1 + usize::from(rekey), "{kex} {rekey} {guess:?}");
                }
            }
        }
    }
}

fn right_guess<P: Subject>() {
    for kex in FAMILIES {
        // A server can guess only where it speaks first, and a client only where it does.
        let guessing_server = P::ROLE == Role::Client;
        if guessing_server != (Family::of(kex.name()) == Family::Rsa) {
            continue;
        }
        for rekey in [false, true] {
            let before = if rekey {
                Stage::Connected
            } else {
                Stage::KexInit
            };
            let mut bench = Bench::<P>::speaking(kex, true).up_to(before);
            bench.raw.offer.follows = true;
            bench.proper(before);
            // In one flight.
            bench.pass(Stage::Method);
            bench.lives(&(kex, rekey));
            bench.pass(Stage::NewKeys);
            bench.lives(&(kex, rekey));
            let log = bench.seen.log.0.iter();
            let keys = log.filter(|line| line.contains("KeysExchanged")).count();
            assert_eq!(keys, 1 + usize::from(rekey), "{kex} {rekey}");
        }
    }
}

/// What we guess ourselves: the client's first message, where there is one, once if it was right and
/// again if it was wrong.
#[test]
fn n3_a_client_guesses_where_it_speaks_first() {
    in_every_way(|| {
        for kex in FAMILIES {
            for right in [false, true] {
                let mut config = Client::speaking(kex);
                config.transport.guess = true;
                let mut bench = Bench::<Client>::speaking_with(config, kex, true);
                if !right {
                    bench.raw.offer.lists[1] = "rsa-sha2-512,ssh-ed25519".to_owned();
                }
                let first = match Family::of(kex.name()) {
                    Family::Curve | Family::Fixed => Some(30),
                    Family::GroupExchange => Some(34),
                    Family::Rsa => None,
                };
                bench.turn();
                let sent: Vec<u8> = [20].into_iter().chain(first).collect();
                assert_eq!(bench.raw.numbers(0), sent, "{kex}");
                let follows = bench.raw.got[0][bench.raw.got[0].len() - 5];
                assert_eq!(follows, u8::from(first.is_some()), "{kex}");
                bench.pass(Stage::Line);
                bench.pass(Stage::KexInit);
                let again = first.filter(|_| !right);
                let sent: Vec<u8> = sent.into_iter().chain(again).collect();
                assert_eq!(bench.raw.numbers(0), sent, "{kex} {right}");
                bench.pass(Stage::Method);
                bench.pass(Stage::NewKeys);
                let mut log = bench.seen.log.0.iter();
                assert!(
                    log.any(|line| line.contains("KeysExchanged")),
                    "{kex} {right}"
                );
            }
        }
    });
}

fn only_sha1<P: Subject>() {
    for names in [
        "diffie-hellman-group1-sha1",
        "diffie-hellman-group1-sha1,diffie-hellman-group14-sha1",
        "diffie-hellman-group-exchange-sha1,rsa1024-sha1,rsa2048-sha256",
    ] {
        let mut bench = Bench::<P>::at(Stage::KexInit, false);
        bench.raw.offer.lists[0] = names.to_owned();
        let before = powers();
        bench.proper(Stage::KexInit);
        bench.turn();
        let nothing = |e: &Error| matches!(e, Error::Incompatible(_));
        bench.refused(&names, nothing, KEX_FAILED);
        assert_eq!(powers(), before);
    }
}

/// What a stranger can have a server compute: two powers, once.
#[test]
fn k9_a_stranger_has_keys_exchanged_once() {
    in_every_way(|| {
        for kex in [FAMILIES[1], FAMILIES[2]] {
            let before = powers();
            let mut bench = Bench::<Server>::speaking(kex, true).up_to(Stage::Auth);
            assert_eq!(powers() - before, 2, "{kex}");
            bench.proper(Stage::Connected);
            bench.turn();
            let early = misbehaved(PeerMisbehaved::RekeyBeforeAuthentication);
            bench.refused(&kex, early, PROTOCOL);
            assert_eq!(powers() - before, 2, "{kex}");
        }
        // And a client two as well.
        for kex in [FAMILIES[1], FAMILIES[2]] {
            let before = powers();
            let bench = Bench::<Client>::speaking(kex, true).up_to(Stage::Connected);
            assert!(bench.peer.is_authenticated());
            assert_eq!(powers() - before, 2, "{kex}");
        }
    });
}

/// Keys that differ, so that now and then a secret begins with a zero byte.
#[test]
fn k3_exchanges_with_other_numbers_agree_as_well() {
    let exchanges = |kex| {
        for seed in 0..40 {
            with_seed(seed, || {
                let client = Bench::<Client>::speaking(kex, true).up_to(Stage::Connected);
                assert!(client.peer.is_authenticated(), "{kex} {seed}");
                let server = Bench::<Server>::speaking(kex, true).up_to(Stage::Connected);
                assert!(server.peer.is_authenticated(), "{kex} {seed}");
            });
        }
    };
    exchanges(FAMILIES[1]);
    exchanges(FAMILIES[2]);
}

fn is(expected: KeyExchangeError) -> impl Fn(&Error) -> bool {
    move |error| matches!(error, Error::KeyExchange(e) if *e == expected)
}

/// A server whose transient key is none, is too small, or is of another type.
#[test]
fn k1_transient_keys_that_a_client_does_not_take() {
    let string = |out: &mut Vec<u8>, bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).expect("short");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(bytes);
    };
    let of = |bits: u32| (num_bigint::BigUint::from(1_u8) << (bits - 1)) + 1_u8;
    let e = num_bigint::BigUint::from(65537_u32);
    in_every_way(|| {
        for (kex, blob) in [
            (KexAlgorithm::Rsa2048Sha256, rsa_blob(&of(2047), &e)),
            (KexAlgorithm::Rsa2048Sha256, rsa_blob(&of(1024), &e)),
            (KexAlgorithm::Rsa1024Sha1, rsa_blob(&of(1023), &e)),
            (KexAlgorithm::Rsa2048Sha256, rsa_blob(&of(8193), &e)),
            (KexAlgorithm::Rsa2048Sha256, rsa_blob(&of(20_000), &e)),
            (
                KexAlgorithm::Rsa2048Sha256,
                rsa_blob(&(of(2048) + 1_u8), &e),
            ),
            (KexAlgorithm::Rsa2048Sha256, rsa_blob(&of(2048), &of(1))),
            (
                KexAlgorithm::Rsa2048Sha256,
                ssh_testkit::raw::key_blob(&[1; 32]),
            ),
            (KexAlgorithm::Rsa2048Sha256, Vec::new()),
        ] {
            let mut bench = Bench::<Client>::speaking(kex, true).up_to(Stage::Method);
            let mut payload = vec![30];
            string(&mut payload, &bench.raw.host_key_blob());
            string(&mut payload, &blob);
            bench.send(&payload);
            bench.refused(&blob.len(), is(KeyExchangeError::TransientKey), KEX_FAILED);
        }
    });
}

/// Secrets that were encrypted to nothing, or are of another length: one error for all.
#[test]
fn k1_secrets_that_a_server_cannot_read() {
    in_every_way(|| {
        let kex = KexAlgorithm::Rsa2048Sha256;
        for secret in [
            vec![],
            vec![0; 256],
            vec![1; 256],
            vec![0xff; 256],
            vec![9; 255],
            vec![9; 257],
        ] {
            let mut bench = Bench::<Server>::speaking(kex, true).up_to(Stage::Method);
            let mut payload = vec![31];
            let length = u32::try_from(secret.len()).expect("short");
            payload.extend_from_slice(&length.to_be_bytes());
            payload.extend_from_slice(&secret);
            bench.send(&payload);
            bench.refused(&secret.len(), is(KeyExchangeError::Secret), KEX_FAILED);
        }
    });
}
