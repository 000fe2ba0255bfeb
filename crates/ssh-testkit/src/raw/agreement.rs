//! Key agreement of [`Raw`](super::Raw): every family of methods by hand, from the RFCs and from
//! nothing of ours. Numbers are those of `num-bigint`; what is on curves is in `strings`.
//!
//! | family | client | server | RFC |
//! |---|---|---|---|
//! | curve | INIT | REPLY | 5656, 8731 |
//! | fixed group | INIT | REPLY | 4253 section 8 |
//! | group exchange | REQUEST, INIT | GROUP, REPLY | 4419 |
//! | RSA | SECRET | PUBKEY, DONE | 4432 |
//!
//! Which one it is says the negotiation, or the first name of the raw peer's offer before it.

use num_bigint::BigUint;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use ssh_proto::wire::Reader;

use super::strings::{Shared, Strings};
use super::{mpint, string};

/// What the numbers 30 to 34 mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// All on curves, and the hybrids.
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
    Sha384,
    Sha512,
}

impl HashName {
    pub(super) fn of(name: &str) -> Self {
        let name = name.trim_end_matches("@openssh.com");
        match name.rsplit('-').next() {
            Some("sha1") => Self::Sha1,
            Some("sha384" | "nistp384") => Self::Sha384,
            Some("sha512" | "nistp521") => Self::Sha512,
            _ => Self::Sha256,
        }
    }

    pub(super) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
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

impl Group {
    fn power(&self, base: &BigUint, secret: &[u8; 32]) -> Vec<u8> {
        let x = BigUint::from_bytes_be(secret);
        base.modpow(&x, &self.p).to_bytes_be()
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

/// Where a method computes.
pub(super) enum Place {
    Strings(Strings),
    Group(Group),
}

impl Place {
    /// What a client sends.
    pub(super) fn init(&self, secret: &[u8; 32]) -> Vec<u8> {
        match self {
            Self::Strings(strings) => strings.init(secret),
            Self::Group(group) => group.power(&group.g, secret),
        }
    }

    /// What a server sends, and K.
    pub(super) fn reply(&self, secret: &[u8; 32], theirs: &[u8]) -> (Vec<u8>, Shared) {
        match self {
            Self::Strings(strings) => strings.reply(secret, theirs),
            Self::Group(_) => (self.init(secret), self.finish(secret, theirs)),
        }
    }

    /// K of a client.
    pub(super) fn finish(&self, secret: &[u8; 32], theirs: &[u8]) -> Shared {
        match self {
            Self::Strings(strings) => strings.finish(secret, theirs),
            Self::Group(group) => Shared {
                k: group.power(&BigUint::from_bytes_be(theirs), secret),
                parts: Vec::new(),
            },
        }
    }

    /// What H covers between K_S and K (RFC 4253 section 8, RFC 4419 section 3, RFC 5656 section 4).
    pub(super) fn values(&self, asked: Option<[u32; 3]>, client: &[u8], server: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Strings(_) => {
                string(&mut out, client);
                string(&mut out, server);
            }
            Self::Group(group) => {
                if let Some(asked) = asked {
                    out.extend(asked.iter().flat_map(|bits| bits.to_be_bytes()));
                    mpint(&mut out, &group.p.to_bytes_be());
                    mpint(&mut out, &group.g.to_bytes_be());
                }
                mpint(&mut out, client);
                mpint(&mut out, server);
            }
        }
        out
    }
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
