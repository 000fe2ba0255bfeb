//! The client: the side that connects, decides whether to trust the host, and logs in.
//!
//! [`Client`] is both halves with one owner, [`ClientSend`] the sending half alone. Decisions hold up
//! the connection until they are answered: whether the host key is the right one, what credential
//! is shown, a signature that is made outside. No credential leaves before the host key is trusted.

mod auth;

use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};

use auth::Auth;
pub use auth::{Credential, Probe};

pub use crate::auth::{AuthenticatedBy, SignRequest};
use crate::config::{ClientConfig, ConfigError};
use crate::error::{End, Error, HostKeyError, Misuse};
use crate::kex::Keys;
use crate::key::{Fingerprint, PublicKey};
use crate::mux::{ChannelEvent, GlobalEvent};
use crate::peer;
use crate::random::Random;
use crate::recv::{Batch, Wants};
use crate::recv_side::{Control, RecvSide};
use crate::send_side::{Applied, Pending, SendSide, TransportEvent};
use crate::time::Instant;
use crate::transport::Role;
use crate::wire::NameList;

/// What happens on a client. What is lent lies in the receive buffer.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientEvent<'b> {
    /// Something that concerns the transport.
    Transport(TransportEvent<'b>),
    /// The server has proven that it holds this key. Is it the right one?
    ///
    /// Nothing is sent that is worth anything until [`trust`](ClientSend::trust) is called, and
    /// nothing goes on until that or [`distrust`](ClientSend::distrust).
    HostKey {
        /// The key.
        key: PublicKey,
        /// Its SHA-256 fingerprint, as people compare it.
        fingerprint: Fingerprint,
        /// Takes the answer.
        decision: HostKeyDecision,
    },
    /// A credential is wanted. Answer with [`authenticate`](ClientSend::authenticate), or
    /// disconnect.
    Authenticate {
        /// Why it is asked for.
        reason: Ask<'b>,
        /// Takes the answer.
        token: AuthToken,
    },
    /// Something is to be signed for a [`Credential::PublicKey`]. Answer with
    /// [`signed`](ClientSend::signed) or [`not_signed`](ClientSend::not_signed).
    Sign(SignRequest),
    /// The server shows a text (RFC 4252 section 5.4).
    Banner {
        /// The text, which may have several lines; show it escaped.
        message: &'b [u8],
    },
    /// We are in. Channels can be opened.
    Authenticated {
        /// What convinced the server.
        by: AuthenticatedBy,
    },
    /// Something happened on a channel.
    Channel(ChannelEvent<'b>),
    /// Something that concerns the connection as a whole.
    Global(GlobalEvent<'b>),
    /// The connection has ended. Always the last event; write what `output()` still holds.
    Ended(End),
}

/// Why a credential is asked for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Ask<'b> {
    /// None was tried yet. The server's methods are unknown, unless
    /// [`Credential::None`] asks for them.
    First,
    /// The last one was refused.
    Failed {
        /// Methods that can continue.
        methods: NameList<'b>,
    },
    /// The last one was accepted, and the server wants another one as well.
    PartialSuccess {
        /// Methods that can continue.
        methods: NameList<'b>,
    },
    /// The password was right but must be changed: see [`Credential::NewPassword`].
    PasswordExpired {
        /// The server's words; show them escaped.
        prompt: &'b [u8],
    },
    /// The last one could not be used here: the signature was declined, or the server takes no
    /// algorithm that the key has. The server was not asked.
    Unusable,
}

/// Takes the answer to [`ClientEvent::HostKey`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the connection waits for the decision"]
pub struct HostKeyDecision(u64);

/// Takes the answer to [`ClientEvent::Authenticate`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the connection waits for the credential"]
pub struct AuthToken(u64);

/// The client's side of a connection: both halves, with one owner.
///
/// Everything that can be done is in [`ClientSend`] and [`SendSide`], which this type derefs to.
#[derive(Debug)]
pub struct Client {
    recv: RecvSide,
    send: ClientSend,
}

/// The sending half of a client.
#[derive(Debug)]
pub struct ClientSend {
    send: SendSide,
    auth: Auth,
}

impl Client {
    /// Begins a connection. Write [`output`](SendSide::output) first: the client speaks without
    /// waiting for the server.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration cannot work or the random source fails.
    pub fn new(config: ClientConfig, random: Box<dyn Random + Send>) -> Result<Self, ConfigError> {
        let ClientConfig {
            transport,
            require_credential,
            channel_types,
        } = config;
        let banner = transport.limits.banner;
        let keys = Keys::default();
        let (send, recv) = SendSide::new(Role::Client, transport, keys, channel_types, random)?;
        let auth = Auth::new(require_credential, banner);
        Ok(Self {
            recv,
            send: ClientSend { send, auth },
        })
    }

    /// The next event, from what was read or from within. `None` is explained by
    /// [`wants`](Self::wants).
    pub fn poll_event<'b>(
        &mut self,
        batch: &mut Batch<'b>,
        now: Instant,
    ) -> Option<ClientEvent<'b>> {
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
    pub fn split(self) -> (RecvSide, ClientSend) {
        let (recv, mut send) = (self.recv, self.send);
        send.mux.stop_counting();
        (recv, send)
    }
}

impl ClientSend {
    /// The application trusts the host key: the connection goes on.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the decision is of another connection; [`Misuse::Ended`].
    pub fn trust(&mut self, decision: HostKeyDecision) -> Result<(), Misuse> {
        self.send.lower_gate(decision.0)?;
        match self.send.kex.trust(&mut self.send.out) {
            Ok(()) => self.send.after_kex(),
            Err(error) => self.send.fail(error),
        }
        Ok(())
    }

    /// The application does not trust the host key: the connection ends.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the decision is of another connection; [`Misuse::Ended`].
    pub fn distrust(&mut self, decision: HostKeyDecision) -> Result<(), Misuse> {
        self.send.lower_gate(decision.0)?;
        self.send.fail(HostKeyError::Distrusted.into());
        Ok(())
    }

    /// Applies what [`RecvSide::open`] took off a batch.
    pub fn apply<'b>(
        &mut self,
        control: Control<'b>,
        recv: &mut RecvSide,
        now: Instant,
    ) -> Option<ClientEvent<'b>> {
        Some(match self.send.apply(control, recv, now) {
            Applied::Nothing => return None,
            Applied::Channel(event) => ClientEvent::Channel(event),
            Applied::Global(event) => ClientEvent::Global(event),
            Applied::Transport(event) => ClientEvent::Transport(event),
            Applied::Decide(key) => {
                let decision = HostKeyDecision(self.send.raise_gate(now));
                self.send.sync(recv);
                ClientEvent::HostKey {
                    fingerprint: key.fingerprint(),
                    key,
                    decision,
                }
            }
            Applied::Sign { .. } => {
                self.send.fail(Error::Internal("a client has no host key"));
                return None;
            }
            Applied::Auth(payload) => {
                let event = self.auth_message(payload, now);
                self.send.sync(recv);
                return event;
            }
        })
    }

    /// What [`Client::poll_event`] begins with, for drivers that own the halves apart: an
    /// unanswered ticket is refused, and both halves learn what the other one knows.
    pub fn begin_poll(&mut self, recv: &mut RecvSide) {
        self.send.begin_poll(recv);
    }

    /// The next event that does not come from input. To be asked before each
    /// [`RecvSide::open`] that may have something to wait for, and after every timeout.
    pub fn pending_event<'b>(
        &mut self,
        recv: &mut RecvSide,
        now: Instant,
    ) -> Option<ClientEvent<'b>> {
        match self.send.pending(recv) {
            Some(Pending::Ended(end)) => return Some(ClientEvent::Ended(end)),
            Some(Pending::Writable(channel)) => {
                return Some(ClientEvent::Channel(ChannelEvent::Writable { channel }));
            }
            None => {}
        }
        if self.send.has_ended() || self.send.is_waiting_for_answer() {
            return None;
        }
        let event = self.next_ask(now)?;
        self.send.sync(recv);
        recv.want_batch();
        Some(event)
    }
}

impl Deref for ClientSend {
    type Target = SendSide;

    fn deref(&self) -> &SendSide {
        &self.send
    }
}

impl DerefMut for ClientSend {
    fn deref_mut(&mut self) -> &mut SendSide {
        &mut self.send
    }
}

impl Deref for Client {
    type Target = ClientSend;

    fn deref(&self) -> &ClientSend {
        &self.send
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut ClientSend {
        &mut self.send
    }
}
