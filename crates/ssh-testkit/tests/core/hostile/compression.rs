//! Compressed packets of a hostile peer, and where compression begins: rows Z1 to Z4, N6, P10 and R8.
//! The peer compresses with an implementation of others (zlib-rs), which is also what reads all that is
//! sent to it.

use std::cell::Cell;

use flate2::{Compress, Compression, FlushCompress as Flush};
use ssh_proto::algorithm::CompressionAlgorithm as Method;
use ssh_proto::error::{CompressionError, End, Error, LimitExceeded, PeerMisbehaved};
use ssh_proto::message::{DisconnectReason, Ignore, Ping, UserauthRequest, number};
use ssh_proto::{Client, Server};
use ssh_testkit::raw::{Bench, Stage, Subject, in_every_way};

use super::common::{PROTOCOL, channel, data, encoded, misbehaved};

const COMPRESSION: DisconnectReason = DisconnectReason::COMPRESSION_ERROR;
/// `Limits::inflated`.
const LIMIT: usize = 256 * 1024;

/// A subject and a peer that agree on these, for what the client sends and for what the server sends.
fn with<P: Subject>(up: Method, down: Method) -> Bench<P> {
    let mut config = P::config();
    let algorithms = &mut P::transport(&mut config).algorithms;
    algorithms.compression_client_to_server = vec![up];
    algorithms.compression_server_to_client = vec![down];
    let mut bench = Bench::with(config, true);
    bench.raw.offer.lists[6] = up.name().to_owned();
    bench.raw.offer.lists[7] = down.name().to_owned();
    bench
}

fn delayed<P: Subject>() -> Bench<P> {
    with(Method::ZlibOpenSsh, Method::ZlibOpenSsh)
}

fn connected<P: Subject>() -> Bench<P> {
    delayed().up_to(Stage::Connected)
}

fn rekey<P: Subject>(bench: &mut Bench<P>) {
    for stage in [Stage::Connected, Stage::RekeyMethod, Stage::RekeyNewKeys] {
        bench.proper(stage);
        bench.turn();
    }
    bench.lives(&"after a rekey");
}

/// Data in both directions, over a channel of its own.
fn exchange<P: Subject>(bench: &mut Bench<P>, n: usize) {
    let before = bench.raw.got.len();
    channel(bench, 1 << 20, 32_768);
    let id = *bench.seen.channels.last().expect("a channel");
    let text = format!("number {n} ").repeat(1000);
    let mut message = data(text.as_bytes());
    message.recipient_channel = u32::try_from(bench.seen.channels.len() - 1).expect("few");
    bench.message(&message);
    let (of, _, came) = bench.seen.data.last().expect("data");
    assert!(*of == id && came == text.as_bytes());
    let mut ours = bench.peer.channel(id).expect("open");
    assert_eq!(ours.send(text.as_bytes()).expect("open"), text.len());
    bench.turn();
    let last = bench.raw.got[before..].last().expect("data");
    assert!(last.ends_with(text.as_bytes()), "{:?}", last.first());
}

/// A number in the middle of a packet, and then the packet compressed at the beginning of a stream.
fn first(payload: &[u8]) -> Vec<u8> {
    let mut packed = vec![0; payload.len() + 200];
    let mut stream = Compress::new(Compression::new(9), true);
    stream
        .compress(payload, &mut packed, Flush::Partial)
        .expect("compressed");
    packed.truncate(usize::try_from(stream.total_out()).expect("small"));
    packed
}

fn is_inflated(limit: usize) -> impl Fn(&Error) -> bool {
    move |error| matches!(error, Error::Limit(LimitExceeded::Inflated(n)) if *n as usize == limit)
}

fn is(error: CompressionError) -> impl Fn(&Error) -> bool {
    move |other| matches!(other, Error::Compression(which) if *which == error)
}

both_roles! {
    n6_each_direction_is_compressed_on_its_own => each_direction;
    z1_a_small_packet_that_becomes_a_large_one => bomb;
    z1_a_packet_before_authentication_becomes_no_larger_than_one_that_is_not_compressed => early_bomb;
    z1_a_packet_of_nothing_but_empty_blocks => empty_blocks;
    z2_a_packet_that_inflates_to_the_limit_is_intact => at_the_limit;
    z3_streams_that_end_or_break_a_rule => broken;
    z3_every_octet_of_a_compressed_packet_altered => altered;
    z4_compression_begins_exactly_behind_success => begins;
    p10_a_compressed_packet_with_nothing_in_it => nothing;
    r8_both_streams_begin_anew_with_new_keys => anew;
    r8_a_stream_that_goes_on_behind_new_keys => goes_on;
}

fn each_direction<P: Subject>() {
    for &up in Method::ALL {
        for &down in Method::ALL {
            let mut bench = with::<P>(up, down).up_to(Stage::Connected);
            let terms = bench.peer.negotiated().expect("agreed");
            assert_eq!(terms.client_to_server.compression, up);
            assert_eq!(terms.server_to_client.compression, down);
            for n in 0..3 {
                exchange(&mut bench, n);
                rekey(&mut bench);
            }
        }
    }
}

/// How a packet ends is the peer's choice.
#[test]
fn z3_every_kind_of_flush_is_taken() {
    fn one<P: Subject>() {
        for flush in [Flush::Partial, Flush::Sync, Flush::Full] {
            let mut bench = delayed::<P>();
            bench.raw.flush = flush;
            let mut bench = bench.up_to(Stage::Connected);
            exchange(&mut bench, 0);
        }
    }
    in_every_way(|| {
        one::<Client>();
        one::<Server>();
    });
}

fn bomb<P: Subject>() {
    // 32 KiB that inflate to 32 MiB.
    let mut payload = encoded(&Ignore { data: &[0; 1000] });
    payload.resize(32 << 20, 0);
    let packed = first(&payload);
    assert!((30_000..34_000).contains(&packed.len()), "{}", packed.len());
    let mut bench = connected::<P>();
    bench.raw.packed(&packed);
    bench.turn();
    bench.refused(&"32 MiB", is_inflated(LIMIT), COMPRESSION);
}

fn early_bomb<P: Subject>() {
    let data = vec![0; 35_000 - 5];
    let mut payload = encoded(&Ignore { data: &data });
    for stage in [Stage::Service, Stage::Auth] {
        let bench = || with::<P>(Method::Zlib, Method::Zlib).up_to(stage);
        let mut at_limit = bench();
        at_limit.raw.payload(&payload);
        at_limit.turn();
        at_limit.lives(&"35,000 bytes");
        payload.push(0);
        let mut beyond = bench();
        beyond.raw.payload(&payload);
        payload.pop();
        beyond.turn();
        beyond.refused(&stage, is_inflated(35_000), COMPRESSION);
    }
}

fn at_the_limit<P: Subject>() {
    let data = vec![7; LIMIT - 5];
    let mut bench = connected::<P>();
    let before = bench.raw.take_output().len();
    assert_eq!(before, 0);
    // Several of them in one read: more than there is room for at a time.
    for _ in 0..5 {
        bench.raw.message(&Ignore { data: &data });
    }
    bench.turn();
    bench.lives(&"256 KiB");
    channel(&mut bench, 1000, 1000);
    // A hundred to one, and every byte arrives.
    let letters = vec![b'z'; 32 * 1024];
    for _ in 0..30 {
        bench.raw.message(&self::data(&letters));
    }
    let wire = bench.raw.take_output();
    assert!(wire.len() < 30 * letters.len() / 100, "{}", wire.len());
    bench.raw.bytes(&wire);
    bench.turn();
    let came = bench.seen.data.iter().map(|(.., came)| came.len());
    assert_eq!(came.sum::<usize>(), 30 * letters.len());
    assert!(
        bench
            .seen
            .data
            .iter()
            .all(|(.., came)| came.iter().all(|b| *b == b'z'))
    );
    let mut longer = encoded(&Ignore { data: &data });
    longer.push(0);
    bench.raw.payload(&longer);
    bench.turn();
    bench.refused(&"one more", is_inflated(LIMIT), COMPRESSION);
}

/// Blocks with nothing in them, ten bits each: `010`, and the end.
fn empty(blocks: usize) -> Vec<u8> {
    let mut bytes = vec![0x78, 0x9c];
    let bits = (0..blocks).flat_map(|_| [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let bits: Vec<u8> = bits.collect();
    for octet in bits.chunks(8) {
        bytes.push(octet.iter().rev().fold(0, |all, bit| all << 1 | bit));
    }
    bytes
}

fn empty_blocks<P: Subject>() {
    let mut bench = connected::<P>();
    bench.raw.packed(&empty(200_000));
    bench.turn();
    bench.refused(&"empty", is(CompressionError::TooManyBlocks), COMPRESSION);
}

fn nothing<P: Subject>() {
    let mut bench = connected::<P>();
    bench.raw.packed(&empty(1));
    bench.turn();
    bench.refused(&"nothing", misbehaved(PeerMisbehaved::NoPayload), PROTOCOL);
    // Once a stream has begun it can be done with less.
    let mut bench = connected::<P>();
    bench.message(&Ignore { data: b"" });
    bench.raw.packed(&[0]);
    bench.turn();
    bench.refused(&"nothing", misbehaved(PeerMisbehaved::NoPayload), PROTOCOL);
}

fn broken<P: Subject>() {
    use CompressionError::{Damaged, Ended};
    let ended: &[u8] = &[0x78, 0x9c, 0x63, 0x62, 0, 2, 0, 0, 0x0f, 0, 3];
    let cases: [(&[u8], CompressionError); 6] = [
        (b"\x5c\0\0\0\0", Damaged),
        (
            &[0x78, 0xbb, 0x27, 0x8a, 5, 0x38, 0x4a, 0x44, 0xe1, 1, 4],
            Damaged,
        ),
        (&[0x78, 0x9c, 0b110], Damaged),
        (ended, Ended),
        (&[ended, &[0]].concat(), Ended),
        (&[&ended[..10], &[4]].concat(), Ended),
    ];
    for (packed, error) in cases {
        let mut bench = connected::<P>();
        bench.raw.packed(packed);
        bench.turn();
        bench.refused(&packed, is(error), COMPRESSION);
    }
    // Without its checksum the end is noticed at the next packet.
    let mut bench = connected::<P>();
    bench.raw.packed(&ended[..7]);
    bench.turn();
    bench.lives(&"an end without a checksum");
    bench.raw.packed(&[0x78, 0x9c, 0x63, 0x62]);
    bench.turn();
    bench.refused(&"goes on", is(Ended), COMPRESSION);
}

/// Wherever it is altered: it is refused as damaged, or for what it says then.
fn altered<P: Subject>() {
    let (damaged, ends) = (Cell::new(0), Cell::new(0));
    let payload = encoded(&Ping {
        data: b"what a ping carries, a ping carries",
    });
    let packed = first(&payload);
    for at in 0..packed.len() {
        for value in [1, 0x10, 0x80, 0xff] {
            let mut bench = connected::<P>();
            let mut packed = packed.clone();
            packed[at] ^= value;
            bench.raw.packed(&packed);
            // Something behind it, compressed as if nothing had happened.
            bench.message(&Ignore { data: b"behind" });
            let Some(error) = bench.error() else {
                bench.lives(&(at, value));
                continue;
            };
            ends.set(ends.get() + 1);
            match error {
                Error::Compression(_) => {
                    damaged.set(damaged.get() + 1);
                    bench.refused(
                        &(at, value),
                        |e| matches!(e, Error::Compression(_)),
                        COMPRESSION,
                    );
                }
                Error::PeerMisbehaved(_) | Error::Malformed(_) => {
                    bench.refused(&(at, value), |_| true, PROTOCOL);
                }
                other => panic!("{at} {value}: {other}"),
            }
        }
    }
    assert!(ends.get() > packed.len() && damaged.get() > packed.len());
}

/// Not a packet before, and not one later: what the peer sends and gets is read by another
/// implementation, which begins where the RFC says.
fn begins<P: Subject>() {
    let mut bench = delayed::<P>().up_to(Stage::Auth);
    // Before, a packet that is compressed is a message that nobody knows.
    let mut early = delayed::<P>().up_to(Stage::Auth);
    early.raw.packed(&first(b"\x02\0\0\0\0"));
    early.turn();
    let unexpected = PeerMisbehaved::UnexpectedMessage(0x78);
    early.refused(&"early", misbehaved(unexpected), PROTOCOL);

    bench.message(&Ignore { data: b"before" });
    bench.proper(Stage::Auth);
    bench.turn();
    assert!(bench.peer.is_authenticated());
    exchange(&mut bench, 1);

    // Behind it, one that is not is no part of a stream. (Of what a client may have sent before it knew,
    // see below.)
    let client = P::ROLE == ssh_proto::Role::Client;
    let open = &b"\x5a\0\0\0\x07session\0\0\0\0\0\0\0\x01\0\0\0\x01"[..];
    for plain in [open, b"\x50\0\0\0\x01x\x01", b"\x02\0\0\0\0"] {
        if !client && plain[0] == number::SSH_MSG_IGNORE {
            continue;
        }
        let mut late = delayed::<P>().up_to(Stage::Connected);
        late.raw.packed(plain);
        late.turn();
        late.refused(&plain, is(CompressionError::Damaged), COMPRESSION);
    }
}

/// A server compresses from SUCCESS on; what was under way to it by then is not compressed.
#[test]
fn z4_what_a_client_had_sent_before_it_learned_of_success_is_taken_as_it_is() {
    let again = |user: &'static str| {
        encoded(&UserauthRequest {
            user_name: user.as_bytes(),
            service_name: "ssh-connection",
            method: ssh_proto::message::AuthMethod::None,
        })
    };
    in_every_way(|| {
        let mut bench = delayed::<Server>().up_to(Stage::Auth);
        bench.proper(Stage::Auth);
        bench.raw.message(&Ignore { data: b"under way" });
        bench.raw.payload(&again("bob"));
        bench.turn();
        bench.lives(&"under way");
        exchange(&mut bench, 1);
        // From its first compressed packet on it knows.
        bench.raw.packed(b"\x02\0\0\0\0");
        bench.turn();
        bench.refused(&"as part of its stream", |_| true, PROTOCOL);

        // What it says when it gives up is heard.
        let mut bench = delayed::<Server>().up_to(Stage::Auth);
        bench.proper(Stage::Auth);
        bench.raw.payload(b"\x01\0\0\0\x0b\0\0\0\0\0\0\0\0");
        bench.turn();
        assert!(
            matches!(bench.seen.end, Some(End::ByPeer(_))),
            "{:?}",
            bench.seen.end
        );

        // Nor after an exchange of keys, when everybody knows.
        let mut bench = delayed::<Server>().up_to(Stage::Connected);
        rekey(&mut bench);
        bench.raw.packed(b"\x02\0\0\0\0");
        bench.turn();
        bench.refused(&"rekeyed", is(CompressionError::Damaged), COMPRESSION);

        // And not for ever.
        let mut bench = delayed::<Server>().up_to(Stage::Connected);
        for _ in 0..1000 {
            bench.raw.packed(b"\x02\0\0\0\0");
        }
        bench.turn();
        let too_many = |e: &Error| matches!(e, Error::Limit(LimitExceeded::PacketsBeforeAuth));
        bench.refused(&"a thousand", too_many, PROTOCOL);
    });
}

/// The raw side fails if what it gets is not what its own streams, begun anew, give.
fn anew<P: Subject>() {
    for &method in &Method::ALL[1..] {
        let mut bench = with::<P>(method, method).up_to(Stage::Connected);
        for n in 0..4 {
            exchange(&mut bench, n);
            rekey(&mut bench);
            if n % 2 == 0 {
                bench.peer.rekey().expect("connected");
                bench.turn();
                bench.proper(Stage::Connected);
                bench.turn();
                bench.proper(Stage::RekeyMethod);
                bench.turn();
                bench.proper(Stage::RekeyNewKeys);
                bench.turn();
                bench.lives(&"after our rekey");
            }
        }
        let texts = bench.raw.numbers(0);
        let exchanges = texts.iter().filter(|n| **n == number::SSH_MSG_NEWKEYS);
        assert_eq!(exchanges.count(), 7, "{method}");
    }
}

fn goes_on<P: Subject>() {
    let mut stream = Compress::new(Compression::new(6), true);
    let mut packed = |payload: &[u8]| {
        let mut packed = vec![0; payload.len() + 200];
        let before = stream.total_out();
        stream
            .compress(payload, &mut packed, Flush::Partial)
            .expect("compressed");
        packed.truncate(usize::try_from(stream.total_out() - before).expect("small"));
        packed
    };
    let ignore = encoded(&Ignore {
        data: b"again and again",
    });
    let mut bench = connected::<P>();
    bench.raw.packed(&packed(&ignore));
    bench.raw.packed(&packed(&ignore));
    bench.turn();
    bench.lives(&"one stream");
    let mut bench = connected::<P>();
    rekey(&mut bench);
    bench.raw.packed(&packed(&ignore));
    bench.turn();
    bench.refused(
        &"the old stream",
        is(CompressionError::Damaged),
        COMPRESSION,
    );
}
