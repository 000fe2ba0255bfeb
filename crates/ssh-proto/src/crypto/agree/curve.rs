//! What the curves have in common: a public value each way, and a number that both then know.

use alloc::vec::Vec;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::SharedSecret;
use crate::{crypto::CryptoError, random::Streams};

/// Diffie-Hellman on a curve; the value is a private scalar that serves one key exchange, and is
/// wiped when it is dropped.
pub(super) trait Curve: Sized {
    /// A fresh scalar.
    fn generate(streams: &mut Streams) -> Result<Self, CryptoError>;

    /// The public value.
    fn public(&self) -> Vec<u8>;

    /// The secret shared with the owner of `peer`, a public value: as many bytes as the field has,
    /// however small the number is.
    fn agree(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError>;
}

/// What came of a scalar and the peer's point, on a curve of RFC 7748.
//= rfc8731#section-3
//# implementations MUST check whether the computed Diffie-Hellman shared secret is the
//# all-zero value and abort if so
pub(super) fn unless_zero<const LEN: usize>(
    secret: &[u8; LEN],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    // A point of low order makes it zero whatever our scalar is.
    if secret.ct_eq(&[0; LEN]).into() {
        return Err(CryptoError::PeerShare);
    }
    Ok(Zeroizing::new(secret.to_vec()))
}

/// Q_S and K, from Q_C (RFC 5656 section 4).
pub(super) fn respond<C: Curve>(
    client_public: &[u8],
    streams: &mut Streams,
) -> Result<(Vec<u8>, SharedSecret), CryptoError> {
    let private = C::generate(streams)?;
    let secret = private.agree(client_public)?;
    Ok((private.public(), SharedSecret::Number(secret)))
}
