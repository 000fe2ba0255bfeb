//! From the shared secret to keys (RFC 4253 section 7.2).
//!
//! ```text
//!   K1 = HASH(K || H || X || session_id)     X = "A" .. "F"
//!   Ki = HASH(K || H || K1 || ... || Ki-1)   key = K1 || K2 || ...
//! ```

use alloc::vec;

use zeroize::Zeroizing;

use super::Protection;
use crate::crypto::agree::SharedSecret;
use crate::crypto::cipher::{OpeningKey, SealingKey};
use crate::crypto::hash::{Digest, Hash, HashAlgorithm};
use crate::error::Error;
use crate::transport::Role;
use crate::wire::Sink;

/// What keys are derived from.
pub(super) struct Material<'a> {
    pub(super) hash: HashAlgorithm,
    pub(super) shared: &'a SharedSecret,
    pub(super) exchange_hash: &'a Digest,
    pub(super) session_id: &'a Digest,
}

/// The three letters of one direction.
struct Letters {
    iv: u8,
    key: u8,
    mac: u8,
}

const CLIENT_TO_SERVER: Letters = Letters {
    iv: b'A',
    key: b'C',
    mac: b'E',
};
const SERVER_TO_CLIENT: Letters = Letters {
    iv: b'B',
    key: b'D',
    mac: b'F',
};

impl Material<'_> {
    /// The key for what `sender` seals.
    pub(super) fn sealing(&self, sender: Role, with: Protection) -> Result<SealingKey, Error> {
        let keys = self.keys(sender, with);
        SealingKey::new(with.cipher, with.mac, &keys.key, &keys.iv, &keys.mac)
            .map_err(|_| Error::Internal("derived keys do not fit the cipher"))
    }

    /// The key for what was sealed by `sender`.
    pub(super) fn opening(&self, sender: Role, with: Protection) -> Result<OpeningKey, Error> {
        let keys = self.keys(sender, with);
        OpeningKey::new(with.cipher, with.mac, &keys.key, &keys.iv, &keys.mac)
            .map_err(|_| Error::Internal("derived keys do not fit the cipher"))
    }

    fn keys(&self, sender: Role, with: Protection) -> Keys {
        let letters = match sender {
            Role::Client => CLIENT_TO_SERVER,
            Role::Server => SERVER_TO_CLIENT,
        };
        Keys {
            iv: self.derive(letters.iv, with.cipher.iv_len()),
            key: self.derive(letters.key, with.cipher.key_len()),
            mac: self.derive(letters.mac, with.mac.map_or(0, |mac| mac.key_len())),
        }
    }

    fn derive(&self, letter: u8, length: usize) -> Zeroizing<vec::Vec<u8>> {
        // Exact capacity: nothing is left behind by a reallocation.
        let mut key = Zeroizing::new(vec::Vec::with_capacity(length + self.hash.output_len()));
        while key.len() < length {
            let mut hash = Hash::new(self.hash);
            self.shared.encode(&mut hash);
            hash.put(self.exchange_hash.as_ref());
            if key.is_empty() {
                hash.put_u8(letter);
                hash.put(self.session_id.as_ref());
            } else {
                hash.put(&key);
            }
            key.extend_from_slice(hash.finish().as_ref());
        }
        key.truncate(length);
        key
    }
}

struct Keys {
    iv: Zeroizing<vec::Vec<u8>>,
    key: Zeroizing<vec::Vec<u8>>,
    mac: Zeroizing<vec::Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::{CipherAlgorithm, CompressionAlgorithm, MacAlgorithm};

    /// Computed with another implementation of the formula: the letter, the length, and the end of
    /// the key. K of the first two has its high bit set, that of the others begins with zeros.
    #[test]
    fn q6_derivation_vectors() {
        let high = core::array::from_fn(|n| 0x80 + n as u8);
        let mut low: [u8; 32] = core::array::from_fn(|n| (n as u8).wrapping_sub(3));
        low[..3].copy_from_slice(&[0, 0, 0x7f]);
        for (hash, number, keys) in [
            (
                HashAlgorithm::Sha256,
                high,
                [
                    (b'A', 12, "673937c215890f189eef7414"),
                    (b'B', 16, "43a3bf68acddee5a997d7c52cf979c1a"),
                    (b'C', 64, "2e9f3e83651311fa21cb84d64dd26550"),
                    (b'D', 32, "1cb71aaf55d78e9a76bc46ec184ce68a"),
                    (b'E', 32, "48ad1eafe393067d90225a44c4d3dd0a"),
                    (b'F', 100, "bcc9b21faf87613ea47453b40467592f"),
                ],
            ),
            (
                HashAlgorithm::Sha512,
                high,
                [
                    (b'A', 12, "23ed26ed485671d12bb42f21"),
                    (b'B', 16, "518571078ca58af2136e364cd9382b69"),
                    (b'C', 64, "550a622bcd33d8cde7020998ab21bcd6"),
                    (b'D', 32, "ce194072fef3210ee59476de27fa7027"),
                    (b'E', 32, "c0ca966346aaa1586faf84057b908134"),
                    (b'F', 100, "4b93ce586d7e71abb08f60c83af2bfc4"),
                ],
            ),
            (
                HashAlgorithm::Sha256,
                low,
                [
                    (b'A', 12, "ac273e524a357f277692d85d"),
                    (b'B', 16, "cda53b88d5020d81f58f1d957b40aac7"),
                    (b'C', 64, "4f0ad108fd62dd1f2543e59119b63e79"),
                    (b'D', 32, "039ba29f833343e7b9d038fe46f00e94"),
                    (b'E', 32, "bd8d78d0595663881c1c496548db9aa1"),
                    (b'F', 100, "aba42ec215b70d0e179fecbb592e5ede"),
                ],
            ),
            (
                HashAlgorithm::Sha512,
                low,
                [
                    (b'A', 12, "9e54e158fb4482e87af98ef7"),
                    (b'B', 16, "71943a714b715ee4969b83295026b090"),
                    (b'C', 64, "bd022689f31a4ad9b4a45d7e9b1959ff"),
                    (b'D', 32, "54f78d8c7d357082fe90b4c4be29c82d"),
                    (b'E', 32, "12e71724ccbf1c21f1387c5aacb9c901"),
                    (b'F', 100, "e1554ea3cff4d8316aa90562c85c9366"),
                ],
            ),
        ] {
            let shared = SharedSecret::Number(Zeroizing::new(number.to_vec()));
            let material = Material {
                hash,
                shared: &shared,
                exchange_hash: &hash.digest(b"exchange hash"),
                session_id: &hash.digest(b"session"),
            };
            for (letter, length, end) in keys {
                let key = material.derive(letter, length);
                assert_eq!(key.len(), length);
                let key = hex::encode(&*key);
                assert!(key.ends_with(end), "{hash:?} {}: {key}", char::from(letter));
            }
        }
    }

    /// No two of the six are the same, nor is one the beginning of another.
    #[test]
    fn q6_no_two_keys_have_a_beginning_in_common() {
        let hash = HashAlgorithm::Sha256;
        let material = Material {
            hash,
            shared: &SharedSecret::Number(Zeroizing::new(alloc::vec![7; 32])),
            exchange_hash: &hash.digest(b"H"),
            session_id: &hash.digest(b"H"),
        };
        let with = Protection {
            cipher: CipherAlgorithm::Aes256Ctr,
            mac: Some(MacAlgorithm::HmacSha256),
            compression: CompressionAlgorithm::None,
        };
        let (up, down) = (
            material.keys(Role::Client, with),
            material.keys(Role::Server, with),
        );
        let all = [&up.iv, &up.key, &up.mac, &down.iv, &down.key, &down.mac];
        for (n, one) in all.iter().enumerate() {
            for other in &all[..n] {
                assert_ne!(one[..8], other[..8]);
            }
        }
    }
}
