//! The matrix in `docs/interop.md`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::interop::matrix::{Column, Outcome, Results, Row};
use crate::interop::table;

const HEAD: &str = "\
# Interoperability

Made by `UPDATE_DOCS=1 cargo test -p ssh-blocking --test interop`, which needs every peer
([testing](testing.md#peers)). Without the variable the same command tries everything with the
peers that are there.

Every cell is a connection of its own: a login, a command that gets 1 MiB, answers with its SHA-256
on standard error and with the same 1 MiB, and ends with a status that is not 0. Where new keys are
exchanged, 4 MiB go both ways at the same time; the tunnel does the same through a `direct-tcpip`
channel. `ok` is that all of it was right, and `not offered` that the peer's version does not know
the algorithm, or cannot be told to use it.
";

/// Whether this run is to write the file.
pub(crate) fn to_be_updated() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1")
}

/// Writes the file, if everything was tried.
pub(crate) fn update(results: &Results) -> Result<(), String> {
    for column in Column::all() {
        if Row::all()
            .iter()
            .any(|&row| results.of(column, row).is_none())
        {
            return Err(format!("{column} was not tried"));
        }
    }
    let text = format!("{HEAD}\n{}", table::shown(results));
    fs::write(file(), text).map_err(|error| error.to_string())
}

/// The file has these rows and columns, and every cell says `ok` or `not offered`, `ok` wherever
/// the peer must have it.
pub(crate) fn compare_shape() -> Result<(), String> {
    let text = fs::read_to_string(file()).map_err(|error| error.to_string())?;
    let mut rows = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
        });
    let stale = |what: &str| Err(format!("{what}: update it, UPDATE_DOCS=1"));
    if rows.next() != Some(table::heading()) || rows.next().is_none() {
        return stale("docs/interop.md has other columns");
    }
    for row in Row::all() {
        let Some(cells) = rows.next() else {
            return stale(&format!("docs/interop.md has no row {row}"));
        };
        if cells.first() != Some(&row.to_string()) || cells.len() != Column::all().len() + 1 {
            return stale(&format!("docs/interop.md has {cells:?} instead of {row}"));
        }
        for (column, cell) in Column::all().into_iter().zip(&cells[1..]) {
            let may_lack = !column.must_have(row) && *cell == Outcome::NotOffered.text();
            if *cell != Outcome::Works.text() && !may_lack {
                return stale(&format!("docs/interop.md says {cell:?} of {row}, {column}"));
            }
        }
    }
    match rows.next() {
        Some(more) => stale(&format!("docs/interop.md has {more:?} too many")),
        None => Ok(()),
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/interop.md")
}
