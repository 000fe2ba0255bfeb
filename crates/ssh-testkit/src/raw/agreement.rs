//! Key agreement of [`Raw`](super::Raw): every family of methods by hand, on `num-bigint` and
//! `curve25519-dalek`, from the RFCs and from nothing of ours.
//!
//! | family | client | server | RFC |
//! |---|---|---|---|
//! | curve | INIT | REPLY | 5656, 8731 |
//! | fixed group | INIT | REPLY | 4253 section 8 |
//! | group exchange | REQUEST, INIT | GROUP, REPLY | 4419 |
//! | RSA | SECRET | PUBKEY, DONE | 4432 |
//!
//! Which one it is says the negotiation, or the first name of the raw peer's offer before it.

use curve25519_dalek::montgomery::MontgomeryPoint;
use num_bigint::BigUint;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use ssh_proto::wire::Reader;

use super::{mpint, string};

/// What the numbers 30 to 34 mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `curve25519-sha256`.
    Curve,
    /// `diffie-hellman-group14-*` and the like.
    Fixed,
    /// `diffie-hellman-group-exchange-*`.
    GroupExchange,
    /// `rsa2048-sha256` and `rsa1024-sha1`.
    Rsa,
}

impl Family {
    /// Of the method of this name. What is not known here is a curve.
    pub fn of(name: &str) -> Self {
        if name.starts_with("diffie-hellman-group-exchange-") {
            Self::GroupExchange
        } else if name.starts_with("diffie-hellman-group") {
            Self::Fixed
        } else if name.starts_with("rsa") {
            Self::Rsa
        } else {
            Self::Curve
        }
    }
}

/// The hash of the method of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HashName {
    Sha1,
    Sha256,
    Sha512,
}

impl HashName {
    pub(super) fn of(name: &str) -> Self {
        match name.rsplit('-').next() {
            Some("sha1") => Self::Sha1,
            Some("sha512") => Self::Sha512,
            _ => Self::Sha256,
        }
    }

    pub(super) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

/// A group, and what is sent as one.
#[derive(Clone, Debug)]
pub struct Group {
    /// The prime.
    pub p: BigUint,
    /// The generator.
    pub g: BigUint,
}

impl Group {
    /// Of these numbers.
    pub fn new(p: BigUint, g: u32) -> Self {
        Self { p, g: g.into() }
    }

    /// The one of RFC 3526 section 3.
    pub fn group14() -> Self {
        Self::fixed("diffie-hellman-group14-sha256")
    }

    /// The one that is in the name of a method (RFC 2409 section 6.2, RFC 3526).
    ///
    /// # Panics
    ///
    /// If there is none of that name.
    pub fn fixed(name: &str) -> Self {
        let number = name.strip_prefix("diffie-hellman-group");
        let number = number.and_then(|number| number.split('-').next());
        let (bits, c) = match number {
            Some("1") => (1024, 129_093),
            Some("14") => (2048, 124_476),
            Some("15") => (3072, 1_690_314),
            Some("16") => (4096, 240_904),
            Some("17") => (6144, 929_484),
            Some("18") => (8192, 4_743_158),
            _ => panic!("{name} has no group"),
        };
        Self::new(prime(bits, c), 2)
    }
}

/// `2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + c)`
fn prime(n: u32, c: u32) -> BigUint {
    let two = |power: u32| BigUint::from(1_u8) << power;
    two(n) - two(n - 64) - 1_u8 + (pi(n - 130) + c) * two(64)
}

/// `floor(2^n * pi)`, by Machin's formula.
fn pi(n: u32) -> BigUint {
    let arctan = |x: u32| {
        let mut term = (BigUint::from(1_u8) << (n + 64)) / x;
        let (mut plus, mut minus) = (BigUint::ZERO, BigUint::ZERO);
        for k in (1_u32..).step_by(4) {
            if term == BigUint::ZERO {
                break;
            }
            plus += &term / k;
            term /= x * x;
            minus += &term / (k + 2);
            term /= x * x;
        }
        plus - minus
    };
    (arctan(5) * 16_u8 - arctan(239) * 4_u8) >> 64_u32
}

/// A key of RSA: modulus, public and private exponent.
#[derive(Clone, Debug)]
pub struct RsaNumbers {
    /// The modulus.
    pub n: BigUint,
    /// The public exponent.
    pub e: BigUint,
    /// The private exponent.
    pub d: BigUint,
}

/// What a raw peer knows of an exchange that is going on.
#[derive(Clone, Debug, Default)]
pub(super) struct Agreement {
    /// GEX: min, n, max.
    pub(super) asked: Option<[u32; 3]>,
    pub(super) group: Option<Group>,
    /// The other side's public value, as bytes or as the magnitude of a number.
    pub(super) theirs: Option<Vec<u8>>,
    /// RSA: K_S and K_T.
    pub(super) keys: Option<[Vec<u8>; 2]>,
    /// RSA: the secret and what it was encrypted to.
    pub(super) encrypted: Option<(Vec<u8>, Vec<u8>)>,
}

/// The public value that belongs to a secret: 32 bytes, or a magnitude.
pub(super) fn public(group: Option<&Group>, secret: &[u8; 32]) -> Vec<u8> {
    match group {
        None => MontgomeryPoint::mul_base_clamped(*secret)
            .to_bytes()
            .to_vec(),
        Some(group) => {
            let x = BigUint::from_bytes_be(secret);
            group.g.modpow(&x, &group.p).to_bytes_be()
        }
    }
}

/// K.
pub(super) fn shared(group: Option<&Group>, secret: &[u8; 32], theirs: &[u8]) -> Vec<u8> {
    match group {
        None => {
            let theirs: [u8; 32] = theirs.try_into().expect("a point");
            MontgomeryPoint(theirs)
                .mul_clamped(*secret)
                .to_bytes()
                .to_vec()
        }
        Some(group) => {
            let (y, x) = (
                BigUint::from_bytes_be(theirs),
                BigUint::from_bytes_be(secret),
            );
            y.modpow(&x, &group.p).to_bytes_be()
        }
    }
}

/// What H covers between K_S and K (RFC 4253 section 8, RFC 4419 section 3, RFC 5656 section 4).
pub(super) fn values(
    group: Option<&Group>,
    asked: Option<[u32; 3]>,
    client: &[u8],
    server: &[u8],
) -> Vec<u8> {
    let mut out = Vec::new();
    if let (Some(asked), Some(group)) = (asked, group) {
        out.extend(asked.iter().flat_map(|bits| bits.to_be_bytes()));
        mpint(&mut out, &group.p.to_bytes_be());
        mpint(&mut out, &group.g.to_bytes_be());
    }
    for value in [client, server] {
        if group.is_some() {
            mpint(&mut out, value);
        } else {
            string(&mut out, value);
        }
    }
    out
}

/// The blob of a public RSA key (RFC 4253 section 6.6).
pub fn rsa_blob(n: &BigUint, e: &BigUint) -> Vec<u8> {
    let mut blob = Vec::new();
    string(&mut blob, b"ssh-rsa");
    mpint(&mut blob, &e.to_bytes_be());
    mpint(&mut blob, &n.to_bytes_be());
    blob
}

/// RSAES-OAEP-ENCRYPT of the mpint K (RFC 8017 section 7.1.1) with a seed that is always the same.
pub(super) fn oaep_encrypt(hash: HashName, blob: &[u8], k: &[u8]) -> Vec<u8> {
    let mut r = Reader::new(blob);
    assert_eq!(r.string().expect("a name"), b"ssh-rsa");
    let e = BigUint::from_bytes_be(r.mpint().expect("e").as_unsigned());
    let n = BigUint::from_bytes_be(r.mpint().expect("n").as_unsigned());
    let length = n.to_bytes_be().len();
    let mut message = Vec::new();
    mpint(&mut message, k);
    let mut block = hash.digest(b"");
    let seed = vec![0x3c; block.len()];
    block.resize(length - seed.len() - 2 - message.len(), 0);
    block.push(1);
    block.extend_from_slice(&message);
    let block = xor(&block, &mgf1(hash, &seed, block.len()));
    let seed = xor(&seed, &mgf1(hash, &block, seed.len()));
    let encoded = [&seed[..], &block].concat();
    let encrypted = BigUint::from_bytes_be(&encoded).modpow(&e, &n);
    padded(&encrypted, length)
}

/// K out of what was encrypted, which the other side did rightly.
pub(super) fn oaep_decrypt(hash: HashName, key: &RsaNumbers, encrypted: &[u8]) -> Vec<u8> {
    let length = key.n.to_bytes_be().len();
    assert_eq!(encrypted.len(), length, "as long as the modulus");
    let encoded = BigUint::from_bytes_be(encrypted).modpow(&key.d, &key.n);
    let encoded = padded(&encoded, length);
    let label = hash.digest(b"");
    let (seed, block) = encoded[1..].split_at(label.len());
    let seed = xor(seed, &mgf1(hash, block, seed.len()));
    let block = xor(block, &mgf1(hash, &seed, block.len()));
    assert_eq!((encoded[0], &block[..label.len()]), (0, &label[..]));
    let one = block[label.len()..].iter().position(|b| *b != 0);
    let message = &block[label.len() + one.expect("a one") + 1..];
    let mut r = Reader::new(message);
    let k = r.mpint().expect("K").as_unsigned().to_vec();
    r.finish().expect("nothing behind K");
    k
}

fn padded(number: &BigUint, length: usize) -> Vec<u8> {
    let bytes = number.to_bytes_be();
    [vec![0; length - bytes.len()], bytes].concat()
}

fn mgf1(hash: HashName, seed: &[u8], length: usize) -> Vec<u8> {
    let blocks = (0_u32..).flat_map(|n| hash.digest(&[seed, &n.to_be_bytes()].concat()));
    blocks.take(length).collect()
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(a, b)| a ^ b).collect()
}
