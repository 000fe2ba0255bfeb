//! The core in memory, beside the bare calls to the same ciphers and key agreements: what the state
//! machine costs on top of what nobody can do without.
//!
//! ```text
//! cargo bench -p ssh-testkit --bench core [-- data [PROTECTION | SIZE | 16MiB]... | handshake | kex | counts | chacha | zlib [MIB] | svg]
//! ```
//!
//! | word | what it measures |
//! |---|---|
//! | `data` | sealing and opening by packet size, as a fraction of the bare cipher; of 64 MiB or of fewer |
//! | `handshake` | CPU of a login for each role, as a multiple of its operations done bare |
//! | `kex` | CPU of every key exchange method, and its share of a login |
//! | `counts` | instructions per packet and per login, with `valgrind` |
//! | `chacha` | what `chacha20-poly1305@openssh.com` can be composed of |
//! | `zlib` | compression by level and packet size, on texts and on noise |
//! | `svg` | draws `docs/img/throughput.svg` |
//!
//! Without a word: the first three. Times are CPU times of the thread that does the work, and each
//! number stands beside one of the same run, taken in turns: other work on the machine slows both.

mod bare;
mod chacha;
mod chart;
mod counts;
mod data;
mod handshake;
mod kex;
mod pair;
mod zlib;

use std::env;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

fn main() {
    let words: Vec<String> = env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => {
            data::tables(&[]);
            handshake::table();
            counts::table();
        }
        ["data", names @ ..] => data::tables(names),
        ["handshake"] => handshake::table(),
        ["kex"] => kex::table(),
        ["counts"] => counts::table(),
        ["count", scenario] => counts::scenario(scenario),
        ["chacha"] => chacha::table(),
        ["zlib"] => zlib::tables(8),
        ["zlib", mebibytes] => zlib::tables(mebibytes.parse().unwrap_or(8)),
        ["svg"] => chart::draw(),
        other => eprintln!("core: what is {other:?}?"),
    }
}

/// User and system time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// How long `work` takes, in nanoseconds.
fn time(work: impl FnOnce()) -> f64 {
    let began = cpu();
    work();
    (cpu() - began).as_nanos() as f64
}

/// The value below which `part` of all lie.
fn quantile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values
        .get((last as f64 * part).round() as usize)
        .copied()
        .unwrap_or(f64::NAN)
}

fn median(values: &[f64]) -> f64 {
    quantile(values.iter().copied(), 0.5)
}
