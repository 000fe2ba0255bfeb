//! The account that servers log others in to which read `authorized_keys` from a home and from
//! nowhere else (docs/testing.md).

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::PathBuf;

use super::{Missing, PeerError};

/// The environment variable that names it.
const USER_VARIABLE: &str = "SSH_TEST_DROPBEAR_USER";

/// The account that may be logged in to, and that nobody else uses.
#[derive(Clone, Debug)]
pub(super) struct Account {
    name: String,
    uid: u32,
    gid: u32,
    home: PathBuf,
}

impl Account {
    /// Looks for it, on behalf of `peer`.
    pub(super) fn find(peer: &'static str) -> Result<Self, Missing> {
        let name = std::env::var(USER_VARIABLE).unwrap_or_else(|_| "sshtest".to_owned());
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        accounts
            .lines()
            .find_map(|line| Self::parse(line, &name))
            .ok_or_else(|| Missing::new(peer, format!("no account {name} for its server")))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
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
    pub(super) fn authorize(&self, lines: Vec<String>) -> Result<Authorization, PeerError> {
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
