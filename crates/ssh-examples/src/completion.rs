//! Connections over completions: every read and every write owns its buffer until it is done.
//!
//! ```text
//!   read done:   | end of a packet | packet | packet | beginning of a packet |   the ring's buffer
//!                  `--copied---.     `- opened here --'      `-- copied --.
//!                   +----------v---+                         +------------v--+
//!                   | carry        | -> opened when complete | carry         | -> next buffer
//!                   +--------------+                         +---------------+
//!
//!   write:       take_output(buffer) -> write(buffer) -> done -> take_output(the same buffer) ...
//! ```
//!
//! - Packets are opened in the buffer that they were read into (`Batch::over`). Only one that
//!   straddles two buffers is copied, into the receive buffer that all connections share.
//! - `take_output` exchanges memory: what the core has filled goes out, what was written comes back
//!   to be filled. Nothing is taken while a write is going on, so what waits stays where the limits
//!   see it.
//! - A read is begun only when the connection wants bytes, so whoever may not go on is not read
//!   from.
//! - What was read may be a thousand times as much when it is inflated. After some batches of it the
//!   others have their turns.
//! - Nothing is cancelled. A connection is gone when both of its operations are.

use std::collections::BTreeMap;
use std::time::Duration;

use ssh_proto::recv::Consumed;
use ssh_proto::{Batch, Carry, Instant, Peer, RecvBuf, Wants};
use zeroize::Zeroize as _;

use crate::event_loop::Application;
use crate::os::Clock;
use crate::ring::{Completion, Operation, Ring};
use crate::timers::Timers;

/// How long a peer has to take our last words.
const GOODBYE: Duration = Duration::from_secs(2);
/// How many batches of one connection are looked at before it is the next one's turn.
const BATCHES: usize = 8;
/// Written buffers that are kept for the next exchange.
const SPARE: usize = 16;

/// Connections over one ring.
pub struct Driver<A: Application, R: Ring> {
    ring: R,
    /// By the number that the ring knows them by.
    connections: BTreeMap<usize, Connection<A>>,
    /// Those with more to do than they had time for.
    unfinished: Vec<usize>,
    timers: Timers,
    clock: Clock,
    shared: Shared<A>,
}

/// What all connections share.
struct Shared<A> {
    application: A,
    /// For packets that straddle two buffers.
    rx: RecvBuf,
    /// What became of the others, and the memory for what they inflate to.
    consumed: Consumed,
    /// The size of a buffer to read into.
    size: usize,
    /// Buffers that nobody reads into.
    free: Vec<Vec<u8>>,
    /// Buffers that were written.
    written: Vec<Vec<u8>>,
    traffic: Traffic,
}

/// How much was read, and how much of it had to be copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that came.
    pub read: u64,
    /// Bytes of packets that did not lie in one buffer.
    pub copied: u64,
}

struct Connection<A: Application> {
    peer: A::Peer,
    seat: A::Seat,
    /// The beginning of a packet, or what came while nothing could be taken.
    carry: Carry,
    reading: bool,
    writing: bool,
    /// The peer has closed its direction.
    mute: bool,
    /// Nothing more can be written.
    deaf: bool,
    /// Our direction is closed.
    shut: bool,
    /// From `Ended` on: when the connection is abandoned.
    goodbye: Option<Instant>,
}

impl<A: Application, R: Ring> Driver<A, R> {
    /// A driver without connections, whose reads take `size` bytes at the most.
    pub fn new(application: A, ring: R, size: usize) -> Self {
        Self {
            ring,
            connections: BTreeMap::new(),
            unfinished: Vec::new(),
            timers: Timers::default(),
            clock: Clock::default(),
            shared: Shared {
                application,
                rx: RecvBuf::new(),
                consumed: Consumed::default(),
                size: size.max(1),
                free: Vec::new(),
                written: Vec::new(),
                traffic: Traffic::default(),
            },
        }
    }

    /// Begins a connection over what the ring knows by the number `key`.
    pub fn begin(&mut self, key: usize, peer: A::Peer, seat: A::Seat) {
        let connection = Connection {
            peer,
            seat,
            carry: Carry::new(),
            reading: false,
            writing: false,
            mute: false,
            deaf: false,
            shut: false,
            goodbye: None,
        };
        self.connections.insert(key, connection);
        self.go_on(key);
    }

    /// What this driver runs over.
    pub const fn ring(&mut self) -> &mut R {
        &mut self.ring
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there are no connections.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// How much was read and copied.
    pub const fn traffic(&self) -> Traffic {
        self.shared.traffic
    }

    /// What the program keeps for all connections.
    pub const fn application(&mut self) -> &mut A {
        &mut self.shared.application
    }

    /// Has the program do something with every connection, outside of events.
    pub fn visit(&mut self, mut visit: impl FnMut(&mut A::Peer, &mut A::Seat)) {
        let keys: Vec<usize> = self.connections.keys().copied().collect();
        for key in keys {
            if let Some(connection) = self.connections.get_mut(&key) {
                visit(&mut connection.peer, &mut connection.seat);
                self.go_on(key);
            }
        }
    }

    /// Waits for a completion, `most` at the longest, and does what follows from it.
    pub fn round(&mut self, most: Duration) {
        let now = self.clock.now();
        let next = self.timers.earliest().map(|at| at.saturating_since(now));
        let unfinished = std::mem::take(&mut self.unfinished);
        let wait = match next {
            _ if !unfinished.is_empty() => Duration::ZERO,
            Some(next) => next.min(most),
            None => most,
        };
        let completion = self.ring.wait(wait);
        if let Some(completion) = completion {
            let key = completion.connection;
            self.completed(completion);
            self.go_on(key);
        }
        for key in unfinished {
            self.go_on(key);
        }
        let now = self.clock.now();
        while let Some(key) = self.timers.expired(now) {
            if let Some(connection) = self.connections.get_mut(&key) {
                connection.peer.handle_timeout(now);
                self.go_on(key);
            }
        }
    }

    /// The buffer is ours again.
    fn completed(&mut self, completion: Completion) {
        let Completion {
            connection: key,
            operation,
            mut buffer,
            result,
        } = completion;
        let Some(connection) = self.connections.get_mut(&key) else {
            return;
        };
        match operation {
            Operation::Read => {
                connection.reading = false;
                let n = result.unwrap_or(0);
                if n == 0 {
                    connection.mute = true;
                    connection.peer.close_input();
                }
                let bytes = buffer.get_mut(..n).unwrap_or_default();
                connection.take(bytes, &mut self.shared, self.clock.now());
                self.shared.free.push(buffer);
            }
            Operation::Write { from } => match result {
                Ok(n) if n > 0 && from + n < buffer.len() => {
                    self.ring.write(key, buffer, from + n);
                }
                result => {
                    connection.writing = false;
                    connection.deaf |= !matches!(result, Ok(n) if n > 0);
                    if self.shared.written.len() < SPARE {
                        self.shared.written.push(buffer);
                    }
                }
            },
        }
    }

    /// Sees to everything that need not wait for a completion, and submits what must.
    fn go_on(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(&key) else {
            return;
        };
        let now = self.clock.now();
        connection.take(&mut [], &mut self.shared, now);
        while connection.peer.has_output() && !connection.writing {
            let mut buffer = self.shared.written.pop().unwrap_or_default();
            connection.peer.take_output(&mut buffer);
            if connection.deaf {
                // Input that waited for output to leave goes on.
                connection.take(&mut [], &mut self.shared, now);
                continue;
            }
            connection.writing = true;
            self.ring.write(key, buffer, 0);
            // Output has moved: somebody who was blocked may be able to send now.
            connection.take(&mut [], &mut self.shared, now);
        }

        let wants = connection.peer.wants();
        if wants == Wants::Batch && !self.unfinished.contains(&key) {
            self.unfinished.push(key);
        }
        let over = wants == Wants::Closed && !connection.writing;
        if over && !connection.shut {
            connection.shut = true;
            self.ring.shut(key);
        }
        // When all is over, only to see that the peer has read it.
        let reads = over || matches!(wants, Wants::Bytes(_));
        if reads && !connection.reading && !connection.mute {
            connection.reading = true;
            let size = self.shared.size;
            let buffer = self.shared.free.pop().unwrap_or_else(|| vec![0; size]);
            self.ring.read(key, buffer);
        }

        if connection.peer.has_ended() {
            // The core counts no time any more: how long last words may take is up to the driver.
            let until = *connection.goodbye.get_or_insert(now + GOODBYE);
            if until <= now {
                self.ring.abandon(key);
            }
            if over && !connection.reading {
                self.timers.set(key, None);
                if let Some(connection) = self.connections.remove(&key) {
                    self.shared.application.closed(connection.seat);
                }
                return;
            }
        }
        let wake = match connection.goodbye {
            Some(until) => Some(until).filter(|until| *until > now),
            None => connection.peer.poll_timeout(now),
        };
        self.timers.set(key, wake);
    }
}

impl<A: Application> Connection<A> {
    /// Takes bytes that have come, as many as it can now and the rest later; and what is due
    /// without any.
    fn take(&mut self, mut bytes: &mut [u8], shared: &mut Shared<A>, now: Instant) {
        shared.traffic.read += bytes.len() as u64;
        if self.peer.wants() == Wants::Closed {
            // Nobody wants to hear it.
            self.carry = Carry::new();
            return;
        }
        if !self.carry.is_empty() {
            let behind = self.take_carried(bytes, shared, now);
            let Some(rest) = bytes.get_mut(behind..).filter(|_| self.carry.is_empty()) else {
                return;
            };
            bytes = rest;
        }
        let mut at = 0;
        for _ in 0..BATCHES {
            let rest = bytes.get_mut(at..).unwrap_or_default();
            let mut batch = Batch::over(rest, &mut shared.consumed);
            while let Some(event) = self.peer.poll_event(&mut batch, now) {
                let application = &mut shared.application;
                application.on_event(&mut self.peer, &mut self.seat, event);
            }
            let (consumed, secret) = (shared.consumed.bytes(), shared.consumed.secret());
            if secret {
                // The next one to read into this buffer is somebody else.
                bytes
                    .get_mut(at..at + consumed)
                    .unwrap_or_default()
                    .zeroize();
            }
            at += consumed;
            if self.peer.wants() != Wants::Batch {
                break;
            }
        }
        let rest = bytes.get(at..).unwrap_or_default();
        if !rest.is_empty() && shared.rx.load(&mut self.carry, rest.len()).is_ok() {
            shared.rx.push(rest);
            shared.traffic.copied += rest.len() as u64;
            shared.rx.park(&mut self.carry);
        }
    }

    /// Goes on with what is carried, and appends as much of `bytes` as that needs to be complete;
    /// says how much that was. Either nothing is carried then, or nothing is left of `bytes`.
    fn take_carried(&mut self, bytes: &[u8], shared: &mut Shared<A>, now: Instant) -> usize {
        let rx = &mut shared.rx;
        if rx.load(&mut self.carry, self.peer.need()).is_err() {
            // Nobody leaves the buffer without parking.
            return 0;
        }
        let (mut rest, mut batches) = (bytes, 0);
        loop {
            while let Some(event) = self.peer.poll_event(&mut rx.batch(), now) {
                let application = &mut shared.application;
                application.on_event(&mut self.peer, &mut self.seat, event);
            }
            batches += 1;
            let n = match self.peer.wants() {
                Wants::Batch if batches < BATCHES => continue,
                _ if rx.is_empty() || rest.is_empty() => break,
                Wants::Bytes(n) => n.min(rest.len()),
                // It takes nothing now, or has had its turn. All of it waits, and nothing is read
                // meanwhile.
                _ => rest.len(),
            };
            let (front, behind) = rest.split_at(n);
            rx.push(front);
            shared.traffic.copied += n as u64;
            rest = behind;
        }
        rx.park(&mut self.carry);
        bytes.len() - rest.len()
    }
}
