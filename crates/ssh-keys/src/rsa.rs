//! RSA private keys and PKCS#1 v1.5 signatures (RFC 8017 section 8.2, RFC 8332).
//!
//! One signer serves every size from 2048 to 16384 bits and takes its randomness from the caller.
//! What it keeps, for a message representative `m` and a random `r`:
//!
//! ```text
//!   c  = m · r^e mod n                 blinding: nothing secret-dependent sees a chosen number
//!   sp = c^dp mod p,  sq = c^dq mod q  constant-time, exponents as wide as their prime
//!   s  = (sq + q · (qinv · (sp - sq) mod p)) · r^-1 mod n
//!   s^e mod n = m                      checked before anything is returned
//! ```
//!
//! The last line is what keeps a fault in one half (a flipped bit in memory, a miscalculating
//! CPU) from giving away the key: a signature that is right modulo one prime only has the other
//! one in `gcd(s^e - m, n)`.

use alloc::{vec, vec::Vec};
use core::fmt;

use crypto_bigint::{
    BoxedUint, ConcatenatingMul, NonZero, Odd, Resize,
    modular::{BoxedMontyForm, BoxedMontyParams},
};
use sha2::{Digest, Sha256, Sha512};
use ssh_proto::config::{TransientRsaKey, TransientRsaKeyError};
use ssh_proto::random::{Random, RandomError};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// The smallest modulus that signs, in bits. Smaller ones can be factored or soon will be.
pub const MIN_BITS: usize = 2048;
/// The largest modulus that signs, in bits; the same limit as OpenSSH's.
pub const MAX_BITS: usize = 16384;

/// The hash under a signature. SHA-1 (`ssh-rsa`) is not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaHash {
    /// `rsa-sha2-256`.
    Sha256,
    /// `rsa-sha2-512`.
    Sha512,
}

/// The numbers of a private key as unsigned big-endian bytes, under the names of the OpenSSH
/// format.
#[derive(Clone, Copy)]
pub struct RsaComponents<'a> {
    /// The modulus.
    pub n: &'a [u8],
    /// The public exponent.
    pub e: &'a [u8],
    /// The private exponent.
    pub d: &'a [u8],
    /// The inverse of `q` modulo `p`.
    pub iqmp: &'a [u8],
    /// The first prime.
    pub p: &'a [u8],
    /// The second prime.
    pub q: &'a [u8],
}

/// A private key whose numbers belong together. Its numbers are wiped when it is dropped; the
/// Montgomery constants of the primes are not, because the arithmetic shares them by reference
/// count and offers no way to.
pub struct RsaPrivateKey {
    n: BoxedMontyParams,
    n_bits: u32,
    e: u64,
    d: Secret,
    p: Prime,
    q: Prime,
    dp: Secret,
    dq: Secret,
    iqmp: Secret,
}

type Secret = Zeroizing<BoxedUint>;

impl RsaPrivateKey {
    /// Takes the numbers of a key, unless they do not belong together: `n` has [`MIN_BITS`] to
    /// [`MAX_BITS`] bits, `e` is odd, at least 3 and below 2<sup>64</sup>, `p·q = n` with different odd primes
    /// above 1 (that they are prime is not tested), `d·e = 1` modulo `p-1` and `q-1`,
    /// `iqmp·q = 1` modulo `p`.
    pub fn from_components(parts: &RsaComponents<'_>) -> Result<Self, RsaKeyError> {
        let n_bits = bits(parts.n);
        if !(MIN_BITS..=MAX_BITS).contains(&n_bits) {
            return Err(RsaKeyError::Size { bits: n_bits });
        }
        let n = modulus(uint(parts.n, n_bits)?).ok_or(RsaKeyError::Inconsistent)?;
        let e = exponent(parts.e)?;

        let (p_bits, q_bits) = (bits(parts.p), bits(parts.q));
        // Bounds what the multiplications below can cost.
        if p_bits < 2 || q_bits < 2 || p_bits + q_bits > n_bits + 1 || bits(parts.d) > n_bits {
            return Err(RsaKeyError::Inconsistent);
        }
        let p = Zeroizing::new(uint(parts.p, p_bits)?);
        let q = Zeroizing::new(uint(parts.q, q_bits)?);
        if is_even(&p) || is_even(&q) || *p == *q || p.concatenating_mul(&*q) != *n.as_ref() {
            return Err(RsaKeyError::Inconsistent);
        }

        let d = Zeroizing::new(uint(parts.d, n_bits)?);
        let dp = half_exponent(&d, &p, e).ok_or(RsaKeyError::Inconsistent)?;
        let dq = half_exponent(&d, &q, e).ok_or(RsaKeyError::Inconsistent)?;

        if bits(parts.iqmp) > p_bits {
            return Err(RsaKeyError::Inconsistent);
        }
        let iqmp = Zeroizing::new(uint(parts.iqmp, p_bits)?);
        if product_modulo(&iqmp, &q, &p) != Some(Zeroizing::new(BoxedUint::one())) || *iqmp >= *p {
            return Err(RsaKeyError::Inconsistent);
        }
        Ok(Self {
            n: BoxedMontyParams::new_vartime(n),
            n_bits: u32::try_from(n_bits).unwrap_or(u32::MAX),
            e,
            d,
            p: Prime::new(&p).ok_or(RsaKeyError::Inconsistent)?,
            q: Prime::new(&q).ok_or(RsaKeyError::Inconsistent)?,
            dp,
            dq,
            iqmp,
        })
    }

    /// The size of the modulus in bits.
    pub const fn bits(&self) -> u32 {
        self.n_bits
    }

    /// The modulus, big-endian without leading zero bytes.
    pub fn n(&self) -> Vec<u8> {
        unsigned(self.n.modulus().as_ref())
    }

    /// The public exponent, big-endian without leading zero bytes.
    pub fn e(&self) -> Vec<u8> {
        unsigned(&BoxedUint::from(self.e))
    }

    /// `d`, `iqmp`, `p`, `q` in the order of the OpenSSH format, big-endian without leading zero
    /// bytes.
    pub(crate) fn secret_components(&self) -> [Zeroizing<Vec<u8>>; 4] {
        [&*self.d, &self.iqmp, self.p.value(), self.q.value()]
            .map(|number| Zeroizing::new(unsigned(number)))
    }

    /// The key as one that RSA key exchange encrypts to (RFC 4432), unless it is too long for that or
    /// its public exponent is. It should not sign any more then.
    ///
    /// # Errors
    ///
    /// As [`TransientRsaKey::from_components`].
    pub fn to_transient(&self) -> Result<TransientRsaKey, TransientRsaKeyError> {
        let d = Zeroizing::new(unsigned(&self.d));
        TransientRsaKey::from_components(&self.n(), &self.e(), &d)
    }

    /// Signs `message`: as many bytes as the modulus has. `random` blinds the computation and
    /// does not show in the result.
    //= rfc8332#section-3
    //# the signature is computed ... RSASSA-PKCS1-v1_5 ... and the specified hash
    pub fn sign(
        &self,
        hash: RsaHash,
        message: &[u8],
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, RsaSignError> {
        let length = self.length();
        let encoded = encode(hash, message, length).ok_or(RsaSignError::Internal)?;
        let m = number(&encoded, self.n.bits_precision()).ok_or(RsaSignError::Internal)?;
        let s = self.private(&m, random)?;
        let bytes = s.to_be_bytes();
        let zeros = bytes
            .len()
            .checked_sub(length)
            .ok_or(RsaSignError::Internal)?;
        Ok(bytes.get(zeros..).unwrap_or_default().to_vec())
    }

    /// `m^d mod n`, blinded and checked.
    fn private(&self, m: &BoxedUint, random: &mut dyn Random) -> Result<BoxedUint, RsaSignError> {
        let m = BoxedMontyForm::new(m.clone(), &self.n);
        let (mut r, mut inverse) = self.blinding(random)?;
        let mut blinded = m.mul(&self.public(&r));
        let c = Zeroizing::new(blinded.retrieve());
        let signed = Zeroizing::new(self.crt(&c));
        let mut signed = BoxedMontyForm::new((*signed).clone(), &self.n);
        let s = signed.mul(&inverse);
        blinded.zeroize();
        r.zeroize();
        inverse.zeroize();
        signed.zeroize();

        let expected = m.retrieve().to_be_bytes();
        let obtained = self.public(&s).retrieve().to_be_bytes();
        if bool::from(obtained.ct_eq(&expected)) {
            Ok(s.retrieve())
        } else {
            Err(RsaSignError::Internal)
        }
    }

    /// `x^e mod n`. The exponent is public, so its length may show.
    fn public(&self, x: &BoxedMontyForm) -> BoxedMontyForm {
        x.pow_bounded_exp(&BoxedUint::from(self.e), u64::BITS - self.e.leading_zeros())
    }

    /// A random number below `n` and its inverse. All but a negligible part of the numbers have
    /// one, so that a second failure means a broken generator.
    fn blinding(
        &self,
        random: &mut dyn Random,
    ) -> Result<(BoxedMontyForm, BoxedMontyForm), RsaSignError> {
        for _ in 0..2 {
            let mut bytes = Zeroizing::new(vec![0; self.length()]);
            random.fill(&mut bytes).map_err(RsaSignError::Random)?;
            // One bit less than n has: below n without a loop.
            let spare = self.length() * 8 + 1 - self.n_bits as usize;
            if let Some(first) = bytes.first_mut() {
                *first &= 0xff_u8.checked_shr(spare as u32).unwrap_or(0);
            }
            let r = number(&bytes, self.n.bits_precision()).ok_or(RsaSignError::Internal)?;
            let r = BoxedMontyForm::new(r, &self.n);
            if let Some(inverse) = r.invert().into_option() {
                return Ok((r, inverse));
            }
        }
        Err(RsaSignError::Internal)
    }

    /// `c^d mod n` by way of both primes.
    fn crt(&self, c: &BoxedUint) -> BoxedUint {
        let p = &self.p;
        let mut sp = p.reduce(c).pow(&self.dp);
        let mut sq = self.q.reduce(c).pow(&self.dq);
        let sq_number = Zeroizing::new(sq.retrieve());

        let mut sq_mod_p = p.reduce(&sq_number);
        let mut iqmp = p.reduce(&self.iqmp);
        let mut h = sp.sub(&sq_mod_p).mul(&iqmp);
        let h_number = Zeroizing::new(h.retrieve());
        let precision = self.n.bits_precision();
        let qh = Zeroizing::new(
            h_number
                .concatenating_mul(self.q.value())
                .resize_unchecked(precision),
        );
        let s = qh.wrapping_add(&*Zeroizing::new(
            (*sq_number).clone().resize_unchecked(precision),
        ));

        for form in [&mut sp, &mut sq, &mut sq_mod_p, &mut iqmp, &mut h] {
            form.zeroize();
        }
        s
    }

    /// The size of the modulus, and so of a signature, in bytes.
    const fn length(&self) -> usize {
        (self.n_bits as usize).div_ceil(8)
    }
}

impl fmt::Debug for RsaPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPrivateKey({} bits)", self.n_bits)
    }
}

/// A secret prime with its Montgomery constants.
struct Prime {
    value: Zeroizing<NonZero<BoxedUint>>,
    params: BoxedMontyParams,
}

impl Prime {
    fn new(prime: &BoxedUint) -> Option<Self> {
        Some(Self {
            value: Zeroizing::new(NonZero::new(prime.clone()).into_option()?),
            params: BoxedMontyParams::new(modulus(prime.clone())?),
        })
    }

    fn value(&self) -> &BoxedUint {
        self.value.as_ref()
    }

    /// `x mod prime`, for an `x` of any size.
    fn reduce(&self, x: &BoxedUint) -> BoxedMontyForm {
        let width = self.params.bits_precision();
        let wide = Zeroizing::new(x.clone().resize_unchecked(x.bits_precision().max(width)));
        BoxedMontyForm::new(wide.rem(&*self.value).resize_unchecked(width), &self.params)
    }
}

/// `d mod (prime - 1)`, if it is the inverse of `e` there.
fn half_exponent(d: &BoxedUint, prime: &BoxedUint, e: u64) -> Option<Secret> {
    let order = Zeroizing::new(prime.wrapping_sub(BoxedUint::one()));
    let nonzero = Zeroizing::new(NonZero::new((*order).clone()).into_option()?);
    let precision = d.bits_precision().max(order.bits_precision());
    let wide = Zeroizing::new(d.clone().resize_unchecked(precision));
    let half = Zeroizing::new(wide.rem(&*nonzero).resize_unchecked(order.bits_precision()));
    let product = product_modulo(&half, &BoxedUint::from(e), &order)?;
    (*product == BoxedUint::one()).then_some(half)
}

/// `a·b mod m`, as wide as `m`.
fn product_modulo(a: &BoxedUint, b: &BoxedUint, m: &BoxedUint) -> Option<Secret> {
    let m = Zeroizing::new(NonZero::new(m.clone()).into_option()?);
    let product = Zeroizing::new(a.concatenating_mul(b));
    let precision = product.bits_precision().max(m.bits_precision());
    let wide = Zeroizing::new((*product).clone().resize_unchecked(precision));
    Some(Zeroizing::new(wide.rem(&*m)))
}

/// `0x00 0x01 0xff... 0x00 DigestInfo`, as long as the modulus.
//= rfc8017#section-9.2
fn encode(hash: RsaHash, message: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut info = Vec::with_capacity(96);
    match hash {
        RsaHash::Sha256 => {
            info.extend_from_slice(&[
                0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
                0x01, 0x05, 0x00, 0x04, 0x20,
            ]);
            info.extend_from_slice(&Sha256::digest(message));
        }
        RsaHash::Sha512 => {
            info.extend_from_slice(&[
                0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
                0x03, 0x05, 0x00, 0x04, 0x40,
            ]);
            info.extend_from_slice(&Sha512::digest(message));
        }
    }
    // Eight bytes of padding at least.
    let ones = length
        .checked_sub(info.len() + 3)
        .filter(|&ones| ones >= 8)?;
    let mut out = Vec::with_capacity(length);
    out.extend_from_slice(&[0, 1]);
    out.resize(2 + ones, 0xff);
    out.push(0);
    out.extend_from_slice(&info);
    Some(out)
}

/// The significant bits of an unsigned big-endian number.
fn bits(bytes: &[u8]) -> usize {
    let zeros = bytes.iter().take_while(|&&b| b == 0).count();
    match bytes.get(zeros) {
        Some(first) => (bytes.len() - zeros) * 8 - first.leading_zeros() as usize,
        None => 0,
    }
}

/// A number of at most `bits` bits, stored in as many limbs as that takes.
fn uint(bytes: &[u8], bits: usize) -> Result<BoxedUint, RsaKeyError> {
    let precision = u32::try_from(bits)
        .ok()
        .and_then(|bits| bits.max(1).checked_next_multiple_of(64))
        .ok_or(RsaKeyError::Inconsistent)?;
    number(bytes, precision).ok_or(RsaKeyError::Inconsistent)
}

fn number(bytes: &[u8], precision: u32) -> Option<BoxedUint> {
    let zeros = bytes.iter().take_while(|&&b| b == 0).count();
    BoxedUint::from_be_slice(bytes.get(zeros..)?, precision).ok()
}

fn exponent(bytes: &[u8]) -> Result<u64, RsaKeyError> {
    let e = bytes
        .iter()
        .try_fold(0_u64, |e, &b| {
            Some(e.checked_mul(256)?.wrapping_add(u64::from(b)))
        })
        .ok_or(RsaKeyError::Exponent)?;
    if e >= 3 && e & 1 == 1 {
        Ok(e)
    } else {
        Err(RsaKeyError::Exponent)
    }
}

fn modulus(n: BoxedUint) -> Option<Odd<BoxedUint>> {
    Odd::new(n).into_option()
}

fn is_even(n: &BoxedUint) -> bool {
    !n.bit_vartime(0)
}

fn unsigned(n: &BoxedUint) -> Vec<u8> {
    let bytes = Zeroizing::new(n.to_be_bytes().into_vec());
    let zeros = bytes.iter().take_while(|&&b| b == 0).count();
    bytes.get(zeros..).unwrap_or_default().to_vec()
}

/// Why numbers are not a private key that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RsaKeyError {
    /// The modulus is shorter than [`MIN_BITS`] or longer than [`MAX_BITS`].
    Size {
        /// Its size in bits.
        bits: usize,
    },
    /// The public exponent is even, below 3, or does not fit in 64 bits.
    Exponent,
    /// The numbers do not belong to one key.
    Inconsistent,
}

impl fmt::Display for RsaKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { bits } => write!(
                f,
                "an RSA key of {bits} bits is outside {MIN_BITS} to {MAX_BITS}"
            ),
            Self::Exponent => f.write_str("the RSA public exponent is not usable"),
            Self::Inconsistent => f.write_str("the numbers of the RSA key do not belong together"),
        }
    }
}

impl core::error::Error for RsaKeyError {}

/// Why there is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RsaSignError {
    /// The generator that was passed in failed.
    Random(RandomError),
    /// The result did not verify: a fault in memory or in the computation. It is withheld,
    /// because it could give the key away.
    Internal,
}

impl fmt::Display for RsaSignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random(_) => f.write_str("no randomness for blinding the RSA signature"),
            Self::Internal => f.write_str("the RSA signature came out wrong and was withheld"),
        }
    }
}

impl core::error::Error for RsaSignError {}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use ring::signature::{self, RsaKeyPair};

    use super::*;
    use crate::testing::{Broken, Counting, rsa_file};

    fn load(name: &str) -> (RsaPrivateKey, [Vec<u8>; 6]) {
        let parts = rsa_file(name);
        (from(&parts).unwrap(), parts)
    }

    /// n, e, d, iqmp, p, q: the order of the file.
    fn from(parts: &[Vec<u8>; 6]) -> Result<RsaPrivateKey, RsaKeyError> {
        let [n, e, d, iqmp, p, q] = parts;
        RsaPrivateKey::from_components(&RsaComponents {
            n,
            e,
            d,
            iqmp,
            p,
            q,
        })
    }

    fn ring_signature(parts: &[Vec<u8>; 6], hash: RsaHash, message: &[u8]) -> Vec<u8> {
        let [n, e, d, iqmp, p, q] = parts;
        let reduced = |prime: &[u8]| {
            let prime = uint(prime, bits(prime)).unwrap();
            let order = NonZero::new(prime.wrapping_sub(BoxedUint::one())).unwrap();
            unsigned(&uint(d, bits(n)).unwrap().rem_vartime(&order))
        };
        let pair = RsaKeyPair::from_components(&ring::rsa::KeyPairComponents {
            public_key: ring::rsa::PublicKeyComponents { n, e },
            d,
            p,
            q,
            dP: &reduced(p),
            dQ: &reduced(q),
            qInv: iqmp,
        })
        .unwrap();
        let mut out = vec![0; pair.public().modulus_len()];
        let padding: &dyn signature::RsaEncoding = match hash {
            RsaHash::Sha256 => &signature::RSA_PKCS1_SHA256,
            RsaHash::Sha512 => &signature::RSA_PKCS1_SHA512,
        };
        pair.sign(padding, &ring::rand::SystemRandom::new(), message, &mut out)
            .unwrap();
        out
    }

    #[test]
    fn signatures_are_those_of_ring_byte_for_byte() {
        for name in ["rsa2048", "rsa3072", "rsa4096"] {
            let (key, parts) = load(name);
            for hash in [RsaHash::Sha256, RsaHash::Sha512] {
                for (i, message) in [&b""[..], b"abc", &[0x5a; 1000]].into_iter().enumerate() {
                    let signed = key
                        .sign(hash, message, &mut Counting::new(i as u64))
                        .unwrap();
                    assert_eq!(signed, ring_signature(&parts, hash, message), "{name}");
                }
            }
        }
    }

    #[test]
    fn h9_a_fault_in_either_half_withholds_the_signature() {
        let (intact, parts) = load("rsa2048");
        assert!(
            intact
                .private(&BoxedUint::from(2_u8).resize(2048), &mut Counting::new(1))
                .is_ok()
        );
        let faults: [fn(&mut RsaPrivateKey, u8); 5] = [
            |key, bit| flip(&mut key.dp, bit),
            |key, bit| flip(&mut key.dq, bit),
            |key, bit| flip(&mut key.iqmp, bit),
            |key, bit| {
                let mut q = key.q.value().clone();
                flip(&mut q, bit);
                key.q.value = Zeroizing::new(NonZero::new(q).unwrap());
            },
            |key, bit| {
                let mut p = key.p.value().clone();
                flip(&mut p, bit | 1);
                key.p.params = BoxedMontyParams::new(modulus(p).unwrap());
            },
        ];
        for fault in faults {
            for bit in [1, 7, 33, 201] {
                let mut key = from(&parts).unwrap();
                fault(&mut key, bit);
                let result = key.sign(RsaHash::Sha256, b"abc", &mut Counting::new(1));
                assert_eq!(result, Err(RsaSignError::Internal));
            }
        }
    }

    fn flip(number: &mut BoxedUint, bit: u8) {
        number.as_mut_words()[usize::from(bit) / 64] ^= 1 << (bit % 64);
    }

    #[test]
    fn without_randomness_nothing_is_signed() {
        let (key, _) = load("rsa2048");
        let result = key.sign(RsaHash::Sha512, b"abc", &mut Broken);
        assert_eq!(result, Err(RsaSignError::Random(RandomError)));
        // Zero has no inverse.
        let mut zeros = |out: &mut [u8]| out.fill(0);
        let result = key.sign(
            RsaHash::Sha512,
            b"abc",
            &mut crate::testing::With(&mut zeros),
        );
        assert_eq!(result, Err(RsaSignError::Internal));
    }

    #[test]
    fn f5_numbers_that_do_not_belong_together_are_refused() {
        let (_, parts) = load("rsa2048");
        for index in 0..6 {
            for byte in [0, 1, parts[index].len() - 1] {
                let mut wrong = parts.clone();
                let Some(target) = wrong[index].get_mut(byte) else {
                    continue;
                };
                *target ^= 2;
                // e changes to another odd number, which d then does not fit.
                assert_eq!(
                    from(&wrong).err(),
                    Some(RsaKeyError::Inconsistent),
                    "{index} {byte}"
                );
            }
            for replacement in [vec![], vec![0], vec![1], vec![2], vec![0xff; 4000]] {
                let mut wrong = parts.clone();
                wrong[index] = replacement;
                assert!(from(&wrong).is_err());
            }
        }
        let mut swapped = parts.clone();
        swapped.swap(4, 5);
        assert_eq!(from(&swapped).err(), Some(RsaKeyError::Inconsistent));
        let mut trivial = parts.clone();
        (trivial[4], trivial[5]) = (parts[0].clone(), vec![1]);
        assert_eq!(from(&trivial).err(), Some(RsaKeyError::Inconsistent));
    }

    #[test]
    fn f7_weak_sizes_and_exponents_are_refused() {
        let (_, parts) = load("rsa2048");
        for (n, expected) in [(vec![0xff; 128], 1024), (vec![0xff; 2049], 16392)] {
            let mut wrong = parts.clone();
            wrong[0] = n;
            assert_eq!(
                from(&wrong).err(),
                Some(RsaKeyError::Size { bits: expected })
            );
        }
        for e in [vec![], vec![1], vec![2], vec![1, 0], vec![1; 9]] {
            let mut wrong = parts.clone();
            wrong[1] = e;
            assert_eq!(from(&wrong).err(), Some(RsaKeyError::Exponent));
        }
    }

    #[test]
    fn primes_of_different_sizes_and_odd_moduli_sign_too() {
        for line in include_str!("../../../testdata/keys/rsa_odd_sizes.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            let numbers: Vec<Vec<u8>> = line.split(' ').map(|h| hex::decode(h).unwrap()).collect();
            let [n, e, d, iqmp, p, q, message, signature] = <[_; 8]>::try_from(numbers).unwrap();
            let key = from(&[n, e, d, iqmp, p, q]).unwrap();
            let signed = key
                .sign(RsaHash::Sha256, &message, &mut Counting::new(7))
                .unwrap();
            assert_eq!(signed, signature);
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let text: String = alloc::format!("{:?}", load("rsa2048").0);
        assert_eq!(text, "RsaPrivateKey(2048 bits)");
    }
}
