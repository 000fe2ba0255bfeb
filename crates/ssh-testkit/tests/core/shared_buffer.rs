//! Any number of connections over one receive buffer.

use ssh_proto::algorithm::{CompressionAlgorithm, KexAlgorithm};
use ssh_proto::config::ClientConfig;
use ssh_proto::message::Ignore;
use ssh_proto::{Carry, Client, Instant, Peer, RecvBuf, Server, Wants};
use ssh_testkit::raw::{Bench, Stage, Subject};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{Auth, Echo, Script, Session, pattern, server_config};

/// One connection between its turns: what it carries, and what is on its way to it.
struct Seat<P> {
    peer: P,
    carry: Carry,
    inbox: Vec<u8>,
    /// Turns in which the application does nothing but think.
    thinks: u64,
    ended: bool,
}

impl<P: Peer> Seat<P> {
    fn new(peer: P) -> Self {
        Self {
            peer,
            carry: Carry::new(),
            inbox: Vec::new(),
            thinks: 0,
            ended: false,
        }
    }

    /// One turn: takes a piece of what has arrived. `on` says whether to go on with events.
    fn turn(
        &mut self,
        rx: &mut RecvBuf,
        random: &mut SeededRandom,
        mut on: impl FnMut(&mut P, P::Event<'_>),
    ) {
        assert!(rx.is_empty(), "the last one parked");
        if self.thinks > 0 {
            self.thinks -= 1;
            return;
        }
        rx.load(&mut self.carry, self.peer.need()).expect("empty");
        loop {
            let handled = match self.peer.poll_event(&mut rx.batch(), Instant::EPOCH) {
                Some(event) => {
                    on(&mut self.peer, event);
                    true
                }
                None => false,
            };
            if handled && random.below(8) == 0 {
                // The rest waits, unread or half read, for another turn.
                self.thinks = random.below(4);
                break;
            }
            if handled {
                continue;
            }
            match self.peer.wants() {
                Wants::Batch => {}
                Wants::Bytes(need) => {
                    let spare = rx.spare(need);
                    assert!(spare.len() >= need);
                    let most = self.inbox.len().min(spare.len());
                    if most == 0 {
                        break;
                    }
                    let n = 1 + random.below(most as u64) as usize;
                    spare[..n].copy_from_slice(&self.inbox[..n]);
                    self.inbox.drain(..n);
                    rx.filled(n);
                    if random.below(3) == 0 {
                        break;
                    }
                }
                Wants::Closed => {
                    self.ended = true;
                    break;
                }
                Wants::Output | Wants::Answer => break,
                other => panic!("{other:?}"),
            }
        }
        rx.park(&mut self.carry);
    }
}

/// Puts all output behind what the other side has not read yet.
fn deliver(peer: &mut impl Peer, inbox: &mut Vec<u8>) {
    let output = peer.output();
    let n = output.len();
    inbox.extend_from_slice(output);
    peer.consume_output(n);
}

fn run(connections: usize, size: usize, compression: CompressionAlgorithm) {
    let mut random = SeededRandom::new(11);
    let mut rx = RecvBuf::new();
    let mut seats: Vec<(Seat<Client>, Script, Seat<Server>, Echo)> = (0..connections)
        .map(|n| {
            let mut config = ClientConfig::default();
            config.transport.algorithms.kex = vec![KexAlgorithm::Curve25519Sha256];
            let seed = n as u64;
            let mut of_server = server_config();
            for t in [&mut config.transport, &mut of_server.transport] {
                t.algorithms.compression_client_to_server = vec![compression];
                t.algorithms.compression_server_to_client = vec![compression];
            }
            let server = Server::new(of_server, Box::new(SeededRandom::new(!seed)));
            let client = Client::new(config, Box::new(SeededRandom::new(seed))).expect("client");
            let sends = vec![pattern(size, n as u8), pattern(size / 3, !(n as u8))];
            let auth = [Auth::Both, Auth::Outside, Auth::NoneFirst][n % 3];
            let Session {
                client: script,
                server: echo,
            } = Session::new(sends).auth(auth);
            (
                Seat::new(client),
                script,
                Seat::new(server.expect("server")),
                echo,
            )
        })
        .collect();
    let mut turns = 0;
    let mut idle = 0;
    let mut most = 0;
    while seats.iter().any(|(c, _, s, _)| !c.ended || !s.ended) {
        let n = random.below(seats.len() as u64) as usize;
        let (client, script, server, echo) = &mut seats[n];
        client.turn(&mut rx, &mut random, |peer, event| script.on(peer, event));
        deliver(&mut client.peer, &mut server.inbox);
        server.turn(&mut rx, &mut random, |peer, event| echo.on(peer, event));
        deliver(&mut server.peer, &mut client.inbox);
        most = most.max(rx.capacity());
        idle += usize::from(client.carry.is_empty() && server.carry.is_empty());
        turns += 1;
        assert!(turns < 3_000_000, "no end");
    }
    // One packet and what was read behind it, and what packets inflate to.
    let room = if compression.is_none() { 0 } else { 384 * 1024 };
    assert!(most <= 64 * 1024 + room, "the buffer grew to {most}");
    assert!(most >= room, "nothing was compressed");
    assert!(idle > turns / 40, "between packets nothing is carried");
    for (_, script, _, _) in &seats {
        script.check();
    }
}

#[test]
fn five_hundred_connections_over_one_buffer() {
    run(500, 3_000, CompressionAlgorithm::None);
}

#[test]
fn twenty_busy_connections_over_one_buffer() {
    run(20, 200_000, CompressionAlgorithm::None);
}

/// The room for what inflates is shared as well, and lent to one connection at a time.
#[test]
fn connections_that_compress_over_one_buffer() {
    run(20, 30_000, CompressionAlgorithm::ZlibOpenSsh);
    run(20, 30_000, CompressionAlgorithm::Zlib);
}

/// What a buffer is loaded for: at first a byte, then what tells a packet's length, then all of it.
#[test]
fn the_packet_at_the_front_is_needed_whole() {
    fn check<P: Subject>(block: usize, stage: Stage) {
        let mut bench = Bench::<P>::at(stage, true);
        assert_eq!(bench.peer.need(), block);
        bench.raw.message(&Ignore { data: &[1; 1000] });
        let packet = bench.raw.take_output();
        let (first, rest) = packet.split_at(block);
        bench.raw.bytes(first);
        bench.turn();
        assert_eq!(bench.peer.need(), packet.len(), "{stage:?}");
        assert_eq!(bench.peer.wants(), Wants::Bytes(rest.len()));
        bench.raw.bytes(rest);
        bench.turn();
        assert_eq!(bench.peer.need(), block);
    }
    let line = Bench::<Client>::at(Stage::Line, true);
    assert_eq!(line.peer.need(), 1);
    // Eight bytes without keys, and the length alone where it is not encrypted.
    check::<Client>(8, Stage::KexInit);
    check::<Server>(8, Stage::KexInit);
    check::<Client>(4, Stage::Connected);
    check::<Server>(4, Stage::Connected);
}
