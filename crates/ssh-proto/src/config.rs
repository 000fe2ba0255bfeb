//! What can be set: [`ClientConfig`], [`ServerConfig`], and the bounds in [`Limits`].
//!
//! Plain structs with public fields and `Default`; checked once, when a connection is made.

mod group_exchange;
mod transient_rsa;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

pub use group_exchange::{DhGroup, DhGroupError, GroupExchange};
pub(crate) use transient_rsa::{MAX_TRANSIENT, smallest_transient};
pub use transient_rsa::{TransientRsaKey, TransientRsaKeyError};

use crate::algorithm::{Algorithms, CipherAlgorithm, Preset, SignatureAlgorithm};
use crate::key::{PrivateKey, PublicKey};
use crate::recv::{INFLATE_AHEAD, RECV_BUF_SIZE};
use crate::transport::{DEFLATE_MEMORY, INFLATE_MEMORY, Role, deflate_bound};

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

/// Every bound that a peer can push on, for one connection. Sizes are in bytes. Each names the test
/// of this project that pushes on it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// A packet on the wire before authentication; at least 35,000 (RFC 4253 section 6.1). Also
    /// what may wait to be written then before nothing more is read, and at any time the largest
    /// message of a key exchange.
    ///
    /// Proved by `a_packet_before_authentication_may_be_so_long`,
    /// `before_authentication_nothing_is_read_while_a_packet_waits_to_be_written` and
    /// `a_key_exchange_has_no_larger_messages_later_than_at_first`.
    pub packet_before_auth: usize,
    /// A packet on the wire after authentication; at least 35,000.
    ///
    /// Proved by `a_packet_after_authentication_may_be_so_long`.
    pub packet: usize,
    /// What a compressed packet may inflate to after authentication; at least 35,000, and 1 KiB more than
    /// `maximum_packet`. Before authentication it is `packet_before_auth`. Room for it, and 128 KiB more,
    /// is in the [`RecvBuf`](crate::RecvBuf) from the first compressed packet on.
    ///
    /// Proved by `z1_a_small_packet_that_becomes_a_large_one` and
    /// `z2_a_packet_that_inflates_to_the_limit_is_intact`.
    pub inflated: usize,
    /// Packets received before authentication has ended.
    ///
    /// Proved by `packets_before_authentication_are_counted`.
    pub packets_before_auth: u64,
    /// Bytes received before authentication has ended.
    ///
    /// Proved by `bytes_before_authentication_are_counted`.
    pub bytes_before_auth: u64,
    /// Channels open or opening at a time, both sides' together.
    ///
    /// Proved by `so_many_channels_may_be_open`.
    pub channels: usize,
    /// The most that a new channel is granted. It gets a fair share of what is left of
    /// `window_total`, which may be less. The window grows from there where it limits the peer
    /// while the application releases what comes.
    ///
    /// Proved by `slow_reader_is_bounded`.
    pub window: u32,
    /// All windows granted on one connection, grown ones included, so also the most received data
    /// that is not released; at least 1024 for each of `channels`. One channel may grow to about
    /// three quarters of it; a link is filled by about 1.1 times what is under way in a round
    /// trip. An eighth is kept for channels that are not open yet.
    ///
    /// Proved by `all_windows_together_are_bounded`.
    pub window_total: u64,
    /// The largest data packet that the peer may send on a channel.
    ///
    /// Proved by `a_data_packet_may_be_so_long`.
    pub maximum_packet: u32,
    /// Decisions of the application that may be pending (channel opens and requests that were
    /// deferred). One more is refused at once. Three times as many replies that are decided, and
    /// 128 at the least, may wait behind them for their turn; one more ends the connection.
    ///
    /// Proved by `so_many_tickets_may_be_pending` and
    /// `x10_answers_do_not_pile_up_behind_one_that_is_deferred`.
    pub tickets: usize,
    /// Our own requests and channel opens that may be unanswered.
    ///
    /// Proved by `so_many_of_our_requests_may_be_unanswered`.
    pub requests_unanswered: usize,
    /// What is owed to the peer during a key exchange; a message counts for 16 at the least.
    ///
    /// Proved by `what_is_owed_during_a_key_exchange_is_bounded`.
    pub held: usize,
    /// Data that waits to be written: above it `send` accepts nothing.
    ///
    /// Proved by `send_accepts_nothing_above_the_mark`.
    pub output: usize,
    /// Replies that wait to be written, beyond `output`; at least `maximum_packet` and 16 KiB. When
    /// there may be no room for one more of the size of `maximum_packet`, nothing more is read.
    ///
    /// Proved by `above_its_mark_for_replies_nothing_is_read`.
    pub control: usize,
    /// Text of banners that is reported in all; further banners are dropped.
    ///
    /// Proved by `so_much_text_of_banners_is_reported`.
    pub banner: usize,
    /// Failed attempts to authenticate (server).
    ///
    /// Proved by `so_many_attempts_may_fail`.
    pub auth_failures: u32,
    /// Keys that may be offered without a signature (server).
    ///
    /// Proved by `so_many_keys_may_be_offered`.
    pub auth_probes: u32,
    /// Length of a user name (server).
    ///
    /// Proved by `a_user_name_may_be_so_long`.
    pub user_name: usize,
    /// Length of a password (server); a longer one fails without being looked at.
    ///
    /// Proved by `a_password_may_be_so_long`.
    pub password: usize,
    /// Bytes in one direction after which keys are exchanged (RFC 4253 section 9). Four times as
    /// many received end the connection, or twice `window_total` more if that is later: a peer
    /// may have filled its windows before it learns that keys are to be exchanged.
    ///
    /// A cipher may want less of both (RFC 4344 section 3.2), and then that is what counts: with
    /// blocks of 128 bits 32 GiB and 64 GiB, with blocks of 64 bits and with RC4 512 MiB and 1 GiB.
    ///
    /// Proved by `by_bytes_in_either_direction`, `p8_the_lesser_limit_wins` and
    /// `r7_a_peer_that_ignores_the_need_for_new_keys`.
    pub rekey_bytes: u64,
    /// Packets in one direction after which keys are exchanged (RFC 4344 section 3.1).
    ///
    /// Proved by `by_packets`.
    pub rekey_packets: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_before_auth: 35_000,
            packet: 256 * 1024,
            inflated: 256 * 1024,
            packets_before_auth: 1_000,
            bytes_before_auth: 1024 * 1024,
            channels: 256,
            window: 2 * 1024 * 1024,
            window_total: 16 * 1024 * 1024,
            maximum_packet: 32 * 1024,
            tickets: 64,
            requests_unanswered: 128,
            held: 32 * 1024,
            output: 128 * 1024,
            control: 64 * 1024,
            banner: 64 * 1024,
            auth_failures: 6,
            auth_probes: 20,
            user_name: 1024,
            password: 1024,
            rekey_bytes: 1 << 30,
            rekey_packets: 1 << 31,
        }
    }
}

/// What a connection holds whatever is asked of it: itself, its configuration, keys, and what a key
/// exchange computes with.
const MEMORY_BASE: usize = 14 * 1024;
/// Before authentication a signature by the largest RSA key is verified, a power modulo the largest
/// prime is computed, or the lists of KEXINIT are compared.
const MEMORY_BASE_BEFORE_AUTH: usize = 24 * 1024;

impl Limits {
    /// The most memory that a connection and its [`RecvBuf`](crate::RecvBuf) take before
    /// authentication, whatever the peer does, in bytes: about three packets. It leaves out what the
    /// application keeps, and what it sends by itself: names of algorithms, a banner.
    ///
    /// Proved, as [`memory`](Self::memory), by `no_peer_gets_more_memory_than_the_limits_say` and
    /// `other_limits_make_other_bounds`.
    ///
    /// ```
    /// # use ssh_proto::config::Limits;
    /// assert!(Limits::default().memory_before_auth() <= 128 * 1024);
    /// ```
    pub const fn memory_before_auth(&self) -> usize {
        let packet = self.largest_before_auth();
        let user = if self.user_name < packet {
            self.user_name
        } else {
            packet
        };
        packet
            .saturating_mul(3)
            .saturating_add(user)
            .saturating_add(MEMORY_BASE_BEFORE_AUTH)
    }

    /// The most memory that a connection with so many channels and its
    /// [`RecvBuf`](crate::RecvBuf) take after authentication, whatever the peer does, in bytes. It
    /// leaves out what the application keeps: received data that it has not released is at most
    /// [`window_total`](Self::window_total). Where the allocator cannot let a block grow in place,
    /// the old one is there as well for as long as it takes to copy it. Keys are those of AES with
    /// HMAC; one of UMAC takes 2 KiB, one of `blowfish-cbc` 4 KiB, and while keys are exchanged there
    /// are four of them.
    ///
    /// ```
    /// # use ssh_proto::config::Limits;
    /// assert!(Limits::default().memory(0) <= 512 * 1024);
    /// assert_eq!(Limits::default().memory(10), Limits::default().memory(0) + 10 * 2048);
    /// ```
    pub const fn memory(&self, channels: usize) -> usize {
        let waiting = self.output.saturating_add(self.above_output());
        // A packet that is not complete, all that may wait to be written, and all that is owed ...
        let reading = self.largest().saturating_add(self.held);
        // ... which makes several times as much of it when it is sealed; but then the packet is one
        // of a key exchange.
        let packet = self.largest_before_auth();
        let larger = if self.held > packet {
            self.held
        } else {
            packet
        };
        let sealing = packet
            .saturating_add(larger)
            .saturating_add(self.held.saturating_mul(25) / 4);
        let more = if reading > sealing { reading } else { sealing };
        waiting
            .saturating_add(more)
            .saturating_add(self.tickets.saturating_mul(160))
            .saturating_add(self.requests_unanswered.saturating_mul(64))
            .saturating_add(channels.saturating_mul(2048))
            .saturating_add(MEMORY_BASE)
    }

    /// What compression in both directions takes beside [`memory`](Self::memory), and beside
    /// [`memory_before_auth`](Self::memory_before_auth) where it begins before authentication, in bytes:
    /// 324 KiB and a packet for what is sent, 43 KiB and the room for what packets inflate to
    /// ([`inflated`](Self::inflated) and 128 KiB more) for what is received. None of it is there before
    /// the first packet that is compressed.
    ///
    /// Proved by `no_peer_gets_more_memory_with_compression_than_the_limits_say`.
    ///
    /// ```
    /// # use ssh_proto::config::Limits;
    /// assert!(Limits::default().memory_of_compression() <= 800 * 1024);
    /// ```
    pub const fn memory_of_compression(&self) -> usize {
        /// What stands before the data of a message.
        const HEAD: usize = 1024;
        let payload = if self.maximum_packet as usize > 32 * 1024 {
            self.maximum_packet as usize
        } else {
            32 * 1024
        };
        let inflated = if self.inflated > self.packet_before_auth {
            self.inflated
        } else {
            self.packet_before_auth
        };
        let packed = deflate_bound(payload.saturating_add(HEAD));
        DEFLATE_MEMORY
            .saturating_add(packed)
            .saturating_add(packed.saturating_sub(payload))
            .saturating_add(INFLATE_MEMORY)
            .saturating_add(inflated)
            .saturating_add(INFLATE_AHEAD)
    }

    /// Up to so much output requests of the application are taken: half of what is above the mark for
    /// data is for what the peer is owed, so that requests alone never keep this side from reading.
    pub(crate) const fn request_mark(&self) -> usize {
        let above = self.stall_mark().saturating_sub(self.output);
        self.output.saturating_add(above / 2)
    }

    /// Above so much output nothing is read after authentication.
    pub(crate) const fn stall_mark(&self) -> usize {
        let above = self.above_output();
        let all = self.output.saturating_add(above);
        all.saturating_sub(self.maximum_packet as usize)
    }

    /// Room for replies: for one of the largest, and for some more at the least.
    const fn above_output(&self) -> usize {
        const MORE: usize = 16 * 1024;
        let reply = (self.maximum_packet as usize).saturating_add(MORE);
        if self.control > reply {
            self.control
        } else {
            reply
        }
    }

    const fn largest_before_auth(&self) -> usize {
        if self.packet_before_auth > RECV_BUF_SIZE {
            self.packet_before_auth
        } else {
            RECV_BUF_SIZE
        }
    }

    const fn largest(&self) -> usize {
        if self.packet > RECV_BUF_SIZE {
            self.packet
        } else {
            RECV_BUF_SIZE
        }
    }
}

/// How long is waited for what. `Duration::MAX` is for ever.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Deadlines {
    /// The peer's identification line.
    pub identification: Duration,
    /// One key exchange, from our KEXINIT to the peer's NEWKEYS.
    pub key_exchange: Duration,
    /// Everything before the end of authentication, decisions of the application excepted.
    pub authentication: Duration,
    /// A decision of the application that holds up the connection (host key, signature,
    /// credential, authentication).
    pub decision: Duration,
    /// A ticket that was deferred. After it the request is refused.
    pub ticket: Duration,
    /// Output that the peer does not take, once nothing more can be read because of it.
    pub output_stalled: Duration,
    /// Time after which keys are exchanged (RFC 4253 section 9).
    pub rekey: Duration,
    /// Signs of life, `None` for none. Never before authentication.
    pub keepalive: Option<Keepalive>,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            identification: Duration::from_secs(20),
            key_exchange: Duration::from_secs(60),
            authentication: Duration::from_secs(120),
            decision: Duration::from_secs(120),
            ticket: Duration::from_secs(60),
            output_stalled: Duration::from_secs(60),
            rekey: Duration::from_secs(3600),
            keepalive: None,
        }
    }
}

/// When to ask a silent peer whether it is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence after which a request is sent. Anything that is received counts as an answer.
    pub interval: Duration,
    /// How many requests in a row may stay without an answer.
    pub count: u32,
}

/// A configuration that cannot work: which field, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: Box<str>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "configuration: `{}` {}", self.field, self.reason)
    }
}

impl core::error::Error for ConfigError {}

impl TransportConfig {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let a = &self.algorithms;
        /// Far beyond what makes sense, and far from where arithmetic ends.
        const MUCH: usize = 1 << 30;
        let aead = |ciphers: &[CipherAlgorithm]| ciphers.iter().all(|cipher| cipher.is_aead());
        let macs_c2s = !a.macs_client_to_server.is_empty() || aead(&a.ciphers_client_to_server);
        let macs_s2c = !a.macs_server_to_client.is_empty() || aead(&a.ciphers_server_to_client);
        let compression = !a.compression_client_to_server.is_empty()
            && !a.compression_server_to_client.is_empty();
        let compresses = a
            .compression_client_to_server
            .iter()
            .chain(&a.compression_server_to_client)
            .any(|method| !method.is_none());
        let window_floor = limits.channels as u64 * 1024;
        let rules = [
            (
                "limits.packet_before_auth",
                limits.packet_before_auth >= 35_000,
                "is below 35000",
            ),
            ("limits.packet", limits.packet >= 35_000, "is below 35000"),
            ("limits.packet", limits.packet <= MUCH, "is above 2^30"),
            (
                "limits.inflated",
                (35_000..=MUCH).contains(&limits.inflated),
                "is not 35000 to 2^30",
            ),
            (
                "limits.maximum_packet",
                !compresses
                    || limits.maximum_packet as usize <= limits.inflated.saturating_sub(1024),
                "does not fit into limits.inflated",
            ),
            (
                "compression_level",
                self.compression_level <= 9,
                "is not 0 to 9",
            ),
            (
                "limits.maximum_packet",
                limits.maximum_packet >= 1024,
                "is below 1024",
            ),
            (
                "limits.maximum_packet",
                limits.maximum_packet as usize <= limits.packet.saturating_sub(1024),
                "does not fit into limits.packet",
            ),
            (
                "limits.window",
                limits.window >= limits.maximum_packet,
                "is below maximum_packet",
            ),
            (
                "limits.channels",
                (1..=1 << 20).contains(&limits.channels),
                "is not 1 to 2^20",
            ),
            (
                "limits.window_total",
                limits.window_total >= window_floor,
                "is below 1024 for each of limits.channels",
            ),
            (
                "limits.requests_unanswered",
                limits.requests_unanswered > 0,
                "leaves nothing to be asked",
            ),
            (
                "limits.output",
                (2048..=MUCH).contains(&limits.output),
                "is not 2048 to 2^30",
            ),
            (
                "limits.control",
                (35_000..=MUCH).contains(&limits.control),
                "is not 35000 to 2^30",
            ),
            (
                "limits.held",
                (1024..=1 << 24).contains(&limits.held),
                "is not 1024 to 2^24",
            ),
            (
                "limits.rekey_bytes",
                limits.rekey_bytes >= 32 * 1024,
                "is below 32768",
            ),
            (
                "limits.rekey_packets",
                limits.rekey_packets >= 64,
                "is below 64",
            ),
            (
                "limits.rekey_packets",
                limits.rekey_packets <= 1 << 31,
                "is above 2^31",
            ),
            ("algorithms.kex", !a.kex.is_empty(), "is empty"),
            ("algorithms.host_key", !a.host_key.is_empty(), "is empty"),
            (
                "algorithms.ciphers",
                !a.ciphers_client_to_server.is_empty() && !a.ciphers_server_to_client.is_empty(),
                "is empty",
            ),
            (
                "algorithms.macs",
                macs_c2s && macs_s2c,
                "is empty, and not every cipher is an AEAD",
            ),
            (
                "algorithms.compression",
                compression,
                "is empty: `none` is a method too",
            ),
        ];
        for (field, holds, reason) in rules.into_iter().chain(self.group_exchange.rules()) {
            if !holds {
                return Err(ConfigError {
                    field,
                    reason: reason.into(),
                });
            }
        }
        Ok(())
    }
}
