//! Nothing is allocated on a peer's word: rows P1, P13, V5 and N1, counted by the allocator.

use ssh_proto::algorithm::MacAlgorithm;
use ssh_proto::fuzzing;
use ssh_proto::{Client, Instant, RecvBuf, Server, Wants};
use ssh_testkit::alloc::{self, TrackingAllocator, Usage};
use ssh_testkit::raw::{Bench, Duel, Stage, Subject};

#[global_allocator]
static ALLOCATOR: TrackingAllocator = TrackingAllocator;

/// What a connection may take to say goodbye and report the end.
const GOODBYE: u64 = 4 * 1024;

/// Lets `peer` work on what is in `rx`, drops its events, and counts.
fn work<P: Subject>(peer: &mut P, rx: &mut RecvBuf) -> Usage {
    let ((), usage) = alloc::measure(|| {
        loop {
            while peer.poll_event(&mut rx.batch(), Instant::EPOCH).is_some() {}
            match peer.wants() {
                Wants::Batch => {}
                Wants::Bytes(need) => {
                    // As a driver does before it reads.
                    let _ = rx.spare(need);
                    return;
                }
                _ => return,
            }
        }
    });
    usage
}

/// Sends these bytes, which are in `bench.raw`, and counts what they cost.
fn cost<P: Subject>(bench: &mut Bench<P>) -> Usage {
    let bytes = bench.raw.take_output();
    let mut rx = RecvBuf::new();
    rx.push(&bytes);
    work(&mut bench.peer, &mut rx)
}

#[test]
fn the_allocator_counts() {
    let (_, usage) = alloc::measure(|| vec![1_u8; 10_000]);
    assert_eq!(usage.bytes, 10_000);
}

fn lengths() -> impl Iterator<Item = u32> {
    [256 * 1024 + 1, (1 << 31) - 1, 1 << 31]
        .into_iter()
        .chain(u32::MAX - 4..=u32::MAX)
}

fn in_clear<P: Subject>() {
    for length in lengths() {
        for stage in [Stage::KexInit, Stage::Method, Stage::NewKeys] {
            let mut bench = Bench::<P>::at(stage, true);
            bench.raw.bytes(&length.to_be_bytes());
            bench.raw.bytes(&[4; 12]);
            let usage = cost(&mut bench);
            assert!(bench.peer.has_ended(), "{stage:?} {length}");
            assert!(usage.bytes <= GOODBYE, "{stage:?} {length}: {usage:?}");
        }
    }
}

fn encrypted<V: Subject, A: Subject>() {
    for (cipher, mac) in fuzzing::few_modes() {
        let mac = mac.unwrap_or(MacAlgorithm::HmacSha256);
        for length in lengths() {
            let (mut one, mut other) = (V::config(), A::config());
            for algorithms in [
                &mut V::transport(&mut one).algorithms,
                &mut A::transport(&mut other).algorithms,
            ] {
                algorithms.ciphers_client_to_server = vec![cipher];
                algorithms.ciphers_server_to_client = vec![cipher];
                algorithms.macs_client_to_server = vec![mac];
                algorithms.macs_server_to_client = vec![mac];
            }
            let mut duel = Duel::<V, A>::new(one, other);
            duel.settle();
            let mut packet = length.to_be_bytes().to_vec();
            packet.resize(64, 4);
            duel.attacker.peer.fuzz_seal(&packet).expect("sealed");
            let bytes = duel.attacker.output();
            let mut rx = RecvBuf::new();
            rx.push(&bytes);
            let usage = work(&mut duel.victim.peer, &mut rx);
            let what = format!("{cipher} {mac} {length}: {usage:?}");
            // Encrypt-and-MAC says nothing before as much has come as a packet takes, and
            // throws it away in pieces of what the buffer has anyway.
            let waits = !cipher.is_aead() && !mac.is_etm();
            assert_eq!(duel.victim.peer.has_ended(), !waits, "{what}");
            let budget = if waits { 40 * 1024 } else { GOODBYE };
            assert!(usage.bytes <= budget, "{what}");
        }
    }
}

#[test]
fn p1_not_one_byte_for_the_body_of_a_packet_that_is_too_long() {
    in_clear::<Client>();
    in_clear::<Server>();
    encrypted::<Client, Server>();
    encrypted::<Server, Client>();
}

/// Payloads that a connection may be sent, each with a length in it.
const PAYLOADS: &[&[u8]] = &[
    b"\x02\xff\xff\xff\xff",
    b"\x04\x01\xff\xff\xff\xff",
    b"\x07\xff\xff\xff\xff",
    b"\x07\0\0\0\x01\xff\xff\xff\xff",
    b"\x50\xff\xff\xff\xff",
    b"\x50\0\0\0\x0dtcpip-forward\x01\xff\xff\xff\xff",
    b"\x5a\xff\xff\xff\xff",
    b"\x5a\0\0\0\x0cdirect-tcpip\0\0\0\0\0\0\0\0\0\0\0\x01\xff\xff\xff\xff",
    b"\x5a\0\0\0\x03x11\0\0\0\0\0\0\0\0\0\0\0\x01\xff\xff\xff\xff",
    b"\x5e\0\0\0\0\xff\xff\xff\xff",
    b"\x5f\0\0\0\0\0\0\0\x01\xff\xff\xff\xff",
    b"\x62\0\0\0\0\xff\xff\xff\xff",
    b"\xc0\xff\xff\xff\xff",
    b"\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff",
];

fn fields<P: Subject>() {
    for payload in PAYLOADS {
        for length in [u32::MAX, u32::MAX - 3, 1 << 31, 1 << 20] {
            let mut bench = Bench::<P>::at(Stage::Connected, true);
            let mut payload = payload.to_vec();
            let at = payload.len() - 4;
            payload[at..].copy_from_slice(&length.to_be_bytes());
            bench.raw.payload(&payload);
            let usage = cost(&mut bench);
            assert!(bench.peer.has_ended(), "{payload:?}");
            // A KEXINIT is answered with ours before it is looked at.
            let more = if payload[0] == 20 { 8 * 1024 } else { 0 };
            assert!(usage.bytes <= GOODBYE + more, "{payload:?}: {usage:?}");
        }
    }
}

fn handshake<P: Subject>() {
    let mut payloads: Vec<(Stage, Vec<u8>)> = Vec::new();
    let server = P::ROLE == ssh_proto::Role::Server;
    let method = if server { 30 } else { 31 };
    payloads.push((Stage::Method, vec![method]));
    payloads.push((Stage::Service, vec![if server { 5 } else { 6 }]));
    if server {
        payloads.push((Stage::Auth, vec![50]));
        payloads.push((Stage::Auth, b"\x32\0\0\0\x01a".to_vec()));
        let request = b"\x32\0\0\0\x01a\0\0\0\x0essh-connection";
        payloads.push((Stage::Auth, request.to_vec()));
        let password = [&request[..], b"\0\0\0\x08password\0"].concat();
        payloads.push((Stage::Auth, password));
        let key = [
            &request[..],
            b"\0\0\0\x09publickey\x01\0\0\0\x0bssh-ed25519",
        ]
        .concat();
        payloads.push((Stage::Auth, key));
    } else {
        payloads.push((Stage::Auth, vec![51]));
        payloads.push((Stage::Auth, vec![53]));
    }
    for (stage, head) in payloads {
        for length in [u32::MAX, u32::MAX - 3, 1 << 31, 1 << 20] {
            let mut bench = Bench::<P>::at(stage, true);
            bench
                .raw
                .payload(&[&head[..], &length.to_be_bytes()].concat());
            let usage = cost(&mut bench);
            assert!(bench.peer.has_ended(), "{stage:?} {head:?}");
            assert!(usage.bytes <= GOODBYE, "{stage:?} {head:?}: {usage:?}");
        }
    }
}

#[test]
fn p13_nothing_is_allocated_for_a_length_in_a_message() {
    fields::<Client>();
    fields::<Server>();
    handshake::<Client>();
    handshake::<Server>();
}

fn drip<P: Subject>() {
    let mut bench = Bench::<P>::at(Stage::Line, true);
    let mut line = b"SSH-2.0-".to_vec();
    line.resize(254, b'x');
    let mut rx = RecvBuf::new();
    rx.push(&line[..1]);
    work(&mut bench.peer, &mut rx);
    for byte in &line[1..] {
        rx.push(std::slice::from_ref(byte));
        let usage = work(&mut bench.peer, &mut rx);
        assert_eq!(usage, Usage::default(), "memory is flat");
    }
    assert!(!bench.peer.has_ended());
}

#[test]
fn v5_a_line_that_comes_a_byte_at_a_time_takes_no_memory() {
    drip::<Client>();
    drip::<Server>();
}

/// What a list costs in memory is its length, a few times over: once for the hash, once for the
/// report.
fn lists<P: Subject>() {
    for slot in 0..8 {
        for names in [1_000, 10_000] {
            let mut bench = Bench::<P>::at(Stage::Connected, true);
            let list = "a,".repeat(names) + "x";
            bench.raw.offer.lists[slot] += ",";
            bench.raw.offer.lists[slot] += &list;
            bench.raw.kexinit();
            let usage = cost(&mut bench);
            let budget = 16 * 1024 + 3 * list.len() as u64;
            assert!(usage.bytes <= budget, "{slot} {names}: {usage:?}");
        }
    }
}

#[test]
fn n1_name_lists_cost_no_more_memory_than_their_length() {
    lists::<Client>();
    lists::<Server>();
}
