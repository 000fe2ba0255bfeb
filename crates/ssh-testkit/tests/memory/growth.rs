//! What a peer may repeat without end leaves nothing behind: rows X8, X10, X11, R1 and D1.

use ssh_proto::algorithm::KexAlgorithm;
use ssh_proto::message::{
    ChannelOpen, ChannelOpenFailure, ChannelOpenFailureReason, ChannelOpenType, ChannelRequest,
    ChannelRequestType, GlobalRequest, GlobalRequestType, Wire,
};
use ssh_proto::{ChannelEvent, Client, Instant, RecvBuf, Role, Server, ServerEvent, Wants};
use ssh_testkit::alloc::{Usage, measure};
use ssh_testkit::raw::{Bench, Family, Raw, Stage, Subject};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::server_config;

fn encoded<'m, M: Wire<'m>>(message: &M) -> Vec<u8> {
    let mut payload = Vec::new();
    message.encode(&mut payload);
    payload
}

fn session(n: u32) -> Vec<u8> {
    encoded(&ChannelOpen {
        sender_channel: n,
        initial_window_size: 1000,
        maximum_packet_size: 1000,
        channel_type: ChannelOpenType::Session,
    })
}

/// Does `step` a hundred times, so that everything has its size, and then `times` more. What is
/// held may not have grown by then.
fn flat<P: Subject>(
    bench: &mut Bench<P>,
    times: usize,
    mut step: impl FnMut(&mut Bench<P>),
) -> Usage {
    let mut repeat = |bench: &mut Bench<P>, times| {
        for _ in 0..times {
            step(bench);
            bench.raw.got.clear();
            bench.seen.log.0.clear();
            bench.lives(&"again");
        }
    };
    repeat(bench, 100);
    let ((), usage) = measure(|| repeat(bench, times));
    assert_eq!(usage.live, 0, "{times} times: {usage:?}");
    usage
}

fn rejected(times: usize) {
    // A server whose application refuses.
    let mut bench = Bench::<Server>::at(Stage::Connected, true);
    let open = session(0);
    flat(&mut bench, times, |bench| {
        bench.raw.payload(&open);
        bench.turn_with(|server, event, _| {
            if let ServerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) = event {
                let reason = ChannelOpenFailureReason::CONNECT_FAILED;
                server.reject_channel(ticket, reason, "no").expect("mine");
            }
        });
    });
    assert_eq!(bench.peer.channels(), 0);
    // A client, whose application is not asked.
    let mut bench = Bench::<Client>::at(Stage::Connected, true);
    flat(&mut bench, times, |bench| bench.send(&open));
    assert_eq!(bench.peer.channels(), 0);
    // And one that is refused.
    flat(&mut bench, times, |bench| {
        bench.peer.open_session().expect("room for another");
        bench.turn();
        bench.message(&ChannelOpenFailure {
            recipient_channel: 0,
            reason_code: ChannelOpenFailureReason::CONNECT_FAILED,
            description: b"no",
            language_tag: b"",
        });
    });
    assert_eq!(bench.peer.channels(), 0);
}

#[test]
fn x8_channels_that_are_rejected_leave_nothing_behind() {
    rejected(3000);
}

#[test]
#[ignore = "a million of each"]
fn long_x8_a_million_channels_that_are_rejected_leave_nothing_behind() {
    rejected(1_000_000);
}

fn answered(times: usize) {
    fn with<P: Subject>(times: usize) {
        let keepalive = encoded(&GlobalRequest {
            want_reply: true,
            request: GlobalRequestType::Keepalive,
        });
        let mut bench = Bench::<P>::at(Stage::Connected, true);
        flat(&mut bench, times, |bench| bench.send(&keepalive));
    }
    with::<Client>(times);
    with::<Server>(times);
}

#[test]
fn x10_requests_that_are_answered_leave_nothing_behind() {
    answered(10_000);
}

#[test]
#[ignore = "a million of each"]
fn long_x10_a_million_requests_that_are_answered_leave_nothing_behind() {
    answered(1_000_000);
}

/// As many as fit, to somebody whose own words are not read.
#[test]
fn x10_requests_of_a_peer_that_does_not_read_take_a_bounded_room() {
    fn with<P: Subject>() {
        let request = encoded(&GlobalRequest {
            want_reply: true,
            request: GlobalRequestType::Unknown {
                name: "x@example.com",
                data: &[7; 1000],
            },
        });
        let mut bench = Bench::<P>::at(Stage::Connected, true);
        bench.reads = false;
        let mut live = 0;
        for _ in 0..100_000 {
            bench.raw.payload(&request);
            let input = bench.raw.take_output();
            let (reads, usage) = measure(|| {
                let reads = matches!(bench.peer.wants(), Wants::Bytes(_));
                if reads {
                    bench.rx.push(&input);
                    while let Some(event) = bench.peer.poll_event(&mut bench.rx.batch(), bench.now)
                    {
                        drop(event);
                    }
                }
                reads
            });
            live += usage.live;
            if !reads {
                break;
            }
        }
        assert_eq!(bench.peer.wants(), Wants::Output, "it reads for ever");
        assert!(live < 768 * 1024, "{live}");
    }
    with::<Client>();
    with::<Server>();
}

/// Every kind of request, well-formed, that a server may be sent.
#[test]
fn x11_requests_on_a_channel_leave_nothing_behind() {
    let mut bench = Bench::<Server>::at(Stage::Connected, true);
    bench.send(&session(0));
    let requests = [
        ChannelRequestType::PtyReq {
            term: b"xterm",
            size: Default::default(),
            modes: Default::default(),
        },
        ChannelRequestType::Env {
            variable_name: b"A",
            variable_value: b"B",
        },
        ChannelRequestType::WindowChange {
            size: Default::default(),
        },
        ChannelRequestType::Signal {
            signal_name: b"KILL",
        },
        ChannelRequestType::ExitStatus { exit_status: 1 },
        ChannelRequestType::ExitSignal {
            signal_name: b"KILL",
            core_dumped: true,
            error_message: b"so it is",
            language_tag: b"",
        },
        ChannelRequestType::Exec { command: b"x" },
    ];
    let payloads = requests.map(|request| {
        encoded(&ChannelRequest {
            recipient_channel: 0,
            want_reply: true,
            request,
        })
    });
    flat(&mut bench, 1000, |bench| {
        for payload in &payloads {
            bench.raw.payload(payload);
        }
        bench.turn();
    });
}

/// Behind a KEXINIT anything but the key exchange is the end (CVE-2025-26466): whatever else the
/// peer has sent by then is not even looked at.
#[test]
fn r1_a_flood_behind_kexinit_ends_with_its_first_message() {
    fn with<P: Subject>(flood: &[u8]) {
        let mut bench = Bench::<P>::at(Stage::RekeyMethod, true);
        for _ in 0..20_000 {
            bench.raw.payload(flood);
        }
        let input = bench.raw.take_output();
        let ((), usage) = measure(|| {
            for piece in input.chunks(4096) {
                bench.rx.push(piece);
                while let Some(event) = bench.peer.poll_event(&mut bench.rx.batch(), bench.now) {
                    drop(event);
                }
            }
        });
        assert!(bench.peer.has_ended());
        // The input is the test's to keep; what the connection adds is its goodbye.
        let kept = i64::try_from(bench.rx.capacity()).expect("small");
        assert!(usage.live - kept < 16 * 1024, "{usage:?}");
        let got = bench.raw.got.len();
        bench.collect();
        assert_eq!(bench.raw.numbers(got), [1]);
    }
    // PING, a global request, data.
    for flood in [
        &b"\xc0\0\0\0\x04ping"[..],
        b"\x50\0\0\0\x01x\x01",
        b"\x5e\0\0\0\0\0\0\0\x01x",
    ] {
        with::<Client>(flood);
        with::<Server>(flood);
    }
}

/// A server's connection and its buffer, as the allocator sees them, with a peer that does the most
/// that it may before it has logged in.
struct Stranger {
    peer: Box<Server>,
    rx: RecvBuf,
    raw: Raw,
    live: i64,
}

impl Stranger {
    fn new(seed: u64) -> Self {
        let ((peer, rx), usage) = measure(|| {
            let random = Box::new(SeededRandom::new(seed));
            let server = Server::new(server_config(), random).expect("a server");
            (Box::new(server), RecvBuf::new())
        });
        Self {
            peer,
            rx,
            raw: Raw::new(Role::Client, true),
            live: usage.live,
        }
    }

    /// Feeds what the peer has to say.
    fn feed(&mut self, most: usize) {
        let mut input = self.raw.take_output();
        input.truncate(most);
        let ((), usage) = measure(|| {
            for piece in input.chunks(4096) {
                self.rx.push(piece);
                loop {
                    match self.peer.poll_event(&mut self.rx.batch(), Instant::EPOCH) {
                        // Nobody answers.
                        Some(event) => drop(event),
                        None if self.peer.wants() == Wants::Batch => {}
                        None => break,
                    }
                }
            }
        });
        self.live += usage.live;
    }

    fn read(&mut self) {
        let (output, usage) = measure(|| {
            let output = self.peer.output().to_vec();
            self.peer.consume_output(output.len());
            output
        });
        self.live += usage.live - i64::try_from(output.len()).expect("small");
        self.raw.receive(&output);
    }
}

/// The keys have been exchanged; 900 messages were answered with UNIMPLEMENTED that nobody reads, and
/// all of the largest packet has come but its last byte.
#[test]
fn d1_a_thousand_strangers_at_their_worst_hold_little_memory_each() {
    let strangers: Vec<Stranger> = (0..1000)
        .map(|seed| {
            let mut stranger = Stranger::new(seed);
            stranger.read();
            for step in [Raw::identify, Raw::kexinit, Raw::method, Raw::newkeys] {
                step(&mut stranger.raw);
                stranger.feed(usize::MAX);
                stranger.read();
            }
            for _ in 0..900 {
                stranger.raw.payload(&[200]);
            }
            stranger.feed(usize::MAX);
            let mut ignore = vec![0; 34_900];
            ignore[..5].copy_from_slice(b"\x02\0\0\x88\x4f");
            stranger.raw.payload(&ignore);
            stranger.feed(34_900);
            assert!(!stranger.peer.has_ended());
            assert!(stranger.rx.len() > 30_000, "{}", stranger.rx.len());
            stranger
        })
        .collect();
    let most = strangers.iter().map(|stranger| stranger.live).max();
    let most = most.expect("a thousand");
    println!("{most} bytes each, at most");
    assert!(most <= 128 * 1024, "{most}");
}

/// A key exchange that fails at its mathematics, or at its signature, as often as a stranger likes
/// (CVE-2025-8277).
fn fails<P: Subject>(kex: KexAlgorithm, times: usize) {
    let attempt = |n: usize| {
        let mut bench = Bench::<P>::speaking(kex, true).up_to(Stage::Method);
        let gex = Family::of(kex.name()) == Family::GroupExchange;
        if gex {
            bench.proper(Stage::Method);
            bench.turn();
        }
        let first = if gex { 32 } else { 30 };
        let value: &[u8] = if n.is_multiple_of(2) {
            b"\0\0\0\x01\x01"
        } else {
            b"\0\0\0\x02\0\x01"
        };
        if P::ROLE == Role::Server {
            bench.send(&[&[first][..], value].concat());
        } else {
            bench.raw.lies = true;
            bench.proper(Stage::Method);
            bench.turn();
        }
        assert!(bench.error().is_some());
    };
    (0..20).for_each(attempt);
    let ((), usage) = measure(|| (0..times).for_each(attempt));
    assert_eq!(usage.live, 0, "{kex}: {usage:?}");
}

#[test]
fn k9_a_thousand_key_exchanges_that_fail_leave_nothing_behind() {
    for kex in [
        KexAlgorithm::Curve25519Sha256,
        KexAlgorithm::DiffieHellmanGroup14Sha256,
        KexAlgorithm::DiffieHellmanGroupExchangeSha256,
    ] {
        fails::<Server>(kex, 1000);
        fails::<Client>(kex, 200);
    }
}
