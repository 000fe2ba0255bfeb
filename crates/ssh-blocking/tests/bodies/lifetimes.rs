//! What ends with what, with every driver: relays, forwards, programs and logins that are held open
//! by a peer, or by whoever sits behind one. None may outlive what it belongs to for long, and none
//! may be had without bound.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::driver::{
    Channel, Client, Connect, ConnectOptions, Ended, Error, FixedUsers, Handler, HostKeys, Login,
    Required, Server, ServerOptions, Session, Start, StartLimits, Trust,
};
use ssh_keys::SigningKey;
use ssh_proto::config::Methods;
use ssh_proto::key::PrivateKey;

/// Longer than a relay waits for a socket that takes nothing.
const BEYOND_GRACE: Duration = Duration::from_secs(6);

// -- relays ---------------------------------------------------------------------------------------

#[test]
fn a_relay_to_a_socket_that_takes_nothing_ends_with_its_channel() {
    within(60, || {
        let (server, handler) = server();
        let client = connect(&server);
        let target = Target::new();
        let (channel, _far) = target.open(&client);
        assert!(fill(&channel) > 0);
        assert_eq!(handler.relays(), 1);
        thread::sleep(BEYOND_GRACE);
        assert_eq!(handler.relays(), 1, "as long as the channel is open");
        drop(channel);
        until(|| handler.relays() == 0);
        // The connection is none the worse for it.
        let (mut channel, mut far) = target.open(&client);
        channel.write_all(b"x").unwrap();
        far.read_exact(&mut [0]).unwrap();
    });
}

#[test]
fn a_relay_to_a_socket_that_takes_nothing_ends_with_its_connection() {
    within(60, || {
        let (server, handler) = server();
        let client = connect(&server);
        let target = Target::new();
        let (channel, _far) = target.open(&client);
        fill(&channel);
        client.disconnect();
        until(|| handler.relays() == 0);
    });
}

#[test]
fn a_relay_between_two_that_are_silent_ends_when_the_server_stops() {
    within(60, || {
        let (server, handler) = server();
        let client = connect(&server);
        let target = Target::new();
        let (_channel, _far) = target.open(&client);
        assert_eq!(handler.relays(), 1);
        server.shutdown();
        until(|| handler.relays() == 0);
    });
}

#[test]
fn a_relay_to_a_silent_socket_ends_with_its_channel_and_without_grace() {
    within(30, || {
        let (server, handler) = server();
        let client = connect(&server);
        let target = Target::new();
        // More often than there is time to wait for anybody.
        for _ in 0..10 {
            let (channel, _far) = target.open(&client);
            drop(channel);
            until(|| handler.relays() == 0);
        }
    });
}

#[test]
fn what_is_left_of_a_closed_channel_reaches_a_socket_that_takes_it_late() {
    within(60, || {
        let (server, _) = server();
        let client = connect(&server);
        let target = Target::new();
        let (channel, mut far) = target.open(&client);
        let sent = fill(&channel);
        channel.close().unwrap();
        thread::sleep(Duration::from_secs(1));
        let mut all = Vec::new();
        far.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), sent);
    });
}

#[test]
fn an_end_of_input_gives_nobody_up() {
    within(60, || {
        let (server, handler) = server();
        let client = connect(&server);
        let target = Target::new();
        let (mut channel, mut far) = target.open(&client);
        let sent = fill(&channel);
        channel.send_eof().unwrap();
        // The channel is not over: the far side may take as long as it likes.
        thread::sleep(BEYOND_GRACE);
        let mut all = Vec::new();
        far.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), sent);
        far.write_all(b"answer").unwrap();
        let mut answer = [0; 6];
        channel.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"answer");
        assert_eq!(handler.relays(), 1);
        drop(far);
        assert_eq!(channel.read(&mut [0]).unwrap(), 0);
        until(|| handler.relays() == 0);
    });
}

#[test]
fn dropping_a_forward_cuts_connections_whose_far_side_is_silent() {
    within(60, || {
        let (server, handler) = server();
        let client = connect(&server);
        let target = Target::new();
        let forward = client
            .forward_local("127.0.0.1:0", "127.0.0.1", target.port())
            .unwrap();
        let (mut near, _far) = target.through(forward.local_addr());
        let (mut half, _half_far) = target.through(forward.local_addr());
        half.shutdown(Shutdown::Write).unwrap();
        until(|| handler.relays() == 2);
        drop(forward);
        assert_eq!(near.read(&mut [0]).unwrap_or(0), 0);
        assert_eq!(half.read(&mut [0]).unwrap_or(0), 0);
        // The channels are closed, although the connection lives on ...
        until(|| handler.relays() == 0);
        assert_eq!(server.connections(), 1);
        // ... and no thread of the forward keeps it.
        drop(client);
        until(|| server.connections() == 0);
    });
}

#[test]
fn dropping_a_forward_gives_up_connections_that_are_not_made_yet() {
    within(60, || {
        let (server, handler) = server();
        let options = options().request_timeout(None);
        let client = Client::connect(server.local_addr(), options).unwrap();
        handler.door.shut();
        let forward = client.forward_local("127.0.0.1:0", "127.0.0.1", 1).unwrap();
        let mut near = TcpStream::connect(forward.local_addr()).unwrap();
        until(|| handler.calls() == 1);
        drop(forward);
        assert_eq!(near.read(&mut [0]).unwrap_or(0), 0);
        drop(client);
        until(|| handler.ended() == 1);
        handler.door.open();
        until(|| server.connections() == 0);
    });
}

// -- programs -------------------------------------------------------------------------------------

#[test]
fn handlers_count_until_they_return_whatever_becomes_of_their_channels() {
    within(60, || {
        let (server, handler) = server_with(|options| options.handlers(3));
        let client = connect(&server);
        handler.door.shut();
        for _ in 0..3 {
            let channel = client.open_session().unwrap();
            channel.exec("wait").unwrap();
        }
        // Their channels are closed, and they run.
        let channel = client.open_session().unwrap();
        for _ in 0..5 {
            assert!(matches!(channel.exec("x"), Err(Error::RequestRefused)));
        }
        let refused = client.open_direct_tcpip("127.0.0.1", 1).unwrap_err();
        assert!(refused.to_string().contains("SHORTAGE"), "{refused}");
        assert_eq!(handler.calls(), 3);
        // Another connection has threads of its own.
        let other = connect(&server);
        other.open_session().unwrap().exec("wait").unwrap();
        handler.door.open();
        // A channel whose program was refused may have another one.
        until(|| channel.exec("exit").is_ok());
    });
}

#[test]
fn a_connection_keeps_its_place_until_its_handlers_return() {
    within(60, || {
        let (server, handler) = server_with(|options| options.connections(1));
        let client = connect(&server);
        handler.door.shut();
        client.open_session().unwrap().exec("wait").unwrap();
        client.disconnect();
        until(|| handler.ended() == 1);
        assert_eq!(server.connections(), 1);
        let again = || Client::connect(server.local_addr(), options());
        assert!(again().is_err());
        handler.door.open();
        until(|| again().is_ok());
    });
}

#[test]
fn a_second_program_on_a_channel_starts_no_thread() {
    within(60, || {
        let (server, handler) = server();
        let client = connect(&server);
        let channel = client.open_session().unwrap();
        assert!(matches!(channel.exec("refuse"), Err(Error::RequestRefused)));
        channel.exec("read").unwrap();
        assert_eq!(handler.calls(), 2, "one that was refused does not count");
        for _ in 0..5 {
            assert!(matches!(channel.exec("read"), Err(Error::RequestRefused)));
            assert!(matches!(channel.shell(), Err(Error::RequestRefused)));
        }
        channel.send_eof().unwrap();
        until(|| handler.returned() == 2);
        assert!(channel.exec("read").is_err(), "it has run");
        assert_eq!(handler.calls(), 2);
    });
}

// -- logins ---------------------------------------------------------------------------------------

#[test]
fn one_source_cannot_take_all_places_without_logging_in() {
    within(60, || {
        let (server, _) = server_with(|options| {
            let mut limits = StartLimits::new(8);
            limits.per_source = 2;
            options.connections(16).starts(limits)
        });
        let address = server.local_addr();
        // Those who are in do not count.
        let clients: Vec<_> = (0..4).map(|_| connect(&server)).collect();
        let silent = [Silent::new(address), Silent::new(address)];
        assert!(silent.iter().all(|silent| silent.served), "two are served");
        assert!(!Silent::new(address).served, "a third one is closed");
        assert!(Client::connect(address, options()).is_err());
        assert_eq!(server.connections(), 6);
        drop(silent);
        // Their places are given back.
        until(|| Client::connect(address, options()).is_ok());
        for client in clients {
            client.open_session().unwrap();
        }
    });
}

#[test]
fn by_default_half_of_all_places_are_for_those_who_are_in() {
    within(60, || {
        let (server, _) = server_with(|options| options.connections(2));
        let address = server.local_addr();
        let first = Silent::new(address);
        let second = Silent::new(address);
        assert!(first.served && second.served);
        assert_eq!(
            server.connections(),
            1,
            "the second has the place of the first"
        );
        let _one = connect(&server);
        let _two = connect(&server);
        assert_eq!(server.connections(), 2);
        assert!(!Silent::new(address).served, "those who are in stay");
    });
}

#[test]
fn clients_that_are_silent_make_room_for_those_that_log_in() {
    within(60, || {
        let (server, _) = server_with(|options| {
            let mut limits = StartLimits::new(8);
            limits.per_source = 100;
            options.connections(12).starts(limits)
        });
        let address = server.local_addr();
        let mut clients = Vec::new();
        for round in 0..12 {
            let silent: Vec<_> = (0..20).map(|_| Silent::new(address)).collect();
            assert!(silent.iter().all(|silent| silent.served), "{round}");
            assert!(server.connections() <= 12);
            clients.push(connect(&server));
        }
        assert_eq!(server.connections(), 12);
        for client in clients {
            client.open_session().unwrap();
        }
    });
}

// -- what they are made of ------------------------------------------------------------------------

/// A client that connects and says nothing.
struct Silent {
    /// Whether the server has said something.
    served: bool,
    _stream: TcpStream,
}

impl Silent {
    fn new(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        let served = matches!(stream.read(&mut [0]), Ok(1));
        Self {
            served,
            _stream: stream,
        }
    }
}

/// Somebody to connect to, who does nothing by itself.
struct Target {
    listener: TcpListener,
}

impl Target {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { listener }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// A channel to it, and its end of the connection.
    fn open(&self, client: &Client) -> (Channel, TcpStream) {
        let channel = client.open_direct_tcpip("127.0.0.1", self.port()).unwrap();
        (channel, self.listener.accept().unwrap().0)
    }

    /// A connection to it by way of a forward, and its end of it.
    fn through(&self, forward: SocketAddr) -> (TcpStream, TcpStream) {
        let near = TcpStream::connect(forward).unwrap();
        (near, self.listener.accept().unwrap().0)
    }
}

/// Writes until nobody takes any more, and says how much was taken.
fn fill(channel: &Channel) -> usize {
    channel.set_write_timeout(Some(Duration::from_millis(500)));
    let piece = vec![7; 64 * 1024];
    let mut sent = 0;
    while let Ok(n) = (&*channel).write(&piece) {
        sent += n;
    }
    sent
}

/// What the server of these tests does, and what can be seen of it.
#[derive(Clone, Default)]
struct Watched {
    calls: Arc<AtomicUsize>,
    returned: Arc<AtomicUsize>,
    relays: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    door: Arc<Door>,
}

impl Watched {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn returned(&self) -> usize {
        self.returned.load(Ordering::SeqCst)
    }

    fn relays(&self) -> usize {
        self.relays.load(Ordering::SeqCst)
    }

    fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }
}

impl Handler for Watched {
    fn exec(&self, request: Start, command: &[u8]) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if command == b"refuse" {
            request.refuse();
        } else {
            let mut channel = request.accept().unwrap();
            match command {
                // Whatever the channel does.
                b"wait" => self.door.pass(),
                b"read" => {
                    let _ = channel.read(&mut [0]);
                }
                _ => drop(channel),
            }
        }
        self.returned.fetch_add(1, Ordering::SeqCst);
    }

    fn shell(&self, _request: Start) {
        self.calls.fetch_add(1, Ordering::SeqCst);
    }

    fn ended(&self, _session: &Session, _ended: &Ended) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }

    fn direct_tcpip(&self, request: Connect) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.door.pass();
        let Ok(stream) = TcpStream::connect(("127.0.0.1", request.port())) else {
            return;
        };
        self.relays.fetch_add(1, Ordering::SeqCst);
        let _ = request.join(&stream);
        self.relays.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Where handlers wait while it is shut.
#[derive(Default)]
struct Door {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Door {
    fn shut(&self) {
        *self.shut.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let shut = self.shut.lock().unwrap();
        let patience = Duration::from_secs(60);
        drop(self.opened.wait_timeout_while(shut, patience, |shut| *shut));
    }
}

fn server() -> (Server, Watched) {
    server_with(|options| options)
}

fn server_with(change: impl FnOnce(ServerOptions) -> ServerOptions) -> (Server, Watched) {
    let keys = HostKeys::new([SigningKey::ed25519(&[1; 32])]).unwrap();
    let users = |_: SocketAddr| FixedUsers::new().with_password("alice", String::from("secret"));
    let options = ServerOptions::new(keys, users).required(Required::AnyOf(Methods::PASSWORD));
    let handler = Watched::default();
    let server = Server::bind("127.0.0.1:0", change(options), handler.clone()).unwrap();
    (server, handler)
}

fn options() -> ConnectOptions {
    let key = PrivateKey::from_ed25519_seed(&[1; 32]);
    let trust = Trust::pinned([key.public_key().fingerprint()]);
    ConnectOptions::new(Login::new("alice", trust).password(String::from("secret")))
}

fn connect(server: &Server) -> Client {
    Client::connect(server.local_addr(), options()).unwrap()
}

/// Waits until something is so, not for ever.
fn until(mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(15), "it never is");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a test that must not hang.
fn within<T: Send + 'static>(seconds: u64, test: impl FnOnce() -> T + Send + 'static) -> T {
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
