//! The families in which each side sends one public value: Diffie-Hellman in a fixed group (RFC 4253
//! section 8), where it is a number, and elliptic curves and hybrids (RFC 5656 section 4), where it is
//! a string. The messages have the same numbers.

use super::{Agreed, Answer, Exchanged, Next};
use crate::crypto::agree::{self, ClientShare};
use crate::error::{Error, KeyExchangeError};
use crate::kex::Kex;
use crate::message::number::{SSH_MSG_KEX_ECDH_INIT, SSH_MSG_KEX_ECDH_REPLY};
use crate::message::{KexEcdhInit, KexEcdhReply, KexMessages, KexdhInit, KexdhReply, Wire};
use crate::out::Out;

/// Server: waits for the client's value.
#[derive(Debug)]
pub(in crate::kex) struct ExpectInit {
    pub(super) agreed: Agreed,
}

impl ExpectInit {
    pub(super) const NUMBER: u8 = SSH_MSG_KEX_ECDH_INIT;

    pub(super) fn handle(self, payload: &[u8], kex: &Kex, out: &mut Out) -> Result<Next, Error> {
        let family = self.agreed.family();
        let Agreed { terms, transcript } = self.agreed;
        let theirs = match family {
            KexMessages::Dh => KexdhInit::decode(payload)?.e.as_unsigned(),
            _ => KexEcdhInit::decode(payload)?.client_public,
        };
        let (ours, shared) = agree::server_respond(terms.kex, theirs, &mut out.streams)
            .map_err(|_| KeyExchangeError::PublicValue)?;
        let host_key = kex.own_host_key(&terms)?.blob();
        let transcript = transcript.values(family, host_key, [theirs, &ours]);
        let exchanged = Exchanged::new(terms, transcript, shared);
        let answer = match family {
            KexMessages::Dh => Answer::Dh(ours),
            _ => Answer::Ecdh(ours),
        };
        Ok(Next::Sign(exchanged, answer))
    }
}

/// Client: waits for the server's value, its host key and its signature.
#[derive(Debug)]
pub(in crate::kex) struct ExpectReply {
    pub(super) agreed: Agreed,
    pub(super) share: ClientShare,
}

impl ExpectReply {
    pub(super) const NUMBER: u8 = SSH_MSG_KEX_ECDH_REPLY;

    pub(super) fn handle(self, payload: &[u8]) -> Result<Next, Error> {
        let Self { agreed, share } = self;
        let family = agreed.family();
        let (host_key, theirs, signature) = match family {
            KexMessages::Dh => {
                let reply = KexdhReply::decode(payload)?;
                (reply.host_key, reply.f.as_unsigned(), reply.signature)
            }
            _ => {
                let reply = KexEcdhReply::decode(payload)?;
                (reply.host_key, reply.server_public, reply.signature)
            }
        };
        let key = agreed.host_key(host_key)?;
        let Agreed { terms, transcript } = agreed;
        let transcript = transcript.values(family, host_key, [share.public(), theirs]);
        let shared = share
            .finish(theirs)
            .map_err(|_| KeyExchangeError::PublicValue)?;
        Exchanged::new(terms, transcript, shared).proven(key, signature)
    }
}
