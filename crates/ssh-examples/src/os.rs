//! What the core does not know and a program must bring along: the time and randomness. And what
//! the operating system says about this process, for those who measure.

use std::time::{Duration, Instant as Moment};

use ssh_proto::Instant;
use ssh_proto::random::{Random, RandomError};

/// The randomness of the operating system. Without a size, so that its box takes no memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(out).map_err(|_| RandomError)
    }
}

/// The time, as the core counts it: from an epoch that is the same for all connections of a loop.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Moment,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            epoch: Moment::now(),
        }
    }
}

impl Clock {
    /// What time it is.
    pub fn now(&self) -> Instant {
        Instant::new(self.epoch.elapsed())
    }
}

/// How many bytes of this process are in memory; `None` where `/proc` does not say.
pub fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    #[cfg(unix)]
    return Some(pages * rustix::param::page_size() as u64);
    #[cfg(not(unix))]
    None
}

/// How long this process has kept cores busy, in the program and in the kernel for it.
pub fn processor_time() -> Option<Duration> {
    #[cfg(unix)]
    return Duration::try_from(rustix::time::clock_gettime(
        rustix::time::ClockId::ProcessCPUTime,
    ))
    .ok();
    #[cfg(not(unix))]
    None
}

/// Says whether this process may hold so many connections; if not, what to do about it.
///
/// # Errors
///
/// A sentence for a person, if each connection with its descriptor and a few more do not fit below
/// `ulimit -n`.
pub fn enough_descriptors(connections: usize) -> Result<(), String> {
    /// Standard streams, the selector, the listener, and what a library opens for a moment.
    const OTHERS: u64 = 16;
    #[cfg(unix)]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let needed = connections as u64 + OTHERS;
        if let Some(limit) = limit.filter(|limit| *limit < needed) {
            return Err(format!(
                "{connections} connections need {needed} descriptors and `ulimit -n` is {limit}: \
                 raise it, or ask for fewer"
            ));
        }
    }
    Ok(())
}
