//! The key that RSA key exchange (RFC 4432) encrypts to.

use alloc::sync::Arc;
use core::fmt;

use crate::crypto::agree::rsa::TransientKey;
use crate::crypto::hash::HashAlgorithm;
use crate::key::PublicKey;
use crate::wire::Mpint;

/// K_T of RFC 4432: a key pair of a server to which clients encrypt the secret of `rsa2048-sha256` and
/// `rsa1024-sha1`.
///
/// It must serve for nothing else, so it is no host key. Whoever learns it can read every session that
/// began with it: make a new one often. The private half is wiped with the last copy.
#[derive(Clone)]
pub struct TransientRsaKey(Arc<Halves>);

struct Halves {
    public: PublicKey,
    private: TransientKey,
}

impl TransientRsaKey {
    /// From the modulus, the public and the private exponent, unsigned and big-endian. Takes as long
    /// as a key exchange: the exponents are tried.
    ///
    /// # Errors
    ///
    /// [`TransientRsaKeyError`] if these are no key, or one of less than 1024 or more than 8192 bits.
    pub fn from_components(n: &[u8], e: &[u8], d: &[u8]) -> Result<Self, TransientRsaKeyError> {
        let public = PublicKey::new_rsa(Mpint::from_unsigned(e), Mpint::from_unsigned(n))
            .map_err(|_| TransientRsaKeyError)?;
        let (e, n) = public.rsa().ok_or(TransientRsaKeyError)?;
        if n.bits() > MAX_TRANSIENT {
            return Err(TransientRsaKeyError);
        }
        let private = TransientKey::new(n, Mpint::from_unsigned(d));
        let private = private.map_err(|_| TransientRsaKeyError)?;
        if private.belongs_to(e) != Ok(true) {
            return Err(TransientRsaKeyError);
        }
        Ok(Self(Arc::new(Halves { public, private })))
    }

    /// The size of the modulus.
    pub fn bits(&self) -> usize {
        self.0.public.rsa_modulus_bits().unwrap_or(0)
    }

    /// K_T on the wire.
    pub(crate) fn blob(&self) -> &[u8] {
        self.0.public.blob()
    }

    pub(crate) fn private(&self) -> &TransientKey {
        &self.0.private
    }
}

impl fmt::Debug for TransientRsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransientRsaKey({} bits)", self.bits())
    }
}

/// The largest modulus of K_T that is computed with.
pub(crate) const MAX_TRANSIENT: usize = 8192;

/// The smallest modulus of K_T for a method with this hash: MINKLEN of RFC 4432 sections 5 and 6.
pub(crate) const fn smallest_transient(hash: HashAlgorithm) -> usize {
    match hash {
        HashAlgorithm::Sha1 => 1024,
        _ => 2048,
    }
}

/// Numbers are no RSA key, or one of a size that is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransientRsaKeyError;

impl fmt::Display for TransientRsaKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the numbers are no RSA key of 1024 to 8192 bits")
    }
}

impl core::error::Error for TransientRsaKeyError {}
