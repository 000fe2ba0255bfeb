//! Every mode against the same rules.

use alloc::{vec, vec::Vec};

use super::*;

/// Every combination of cipher and MAC that can be negotiated.
fn modes() -> Vec<(CipherAlgorithm, Option<MacAlgorithm>)> {
    let mut modes = Vec::new();
    for &cipher in CipherAlgorithm::ALL {
        if cipher.is_aead() {
            modes.push((cipher, None));
        } else {
            modes.extend(MacAlgorithm::ALL.iter().map(|&mac| (cipher, Some(mac))));
        }
    }
    assert_eq!(modes.len(), 3 + 3 * 4);
    modes
}

fn bytes(n: usize, salt: u8) -> Vec<u8> {
    (0..n).map(|i| (i as u8).wrapping_mul(31) ^ salt).collect()
}

fn keys(cipher: CipherAlgorithm, mac: Option<MacAlgorithm>) -> (SealingKey, OpeningKey) {
    let key = bytes(cipher.key_len(), 1);
    let iv = bytes(cipher.iv_len(), 2);
    let mac_key = bytes(mac.map_or(0, |mac| mac.key_len()), 3);
    (
        SealingKey::new(cipher, mac, &key, &iv, &mac_key).unwrap(),
        OpeningKey::new(cipher, mac, &key, &iv, &mac_key).unwrap(),
    )
}

/// A packet with its length, in plain text, and room for the tag.
fn plain(key: &SealingKey, payload: &[u8]) -> Vec<u8> {
    let aligned = 1 + payload.len() + if key.length_is_aligned() { 4 } else { 0 };
    let mut padding = key.block_len() - aligned % key.block_len();
    if padding < 4 {
        padding += key.block_len();
    }
    let mut packet = Vec::new();
    packet.extend((1 + payload.len() as u32 + padding as u32).to_be_bytes());
    packet.push(padding as u8);
    packet.extend(payload);
    packet.extend(vec![0xaa; padding]);
    packet.extend(vec![0; key.tag_len()]);
    packet
}

#[test]
fn sealed_packets_open_in_every_mode() {
    for (cipher, mac) in modes() {
        let (mut sealing, mut opening) = keys(cipher, mac);
        assert_eq!(sealing.block_len(), opening.block_len());
        assert_eq!(sealing.tag_len(), opening.tag_len());
        assert_eq!(sealing.length_is_aligned(), opening.length_is_aligned());
        for (seq, len) in [0, 1, 3, 15, 16, 17, 100, 1000, 32 * 1024, 5]
            .into_iter()
            .enumerate()
        {
            let seq = u32::MAX - 4 + seq as u32 % 4;
            let text = plain(&sealing, &bytes(len, 9));
            let mut packet = text.clone();
            sealing.seal(seq, &mut packet).unwrap();
            let sealed = packet.clone();

            let first = &packet[..opening.first_len()];
            let length = opening.packet_length(seq, first).unwrap();
            assert_eq!(length as usize, packet.len() - 4 - opening.tag_len());
            assert_eq!(opening.packet_length(seq, first), Ok(length), "asked again");
            assert_eq!(packet, sealed, "asking changes nothing");

            opening.open(seq, &mut packet).unwrap();
            let n = text.len() - sealing.tag_len();
            assert_eq!(packet[..n], text[..n], "{cipher} {mac:?}");
            assert_ne!(sealed[5..n], text[5..n]);
        }
    }
}
