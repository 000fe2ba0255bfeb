//! What the curves have in common: a public value each way, and a number that both then know.

use alloc::vec::Vec;

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

/// Q_S and K, from Q_C (RFC 5656 section 4).
pub(super) fn respond<C: Curve>(
    client_public: &[u8],
    streams: &mut Streams,
) -> Result<(Vec<u8>, SharedSecret), CryptoError> {
    let private = C::generate(streams)?;
    let secret = private.agree(client_public)?;
    Ok((private.public(), SharedSecret::Number(secret)))
}
