//! Links `ssh-proto` without its default features into a program that has no std.
//!
//! The panic handler below is the proof: std has one too, and two do not build. The allocator
//! gives nothing; this program is linked, never run.
#![no_std]

extern crate alloc;

use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;

use ssh_proto::wire::Reader;

struct NoMemory;

// SAFETY: an allocator may refuse every request, and then it is never asked to free one.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Uses the core and an allocation, so that neither is left out of the library.
#[unsafe(no_mangle)]
pub extern "C" fn no_std_proof() -> usize {
    let mut copy = Vec::new();
    if let Ok(bytes) = Reader::new(b"\x00\x00\x00\x03abc").string() {
        copy.extend_from_slice(bytes);
    }
    copy.len()
}
