//! Authentication against the rules, on a server: rows A.

use std::time::Duration;

use ssh_proto::algorithm::SignatureAlgorithm;
use ssh_proto::config::Methods;
use ssh_proto::error::{AuthenticationError, Error, Misuse, PeerMisbehaved};
use ssh_proto::message::{
    AuthMethod, DisconnectReason, ServiceRequest, UserauthBanner, UserauthRequest, Wire, number,
};
use ssh_proto::server::{AuthEvent, ServerEvent};
use ssh_proto::time::TimeoutReason;
use ssh_proto::wire::Sink;
use ssh_proto::{Server, Wants};
use ssh_testkit::raw::{Bench, Stage, in_every_way, key_blob, sign, with_seed};
use ssh_testkit::sim::server_config;

use super::common::{PROTOCOL, misbehaved};

const NO_SERVICE: DisconnectReason = DisconnectReason::SERVICE_NOT_AVAILABLE;
const NO_MORE: DisconnectReason = DisconnectReason::NO_MORE_AUTH_METHODS_AVAILABLE;
const FAILURE: u8 = number::SSH_MSG_USERAUTH_FAILURE;
const SUCCESS: u8 = number::SSH_MSG_USERAUTH_SUCCESS;

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

#[test]
fn a1_not_in_the_handshake_and_not_afterwards() {
    in_every_way(|| {
        for n in [51, 52, 53, 60] {
            for stage in [
                Stage::KexInit,
                Stage::Method,
                Stage::NewKeys,
                Stage::Connected,
                Stage::RekeyMethod,
                Stage::RekeyNewKeys,
            ] {
                for strict in [false, true] {
                    let mut bench = Bench::<Server>::at(stage, strict);
                    bench.send(&[n]);
                    let unexpected = misbehaved(PeerMisbehaved::UnexpectedMessage(n));
                    bench.refused(&(n, stage, strict), unexpected, PROTOCOL);
                    assert_eq!(bench.peer.is_authenticated(), stage >= Stage::Connected);
                }
            }
        }
    });
}

/// A signature of one connection, shown on another: the same key, user and request.
#[test]
fn a7_a_signature_of_another_connection_is_worth_nothing() {
    in_every_way(|| {
        let blob = key_blob(&[7; 32]);
        let prove = |bench: &Bench<Server>| {
            let id = bench.raw.session_id().expect("keys");
            let name = b"ssh-ed25519";
            let data = signed_data(&id, b"alice", b"ssh-connection", name, &blob);
            sign(&[7; 32], &data)
        };
        let mut first = auth();
        let signature = prove(&first);
        let proof = request(b"alice", publickey("ssh-ed25519", &blob, Some(&signature)));
        assert_eq!(answer(&mut first, &proof), [SUCCESS]);
        let mut second = with_seed(2, auth);
        assert_ne!(first.raw.session_id(), second.raw.session_id());
        assert_eq!(answer(&mut second, &proof), [FAILURE]);
        assert!(!second.seen.log.has("Auth("));
        let signature = prove(&second);
        let proof = request(b"alice", publickey("ssh-ed25519", &blob, Some(&signature)));
        assert_eq!(answer(&mut second, &proof), [SUCCESS]);
    });
}

/// What a server takes is a list of algorithms, and nothing that resembles one of them.
#[test]
fn a8_only_the_algorithms_that_the_server_named_are_taken() {
    in_every_way(|| {
        let blob = key_blob(&[7; 32]);
        for (taken, fits) in [
            (vec![SignatureAlgorithm::EcdsaSha2Nistp256], false),
            (
                vec![
                    SignatureAlgorithm::RsaSha2_512,
                    SignatureAlgorithm::RsaSha2_256,
                ],
                false,
            ),
            (vec![SignatureAlgorithm::Ed25519], true),
        ] {
            let mut config = server_config();
            config.user_signatures = taken;
            let mut bench = Bench::<Server>::with(config, true).up_to(Stage::Auth);
            let id = bench.raw.session_id().expect("keys");
            let name = b"ssh-ed25519";
            let data = signed_data(&id, b"alice", b"ssh-connection", name, &blob);
            let signature = sign(&[7; 32], &data);
            for (signature, yes) in [(None, 60), (Some(&signature[..]), SUCCESS)] {
                let message = request(b"alice", publickey("ssh-ed25519", &blob, signature));
                let expected = if fits { yes } else { FAILURE };
                assert_eq!(answer(&mut bench, &message), [expected]);
            }
            assert_eq!(bench.seen.log.has("Auth("), fits);
        }
    });
}

#[test]
fn a9_keys_that_are_none_are_counted() {
    in_every_way(|| {
        let mut bench = auth();
        for n in 0..6 {
            bench.lives(&n);
            let blob = &b"\0\0\0\x0bssh-ed25519\0\0\0\x20"[..14 + n];
            let message = request(b"alice", publickey("ssh-ed25519", blob, None));
            bench.message(&message);
        }
        bench.refused(&"six keys that are none", too_many, NO_MORE);
    });
}

/// A password is bytes: none of them means anything here.
#[test]
fn a13_a_password_is_opaque() {
    in_every_way(|| {
        for secret in [&b"a\0b"[..], b"\xff\xfe", b"", b"\r\n", &[b'%'; 1024]] {
            let mut bench = auth();
            bench.raw.message(&request(b"alice", password(secret)));
            let mut seen = None;
            bench.turn_with(|server, event, _| {
                if let ServerEvent::Auth(AuthEvent::Password {
                    password, decision, ..
                }) = event
                {
                    seen = Some(password.to_vec());
                    server.reject(decision).expect("mine");
                }
            });
            assert_eq!(seen.as_deref(), Some(secret));
        }
    });
}

/// So many keys that a client could try for ever, and devices of keyboard-interactive.
#[test]
fn a15_floods_of_attempts_end_where_the_first_few_do() {
    in_every_way(|| {
        let mut bench = auth();
        for n in 0..10_000_u32 {
            let mut seed = [0; 32];
            seed[..4].copy_from_slice(&(n % 40).to_be_bytes());
            let blob = key_blob(&seed);
            // With another name each time.
            let user = n.to_be_bytes();
            let message = request(&user, publickey("ssh-ed25519", &blob, None));
            bench.raw.message(&message);
        }
        let mut offers = 0;
        bench.turn_with(|server, event, seen| match event {
            ServerEvent::Auth(AuthEvent::KeyOffered { offer, .. }) => {
                offers += 1;
                server.decline(offer).expect("mine");
            }
            ServerEvent::Ended(end) => seen.end = Some(end),
            _ => {}
        });
        assert_eq!(offers, 20);
        bench.refused(&"keys", too_many, NO_MORE);

        let mut bench = auth();
        let got = bench.raw.got.len();
        for _ in 0..10_000 {
            bench.raw.message(&request(
                b"alice",
                AuthMethod::KeyboardInteractive {
                    language_tag: b"",
                    submethods: b"pam,otp,totp",
                },
            ));
        }
        bench.turn();
        bench.refused(&"devices", too_many, NO_MORE);
        assert_eq!(bench.raw.got.len() - got, 6, "five failures and the end");
    });
}

/// Two at a time, step by step: what one proves, tries or is refused is nothing to the other.
#[test]
fn a16_interleaved_sessions_share_nothing() {
    in_every_way(|| {
        let mut benches = [auth(), with_seed(2, auth)];
        let users = [&b"alice"[..], b"bob"];
        // Five of six failures each.
        for n in 0..5 {
            for (bench, user) in benches.iter_mut().zip(users) {
                assert_eq!(
                    answer(bench, &request(user, password(b"wrong"))),
                    [FAILURE],
                    "{n}"
                );
                assert_eq!(bench.peer.user(), user);
            }
        }
        // Alice proves half of it, and bob has proven nothing.
        let [alice, bob] = &mut benches;
        alice.raw.message(&request(b"alice", password(b"secret")));
        alice.turn_with(|server, event, _| {
            if let ServerEvent::Auth(AuthEvent::Password { decision, .. }) = event {
                let more = server.accept_partially(decision, Methods::PUBLICKEY);
                more.expect("mine");
            }
        });
        assert_eq!((alice.peer.proven().len(), bob.peer.proven().len()), (1, 0));
        let blob = key_blob(&[7; 32]);
        let id = alice.raw.session_id().expect("keys");
        let data = signed_data(&id, b"alice", b"ssh-connection", b"ssh-ed25519", &blob);
        let signature = sign(&[7; 32], &data);
        let proof = request(b"alice", publickey("ssh-ed25519", &blob, Some(&signature)));
        // Alice's proof, shown by bob: the sixth failure.
        bob.message(&proof);
        bob.refused(&"bob", too_many, NO_MORE);
        assert!(!bob.peer.is_authenticated());
        assert_eq!(answer(alice, &proof), [SUCCESS]);
        assert!(alice.peer.is_authenticated());
    });
}

/// Nobody looks at the question, or somebody thinks for ever: nobody is let in, and it ends.
#[test]
fn a17_a_question_that_nobody_answers_lets_nobody_in() {
    in_every_way(|| {
        for keep in [false, true] {
            let mut bench = auth();
            let begin = bench.now.since_epoch();
            bench.raw.message(&request(b"alice", password(b"secret")));
            let mut kept = Vec::new();
            bench.turn_with(|_, event, _| {
                if let ServerEvent::Auth(AuthEvent::Password { decision, .. }) = event {
                    // Otherwise it is dropped.
                    kept.extend(keep.then_some(decision));
                }
            });
            assert_eq!(bench.peer.wants(), Wants::Answer);
            for _ in 0..4 {
                if bench.seen.end.is_none() {
                    assert!(bench.wait());
                }
            }
            let late = |e: &Error| matches!(e, Error::Timeout(TimeoutReason::Decision));
            bench.refused(&keep, late, DisconnectReason::BY_APPLICATION);
            assert_eq!(bench.now.since_epoch() - begin, Duration::from_secs(120));
            assert!(!bench.peer.is_authenticated());
            assert!(!bench.raw.numbers(0).contains(&SUCCESS));
        }
    });
}

/// RFC 4252 section 5.4: a banner may be shown while somebody is to be let in, and not after that.
#[test]
fn a_banner_is_shown_during_authentication_and_has_a_bound() {
    let mut bench = Bench::<Server>::at(Stage::Service, true);
    assert_eq!(bench.peer.banner("hello"), Err(Misuse::Ended), "too early");
    bench.proper(Stage::Service);
    bench.turn();
    let (fits, long) = ("x".repeat(8 * 1024), "x".repeat(8 * 1024 + 1));
    let got = bench.raw.got.len();
    assert_eq!(bench.peer.banner(&long), Err(Misuse::Value));
    for text in ["hello", &fits] {
        bench.peer.banner(text).expect("fits");
        bench.turn();
        let banner = bench.raw.got.last().expect("a message");
        let banner = UserauthBanner::decode(banner).expect("a banner");
        assert_eq!(banner.message, text.as_bytes());
    }
    assert_eq!(bench.raw.got.len(), got + 2);
    bench.proper(Stage::Auth);
    bench.turn();
    assert_eq!(bench.peer.banner("hello"), Err(Misuse::Ended), "too late");
    let mut bench = auth();
    bench.peer.disconnect(NO_MORE, "");
    assert_eq!(bench.peer.banner("hello"), Err(Misuse::Ended), "it is over");
}
