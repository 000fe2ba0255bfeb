//! Key exchange (RFC 4253 sections 7 to 9), a machine of its own beside authentication and
//! channels: a rekey happens at any packet boundary and disturbs neither.
//!
//! ```text
//!   client                                          server
//!   Idle --start--> ExpectKexInit                   Idle --start--> ExpectKexInit
//!     | KEXINIT: negotiate, ECDH_INIT out             | KEXINIT: negotiate
//!   ExpectReply                                     ExpectInit
//!     | ECDH_REPLY: secret, H, signature checked      | ECDH_INIT: secret, H
//!   Deciding (only if the host key is new)          Signing (only if the key is outside)
//!     | trust: NEWKEYS out, keys for sending          | REPLY, NEWKEYS out, keys for sending
//!   ExpectNewKeys                                   ExpectNewKeys
//!     | NEWKEYS: keys for receiving                   | NEWKEYS: keys for receiving
//!   Idle                                            Idle
//! ```
//!
//! A peer's KEXINIT that finds us idle makes us start first. Each transition takes the state out
//! and puts the next one in; a state that fails leaves `Idle` behind and the connection ends.

mod derive;
pub(crate) mod negotiate;
mod remedy;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

pub use negotiate::{Choice, Negotiated, NegotiationReport, Protection, Slot, SlotReport};
pub use remedy::Remedy;

use crate::algorithm::{Algorithms, KexAlgorithm, SignatureAlgorithm};
use crate::config::{HostKey, TransportConfig};
use crate::crypto::agree::{self, ClientShare, SharedSecret};
use crate::crypto::cipher::OpeningKey;
use crate::crypto::hash::{Digest, Hash};
use crate::error::{Error, HostKeyError, KeyExchangeError, PeerMisbehaved};
use crate::key::{PrivateKey, PublicKey};
use crate::message::{KexEcdhInit, KexEcdhReply, KexInit, NewKeys, Wire};
use crate::out::Out;
use crate::random::Purpose;
use crate::transport::{Identification, ResetSequence, Role};
use crate::wire::{NameList, Sink};

const EXT_INFO_C: &str = "ext-info-c";
const EXT_INFO_S: &str = "ext-info-s";
const STRICT_C: &str = "kex-strict-c-v00@openssh.com";
const STRICT_S: &str = "kex-strict-s-v00@openssh.com";

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

#[derive(Debug)]
pub(crate) struct Kex {
    role: Role,
    config: Arc<TransportConfig>,
    /// Of a server.
    host_keys: Vec<HostKey>,
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
    ExpectInit(Agreed),
    ExpectReply(Agreed, ClientShare),
    Deciding(Exchanged, PublicKey),
    Signing(Exchanged, PublicKey, Vec<u8>),
    ExpectNewKeys(OpeningKey),
}

/// Our KEXINIT is out.
#[derive(Debug)]
struct ExpectKexInit {
    /// Its payload, I_C or I_S.
    payload: Vec<u8>,
    /// The share that was sent along with it.
    guess: Option<(KexAlgorithm, ClientShare)>,
}

/// Both KEXINITs are known.
#[derive(Debug)]
struct Agreed {
    terms: Negotiated,
    /// V_C, V_S, I_C and I_S have gone in.
    hash: Hash,
}

/// The secret is known.
#[derive(Debug)]
struct Exchanged {
    terms: Negotiated,
    shared: SharedSecret,
    exchange_hash: Digest,
}

impl Kex {
    pub(crate) const fn new(
        role: Role,
        config: Arc<TransportConfig>,
        host_keys: Vec<HostKey>,
        ours: Identification,
    ) -> Self {
        Self {
            role,
            config,
            host_keys,
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
            State::ExpectInit(_) => Some(<KexEcdhInit<'_> as Wire<'_>>::NUMBER),
            State::ExpectReply(..) => Some(<KexEcdhReply<'_> as Wire<'_>>::NUMBER),
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
        let guess = self.guess(&algorithms, out)?;
        let payload = self.kexinit(&algorithms, &cookie, guess.is_some());
        out.hold(self.config.limits.held);
        out.transport(&KexInit::decode(&payload).map_err(|_| INTERNAL)?);
        if let Some((_, share)) = &guess {
            out.transport(&KexEcdhInit {
                client_public: share.public(),
            });
        }
        self.state = State::ExpectKexInit(ExpectKexInit { payload, guess });
        Ok(())
    }

    /// The share for our guess, where one is to be sent: by a client, in its first exchange.
    fn guess(
        &self,
        algorithms: &Algorithms,
        out: &mut Out,
    ) -> Result<Option<(KexAlgorithm, ClientShare)>, Error> {
        let wanted = self.config.guess && self.role == Role::Client && self.session_id.is_none();
        let Some(&kex) = algorithms.kex.first().filter(|_| wanted) else {
            return Ok(None);
        };
        Ok(Some((kex, self.share(kex, out)?)))
    }

    fn share(&self, kex: KexAlgorithm, out: &mut Out) -> Result<ClientShare, Error> {
        ClientShare::generate(kex, &mut out.streams).map_err(|_| INTERNAL)
    }

    /// What we offer: of host keys a server can offer only what it has.
    fn algorithms(&self) -> Algorithms {
        let mut algorithms = self.config.algorithms.clone();
        if self.role == Role::Server {
            algorithms
                .host_key
                .retain(|algorithm| self.host_key_for(*algorithm).is_some());
        }
        algorithms
    }

    fn host_key_for(&self, algorithm: SignatureAlgorithm) -> Option<&HostKey> {
        let key_type = algorithm.key_type();
        self.host_keys
            .iter()
            .find(|key| key.public_key().key_type() == key_type)
    }

    fn kexinit(&self, a: &Algorithms, cookie: &[u8; 16], guess: bool) -> Vec<u8> {
        fn names<A: negotiate::Named>(list: &[A]) -> Vec<&'static str> {
            list.iter().map(|algorithm| algorithm.name()).collect()
        }
        let mut kex = names(&a.kex);
        if self.session_id.is_none() {
            // Markers, not methods, and of the first KEXINIT only.
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
        self.skip_guess =
            theirs.first_kex_packet_follows && !negotiate::guess_is_right(&ours, &theirs);
        let hash = self.begin_hash(&terms, &our_payload, payload)?;
        let agreed = Agreed { terms, hash };
        self.state = match self.role {
            Role::Server => State::ExpectInit(agreed),
            Role::Client => {
                let right = negotiate::guess_is_right(&ours, &theirs);
                let share = match guess {
                    Some((kex, share)) if right && kex == agreed.terms.kex => share,
                    _ => {
                        let share = self.share(agreed.terms.kex, out)?;
                        out.transport(&KexEcdhInit {
                            client_public: share.public(),
                        });
                        share
                    }
                };
                State::ExpectReply(agreed, share)
            }
        };
        Ok(report)
    }

    /// The wrong guess has come and is dropped.
    pub(crate) const fn guess_skipped(&mut self) {
        self.skip_guess = false;
    }

    /// Strict key exchange and EXT_INFO are announced in the first KEXINIT, and only there.
    fn markers(&mut self, names: NameList<'_>, seq: u32) -> Result<(), Error> {
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

    //= rfc4253#section-8
    //# string V_C, string V_S, string I_C, string I_S, string K_S, e, f, K
    fn begin_hash(&self, terms: &Negotiated, ours: &[u8], theirs: &[u8]) -> Result<Hash, Error> {
        let their_line = self.theirs.as_ref().ok_or(INTERNAL)?.as_bytes();
        let our_line = self.ours.as_bytes();
        let mut hash = Hash::new(terms.kex.hash());
        let in_order = match self.role {
            Role::Client => [our_line, their_line, ours, theirs],
            Role::Server => [their_line, our_line, theirs, ours],
        };
        for part in in_order {
            hash.put_string(part);
        }
        Ok(hash)
    }

    /// A message of the negotiated method.
    pub(crate) fn on_method(&mut self, payload: &[u8], out: &mut Out) -> Result<Step, Error> {
        match mem::take(&mut self.state) {
            State::ExpectInit(agreed) => self.on_init(agreed, payload, out),
            State::ExpectReply(agreed, share) => self.on_reply(agreed, share, payload, out),
            _ => Err(INTERNAL),
        }
    }

    /// Server: the client's half.
    fn on_init(&mut self, agreed: Agreed, payload: &[u8], out: &mut Out) -> Result<Step, Error> {
        let Agreed { terms, mut hash } = agreed;
        let init = KexEcdhInit::decode(payload)?;
        let (server_public, shared) =
            agree::server_respond(terms.kex, init.client_public, &mut out.streams)
                .map_err(|_| KeyExchangeError::PublicValue)?;
        let algorithm = terms.host_key;
        let host_key = self.host_key_for(algorithm).ok_or(INTERNAL)?.clone();
        let key = host_key.public_key();
        hash.put_string(key.blob());
        hash.put_string(init.client_public);
        hash.put_string(&server_public);
        shared.encode(&mut hash);
        let exchanged = Exchanged {
            terms,
            shared,
            exchange_hash: hash.finish(),
        };
        match host_key {
            HostKey::Private(private) => {
                let signature = sign(&private, algorithm, &exchanged.exchange_hash, out)?;
                self.reply(
                    exchanged,
                    private.public_key(),
                    &server_public,
                    &signature,
                    out,
                )?;
                Ok(Step::Continue)
            }
            HostKey::External(key) => {
                let data = exchanged.exchange_hash.as_ref().to_vec();
                self.state = State::Signing(exchanged, key.clone(), server_public);
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
        let State::Signing(exchanged, key, server_public) = mem::take(&mut self.state) else {
            return Err(INTERNAL);
        };
        key.verify(
            exchanged.terms.host_key,
            exchanged.exchange_hash.as_ref(),
            signature,
        )
        .map_err(|_| Error::Signer)?;
        self.reply(exchanged, &key, &server_public, signature, out)
    }

    fn reply(
        &mut self,
        exchanged: Exchanged,
        key: &PublicKey,
        server_public: &[u8],
        signature: &[u8],
        out: &mut Out,
    ) -> Result<(), Error> {
        out.transport(&KexEcdhReply {
            host_key: key.blob(),
            server_public,
            signature,
        });
        self.use_keys(exchanged, key.clone(), out)
    }

    /// Client: the server's half, its host key and its signature.
    fn on_reply(
        &mut self,
        agreed: Agreed,
        share: ClientShare,
        payload: &[u8],
        out: &mut Out,
    ) -> Result<Step, Error> {
        let Agreed { terms, mut hash } = agreed;
        let reply = KexEcdhReply::decode(payload)?;
        let key = PublicKey::from_blob(reply.host_key).map_err(|_| KeyExchangeError::HostKey)?;
        if key.key_type() != terms.host_key.key_type() {
            return Err(KeyExchangeError::HostKey.into());
        }
        hash.put_string(reply.host_key);
        hash.put_string(share.public());
        hash.put_string(reply.server_public);
        let shared = share
            .finish(reply.server_public)
            .map_err(|_| KeyExchangeError::PublicValue)?;
        shared.encode(&mut hash);
        let exchange_hash = hash.finish();
        key.verify(terms.host_key, exchange_hash.as_ref(), reply.signature)
            .map_err(|_| KeyExchangeError::Signature)?;
        let exchanged = Exchanged {
            terms,
            shared,
            exchange_hash,
        };
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
