//! `known_hosts`: which host has which key, in the format of OpenSSH's sshd(8).
//!
//! ```text
//!   [@marker] names type base64 [comment]
//!     @marker   @revoked or @cert-authority
//!     names     a comma list of patterns with * ? and !, or one hashed name |1|salt|hash
//! ```
//!
//! A line that cannot be read, or whose marker is not known, matches nothing and is reported. A
//! revoked key is revoked whatever other lines say. A host that has any key here is not unknown,
//! of whatever type its key is: otherwise an attacker would only have to show a key of another
//! type to be taken for a new acquaintance. Keys behind `@cert-authority` are no host keys.

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::fmt;

use base64ct::{Base64, Encoding as _};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use ssh_proto::{
    algorithm::KeyType,
    key::{Fingerprint, PublicKey},
};
use subtle::ConstantTimeEq;

use crate::{
    armor::lines,
    error::Malformed,
    pattern::{self, ListMatch, MAX_PATTERN_LEN, host_and_port},
    public::{base64, decode_blob, trim, word},
};

/// The longest line that is read, in bytes. Longer ones are skipped as a whole.
pub const MAX_LINE_LEN: usize = 64 * 1024;
/// The longest name of a host that a line is made for, in bytes.
const MAX_HOST_LEN: usize = 255;
/// Bytes of the salt of a hashed name, and of the hash.
const HASH_LEN: usize = 20;

/// The contents of a `known_hosts` file.
///
/// ```
/// use ssh_keys::known_hosts::{HostField, KnownHosts, Verdict, entry_line};
/// use ssh_proto::key::PublicKey;
///
/// let key = PublicKey::new_ed25519(&[7; 32]);
/// let line = entry_line("host.example.org", 2222, &key, HostField::Plain)?;
/// let known = KnownHosts::parse(line.as_bytes());
/// assert_eq!(known.lookup("host.example.org", 2222, &key), Verdict::Known { line: 1 });
/// assert_eq!(known.lookup("host.example.org", 22, &key), Verdict::Unknown);
/// # Ok::<(), ssh_keys::known_hosts::HostNameError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct KnownHosts {
    entries: Vec<Entry>,
    warnings: Vec<Warning>,
}

impl KnownHosts {
    /// Reads a file. What cannot be read is skipped and [reported](Self::warnings).
    pub fn parse(file: &[u8]) -> Self {
        let mut known = Self::default();
        for (line, text) in (1..).zip(lines(file)) {
            match Entry::parse(line, text) {
                Ok(Some(entry)) => known.entries.push(entry),
                Ok(None) => {}
                Err(problem) => known.warnings.push(Warning { line, problem }),
            }
        }
        known
    }

    /// What is known about a host that shows `key`. `host` is the name or address that the user
    /// asked for, without brackets; on another port than 22 only entries for that port count.
    pub fn lookup(&self, host: &str, port: u16, key: &PublicKey) -> Verdict {
        let name = host_and_port(host, port);
        let mut known = None;
        let mut expected = Vec::new();
        for entry in self.entries_of(&name) {
            let same = *entry.blob == *key.blob();
            match entry.marker {
                Marker::Revoked if same => return Verdict::Revoked { line: entry.line },
                Marker::None if same => known = known.or(Some(entry.line)),
                Marker::None => expected.push(entry.expected()),
                Marker::Revoked | Marker::CertAuthority => {}
            }
        }
        match known {
            Some(line) => Verdict::Known { line },
            None if expected.is_empty() => Verdict::Unknown,
            None => Verdict::Changed { expected },
        }
    }

    /// The types of the keys that are known for a host, in the order of the file, without those
    /// that are not supported. A client asks for these first, so that a host with several keys
    /// shows the one that is known.
    pub fn key_types(&self, host: &str, port: u16) -> Vec<KeyType> {
        let name = host_and_port(host, port);
        let mut types = Vec::new();
        for entry in self.entries_of(&name) {
            let key_type = KeyType::from_name(&entry.key_type);
            if let (Marker::None, Some(key_type)) = (entry.marker, key_type)
                && !types.contains(&key_type)
            {
                types.push(key_type);
            }
        }
        types
    }

    /// The lines that were skipped.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    fn entries_of(&self, name: &str) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(move |entry| entry.names.contain(name))
    }
}

/// What is known about the key of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// This is its key.
    Known {
        /// The first line that says so.
        line: usize,
    },
    /// Nothing is known about the host.
    Unknown,
    /// The host is known with other keys only: it was set up anew, or this is not the host.
    Changed {
        /// The keys that it is known with.
        expected: Vec<Expected>,
    },
    /// The key must not be used, whatever else is known.
    Revoked {
        /// The first line that says so.
        line: usize,
    },
}

/// A key that a host is known with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expected {
    /// Where it stands.
    pub line: usize,
    /// Its type, which need not be one that is supported.
    pub key_type: String,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
}

/// A line that was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// Which one, counted from 1.
    pub line: usize,
    /// Why.
    pub problem: LineProblem,
}

/// Why a line was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineProblem {
    /// It is longer than [`MAX_LINE_LEN`].
    TooLong,
    /// It begins with a marker that is not known.
    UnknownMarker,
    /// The names are empty, too long, or a hashed name is malformed.
    Names,
    /// The key is malformed.
    Key(Malformed),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match self.problem {
            LineProblem::TooLong => f.write_str("the line is too long"),
            LineProblem::UnknownMarker => f.write_str("the marker is not known"),
            LineProblem::Names => f.write_str("the host names are not valid"),
            LineProblem::Key(error) => error.fmt(f),
        }
    }
}

/// How the name of a host stands in a new line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostField {
    /// Readable.
    Plain,
    /// Hashed, so that who reads the file does not learn where its owner goes. The salt is 20
    /// random bytes, new for each line.
    Hashed {
        /// The salt.
        salt: [u8; 20],
    },
}

/// The line, with its end, that makes `key` known as the key of a host.
pub fn entry_line(
    host: &str,
    port: u16,
    key: &PublicKey,
    field: HostField,
) -> Result<String, HostNameError> {
    // What has a meaning in a line must not come in by way of a name.
    let usable = |b: u8| b.is_ascii_graphic() && !b"*?!,|#@[]\"\\".contains(&b);
    if !(1..=MAX_HOST_LEN).contains(&host.len()) || !host.bytes().all(usable) {
        return Err(HostNameError);
    }
    let name = host_and_port(host, port);
    let name = match field {
        HostField::Plain => name,
        HostField::Hashed { salt } => format!(
            "|1|{}|{}",
            Base64::encode_string(&salt),
            Base64::encode_string(&hash(&salt, &name))
        ),
    };
    Ok(format!("{name} {} {}\n", key.key_type(), base64(key)))
}

/// The name of a host cannot stand in a line: it is empty, too long, or has characters that no
/// name or address has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostNameError;

impl fmt::Display for HostNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a host name or address")
    }
}

impl core::error::Error for HostNameError {}

#[derive(Clone, Debug)]
struct Entry {
    line: usize,
    marker: Marker,
    names: Names,
    key_type: Box<str>,
    /// Of any type: a key that cannot be used here is still the key of its host.
    blob: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    None,
    Revoked,
    CertAuthority,
}

impl Entry {
    /// `None` for an empty line or a comment.
    fn parse(line: usize, text: &[u8]) -> Result<Option<Self>, LineProblem> {
        if text.len() > MAX_LINE_LEN {
            return Err(LineProblem::TooLong);
        }
        let mut rest = trim(text);
        let marker = match rest {
            [] | [b'#', ..] => return Ok(None),
            [b'@', ..] => {
                let (marker, after) = word(rest);
                rest = after;
                match marker {
                    b"@revoked" => Marker::Revoked,
                    b"@cert-authority" => Marker::CertAuthority,
                    _ => return Err(LineProblem::UnknownMarker),
                }
            }
            _ => Marker::None,
        };
        let (names, rest) = word(rest);
        let (key_type, rest) = word(rest);
        let (base64, _comment) = word(rest);
        let names = Names::parse(names)?;
        let blob = decode_blob(key_type, base64).map_err(LineProblem::Key)?;
        let key_type =
            str::from_utf8(key_type).map_err(|_| LineProblem::Key(Malformed::TypeDiffers))?;
        Ok(Some(Self {
            line,
            marker,
            names,
            key_type: key_type.into(),
            blob: blob.into(),
        }))
    }

    fn expected(&self) -> Expected {
        Expected {
            line: self.line,
            key_type: self.key_type.clone().into(),
            fingerprint: Fingerprint::from_bytes(Sha256::digest(&self.blob).into()),
        }
    }
}

/// The names that an entry is for.
#[derive(Clone, Debug)]
enum Names {
    Patterns(Box<[u8]>),
    Hashed {
        salt: [u8; HASH_LEN],
        hash: [u8; HASH_LEN],
    },
}

impl Names {
    fn parse(field: &[u8]) -> Result<Self, LineProblem> {
        if let Some(hashed) = field.strip_prefix(b"|1|") {
            let (salt, hash) = str::from_utf8(hashed)
                .ok()
                .and_then(|text| text.split_once('|'))
                .ok_or(LineProblem::Names)?;
            return Ok(Self::Hashed {
                salt: hash_bytes(salt).ok_or(LineProblem::Names)?,
                hash: hash_bytes(hash).ok_or(LineProblem::Names)?,
            });
        }
        let valid = |pattern: &[u8]| {
            let pattern = pattern.strip_prefix(b"!").unwrap_or(pattern);
            (1..=MAX_PATTERN_LEN).contains(&pattern.len())
        };
        // A hash of another kind is no name.
        if field.starts_with(b"|") || !field.split(|&b| b == b',').all(valid) {
            return Err(LineProblem::Names);
        }
        Ok(Self::Patterns(field.into()))
    }

    fn contain(&self, name: &str) -> bool {
        match self {
            Self::Patterns(patterns) => pattern::list(patterns, name.as_bytes()) == ListMatch::Yes,
            // In constant time: the file is hashed so that the names in it stay secret.
            Self::Hashed { salt, hash } => self::hash(salt, name).as_slice().ct_eq(hash).into(),
        }
    }
}

fn hash_bytes(base64: &str) -> Option<[u8; HASH_LEN]> {
    let mut out = [0; HASH_LEN];
    let bytes = Base64::decode(base64, &mut out).ok()?;
    (bytes.len() == HASH_LEN).then_some(out)
}

/// HMAC-SHA1 of a name in lower case under the salt.
fn hash(salt: &[u8; HASH_LEN], name: &str) -> [u8; HASH_LEN] {
    // Any length of key is valid for HMAC.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(salt) else {
        return [0; HASH_LEN];
    };
    mac.update(name.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
