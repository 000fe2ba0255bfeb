//! What the server of the tests does for its users.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;

use ssh_blocking::{Connect, Ended, Handler, Session, Start, Terminal};

/// No power of two, so that nothing that is moved by a block looks right.
const PERIOD: usize = 65_521;
const PIECE: usize = 64 * 1024;

/// Two periods of what goes over a channel, different for each seed.
fn table(seed: u8) -> &'static [u8] {
    static TABLES: [OnceLock<Vec<u8>>; 256] = [const { OnceLock::new() }; 256];
    TABLES[usize::from(seed)].get_or_init(|| {
        (0..2 * PERIOD + PIECE)
            .map(|i| {
                let i = (i % PERIOD) as u32;
                (i.wrapping_mul(2_654_435_761) >> 11) as u8 ^ seed
            })
            .collect()
    })
}

/// Whether `piece` is what belongs at `at`.
pub(crate) fn is_pattern(seed: u8, at: usize, piece: &[u8]) -> bool {
    let begin = at % PERIOD;
    piece.chunks(PIECE).enumerate().all(|(i, chunk)| {
        let begin = (begin + i * PIECE) % PERIOD;
        chunk == &table(seed)[begin..begin + chunk.len()]
    })
}

pub(crate) fn send_pattern(to: &mut impl Write, seed: u8, size: usize) -> std::io::Result<()> {
    let mut at = 0;
    while at < size {
        let n = PIECE.min(size - at);
        let begin = at % PERIOD;
        to.write_all(&table(seed)[begin..begin + n])?;
        at += n;
    }
    Ok(())
}

/// Runs its own small commands.
pub(crate) struct Programs;

impl Handler for Programs {
    fn exec(&self, request: Start, command: &[u8]) {
        let command = String::from_utf8_lossy(command).into_owned();
        let (name, argument) = command.split_once(' ').unwrap_or((&command, ""));
        if name == "refused" {
            return;
        }
        let terminal = request.terminal().map(|terminal| terminal.term.clone());
        let env = request.env().to_vec();
        let Ok(mut channel) = request.accept() else {
            return;
        };
        // A client may go at any time; the test sees what it gets.
        let _ = match name {
            "greet" => channel
                .write_all(b"hello\n")
                .and_then(|()| channel.stderr().write_all(b"problem\n"))
                .and_then(|()| Ok(channel.exit(argument.parse().unwrap())?)),
            "killed" => channel
                .exit_signal("TERM", "enough")
                .map_err(std::io::Error::from),
            "echo" => (|| {
                let mut piece = vec![0; 64 * 1024];
                loop {
                    let n = channel.read(&mut piece)?;
                    if n == 0 {
                        return Ok(channel.exit(0)?);
                    }
                    channel.write_all(&piece[..n])?;
                }
            })(),
            "sink" => (|| {
                let mut piece = vec![0; 64 * 1024];
                let mut all = 0;
                loop {
                    let n = channel.read(&mut piece)?;
                    if n == 0 {
                        channel.write_all(all.to_string().as_bytes())?;
                        return Ok(channel.exit(0)?);
                    }
                    all += n;
                }
            })(),
            "check" => (|| {
                let seed = argument.parse().unwrap();
                let (mut piece, mut all) = (vec![0; 64 * 1024], 0);
                loop {
                    let n = channel.read(&mut piece)?;
                    if n == 0 {
                        channel.write_all(all.to_string().as_bytes())?;
                        return Ok(channel.exit(0)?);
                    }
                    let right = is_pattern(seed, all, &piece[..n]);
                    if !right {
                        return Ok(channel.exit(1)?);
                    }
                    all += n;
                }
            })(),
            "pattern" => (|| {
                let (seed, size) = argument.split_once(' ').unwrap();
                let size: usize = size.parse().unwrap();
                send_pattern(&mut channel, seed.parse().unwrap(), size)?;
                Ok(channel.exit(0)?)
            })(),
            "zeros" => (|| {
                let piece = vec![0; 64 * 1024];
                let mut left: usize = argument.parse().unwrap();
                while left > 0 {
                    let n = left.min(piece.len());
                    channel.write_all(&piece[..n])?;
                    left -= n;
                }
                Ok(channel.exit(0)?)
            })(),
            "setup" => write!(channel, "{terminal:?} {env:?}").and_then(|()| Ok(channel.exit(0)?)),
            "signals" => (|| {
                let signal = channel.signal()?;
                let size = channel.terminal_size();
                write!(channel, "{signal} {size:?}")?;
                Ok(channel.exit(0)?)
            })(),
            // Neither reads nor ends.
            "hang" => (|| {
                channel.signal()?;
                Ok(())
            })(),
            other => panic!("{other}"),
        };
    }

    fn pty(&self, _session: &Session, _terminal: &Terminal) -> bool {
        true
    }

    fn env(&self, _session: &Session, name: &[u8], _value: &[u8]) -> bool {
        name.starts_with(b"LC_")
    }

    fn ended(&self, _session: &Session, ended: &Ended) {
        // Shown where a test fails.
        println!("the server's connection: {ended}");
    }

    fn direct_tcpip(&self, request: Connect) {
        let host = String::from_utf8_lossy(request.host()).into_owned();
        match TcpStream::connect((host, request.port())) {
            Ok(stream) => {
                let _ = request.join(&stream);
            }
            Err(error) => request.refuse(&error.to_string()),
        }
    }
}

pub(crate) fn noise(seed: u64, n: usize) -> Vec<u8> {
    let mut noise = vec![0; n];
    ssh_testkit::rng::SeededRandom::new(seed).fill(&mut noise);
    noise
}
