//! From the shared secret to keys (RFC 4253 section 7.2).
//!
//! ```text
//!   K1 = HASH(K || H || X || session_id)     X = "A" .. "F"
//!   Ki = HASH(K || H || K1 || ... || Ki-1)   key = K1 || K2 || ...
//! ```

use alloc::vec;

use zeroize::Zeroizing;

use super::Protection;
use crate::crypto::agree::SharedSecret;
use crate::crypto::cipher::{OpeningKey, SealingKey};
use crate::crypto::hash::{Digest, Hash, HashAlgorithm};
use crate::error::Error;
use crate::transport::Role;
use crate::wire::Sink;

/// What keys are derived from.
pub(super) struct Material<'a> {
    pub(super) hash: HashAlgorithm,
    pub(super) shared: &'a SharedSecret,
    pub(super) exchange_hash: &'a Digest,
    pub(super) session_id: &'a Digest,
}

/// The three letters of one direction.
struct Letters {
    iv: u8,
    key: u8,
    mac: u8,
}

const CLIENT_TO_SERVER: Letters = Letters {
    iv: b'A',
    key: b'C',
    mac: b'E',
};
const SERVER_TO_CLIENT: Letters = Letters {
    iv: b'B',
    key: b'D',
    mac: b'F',
};

impl Material<'_> {
    /// The key for what `sender` seals.
    pub(super) fn sealing(&self, sender: Role, with: Protection) -> Result<SealingKey, Error> {
        let keys = self.keys(sender, with);
        SealingKey::new(with.cipher, with.mac, &keys.key, &keys.iv, &keys.mac)
            .map_err(|_| Error::Internal("derived keys do not fit the cipher"))
    }

    /// The key for what was sealed by `sender`.
    pub(super) fn opening(&self, sender: Role, with: Protection) -> Result<OpeningKey, Error> {
        let keys = self.keys(sender, with);
        OpeningKey::new(with.cipher, with.mac, &keys.key, &keys.iv, &keys.mac)
            .map_err(|_| Error::Internal("derived keys do not fit the cipher"))
    }

    fn keys(&self, sender: Role, with: Protection) -> Keys {
        let letters = match sender {
            Role::Client => CLIENT_TO_SERVER,
            Role::Server => SERVER_TO_CLIENT,
        };
        Keys {
            iv: self.derive(letters.iv, with.cipher.iv_len()),
            key: self.derive(letters.key, with.cipher.key_len()),
            mac: self.derive(letters.mac, with.mac.map_or(0, |mac| mac.key_len())),
        }
    }

    fn derive(&self, letter: u8, length: usize) -> Zeroizing<vec::Vec<u8>> {
        // Exact capacity: nothing is left behind by a reallocation.
        let mut key = Zeroizing::new(vec::Vec::with_capacity(length + self.hash.output_len()));
        while key.len() < length {
            let mut hash = Hash::new(self.hash);
            self.shared.encode(&mut hash);
            hash.put(self.exchange_hash.as_ref());
            if key.is_empty() {
                hash.put_u8(letter);
                hash.put(self.session_id.as_ref());
            } else {
                hash.put(&key);
            }
            key.extend_from_slice(hash.finish().as_ref());
        }
        key.truncate(length);
        key
    }
}

struct Keys {
    iv: Zeroizing<vec::Vec<u8>>,
    key: Zeroizing<vec::Vec<u8>>,
    mac: Zeroizing<vec::Vec<u8>>,
}
