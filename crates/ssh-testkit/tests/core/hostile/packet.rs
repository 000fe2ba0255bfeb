//! Packets and name-lists that break the rules, and floods: rows N, P and R.

use std::time::Duration;

use ssh_proto::algorithm::{CipherAlgorithm, KexAlgorithm, MacAlgorithm, Preset};
use ssh_proto::config::{ClientConfig, TransportConfig};
use ssh_proto::error::{Error, KeyExchangeError, LimitExceeded, PeerMisbehaved};
use ssh_proto::kex::Slot;
use ssh_proto::message::{
    ChannelData, ChannelOpen, ChannelOpenType, DisconnectReason, Ignore, KexInit, Ping,
    Unimplemented, Wire,
};
use ssh_proto::time::TimeoutReason;
use ssh_proto::wire::NameList;
use ssh_proto::{Instant, Role, Server, Wants};
use ssh_testkit::raw::{Bench, Framing, Stage, Subject, in_every_way};

const PROTOCOL: DisconnectReason = DisconnectReason::PROTOCOL_ERROR;
const KEX_FAILED: DisconnectReason = DisconnectReason::KEY_EXCHANGE_FAILED;

fn with<P: Subject>(set: impl FnOnce(&mut TransportConfig)) -> Bench<P> {
    let mut config = P::config();
    set(P::transport(&mut config));
    Bench::with(config, true)
}

both_roles! {
    p3_impossible_padding => p3;
    p4_impossible_lengths => p4;
    p9_unknown_numbers_are_answered_with_their_packet_and_never_in_bulk => p9;
    p9_unknown_numbers_in_a_rekey_are_bounded_too => p9_rekey;
    p15_packets_before_authentication_are_counted => p15;
    p12_every_message_of_the_handshake_cut_at_every_byte => p12;
    p11_bytes_behind_every_message_of_the_handshake => p11;
    n1_name_lists => n1;
    n2_kexinit_twice => n2;
    n3_a_wrong_guess_costs_exactly_one_packet => n3_wrong;
    n4_markers_are_never_chosen => n4;
    n5_macs_do_not_matter_beside_an_aead => n5;
    n5_ciphers_that_are_macs_too_are_offered_as_both => n5_rfc5647;
    n7_the_reserved_field_is_hashed_and_otherwise_ignored => n7;
    n8_the_error_names_the_slot_and_both_lists => n8;
    r1_pings_during_a_key_exchange => r1;
    r2_data_that_overlaps_a_key_exchange => r2;
    r3_a_key_exchange_that_never_ends => r3;
    r7_a_peer_that_ignores_the_need_for_new_keys => r7;
    r7_a_peer_that_ignores_it_with_unknown_messages => r7_unknown;
    k5_public_values_that_are_none => k5;
    strictness_can_be_required => require_strict;
}

fn is_padding(error: &Error) -> bool {
    matches!(error, Error::PeerMisbehaved(PeerMisbehaved::Padding))
}

fn p3<P: Subject>() {
    for stage in [Stage::Method, Stage::Service, Stage::Connected] {
        // IGNORE of 40 bytes and padding: 48 or 64 bytes behind the length.
        let payload = [&[2, 0, 0, 0, 32][..], &[7; 32]].concat();
        for n in (0..=3).chain([63, 64, 65, 100, 255]) {
            let mut bench = Bench::<P>::at(stage, false);
            bench.raw.framed(&payload, Framing::PaddingLength(n));
            bench.turn();
            bench.refused(&(stage, n), is_padding, PROTOCOL);
        }
        // Nothing but padding.
        let mut bench = Bench::<P>::at(stage, false);
        bench.send(&[]);
        bench.refused(&stage, is_padding, PROTOCOL);
    }
}

fn p4<P: Subject>() {
    for stage in [Stage::Method, Stage::Service, Stage::Connected] {
        let (block, lead) = if stage == Stage::Method {
            (8, 4)
        } else {
            (16, 0)
        };
        let mut wrong = 0;
        for n in 0..70 {
            // One byte of padding_length comes on top.
            let length: usize = if n == 0 { 0 } else { n + 1 };
            if (length + lead).is_multiple_of(block) && length >= 12 {
                continue;
            }
            let mut bench = Bench::<P>::at(stage, false);
            bench.raw.framed(&[2, 0, 0, 0, 0], Framing::Length(n));
            bench.raw.bytes(&[0; 64]);
            bench.turn();
            let length = |e: &Error| {
                matches!(
                    e,
                    Error::PeerMisbehaved(
                        PeerMisbehaved::PacketLength(_) | PeerMisbehaved::Padding
                    )
                )
            };
            bench.refused(&(stage, n), length, PROTOCOL);
            wrong += 1;
        }
        assert!(wrong > 55);
    }
}

fn p9<P: Subject>() {
    for n in (8..=19).chain(22..=29).chain(101..=127).chain(194..=255) {
        if n == 8 && P::ROLE == Role::Client {
            continue;
        }
        let mut bench = Bench::<P>::at(Stage::Connected, true);
        let (seq, got) = (bench.raw.send_seq, bench.raw.got.len());
        bench.send(&[n, 1, 2, 3]);
        let answer = Unimplemented::decode(&bench.raw.got[got]).expect("UNIMPLEMENTED");
        assert_eq!(answer.packet_sequence_number, seq);
        let got = bench.raw.got.len();
        bench.message(&answer);
        assert_eq!(bench.raw.got.len(), got, "never answered itself");
        bench.lives(&n);
    }
    // A peer that asks and does not read: reading stops, and a deadline runs.
    let mut bench = Bench::<P>::at(Stage::Connected, true);
    bench.reads = false;
    flood(&mut bench, &[200]);
    assert_eq!(bench.peer.wants(), Wants::Output);
    stalls(bench);
}

/// Sends `payload` until the subject reads no more, or 100,000 times.
fn flood<P: Subject>(bench: &mut Bench<P>, payload: &[u8]) {
    for _ in 0..100_000 {
        bench.send(payload);
        if !matches!(bench.peer.wants(), Wants::Bytes(_)) {
            return;
        }
    }
}

/// The output is bounded and the connection is given up in the end.
fn stalls<P: Subject>(mut bench: Bench<P>) {
    let waiting = bench.peer.output().len();
    assert!(waiting <= (128 + 64 + 64) * 1024, "{waiting} bytes wait");
    assert!(bench.wait());
    let error = bench.error().expect("an end");
    let stalled = matches!(error, Error::Timeout(TimeoutReason::OutputStalled));
    assert!(stalled, "{error:?}");
    bench.reads = true;
    bench.collect();
    bench.refused(&"stalled", |_| true, DisconnectReason::CONNECTION_LOST);
}

fn p9_rekey<P: Subject>() {
    let mut bench = Bench::<P>::at(Stage::Connected, true);
    bench.reads = false;
    bench.peer.rekey().expect("connected");
    flood(&mut bench, &[200]);
    let waiting = bench.peer.output().len();
    assert!(waiting <= 256 * 1024, "{waiting} bytes wait");
    bench.reads = true;
    bench.collect();
    let held = |e: &Error| matches!(e, Error::Limit(LimitExceeded::Held));
    bench.refused(&"flood", held, PROTOCOL);
}

fn p15<P: Subject>() {
    for stage in [Stage::KexInit, Stage::Service, Stage::Auth] {
        let mut bench = Bench::<P>::at(stage, false);
        for _ in 0..1001 {
            bench.raw.message(&Ignore { data: b"" });
        }
        bench.turn();
        let packets = |e: &Error| matches!(e, Error::Limit(LimitExceeded::PacketsBeforeAuth));
        bench.refused(&stage, packets, PROTOCOL);

        let mut bench = Bench::<P>::at(stage, false);
        for _ in 0..40 {
            bench.raw.message(&Ignore {
                data: &[0; 30 * 1024],
            });
        }
        bench.turn();
        let bytes = |e: &Error| matches!(e, Error::Limit(LimitExceeded::BytesBeforeAuth));
        bench.refused(&stage, bytes, PROTOCOL);
    }
}

const HANDSHAKE: [Stage; 8] = [
    Stage::KexInit,
    Stage::Method,
    Stage::NewKeys,
    Stage::Service,
    Stage::Auth,
    Stage::Connected,
    Stage::RekeyMethod,
    Stage::RekeyNewKeys,
];

/// The proper payload of a stage.
fn proper<P: Subject>(stage: Stage) -> Vec<u8> {
    let mut bench = Bench::<P>::at(stage, true);
    bench.proper(stage);
    bench.raw.last.clone()
}

fn is_malformed(error: &Error) -> bool {
    matches!(error, Error::Malformed(_))
}

fn p12<P: Subject>() {
    for stage in HANDSHAKE {
        let whole = proper::<P>(stage);
        for cut in 1..whole.len() {
            // Short of its method name's fields an authentication request is another one.
            let mut bench = Bench::<P>::at(stage, true);
            let events = bench.seen.events;
            bench.send(&whole[..cut]);
            bench.refused(&(stage, cut), is_malformed, PROTOCOL);
            assert_eq!(
                bench.seen.events,
                events + 1,
                "only the end: {stage:?} {cut}"
            );
        }
    }
}

fn p11<P: Subject>() {
    for stage in HANDSHAKE {
        let whole = proper::<P>(stage);
        for more in [1, 1000] {
            let mut bench = Bench::<P>::at(stage, true);
            let events = bench.seen.events;
            bench.send(&[&whole[..], &vec![0; more]].concat());
            bench.refused(&(stage, more), is_malformed, PROTOCOL);
            assert_eq!(bench.seen.events, events + 1, "only the end: {stage:?}");
        }
    }
}

/// Sends a KEXINIT with one list replaced, and goes on as far as it goes.
fn kexinit<P: Subject>(slot: usize, list: &str) -> Bench<P> {
    let mut bench = Bench::<P>::at(Stage::KexInit, false);
    bench.raw.offer.lists[slot] = list.to_owned();
    bench.proper(Stage::KexInit);
    bench.turn();
    if bench.seen.end.is_none() {
        for stage in &HANDSHAKE[1..5] {
            bench.proper(*stage);
            bench.turn();
        }
    }
    bench
}

fn n1<P: Subject>() {
    let long = "x".repeat(65);
    let commas = ",".repeat(30_000);
    for slot in 0..10 {
        for list in [
            ",",
            ",a",
            "a,,b",
            "a,,",
            &long,
            "a b",
            "na\u{ef}ve",
            "a\0",
            "\x7f",
            &commas,
        ] {
            let mut bench = kexinit::<P>(slot, list);
            bench.refused(&(slot, list.len()), is_malformed, PROTOCOL);
        }
    }
    let longest = "x".repeat(64);
    let many = "a,".repeat(14_000);
    for list in [
        "curve25519-sha256,",
        &format!("{longest},curve25519-sha256"),
        &format!("{many}curve25519-sha256"),
        "curve25519-sha256,curve25519-sha256",
    ] {
        let bench = kexinit::<P>(0, list);
        assert!(bench.peer.is_authenticated(), "{:?}", bench.seen.end);
    }
    for slot in [4, 5, 8, 9] {
        assert!(kexinit::<P>(slot, "").peer.is_authenticated(), "{slot}");
    }
    assert!(kexinit::<P>(8, "de-AT,en").peer.is_authenticated());
}

fn n2<P: Subject>() {
    for stage in [Stage::Method, Stage::NewKeys, Stage::RekeyMethod] {
        for strict in [false, true] {
            let mut bench = Bench::<P>::at(stage, strict);
            for _ in 0..1000 {
                bench.raw.kexinit();
            }
            bench.turn();
            let twice =
                |e: &Error| matches!(e, Error::PeerMisbehaved(PeerMisbehaved::KexInitTwice));
            bench.refused(&stage, twice, PROTOCOL);
        }
    }
}

fn n3_wrong<P: Subject>() {
    let method = if P::ROLE == Role::Server { 30 } else { 31 };
    for rekey in [false, true] {
        for (slot, list) in [
            (0, "ecdh-sha2-nistp256,curve25519-sha256"),
            (1, "rsa-sha2-512,ssh-ed25519"),
        ] {
            for garbage in 0..=2 {
                let stage = if rekey {
                    Stage::Connected
                } else {
                    Stage::KexInit
                };
                let mut bench = with::<P>(|t| {
                    t.algorithms.kex = vec![KexAlgorithm::Curve25519Sha256];
                })
                .up_to(stage);
                bench.raw.offer.lists[slot] = list.to_owned();
                bench.raw.offer.follows = garbage > 0;
                bench.proper(stage);
                bench.turn();
                for _ in 0..garbage {
                    bench.send(&[method, 0xff, 0xff]);
                }
                let what = (P::ROLE, rekey, slot, garbage);
                if garbage == 2 {
                    // The second one is taken for what it says that it is.
                    bench.refused(&what, is_malformed, PROTOCOL);
                    continue;
                }
                bench.lives(&what);
                for stage in [Stage::Method, Stage::NewKeys] {
                    bench.proper(stage);
                    bench.turn();
                }
                bench.lives(&what);
                let keys = bench.seen.log.0.iter();
                let keys = keys.filter(|line| line.contains("KeysExchanged")).count();
                assert_eq!(keys, 1 + usize::from(rekey), "{what:?}");
            }
        }
    }
}

#[test]
fn n3_a_right_guess_is_used() {
    in_every_way(|| {
        let mut bench = with::<Server>(|t| {
            t.algorithms.kex = vec![KexAlgorithm::Curve25519Sha256];
        })
        .up_to(Stage::KexInit);
        bench.raw.offer.follows = true;
        bench.raw.kexinit();
        bench.raw.payload(&[30, 0xff]);
        bench.turn();
        bench.refused(&"right", is_malformed, PROTOCOL);
    });
}

fn n4<P: Subject>() {
    for list in [
        "ext-info-c",
        "ext-info-s",
        "kex-strict-c-v00@openssh.com,kex-strict-s-v00@openssh.com",
        "ext-info-c,ext-info-s,kex-strict-c-v00@openssh.com,kex-strict-s-v00@openssh.com",
        "",
    ] {
        let mut bench = kexinit::<P>(0, list);
        let incompatible = |e: &Error| matches!(e, Error::Incompatible(_));
        bench.refused(&list, incompatible, KEX_FAILED);
    }
}

fn n5<P: Subject>() {
    for list in ["", "hmac-md5", "none"] {
        for slot in [4, 5] {
            assert!(kexinit::<P>(slot, list).peer.is_authenticated(), "{list}");
        }
    }
}

/// RFC 5647 section 5.1, as it stands in what we send.
fn n5_rfc5647<P: Subject>() {
    let bench = with::<P>(|t| {
        let ciphers = vec![CipherAlgorithm::AeadAes256Gcm, CipherAlgorithm::Aes256Gcm];
        t.algorithms.ciphers_client_to_server = ciphers;
        t.algorithms.macs_client_to_server = vec![MacAlgorithm::HmacSha256];
    })
    .up_to(Stage::Method);
    let offered = KexInit::decode(&bench.raw.got[0]).expect("KEXINIT");
    let list = |names: NameList<'_>| names.as_str().to_owned();
    assert_eq!(
        list(offered.encryption_algorithms_client_to_server),
        "AEAD_AES_256_GCM,aes256-gcm@openssh.com"
    );
    assert_eq!(
        list(offered.mac_algorithms_client_to_server),
        "AEAD_AES_256_GCM,hmac-sha2-256"
    );
    let other = list(offered.mac_algorithms_server_to_client);
    assert!(!other.contains("AEAD"), "{other}");
}

fn n7<P: Subject>() {
    let mut bench = Bench::<P>::at(Stage::KexInit, true);
    bench.raw.offer.reserved = 0xdead_beef;
    for stage in &HANDSHAKE[..5] {
        bench.proper(*stage);
        bench.turn();
    }
    assert!(bench.peer.is_authenticated(), "{:?}", bench.seen.end);
}

fn n8<P: Subject>() {
    let slots = [
        Slot::Kex,
        Slot::HostKey,
        Slot::CipherClientToServer,
        Slot::CipherServerToClient,
        Slot::MacClientToServer,
        Slot::MacServerToClient,
        Slot::CompressionClientToServer,
        Slot::CompressionServerToClient,
    ];
    for (n, slot) in slots.into_iter().enumerate() {
        let mut bench = Bench::<P>::at(Stage::KexInit, false);
        if matches!(n, 4 | 5) {
            bench.raw.offer.lists[n - 2] = "aes256-ctr".to_owned();
        }
        bench.raw.offer.lists[n] = "x-theirs".to_owned();
        bench.raw.kexinit();
        bench.turn();
        let named = |e: &Error| {
            let Error::Incompatible(report) = e else {
                return false;
            };
            let failures: Vec<_> = report.failures().collect();
            failures.len() == 1
                && failures[0].slot == slot
                && &*failures[0].theirs == "x-theirs"
                && !failures[0].ours.is_empty()
                && report.to_string().contains("x-theirs")
        };
        bench.refused(&slot, named, KEX_FAILED);
    }
}

#[test]
fn n6_each_direction_is_negotiated_on_its_own() {
    use ssh_testkit::sim::{Chunking, Pair, Session, pattern, server_config};
    let ciphers = CipherAlgorithm::ALL;
    for chunking in [Chunking::Coalesced, Chunking::OneByte, Chunking::Random(99)] {
        for (n, &up) in ciphers.iter().enumerate() {
            let down = ciphers[(n + 1) % ciphers.len()];
            let (mut client, mut server) = (ClientConfig::default(), server_config());
            server.transport.algorithms = Preset::legacy().algorithms(Role::Server);
            let a = &mut client.transport.algorithms;
            a.ciphers_client_to_server = vec![up];
            a.ciphers_server_to_client = vec![down];
            a.macs_client_to_server = vec![MacAlgorithm::HmacSha512];
            a.macs_server_to_client = vec![MacAlgorithm::HmacSha256Etm];
            let mut app = Session::new(vec![pattern(5000, 1)]);
            let pair = Pair::with(1, client, server);
            assert!(pair.chunked(chunking.clone()).run(&mut app));
            app.check();
        }
    }
}

fn r1<P: Subject>() {
    // After the peer's KEXINIT a ping is an offence at once.
    let mut bench = Bench::<P>::at(Stage::RekeyMethod, true);
    bench.message(&Ping { data: b"x" });
    let unexpected = |e: &Error| {
        matches!(
            e,
            Error::PeerMisbehaved(PeerMisbehaved::UnexpectedMessage(192))
        )
    };
    bench.refused(&"ping", unexpected, PROTOCOL);
    // Between our KEXINIT and the peer's it may still come, but the answers have to wait.
    let mut bench = Bench::<P>::at(Stage::Connected, true);
    bench.peer.rekey().expect("connected");
    bench.turn();
    let got = bench.raw.got.len();
    let mut ping = Vec::new();
    Ping { data: &[0; 1000] }.encode(&mut ping);
    flood(&mut bench, &ping);
    let held = |e: &Error| matches!(e, Error::Limit(LimitExceeded::Held));
    bench.refused(&"pings", held, PROTOCOL);
    assert_eq!(bench.raw.numbers(got), [1], "none of the answers left");
}

/// A channel of the subject, which grants the peer a window.
fn channel<P: Subject>(bench: &mut Bench<P>) {
    use ssh_proto::message::ChannelOpenConfirmation;
    if P::ROLE == Role::Server {
        bench.message(&ChannelOpen {
            sender_channel: 0,
            initial_window_size: 1 << 30,
            maximum_packet_size: 1 << 15,
            channel_type: ChannelOpenType::Session,
        });
    } else {
        bench.peer.open_session().expect("connected");
        bench.turn();
        bench.message(&ChannelOpenConfirmation {
            recipient_channel: 0,
            sender_channel: 0,
            initial_window_size: 1 << 30,
            maximum_packet_size: 1 << 15,
        });
    }
    assert_eq!(bench.seen.channels.len(), 1);
}

fn r2<P: Subject>() {
    let mut bench = Bench::<P>::at(Stage::Connected, true);
    channel(&mut bench);
    let id = bench.seen.channels[0];
    bench.peer.rekey().expect("connected");
    bench.turn();
    let got = bench.raw.got.len();
    for _ in 0..20 {
        bench.message(&ChannelData {
            recipient_channel: 0,
            data: &[7; 16 * 1024],
        });
    }
    assert_eq!(bench.seen.data.len(), 20, "data on its way is accepted");
    let mut handle = bench.peer.channel(id).expect("open");
    assert_eq!(handle.send(b"later").expect("open"), 0, "ours is held back");
    bench.turn();
    assert_eq!(bench.raw.got.len(), got, "nothing but key exchange leaves");
    for stage in [Stage::Connected, Stage::RekeyMethod, Stage::RekeyNewKeys] {
        bench.proper(stage);
        bench.turn();
    }
    bench.lives(&"rekeyed");
    let mut handle = bench.peer.channel(id).expect("open");
    assert_eq!(handle.send(b"later").expect("open"), 5);
    bench.turn();
    let data = bench.raw.got.last().expect("a message");
    assert_eq!(ChannelData::decode(data).expect("data").data, b"later");
}

fn r3<P: Subject>() {
    for answers in [false, true] {
        let mut bench = Bench::<P>::at(Stage::Connected, true);
        channel(&mut bench);
        let id = bench.seen.channels[0];
        bench.peer.rekey().expect("connected");
        bench.turn();
        if answers {
            bench.proper(Stage::Connected);
            bench.turn();
        }
        for _ in 0..1000 {
            let mut handle = bench.peer.channel(id).expect("open");
            assert_eq!(handle.send(&[0; 1000]).expect("open"), 0);
            assert_eq!(handle.sendable(), 0);
        }
        let waiting = bench.peer.output().len();
        assert!(waiting < 4096, "{waiting}");
        let begin = bench.now;
        let mut waits = 0;
        while bench.seen.end.is_none() {
            assert!(bench.wait());
            waits += 1;
            assert!(waits < 5, "{:?}", bench.peer.timeout_reason());
        }
        let minute = Instant::new(begin.since_epoch() + Duration::from_secs(60));
        assert_eq!(bench.now, minute);
        let late = |e: &Error| matches!(e, Error::Timeout(TimeoutReason::KeyExchange));
        bench.refused(&answers, late, KEX_FAILED);
    }
}

/// Asks for new keys after 64 KiB and puts up with what the windows let be under way, and as much
/// again for what surrounds it.
fn short_lived<P: Subject>() -> Bench<P> {
    with(|t| {
        t.limits.rekey_bytes = 64 * 1024;
        t.limits.window_total = 256 * 1024;
    })
    .up_to(Stage::Connected)
}

const HARD: usize = (64 + 2 * 256) * 1024;

fn r7<P: Subject>() {
    let mut bench = short_lived::<P>();
    let mut bytes = 0;
    while bench.seen.end.is_none() {
        bench.message(&Ignore {
            data: &[0; 8 * 1024],
        });
        bytes += 8 * 1024;
        let asked = bench.raw.numbers(0).iter().filter(|&&n| n == 20).count();
        assert!(asked == 2 || bytes < 64 * 1024, "it asks at the soft limit");
        assert!(bytes < HARD + 16 * 1024, "the hard limit");
    }
    assert!(bytes > HARD - 16 * 1024, "{bytes}");
    let ignored = |e: &Error| matches!(e, Error::Limit(LimitExceeded::RekeyIgnored));
    bench.refused(&"ignored", ignored, PROTOCOL);
}

fn r7_unknown<P: Subject>() {
    let mut bench = short_lived::<P>();
    let payload = [&[200][..], &[0; 8 * 1024]].concat();
    for _ in 0..HARD / payload.len() + 2 {
        bench.send(&payload);
    }
    let ignored = |e: &Error| matches!(e, Error::Limit(LimitExceeded::RekeyIgnored));
    bench.refused(&"ignored", ignored, PROTOCOL);
}

fn k5<P: Subject>() {
    let server = P::ROLE == Role::Server;
    for public in [&[0; 32][..], &[1; 31], &[1; 33], b""] {
        let mut bench = Bench::<P>::at(Stage::Method, true);
        let mut payload = vec![if server { 30 } else { 31 }];
        let string = |payload: &mut Vec<u8>, bytes: &[u8]| {
            payload.extend_from_slice(&u32::try_from(bytes.len()).expect("short").to_be_bytes());
            payload.extend_from_slice(bytes);
        };
        if !server {
            string(&mut payload, &bench.raw.host_key_blob());
        }
        string(&mut payload, public);
        if !server {
            string(&mut payload, b"signature");
        }
        bench.send(&payload);
        let value = |e: &Error| matches!(e, Error::KeyExchange(KeyExchangeError::PublicValue));
        bench.refused(&public.len(), value, KEX_FAILED);
    }
}

fn require_strict<P: Subject>() {
    let mut config = P::config();
    P::transport(&mut config).require_strict_kex = true;
    let mut bench = Bench::<P>::with(config, false).up_to(Stage::Method);
    let strict = |e: &Error| matches!(e, Error::KeyExchange(KeyExchangeError::StrictRequired));
    bench.refused(&"strict", strict, KEX_FAILED);
}
