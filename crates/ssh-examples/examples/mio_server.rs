//! A server on one thread, over readiness, with one receive buffer for all of its connections.
//!
//! ```sh
//! cargo run --release -p ssh-examples --example mio_server -- --port 2222
//! ssh -p 2222 alice@127.0.0.1 count 1000000 | wc -c     # the password stands in src/server.rs
//! ```
//!
//! The first line that it prints is `ADDRESS FINGERPRINT`. It ends with its standard input, if
//! `--until-eof` says so, and else when it is stopped. How it works: `src/event_loop.rs`.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ssh_examples::os;
use ssh_examples::server::CommandServer;
use ssh_proto::message::DisconnectReason;

const USAGE: &str = "mio_server [--port PORT] [--connections N] [--until-eof]";
/// How long the last connections may take to end.
const LAST: Duration = Duration::from_secs(3);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut port = 0;
    let mut connections = 1000;
    let mut until_eof = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--port" => port = value()?.parse()?,
            "--connections" => connections = value()?.parse()?,
            "--until-eof" => until_eof = true,
            _ => return Err(USAGE.into()),
        }
    }
    os::enough_descriptors(connections)?;

    // Everybody knows the keys and the password: loopback only.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let server = CommandServer::new(|_| {})?;
    let fingerprint = server.fingerprint();
    let (mut server, address) = server.listen(address, connections)?;
    println!("{address} {fingerprint}");

    let stop = Arc::new(AtomicBool::new(false));
    if until_eof {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            stop.store(true, Ordering::Relaxed);
        });
    }
    while !stop.load(Ordering::Relaxed) {
        server.round(Duration::from_millis(250))?;
    }
    server.visit(|peer, _| peer.disconnect(DisconnectReason::BY_APPLICATION, "the server stops"));
    let last = Instant::now() + LAST;
    while !server.is_empty() && Instant::now() < last {
        server.round(Duration::from_millis(250))?;
    }
    Ok(())
}
