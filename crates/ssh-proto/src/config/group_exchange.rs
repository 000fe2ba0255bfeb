//! `diffie-hellman-group-exchange-*` (RFC 4419): which groups are asked for, taken, and given.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::ops::RangeInclusive;

use crate::crypto::agree::dh::is_generator;
use crate::wire::Mpint;

/// The sizes of groups, in bits, between which everything here must be. RFC 4419 section 3 names
/// them; a larger one would take a peer's time for nothing.
const BITS: RangeInclusive<u32> = 1024..=8192;

/// Group exchange: the sizes of groups, in bits, and the groups of a server.
///
/// A client asks for these sizes and takes no group of another one. A server chooses what the client
/// asks for within `min` and `max`: the smallest group of at least the size that it prefers, or else
/// the largest; among several of a size, any.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GroupExchange {
    /// The smallest, 1024 to 8192. By default 2048: what is below can be broken by those who have
    /// the means (RFC 8270, Logjam).
    pub min: u32,
    /// What a client prefers, from `min` to `max`. By default 3072, as strong as a key of 128 bits.
    pub preferred: u32,
    /// The largest, `min` to 8192. By default 8192.
    pub max: u32,
    /// Safe groups of a server, besides those of RFC 3526, which it always has. OpenSSH's file
    /// `moduli` holds such groups.
    pub groups: Arc<[DhGroup]>,
}

impl Default for GroupExchange {
    fn default() -> Self {
        Self {
            min: 2048,
            preferred: 3072,
            max: 8192,
            groups: Arc::default(),
        }
    }
}

impl GroupExchange {
    /// What must hold: the field, whether it does, and what is wrong where it does not.
    pub(super) fn rules(&self) -> [(&'static str, bool, &'static str); 3] {
        let Self {
            min,
            preferred,
            max,
            ..
        } = self;
        [
            (
                "group_exchange.min",
                BITS.contains(min),
                "is not 1024 to 8192",
            ),
            (
                "group_exchange.max",
                BITS.contains(max) && min <= max,
                "is not `group_exchange.min` to 8192",
            ),
            (
                "group_exchange.preferred",
                min <= preferred && preferred <= max,
                "is not `group_exchange.min` to `group_exchange.max`",
            ),
        ]
    }
}

/// A group of a server's own: a safe prime and a generator.
///
/// Whoever supplies it vouches for the prime: that `p` and `(p - 1) / 2` are prime is not tested
/// here.
#[derive(Clone, PartialEq, Eq)]
pub struct DhGroup {
    /// Big-endian, without leading zero bytes.
    p: Box<[u8]>,
    g: Box<[u8]>,
}

impl DhGroup {
    /// A group of these numbers, unsigned and big-endian.
    ///
    /// # Errors
    ///
    /// [`DhGroupError`] unless `p` is odd and of 1024 to 8192 bits, and `1 < g < p - 1`.
    pub fn new(p: &[u8], g: &[u8]) -> Result<Self, DhGroupError> {
        let (p, g) = (Mpint::from_unsigned(p), Mpint::from_unsigned(g));
        let bits = u32::try_from(p.bits()).unwrap_or(u32::MAX);
        if !BITS.contains(&bits) {
            return Err(DhGroupError::Size { bits });
        }
        let (p, g) = (p.as_unsigned(), g.as_unsigned());
        if p.last().is_none_or(|last| last % 2 == 0) {
            return Err(DhGroupError::Even);
        }
        if !is_generator(g, p) {
            return Err(DhGroupError::Generator);
        }
        Ok(Self {
            p: p.into(),
            g: g.into(),
        })
    }

    /// The prime, big-endian, without leading zero bytes.
    pub const fn p(&self) -> &[u8] {
        &self.p
    }

    /// The generator, big-endian, without leading zero bytes.
    pub const fn g(&self) -> &[u8] {
        &self.g
    }

    /// The size of the prime in bits.
    pub fn bits(&self) -> u32 {
        u32::try_from(Mpint::from_unsigned(&self.p).bits()).unwrap_or(u32::MAX)
    }
}

/// Shows the sizes; the numbers are long.
impl fmt::Debug for DhGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DhGroup({} bits)", self.bits())
    }
}

/// Why two numbers are no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DhGroupError {
    /// The prime has less than 1024 or more than 8192 bits.
    Size {
        /// How many it has.
        bits: u32,
    },
    /// The prime is even.
    Even,
    /// The generator is 0, 1, `p - 1` or above.
    Generator,
}

impl fmt::Display for DhGroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { bits } => write!(f, "a prime of {bits} bits is outside 1024 to 8192"),
            Self::Even => f.write_str("the prime is even"),
            Self::Generator => f.write_str("the generator is not above 1 and below p - 1"),
        }
    }
}

impl core::error::Error for DhGroupError {}
