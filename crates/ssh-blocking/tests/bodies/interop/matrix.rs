//! What is tried with whom: the rows, the columns, and what came of it.
//!
//! A row is one thing that two implementations have to agree about. Every row is tried in every
//! column. Where the table in [`Column::must_have`] says so it has to work; elsewhere the peer may
//! turn out not to offer it, and if it does offer it after all, as later versions do, it has to
//! work too.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ssh_proto::algorithm::{
    CipherAlgorithm, KexAlgorithm, MacAlgorithm, SignatureAlgorithm, Standing,
};

/// Something to agree about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    /// This key exchange method, with the cipher that is preferred.
    Kex(KexAlgorithm),
    /// This protection both ways, with the method that is preferred.
    Protection(CipherAlgorithm, Option<MacAlgorithm>),
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
        const FIRST_MAC: MacAlgorithm = MacAlgorithm::HmacSha256;
        const FIRST_CTR: CipherAlgorithm = CipherAlgorithm::Aes128Ctr;
        let kex = KexAlgorithm::ALL.iter().copied().map(Self::Kex);
        let ciphers = CipherAlgorithm::ALL
            .iter()
            .map(|&cipher| Self::Protection(cipher, (!cipher.is_aead()).then_some(FIRST_MAC)));
        let macs = MacAlgorithm::ALL
            .iter()
            .filter(|mac| **mac != FIRST_MAC)
            .map(|&mac| Self::Protection(FIRST_CTR, Some(mac)));
        let signatures = || SignatureAlgorithm::ALL.iter().copied();
        kex.chain(ciphers)
            .chain(macs)
            .chain(signatures().map(Self::HostKey))
            .chain(signatures().map(Self::UserKey))
            .chain([Self::RekeyByUs, Self::RekeyByPeer, Self::Tunnel])
            .collect()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kex(kex) => write!(f, "key exchange {kex}"),
            Self::Protection(cipher, None) => write!(f, "cipher {cipher}"),
            Self::Protection(cipher, Some(mac)) => write!(f, "cipher {cipher} with {mac}"),
            Self::HostKey(signature) => write!(f, "host key {signature}"),
            Self::UserKey(signature) => write!(f, "user key {signature}"),
            Self::RekeyByUs => f.write_str("new keys every 64 KiB, asked for by us"),
            Self::RekeyByPeer => f.write_str("new keys every 64 KiB, asked for by the peer"),
            Self::Tunnel => f.write_str("tunnel"),
        }
    }
}

/// Whose implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    OpenSsh,
    Dropbear,
    AsyncSsh,
}

impl Peer {
    pub(crate) const ALL: [Self; 3] = [Self::OpenSsh, Self::Dropbear, Self::AsyncSsh];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OpenSsh => "OpenSSH",
            Self::Dropbear => "Dropbear",
            Self::AsyncSsh => "AsyncSSH",
        }
    }
}

/// Who is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    OurClient,
    OurServer,
}

/// A peer in one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Column {
    pub(crate) side: Side,
    pub(crate) peer: Peer,
}

impl Column {
    pub(crate) fn all() -> Vec<Self> {
        let of = |side| Peer::ALL.map(|peer| Self { side, peer });
        [of(Side::OurClient), of(Side::OurServer)].concat()
    }

    /// The table: what has had to work since OpenSSH 9.2, Dropbear 2022.83 and AsyncSSH 2.24.
    pub(crate) fn must_have(self, row: Row) -> bool {
        if let Row::Protection(cipher, mac) = row
            && !offered_by_default(cipher, mac)
        {
            return false;
        }
        match self.peer {
            Peer::OpenSsh => match row {
                Row::Kex(kex) => kex != KexAlgorithm::Mlkem768X25519Sha256,
                // sshd announces rsa-sha2-512 too, whatever it is told to take.
                Row::UserKey(SignatureAlgorithm::RsaSha2_256) => self.side == Side::OurServer,
                _ => true,
            },
            Peer::AsyncSsh => true,
            Peer::Dropbear => match row {
                Row::Kex(kex) => kex != KexAlgorithm::Mlkem768X25519Sha256,
                Row::Protection(cipher, None) => cipher == CipherAlgorithm::ChaCha20Poly1305,
                Row::Protection(cipher, Some(mac)) => {
                    cipher != CipherAlgorithm::Aes192Ctr && mac == MacAlgorithm::HmacSha256
                }
                Row::HostKey(signature) | Row::UserKey(signature) => {
                    signature != SignatureAlgorithm::RsaSha2_512
                }
                // It does so after a gigabyte, and cannot be told otherwise.
                Row::RekeyByPeer => false,
                Row::RekeyByUs | Row::Tunnel => true,
            },
        }
    }
}

/// What peers offer without being told to: nothing that is weak, and none of the rarer ones.
fn offered_by_default(cipher: CipherAlgorithm, mac: Option<MacAlgorithm>) -> bool {
    let sha2 = [
        MacAlgorithm::HmacSha256,
        MacAlgorithm::HmacSha512,
        MacAlgorithm::HmacSha256Etm,
        MacAlgorithm::HmacSha512Etm,
    ];
    cipher.standing() == Standing::Recommended && mac.is_none_or(|mac| sha2.contains(&mac))
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.side, self.peer) {
            (Side::OurClient, Peer::OpenSsh) => "sshd",
            (Side::OurClient, Peer::Dropbear) => "dropbear",
            (Side::OurClient, Peer::AsyncSsh) => "AsyncSSH server",
            (Side::OurServer, Peer::OpenSsh) => "ssh",
            (Side::OurServer, Peer::Dropbear) => "dbclient",
            (Side::OurServer, Peer::AsyncSsh) => "AsyncSSH client",
        })
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
    Failed,
}

impl Outcome {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Works => "ok",
            Self::NotOffered => "not offered",
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
        mut attempt: impl FnMut(Row) -> Result<(), Trouble>,
    ) -> Result<(), String> {
        let mut failures = Vec::new();
        for row in Row::all() {
            let outcome = match attempt(row) {
                Ok(()) => Outcome::Works,
                Err(Trouble::NotOffered(_)) if !column.must_have(row) => Outcome::NotOffered,
                Err(trouble) => {
                    failures.push(format!("{row}: {trouble}"));
                    Outcome::Failed
                }
            };
            let mut outcomes = lock(&self.outcomes);
            outcomes.insert((column, row), outcome);
        }
        if failures.is_empty() {
            return Ok(());
        }
        Err(format!("{column}:\n{}", failures.join("\n")))
    }

    /// Remembers how a peer calls itself.
    pub(crate) fn version(&self, peer: Peer, version: String) {
        lock(&self.versions).insert(peer, version);
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
