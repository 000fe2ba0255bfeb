//! What holds whatever happens: a stream that dies, calls that are given up, peers that do not read.

mod cancellation;
#[path = "../common/mod.rs"]
mod common;
mod death;
mod decisions;
mod ecosystem;
mod fairness;
mod forward;
mod stream;
mod wakeups;

#[global_allocator]
static ALLOCATOR: ssh_testkit::alloc::TrackingAllocator = ssh_testkit::alloc::TrackingAllocator;
