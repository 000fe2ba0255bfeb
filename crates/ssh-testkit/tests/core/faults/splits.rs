//! However a stream is cut into reads, what comes of it is the same: row GI1.

use ssh_proto::{Client, Server};

use super::replay::{Recording, Side, hear, play};
use super::{COUNT, PACKED};

/// Cuts the input of one side at every `step`th byte in two, and at all bytes; returns how often.
fn every_split<S: Side>(recording: &Recording, step: usize) -> usize {
    let (mode, input) = (recording.mode, S::input(recording));
    let whole = hear::<S>(mode, input);
    let bytes: usize = whole.data.iter().map(|(.., data)| data.len()).sum();
    assert!(bytes >= 171, "{whole:#?}");
    let mut runs = 0;
    for at in (1..input.len()).step_by(step) {
        let run = play::<S>(mode, input, [at].into_iter());
        assert!(run == whole, "{} {mode} at {at}: {run:#?}", S::NAME);
        runs += 1;
    }
    let run = play::<S>(mode, input, 1..input.len());
    assert!(run == whole, "{} {mode} byte by byte: {run:#?}", S::NAME);
    runs + 1
}

fn gi1(modes: std::ops::Range<usize>, step: usize) {
    let mut runs = 0;
    for mode in modes {
        let recording = Recording::of(mode);
        runs += every_split::<Client>(&recording, step);
        runs += every_split::<Server>(&recording, step);
    }
    println!("{runs} replays");
}

#[test]
fn gi1_output_and_events_are_the_same_for_any_split() {
    gi1(0..1, 1);
    gi1(PACKED..COUNT, 7);
}

#[test]
#[ignore = "long"]
fn long_gi1_output_and_events_are_the_same_for_every_split_in_every_mode() {
    gi1(0..COUNT, 1);
}
