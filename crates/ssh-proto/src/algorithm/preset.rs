//! What is offered: [`Preset`] and [`Algorithms`].
//!
//! A preset holds no list of names: it takes from the tables what the standing of each row lets it
//! offer, in the order of the table.

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::{
    CipherAlgorithm, CompressionAlgorithm, KexAlgorithm, MacAlgorithm, SignatureAlgorithm,
    Standing, cut,
};
use crate::escape::Escaped;
use crate::transport::Role;

/// Orders of preference, chosen for a purpose.
///
/// A [`ClientConfig`](crate::ClientConfig) and a [`ServerConfig`](crate::ServerConfig) are made from
/// one. In a configuration file it has a [name](Self::name):
///
/// ```
/// use ssh_proto::algorithm::Preset;
/// use ssh_proto::{ClientConfig, ServerConfig};
///
/// let client = ClientConfig::from(Preset::hardened());
/// assert!(client.transport.require_strict_kex);
///
/// let server = ServerConfig::from("default".parse::<Preset>()?);
/// assert!(!server.transport.require_strict_kex);
/// # Ok::<(), ssh_proto::algorithm::UnknownPreset>(())
/// ```
///
/// The order of ciphers depends on the CPU, which the core does not know. A driver
/// [says](Self::or_cpu) what it found; where nobody does, AES is taken to be fast.
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
    /// Whether the CPU has instructions for AES, where that was said.
    aes: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Default,
    Hardened,
    Legacy,
}

impl Preset {
    /// All of them, in the order of what they offer.
    pub const ALL: &[Self] = &[
        Self::hardened(),
        Self::new(Purpose::Default),
        Self::legacy(),
    ];

    const fn new(purpose: Purpose) -> Self {
        Self { purpose, aes: None }
    }

    /// The default, with the ciphers ordered by what the CPU does fast: `aes` says whether it has
    /// AES instructions.
    pub const fn for_cpu(aes: bool) -> Self {
        Self::new(Purpose::Default).on_cpu(aes)
    }

    /// Only what has no known weakness, and no peer without strict key exchange: for peers that are
    /// known to be new.
    pub const fn hardened() -> Self {
        Self::new(Purpose::Hardened)
    }

    /// Everything that there is, what is known to be weak last, for peers that have nothing better.
    /// Only what a server should not let strangers reach at all
    /// ([`Standing::DeprecatedToClients`]) has to be named there all the same.
    pub const fn legacy() -> Self {
        Self::new(Purpose::Legacy)
    }

    /// The same for a CPU with AES instructions, or for one without.
    #[must_use]
    pub const fn on_cpu(self, aes: bool) -> Self {
        Self {
            aes: Some(aes),
            ..self
        }
    }

    /// As [`on_cpu`](Self::on_cpu), but what was said before holds: for drivers, which know the CPU
    /// but not what their user wants.
    #[must_use]
    pub const fn or_cpu(self, aes: bool) -> Self {
        match self.aes {
            Some(_) => self,
            None => self.on_cpu(aes),
        }
    }

    /// Its name: `default`, `hardened` or `legacy`.
    pub const fn name(self) -> &'static str {
        match self.purpose {
            Purpose::Default => "default",
            Purpose::Hardened => "hardened",
            Purpose::Legacy => "legacy",
        }
    }

    /// Whether peers without strict key exchange are refused.
    pub const fn requires_strict_kex(self) -> bool {
        matches!(self.purpose, Purpose::Hardened)
    }

    /// What `role` offers.
    pub fn algorithms(self, role: Role) -> Algorithms {
        let list = Lists { preset: self, role };
        let mut ciphers: Vec<CipherAlgorithm> =
            list.of(CipherAlgorithm::ALL, CipherAlgorithm::standing);
        if self.aes == Some(false) {
            // AES in software is slow.
            ciphers.sort_by_key(|cipher| *cipher != CipherAlgorithm::ChaCha20Poly1305);
        }
        let macs = list.of(MacAlgorithm::ALL, MacAlgorithm::standing);
        let compression = list.of(CompressionAlgorithm::ALL, CompressionAlgorithm::standing);
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
        Self::new(Purpose::Default)
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(name: &str) -> Result<Self, UnknownPreset> {
        let mut all = Self::ALL.iter().copied();
        all.find(|preset| preset.name() == name)
            .ok_or_else(|| UnknownPreset { name: cut(name) })
    }
}

/// There is no preset of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownPreset {
    /// The name, cut as that of an [algorithm](super::UnknownAlgorithm).
    pub name: alloc::boxed::Box<str>,
}

impl fmt::Display for UnknownPreset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Escaped(self.name.as_bytes());
        write!(
            f,
            "\"{name}\" is no preset; these are: hardened, default, legacy"
        )
    }
}

impl core::error::Error for UnknownPreset {}

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
        list.sort_by_key(|algorithm| standing(*algorithm).is_deprecated());
        list
    }

    const fn offers(&self, standing: Standing) -> bool {
        let by_clients = matches!(self.role, Role::Client);
        match (self.preset.purpose, standing) {
            (_, Standing::Recommended) => true,
            (Purpose::Hardened, _) => false,
            (_, Standing::Acceptable) => true,
            (Purpose::Default, Standing::AcceptableToClients) => by_clients,
            (Purpose::Default, _) => false,
            (Purpose::Legacy, Standing::DeprecatedToClients) => by_clients,
            (Purpose::Legacy, _) => true,
        }
    }
}

/// What is offered to the peer, most preferred first: the ten lists of KEXINIT (RFC 4253
/// section 7.1) without the languages.
///
/// The lists are values; [`set`](Self::set) changes them by name.
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

#[cfg(test)]
mod tests;
