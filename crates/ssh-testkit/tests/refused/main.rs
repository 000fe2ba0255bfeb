//! Memory is refused, at every request of a session for a large block: row GI5.
//!
//! A small allocation that fails ends the process, as in every program in Rust that uses its
//! collections. A large one must not: buffers and tables that grow with what a peer sends ask
//! whether there is memory. So each request for [`LARGE`] bytes or more is refused in turn, alone
//! and with all that follow it, in both roles; the connection goes on, or ends with a typed error.
//! It happens in a process of its own, so that an abort is seen as what it is. That an abort is the worst
//! that comes of a small one is shown in `small`.
//!
//! What runs here keeps nothing on the heap but the connection: a refusal hits nobody else.

mod session;
mod small;

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::Command;

use session::{Compressed, Side, hostile, record};
use ssh_proto::error::{End, Error};
use ssh_proto::{Client, Instant, RecvBuf, Server, Wants};
use ssh_testkit::alloc::{self, Requests, TrackingAllocator};

#[global_allocator]
static ALLOCATOR: TrackingAllocator = TrackingAllocator;

/// From here on memory is asked for, not taken.
const LARGE: usize = 4096;

/// Set in the process in which memory is refused.
const CHILD: &str = "SSH_TEST_MEMORY_CHILD";

/// How a connection went.
#[derive(Debug)]
enum Outcome {
    /// It could not be begun.
    NotBegun,
    /// There was no memory to read into; the caller was told.
    NoRoom,
    Ended(End),
}

impl Outcome {
    fn kind(&self) -> &'static str {
        match self {
            Self::NotBegun => "refused to begin",
            Self::NoRoom => "no room to read into",
            Self::Ended(End::Error(Error::Memory(_))) => "Error::Memory",
            Self::Ended(End::Error(Error::Internal(_))) => panic!("{self:?}"),
            Self::Ended(End::Error(_)) => "another error",
            Self::Ended(End::Disconnected | End::ByPeer(_)) => "harmless",
            Self::Ended(_) => "the end of input",
        }
    }
}

/// Plays `input` to a new connection while the requests for `least` bytes or more that are in `which`
/// are refused.
fn play<S: Side>(
    input: &[u8],
    compressed: Compressed,
    least: usize,
    which: Range<u64>,
) -> (Outcome, Requests) {
    let config = S::config(compressed);
    let mut app = S::app();
    alloc::refuse(least, which, || {
        let Ok(mut peer) = S::make(config) else {
            return Outcome::NotBegun;
        };
        let (mut rx, mut rest, mut end) = (RecvBuf::new(), input, None);
        loop {
            while let Some(event) = peer.poll_event(&mut rx.batch(), Instant::EPOCH) {
                end = peer.on(&mut app, event);
            }
            let written = peer.output().len();
            peer.consume_output(written);
            match peer.wants() {
                Wants::Bytes(_) if rest.is_empty() => peer.close_input(),
                Wants::Bytes(need) => {
                    let Ok(spare) = rx.try_spare(need) else {
                        return Outcome::NoRoom;
                    };
                    let (now, later) = rest.split_at(rest.len().min(spare.len()));
                    spare[..now.len()].copy_from_slice(now);
                    rx.filled(now.len());
                    rest = later;
                }
                Wants::Closed => return Outcome::Ended(end.take().expect("an end")),
                Wants::Batch | Wants::Output => {}
                other => panic!("{other:?}"),
            }
        }
    })
}

/// Refuses each large block of a connection that hears `input`, alone and with all that follow.
/// Returns how often it went how.
fn refuse_each<S: Side>(
    what: &str,
    input: &[u8],
    compressed: Compressed,
) -> BTreeMap<String, usize> {
    let (whole, Requests { made, .. }) = play::<S>(input, compressed, LARGE, 0..0);
    println!("{what}: {made} requests, {}", whole.kind());
    let mut outcomes = BTreeMap::new();
    for n in 0..made {
        for which in [n..n + 1, n..u64::MAX] {
            // The last line before an abort says where.
            println!("{what}: refusing {which:?}");
            let (outcome, requests) = play::<S>(input, compressed, LARGE, which);
            assert!(requests.refused > 0, "{what}: {n}");
            let line = format!("{} bytes: {}", requests.size, outcome.kind());
            *outcomes.entry(line).or_default() += 1;
        }
    }
    println!("{what}: {outcomes:#?}");
    outcomes
}

/// Runs `child` in a process of its own, as the test of this name.
fn apart(name: &str, child: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(CHILD, "1")
        .output()
        .expect("it can be started again");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success(), "{}: {complained}", output.status);
}

#[test]
fn gi5_no_large_block_that_is_refused_ends_the_process() {
    apart(
        "gi5_no_large_block_that_is_refused_ends_the_process",
        || {
            let [up, down] = record(Compressed::Nothing);
            let client = refuse_each::<Client>("client", &down, Compressed::Nothing);
            let server = refuse_each::<Server>("server", &up, Compressed::Nothing);
            for outcomes in [client, server] {
                assert!(outcomes.keys().any(|line| line.ends_with("Error::Memory")));
                assert!(
                    outcomes
                        .keys()
                        .any(|line| line.ends_with("no room to read into"))
                );
                assert!(outcomes.len() > 5, "{outcomes:?}");
            }
        },
    );
}

/// The stream that is inflated, its window, and the room for what it inflates to.
#[test]
fn gi5_no_large_block_for_what_is_inflated_that_is_refused_ends_the_process() {
    apart(
        "gi5_no_large_block_for_what_is_inflated_that_is_refused_ends_the_process",
        || {
            let [_, down] = record(Compressed::ToClient);
            let client = refuse_each::<Client>("client", &down, Compressed::ToClient);
            let [up, _] = record(Compressed::ToServer);
            let server = refuse_each::<Server>("server", &up, Compressed::ToServer);
            for outcomes in [client, server] {
                for size in [32 * 1024, 384 * 1024] {
                    let line = format!("{size} bytes: Error::Memory");
                    assert!(outcomes.contains_key(&line), "{line}: {outcomes:?}");
                }
            }
        },
    );
}

/// What a peer can make large before it has proven anything: lines before the identification, and
/// the name-lists of KEXINIT.
#[test]
fn gi5_no_large_block_that_a_stranger_asks_for_ends_the_process() {
    apart(
        "gi5_no_large_block_that_a_stranger_asks_for_ends_the_process",
        || {
            let nothing = Compressed::Nothing;
            refuse_each::<Client>("hostile server", &hostile::<Client>(), nothing);
            refuse_each::<Server>("hostile client", &hostile::<Server>(), nothing);
        },
    );
}

/// That the tests above would see it.
#[test]
fn a_refused_block_that_nobody_asked_about_ends_the_process() {
    let name = "a_refused_block_that_nobody_asked_about_ends_the_process";
    if std::env::var_os(CHILD).is_some() {
        let (block, _) = alloc::refuse(LARGE, 0..1, || std::hint::black_box(vec![1_u8; LARGE]));
        panic!("{} bytes", block.len());
    }
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("it can be started again");
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        complained.contains("memory allocation of 4096 bytes failed"),
        "{complained}"
    );
}
