//! The allocator of the testkit, installed.

use std::hint::black_box;

use ssh_testkit::alloc::{self, TrackingAllocator, Usage};

#[global_allocator]
static ALLOCATOR: TrackingAllocator = TrackingAllocator;

/// In the binary, so that looking for it finds only the copies that a test makes.
static SECRET: &[u8] = b"correct horse battery staple";

#[test]
fn every_block_is_counted() {
    let (block, usage) = alloc::measure(|| black_box(vec![0_u8; 100]));
    let made = Usage {
        allocations: 1,
        frees: 0,
        bytes: 100,
        live: 100,
        peak: 100,
    };
    assert_eq!(usage, made);

    let ((), usage) = alloc::measure(|| drop(block));
    let freed = Usage {
        allocations: 0,
        frees: 1,
        bytes: 0,
        live: -100,
        peak: 0,
    };
    assert_eq!(usage, freed);
}

#[test]
fn nothing_is_counted_where_nothing_is_allocated() {
    let (sum, usage) = alloc::measure(|| black_box([1_u64, 2, 3]).iter().sum::<u64>());
    assert_eq!((sum, usage), (6, Usage::default()));
}

#[test]
fn the_peak_is_the_highest_and_survives_the_free() {
    let ((), usage) = alloc::measure(|| {
        drop(black_box(vec![0_u8; 1000]));
        drop(black_box(vec![0_u8; 10]));
    });
    assert_eq!((usage.live, usage.peak), (0, 1000));
    assert_eq!((usage.allocations, usage.frees), (2, 2));
}

#[test]
fn growth_is_a_free_and_an_allocation() {
    let mut bytes = Vec::<u8>::with_capacity(16);
    let ((), usage) = alloc::measure(|| bytes.reserve_exact(64));
    assert_eq!((usage.allocations, usage.frees), (1, 1));
    assert_eq!(usage.live, 64 - 16);
}

#[test]
fn an_outer_measurement_includes_the_inner_one() {
    let ((), outer) = alloc::measure(|| {
        let kept = black_box(vec![0_u8; 5]);
        let (block, inner) = alloc::measure(|| black_box(vec![0_u8; 7]));
        assert_eq!((inner.allocations, inner.peak), (1, 7));
        drop((kept, block));
    });
    assert_eq!((outer.allocations, outer.frees), (2, 2));
    assert_eq!((outer.live, outer.peak), (0, 12));
}

#[test]
fn other_threads_are_not_counted() {
    let ready = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            ready.wait();
            drop(black_box(vec![0_u8; 4096]));
            ready.wait();
        });
        let ((), usage) = alloc::measure(|| {
            ready.wait();
            ready.wait();
        });
        assert_eq!(usage.bytes, 0);
    });
}

#[test]
fn a_secret_in_a_freed_block_is_found() {
    let watch = alloc::watch(SECRET);
    let mut block = Vec::with_capacity(100);
    block.extend_from_slice(b"before it ");
    block.extend_from_slice(SECRET);
    block.extend_from_slice(b" after it");
    let size = block.capacity();
    assert_eq!(watch.hits(), 0);
    drop(black_box(block));
    assert_eq!((watch.hits(), watch.last_block()), (1, Some(size)));
}

#[test]
fn a_secret_that_was_wiped_is_not_found() {
    let watch = alloc::watch(SECRET);
    let mut block = SECRET.to_vec();
    black_box(&mut block).fill(0);
    drop(black_box(block));
    drop(black_box(SECRET[1..].to_vec()));
    assert_eq!((watch.hits(), watch.last_block()), (0, None));
}

#[test]
fn a_secret_that_growth_left_behind_is_found() {
    let watch = alloc::watch(SECRET);
    let mut block = SECRET.to_vec();
    block.reserve(1 << 16);
    black_box(&mut block).fill(0);
    drop(block);
    assert_eq!(watch.hits(), 1);
}

#[test]
fn a_secret_past_the_length_of_a_vec_is_found() {
    let watch = alloc::watch(SECRET);
    let mut block = SECRET.to_vec();
    block.clear();
    drop(black_box(block));
    assert_eq!(watch.hits(), 1);
}

#[test]
fn a_secret_freed_by_another_thread_is_found() {
    let watch = alloc::watch(SECRET);
    let block = SECRET.to_vec();
    std::thread::spawn(move || drop(black_box(block)))
        .join()
        .unwrap();
    assert_eq!(watch.hits(), 1);
}

/// A block is given out as somebody else has left it, and that is nobody's mistake.
#[test]
fn what_was_in_a_block_before_anybody_wrote_to_it_is_not_found() {
    let secret = [0xa7; 40];
    drop(black_box([&[0; 64][..], &secret, &[0; 64]].concat()));
    let watch = alloc::watch(&secret);
    drop(black_box(Vec::<u8>::with_capacity(168)));
    let mut grown = Vec::<u8>::with_capacity(8);
    grown.reserve_exact(168);
    drop(black_box(grown));
    assert_eq!(watch.hits(), 0);
}
