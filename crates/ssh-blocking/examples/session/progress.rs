//! A progress bar on standard error, drawn a few times a second.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

pub(crate) struct Progress {
    what: &'static str,
    total: u64,
    done: u64,
    begun: Instant,
    drawn: Option<Instant>,
    live: bool,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        Self {
            what,
            total,
            done: 0,
            begun: Instant::now(),
            drawn: None,
            live: io::stderr().is_terminal(),
        }
    }

    pub(crate) fn add(&mut self, bytes: usize) {
        let before = self.done;
        self.done += bytes as u64;
        if self.live {
            let patience = Duration::from_millis(100);
            if self.drawn.is_none_or(|at| at.elapsed() > patience) {
                self.drawn = Some(Instant::now());
                self.draw("\r", "");
            }
        } else if self.quarter(before) != self.quarter(self.done) {
            // No terminal: a line for each quarter.
            self.draw("", "\n");
        }
    }

    /// Draws the last state and returns the rate in MiB/s.
    pub(crate) fn finish(self) -> f64 {
        if self.live {
            self.draw("\r", "\n");
        }
        self.rate()
    }

    const fn quarter(&self, done: u64) -> u64 {
        done * 4 / if self.total == 0 { 1 } else { self.total }
    }

    fn rate(&self) -> f64 {
        let seconds = self.begun.elapsed().as_secs_f64().max(1e-9);
        self.done as f64 / f64::from(1 << 20) / seconds
    }

    fn draw(&self, begin: &str, end: &str) {
        const WIDTH: u64 = 32;
        let filled = (self.done * WIDTH / self.total.max(1)).min(WIDTH) as usize;
        let bar = "#".repeat(filled) + &".".repeat(WIDTH as usize - filled);
        let percent = self.done * 100 / self.total.max(1);
        let rate = self.rate();
        eprint!(
            "{begin}  {} [{bar}] {percent:3} % {rate:8.1} MiB/s{end}",
            self.what
        );
        let _ = io::stderr().flush();
    }
}
