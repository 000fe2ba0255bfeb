//! The rules of negotiation over every algorithm that there is, in every pair of them: rows N4, N5,
//! N6, N8 and K10. What crosses a wire is in the tests of a hostile peer.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::negotiate::negotiate;
use super::{Choice, Negotiated, NegotiationReport, Slot};
use crate::algorithm::{
    Algorithm, Algorithms, CipherAlgorithm, CompressionAlgorithm, Joined, KexAlgorithm,
    MacAlgorithm, Preset, SignatureAlgorithm,
};
use crate::message::{KexInit, Wire};
use crate::transport::Role;
use crate::wire::Sink;

const ROLES: [Role; 2] = [Role::Client, Role::Server];
const SLOTS: [Slot; 8] = [
    Slot::Kex,
    Slot::HostKey,
    Slot::CipherClientToServer,
    Slot::CipherServerToClient,
    Slot::MacClientToServer,
    Slot::MacServerToClient,
    Slot::CompressionClientToServer,
    Slot::CompressionServerToClient,
];

type Lists = [String; 8];

/// Everything, whatever is thought of it.
fn everything() -> Algorithms {
    Algorithms {
        kex: KexAlgorithm::ALL.to_vec(),
        host_key: SignatureAlgorithm::ALL.to_vec(),
        ciphers_client_to_server: CipherAlgorithm::ALL.to_vec(),
        ciphers_server_to_client: CipherAlgorithm::ALL.to_vec(),
        macs_client_to_server: MacAlgorithm::ALL.to_vec(),
        macs_server_to_client: MacAlgorithm::ALL.to_vec(),
        compression_client_to_server: CompressionAlgorithm::ALL.to_vec(),
        compression_server_to_client: CompressionAlgorithm::ALL.to_vec(),
    }
}

fn names(of: &Algorithms) -> Lists {
    [
        Joined(&of.kex).to_string(),
        Joined(&of.host_key).to_string(),
        Joined(&of.ciphers_client_to_server).to_string(),
        Joined(&of.ciphers_server_to_client).to_string(),
        Joined(&of.macs_client_to_server).to_string(),
        Joined(&of.macs_server_to_client).to_string(),
        Joined(&of.compression_client_to_server).to_string(),
        Joined(&of.compression_server_to_client).to_string(),
    ]
}

fn agree(role: Role, ours: &Algorithms, theirs: &Lists) -> (Option<Negotiated>, NegotiationReport) {
    let mut payload = alloc::vec![20; 17];
    for list in theirs {
        payload.put_string(list.as_bytes());
    }
    payload.extend_from_slice(&[0; 8 + 5]);
    negotiate(role, ours, &KexInit::decode(&payload).unwrap()).unwrap()
}

/// Whether a packet needs a MAC beside this cipher.
fn needs_a_mac(cipher: CipherAlgorithm) -> bool {
    let name = cipher.name();
    let whole = ["-gcm@openssh.com", "-poly1305@openssh.com", "_GCM"];
    !whole.iter().any(|end| name.ends_with(end))
}

/// The names of RFC 5647 have to be among the MACs too (section 5.1).
fn macs_for(cipher: CipherAlgorithm, macs: &str) -> String {
    if cipher.name().starts_with("AEAD_") {
        return format!("{macs},{cipher}");
    }
    macs.to_string()
}

#[test]
fn n6_every_two_ciphers_and_every_two_macs_each_in_its_direction() {
    for role in ROLES {
        let ours = everything();
        for &up in CipherAlgorithm::ALL {
            for &down in CipherAlgorithm::ALL {
                let mut theirs = names(&ours);
                (theirs[2], theirs[3]) = (up.to_string(), down.to_string());
                theirs[4] = macs_for(up, "hmac-sha2-256");
                theirs[5] = macs_for(down, "hmac-sha2-512");
                let agreed = agree(role, &ours, &theirs).0.unwrap();
                assert_eq!(agreed.client_to_server.cipher, up);
                assert_eq!(agreed.server_to_client.cipher, down);
                let mac = |cipher, mac| needs_a_mac(cipher).then_some(mac);
                assert_eq!(
                    agreed.client_to_server.mac,
                    mac(up, MacAlgorithm::HmacSha256)
                );
                assert_eq!(
                    agreed.server_to_client.mac,
                    mac(down, MacAlgorithm::HmacSha512)
                );
            }
        }
        for &up in MacAlgorithm::ALL {
            for &down in MacAlgorithm::ALL {
                let mut theirs = names(&ours);
                (theirs[2], theirs[3]) = ("aes128-ctr".into(), "aes256-ctr".into());
                (theirs[4], theirs[5]) = (up.to_string(), down.to_string());
                let agreed = agree(role, &ours, &theirs).0.unwrap();
                assert_eq!(agreed.client_to_server.mac, Some(up));
                assert_eq!(agreed.server_to_client.mac, Some(down));
            }
        }
        for &up in CompressionAlgorithm::ALL {
            for &down in CompressionAlgorithm::ALL {
                let mut theirs = names(&ours);
                (theirs[6], theirs[7]) = (up.to_string(), down.to_string());
                let agreed = agree(role, &ours, &theirs).0.unwrap();
                assert_eq!(agreed.client_to_server.compression, up);
                assert_eq!(agreed.server_to_client.compression, down);
            }
        }
    }
}

#[test]
fn n5_macs_do_not_matter_beside_any_aead_and_beside_no_other() {
    for role in ROLES {
        let ours = everything();
        for &cipher in CipherAlgorithm::ALL {
            for (slot, list) in [(2, 4), (3, 5)] {
                for macs in ["", "x-mac", "none"] {
                    let mut theirs = names(&ours);
                    theirs[slot] = cipher.to_string();
                    theirs[list] = match macs {
                        "" if cipher.name().starts_with("AEAD_") => cipher.to_string(),
                        macs => macs_for(cipher, macs),
                    };
                    let (agreed, report) = agree(role, &ours, &theirs);
                    assert_eq!(agreed.is_none(), needs_a_mac(cipher), "{cipher} {macs:?}");
                    let failed: Vec<_> = report.failures().map(|failed| failed.slot).collect();
                    let expected = needs_a_mac(cipher).then_some(SLOTS[list]);
                    assert_eq!(failed, expected.into_iter().collect::<Vec<_>>());
                }
            }
        }
    }
}

#[test]
fn n4_markers_are_chosen_by_nobody_whatever_is_offered() {
    const MARKERS: &str = "ext-info-c,ext-info-s,kex-strict-c-v00@openssh.com,\
                           kex-strict-s-v00@openssh.com";
    fn none<A: Algorithm>() {
        for marker in MARKERS.split(',') {
            assert_eq!(A::from_name(marker), None);
            assert!(!A::BEHIND_FEATURES.iter().any(|(name, _)| *name == marker));
        }
    }
    none::<KexAlgorithm>();
    none::<SignatureAlgorithm>();
    none::<CipherAlgorithm>();
    none::<MacAlgorithm>();
    none::<CompressionAlgorithm>();
    for role in ROLES {
        for (n, slot) in SLOTS.into_iter().enumerate() {
            let mut theirs = names(&everything());
            theirs[n] = MARKERS.into();
            if matches!(n, 4 | 5) {
                theirs[n - 2] = "aes256-ctr".into();
            }
            let (agreed, report) = agree(role, &everything(), &theirs);
            assert_eq!(agreed, None);
            let failed: Vec<_> = report.failures().map(|failed| failed.slot).collect();
            assert_eq!(failed, [slot]);
        }
        // Before and behind a method they are passed over.
        for &kex in KexAlgorithm::ALL {
            let mut theirs = names(&everything());
            theirs[0] = format!("{MARKERS},{kex},{MARKERS}");
            assert_eq!(agree(role, &everything(), &theirs).0.unwrap().kex, kex);
        }
    }
}

#[test]
fn n8_with_every_algorithm_the_error_names_the_slot_and_both_lists() {
    for role in ROLES {
        for (n, slot) in SLOTS.into_iter().enumerate() {
            let ours = everything();
            let mut theirs = names(&ours);
            if matches!(n, 4 | 5) {
                theirs[n - 2] = "aes256-ctr".into();
            }
            theirs[n] = "x-theirs".into();
            let (agreed, report) = agree(role, &ours, &theirs);
            assert_eq!(agreed, None);
            let failures: Vec<_> = report.failures().collect();
            let [failed] = failures[..] else {
                panic!("{report}");
            };
            assert_eq!((failed.slot, &*failed.theirs), (slot, "x-theirs"));
            // Ciphers that are named among the MACs too stand before or behind those.
            assert!(failed.ours.contains(&names(&ours)[n]), "{}", failed.ours);
            assert_eq!(failed.choice, Choice::NothingInCommon);
            let text = report.to_string();
            assert!(text.contains(&slot.to_string()) && text.contains("x-theirs"));
        }
    }
}

/// A peer that has only what is known to be weak, in one slot after the other.
#[test]
fn k10_by_default_nothing_weak_is_agreed_on() {
    fn weak<A: Algorithm>() -> String {
        let all = A::ALL.iter().copied();
        let weak: Vec<_> = all.filter(|one| one.standing().is_deprecated()).collect();
        Joined(&weak).to_string()
    }
    let lists = [
        weak::<KexAlgorithm>(),
        weak::<SignatureAlgorithm>(),
        weak::<CipherAlgorithm>(),
        weak::<CipherAlgorithm>(),
        weak::<MacAlgorithm>(),
        weak::<MacAlgorithm>(),
        weak::<CompressionAlgorithm>(),
        weak::<CompressionAlgorithm>(),
    ];
    for role in ROLES {
        for preset in [Preset::hardened(), Preset::default()] {
            let ours = preset.algorithms(role);
            for (n, list) in lists.iter().enumerate() {
                let mut theirs = names(&everything());
                if matches!(n, 4 | 5) {
                    theirs[n - 2] = "aes256-ctr".into();
                }
                theirs[n].clone_from(list);
                let (agreed, report) = agree(role, &ours, &theirs);
                assert_eq!(agreed, None, "{}", SLOTS[n]);
                let failed: Vec<_> = report.failures().map(|failed| failed.slot).collect();
                assert_eq!(failed, [SLOTS[n]]);
                // What helps is said to be weak.
                assert_eq!(
                    report.to_string().contains(", which is weak"),
                    !list.is_empty()
                );
            }
        }
        // Named, it is agreed on, and reported.
        for (n, list) in lists
            .iter()
            .enumerate()
            .filter(|(_, list)| !list.is_empty())
        {
            let mut ours = Preset::default().algorithms(role);
            let mut theirs = names(&ours);
            theirs[n].clone_from(list);
            if matches!(n, 4 | 5) {
                theirs[n - 2] = "aes256-ctr".into();
            }
            ours.set(SLOTS[n].list(), &format!("+{list}")).unwrap();
            let agreed = agree(role, &ours, &theirs).0.unwrap();
            let first = list.split(',').next().unwrap();
            let told: Vec<_> = agreed.deprecated().collect();
            assert_eq!(told, [(SLOTS[n], first)]);
        }
    }
}
