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

/// The prime of RFC 3526 section 3.
const GROUP_14: &str = "\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74\
    020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437\
    4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
    EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05\
    98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB\
    9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
    E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718\
    3995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF";

/// The prime of RFC 3526 section 5.
const GROUP_16: &str = "\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74\
    020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437\
    4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
    EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05\
    98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB\
    9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
    E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718\
    3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33\
    A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7\
    ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864\
    D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E2\
    08E24FA074E5AB3143DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D7\
    88719A10BDBA5B2699C327186AF4E23C1A946834B6150BDA2583E9CA2AD44CE8\
    DBBBC2DB04DE8EF92E8EFC141FBECAA6287C59474E6BC05D99B2964FA090C3A2\
    233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA9\
    93B4EA988D8FDDC186FFB7DC90A6C08F4DF435C934063199FFFFFFFFFFFFFFFF";

/// What the numbers 30 to 34 mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `curve25519-sha256`.
    Curve,
    /// `diffie-hellman-group14-*` and `diffie-hellman-group16-*`.
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

    /// The one that is in the name of a method.
    ///
    /// # Panics
    ///
    /// If it is another one than 14 or 16.
    pub fn fixed(name: &str) -> Self {
        let p = match name.strip_prefix("diffie-hellman-group") {
            Some(number) if number.starts_with("14-") => GROUP_14,
            Some(number) if number.starts_with("16-") => GROUP_16,
            _ => panic!("{name} is not known here"),
        };
        let p = BigUint::parse_bytes(p.as_bytes(), 16);
        Self::new(p.expect("digits"), 2)
    }
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
