//! Our client and our server in one process, over loopback: what holds with every driver.

mod common;
mod transfer;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::driver::{
    AlgorithmList, Client, ConnectOptions, Error, ExitStatus, FixedUsers, HostKeys, Login,
    Observer, Preset, Pty, Required, Server, ServerOptions, Trust,
};
use common::{Programs, noise};
use ssh_keys::SigningKey;
use ssh_proto::algorithm::CompressionAlgorithm;
use ssh_proto::config::{Methods, TransportConfig};
use ssh_proto::error::End;
use ssh_proto::key::PrivateKey;
use ssh_proto::message::{TerminalModes, TerminalSize};
use transfer::{Direction, Patterns, carry};

const SIZE: TerminalSize = TerminalSize {
    columns: 80,
    rows: 24,
    width_pixels: 0,
    height_pixels: 0,
};

#[test]
fn a_command_gives_its_output_and_status() {
    within(20, || {
        let server = server();
        let client = connect(&server);
        let output = client.exec("greet 7").unwrap();
        assert_eq!(output.stdout, b"hello\n");
        assert_eq!(output.stderr, b"problem\n");
        assert_eq!(output.exit, ExitStatus::Exited(7));
        let output = client.exec("killed").unwrap();
        assert_eq!(output.exit.to_string(), "ended by signal TERM: enough");
        assert!(matches!(client.exec("refused"), Err(Error::RequestRefused)));
        assert_eq!(client.host_key(), Some(host_key().public_key()));
        assert!(client.negotiated().unwrap().strict_kex);
    });
}

#[test]
fn algorithms_are_chosen_by_preset_and_by_name() {
    within(20, || {
        let server_options = server_options()
            .preset(Preset::hardened())
            .algorithms(AlgorithmList::Macs, "+hmac-sha2-512")
            .unwrap()
            .user_signatures("-rsa-*")
            .unwrap();
        let server = Server::bind("127.0.0.1:0", server_options, Programs).unwrap();
        let chosen = options()
            .preset("default".parse().unwrap())
            .algorithms(AlgorithmList::Kex, "^curve25519-sha256@libssh.org")
            .unwrap()
            .algorithms("ciphers".parse().unwrap(), "aes192-ctr")
            .unwrap()
            .algorithms(AlgorithmList::MacsServerToClient, "hmac-sha2-512")
            .unwrap()
            .algorithms(AlgorithmList::MacsClientToServer, "^hmac-sha2-256-etm*")
            .unwrap();
        let client = Client::connect(server.local_addr(), chosen).unwrap();
        let agreed = client.negotiated().unwrap();
        let line = "curve25519-sha256@libssh.org, ssh-ed25519, aes192-ctr with \
                    hmac-sha2-256-etm@openssh.com to the server and aes192-ctr with \
                    hmac-sha2-512 to the client";
        assert_eq!(agreed.to_string(), line);
        assert_eq!(client.exec("terms").unwrap().stdout, line.as_bytes());
        assert!(!agreed.is_post_quantum() && agreed.deprecated().next().is_none());
        assert!(agreed.strict_kex && !agreed.prefix_truncation_possible());

        // Nothing in common: the error says what to set.
        let nothing = options().algorithms(AlgorithmList::Macs, "hmac-sha2-256");
        let nothing = nothing
            .unwrap()
            .algorithms(AlgorithmList::Ciphers, "aes*-ctr");
        let error = Client::connect(server.local_addr(), nothing.unwrap()).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("set macs to \"+hmac-sha2-256-etm@openssh.com\""),
            "{error}"
        );

        let error = options().algorithms(AlgorithmList::Kex, "+x25519");
        let Err(error) = error.map_err(Error::from) else {
            panic!("there is no such method");
        };
        assert!(
            error
                .to_string()
                .contains("`kex` \"x25519\" is no key exchange method")
        );
    });
}

#[test]
fn a_program_learns_of_terminal_environment_size_and_signals() {
    within(20, || {
        let server = server();
        let client = connect(&server);
        let channel = client.open_session().unwrap();
        let pty = Pty {
            term: "vt100",
            size: SIZE,
            modes: TerminalModes::EMPTY,
        };
        channel.pty(&pty).unwrap();
        channel.env("LC_ALL", "C").unwrap();
        assert!(matches!(
            channel.env("LD_PRELOAD", "x"),
            Err(Error::RequestRefused)
        ));
        channel.exec("setup").unwrap();
        let output = channel.output(1000).unwrap();
        let wanted = format!("{:?} {:?}", Some(b"vt100"), [(b"LC_ALL", b"C")]);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted);

        let channel = client.open_session().unwrap();
        channel.exec("signals").unwrap();
        channel.window_change(SIZE).unwrap();
        channel.signal("INT").unwrap();
        let output = channel.output(1000).unwrap();
        let wanted = format!("INT {:?}", Some(SIZE));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted);
    });
}

#[test]
fn eight_mebibytes_come_back_as_they_went() {
    within(60, || {
        let server = server();
        let client = connect(&server);
        let input = noise(1, 8 << 20);
        let output = client.exec_with_input("echo", &input).unwrap();
        assert!(output.stdout == input);
        assert!(output.exit.success());
    });
}

fn compress(transport: &mut TransportConfig) {
    let algorithms = &mut transport.algorithms;
    algorithms.compression_client_to_server = vec![CompressionAlgorithm::ZlibOpenSsh];
    algorithms.compression_server_to_client = vec![CompressionAlgorithm::ZlibOpenSsh];
}

#[test]
fn z2_compressed_data_comes_back_as_it_went_while_both_sides_change_keys() {
    within(120, || {
        let mut of_server = ssh_proto::ServerConfig::default();
        let mut of_client = ssh_proto::ClientConfig::default();
        compress(&mut of_server.transport);
        compress(&mut of_client.transport);
        // Of what is sent, which is much less than what is written.
        of_server.transport.limits.rekey_bytes = 256 * 1024;
        let server =
            Server::bind("127.0.0.1:0", server_options().config(of_server), Programs).unwrap();
        let client = Client::connect(server.local_addr(), options().config(of_client)).unwrap();
        let terms = client.negotiated().unwrap();
        for direction in [&terms.client_to_server, &terms.server_to_client] {
            assert_eq!(direction.compression, CompressionAlgorithm::ZlibOpenSsh);
        }
        thread::scope(|scope| {
            for seed in 0..6 {
                let client = client.clone();
                scope.spawn(move || {
                    // A thousand to one, and one to one.
                    let input = match seed % 2 {
                        0 => vec![b'z'; 4 << 20],
                        _ => noise(seed, 1 << 20),
                    };
                    let output = client.exec_with_input("echo", &input).unwrap();
                    assert!(output.stdout == input, "thread {seed}");
                });
            }
            client.rekey().unwrap();
        });
    });
}

#[test]
fn threads_share_a_connection_while_both_sides_change_keys() {
    within(120, || {
        let mut config = ssh_proto::ServerConfig::default();
        // Four times as much is taken for a peer that ignores it: what all windows let through
        // must stay below that.
        config.transport.limits.rekey_bytes = 4 << 20;
        let server =
            Server::bind("127.0.0.1:0", server_options().config(config), Programs).unwrap();
        let exchanges = Arc::new(AtomicU32::new(0));
        let client = Client::connect(
            server.local_addr(),
            options().observer(Count(exchanges.clone())),
        )
        .unwrap();
        thread::scope(|scope| {
            for seed in 0..8 {
                let client = client.clone();
                scope.spawn(move || {
                    let input = noise(seed, 2 << 20);
                    let output = client.exec_with_input("echo", &input).unwrap();
                    assert!(output.stdout == input, "thread {seed}");
                });
            }
            for _ in 0..5 {
                client.rekey().unwrap();
            }
        });
        let exchanges = exchanges.load(Ordering::SeqCst);
        assert!(exchanges >= 8, "{exchanges}");
    });
}

struct Count(Arc<AtomicU32>);

impl Observer for Count {
    fn keys_exchanged(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn x4_a_channel_that_nobody_reads_stops_nobody_else() {
    within(60, || {
        let server = server();
        let client = connect(&server);
        // Far more than any window.
        let unread = client.open_session().unwrap();
        unread.exec("zeros 100000000").unwrap();
        // And one that the other side does not read.
        let unheard = client.open_session().unwrap();
        unheard.exec("hang").unwrap();
        unheard.set_write_timeout(Some(Duration::from_millis(200)));
        let error = (&unheard).write_all(&vec![0; 100 << 20]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);

        let input = noise(2, 4 << 20);
        let output = client.exec_with_input("echo", &input).unwrap();
        assert!(output.stdout == input);
        drop(unread);
        assert_eq!(client.exec("greet 0").unwrap().stdout, b"hello\n");
    });
}

#[test]
fn a_local_forward_carries_data_both_ways() {
    within(60, || {
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = target.local_addr().unwrap().port();
        // An echo that closes when its client has.
        thread::spawn(move || {
            for stream in target.incoming() {
                let stream = stream.unwrap();
                thread::spawn(move || {
                    let _ = std::io::copy(&mut &stream, &mut &stream);
                    let _ = stream.shutdown(Shutdown::Write);
                });
            }
        });
        let server = server();
        let client = connect(&server);
        let forward = client
            .forward_local("127.0.0.1:0", "127.0.0.1", port)
            .unwrap();
        let address = forward.local_addr();
        thread::scope(|scope| {
            for seed in 0..4 {
                scope.spawn(move || {
                    let stream = TcpStream::connect(address).unwrap();
                    let input = noise(seed, 1 << 20);
                    thread::scope(|scope| {
                        scope.spawn(|| {
                            (&stream).write_all(&input).unwrap();
                            stream.shutdown(Shutdown::Write).unwrap();
                        });
                        let mut back = Vec::new();
                        (&stream).read_to_end(&mut back).unwrap();
                        assert!(back == input);
                    });
                });
            }
        });
        let open = TcpStream::connect(address).unwrap();
        (&open).write_all(b"x").unwrap();
        (&open).read_exact(&mut [0]).unwrap();
        drop(forward);
        assert_eq!((&open).read(&mut [0]).unwrap_or(0), 0, "it is cut");

        let refused = client.open_direct_tcpip("127.0.0.1", 1).unwrap_err();
        assert!(matches!(refused, Error::OpenRefused { .. }), "{refused}");
        let outside = client.forward_local("0.0.0.0:0", "127.0.0.1", port);
        assert!(matches!(outside, Err(Error::Io(_))));
    });
}

#[test]
fn d3_when_the_connection_dies_every_call_that_waits_returns_with_the_reason() {
    within(20, || {
        let (client, relay) = frozen_client(options());
        let channel = client.open_session().unwrap();
        channel.exec("hang").unwrap();
        thread::scope(|scope| {
            let reader = scope.spawn(|| (&channel).read(&mut [0; 10]));
            let writer = scope.spawn(|| (&channel).write_all(&vec![0; 100 << 20]));
            let waiter = scope.spawn(|| channel.wait());
            thread::sleep(Duration::from_millis(200));
            relay.stop();
            for result in [reader.join().unwrap().map(drop), writer.join().unwrap()] {
                let error = result.unwrap_err();
                let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
                assert!(inner.is_some_and(|e| e.end().is_some()), "{error:?}");
            }
            assert!(matches!(waiter.join().unwrap(), Err(Error::Ended(_))));
        });
        assert!(matches!(client.open_session(), Err(Error::Ended(_))));
        assert!(matches!(client.ended().unwrap().end, End::Eof { .. }));
    });
}

#[test]
fn when_the_server_stops_its_clients_are_told() {
    within(20, || {
        let server = server();
        let client = connect(&server);
        let channel = client.open_session().unwrap();
        channel.exec("hang").unwrap();
        server.shutdown();
        let error = channel.wait().unwrap_err();
        assert!(
            error.to_string().contains("the server is stopping"),
            "{error}"
        );
        assert!(Client::connect(server.local_addr(), options()).is_err());
        drop(server);
    });
}

#[test]
fn a_connection_ends_with_its_last_handle_and_no_drop_waits() {
    within(20, || {
        let server = server();
        let client = connect(&server);
        let channel = client.open_session().unwrap();
        channel.exec("hang").unwrap();
        drop(client);
        // The channel keeps it alive.
        assert_eq!(server.connections(), 1);
        channel.set_write_timeout(Some(Duration::from_millis(100)));
        (&channel).write_all(&vec![0; 100 << 20]).unwrap_err();
        let began = Instant::now();
        drop(channel);
        assert!(began.elapsed() < Duration::from_millis(100));
        while server.connections() > 0 {
            thread::sleep(Duration::from_millis(5));
        }
    });
}

#[test]
fn a_peer_that_takes_nothing_holds_up_neither_drop_nor_disconnect() {
    within(20, || {
        let (client, frozen) = frozen_client(options());
        let channels: Vec<_> = (0..12).map(|_| client.open_session().unwrap()).collect();
        for channel in &channels {
            channel.exec("sink").unwrap();
            channel.set_write_timeout(Some(Duration::from_millis(100)));
        }
        frozen.freeze();
        // More than the buffers of all sockets in between.
        for channel in &channels {
            (&*channel).write_all(&vec![0; 4 << 20]).unwrap_err();
        }
        assert!(matches!(
            client.open_session(),
            Err(Error::Timeout | Error::Busy)
        ));
        let began = Instant::now();
        drop(channels);
        assert!(began.elapsed() < Duration::from_millis(100));
        let began = Instant::now();
        client.disconnect();
        assert!(began.elapsed() < Duration::from_secs(4));
        drop(client);
        frozen.stop();
    });
}

#[test]
fn keepalives_find_a_silent_peer_while_nobody_is_in_a_call() {
    within(20, || {
        let (client, frozen) = frozen_client(options().keepalive(Duration::from_millis(100), 2));
        thread::sleep(Duration::from_millis(600));
        assert!(client.ended().is_none(), "a peer that answers is alive");
        frozen.freeze();
        while client.ended().is_none() {
            thread::sleep(Duration::from_millis(10));
        }
        let ended = client.ended().unwrap();
        assert!(ended.to_string().contains("sign of life"), "{ended}");
        frozen.stop();
    });
}

#[test]
fn a_login_that_fails_says_why() {
    within(30, || {
        let server = server();
        let address = server.local_addr();
        let wrong = Login::new("alice", trust()).password(String::from("wrong"));
        let error = Client::connect(address, ConnectOptions::new(wrong)).unwrap_err();
        assert!(matches!(error, Error::Login(_)), "{error}");
        assert!(error.to_string().contains("password"), "{error}");

        let unknown = Login::new("alice", Trust::ask().refuse_unknown());
        let error = Client::connect(address, ConnectOptions::new(unknown)).unwrap_err();
        assert!(matches!(error, Error::Login(_)), "{error}");
        assert!(error.to_string().contains("not known"), "{error}");

        // Nobody was there to be asked.
        let asked = Login::new("alice", Trust::ask()).password(String::from("secret"));
        let error = Client::connect(address, ConnectOptions::new(asked)).unwrap_err();
        assert!(matches!(error, Error::Login(_)), "{error}");
        assert!(error.to_string().contains("not known"), "{error}");

        let asked = Login::new("alice", Trust::ask()).ask_password(1);
        let options = ConnectOptions::new(asked)
            .on_host_key(|key, _| key == host_key().public_key())
            .on_password(|_| Some("secret".to_owned()));
        assert!(
            Client::connect(address, options)
                .unwrap()
                .exec("greet 0")
                .is_ok()
        );
    });
}

#[test]
fn a_connection_that_is_refused_or_not_answered_is_an_error_in_time() {
    within(30, || {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = nobody.local_addr().unwrap();
        let mut config = ssh_proto::ClientConfig::default();
        config.transport.deadlines.identification = Duration::from_millis(200);
        let silent = Client::connect(address, options().config(config)).unwrap_err();
        assert!(silent.to_string().contains("identification"), "{silent}");
        drop(nobody);
        match Client::connect(address, options()) {
            Err(Error::Io(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn connections_beyond_the_limit_are_closed() {
    within(20, || {
        let server =
            Server::bind("127.0.0.1:0", server_options().connections(1), Programs).unwrap();
        let first = connect(&server);
        assert!(Client::connect(server.local_addr(), options()).is_err());
        assert!(first.exec("greet 0").is_ok());
    });
}

/// How much processor that takes is shown by the bench `channels`.
#[test]
#[ignore = "1 GiB each way"]
fn long_a_gibibyte_each_way_over_eight_channels() {
    within(600, || {
        let server = Server::bind("127.0.0.1:0", server_options(), Patterns).unwrap();
        let client = connect(&server);
        for direction in [Direction::Up, Direction::Down] {
            carry(&client, direction, 8, 1 << 30);
        }
    });
}

/// A client whose bytes go through a relay that can stop relaying.
fn frozen_client(options: ConnectOptions) -> (Client, Relay) {
    let server = server();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let frozen = Arc::new(AtomicU32::new(0));
    let to = server.local_addr();
    let flag = frozen.clone();
    let thread = thread::spawn(move || {
        let near = listener.accept().unwrap().0;
        let far = TcpStream::connect(to).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| relay(&near, &far, &flag));
            relay(&far, &near, &flag);
        });
    });
    let options = options.request_timeout(Some(Duration::from_millis(300)));
    let client = Client::connect(address, options).unwrap();
    (
        client,
        Relay {
            frozen,
            thread,
            _server: server,
        },
    )
}

struct Relay {
    frozen: Arc<AtomicU32>,
    thread: thread::JoinHandle<()>,
    _server: Server,
}

impl Relay {
    fn freeze(&self) {
        self.frozen.store(1, Ordering::SeqCst);
        // Until its threads have seen it.
        thread::sleep(Duration::from_millis(100));
    }

    fn stop(self) {
        self.frozen.store(2, Ordering::SeqCst);
        self.thread.join().unwrap();
    }
}

fn relay(mut from: &TcpStream, mut to: &TcpStream, state: &AtomicU32) {
    from.set_read_timeout(Some(Duration::from_millis(10)))
        .unwrap();
    let mut piece = [0; 4096];
    loop {
        match state.load(Ordering::SeqCst) {
            0 => match from.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => to.write_all(&piece[..n]).unwrap(),
                Err(_) => {}
            },
            1 => thread::sleep(Duration::from_millis(10)),
            _ => break,
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn host_key() -> PrivateKey {
    PrivateKey::from_ed25519_seed(&[1; 32])
}

fn server_options() -> ServerOptions {
    let keys = HostKeys::new([SigningKey::ed25519(&[1; 32])]).unwrap();
    let users = |_: SocketAddr| FixedUsers::new().with_password("alice", String::from("secret"));
    ServerOptions::new(keys, users).required(Required::AnyOf(Methods::PASSWORD))
}

pub(crate) fn server() -> Server {
    Server::bind("127.0.0.1:0", server_options(), Programs).unwrap()
}

fn trust() -> Trust {
    Trust::pinned([host_key().public_key().fingerprint()])
}

fn options() -> ConnectOptions {
    ConnectOptions::new(Login::new("alice", trust()).password(String::from("secret")))
}

pub(crate) fn connect(server: &Server) -> Client {
    Client::connect(server.local_addr(), options()).unwrap()
}

/// Runs a test that must not hang.
pub(crate) fn within<T: Send + 'static>(
    seconds: u64,
    test: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        let result = test();
        let _ = done.send(());
        result
    });
    match wait.recv_timeout(Duration::from_secs(seconds)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("not done within {seconds} seconds"),
        _ => match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}
