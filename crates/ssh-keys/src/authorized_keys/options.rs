//! The options of a line: names, some with a value in quotes, separated by commas.
//!
//! ```text
//!   option *("," option)      option = name [ "=" DQUOTE value DQUOTE ]
//! ```
//!
//! A quote within a value is written `\"`; every other backslash stands for itself. Names fold
//! ASCII case. Options that would need something that is not supported (`tunnel`,
//! `verify-required` and so on) are not known, and so refuse the line.

use alloc::{
    string::{String, ToString as _},
    vec::Vec,
};
use core::{fmt, mem::discriminant};

use crate::pattern::is_valid_address_list;

/// What an option says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyOption {
    /// `restrict`: takes every [`Right`] away, those of the future included.
    Restrict,
    /// `pty`, `port-forwarding` and so on: gives back what `restrict` took.
    Permit(Right),
    /// `no-pty`, `no-port-forwarding` and so on.
    Forbid(Right),
    /// `cert-authority`: the key signs certificates of users.
    CertAuthority,
    /// `command="..."`: runs instead of whatever the client asks for.
    Command(String),
    /// `environment="NAME=value"`.
    Environment {
        /// Letters, digits and underscores.
        name: String,
        /// Anything.
        value: String,
    },
    /// `expiry-time="..."`: from then on the key is not accepted.
    ExpiryTime(Expiry),
    /// `from="..."`: a list for [`allows`](crate::pattern::allows).
    From(String),
    /// `permitlisten="[host:]port"`: the only places where remote forwarding may listen.
    PermitListen(HostPort),
    /// `permitopen="host:port"`: the only places where local forwarding may lead.
    PermitOpen(HostPort),
    /// `principals="..."`: with `cert-authority`, the names of which a certificate needs one.
    Principals(Vec<String>),
}

impl KeyOption {
    /// Whether it may stand in a line once only: two of them contradict each other, and which one
    /// was meant is not for us to say.
    const fn stands_alone(&self) -> bool {
        matches!(
            self,
            Self::Command(_) | Self::From(_) | Self::ExpiryTime(_) | Self::Principals(_)
        )
    }
}

/// What a key may be allowed to do beyond running a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Right {
    /// Forwarding of the agent.
    AgentForwarding,
    /// Forwarding of TCP and of sockets, in both directions.
    PortForwarding,
    /// A terminal.
    Pty,
    /// Running the user's `rc` file.
    UserRc,
    /// Forwarding of X11.
    X11Forwarding,
}

impl Right {
    fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"agent-forwarding" => Self::AgentForwarding,
            b"port-forwarding" => Self::PortForwarding,
            b"pty" => Self::Pty,
            b"user-rc" => Self::UserRc,
            b"x11-forwarding" => Self::X11Forwarding,
            _ => return None,
        })
    }
}

/// A place of `permitopen` or `permitlisten`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostPort {
    /// A name or an address without brackets, for `permitlisten` a pattern; `None` when only a
    /// port was given.
    pub host: Option<String>,
    /// `None` for `*`, any port.
    pub port: Option<u16>,
}

impl HostPort {
    /// `[host]:port`, `host:port`, and, where the host is optional, `port`.
    fn parse(text: &str, host: HostNeeded) -> Option<Self> {
        let (host, port) = match (text.rsplit_once(':'), host) {
            (Some((host, port)), _) => (Some(bare_host(host)?.to_string()), port),
            (None, HostNeeded::No) => (None, text),
            (None, HostNeeded::Yes) => return None,
        };
        let port = match port {
            "*" => None,
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().ok().filter(|&port| port != 0)?)
            }
            _ => return None,
        };
        Some(Self { host, port })
    }
}

#[derive(Clone, Copy)]
enum HostNeeded {
    Yes,
    No,
}

/// Without its brackets, which an IPv6 address needs.
fn bare_host(host: &str) -> Option<&str> {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    (!bare.is_empty() && !bare.contains(['[', ']'])).then_some(bare)
}

/// A point in time, `YYYYMMDD[HHMM[SS]][Z]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expiry {
    /// Seconds since 1970-01-01 00:00:00 as the clock of [`zone`](Self::zone) shows it.
    pub seconds: u64,
    /// Whose clock.
    pub zone: Zone,
}

/// Which clock a time is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// UTC: the time ended in `Z`.
    Utc,
    /// The one of the server.
    Local,
}

impl Expiry {
    /// Whether the key is no longer accepted at `now`, in seconds since 1970-01-01 UTC, on a
    /// server whose local time is `local_offset` seconds ahead of UTC.
    pub fn is_past(self, now: u64, local_offset: i32) -> bool {
        let offset = match self.zone {
            Zone::Utc => 0,
            Zone::Local => i128::from(local_offset),
        };
        i128::from(now) >= i128::from(self.seconds) - offset
    }

    fn parse(text: &str) -> Option<Self> {
        let (digits, zone) = match text.strip_suffix('Z') {
            Some(digits) => (digits, Zone::Utc),
            None => (text, Zone::Local),
        };
        if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        // What is left out is 0.
        let number = |from, to| match digits.get(from..to) {
            Some(digits) => digits.parse::<u64>().ok(),
            None => Some(0),
        };
        let days = days_before(number(0, 4)?, number(4, 6)?, number(6, 8)?)?;
        let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        Some(Self {
            seconds: days * 86_400 + hour * 3600 + minute * 60 + second,
            zone,
        })
    }
}

/// Days between 1970-01-01 and a date, which must exist.
fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    let days_in = |year: u64| {
        let leap =
            (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
        if leap { 366 } else { 365 }
    };
    if year < 1970 {
        return None;
    }
    let february = days_in(year) - 337;
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months = lengths.get(..usize::try_from(month.checked_sub(1)?).ok()?)?;
    let length = *lengths.get(months.len())?;
    if !(1..=length).contains(&day) {
        return None;
    }
    Some((1970..year).map(days_in).sum::<u64>() + months.iter().sum::<u64>() + day - 1)
}

/// Reads the options at the front of a line; what follows them is given back.
pub(super) fn parse(line: &[u8]) -> Result<(Vec<KeyOption>, &[u8]), OptionError> {
    let mut options: Vec<KeyOption> = Vec::new();
    let mut rest = line;
    loop {
        let (name, after) = name(rest);
        let (value, after) = match after {
            [b'=', b'"', quoted @ ..] => {
                let (value, after) = unquote(quoted)?;
                (Some(value), after)
            }
            [b'=', ..] => return Err(OptionError::Syntax),
            _ => (None, after),
        };
        if name.is_empty() {
            return Err(OptionError::Syntax);
        }
        let option = option(&name.to_ascii_lowercase(), value)?;
        let same = |other: &KeyOption| discriminant(other) == discriminant(&option);
        if option.stands_alone() && options.iter().any(same) {
            return Err(OptionError::Twice);
        }
        options.push(option);
        match after {
            [b',', more @ ..] => rest = more,
            _ => return Ok((options, after)),
        }
    }
}

/// The meaning of an option whose name is in lower case.
fn option(name: &[u8], value: Option<String>) -> Result<KeyOption, OptionError> {
    let flag = match name {
        b"restrict" => Some(KeyOption::Restrict),
        b"cert-authority" => Some(KeyOption::CertAuthority),
        _ => Right::from_name(name).map(KeyOption::Permit).or_else(|| {
            name.strip_prefix(b"no-")
                .and_then(Right::from_name)
                .map(KeyOption::Forbid)
        }),
    };
    match (flag, value) {
        (Some(flag), None) => Ok(flag),
        (Some(_), Some(_)) => Err(OptionError::Value),
        (None, value) => with_value(name, value.unwrap_or_default()),
    }
}

/// The meaning of an option with a value; an empty one is as good as none.
fn with_value(name: &[u8], value: String) -> Result<KeyOption, OptionError> {
    let given = !value.is_empty();
    let option = match name {
        b"command" => Some(KeyOption::Command(value)),
        b"environment" => value
            .split_once('=')
            .filter(|(name, _)| !name.is_empty() && name.bytes().all(is_variable))
            .map(|(name, value)| KeyOption::Environment {
                name: name.into(),
                value: value.into(),
            }),
        b"expiry-time" => Expiry::parse(&value).map(KeyOption::ExpiryTime),
        b"from" => is_valid_address_list(&value).then_some(KeyOption::From(value)),
        b"permitlisten" => HostPort::parse(&value, HostNeeded::No).map(KeyOption::PermitListen),
        b"permitopen" => HostPort::parse(&value, HostNeeded::Yes).map(KeyOption::PermitOpen),
        b"principals" => {
            let names: Vec<String> = value.split(',').map(String::from).collect();
            let valid = names.iter().all(|name| !name.is_empty());
            valid.then_some(KeyOption::Principals(names))
        }
        _ => return Err(OptionError::Unknown),
    };
    option.filter(|_| given).ok_or(OptionError::Value)
}

const fn is_variable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The name at the front, and what follows it.
fn name(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || *b == b'-'))
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

/// The value up to the closing quote, and what follows that.
fn unquote(text: &[u8]) -> Result<(String, &[u8]), OptionError> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        rest = match rest {
            [b'\\', b'"', after @ ..] => {
                value.push(b'"');
                after
            }
            [b'"', after @ ..] => {
                let value = String::from_utf8(value).map_err(|_| OptionError::Value)?;
                return Ok((value, after));
            }
            [b, after @ ..] if *b == b'\t' || !b.is_ascii_control() => {
                value.push(*b);
                after
            }
            // A control character, which no value has a use for, or no closing quote.
            _ => return Err(OptionError::Syntax),
        };
    }
}

/// Why options refuse their line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionError {
    /// An option that is not known here: what it forbids would be allowed.
    Unknown,
    /// A value that is missing, not valid, or where none belongs.
    Value,
    /// An option that may stand there once stands there twice.
    Twice,
    /// Not a list of options: an empty name, a quote that is not closed, something behind it.
    Syntax,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "an option is not known",
            Self::Value => "the value of an option is not valid",
            Self::Twice => "an option stands there twice",
            Self::Syntax => "the options are malformed",
        })
    }
}

impl core::error::Error for OptionError {}
