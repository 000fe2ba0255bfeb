//! The tables hold together.

use alloc::string::ToString;
use alloc::vec::Vec;
use std::collections::HashSet;

use super::*;
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
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            assert_eq!(algorithm.to_string(), algorithm.name());
        }
        assert_eq!($family::from_name(""), None);
        let names: Vec<_> = $family::ALL.iter().map(|algorithm| algorithm.name()).collect();
        assert_eq!($family::NAMES, names);
        // Where a feature is on, its names are there, and where it is off they are not.
        let on = |feature| match feature {
            "legacy" => cfg!(feature = "legacy"),
            "curve448" => cfg!(feature = "curve448"),
            other => panic!("what is the feature {other}?"),
        };
        for (name, feature) in $family::BEHIND_FEATURES {
            assert_eq!($family::from_name(name).is_some(), on(*feature), "{name}");
        }
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
fn k10_sha1_and_md5_are_offered_only_by_name() {
    for role in [Role::Client, Role::Server] {
        for preset in [Preset::hardened(), Preset::default()] {
            let offered = preset.algorithms(role);
            let macs = Joined(&offered.macs_client_to_server).to_string();
            for list in [Joined(&offered.kex).to_string(), macs] {
                for weak in ["sha1", "md5"] {
                    assert!(!list.contains(weak), "{list}");
                }
            }
            assert!(!offered.host_key.iter().any(|one| one.name() == "ssh-rsa"));
        }
    }
    // As the name of a signature algorithm it means SHA-1.
    assert_eq!(SignatureAlgorithm::from_name("ssh-rsa"), None);
    assert_eq!(KeyType::from_name("rsa-sha2-256"), None);
    let group1 = KexAlgorithm::from_name("diffie-hellman-group1-sha1");
    assert_eq!(group1.is_some(), cfg!(feature = "legacy"));
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
    let expected = [Compression::None, Compression::ZlibOpenSsh];
    assert_eq!(of_server.compression_client_to_server, expected);
    assert_eq!(of_server.compression_server_to_client, expected);
    #[cfg(feature = "legacy")]
    {
        let of_client = Preset::legacy().algorithms(Role::Client);
        let all = [
            Compression::None,
            Compression::ZlibOpenSsh,
            Compression::Zlib,
        ];
        assert_eq!(of_client.compression_server_to_client, all);
        assert!(Compression::Zlib.is_before_authentication());
    }
    assert!(!Compression::ZlibOpenSsh.is_before_authentication());
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

/// Or its curve, by the size of which RFC 5656 section 6.2.1 chooses one.
#[test]
fn a_method_names_its_hash() {
    for &kex in KexAlgorithm::ALL {
        // Of ECDH over a curve it goes with the curve (RFC 5656 section 6.2.1).
        let (hash, curve) = match kex.hash_name() {
            "sha256" => ("sha256", "ecdh-sha2-nistp256"),
            "sha384" => ("sha384", "ecdh-sha2-nistp384"),
            "sha512" => ("sha512", "ecdh-sha2-nistp521"),
            other => (other, ""),
        };
        assert!(kex.name().contains(hash) || kex.name() == curve, "{kex}");
    }
}

#[test]
fn a_key_type_prefers_an_algorithm_of_its_own() {
    for &key_type in KeyType::ALL {
        assert_eq!(key_type.preferred_signature().key_type(), key_type);
    }
}
