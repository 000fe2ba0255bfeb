//! Which algorithms are used: negotiation (RFC 4253 section 7.1) and a report of how it went.
//!
//! For each slot the choice is the first name on the client's list that is also on the server's.
//! Each direction is negotiated on its own. Names that are not algorithms (the markers of strict
//! key exchange and of EXT_INFO) stand for nothing here, so they can never be chosen.
//!
//! A cipher of RFC 5647 is a MAC as well, and is chosen as both or not at all: it counts as a
//! cipher of a side only where that side has it among its MACs too, and as a MAC it is chosen along
//! with the cipher and never otherwise. Ours are put among the MACs by [`mac_names`].

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

pub(super) use crate::algorithm::Algorithm as Named;
use crate::algorithm::{
    Algorithms, CipherAlgorithm, CipherMode, CompressionAlgorithm, KexAlgorithm, MacAlgorithm,
    SignatureAlgorithm,
};
use crate::error::OutOfMemory;
use crate::message::KexInit;
use crate::transport::Role;
use crate::wire::NameList;

/// What two peers agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The key exchange method.
    pub kex: KexAlgorithm,
    /// How the server proves its host key.
    pub host_key: SignatureAlgorithm,
    /// What the client's packets are protected with.
    pub client_to_server: Protection,
    /// What the server's packets are protected with.
    pub server_to_client: Protection,
    /// Both sides keep strict key exchange.
    pub strict_kex: bool,
}

/// What protects the packets of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Protection {
    /// The cipher.
    pub cipher: CipherAlgorithm,
    /// The MAC; `None` where the cipher checks integrity itself.
    pub mac: Option<MacAlgorithm>,
    /// The compression.
    pub compression: CompressionAlgorithm,
}

impl Negotiated {
    /// Whether a recording of the session stays secret from a future quantum computer.
    pub const fn is_post_quantum(&self) -> bool {
        self.kex.is_post_quantum()
    }

    /// What of it is known to be weak ([`Standing::Deprecated`]), and where; nothing, unless it was
    /// offered by name or by the preset `legacy`.
    ///
    /// [`Standing::Deprecated`]: crate::algorithm::Standing::Deprecated
    pub fn deprecated(&self) -> impl Iterator<Item = (Slot, &'static str)> {
        let (up, down) = (self.client_to_server, self.server_to_client);
        [
            weak(Slot::Kex, Some(self.kex)),
            weak(Slot::HostKey, Some(self.host_key)),
            weak(Slot::CipherClientToServer, Some(up.cipher)),
            weak(Slot::CipherServerToClient, Some(down.cipher)),
            weak(Slot::MacClientToServer, up.mac),
            weak(Slot::MacServerToClient, down.mac),
            weak(Slot::CompressionClientToServer, Some(up.compression)),
            weak(Slot::CompressionServerToClient, Some(down.compression)),
        ]
        .into_iter()
        .flatten()
    }

    /// Whether an attacker on the path could have removed messages from the beginning of the
    /// encrypted stream without being noticed (Terrapin, CVE-2023-48795): key exchange is not
    /// strict and a cipher is used that lets it happen. That is ChaCha20-Poly1305, and CBC with a MAC
    /// over the ciphertext.
    pub fn prefix_truncation_possible(&self) -> bool {
        let weak = |p: Protection| match p.cipher.mode() {
            CipherMode::ChaCha => true,
            CipherMode::Cbc => p.mac.is_some_and(MacAlgorithm::is_etm),
            _ => false,
        };
        !self.strict_kex && (weak(self.client_to_server) || weak(self.server_to_client))
    }

    /// What protects what `role` sends.
    pub const fn sent_by(&self, role: Role) -> Protection {
        match role {
            Role::Client => self.client_to_server,
            Role::Server => self.server_to_client,
        }
    }
}

/// As one line: the method, the signature, and what protects each direction.
impl fmt::Display for Negotiated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (up, down) = (self.client_to_server, self.server_to_client);
        write!(f, "{}, {}, {up}", self.kex, self.host_key)?;
        if up != down {
            write!(f, " to the server and {down} to the client")?;
        }
        Ok(())
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cipher.fmt(f)?;
        if let Some(mac) = self.mac {
            write!(f, " with {mac}")?;
        }
        if !self.compression.is_none() {
            write!(f, " and {}", self.compression)?;
        }
        Ok(())
    }
}

/// The algorithm of this slot, if it is weak.
fn weak<A: Named>(slot: Slot, algorithm: Option<A>) -> Option<(Slot, &'static str)> {
    let algorithm = algorithm.filter(|one| one.standing().is_deprecated())?;
    Some((slot, algorithm.name()))
}

/// One of the eight things that are negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Slot {
    /// Key exchange method.
    Kex,
    /// Host key algorithm.
    HostKey,
    /// Cipher, client to server.
    CipherClientToServer,
    /// Cipher, server to client.
    CipherServerToClient,
    /// MAC, client to server.
    MacClientToServer,
    /// MAC, server to client.
    MacServerToClient,
    /// Compression, client to server.
    CompressionClientToServer,
    /// Compression, server to client.
    CompressionServerToClient,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kex => "key exchange",
            Self::HostKey => "host key",
            Self::CipherClientToServer => "cipher client to server",
            Self::CipherServerToClient => "cipher server to client",
            Self::MacClientToServer => "MAC client to server",
            Self::MacServerToClient => "MAC server to client",
            Self::CompressionClientToServer => "compression client to server",
            Self::CompressionServerToClient => "compression server to client",
        })
    }
}

/// How a slot was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Choice {
    /// It is the first choice of both.
    BothPrefer(&'static str),
    /// It is the first on the client's list that the server has too.
    ClientPrefers(&'static str),
    /// No MAC: the cipher checks integrity itself, so the lists do not matter.
    CipherIsAead,
    /// The cipher, which is on both lists of MACs too (RFC 5647 section 5.1).
    Cipher(&'static str),
    /// The lists have nothing in common.
    NothingInCommon,
}

/// Both lists of one slot, and what came of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotReport {
    /// Which slot.
    pub slot: Slot,
    /// Our names, separated by commas.
    pub ours: Box<str>,
    /// The peer's names, separated by commas.
    pub theirs: Box<str>,
    /// What was chosen, and why.
    pub choice: Choice,
}

/// How a negotiation went, slot by slot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NegotiationReport {
    /// Our role.
    pub role: Role,
    /// The eight slots, in the order of KEXINIT.
    pub slots: Vec<SlotReport>,
}

impl NegotiationReport {
    /// The slots in which nothing is in common; none after success.
    pub fn failures(&self) -> impl Iterator<Item = &SlotReport> {
        self.slots
            .iter()
            .filter(|slot| slot.choice == Choice::NothingInCommon)
    }
}

impl fmt::Display for NegotiationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remedies = self.remedy();
        if remedies.is_empty() {
            return f.write_str("the algorithms were agreed");
        }
        f.write_str("no algorithm in common")?;
        for failed in self.failures() {
            write!(f, "; {}: we offer {}", failed.slot, OrNone(&failed.ours))?;
            write!(f, ", the peer offers {:.400}", OrNone(&failed.theirs))?;
        }
        for (n, remedy) in remedies.iter().enumerate() {
            f.write_str(if n == 0 { "; to change that: " } else { "; " })?;
            remedy.fmt(f)?;
        }
        Ok(())
    }
}

struct OrNone<'a>(&'a str);

impl fmt::Display for OrNone<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.0.is_empty() { "nothing" } else { self.0 })
    }
}

/// Negotiates. `strict_kex` is left for the caller to decide, since it depends on the past.
pub(crate) fn negotiate(
    role: Role,
    ours: &Algorithms,
    theirs: &KexInit<'_>,
) -> Result<(Option<Negotiated>, NegotiationReport), OutOfMemory> {
    let mut n = Negotiation {
        role,
        slots: Vec::with_capacity(8),
        memory: Ok(()),
    };
    let t = theirs;
    let kex = n.slot(Slot::Kex, &ours.kex, t.kex_algorithms);
    let host_key = n.slot(Slot::HostKey, &ours.host_key, t.server_host_key_algorithms);
    let cipher_c2s = n.cipher(
        Slot::CipherClientToServer,
        &ours.ciphers_client_to_server,
        t.encryption_algorithms_client_to_server,
        t.mac_algorithms_client_to_server,
    );
    let cipher_s2c = n.cipher(
        Slot::CipherServerToClient,
        &ours.ciphers_server_to_client,
        t.encryption_algorithms_server_to_client,
        t.mac_algorithms_server_to_client,
    );
    let mac_c2s = n.mac(
        Slot::MacClientToServer,
        cipher_c2s,
        (&ours.ciphers_client_to_server, &ours.macs_client_to_server),
        t.mac_algorithms_client_to_server,
    );
    let mac_s2c = n.mac(
        Slot::MacServerToClient,
        cipher_s2c,
        (&ours.ciphers_server_to_client, &ours.macs_server_to_client),
        t.mac_algorithms_server_to_client,
    );
    let compression_c2s = n.slot(
        Slot::CompressionClientToServer,
        &ours.compression_client_to_server,
        t.compression_algorithms_client_to_server,
    );
    let compression_s2c = n.slot(
        Slot::CompressionServerToClient,
        &ours.compression_server_to_client,
        t.compression_algorithms_server_to_client,
    );
    let protection = |cipher: Option<_>, mac: Option<_>, compression: Option<_>| {
        Some(Protection {
            cipher: cipher?,
            mac: mac?,
            compression: compression?,
        })
    };
    let negotiated = (|| {
        Some(Negotiated {
            kex: kex?,
            host_key: host_key?,
            client_to_server: protection(cipher_c2s, mac_c2s, compression_c2s)?,
            server_to_client: protection(cipher_s2c, mac_s2c, compression_s2c)?,
            strict_kex: false,
        })
    })();
    n.memory?;
    let slots = n.slots;
    Ok((negotiated, NegotiationReport { role, slots }))
}

/// Whether the peer's guess (RFC 4253 section 7) is right: both sides prefer the same method and
/// the same host key algorithm.
pub(super) fn guess_is_right(ours: &Algorithms, theirs: &KexInit<'_>) -> bool {
    let kex = ours.kex.first().map(|a| a.name());
    let host_key = ours.host_key.first().map(|a| a.name());
    theirs.kex_algorithms.first() == kex && theirs.server_host_key_algorithms.first() == host_key
}

/// The names for our list of MACs: those of the MACs, and of the ciphers that have to stand there too.
///
/// A peer may choose from either list without a look at the other, and then both choices must be the
/// same. So such ciphers come before every MAC where they come before every other cipher, and behind
/// all MACs where they do not.
pub(super) fn mac_names(ciphers: &[CipherAlgorithm], macs: &[MacAlgorithm]) -> Vec<&'static str> {
    let is_mac_too = |cipher: &&CipherAlgorithm| cipher.is_mac_too();
    let before = ciphers.iter().take_while(is_mac_too).count();
    let (before, behind) = ciphers.split_at_checked(before).unwrap_or_default();
    let before = before.iter().map(|cipher| cipher.name());
    let behind = behind.iter().filter(is_mac_too).map(|cipher| cipher.name());
    let macs = macs.iter().map(|mac| mac.name());
    before.chain(macs).chain(behind).collect()
}

struct Negotiation {
    role: Role,
    slots: Vec<SlotReport>,
    /// Whether there was memory for the peer's lists.
    memory: Result<(), OutOfMemory>,
}

impl Negotiation {
    fn slot<A: Named>(&mut self, slot: Slot, ours: &[A], theirs: NameList<'_>) -> Option<A> {
        let (chosen, choice) = self.choose(ours, ours, theirs);
        self.report(slot, ours.iter().map(|a| a.name()), theirs, choice);
        chosen
    }

    /// The cipher. One that is a MAC too must be among the peer's `macs`; they are looked through
    /// once for each such cipher of ours, however often the peer names it.
    fn cipher(
        &mut self,
        slot: Slot,
        ours: &[CipherAlgorithm],
        theirs: NameList<'_>,
        macs: NameList<'_>,
    ) -> Option<CipherAlgorithm> {
        let mut usable = ours.to_vec();
        usable.retain(|cipher| !cipher.is_mac_too() || macs.contains(cipher.name()));
        let (chosen, choice) = self.choose(ours, &usable, theirs);
        self.report(slot, ours.iter().map(|a| a.name()), theirs, choice);
        chosen
    }

    /// The MAC for `cipher`: `Some(None)` for an AEAD.
    fn mac(
        &mut self,
        slot: Slot,
        cipher: Option<CipherAlgorithm>,
        (ciphers, macs): (&[CipherAlgorithm], &[MacAlgorithm]),
        theirs: NameList<'_>,
    ) -> Option<Option<MacAlgorithm>> {
        let (chosen, choice) = match cipher {
            Some(cipher) if cipher.is_mac_too() => (Some(None), Choice::Cipher(cipher.name())),
            Some(cipher) if cipher.is_aead() => (Some(None), Choice::CipherIsAead),
            _ => {
                let (chosen, choice) = self.choose(macs, macs, theirs);
                (chosen.map(Some), choice)
            }
        };
        self.report(slot, mac_names(ciphers, macs), theirs, choice);
        chosen
    }

    /// What both have, of those of ours that are `usable`.
    fn choose<A: Named>(
        &self,
        ours: &[A],
        usable: &[A],
        theirs: NameList<'_>,
    ) -> (Option<A>, Choice) {
        let chosen = match self.role {
            Role::Client => usable.iter().copied().find(|a| theirs.contains(a.name())),
            Role::Server => theirs
                .iter()
                .filter_map(A::from_name)
                .find(|a| usable.contains(a)),
        };
        let choice = match chosen {
            None => Choice::NothingInCommon,
            Some(a) if ours.first() == Some(&a) && theirs.first() == Some(a.name()) => {
                Choice::BothPrefer(a.name())
            }
            Some(a) => Choice::ClientPrefers(a.name()),
        };
        (chosen, choice)
    }

    fn report(
        &mut self,
        slot: Slot,
        ours: impl IntoIterator<Item = &'static str>,
        theirs: NameList<'_>,
        choice: Choice,
    ) {
        let mut names = String::new();
        for name in ours {
            if !names.is_empty() {
                names.push(',');
            }
            names.push_str(name);
        }
        // As long as the peer likes, up to the size of a packet.
        let mut copy = String::new();
        match copy.try_reserve_exact(theirs.as_str().len()) {
            Ok(()) => copy.push_str(theirs.as_str()),
            Err(error) => self.memory = Err(error.into()),
        }
        self.slots.push(SlotReport {
            slot,
            ours: names.into(),
            theirs: copy.into(),
            choice,
        });
    }
}

#[cfg(test)]
mod tests;
