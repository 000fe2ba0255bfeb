//! How much memory an idle connection takes, counted at the allocator: everything that it holds,
//! its box included. What the process takes for it is more by what the allocator adds.

use std::net::SocketAddr;
use std::time::Duration;

use ssh_examples::client::{CommandClient, LogIn};
use ssh_examples::event_loop::Application;
use ssh_examples::server::CommandServer;
use ssh_proto::{Carry, Client, Instant, Peer, RecvBuf, Server, Wants};
use ssh_testkit::alloc::{TrackingAllocator, measure};

#[global_allocator]
static ALLOCATOR: TrackingAllocator = TrackingAllocator;

/// One side, and what it has allocated and not given back.
struct Side<A: Application> {
    application: A,
    connection: Box<(A::Peer, A::Seat, Carry)>,
    live: i64,
}

impl<A: Application> Side<A> {
    fn new(mut application: A, begin: impl FnOnce(&mut A) -> (A::Peer, A::Seat)) -> Self {
        let (connection, usage) = measure(|| {
            let (peer, seat) = begin(&mut application);
            Box::new((peer, seat, Carry::new()))
        });
        Self {
            application,
            connection,
            live: usage.live,
        }
    }

    /// Takes what has come, and whatever time it is; gives what is to be sent.
    fn turn(&mut self, rx: &mut RecvBuf, input: &[u8], now: Instant) -> Vec<u8> {
        let (peer, seat, carry) = &mut *self.connection;
        rx.load(carry, peer.need()).unwrap();
        rx.push(input);
        let ((), usage) = measure(|| {
            peer.handle_timeout(now);
            loop {
                while let Some(event) = peer.poll_event(&mut rx.batch(), now) {
                    self.application.on_event(peer, seat, event);
                }
                if peer.wants() != Wants::Batch {
                    break;
                }
            }
        });
        self.live += usage.live;
        let output = peer.output().to_vec();
        let ((), usage) = measure(|| {
            peer.consume_output(output.len());
            peer.poll_timeout(now);
        });
        self.live += usage.live;
        rx.park(carry);
        assert!(carry.is_empty(), "whole flights are delivered");
        output
    }
}

#[test]
fn an_idle_connection_takes_little() {
    let server = CommandServer::new(|_| {}).unwrap();
    let client = CommandClient::new(
        server.fingerprint(),
        LogIn::Key,
        "cat 3000".parse().unwrap(),
    );
    let from = SocketAddr::from(([127, 0, 0, 1], 1));
    let mut server = Side::new(server, |server| server.accepted(from).unwrap());
    let mut client = Side::new(client, |client| client.start().unwrap());
    let mut rx = RecvBuf::new();
    let mut now = Instant::EPOCH;
    let mut down = Vec::new();
    let mut highest = [0; 2];
    for _ in 0..100 {
        let up = client.turn(&mut rx, &down, now);
        down = server.turn(&mut rx, &up, now);
        highest = [highest[0].max(client.live), highest[1].max(server.live)];
        if up.is_empty() && down.is_empty() {
            // Nothing is left to say: time passes.
            now = now + Duration::from_millis(400);
        }
    }
    assert_eq!(client.application.tally().right, 1);
    for (who, itself, live, highest) in [
        ("client", size_of::<Client>(), client.live, highest[0]),
        ("server", size_of::<Server>(), server.live, highest[1]),
    ] {
        println!("{who}: {live} bytes idle, {highest} at the most, {itself} of them in itself");
        assert!((1024..6 * 1024).contains(&live), "{who}: {live}");
    }
}
