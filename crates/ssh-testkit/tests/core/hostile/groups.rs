//! Diffie-Hellman modulo a prime: public values, numbers and groups that are wrong, and requests for
//! groups that cannot be. Rows K1, K2 and K4.
//!
//! Whatever is refused is refused before anything is computed from it: the powers are counted.

use std::collections::BTreeSet;

use num_bigint::BigUint;
use ssh_keys::moduli::Moduli;
use ssh_proto::algorithm::KexAlgorithm;
use ssh_proto::error::{Error, KeyExchangeError};
use ssh_proto::fuzzing::powers;
use ssh_proto::message::{DisconnectReason, KexDhGexGroup, Wire};
use ssh_proto::{Client, Role, Server};
use ssh_testkit::raw::{Bench, Group, Stage, Subject, in_every_way, with_seed};

use super::common::PROTOCOL;

const KEX_FAILED: DisconnectReason = DisconnectReason::KEY_EXCHANGE_FAILED;
const FIXED: KexAlgorithm = KexAlgorithm::DiffieHellmanGroup14Sha256;
const CHOSEN: KexAlgorithm = KexAlgorithm::DiffieHellmanGroupExchangeSha256;

both_roles! {
    k1_public_values_out_of_range_or_trivial => public_values;
    k2_numbers_that_are_no_numbers_of_the_wire => numbers;
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).expect("short").to_be_bytes());
    out.extend_from_slice(bytes);
}

/// The contents of an mpint.
fn wire(number: &BigUint) -> Vec<u8> {
    let mut bytes = number.to_bytes_be();
    if *number == BigUint::ZERO {
        bytes.clear();
    }
    if bytes.first().is_some_and(|first| *first >= 0x80) {
        bytes.insert(0, 0);
    }
    bytes
}

/// A subject that waits for its peer's public value.
fn waiting<P: Subject>(kex: KexAlgorithm) -> Bench<P> {
    let mut bench = Bench::<P>::speaking(kex, true).up_to(Stage::Method);
    if kex == CHOSEN {
        // REQUEST or GROUP.
        bench.proper(Stage::Method);
        bench.turn();
    }
    bench.lives(&kex);
    bench
}

/// The message with the peer's public value, whatever that is.
fn with_value<P: Subject>(bench: &Bench<P>, kex: KexAlgorithm, value: &[u8]) -> Vec<u8> {
    let first = if kex == CHOSEN { 32 } else { 30 };
    let mut payload = Vec::new();
    if P::ROLE == Role::Server {
        payload.push(first);
        string(&mut payload, value);
    } else {
        payload.push(first + 1);
        string(&mut payload, &bench.raw.host_key_blob());
        string(&mut payload, value);
        string(&mut payload, b"signature");
    }
    payload
}

/// Sends `payload` and sees it refused without any computation.
#[track_caller]
fn refused<P: Subject>(
    mut bench: Bench<P>,
    payload: &[u8],
    what: &dyn std::fmt::Debug,
    error: impl Fn(&Error) -> bool,
    reason: DisconnectReason,
) {
    let (before, got) = (powers(), bench.raw.got.len());
    bench.send(payload);
    assert_eq!(powers(), before, "{what:?}");
    bench.refused(what, error, reason);
    assert_eq!(bench.raw.numbers(got), [1], "{what:?}");
    assert!(!bench.seen.log.has("HostKey"));
}

fn is(expected: KeyExchangeError) -> impl Fn(&Error) -> bool {
    move |error| matches!(error, Error::KeyExchange(e) if *e == expected)
}

fn is_malformed(error: &Error) -> bool {
    matches!(error, Error::Malformed(_))
}

fn public_values<P: Subject>() {
    let p = Group::group14().p;
    let small = BigUint::from(1_u8);
    let values = [
        BigUint::ZERO,
        small.clone(),
        BigUint::from(2_u8),
        BigUint::from(4_u8),
        BigUint::from(7_u8),
        &small << 2047_u32,
        &p - 1_u8,
        p.clone(),
        &p + 1_u8,
        &p * 2_u8,
        &p + (&small << 4096_u32),
    ];
    for kex in [FIXED, CHOSEN] {
        for value in &values {
            let bench = waiting::<P>(kex);
            let payload = with_value(&bench, kex, &wire(value));
            let public = is(KeyExchangeError::PublicValue);
            refused(bench, &payload, &(kex, value.bits()), public, KEX_FAILED);
        }
        // Those next to them are taken: the exchange goes on to the signature, or to NEWKEYS.
        for value in [BigUint::from(15_u8), &p - 2_u8] {
            let mut bench = waiting::<P>(kex);
            let payload = with_value(&bench, kex, &wire(&value));
            let before = powers();
            if P::ROLE == Role::Server {
                // Nobody could compute the keys of that.
                bench.reads = false;
                bench.send(&payload);
                bench.lives(&value);
                assert_eq!(powers(), before + 2);
            } else {
                bench.send(&payload);
                let signature = is(KeyExchangeError::Signature);
                bench.refused(&value, signature, KEX_FAILED);
                assert_eq!(powers(), before + 1);
            }
        }
    }
}

/// Contents of an mpint that are none.
fn bad_numbers() -> [Vec<u8>; 6] {
    [
        // Negative.
        vec![0x80],
        [&[0xff, 0x7f][..], &[1; 200]].concat(),
        // Padded.
        vec![0],
        [&[0][..], &[0x7f; 255]].concat(),
        vec![0xff, 0xff],
        // Longer than any that is used.
        vec![0x7f; 2049],
    ]
}

fn numbers<P: Subject>() {
    for kex in [FIXED, CHOSEN] {
        for number in bad_numbers() {
            let bench = waiting::<P>(kex);
            let payload = with_value(&bench, kex, &number);
            refused(bench, &payload, &(kex, &number), is_malformed, PROTOCOL);
        }
        // Cut short, and with something behind.
        let bench = waiting::<P>(kex);
        let mut payload = with_value(&bench, kex, &[0x7f; 256]);
        payload.push(0);
        refused(bench, &payload, &kex, is_malformed, PROTOCOL);
        let bench = waiting::<P>(kex);
        refused(bench, &payload[..100], &kex, is_malformed, PROTOCOL);
    }
}

/// A client that has asked for a group.
fn asking() -> Bench<Client> {
    Bench::speaking(CHOSEN, true).up_to(Stage::Method)
}

fn group(p: &[u8], g: &[u8]) -> Vec<u8> {
    let mut payload = vec![31];
    string(&mut payload, p);
    string(&mut payload, g);
    payload
}

#[test]
fn k4_groups_that_a_client_does_not_take() {
    in_every_way(|| {
        let one = BigUint::from(1_u8);
        let of = |bits: u32| (&one << (bits - 1)) + 1_u8;
        let p = Group::group14().p;
        let two = BigUint::from(2_u8);
        let mut groups: Vec<(BigUint, BigUint)> = [1, 2, 512, 1024, 1536, 2047, 8193, 16384]
            .map(|bits| (of(bits), two.clone()))
            .into();
        groups.push((BigUint::ZERO, two.clone()));
        groups.push((&p - 1_u8, two));
        for g in [
            BigUint::ZERO,
            one.clone(),
            &p - 1_u8,
            p.clone(),
            &p + 1_u8,
            &p * 2_u8,
        ] {
            groups.push((p.clone(), g));
        }
        for (p, g) in &groups {
            let payload = group(&wire(p), &wire(g));
            let what = (p.bits(), g.bits());
            refused(
                asking(),
                &payload,
                &what,
                is(KeyExchangeError::Group),
                KEX_FAILED,
            );
        }
        for number in bad_numbers() {
            let payload = group(&number, &[2]);
            refused(asking(), &payload, &"p", is_malformed, PROTOCOL);
            let payload = group(&wire(&p), &number);
            refused(asking(), &payload, &"g", is_malformed, PROTOCOL);
        }
        // The smallest and the largest of those that were asked for.
        for bits in [2048, 8192] {
            let mut bench = asking();
            bench.send(&group(&wire(&of(bits)), &[5]));
            bench.lives(&bits);
            assert_eq!(bench.raw.numbers(0).last(), Some(&32), "INIT");
        }
    });
}

/// What is asked for is what the settings say, and so is what is taken.
#[test]
fn k4_the_sizes_that_a_client_takes_are_its_own_to_say() {
    in_every_way(|| {
        let one = BigUint::from(1_u8);
        for (min, preferred, max) in [(1024, 1024, 8192), (4096, 6144, 6144)] {
            let mut config = Client::speaking(CHOSEN);
            let sizes = &mut config.transport.group_exchange;
            (sizes.min, sizes.preferred, sizes.max) = (min, preferred, max);
            for (bits, taken) in [(min - 1, false), (min, true), (max, true), (max + 1, false)] {
                let bench = Bench::<Client>::speaking_with(config.clone(), CHOSEN, false);
                let mut bench = bench.up_to(Stage::Method);
                let mut request = vec![34];
                request.extend([min, preferred, max].iter().flat_map(|n| n.to_be_bytes()));
                assert_eq!(bench.raw.got.last(), Some(&request));
                let p = (&one << (bits - 1)) + 1_u8;
                bench.send(&group(&wire(&p), &[2]));
                if taken {
                    bench.lives(&bits);
                } else {
                    bench.refused(&bits, is(KeyExchangeError::Group), KEX_FAILED);
                }
            }
        }
    });
}

/// The size of the group that a server answers with.
fn answered(bench: &Bench<Server>) -> usize {
    let group = KexDhGexGroup::decode(bench.raw.got.last().expect("GROUP"));
    group.expect("GROUP").p.bits()
}

#[test]
fn k4_requests_for_groups_are_answered_within_bounds_or_not_at_all() {
    const MOST: u32 = u32::MAX;
    in_every_way(|| {
        for (asks, answer) in [
            ([2048, 3072, 8192], Some(3072)),
            ([1024, 4096, 8192], Some(4096)),
            ([2048, 2049, 8192], Some(3072)),
            ([2048, 5000, 8192], Some(6144)),
            ([2048, 8192, 8192], Some(8192)),
            // The largest below, where there is none above.
            ([2048, 7000, 8000], Some(6144)),
            ([3072, 3072, 3072], Some(3072)),
            ([0, 0, 8192], Some(2048)),
            ([0, 0, MOST], Some(2048)),
            ([0, MOST, MOST], Some(8192)),
            ([1024, 1024, 2048], Some(2048)),
            // What makes no sense.
            ([8192, 3072, 2048], None),
            ([3072, 2048, 8192], None),
            ([2048, 8192, 3072], None),
            ([2048, 0, 8192], None),
            // What is not given.
            ([0, 0, 0], None),
            ([1024, 1024, 1024], None),
            ([1024, 1536, 2047], None),
            ([2049, 2500, 3071], None),
            ([8193, 8193, MOST], None),
            ([MOST, MOST, MOST], None),
        ] {
            let mut bench = Bench::<Server>::speaking(CHOSEN, true).up_to(Stage::Method);
            bench.raw.asks = asks;
            let before = powers();
            bench.proper(Stage::Method);
            bench.turn();
            assert_eq!(powers(), before, "nothing is computed yet");
            match answer {
                Some(bits) => {
                    bench.lives(&asks);
                    assert_eq!(answered(&bench), bits, "{asks:?}");
                }
                None => bench.refused(&asks, is(KeyExchangeError::GroupRequest), KEX_FAILED),
            }
        }
    });
}

#[test]
fn k4_a_server_gives_what_its_settings_allow() {
    in_every_way(|| {
        let mut config = Server::speaking(CHOSEN);
        let sizes = &mut config.transport.group_exchange;
        (sizes.min, sizes.preferred, sizes.max) = (3072, 3072, 4096);
        for (asks, answer) in [
            ([2048, 2048, 8192], Some(3072)),
            ([2048, 8192, 8192], Some(4096)),
            ([2048, 2048, 2048], None),
            ([6144, 6144, 8192], None),
        ] {
            let bench = Bench::<Server>::speaking_with(config.clone(), CHOSEN, true);
            let mut bench = bench.up_to(Stage::Method);
            bench.raw.asks = asks;
            bench.proper(Stage::Method);
            bench.turn();
            match answer {
                Some(bits) => assert_eq!(answered(&bench), bits, "{asks:?}"),
                None => bench.refused(&asks, is(KeyExchangeError::GroupRequest), KEX_FAILED),
            }
        }
    });
}

/// Groups of OpenSSH's own file, and all that are of a size have their turn.
#[test]
fn k4_a_server_gives_groups_of_its_own_as_well() {
    let file = include_bytes!("../../../../../testdata/moduli/some");
    let groups = Moduli::parse(file).into_groups();
    in_every_way(|| {
        let mut config = Server::speaking(CHOSEN);
        config.transport.group_exchange.groups = groups.clone();
        let mut seen = BTreeSet::new();
        for seed in 0..20 {
            let config = config.clone();
            let bench = with_seed(seed, || {
                let mut bench = Bench::<Server>::speaking_with(config, CHOSEN, true);
                bench.raw.asks = [2048, 2048, 2500];
                bench.up_to(Stage::Connected)
            });
            assert!(bench.peer.is_authenticated(), "{seed}");
            let sent = bench.raw.got.iter().find(|payload| payload[0] == 31);
            seen.insert(sent.expect("GROUP").clone());
        }
        assert_eq!(seen.len(), 3, "two of the file and the one that has a name");
    });
}
