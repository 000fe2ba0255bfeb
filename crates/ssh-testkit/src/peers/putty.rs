//! PuTTY: `plink`, a client only.
//!
//! What it is told stands in a saved session, in a directory that an environment variable names. It
//! has no lists of MACs and of compression methods, and offers those that it knows; the lists of key
//! exchange methods and ciphers are of groups with names of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{
    ClientOptions, Credential, Missing, Output, PeerError, Process, TempDir, find_program, refuse,
};

const PEER: &str = "PuTTY";

/// All groups of key exchange methods and of ciphers. What stands behind `WARN` would be asked about,
/// and in a batch that is a no.
const EVERYTHING: &str = "\
Cipher=aesgcm,chacha20,aes,3des,blowfish,arcfour,des,WARN
KEX=ntru-curve25519,ecdh,dh-gex-sha1,dh-group18-sha512,dh-group17-sha512,dh-group16-sha512,\
dh-group15-sha512,dh-group14-sha1,rsa,dh-group1-sha1,WARN
";

/// PuTTY's client for command lines.
#[derive(Clone, Debug)]
pub struct Plink {
    program: PathBuf,
    generator: PathBuf,
}

impl Plink {
    /// Looks for `plink`, and for `puttygen`, which converts keys.
    ///
    /// # Errors
    ///
    /// Which of them is missing.
    pub fn find() -> Result<Self, Missing> {
        Ok(Self {
            program: find_program(PEER, "plink")?,
            generator: find_program(PEER, "puttygen")?,
        })
    }

    /// Executes `command` on the server and waits for its end.
    ///
    /// # Errors
    ///
    /// When the options ask for what `plink` cannot be told, or it does not start or does not end.
    /// That it failed is in the [`Output`].
    pub fn run(
        &self,
        options: &ClientOptions,
        command: &str,
        input: &[u8],
    ) -> Result<Output, PeerError> {
        let dir = TempDir::new()?;
        self.spawn(&dir, options, command)?.communicate(input)
    }

    /// What it logs once for every exchange of keys, when it logs.
    pub const fn sign_of_exchange(&self) -> Option<&'static str> {
        Some(" outbound encryption")
    }

    /// Starts it. Its files are in `dir`.
    ///
    /// # Errors
    ///
    /// When the options ask for what it cannot be told, or it does not start.
    pub fn spawn(
        &self,
        dir: &TempDir,
        options: &ClientOptions,
        command: &str,
    ) -> Result<Process, PeerError> {
        let cannot = [
            ("kex_algorithms", &options.kex_algorithms),
            ("host_key_algorithms", &options.host_key_algorithms),
            ("ciphers", &options.ciphers),
            ("macs", &options.macs),
        ];
        refuse("plink", &cannot)?;

        let home = dir.path().join("putty");
        fs::create_dir_all(home.join("sessions"))?;
        let mut session = "Protocol=ssh\n".to_owned();
        if options.everything {
            session += EVERYTHING;
        }
        if let Some(limit) = &options.rekey_limit {
            session += &format!("RekeyBytes={limit}\n");
        }
        fs::write(home.join("sessions/test"), session)?;

        let mut process = Command::new(&self.program);
        process
            .env_clear()
            .env("HOME", dir.path())
            .env("PUTTYDIR", &home)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .args([
                "-load",
                "test",
                "-ssh",
                "-batch",
                "-noagent",
                "-no-antispoof",
            ]);
        // The blob alone, as in a line of authorized_keys.
        for key in &options.host_keys {
            process.arg("-hostkey");
            process.args(key.split_whitespace().nth(1));
        }
        match &options.credential {
            Credential::Key(file) => {
                process.arg("-i").arg(self.convert(file, dir.path())?);
            }
            Credential::Password(password) => {
                let file = dir.write("password", &format!("{password}\n"))?;
                process.arg("-pwfile").arg(file);
            }
        }
        if options.verbose {
            process.arg("-v");
        }
        if let Some(target) = options.tunnel {
            process.args(["-nc", &target.to_string()]);
        }
        process
            .args(&options.extra)
            .args(["-l", &options.user])
            .args(["-P", &options.address.port().to_string()])
            .arg(options.address.ip().to_string());
        if options.tunnel.is_none() {
            process.arg(command);
        }
        Process::spawn("plink", &mut process, &dir.path().join("log"))
    }

    /// Gives a key in the form that PuTTY reads.
    fn convert(&self, key: &Path, dir: &Path) -> Result<PathBuf, PeerError> {
        let name = key.file_name().unwrap_or_default().to_string_lossy();
        let target = dir.join(format!("{name}.ppk"));
        let output = Command::new(&self.generator)
            .arg(key)
            .args(["-O", "private", "-o"])
            .arg(&target)
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(PeerError::with_log("puttygen refuses a key", &said));
        }
        Ok(target)
    }
}
