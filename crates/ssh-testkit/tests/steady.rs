//! What moving data costs the allocator: nothing, compressed or not. Client and server of the blocking
//! driver over loopback, in this process: every thread of both is counted, readers, pumps and handlers,
//! so this is the only test of its program.

use std::io::{Read, Write};
use std::net::SocketAddr;

use ssh_blocking::{
    Channel, Client, ConnectOptions, FixedUsers, Handler, HostKeys, Login, Required, Server,
    ServerOptions, Start, Trust,
};
use ssh_keys::SigningKey;
use ssh_proto::algorithm::CompressionAlgorithm;
use ssh_proto::config::{Methods, TransportConfig};
use ssh_proto::{ClientConfig, ServerConfig};
use ssh_testkit::alloc::{TrackingAllocator, of_all_threads};

#[global_allocator]
static ALLOCATOR: TrackingAllocator = TrackingAllocator;

/// So many packets of so many bytes go each way, and come back over the same channel.
const PACKETS: usize = 1000;
const SIZE: usize = 8 * 1024;
const CHANNELS: usize = 4;

/// Sends back what comes.
struct Echo;

impl Handler for Echo {
    fn exec(&self, request: Start, _command: &[u8]) {
        let mut buffer = [0; SIZE];
        let Ok(mut channel) = request.accept() else {
            return;
        };
        while let Ok(n) = channel.read(&mut buffer) {
            if n == 0 || channel.write_all(&buffer[..n]).is_err() {
                return;
            }
        }
    }
}

fn exchange(channels: &mut [Channel], packets: usize) {
    let mut back = [0; SIZE];
    for n in 0..packets {
        let data = [n as u8; SIZE];
        let at = n % channels.len();
        channels[at].write_all(&data).unwrap();
        channels[at].read_exact(&mut back).unwrap();
        assert!(back == data);
    }
}

/// On all channels at once, `deep` packets on each before any comes back, so that output is made while
/// other output is written: each half of a connection has two buffers for that.
fn exchange_at_once(channels: &mut [Channel], packets: usize, deep: usize) {
    let (data, mut back) = ([0; SIZE], [0; SIZE]);
    for _ in 0..packets / channels.len() / deep {
        for channel in &mut *channels {
            for _ in 0..deep {
                channel.write_all(&data).unwrap();
            }
        }
        for channel in &mut *channels {
            for _ in 0..deep {
                channel.read_exact(&mut back).unwrap();
            }
        }
    }
}

#[test]
fn data_each_way_costs_no_allocation() {
    for method in [
        CompressionAlgorithm::None,
        CompressionAlgorithm::ZlibOpenSsh,
    ] {
        costs_no_allocation(method);
    }
}

fn compress(transport: &mut TransportConfig, method: CompressionAlgorithm) {
    transport.algorithms.compression_client_to_server = vec![method];
    transport.algorithms.compression_server_to_client = vec![method];
}

fn costs_no_allocation(method: CompressionAlgorithm) {
    let (mut of_client, mut of_server) = (ClientConfig::default(), ServerConfig::default());
    compress(&mut of_client.transport, method);
    compress(&mut of_server.transport, method);
    let host_key = SigningKey::ed25519(&[1; 32]);
    let trust = Trust::pinned([host_key.public_key().fingerprint()]);
    let users = |_: SocketAddr| FixedUsers::new().with_password("alice", String::from("secret"));
    let options = ServerOptions::new(HostKeys::new([host_key]).unwrap(), users)
        .required(Required::AnyOf(Methods::PASSWORD))
        .config(of_server);
    let server = Server::bind("127.0.0.1:0", options, Echo).unwrap();
    let login = Login::new("alice", trust).password(String::from("secret"));
    let options = ConnectOptions::new(login).config(of_client);
    let client = Client::connect(server.local_addr(), options).unwrap();
    let terms = client.negotiated().unwrap();
    assert_eq!(terms.client_to_server.compression, method);
    let mut channels: Vec<_> = (0..CHANNELS)
        .map(|_| {
            let channel = client.open_session().unwrap();
            channel.exec("echo").unwrap();
            channel
        })
        .collect();
    // Buffers find their size, and windows theirs: more is under way than ever will be when it counts.
    exchange_at_once(&mut channels, 4 * PACKETS, 8);
    exchange(&mut channels, 4 * PACKETS);
    let before = of_all_threads();
    exchange(&mut channels, PACKETS);
    exchange_at_once(&mut channels, PACKETS, 1);
    let made = of_all_threads() - before;
    assert_eq!(
        made, 0,
        "allocations for {PACKETS} packets each way, one by one and again at once, {method}"
    );
    assert!(before > 100, "nothing is counted");
}
