//! AsyncSSH, by the two scripts in `testdata/peers/asyncssh`.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use super::{
    ClientOptions, Credential, Missing, Output, PeerError, Process, Server, ServerOptions, TempDir,
    find_program, keys,
};

const PEER: &str = "AsyncSSH";

/// The environment variable that names the Python which has AsyncSSH.
const PYTHON_VARIABLE: &str = "SSH_TEST_ASYNCSSH_PYTHON";

/// Who may log in to its server: it is a name and no account.
const USER: &str = "tester";

/// AsyncSSH's server.
#[derive(Clone, Debug)]
pub struct AsyncSshServer {
    python: PathBuf,
}

impl AsyncSshServer {
    /// Looks for a Python with AsyncSSH, and for `ssh-keygen`.
    ///
    /// # Errors
    ///
    /// Which of them is missing.
    pub fn find() -> Result<Self, Missing> {
        find_program(PEER, "ssh-keygen")?;
        Ok(Self {
            python: find_python()?,
        })
    }

    /// Starts one. [`Server::user`] is no account: commands run as whoever runs the tests.
    ///
    /// # Errors
    ///
    /// What it logged when it ended early, or that it was too slow.
    pub fn start(&self, options: &ServerOptions) -> Result<Server, PeerError> {
        let dir = TempDir::new()?;
        let (host_keys, client_key) = keys::for_server(&dir, &options.host_keys)?;
        let authorized = format!(
            "{}\n{}\n",
            client_key.public_line(),
            options.authorized_keys.join("\n")
        );
        let authorized = dir.write("authorized_keys", &authorized)?;

        let mut command = python_with(&self.python, "server.py", &dir);
        command.args(["--user", USER]);
        command.arg("--authorized-keys").arg(authorized);
        for key in &host_keys {
            command.arg("--host-key").arg(key.private_path());
        }
        if let Some(password) = &options.password {
            command.args(["--password", password]);
        }
        algorithms(
            &mut command,
            &options.kex_algorithms,
            &options.host_key_algorithms,
            &options.ciphers,
            &options.macs,
        );
        rekey(&mut command, options.rekey_limit.as_deref());
        command.args(&options.extra);

        let log = dir.path().join("log");
        let mut process = Process::spawn("AsyncSSH server", &mut command, &log)?;
        let port = announced_port(&mut process)?;
        Ok(Server {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            user: USER.to_owned(),
            host_keys,
            client_key,
            process,
            _authorization: None,
            dir,
        })
    }
}

/// AsyncSSH's client.
#[derive(Clone, Debug)]
pub struct AsyncSshClient {
    python: PathBuf,
}

impl AsyncSshClient {
    /// Looks for a Python with AsyncSSH.
    ///
    /// # Errors
    ///
    /// That there is none.
    pub fn find() -> Result<Self, Missing> {
        Ok(Self {
            python: find_python()?,
        })
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
        let mut process = python_with(&self.python, "client.py", dir);
        process
            .args(["--host", &options.address.ip().to_string()])
            .args(["--port", &options.address.port().to_string()])
            .args(["--user", &options.user])
            .arg("--known-hosts")
            .arg(known_hosts);
        match &options.credential {
            Credential::Key(file) => process.arg("--key").arg(file),
            Credential::Password(password) => process.env("ASYNCSSH_PASSWORD", password),
        };
        algorithms(
            &mut process,
            &options.kex_algorithms,
            &options.host_key_algorithms,
            &options.ciphers,
            &options.macs,
        );
        rekey(&mut process, options.rekey_limit.as_deref());
        process.args(&options.extra).args(["--", command]);
        Process::spawn("AsyncSSH client", &mut process, &dir.path().join("log"))
    }
}

/// The variable, the environment that CI makes, the system's.
fn find_python() -> Result<PathBuf, Missing> {
    let candidates = match std::env::var_os(PYTHON_VARIABLE) {
        Some(python) => vec![PathBuf::from(python)],
        None => vec![
            checkout().join("target/ci-venv/bin/python"),
            PathBuf::from("python3"),
        ],
    };
    let has_asyncssh = |python: &PathBuf| {
        Command::new(python)
            .args(["-I", "-c", "import asyncssh"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    candidates
        .into_iter()
        .find(has_asyncssh)
        .ok_or_else(|| Missing::new(PEER, "no Python that can import asyncssh"))
}

fn checkout() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Python with a script, in an environment that names no home, no agent and no module path.
fn python_with(python: &Path, script: &str, dir: &TempDir) -> Command {
    let mut command = Command::new(python);
    command
        .env_clear()
        .env("HOME", dir.path())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(dir.path())
        .args(["-I", "-B"])
        .arg(checkout().join("testdata/peers/asyncssh").join(script));
    command
}

fn algorithms(
    command: &mut Command,
    kex: &Option<String>,
    host_key: &Option<String>,
    ciphers: &Option<String>,
    macs: &Option<String>,
) {
    let settings = [
        ("--kex", kex),
        ("--host-key-algorithms", host_key),
        ("--ciphers", ciphers),
        ("--macs", macs),
    ];
    for (name, value) in settings {
        if let Some(value) = value {
            command.args([name, value]);
        }
    }
}

/// `RekeyLimit` is bytes, then time.
fn rekey(command: &mut Command, limit: Option<&str>) {
    let mut words = limit.unwrap_or_default().split_whitespace();
    for name in ["--rekey-bytes", "--rekey-seconds"] {
        if let Some(value) = words.next().filter(|value| *value != "default") {
            command.args([name, value]);
        }
    }
}

/// Waits for the line `PORT n`. A thread reads it, so that the wait is bounded.
fn announced_port(process: &mut Process) -> Result<u16, PeerError> {
    let Some(stdout) = process.take_stdout() else {
        return Err(PeerError::new("the server's output was taken before"));
    };
    let (sender, line) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        // Without a line there is nothing to send, and the wait below says why.
        if BufReader::new(stdout).read_line(&mut text).is_ok() {
            let _ = sender.send(text);
        }
    });
    let line = process.wait_until("it said its port", |_| line.try_recv().ok())?;
    line.strip_prefix("PORT ")
        .and_then(|number| number.trim().parse().ok())
        .ok_or_else(|| process.error(format!("said {line:?} instead of its port")))
}
