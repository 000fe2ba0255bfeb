//! Row Q3: memory that is given back holds no secret.
//!
//! Sessions run twice from the same seed. The first run tells what the secrets are: the peer by hand
//! derives the same keys as the connection under test. In the second run the allocator looks for
//! all of them in every block that is freed. The connection lives in a block of its own, as it does
//! in a driver, so what it leaves behind in its own fields is found too.

use std::hint::black_box;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use num_bigint::BigUint;
use sha2::Sha256;
use ssh_blocking::{FixedUsers, Login, Required, Trust};
use ssh_keys::authorized_keys::AuthorizedKeys;
use ssh_keys::openssh::{Limits, Protection};
use ssh_keys::{KeyPair, PublicKeyLine, SigningKey};
use ssh_proto::algorithm::{Algorithms, CompressionAlgorithm, KexAlgorithm};
use ssh_proto::client::{ClientEvent, Credential};
use ssh_proto::config::{ClientConfig, HostKey, Methods, ServerConfig};
use ssh_proto::fuzzing::{self, Packets};
use ssh_proto::key::PrivateKey;
use ssh_proto::message::UserauthSuccess;
use ssh_proto::message::{AuthMethod, Ignore, ServiceAccept, ServiceRequest, UserauthRequest};
use ssh_proto::random::{Random, RandomError};
use ssh_proto::server::{AuthEvent, ServerEvent};
use ssh_proto::wire::{Reader, Sink};
use ssh_proto::{Client, Instant, Peer, RecvBuf, Role, Server, Wants};
use ssh_testkit::alloc::{Left, Watch, left_behind, unwatched, watch};
use ssh_testkit::raw::{Family, Group, Raw, Strings, key_blob, sign};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{rsa_numbers, transient_rsa};

/// What another test frees meanwhile is its own business.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

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

/// What is agreed on.
#[derive(Clone, Copy, Debug)]
struct Terms {
    kex: KexAlgorithm,
    compression: CompressionAlgorithm,
}

impl Terms {
    const fn kex(kex: KexAlgorithm) -> Self {
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

trait Subject: Peer + Sized {
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
    peer: Box<P>,
    raw: Raw,
    rx: RecvBuf,
    shown: Shown,
    given: Arc<Mutex<Vec<[u8; 32]>>>,
}

/// What the peer by hand does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Identify,
    KexInit,
    Method,
    NewKeys,
    Service,
    Authenticate,
    Ignore,
}

/// A session, new keys, and a little more, in order.
fn steps<P: Subject>(kex: KexAlgorithm) -> Vec<Step> {
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

struct Secrets {
    /// Of two exchanges K and six keys.
    derived: Vec<Vec<u8>>,
    /// What K of a hybrid was made of.
    parts: Vec<Vec<u8>>,
    /// The exponents of Diffie-Hellman, big-endian.
    exponents: Vec<[u8; 32]>,
    /// What was drawn for the private keys on curves and of KEMs, and short polynomials of sntrup761.
    ephemeral: Vec<Vec<u8>>,
    /// By the source of randomness.
    given: Vec<[u8; 32]>,
}

/// The exponents of this side, made from what the source of randomness gave as it is described in
/// `ssh_proto::random`, and compared with the public values that came of them.
fn exponents(raw: &Raw, given: &[[u8; 32]]) -> Vec<[u8; 32]> {
    let group = Group::group14();
    let number = match (raw.family(), raw.role) {
        (Family::Fixed, Role::Server) => 30,
        (Family::Fixed, Role::Client) => 31,
        (Family::GroupExchange, Role::Server) => 32,
        (Family::GroupExchange, Role::Client) => 33,
        _ => return Vec::new(),
    };
    let values = raw.got.iter().filter(|payload| payload[0] == number);
    let values = values.map(|payload| {
        let mut r = Reader::new(&payload[1..]);
        if matches!(number, 31 | 33) {
            r.string().unwrap();
        }
        BigUint::from_bytes_be(r.mpint().unwrap().as_unsigned())
    });
    // A server that chooses a group has drawn 8 bytes for that.
    let before = if number == 33 { 8 } else { 0 };
    let mut all = Vec::new();
    for (value, drawn) in values.zip(drawn(given, before + 32)) {
        let exponent: [u8; 32] = drawn[before..].try_into().unwrap();
        let x = BigUint::from_bytes_be(&exponent);
        assert_eq!(group.g.modpow(&x, &group.p), value, "not the exponent");
        all.push(exponent);
    }
    all
}

/// The first so many bytes of what each exchange draws for ephemeral keys, from what the source of
/// randomness gave, as it is described in `ssh_proto::random`.
fn drawn(given: &[[u8; 32]], bytes: usize) -> impl Iterator<Item = Vec<u8>> {
    let hmac = |key: &[u8; 32], input: &[u8]| -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(input);
        mac.finalize().into_bytes().into()
    };
    let mut key = hmac(&given[0], b"kex");
    given[1..].iter().map(move |fresh| {
        key = hmac(&key, fresh);
        let mut all = Vec::new();
        while all.len() < bytes {
            let mut output = [0; 128];
            ctr::Ctr128BE::<aes::Aes256>::new(&key.into(), &[0; 16].into())
                .apply_keystream(&mut output);
            key = *output.first_chunk().unwrap();
            all.extend_from_slice(&output[32..]);
        }
        all.truncate(bytes);
        all
    })
}

/// What this side's private keys on curves and of KEMs were made of, compared with the public values
/// that came of it.
fn ephemeral(raw: &Raw, given: &[[u8; 32]]) -> Vec<Vec<u8>> {
    if raw.family() != Family::Curve {
        return Vec::new();
    }
    let name = raw.method_name();
    let method = Strings::of(&name);
    let scalar_len = method.scalar_len();
    let is_client = raw.role == Role::Server;
    // Four bytes for each coefficient.
    const NOISE: usize = 4 * 761;
    let kem = match (name.starts_with("sntrup761"), is_client) {
        _ if !method.is_hybrid() => 0,
        (true, true) => 2 * NOISE + 191,
        (true, false) => NOISE,
        (false, true) => 64,
        (false, false) => 32,
    };
    let values = raw
        .got
        .iter()
        .filter(|payload| matches!(payload[0], 30 | 31));
    let mut all = Vec::new();
    for (payload, drawn) in values.zip(drawn(given, kem + scalar_len)) {
        let mut r = Reader::new(&payload[1..]);
        if !is_client {
            r.string().unwrap();
        }
        let value = r.string().unwrap();
        // A client makes the key of the KEM first, a server encapsulates last.
        let (kem, scalar) = if is_client {
            drawn.split_at(kem)
        } else {
            let (scalar, kem) = drawn.split_at(scalar_len);
            (kem, scalar)
        };
        let public = &value[value.len() - method.curve_len()..];
        assert_eq!(method.public(scalar), public, "not the scalar");
        all.extend(either_way(scalar));
        match kem.len() {
            0..=64 => all.extend(kem.chunks(32).map(<[u8]>::to_vec)),
            // g, f and rho; or r.
            _ => {
                let g = if is_client { NOISE } else { 0 };
                let (short, rho) = kem[g..].split_at(NOISE);
                all.extend(
                    [
                        &kem[..PART],
                        &short[..PART],
                        &short_polynomial(short)[..PART],
                    ]
                    .map(<[u8]>::to_vec),
                );
                all.extend(rho.chunks(PART).take(1).map(<[u8]>::to_vec));
            }
        }
    }
    all
}

/// The short polynomial of sntrup761 that is made of this noise, a byte for each coefficient.
fn short_polynomial(noise: &[u8]) -> Vec<u8> {
    let words = noise
        .chunks(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    let mut tagged: Vec<u32> = words
        .enumerate()
        .map(|(i, word)| if i < 286 { word & !1 } else { word & !2 | 1 })
        .collect();
    tagged.sort_unstable();
    tagged
        .iter()
        .map(|word| (word & 3).wrapping_sub(1) as u8)
        .collect()
}

/// As it is written, and as its words lie.
fn either_way(secret: &[u8]) -> [Vec<u8>; 2] {
    let secret = &secret[secret.len().saturating_sub(64)..];
    [secret.to_vec(), secret.iter().rev().copied().collect()]
}

fn session<P: Subject>(terms: Terms, shown: Shown, count: usize) -> Secrets {
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

/// How much of a long number is looked for.
const PART: usize = 32;

/// What a number may look like in memory: in part, as it is written, as its words lie, and as they lie
/// in Montgomery's form.
fn forms(number: &[u8], modulus: &BigUint) -> Vec<Vec<u8>> {
    let reversed = |number: &[u8]| number.iter().rev().copied().collect::<Vec<u8>>();
    if number.len() < 128 {
        return vec![number.to_vec(), reversed(number)];
    }
    let words = modulus.bits().div_ceil(64);
    let montgomery = (BigUint::from_bytes_be(number) << (64 * words)) % modulus;
    // Not reduced to the end.
    let almost = &montgomery + modulus;
    let middle = |number: &[u8]| number[number.len() / 2..][..PART].to_vec();
    vec![
        number[..PART].to_vec(),
        middle(number),
        middle(&reversed(number)),
        middle(&montgomery.to_bytes_le()),
        middle(&almost.to_bytes_le()),
    ]
}

/// Everything that is secret in a session of which `secrets` are derived, but for what all sessions
/// have in common.
fn patterns(kex: KexAlgorithm, secrets: &Secrets) -> Vec<Vec<u8>> {
    let family = Family::of(kex.name());
    if family == Family::Curve {
        let mut all: Vec<Vec<u8>> = secrets.given.iter().map(|secret| secret.to_vec()).collect();
        let derived = secrets.derived.iter().chain(&secrets.parts);
        all.extend(derived.flat_map(|secret| either_way(secret)));
        all.extend(secrets.ephemeral.iter().cloned());
        return all;
    }
    let rsa = rsa_numbers();
    let modulus = if family == Family::Rsa {
        rsa.n
    } else {
        Group::group14().p
    };
    let mut all: Vec<Vec<u8>> = secrets.given.iter().map(|secret| secret.to_vec()).collect();
    for secret in &secrets.derived {
        all.extend(forms(secret, &modulus));
    }
    for exponent in &secrets.exponents {
        all.extend(forms(exponent, &modulus));
    }
    if family == Family::Rsa {
        all.extend(forms(&rsa.d.to_bytes_be(), &modulus));
    }
    all
}

/// Watches for everything that is secret in a session.
fn all(kex: KexAlgorithm, secrets: &Secrets) -> Watch {
    let watch = watch(PASSWORD.as_bytes());
    for secret in [NEW_PASSWORD.as_bytes(), &HOST_SEED, &USER_SEED] {
        watch.also(secret);
    }
    unwatched(|| {
        for secret in patterns(kex, secrets) {
            watch.also(&secret);
        }
    });
    watch
}

/// Cut off wherever it is.
fn q3<P: Subject>(terms: Terms, ways: &[Shown]) {
    let count = steps::<P>(terms.kex).len();
    q3_after::<P>(terms, ways, &(0..=count).collect::<Vec<_>>());
}

/// Cut off after so many steps.
fn q3_after<P: Subject>(terms: Terms, ways: &[Shown], cuts: &[usize]) {
    let _alone = alone();
    let kex = terms.kex;
    let count = steps::<P>(kex).len();
    for &shown in ways {
        let secrets = unwatched(|| session::<P>(terms, shown, count));
        assert_eq!((secrets.derived.len(), secrets.given.len()), (2 * 7, 3));
        for &steps in cuts {
            let watch = all(kex, &secrets);
            let same = session::<P>(terms, shown, steps);
            let (hits, which, size) = (watch.hits(), watch.last_secret(), watch.last_block());
            drop(watch);
            assert!(secrets.derived.starts_with(&same.derived), "{steps}");
            unwatched(|| drop(same));
            let role = P::ROLE;
            assert_eq!(
                hits, 0,
                "{role:?} {terms:?} {shown:?} {steps}: {which:?} in {size:?}"
            );
        }
    }
}

const CURVE: KexAlgorithm = KexAlgorithm::Curve25519Sha256;
const WAYS: [Shown; 3] = [Shown::Password, Shown::NewPassword, Shown::Key];

#[test]
fn q3_a_client_leaves_no_secret_in_freed_memory() {
    q3::<Client>(Terms::kex(CURVE), &WAYS);
}

#[test]
fn q3_a_server_leaves_no_secret_in_freed_memory() {
    q3::<Server>(Terms::kex(CURVE), &WAYS);
}

/// K and the exponents of Diffie-Hellman, in whatever form the arithmetic has them.
#[test]
fn q3_diffie_hellman_leaves_no_secret_in_freed_memory() {
    for kex in [
        KexAlgorithm::DiffieHellmanGroup14Sha256,
        KexAlgorithm::DiffieHellmanGroupExchangeSha256,
    ] {
        q3::<Client>(Terms::kex(kex), &[Shown::Password]);
        q3::<Server>(Terms::kex(kex), &[Shown::Password]);
    }
}

/// K, what it is made of, scalars, the seeds of ML-KEM, and of sntrup761 f, r and rho. Within a curve's
/// and a KEM's arithmetic numbers have other forms, and those are not looked for.
#[test]
fn q3_curves_and_hybrids_leave_no_secret_in_freed_memory() {
    for kex in [
        KexAlgorithm::EcdhSha2Nistp256,
        KexAlgorithm::EcdhSha2Nistp384,
        KexAlgorithm::EcdhSha2Nistp521,
        KexAlgorithm::Curve448Sha512,
        KexAlgorithm::Mlkem768X25519Sha256,
        KexAlgorithm::Mlkem768Nistp256Sha256,
        KexAlgorithm::Mlkem1024Nistp384Sha384,
        KexAlgorithm::Sntrup761X25519Sha512,
    ] {
        // Before the method, before NEWKEYS, with keys, and at the end.
        let cuts = [2, 3, 4, steps::<Client>(kex).len()];
        q3_after::<Client>(Terms::kex(kex), &[Shown::Password], &cuts);
        q3_after::<Server>(Terms::kex(kex), &[Shown::Password], &cuts);
    }
}

#[test]
fn q3_rsa_key_exchange_leaves_no_secret_in_freed_memory() {
    let terms = Terms::kex(KexAlgorithm::Rsa2048Sha256);
    q3::<Client>(terms, &[Shown::Password]);
    q3::<Server>(terms, &[Shown::Password]);
}

/// The windows of both streams hold a password, and so does what is inflated.
#[test]
fn q3_windows_of_compression_leave_no_secret_in_freed_memory() {
    let terms = Terms {
        compression: CompressionAlgorithm::Zlib,
        ..Terms::kex(CURVE)
    };
    q3::<Client>(terms, &WAYS);
    q3::<Server>(terms, &WAYS);
}

/// The same scan finds each of these secrets if somebody makes a copy and forgets it.
#[test]
fn q3_a_copy_that_is_not_wiped_is_found() {
    let _alone = alone();
    for kex in [
        CURVE,
        KexAlgorithm::Sntrup761X25519Sha512,
        KexAlgorithm::DiffieHellmanGroup14Sha256,
    ] {
        let count = steps::<Client>(kex).len();
        let secrets = unwatched(|| session::<Client>(Terms::kex(kex), Shown::Password, count));
        let watch = all(kex, &secrets);
        let all = unwatched(|| patterns(kex, &secrets));
        for (number, secret) in all.iter().enumerate() {
            drop(black_box([&b"before"[..], secret, b"behind"].concat()));
            assert_eq!(watch.hits(), number + 1);
            assert_eq!(watch.last_secret(), Some(4 + number));
        }
        unwatched(|| drop(black_box(PASSWORD.to_owned())));
        assert_eq!(watch.hits(), all.len(), "the test's own half");
        unwatched(|| drop((all, secrets)));
    }
}

/// The modes of [`Packets`], each with a name: every cipher in either order, and every MAC.
fn few_modes() -> impl Iterator<Item = (usize, String)> {
    let all = fuzzing::modes();
    fuzzing::few_modes().into_iter().map(move |mode| {
        let number = all.iter().position(|one| *one == mode).unwrap();
        (1 + number, format!("{mode:?}"))
    })
}

/// Packets go both ways, as they do in a connection.
fn exchange(packets: &mut Packets) {
    for n in 0..3 {
        let mut sealed = packets.seal(&[n; 2000]).unwrap();
        let opened = packets.open(&mut sealed, 35_000).unwrap();
        unwatched(move || drop((sealed, opened)));
    }
}

/// The keys of a cipher and its MAC, as they lie in a connection.
#[test]
fn q3_the_keys_of_packets_are_not_in_freed_memory() {
    let _alone = alone();
    // Another key for each: what the use of one leaves on the stack is not asked about here.
    for ((mode, name), seed) in few_modes().zip(0xa7..) {
        let watch = watch(&[seed; 16]);
        // Keys of HMAC, and what they are in the middle of it (RFC 2104 section 2).
        let mac = seed ^ 0x55;
        for byte in [mac, mac ^ 0x36, mac ^ 0x5c] {
            watch.also(&[byte; 16]);
        }
        let mut packets = Box::new(Packets::new(mode, seed).unwrap());
        exchange(&mut packets);
        drop(black_box(packets));
        let (hits, which, size) = (watch.hits(), watch.last_secret(), watch.last_block());
        assert_eq!(hits, 0, "{name}: {which:?} in {size:?}");
    }
}

/// What is left of keys that are in use, in the blocks of memory that they lay in.
fn left_of(mode: usize, seed: u8) -> Vec<Left> {
    let packets = || {
        let mut packets = Box::new(Packets::new(mode, seed).unwrap());
        exchange(&mut packets);
        drop(black_box(packets));
    };
    left_behind(packets).1
}

/// Key schedules, tables and intermediate keys are all that a key is turned into: whatever it was, the
/// same is left of it.
#[test]
fn q3_what_is_left_of_the_keys_of_packets_is_the_same_for_every_key() {
    let _alone = alone();
    for (mode, name) in few_modes() {
        // What a key has nothing to do with may differ as well: addresses in the memory.
        let again = [
            left_of(mode, 0x31),
            left_of(mode, 0x31),
            left_of(mode, 0x31),
        ];
        let other = left_of(mode, 0x9d);
        let count = other.len();
        assert!(
            count >= 5 && again.iter().all(|left| left.len() == count),
            "{name}"
        );
        let mut alike = 0;
        for (n, left) in other.iter().enumerate() {
            let [first, rest @ ..] = again.each_ref().map(|left| left[n]);
            if rest == [first; 2] {
                assert_eq!(*left, first, "{name}: block {n}");
                alike += 1;
            }
        }
        assert!(alike + 4 >= count, "{name}: {alike} of {count}");
    }
}

/// The same comparison notices a copy that is not wiped.
#[test]
fn q3_a_key_that_is_left_behind_is_another_one_each_time() {
    let _alone = alone();
    let left = |key: u8| left_behind(|| drop(black_box(vec![key; 40]))).1;
    assert_eq!(left(1), left(1));
    assert_ne!(left(1), left(2));
}

#[test]
fn q3_key_files_leave_no_key_and_no_passphrase_in_freed_memory() {
    let _alone = alone();
    for protection in [
        Protection::None,
        Protection::Passphrase {
            passphrase: PASSWORD.as_bytes(),
            rounds: 1,
        },
    ] {
        let watch = watch(PASSWORD.as_bytes());
        watch.also(&USER_SEED);
        let pair = Box::new(KeyPair {
            private: SigningKey::ed25519(&USER_SEED),
            comment: "mine".to_owned(),
        });
        let mut random = SeededRandom::new(9);
        let file = pair.to_openssh(protection, &mut random).unwrap();
        let limits = Limits::default();
        let again = KeyPair::from_openssh(file.as_bytes(), Some(PASSWORD.as_bytes()), limits);
        let again = Box::new(again.unwrap());
        let wrong = KeyPair::from_openssh(file.as_bytes(), Some(b"another"), limits);
        drop((file, pair, wrong));
        let private = again.private.into_private().unwrap();
        let seed = Box::new(private.ed25519_seed().unwrap());
        assert_eq!(**seed, USER_SEED);
        drop((Box::new(private), seed));
        let (hits, which, size) = (watch.hits(), watch.last_secret(), watch.last_block());
        assert_eq!(hits, 0, "{which:?} in {size:?}");
    }
}

const EITHER: Required = {
    let mut methods = Methods::PASSWORD;
    methods.publickey = true;
    Required::AnyOf(methods)
};

/// Logs in over loopback, runs a command that nobody serves, and leaves.
fn over_blocking(users: impl Fn() -> FixedUsers + Send + Sync + 'static, login: Login) {
    use ssh_blocking::{Client, ConnectOptions, Handler, HostKeys, Server, ServerOptions};
    struct Nobody;
    impl Handler for Nobody {}
    let keys = HostKeys::new([SigningKey::ed25519(&HOST_SEED)]).unwrap();
    let options = ServerOptions::new(keys, move |_| users()).required(EITHER);
    let server = Server::bind("127.0.0.1:0", options, Nobody).unwrap();
    let client = Client::connect(server.local_addr(), ConnectOptions::new(login)).unwrap();
    assert!(client.exec("nothing").is_err());
    drop(client);
    drop(server);
}

fn over_tokio(users: impl Fn() -> FixedUsers + Send + Sync + 'static, login: Login) {
    use ssh_tokio::{Client, ConnectOptions, Handler, HostKeys, Server, ServerOptions};
    struct Nobody;
    impl Handler for Nobody {}
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let keys = HostKeys::new([SigningKey::ed25519(&HOST_SEED)]).unwrap();
        let options = ServerOptions::new(keys, move |_| users()).required(EITHER);
        let bound = Server::bind("127.0.0.1:0", options, Nobody).await;
        let (server, address) = bound.unwrap();
        let client = Client::connect_tcp(address, ConnectOptions::new(login)).await;
        let client = client.unwrap();
        assert!(client.exec("nothing").await.is_err());
        drop(client);
        server.shutdown();
    });
    drop(runtime);
}

/// Everything above the core: options, logins, users, the threads and tasks of the drivers.
#[test]
fn q3_drivers_leave_no_secret_in_freed_memory() {
    let _alone = alone();
    let trust = || Trust::pinned([SigningKey::ed25519(&HOST_SEED).public_key().fingerprint()]);
    for (name, key) in [("password", false), ("key", true)] {
        for tokio in [false, true] {
            let watch = watch(PASSWORD.as_bytes());
            watch.also(&HOST_SEED);
            watch.also(&USER_SEED);
            let login = Login::new("alice", trust());
            let login = if key {
                login.key(SigningKey::ed25519(&USER_SEED))
            } else {
                login.password(String::from(PASSWORD))
            };
            let user = SigningKey::ed25519(&USER_SEED);
            let line = PublicKeyLine {
                key: user.public_key().clone(),
                comment: String::new(),
            };
            let keys = Arc::new(AuthorizedKeys::parse(line.to_string().as_bytes()));
            drop(user);
            let users = move || {
                let users = FixedUsers::new();
                if key {
                    users.with_keys("alice", Arc::clone(&keys))
                } else {
                    users.with_password("alice", String::from(PASSWORD))
                }
            };
            if tokio {
                over_tokio(users, login);
            } else {
                over_blocking(users, login);
            }
            let (hits, which, size) = (watch.hits(), watch.last_secret(), watch.last_block());
            assert_eq!(hits, 0, "{name}, tokio {tokio}: {which:?} in {size:?}");
        }
    }
}
