//! What goes through a connection, its SHA-256, and somebody behind a tunnel.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use sha2::{Digest, Sha256};
use ssh_testkit::rng::SeededRandom;

use super::matrix::Trouble;

/// Bytes in each direction.
pub(crate) const SIZE: usize = 1 << 20;
/// Bytes in each direction while keys are exchanged: twice the window of our side.
pub(crate) const LONG: usize = 4 << 20;
/// After how many bytes keys are exchanged, where they are exchanged often.
pub(crate) const REKEY_BYTES: u64 = 64 * 1024;
/// How many exchanges `LONG` bytes each way take at the least, the first one included. A window
/// of data may pass from one side's NEWKEYS to the other's, before which no other exchange can
/// begin, so a slow peer has far fewer than `LONG / REKEY_BYTES`.
const EXCHANGES: usize = 3;
/// How the command ends.
pub(crate) const STATUS: u8 = 7;

/// So many bytes that no repetition could get right by chance: noise, and after each part of it the
/// same again, so that there is something to compress.
pub(crate) fn mixed(size: usize) -> Vec<u8> {
    const PART: usize = 4 * 1024;
    let mut mixed = vec![0; size];
    let mut random = SeededRandom::from_env();
    for pair in mixed.chunks_mut(2 * PART) {
        let (noise, again) = pair.split_at_mut(pair.len() / 2);
        random.fill(noise);
        again[..noise.len()].copy_from_slice(noise);
    }
    mixed
}

/// Keys were exchanged often enough.
pub(crate) fn enough(exchanges: usize) -> Result<(), Trouble> {
    if exchanges >= EXCHANGES {
        return Ok(());
    }
    Err(Trouble::Failed(format!(
        "keys were exchanged {exchanges} times"
    )))
}

/// As `sha256sum` writes it.
pub(crate) fn sha256(data: &[u8]) -> String {
    Sha256::digest(data)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Somebody who sends back what comes, for as many connections as are made.
pub(crate) struct Echo {
    address: SocketAddr,
    connections: Arc<AtomicU32>,
}

impl Echo {
    pub(crate) fn start() -> Result<Self, Trouble> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicU32::new(0));
        let seen = connections.clone();
        // Ends with the process: a listener that nobody comes to waits for ever.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                seen.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || echo(stream));
            }
        });
        Ok(Self {
            address,
            connections,
        })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often somebody came.
    pub(crate) fn connections(&self) -> u32 {
        self.connections.load(Ordering::SeqCst)
    }
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut piece = vec![0; 32 * 1024];
    loop {
        let n = stream.read(&mut piece)?;
        if n == 0 {
            return stream.shutdown(Shutdown::Write);
        }
        stream.write_all(&piece[..n])?;
    }
}
