//! Letting users in (RFC 4252, the server's side).
//!
//! ```text
//!   Service --SERVICE_REQUEST--> Auth --request--> (a decision is out) --SUCCESS--> Connected
//!                                  ^------------------FAILURE-----------'
//! ```
//!
//! A key that is offered and a key that has signed are different events with different answers, so
//! neither can be taken for the other. Every request counts against a limit, whatever it is. When
//! the user name changes, everything proven so far is forgotten (RFC 4252 section 5).

use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use zeroize::Zeroizing;

use super::{AuthDecision, AuthEvent, AuthenticatedBy, KeyOffer, ServerSend};
use crate::algorithm::SignatureAlgorithm;
use crate::auth::{CONNECTION, USERAUTH};
use crate::config::{Limits, Methods};
use crate::error::{AuthenticationError, Error, Misuse, PeerMisbehaved};
use crate::key::PublicKey;
use crate::message::{
    AuthMethod, ServiceAccept, ServiceRequest, UserauthBanner, UserauthFailure, UserauthPkOk,
    UserauthRequest, UserauthSuccess, Wire, number,
};
use crate::time::Instant;
use crate::transport::{Payload, Phase};
use crate::wire::NameList;

#[derive(Debug)]
pub(super) struct Auth {
    limits: AuthLimits,
    methods: Methods,
    /// What this user can still continue with, once something is proven.
    remaining: Option<Methods>,
    banner: String,
    user: Vec<u8>,
    /// What this user has proven already.
    proven: Vec<AuthenticatedBy>,
    failures: u32,
    probes: u32,
    /// The first request for `none` is a question about the methods and costs nothing.
    none_asked: bool,
    pending: Option<Question>,
}

#[derive(Debug)]
struct AuthLimits {
    failures: u32,
    probes: u32,
    user_name: usize,
    password: usize,
}

/// What the application has been asked.
#[derive(Debug)]
enum Question {
    Attempt(AuthenticatedBy),
    Offer(PublicKey, SignatureAlgorithm),
}

impl Auth {
    pub(super) fn new(limits: &Limits, banner: String, methods: Methods) -> Self {
        Self {
            limits: AuthLimits {
                failures: limits.auth_failures,
                probes: limits.auth_probes,
                user_name: limits.user_name,
                password: limits.password,
            },
            methods,
            remaining: None,
            banner,
            user: Vec::new(),
            proven: Vec::new(),
            failures: 0,
            probes: 0,
            none_asked: false,
            pending: None,
        }
    }

    /// What a failure names.
    //= rfc4252#section-5.1
    //# Already successfully completed authentications SHOULD NOT be included in the name-list,
    //# unless they should be performed again for some reason.
    fn can_continue(&self) -> Methods {
        self.remaining.unwrap_or(self.methods)
    }
}

impl ServerSend {
    /// The name of whoever is trying to come in, or has; as the peer wrote it.
    pub fn user(&self) -> &[u8] {
        &self.auth.user
    }

    /// What this user has proven on the way, where several proofs are wanted; after success also
    /// the last one.
    pub fn proven(&self) -> &[AuthenticatedBy] {
        &self.auth.proven
    }

    /// Lets the user in.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the decision is of another connection; [`Misuse::Ended`].
    pub fn accept(&mut self, decision: AuthDecision) -> Result<(), Misuse> {
        let by = self.decided(&decision)?;
        self.auth.proven.push(by);
        self.auth.banner = String::new();
        self.send.out.message(&UserauthSuccess);
        self.send.connected();
        Ok(())
    }

    /// Accepts this proof, and wants another one by one of `methods` as well.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the decision is of another connection; [`Misuse::Ended`].
    pub fn accept_partially(
        &mut self,
        decision: AuthDecision,
        methods: Methods,
    ) -> Result<(), Misuse> {
        let by = self.decided(&decision)?;
        self.auth.proven.push(by);
        self.auth.remaining = Some(methods);
        self.failure(methods, true);
        Ok(())
    }

    /// Does not let the user in. After `Limits::auth_failures` of them the connection ends.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the decision is of another connection; [`Misuse::Ended`].
    pub fn reject(&mut self, decision: AuthDecision) -> Result<(), Misuse> {
        let by = self.decided(&decision)?;
        if by == AuthenticatedBy::None && !mem::replace(&mut self.auth.none_asked, true) {
            self.failure(self.auth.can_continue(), false);
        } else {
            self.refuse();
        }
        Ok(())
    }

    /// Tells the client that the key would do: it may sign with it. This lets nobody in.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the offer is of another connection; [`Misuse::Ended`].
    pub fn invite(&mut self, offer: KeyOffer) -> Result<(), Misuse> {
        self.send.lower_gate(offer.0)?;
        let Some(Question::Offer(key, algorithm)) = self.auth.pending.take() else {
            return Err(Misuse::Token);
        };
        self.send.out.message(&UserauthPkOk {
            algorithm: algorithm.name(),
            key: key.blob(),
        });
        Ok(())
    }

    /// Tells the client that the key would not do.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the offer is of another connection; [`Misuse::Ended`].
    pub fn decline(&mut self, offer: KeyOffer) -> Result<(), Misuse> {
        self.send.lower_gate(offer.0)?;
        self.auth.pending = None;
        self.failure(self.auth.can_continue(), false);
        Ok(())
    }

    /// Shows a text to the user (RFC 4252 section 5.4).
    ///
    /// # Errors
    ///
    /// [`Misuse::Value`] above 8 KiB; [`Misuse::Ended`] when authentication has ended.
    pub fn banner(&mut self, text: &str) -> Result<(), Misuse> {
        if self.send.phase != Phase::Auth || self.send.has_ended() {
            return Err(Misuse::Ended);
        }
        if text.len() > 8 * 1024 {
            return Err(Misuse::Value);
        }
        self.send.out.message(&UserauthBanner {
            message: text.as_bytes(),
            language_tag: b"",
        });
        Ok(())
    }

    fn decided(&mut self, decision: &AuthDecision) -> Result<AuthenticatedBy, Misuse> {
        self.send.lower_gate(decision.0)?;
        match self.auth.pending.take() {
            Some(Question::Attempt(by)) => Ok(by),
            _ => Err(Misuse::Token),
        }
    }

    /// An attempt failed.
    fn refuse(&mut self) {
        self.auth.failures += 1;
        if self.auth.failures >= self.auth.limits.failures {
            self.send.fail(AuthenticationError::TooManyAttempts.into());
        } else {
            self.failure(self.auth.can_continue(), false);
        }
    }

    fn failure(&mut self, methods: Methods, partial_success: bool) {
        let names = methods.names().join(",");
        let authentications_that_can_continue = NameList::new(&names).unwrap_or(NameList::EMPTY);
        let failure = UserauthFailure {
            authentications_that_can_continue,
            partial_success,
        };
        self.send.out.message(&failure);
    }

    /// A message of the service or of authentication.
    pub(super) fn auth_message<'b>(
        &mut self,
        payload: Payload<'b>,
        now: Instant,
    ) -> Option<AuthEvent<'b>> {
        match self.try_auth_message(payload, now) {
            Ok(event) => event,
            Err(error) => {
                self.send.fail(error);
                None
            }
        }
    }

    fn try_auth_message<'b>(
        &mut self,
        payload: Payload<'b>,
        now: Instant,
    ) -> Result<Option<AuthEvent<'b>>, Error> {
        match payload.number {
            number::SSH_MSG_SERVICE_REQUEST => {
                let service_name = ServiceRequest::decode(payload.bytes)?.service_name;
                //= rfc4253#section-10
                //# If the server rejects the service request, it SHOULD send an appropriate
                //# SSH_MSG_DISCONNECT message and MUST disconnect.
                if service_name != USERAUTH {
                    return Err(PeerMisbehaved::ServiceUnknown.into());
                }
                self.send.out.message(&ServiceAccept { service_name });
                self.send.phase = Phase::Auth;
                Ok(None)
            }
            number::SSH_MSG_USERAUTH_REQUEST => {
                self.request(UserauthRequest::decode(payload.bytes)?, now)
            }
            other => Err(PeerMisbehaved::UnexpectedMessage(other).into()),
        }
    }

    fn request<'b>(
        &mut self,
        request: UserauthRequest<'b>,
        now: Instant,
    ) -> Result<Option<AuthEvent<'b>>, Error> {
        let user = request.user_name;
        if request.service_name != CONNECTION {
            return Err(PeerMisbehaved::ServiceUnknown.into());
        }
        let banner = mem::take(&mut self.auth.banner);
        if !banner.is_empty() {
            self.send.out.message(&UserauthBanner {
                message: banner.as_bytes(),
                language_tag: b"",
            });
        }
        if user.len() > self.auth.limits.user_name {
            self.refuse();
            return Ok(None);
        }
        //= rfc4252#section-5
        //# If ... the user name or service name has changed, ... the server MUST flush any
        //# accumulated authentication states
        if self.auth.user != user {
            self.auth.user = user.to_vec();
            self.auth.proven = Vec::new();
            self.auth.remaining = None;
        }
        Ok(match request.method {
            AuthMethod::None => Some(AuthEvent::None {
                user,
                decision: self.question(AuthenticatedBy::None, now),
            }),
            AuthMethod::Password {
                password,
                new_password,
            } => {
                let longest = password.len().max(new_password.map_or(0, <[u8]>::len));
                if longest > self.auth.limits.password {
                    self.refuse();
                    return Ok(None);
                }
                let decision = self.question(AuthenticatedBy::Password, now);
                Some(AuthEvent::Password {
                    user,
                    password,
                    new_password,
                    decision,
                })
            }
            AuthMethod::Publickey {
                algorithm,
                key,
                signature,
            } => {
                let parsed = parse_key(algorithm, key);
                // Exactly what was announced: one kind of ECDSA does not let in the others.
                let Some((algorithm, key)) =
                    parsed.filter(|(algorithm, _)| self.send.user_signatures.contains(algorithm))
                else {
                    self.refuse();
                    return Ok(None);
                };
                match signature {
                    Some(signature) => self.signature(request, key, algorithm, signature, now),
                    None => self.offer(user, key, algorithm, now)?,
                }
            }
            _ => {
                self.refuse();
                None
            }
        })
    }

    fn offer<'b>(
        &mut self,
        user: &'b [u8],
        key: PublicKey,
        algorithm: SignatureAlgorithm,
        now: Instant,
    ) -> Result<Option<AuthEvent<'b>>, Error> {
        self.auth.probes += 1;
        if self.auth.probes > self.auth.limits.probes {
            return Err(AuthenticationError::TooManyAttempts.into());
        }
        let offer = KeyOffer(self.send.raise_gate(now));
        self.auth.pending = Some(Question::Offer(key.clone(), algorithm));
        Ok(Some(AuthEvent::KeyOffered {
            user,
            key,
            algorithm,
            offer,
        }))
    }

    /// A signature counts only over this session, this user, this service, this algorithm and
    /// this key: all of them are in what is verified.
    fn signature<'b>(
        &mut self,
        request: UserauthRequest<'b>,
        key: PublicKey,
        algorithm: SignatureAlgorithm,
        signature: &[u8],
        now: Instant,
    ) -> Option<AuthEvent<'b>> {
        let mut data = Zeroizing::new(Vec::new());
        request.encode_signed_data(self.send.session_id().unwrap_or_default(), &mut *data);
        if key.verify(algorithm, &data, signature).is_err() {
            self.refuse();
            return None;
        }
        let user = request.user_name;
        let decision = self.question(AuthenticatedBy::PublicKey(algorithm), now);
        Some(AuthEvent::KeyProven {
            user,
            key,
            algorithm,
            decision,
        })
    }

    fn question(&mut self, by: AuthenticatedBy, now: Instant) -> AuthDecision {
        self.auth.pending = Some(Question::Attempt(by));
        AuthDecision(self.send.raise_gate(now))
    }
}

/// A key with an algorithm that is its own. A malformed one fails the attempt, not the connection.
fn parse_key(algorithm: &str, blob: &[u8]) -> Option<(SignatureAlgorithm, PublicKey)> {
    let algorithm = SignatureAlgorithm::from_name(algorithm)?;
    let key = PublicKey::from_blob(blob).ok()?;
    (key.key_type() == algorithm.key_type()).then_some((algorithm, key))
}
