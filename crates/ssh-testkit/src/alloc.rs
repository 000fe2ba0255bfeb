//! A global allocator that counts, that finds secrets in memory that is given back, that tells whether
//! what is given back is the same as before, and that refuses memory when it is told to.
//!
//! A test binary installs it:
//!
//! ```
//! use ssh_testkit::alloc::{self, TrackingAllocator};
//!
//! #[global_allocator]
//! static ALLOCATOR: TrackingAllocator = TrackingAllocator;
//!
//! let (copy, usage) = alloc::measure(|| vec![1_u8, 2, 3]);
//! assert_eq!((usage.allocations, usage.live), (1, 3));
//! # drop(copy);
//! ```
//!
//! Counts and refusals belong to a thread, so tests that run side by side do not see each other. A
//! [`Watch`] belongs to the process, because a secret may be freed by another thread than the one
//! that made it; watches take turns. While one is out, `realloc` always moves, so that a secret that
//! a growing `Vec` would leave behind is found every time and not only when the heap is crowded; and
//! what is given out is zeroed, so that nothing is found but what was written.
//!
//! This is the only file of the workspace with unsafe code.
#![expect(unsafe_code, reason = "a global allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{env, ptr};

/// The system's allocator, with counters and a look into freed blocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrackingAllocator;

/// What one thread did while [`measure`] looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blocks that were asked for, growing and shrinking included.
    pub allocations: u64,
    /// Blocks that were given back, growing and shrinking included.
    pub frees: u64,
    /// Bytes that were asked for, all together.
    pub bytes: u64,
    /// Bytes asked for less bytes given back. Negative when the thread freed what was there
    /// before.
    pub live: i64,
    /// The highest that `live` was, and never less than zero.
    pub peak: i64,
}

/// Runs `work` and says what this thread allocated meanwhile. May be nested.
///
/// All numbers are zero when the test binary has not installed [`TrackingAllocator`]; a test that
/// asserts a zero should first see a one.
pub fn measure<R>(work: impl FnOnce() -> R) -> (R, Usage) {
    let outer = USAGE.replace(Usage::default());
    let result = work();
    let inner = USAGE.get();
    USAGE.set(Usage {
        allocations: outer.allocations + inner.allocations,
        frees: outer.frees + inner.frees,
        bytes: outer.bytes + inner.bytes,
        live: outer.live + inner.live,
        peak: outer.peak.max(outer.live + inner.peak),
    });
    (result, inner)
}

/// How many blocks all threads together have asked for since the process began, growing and
/// shrinking included.
pub fn of_all_threads() -> usize {
    ALL.load(Ordering::SeqCst)
}

/// What was in one block that was given back: its size, and a digest of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    /// In bytes.
    pub size: usize,
    /// FNV-1a, of 64 bits.
    pub digest: u64,
}

/// Runs `work` and says what was in each block that this thread gave back meanwhile, in order; what
/// it does [`unwatched`] is left out. May not be nested.
///
/// What two secrets leave behind alike tells of neither: that is more than a [`Watch`] can say, which
/// has to be told what a secret is turned into.
///
/// # Panics
///
/// When there are more than 256.
pub fn left_behind<R>(work: impl FnOnce() -> R) -> (R, Vec<Left>) {
    LEFT.with(|left| left.count.set(0));
    LOOKS_BACK.set(true);
    let result = work();
    LOOKS_BACK.set(false);
    let left = LEFT.with(|left| {
        let count = left.count.get();
        assert!(count <= LEFT_MAX, "{count} blocks");
        left.blocks.iter().take(count).map(Cell::get).collect()
    });
    (result, left)
}

const LEFT_MAX: usize = 256;

/// Not on the heap: it is written by the allocator.
struct Noted {
    count: Cell<usize>,
    blocks: [Cell<Left>; LEFT_MAX],
}

/// What [`refuse`] saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// How many requests there were, refused ones included.
    pub made: u64,
    /// How many were refused.
    pub refused: u64,
    /// The size of the first that was refused, in bytes.
    pub size: usize,
}

/// Runs `work` while this thread's requests for at least `least` bytes are counted from 0 and those
/// whose number is in `which` are refused, as by an allocator that has no more memory. Growing is a
/// request, shrinking is not. May not be nested.
///
/// Code that does not ask whether there is memory ends the process when it is refused some: run it
/// in a process of its own.
pub fn refuse<R>(least: usize, which: Range<u64>, work: impl FnOnce() -> R) -> (R, Requests) {
    PLAN.set(Plan {
        least,
        from: which.start,
        to: which.end,
        requests: Requests {
            made: 0,
            refused: 0,
            size: 0,
        },
    });
    let result = work();
    (result, PLAN.replace(Plan::NONE).requests)
}

/// Which requests are refused, and what became of it.
#[derive(Clone, Copy)]
struct Plan {
    least: usize,
    from: u64,
    to: u64,
    requests: Requests,
}

impl Plan {
    const NONE: Self = Self {
        least: usize::MAX,
        from: 0,
        to: 0,
        requests: Requests {
            made: 0,
            refused: 0,
            size: 0,
        },
    };
}

/// Looks for `secret` in every block that any thread gives back, until the [`Watch`] is dropped.
///
/// Waits for the watch of another test. The secret is kept outside of the heap; the caller's own
/// copy must be too, or be wiped before it is freed, or it is the first hit. With `SSH_TEST_TRACE`
/// in the environment each hit is printed with the calls that led to it.
///
/// # Panics
///
/// When `secret` has fewer than 8 bytes (chance would find it) or more than 64.
pub fn watch(secret: &[u8]) -> Watch {
    watch_threads(secret, ANY_THREAD)
}

/// As [`watch`], in the blocks that this thread gives back and no other one: for secrets so simple that
/// somebody else may well have such bytes.
///
/// # Panics
///
/// As [`watch`].
pub fn watch_this_thread(secret: &[u8]) -> Watch {
    watch_threads(secret, this_thread())
}

fn watch_threads(secret: &[u8], thread: usize) -> Watch {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    HITS.store(0, Ordering::SeqCst);
    LAST_HIT.store(0, Ordering::SeqCst);
    LAST_SECRET.store(0, Ordering::SeqCst);
    THREAD.store(thread, Ordering::SeqCst);
    TRACE.store(env::var_os("SSH_TEST_TRACE").is_some(), Ordering::SeqCst);
    let watch = Watch { _turn: turn };
    watch.also(secret);
    watch
}

/// Runs `work` with the eyes shut: what this thread gives back meanwhile is wiped and not looked at.
/// For the test's own half, which knows the secrets too.
pub fn unwatched<R>(work: impl FnOnce() -> R) -> R {
    let before = LOOKS_AWAY.replace(true);
    let result = work();
    LOOKS_AWAY.set(before);
    result
}

/// A secret that is being looked for.
#[must_use = "dropping it ends the watch"]
#[derive(Debug)]
pub struct Watch {
    _turn: MutexGuard<'static, ()>,
}

impl Watch {
    /// Looks for one more secret. Returns its number; that of the first one is 0.
    ///
    /// # Panics
    ///
    /// As [`watch`], and when there are more than 64.
    pub fn also(&self, secret: &[u8]) -> usize {
        assert!(
            (8..=SECRET_MAX).contains(&secret.len()),
            "a secret of {} bytes cannot be watched",
            secret.len()
        );
        let number = COUNT.load(Ordering::SeqCst);
        let slot = SECRETS.get(number).expect("room for another secret");
        for (place, &byte) in slot.bytes.iter().zip(secret) {
            place.store(byte, Ordering::SeqCst);
        }
        slot.len.store(secret.len(), Ordering::SeqCst);
        COUNT.store(number + 1, Ordering::SeqCst);
        number
    }

    /// The number of the secret that was found last.
    pub fn last_secret(&self) -> Option<usize> {
        (self.hits() > 0).then(|| LAST_SECRET.load(Ordering::SeqCst))
    }

    /// How many freed blocks held the secret.
    pub fn hits(&self) -> usize {
        HITS.load(Ordering::SeqCst)
    }

    /// The size of the last block that held it: the first clue to whose it was.
    pub fn last_block(&self) -> Option<usize> {
        (self.hits() > 0).then(|| LAST_HIT.load(Ordering::SeqCst))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        COUNT.store(0, Ordering::SeqCst);
    }
}

const SECRET_MAX: usize = 64;

struct Secret {
    len: AtomicUsize,
    bytes: [AtomicU8; SECRET_MAX],
}

// The allocator may not allocate, so everything it looks at is static.
static TURN: Mutex<()> = Mutex::new(());
/// Blocks that were asked for, by anybody.
static ALL: AtomicUsize = AtomicUsize::new(0);
static SECRETS: [Secret; 64] = [const {
    Secret {
        len: AtomicUsize::new(0),
        bytes: [const { AtomicU8::new(0) }; SECRET_MAX],
    }
}; 64];
/// How many are looked for. Zero while nothing is watched.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Whose blocks are looked at.
static THREAD: AtomicUsize = AtomicUsize::new(ANY_THREAD);
const ANY_THREAD: usize = 0;
static LAST_SECRET: AtomicUsize = AtomicUsize::new(0);
static TRACE: AtomicBool = AtomicBool::new(false);
static HITS: AtomicUsize = AtomicUsize::new(0);
static LAST_HIT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PLAN: Cell<Plan> = const { Cell::new(Plan::NONE) };
    static LOOKS_AWAY: Cell<bool> = const { Cell::new(false) };
    static LOOKS_BACK: Cell<bool> = const { Cell::new(false) };
    static LEFT: Noted = const {
        Noted {
            count: Cell::new(0),
            blocks: [const { Cell::new(Left { size: 0, digest: 0 }) }; LEFT_MAX],
        }
    };
    // Const and without a destructor, so that the first use neither allocates nor registers.
    static USAGE: Cell<Usage> = const {
        Cell::new(Usage { allocations: 0, frees: 0, bytes: 0, live: 0, peak: 0 })
    };
}

/// What tells this thread from those that run beside it.
fn this_thread() -> usize {
    LEFT.with(|left| ptr::from_ref(left).addr())
}

/// Whether a request for `size` bytes is refused.
fn is_refused(size: usize) -> bool {
    let mut plan = PLAN.get();
    if size < plan.least {
        return false;
    }
    let refused = (plan.from..plan.to).contains(&plan.requests.made);
    plan.requests.made += 1;
    if refused {
        if plan.requests.refused == 0 {
            plan.requests.size = size;
        }
        plan.requests.refused += 1;
    }
    PLAN.set(plan);
    refused
}

fn count(update: impl FnOnce(&mut Usage)) {
    let mut usage = USAGE.get();
    update(&mut usage);
    usage.peak = usage.peak.max(usage.live);
    USAGE.set(usage);
}

fn count_alloc(size: usize) {
    ALL.fetch_add(1, Ordering::Relaxed);
    count(|usage| {
        usage.allocations += 1;
        usage.bytes += size as u64;
        usage.live += size as i64;
    });
}

fn count_free(size: usize) {
    count(|usage| {
        usage.frees += 1;
        usage.live -= size as i64;
    });
}

/// A block. While something is watched for there is nothing in it: what others have left there, before
/// anybody looked, would be found as if whoever gives it back had written it.
///
/// # Safety
///
/// As [`GlobalAlloc::alloc`].
unsafe fn fresh(layout: Layout) -> *mut u8 {
    // SAFETY: the caller's promise is the one that `System` wants.
    unsafe {
        if COUNT.load(Ordering::SeqCst) == 0 {
            System.alloc(layout)
        } else {
            System.alloc_zeroed(layout)
        }
    }
}

/// Looks at a block that is given back. One that is not to be looked at is wiped instead: what was in
/// it would come back in the part of some later block that nobody has written to.
///
/// # Safety
///
/// `block` must be readable and writable for `size` bytes, and nobody may need what is in it.
unsafe fn retire(block: *mut u8, size: usize) {
    if LOOKS_AWAY.get() {
        for at in 0..size {
            // Volatile, or it is left out: the block is about to go. SAFETY: `at` is under `size`.
            unsafe { ptr::write_volatile(block.add(at), 0) };
        }
    } else {
        // SAFETY: the caller's promise.
        unsafe { inspect(block, size) };
        if LOOKS_BACK.get() {
            // SAFETY: the caller's promise.
            unsafe { note(block, size) };
        }
    }
}

/// Notes what is in the block of `size` bytes at `block`.
///
/// # Safety
///
/// `block` must be readable for `size` bytes.
unsafe fn note(block: *const u8, size: usize) {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for at in 0..size {
        // Volatile, as in `inspect`. SAFETY: `at` is under `size`.
        let byte = unsafe { ptr::read_volatile(block.add(at)) };
        digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    LEFT.with(|left| {
        let count = left.count.get();
        if let Some(place) = left.blocks.get(count) {
            place.set(Left { size, digest });
        }
        left.count.set(count + 1);
    });
}

/// Counts a hit when the block of `size` bytes at `block` holds a watched secret.
///
/// # Safety
///
/// `block` must be readable for `size` bytes.
unsafe fn inspect(block: *const u8, size: usize) {
    let count = COUNT.load(Ordering::SeqCst);
    if count == 0 {
        return;
    }
    let thread = THREAD.load(Ordering::SeqCst);
    if thread != ANY_THREAD && thread != this_thread() {
        return;
    }
    // Volatile: parts of the block may never have been written, and the bytes there are looked at
    // as the machine has them. SAFETY: the offsets below stay under `size`.
    let byte = |at: usize| unsafe { ptr::read_volatile(block.add(at)) };
    for (number, secret) in SECRETS.iter().take(count).enumerate() {
        let len = secret.len.load(Ordering::Relaxed);
        if size < len {
            continue;
        }
        let first = secret.bytes[0].load(Ordering::Relaxed);
        let rest =
            |at: usize| (1..len).all(|i| byte(at + i) == secret.bytes[i].load(Ordering::Relaxed));
        if (0..=size - len).any(|at| byte(at) == first && rest(at)) {
            HITS.fetch_add(1, Ordering::SeqCst);
            LAST_HIT.store(size, Ordering::SeqCst);
            LAST_SECRET.store(number, Ordering::SeqCst);
            if TRACE.load(Ordering::Relaxed) {
                unwatched(|| {
                    let calls = Backtrace::force_capture();
                    eprintln!("secret {number} in a block of {size} bytes, freed by\n{calls}");
                });
            }
            return;
        }
    }
}

// SAFETY: every block comes from `System` with the layout that was asked for and goes back to it
// with the same; what is added reads blocks that are still allocated.
unsafe impl GlobalAlloc for TrackingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return ptr::null_mut();
        }
        count_alloc(layout.size());
        // SAFETY: the caller's promise is the one that `System` wants.
        unsafe { fresh(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return ptr::null_mut();
        }
        count_alloc(layout.size());
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count_free(layout.size());
        // SAFETY: the caller gives the block back, so until the next line it is ours.
        unsafe {
            retire(block, layout.size());
            System.dealloc(block, layout);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if new_size > layout.size() && is_refused(new_size) {
            return ptr::null_mut();
        }
        // As if every block could grow in place: where one has to move there are both for a moment.
        count_free(layout.size());
        count_alloc(new_size);
        if COUNT.load(Ordering::SeqCst) == 0 && !LOOKS_AWAY.get() {
            // SAFETY: the caller's promise is the one that `System` wants.
            return unsafe { System.realloc(block, layout, new_size) };
        }
        // SAFETY: `new_size` is not zero and fits the alignment, by the caller's promise. Old and
        // new block are two blocks of at least the copied length.
        unsafe {
            let moved = fresh(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size));
                retire(block, layout.size());
                System.dealloc(block, layout);
            }
            moved
        }
    }
}
