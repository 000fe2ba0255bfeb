//! What tests go through: the pairs of a cipher and a MAC.

use alloc::vec::Vec;

use crate::algorithm::{CipherAlgorithm, MacAlgorithm};

/// A cipher, and a MAC where it needs one.
pub(crate) type Mode = (CipherAlgorithm, Option<MacAlgorithm>);

/// Every pair that can be negotiated.
pub(crate) fn all() -> Vec<Mode> {
    let mut modes = Vec::new();
    for &cipher in CipherAlgorithm::ALL {
        if cipher.is_aead() {
            modes.push((cipher, None));
        } else {
            modes.extend(MacAlgorithm::ALL.iter().map(|&mac| (cipher, Some(mac))));
        }
    }
    modes
}

/// So few of them that every cipher is there, with a MAC in either order where it needs one, and every
/// MAC with some cipher.
pub(crate) fn sample() -> Vec<Mode> {
    let of = |etm| {
        MacAlgorithm::ALL
            .iter()
            .filter(move |mac| mac.is_etm() == etm)
    };
    let mut orders = [of(false).cycle(), of(true).cycle()];
    let mut modes = Vec::new();
    for &cipher in CipherAlgorithm::ALL {
        if cipher.is_aead() {
            modes.push((cipher, None));
        } else {
            modes.extend(orders.iter_mut().map(|macs| (cipher, macs.next().copied())));
        }
    }
    let missing = |mac: &&MacAlgorithm| !modes.iter().any(|(_, with)| *with == Some(**mac));
    let more: Vec<MacAlgorithm> = MacAlgorithm::ALL.iter().filter(missing).copied().collect();
    modes.extend(
        more.iter()
            .map(|&mac| (CipherAlgorithm::Aes128Ctr, Some(mac))),
    );
    modes
}

#[test]
fn a_sample_has_every_cipher_in_every_order_and_every_mac() {
    let (all, sample) = (all(), sample());
    assert!(sample.iter().all(|mode| all.contains(mode)));
    for &cipher in CipherAlgorithm::ALL {
        let orders = sample.iter().filter(|(c, _)| *c == cipher);
        let orders: Vec<_> = orders
            .map(|(_, mac)| mac.map(MacAlgorithm::is_etm))
            .collect();
        if cipher.is_aead() {
            assert_eq!(orders, [None]);
        } else {
            assert!(orders.contains(&Some(false)) && orders.contains(&Some(true)));
        }
    }
    for &mac in MacAlgorithm::ALL {
        assert!(sample.iter().any(|(_, with)| *with == Some(mac)), "{mac}");
    }
    let (aeads, macs) = (5, MacAlgorithm::ALL.len());
    let others = CipherAlgorithm::ALL.len() - aeads;
    assert_eq!(all.len(), aeads + others * macs);
    assert_eq!(sample.len(), aeads + 2 * others);
}
