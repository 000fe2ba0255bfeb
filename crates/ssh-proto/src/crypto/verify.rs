//! Verification of signatures, and the checks of public keys that go with it.
//!
//! Ed25519 is verified strictly: no small-order points, no second encoding of a scalar. ECDSA and
//! RSA are verified by `ring`, which is the fastest; it takes RSA moduli of 2048 to 8192 bits.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
    RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::{CryptoError, hash::HashAlgorithm, memo::remembered};
use crate::wire::Mpint;

/// Bytes of a P-256 scalar or coordinate.
const P256_LEN: usize = 32;

/// The bounds of RSA moduli whose signatures are verified, in bits.
pub(crate) const RSA_BITS: core::ops::RangeInclusive<usize> = 2048..=8192;

const RSA_MAX_LEN: usize = 8192 / 8;

/// Verifies an Ed25519 signature (RFC 8032 section 5.1.7).
pub(crate) fn ed25519(
    public: &[u8; 32],
    message: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    remembered!("ed25519 verify", [public, message, signature]; {
        let key = ed25519_dalek::VerifyingKey::from_bytes(public).map_err(|_| CryptoError::Key)?;
        let signature =
            ed25519_dalek::Signature::from_slice(signature).map_err(|_| CryptoError::Signature)?;
        key.verify_strict(message, &signature)
            .map_err(|_| CryptoError::Signature)
    })
}

/// Verifies an ECDSA signature over P-256 with SHA-256.
pub(crate) fn ecdsa_p256(
    point: &[u8],
    message: &[u8],
    r: Mpint<'_>,
    s: Mpint<'_>,
) -> Result<(), CryptoError> {
    let mut fixed = [0; 2 * P256_LEN];
    let (left, right) = fixed.split_at_mut(P256_LEN);
    pad_left(left, r.as_unsigned())?;
    pad_left(right, s.as_unsigned())?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(message, &fixed)
        .map_err(|_| CryptoError::Signature)
}

/// Whether `point` is a point of P-256, uncompressed, and not the one at infinity.
pub(crate) fn is_p256_point(point: &[u8; 65]) -> bool {
    point.first() == Some(&4) && p256::PublicKey::from_sec1_bytes(point).is_ok()
}

/// Verifies an RSA signature of PKCS #1 v1.5 (RFC 8017 section 8.2.2). One that is longer than the
/// modulus is refused; one that is shorter has lost zero bytes, which are put back.
//= rfc8332#section-3
//# A verifier MAY accept shorter encodings of S with one or more leading zeros omitted.
pub(crate) fn rsa_pkcs1(
    hash: HashAlgorithm,
    n: Mpint<'_>,
    e: Mpint<'_>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    let parameters = match hash {
        HashAlgorithm::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        HashAlgorithm::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        // No signature algorithm of ours hashes with these.
        HashAlgorithm::Sha1 | HashAlgorithm::Sha384 => return Err(CryptoError::Internal),
    };
    if !RSA_BITS.contains(&n.bits()) {
        return Err(CryptoError::Key);
    }
    let n = n.as_unsigned();
    let mut padded = [0; RSA_MAX_LEN];
    let padded = padded.get_mut(..n.len()).ok_or(CryptoError::Key)?;
    pad_left(padded, signature)?;
    let e = e.as_unsigned();
    RsaPublicKeyComponents { n, e }
        .verify(parameters, message, padded)
        .map_err(|_| CryptoError::Signature)
}

/// Copies a big-endian number to the end of `out`, which is zero.
fn pad_left(out: &mut [u8], number: &[u8]) -> Result<(), CryptoError> {
    out.len()
        .checked_sub(number.len())
        .and_then(|zeros| out.get_mut(zeros..))
        .map(|tail| tail.copy_from_slice(number))
        .ok_or(CryptoError::Signature)
}
