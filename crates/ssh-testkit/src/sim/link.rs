//! One direction of a simulated transport.

use std::collections::VecDeque;
use std::time::Duration;

use ssh_proto::Instant;

use crate::rng::SeededRandom;

/// How the stream is cut into reads.
#[derive(Clone, Debug, Default)]
pub enum Chunking {
    /// As much as there is and fits.
    #[default]
    Coalesced,
    /// Byte by byte.
    OneByte,
    /// Pieces of 1 to so many bytes, drawn from the link's seed.
    Random(usize),
    /// Everything up to this offset of the stream in one piece, and then the rest.
    At(u64),
}

/// What goes wrong on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The transport ends before this byte.
    CutAt(u64),
    /// This bit of the stream arrives inverted.
    FlipBit(u64),
    /// From this byte on nothing arrives, and nothing ends.
    StallAt(u64),
    /// From this byte on nothing is taken: the other side does not read.
    BlockAt(u64),
}

/// One direction of a simulated transport: bytes arrive in order, after a while.
#[derive(Debug)]
pub struct Link {
    /// Time from sending to arrival.
    pub latency: Duration,
    /// Bytes per second; `None` for no bound.
    pub bandwidth: Option<u64>,
    /// Bytes that may be on the way, as in the buffers of a socket.
    pub capacity: usize,
    /// How the stream is cut into reads.
    pub chunking: Chunking,
    /// What goes wrong.
    pub fault: Fault,
    /// The sender has closed the transport.
    pub closed: bool,
    /// Everything that was sent, if it is to be kept.
    pub transcript: Option<Vec<u8>>,
    /// Bytes sent so far.
    pub sent: u64,
    /// Bytes received so far.
    pub received: u64,
    /// What is under way, by arrival; of the first piece, from `taken` on.
    pieces: VecDeque<(Instant, Vec<u8>)>,
    taken: usize,
    queued: usize,
    /// When the link has finished sending what it was given.
    free_at: Instant,
    rng: SeededRandom,
}

pub(super) enum Received {
    Nothing,
    Bytes(usize),
    Closed,
}

impl Link {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            latency: Duration::ZERO,
            bandwidth: None,
            capacity: 1 << 20,
            chunking: Chunking::Coalesced,
            fault: Fault::None,
            closed: false,
            transcript: None,
            sent: 0,
            received: 0,
            pieces: VecDeque::new(),
            taken: 0,
            queued: 0,
            free_at: Instant::EPOCH,
            rng: SeededRandom::new(seed),
        }
    }

    /// How many more bytes can be sent now.
    pub fn room(&self) -> usize {
        let room = self.capacity.saturating_sub(self.queued);
        match self.fault {
            Fault::BlockAt(at) => {
                let rest = usize::try_from(at.saturating_sub(self.sent));
                room.min(rest.unwrap_or(usize::MAX))
            }
            _ => room,
        }
    }

    pub(super) fn send(&mut self, bytes: &[u8], now: Instant) {
        if bytes.is_empty() {
            return;
        }
        if let Some(transcript) = &mut self.transcript {
            transcript.extend_from_slice(bytes);
        }
        let mut bytes = bytes.to_vec();
        let begin = self.sent;
        self.sent += bytes.len() as u64;
        match self.fault {
            Fault::FlipBit(bit) if (begin..self.sent).contains(&(bit / 8)) => {
                bytes[usize::try_from(bit / 8 - begin).unwrap()] ^= 1 << (bit % 8);
            }
            Fault::CutAt(at) if self.sent >= at => {
                bytes.truncate(usize::try_from(at.saturating_sub(begin)).unwrap());
                self.closed = true;
            }
            Fault::StallAt(at) if self.sent > at => {
                bytes.truncate(usize::try_from(at.saturating_sub(begin)).unwrap());
            }
            _ => {}
        }
        if bytes.is_empty() {
            return;
        }
        if let Some(bandwidth) = self.bandwidth {
            let nanos = bytes.len() as u64 * 1_000_000_000 / bandwidth;
            self.free_at = self.free_at.max(now) + Duration::from_nanos(nanos);
        }
        let arrival = self.free_at.max(now) + self.latency;
        self.queued += bytes.len();
        self.pieces.push_back((arrival, bytes));
    }

    /// When the next bytes arrive.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.pieces.front().map(|(at, _)| *at)
    }

    /// Whether all that will ever arrive has been received.
    pub(super) fn is_at_end(&self) -> bool {
        self.closed && self.pieces.is_empty()
    }

    pub(super) fn receive(&mut self, out: &mut [u8], now: Instant) -> Received {
        let arrived: usize = self
            .pieces
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, piece)| piece.len())
            .sum::<usize>()
            .saturating_sub(self.taken);
        if arrived == 0 {
            return if self.is_at_end() {
                Received::Closed
            } else {
                Received::Nothing
            };
        }
        let most = arrived.min(out.len());
        let n = match self.chunking {
            Chunking::Coalesced => most,
            Chunking::OneByte => 1,
            Chunking::Random(max) => most.min(1 + self.rng.below(max as u64) as usize),
            Chunking::At(at) if self.received < at => {
                most.min(usize::try_from(at - self.received).unwrap_or(usize::MAX))
            }
            Chunking::At(_) => most,
        };
        let mut place = &mut out[..n];
        while !place.is_empty() {
            let (_, piece) = self.pieces.front().expect("counted above");
            let rest = &piece[self.taken..];
            let (now, later) = place.split_at_mut(rest.len().min(place.len()));
            now.copy_from_slice(&rest[..now.len()]);
            self.taken += now.len();
            if self.taken == piece.len() {
                self.pieces.pop_front();
                self.taken = 0;
            }
            place = later;
        }
        self.queued -= n;
        self.received += n as u64;
        Received::Bytes(n)
    }
}
