//! Which test stands for which attack, and what is open. The answer is `docs/attacks.md`, which
//! `UPDATE_DOCS=1 cargo test -p ssh-testkit --test core rows` writes anew.
//!
//! A test belongs to an attack if the attack's id is a word of its name: `p5_every_bit_flipped`. An
//! attack has a test, or stands in [`open`] with what is lacking.

mod advisories;
mod attacks;
mod open;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::pages;

use advisories::{ADVISORIES, Source};
use attacks::SECTIONS;
use open::OPEN;

/// The names of all tests of the workspace and of the fuzz targets.
pub(crate) fn all_tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for part in ["crates", "fuzz/src"] {
        collect_tests(&root().join(part), &mut names);
    }
    names
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The tests in all files of Rust below `dir`.
fn collect_tests(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_tests(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            tests_of(&fs::read_to_string(&path).expect("a source"), names);
        }
    }
}

/// Functions with `#[test]` or the like, and the lines `name => generic;` from which `both_roles!`
/// makes some.
fn tests_of(source: &str, names: &mut BTreeSet<String>) {
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line.contains("test]") || line.contains("test(");
            continue;
        }
        if let Some((name, generic)) = line.strip_suffix(';').and_then(|l| l.split_once(" => "))
            && [name, generic].into_iter().all(is_name)
        {
            names.insert(name.to_owned());
        }
        let function = line.strip_prefix("async ").unwrap_or(line);
        if let Some((name, _)) = function.strip_prefix("fn ").and_then(|l| l.split_once('('))
            && is_test
        {
            names.insert(name.to_owned());
        }
        is_test &= line.is_empty() || line.starts_with("//");
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

/// The ids of all attacks, in order.
fn ids() -> impl Iterator<Item = &'static str> {
    let rows = SECTIONS.iter().flat_map(|(_, rows)| *rows);
    rows.map(|(id, _)| *id)
}

/// The attacks that the words of this name say.
fn ids_of(test: &str) -> impl Iterator<Item = &'static str> {
    ids().filter(move |id| test.split('_').any(|word| word == id.to_ascii_lowercase()))
}

fn tests_by_id() -> BTreeMap<&'static str, Vec<String>> {
    let mut by_id: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for test in all_tests() {
        for id in ids_of(&test) {
            by_id.entry(id).or_default().push(test.clone());
        }
    }
    by_id
}

#[test]
fn each_attack_has_a_test_or_says_what_is_lacking() {
    let tests = tests_by_id();
    let open: BTreeMap<_, _> = OPEN.iter().copied().collect();
    assert_eq!(open.len(), OPEN.len(), "an attack is open twice");
    let known: BTreeSet<_> = ids().collect();
    assert_eq!(known.len(), ids().count(), "an id stands for two attacks");
    let unknown: Vec<_> = open.keys().filter(|id| !known.contains(*id)).collect();
    assert!(unknown.is_empty(), "open, but no attack: {unknown:?}");
    let untested: Vec<_> = ids()
        .filter(|id| !tests.contains_key(id) && !open.contains_key(id))
        .collect();
    assert!(untested.is_empty(), "no test, and not open: {untested:?}");
    assert!(OPEN.iter().all(|(_, lacking)| lacking.len() > 10));
}

#[test]
fn each_advisory_belongs_to_attacks_that_there_are() {
    let known: BTreeSet<_> = ids().collect();
    let names: BTreeSet<_> = ADVISORIES.iter().map(|(name, ..)| name).collect();
    assert_eq!(names.len(), ADVISORIES.len(), "an advisory stands twice");
    for (name, _, ids) in ADVISORIES {
        assert!(
            ["CVE-", "GHSA-", "RUSTSEC-"]
                .iter()
                .any(|p| name.starts_with(p)),
            "{name}"
        );
        assert!(!ids.is_empty(), "{name}");
        for id in ids.split(' ') {
            assert!(known.contains(id), "{name}: {id}");
        }
    }
}

#[test]
fn words_of_a_name_are_ids_and_parts_of_words_are_not() {
    let of = |test| ids_of(test).collect::<Vec<_>>();
    assert_eq!(of("c6_a6_c4_a_count"), ["A6", "C4", "C6"]);
    assert_eq!(of("long_p5_flipped"), ["P5"]);
    assert_eq!(of("a_u32_and_p256_and_sha1_and_aes256_in_p_5"), [""; 0]);
    let mut names = BTreeSet::new();
    tests_of(
        "#[test]\n#[ignore = \"long\"]\nfn a() {\n}\n\nfn b() {}\n  c => d;\n x => y(z);\n\
         #[tokio::test(flavor = \"current_thread\")]\nasync fn e() {}\n#[cfg(test)]\nmod f {}\nfn g() {}",
        &mut names,
    );
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "c", "e"]);
}

#[test]
fn the_document_says_which_test_stands_for_which_attack() {
    pages::compare("docs/attacks.md", &document(), "UPDATE_DOCS", "rows");
}

const HEAD: &str = "\
# Attacks

Made by `UPDATE_DOCS=1 cargo test -p ssh-testkit --test core rows`, which fails when this file is out of
date.

Each row is a class of failures that real implementations of SSH have had, the tests that stand for
it, and what of it is open. `cargo test --workspace p5_` runs those of a row. Hostile streams are fed
in one piece, cut at every byte, and in random pieces, with the same outcome.
";

const ADVISORIES_HEAD: &str = "
## Published vulnerabilities

Of other implementations, by the class that they belong to. What stands here with `–` has no test
because this implementation lacks what was attacked. A dagger marks what was not compared with the
words of its publisher.

| id | class | tests |
|---|---|---|
";

fn document() -> String {
    let tests = tests_by_id();
    let open: BTreeMap<_, _> = OPEN.iter().copied().collect();
    let (all, tested) = (ids().count(), tests.len());
    let in_part = open.keys().filter(|id| tests.contains_key(*id)).count();
    let mut text = HEAD.to_owned();
    let put = |text: &mut String, line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).expect("a string takes everything");
    };
    put(
        &mut text,
        format_args!(
            "\n{all} classes: {tested} with tests, of which {in_part} are open in part; {} open.\n",
            all - tested
        ),
    );
    let list = |id: &str| {
        let names = tests.get(id).map_or(&[][..], Vec::as_slice);
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(" ")
    };
    for (section, rows) in SECTIONS {
        put(
            &mut text,
            format_args!(
                "\n## {section}\n\n| id | what goes wrong | tests | open |\n|---|---|---|---|\n"
            ),
        );
        for (id, title) in *rows {
            let open = open.get(id).copied().unwrap_or_default();
            put(
                &mut text,
                format_args!("| {id} | {title} | {} | {open} |\n", list(id)),
            );
        }
    }
    text.push_str(ADVISORIES_HEAD);
    for (name, source, ids) in ADVISORIES {
        let dagger = if *source == Source::NotReread {
            "†"
        } else {
            ""
        };
        let names: BTreeSet<_> = ids
            .split(' ')
            .filter_map(|id| tests.get(id))
            .flatten()
            .collect();
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        let tests = if names.is_empty() {
            "–".to_owned()
        } else {
            names.join(" ")
        };
        put(
            &mut text,
            format_args!(
                "| {name}{dagger} | {} | {tests} |\n",
                ids.replace(' ', ", ")
            ),
        );
    }
    text
}
