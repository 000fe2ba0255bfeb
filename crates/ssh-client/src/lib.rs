//! What an SSH client wants: which host keys it trusts, and which credentials it shows in which
//! order. The same for every driver, and without I/O.
//!
//! A [`Login`] is fed every event of the connection. It answers what it can by itself, gives back
//! what is none of its business, and [asks](Question) when somebody outside has to decide. It ends
//! with [`Step::Done`] or [`Step::Failed`].
//!
//! ```
//! use ssh_client::{Login, Question, Step, Trust};
//! use ssh_keys::{SigningKey, known_hosts::KnownHosts};
//! use ssh_proto::client::{ClientEvent, ClientSend};
//! use ssh_proto::config::ClientConfig;
//! use ssh_proto::random::Random;
//!
//! // What the user has.
//! let known_hosts = KnownHosts::parse(b"# the contents of ~/.ssh/known_hosts");
//! let key = SigningKey::ed25519(&[7; 32]);
//!
//! let trust = Trust::known_hosts(known_hosts, "host.example.org", 22);
//! let mut login = Login::new("alice", trust).key(key).ask_password(3);
//! let mut config = ClientConfig::default();
//! login.configure(&mut config);
//!
//! // What a driver does with each event. True as soon as the user is in.
//! fn on(
//!     login: &mut Login,
//!     event: ClientEvent<'_>,
//!     client: &mut ClientSend,
//!     random: &mut dyn Random,
//! ) -> Result<bool, Box<dyn std::error::Error>> {
//!     let mut step = login.on(event, client, random);
//!     loop {
//!         step = match step {
//!             Step::Done { .. } => return Ok(true),
//!             Step::Failed(error) => return Err(error.into()),
//!             Step::Ask(Question::HostKey { fingerprint, decision, .. }) => {
//!                 println!("The host is not known. Its key is {fingerprint}. Go on?");
//!                 client.distrust(decision)?; // or `trust`
//!                 return Ok(false);
//!             }
//!             Step::Ask(Question::Password { token, .. }) => login.decline(token, client),
//!             Step::Ask(Question::Sign(request)) => {
//!                 client.not_signed(request)?;
//!                 return Ok(false);
//!             }
//!             Step::Other(ClientEvent::Ended(end)) => return Err(end.to_string().into()),
//!             _ => return Ok(false),
//!         }
//!     }
//! }
//! ```
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
#[cfg(test)]
extern crate std;

mod credential;
mod login;
mod report;
mod trust;

pub use login::{Login, Opening, PasswordReason, Question, Step};
pub use report::{Attempt, AuthenticationReport, LoginError, Outcome, Tried};
pub use trust::{HostKeyOrder, HostKeyRefused, Judgement, Trust};
