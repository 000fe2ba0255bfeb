//! A connection under test and its peer by hand, from the first byte to the end or cut off on the way.

use std::sync::{Arc, Mutex};

use ssh_proto::algorithm::{Algorithms, CompressionAlgorithm, KexAlgorithm};
use ssh_proto::client::{ClientEvent, Credential};
use ssh_proto::config::{ClientConfig, HostKey, ServerConfig};
use ssh_proto::key::PrivateKey;
use ssh_proto::message::{
    AuthMethod, Ignore, ServiceAccept, ServiceRequest, UserauthRequest, UserauthSuccess,
};
use ssh_proto::random::{Random, RandomError};
use ssh_proto::server::{AuthEvent, ServerEvent};
use ssh_proto::wire::Sink;
use ssh_proto::{Client, Instant, Peer, RecvBuf, Role, Server, Wants};
use ssh_testkit::alloc::unwatched;
use ssh_testkit::raw::{Family, Raw, key_blob, sign};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{rsa_numbers, transient_rsa};

use super::known::{Secrets, ephemeral, exponents};
use super::{HOST_SEED, NEW_PASSWORD, PASSWORD, USER_SEED};

/// Says what it gave.
pub(super) struct Told(SeededRandom, Arc<Mutex<Vec<[u8; 32]>>>);

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
pub(super) enum Shown {
    Password,
    /// After FAILURE, once more with a new one.
    NewPassword,
    Key,
}

/// What is agreed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) kex: KexAlgorithm,
    pub(super) compression: CompressionAlgorithm,
}

impl Terms {
    pub(super) const fn kex(kex: KexAlgorithm) -> Self {
        Self {
            kex,
            compression: CompressionAlgorithm::None,
        }
    }

    fn narrow(self, algorithms: &mut Algorithms) {
        algorithms.kex = vec![self.kex];
        algorithms.compression_client_to_server = vec![self.compression];
        algorithms.compression_server_to_client = vec![self.compression];
    }
}

pub(super) trait Subject: Peer + Sized {
    const ROLE: Role;
    fn make(terms: Terms, random: Told) -> Self;
    fn on(&mut self, event: Self::Event<'_>, shown: Shown);
}

impl Subject for Client {
    const ROLE: Role = Role::Client;

    fn make(terms: Terms, random: Told) -> Self {
        let mut config = ClientConfig::default();
        terms.narrow(&mut config.transport.algorithms);
        config.transport.group_exchange.preferred = 2048;
        Self::new(config, Box::new(random)).unwrap()
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

    fn make(terms: Terms, random: Told) -> Self {
        let mut config = ServerConfig::default();
        terms.narrow(&mut config.transport.algorithms);
        // It outlives the watch, as that of a server outlives its connections.
        config.transient_rsa = Some(unwatched(transient_rsa));
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
    pub(super) peer: Box<P>,
    pub(super) raw: Raw,
    pub(super) rx: RecvBuf,
    pub(super) shown: Shown,
    pub(super) given: Arc<Mutex<Vec<[u8; 32]>>>,
}

/// What the peer by hand does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    Identify,
    KexInit,
    Method,
    NewKeys,
    Service,
    Authenticate,
    Ignore,
}

/// A session, new keys, and a little more, in order.
pub(super) fn steps<P: Subject>(kex: KexAlgorithm) -> Vec<Step> {
    use Step::{Authenticate, Identify, Ignore, KexInit, Method, NewKeys, Service};
    let methods = match (Family::of(kex.name()), P::ROLE) {
        (Family::GroupExchange, _) | (Family::Rsa, Role::Client) => 2,
        _ => 1,
    };
    let exchange = || {
        [KexInit]
            .into_iter()
            .chain([Method].repeat(methods))
            .chain([NewKeys])
    };
    let mut all = vec![Identify];
    all.extend(exchange());
    all.extend([Service, Authenticate]);
    all.extend(exchange());
    all.push(Ignore);
    all
}

impl<P: Subject> Run<P> {
    fn new(terms: Terms, shown: Shown) -> Self {
        let given = unwatched(Arc::default);
        let random = Told(SeededRandom::new(5), Arc::clone(&given));
        let raw = unwatched(|| {
            let mut raw = Raw::new(P::ROLE.peer(), true);
            raw.offer.lists[0] = raw.offer.lists[0].replace("curve25519-sha256", terms.kex.name());
            for slot in [6, 7] {
                raw.offer.lists[slot] = terms.compression.name().to_owned();
            }
            raw.rsa = Some(rsa_numbers());
            raw
        });
        Self {
            peer: Box::new(P::make(terms, random)),
            raw,
            rx: RecvBuf::new(),
            shown,
            given,
        }
    }

    fn step(&mut self, step: Step) {
        unwatched(|| match step {
            Step::Identify => self.raw.identify(),
            Step::KexInit => self.raw.kexinit(),
            Step::Method => self.raw.method(),
            Step::NewKeys => self.raw.newkeys(),
            Step::Service => self.service(),
            Step::Authenticate => self.authenticate(),
            Step::Ignore => self.raw.message(&Ignore {
                data: b"still here",
            }),
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
                new_password: (self.shown == Shown::NewPassword).then_some(NEW_PASSWORD.as_bytes()),
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
        unwatched(move || {
            let given_out = given.lock().unwrap().clone();
            let secrets = Secrets {
                derived: raw.secrets.clone(),
                parts: raw.parts.clone(),
                exponents: exponents(&raw, &given_out),
                ephemeral: ephemeral(&raw, &given_out),
                given: given_out,
            };
            drop((raw, given));
            secrets
        })
    }
}

pub(super) fn session<P: Subject>(terms: Terms, shown: Shown, count: usize) -> Secrets {
    let mut run = Run::<P>::new(terms, shown);
    run.turn();
    let steps = unwatched(|| steps::<P>(terms.kex));
    for &step in &steps[..count] {
        run.step(step);
    }
    if count == steps.len() {
        assert!(run.peer.is_authenticated() && !run.peer.has_ended());
    }
    unwatched(|| drop(steps));
    run.end()
}
