//! What drivers of `ssh-proto` share, below their I/O: a driver for other sockets, threads or an
//! other async runtime begins here. Programs use `ssh-blocking` or `ssh-tokio` instead.
//!
//! | what | where |
//! |---|---|
//! | one channel, as its users wait for it | [`Mailbox`], [`Queue`] |
//! | the channels of a connection, and what events mean to them | [`Table`], [`Shared`] |
//! | the sending half of either role, with its channels | [`Half`], [`Core`] |
//! | the receiving half, and what input means | [`Intake`], [`Role`], [`Watch`] |
//! | output on its way to the socket | [`Outbox`] |
//! | a client's way in | [`Settings`], [`LoggingIn`] |
//! | which ciphers go first on this CPU | [`on_this_cpu`] |
//! | a server's connections, and what their clients ask for | [`ServerOptions`], [`Places`], [`Serving`] |
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

mod core_state;
mod cpu;
mod error;
mod exit;
mod forward;
mod half;
mod intake;
mod logging_in;
mod mailbox;
mod notes;
mod observer;
mod outbox;
mod places;
mod queue;
mod server_options;
mod serving;
mod settings;
mod table;
mod watch;

pub use core_state::Core;
pub use cpu::{has_aes, on_this_cpu};
pub use error::{Ended, Error, shown};
pub use exit::{Collect, ExitStatus, Output, Pty};
pub use forward::{Exposure, ForwardOptions};
pub use half::Half;
pub use intake::{Host, Intake, Role};
pub use logging_in::{Ask, Heard, LoggingIn, Reason};
pub use mailbox::{Mailbox, Take, Taken};
pub use notes::{MAX_ENV, Program, Running, Session, Setup, Terminal};
pub use observer::{Nobody, Observer, Seen};
pub use outbox::Outbox;
pub use places::{Entered, Place, Places};
pub use queue::Queue;
pub use server_options::{AnyUsers, ServerOptions};
pub use serving::{Accepted, Driven, PendingConnect, PendingStart, Serve, Serving};
#[doc(hidden)]
pub use settings::names;
pub use settings::{KEEPALIVE, Settings};
pub use table::{Shared, Table, release};
pub use watch::Watch;
