//! The interoperability matrix: both of our roles against three other implementations.
//!
//! `UPDATE_DOCS=1` writes it into `docs/interop.md`; without it that file is only compared in shape,
//! because what another machine's peers offer is another matter.

mod docs;
#[path = "../bodies/interop/mod.rs"]
mod interop;

use std::process::ExitCode;

use interop::matrix::Results;
use libtest_mimic::{Failed, Trial};
use ssh_testkit::harness;

/// What the bodies know of the driver.
mod driver {
    pub(crate) use ssh_blocking::*;
}

fn main() -> ExitCode {
    let results = Results::default();
    let mut tests = interop::tests(&results);
    tests.push(
        Trial::test("the_documentation_has_this_matrix", || {
            docs::compare_shape().map_err(Failed::from)
        })
        .with_ignored_flag(docs::to_be_updated()),
    );
    let conclusion = harness::run(tests);
    if !results.is_empty() {
        println!("{}", interop::table::shown(&results));
    }
    if docs::to_be_updated()
        && !conclusion.has_failed()
        && let Err(error) = docs::update(&results)
    {
        eprintln!("docs/interop.md is not updated: {error}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}
