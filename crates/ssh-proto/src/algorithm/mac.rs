//! MACs: the table.

use super::{Standing, algorithms};
use crate::crypto::mac::MacFunction;

algorithms! {
    /// A message authentication code, with the order in which it is applied.
    MacAlgorithm ("MAC"): MacFacts {
        /// HMAC with SHA-256 over the ciphertext.
        HmacSha256Etm = "hmac-sha2-256-etm@openssh.com" {
            function: MacFunction::HmacSha256, tag_len: 32, etm: true,
            standing: Standing::Recommended,
        },
        /// HMAC with SHA-512 over the ciphertext.
        HmacSha512Etm = "hmac-sha2-512-etm@openssh.com" {
            function: MacFunction::HmacSha512, tag_len: 64, etm: true,
            standing: Standing::Recommended,
        },
        /// UMAC with tags of 128 bits over the ciphertext.
        Umac128Etm = "umac-128-etm@openssh.com" {
            function: MacFunction::Umac128, tag_len: 16, etm: true,
            standing: Standing::Acceptable,
        },
        /// HMAC with SHA-256 over the plaintext (RFC 6668).
        HmacSha256 = "hmac-sha2-256" {
            function: MacFunction::HmacSha256, tag_len: 32, etm: false,
            standing: Standing::Acceptable,
        },
        /// HMAC with SHA-512 over the plaintext (RFC 6668).
        HmacSha512 = "hmac-sha2-512" {
            function: MacFunction::HmacSha512, tag_len: 64, etm: false,
            standing: Standing::Acceptable,
        },
        /// UMAC with tags of 128 bits over the plaintext (draft-miller-secsh-umac-01).
        Umac128 = "umac-128@openssh.com" {
            function: MacFunction::Umac128, tag_len: 16, etm: false,
            standing: Standing::OnRequest,
        },
        /// HMAC with SHA-1 over the ciphertext.
        HmacSha1Etm = "hmac-sha1-etm@openssh.com" {
            function: MacFunction::HmacSha1, tag_len: 20, etm: true,
            standing: Standing::Deprecated,
        },
        /// HMAC with SHA-1 over the plaintext (RFC 4253 section 6.4).
        HmacSha1 = "hmac-sha1" {
            function: MacFunction::HmacSha1, tag_len: 20, etm: false,
            standing: Standing::Deprecated,
        },
        /// 96 bits of HMAC with SHA-256 over the plaintext.
        #[cfg(feature = "legacy")]
        HmacSha256_96 = "hmac-sha2-256-96" {
            function: MacFunction::HmacSha256, tag_len: 12, etm: false,
            standing: Standing::Deprecated,
        },
        /// 96 bits of HMAC with SHA-512 over the plaintext.
        #[cfg(feature = "legacy")]
        HmacSha512_96 = "hmac-sha2-512-96" {
            function: MacFunction::HmacSha512, tag_len: 12, etm: false,
            standing: Standing::Deprecated,
        },
        /// UMAC with tags of 64 bits over the ciphertext.
        #[cfg(feature = "legacy")]
        Umac64Etm = "umac-64-etm@openssh.com" {
            function: MacFunction::Umac64, tag_len: 8, etm: true,
            standing: Standing::Deprecated,
        },
        /// UMAC with tags of 64 bits over the plaintext (draft-miller-secsh-umac-01).
        #[cfg(feature = "legacy")]
        Umac64 = "umac-64@openssh.com" {
            function: MacFunction::Umac64, tag_len: 8, etm: false,
            standing: Standing::Deprecated,
        },
        /// 96 bits of HMAC with SHA-1 over the ciphertext.
        #[cfg(feature = "legacy")]
        HmacSha1_96Etm = "hmac-sha1-96-etm@openssh.com" {
            function: MacFunction::HmacSha1, tag_len: 12, etm: true,
            standing: Standing::Deprecated,
        },
        /// 96 bits of HMAC with SHA-1 over the plaintext (RFC 4253 section 6.4).
        #[cfg(feature = "legacy")]
        HmacSha1_96 = "hmac-sha1-96" {
            function: MacFunction::HmacSha1, tag_len: 12, etm: false,
            standing: Standing::Deprecated,
        },
        /// HMAC with RIPEMD-160 over the ciphertext.
        #[cfg(feature = "legacy")]
        HmacRipemd160Etm = "hmac-ripemd160-etm@openssh.com" {
            function: MacFunction::HmacRipemd160, tag_len: 20, etm: true,
            standing: Standing::Deprecated,
        },
        /// HMAC with RIPEMD-160 over the plaintext.
        #[cfg(feature = "legacy")]
        HmacRipemd160 = "hmac-ripemd160" {
            function: MacFunction::HmacRipemd160, tag_len: 20, etm: false,
            standing: Standing::Deprecated,
        },
        /// The same function under another name.
        #[cfg(feature = "legacy")]
        HmacRipemd160OpenSsh = "hmac-ripemd160@openssh.com" {
            function: MacFunction::HmacRipemd160, tag_len: 20, etm: false,
            standing: Standing::Deprecated,
        },
        /// 96 bits of HMAC with RIPEMD-160 over the plaintext.
        #[cfg(feature = "legacy")]
        HmacRipemd160_96 = "hmac-ripemd160-96" {
            function: MacFunction::HmacRipemd160, tag_len: 12, etm: false,
            standing: Standing::Deprecated,
        },
        /// HMAC with MD5 over the ciphertext.
        #[cfg(feature = "legacy")]
        HmacMd5Etm = "hmac-md5-etm@openssh.com" {
            function: MacFunction::HmacMd5, tag_len: 16, etm: true,
            standing: Standing::Deprecated,
        },
        /// HMAC with MD5 over the plaintext (RFC 4253 section 6.4).
        #[cfg(feature = "legacy")]
        HmacMd5 = "hmac-md5" {
            function: MacFunction::HmacMd5, tag_len: 16, etm: false,
            standing: Standing::Deprecated,
        },
        /// 96 bits of HMAC with MD5 over the ciphertext.
        #[cfg(feature = "legacy")]
        HmacMd5_96Etm = "hmac-md5-96-etm@openssh.com" {
            function: MacFunction::HmacMd5, tag_len: 12, etm: true,
            standing: Standing::Deprecated,
        },
        /// 96 bits of HMAC with MD5 over the plaintext (RFC 4253 section 6.4).
        #[cfg(feature = "legacy")]
        HmacMd5_96 = "hmac-md5-96" {
            function: MacFunction::HmacMd5, tag_len: 12, etm: false,
            standing: Standing::Deprecated,
        },
    }
}

struct MacFacts {
    function: MacFunction,
    tag_len: usize,
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
        self.facts().function.key_len()
    }

    /// Bytes of tag behind each packet.
    pub const fn tag_len(self) -> usize {
        self.facts().tag_len
    }

    pub(crate) const fn function(self) -> MacFunction {
        self.facts().function
    }
}
