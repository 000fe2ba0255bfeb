//! What every client that is measured against the others has in common: its job, its clocks, its
//! report. Included by path, so that all count the same things in the same way.
//!
//! ```text
//! ADDRESS USER KEYFILE CIPHER MAC|- echo TRIPS      prints: median us, p99 us, CPU us a trip
//! ADDRESS USER KEYFILE CIPHER MAC|- down|up BYTES   prints: CPU seconds of the whole process
//! ```

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What goes there and back.
pub(crate) static PING: [u8; 64] = [0x2a; 64];
/// What is written at a time, upwards.
pub(crate) static PIECE: [u8; 256 * 1024] = [0; 256 * 1024];

pub(crate) struct Job {
    pub(crate) address: String,
    pub(crate) user: String,
    pub(crate) key: String,
    pub(crate) cipher: String,
    pub(crate) mac: Option<String>,
    pub(crate) what: What,
}

#[derive(Clone, Copy)]
pub(crate) enum What {
    Echo(usize),
    Down(usize),
    Up(usize),
}

impl Job {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut word = || words.next().ok_or("a word is missing");
        let (address, user, key, cipher) = (word()?, word()?, word()?, word()?);
        let mac = Some(word()?).filter(|mac| mac != "-");
        let (what, number) = (word()?, word()?.parse()?);
        let what = match &*what {
            "echo" => What::Echo(number),
            "down" => What::Down(number),
            "up" => What::Up(number),
            _ => return Err("unknown job".into()),
        };
        Ok(Self {
            address,
            user,
            key,
            cipher,
            mac,
            what,
        })
    }

    /// What the server is to execute.
    pub(crate) fn command(&self) -> String {
        match self.what {
            What::Echo(_) => "exec cat".to_owned(),
            What::Down(bytes) => format!("exec head -c {bytes} /dev/zero"),
            What::Up(_) => "exec cat > /dev/null".to_owned(),
        }
    }
}

/// User and system time of this process.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Round trips that are timed, after some that are not.
pub(crate) struct Trips<C = fn() -> Duration> {
    warm: usize,
    times: Vec<Duration>,
    began: Instant,
    clock: C,
    used: Duration,
}

impl Trips {
    /// Of this process.
    pub(crate) fn new(trips: usize) -> Self {
        Self::of(trips, cpu)
    }
}

impl<C: Fn() -> Duration> Trips<C> {
    /// Of the process whose CPU time `clock` tells.
    pub(crate) fn of(trips: usize, clock: C) -> Self {
        Self {
            warm: trips / 10,
            times: Vec::with_capacity(trips),
            began: Instant::now(),
            used: clock(),
            clock,
        }
    }

    /// Before each trip: false when there were enough of them.
    pub(crate) fn more(&mut self) -> bool {
        self.began = Instant::now();
        self.times.len() < self.times.capacity()
    }

    /// After each trip.
    pub(crate) fn back(&mut self) {
        match self.warm {
            0 => self.times.push(self.began.elapsed()),
            1 => (self.warm, self.used) = (0, (self.clock)()),
            _ => self.warm -= 1,
        }
    }

    /// Median and p99 in microseconds, and the CPU of a trip.
    pub(crate) fn report(mut self) -> String {
        let used = (self.clock)().saturating_sub(self.used);
        let trips = self.times.len().max(1);
        self.times.sort_unstable();
        let micros = |time: Option<&Duration>| time.map_or(0.0, |t| t.as_secs_f64() * 1e6);
        format!(
            "{:.2} {:.2} {:.2}",
            micros(self.times.get(trips / 2)),
            micros(self.times.get(trips * 99 / 100)),
            used.as_secs_f64() * 1e6 / trips as f64
        )
    }
}

/// CPU seconds of this process.
pub(crate) fn bulk_report() -> String {
    format!("{:.3}", cpu().as_secs_f64())
}
