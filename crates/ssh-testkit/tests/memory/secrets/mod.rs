//! Row Q3: memory that is given back holds no secret.
//!
//! Sessions run twice from the same seed. The first run tells what the secrets are: the peer by hand
//! derives the same keys as the connection under test. In the second run the allocator looks for
//! all of them in every block that is freed. The connection lives in a block of its own, as it does
//! in a driver, so what it leaves behind in its own fields is found too.

mod drivers;
mod files;
mod known;
mod packets;
mod run;

use std::hint::black_box;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ssh_proto::algorithm::{CompressionAlgorithm, KexAlgorithm};
use ssh_proto::{Client, Server};
use ssh_testkit::alloc::{left_behind, unwatched};

use known::{all, patterns};
use run::{Shown, Subject, Terms, session, steps};

/// What another test frees meanwhile is its own business.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

static PASSWORD: &str = "a password of 36 characters, no less";
static NEW_PASSWORD: &str = "and another one for when it is over.";
static HOST_SEED: [u8; 32] = *b"seed of the host key, 32 bytes!!";
static USER_SEED: [u8; 32] = *b"seed of the user key, 32 bytes!!";

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

/// The next session draws the same secrets, and may be given memory in which nothing was written since.
#[test]
fn what_a_test_knows_of_secrets_goes_with_it() {
    let secrets = unwatched(|| session::<Client>(Terms::kex(CURVE), Shown::Key, 0));
    assert!(!secrets.given.is_empty());
    let ((), left) = left_behind(|| drop(secrets));
    assert_eq!(left, []);
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
