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

use crate::error::PeerMisbehaved;
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

    /// Which rule a refused message breaks.
    pub(crate) const fn refusal(&self, number: u8) -> PeerMisbehaved {
        match (number, self.kex) {
            (SSH_MSG_KEXINIT, Some(_)) => PeerMisbehaved::KexInitTwice,
            (SSH_MSG_KEX_DH_GEX_REQUEST_OLD, Some(SSH_MSG_KEX_DH_GEX_REQUEST)) => {
                PeerMisbehaved::OldGroupRequest
            }
            (SSH_MSG_KEXINIT, None) => PeerMisbehaved::RekeyBeforeAuthentication,
            _ => PeerMisbehaved::UnexpectedMessage(number),
        }
    }

    /// Judges a message by its number.
    #[inline]
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
            // Some clients ask again before each attempt to authenticate.
            SSH_MSG_SERVICE_REQUEST if self.phase == Phase::Auth => Accept,
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

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;
    use core::fmt::Write;
    use std::{fs, path::Path};

    use super::*;
    use crate::message::TABLE;

    const BEGIN: &str = "<!-- generated from the table of messages and the gate: begin -->\n";
    const END: &str = "<!-- generated: end -->";

    fn view(role: Role, phase: Phase) -> View {
        View {
            phase,
            ..View::new(role)
        }
    }

    /// A message of a method that is awaited.
    fn expected(role: Role) -> u8 {
        match role {
            Role::Client => SSH_MSG_KEX_ECDH_REPLY,
            Role::Server => SSH_MSG_KEX_ECDH_INIT,
        }
    }

    /// What the columns of the picture stand for.
    fn states(role: Role) -> Vec<(&'static str, View)> {
        let expected = expected(role);
        let kex = |phase, strict, number| View {
            strict,
            kex: Some(number),
            ..view(role, phase)
        };
        alloc::vec![
            ("start", view(role, Phase::KexInit)),
            ("kex", kex(Phase::Kex, false, expected)),
            ("kex strict", kex(Phase::Kex, true, expected)),
            ("keys", kex(Phase::Kex, false, SSH_MSG_NEWKEYS)),
            ("keys strict", kex(Phase::Kex, true, SSH_MSG_NEWKEYS)),
            ("service", view(role, Phase::Service)),
            ("auth", view(role, Phase::Auth)),
            ("connected", view(role, Phase::Connected)),
            ("rekey", kex(Phase::Connected, true, expected)),
        ]
    }

    fn picture() -> String {
        let mut out = String::new();
        for role in [Role::Client, Role::Server] {
            let states = states(role);
            let names: Vec<_> = states.iter().map(|(name, _)| *name).collect();
            writeln!(out, "\nReceived by a {role:?}:\n").unwrap();
            writeln!(out, "| message | {} |", names.join(" | ")).unwrap();
            writeln!(out, "|---|{}", "---|".repeat(names.len())).unwrap();
            // What 30 to 49 mean depends on the method, and which of them comes next as well.
            let named = TABLE
                .iter()
                .filter(|info| info.phase != message::Phase::Kex);
            let mut rows: Vec<(u8, String)> = named
                .map(|info| (info.number, info.name.to_string()))
                .collect();
            rows.dedup_by_key(|(number, _)| *number);
            rows.push((
                expected(role),
                "the message of the method that is due".into(),
            ));
            rows.push((40, "any other number of key exchange".into()));
            rows.push((0, "0".into()));
            rows.push((79, "another number of authentication".into()));
            rows.push((127, "another number of the connection".into()));
            rows.push((255, "any other number".into()));
            for (number, name) in rows {
                write!(out, "| {name} |").unwrap();
                for (_, view) in &states {
                    let cell = match view.judge(number) {
                        Verdict::Accept => "**yes**",
                        Verdict::Ignore => "ignored",
                        Verdict::Unknown => "unimplemented",
                        Verdict::Refuse => "–",
                    };
                    write!(out, " {cell} |").unwrap();
                }
                writeln!(out).unwrap();
            }
        }
        out
    }

    /// `UPDATE_DOCS=1 cargo test -p ssh-proto` writes the picture anew.
    #[test]
    fn the_picture_in_the_architecture_is_what_the_gate_does() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/architecture.md");
        let Ok(text) = fs::read_to_string(&path) else {
            // Only in a package of this crate alone is the project's documentation missing.
            assert!(
                !Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("../ssh-keys")
                    .exists()
            );
            return;
        };
        let (before, rest) = text.split_once(BEGIN).expect("the marks in the document");
        let (there, after) = rest.split_once(END).expect("the marks in the document");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let text = [before, BEGIN, &picture(), END, after].concat();
            fs::write(&path, text).unwrap();
        } else {
            assert!(
                there == picture(),
                "run `UPDATE_DOCS=1 cargo test -p ssh-proto`"
            );
        }
    }

    #[test]
    fn s9_no_message_is_taken_from_the_side_that_sends_it() {
        for info in TABLE {
            let role = match info.direction {
                Direction::Both => continue,
                Direction::ClientToServer => Role::Client,
                Direction::ServerToClient => Role::Server,
            };
            for (name, view) in states(role) {
                let verdict = view.judge(info.number);
                let other_meaning = matches!(info.number, 30..=49);
                assert!(
                    matches!(verdict, Verdict::Refuse | Verdict::Unknown) || other_meaning,
                    "{} in {name}: {verdict:?}",
                    info.name
                );
            }
        }
    }

    /// Each step of each method, in clear and in a rekey: one number, whatever else it could mean.
    #[test]
    fn s2_s9_of_the_methods_messages_only_the_one_that_is_due_may_come() {
        for role in [Role::Client, Role::Server] {
            for phase in [Phase::Kex, Phase::Connected] {
                for due in 30..=49 {
                    let view = View {
                        kex: Some(due),
                        ..view(role, phase)
                    };
                    let accepted = (20..=255).filter(|n| view.judge(*n) == Verdict::Accept);
                    assert_eq!(accepted.collect::<Vec<u8>>(), [due]);
                }
            }
        }
    }

    #[test]
    fn s2_a_request_for_a_group_in_the_old_form_is_told_apart() {
        let view = View {
            kex: Some(SSH_MSG_KEX_DH_GEX_REQUEST),
            ..view(Role::Server, Phase::Kex)
        };
        let old = view.refusal(SSH_MSG_KEX_DH_GEX_REQUEST_OLD);
        assert_eq!(old, PeerMisbehaved::OldGroupRequest);
        let other = view.refusal(SSH_MSG_KEX_DH_GEX_INIT);
        assert_eq!(other, PeerMisbehaved::UnexpectedMessage(32));
    }

    #[test]
    fn s5_in_a_strict_key_exchange_only_one_message_may_come() {
        for role in [Role::Client, Role::Server] {
            for (name, view) in states(role) {
                if !name.ends_with("strict") {
                    continue;
                }
                let accepted: Vec<u8> = (0..=255)
                    .filter(|number| view.judge(*number) == Verdict::Accept)
                    .collect();
                assert_eq!(accepted, [SSH_MSG_DISCONNECT, view.kex.unwrap()], "{name}");
            }
        }
    }
}
