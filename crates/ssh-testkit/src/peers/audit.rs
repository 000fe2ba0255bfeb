//! ssh-audit, which judges what a server or a client offers.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use super::{Missing, PeerError, Process, TempDir, checkout, library};

const PEER: &str = "ssh-audit";

/// ssh-audit, by the script in `testdata/peers/ssh_audit`.
#[derive(Clone, Debug)]
pub struct SshAudit {
    python: PathBuf,
}

/// Something that it found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// How bad it is: `fail` or `warn` for an algorithm, `note` for the whole.
    pub level: String,
    /// `kex`, `key`, `enc` or `mac`; nothing for the whole.
    pub family: String,
    /// Which algorithm; nothing for the whole.
    pub algorithm: String,
    /// What is wrong with it.
    pub text: String,
}

impl SshAudit {
    /// Looks for it.
    ///
    /// # Errors
    ///
    /// That it is missing.
    pub fn find() -> Result<Self, Missing> {
        Ok(Self {
            python: library::python(PEER, "ssh_audit")?,
        })
    }

    /// Judges the server at `address`.
    ///
    /// # Errors
    ///
    /// When it gives no judgement.
    pub fn of_server(&self, address: SocketAddr) -> Result<Vec<Note>, PeerError> {
        let dir = TempDir::new()?;
        let address = [address.ip().to_string(), address.port().to_string()];
        self.spawn(&dir, "server", &address).and_then(notes)
    }

    /// Judges the client that connects to the address which `connect` is given. It finds nobody who
    /// exchanges keys there.
    ///
    /// # Errors
    ///
    /// When it gives no judgement.
    pub fn of_client(&self, connect: impl FnOnce(SocketAddr)) -> Result<Vec<Note>, PeerError> {
        let dir = TempDir::new()?;
        let mut process = self.spawn(&dir, "client", &[])?;
        let port = process.announced_port()?;
        connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        notes(process)
    }

    fn spawn(&self, dir: &TempDir, role: &str, arguments: &[String]) -> Result<Process, PeerError> {
        let mut command = Command::new(&self.python);
        command
            .env_clear()
            .env("HOME", dir.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(dir.path())
            .args(["-I", "-B"])
            .arg(checkout().join("testdata/peers/ssh_audit/audit.py"))
            .arg(role)
            .args(arguments);
        Process::spawn(PEER, &mut command, &dir.path().join("log"))
    }
}

/// What it found: lines of four fields.
fn notes(process: Process) -> Result<Vec<Note>, PeerError> {
    let output = process.communicate(b"")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let what = format!("ssh-audit ended with {}\n{text}", output.status);
        return Err(PeerError::with_log(what, &output.stderr));
    }
    let note = |line: &str| {
        let mut fields = line.split('\t').map(str::to_owned);
        Some(Note {
            level: fields.next()?,
            family: fields.next()?,
            algorithm: fields.next()?,
            text: fields.next()?,
        })
    };
    text.lines()
        .map(|line| note(line).ok_or_else(|| PeerError::new(format!("ssh-audit said {line:?}"))))
        .collect()
}
