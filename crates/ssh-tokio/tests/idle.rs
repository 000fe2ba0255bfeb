//! What an idle connection holds, counted at the allocator, server and client each in a thread of
//! its own. What the process takes for it is more by what the allocator adds.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ssh_keys::SigningKey;
use ssh_proto::config::Methods;
use ssh_testkit::alloc::{TrackingAllocator, measure};
use ssh_tokio::{
    Client, ConnectOptions, FixedUsers, Handler, HostKeys, Login, Required, Server, ServerOptions,
    StartLimits, Trust,
};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: TrackingAllocator = TrackingAllocator;

const CONNECTIONS: i64 = 500;
/// What one may hold, in bytes.
const BOUND: i64 = 8 * 1024;
/// How long the two sides have to give back what they do not need.
const PATIENCE: Duration = Duration::from_secs(10);

struct Nothing;

impl Handler for Nothing {}

fn host_key() -> SigningKey {
    SigningKey::ed25519(&[7; 32])
}

fn server_options() -> ServerOptions {
    let mut starts = StartLimits::new(64);
    starts.per_source = 64;
    ServerOptions::new(HostKeys::new([host_key()]).unwrap(), |_| {
        FixedUsers::new().with_password("alice", String::from("secret"))
    })
    .required(Required::AnyOf(Methods::PASSWORD))
    .connections(CONNECTIONS as usize)
    .starts(starts)
}

async fn connect(address: SocketAddr) -> Client {
    let trust = Trust::pinned([host_key().public_key().fingerprint()]);
    let login = Login::new("alice", trust).password(String::from("secret"));
    let options = ConnectOptions::new(login);
    Client::connect_tcp(address, options).await.unwrap()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs until what the connections hold is within the bound and `done` says so, and tells what
/// each of them holds.
fn settle(runtime: &Runtime, mut live: i64, done: impl Fn() -> bool) -> i64 {
    let until = Instant::now() + PATIENCE;
    loop {
        let nap = async { tokio::time::sleep(Duration::from_millis(50)).await };
        live += measure(|| runtime.block_on(nap)).1.live;
        let each = live / CONNECTIONS;
        if (done() && each <= BOUND) || Instant::now() > until {
            return each;
        }
    }
}

#[test]
fn an_idle_connection_holds_little_on_either_side() {
    let (tell_address, address) = mpsc::channel();
    let (tell_server, server) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let serving = thread::spawn(move || {
        let runtime = runtime();
        let bind = Server::bind("127.0.0.1:0", server_options(), Nothing);
        let (bound, usage) = measure(|| runtime.block_on(bind));
        let (server, address) = bound.unwrap();
        tell_address.send(address).unwrap();
        let all = || server.connections() == CONNECTIONS as usize;
        tell_server.send(settle(&runtime, usage.live, all)).unwrap();
        // The connections live as long as their task does.
        let _ = stopped.recv_timeout(PATIENCE);
    });
    let address = address.recv_timeout(PATIENCE).unwrap();
    let runtime = runtime();
    let (clients, usage) = measure(|| {
        runtime.block_on(async {
            let mut clients = Vec::new();
            for _ in 0..CONNECTIONS {
                clients.push(connect(address).await);
            }
            clients
        })
    });
    let client = settle(&runtime, usage.live, || true);
    let server = server.recv_timeout(2 * PATIENCE).unwrap();
    println!("an idle connection: {server} bytes on the server, {client} on the client");
    assert!((1024..=BOUND).contains(&server), "server: {server}");
    assert!((1024..=BOUND).contains(&client), "client: {client}");
    assert!(clients.iter().all(|client| client.ended().is_none()));
    drop(stop);
    serving.join().unwrap();
}
