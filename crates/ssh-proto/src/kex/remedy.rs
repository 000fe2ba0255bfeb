//! What would help where two peers have nothing in common: [`Remedy`].

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::negotiate::{NegotiationReport, Slot};
use crate::algorithm::{
    Algorithm, AlgorithmList, CipherAlgorithm, CompressionAlgorithm, KexAlgorithm, MacAlgorithm,
    SignatureAlgorithm, Standing,
};
use crate::message::KexMessages;
use crate::transport::Role;

/// The smallest change on our side by which a list would have something in common with the peer's.
///
/// It displays as what somebody can do who writes a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// To offer this too. See [`setting`](Self::setting).
    Offer {
        /// The list to change.
        list: AlgorithmList,
        /// Of what the peer has the best.
        name: &'static str,
        /// What is thought of it here.
        standing: Standing,
    },
    /// To have a key for it, if there is none, and to offer it: a server offers what its keys can do.
    /// That is a host key, or the [`transient_rsa`](crate::ServerConfig::transient_rsa) of RFC 4432.
    Key {
        /// The list to change.
        list: AlgorithmList,
        /// Of what the peer has the best.
        name: &'static str,
        /// What is thought of it here.
        standing: Standing,
    },
    /// To build with this cargo feature, and then to offer this.
    Feature {
        /// The list to change.
        list: AlgorithmList,
        /// Of what the peer has the first that is behind a feature.
        name: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// The peer has nothing that there is here.
    Nothing {
        /// The list.
        list: AlgorithmList,
    },
}

impl NegotiationReport {
    /// What would help in the slots that failed, in their order; where it is the same in both
    /// directions, once for both. Nothing is said of a MAC where the cipher that would help needs
    /// none.
    pub fn remedy(&self) -> Vec<Remedy> {
        let mut all: Vec<Remedy> = Vec::new();
        let failures = self.failures();
        for failed in failures.filter(|failed| !self.needs_no_mac(failed.slot)) {
            let useless = self.useless(failed.slot);
            let remedy = failed.slot.remedy(self.role, &failed.theirs, &useless);
            match all.last().and_then(|last| last.together(remedy)) {
                Some(both) => {
                    all.pop();
                    all.push(both);
                }
                None => all.push(remedy),
            }
        }
        all
    }

    /// Whether this is the slot of a MAC whose cipher failed as well, and is to become an AEAD.
    fn needs_no_mac(&self, slot: Slot) -> bool {
        let cipher = match slot {
            Slot::MacClientToServer => Slot::CipherClientToServer,
            Slot::MacServerToClient => Slot::CipherServerToClient,
            _ => return false,
        };
        self.failures()
            .find(|failed| failed.slot == cipher)
            .and_then(|failed| strongest::<CipherAlgorithm>(&failed.theirs, &self.useless(cipher)))
            .is_some_and(CipherAlgorithm::is_aead)
    }

    /// Ciphers that do not help in this slot, though the peer may have them there: those that have to
    /// be among its MACs too and are not.
    fn useless(&self, slot: Slot) -> Vec<&'static str> {
        let macs = match slot {
            Slot::CipherClientToServer => Slot::MacClientToServer,
            Slot::CipherServerToClient => Slot::MacServerToClient,
            _ => return Vec::new(),
        };
        let macs = self.slots.iter().find(|report| report.slot == macs);
        let is_there = |name: &str| {
            macs.is_some_and(|macs| macs.theirs.split(',').any(|theirs| theirs == name))
        };
        let ciphers = CipherAlgorithm::ALL.iter();
        ciphers
            .filter(|cipher| cipher.is_mac_too() && !is_there(cipher.name()))
            .map(|cipher| cipher.name())
            .collect()
    }
}

/// Of the peer's names the one that is thought best of here, those that are `useless` left out.
fn strongest<A: Algorithm>(theirs: &str, useless: &[&str]) -> Option<A> {
    let known = theirs.split(',').filter_map(A::from_name);
    known
        .filter(|one| !useless.contains(&one.name()))
        .min_by_key(|one| (one.standing(), *one))
}

impl Slot {
    /// The list to set, to change what is offered in this slot.
    pub const fn list(self) -> AlgorithmList {
        match self {
            Self::Kex => AlgorithmList::Kex,
            Self::HostKey => AlgorithmList::HostKey,
            Self::CipherClientToServer => AlgorithmList::CiphersClientToServer,
            Self::CipherServerToClient => AlgorithmList::CiphersServerToClient,
            Self::MacClientToServer => AlgorithmList::MacsClientToServer,
            Self::MacServerToClient => AlgorithmList::MacsServerToClient,
            Self::CompressionClientToServer => AlgorithmList::CompressionClientToServer,
            Self::CompressionServerToClient => AlgorithmList::CompressionServerToClient,
        }
    }

    /// What would help where the peer's names are these.
    fn remedy(self, role: Role, theirs: &str, useless: &[&str]) -> Remedy {
        match self {
            Self::Kex => self.among::<KexAlgorithm>(role, theirs, useless),
            Self::HostKey => self.among::<SignatureAlgorithm>(role, theirs, useless),
            Self::CipherClientToServer | Self::CipherServerToClient => {
                self.among::<CipherAlgorithm>(role, theirs, useless)
            }
            Self::MacClientToServer | Self::MacServerToClient => {
                self.among::<MacAlgorithm>(role, theirs, useless)
            }
            Self::CompressionClientToServer | Self::CompressionServerToClient => {
                self.among::<CompressionAlgorithm>(role, theirs, useless)
            }
        }
    }

    /// Whether a server offers what has this name only with a key for it.
    fn needs_a_key(self, name: &str) -> bool {
        let rsa = |kex: KexAlgorithm| kex.messages() == KexMessages::Rsa;
        match self {
            Self::HostKey => true,
            Self::Kex => KexAlgorithm::from_name(name).is_some_and(rsa),
            _ => false,
        }
    }

    fn among<A: Algorithm>(self, role: Role, theirs: &str, useless: &[&str]) -> Remedy {
        let list = self.list();
        if let Some(best) = strongest::<A>(theirs, useless) {
            let (name, standing) = (best.name(), best.standing());
            return if role == Role::Server && self.needs_a_key(name) {
                Remedy::Key {
                    list,
                    name,
                    standing,
                }
            } else {
                Remedy::Offer {
                    list,
                    name,
                    standing,
                }
            };
        }
        let behind_a_feature = theirs.split(',').find_map(|name| {
            let mut rows = A::BEHIND_FEATURES.iter();
            rows.find(|(behind, _)| *behind == name)
        });
        match behind_a_feature {
            Some(&(name, feature)) => Remedy::Feature {
                list,
                name,
                feature,
            },
            None => Remedy::Nothing { list },
        }
    }
}

impl Remedy {
    /// The list to set, and what to: for
    /// [`Algorithms::set`](crate::algorithm::Algorithms::set), with the feature that it may need.
    /// `None` where nothing helps.
    ///
    /// ```
    /// use ssh_proto::algorithm::Algorithms;
    /// use ssh_proto::kex::NegotiationReport;
    ///
    /// fn bend(algorithms: &mut Algorithms, report: &NegotiationReport) {
    ///     for (list, text) in report.remedy().iter().filter_map(|remedy| remedy.setting()) {
    ///         println!("set {list} to {text}");
    ///         // Only where a weak algorithm is better than no connection.
    ///         let _ = algorithms.set(list, &text);
    ///     }
    /// }
    /// ```
    pub fn setting(&self) -> Option<(AlgorithmList, String)> {
        let (list, name) = match *self {
            Self::Offer { list, name, .. }
            | Self::Key { list, name, .. }
            | Self::Feature { list, name, .. } => (list, name),
            Self::Nothing { .. } => return None,
        };
        Some((list, format!("+{name}")))
    }

    /// The same for both directions, if this is for the one and `next` for the other.
    fn together(self, next: Self) -> Option<Self> {
        use AlgorithmList as L;
        let both = |one: L, other: L| {
            Some(match (one, other) {
                (L::CiphersClientToServer, L::CiphersServerToClient) => L::Ciphers,
                (L::MacsClientToServer, L::MacsServerToClient) => L::Macs,
                (L::CompressionClientToServer, L::CompressionServerToClient) => L::Compression,
                _ => return None,
            })
        };
        let (mine, theirs) = (self.list(), next.list());
        let list = both(mine, theirs)?;
        (self.with_list(list) == next.with_list(list)).then(|| self.with_list(list))
    }

    const fn list(self) -> AlgorithmList {
        match self {
            Self::Offer { list, .. }
            | Self::Key { list, .. }
            | Self::Feature { list, .. }
            | Self::Nothing { list } => list,
        }
    }

    const fn with_list(mut self, other: AlgorithmList) -> Self {
        match &mut self {
            Self::Offer { list, .. }
            | Self::Key { list, .. }
            | Self::Feature { list, .. }
            | Self::Nothing { list } => *list = other,
        }
        self
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weak = |standing: Standing| {
            if standing.is_deprecated() {
                ", which is weak"
            } else {
                ""
            }
        };
        match *self {
            Self::Offer {
                list,
                name,
                standing,
            } => write!(f, "set {list} to \"+{name}\"{}", weak(standing)),
            Self::Key {
                list,
                name,
                standing,
            } => {
                let key = match list {
                    AlgorithmList::HostKey => "host key",
                    _ => "transient RSA key",
                };
                let weak = weak(standing);
                write!(f, "have a {key} for {name}{weak}, and that name in {list}")
            }
            Self::Feature {
                list,
                name,
                feature,
            } => write!(
                f,
                "build with the cargo feature \"{feature}\" and set {list} to \"+{name}\""
            ),
            Self::Nothing { list } => {
                write!(f, "for {list} the peer has nothing that there is here")
            }
        }
    }
}

#[cfg(test)]
mod tests;
