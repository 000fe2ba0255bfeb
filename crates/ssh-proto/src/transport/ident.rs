//! The identification line (RFC 4253 section 4.2).
//!
//! ```text
//!   SSH-protoversion-softwareversion SP comments CR LF        at most 255 bytes with CR LF
//! ```
//!
//! A server may send other lines first; a client may not. Every tolerance is a counted limit:
//! servers in the field send notices, and a peer that is no SSH server at all sends anything.

use alloc::vec::Vec;
use core::fmt;

use crate::error::{Error, IdentificationError, PeerMisbehaved};
use crate::escape::Escaped;
use crate::recv::Batch;
use crate::transport::Role;

const PREFIX: &[u8] = b"SSH-";
/// The longest line, CR LF included.
const MAX_LINE: usize = 255;
/// The longest line before it, as OpenSSH's client takes it.
const MAX_PRE_LINE: usize = 8192;
/// How many lines may come before it, as OpenSSH's client counts them.
const MAX_PRE_LINES: usize = 1024;
/// How much text may come before it in all.
const MAX_PRE_BYTES: usize = 64 * 1024;

/// An identification line, without its CR LF, exactly as it is hashed (V_C, V_S).
#[derive(Clone, PartialEq, Eq)]
pub struct Identification {
    line: Vec<u8>,
}

impl Identification {
    /// This side's line, `SSH-2.0-` and `software`, which is the software version and, after a
    /// space, comments. `None` if it holds control characters or bytes beyond US-ASCII, or a minus
    /// sign in the version, or is too long.
    pub(crate) fn ours(software: &str) -> Option<Self> {
        let mut line = b"SSH-2.0-".to_vec();
        line.extend_from_slice(software.as_bytes());
        let version = software.split(' ').next().unwrap_or_default();
        //= rfc4253#section-4.2
        //# printable US-ASCII characters, with the exception of whitespace characters and the
        //# minus sign (-)
        let valid = !version.is_empty()
            && !version.contains('-')
            && software.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
            && line.len() + 2 <= MAX_LINE;
        valid.then_some(Self { line })
    }

    /// The line as it is hashed: no CR, no LF.
    pub fn as_bytes(&self) -> &[u8] {
        &self.line
    }

    /// The software version and comments: what follows the protocol version.
    pub fn software(&self) -> Escaped<'_> {
        let mut parts = self.line.splitn(3, |&b| b == b'-');
        Escaped(parts.nth(2).unwrap_or_default())
    }
}

impl fmt::Display for Identification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.line).fmt(f)
    }
}

impl fmt::Debug for Identification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Reads lines until the identification has come.
#[derive(Debug)]
pub(crate) struct ExpectIdentification {
    of: Role,
    /// Lines before it: how many more, and how many bytes of them.
    pre_lines: usize,
    pre_bytes: usize,
}

/// What was made of the next line.
#[derive(Debug)]
pub(crate) enum Line {
    /// There is no whole line yet.
    NeedMore,
    /// Text before the identification.
    Notice(Vec<u8>),
    Identification(Identification),
}

impl ExpectIdentification {
    /// For a client, which must put up with notices.
    pub(crate) const fn of_server() -> Self {
        Self {
            of: Role::Server,
            pre_lines: MAX_PRE_LINES,
            pre_bytes: MAX_PRE_BYTES,
        }
    }

    /// For a server, to which nothing else may be sent.
    pub(crate) const fn of_client() -> Self {
        Self {
            of: Role::Client,
            pre_lines: 0,
            pre_bytes: 0,
        }
    }

    /// Takes one line off the batch. A line that is not whole yet stays there.
    pub(crate) fn next(&mut self, batch: &mut Batch<'_>) -> Result<Line, Error> {
        let rest = batch.rest();
        let is_ssh = rest.starts_with(PREFIX);
        let may_become_ssh = rest.len() < PREFIX.len() && PREFIX.starts_with(rest);
        let (limit, too_long) = if is_ssh || may_become_ssh {
            (MAX_LINE, IdentificationError::TooLong)
        } else if self.of == Role::Client {
            return Err(wrong(IdentificationError::NotFirst));
        } else if self.pre_lines == 0 || self.pre_bytes == 0 {
            return Err(wrong(IdentificationError::TooManyLines));
        } else {
            (
                MAX_PRE_LINE.min(self.pre_bytes),
                IdentificationError::LineTooLong,
            )
        };
        let Some(length) = rest
            .iter()
            .take(limit)
            .position(|&b| b == b'\n')
            .map(|at| at + 1)
        else {
            return if rest.len() >= limit {
                Err(wrong(too_long))
            } else {
                Ok(Line::NeedMore)
            };
        };
        let Some(line) = batch.take(length, false) else {
            return Ok(Line::NeedMore);
        };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        //= rfc4253#section-5.1
        //# In this mode, the server SHOULD NOT send the Carriage Return character (ASCII 13)
        //# after the identification string.
        // Some have no such mode and send LF alone to everybody.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !is_ssh {
            self.pre_lines = self.pre_lines.saturating_sub(1);
            self.pre_bytes = self.pre_bytes.saturating_sub(length);
            let mut notice = Vec::new();
            notice.try_reserve_exact(line.len())?;
            notice.extend_from_slice(line);
            return Ok(Line::Notice(notice));
        }
        self.parse(line).map(Line::Identification)
    }

    fn parse(&self, line: &[u8]) -> Result<Identification, Error> {
        //= rfc4253#section-4.2
        //# The null character MUST NOT be sent.
        if line.contains(&0) {
            return Err(wrong(IdentificationError::Malformed));
        }
        //= rfc4253#section-5.1
        //# Clients using protocol 2.0 MUST be able to identify this as identical to "2.0".
        let (is_two, software) = match line {
            [
                b'S',
                b'S',
                b'H',
                b'-',
                b'2',
                b'.',
                b'0',
                b'-',
                software @ ..,
            ] => (true, software),
            [
                b'S',
                b'S',
                b'H',
                b'-',
                b'1',
                b'.',
                b'9',
                b'9',
                b'-',
                software @ ..,
            ] => (self.of == Role::Server, software),
            _ => (false, line),
        };
        if !is_two {
            return Err(PeerMisbehaved::Version.into());
        }
        if software.is_empty() {
            return Err(wrong(IdentificationError::Malformed));
        }
        Ok(Identification {
            line: line.to_vec(),
        })
    }
}

const fn wrong(error: IdentificationError) -> Error {
    Error::PeerMisbehaved(PeerMisbehaved::Identification(error))
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::{String, ToString};

    use super::*;
    use crate::recv::RecvBuf;

    /// Feeds `bytes` in pieces of `step` and returns the outcome with what was left over.
    fn feed(
        mut expect: ExpectIdentification,
        bytes: &[u8],
        step: usize,
    ) -> (Result<Option<Identification>, String>, usize) {
        let mut rx = RecvBuf::new();
        for piece in bytes.chunks(step) {
            rx.push(piece);
            loop {
                match expect.next(&mut rx.batch()) {
                    Err(error) => return (Err(error.to_string()), rx.len()),
                    Ok(Line::NeedMore) => break,
                    Ok(Line::Notice(_)) => {}
                    Ok(Line::Identification(id)) => return (Ok(Some(id)), rx.len()),
                }
            }
        }
        (Ok(None), rx.len())
    }

    fn server(bytes: &[u8]) -> Result<Option<Identification>, String> {
        let whole = feed(ExpectIdentification::of_server(), bytes, bytes.len()).0;
        assert_eq!(whole, feed(ExpectIdentification::of_server(), bytes, 1).0);
        assert_eq!(whole, feed(ExpectIdentification::of_server(), bytes, 7).0);
        whole
    }

    fn client(bytes: &[u8]) -> Result<Option<Identification>, String> {
        let whole = feed(ExpectIdentification::of_client(), bytes, bytes.len()).0;
        assert_eq!(whole, feed(ExpectIdentification::of_client(), bytes, 1).0);
        whole
    }

    #[test]
    fn v3_lines_and_their_limits() {
        let exactly = |n: usize| format!("SSH-2.0-{}\r\n", "x".repeat(n - 10));
        assert!(client(exactly(255).as_bytes()).unwrap().is_some());
        for peer in [server, client] {
            assert!(peer(exactly(256).as_bytes()).unwrap_err().contains("255"));
            let without_cr = exactly(256).replace('\r', "");
            assert_eq!(
                peer(without_cr.as_bytes())
                    .unwrap()
                    .unwrap()
                    .as_bytes()
                    .len(),
                254
            );
            let without_cr = exactly(257).replace('\r', "");
            assert!(peer(without_cr.as_bytes()).unwrap_err().contains("255"));
            assert!(peer(b"SSH-2.0-x\0y\r\n").unwrap_err().contains("malformed"));
            assert!(peer(b"SSH-2.0-\r\n").unwrap_err().contains("malformed"));
            assert!(peer(b"SSH-1.5-x\r\n").unwrap_err().contains("SSH 2.0"));
            assert_eq!(
                peer(b"SSH-2.0-x\n").unwrap().unwrap().as_bytes(),
                b"SSH-2.0-x"
            );
        }
        assert!(server(b"SSH-1.99-x\r\n").unwrap().is_some());
        assert!(client(b"SSH-1.99-x\r\n").is_err());
        assert!(client(b"ssh-2.0-x\r\n").unwrap_err().contains("first line"));
    }

    #[test]
    fn v1_a_client_may_send_nothing_before_it() {
        assert!(
            client(b"hello\r\nSSH-2.0-x\r\n")
                .unwrap_err()
                .contains("first line")
        );
        assert!(client(b"S").unwrap().is_none());
        assert!(client(b"SX").is_err());
    }

    #[test]
    fn v2_a_servers_notices_are_counted() {
        let with = |lines: String| server((lines + "SSH-2.0-x\r\n").as_bytes());
        assert!(with("n\n".repeat(1024)).unwrap().is_some());
        assert!(with("n\n".repeat(1025)).unwrap_err().contains("too much"));
        assert!(with("\n".repeat(1025)).unwrap_err().contains("too much"));
        assert!(with("n".repeat(8191) + "\n").unwrap().is_some());
        assert!(
            with("n".repeat(8192) + "\n")
                .unwrap_err()
                .contains("too long")
        );
        assert!(with(("n".repeat(8191) + "\n").repeat(8)).unwrap().is_some());
        assert!(with(("n".repeat(8191) + "\n").repeat(8) + "n\n").is_err());
    }

    #[test]
    fn v4_the_line_is_kept_byte_for_byte() {
        let id = server(b"notice\r\nSSH-2.0-a_1  comment \r\n")
            .unwrap()
            .unwrap();
        assert_eq!(id.as_bytes(), b"SSH-2.0-a_1  comment ");
        assert_eq!(id.software().to_string(), "a_1  comment ");
    }

    #[test]
    fn v6_control_characters_are_escaped_when_shown() {
        let id = server(b"SSH-2.0-x\x1b]0;title\x07\r\n").unwrap().unwrap();
        let shown = id.to_string();
        assert!(
            shown.starts_with("SSH-2.0-x") && !shown.contains('\x1b'),
            "{shown}"
        );
        assert_eq!(format!("{id:?}"), format!("\"{shown}\""));
    }

    #[test]
    fn nothing_behind_the_line_is_touched() {
        let (id, left) = feed(ExpectIdentification::of_client(), b"SSH-2.0-x\r\nabc", 64);
        assert!(id.unwrap().is_some());
        assert_eq!(left, 3);
    }

    #[test]
    fn our_own_line_obeys_the_rules() {
        assert!(Identification::ours("ssh_proto_0.1 comment").is_some());
        assert!(Identification::ours(&"x".repeat(245)).is_some());
        for bad in ["", "a-b", "x\r\n", "\u{e9}", &"x".repeat(246)] {
            assert!(Identification::ours(bad).is_none(), "{bad:?}");
        }
    }
}
