//! Names on the wire and the enums that stand for them (RFC 4253 section 6, RFC 4250 section 4.11).
//!
//! Every family is one table: a row gives the variant, the name and the facts that the rest of the
//! crate needs, so that adding an algorithm is one row here and one file where it is computed. Past
//! the negotiation nobody compares names.
//!
//! A key type and a signature algorithm are different things: one RSA key signs as `rsa-sha2-512`
//! or as `rsa-sha2-256` (RFC 8332), and a check of one is never a check of the other.

use alloc::vec::Vec;
use core::fmt;

use crate::crypto::hash::HashAlgorithm;

/// One table: the enum, its names and its facts.
macro_rules! algorithms {
    (
        $(#[$meta:meta])*
        $name:ident: $facts:ident {
            $( $(#[$row:meta])* $variant:ident = $text:literal { $($field:ident: $value:expr),* $(,)? }, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name {
            $( $(#[$row])* $variant, )+
        }

        impl $name {
            /// All of them, in the order of the table, which is not an order of preference.
            pub const ALL: &[Self] = &[$( Self::$variant, )+];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$variant => $text, )+
                }
            }

            /// The algorithm of that name. Names are case-sensitive (RFC 4251 section 6).
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $( $text => Some(Self::$variant), )+
                    _ => None,
                }
            }

            const fn facts(self) -> $facts {
                match self {
                    $( Self::$variant => $facts { $($field: $value),* }, )+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

algorithms! {
    /// A key exchange method.
    KexAlgorithm: KexFacts {
        /// ML-KEM-768 and X25519 together: safe as long as one of them is
        /// (draft-ietf-sshm-mlkem-hybrid-kex).
        Mlkem768X25519Sha256 = "mlkem768x25519-sha256" {
            hash: HashAlgorithm::Sha256, post_quantum: true,
        },
        /// X25519 (RFC 8731).
        Curve25519Sha256 = "curve25519-sha256" {
            hash: HashAlgorithm::Sha256, post_quantum: false,
        },
        /// The same method under the name that it had before RFC 8731.
        Curve25519Sha256LibSsh = "curve25519-sha256@libssh.org" {
            hash: HashAlgorithm::Sha256, post_quantum: false,
        },
    }
}

struct KexFacts {
    hash: HashAlgorithm,
    post_quantum: bool,
}

impl KexAlgorithm {
    /// The hash of the exchange hash and of the key derivation (RFC 4253 section 7.2).
    pub(crate) const fn hash(self) -> HashAlgorithm {
        self.facts().hash
    }

    /// Whether a recording of the session stays secret from a future quantum computer.
    pub const fn is_post_quantum(self) -> bool {
        self.facts().post_quantum
    }
}

algorithms! {
    /// A cipher, or a cipher with its own integrity check (AEAD).
    CipherAlgorithm: CipherFacts {
        /// AES-128-GCM in the packet layout of RFC 5647, negotiated like any other cipher.
        Aes128Gcm = "aes128-gcm@openssh.com" {
            key_len: 16, iv_len: 12, block_len: 16, aead_tag_len: Some(16),
        },
        /// AES-256-GCM, likewise.
        Aes256Gcm = "aes256-gcm@openssh.com" {
            key_len: 32, iv_len: 12, block_len: 16, aead_tag_len: Some(16),
        },
        /// ChaCha20 and Poly1305 with the packet length encrypted under a key of its own.
        ChaCha20Poly1305 = "chacha20-poly1305@openssh.com" {
            key_len: 64, iv_len: 0, block_len: 8, aead_tag_len: Some(16),
        },
        /// AES-128 in counter mode (RFC 4344).
        Aes128Ctr = "aes128-ctr" {
            key_len: 16, iv_len: 16, block_len: 16, aead_tag_len: None,
        },
        /// AES-192 in counter mode (RFC 4344).
        Aes192Ctr = "aes192-ctr" {
            key_len: 24, iv_len: 16, block_len: 16, aead_tag_len: None,
        },
        /// AES-256 in counter mode (RFC 4344).
        Aes256Ctr = "aes256-ctr" {
            key_len: 32, iv_len: 16, block_len: 16, aead_tag_len: None,
        },
    }
}

struct CipherFacts {
    key_len: usize,
    iv_len: usize,
    block_len: usize,
    aead_tag_len: Option<usize>,
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

algorithms! {
    /// A message authentication code, with the order in which it is applied.
    MacAlgorithm: MacFacts {
        /// HMAC with SHA-256 over the plaintext (RFC 6668).
        HmacSha256 = "hmac-sha2-256" {
            hash: HashAlgorithm::Sha256, etm: false,
        },
        /// HMAC with SHA-512 over the plaintext (RFC 6668).
        HmacSha512 = "hmac-sha2-512" {
            hash: HashAlgorithm::Sha512, etm: false,
        },
        /// HMAC with SHA-256 over the ciphertext.
        HmacSha256Etm = "hmac-sha2-256-etm@openssh.com" {
            hash: HashAlgorithm::Sha256, etm: true,
        },
        /// HMAC with SHA-512 over the ciphertext.
        HmacSha512Etm = "hmac-sha2-512-etm@openssh.com" {
            hash: HashAlgorithm::Sha512, etm: true,
        },
    }
}

struct MacFacts {
    hash: HashAlgorithm,
    etm: bool,
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

algorithms! {
    /// A compression method.
    CompressionAlgorithm: NoFacts {
        /// No compression.
        None = "none" {},
    }
}

struct NoFacts {}

impl CompressionAlgorithm {
    /// Whether packets stay as they are.
    pub const fn is_none(self) -> bool {
        let NoFacts {} = self.facts();
        matches!(self, Self::None)
    }
}

algorithms! {
    /// What a public key is: the name with which its blob begins.
    KeyType: KeyFacts {
        /// Ed25519 (RFC 8709).
        Ed25519 = "ssh-ed25519" { preferred: SignatureAlgorithm::Ed25519 },
        /// ECDSA over NIST P-256 (RFC 5656).
        EcdsaP256 = "ecdsa-sha2-nistp256" { preferred: SignatureAlgorithm::EcdsaSha2Nistp256 },
        /// RSA (RFC 4253 section 6.6). As a signature algorithm the same name means SHA-1, which
        /// is not offered.
        Rsa = "ssh-rsa" { preferred: SignatureAlgorithm::RsaSha2_512 },
    }
}

struct KeyFacts {
    preferred: SignatureAlgorithm,
}

impl KeyType {
    /// The algorithm that a key of this type signs with, unless the peer cannot check it.
    pub const fn preferred_signature(self) -> SignatureAlgorithm {
        self.facts().preferred
    }
}

algorithms! {
    /// How a signature is made; as a host key algorithm, what the server proves its key with.
    SignatureAlgorithm: SignatureFacts {
        /// Ed25519 (RFC 8709).
        Ed25519 = "ssh-ed25519" { key_type: KeyType::Ed25519 },
        /// ECDSA over NIST P-256 with SHA-256 (RFC 5656).
        EcdsaSha2Nistp256 = "ecdsa-sha2-nistp256" { key_type: KeyType::EcdsaP256 },
        /// RSA PKCS #1 v1.5 with SHA-256 (RFC 8332).
        RsaSha2_256 = "rsa-sha2-256" { key_type: KeyType::Rsa },
        /// RSA PKCS #1 v1.5 with SHA-512 (RFC 8332).
        RsaSha2_512 = "rsa-sha2-512" { key_type: KeyType::Rsa },
    }
}

struct SignatureFacts {
    key_type: KeyType,
}

impl SignatureAlgorithm {
    /// The type of the keys that sign this way.
    pub const fn key_type(self) -> KeyType {
        self.facts().key_type
    }
}

/// Orders of preference, chosen for a purpose.
///
/// ```
/// use ssh_proto::algorithm::{Algorithms, CipherAlgorithm, Preset};
///
/// let slow_aes = Algorithms::from(Preset::for_cpu(false));
/// assert_eq!(
///     slow_aes.ciphers_client_to_server.first(),
///     Some(&CipherAlgorithm::ChaCha20Poly1305),
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    kex: &'static [KexAlgorithm],
    host_key: &'static [SignatureAlgorithm],
    ciphers: &'static [CipherAlgorithm],
    macs: &'static [MacAlgorithm],
    compression: &'static [CompressionAlgorithm],
}

impl Preset {
    /// Key exchange methods: post-quantum first.
    pub const KEX: &[KexAlgorithm] = &[
        KexAlgorithm::Mlkem768X25519Sha256,
        KexAlgorithm::Curve25519Sha256,
        KexAlgorithm::Curve25519Sha256LibSsh,
    ];

    /// Signature algorithms, of host keys and of users.
    pub const SIGNATURES: &[SignatureAlgorithm] = &[
        SignatureAlgorithm::Ed25519,
        SignatureAlgorithm::EcdsaSha2Nistp256,
        SignatureAlgorithm::RsaSha2_512,
        SignatureAlgorithm::RsaSha2_256,
    ];

    /// Ciphers for a CPU with AES instructions.
    pub const CIPHERS_AES_FIRST: &[CipherAlgorithm] = &[
        CipherAlgorithm::Aes256Gcm,
        CipherAlgorithm::Aes128Gcm,
        CipherAlgorithm::ChaCha20Poly1305,
        CipherAlgorithm::Aes256Ctr,
        CipherAlgorithm::Aes192Ctr,
        CipherAlgorithm::Aes128Ctr,
    ];

    /// Ciphers for a CPU without: AES in software is slow.
    pub const CIPHERS_CHACHA_FIRST: &[CipherAlgorithm] = &[
        CipherAlgorithm::ChaCha20Poly1305,
        CipherAlgorithm::Aes256Gcm,
        CipherAlgorithm::Aes128Gcm,
        CipherAlgorithm::Aes256Ctr,
        CipherAlgorithm::Aes192Ctr,
        CipherAlgorithm::Aes128Ctr,
    ];

    /// MACs: encrypt-then-MAC first, because then nothing is decrypted before it is verified.
    pub const MACS: &[MacAlgorithm] = &[
        MacAlgorithm::HmacSha256Etm,
        MacAlgorithm::HmacSha512Etm,
        MacAlgorithm::HmacSha256,
        MacAlgorithm::HmacSha512,
    ];

    /// Compression methods.
    pub const COMPRESSION: &[CompressionAlgorithm] = &[CompressionAlgorithm::None];

    /// The default, with the ciphers ordered by what the CPU does fast: `aes` says whether it has
    /// AES instructions.
    pub const fn for_cpu(aes: bool) -> Self {
        Self {
            kex: Self::KEX,
            host_key: Self::SIGNATURES,
            ciphers: if aes {
                Self::CIPHERS_AES_FIRST
            } else {
                Self::CIPHERS_CHACHA_FIRST
            },
            macs: Self::MACS,
            compression: Self::COMPRESSION,
        }
    }
}

impl Default for Preset {
    fn default() -> Self {
        Self::for_cpu(true)
    }
}

/// What is offered to the peer, most preferred first: the ten lists of KEXINIT (RFC 4253
/// section 7.1) without the languages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Algorithms {
    /// Key exchange methods.
    pub kex: Vec<KexAlgorithm>,
    /// What the host may prove its key with.
    pub host_key: Vec<SignatureAlgorithm>,
    /// Ciphers for what the client sends.
    pub ciphers_client_to_server: Vec<CipherAlgorithm>,
    /// Ciphers for what the server sends.
    pub ciphers_server_to_client: Vec<CipherAlgorithm>,
    /// MACs for what the client sends.
    pub macs_client_to_server: Vec<MacAlgorithm>,
    /// MACs for what the server sends.
    pub macs_server_to_client: Vec<MacAlgorithm>,
    /// Compression of what the client sends.
    pub compression_client_to_server: Vec<CompressionAlgorithm>,
    /// Compression of what the server sends.
    pub compression_server_to_client: Vec<CompressionAlgorithm>,
}

impl From<Preset> for Algorithms {
    fn from(preset: Preset) -> Self {
        Self {
            kex: preset.kex.to_vec(),
            host_key: preset.host_key.to_vec(),
            ciphers_client_to_server: preset.ciphers.to_vec(),
            ciphers_server_to_client: preset.ciphers.to_vec(),
            macs_client_to_server: preset.macs.to_vec(),
            macs_server_to_client: preset.macs.to_vec(),
            compression_client_to_server: preset.compression.to_vec(),
            compression_server_to_client: preset.compression.to_vec(),
        }
    }
}

impl Default for Algorithms {
    fn default() -> Self {
        Preset::default().into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::wire::NameList;

    macro_rules! names_hold {
        ($($family:ident),+) => {$({
            let mut seen = HashSet::new();
            for &algorithm in $family::ALL {
                assert_eq!($family::from_name(algorithm.name()), Some(algorithm));
                assert!(seen.insert(algorithm.name()), "{algorithm} stands twice");
                assert_eq!(NameList::new(algorithm.name()).unwrap().iter().count(), 1);
            }
            assert_eq!($family::from_name(""), None);
            assert_eq!($family::from_name(&$family::ALL[0].name().to_uppercase()), None);
        })+};
    }

    #[test]
    fn names_are_unique_and_lead_back() {
        names_hold!(
            KexAlgorithm,
            CipherAlgorithm,
            MacAlgorithm,
            CompressionAlgorithm,
            KeyType,
            SignatureAlgorithm
        );
    }

    #[test]
    fn presets_hold_every_algorithm_once() {
        fn sorted<T: Ord + Copy>(list: &[T]) -> Vec<T> {
            let mut list = list.to_vec();
            list.sort();
            list
        }
        for aes in [false, true] {
            let all = Algorithms::from(Preset::for_cpu(aes));
            assert_eq!(sorted(&all.kex), KexAlgorithm::ALL);
            assert_eq!(sorted(&all.host_key), SignatureAlgorithm::ALL);
            assert_eq!(sorted(&all.ciphers_client_to_server), CipherAlgorithm::ALL);
            assert_eq!(sorted(&all.macs_server_to_client), MacAlgorithm::ALL);
        }
    }

    #[test]
    fn k10_sha1_is_neither_offered_nor_known() {
        assert_eq!(SignatureAlgorithm::from_name("ssh-rsa"), None);
        assert_eq!(KeyType::from_name("rsa-sha2-256"), None);
        assert_eq!(KexAlgorithm::from_name("diffie-hellman-group1-sha1"), None);
    }

    #[test]
    fn a_method_names_its_hash() {
        for &kex in KexAlgorithm::ALL {
            let suffix = match kex.hash() {
                HashAlgorithm::Sha256 => "sha256",
                HashAlgorithm::Sha512 => "sha512",
            };
            assert!(kex.name().contains(suffix));
        }
    }

    #[test]
    fn a_key_type_prefers_an_algorithm_of_its_own() {
        for &key_type in KeyType::ALL {
            assert_eq!(key_type.preferred_signature().key_type(), key_type);
        }
    }
}
