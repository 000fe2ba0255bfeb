//! How long the keys of one direction may be used (RFC 4253 section 9, RFC 4344 section 3).
//!
//! | limit | soft: keys are exchanged | hard: the connection ends |
//! |---|---|---|
//! | packets | `Limits::rekey_packets`, at most 2^31 | 2^32 - 1, where a sequence number would come again |
//! | bytes, as configured | `Limits::rekey_bytes` | 4 times as many, or twice `Limits::window_total` more |
//! | blocks of 128 bits | 2^31 | 2^32 = 2^(L/4), which is 64 GiB |
//! | blocks of 64 bits; RC4 | 512 MiB | 1 GiB |
//! | ChaCha20 | | |
//!
//! The least counts. A soft limit is half of what RFC 4344 allows, so that an exchange of keys has its
//! place within it, and a hard one is all of it and not more. For blocks of 64 bits 2^(L/4) would be
//! 512 KiB; the RFC finds that too often and falls back to RFC 4253's gigabyte, as OpenSSH does. RC4 has
//! no blocks, and grows weaker with what it encrypts: the gigabyte is for it too. ChaCha20 begins anew
//! with each packet. AES-GCM has 2^64 nonces for a key, and packets end long before (`gcm.rs`).
//!
//! Bytes are those on the wire, tags included, so that no more blocks have been used than are counted.
//! What we send ends at the soft limit: from then on nothing goes out but the key exchange. Only a
//! peer can go on, and is no offender as long as what it sends was under way: so the hard limits.

use super::Usage;
use crate::algorithm::{CipherAlgorithm, CipherMode};
use crate::config::Limits;

/// What the keys of one direction may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    packets: u64,
    bytes: u64,
    bytes_hard: u64,
}

impl Lifetime {
    /// Of keys of `cipher`; `None` before there are any.
    pub(crate) const fn new(limits: &Limits, cipher: Option<CipherAlgorithm>) -> Self {
        let most = match cipher {
            Some(cipher) => cipher.most_bytes(),
            None => u64::MAX,
        };
        let bytes = least(limits.rekey_bytes, most / 2);
        // A peer may have filled every window before it learns that keys are to be exchanged; as
        // much again is for what surrounds the data.
        let late = bytes.saturating_add(limits.window_total.saturating_mul(2));
        let asked = bytes.saturating_mul(4);
        let hard = if asked > late { asked } else { late };
        Self {
            packets: limits.rekey_packets,
            bytes,
            bytes_hard: least(hard, most),
        }
    }

    /// Whether new keys are to be exchanged.
    #[inline]
    pub(crate) const fn is_over(&self, used: Usage) -> bool {
        used.bytes >= self.bytes || used.packets >= self.packets
    }

    /// Whether more has been received than a peer may send that wants new keys.
    #[inline]
    pub(crate) const fn is_exceeded(&self, used: Usage) -> bool {
        used.bytes > self.bytes_hard
    }
}

impl CipherAlgorithm {
    /// How many bytes one of its keys may protect (RFC 4344 section 3.2, RFC 4253 section 9);
    /// `u64::MAX` where nothing but the number of packets bounds it. New keys are asked for at half of
    /// it at the latest.
    pub const fn most_bytes(self) -> u64 {
        const GIGABYTE: u64 = 1 << 30;
        match self.mode() {
            CipherMode::Gcm | CipherMode::Ctr | CipherMode::Cbc => {
                let bytes = self.block_len() as u64;
                //= rfc4344#section-3.2
                //# If L is at least 128, then, after rekeying, an SSH implementation SHOULD NOT
                //# encrypt more than 2**(L/4) blocks before rekeying again.
                if bytes >= 16 {
                    bytes << (8 * bytes / 4)
                } else {
                    GIGABYTE
                }
            }
            #[cfg(feature = "legacy")]
            CipherMode::Arcfour => GIGABYTE,
            CipherMode::ChaCha => u64::MAX,
        }
    }
}

const fn least(one: u64, other: u64) -> u64 {
    if one < other { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn lifetime(bytes: u64, window_total: u64, cipher: CipherAlgorithm) -> [u64; 2] {
        let limits = Limits {
            rekey_bytes: bytes,
            window_total,
            ..Limits::default()
        };
        let lifetime = Lifetime::new(&limits, Some(cipher));
        assert_eq!(lifetime.packets, 1 << 31);
        [lifetime.bytes, lifetime.bytes_hard]
    }

    /// Soft and hard, where nothing else is asked for.
    fn own(cipher: CipherAlgorithm) -> [u64; 2] {
        lifetime(u64::MAX, 16 << 20, cipher)
    }

    #[test]
    fn p8_every_cipher_has_its_own_limit() {
        for &cipher in CipherAlgorithm::ALL {
            let name = cipher.name();
            let expected = if name.contains("aes") || name.contains("AES") {
                [32 * GIB, 64 * GIB]
            } else if name.starts_with("chacha20") {
                [u64::MAX / 2, u64::MAX]
            } else {
                [GIB / 2, GIB]
            };
            assert_eq!(own(cipher), expected, "{cipher}");
            if cipher.block_len() == 16 {
                assert_eq!(expected[1], 16 << 32, "2^(L/4) blocks of L = 128 bits");
            }
        }
    }

    #[test]
    fn p8_the_lesser_limit_wins() {
        const MIB: u64 = 1 << 20;
        for (cipher, bytes, windows, expected) in [
            // What is configured, times four ...
            (CipherAlgorithm::Aes256Gcm, GIB, 16 * MIB, [GIB, 4 * GIB]),
            (
                CipherAlgorithm::TdesCbc,
                16 * MIB,
                MIB,
                [16 * MIB, 64 * MIB],
            ),
            // ... or what may be under way ...
            (CipherAlgorithm::Aes128Ctr, MIB, 16 * MIB, [MIB, 33 * MIB]),
            (CipherAlgorithm::TdesCtr, MIB, 16 * MIB, [MIB, 33 * MIB]),
            // ... and never more than the cipher allows.
            (
                CipherAlgorithm::Aes128Cbc,
                20 * GIB,
                MIB,
                [20 * GIB, 64 * GIB],
            ),
            (CipherAlgorithm::TdesCbc, GIB, 16 * MIB, [GIB / 2, GIB]),
            (CipherAlgorithm::TdesCbc, 400 * MIB, MIB, [400 * MIB, GIB]),
            (CipherAlgorithm::TdesCbc, MIB, 4 * GIB, [MIB, GIB]),
            (CipherAlgorithm::ChaCha20Poly1305, GIB, MIB, [GIB, 4 * GIB]),
        ] {
            let is = lifetime(bytes, windows, cipher);
            assert_eq!(is, expected, "{cipher} {bytes} {windows}");
        }
    }

    #[test]
    fn p8_r7_limits_are_reached_and_not_before() {
        let limits = Limits {
            rekey_bytes: 100_000,
            rekey_packets: 64,
            window_total: 1000,
            ..Limits::default()
        };
        let lifetime = Lifetime::new(&limits, Some(CipherAlgorithm::Aes256Ctr));
        let used = |packets, bytes| Usage { packets, bytes };
        for (used, over, exceeded) in [
            (used(63, 99_999), false, false),
            (used(64, 0), true, false),
            (used(0, 100_000), true, false),
            (used(u64::MAX, 400_000), true, false),
            (used(1, 400_001), true, true),
        ] {
            assert_eq!(lifetime.is_over(used), over, "{used:?}");
            assert_eq!(lifetime.is_exceeded(used), exceeded, "{used:?}");
        }
    }
}
