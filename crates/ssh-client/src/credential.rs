//! What a user can show, and how often.

use alloc::{string::String, sync::Arc};
use core::fmt;

use ssh_keys::SigningKey;
use ssh_proto::key::PublicKey;
use zeroize::Zeroizing;

use crate::report::Tried;

/// One way to log in. `left` is how often it can still be tried: that it only ever goes down is
/// what ends every login, whatever the server answers (C5).
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) kind: Kind,
    pub(crate) left: u32,
}

pub(crate) enum Kind {
    /// Signs here.
    Key(Arc<SigningKey>),
    /// Signs outside.
    External(PublicKey),
    Password(Zeroizing<String>),
    AskPassword,
}

/// The methods of RFC 4252 that credentials belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Publickey,
    Password,
}

impl Method {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Publickey => "publickey",
            Self::Password => "password",
        }
    }
}

impl Kind {
    pub(crate) fn public_key(&self) -> Option<&PublicKey> {
        match self {
            Self::Key(key) => Some(key.public_key()),
            Self::External(key) => Some(key),
            Self::Password(_) | Self::AskPassword => None,
        }
    }

    pub(crate) const fn method(&self) -> Method {
        match self {
            Self::Key(_) | Self::External(_) => Method::Publickey,
            Self::Password(_) | Self::AskPassword => Method::Password,
        }
    }

    pub(crate) fn tried(&self) -> Tried {
        match self.public_key() {
            Some(key) => Tried::Key {
                key_type: key.key_type(),
                fingerprint: key.fingerprint(),
            },
            None => Tried::Password,
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::External(key) => write!(f, "External({key:?})"),
            Self::Password(_) => f.write_str("Password(..)"),
            Self::AskPassword => f.write_str("AskPassword"),
        }
    }
}
