//! Every message number in every state, to both roles, with and without strict key exchange: what
//! comes of it is compared with [`rules`], which are written from the RFCs, and with the page
//! `docs/gate.txt`, which is there to be read and whose changes show as a diff.
//!
//! ```text
//!   for each role, state, strictness, number:   empty body, junk, a valid body
//!     Ready::new(state) --message--> what is seen --compare--> rules::expected
//!                                              `--compress--> docs/gate.txt
//! ```
//!
//! A connection on which a message changed nothing is used for the next one; that it was left as it
//! was is seen in the end, when the peer goes on. All that any connection sends is watched
//! ([`rules::may_send`]).

mod page;
mod roles;
mod rules;
mod samples;
mod states;

use std::collections::BTreeMap;

use ssh_proto::error::End;
use ssh_proto::message::{Disconnect, Wire};
use ssh_proto::{Client, Role, Server, Wants};

use self::roles::Stand;
use self::rules::{Body, expected, may_send};
use self::states::{Effect, Mark, Ready, State};

/// What came of one number: with junk for a body, and with a valid one if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    junk: String,
    valid: Option<String>,
}

/// All cells of one role and strictness.
type Cells = BTreeMap<(usize, u8), Cell>;

/// Tries one state.
struct Trial<P: Stand> {
    state: State,
    strict: bool,
    /// What comes of the answer alone, where there is one to be given.
    answer: Effect,
    /// What comes of going on when nothing was in between.
    undisturbed: String,
    /// A connection in the state.
    ready: Option<Ready<P>>,
    /// How many connections it took.
    made: usize,
}

impl<P: Stand> Trial<P> {
    fn new(state: State, strict: bool) -> Self {
        let mut trial = Self {
            state,
            strict,
            answer: Effect::default(),
            undisturbed: String::new(),
            ready: None,
            made: 0,
        };
        let mut ready = trial.take();
        let paused = state.answered(P::ROLE).is_some();
        assert_eq!(
            ready.bench.peer.is_waiting_for_answer(),
            paused,
            "{:?} {state:?}",
            P::ROLE
        );
        assert_eq!(ready.bench.peer.has_ended(), state.is_over(), "{state:?}");
        if paused {
            let mark = ready.mark();
            ready.answer();
            trial.answer = ready.since(mark);
        }
        trial.undisturbed = ready.carry_on();
        if !state.is_over() {
            let peer = &ready.bench.peer;
            assert!(
                peer.is_authenticated() && !peer.has_ended(),
                "{:?} {state:?} leads nowhere: {:#?}",
                P::ROLE,
                ready.bench.seen.log
            );
        }
        trial
    }

    fn take(&mut self) -> Ready<P> {
        self.ready.take().unwrap_or_else(|| {
            self.made += 1;
            Ready::new(self.state, self.strict)
        })
    }

    /// Sends it and says what came of it; `None` where there is no valid body.
    fn of(&mut self, n: u8, body: Body) -> Option<String> {
        let mut ready = self.take();
        let mark = ready.mark();
        let seq = ready.bench.raw.send_seq;
        if !put(&mut ready, n, body) {
            self.ready = Some(ready);
            return None;
        }
        if self.state == State::Line {
            ready.bench.raw.bytes(b"\r\n");
        }
        ready.turn();
        if self.state.answered(P::ROLE).is_some() {
            let early = ready.since(mark);
            assert_eq!(
                early,
                Effect::default(),
                "{:?} {n} while paused",
                self.state
            );
            assert_eq!(ready.bench.peer.wants(), Wants::Answer, "{n}");
            ready.answer();
        }
        let word = self.word(&mut ready, mark, seq);
        let authenticated = ready.bench.peer.is_authenticated();
        let sent = ready.bench.raw.numbers(0);
        if let Err(why) = may_send(P::ROLE, self.state, &sent, authenticated) {
            panic!("{:?} {:?} {n} {body:?}: {why}", P::ROLE, self.state);
        }
        let unchanged =
            word == "dead" || word == "unimplemented" && self.answer == Effect::default();
        if unchanged {
            self.ready = Some(ready);
        }
        Some(word)
    }

    fn word(&self, ready: &mut Ready<P>, mark: Mark, seq: u32) -> String {
        let mut effect = ready.since(mark);
        strip(&mut effect.events, &self.answer.events);
        strip(&mut effect.sent, &self.answer.sent);
        if self.state.is_over() {
            let silent = effect == Effect::default() && ready.bench.peer.wants() == Wants::Closed;
            return if silent { "dead" } else { "alive" }.to_owned();
        }
        let events = effect.events.join(",");
        if ready.bench.seen.end.is_some() {
            let word = ended(ready, &effect);
            ready.bench.closed(&word);
            let gap = if events.is_empty() { "" } else { " " };
            return [&events, gap, &word].concat();
        }
        if effect.sent == [3] {
            let answer = ready.bench.raw.got.last().expect("UNIMPLEMENTED");
            assert_eq!(answer[1..], seq.to_be_bytes(), "{answer:?}");
            assert!(effect.events.is_empty(), "an event of what is unknown");
            return "unimplemented".to_owned();
        }
        let mut word = events;
        if !effect.sent.is_empty() {
            let numbers: Vec<_> = effect.sent.iter().map(u8::to_string).collect();
            word += if word.is_empty() { ">" } else { " >" };
            word += &numbers.join(",");
        }
        if self.state == State::RekeyKexInit && !effect.events.iter().any(|e| e == "Negotiated") {
            return self.later(ready, word, seq);
        }
        let harmless = effect.sent.is_empty()
            && matches!(&word[..], "" | "Unimplemented" | "Debug" | "Notice");
        if harmless {
            let same = ready.carry_on() == self.undisturbed;
            if word.is_empty() {
                word += if same || ready.was_found_out() {
                    "ignored"
                } else {
                    "ok"
                };
            }
            if ready.was_found_out() {
                word += ", then end 2";
            } else if word != "ok" {
                assert!(same, "{:?}: {word} has changed something", self.state);
            }
        }
        word
    }

    /// Between our KEXINIT and our NEWKEYS: what is answered after it.
    fn later(&self, ready: &mut Ready<P>, mut word: String, seq: u32) -> String {
        let (mark, before) = (ready.mark(), ready.bench.raw.got.len());
        let went_on = ready.carry_on();
        let mut effect = ready.since(mark);
        let exchange = if P::ROLE == Role::Client {
            [30, 21]
        } else {
            [31, 21]
        };
        assert_eq!(effect.sent[..2], exchange, "{word}");
        strip(&mut effect.sent, &exchange);
        if effect.sent == [3] {
            let answer = &ready.bench.raw.got[before + 2];
            assert_eq!(answer[1..], seq.to_be_bytes(), "{answer:?}");
            return "later unimplemented".to_owned();
        }
        if let [number] = effect.sent[..] {
            word += if word.is_empty() { "" } else { ", " };
            word += &format!("later >{number}");
        } else if word.is_empty() {
            let same = went_on == self.undisturbed;
            word += if same { "ignored" } else { "ok" };
        }
        word
    }

    /// Whether the connection that was used for many is still where it was.
    fn finish(mut self) -> usize {
        if let Some(mut ready) = self.ready.take()
            && self.answer == Effect::default()
        {
            assert_eq!(ready.carry_on(), self.undisturbed, "{:?}", self.state);
        }
        self.made
    }
}

/// How it ended.
fn ended<P: Stand>(ready: &Ready<P>, effect: &Effect) -> String {
    let goodbye = ready
        .bench
        .raw
        .got
        .last()
        .filter(|_| effect.sent.last() == Some(&1));
    let reason = goodbye.map(|payload| Disconnect::decode(payload).expect("DISCONNECT"));
    match (&ready.bench.seen.end, reason) {
        (Some(End::ByPeer(_)), None) => "by peer".to_owned(),
        (Some(End::Error(_)), None) => "end -".to_owned(),
        (Some(End::Error(_)), Some(reason)) => format!("end {}", reason.reason_code.0),
        (end, reason) => format!("{end:?} {reason:?}"),
    }
}

fn strip<T: PartialEq + Clone>(all: &mut Vec<T>, front: &[T]) {
    if let Some(rest) = all.strip_prefix(front) {
        *all = rest.to_vec();
    }
}

/// Puts the message on its way. False if no valid body exists.
fn put<P: Stand>(ready: &mut Ready<P>, n: u8, body: Body) -> bool {
    let raw = &mut ready.bench.raw;
    let state = ready.state;
    match body {
        Body::Empty => raw.payload(&[n]),
        Body::Junk => raw.payload(&[n, 0xff, 0xff, 0xff]),
        Body::Valid => {
            let proves = matches!(state, State::Invited | State::Partial | State::Offered);
            match n {
                20 => raw.kexinit(),
                21 => raw.newkeys(),
                _ if state.due(P::ROLE) == Some(n) => raw.method(),
                _ => match samples::valid(P::ROLE, n, proves, raw) {
                    Some(payload) => raw.payload(&payload),
                    None => return false,
                },
            }
        }
    }
    true
}

/// Everything there is to know about one role and strictness.
struct Run {
    role: Role,
    strict: bool,
    cells: Cells,
    made: usize,
    wrong: Vec<String>,
}

fn run<P: Stand>(strict: bool) -> Run {
    let mut run = Run {
        role: P::ROLE,
        strict,
        cells: Cells::new(),
        made: 0,
        wrong: Vec::new(),
    };
    for (at, &state) in State::of(P::ROLE).iter().enumerate() {
        let mut trial = Trial::<P>::new(state, strict);
        for n in 0..=255 {
            let mut of = |body| {
                let word = trial.of(n, body)?;
                let rule = expected(P::ROLE, state, strict, n, body);
                if word != rule {
                    let role = P::ROLE;
                    run.wrong.push(format!(
                        "{role:?} strict={strict} {state:?} {n} {body:?}: {word}, should be {rule}"
                    ));
                }
                Some(word)
            };
            let junk = of(Body::Junk).expect("any number can have junk behind it");
            let valid = of(Body::Valid);
            // Where nothing else is refused, it is not for the number.
            if valid.as_ref().is_some_and(|valid| *valid != junk) {
                of(Body::Empty);
            }
            run.cells.insert((at, n), Cell { junk, valid });
        }
        run.made += trial.finish();
    }
    run
}

#[test]
fn s5_s10_every_number_in_every_state_is_what_the_rules_and_the_page_say() {
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let all = [
            scope.spawn(|| run::<Client>(false)),
            scope.spawn(|| run::<Server>(false)),
            scope.spawn(|| run::<Client>(true)),
            scope.spawn(|| run::<Server>(true)),
        ];
        all.map(|one| one.join().expect("a run")).into()
    });
    let cells: usize = runs.iter().map(|run| run.cells.len()).sum();
    let made: usize = runs.iter().map(|run| run.made).sum();
    println!("{cells} cells, {made} connections");
    assert!(cells >= 18_432, "{cells} cells");
    let wrong: Vec<_> = runs.iter().flat_map(|run| &run.wrong).collect();
    assert!(
        wrong.is_empty(),
        "{} cells: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(60)]
    );
    page::compare(&runs);
}
