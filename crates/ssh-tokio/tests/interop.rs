//! Both roles against other implementations: what every driver must do with OpenSSH, and of the
//! interoperability matrix what a driver has to do with. The documentation is written by
//! `ssh-blocking`.

#[path = "../../ssh-blocking/tests/bodies/interop/mod.rs"]
mod interop;
#[path = "../../ssh-blocking/tests/bodies/peers.rs"]
mod peers;

#[path = "facade/mod.rs"]
#[expect(dead_code, reason = "other bodies need the rest")]
mod driver;

use std::process::ExitCode;

use interop::matrix::{Results, Row};
use ssh_testkit::harness;

fn main() -> ExitCode {
    let results = Results::default();
    let mut tests = peers::tests();
    let rows = rows();
    tests.extend(interop::tests(&results, &rows));
    let conclusion = harness::run(tests);
    if !results.is_empty() {
        println!("{}", interop::table::shown(&results, &rows));
    }
    conclusion.exit_code()
}

/// Those that a driver has something to do with, and of algorithms a few that most peers have: what is
/// computed is the same under every driver.
fn rows() -> Vec<Row> {
    const COMMON: [&str; 5] = [
        "curve25519-sha256",
        "chacha20-poly1305@openssh.com",
        "hmac-sha2-256",
        "zlib@openssh.com",
        "ssh-ed25519",
    ];
    let mut rows = Row::all();
    rows.retain(|row| row.name().is_none_or(|name| COMMON.contains(&name)));
    rows
}
