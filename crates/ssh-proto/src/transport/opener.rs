//! Packets in: framing, length checks, decryption in place (RFC 4253 section 6).
//!
//! ```text
//!   | packet_length (4) | padding_length (1) | payload | padding (4..255) | tag |
//!     `-- a copy is decrypted to learn the length; nothing is written before all of it is there
//! ```
//!
//! Where the length is encrypted and only the MAC over the plaintext vouches for it
//! (encrypt-and-MAC), what becomes of a forged one must not tell what it decrypted to
//! (CVE-2008-5161). A bad length, a bad tag and a bad anything else therefore look the same from
//! outside: input is taken until the largest packet of the phase could have ended, and then the
//! integrity check has failed. No deadline of its own runs meanwhile, as none runs for a packet that
//! is not all there yet: one would tell the two apart. The wait ends with authentication's deadline,
//! by keepalive, or when the next key exchange is not answered.
//!
//! The work must not tell either. What is thrown away costs what opening it as a part of a packet
//! would, and the call after which the error is said costs what opening the largest packet does,
//! wherever in its input the forged one seemed to end. A length of nothing counts as that of one
//! block, whose tag is wrong. So who stops before the last byte and waits learns nothing from the
//! time that the answer to it takes. Somebody whose bytes come faster than they can be decrypted
//! still measures whether the forged packet ended in the last of what was read.
//!
//! Invariants: the length is compared with the limit of the phase before it is used for anything;
//! an incomplete packet is left exactly as it arrived; a packet that fails its check is wiped;
//! every packet counts in `seq`, and one set of keys never sees 2^32 of them.

use zeroize::Zeroize as _;

use super::{Usage, beyond};
use crate::crypto::CryptoError;
use crate::crypto::cipher::OpeningKey;
use crate::crypto::mac::Part;
use crate::error::{Error, LimitExceeded, PeerMisbehaved};
use crate::recv::Batch;

/// Without a cipher the length is a multiple of 8 (RFC 4253 section 6).
const PLAIN_BLOCK: usize = 8;
/// padding_length, one byte of payload, and the least padding.
const MIN_LENGTH: usize = 1 + 1 + MIN_PADDING;
const MIN_PADDING: usize = 4;
/// How much is asked for at a time of what will be thrown away.
const DISCARD_STEP: usize = 16 * 1024;

/// What stands at the front of a batch.
#[derive(Debug)]
pub(crate) enum Packet<'b> {
    /// At least so many bytes are missing.
    Missing(usize),
    Payload(Payload<'b>),
}

/// A packet's payload: never empty.
pub(crate) struct Payload<'b> {
    pub(crate) seq: u32,
    pub(crate) number: u8,
    pub(crate) bytes: &'b [u8],
}

/// Shows no contents: they may be a password.
impl core::fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "Payload(number {}, {} bytes)",
            self.number,
            self.bytes.len()
        )
    }
}

#[derive(Debug)]
pub(crate) struct Opener {
    key: Option<OpeningKey>,
    seq: u32,
    /// Size on the wire of the packet at the front, once its length was accepted.
    need: Option<usize>,
    /// A packet did not verify, and more is thrown away before that is said.
    discard: Option<Discard>,
    used: Usage,
}

/// What stands in the place of a packet that is none.
#[derive(Clone, Copy, Debug)]
struct Discard {
    /// Thrown away so far, with what was taken for the packet.
    taken: usize,
    /// The size of the largest packet; `taken <= max`.
    max: usize,
}

impl Discard {
    /// How much more is asked for.
    fn step(self) -> usize {
        (self.max - self.taken).min(DISCARD_STEP)
    }
}

impl Opener {
    pub(crate) const fn new() -> Self {
        Self {
            key: None,
            seq: 0,
            need: None,
            discard: None,
            used: Usage {
                packets: 0,
                bytes: 0,
            },
        }
    }

    /// The size of the packet at the front, tag included, or the least there can be.
    pub(crate) fn need(&self) -> usize {
        match self.discard {
            Some(discard) => discard.step(),
            None => self.need.unwrap_or_else(|| self.first_len()),
        }
    }

    pub(crate) const fn used(&self) -> Usage {
        self.used
    }

    /// Switches to `key`: NEWKEYS has been received.
    pub(crate) fn switch(&mut self, key: OpeningKey, reset: ResetSequence) {
        self.key = Some(key);
        self.used = Usage::default();
        if reset == ResetSequence::Yes {
            self.seq = 0;
        }
    }

    /// As if so many packets had come already.
    #[cfg(feature = "internal-fuzzing")]
    pub(crate) fn pretend(&mut self, packets: u32) {
        (self.seq, self.used.packets) = (packets, packets.into());
    }

    /// As if so many bytes had come already under the keys in use.
    #[cfg(feature = "internal-fuzzing")]
    pub(crate) fn pretend_bytes(&mut self, bytes: u64) {
        self.used.bytes = bytes;
    }

    /// Takes one packet of at most `max` bytes on the wire off the batch.
    pub(crate) fn next<'b>(
        &mut self,
        batch: &mut Batch<'b>,
        max: usize,
        secret: bool,
    ) -> Result<Packet<'b>, Error> {
        if let Some(discard) = self.discard {
            return self.discard(discard, Part::Whole, batch, secret);
        }
        let available = batch.rest().len();
        let need = match self.need {
            Some(need) => need,
            None => {
                let first_len = self.first_len();
                let Some(first) = batch.rest().get(..first_len) else {
                    return Ok(Packet::Missing(first_len - available));
                };
                let declared = self.declared(first)?;
                match self.accept_length(declared, max) {
                    Ok(need) => *self.need.insert(need),
                    Err(_) if self.is_encrypt_and_mac() => {
                        self.waste(1, Part::Whole);
                        let discard = Discard { taken: 0, max };
                        return self.discard(discard, Part::More, batch, secret);
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        let Some(packet) = batch.take(need, secret) else {
            return Ok(Packet::Missing(need - available));
        };
        self.need = None;
        match self.open(packet) {
            Err(Error::Integrity) if self.is_encrypt_and_mac() => {
                let discard = Discard {
                    taken: need.min(max),
                    max,
                };
                self.discard(discard, Part::More, batch, secret)
            }
            opened => opened.map(Packet::Payload),
        }
    }

    /// Throws away what has come, of as much as is to be thrown away. Before the error is said
    /// something `Whole` is to be opened in vain, unless that has been done in this call already.
    fn discard<'b>(
        &mut self,
        mut discard: Discard,
        last: Part,
        batch: &mut Batch<'b>,
        secret: bool,
    ) -> Result<Packet<'b>, Error> {
        let before = self.blocks(discard.taken);
        let there = (discard.max - discard.taken).min(batch.rest().len());
        if let Some(bytes) = batch.take(there, secret) {
            bytes.zeroize();
        }
        discard.taken += there;
        self.discard = Some(discard);
        let after = self.blocks(discard.taken);
        let is_last = discard.taken == discard.max;
        match last {
            Part::Whole if is_last => self.waste(after, Part::Whole),
            _ => self.waste(after - before, Part::More),
        }
        if is_last {
            return Err(Error::Integrity);
        }
        Ok(Packet::Missing(discard.step()))
    }

    /// How many blocks there are to open in a packet of which `size` bytes have come: its first one
    /// at the least.
    fn blocks(&self, size: usize) -> usize {
        let (block, tag) = match &self.key {
            Some(key) => (key.block_len(), key.tag_len()),
            None => (PLAIN_BLOCK, 0),
        };
        (size.saturating_sub(tag) / block).max(1)
    }

    fn waste(&mut self, blocks: usize, part: Part) {
        if let Some(key) = &mut self.key {
            key.waste(self.seq, blocks, part);
        }
    }

    fn is_encrypt_and_mac(&self) -> bool {
        self.key
            .as_ref()
            .is_some_and(OpeningKey::is_encrypt_and_mac)
    }

    /// The `packet_length` of the packet that begins with `first`.
    fn declared(&mut self, first: &[u8]) -> Result<u32, Error> {
        match &mut self.key {
            Some(key) => key.packet_length(self.seq, first).map_err(integrity),
            None => Ok(first
                .first_chunk::<4>()
                .map_or(0, |b| u32::from_be_bytes(*b))),
        }
    }

    /// The size on the wire of a packet with this `packet_length`.
    fn accept_length(&self, declared: u32, max: usize) -> Result<usize, Error> {
        let (block, length_is_aligned, tag) = match &self.key {
            Some(key) => (key.block_len(), key.length_is_aligned(), key.tag_len()),
            None => (PLAIN_BLOCK, true, 0),
        };
        let length = usize::try_from(declared).unwrap_or(usize::MAX);
        //= rfc4253#section-6.1
        //# All implementations MUST be able to process packets with an uncompressed payload
        //# length of 32768 bytes or less and a total packet size of 35000 bytes or less
        if length > max.saturating_sub(4 + tag) {
            return Err(LimitExceeded::Packet(declared).into());
        }
        //= rfc4253#section-6
        //# the length of the concatenation of 'packet_length', 'padding_length', 'payload', and
        //# 'random padding' MUST be a multiple of the cipher block size or 8, whichever is larger.
        let aligned = if length_is_aligned {
            4 + length
        } else {
            length
        };
        if length < MIN_LENGTH || beyond(aligned, block) != 0 {
            return Err(PeerMisbehaved::PacketLength(declared).into());
        }
        Ok(4 + length + tag)
    }

    fn open<'b>(&mut self, packet: &'b mut [u8]) -> Result<Payload<'b>, Error> {
        let seq = self.seq;
        if self.used.packets >= u64::from(u32::MAX) {
            return Err(PeerMisbehaved::SequenceExhausted.into());
        }
        let tag = match &mut self.key {
            Some(key) => {
                key.open(seq, packet).map_err(integrity)?;
                key.tag_len()
            }
            None => 0,
        };
        self.used.count(packet.len());
        self.seq = seq.wrapping_add(1);
        let packet: &'b [u8] = packet;
        let body = packet
            .get(4..packet.len().saturating_sub(tag))
            .unwrap_or_default();
        let (&padding, body) = body.split_first().ok_or(PeerMisbehaved::Padding)?;
        let padding = usize::from(padding);
        //= rfc4253#section-6
        //# There MUST be at least four bytes of padding.
        let payload = body
            .len()
            .checked_sub(padding)
            .filter(|_| padding >= MIN_PADDING)
            .and_then(|length| body.get(..length))
            .ok_or(PeerMisbehaved::Padding)?;
        let &number = payload.first().ok_or(PeerMisbehaved::Padding)?;
        Ok(Payload {
            seq,
            number,
            bytes: payload,
        })
    }

    fn first_len(&self) -> usize {
        self.key.as_ref().map_or(PLAIN_BLOCK, OpeningKey::first_len)
    }
}

/// With strict key exchange a direction's sequence number starts again at each NEWKEYS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResetSequence {
    Yes,
    No,
}

fn integrity(error: CryptoError) -> Error {
    match error {
        CryptoError::Integrity => Error::Integrity,
        _ => Error::Internal("a packet could not be opened"),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;
    use std::format;

    use super::*;
    use crate::algorithm::{CipherAlgorithm, MacAlgorithm};
    use crate::crypto::cipher::{self, SealingKey, modes};
    use crate::crypto::mac;
    use crate::random::Streams;
    use crate::random::testing::SeededRandom;
    use crate::recv::Consumed;
    use crate::transport::{PAYLOAD_OFFSET, Sealer};

    /// No keys yet, and a few of every kind.
    fn modes() -> Vec<Option<Mode>> {
        let sample = modes::sample().into_iter().map(Some);
        core::iter::once(None).chain(sample).collect()
    }

    type Mode = (CipherAlgorithm, Option<MacAlgorithm>);

    fn keys((cipher, mac): Mode) -> (SealingKey, OpeningKey) {
        let key = vec![1; cipher.key_len()];
        let iv = vec![2; cipher.iv_len()];
        let mac_key = vec![3; mac.map_or(0, |mac| mac.key_len())];
        (
            SealingKey::new(cipher, mac, &key, &iv, &mac_key).unwrap(),
            OpeningKey::new(cipher, mac, &key, &iv, &mac_key).unwrap(),
        )
    }

    fn pair(mode: Option<Mode>) -> (Sealer, Opener) {
        let (mut sealer, mut opener) = (Sealer::new(), Opener::new());
        if let Some(mode) = mode {
            let (sealing, opening) = keys(mode);
            sealer.switch(sealing, ResetSequence::Yes);
            opener.switch(opening, ResetSequence::Yes);
        }
        (sealer, opener)
    }

    fn seal(sealer: &mut Sealer, streams: &mut Streams, payload: &[u8]) -> Vec<u8> {
        let mut room = vec![0; payload.len() + crate::transport::MAX_OVERHEAD];
        room[PAYLOAD_OFFSET..PAYLOAD_OFFSET + payload.len()].copy_from_slice(payload);
        let size = sealer.seal(&mut room, payload.len(), streams).unwrap();
        room.truncate(size);
        room
    }

    #[test]
    fn what_is_sealed_opens_and_an_incomplete_packet_is_left_as_it_came() {
        for mode in modes() {
            sealed_and_opened(mode, 7);
        }
    }

    #[test]
    #[ignore = "long"]
    fn long_what_is_sealed_opens_in_every_mode() {
        for mode in modes::all() {
            sealed_and_opened(Some(mode), 1);
        }
    }

    /// Packets of several lengths, cut at every `step`th byte and around their ends.
    fn sealed_and_opened(mode: Option<Mode>, step: usize) {
        let (mut sealer, mut opener) = pair(mode);
        let mut streams = Streams::new(&mut SeededRandom::new(1)).unwrap();
        for length in [1, 2, 7, 8, 15, 16, 17, 100, 1000] {
            let payload: Vec<u8> = (0..length).map(|i| (i % 255) as u8 + 1).collect();
            let packet = seal(&mut sealer, &mut streams, &payload);
            let size = packet.len();
            let near_an_end = |cut: &usize| *cut < 24 || size - *cut < 72;
            for cut in (0..size).filter(|cut| cut % step == 0 || near_an_end(cut)) {
                let mut piece = packet[..cut].to_vec();
                let mut consumed = Consumed::default();
                let mut batch = Batch::over(&mut piece, &mut consumed);
                let missing = opener.next(&mut batch, 35_000, false).unwrap();
                assert!(
                    matches!(missing, Packet::Missing(n) if n > 0 && n <= size - cut),
                    "{mode:?} {length} {cut}"
                );
                assert_eq!(consumed.bytes(), 0);
                assert_eq!(piece, packet[..cut], "{mode:?}");
            }
            let mut whole = packet.clone();
            let mut consumed = Consumed::default();
            let mut batch = Batch::over(&mut whole, &mut consumed);
            let opened = opener.next(&mut batch, 35_000, true).unwrap();
            assert!(
                matches!(opened, Packet::Payload(p) if p.bytes == payload),
                "{mode:?}"
            );
            assert!(consumed.bytes() == size && consumed.secret());
        }
    }

    #[test]
    fn p1_a_declared_length_above_the_limit_is_refused_before_anything_else() {
        for length in [35_000u32, 1 << 31, (1 << 31) - 1, u32::MAX - 4, u32::MAX] {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.extend_from_slice(&[4, 0, 0, 0]);
            let mut consumed = Consumed::default();
            let mut batch = Batch::over(&mut bytes, &mut consumed);
            let error = Opener::new().next(&mut batch, 35_000, false).unwrap_err();
            assert!(matches!(error, Error::Limit(LimitExceeded::Packet(n)) if n == length));
        }
        // The largest one of all.
        let mut bytes = [0, 0, 0x88, 0xb4, 4, 0, 0, 0];
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(&mut bytes, &mut consumed);
        let next = Opener::new().next(&mut batch, 35_000, false);
        assert!(matches!(next, Ok(Packet::Missing(34_992))), "{next:?}");
    }

    #[test]
    fn p3_p4_impossible_lengths_and_paddings_are_refused() {
        let open = |length: u32, padding: u8| {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.push(padding);
            bytes.resize(4 + length as usize, 0);
            bytes.resize(bytes.len().max(8), 0);
            let mut consumed = Consumed::default();
            let mut batch = Batch::over(&mut bytes, &mut consumed);
            Opener::new().next(&mut batch, 35_000, false).map(|_| ())
        };
        for length in [0, 1, 2, 3, 4, 5, 6, 11, 13, 19] {
            let error = open(length, 4).unwrap_err();
            assert!(
                matches!(error, Error::PeerMisbehaved(PeerMisbehaved::PacketLength(n)) if n == length),
                "{length}: {error}"
            );
        }
        for padding in [0, 1, 2, 3, 11, 12, 255] {
            let error = open(12, padding).unwrap_err();
            assert!(
                matches!(error, Error::PeerMisbehaved(PeerMisbehaved::Padding)),
                "{padding}"
            );
        }
        assert!(open(12, 10).is_ok() && open(12, 4).is_ok());
    }

    #[test]
    fn p5_a_flipped_bit_is_noticed_in_every_mode() {
        for mode in modes().into_iter().flatten() {
            flipped(mode);
        }
    }

    #[test]
    #[ignore = "long"]
    fn long_p5_a_flipped_bit_is_noticed_in_every_mode() {
        for mode in modes::all() {
            flipped(mode);
        }
    }

    fn flipped(mode: Mode) {
        const MAX: usize = 500;
        let (mut sealer, _) = pair(Some(mode));
        let mut streams = Streams::new(&mut SeededRandom::new(1)).unwrap();
        let packet = seal(&mut sealer, &mut streams, b"attack at dawn");
        for bit in 0..packet.len() * 8 {
            let (_, mut opener) = pair(Some(mode));
            let mut bytes = packet.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // More input, so that a longer length has something to run over.
            bytes.resize(2 * MAX, 0);
            let mut consumed = Consumed::default();
            let mut batch = Batch::over(&mut bytes, &mut consumed);
            let opened = opener.next(&mut batch, MAX, false);
            assert!(opened.is_err(), "{mode:?} bit {bit}");
        }
    }

    /// The modes of row P6.
    fn encrypt_and_mac() -> impl Iterator<Item = Mode> {
        modes::sample()
            .into_iter()
            .filter(|(_, mac)| mac.is_some_and(|mac| !mac.is_etm()))
    }

    /// Feeds `stream` in pieces of `chunk`. How much was taken when it failed, and with what.
    fn outcome(opener: &mut Opener, stream: &[u8], chunk: usize, max: usize) -> (usize, String) {
        let mut stream = stream.to_vec();
        let (mut start, mut end) = (0, 0);
        while end < stream.len() {
            end = (end + chunk).min(stream.len());
            let mut consumed = Consumed::default();
            let mut batch = Batch::over(&mut stream[start..end], &mut consumed);
            let opened = opener
                .next(&mut batch, max, false)
                .map(|packet| match packet {
                    Packet::Missing(n) => n,
                    Packet::Payload(payload) => panic!("{payload:?}"),
                });
            let taken = consumed.bytes();
            match opened {
                Ok(n) => {
                    assert!(n > 0 && start + taken + n <= max, "{start} {taken} {n}");
                    assert_eq!(opener.need(), end - start - taken + n);
                }
                Err(error) => {
                    start += taken;
                    assert!(stream[..start].iter().all(|b| *b == 0), "unverified text");
                    return (start, format!("{error:?}"));
                }
            }
            start += taken;
        }
        (start, "nothing yet".into())
    }

    #[test]
    fn p6_whatever_is_wrong_with_a_packet_the_same_is_seen_after_as_much_input() {
        const MAX: usize = 1000;
        for mode in encrypt_and_mac() {
            let (mut sealer, _) = pair(Some(mode));
            let mut streams = Streams::new(&mut SeededRandom::new(1)).unwrap();
            let packet = seal(&mut sealer, &mut streams, &[7; 200]);
            // The length, padding_length, the payload, and the tag.
            let bits = (0..48).chain([300, 8 * packet.len() - 1]);
            for bit in bits {
                let mut stream = packet.clone();
                stream[bit / 8] ^= 1 << (bit % 8);
                stream.resize(MAX + 50, 0x5a);
                for chunk in [1, 15, 16, 17, 64, packet.len(), 999, 2000] {
                    let (_, mut opener) = pair(Some(mode));
                    let seen = outcome(&mut opener, &stream, chunk, MAX);
                    assert_eq!(seen, (MAX, "Integrity".into()), "{mode:?} {bit} {chunk}");
                    // Nothing is said before.
                    let (_, mut opener) = pair(Some(mode));
                    let (_, seen) = outcome(&mut opener, &stream[..MAX - 1], chunk, MAX);
                    assert_eq!(seen, "nothing yet", "{mode:?} {bit} {chunk}");
                }
            }
        }
    }

    /// Bytes decrypted, bytes hashed, tags made.
    type Work = (usize, usize, usize);

    fn work() -> Work {
        let (hashed, ended) = mac::counting::work();
        (cipher::counting::work(), hashed, ended)
    }

    /// What the first `front` bytes of a stream cost, and what those behind them.
    fn cost(mode: Mode, stream: &[u8], front: usize, max: usize) -> [Work; 2] {
        let (_, mut opener) = pair(Some(mode));
        let mut stream = stream.to_vec();
        work();
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(&mut stream[..front], &mut consumed);
        assert!(matches!(
            opener.next(&mut batch, max, false),
            Ok(Packet::Missing(_))
        ));
        let before = work();
        let taken = consumed.bytes();
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(&mut stream[taken..], &mut consumed);
        let error = opener.next(&mut batch, max, false).unwrap_err();
        assert!(matches!(error, Error::Integrity));
        assert_eq!(taken + consumed.bytes(), max);
        [before, work()]
    }

    /// Packets that do not verify and seem to end anywhere, and one whose length is none.
    fn forgeries(mode: Mode, max: usize) -> Vec<(Option<usize>, Vec<u8>)> {
        let (cipher, mac) = mode;
        let (block, tag) = (cipher.block_len(), mac.unwrap().tag_len());
        let ends = (2 * block..=max - tag).step_by(block).map(Some);
        ends.chain([None])
            .map(|end| {
                let (mut sealing, _) = keys(mode);
                let length = end.map_or(u32::MAX, |end| end as u32 - 4);
                let mut stream = vec![4; end.unwrap_or(64) + tag];
                stream[..4].copy_from_slice(&length.to_be_bytes());
                sealing.seal(0, &mut stream).unwrap();
                *stream.last_mut().unwrap() ^= 1;
                stream.resize(max, 0x5a);
                (end.map(|end| end + tag), stream)
            })
            .collect()
    }

    #[test]
    fn p6_the_answer_costs_as_much_wherever_the_forged_packet_ended() {
        // One that a packet can fill to the last byte, and one that none can.
        for mode in encrypt_and_mac() {
            let tag = mode.1.unwrap().tag_len();
            for max in [512 + tag, 519 + tag] {
                let forgeries = forgeries(mode, max);
                let first = mode.0.block_len();
                let text = (max - tag) / first * first;
                for front in [0, first, first + 1, 300, 512, max - 1] {
                    let mut all = Vec::new();
                    for (end, stream) in &forgeries {
                        let [before, answer] = cost(mode, stream, front, max);
                        // The first block is decrypted when it is there.
                        let decrypted = text - if front < first { 0 } else { first };
                        assert_eq!(
                            answer,
                            (decrypted, text, 1),
                            "{mode:?} {max} {front} {end:?}"
                        );
                        // What is thrown away costs as much as what was opened.
                        if end.is_none_or(|end| end <= front) {
                            all.push(before);
                        }
                    }
                    all.dedup();
                    assert!(all.len() <= 1, "{mode:?} {max} {front}: {all:?}");
                }
            }
        }
    }

    /// Not even somebody who has the keys is told more.
    #[test]
    fn p6_an_impossible_length_in_a_packet_that_would_verify() {
        const MAX: usize = 1000;
        for mode in encrypt_and_mac() {
            let lengths = (0..=5).chain([11, 13, 29, 45, 1000, 1 << 31, u32::MAX]);
            for length in lengths {
                let (mut sealing, _) = keys(mode);
                let size = usize::try_from(length).unwrap().clamp(16, 512) + 4;
                let mut stream = vec![4; size + sealing.tag_len()];
                stream[..4].copy_from_slice(&length.to_be_bytes());
                sealing.seal_anything(0, &mut stream).unwrap();
                stream.resize(MAX, 0);
                let (_, mut opener) = pair(Some(mode));
                let seen = outcome(&mut opener, &stream, 100, MAX);
                assert_eq!(seen, (MAX, "Integrity".into()), "{mode:?} {length}");
            }
        }
    }

    #[test]
    fn p6_what_will_be_thrown_away_is_asked_for_in_large_pieces() {
        let (_, mut opener) = pair(encrypt_and_mac().next());
        let max = DISCARD_STEP + 1000;
        let mut missing = Vec::new();
        let mut garbage = vec![0; 16];
        loop {
            let mut consumed = Consumed::default();
            let mut batch = Batch::over(&mut garbage, &mut consumed);
            match opener.next(&mut batch, max, false) {
                Ok(Packet::Missing(n)) => missing.push(n),
                other => break assert!(matches!(other, Err(Error::Integrity)), "{other:?}"),
            }
            assert_eq!(missing.last(), Some(&opener.need()));
            garbage = vec![0; opener.need()];
        }
        assert_eq!(missing, [DISCARD_STEP, max - 16 - DISCARD_STEP]);
    }

    #[test]
    fn p6_what_is_wrong_behind_a_good_mac_is_said() {
        for mode in encrypt_and_mac() {
            let (mut sealing, _) = keys(mode);
            let mut stream = vec![0; 32 + sealing.tag_len()];
            // A padding of three bytes.
            stream[..5].copy_from_slice(&[0, 0, 0, 28, 3]);
            sealing.seal(0, &mut stream).unwrap();
            let (_, mut opener) = pair(Some(mode));
            let mut consumed = Consumed::default();
            let mut batch = Batch::over(&mut stream, &mut consumed);
            let error = opener.next(&mut batch, 35_000, false).unwrap_err();
            assert!(matches!(
                error,
                Error::PeerMisbehaved(PeerMisbehaved::Padding)
            ));
        }
    }
}
