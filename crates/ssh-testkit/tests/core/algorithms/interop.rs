//! What `docs/interop.md` says of an algorithm: with whom it works.
//!
//! Read leniently, since that page is made by another test: any table counts. The first row names the
//! columns, the first cell of another row names what was tried, and a cell that begins with `ok` is a
//! success.

/// The columns in which something works in a row that has `name` as a word, each once.
pub(super) fn works_with(page: &str, name: &str) -> Vec<String> {
    let mut columns: Vec<&str> = Vec::new();
    let mut found: Vec<String> = Vec::new();
    for line in page.lines() {
        let Some(cells) = cells(line) else {
            columns.clear();
            continue;
        };
        if columns.is_empty() {
            columns = cells;
            continue;
        }
        if !cells.first().is_some_and(|row| has_word(row, name)) {
            continue;
        }
        for (column, cell) in columns.iter().zip(&cells).skip(1) {
            let peer = peer(column);
            if cell.starts_with("ok") && !found.contains(&peer) {
                found.push(peer);
            }
        }
    }
    found
}

/// The cells of a row of a table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line
        .trim()
        .strip_prefix('|')?
        .trim_end()
        .strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

fn has_word(text: &str, name: &str) -> bool {
    text.split([' ', '`', ',', '(', ')'])
        .any(|word| word == name)
}

/// Whose implementation it is: a column also says which part is ours.
fn peer(column: &str) -> String {
    let parts = column.split(',').map(str::trim);
    let theirs: Vec<_> = parts.filter(|part| !part.starts_with("our ")).collect();
    theirs.join(", ")
}

#[test]
fn any_table_of_the_page_is_read() {
    let page = "text\n\n| | our client, a | b, our server |\n|---|---|---|\n\
                | key exchange x-1 | ok | not offered |\n\
                | cipher `y` with z@1 | FAILED | ok, 2 |\n\nmore\n\
                |what|c|d|\n|:-|-|-|\n|cipher y (old)|ok|ok|\n| yy | ok | ok |";
    assert_eq!(works_with(page, "x-1"), ["a"]);
    assert_eq!(works_with(page, "y"), ["b", "c", "d"]);
    assert_eq!(works_with(page, "z@1"), ["b"]);
    assert_eq!(works_with(page, "x"), [""; 0]);
    assert_eq!(works_with(page, "z"), [""; 0]);
}
