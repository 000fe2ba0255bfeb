//! The server: the side that has the host key and decides who may come in.
//!
//! [`Server`] is both halves with one owner, [`ServerSend`] the sending half alone. Each attempt to
//! come in holds up the connection until it is answered. A key that is offered and a key that has
//! signed are different events with different answers, so that no offer can be taken for a proof.

mod auth;

use alloc::boxed::Box;
use core::fmt;
use core::ops::{Deref, DerefMut};

use auth::{Auth, MAX_BANNER};

use crate::algorithm::SignatureAlgorithm;
pub use crate::auth::{AuthenticatedBy, SignRequest};
use crate::config::{ConfigError, HostKey, ServerConfig};
use crate::error::{End, Error, Misuse};
use crate::escape::Escaped;
use crate::kex::Keys;
use crate::key::PublicKey;
use crate::message::KexMessages;
use crate::mux::{ChannelEvent, GlobalEvent};
use crate::peer;
use crate::random::Random;
use crate::recv::{Batch, Wants};
use crate::recv_side::{Control, RecvSide};
use crate::send_side::{Applied, Pending, SendSide, TransportEvent};
use crate::time::Instant;
use crate::transport::Role;

/// What happens on a server. What is lent lies in the receive buffer.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerEvent<'b> {
    /// Something that concerns the transport.
    Transport(TransportEvent<'b>),
    /// Something is to be signed with a host key that is outside. Answer with
    /// [`signed`](ServerSend::signed) or [`not_signed`](ServerSend::not_signed).
    Sign(SignRequest),
    /// Somebody wants to come in.
    Auth(AuthEvent<'b>),
    /// Something happened on a channel.
    Channel(ChannelEvent<'b>),
    /// Something that concerns the connection as a whole.
    Global(GlobalEvent<'b>),
    /// The connection has ended. Always the last event; write what `output()` still holds.
    Ended(End),
}

/// Somebody wants to come in. Nothing goes on until the question is answered; what the user
/// proved before stands in [`proven`](ServerSend::proven).
#[non_exhaustive]
pub enum AuthEvent<'b> {
    /// Without a credential (RFC 4252 section 5.2). Clients begin with it to learn the methods:
    /// reject it unless everybody may come in.
    None {
        /// The name, as the peer wrote it; show it escaped.
        user: &'b [u8],
        /// Takes the answer.
        decision: AuthDecision,
    },
    /// With a password (RFC 4252 section 8).
    Password {
        /// The name, as the peer wrote it; show it escaped.
        user: &'b [u8],
        /// The password.
        password: &'b [u8],
        /// The client wants it changed to this.
        new_password: Option<&'b [u8]>,
        /// Takes the answer.
        decision: AuthDecision,
    },
    /// With a key, *which the client has not proven to hold*: would it do?
    KeyOffered {
        /// The name, as the peer wrote it; show it escaped.
        user: &'b [u8],
        /// The key.
        key: PublicKey,
        /// How it would sign.
        algorithm: SignatureAlgorithm,
        /// Takes the answer, which lets nobody in.
        offer: KeyOffer,
    },
    /// With a key, which signed this very session for this very user. The decision is to be made
    /// for this key: what was offered before does not matter (CVE-2024-45337).
    KeyProven {
        /// The name, as the peer wrote it; show it escaped.
        user: &'b [u8],
        /// The key that signed.
        key: PublicKey,
        /// How it signed.
        algorithm: SignatureAlgorithm,
        /// Takes the answer.
        decision: AuthDecision,
    },
}

/// Without passwords and signatures: events end up in logs.
impl fmt::Debug for AuthEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, user) = match self {
            Self::None { user, .. } => ("None", user),
            Self::Password { user, .. } => ("Password", user),
            Self::KeyOffered { user, .. } => ("KeyOffered", user),
            Self::KeyProven { user, .. } => ("KeyProven", user),
        };
        let mut shown = f.debug_struct(name);
        shown.field("user", &Escaped(user));
        if let Self::KeyOffered { key, algorithm, .. } | Self::KeyProven { key, algorithm, .. } =
            self
        {
            shown.field("key", key).field("algorithm", algorithm);
        }
        shown.finish_non_exhaustive()
    }
}

/// Takes the answer to an attempt to come in.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the client waits for the answer"]
pub struct AuthDecision(u64);

/// Takes the answer to [`AuthEvent::KeyOffered`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the client waits for the answer"]
pub struct KeyOffer(u64);

/// The server's side of a connection: both halves, with one owner.
///
/// Everything that can be done is in [`ServerSend`] and [`SendSide`], which this type derefs to.
#[derive(Debug)]
pub struct Server {
    recv: RecvSide,
    send: ServerSend,
}

/// The sending half of a server.
#[derive(Debug)]
pub struct ServerSend {
    send: SendSide,
    auth: Auth,
}

impl Server {
    /// Begins a connection.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration cannot work (there must be a host key that one of
    /// `algorithms.host_key` can use) or the random source fails.
    pub fn new(config: ServerConfig, random: Box<dyn Random + Send>) -> Result<Self, ConfigError> {
        let ServerConfig {
            transport,
            host_keys,
            transient_rsa,
            banner,
            methods,
            user_signatures,
        } = config;
        let usable = transport.algorithms.host_key.iter().any(|algorithm| {
            host_keys
                .iter()
                .any(|key| key.public_key().key_type() == algorithm.key_type())
        });
        let key_type = |key: &HostKey| key.public_key().key_type();
        let twice = host_keys.iter().enumerate().any(|(n, key)| {
            host_keys
                .iter()
                .take(n)
                .any(|other| key_type(other) == key_type(key))
        });
        if twice {
            let reason = "has two keys of one type: clients ask for a type".into();
            return Err(ConfigError {
                field: "host_keys",
                reason,
            });
        }
        if banner.len() > MAX_BANNER {
            return Err(ConfigError {
                field: "banner",
                reason: "is longer than 8192 bytes".into(),
            });
        }
        if !usable {
            let reason = "has no key that `algorithms.host_key` can use".into();
            return Err(ConfigError {
                field: "host_keys",
                reason,
            });
        }
        let rsa_alone = transport
            .algorithms
            .kex
            .iter()
            .all(|kex| kex.messages() == KexMessages::Rsa);
        if rsa_alone && transient_rsa.is_none() {
            let reason = "is missing, and `algorithms.kex` holds nothing but RSA".into();
            return Err(ConfigError {
                field: "transient_rsa",
                reason,
            });
        }
        let auth = Auth::new(&transport.limits, banner, methods);
        let keys = Keys {
            host: host_keys,
            transient_rsa,
        };
        let types = alloc::vec::Vec::new();
        let (mut send, recv) = SendSide::new(Role::Server, transport, keys, types, random)?;
        send.user_signatures = user_signatures;
        Ok(Self {
            recv,
            send: ServerSend { send, auth },
        })
    }

    /// The next event, from what was read or from within. `None` is explained by
    /// [`wants`](Self::wants).
    pub fn poll_event<'b>(
        &mut self,
        batch: &mut Batch<'b>,
        now: Instant,
    ) -> Option<ServerEvent<'b>> {
        peer::poll_event(&mut self.recv, &mut self.send, batch, now)
    }

    /// What is needed next.
    pub fn wants(&self) -> Wants {
        self.send.wants(&self.recv)
    }

    /// The size of the packet at the front of the input; see [`RecvSide::need`].
    pub fn need(&self) -> usize {
        self.recv.need()
    }

    /// The transport has ended: nothing more will come than what was read already. An event
    /// follows.
    pub const fn close_input(&mut self) {
        self.recv.close_input();
    }

    /// As if so many packets had been received already under the keys in use.
    #[cfg(feature = "internal-fuzzing")]
    pub fn fuzz_received(&mut self, packets: u32) {
        self.recv.fuzz_received(packets);
    }

    /// As if so many bytes had been received already under the keys in use.
    #[cfg(feature = "internal-fuzzing")]
    pub fn fuzz_received_bytes(&mut self, bytes: u64) {
        self.recv.fuzz_received_bytes(bytes);
    }

    /// Parts with the two halves, for two threads.
    pub fn split(self) -> (RecvSide, ServerSend) {
        let (recv, mut send) = (self.recv, self.send);
        send.mux.stop_counting();
        (recv, send)
    }
}

impl ServerSend {
    /// The signature that was asked for: a signature blob of the algorithm and the key of the
    /// request. One that does not verify ends the connection and is not sent.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the request is of another connection; [`Misuse::Ended`].
    pub fn signed(&mut self, request: SignRequest, signature: &[u8]) -> Result<(), Misuse> {
        self.send.lower_gate(request.nonce)?;
        match self.send.kex.signed(signature, &mut self.send.out) {
            Ok(()) => self.send.after_kex(),
            Err(error) => self.send.fail(error),
        }
        Ok(())
    }

    /// There will be no signature: the connection ends.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the request is of another connection; [`Misuse::Ended`].
    pub fn not_signed(&mut self, request: SignRequest) -> Result<(), Misuse> {
        self.send.lower_gate(request.nonce)?;
        self.send.fail(Error::Signer);
        Ok(())
    }

    /// Applies what [`RecvSide::open`] took off a batch.
    pub fn apply<'b>(
        &mut self,
        control: Control<'b>,
        recv: &mut RecvSide,
        now: Instant,
    ) -> Option<ServerEvent<'b>> {
        Some(match self.send.apply(control, recv, now) {
            Applied::Nothing => return None,
            Applied::Channel(event) => ServerEvent::Channel(event),
            Applied::Global(event) => ServerEvent::Global(event),
            Applied::Transport(event) => ServerEvent::Transport(event),
            Applied::Sign {
                algorithm,
                key,
                data,
            } => {
                let nonce = self.send.raise_gate(now);
                self.send.sync(recv);
                ServerEvent::Sign(SignRequest {
                    nonce,
                    algorithm,
                    key,
                    data,
                })
            }
            Applied::Decide(_) => {
                self.send
                    .fail(Error::Internal("a server trusts no host keys"));
                return None;
            }
            Applied::Auth(payload) => {
                let event = self.auth_message(payload, now);
                self.send.sync(recv);
                return event.map(ServerEvent::Auth);
            }
        })
    }

    /// What [`Server::poll_event`] begins with, for drivers that own the halves apart: an
    /// unanswered ticket is refused, and both halves learn what the other one knows.
    pub fn begin_poll(&mut self, recv: &mut RecvSide) {
        self.send.begin_poll(recv);
    }

    /// The next event that does not come from input. To be asked before each
    /// [`RecvSide::open`] that may have something to wait for, and after every timeout.
    pub fn pending_event<'b>(
        &mut self,
        recv: &mut RecvSide,
        _now: Instant,
    ) -> Option<ServerEvent<'b>> {
        Some(match self.send.pending(recv)? {
            Pending::Ended(end) => ServerEvent::Ended(end),
            Pending::Writable(channel) => ServerEvent::Channel(ChannelEvent::Writable { channel }),
        })
    }
}

impl Deref for ServerSend {
    type Target = SendSide;

    fn deref(&self) -> &SendSide {
        &self.send
    }
}

impl DerefMut for ServerSend {
    fn deref_mut(&mut self) -> &mut SendSide {
        &mut self.send
    }
}

impl Deref for Server {
    type Target = ServerSend;

    fn deref(&self) -> &ServerSend {
        &self.send
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut ServerSend {
        &mut self.send
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn an_attempt_is_printed_without_its_password_and_its_name_escaped() {
        let event = AuthEvent::Password {
            user: b"al\x1bice",
            password: b"hunter2",
            new_password: Some(b"hunter3"),
            decision: AuthDecision(1),
        };
        let shown = format!(
            "{:?} {event:02x?}",
            ServerEvent::Auth(AuthEvent::None {
                user: b"",
                decision: AuthDecision(1),
            })
        );
        assert_eq!(
            shown,
            r#"Auth(None { user: "", .. }) Password { user: "al\u{1b}ice", .. }"#
        );
    }
}
