//! Key exchange methods: the table.

use super::{Standing, algorithms};
use crate::crypto::hash::HashAlgorithm;
use crate::message::KexMessages;

algorithms! {
    /// A key exchange method.
    KexAlgorithm ("key exchange method"): KexFacts {
        /// ML-KEM-768 and X25519 together: safe as long as one of them is
        /// (draft-ietf-sshm-mlkem-hybrid-kex).
        Mlkem768X25519Sha256 = "mlkem768x25519-sha256" {
            hash: HashAlgorithm::Sha256, post_quantum: true,
            messages: KexMessages::Ecdh, standing: Standing::Recommended,
        },
        /// X25519 (RFC 8731).
        Curve25519Sha256 = "curve25519-sha256" {
            hash: HashAlgorithm::Sha256, post_quantum: false,
            messages: KexMessages::Ecdh, standing: Standing::Recommended,
        },
        /// The same method under the name that it had before RFC 8731.
        Curve25519Sha256LibSsh = "curve25519-sha256@libssh.org" {
            hash: HashAlgorithm::Sha256, post_quantum: false,
            messages: KexMessages::Ecdh, standing: Standing::Recommended,
        },
    }
}

struct KexFacts {
    hash: HashAlgorithm,
    post_quantum: bool,
    messages: KexMessages,
    standing: Standing,
}

impl KexAlgorithm {
    /// The hash of the exchange hash and of the key derivation (RFC 4253 section 7.2).
    pub(crate) const fn hash(self) -> HashAlgorithm {
        self.facts().hash
    }

    /// What its messages are.
    pub(crate) const fn messages(self) -> KexMessages {
        self.facts().messages
    }

    /// Whether a recording of the session stays secret from a future quantum computer.
    pub const fn is_post_quantum(self) -> bool {
        self.facts().post_quantum
    }
}
