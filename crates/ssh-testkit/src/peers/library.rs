//! Libraries, by the programs in `testdata/peers` that make a server and a client of each.
//!
//! All of these programs take the same arguments. A server prints `PORT n` once it listens and ends
//! when its input does; a client ends with the status of its command, or with 255 when there was none.
//! Both log to standard error, and write [`KEYS_EXCHANGED`] there whenever new keys are in use.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{
    ClientOptions, Credential, Missing, Output, PeerError, Process, Running, Server, ServerOptions,
    TempDir, checkout, find_program, keys, refuse,
};

/// What the programs write to standard error for every exchange of keys.
const KEYS_EXCHANGED: &str = "[keys exchanged]";

/// The environment variable that names the Python which has the libraries.
const PYTHON_VARIABLE: &str = "SSH_TEST_PYTHON";

/// Who may log in to a server: it is a name and no account.
const USER: &str = "tester";

/// A library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// AsyncSSH, in Python.
    AsyncSsh,
    /// Paramiko, in Python.
    Paramiko,
    /// Twisted Conch, in Python.
    Conch,
    /// russh, in Rust.
    Russh,
    /// sunset, in Rust.
    Sunset,
    /// libssh2, in C and run by Python, which is a client only.
    LibSsh2,
}

/// How the programs of a library are run.
enum Home {
    /// By a Python that can import this module.
    Python(&'static str),
    /// Built from a workspace of its own.
    Rust,
}

impl Library {
    /// What it calls itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AsyncSsh => "AsyncSSH",
            Self::Paramiko => "Paramiko",
            Self::Conch => "Conch",
            Self::Russh => "russh",
            Self::Sunset => "sunset",
            Self::LibSsh2 => "libssh2",
        }
    }

    /// Where its programs are, in `testdata/peers`.
    const fn directory(self) -> &'static str {
        match self {
            Self::AsyncSsh => "asyncssh",
            Self::Paramiko => "paramiko",
            Self::Conch => "conch",
            Self::Russh => "russh",
            Self::Sunset => "sunset",
            Self::LibSsh2 => "libssh2",
        }
    }

    const fn home(self) -> Home {
        match self {
            Self::AsyncSsh => Home::Python("asyncssh"),
            Self::Paramiko => Home::Python("paramiko"),
            Self::Conch => Home::Python("twisted.conch.ssh.transport"),
            Self::LibSsh2 => Home::Python("ssh2.session"),
            Self::Russh | Self::Sunset => Home::Rust,
        }
    }

    /// The name of a running one in what is reported of it.
    const fn process(self) -> &'static str {
        match self {
            Self::AsyncSsh => "the program of AsyncSSH",
            Self::Paramiko => "the program of Paramiko",
            Self::Conch => "the program of Conch",
            Self::Russh => "the program of russh",
            Self::Sunset => "the program of sunset",
            Self::LibSsh2 => "the program of libssh2",
        }
    }

    /// The program for a role, `server` or `client`.
    fn program(self, role: &str) -> Result<Program, Missing> {
        match self.home() {
            Home::Python(module) => {
                let script = checkout()
                    .join("testdata/peers")
                    .join(self.directory())
                    .join(format!("{role}.py"));
                let words = ["-I".into(), "-B".into(), script.into_os_string()];
                Ok(Program {
                    library: self,
                    file: python(self.name(), module)?,
                    words: words.to_vec(),
                })
            }
            Home::Rust => {
                let file = checkout()
                    .join("target/peers/interop")
                    .join(format!("interop-{}", self.directory()));
                if !file.is_file() {
                    let what = format!("no {}, which .ci/run peers builds", file.display());
                    return Err(Missing::new(self.name(), what));
                }
                Ok(Program {
                    library: self,
                    file,
                    words: vec![role.into()],
                })
            }
        }
    }
}

/// What is run, and with which words before all arguments.
#[derive(Clone, Debug)]
struct Program {
    library: Library,
    file: PathBuf,
    words: Vec<OsString>,
}

impl Program {
    /// It, in an environment that names no home, no agent and no module path.
    fn command(&self, dir: &TempDir) -> Command {
        let mut command = Command::new(&self.file);
        command
            .env_clear()
            .env("HOME", dir.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(dir.path())
            .args(&self.words);
        command
    }
}

/// The server of a library.
#[derive(Clone, Debug)]
pub struct LibraryServer(Program);

impl LibraryServer {
    /// Looks for the library, and for `ssh-keygen`.
    ///
    /// # Errors
    ///
    /// Which of them is missing.
    pub fn find(library: Library) -> Result<Self, Missing> {
        find_program(library.name(), "ssh-keygen")?;
        Ok(Self(library.program("server")?))
    }

    /// Starts one. [`Server::user`] is no account: commands run as whoever runs the tests.
    ///
    /// # Errors
    ///
    /// What it logged when it ended early, or that it was too slow.
    pub fn start(&self, options: &ServerOptions) -> Result<Server, PeerError> {
        let name = self.0.library.name();
        refuse(
            name,
            &[("host_key_algorithms", &options.host_key_algorithms)],
        )?;
        if self.0.library != Library::AsyncSsh {
            refuse(name, &[("password", &options.password)])?;
        }
        let dir = TempDir::new()?;
        let (host_keys, client_key) = keys::for_server(&dir, &options.host_keys)?;
        let authorized = format!(
            "{}\n{}\n",
            client_key.public_line(),
            options.authorized_keys.join("\n")
        );
        let authorized = dir.write("authorized_keys", &authorized)?;

        let mut command = self.0.command(&dir);
        command.args(["--user", USER]);
        command.arg("--authorized-keys").arg(authorized);
        for key in &host_keys {
            command.arg("--host-key").arg(key.private_path());
        }
        settings(
            &mut command,
            options.everything,
            &[
                ("--password", &options.password),
                ("--kex", &options.kex_algorithms),
                ("--user-signatures", &options.user_signatures),
                ("--ciphers", &options.ciphers),
                ("--macs", &options.macs),
            ],
            options.rekey_limit.as_deref(),
        );
        command.args(&options.extra);

        let log = dir.path().join("log");
        let mut process = Process::spawn(self.0.library.process(), &mut command, &log)?;
        let port = process.announced_port()?;
        Ok(Server {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            user: USER.to_owned(),
            host_keys,
            client_key,
            running: Running::Process(process),
            _authorization: None,
            dir,
        })
    }
}

/// The client of a library.
#[derive(Clone, Debug)]
pub struct LibraryClient(Program);

impl LibraryClient {
    /// Looks for the library.
    ///
    /// # Errors
    ///
    /// That it is missing.
    pub fn find(library: Library) -> Result<Self, Missing> {
        library.program("client").map(Self)
    }

    /// Executes `command` on the server and waits for its end. The log of the client precedes what
    /// the command wrote to standard error.
    ///
    /// # Errors
    ///
    /// When it does not start or does not end. That it failed is in the [`Output`].
    pub fn run(
        &self,
        options: &ClientOptions,
        command: &str,
        input: &[u8],
    ) -> Result<Output, PeerError> {
        let dir = TempDir::new()?;
        self.spawn(&dir, options, command)?.communicate(input)
    }

    /// What it logs once for every exchange of keys, if it logs that.
    pub fn sign_of_exchange(&self) -> Option<&'static str> {
        (self.0.library != Library::LibSsh2).then_some(KEYS_EXCHANGED)
    }

    /// Starts it. It reads all of its input before it sends any. Its files are in `dir`.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn spawn(
        &self,
        dir: &TempDir,
        options: &ClientOptions,
        command: &str,
    ) -> Result<Process, PeerError> {
        let known_hosts = dir.write("known_hosts", &options.known_hosts())?;
        let mut process = self.0.command(dir);
        process
            .args(["--host", &options.address.ip().to_string()])
            .args(["--port", &options.address.port().to_string()])
            .args(["--user", &options.user])
            .arg("--known-hosts")
            .arg(known_hosts);
        match &options.credential {
            Credential::Key(file) => process.arg("--key").arg(file),
            Credential::Password(password) => process.env("SSH_TEST_PASSWORD", password),
        };
        let tunnel = options.tunnel.map(|target| target.to_string());
        settings(
            &mut process,
            options.everything,
            &[
                ("--kex", &options.kex_algorithms),
                ("--host-key-algorithms", &options.host_key_algorithms),
                ("--ciphers", &options.ciphers),
                ("--macs", &options.macs),
                ("--tunnel", &tunnel),
            ],
            options.rekey_limit.as_deref(),
        );
        process.args(&options.extra).args(["--", command]);
        let log = dir.path().join("log");
        Process::spawn(self.0.library.process(), &mut process, &log)
    }
}

/// A Python that has a module: the one that the variable names, that of the environment which CI
/// makes, the system's.
pub(super) fn python(peer: &'static str, module: &str) -> Result<PathBuf, Missing> {
    let candidates = match std::env::var_os(PYTHON_VARIABLE) {
        Some(python) => vec![PathBuf::from(python)],
        None => vec![
            checkout().join("target/ci-venv/bin/python"),
            PathBuf::from("python3"),
        ],
    };
    let has_module = |python: &PathBuf| {
        Command::new(python)
            .args(["-I", "-c", &format!("import {module}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    candidates
        .into_iter()
        .find(has_module)
        .ok_or_else(|| Missing::new(peer, format!("no Python that can import {module}")))
}

/// What was asked for. `RekeyLimit` is bytes, then time.
fn settings(
    command: &mut Command,
    everything: bool,
    settings: &[(&str, &Option<String>)],
    rekey_limit: Option<&str>,
) {
    if everything {
        command.arg("--everything");
    }
    for (name, value) in settings {
        if let Some(value) = value {
            command.args([name, value.as_str()]);
        }
    }
    let mut words = rekey_limit.unwrap_or_default().split_whitespace();
    for name in ["--rekey-bytes", "--rekey-seconds"] {
        if let Some(value) = words.next().filter(|value| *value != "default") {
            command.args([name, value]);
        }
    }
}
