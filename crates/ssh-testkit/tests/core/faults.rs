//! The transport ends, or lies, at any place: rows D3, P5 and GI2.

use std::time::Duration;

use ssh_proto::algorithm::{CipherAlgorithm, KexAlgorithm, MacAlgorithm};
use ssh_proto::config::{ClientConfig, ServerConfig};
use ssh_testkit::sim::{Chunking, Fault, Pair, Session, pattern, server_config};

fn session() -> Session {
    Session::new(vec![pattern(300, 1), pattern(20, 2)])
}

fn configs(cipher: CipherAlgorithm, mac: MacAlgorithm) -> (ClientConfig, ServerConfig) {
    let (mut client, mut server) = (ClientConfig::default(), server_config());
    for t in [&mut client.transport, &mut server.transport] {
        t.algorithms.kex = vec![KexAlgorithm::Curve25519Sha256];
        t.algorithms.ciphers_client_to_server = vec![cipher];
        t.algorithms.ciphers_server_to_client = vec![cipher];
        t.algorithms.macs_client_to_server = vec![mac];
        t.algorithms.macs_server_to_client = vec![mac];
    }
    (client, server)
}

const MODES: [(CipherAlgorithm, MacAlgorithm); 5] = [
    (CipherAlgorithm::Aes256Gcm, MacAlgorithm::HmacSha256),
    (CipherAlgorithm::ChaCha20Poly1305, MacAlgorithm::HmacSha256),
    (CipherAlgorithm::Aes128Ctr, MacAlgorithm::HmacSha256Etm),
    (CipherAlgorithm::Aes192Ctr, MacAlgorithm::HmacSha512),
    (CipherAlgorithm::Aes256Ctr, MacAlgorithm::HmacSha512Etm),
];

/// Runs a session with a fault in one direction.
fn run(mode: usize, up: Fault, down: Fault) -> (Pair, Session) {
    let (cipher, mac) = MODES[mode];
    let (client, server) = configs(cipher, mac);
    let mut pair = Pair::with(1, client, server);
    pair.up.fault = up;
    pair.down.fault = down;
    let mut app = session();
    assert!(pair.run(&mut app), "{up:?} {down:?}: {app:#?}");
    (pair, app)
}

/// What was received is the beginning of what was sent, whatever happened.
fn nothing_was_altered(app: &Session, what: Fault) {
    for (sent, received) in app.client.sends.iter().zip(&app.client.received) {
        assert!(sent.starts_with(&received.out), "{what:?}");
        let said = format!("{} bytes", sent.len());
        assert!(said.as_bytes().starts_with(&received.err), "{what:?}");
    }
    for log in [&app.client.log, &app.server.log] {
        let last = log.0.last().expect("an event");
        assert!(last.starts_with("Ended: "), "{what:?}: {last}");
    }
}

fn d3(step: usize) {
    for mode in [0, 2] {
        let (whole, _) = run(mode, Fault::None, Fault::None);
        let mut ends = std::collections::BTreeMap::<String, usize>::new();
        for up in [true, false] {
            let length = if up { whole.up.sent } else { whole.down.sent };
            for at in (0..length).step_by(step) {
                let cut = Fault::CutAt(at);
                let (_, app) = if up {
                    run(mode, cut, Fault::None)
                } else {
                    run(mode, Fault::None, cut)
                };
                nothing_was_altered(&app, cut);
                // The side that stops hearing says so, and how far it had come.
                let log = if up { &app.server.log } else { &app.client.log };
                let last = log.0.last().expect("an event").clone();
                let typed =
                    last.contains("the peer closed the transport") || last.contains("disconnected");
                assert!(typed, "{cut:?}: {last}");
                *ends.entry(last).or_default() += 1;
            }
        }
        // Before it identified itself, in the key exchange, in authentication, connected.
        let eofs = ends.keys().filter(|end| end.contains("the peer closed"));
        assert_eq!(eofs.count(), 4, "{ends:#?}");
    }
}

#[test]
fn d3_a_cut_at_any_byte_is_a_typed_end() {
    d3(7);
}

#[test]
#[ignore = "every single byte"]
fn long_d3_a_cut_at_every_byte_is_a_typed_end() {
    d3(1);
}

fn p5(step: usize) -> usize {
    let mut flips = 0;
    for mode in 0..MODES.len() {
        let (whole, _) = run(mode, Fault::None, Fault::None);
        for up in [true, false] {
            let length = if up { whole.up.sent } else { whole.down.sent };
            for bit in (0..8 * length).step_by(step) {
                let flip = Fault::FlipBit(bit);
                let (_, app) = if up {
                    run(mode, flip, Fault::None)
                } else {
                    run(mode, Fault::None, flip)
                };
                nothing_was_altered(&app, flip);
                flips += 1;
                // Only what nobody acts on may go unnoticed: a bit of the identification line or
                // of what is in clear is in the exchange hash, so nothing but padding in clear and
                // the very last words are left.
                if app.client.done && bit / 8 > 2000 {
                    let farewell = bit / 8 + 250 >= length;
                    assert!(farewell, "mode {mode} up={up} bit {bit} of {length}");
                }
            }
        }
    }
    flips
}

#[test]
fn p5_flipped_bits_never_alter_data_and_always_end_it() {
    println!("{} flips", p5(331));
}

#[test]
#[ignore = "many minutes: one bit in each byte"]
fn long_p5_flipped_bits_never_alter_data_and_always_end_it() {
    println!("{} flips", p5(9));
}

/// What both ends say when a bit of the first packet behind authentication is flipped and `bytes`
/// of data follow.
fn after_a_flip(mac: MacAlgorithm, bit: u64, bytes: usize, chunking: Chunking) -> [String; 2] {
    let (client, server) = configs(CipherAlgorithm::Aes128Ctr, mac);
    let latency = Duration::from_millis(10);
    let mut pair = Pair::with(1, client, server)
        .chunked(chunking)
        .latency(latency);
    let mut app = Session::new(vec![pattern(bytes, 1)]);
    // The command has been accepted; nothing but data follows.
    assert!(pair.run_until(&mut app, |_, app| app.server.log.has("Request")));
    pair.up.fault = Fault::FlipBit(8 * pair.up.sent + bit);
    assert!(pair.run(&mut app));
    [&app.server.log, &app.client.log].map(|log| log.0.last().expect("an end").clone())
}

/// Not by the error, not by the DISCONNECT, and not by when they come.
#[test]
fn p6_a_forged_length_cannot_be_told_from_a_forged_tag() {
    let macs = [MacAlgorithm::HmacSha256, MacAlgorithm::HmacSha512];
    // The length, padding_length, the message number, and data.
    let bits = || (0..32).chain([33, 39, 41, 1000, 100_000]);
    for mac in macs {
        for bit in bits() {
            let ends = after_a_flip(mac, bit, 500_000, Chunking::Random(40_000));
            let integrity = "a packet failed its integrity check";
            assert!(ends[0].contains(integrity), "{mac} {bit}: {ends:?}");
            assert!(
                ends[1].contains("SSH_DISCONNECT_MAC_ERROR"),
                "{mac} {bit}: {ends:?}"
            );
        }
        // With too little behind it for the largest packet, what ends it is a deadline.
        let mut ends: Vec<_> = bits()
            .map(|bit| after_a_flip(mac, bit, 100_000, Chunking::Coalesced))
            .collect();
        ends.dedup();
        assert_eq!(ends.len(), 1, "{mac}: {ends:#?}");
        assert!(ends[0][0].contains("timed out"), "{ends:?}");
    }
}
