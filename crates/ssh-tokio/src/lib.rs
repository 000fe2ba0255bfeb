//! SSH for tokio: a [`Client`] and a [`Server`] whose channels are `AsyncRead` and `AsyncWrite`.
//!
//! ```no_run
//! use ssh_keys::known_hosts::KnownHosts;
//! use ssh_tokio::{Client, ConnectOptions, Login, Trust};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let known = KnownHosts::parse(&tokio::fs::read("known_hosts").await?);
//! let login = Login::new("alice", Trust::known_hosts(known, "example.org", 22))
//!     .password(String::from("secret"));
//! let client = Client::connect_tcp("example.org:22", ConnectOptions::new(login)).await?;
//! let output = client.exec("uname -a").await?;
//! println!("{}: {}", output.exit, String::from_utf8_lossy(&output.stdout));
//! # Ok(())
//! # }
//! ```
//!
//! | what | where |
//! |---|---|
//! | connecting, logging in, running things | [`Client`], [`ConnectOptions`] |
//! | a program, or a connection | [`Channel`], [`ReadHalf`], [`WriteHalf`] |
//! | what happens meanwhile | [`Observer`] |
//! | which algorithms | [`Preset`], [`AlgorithmList`], [`Negotiated`] |
//! | serving users | [`Server`], [`ServerOptions`], [`Handler`] |
//!
//! A connection is one task. It reads, and looks after deadlines and after output that the stream
//! did not take at once; whoever sends writes to the stream itself where it can. There is no queue
//! between tasks and no task for a channel. Keepalives and key exchanges are answered while nobody
//! is in a call, and a channel that nobody reads stops nobody else.
//!
//! **Cancellation.** A read or a write that is dropped has taken or sent either nothing or what it
//! reported. A channel whose opening is given up is closed. What `tokio` says of `write_all` and
//! `read_exact` holds here too: a part may have been done.
//!
//! **Ends.** When the connection ends, every call that waits returns [`Error::Ended`] with the
//! reason. Dropping the last handle of a connection ends it; no drop waits. No call waits for ever:
//! requests have the time limits of the options, reads and writes end with the connection, and a
//! peer that has vanished is found by keepalive.
//!
//! # Which algorithms are spoken
//!
//! A [`Preset`], and changes of its lists by name, in the syntax of OpenSSH's configuration. What is
//! known to be weak is offered only where it is named or by the preset `legacy`, and much of it is
//! compiled in only with the cargo feature `legacy`. [`Client::negotiated`] says what was agreed.
//! The same calls are in [`ServerOptions`].
//!
//! ```no_run
//! use ssh_tokio::{AlgorithmList, Client, ConnectOptions, Preset};
//!
//! # async fn example(login: ssh_tokio::Login) -> Result<(), Box<dyn std::error::Error>> {
//! // From a program, or from a line of a configuration file such as `macs = -*-etm@openssh.com`.
//! let (key, value) = ("macs", "-*-etm@openssh.com");
//! let options = ConnectOptions::new(login)
//!     .preset("default".parse::<Preset>()?)
//!     .algorithms(AlgorithmList::Kex, "+diffie-hellman-group14-sha1")?
//!     .algorithms(AlgorithmList::Ciphers, "^aes128-gcm@openssh.com")?
//!     .algorithms(key.parse()?, value)?;
//! let client = Client::connect_tcp("example.org:22", options).await?;
//! if let Some(agreed) = client.negotiated() {
//!     println!("{agreed}; post-quantum: {}", agreed.is_post_quantum());
//!     for (slot, name) in agreed.deprecated() {
//!         eprintln!("{slot}: {name} is weak");
//!     }
//!     if agreed.prefix_truncation_possible() {
//!         eprintln!("the server does not know strict key exchange (CVE-2023-48795)");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
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

mod channel;
mod client;
mod connect;
mod engine;
mod forward;
mod handler;
mod handshake;
mod line;
mod server;
mod server_role;
mod sys;

pub use channel::{Channel, ReadHalf, WriteHalf};
pub use client::Client;
pub use connect::ConnectOptions;
pub use forward::LocalForward;
pub use handler::{Connect, Handler, Start};
pub use server::Server;
pub use ssh_client::{Login, Trust};
pub use ssh_driver::{
    Ended, Error, ExitStatus, Exposure, ForwardOptions, Observer, Output, Pty, Reason,
    ServerOptions, Session, Terminal,
};
pub use ssh_proto::algorithm::{AlgorithmList, ListError, Preset};
pub use ssh_proto::kex::Negotiated;
pub use ssh_server::{FixedUsers, HostKeys, Required, StartLimits};
