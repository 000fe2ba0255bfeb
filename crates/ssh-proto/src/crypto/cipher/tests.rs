//! Every mode against the same rules.

use alloc::{format, vec, vec::Vec};

use super::modes::{all, sample};
use super::*;
use crate::crypto::mac::MacKey;

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
    for (cipher, mac) in sample() {
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

/// Seals one packet of `text` and checks what comes out.
fn sealed(cipher: CipherAlgorithm, mac: Option<MacAlgorithm>, seq: u32, text: &[u8]) -> Vec<u8> {
    let mut packet = text.to_vec();
    keys(cipher, mac).0.seal(seq, &mut packet).unwrap();
    packet
}

/// Against another implementation of GCM, nonces counted by hand, under both names of each.
#[test]
fn p7_gcm_packets_are_those_of_rfc5647() {
    use aes_gcm::{AeadInOut as _, Aes128Gcm, Aes256Gcm, KeyInit as _};

    for cipher in [
        CipherAlgorithm::Aes128Gcm,
        CipherAlgorithm::Aes256Gcm,
        CipherAlgorithm::AeadAes128Gcm,
        CipherAlgorithm::AeadAes256Gcm,
    ] {
        let (mut sealing, _) = keys(cipher, None);
        let key = bytes(cipher.key_len(), 1);
        let iv: [u8; 12] = bytes(12, 2).try_into().unwrap();
        let counter = u64::from_be_bytes(iv[4..].try_into().unwrap());
        for i in 0..4 {
            let text = plain(&sealing, &bytes(40, 7));
            let mut packet = text.clone();
            sealing.seal(99, &mut packet).unwrap();

            let mut nonce = iv;
            nonce[4..].copy_from_slice(&(counter + i).to_be_bytes());
            let mut expected = text.clone();
            let n = expected.len() - 16;
            let (length, body) = expected[..n].split_at_mut(4);
            let tag = match cipher {
                CipherAlgorithm::Aes128Gcm | CipherAlgorithm::AeadAes128Gcm => {
                    Aes128Gcm::new_from_slice(&key)
                        .unwrap()
                        .encrypt_inout_detached(&nonce.into(), length, body.into())
                }
                _ => Aes256Gcm::new_from_slice(&key)
                    .unwrap()
                    .encrypt_inout_detached(&nonce.into(), length, body.into()),
            };
            expected[n..].copy_from_slice(&tag.unwrap());
            assert_eq!(packet, expected);
            assert_eq!(packet[..4], text[..4], "the length is in clear");
        }
    }
}

/// Against the construct of another library, with bodies about the blocks of cipher and MAC.
#[test]
fn chacha_packets_are_those_of_openssh() {
    use ring::aead::chacha20_poly1305_openssh as other;

    let cipher = CipherAlgorithm::ChaCha20Poly1305;
    let key: [u8; 64] = bytes(64, 1).try_into().unwrap();
    let (theirs, opens) = (other::SealingKey::new(&key), other::OpeningKey::new(&key));
    let (mut ours, mut opening) = keys(cipher, None);
    for seq in [0, 1, 0x0102_0304, u32::MAX] {
        for len in (0..300).chain([1000, 4096, 32 * 1024, 250_000]) {
            let text = [&bytes(4 + len, seq as u8)[..], &[0; 16]].concat();
            let mut expected = text.clone();
            let (body, tag) = expected.split_last_chunk_mut().unwrap();
            theirs.seal_in_place(seq, body, tag);
            let mut packet = text.clone();
            ours.seal(seq, &mut packet).unwrap();
            assert!(packet == expected, "{len}");

            let length = opens.decrypt_packet_length(seq, packet[..4].try_into().unwrap());
            assert_eq!(length, text[..4]);
            opening.open(seq, &mut packet).unwrap();
            assert!(packet[..4 + len] == text[..4 + len], "{len}");
        }
    }
}

/// What is encrypted, and what the MAC covers, in both orders; put together by hand of the same
/// cipher, whose known answers are elsewhere.
#[test]
fn packets_with_a_mac_are_those_of_rfc4253_and_etm() {
    for (cipher, mac) in all() {
        let Some(mac) = mac else { continue };
        let seq = 0x0a0b_0c0d_u32;
        let text = plain(&keys(cipher, Some(mac)).0, &bytes(77, 7));
        let key = MacKey::new(mac, &bytes(mac.key_len(), 3)).unwrap();
        let (secret, iv) = (bytes(cipher.key_len(), 1), bytes(cipher.iv_len(), 2));
        let mut stream = bare::Bare::new(cipher, Direction::Sealing, &secret, &iv).unwrap();
        let mut expected = text.clone();
        let n = expected.len() - mac.tag_len();
        let tag = if mac.is_etm() {
            stream.apply(&mut expected[4..n]).unwrap();
            key.tag(seq, &[&expected[..n]])
        } else {
            let tag = key.tag(seq, &[&expected[..n]]);
            stream.apply(&mut expected[..n]).unwrap();
            tag
        };
        expected[n..].copy_from_slice(tag.as_ref());
        assert_eq!(
            sealed(cipher, Some(mac), seq, &text),
            expected,
            "{cipher} {mac}"
        );
        let mut opened = expected;
        keys(cipher, Some(mac)).1.open(seq, &mut opened).unwrap();
        assert_eq!(opened[..n], text[..n], "{cipher} {mac}");
    }
}

/// Opens, as a peer's packet is opened; whether the length was asked for first must not matter.
fn opens(key: &mut OpeningKey, ask: bool, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
    if ask && packet.len() >= key.first_len() {
        let first = packet[..key.first_len()].to_vec();
        key.packet_length(seq, &first)?;
    }
    let opened = key.open(seq, packet);
    assert_eq!(
        opened.is_err(),
        packet.iter().all(|&b| b == 0),
        "what does not verify is wiped, and nothing else"
    );
    opened
}

#[test]
fn p5_every_bit_flipped() {
    for (cipher, mac) in sample() {
        let text = plain(&keys(cipher, mac).0, b"attack at dawn, or not");
        let good = sealed(cipher, mac, 3, &text);
        assert_eq!(
            opens(&mut keys(cipher, mac).1, true, 3, &mut good.clone()),
            Ok(())
        );
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let ask = bit % 3 != 0;
            assert_eq!(
                opens(&mut keys(cipher, mac).1, ask, 3, &mut bad),
                Err(CryptoError::Integrity),
                "{cipher} {mac:?} bit {bit}"
            );
        }
    }
}

#[test]
fn p5_an_altered_packet_fails_after_good_ones_too() {
    for (cipher, mac) in sample() {
        let (mut sealing, mut opening) = keys(cipher, mac);
        for seq in 0..3 {
            let mut packet = plain(&sealing, &bytes(50, 1));
            sealing.seal(seq, &mut packet).unwrap();
            let last = packet.len() - 1;
            if seq == 2 {
                packet[last] ^= 1;
            }
            let opened = opens(&mut opening, true, seq, &mut packet);
            assert_eq!(opened.is_ok(), seq < 2);
        }
    }
}

#[test]
fn p7_truncated_and_extended_packets_are_refused() {
    for (cipher, mac) in sample() {
        let text = plain(&keys(cipher, mac).0, b"some text");
        let good = sealed(cipher, mac, 3, &text);
        for n in 1..good.len() {
            let mut cut = good[..n].to_vec();
            let opened = opens(&mut keys(cipher, mac).1, n % 2 == 0, 3, &mut cut);
            assert_eq!(opened, Err(CryptoError::Integrity), "{cipher} {mac:?} {n}");
        }
        let mut long = good.clone();
        long.push(0);
        assert!(opens(&mut keys(cipher, mac).1, true, 3, &mut long).is_err());
        assert!(keys(cipher, mac).1.open(3, &mut []).is_err());
    }
}

#[test]
fn replayed_reordered_and_renumbered_packets_are_refused() {
    for (cipher, mac) in sample() {
        let (mut sealing, mut opening) = keys(cipher, mac);
        let mut packets = Vec::new();
        for seq in 0..3 {
            let mut packet = plain(&sealing, &bytes(20, seq as u8));
            sealing.seal(seq, &mut packet).unwrap();
            packets.push(packet);
        }
        let mut second_first = packets[1].clone();
        assert!(opens(&mut keys(cipher, mac).1, true, 0, &mut second_first).is_err());
        assert!(opens(&mut opening, true, 0, &mut packets[0].clone()).is_ok());
        assert!(opens(&mut opening, true, 1, &mut packets[0].clone()).is_err());
    }
}

/// A peer that has the keys may send what it likes: it is authenticated, and the caller judges it.
#[test]
fn p2_authenticated_packets_of_no_length_open_without_panic() {
    for (cipher, mac) in sample() {
        for len in 0..6u32 {
            let (mut sealing, mut opening) = keys(cipher, mac);
            let mut packet = len.to_be_bytes().to_vec();
            packet.extend(vec![0x55; len as usize]);
            packet.extend(vec![0; sealing.tag_len()]);
            let text = packet.clone();
            sealing.seal_anything(0, &mut packet).unwrap();
            let opened = opens(&mut opening, false, 0, &mut packet);
            let (size, block) = (4 + len as usize, cipher.block_len());
            let encrypted = size - if sealing.length_is_aligned() { 0 } else { 4 };
            let parted = cipher.mode() == CipherMode::Cbc && !encrypted.is_multiple_of(block);
            if parted || sealing.length_is_aligned() && size < block {
                // Less than the block that the length is decrypted with, or a part of one.
                assert_eq!(opened, Err(CryptoError::Integrity));
            } else {
                assert_eq!(opened, Ok(()));
                assert_eq!(packet[..4 + len as usize], text[..4 + len as usize]);
            }
        }
    }
}

#[test]
fn too_short_a_buffer_is_an_error_of_ours() {
    for (cipher, mac) in sample() {
        let (mut sealing, mut opening) = keys(cipher, mac);
        assert_eq!(sealing.seal(0, &mut []), Err(CryptoError::Internal));
        let mut tag_only = vec![1; sealing.tag_len() - 1];
        assert_eq!(sealing.seal(0, &mut tag_only), Err(CryptoError::Internal));
        assert_eq!(opening.packet_length(0, &[]), Err(CryptoError::Internal));
        assert_eq!(
            opening.packet_length(0, &[0; 3]),
            Err(CryptoError::Internal)
        );
    }
}

#[test]
fn keys_of_the_wrong_length_and_wrong_pairs_are_refused() {
    for (cipher, mac) in sample() {
        let lens = [
            cipher.key_len(),
            cipher.iv_len(),
            mac.map_or(0, |mac| mac.key_len()),
        ];
        for wrong in 0..3 {
            for delta in [-1isize, 1] {
                let mut lens = lens;
                if lens[wrong] == 0 {
                    continue;
                }
                lens[wrong] = lens[wrong].wrapping_add_signed(delta);
                let [key, iv, mac_key] = lens.map(|n| vec![1; n]);
                let sealing = SealingKey::new(cipher, mac, &key, &iv, &mac_key);
                let opening = OpeningKey::new(cipher, mac, &key, &iv, &mac_key);
                assert_eq!(
                    sealing.err(),
                    Some(CryptoError::Internal),
                    "{cipher} {wrong}"
                );
                assert_eq!(
                    opening.err(),
                    Some(CryptoError::Internal),
                    "{cipher} {wrong}"
                );
            }
        }
        let other = match mac {
            None => Some(MacAlgorithm::HmacSha256),
            Some(_) => None,
        };
        let [key, iv, mac_key] = lens.map(|n| vec![1; n]);
        assert!(SealingKey::new(cipher, other, &key, &iv, &mac_key).is_err());
    }
}

/// A cipher of eight bytes a block, and what its length is a multiple of.
#[test]
fn layouts() {
    for (cipher, mac) in all() {
        let (sealing, opening) = keys(cipher, mac);
        let encrypt_and_mac = mac.is_some_and(|mac| !mac.is_etm());
        let first = if encrypt_and_mac {
            cipher.block_len()
        } else {
            4
        };
        assert_eq!((sealing.cipher(), opening.cipher()), (cipher, cipher));
        assert_eq!(opening.first_len(), first, "{cipher} {mac:?}");
        assert_eq!(opening.is_encrypt_and_mac(), encrypt_and_mac);
        assert_eq!(opening.block_len(), cipher.block_len());
    }
}

#[test]
fn q8_nothing_of_a_key_is_printed() {
    for (cipher, mac) in sample() {
        let (sealing, opening) = keys(cipher, mac);
        for text in [format!("{sealing:?}"), format!("{opening:?}")] {
            assert!(text.len() < 140 && text.contains("Key(Layout"), "{text}");
        }
    }
}
