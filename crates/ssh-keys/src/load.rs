//! Private key files of any format: says what a file is, and reads it if it can.
//!
//! The first line that is not empty tells the format. One that is recognised and cannot be read yet
//! is an error with its name, so that somebody learns what is to be converted.

use core::fmt;

use crate::{
    armor,
    error::KeyFileError,
    openssh::{self, Limits, MAX_FILE_LEN},
    signing::KeyPair,
};

/// The formats of private key files that are recognised by their first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileFormat {
    /// The format of OpenSSH.
    OpenSsh,
    /// PEM around PKCS#1: `RSA PRIVATE KEY`.
    Pkcs1,
    /// PEM around SEC 1: `EC PRIVATE KEY`.
    Sec1,
    /// PEM around a DSA key: `DSA PRIVATE KEY`.
    Dsa,
    /// PEM around PKCS#8: `PRIVATE KEY`.
    Pkcs8,
    /// PEM around encrypted PKCS#8: `ENCRYPTED PRIVATE KEY`.
    Pkcs8Encrypted,
    /// The format of ssh.com: `SSH2 ENCRYPTED PRIVATE KEY`.
    SshCom,
    /// The `.ppk` format of PuTTY.
    Putty,
    /// A public key, where a private one was asked for.
    PublicKey,
}

impl FileFormat {
    /// What the first line that is not empty says.
    pub fn sniff(file: &[u8]) -> Option<Self> {
        // What is longer than any first line needs no look at its end.
        let start = file.get(..1024).unwrap_or(file);
        let line = armor::lines(start).find(|line| !line.is_empty())?;
        Some(match line {
            line if line == openssh::BEGIN.as_bytes() => Self::OpenSsh,
            b"-----BEGIN RSA PRIVATE KEY-----" => Self::Pkcs1,
            b"-----BEGIN EC PRIVATE KEY-----" => Self::Sec1,
            b"-----BEGIN DSA PRIVATE KEY-----" => Self::Dsa,
            b"-----BEGIN PRIVATE KEY-----" => Self::Pkcs8,
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----" => Self::Pkcs8Encrypted,
            b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----" => Self::SshCom,
            b"---- BEGIN SSH2 PUBLIC KEY ----" | b"-----BEGIN PUBLIC KEY-----" => Self::PublicKey,
            line if line.starts_with(b"PuTTY-User-Key-File-") => Self::Putty,
            line if [&b"ssh-"[..], b"ecdsa-sha2-", b"sk-"]
                .iter()
                .any(|prefix| line.starts_with(prefix)) =>
            {
                Self::PublicKey
            }
            _ => return None,
        })
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenSsh => "an OpenSSH private key",
            Self::Pkcs1 => "a private key in PEM (PKCS#1)",
            Self::Sec1 => "a private key in PEM (SEC 1)",
            Self::Dsa => "a DSA private key",
            Self::Pkcs8 => "a private key in PEM (PKCS#8)",
            Self::Pkcs8Encrypted => "an encrypted private key in PEM (PKCS#8)",
            Self::SshCom => "a private key of ssh.com",
            Self::Putty => "a private key of PuTTY",
            Self::PublicKey => "a public key",
        })
    }
}

/// Reads a private key file of whatever format, with the default [`Limits`].
///
/// Errors: [`Encrypted`](KeyFileError::Encrypted) when a passphrase is needed and there is none,
/// [`UnsupportedFormat`](KeyFileError::UnsupportedFormat) for what is recognised and not read
/// yet.
pub fn load_private(file: &[u8], passphrase: Option<&[u8]>) -> Result<KeyPair, KeyFileError> {
    if file.len() > MAX_FILE_LEN {
        return Err(KeyFileError::TooLarge {
            limit: MAX_FILE_LEN,
        });
    }
    match FileFormat::sniff(file) {
        Some(FileFormat::OpenSsh) => KeyPair::from_openssh(file, passphrase, Limits::default()),
        Some(other) => Err(KeyFileError::UnsupportedFormat(other)),
        None => Err(KeyFileError::Unrecognized),
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec};

    use super::*;
    use crate::testing::key_file;

    #[test]
    fn other_formats_are_named() {
        for (name, format) in [
            ("rsa_pkcs1", FileFormat::Pkcs1),
            ("rsa_pkcs1_enc", FileFormat::Pkcs1),
            ("ecdsa_sec1", FileFormat::Sec1),
            ("rsa_pkcs8", FileFormat::Pkcs8),
            ("rsa_pkcs8_enc", FileFormat::Pkcs8Encrypted),
            ("ed25519.pub", FileFormat::PublicKey),
        ] {
            let error = load_private(&key_file(name), None).unwrap_err();
            assert_eq!(error, KeyFileError::UnsupportedFormat(format), "{name}");
            assert_eq!(format!("{error}"), format!("{format} is not supported yet"));
        }
        let putty = b"PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: none\r\n";
        assert_eq!(FileFormat::sniff(putty), Some(FileFormat::Putty));
        for nothing in [&b""[..], b"\n\n", b"hello", &[0; 4096]] {
            let error = load_private(nothing, None).unwrap_err();
            assert_eq!(error, KeyFileError::Unrecognized);
        }
    }

    #[test]
    fn f5_a_file_that_is_too_large_is_not_looked_at() {
        let error = load_private(&vec![b'\n'; MAX_FILE_LEN + 1], None).unwrap_err();
        assert_eq!(
            error,
            KeyFileError::TooLarge {
                limit: MAX_FILE_LEN
            }
        );
    }
}
