//! What can go wrong: [`Error`], and how a connection ended: [`Ended`].

use std::fmt;
use std::io;
use std::sync::Arc;

use ssh_client::{AuthenticationReport, LoginError};
use ssh_proto::algorithm::ListError;
use ssh_proto::config::ConfigError;
use ssh_proto::error::{End, Misuse};
use ssh_proto::escape::Escaped;
use ssh_proto::message::ChannelOpenFailureReason;

/// Why a call failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system: connecting, a socket option, a thread that cannot be started.
    Io(io::Error),
    /// The configuration cannot work.
    Config(ConfigError),
    /// Nobody was let in: the host key is not trusted, or no credential is left.
    Login(Box<LoginError>),
    /// The server has ended the connection while we were logging in.
    LoginEnded {
        /// How.
        ended: Arc<Ended>,
        /// What had been tried by then.
        report: Box<AuthenticationReport>,
    },
    /// The connection has ended. Every call that was waiting gets the same one.
    Ended(Arc<Ended>),
    /// The peer refuses to open the channel.
    OpenRefused {
        /// Why (RFC 4254 section 5.1).
        reason: ChannelOpenFailureReason,
        /// The peer's words, escaped.
        description: String,
    },
    /// The peer refuses a request, such as a command or a terminal.
    RequestRefused,
    /// The channel is closed.
    Closed,
    /// The time for this call is over.
    Timeout,
    /// Too many requests or channels are open, and stayed so (see `Limits`).
    Busy,
    /// A program's output is longer than what was to be collected.
    OutputTooLong,
    /// The call makes no sense now.
    Misuse(Misuse),
}

impl Error {
    /// How the connection ended, if that is why the call failed.
    pub fn end(&self) -> Option<&End> {
        match self {
            Self::Ended(ended) | Self::LoginEnded { ended, .. } => Some(&ended.end),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Config(error) => error.fmt(f),
            Self::Login(error) => error.fmt(f),
            Self::LoginEnded { ended, report } => {
                write!(f, "the server has ended the login: {ended}; {report}")
            }
            Self::Ended(ended) => write!(f, "the connection has ended: {ended}"),
            Self::OpenRefused {
                reason,
                description,
            } => {
                write!(f, "the peer refuses the channel: {reason}")?;
                if !description.is_empty() {
                    write!(f, ": {description}")?;
                }
                Ok(())
            }
            Self::RequestRefused => f.write_str("the peer refuses the request"),
            Self::Closed => f.write_str("the channel is closed"),
            Self::Timeout => f.write_str("timed out"),
            Self::Busy => f.write_str("too many requests or channels are open"),
            Self::OutputTooLong => f.write_str("the output is longer than the limit"),
            Self::Misuse(misuse) => misuse.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Config(error) => Some(error),
            Self::Login(error) => Some(error),
            Self::Ended(ended) | Self::LoginEnded { ended, .. } => Some(&**ended),
            Self::Misuse(misuse) => Some(misuse),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<ListError> for Error {
    fn from(error: ListError) -> Self {
        Self::Config(error.into())
    }
}

impl From<Arc<Ended>> for Error {
    fn from(ended: Arc<Ended>) -> Self {
        Self::Ended(ended)
    }
}

/// For `Read` and `Write`. What was wrong is inside: `error.get_ref()` is the [`Error`].
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Io(inner) => inner.kind(),
            Error::Config(_) | Error::Misuse(_) => io::ErrorKind::InvalidInput,
            Error::Login(_) => io::ErrorKind::PermissionDenied,
            Error::Ended(ended) | Error::LoginEnded { ended, .. } => ended.kind(),
            Error::OpenRefused { .. } => io::ErrorKind::ConnectionRefused,
            Error::RequestRefused => io::ErrorKind::PermissionDenied,
            Error::Closed => io::ErrorKind::BrokenPipe,
            Error::Timeout => io::ErrorKind::TimedOut,
            Error::Busy => io::ErrorKind::ResourceBusy,
            Error::OutputTooLong => io::ErrorKind::FileTooLarge,
        };
        match error {
            Error::Io(inner) => inner,
            error => Self::new(kind, error),
        }
    }
}

/// How a connection ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ended {
    /// As the protocol sees it.
    pub end: End,
    /// What the operating system said about the socket, if that is why.
    pub io: Option<io::Error>,
}

impl Ended {
    /// An end, and what the operating system said about the socket.
    pub const fn new(end: End, io: Option<io::Error>) -> Self {
        Self { end, io }
    }

    fn kind(&self) -> io::ErrorKind {
        match (&self.end, &self.io) {
            (_, Some(io)) => io.kind(),
            (End::Disconnected, _) => io::ErrorKind::NotConnected,
            (End::ByPeer(_), _) => io::ErrorKind::ConnectionReset,
            (End::Eof { .. }, _) => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::ConnectionAborted,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.end.fmt(f)?;
        match &self.io {
            Some(io) => write!(f, " ({io})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Ended {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.end {
            End::Error(error) => Some(error),
            _ => self
                .io
                .as_ref()
                .map(|io| io as &(dyn std::error::Error + 'static)),
        }
    }
}

/// The peer's words, as they may be shown to a person.
pub fn shown(words: &[u8]) -> String {
    const LONGEST: usize = 1024;
    Escaped(words.get(..LONGEST).unwrap_or(words)).to_string()
}
