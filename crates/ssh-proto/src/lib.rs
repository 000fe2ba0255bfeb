//! An SSH-2 implementation that does no I/O.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::indexing_slicing
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod algorithm;
pub mod auth;
pub mod client;
pub mod config;
mod crypto;
pub mod error;
pub mod escape;
#[cfg(feature = "internal-fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod kex;
pub mod key;
pub mod message;
pub mod mux;
mod out;
mod peer;
pub mod random;
pub mod recv;
mod recv_side;
mod send;
mod send_side;
pub mod server;
pub mod time;
mod transport;
pub mod wire;

pub use client::{Client, ClientEvent};
pub use config::{ClientConfig, ServerConfig};
pub use mux::{ChannelEvent, ChannelId, GlobalEvent};
pub use peer::{Peer, PeerEvent, PeerSend};
pub use recv::{Batch, Carry, RecvBuf, Wants};
pub use recv_side::{Control, Opened, RecvSide};
pub use send_side::{SendSide, TransportEvent};
pub use server::{Server, ServerEvent};
pub use time::Instant;
pub use transport::{Identification, Role};
