//! `authorized_keys`: which keys may log in, and with which restrictions, in the format of
//! OpenSSH's sshd(8).
//!
//! ```text
//!   [options] type base64 [comment]
//! ```
//!
//! An option restricts more often than it allows, so nothing is skipped within a line: a line
//! with an option that is not known, or known and malformed, gives no access at all and is
//! reported. A line that is too long is refused as a whole, and what follows its limit is never
//! taken for a line of its own. A key behind `cert-authority` signs certificates and cannot log in
//! itself.

mod options;

use alloc::{string::String, vec::Vec};
use core::{fmt, net::IpAddr};

use ssh_proto::key::{KeyError, PublicKey};

pub use options::{Expiry, HostPort, KeyOption, OptionError, Right, Zone};

use crate::{
    armor::lines,
    error::Malformed,
    pattern,
    public::{decode_blob, is_blank, trim, word},
};

/// The longest line that is read, in bytes. Longer ones are refused as a whole.
pub const MAX_LINE_LEN: usize = 64 * 1024;

/// The contents of an `authorized_keys` file.
///
/// ```
/// use ssh_keys::authorized_keys::{AuthorizedKeys, Right};
///
/// let file = b"restrict,pty,command=\"top\" ssh-ed25519 \
///     AAAAC3NzaC1lZDI1NTE5AAAAIDOEk16YruewM0hnsBDW/JP1rjfV+UR2ez4u2RUysDen me\n";
/// let keys = AuthorizedKeys::parse(file);
/// let entry = &keys.entries()[0];
/// assert_eq!(keys.find(&entry.key), Some(entry));
/// assert_eq!(entry.command(), Some("top"));
/// assert!(entry.permits(Right::Pty) && !entry.permits(Right::PortForwarding));
/// ```
#[derive(Clone, Debug, Default)]
pub struct AuthorizedKeys {
    entries: Vec<Entry>,
    warnings: Vec<Warning>,
}

impl AuthorizedKeys {
    /// Reads a file. Lines that cannot be read give no access and are [reported](Self::warnings).
    pub fn parse(file: &[u8]) -> Self {
        let mut keys = Self::default();
        for (line, text) in (1..).zip(lines(file)) {
            match Entry::parse(line, text) {
                Ok(Some(entry)) => keys.entries.push(entry),
                Ok(None) => {}
                Err(problem) => keys.warnings.push(Warning { line, problem }),
            }
        }
        keys
    }

    /// The first line that lets `key` log in, provided that its options do. See
    /// [`matching`](Self::matching) for a key that stands on several lines.
    pub fn find(&self, key: &PublicKey) -> Option<&Entry> {
        self.matching(key).next()
    }

    /// All lines with `key`, in order. The one that counts is the first whose
    /// [`from`](Entry::allows_from) and [expiry](Entry::expiry) allow the login.
    pub fn matching(&self, key: &PublicKey) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(move |entry| entry.key == *key && !entry.is_cert_authority())
    }

    /// All lines that could be read, certificate authorities included.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The lines that could not be read.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

/// One line: a key and under which conditions it is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Where it stands, counted from 1.
    pub line: usize,
    /// In the order of the line, which matters ([`permits`](Self::permits)).
    pub options: Vec<KeyOption>,
    /// The key.
    pub key: PublicKey,
    /// Whatever the owner wrote; bytes that are not UTF-8 were replaced.
    pub comment: String,
}

impl Entry {
    /// Whether the options leave a right. All are given unless taken away; the last option that
    /// speaks of it decides, so that `restrict,pty` gives nothing but a terminal.
    pub fn permits(&self, right: Right) -> bool {
        self.options
            .iter()
            .fold(true, |permitted, option| match option {
                KeyOption::Restrict => false,
                KeyOption::Permit(r) if *r == right => true,
                KeyOption::Forbid(r) if *r == right => false,
                _ => permitted,
            })
    }

    /// The command that runs instead of what the client asks for.
    pub fn command(&self) -> Option<&str> {
        self.options.iter().find_map(|option| match option {
            KeyOption::Command(command) => Some(command.as_str()),
            _ => None,
        })
    }

    /// Whether a client may come from `address`, whose name, if it is known for certain, is
    /// `host`.
    pub fn allows_from(&self, host: Option<&str>, address: IpAddr) -> bool {
        self.options.iter().all(|option| match option {
            KeyOption::From(list) => pattern::allows(list, host, address),
            _ => true,
        })
    }

    /// Until when the key is accepted.
    pub fn expiry(&self) -> Option<Expiry> {
        self.options.iter().find_map(|option| match option {
            KeyOption::ExpiryTime(expiry) => Some(*expiry),
            _ => None,
        })
    }

    /// Whether the key signs certificates, and so cannot log in itself.
    pub fn is_cert_authority(&self) -> bool {
        self.options.contains(&KeyOption::CertAuthority)
    }

    /// `None` for an empty line or a comment.
    fn parse(line: usize, text: &[u8]) -> Result<Option<Self>, LineProblem> {
        if text.len() > MAX_LINE_LEN {
            return Err(LineProblem::TooLong);
        }
        let text = trim(text);
        if matches!(text, [] | [b'#', ..]) {
            return Ok(None);
        }
        let (options, rest) = if names_key_type(text) {
            (Vec::new(), text)
        } else {
            let (options, rest) = options::parse(text).map_err(LineProblem::Option)?;
            // The options end at a blank, or the line ends with them.
            if rest.first().is_some_and(|b| !is_blank(b)) {
                return Err(LineProblem::Option(OptionError::Syntax));
            }
            (options, rest)
        };
        let (key_type, rest) = word(rest);
        let (base64, comment) = word(rest);
        let blob = decode_blob(key_type, base64).map_err(LineProblem::Key)?;
        let key = PublicKey::from_blob(&blob).map_err(|error| match error {
            KeyError::UnknownType => LineProblem::UnsupportedKeyType,
            error => LineProblem::Key(Malformed::PublicKey(error)),
        })?;
        Ok(Some(Self {
            line,
            options,
            key,
            comment: String::from_utf8_lossy(trim(comment)).into_owned(),
        }))
    }
}

/// Whether a line begins with the type of a key and not with options, none of which begin so.
fn names_key_type(line: &[u8]) -> bool {
    [&b"ssh-"[..], b"ecdsa-", b"sk-"]
        .iter()
        .any(|prefix| line.starts_with(prefix))
}

/// A line that gives no access because it could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// Which one, counted from 1.
    pub line: usize,
    /// Why.
    pub problem: LineProblem,
}

/// Why a line could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineProblem {
    /// It is longer than [`MAX_LINE_LEN`].
    TooLong,
    /// An option is not known or malformed.
    Option(OptionError),
    /// The key is malformed.
    Key(Malformed),
    /// The key is of a type that is not supported.
    UnsupportedKeyType,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match self.problem {
            LineProblem::TooLong => f.write_str("the line is too long"),
            LineProblem::Option(error) => error.fmt(f),
            LineProblem::Key(error) => error.fmt(f),
            LineProblem::UnsupportedKeyType => f.write_str("keys of this type are not supported"),
        }
    }
}

#[cfg(test)]
mod tests;
