//! MACs: the table.

use super::{Standing, algorithms};
use crate::crypto::hash::HashAlgorithm;

algorithms! {
    /// A message authentication code, with the order in which it is applied.
    MacAlgorithm ("MAC"): MacFacts {
        /// HMAC with SHA-256 over the ciphertext.
        HmacSha256Etm = "hmac-sha2-256-etm@openssh.com" {
            hash: HashAlgorithm::Sha256, etm: true,
            standing: Standing::Recommended,
        },
        /// HMAC with SHA-512 over the ciphertext.
        HmacSha512Etm = "hmac-sha2-512-etm@openssh.com" {
            hash: HashAlgorithm::Sha512, etm: true,
            standing: Standing::Recommended,
        },
        /// HMAC with SHA-256 over the plaintext (RFC 6668).
        HmacSha256 = "hmac-sha2-256" {
            hash: HashAlgorithm::Sha256, etm: false,
            standing: Standing::Acceptable,
        },
        /// HMAC with SHA-512 over the plaintext (RFC 6668).
        HmacSha512 = "hmac-sha2-512" {
            hash: HashAlgorithm::Sha512, etm: false,
            standing: Standing::Acceptable,
        },
    }
}

struct MacFacts {
    hash: HashAlgorithm,
    etm: bool,
    standing: Standing,
}

impl MacAlgorithm {
    /// Whether it covers the ciphertext (encrypt-then-MAC), which leaves the packet length in
    /// clear. Otherwise it covers the plaintext (encrypt-and-MAC, RFC 4253 section 6.4).
    pub const fn is_etm(self) -> bool {
        self.facts().etm
    }

    /// Bytes of key to derive.
    pub const fn key_len(self) -> usize {
        self.facts().hash.output_len()
    }

    /// Bytes of tag behind each packet.
    pub const fn tag_len(self) -> usize {
        self.facts().hash.output_len()
    }

    pub(crate) const fn hash(self) -> HashAlgorithm {
        self.facts().hash
    }
}
