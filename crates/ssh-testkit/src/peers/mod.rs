//! Other people's implementations, on loopback.
//!
//! | server | client | from |
//! |---|---|---|
//! | [`Sshd`] | [`OpenSshClient`] | OpenSSH |
//! | [`Dropbear`] | [`Dbclient`] | Dropbear |
//! | [`Tinysshd`] | | TinySSH |
//! | | [`Plink`] | PuTTY |
//! | [`LibraryServer`] | [`LibraryClient`] | the libraries of [`Library`], by programs in `testdata/peers` |
//!
//! `find()` says whether a peer is installed. A server's `start` gives a [`Server`] that stops
//! when it is dropped, and that stops too when the test process dies. A client's `run` executes
//! one command and gives its [`Output`]; `spawn` gives the running process. Tests that treat all of
//! them alike use [`PeerServer`] and [`PeerClient`]. Keys, configuration, logs and the home directory
//! of every peer are in a temporary directory. Every wait ends after [`PATIENCE`], with the peer's log
//! in the error. What a peer offers is read off the wire by [`Offer`].

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod account;
mod audit;
mod dropbear;
mod inetd;
mod keys;
mod library;
mod offer;
mod openssh;
mod process;
mod putty;
mod temp;
mod tinyssh;

pub use audit::{Note, SshAudit};
pub use dropbear::{Dbclient, Dropbear};
pub use keys::{KeyPair, KeyType};
pub use library::{Library, LibraryClient, LibraryServer};
pub use offer::Offer;
pub use openssh::{OpenSshClient, Sshd};
pub use process::{Output, Process};
pub use putty::Plink;
pub use temp::TempDir;
pub use tinyssh::Tinysshd;

/// How long a peer may take for anything: to start, to run a command, to end.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A peer that is not installed, or not usable by whoever runs the tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Whose implementation: `OpenSSH`, `Dropbear`, `AsyncSSH` and so on.
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
    /// A password that may log in. Only AsyncSSH: the others would ask the system's accounts, or
    /// are not made to.
    pub password: Option<String>,
    /// Where a list below is `None`: all that the peer has, not what it has by default.
    pub everything: bool,
    pub kex_algorithms: Option<String>,
    pub host_key_algorithms: Option<String>,
    /// What users may sign with.
    pub user_signatures: Option<String>,
    pub ciphers: Option<String>,
    pub macs: Option<String>,
    /// In the form of sshd_config, as `1M` or `1M 10s`.
    pub rekey_limit: Option<String>,
    /// For what only this peer knows: lines of sshd_config, or further arguments.
    pub extra: Vec<String>,
}

/// What is there while a server is.
#[derive(Debug)]
enum Running {
    Process(Process),
    Inetd(inetd::Inetd),
}

/// A peer that listens. Stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    user: String,
    host_keys: Vec<KeyPair>,
    client_key: KeyPair,
    // In this order: what runs ends before its directory does.
    running: Running,
    _authorization: Option<account::Authorization>,
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
        match &self.running {
            Running::Process(process) => process.log(),
            Running::Inetd(inetd) => inetd.log(),
        }
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
    /// Where a list below is `None`: all that the peer has, not what it has by default.
    pub everything: bool,
    pub kex_algorithms: Option<String>,
    pub host_key_algorithms: Option<String>,
    pub ciphers: Option<String>,
    pub macs: Option<String>,
    /// In the form of ssh_config, as `1M` or `1M 10s`.
    pub rekey_limit: Option<String>,
    /// Where its input and output are joined to, by way of the server. The command is not used.
    pub tunnel: Option<SocketAddr>,
    /// Whether it logs what it does to standard error; see [`PeerClient::sign_of_exchange`].
    pub verbose: bool,
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
            everything: false,
            kex_algorithms: None,
            host_key_algorithms: None,
            ciphers: None,
            macs: None,
            rekey_limit: None,
            tunnel: None,
            verbose: false,
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

/// A server of somebody else, whoever it is.
pub trait PeerServer: fmt::Debug + Send {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// When the options ask for what this peer cannot be told, or it does not start.
    fn start(&self, options: &ServerOptions) -> Result<Server, PeerError>;
}

/// A client of somebody else, whoever it is.
pub trait PeerClient: fmt::Debug + Send {
    /// Executes `command` on the server and waits for its end.
    ///
    /// # Errors
    ///
    /// When the options ask for what this peer cannot be told, or it does not start or does not
    /// end. That it failed is in the [`Output`].
    fn run(
        &self,
        options: &ClientOptions,
        command: &str,
        input: &[u8],
    ) -> Result<Output, PeerError>;

    /// What it logs once for every exchange of keys when it is told to log, if it logs that.
    fn sign_of_exchange(&self) -> Option<&'static str>;
}

macro_rules! peers {
    (
        servers { $($server:ty),+ $(,)? }
        clients { $($client:ty),+ $(,)? }
    ) => {
        $(impl PeerServer for $server {
            fn start(&self, options: &ServerOptions) -> Result<Server, PeerError> {
                self.start(options)
            }
        })+
        $(impl PeerClient for $client {
            fn run(
                &self,
                options: &ClientOptions,
                command: &str,
                input: &[u8],
            ) -> Result<Output, PeerError> {
                self.run(options, command, input)
            }

            fn sign_of_exchange(&self) -> Option<&'static str> {
                self.sign_of_exchange()
            }
        })+
    };
}

peers! {
    servers { Sshd, Dropbear, Tinysshd, LibraryServer }
    clients { OpenSshClient, Dbclient, Plink, LibraryClient }
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

/// Those of a server that is told nothing but host keys and who may log in.
fn refuse_settings(program: &str, options: &ServerOptions) -> Result<(), PeerError> {
    let cannot = [
        ("kex_algorithms", &options.kex_algorithms),
        ("host_key_algorithms", &options.host_key_algorithms),
        ("user_signatures", &options.user_signatures),
        ("ciphers", &options.ciphers),
        ("macs", &options.macs),
        ("rekey_limit", &options.rekey_limit),
        ("password", &options.password),
    ];
    refuse(program, &cannot)
}

/// Rather than leave out what a test asked for.
fn refuse(program: &str, options: &[(&str, &Option<String>)]) -> Result<(), PeerError> {
    match options.iter().find(|(_, value)| value.is_some()) {
        Some((name, _)) => Err(PeerError::new(format!("{program} cannot be told {name}"))),
        None => Ok(()),
    }
}

/// Where the programs and scripts of this project are.
fn checkout() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
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
