//! An SSH-2 implementation that does no I/O: bytes in, bytes and typed events out.
//!
//! [`Client`] and [`Server`] are state machines. They know no socket, clock, thread, file or
//! system random source: what was read goes in, what is to be written comes out, time is an
//! argument, and randomness is injected. The same code runs under an event loop, in a blocking
//! program, under an async runtime, in a fuzzer, and in a simulation that a seed repeats.
//!
//! # The loop
//!
//! ```no_run
//! use std::io::{Read, Write};
//! use std::time::{Duration, Instant as Clock};
//!
//! use ssh_proto::client::{Ask, Credential};
//! use ssh_proto::message::DisconnectReason;
//! use ssh_proto::{ChannelEvent, Client, ClientConfig, ClientEvent, Instant, RecvBuf, Wants};
//! # struct Os;
//! # impl ssh_proto::random::Random for Os {
//! #     fn fill(&mut self, _: &mut [u8]) -> Result<(), ssh_proto::random::RandomError> { Ok(()) }
//! # }
//! # const NO_MORE_METHODS: DisconnectReason = DisconnectReason::NO_MORE_AUTH_METHODS_AVAILABLE;
//! # fn is_the_right_key(_: &ssh_proto::key::PublicKey) -> bool { false }
//! # fn wait_for_readable_until(_: &std::net::TcpStream, _: Option<Instant>) -> bool { true }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut socket = std::net::TcpStream::connect("host.example:22")?;
//! let epoch = Clock::now();
//! let now = || Instant::new(epoch.elapsed());
//! let mut rx = RecvBuf::new();
//! let mut client = Client::new(ClientConfig::default(), Box::new(Os))?;
//! loop {
//!     // One batch per event: an event borrows the buffer, not the connection.
//!     while let Some(event) = client.poll_event(&mut rx.batch(), now()) {
//!         match event {
//!             ClientEvent::HostKey { key, decision, .. } if is_the_right_key(&key) => {
//!                 client.trust(decision)?;
//!             }
//!             ClientEvent::HostKey { decision, .. } => client.distrust(decision)?,
//!             ClientEvent::Authenticate { token, reason: Ask::First } => {
//!                 client.authenticate(token, "alice", Credential::Password("secret"))?;
//!             }
//!             // Asked again: that was the only credential.
//!             ClientEvent::Authenticate { .. } => client.disconnect(NO_MORE_METHODS, ""),
//!             ClientEvent::Authenticated { .. } => drop(client.open_session()?),
//!             ClientEvent::Channel(ChannelEvent::Data { channel, data, .. }) => {
//!                 std::io::stdout().write_all(data)?;
//!                 client.channel(channel)?.release(data.len())?; // the peer may send as much more
//!             }
//!             ClientEvent::Ended(end) => eprintln!("{end}"), // always the last event
//!             _ => {}
//!         }
//!     }
//!     // Always, also after `Ended`: the last words are still to be written.
//!     while client.has_output() {
//!         let n = socket.write(client.output())?;
//!         client.consume_output(n);
//!     }
//!     match client.wants() {
//!         Wants::Bytes(n) => {
//!             if wait_for_readable_until(&socket, client.poll_timeout(now())) {
//!                 match socket.read(rx.spare(n))? {
//!                     0 => client.close_input(),
//!                     n => rx.filled(n),
//!                 }
//!             }
//!         }
//!         Wants::Closed => break,
//!         // `Batch`, `Output`: go round. `Answer`: answer what was asked; this loop did so above,
//!         // another one sleeps here until its answer is there or the deadline is.
//!         _ => {}
//!     }
//!     client.handle_timeout(now());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Four families of methods
//!
//! | | what they are | examples |
//! |---|---|---|
//! | A | what is the case, `&self` | [`negotiated`](SendSide::negotiated), [`has_output`](SendSide::has_output) |
//! | B | inputs, with the time | [`poll_event`](Client::poll_event), [`handle_timeout`](SendSide::handle_timeout), [`close_input`](Client::close_input) |
//! | C | what the application does, without the time | [`open_session`](SendSide::open_session), [`Channel::send`](mux::Channel::send), [`trust`](client::ClientSend::trust), [`rekey`](SendSide::rekey) |
//! | D | outputs | [`output`](SendSide::output), [`take_output`](SendSide::take_output), [`poll_timeout`](SendSide::poll_timeout) |
//!
//! The law: after any call that takes `&mut`, look at `output()` and `poll_timeout(now)` before you
//! sleep. B and C may make D non-empty. After the output was written look at `wants()`: somebody who
//! was blocked may be able to send now.
//!
//! # Decisions
//!
//! What the application must decide comes as an event with a token. A *gate* (host key,
//! credential, signature, who may come in) pauses input until it is answered or its deadline
//! passes. A *ticket* (a channel to open, a request) pauses nothing: it is refused when the next
//! event is asked for, unless it was answered or [deferred](SendSide::defer). A token is bound to
//! its connection; nowhere else does it mean anything.
//!
//! # Where things are
//!
//! | module | what is there |
//! |---|---|
//! | [`client`], [`server`] | the two roles: constructor, events, authentication of that side |
//! | [`mux`] | channels: what can be done with them and what happens on them |
//! | [`recv`] | who owns received bytes: [`RecvBuf`], [`Batch`], [`Carry`] |
//! | [`config`] | settings, and the bound on everything that a peer can push on |
//! | [`error`] | why connections end, sorted by blame |
//! | [`kex`], [`algorithm`] | what is negotiated, and the report of how it went |
//! | [`key`] | public keys, private keys, signatures, fingerprints as values |
//! | [`message`], [`wire`] | every message and data type, for harnesses and tools |
//! | [`time`], [`random`] | the two things that every program brings along |
#![no_std]
#![forbid(unsafe_code)]
#![warn(
    clippy::alloc_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core
)]
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
#[cfg(any(test, feature = "internal-fuzzing"))]
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
