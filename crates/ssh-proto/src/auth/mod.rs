//! What both sides of authentication share (RFC 4252).
//!
//! The order of the messages is the business of each role, [`client`](crate::client) and
//! [`server`](crate::server). Here are the names of the two services, how somebody was let in, and
//! the request for a signature that is made outside of the core.

use crate::algorithm::SignatureAlgorithm;

/// The service that lets users in.
pub(crate) const USERAUTH: &str = "ssh-userauth";
/// The service that they are let in to.
pub(crate) const CONNECTION: &str = "ssh-connection";

/// How somebody was let in, or proved something on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthenticatedBy {
    /// By nothing: the server asked for no credential.
    None,
    /// By a password.
    Password,
    /// By a signature.
    PublicKey(SignatureAlgorithm),
}

impl core::fmt::Display for AuthenticatedBy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::None => f.write_str("nothing (no credential was asked for)"),
            Self::Password => f.write_str("password"),
            Self::PublicKey(algorithm) => write!(f, "publickey ({algorithm})"),
        }
    }
}

/// Something to be signed outside of the core: by an RSA key, an agent, a token of hardware.
#[derive(Debug)]
#[must_use = "the connection waits for the signature"]
#[non_exhaustive]
pub struct SignRequest {
    pub(crate) nonce: u64,
    /// How to sign.
    pub algorithm: SignatureAlgorithm,
    /// With the private half of this key.
    pub key: crate::key::PublicKey,
    /// What to sign; the algorithm says how it is hashed.
    pub data: alloc::vec::Vec<u8>,
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn how_somebody_was_let_in_is_said_in_words() {
        let key = AuthenticatedBy::PublicKey(SignatureAlgorithm::Ed25519);
        assert_eq!(key.to_string(), "publickey (ssh-ed25519)");
        assert_eq!(AuthenticatedBy::Password.to_string(), "password");
        assert!(AuthenticatedBy::None.to_string().contains("no credential"));
    }
}
