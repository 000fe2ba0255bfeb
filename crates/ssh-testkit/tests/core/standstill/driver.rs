//! Two pipes and what a driver does with them: what [`Wants`] says, and nothing else.

use std::collections::VecDeque;

use ssh_proto::{Instant, Peer, RecvBuf, Wants};

/// One direction of the transport.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    pub(super) bytes: VecDeque<u8>,
    /// How many bytes it holds at the most, in this round.
    pub(super) capacity: usize,
    pub(super) passed: u64,
    /// From this byte on nothing arrives, and nothing ends.
    pub(super) stalls_at: Option<u64>,
    pub(super) closed: bool,
}

impl Pipe {
    /// Takes what fits and returns how much that was.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let room = self.capacity.saturating_sub(self.bytes.len());
        let taken = &bytes[..bytes.len().min(room)];
        let left = self
            .stalls_at
            .map_or(u64::MAX, |at| at.saturating_sub(self.passed));
        let arrives = taken.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.bytes.extend(&taken[..arrives]);
        self.passed += taken.len() as u64;
        taken.len()
    }

    fn read(&mut self, into: &mut [u8], most: usize) -> usize {
        let n = self.bytes.len().min(into.len()).min(most);
        for (place, byte) in into.iter_mut().zip(self.bytes.drain(..n)) {
            *place = byte;
        }
        n
    }

    fn is_at_end(&self) -> bool {
        self.closed && self.bytes.is_empty()
    }
}

/// A connection and the driver's part of it.
pub(super) struct Driven<P> {
    pub(super) peer: P,
    pub(super) rx: RecvBuf,
    /// It was told that its input has ended.
    pub(super) told: bool,
}

impl<P: Peer> Driven<P> {
    pub(super) fn new(peer: P) -> Self {
        let rx = RecvBuf::new();
        let told = false;
        Self { peer, rx, told }
    }

    /// What a driver does in one turn, and nothing else: events are asked for when `wants` says so
    /// and after a read. Says whether anything was done.
    pub(super) fn turn(
        &mut self,
        (out, input): (&mut Pipe, &mut Pipe),
        most: usize,
        now: Instant,
        mut on: impl FnMut(&mut P, P::Event<'_>),
    ) -> bool {
        let written = out.write(self.peer.output());
        self.peer.consume_output(written);
        let mut busy = written > 0;
        for _ in 0..100_000 {
            match self.peer.wants() {
                Wants::Batch => {}
                Wants::Bytes(need) => {
                    let n = input.read(self.rx.spare(need), most);
                    self.rx.filled(n);
                    if n == 0 && !self.ends(input) {
                        return busy;
                    }
                }
                Wants::Answer | Wants::Output if self.ends(input) => {}
                Wants::Closed => {
                    out.closed = !self.peer.has_output();
                    return busy;
                }
                _ => return busy,
            }
            busy = true;
            while let Some(event) = self.peer.poll_event(&mut self.rx.batch(), now) {
                on(&mut self.peer, event);
            }
        }
        panic!("for ever {:?}", self.peer.wants());
    }

    /// Tells it, once, that nothing more will come.
    fn ends(&mut self, input: &Pipe) -> bool {
        let news = input.is_at_end() && !self.told;
        if news {
            self.told = true;
            self.peer.close_input();
        }
        news
    }
}

/// What is looked at when nothing moves.
pub(super) trait Watched {
    fn wants(&self) -> Wants;
    fn deadline(&mut self, now: Instant) -> Option<Instant>;
    fn waits_to_write(&self) -> bool;
}

impl<P: Peer> Watched for P {
    fn wants(&self) -> Wants {
        Peer::wants(self)
    }

    fn deadline(&mut self, now: Instant) -> Option<Instant> {
        self.poll_timeout(now)
    }

    fn waits_to_write(&self) -> bool {
        self.has_output()
    }
}
