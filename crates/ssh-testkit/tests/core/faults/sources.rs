//! What a connection is given fails: its generator, its signer. Row GI5; memory is in
//! `tests/refused`.

use ssh_proto::config::HostKey;
use ssh_proto::error::{End, Error};
use ssh_proto::random::{Random, RandomError};
use ssh_proto::{Client, ClientEvent, Instant, Server, ServerEvent};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{App, Auth, Pair, Session, key};

use super::live::nothing_but_the_beginning;
use super::{mode_configs, session};

/// Fails once, and works before and after.
struct FailsAt {
    inner: SeededRandom,
    left: Option<u64>,
}

impl Random for FailsAt {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        let left = self.left.take();
        if left == Some(0) {
            // What it left behind must not be used.
            out.fill(0);
            return Err(RandomError);
        }
        self.left = left.map(|left| left - 1);
        self.inner.fill(out);
        Ok(())
    }
}

fn source(seed: u64, fails: Option<u64>) -> Box<FailsAt> {
    Box::new(FailsAt {
        inner: SeededRandom::new(seed),
        left: fails,
    })
}

/// How a session went in which the generator of one side fails at its `n`th call; `None` if it did
/// not even begin.
fn with_failing_random(server_fails: bool, n: u64) -> Option<Session> {
    let (client, server) = mode_configs(0);
    let client = Client::new(client, source(1, (!server_fails).then_some(n)));
    let server = Server::new(server, source(2, server_fails.then_some(n)));
    let (client, server) = match (client, server) {
        (Ok(client), Ok(server)) => (client, server),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => {
            assert_eq!(error.field, "random");
            return None;
        }
        (Err(_), Err(_)) => panic!("only one fails"),
    };
    let mut app = session();
    assert!(Pair::of(3, client, server).run(&mut app), "{app:#?}");
    Some(app)
}

#[test]
fn gi5_a_generator_that_fails_at_any_call_ends_the_connection() {
    for server_fails in [false, true] {
        assert!(with_failing_random(server_fails, 0).is_none());
        let mut calls = 1;
        loop {
            let app = with_failing_random(server_fails, calls).expect("it begins");
            if app.client.done {
                app.check();
                break;
            }
            nothing_but_the_beginning(&app);
            let logs = [&app.client.log, &app.server.log];
            let [other, fails] = logs.map(|log| log.0.last().expect("an end").as_str());
            let [fails, other] = if server_fails {
                [fails, other]
            } else {
                [other, fails]
            };
            assert_eq!(fails, "Ended: the source of randomness failed");
            assert!(other.contains("SSH_DISCONNECT_BY_APPLICATION"), "{other}");
            calls += 1;
        }
        // At the beginning, and for each of two key exchanges.
        assert_eq!(calls, 3, "server: {server_fails}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Signer {
    Declines,
    /// One bit of the signature is wrong.
    FlipsBit,
    SignsSomethingElse,
    UsesAnotherKey,
    /// The signature is cut off, at none of it or behind so many bytes.
    Cuts(usize),
}

const SIGNERS: [Signer; 6] = [
    Signer::Declines,
    Signer::FlipsBit,
    Signer::SignsSomethingElse,
    Signer::UsesAnotherKey,
    Signer::Cuts(0),
    Signer::Cuts(50),
];

impl Signer {
    /// What it gives for `data`, signed with the key of this number or not.
    fn sign(self, number: u8, request: &ssh_proto::auth::SignRequest) -> Option<Vec<u8>> {
        let sign = |number: u8, data: &[u8]| {
            let key = key(number);
            let signature = key.sign(request.algorithm, data, &mut SeededRandom::new(0));
            signature.expect("a signature")
        };
        let mut signature = sign(number, &request.data);
        match self {
            Self::Declines => return None,
            Self::FlipsBit => {
                let last = signature.last_mut().expect("a byte");
                *last ^= 1;
            }
            Self::SignsSomethingElse => signature = sign(number, b"something else"),
            Self::UsesAnotherKey => signature = sign(99, &request.data),
            Self::Cuts(n) => signature.truncate(n),
        }
        Some(signature)
    }
}

/// A session that signs outside on both sides, with a signer that fails at the `left`th request.
struct Signs {
    session: Session,
    server_fails: bool,
    signer: Signer,
    left: Option<usize>,
    failed: bool,
    ends: [Option<End>; 2],
}

impl Signs {
    fn is_due(&mut self, server: bool) -> bool {
        if server != self.server_fails {
            return false;
        }
        let left = self.left.take();
        self.left = left.and_then(|left| left.checked_sub(1));
        self.failed |= left == Some(0);
        left == Some(0)
    }
}

impl App for Signs {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, _now: Instant) {
        match event {
            ClientEvent::Sign(request) if self.is_due(false) => {
                let done = match self.signer.sign(7, &request) {
                    Some(signature) => client.signed(request, &signature),
                    None => client.not_signed(request),
                };
                done.expect("of this connection");
            }
            ClientEvent::Ended(end) => self.ends[0] = Some(end),
            event => self.session.client.on(client, event),
        }
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, _now: Instant) {
        match event {
            ServerEvent::Sign(request) => {
                let signature = if self.is_due(true) {
                    self.signer.sign(1, &request)
                } else {
                    let random = &mut SeededRandom::new(0);
                    key(1).sign(request.algorithm, &request.data, random).ok()
                };
                let done = match signature {
                    Some(signature) => server.signed(request, &signature),
                    None => server.not_signed(request),
                };
                done.expect("of this connection");
            }
            ServerEvent::Ended(end) => self.ends[1] = Some(end),
            event => self.session.server.on(server, event),
        }
    }
}

#[test]
fn gi5_a_signer_that_fails_at_any_request_lets_nobody_in() {
    for server_fails in [false, true] {
        for signer in SIGNERS {
            let mut requests = 0;
            loop {
                let (client, mut server) = mode_configs(0);
                server.host_keys = vec![HostKey::External(key(1).public_key().clone())];
                let mut session = session().auth(Auth::Outside);
                session.client.tolerant = true;
                let mut app = Signs {
                    session,
                    server_fails,
                    signer,
                    left: Some(requests),
                    failed: false,
                    ends: [None, None],
                };
                assert!(Pair::with(1, client, server).run(&mut app));
                if !app.failed {
                    app.session.check();
                    break;
                }
                nothing_but_the_beginning(&app.session);
                let what = format!("{signer:?} at {requests}: {:?}", app.ends);
                if server_fails {
                    let signer = matches!(app.ends[1], Some(End::Error(Error::Signer)));
                    assert!(
                        signer && matches!(app.ends[0], Some(End::ByPeer(_))),
                        "{what}"
                    );
                } else {
                    // The client's application is asked for another credential and has none.
                    let gave_up = matches!(app.ends[0], Some(End::Disconnected));
                    assert!(
                        gave_up && matches!(app.ends[1], Some(End::ByPeer(_))),
                        "{what}"
                    );
                    assert!(!app.session.server.log.has("Auth(KeyProven"), "{what}");
                }
                requests += 1;
            }
            // The server signs in both key exchanges, the client once.
            assert_eq!(requests, 1 + usize::from(server_fails), "{signer:?}");
        }
    }
}
