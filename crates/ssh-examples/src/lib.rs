//! What the programs in `examples/` are made of. They drive the core by themselves, without a driver
//! crate, and are meant to be read by people who embed it in a loop of their own.
//!
//! | module | what it shows |
//! |---|---|
//! | [`event_loop`] | readiness: any number of connections on one thread, one receive buffer for all |
//! | [`timers`] | the deadlines of many connections |
//! | [`server`], [`commands`] | a server over it: who may come in, and commands that run in the process |
//! | [`client`] | a client over it: logs in, runs a command, checks every byte of the answer |
//! | [`completion`], [`ring`] | owned buffers that are handed over and come back, as io_uring wants it |
//! | [`os`] | clock, randomness, and what the operating system says about this process |
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

pub mod client;
pub mod commands;
pub mod completion;
pub mod event_loop;
pub mod os;
pub mod ring;
pub mod server;
pub mod timers;
