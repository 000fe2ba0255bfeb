//! Our client and our server in one process, over loopback: what every driver must do, and what
//! only this one has.

#[path = "../bodies/lifetimes.rs"]
mod lifetimes;
#[path = "../bodies/loopback.rs"]
mod loopback;
#[path = "../bodies/order.rs"]
mod order;

/// What the bodies know of the driver.
mod driver {
    pub(crate) use ssh_blocking::*;
}

use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use loopback::{connect, server, within};
use ssh_blocking::Error;
use ssh_proto::error::End;

#[test]
fn a_socket_that_is_shut_down_from_outside_ends_the_connection() {
    within(20, || {
        let server = server();
        let client = connect(&server);
        let channel = client.open_session().unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| channel.wait());
            client.stream().shutdown(Shutdown::Both).unwrap();
            assert!(matches!(waiter.join().unwrap(), Err(Error::Ended(_))));
        });
        assert!(matches!(client.ended().unwrap().end, End::Eof { .. }));
    });
}

#[test]
fn a_forward_says_how_many_connections_it_has() {
    within(20, || {
        let server = server();
        let client = connect(&server);
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = target.local_addr().unwrap().port();
        let forward = client
            .forward_local("127.0.0.1:0", "127.0.0.1", port)
            .unwrap();
        assert_eq!(forward.connections(), 0);
        let near: Vec<_> = (0..2)
            .map(|_| TcpStream::connect(forward.local_addr()).unwrap())
            .collect();
        let far: Vec<_> = (0..2).map(|_| target.accept().unwrap()).collect();
        assert_eq!(forward.connections(), 2);
        drop((near, far));
        while forward.connections() > 0 {
            thread::sleep(Duration::from_millis(5));
        }
    });
}
