//! Why a key file could not be read or written.
//!
//! Errors name what somebody can act on: the line, the cipher, the limit. None of them holds bytes
//! of a private key or of a passphrase.

use alloc::string::String;
use core::fmt;

use ssh_proto::{key::KeyError, random::RandomError, wire::WireError};

use crate::{load::FileFormat, rsa::RsaKeyError};

/// Why a file gave no key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file is longer than any key.
    TooLarge {
        /// The limit that it exceeds, in bytes.
        limit: usize,
    },
    /// No private key in any format that is known by its first line.
    Unrecognized,
    /// A format that is recognised and not supported yet.
    UnsupportedFormat(FileFormat),
    /// The key is encrypted in a way that is not supported.
    UnsupportedEncryption {
        /// The name of the cipher.
        cipher: String,
        /// The name of the key derivation.
        kdf: String,
    },
    /// A key of a type that is not supported.
    UnsupportedKeyType(String),
    /// The key is encrypted and no passphrase was given.
    Encrypted {
        /// The name of the cipher.
        cipher: String,
        /// The name of the key derivation.
        kdf: String,
    },
    /// The passphrase is not the one that the key was encrypted with.
    WrongPassphrase,
    /// A key was to be encrypted with an empty passphrase.
    EmptyPassphrase,
    /// A number of rounds of key derivation, from the file or for a file to write, that is 0 or
    /// more than is allowed. Each costs several milliseconds.
    Rounds {
        /// What was asked for.
        rounds: u32,
        /// The most that is allowed.
        max: u32,
    },
    /// The file is damaged, or was made by something that does not keep to the format.
    Malformed {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        reason: Malformed,
    },
    /// The source of randomness failed while a file was made.
    Random(RandomError),
}

/// What is wrong with a line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// The line that ends the key is missing.
    NoEnd,
    /// Text follows the key.
    TrailingText,
    /// Not canonical base64.
    Base64,
    /// The body does not begin as it must.
    Magic,
    /// A field is not what it was declared to be.
    Wire(WireError),
    /// The container does not hold exactly one key.
    KeyCount(u32),
    /// The options of the key derivation do not belong to it.
    KdfOptions,
    /// The private section is not a whole number of cipher blocks.
    SectionLength,
    /// The two check numbers of a key that is not encrypted differ.
    CheckNumbers,
    /// The bytes behind the key are not 1, 2, 3 and so on up to the end of the block.
    Padding,
    /// The private and the public half belong to different keys.
    HalvesDiffer,
    /// The public key is not valid.
    PublicKey(KeyError),
    /// The private key is not valid.
    PrivateKey,
    /// The numbers of an RSA key are not usable.
    Rsa(RsaKeyError),
    /// The key type before the key and the one inside it differ.
    TypeDiffers,
    /// The line does not have all of its parts.
    Incomplete,
}

impl Malformed {
    /// The error that says so of a line.
    pub(crate) const fn at(self, line: usize) -> KeyFileError {
        KeyFileError::Malformed { line, reason: self }
    }
}

impl From<RandomError> for KeyFileError {
    fn from(error: RandomError) -> Self {
        Self::Random(error)
    }
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => write!(f, "longer than {limit} bytes"),
            Self::Unrecognized => f.write_str("not a private key"),
            Self::UnsupportedFormat(format) => write!(f, "{format} is not supported yet"),
            Self::UnsupportedEncryption { cipher, kdf } => write!(
                f,
                "encryption with {} and {} is not supported",
                cipher.escape_debug(),
                kdf.escape_debug()
            ),
            Self::UnsupportedKeyType(name) => {
                write!(f, "keys of type {} are not supported", name.escape_debug())
            }
            Self::Encrypted { cipher, kdf } => write!(
                f,
                "encrypted with {} and {}, a passphrase is needed",
                cipher.escape_debug(),
                kdf.escape_debug()
            ),
            Self::WrongPassphrase => f.write_str("wrong passphrase"),
            Self::EmptyPassphrase => f.write_str("the passphrase is empty"),
            Self::Rounds { rounds, max } => {
                write!(f, "{rounds} rounds of key derivation, {max} are allowed")
            }
            Self::Malformed { line, reason } => write!(f, "line {line}: {reason}"),
            Self::Random(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for KeyFileError {}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoEnd => "the end of the key is missing",
            Self::TrailingText => "text follows the key",
            Self::Base64 => "not valid base64",
            Self::Magic => "the key does not begin as it must",
            Self::Wire(error) => return error.fmt(f),
            Self::KeyCount(count) => return write!(f, "{count} keys in one file"),
            Self::KdfOptions => "the options of the key derivation are not valid",
            Self::SectionLength => "the private section is not a whole number of blocks",
            Self::CheckNumbers => "the check numbers differ",
            Self::Padding => "the padding is not 1, 2, 3 ...",
            Self::HalvesDiffer => "the private and the public half belong to different keys",
            Self::PublicKey(error) => return error.fmt(f),
            Self::PrivateKey => "the private key is not valid",
            Self::Rsa(error) => return error.fmt(f),
            Self::TypeDiffers => "the key is of another type than the line says",
            Self::Incomplete => "a part of the line is missing",
        })
    }
}

impl core::error::Error for Malformed {}
