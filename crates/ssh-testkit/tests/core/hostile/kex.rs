//! Public values, host keys and signatures that are wrong: rows K, H and N3.

use ssh_proto::algorithm::KexAlgorithm;
use ssh_proto::client::ClientEvent;
use ssh_proto::error::{Error, HostKeyError, KeyExchangeError, LimitExceeded, PeerMisbehaved};
use ssh_proto::message::DisconnectReason;
use ssh_proto::{Client, Role, Server, Wants};
use ssh_testkit::raw::{Bench, Reply, Stage, Strings, Subject, in_every_way};

const KEX_FAILED: DisconnectReason = DisconnectReason::KEY_EXCHANGE_FAILED;
const NOT_VERIFIABLE: DisconnectReason = DisconnectReason::HOST_KEY_NOT_VERIFIABLE;

both_roles! {
    k5_points_of_low_order_and_values_of_other_lengths => k5;
    k6_what_is_no_point_of_the_curve => k6;
    k7_halves_of_a_hybrid_value_that_are_wrong => k7;
    n3_a_right_guess_is_used_and_nothing_is_dropped => right_guess;
    n1_lists_as_long_as_a_packet => long_lists;
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).expect("short").to_be_bytes());
    out.extend_from_slice(bytes);
}

fn strings(all: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for one in all {
        string(&mut out, one);
    }
    out
}

fn is_public_value(error: &Error) -> bool {
    matches!(error, Error::KeyExchange(KeyExchangeError::PublicValue))
}

/// Sends this public value as the method's message, signed by nobody.
fn public_value<P: Subject>(kex: KexAlgorithm, value: &[u8]) {
    let mut bench = Bench::<P>::speaking(kex, false).up_to(Stage::KexInit);
    bench.proper(Stage::KexInit);
    bench.turn();
    let mut payload = Vec::new();
    if P::ROLE == Role::Server {
        payload.push(30);
        string(&mut payload, value);
    } else {
        payload.push(31);
        string(&mut payload, &bench.raw.host_key_blob());
        string(&mut payload, value);
        string(&mut payload, b"signature");
    }
    let got = bench.raw.got.len();
    bench.send(&payload);
    bench.refused(&(kex, value.len(), value), is_public_value, KEX_FAILED);
    assert_eq!(bench.raw.numbers(got), [1]);
    assert!(!bench.seen.log.has("HostKey"));
}

/// The points whose order divides 8, and other encodings of them: RFC 7748 section 6.1 has them
/// checked for by their all-zero result.
fn low_order() -> Vec<[u8; 32]> {
    let p = |last: u8| {
        let mut point = [0xff; 32];
        (point[0], point[31]) = (last, 0x7f);
        point
    };
    let small = |first: u8| {
        let mut point = [0; 32];
        point[0] = first;
        point
    };
    let hex = |text: &str| {
        let mut point = [0; 32];
        for (place, digits) in point.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).expect("digits");
            *place = u8::from_str_radix(digits, 16).expect("digits");
        }
        point
    };
    let order8 = [
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ];
    // 0, 1, p - 1, p, p + 1, and two of order 8.
    let mut points = vec![small(0), small(1), p(0xec), p(0xed), p(0xee)];
    points.extend(order8.map(hex));
    let mut high = points.clone();
    for point in &mut high {
        point[31] |= 0x80;
    }
    points.extend(high);
    points
}

/// The same for Curve448, which has five: 0, 1 and p - 1, and p and p + 1 for 0 and 1.
fn low_order_448() -> Vec<[u8; 56]> {
    let near_p = |low: u8| {
        let mut point = [0xff; 56];
        (point[0], point[28]) = (low, 0xfe);
        point
    };
    let mut above = [0; 56];
    above[28..].fill(0xff);
    let mut one = [0; 56];
    one[0] = 1;
    vec![[0; 56], one, near_p(0xfe), near_p(0xff), above]
}

fn k5<P: Subject>() {
    for kex in [
        KexAlgorithm::Curve25519Sha256,
        KexAlgorithm::Curve25519Sha256LibSsh,
    ] {
        for point in low_order() {
            public_value::<P>(kex, &point);
        }
        for length in [0, 1, 31, 33, 64, 1000] {
            public_value::<P>(kex, &vec![9; length]);
        }
    }
    let kex = KexAlgorithm::Curve448Sha512;
    for point in low_order_448() {
        public_value::<P>(kex, &point);
    }
    for length in [0, 1, 32, 55, 57, 112, 1000] {
        public_value::<P>(kex, &vec![9; length]);
    }
}

/// A point of the curve of this method.
fn point(kex: KexAlgorithm) -> Vec<u8> {
    let curve = Strings::of(kex.name());
    curve.public(&vec![1; curve.scalar_len()])
}

const NIST: [KexAlgorithm; 3] = [
    KexAlgorithm::EcdhSha2Nistp256,
    KexAlgorithm::EcdhSha2Nistp384,
    KexAlgorithm::EcdhSha2Nistp521,
];

/// What is no point of the curve of this method, or is not written as one.
fn no_points(kex: KexAlgorithm) -> Vec<Vec<u8>> {
    let point = point(kex);
    let (width, with) = (point.len() / 2, |at: usize, byte: u8| {
        let mut other = point.clone();
        other[at] = byte;
        other
    });
    let (x, y) = point[1..].split_at(width);
    let mut all = vec![
        // Off the curve.
        with(width, !point[width]),
        with(2 * width, !point[2 * width]),
        [&[4], y, x].concat(),
        [&[4][..], &vec![0; 2 * width]].concat(),
        // At infinity.
        vec![0],
        vec![0; point.len()],
        // Not reduced.
        [&[4][..], &vec![0xff; 2 * width]].concat(),
        // Of other lengths.
        Vec::new(),
        vec![4],
        point[..point.len() - 1].to_vec(),
        point[1..].to_vec(),
        [&point[..], &[0]].concat(),
    ];
    // Compressed, hybrid, and no tag at all.
    for tag in [2, 3, 5, 6, 7, 0xff] {
        all.push([&[tag], x].concat());
        all.push(with(0, tag));
    }
    // Of other curves.
    let others = NIST.into_iter().map(self::point);
    all.extend(others.filter(|other| other.len() != point.len()));
    all.push(vec![9; 32]);
    all
}

fn k6<P: Subject>() {
    for kex in NIST {
        for value in no_points(kex) {
            public_value::<P>(kex, &value);
        }
    }
}

fn k7<P: Subject>() {
    for (kex, key, ciphertext) in [
        (KexAlgorithm::Mlkem768X25519Sha256, 1184, 1088),
        (KexAlgorithm::Mlkem768Nistp256Sha256, 1184, 1088),
        (KexAlgorithm::Mlkem1024Nistp384Sha384, 1568, 1568),
        (KexAlgorithm::Sntrup761X25519Sha512, 1158, 1039),
    ] {
        let is_server = P::ROLE == Role::Server;
        let first = if is_server { key } else { ciphertext };
        let good = point(kex);
        let len = good.len();
        for length in [
            0,
            1,
            len,
            first,
            first + len - 1,
            first + len + 1,
            2 * first + len,
        ] {
            public_value::<P>(kex, &vec![9; length]);
        }
        for shift in [first - 1, first + 1] {
            public_value::<P>(kex, &[&vec![0; shift][..], &good].concat());
        }
        let wrong = match kex {
            KexAlgorithm::Mlkem768Nistp256Sha256 => no_points(NIST[0]),
            KexAlgorithm::Mlkem1024Nistp384Sha384 => no_points(NIST[1]),
            _ => low_order().iter().map(|point| point.to_vec()).collect(),
        };
        for point in wrong {
            public_value::<P>(kex, &[&vec![0; first][..], &point].concat());
        }
        // Of ML-KEM coefficients that are not reduced, the first, one in the middle and the last.
        // What the other one is sent is always a key.
        if is_server && kex != KexAlgorithm::Sntrup761X25519Sha512 {
            for at in [0, 576, key - 35] {
                let mut value = vec![0; key];
                value[at..at + 3].fill(0xff);
                public_value::<P>(kex, &[&value[..], &good].concat());
            }
        }
    }
}

fn right_guess<P: Subject>() {
    for rekey in [false, true] {
        for (slot, tail) in [(0, ",ecdh-sha2-nistp256"), (1, ",rsa-sha2-512")] {
            let mut config = P::config();
            let algorithms = &mut P::transport(&mut config).algorithms;
            algorithms.kex = vec![KexAlgorithm::Curve25519Sha256];
            let before = if rekey {
                Stage::Connected
            } else {
                Stage::KexInit
            };
            let mut bench = Bench::<P>::with(config, false).up_to(before);
            bench.raw.offer.lists[slot] += tail;
            bench.raw.offer.follows = true;
            bench.proper(before);
            if P::ROLE == Role::Client {
                // What a server could guess depends on what the client has not sent yet.
                bench.turn();
            }
            bench.proper(Stage::Method);
            bench.turn();
            bench.lives(&(rekey, slot));
            bench.proper(Stage::NewKeys);
            bench.turn();
            bench.lives(&(rekey, slot));
            let log = bench.seen.log.0.iter();
            let keys = log.filter(|line| line.contains("KeysExchanged")).count();
            assert_eq!(keys, 1 + usize::from(rekey), "{rekey} {slot}");
        }
    }
}

/// A message of key exchange may be as long as a packet before authentication, which is a great many
/// names.
fn long_lists<P: Subject>() {
    let commas = ",".repeat(34_000);
    let names = "a,".repeat(17_000);
    for slot in [0, 1, 2, 9] {
        let mut bench = Bench::<P>::at(Stage::Connected, true);
        bench.raw.offer.lists[slot] = ",".repeat(250_000);
        bench.proper(Stage::Connected);
        bench.turn();
        let too_long = |e: &Error| matches!(e, Error::Limit(LimitExceeded::Packet(_)));
        bench.refused(&slot, too_long, DisconnectReason::PROTOCOL_ERROR);

        let mut bench = Bench::<P>::at(Stage::Connected, true);
        bench.raw.offer.lists[slot].clone_from(&commas);
        bench.proper(Stage::Connected);
        bench.turn();
        let malformed = |e: &Error| matches!(e, Error::Malformed(_));
        bench.refused(&slot, malformed, DisconnectReason::PROTOCOL_ERROR);

        let mut bench = Bench::<P>::at(Stage::Connected, true);
        bench.raw.offer.lists[slot].insert_str(0, &names);
        for stage in [Stage::Connected, Stage::RekeyMethod, Stage::RekeyNewKeys] {
            bench.proper(stage);
            bench.turn();
        }
        bench.lives(&slot);
    }
}

/// A client whose server answers with something else, in the first exchange and in a rekey: it
/// gives up with this error, asks nobody whether the key is trusted, and uses no new keys.
#[track_caller]
fn reply(
    host_key_algorithm: Option<&str>,
    error: KeyExchangeError,
    edit: impl Fn(&mut Reply) + Clone + 'static,
) {
    for stage in [Stage::KexInit, Stage::Connected] {
        let mut bench = Bench::<Client>::at(stage, true);
        if let Some(name) = host_key_algorithm {
            bench.raw.offer.lists[1] = name.to_owned();
        }
        bench.proper(stage);
        bench.turn();
        let (events, got) = (bench.seen.events, bench.raw.got.len());
        bench.raw.edit = Some(Box::new(edit.clone()));
        bench.proper(Stage::Method);
        bench.turn();
        let same = |e: &Error| matches!(e, Error::KeyExchange(e) if *e == error);
        bench.refused(&stage, same, KEX_FAILED);
        assert_eq!(bench.seen.events, events + 1, "only the end");
        assert_eq!(bench.raw.numbers(got), [1], "no NEWKEYS");
    }
}

/// An RSA key that could be one.
fn rsa_key(n: &[u8]) -> Vec<u8> {
    strings(&[b"ssh-rsa", &[1, 0, 1], n])
}

fn modulus(bytes: usize) -> Vec<u8> {
    let mut n = vec![0xff; bytes + 1];
    n[0] = 0;
    n
}

#[test]
fn h2_h5_h6_whatever_is_wrong_with_a_reply_it_fails_closed() {
    use KeyExchangeError::{HostKey, PublicValue, Signature};
    in_every_way(|| {
        // Keys of every other length, and keys that are none.
        for length in (0..=65).filter(|n| *n != 32) {
            reply(None, HostKey, move |r| {
                r.host_key = strings(&[b"ssh-ed25519", &vec![1; length]]);
            });
        }
        reply(None, HostKey, |r| r.host_key.clear());
        reply(None, HostKey, |r| r.host_key.push(0));
        reply(None, HostKey, |r| r.host_key.truncate(20));
        reply(None, HostKey, |r| r.host_key = strings(&[b"x", b"y"]));
        // Another type than was agreed.
        reply(None, HostKey, |r| r.host_key = rsa_key(&modulus(256)));
        // Somebody else's key.
        reply(None, Signature, |r| {
            r.host_key = ssh_testkit::raw::key_blob(&[5; 32]);
        });
        reply(None, PublicValue, |r| r.server_public.fill(0));
        reply(None, PublicValue, |r| r.server_public.truncate(31));
        reply(None, Signature, |r| r.server_public[0] ^= 1);
        // Signatures of every other length, empty ones, and with something behind.
        for length in (0..=65).filter(|n| *n != 64) {
            reply(None, Signature, move |r| {
                r.signature = strings(&[b"ssh-ed25519", &vec![1; length]]);
            });
        }
        reply(None, Signature, |r| r.signature.clear());
        reply(None, Signature, |r| r.signature.push(0));
        for cut in 0..83 {
            reply(None, Signature, move |r| r.signature.truncate(cut));
        }
        reply(None, Signature, |r| {
            r.signature = strings(&[b"ssh-ed25519", &[0; 64]]);
        });
        // The same scalar and the group order more: S must be below it.
        reply(None, Signature, |r| {
            let order = [
                0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
                0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
            ];
            let at = r.signature.len() - 32;
            let mut carry = 0;
            for (place, more) in r.signature[at..].iter_mut().zip(order) {
                let sum = u16::from(*place) + more + carry;
                (*place, carry) = (sum as u8, sum >> 8);
            }
        });
        // With a key of small order anything would verify that is made for it.
        for y in [0, 1] {
            reply(None, Signature, move |r| {
                let mut point = [0; 32];
                point[0] = y;
                r.host_key = strings(&[b"ssh-ed25519", &point]);
                let mut signature = [0; 64];
                signature[0] = 1;
                r.signature = strings(&[b"ssh-ed25519", &signature]);
            });
        }
    });
}

#[test]
fn h4_a_signature_by_another_algorithm_than_was_agreed() {
    in_every_way(|| {
        for agreed in ["rsa-sha2-512", "rsa-sha2-256"] {
            for name in ["ssh-rsa", "rsa-sha2-256", "rsa-sha2-512", "ssh-ed25519", ""] {
                reply_once(agreed, move |r| {
                    r.host_key = rsa_key(&modulus(256));
                    r.signature = strings(&[name.as_bytes(), &[1; 256]]);
                });
            }
        }
    });
}

/// As [`reply`], in the first exchange, for a key of RSA.
fn reply_once(agreed: &str, edit: impl Fn(&mut Reply) + 'static) {
    reply_with(agreed, KeyExchangeError::Signature, edit);
}

fn reply_with(agreed: &str, error: KeyExchangeError, edit: impl Fn(&mut Reply) + 'static) {
    let mut bench = Bench::<Client>::at(Stage::KexInit, true);
    bench.raw.offer.lists[1] = agreed.to_owned();
    bench.proper(Stage::KexInit);
    bench.turn();
    bench.raw.edit = Some(Box::new(edit));
    bench.proper(Stage::Method);
    bench.turn();
    let same = |e: &Error| matches!(e, Error::KeyExchange(e) if *e == error);
    bench.refused(&agreed, same, KEX_FAILED);
    assert!(!bench.seen.log.has("HostKey"));
}

#[test]
fn k2_numbers_of_a_host_key_that_are_no_numbers() {
    in_every_way(|| {
        let negative = vec![0xff; 256];
        let padded = [&[0, 0][..], &[0xff; 256]].concat();
        for n in [negative, padded, modulus(2049), vec![], vec![0]] {
            reply_with("rsa-sha2-512", KeyExchangeError::HostKey, move |r| {
                r.host_key = rsa_key(&n);
            });
        }
        for e in [&[0x81][..], &[0, 3], &[1; 2049], &[2], &[]] {
            let e = e.to_vec();
            reply_with("rsa-sha2-512", KeyExchangeError::HostKey, move |r| {
                r.host_key = strings(&[b"ssh-rsa", &e, &modulus(256)]);
            });
        }
    });
}

/// A client that is to decide on a host key, and an application that does something else.
fn undecided() -> Bench<Client> {
    let mut bench = Bench::<Client>::at(Stage::Method, true);
    bench.proper(Stage::Method);
    bench.raw.newkeys();
    let mut asked = 0;
    // The decision is dropped.
    bench.turn_with(|_, event, _| {
        asked += usize::from(matches!(event, ClientEvent::HostKey { .. }))
    });
    assert_eq!(asked, 1);
    assert_eq!(bench.peer.wants(), Wants::Answer);
    bench
}

/// Nothing that is worth anything has left, not even NEWKEYS.
fn nothing_was_sent(bench: &Bench<Client>) {
    let numbers = bench.raw.numbers(0);
    assert!(
        numbers.iter().all(|n| matches!(n, 1 | 20 | 30)),
        "{numbers:?}"
    );
    assert!(!bench.peer.is_authenticated());
}

#[test]
fn h1_a_host_key_that_nobody_trusts_ends_the_connection() {
    in_every_way(|| {
        // Never answered: the deadline says no.
        let mut bench = undecided();
        for _ in 0..5 {
            if bench.seen.end.is_none() {
                assert!(bench.wait(), "a wait without an end");
                nothing_was_sent(&bench);
            }
        }
        let undecided_key = |e: &Error| matches!(e, Error::HostKey(HostKeyError::Undecided));
        bench.refused(&"never answered", undecided_key, NOT_VERIFIABLE);
        nothing_was_sent(&bench);

        // Distrusted.
        let mut bench = Bench::<Client>::at(Stage::Method, true);
        bench.proper(Stage::Method);
        bench.turn_with(|client, event, seen| match event {
            ClientEvent::HostKey { decision, .. } => client.distrust(decision).expect("mine"),
            other => client.agree(other, seen),
        });
        let distrusted = |e: &Error| matches!(e, Error::HostKey(HostKeyError::Distrusted));
        bench.refused(&"distrusted", distrusted, NOT_VERIFIABLE);
        nothing_was_sent(&bench);

        // The application leaves, as it does when its verifier panics.
        let mut bench = undecided();
        bench
            .peer
            .disconnect(DisconnectReason::HOST_KEY_NOT_VERIFIABLE, "");
        bench.turn();
        bench.closed(&"left");
        nothing_was_sent(&bench);

        // The server goes on as if nothing were missing: nobody reads it.
        let mut bench = undecided();
        bench.raw.payload(&[6]);
        bench.raw.payload(&[52]);
        bench.turn();
        bench.lives(&"waiting");
        assert_eq!(bench.peer.wants(), Wants::Answer);
        nothing_was_sent(&bench);
    });
}

#[test]
fn h11_any_other_host_key_in_a_rekey() {
    in_every_way(|| {
        for strict in [false, true] {
            let mut bench = Bench::<Client>::at(Stage::Connected, strict);
            let (events, got) = (bench.seen.events, bench.raw.got.len());
            bench.raw.host_key = [9; 32];
            bench.proper(Stage::Connected);
            bench.turn();
            bench.proper(Stage::RekeyMethod);
            bench.turn();
            let changed = |e: &Error| matches!(e, Error::HostKey(HostKeyError::ChangedInRekey));
            bench.refused(&strict, changed, NOT_VERIFIABLE);
            assert!(!bench.raw.numbers(got).contains(&21), "no NEWKEYS");
            // Negotiated, and the end: nobody is asked.
            assert_eq!(bench.seen.events, events + 2, "{:#?}", bench.seen.log);
        }
    });
}

#[test]
fn s10_messages_of_a_server_in_any_order_before_there_are_keys() {
    // SERVICE_ACCEPT, FAILURE, SUCCESS, BANNER, PK_OK or a question, EXT_INFO, NEWKEYS, a channel.
    let messages: [&[u8]; 8] = [
        b"\x06\0\0\0\x0cssh-userauth",
        b"\x33\0\0\0\x08password\0",
        b"\x34",
        b"\x35\0\0\0\x02hi\0\0\0\0",
        b"\x3c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x07\0\0\0\0",
        b"\x15",
        b"\x5a\0\0\0\x07session\0\0\0\0\0\0\0\0\0\0\0\x01",
    ];
    in_every_way(|| {
        for stage in [Stage::KexInit, Stage::Method] {
            for strict in [false, true] {
                for one in messages {
                    for two in messages {
                        let mut bench = Bench::<Client>::at(stage, strict);
                        for message in [one, two] {
                            bench.raw.payload(message);
                        }
                        bench.proper(stage);
                        bench.turn();
                        let number = one[0];
                        let unexpected = |e: &Error| {
                            let rule = PeerMisbehaved::UnexpectedMessage(number);
                            matches!(e, Error::PeerMisbehaved(broken) if *broken == rule)
                        };
                        let reason = DisconnectReason::PROTOCOL_ERROR;
                        bench.refused(&(stage, one, two), unexpected, reason);
                        nothing_was_sent(&bench);
                        assert!(!bench.seen.log.has("Authenticate"));
                    }
                }
            }
        }
    });
}

/// Compression is neither offered nor taken, so lengths and contents have nothing to do with one
/// another.
#[test]
fn z5_z4_no_compression_is_offered_or_agreed() {
    fn offers_none<P: Subject>() {
        for list in ["zlib", "zlib@openssh.com", "zlib,zlib@openssh.com"] {
            for slot in [6, 7] {
                let mut bench = Bench::<P>::at(Stage::KexInit, true);
                bench.raw.offer.lists[slot] = list.to_owned();
                bench.proper(Stage::KexInit);
                bench.turn();
                let none = |e: &Error| matches!(e, Error::Incompatible(_));
                bench.refused(&(slot, list), none, KEX_FAILED);
                let kexinit = &bench.raw.got[0];
                let text = String::from_utf8_lossy(kexinit);
                assert!(!text.contains("zlib"), "{text}");
            }
        }
    }
    in_every_way(|| {
        offers_none::<Client>();
        offers_none::<Server>();
    });
}
