//! MACs of packets: HMAC (RFC 2104, RFC 6668) and UMAC, each a keyed state that is copied or begun
//! anew for every packet.
//!
//! ```text
//!   HMAC   tag = the beginning of HMAC(key, seq || packet)        seq: 4 bytes
//!   UMAC   tag = UMAC(key, nonce seq, packet)                     seq: 8 bytes
//! ```
//!
//! Parts are taken one after the other, so that nobody has to put them together first. A tag is
//! compared as a whole and in constant time.

mod umac;
#[cfg(test)]
mod vectors;

use alloc::boxed::Box;
use core::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use self::umac::Umac;
use super::{CryptoError, hash::Digest, overwrite};
use crate::algorithm::MacAlgorithm;

/// What a MAC is computed with; how much of the result is sent, and over what, is the
/// [`MacAlgorithm`]'s affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MacFunction {
    HmacSha1,
    HmacSha256,
    HmacSha512,
    Umac128,
    #[cfg(feature = "legacy")]
    HmacMd5,
    #[cfg(feature = "legacy")]
    HmacRipemd160,
    #[cfg(feature = "legacy")]
    Umac64,
}

impl MacFunction {
    /// Bytes of key. Of HMAC it is the size of the hash (RFC 4253 section 6.4).
    pub(crate) const fn key_len(self) -> usize {
        match self {
            Self::HmacSha1 => 20,
            Self::HmacSha256 => 32,
            Self::HmacSha512 => 64,
            Self::Umac128 => umac::KEY_LEN,
            #[cfg(feature = "legacy")]
            Self::HmacMd5 => 16,
            #[cfg(feature = "legacy")]
            Self::HmacRipemd160 => 20,
            #[cfg(feature = "legacy")]
            Self::Umac64 => umac::KEY_LEN,
        }
    }
}

/// The key of a MAC, already absorbed. Wiped when dropped.
pub(crate) struct MacKey {
    state: State,
    tag_len: usize,
}

/// Boxed, so that the smaller ones leave no gap into which something of the stack could come along.
enum State {
    HmacSha1(Box<Hmac<sha1::Sha1>>),
    HmacSha256(Box<Hmac<sha2::Sha256>>),
    HmacSha512(Box<Hmac<sha2::Sha512>>),
    Umac128(Box<Umac<4>>),
    #[cfg(feature = "legacy")]
    HmacMd5(Box<Hmac<md5::Md5>>),
    #[cfg(feature = "legacy")]
    HmacRipemd160(Box<Hmac<ripemd::Ripemd160>>),
    #[cfg(feature = "legacy")]
    Umac64(Box<Umac<2>>),
}

/// `$work` with `$mac` as the running MAC of packet `$seq`, whichever it is.
macro_rules! running {
    ($state:expr, $seq:expr, $mac:ident => $work:expr) => {
        match $state {
            State::HmacSha1(key) => {
                let $mac = hmac(&**key, $seq);
                $work
            }
            State::HmacSha256(key) => {
                let $mac = hmac(&**key, $seq);
                $work
            }
            State::HmacSha512(key) => {
                let $mac = hmac(&**key, $seq);
                $work
            }
            State::Umac128(key) => {
                let $mac = key.begin($seq.into());
                $work
            }
            #[cfg(feature = "legacy")]
            State::HmacMd5(key) => {
                let $mac = hmac(&**key, $seq);
                $work
            }
            #[cfg(feature = "legacy")]
            State::HmacRipemd160(key) => {
                let $mac = hmac(&**key, $seq);
                $work
            }
            #[cfg(feature = "legacy")]
            State::Umac64(key) => {
                let $mac = key.begin($seq.into());
                $work
            }
        }
    };
}

impl MacKey {
    /// From a derived key, whose length must be that of the algorithm.
    pub(crate) fn new(mac: MacAlgorithm, key: &[u8]) -> Result<Self, CryptoError> {
        if key.len() != mac.key_len() {
            return Err(CryptoError::Internal);
        }
        Ok(Self {
            state: State::new(mac.function(), key)?,
            tag_len: mac.tag_len(),
        })
    }

    /// Bytes of a tag.
    pub(crate) const fn tag_len(&self) -> usize {
        self.tag_len
    }

    /// The tag of packet `seq`, which is the concatenation of `parts`.
    //= rfc4253#section-6.4
    //# mac = MAC(key, sequence_number || unencrypted_packet)
    pub(crate) fn tag(&self, seq: u32, parts: &[&[u8]]) -> Digest {
        let mut tag = running!(&self.state, seq, mac => whole(mac, parts));
        tag.truncate(self.tag_len);
        tag
    }

    /// Whether `tag` is the whole tag of packet `seq`, in constant time.
    pub(crate) fn verify(&self, seq: u32, parts: &[&[u8]], tag: &[u8]) -> Result<(), CryptoError> {
        if self.tag(seq, parts).as_ref().ct_eq(tag).into() {
            Ok(())
        } else {
            Err(CryptoError::Integrity)
        }
    }

    /// Spends what a tag over `len` bytes costs, or what so many bytes more cost within one.
    pub(crate) fn waste(&self, seq: u32, len: usize, part: Part) {
        running!(&self.state, seq, mac => waste(mac, len, part));
    }
}

/// What work is done in the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Something whole.
    Whole,
    /// More of something that is begun, or ended, elsewhere.
    More,
}

impl State {
    /// From a key of any length, where the function takes any.
    fn new(function: MacFunction, key: &[u8]) -> Result<Self, CryptoError> {
        Ok(match function {
            MacFunction::HmacSha1 => Self::HmacSha1(keyed(key)?),
            MacFunction::HmacSha256 => Self::HmacSha256(keyed(key)?),
            MacFunction::HmacSha512 => Self::HmacSha512(keyed(key)?),
            MacFunction::Umac128 => Self::Umac128(Umac::new(key)?),
            #[cfg(feature = "legacy")]
            MacFunction::HmacMd5 => Self::HmacMd5(keyed(key)?),
            #[cfg(feature = "legacy")]
            MacFunction::HmacRipemd160 => Self::HmacRipemd160(keyed(key)?),
            #[cfg(feature = "legacy")]
            MacFunction::Umac64 => Self::Umac64(Umac::new(key)?),
        })
    }
}

/// The crates wipe the states of HMAC. Those have gaps, of four bytes, and what is in them came from the
/// stack, where a key may have been.
impl Drop for State {
    fn drop(&mut self) {
        match self {
            Self::HmacSha1(key) => overwrite(&mut **key, nothing),
            Self::HmacSha256(key) => overwrite(&mut **key, nothing),
            Self::HmacSha512(key) => overwrite(&mut **key, nothing),
            #[cfg(feature = "legacy")]
            Self::HmacMd5(key) => overwrite(&mut **key, nothing),
            #[cfg(feature = "legacy")]
            Self::HmacRipemd160(key) => overwrite(&mut **key, nothing),
            // Without a gap.
            Self::Umac128(_) => {}
            #[cfg(feature = "legacy")]
            Self::Umac64(_) => {}
        }
    }
}

/// Under a key that everybody knows.
fn nothing<M: hmac::KeyInit>() -> M {
    M::new(&hmac::digest::Key::<M>::default())
}

/// HMAC with the key absorbed: two blocks of hashing less per packet.
fn keyed<M: hmac::KeyInit>(key: &[u8]) -> Result<Box<M>, CryptoError> {
    match M::new_from_slice(key) {
        Ok(mac) => Ok(Box::new(mac)),
        Err(_) => Err(CryptoError::Internal),
    }
}

fn hmac<M: hmac::Mac + Clone>(key: &M, seq: u32) -> M {
    let mut mac = key.clone();
    mac.update(&seq.to_be_bytes());
    mac
}

/// A MAC in the making.
trait Running {
    fn take(&mut self, bytes: &[u8]);
    fn end(self) -> Digest;
}

impl<M: hmac::Mac> Running for M {
    fn take(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }

    fn end(self) -> Digest {
        Digest::take(self.finalize().into_bytes().as_mut_slice())
    }
}

fn whole(mut mac: impl Running, parts: &[&[u8]]) -> Digest {
    for part in parts {
        #[cfg(test)]
        counting::hashed(part.len());
        mac.take(part);
    }
    #[cfg(test)]
    counting::ended();
    mac.end()
}

fn waste(mut mac: impl Running, len: usize, part: Part) {
    const NOTHING: [u8; 1024] = [0; 1024];
    #[cfg(test)]
    counting::hashed(len);
    let mut left = len;
    while left > 0 {
        let nothing = NOTHING.get(..left).unwrap_or(&NOTHING);
        mac.take(nothing);
        left -= nothing.len();
    }
    if part == Part::Whole {
        #[cfg(test)]
        counting::ended();
        core::hint::black_box(mac.end());
    } else {
        core::hint::black_box(&mut mac);
    }
}

/// HMAC-SHA-256 with a key of 32 bytes, which cannot fail.
pub(super) fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> Zeroizing<[u8; 32]> {
    // HMAC fills a short key up with zeros to a block.
    let mut block = Zeroizing::new([0; 64]);
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let mut mac = Hmac::<sha2::Sha256>::new((&*block).into());
    mac.update(message);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey")
    }
}

/// The work of MACs on this thread, in tests.
#[cfg(test)]
pub(crate) mod counting {
    use core::cell::Cell;

    std::thread_local! {
        static HASHED: Cell<usize> = const { Cell::new(0) };
        static ENDED: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn hashed(bytes: usize) {
        HASHED.set(HASHED.get() + bytes);
    }

    pub(super) fn ended() {
        ENDED.set(ENDED.get() + 1);
    }

    /// How many bytes MACs have taken, and how many have been brought to their end, since this was
    /// last asked.
    pub(crate) fn work() -> (usize, usize) {
        (HASHED.take(), ENDED.take())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn key(mac: MacAlgorithm) -> MacKey {
        let key: Vec<u8> = (0..mac.key_len()).map(|n| n as u8).collect();
        MacKey::new(mac, &key).unwrap()
    }

    #[test]
    fn a_tag_must_match_whole() {
        for &mac in MacAlgorithm::ALL {
            let key = key(mac);
            let tag = key.tag(7, &[b"message"]).as_ref().to_vec();
            assert_eq!((tag.len(), key.tag_len()), (mac.tag_len(), mac.tag_len()));
            assert_eq!(key.verify(7, &[b"message"], &tag), Ok(()));
            assert!(key.verify(8, &[b"message"], &tag).is_err());
            assert!(key.verify(7, &[b"massage"], &tag).is_err());
            let short = &tag[..tag.len() - 1];
            assert!(key.verify(7, &[b"message"], short).is_err());
            assert!(key.verify(7, &[b"message"], &[]).is_err());
            for bit in 0..8 * tag.len() {
                let mut bad = tag.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(key.verify(7, &[b"message"], &bad).is_err());
            }
            let mut long = tag;
            long.push(0);
            assert!(key.verify(7, &[b"message"], &long).is_err());
        }
    }

    #[test]
    fn parts_make_the_tag_of_the_whole() {
        let message: Vec<u8> = (0..3000).map(|n| (n % 251) as u8).collect();
        for &mac in MacAlgorithm::ALL {
            let key = key(mac);
            let whole = key.tag(1, &[&message]);
            for cut in [0, 1, 31, 32, 33, 1023, 1024, 1025, 2048, 2999, 3000] {
                let (front, back) = message.split_at(cut);
                assert_eq!(key.tag(1, &[front, back]), whole, "{mac} {cut}");
                let (middle, end) = back.split_at(back.len() / 2);
                assert_eq!(key.tag(1, &[front, middle, end, &[]]), whole, "{mac} {cut}");
            }
        }
    }

    /// The shorter ones are the beginnings of the longer ones, and the order changes nothing.
    #[test]
    fn names_of_one_function_make_one_tag() {
        for &one in MacAlgorithm::ALL {
            for &other in MacAlgorithm::ALL {
                if one.function() != other.function() {
                    continue;
                }
                let tags = [one, other].map(|mac| key(mac).tag(3, &[b"text"]));
                let len = one.tag_len().min(other.tag_len());
                assert_eq!(tags[0].as_ref()[..len], tags[1].as_ref()[..len]);
            }
        }
    }

    #[test]
    fn keys_of_another_length_are_refused() {
        for &mac in MacAlgorithm::ALL {
            for len in [0, mac.key_len() - 1, mac.key_len() + 1] {
                let key = MacKey::new(mac, &[1; 80][..len]);
                assert_eq!(key.err(), Some(CryptoError::Internal), "{mac} {len}");
            }
        }
    }

    /// Work in the place of a tag is the work of a tag.
    #[test]
    fn p6_wasted_work_is_counted_as_any() {
        let text = [7; 5000];
        for &mac in MacAlgorithm::ALL {
            let key = key(mac);
            counting::work();
            let _ = key.tag(1, &[&text[..3000]]);
            assert_eq!(counting::work(), (3000, 1));
            key.waste(1, 3000, Part::Whole);
            assert_eq!(counting::work(), (3000, 1));
            key.waste(1, 5000, Part::More);
            assert_eq!(counting::work(), (5000, 0));
        }
    }
}
