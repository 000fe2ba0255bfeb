//! AES in counter mode (RFC 4344 section 4) with HMAC, in both orders.
//!
//! ```text
//!   encrypt-and-MAC (RFC 4253 6.4)   everything is encrypted; MAC over seq || plaintext
//!   encrypt-then-MAC (...-etm@)      the length is not;       MAC over seq || length || ciphertext
//! ```
//!
//! The counter runs on from packet to packet. In the first order the length can only be learnt by
//! decrypting a block, which moves the counter: the block is therefore kept here, as a copy, until
//! the packet is opened. What is delivered is exactly what the MAC was computed over.

use alloc::boxed::Box;

use ctr::{
    Ctr128BE,
    cipher::{Iv, Key, KeyIvInit, StreamCipher},
};
use zeroize::Zeroizing;

use super::{CryptoError, clear_length};
use crate::{
    algorithm::{CipherAlgorithm, MacAlgorithm},
    crypto::{mac::HmacKey, on_burnt_stack},
};

const BLOCK_LEN: usize = 16;

/// The cipher and the MAC of one direction.
pub(super) struct CtrKey {
    cipher: Aes,
    mac: HmacKey,
    tag_len: usize,
    order: Order,
    /// Plaintext of the first block of the packet that is next to be opened, if it has been asked for.
    first: Zeroizing<[u8; BLOCK_LEN]>,
    has_first: bool,
}

#[derive(Clone, Copy)]
enum Order {
    EncryptAndMac,
    EncryptThenMac,
}

impl CtrKey {
    pub(super) fn new(
        cipher: CipherAlgorithm,
        mac: Option<MacAlgorithm>,
        key: &[u8],
        iv: &[u8],
        mac_key: &[u8],
    ) -> Result<Self, CryptoError> {
        let mac = mac
            .filter(|mac| mac.key_len() == mac_key.len())
            .ok_or(CryptoError::Internal)?;
        Ok(Self {
            cipher: Aes::new(cipher, key, iv)?,
            mac: HmacKey::new(mac.hash(), mac_key)?,
            tag_len: mac.tag_len(),
            order: if mac.is_etm() {
                Order::EncryptThenMac
            } else {
                Order::EncryptAndMac
            },
            first: Zeroizing::new([0; BLOCK_LEN]),
            has_first: false,
        })
    }

    //= rfc4253#section-6.4
    //# mac = MAC(key, sequence_number || unencrypted_packet)
    pub(super) fn seal(&mut self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        let (text, tag) = split(packet, self.tag_len).ok_or(CryptoError::Internal)?;
        let seq = seq.to_be_bytes();
        let made = match self.order {
            Order::EncryptAndMac => {
                let made = self.mac.tag(&[&seq, text]);
                self.cipher.apply(text)?;
                made
            }
            Order::EncryptThenMac => {
                let (_, body) = text.split_at_mut_checked(4).ok_or(CryptoError::Internal)?;
                self.cipher.apply(body)?;
                self.mac.tag(&[&seq, text])
            }
        };
        tag.copy_from_slice(made.as_ref());
        Ok(())
    }

    pub(super) fn packet_length(&mut self, first: &[u8]) -> Result<u32, CryptoError> {
        match self.order {
            Order::EncryptThenMac => clear_length(first),
            Order::EncryptAndMac => {
                let block = first.first_chunk().ok_or(CryptoError::Internal)?;
                clear_length(self.first_block(block)?.as_ref())
            }
        }
    }

    pub(super) fn open(&mut self, seq: u32, packet: &mut [u8]) -> Result<(), CryptoError> {
        let (text, tag) = split(packet, self.tag_len).ok_or(CryptoError::Integrity)?;
        let seq = seq.to_be_bytes();
        match self.order {
            Order::EncryptAndMac => {
                let (block, body) = text.split_first_chunk_mut().ok_or(CryptoError::Integrity)?;
                *block = **self.first_block(block)?;
                self.has_first = false;
                self.cipher.apply(body)?;
                self.mac.verify(&[&seq, text], tag)
            }
            Order::EncryptThenMac => {
                self.mac.verify(&[&seq, text], tag)?;
                let (_, body) = text.split_at_mut_checked(4).ok_or(CryptoError::Integrity)?;
                self.cipher.apply(body)
            }
        }
    }

    /// Decrypts and hashes, for the time that it takes.
    pub(super) fn waste(&mut self, bytes: &mut [u8]) {
        let _exhausted = self.cipher.apply(bytes);
        core::hint::black_box(self.mac.tag(&[bytes]));
    }

    /// The plaintext of the packet's first block, decrypted once.
    fn first_block(
        &mut self,
        ciphertext: &[u8; BLOCK_LEN],
    ) -> Result<&Zeroizing<[u8; BLOCK_LEN]>, CryptoError> {
        if !self.has_first {
            *self.first = *ciphertext;
            self.cipher.apply(self.first.as_mut())?;
            self.has_first = true;
        }
        Ok(&self.first)
    }
}

/// The packet without its tag, and the tag.
fn split(packet: &mut [u8], tag_len: usize) -> Option<(&mut [u8], &mut [u8])> {
    let text_len = packet.len().checked_sub(tag_len)?;
    packet.split_at_mut_checked(text_len)
}

/// The keystream, at its present position. Boxed, because a short key would otherwise leave a gap, and
/// what was in the gap on the stack would come along unwiped.
///
/// The crates wipe the key schedule that is in use. It lies in a union, and what is in the rest of that
/// came from the stack as well, where the key had been: so all of it is overwritten when it is dropped.
enum Aes {
    Aes128(Box<Ctr128BE<aes::Aes128>>),
    Aes192(Box<Ctr128BE<aes::Aes192>>),
    Aes256(Box<Ctr128BE<aes::Aes256>>),
}

impl Aes {
    fn new(cipher: CipherAlgorithm, key: &[u8], iv: &[u8]) -> Result<Self, CryptoError> {
        let refused = |_| CryptoError::Internal;
        Ok(match cipher {
            CipherAlgorithm::Aes128Ctr => {
                Self::Aes128(Ctr128BE::new_from_slices(key, iv).map_err(refused)?.into())
            }
            CipherAlgorithm::Aes192Ctr => {
                Self::Aes192(Ctr128BE::new_from_slices(key, iv).map_err(refused)?.into())
            }
            CipherAlgorithm::Aes256Ctr => {
                Self::Aes256(Ctr128BE::new_from_slices(key, iv).map_err(refused)?.into())
            }
            _ => return Err(CryptoError::Internal),
        })
    }

    fn overwrite<C: KeyIvInit>(stream: &mut C) {
        let mut nothing = C::new(&Key::<C>::default(), &Iv::<C>::default());
        // Exchanged and not assigned: an assignment may be made in place, around the gap.
        core::mem::swap(stream, &mut nothing);
        core::hint::black_box(&mut nothing);
    }

    /// Encrypts or decrypts, which is the same, and moves on.
    fn apply(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        match self {
            Self::Aes128(stream) => stream.try_apply_keystream(bytes),
            Self::Aes192(stream) => stream.try_apply_keystream(bytes),
            Self::Aes256(stream) => stream.try_apply_keystream(bytes),
        }
        .map_err(|_| CryptoError::KeyExhausted)
    }
}

impl Drop for Aes {
    fn drop(&mut self) {
        on_burnt_stack(|| match self {
            Self::Aes128(stream) => Self::overwrite(&mut **stream),
            Self::Aes192(stream) => Self::overwrite(&mut **stream),
            Self::Aes256(stream) => Self::overwrite(&mut **stream),
        });
    }
}

#[cfg(test)]
mod tests {
    use ::ctr::cipher::{BlockCipherEncrypt as _, KeyInit as _};

    use super::*;

    /// NIST SP 800-38A, F.5.1, F.5.3 and F.5.5, in one piece and in pieces.
    #[test]
    fn sp800_38a_vectors() {
        let iv = hex::decode("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").unwrap();
        let plain = hex::decode(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
             30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
        )
        .unwrap();
        for (cipher, key, expected) in [
            (
                CipherAlgorithm::Aes128Ctr,
                "2b7e151628aed2a6abf7158809cf4f3c",
                "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff\
                 5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
            ),
            (
                CipherAlgorithm::Aes192Ctr,
                "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
                "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94\
                 1e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050",
            ),
            (
                CipherAlgorithm::Aes256Ctr,
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5\
                 2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
            ),
        ] {
            for cut in [0, 1, 16, 17, 40] {
                let mut stream = Aes::new(cipher, &hex::decode(key).unwrap(), &iv).unwrap();
                let mut bytes = plain.clone();
                let (front, back) = bytes.split_at_mut(cut);
                stream.apply(front).unwrap();
                stream.apply(back).unwrap();
                assert_eq!(hex::encode(bytes), expected, "{cipher}");
            }
        }
    }

    /// The counter is all 16 bytes (RFC 4344 section 4): it carries through every one of them.
    #[test]
    fn the_counter_is_128_bits_wide() {
        for (iv, next) in [
            (u128::from(u64::MAX), 1u128 << 64),
            (u128::MAX, 0),
            (0x00ff, 0x0100),
        ] {
            let key = [9; 16];
            let mut stream = Aes::new(CipherAlgorithm::Aes128Ctr, &key, &iv.to_be_bytes()).unwrap();
            let mut bytes = [0; 32];
            stream.apply(&mut bytes).unwrap();
            let mut expected = next.to_be_bytes().into();
            aes::Aes128::new(&key.into()).encrypt_block(&mut expected);
            assert_eq!(bytes[16..], expected[..]);
        }
    }
}
