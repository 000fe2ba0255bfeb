//! Key exchange (RFC 4253 sections 7 to 9), a machine of its own beside authentication and
//! channels: a rekey happens at any packet boundary and disturbs neither.
//!
//! ```text
//!   client                                          server
//!   Idle --start--> ExpectKexInit                   Idle --start--> ExpectKexInit
//!     | KEXINIT: negotiate, the method begins         | KEXINIT: negotiate
//!   Method (one state for each message)             Method (one state for each message)
//!     | the last: secret, H, signature checked        | the last: secret, H
//!   Deciding (only if the host key is new)          Signing (only if the key is outside)
//!     | trust: NEWKEYS out, keys for sending          | reply, NEWKEYS out, keys for sending
//!   ExpectNewKeys                                   ExpectNewKeys
//!     | NEWKEYS: keys for receiving                   | NEWKEYS: keys for receiving
//!   Idle                                            Idle
//! ```
//!
//! A peer's KEXINIT that finds us idle makes us start first. Each transition takes the state out
//! and puts the next one in; a state that fails leaves `Idle` behind and the connection ends.

mod derive;
#[cfg(test)]
mod full_set;
mod method;
pub(crate) mod negotiate;
mod offer;
mod remedy;
mod transcript;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

pub use negotiate::{Choice, Negotiated, NegotiationReport, Protection, Slot, SlotReport};
pub use remedy::Remedy;

use self::method::{Agreed, Answer, Exchanged, Expect, Next, Opening};
use self::transcript::Transcript;
use crate::algorithm::{KexAlgorithm, SignatureAlgorithm};
use crate::config::{HostKey, TransientRsaKey, TransportConfig};
use crate::crypto::cipher::OpeningKey;
use crate::crypto::hash::Digest;
use crate::error::{Error, HostKeyError, PeerMisbehaved};
use crate::key::{PrivateKey, PublicKey};
use crate::message::{KexInit, KexMessages, NewKeys, Wire};
use crate::out::Out;
use crate::random::Purpose;
use crate::transport::{Identification, ResetSequence, Role};

/// What a step of the machine asks its surroundings to do.
#[derive(Debug)]
pub(crate) enum Step {
    /// Go on.
    Continue,
    /// Ask whether this host key is to be trusted; then [`Kex::trust`].
    Decide(PublicKey),
    /// Have this signed with the host key; then [`Kex::signed`].
    Sign {
        algorithm: SignatureAlgorithm,
        key: PublicKey,
        data: Vec<u8>,
    },
}

/// What the peer's NEWKEYS brings.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) opening: OpeningKey,
    pub(crate) reset: ResetSequence,
    /// It was the first exchange of the connection.
    pub(crate) first: bool,
}

/// The keys of a server. A client has none.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) host: Vec<HostKey>,
    pub(crate) transient_rsa: Option<TransientRsaKey>,
}

#[derive(Debug)]
pub(crate) struct Kex {
    role: Role,
    config: Arc<TransportConfig>,
    keys: Keys,
    ours: Identification,
    theirs: Option<Identification>,
    state: State,
    /// The first exchange hash (RFC 4253 section 7.2); also tells that there was a first one.
    session_id: Option<Digest>,
    /// The host key that was trusted (client) or used (server).
    host_key: Option<PublicKey>,
    negotiated: Option<Negotiated>,
    strict: bool,
    /// The peer wants to be sent EXT_INFO.
    peer_takes_ext_info: bool,
    /// The peer guessed wrong: its next packet is not for us.
    skip_guess: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    ExpectKexInit(ExpectKexInit),
    Method(Expect),
    /// Client: is the host key to be trusted?
    Deciding(Exchanged, PublicKey),
    /// Server: the signature is made outside.
    Signing(Exchanged, PublicKey, Answer),
    ExpectNewKeys(OpeningKey),
}

/// Our KEXINIT is out.
#[derive(Debug)]
struct ExpectKexInit {
    /// Its payload, I_C or I_S.
    payload: Vec<u8>,
    /// What was sent along with it, for which method.
    guess: Option<(KexAlgorithm, Opening)>,
}

impl Kex {
    pub(crate) const fn new(
        role: Role,
        config: Arc<TransportConfig>,
        keys: Keys,
        ours: Identification,
    ) -> Self {
        Self {
            role,
            config,
            keys,
            ours,
            theirs: None,
            state: State::Idle,
            session_id: None,
            host_key: None,
            negotiated: None,
            strict: false,
            peer_takes_ext_info: false,
            skip_guess: false,
        }
    }

    pub(crate) fn identified(&mut self, theirs: Identification) {
        self.theirs = Some(theirs);
    }

    pub(crate) const fn peer(&self) -> Option<&Identification> {
        self.theirs.as_ref()
    }

    pub(crate) const fn session_id(&self) -> Option<&Digest> {
        self.session_id.as_ref()
    }

    pub(crate) const fn host_key(&self) -> Option<&PublicKey> {
        self.host_key.as_ref()
    }

    pub(crate) const fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    pub(crate) const fn peer_takes_ext_info(&self) -> bool {
        self.peer_takes_ext_info
    }

    pub(crate) const fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Whether the application is to decide on the host key.
    pub(crate) const fn is_deciding(&self) -> bool {
        matches!(self.state, State::Deciding(..))
    }

    pub(crate) const fn strict(&self) -> bool {
        self.strict
    }

    pub(crate) const fn skip_guess(&self) -> bool {
        self.skip_guess
    }

    /// The only message that may follow the peer's KEXINIT; `None` before it and when all is done.
    pub(crate) const fn expected(&self) -> Option<u8> {
        match &self.state {
            State::Idle | State::ExpectKexInit(_) => None,
            State::Method(expect) => Some(expect.number()),
            // While a decision is out nothing is read; what comes next is NEWKEYS.
            State::Deciding(..) | State::Signing(..) | State::ExpectNewKeys(_) => {
                Some(<NewKeys as Wire<'_>>::NUMBER)
            }
        }
    }

    /// Sends our KEXINIT, unless an exchange is going on.
    pub(crate) fn start(&mut self, out: &mut Out) -> Result<(), Error> {
        if !self.is_idle() {
            return Ok(());
        }
        out.reseed()?;
        let algorithms = self.algorithms();
        let mut cookie = [0; 16];
        out.streams.fill(Purpose::Cookie, &mut cookie);
        let guess = match algorithms.kex.first() {
            Some(&kex) if self.guesses(kex) => Some((kex, Opening::new(kex, self, out)?)),
            _ => None,
        };
        let payload = self.kexinit(&algorithms, &cookie, guess.is_some());
        out.hold(self.config.limits.held);
        out.transport(&KexInit::decode(&payload).map_err(|_| INTERNAL)?);
        if let Some((kex, opening)) = &guess {
            opening.send(*kex, out);
        }
        self.state = State::ExpectKexInit(ExpectKexInit { payload, guess });
        Ok(())
    }

    /// Only a client guesses, in its first exchange alone, and where it speaks first.
    fn guesses(&self, kex: KexAlgorithm) -> bool {
        let begins = self.role == Role::Client && kex.messages() != KexMessages::Rsa;
        self.config.guess && begins && self.session_id.is_none()
    }

    /// The peer's KEXINIT, which came as packet `seq`.
    pub(crate) fn on_kexinit(
        &mut self,
        payload: &[u8],
        seq: u32,
        out: &mut Out,
    ) -> Result<Box<NegotiationReport>, Error> {
        let theirs = KexInit::decode(payload)?;
        self.start(out)?;
        let State::ExpectKexInit(ExpectKexInit {
            payload: our_payload,
            guess,
        }) = mem::take(&mut self.state)
        else {
            return Err(PeerMisbehaved::KexInitTwice.into());
        };
        self.markers(theirs.kex_algorithms, seq)?;
        let ours = self.algorithms();
        let (terms, report) = negotiate::negotiate(self.role, &ours, &theirs)?;
        let report = Box::new(report);
        let Some(mut terms) = terms else {
            return Err(Error::Incompatible(report));
        };
        terms.strict_kex = self.strict;
        //= rfc4253#section-7
        //# If the guess was wrong, the ... packet MUST be silently ignored
        let right = negotiate::guess_is_right(&ours, &theirs);
        self.skip_guess = theirs.first_kex_packet_follows && !right;
        let agreed = Agreed {
            transcript: self.transcript(&terms, &our_payload, payload)?,
            terms,
        };
        let guess = guess.filter(|(kex, _)| right && *kex == agreed.terms.kex);
        self.state = State::Method(match self.role {
            Role::Client => self.begin(agreed, guess, out)?,
            Role::Server => Expect::of_server(agreed, self, out)?,
        });
        Ok(report)
    }

    /// Client: what is sent first, unless it was guessed rightly.
    fn begin(
        &self,
        agreed: Agreed,
        guess: Option<(KexAlgorithm, Opening)>,
        out: &mut Out,
    ) -> Result<Expect, Error> {
        let kex = agreed.terms.kex;
        if let Some((_, opening)) = guess {
            return Ok(opening.expect(agreed));
        }
        let opening = Opening::new(kex, self, out)?;
        opening.send(kex, out);
        Ok(opening.expect(agreed))
    }

    /// The wrong guess has come and is dropped.
    pub(crate) const fn guess_skipped(&mut self) {
        self.skip_guess = false;
    }

    fn transcript(
        &self,
        terms: &Negotiated,
        ours: &[u8],
        theirs: &[u8],
    ) -> Result<Transcript, Error> {
        let our_line = self.ours.as_bytes();
        let their_line = self.theirs.as_ref().ok_or(INTERNAL)?.as_bytes();
        let hash = terms.kex.hash();
        Ok(match self.role {
            Role::Client => Transcript::new(hash, [our_line, their_line], [ours, theirs]),
            Role::Server => Transcript::new(hash, [their_line, our_line], [theirs, ours]),
        })
    }

    /// A message of the negotiated method.
    pub(crate) fn on_method(&mut self, payload: &[u8], out: &mut Out) -> Result<Step, Error> {
        let State::Method(expect) = mem::take(&mut self.state) else {
            return Err(INTERNAL);
        };
        match expect.handle(payload, self, out)? {
            Next::Expect(expect) => {
                self.state = State::Method(expect);
                Ok(Step::Continue)
            }
            Next::Proven(exchanged, key) => self.proven(exchanged, key, out),
            Next::Sign(exchanged, answer) => self.sign(exchanged, answer, out),
        }
    }

    /// Server: the exchange hash is to be signed.
    fn sign(&mut self, exchanged: Exchanged, answer: Answer, out: &mut Out) -> Result<Step, Error> {
        let algorithm = exchanged.terms.host_key;
        match self.host_key_for(algorithm).ok_or(INTERNAL)?.clone() {
            HostKey::Private(private) => {
                let signature = sign(&private, algorithm, &exchanged.exchange_hash, out)?;
                self.reply(exchanged, private.public_key(), &answer, &signature, out)?;
                Ok(Step::Continue)
            }
            HostKey::External(key) => {
                let data = exchanged.exchange_hash.as_ref().to_vec();
                self.state = State::Signing(exchanged, key.clone(), answer);
                Ok(Step::Sign {
                    algorithm,
                    key,
                    data,
                })
            }
        }
    }

    /// Server: the signature over the exchange hash, made outside. It is verified before it is
    /// sent, because a faulty one may give an RSA key away.
    pub(crate) fn signed(&mut self, signature: &[u8], out: &mut Out) -> Result<(), Error> {
        let State::Signing(exchanged, key, answer) = mem::take(&mut self.state) else {
            return Err(INTERNAL);
        };
        key.verify(
            exchanged.terms.host_key,
            exchanged.exchange_hash.as_ref(),
            signature,
        )
        .map_err(|_| Error::Signer)?;
        self.reply(exchanged, &key, &answer, signature, out)
    }

    fn reply(
        &mut self,
        exchanged: Exchanged,
        key: &PublicKey,
        answer: &Answer,
        signature: &[u8],
        out: &mut Out,
    ) -> Result<(), Error> {
        answer.send(key.blob(), signature, out);
        self.use_keys(exchanged, key.clone(), out)
    }

    /// Client: the server holds this host key.
    fn proven(
        &mut self,
        exchanged: Exchanged,
        key: PublicKey,
        out: &mut Out,
    ) -> Result<Step, Error> {
        match &self.host_key {
            None => {
                self.state = State::Deciding(exchanged, key.clone());
                Ok(Step::Decide(key))
            }
            Some(known) if *known == key => {
                self.use_keys(exchanged, key, out)?;
                Ok(Step::Continue)
            }
            // CVE-2026-60002: whatever the key is worth, it is not the one that was trusted.
            Some(_) => Err(HostKeyError::ChangedInRekey.into()),
        }
    }

    /// Client: the application trusts the host key.
    pub(crate) fn trust(&mut self, out: &mut Out) -> Result<(), Error> {
        match mem::take(&mut self.state) {
            State::Deciding(exchanged, key) => self.use_keys(exchanged, key, out),
            _ => Err(INTERNAL),
        }
    }

    /// Derives keys, sends NEWKEYS and seals with the new key from there on.
    fn use_keys(
        &mut self,
        exchanged: Exchanged,
        key: PublicKey,
        out: &mut Out,
    ) -> Result<(), Error> {
        let Exchanged {
            terms,
            shared,
            exchange_hash,
        } = exchanged;
        let session_id = self.session_id.get_or_insert_with(|| exchange_hash.clone());
        let material = derive::Material {
            hash: terms.kex.hash(),
            shared: &shared,
            exchange_hash: &exchange_hash,
            session_id,
        };
        let peer = self.role.peer();
        let sealing = material.sealing(self.role, terms.sent_by(self.role))?;
        let opening = material.opening(peer, terms.sent_by(peer))?;
        out.transport(&NewKeys);
        if !out.has_failed() {
            out.sealer.switch(sealing, self.reset());
            let compression = terms.sent_by(self.role).compression;
            out.sealer
                .compress(compression, self.config.compression_level);
        }
        self.host_key = Some(key);
        self.negotiated = Some(terms);
        self.state = State::ExpectNewKeys(opening);
        Ok(())
    }

    /// The peer's NEWKEYS.
    pub(crate) fn on_newkeys(&mut self, payload: &[u8], first: bool) -> Result<Finished, Error> {
        NewKeys::decode(payload)?;
        match mem::take(&mut self.state) {
            State::ExpectNewKeys(opening) => Ok(Finished {
                opening,
                reset: self.reset(),
                first,
            }),
            _ => Err(PeerMisbehaved::UnexpectedMessage(NewKeys::NUMBER).into()),
        }
    }

    const fn reset(&self) -> ResetSequence {
        if self.strict {
            ResetSequence::Yes
        } else {
            ResetSequence::No
        }
    }
}

const INTERNAL: Error = Error::Internal("key exchange is in another state");

fn sign(
    key: &PrivateKey,
    algorithm: SignatureAlgorithm,
    exchange_hash: &Digest,
    out: &mut Out,
) -> Result<Vec<u8>, Error> {
    let random = out.streams.signature();
    key.sign(algorithm, exchange_hash.as_ref(), random)
        .map_err(|_| Error::Signer)
}
