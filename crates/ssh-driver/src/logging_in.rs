//! A client's way in, as drivers go it: [`LoggingIn`] feeds the login and the observer, and puts
//! questions that a driver may take away and answer whenever it likes.

use std::sync::Arc;

use ssh_client::{Login, LoginError, PasswordReason, Question, Step};
use ssh_proto::TransportEvent;
use ssh_proto::auth::{AuthenticatedBy, SignRequest};
use ssh_proto::client::{AuthToken, ClientEvent, ClientSend, HostKeyDecision};
use ssh_proto::error::End;
use ssh_proto::key::{Fingerprint, PublicKey};
use ssh_proto::random::Random;

use crate::error::{Ended, Error};
use crate::observer::{Observer, Seen};

/// A login under way.
pub struct LoggingIn {
    login: Login,
    observer: Box<dyn Observer>,
    by: AuthenticatedBy,
    /// What it means if the host key that was asked about is not trusted.
    distrusted: Option<LoginError>,
    failed: Option<LoginError>,
}

/// What a driver has to do about an event.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// Answer a question.
    Ask(Ask),
    /// Say goodbye: the connection has ended.
    Ended(End),
}

/// A question, with nothing borrowed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ask {
    /// Is this the key of the host? [`LoggingIn::answer_host_key`].
    HostKey {
        /// The key.
        key: PublicKey,
        /// Its fingerprint.
        fingerprint: Fingerprint,
        /// Takes the answer.
        decision: HostKeyDecision,
    },
    /// A password is wanted. [`LoggingIn::answer_password`].
    Password {
        /// Why.
        reason: Reason,
        /// Takes the answer.
        token: AuthToken,
    },
    /// A signature is wanted. [`LoggingIn::answer_signature`].
    Sign(SignRequest),
}

/// Why a password is wanted: an owned [`PasswordReason`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It was not asked for before.
    First,
    /// The last one was wrong.
    Again,
    /// The last one was right but has expired: a new one is wanted.
    Expired {
        /// The server's words; show them escaped, and as the server's.
        prompt: Vec<u8>,
    },
}

impl Reason {
    fn of(reason: PasswordReason<'_>) -> Self {
        match reason {
            PasswordReason::Again => Self::Again,
            PasswordReason::Expired { prompt } => Self::Expired {
                prompt: prompt.to_vec(),
            },
            _ => Self::First,
        }
    }

    /// As the login has it.
    pub fn borrowed(&self) -> PasswordReason<'_> {
        match self {
            Self::First => PasswordReason::First,
            Self::Again => PasswordReason::Again,
            Self::Expired { prompt } => PasswordReason::Expired { prompt },
        }
    }
}

impl LoggingIn {
    /// Before the first event.
    pub fn new(login: Login, observer: Box<dyn Observer>) -> Self {
        Self {
            login,
            observer,
            by: AuthenticatedBy::None,
            distrusted: None,
            failed: None,
        }
    }

    /// An event of a connection whose user is not in yet.
    pub fn on(
        &mut self,
        mut event: ClientEvent<'_>,
        client: &mut ClientSend,
        random: &mut dyn Random,
    ) -> Heard {
        if let Some(seen) = Seen::of(&mut event) {
            seen.tell(&mut *self.observer);
        }
        if let ClientEvent::Transport(TransportEvent::Identified) = &event
            && let Some(server) = client.peer_identification()
        {
            self.observer.identified(server);
        }
        let step = self.login.on(event, client, random);
        self.step(step)
    }

    /// Misuse in the answers here is the end of the connection, and that is an event of its own.
    fn step(&mut self, step: Step<'_>) -> Heard {
        match step {
            Step::Done { by } => self.by = by,
            Step::Failed(error) => {
                self.failed.get_or_insert(error);
            }
            Step::Other(ClientEvent::Ended(end)) => return Heard::Ended(end),
            Step::Ask(Question::HostKey {
                key,
                fingerprint,
                decision,
                ..
            }) => {
                self.distrusted = Some(self.login.distrusted(&key));
                return Heard::Ask(Ask::HostKey {
                    key,
                    fingerprint,
                    decision,
                });
            }
            Step::Ask(Question::Password { reason, token }) => {
                let reason = Reason::of(reason);
                return Heard::Ask(Ask::Password { reason, token });
            }
            Step::Ask(Question::Sign(request)) => return Heard::Ask(Ask::Sign(request)),
            _ => {}
        }
        Heard::Nothing
    }

    /// Whether a host key is trusted.
    pub fn answer_host_key(
        &mut self,
        decision: HostKeyDecision,
        trusted: bool,
        client: &mut ClientSend,
    ) {
        let _ = if trusted {
            client.trust(decision)
        } else {
            self.failed = self.failed.take().or_else(|| self.distrusted.take());
            client.distrust(decision)
        };
    }

    /// The password; without one the login goes on with what else there is.
    pub fn answer_password(
        &mut self,
        token: AuthToken,
        password: Option<String>,
        client: &mut ClientSend,
    ) -> Heard {
        match password {
            Some(password) => {
                let _ = self.login.answer(token, password, client);
                Heard::Nothing
            }
            None => {
                let step = self.login.decline(token, client);
                self.step(step)
            }
        }
    }

    /// The signature; without one the login goes on with what else there is.
    pub fn answer_signature(
        &self,
        request: SignRequest,
        signature: Option<&[u8]>,
        client: &mut ClientSend,
    ) {
        let _ = match signature {
            Some(signature) => client.signed(request, signature),
            None => client.not_signed(request),
        };
    }

    /// The user is in: by what, and who was watching.
    pub fn finish(self) -> (AuthenticatedBy, Box<dyn Observer>) {
        (self.by, self.observer)
    }

    /// The user is not in: why.
    pub fn failed(self, ended: Ended) -> Error {
        if let Some(reason) = self.failed {
            return Error::Login(Box::new(reason));
        }
        let report = self.login.report();
        if !report.tried.is_empty() && matches!(ended.end, End::ByPeer(_) | End::Eof { .. }) {
            return Error::LoginEnded {
                ended: Arc::new(ended),
                report: Box::new(report),
            };
        }
        Error::Ended(Arc::new(ended))
    }
}

impl std::fmt::Debug for LoggingIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoggingIn")
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}
