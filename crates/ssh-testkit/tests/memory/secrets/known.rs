//! What the secrets of a session are, in every form that they may lie in memory.

use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use num_bigint::BigUint;
use sha2::Sha256;
use ssh_proto::Role;
use ssh_proto::algorithm::KexAlgorithm;
use ssh_proto::wire::Reader;
use ssh_testkit::alloc::{Watch, unwatched, watch};
use ssh_testkit::raw::{Family, Group, Raw, Strings};
use ssh_testkit::sim::rsa_numbers;

use super::{HOST_SEED, NEW_PASSWORD, PASSWORD, USER_SEED};

pub(super) struct Secrets {
    /// Of two exchanges K and six keys.
    pub(super) derived: Vec<Vec<u8>>,
    /// What K of a hybrid was made of.
    pub(super) parts: Vec<Vec<u8>>,
    /// The exponents of Diffie-Hellman, big-endian.
    pub(super) exponents: Vec<[u8; 32]>,
    /// What was drawn for the private keys on curves and of KEMs, and short polynomials of sntrup761.
    pub(super) ephemeral: Vec<Vec<u8>>,
    /// By the source of randomness.
    pub(super) given: Vec<[u8; 32]>,
}

impl Drop for Secrets {
    /// The next session draws the same ones: a copy that is left here would pass for one of its own.
    fn drop(&mut self) {
        unwatched(|| {
            drop(std::mem::take(&mut self.derived));
            drop(std::mem::take(&mut self.parts));
            drop(std::mem::take(&mut self.exponents));
            drop(std::mem::take(&mut self.ephemeral));
            drop(std::mem::take(&mut self.given));
        });
    }
}

/// The exponents of this side, made from what the source of randomness gave as it is described in
/// `ssh_proto::random`, and compared with the public values that came of them.
pub(super) fn exponents(raw: &Raw, given: &[[u8; 32]]) -> Vec<[u8; 32]> {
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
pub(super) fn ephemeral(raw: &Raw, given: &[[u8; 32]]) -> Vec<Vec<u8>> {
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
pub(super) fn patterns(kex: KexAlgorithm, secrets: &Secrets) -> Vec<Vec<u8>> {
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
pub(super) fn all(kex: KexAlgorithm, secrets: &Secrets) -> Watch {
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
