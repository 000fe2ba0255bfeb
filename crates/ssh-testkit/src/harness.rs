//! Tests that need a peer: run with it, `ignored` by its name without it.
//!
//! For test targets with `harness = false`:
//!
//! ```
//! use ssh_testkit::harness::{self, peer_test};
//! use ssh_testkit::peers::{OpenSshClient, Sshd};
//!
//! // in `main`, the end of which is `harness::run(tests).exit()`
//! let tests = vec![peer_test(
//!     "openssh_talks_to_itself",
//!     || Ok((Sshd::find()?, OpenSshClient::find()?)),
//!     |(server, client)| {
//!         // start, connect, compare
//!         Ok(())
//!     },
//! )];
//! # drop(tests);
//! ```
//!
//! `SSH_TEST_PEERS=required` turns a missing peer into a failure, `SSH_TEST_PEERS=none` ignores
//! every such test.

use std::num::NonZero;
use std::thread;

use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

use crate::peers::Missing;

/// The environment variable that says what a missing peer means.
pub const PEERS_VARIABLE: &str = "SSH_TEST_PEERS";

/// One test: `find` looks for the peers, `run` gets what it found.
///
/// `find` is called at once, so that the list of tests already says which are ignored.
pub fn peer_test<P: Send + 'static>(
    name: &str,
    find: impl FnOnce() -> Result<P, Missing>,
    run: impl FnOnce(P) -> Result<(), Failed> + Send + 'static,
) -> Trial {
    match judge(Demand::from_env(), find) {
        Verdict::Run(peers) => Trial::test(name, move || run(peers)),
        Verdict::Fail(missing) => Trial::test(name, move || Err(missing.into())),
        Verdict::Ignore(why) => Trial::test(name, || Err("ignored, but run".into()))
            .with_kind(why)
            .with_ignored_flag(true),
    }
}

/// Runs the tests under the arguments of the command line, which are those of `cargo test`. Unless they
/// say how many at a time, half as many again as there are cores: a peer is waited for more than half of
/// the time.
pub fn run(tests: Vec<Trial>) -> Conclusion {
    let mut arguments = Arguments::from_args();
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    arguments.test_threads = arguments
        .test_threads
        .or_else(|| Some(cores + cores.div_ceil(2)));
    libtest_mimic::run(&arguments, tests)
}

/// What a missing peer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    IfFound,
    Required,
    Never,
}

impl Demand {
    fn from_env() -> Self {
        match std::env::var(PEERS_VARIABLE).as_deref() {
            Ok("required") => Self::Required,
            Ok("none") => Self::Never,
            Ok("") | Err(_) => Self::IfFound,
            Ok(other) => panic!("{PEERS_VARIABLE}={other}: it is 'required', 'none' or not set"),
        }
    }
}

/// What becomes of a test.
#[derive(Debug, PartialEq, Eq)]
enum Verdict<P> {
    Run(P),
    Ignore(String),
    Fail(Missing),
}

fn judge<P>(demand: Demand, find: impl FnOnce() -> Result<P, Missing>) -> Verdict<P> {
    if demand == Demand::Never {
        return Verdict::Ignore("peers not wanted".to_owned());
    }
    match find() {
        Ok(peers) => Verdict::Run(peers),
        Err(missing) if demand == Demand::Required => Verdict::Fail(missing),
        Err(missing) => Verdict::Ignore(missing.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Missing {
        Missing::new("Some peer", "no program of it")
    }

    #[test]
    fn a_test_runs_when_its_peer_is_there() {
        for demand in [Demand::IfFound, Demand::Required] {
            assert_eq!(judge(demand, || Ok(7)), Verdict::Run(7));
        }
    }

    #[test]
    fn a_missing_peer_ignores_the_test_by_name() {
        let verdict = judge::<()>(Demand::IfFound, || Err(missing()));
        let why = "Some peer is missing: no program of it".to_owned();
        assert_eq!(verdict, Verdict::Ignore(why));
    }

    #[test]
    fn a_missing_peer_that_is_required_fails_the_test() {
        let verdict = judge::<()>(Demand::Required, || Err(missing()));
        assert_eq!(verdict, Verdict::Fail(missing()));
    }

    #[test]
    fn unwanted_peers_are_not_even_looked_for() {
        let verdict = judge::<()>(Demand::Never, || panic!("looked"));
        assert!(matches!(verdict, Verdict::Ignore(_)));
    }
}
