//! Why a payload is not a message.
//!
//! The number alone does not always say which message was meant: those of methods are shared (RFC
//! 4251 section 7), so an error also knows which one was tried. It is small, because it travels in
//! every return value.

use core::fmt;

use super::table::{MessageInfo, Needs, TABLE};
use crate::wire::WireError;

/// Why a payload is not a message, and of which message it would have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// 0, which is no message, if the payload was empty.
    number: u8,
    /// Tells which of the messages with this number was meant.
    needs: Needs,
    kind: DecodeErrorKind,
}

/// What is wrong with a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// There is no byte that could be a number.
    Empty,
    /// No message has this number. It is answered with UNIMPLEMENTED.
    //= rfc4253#section-11.4
    //# An implementation MUST respond to all unrecognized messages with an
    //# SSH_MSG_UNIMPLEMENTED message in the order in which the messages were received.
    UnknownMessage,
    /// The number has a meaning in another key exchange or another authentication method only.
    OutOfContext,
    /// It is not the message that was to be decoded.
    Unexpected {
        /// The number that was expected.
        expected: u8,
    },
    /// A field is not what it should be, or bytes follow the last one.
    Malformed(WireError),
}

const _: () = assert!(size_of::<DecodeError>() <= 8);

impl DecodeError {
    pub(super) const EMPTY: Self = Self::new(0, DecodeErrorKind::Empty);

    pub(super) const fn new(number: u8, kind: DecodeErrorKind) -> Self {
        Self {
            number,
            needs: Needs::Nothing,
            kind,
        }
    }

    pub(super) const fn malformed(info: MessageInfo, error: WireError) -> Self {
        Self {
            number: info.number,
            needs: info.needs,
            kind: DecodeErrorKind::Malformed(error),
        }
    }

    /// The number of the message; `None` if the payload was empty.
    pub const fn number(self) -> Option<u8> {
        match self.kind {
            DecodeErrorKind::Empty => None,
            _ => Some(self.number),
        }
    }

    /// The RFC's name of the message, if it is certain which one it is.
    pub fn name(self) -> Option<&'static str> {
        match self.kind {
            DecodeErrorKind::Malformed(_) => TABLE
                .iter()
                .find(|info| info.number == self.number && info.needs == self.needs)
                .map(|info| info.name),
            _ => only_name(self.number),
        }
    }

    /// What is wrong.
    pub const fn kind(self) -> DecodeErrorKind {
        self.kind
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number;
        match self.kind {
            DecodeErrorKind::Empty => f.write_str("a payload without a message number"),
            DecodeErrorKind::UnknownMessage => write!(f, "no message has the number {number}"),
            DecodeErrorKind::OutOfContext => write!(
                f,
                "message {number} has no meaning in this key exchange or authentication method"
            ),
            DecodeErrorKind::Unexpected { expected } => {
                write!(
                    f,
                    "{} where {} was expected",
                    Label(number),
                    Label(expected)
                )
            }
            DecodeErrorKind::Malformed(error) => match self.name() {
                Some(name) => write!(f, "{name}: {error}"),
                None => write!(f, "message {number}: {error}"),
            },
        }
    }
}

/// A number as its name, where it has one name only.
struct Label(u8);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match only_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "message {}", self.0),
        }
    }
}

fn only_name(number: u8) -> Option<&'static str> {
    let mut rows = TABLE.iter().filter(|info| info.number == number);
    match (rows.next(), rows.next()) {
        (Some(info), None) => Some(info.name),
        _ => None,
    }
}

impl core::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.kind {
            DecodeErrorKind::Malformed(error) => Some(error),
            _ => None,
        }
    }
}
