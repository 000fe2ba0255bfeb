//! Authentication against the rules, on both sides: rows A and C.

use ssh_proto::auth::AuthenticatedBy;
use ssh_proto::client::{Ask, ClientEvent, Credential, Probe};
use ssh_proto::config::{ClientConfig, Methods};
use ssh_proto::error::{AuthenticationError, Error, PeerMisbehaved};
use ssh_proto::message::{
    AuthMethod, DisconnectReason, ExtInfo, Extension, List, ServiceRequest, UserauthBanner,
    UserauthPkOk, UserauthRequest, number,
};
use ssh_proto::server::{AuthEvent, ServerEvent};
use ssh_proto::wire::Sink;
use ssh_proto::{Client, Server};
use ssh_testkit::raw::{Bench, Stage, in_every_way, key_blob, sign};
use ssh_testkit::sim::{key, server_config};

const PROTOCOL: DisconnectReason = DisconnectReason::PROTOCOL_ERROR;
const NO_SERVICE: DisconnectReason = DisconnectReason::SERVICE_NOT_AVAILABLE;
const NO_MORE: DisconnectReason = DisconnectReason::NO_MORE_AUTH_METHODS_AVAILABLE;
const FAILURE: u8 = number::SSH_MSG_USERAUTH_FAILURE;
const SUCCESS: u8 = number::SSH_MSG_USERAUTH_SUCCESS;

fn misbehaved(rule: PeerMisbehaved) -> impl Fn(&Error) -> bool {
    move |error| matches!(error, Error::PeerMisbehaved(broken) if *broken == rule)
}

fn too_many(error: &Error) -> bool {
    let limit = AuthenticationError::TooManyAttempts;
    matches!(error, Error::Authentication(e) if *e == limit)
}

const fn request<'a>(user_name: &'a [u8], method: AuthMethod<'a>) -> UserauthRequest<'a> {
    UserauthRequest {
        user_name,
        service_name: "ssh-connection",
        method,
    }
}

const fn password(password: &[u8]) -> AuthMethod<'_> {
    AuthMethod::Password {
        password,
        new_password: None,
    }
}

const fn publickey<'a>(
    algorithm: &'a str,
    key: &'a [u8],
    signature: Option<&'a [u8]>,
) -> AuthMethod<'a> {
    AuthMethod::Publickey {
        algorithm,
        key,
        signature,
    }
}

fn auth() -> Bench<Server> {
    Bench::at(Stage::Auth, true)
}

/// Sends it, and returns the numbers of what came back.
fn answer(bench: &mut Bench<Server>, message: &UserauthRequest<'_>) -> Vec<u8> {
    let got = bench.raw.got.len();
    bench.message(message);
    bench.raw.numbers(got)
}

/// What is signed, put together by hand (RFC 4252 section 7).
fn signed_data(
    session_id: &[u8],
    user: &[u8],
    service: &[u8],
    algorithm: &[u8],
    key: &[u8],
) -> Vec<u8> {
    let mut data = Vec::new();
    data.put_string(session_id);
    data.put_u8(50);
    data.put_string(user);
    data.put_string(service);
    data.put_string(b"publickey");
    data.put_u8(1);
    data.put_string(algorithm);
    data.put_string(key);
    data
}

#[test]
fn a1_a_client_cannot_declare_itself_authenticated() {
    in_every_way(|| {
        for n in [51, 52, 53, 60] {
            for stage in [Stage::Service, Stage::Auth] {
                let mut bench = Bench::<Server>::at(stage, true);
                bench.send(&[n]);
                bench.refused(
                    &n,
                    misbehaved(PeerMisbehaved::UnexpectedMessage(n)),
                    PROTOCOL,
                );
                assert!(!bench.peer.is_authenticated());
            }
        }
    });
}

#[test]
fn a2_no_channel_before_success() {
    in_every_way(|| {
        for stage in [
            Stage::KexInit,
            Stage::Method,
            Stage::NewKeys,
            Stage::Service,
            Stage::Auth,
        ] {
            for n in 80..=100 {
                let mut bench = Bench::<Server>::at(stage, false);
                bench
                    .raw
                    .payload(&[n, 0, 0, 0, 7, b's', b'e', b's', b's', b'i', b'o', b'n']);
                bench.proper(stage);
                bench.turn();
                bench.refused(
                    &n,
                    misbehaved(PeerMisbehaved::UnexpectedMessage(n)),
                    PROTOCOL,
                );
                assert_eq!(bench.peer.channels(), 0);
            }
        }
    });
}

#[test]
fn a3_the_order_of_services() {
    in_every_way(|| {
        let mut bench = Bench::<Server>::at(Stage::Service, true);
        bench.message(&request(b"alice", password(b"secret")));
        bench.refused(
            &"50 first",
            misbehaved(PeerMisbehaved::UnexpectedMessage(50)),
            PROTOCOL,
        );
        for service_name in ["ssh-connection", "shell"] {
            let mut bench = Bench::<Server>::at(Stage::Service, true);
            bench.message(&ServiceRequest { service_name });
            let unknown = misbehaved(PeerMisbehaved::ServiceUnknown);
            bench.refused(&service_name, unknown, NO_SERVICE);

            let mut bench = auth();
            bench.message(&UserauthRequest {
                user_name: b"alice",
                service_name: if service_name == "shell" {
                    "shell"
                } else {
                    "ssh-userauth"
                },
                method: password(b"secret"),
            });
            let unknown = misbehaved(PeerMisbehaved::ServiceUnknown);
            bench.refused(&service_name, unknown, NO_SERVICE);
            assert!(!bench.peer.is_authenticated());
        }
        let mut bench = Bench::<Server>::at(Stage::Connected, true);
        let events = bench.seen.events;
        assert!(answer(&mut bench, &request(b"bob", password(b"x"))).is_empty());
        assert_eq!(bench.seen.events, events, "ignored after success");
        bench.lives(&"50 after success");
    });
}

#[test]
fn a4_another_user_begins_from_nothing() {
    in_every_way(|| {
        let mut bench = auth();
        let mut proven = Vec::new();
        for user in [&b"alice"[..], b"alice", b"bob", b"alice"] {
            bench.raw.message(&request(user, password(b"secret")));
            bench.turn_with(|server, event, _| {
                if let ServerEvent::Auth(AuthEvent::Password { decision, .. }) = event {
                    proven.push(server.proven().len());
                    server
                        .accept_partially(decision, Methods::PUBLICKEY)
                        .expect("mine");
                }
            });
        }
        // The second password of alice is not even asked about: what is still wanted is a key.
        assert_eq!(proven, [0, 0, 0]);
    });
}

#[test]
fn a11_one_factor_is_not_two() {
    in_every_way(|| {
        let mut bench = auth();
        let mut asked = 0;
        for _ in 0..3 {
            bench.raw.message(&request(b"alice", password(b"secret")));
            bench.turn_with(|server, event, _| {
                if let ServerEvent::Auth(AuthEvent::Password { decision, .. }) = event {
                    asked += 1;
                    server
                        .accept_partially(decision, Methods::PUBLICKEY)
                        .expect("mine");
                }
            });
        }
        assert_eq!(asked, 1);
        assert!(!bench.peer.is_authenticated());
        bench.lives(&"two refusals");
    });
}

#[test]
fn a_method_that_is_not_offered_is_refused_without_asking() {
    in_every_way(|| {
        let mut config = server_config();
        config.methods = Methods::PUBLICKEY;
        let mut bench = Bench::<Server>::with(config, true).up_to(Stage::Auth);
        let answer = answer(&mut bench, &request(b"alice", password(b"secret")));
        assert_eq!(answer, [FAILURE]);
        bench.lives(&"a password that nobody wants");
    });
}

/// As paramiko does before each attempt.
#[test]
fn a_service_may_be_requested_again_and_nothing_is_forgotten() {
    in_every_way(|| {
        let mut bench = auth();
        bench.raw.message(&request(b"alice", password(b"secret")));
        bench.turn_with(|server, event, _| {
            if let ServerEvent::Auth(AuthEvent::Password { decision, .. }) = event {
                server
                    .accept_partially(decision, Methods::PUBLICKEY)
                    .expect("mine");
            }
        });
        bench.message(&ServiceRequest {
            service_name: "ssh-userauth",
        });
        bench.lives(&"the service again");
        assert_eq!(bench.peer.proven().len(), 1);
    });
}

#[test]
fn a5_the_key_that_signed_is_the_key_that_counts() {
    in_every_way(|| {
        let mut bench = auth();
        let id = bench.raw.session_id().expect("keys");
        let (a, b) = (key_blob(&[7; 32]), key_blob(&[8; 32]));
        for offered in [&b, &a] {
            let offer = request(b"alice", publickey("ssh-ed25519", offered, None));
            assert_eq!(answer(&mut bench, &offer), [60]);
        }
        let data = signed_data(&id, b"alice", b"ssh-connection", b"ssh-ed25519", &b);
        let signature = sign(&[8; 32], &data);
        let proof = publickey("ssh-ed25519", &b, Some(&signature));
        bench.raw.message(&request(b"alice", proof));
        let mut proven = None;
        bench.turn_with(|server, event, _| {
            if let ServerEvent::Auth(AuthEvent::KeyProven { key, decision, .. }) = event {
                proven = Some(key.blob().to_vec());
                server.reject(decision).expect("mine");
            }
        });
        assert_eq!(proven.as_deref(), Some(&b[..]));
    });
}

#[test]
fn a7_a_signature_is_good_for_one_session_user_service_algorithm_and_key() {
    in_every_way(|| {
        let blob = key_blob(&[7; 32]);
        let other = key_blob(&[8; 32]);
        let id = auth().raw.session_id().expect("keys");
        let mut wrong_id = id;
        wrong_id[31] ^= 1;
        let (user, service, name) = (
            b"alice".as_slice(),
            b"ssh-connection".as_slice(),
            b"ssh-ed25519",
        );
        let cases = [
            signed_data(&wrong_id, user, service, name, &blob),
            signed_data(&id[..31], user, service, name, &blob),
            signed_data(&id, b"bob", service, name, &blob),
            signed_data(&id, user, b"ssh-userauth", name, &blob),
            signed_data(&id, user, service, b"ssh-ed448xx", &blob),
            signed_data(&id, user, service, name, &other),
            b"".to_vec(),
        ];
        for data in cases {
            let mut bench = auth();
            let signature = sign(&[7; 32], &data);
            let proof = request(user, publickey("ssh-ed25519", &blob, Some(&signature)));
            assert_eq!(answer(&mut bench, &proof), [FAILURE]);
            assert!(!bench.seen.log.has("Auth(KeyProven"));
            bench.lives(&"a wrong signature");
        }
        // Of the key, but by another one; cut; and finally right.
        let mut bench = auth();
        let data = signed_data(&id, user, service, name, &blob);
        let right = sign(&[7; 32], &data);
        for signature in [&sign(&[8; 32], &data)[..], &right[..right.len() - 1], b""] {
            let proof = request(user, publickey("ssh-ed25519", &blob, Some(signature)));
            assert_eq!(answer(&mut bench, &proof), [FAILURE]);
        }
        let proof = request(user, publickey("ssh-ed25519", &blob, Some(&right)));
        assert_eq!(answer(&mut bench, &proof), [SUCCESS]);
    });
}

#[test]
fn a8_a9_an_algorithm_must_fit_the_key_and_a_key_that_is_none_fails_alone() {
    in_every_way(|| {
        let blob = key_blob(&[7; 32]);
        let mut rsa = Vec::new();
        rsa.put_string(b"ssh-rsa");
        rsa.put_string(&[1, 0, 1]);
        rsa.put_string(&[&[0][..], &[0xff; 2049]].concat());
        for (algorithm, key) in [
            ("ecdsa-sha2-nistp256", &blob[..]),
            ("rsa-sha2-512", &blob),
            ("ssh-rsa", &rsa),
            ("rsa-sha2-512", &rsa),
            ("ssh-ed25519", b""),
            ("ssh-ed25519", &blob[..30]),
            ("ssh-ed25519", b"\xff\xff\xff\xffssh"),
            ("x", &blob),
        ] {
            for signature in [None, Some(&b"\0\0\0\x0bssh-ed25519\0\0\0\0"[..])] {
                let mut bench = auth();
                let message = request(b"alice", publickey(algorithm, key, signature));
                assert_eq!(answer(&mut bench, &message), [FAILURE], "{algorithm}");
                assert!(!bench.seen.log.has("Auth("), "{algorithm}");
                bench.lives(&algorithm);
            }
        }
    });
}

#[test]
fn a12_methods_that_are_unknown_fail() {
    in_every_way(|| {
        for method in [
            AuthMethod::Unknown {
                name: "gssapi-with-mic",
                data: b"\xff\xff\xff\xff",
            },
            AuthMethod::KeyboardInteractive {
                language_tag: b"",
                submethods: b"",
            },
            AuthMethod::Hostbased {
                algorithm: "ssh-ed25519",
                host_key: b"",
                client_host_name: b"",
                client_user_name: b"",
                signature: b"",
            },
        ] {
            let mut bench = auth();
            assert_eq!(answer(&mut bench, &request(b"alice", method)), [FAILURE]);
            bench.lives(&method);
        }
    });
}

#[test]
fn a13_a_long_password_fails_without_being_looked_at() {
    in_every_way(|| {
        for (length, asked) in [(1024, true), (1025, false), (30_000, false)] {
            for change in [false, true] {
                let mut bench = auth();
                let long = vec![0xff; length];
                let method = AuthMethod::Password {
                    password: if change { b"old" } else { &long },
                    new_password: change.then_some(&long),
                };
                assert_eq!(answer(&mut bench, &request(b"alice", method)), [FAILURE]);
                assert_eq!(bench.seen.log.has("Auth(Password"), asked, "{length}");
                bench.lives(&length);
            }
        }
    });
}

#[test]
fn a15_attempts_and_probes_are_counted() {
    in_every_way(|| {
        let mut bench = auth();
        for n in 1..=6 {
            bench.lives(&n);
            bench.message(&request(b"alice", password(b"wrong")));
        }
        bench.refused(&"six failures", too_many, NO_MORE);
        // Changing the name does not start the count again.
        let mut bench = auth();
        for n in 0..6_u8 {
            bench.lives(&n);
            bench.message(&request(&[b'a' + n], password(b"wrong")));
        }
        bench.refused(&"six names", too_many, NO_MORE);
        let mut bench = auth();
        for n in 0..21 {
            bench.lives(&n);
            let blob = key_blob(&[n; 32]);
            bench.message(&request(b"alice", publickey("ssh-ed25519", &blob, None)));
        }
        bench.refused(&"21 probes", too_many, NO_MORE);
        // The first `none` is a question, the others are attempts.
        let mut bench = auth();
        for n in 0..7 {
            bench.lives(&n);
            bench.message(&request(b"alice", AuthMethod::None));
        }
        bench.refused(&"none", too_many, NO_MORE);
    });
}

#[test]
fn a18_names_are_opaque_and_bounded() {
    in_every_way(|| {
        for name in [
            &b""[..],
            b"\0",
            b"$(x)",
            b"../..",
            b"a\nb",
            b"\xff\xfe",
            &[b'x'; 1024],
        ] {
            let mut bench = auth();
            let message = request(name, AuthMethod::None);
            assert_eq!(answer(&mut bench, &message), [FAILURE]);
            assert!(bench.seen.log.has("Auth(None"), "{name:?}");
            assert_eq!(bench.peer.user(), name);
            let shown = bench.seen.log.0.join("");
            assert!(!shown.contains(['\n', '\0']), "{shown}");
        }
        for length in [1025, 30_000] {
            let mut bench = auth();
            let long = vec![b'x'; length];
            let message = request(&long, password(b"secret"));
            assert_eq!(answer(&mut bench, &message), [FAILURE]);
            assert!(!bench.seen.log.has("Auth("), "{length}");
        }
    });
}

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
