//! The gate before the first byte: how many connections may be logging in, in all and from one
//! source, and who makes room when all places are taken. What `sshd` has `MaxStartups` and
//! `PerSourceMaxStartups` for.
//!
//! ```text
//!   a new one --source has its share--> refused
//!             --a place is free-------> in
//!             --none is---------------> in, in place of whoever has come least far
//! ```
//!
//! Whoever has not logged in costs the attacker nothing but an address, so that such connections
//! must neither take the places of users who are in, nor all of them be one source's. Refusing new
//! ones when all places are taken, or most of them by chance, would let an attacker keep everybody
//! out who holds each place for as long as the deadlines allow. Here he must come back as often as
//! places run out while one honest client logs in, and those that only wait make room first.
//!
//! Invariants: `sources` holds those with at least one place, and how many they have of `places`;
//! there are at most `full`: memory is bounded by the limits. No I/O and no lock: a driver asks
//! before it reads anything, and gives the place back as soon as the user is in or the connection is
//! gone.

use alloc::collections::BTreeMap;
use core::cmp::Reverse;
use core::fmt;
use core::net::IpAddr;

use ssh_proto::{ServerEvent, TransportEvent};

/// How many connections may be logging in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartLimits {
    /// When so many are logging in, one more takes the place of another.
    pub full: usize,
    /// When so many of one source are logging in, more of it are refused. A source is an IPv4
    /// address, or the first 64 bits of an IPv6 address, since whoever has one has all of them.
    /// Clients behind one translating router, or behind a proxy, are one source.
    pub per_source: usize,
}

impl StartLimits {
    /// At most `full`, of which one source gets 10.
    pub const fn new(full: usize) -> Self {
        Self {
            full,
            per_source: 10,
        }
    }
}

/// How far a login has come. The further it is the longer it keeps its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StartStage {
    /// Nothing has come from the client.
    #[default]
    Silent,
    /// The client has identified itself.
    Identified,
    /// The client has spoken under the new keys: it has paid for about as much as the server has.
    /// Users who type a password are here.
    Keyed,
}

impl StartStage {
    /// Where a login is after this event, if that is news.
    pub const fn after(event: &ServerEvent<'_>) -> Option<Self> {
        match event {
            ServerEvent::Transport(TransportEvent::Identified) => Some(Self::Identified),
            // Not when keys are exchanged: NEWKEYS is in clear, and so anybody's.
            ServerEvent::Auth(_) => Some(Self::Keyed),
            _ => None,
        }
    }
}

/// Decides which connections may begin to log in.
///
/// ```
/// use ssh_server::{StartGate, StartLimits, StartStage};
///
/// let mut limits = StartLimits::new(2);
/// limits.per_source = 1;
/// let mut gate = StartGate::new(limits);
/// let from = |host| std::net::IpAddr::from([192, 0, 2, host]);
/// let one = gate.admit(from(1))?.place;
/// assert!(gate.admit(from(1)).is_err());
/// let two = gate.admit(from(2))?.place;
/// // The first has identified itself, so it is the second that makes room.
/// gate.advance(&one, StartStage::Identified);
/// let three = gate.admit(from(3))?;
/// assert_eq!(three.displaced, Some(two.number()));
/// // The user is in, or the connection is gone.
/// gate.leave(one);
/// assert_eq!(gate.taken(), 1);
/// # Ok::<(), ssh_server::StartRefused>(())
/// ```
#[derive(Clone, Debug)]
pub struct StartGate {
    limits: StartLimits,
    sources: BTreeMap<Source, usize>,
    /// By number, which is the order in which they came.
    places: BTreeMap<u64, Login>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
struct Login {
    source: Source,
    stage: StartStage,
    /// Somebody is asked about it.
    asked: bool,
}

/// The place of one connection that is logging in. To be given back by [`StartGate::leave`].
#[derive(Debug)]
#[must_use = "a place that is not given back stays taken"]
pub struct StartPlace {
    number: u64,
}

impl StartPlace {
    /// Its number, which no other place of its gate ever has.
    pub const fn number(&self) -> u64 {
        self.number
    }
}

/// A connection that may begin to log in.
#[derive(Debug)]
#[must_use = "a place that is not given back stays taken"]
#[non_exhaustive]
pub struct Started {
    /// Its place.
    pub place: StartPlace,
    /// The number of the place that another one had to give up: that connection is to be closed.
    /// Its place is not taken any more, and giving it back has no effect.
    pub displaced: Option<u64>,
}

/// Why a connection may not begin to log in: it is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartRefused {
    /// [`StartLimits::full`] is zero, or nobody is there who could make room: about those who are,
    /// the application is being asked.
    Full,
    /// [`StartLimits::per_source`].
    Source,
}

impl StartGate {
    /// A gate that nobody has passed yet.
    pub const fn new(limits: StartLimits) -> Self {
        Self {
            limits,
            sources: BTreeMap::new(),
            places: BTreeMap::new(),
            next: 0,
        }
    }

    /// Takes a place for a connection from this address, before anything is read from it. Where
    /// none is free, somebody else is displaced: of those who have come least far, one of the source
    /// that has most places, and of these the one that has been there for longest. One about which
    /// the application is being asked ([`ask`](Self::ask)) stays.
    ///
    /// # Errors
    ///
    /// [`StartRefused`] says which limit has been reached; then no place was taken.
    pub fn admit(&mut self, from: IpAddr) -> Result<Started, StartRefused> {
        self.admit_among(self.limits.full, from)
    }

    /// As [`admit`](Self::admit) when no place is free: for a server that has no room for one more
    /// connection of any kind.
    ///
    /// # Errors
    ///
    /// As [`admit`](Self::admit); [`StartRefused::Full`] if nobody is logging in.
    pub fn admit_in_place(&mut self, from: IpAddr) -> Result<Started, StartRefused> {
        self.admit_among(self.taken(), from)
    }

    fn admit_among(&mut self, full: usize, from: IpAddr) -> Result<Started, StartRefused> {
        let source = Source::of(from);
        if self.share(source) >= self.limits.per_source {
            return Err(StartRefused::Source);
        }
        let mut displaced = None;
        if self.places.len() >= full {
            displaced = self.weakest();
            self.remove(displaced.ok_or(StartRefused::Full)?);
        }
        let number = self.next;
        self.next += 1;
        *self.sources.entry(source).or_default() += 1;
        let login = Login {
            source,
            stage: StartStage::Silent,
            asked: false,
        };
        self.places.insert(number, login);
        Ok(Started {
            place: StartPlace { number },
            displaced,
        })
    }

    /// A login has come further. Never moves it back.
    pub fn advance(&mut self, place: &StartPlace, stage: StartStage) {
        if let Some(login) = self.places.get_mut(&place.number) {
            login.stage = login.stage.max(stage);
        }
    }

    /// The application is to be asked about this login, which may take it a while and go on when the
    /// client is gone: until it has [answered](Self::answered) the login keeps its place, so that no more
    /// questions are open than there are places. False if the place is gone already: then nobody is
    /// to be asked.
    #[must_use]
    pub fn ask(&mut self, place: &StartPlace) -> bool {
        let login = self.places.get_mut(&place.number);
        login.map(|login| login.asked = true).is_some()
    }

    /// The application has answered.
    pub fn answered(&mut self, place: &StartPlace) {
        if let Some(login) = self.places.get_mut(&place.number) {
            login.asked = false;
        }
    }

    /// Gives a place back: the user is in, or the connection is gone. One that was displaced has
    /// none.
    pub fn leave(&mut self, place: StartPlace) {
        self.remove(place.number);
    }

    /// How many are logging in.
    pub fn taken(&self) -> usize {
        self.places.len()
    }

    fn share(&self, source: Source) -> usize {
        self.sources.get(&source).copied().unwrap_or(0)
    }

    fn weakest(&self) -> Option<u64> {
        let order = |(number, login): &(&u64, &Login)| {
            (login.stage, Reverse(self.share(login.source)), **number)
        };
        let movable = |(_, login): &(&u64, &Login)| !login.asked;
        let weakest = self.places.iter().filter(movable).min_by_key(order);
        weakest.map(|(number, _)| *number)
    }

    fn remove(&mut self, number: u64) {
        let Some(login) = self.places.remove(&number) else {
            return;
        };
        if let Some(share) = self.sources.get_mut(&login.source) {
            *share = share.saturating_sub(1);
            if *share == 0 {
                self.sources.remove(&login.source);
            }
        }
    }
}

impl fmt::Display for StartRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "no connection may log in",
            Self::Source => "too many connections from this source are logging in",
        })
    }
}

impl core::error::Error for StartRefused {}

/// What is counted as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    V4([u8; 4]),
    /// The first 64 bits: what one customer gets at the least.
    V6([u16; 4]),
}

impl Source {
    fn of(address: IpAddr) -> Self {
        // A socket for both families shows IPv4 addresses inside IPv6 ones, all in one /64.
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn while_the_application_is_asked_a_login_stays() {
        let mut gate = gate(2, 1);
        let [one, two] = [1, 2].map(|host| gate.admit(v4(host)).unwrap().place);
        gate.advance(&two, StartStage::Keyed);
        assert!(gate.ask(&one));
        // The one that has come less far is asked about.
        let three = gate.admit(v4(3)).unwrap();
        assert_eq!(three.displaced, Some(two.number()));
        assert!(!gate.ask(&two), "nobody is asked about one that is gone");
        assert!(gate.ask(&three.place));
        assert_eq!(gate.admit(v4(4)).unwrap_err(), StartRefused::Full);
        assert_eq!(gate.taken(), 2);
        gate.answered(&one);
        let five = gate.admit(v4(5)).unwrap();
        assert_eq!(five.displaced, Some(one.number()));
    }

    fn gate(full: usize, per_source: usize) -> StartGate {
        StartGate::new(StartLimits { full, per_source })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn v4(host: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, host])
    }

    /// Takes a place, and says whose place that was.
    fn enter(gate: &mut StartGate, host: u8) -> (StartPlace, Option<u64>) {
        let started = gate.admit(v4(host)).unwrap();
        (started.place, started.displaced)
    }

    #[test]
    fn one_source_gets_its_share_and_others_still_come_in() {
        let mut gate = gate(8, 2);
        let (first, _) = enter(&mut gate, 1);
        let _second = enter(&mut gate, 1);
        assert_eq!(gate.admit(v4(1)).unwrap_err(), StartRefused::Source);
        let _other = enter(&mut gate, 2);
        gate.leave(first);
        assert_eq!(gate.taken(), 2);
        let _again = enter(&mut gate, 1);
        assert!(gate.admit(v4(1)).is_err());
    }

    #[test]
    fn nobody_is_displaced_while_a_place_is_free() {
        let mut gate = gate(3, 3);
        let mut places: Vec<_> = (0..3).map(|host| enter(&mut gate, host)).collect();
        assert!(places.iter().all(|(_, displaced)| displaced.is_none()));
        gate.leave(places.pop().unwrap().0);
        assert_eq!(enter(&mut gate, 9).1, None);
        assert!(enter(&mut gate, 9).1.is_some());
        assert_eq!(gate.taken(), 3);
    }

    #[test]
    fn where_there_is_no_room_at_all_somebody_makes_room_or_nobody_comes_in() {
        let mut gate = gate(3, 3);
        let refused = gate.admit_in_place(v4(1)).unwrap_err();
        assert_eq!(refused, StartRefused::Full);
        let first = enter(&mut gate, 1).0;
        let started = gate.admit_in_place(v4(2)).unwrap();
        assert_eq!(started.displaced, Some(first.number()));
        assert_eq!(gate.taken(), 1);
    }

    #[test]
    fn who_has_come_least_far_makes_room_and_of_those_the_oldest() {
        let mut gate = gate(4, 9);
        let places: Vec<_> = (0..4).map(|host| enter(&mut gate, host).0).collect();
        gate.advance(&places[0], StartStage::Keyed);
        gate.advance(&places[2], StartStage::Identified);
        gate.advance(&places[0], StartStage::Identified);
        let mut displaced = Vec::new();
        for host in 10..16 {
            let (place, number) = enter(&mut gate, host);
            displaced.push(number.unwrap());
            gate.advance(&place, StartStage::Keyed);
        }
        let number = |at: usize| places[at].number();
        assert_eq!(displaced[..4], [number(1), number(3), number(2), number(0)]);
        // When all have come as far, it is the turn of those that came in their places.
        assert_eq!(displaced[4..], [4, 5]);
    }

    #[test]
    fn of_those_who_have_come_as_far_the_source_with_most_places_makes_room() {
        let mut gate = gate(4, 3);
        let honest = enter(&mut gate, 1).0;
        let greedy: Vec<_> = (0..3).map(|_| enter(&mut gate, 2).0).collect();
        let (_, displaced) = enter(&mut gate, 3);
        assert_eq!(displaced, Some(greedy[0].number()));
        let (_, displaced) = enter(&mut gate, 4);
        assert_eq!(displaced, Some(greedy[1].number()));
        let (_, displaced) = enter(&mut gate, 5);
        assert_eq!(displaced, Some(honest.number()), "each has one now");
    }

    #[test]
    fn a_place_that_was_lost_is_given_back_only_once() {
        let mut gate = gate(1, 1);
        let lost = enter(&mut gate, 1).0;
        let (place, displaced) = enter(&mut gate, 2);
        assert_eq!(displaced, Some(lost.number()));
        gate.advance(&lost, StartStage::Keyed);
        gate.leave(lost);
        assert_eq!(gate.taken(), 1);
        gate.leave(place);
        assert_eq!((gate.taken(), gate.sources.len()), (0, 0));
    }

    #[test]
    fn limits_that_make_no_sense_refuse_and_do_not_panic() {
        for (full, per_source) in [(0, 0), (0, 9), (2, 9), (usize::MAX, usize::MAX)] {
            let mut gate = gate(full, per_source);
            let mut places = Vec::new();
            for host in 0..4 {
                places.extend(gate.admit(v4(host)));
            }
            assert!(gate.taken() <= full);
        }
        assert_eq!(gate(0, 9).admit(v4(1)).unwrap_err(), StartRefused::Full);
        let _ = StartLimits::new(usize::MAX);
    }

    #[test]
    fn addresses_of_one_network_are_one_source_and_mapped_ones_are_not() {
        let same = |a: &str, b: &str| Source::of(address(a)) == Source::of(address(b));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }

    #[test]
    fn memory_is_given_back_with_the_last_place_of_a_source() {
        let mut gate = gate(1000, 10);
        for round in 0..3 {
            let places: Vec<_> = (0..100).map(|host| enter(&mut gate, host).0).collect();
            assert_eq!((gate.taken(), gate.sources.len()), (100, 100), "{round}");
            for place in places {
                gate.leave(place);
            }
            assert_eq!((gate.taken(), gate.sources.len()), (0, 0), "{round}");
        }
    }
}
