//! The same test with its input cut in other places.
//!
//! A stream has no seams: what a peer sends in one write may arrive in one read, a byte at a time
//! or in any other pieces, and nothing may depend on it. [`in_every_way`] runs a test once in each
//! of three ways, and every [`Bench`](super::Bench) in it leaves a [`Trace`] of what its application
//! saw and what it sent. The three runs must leave the same traces in the same order.
//!
//! What is compared is what the protocol means: events, the bytes of each stream, payloads. How
//! output is cut into writes, and data into events, is nobody's business.

use std::cell::RefCell;

use ssh_proto::ChannelId;
use ssh_proto::mux::Stream;

use super::Seen;
use crate::rng::SeededRandom;

/// So much of the input of one connection is cut at every byte. What comes behind it is a flood,
/// and goes on in pieces of [`FLOOD_PIECE`], which is no multiple of anything.
const CUT_AT_EVERY_BYTE: usize = 48 * 1024;
const FLOOD_PIECE: usize = 1021;

thread_local! {
    static RUN: RefCell<Run> = const { RefCell::new(Run { way: Way::Whole, traces: None }) };
}

/// How the input of one turn becomes reads.
enum Way {
    /// All in one.
    Whole,
    /// A byte at a time.
    Bytes,
    /// In pieces that a seed decides.
    Random(SeededRandom),
}

struct Run {
    way: Way,
    /// Nothing is recorded outside of [`in_every_way`].
    traces: Option<Vec<Trace>>,
}

/// What one connection did.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    log: Vec<String>,
    data: Vec<(ChannelId, Stream, Vec<u8>)>,
    end: Option<String>,
    sent: Vec<Vec<u8>>,
}

/// Runs `body` three times: with all input of a turn in one read, cut at every byte, and in
/// random pieces (`SSH_TEST_SEED`). Connections on a [`Bench`](super::Bench) must do the same in
/// all three.
///
/// # Panics
///
/// If they do not, if there are none, or if `body` does.
pub fn in_every_way(body: impl Fn()) {
    let whole = run(Way::Whole, &body);
    assert!(!whole.is_empty(), "no connection that is fed");
    for (name, way) in [
        ("a byte at a time", Way::Bytes),
        ("in random pieces", Way::Random(SeededRandom::from_env())),
    ] {
        let seed = if let Way::Random(random) = &way {
            random.seed()
        } else {
            0
        };
        let other = run(way, &body);
        assert_eq!(whole.len(), other.len(), "connections, {name}");
        for (n, (whole, other)) in whole.iter().zip(&other).enumerate() {
            assert_eq!(whole, other, "connection {n}, {name} (seed {seed:#x})");
        }
    }
}

fn run(way: Way, body: &impl Fn()) -> Vec<Trace> {
    /// A body that fails leaves nothing to the next test of its thread.
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            RUN.with_borrow_mut(|run| (run.way, run.traces) = (Way::Whole, None));
        }
    }
    let _reset = Reset;
    RUN.with_borrow_mut(|run| {
        assert!(run.traces.is_none(), "one way within another");
        (run.way, run.traces) = (way, Some(Vec::new()));
    });
    body();
    RUN.with_borrow_mut(|run| run.traces.take().unwrap_or_default())
}

/// How long the next piece of `left` bytes is, on a connection to which `fed` came before and
/// which takes at most `most` at a time.
pub(super) fn next_piece(left: usize, fed: usize, most: usize) -> usize {
    let piece = RUN.with_borrow_mut(|run| match &mut run.way {
        Way::Whole => left,
        Way::Bytes if fed < CUT_AT_EVERY_BYTE => 1,
        Way::Bytes => FLOOD_PIECE,
        Way::Random(random) => {
            // Short ones and long ones equally often.
            let magnitude = random.below(15);
            1 + usize::try_from(random.below(1 << magnitude)).unwrap_or(0)
        }
    });
    piece.min(most).min(left).max(1)
}

/// Leaves the trace of a connection that is not needed any more.
pub(super) fn record(seen: &mut Seen, sent: &mut Vec<Vec<u8>>) {
    if std::thread::panicking() {
        return;
    }
    RUN.with_borrow_mut(|run| {
        if let Some(traces) = &mut run.traces {
            traces.push(Trace {
                log: std::mem::take(&mut seen.log.0),
                data: joined(std::mem::take(&mut seen.data)),
                end: seen.end.as_ref().map(|end| format!("{end:?}")),
                sent: std::mem::take(sent),
            });
        }
    });
}

/// What came on each stream.
fn joined(pieces: Vec<(ChannelId, Stream, Vec<u8>)>) -> Vec<(ChannelId, Stream, Vec<u8>)> {
    let mut streams: Vec<(ChannelId, Stream, Vec<u8>)> = Vec::new();
    for (channel, stream, bytes) in pieces {
        match streams
            .iter_mut()
            .find(|known| known.0 == channel && known.1 == stream)
        {
            Some(known) => known.2.extend_from_slice(&bytes),
            None => streams.push((channel, stream, bytes)),
        }
    }
    streams
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use ssh_proto::Server;

    use super::*;
    use crate::raw::{Bench, Stage};

    #[test]
    fn a_body_runs_in_three_ways() {
        let turns = Cell::new(0);
        in_every_way(|| {
            turns.set(turns.get() + 1);
            assert!(
                Bench::<Server>::at(Stage::Connected, true)
                    .peer
                    .is_authenticated()
            );
        });
        assert_eq!(turns.get(), 3);
    }

    #[test]
    #[should_panic(expected = "connection 0")]
    fn a_difference_is_found() {
        let turns = Cell::new(0);
        in_every_way(|| {
            turns.set(turns.get() + 1);
            let mut bench = Bench::<Server>::at(Stage::Connected, true);
            if turns.get() == 3 {
                bench.send(&[200]);
            }
        });
    }

    #[test]
    fn pieces_are_what_the_way_says() {
        assert_eq!(next_piece(100, 0, usize::MAX), 100);
        assert_eq!(next_piece(100, 0, 7), 7, "no way is given");
        run(Way::Bytes, &|| {
            assert_eq!(next_piece(100, 0, usize::MAX), 1);
            assert_eq!(next_piece(9999, CUT_AT_EVERY_BYTE, usize::MAX), FLOOD_PIECE);
        });
        let random = || {
            run(Way::Random(SeededRandom::new(1)), &|| {
                let all: Vec<usize> = (0..200).map(|_| next_piece(5000, 0, 4000)).collect();
                assert!(all.contains(&1) && all.iter().any(|&n| n > 1000));
                assert!(all.iter().all(|n| (1..=4000).contains(n)));
            })
        };
        random();
    }
}
