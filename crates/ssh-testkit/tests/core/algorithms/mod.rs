//! `docs/algorithms.md`: every algorithm, where it is offered, and what proves it.
//! `UPDATE_DOCS=1 cargo test -p ssh-testkit --test core algorithms` writes it anew, and without the
//! variable the same test fails when the page is out of date.
//!
//! The page is made from the tables. So what a preset offers changes only together with the page, and
//! the difference is there to be reviewed. Nothing can be added without its proof: an algorithm has
//! tests with known answers in [`proofs`], and works with another implementation in
//! `docs/interop.md`, or has a test there that compares it with one.

mod interop;
mod proofs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use proofs::{PROOFS, Proof};
use ssh_proto::Role;
use ssh_proto::algorithm::{
    Algorithm, Algorithms, CipherAlgorithm, CompressionAlgorithm, KexAlgorithm, MacAlgorithm,
    Preset, SignatureAlgorithm,
};

use crate::pages;
use crate::rows::{all_tests, root};

const HEAD: &str = "\
# Algorithms

Made by `UPDATE_DOCS=1 cargo test -p ssh-testkit --test core algorithms`, which fails when this file is
out of date, and when an algorithm is added without its proof.

| column | what it says |
|---|---|
| standing | what is thought of it here: *recommended* in every preset, *acceptable* in `default`, *acceptable to clients* there for a client, *on request* and *deprecated* in `legacy` or by name |
| feature | the cargo feature that it needs |
| `hardened`, `default`, `legacy` | its place in what the preset offers; of a client and of a server, where they differ. A `–` is offered only by name |
| known answers | the tests that compare it with published vectors, or with numbers that somebody else has computed |
| others | the implementations that it works with ([interoperability](interop.md)), and tests that compare it with one |

How a list is changed by name: `Algorithms::set` in the documentation of `ssh-proto`. A wildcard brings
in nothing but what is recommended or acceptable.
";

/// A column that only one family has.
struct Column<A> {
    title: &'static str,
    cell: fn(A) -> String,
}

/// One family's table.
struct Table<A: 'static> {
    title: &'static str,
    /// The list that a preset offers.
    list: fn(&Algorithms) -> &Vec<A>,
    columns: &'static [Column<A>],
}

const KEX: Table<KexAlgorithm> = Table {
    title: "Key exchange",
    list: |a| &a.kex,
    columns: &[
        Column {
            title: "hash",
            cell: |kex| kex.hash_name().to_owned(),
        },
        Column {
            title: "post-quantum",
            cell: |kex| yes(kex.is_post_quantum()),
        },
    ],
};

const SIGNATURES: Table<SignatureAlgorithm> = Table {
    title: "Signatures of hosts and users",
    list: |a| &a.host_key,
    columns: &[Column {
        title: "key",
        cell: |signature| signature.key_type().to_string(),
    }],
};

const CIPHERS: Table<CipherAlgorithm> = Table {
    title: "Ciphers",
    list: |a| &a.ciphers_client_to_server,
    columns: &[
        Column {
            title: "key",
            cell: |cipher| (8 * cipher.key_len()).to_string(),
        },
        Column {
            title: "block",
            cell: |cipher| (8 * cipher.block_len()).to_string(),
        },
        Column {
            title: "tag",
            cell: |cipher| bits(cipher.aead_tag_len()),
        },
        Column {
            title: "one key protects",
            cell: |cipher| match cipher.most_bytes() {
                u64::MAX => "2^31 packets".to_owned(),
                bytes => format!("{} GiB", bytes >> 30),
            },
        },
    ],
};

const MACS: Table<MacAlgorithm> = Table {
    title: "MACs",
    list: |a| &a.macs_client_to_server,
    columns: &[
        Column {
            title: "over",
            cell: |mac| {
                if mac.is_etm() {
                    "ciphertext"
                } else {
                    "plaintext"
                }
                .to_owned()
            },
        },
        Column {
            title: "key",
            cell: |mac| (8 * mac.key_len()).to_string(),
        },
        Column {
            title: "tag",
            cell: |mac| (8 * mac.tag_len()).to_string(),
        },
    ],
};

const COMPRESSION: Table<CompressionAlgorithm> = Table {
    title: "Compression",
    list: |a| &a.compression_client_to_server,
    columns: &[Column {
        title: "before authentication",
        cell: |compression| yes(compression.is_before_authentication()),
    }],
};

fn yes(is: bool) -> String {
    if is { "yes" } else { "" }.to_owned()
}

fn bits(bytes: Option<usize>) -> String {
    bytes.map_or_else(String::new, |bytes| (8 * bytes).to_string())
}

/// What makes the page, and what is lacking for it.
struct Page {
    interop: String,
    proofs: BTreeMap<&'static str, &'static Proof>,
    text: String,
    lacking: Vec<String>,
}

impl Page {
    fn new() -> Self {
        Self {
            interop: fs::read_to_string(root().join("docs/interop.md")).expect("the matrix"),
            proofs: PROOFS.iter().map(|proof| (proof.of, proof)).collect(),
            text: HEAD.to_owned(),
            lacking: Vec::new(),
        }
    }

    fn put(&mut self, line: std::fmt::Arguments<'_>) {
        self.text
            .write_fmt(line)
            .expect("a string takes everything");
    }

    fn table<A: Algorithm>(&mut self, table: &Table<A>) {
        let presets: Vec<_> = Preset::ALL.iter().map(|p| format!("`{p}`")).collect();
        let own: Vec<_> = table.columns.iter().map(|c| c.title.to_owned()).collect();
        let head = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let titles: Vec<String> = [
            head(&["name", "standing", "feature"]),
            presets,
            own,
            head(&["known answers", "others"]),
        ]
        .concat();
        self.put(format_args!("\n## {}\n\n", table.title));
        self.row(&titles);
        self.row(&vec!["---".to_owned(); titles.len()]);
        for &algorithm in A::ALL {
            let mut cells = vec![
                format!("`{}`", algorithm.name()),
                algorithm.standing().to_string(),
                algorithm.feature().unwrap_or_default().to_owned(),
            ];
            cells.extend(Preset::ALL.iter().map(|p| place(*p, table.list, algorithm)));
            cells.extend(table.columns.iter().map(|column| (column.cell)(algorithm)));
            let (known, others) = self.proof(algorithm.name());
            cells.extend([known, others]);
            self.row(&cells);
        }
    }

    fn row(&mut self, cells: &[String]) {
        self.put(format_args!("| {} |\n", cells.join(" | ")));
    }

    /// What shows that it is right.
    fn proof(&mut self, name: &str) -> (String, String) {
        let quoted = |tests: &[&str]| {
            let tests = tests.iter().map(|test| format!("`{test}`"));
            tests.collect::<Vec<_>>()
        };
        let proof = self.proofs.get(name);
        let known = proof.map_or_else(Vec::new, |proof| quoted(proof.known));
        if known.is_empty() {
            self.lacking.push(format!("{name}: known answers"));
        }
        let mut others = Vec::new();
        let peers = interop::works_with(&self.interop, name);
        if !peers.is_empty() {
            others.push(peers.join(", "));
        }
        others.extend(proof.map_or_else(Vec::new, |proof| quoted(proof.compared)));
        if others.is_empty() {
            self.lacking.push(format!("{name}: another implementation"));
        }
        (known.join(" "), others.join("; "))
    }
}

/// The place of an algorithm in what a preset offers.
fn place<A: Algorithm>(preset: Preset, list: fn(&Algorithms) -> &Vec<A>, algorithm: A) -> String {
    let [client, server] = [Role::Client, Role::Server].map(|role| {
        let offered = preset.algorithms(role);
        let place = list(&offered).iter().position(|one| *one == algorithm);
        place.map_or_else(|| "–".to_owned(), |place| (place + 1).to_string())
    });
    if client == server {
        client
    } else {
        format!("{client} / {server}")
    }
}

/// The page, and what is lacking for it.
fn page() -> (String, Vec<String>) {
    let mut page = Page::new();
    page.table(&KEX);
    page.table(&SIGNATURES);
    page.table(&CIPHERS);
    page.put(format_args!(
        "\nLengths are in bits. What one key protects is at most what is said, and 2^31 packets; new keys \
         are asked for at half of the bytes, and earlier by `Limits::rekey_bytes`. Where the CPU has no instructions for AES, `chacha20-poly1305@openssh.com` \
         goes before all others (`Preset::for_cpu`); the drivers look.\n"
    ));
    page.table(&MACS);
    page.table(&COMPRESSION);
    (page.text, page.lacking)
}

#[test]
fn each_algorithm_has_known_answers_and_another_implementation_that_agrees() {
    let (_, lacking) = page();
    assert!(lacking.is_empty(), "lacking: {lacking:#?}");
}

#[test]
fn the_page_says_what_is_offered_and_what_proves_it() {
    let (text, _) = page();
    pages::compare("docs/algorithms.md", &text, "UPDATE_DOCS", "algorithms");
}

/// The rows of the proofs are algorithms, and their tests are there.
#[test]
fn proofs_are_of_algorithms_and_name_tests_that_there_are() {
    let names: BTreeSet<&str> = [
        KexAlgorithm::NAMES,
        SignatureAlgorithm::NAMES,
        CipherAlgorithm::NAMES,
        MacAlgorithm::NAMES,
        CompressionAlgorithm::NAMES,
    ]
    .concat()
    .into_iter()
    .collect();
    let tests = all_tests();
    let mut seen = BTreeSet::new();
    for proof in PROOFS {
        assert!(names.contains(proof.of), "{} is no algorithm", proof.of);
        assert!(seen.insert(proof.of), "{} stands twice", proof.of);
        for test in proof.known.iter().chain(proof.compared) {
            assert!(
                tests.contains(*test),
                "{}: there is no test {test}",
                proof.of
            );
        }
    }
    // Every feature is on here, or the page would leave out what is behind it.
    for (name, feature) in [
        KexAlgorithm::BEHIND_FEATURES,
        SignatureAlgorithm::BEHIND_FEATURES,
        CipherAlgorithm::BEHIND_FEATURES,
        MacAlgorithm::BEHIND_FEATURES,
        CompressionAlgorithm::BEHIND_FEATURES,
    ]
    .concat()
    {
        assert!(names.contains(name), "{name}: the feature {feature} is off");
    }
}
