//! What is tried, and what came of it.
//!
//! A row is one thing that two implementations have to agree about. Every row is tried in every
//! [`Column`]. What a peer offers is read off the wire: what is offered has to work, and what
//! [`must_have`](super::offers::must_have) says has to be offered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ssh_proto::algorithm::{
    Algorithms, CipherAlgorithm, CompressionAlgorithm, KexAlgorithm, MacAlgorithm,
    SignatureAlgorithm,
};
use ssh_testkit::peers::Offer;

use super::columns::{Column, Peer};
use super::offers;

/// The MAC of those ciphers that need one.
pub(crate) const COMMON_MAC: MacAlgorithm = MacAlgorithm::HmacSha256;

/// The cipher of the MACs: AES-128 in counter mode, or what else a peer has that needs one.
pub(crate) fn cipher_for_macs(offer: &Offer) -> Option<CipherAlgorithm> {
    let first = std::iter::once(&CipherAlgorithm::Aes128Ctr);
    let mut ciphers = first.chain(CipherAlgorithm::ALL).copied();
    ciphers.find(|&cipher| !cipher.is_aead() && Row::Cipher(cipher).is_offered(offer) == Some(true))
}

/// Something to agree about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    /// This key exchange method, with what is preferred otherwise.
    Kex(KexAlgorithm),
    /// This cipher both ways, with [`COMMON_MAC`] if it needs one.
    Cipher(CipherAlgorithm),
    /// This MAC both ways, with [a cipher that needs one](cipher_for_macs).
    Mac(MacAlgorithm),
    /// This compression both ways.
    Compression(CompressionAlgorithm),
    /// The server proves itself so.
    HostKey(SignatureAlgorithm),
    /// The user logs in so.
    UserKey(SignatureAlgorithm),
    /// Our side exchanges keys every 64 KiB.
    RekeyByUs,
    /// The peer does.
    RekeyByPeer,
    /// A connection through the server (RFC 4254 section 7.2).
    Tunnel,
}

impl Row {
    /// All of them: each algorithm once, in the order of the documentation.
    pub(crate) fn all() -> Vec<Self> {
        let mut rows = Vec::new();
        rows.extend(KexAlgorithm::ALL.iter().copied().map(Self::Kex));
        rows.extend(CipherAlgorithm::ALL.iter().copied().map(Self::Cipher));
        rows.extend(MacAlgorithm::ALL.iter().copied().map(Self::Mac));
        let compression = CompressionAlgorithm::ALL.iter().copied();
        rows.extend(compression.map(Self::Compression));
        let signatures = || SignatureAlgorithm::ALL.iter().copied();
        rows.extend(signatures().map(Self::HostKey));
        rows.extend(signatures().map(Self::UserKey));
        rows.extend([Self::RekeyByUs, Self::RekeyByPeer, Self::Tunnel]);
        rows
    }

    /// What it is a row of.
    fn family(self) -> &'static str {
        match self {
            Self::Kex(_) => "key exchange",
            Self::Cipher(_) => "cipher",
            Self::Mac(_) => "MAC",
            Self::Compression(_) => "compression",
            Self::HostKey(_) => "host key",
            Self::UserKey(_) => "user key",
            Self::RekeyByUs => "new keys every 64 KiB, asked for by us",
            Self::RekeyByPeer => "new keys every 64 KiB, asked for by the peer",
            Self::Tunnel => "tunnel",
        }
    }

    /// Its algorithm, if it is about one.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Kex(kex) => Some(kex.name()),
            Self::Cipher(cipher) => Some(cipher.name()),
            Self::Mac(mac) => Some(mac.name()),
            Self::Compression(compression) => Some(compression.name()),
            Self::HostKey(signature) | Self::UserKey(signature) => Some(signature.name()),
            Self::RekeyByUs | Self::RekeyByPeer | Self::Tunnel => None,
        }
    }

    /// Has `algorithms` offer it alone, where it is an algorithm of a connection.
    pub(crate) fn narrow(self, algorithms: &mut Algorithms, offer: &Offer) {
        let mut protect = |cipher, mac| {
            algorithms.ciphers_client_to_server = vec![cipher];
            algorithms.ciphers_server_to_client = vec![cipher];
            algorithms.macs_client_to_server = vec![mac];
            algorithms.macs_server_to_client = vec![mac];
        };
        match self {
            Self::Kex(kex) => algorithms.kex = vec![kex],
            Self::Cipher(cipher) => protect(cipher, COMMON_MAC),
            Self::Mac(mac) => protect(
                cipher_for_macs(offer).unwrap_or(CipherAlgorithm::Aes128Ctr),
                mac,
            ),
            Self::Compression(compression) => {
                algorithms.compression_client_to_server = vec![compression];
                algorithms.compression_server_to_client = vec![compression];
            }
            Self::HostKey(signature) => algorithms.host_key = vec![signature],
            Self::UserKey(_) | Self::RekeyByUs | Self::RekeyByPeer | Self::Tunnel => {}
        }
    }

    /// Whether a peer offers it; `None` if its KEXINIT does not say.
    fn is_offered(self, offer: &Offer) -> Option<bool> {
        let list = match self {
            Self::Kex(_) => &offer.kex,
            Self::Cipher(_) => &offer.ciphers,
            Self::Mac(_) if cipher_for_macs(offer).is_none() => return Some(false),
            Self::Mac(_) => &offer.macs,
            Self::Compression(_) => &offer.compression,
            Self::HostKey(_) => &offer.host_key,
            Self::UserKey(_) | Self::RekeyByUs | Self::RekeyByPeer | Self::Tunnel => return None,
        };
        let name = self.name()?;
        Some(list.iter().any(|offered| offered == name))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family())?;
        match self.name() {
            Some(name) => write!(f, " {name}"),
            None => Ok(()),
        }
    }
}

/// Why a row did not work.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The two have it not in common.
    NotOffered(String),
    /// Anything else.
    Failed(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOffered(why) => write!(f, "not offered by the peer: {why}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Whatever goes wrong with files, processes and channels is a failure.
impl<E: std::error::Error> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Compares, and says what was wanted.
pub(crate) fn same<T: PartialEq + fmt::Debug>(
    what: &str,
    got: T,
    wanted: T,
) -> Result<(), Trouble> {
    if got == wanted {
        return Ok(());
    }
    Err(Trouble::Failed(format!("{what}: {got:?}, not {wanted:?}")))
}

/// What came of one row in one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Works,
    NotOffered,
    /// Offered, and done wrong: [`Column::fault`].
    PeerFails,
    Failed,
}

impl Outcome {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Works => "ok",
            Self::NotOffered => "-",
            Self::PeerFails => "its fault",
            Self::Failed => "FAILED",
        }
    }
}

/// What came of everything so far. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results {
    outcomes: Arc<Mutex<BTreeMap<(Column, Row), Outcome>>>,
    versions: Arc<Mutex<BTreeMap<Peer, String>>>,
}

impl Results {
    /// Tries every row in `column`, goes on after a failure, and tells all of them at the end.
    pub(crate) fn fill(
        &self,
        column: Column,
        rows: &[Row],
        offer: &Offer,
        mut attempt: impl FnMut(Row) -> Result<(), Trouble>,
    ) -> Result<(), String> {
        let version = offer.identification.clone();
        lock(&self.versions).insert(column.peer, version);
        let mut failures = Vec::new();
        for &row in rows {
            let offered = row.is_offered(offer);
            let result = match offered {
                Some(false) => Err(Trouble::NotOffered("not in its KEXINIT".to_owned())),
                Some(true) | None => attempt(row),
            };
            let may_lack = offered != Some(true) && !offers::must_have(column, row);
            let outcome = match (result, column.fault(row)) {
                (Ok(()), None) => Outcome::Works,
                (Ok(()), Some(fault)) => {
                    failures.push(format!("{row} works, although {fault}"));
                    Outcome::Failed
                }
                (Err(Trouble::NotOffered(_)), _) if may_lack => Outcome::NotOffered,
                (Err(_), Some(_)) => Outcome::PeerFails,
                (Err(trouble), None) => {
                    failures.push(format!("{row}: {trouble}"));
                    Outcome::Failed
                }
            };
            lock(&self.outcomes).insert((column, row), outcome);
        }
        if failures.is_empty() {
            return Ok(());
        }
        Err(format!("{column}:\n{}", failures.join("\n")))
    }

    /// How a peer called itself.
    pub(crate) fn version_of(&self, peer: Peer) -> Option<String> {
        lock(&self.versions).get(&peer).cloned()
    }

    /// `None` if it was not tried.
    pub(crate) fn of(&self, column: Column, row: Row) -> Option<Outcome> {
        lock(&self.outcomes).get(&(column, row)).copied()
    }

    /// Whether nothing was tried.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.outcomes).is_empty()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
