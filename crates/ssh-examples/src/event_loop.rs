//! An event loop over readiness: one thread, one receive buffer, any number of connections.
//!
//! ```text
//!   poll ----> flags: readable, writable -----> ready list ----> turn of a connection
//!   timers --> handle_timeout -----------------^      ^              |
//!                                                     '-- has more --'
//!
//!   turn:  load -> ( events -> write -> read )* -> park -> when to be woken
//! ```
//!
//! What is to be kept in mind when the core is driven this way:
//!
//! - Readiness comes as an edge, once. A flag remembers it until a system call says that it would
//!   block.
//! - A connection that could go on for ever may not: after [`TURN`] bytes it goes to the end of the
//!   ready list, and the others have their turns.
//! - The receive buffer is in use by one connection at a time. Between turns a connection keeps a
//!   `Carry`, which has no memory unless a packet has come in part.
//! - Before a connection sleeps it is asked when to be woken.
//! - `Ended` is no reason to close the socket: the last words are written first, and the peer gets
//!   to read them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use ssh_proto::{Carry, Instant, Peer, RecvBuf, Wants};

use crate::os::Clock;
use crate::timers::Timers;

/// How many bytes a connection may read and write before it is the next one's turn.
pub const TURN: usize = 256 * 1024;
/// What a batch with another one behind it counts for. Compressed packets may be a thousand times as
/// large as they came, so bytes that were read do not say how much there was to do with them; but what
/// packets of one batch inflate to is 384 KiB at the most.
const BATCH: usize = 64 * 1024;
/// How many connections are accepted before those that are there have their turns.
const ACCEPTS: usize = 64;
/// How long a peer has to take our last words.
const GOODBYE: Duration = Duration::from_secs(2);

const LISTENER: Token = Token(usize::MAX - 1);

/// What a program does with its connections.
pub trait Application {
    /// Which side of them it is.
    type Peer: Peer;
    /// What it keeps for each.
    type Seat;

    /// Somebody has connected. `None` turns them away.
    fn accepted(&mut self, from: SocketAddr) -> Option<(Self::Peer, Self::Seat)>;

    /// Something happened. Whatever the answer is, the loop writes the output.
    fn on_event(
        &mut self,
        peer: &mut Self::Peer,
        seat: &mut Self::Seat,
        event: <Self::Peer as Peer>::Event<'_>,
    );

    /// A connection is gone, after its `Ended` or before anything could be done with it.
    fn closed(&mut self, seat: Self::Seat);
}

/// All connections of a thread, and what they share.
pub struct EventLoop<A: Application> {
    application: A,
    poll: Poll,
    events: Events,
    listener: Option<TcpListener>,
    /// Somebody may be waiting to be accepted.
    acceptable: bool,
    /// Boxed, so that a connection that is gone leaves its memory to the next one of any size.
    connections: Slab<Box<Connection<A>>>,
    most_connections: usize,
    rx: RecvBuf,
    ready: VecDeque<usize>,
    timers: Timers,
    clock: Clock,
    moved: u64,
}

struct Connection<A: Application> {
    socket: TcpStream,
    peer: A::Peer,
    seat: A::Seat,
    carry: Carry,
    readable: bool,
    writable: bool,
    /// Is on the ready list.
    ready: bool,
    /// Nothing can be written any more.
    deaf: bool,
    /// The peer has closed its direction.
    mute: bool,
    /// Our direction is closed: the peer reads our last words.
    shut: bool,
    /// From `Ended` on: when the connection is given up with last words or without.
    goodbye: Option<Instant>,
}

/// How the turn of a connection ended.
enum Turn {
    /// Nothing can be done until something happens.
    Waits,
    /// It could go on, but others want to as well.
    HasMore,
    /// It is over.
    Over,
}

impl<A: Application> EventLoop<A> {
    /// A loop without connections, which will hold `most_connections` at a time.
    ///
    /// # Errors
    ///
    /// What the operating system says when it has no selector to give.
    pub fn new(application: A, most_connections: usize) -> io::Result<Self> {
        Ok(Self {
            application,
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            listener: None,
            acceptable: false,
            connections: Slab::new(),
            most_connections,
            rx: RecvBuf::new(),
            ready: VecDeque::new(),
            timers: Timers::default(),
            clock: Clock::default(),
            moved: 0,
        })
    }

    /// Accepts connections at `address` from now on.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        let mut listener = TcpListener::bind(address)?;
        let interest = Interest::READABLE;
        listener.register(self.poll.registry(), LISTENER, interest)?;
        let address = listener.local_addr()?;
        self.listener = Some(listener);
        Ok(address)
    }

    /// Begins to connect to `address`. Whether that succeeds, the events of the connection say.
    ///
    /// # Errors
    ///
    /// What the operating system says at once.
    pub fn connect(&mut self, address: SocketAddr, peer: A::Peer, seat: A::Seat) -> io::Result<()> {
        match TcpStream::connect(address) {
            Ok(socket) => self.insert(socket, peer, seat),
            Err(error) => {
                self.application.closed(seat);
                Err(error)
            }
        }
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there are no connections.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// The bytes of memory that the one receive buffer holds.
    pub const fn buffered(&self) -> usize {
        self.rx.capacity()
    }

    /// How many bytes were read and written, by all connections since the beginning.
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// What the program keeps for all of them.
    pub const fn application(&mut self) -> &mut A {
        &mut self.application
    }

    /// Has the program do something with every connection, outside of events.
    pub fn visit(&mut self, mut visit: impl FnMut(&mut A::Peer, &mut A::Seat)) {
        for (key, connection) in &mut self.connections {
            visit(&mut connection.peer, &mut connection.seat);
            // The law: after any call that changes something, look at the output and the time.
            connection.enqueue(key, &mut self.ready);
        }
    }

    /// Waits until something happens, `most` at the longest, and gives everybody to whom it
    /// happened a turn.
    ///
    /// # Errors
    ///
    /// What the selector says; the loop cannot go on then.
    pub fn round(&mut self, most: Duration) -> io::Result<()> {
        let wait = if self.ready.is_empty() && !self.can_accept() {
            let now = self.clock.now();
            let next = self.timers.earliest().map(|at| at.saturating_since(now));
            next.map_or(most, |next| next.min(most))
        } else {
            Duration::ZERO
        };
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &self.events {
            if event.token() == LISTENER {
                self.acceptable = true;
                continue;
            }
            // An event of a connection that is gone may meet the next one in its slot. That one
            // will find out that nothing is ready.
            let key = event.token().0;
            if let Some(connection) = self.connections.get_mut(key) {
                // What has gone wrong, reading and writing will say.
                connection.readable |=
                    event.is_readable() || event.is_read_closed() || event.is_error();
                connection.writable |= event.is_writable() || event.is_error();
                connection.enqueue(key, &mut self.ready);
            }
        }
        self.accept();
        let now = self.clock.now();
        while let Some(key) = self.timers.expired(now) {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.peer.handle_timeout(now);
                connection.enqueue(key, &mut self.ready);
            }
        }
        // Those who are put on the list again meanwhile wait for the next round.
        for _ in 0..self.ready.len() {
            let Some(key) = self.ready.pop_front() else {
                break;
            };
            self.turn(key);
        }
        Ok(())
    }

    fn can_accept(&self) -> bool {
        self.acceptable && self.connections.len() < self.most_connections
    }

    /// Lets in who waits. Those who find the house full wait where they are, in the backlog of the
    /// kernel, until somebody leaves.
    fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            if !self.can_accept() {
                return;
            }
            let Some(listener) = &self.listener else {
                return;
            };
            match listener.accept() {
                Ok((socket, from)) => {
                    if let Some((peer, seat)) = self.application.accepted(from) {
                        // It fails where the selector is full: then they are turned away.
                        let _ = self.insert(socket, peer, seat);
                    }
                }
                // They have thought better of it.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nobody waits; or no descriptor is left, and then it is tried again when somebody
                // leaves.
                Err(_) => self.acceptable = false,
            }
        }
    }

    fn insert(&mut self, mut socket: TcpStream, peer: A::Peer, seat: A::Seat) -> io::Result<()> {
        // Output is collected by the core, so the kernel need not wait for more; if it does all the
        // same, things are slower.
        let _ = socket.set_nodelay(true);
        let entry = self.connections.vacant_entry();
        let key = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = socket.register(self.poll.registry(), Token(key), interest) {
            self.application.closed(seat);
            return Err(error);
        }
        let connection = entry.insert(Box::new(Connection {
            socket,
            peer,
            seat,
            carry: Carry::new(),
            // The selector says so at once if it is so.
            readable: false,
            writable: false,
            ready: false,
            deaf: false,
            mute: false,
            shut: false,
            goodbye: None,
        }));
        // Its deadlines begin with its first turn.
        connection.enqueue(key, &mut self.ready);
        Ok(())
    }

    fn turn(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.ready = false;
        let now = self.clock.now();
        let (turn, moved) = connection.turn(&mut self.rx, &mut self.application, now);
        self.moved += moved as u64;
        match turn {
            // The memory of the output goes to the next one. A loop with few connections would let
            // them keep it: they would give it back by themselves when they are idle.
            Turn::Waits => connection.peer.give_back(),
            Turn::HasMore => connection.enqueue(key, &mut self.ready),
            Turn::Over => {
                self.timers.set(key, None);
                let connection = self.connections.remove(key);
                self.application.closed(connection.seat);
                self.acceptable = self.listener.is_some();
                return;
            }
        }
        let wake = connection.wake(now);
        self.timers.set(key, wake);
    }
}

impl<A: Application> Connection<A> {
    fn enqueue(&mut self, key: usize, ready: &mut VecDeque<usize>) {
        if !self.ready {
            self.ready = true;
            ready.push_back(key);
        }
    }

    /// One turn, and how many bytes it has moved.
    fn turn(&mut self, rx: &mut RecvBuf, application: &mut A, now: Instant) -> (Turn, usize) {
        if self.goodbye.is_some_and(|until| until <= now) {
            return (Turn::Over, 0);
        }
        if rx.load(&mut self.carry, self.peer.need()).is_err() {
            // Nobody leaves the buffer without parking.
            return (Turn::Over, 0);
        }
        let mut moved = 0;
        let turn = self.talk(rx, application, now, &mut moved);
        rx.park(&mut self.carry);
        if self.peer.has_ended() {
            // The core counts no time any more: how long last words may take is up to the driver.
            self.goodbye.get_or_insert(now + GOODBYE);
        }
        (turn, moved)
    }

    fn talk(
        &mut self,
        rx: &mut RecvBuf,
        application: &mut A,
        now: Instant,
        moved: &mut usize,
    ) -> Turn {
        let mut batches = 0;
        loop {
            while let Some(event) = self.peer.poll_event(&mut rx.batch(), now) {
                application.on_event(&mut self.peer, &mut self.seat, event);
            }
            *moved += self.write();
            let done = *moved + batches * BATCH;
            match self.peer.wants() {
                Wants::Closed if !self.peer.has_output() => return self.part(),
                Wants::Bytes(_) if !self.readable => return Turn::Waits,
                Wants::Batch | Wants::Bytes(_) if done >= TURN => return Turn::HasMore,
                Wants::Batch => batches += 1,
                Wants::Bytes(n) => match self.socket.read(rx.spare(n)) {
                    Ok(0) => self.no_more_input(),
                    Ok(n) => {
                        rx.filled(n);
                        *moved += n;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => self.no_more_input(),
                },
                // For room to write, or for an answer: the applications here give theirs at once,
                // another one would `visit`.
                _ => return Turn::Waits,
            }
        }
    }

    fn no_more_input(&mut self) {
        self.mute = true;
        self.readable = false;
        self.peer.close_input();
    }

    /// Writes what the socket takes, and says how much that was.
    fn write(&mut self) -> usize {
        let mut written = 0;
        while self.writable && self.peer.has_output() {
            match self.socket.write(self.peer.output()) {
                Ok(n) => {
                    self.peer.consume_output(n);
                    written += n;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    // Nobody listens; but what they said before is still to be read.
                    self.deaf = true;
                    self.readable = !self.mute;
                    break;
                }
            }
        }
        if self.deaf {
            let n = self.peer.output().len();
            self.peer.consume_output(n);
            written += n;
        }
        written
    }

    /// Everything was said. Were the socket closed now while something has come that nobody read,
    /// the kernel would answer with a reset, and that may overtake our last words. So only our
    /// direction is closed, and the socket when the peer has closed its own.
    fn part(&mut self) -> Turn {
        if self.deaf || self.mute {
            return Turn::Over;
        }
        if !self.shut {
            self.shut = true;
            if self.socket.shutdown(Shutdown::Write).is_err() {
                return Turn::Over;
            }
        }
        let mut dropped = [0; 4096];
        for _ in 0..TURN / dropped.len() {
            match self.socket.read(&mut dropped) {
                Ok(0) => return Turn::Over,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Turn::Waits,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Turn::Over,
            }
        }
        Turn::HasMore
    }

    /// When this connection is to have a turn even if nothing happens.
    fn wake(&mut self, now: Instant) -> Option<Instant> {
        match self.goodbye {
            Some(until) => Some(until),
            None => self.peer.poll_timeout(now),
        }
    }
}
