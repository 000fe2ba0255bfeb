//! A peer's process: its log in a file, every wait bounded, gone when the test is gone.
//!
//! A process is stopped by its own id when it is dropped. Should the test process itself be
//! killed, a watchdog sees the end of its input and kills the peer.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::{PATIENCE, PeerError};

/// How often something that gives no sign is looked at again.
const PAUSE: Duration = Duration::from_millis(5);

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, which is also where a client logs.
    pub stderr: String,
}

/// A running peer. Stops when dropped.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    watchdog: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with pipes for input and output, and standard error in the file `log`.
    pub(super) fn spawn(
        name: &'static str,
        command: &mut Command,
        log: &Path,
    ) -> Result<Self, PeerError> {
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .spawn()
            .map_err(|error| PeerError::new(format!("{name} does not start: {error}")))?;
        let watchdog = Command::new("sh")
            .args(["-c", "read -r _; kill -KILL \"$1\"", "watchdog"])
            .arg(child.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let watchdog = match watchdog {
            Ok(watchdog) => watchdog,
            Err(error) => {
                stop(child);
                return Err(error.into());
            }
        };
        Ok(Self {
            name,
            child,
            watchdog,
            log: log.to_owned(),
        })
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The pipe into it, once. Dropping it is the end of its input.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The pipe out of it, once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(&self.log) {
            let _ = file.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until `ready` gives something.
    ///
    /// # Errors
    ///
    /// When the process ends first or [`PATIENCE`] does.
    pub(super) fn wait_until<T>(
        &mut self,
        what: &str,
        mut ready: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, PeerError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ready(self) {
                return Ok(answer);
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(self.error(format!("ended ({status}) before {what}")));
            }
            if Instant::now() > deadline {
                return Err(self.error(format!("took too long for {what}")));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits for the line `PORT n`. A thread reads it, so that the wait is bounded; what follows the
    /// line is still to be taken.
    pub(super) fn announced_port(&mut self) -> Result<u16, PeerError> {
        let Some(mut stdout) = self.take_stdout() else {
            return Err(PeerError::new("the server's output was taken before"));
        };
        let (sender, line) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            // Byte by byte, because what comes after the line is somebody else's. Without a line
            // there is nothing to send, and the wait below says why.
            let mut byte = [0];
            while stdout.read_exact(&mut byte).is_ok() && byte != *b"\n" {
                text.push(char::from(byte[0]));
            }
            let _ = sender.send((text, stdout));
        });
        let (line, stdout) = self.wait_until("it said its port", |_| line.try_recv().ok())?;
        self.child.stdout = Some(stdout);
        line.strip_prefix("PORT ")
            .and_then(|number| number.trim().parse().ok())
            .ok_or_else(|| self.error(format!("said {line:?} instead of its port")))
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    ///
    /// When it still runs after [`PATIENCE`]; it is then stopped.
    pub fn wait(&mut self) -> Result<ExitStatus, PeerError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                self.child.kill()?;
                return Err(self.error("took too long to end".to_owned()));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Gives it `input`, and collects what it writes until it ends.
    ///
    /// # Errors
    ///
    /// When it still runs after [`PATIENCE`]; it is then stopped.
    pub fn communicate(mut self, input: &[u8]) -> Result<Output, PeerError> {
        let stdin = self.take_stdin();
        let stdout = self.take_stdout();
        let (status, stdout) = thread::scope(|scope| {
            // A peer that ends without reading everything is judged by what it wrote.
            let writer = scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input)));
            let reader = scope.spawn(move || -> io::Result<Vec<u8>> {
                let mut bytes = Vec::new();
                if let Some(mut pipe) = stdout {
                    pipe.read_to_end(&mut bytes)?;
                }
                Ok(bytes)
            });
            // When the time is over this kills the process, which ends both threads.
            let status = self.wait();
            let _ = writer.join();
            let stdout = reader
                .join()
                .map_err(|_| PeerError::new("the reader of standard output panicked"));
            (status, stdout)
        });
        Ok(Output {
            status: status?,
            stdout: stdout??,
            stderr: self.log(),
        })
    }

    pub(super) fn error(&self, what: String) -> PeerError {
        PeerError::with_log(format!("{} {what}", self.name), &self.log())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watchdog first: as long as the peer has not been waited for, nobody else gets its
        // id, and the watchdog cannot hit a stranger.
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn stop(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}
