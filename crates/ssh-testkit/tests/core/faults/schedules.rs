//! Random schedules of a slow, stalled, silent or vanishing peer in virtual time: row GI6.
//!
//! A schedule is a number. From it come the limits of both sides, how they log in, how much is
//! sent over how many channels, when keys are exchanged, how fast and in what pieces bytes travel,
//! when the server's application does not read, and what breaks. `SSH_TEST_SCHEDULES=n` sets how
//! many the long test runs, `SSH_TEST_SCHEDULE=seed` has the short one run a single one.

use std::collections::BTreeMap;
use std::time::Duration;

use ssh_proto::config::{Keepalive, TransportConfig};
use ssh_proto::message::DisconnectReason;
use ssh_proto::{ChannelEvent, ChannelId, Client, ClientEvent, Instant, Server, ServerEvent};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{App, Auth, Chunking, Fault, Link, Pair, RekeyAt, Session, pattern};

use super::live::nothing_but_the_beginning;
use super::{COUNT, PACKED, mode_configs};

/// A packet of 32 KiB of data, with all that is around it. A buffer holds one that is not complete and
/// what was read with it.
const LARGEST: usize = 32 * 1024 + 256;

/// `Limits::packet`: so much is waited for where a bit of a length was inverted that says so.
const DECLARED: usize = 256 * 1024;

/// Room for what compressed packets inflate to.
const ROOM: usize = (256 + 128) * 1024;

/// After so long everything that can end has ended.
const HORIZON: Instant = Instant::new(Duration::from_secs(3000));

/// A session, watched in every round.
struct Watched {
    session: Session,
    /// What the server was given.
    got: BTreeMap<ChannelId, Vec<u8>>,
    /// When the server's application reads.
    reading: Reading,
    output: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Always,
    /// Not between these times.
    NotIn(Duration, Duration),
    /// Never: the window is used up and stays so.
    Never,
}

impl App for Watched {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, now: Instant) {
        self.session.client(client, event, now);
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, now: Instant) {
        if let ServerEvent::Channel(ChannelEvent::Data { channel, data, .. }) = &event {
            self.got
                .entry(*channel)
                .or_default()
                .extend_from_slice(data);
        }
        self.session.server(server, event, now);
    }

    fn idle(&mut self, client: &mut Client, server: &mut Server, now: Instant) -> bool {
        for waiting in [client.output().len(), server.output().len()] {
            assert!(waiting <= self.output, "{waiting} bytes wait");
        }
        let sends = self.session.client.sends.len();
        assert!(client.channels() <= sends && server.channels() <= sends);
        let reads = match self.reading {
            Reading::Always => true,
            Reading::NotIn(from, to) => !(Instant::new(from)..Instant::new(to)).contains(&now),
            Reading::Never => false,
        };
        if reads == self.session.server.reads {
            return false;
        }
        self.session.server.reads = reads;
        if reads && !server.has_ended() {
            self.session.server.resume(server);
        }
        true
    }
}

/// Says which schedule it was, should one fail.
struct Announce(u64);

impl Drop for Announce {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat with SSH_TEST_SCHEDULE={:#x}", self.0);
        }
    }
}

/// Draws what one direction is like.
fn weather(link: &mut Link, rng: &mut SeededRandom, faults: u64) {
    let mut one_of = |choices: &[u64]| choices[rng.below(choices.len() as u64) as usize];
    link.latency = Duration::from_millis(one_of(&[0, 0, 1, 1, 40, 300, 2000]));
    link.bandwidth = match one_of(&[0, 0, 0, 0, 0, 0, 1, 10, 50, 300, 2000, 100_000]) {
        0 => None,
        bytes => Some(bytes),
    };
    link.capacity = one_of(&[1, 37, 500, 4096, 1 << 20, 1 << 20, 1 << 20, 1 << 20]) as usize;
    link.chunking = match one_of(&[0, 0, 1, 2]) {
        0 => Chunking::Coalesced,
        1 => Chunking::OneByte,
        _ => Chunking::Random(1 + one_of(&[5, 40, 300]) as usize),
    };
    let at = rng.below(4000);
    link.fault = match rng.below(faults) {
        0 => Fault::CutAt(at),
        1 => Fault::StallAt(at),
        2 => Fault::BlockAt(at),
        3 => Fault::FlipBit(8 * at + rng.below(8)),
        _ => Fault::None,
    };
}

fn limits(transport: &mut TransportConfig, rng: &mut SeededRandom) {
    transport.deadlines.keepalive = Some(Keepalive {
        interval: Duration::from_secs(15),
        count: 3,
    });
    let limits = &mut transport.limits;
    limits.maximum_packet = [1024, 32 * 1024][rng.below(2) as usize];
    limits.window = limits.maximum_packet * (1 + rng.below(4) as u32);
    limits.output = [2048, 9000, 128 * 1024][rng.below(3) as usize];
}

/// Runs a schedule, and says how both sides ended.
fn run(seed: u64) -> [String; 2] {
    let announce = Announce(seed);
    let mut rng = SeededRandom::new(seed);
    let mode = rng.below(COUNT as u64) as usize;
    let (mut c, mut s) = mode_configs(mode);
    limits(&mut c.transport, &mut rng);
    limits(&mut s.transport, &mut rng);
    let all = &s.transport.limits;
    let output = c.transport.limits.output.max(all.output) + all.control + all.held + 70_000;
    let mut pair = Pair::with(seed, c, s);
    let faults = 12;
    weather(&mut pair.up, &mut rng, faults);
    weather(&mut pair.down, &mut rng, faults);

    let sends = (0..1 + rng.below(3) as u8).map(|n| {
        let most = [30, 600, 9000][rng.below(3) as usize];
        pattern(rng.below(most) as usize, n + 1)
    });
    let ways = [
        Auth::Key,
        Auth::Outside,
        Auth::Password,
        Auth::NoneFirst,
        Auth::Both,
    ];
    let session = Session::new(sends.collect()).auth(ways[rng.below(5) as usize]);
    let mut rekey = || match rng.below(3) {
        0 => RekeyAt::Never,
        _ => RekeyAt::Event(rng.below(20)),
    };
    let session = session.rekey(rekey(), rekey());
    let from = Duration::from_secs(rng.below(60));
    let mut app = Watched {
        session,
        got: BTreeMap::new(),
        reading: match rng.below(6) {
            0 => Reading::NotIn(from, from + Duration::from_secs(rng.below(200))),
            1 => Reading::Never,
            _ => Reading::Always,
        },
        output,
    };

    let undisturbed = [&pair.up, &pair.down]
        .iter()
        .all(|link| link.fault == Fault::None);
    let fast = [&pair.up, &pair.down]
        .iter()
        .all(|link| link.bandwidth.is_none_or(|bytes| bytes >= 2000));
    // No more than so many bytes are under way, and so the next ones wait for them.
    let wide = [&pair.up, &pair.down]
        .iter()
        .all(|link| link.capacity as f64 >= 1500.0 * link.latency.as_secs_f64());
    let mut steps = 0_u64;
    while !pair.ended() && pair.now < HORIZON && pair.step(&mut app) {
        steps += 1;
        assert!(steps < 1_000_000, "it goes round in circles");
        let inputs = [
            (pair.client.rx.capacity(), &pair.down),
            (pair.server.rx.capacity(), &pair.up),
        ];
        for (held, link) in inputs {
            let packet = match link.fault {
                Fault::FlipBit(_) => DECLARED,
                _ => LARGEST,
            };
            // Beside it, what packets inflate to.
            let room = if mode == PACKED { ROOM } else { 0 };
            let most = packet + LARGEST + room;
            assert!(held <= most, "{held} bytes held for input");
        }
    }
    if !pair.ended() {
        // Alive after so long is who is waited for by nobody but the application, and who is told
        // again and again that the other one is there.
        assert_eq!(app.reading, Reading::Never, "{:#?}", app.session);
        pair.client
            .peer
            .disconnect(DisconnectReason::BY_APPLICATION, "");
        assert!(pair.run(&mut app), "{:#?}", app.session);
    }
    nothing_but_the_beginning(&app.session);
    for got in app.got.values() {
        let sends = &app.session.client.sends;
        assert!(
            sends.iter().any(|sent| sent.starts_with(got)),
            "{:#?}",
            app.session
        );
    }
    if app.session.client.done {
        app.session.check();
    } else {
        let excused = !undisturbed || !fast || !wide || app.reading == Reading::Never;
        assert!(excused, "{:#?}", app.session);
    }
    let logs = [&app.session.client.log, &app.session.server.log];
    let ends = logs.map(|log| {
        let last = log.0.last().expect("an event");
        let end = last.strip_prefix("Ended: ").expect("an end");
        assert!(!end.contains("internal"), "{end}");
        end.to_owned()
    });
    std::mem::forget(announce);
    ends
}

/// Runs `count` schedules from `first` on, on as many threads as there are processors.
fn gi6(first: u64, count: u64) {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let mut ends = BTreeMap::<String, u64>::new();
    std::thread::scope(|scope| {
        let part = |n: u64| {
            let mut ends = BTreeMap::<String, u64>::new();
            for seed in (first + n..first + count).step_by(threads as usize) {
                for end in run(seed) {
                    // What stands behind makes it no other error.
                    let kind = end.split(|c: char| c == ';' || c.is_ascii_digit()).next();
                    *ends.entry(kind.unwrap_or(&end).to_owned()).or_default() += 1;
                }
            }
            ends
        };
        let parts: Vec<_> = (0..threads).map(|n| scope.spawn(move || part(n))).collect();
        for part in parts {
            for (end, n) in part.join().expect("its own message is above") {
                *ends.entry(end).or_default() += n;
            }
        }
    });
    println!("{count} schedules: {ends:#?}");
    for kind in [
        "disconnected",
        "timed out",
        "the peer closed",
        "a packet failed",
    ] {
        let some = ends.keys().any(|end| end.starts_with(kind));
        assert!(some || count < 1000, "nothing ended so: {kind}");
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Some(number.unwrap_or_else(|_| panic!("{variable}={text} is not a number of 64 bits")))
}

#[test]
fn gi6_whatever_the_peer_does_deadlines_fire_and_nothing_grows() {
    match number("SSH_TEST_SCHEDULE") {
        Some(seed) => gi6(seed, 1),
        None => gi6(0, 2000),
    }
}

#[test]
#[ignore = "long"]
fn long_gi6_whatever_the_peer_does_deadlines_fire_and_nothing_grows() {
    gi6(1 << 32, number("SSH_TEST_SCHEDULES").unwrap_or(30_000));
}
