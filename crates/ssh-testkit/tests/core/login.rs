//! Logging in, as an application sees it: credentials that are of no use, and keys that sign
//! elsewhere.

use ssh_proto::algorithm::SignatureAlgorithm;
use ssh_proto::client::{Ask, AuthToken, Client, ClientEvent, Credential, Probe};
use ssh_proto::error::Misuse;
use ssh_proto::key::PublicKey;
use ssh_proto::message::{ExtInfo, Extension, List, number};
use ssh_proto::wire::Mpint;
use ssh_proto::{RecvBuf, Server, Wants};
use ssh_testkit::raw::{Bench, Stage};
use ssh_testkit::sim::key;

/// A client whose keys are in use for sending, at its first question.
fn asked() -> (Bench<Client>, AuthToken) {
    let mut bench = Bench::<Client>::at(Stage::Method, true);
    bench.proper(Stage::Method);
    let mut token = None;
    bench.turn_with(|client, event, _| match event {
        ClientEvent::HostKey { decision, .. } => client.trust(decision).expect("mine"),
        ClientEvent::Authenticate {
            token: t,
            reason: Ask::First,
        } => token = Some(t),
        _ => {}
    });
    (bench, token.expect("a question"))
}

#[test]
fn the_servers_key_is_told_of_from_when_it_is_trusted() {
    let mut bench = Bench::<Client>::at(Stage::Method, true);
    bench.proper(Stage::Method);
    let mut asked = None;
    bench.turn_with(|_, event, _| {
        if let ClientEvent::HostKey { key, decision, .. } = event {
            asked = Some((key, decision));
        }
    });
    let (key, decision) = asked.expect("a question");
    assert_eq!(bench.peer.host_key(), None);
    bench.peer.trust(decision).expect("mine");
    assert_eq!(bench.peer.host_key(), Some(&key));
}

#[test]
fn what_is_longer_than_eight_kibibytes_is_not_sent_and_something_else_is_asked_for() {
    let (fits, long) = ("x".repeat(8 * 1024), "x".repeat(8 * 1024 + 1));
    let new = |old, new| Credential::NewPassword { old, new };
    for (user, credential, good) in [
        (&fits[..], Credential::Password(&fits), true),
        (&fits, new(&fits, &fits), true),
        (&fits, Credential::None, true),
        (&long, Credential::None, false),
        ("alice", Credential::Password(&long), false),
        ("alice", new(&long, "x"), false),
        ("alice", new("x", &long), false),
    ] {
        let shown = format!("{credential:?}");
        let (mut bench, token) = asked();
        let got = bench.raw.got.len();
        let result = bench.peer.authenticate(token, user, credential);
        assert_eq!(
            result,
            if good { Ok(()) } else { Err(Misuse::Value) },
            "{shown}"
        );
        let mut unusable = 0;
        bench.turn_with(|_, event, _| match event {
            ClientEvent::Authenticate {
                reason: Ask::Unusable,
                ..
            } => unusable += 1,
            other => panic!("{other:?}"),
        });
        assert_eq!(unusable, usize::from(!good), "{shown}");
        assert_eq!(bench.peer.is_waiting_for_answer(), !good, "{shown}");
        let requests = bench.raw.numbers(got);
        let request = number::SSH_MSG_USERAUTH_REQUEST;
        assert_eq!(requests.contains(&request), good, "{shown}");
    }
}

/// RFC 8308 section 2.2.
#[test]
fn a_server_tells_of_its_extensions_whoever_has_asked_for_them() {
    for asked in [false, true] {
        let mut bench = Bench::<Server>::new(true);
        if asked {
            bench.raw.offer.lists[0] += ",ext-info-c";
        }
        let bench = bench.up_to(Stage::Service);
        let told = bench.raw.numbers(0).contains(&number::SSH_MSG_EXT_INFO);
        assert_eq!(told, asked);
    }
}

/// RFC 8332 section 3.3: which of its algorithms an RSA key signs with stands in EXT_INFO, which
/// comes before the service is granted or not at all. Any other key has one.
#[test]
fn an_rsa_key_waits_until_the_servers_algorithms_can_be_known() {
    let modulus = [0xff; 256];
    let rsa = PublicKey::new_rsa(
        Mpint::from_unsigned(&[1, 0, 1]),
        Mpint::from_unsigned(&modulus),
    );
    let rsa = rsa.expect("a key");
    for (taken, expected) in [
        (
            Some(&b"ssh-ed25519,rsa-sha2-256"[..]),
            SignatureAlgorithm::RsaSha2_256,
        ),
        (
            Some(b"rsa-sha2-256,rsa-sha2-512"),
            SignatureAlgorithm::RsaSha2_512,
        ),
        (None, SignatureAlgorithm::RsaSha2_512),
    ] {
        let (mut bench, token) = asked();
        let credential = Credential::PublicKey {
            key: rsa.clone(),
            probe: Probe::Skip,
        };
        bench
            .peer
            .authenticate(token, "alice", credential)
            .expect("mine");
        let mut signs = Vec::new();
        let mut turn = |bench: &mut Bench<Client>| {
            bench.turn_with(|_, event, _| {
                if let ClientEvent::Sign(request) = event {
                    signs.push(request.algorithm);
                }
            });
            assert_eq!(!signs.is_empty(), bench.peer.is_waiting_for_answer());
            signs.len()
        };
        assert_eq!(turn(&mut bench), 0);
        bench.proper(Stage::NewKeys);
        assert_eq!(turn(&mut bench), 0);
        if let Some(value) = taken {
            bench.raw.message(&ExtInfo {
                extensions: List::new(&[Extension {
                    name: Extension::SERVER_SIG_ALGS,
                    value,
                }]),
            });
            assert_eq!(turn(&mut bench), 0);
        }
        assert!(
            matches!(bench.peer.wants(), Wants::Bytes(_)),
            "it is the server's turn"
        );
        bench.proper(Stage::Service);
        assert_eq!(turn(&mut bench), 1);
        assert_eq!(signs, [expected]);
    }
    let (mut bench, token) = asked();
    let credential = Credential::PublicKey {
        key: key(7).public_key().clone(),
        probe: Probe::Skip,
    };
    bench
        .peer
        .authenticate(token, "alice", credential)
        .expect("mine");
    let mut nothing = RecvBuf::new();
    let event = bench.peer.poll_event(&mut nothing.batch(), bench.now);
    assert!(matches!(event, Some(ClientEvent::Sign(_))), "{event:?}");
}
