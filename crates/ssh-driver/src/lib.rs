//! What drivers of `ssh-proto` share, below their I/O: a driver for other sockets, threads or an
//! other async runtime begins here. Programs use `ssh-blocking` or `ssh-tokio` instead.
//!
//! | what | where |
//! |---|---|
//! | one channel, as its users wait for it | [`Mailbox`], [`Queue`] |
//! | the channels of a connection, and what events mean to them | [`Table`], [`Shared`] |
//! | the sending half of either role | [`Half`] |
//! | output on its way to the socket | [`Outbox`] |
//! | what users see | [`Error`], [`Ended`], [`ExitStatus`], [`Output`], [`Pty`], [`Observer`] |
//!
//! Nothing here waits, locks, or knows a socket.
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

mod error;
mod exit;
mod half;
mod mailbox;
mod observer;
mod outbox;
mod queue;
mod table;

pub use error::{Ended, Error, shown};
pub use exit::{Collect, ExitStatus, Output, Pty};
pub use half::Half;
pub use mailbox::{Mailbox, Take, Taken};
pub use observer::{Nobody, Observer, Seen};
pub use outbox::Outbox;
pub use queue::Queue;
pub use table::{Shared, Table, release};
