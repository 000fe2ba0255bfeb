//! SSH keys as they lie in files, and what is done with them: private keys of OpenSSH, public key
//! lines, RSA signatures, `known_hosts` and `authorized_keys`.
//!
//! Bytes come in and values go out. Nothing here opens a file, asks a resolver, looks at a clock
//! or draws a random number of its own: randomness is a
//! [`Random`](ssh_proto::random::Random) that the caller passes in.
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

pub mod pattern;
