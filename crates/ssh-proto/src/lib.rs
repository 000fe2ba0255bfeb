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

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the state machine that uses it comes next")
)]
pub mod algorithm;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the state machine that uses it comes next")
)]
mod crypto;
pub mod key;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the state machine that uses it comes next")
)]
pub mod random;
pub mod wire;
