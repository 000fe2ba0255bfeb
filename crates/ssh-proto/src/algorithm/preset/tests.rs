//! The default policy, name by name, and what holds of every preset.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;
use crate::algorithm::Algorithm;
use crate::config::{ClientConfig, ServerConfig};

/// What is offered by default.
mod by_default {
    pub(super) const KEX: &[&str] = &[
        "mlkem768x25519-sha256",
        "sntrup761x25519-sha512",
        "sntrup761x25519-sha512@openssh.com",
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
    ];
    /// Behind these, and by clients only: a server would do much work for strangers.
    pub(super) const KEX_OF_CLIENTS: &[&str] = &[
        "diffie-hellman-group-exchange-sha256",
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group18-sha512",
        "diffie-hellman-group14-sha256",
    ];
    pub(super) const SIGNATURES: &[&str] = &[
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ];
    pub(super) const CIPHERS: &[&str] = &[
        "aes256-gcm@openssh.com",
        "aes128-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
        "aes256-ctr",
        "aes192-ctr",
        "aes128-ctr",
    ];
    pub(super) const CIPHERS_WITHOUT_AES: &[&str] = &[
        "chacha20-poly1305@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-gcm@openssh.com",
        "aes256-ctr",
        "aes192-ctr",
        "aes128-ctr",
    ];
    pub(super) const MACS: &[&str] = &[
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "umac-128-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
    ];
    pub(super) const COMPRESSION: &[&str] = &["none"];
}

const ROLES: [Role; 2] = [Role::Client, Role::Server];

#[track_caller]
fn holds<A: Algorithm>(list: &[A], names: &[&str]) {
    let list: Vec<_> = list.iter().map(|one| one.name()).collect();
    assert_eq!(list, names);
}

#[test]
fn the_default_is_the_policy_in_its_order() {
    for role in ROLES {
        for aes in [true, false] {
            let offered = Preset::for_cpu(aes).algorithms(role);
            let of_clients = match role {
                Role::Client => by_default::KEX_OF_CLIENTS,
                Role::Server => &[],
            };
            holds(&offered.kex, &[by_default::KEX, of_clients].concat());
            holds(&offered.host_key, by_default::SIGNATURES);
            let ciphers = match aes {
                true => by_default::CIPHERS,
                false => by_default::CIPHERS_WITHOUT_AES,
            };
            holds(&offered.ciphers_client_to_server, ciphers);
            holds(&offered.ciphers_server_to_client, ciphers);
            holds(&offered.macs_client_to_server, by_default::MACS);
            holds(&offered.macs_server_to_client, by_default::MACS);
            holds(
                &offered.compression_client_to_server,
                by_default::COMPRESSION,
            );
            holds(
                &offered.compression_server_to_client,
                by_default::COMPRESSION,
            );
        }
    }
}

/// The eight lists as names.
fn names(of: &Algorithms) -> Vec<Vec<&'static str>> {
    fn list<A: Algorithm>(of: &[A]) -> Vec<&'static str> {
        of.iter().map(|one| one.name()).collect()
    }
    alloc::vec![
        list(&of.kex),
        list(&of.host_key),
        list(&of.ciphers_client_to_server),
        list(&of.ciphers_server_to_client),
        list(&of.macs_client_to_server),
        list(&of.macs_server_to_client),
        list(&of.compression_client_to_server),
        list(&of.compression_server_to_client),
    ]
}

#[test]
fn each_preset_offers_what_the_stricter_one_does() {
    for role in ROLES {
        let lists: Vec<_> = Preset::ALL
            .iter()
            .map(|preset| names(&preset.algorithms(role)))
            .collect();
        for pair in lists.windows(2) {
            for (stricter, wider) in pair[0].iter().zip(&pair[1]) {
                assert!(!stricter.is_empty());
                assert!(stricter.iter().all(|name| wider.contains(name)));
            }
        }
    }
}

#[test]
fn k9_no_server_offers_finite_field_groups_unasked() {
    for preset in [Preset::hardened(), Preset::default()] {
        for kex in preset.algorithms(Role::Server).kex {
            assert!(!kex.name().starts_with("diffie-hellman"), "{kex}");
            assert!(!kex.name().starts_with("rsa"), "{kex}");
        }
    }
}

#[test]
fn the_hardened_preset_is_what_has_no_known_weakness() {
    fn recommended<A: Algorithm>(list: &[A]) {
        let all = A::ALL.iter().copied();
        let expected: Vec<_> = all
            .filter(|one| one.standing() == Standing::Recommended)
            .collect();
        assert_eq!(list, expected);
        for one in list {
            for weak in ["sha1", "md5", "cbc", "arcfour", "-96", "umac-64", "3des"] {
                assert!(!one.name().contains(weak), "{one}");
            }
            assert_eq!(one.feature(), None, "{one}");
        }
    }
    for role in ROLES {
        let offered = Preset::hardened().algorithms(role);
        recommended(&offered.kex);
        recommended(&offered.host_key);
        recommended(&offered.ciphers_client_to_server);
        recommended(&offered.ciphers_server_to_client);
        recommended(&offered.macs_client_to_server);
        recommended(&offered.macs_server_to_client);
        recommended(&offered.compression_client_to_server);
        recommended(&offered.compression_server_to_client);
        assert!(offered.macs_client_to_server.iter().all(|mac| mac.is_etm()));
    }
}

#[test]
fn the_preset_legacy_holds_everything_once_and_the_weak_last() {
    fn check<A: Algorithm>(list: &[A], role: Role) {
        let mut sorted = list.to_vec();
        sorted.sort();
        let all = A::ALL.iter().copied();
        let expected: Vec<_> = all
            .filter(|one| role == Role::Client || one.standing() != Standing::DeprecatedToClients)
            .collect();
        assert_eq!(sorted, expected);
        assert!(list.is_sorted_by_key(|one| one.standing().is_deprecated()));
    }
    for role in ROLES {
        let offered = Preset::legacy().algorithms(role);
        check(&offered.kex, role);
        check(&offered.host_key, role);
        check(&offered.ciphers_client_to_server, role);
        check(&offered.ciphers_server_to_client, role);
        check(&offered.macs_client_to_server, role);
        check(&offered.macs_server_to_client, role);
        check(&offered.compression_client_to_server, role);
        check(&offered.compression_server_to_client, role);
    }
}

#[test]
fn a_standing_says_which_presets_offer_it() {
    use Standing::*;
    let offers = |preset: Preset, role, standing| Lists { preset, role }.offers(standing);
    let rows = [
        // standing, hardened, default, legacy; each of a client and of a server.
        (Recommended, [true, true, true, true, true, true]),
        (Acceptable, [false, false, true, true, true, true]),
        (AcceptableToClients, [false, false, true, false, true, true]),
        (OnRequest, [false, false, false, false, true, true]),
        (Deprecated, [false, false, false, false, true, true]),
        (
            DeprecatedToClients,
            [false, false, false, false, true, false],
        ),
    ];
    for (standing, expected) in rows {
        let got: Vec<_> = Preset::ALL
            .iter()
            .flat_map(|preset| ROLES.map(|role| offers(*preset, role, standing)))
            .collect();
        assert_eq!(got, expected, "{standing}");
    }
}

#[test]
fn configurations_are_made_from_presets() {
    for &preset in Preset::ALL {
        let strict = preset == Preset::hardened();
        let mut client = ClientConfig::from(preset);
        assert_eq!(client.transport.algorithms, preset.algorithms(Role::Client));
        assert_eq!(client.transport.require_strict_kex, strict);
        let mut server = ServerConfig::from(preset);
        assert_eq!(server.transport.algorithms, preset.algorithms(Role::Server));
        assert_eq!(server.transport.require_strict_kex, strict);
        assert_eq!(server.user_signatures, preset.signatures(Role::Server));
        // What was set otherwise stays.
        client.transport.guess = true;
        server.banner = "hello".into();
        client.set_preset(Preset::hardened());
        server.set_preset(Preset::hardened());
        assert!(client.transport.require_strict_kex && client.transport.guess);
        assert!(server.transport.require_strict_kex);
        assert_eq!(server.banner, "hello");
        client.set_preset(preset);
        assert_eq!(client.transport.require_strict_kex, strict);
    }
    let default = format!("{:?}", ClientConfig::from(Preset::default()));
    assert_eq!(default, format!("{:?}", ClientConfig::default()));
    let default = format!("{:?}", ServerConfig::from(Preset::default()));
    assert_eq!(default, format!("{:?}", ServerConfig::default()));
}

#[test]
fn what_was_said_of_the_cpu_holds() {
    for preset in Preset::ALL {
        let first = |preset: Preset| preset.algorithms(Role::Client).ciphers_client_to_server[0];
        let slow = CipherAlgorithm::ChaCha20Poly1305;
        assert_ne!(first(*preset), slow);
        assert_ne!(first(preset.or_cpu(true)), slow);
        assert_eq!(first(preset.or_cpu(false)), slow);
        assert_eq!(first(preset.on_cpu(false).or_cpu(true)), slow);
        assert_ne!(first(preset.on_cpu(true).or_cpu(false)), slow);
        assert_eq!(first(preset.on_cpu(true).on_cpu(false)), slow);
    }
}

#[test]
fn presets_have_names() {
    for preset in Preset::ALL {
        assert_eq!(preset.name().parse(), Ok(*preset));
        assert_eq!(preset.on_cpu(false).to_string(), preset.name());
    }
    let error = "Default".parse::<Preset>().unwrap_err().to_string();
    for preset in Preset::ALL {
        assert!(error.contains(preset.name()), "{error}");
    }
    assert!(error.contains("\"Default\""), "{error}");
}
