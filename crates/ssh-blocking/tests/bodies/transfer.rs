//! Bulk data over several channels of one connection, every byte compared where it arrives. The
//! long test and the bench `channels` use the same.

use std::io::{Error, ErrorKind, Read, Write};
use std::sync::OnceLock;
use std::thread;

use crate::driver::{Client, Handler, Start};

/// No power of two, so that nothing that is moved by a block looks right.
const PERIOD: usize = 65_521;
const PIECE: usize = 64 * 1024;

/// Which way the data goes, seen from the client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    Up,
    Down,
}

/// Carries `total` bytes over so many channels, each with a thread of its own.
///
/// # Panics
///
/// If anything that arrives is not what was sent, or less or more of it.
pub(crate) fn carry(client: &Client, direction: Direction, channels: u8, total: usize) {
    let each = total / usize::from(channels);
    thread::scope(|scope| {
        for seed in 0..channels {
            scope.spawn(move || match direction {
                Direction::Up => upload(client, seed, each),
                Direction::Down => download(client, seed, each),
            });
        }
    });
}

fn upload(client: &Client, seed: u8, size: usize) {
    let mut channel = client.open_session().unwrap();
    channel.exec(format!("check {seed}")).unwrap();
    send(&mut channel, seed, size).unwrap();
    channel.send_eof().unwrap();
    let output = channel.output(100).unwrap();
    assert_eq!(output.stdout, size.to_string().as_bytes());
}

fn download(client: &Client, seed: u8, size: usize) {
    let mut channel = client.open_session().unwrap();
    channel.exec(format!("pattern {seed} {size}")).unwrap();
    assert_eq!(check(&mut channel, seed).unwrap(), size);
}

/// The far side: compares what it gets and says how much it was, or sends what is asked for.
pub(crate) struct Patterns;

impl Handler for Patterns {
    fn exec(&self, request: Start, command: &[u8]) {
        let command = String::from_utf8_lossy(command).into_owned();
        let words: Vec<&str> = command.split(' ').collect();
        let number = |n: usize| words[n].parse().unwrap();
        let seed = number(1) as u8;
        let Ok(mut channel) = request.accept() else {
            return;
        };
        // What fails here is missing there.
        let _ = match words[0] {
            "check" => check(&mut channel, seed).and_then(|n| write!(channel, "{n}")),
            "pattern" => send(&mut channel, seed, number(2)),
            other => panic!("{other}"),
        }
        .and_then(|()| Ok(channel.exit(0)?));
    }
}

fn send(to: &mut impl Write, seed: u8, size: usize) -> Result<(), Error> {
    let mut at = 0;
    while at < size {
        let n = PIECE.min(size - at);
        to.write_all(pattern(seed, at, n))?;
        at += n;
    }
    Ok(())
}

/// Reads to the end; returns how much it was.
fn check(from: &mut impl Read, seed: u8) -> Result<usize, Error> {
    let mut piece = vec![0; 128 * 1024];
    let mut at = 0;
    loop {
        let n = from.read(&mut piece)?;
        if n == 0 {
            return Ok(at);
        }
        for chunk in piece[..n].chunks(PIECE) {
            if chunk != pattern(seed, at, chunk.len()) {
                let what = format!("wrong bytes of pattern {seed} from {at} on");
                return Err(Error::new(ErrorKind::InvalidData, what));
            }
            at += chunk.len();
        }
    }
}

/// What belongs at `at`: `n` bytes, at most a piece, different for each seed.
fn pattern(seed: u8, at: usize, n: usize) -> &'static [u8] {
    static TABLES: [OnceLock<Vec<u8>>; 256] = [const { OnceLock::new() }; 256];
    let table = TABLES[usize::from(seed)].get_or_init(|| {
        let byte = |i: usize| ((i % PERIOD) as u32).wrapping_mul(2_654_435_761) >> 11;
        (0..PERIOD + PIECE).map(|i| byte(i) as u8 ^ seed).collect()
    });
    let begin = at % PERIOD;
    &table[begin..begin + n]
}
