//! Where randomness comes from: from outside, once, and then from streams of our own.
//!
//! The core asks its [`Random`] for 32 bytes when a connection begins and for 32 more at each key
//! exchange. Everything else is drawn from one deterministic stream per purpose. So the same seed
//! and the same calls give the same bytes on the wire, a packet costs no call to the outside, and
//! drawing more padding does not change the next key.

use core::fmt;

use zeroize::Zeroizing;

use crate::crypto::generator::Generator;

/// A source of randomness, supplied by the driver.
///
/// What it gives must be unpredictable: every key of the connection comes from it. Only a test may
/// use a deterministic one.
pub trait Random {
    /// Fills all of `out`, or fails; after a failure the contents of `out` are not used.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError>;
}

/// The source of randomness failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RandomError;

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source of randomness failed")
    }
}

impl core::error::Error for RandomError {}

/// What random bytes are for. Each purpose has a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Ephemeral keys.
    Kex,
    /// Cookies of KEXINIT, which go out in clear.
    Cookie,
    /// Padding of packets, a few bytes for each.
    Padding,
    /// Tokens of gates and tickets.
    Token,
    /// Hedging of signature nonces.
    Signature,
}

impl Purpose {
    #[cfg(test)]
    const ALL: [Self; 5] = [
        Self::Kex,
        Self::Cookie,
        Self::Padding,
        Self::Token,
        Self::Signature,
    ];

    const fn label(self) -> &'static [u8] {
        match self {
            Self::Kex => b"kex",
            Self::Cookie => b"cookie",
            Self::Padding => b"padding",
            Self::Token => b"token",
            Self::Signature => b"signature",
        }
    }
}

/// Padding is made so many bytes at a time: it is the only purpose that every packet has.
const PADDING: usize = 480;

/// One generator per purpose, none of which tells anything about another.
pub(crate) struct Streams {
    kex: Generator,
    cookie: Generator,
    padding: Generator<PADDING>,
    token: Generator,
    signature: Generator,
}

impl Streams {
    /// Draws one seed from `random`; afterwards nothing can fail.
    pub(crate) fn new(random: &mut dyn Random) -> Result<Self, RandomError> {
        let seed = draw(random)?;
        Ok(Self {
            kex: Generator::new(&seed, Purpose::Kex.label()),
            cookie: Generator::new(&seed, Purpose::Cookie.label()),
            padding: Generator::new(&seed, Purpose::Padding.label()),
            token: Generator::new(&seed, Purpose::Token.label()),
            signature: Generator::new(&seed, Purpose::Signature.label()),
        })
    }

    /// Fills all of `out` from the stream of `purpose`.
    pub(crate) fn fill(&mut self, purpose: Purpose, out: &mut [u8]) {
        match purpose {
            Purpose::Kex => self.kex.generate(out),
            Purpose::Cookie => self.cookie.generate(out),
            Purpose::Padding => self.padding.generate(out),
            Purpose::Token => self.token.generate(out),
            Purpose::Signature => self.signature.generate(out),
        }
    }

    /// Mixes 32 fresh bytes into the stream of ephemeral keys: who had learnt its state, loses it.
    /// What was there is kept, so a weak source does not make it worse.
    pub(crate) fn reseed(&mut self, random: &mut dyn Random) -> Result<(), RandomError> {
        let fresh = draw(random)?;
        self.kex.reseed(&fresh);
        Ok(())
    }

    /// The stream of ephemeral keys, to be handed on as a [`Random`].
    pub(crate) const fn kex(&mut self) -> &mut Generator {
        &mut self.kex
    }

    /// The stream that hedges signatures, to be handed on as a [`Random`].
    pub(crate) const fn signature(&mut self) -> &mut Generator {
        &mut self.signature
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Streams")
    }
}

fn draw(random: &mut dyn Random) -> Result<Zeroizing<[u8; 32]>, RandomError> {
    let mut seed = Zeroizing::new([0; 32]);
    random.fill(seed.as_mut())?;
    Ok(seed)
}

#[cfg(test)]
pub(crate) mod testing {
    use sha2::{Digest as _, Sha256};

    use super::{Random, RandomError};

    /// Deterministic, for tests: SHA-256 of a seed and a counter.
    pub(crate) struct SeededRandom {
        seed: u64,
        counter: u64,
    }

    impl SeededRandom {
        pub(crate) const fn new(seed: u64) -> Self {
            Self { seed, counter: 0 }
        }
    }

    impl Random for SeededRandom {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
            for chunk in out.chunks_mut(32) {
                let mut hash = Sha256::new();
                hash.update(self.seed.to_be_bytes());
                hash.update(self.counter.to_be_bytes());
                self.counter += 1;
                chunk.copy_from_slice(&hash.finalize()[..chunk.len()]);
            }
            Ok(())
        }
    }

    /// Fails always.
    pub(crate) struct BrokenRandom;

    impl Random for BrokenRandom {
        fn fill(&mut self, _: &mut [u8]) -> Result<(), RandomError> {
            Err(RandomError)
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::{
        testing::{BrokenRandom, SeededRandom},
        *,
    };

    fn streams(seed: u64) -> Streams {
        Streams::new(&mut SeededRandom::new(seed)).unwrap()
    }

    fn take(streams: &mut Streams, purpose: Purpose, n: usize) -> Vec<u8> {
        let mut out = vec![0; n];
        streams.fill(purpose, &mut out);
        out
    }

    #[test]
    fn q7_purposes_and_seeds_share_no_bytes() {
        let mut blocks = std::collections::HashSet::new();
        for seed in 0..3 {
            let mut streams = streams(seed);
            for purpose in Purpose::ALL {
                for block in take(&mut streams, purpose, 1024).chunks(16) {
                    assert!(blocks.insert(block.to_vec()));
                }
            }
        }
    }

    #[test]
    fn q4_a_failing_source_is_an_error_and_no_zero_key() {
        assert_eq!(Streams::new(&mut BrokenRandom).err(), Some(RandomError));
        let (mut a, mut b) = (streams(1), streams(1));
        assert_eq!(a.reseed(&mut BrokenRandom), Err(RandomError));
        assert_eq!(
            take(&mut a, Purpose::Kex, 64),
            take(&mut b, Purpose::Kex, 64)
        );
    }

    #[test]
    fn reseeding_changes_the_ephemeral_keys_only() {
        let (mut a, mut b) = (streams(1), streams(1));
        let first = take(&mut a, Purpose::Kex, 10);
        assert_eq!(first, take(&mut b, Purpose::Kex, 10));
        a.reseed(&mut SeededRandom::new(2)).unwrap();
        for purpose in Purpose::ALL {
            let same = take(&mut a, purpose, 64) == take(&mut b, purpose, 64);
            assert_eq!(same, purpose != Purpose::Kex, "{purpose:?}");
        }
    }

    proptest! {
        /// The sizes of the requests do not matter, nor does what other purposes draw between.
        #[test]
        fn same_seed_same_bytes_in_any_pieces(
            pieces in proptest::collection::vec(0usize..700, 0..12),
        ) {
            let (mut a, mut b) = (streams(9), streams(9));
            let mut parts = Vec::new();
            for &n in &pieces {
                parts.extend(take(&mut a, Purpose::Kex, n));
                take(&mut a, Purpose::Padding, n);
            }
            prop_assert_eq!(&parts, &take(&mut b, Purpose::Kex, parts.len()));
        }
    }
}
