//! The interoperability matrix: both of our roles against three other implementations. What must
//! work works with this driver too; the documentation is written by `ssh-blocking`.

#[path = "../../ssh-blocking/tests/bodies/interop/mod.rs"]
mod interop;

#[path = "facade/mod.rs"]
#[expect(dead_code, reason = "other bodies need the rest")]
mod driver;

use std::process::ExitCode;

use interop::matrix::Results;
use ssh_testkit::harness;

fn main() -> ExitCode {
    let results = Results::default();
    let conclusion = harness::run(interop::tests(&results));
    if !results.is_empty() {
        println!("{}", interop::table::shown(&results));
    }
    conclusion.exit_code()
}
