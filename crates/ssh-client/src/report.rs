//! How a login ended without success: what was tried, and what the server would have taken.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use ssh_proto::{algorithm::KeyType, error::Misuse, key::Fingerprint};

use crate::trust::HostKeyRefused;

/// Why a login failed. The connection has been ended; its last event still comes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginError {
    /// The host is not trusted. No credential was shown.
    HostKey(Box<HostKeyRefused>),
    /// All credentials are used up, or the server takes none of those that are left.
    Authentication(Box<AuthenticationReport>),
    /// The login was fed events or tokens of another connection, a password has more than 8 KiB,
    /// or the connection had ended.
    Misuse(Misuse),
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostKey(reason) => reason.fmt(f),
            Self::Authentication(report) => report.fmt(f),
            Self::Misuse(misuse) => misuse.fmt(f),
        }
    }
}

impl core::error::Error for LoginError {}

impl From<Misuse> for LoginError {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}

/// What was tried to log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthenticationReport {
    /// Every attempt, in order.
    pub tried: Vec<Attempt>,
    /// What was not tried: the login ended before, or the server does not list its method.
    pub untried: Vec<Tried>,
    /// The methods that the server would go on with, as it last said; `None` if it never did.
    /// Names have 1 to 64 printable characters; at most 16 are kept.
    pub server_methods: Option<Vec<String>>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// With what.
    pub tried: Tried,
    /// What came of it.
    pub outcome: Outcome,
}

/// What an attempt was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tried {
    /// Nothing, to learn the methods.
    None,
    /// A key.
    Key {
        /// Its type.
        key_type: KeyType,
        /// Its fingerprint.
        fingerprint: Fingerprint,
    },
    /// A password.
    Password,
    /// A password that had expired, with a new one.
    NewPassword,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The server has not answered.
    Unanswered,
    /// The server refused it.
    Refused,
    /// The server accepted it, and wanted more.
    Accepted,
    /// The password is right but has expired.
    Expired,
    /// The key could not sign, or the server takes no algorithm that it has.
    Unusable,
    /// There was nobody who wanted to give it.
    Declined,
}

impl fmt::Display for AuthenticationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not logged in: ")?;
        if self.tried.is_empty() {
            f.write_str("nothing was tried")?;
        }
        for (n, Attempt { tried, outcome }) in self.tried.iter().enumerate() {
            write!(f, "{}{tried} {outcome}", if n == 0 { "" } else { ", " })?;
        }
        for (n, tried) in self.untried.iter().enumerate() {
            write!(f, "{}{tried}", if n == 0 { "; not tried: " } else { ", " })?;
        }
        match self.server_methods.as_deref() {
            None => Ok(()),
            Some([]) => f.write_str("; the server names no method to go on with"),
            Some(methods) => write!(f, "; the server goes on with {}", methods.join(", ")),
        }
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no credential"),
            Self::Key {
                key_type,
                fingerprint,
            } => write!(f, "key {key_type} {fingerprint}"),
            Self::Password => f.write_str("password"),
            Self::NewPassword => f.write_str("change of password"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unanswered => "(no answer)",
            Self::Refused => "refused",
            Self::Accepted => "accepted",
            Self::Expired => "expired",
            Self::Unusable => "not usable with this server",
            Self::Declined => "not given",
        })
    }
}
