//! Packets that break the rules in every cipher mode, and keys that are used up: rows P1 to P5, P8,
//! P10, R7 and S6.
//!
//! Where only a MAC over the plaintext covers the length (encrypt-and-MAC), whatever is wrong with
//! a length has one outcome, that of row P6: a failed integrity check after as much input as the
//! largest packet takes.

use ssh_proto::algorithm::{CipherAlgorithm, KexAlgorithm, MacAlgorithm};
use ssh_proto::error::{Error, LimitExceeded, PeerMisbehaved};
use ssh_proto::fuzzing;
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
    /// Every cipher in either order, and every MAC.
    fn few() -> impl Iterator<Item = Self> {
        fuzzing::few_modes().into_iter().map(Self::of)
    }

    fn all() -> impl Iterator<Item = Self> {
        fuzzing::modes().into_iter().map(Self::of)
    }

    fn of((cipher, mac): (CipherAlgorithm, Option<MacAlgorithm>)) -> Self {
        // One that is not used.
        let mac = mac.unwrap_or(MacAlgorithm::HmacSha256);
        Self { cipher, mac }
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

/// Each of these in every mode of a few, and in the long tests in all of them.
macro_rules! in_every_mode {
    ($($quick:ident, $long:ident => $body:ident;)+) => {$(
        #[test]
        fn $quick() {
            in_every_way(|| Mode::few().for_each($body));
        }

        #[test]
        #[ignore = "long"]
        fn $long() {
            in_every_way(|| Mode::all().for_each($body));
        }
    )+};
}

in_every_mode! {
    p1_a_verified_length_above_the_limit_in_every_mode, long_p1_in_every_mode => p1;
    p2_a_verified_packet_too_short_for_its_fields_in_every_mode, long_p2_in_every_mode => p2;
    p3_verified_packets_with_impossible_padding_in_every_mode, long_p3_in_every_mode => p3;
    p4_verified_lengths_that_fill_no_block_in_every_mode, long_p4_in_every_mode => p4;
    p10_verified_packets_without_a_payload_in_every_mode, long_p10_in_every_mode => p10;
}

fn p1(mode: Mode) {
    const LENGTHS: [u32; 8] = [
        MAX as u32 + 1,
        (1 << 31) - 1,
        1 << 31,
        u32::MAX - 4,
        u32::MAX - 3,
        u32::MAX - 2,
        u32::MAX - 1,
        u32::MAX,
    ];
    for length in LENGTHS {
        let packet = lying(mode, length);
        if mode.is_encrypt_and_mac() {
            refused(mode, &packet, is_integrity, MAC_ERROR);
        } else {
            refused(mode, &packet, is_limit, PROTOCOL);
        }
    }
}

fn p2(mode: Mode) {
    for length in 0..=5_u32 {
        if mode.is_encrypt_and_mac() {
            refused(mode, &lying(mode, length), is_integrity, MAC_ERROR);
            continue;
        }
        let mut packet = length.to_be_bytes().to_vec();
        packet.resize(4 + length as usize, 0);
        refused(mode, &packet, is_length, PROTOCOL);
    }
}

fn p3(mode: Mode) {
    let length = mode.body() as u8;
    // The last one but one leaves no payload, and it is no packet either way.
    for padding in [0, 1, 2, 3, length - 1, length, 255] {
        let mut packet = u32::from(length).to_be_bytes().to_vec();
        packet.extend_from_slice(&[padding, 2]);
        packet.resize(4 + mode.body(), 0);
        refused(mode, &packet, is_padding, PROTOCOL);
    }
}

/// All of it is padding, of the least length and of another one.
fn p10(mode: Mode) {
    let block = mode.cipher.block_len();
    let least = if mode.is_encrypt_and_mac() {
        16_usize.next_multiple_of(block) - 4
    } else {
        8_usize.next_multiple_of(block)
    };
    for length in [least, least + 2 * block] {
        let mut packet = (length as u32).to_be_bytes().to_vec();
        packet.push(length as u8 - 1);
        packet.resize(4 + length, 7);
        refused(mode, &packet, is_padding, PROTOCOL);
    }
}

fn p4(mode: Mode) {
    let block = mode.cipher.block_len();
    let lead = if mode.is_encrypt_and_mac() { 4 } else { 0 };
    let lengths = [6, 7, 9, 15, 17, 20, 23, 31, 33, 39, 24, 40_usize];
    let mut wrong = lengths.to_vec();
    wrong.retain(|length| !(length + lead).is_multiple_of(block));
    for length in wrong {
        let length = length as u32;
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

fn flipped<V: Subject, A: Subject>() {
    for (n, mode) in Mode::few().enumerate() {
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
        for bit in (n % 7..40).step_by(7).chain((40 + n..bits).step_by(89)) {
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
    let modes: Vec<_> = Mode::few().collect();
    for (n, mode) in modes.iter().enumerate() {
        // Another one for each direction.
        let down = modes[(n + 5) % modes.len()];
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
    fn received_bytes(&mut self, bytes: u64);
}

impl Aged for Client {
    fn received(&mut self, packets: u32) {
        self.fuzz_received(packets);
    }

    fn received_bytes(&mut self, bytes: u64) {
        self.fuzz_received_bytes(bytes);
    }
}

impl Aged for Server {
    fn received(&mut self, packets: u32) {
        self.fuzz_received(packets);
    }

    fn received_bytes(&mut self, bytes: u64) {
        self.fuzz_received_bytes(bytes);
    }
}

const GIB: u64 = 1 << 30;
/// What is configured: more than most ciphers are good for.
const CONFIGURED: u64 = 1 << 50;

/// In bytes, when keys of a cipher are exchanged, and when a peer that does not is given up.
fn lifetime(cipher: CipherAlgorithm) -> [u64; 2] {
    let name = cipher.name();
    if name.contains("aes") || name.contains("AES") {
        // 2^(L/4) blocks of L = 128 bits (RFC 4344 section 3.2), and half of that.
        [32 * GIB, 64 * GIB]
    } else if name.starts_with("chacha20") {
        [CONFIGURED, 4 * CONFIGURED]
    } else {
        [GIB / 2, GIB]
    }
}

fn aged<V: Aged, A: Aged>(mode: Mode) -> Duel<V, A> {
    let (mut one, mut other) = (mode.config::<V>(), mode.config::<A>());
    V::transport(&mut one).limits.rekey_bytes = CONFIGURED;
    A::transport(&mut other).limits.rekey_bytes = CONFIGURED;
    let mut duel = Duel::<V, A>::new(one, other);
    duel.settle();
    duel
}

/// How often keys were exchanged, once one more packet has come and was answered.
fn exchanges<V: Aged, A: Aged>(duel: &mut Duel<V, A>) -> usize {
    duel.attacker.peer.fuzz_send(&[200]).expect("sealed");
    duel.settle();
    let log = duel.victim.seen.log.0.iter();
    log.filter(|line| line.contains("KeysExchanged")).count()
}

fn soft<V: Aged, A: Aged>(mode: Mode) {
    let [soft, _] = lifetime(mode.cipher);
    let mut duel = aged::<V, A>(mode);
    duel.victim.peer.received_bytes(soft - 300);
    assert_eq!(exchanges(&mut duel), 1, "{mode:?}: received");
    duel.victim.peer.received_bytes(soft);
    assert_eq!(exchanges(&mut duel), 2, "{mode:?}: received");
    duel.victim.peer.fuzz_sent_bytes(soft - 300);
    assert_eq!(
        exchanges(&mut duel),
        2,
        "{mode:?}: they are young, and sent"
    );
    duel.victim.peer.fuzz_sent_bytes(soft);
    assert_eq!(exchanges(&mut duel), 3, "{mode:?}: sent");
    assert_eq!(exchanges(&mut duel), 3, "{mode:?}: they are young");
}

fn hard<V: Aged, A: Aged>(mode: Mode) {
    let [_, hard] = lifetime(mode.cipher);
    let mut duel = aged::<V, A>(mode);
    let mut said = Vec::new();
    for received in [hard - 300, hard] {
        assert!(duel.victim.seen.end.is_none(), "{mode:?} {received}");
        duel.victim.peer.received_bytes(received);
        // It does not listen to what the victim wants.
        duel.attacker
            .peer
            .fuzz_send(&[2, 0, 0, 0, 0])
            .expect("sealed");
        let bytes = duel.attacker.output();
        duel.victim.take(&bytes);
        said.extend(duel.victim.output());
    }
    duel.attacker.take(&said);
    let ignored = |e: &Error| matches!(e, Error::Limit(LimitExceeded::RekeyIgnored));
    duel.refused(&mode, ignored, PROTOCOL);
}

#[test]
fn p8_r7_keys_live_as_long_as_their_cipher_allows() {
    in_every_way(|| {
        for mode in Mode::few() {
            soft::<Client, Server>(mode);
            soft::<Server, Client>(mode);
            hard::<Client, Server>(mode);
            hard::<Server, Client>(mode);
        }
    });
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
