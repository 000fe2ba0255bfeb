//! Methods whose values are strings, by hand: curves, and KEMs beside them.
//!
//! X25519 is that of `curve25519-dalek`; X448 (RFC 7748) and the curves of NIST are written down here
//! on `num-bigint`, from their formulas. sntrup761 is that of the crate `sntrup`, which has nothing in
//! common with ours, and ML-KEM that of `ml-kem`, which has.

use std::convert::Infallible;

use curve25519_dalek::montgomery::MontgomeryPoint;
use ml_kem::kem::{Encapsulate, Kem as MlKem, KeyInit};
use ml_kem::{Decapsulate, KeyExport, KeySizeUser, MlKem768, MlKem1024, TryKeyInit};
use num_bigint::BigUint;
use sntrup::sntrup761;

use super::agreement::HashName;
use crate::rng::SeededRandom;

/// What a method consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strings {
    kem: Option<Kem>,
    curve: Curve,
    hash: HashName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kem {
    MlKem768,
    MlKem1024,
    Sntrup761,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curve {
    X25519,
    X448,
    P256,
    P384,
    P521,
}

/// K, and what it was made of: of a hybrid the secret of the KEM and that of the curve.
pub(super) struct Shared {
    pub(super) k: Vec<u8>,
    pub(super) parts: Vec<Vec<u8>>,
}

impl Strings {
    /// Of the method of this name; of one that is not known here as well.
    pub fn of(name: &str) -> Self {
        let kem = match name {
            _ if name.starts_with("mlkem768") => Some(Kem::MlKem768),
            _ if name.starts_with("mlkem1024") => Some(Kem::MlKem1024),
            _ if name.starts_with("sntrup761") => Some(Kem::Sntrup761),
            _ => None,
        };
        let curve = match name {
            _ if name.contains("nistp256") => Curve::P256,
            _ if name.contains("nistp384") => Curve::P384,
            _ if name.contains("nistp521") => Curve::P521,
            _ if name.contains("curve448") => Curve::X448,
            _ => Curve::X25519,
        };
        let hash = HashName::of(name);
        Self { kem, curve, hash }
    }

    /// Whether K is a string and not a number.
    pub const fn is_hybrid(self) -> bool {
        self.kem.is_some()
    }

    /// Bytes of a public value on the curve, with which each string ends.
    pub const fn curve_len(self) -> usize {
        match self.curve {
            Curve::X25519 => 32,
            Curve::X448 => 56,
            Curve::P256 => 65,
            Curve::P384 => 97,
            Curve::P521 => 133,
        }
    }

    /// Bytes of a scalar on the curve.
    pub const fn scalar_len(self) -> usize {
        match self.curve {
            Curve::X25519 | Curve::X448 => self.curve_len(),
            Curve::P256 | Curve::P384 | Curve::P521 => self.curve_len() / 2,
        }
    }

    /// The public value of a scalar, as it is drawn: of too many bits some are cleared.
    pub fn public(self, scalar: &[u8]) -> Vec<u8> {
        match self.curve {
            Curve::X25519 => {
                let scalar = scalar.try_into().expect("32 bytes");
                MontgomeryPoint::mul_base_clamped(scalar).to_bytes().into()
            }
            Curve::X448 => x448(scalar, &[&[5][..], &[0; 55]].concat()),
            _ => self.weierstrass().encode(&self.number(scalar), None),
        }
    }

    /// The client's string.
    pub(super) fn init(self, secret: &[u8; 32]) -> Vec<u8> {
        let mut init = match self.kem {
            None => Vec::new(),
            Some(Kem::MlKem768) => mlkem::<MlKem768>(secret).to_public(),
            Some(Kem::MlKem1024) => mlkem::<MlKem1024>(secret).to_public(),
            Some(Kem::Sntrup761) => {
                let (public, _) = sntrup761::generate_key_deterministic(secret);
                public.as_ref().to_vec()
            }
        };
        init.extend(self.public(&self.scalar(secret)));
        init
    }

    /// The server's string, and K.
    pub(super) fn reply(self, secret: &[u8; 32], theirs: &[u8]) -> (Vec<u8>, Shared) {
        let (key, public) = theirs.split_at(theirs.len() - self.curve_len());
        let sent = match self.kem {
            None => None,
            Some(Kem::MlKem768) => Some(encapsulate::<MlKem768>(key, secret)),
            Some(Kem::MlKem1024) => Some(encapsulate::<MlKem1024>(key, secret)),
            Some(Kem::Sntrup761) => {
                let key = sntrup761::EncapsulationKey::try_from(key).expect("a key");
                let (sent, secret) = key.encapsulate(&mut Rng::new(secret));
                Some((sent.as_ref().to_vec(), secret.as_ref().to_vec()))
            }
        };
        let (mut reply, kem) = sent.map_or((Vec::new(), None), |(sent, k)| (sent, Some(k)));
        reply.extend(self.public(&self.scalar(secret)));
        (reply, self.combine(kem, secret, public))
    }

    /// K of a client, from the server's string.
    pub(super) fn finish(self, secret: &[u8; 32], theirs: &[u8]) -> Shared {
        let (sent, public) = theirs.split_at(theirs.len() - self.curve_len());
        let kem = self.kem.map(|kem| match kem {
            Kem::MlKem768 => mlkem::<MlKem768>(secret).open(sent),
            Kem::MlKem1024 => mlkem::<MlKem1024>(secret).open(sent),
            Kem::Sntrup761 => {
                let (_, private) = sntrup761::generate_key_deterministic(secret);
                let sent = sent.try_into().expect("a ciphertext");
                private.decapsulate(&sent).as_ref().to_vec()
            }
        });
        self.combine(kem, secret, public)
    }

    fn combine(self, kem: Option<Vec<u8>>, secret: &[u8; 32], public: &[u8]) -> Shared {
        let curve = self.agree(&self.scalar(secret), public);
        match kem {
            None => Shared {
                k: curve,
                parts: Vec::new(),
            },
            Some(kem) => Shared {
                k: self.hash.digest(&[&kem[..], &curve].concat()),
                parts: vec![kem, curve],
            },
        }
    }

    /// A secret as a scalar on the curve, whatever its width.
    fn scalar(self, secret: &[u8; 32]) -> Vec<u8> {
        let mut scalar = vec![0; self.scalar_len() - secret.len()];
        scalar.extend_from_slice(secret);
        scalar
    }

    fn agree(self, scalar: &[u8], public: &[u8]) -> Vec<u8> {
        match self.curve {
            Curve::X25519 => {
                let public = MontgomeryPoint(public.try_into().expect("a point"));
                let scalar = scalar.try_into().expect("32 bytes");
                public.mul_clamped(scalar).to_bytes().into()
            }
            Curve::X448 => x448(scalar, public),
            _ => {
                let point = self
                    .weierstrass()
                    .encode(&self.number(scalar), Some(public));
                point[1..1 + self.scalar_len()].to_vec()
            }
        }
    }

    fn number(self, scalar: &[u8]) -> BigUint {
        let mut scalar = scalar.to_vec();
        if self.curve == Curve::P521 {
            scalar[0] &= 1;
        }
        BigUint::from_bytes_be(&scalar)
    }

    /// FIPS 186-4 appendix D.1.2.
    fn weierstrass(self) -> Weierstrass {
        let one = || BigUint::from(1_u8);
        let (p, x, y) = match self.curve {
            Curve::P384 => (
                (one() << 384) - (one() << 128) - (one() << 96) + (one() << 32) - one(),
                "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b98\
                 59f741e082542a385502f25dbf55296c3a545e3872760ab7",
                "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147c\
                 e9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
            ),
            Curve::P521 => (
                (one() << 521) - one(),
                "c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3d\
                 baa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
                "11839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e6\
                 62c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
            ),
            _ => (
                (one() << 256) - (one() << 224) + (one() << 192) + (one() << 96) - one(),
                "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
                "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
            ),
        };
        let hex = |text: &str| BigUint::parse_bytes(text.as_bytes(), 16).expect("digits");
        Weierstrass {
            p,
            g: (hex(x), hex(y)),
            width: self.scalar_len(),
        }
    }
}

/// y² = x³ - 3x + b, whatever b is.
struct Weierstrass {
    p: BigUint,
    g: (BigUint, BigUint),
    width: usize,
}

impl Weierstrass {
    /// The product of `scalar` and the point of this encoding, or the base point, encoded.
    fn encode(&self, scalar: &BigUint, point: Option<&[u8]>) -> Vec<u8> {
        let point = point.map_or_else(
            || self.g.clone(),
            |bytes| {
                assert_eq!((bytes.len(), bytes[0]), (1 + 2 * self.width, 4));
                let (x, y) = bytes[1..].split_at(self.width);
                (BigUint::from_bytes_be(x), BigUint::from_bytes_be(y))
            },
        );
        // Jacobian coordinates: x / z², y / z³.
        let mut sum: Option<[BigUint; 3]> = None;
        for bit in (0..scalar.bits()).rev() {
            sum = sum.map(|sum| self.double(sum));
            if scalar.bit(bit) {
                sum = Some(match sum {
                    None => [point.0.clone(), point.1.clone(), 1_u8.into()],
                    Some(sum) => self.add(sum, &point),
                });
            }
        }
        let [x, y, z] = sum.expect("not a multiple of the order");
        let i = z.modinv(&self.p).expect("not at infinity");
        let square = &i * &i % &self.p;
        let coordinates = [x * &square % &self.p, y * square * i % &self.p];
        let mut out = vec![4];
        for number in coordinates {
            let bytes = number.to_bytes_be();
            out.resize(out.len() + self.width - bytes.len(), 0);
            out.extend(bytes);
        }
        out
    }

    fn minus(&self, a: BigUint, b: BigUint) -> BigUint {
        (a + &self.p - b % &self.p) % &self.p
    }

    fn double(&self, [x, y, z]: [BigUint; 3]) -> [BigUint; 3] {
        let p = &self.p;
        let (delta, gamma) = (&z * &z % p, &y * &y % p);
        let beta = &x * &gamma % p;
        let alpha = self.minus(x.clone(), delta.clone()) * (&x + &delta) * 3_u8 % p;
        let new_x = self.minus(&alpha * &alpha % p, &beta * 8_u8);
        let new_y = self.minus(
            alpha * self.minus(beta * 4_u8 % p, new_x.clone()) % p,
            &gamma * &gamma * 8_u8,
        );
        [new_x, new_y, y * z * 2_u8 % p]
    }

    /// With a point that is another one.
    fn add(&self, [x, y, z]: [BigUint; 3], other: &(BigUint, BigUint)) -> [BigUint; 3] {
        let p = &self.p;
        let square = &z * &z % p;
        let h = self.minus(&other.0 * &square % p, x.clone());
        let r = self.minus(&other.1 * square * &z % p, y.clone());
        let h2 = &h * &h % p;
        let h3 = &h2 * &h % p;
        let v = x * h2 % p;
        let new_x = self.minus(&r * &r % p, &h3 + &v * 2_u8);
        let new_y = self.minus(r * self.minus(v, new_x.clone()) % p, y * h3);
        [new_x, new_y, z * h % p]
    }
}

/// RFC 7748 section 5.
fn x448(scalar: &[u8], u: &[u8]) -> Vec<u8> {
    let one = BigUint::from(1_u8);
    let p: BigUint = (&one << 448) - (&one << 224) - &one;
    let minus = |a: &BigUint, b: &BigUint| (a + &p - b) % &p;
    let mut k = scalar.to_vec();
    k[0] &= 252;
    k[55] |= 128;
    let k = BigUint::from_bytes_le(&k);
    let x1 = BigUint::from_bytes_le(u) % &p;
    let (mut x2, mut z2) = (one.clone(), BigUint::from(0_u8));
    let (mut x3, mut z3) = (x1.clone(), one);
    for bit in (0..448).rev() {
        let swap = k.bit(bit);
        if swap {
            std::mem::swap(&mut x2, &mut x3);
            std::mem::swap(&mut z2, &mut z3);
        }
        let (a, b) = ((&x2 + &z2) % &p, minus(&x2, &z2));
        let (aa, bb) = (&a * &a % &p, &b * &b % &p);
        let e = minus(&aa, &bb);
        let (da, cb) = (minus(&x3, &z3) * &a % &p, (&x3 + &z3) * &b % &p);
        let (sum, difference) = ((&da + &cb) % &p, minus(&da, &cb));
        x3 = &sum * &sum % &p;
        z3 = &x1 * (&difference * &difference) % &p;
        x2 = &aa * &bb % &p;
        z2 = &e * (&aa + &e * 39_081_u32) % &p;
        if swap {
            std::mem::swap(&mut x2, &mut x3);
            std::mem::swap(&mut z2, &mut z3);
        }
    }
    let inverse = z2.modpow(&(&p - 2_u8), &p);
    let mut out = (x2 * inverse % &p).to_bytes_le();
    out.resize(56, 0);
    out
}

/// A private key of ML-KEM.
struct Private<P: MlKem>(P::DecapsulationKey);

fn mlkem<P>(secret: &[u8; 32]) -> Private<P>
where
    P: MlKem<DecapsulationKey: KeyInit>,
{
    let seed = [*secret, *secret].concat();
    Private(P::DecapsulationKey::new_from_slice(&seed).expect("64 bytes"))
}

impl<P: MlKem<DecapsulationKey: Decapsulate<Kem = P>>> Private<P> {
    fn to_public(&self) -> Vec<u8> {
        use ml_kem::kem::Decapsulator as _;
        self.0.encapsulation_key().to_bytes().to_vec()
    }

    fn open(&self, sent: &[u8]) -> Vec<u8> {
        let secret = self.0.decapsulate_slice(sent).expect("a ciphertext");
        secret.to_vec()
    }
}

fn encapsulate<P: MlKem>(key: &[u8], secret: &[u8; 32]) -> (Vec<u8>, Vec<u8>)
where
    P::EncapsulationKey: KeySizeUser,
{
    let key = P::EncapsulationKey::new_from_slice(key).expect("a key");
    let (sent, secret) = key.encapsulate_with_rng(&mut Rng::new(secret));
    (sent.to_vec(), secret.to_vec())
}

/// Randomness of a peer that has none.
struct Rng(SeededRandom);

impl Rng {
    fn new(secret: &[u8; 32]) -> Self {
        Self(SeededRandom::new(secret[0].into()))
    }
}

impl rand_core::TryRng for Rng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Rng {}
