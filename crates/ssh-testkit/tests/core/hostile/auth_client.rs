//! Authentication against the rules, on a client: rows C.

use ssh_proto::Client;
use ssh_proto::auth::AuthenticatedBy;
use ssh_proto::client::{Ask, ClientEvent, Credential, Probe};
use ssh_proto::config::ClientConfig;
use ssh_proto::error::{AuthenticationError, Error, LimitExceeded, PeerMisbehaved};
use ssh_proto::message::{
    AuthMethod, DisconnectReason, ExtInfo, Extension, List, UserauthBanner, UserauthPkOk,
    UserauthRequest, Wire, number,
};
use ssh_proto::wire::Sink;
use ssh_testkit::raw::{Bench, Stage, in_every_way, key_blob};
use ssh_testkit::sim::key;

use super::common::{PROTOCOL, encoded, misbehaved};

const NO_MORE: DisconnectReason = DisconnectReason::NO_MORE_AUTH_METHODS_AVAILABLE;
const FAILURE: u8 = number::SSH_MSG_USERAUTH_FAILURE;
const SUCCESS: u8 = number::SSH_MSG_USERAUTH_SUCCESS;

/// A client that shows these credentials, at the point where the answer to the first one is due.
fn client_with(config: ClientConfig, credential: fn() -> Credential<'static>) -> Bench<Client> {
    let mut bench = Bench::<Client>::with(config, true).up_to(Stage::Method);
    bench.proper(Stage::Method);
    let turn = |bench: &mut Bench<Client>| {
        bench.turn_with(|client, event, seen| {
            seen.log.client(&event);
            match event {
                ClientEvent::HostKey { decision, .. } => client.trust(decision).expect("mine"),
                ClientEvent::Authenticate {
                    token,
                    reason: Ask::First,
                } => client
                    .authenticate(token, "alice", credential())
                    .expect("mine"),
                ClientEvent::Ended(end) => seen.end = Some(end),
                _ => {}
            }
        });
    };
    turn(&mut bench);
    for stage in [Stage::NewKeys, Stage::Service] {
        bench.proper(stage);
        turn(&mut bench);
    }
    bench
}

fn outside() -> Credential<'static> {
    Credential::PublicKey {
        key: key(7).public_key().clone(),
        probe: Probe::First,
    }
}

#[test]
fn c1_being_let_in_for_nothing_is_reported_and_can_be_refused() {
    in_every_way(|| {
        let mut bench = client_with(ClientConfig::default(), || Credential::None);
        bench.send(&[SUCCESS]);
        let by = format!("Authenticated {{ by: {:?}", AuthenticatedBy::None);
        assert!(bench.seen.log.has(&by), "{:#?}", bench.seen.log);

        let mut config = ClientConfig::default();
        config.require_credential = true;
        let mut bench = client_with(config, || Credential::None);
        bench.send(&[SUCCESS]);
        let trivial = |e: &Error| {
            matches!(
                e,
                Error::Authentication(AuthenticationError::NoCredentialAsked)
            )
        };
        bench.refused(&"none", trivial, NO_MORE);
        assert!(!bench.peer.is_authenticated());
    });
}

#[test]
fn c2_success_out_of_the_blue() {
    in_every_way(|| {
        let mut bench = Bench::<Client>::at(Stage::Service, true);
        bench.send(&[SUCCESS]);
        bench.refused(
            &"early",
            misbehaved(PeerMisbehaved::UnexpectedMessage(52)),
            PROTOCOL,
        );
        let mut bench = client_with(ClientConfig::default(), outside);
        bench.send(&[SUCCESS]);
        let unrequested = misbehaved(PeerMisbehaved::UnrequestedSuccess);
        bench.refused(&"to a question", unrequested, PROTOCOL);
        let mut bench = Bench::<Client>::at(Stage::Connected, true);
        bench.send(&[SUCCESS]);
        bench.refused(
            &"twice",
            misbehaved(PeerMisbehaved::UnexpectedMessage(52)),
            PROTOCOL,
        );
    });
}

#[test]
fn c3_a_key_that_was_not_offered() {
    in_every_way(|| {
        for (algorithm, blob) in [
            ("ssh-ed25519", key_blob(&[8; 32])),
            ("ssh-rsa", key_blob(&[7; 32])),
            ("rsa-sha2-512", key_blob(&[7; 32])),
            ("ssh-ed25519", Vec::new()),
        ] {
            let mut bench = client_with(ClientConfig::default(), outside);
            bench.message(&UserauthPkOk {
                algorithm,
                key: &blob,
            });
            let other = misbehaved(PeerMisbehaved::KeyNotOffered);
            bench.refused(&algorithm, other, PROTOCOL);
            assert!(!bench.seen.log.has("Sign"), "nothing was signed");
        }
        let mut bench = client_with(ClientConfig::default(), || Credential::Password("x"));
        bench.send(&[60]);
        bench.refused(&"60", |e| matches!(e, Error::Malformed(_)), PROTOCOL);
    });
}

#[test]
fn c5_each_credential_is_tried_once() {
    in_every_way(|| {
        let mut bench = client_with(ClientConfig::default(), || Credential::Password("old"));
        let mut failure = vec![FAILURE];
        failure.put_string(b"password,publickey");
        failure.put_u8(0);
        let got = bench.raw.got.len();
        bench.raw.payload(&failure);
        let mut token = None;
        bench.turn_with(|_, event, _| {
            if let ClientEvent::Authenticate { token: t, .. } = event {
                token = Some(t);
            }
        });
        assert!(token.is_some(), "the application is asked");
        assert_eq!(bench.raw.got.len(), got, "nothing is tried by itself");
        // An answer to nothing.
        let token = token.expect("asked");
        bench
            .peer
            .authenticate(token, "alice", outside())
            .expect("mine");
        bench.turn();
        bench.raw.payload(&failure);
        bench.raw.payload(&failure);
        let mut asked = 0;
        bench.turn_with(|_, event, seen| match event {
            // The second FAILURE is behind this and must not count for what is asked now.
            ClientEvent::Authenticate { .. } => asked += 1,
            ClientEvent::Ended(end) => seen.end = Some(end),
            _ => {}
        });
        assert_eq!(asked, 1);
        bench.lives(&"waiting");
    });
}

#[test]
fn c6_extensions() {
    in_every_way(|| {
        for payload in [
            &b"\x07\xff\xff\xff\xff"[..],
            b"\x07\xff\xff\xff\xff\0\0\0\x01a\0\0\0\0",
            b"\x07\0\0\0\x02\0\0\0\x01a\0\0\0\0",
            b"\x07\0\0\0\x01\0\0\0\0\0\0\0\0",
        ] {
            let mut bench = Bench::<Client>::at(Stage::Service, true);
            bench.send(payload);
            bench.refused(&payload, |e| matches!(e, Error::Malformed(_)), PROTOCOL);
        }
        let big = vec![b'x'; 30_000];
        let mut bench = Bench::<Client>::at(Stage::Service, true);
        for name in [
            "server-sig-algs",
            "server-sig-algs",
            "unknown@example.com",
            "elevation",
        ] {
            let extensions = [Extension { name, value: &big }];
            bench.message(&ExtInfo {
                extensions: List::new(&extensions),
            });
            bench.lives(&name);
        }
    });
}

#[test]
fn c7_what_the_server_takes_never_leads_to_sha1() {
    in_every_way(|| {
        for (value, probed) in [
            (&b"ssh-rsa"[..], false),
            (b"", false),
            (b"rsa-sha2-256", false),
            (b",,", false),
            (b"ssh-rsa,ssh-ed25519", true),
        ] {
            let mut bench = Bench::<Client>::at(Stage::Service, true);
            let extensions = [Extension {
                name: Extension::SERVER_SIG_ALGS,
                value,
            }];
            bench.message(&ExtInfo {
                extensions: List::new(&extensions),
            });
            bench.proper(Stage::Service);
            bench.turn();
            // The password of the first flight fails; then a key.
            let got = bench.raw.got.len();
            let mut failure = vec![FAILURE];
            failure.put_string(b"publickey");
            failure.put_u8(0);
            bench.raw.payload(&failure);
            bench.turn_with(|client, event, seen| {
                seen.log.client(&event);
                if let ClientEvent::Authenticate { token, reason } = event
                    && matches!(reason, Ask::Failed { .. })
                {
                    client
                        .authenticate(token, "alice", outside())
                        .expect("mine");
                }
            });
            assert_eq!(bench.raw.numbers(got).contains(&50), probed, "{value:?}");
            assert_eq!(bench.seen.log.has("Authenticate Unusable"), !probed);
            for payload in &bench.raw.got[got..] {
                let sent = String::from_utf8_lossy(payload);
                assert!(!sent.contains("ssh-rsa"));
            }
        }
    });
}

#[test]
fn c8_banners_are_reported_up_to_a_total() {
    in_every_way(|| {
        let mut bench = Bench::<Client>::at(Stage::Auth, true);
        for _ in 0..100 {
            bench.message(&UserauthBanner {
                message: &[b'\x1b'; 1024],
                language_tag: b"",
            });
        }
        bench.lives(&"100 KiB of banners");
        let banners = bench
            .seen
            .log
            .0
            .iter()
            .filter(|line| line.starts_with("Banner"));
        assert_eq!(banners.count(), 64);
        assert!(!bench.seen.log.0.concat().contains('\x1b'));
    });
}

#[test]
fn c10_no_connection_protocol_before_success() {
    in_every_way(|| {
        for stage in [Stage::Service, Stage::Auth] {
            for n in 80..=100 {
                let mut bench = Bench::<Client>::at(stage, true);
                bench.send(&[n, 0, 0, 0, 0]);
                bench.refused(
                    &n,
                    misbehaved(PeerMisbehaved::UnexpectedMessage(n)),
                    PROTOCOL,
                );
            }
        }
    });
}

#[test]
fn c11_a_password_is_not_sent_again_by_itself() {
    in_every_way(|| {
        let mut bench = client_with(ClientConfig::default(), || Credential::Password("old"));
        let got = bench.raw.got.len();
        let mut expired = vec![60];
        expired.put_string(b"change it");
        expired.put_string(b"");
        bench.raw.payload(&expired);
        bench.turn_with(|_, event, seen| seen.log.client(&event));
        assert!(bench.seen.log.has("Authenticate PasswordExpired"));
        assert_eq!(bench.raw.got.len(), got);
    });
}

/// In no state is success believed that was not worked for.
#[test]
fn c2_success_in_the_handshake() {
    in_every_way(|| {
        for stage in [
            Stage::KexInit,
            Stage::Method,
            Stage::NewKeys,
            Stage::RekeyMethod,
            Stage::RekeyNewKeys,
        ] {
            for strict in [false, true] {
                let mut bench = Bench::<Client>::at(stage, strict);
                bench.send(&[SUCCESS]);
                let unexpected = misbehaved(PeerMisbehaved::UnexpectedMessage(SUCCESS));
                bench.refused(&(stage, strict), unexpected, PROTOCOL);
                assert_eq!(bench.peer.is_authenticated(), stage >= Stage::Connected);
            }
        }
    });
}

/// While the application thinks, nothing is read; a signature that was asked for is not made for
/// somebody who says that all is well already.
#[test]
fn c2_success_instead_of_what_was_asked() {
    in_every_way(|| {
        let mut bench = client_with(ClientConfig::default(), outside);
        bench.raw.message(&UserauthPkOk {
            algorithm: "ssh-ed25519",
            key: &key_blob(&[7; 32]),
        });
        bench.raw.payload(&[SUCCESS]);
        let mut request = None;
        bench.turn_with(|_, event, _| match event {
            ClientEvent::Sign(sign) => request = Some(sign),
            other => panic!("{other:?}"),
        });
        assert!(!bench.peer.is_authenticated(), "it waits for the signature");
        let request = request.expect("asked");
        bench.peer.not_signed(request).expect("mine");
        let mut questions = 0;
        bench.turn_with(|_, event, _| match event {
            ClientEvent::Authenticate {
                reason: Ask::Unusable,
                ..
            } => questions += 1,
            other => panic!("{other:?}"),
        });
        assert_eq!(questions, 1, "something else to show is asked for");
        assert!(!bench.peer.is_authenticated());
    });
}

/// EXT_INFO has its places (RFC 8308 section 2.4), and anywhere else it is the end.
#[test]
fn c6_extensions_at_the_wrong_time_or_too_long() {
    in_every_way(|| {
        let extensions = [Extension {
            name: "x@example.com",
            value: b"",
        }];
        let message = encoded(&ExtInfo {
            extensions: List::new(&extensions),
        });
        for stage in [
            Stage::KexInit,
            Stage::Method,
            Stage::NewKeys,
            Stage::Connected,
            Stage::RekeyMethod,
            Stage::RekeyNewKeys,
        ] {
            let mut bench = Bench::<Client>::at(stage, false);
            bench.send(&message);
            let unexpected = misbehaved(PeerMisbehaved::UnexpectedMessage(7));
            bench.refused(&stage, unexpected, PROTOCOL);
        }
        let value = vec![b','; 256 * 1024];
        let extensions = [Extension {
            name: Extension::SERVER_SIG_ALGS,
            value: &value,
        }];
        let mut bench = Bench::<Client>::at(Stage::Service, true);
        bench.message(&ExtInfo {
            extensions: List::new(&extensions),
        });
        let packet = |e: &Error| matches!(e, Error::Limit(LimitExceeded::Packet(_)));
        bench.refused(&"256 KiB", packet, PROTOCOL);
    });
}

/// So many that they are counted as packets, and with all that a terminal would act on.
#[test]
fn c8_j2_a_flood_of_banners_ends_and_what_is_shown_is_escaped() {
    in_every_way(|| {
        let mut bench = Bench::<Client>::at(Stage::Auth, true);
        for _ in 0..10_000 {
            bench.raw.message(&UserauthBanner {
                message: "\u{1b}[2J\u{202e}moc.live\u{7}\r\n\u{9b}0m".as_bytes(),
                language_tag: b"en\x1b",
            });
        }
        bench.turn();
        let packets = |e: &Error| matches!(e, Error::Limit(LimitExceeded::PacketsBeforeAuth));
        bench.refused(&"10,000 banners", packets, PROTOCOL);
        for line in &bench.seen.log.0 {
            let plain = |c: char| !c.is_control() && c != '\u{202e}';
            assert!(line.chars().all(plain), "{line:?}");
        }
        assert!(bench.seen.log.has("Banner"));

        let mut bench = Bench::<Client>::at(Stage::Auth, true);
        bench.message(&UserauthBanner {
            message: &[b'x'; 256 * 1024],
            language_tag: b"",
        });
        let packet = |e: &Error| matches!(e, Error::Limit(LimitExceeded::Packet(_)));
        bench.refused(&"256 KiB", packet, PROTOCOL);
    });
}

/// The new password leaves when the application gives one, together with the old, and once.
#[test]
fn c11_a_new_password_is_sent_when_there_is_one() {
    in_every_way(|| {
        let mut bench = client_with(ClientConfig::default(), || Credential::Password("old"));
        let mut expired = vec![60];
        expired.put_string(b"change it");
        expired.put_string(b"");
        let mut questions = 0;
        for _ in 0..2 {
            let got = bench.raw.got.len();
            bench.raw.payload(&expired);
            bench.turn_with(|client, event, _| {
                if let ClientEvent::Authenticate {
                    token,
                    reason: Ask::PasswordExpired { prompt },
                } = event
                {
                    assert_eq!(prompt, b"change it");
                    questions += 1;
                    let credential = Credential::NewPassword {
                        old: "old",
                        new: "new",
                    };
                    let shown = client.authenticate(token, "alice", credential);
                    shown.expect("mine");
                }
            });
            assert_eq!(bench.raw.numbers(got), [50], "one for each question");
            let request = UserauthRequest::decode(&bench.raw.got[got]).expect("a request");
            let expected = AuthMethod::Password {
                password: b"old",
                new_password: Some(b"new"),
            };
            assert_eq!(request.method, expected);
        }
        assert_eq!(questions, 2);
        bench.send(&[SUCCESS]);
        assert!(bench.seen.log.has("Authenticated { by: Password"));
    });
}
