//! RSA key exchange (RFC 4432). The server speaks first, so a client cannot guess. Everything that H
//! covers is known when the secret is sent; the last message only proves it.

use super::{Agreed, Answer, Exchanged, Expect, Next};
use crate::config::{MAX_TRANSIENT, smallest_transient};
use crate::crypto::agree::rsa;
use crate::error::{Error, KeyExchangeError};
use crate::kex::{INTERNAL, Kex};
use crate::key::PublicKey;
use crate::message::number::{SSH_MSG_KEXRSA_DONE, SSH_MSG_KEXRSA_PUBKEY, SSH_MSG_KEXRSA_SECRET};
use crate::message::{KexRsaDone, KexRsaPubkey, KexRsaSecret, Wire};
use crate::out::Out;

/// Client: waits for the transient key.
#[derive(Debug)]
pub(in crate::kex) struct ExpectPubkey {
    pub(super) agreed: Agreed,
}

impl ExpectPubkey {
    pub(super) const NUMBER: u8 = SSH_MSG_KEXRSA_PUBKEY;

    //= rfc4432#section-4
    //# The modulus of K_T MUST be at least MINKLEN bits long.
    pub(super) fn handle(self, payload: &[u8], out: &mut Out) -> Result<Next, Error> {
        let message = KexRsaPubkey::decode(payload)?;
        let key = self.agreed.host_key(message.host_key)?;
        let Agreed { terms, transcript } = self.agreed;
        let transient = PublicKey::from_blob(message.transient_key)
            .map_err(|_| KeyExchangeError::TransientKey)?;
        let hash = terms.kex.hash();
        let (e, n) = transient
            .rsa()
            .filter(|(_, n)| (smallest_transient(hash)..=MAX_TRANSIENT).contains(&n.bits()))
            .ok_or(KeyExchangeError::TransientKey)?;
        let (encrypted, shared) =
            rsa::encrypt(hash, e, n, &mut out.streams).map_err(|_| INTERNAL)?;
        out.transport(&KexRsaSecret {
            encrypted: &encrypted,
        });
        let transcript = transcript.rsa(message.host_key, message.transient_key, &encrypted);
        let exchanged = Exchanged::new(terms, transcript, shared);
        Ok(Next::Expect(Expect::RsaDone(ExpectDone { exchanged, key })))
    }
}

/// Client: waits for the proof that the server could read the secret.
#[derive(Debug)]
pub(in crate::kex) struct ExpectDone {
    exchanged: Exchanged,
    key: PublicKey,
}

impl ExpectDone {
    pub(super) const NUMBER: u8 = SSH_MSG_KEXRSA_DONE;

    pub(super) fn handle(self, payload: &[u8]) -> Result<Next, Error> {
        let done = KexRsaDone::decode(payload)?;
        self.exchanged.proven(self.key, done.signature)
    }
}

/// Server: waits for the secret.
#[derive(Debug)]
pub(in crate::kex) struct ExpectSecret {
    agreed: Agreed,
}

impl ExpectSecret {
    pub(super) const NUMBER: u8 = SSH_MSG_KEXRSA_SECRET;

    /// Sends the transient key.
    pub(super) fn begin(agreed: Agreed, kex: &Kex, out: &mut Out) -> Result<Self, Error> {
        let transient = kex.keys.transient_rsa.as_ref().ok_or(INTERNAL)?;
        out.transport(&KexRsaPubkey {
            host_key: kex.own_host_key(&agreed.terms)?.blob(),
            transient_key: transient.blob(),
        });
        Ok(Self { agreed })
    }

    //= rfc4432#section-4
    //# If a decryption error occurs, the server SHOULD send SSH_MESSAGE_DISCONNECT with a reason code
    //# of SSH_DISCONNECT_KEY_EXCHANGE_FAILED and MUST disconnect.
    pub(super) fn handle(self, payload: &[u8], kex: &Kex) -> Result<Next, Error> {
        let encrypted = KexRsaSecret::decode(payload)?.encrypted;
        let Agreed { terms, transcript } = self.agreed;
        let transient = kex.keys.transient_rsa.as_ref().ok_or(INTERNAL)?;
        let shared = transient
            .private()
            .decrypt(terms.kex.hash(), encrypted)
            .map_err(|_| KeyExchangeError::Secret)?;
        let host_key = kex.own_host_key(&terms)?.blob();
        let transcript = transcript.rsa(host_key, transient.blob(), encrypted);
        let exchanged = Exchanged::new(terms, transcript, shared);
        Ok(Next::Sign(exchanged, Answer::Rsa))
    }
}
