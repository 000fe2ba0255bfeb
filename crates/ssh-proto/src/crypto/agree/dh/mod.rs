//! Diffie-Hellman modulo a prime: RFC 4253 section 8, RFC 4419, RFC 8268.
//!
//! ```text
//!   public = g^x mod p        K = peer^x mod p
//! ```
//!
//! `p` is public, and what is computed with it takes a time that depends on its size alone.
//! Exponents are short, and how long they are is public too ([`exponent_bits`]); which they are does
//! not show. Nothing is computed from a public value of a peer that is out of range or trivial.
//! Exponents, secrets and what lies between are wiped.
//!
//! A prime that a peer names is taken for one: see [`Group::new`].

pub(crate) mod groups;
#[cfg(test)]
mod tests;

use alloc::{boxed::Box, vec, vec::Vec};
use core::fmt;

use crypto_bigint::{
    BoxedUint, Odd,
    modular::{BoxedMontyForm, BoxedMontyParams},
};
use groups::{GENERATOR, Named};
use zeroize::{Zeroize as _, Zeroizing};

use super::SharedSecret;
use crate::{
    algorithm::KexAlgorithm,
    crypto::{CryptoError, memo::remembered},
    random::{Purpose, Streams},
    wire::{MAX_MPINT_LEN, Mpint},
};

/// A public value with fewer bits set would give its exponent away, or nearly: OpenSSH refuses
/// the same ones.
const FEWEST_ONES: u32 = 4;

/// How many powers have been computed on this thread.
#[cfg(any(test, feature = "internal-fuzzing"))]
pub(crate) mod counting {
    use core::cell::Cell;

    std::thread_local! {
        static POWERS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn another() {
        POWERS.set(POWERS.get() + 1);
    }

    pub(crate) fn powers() -> usize {
        POWERS.get()
    }
}

/// How many bits the exponents for a modulus of so many bits have: twice the strength of the group,
/// in whole words, and as many as two AES-128 keys at the least.
///
/// | modulus, up to | strength (RFC 3766, SP 800-57) | exponent |
/// |---|---|---|
/// | 2048 | 112 | 256 |
/// | 3072 | 128 | 256 |
/// | 4096 | 152 | 320 |
/// | 7680 | 192 | 384 |
/// | 8192 | 200 | 448 |
///
//= rfc4419#section-6.2
//# both client and server may reduce the size of their private exponents. It should be at least
//# twice as long as the key material that is generated from the shared secret.
pub(crate) const fn exponent_bits(modulus_bits: usize) -> u32 {
    match modulus_bits {
        0..=3072 => 256,
        3073..=4096 => 320,
        4097..=7680 => 384,
        _ => 448,
    }
}

/// A prime and a generator.
pub(crate) struct Group {
    /// Big-endian, without leading zero bytes.
    p: Box<[u8]>,
    g: Box<[u8]>,
    params: BoxedMontyParams,
}

impl Group {
    /// The group of these numbers, big-endian. The prime must be odd and the generator must be
    /// neither 0, 1, `p - 1` nor above that.
    ///
    /// Whether `p` is a safe prime is not asked. The server's signature covers `p`, so nobody else
    /// can have put it there (RFC 4419 section 3), and a server that wants to betray its clients
    /// needs no weak group: it has the keys. The answer would take a client more than ten times as
    /// long as the exchange itself, before it knows who it is talking to.
    pub(crate) fn new(p: &[u8], g: &[u8]) -> Result<Self, CryptoError> {
        let p = Mpint::from_unsigned(p).as_unsigned();
        let g = Mpint::from_unsigned(g).as_unsigned();
        if p.len() > MAX_MPINT_LEN || !is_generator(g, p) {
            return Err(CryptoError::PeerShare);
        }
        let modulus = BoxedUint::from_be_slice_vartime(p);
        let odd = Odd::new(modulus)
            .into_option()
            .ok_or(CryptoError::PeerShare)?;
        Ok(Self {
            p: p.into(),
            g: g.into(),
            params: BoxedMontyParams::new_vartime(odd),
        })
    }

    /// A group that has a name.
    pub(crate) fn named(named: Named) -> Result<Self, CryptoError> {
        Self::new(&named.prime(), &[GENERATOR])
    }

    /// The prime.
    pub(crate) fn p(&self) -> Mpint<'_> {
        Mpint::from_unsigned(&self.p)
    }

    /// The generator.
    pub(crate) fn g(&self) -> Mpint<'_> {
        Mpint::from_unsigned(&self.g)
    }

    /// A public value of a peer, without leading zero bytes, if it may have that.
    //= rfc4253#section-8
    //# Values of 'e' or 'f' that are not in the range [1, p-1] MUST NOT be sent or accepted by
    //# either side. If this condition is violated, the key exchange fails.
    fn value<'v>(&self, value: &'v [u8]) -> Result<&'v [u8], CryptoError> {
        let value = Mpint::from_unsigned(value).as_unsigned();
        let ones: u32 = value.iter().map(|byte| byte.count_ones()).sum();
        // 0 and 1 have too few, and so has 2.
        if ones >= FEWEST_ONES && is_below_top(value, &self.p) {
            Ok(value)
        } else {
            Err(CryptoError::PeerShare)
        }
    }

    /// `base^exponent mod p`, as long as the words of `p`.
    fn power(&self, base: &[u8], exponent: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        #[cfg(any(test, feature = "internal-fuzzing"))]
        counting::another();
        remembered!("power", [&self.p, base, exponent]; self.compute(base, exponent))
    }

    fn compute(&self, base: &[u8], exponent: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let number = |bytes: &[u8], bits| {
            BoxedUint::from_be_slice(bytes, bits).map_err(|_| CryptoError::Internal)
        };
        let bits = u32::try_from(exponent.len() * 8).map_err(|_| CryptoError::Internal)?;
        let exponent = Zeroizing::new(number(exponent, bits)?);
        let base = BoxedMontyForm::new(number(base, self.params.bits_precision())?, &self.params);
        let mut power = base.pow_bounded_exp(&exponent, bits);
        let value = Zeroizing::new(power.retrieve());
        power.zeroize();
        Ok(Zeroizing::new(value.to_be_bytes().into_vec()))
    }

    /// Whether a secret is 0, 1 or `p - 1`, which it can be whatever the exponents are if `p` is
    /// not what it should be. No branch depends on the secret.
    fn is_trivial(&self, secret: &[u8]) -> bool {
        let (mut small, mut top) = (0, 0);
        let p = self.p.iter().rev().copied().chain(core::iter::repeat(0));
        for (at, (secret, p)) in secret.iter().rev().zip(p).enumerate() {
            let last = if at == 0 { 1 } else { 0 };
            small |= secret & !last;
            top |= secret ^ (p & !last);
        }
        small == 0 || top == 0
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({} bits)", self.p().bits())
    }
}

/// Whether `1 < g < p - 1`, for an odd `p`. Neither begins with a zero byte.
pub(crate) fn is_generator(g: &[u8], p: &[u8]) -> bool {
    !matches!(g, [] | [1]) && is_below_top(g, p)
}

/// Whether a number is below `p - 1`, for an odd `p`. Neither begins with a zero byte.
fn is_below_top(value: &[u8], p: &[u8]) -> bool {
    let Some((last, head)) = p.split_last() else {
        return false;
    };
    let top = head.iter().copied().chain([last & !1]);
    value.len() < p.len() || value.len() == p.len() && value.iter().copied().lt(top)
}

/// A private exponent that serves one key exchange. Wiped when dropped.
pub(crate) struct Ephemeral {
    exponent: Zeroizing<Vec<u8>>,
}

impl Ephemeral {
    /// A fresh exponent, and the public value, big-endian.
    pub(crate) fn generate(
        group: &Group,
        streams: &mut Streams,
    ) -> Result<(Vec<u8>, Self), CryptoError> {
        let bits = exponent_bits(group.p().bits());
        let mut exponent = Zeroizing::new(vec![0; bits as usize / 8]);
        streams.fill(Purpose::Kex, &mut exponent);
        let public = group.power(&group.g, &exponent)?;
        let public = Mpint::from_unsigned(&public).as_unsigned().to_vec();
        Ok((public, Self { exponent }))
    }

    /// The secret shared with the owner of `peer`, a public value.
    //= rfc4419#section-3
    //# To prevent confinement attacks, they MUST accept the shared secret K only if 1 < K < p - 1.
    pub(crate) fn agree(&self, group: &Group, peer: &[u8]) -> Result<SharedSecret, CryptoError> {
        let peer = group.value(peer)?;
        let secret = group.power(peer, &self.exponent)?;
        if group.is_trivial(&secret) {
            return Err(CryptoError::PeerShare);
        }
        Ok(SharedSecret::Number(secret))
    }
}

impl fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ephemeral")
    }
}

/// The server's side in one step: its public value and the secret, from the client's value, which is
/// looked at before anything is computed.
pub(crate) fn respond(
    group: &Group,
    client: &[u8],
    streams: &mut Streams,
) -> Result<(Vec<u8>, SharedSecret), CryptoError> {
    group.value(client)?;
    let (public, private) = Ephemeral::generate(group, streams)?;
    Ok((public, private.agree(group, client)?))
}

/// The group of a method that has a fixed one.
pub(super) const fn fixed(kex: KexAlgorithm) -> Option<Named> {
    match kex {
        #[cfg(feature = "legacy")]
        KexAlgorithm::DiffieHellmanGroup1Sha1 => Some(groups::GROUP_1),
        KexAlgorithm::DiffieHellmanGroup14Sha1 | KexAlgorithm::DiffieHellmanGroup14Sha256 => {
            Some(groups::GROUP_14)
        }
        KexAlgorithm::DiffieHellmanGroup15Sha512 => Some(groups::GROUP_15),
        KexAlgorithm::DiffieHellmanGroup16Sha512 => Some(groups::GROUP_16),
        KexAlgorithm::DiffieHellmanGroup17Sha512 => Some(groups::GROUP_17),
        KexAlgorithm::DiffieHellmanGroup18Sha512 => Some(groups::GROUP_18),
        _ => None,
    }
}
