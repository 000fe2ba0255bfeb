//! Lists of algorithms as people write them: names, with the prefixes and wildcards that OpenSSH
//! has in its configuration (`ssh_config(5)`).
//!
//! ```text
//!   list = [ "+" / "-" / "^" ] item *( "," item )
//!   item = name / pattern                            a pattern has "*" (any run) or "?" (one)
//! ```
//!
//! | prefix | the list becomes | a pattern stands for |
//! |---|---|---|
//! | none | the items, in their order | what may come in |
//! | `+` | what it was, then those items that it lacked | what may come in |
//! | `^` | the items, in their order, then the rest of what it was | what may come in |
//! | `-` | what it was without the items | all that matches |
//!
//! What may come in by a pattern is what the list holds already and what both roles offer by
//! default. So a wildcard never brings in what has to be named: what is known to be weak, what few
//! want, and what a server should not do for strangers. A name brings in whatever it names.
//!
//! Nothing is skipped in silence. A name that is not known, stands twice or is empty, a pattern that
//! stands for nothing, and a list of which nothing is left are errors. With two exceptions, so that
//! one file does for several builds: where something is only taken away, a pattern may match
//! nothing, and a name may be of a cargo feature that is off.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::{Algorithm, Algorithms, UnknownAlgorithm, cut, feature_of};
use crate::config::ConfigError;
use crate::escape::Escaped;
use crate::wire::MAX_NAME_LEN;

/// One of the lists of [`Algorithms`], or both directions of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlgorithmList {
    /// Key exchange methods: `kex`.
    Kex,
    /// What the host proves its key with: `host_key`.
    HostKey,
    /// Ciphers of both directions: `ciphers`.
    Ciphers,
    /// Ciphers for what the client sends: `ciphers_client_to_server`.
    CiphersClientToServer,
    /// Ciphers for what the server sends: `ciphers_server_to_client`.
    CiphersServerToClient,
    /// MACs of both directions: `macs`.
    Macs,
    /// MACs for what the client sends: `macs_client_to_server`.
    MacsClientToServer,
    /// MACs for what the server sends: `macs_server_to_client`.
    MacsServerToClient,
    /// Compression of both directions: `compression`.
    Compression,
    /// Compression of what the client sends: `compression_client_to_server`.
    CompressionClientToServer,
    /// Compression of what the server sends: `compression_server_to_client`.
    CompressionServerToClient,
}

impl AlgorithmList {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Kex,
        Self::HostKey,
        Self::Ciphers,
        Self::CiphersClientToServer,
        Self::CiphersServerToClient,
        Self::Macs,
        Self::MacsClientToServer,
        Self::MacsServerToClient,
        Self::Compression,
        Self::CompressionClientToServer,
        Self::CompressionServerToClient,
    ];

    /// Its name, which [`FromStr`] takes: that of the field, where it is one field.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kex => "kex",
            Self::HostKey => "host_key",
            Self::Ciphers => "ciphers",
            Self::CiphersClientToServer => "ciphers_client_to_server",
            Self::CiphersServerToClient => "ciphers_server_to_client",
            Self::Macs => "macs",
            Self::MacsClientToServer => "macs_client_to_server",
            Self::MacsServerToClient => "macs_server_to_client",
            Self::Compression => "compression",
            Self::CompressionClientToServer => "compression_client_to_server",
            Self::CompressionServerToClient => "compression_server_to_client",
        }
    }
}

impl fmt::Display for AlgorithmList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for AlgorithmList {
    type Err = ListError;

    fn from_str(name: &str) -> Result<Self, ListError> {
        let mut all = Self::ALL.iter().copied();
        all.find(|list| list.name() == name)
            .ok_or_else(|| ListError {
                list: "algorithms",
                problem: ListProblem::NoSuchList(cut(name)),
            })
    }
}

impl Algorithms {
    /// Changes a list, or both directions of one, as `text` says: OpenSSH's syntax, relative to what
    /// the list is now. See [`ListProblem`] for what may be wrong; then nothing is changed.
    ///
    /// ```
    /// use ssh_proto::Role;
    /// use ssh_proto::algorithm::{AlgorithmList, Preset};
    ///
    /// let mut algorithms = Preset::default().algorithms(Role::Client);
    /// // To the front, away, and nothing but.
    /// algorithms.set(AlgorithmList::Kex, "^curve25519-sha256*")?;
    /// algorithms.set(AlgorithmList::Ciphers, "-chacha20*")?;
    /// algorithms.set(AlgorithmList::MacsServerToClient, "hmac-sha2-512")?;
    /// // As a configuration file would say it.
    /// algorithms.set("macs_client_to_server".parse()?, "-*-etm@openssh.com")?;
    ///
    /// let error = algorithms.set(AlgorithmList::Ciphers, "+aes265-ctr").unwrap_err();
    /// assert!(error.to_string().starts_with("ciphers: \"aes265-ctr\" is no cipher"));
    /// # Ok::<(), ssh_proto::algorithm::ListError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ListError`] names the list and the part of `text` that is wrong.
    pub fn set(&mut self, list: AlgorithmList, text: &str) -> Result<(), ListError> {
        use AlgorithmList as L;
        let changed = match list {
            L::Kex => change(&mut self.kex, text),
            L::HostKey => change(&mut self.host_key, text),
            L::Ciphers => change_both(
                &mut self.ciphers_client_to_server,
                &mut self.ciphers_server_to_client,
                text,
            ),
            L::CiphersClientToServer => change(&mut self.ciphers_client_to_server, text),
            L::CiphersServerToClient => change(&mut self.ciphers_server_to_client, text),
            L::Macs => change_both(
                &mut self.macs_client_to_server,
                &mut self.macs_server_to_client,
                text,
            ),
            L::MacsClientToServer => change(&mut self.macs_client_to_server, text),
            L::MacsServerToClient => change(&mut self.macs_server_to_client, text),
            L::Compression => change_both(
                &mut self.compression_client_to_server,
                &mut self.compression_server_to_client,
                text,
            ),
            L::CompressionClientToServer => change(&mut self.compression_client_to_server, text),
            L::CompressionServerToClient => change(&mut self.compression_server_to_client, text),
        };
        changed.map_err(|error| ListError {
            list: list.name(),
            ..error
        })
    }
}

/// Changes any list of algorithms as [`Algorithms::set`] does, such as
/// [`user_signatures`](crate::ServerConfig::user_signatures) of a server.
///
/// ```
/// use ssh_proto::ServerConfig;
///
/// let mut config = ServerConfig::default();
/// ssh_proto::algorithm::change(&mut config.user_signatures, "-rsa-*")?;
/// # Ok::<(), ssh_proto::algorithm::ListError>(())
/// ```
///
/// # Errors
///
/// As [`Algorithms::set`], with what the family is called in the place of the list's name.
pub fn change<A: Algorithm>(list: &mut Vec<A>, text: &str) -> Result<(), ListError> {
    *list = changed(list, text)?;
    Ok(())
}

/// Both, or neither.
fn change_both<A: Algorithm>(
    one: &mut Vec<A>,
    other: &mut Vec<A>,
    text: &str,
) -> Result<(), ListError> {
    (*one, *other) = (changed(one, text)?, changed(other, text)?);
    Ok(())
}

/// What becomes of `list`.
fn changed<A: Algorithm>(list: &[A], text: &str) -> Result<Vec<A>, ListError> {
    result(list, text).map_err(|problem| ListError {
        list: A::FAMILY,
        problem,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Replace,
    Append,
    Prefer,
    Remove,
}

fn result<A: Algorithm>(list: &[A], text: &str) -> Result<Vec<A>, ListProblem> {
    use Operation::{Append, Prefer, Remove, Replace};
    let prefixes = [('+', Append), ('-', Remove), ('^', Prefer)];
    let prefixed = prefixes.into_iter().find_map(|(prefix, operation)| {
        let items = text.strip_prefix(prefix)?;
        Some((operation, items))
    });
    let (operation, items) = prefixed.unwrap_or((Replace, text));
    if items.is_empty() {
        return Err(ListProblem::Empty);
    }
    let picked = match operation {
        Remove => picked(items, |item| taken_away(list, item))?,
        _ => picked(items, |item| brought_in(list, item))?,
    };
    let without = |all: &[A], taken: &[A]| {
        let rest = all.iter().copied().filter(|one| !taken.contains(one));
        rest.collect::<Vec<_>>()
    };
    let result = match operation {
        Replace => picked,
        Append => [list, &without(&picked, list)].concat(),
        Prefer => [&picked[..], &without(list, &picked)].concat(),
        Remove => without(list, &picked),
    };
    if result.is_empty() {
        return Err(ListProblem::NothingLeft);
    }
    Ok(result)
}

/// What one item stands for.
enum Item<A> {
    One(A),
    Many(Vec<A>),
}

/// What the items stand for, each algorithm once, in the order of the items.
fn picked<A: Algorithm>(
    items: &str,
    find: impl Fn(&str) -> Result<Item<A>, ListProblem>,
) -> Result<Vec<A>, ListProblem> {
    let mut picked: Vec<A> = Vec::new();
    let mut named: Vec<A> = Vec::new();
    for (n, item) in items.split(',').enumerate() {
        check(n, item)?;
        let found = match find(item)? {
            Item::One(algorithm) if named.contains(&algorithm) => {
                return Err(ListProblem::Twice(algorithm.name()));
            }
            Item::One(algorithm) => {
                named.push(algorithm);
                alloc::vec![algorithm]
            }
            Item::Many(algorithms) => algorithms,
        };
        for algorithm in found {
            if !picked.contains(&algorithm) {
                picked.push(algorithm);
            }
        }
    }
    Ok(picked)
}

/// Whether this could be a name or a pattern at all (RFC 4251 section 6).
fn check(n: usize, item: &str) -> Result<(), ListProblem> {
    if item.is_empty() {
        return Err(ListProblem::EmptyItem(n.saturating_add(1)));
    }
    let printable = item.bytes().all(|b| b.is_ascii_graphic());
    // A prefix stands before the whole list, and nothing is negated by an exclamation mark.
    if !printable || item.starts_with(['+', '-', '^', '!']) {
        return Err(ListProblem::Characters(cut(item)));
    }
    if item.len() > MAX_NAME_LEN {
        return Err(ListProblem::TooLong(cut(item)));
    }
    Ok(())
}

fn is_pattern(item: &str) -> bool {
    item.contains(['*', '?'])
}

/// What an item takes away from `list`.
fn taken_away<A: Algorithm>(list: &[A], item: &str) -> Result<Item<A>, ListProblem> {
    if is_pattern(item) {
        let hit = |one: &A| matches(item.as_bytes(), one.name().as_bytes());
        return Ok(Item::Many(list.iter().copied().filter(hit).collect()));
    }
    match A::from_name(item) {
        Some(algorithm) => Ok(Item::One(algorithm)),
        // What is not compiled in is not offered: it is away already.
        None if feature_of::<A>(item).is_some() => Ok(Item::Many(Vec::new())),
        None => Err(UnknownAlgorithm::new::<A>(item).into()),
    }
}

/// What an item brings into a list that was `list`.
fn brought_in<A: Algorithm>(list: &[A], item: &str) -> Result<Item<A>, ListProblem> {
    if !is_pattern(item) {
        return Ok(Item::One(item.parse()?));
    }
    let hit = |one: &A| matches(item.as_bytes(), one.name().as_bytes());
    let others = A::ALL.iter().filter(|one| !list.contains(one));
    let (unasked, to_be_named): (Vec<A>, Vec<A>) = others
        .filter(|one| hit(one))
        .partition(|one| one.standing().is_offered_unasked());
    let mut may: Vec<A> = list.iter().copied().filter(hit).collect();
    may.extend(unasked);
    if may.is_empty() {
        let to_be_named = to_be_named.into_iter().map(A::name).collect();
        return Err(ListProblem::NothingMatches {
            pattern: item.into(),
            to_be_named,
        });
    }
    Ok(Item::Many(may))
}

/// Whether `pattern` covers all of `name`, upper and lower case being different. It takes at most
/// as many steps as the product of their lengths.
fn matches(mut pattern: &[u8], mut name: &[u8]) -> bool {
    // What is after the last star, and where in the name it was tried last.
    let mut after_star: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, name) {
            ([b'*', rest @ ..], _) => {
                pattern = rest;
                after_star = Some((rest, name));
            }
            ([p, pattern_rest @ ..], [n, name_rest @ ..]) if p == n || *p == b'?' => {
                (pattern, name) = (pattern_rest, name_rest);
            }
            ([], []) => return true,
            // The last star takes one byte more.
            _ => {
                let Some((rest, [_, tried @ ..])) = after_star else {
                    return false;
                };
                (pattern, name) = (rest, tried);
                after_star = Some((rest, tried));
            }
        }
    }
}

/// Shows a list as [`Algorithms::set`] takes it: the names, separated by commas.
///
/// ```
/// use ssh_proto::Role;
/// use ssh_proto::algorithm::{Joined, MacAlgorithm};
///
/// let macs = [MacAlgorithm::HmacSha256, MacAlgorithm::HmacSha512];
/// assert_eq!(Joined(&macs).to_string(), "hmac-sha2-256,hmac-sha2-512");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Joined<'a, A>(
    /// The list.
    pub &'a [A],
);

impl<A: Algorithm> fmt::Display for Joined<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, algorithm) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            f.write_str(algorithm.name())?;
        }
        Ok(())
    }
}

/// A list that cannot be what its text says. What it displays is bounded, whatever the text was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListError {
    /// The name of the [`AlgorithmList`], or what one of the family is called.
    pub list: &'static str,
    /// What is wrong.
    pub problem: ListProblem,
}

/// What is wrong with a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListProblem {
    /// There is no list of that name in [`Algorithms`].
    NoSuchList(Box<str>),
    /// There is no name in it.
    Empty,
    /// So many items in, counted from 1, one is empty: a comma at the beginning or at the end, or
    /// two in a row.
    EmptyItem(usize),
    /// An item has a space, or another character that no name has, or a `+`, `-`, `^` or `!` in
    /// front, which may stand before a whole list only or not at all.
    Characters(Box<str>),
    /// An item is longer than 64 bytes, as no name is. This is how it begins.
    TooLong(Box<str>),
    /// A name stands twice.
    Twice(&'static str),
    /// A name that nothing has here, or only with a cargo feature that is off.
    Unknown(UnknownAlgorithm),
    /// A pattern stands for nothing: nothing has such a name that the list holds already or that is
    /// offered by default.
    NothingMatches {
        /// The pattern.
        pattern: Box<str>,
        /// What has such a name, but has to be named.
        to_be_named: Vec<&'static str>,
    },
    /// Nothing would be left.
    NothingLeft,
}

impl From<UnknownAlgorithm> for ListProblem {
    fn from(unknown: UnknownAlgorithm) -> Self {
        Self::Unknown(unknown)
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.list, self.problem)
    }
}

impl fmt::Display for ListProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &'_ str| alloc::format!("\"{}\"", Escaped(text.as_bytes()));
        match self {
            Self::NoSuchList(name) => {
                write!(f, "there is no list {}; there are: ", quoted(name))?;
                for (n, list) in AlgorithmList::ALL.iter().enumerate() {
                    write!(f, "{}{list}", if n == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::Empty => f.write_str("there is no name"),
            Self::EmptyItem(n) => write!(f, "name {n} is empty: there is a comma too many"),
            Self::Characters(item) => write!(f, "{} cannot be a name", quoted(item)),
            Self::TooLong(item) => write!(
                f,
                "a name has at most {MAX_NAME_LEN} bytes: {}...",
                quoted(item)
            ),
            Self::Twice(name) => write!(f, "{name} stands twice"),
            Self::Unknown(unknown) => unknown.fmt(f),
            Self::NothingMatches {
                pattern,
                to_be_named,
            } if to_be_named.is_empty() => {
                write!(f, "{} stands for nothing", quoted(pattern))
            }
            Self::NothingMatches {
                pattern,
                to_be_named,
            } => {
                write!(
                    f,
                    "{} stands only for what has to be named: ",
                    quoted(pattern)
                )?;
                for (n, name) in to_be_named.iter().enumerate() {
                    write!(f, "{}{name}", if n == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::NothingLeft => f.write_str("nothing would be left"),
        }
    }
}

impl core::error::Error for ListError {}

impl From<ListError> for ConfigError {
    fn from(error: ListError) -> Self {
        Self {
            field: error.list,
            reason: alloc::format!("{}", error.problem).into(),
        }
    }
}

#[cfg(test)]
mod tests;
