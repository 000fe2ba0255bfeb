//! The private key files of OpenSSH (its `PROTOCOL.key`): a container with one public key and one
//! private section, plain or encrypted under a key that bcrypt_pbkdf derives from a passphrase.
//!
//! ```text
//!   "openssh-key-v1" NUL
//!   string ciphername, kdfname, kdfoptions     "none" "none" "" when it is not encrypted
//!   uint32 1                                   number of keys
//!   string public key
//!   string private section:  uint32 checkint, uint32 checkint (the same)
//!                            private key, string comment
//!                            1, 2, 3 ... up to the end of the cipher's block
//! ```
//!
//! A file may come from a stranger: its size and its rounds of key derivation are bounded, and it
//! is read to its last byte or refused. A wrong passphrase shows only in the check numbers; where
//! they agree by accident (one in 2<sup>32</sup>) the error is a malformed section.

use alloc::{string::String, vec, vec::Vec};

use aes::{Aes128, Aes192, Aes256};
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use ssh_proto::{
    key::PublicKey,
    random::Random,
    wire::{Mpint, Reader, Sink, WireError},
};
use zeroize::Zeroizing;

use crate::{
    armor::{self, Armor},
    error::{KeyFileError, Malformed},
    rsa::{RsaComponents, RsaPrivateKey},
    signing::{KeyPair, SecretParts, SigningKey},
};

/// The first line of a file.
pub(crate) const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The longest file that is read, in bytes.
pub const MAX_FILE_LEN: usize = 1 << 20;
/// Rounds of bcrypt that a file may ask for unless the caller allows more: about eight seconds.
pub const DEFAULT_MAX_ROUNDS: u32 = 1024;
/// Rounds of bcrypt that ssh-keygen writes unless it is asked for more: about a tenth of a second.
pub const DEFAULT_ROUNDS: u32 = 16;
/// Bytes of salt in the files that are written, as many as ssh-keygen's have.
const SALT_LEN: usize = 16;

/// What a file may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most rounds of bcrypt, each of which costs several milliseconds.
    pub max_rounds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_rounds: DEFAULT_MAX_ROUNDS,
        }
    }
}

impl Limits {
    /// The default with another number of rounds.
    pub const fn with_max_rounds(max_rounds: u32) -> Self {
        Self { max_rounds }
    }
}

/// How a key is protected in the file that is written.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Protection<'a> {
    /// Not at all.
    None,
    /// aes256-ctr under a key that bcrypt derives from a passphrase.
    Passphrase {
        /// The passphrase, not empty.
        passphrase: &'a [u8],
        /// Rounds of bcrypt, from 1 to [`DEFAULT_MAX_ROUNDS`]; ssh-keygen takes
        /// [`DEFAULT_ROUNDS`].
        rounds: u32,
    },
}

impl KeyPair {
    /// Reads an OpenSSH private key file. The passphrase is looked at only if the key is
    /// encrypted.
    pub fn from_openssh(
        file: &[u8],
        passphrase: Option<&[u8]>,
        limits: Limits,
    ) -> Result<Self, KeyFileError> {
        if file.len() > MAX_FILE_LEN {
            return Err(KeyFileError::TooLarge {
                limit: MAX_FILE_LEN,
            });
        }
        let armor = Armor::decode(file, BEGIN, END)?;
        let mut outer = Fields::new(&armor.body, 0, &armor);
        if outer.read(|r| r.bytes(MAGIC.len())) != Ok(MAGIC) {
            return Err(Malformed::Magic.at(armor.line_of(0)));
        }
        let encryption = Encryption::read(&mut outer)?;
        match outer.read(Reader::u32)? {
            1 => {}
            count => return Err(outer.wrong(Malformed::KeyCount(count))),
        }
        let public_at = outer.offset();
        let public_blob = outer.read(Reader::string)?;
        let section = outer.read(Reader::string)?;
        let section_at = outer.offset() - section.len();
        outer.finish()?;

        let cipher = encryption.cipher();
        if section.is_empty() || section.len() % cipher.block_len() != 0 {
            return Err(Malformed::SectionLength.at(armor.line_of(section_at)));
        }
        let mut section = Zeroizing::new(section.to_vec());
        encryption.decrypt(&mut section, passphrase, limits)?;
        let mut inner = Fields::new(&section, section_at, &armor);
        let (first, second) = (inner.read(Reader::u32)?, inner.read(Reader::u32)?);
        if first != second {
            return Err(match encryption {
                Encryption::None => inner.wrong(Malformed::CheckNumbers),
                Encryption::Bcrypt { .. } => KeyFileError::WrongPassphrase,
            });
        }
        let private = read_private(&mut inner)?;
        let comment = inner.read(Reader::string)?;
        let padding = inner.read(|r| Ok(r.rest()))?;
        let right = (1_u8..).zip(padding).all(|(expected, &b)| b == expected);
        if padding.len() >= cipher.block_len() || !right {
            return Err(inner.wrong(Malformed::Padding));
        }

        let public = PublicKey::from_blob(public_blob)
            .map_err(|error| Malformed::PublicKey(error).at(armor.line_of(public_at)))?;
        if *private.public_key() != public {
            return Err(Malformed::HalvesDiffer.at(armor.line_of(section_at)));
        }
        Ok(Self {
            private,
            comment: String::from_utf8_lossy(comment).into_owned(),
        })
    }

    /// Writes an OpenSSH private key file. `random` gives the check number and the salt.
    pub fn to_openssh(
        &self,
        protection: Protection<'_>,
        random: &mut dyn Random,
    ) -> Result<Zeroizing<String>, KeyFileError> {
        let parts = self.private.secret_parts().ok_or_else(|| {
            let key_type = self.private.public_key().key_type();
            KeyFileError::UnsupportedKeyType(key_type.name().into())
        })?;
        let mut check = [0; 4];
        random.fill(&mut check)?;
        let mut salt = [0; SALT_LEN];
        let encryption = match protection {
            Protection::None => Encryption::None,
            Protection::Passphrase { passphrase: [], .. } => {
                return Err(KeyFileError::EmptyPassphrase);
            }
            Protection::Passphrase { rounds, .. } => {
                if !(1..=DEFAULT_MAX_ROUNDS).contains(&rounds) {
                    let max = DEFAULT_MAX_ROUNDS;
                    return Err(KeyFileError::Rounds { rounds, max });
                }
                random.fill(&mut salt)?;
                Encryption::Bcrypt {
                    cipher: Cipher::Aes256Ctr,
                    salt: &salt,
                    rounds,
                }
            }
        };

        // Written twice: once to learn the size, so that the secret is never moved.
        let mut counter = ssh_proto::wire::Counter::default();
        self.write_section(&parts, check, &mut counter);
        let block = encryption.cipher().block_len();
        let padded = counter.len().next_multiple_of(block);
        let mut section = Zeroizing::new(Vec::with_capacity(padded));
        self.write_section(&parts, check, &mut *section);
        for byte in (1_u8..).take(padded - counter.len()) {
            section.put_u8(byte);
        }
        if let Protection::Passphrase { passphrase, .. } = protection {
            encryption.decrypt(&mut section, Some(passphrase), Limits::default())?;
        }

        let public = self.private.public_key();
        let public = public.blob();
        let mut body = Zeroizing::new(Vec::with_capacity(public.len() + section.len() + 128));
        body.put(MAGIC);
        encryption.write(&mut *body);
        body.put_u32(1);
        body.put_string(public);
        body.put_string(&section);
        Ok(armor::encode(&body, BEGIN, END))
    }

    /// The private section without its padding.
    fn write_section(&self, parts: &SecretParts<'_>, check: [u8; 4], out: &mut dyn Sink) {
        out.put(&check);
        out.put(&check);
        write_private(&self.private, parts, out);
        out.put_string(self.comment.as_bytes());
    }
}

/// The private key in the encoding of the agent protocol.
fn read_private(fields: &mut Fields<'_>) -> Result<SigningKey, KeyFileError> {
    match fields.read(Reader::string)? {
        b"ssh-ed25519" => {
            let public = fields.read(Reader::string)?;
            let pair = fields.read(Reader::string)?;
            let Some((seed, second)) = pair.split_first_chunk::<32>() else {
                return Err(fields.wrong(Malformed::PrivateKey));
            };
            let key = SigningKey::ed25519(seed);
            let derived = key.public_key().ed25519().map(|p| p.as_slice());
            if second != public || derived != Some(public) {
                return Err(fields.wrong(Malformed::HalvesDiffer));
            }
            Ok(key)
        }
        b"ecdsa-sha2-nistp256" => {
            if fields.read(Reader::string)? != b"nistp256" {
                return Err(fields.wrong(Malformed::PrivateKey));
            }
            let point = fields.read(Reader::string)?;
            let d = fields.read(Reader::mpint)?.as_unsigned();
            let mut scalar = Zeroizing::new([0; 32]);
            let Some(zeros) = scalar.len().checked_sub(d.len()) else {
                return Err(fields.wrong(Malformed::PrivateKey));
            };
            if let Some(low) = scalar.get_mut(zeros..) {
                low.copy_from_slice(d);
            }
            let key =
                SigningKey::ecdsa_p256(&scalar).map_err(|_| fields.wrong(Malformed::PrivateKey))?;
            if key.public_key().ecdsa_p256().map(|p| p.as_slice()) != Some(point) {
                return Err(fields.wrong(Malformed::HalvesDiffer));
            }
            Ok(key)
        }
        b"ssh-rsa" => {
            let mut number = || {
                fields
                    .read(Reader::mpint)
                    .map(|number| number.as_unsigned())
            };
            let parts = RsaComponents {
                n: number()?,
                e: number()?,
                d: number()?,
                iqmp: number()?,
                p: number()?,
                q: number()?,
            };
            let key = RsaPrivateKey::from_components(&parts)
                .map_err(|error| fields.wrong(Malformed::Rsa(error)))?;
            SigningKey::rsa(key).map_err(|error| fields.wrong(Malformed::PublicKey(error)))
        }
        other => Err(KeyFileError::UnsupportedKeyType(
            String::from_utf8_lossy(other).into_owned(),
        )),
    }
}

fn write_private(key: &SigningKey, parts: &SecretParts<'_>, out: &mut dyn Sink) {
    out.put_string(key.public_key().key_type().name().as_bytes());
    match parts {
        SecretParts::Ed25519 { seed, public } => {
            out.put_string(*public);
            out.put_u32(64);
            out.put(&**seed);
            out.put(*public);
        }
        SecretParts::EcdsaP256 { scalar, point } => {
            out.put_string(b"nistp256");
            out.put_string(*point);
            out.put_mpint(Mpint::from_unsigned(&**scalar));
        }
        SecretParts::Rsa(key) => {
            out.put_mpint(Mpint::from_unsigned(&key.n()));
            out.put_mpint(Mpint::from_unsigned(&key.e()));
            for number in key.secret_components() {
                out.put_mpint(Mpint::from_unsigned(&number));
            }
        }
    }
}

/// Reads fields and knows on which line of the file they stand.
struct Fields<'a> {
    reader: Reader<'a>,
    /// The place in the body where what is read ends.
    end: usize,
    armor: &'a Armor,
}

impl<'a> Fields<'a> {
    /// `bytes` stand (or stood before they were decrypted) at `start` of the body.
    const fn new(bytes: &'a [u8], start: usize, armor: &'a Armor) -> Self {
        Self {
            reader: Reader::new(bytes),
            end: start + bytes.len(),
            armor,
        }
    }

    fn read<T>(
        &mut self,
        field: impl FnOnce(&mut Reader<'a>) -> Result<T, WireError>,
    ) -> Result<T, KeyFileError> {
        let line = self.line();
        field(&mut self.reader).map_err(|error| Malformed::Wire(error).at(line))
    }

    fn finish(self) -> Result<(), KeyFileError> {
        let line = self.line();
        self.reader
            .finish()
            .map_err(|error| Malformed::Wire(error).at(line))
    }

    /// What was read last is wrong.
    fn wrong(&self, reason: Malformed) -> KeyFileError {
        reason.at(self.armor.line_of(self.offset().saturating_sub(1)))
    }

    fn line(&self) -> usize {
        self.armor.line_of(self.offset())
    }

    const fn offset(&self) -> usize {
        self.end - self.reader.remaining()
    }
}

/// The ciphers of private sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cipher {
    None,
    Aes128Ctr,
    Aes192Ctr,
    Aes256Ctr,
}

impl Cipher {
    fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"none" => Self::None,
            b"aes128-ctr" => Self::Aes128Ctr,
            b"aes192-ctr" => Self::Aes192Ctr,
            b"aes256-ctr" => Self::Aes256Ctr,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Aes128Ctr => "aes128-ctr",
            Self::Aes192Ctr => "aes192-ctr",
            Self::Aes256Ctr => "aes256-ctr",
        }
    }

    const fn key_len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Aes128Ctr => 16,
            Self::Aes192Ctr => 24,
            Self::Aes256Ctr => 32,
        }
    }

    const fn block_len(self) -> usize {
        match self {
            Self::None => 8,
            Self::Aes128Ctr | Self::Aes192Ctr | Self::Aes256Ctr => 16,
        }
    }

    /// Encrypts or decrypts, which is the same in counter mode.
    fn apply(self, key: &[u8], iv: &[u8], data: &mut [u8]) -> Option<()> {
        match self {
            Self::None => {}
            Self::Aes128Ctr => Ctr128BE::<Aes128>::new_from_slices(key, iv)
                .ok()?
                .apply_keystream(data),
            Self::Aes192Ctr => Ctr128BE::<Aes192>::new_from_slices(key, iv)
                .ok()?
                .apply_keystream(data),
            Self::Aes256Ctr => Ctr128BE::<Aes256>::new_from_slices(key, iv)
                .ok()?
                .apply_keystream(data),
        }
        Some(())
    }
}

/// `ciphername`, `kdfname` and `kdfoptions`, which go together or are refused.
#[derive(Clone, Copy)]
enum Encryption<'a> {
    None,
    Bcrypt {
        cipher: Cipher,
        salt: &'a [u8],
        rounds: u32,
    },
}

impl<'a> Encryption<'a> {
    fn read(fields: &mut Fields<'a>) -> Result<Self, KeyFileError> {
        let cipher_name = fields.read(Reader::string)?;
        let kdf_name = fields.read(Reader::string)?;
        let options = fields.read(Reader::string)?;
        let invalid = fields.wrong(Malformed::KdfOptions);
        match (Cipher::from_name(cipher_name), kdf_name) {
            (Some(Cipher::None), b"none") if options.is_empty() => Ok(Self::None),
            (Some(Cipher::None), _) | (_, b"none") => Err(invalid),
            (Some(cipher), b"bcrypt") => {
                let mut options = Reader::new(options);
                let parse = |options: &mut Reader<'a>| Ok((options.string()?, options.u32()?));
                match parse(&mut options) {
                    Ok::<_, WireError>((salt, rounds))
                        if !salt.is_empty() && rounds > 0 && options.is_empty() =>
                    {
                        Ok(Self::Bcrypt {
                            cipher,
                            salt,
                            rounds,
                        })
                    }
                    _ => Err(invalid),
                }
            }
            _ => Err(KeyFileError::UnsupportedEncryption {
                cipher: String::from_utf8_lossy(cipher_name).into_owned(),
                kdf: String::from_utf8_lossy(kdf_name).into_owned(),
            }),
        }
    }

    fn write(&self, out: &mut dyn Sink) {
        out.put_string(self.cipher().name().as_bytes());
        match self {
            Self::None => {
                out.put_string(b"none");
                out.put_string(b"");
            }
            Self::Bcrypt { salt, rounds, .. } => {
                let mut options = Vec::with_capacity(salt.len() + 8);
                options.put_string(salt);
                options.put_u32(*rounds);
                out.put_string(b"bcrypt");
                out.put_string(&options);
            }
        }
    }

    const fn cipher(&self) -> Cipher {
        match self {
            Self::None => Cipher::None,
            Self::Bcrypt { cipher, .. } => *cipher,
        }
    }

    /// Decrypts `section` in place, or encrypts it.
    fn decrypt(
        &self,
        section: &mut [u8],
        passphrase: Option<&[u8]>,
        limits: Limits,
    ) -> Result<(), KeyFileError> {
        let Self::Bcrypt {
            cipher,
            salt,
            rounds,
        } = *self
        else {
            return Ok(());
        };
        let Some(passphrase) = passphrase else {
            return Err(KeyFileError::Encrypted {
                cipher: cipher.name().into(),
                kdf: "bcrypt".into(),
            });
        };
        if rounds > limits.max_rounds {
            return Err(KeyFileError::Rounds {
                rounds,
                max: limits.max_rounds,
            });
        }
        let mut derived = Zeroizing::new(vec![0; cipher.key_len() + 16]);
        // What it refuses is an empty passphrase (rounds and salt have been checked), and no key
        // was ever encrypted with one.
        bcrypt_pbkdf::bcrypt_pbkdf(passphrase, salt, rounds, &mut derived)
            .map_err(|_| KeyFileError::WrongPassphrase)?;
        derived
            .split_at_checked(cipher.key_len())
            .and_then(|(key, iv)| cipher.apply(key, iv, section))
            .ok_or(KeyFileError::WrongPassphrase)
    }
}

#[cfg(test)]
mod tests;
