//! What is offered: our KEXINIT, and the markers in it that are no algorithms.
//!
//! Strict key exchange and EXT_INFO are announced among the methods, in the first KEXINIT of each
//! side and only there (RFC 8308 section 2.1, draft-miller-sshm-strict-kex).

use alloc::vec::Vec;

use super::{Kex, negotiate};
use crate::algorithm::{Algorithms, SignatureAlgorithm};
use crate::config::{HostKey, TransientRsaKey, smallest_transient};
use crate::error::{Error, KeyExchangeError, PeerMisbehaved};
use crate::message::{KexInit, KexMessages, Wire};
use crate::transport::Role;
use crate::wire::{NameList, Sink};

const EXT_INFO_C: &str = "ext-info-c";
const EXT_INFO_S: &str = "ext-info-s";
const STRICT_C: &str = "kex-strict-c-v00@openssh.com";
const STRICT_S: &str = "kex-strict-s-v00@openssh.com";

impl Kex {
    /// What we offer: a server can offer only what it has keys for.
    pub(super) fn algorithms(&self) -> Algorithms {
        let mut algorithms = self.config.algorithms.clone();
        if self.role == Role::Server {
            algorithms
                .host_key
                .retain(|algorithm| self.host_key_for(*algorithm).is_some());
            let transient = self.keys.transient_rsa.as_ref();
            let bits = transient.map_or(0, TransientRsaKey::bits);
            algorithms.kex.retain(|kex| {
                kex.messages() != KexMessages::Rsa || bits >= smallest_transient(kex.hash())
            });
        }
        algorithms
    }

    pub(super) fn host_key_for(&self, algorithm: SignatureAlgorithm) -> Option<&HostKey> {
        let key_type = algorithm.key_type();
        self.keys
            .host
            .iter()
            .find(|key| key.public_key().key_type() == key_type)
    }

    /// The payload of our KEXINIT.
    pub(super) fn kexinit(&self, a: &Algorithms, cookie: &[u8; 16], guess: bool) -> Vec<u8> {
        fn names<A: negotiate::Named>(list: &[A]) -> Vec<&'static str> {
            list.iter().map(|algorithm| algorithm.name()).collect()
        }
        let mut kex = names(&a.kex);
        if self.session_id.is_none() {
            let (ext_info, strict) = match self.role {
                Role::Client => (EXT_INFO_C, STRICT_C),
                Role::Server => (EXT_INFO_S, STRICT_S),
            };
            kex.extend([ext_info, strict]);
        }
        let mut payload = Vec::with_capacity(1024);
        payload.put_u8(<KexInit<'_> as Wire<'_>>::NUMBER);
        payload.put(cookie);
        payload.put_names(&kex);
        payload.put_names(&names(&a.host_key));
        payload.put_names(&names(&a.ciphers_client_to_server));
        payload.put_names(&names(&a.ciphers_server_to_client));
        payload.put_names(&negotiate::mac_names(
            &a.ciphers_client_to_server,
            &a.macs_client_to_server,
        ));
        payload.put_names(&negotiate::mac_names(
            &a.ciphers_server_to_client,
            &a.macs_server_to_client,
        ));
        payload.put_names(&names(&a.compression_client_to_server));
        payload.put_names(&names(&a.compression_server_to_client));
        payload.put_names(&[]);
        payload.put_names(&[]);
        payload.put_boolean(guess);
        payload.put_u32(0);
        payload
    }

    /// What the peer's first KEXINIT announces, which came as packet `seq`.
    pub(super) fn markers(&mut self, names: NameList<'_>, seq: u32) -> Result<(), Error> {
        if self.session_id.is_some() {
            return Ok(());
        }
        let (ext_info, strict) = match self.role {
            Role::Client => (EXT_INFO_S, STRICT_S),
            Role::Server => (EXT_INFO_C, STRICT_C),
        };
        self.peer_takes_ext_info = names.contains(ext_info);
        self.strict = names.contains(strict);
        if self.strict && seq != 0 {
            return Err(PeerMisbehaved::StrictKexSequence.into());
        }
        if self.config.require_strict_kex && !self.strict {
            return Err(KeyExchangeError::StrictRequired.into());
        }
        Ok(())
    }
}
