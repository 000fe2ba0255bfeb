//! The tables hold together.

use alloc::vec::Vec;
use std::collections::HashSet;

use super::*;
use crate::crypto::hash::HashAlgorithm;
use crate::message::KexMessages;
use crate::transport::Role;
use crate::wire::NameList;

macro_rules! names_hold {
    ($($family:ident),+) => {$({
        let mut seen = HashSet::new();
        for &algorithm in $family::ALL {
            assert_eq!($family::from_name(algorithm.name()), Some(algorithm));
            assert!(seen.insert(algorithm.name()), "{algorithm} stands twice");
            assert_eq!(NameList::new(algorithm.name()).unwrap().iter().count(), 1);
        }
        assert_eq!($family::from_name(""), None);
        assert_eq!($family::from_name(&$family::ALL[0].name().to_uppercase()), None);
    })+};
}

#[test]
fn names_are_unique_and_lead_back() {
    names_hold!(
        KexAlgorithm,
        CipherAlgorithm,
        MacAlgorithm,
        CompressionAlgorithm,
        KeyType,
        SignatureAlgorithm
    );
}

#[test]
fn the_preset_legacy_holds_every_algorithm_once() {
    fn sorted<T: Ord + Copy>(list: &[T]) -> Vec<T> {
        let mut list = list.to_vec();
        list.sort();
        list
    }
    for role in [Role::Client, Role::Server] {
        let all = Preset::legacy().algorithms(role);
        assert_eq!(sorted(&all.kex), sorted(KexAlgorithm::ALL));
        assert_eq!(sorted(&all.host_key), sorted(SignatureAlgorithm::ALL));
        assert_eq!(
            sorted(&all.ciphers_client_to_server),
            sorted(CipherAlgorithm::ALL)
        );
        assert_eq!(
            sorted(&all.macs_server_to_client),
            sorted(MacAlgorithm::ALL)
        );
        assert_eq!(
            sorted(&all.compression_server_to_client),
            sorted(CompressionAlgorithm::ALL)
        );
    }
}

#[test]
fn k10_sha1_is_not_offered_and_for_signatures_not_known() {
    assert_eq!(SignatureAlgorithm::from_name("ssh-rsa"), None);
    assert_eq!(KeyType::from_name("rsa-sha2-256"), None);
    let group1 = KexAlgorithm::from_name("diffie-hellman-group1-sha1");
    assert_eq!(group1.is_some(), cfg!(feature = "legacy"));
    for role in [Role::Client, Role::Server] {
        for preset in [Preset::default(), Preset::hardened()] {
            let offered = preset.algorithms(role).kex;
            assert!(offered.iter().all(|kex| kex.hash() != HashAlgorithm::Sha1));
        }
    }
}

/// CVE-2002-20001: a server computes for strangers.
#[test]
fn k9_a_server_offers_no_finite_field_diffie_hellman_unasked() {
    let families = |role| -> Vec<KexMessages> {
        let kex = Preset::default().algorithms(role).kex;
        kex.iter().map(|kex| kex.messages()).collect()
    };
    let finite = |family: &KexMessages| *family != KexMessages::Ecdh;
    assert!(!families(Role::Server).iter().any(finite));
    assert!(families(Role::Client).iter().any(finite));
    assert!(!families(Role::Client).contains(&KexMessages::Rsa));
}

#[test]
fn a_method_names_its_hash() {
    for &kex in KexAlgorithm::ALL {
        let suffix = match kex.hash() {
            HashAlgorithm::Sha1 => "sha1",
            HashAlgorithm::Sha256 => "sha256",
            HashAlgorithm::Sha384 => "sha384",
            HashAlgorithm::Sha512 => "sha512",
        };
        assert!(kex.name().contains(suffix));
    }
}

#[test]
fn a_key_type_prefers_an_algorithm_of_its_own() {
    for &key_type in KeyType::ALL {
        assert_eq!(key_type.preferred_signature().key_type(), key_type);
    }
}
