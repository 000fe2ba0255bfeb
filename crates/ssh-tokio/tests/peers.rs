//! Both roles against OpenSSH, on loopback.

#[path = "../../ssh-blocking/tests/bodies/peers.rs"]
mod peers;

#[path = "facade/mod.rs"]
#[expect(dead_code, unused_imports, reason = "other bodies need the rest")]
mod driver;

use std::process::ExitCode;

use ssh_testkit::harness;

fn main() -> ExitCode {
    harness::run(peers::tests()).exit_code()
}
