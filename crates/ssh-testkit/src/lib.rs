//! What the tests of this workspace share.
//!
//! | module | what it gives a test |
//! |---|---|
//! | [`alloc`] | counts allocations, refuses them, and finds secrets in memory that is given back |
//! | [`raw`] | a peer that holds the keys and keeps no rules, with a transport of its own |
//! | [`rng`] | randomness that a seed repeats |
//! | [`peers`] | other people's implementations on loopback |
//! | [`sim`] | a client and a server on a simulated link, with a virtual clock |
//! | [`harness`] | tests that are `ignored` by the name of the peer that is missing |
//!
//! Nothing here is fit for production, and none of it is published.

pub mod alloc;
pub mod harness;
pub mod peers;
pub mod raw;
pub mod rng;
pub mod sim;
