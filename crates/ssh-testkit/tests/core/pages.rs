//! Files that tests make: they are compared with what is checked in, or written anew.

use std::env;
use std::fs;

use crate::rows::root;

/// Compares `text` with the file at `path` in this repository, or writes it there if `variable` is 1.
///
/// # Panics
///
/// With the first line that differs, and with what to run.
pub(crate) fn compare(path: &str, text: &str, variable: &str, filter: &str) {
    let file = root().join(path);
    if env::var_os(variable).is_some_and(|value| value == "1") {
        fs::write(&file, text).expect("written");
        return;
    }
    let there = fs::read_to_string(&file).unwrap_or_default();
    let differs = there
        .lines()
        .zip(text.lines())
        .enumerate()
        .find(|(_, (there, is))| there != is);
    assert!(
        there == text,
        "{path}: if this was meant, run `{variable}=1 cargo test -p ssh-testkit --test core {filter}`\n\
         {differs:#?}"
    );
}
