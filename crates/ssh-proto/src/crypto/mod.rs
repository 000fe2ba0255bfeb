//! The primitives, and the only place that names a crate of primitives.
//!
//! Everything above sees closed enums and our own errors: which library computes what is decided
//! here, file by file, and can be changed here. No randomness is drawn but from a
//! [`Generator`](generator::Generator) or a [`Random`](crate::random::Random) that is passed in,
//! so that the core stays deterministic; for that reason the key agreement and the signing of
//! `ring`, which insist on the system's source, are not used.
//!
//! Secrets are wiped when they are dropped. The types of `ring` do not wipe themselves: a key that
//! everybody knows is written over them.

use core::hint::black_box;
use core::mem;

pub(crate) mod agree;
pub(crate) mod cipher;
pub(crate) mod error;
pub(crate) mod generator;
pub(crate) mod hash;
pub(crate) mod mac;
mod memo;
pub(crate) mod sign;
pub(crate) mod verify;

pub(crate) use error::CryptoError;

/// How much of the stack is overwritten: more than the making of any key takes. The tables of
/// Blowfish have 4 KiB, and are moved about.
const BURNT: usize = if cfg!(feature = "legacy") { 24 } else { 8 } * 1024;

/// Does `work` where the stack has been overwritten, and overwrites it again: a value that is moved
/// leaves a copy where it was, and whatever lies in the gaps of the next one that is made there moves
/// along with it, into memory that nobody knows to wipe.
pub(crate) fn on_burnt_stack<T>(work: impl FnOnce() -> T) -> T {
    burn_stack();
    let done = in_a_frame_of_its_own(work);
    burn_stack();
    done
}

/// Puts `nothing` in the place of a key whose type wipes what is in use of it when it is dropped, and
/// not the gaps, nor the rest of a union, which came from the stack where the key had been as well.
pub(crate) fn overwrite<T>(key: &mut T, nothing: impl FnOnce() -> T) {
    on_burnt_stack(|| {
        let mut nothing = nothing();
        // Exchanged and not assigned: an assignment may be made in place, around the gap.
        mem::swap(key, &mut nothing);
        black_box(&mut nothing);
    });
}

#[inline(never)]
fn in_a_frame_of_its_own<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn burn_stack() {
    let mut below = [0_u8; BURNT];
    black_box(&mut below);
}
