//! The one phase filter: which message may arrive now, strict key exchange included.
//!
//! Every received packet passes here before anything of it but its number is looked at. What
//! decides is a [`View`], a small copy of the connection's state that the send side is the
//! authority for; the receive side takes a new copy whenever it has both in hand.
//!
//! ```text
//!   KexInit --KEXINIT--> Kex --NEWKEYS--> Service --SERVICE_ACCEPT--> Auth --SUCCESS--> Connected
//!                                                                            any time: KEXINIT
//! ```

use crate::message::number::*;
use crate::message::{self, Direction};

/// Which side of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The side that connected.
    Client,
    /// The side that has the host key.
    Server,
}

impl Role {
    /// The other side.
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// How far the connection is, as seen by what may be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// The peer's first KEXINIT is awaited.
    KexInit,
    /// The first key exchange is going on.
    Kex,
    /// Keys are in use; the authentication service is not agreed yet.
    Service,
    /// Authentication.
    Auth,
    /// Authentication has succeeded.
    Connected,
}

/// What the gate judges by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) role: Role,
    pub(crate) phase: Phase,
    /// Both sides announced strict key exchange.
    pub(crate) strict: bool,
    /// The peer's KEXINIT has been seen and its NEWKEYS has not: only this number may follow.
    pub(crate) kex: Option<u8>,
    /// The peer guessed wrong: its next key exchange packet is dropped.
    pub(crate) skip_guess: bool,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    /// Dropped without a trace (RFC 4252 section 5.1: requests after success).
    Ignore,
    /// Answered with UNIMPLEMENTED (RFC 4253 section 11.4).
    Unknown,
    Refuse,
}

impl View {
    pub(crate) const fn new(role: Role) -> Self {
        Self {
            role,
            phase: Phase::KexInit,
            strict: false,
            kex: None,
            skip_guess: false,
        }
    }

    /// Whether the first key exchange has not ended for what is received.
    const fn first_kex(&self) -> bool {
        matches!(self.phase, Phase::KexInit | Phase::Kex)
    }

    /// Judges a message by its number.
    pub(crate) fn judge(&self, number: u8) -> Verdict {
        use Verdict::{Accept, Ignore, Refuse, Unknown};
        match number {
            0 => return Refuse,
            SSH_MSG_DISCONNECT => return Accept,
            SSH_MSG_IGNORE | SSH_MSG_UNIMPLEMENTED | SSH_MSG_DEBUG => {
                // Strict key exchange: nothing but the expected message until the first NEWKEYS.
                return if self.strict && self.first_kex() {
                    Refuse
                } else {
                    Accept
                };
            }
            _ => {}
        }
        if let Some(expected) = self.kex {
            let guess = self.skip_guess && matches!(number, 30..=49);
            //= rfc4253#section-7.1
            //# Once a party has sent a SSH_MSG_KEXINIT message ... it MUST NOT send any messages
            //# other than ... until it has sent a SSH_MSG_NEWKEYS message
            return if number == expected || guess {
                Accept
            } else {
                Refuse
            };
        }
        let from_us = match self.role {
            Role::Client => Direction::ClientToServer,
            Role::Server => Direction::ServerToClient,
        };
        let wrong_way = message::direction(number) == Some(from_us);
        match number {
            SSH_MSG_KEXINIT => match (self.phase, self.role) {
                (Phase::KexInit | Phase::Connected, _) | (_, Role::Client) => Accept,
                // No key exchange on behalf of peers that have not authenticated.
                (_, Role::Server) => Refuse,
            },
            _ if self.first_kex() => Refuse,
            SSH_MSG_NEWKEYS | 30..=49 => Refuse,
            _ if wrong_way => Refuse,
            SSH_MSG_SERVICE_REQUEST | SSH_MSG_SERVICE_ACCEPT => {
                if self.phase == Phase::Service {
                    Accept
                } else {
                    Refuse
                }
            }
            //= rfc8308#section-2.4
            //# o As the next packet following ... first SSH_MSG_NEWKEYS.
            //# o If sent by the server: ... immediately preceding ... SSH_MSG_USERAUTH_SUCCESS.
            SSH_MSG_EXT_INFO => match (self.phase, self.role) {
                (Phase::Service, _) | (Phase::Auth, Role::Client) => Accept,
                _ => Refuse,
            },
            //= rfc4252#section-5.1
            //# any further authentication requests ... SHOULD be silently ignored.
            SSH_MSG_USERAUTH_REQUEST if self.phase == Phase::Connected => Ignore,
            50..=79 => match self.phase {
                Phase::Auth if message::name(number).is_some() => Accept,
                Phase::Auth => Unknown,
                _ => Refuse,
            },
            80..=127 => match self.phase {
                Phase::Connected if message::name(number).is_some() => Accept,
                Phase::Connected => Unknown,
                _ => Refuse,
            },
            // A PING is answered only for those who have authenticated.
            SSH2_MSG_PING | SSH2_MSG_PONG if self.phase == Phase::Connected => Accept,
            _ => Unknown,
        }
    }
}
