//! What is recommended is the best that the peer has, can be typed, and helps.

use alloc::format;
use alloc::string::ToString;

use super::*;
use crate::algorithm::{Algorithms, Preset};
use crate::kex::negotiate::negotiate;
use crate::message::{KexInit, Wire};
use crate::wire::Sink;

/// A peer's KEXINIT with these lists.
fn kexinit(lists: &[&str; 8]) -> Vec<u8> {
    let mut payload = alloc::vec![20; 17];
    for list in lists.iter().chain(&["", ""]) {
        payload.put_string(list.as_bytes());
    }
    payload.extend_from_slice(&[0; 5]);
    payload
}

/// What a peer would have to offer for this to be agreed on, and no more.
const AGREED: [&str; 8] = [
    "curve25519-sha256",
    "ssh-ed25519",
    "aes256-ctr",
    "aes256-ctr",
    "hmac-sha2-256",
    "hmac-sha2-256",
    "none",
    "none",
];

fn report(role: Role, ours: &Algorithms, theirs: &[&str; 8]) -> NegotiationReport {
    let payload = kexinit(theirs);
    negotiate(role, ours, &KexInit::decode(&payload).unwrap())
        .unwrap()
        .1
}

fn with(changes: &[(usize, &'static str)]) -> [&'static str; 8] {
    let mut lists = AGREED;
    for (slot, list) in changes {
        lists[*slot] = list;
    }
    lists
}

/// Where the cipher that is recommended needs no MAC, none is recommended.
#[test]
fn no_mac_is_recommended_beside_a_cipher_that_is_one_too() {
    for (cipher, mac) in [(2, 4), (3, 5)] {
        let theirs = with(&[(cipher, "aes128-gcm@openssh.com"), (mac, "hmac-sha1")]);
        let mut ours = Algorithms::default();
        ours.set(AlgorithmList::Ciphers, "aes256-ctr").unwrap();
        ours.set(AlgorithmList::Macs, "hmac-sha2-256").unwrap();
        let remedies = report(Role::Client, &ours, &theirs).remedy();
        let [remedy] = &remedies[..] else {
            panic!("{remedies:?}");
        };
        let (_, text) = remedy.setting().unwrap();
        assert_eq!(text, "+aes128-gcm@openssh.com");
    }
}

#[test]
fn the_strongest_of_the_peers_names_is_recommended_and_it_helps() {
    fn check<A: Algorithm>(slots: &[usize], list: AlgorithmList, keep: A) {
        for &needed in A::ALL {
            if needed == keep {
                continue;
            }
            let theirs = format!("x-unknown,{needed}");
            let mut lists = AGREED;
            // It has to stand among the MACs too.
            let macs = format!("hmac-sha2-256,{needed}");
            if needed.name().starts_with("AEAD_") {
                (lists[4], lists[5]) = (&macs, &macs);
            }
            for slot in slots {
                lists[*slot] = &theirs;
            }
            for role in [Role::Client, Role::Server] {
                let mut ours = Preset::default().algorithms(role);
                ours.set(list, keep.name()).unwrap();
                let failed = report(role, &ours, &lists);
                let remedies = failed.remedy();
                let [remedy] = remedies[..] else {
                    panic!("{needed}: {remedies:?}");
                };
                let (set, text) = remedy.setting().unwrap();
                assert_eq!((set, text), (list, format!("+{needed}")));
                let by_a_key = list == AlgorithmList::HostKey || needed.name().starts_with("rsa");
                let is_key = matches!(remedy, Remedy::Key { .. });
                assert_eq!(is_key, role == Role::Server && by_a_key, "{remedy}");
                assert!(remedy.to_string().contains(needed.name()));
                let weak = needed.standing().is_deprecated();
                assert_eq!(remedy.to_string().contains("weak"), weak, "{remedy}");
                assert!(failed.to_string().ends_with(&remedy.to_string()));
                // What is recommended is done.
                let (set, text) = remedy.setting().unwrap();
                ours.set(set, &text).unwrap();
                let again = report(role, &ours, &lists);
                assert_eq!(again.remedy(), [], "{again}");
                assert_eq!(again.to_string(), "the algorithms were agreed");
            }
        }
    }
    check(&[0], AlgorithmList::Kex, KexAlgorithm::Curve25519Sha256);
    check(&[1], AlgorithmList::HostKey, SignatureAlgorithm::Ed25519);
    check(
        &[2],
        AlgorithmList::CiphersClientToServer,
        CipherAlgorithm::Aes256Ctr,
    );
    check(&[2, 3], AlgorithmList::Ciphers, CipherAlgorithm::Aes256Ctr);
    check(
        &[5],
        AlgorithmList::MacsServerToClient,
        MacAlgorithm::HmacSha256,
    );
    check(&[4, 5], AlgorithmList::Macs, MacAlgorithm::HmacSha256);
    check(
        &[6, 7],
        AlgorithmList::Compression,
        CompressionAlgorithm::None,
    );
}

#[test]
fn a_cipher_that_would_have_to_be_a_mac_too_and_is_none_does_not_help() {
    let mut ours = Preset::default().algorithms(Role::Client);
    ours.set(AlgorithmList::Ciphers, "aes256-ctr").unwrap();
    let lists = with(&[(2, "AEAD_AES_256_GCM,aes128-cbc"), (3, "AEAD_AES_256_GCM")]);
    let remedies = report(Role::Client, &ours, &lists).remedy();
    let settings: Vec<_> = remedies.iter().map(Remedy::setting).collect();
    let weaker = (
        AlgorithmList::CiphersClientToServer,
        "+aes128-cbc".to_string(),
    );
    assert_eq!(settings, [Some(weaker), None], "{remedies:?}");
}

#[test]
fn of_several_the_best_whatever_their_order() {
    let mut ours = Preset::default().algorithms(Role::Client);
    ours.set(AlgorithmList::Kex, "curve25519-sha256").unwrap();
    ours.set(AlgorithmList::Macs, "hmac-sha2-256").unwrap();
    let lists = with(&[
        (0, "curve25519-sha256@libssh.org,x,mlkem768x25519-sha256"),
        (4, "hmac-sha2-512,hmac-sha2-256-etm@openssh.com"),
        (5, "hmac-sha2-512"),
    ]);
    let texts: Vec<_> = report(Role::Client, &ours, &lists)
        .remedy()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        texts,
        [
            "set kex to \"+mlkem768x25519-sha256\"",
            "set macs_client_to_server to \"+hmac-sha2-256-etm@openssh.com\"",
            "set macs_server_to_client to \"+hmac-sha2-512\"",
        ]
    );
}

#[test]
fn where_the_cipher_will_need_no_mac_none_is_recommended() {
    let mut ours = Preset::default().algorithms(Role::Client);
    ours.set(AlgorithmList::Ciphers, "aes256-ctr").unwrap();
    ours.set(AlgorithmList::Macs, "hmac-sha2-256").unwrap();
    let lists = with(&[
        (2, "aes128-gcm@openssh.com"),
        (3, "aes128-ctr"),
        (4, "x"),
        (5, "x"),
    ]);
    let remedies = report(Role::Client, &ours, &lists).remedy();
    let texts: Vec<_> = remedies.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "set ciphers_client_to_server to \"+aes128-gcm@openssh.com\"",
            "set ciphers_server_to_client to \"+aes128-ctr\"",
            "for macs_server_to_client the peer has nothing that there is here",
        ]
    );
}

#[test]
fn a_server_is_told_of_the_key_that_it_may_lack() {
    let mut ours = Preset::default().algorithms(Role::Server);
    ours.set(AlgorithmList::HostKey, "ssh-ed25519").unwrap();
    let lists = with(&[(1, "ssh-dss,rsa-sha2-256")]);
    let remedies = report(Role::Server, &ours, &lists).remedy();
    let standing = SignatureAlgorithm::RsaSha2_256.standing();
    let name = "rsa-sha2-256";
    let list = AlgorithmList::HostKey;
    let expected = Remedy::Key {
        list,
        name,
        standing,
    };
    assert_eq!(remedies, [expected]);
    assert_eq!(
        remedies[0].to_string(),
        "have a host key for rsa-sha2-256, and that name in host_key"
    );
    let remedies = report(Role::Client, &ours, &lists).remedy();
    assert_eq!(remedies[0].to_string(), "set host_key to \"+rsa-sha2-256\"");
}

#[cfg(feature = "legacy")]
#[test]
fn a_server_is_told_of_the_transient_key_that_it_may_lack() {
    let lists = with(&[(0, "rsa1024-sha1,rsa2048-sha256")]);
    for (role, text) in [
        (
            Role::Server,
            "have a transient RSA key for rsa2048-sha256, which is weak, and that name in kex",
        ),
        (
            Role::Client,
            "set kex to \"+rsa2048-sha256\", which is weak",
        ),
    ] {
        let ours = Preset::default().algorithms(role);
        let remedies = report(role, &ours, &lists).remedy();
        assert_eq!(remedies[0].to_string(), text);
    }
}

#[test]
fn where_nothing_helps_that_is_said() {
    let ours = Preset::default().algorithms(Role::Client);
    let lists = with(&[(1, "ssh-dss"), (2, "x"), (3, "")]);
    let failed = report(Role::Client, &ours, &lists);
    let remedies = failed.remedy();
    assert_eq!(
        remedies,
        [
            Remedy::Nothing {
                list: AlgorithmList::HostKey
            },
            Remedy::Nothing {
                list: AlgorithmList::Ciphers
            },
        ]
    );
    assert!(remedies.iter().all(|remedy| remedy.setting().is_none()));
    let text = failed.to_string();
    assert!(
        text.ends_with(
            "; to change that: for host_key the peer has nothing that there is here; \
             for ciphers the peer has nothing that there is here"
        ),
        "{text}"
    );
}

/// Where a feature is off, it is named; where it is on, its algorithms are.
#[test]
fn the_feature_that_would_help_is_named() {
    fn check<A: Algorithm>(slot: Slot) {
        for &(name, feature) in A::BEHIND_FEATURES {
            for role in [Role::Client, Role::Server] {
                let remedy = slot.remedy(role, &format!("x,{name},y"), &[]);
                let list = slot.list();
                match A::from_name(name) {
                    Some(_) => assert!(!matches!(remedy, Remedy::Feature { .. })),
                    None => {
                        let expected = Remedy::Feature {
                            list,
                            name,
                            feature,
                        };
                        assert_eq!(remedy, expected);
                        let text = remedy.to_string();
                        assert!(text.contains(feature) && text.contains(name), "{text}");
                    }
                }
                assert!(remedy.setting().is_some());
            }
        }
    }
    check::<KexAlgorithm>(Slot::Kex);
    check::<SignatureAlgorithm>(Slot::HostKey);
    check::<CipherAlgorithm>(Slot::CipherClientToServer);
    check::<MacAlgorithm>(Slot::MacServerToClient);
    check::<CompressionAlgorithm>(Slot::CompressionClientToServer);
}

#[test]
fn every_slot_belongs_to_a_list_of_its_family() {
    let slots = [
        Slot::Kex,
        Slot::HostKey,
        Slot::CipherClientToServer,
        Slot::CipherServerToClient,
        Slot::MacClientToServer,
        Slot::MacServerToClient,
        Slot::CompressionClientToServer,
        Slot::CompressionServerToClient,
    ];
    for (n, slot) in slots.into_iter().enumerate() {
        let mut ours = Algorithms::default();
        ours.set(slot.list(), AGREED[n]).unwrap();
        assert_eq!(slots.iter().filter(|s| s.list() == slot.list()).count(), 1);
    }
}
