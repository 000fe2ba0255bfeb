//! Where randomness or a signer fails, and what must differ from run to run: rows Q4, Q5 and Q7.

use std::fs;
use std::path::Path;

use ssh_proto::client::{Ask, ClientEvent, Credential, Probe};
use ssh_proto::config::{ClientConfig, HostKey, ServerConfig};
use ssh_proto::error::Error;
use ssh_proto::key::PublicKey;
use ssh_proto::message::DisconnectReason;
use ssh_proto::random::{Random, RandomError};
use ssh_proto::server::ServerEvent;
use ssh_proto::{Client, Server};
use ssh_testkit::raw::{Bench, Stage, Subject, key_blob, sign, with_seed};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{key, server_config};

const OURS: DisconnectReason = DisconnectReason::BY_APPLICATION;

/// Fails after so many calls, with what could be taken for randomness.
struct Failing {
    random: SeededRandom,
    left: u32,
}

impl Random for Failing {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        let Some(left) = self.left.checked_sub(1) else {
            out.fill(0);
            return Err(RandomError);
        };
        self.left = left;
        self.random.fill(out);
        Ok(())
    }
}

/// Runs a session with two more key exchanges and says whether it came through.
fn survives<P: Subject>(n: u32, make: impl Fn(Box<dyn Random + Send>) -> Option<P>) -> bool {
    let random = SeededRandom::new(3);
    let Some(peer) = make(Box::new(Failing { random, left: n })) else {
        assert_eq!(n, 0, "only the first call is made by the constructor");
        return false;
    };
    let mut bench = Bench::<P>::new(true);
    bench.peer = peer;
    bench.turn();
    let again = [Stage::Connected, Stage::RekeyMethod, Stage::RekeyNewKeys];
    for step in Stage::ALL.into_iter().chain(again) {
        if bench.seen.end.is_some() {
            break;
        }
        let public = bench.raw.numbers(0);
        bench.proper(step);
        bench.turn();
        // No key exchange goes on without fresh randomness.
        if bench.seen.end.is_some() {
            let method = |n: &u8| matches!(n, 30 | 31);
            let before = public.iter().filter(|n| method(n)).count();
            let after = bench.raw.numbers(0).iter().filter(|n| method(n)).count();
            assert_eq!(before, after, "a share of its own in spite of that");
        }
    }
    if bench.seen.end.is_none() {
        return true;
    }
    let random = |e: &Error| matches!(e, Error::Random(_));
    bench.refused(&n, random, OURS);
    false
}

#[test]
fn q4_a_source_that_fails_at_any_call_is_a_typed_error() {
    let client = |random| Client::new(ClientConfig::default(), random).ok();
    let server = |random| Server::new(server_config(), random).ok();
    let came_through: Vec<[bool; 2]> = (0..8)
        .map(|n| [survives(n, client), survives(n, server)])
        .collect();
    for role in 0..2 {
        let last = came_through.iter().rposition(|came| !came[role]);
        // One for the connection and one for each of the three exchanges.
        assert_eq!(last, Some(3), "{came_through:?}");
    }
}

fn external_server() -> Bench<Server> {
    let mut config = ServerConfig::default();
    let public = PublicKey::from_blob(&key_blob(&[1; 32])).expect("a key");
    config.host_keys = vec![HostKey::External(public)];
    Bench::with(config, true).up_to(Stage::Method)
}

/// What a signer outside may give: nothing of it leaves unless it verifies.
fn faulty(data: &[u8], key: &[u8; 32]) -> Vec<Vec<u8>> {
    let right = sign(key, data);
    let mut flipped = right.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 0x80;
    let mut zeros = right.clone();
    zeros[last - 63..].fill(0);
    let other_key = sign(&[99; 32], data);
    let other_data = sign(key, b"something else");
    vec![
        flipped,
        zeros,
        other_key,
        other_data,
        right[..last].to_vec(),
        [&right[..], b"x"].concat(),
        Vec::new(),
    ]
}

#[test]
fn q5_h2_a_faulty_signature_of_a_host_key_is_never_sent() {
    for n in 0..7 {
        let mut bench = external_server();
        bench.proper(Stage::Method);
        let got = bench.raw.got.len();
        bench.turn_with(|server, event, seen| match event {
            ServerEvent::Sign(request) => {
                let signature = faulty(&request.data, &[1; 32]).swap_remove(n);
                let _ = server.signed(request, &signature);
            }
            ServerEvent::Ended(end) => seen.end = Some(end),
            other => panic!("{other:?}"),
        });
        bench.refused(&n, |e| matches!(e, Error::Signer), OURS);
        assert_eq!(bench.raw.numbers(got), [1]);
    }
}

#[test]
fn q5_h2_a_faulty_signature_of_a_user_key_is_never_sent() {
    for n in 0..7 {
        let mut bench = Bench::<Client>::at(Stage::Method, true);
        let mut asked = 0;
        for stage in [Stage::Method, Stage::NewKeys, Stage::Service] {
            bench.proper(stage);
            bench.turn_with(|client, event, _| match event {
                ClientEvent::HostKey { decision, .. } => client.trust(decision).expect("mine"),
                ClientEvent::Authenticate {
                    token,
                    reason: Ask::First,
                } => {
                    let credential = Credential::PublicKey {
                        key: key(7).public_key().clone(),
                        probe: Probe::Skip,
                    };
                    client
                        .authenticate(token, "alice", credential)
                        .expect("mine");
                }
                ClientEvent::Sign(request) => {
                    let signature = faulty(&request.data, &[7; 32]).swap_remove(n);
                    client.signed(request, &signature).expect("mine");
                }
                ClientEvent::Authenticate {
                    reason: Ask::Unusable,
                    ..
                } => asked += 1,
                _ => {}
            });
        }
        assert_eq!(asked, 1, "{n}: another credential is asked for");
        assert!(!bench.raw.numbers(0).contains(&50), "{n}");
        bench.lives(&n);
    }
}

/// A result that is not looked at does not compile, in any crate.
#[test]
fn q5_no_result_can_be_ignored() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let workspace = fs::read_to_string(root.join("Cargo.toml")).expect("a manifest");
    assert!(workspace.contains("unused_must_use = \"deny\""));
    for entry in fs::read_dir(root.join("crates")).expect("a directory") {
        let manifest = entry.expect("an entry").path().join("Cargo.toml");
        let manifest = fs::read_to_string(&manifest).expect("a manifest");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{manifest}");
    }
}

/// The first words of both roles: cookies and padding are in clear and are nobody else's.
#[test]
fn q7_two_runs_share_no_cookie_and_no_padding() {
    fn first_words<P: Subject>(seed: u64) -> (Vec<u8>, Vec<u8>) {
        let mut peer = with_seed(seed, || P::make(P::config()));
        let mut output = Vec::new();
        peer.take_output(&mut output);
        let line = output.iter().position(|b| *b == b'\n').expect("a line");
        let packet = &output[line + 1..];
        let length = u32::from_be_bytes(*packet.first_chunk().expect("a packet"));
        let padding = usize::from(packet[4]);
        let end = 4 + length as usize;
        (packet[6..22].to_vec(), packet[end - padding..end].to_vec())
    }
    fn with<P: Subject>() {
        let runs: Vec<_> = (1..20).map(first_words::<P>).collect();
        for (n, (cookie, padding)) in runs.iter().enumerate() {
            assert!(padding.len() >= 4);
            for (other_cookie, other_padding) in &runs[..n] {
                assert_ne!(cookie, other_cookie);
                assert_ne!(padding, other_padding);
                // No word of it either.
                assert!(
                    !other_cookie
                        .windows(4)
                        .any(|word| cookie.windows(4).any(|w| w == word))
                );
            }
        }
        assert_eq!(runs[3], first_words::<P>(4), "the source is all there is");
    }
    with::<Client>();
    with::<Server>();
}
