//! Row Q3: memory that is given back holds no secret.
//!
//! Sessions run twice from the same seed. The first run tells what the secrets are: the peer by hand
//! derives the same keys as the connection under test. In the second run the allocator looks for
//! all of them in every block that is freed. The connection lives in a block of its own, as it does
//! in a driver, so what it leaves behind in its own fields is found too.

use std::hint::black_box;
use std::sync::{Arc, Mutex};

use ssh_proto::client::{ClientEvent, Credential};
use ssh_proto::config::{ClientConfig, HostKey, ServerConfig};
use ssh_proto::key::PrivateKey;
use ssh_proto::message::{AuthMethod, Ignore, ServiceAccept, ServiceRequest, UserauthRequest};
use ssh_proto::message::UserauthSuccess;
use ssh_proto::random::{Random, RandomError};
use ssh_proto::server::{AuthEvent, ServerEvent};
use ssh_proto::wire::Sink;
use ssh_proto::{Client, Instant, Peer, RecvBuf, Role, Server, Wants};
use ssh_testkit::alloc::{TrackingAllocator, Watch, unwatched, watch};
use ssh_testkit::raw::{Raw, key_blob, sign};
use ssh_testkit::rng::SeededRandom;

#[global_allocator]
static ALLOCATOR: TrackingAllocator = TrackingAllocator;

static PASSWORD: &str = "a password of 36 characters, no less";
static NEW_PASSWORD: &str = "and another one for when it is over.";
static HOST_SEED: [u8; 32] = *b"seed of the host key, 32 bytes!!";
static USER_SEED: [u8; 32] = *b"seed of the user key, 32 bytes!!";

/// Says what it gave.
struct Told(SeededRandom, Arc<Mutex<Vec<[u8; 32]>>>);

impl Random for Told {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        self.0.fill(out);
        if let Ok(given) = <[u8; 32]>::try_from(&*out) {
            unwatched(|| self.1.lock().unwrap().push(given));
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    Password,
    /// After FAILURE, once more with a new one.
    NewPassword,
    Key,
}

trait Subject: Peer + Sized {
    const ROLE: Role;
    fn make(random: Told) -> Self;
    fn on(&mut self, event: Self::Event<'_>, shown: Shown);
}

impl Subject for Client {
    const ROLE: Role = Role::Client;

    fn make(random: Told) -> Self {
        Self::new(ClientConfig::default(), Box::new(random)).unwrap()
    }

    fn on(&mut self, event: ClientEvent<'_>, shown: Shown) {
        match event {
            ClientEvent::HostKey { decision, .. } => self.trust(decision).unwrap(),
            ClientEvent::Authenticate { token, .. } => {
                let key = PrivateKey::from_ed25519_seed(&USER_SEED);
                let credential = match shown {
                    Shown::Password => Credential::Password(PASSWORD),
                    Shown::NewPassword => Credential::NewPassword {
                        old: PASSWORD,
                        new: NEW_PASSWORD,
                    },
                    Shown::Key => Credential::PrivateKey(&key),
                };
                self.authenticate(token, "alice", credential).unwrap();
            }
            _ => {}
        }
    }
}

impl Subject for Server {
    const ROLE: Role = Role::Server;

    fn make(random: Told) -> Self {
        let mut config = ServerConfig::default();
        let key = PrivateKey::from_ed25519_seed(&HOST_SEED);
        config.host_keys = vec![HostKey::Private(Arc::new(key))];
        Self::new(config, Box::new(random)).unwrap()
    }

    fn on(&mut self, event: ServerEvent<'_>, _shown: Shown) {
        match event {
            ServerEvent::Auth(
                AuthEvent::Password { decision, .. } | AuthEvent::KeyProven { decision, .. },
            ) => self.accept(decision).unwrap(),
            ServerEvent::Auth(AuthEvent::KeyOffered { offer, .. }) => self.invite(offer).unwrap(),
            _ => {}
        }
    }
}

/// A session in a block of its own, as a driver has it.
struct Run<P> {
    peer: Box<P>,
    raw: Raw,
    rx: RecvBuf,
    shown: Shown,
    given: Arc<Mutex<Vec<[u8; 32]>>>,
}

/// What the peer by hand does, in order: a session, new keys, and a little more.
const STEPS: usize = 10;

impl<P: Subject> Run<P> {
    fn new(shown: Shown) -> Self {
        let given = unwatched(Arc::default);
        let random = Told(SeededRandom::new(5), Arc::clone(&given));
        Self {
            peer: Box::new(P::make(random)),
            raw: Raw::new(P::ROLE.peer(), true),
            rx: RecvBuf::new(),
            shown,
            given,
        }
    }

    fn step(&mut self, step: usize) {
        unwatched(|| match step {
            0 => self.raw.identify(),
            1 | 6 => self.raw.kexinit(),
            2 | 7 => self.raw.method(),
            3 | 8 => self.raw.newkeys(),
            4 => self.service(),
            5 => self.authenticate(),
            _ => self.raw.message(&Ignore { data: b"still here" }),
        });
        self.turn();
    }

    fn service(&mut self) {
        let service_name = "ssh-userauth";
        match P::ROLE {
            Role::Server => self.raw.message(&ServiceRequest { service_name }),
            Role::Client => self.raw.message(&ServiceAccept { service_name }),
        }
    }

    fn authenticate(&mut self) {
        if P::ROLE == Role::Client {
            return self.raw.message(&UserauthSuccess);
        }
        let key = key_blob(&USER_SEED);
        let mut request = UserauthRequest {
            user_name: b"alice",
            service_name: "ssh-connection",
            method: AuthMethod::Password {
                password: PASSWORD.as_bytes(),
                new_password: (self.shown == Shown::NewPassword)
                    .then_some(NEW_PASSWORD.as_bytes()),
            },
        };
        let mut signature = Vec::new();
        if self.shown == Shown::Key {
            let mut data = Vec::new();
            data.put_string(&self.raw.session_id().unwrap());
            data.put_u8(50);
            for field in [&b"alice"[..], b"ssh-connection", b"publickey"] {
                data.put_string(field);
            }
            data.put_u8(1);
            data.put_string(b"ssh-ed25519");
            data.put_string(&key);
            signature = sign(&USER_SEED, &data);
            request.method = AuthMethod::Publickey {
                algorithm: "ssh-ed25519",
                key: &key,
                signature: Some(&signature),
            };
        }
        self.raw.message(&request);
        drop(signature);
    }

    fn turn(&mut self) {
        let input = unwatched(|| self.raw.take_output());
        // In pieces, so that packets wait in part.
        for piece in input.chunks(300) {
            self.rx.push(piece);
            loop {
                match self.peer.poll_event(&mut self.rx.batch(), Instant::EPOCH) {
                    Some(event) => self.peer.on(event, self.shown),
                    None if self.peer.wants() == Wants::Batch => {}
                    None => break,
                }
            }
            self.collect();
        }
        self.collect();
    }

    fn collect(&mut self) {
        let mut output = Vec::new();
        self.peer.take_output(&mut output);
        unwatched(|| self.raw.receive(&output));
    }

    /// The peer is left to the end of its life; the test's own half goes unseen.
    fn end(self) -> Secrets {
        let Self {
            peer,
            raw,
            rx,
            given,
            ..
        } = self;
        drop((peer, rx));
        unwatched(|| {
            let (derived, given) = (raw.secrets.clone(), given.lock().unwrap().clone());
            drop(raw);
            Secrets { derived, given }
        })
    }
}

struct Secrets {
    /// Of two exchanges K and six keys.
    derived: Vec<[u8; 32]>,
    /// By the source of randomness.
    given: Vec<[u8; 32]>,
}

fn session<P: Subject>(shown: Shown, steps: usize) -> Secrets {
    let mut run = Run::<P>::new(shown);
    run.turn();
    for step in 0..steps {
        run.step(step);
    }
    if steps == STEPS {
        assert!(run.peer.is_authenticated() && !run.peer.has_ended());
    }
    run.end()
}

/// Watches for everything that is secret in a session of which `secrets` are derived.
fn all(secrets: &Secrets) -> Watch {
    let watch = watch(PASSWORD.as_bytes());
    for secret in [NEW_PASSWORD.as_bytes(), &HOST_SEED, &USER_SEED] {
        watch.also(secret);
    }
    for secret in secrets.derived.iter().chain(&secrets.given) {
        watch.also(secret);
    }
    watch
}

fn q3<P: Subject>() {
    for shown in [Shown::Password, Shown::NewPassword, Shown::Key] {
        let secrets = session::<P>(shown, STEPS);
        assert_eq!((secrets.derived.len(), secrets.given.len()), (2 * 7, 3));
        // Cut off wherever it is.
        for steps in 0..=STEPS {
            let watch = all(&secrets);
            let same = session::<P>(shown, steps);
            let (hits, which, size) = (watch.hits(), watch.last_secret(), watch.last_block());
            drop(watch);
            assert!(secrets.derived.starts_with(&same.derived), "{steps}");
            unwatched(|| drop(same));
            let role = P::ROLE;
            assert_eq!(hits, 0, "{role:?} {shown:?} {steps}: {which:?} in {size:?}");
        }
    }
}

#[test]
fn q3_a_client_leaves_no_secret_in_freed_memory() {
    q3::<Client>();
}

#[test]
fn q3_a_server_leaves_no_secret_in_freed_memory() {
    q3::<Server>();
}

/// The same scan finds each of these secrets if somebody makes a copy and forgets it.
#[test]
fn q3_a_copy_that_is_not_wiped_is_found() {
    let secrets = session::<Client>(Shown::Password, STEPS);
    let watch = all(&secrets);
    let all = unwatched(|| [secrets.derived, secrets.given].concat());
    for (number, secret) in all.iter().enumerate() {
        drop(black_box([&b"before"[..], secret, b"behind"].concat()));
        assert_eq!(watch.hits(), number + 1);
        assert_eq!(watch.last_secret(), Some(4 + number));
    }
    unwatched(|| drop(black_box(PASSWORD.to_owned())));
    assert_eq!(watch.hits(), all.len(), "the test's own half");
    unwatched(|| drop(all));
}
