//! Key agreement: what a client sends, what a server replies, and the secret that both then have.
//!
//! One file per family. A share of the peer is checked before anything is computed from it, and a
//! secret that the peer could know beforehand is refused (RFC 8731 section 3): the handshake then
//! fails, there is no fallback.

mod curve25519;
pub(crate) mod dh;
mod mlkem;
pub(crate) mod rsa;

use alloc::vec::Vec;
use core::fmt;

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
    private: Private,
}

enum Private {
    Curve25519(curve25519::Ephemeral),
    Dh(dh::Group, dh::Ephemeral),
    MlKem768X25519(mlkem::Ephemeral),
}

impl ClientShare {
    /// Makes a fresh share for a method of which it is the first message.
    pub(crate) fn generate(kex: KexAlgorithm, streams: &mut Streams) -> Result<Self, CryptoError> {
        if let Some(group) = dh::fixed(kex) {
            let group = dh::Group::named(group)?;
            let (public, private) = dh::Ephemeral::generate(&group, streams)?;
            let private = Private::Dh(group, private);
            return Ok(Self { public, private });
        }
        let (public, private) = match kex {
            KexAlgorithm::Mlkem768X25519Sha256 => {
                let (public, private) = mlkem::Ephemeral::generate(streams);
                (public, Private::MlKem768X25519(private))
            }
            KexAlgorithm::Curve25519Sha256 | KexAlgorithm::Curve25519Sha256LibSsh => {
                let private = curve25519::Ephemeral::generate(streams);
                (private.public().to_vec(), Private::Curve25519(private))
            }
            _ => return Err(CryptoError::Internal),
        };
        Ok(Self { public, private })
    }

    /// What goes to the server: the string Q_C (RFC 5656 section 4) or C_INIT, or the number e,
    /// big-endian.
    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The shared secret, from what the server sent: Q_S, S_REPLY or f.
    pub(crate) fn finish(self, server_reply: &[u8]) -> Result<SharedSecret, CryptoError> {
        match self.private {
            Private::Curve25519(private) => private.agree(server_reply).map(SharedSecret::number),
            Private::Dh(group, private) => private.agree(&group, server_reply),
            Private::MlKem768X25519(private) => {
                private.finish(server_reply).map(SharedSecret::Hash)
            }
        }
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
    match kex {
        KexAlgorithm::Mlkem768X25519Sha256 => {
            let (reply, secret) = mlkem::respond(client_init, streams)?;
            Ok((reply, SharedSecret::Hash(secret)))
        }
        KexAlgorithm::Curve25519Sha256 | KexAlgorithm::Curve25519Sha256LibSsh => {
            let private = curve25519::Ephemeral::generate(streams);
            let reply = private.public().to_vec();
            let secret = private.agree(client_init)?;
            Ok((reply, SharedSecret::number(secret)))
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
    fn number<const N: usize>(value: Zeroizing<[u8; N]>) -> Self {
        Self::Number(Zeroizing::new(value.to_vec()))
    }

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
