//! Which line a key is found on and what its options say, over lines written here and keys made by
//! `ssh-keygen`. What is not understood must refuse the line, never widen it; ids of attacks stand
//! in the names.

use alloc::{format, vec};

use proptest::prelude::*;

use super::*;
use crate::{PublicKeyLine, testing::key_file};

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

fn keys(text: &str) -> AuthorizedKeys {
    AuthorizedKeys::parse(text.as_bytes())
}

/// The options of a line, which must be read.
fn options(text: &str) -> Vec<KeyOption> {
    let keys = keys(&format!("{text} {}", public("ed25519")));
    assert_eq!(keys.warnings(), [], "{text}");
    keys.entries()[0].options.clone()
}

/// Why a line with these options is refused.
fn refused(text: &str) -> OptionError {
    let keys = keys(&format!("{text} {}", public("ed25519")));
    assert_eq!(keys.entries(), [], "{text}");
    match keys.warnings() {
        [
            Warning {
                line: 1,
                problem: LineProblem::Option(error),
            },
        ] => *error,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_key_is_found_on_its_line() {
    let text = format!(
        "# x\r\n\r\n{}\tme  at home \r\n  no-pty {}\n{}\n",
        public("rsa2048").replace(' ', "\t "),
        public("ed25519"),
        public("ecdsa_p384")
    );
    let keys = keys(&text);
    assert_eq!(
        keys.find(&key("rsa2048")).map(|e| (e.line, &*e.comment)),
        Some((3, "me  at home"))
    );
    assert_eq!(keys.find(&key("ed25519")).map(|e| e.line), Some(4));
    assert_eq!(keys.find(&key("ecdsa_p256")), None);
    let problem = LineProblem::UnsupportedKeyType;
    assert_eq!(keys.warnings(), [Warning { line: 5, problem }]);
}

#[test]
fn options_are_read_as_sshd_reads_them() {
    use KeyOption as O;
    let place = |host: &str, port| HostPort {
        host: (!host.is_empty()).then(|| host.into()),
        port,
    };
    for (text, expected) in [
        ("restrict,pty", vec![O::Restrict, O::Permit(Right::Pty)]),
        ("No-X11-Forwarding", vec![O::Forbid(Right::X11Forwarding)]),
        (
            "no-agent-forwarding,no-port-forwarding,no-user-rc,no-pty",
            vec![
                O::Forbid(Right::AgentForwarding),
                O::Forbid(Right::PortForwarding),
                O::Forbid(Right::UserRc),
                O::Forbid(Right::Pty),
            ],
        ),
        (
            r#"command="a \"b\" \n, c""#,
            vec![O::Command(r#"a "b" \n, c"#.into())],
        ),
        (
            r#"environment="A_1=b=c",environment="D=""#,
            vec![
                O::Environment {
                    name: "A_1".into(),
                    value: "b=c".into(),
                },
                O::Environment {
                    name: "D".into(),
                    value: String::new(),
                },
            ],
        ),
        (
            r#"from="10.0.0.0/8,!*.org""#,
            vec![O::From("10.0.0.0/8,!*.org".into())],
        ),
        (
            r#"permitopen="[::1]:80",permitopen="h:*",permitlisten="8080",permitlisten="*:1""#,
            vec![
                O::PermitOpen(place("::1", Some(80))),
                O::PermitOpen(place("h", None)),
                O::PermitListen(place("", Some(8080))),
                O::PermitListen(place("*", Some(1))),
            ],
        ),
        (
            r#"cert-authority,principals="a,b""#,
            vec![
                O::CertAuthority,
                O::Principals(vec!["a".into(), "b".into()]),
            ],
        ),
    ] {
        assert_eq!(options(text), expected, "{text}");
    }
}

#[test]
fn f6_restrict_takes_all_and_the_last_word_counts() {
    for (text, pty, forwarding) in [
        ("restrict", false, false),
        ("restrict,pty", true, false),
        ("pty,restrict", false, false),
        ("no-pty", false, true),
        ("no-pty,pty", true, true),
        ("restrict,port-forwarding,no-port-forwarding", false, false),
    ] {
        let keys = keys(&format!("{text} {}", public("ed25519")));
        let entry = keys.find(&key("ed25519")).unwrap();
        assert_eq!(entry.permits(Right::Pty), pty, "{text}");
        assert_eq!(entry.permits(Right::PortForwarding), forwarding, "{text}");
        assert_eq!(
            entry.permits(Right::AgentForwarding),
            !text.contains("restrict")
        );
    }
}

#[test]
fn f6_an_option_that_is_not_understood_refuses_the_line() {
    for (text, error) in [
        ("no-pty,no-fun", OptionError::Unknown),
        ("tunnel=\"0\"", OptionError::Unknown),
        ("verify-required", OptionError::Unknown),
        ("no-restrict", OptionError::Unknown),
        ("no-pty=\"x\"", OptionError::Value),
        ("command", OptionError::Value),
        ("command=\"\"", OptionError::Value),
        ("command=x", OptionError::Syntax),
        ("command=\"x", OptionError::Syntax),
        ("command=\"x\\\"", OptionError::Syntax),
        ("command=\"x\"y", OptionError::Syntax),
        ("command=\"a\0b\"", OptionError::Syntax),
        ("command=\"a\",command=\"b\"", OptionError::Twice),
        ("from=\"a\",from=\"b\"", OptionError::Twice),
        ("from=\"10.0.0.1/8\"", OptionError::Value),
        ("from=\"a,,b\"", OptionError::Value),
        ("environment=\"A\"", OptionError::Value),
        ("environment=\"A B=c\"", OptionError::Value),
        ("environment=\"=c\"", OptionError::Value),
        ("permitopen=\"80\"", OptionError::Value),
        ("permitopen=\"h:0\"", OptionError::Value),
        ("permitopen=\"h:65536\"", OptionError::Value),
        ("permitopen=\"h:+1\"", OptionError::Value),
        ("permitopen=\"h:\"", OptionError::Value),
        ("permitopen=\"::1:80\"", OptionError::Value),
        ("permitopen=\":80\"", OptionError::Value),
        ("principals=\"a,\"", OptionError::Value),
        (",no-pty", OptionError::Syntax),
        ("no-pty,,pty", OptionError::Syntax),
        ("no-pty,", OptionError::Syntax),
        ("no-pty;pty", OptionError::Syntax),
        ("no\u{a0}pty", OptionError::Unknown),
    ] {
        assert_eq!(refused(text), error, "{text}");
    }
}

#[test]
fn f6_the_rest_of_a_long_line_is_not_a_line() {
    let hidden = format!(" {} ", public("ed25519"));
    for fill in [MAX_LINE_LEN, MAX_LINE_LEN - 1, MAX_LINE_LEN * 2, 1024, 8192] {
        let text = format!("#{}{hidden}\n", "x".repeat(fill));
        assert_eq!(keys(&text).entries(), []);
        let text = format!("{} {}{hidden}\n", public("rsa2048"), "x".repeat(fill));
        let keys = keys(&text);
        assert_eq!(keys.find(&key("ed25519")), None);
        let long = text.len() - 1 > MAX_LINE_LEN;
        assert_eq!(keys.find(&key("rsa2048")).is_some(), !long);
        assert_eq!(keys.warnings().len(), usize::from(long));
    }
}

#[test]
fn f6_the_declared_type_must_be_that_of_the_key() {
    let line = public("ed25519");
    let base64 = line.split(' ').nth(1).unwrap();
    for (text, problem) in [
        (
            format!("ssh-rsa {base64}"),
            LineProblem::Key(Malformed::TypeDiffers),
        ),
        (
            format!("no-pty ssh-rsa {base64}"),
            LineProblem::Key(Malformed::TypeDiffers),
        ),
        (
            "ssh-ed25519".into(),
            LineProblem::Key(Malformed::Incomplete),
        ),
        ("restrict".into(), LineProblem::Key(Malformed::Incomplete)),
        (base64.into(), LineProblem::Option(OptionError::Unknown)),
    ] {
        let keys = keys(&text);
        assert_eq!(keys.entries(), []);
        assert_eq!(keys.warnings(), [Warning { line: 1, problem }], "{text}");
    }
}

#[test]
fn an_authority_cannot_log_in_itself() {
    let (line, key) = (public("ed25519"), key("ed25519"));
    assert_eq!(keys(&format!("cert-authority {line}")).find(&key), None);
    let both = keys(&format!("cert-authority {line}\nno-pty {line}\n"));
    assert_eq!(both.find(&key).map(|e| e.line), Some(2));
    assert_eq!(both.entries().len(), 2);
}

#[test]
fn every_line_of_a_key_can_be_tried() {
    let line = public("ed25519");
    let keys = keys(&format!(
        "from=\"192.0.2.1\" {line}\nfrom=\"*.org\",command=\"x\" {line}\n"
    ));
    let (key, address) = (key("ed25519"), "192.0.2.9".parse().unwrap());
    let usable = |host| {
        let entry = keys
            .matching(&key)
            .find(|entry| entry.allows_from(host, address));
        entry.map(|entry| entry.line)
    };
    assert_eq!(usable(None), None);
    assert_eq!(usable(Some("a.org")), Some(2));
}

#[test]
fn an_expiry_time_is_read_from_the_clock_that_it_names() {
    // Seconds as `date -u -d ... +%s` prints them.
    for (text, seconds, zone) in [
        ("19700101", 0, Zone::Local),
        ("20000229Z", 951_782_400, Zone::Utc),
        ("202412312359", 1_735_689_540, Zone::Local),
        ("20380119031408Z", 2_147_483_648, Zone::Utc),
        ("21000301Z", 4_107_542_400, Zone::Utc),
    ] {
        let keys = keys(&format!("expiry-time=\"{text}\" {}", public("ed25519")));
        assert_eq!(
            keys.entries()[0].expiry(),
            Some(Expiry { seconds, zone }),
            "{text}"
        );
    }
    for bad in [
        "2024",
        "20240230",
        "20230229",
        "21000229",
        "20241301",
        "20240001",
        "20240100",
        "202401012400",
        "202401011260",
        "2024010112",
        "+2024010",
        "20240101ZZ",
        "19691231",
        "2024010112000",
    ] {
        assert_eq!(
            refused(&format!("expiry-time=\"{bad}\"")),
            OptionError::Value,
            "{bad}"
        );
    }
    let utc = Expiry {
        seconds: 1000,
        zone: Zone::Utc,
    };
    assert!(!utc.is_past(999, 3600) && utc.is_past(1000, 3600));
    // An hour ahead of UTC: its clock shows 4600 when UTC's shows 1000.
    let local = Expiry {
        seconds: 4600,
        zone: Zone::Local,
    };
    assert!(!local.is_past(999, 3600) && local.is_past(1000, 3600));
    assert!(!local.is_past(8199, -3600) && local.is_past(8200, -3600));
}

fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(public("ed25519").into_bytes()),
        Just(b"restrict".to_vec()),
        Just(b"no-pty".to_vec()),
        Just(b"command=\"".to_vec()),
        Just(b"from=\"*\"".to_vec()),
        Just(b"\\\"".to_vec()),
        Just(b"\"".to_vec()),
        Just(b",".to_vec()),
        Just(b"\n".to_vec()),
        Just(b" ".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(word, 0..20).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_file_ends_in_an_answer(file in words()) {
        let keys = AuthorizedKeys::parse(&file);
        let lines = file.iter().filter(|&&b| b == b'\n').count() + 1;
        prop_assert!(keys.entries().len() + keys.warnings().len() <= lines);
    }

    /// A value in quotes, whatever it is, stays in its quotes.
    #[test]
    fn f6_a_quoted_value_comes_out_as_it_went_in(value in "[ -~\t\u{e9}]{1,40}") {
        // A backslash before a quote cannot be written.
        prop_assume!(!value.ends_with('\\') && !value.contains("\\\""));
        let quoted = value.replace('"', "\\\"");
        let found = options(&format!("no-pty,command=\"{quoted}\",restrict"));
        let expected = vec![
            KeyOption::Forbid(Right::Pty),
            KeyOption::Command(value),
            KeyOption::Restrict,
        ];
        prop_assert_eq!(found, expected);
    }
}
