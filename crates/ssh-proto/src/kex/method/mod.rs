//! The messages of one method, from both KEXINITs to the secret and its proof. One file per family.
//!
//! A state is a struct named after the message that it waits for. Its `handle` uses it up, so that no
//! message can be taken twice, and what comes of it is the [`Next`] step.
//!
//! ```text
//!   family          client                     server
//!   Dh, Ecdh        INIT ->                                  -> ExpectReply | ExpectInit
//!                                              <- REPLY
//!   GroupExchange   REQUEST ->                               -> ExpectGroup | ExpectRequest
//!                                              <- GROUP
//!                   INIT ->                                  -> ExpectReply | ExpectInit
//!                                              <- REPLY
//!   Rsa                                        <- PUBKEY     -> ExpectPubkey | ExpectSecret
//!                   SECRET ->                                -> ExpectDone
//!                                              <- DONE
//! ```

mod group_exchange;
mod rsa;
mod values;

use alloc::vec::Vec;

pub(super) use group_exchange::{ExpectGroup, ExpectGroupInit, ExpectGroupReply, ExpectRequest};
pub(super) use rsa::{ExpectDone, ExpectPubkey, ExpectSecret};
pub(super) use values::{ExpectInit, ExpectReply};

use super::transcript::{Transcript, Unfinished};
use super::{INTERNAL, Kex, Negotiated};
use crate::algorithm::KexAlgorithm;
use crate::config::HostKey;
use crate::crypto::agree::{ClientShare, SharedSecret};
use crate::crypto::hash::Digest;
use crate::error::{Error, KeyExchangeError};
use crate::key::PublicKey;
use crate::message::{
    KexDhGexReply, KexDhGexRequest, KexEcdhInit, KexEcdhReply, KexMessages, KexRsaDone, KexdhInit,
    KexdhReply,
};
use crate::out::Out;
use crate::wire::Mpint;

/// Both KEXINITs are known.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) terms: Negotiated,
    pub(super) transcript: Transcript,
}

impl Agreed {
    fn family(&self) -> KexMessages {
        self.terms.kex.messages()
    }

    /// Client: K_S, of the type that was agreed.
    fn host_key(&self, blob: &[u8]) -> Result<PublicKey, Error> {
        let key = PublicKey::from_blob(blob).map_err(|_| KeyExchangeError::HostKey)?;
        if key.key_type() != self.terms.host_key.key_type() {
            return Err(KeyExchangeError::HostKey.into());
        }
        Ok(key)
    }
}

/// The secret is known.
#[derive(Debug)]
pub(super) struct Exchanged {
    pub(super) terms: Negotiated,
    pub(super) shared: SharedSecret,
    pub(super) exchange_hash: Digest,
}

impl Exchanged {
    fn new(terms: Negotiated, transcript: Unfinished, shared: SharedSecret) -> Self {
        Self {
            terms,
            exchange_hash: transcript.finish(&shared),
            shared,
        }
    }

    /// Client: whoever holds this key has signed H.
    fn proven(self, key: PublicKey, signature: &[u8]) -> Result<Next, Error> {
        key.verify(self.terms.host_key, self.exchange_hash.as_ref(), signature)
            .map_err(|_| KeyExchangeError::Signature)?;
        Ok(Next::Proven(self, key))
    }
}

/// What comes of a message of the method.
#[derive(Debug)]
pub(super) enum Next {
    /// Another one has to come.
    Expect(Expect),
    /// Client: the server has proven that it holds this key.
    Proven(Exchanged, PublicKey),
    /// Server: H is to be signed, and this is sent with the signature.
    Sign(Exchanged, Answer),
}

/// The message of the method that has to come.
#[derive(Debug)]
pub(super) enum Expect {
    Init(ExpectInit),
    Reply(ExpectReply),
    Request(ExpectRequest),
    Group(ExpectGroup),
    GroupInit(ExpectGroupInit),
    GroupReply(ExpectGroupReply),
    RsaPubkey(ExpectPubkey),
    RsaSecret(ExpectSecret),
    RsaDone(ExpectDone),
}

impl Expect {
    /// What a server waits for first. Where it speaks first, it does.
    pub(super) fn of_server(agreed: Agreed, kex: &Kex, out: &mut Out) -> Result<Self, Error> {
        Ok(match agreed.family() {
            KexMessages::Ecdh | KexMessages::Dh => Self::Init(ExpectInit { agreed }),
            KexMessages::GroupExchange => Self::Request(ExpectRequest { agreed }),
            KexMessages::Rsa => Self::RsaSecret(ExpectSecret::begin(agreed, kex, out)?),
        })
    }

    /// Its number.
    pub(super) const fn number(&self) -> u8 {
        match self {
            Self::Init(_) => ExpectInit::NUMBER,
            Self::Reply(_) => ExpectReply::NUMBER,
            Self::Request(_) => ExpectRequest::NUMBER,
            Self::Group(_) => ExpectGroup::NUMBER,
            Self::GroupInit(_) => ExpectGroupInit::NUMBER,
            Self::GroupReply(_) => ExpectGroupReply::NUMBER,
            Self::RsaPubkey(_) => ExpectPubkey::NUMBER,
            Self::RsaSecret(_) => ExpectSecret::NUMBER,
            Self::RsaDone(_) => ExpectDone::NUMBER,
        }
    }

    /// It has come.
    pub(super) fn handle(self, payload: &[u8], kex: &Kex, out: &mut Out) -> Result<Next, Error> {
        match self {
            Self::Init(state) => state.handle(payload, kex, out),
            Self::Reply(state) => state.handle(payload),
            Self::Request(state) => state.handle(payload, kex, out),
            Self::Group(state) => state.handle(payload, out),
            Self::GroupInit(state) => state.handle(payload, kex, out),
            Self::GroupReply(state) => state.handle(payload),
            Self::RsaPubkey(state) => state.handle(payload, out),
            Self::RsaSecret(state) => state.handle(payload, kex),
            Self::RsaDone(state) => state.handle(payload),
        }
    }
}

/// How a client begins, before the server has said anything: also as a guess.
#[derive(Debug)]
pub(super) enum Opening {
    /// With its public value.
    Value(ClientShare),
    /// With what group it wants.
    Request(KexDhGexRequest),
    /// It waits: the server speaks first.
    Nothing,
}

impl Opening {
    /// For this method.
    pub(super) fn new(kex: KexAlgorithm, machine: &Kex, out: &mut Out) -> Result<Self, Error> {
        Ok(match kex.messages() {
            KexMessages::Ecdh | KexMessages::Dh => {
                let share = ClientShare::generate(kex, &mut out.streams);
                Self::Value(share.map_err(|_| INTERNAL)?)
            }
            KexMessages::GroupExchange => Self::Request(machine.config.group_exchange.request()),
            KexMessages::Rsa => Self::Nothing,
        })
    }

    /// Sends it.
    pub(super) fn send(&self, kex: KexAlgorithm, out: &mut Out) {
        match (self, kex.messages()) {
            (Self::Value(share), KexMessages::Dh) => out.transport(&KexdhInit {
                e: Mpint::from_unsigned(share.public()),
            }),
            (Self::Value(share), _) => out.transport(&KexEcdhInit {
                client_public: share.public(),
            }),
            (Self::Request(request), _) => out.transport(request),
            (Self::Nothing, _) => {}
        }
    }

    /// What the client waits for then.
    pub(super) fn expect(self, agreed: Agreed) -> Expect {
        match self {
            Self::Value(share) => Expect::Reply(ExpectReply { agreed, share }),
            Self::Request(asked) => Expect::Group(ExpectGroup { agreed, asked }),
            Self::Nothing => Expect::RsaPubkey(ExpectPubkey { agreed }),
        }
    }
}

/// What a server sends with its signature: its public value, in the form of the family.
#[derive(Debug)]
pub(super) enum Answer {
    Ecdh(Vec<u8>),
    Dh(Vec<u8>),
    GroupExchange(Vec<u8>),
    /// It has sent all that it has to say.
    Rsa,
}

impl Answer {
    pub(super) fn send(&self, host_key: &[u8], signature: &[u8], out: &mut Out) {
        match self {
            Self::Ecdh(value) => out.transport(&KexEcdhReply {
                host_key,
                server_public: value,
                signature,
            }),
            Self::Dh(value) => out.transport(&KexdhReply {
                host_key,
                f: Mpint::from_unsigned(value),
                signature,
            }),
            Self::GroupExchange(value) => out.transport(&KexDhGexReply {
                host_key,
                f: Mpint::from_unsigned(value),
                signature,
            }),
            Self::Rsa => out.transport(&KexRsaDone { signature }),
        }
    }
}

impl Kex {
    /// Server: K_S, of the type that was agreed.
    fn own_host_key(&self, terms: &Negotiated) -> Result<&PublicKey, Error> {
        self.host_key_for(terms.host_key)
            .map(HostKey::public_key)
            .ok_or(INTERNAL)
    }
}
