//! Which host keys are trusted (RFC 4251 section 4.1).
//!
//! ```text
//!   revoked -> refused   pinned -> by the pins alone   known -> accepted   changed -> refused
//!   unknown -> asked or refused
//! ```
//!
//! Nothing is ever trusted because it is seen for the first time, and a host that is known with
//! another key is never asked about: whoever wants that key removes the old line first.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use ssh_keys::known_hosts::{Expected, KnownHosts, Verdict};
use ssh_proto::{
    algorithm::{KeyType, SignatureAlgorithm},
    key::{Fingerprint, PublicKey},
};

/// Which host keys are trusted.
///
/// ```
/// use ssh_client::{Judgement, Trust};
/// use ssh_proto::key::PublicKey;
///
/// let key = PublicKey::new_ed25519(&[7; 32]);
/// let trust = Trust::pinned([key.fingerprint()]);
/// assert!(matches!(trust.judge(&key), Judgement::Accept));
/// let other = PublicKey::new_ed25519(&[8; 32]);
/// assert!(matches!(trust.judge(&other), Judgement::Refuse(_)));
/// ```
#[derive(Clone, Debug)]
pub struct Trust {
    host: Option<Host>,
    pins: Vec<Fingerprint>,
    unknown: Unknown,
    order: HostKeyOrder,
}

#[derive(Clone, Debug)]
struct Host {
    known: KnownHosts,
    name: Box<str>,
    port: u16,
}

/// What happens to a key about which nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    Ask,
    Refuse,
    AcceptAny,
}

/// In which order a client names the host key algorithms.
///
/// A server with several keys shows the one that the client names first. A client that asks first
/// for what it knows is not shown a key that it cannot check. But who listens can tell from
/// an order that is not the usual one that the client knows the host (CVE-2020-14145), and so
/// whether an attack would go unnoticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostKeyOrder {
    /// The types of keys that are known come first, unless the configured order begins with one of
    /// them already: then nothing moves, and nothing can be told.
    #[default]
    KnownFirst,
    /// As configured. A host that is known with a key of a type further down is then reported as
    /// changed, if it has a key of a type further up.
    AsConfigured,
}

/// What becomes of a host key.
#[derive(Clone, Debug)]
#[must_use]
pub enum Judgement {
    /// It is the right one.
    Accept,
    /// Nothing is known about it: somebody has to decide.
    Ask,
    /// It is not trusted, and there is nothing to ask.
    Refuse(HostKeyRefused),
}

impl Trust {
    /// Trusts what stands in `known`, and asks about hosts that do not. `host` is the name or
    /// address that the user asked for, without brackets.
    pub fn known_hosts(known: KnownHosts, host: &str, port: u16) -> Self {
        let host = Host {
            known,
            name: host.into(),
            port,
        };
        Self {
            host: Some(host),
            ..Self::with(Unknown::Ask)
        }
    }

    /// Trusts keys with these fingerprints and no others; with none, no key.
    pub fn pinned(fingerprints: impl IntoIterator<Item = Fingerprint>) -> Self {
        Self {
            pins: fingerprints.into_iter().collect(),
            ..Self::with(Unknown::Refuse)
        }
    }

    /// Asks about every key.
    pub const fn ask() -> Self {
        Self::with(Unknown::Ask)
    }

    /// Trusts every key without looking at it: whoever is in between reads and changes
    /// everything, passwords included. For tests.
    pub const fn dangerous_accept_any() -> Self {
        Self::with(Unknown::AcceptAny)
    }

    /// Trusts this key as well, and from now on no keys but pinned ones. What is revoked stays
    /// revoked.
    #[must_use]
    pub fn pin(mut self, fingerprint: Fingerprint) -> Self {
        self.pins.push(fingerprint);
        self
    }

    /// Refuses keys about which nothing is known instead of asking.
    #[must_use]
    pub const fn refuse_unknown(mut self) -> Self {
        self.unknown = Unknown::Refuse;
        self
    }

    /// Sets in which order host key algorithms are named.
    #[must_use]
    pub const fn order(mut self, order: HostKeyOrder) -> Self {
        self.order = order;
        self
    }

    /// What becomes of `key`.
    pub fn judge(&self, key: &PublicKey) -> Judgement {
        let verdict = self.host.as_ref().map_or(Verdict::Unknown, |host| {
            host.known.lookup(&host.name, host.port, key)
        });
        let refuse = |reason| Judgement::Refuse(self.refusal(key, reason));
        match verdict {
            Verdict::Revoked { line } => refuse(Reason::Revoked { line }),
            _ if self.pins.contains(&key.fingerprint()) => Judgement::Accept,
            _ if !self.pins.is_empty() => refuse(Reason::NotPinned),
            Verdict::Known { .. } => Judgement::Accept,
            Verdict::Changed { expected } => refuse(Reason::Changed { expected }),
            Verdict::Unknown => match self.unknown {
                Unknown::Ask => Judgement::Ask,
                Unknown::Refuse => refuse(Reason::Unknown),
                Unknown::AcceptAny => Judgement::Accept,
            },
        }
    }

    /// Brings the host key algorithms of a configuration into the [order](HostKeyOrder) that was
    /// set.
    pub fn order_algorithms(&self, algorithms: &mut [SignatureAlgorithm]) {
        let (HostKeyOrder::KnownFirst, Some(host)) = (self.order, &self.host) else {
            return;
        };
        let known = host.known.key_types(&host.name, host.port);
        let is_known = |algorithm: &SignatureAlgorithm| known.contains(&algorithm.key_type());
        if !algorithms.first().is_some_and(is_known) {
            // The sort is stable: within each half the order stays.
            algorithms.sort_by_key(|algorithm| !is_known(algorithm));
        }
    }

    const fn with(unknown: Unknown) -> Self {
        Self {
            host: None,
            pins: Vec::new(),
            unknown,
            order: HostKeyOrder::KnownFirst,
        }
    }

    /// The refusal of a key about which nothing is known.
    pub(crate) fn unknown(&self, key: &PublicKey) -> HostKeyRefused {
        self.refusal(key, Reason::Unknown)
    }

    fn refusal(&self, key: &PublicKey, reason: Reason) -> HostKeyRefused {
        let host = self.host.as_ref();
        let key_type = key.key_type();
        let fingerprint = key.fingerprint();
        let host = host.map(|host| (String::from(&*host.name), host.port));
        match reason {
            Reason::Changed { expected } => HostKeyRefused::Changed {
                host,
                key_type,
                fingerprint,
                expected,
            },
            Reason::Revoked { line } => HostKeyRefused::Revoked {
                host,
                key_type,
                fingerprint,
                line,
            },
            Reason::NotPinned => HostKeyRefused::NotPinned {
                key_type,
                fingerprint,
                pins: self.pins.clone(),
            },
            Reason::Unknown => HostKeyRefused::Unknown {
                host,
                key_type,
                fingerprint,
            },
        }
    }
}

enum Reason {
    Changed { expected: Vec<Expected> },
    Revoked { line: usize },
    NotPinned,
    Unknown,
}

/// Why a host key was refused; its `Display` is meant for the person who has to find out.
///
/// `host` is the name and the port that were looked up, where something was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeyRefused {
    /// The host is known, but with other keys: it was set up anew, or this is not the host.
    Changed {
        /// What was looked up.
        host: Option<(String, u16)>,
        /// The type of the key that was shown.
        key_type: KeyType,
        /// The fingerprint of the key that was shown.
        fingerprint: Fingerprint,
        /// What it should have been.
        expected: Vec<Expected>,
    },
    /// The key is marked as one that must not be used any more.
    Revoked {
        /// What was looked up.
        host: Option<(String, u16)>,
        /// The type of the key that was shown.
        key_type: KeyType,
        /// The fingerprint of the key that was shown.
        fingerprint: Fingerprint,
        /// The line of `known_hosts` that says so.
        line: usize,
    },
    /// The key is not one of those that were pinned.
    NotPinned {
        /// The type of the key that was shown.
        key_type: KeyType,
        /// The fingerprint of the key that was shown.
        fingerprint: Fingerprint,
        /// The fingerprints that are trusted.
        pins: Vec<Fingerprint>,
    },
    /// Nothing is known about the host, and nobody is to be asked, or whoever was asked said no.
    Unknown {
        /// What was looked up.
        host: Option<(String, u16)>,
        /// The type of the key that was shown.
        key_type: KeyType,
        /// The fingerprint of the key that was shown.
        fingerprint: Fingerprint,
    },
}

impl fmt::Display for HostKeyRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed {
                host,
                key_type,
                fingerprint,
                expected,
            } => {
                write!(
                    f,
                    "the host key of {} has changed: it is now {key_type} {fingerprint}, but",
                    Name(host)
                )?;
                for (
                    n,
                    Expected {
                        line,
                        key_type,
                        fingerprint,
                        ..
                    },
                ) in expected.iter().enumerate()
                {
                    let and = if n == 0 { "" } else { "," };
                    write!(
                        f,
                        "{and} line {line} of known_hosts says {key_type} {fingerprint}"
                    )?;
                }
                f.write_str("; either the host was set up anew, or somebody is in between")
            }
            Self::Revoked {
                host,
                key_type,
                fingerprint,
                line,
            } => write!(
                f,
                "the host key of {}, {key_type} {fingerprint}, is revoked by line {line} of \
                 known_hosts",
                Name(host)
            ),
            Self::NotPinned {
                key_type,
                fingerprint,
                pins,
            } => {
                write!(
                    f,
                    "the host key {key_type} {fingerprint} is not pinned; trusted:"
                )?;
                for (n, pin) in pins.iter().enumerate() {
                    write!(f, "{} {pin}", if n == 0 { "" } else { "," })?;
                }
                Ok(())
            }
            Self::Unknown {
                host,
                key_type,
                fingerprint,
            } => write!(
                f,
                "the host key of {}, {key_type} {fingerprint}, is not known",
                Name(host)
            ),
        }
    }
}

impl core::error::Error for HostKeyRefused {}

struct Name<'a>(&'a Option<(String, u16)>);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((host, 22)) => f.write_str(host),
            Some((host, port)) => write!(f, "[{host}]:{port}"),
            None => f.write_str("the host"),
        }
    }
}
