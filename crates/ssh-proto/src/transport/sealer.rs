//! Packets out: compression, padding and encryption in place (RFC 4253 section 6).
//!
//! The caller writes the payload at [`PAYLOAD_OFFSET`] behind the packet's start; [`Sealer::seal`]
//! compresses it where that is agreed, writes the two lengths before it, the padding and the tag behind
//! it, and encrypts the whole where it lies. Padding comes from a stream of its own, which makes much at
//! a time.

use super::compression::Deflater;
use super::opener::ResetSequence;
use super::{Usage, beyond};
use crate::algorithm::{CipherAlgorithm, CompressionAlgorithm};
use crate::crypto::cipher::SealingKey;
use crate::error::Error;
use crate::random::{Purpose, Streams};

/// packet_length and padding_length stand before the payload.
pub(crate) const PAYLOAD_OFFSET: usize = 5;
/// The most that framing adds to a payload: lengths, padding, tag.
pub(crate) const MAX_OVERHEAD: usize = PAYLOAD_OFFSET + MAX_PADDING + MAX_TAG;

const PLAIN_BLOCK: usize = 8;
const MIN_PADDING: usize = 4;
const MAX_PADDING: usize = 16 + MIN_PADDING - 1;
const MAX_TAG: usize = 64;

const ROOM: Error = Error::Internal("no room to seal a packet");

#[derive(Debug)]
pub(crate) struct Sealer {
    key: Option<SealingKey>,
    seq: u32,
    used: Usage,
    deflater: Deflater,
}

impl Sealer {
    pub(crate) const fn new() -> Self {
        Self {
            key: None,
            seq: 0,
            used: Usage {
                packets: 0,
                bytes: 0,
            },
            deflater: Deflater::new(),
        }
    }

    pub(crate) const fn used(&self) -> Usage {
        self.used
    }

    /// What the keys in use are of.
    pub(crate) fn cipher(&self) -> Option<CipherAlgorithm> {
        self.key.as_ref().map(SealingKey::cipher)
    }

    /// Switches to `key`: NEWKEYS has been sealed.
    pub(crate) fn switch(&mut self, key: SealingKey, reset: ResetSequence) {
        self.key = Some(key);
        self.used = Usage::default();
        if reset == ResetSequence::Yes {
            self.seq = 0;
        }
    }

    /// From here on payloads are compressed by `method`, if it is its time: NEWKEYS has been sealed.
    pub(crate) fn compress(&mut self, method: CompressionAlgorithm, level: u8) {
        self.deflater.begin(method, level);
    }

    /// SSH_MSG_USERAUTH_SUCCESS has been sealed or received.
    pub(crate) const fn authenticated(&mut self) {
        self.deflater.authenticated();
    }

    /// Nothing more will be sealed.
    pub(crate) fn end(&mut self) {
        self.deflater.end();
    }

    /// How much room behind a payload compression may take, beside [`MAX_OVERHEAD`].
    pub(crate) const fn growth(&self, payload: usize) -> usize {
        self.deflater.growth(payload)
    }

    /// As if so many packets had been sent already.
    #[cfg(feature = "internal-fuzzing")]
    pub(crate) fn pretend(&mut self, packets: u32) {
        (self.seq, self.used.packets) = (packets, packets.into());
    }

    /// As if so many bytes had been sent already under the keys in use.
    #[cfg(feature = "internal-fuzzing")]
    pub(crate) fn pretend_bytes(&mut self, bytes: u64) {
        self.used.bytes = bytes;
    }

    /// Seals a packet whose lengths and padding are what somebody else has written, right or wrong.
    #[cfg(feature = "internal-fuzzing")]
    pub(crate) fn seal_as_it_is(&mut self, packet: &mut alloc::vec::Vec<u8>) -> Result<(), Error> {
        if let Some(key) = &mut self.key {
            packet.resize(packet.len() + key.tag_len(), 0);
            key.seal_anything(self.seq, packet)
                .map_err(|_| Error::Internal("a packet was not sealed"))?;
        }
        self.used.count(packet.len());
        self.seq = self.seq.wrapping_add(1);
        Ok(())
    }

    /// Seals the packet at the front of `room`, whose payload of `payload` bytes stands at
    /// [`PAYLOAD_OFFSET`]; `room` reaches at least [`MAX_OVERHEAD`] and [`growth`](Self::growth) further
    /// than that payload. Returns the size on the wire.
    pub(crate) fn seal(
        &mut self,
        room: &mut [u8],
        payload: usize,
        streams: &mut Streams,
    ) -> Result<usize, Error> {
        if self.used.packets >= u64::from(u32::MAX) {
            return Err(Error::Internal("keys used for 2^32 packets"));
        }
        if !self.deflater.is_on() {
            return self.seal_packed(room, payload, streams);
        }
        let place = room.get_mut(PAYLOAD_OFFSET..).ok_or(ROOM)?;
        let payload = self.deflater.pack(place, payload)?;
        let sealed = self.seal_packed(room, payload, streams);
        if sealed.is_err() {
            self.deflater.fail();
        }
        sealed
    }

    /// Whatever the payload is.
    fn seal_packed(
        &mut self,
        room: &mut [u8],
        payload: usize,
        streams: &mut Streams,
    ) -> Result<usize, Error> {
        let (block, length_is_aligned, tag) = match &self.key {
            Some(key) => (key.block_len(), key.length_is_aligned(), key.tag_len()),
            None => (PLAIN_BLOCK, true, 0),
        };
        let aligned = if length_is_aligned {
            PAYLOAD_OFFSET + payload
        } else {
            1 + payload
        };
        let padding = match block - beyond(aligned, block) {
            short if short < MIN_PADDING => short + block,
            enough => enough,
        };
        let length = 1 + payload + padding;
        let packet = room.get_mut(..4 + length + tag).ok_or(ROOM)?;
        let (head, rest) = packet
            .split_first_chunk_mut::<PAYLOAD_OFFSET>()
            .ok_or(ROOM)?;
        let declared = u32::try_from(length).map_err(|_| ROOM)?.to_be_bytes();
        let padding_length = u8::try_from(padding).map_err(|_| ROOM)?;
        let [l0, l1, l2, l3] = declared;
        *head = [l0, l1, l2, l3, padding_length];
        let padding = rest.get_mut(payload..payload + padding).ok_or(ROOM)?;
        streams.fill(Purpose::Padding, padding);
        if let Some(key) = &mut self.key {
            key.seal(self.seq, packet)
                .map_err(|_| Error::Internal("a packet was not sealed"))?;
        }
        let size = packet.len();
        self.used.count(size);
        self.seq = self.seq.wrapping_add(1);
        Ok(size)
    }
}
