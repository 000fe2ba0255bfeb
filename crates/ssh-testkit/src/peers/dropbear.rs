//! Dropbear: `dropbear` and `dbclient`.
//!
//! The server reads authorized keys from the home of the account that logs in and from nowhere
//! else, so it is only usable by root and with a throw-away account (docs/testing.md). Neither
//! program can be told its key exchange, and the server neither its ciphers.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::account::Account;
use super::{
    ClientOptions, Credential, Missing, Output, PeerError, Process, Running, Server, ServerOptions,
    TempDir, find_program, keys, on_free_port, refuse, refuse_settings, whoami,
};

const PEER: &str = "Dropbear";

/// Dropbear's server.
#[derive(Clone, Debug)]
pub struct Dropbear {
    program: PathBuf,
    convert: PathBuf,
    account: Account,
}

impl Dropbear {
    /// Looks for `dropbear`, `dropbearconvert` and `ssh-keygen`, for the throw-away account, and
    /// for root.
    ///
    /// # Errors
    ///
    /// Which of them is missing.
    pub fn find() -> Result<Self, Missing> {
        find_program(PEER, "ssh-keygen")?;
        let program = find_program(PEER, "dropbear")?;
        let convert = find_program(PEER, "dropbearconvert")?;
        if !whoami().is_ok_and(|name| name == "root") {
            return Err(Missing::new(PEER, "its server logs others in only as root"));
        }
        Ok(Self {
            program,
            convert,
            account: Account::find(PEER)?,
        })
    }

    /// Starts one. The throw-away account may log in.
    ///
    /// # Errors
    ///
    /// When the options ask for what Dropbear cannot be told, or it does not start.
    pub fn start(&self, options: &ServerOptions) -> Result<Server, PeerError> {
        refuse_settings("dropbear", options)?;

        let dir = TempDir::new()?;
        let (host_keys, client_key) = keys::for_server(&dir, &options.host_keys)?;
        let mut lines = vec![client_key.public_line().to_owned()];
        lines.extend(options.authorized_keys.iter().cloned());
        let authorization = self.account.authorize(lines)?;

        let (address, process) = on_free_port(|address| {
            let mut command = Command::new(&self.program);
            // In the foreground, log to standard error, no passwords, no message of the day.
            command.args(["-F", "-E", "-s", "-m"]);
            command.args(["-p", &address.to_string()]);
            command.arg("-P").arg(dir.path().join("pid"));
            for key in &host_keys {
                let file = convert(&self.convert, key.private_path(), dir.path())?;
                command.arg("-r").arg(file);
            }
            command.args(&options.extra);
            let mut process = Process::spawn("dropbear", &mut command, &dir.path().join("log"))?;
            // It logs nothing once it listens. The port may be a stranger's, hence the greeting.
            process.wait_until("it listened", |_| {
                let mut greeting = [0; 16];
                let mut stream = TcpStream::connect(address).ok()?;
                let wait = Some(Duration::from_secs(2));
                stream.set_read_timeout(wait).ok()?;
                stream.read_exact(&mut greeting).ok()?;
                (&greeting == b"SSH-2.0-dropbear").then_some(())
            })?;
            Ok(process)
        })?;
        Ok(Server {
            address,
            user: self.account.name().to_owned(),
            host_keys,
            client_key,
            running: Running::Process(process),
            _authorization: Some(authorization),
            dir,
        })
    }
}

/// Dropbear's client.
#[derive(Clone, Debug)]
pub struct Dbclient {
    program: PathBuf,
    convert: PathBuf,
}

impl Dbclient {
    /// Looks for `dbclient` and `dropbearconvert`.
    ///
    /// # Errors
    ///
    /// Which of them is missing.
    pub fn find() -> Result<Self, Missing> {
        Ok(Self {
            program: find_program(PEER, "dbclient")?,
            convert: find_program(PEER, "dropbearconvert")?,
        })
    }

    /// Executes `command` on the server and waits for its end.
    ///
    /// # Errors
    ///
    /// When the options ask for what `dbclient` cannot be told, or it does not start or does not
    /// end. That it failed is in the [`Output`].
    pub fn run(
        &self,
        options: &ClientOptions,
        command: &str,
        input: &[u8],
    ) -> Result<Output, PeerError> {
        let dir = TempDir::new()?;
        self.spawn(&dir, options, &[command])?.communicate(input)
    }

    /// Only a build for debugging logs exchanges of keys.
    pub const fn sign_of_exchange(&self) -> Option<&'static str> {
        None
    }

    /// Starts `dbclient` with `tail` after the host: a command, or nothing. Its files are in
    /// `dir`.
    ///
    /// # Errors
    ///
    /// When the options ask for what it cannot be told, or it does not start.
    pub fn spawn(
        &self,
        dir: &TempDir,
        options: &ClientOptions,
        tail: &[&str],
    ) -> Result<Process, PeerError> {
        let cannot = [
            ("kex_algorithms", &options.kex_algorithms),
            ("host_key_algorithms", &options.host_key_algorithms),
            ("rekey_limit", &options.rekey_limit),
        ];
        refuse("dbclient", &cannot)?;

        // It knows no option for the file of known hosts, only the home that it is told. Hosts
        // are there without their ports.
        let home = dir.path().join(".ssh");
        fs::create_dir_all(&home)?;
        let line = |key: &String| format!("{} {key}\n", options.address.ip());
        let known_hosts = options.host_keys.iter().map(line).collect::<String>();
        fs::write(home.join("known_hosts"), known_hosts)?;

        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("HOME", dir.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        match &options.credential {
            Credential::Key(file) => {
                let file = convert(&self.convert, file, dir.path())?;
                command.arg("-i").arg(file);
            }
            Credential::Password(password) => {
                command.env("DROPBEAR_PASSWORD", password);
            }
        }
        if let Some(ciphers) = &options.ciphers {
            command.args(["-c", ciphers]);
        }
        if let Some(macs) = &options.macs {
            command.args(["-m", macs]);
        }
        // When the last output waited for its pipe, dbclient 2022.83 closes the channel after it has
        // looked whether one is left, and then sleeps for hours. A keepalive wakes it.
        command.args(["-K", "1"]);
        if let Some(target) = options.tunnel {
            command.args(["-B", &target.to_string()]);
        }
        command
            .args(&options.extra)
            .args(["-l", &options.user])
            .args(["-p", &options.address.port().to_string()])
            .arg(options.address.ip().to_string());
        if options.tunnel.is_none() {
            command.args(tail);
        }
        Process::spawn("dbclient", &mut command, &dir.path().join("log"))
    }
}

/// Gives a key in the form that Dropbear reads.
fn convert(program: &Path, key: &Path, dir: &Path) -> Result<PathBuf, PeerError> {
    let name = key.file_name().unwrap_or_default().to_string_lossy();
    let target = dir.join(format!("{name}.dropbear"));
    let output = Command::new(program)
        .args(["openssh", "dropbear"])
        .args([key, &target])
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(PeerError::with_log("dropbearconvert refuses a key", &said));
    }
    Ok(target)
}
