//! Our client and our server in one process, over loopback: what every driver must do.

#[path = "../../ssh-blocking/tests/bodies/lifetimes.rs"]
mod lifetimes;
#[path = "../../ssh-blocking/tests/bodies/loopback.rs"]
mod loopback;
#[path = "../../ssh-blocking/tests/bodies/order.rs"]
mod order;

#[path = "facade/mod.rs"]
#[expect(dead_code, unused_imports, reason = "other bodies need the rest")]
mod driver;
