//! What can go wrong in a primitive. Deliberately coarse: a peer must not learn more than that.
//!
//! Nothing here says where a check failed or holds bytes of what was checked. `Internal` alone
//! would be a defect of ours.

use core::fmt;

use crate::random::RandomError;

/// Why a primitive refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub(crate) enum CryptoError {
    /// A tag or a MAC does not match: the packet was damaged or forged, and has been wiped.
    Integrity,
    /// A key cannot be used for another packet without repeating a nonce.
    KeyExhausted,
    /// What a peer sent as its part of a key agreement has the wrong length, is not a valid key,
    /// or leads to a secret that it knows beforehand.
    PeerShare,
    /// A signature is not valid for this key and this message.
    Signature,
    /// A public key or a private key is not usable.
    Key,
    /// The source of randomness failed.
    Random,
    /// A buffer, key or IV of ours has the wrong size, or algorithms were combined that do not
    /// fit together. Never caused by a peer.
    Internal,
}

impl fmt::Display for CryptoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integrity => "the integrity check of a packet failed",
            Self::KeyExhausted => "a key must not be used any more",
            Self::PeerShare => "the peer's part of the key agreement is invalid",
            Self::Signature => "a signature is invalid",
            Self::Key => "a key is not usable",
            Self::Random => "the source of randomness failed",
            Self::Internal => "a primitive was called in the wrong way",
        })
    }
}

impl core::error::Error for CryptoError {}

impl From<RandomError> for CryptoError {
    fn from(_: RandomError) -> Self {
        Self::Random
    }
}
