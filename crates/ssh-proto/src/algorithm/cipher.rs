//! Ciphers: the table.

use super::{Standing, algorithms};

algorithms! {
    /// A cipher, or a cipher with its own integrity check (AEAD).
    CipherAlgorithm ("cipher"): CipherFacts {
        /// AES-256-GCM in the packet layout of RFC 5647, negotiated like any other cipher.
        Aes256Gcm = "aes256-gcm@openssh.com" {
            key_len: 32, iv_len: 12, block_len: 16, aead_tag_len: Some(16),
            mode: CipherMode::Gcm, standing: Standing::Recommended,
        },
        /// AES-128-GCM, likewise.
        Aes128Gcm = "aes128-gcm@openssh.com" {
            key_len: 16, iv_len: 12, block_len: 16, aead_tag_len: Some(16),
            mode: CipherMode::Gcm, standing: Standing::Recommended,
        },
        /// ChaCha20 and Poly1305 with the packet length encrypted under a key of its own.
        ChaCha20Poly1305 = "chacha20-poly1305@openssh.com" {
            key_len: 64, iv_len: 0, block_len: 8, aead_tag_len: Some(16),
            mode: CipherMode::ChaCha, standing: Standing::Recommended,
        },
        /// AES-256 in counter mode (RFC 4344).
        Aes256Ctr = "aes256-ctr" {
            key_len: 32, iv_len: 16, block_len: 16, aead_tag_len: None,
            mode: CipherMode::Ctr, standing: Standing::Recommended,
        },
        /// AES-192 in counter mode (RFC 4344).
        Aes192Ctr = "aes192-ctr" {
            key_len: 24, iv_len: 16, block_len: 16, aead_tag_len: None,
            mode: CipherMode::Ctr, standing: Standing::Recommended,
        },
        /// AES-128 in counter mode (RFC 4344).
        Aes128Ctr = "aes128-ctr" {
            key_len: 16, iv_len: 16, block_len: 16, aead_tag_len: None,
            mode: CipherMode::Ctr, standing: Standing::Recommended,
        },
        /// AES-256-GCM under its name of RFC 5647: it stands among the MACs too, and is chosen as
        /// both.
        AeadAes256Gcm = "AEAD_AES_256_GCM" {
            key_len: 32, iv_len: 12, block_len: 16, aead_tag_len: Some(16),
            mode: CipherMode::Gcm, standing: Standing::OnRequest,
        },
        /// AES-128-GCM, likewise.
        AeadAes128Gcm = "AEAD_AES_128_GCM" {
            key_len: 16, iv_len: 12, block_len: 16, aead_tag_len: Some(16),
            mode: CipherMode::Gcm, standing: Standing::OnRequest,
        },
        /// AES-256 in CBC mode (RFC 4253 section 6.3).
        Aes256Cbc = "aes256-cbc" {
            key_len: 32, iv_len: 16, block_len: 16, aead_tag_len: None,
            mode: CipherMode::Cbc, standing: Standing::Deprecated,
        },
        /// AES-192 in CBC mode (RFC 4253 section 6.3).
        Aes192Cbc = "aes192-cbc" {
            key_len: 24, iv_len: 16, block_len: 16, aead_tag_len: None,
            mode: CipherMode::Cbc, standing: Standing::Deprecated,
        },
        /// AES-128 in CBC mode (RFC 4253 section 6.3).
        Aes128Cbc = "aes128-cbc" {
            key_len: 16, iv_len: 16, block_len: 16, aead_tag_len: None,
            mode: CipherMode::Cbc, standing: Standing::Deprecated,
        },
        /// Three-key triple DES in counter mode (RFC 4344): blocks of 64 bits.
        TdesCtr = "3des-ctr" {
            key_len: 24, iv_len: 8, block_len: 8, aead_tag_len: None,
            mode: CipherMode::Ctr, standing: Standing::Deprecated,
        },
        /// Three-key triple DES in CBC mode (RFC 4253 section 6.3).
        TdesCbc = "3des-cbc" {
            key_len: 24, iv_len: 8, block_len: 8, aead_tag_len: None,
            mode: CipherMode::Cbc, standing: Standing::Deprecated,
        },
        /// Blowfish in CBC mode, with a key of 128 bits (RFC 4253 section 6.3).
        #[cfg(feature = "legacy")]
        BlowfishCbc = "blowfish-cbc" {
            key_len: 16, iv_len: 8, block_len: 8, aead_tag_len: None,
            mode: CipherMode::Cbc, standing: Standing::Deprecated,
        },
        /// CAST-128 in CBC mode, with a key of 128 bits (RFC 4253 section 6.3).
        #[cfg(feature = "legacy")]
        Cast128Cbc = "cast128-cbc" {
            key_len: 16, iv_len: 8, block_len: 8, aead_tag_len: None,
            mode: CipherMode::Cbc, standing: Standing::Deprecated,
        },
        /// RC4 with a key of 256 bits, less the beginning of its stream (RFC 4345).
        #[cfg(feature = "legacy")]
        Arcfour256 = "arcfour256" {
            key_len: 32, iv_len: 0, block_len: 8, aead_tag_len: None,
            mode: CipherMode::Arcfour, standing: Standing::Deprecated,
        },
        /// RC4 with a key of 128 bits, less the beginning of its stream (RFC 4345).
        #[cfg(feature = "legacy")]
        Arcfour128 = "arcfour128" {
            key_len: 16, iv_len: 0, block_len: 8, aead_tag_len: None,
            mode: CipherMode::Arcfour, standing: Standing::Deprecated,
        },
        /// RC4 with a key of 128 bits, from its first byte on (RFC 4253 section 6.3).
        #[cfg(feature = "legacy")]
        Arcfour = "arcfour" {
            key_len: 16, iv_len: 0, block_len: 8, aead_tag_len: None,
            mode: CipherMode::Arcfour, standing: Standing::Deprecated,
        },
    }
}

struct CipherFacts {
    key_len: usize,
    iv_len: usize,
    block_len: usize,
    aead_tag_len: Option<usize>,
    mode: CipherMode,
    standing: Standing,
}

/// How a cipher makes a packet of blocks, or of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CipherMode {
    Gcm,
    ChaCha,
    Ctr,
    Cbc,
    #[cfg(feature = "legacy")]
    Arcfour,
}

impl CipherAlgorithm {
    /// Whether it checks integrity itself, so that no MAC is used with it.
    pub const fn is_aead(self) -> bool {
        self.facts().aead_tag_len.is_some()
    }

    /// Whether its name has to stand among the MACs of its direction too, and to be chosen as both
    /// (RFC 5647 section 5.1). Whoever offers the cipher offers that along with it.
    pub const fn is_mac_too(self) -> bool {
        matches!(self, Self::AeadAes128Gcm | Self::AeadAes256Gcm)
    }

    /// Bytes of key to derive.
    pub const fn key_len(self) -> usize {
        self.facts().key_len
    }

    /// Bytes of initial IV to derive; 0 where there is none, or the sequence number is the nonce.
    pub const fn iv_len(self) -> usize {
        self.facts().iv_len
    }

    /// What the length of a packet is a multiple of: the block size, at least 8 (RFC 4253
    /// section 6).
    pub const fn block_len(self) -> usize {
        self.facts().block_len
    }

    /// Bytes of the cipher's own tag, when it [is an AEAD](Self::is_aead).
    pub const fn aead_tag_len(self) -> Option<usize> {
        self.facts().aead_tag_len
    }

    pub(crate) const fn mode(self) -> CipherMode {
        self.facts().mode
    }
}
