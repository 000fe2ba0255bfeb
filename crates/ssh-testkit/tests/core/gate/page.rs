//! The page `docs/gate.txt`: all cells, in ranges of numbers of which the same becomes.
//!
//! A state that is much like another one is shown by what differs from that; strict key exchange is
//! shown by what differs from the same state without it.

use std::fmt::Write;

use ssh_proto::Role;
use ssh_proto::message::{self, KexMessages, Needs};
use ssh_testkit::raw::Family;

use super::states::State;
use super::{Cell, Run};
use crate::pages;

const HEAD: &str = "\
What becomes of every message in every state. Made by a test and compared with it by that test:
    UPDATE_DOCS=1 cargo test -p ssh-testkit --test core gate
which also compares each line with rules that are written from the RFCs (tests/core/gate/rules.rs).

All that the connections sent in it was watched as well: KEXINIT first; nothing but the exchange
between KEXINIT and NEWKEYS; nothing of value before the first NEWKEYS, of the connection protocol
before SUCCESS, of the other role, or after DISCONNECT.

One block is one state of one role: number or range of numbers, what becomes of it with a body of
junk, and, where that is something else, with a valid body. In blocks that begin with \"as\" the
numbers that are not listed do what they do there; \"strict\" lists what strict key exchange changes.

    end 2            given up; the peer is told with this reason (2: PROTOCOL_ERROR)
    end -            given up without a word: there is no protocol yet
    by peer          the peer has ended it
    dead             it had ended before; nothing happens
    unimplemented    answered with UNIMPLEMENTED and the number of the packet
    ignored          nothing has changed
    ok               taken, which shows only in what may come next
    Eof >97          taken: the application's events, and the numbers of what is sent in answer
    later            answered after our NEWKEYS, before which it must not be
    ..., then end 2  found out as soon as strict key exchange is agreed
";

/// Compares with what is checked in, or writes it with `UPDATE_DOCS=1`.
pub(super) fn compare(runs: &[Run]) {
    pages::compare("docs/gate.txt", &page(runs), "UPDATE_DOCS", "gate");
}

fn page(runs: &[Run]) -> String {
    let mut text = HEAD.to_owned();
    for role in [Role::Client, Role::Server] {
        let find = |strict| {
            let mut runs = runs.iter();
            let found = runs.find(|run| run.role == role && run.strict == strict);
            found.expect("every combination was run")
        };
        let (loose, strict) = (find(false), find(true));
        let title = format!("{role:?}").to_uppercase();
        writeln!(text, "\n\n{title}").expect("a string");
        for &state in State::of(role) {
            block(&mut text, role, state, loose, strict);
        }
    }
    text
}

fn block(text: &mut String, role: Role, state: State, loose: &Run, strict: &Run) {
    let name = format!("{state:?}");
    writeln!(text, "\n{name}: {}", state.about(role)).expect("a string");
    let like = state.like(role);
    if let Some(like) = like {
        let differs = rows(loose, state, |n| loose.of(like, n)).len();
        let but = if differs == 0 { "" } else { ", but" };
        writeln!(text, "  as {like:?}{but}").expect("a string");
    }
    for row in rows(loose, state, |n| like.and_then(|like| loose.of(like, n))) {
        writeln!(text, "    {row}").expect("a string");
    }
    // Where the other state differs in the same way it need not be said again.
    let inherited = |n| {
        let like = like?;
        let same_there = loose.of(state, n) == loose.of(like, n);
        same_there.then(|| strict.of(like, n)).flatten()
    };
    let changed = rows(strict, state, |n| {
        inherited(n).or_else(|| loose.of(state, n))
    });
    if !changed.is_empty() {
        writeln!(text, "  strict").expect("a string");
        for row in changed {
            writeln!(text, "    {row}").expect("a string");
        }
    }
}

impl Run {
    fn of(&self, state: State, n: u8) -> Option<&Cell> {
        let at = State::of(self.role).iter().position(|s| *s == state)?;
        self.cells.get(&(at, n))
    }
}

/// The rows of a state that are not what `known` says.
fn rows<'r>(run: &'r Run, state: State, known: impl Fn(u8) -> Option<&'r Cell>) -> Vec<String> {
    let mut rows = Vec::new();
    let mut open: Option<(u8, u8, (String, String))> = None;
    for n in 0..=255 {
        let cell = run.of(state, n).expect("every number was tried");
        let shown = (known(n) != Some(cell)).then(|| words(cell));
        open = match (open, shown) {
            (Some((from, to, words)), Some(next)) if words == next && to + 1 == n => {
                Some((from, n, words))
            }
            (before, next) => {
                rows.extend(before.map(|it| row(state, it)));
                next.map(|words| (n, n, words))
            }
        };
    }
    rows.extend(open.map(|it| row(state, it)));
    rows
}

fn words(cell: &Cell) -> (String, String) {
    let valid = cell.valid.clone().filter(|valid| *valid != cell.junk);
    (cell.junk.clone(), valid.unwrap_or_default())
}

fn row(state: State, (from, to, (junk, valid)): (u8, u8, (String, String))) -> String {
    if from != to {
        let row = format!("{:<10}{junk:<17}{valid}", format!("{from}-{to}"));
        return row.trim_end().to_owned();
    }
    // What a number of key exchange means depends on the method.
    let needs = Needs::Kex(match Family::of(state.kex().name()) {
        Family::Curve => KexMessages::Ecdh,
        Family::Fixed => KexMessages::Dh,
        Family::GroupExchange => KexMessages::GroupExchange,
        Family::Rsa => KexMessages::Rsa,
    });
    let mut table = message::TABLE.iter();
    let here = table.find(|info| info.number == from && info.needs == needs);
    let name = here.map(|info| info.name).or_else(|| message::name(from));
    let name = name.unwrap_or_default();
    let name = name
        .trim_start_matches("SSH_MSG_")
        .trim_start_matches("SSH2_MSG_");
    format!("{from:<10}{junk:<17}{valid:<32}{name}")
        .trim_end()
        .to_owned()
}
