//! The syntax of lists, on a table with a row of each standing, and on the real ones.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::algorithm::{
    CipherAlgorithm, CompressionAlgorithm, KexAlgorithm, MacAlgorithm, Preset, SignatureAlgorithm,
    Standing,
};
use crate::transport::Role;

#[expect(unreachable_pub, reason = "the tables elsewhere are public")]
#[expect(unexpected_cfgs, reason = "a feature that is always off")]
mod fake {
    use crate::algorithm::{Standing, algorithms};

    algorithms! {
        /// One of each standing, and one that is never compiled in.
        Fake ("fake"): FakeFacts {
            Best = "best-256" { standing: Standing::Recommended },
            Good = "good-256" { standing: Standing::Acceptable },
            Slow = "slow-256" { standing: Standing::AcceptableToClients },
            Rare = "rare-256@example.org" { standing: Standing::OnRequest },
            Weak = "weak-128" { standing: Standing::Deprecated },
            Odd = "odd-128" { standing: Standing::DeprecatedToClients },
            #[cfg(feature = "no-such-feature")]
            Gone = "gone-64" { standing: Standing::Deprecated },
        }
    }

    struct FakeFacts {
        standing: Standing,
    }
}

use fake::Fake::{self, Best, Good, Odd, Rare, Slow, Weak};

/// What becomes of `list`, as text.
fn set(list: &[Fake], text: &str) -> Result<String, ListProblem> {
    let mut list = list.to_vec();
    let before = list.clone();
    match change(&mut list, text) {
        Ok(()) => Ok(Joined(&list).to_string()),
        Err(error) => {
            assert_eq!(error.list, "fake");
            assert_eq!(list, before, "an error changes nothing");
            Err(error.problem)
        }
    }
}

#[track_caller]
fn becomes(list: &[Fake], text: &str, expected: &str) {
    assert_eq!(set(list, text).as_deref(), Ok(expected), "{text}");
}

#[test]
fn names_replace_append_remove_and_go_to_the_front() {
    let list = [Best, Good, Weak];
    becomes(&list, "good-256", "good-256");
    becomes(&list, "good-256,best-256", "good-256,best-256");
    becomes(&list, "+slow-256", "best-256,good-256,weak-128,slow-256");
    // What is there keeps its place.
    becomes(
        &list,
        "+best-256,odd-128",
        "best-256,good-256,weak-128,odd-128",
    );
    becomes(&list, "^weak-128", "weak-128,best-256,good-256");
    becomes(
        &list,
        "^slow-256,good-256",
        "slow-256,good-256,best-256,weak-128",
    );
    becomes(&list, "-good-256", "best-256,weak-128");
    // Not there, so away already.
    becomes(&list, "-slow-256,best-256", "good-256,weak-128");
}

#[test]
fn a_name_brings_in_whatever_it_names() {
    for &algorithm in Fake::ALL {
        for prefix in ["", "+", "^"] {
            let text = format!("{prefix}{algorithm}");
            assert!(set(&[Good], &text).unwrap().contains(algorithm.name()));
        }
    }
}

#[test]
fn a_wildcard_never_brings_in_what_has_to_be_named() {
    becomes(&[Good], "*", "good-256,best-256");
    becomes(&[Good], "+*", "good-256,best-256");
    becomes(&[Good], "^*", "good-256,best-256");
    becomes(&[Good], "*-256", "good-256,best-256");
    for (pattern, only) in [
        ("*-128", "weak-128, odd-128"),
        ("slow*", "slow-256"),
        ("?are-256@*", "rare-256@example.org"),
    ] {
        for prefix in ["", "+", "^"] {
            let text = format!("{prefix}{pattern}");
            let problem = set(&[Good], &text).unwrap_err();
            let says = format!("\"{pattern}\" stands only for what has to be named: {only}");
            assert_eq!(problem.to_string(), says);
        }
    }
    // What the list holds already does not come in.
    becomes(&[Best, Odd, Weak], "*-128", "odd-128,weak-128");
    becomes(&[Best, Odd, Weak], "^*-128", "odd-128,weak-128,best-256");
    becomes(&[Best, Weak], "+*-128", "best-256,weak-128");
    becomes(&[Slow], "slow*,best*", "slow-256,best-256");
}

#[test]
fn a_wildcard_takes_away_all_that_matches() {
    becomes(&[Best, Weak, Odd], "-*-128", "best-256");
    becomes(&[Best, Weak, Odd, Rare], "-*@*,?dd-*", "best-256,weak-128");
    // One file does for several builds.
    becomes(&[Best], "-gone-64,*sha1*", "best-256");
}

#[test]
fn what_wildcards_stand_for_comes_once_and_in_order() {
    becomes(&[Weak, Good], "*-256,*", "good-256,best-256,weak-128");
    // What is named goes first, and is not twice there for a pattern that follows.
    becomes(&[Good], "best-256,*", "best-256,good-256");
    becomes(&[Good], "*,best-256", "good-256,best-256");
}

#[test]
fn what_is_wrong_is_said() {
    for prefix in ["", "+", "-", "^"] {
        let problem = |text: &str| set(&[Best, Good], &format!("{prefix}{text}")).unwrap_err();
        assert_eq!(problem(""), ListProblem::Empty);
        assert_eq!(problem(","), ListProblem::EmptyItem(1));
        assert_eq!(problem(",best-256"), ListProblem::EmptyItem(1));
        assert_eq!(problem("best-256,"), ListProblem::EmptyItem(2));
        assert_eq!(problem("best-256,,good-256"), ListProblem::EmptyItem(2));
        assert_eq!(
            problem("best-256,good-256,best-256"),
            ListProblem::Twice("best-256")
        );
        for bad in [
            " best-256",
            "good-256 ",
            "best-256\n",
            "na\u{ef}ve",
            "\0",
            "+best-256",
            "-best-256",
            "^best-256",
            "!best-256",
        ] {
            // In front of the whole list it is a prefix.
            if !prefix.is_empty() || !bad.starts_with(['+', '-', '^']) {
                assert_eq!(problem(bad), ListProblem::Characters(bad.into()));
            }
            let second = format!("good-256,{bad}");
            assert_eq!(problem(&second), ListProblem::Characters(bad.into()));
        }
        let unknown = problem("best-255");
        assert_eq!(
            unknown.to_string(),
            "\"best-255\" is no fake that is known here; these are: best-256, good-256, slow-256, \
             rare-256@example.org, weak-128, odd-128"
        );
        // Names are case-sensitive (RFC 4251 section 6).
        assert!(matches!(problem("BEST-256"), ListProblem::Unknown(_)));
        let long = "x".repeat(MAX_NAME_LEN + 1);
        assert_eq!(
            problem(&long),
            ListProblem::TooLong("x".repeat(MAX_NAME_LEN).into())
        );
    }
    for prefix in ["", "+", "^"] {
        let problem = |text: &str| set(&[Best], &format!("{prefix}{text}")).unwrap_err();
        assert_eq!(
            problem("gone-64").to_string(),
            "\"gone-64\" needs the cargo feature `no-such-feature`"
        );
        assert_eq!(problem("x*").to_string(), "\"x*\" stands for nothing");
        assert_eq!(
            problem("gone-?4").to_string(),
            "\"gone-?4\" stands for nothing"
        );
    }
    assert_eq!(
        set(&[Best], "-best-256").unwrap_err(),
        ListProblem::NothingLeft
    );
    assert_eq!(set(&[Best], "-*").unwrap_err(), ListProblem::NothingLeft);
}

#[test]
fn an_error_is_short_whatever_the_text_was() {
    let long = "\u{1b}\u{e4}".repeat(100_000);
    for text in [long.as_str(), &"x".repeat(1 << 20), &"x*".repeat(1 << 20)] {
        for list in AlgorithmList::ALL {
            let mut algorithms = Algorithms::default();
            let error = algorithms.set(*list, text).unwrap_err();
            assert_eq!(algorithms, Algorithms::default());
            let shown = error.to_string();
            assert!(shown.len() < 4096, "{}", shown.len());
            assert!(shown.starts_with(list.name()));
            assert!(!shown.contains('\u{1b}'));
        }
        let error = text.parse::<AlgorithmList>().unwrap_err();
        assert!(error.to_string().len() < 1024);
        let error = text.parse::<Preset>().unwrap_err();
        assert!(error.to_string().len() < 1024);
    }
}

#[test]
fn every_list_has_a_name_and_takes_its_own_family() {
    for &list in AlgorithmList::ALL {
        assert_eq!(list.name().parse(), Ok(list));
        let mut algorithms = Algorithms::default();
        algorithms.set(list, "+*").unwrap();
        let error = algorithms.set(list, "+no-such-name").unwrap_err();
        assert_eq!(error.list, list.name());
        let config = ConfigError::from(error);
        assert_eq!(config.field, list.name());
        assert!(config.reason.contains("no-such-name"));
    }
    let error = "kexx".parse::<AlgorithmList>().unwrap_err().to_string();
    for list in AlgorithmList::ALL {
        assert!(error.contains(list.name()), "{error}");
    }
}

#[test]
fn directions_are_set_together_or_one_by_one() {
    let mut algorithms = Algorithms::default();
    let before = algorithms.clone();
    algorithms
        .set(AlgorithmList::CiphersClientToServer, "aes128-ctr")
        .unwrap();
    algorithms
        .set(AlgorithmList::MacsServerToClient, "hmac-sha2-512")
        .unwrap();
    assert_eq!(
        algorithms.ciphers_client_to_server,
        [CipherAlgorithm::Aes128Ctr]
    );
    assert_eq!(algorithms.macs_server_to_client, [MacAlgorithm::HmacSha512]);
    let mut expected = before;
    expected
        .ciphers_client_to_server
        .clone_from(&algorithms.ciphers_client_to_server);
    expected
        .macs_server_to_client
        .clone_from(&algorithms.macs_server_to_client);
    assert_eq!(algorithms, expected, "nothing else has changed");
    // Relative to what each direction has.
    algorithms.set(AlgorithmList::Ciphers, "-*-gcm@*").unwrap();
    assert_eq!(
        Joined(&algorithms.ciphers_client_to_server).to_string(),
        "aes128-ctr"
    );
    assert!(algorithms.ciphers_server_to_client.len() > 1);
    // Both or neither.
    let error = algorithms.set(AlgorithmList::Ciphers, "-aes128-ctr");
    assert_eq!(error.map_err(|e| e.problem), Err(ListProblem::NothingLeft));
    assert!(
        algorithms
            .ciphers_server_to_client
            .contains(&CipherAlgorithm::Aes128Ctr)
    );
    algorithms
        .set(AlgorithmList::Ciphers, "aes256-ctr")
        .unwrap();
    algorithms
        .set(AlgorithmList::Macs, "hmac-sha2-256")
        .unwrap();
    algorithms.set(AlgorithmList::Compression, "none").unwrap();
    assert_eq!(
        algorithms.ciphers_client_to_server,
        algorithms.ciphers_server_to_client
    );
    assert_eq!(algorithms.macs_client_to_server, [MacAlgorithm::HmacSha256]);
    assert_eq!(algorithms.macs_server_to_client, [MacAlgorithm::HmacSha256]);
}

/// All that the bytes `a`, `b`, `*` and `?` can say, against the rule in two lines.
#[test]
fn wildcards_match_as_the_rule_says() {
    fn rule(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], _) => name.is_empty(),
            ([b'*', p @ ..], _) => (0..=name.len()).any(|n| rule(p, &name[n..])),
            ([c, p @ ..], [n, rest @ ..]) => (c == n || *c == b'?') && rule(p, rest),
            _ => false,
        }
    }
    fn words(alphabet: &[u8], longest: usize) -> Vec<Vec<u8>> {
        let mut words = alloc::vec![Vec::new()];
        let mut from = 0;
        for _ in 0..longest {
            let to = words.len();
            for n in from..to {
                for &letter in alphabet {
                    words.push([&words[n][..], &[letter]].concat());
                }
            }
            from = to;
        }
        words
    }
    let names = words(b"ab", 5);
    let mut matched = 0;
    for pattern in words(b"ab*?", 5) {
        for name in &names {
            let expected = rule(&pattern, name);
            assert_eq!(matches(&pattern, name), expected, "{pattern:?} {name:?}");
            matched += usize::from(expected);
        }
    }
    assert!(matched > 1000, "{matched}");
}

/// A list of some algorithms, each once, in any order.
fn some<A: Algorithm>() -> impl Strategy<Value = Vec<A>> {
    subsequence(A::ALL.to_vec(), 1..=A::ALL.len()).prop_shuffle()
}

fn comes_back<A: Algorithm>(list: &[A], from: &[A]) {
    let mut read = from.to_vec();
    change(&mut read, &Joined(list).to_string()).unwrap();
    assert_eq!(read, list);
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        kex in some::<KexAlgorithm>(),
        signatures in some::<SignatureAlgorithm>(),
        ciphers in some::<CipherAlgorithm>(),
        macs in some::<MacAlgorithm>(),
        compression in some::<CompressionAlgorithm>(),
        fakes in some::<Fake>(),
    ) {
        for role in [Role::Client, Role::Server] {
            let from = Preset::legacy().algorithms(role);
            comes_back(&kex, &from.kex);
            comes_back(&signatures, &from.host_key);
            comes_back(&ciphers, &from.ciphers_client_to_server);
            comes_back(&macs, &from.macs_client_to_server);
            comes_back(&compression, &from.compression_client_to_server);
        }
        comes_back(&fakes, &[]);
    }

    /// Whatever is written, each operation does what it is for and no more.
    #[test]
    fn any_text_keeps_the_rules(
        list in some::<Fake>(),
        prefix in "[+^-]?",
        items in prop::collection::vec("[a-z?*]{1,5}(-256|-128|\\*)?|best-256|weak-128|odd-128", 1..4),
    ) {
        let text = format!("{prefix}{}", items.join(","));
        let mut after = list.clone();
        if change(&mut after, &text).is_err() {
            prop_assert_eq!(after, list);
            return Ok(());
        }
        let named = |one: &Fake| items.iter().any(|item| item == one.name());
        let hit = |one: &Fake| {
            items.iter().any(|item| matches(item.as_bytes(), one.name().as_bytes()))
        };
        for (n, one) in after.iter().enumerate() {
            prop_assert!(!after[..n].contains(one), "twice");
            let offered = matches!(one.standing(), Standing::Recommended | Standing::Acceptable);
            prop_assert!(list.contains(one) || named(one) || (offered && hit(one)));
        }
        match prefix.as_str() {
            "+" => prop_assert!(after.starts_with(&list)),
            "-" => {
                let kept: Vec<_> = list.iter().copied().filter(|one| !hit(one)).collect();
                prop_assert_eq!(after, kept);
            }
            "^" => {
                let kept: Vec<_> = list.iter().copied().filter(|one| !hit(one)).collect();
                prop_assert!(after.ends_with(&kept));
                prop_assert!(list.iter().all(|one| after.contains(one)));
            }
            _ => prop_assert!(after.iter().all(hit)),
        }
    }
}
