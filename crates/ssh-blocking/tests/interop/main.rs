//! The interoperability matrix: both of our roles against other implementations, and what ssh-audit
//! says of them.
//!
//! `UPDATE_DOCS=1` writes it into `docs/interop.md`; without it that file is only compared in shape,
//! because what another machine's peers offer is another matter.

mod alone;
mod audit;
mod docs;
#[path = "../bodies/interop/mod.rs"]
mod interop;

use std::process::ExitCode;

use interop::matrix::{Results, Row};
use libtest_mimic::{Failed, Trial};
use ssh_testkit::harness;

/// What the bodies know of the driver.
mod driver {
    pub(crate) use ssh_blocking::*;
}

fn main() -> ExitCode {
    let results = Results::default();
    let audit = audit::Results::default();
    let mut tests = interop::tests(&results, &Row::all());
    tests.extend(audit::tests(&audit));
    let test = |name: &str, body: fn() -> Result<(), String>| {
        Trial::test(name, move || body().map_err(Failed::from))
    };
    tests.extend([
        test("the_documentation_has_this_matrix", docs::compare_shape)
            .with_ignored_flag(docs::to_be_updated()),
        test(
            "every_algorithm_of_the_reference_is_a_row",
            alone::every_reference_is_a_row,
        ),
        test("what_stands_for_a_row_exists", alone::every_test_exists),
    ]);
    let conclusion = harness::run(tests);
    if !results.is_empty() {
        println!("{}", interop::table::shown(&results, &Row::all()));
    }
    if docs::to_be_updated()
        && !conclusion.has_failed()
        && let Err(error) = docs::update(&results, &audit)
    {
        eprintln!("docs/interop.md is not updated: {error}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}
