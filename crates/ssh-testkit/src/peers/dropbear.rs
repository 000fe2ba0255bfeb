//! Dropbear: `dropbear` and `dbclient`.
//!
//! The server reads authorized keys from the home of the account that logs in and from nowhere
//! else, so it is only usable by root and with a throw-away account (docs/testing.md). Neither
//! program can be told its key exchange, and the server neither its ciphers.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::net::TcpStream;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{
    ClientOptions, Credential, Missing, Output, PeerError, Process, Server, ServerOptions, TempDir,
    find_program, keys, on_free_port, whoami,
};

const PEER: &str = "Dropbear";

/// The environment variable that names the throw-away account.
const USER_VARIABLE: &str = "SSH_TEST_DROPBEAR_USER";

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
            account: Account::find()?,
        })
    }

    /// Starts one. The throw-away account may log in.
    ///
    /// # Errors
    ///
    /// When the options ask for what Dropbear cannot be told, or it does not start.
    pub fn start(&self, options: &ServerOptions) -> Result<Server, PeerError> {
        let cannot = [
            ("kex_algorithms", &options.kex_algorithms),
            ("host_key_algorithms", &options.host_key_algorithms),
            ("ciphers", &options.ciphers),
            ("macs", &options.macs),
            ("rekey_limit", &options.rekey_limit),
            ("password", &options.password),
        ];
        refuse("dropbear", &cannot)?;

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
            user: self.account.name.clone(),
            host_keys,
            client_key,
            process,
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
        command
            .args(&options.extra)
            .args(["-l", &options.user])
            .args(["-p", &options.address.port().to_string()])
            .arg(options.address.ip().to_string())
            .args(tail);
        Process::spawn("dbclient", &mut command, &dir.path().join("log"))
    }
}

/// The account that may be logged in to, and that nobody else uses.
#[derive(Clone, Debug)]
struct Account {
    name: String,
    uid: u32,
    gid: u32,
    home: PathBuf,
}

impl Account {
    fn find() -> Result<Self, Missing> {
        let name = std::env::var(USER_VARIABLE).unwrap_or_else(|_| "sshtest".to_owned());
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        accounts
            .lines()
            .find_map(|line| Self::parse(line, &name))
            .ok_or_else(|| Missing::new(PEER, format!("no account {name} for its server")))
    }

    /// A line of passwd(5).
    fn parse(line: &str, wanted: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| *name == wanted)?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1)?;
        Some(Self {
            name: name.to_owned(),
            uid,
            gid,
            home: PathBuf::from(home),
        })
    }

    /// Adds `lines` to the account's authorized keys until the [`Authorization`] is dropped.
    fn authorize(&self, lines: Vec<String>) -> Result<Authorization, PeerError> {
        let dir = self.home.join(".ssh");
        fs::create_dir_all(&dir)?;
        chown(&dir, Some(self.uid), Some(self.gid))?;
        let authorization = Authorization {
            file: dir.join("authorized_keys"),
            lines,
        };
        authorization.edit(|all| all.extend(authorization.lines.iter().cloned()))?;
        chown(&authorization.file, Some(self.uid), Some(self.gid))?;
        Ok(authorization)
    }
}

/// Lines of an `authorized_keys` file that are there as long as this is.
#[derive(Debug)]
pub(super) struct Authorization {
    file: PathBuf,
    lines: Vec<String>,
}

impl Authorization {
    /// Rewrites the file. Other tests may run, in this process and in others, hence the lock.
    fn edit(&self, change: impl FnOnce(&mut Vec<String>)) -> std::io::Result<()> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.file)?;
        file.lock()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let mut lines = text.lines().map(str::to_owned).collect();
        change(&mut lines);
        let text = lines.iter().map(|line| format!("{line}\n"));
        let text = text.collect::<String>();
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)
    }
}

impl Drop for Authorization {
    fn drop(&mut self) {
        // A line that stays behind lets in a key that nobody has any more.
        // One of each: another server may have been given the same key.
        let _ = self.edit(|all| {
            for ours in &self.lines {
                if let Some(at) = all.iter().position(|line| line == ours) {
                    all.remove(at);
                }
            }
        });
    }
}

/// Rather than leave out what a test asked for.
fn refuse(program: &str, options: &[(&str, &Option<String>)]) -> Result<(), PeerError> {
    match options.iter().find(|(_, value)| value.is_some()) {
        Some((name, _)) => Err(PeerError::new(format!("{program} cannot be told {name}"))),
        None => Ok(()),
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
