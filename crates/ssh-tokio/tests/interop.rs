//! Both roles against three other implementations: what every driver must do with OpenSSH, and the
//! interoperability matrix. What must work works with this driver too; the documentation is written
//! by `ssh-blocking`.

#[path = "../../ssh-blocking/tests/bodies/interop/mod.rs"]
mod interop;
#[path = "../../ssh-blocking/tests/bodies/peers.rs"]
mod peers;

#[path = "facade/mod.rs"]
#[expect(dead_code, reason = "other bodies need the rest")]
mod driver;

use std::process::ExitCode;

use interop::matrix::Results;
use ssh_testkit::harness;

fn main() -> ExitCode {
    let results = Results::default();
    let mut tests = peers::tests();
    tests.extend(interop::tests(&results));
    let conclusion = harness::run(tests);
    if !results.is_empty() {
        println!("{}", interop::table::shown(&results));
    }
    conclusion.exit_code()
}
