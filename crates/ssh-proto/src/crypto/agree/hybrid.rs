//! A KEM and a curve side by side: who wants to know K has to break both
//! (draft-ietf-sshm-mlkem-hybrid-kex, draft-ietf-sshm-ntruprime-ssh).
//!
//! ```text
//!   C_INIT  = public key of the KEM | public value on the curve
//!   S_REPLY = ciphertext of the KEM | public value on the curve
//!   K       = HASH(K_pq | K_cl), encoded as a string
//! ```
//!
//! Both halves are checked as strictly as each would be alone, their lengths first. A ciphertext that
//! was tampered with gives another K (implicit rejection), and the exchange fails at the signature.

use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use super::{SharedSecret, curve::Curve};
use crate::{
    crypto::{
        CryptoError,
        hash::{Digest, Hash, HashAlgorithm},
    },
    random::Streams,
    wire::Sink as _,
};

/// What a KEM agrees on: K_pq.
pub(super) type KemSecret = Zeroizing<[u8; 32]>;

/// A key encapsulation mechanism; the value is a private key that serves one key exchange, and is
/// wiped when it is dropped.
pub(super) trait Kem: Sized {
    /// Bytes of a public key.
    const PUBLIC_LEN: usize;
    /// Bytes of a ciphertext.
    const CIPHERTEXT_LEN: usize;

    /// A fresh private key.
    fn generate(streams: &mut Streams) -> Result<Self, CryptoError>;

    /// The public key.
    fn public(&self) -> Vec<u8>;

    /// A ciphertext for the owner of `public`, and the secret in it.
    fn encapsulate(
        public: &[u8],
        streams: &mut Streams,
    ) -> Result<(Vec<u8>, KemSecret), CryptoError>;

    /// The secret in a ciphertext.
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<KemSecret, CryptoError>;
}

/// The client's two private keys. Wiped when dropped.
pub(super) struct Hybrid<K, C> {
    hash: HashAlgorithm,
    kem: K,
    curve: C,
}

impl<K: Kem, C: Curve> Hybrid<K, C> {
    /// The keys, and C_INIT. `hash` is that of the method.
    pub(super) fn generate(
        hash: HashAlgorithm,
        streams: &mut Streams,
    ) -> Result<(Vec<u8>, Self), CryptoError> {
        let kem = K::generate(streams)?;
        let curve = C::generate(streams)?;
        let init = [kem.public(), curve.public()].concat();
        Ok((init, Self { hash, kem, curve }))
    }

    /// K, from S_REPLY.
    pub(super) fn finish(&self, server_reply: &[u8]) -> Result<SharedSecret, CryptoError> {
        let (ciphertext, public) = server_reply
            .split_at_checked(K::CIPHERTEXT_LEN)
            .ok_or(CryptoError::PeerShare)?;
        let classical = self.curve.agree(public)?;
        let post_quantum = self.kem.decapsulate(ciphertext)?;
        let secret = combine(self.hash, &post_quantum, &classical);
        Ok(SharedSecret::Hash(secret))
    }

    /// S_REPLY and K, from C_INIT.
    pub(super) fn respond(
        hash: HashAlgorithm,
        client_init: &[u8],
        streams: &mut Streams,
    ) -> Result<(Vec<u8>, SharedSecret), CryptoError> {
        let (key, public) = client_init
            .split_at_checked(K::PUBLIC_LEN)
            .ok_or(CryptoError::PeerShare)?;
        let private = C::generate(streams)?;
        let classical = private.agree(public)?;
        let (ciphertext, post_quantum) = K::encapsulate(key, streams)?;
        let reply = [ciphertext, private.public()].concat();
        let secret = combine(hash, &post_quantum, &classical);
        Ok((reply, SharedSecret::Hash(secret)))
    }
}

impl<K, C> fmt::Debug for Hybrid<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hybrid")
    }
}

fn combine(hash: HashAlgorithm, post_quantum: &[u8; 32], classical: &[u8]) -> Digest {
    let mut hash = Hash::new(hash);
    hash.put(post_quantum);
    hash.put(classical);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k_is_the_hash_of_both_secrets_in_this_order() {
        for hash in [
            HashAlgorithm::Sha256,
            HashAlgorithm::Sha384,
            HashAlgorithm::Sha512,
        ] {
            let both = [&[1; 32][..], &[2; 48]].concat();
            assert_eq!(combine(hash, &[1; 32], &[2; 48]), hash.digest(&both));
        }
    }
}
