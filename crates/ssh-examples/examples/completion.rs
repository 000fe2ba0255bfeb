//! A server and a client in one process, over completions: buffers are handed over to read into and
//! to write from, and come back when that is done. It is the shape of io_uring, here with threads
//! in the place of the kernel, so that it runs everywhere.
//!
//! ```sh
//! cargo run --release -p ssh-examples --example completion -- [BYTES [BUFFER]]
//! ```
//!
//! How it works: `src/completion.rs`, and `src/ring.rs` for what it runs over.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use ssh_examples::client::{CommandClient, LogIn};
use ssh_examples::completion::Driver;
use ssh_examples::event_loop::Application as _;
use ssh_examples::ring::ThreadRing;
use ssh_examples::server::CommandServer;
use ssh_proto::message::DisconnectReason;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |n| n.parse());
    let (bytes, buffer) = (number(64 << 20)?, number(64 << 10)?);

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let far = TcpStream::connect(listener.local_addr()?)?;
    let (near, from) = listener.accept()?;

    let server = CommandServer::new(|_| {})?;
    let fingerprint = server.fingerprint();
    let mut server = Driver::new(server, ThreadRing::default(), buffer);
    let key = server.ring().add(near)?;
    let (peer, seat) = server.application().accepted(from).ok_or("no randomness")?;
    server.begin(key, peer, seat);

    // What the client sends comes back: both directions are busy.
    let job = format!("cat {bytes}").parse()?;
    let client = CommandClient::new(fingerprint, LogIn::Key, job);
    let mut client = Driver::new(client, ThreadRing::default(), buffer);
    let key = client.ring().add(far)?;
    let (peer, seat) = client.application().start()?;
    client.begin(key, peer, seat);

    let serving = std::thread::spawn(move || {
        while !server.is_empty() {
            server.round(Duration::from_secs(1));
        }
        server.traffic()
    });
    let began = Instant::now();
    let mut leaving = false;
    while !client.is_empty() {
        client.round(Duration::from_secs(1));
        if client.application().tally().right == 1 && !leaving {
            leaving = true;
            client.visit(|client, _| client.disconnect(DisconnectReason::BY_APPLICATION, "done"));
        }
    }
    let took = began.elapsed().as_secs_f64();
    let tally = client.application().tally();
    if tally.right != 1 {
        return Err(format!("{:?}", tally.notes).into());
    }
    println!("{bytes} bytes went there and came back, each of them right, in {took:.2} s");
    let server = serving.join().map_err(|_| "the server failed")?;
    for (who, traffic) in [("client", client.traffic()), ("server", server)] {
        println!(
            "{who}: read {} bytes into buffers of {buffer}; {:.1} % were copied",
            traffic.read,
            100.0 * traffic.copied as f64 / traffic.read as f64
        );
    }
    Ok(())
}
