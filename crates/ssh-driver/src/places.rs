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

    /// The handler is to be asked about a login, which keeps its place until the
    /// [answer](Self::answered). False if it has had to give it up: then nobody is to be asked.
    #[must_use]
    pub fn ask(&mut self, place: &Place) -> bool {
        place
            .start
            .as_ref()
            .is_some_and(|start| self.gate.ask(start))
    }

    /// The handler has answered.
    pub fn answered(&mut self, place: &Place) {
        if let Some(start) = &place.start {
            self.gate.answered(start);
        }
    }

    /// The user is in. False if the place is gone: the connection had to make room, or the server has
    /// stopped. Then it is to be ended.
    #[must_use]
    pub fn logged_in(&mut self, place: &mut Place) -> bool {
        if let Some(start) = place.start.take() {
            self.gate.leave(start);
        }
        self.connections.contains_key(&place.number)
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
        let _ = self.logged_in(place);
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use ssh_keys::SigningKey;
    use ssh_server::{FixedUsers, HostKeys, StartLimits};

    use super::*;

    /// Places for two, of which one may log in at a time.
    fn places() -> Places<&'static str> {
        let keys = HostKeys::new([SigningKey::ed25519(&[1; 32])]).unwrap();
        let users = |_: SocketAddr| FixedUsers::new();
        let options = ServerOptions::new(keys, users);
        Places::new(&options.connections(2).starts(StartLimits::new(1)))
    }

    fn from(host: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, host])
    }

    #[test]
    fn who_has_had_to_make_room_is_not_let_in_and_nobody_is_asked_about_him() {
        let mut places = places();
        let mut one = places.enter(from(1), "one").unwrap().place;
        let two = places.enter(from(2), "two").unwrap();
        assert_eq!(two.displaced, Some("one"));
        assert!(!places.ask(&one));
        assert!(!places.logged_in(&mut one));
        assert_eq!(
            places.replace(one.number(), "running", |_, _| true),
            Some("running")
        );
        assert_eq!(places.leave(&mut one), None);
        let mut two = two.place;
        assert!(places.ask(&two));
        places.answered(&two);
        assert!(places.logged_in(&mut two));
        assert_eq!(places.len(), 1);
    }

    #[test]
    fn who_is_asked_about_or_in_keeps_the_place() {
        let mut places = places();
        let mut one = places.enter(from(1), "one").unwrap().place;
        assert!(places.ask(&one));
        assert!(
            places.enter(from(2), "two").is_none(),
            "the only one is asked about"
        );
        places.answered(&one);
        assert!(places.logged_in(&mut one));
        let two = places.enter(from(2), "two").unwrap();
        assert_eq!(two.displaced, None);
        let three = places.enter(from(3), "three").unwrap();
        assert_eq!(three.displaced, Some("two"), "who is in is not touched");
        let mut left = places.stop();
        left.sort_unstable();
        assert_eq!(left, ["one", "three"]);
        assert!(places.enter(from(4), "four").is_none());
        assert!(!places.logged_in(&mut one));
    }
}
