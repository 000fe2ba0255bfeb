//! `mlkem768x25519-sha256`: ML-KEM-768 (FIPS 203) and X25519, side by side
//! (draft-ietf-sshm-mlkem-hybrid-kex).
//!
//! ```text
//!   C_INIT  = encapsulation key 1184 | X25519 public 32
//!   S_REPLY = ciphertext 1088        | X25519 public 32
//!   K       = SHA-256(K_pq | K_cl), encoded as a string
//! ```
//!
//! Both halves are checked as strictly as each would be alone. A ciphertext that was tampered with
//! gives another K (implicit rejection), and the exchange fails at the signature.

use alloc::vec::Vec;
use core::fmt;

use ml_kem::{Decapsulate as _, Encapsulate as _, KeyExport as _, MlKem768};
use zeroize::{Zeroize as _, Zeroizing};

use super::curve25519;
use crate::{
    crypto::{
        CryptoError,
        hash::{Digest, Hash, HashAlgorithm},
    },
    random::{Purpose, Streams},
    wire::Sink as _,
};

type DecapsulationKey = ml_kem::DecapsulationKey<MlKem768>;
type EncapsulationKey = ml_kem::EncapsulationKey<MlKem768>;

const ENCAPSULATION_KEY_LEN: usize = 1184;
const CIPHERTEXT_LEN: usize = 1088;

/// The client's two private keys. Wiped when dropped.
pub(super) struct Ephemeral {
    kem: DecapsulationKey,
    curve: curve25519::Ephemeral,
}

impl Ephemeral {
    /// The keys, and C_INIT.
    pub(super) fn generate(streams: &mut Streams) -> (Vec<u8>, Self) {
        let mut seed = Zeroizing::new([0; 64]);
        streams.fill(Purpose::Kex, seed.as_mut());
        let mut array = ml_kem::Seed::from(*seed);
        let kem = DecapsulationKey::from_seed(array);
        array.zeroize();
        let curve = curve25519::Ephemeral::generate(streams);

        let mut public = Vec::with_capacity(ENCAPSULATION_KEY_LEN + curve25519::PUBLIC_LEN);
        public.extend_from_slice(&kem.encapsulation_key().to_bytes());
        public.extend_from_slice(&curve.public());
        (public, Self { kem, curve })
    }

    /// K, from S_REPLY.
    pub(super) fn finish(self, server_reply: &[u8]) -> Result<Digest, CryptoError> {
        let (ciphertext, curve) = server_reply
            .split_first_chunk::<CIPHERTEXT_LEN>()
            .ok_or(CryptoError::PeerShare)?;
        let classical = self.curve.agree(curve)?;
        let mut post_quantum = self.kem.decapsulate(&(*ciphertext).into());
        let secret = combine(&post_quantum, &classical);
        post_quantum.zeroize();
        Ok(secret)
    }
}

impl fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ephemeral")
    }
}

/// S_REPLY and K, from C_INIT.
pub(super) fn respond(
    client_init: &[u8],
    streams: &mut Streams,
) -> Result<(Vec<u8>, Digest), CryptoError> {
    let (key, curve) = client_init
        .split_first_chunk::<ENCAPSULATION_KEY_LEN>()
        .ok_or(CryptoError::PeerShare)?;
    // Refuses coefficients that are not reduced: the modulus check of FIPS 203 section 7.2.
    let key = EncapsulationKey::new(&(*key).into()).map_err(|_| CryptoError::PeerShare)?;
    let private = curve25519::Ephemeral::generate(streams);
    let classical = private.agree(curve)?;
    let (ciphertext, mut post_quantum) = key.encapsulate_with_rng(streams.of(Purpose::Kex));

    let mut reply = Vec::with_capacity(CIPHERTEXT_LEN + curve25519::PUBLIC_LEN);
    reply.extend_from_slice(&ciphertext);
    reply.extend_from_slice(&private.public());
    let secret = combine(&post_quantum, &classical);
    post_quantum.zeroize();
    Ok((reply, secret))
}

fn combine(post_quantum: &[u8], classical: &[u8; 32]) -> Digest {
    let mut hash = Hash::new(HashAlgorithm::Sha256);
    hash.put(post_quantum);
    hash.put(classical);
    hash.finish()
}
