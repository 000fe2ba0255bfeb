//! Packets that break the rules in every cipher mode, and keys that are used up: rows P1 to P5, P8
//! and S6.
//!
//! Where only a MAC over the plaintext covers the length (encrypt-and-MAC), whatever is wrong with
//! a length has one outcome, that of row P6: a failed integrity check after as much input as the
//! largest packet takes.

use ssh_proto::algorithm::{CipherAlgorithm, KexAlgorithm, MacAlgorithm};
use ssh_proto::error::{Error, LimitExceeded, PeerMisbehaved};
use ssh_proto::message::{DisconnectReason, Ignore, Wire};
use ssh_proto::{Client, Server};
use ssh_testkit::raw::{Bench, Duel, Stage, Subject, in_every_way};

const PROTOCOL: DisconnectReason = DisconnectReason::PROTOCOL_ERROR;
const MAC_ERROR: DisconnectReason = DisconnectReason::MAC_ERROR;
/// The largest packet, and a little more than that.
const MAX: usize = 35_000;
const ENOUGH: usize = MAX + 100;

#[derive(Clone, Copy, Debug)]
struct Mode {
    cipher: CipherAlgorithm,
    mac: MacAlgorithm,
}

impl Mode {
    fn all() -> impl Iterator<Item = Self> {
        CipherAlgorithm::ALL.iter().flat_map(|&cipher| {
            let macs = if cipher.is_aead() {
                &MacAlgorithm::ALL[..1]
            } else {
                MacAlgorithm::ALL
            };
            macs.iter().map(move |&mac| Self { cipher, mac })
        })
    }

    fn is_encrypt_and_mac(self) -> bool {
        !self.cipher.is_aead() && !self.mac.is_etm()
    }

    fn config<P: Subject>(self) -> P::Config {
        let mut config = P::config();
        let t = P::transport(&mut config);
        t.limits.packet = MAX;
        t.algorithms.kex = vec![KexAlgorithm::Curve25519Sha256];
        t.algorithms.ciphers_client_to_server = vec![self.cipher];
        t.algorithms.ciphers_server_to_client = vec![self.cipher];
        t.algorithms.macs_client_to_server = vec![self.mac];
        t.algorithms.macs_server_to_client = vec![self.mac];
        config
    }

    fn connected<V: Subject, A: Subject>(self) -> Duel<V, A> {
        let mut duel = Duel::<V, A>::new(self.config::<V>(), self.config::<A>());
        duel.settle();
        assert!(duel.victim.peer.is_authenticated(), "{self:?}");
        duel
    }

    /// What is between the length and the tag, so that the whole is as long as the mode wants.
    fn body(self) -> usize {
        if self.is_encrypt_and_mac() { 28 } else { 32 }
    }
}

/// Sends a packet of these bytes, protected as the mode has it, to a victim in either role.
fn refused(mode: Mode, packet: &[u8], error: fn(&Error) -> bool, reason: DisconnectReason) {
    fn one<V: Subject, A: Subject>(
        mode: Mode,
        packet: &[u8],
        error: fn(&Error) -> bool,
        reason: DisconnectReason,
    ) {
        let mut duel = mode.connected::<V, A>();
        let events = duel.victim.seen.log.0.len();
        duel.attacker.peer.fuzz_seal(packet).expect("sealed");
        let bytes = duel.attacker.output();
        duel.strike(&bytes, ENOUGH);
        duel.refused(&(mode, packet), error, reason);
        let log = &duel.victim.seen.log.0;
        assert_eq!(log.len(), events + 1, "only the end: {log:#?}");
    }
    one::<Client, Server>(mode, packet, error, reason);
    one::<Server, Client>(mode, packet, error, reason);
}

fn is_integrity(error: &Error) -> bool {
    matches!(error, Error::Integrity)
}

fn is_length(error: &Error) -> bool {
    matches!(
        error,
        Error::PeerMisbehaved(PeerMisbehaved::PacketLength(_))
    )
}

fn is_limit(error: &Error) -> bool {
    matches!(error, Error::Limit(LimitExceeded::Packet(_)))
}

fn is_padding(error: &Error) -> bool {
    matches!(error, Error::PeerMisbehaved(PeerMisbehaved::Padding))
}

/// A packet that says it has `length` bytes and really has as many as the mode wants.
fn lying(mode: Mode, length: u32) -> Vec<u8> {
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(4);
    packet.resize(4 + mode.body(), 0x33);
    packet
}

#[test]
fn p1_a_verified_length_above_the_limit_in_every_mode() {
    in_every_way(|| {
        let lengths = [MAX as u32 + 1, (1 << 31) - 1, 1 << 31];
        for mode in Mode::all() {
            for length in lengths.into_iter().chain(u32::MAX - 4..=u32::MAX) {
                let packet = lying(mode, length);
                if mode.is_encrypt_and_mac() {
                    refused(mode, &packet, is_integrity, MAC_ERROR);
                } else {
                    refused(mode, &packet, is_limit, PROTOCOL);
                }
            }
        }
    });
}

#[test]
fn p2_a_verified_packet_too_short_for_its_fields_in_every_mode() {
    in_every_way(|| {
        for mode in Mode::all() {
            for length in 0..=5 {
                if mode.is_encrypt_and_mac() {
                    refused(mode, &lying(mode, length), is_integrity, MAC_ERROR);
                    continue;
                }
                let mut packet = length.to_be_bytes().to_vec();
                packet.resize(4 + length as usize, 0);
                refused(mode, &packet, is_length, PROTOCOL);
            }
        }
    });
}

#[test]
fn p3_verified_packets_with_impossible_padding_in_every_mode() {
    in_every_way(|| {
        for mode in Mode::all() {
            let length = mode.body() as u8;
            // The last one but one leaves no payload, and it is no packet either way.
            for padding in [0, 1, 2, 3, length - 1, length, 255] {
                let mut packet = u32::from(length).to_be_bytes().to_vec();
                packet.extend_from_slice(&[padding, 2]);
                packet.resize(4 + mode.body(), 0);
                refused(mode, &packet, is_padding, PROTOCOL);
            }
        }
    });
}

#[test]
fn p4_verified_lengths_that_fill_no_block_in_every_mode() {
    in_every_way(|| {
        for mode in Mode::all() {
            for length in [6, 7, 9, 15, 17, 20, 23, 31, 33, 39, 24, 40] {
                if length % 8 == 0 && mode.cipher == CipherAlgorithm::ChaCha20Poly1305 {
                    continue; // Its blocks have 8 bytes.
                }
                if mode.is_encrypt_and_mac() {
                    refused(mode, &lying(mode, length), is_integrity, MAC_ERROR);
                    continue;
                }
                let mut packet = length.to_be_bytes().to_vec();
                packet.push(4);
                packet.resize(4 + length as usize, 0);
                refused(mode, &packet, is_length, PROTOCOL);
            }
        }
    });
}

fn flipped<V: Subject, A: Subject>() {
    for mode in Mode::all() {
        let sealed = |duel: &mut Duel<V, A>| {
            let mut payload = Vec::new();
            Ignore {
                data: b"attack at dawn",
            }
            .encode(&mut payload);
            duel.attacker.peer.fuzz_send(&payload).expect("sealed");
            duel.attacker.output()
        };
        let bits = 8 * sealed(&mut mode.connected()).len();
        for bit in (0..40).step_by(3).chain((40..bits).step_by(29)) {
            let mut duel = mode.connected::<V, A>();
            let events = duel.victim.seen.log.0.len();
            let mut bytes = sealed(&mut duel);
            bytes[bit / 8] ^= 1 << (bit % 8);
            duel.strike(&bytes, ENOUGH);
            let in_length = bit < 32 && !mode.is_encrypt_and_mac();
            let is_of_length = |e: &Error| in_length && (is_length(e) || is_limit(e));
            let end = format!("{:?}", duel.victim.seen.end);
            let reason = if end.contains("Integrity") {
                MAC_ERROR
            } else {
                PROTOCOL
            };
            let forged = |e: &Error| is_integrity(e) || is_of_length(e);
            duel.refused(&(mode, bit), forged, reason);
            assert_eq!(duel.victim.seen.log.0.len(), events + 1, "only the end");
        }
    }
}

#[test]
fn p5_flipped_bits_end_a_connection_in_every_mode() {
    in_every_way(|| {
        flipped::<Client, Server>();
        flipped::<Server, Client>();
    });
}

/// Number 200 is answered with the number of its packet.
fn number_seen<V: Subject, A: Subject>(duel: &mut Duel<V, A>) -> String {
    duel.attacker.peer.fuzz_send(&[200]).expect("sealed");
    duel.settle();
    let log = &duel.attacker.seen.log.0;
    log.last().expect("an answer").clone()
}

fn rekeys<V: Subject, A: Subject>() {
    let modes: Vec<_> = Mode::all().collect();
    for (n, mode) in modes.iter().enumerate() {
        // Another one for each direction.
        let down = modes[(n + 4) % modes.len()];
        let mut one = mode.config::<V>();
        let mut other = mode.config::<A>();
        for algorithms in [
            &mut V::transport(&mut one).algorithms,
            &mut A::transport(&mut other).algorithms,
        ] {
            algorithms.ciphers_server_to_client = vec![down.cipher];
            algorithms.macs_server_to_client = vec![down.mac];
        }
        let mut duel = Duel::<V, A>::new(one, other);
        duel.settle();
        for round in 0..5 {
            if round % 2 == 0 {
                duel.victim.peer.rekey().expect("connected");
            } else {
                duel.attacker.peer.rekey().expect("connected");
            }
            duel.settle();
            let seen = number_seen(&mut duel);
            let zero = "Transport(Unimplemented { packet_sequence_number: 0 })";
            assert_eq!(seen, zero, "{mode:?} {down:?} {round}");
        }
        let log = duel.victim.seen.log.0.iter();
        let keys = log.filter(|line| line.contains("KeysExchanged")).count();
        assert_eq!(keys, 6, "{mode:?}");
    }
}

#[test]
fn s6_p7_numbers_and_nonces_start_again_at_each_newkeys_in_every_mode() {
    in_every_way(|| {
        rekeys::<Client, Server>();
        rekeys::<Server, Client>();
    });
}

/// Who can be told that it has received so much.
trait Aged: Subject {
    fn received(&mut self, packets: u32);
}

impl Aged for Client {
    fn received(&mut self, packets: u32) {
        self.fuzz_received(packets);
    }
}

impl Aged for Server {
    fn received(&mut self, packets: u32) {
        self.fuzz_received(packets);
    }
}

fn kexinits<P: Subject>(bench: &Bench<P>) -> usize {
    bench.raw.numbers(0).iter().filter(|n| **n == 20).count()
}

both_roles! {
    p8_new_keys_are_asked_for_after_so_many_packets_in_either_direction => old_keys;
    p8_keys_are_never_used_for_2_to_the_32_packets => worn_keys;
    p8_numbers_that_wrap_in_the_first_exchange => first_exchange;
}

fn old_keys<P: Aged>() {
    const OLD: u32 = 1 << 31;
    let mut bench = Bench::<P>::at(Stage::Connected, true);
    bench.peer.received(OLD - 2);
    bench.message(&Ignore { data: b"" });
    assert_eq!(kexinits(&bench), 1);
    bench.message(&Ignore { data: b"" });
    assert_eq!(kexinits(&bench), 2, "asked at 2^31");
    for stage in [Stage::Connected, Stage::RekeyMethod, Stage::RekeyNewKeys] {
        bench.proper(stage);
        bench.turn();
    }
    bench.message(&Ignore { data: b"" });
    bench.lives(&"with new keys");
    assert_eq!(kexinits(&bench), 2, "they are young");

    let mut bench = Bench::<P>::at(Stage::Connected, true);
    bench.peer.fuzz_sent(OLD - 2);
    bench.send(&[200]);
    assert_eq!(kexinits(&bench), 1);
    bench.send(&[200]);
    bench.send(&[200]);
    assert_eq!(kexinits(&bench), 2, "asked at 2^31");
    bench.lives(&"sent");
}

fn worn_keys<P: Aged>() {
    let exhausted =
        |e: &Error| matches!(e, Error::PeerMisbehaved(PeerMisbehaved::SequenceExhausted));
    let mut bench = Bench::<P>::at(Stage::Connected, true);
    bench.peer.received(u32::MAX - 2);
    for left in [2, 1] {
        bench.message(&Ignore { data: b"" });
        bench.lives(&left);
    }
    bench.message(&Ignore { data: b"" });
    bench.refused(&"received", exhausted, PROTOCOL);

    // We stop as well, though nobody is told.
    let mut bench = Bench::<P>::at(Stage::Connected, true);
    bench.peer.fuzz_sent(u32::MAX);
    let got = bench.raw.got.len();
    bench.send(&[200]);
    bench.closed(&"sent");
    assert_eq!(bench.raw.got.len(), got);
}

fn first_exchange<P: Aged>() {
    for stage in [Stage::Method, Stage::NewKeys] {
        let mut bench = Bench::<P>::at(stage, true);
        bench.peer.received(u32::MAX);
        bench.proper(stage);
        bench.turn();
        let exhausted =
            |e: &Error| matches!(e, Error::PeerMisbehaved(PeerMisbehaved::SequenceExhausted));
        bench.refused(&stage, exhausted, PROTOCOL);
    }
}
