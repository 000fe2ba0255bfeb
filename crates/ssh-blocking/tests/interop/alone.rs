//! Rows that no peer offers, and what stands for them.
//!
//! An algorithm that nobody else has cannot be tried with anybody. What stands for such a row is a
//! test that compares what we compute with what other code computes, or with published answers; it is
//! named here, and must exist.

use std::fs;
use std::path::Path;

use crate::interop::matrix::Row;

/// A row that no peer offers.
pub(crate) struct Alone {
    /// As the matrix calls it.
    pub(crate) row: &'static str,
    /// The test.
    pub(crate) test: &'static str,
    /// Where it is, from the root of the repository.
    pub(crate) file: &'static str,
}

/// All of them.
pub(crate) const ALONE: &[Alone] = &[];

/// The algorithms that the library whose place this one can take has names for: each must be a row.
const REFERENCE: &[(&str, &[&str])] = &[
    (
        "key exchange",
        &[
            "curve25519-sha256",
            "curve25519-sha256@libssh.org",
            "diffie-hellman-group1-sha1",
            "diffie-hellman-group14-sha1",
            "diffie-hellman-group14-sha256",
            "diffie-hellman-group16-sha512",
            "diffie-hellman-group18-sha512",
            "diffie-hellman-group-exchange-sha1",
            "diffie-hellman-group-exchange-sha256",
            "ecdh-sha2-nistp256",
            "ecdh-sha2-nistp384",
            "ecdh-sha2-nistp521",
        ],
    ),
    ("compression", &["none", "zlib", "zlib@openssh.com"]),
];

/// Every algorithm of [`REFERENCE`] is a row, so that it is green in one of the two ways.
pub(crate) fn every_reference_is_a_row() -> Result<(), String> {
    let rows: Vec<String> = Row::all().iter().map(Row::to_string).collect();
    let wanted = REFERENCE
        .iter()
        .flat_map(|(family, names)| names.iter().map(move |name| format!("{family} {name}")));
    let lacking: Vec<String> = wanted.filter(|name| !rows.contains(name)).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(format!("there is no row {}", lacking.join(", no row ")))
}

/// Whatever is named is a row, and its test exists.
pub(crate) fn every_test_exists() -> Result<(), String> {
    let rows: Vec<String> = Row::all().iter().map(Row::to_string).collect();
    for Alone { row, test, file } in ALONE {
        if !rows.iter().any(|name| name == row) {
            return Err(format!("{row} is no row"));
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(file);
        let text = fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
        if !text.contains(&format!("#[test]\nfn {test}()"))
            && !text.contains(&format!("    fn {test}()"))
        {
            return Err(format!(
                "{file} has no test {test}, which is to stand for {row}"
            ));
        }
    }
    Ok(())
}

/// The test that stands for a row.
pub(crate) fn stands_for(row: Row) -> Option<&'static Alone> {
    let name = row.to_string();
    ALONE.iter().find(|alone| alone.row == name)
}
