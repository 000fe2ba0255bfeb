//! OpenSSH: `sshd` and `ssh`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{
    ClientOptions, Credential, Missing, Output, PATIENCE, PeerError, Process, Running, Server,
    ServerOptions, TempDir, find_program, keys, on_free_port, whoami,
};

const PEER: &str = "OpenSSH";

/// Settings that are lists of algorithms: their names for the configuration, and for `ssh -Q`.
const LISTS: [(&str, &str); 5] = [
    ("KexAlgorithms", "kex"),
    ("HostKeyAlgorithms", "HostKeyAlgorithms"),
    ("PubkeyAcceptedAlgorithms", "PubkeyAcceptedAlgorithms"),
    ("Ciphers", "cipher"),
    ("MACs", "mac"),
];

/// The lists of a configuration: what was asked for, or else all that the build knows.
fn lists(
    ssh: &Path,
    asked: [&Option<String>; LISTS.len()],
    everything: bool,
) -> Result<Vec<(&'static str, String)>, PeerError> {
    let mut lists = Vec::new();
    for ((setting, query), asked) in LISTS.into_iter().zip(asked) {
        match asked {
            Some(names) => lists.push((setting, names.clone())),
            None if everything => lists.push((setting, known(ssh, query)?)),
            None => {}
        }
    }
    Ok(lists)
}

/// All algorithms of a kind.
fn known(ssh: &Path, query: &str) -> Result<String, PeerError> {
    let output = Command::new(ssh).args(["-Q", query]).output()?;
    let names = String::from_utf8_lossy(&output.stdout);
    let names: Vec<&str> = names.split_whitespace().collect();
    if names.is_empty() {
        return Err(PeerError::new(format!("`ssh -Q {query}` names nothing")));
    }
    Ok(names.join(","))
}

/// OpenSSH's server.
#[derive(Clone, Debug)]
pub struct Sshd {
    program: PathBuf,
    ssh: PathBuf,
}

impl Sshd {
    /// Looks for `sshd`, for `ssh-keygen`, and for `ssh`, which says what the build knows.
    ///
    /// # Errors
    ///
    /// Which of them is missing.
    pub fn find() -> Result<Self, Missing> {
        find_program(PEER, "ssh-keygen")?;
        Ok(Self {
            program: find_program(PEER, "sshd")?,
            ssh: find_program(PEER, "ssh")?,
        })
    }

    /// Starts one. The user who runs the tests may log in, nobody else.
    ///
    /// # Errors
    ///
    /// What `sshd` says about its configuration, or that it was too slow.
    pub fn start(&self, options: &ServerOptions) -> Result<Server, PeerError> {
        if options.password.is_some() {
            return Err(PeerError::new(
                "sshd has no passwords of its own, only those of the system's accounts",
            ));
        }
        let user = whoami()?;
        if user == "root" {
            // Where sshd locks its unprivileged half in. Debian's start-up makes it, usually.
            fs::create_dir_all("/run/sshd")?;
        }
        let dir = TempDir::new()?;
        let (host_keys, client_key) = keys::for_server(&dir, &options.host_keys)?;
        let authorized = format!(
            "{}\n{}\n",
            client_key.public_line(),
            options.authorized_keys.join("\n")
        );
        dir.write("authorized_keys", &authorized)?;
        let asked = [
            &options.kex_algorithms,
            &options.host_key_algorithms,
            &options.user_signatures,
            &options.ciphers,
            &options.macs,
        ];
        let lists = lists(&self.ssh, asked, options.everything)?;

        let (address, process) = on_free_port(|address| {
            let mut config = format!(
                "ListenAddress {address}\n\
                 PidFile none\n\
                 LogLevel DEBUG1\n\
                 UsePAM no\n\
                 StrictModes no\n\
                 PermitRootLogin yes\n\
                 AllowUsers {user}\n\
                 PasswordAuthentication no\n\
                 KbdInteractiveAuthentication no\n\
                 AuthorizedKeysFile {home}/authorized_keys\n\
                 PermitUserRC no\n\
                 PrintMotd no\n\
                 PrintLastLog no\n\
                 UseDNS no\n\
                 SetEnv HOME={home}\n\
                 Subsystem sftp internal-sftp\n",
                home = dir.path().display(),
            );
            for key in &host_keys {
                let _ = writeln!(config, "HostKey {}", key.private_path().display());
            }
            for (name, value) in &lists {
                let _ = writeln!(config, "{name} {value}");
            }
            if let Some(limit) = &options.rekey_limit {
                let _ = writeln!(config, "RekeyLimit {limit}");
            }
            // First, because sshd keeps the first value that it reads.
            let config = format!("{}\n{config}", options.extra.join("\n"));
            let config = dir.write("sshd_config", &config)?;

            // By its full path: sshd starts itself again for every connection.
            let mut command = Command::new(&self.program);
            command.args(["-D", "-e", "-f"]).arg(config);
            let mut process = Process::spawn("sshd", &mut command, &dir.path().join("log"))?;
            let sign = format!("Server listening on {} port", address.ip());
            process.wait_until("it listened", |p| p.log().contains(&sign).then_some(()))?;
            Ok(process)
        })?;
        Ok(Server {
            address,
            user,
            host_keys,
            client_key,
            running: Running::Process(process),
            _authorization: None,
            dir,
        })
    }
}

/// OpenSSH's client.
#[derive(Clone, Debug)]
pub struct OpenSshClient {
    program: PathBuf,
}

impl OpenSshClient {
    /// Looks for `ssh`.
    ///
    /// # Errors
    ///
    /// That it is missing.
    pub fn find() -> Result<Self, Missing> {
        Ok(Self {
            program: find_program(PEER, "ssh")?,
        })
    }

    /// Executes `command` on the server and waits for its end.
    ///
    /// # Errors
    ///
    /// When `ssh` does not start or does not end. That it failed is in the [`Output`].
    pub fn run(
        &self,
        options: &ClientOptions,
        command: &str,
        input: &[u8],
    ) -> Result<Output, PeerError> {
        let dir = TempDir::new()?;
        self.spawn(&dir, options, &[command])?.communicate(input)
    }

    /// What it logs once for every exchange of keys, when it logs.
    pub const fn sign_of_exchange(&self) -> Option<&'static str> {
        Some("SSH2_MSG_NEWKEYS received")
    }

    /// Starts `ssh` with `tail` after the host: a command, or nothing. Its files are in `dir`.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn spawn(
        &self,
        dir: &TempDir,
        options: &ClientOptions,
        tail: &[&str],
    ) -> Result<Process, PeerError> {
        let known_hosts = dir.write("known_hosts", &options.known_hosts())?;
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("HOME", dir.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            // No configuration but this: neither that of the user nor that of the system.
            .args(["-F", "/dev/null"])
            .args(["-o", "GlobalKnownHostsFile=/dev/null"])
            .args(["-o", "StrictHostKeyChecking=yes"])
            .args(["-o", "UpdateHostKeys=no"])
            .args(["-o", "IdentityAgent=none"])
            .args(["-o", "IdentitiesOnly=yes"])
            .args(["-o", &format!("ConnectTimeout={}", PATIENCE.as_secs())])
            .args([
                "-o",
                &format!("UserKnownHostsFile={}", known_hosts.display()),
            ]);
        match &options.credential {
            Credential::Key(file) => {
                command.args(["-o", "BatchMode=yes", "-i"]).arg(file);
            }
            Credential::Password(password) => {
                let helper =
                    dir.write("askpass", "#!/bin/sh\nprintf '%s\\n' \"$ASKPASS_ANSWER\"\n")?;
                make_executable(&helper)?;
                command
                    .env("SSH_ASKPASS", helper)
                    .env("SSH_ASKPASS_REQUIRE", "force")
                    .env("ASKPASS_ANSWER", password)
                    .args(["-o", "PubkeyAuthentication=no"])
                    .args(["-o", "NumberOfPasswordPrompts=1"]);
            }
        }
        let asked = [
            &options.kex_algorithms,
            &options.host_key_algorithms,
            &None,
            &options.ciphers,
            &options.macs,
        ];
        for (name, value) in lists(&self.program, asked, options.everything)? {
            command.args(["-o", &format!("{name}={value}")]);
        }
        if let Some(limit) = &options.rekey_limit {
            command.args(["-o", &format!("RekeyLimit={limit}")]);
        }
        if options.verbose {
            command.arg("-v");
        }
        if let Some(target) = options.tunnel {
            command.args(["-W", &target.to_string()]);
        }
        command
            .args(&options.extra)
            .args(["-l", &options.user])
            .args(["-p", &options.address.port().to_string()])
            .arg(options.address.ip().to_string());
        if options.tunnel.is_none() {
            command.args(tail);
        }
        Process::spawn("ssh", &mut command, &dir.path().join("log"))
    }
}

fn make_executable(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o700))
}
