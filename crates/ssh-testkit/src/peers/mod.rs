//! Other people's implementations, on loopback.
//!
//! | server | client | from |
//! |---|---|---|
//! | [`Sshd`] | [`OpenSshClient`] | OpenSSH |
//! | [`Dropbear`] | [`Dbclient`] | Dropbear |
//! | [`AsyncSshServer`] | [`AsyncSshClient`] | AsyncSSH |
//!
//! `find()` says whether a peer is installed. A server's `start` gives a [`Server`] that stops
//! when it is dropped, and that stops too when the test process dies. A client's `run` executes
//! one command and gives its [`Output`]; `spawn` gives the running process. Keys, configuration,
//! logs and the home directory of every peer are in a temporary directory. Every wait ends after
//! [`PATIENCE`], with the peer's log in the error.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod asyncssh;
mod dropbear;
mod keys;
mod openssh;
mod process;
mod temp;

pub use asyncssh::{AsyncSshClient, AsyncSshServer};
pub use dropbear::{Dbclient, Dropbear};
pub use keys::{KeyPair, KeyType};
pub use openssh::{OpenSshClient, Sshd};
pub use process::{Output, Process};
pub use temp::TempDir;

/// How long a peer may take for anything: to start, to run a command, to end.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A peer that is not installed, or not usable by whoever runs the tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Whose implementation: `OpenSSH`, `Dropbear`, `AsyncSSH`.
    pub peer: &'static str,
    /// What would have to be there.
    pub what: String,
}

impl Missing {
    /// `peer` cannot be used without `what`.
    pub fn new(peer: &'static str, what: impl Into<String>) -> Self {
        Self {
            peer,
            what: what.into(),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is missing: {}", self.peer, self.what)
    }
}

impl std::error::Error for Missing {}

/// What went wrong with a peer, with the end of its log.
pub struct PeerError(String);

impl PeerError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    pub(crate) fn with_log(what: impl fmt::Display, log: &str) -> Self {
        // A peer that repeats itself until the time is over logs more than anybody reads.
        const TAIL: usize = 16 * 1024;
        let tail = &log[log.ceil_char_boundary(log.len().saturating_sub(TAIL))..];
        Self(format!("{what}\n--- its log\n{tail}--- end of the log"))
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// As Display, because `unwrap` in a test shows this one, and a log wants its line breaks.
impl fmt::Debug for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PeerError {}

impl From<std::io::Error> for PeerError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// How a server is to be set up. Algorithm lists are comma-separated names; `None` leaves the
/// peer its own default. A server that cannot be told so refuses to start rather than ignore it.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the fields carry the names of sshd_config")]
pub struct ServerOptions {
    /// One host key of each. None given is Ed25519.
    pub host_keys: Vec<KeyType>,
    /// Public keys that may log in, as lines of an `authorized_keys` file. The key
    /// [`Server::client_key`] is always among them.
    pub authorized_keys: Vec<String>,
    /// A password that may log in. Only AsyncSSH: the others would ask the system's accounts.
    pub password: Option<String>,
    pub kex_algorithms: Option<String>,
    pub host_key_algorithms: Option<String>,
    pub ciphers: Option<String>,
    pub macs: Option<String>,
    /// In the form of sshd_config, as `1M` or `1M 10s`.
    pub rekey_limit: Option<String>,
    /// For what only this peer knows: lines of sshd_config, or further arguments.
    pub extra: Vec<String>,
}

/// A peer that listens. Stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    user: String,
    host_keys: Vec<KeyPair>,
    client_key: KeyPair,
    // In this order: the process ends before its directory does.
    process: Process,
    _authorization: Option<dropbear::Authorization>,
    dir: TempDir,
}

impl Server {
    /// Where it listens: 127.0.0.1 and a port of its own.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who may log in.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// A key that may log in as [`Server::user`].
    pub const fn client_key(&self) -> &KeyPair {
        &self.client_key
    }

    /// The server's own keys, in the order of [`ServerOptions::host_keys`].
    pub fn host_keys(&self) -> &[KeyPair] {
        &self.host_keys
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its temporary directory, which is also the home of its sessions where that can be set.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// What a client is to do with whom.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields carry the names of ssh_config")]
pub struct ClientOptions {
    pub address: SocketAddr,
    pub user: String,
    pub credential: Credential,
    /// The server's keys, as `type base64`. Any other is refused.
    pub host_keys: Vec<String>,
    pub kex_algorithms: Option<String>,
    pub host_key_algorithms: Option<String>,
    pub ciphers: Option<String>,
    pub macs: Option<String>,
    /// In the form of ssh_config, as `1M` or `1M 10s`.
    pub rekey_limit: Option<String>,
    /// Further arguments of this client, before the host.
    pub extra: Vec<String>,
}

impl ClientOptions {
    /// Logs `user` in at `address`, where the server must have one of the keys that are then put
    /// into `host_keys`.
    pub fn new(address: SocketAddr, user: &str, credential: Credential) -> Self {
        Self {
            address,
            user: user.to_owned(),
            credential,
            host_keys: Vec::new(),
            kex_algorithms: None,
            host_key_algorithms: None,
            ciphers: None,
            macs: None,
            rekey_limit: None,
            extra: Vec::new(),
        }
    }

    /// Logs in at a peer's server, with the key it was given.
    pub fn to(server: &Server) -> Self {
        let key = server.client_key().private_path().to_owned();
        let mut options = Self::new(server.address(), server.user(), Credential::Key(key));
        let lines = server.host_keys().iter().map(KeyPair::public_line);
        options.host_keys = lines.map(str::to_owned).collect();
        options
    }

    /// The lines of a known_hosts file for this server.
    fn known_hosts(&self) -> String {
        let host = format!("[{}]:{}", self.address.ip(), self.address.port());
        let line = |key: &String| format!("{host} {key}\n");
        self.host_keys.iter().map(line).collect()
    }
}

/// What a client proves itself with.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A private key in an OpenSSH file without a passphrase.
    Key(PathBuf),
    /// A password, typed without anybody at the keyboard.
    Password(String),
}

/// The first of `names` in `PATH`, or where Debian keeps what only root should run.
fn find_program(peer: &'static str, name: &str) -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| Missing::new(peer, format!("no program {name}")))
}

/// Who runs the tests.
fn whoami() -> Result<String, PeerError> {
    let output = std::process::Command::new("id").arg("-un").output()?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if name.is_empty() {
        return Err(PeerError::new("`id -un` names nobody"));
    }
    Ok(name)
}

/// Starts a server on a free port, on another one when somebody was faster.
fn on_free_port(
    mut start: impl FnMut(SocketAddr) -> Result<Process, PeerError>,
) -> Result<(SocketAddr, Process), PeerError> {
    const ATTEMPTS: u32 = 5;
    let mut attempt = 1;
    loop {
        let address = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        match start(address) {
            Ok(process) => return Ok((address, process)),
            Err(error) if attempt < ATTEMPTS && error.0.contains("already in use") => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}
