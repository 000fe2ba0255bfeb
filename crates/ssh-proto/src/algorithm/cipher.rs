//! Ciphers: the table.

use super::{Standing, algorithms};

algorithms! {
    /// A cipher, or a cipher with its own integrity check (AEAD).
    CipherAlgorithm ("cipher"): CipherFacts {
        /// AES-256-GCM in the packet layout of RFC 5647, negotiated like any other cipher.
        Aes256Gcm = "aes256-gcm@openssh.com" {
            key_len: 32, iv_len: 12, block_len: 16, aead_tag_len: Some(16),
            standing: Standing::Recommended,
        },
        /// AES-128-GCM, likewise.
        Aes128Gcm = "aes128-gcm@openssh.com" {
            key_len: 16, iv_len: 12, block_len: 16, aead_tag_len: Some(16),
            standing: Standing::Recommended,
        },
        /// ChaCha20 and Poly1305 with the packet length encrypted under a key of its own.
        ChaCha20Poly1305 = "chacha20-poly1305@openssh.com" {
            key_len: 64, iv_len: 0, block_len: 8, aead_tag_len: Some(16),
            standing: Standing::Recommended,
        },
        /// AES-256 in counter mode (RFC 4344).
        Aes256Ctr = "aes256-ctr" {
            key_len: 32, iv_len: 16, block_len: 16, aead_tag_len: None,
            standing: Standing::Recommended,
        },
        /// AES-192 in counter mode (RFC 4344).
        Aes192Ctr = "aes192-ctr" {
            key_len: 24, iv_len: 16, block_len: 16, aead_tag_len: None,
            standing: Standing::Recommended,
        },
        /// AES-128 in counter mode (RFC 4344).
        Aes128Ctr = "aes128-ctr" {
            key_len: 16, iv_len: 16, block_len: 16, aead_tag_len: None,
            standing: Standing::Recommended,
        },
    }
}

struct CipherFacts {
    key_len: usize,
    iv_len: usize,
    block_len: usize,
    aead_tag_len: Option<usize>,
    standing: Standing,
}

impl CipherAlgorithm {
    /// Whether it checks integrity itself, so that no MAC is used with it.
    pub const fn is_aead(self) -> bool {
        self.facts().aead_tag_len.is_some()
    }

    /// Bytes of key to derive.
    pub const fn key_len(self) -> usize {
        self.facts().key_len
    }

    /// Bytes of initial IV to derive; 0 where the sequence number is the nonce.
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
}
