//! What is in memory that is given back, and whether what is held grows: with an allocator that
//! sees all of it.

use ssh_testkit::alloc::TrackingAllocator;

mod growth;
mod secrets;

#[global_allocator]
static ALLOCATOR: TrackingAllocator = TrackingAllocator;
