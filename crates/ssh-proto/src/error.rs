//! Why a connection ends, sorted by blame, and the one map from that to what the peer is told.
//!
//! [`End`] is in the last event of every connection. An [`Error`] says whose fault it was. A call
//! that makes no sense now is a [`Misuse`] instead: it changes nothing and ends nothing. Texts of
//! the peer are escaped where an error is displayed.

use alloc::boxed::Box;
use alloc::collections::TryReserveError;
use alloc::vec::Vec;
use core::fmt;

use crate::escape::Escaped;
use crate::kex::NegotiationReport;
use crate::message::{self, DecodeError, DisconnectReason};
use crate::random::RandomError;
use crate::time::TimeoutReason;

/// How a connection ended. Always the last event.
#[derive(Debug)]
#[non_exhaustive]
pub enum End {
    /// This side said goodbye (`disconnect`).
    Disconnected,
    /// The peer said goodbye.
    ByPeer(PeerDisconnect),
    /// The transport was closed by the peer without a DISCONNECT, in `stage`.
    Eof {
        /// What had been reached by then.
        stage: Stage,
    },
    /// Something is wrong; the error says what, and whose fault it is.
    Error(Error),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("disconnected"),
            Self::ByPeer(peer) => peer.fmt(f),
            Self::Eof { stage } => write!(f, "the peer closed the transport {stage}"),
            Self::Error(error) => error.fmt(f),
        }
    }
}

/// How far a connection had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Before the peer's identification line.
    Identification,
    /// In the first key exchange.
    KeyExchange,
    /// Before authentication had succeeded.
    Authentication,
    /// Authenticated; channels may be open.
    Connected,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identification => "before it identified itself",
            Self::KeyExchange => "during the first key exchange",
            Self::Authentication => "during authentication",
            Self::Connected => "without a word of goodbye",
        })
    }
}

/// An SSH_MSG_DISCONNECT of the peer (RFC 4253 section 11.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerDisconnect {
    /// The reason code.
    pub reason: DisconnectReason,
    /// The description as it came; `Display` shows it escaped and cut.
    pub description: Vec<u8>,
}

/// The longest description of a peer's DISCONNECT that is kept, in bytes.
pub(crate) const MAX_DESCRIPTION: usize = 1024;

impl fmt::Display for PeerDisconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "disconnected by the peer: {}", self.reason)?;
        if !self.description.is_empty() {
            write!(f, ": {}", Escaped(&self.description))?;
        }
        Ok(())
    }
}

/// Why a connection was given up, sorted by whose fault it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke a rule of the protocol.
    PeerMisbehaved(PeerMisbehaved),
    /// The peer sent a message that cannot be decoded.
    Malformed(DecodeError),
    /// The two sides have no algorithm in common; the report says in which slot and what change
    /// of the configuration would help.
    Incompatible(Box<NegotiationReport>),
    /// A packet failed its integrity check: it was damaged, or forged.
    Integrity,
    /// A packet cannot be inflated.
    Compression(CompressionError),
    /// The key exchange failed in its mathematics or its signature.
    KeyExchange(KeyExchangeError),
    /// The server's host key was not accepted.
    HostKey(HostKeyError),
    /// The peer pushed on a bound; the variant names the field of `Limits` that moves it.
    Limit(LimitExceeded),
    /// A deadline passed.
    Timeout(TimeoutReason),
    /// The random source failed.
    Random(RandomError),
    /// There is no memory for a large buffer or table.
    Memory(OutOfMemory),
    /// Every way to authenticate that is left was refused, or was used up.
    Authentication(AuthenticationError),
    /// This side's signer declined or made a signature that does not verify.
    Signer,
    /// A defect of this library.
    Internal(&'static str),
}

const _: () = assert!(
    size_of::<Error>() <= 24,
    "errors travel in every return value"
);

impl Error {
    /// What the peer is told, `None` where nothing can be sent.
    pub(crate) fn disconnect_reason(&self) -> Option<DisconnectReason> {
        Some(match self {
            Self::PeerMisbehaved(PeerMisbehaved::Version) => {
                DisconnectReason::PROTOCOL_VERSION_NOT_SUPPORTED
            }
            Self::PeerMisbehaved(PeerMisbehaved::Identification(_)) => return None,
            Self::PeerMisbehaved(PeerMisbehaved::ServiceUnknown) => {
                DisconnectReason::SERVICE_NOT_AVAILABLE
            }
            Self::PeerMisbehaved(_) | Self::Malformed(_) => DisconnectReason::PROTOCOL_ERROR,
            Self::Incompatible(_) | Self::KeyExchange(_) => DisconnectReason::KEY_EXCHANGE_FAILED,
            Self::Integrity => DisconnectReason::MAC_ERROR,
            Self::Compression(_) | Self::Limit(LimitExceeded::Inflated(_)) => {
                DisconnectReason::COMPRESSION_ERROR
            }
            Self::HostKey(_) => DisconnectReason::HOST_KEY_NOT_VERIFIABLE,
            Self::Limit(_) => DisconnectReason::PROTOCOL_ERROR,
            Self::Timeout(TimeoutReason::KeyExchange) => DisconnectReason::KEY_EXCHANGE_FAILED,
            Self::Timeout(TimeoutReason::Identification) => return None,
            Self::Timeout(TimeoutReason::Keepalive | TimeoutReason::OutputStalled) => {
                DisconnectReason::CONNECTION_LOST
            }
            Self::Timeout(_) => DisconnectReason::BY_APPLICATION,
            Self::Authentication(_) => DisconnectReason::NO_MORE_AUTH_METHODS_AVAILABLE,
            Self::Random(_) | Self::Memory(_) | Self::Signer | Self::Internal(_) => {
                DisconnectReason::BY_APPLICATION
            }
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerMisbehaved(rule) => write!(f, "the peer broke the protocol: {rule}"),
            Self::Malformed(error) => write!(f, "the peer sent a malformed message: {error}"),
            Self::Incompatible(report) => report.fmt(f),
            Self::Integrity => f.write_str("a packet failed its integrity check"),
            Self::Compression(error) => write!(f, "a packet cannot be inflated: {error}"),
            Self::KeyExchange(error) => write!(f, "the key exchange failed: {error}"),
            Self::HostKey(error) => write!(f, "the host key was not accepted: {error}"),
            Self::Limit(limit) => write!(f, "the peer exceeded a limit: {limit}"),
            Self::Timeout(reason) => write!(f, "timed out {reason}"),
            Self::Random(error) => error.fmt(f),
            Self::Memory(error) => error.fmt(f),
            Self::Authentication(error) => write!(f, "authentication failed: {error}"),
            Self::Signer => f.write_str("the signer made no valid signature"),
            Self::Internal(what) => write!(f, "internal error: {what}"),
        }
    }
}

impl core::error::Error for Error {}

macro_rules! from {
    ($($source:ty => $variant:ident),* $(,)?) => {$(
        impl From<$source> for Error {
            fn from(error: $source) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

from! {
    PeerMisbehaved => PeerMisbehaved,
    DecodeError => Malformed,
    CompressionError => Compression,
    KeyExchangeError => KeyExchange,
    HostKeyError => HostKey,
    LimitExceeded => Limit,
    RandomError => Random,
    OutOfMemory => Memory,
    AuthenticationError => Authentication,
}

impl From<TryReserveError> for Error {
    fn from(error: TryReserveError) -> Self {
        Self::Memory(error.into())
    }
}

/// The allocator gave no memory for a buffer or a table that may become large. Small allocations
/// are not asked about: where even those fail the process ends, as for every collection of Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutOfMemory;

impl From<TryReserveError> for OutOfMemory {
    fn from(_: TryReserveError) -> Self {
        Self
    }
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of memory")
    }
}

impl core::error::Error for OutOfMemory {}

/// Which rule the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerMisbehaved {
    /// Its identification line is not one (RFC 4253 section 4.2).
    Identification(IdentificationError),
    /// It speaks another version of the protocol.
    Version,
    /// A packet's length is impossible: too small, or no multiple of the block size.
    PacketLength(u32),
    /// A packet's padding is impossible, or leaves no payload.
    Padding,
    /// It asked for a group in the form from before RFC 4419, which names no smallest size.
    OldGroupRequest,
    /// A compressed packet inflates to nothing.
    NoPayload,
    /// A message that has no meaning in this phase, from this side, or with strict key exchange.
    UnexpectedMessage(u8),
    /// With strict key exchange KEXINIT must be the very first packet (Terrapin).
    StrictKexSequence,
    /// It began a second key exchange while one was going on.
    KexInitTwice,
    /// It asked for keys to be exchanged before authentication had ended.
    RekeyBeforeAuthentication,
    /// It let the sequence numbers of one set of keys run out instead of exchanging keys.
    SequenceExhausted,
    /// It requested a service that does not exist here.
    ServiceUnknown,
    /// It accepted a service that was not requested.
    ServiceNotRequested,
    /// It named a key or an algorithm that was not offered.
    KeyNotOffered,
    /// It reported success of an authentication that was never tried.
    UnrequestedSuccess,
    /// A message names a channel that does not exist, or does not exist yet.
    NoSuchChannel(u32),
    /// Data or an end of data came after the end of data, or a close after the close.
    AfterEof,
    /// More data than the window allows (RFC 4254 section 5.2).
    WindowExceeded,
    /// A data packet larger than the maximum that was agreed.
    MaximumPacketExceeded,
    /// A window grew beyond 2^32 - 1 bytes (RFC 4254 section 5.2).
    WindowOverflow,
    /// A reply to a request that was not made.
    UnrequestedReply,
    /// A pty-req, a port, or another field holds a value that cannot be.
    Value,
}

impl fmt::Display for PeerMisbehaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identification(error) => error.fmt(f),
            Self::Version => f.write_str("it does not speak SSH 2.0"),
            Self::PacketLength(n) => write!(f, "impossible packet length {n}"),
            Self::Padding => f.write_str("impossible padding length"),
            Self::OldGroupRequest => f.write_str("SSH_MSG_KEX_DH_GEX_REQUEST_OLD is not answered"),
            Self::NoPayload => f.write_str("a compressed packet with nothing in it"),
            Self::UnexpectedMessage(number) => match message::name(*number) {
                Some(name) => write!(f, "{name} is not allowed now"),
                None => write!(f, "message {number} is not allowed now"),
            },
            Self::StrictKexSequence => {
                f.write_str("a packet came before KEXINIT although key exchange is strict")
            }
            Self::KexInitTwice => f.write_str("KEXINIT during a key exchange"),
            Self::RekeyBeforeAuthentication => f.write_str("KEXINIT before authentication"),
            Self::SequenceExhausted => f.write_str("keys used for too many packets"),
            Self::ServiceUnknown => f.write_str("it requested an unknown service"),
            Self::ServiceNotRequested => f.write_str("it accepted a service not requested"),
            Self::KeyNotOffered => f.write_str("it answered for a key that was not offered"),
            Self::UnrequestedSuccess => f.write_str("success without an attempt"),
            Self::NoSuchChannel(id) => write!(f, "there is no channel {id}"),
            Self::AfterEof => f.write_str("a channel went on after its end"),
            Self::WindowExceeded => f.write_str("more data than the window allows"),
            Self::MaximumPacketExceeded => f.write_str("a data packet above the maximum size"),
            Self::WindowOverflow => f.write_str("a window beyond 2^32 - 1"),
            Self::UnrequestedReply => f.write_str("a reply without a request"),
            Self::Value => f.write_str("a field holds an impossible value"),
        }
    }
}

/// What is wrong with the peer's identification line (RFC 4253 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentificationError {
    /// A client sent something else first; only servers may.
    NotFirst,
    /// The line is longer than 255 bytes.
    TooLong,
    /// A line before it is longer than 8192 bytes.
    LineTooLong,
    /// More than 1024 lines, or 64 KiB of them, come before it.
    TooManyLines,
    /// A NUL byte, or no software version.
    Malformed,
}

impl fmt::Display for IdentificationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFirst => "the first line is not an SSH identification",
            Self::TooLong => "the identification line is longer than 255 bytes",
            Self::LineTooLong => "a line before the identification is too long",
            Self::TooManyLines => "too much text before the identification",
            Self::Malformed => "the identification line is malformed",
        })
    }
}

/// Why a packet cannot be inflated (RFC 4253 section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompressionError {
    /// It is no part of a stream of RFC 1950 and 1951 without a preset dictionary, or not the next one.
    Damaged,
    /// Its stream ends, with a last block, which it does not before the keys change.
    Ended,
    /// It has so many blocks that they cannot be for what is in it: each costs work.
    TooManyBlocks,
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "it is damaged",
            Self::Ended => "the compressed stream ends",
            Self::TooManyBlocks => "too many blocks for its size",
        })
    }
}

/// Why a key exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyExchangeError {
    /// The peer's public value is not one: wrong length, low order, out of range.
    PublicValue,
    /// The group that the server has chosen is not of a size that was asked for
    /// (`TransportConfig::group_exchange`), or is no group.
    Group,
    /// No group is of a size that both the client and `TransportConfig::group_exchange` allow.
    GroupRequest,
    /// The server's transient RSA key (RFC 4432) is none, or is too small.
    TransientKey,
    /// The secret that the client encrypted to the transient RSA key cannot be read.
    Secret,
    /// The host key blob is malformed, or not of the negotiated type.
    HostKey,
    /// The signature over the exchange hash does not verify, or is of another algorithm.
    Signature,
    /// Strict key exchange is required here and the peer does not offer it.
    StrictRequired,
}

impl fmt::Display for KeyExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicValue => "invalid public value",
            Self::Group => "invalid group, or one of another size than was asked for",
            Self::GroupRequest => "no group of the size that was asked for",
            Self::TransientKey => "invalid or small transient RSA key",
            Self::Secret => "a secret that cannot be decrypted",
            Self::HostKey => "malformed host key, or not of the negotiated type",
            Self::Signature => "the signature over the exchange does not verify",
            Self::StrictRequired => {
                "the peer does not offer strict key exchange (see `require_strict_kex`)"
            }
        })
    }
}

/// Why a host key was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HostKeyError {
    /// The application distrusts it.
    Distrusted,
    /// It is another one than at the beginning of the connection.
    ChangedInRekey,
    /// The application did not decide in time (`Deadlines::decision`).
    Undecided,
}

impl fmt::Display for HostKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Distrusted => "distrusted by the application",
            Self::ChangedInRekey => "it changed during the connection",
            Self::Undecided => "nobody decided in time",
        })
    }
}

/// Why authentication ended without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthenticationError {
    /// The client failed too often (`Limits::auth_failures`, `Limits::auth_probes`).
    TooManyAttempts,
    /// The server let us in without a credential and `require_credential` is set.
    NoCredentialAsked,
}

impl fmt::Display for AuthenticationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyAttempts => "too many attempts",
            Self::NoCredentialAsked => {
                "the server asked for no credential (see `require_credential`)"
            }
        })
    }
}

/// Which field of [`Limits`](crate::config::Limits) a peer exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitExceeded {
    /// `packet_before_auth` or `packet`.
    Packet(u32),
    /// `inflated`, or `packet_before_auth` before authentication: a compressed packet inflates to more
    /// than so many bytes.
    Inflated(u32),
    /// `packets_before_auth`.
    PacketsBeforeAuth,
    /// `bytes_before_auth`.
    BytesBeforeAuth,
    /// `held`: too much is owed to the peer while it delays a key exchange.
    Held,
    /// `control`: too many replies wait to be written.
    Control,
    /// `rekey_packets`/`rekey_bytes`: the peer ignores that keys must be exchanged.
    RekeyIgnored,
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(n) => write!(f, "a packet of {n} bytes (`Limits::packet`)"),
            Self::Inflated(n) => write!(
                f,
                "a packet that inflates to more than {n} bytes (`Limits::inflated`; before \
                 authentication `Limits::packet_before_auth`)"
            ),
            Self::PacketsBeforeAuth => {
                f.write_str("packets before authentication (`Limits::packets_before_auth`)")
            }
            Self::BytesBeforeAuth => {
                f.write_str("bytes before authentication (`Limits::bytes_before_auth`)")
            }
            Self::Held => f.write_str("messages owed during a key exchange (`Limits::held`)"),
            Self::Control => f.write_str("replies that wait to be written (`Limits::control`)"),
            Self::RekeyIgnored => f.write_str("use of one set of keys"),
        }
    }
}

/// The application called something that makes no sense now. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Misuse {
    /// The token is of another connection, or was answered, or its deadline has passed.
    Token,
    /// There is no such channel, or not any more.
    NoSuchChannel,
    /// The channel is not in a state for this: not open yet, or its end was announced already.
    ChannelState,
    /// Not before authentication has succeeded.
    NotAuthenticated,
    /// The connection has ended.
    Ended,
    /// A text or a number is out of its range, or too long for a packet.
    Value,
    /// More was released than was delivered.
    ReleasedTooMuch,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "the token is not (or no longer) of this connection",
            Self::NoSuchChannel => "there is no such channel",
            Self::ChannelState => "the channel is not in a state for this",
            Self::NotAuthenticated => "not before authentication has succeeded",
            Self::Ended => "the connection has ended",
            Self::Value => "a value is out of range or too long",
            Self::ReleasedTooMuch => "more was released than was delivered",
        })
    }
}

impl core::error::Error for Misuse {}

/// Why a request of the application was not sent. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestError {
    /// It makes no sense now.
    Misuse(Misuse),
    /// Too much waits already: unanswered requests (`Limits::requests_unanswered`), channels
    /// (`Limits::channels`), or output; or there is no memory. Try again after replies have come
    /// or output has drained.
    Busy,
}

impl From<TryReserveError> for RequestError {
    fn from(_: TryReserveError) -> Self {
        Self::Busy
    }
}

impl From<Misuse> for RequestError {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misuse(misuse) => misuse.fmt(f),
            Self::Busy => f.write_str("too many requests or channels, or too much output, wait"),
        }
    }
}

impl core::error::Error for RequestError {}
