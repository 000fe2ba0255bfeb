//! Sealing and opening through the whole state machine, beside the bare cipher.
//!
//! Opening: what a server has sent is copied twice, and both arms open every packet of it once,
//! where it lies, in turns; a copy is far larger than any cache. Sealing: both arms fill the same
//! 64 KiB again and again, as far as packets fit, and drop what is in it. `send` copies from a
//! buffer, `reserve` is for what is there already.

use std::hint::black_box;

use super::bare::Bare;
use super::pair::{Ends, Protection, Setup, open_all, reserve_all, send_all};
use super::{median, quantile, time};

/// What is opened and sealed, in bytes of data, unless less is asked for.
pub(crate) const STREAM: usize = 64 << 20;
/// The same with a cipher that is slower by far than any memory.
const SLOW_STREAM: usize = 8 << 20;
/// A slice of it: far below a time slice of the scheduler.
const SLICE: usize = 1 << 20;
/// What output has room for.
const OUTPUT: usize = 64 << 10;
const SIZES: [usize; 3] = [64, 1024, 32 * 1024];

/// Nanoseconds for each slice. The arms of one slice stand at the same place.
#[derive(Default)]
pub(crate) struct Times {
    bare_open: Vec<f64>,
    open: Vec<f64>,
    bare_seal: Vec<f64>,
    send: Vec<f64>,
    reserve: Vec<f64>,
}

/// Gigabytes of data per second.
pub(crate) struct Speeds {
    pub(crate) open: f64,
    pub(crate) bare_open: f64,
    bare_seal: f64,
}

impl Times {
    pub(crate) fn speeds(&self) -> Speeds {
        let speed = |times: &[f64]| SLICE as f64 / median(times);
        Speeds {
            open: speed(&self.open),
            bare_open: speed(&self.bare_open),
            bare_seal: speed(&self.bare_seal),
        }
    }
}

/// Of all sizes and protections, or of those that are named.
pub(crate) fn tables(words: &[&str]) {
    let mut sizes: Vec<usize> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let mut most = STREAM;
    for word in words {
        let mebibytes = word
            .strip_suffix("MiB")
            .and_then(|n| n.parse::<usize>().ok());
        if let Some(mebibytes) = mebibytes {
            most = SLICE.max(mebibytes << 20).min(STREAM);
        } else if let Ok(size) = word.parse() {
            sizes.push(size);
        } else {
            names.push(word);
        }
    }
    let named = |protection: &Protection| {
        let name = protection.name();
        names.is_empty() || names.iter().any(|wanted| name.contains(wanted))
    };
    println!(
        "\nGB/s of the bare cipher, and the speed of the core as a fraction of it: the ratio of"
    );
    println!(
        "the medians of {} slices ({} of slow ciphers), quartiles of the slices' own ratios.",
        most / SLICE,
        most.min(SLOW_STREAM) / SLICE
    );
    for size in SIZES {
        if !sizes.is_empty() && !sizes.contains(&size) {
            continue;
        }
        println!("\n{size} bytes of data in each packet\n");
        println!("| protection | bare opening | opening | bare sealing | `send` | `reserve` |");
        println!("|---|---|---|---|---|---|");
        for protection in Protection::all().into_iter().filter(named) {
            let name = protection.name();
            let times = measure(protection, size, most);
            let speeds = times.speeds();
            println!(
                "| {name} | {:.2} | {} | {:.2} | {} | {} |",
                speeds.bare_open,
                ratio(&times.bare_open, &times.open),
                speeds.bare_seal,
                ratio(&times.bare_seal, &times.send),
                ratio(&times.bare_seal, &times.reserve),
            );
        }
    }
}

fn ratio(bare: &[f64], ours: &[f64]) -> String {
    let each = || bare.iter().zip(ours).map(|(bare, ours)| bare / ours);
    format!(
        "{:.2} ({:.2}-{:.2})",
        median(bare) / median(ours),
        quantile(each(), 0.25),
        quantile(each(), 0.75)
    )
}

/// Opens and seals `most` bytes of data, or less if that takes long.
pub(crate) fn measure(protection: Protection, size: usize, most: usize) -> Times {
    let is_slow = !protection.cipher.is_aead() && protection.cipher.block_len() < 16;
    let stream = if is_slow { most.min(SLOW_STREAM) } else { most };
    let mut times = Times::default();
    opening(protection, size, stream, &mut times);
    sealing(protection, size, stream, &mut times);
    times
}

fn opening(protection: Protection, size: usize, stream: usize, times: &mut Times) {
    let setup = Setup::new(protection).classical();
    let recording = Ends::connected(setup).record(size, stream / size);
    let mut bare = Bare::opening(protection, &recording);
    let (mut theirs, mut ours) = (recording.data().to_vec(), recording.data().to_vec());
    let lengths = Bare::opening(protection, &recording).walk(&mut ours);
    ours.copy_from_slice(recording.data());
    let mut client = recording.client();
    let (mut theirs, mut ours) = (theirs.as_mut_slice(), ours.as_mut_slice());
    let mut total = 0;
    for (turn, packets) in lengths
        .chunks(lengths.len().div_ceil(stream / SLICE))
        .enumerate()
    {
        let length = packets.iter().map(|n| *n as usize).sum();
        let mut bare_arm = || {
            let mut rest = theirs.split_off_mut(..length).expect("as recorded");
            time(|| {
                for length in packets {
                    let (packet, behind) = rest.split_at_mut(*length as usize);
                    bare.open(packet);
                    rest = behind;
                }
            })
        };
        let mut our_arm = || {
            let slice = ours.split_off_mut(..length).expect("as recorded");
            time(|| total += open_all(&mut client, slice))
        };
        let (bare_time, our_time) = in_turns(turn, &mut bare_arm, &mut our_arm);
        times.bare_open.push(bare_time);
        times.open.push(our_time);
    }
    assert_eq!(total, stream / size * size);
}

fn sealing(protection: Protection, size: usize, stream: usize, times: &mut Times) {
    let (mut server, id) = Ends::connected(Setup::new(protection).boundless()).sender();
    let mut bare = Bare::sealing(protection);
    let length = protection.packet_len(size);
    // The last packet in the buffer must find room for all of its data.
    let per_drain = 1 + (OUTPUT - size.max(256)) / length;
    let packets = SLICE / size;
    let source = vec![0x5a; size];
    let mut buffer = vec![0x5a; per_drain * length];
    for turn in 0..stream / SLICE {
        let mut bare_arm = || {
            time(|| {
                let mut left = packets;
                while left > 0 {
                    for packet in buffer.chunks_exact_mut(length).take(left) {
                        bare.seal(packet);
                        left -= 1;
                    }
                    black_box(&buffer);
                }
            })
        };
        let mut our_arm = || {
            times.send.push(time(|| {
                send_all(&mut server, id, &source, packets, per_drain);
            }));
            time(|| reserve_all(&mut server, id, size, packets, per_drain))
        };
        let (bare_time, reserve_time) = in_turns(turn, &mut bare_arm, &mut our_arm);
        times.bare_seal.push(bare_time);
        times.reserve.push(reserve_time);
    }
}

/// Both, and now the one and now the other first.
fn in_turns(
    turn: usize,
    one: &mut dyn FnMut() -> f64,
    other: &mut dyn FnMut() -> f64,
) -> (f64, f64) {
    if turn.is_multiple_of(2) {
        let one = one();
        (one, other())
    } else {
        let other = other();
        (one(), other)
    }
}
