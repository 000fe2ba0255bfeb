//! Peers that have only what is weak, and presets that ask for more: row K10.

use ssh_proto::algorithm::Preset;
use ssh_proto::error::{Error, KeyExchangeError};
use ssh_proto::message::DisconnectReason;
use ssh_testkit::raw::{Bench, Stage, Subject};

const KEX_FAILED: DisconnectReason = DisconnectReason::KEY_EXCHANGE_FAILED;

both_roles! {
    k10_a_peer_that_knows_nothing_but_what_is_weak => k10;
    the_hardened_preset_refuses_peers_without_strict_key_exchange => hardened;
}

/// What old devices offer, slot by slot.
const WEAK: [(usize, &str); 8] = [
    (
        0,
        "diffie-hellman-group1-sha1,diffie-hellman-group14-sha1,\
         diffie-hellman-group-exchange-sha1,rsa1024-sha1",
    ),
    (1, "ssh-rsa,ssh-dss"),
    (
        2,
        "aes128-cbc,3des-cbc,blowfish-cbc,cast128-cbc,arcfour,none",
    ),
    (3, "aes256-cbc,3des-ctr,arcfour128,arcfour256"),
    (
        4,
        "hmac-sha1,hmac-sha1-96,hmac-md5,hmac-md5-96,hmac-ripemd160,umac-64@openssh.com,none",
    ),
    (
        5,
        "hmac-sha1-etm@openssh.com,hmac-md5-etm@openssh.com,umac-64-etm@openssh.com",
    ),
    (6, "zlib"),
    (7, "zlib"),
];

/// Of the raw peer's suite every preset has everything.
fn with<P: Subject>(preset: Preset, strict: bool) -> Bench<P> {
    let mut config = P::config();
    let transport = P::transport(&mut config);
    transport.algorithms = preset.algorithms(P::ROLE);
    transport.require_strict_kex = preset.requires_strict_kex();
    Bench::with(config, strict)
}

fn k10<P: Subject>() {
    for preset in [Preset::hardened(), Preset::default()] {
        for (slot, list) in WEAK {
            let mut bench = with::<P>(preset, true).up_to(Stage::KexInit);
            for macs in [4, 5] {
                bench.raw.offer.lists[macs] = "hmac-sha2-256-etm@openssh.com".to_owned();
            }
            if matches!(slot, 4 | 5) {
                bench.raw.offer.lists[slot - 2] = "aes256-ctr".to_owned();
            }
            bench.raw.offer.lists[slot] = if slot == 0 {
                let marker = bench.raw.offer.lists[0].rsplit(',').next();
                format!(
                    "{list},{}",
                    marker.expect("the marker of strict key exchange")
                )
            } else {
                list.to_owned()
            };
            bench.proper(Stage::KexInit);
            bench.turn();
            let incompatible = |e: &Error| {
                let Error::Incompatible(report) = e else {
                    return false;
                };
                report.failures().count() == 1
                    && report
                        .failures()
                        .all(|failed| failed.theirs.starts_with(list))
            };
            bench.refused(&(preset, slot), incompatible, KEX_FAILED);
            // Nothing but KEXINIT and the end has left.
            assert_eq!(bench.raw.numbers(0), [20, 1], "{preset} {slot}");
        }
    }
}

fn hardened<P: Subject>() {
    let strict = |e: &Error| matches!(e, Error::KeyExchange(KeyExchangeError::StrictRequired));
    let mut bench = with::<P>(Preset::hardened(), false).up_to(Stage::Method);
    bench.refused(&"hardened", strict, KEX_FAILED);
    for (preset, is_strict) in [(Preset::hardened(), true), (Preset::default(), false)] {
        let bench = with::<P>(preset, is_strict).up_to(Stage::Connected);
        let agreed = bench.peer.negotiated().expect("agreed");
        assert_eq!(agreed.strict_kex, is_strict);
        assert_eq!(agreed.deprecated().next(), None);
    }
}
