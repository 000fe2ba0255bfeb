//! Key agreement: what a client sends, what a server replies, and the secret that both then have.
//!
//! One file per family. A share of the peer is checked before anything is computed from it, and a
//! secret that the peer could know beforehand is refused (RFC 8731 section 3): the handshake then
//! fails, there is no fallback.

mod curve;
mod curve25519;
#[cfg(feature = "curve448")]
mod curve448;
pub(crate) mod dh;
mod hybrid;
mod mlkem;
mod nist;
pub(crate) mod rsa;
mod sntrup;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use curve::Curve;
use hybrid::{Hybrid, Kem};
use ml_kem::{MlKem768, MlKem1024};
use p256::NistP256;
use p384::NistP384;
use p521::NistP521;
use zeroize::Zeroizing;

use super::{CryptoError, hash::Digest};
use crate::{
    algorithm::KexAlgorithm,
    random::Streams,
    wire::{Mpint, Sink},
};

/// The client's half: what it sent, and what it keeps to itself. Wiped when dropped.
pub(crate) struct ClientShare {
    public: Vec<u8>,
    /// In a block of its own, where it stays until it is wiped: a move would leave a copy behind.
    private: Box<Private>,
}

enum Private {
    Curve25519(X25519),
    #[cfg(feature = "curve448")]
    Curve448(curve448::Ephemeral),
    Dh(dh::Group, dh::Ephemeral),
    Nistp256(nist::Ephemeral<NistP256>),
    Nistp384(nist::Ephemeral<NistP384>),
    Nistp521(nist::Ephemeral<NistP521>),
    Mlkem768X25519(Mlkem768X25519),
    Mlkem768Nistp256(Mlkem768Nistp256),
    Mlkem1024Nistp384(Mlkem1024Nistp384),
    Sntrup761X25519(Sntrup761X25519),
}

type X25519 = curve25519::Ephemeral;
type Mlkem768X25519 = Hybrid<mlkem::PrivateKey<MlKem768>, X25519>;
type Mlkem768Nistp256 = Hybrid<mlkem::PrivateKey<MlKem768>, nist::Ephemeral<NistP256>>;
type Mlkem1024Nistp384 = Hybrid<mlkem::PrivateKey<MlKem1024>, nist::Ephemeral<NistP384>>;
type Sntrup761X25519 = Hybrid<sntrup::PrivateKey, X25519>;

impl ClientShare {
    /// Makes a fresh share for a method of which it is the first message.
    pub(crate) fn generate(kex: KexAlgorithm, streams: &mut Streams) -> Result<Self, CryptoError> {
        if let Some(group) = dh::fixed(kex) {
            let group = dh::Group::named(group)?;
            let (public, private) = dh::Ephemeral::generate(&group, streams)?;
            return Ok(Self::new(public, Private::Dh(group, private)));
        }
        match kex {
            KexAlgorithm::Curve25519Sha256 | KexAlgorithm::Curve25519Sha256LibSsh => {
                Self::curve(Private::Curve25519, streams)
            }
            #[cfg(feature = "curve448")]
            KexAlgorithm::Curve448Sha512 => Self::curve(Private::Curve448, streams),
            KexAlgorithm::EcdhSha2Nistp256 => Self::curve(Private::Nistp256, streams),
            KexAlgorithm::EcdhSha2Nistp384 => Self::curve(Private::Nistp384, streams),
            KexAlgorithm::EcdhSha2Nistp521 => Self::curve(Private::Nistp521, streams),
            KexAlgorithm::Mlkem768X25519Sha256 => {
                Self::hybrid(Private::Mlkem768X25519, kex, streams)
            }
            KexAlgorithm::Mlkem768Nistp256Sha256 => {
                Self::hybrid(Private::Mlkem768Nistp256, kex, streams)
            }
            KexAlgorithm::Mlkem1024Nistp384Sha384 => {
                Self::hybrid(Private::Mlkem1024Nistp384, kex, streams)
            }
            KexAlgorithm::Sntrup761X25519Sha512 | KexAlgorithm::Sntrup761X25519Sha512OpenSsh => {
                Self::hybrid(Private::Sntrup761X25519, kex, streams)
            }
            _ => Err(CryptoError::Internal),
        }
    }

    fn curve<C: Curve>(
        private: fn(C) -> Private,
        streams: &mut Streams,
    ) -> Result<Self, CryptoError> {
        let scalar = C::generate(streams)?;
        Ok(Self::new(scalar.public(), private(scalar)))
    }

    fn hybrid<K: Kem, C: Curve>(
        private: fn(Hybrid<K, C>) -> Private,
        kex: KexAlgorithm,
        streams: &mut Streams,
    ) -> Result<Self, CryptoError> {
        let (public, keys) = Hybrid::generate(kex.hash(), streams)?;
        Ok(Self::new(public, private(keys)))
    }

    fn new(public: Vec<u8>, private: Private) -> Self {
        let private = Box::new(private);
        Self { public, private }
    }

    /// What goes to the server: the string Q_C (RFC 5656 section 4) or C_INIT, or the number e,
    /// big-endian.
    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The shared secret, from what the server sent: Q_S, S_REPLY or f.
    pub(crate) fn finish(self, server_reply: &[u8]) -> Result<SharedSecret, CryptoError> {
        let number = match &*self.private {
            Private::Curve25519(private) => private.agree(server_reply),
            #[cfg(feature = "curve448")]
            Private::Curve448(private) => private.agree(server_reply),
            Private::Dh(group, private) => return private.agree(group, server_reply),
            Private::Nistp256(private) => private.agree(server_reply),
            Private::Nistp384(private) => private.agree(server_reply),
            Private::Nistp521(private) => private.agree(server_reply),
            Private::Mlkem768X25519(private) => return private.finish(server_reply),
            Private::Mlkem768Nistp256(private) => return private.finish(server_reply),
            Private::Mlkem1024Nistp384(private) => return private.finish(server_reply),
            Private::Sntrup761X25519(private) => return private.finish(server_reply),
        };
        number.map(SharedSecret::Number)
    }
}

impl fmt::Debug for ClientShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientShare")
    }
}

/// The server's side in one step: from what the client sent, what goes to the client (Q_S, S_REPLY
/// or f) and the shared secret.
pub(crate) fn server_respond(
    kex: KexAlgorithm,
    client_init: &[u8],
    streams: &mut Streams,
) -> Result<(Vec<u8>, SharedSecret), CryptoError> {
    if let Some(group) = dh::fixed(kex) {
        return dh::respond(&dh::Group::named(group)?, client_init, streams);
    }
    let (init, hash) = (client_init, kex.hash());
    match kex {
        KexAlgorithm::Curve25519Sha256 | KexAlgorithm::Curve25519Sha256LibSsh => {
            curve::respond::<X25519>(init, streams)
        }
        #[cfg(feature = "curve448")]
        KexAlgorithm::Curve448Sha512 => curve::respond::<curve448::Ephemeral>(init, streams),
        KexAlgorithm::EcdhSha2Nistp256 => {
            curve::respond::<nist::Ephemeral<NistP256>>(init, streams)
        }
        KexAlgorithm::EcdhSha2Nistp384 => {
            curve::respond::<nist::Ephemeral<NistP384>>(init, streams)
        }
        KexAlgorithm::EcdhSha2Nistp521 => {
            curve::respond::<nist::Ephemeral<NistP521>>(init, streams)
        }
        KexAlgorithm::Mlkem768X25519Sha256 => Mlkem768X25519::respond(hash, init, streams),
        KexAlgorithm::Mlkem768Nistp256Sha256 => Mlkem768Nistp256::respond(hash, init, streams),
        KexAlgorithm::Mlkem1024Nistp384Sha384 => Mlkem1024Nistp384::respond(hash, init, streams),
        KexAlgorithm::Sntrup761X25519Sha512 | KexAlgorithm::Sntrup761X25519Sha512OpenSsh => {
            Sntrup761X25519::respond(hash, init, streams)
        }
        _ => Err(CryptoError::Internal),
    }
}

/// K of RFC 4253 section 8. Wiped when dropped.
pub(crate) enum SharedSecret {
    /// A number, big-endian, which is encoded as an mpint.
    Number(Zeroizing<Vec<u8>>),
    /// The hash of several secrets, which is encoded as a string.
    Hash(Digest),
}

impl SharedSecret {
    /// Writes K as it enters the exchange hash and the key derivation.
    pub(crate) fn encode<S: Sink + ?Sized>(&self, out: &mut S) {
        match self {
            //= rfc8731#section-3.1
            //# The 32 or 56 bytes of X are converted into K by interpreting the octets as an unsigned
            //# fixed-length integer encoded in network byte order.
            Self::Number(number) => out.put_mpint(Mpint::from_unsigned(number.as_ref())),
            Self::Hash(hash) => out.put_string(hash.as_ref()),
        }
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret")
    }
}

#[cfg(test)]
mod tests;
