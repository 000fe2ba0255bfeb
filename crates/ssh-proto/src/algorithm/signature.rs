//! Key types and signature algorithms: the tables.

use super::{Standing, algorithms};

algorithms! {
    /// What a public key is: the name with which its blob begins.
    KeyType ("key type"): KeyFacts {
        /// Ed25519 (RFC 8709).
        Ed25519 = "ssh-ed25519" {
            preferred: SignatureAlgorithm::Ed25519, standing: Standing::Recommended,
        },
        /// ECDSA over NIST P-256 (RFC 5656).
        EcdsaP256 = "ecdsa-sha2-nistp256" {
            preferred: SignatureAlgorithm::EcdsaSha2Nistp256, standing: Standing::Acceptable,
        },
        /// RSA (RFC 4253 section 6.6). As a signature algorithm the same name means SHA-1, which
        /// is not offered.
        Rsa = "ssh-rsa" {
            preferred: SignatureAlgorithm::RsaSha2_512, standing: Standing::Recommended,
        },
    }
}

struct KeyFacts {
    preferred: SignatureAlgorithm,
    standing: Standing,
}

impl KeyType {
    /// The algorithm that a key of this type signs with, unless the peer cannot check it.
    pub const fn preferred_signature(self) -> SignatureAlgorithm {
        self.facts().preferred
    }
}

algorithms! {
    /// How a signature is made; as a host key algorithm, what the server proves its key with.
    SignatureAlgorithm ("signature algorithm"): SignatureFacts {
        /// Ed25519 (RFC 8709).
        Ed25519 = "ssh-ed25519" {
            key_type: KeyType::Ed25519, standing: Standing::Recommended,
        },
        /// ECDSA over NIST P-256 with SHA-256 (RFC 5656).
        EcdsaSha2Nistp256 = "ecdsa-sha2-nistp256" {
            key_type: KeyType::EcdsaP256, standing: Standing::Acceptable,
        },
        /// RSA PKCS #1 v1.5 with SHA-512 (RFC 8332).
        RsaSha2_512 = "rsa-sha2-512" {
            key_type: KeyType::Rsa, standing: Standing::Recommended,
        },
        /// RSA PKCS #1 v1.5 with SHA-256 (RFC 8332).
        RsaSha2_256 = "rsa-sha2-256" {
            key_type: KeyType::Rsa, standing: Standing::Recommended,
        },
    }
}

struct SignatureFacts {
    key_type: KeyType,
    standing: Standing,
}

impl SignatureAlgorithm {
    /// The type of the keys that sign this way.
    pub const fn key_type(self) -> KeyType {
        self.facts().key_type
    }
}
