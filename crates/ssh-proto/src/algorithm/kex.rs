//! Key exchange methods: the table.

use super::{Standing, algorithms};
use crate::crypto::hash::HashAlgorithm;
use crate::message::KexMessages;

algorithms! {
    /// A key exchange method.
    KexAlgorithm: KexFacts {
        /// ML-KEM-768 and X25519 together: safe as long as one of them is
        /// (draft-ietf-sshm-mlkem-hybrid-kex).
        Mlkem768X25519Sha256 = "mlkem768x25519-sha256" {
            hash: HashAlgorithm::Sha256, post_quantum: true,
            messages: KexMessages::Ecdh, standing: Standing::Recommended,
        },
        /// Streamlined NTRU Prime 761 and X25519 together: likewise (draft-ietf-sshm-ntruprime-ssh).
        Sntrup761X25519Sha512 = "sntrup761x25519-sha512" {
            hash: HashAlgorithm::Sha512, post_quantum: true,
            messages: KexMessages::Ecdh, standing: Standing::Recommended,
        },
        /// The same method under the name that OpenSSH gave it before.
        Sntrup761X25519Sha512OpenSsh = "sntrup761x25519-sha512@openssh.com" {
            hash: HashAlgorithm::Sha512, post_quantum: true,
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
        /// ECDH over the curve P-256 (RFC 5656).
        EcdhSha2Nistp256 = "ecdh-sha2-nistp256" {
            hash: HashAlgorithm::Sha256, post_quantum: false,
            messages: KexMessages::Ecdh, standing: Standing::Acceptable,
        },
        /// ECDH over the curve P-384 (RFC 5656).
        EcdhSha2Nistp384 = "ecdh-sha2-nistp384" {
            hash: HashAlgorithm::Sha384, post_quantum: false,
            messages: KexMessages::Ecdh, standing: Standing::Acceptable,
        },
        /// ECDH over the curve P-521 (RFC 5656).
        EcdhSha2Nistp521 = "ecdh-sha2-nistp521" {
            hash: HashAlgorithm::Sha512, post_quantum: false,
            messages: KexMessages::Ecdh, standing: Standing::Acceptable,
        },
        /// ML-KEM-768 and ECDH over P-256 together (draft-ietf-sshm-mlkem-hybrid-kex).
        Mlkem768Nistp256Sha256 = "mlkem768nistp256-sha256" {
            hash: HashAlgorithm::Sha256, post_quantum: true,
            messages: KexMessages::Ecdh, standing: Standing::OnRequest,
        },
        /// ML-KEM-1024 and ECDH over P-384 together (draft-ietf-sshm-mlkem-hybrid-kex).
        Mlkem1024Nistp384Sha384 = "mlkem1024nistp384-sha384" {
            hash: HashAlgorithm::Sha384, post_quantum: true,
            messages: KexMessages::Ecdh, standing: Standing::OnRequest,
        },
        /// X448 (RFC 8731), with the feature `curve448`.
        #[cfg(feature = "curve448")]
        Curve448Sha512 = "curve448-sha512" {
            hash: HashAlgorithm::Sha512, post_quantum: false,
            messages: KexMessages::Ecdh, standing: Standing::OnRequest,
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
