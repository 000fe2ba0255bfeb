//! The gate before the first byte: how many connections may be logging in, in all and from one
//! source. What `sshd` calls `MaxStartups` and `PerSourceMaxStartups`.
//!
//! ```text
//!   places taken   0 ........ begin ............... full
//!   refused        none       refused_percent ----> all
//! ```
//!
//! Whoever has not logged in costs the attacker nothing but an address, so that such connections
//! must neither take the places of users who are in, nor all of them be one source's. In between,
//! refusing at random leaves an honest client a chance that grows with its attempts, where a fixed
//! limit would leave it none while somebody else refills every place at once.
//!
//! Invariants: `sources` holds those with at least one place, `taken` is their sum, and
//! `taken <= full`: memory is bounded by the limits. No I/O and no lock: a driver asks before it
//! reads anything, and gives the place back as soon as the user is in or the connection is gone.

use alloc::collections::BTreeMap;
use core::fmt;
use core::net::IpAddr;

use ssh_proto::random::Random;

/// How many connections may be logging in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StartLimits {
    /// When so many are logging in, more are refused.
    pub full: usize,
    /// When so many are logging in, some are refused at random: [`refused_percent`] of them, and
    /// more the nearer `full` is. From `full` on it means nothing.
    ///
    /// [`refused_percent`]: Self::refused_percent
    pub begin: usize,
    /// How many of a hundred are refused at `begin`, from 0 to 100.
    pub refused_percent: u8,
    /// When so many of one source are logging in, more of it are refused. A source is an IPv4
    /// address, or the first 64 bits of an IPv6 address, since whoever has one has all of them.
    /// Clients behind one translating router, or behind a proxy, are one source.
    pub per_source: usize,
}

impl StartLimits {
    /// At most `full`, of which one source gets 10; when half of them are taken, 30 of a hundred
    /// are refused.
    pub const fn new(full: usize) -> Self {
        Self {
            full,
            begin: full.div_ceil(2),
            refused_percent: 30,
            per_source: 10,
        }
    }

    /// How many of a hundred are refused when so many are logging in.
    fn refused_at(&self, taken: usize) -> u64 {
        if taken >= self.full {
            return 100;
        }
        if taken < self.begin {
            return 0;
        }
        let least = u64::from(self.refused_percent.min(100));
        let (above, range) = (taken - self.begin, self.full - self.begin);
        let share = (100 - least)
            .saturating_mul(above as u64)
            .checked_div(range as u64);
        // `begin <= taken < full`: there is a range.
        least + share.unwrap_or(0)
    }
}

/// Decides which connections may begin to log in.
///
/// ```
/// use ssh_server::{StartGate, StartLimits};
/// # use ssh_proto::random::{Random, RandomError};
/// # struct Zeros;
/// # impl Random for Zeros {
/// #     fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> { out.fill(0); Ok(()) }
/// # }
/// # let mut random = Zeros;
///
/// let mut limits = StartLimits::new(32);
/// limits.per_source = 1;
/// let mut gate = StartGate::new(limits);
/// let address = std::net::IpAddr::from([192, 0, 2, 7]);
/// let place = gate.admit(address, &mut random)?;
/// assert!(gate.admit(address, &mut random).is_err());
/// // The user is in, or the connection is gone.
/// gate.leave(place);
/// assert_eq!(gate.taken(), 0);
/// # Ok::<(), ssh_server::StartRefused>(())
/// ```
#[derive(Clone, Debug)]
pub struct StartGate {
    limits: StartLimits,
    sources: BTreeMap<Source, usize>,
    taken: usize,
}

/// The place of one connection that is logging in. To be given back by [`StartGate::leave`].
#[derive(Debug)]
#[must_use = "a place that is not given back stays taken"]
pub struct StartPlace {
    source: Source,
}

/// Why a connection may not begin to log in: it is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartRefused {
    /// [`StartLimits::full`].
    Full,
    /// By chance, between [`StartLimits::begin`] and [`StartLimits::full`].
    Chance,
    /// [`StartLimits::per_source`].
    Source,
}

impl StartGate {
    /// A gate that nobody has passed yet.
    pub const fn new(limits: StartLimits) -> Self {
        Self {
            limits,
            sources: BTreeMap::new(),
            taken: 0,
        }
    }

    /// Takes a place for a connection from this address, before anything is read from it.
    /// `random` is asked only where chance decides; where it fails, the connection is refused.
    ///
    /// # Errors
    ///
    /// [`StartRefused`] says which limit has been reached; then no place was taken.
    pub fn admit(
        &mut self,
        from: IpAddr,
        random: &mut dyn Random,
    ) -> Result<StartPlace, StartRefused> {
        let source = Source::of(from);
        let of_source = self.sources.get(&source).copied().unwrap_or(0);
        if of_source >= self.limits.per_source {
            return Err(StartRefused::Source);
        }
        match self.limits.refused_at(self.taken) {
            0 => {}
            100.. => return Err(StartRefused::Full),
            percent => {
                let mut drawn = [0; 4];
                let missed = random.fill(&mut drawn).is_ok()
                    && u64::from(u32::from_le_bytes(drawn)) * 100 >= percent << 32;
                if !missed {
                    return Err(StartRefused::Chance);
                }
            }
        }
        self.sources.insert(source, of_source + 1);
        self.taken += 1;
        Ok(StartPlace { source })
    }

    /// Gives a place back: the user is in, or the connection is gone.
    pub fn leave(&mut self, place: StartPlace) {
        // A place of another gate is not counted here.
        if let Some(of_source) = self.sources.get_mut(&place.source) {
            *of_source = of_source.saturating_sub(1);
            self.taken = self.taken.saturating_sub(1);
            if *of_source == 0 {
                self.sources.remove(&place.source);
            }
        }
    }

    /// How many are logging in.
    pub const fn taken(&self) -> usize {
        self.taken
    }
}

impl fmt::Display for StartRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "too many connections are logging in",
            Self::Chance => "many connections are logging in, and chance was against this one",
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

    use ssh_proto::random::RandomError;

    use super::*;

    /// Says the same number again and again, or fails.
    struct Always(Option<u32>);

    impl Random for Always {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
            let number = self.0.ok_or(RandomError)?;
            out.copy_from_slice(&number.to_le_bytes());
            Ok(())
        }
    }

    /// Fails: where it is used, nobody asks for a number.
    fn none() -> Always {
        Always(None)
    }

    fn limits(begin: usize, refused_percent: u8, full: usize, per_source: usize) -> StartLimits {
        StartLimits {
            full,
            begin,
            refused_percent,
            per_source,
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn v4(host: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, host])
    }

    #[test]
    fn one_source_gets_its_share_and_others_still_come_in() {
        let mut gate = StartGate::new(limits(8, 30, 8, 2));
        let first = gate.admit(v4(1), &mut none()).unwrap();
        let _second = gate.admit(v4(1), &mut none()).unwrap();
        let third = gate.admit(v4(1), &mut none());
        assert_eq!(third.unwrap_err(), StartRefused::Source);
        let _other = gate.admit(v4(2), &mut none()).unwrap();
        gate.leave(first);
        assert_eq!(gate.taken(), 2);
        let _again = gate.admit(v4(1), &mut none()).unwrap();
        assert!(gate.admit(v4(1), &mut none()).is_err());
    }

    #[test]
    fn when_all_places_are_taken_everybody_is_refused_until_one_is_given_back() {
        let mut gate = StartGate::new(limits(3, 0, 3, 3));
        let mut places: Vec<_> = (0..3)
            .map(|host| gate.admit(v4(host), &mut none()).unwrap())
            .collect();
        let refused = gate.admit(v4(9), &mut Always(Some(u32::MAX)));
        assert_eq!(refused.unwrap_err(), StartRefused::Full);
        gate.leave(places.pop().unwrap());
        let _place = gate.admit(v4(9), &mut none()).unwrap();
    }

    #[test]
    fn chance_refuses_more_the_fuller_it_is() {
        let limits = limits(10, 30, 100, 1);
        assert_eq!(limits.refused_at(9), 0);
        assert_eq!(limits.refused_at(10), 30);
        assert_eq!(limits.refused_at(55), 65);
        assert_eq!(limits.refused_at(99), 99);
        assert_eq!(limits.refused_at(100), 100);
        assert_eq!(limits.refused_at(usize::MAX), 100);
        let percents: Vec<_> = (0..=100).map(|taken| limits.refused_at(taken)).collect();
        assert!(percents.is_sorted());
    }

    #[test]
    fn the_number_drawn_decides_and_a_source_without_numbers_refuses() {
        // 50 of a hundred: the lower half of all numbers.
        let mut gate = StartGate::new(limits(0, 50, 100, 1));
        let refused = gate.admit(v4(1), &mut Always(Some(0x7fff_ffff)));
        assert_eq!(refused.unwrap_err(), StartRefused::Chance);
        let failed = gate.admit(v4(1), &mut none());
        assert_eq!(failed.unwrap_err(), StartRefused::Chance);
        assert_eq!(gate.taken(), 0);
        let _place = gate.admit(v4(1), &mut Always(Some(0x8000_0000))).unwrap();
    }

    #[test]
    fn limits_that_make_no_sense_refuse_and_do_not_panic() {
        for limits in [
            limits(0, 0, 0, 0),
            limits(5, 255, 2, 9),
            limits(usize::MAX, 200, usize::MAX, usize::MAX),
            StartLimits::new(0),
            StartLimits::new(usize::MAX),
        ] {
            let mut gate = StartGate::new(limits);
            let mut places = Vec::new();
            for host in 0..4 {
                places.extend(gate.admit(v4(host), &mut Always(Some(0))));
            }
            assert!(places.len() <= limits.full);
        }
        // Whatever `refused_percent` says, 100 is all of them.
        assert!(
            StartGate::new(limits(0, 255, 9, 9))
                .admit(v4(1), &mut Always(Some(u32::MAX)))
                .is_err()
        );
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
        let mut gate = StartGate::new(StartLimits::new(1000));
        for round in 0..3 {
            let places: Vec<_> = (0..100)
                .map(|host| gate.admit(v4(host), &mut none()).unwrap())
                .collect();
            assert_eq!((gate.taken(), gate.sources.len()), (100, 100), "{round}");
            for place in places {
                gate.leave(place);
            }
            assert_eq!((gate.taken(), gate.sources.len()), (0, 0), "{round}");
        }
    }
}
