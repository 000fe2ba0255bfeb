//! The event loop: a server and its clients, driven by turns in one thread, over loopback.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ssh_examples::client::{CommandClient, LogIn};
use ssh_examples::event_loop::{Application, EventLoop, TURN};
use ssh_examples::os;
use ssh_examples::server::{CommandServer, PASSWORD};
use ssh_keys::SigningKey;
use ssh_proto::algorithm::CompressionAlgorithm;
use ssh_proto::config::{Keepalive, Methods, TransportConfig};
use ssh_proto::message::DisconnectReason;
use ssh_proto::server::AuthDecision;
use ssh_proto::{ServerConfig, ServerEvent};
use ssh_server::{Admission, HostKeys, PasswordCheck, Required, Step, Users};

type Server = EventLoop<CommandServer>;
type Clients = EventLoop<CommandClient>;

fn server(most: usize, adjust: impl FnOnce(&mut ServerConfig)) -> (Server, SocketAddr) {
    let server = CommandServer::new(adjust).unwrap();
    server.listen("127.0.0.1:0".parse().unwrap(), most).unwrap()
}

/// Clients that run `job`; `n` of them connect at once.
fn clients(
    server: &mut Server,
    address: SocketAddr,
    n: usize,
    log_in: LogIn,
    job: &str,
) -> Clients {
    let fingerprint = server.application().fingerprint();
    let client = CommandClient::new(fingerprint, log_in, job.parse().unwrap());
    let mut clients = EventLoop::new(client, n).unwrap();
    connect(&mut clients, address, n);
    clients
}

fn connect(clients: &mut Clients, address: SocketAddr, n: usize) {
    for _ in 0..n {
        let (peer, seat) = clients.application().start().unwrap();
        clients.connect(address, peer, seat).unwrap();
    }
}

/// What these clients read is only bounded by how fast they do.
fn large_windows(clients: &mut Clients) {
    let limits = &mut clients.application().config().transport.limits;
    (limits.window, limits.window_total) = (64 << 20, 1 << 30);
}

/// Drives the server and these clients until `done`, for a minute at the longest.
fn drive<A: Application, const N: usize>(
    server: &mut EventLoop<A>,
    mut clients: [&mut Clients; N],
    mut done: impl FnMut(&mut EventLoop<A>, &mut [&mut Clients; N]) -> bool,
) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done(server, &mut clients) {
        assert!(Instant::now() < end, "nothing comes of it");
        server.round(Duration::from_millis(1)).unwrap();
        for clients in &mut clients {
            clients.round(Duration::ZERO).unwrap();
        }
    }
}

/// All commands have been answered, each of them right.
fn assert_right(clients: &mut Clients, n: usize) {
    let tally = clients.application().tally();
    assert_eq!((tally.right, tally.failed), (n, 0), "{:?}", tally.notes);
}

fn settled(clients: &mut Clients) -> usize {
    let tally = clients.application().tally();
    tally.right + tally.failed
}

fn say_goodbye(clients: &mut Clients) {
    clients.visit(|client, _| client.disconnect(DisconnectReason::BY_APPLICATION, "done"));
}

#[test]
fn many_connections_share_a_thread_and_a_buffer() {
    // Both ends are in this process, and the other tests beside it.
    let many = match os::enough_descriptors(1400) {
        Ok(()) => 500,
        Err(_) => 300,
    };
    let (mut server, address) = server(many, |_| {});
    let mut clients = clients(&mut server, address, many, LogIn::Key, "cat 20000");
    drive(&mut server, [&mut clients], |_, [clients]| {
        settled(clients) == many
    });
    assert_right(&mut clients, many);
    assert_eq!((server.len(), clients.len()), (many, many), "they stay");
    assert_eq!(server.application().admitted(), many);
    // 500 connections have read at least ten megabytes through it.
    for buffered in [server.buffered(), clients.buffered()] {
        assert!((1..=64 * 1024).contains(&buffered), "{buffered}");
    }
    say_goodbye(&mut clients);
    drive(&mut server, [&mut clients], |server, [clients]| {
        server.is_empty() && clients.is_empty()
    });
}

#[test]
fn every_command_is_answered_to_the_byte() {
    let (mut server, address) = server(50, |_| {});
    for job in [
        "echo hello, world",
        "count 3000000",
        "sink 3000000",
        "cat 3000000",
        "cat 0",
    ] {
        let log_in = LogIn::Password(PASSWORD.to_owned());
        let mut clients = clients(&mut server, address, 3, log_in, job);
        drive(&mut server, [&mut clients], |_, [clients]| {
            settled(clients) == 3
        });
        assert_right(&mut clients, 3);
    }
}

fn compress(transport: &mut TransportConfig) {
    let algorithms = &mut transport.algorithms;
    algorithms.compression_client_to_server = vec![CompressionAlgorithm::ZlibOpenSsh];
    algorithms.compression_server_to_client = vec![CompressionAlgorithm::ZlibOpenSsh];
}

#[test]
fn connections_that_compress_share_a_buffer_and_the_room_beside_it() {
    let (mut server, address) = server(50, |config| compress(&mut config.transport));
    for job in ["count 3000000", "sink 3000000", "cat 300000"] {
        let mut clients = clients(&mut server, address, 0, LogIn::Key, job);
        compress(&mut clients.application().config().transport);
        connect(&mut clients, address, 5);
        drive(&mut server, [&mut clients], |_, [clients]| {
            settled(clients) == 5
        });
        assert_right(&mut clients, 5);
        for buffered in [server.buffered(), clients.buffered()] {
            let room = 384 * 1024;
            assert!((room..=room + 64 * 1024).contains(&buffered), "{buffered}");
        }
    }
}

#[test]
fn a_client_that_stops_reading_holds_up_nobody_else_and_loses_nothing() {
    let (mut server, address) = server(50, |_| {});
    let mut slow = clients(&mut server, address, 0, LogIn::Key, "count 30000000");
    large_windows(&mut slow);
    connect(&mut slow, address, 1);
    drive(&mut server, [&mut slow], |_, [slow]| {
        slow.application().tally().logged_in == 1
    });
    // From here on nobody reads from its socket, and it is the socket that stops the server.
    let mut others = clients(&mut server, address, 20, LogIn::Key, "cat 300000");
    drive(&mut server, [&mut others], |_, [others]| {
        settled(others) == 20
    });
    assert_right(&mut others, 20);
    assert_eq!(settled(&mut slow), 0);
    drive(&mut server, [&mut slow], |_, [slow]| settled(slow) == 1);
    assert_right(&mut slow, 1);
}

#[test]
fn one_that_always_has_more_goes_no_further_than_a_turn() {
    let (mut server, address) = server(50, |_| {});
    let job = "count 18000000000000000000";
    let mut greedy = clients(&mut server, address, 0, LogIn::Key, job);
    // Neither of them has to wait for the other but at the end of a turn.
    large_windows(&mut greedy);
    connect(&mut greedy, address, 1);
    drive(&mut server, [&mut greedy], |server, _| {
        server.moved() > 10_000_000
    });
    for _ in 0..20 {
        let before = server.moved();
        server.round(Duration::ZERO).unwrap();
        let moved = server.moved() - before;
        // What was in the output when the turn was over is written, and what was read is taken.
        assert!(moved <= (TURN + 128 * 1024) as u64, "{moved}");
        let before = greedy.moved();
        greedy.round(Duration::ZERO).unwrap();
        let moved = greedy.moved() - before;
        assert!(moved <= (TURN + 128 * 1024) as u64, "{moved}");
    }
    let mut others = clients(&mut server, address, 20, LogIn::Key, "echo now");
    drive(&mut server, [&mut greedy, &mut others], |_, [_, others]| {
        settled(others) == 20
    });
    assert_right(&mut others, 20);
    assert_eq!(settled(&mut greedy), 0);
}

#[test]
fn who_says_nothing_at_all_is_given_up() {
    let (mut server, address) = server(50, |config| {
        config.transport.deadlines.identification = Duration::from_millis(50);
    });
    let mut silent = TcpStream::connect(address).unwrap();
    drive(&mut server, [], |server, []| server.len() == 1);
    drive(&mut server, [], |server, []| server.is_empty());
    // It was told, and then the connection was closed: not reset, and not left open.
    silent
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut heard = Vec::new();
    silent.read_to_end(&mut heard).unwrap();
    assert!(heard.starts_with(b"SSH-2.0-"));
}

#[test]
fn who_has_vanished_is_given_up() {
    let (mut server, address) = server(50, |config| {
        config.transport.deadlines.keepalive = Some(Keepalive {
            interval: Duration::from_millis(50),
            count: 2,
        });
    });
    let mut lost = clients(&mut server, address, 3, LogIn::Key, "echo here");
    drive(&mut server, [&mut lost], |_, [lost]| settled(lost) == 3);
    let mut alive = clients(&mut server, address, 2, LogIn::Key, "echo here");
    // Nobody drives the lost ones any more. Those who are alive answer.
    drive(&mut server, [&mut alive], |server, [alive]| {
        settled(alive) == 2 && server.len() == 2
    });
    assert_right(&mut alive, 2);
    assert_eq!(alive.len(), 2);
}

#[test]
fn a_wrong_password_lets_nobody_in() {
    let (mut server, address) = server(50, |_| {});
    let log_in = LogIn::Password("guessed".to_owned());
    let mut clients = clients(&mut server, address, 2, log_in, "echo inside");
    drive(&mut server, [&mut clients], |server, [clients]| {
        clients.is_empty() && server.is_empty()
    });
    let tally = clients.application().tally();
    assert_eq!((tally.logged_in, tally.right, tally.failed), (0, 0, 2));
    assert!(tally.notes[0].contains("password"), "{:?}", tally.notes);
    assert_eq!(server.application().admitted(), 0);
}

/// A server that cannot check passwords by itself.
struct Asking {
    config: ServerConfig,
    asked: usize,
}

#[derive(Debug)]
struct AskingSeat {
    admission: Admission<Elsewhere>,
    /// The answer to this is awaited from somewhere else.
    waiting: Option<AuthDecision>,
}

#[derive(Debug)]
struct Elsewhere;

impl Users for Elsewhere {
    fn check_password(&mut self, _: &[u8], _: &[u8]) -> PasswordCheck {
        PasswordCheck::Outside
    }
}

impl Application for Asking {
    type Peer = ssh_proto::Server;
    type Seat = AskingSeat;

    fn accepted(&mut self, _: SocketAddr) -> Option<(Self::Peer, AskingSeat)> {
        let random = Box::new(os::OsRandom);
        let server = ssh_proto::Server::new(self.config.clone(), random).ok()?;
        let admission = Admission::new(Elsewhere, Required::AnyOf(Methods::PASSWORD));
        let waiting = None;
        Some((server, AskingSeat { admission, waiting }))
    }

    fn on_event(&mut self, server: &mut Self::Peer, seat: &mut AskingSeat, event: ServerEvent<'_>) {
        if let Ok(Step::Ask(question)) = seat.admission.on(event, server) {
            seat.waiting = Some(question.decision);
            self.asked += 1;
        }
    }

    fn closed(&mut self, _: AskingSeat) {}
}

#[test]
fn a_decision_that_takes_time_holds_up_the_one_who_waits_for_it() {
    let (mut plain, plain_address) = server(10, |_| {});
    let mut config = ServerConfig::default();
    let host_key = SigningKey::ed25519(&[1; 32]);
    config.host_keys = HostKeys::new([host_key]).unwrap().for_config();
    let mut asking = EventLoop::new(Asking { config, asked: 0 }, 10).unwrap();
    let address = asking.listen("127.0.0.1:0".parse().unwrap()).unwrap();

    // The same host key, so that the same clients trust both.
    let log_in = || LogIn::Password("who knows".to_owned());
    let mut waiting = clients(&mut plain, address, 2, log_in(), "echo in");
    drive(&mut asking, [&mut waiting], |asking, _| {
        asking.application().asked == 2
    });
    let mut others = clients(&mut plain, plain_address, 2, LogIn::Key, "echo in");
    drive(&mut plain, [&mut others, &mut waiting], |_, [others, _]| {
        settled(others) == 2
    });
    for _ in 0..20 {
        asking.round(Duration::from_millis(1)).unwrap();
        waiting.round(Duration::ZERO).unwrap();
    }
    assert_eq!(waiting.application().tally().logged_in, 0);

    // The answers have come: the first is let in, the second is not.
    let mut check = PasswordCheck::Right;
    asking.visit(|server, seat| {
        let decision = seat.waiting.take().unwrap();
        let step = seat.admission.answer(decision, check, server).unwrap();
        assert_eq!(
            matches!(step, Step::Admitted(_)),
            check == PasswordCheck::Right
        );
        check = PasswordCheck::Wrong;
    });
    drive(&mut asking, [&mut waiting], |asking, [waiting]| {
        waiting.application().tally().logged_in == 1 && asking.len() == 1
    });
}

#[test]
fn who_finds_the_house_full_waits_until_somebody_leaves() {
    let (mut server, address) = server(3, |_| {});
    let mut first = clients(&mut server, address, 3, LogIn::Key, "echo in");
    drive(&mut server, [&mut first], |_, [first]| settled(first) == 3);
    let mut second = clients(&mut server, address, 2, LogIn::Key, "echo in");
    for _ in 0..50 {
        server.round(Duration::from_millis(1)).unwrap();
        first.round(Duration::ZERO).unwrap();
        second.round(Duration::ZERO).unwrap();
        assert_eq!(server.len(), 3);
    }
    assert_eq!(second.application().tally().logged_in, 0);
    say_goodbye(&mut first);
    drive(&mut server, [&mut first, &mut second], |_, [_, second]| {
        settled(second) == 2
    });
    assert_right(&mut second, 2);
}

#[test]
fn what_is_no_ssh_is_told_so_and_closed() {
    let (mut server, address) = server(50, |_| {});
    let mut stranger = TcpStream::connect(address).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stranger.write_all(&[b'x'; 100_000]).unwrap();
    drive(&mut server, [], |server, []| server.len() == 1);
    drive(&mut server, [], |server, []| server.is_empty());
    stranger
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut heard = Vec::new();
    stranger.read_to_end(&mut heard).unwrap();
    assert!(heard.starts_with(b"SSH-2.0-"));
}
