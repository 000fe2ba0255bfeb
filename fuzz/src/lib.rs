//! The bodies of the fuzz targets: one function each, from bytes to nothing or a panic.
//!
//! A file in `fuzz_targets/` hands libFuzzer's bytes to one of them, and the test `corpus` of
//! `ssh-testkit` hands every file of `fuzz/corpus/<target>/` to the function of that name. What
//! each asserts stands in `docs/fuzzing.md`. The same bytes always do the same: randomness and
//! time come from the input.

mod api;
mod bytes;
mod cells;
mod inflate;
mod keys;
mod message;
mod methods;
mod negotiation;
mod packet;
mod policy;
mod random;
pub mod reach;
mod roles;
pub mod seeds;
mod side;
mod split;
mod valid;
mod wire;

pub use api::api;
pub use bytes::{client_bytes, identification, server_bytes};
pub use inflate::inflate;
pub use keys::{authorized_keys, known_hosts, private_key};
pub use message::{message_arbitrary, messages};
pub use methods::kex_methods;
pub use negotiation::negotiation;
pub use packet::packets;
pub use split::any_split;
pub use valid::{client_valid, server_valid};
pub use wire::wire;

/// What runs one input.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also the name of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("wire", wire),
    ("messages", messages),
    ("message_arbitrary", message_arbitrary),
    ("identification", identification),
    ("packets", packets),
    ("inflate", inflate),
    ("negotiation", negotiation),
    ("kex_methods", kex_methods),
    ("client_bytes", client_bytes),
    ("server_bytes", server_bytes),
    ("client_valid", client_valid),
    ("server_valid", server_valid),
    ("any_split", any_split),
    ("api", api),
    ("known_hosts", known_hosts),
    ("authorized_keys", authorized_keys),
    ("private_key", private_key),
];
