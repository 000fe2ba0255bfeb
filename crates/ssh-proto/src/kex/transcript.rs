//! The exchange hash H: what both sides must have seen alike, by family of methods.
//!
//! ```text
//!   all             string V_C, V_S, I_C, I_S, K_S   then
//!   Dh              mpint e, f                        mpint K
//!   Ecdh            string Q_C, Q_S                   K, a number or a string
//!   GroupExchange   uint32 min, n, max  mpint p, g, e, f   mpint K
//!   Rsa             string K_T, the encrypted K       mpint K
//! ```
//!
//! Fields go straight into the hash, in this order. A [`Transcript`] begins when both KEXINITs are
//! known; each family goes on with it in its own way, and K comes last.

use crate::crypto::agree::SharedSecret;
use crate::crypto::agree::dh::Group;
use crate::crypto::hash::{Digest, Hash, HashAlgorithm};
use crate::message::{KexDhGexRequest, KexMessages};
use crate::wire::{Mpint, Sink};

/// What both sides have said before the method began: V_C, V_S, I_C and I_S.
#[derive(Debug)]
pub(super) struct Transcript {
    hash: Hash,
}

impl Transcript {
    /// The identification lines and the payloads of KEXINIT, the client's before the server's.
    pub(super) fn new(algorithm: HashAlgorithm, lines: [&[u8]; 2], kexinits: [&[u8]; 2]) -> Self {
        let mut hash = Hash::new(algorithm);
        for part in lines.into_iter().chain(kexinits) {
            hash.put_string(part);
        }
        Self { hash }
    }

    /// Goes on with one public value of each side.
    //= rfc4253#section-8
    //# string V_C, string V_S, string I_C, string I_S, string K_S, mpint e, mpint f, mpint K
    //= rfc5656#section-4
    //# string K_S, string Q_C, string Q_S, mpint K
    pub(super) fn values(
        mut self,
        family: KexMessages,
        host_key: &[u8],
        [client, server]: [&[u8]; 2],
    ) -> Unfinished {
        self.hash.put_string(host_key);
        for value in [client, server] {
            match family {
                KexMessages::Dh => self.hash.put_mpint(Mpint::from_unsigned(value)),
                _ => self.hash.put_string(value),
            }
        }
        Unfinished { hash: self.hash }
    }

    /// Goes on with what was asked for, the group, and one public value of each side.
    //= rfc4419#section-3
    //# string K_S, uint32 min, uint32 n, uint32 max, mpint p, mpint g, mpint e, mpint f, mpint K
    pub(super) fn group_exchange(
        mut self,
        host_key: &[u8],
        asked: KexDhGexRequest,
        group: &Group,
        [client, server]: [&[u8]; 2],
    ) -> Unfinished {
        self.hash.put_string(host_key);
        for bits in [asked.min, asked.n, asked.max] {
            self.hash.put_u32(bits);
        }
        self.hash.put_mpint(group.p());
        self.hash.put_mpint(group.g());
        for value in [client, server] {
            self.hash.put_mpint(Mpint::from_unsigned(value));
        }
        Unfinished { hash: self.hash }
    }

    /// Goes on with the transient key and the encrypted secret.
    //= rfc4432#section-4
    //# string K_S, string K_T, string RSAES_OAEP_ENCRYPT(K_T, K), mpint K
    pub(super) fn rsa(mut self, host_key: &[u8], transient: &[u8], encrypted: &[u8]) -> Unfinished {
        for part in [host_key, transient, encrypted] {
            self.hash.put_string(part);
        }
        Unfinished { hash: self.hash }
    }
}

/// All but K.
#[derive(Debug)]
pub(super) struct Unfinished {
    hash: Hash,
}

impl Unfinished {
    /// H.
    pub(super) fn finish(mut self, shared: &SharedSecret) -> Digest {
        shared.encode(&mut self.hash);
        self.hash.finish()
    }
}
