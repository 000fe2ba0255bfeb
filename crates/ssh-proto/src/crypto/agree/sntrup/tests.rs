//! Known answers, and another implementation beside this one: the crate `sntrup`.

use alloc::format;
use alloc::string::String;
use alloc::vec;

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use sha2::{Digest as _, Sha256};
use sntrup::sntrup761 as oracle;

use super::*;
use crate::crypto::generator::Generator;
use crate::random::RandomError;

/// The private key as the reference writes it.
fn encoded(parts: &Parts) -> Vec<u8> {
    [
        &encode::small(&parts.f)[..],
        &encode::small(&parts.g_inverse)[..],
        &parts.public(),
        &parts.rho,
        &parts.h_hash,
    ]
    .concat()
}

fn encapsulate_with(public: &[u8], random: &mut dyn Random) -> (Vec<u8>, KemSecret) {
    let mut noise = [0; 4 * P];
    random.fill(&mut noise).unwrap();
    encapsulate(public.try_into().unwrap(), &noise)
}

/// AES-256-CTR-DRBG (SP 800-90A section 10.2.1, without a derivation function), which the known
/// answers of NIST's competition draw from.
struct Drbg {
    cipher: Aes256,
    counter: u128,
}

impl Drbg {
    fn new(seed: &[u8; 48]) -> Self {
        let mut drbg = Self {
            cipher: Aes256::new(&[0; 32].into()),
            counter: 0,
        };
        drbg.update(seed);
        drbg
    }

    fn block(&mut self) -> [u8; 16] {
        self.counter = self.counter.wrapping_add(1);
        let mut block = self.counter.to_be_bytes().into();
        self.cipher.encrypt_block(&mut block);
        block.into()
    }

    fn update(&mut self, with: &[u8; 48]) {
        let mut state = [self.block(), self.block(), self.block()].concat();
        for (byte, with) in state.iter_mut().zip(with) {
            *byte ^= with;
        }
        self.cipher = Aes256::new_from_slice(&state[..32]).unwrap();
        self.counter = u128::from_be_bytes(state[32..].try_into().unwrap());
    }
}

impl Random for Drbg {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        for chunk in out.chunks_mut(16) {
            chunk.copy_from_slice(&self.block()[..chunk.len()]);
        }
        self.update(&[0; 48]);
        Ok(())
    }
}

/// One answer as the files of the competition have it: a seed, the keys, a ciphertext and the secret.
fn answer(count: usize, seed: &[u8; 48]) -> String {
    let mut drbg = Drbg::new(seed);
    let private = PrivateKey::generate(&mut drbg).unwrap();
    let public = private.public();
    let (ciphertext, secret) = encapsulate_with(&public, &mut drbg);
    assert_eq!(Kem::decapsulate(&private, &ciphertext).unwrap(), secret);
    let mut text = format!("count = {count}\n");
    for (name, value) in [
        ("seed", &seed[..]),
        ("pk", &public),
        ("sk", &encoded(&private.parts)),
        ("ct", &ciphertext),
        ("ss", &secret[..]),
    ] {
        text += &format!("{name} = {}\n", hex::encode_upper(value));
    }
    text
}

/// SHA-256 of the first so many answers, in the form of the file.
fn answers(count: usize) -> String {
    let entropy: [u8; 48] = core::array::from_fn(|i| i as u8);
    let mut seeds = Drbg::new(&entropy);
    let answers = (0..count).map(|count| {
        let mut seed = [0; 48];
        seeds.fill(&mut seed).unwrap();
        answer(count, &seed)
    });
    hex::encode(Sha256::digest(answers.collect::<Vec<_>>().join("\n")))
}

/// As liboqs pins them ("single" and "all" in tests/KATs/kem/kats.json), and the first one also
/// PQClean (`nistkat-sha256` in crypto_kem/sntrup761/META.yml).
#[test]
fn the_first_known_answer_of_nist() {
    assert_eq!(
        answers(1),
        "afc42c3a5b10f4ef69654250097ebda9b9564570f4086744b24a6daf2bd1f89a"
    );
}

#[test]
#[ignore = "seconds: a hundred keys"]
fn long_the_hundred_known_answers_of_nist() {
    assert_eq!(
        answers(100),
        "36e1e53d4e6e295e8fb804449958ad9a3719aa350e91933c65791b9117382d57"
    );
}

fn random(seed: u8, label: &[u8]) -> Generator {
    Generator::new(&[seed; 32], label)
}

const SEEDS: u8 = 12;

/// From the same random bytes both make the same keys, and the same ciphertexts and secrets of them.
#[test]
fn keys_and_ciphertexts_are_those_of_the_other_implementation() {
    for seed in 0..SEEDS {
        let (theirs, their_private) = oracle::generate_key(&mut random(seed, b"key"));
        let ours = PrivateKey::generate(&mut random(seed, b"key")).unwrap();
        assert_eq!(ours.public(), theirs.as_ref());
        assert_eq!(encoded(&ours.parts), their_private.as_ref());

        let (their_ciphertext, their_secret) = theirs.encapsulate(&mut random(seed, b"noise"));
        let (ciphertext, secret) = encapsulate_with(&ours.public(), &mut random(seed, b"noise"));
        assert_eq!(ciphertext, their_ciphertext.as_ref());
        assert_eq!(secret[..], *their_secret.as_ref());
    }
}

/// What was encapsulated by one is opened by the other, and what was tampered with, or was never
/// encapsulated by anybody, gives the same other secret.
#[test]
fn k7_ciphertexts_are_opened_as_by_the_other_implementation() {
    let (mut right, mut wrong) = (0, 0);
    for seed in 0..SEEDS {
        let ours = PrivateKey::generate(&mut random(seed, b"key")).unwrap();
        let encoded = encoded(&ours.parts);
        let theirs = oracle::DecapsulationKey::try_from(&encoded[..]).unwrap();

        let (good, secret) = encapsulate_with(&ours.public(), &mut random(seed, b"noise"));
        let mut cases = vec![good.clone()];
        // In the polynomial and in the confirmation; the last bytes of either, too.
        for at in [0, 1, usize::from(seed) * 80, 1005, 1006, 1007, 1020, 1038] {
            let mut bad = good.clone();
            bad[at] ^= 1 << (seed % 8);
            cases.push(bad);
        }
        let mut junk = vec![0; CIPHERTEXT_LEN];
        random(seed, b"junk").generate(&mut junk);
        cases.extend([junk, vec![0; CIPHERTEXT_LEN], vec![0xff; CIPHERTEXT_LEN]]);
        for (number, case) in cases.iter().enumerate() {
            let got = Kem::decapsulate(&ours, case).unwrap();
            let expected = theirs.decapsulate(&case[..].try_into().unwrap());
            assert_eq!(got[..], *expected.as_ref(), "{seed} {number}");
            assert_eq!(got == secret, number == 0);
            *if number == 0 { &mut right } else { &mut wrong } += 1;
        }
    }
    assert_eq!((right, wrong), (SEEDS.into(), 11 * usize::from(SEEDS)));
}

/// Bytes that nobody would write are a public key all the same, and the same one for both.
#[test]
fn any_public_key_is_read_as_by_the_other_implementation() {
    let mut junk = [0; PUBLIC_LEN];
    random(0, b"junk").generate(&mut junk);
    for public in [
        junk,
        [0; PUBLIC_LEN],
        [0x80; PUBLIC_LEN],
        [0xff; PUBLIC_LEN],
    ] {
        let theirs = oracle::EncapsulationKey::try_from(&public[..]).unwrap();
        let (their_ciphertext, their_secret) = theirs.encapsulate(&mut random(1, b"noise"));
        let (ciphertext, secret) = encapsulate_with(&public, &mut random(1, b"noise"));
        assert_eq!(ciphertext, their_ciphertext.as_ref());
        assert_eq!(secret[..], *their_secret.as_ref());
    }
}

/// A ciphertext of the right length whose plaintext has the wrong weight.
#[test]
fn what_has_another_weight_is_replaced() {
    let private = PrivateKey::generate(&mut random(3, b"key")).unwrap();
    let r = private.parts.decrypt(&[0x55; ROUNDED_LEN]);
    assert!(r[..WEIGHT].iter().all(|digit| *digit == 1));
    assert!(r[WEIGHT..].iter().all(|digit| *digit == 0));
}

/// A source that only ever gives such a g is an error, not an endless loop.
#[test]
fn q4_a_source_without_a_usable_key_is_an_error() {
    struct Stuck;
    impl Random for Stuck {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
            // 0x15555556 times 3 is just above 2^30: the coefficient 0.
            let word = 0x1555_5556_u32.to_le_bytes();
            let bytes = word.iter().cycle();
            out.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            Ok(())
        }
    }
    let made = PrivateKey::generate(&mut Stuck);
    assert_eq!(made.err(), Some(CryptoError::Random));
}
