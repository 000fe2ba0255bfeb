//! The keys of packets, of every cipher and MAC.

use std::hint::black_box;
use std::thread;

use ssh_proto::fuzzing::{self, Packets};
use ssh_testkit::alloc::{Left, left_behind, unwatched, watch_this_thread};

use super::alone;

/// The modes of [`Packets`], each with a name: every cipher in either order, and every MAC.
fn few_modes() -> impl Iterator<Item = (usize, String)> {
    let all = fuzzing::modes();
    fuzzing::few_modes().into_iter().map(move |mode| {
        let number = all.iter().position(|one| *one == mode).unwrap();
        (1 + number, format!("{mode:?}"))
    })
}

/// Packets go both ways, as they do in a connection.
fn exchange(packets: &mut Packets) {
    for n in 0..3 {
        let mut sealed = packets.seal(&[n; 2000]).unwrap();
        let opened = packets.open(&mut sealed, 35_000).unwrap();
        unwatched(move || drop((sealed, opened)));
    }
}

/// The keys of a cipher and its MAC, as they lie in a connection.
#[test]
fn q3_the_keys_of_packets_are_not_in_freed_memory() {
    let _alone = alone();
    // Another key for each: what the use of one leaves on the stack is not asked about here. It is the
    // same byte again and again, which others have as well.
    for ((mode, name), seed) in few_modes().zip(0xa7..) {
        let watch = watch_this_thread(&[seed; 16]);
        // Keys of HMAC, and what they are in the middle of it (RFC 2104 section 2).
        let mac = seed ^ 0x55;
        for byte in [mac, mac ^ 0x36, mac ^ 0x5c] {
            watch.also(&[byte; 16]);
        }
        let mut packets = Box::new(Packets::new(mode, seed).unwrap());
        exchange(&mut packets);
        drop(black_box(packets));
        let (hits, which, size) = (watch.hits(), watch.last_secret(), watch.last_block());
        assert_eq!(hits, 0, "{name}: {which:?} in {size:?}");
    }
}

/// What is left of keys that are in use, in the blocks of memory that they lay in.
fn left_of(mode: usize, seed: u8) -> Vec<Left> {
    let packets = || {
        let mut packets = Box::new(Packets::new(mode, seed).unwrap());
        exchange(&mut packets);
        drop(black_box(packets));
    };
    left_behind(packets).1
}

/// In no order that what the allocator does could follow.
const ROUNDS: [u8; 12] = [
    ONE, ONE, OTHER, OTHER, ONE, OTHER, OTHER, ONE, ONE, OTHER, ONE, OTHER,
];
const ONE: u8 = 0x31;
const OTHER: u8 = 0x9d;

/// Key schedules, tables and intermediate keys are all that a key is turned into: whatever it was, the
/// same is left of it. What a key has nothing to do with may differ as well, such as addresses: then it
/// does from round to round.
#[test]
fn q3_what_is_left_of_the_keys_of_packets_is_the_same_for_every_key() {
    let _alone = alone();
    for (mode, name) in few_modes() {
        // Not on the heap, whose blocks are to lie where they lay.
        let mut rounds = [[None; 64]; ROUNDS.len()];
        let mut count = 0;
        for (key, round) in ROUNDS.iter().zip(&mut rounds) {
            let left = left_of(mode, *key);
            assert!(count == 0 || left.len() == count, "{name}");
            count = left.len();
            for (place, left) in round.iter_mut().zip(left) {
                *place = Some(left);
            }
        }
        assert!((5..=64).contains(&count), "{name}: {count}");
        let mut alike = 0;
        for n in 0..count {
            let of = |key| {
                let rounds = ROUNDS.iter().zip(&rounds);
                rounds.filter_map(move |(of, round)| (*of == key).then_some(round[n]))
            };
            let meets = of(ONE).any(|one| of(OTHER).any(|other| one == other));
            let varies = of(ONE).any(|one| of(ONE).any(|again| one != again));
            assert!(meets || varies, "{name}: block {n}");
            alike += usize::from(meets);
        }
        assert!(alike + 4 >= count, "{name}: {alike} of {count}");
    }
}

/// The same comparison notices a copy that is not wiped.
#[test]
fn q3_a_key_that_is_left_behind_is_another_one_each_time() {
    let _alone = alone();
    let left = |key: u8| left_behind(|| drop(black_box(vec![key; 40]))).1;
    assert_eq!(left(1), left(1));
    assert_ne!(left(1), left(2));
}

#[test]
fn a_watch_of_one_thread_sees_what_that_thread_gives_back_and_no_other() {
    let _alone = alone();
    let give_back = || drop(black_box(vec![0xc0_u8; 216]));
    let watch = watch_this_thread(&[0xc0; 16]);
    thread::scope(|scope| scope.spawn(give_back).join()).expect("no panic");
    assert_eq!(watch.hits(), 0);
    give_back();
    assert_eq!(watch.hits(), 1);
}
