//! The primitives, and the only place that names a crate of primitives.
//!
//! Everything above sees closed enums and our own errors: which library computes what is decided
//! here, file by file, and can be changed here. No randomness is drawn but from a
//! [`Generator`](generator::Generator) or a [`Random`](crate::random::Random) that is passed in,
//! so that the core stays deterministic; for that reason the key agreement and the signing of
//! `ring`, which insist on the system's source, are not used.
//!
//! Secrets are wiped when they are dropped, with one exception: `ring` keeps the expanded keys of
//! AES-GCM and ChaCha20 in types of its own that do not wipe themselves, and nothing outside of
//! it can without unsafe code.

pub(crate) mod agree;
pub(crate) mod cipher;
pub(crate) mod error;
pub(crate) mod generator;
pub(crate) mod hash;
pub(crate) mod mac;
mod memo;
pub(crate) mod sign;
pub(crate) mod verify;

pub(crate) use error::CryptoError;
