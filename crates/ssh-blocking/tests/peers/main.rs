//! Both roles against OpenSSH, on loopback.

#[path = "../bodies/peers.rs"]
mod peers;

use std::process::ExitCode;

use ssh_testkit::harness;

/// What the bodies know of the driver.
mod driver {
    pub(crate) use ssh_blocking::*;
}

fn main() -> ExitCode {
    harness::run(peers::tests()).exit_code()
}
