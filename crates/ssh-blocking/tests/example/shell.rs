//! The interactive shell, on a terminal of its own: raw while it runs, the remote side echoes and
//! knows the size, and the local modes are as before when it has ended.
//!
//! The terminal is a pty pair; the test is the person at its master. `setsid --ctty` starts a
//! local shell that has the slave as its controlling terminal, and that shell runs the example:
//!
//! ```text
//! test == master | slave == sh == session ===ssh=== sshd == pty == sh
//! ```
//!
//! The local shell outlives the example. When the first process of a terminal's session ends the
//! kernel hangs the terminal up and sets its modes to the defaults, and what the example left
//! would not be seen.

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize,
};
use ssh_testkit::peers::{Missing, PATIENCE, ServerOptions, Sshd};

use crate::{Outcome, Setup, program};

/// What the remote shell asks with. It is the last output before that shell reads.
const PROMPT: &str = "ready> ";
/// Runs the example and says how it ended; ends itself when it gets a line.
const LOCAL: &str = r#""$0" "$@"; echo "status $?"; read -r line"#;

/// A server, and a way to give a program a terminal without unsafe code.
pub(crate) fn find() -> Result<Sshd, Missing> {
    let sshd = Sshd::find()?;
    let help = Command::new("setsid").arg("--help").output();
    if help.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("--ctty")) {
        Ok(sshd)
    } else {
        Err(Missing::new("util-linux", "no program setsid with --ctty"))
    }
}

pub(crate) fn test(sshd: &Sshd) -> Outcome {
    // Not the account's shell: its start-up files and its line editor are different everywhere.
    let options = ServerOptions {
        extra: vec![format!("ForceCommand PS1='{PROMPT}' exec /bin/sh -i")],
        ..ServerOptions::default()
    };
    let setup = Setup::with(sshd, &options)?;
    let mut terminal = Terminal::new(40, 100)?;
    let before = terminal.modes()?;
    terminal.start(
        Command::new("setsid")
            .args(["--ctty", "sh", "-c", LOCAL])
            .arg(program())
            .args(setup.welcome()?)
            .env("HOME", setup.home.path()),
    )?;

    // Typed earlier it would be lost: input is flushed when raw mode begins.
    terminal.wait_for("the prompt", |seen| seen.ends_with(PROMPT))?;
    let modes = tcgetattr(&terminal.master)?;
    let cooked = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    assert!(!modes.local_modes.intersects(cooked), "{modes:?}");
    assert!(!modes.output_modes.contains(OutputModes::OPOST));

    // The quotes tell the line from what it prints. A local echo would show the line twice.
    terminal.enter("echo a''b")?;
    terminal.wait_for("the echo of a line, and its output", |seen| {
        seen.ends_with(&format!("{PROMPT}echo a''b\r\nab\r\n{PROMPT}"))
    })?;
    assert_eq!(terminal.seen.matches("a''b").count(), 1, "{terminal}");

    terminal.enter("stty size")?;
    terminal.wait_for("the size", |seen| {
        seen.ends_with(&format!("\r\n40 100\r\n{PROMPT}"))
    })?;

    // The kernel tells the foreground of the terminal, which is the example, with SIGWINCH.
    terminal.resize(50, 132)?;
    let patience = Instant::now() + PATIENCE;
    loop {
        let already = terminal.seen.len();
        terminal.enter("stty size")?;
        terminal.wait_for("a size", |seen| seen[already..].ends_with(PROMPT))?;
        if terminal.seen[already..].contains("\r\n50 132\r\n") {
            break;
        }
        assert!(Instant::now() < patience, "the new size: {terminal}");
        thread::sleep(Duration::from_millis(100));
    }

    terminal.enter("exit 7")?;
    // With the carriage return that only a terminal with its old modes puts there.
    terminal.wait_for("the exit status", |seen| seen.ends_with("status 7\r\n"))?;
    assert_eq!(terminal.modes()?, before, "{terminal}");
    terminal.enter("")?;
    let end = terminal.wait()?;
    assert!(end.success(), "{end}: {terminal}");
    Ok(())
}

/// A pty pair, what came out of it, and what runs on it.
struct Terminal {
    master: File,
    /// Until it is given to the program.
    slave: Option<OwnedFd>,
    output: Receiver<Vec<u8>>,
    seen: String,
    child: Option<Child>,
}

impl Terminal {
    fn new(rows: u16, columns: u16) -> Result<Self, std::io::Error> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&*name, flags, Mode::empty())?;
        // Not the modes that a new terminal has, so that those are not taken for restored ones.
        let mut modes = tcgetattr(&slave)?;
        modes.local_modes.remove(LocalModes::ECHOCTL);
        tcsetattr(&slave, OptionalActions::Now, &modes)?;

        let master = File::from(master);
        let mut reader = master.try_clone()?;
        let (sender, output) = mpsc::channel();
        // Ends with the last process that has the slave.
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut piece) {
                if sender.send(piece[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        let terminal = Self {
            master,
            slave: Some(slave),
            output,
            seen: String::new(),
            child: None,
        };
        terminal.resize(rows, columns)?;
        Ok(terminal)
    }

    /// Starts a program with all three standard streams on the terminal.
    fn start(&mut self, command: &mut Command) -> Result<(), std::io::Error> {
        let slave = self.slave.take().expect("one program for each terminal");
        command
            .stdin(Stdio::from(slave.try_clone()?))
            .stdout(Stdio::from(slave.try_clone()?))
            .stderr(Stdio::from(slave));
        self.child = Some(command.spawn()?);
        // A command keeps its streams, and the slave must not stay open here.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(())
    }

    fn resize(&self, rows: u16, columns: u16) -> Result<(), std::io::Error> {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(tcsetwinsize(&self.master, size)?)
    }

    /// All modes and special characters, to be compared.
    fn modes(&self) -> Result<String, std::io::Error> {
        Ok(format!("{:?}", tcgetattr(&self.master)?))
    }

    /// Types a line.
    fn enter(&mut self, line: &str) -> Result<(), std::io::Error> {
        self.master.write_all(format!("{line}\n").as_bytes())
    }

    /// Waits until all that was shown so far is what it should be.
    fn wait_for(&mut self, what: &str, right: impl Fn(&str) -> bool) -> Outcome {
        let patience = Instant::now() + PATIENCE;
        while !right(&self.seen) {
            let left = patience.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(piece) => self.seen.push_str(&String::from_utf8_lossy(&piece)),
                Err(why) => return Err(format!("no {what} ({why}): {self}").into()),
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<ExitStatus, Box<dyn std::error::Error>> {
        let patience = Instant::now() + PATIENCE;
        let child = self.child.as_mut().ok_or("nothing was started")?;
        while Instant::now() < patience {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("it did not end: {self}").into())
    }
}

impl fmt::Display for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seen so far {:?}", self.seen)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The first of the session: the kernel tells the others that the terminal is gone.
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
