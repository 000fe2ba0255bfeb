//! SSH over `std::net`, for programs that block: a [`Client`] and a [`Server`] whose channels are
//! `Read` and `Write`.
//!
//! ```no_run
//! use ssh_blocking::{Client, ConnectOptions, Login, Trust};
//! use ssh_keys::known_hosts::KnownHosts;
//!
//! let known = KnownHosts::parse(&std::fs::read("known_hosts")?);
//! let login = Login::new("alice", Trust::known_hosts(known, "example.org", 22))
//!     .password(String::from("secret"));
//! let client = Client::connect(("example.org", 22), ConnectOptions::new(login))?;
//! let output = client.exec("uname -a")?;
//! println!("{}: {}", output.exit, String::from_utf8_lossy(&output.stdout));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | what | where |
//! |---|---|
//! | connecting, logging in, running things | [`Client`], [`ConnectOptions`] |
//! | a program, or a connection made for us | [`Channel`] |
//! | what happens meanwhile | [`Observer`] |
//! | which algorithms | [`Preset`], [`AlgorithmList`], [`Negotiated`] |
//! | listening, and doing things for users | [`Server`], [`ServerOptions`], [`Handler`] |
//! | a program on the server | [`ServerChannel`] |
//!
//! A connection has two threads of its own: one reads, one looks after deadlines and after output
//! that the socket did not take at once. Keepalives and key exchanges are answered while nobody
//! is in a call. A thread that waits alone, for something that comes often, reads for itself meanwhile,
//! which saves a wake-up for each read: it does what a connection has to do, exchanges of keys among it, and
//! never calls an [`Observer`] or a [`Handler`]. A writer never waits for a reader, and a channel that nobody
//! reads stops nobody else. When the connection ends, every call that waits returns [`Error::Ended`] with
//! the reason. Dropping a client or a channel never waits; dropping a [`Server`] or a [`LocalForward`] wakes
//! its listener, which takes 50 ms at the most.
//!
//! # Which algorithms are spoken
//!
//! A [`Preset`], and changes of its lists by name, in the syntax of OpenSSH's configuration. What is
//! known to be weak is offered only where it is named or by the preset `legacy`, and much of it is
//! compiled in only with the cargo feature `legacy`. [`Client::negotiated`] says what was agreed.
//! The same calls are in [`ServerOptions`].
//!
//! ```no_run
//! use ssh_blocking::{AlgorithmList, Client, ConnectOptions, Preset};
//!
//! # fn example(login: ssh_blocking::Login) -> Result<(), Box<dyn std::error::Error>> {
//! // From a program, or from a line of a configuration file such as `macs = -*-etm@openssh.com`.
//! let (key, value) = ("macs", "-*-etm@openssh.com");
//! let options = ConnectOptions::new(login)
//!     .preset("default".parse::<Preset>()?)
//!     .algorithms(AlgorithmList::Kex, "+diffie-hellman-group14-sha1")?
//!     .algorithms(AlgorithmList::Ciphers, "^aes128-gcm@openssh.com")?
//!     .algorithms(key.parse()?, value)?;
//! let client = Client::connect(("example.org", 22), options)?;
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
//!
//! There is no policy here: who is trusted and what is shown is in `ssh-client`, who is let in is in
//! `ssh-server`, the protocol in `ssh-proto`.
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
mod server;
mod server_role;
mod socket;

pub use channel::{Channel, Stderr};
pub use client::Client;
pub use connect::ConnectOptions;
pub use forward::LocalForward;
pub use handler::{Connect, Handler, ServerChannel, ServerStderr, Start};
pub use server::Server;
pub use ssh_client::{Login, Trust};
pub use ssh_driver::{
    Ended, Error, ExitStatus, Exposure, ForwardOptions, Observer, Output, Pty, ServerOptions,
    Session, Terminal,
};
pub use ssh_proto::algorithm::{AlgorithmList, ListError, Preset};
pub use ssh_proto::kex::Negotiated;
pub use ssh_server::{FixedUsers, HostKeys, Required, StartLimits};

/// The examples of both READMEs, which the tests compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
