//! What is agreed on, and the work for it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;

use super::*;
use crate::message::Wire;
use crate::wire::Sink;
use crate::wire::counting::bytes_looked_at;

/// How many bytes of names are looked at for a KEXINIT whose every list has `names` unknown
/// names before the `last`, and how long it is.
fn work(role: Role, names: usize, last: &str) -> (usize, usize) {
    let list: String = (0..names).map(|n| format!("name-{n:05},")).collect();
    let mut payload = alloc::vec![20; 17];
    for _ in 0..10 {
        payload.put_string(format!("{list}{last}").as_bytes());
    }
    payload.extend_from_slice(&[0; 5]);
    let ours = Algorithms::default();
    let (negotiated, looked_at) = bytes_looked_at(|| {
        let theirs = KexInit::decode(&payload).unwrap();
        guess_is_right(&ours, &theirs);
        negotiate(role, &ours, &theirs).unwrap().0
    });
    assert_eq!(negotiated, None, "nothing in common");
    (looked_at, payload.len())
}

#[test]
fn n1_d2_the_work_for_name_lists_grows_with_their_length_and_no_faster() {
    for role in [Role::Client, Role::Server] {
        let (small, _) = work(role, 100, "x");
        let mut before = small;
        for names in [200, 400, 800, 1600] {
            let (looked_at, length) = work(role, names, "x");
            assert!(looked_at <= 2 * before, "{role:?} {names}: {looked_at}");
            // Once to check it, and once for each algorithm of ours.
            assert!(
                looked_at <= 12 * length,
                "{role:?}: {looked_at} of {length}"
            );
            before = looked_at;
        }
    }
}

/// Names that are known and have to be looked up elsewhere, as often as they fit in.
#[test]
fn n1_d2_a_cipher_that_is_a_mac_too_is_looked_for_once_however_often_it_is_named() {
    for role in [Role::Client, Role::Server] {
        for macs in [0, 1] {
            let mut ours = Algorithms::default();
            for ciphers in [
                &mut ours.ciphers_client_to_server,
                &mut ours.ciphers_server_to_client,
            ] {
                *ciphers = vec![
                    CipherAlgorithm::AeadAes128Gcm,
                    CipherAlgorithm::AeadAes256Gcm,
                ];
            }
            let names = "AEAD_AES_256_GCM,AEAD_AES_128_GCM,".repeat(1000);
            let names = names.strip_suffix(',').unwrap();
            // Long, and without or with the names at its end.
            let mut others = "x,".repeat(10_000) + "y";
            if macs == 1 {
                others += ",AEAD_AES_256_GCM";
            }
            let lists = [names, names, &others, &others];
            let (agreed, looked_at) = bytes_looked_at(|| direction(role, &ours, lists));
            let found = agreed.map(|agreed| agreed.client_to_server.cipher);
            assert_eq!(found, (macs == 1).then_some(CipherAlgorithm::AeadAes256Gcm));
            let length = lists.iter().map(|list| list.len()).sum::<usize>();
            assert!(looked_at <= 6 * length, "{role:?}: {looked_at} of {length}");
        }
    }
}

/// What comes of these ciphers and MACs of a peer, both ways.
fn direction(role: Role, ours: &Algorithms, lists: [&str; 4]) -> Option<Negotiated> {
    negotiate(role, ours, &kexinit(lists)).unwrap().0
}

fn kexinit(lists: [&str; 4]) -> KexInit<'_> {
    let list = |names| NameList::new(names).unwrap();
    let [up, down, macs_up, macs_down] = lists.map(list);
    KexInit {
        cookie: &[7; 16],
        kex_algorithms: list("curve25519-sha256"),
        server_host_key_algorithms: list("ssh-ed25519"),
        encryption_algorithms_client_to_server: up,
        encryption_algorithms_server_to_client: down,
        mac_algorithms_client_to_server: macs_up,
        mac_algorithms_server_to_client: macs_down,
        compression_algorithms_client_to_server: list("none"),
        compression_algorithms_server_to_client: list("none"),
        languages_client_to_server: NameList::EMPTY,
        languages_server_to_client: NameList::EMPTY,
        first_kex_packet_follows: false,
        reserved: 0,
    }
}

#[test]
fn slots_are_named_with_their_direction() {
    for (slot, name) in [
        (Slot::Kex, "key exchange"),
        (Slot::CipherClientToServer, "cipher client to server"),
        (Slot::MacServerToClient, "MAC server to client"),
    ] {
        assert_eq!(slot.to_string(), name);
    }
}

#[test]
fn what_both_prefer_is_told_from_what_the_client_prefers() {
    let ciphers = vec![CipherAlgorithm::Aes128Ctr, CipherAlgorithm::Aes256Ctr];
    let ours = Algorithms {
        ciphers_client_to_server: ciphers,
        ..Algorithms::default()
    };
    let (one, other) = ("aes128-ctr", "aes256-ctr");
    for (role, theirs, choice) in [
        (
            Role::Client,
            "aes128-ctr,aes256-ctr",
            Choice::BothPrefer(one),
        ),
        (
            Role::Server,
            "aes128-ctr,aes256-ctr",
            Choice::BothPrefer(one),
        ),
        (
            Role::Client,
            "aes256-ctr,aes128-ctr",
            Choice::ClientPrefers(one),
        ),
        (
            Role::Server,
            "aes256-ctr,aes128-ctr",
            Choice::ClientPrefers(other),
        ),
        (Role::Client, "x,aes128-ctr", Choice::ClientPrefers(one)),
        (Role::Server, "x,aes128-ctr", Choice::ClientPrefers(one)),
        (Role::Client, "x", Choice::NothingInCommon),
        (Role::Server, "x", Choice::NothingInCommon),
    ] {
        let lists = [theirs, "aes128-ctr", "hmac-sha2-256", "hmac-sha2-256"];
        let report = negotiate(role, &ours, &kexinit(lists)).unwrap().1;
        let slot = Slot::CipherClientToServer;
        let slot = report.slots.iter().find(|report| report.slot == slot);
        assert_eq!(slot.unwrap().choice, choice, "{role:?} {theirs}");
    }
}

/// RFC 5647 section 5.1: as both, or not at all.
#[test]
fn a_cipher_of_rfc5647_is_chosen_as_both_or_not_at_all() {
    const AEAD: &str = "AEAD_AES_128_GCM";
    let mut ours = Algorithms::default();
    let ciphers = vec![CipherAlgorithm::AeadAes128Gcm, CipherAlgorithm::Aes128Ctr];
    ours.ciphers_client_to_server = ciphers.clone();
    ours.ciphers_server_to_client = ciphers;
    let aead = |agreed: Protection| {
        assert_eq!(agreed.mac.is_none(), agreed.cipher.is_aead());
        agreed.cipher == CipherAlgorithm::AeadAes128Gcm
    };
    for role in [Role::Client, Role::Server] {
        for (ciphers, macs, expected) in [
            // On both, wherever it stands.
            (AEAD, AEAD, Some(true)),
            (
                "x,AEAD_AES_128_GCM",
                "hmac-sha2-256,AEAD_AES_128_GCM",
                Some(true),
            ),
            // On one alone it does not count.
            ("AEAD_AES_128_GCM,aes128-ctr", "hmac-sha2-256", Some(false)),
            ("aes128-ctr", "AEAD_AES_128_GCM,hmac-sha2-256", Some(false)),
            (AEAD, "hmac-sha2-256", None),
            ("aes128-ctr", AEAD, None),
            (AEAD, "AEAD_AES_256_GCM", None),
        ] {
            let agreed = direction(role, &ours, [ciphers, ciphers, macs, macs]);
            let agreed = agreed.map(|n| [n.client_to_server, n.server_to_client].map(aead));
            assert_eq!(
                agreed,
                expected.map(|is| [is; 2]),
                "{role:?} {ciphers} {macs}"
            );
        }
        // Each direction on its own.
        let lists = [AEAD, "aes128-ctr", AEAD, "hmac-sha2-256"];
        let agreed = direction(role, &ours, lists).unwrap();
        assert!(aead(agreed.client_to_server) && !aead(agreed.server_to_client));
    }
    // Without it among ours a peer's changes nothing.
    let ours = Algorithms::default();
    let lists = ["AEAD_AES_128_GCM,aes128-ctr"; 2];
    let macs = ["AEAD_AES_128_GCM,hmac-sha2-256"; 2];
    let lists = [lists[0], lists[1], macs[0], macs[1]];
    for role in [Role::Client, Role::Server] {
        let agreed = direction(role, &ours, lists).unwrap().client_to_server;
        assert_eq!(agreed.cipher, CipherAlgorithm::Aes128Ctr);
        assert_eq!(agreed.mac, Some(MacAlgorithm::HmacSha256));
    }
}

#[test]
fn a_cipher_of_rfc5647_stands_among_our_macs_where_it_stands_among_the_ciphers() {
    use CipherAlgorithm::{AeadAes128Gcm, AeadAes256Gcm, Aes128Ctr};
    let macs = [MacAlgorithm::HmacSha256];
    for (ciphers, names) in [
        (&[Aes128Ctr][..], &["hmac-sha2-256"][..]),
        (
            &[AeadAes256Gcm, Aes128Ctr, AeadAes128Gcm],
            &["AEAD_AES_256_GCM", "hmac-sha2-256", "AEAD_AES_128_GCM"],
        ),
        (
            &[AeadAes256Gcm, AeadAes128Gcm],
            &["AEAD_AES_256_GCM", "AEAD_AES_128_GCM", "hmac-sha2-256"],
        ),
    ] {
        assert_eq!(mac_names(ciphers, &macs), names);
    }
    // The report shows what was offered, and why there is no MAC.
    let ours = Algorithms {
        ciphers_client_to_server: vec![AeadAes256Gcm],
        ciphers_server_to_client: vec![AeadAes256Gcm],
        ..Algorithms::default()
    };
    let theirs = kexinit(["AEAD_AES_256_GCM"; 4]);
    let report = negotiate(Role::Client, &ours, &theirs).unwrap().1;
    let macs = &report.slots[4];
    assert!(
        macs.ours.starts_with("AEAD_AES_256_GCM,hmac-"),
        "{}",
        macs.ours
    );
    assert_eq!(macs.choice, Choice::Cipher("AEAD_AES_256_GCM"));
}

#[test]
fn what_is_weak_of_what_was_agreed_is_told() {
    fn weak<A: Named>(slot: Slot, chosen: A) -> Vec<(Slot, &'static str)> {
        let deprecated = chosen.standing().is_deprecated();
        deprecated
            .then_some((slot, chosen.name()))
            .into_iter()
            .collect()
    }
    let sound = Protection {
        cipher: CipherAlgorithm::Aes256Ctr,
        mac: Some(MacAlgorithm::HmacSha256),
        compression: CompressionAlgorithm::None,
    };
    let terms = Negotiated {
        kex: KexAlgorithm::Curve25519Sha256,
        host_key: SignatureAlgorithm::Ed25519,
        client_to_server: sound,
        server_to_client: sound,
        strict_kex: true,
    };
    let told = |terms: &Negotiated| terms.deprecated().collect::<Vec<_>>();
    assert_eq!(told(&terms), []);
    for &kex in KexAlgorithm::ALL {
        let terms = Negotiated {
            kex,
            ..terms.clone()
        };
        assert_eq!(told(&terms), weak(Slot::Kex, kex));
        let hybrid = kex.name().starts_with("mlkem") || kex.name().starts_with("sntrup");
        assert_eq!(terms.is_post_quantum(), hybrid, "{kex}");
    }
    for &host_key in SignatureAlgorithm::ALL {
        let terms = Negotiated {
            host_key,
            ..terms.clone()
        };
        assert_eq!(told(&terms), weak(Slot::HostKey, host_key));
    }
    for &cipher in CipherAlgorithm::ALL {
        let mut terms = terms.clone();
        terms.client_to_server.cipher = cipher;
        assert_eq!(told(&terms), weak(Slot::CipherClientToServer, cipher));
        assert!(terms.to_string().contains(cipher.name()));
    }
    for &mac in MacAlgorithm::ALL {
        let mut terms = terms.clone();
        terms.server_to_client.mac = Some(mac);
        assert_eq!(told(&terms), weak(Slot::MacServerToClient, mac));
        assert!(terms.to_string().contains(mac.name()));
    }
    for &compression in CompressionAlgorithm::ALL {
        let mut terms = terms.clone();
        terms.client_to_server.compression = compression;
        terms.server_to_client.compression = compression;
        let both = [
            weak(Slot::CompressionClientToServer, compression),
            weak(Slot::CompressionServerToClient, compression),
        ];
        assert_eq!(told(&terms), both.concat());
    }
}

/// As the paper on Terrapin has it: ChaCha20-Poly1305, and CBC with a MAC over the ciphertext.
#[test]
fn s8_prefix_truncation_is_told_of_what_lets_it_happen() {
    let mut told = 0;
    for &cipher in CipherAlgorithm::ALL {
        let macs = MacAlgorithm::ALL.iter().copied().map(Some);
        for mac in macs
            .chain([None])
            .filter(|mac| mac.is_none() == cipher.is_aead())
        {
            let this = Protection {
                cipher,
                mac,
                compression: CompressionAlgorithm::None,
            };
            let other = Protection {
                cipher: CipherAlgorithm::Aes256Gcm,
                mac: None,
                ..this
            };
            let etm = mac.is_some_and(|mac| mac.name().contains("-etm@"));
            let weak =
                cipher.name().starts_with("chacha20") || (cipher.name().ends_with("-cbc") && etm);
            for (up, down) in [(this, other), (other, this), (this, this)] {
                for strict_kex in [false, true] {
                    let terms = Negotiated {
                        kex: KexAlgorithm::Curve25519Sha256,
                        host_key: SignatureAlgorithm::Ed25519,
                        client_to_server: up,
                        server_to_client: down,
                        strict_kex,
                    };
                    let possible = terms.prefix_truncation_possible();
                    assert_eq!(possible, weak && !strict_kex, "{terms}");
                    told += usize::from(possible);
                }
            }
        }
    }
    assert!(told >= 3, "{told}");
}

#[test]
fn what_was_agreed_is_one_line() {
    let mut terms = Negotiated {
        kex: KexAlgorithm::Curve25519Sha256,
        host_key: SignatureAlgorithm::Ed25519,
        client_to_server: Protection {
            cipher: CipherAlgorithm::Aes256Gcm,
            mac: None,
            compression: CompressionAlgorithm::None,
        },
        server_to_client: Protection {
            cipher: CipherAlgorithm::Aes128Ctr,
            mac: Some(MacAlgorithm::HmacSha256),
            compression: CompressionAlgorithm::None,
        },
        strict_kex: true,
    };
    assert_eq!(
        terms.to_string(),
        "curve25519-sha256, ssh-ed25519, aes256-gcm@openssh.com to the server and aes128-ctr \
         with hmac-sha2-256 to the client"
    );
    terms.client_to_server = terms.server_to_client;
    assert_eq!(
        terms.to_string(),
        "curve25519-sha256, ssh-ed25519, aes128-ctr with hmac-sha2-256"
    );
}
