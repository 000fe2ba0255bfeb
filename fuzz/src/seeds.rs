//! What the corpora begin with: messages of every kind, sessions as they were recorded, and the key
//! files of `testdata/`. `cargo run --example seeds` writes them.

use std::fs;
use std::path::Path;

use arbitrary::Unstructured;
use ssh_proto::fuzzing;
use ssh_proto::message::{Message, TABLE};
use ssh_proto::random::Random as _;
use ssh_proto::{Client, Server};

use crate::cells;
use crate::random::Fixed;
use crate::roles::Driven;
use crate::valid::Pair;

/// One file of a corpus: the target, a name, the contents.
pub type Seed = (&'static str, String, Vec<u8>);

/// All of them, always the same.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    of_messages(&mut seeds);
    of_connections(&mut seeds);
    of_files(&mut seeds);
    of_misuse(&mut seeds);
    of_applications(&mut seeds);
    of_streams(&mut seeds);
    crate::methods::seeds(&mut |name, bytes| seeds.push(("kex_methods", name, bytes)));
    cells::all(&mut seeds);
    for (name, bytes) in [
        ("plain", &b"SSH-2.0-OpenSSH_9.9\r\n"[..]),
        ("comment", b"SSH-2.0-x_1 some comment \n"),
        ("old", b"SSH-1.99-Cisco-1.25\n"),
        ("too_old", b"SSH-1.5-x\n"),
        ("lines", b"hello\r\n\r\nSS\nSSH-2.0-x\r\n\0\0\0\x0c"),
        ("nul", b"SSH-2.0-a\0b\r\n"),
    ] {
        seeds.push(("identification", name.into(), bytes.to_vec()));
    }
    seeds.push((
        "identification",
        "long".into(),
        [b"SSH-2.0-", &[b'x'; 300][..]].concat(),
    ));
    seeds.push(("wire", "each".into(), every_type()));
    of_packets(&mut seeds);
    seeds
}

/// Without keys and in every mode of a few: packets, packets of which one is altered, and what was
/// sealed by nobody.
fn of_packets(seeds: &mut Vec<Seed>) {
    let all = fuzzing::modes();
    let few = fuzzing::few_modes().into_iter();
    let numbers = few.filter_map(|mode| all.iter().position(|one| *one == mode));
    for mode in [0].into_iter().chain(numbers.map(|number| 1 + number)) {
        let [low, high] = (mode as u16).to_le_bytes();
        let sealed = |flip: u8| {
            // Not bytes of a peer's own, but two payloads, each with its length.
            let front = [low, high, 7, 2, 1, 2, 30];
            // The size of a read, a place, and what is altered there.
            let back = [40, 77, 0, flip];
            [&front[..], &[b'x'; 30], &[3, 9], &[b'y'; 9], &back].concat()
        };
        seeds.push(("packets", format!("mode_{mode:03}"), sealed(0)));
        seeds.push(("packets", format!("mode_{mode:03}_altered"), sealed(1)));
        let junk = [&[low, high, 7, 0][..], &[0x5a; 1100]].concat();
        seeds.push(("packets", format!("mode_{mode:03}_junk"), junk));
    }
}

fn every_type() -> Vec<u8> {
    let mut out = vec![0, 7, 1, 1, 2, 0, 0, 0, 9, 3, 0, 0, 0, 0, 0, 0, 0, 9];
    let blob = [&b"\0\0\0\x0bssh-ed25519\0\0\0\x20"[..], &[9; 32]].concat();
    let modes = b"\x01\0\0\0\x03\x35\0\0\0\x01\0";
    for (kind, value) in [
        (4, &b"text"[..]),
        (5, b"\0\x80\x01"),
        (6, b"one,two@example.com"),
        (7, modes),
        (8, &blob),
        (9, b"caf\xc3\xa9 \x1b\xff\\"),
    ] {
        out.push(kind);
        out.extend_from_slice(&(value.len() as u32).to_be_bytes());
        out.extend_from_slice(value);
    }
    out
}

/// A payload of every row of the table, with the bytes that `Arbitrary` makes it of.
fn payloads() -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let mut random = Fixed(1);
    let mut found = Vec::new();
    for (row, info) in TABLE.iter().enumerate() {
        for _ in 0..100_000 {
            let mut bytes = vec![0; 80];
            let _ = random.fill(&mut bytes);
            let Ok(message) = Unstructured::new(&bytes).arbitrary::<Message<'_>>() else {
                continue;
            };
            if message.info() == *info {
                let mut payload = Vec::new();
                message.encode(&mut payload);
                found.push((
                    format!("{row:02}_{}", info.name.to_lowercase()),
                    bytes,
                    payload,
                ));
                break;
            }
        }
    }
    found
}

fn of_messages(seeds: &mut Vec<Seed>) {
    for (name, bytes, payload) in payloads() {
        // As an operation of the valid peer: while connected, in a rekey, before authentication.
        for (phase, short) in [(3, "connected"), (4, "rekey"), (2, "auth")] {
            let [high, low] = (payload.len() as u16).to_be_bytes();
            // Unstructured reads numbers little-endian.
            let operation = [&[0, 0, phase, 3, low, high][..], &payload, &[5, 4, 4]].concat();
            let name = format!("{name}_{short}");
            seeds.push(("client_valid", name.clone(), operation.clone()));
            seeds.push(("server_valid", name, operation));
        }
        seeds.push(("messages", name.clone(), payload));
        seeds.push(("message_arbitrary", name, bytes));
    }
}

/// What the honest peers do in a recorded session: see `Pair::operate`.
const SESSION: &[u8] = &[
    4, 7, 8, 0, 0, 0, 40, 4, 7, 8, 0, 1, 0, 9, 4, 7, 2, 0, 0, 0, 0, 4, 4, 4, 7, 8, 0, 0, 0, 200, 4,
    7, 5, 2, 0, 0, 0, 4, 7, 3, 0, 0, 0, 0, 4, 7, 8, 0, 2, 0, 0, 4, 7, 8, 0, 3, 0, 0, 4, 4,
];

fn of_connections(seeds: &mut Vec<Seed>) {
    for config in [0, 1, 2, 6, 7, 12, 14, 16, 32, 48, 64, 65, 128] {
        record::<Client, Server>(seeds, config, "client_bytes", "client_valid", 2);
        record::<Server, Client>(seeds, config, "server_bytes", "server_valid", 3);
    }
}

/// The victim keeps tickets and releases nothing; the attacker shows it tickets of its own, and
/// sends more than the window holds.
fn of_misuse(seeds: &mut Vec<Seed>) {
    // Connected; the attacker asks (7), the victim keeps the ticket and asks (6), and then (9) is
    // shown the one that the attacker has got.
    let tickets = [2, 5, 4, 0, 3, 7, 5, 4, 0, 0, 0, 5, 6, 4, 9];
    let mut flood = vec![1, 8, 3, 3, 3, 3, 3, 3, 3, 3, 3];
    for _ in 0..8 {
        flood.extend_from_slice(&[3, 0xe9, 0x02, 94, 0, 0, 0, 0, 0, 0, 0x02, 0xe0]);
        flood.extend_from_slice(&[b'x'; 736]);
        flood.push(5);
    }
    for target in ["client_valid", "server_valid"] {
        seeds.push((target, "misuse_flood".into(), flood.clone()));
        let tickets = [&[0, 4][..], &tickets].concat();
        seeds.push((target, "misuse_tickets".into(), tickets));
    }
}

/// Two applications and what they do: see `api::operate`.
fn of_applications(seeds: &mut Vec<Seed>) {
    // Each opens channels, sends, asks and closes, and all that is written arrives.
    let mut policy = Vec::new();
    for action in 0..8 {
        policy.extend([1, action, 0, 0, 200]);
    }
    for on_channel in 0..18 {
        policy.extend([15, 0, on_channel, 0, 100]);
    }
    let n = policy.len() as u8;
    let both = [&[n][..], &policy, &[n], &policy].concat();
    let talk = [0x04, 0x14, 0x00, 0x10].repeat(24);
    let odd = [&[0x04, 0x14, 0x09, 0x19, 0x0a, 0x1a, 0x0d, 0x1d, 0x00, 0x10][..]]
        .concat()
        .repeat(6);
    let clock = [
        0x07, 0, 0, 1, 0, 3, 0x06, 0x16, 0x17, 9, 0, 0, 0, 0, 0x00, 0x10,
    ]
    .repeat(6);
    for config in [0, 1, 6, 8, 9, 15, 64, 65] {
        for (name, turns) in [("whole", 5), ("apart", 0xc5), ("early", 0), ("auth", 0x22)] {
            for (what, operations) in [("talk", &talk), ("odd", &odd), ("clock", &clock)] {
                let bytes = [&[config, turns][..], &both, operations].concat();
                seeds.push(("api", format!("{what}_{name}_{config:02x}"), bytes));
            }
        }
    }
    for seed in 0..24 {
        let mut bytes = vec![0; 90];
        let _ = Fixed(seed).fill(&mut bytes);
        seeds.push(("negotiation", format!("random_{seed:02}"), bytes));
    }
}

/// Compressed packets as other implementations make them, and some that nobody makes.
fn of_streams(seeds: &mut Vec<Seed>) {
    use flate2::{Compress, Compression, FlushCompress as Flush};
    let payloads = [
        b"\x5e\0\0\0\x01\0\0\0\x0cattack at dawn".to_vec(),
        b"\x5e\0\0\0\x01\0\0\0\x0cattack at dusk".to_vec(),
        vec![b'z'; 2000],
        (0..=255).collect(),
        b"the quick brown fox jumps over the lazy dog and packs his box with jugs".to_vec(),
    ];
    for (name, flush) in [
        ("partial", Flush::Partial),
        ("sync", Flush::Sync),
        ("full", Flush::Full),
        ("finish", Flush::Finish),
    ] {
        // Blocks that are stored come with any flush.
        let levels: &[u32] = if name == "sync" { &[0, 6] } else { &[6] };
        for &level in levels {
            let mut stream = Compress::new(Compression::new(level), true);
            // The largest limit.
            let mut bytes = vec![3];
            for payload in &payloads {
                let mut packed = vec![0; payload.len() + 200];
                let before = stream.total_out();
                if stream.compress(payload, &mut packed, flush).is_err() {
                    break;
                }
                packed.truncate((stream.total_out() - before) as usize);
                bytes.extend((packed.len() as u16).to_le_bytes());
                bytes.append(&mut packed);
            }
            seeds.push(("inflate", format!("{name}_{level}"), bytes));
        }
    }
    // Twelve empty blocks, after authentication and before it.
    let empty = [&[0x78, 0x9c][..], &[2, 8, 0x20, 0x80, 0].repeat(3)].concat();
    for (name, first) in [("blocks", 2), ("blocks_before", 6)] {
        let bytes = [&[first, empty.len() as u8, 0][..], &empty].concat();
        seeds.push(("inflate", name.into(), bytes));
    }
}

fn record<V: Driven, A: Driven>(
    seeds: &mut Vec<Seed>,
    config: u8,
    bytes: &'static str,
    valid: &'static str,
    recorded: u8,
) {
    for phase in 0..5 {
        let operations = [&[config, 0, phase][..], SESSION].concat();
        let Some(pair) = Pair::<V, A>::play(&operations) else {
            continue;
        };
        let name = format!("session_{config:02x}_{phase}");
        if phase == 3 {
            let stream = [&[config, 0][..], &pair.sent].concat();
            let given = [&[recorded - 2], stream.as_slice()].concat();
            seeds.push((bytes, name.clone(), stream));
            seeds.push(("any_split", format!("given_{recorded}_{name}"), given));
        }
        let split = [&[recorded | config << 2], operations.as_slice()].concat();
        seeds.push(("any_split", format!("recorded_{recorded}_{name}"), split));
        seeds.push((valid, name, operations));
    }
}

fn of_files(seeds: &mut Vec<Seed>) {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let mut authorized = Vec::new();
    for name in [
        "ecdsa_p256",
        "ecdsa_p256_enc",
        "ed25519",
        "ed25519_a1_aes128",
        "ed25519_enc",
        "no_comment",
        "rsa2048",
        "rsa_pkcs1",
        "rsa_pkcs8_enc",
    ] {
        let Ok(file) = fs::read(testdata.join("keys").join(name)) else {
            continue;
        };
        if let Some(body) = body(&file) {
            seeds.push(("private_key", format!("{name}_body"), body));
        }
        seeds.push(("private_key", name.into(), file));
        if let Ok(line) = fs::read(testdata.join("keys").join(format!("{name}.pub"))) {
            authorized.push(line);
        }
    }
    for name in ["plain", "hashed"] {
        if let Ok(file) = fs::read(testdata.join("known_hosts").join(name)) {
            seeds.push(("known_hosts", name.into(), file));
        }
    }
    for (n, options) in [
        "",
        "restrict,pty,command=\"top\" ",
        "from=\"10.0.0.0/8,!10.1.2.3,::1\" ",
        "expiry-time=\"20300101Z\",no-pty ",
        "permitopen=\"localhost:80\",environment=\"A=b\" ",
        "cert-authority,principals=\"a,b\" ",
        "unknown ",
        "command=\"a \\\" b\",permitlisten=\"*:1\" ",
    ]
    .iter()
    .enumerate()
    {
        let lines = authorized
            .iter()
            .take(2)
            .map(|line| [options.as_bytes(), line].concat());
        seeds.push((
            "authorized_keys",
            format!("options_{n}"),
            lines.collect::<Vec<_>>().concat(),
        ));
    }
    seeds.push(("authorized_keys", "all".into(), authorized.concat()));
}

/// What stands between the lines of the armour of an OpenSSH file.
fn body(file: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(file).ok()?;
    if !text.contains("BEGIN OPENSSH") {
        return None;
    }
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in text
        .lines()
        .filter(|line| !line.starts_with('-'))
        .flat_map(str::bytes)
    {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}
