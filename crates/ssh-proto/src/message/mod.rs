//! All messages: RFC 4252, 4253, 4254, 4256, 4419, 4432, 5656, 8308 and OpenSSH's ping.
//!
//! There is one table, in `table.rs`. A row is
//!
//! ```text
//!   30  SSH_MSG_KEXDH_INIT  KexdhInit<'a>,  Kex(Dh),  Kex,    ClientToServer;
//!   number, the RFC's name  the struct      needs     phase   direction
//! ```
//!
//! and from the rows come [`Message`], its decoding and encoding, [`TABLE`] and the lookups by
//! number. `needs` is for numbers with several meanings: [`Context`] tells which one holds. A new
//! message is a struct and a row. A struct lists its fields in wire order, each with its type in
//! Rust and its kind on the wire (`field.rs`), and gets codec, `Debug` and `Arbitrary` from that.
//!
//! Decoding borrows and never allocates. It refuses bytes behind the last field, so that nothing
//! can be smuggled, and names that are not 1 to 64 printable US-ASCII characters (RFC 4251 section
//! 6): those are `&str`. Everything that a person or an operating system names is `&[u8]`, since
//! it may be anything; `Debug` shows it [`Escaped`](crate::escape::Escaped).
//!
//! A fuzz target for all of it:
//!
//! ```
//! use ssh_proto::message::{AuthMessages, Context, Message};
//!
//! fn fuzz(payload: &[u8]) {
//!     let context = Context::auth(AuthMessages::Publickey);
//!     if let Ok(message) = Message::decode(payload, context) {
//!         let mut again = Vec::new();
//!         message.encode(&mut again);
//!         assert_eq!(Message::decode(&again, context), Ok(message));
//!     }
//! }
//! # fuzz(b"\x05\x00\x00\x00\x0cssh-userauth");
//! ```

mod auth;
mod code;
mod connection;
mod error;
mod field;
#[cfg(any(test, feature = "arbitrary"))]
mod generate;
mod kex;
mod list;
mod table;
mod terminal;
#[cfg(test)]
mod tests;
mod transport;

pub use auth::{
    AuthMethod, Prompt, Response, UserauthBanner, UserauthFailure, UserauthInfoRequest,
    UserauthInfoResponse, UserauthPasswdChangereq, UserauthPkOk, UserauthRequest, UserauthSuccess,
};
pub use connection::{
    ChannelClose, ChannelData, ChannelEof, ChannelExtendedData, ChannelFailure, ChannelOpen,
    ChannelOpenConfirmation, ChannelOpenFailure, ChannelOpenFailureReason, ChannelOpenType,
    ChannelRequest, ChannelRequestType, ChannelSuccess, ChannelWindowAdjust, ExtendedDataType,
    GlobalRequest, GlobalRequestType, RequestFailure, RequestSuccess, TerminalSize,
};
pub use error::{DecodeError, DecodeErrorKind};
pub use kex::{
    KexDhGexGroup, KexDhGexInit, KexDhGexReply, KexDhGexRequest, KexDhGexRequestOld, KexEcdhInit,
    KexEcdhReply, KexInit, KexRsaDone, KexRsaPubkey, KexRsaSecret, KexdhInit, KexdhReply, NewKeys,
};
pub use list::{Items, List};
pub use table::{
    AuthMessages, Context, Direction, KexMessages, Message, MessageInfo, Needs, Phase, TABLE, Wire,
    direction, name, number, phase,
};
pub use terminal::{TerminalMode, TerminalModes, TerminalModesBuf, TerminalModesIter};
pub use transport::{
    DebugMessage, Disconnect, DisconnectReason, ExtInfo, Extension, Ignore, NewCompress, Ping,
    Pong, ServiceAccept, ServiceRequest, Unimplemented,
};

use crate::wire::{Reader, Sink, WireError};

/// The fields of a message, without its number; also what lists and structs inside of messages
/// are made of.
pub trait Body<'a>: Sized {
    /// Reads the fields in wire order. Bytes behind them are left in `r`.
    fn decode_body(r: &mut Reader<'a>) -> Result<Self, WireError>;

    /// Writes the fields in wire order.
    fn encode_body<S: Sink + ?Sized>(&self, out: &mut S);
}

/// Decodes a payload that must be the message `M`, to its last byte.
///
/// ```
/// use ssh_proto::message::{self, ServiceRequest};
///
/// let request: ServiceRequest<'_> = message::decode(b"\x05\x00\x00\x00\x0cssh-userauth")?;
/// assert_eq!(request.service_name, "ssh-userauth");
/// # Ok::<(), message::DecodeError>(())
/// ```
pub fn decode<'a, M: Wire<'a>>(payload: &'a [u8]) -> Result<M, DecodeError> {
    M::decode(payload)
}
