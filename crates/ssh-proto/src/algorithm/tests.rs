//! The tables hold together.

use alloc::vec::Vec;
use std::collections::HashSet;

use super::*;
use crate::crypto::hash::HashAlgorithm;
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
        let mut compression = CompressionAlgorithm::ALL.to_vec();
        compression.retain(|method| role == Role::Client || !method.is_before_authentication());
        assert_eq!(sorted(&all.compression_client_to_server), compression);
        assert_eq!(sorted(&all.compression_server_to_client), compression);
    }
}

#[test]
fn z4_compression_is_offered_only_by_name_and_before_authentication_by_no_preset_of_a_server() {
    use CompressionAlgorithm as Compression;
    for role in [Role::Client, Role::Server] {
        for preset in [
            Preset::default(),
            Preset::for_cpu(false),
            Preset::hardened(),
        ] {
            let offered = preset.algorithms(role);
            assert_eq!(offered.compression_client_to_server, [Compression::None]);
            assert_eq!(offered.compression_server_to_client, [Compression::None]);
        }
    }
    // CVE-2026-23943.
    let of_server = Preset::legacy().algorithms(Role::Server);
    let expected = [Compression::None, Compression::ZlibOpenssh];
    assert_eq!(of_server.compression_client_to_server, expected);
    assert_eq!(of_server.compression_server_to_client, expected);
    #[cfg(feature = "legacy")]
    {
        let of_client = Preset::legacy().algorithms(Role::Client);
        let all = [
            Compression::None,
            Compression::ZlibOpenssh,
            Compression::Zlib,
        ];
        assert_eq!(of_client.compression_server_to_client, all);
        assert!(Compression::Zlib.is_before_authentication());
    }
    assert!(!Compression::ZlibOpenssh.is_before_authentication());
}

#[test]
fn k10_sha1_is_neither_offered_nor_known() {
    assert_eq!(SignatureAlgorithm::from_name("ssh-rsa"), None);
    assert_eq!(KeyType::from_name("rsa-sha2-256"), None);
    assert_eq!(KexAlgorithm::from_name("diffie-hellman-group1-sha1"), None);
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
