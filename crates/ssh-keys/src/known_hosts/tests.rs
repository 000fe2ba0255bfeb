//! Which keys a host has, over lines written here, hashed names made by `ssh-keygen`, and noise.
//! What cannot be read must match nothing, and a revoked key must win; ids of attacks stand in the
//! names.

use alloc::{format, string::ToString as _, vec};

use proptest::prelude::*;

use super::*;
use crate::{
    PublicKeyLine,
    testing::{TESTDATA, key_file},
};

/// The first two words of a `.pub` file.
fn public(name: &str) -> String {
    let file = String::from_utf8(key_file(&format!("{name}.pub"))).unwrap();
    file.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn key(name: &str) -> PublicKey {
    PublicKeyLine::parse(&key_file(&format!("{name}.pub")))
        .unwrap()
        .key
}

fn known(text: &str) -> KnownHosts {
    KnownHosts::parse(text.as_bytes())
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{TESTDATA}/known_hosts/{name}")).unwrap()
}

#[test]
fn h14_hosts_are_found_on_the_lines_where_ssh_keygen_finds_them() {
    let expected = String::from_utf8(file("expected.tsv")).unwrap();
    let mut rows = 0;
    for row in expected.lines() {
        let [name, host, lines] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        let lines = match (name, host) {
            // See the README of the directory.
            ("hashed", "ALPHA.example.org") => "3,11",
            _ => lines,
        };
        let known = KnownHosts::parse(&file(name));
        assert_eq!(known.warnings(), []);
        let found: Vec<_> = known
            .entries_of(&host.to_ascii_lowercase())
            .map(|entry| entry.line.to_string())
            .collect();
        let found = if found.is_empty() {
            "-".into()
        } else {
            found.join(",")
        };
        assert_eq!(found, lines, "{name} {host}");
        rows += 1;
    }
    assert_eq!(rows, 44);
}

#[test]
fn a_key_is_known_changed_or_unknown() {
    let known = KnownHosts::parse(&file("hashed"));
    let (ed25519, ecdsa, rsa) = (key("ed25519"), key("ecdsa_p256"), key("rsa2048"));
    let host = "alpha.example.org";
    assert_eq!(known.lookup(host, 22, &ed25519), Verdict::Known { line: 3 });
    assert_eq!(known.lookup(host, 22, &ecdsa), Verdict::Known { line: 11 });
    assert_eq!(known.lookup(host, 2222, &ed25519), Verdict::Unknown);
    assert_eq!(
        known.lookup("nobody.example.org", 22, &rsa),
        Verdict::Unknown
    );
    let Verdict::Changed { expected } = known.lookup(host, 22, &rsa) else {
        panic!("a key of another type is a change too");
    };
    let seen: Vec<_> = expected
        .iter()
        .map(|e| (e.line, e.key_type.as_str(), e.fingerprint))
        .collect();
    assert_eq!(
        seen,
        [
            (3, "ssh-ed25519", ed25519.fingerprint()),
            (11, "ecdsa-sha2-nistp256", ecdsa.fingerprint())
        ]
    );
    assert_eq!(
        known.lookup("2001:db8::1", 2222, &ed25519),
        Verdict::Known { line: 9 }
    );
}

#[test]
fn h12_the_types_that_are_known_come_in_the_order_of_the_file() {
    let p384 = public("ecdsa_p384");
    let text = format!(
        "h {}\nh {}\nh {p384}\nh {}\n@cert-authority h {}\n",
        public("rsa2048"),
        public("ed25519"),
        public("rsa3072"),
        public("ecdsa_p256")
    );
    assert_eq!(
        known(&text).key_types("H", 22),
        [KeyType::Rsa, KeyType::Ed25519]
    );
    assert_eq!(known(&text).key_types("h", 23), []);
}

#[test]
fn h14_revoked_beats_everything() {
    let (key, ed25519) = (key("ed25519"), public("ed25519"));
    for text in [
        format!("h {ed25519}\n@revoked * {ed25519}\n"),
        format!("@revoked * {ed25519}\nh {ed25519}\n\n"),
        format!("@revoked h {ed25519}\n@cert-authority h {ed25519}\n"),
    ] {
        assert!(
            matches!(known(&text).lookup("h", 22, &key), Verdict::Revoked { .. }),
            "{text}"
        );
    }
    // Of another host, or another key: says nothing.
    let other = format!("@revoked x {ed25519}\n@revoked h {}\n", public("rsa2048"));
    assert_eq!(known(&other).lookup("h", 22, &key), Verdict::Unknown);
}

#[test]
fn a_certificate_authority_is_no_host_key() {
    let text = format!("@cert-authority * {}\n", public("ed25519"));
    assert_eq!(
        known(&text).lookup("h", 22, &key("ed25519")),
        Verdict::Unknown
    );
    assert_eq!(
        known(&text).lookup("h", 22, &key("rsa2048")),
        Verdict::Unknown
    );
}

#[test]
fn h14_lines_that_cannot_be_read_are_reported_and_match_nothing() {
    let ed25519 = public("ed25519");
    let base64 = ed25519.split(' ').nth(1).unwrap();
    let salt = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (line, problem) in [
        (format!("@foo h {ed25519}"), LineProblem::UnknownMarker),
        (format!("@Revoked h {ed25519}"), LineProblem::UnknownMarker),
        (format!("@ h {ed25519}"), LineProblem::UnknownMarker),
        (
            format!("h ssh-rsa {base64}"),
            LineProblem::Key(Malformed::TypeDiffers),
        ),
        ("h".into(), LineProblem::Key(Malformed::Incomplete)),
        (
            format!("h {base64}"),
            LineProblem::Key(Malformed::Incomplete),
        ),
        ("@revoked".into(), LineProblem::Names),
        (
            format!("h ssh-ed25519 {}", &base64[1..]),
            LineProblem::Key(Malformed::Base64),
        ),
        (
            format!("h\u{a0}ssh-ed25519 {base64} x"),
            LineProblem::Key(Malformed::Base64),
        ),
        (format!("h,,x {ed25519}"), LineProblem::Names),
        (format!("h,! {ed25519}"), LineProblem::Names),
        (
            format!("h,{} {ed25519}", "x".repeat(1025)),
            LineProblem::Names,
        ),
        (format!("|1|{salt} {ed25519}"), LineProblem::Names),
        (format!("|1|{salt}|{salt}|x {ed25519}"), LineProblem::Names),
        (format!("|1|AAAA|{salt} {ed25519}"), LineProblem::Names),
        (format!("|2|{salt}|{salt} {ed25519}"), LineProblem::Names),
        (
            format!("h {ed25519} {}", "x".repeat(1 << 20)),
            LineProblem::TooLong,
        ),
        (
            "h 1024 65537 1234567".into(),
            LineProblem::Key(Malformed::Base64),
        ),
    ] {
        let text = format!("# first\n{line}\nlast {ed25519}\n");
        let known = known(&text);
        let shown = &line[..line.len().min(80)];
        assert_eq!(known.warnings(), [Warning { line: 2, problem }], "{shown}");
        assert_eq!(
            known.lookup("h", 22, &key("ed25519")),
            Verdict::Unknown,
            "{shown}"
        );
        assert_eq!(
            known.lookup("last", 22, &key("ed25519")),
            Verdict::Known { line: 3 }
        );
    }
}

#[test]
fn carriage_returns_blanks_and_comments_are_no_problem() {
    let text = format!(
        "\r\n  # x\r\n\t h \t{}\tme\r\n",
        public("ed25519").replace(' ', " \t ")
    );
    let known = known(&text);
    assert_eq!(known.warnings(), []);
    assert_eq!(
        known.lookup("h", 22, &key("ed25519")),
        Verdict::Known { line: 3 }
    );
}

#[test]
fn j1_a_new_line_holds_one_host_only() {
    let key = key("ed25519");
    let long = "x".repeat(256);
    for host in [
        "", "*", "a,b", "a b", "a\nb", "!a", "|1|a", "#a", "@revoked", "[a]:22", "h\u{e9}", "a\0",
        &long,
    ] {
        assert_eq!(
            entry_line(host, 22, &key, HostField::Plain),
            Err(HostNameError),
            "{host:?}"
        );
    }
    for host in [
        "Host.Example.org",
        "192.0.2.1",
        "2001:db8::1",
        "fe80::1%eth0",
    ] {
        for port in [22, 2222] {
            for field in [HostField::Plain, HostField::Hashed { salt: [5; 20] }] {
                let line = entry_line(host, port, &key, field).unwrap();
                assert_eq!(line.matches('\n').count(), 1);
                assert_eq!(
                    known(&line).lookup(host, port, &key),
                    Verdict::Known { line: 1 }
                );
                assert_eq!(known(&line).lookup(host, port + 1, &key), Verdict::Unknown);
                assert_eq!(known(&line).lookup("other", port, &key), Verdict::Unknown);
            }
        }
    }
}

/// The salt and the hash of the first hashed line of the fixture, made by ssh-keygen.
#[test]
fn h14_hashed_names_are_those_of_ssh_keygen() {
    let text = String::from_utf8(file("hashed")).unwrap();
    let line = text.lines().find(|line| line.starts_with('|')).unwrap();
    let salt = hash_bytes(line.split('|').nth(2).unwrap()).unwrap();
    let field = HostField::Hashed { salt };
    let ours = entry_line("alpha.example.org", 22, &key("ed25519"), field).unwrap();
    assert_eq!(ours.trim_end(), line);
}

fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(b"ssh-ed25519".to_vec()),
        Just(public("ed25519").into_bytes()),
        Just(b"@revoked".to_vec()),
        Just(b"@cert-authority".to_vec()),
        Just(b"|1|".to_vec()),
        Just(b"h,*,!x".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b" ".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(word, 0..20).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn h14_any_file_ends_in_an_answer(file in words(), host in "[a-z*?!,|]{0,4}", port: u16) {
        let known = KnownHosts::parse(&file);
        let _ = known.lookup(&host, port, &key("ed25519"));
        let _ = known.key_types(&host, port);
        let lines = file.iter().filter(|&&b| b == b'\n').count() + 1;
        prop_assert!(known.entries.len() + known.warnings.len() <= lines);
    }

    /// What stands on one line never changes what another line says.
    #[test]
    fn h14_lines_do_not_touch_each_other(noise in words()) {
        let revoked = format!("\n@revoked good {}\n", public("ed25519"));
        let text = [noise, revoked.into_bytes()].concat();
        let verdict = KnownHosts::parse(&text).lookup("good", 22, &key("ed25519"));
        let revoked = matches!(verdict, Verdict::Revoked { .. });
        prop_assert!(revoked);
    }
}

#[test]
fn an_empty_file_knows_nobody() {
    for text in [vec![], b"\n".to_vec(), b"#".to_vec()] {
        let known = KnownHosts::parse(&text);
        assert_eq!(known.warnings(), []);
        assert_eq!(known.lookup("h", 22, &key("ed25519")), Verdict::Unknown);
    }
}
