//! The machine that logs in: fed with events, answers them or asks (RFC 4252, the client's side).
//!
//! ```text
//!   HostKey --trusted--> Authenticate --credential--> Authenticate ... --> Authenticated
//!      '--refused--> Failed   '--none left--> Failed
//! ```
//!
//! Invariants: a credential is tried once, a question for a password is put a fixed number of
//! times, so every login ends (C5). A credential whose method the server did not list is not
//! shown once there is a list. What was accepted is not shown again.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};

use ssh_keys::{SigningKey, known_hosts::Verdict};
use ssh_proto::{
    auth::{AuthenticatedBy, SignRequest},
    client::{Ask, AuthToken, ClientEvent, ClientSend, Credential, HostKeyDecision, Probe},
    config::ClientConfig,
    error::Misuse,
    key::{Fingerprint, PublicKey},
    message::DisconnectReason,
    random::Random,
    wire::NameList,
};
use zeroize::Zeroizing;

use crate::{
    credential::{Kind, Method, Way},
    report::{Attempt, AuthenticationReport, LoginError, Outcome, Tried},
    trust::{Judgement, Trust},
};

/// How often a server may ask for a new password in one login.
const MAX_CHANGES: u32 = 3;
/// How many names of methods are kept for the report.
const MAX_METHODS: usize = 16;

/// Logs a user in. Credentials are tried in the order in which they were added.
#[derive(Debug)]
pub struct Login {
    user: String,
    trust: Trust,
    opening: Opening,
    ways: Vec<Way>,
    /// The one that is being tried.
    current: Option<usize>,
    asking: Option<Asking>,
    /// Kept while it may turn out to have expired.
    shown: Option<Zeroizing<String>>,
    changes: u32,
    methods: Option<Vec<String>>,
    tried: Vec<Attempt>,
}

/// What a login begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    /// With the first credential, whether the server takes its method or not.
    #[default]
    Credential,
    /// With the question which methods the server takes (RFC 4252 section 5.2). Costs a round
    /// trip; no password is shown to a server that takes none.
    AskMethods,
}

/// What a password is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    Password,
    NewPassword,
}

/// What came of an event.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Step<'b> {
    /// It was answered: nothing to do but to write the output.
    Handled,
    /// It is none of a login's business, and given back untouched.
    Other(ClientEvent<'b>),
    /// Somebody has to decide. The connection waits, as long as its deadline for decisions allows.
    Ask(Question<'b>),
    /// The user is in.
    Done {
        /// What convinced the server.
        by: AuthenticatedBy,
    },
    /// The user is not in. The connection has been ended; write its output.
    Failed(LoginError),
}

/// A question to the world outside.
#[derive(Debug)]
#[non_exhaustive]
pub enum Question<'b> {
    /// Is this the key of the host? Answer with [`ClientSend::trust`] or
    /// [`ClientSend::distrust`].
    HostKey {
        /// The key.
        key: PublicKey,
        /// Its fingerprint, as people compare it.
        fingerprint: Fingerprint,
        /// What is known: today always [`Verdict::Unknown`], since a key that has changed or is
        /// revoked is refused and not asked about.
        verdict: Verdict,
        /// Takes the answer.
        decision: HostKeyDecision,
    },
    /// A password is wanted. Answer with [`Login::answer`] or [`Login::decline`].
    Password {
        /// Why it is wanted.
        reason: PasswordReason<'b>,
        /// Takes the answer.
        token: AuthToken,
    },
    /// A key of [`Login::external_key`] is to sign. Answer with [`ClientSend::signed`] or
    /// [`ClientSend::not_signed`].
    Sign(SignRequest),
}

/// Why a password is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordReason<'b> {
    /// It was not asked for before.
    First,
    /// The last one was wrong.
    Again,
    /// The last one was right but has expired: a new one is wanted.
    Expired {
        /// The server's words; show them escaped, and as the server's.
        prompt: &'b [u8],
    },
}

impl Login {
    /// Logs `user` in on a host that is to be trusted.
    pub fn new(user: impl Into<String>, trust: Trust) -> Self {
        Self {
            user: user.into(),
            trust,
            opening: Opening::default(),
            ways: Vec::new(),
            current: None,
            asking: None,
            shown: None,
            changes: 0,
            methods: None,
            tried: Vec::new(),
        }
    }

    /// Sets what is sent first.
    #[must_use]
    pub const fn opening(mut self, opening: Opening) -> Self {
        self.opening = opening;
        self
    }

    /// Adds a private key. The same key is not added twice.
    ///
    /// A key that is the only one signs at once; of several, the server is first asked which
    /// would do, since it counts signatures that do not help as failed attempts.
    #[must_use]
    pub fn key(self, key: impl Into<Arc<SigningKey>>) -> Self {
        self.with(Kind::Key(key.into()), 1)
    }

    /// Adds a key whose private half is elsewhere, such as in an agent: when the server would take
    /// it, [`Question::Sign`] asks for the signature. The same key is not added twice.
    #[must_use]
    pub fn external_key(self, key: PublicKey) -> Self {
        self.with(Kind::External(key), 1)
    }

    /// Adds a password.
    #[must_use]
    pub fn password(self, password: impl Into<Zeroizing<String>>) -> Self {
        self.with(Kind::Password(password.into()), 1)
    }

    /// Adds a question for a password, put `attempts` times at the most; 3 is usual.
    #[must_use]
    pub fn ask_password(self, attempts: u32) -> Self {
        self.with(Kind::AskPassword, attempts)
    }

    /// Sets in a configuration what this login needs of it: the order of the host key algorithms.
    pub fn configure(&self, config: &mut ClientConfig) {
        self.trust
            .order_algorithms(&mut config.transport.algorithms.host_key);
    }

    /// Takes an event of the connection. `random` is asked when a key of [`key`](Self::key) signs.
    pub fn on<'b>(
        &mut self,
        event: ClientEvent<'b>,
        client: &mut ClientSend,
        random: &mut dyn Random,
    ) -> Step<'b> {
        match event {
            ClientEvent::HostKey {
                key,
                fingerprint,
                decision,
            } => self.host_key(key, fingerprint, decision, client),
            ClientEvent::Authenticate { reason, token } => self.authenticate(reason, token, client),
            ClientEvent::Sign(request) => self.sign(request, client, random),
            ClientEvent::Authenticated { by } => {
                self.conclude(Outcome::Accepted);
                self.ways = Vec::new();
                Step::Done { by }
            }
            other => Step::Other(other),
        }
    }

    /// Gives the password that was asked for.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if no password was asked for, or the token is of another connection;
    /// [`Misuse::Value`] for more than 8 KiB, which ends the connection; [`Misuse::Ended`].
    pub fn answer(
        &mut self,
        token: AuthToken,
        password: impl Into<Zeroizing<String>>,
        client: &mut ClientSend,
    ) -> Result<(), Misuse> {
        let password = password.into();
        match self.asking.take().ok_or(Misuse::Token)? {
            Asking::Password => {
                self.begin(Tried::Password);
                let password = self.shown.insert(password);
                client.authenticate(token, &self.user, Credential::Password(password))
            }
            Asking::NewPassword => {
                self.begin(Tried::NewPassword);
                // The old one stays the old one until the server accepts another.
                let old = self.shown.as_ref().map_or("", |old| old);
                let credential = Credential::NewPassword {
                    old,
                    new: &password,
                };
                client.authenticate(token, &self.user, credential)
            }
        }
    }

    /// There is no password: goes on with the next credential.
    pub fn decline(&mut self, token: AuthToken, client: &mut ClientSend) -> Step<'static> {
        match self.asking.take() {
            None => return Step::Failed(Misuse::Token.into()),
            Some(Asking::Password) => {
                self.begin(Tried::Password);
                self.conclude(Outcome::Declined);
            }
            Some(Asking::NewPassword) => {}
        }
        self.spend();
        self.next(token, client)
    }

    /// What to report when whoever was asked about a host key ([`Question::HostKey`]) does not trust
    /// it.
    pub fn distrusted(&self, key: &PublicKey) -> LoginError {
        LoginError::HostKey(Box::new(self.trust.unknown(key)))
    }

    /// What has been tried so far; for when the server ends the connection in the middle.
    pub fn report(&self) -> AuthenticationReport {
        let untried = self.ways.iter().filter(|way| way.left > 0);
        AuthenticationReport {
            tried: self.tried.clone(),
            untried: untried.map(|way| way.kind.tried()).collect(),
            server_methods: self.methods.clone(),
        }
    }

    fn with(mut self, kind: Kind, left: u32) -> Self {
        let key = kind.public_key();
        let keys = self.ways.iter().map(|way| way.kind.public_key());
        if key.is_none() || !keys.into_iter().any(|other| other == key) {
            self.ways.push(Way { kind, left });
        }
        self
    }

    fn host_key<'b>(
        &self,
        key: PublicKey,
        fingerprint: Fingerprint,
        decision: HostKeyDecision,
        client: &mut ClientSend,
    ) -> Step<'b> {
        let answered = match self.trust.judge(&key) {
            Judgement::Accept => client.trust(decision),
            Judgement::Refuse(reason) => match client.distrust(decision) {
                Ok(()) => return Step::Failed(LoginError::HostKey(Box::new(reason))),
                misused => misused,
            },
            Judgement::Ask => {
                return Step::Ask(Question::HostKey {
                    key,
                    fingerprint,
                    verdict: Verdict::Unknown,
                    decision,
                });
            }
        };
        handled(answered)
    }

    fn authenticate<'b>(
        &mut self,
        reason: Ask<'b>,
        token: AuthToken,
        client: &mut ClientSend,
    ) -> Step<'b> {
        match reason {
            Ask::First => {
                if self.opening == Opening::AskMethods {
                    self.begin(Tried::None);
                    return handled(client.authenticate(token, &self.user, Credential::None));
                }
            }
            Ask::Failed { methods } => {
                self.learn(methods);
                self.conclude(Outcome::Refused);
            }
            Ask::PartialSuccess { methods } => {
                self.learn(methods);
                self.conclude(Outcome::Accepted);
                self.spend();
            }
            Ask::PasswordExpired { prompt } => {
                // After a change this says that the new one will not do.
                let changed = self.tried.last().map(|last| &last.tried);
                self.conclude(if changed == Some(&Tried::NewPassword) {
                    Outcome::Refused
                } else {
                    Outcome::Expired
                });
                if self.changes < MAX_CHANGES {
                    self.changes += 1;
                    self.asking = Some(Asking::NewPassword);
                    let reason = PasswordReason::Expired { prompt };
                    return Step::Ask(Question::Password { reason, token });
                }
                self.spend();
            }
            // And whatever else there may be: the last one was of no use.
            _ => self.conclude(Outcome::Unusable),
        }
        self.next(token, client)
    }

    /// Shows the next credential, or asks for it.
    fn next<'b>(&mut self, token: AuthToken, client: &mut ClientSend) -> Step<'b> {
        self.shown = None;
        let keys = self
            .ways
            .iter()
            .filter(|way| way.kind.method() == Method::Publickey);
        let several = keys.take(2).count() > 1;
        let methods = &self.methods;
        let usable = |way: &Way| way.left > 0 && lists(methods.as_deref(), way.kind.method());
        let again = self.current;
        self.current = self.ways.iter().position(usable);
        let way = self.current.and_then(|index| self.ways.get_mut(index));
        let Some(way) = way else {
            client.disconnect(
                DisconnectReason::NO_MORE_AUTH_METHODS_AVAILABLE,
                "no credential is left",
            );
            return Step::Failed(LoginError::Authentication(Box::new(self.report())));
        };
        way.left -= 1;
        let tried = way.kind.tried();
        let credential = match &way.kind {
            Kind::Key(key) => Credential::PublicKey {
                key: key.public_key().clone(),
                probe: if several { Probe::First } else { Probe::Skip },
            },
            Kind::External(key) => Credential::PublicKey {
                key: key.clone(),
                probe: Probe::First,
            },
            Kind::Password(password) => Credential::Password(self.shown.insert(password.clone())),
            Kind::AskPassword => {
                self.asking = Some(Asking::Password);
                let reason = if again == self.current {
                    PasswordReason::Again
                } else {
                    PasswordReason::First
                };
                return Step::Ask(Question::Password { reason, token });
            }
        };
        let answered = client.authenticate(token, &self.user, credential);
        self.begin(tried);
        handled(answered)
    }

    fn sign<'b>(
        &self,
        request: SignRequest,
        client: &mut ClientSend,
        random: &mut dyn Random,
    ) -> Step<'b> {
        let current = self.current.and_then(|index| self.ways.get(index));
        match current.map(|way| &way.kind) {
            Some(Kind::Key(key)) if *key.public_key() == request.key => {
                let signature = key.sign(request.algorithm, &request.data, random);
                handled(match signature {
                    Ok(signature) => client.signed(request, &signature),
                    Err(_) => client.not_signed(request),
                })
            }
            Some(Kind::External(key)) if *key == request.key => Step::Ask(Question::Sign(request)),
            _ => Step::Other(ClientEvent::Sign(request)),
        }
    }

    fn learn(&mut self, methods: NameList<'_>) {
        let names = methods.iter().take(MAX_METHODS).map(String::from);
        self.methods = Some(names.collect());
    }

    /// An attempt is made.
    fn begin(&mut self, tried: Tried) {
        let outcome = Outcome::Unanswered;
        self.tried.push(Attempt { tried, outcome });
    }

    /// The outcome of the last attempt is clear.
    fn conclude(&mut self, outcome: Outcome) {
        if let Some(last) = self.tried.last_mut() {
            last.outcome = outcome;
        }
    }

    /// The current credential has done what it can.
    fn spend(&mut self) {
        let way = self.current.and_then(|index| self.ways.get_mut(index));
        if let Some(way) = way {
            way.left = 0;
        }
    }
}

fn lists(methods: Option<&[String]>, method: Method) -> bool {
    methods.is_none_or(|methods| methods.iter().any(|name| name == method.name()))
}

fn handled<'b>(answered: Result<(), Misuse>) -> Step<'b> {
    match answered {
        Ok(()) => Step::Handled,
        Err(misuse) => Step::Failed(misuse.into()),
    }
}
