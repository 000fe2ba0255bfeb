//! The matrix in `docs/interop.md`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::alone::{self, ALONE, Alone};
use crate::audit;
use crate::interop::columns::{Column, Side};
use crate::interop::matrix::{Outcome, Results, Row};
use crate::interop::{offers, table};

const HEAD: &str = "\
# Interoperability

Made by `UPDATE_DOCS=1 cargo test -p ssh-blocking --test interop`, which needs every peer
([testing](testing.md#peers)). Without the variable the same command tries everything with the
peers that are there.

Every cell is a connection of its own: a login, a command that gets 1 MiB, answers with its SHA-256
on standard error and with the same 1 MiB, and ends with a status that is not 0; half way through,
our side asks for new keys. Each cipher that needs a MAC has `hmac-sha2-256`, each MAC the cipher
`aes128-ctr`, or what else the peer has. Where new keys are exchanged every 64 KiB, 4 MiB go both ways at
the same time; the tunnel does the same through a `direct-tcpip` channel.

`ok` is that all of it was right. A peer is made to offer all that it has, and what it offers is read
off its KEXINIT: an algorithm that stands there has to work, and `-` is one that does not, or something
that the peer does not do or cannot be told to do. `its fault` is an algorithm that the peer offers and
does wrong.

- A server of sunset tells neither the end of its output nor a status: there the checksum comes last,
  and both sides know how much there is.
- Paramiko answers requests while keys are exchanged, which RFC 4253 section 7.1 forbids and which ends
  the connection. With it our side has windows that hold all that is sent: it then sends none of the
  requests with which it measures them. Likewise with Conch, which says that it is done sending before it
  has sent what is over a window.
- PuTTY, TinySSH and libssh2 have one role alone.
";

const ALONE_HEAD: &str = "
## What no peer offers

Tests of the primitive stand for each of these rows: they compare with other code, or with published
answers.

";

/// Whether this run is to write the file.
pub(crate) fn to_be_updated() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1")
}

/// Writes the file, if everything was tried.
pub(crate) fn update(results: &Results, audit: &audit::Results) -> Result<(), String> {
    for column in Column::all() {
        if Row::all()
            .iter()
            .any(|&row| results.of(column, row).is_none())
        {
            return Err(format!("{column} was not tried"));
        }
    }
    let mut text = format!("{HEAD}\n{}", table::shown(results, &Row::all()));
    for column in Column::all() {
        for row in Row::all() {
            if let Some(fault) = column.fault(row) {
                let _ = writeln!(text, "\n{row} with {column}: {fault}.");
            }
        }
    }
    if !ALONE.is_empty() {
        text += ALONE_HEAD;
        for Alone { row, tests } in ALONE {
            let tests = tests
                .iter()
                .map(|(test, file)| format!("`{test}` in `{file}`"));
            let tests: Vec<String> = tests.collect();
            let _ = writeln!(text, "- {row}: {}", tests.join(", "));
        }
    }
    text += &audit::section(audit)?;
    fs::write(file(), text).map_err(|error| error.to_string())
}

/// The file has these rows and columns, every cell says `ok` or `-`, `ok` wherever the peer must have
/// it, and every row is `ok` somewhere or has a test that stands for it.
pub(crate) fn compare_shape() -> Result<(), String> {
    let text = fs::read_to_string(file()).map_err(|error| error.to_string())?;
    let mut lines = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
        });
    let stale = |what: &str| Err(format!("{what}: update it, UPDATE_DOCS=1"));
    let mut works = Vec::new();
    for side in Side::ALL {
        let columns = Column::of(side);
        if lines.next() != Some(table::heading(side, &columns)) || lines.next().is_none() {
            return stale("docs/interop.md has other columns");
        }
        for row in Row::all() {
            let Some(cells) = lines.next() else {
                return stale(&format!("docs/interop.md has no row {row}"));
            };
            if cells.first() != Some(&row.to_string()) || cells.len() != columns.len() + 1 {
                return stale(&format!("docs/interop.md has {cells:?} instead of {row}"));
            }
            for (&column, cell) in columns.iter().zip(&cells[1..]) {
                let may_lack =
                    !offers::must_have(column, row) && *cell == Outcome::NotOffered.text();
                let faulty = column.fault(row).is_some() && *cell == Outcome::PeerFails.text();
                if *cell != Outcome::Works.text() && !may_lack && !faulty {
                    return stale(&format!("docs/interop.md says {cell:?} of {row}, {column}"));
                }
            }
            if cells.iter().any(|cell| cell == Outcome::Works.text()) {
                works.push(row);
            }
        }
    }
    for row in Row::all() {
        match (works.contains(&row), alone::stands_for(row)) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(_)) => return Err(format!("{row} is not alone: a peer offers it")),
            (false, None) => return Err(format!("nobody has {row}, and no test stands for it")),
        }
    }
    Ok(())
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/interop.md")
}
