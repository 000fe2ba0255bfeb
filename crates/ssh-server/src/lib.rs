//! What an SSH server wants: who may log in and with what, and the keys that it shows. The same
//! for every driver, and without I/O.
//!
//! An [`Admission`] is fed every event of a connection. It asks the caller's [`Users`] which keys
//! and passwords are right, and lets nobody in for whom they do not say so. [`HostKeys`] brings
//! host keys into a configuration and signs with those that the core cannot use by itself.
//!
//! Before all that a [`StartGate`] says which connections may begin to log in at all.
//!
//! How often a client may try is bounded by the core (`Limits::auth_failures`,
//! `Limits::auth_probes`), and how long by `Deadlines::authentication`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use ssh_keys::{SigningKey, authorized_keys::AuthorizedKeys};
//! use ssh_proto::config::ServerConfig;
//! use ssh_proto::error::Misuse;
//! use ssh_proto::random::Random;
//! use ssh_proto::server::{ServerEvent, ServerSend};
//! use ssh_server::{Admission, FixedUsers, HostKeys, Required, Step};
//!
//! // What the administrator has.
//! let host_keys = HostKeys::new([SigningKey::ed25519(&[1; 32])])?;
//! let authorized = AuthorizedKeys::parse(b"# the contents of ~alice/.ssh/authorized_keys");
//! let users = FixedUsers::new().with_keys("alice", Arc::new(authorized));
//!
//! let mut admission = Admission::new(users, Required::PUBLICKEY);
//! let mut config = ServerConfig::default();
//! config.host_keys = host_keys.for_config();
//! admission.configure(&mut config);
//!
//! // What a driver does with each event. True as soon as a user is in.
//! fn on(
//!     admission: &mut Admission<FixedUsers>,
//!     host_keys: &HostKeys,
//!     event: ServerEvent<'_>,
//!     server: &mut ServerSend,
//!     random: &mut dyn Random,
//! ) -> Result<bool, Misuse> {
//!     match admission.on(event, server)? {
//!         Step::Admitted(admitted) => {
//!             // From now on `admitted.entry` says what this user may do.
//!             return Ok(true);
//!         }
//!         Step::Other(ServerEvent::Sign(request)) => host_keys.sign(request, server, random)?,
//!         _ => {}
//!     }
//!     Ok(false)
//! }
//! # Ok::<(), ssh_server::HostKeysError>(())
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

mod admission;
mod gate;
mod host_keys;
mod users;

pub use admission::{Admission, Admitted, Clock, PasswordQuestion, Required, Step};
pub use gate::{StartGate, StartLimits, StartPlace, StartRefused, StartStage, Started};
pub use host_keys::{HostKeys, HostKeysError};
pub use users::{FixedUsers, PasswordCheck, Users, same_password};
