//! The transport ends, or falls silent, at any place: rows D3 and GI3.

use std::collections::BTreeMap;

use ssh_proto::{Client, Server};
use ssh_testkit::sim::Fault;

use super::live::{nothing_was_altered, run};
use super::replay::{Recording, Replay, Side, hear};
use super::{COUNT, PACKED};

fn d3(step: usize) {
    for mode in [0, 2, PACKED] {
        let (whole, _) = run(mode, Fault::None, Fault::None);
        let mut ends = BTreeMap::<String, usize>::new();
        for up in [true, false] {
            let length = if up { whole.up.sent } else { whole.down.sent };
            for at in (0..length).step_by(step) {
                let cut = Fault::CutAt(at);
                let (_, app) = if up {
                    run(mode, cut, Fault::None)
                } else {
                    run(mode, Fault::None, cut)
                };
                nothing_was_altered(&app, cut);
                // The side that stops hearing says so, and how far it had come.
                let log = if up { &app.server.log } else { &app.client.log };
                let last = log.0.last().expect("an event").clone();
                let typed =
                    last.contains("the peer closed the transport") || last.contains("disconnected");
                assert!(typed, "{cut:?}: {last}");
                *ends.entry(last).or_default() += 1;
            }
        }
        // Before it identified itself, in the key exchange, in authentication, connected.
        let eofs = ends.keys().filter(|end| end.contains("the peer closed"));
        assert_eq!(eofs.count(), 4, "{ends:#?}");
    }
}

#[test]
fn d3_a_cut_at_any_byte_is_a_typed_end() {
    d3(7);
}

#[test]
#[ignore = "long"]
fn long_d3_a_cut_at_every_byte_is_a_typed_end() {
    d3(1);
}

/// Cuts the input of one side before every `step`th byte; returns how often it ended where.
fn every_cut<S: Side>(recording: &Recording, step: usize) -> BTreeMap<String, usize> {
    let (mode, input) = (recording.mode, S::input(recording));
    let whole = hear::<S>(mode, input);
    let mut ends = BTreeMap::new();
    for at in (0..input.len()).step_by(step) {
        let what = format!("{} {mode} cut at {at}", S::NAME);
        let mut replay = Replay::<S>::new(mode);
        replay.hear(&input[..at]);
        let authenticated = replay.peer.is_authenticated();
        replay.close();
        let run = replay.finish();
        run.is_beginning_of(&whole, &what);
        let stage = if !run.has("Transport(Identified") {
            "Identification"
        } else if !run.has("Transport(KeysExchanged") {
            "KeyExchange"
        } else if !authenticated {
            "Authentication"
        } else {
            "Connected"
        };
        let end = run.end.expect("an end");
        assert_eq!(end, format!("Eof {{ stage: {stage} }}"), "{what}");
        *ends.entry(end).or_default() += 1;
    }
    assert_eq!(ends.len(), 4, "{ends:?}");
    ends
}

fn gi3_cuts(modes: std::ops::Range<usize>, step: usize) {
    for mode in modes {
        let recording = Recording::of(mode);
        let client = every_cut::<Client>(&recording, step);
        println!("client {mode}: {client:?}");
        let server = every_cut::<Server>(&recording, step);
        println!("server {mode}: {server:?}");
    }
}

#[test]
fn gi3_the_end_of_input_after_any_byte_names_the_stage() {
    gi3_cuts(0..1, 1);
    gi3_cuts(PACKED..COUNT, 7);
}

#[test]
#[ignore = "long"]
fn long_gi3_the_end_of_input_after_every_byte_names_the_stage_in_every_mode() {
    gi3_cuts(0..COUNT, 1);
}

/// From every `step`th byte on nothing comes, and nothing ends: a deadline does.
fn every_silence<S: Side>(recording: &Recording, step: usize) -> BTreeMap<String, usize> {
    let (mode, input) = (recording.mode, S::input(recording));
    let whole = hear::<S>(mode, input);
    let mut ends = BTreeMap::new();
    for at in (0..input.len()).step_by(step) {
        let what = format!("{} {mode} silent from {at}", S::NAME);
        let mut replay = Replay::<S>::new(mode);
        replay.hear(&input[..at]);
        // What waits to be sent is taken, as a socket does for a while.
        let mut deadlines = 0;
        while !replay.has_ended() {
            let output = replay.peer.output().len();
            replay.peer.consume_output(output);
            let next = replay.peer.poll_timeout(replay.now);
            replay.now = next.unwrap_or_else(|| panic!("{what}: waits for ever"));
            replay.peer.handle_timeout(replay.now);
            replay.poll();
            deadlines += 1;
            assert!(deadlines < 10, "{what}: goes round in circles");
        }
        let run = replay.finish();
        run.is_beginning_of(&whole, &what);
        let end = run.end.expect("an end");
        assert!(end.starts_with("Error(Timeout("), "{what}: {end}");
        *ends.entry(end).or_default() += 1;
    }
    ends
}

fn gi3_silences(modes: std::ops::Range<usize>, step: usize) {
    for mode in modes {
        let recording = Recording::of(mode);
        let client = every_silence::<Client>(&recording, step);
        println!("client {mode}: {client:?}");
        let server = every_silence::<Server>(&recording, step);
        println!("server {mode}: {server:?}");
    }
}

#[test]
fn gi3_silence_after_any_byte_ends_with_a_deadline() {
    gi3_silences(0..1, 3);
}

#[test]
#[ignore = "long"]
fn long_gi3_silence_after_every_byte_ends_with_a_deadline_in_every_mode() {
    gi3_silences(0..COUNT, 1);
}
