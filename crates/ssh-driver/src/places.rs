//! The connections that a server has: [`Places`]. A driver keeps it behind a lock.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use ssh_server::{StartGate, StartPlace, StartStage};

use crate::server_options::ServerOptions;

/// The connections of a server, each with what ends it.
pub struct Places<C> {
    connections: HashMap<u64, C>,
    gate: StartGate,
    most: usize,
    stopped: bool,
}

/// A place for a connection that begins to log in.
#[derive(Debug)]
#[must_use = "a place that is not given back stays taken"]
pub struct Entered<C> {
    /// The place.
    pub place: Place,
    /// A connection that had to make room. It is to be ended, without the lock.
    pub displaced: Option<C>,
}

/// A place that was taken. To be given back by [`Places::leave`].
#[derive(Debug)]
#[must_use = "a place that is not given back stays taken"]
pub struct Place {
    number: u64,
    /// As long as it is logging in.
    start: Option<StartPlace>,
}

impl<C> Places<C> {
    /// As many as the options say.
    pub fn new(options: &ServerOptions) -> Self {
        Self {
            connections: HashMap::new(),
            gate: StartGate::new(options.start_limits()),
            most: options.most_connections(),
            stopped: false,
        }
    }

    /// Takes a place for a connection that begins to log in. `None` if there is none, or if the
    /// server has stopped: it is to be closed.
    pub fn enter(&mut self, from: IpAddr, connection: C) -> Option<Entered<C>> {
        if self.stopped {
            return None;
        }
        let started = if self.connections.len() < self.most {
            self.gate.admit(from)
        } else {
            // Those who are in keep their places, those who are not make room.
            self.gate.admit_in_place(from)
        };
        let started = started.ok()?;
        let displaced = started.displaced;
        let displaced = displaced.and_then(|number| self.connections.remove(&number));
        let number = started.place.number();
        self.connections.insert(number, connection);
        let start = Some(started.place);
        Some(Entered {
            place: Place { number, start },
            displaced,
        })
    }

    /// A login has come further.
    pub fn advance(&mut self, place: &Place, stage: StartStage) {
        if let Some(start) = &place.start {
            self.gate.advance(start, stage);
        }
    }

    /// The user is in.
    pub fn logged_in(&mut self, place: &mut Place) {
        if let Some(start) = place.start.take() {
            self.gate.leave(start);
        }
    }

    /// Puts something else in its place, where `allow` says that the old one (first) may become the
    /// new one. Gives the new one back if the place is gone: the connection is over, or the server
    /// has stopped in between. Then it is to be ended, without the lock.
    #[must_use]
    pub fn replace(
        &mut self,
        number: u64,
        connection: C,
        allow: impl FnOnce(&C, &C) -> bool,
    ) -> Option<C> {
        let Some(place) = self.connections.get_mut(&number) else {
            return Some(connection);
        };
        if allow(place, &connection) {
            *place = connection;
        }
        None
    }

    /// The connection is gone. What was in its place is to be dropped without the lock.
    #[must_use]
    pub fn leave(&mut self, place: &mut Place) -> Option<C> {
        self.logged_in(place);
        self.connections.remove(&place.number)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Lets nobody in from now on, and gives out those that there are, to be ended without the
    /// lock.
    pub fn stop(&mut self) -> Vec<C> {
        self.stopped = true;
        self.connections.drain().map(|(_, c)| c).collect()
    }
}

impl Place {
    /// Its number, see [`Places::replace`].
    pub const fn number(&self) -> u64 {
        self.number
    }
}

impl<C> fmt::Debug for Places<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Places({} of {})", self.connections.len(), self.most)
    }
}
