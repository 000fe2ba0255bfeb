//! Streamlined NTRU Prime with p = 761 and q = 4591, "sntrup761" (the round 3 submission of NTRU Prime,
//! 7 October 2020; draft-ietf-sshm-ntruprime-ssh).
//!
//! ```text
//!   private key   f short, 1/g modulo 3, and rho, which stands in for what a wrong ciphertext lacks
//!   public key    h = g / 3f                    modulo q
//!   ciphertext    c = h r, each coefficient rounded to a multiple of 3, and a hash that confirms r
//!   r             = 3f c / g                    modulo q, then modulo 3
//! ```
//!
//! `arith` has numbers, `poly` products, `invert` reciprocals, `sample` makes polynomials from random
//! bytes, `encode` makes bytes of polynomials; here they are put together. Nothing branches on a
//! secret, uses it as an index or divides by or into it. Everything that is secret is wiped when it is
//! dropped.
//!
//! Random bytes are drawn in the order of the reference, so the same bytes give the same keys.

mod arith;
mod encode;
mod invert;
mod poly;
mod sample;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use arith::{centred, nonzero, select};
use poly::{Poly, Small, multiply};
use sample::Noise;
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::hybrid::{Kem, KemSecret};
use crate::crypto::{
    CryptoError,
    hash::{Hash, HashAlgorithm},
    memo::remembered,
};
use crate::random::{Purpose, Random, Streams};
use crate::wire::Sink as _;

/// Coefficients of a polynomial.
const P: usize = 761;

/// The modulus.
const Q: i16 = 4591;

/// Coefficients of a short polynomial that are not 0.
const WEIGHT: usize = 286;

/// Bytes of an encoded public key.
const PUBLIC_LEN: usize = 1158;

/// Bytes of an encoded polynomial with rounded coefficients.
const ROUNDED_LEN: usize = 1007;

/// Bytes of an encoded small polynomial.
const SMALL_LEN: usize = 191;

/// Bytes of a hash.
const HASH_LEN: usize = 32;

/// Bytes of a ciphertext.
const CIPHERTEXT_LEN: usize = ROUNDED_LEN + HASH_LEN;

/// A private key, in a block of its own: no copy is left where it was moved from.
pub(super) struct PrivateKey {
    parts: Box<Parts>,
}

/// Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct Parts {
    f: Small,
    /// 1 / g modulo 3.
    g_inverse: Small,
    /// What a secret is made of where the ciphertext is wrong.
    rho: [u8; SMALL_LEN],
    /// The public key.
    h: Poly,
    /// Its hash.
    h_hash: [u8; HASH_LEN],
}

impl PrivateKey {
    fn generate(random: &mut dyn Random) -> Result<Self, CryptoError> {
        // One g in 3^19 has no reciprocal, and then all is drawn anew (the reference draws g alone). A
        // source that gives eight of them is broken.
        let mut noise = Zeroizing::new([[0; 4 * P]; 2]);
        let mut rho = Zeroizing::new([0; SMALL_LEN]);
        for _ in 0..8 {
            for noise in noise.iter_mut() {
                random.fill(noise)?;
            }
            random.fill(rho.as_mut())?;
            let [g, f] = &*noise;
            let parts = remembered!("sntrup761 key", [g, f, &*rho]; Parts::new(g, f, &rho));
            if let Some(parts) = parts {
                return Ok(Self { parts });
            }
        }
        Err(CryptoError::Random)
    }

    /// The public key, encoded.
    fn public(&self) -> Vec<u8> {
        self.parts.public()
    }
}

impl Parts {
    fn new(g: &Noise, f: &Noise, rho: &[u8; SMALL_LEN]) -> Option<Box<Self>> {
        let mut parts = Box::new(Self {
            f: [0; P],
            g_inverse: [0; P],
            rho: *rho,
            h: [0; P],
            h_hash: [0; HASH_LEN],
        });
        let mut small = Zeroizing::new([0; P]);
        let mut poly = Zeroizing::new([0; P]);
        let mut inverse = Zeroizing::new([0; P]);

        sample::uniform(g, &mut small);
        for (to, &from) in poly.iter_mut().zip(small.iter()) {
            *to = from.into();
        }
        if !invert::invert::<3>(&poly, &mut inverse) {
            return None;
        }
        to_small(&inverse, &mut parts.g_inverse);

        sample::short(f, &mut parts.f);
        for (to, &from) in poly.iter_mut().zip(&parts.f) {
            *to = 3 * i16::from(from);
        }
        // Modulo q and x^p - x - 1 there is a reciprocal of everything but 0.
        if !invert::invert::<Q>(&poly, &mut inverse) {
            return None;
        }
        multiply(&inverse, &small, &mut parts.h);
        parts.h_hash = *hash(4, &[&parts.public()]);
        Some(parts)
    }

    fn public(&self) -> Vec<u8> {
        let mut public = Vec::with_capacity(PUBLIC_LEN);
        encode::put_poly(&self.h, &mut public);
        public
    }

    /// The secret in a ciphertext, and one that nobody else knows if it is not what encapsulation
    /// made.
    fn decapsulate(&self, ciphertext: &[u8; CIPHERTEXT_LEN]) -> KemSecret {
        // The other part, the confirmation, is compared below.
        let r = self.decrypt(ciphertext.first_chunk().unwrap_or(&[0; ROUNDED_LEN]));
        let mut r_bytes = encode::small(&r);
        let again = encrypt(&r, &r_bytes, &self.h, &self.h_hash);
        let right = again.ct_eq(ciphertext);
        for (byte, instead) in r_bytes.iter_mut().zip(&self.rho) {
            byte.conditional_assign(instead, !right);
        }
        secret(right.unwrap_u8(), &r_bytes, ciphertext)
    }

    /// r, if the polynomial of a ciphertext holds one.
    fn decrypt(&self, rounded: &[u8; ROUNDED_LEN]) -> Zeroizing<Small> {
        let mut work = Zeroizing::new([0; P]);
        let mut product = Zeroizing::new([0; P]);
        multiply(&encode::rounded(rounded), &self.f, &mut product);
        for (to, &from) in work.iter_mut().zip(product.iter()) {
            let thrice = centred::<Q>(3 * i32::from(from));
            *to = centred::<3>(thrice.into());
        }
        multiply(&work, &self.g_inverse, &mut product);
        let mut r = Zeroizing::new([0; P]);
        to_small(&product, &mut r);

        // What has another weight was no r: one that everybody knows takes its place, so that what
        // follows takes as long as ever.
        let weight: i16 = r.iter().map(|digit| i16::from(digit & 1)).sum();
        let wrong = nonzero(weight - const { WEIGHT as i16 });
        for (index, digit) in r.iter_mut().enumerate() {
            let instead = i16::from(index < WEIGHT);
            *digit = select(wrong, instead, (*digit).into()) as i8;
        }
        r
    }
}

/// Residues modulo 3 of coefficients modulo q.
fn to_small(poly: &Poly, small: &mut Small) {
    for (to, &from) in small.iter_mut().zip(poly) {
        *to = centred::<3>(from.into()) as i8;
    }
}

/// A ciphertext and the secret in it, for an encoded public key.
fn encapsulate(public: &[u8; PUBLIC_LEN], noise: &Noise) -> (Vec<u8>, KemSecret) {
    let mut r = Zeroizing::new([0; P]);
    sample::short(noise, &mut r);
    let r_bytes = encode::small(&r);
    let ciphertext = encrypt(&r, &r_bytes, &encode::poly(public), &hash(4, &[public]));
    let secret = secret(1, &r_bytes, &ciphertext);
    (ciphertext.to_vec(), secret)
}

/// The ciphertext of `r`, of which `r_bytes` is the encoding. Whether somebody else made the same is a
/// secret as long as it has not been compared.
fn encrypt(
    r: &Small,
    r_bytes: &[u8; SMALL_LEN],
    h: &Poly,
    h_hash: &[u8; HASH_LEN],
) -> Zeroizing<Vec<u8>> {
    let mut product = Zeroizing::new([0; P]);
    multiply(h, r, &mut product);
    for x in product.iter_mut() {
        *x -= centred::<3>((*x).into());
    }
    let mut ciphertext = Zeroizing::new(Vec::with_capacity(CIPHERTEXT_LEN));
    encode::put_rounded(&product, &mut ciphertext);
    let confirmation = hash(2, &[&*hash(3, &[r_bytes]), h_hash]);
    ciphertext.extend_from_slice(&*confirmation);
    ciphertext
}

/// The secret of a ciphertext: `kind` is 1 where `bytes` are r, and 0 where they are rho.
fn secret(kind: u8, bytes: &[u8; SMALL_LEN], ciphertext: &[u8]) -> KemSecret {
    hash(kind, &[&*hash(3, &[bytes]), ciphertext])
}

/// The first half of SHA-512. Each use has a prefix of its own.
fn hash(prefix: u8, parts: &[&[u8]]) -> Zeroizing<[u8; HASH_LEN]> {
    let mut hash = Hash::new(HashAlgorithm::Sha512);
    hash.put_u8(prefix);
    for part in parts {
        hash.put(part);
    }
    let mut half = Zeroizing::new([0; HASH_LEN]);
    for (to, from) in half.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    half
}

impl Kem for PrivateKey {
    const PUBLIC_LEN: usize = PUBLIC_LEN;
    const CIPHERTEXT_LEN: usize = CIPHERTEXT_LEN;

    fn generate(streams: &mut Streams) -> Result<Self, CryptoError> {
        Self::generate(streams.kex())
    }

    fn public(&self) -> Vec<u8> {
        self.public()
    }

    fn encapsulate(
        public: &[u8],
        streams: &mut Streams,
    ) -> Result<(Vec<u8>, KemSecret), CryptoError> {
        let whole = public.try_into().map_err(|_| CryptoError::PeerShare)?;
        let mut noise = Zeroizing::new([0; 4 * P]);
        streams.fill(Purpose::Kex, noise.as_mut());
        Ok(remembered!("sntrup761 encapsulate", [public, &*noise]; encapsulate(whole, &noise)))
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<KemSecret, CryptoError> {
        let whole = ciphertext.try_into().map_err(|_| CryptoError::PeerShare)?;
        let secret = remembered!("sntrup761 decapsulate", [&self.parts.h_hash, ciphertext];
            self.parts.decapsulate(whole));
        Ok(secret)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

#[cfg(test)]
mod tests;
