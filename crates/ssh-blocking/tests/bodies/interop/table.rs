//! The matrix for people.

use std::fmt::Write;

use super::matrix::{Column, Outcome, Peer, Results, Row, Side};

/// The peers by their own names, and the matrix: one column for each peer and role.
pub(crate) fn shown(results: &Results) -> String {
    let mut text = String::new();
    for peer in Peer::ALL {
        if let Some(version) = results.version_of(peer) {
            let _ = writeln!(text, "- {}: `{version}`", peer.name());
        }
    }
    text.push('\n');
    draw(results, &mut text);
    text
}

fn draw(results: &Results, text: &mut String) {
    let rows = Row::all().into_iter().map(|row| {
        let mut cells = vec![row.to_string()];
        cells.extend(Column::all().into_iter().map(|column| {
            let outcome = results.of(column, row);
            outcome.map_or("-", Outcome::text).to_owned()
        }));
        cells
    });
    let cells: Vec<_> = std::iter::once(heading()).chain(rows).collect();
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

/// The first line of it.
pub(crate) fn heading() -> Vec<String> {
    let columns = Column::all().into_iter().map(|column| match column.side {
        Side::OurClient => format!("our client, {column}"),
        Side::OurServer => format!("{column}, our server"),
    });
    std::iter::once(String::new()).chain(columns).collect()
}
