//! What the server of the tests does for its users.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::driver::{Connect, Ended, Handler, Session, Start, Terminal};

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
        let terms = request.session().negotiated().cloned();
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
            "terms" => write!(channel, "{}", terms.unwrap()).and_then(|()| Ok(channel.exit(0)?)),
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
