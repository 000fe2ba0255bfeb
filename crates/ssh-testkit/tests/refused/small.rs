//! Requests for less than a large block are refused as well, each of them.
//!
//! Most of them end the process, in the way that the standard library ends it; so each refusal that
//! does has a process of its own, which also shows that nothing else comes of it: no panic, no
//! wrong answer, no other signal.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use super::session::{Compressed, Side, record};
use super::{CHILD, play};
use ssh_proto::{Client, Server};

/// `SIGABRT`, by which the standard library ends a process that is refused memory.
const ABORTED: i32 = 6;

/// The first line of what it says then.
const COMPLAINT: &str = "memory allocation of ";

/// In the child: refuses request after request to a connection that hears what comes on the standard
/// input, from the number in the environment on, and says which, until one of them is the end.
fn child<S: Side>(from: &str) {
    let mut input = Vec::new();
    std::io::stdin()
        .read_to_end(&mut input)
        .expect("the parent writes it");
    let mut n: u64 = from.parse().expect("a number");
    loop {
        println!("refusing {n}");
        let (outcome, requests) = play::<S>(&input, Compressed::Nothing, 1, n..n + 1);
        if requests.refused == 0 {
            println!("no more of {}", requests.made);
            return;
        }
        println!("then {}", outcome.kind());
        n += 1;
    }
}

/// Refuses each request of a connection that hears `input`; returns how often what came of it.
fn refuse_each<S: Side>(name: &str, input: &[u8]) -> BTreeMap<String, usize> {
    let mut outcomes = BTreeMap::new();
    let mut next = 0;
    loop {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", name, "--nocapture", "--test-threads", "1"])
            .env(CHILD, next.to_string())
            // It takes fifty times as long as the rest.
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be started again");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input).expect("the child reads it all");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        let mut count = |what: &str| *outcomes.entry(what.to_owned()).or_default() += 1;
        for what in said.lines().filter_map(|line| line.strip_prefix("then ")) {
            count(what);
            next += 1;
        }
        if output.status.success() {
            assert!(said.contains(&format!("no more of {next}\n")), "{said}");
            return outcomes;
        }
        assert!(said.contains(&format!("refusing {next}\n")), "{said}");
        assert_eq!(
            output.status.signal(),
            Some(ABORTED),
            "{name}, {next}: {complained}"
        );
        assert!(complained.contains(COMPLAINT), "{next}: {complained}");
        count("the end of the process");
        next += 1;
    }
}

/// Both halves of a test, in which the connection hears one of the two streams of a session.
fn every_request<S: Side>(name: &str, stream: usize) {
    if let Ok(from) = std::env::var(CHILD) {
        return child::<S>(&from);
    }
    let outcomes = refuse_each::<S>(name, &record(Compressed::Nothing)[stream]);
    println!("{name}: {outcomes:#?}");
    for kind in [
        "Error::Memory",
        "no room to read into",
        "the end of the process",
    ] {
        assert!(outcomes.contains_key(kind), "{kind}");
    }
}

#[test]
fn gi5_nothing_comes_of_any_block_refused_to_a_client_but_an_end() {
    every_request::<Client>(
        "small::gi5_nothing_comes_of_any_block_refused_to_a_client_but_an_end",
        1,
    );
}

#[test]
fn gi5_nothing_comes_of_any_block_refused_to_a_server_but_an_end() {
    every_request::<Server>(
        "small::gi5_nothing_comes_of_any_block_refused_to_a_server_but_an_end",
        0,
    );
}
