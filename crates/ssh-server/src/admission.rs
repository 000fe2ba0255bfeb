//! The machine that lets users in: fed with events, answers them or asks (RFC 4252, the server's
//! side).
//!
//! ```text
//!   attempt --wrong, or not wanted--> FAILURE
//!           --right, more is wanted--> partial success
//!           --right, all is there----> Admitted
//! ```
//!
//! Invariants: what is not answered is denied (A17). The decision is made for the key that signed,
//! whatever was offered before (A5). Restrictions of a key hold for the whole login, also when a
//! password completes it (A11), and are forgotten with everything else when the user name changes
//! (A4). Which methods are wanted does not depend on the user, so that a name that does not exist
//! is answered with the same messages as one that does (A14).

use alloc::{boxed::Box, string::String, vec::Vec};
use core::{fmt, net::IpAddr};

use ssh_keys::authorized_keys::{Entry, KeyOption};
use ssh_proto::{
    auth::AuthenticatedBy,
    config::{Methods, ServerConfig},
    error::Misuse,
    escape::Escaped,
    key::PublicKey,
    server::{AuthDecision, AuthEvent, ServerEvent, ServerSend},
};

use crate::users::{PasswordCheck, Users};

/// Lets users in, on one connection.
#[derive(Debug)]
pub struct Admission<U> {
    users: U,
    required: Required,
    address: Option<IpAddr>,
    host: Option<String>,
    clock: Option<Clock>,
    /// Who has proven a key, and the line that it stands on.
    line: Option<(Vec<u8>, Entry)>,
}

/// What a user has to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Required {
    /// Any one of these; of none, nobody comes in.
    AnyOf(Methods),
    /// All of these, in any order (partial success, RFC 4252 section 5.1); of none, nobody comes
    /// in.
    AllOf(Methods),
}

impl Required {
    /// A key.
    pub const PUBLICKEY: Self = Self::AnyOf(Methods::PUBLICKEY);

    /// What a client is told at first.
    const fn methods(self) -> Methods {
        match self {
            Self::AnyOf(methods) | Self::AllOf(methods) => methods,
        }
    }
}

/// The time, for keys that expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Seconds since 1970-01-01 UTC.
    pub now: u64,
    /// How many seconds the server's local time is ahead of UTC.
    pub local_offset: i32,
}

/// What came of an event.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Step<'b> {
    /// It was answered: nothing to do but to write the output.
    Handled,
    /// It is none of an admission's business, and given back untouched.
    Other(ServerEvent<'b>),
    /// A password is to be checked outside, as [`PasswordCheck::Outside`] said.
    Ask(PasswordQuestion<'b>),
    /// A user is in.
    Admitted(Box<Admitted>),
}

/// Is this the password? Answer with [`Admission::answer`].
#[non_exhaustive]
pub struct PasswordQuestion<'b> {
    /// The name, as the peer wrote it; show it escaped.
    pub user: &'b [u8],
    /// The password.
    pub password: &'b [u8],
    /// Takes the answer.
    pub decision: AuthDecision,
}

impl fmt::Debug for PasswordQuestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordQuestion")
            .field("user", &Escaped(self.user))
            .finish_non_exhaustive()
    }
}

/// A user who is in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Admitted {
    /// The name, as the peer wrote it; show it escaped.
    pub user: Vec<u8>,
    /// Everything that was proven, in order.
    pub by: Vec<AuthenticatedBy>,
    /// The line of the key that was proven, with the restrictions that hold for this connection.
    /// `None` if there was no key.
    pub entry: Option<Entry>,
}

impl<U: Users> Admission<U> {
    /// Lets in who proves what is `required`, as `users` knows it.
    pub const fn new(users: U, required: Required) -> Self {
        Self {
            users,
            required,
            address: None,
            host: None,
            clock: None,
            line: None,
        }
    }

    /// Where the client comes from, and the name of that host if it is known for certain. Without
    /// it, keys with a `from` option let nobody in.
    #[must_use]
    pub fn peer(mut self, address: IpAddr, host: Option<String>) -> Self {
        self.address = Some(address);
        self.host = host;
        self
    }

    /// What time it is. Without it, keys with an `expiry-time` option let nobody in.
    #[must_use]
    pub const fn at(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Sets in a configuration which methods are named.
    pub const fn configure(&self, config: &mut ServerConfig) {
        config.methods = self.required.methods();
    }

    /// Takes an event of the connection.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the event is of another connection; [`Misuse::Ended`].
    pub fn on<'b>(
        &mut self,
        event: ServerEvent<'b>,
        server: &mut ServerSend,
    ) -> Result<Step<'b>, Misuse> {
        let ServerEvent::Auth(event) = event else {
            return Ok(Step::Other(event));
        };
        match event {
            AuthEvent::None { decision, .. } => server.reject(decision)?,
            AuthEvent::KeyOffered {
                user, key, offer, ..
            } => {
                if self.wanted(server).publickey && self.line_of(user, &key).is_some() {
                    server.invite(offer)?;
                } else {
                    server.decline(offer)?;
                }
            }
            AuthEvent::KeyProven {
                user,
                key,
                decision,
                ..
            } => {
                let line = self.line_of(user, &key);
                match line.filter(|_| self.wanted(server).publickey) {
                    Some(line) => {
                        self.line = Some((user.to_vec(), line));
                        return self.accept(Methods::PUBLICKEY, decision, server);
                    }
                    None => server.reject(decision)?,
                }
            }
            AuthEvent::Password {
                user,
                password,
                new_password,
                decision,
            } => {
                // Nobody is asked to change a password, so nobody has to.
                if !self.wanted(server).password || new_password.is_some() {
                    server.reject(decision)?;
                    return Ok(Step::Handled);
                }
                let check = self.users.check_password(user, password);
                if check == PasswordCheck::Outside {
                    return Ok(Step::Ask(PasswordQuestion {
                        user,
                        password,
                        decision,
                    }));
                }
                return self.answer(decision, check, server);
            }
            _ => return Ok(Step::Other(ServerEvent::Auth(event))),
        }
        Ok(Step::Handled)
    }

    /// Answers [`Step::Ask`].
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the decision is of another connection; [`Misuse::Ended`].
    pub fn answer(
        &mut self,
        decision: AuthDecision,
        check: PasswordCheck,
        server: &mut ServerSend,
    ) -> Result<Step<'static>, Misuse> {
        match check {
            PasswordCheck::Right => self.accept(Methods::PASSWORD, decision, server),
            PasswordCheck::Wrong | PasswordCheck::Outside => {
                server.reject(decision)?;
                Ok(Step::Handled)
            }
        }
    }

    /// What the user still has to prove.
    fn wanted(&self, server: &ServerSend) -> Methods {
        let proven = server.proven().iter();
        proven.fold(self.required.methods(), |methods, by| match by {
            AuthenticatedBy::PublicKey(_) => without(methods, Methods::PUBLICKEY),
            AuthenticatedBy::Password => without(methods, Methods::PASSWORD),
            _ => methods,
        })
    }

    /// The first line with the key whose options let this client in now.
    fn line_of(&mut self, user: &[u8], key: &PublicKey) -> Option<Entry> {
        let keys = self.users.authorized_keys(user)?;
        let mut lines = keys.matching(key);
        lines.find(|line| self.lets_in(line)).cloned()
    }

    fn lets_in(&self, line: &Entry) -> bool {
        let is_from = |option: &KeyOption| matches!(option, KeyOption::From(_));
        let from = match self.address {
            Some(address) => line.allows_from(self.host.as_deref(), address),
            None => !line.options.iter().any(is_from),
        };
        let in_time = match (line.expiry(), self.clock) {
            (None, _) => true,
            (Some(expiry), Some(clock)) => !expiry.is_past(clock.now, clock.local_offset),
            (Some(_), None) => false,
        };
        from && in_time
    }

    /// One of the wanted methods has succeeded.
    fn accept(
        &mut self,
        by: Methods,
        decision: AuthDecision,
        server: &mut ServerSend,
    ) -> Result<Step<'static>, Misuse> {
        let left = match self.required {
            Required::AnyOf(_) => Methods::NONE,
            Required::AllOf(_) => without(self.wanted(server), by),
        };
        if left != Methods::NONE {
            server.accept_partially(decision, left)?;
            return Ok(Step::Handled);
        }
        server.accept(decision)?;
        let line = self.line.take().filter(|(user, _)| user == server.user());
        Ok(Step::Admitted(Box::new(Admitted {
            user: server.user().to_vec(),
            by: server.proven().to_vec(),
            entry: line.map(|(_, entry)| entry),
        })))
    }
}

fn without(mut methods: Methods, proven: Methods) -> Methods {
    methods.publickey &= !proven.publickey;
    methods.password &= !proven.password;
    methods
}
