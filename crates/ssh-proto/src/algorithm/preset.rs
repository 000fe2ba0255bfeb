//! What is offered: [`Preset`] and [`Algorithms`].

use alloc::vec::Vec;

use super::{
    CipherAlgorithm, CompressionAlgorithm, KexAlgorithm, MacAlgorithm, SignatureAlgorithm, Standing,
};
use crate::transport::Role;

/// Orders of preference, chosen for a purpose.
///
/// ```
/// use ssh_proto::Role;
/// use ssh_proto::algorithm::{CipherAlgorithm, Preset};
///
/// let slow_aes = Preset::for_cpu(false).algorithms(Role::Client);
/// assert_eq!(
///     slow_aes.ciphers_client_to_server.first(),
///     Some(&CipherAlgorithm::ChaCha20Poly1305),
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    purpose: Purpose,
    /// The CPU has instructions for AES.
    aes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Default,
    Hardened,
    Legacy,
}

impl Preset {
    /// The default, with the ciphers ordered by what the CPU does fast: `aes` says whether it has
    /// AES instructions.
    pub const fn for_cpu(aes: bool) -> Self {
        Self {
            purpose: Purpose::Default,
            aes,
        }
    }

    /// Only what has no known weakness, for peers that are known to be new.
    pub const fn hardened() -> Self {
        Self {
            purpose: Purpose::Hardened,
            aes: true,
        }
    }

    /// Everything that there is, the weakest last, for peers that have nothing better; but for
    /// compression before authentication on a server (CVE-2026-23943), which is to be named.
    pub const fn legacy() -> Self {
        Self {
            purpose: Purpose::Legacy,
            aes: true,
        }
    }

    /// What `role` offers.
    pub fn algorithms(self, role: Role) -> Algorithms {
        let list = Lists { preset: self, role };
        let mut ciphers: Vec<CipherAlgorithm> =
            list.of(CipherAlgorithm::ALL, CipherAlgorithm::standing);
        if !self.aes {
            // AES in software is slow.
            ciphers.sort_by_key(|cipher| *cipher != CipherAlgorithm::ChaCha20Poly1305);
        }
        let macs = list.of(MacAlgorithm::ALL, MacAlgorithm::standing);
        let mut compression = list.of(CompressionAlgorithm::ALL, CompressionAlgorithm::standing);
        if role == Role::Server {
            compression.retain(|method| !method.is_before_authentication());
        }
        Algorithms {
            kex: list.of(KexAlgorithm::ALL, KexAlgorithm::standing),
            host_key: self.signatures(role),
            ciphers_client_to_server: ciphers.clone(),
            ciphers_server_to_client: ciphers,
            macs_client_to_server: macs.clone(),
            macs_server_to_client: macs,
            compression_client_to_server: compression.clone(),
            compression_server_to_client: compression,
        }
    }

    /// Signature algorithms, of host keys and of users.
    pub fn signatures(self, role: Role) -> Vec<SignatureAlgorithm> {
        Lists { preset: self, role }.of(SignatureAlgorithm::ALL, SignatureAlgorithm::standing)
    }
}

impl Default for Preset {
    fn default() -> Self {
        Self::for_cpu(true)
    }
}

/// Takes from a table what a preset offers.
struct Lists {
    preset: Preset,
    role: Role,
}

impl Lists {
    fn of<A: Copy>(&self, all: &[A], standing: fn(A) -> Standing) -> Vec<A> {
        let mut list: Vec<A> = all.to_vec();
        list.retain(|algorithm| self.offers(standing(*algorithm)));
        // The tables are in the order of preference; a stable sort leaves it.
        list.sort_by_key(|algorithm| standing(*algorithm) == Standing::Deprecated);
        list
    }

    const fn offers(&self, standing: Standing) -> bool {
        match (self.preset.purpose, standing) {
            (Purpose::Legacy, _) | (_, Standing::Recommended) => true,
            (Purpose::Default, Standing::Acceptable) => true,
            (Purpose::Default, Standing::AcceptableToClients) => {
                matches!(self.role, Role::Client)
            }
            (Purpose::Default | Purpose::Hardened, _) => false,
        }
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

/// What either role offers by default: what a server does.
impl Default for Algorithms {
    fn default() -> Self {
        Preset::default().algorithms(Role::Server)
    }
}
