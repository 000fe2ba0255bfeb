//! Key files.

use ssh_keys::openssh::{Limits, Protection};
use ssh_keys::{KeyPair, SigningKey};
use ssh_testkit::alloc::watch;
use ssh_testkit::rng::SeededRandom;

use super::{PASSWORD, USER_SEED, alone};

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
