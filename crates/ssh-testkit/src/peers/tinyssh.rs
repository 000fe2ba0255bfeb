//! TinySSH: `tinysshd`, a server only.
//!
//! It runs for one connection on its standard input and output. It knows one key type, has no lists of
//! algorithms to set, and reads authorized keys from the home of the account that logs in.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::account::Account;
use super::inetd::Inetd;
use super::keys::{KeyPair, KeyType};
use super::{
    Missing, PeerError, Running, Server, ServerOptions, TempDir, find_program, refuse_settings,
    whoami,
};

const PEER: &str = "TinySSH";

/// TinySSH's server.
#[derive(Clone, Debug)]
pub struct Tinysshd {
    program: PathBuf,
    make_key: PathBuf,
    print_key: PathBuf,
    account: Account,
}

impl Tinysshd {
    /// Looks for `tinysshd`, `tinysshd-makekey`, `tinysshd-printkey` and `ssh-keygen`, for the
    /// throw-away account, and for root.
    ///
    /// # Errors
    ///
    /// Which of them is missing.
    pub fn find() -> Result<Self, Missing> {
        find_program(PEER, "ssh-keygen")?;
        let program = find_program(PEER, "tinysshd")?;
        let make_key = find_program(PEER, "tinysshd-makekey")?;
        let print_key = find_program(PEER, "tinysshd-printkey")?;
        if !whoami().is_ok_and(|name| name == "root") {
            return Err(Missing::new(PEER, "it logs others in only as root"));
        }
        Ok(Self {
            program,
            make_key,
            print_key,
            account: Account::find(PEER)?,
        })
    }

    /// Starts one. The throw-away account may log in, with Ed25519 keys alone.
    ///
    /// # Errors
    ///
    /// When the options ask for what TinySSH cannot be told, or its key cannot be made.
    pub fn start(&self, options: &ServerOptions) -> Result<Server, PeerError> {
        refuse_settings("tinysshd", options)?;
        if options
            .host_keys
            .iter()
            .any(|kind| *kind != KeyType::Ed25519)
        {
            return Err(PeerError::new("tinysshd has Ed25519 keys and no others"));
        }

        let dir = TempDir::new()?;
        let client_key = KeyPair::generate(&dir, "client_key", KeyType::Ed25519)?;
        let host_key = self.host_key(&dir)?;
        let mut lines = vec![client_key.public_line().to_owned()];
        lines.extend(options.authorized_keys.iter().cloned());
        let authorization = self.account.authorize(lines)?;

        let mut arguments = vec!["-v".to_owned()];
        arguments.extend(options.extra.iter().cloned());
        arguments.push(host_key.private_path().display().to_string());
        let log = dir.path().join("log");
        let inetd = Inetd::start(self.program.clone(), arguments, &log)?;
        Ok(Server {
            address: inetd.address(),
            user: self.account.name().to_owned(),
            host_keys: vec![host_key],
            client_key,
            running: Running::Inetd(inetd),
            _authorization: Some(authorization),
            dir,
        })
    }

    /// Makes its directory of keys.
    fn host_key(&self, dir: &TempDir) -> Result<KeyPair, PeerError> {
        let keys = dir.path().join("tinyssh");
        let run = |program: &PathBuf| -> Result<String, PeerError> {
            let mut command = Command::new(program);
            let output = command.arg(&keys).stdin(Stdio::null()).output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                let what = format!("{} fails", program.display());
                return Err(PeerError::with_log(what, &said));
            }
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        run(&self.make_key)?;
        let printed = run(&self.print_key)?;
        let words = printed
            .lines()
            .filter(|line| line.starts_with("ssh-ed25519 "))
            .flat_map(|line| line.split_whitespace().take(2));
        let line = words.collect::<Vec<_>>().join(" ");
        Ok(KeyPair::of_peer(keys, line))
    }
}
