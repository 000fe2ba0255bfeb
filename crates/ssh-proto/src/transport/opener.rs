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
mod tests;
