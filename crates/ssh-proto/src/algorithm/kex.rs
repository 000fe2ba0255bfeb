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
        /// Diffie-Hellman in a group that the server chooses (RFC 4419, RFC 8270).
        DiffieHellmanGroupExchangeSha256 = "diffie-hellman-group-exchange-sha256" {
            hash: HashAlgorithm::Sha256, post_quantum: false,
            messages: KexMessages::GroupExchange, standing: Standing::AcceptableToClients,
        },
        /// Diffie-Hellman in a group of 4096 bits (RFC 8268).
        DiffieHellmanGroup16Sha512 = "diffie-hellman-group16-sha512" {
            hash: HashAlgorithm::Sha512, post_quantum: false,
            messages: KexMessages::Dh, standing: Standing::AcceptableToClients,
        },
        /// Diffie-Hellman in a group of 8192 bits (RFC 8268).
        DiffieHellmanGroup18Sha512 = "diffie-hellman-group18-sha512" {
            hash: HashAlgorithm::Sha512, post_quantum: false,
            messages: KexMessages::Dh, standing: Standing::AcceptableToClients,
        },
        /// Diffie-Hellman in a group of 2048 bits (RFC 8268).
        DiffieHellmanGroup14Sha256 = "diffie-hellman-group14-sha256" {
            hash: HashAlgorithm::Sha256, post_quantum: false,
            messages: KexMessages::Dh, standing: Standing::AcceptableToClients,
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
        /// Diffie-Hellman in a group of 3072 bits (RFC 8268).
        DiffieHellmanGroup15Sha512 = "diffie-hellman-group15-sha512" {
            hash: HashAlgorithm::Sha512, post_quantum: false,
            messages: KexMessages::Dh, standing: Standing::OnRequest,
        },
        /// Diffie-Hellman in a group of 6144 bits (RFC 8268).
        DiffieHellmanGroup17Sha512 = "diffie-hellman-group17-sha512" {
            hash: HashAlgorithm::Sha512, post_quantum: false,
            messages: KexMessages::Dh, standing: Standing::OnRequest,
        },
        /// As `diffie-hellman-group14-sha256`, with SHA-1 (RFC 4253 section 8.2).
        DiffieHellmanGroup14Sha1 = "diffie-hellman-group14-sha1" {
            hash: HashAlgorithm::Sha1, post_quantum: false,
            messages: KexMessages::Dh, standing: Standing::Deprecated,
        },
        /// As `diffie-hellman-group-exchange-sha256`, with SHA-1 (RFC 4419 section 4.1).
        DiffieHellmanGroupExchangeSha1 = "diffie-hellman-group-exchange-sha1" {
            hash: HashAlgorithm::Sha1, post_quantum: false,
            messages: KexMessages::GroupExchange, standing: Standing::Deprecated,
        },
        /// A secret that the client encrypts to an RSA key of 2048 bits at the least (RFC 4432). Only a
        /// server that has been given one offers it.
        #[cfg(feature = "legacy")]
        Rsa2048Sha256 = "rsa2048-sha256" {
            hash: HashAlgorithm::Sha256, post_quantum: false,
            messages: KexMessages::Rsa, standing: Standing::Deprecated,
        },
        /// Diffie-Hellman in a group of 1024 bits, which some can break for all (Logjam), with SHA-1
        /// (RFC 4253 section 8.1).
        #[cfg(feature = "legacy")]
        DiffieHellmanGroup1Sha1 = "diffie-hellman-group1-sha1" {
            hash: HashAlgorithm::Sha1, post_quantum: false,
            messages: KexMessages::Dh, standing: Standing::Deprecated,
        },
        /// As `rsa2048-sha256`, with a key of 1024 bits at the least and SHA-1.
        #[cfg(feature = "legacy")]
        Rsa1024Sha1 = "rsa1024-sha1" {
            hash: HashAlgorithm::Sha1, post_quantum: false,
            messages: KexMessages::Rsa, standing: Standing::Deprecated,
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

    /// The name of that hash, as the names of methods have it: `sha256`.
    pub const fn hash_name(self) -> &'static str {
        self.facts().hash.name()
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
