//! A lot of data through one connection in memory: byte-exact, with new keys every 64 MiB, and with
//! the heap of both ends counted.
//!
//! ```text
//! cargo bench -p ssh-testkit --bench endurance [-- GIB]
//! ```

mod carry;

use std::env;
use std::time::Instant;

use ssh_testkit::alloc::TrackingAllocator;

#[global_allocator]
static ALLOCATOR: TrackingAllocator = TrackingAllocator;

fn main() {
    let gib = env::args().filter_map(|word| word.parse().ok()).next_back();
    let gib: u64 = gib.unwrap_or(2).max(1);
    let step = (gib << 30) / 30;
    println!("| GiB | key exchanges | heap of both ends, KiB | at the most | MiB/s |");
    println!("|---|---|---|---|---|");
    let mut printed = 0;
    let mut began = Instant::now();
    let whole = Instant::now();
    let total = carry::run(gib << 30, step.min(1 << 30), |so_far| {
        let mark = so_far.bytes * 10 / (gib << 30);
        if mark > printed {
            let rate = ((gib << 30) / 10 * (mark - printed)) as f64 / f64::from(1 << 20);
            println!(
                "| {:.1} | {} | {} | {} | {:.0} |",
                so_far.bytes as f64 / f64::from(1 << 30),
                so_far.exchanges,
                so_far.live / 1024,
                so_far.peak / 1024,
                rate / began.elapsed().as_secs_f64(),
            );
            printed = mark;
            began = Instant::now();
        }
    });
    println!(
        "\n{} bytes compared, {} key exchanges, in {:.0} s",
        total.bytes,
        total.exchanges,
        whole.elapsed().as_secs_f64()
    );
}
