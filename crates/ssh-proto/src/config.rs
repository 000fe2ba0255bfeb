//! What can be set: [`ClientConfig`], [`ServerConfig`], and the bounds in [`Limits`].
//!
//! Plain structs with public fields and `Default`; checked once, when a connection is made.

mod deadlines;
mod group_exchange;
mod limits;
mod transient_rsa;
mod validate;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

pub use deadlines::{Deadlines, Keepalive};
pub use group_exchange::{DhGroup, DhGroupError, GroupExchange};
pub use limits::Limits;
pub(crate) use transient_rsa::{MAX_TRANSIENT, smallest_transient};
pub use transient_rsa::{TransientRsaKey, TransientRsaKeyError};
pub use validate::ConfigError;

use crate::algorithm::{Algorithms, Preset, SignatureAlgorithm};
use crate::key::{PrivateKey, PublicKey};
use crate::transport::Role;

/// What both roles have in common.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TransportConfig {
    /// The software version of our identification line and, after a space, comments; printable
    /// US-ASCII without a minus sign in the version (RFC 4253 section 4.2).
    pub software: String,
    /// What is offered, in order of preference.
    pub algorithms: Algorithms,
    /// Refuses peers without strict key exchange (`kex-strict-*-v00@openssh.com`), the remedy for
    /// the Terrapin attack (CVE-2023-48795). Off unless the [`Preset`] is `hardened`: what remains is
    /// then reported by
    /// [`Negotiated::prefix_truncation_possible`](crate::kex::Negotiated::prefix_truncation_possible).
    pub require_strict_kex: bool,
    /// Sends the first key exchange message at once, with a guess of the method (RFC 4253
    /// section 7); saves a round trip if the guess is right. Off by default.
    pub guess: bool,
    /// The groups of `diffie-hellman-group-exchange-*`.
    pub group_exchange: GroupExchange,
    /// How hard it is tried to make compressed packets small, 0 (not at all) to 9, where compression is
    /// agreed. Default 3: on text it makes packets 4 % larger than 6 does, in less than half of the time,
    /// and whoever compresses for a fast link waits for the processor.
    pub compression_level: u8,
    /// Bounds on everything that a peer can push on.
    pub limits: Limits,
    /// How long is waited for what.
    pub deadlines: Deadlines,
}

impl TransportConfig {
    fn with_preset(preset: Preset, role: Role) -> Self {
        Self {
            software: String::from(concat!("ssh_proto_", env!("CARGO_PKG_VERSION"))),
            algorithms: preset.algorithms(role),
            require_strict_kex: preset.requires_strict_kex(),
            guess: false,
            group_exchange: GroupExchange::default(),
            compression_level: 3,
            limits: Limits::default(),
            deadlines: Deadlines::default(),
        }
    }

    fn set_preset(&mut self, preset: Preset, role: Role) {
        self.algorithms = preset.algorithms(role);
        self.require_strict_kex = preset.requires_strict_kex();
    }
}

/// What either role may have: what a server has.
impl Default for TransportConfig {
    fn default() -> Self {
        Self::with_preset(Preset::default(), Role::Server)
    }
}

/// Settings of a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// What both roles have in common.
    pub transport: TransportConfig,
    /// Ends the connection if the server lets us in without a credential (CVE-2021-36367 and its
    /// kin): for programs that nobody watches. Off by default; how we got in is always reported.
    pub require_credential: bool,
    /// Channel types that the server may open and the application wants to decide on, such as
    /// `x11`. Every other type is refused without asking (`session` always, RFC 4254 section 6.1);
    /// `forwarded-tcpip` comes through only for forwards that were requested.
    pub channel_types: Vec<String>,
}

impl ClientConfig {
    /// Offers what the preset says, and requires strict key exchange where it does. All that is
    /// neither stays as it is.
    pub fn set_preset(&mut self, preset: Preset) {
        self.transport.set_preset(preset, Role::Client);
    }
}

impl From<Preset> for ClientConfig {
    fn from(preset: Preset) -> Self {
        Self {
            transport: TransportConfig::with_preset(preset, Role::Client),
            require_credential: false,
            channel_types: Vec::new(),
        }
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Preset::default().into()
    }
}

/// Settings of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// What both roles have in common.
    pub transport: TransportConfig,
    /// The host keys, one of each type at the most. At least one is needed.
    pub host_keys: Vec<HostKey>,
    /// What RSA key exchange (RFC 4432) encrypts to. Without it, or with one that is too small, its
    /// methods are not offered, whatever `algorithms.kex` says.
    pub transient_rsa: Option<TransientRsaKey>,
    /// Sent before the first answer to an authentication request (RFC 4252 section 5.4); empty
    /// for none.
    pub banner: String,
    /// Methods that a failed client is told it can continue with.
    pub methods: Methods,
    /// How users may sign. Announced as `server-sig-algs` (RFC 8308 section 3.1); an attempt with
    /// any other algorithm fails.
    pub user_signatures: Vec<SignatureAlgorithm>,
}

impl ServerConfig {
    /// Offers what the preset says, to users who sign as well, and requires strict key exchange where
    /// it does. All that is neither stays as it is.
    pub fn set_preset(&mut self, preset: Preset) {
        self.transport.set_preset(preset, Role::Server);
        self.user_signatures = preset.signatures(Role::Server);
    }
}

impl From<Preset> for ServerConfig {
    fn from(preset: Preset) -> Self {
        Self {
            transport: TransportConfig::with_preset(preset, Role::Server),
            host_keys: Vec::new(),
            transient_rsa: None,
            banner: String::new(),
            methods: Methods::default(),
            user_signatures: preset.signatures(Role::Server),
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Preset::default().into()
    }
}

/// A host key of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HostKey {
    /// Signs in the core.
    Private(Arc<PrivateKey>),
    /// Signs outside: each key exchange asks with a `Sign` event.
    External(PublicKey),
}

impl HostKey {
    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        match self {
            Self::Private(key) => key.public_key(),
            Self::External(key) => key,
        }
    }
}

/// Which authentication methods a server names (RFC 4252 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Methods {
    /// `publickey`.
    pub publickey: bool,
    /// `password`.
    pub password: bool,
}

impl Default for Methods {
    fn default() -> Self {
        Self {
            publickey: true,
            password: true,
        }
    }
}

impl Methods {
    /// No method.
    pub const NONE: Self = Self {
        publickey: false,
        password: false,
    };
    /// `publickey` alone.
    pub const PUBLICKEY: Self = Self {
        publickey: true,
        password: false,
    };
    /// `password` alone.
    pub const PASSWORD: Self = Self {
        publickey: false,
        password: true,
    };

    /// The names, for a name-list.
    pub(crate) fn names(self) -> Vec<&'static str> {
        let methods = [(self.publickey, "publickey"), (self.password, "password")];
        methods
            .into_iter()
            .filter_map(|(on, name)| on.then_some(name))
            .collect()
    }
}
