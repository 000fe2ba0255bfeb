//! Which tests reach which mutants, and which of them fail for it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::tree::Program;

/// Beyond this a mutant that makes memory grow without end is stopped; in KiB.
const MEMORY: u32 = 4 << 20;
/// So much time of a processor tests may take in any case, and four times what they usually take. By the
/// clock on the wall they may take ten times as long: others may be busy as well.
const PATIENCE: Duration = Duration::from_secs(10);
/// Tests that take so long together run first; then, in one process, those of four times as long.
const FIRST_BATCH: Duration = Duration::from_millis(100);
/// And at the most those that take so long.
const LAST_BATCH: Duration = Duration::from_secs(10);

/// A test that is green without a mutant.
#[derive(Debug)]
pub struct Test {
    name: String,
    program: Program,
    takes: Duration,
    reaches: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Outcome {
    /// It does not compile.
    Unviable,
    /// It cannot be switched on and off.
    NotPlanted,
    /// A test failed.
    Killed,
    /// A test took far too long.
    Timeout,
    /// No test has noticed, or none comes by.
    Survived,
}

impl Outcome {
    /// Whether it is known without a run.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Unviable | Self::NotPlanted)
    }
}

/// What became of a mutant, and by which test.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Verdict {
    pub outcome: Outcome,
    pub by: Option<String>,
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, by: None }
    }
}

/// Runs every test alone and notes what it reaches and how long it takes, if that is not too long.
pub fn record(
    programs: &[Program],
    place: &Path,
    jobs: usize,
    longest: Duration,
) -> Result<Vec<Test>, Failure> {
    let mut all = Vec::new();
    for program in programs {
        let ignored = names(program, &["--ignored"])?;
        for name in names(program, &[])? {
            if !ignored.contains(&name) {
                all.push((program.clone(), name));
            }
        }
    }
    let files = place.join("reached");
    fs::create_dir_all(&files)?;
    let tests = Mutex::new(Vec::new());
    each(all.len(), jobs, |n| {
        let (program, name) = &all[n];
        let file = files.join(n.to_string());
        let _ = fs::remove_file(&file);
        let begin = Instant::now();
        let end = run(program, &[name], longest, |command| {
            command.env("MUTANTS_REACHED", &file);
        });
        match end {
            Ok(End::Passed) => {}
            Ok(End::TooLate) => return eprintln!("left out, since it takes too long: {name}"),
            _ => return eprintln!("left out, since it fails without any mutant: {name}"),
        }
        let bytes = fs::read(&file).unwrap_or_default();
        let reaches = bytes
            .as_chunks()
            .0
            .iter()
            .map(|n| u32::from_le_bytes(*n))
            .collect();
        let mut tests = tests.lock().expect("no thread has panicked");
        tests.push(Test {
            name: name.clone(),
            program: program.clone(),
            takes: begin.elapsed(),
            reaches,
        });
    });
    let mut tests = tests.into_inner()?;
    tests.retain(|test| !test.reaches.is_empty());
    tests.sort_by_key(|test| test.takes);
    Ok(tests)
}

/// Runs the tests that reach each of `mutants`, the quickest first, until one fails. What killed a
/// mutant the last time is asked first. More and more of them run in one process: to start one costs
/// as much as many a test.
pub fn judge(
    mutants: &[u32],
    tests: &[Test],
    killers: &BTreeMap<u32, String>,
    jobs: usize,
    report: impl Fn(u32, Verdict) + Sync,
) {
    each(mutants.len(), jobs, |n| {
        let number = mutants[n];
        let mut those: Vec<_> = tests
            .iter()
            .filter(|test| test.reaches.contains(&number))
            .collect();
        those.sort_by_key(|test| killers.get(&number) != Some(&test.name));
        let mut verdict = Verdict::from(Outcome::Survived);
        let mut budget = FIRST_BATCH;
        while let Some(program) = those.first().map(|test| test.program.path.clone()) {
            let mut takes = Duration::ZERO;
            let (batch, rest): (Vec<_>, Vec<_>) = those.into_iter().partition(|test| {
                let first = takes.is_zero();
                let fits = test.program.path == program && (first || takes + test.takes <= budget);
                if fits {
                    takes += test.takes;
                }
                fits
            });
            (those, budget) = (rest, LAST_BATCH.min(budget * 4));
            let names: Vec<&str> = batch.iter().map(|test| test.name.as_str()).collect();
            let patience = PATIENCE.max(takes * 4);
            let end = run(&batch[0].program, &names, patience, |command| {
                command.env("MUTANT", number.to_string());
            });
            let (outcome, by) = match end {
                Ok(End::Passed) => continue,
                Ok(End::Failed(by)) => (Outcome::Killed, by),
                Ok(End::TooLate) => (Outcome::Timeout, None),
                Err(error) => {
                    eprintln!("{names:?}: {error}");
                    continue;
                }
            };
            let by = by.or_else(|| names.first().map(|name| (*name).to_owned()));
            verdict = Verdict { outcome, by };
            break;
        }
        report(number, verdict);
    });
}

enum End {
    Passed,
    /// The test that failed, if it is known.
    Failed(Option<String>),
    TooLate,
}

fn names(program: &Program, arguments: &[&str]) -> Result<Vec<String>, Failure> {
    let output = Command::new(&program.path)
        .args(["--list", "--format", "terse"])
        .args(arguments)
        .output()?;
    let list = String::from_utf8(output.stdout)?;
    Ok(list
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(String::from)
        .collect())
}

fn run(
    program: &Program,
    tests: &[&str],
    patience: Duration,
    set: impl FnOnce(&mut Command),
) -> Result<End, Failure> {
    let seconds = patience.as_secs() + 1;
    let limits = format!("ulimit -v {MEMORY}; ulimit -t {seconds}");
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{limits}; exec \"$@\""), "sh"])
        .arg(&program.path)
        .args(["--exact", "--test-threads=1", "--quiet"])
        .args(tests)
        .current_dir(&program.directory)
        .env("CARGO_MANIFEST_DIR", &program.directory)
        .env("SSH_TEST_PEERS", "none")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    set(&mut command);
    let begin = Instant::now();
    let mut child = command.spawn()?;
    // Read while it runs, so that it never waits for this.
    let output = child.stdout.take().map(|mut output| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = output.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    });
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(match status.code() {
                Some(0) => End::Passed,
                // Whoever exceeds its time is killed; a panic is an exit.
                None if used_up(status) => End::TooLate,
                _ => End::Failed(output.and_then(|output| failed(&output.join().ok()?))),
            });
        }
        if begin.elapsed() > patience * 10 {
            child.kill()?;
            child.wait()?;
            return Ok(End::TooLate);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The first of the tests that the harness lists as failed.
fn failed(output: &str) -> Option<String> {
    let (_, list) = output.rsplit_once("failures:\n")?;
    Some(list.lines().next()?.trim().to_owned())
}

/// Whether a process was ended for the time that it took.
fn used_up(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    // SIGXCPU, and SIGKILL where that is not enough.
    matches!(status.signal(), Some(24 | 9))
}

/// Does `work` for each of the first `count` numbers, on so many threads.
fn each(count: usize, jobs: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        break;
                    }
                    work(n);
                }
            });
        }
    });
}
