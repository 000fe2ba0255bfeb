//! Doors for the project's own fuzz targets, behind the feature `internal-fuzzing`. No promise of
//! compatibility covers anything in this file.
//!
//! A fuzzer cannot guess a valid MAC. [`Packets`] seals and opens single packets under keys that
//! everybody knows, and [`SendSide::fuzz_send`] seals whatever it is told under the keys of a live
//! connection, so that everything behind the MAC can be reached. [`Inflating`] is the decoder of
//! compressed packets by itself. [`record`] tells which messages
//! came to which [`Gate`], so that it can be counted whether all of them have, and [`negotiate`] is the choice of
//! algorithms by itself. What must hold is asserted by the targets, not here.

use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;

use zeroize::Zeroizing;

use crate::algorithm::{
    Algorithms, CipherAlgorithm, CompressionAlgorithm, KexAlgorithm, MacAlgorithm,
};
use crate::crypto::agree::{self, ClientShare};
use crate::crypto::cipher::{OpeningKey, SealingKey, chacha, modes};
use crate::crypto::mac::MacKey;
use crate::error::Error;
use crate::kex::{Negotiated, NegotiationReport};
use crate::message::number::{SSH_MSG_KEX_ECDH_INIT, SSH_MSG_KEX_ECDH_REPLY, SSH_MSG_NEWKEYS};
use crate::message::{KexInit, KexMessages};
use crate::random::{Random, RandomError, Streams};
use crate::recv::{Batch, Consumed};
use crate::send_side::SendSide;
use crate::transport::{
    Inflater, MAX_OVERHEAD, Opener, PAYLOAD_OFFSET, Packet, Phase, ResetSequence, Role, Sealer,
    Verdict, View,
};

/// One direction of a transport in one cipher mode: what seals and what opens.
#[derive(Debug)]
pub struct Packets {
    sealer: Sealer,
    opener: Opener,
    streams: Streams,
    taken: usize,
}

/// What became of the front of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Front {
    /// It is not a whole packet: so many bytes are missing at least.
    Missing(usize),
    /// It did not verify, so many bytes were thrown away, and more will be before that is said.
    Discarded(usize),
    /// It was a packet with this payload, and so many bytes long.
    Opened(Vec<u8>, usize),
}

impl Packets {
    /// In the mode `mode`, counted from 0 for "no keys yet"; `None` where there are not so many.
    /// The keys are made of `seed`.
    pub fn new(mode: usize, seed: u8) -> Option<Self> {
        let (mut sealer, mut opener) = (Sealer::new(), Opener::new());
        if let Some(mode) = mode.checked_sub(1) {
            let (cipher, mac) = modes::all().get(mode).copied()?;
            let key = Zeroizing::new(vec![seed; cipher.key_len()]);
            let iv = Zeroizing::new(vec![!seed; cipher.iv_len()]);
            let mac_key = Zeroizing::new(vec![seed ^ 0x55; mac.map_or(0, MacAlgorithm::key_len)]);
            let reset = ResetSequence::Yes;
            let sealing = SealingKey::new(cipher, mac, &key, &iv, &mac_key).ok()?;
            sealer.switch(sealing, reset);
            let opening = OpeningKey::new(cipher, mac, &key, &iv, &mac_key).ok()?;
            opener.switch(opening, reset);
        }
        let streams = Streams::new(&mut Repeat(seed)).ok()?;
        Some(Self {
            sealer,
            opener,
            streams,
            taken: 0,
        })
    }

    /// How many modes there are.
    pub fn modes() -> usize {
        1 + modes::all().len()
    }

    /// The next packet.
    ///
    /// # Errors
    ///
    /// As the sealer of a connection.
    pub fn seal(&mut self, payload: &[u8]) -> Result<Vec<u8>, Error> {
        let mut room = vec![0; PAYLOAD_OFFSET + payload.len() + MAX_OVERHEAD];
        let place = room.get_mut(PAYLOAD_OFFSET..PAYLOAD_OFFSET + payload.len());
        place.unwrap_or_default().copy_from_slice(payload);
        let size = self
            .sealer
            .seal(&mut room, payload.len(), &mut self.streams)?;
        room.truncate(size);
        Ok(room)
    }

    /// Seals a whole packet, lengths and padding included, whether they are right or not.
    ///
    /// # Errors
    ///
    /// As the sealer of a connection.
    pub fn seal_as_it_is(&mut self, packet: &[u8]) -> Result<Vec<u8>, Error> {
        let mut packet = packet.to_vec();
        self.sealer.seal_as_it_is(&mut packet)?;
        Ok(packet)
    }

    /// Takes a packet of at most `max` bytes off the front of `stream`.
    ///
    /// # Errors
    ///
    /// As the opener of a connection, after which nothing can be opened any more.
    pub fn open(&mut self, stream: &mut [u8], max: usize) -> Result<Front, Error> {
        let mut consumed = Consumed::default();
        let mut batch = Batch::over(stream, &mut consumed);
        let next = self.opener.next(&mut batch, max, false);
        let front = next.map(|packet| match packet {
            Packet::Missing(n) => Front::Missing(n),
            Packet::Payload(payload) => Front::Opened(payload.bytes.to_vec(), 0),
        });
        self.taken += consumed.bytes();
        Ok(match (front?, consumed.bytes()) {
            (Front::Opened(payload, _), n) => Front::Opened(payload, n),
            (Front::Missing(_), n) if n > 0 => Front::Discarded(n),
            (front, _) => front,
        })
    }

    /// How many bytes all calls of [`open`](Self::open) have taken, also of those that failed.
    pub const fn taken(&self) -> usize {
        self.taken
    }
}

/// What inflates packets, from the beginning of a stream.
#[derive(Debug)]
pub struct Inflating(Inflater);

impl Default for Inflating {
    fn default() -> Self {
        Self::new()
    }
}

impl Inflating {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        let mut inflater = Inflater::new();
        inflater.begin(CompressionAlgorithm::ZlibOpenSsh);
        Self(inflater)
    }

    /// What the next packet inflates to, `limit` bytes at the most.
    ///
    /// # Errors
    ///
    /// As the receiving half of a connection, after which nothing can be inflated any more.
    pub fn unpack(
        &mut self,
        packed: &[u8],
        limit: usize,
        authenticated: bool,
    ) -> Result<Vec<u8>, Error> {
        let mut room = vec![0; limit];
        let length = self.0.unpack(packed, &mut room, authenticated)?;
        room.truncate(length);
        Ok(room)
    }
}

impl SendSide {
    /// Seals `payload` as the next packet, whatever it is and whatever state the connection is in.
    /// What a hostile peer could send that has gone through the key exchange honestly.
    ///
    /// # Errors
    ///
    /// As the sealer of a connection.
    pub fn fuzz_send(&mut self, payload: &[u8]) -> Result<(), Error> {
        let out = &mut self.out;
        out.buf.message(&mut out.sealer, &mut out.streams, |sink| {
            crate::wire::Sink::put(sink, payload);
        })
    }

    /// As [`fuzz_send`](Self::fuzz_send), for a whole packet, lengths and padding included.
    ///
    /// # Errors
    ///
    /// As the sealer of a connection.
    pub fn fuzz_seal(&mut self, packet: &[u8]) -> Result<(), Error> {
        let mut packet = packet.to_vec();
        self.out.sealer.seal_as_it_is(&mut packet)?;
        self.out.buf.raw(&packet)
    }

    /// As if so many packets had been sent already under the keys in use.
    pub fn fuzz_sent(&mut self, packets: u32) {
        self.out.sealer.pretend(packets);
    }

    /// As if so many bytes had been sent already under the keys in use.
    pub fn fuzz_sent_bytes(&mut self, bytes: u64) {
        self.out.sealer.pretend_bytes(bytes);
    }
}

/// UMAC by itself, for benches: there is no other implementation to put beside it.
#[derive(Debug)]
pub struct Umac(MacKey);

impl Umac {
    /// The key of a MAC, or `None` where its length is another.
    pub fn new(mac: MacAlgorithm, key: &[u8]) -> Option<Self> {
        MacKey::new(mac, key).ok().map(Self)
    }

    /// Writes the tag of packet `seq`, as far as there is room.
    pub fn tag(&self, seq: u32, packet: &[u8], tag: &mut [u8]) {
        let made = self.0.tag(seq, &[packet]);
        for (to, from) in tag.iter_mut().zip(made.as_ref()) {
            *to = *from;
        }
    }

    /// Whether it is the tag of packet `seq`.
    pub fn verify(&self, seq: u32, packet: &[u8], tag: &[u8]) -> bool {
        self.0.verify(seq, &[packet], tag).is_ok()
    }
}

/// `chacha20-poly1305@openssh.com` by itself, for benches that put others beside it.
pub struct ChaCha {
    sealing: chacha::SealingKey,
    opening: chacha::OpeningKey,
}

impl fmt::Debug for ChaCha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChaCha")
    }
}

impl ChaCha {
    /// Both directions under one key, for each kind of vectors that this CPU has: its name, the best
    /// first. `None` where the length of the key is another.
    pub fn every(key: &[u8]) -> Option<Vec<(&'static str, Self)>> {
        let every = chacha::levels().into_iter().map(|(name, level)| {
            let sealing = chacha::SealingKey::at(level, key).ok()?;
            let opening = chacha::OpeningKey::at(level, key).ok()?;
            Some((name, Self { sealing, opening }))
        });
        every.collect()
    }

    /// Seals packet `seq`, which has room for the tag at its end. Whether it could be done.
    pub fn seal(&mut self, seq: u32, packet: &mut [u8]) -> bool {
        self.sealing.seal(seq, packet).is_ok()
    }

    /// Opens packet `seq`. Whether its tag is right.
    pub fn open(&mut self, seq: u32, packet: &mut [u8]) -> bool {
        self.opening.open(seq, packet).is_ok()
    }
}

std::thread_local! {
    static JUDGED: RefCell<Option<Vec<Judged>>> = const { RefCell::new(None) };
}

/// A payload that came to the gate of a connection.
#[derive(Debug)]
pub struct Judged {
    /// The gate as it was.
    pub gate: Gate,
    /// With the number of the message in front.
    pub payload: Vec<u8>,
}

/// Every payload that comes to the gate of a connection of this thread while `run` runs.
pub fn record(run: impl FnOnce()) -> Vec<Judged> {
    JUDGED.set(Some(Vec::new()));
    run();
    JUDGED.take().unwrap_or_default()
}

pub(crate) fn judged(view: View, payload: &[u8]) {
    JUDGED.with_borrow_mut(|judged| {
        if let Some(judged) = judged {
            judged.push(Judged {
                gate: Gate(view),
                payload: payload.to_vec(),
            });
        }
    });
}

/// What a connection may receive in one of its states.
#[derive(Clone, Copy, Debug)]
pub struct Gate(View);

impl Gate {
    /// One for every state of a connection with a peer that keeps strict key exchange.
    pub fn all(role: Role) -> [Self; 8] {
        let reply = match role {
            Role::Client => SSH_MSG_KEX_ECDH_REPLY,
            Role::Server => SSH_MSG_KEX_ECDH_INIT,
        };
        [
            (Phase::KexInit, None),
            (Phase::Kex, Some(reply)),
            (Phase::Kex, Some(SSH_MSG_NEWKEYS)),
            (Phase::Service, None),
            (Phase::Auth, None),
            (Phase::Connected, None),
            (Phase::Connected, Some(reply)),
            (Phase::Connected, Some(SSH_MSG_NEWKEYS)),
        ]
        .map(|(phase, kex)| {
            Self(View {
                phase,
                kex,
                strict: phase != Phase::KexInit,
                ..View::new(role)
            })
        })
    }

    /// The side that receives.
    pub const fn role(&self) -> Role {
        self.0.role
    }

    /// A name for the state.
    pub const fn state(&self) -> &'static str {
        match (self.0.phase, self.0.kex) {
            (Phase::KexInit, _) => "start",
            (Phase::Kex, Some(SSH_MSG_NEWKEYS)) => "keys",
            (Phase::Kex, _) => "kex",
            (Phase::Service, _) => "service",
            (Phase::Auth, _) => "auth",
            (Phase::Connected, None) => "connected",
            (Phase::Connected, Some(SSH_MSG_NEWKEYS)) => "rekey, keys",
            (Phase::Connected, Some(_)) => "rekey",
        }
    }

    /// Whether a message of this number goes past the gate.
    pub fn accepts(&self, number: u8) -> bool {
        self.0.judge(number) == Verdict::Accept
    }
}

/// What comes of two sets of lists, and the report of it.
///
/// # Errors
///
/// [`Error::Memory`], where there is none for the report.
pub fn negotiate(
    role: Role,
    ours: &Algorithms,
    theirs: &KexInit<'_>,
) -> Result<(Option<Negotiated>, NegotiationReport), Error> {
    Ok(crate::kex::negotiate::negotiate(role, ours, theirs)?)
}

/// What a key exchange computes, by itself: for benches.
#[derive(Debug)]
pub struct Agreement {
    kex: KexAlgorithm,
    streams: Streams,
    share: Option<ClientShare>,
    answer: Vec<u8>,
}

impl Agreement {
    /// By this method; `None` if its sides send more than one value each.
    pub fn new(kex: KexAlgorithm) -> Option<Self> {
        let one_each = matches!(kex.messages(), KexMessages::Ecdh | KexMessages::Dh);
        let streams = Streams::new(&mut Repeat(7)).ok()?;
        one_each.then_some(Self {
            kex,
            streams,
            share: None,
            answer: Vec::new(),
        })
    }

    /// What a client does first.
    pub fn share(&mut self) {
        self.share = ClientShare::generate(self.kex, &mut self.streams).ok();
    }

    /// What the server does with that.
    pub fn answer(&mut self) {
        let client = self.share.as_ref().map_or(&[][..], ClientShare::public);
        let answer = agree::server_respond(self.kex, client, &mut self.streams);
        self.answer = answer.map(|(answer, _)| answer).unwrap_or_default();
    }

    /// What the client does with the answer.
    ///
    /// # Panics
    ///
    /// If the two do not agree.
    #[expect(clippy::expect_used, reason = "a bench must not time what has failed")]
    pub fn finish(&mut self) {
        let share = self.share.take().expect("a share");
        share.finish(&self.answer).expect("an answer");
    }
}

/// How many powers modulo a prime this thread has computed for key exchanges: what a method of
/// Diffie-Hellman costs.
pub fn powers() -> usize {
    agree::dh::counting::powers()
}

/// Every pair of a cipher and a MAC, the latter where the cipher needs one. With the keys of none of
/// them as 0, they are the modes of [`Packets`].
pub fn modes() -> Vec<(CipherAlgorithm, Option<MacAlgorithm>)> {
    modes::all()
}

/// So few of the [`modes`] that every cipher is there, with a MAC in either order where it needs one,
/// and every MAC.
pub fn few_modes() -> Vec<(CipherAlgorithm, Option<MacAlgorithm>)> {
    modes::sample()
}

struct Repeat(u8);

impl Random for Repeat {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        out.fill(self.0);
        Ok(())
    }
}
