//! Keys for one run, made by ssh-keygen.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{PeerError, TempDir};

/// What kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyType {
    /// `ssh-ed25519`
    Ed25519,
    /// `ecdsa-sha2-nistp256`
    EcdsaP256,
    /// `ecdsa-sha2-nistp384`
    EcdsaP384,
    /// `ecdsa-sha2-nistp521`
    EcdsaP521,
    /// RSA with a modulus of so many bits.
    Rsa(u32),
}

impl KeyType {
    /// What `-t` and `-b` of ssh-keygen call it.
    fn arguments(self) -> (&'static str, Option<u32>) {
        match self {
            Self::Ed25519 => ("ed25519", None),
            Self::EcdsaP256 => ("ecdsa", Some(256)),
            Self::EcdsaP384 => ("ecdsa", Some(384)),
            Self::EcdsaP521 => ("ecdsa", Some(521)),
            Self::Rsa(bits) => ("rsa", Some(bits)),
        }
    }
}

/// A private key in an OpenSSH file without a passphrase, and its public half.
#[derive(Clone, Debug)]
pub struct KeyPair {
    private: PathBuf,
    public: String,
}

impl KeyPair {
    /// Makes `dir/name` and `dir/name.pub`.
    ///
    /// # Errors
    ///
    /// What ssh-keygen says, or that it is not installed.
    pub fn generate(dir: &TempDir, name: &str, kind: KeyType) -> Result<Self, PeerError> {
        let private = dir.path().join(name);
        let (algorithm, bits) = kind.arguments();
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", algorithm, "-N", "", "-C", name, "-f"]);
        command.arg(&private);
        if let Some(bits) = bits {
            command.args(["-b", &bits.to_string()]);
        }
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(PeerError::with_log("ssh-keygen makes no key", &said));
        }
        let line = std::fs::read_to_string(dir.path().join(format!("{name}.pub")))?;
        let public = line.split_whitespace().take(2).collect::<Vec<_>>();
        Ok(Self {
            private,
            public: public.join(" "),
        })
    }

    /// A key that a peer has made, in a form of its own.
    pub(super) const fn of_peer(private: PathBuf, public: String) -> Self {
        Self { private, public }
    }

    /// The file of the private key.
    pub fn private_path(&self) -> &Path {
        &self.private
    }

    /// The public key as `type base64`, without a comment.
    pub fn public_line(&self) -> &str {
        &self.public
    }
}

/// The keys that every server has: its own, and one that may log in.
pub(super) fn for_server(
    dir: &TempDir,
    kinds: &[KeyType],
) -> Result<(Vec<KeyPair>, KeyPair), PeerError> {
    let kinds = if kinds.is_empty() {
        &[KeyType::Ed25519]
    } else {
        kinds
    };
    let host_keys = kinds
        .iter()
        .enumerate()
        .map(|(i, &kind)| KeyPair::generate(dir, &format!("host_key_{i}"), kind))
        .collect::<Result<_, _>>()?;
    let client_key = KeyPair::generate(dir, "client_key", KeyType::Ed25519)?;
    Ok((host_keys, client_key))
}
