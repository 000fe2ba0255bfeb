//! How programs end: [`ExitStatus`] and [`Output`]; and the terminal that they may have: [`Pty`].

use std::fmt;

use ssh_proto::message::{ChannelRequestType, TerminalModes, TerminalSize};
use ssh_proto::mux::Stream;

use crate::error::Error;

/// How a program ended (RFC 4254 section 6.10).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitStatus {
    /// By itself, with this status.
    Exited(u32),
    /// By a signal.
    Signaled {
        /// Its name without `SIG`, escaped.
        signal: String,
        /// Whether a core was dumped.
        core_dumped: bool,
        /// The peer's words, escaped.
        message: String,
    },
    /// The peer closed the channel without saying.
    Unknown,
}

impl ExitStatus {
    /// Whether the program ended by itself with status 0.
    pub const fn success(&self) -> bool {
        matches!(self, Self::Exited(0))
    }

    /// The status, if the program ended by itself.
    pub const fn code(&self) -> Option<u32> {
        match self {
            Self::Exited(status) => Some(*status),
            _ => None,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exit status {status}"),
            Self::Signaled {
                signal,
                core_dumped,
                message,
            } => {
                write!(f, "ended by signal {signal}")?;
                if *core_dumped {
                    f.write_str(" (core dumped)")?;
                }
                if !message.is_empty() {
                    write!(f, ": {message}")?;
                }
                Ok(())
            }
            Self::Unknown => f.write_str("ended without a status"),
        }
    }
}

/// All that came of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// How it ended.
    pub exit: ExitStatus,
}

/// Collects the output of a program, up to a limit.
#[derive(Debug)]
pub struct Collect {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    limit: usize,
}

impl Collect {
    /// Collects at most `limit` bytes of both streams together.
    pub const fn new(limit: usize) -> Self {
        Self {
            stdout: Vec::new(),
            stderr: Vec::new(),
            limit,
        }
    }

    /// Adds a piece.
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooLong`] if it is beyond the limit.
    pub fn push(&mut self, stream: Stream, data: &[u8]) -> Result<(), Error> {
        let left = self
            .limit
            .saturating_sub(self.stdout.len() + self.stderr.len());
        if data.len() > left {
            return Err(Error::OutputTooLong);
        }
        match stream {
            Stream::Data => self.stdout.extend_from_slice(data),
            Stream::Extended(_) => self.stderr.extend_from_slice(data),
        }
        Ok(())
    }

    /// The program has ended.
    pub fn finish(self, exit: ExitStatus) -> Output {
        Output {
            stdout: self.stdout,
            stderr: self.stderr,
            exit,
        }
    }
}

/// A terminal to ask for (RFC 4254 section 6.2).
#[derive(Clone, Copy, Debug)]
pub struct Pty<'a> {
    /// The value of TERM, such as `xterm-256color`.
    pub term: &'a str,
    /// Its size.
    pub size: TerminalSize,
    /// Its modes, [`TerminalModes::EMPTY`] for those that the peer prefers.
    pub modes: TerminalModes<'a>,
}

impl<'a> Pty<'a> {
    /// The request that asks for it.
    pub const fn request(&self) -> ChannelRequestType<'a> {
        ChannelRequestType::PtyReq {
            term: self.term.as_bytes(),
            size: self.size,
            modes: self.modes,
        }
    }
}
