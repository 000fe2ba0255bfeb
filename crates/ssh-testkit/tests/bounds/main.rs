//! The memory of one connection, counted at the allocator, against the worst peers that there may
//! be, beside what `Limits` says that it can be.
//!
//! ```text
//! cargo test -p ssh-testkit --test bounds -- --nocapture
//! ```

#[path = "../../benches/endurance/carry.rs"]
mod carry;
mod peers;
mod victim;

use ssh_proto::algorithm::CompressionAlgorithm;
use ssh_proto::config::Limits;
use ssh_proto::message::DisconnectReason;
use ssh_proto::{Client, Server};
use ssh_testkit::alloc::TrackingAllocator;
use ssh_testkit::raw::Stage;

use self::peers::{
    Hostile, Setup, after_auth, before_auth, compressed_after_auth, compressed_before_auth,
};
use self::victim::{Decides, Victim};

#[global_allocator]
static ALLOCATOR: TrackingAllocator = TrackingAllocator;

/// Limits that are no defaults: each of another size, so that a term that is missing is noticed.
fn others() -> [Limits; 3] {
    let mut small = Limits::default();
    small.packet = 40_000;
    small.output = 16 * 1024;
    small.control = 35_000;
    small.maximum_packet = 4096;
    small.window = 16 * 1024;
    small.held = 4096;
    small.tickets = 8;
    small.channels = 10;
    let mut large = Limits::default();
    large.packet_before_auth = 100_000;
    large.packets_before_auth = 10_000;
    large.packet = 1 << 20;
    large.output = 500_000;
    large.control = 300_000;
    large.held = 100_000;
    large.tickets = 500;
    large.user_name = 9000;
    let mut replies = Limits::default();
    replies.packet = 35_000;
    replies.held = 64 * 1024;
    replies.maximum_packet = 30_000;
    replies.control = 1 << 20;
    replies.channels = 1000;
    [small, large, replies]
}

/// Runs them all, and prints what was counted beside the bound.
fn table<P: Decides>(
    when: &str,
    limits: &Limits,
    compression: CompressionAlgorithm,
    peers: Vec<Hostile<P>>,
    bound: impl Fn(usize) -> usize,
) -> i64 {
    let mut highest = 0;
    for hostile in peers {
        let mut setup = Setup {
            limits,
            compression,
        };
        let victim: Victim<P> = (hostile.act)(&mut setup);
        let peak = victim.meter.peak;
        let bound = bound(victim.app.channels.len());
        let role = format!("{:?}", P::ROLE).to_lowercase();
        println!("| {when} | {} | {role} | {peak} | {bound} |", hostile.name);
        assert!(peak > 2000, "nothing was counted");
        assert!(peak <= bound as i64, "{} of a {role}: {peak}", hostile.name);
        highest = highest.max(peak);
    }
    highest
}

fn all<P: Decides>(limits: &Limits) -> (i64, i64) {
    let none = CompressionAlgorithm::None;
    let before = table::<P>("before", limits, none, before_auth(), |_| {
        limits.memory_before_auth()
    });
    let after = table::<P>("after", limits, none, after_auth(), |channels| {
        limits.memory(channels)
    });
    (before, after)
}

fn all_compressed<P: Decides>(limits: &Limits) -> (i64, i64) {
    use CompressionAlgorithm::{Zlib, ZlibOpenSsh};
    let more = limits.memory_of_compression();
    let before = table::<P>("before", limits, Zlib, compressed_before_auth(), |_| {
        limits.memory_before_auth() + more
    });
    let after = table::<P>("after", limits, ZlibOpenSsh, compressed_after_auth(), |n| {
        limits.memory(n) + more
    });
    (before, after)
}

#[test]
fn no_peer_gets_more_memory_with_compression_than_the_limits_say() {
    let limits = Limits::default();
    println!("| authentication | peer | role | peak heap | bound |");
    println!("|---|---|---|---|---|");
    let (_, client) = all_compressed::<Client>(&limits);
    let (_, server) = all_compressed::<Server>(&limits);
    // The bound is none that anything would stay below.
    let bound = (limits.memory(1) + limits.memory_of_compression()) as i64;
    assert!(
        client.min(server) > bound / 10 * 9,
        "{client} {server} {bound}"
    );
    for limits in others() {
        all_compressed::<Client>(&limits);
        all_compressed::<Server>(&limits);
    }
    let mut less = Limits::default();
    less.inflated = 35_000;
    all_compressed::<Client>(&less);
}

/// Nothing is allocated before it is on, and all of it is given back at the end.
#[test]
fn compression_takes_memory_from_its_first_packet_to_the_end() {
    fn one<P: Decides>() {
        let fresh = || Victim::<P>::compressed(|_| {}, CompressionAlgorithm::ZlibOpenSsh);
        let mut without = Victim::<P>::new(|_| {}).up_to(Stage::Auth);
        let mut with = fresh().up_to(Stage::Auth);
        let more = with.rest() - without.rest();
        assert!(more.abs() < 200, "{more} before it is on");
        let mut with = fresh().up_to(Stage::Connected);
        with.channel();
        let held = with.rest();
        assert!((360_000..390_000).contains(&held), "{held}: both streams");
        with.act(|peer, _| peer.disconnect(DisconnectReason::BY_APPLICATION, ""));
        with.deliver();
        let held = with.rest();
        assert!(held < 20_000, "{held} at the end");
    }
    one::<Client>();
    one::<Server>();
}

#[test]
fn no_peer_gets_more_memory_than_the_limits_say() {
    let limits = Limits::default();
    assert!(limits.memory_before_auth() <= 128 * 1024);
    assert!(limits.memory(0) <= 512 * 1024);
    assert!(limits.memory(1000) - limits.memory(0) <= 1000 * 2048);
    println!("| authentication | peer | role | peak heap | bound |");
    println!("|---|---|---|---|---|");
    let (before, after) = all::<Client>(&limits);
    // The bound is none that anything would stay below.
    assert!(before > 64 * 1024 && after > 256 * 1024);
    let (before, after) = all::<Server>(&limits);
    assert!(before > 64 * 1024 && after > 256 * 1024);
}

#[test]
fn other_limits_make_other_bounds() {
    for limits in others() {
        println!("{limits:?}");
        all::<Client>(&limits);
        all::<Server>(&limits);
    }
}

fn idle<P: Decides>() {
    let mut victim = Victim::<P>::new(|_| {}).up_to(Stage::Connected);
    victim.channel();
    let held = victim.rest();
    println!(
        "idle {:?}: {held} bytes, {} of them in itself",
        P::ROLE,
        size_of::<P>()
    );
    assert!((1024..=12 * 1024).contains(&held), "{held}");
}

#[test]
fn an_idle_connection_with_an_open_channel_takes_little() {
    idle::<Client>();
    idle::<Server>();
}

fn channels<P: Decides>() {
    let set = |limits: &mut Limits| limits.channels = 1000;
    let mut victim = Victim::<P>::new(set).up_to(Stage::Connected);
    victim.channel();
    let one = victim.rest();
    for _ in 1..1000 {
        victim.channel();
    }
    let each = (victim.rest() - one) / 999;
    println!("a channel {:?}: {each} bytes", P::ROLE);
    assert!((64..=2048).contains(&each), "{each}");
}

#[test]
fn a_channel_takes_little() {
    channels::<Client>();
    channels::<Server>();
}

/// The heap of both ends together, however much they carry.
const CARRYING: i64 = 2 * 512 * 1024;

fn endures(bytes: u64) {
    let mut early = None;
    let total = carry::run(bytes, bytes / 30, |so_far| {
        if so_far.bytes >= bytes / 10 {
            early.get_or_insert(so_far.peak);
        }
    });
    assert!(total.bytes > bytes - (1 << 20), "{total:?}");
    assert!(
        total.exchanges >= total.bytes / carry::REKEY / 2,
        "{total:?}"
    );
    assert!(total.peak < CARRYING, "{total:?}");
    println!("{total:?}, {early:?} after a tenth");
}

#[test]
fn data_arrives_as_it_was_sent_and_memory_stays_below_a_mebibyte() {
    endures(256 << 20);
}

#[test]
#[ignore = "long"]
fn long_two_gib_arrive_as_they_were_sent_and_memory_stays_below_a_mebibyte() {
    endures(2 << 30);
}
