//! Doors for the project's own fuzz targets, behind the feature `internal-fuzzing`. No promise of
//! compatibility covers anything in this file.
//!
//! A fuzzer cannot guess a valid MAC. [`Packets`] seals and opens single packets under keys that
//! everybody knows, and [`SendSide::fuzz_send`] seals whatever it is told under the keys of a live
//! connection, so that everything behind the MAC can be reached. What must hold is asserted by the
//! targets, not here.

use alloc::vec;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::algorithm::{CipherAlgorithm, MacAlgorithm};
use crate::crypto::cipher::{OpeningKey, SealingKey};
use crate::error::Error;
use crate::random::{Random, RandomError, Streams};
use crate::recv::{Batch, Consumed};
use crate::send_side::SendSide;
use crate::transport::{MAX_OVERHEAD, Opener, PAYLOAD_OFFSET, Packet, ResetSequence, Sealer};

/// One direction of a transport in one cipher mode: what seals and what opens.
#[derive(Debug)]
pub struct Packets {
    sealer: Sealer,
    opener: Opener,
    streams: Streams,
}

/// What became of the front of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Front {
    /// It is not a whole packet: so many bytes are missing at least.
    Missing(usize),
    /// It did not verify, so many bytes were thrown away, and more will be before that is said.
    Discarded(usize),
    /// It was a packet with this payload, and so many bytes long.
    Opened(Vec<u8>, usize),
}

impl Packets {
    /// In the mode `mode`, counted from 0 for "no keys yet"; `None` where there are not so many.
    /// The keys are made of `seed`.
    pub fn new(mode: usize, seed: u8) -> Option<Self> {
        let (mut sealer, mut opener) = (Sealer::new(), Opener::new());
        if let Some(mode) = mode.checked_sub(1) {
            let (cipher, mac) = modes().nth(mode)?;
            let key = Zeroizing::new(vec![seed; cipher.key_len()]);
            let iv = vec![!seed; cipher.iv_len()];
            let mac_key = Zeroizing::new(vec![seed ^ 0x55; mac.map_or(0, MacAlgorithm::key_len)]);
            let reset = ResetSequence::Yes;
            let sealing = SealingKey::new(cipher, mac, &key, &iv, &mac_key).ok()?;
            sealer.switch(sealing, reset);
            let opening = OpeningKey::new(cipher, mac, &key, &iv, &mac_key).ok()?;
            opener.switch(opening, reset);
        }
        let streams = Streams::new(&mut Repeat(seed)).ok()?;
        Some(Self {
            sealer,
            opener,
            streams,
        })
    }

    /// How many modes there are.
    pub fn modes() -> usize {
        1 + modes().count()
    }

    /// The next packet.
    ///
    /// # Errors
    ///
    /// As the sealer of a connection.
    pub fn seal(&mut self, payload: &[u8]) -> Result<Vec<u8>, Error> {
        let mut room = vec![0; PAYLOAD_OFFSET + payload.len() + MAX_OVERHEAD];
        let place = room.get_mut(PAYLOAD_OFFSET..PAYLOAD_OFFSET + payload.len());
        place.unwrap_or_default().copy_from_slice(payload);
        let size = self
            .sealer
            .seal(&mut room, payload.len(), &mut self.streams)?;
        room.truncate(size);
        Ok(room)
    }

    /// Seals a whole packet, lengths and padding included, whether they are right or not.
    ///
    /// # Errors
    ///
    /// As the sealer of a connection.
    pub fn seal_as_it_is(&mut self, packet: &[u8]) -> Result<Vec<u8>, Error> {
        let mut packet = packet.to_vec();
        self.sealer.seal_as_it_is(&mut packet)?;
        Ok(packet)
    }

    /// Takes a packet of at most `max` bytes off the front of `stream`.
    ///
    /// # Errors
    ///
    /// As the opener of a connection, after which nothing can be opened any more.
    pub fn open(&mut self, stream: &mut [u8], max: usize) -> Result<Front, Error> {
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(stream, &mut consumed);
        let front = match self.opener.next(&mut batch, max, false)? {
            Packet::Missing(n) => Front::Missing(n),
            Packet::Payload(payload) => Front::Opened(payload.bytes.to_vec(), 0),
        };
        Ok(match (front, consumed.bytes()) {
            (Front::Opened(payload, _), n) => Front::Opened(payload, n),
            (Front::Missing(_), n) if n > 0 => Front::Discarded(n),
            (front, _) => front,
        })
    }
}

impl SendSide {
    /// Seals `payload` as the next packet, whatever it is and whatever state the connection is in.
    /// What a hostile peer could send that has gone through the key exchange honestly.
    ///
    /// # Errors
    ///
    /// As the sealer of a connection.
    pub fn fuzz_send(&mut self, payload: &[u8]) -> Result<(), Error> {
        let out = &mut self.out;
        out.buf.message(&mut out.sealer, &mut out.streams, |sink| {
            crate::wire::Sink::put(sink, payload);
        })
    }

    /// As [`fuzz_send`](Self::fuzz_send), for a whole packet, lengths and padding included.
    ///
    /// # Errors
    ///
    /// As the sealer of a connection.
    pub fn fuzz_seal(&mut self, packet: &[u8]) -> Result<(), Error> {
        let mut packet = packet.to_vec();
        self.out.sealer.seal_as_it_is(&mut packet)?;
        self.out.buf.raw(&packet)
    }

    /// As if so many packets had been sent already under the keys in use.
    pub fn fuzz_sent(&mut self, packets: u32) {
        self.out.sealer.pretend(packets);
    }
}

/// Every pair of cipher and MAC.
fn modes() -> impl Iterator<Item = (CipherAlgorithm, Option<MacAlgorithm>)> {
    CipherAlgorithm::ALL.iter().flat_map(|&cipher| {
        let macs: &[MacAlgorithm] = if cipher.is_aead() {
            &[]
        } else {
            MacAlgorithm::ALL
        };
        let none = cipher.is_aead().then_some(None);
        let with = macs.iter().copied().map(Some);
        none.into_iter().chain(with).map(move |mac| (cipher, mac))
    })
}

struct Repeat(u8);

impl Random for Repeat {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        out.fill(self.0);
        Ok(())
    }
}
