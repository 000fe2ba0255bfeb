//! SSH keys as they lie in files, and what is done with them: private keys of OpenSSH, public key
//! lines, RSA signatures, `known_hosts`, `authorized_keys` and `moduli`.
//!
//! Bytes come in and values go out. Nothing here opens a file, asks a resolver, looks at a clock
//! or draws a random number of its own: randomness is a
//! [`Random`](ssh_proto::random::Random) that the caller passes in.
//!
//! ```
//! use ssh_keys::{SigningKey, load_private, openssh::Protection};
//! # struct Os;
//! # impl ssh_proto::random::Random for Os {
//! #     fn fill(&mut self, out: &mut [u8]) -> Result<(), ssh_proto::random::RandomError> {
//! #         out.fill(7);
//! #         Ok(())
//! #     }
//! # }
//! use ssh_keys::KeyPair;
//! use ssh_proto::algorithm::KeyType;
//!
//! let private = SigningKey::generate(KeyType::Ed25519, &mut Os)?;
//! let pair = KeyPair { private, comment: "alice@example.org".into() };
//! let file = pair.to_openssh(Protection::None, &mut Os)?;
//! let again = load_private(file.as_bytes(), None)?;
//! assert_eq!(again.private.public_key(), pair.private.public_key());
//! # Ok::<(), Box<dyn core::error::Error>>(())
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

mod armor;
pub mod authorized_keys;
mod error;
pub mod known_hosts;
mod load;
pub mod moduli;
pub mod openssh;
pub mod pattern;
mod public;
pub mod rsa;
mod signing;
#[cfg(test)]
mod testing;

pub use error::{KeyFileError, Malformed};
pub use load::{FileFormat, load_private};
pub use public::PublicKeyLine;
pub use signing::{KeyPair, SigningKey};
