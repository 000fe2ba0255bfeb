//! Logging in (RFC 4252, the client's side).
//!
//! ```text
//!   Idle --own NEWKEYS--> Asking --credential--> Sent --FAILURE--> Asking ...
//!                           |  \                   |
//!                           |   Probing --PK_OK--> Signing --signature--> Sent
//!                           `-- Waiting (an RSA key, until EXT_INFO can have come)
//! ```
//!
//! The first request leaves together with NEWKEYS and SERVICE_REQUEST, without waiting for the
//! service to be granted. Each credential is tried once: what the server answers never makes this
//! side repeat itself.

use alloc::vec::Vec;
use core::mem;

use zeroize::Zeroizing;

use super::{Ask, AuthToken, AuthenticatedBy, ClientEvent, ClientSend, SignRequest};
use crate::algorithm::{KeyType, SignatureAlgorithm};
use crate::auth::{CONNECTION, USERAUTH};
use crate::error::{AuthenticationError, Error, Misuse, PeerMisbehaved};
use crate::key::{PrivateKey, PublicKey};
use crate::message::{
    AuthMethod, ServiceAccept, UserauthBanner, UserauthFailure, UserauthPasswdChangereq,
    UserauthPkOk, UserauthRequest, UserauthSuccess, Wire, number,
};
use crate::time::Instant;
use crate::transport::{Payload, Phase};

/// The longest user name or password that is sent, in bytes.
const MAX_TEXT: usize = 8 * 1024;

/// What a client shows to be let in. `Debug` shows no password.
#[non_exhaustive]
pub enum Credential<'a> {
    /// Nothing: asks which methods the server has (RFC 4252 section 5.2).
    None,
    /// A password, UTF-8.
    Password(&'a str),
    /// The old password and a new one, after [`Ask::PasswordExpired`].
    NewPassword {
        /// The password that has expired.
        old: &'a str,
        /// The one to use instead.
        new: &'a str,
    },
    /// A key that signs here and now.
    PrivateKey(&'a PrivateKey),
    /// A key that signs elsewhere: a [`ClientEvent::Sign`] follows.
    PublicKey {
        /// The public half.
        key: PublicKey,
        /// Whether the server is asked first.
        probe: Probe,
    },
}

impl core::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Password(_) => f.write_str("Password(..)"),
            Self::NewPassword { .. } => f.write_str("NewPassword { .. }"),
            Self::PrivateKey(key) => f.debug_tuple("PrivateKey").field(key).finish(),
            Self::PublicKey { key, probe } => f
                .debug_struct("PublicKey")
                .field("key", key)
                .field("probe", probe)
                .finish(),
        }
    }
}

/// Whether the server is asked if a key would do before anybody is bothered to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// Ask; costs a round trip.
    First,
    /// Sign at once.
    Skip,
}

#[derive(Debug)]
pub(super) struct Auth {
    state: State,
    user: Vec<u8>,
    require_credential: bool,
    /// How much more text of banners is reported.
    banner_room: usize,
}

#[derive(Debug, Default)]
enum State {
    /// Our keys are not in use yet.
    #[default]
    Idle,
    /// The credential was of no use here: the application is to be asked for another one.
    Unusable,
    /// The application has been asked.
    Asking,
    /// Not sent before the server's signature algorithms can be known.
    Waiting(PublicKey, Probe),
    /// An attempt is on its way.
    Sent(AuthenticatedBy),
    /// The server is asked whether this key would do.
    Probing(PublicKey, SignatureAlgorithm),
    /// A signature is to be asked for.
    ToSign(PublicKey, SignatureAlgorithm),
    /// A signature has been asked for.
    Signing(PublicKey, SignatureAlgorithm),
    Done,
}

impl Auth {
    pub(super) const fn new(require_credential: bool, banner_room: usize) -> Self {
        Self {
            state: State::Idle,
            user: Vec::new(),
            require_credential,
            banner_room,
        }
    }
}

impl ClientSend {
    /// Shows a credential. The answer is the next [`Authenticate`](ClientEvent::Authenticate) or
    /// [`Authenticated`](ClientEvent::Authenticated) event, with a
    /// [`Sign`](ClientEvent::Sign) in between for keys that sign elsewhere.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the token is of another connection; [`Misuse::Ended`];
    /// [`Misuse::Value`] if a name or password is longer than 8 KiB, in which case another
    /// credential is asked for.
    pub fn authenticate(
        &mut self,
        token: AuthToken,
        user: &str,
        credential: Credential<'_>,
    ) -> Result<(), Misuse> {
        self.lower_gate(token.0)?;
        self.auth.user = user.as_bytes().to_vec();
        let passwords = match credential {
            Credential::Password(password) => password.len(),
            Credential::NewPassword { old, new } => old.len().max(new.len()),
            _ => 0,
        };
        if user.len().max(passwords) > MAX_TEXT {
            self.auth.state = State::Unusable;
            return Err(Misuse::Value);
        }
        match credential {
            Credential::None => self.request(AuthMethod::None, AuthenticatedBy::None),
            Credential::Password(password) => {
                let password = password.as_bytes();
                let method = AuthMethod::Password {
                    password,
                    new_password: None,
                };
                self.request(method, AuthenticatedBy::Password);
            }
            Credential::NewPassword { old, new } => {
                let new_password = Some(new.as_bytes());
                let method = AuthMethod::Password {
                    password: old.as_bytes(),
                    new_password,
                };
                self.request(method, AuthenticatedBy::Password);
            }
            Credential::PrivateKey(key) => self.sign_here(key),
            Credential::PublicKey { key, probe } => {
                self.auth.state = State::Waiting(key, probe);
                self.go_on_waiting();
            }
        }
        Ok(())
    }

    /// The signature that was asked for: a signature blob of the algorithm and the key of the
    /// request. One that does not verify is not sent: it counts as
    /// [`not_signed`](Self::not_signed).
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the request is of another connection; [`Misuse::Ended`].
    pub fn signed(&mut self, request: SignRequest, signature: &[u8]) -> Result<(), Misuse> {
        self.lower_gate(request.nonce)?;
        let State::Signing(key, algorithm) = mem::take(&mut self.auth.state) else {
            return Err(Misuse::Token);
        };
        // A faulty signature may give an RSA key away: it must not leave.
        if key.verify(algorithm, &request.data, signature).is_err() {
            self.auth.state = State::Unusable;
            return Ok(());
        }
        let method = AuthMethod::Publickey {
            algorithm: algorithm.name(),
            key: key.blob(),
            signature: Some(signature),
        };
        self.request(method, AuthenticatedBy::PublicKey(algorithm));
        Ok(())
    }

    /// There will be no signature: another credential is asked for.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the request is of another connection; [`Misuse::Ended`].
    pub fn not_signed(&mut self, request: SignRequest) -> Result<(), Misuse> {
        self.lower_gate(request.nonce)?;
        self.auth.state = State::Unusable;
        Ok(())
    }

    fn request(&mut self, method: AuthMethod<'_>, by: AuthenticatedBy) {
        let user_name = mem::take(&mut self.auth.user);
        let service_name = CONNECTION;
        self.send.out.message(&UserauthRequest {
            user_name: &user_name,
            service_name,
            method,
        });
        self.auth.user = user_name;
        self.auth.state = State::Sent(by);
    }

    fn sign_here(&mut self, key: &PrivateKey) {
        let algorithm = key.key_type().preferred_signature();
        let public = key.public_key();
        let data = self.signed_data(public, algorithm);
        let random = self.send.out.streams.signature();
        match key.sign(algorithm, &data, random) {
            Ok(signature) => {
                let method = AuthMethod::Publickey {
                    algorithm: algorithm.name(),
                    key: public.blob(),
                    signature: Some(&signature),
                };
                self.request(method, AuthenticatedBy::PublicKey(algorithm));
            }
            Err(_) => self.auth.state = State::Unusable,
        }
    }

    fn signed_data(&self, key: &PublicKey, algorithm: SignatureAlgorithm) -> Zeroizing<Vec<u8>> {
        let request = UserauthRequest {
            user_name: &self.auth.user,
            service_name: CONNECTION,
            method: AuthMethod::Publickey {
                algorithm: algorithm.name(),
                key: key.blob(),
                signature: None,
            },
        };
        let mut data = Zeroizing::new(Vec::new());
        request.encode_signed_data(self.session_id().unwrap_or_default(), &mut *data);
        data
    }

    /// Goes on with a key that signs elsewhere, once it is clear which algorithm to use.
    fn go_on_waiting(&mut self) {
        let state = mem::take(&mut self.auth.state);
        let State::Waiting(key, probe) = state else {
            self.auth.state = state;
            return;
        };
        // An RSA key has two algorithms; which one is taken stands in EXT_INFO, which comes
        // before the service is granted or not at all.
        if key.key_type() == KeyType::Rsa && self.phase < Phase::Auth {
            self.auth.state = State::Waiting(key, probe);
            return;
        }
        let Some(algorithm) = self.algorithm_for(key.key_type()) else {
            self.auth.state = State::Unusable;
            return;
        };
        match probe {
            Probe::Skip => self.auth.state = State::ToSign(key, algorithm),
            Probe::First => {
                let method = AuthMethod::Publickey {
                    algorithm: algorithm.name(),
                    key: key.blob(),
                    signature: None,
                };
                self.request(method, AuthenticatedBy::PublicKey(algorithm));
                self.auth.state = State::Probing(key, algorithm);
            }
        }
    }

    /// The best algorithm for a key that the server takes. A server that does not say what it
    /// takes is assumed to know RFC 8332: SHA-1 is never fallen back to.
    fn algorithm_for(&self, key_type: KeyType) -> Option<SignatureAlgorithm> {
        let preferred = key_type.preferred_signature();
        let Some(taken) = &self.peer_extensions.server_sig_algs else {
            return Some(preferred);
        };
        if taken.contains(&preferred) {
            return Some(preferred);
        }
        let mut others = SignatureAlgorithm::ALL.iter().copied();
        others.find(|other| other.key_type() == key_type && taken.contains(other))
    }

    /// Whether [`next_ask`](Self::next_ask) has a question.
    fn has_ask(&self) -> bool {
        match &self.auth.state {
            State::Idle => self.session_id().is_some(),
            State::Unusable | State::ToSign(..) => true,
            State::Waiting(key, _) => key.key_type() != KeyType::Rsa || self.phase >= Phase::Auth,
            _ => false,
        }
    }

    /// The question to the application that is due, if any.
    pub(super) fn next_ask<'b>(&mut self, now: Instant) -> Option<ClientEvent<'b>> {
        // Asked before every packet: the state is moved only where something comes of it.
        if !self.has_ask() {
            return None;
        }
        self.go_on_waiting();
        match mem::take(&mut self.auth.state) {
            State::Idle if self.session_id().is_some() => Some(self.ask(Ask::First, now)),
            State::Unusable => Some(self.ask(Ask::Unusable, now)),
            State::ToSign(key, algorithm) => {
                let data = self.signed_data(&key, algorithm).to_vec();
                let nonce = self.raise_gate(now);
                self.auth.state = State::Signing(key.clone(), algorithm);
                Some(ClientEvent::Sign(SignRequest {
                    nonce,
                    algorithm,
                    key,
                    data,
                }))
            }
            other => {
                self.auth.state = other;
                None
            }
        }
    }

    fn ask<'b>(&mut self, reason: Ask<'b>, now: Instant) -> ClientEvent<'b> {
        self.auth.state = State::Asking;
        let token = AuthToken(self.raise_gate(now));
        ClientEvent::Authenticate { reason, token }
    }

    /// A message of the service or of authentication.
    pub(super) fn auth_message<'b>(
        &mut self,
        payload: Payload<'b>,
        now: Instant,
    ) -> Option<ClientEvent<'b>> {
        match self.try_auth_message(payload, now) {
            Ok(event) => event,
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    fn try_auth_message<'b>(
        &mut self,
        payload: Payload<'b>,
        now: Instant,
    ) -> Result<Option<ClientEvent<'b>>, Error> {
        let bytes = payload.bytes;
        match payload.number {
            number::SSH_MSG_SERVICE_ACCEPT => {
                if ServiceAccept::decode(bytes)?.service_name != USERAUTH {
                    return Err(PeerMisbehaved::ServiceNotRequested.into());
                }
                self.phase = Phase::Auth;
                Ok(None)
            }
            number::SSH_MSG_USERAUTH_BANNER => self.banner(bytes),
            number::SSH_MSG_USERAUTH_FAILURE => {
                let failure = UserauthFailure::decode(bytes)?;
                match mem::take(&mut self.auth.state) {
                    State::Sent(_) | State::Probing(..) => {}
                    _ => return Err(PeerMisbehaved::UnrequestedReply.into()),
                }
                let methods = failure.authentications_that_can_continue;
                let reason = if failure.partial_success {
                    Ask::PartialSuccess { methods }
                } else {
                    Ask::Failed { methods }
                };
                Ok(Some(self.ask(reason, now)))
            }
            number::SSH_MSG_USERAUTH_SUCCESS => {
                UserauthSuccess::decode(bytes)?;
                let State::Sent(by) = mem::replace(&mut self.auth.state, State::Done) else {
                    return Err(PeerMisbehaved::UnrequestedSuccess.into());
                };
                if by == AuthenticatedBy::None && self.auth.require_credential {
                    return Err(AuthenticationError::NoCredentialAsked.into());
                }
                self.auth.user = Vec::new();
                self.connected();
                Ok(Some(ClientEvent::Authenticated { by }))
            }
            number::SSH_MSG_USERAUTH_PK_OK => self.method_message(bytes, now),
            other => Err(PeerMisbehaved::UnexpectedMessage(other).into()),
        }
    }

    /// Number 60, whose meaning depends on what was tried.
    fn method_message<'b>(
        &mut self,
        bytes: &'b [u8],
        now: Instant,
    ) -> Result<Option<ClientEvent<'b>>, Error> {
        match mem::take(&mut self.auth.state) {
            State::Probing(key, algorithm) => {
                let answer = UserauthPkOk::decode(bytes)?;
                if answer.key != key.blob() || answer.algorithm != algorithm.name() {
                    return Err(PeerMisbehaved::KeyNotOffered.into());
                }
                self.auth.state = State::ToSign(key, algorithm);
                Ok(None)
            }
            State::Sent(AuthenticatedBy::Password) => {
                let prompt = UserauthPasswdChangereq::decode(bytes)?.prompt;
                Ok(Some(self.ask(Ask::PasswordExpired { prompt }, now)))
            }
            _ => Err(PeerMisbehaved::UnexpectedMessage(number::SSH_MSG_USERAUTH_PK_OK).into()),
        }
    }

    fn banner<'b>(&mut self, bytes: &'b [u8]) -> Result<Option<ClientEvent<'b>>, Error> {
        let message = UserauthBanner::decode(bytes)?.message;
        let Some(room) = self.auth.banner_room.checked_sub(message.len()) else {
            self.auth.banner_room = 0;
            return Ok(None);
        };
        self.auth.banner_room = room;
        Ok(Some(ClientEvent::Banner { message }))
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn q8_no_password_is_printed() {
        let credentials = [
            Credential::Password("hunter2"),
            Credential::NewPassword {
                old: "hunter2",
                new: "hunter3",
            },
        ];
        let shown = format!("{credentials:?}");
        assert!(
            shown.contains("Password") && !shown.contains("hunter"),
            "{shown}"
        );
        let mut rx = crate::RecvBuf::new();
        rx.push(b"hunter2");
        let shown = [format!("{rx:?}"), format!("{:?}", rx.batch())].concat();
        assert!(!shown.contains("104"), "no bytes either: {shown}");
    }
}
