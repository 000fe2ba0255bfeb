//! The matrix for people.

use std::fmt::Write;

use super::columns::{Column, Peer, Side};
use super::matrix::{Outcome, Results, Row};

/// The peers by their own names, and what was tried of the matrix: one table for each of our roles.
pub(crate) fn shown(results: &Results, rows: &[Row]) -> String {
    let mut text = String::new();
    for peer in Peer::ALL {
        if let Some(version) = results.version_of(peer) {
            let _ = writeln!(text, "- {}: `{version}`", peer.name());
        }
    }
    for side in Side::ALL {
        let mut columns = Column::of(side);
        columns.retain(|column| rows.iter().any(|row| results.of(*column, *row).is_some()));
        if !columns.is_empty() {
            text.push('\n');
            draw(results, side, &columns, rows, &mut text);
        }
    }
    text
}

fn draw(results: &Results, side: Side, columns: &[Column], rows: &[Row], text: &mut String) {
    let rows = rows.iter().map(|&row| {
        let mut cells = vec![row.to_string()];
        cells.extend(columns.iter().map(|column| {
            let outcome = results.of(*column, row);
            outcome.map_or("?", Outcome::text).to_owned()
        }));
        cells
    });
    let cells: Vec<_> = std::iter::once(heading(side, columns))
        .chain(rows)
        .collect();
    let width = |i: usize| {
        cells
            .iter()
            .map(|row| row[i].len())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<_> = (0..cells[0].len()).map(width).collect();
    for (n, row) in cells.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if n == 0 {
            text.extend(
                widths
                    .iter()
                    .map(|width| format!("|{}", "-".repeat(width + 2))),
            );
            text.push_str("|\n");
        }
    }
}

/// The first line of a table.
pub(crate) fn heading(side: Side, columns: &[Column]) -> Vec<String> {
    let ours = match side {
        Side::OurClient => "our client with",
        Side::OurServer => "our server with",
    };
    let columns = columns.iter().map(Column::to_string);
    std::iter::once(ours.to_owned()).chain(columns).collect()
}
