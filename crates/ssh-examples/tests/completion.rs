//! Connections over completions. A ring in memory completes what is submitted in an order that a
//! seed gives, in part as often as not; the one with threads does it over sockets.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use ssh_examples::client::{CommandClient, LogIn};
use ssh_examples::completion::{Driver, Traffic};
use ssh_examples::event_loop::Application as _;
use ssh_examples::ring::{Completion, Operation, Ring, ThreadRing};
use ssh_examples::server::CommandServer;
use ssh_proto::algorithm::CompressionAlgorithm;
use ssh_proto::config::TransportConfig;
use ssh_proto::message::DisconnectReason;
use ssh_testkit::rng::SeededRandom;

/// What lies between the two ends of a pipe.
#[derive(Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    shut: bool,
}

const PIPE: usize = 10_000;

/// One end of each of many pairs of pipes. Connection `n` of one end is connected with `n` of the
/// other.
struct Simulated {
    /// What I read and what I write.
    pipes: [Rc<RefCell<BTreeMap<usize, Pipe>>>; 2],
    reads: BTreeMap<usize, Vec<u8>>,
    writes: BTreeMap<usize, (Vec<u8>, usize)>,
    random: SeededRandom,
}

impl Simulated {
    fn pair(seed: u64) -> [Self; 2] {
        let a: Rc<RefCell<BTreeMap<usize, Pipe>>> = Rc::default();
        let b: Rc<RefCell<BTreeMap<usize, Pipe>>> = Rc::default();
        [(a.clone(), b.clone(), seed), (b, a, !seed)].map(|(input, output, seed)| Self {
            pipes: [input, output],
            reads: BTreeMap::new(),
            writes: BTreeMap::new(),
            random: SeededRandom::new(seed),
        })
    }

    /// 1 to `most`, and all of it as often as not.
    fn part(&mut self, most: usize) -> usize {
        if self.random.below(2) == 0 {
            most
        } else {
            1 + self.random.below(most as u64) as usize
        }
    }
}

impl Ring for Simulated {
    fn read(&mut self, connection: usize, buffer: Vec<u8>) {
        assert!(
            self.reads.insert(connection, buffer).is_none(),
            "one at a time"
        );
    }

    fn write(&mut self, connection: usize, buffer: Vec<u8>, from: usize) {
        assert!(from < buffer.len(), "nothing to write");
        let before = self.writes.insert(connection, (buffer, from));
        assert!(before.is_none(), "one at a time");
    }

    fn shut(&mut self, connection: usize) {
        self.pipes[1]
            .borrow_mut()
            .entry(connection)
            .or_default()
            .shut = true;
    }

    fn abandon(&mut self, connection: usize) {
        for pipe in &self.pipes {
            pipe.borrow_mut().entry(connection).or_default().shut = true;
        }
    }

    fn wait(&mut self, _: Duration) -> Option<Completion> {
        let [input, output] = self.pipes.clone();
        let (mut input, mut output) = (input.borrow_mut(), output.borrow_mut());
        let readable = self.reads.keys().filter(|key| {
            let pipe = input.entry(**key).or_default();
            !pipe.bytes.is_empty() || pipe.shut
        });
        let readable: Vec<usize> = readable.copied().collect();
        let writable = self.writes.keys().filter(|key| {
            let pipe = output.entry(**key).or_default();
            pipe.bytes.len() < PIPE
        });
        let writable: Vec<usize> = writable.copied().collect();
        let all = (readable.len() + writable.len()) as u64;
        if all == 0 {
            return None;
        }
        let choice = self.random.below(all) as usize;
        Some(match readable.get(choice) {
            Some(&connection) => {
                let mut buffer = self.reads.remove(&connection).unwrap();
                let pipe = input.entry(connection).or_default();
                let most = buffer.len().min(pipe.bytes.len());
                let n = if most == 0 { 0 } else { self.part(most) };
                for (place, byte) in buffer.iter_mut().zip(pipe.bytes.drain(..n)) {
                    *place = byte;
                }
                Completion {
                    connection,
                    operation: Operation::Read,
                    buffer,
                    result: Ok(n),
                }
            }
            None => {
                let connection = writable[choice - readable.len()];
                let (buffer, from) = self.writes.remove(&connection).unwrap();
                let pipe = output.entry(connection).or_default();
                let n = self.part((buffer.len() - from).min(PIPE - pipe.bytes.len()));
                pipe.bytes.extend(&buffer[from..from + n]);
                Completion {
                    connection,
                    operation: Operation::Write { from },
                    buffer,
                    result: Ok(n),
                }
            }
        })
    }
}

type Server<R> = Driver<CommandServer, R>;
type Clients<R> = Driver<CommandClient, R>;

fn ends<R: Ring>([near, far]: [R; 2], size: usize, job: &str) -> (Server<R>, Clients<R>) {
    let server = CommandServer::new(|_| {}).unwrap();
    let job = job.parse().unwrap();
    let client = CommandClient::new(server.fingerprint(), LogIn::Key, job);
    (
        Driver::new(server, near, size),
        Driver::new(client, far, size),
    )
}

fn connect<R: Ring>(server: &mut Server<R>, clients: &mut Clients<R>, key: usize) {
    let from = "127.0.0.1:1".parse().unwrap();
    let (peer, seat) = server.application().accepted(from).unwrap();
    server.begin(key, peer, seat);
    let (peer, seat) = clients.application().start().unwrap();
    clients.begin(key, peer, seat);
}

/// Runs until all commands are right and everybody has gone, for a minute at the longest.
fn run<R: Ring>(server: &mut Server<R>, clients: &mut Clients<R>, wait: Duration) {
    let n = clients.len();
    let end = Instant::now() + Duration::from_secs(60);
    let mut leaving = false;
    while !server.is_empty() || !clients.is_empty() {
        assert!(Instant::now() < end, "nothing comes of it");
        server.round(wait);
        clients.round(wait);
        let tally = clients.application().tally();
        assert_eq!(tally.failed, 0, "{:?}", tally.notes);
        if tally.right == n && !leaving {
            leaving = true;
            clients.visit(|client, _| client.disconnect(DisconnectReason::BY_APPLICATION, ""));
        }
    }
    assert!(leaving);
    assert_eq!(server.application().admitted(), n);
}

fn simulate(seed: u64, size: usize, connections: usize, job: &str) -> [Traffic; 2] {
    let ends = ends(Simulated::pair(seed), size, job);
    simulate_ends(ends, connections)
}

fn simulate_ends(
    (mut server, mut clients): (Server<Simulated>, Clients<Simulated>),
    connections: usize,
) -> [Traffic; 2] {
    for key in 0..connections {
        connect(&mut server, &mut clients, key);
    }
    run(&mut server, &mut clients, Duration::ZERO);
    [server.traffic(), clients.traffic()]
}

#[test]
fn buffers_that_are_smaller_than_a_packet() {
    for seed in 0..3 {
        for traffic in simulate(seed, 64, 2, "cat 50000") {
            // Nearly every packet straddles many buffers.
            assert!(traffic.copied > traffic.read / 2, "{traffic:?}");
            assert!(traffic.copied <= traffic.read, "{traffic:?}");
        }
    }
}

#[test]
fn buffers_of_the_size_of_a_page() {
    for seed in 0..3 {
        simulate(seed, 4096, 10, "cat 100000");
        simulate(seed, 4096, 3, "sink 300000");
    }
}

#[test]
fn buffers_that_hold_many_packets() {
    for seed in 0..3 {
        simulate(seed, 256 * 1024, 10, "cat 300000");
        simulate(seed, 256 * 1024, 3, "count 1000000");
    }
}

fn compress(transport: &mut TransportConfig) {
    let algorithms = &mut transport.algorithms;
    algorithms.compression_client_to_server = vec![CompressionAlgorithm::ZlibOpenSsh];
    algorithms.compression_server_to_client = vec![CompressionAlgorithm::ZlibOpenSsh];
}

#[test]
fn packets_that_are_compressed() {
    for (size, job) in [
        (64, "cat 20000"),
        (4096, "count 3000000"),
        (256 * 1024, "sink 3000000"),
    ] {
        let [near, far] = Simulated::pair(1);
        let server = CommandServer::new(|config| compress(&mut config.transport)).unwrap();
        let fingerprint = server.fingerprint();
        let mut client = CommandClient::new(fingerprint, LogIn::Key, job.parse().unwrap());
        compress(&mut client.config().transport);
        let ends = (
            Driver::new(server, near, size),
            Driver::new(client, far, size),
        );
        let traffic = simulate_ends(ends, 3);
        // Of a pattern that repeats itself little is sent.
        let read = traffic[0].read + traffic[1].read;
        assert!(read < 600_000, "{job}: {traffic:?}");
    }
}

#[test]
fn only_what_straddles_two_buffers_is_copied() {
    // Small packets in large buffers: at the most one of them straddles.
    let (near, far) = (
        simulate(1, 4096, 1, "echo short"),
        simulate(1, 16, 1, "echo short"),
    );
    for (few, many) in near.iter().zip(&far) {
        assert!(few.copied * 2 < few.read, "{few:?}");
        assert!(many.copied > few.copied, "{few:?} {many:?}");
    }
}

/// Its read is never completed and nobody takes the last words, so it must be abandoned.
#[test]
fn who_says_nothing_at_all_is_given_up() {
    let server = CommandServer::new(|config| {
        config.transport.deadlines.identification = Duration::from_millis(20);
    });
    let [ring, _silent] = Simulated::pair(1);
    let mut server = Driver::new(server.unwrap(), ring, 4096);
    let from = "127.0.0.1:1".parse().unwrap();
    let (peer, seat) = server.application().accepted(from).unwrap();
    server.begin(0, peer, seat);
    let end = Instant::now() + Duration::from_secs(60);
    while !server.is_empty() {
        assert!(Instant::now() < end, "it is still there");
        server.round(Duration::ZERO);
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn over_sockets() {
    let rings = [ThreadRing::default(), ThreadRing::default()];
    let (mut server, mut clients) = ends(rings, 16 * 1024, "cat 1000000");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..4 {
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        let key = server.ring().add(near).unwrap();
        assert_eq!(clients.ring().add(far).unwrap(), key);
        connect(&mut server, &mut clients, key);
    }
    run(&mut server, &mut clients, Duration::from_millis(1));
}
