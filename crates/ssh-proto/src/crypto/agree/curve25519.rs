//! X25519 (RFC 7748) as SSH uses it (RFC 8731).

use core::fmt;

use curve25519_dalek::MontgomeryPoint;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{
    crypto::CryptoError,
    random::{Purpose, Streams},
};

/// Bytes of a public value.
pub(super) const PUBLIC_LEN: usize = 32;

/// A private scalar that serves one key exchange. Wiped when dropped.
pub(super) struct Ephemeral {
    scalar: Zeroizing<[u8; 32]>,
}

impl Ephemeral {
    pub(super) fn generate(streams: &mut Streams) -> Self {
        let mut scalar = Zeroizing::new([0; 32]);
        streams.fill(Purpose::Kex, scalar.as_mut());
        Self { scalar }
    }

    /// The public value.
    pub(super) fn public(&self) -> [u8; PUBLIC_LEN] {
        MontgomeryPoint::mul_base_clamped(*self.scalar).to_bytes()
    }

    /// The secret shared with the owner of `peer`, a public value.
    //= rfc8731#section-3
    //# implementations MUST check whether the computed Diffie-Hellman shared secret is the
    //# all-zero value and abort if so ... Clients and servers MUST also abort if the length of
    //# the received public keys are not the expected lengths.
    pub(super) fn agree(&self, peer: &[u8]) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
        let peer: [u8; PUBLIC_LEN] = peer.try_into().map_err(|_| CryptoError::PeerShare)?;
        let secret = MontgomeryPoint(peer).mul_clamped(*self.scalar);
        let secret = Zeroizing::new(secret.to_bytes());
        // A point of low order makes it zero whatever our scalar is.
        if secret.ct_eq(&[0; 32]).into() {
            return Err(CryptoError::PeerShare);
        }
        Ok(secret)
    }
}

impl fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ephemeral")
    }
}
