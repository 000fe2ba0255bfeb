//! Two threads for one connection: one owns the receiving half without a lock, the sending half is
//! behind a mutex that both take.

use std::mem;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use ssh_proto::algorithm::CompressionAlgorithm;
use ssh_proto::client::{ClientEvent, Credential};
use ssh_proto::config::ClientConfig;
use ssh_proto::message::{ChannelOpenConfirmation, ChannelWindowAdjust, DisconnectReason};
use ssh_proto::server::{AuthEvent, ServerEvent};
use ssh_proto::{
    ChannelEvent, ChannelId, Client, Instant, Opened, PeerSend, RecvBuf, Role, Server, Wants,
};
use ssh_testkit::raw::{Bench, Stage};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{pattern, server_config};

const SIZE: usize = 3_000_000;

/// What the receiving thread has got.
#[derive(Debug, Default)]
struct Tally {
    received: Vec<u8>,
    channel: Option<ChannelId>,
    /// Packets of data that needed no lock.
    free: u64,
    /// How often this thread took the lock.
    locks: u64,
}

/// What the two threads of one side share.
struct Shared<S> {
    send: Mutex<S>,
    /// The channel to send on, once it is open.
    channel: Mutex<Option<ChannelId>>,
    /// All data of the peer has come.
    eof: AtomicBool,
}

impl<S> Shared<S> {
    const fn new(send: S) -> Self {
        Self {
            send: Mutex::new(send),
            channel: Mutex::new(None),
            eof: AtomicBool::new(false),
        }
    }

    fn opened(&self, channel: ChannelId) {
        *self.channel.lock().expect("no panic") = Some(channel);
    }
}

/// The receiving thread: takes the lock for what is no data, and to release credit now and then.
fn receive<S: PeerSend>(
    half: &Shared<S>,
    mut recv: ssh_proto::RecvSide,
    input: &Receiver<Vec<u8>>,
    mut on: impl FnMut(&mut S, S::Event<'_>, &mut Tally),
) -> Tally {
    let mut rx = RecvBuf::new();
    let mut tally = Tally::default();
    let mut owed = 0;
    let now = Instant::EPOCH;
    loop {
        {
            tally.locks += 1;
            let mut send = half.send.lock().expect("no panic");
            if let Some(id) = tally.channel
                && owed > 0
                && let Ok(mut channel) = send.channel(id)
            {
                channel.release(owed).expect("received");
                owed = 0;
            }
            send.begin_poll(&mut recv);
            while let Some(event) = send.pending_event(&mut recv, now) {
                on(&mut send, event, &mut tally);
                send.begin_poll(&mut recv);
            }
        }
        loop {
            let mut batch = rx.batch();
            match recv.open(&mut batch) {
                Some(Opened::Data { data, channel, .. }) => {
                    tally.channel = Some(channel);
                    tally.received.extend_from_slice(data);
                    tally.free += 1;
                    owed += data.len();
                }
                Some(Opened::Control(control)) => {
                    tally.locks += 1;
                    let mut send = half.send.lock().expect("no panic");
                    let event = send.apply(control, &mut recv, now);
                    if let Some(event) = event {
                        on(&mut send, event, &mut tally);
                        send.begin_poll(&mut recv);
                    }
                    while let Some(event) = send.pending_event(&mut recv, now) {
                        on(&mut send, event, &mut tally);
                        send.begin_poll(&mut recv);
                    }
                }
                Some(other) => panic!("{other:?}"),
                None => break,
            }
        }
        match recv.wants() {
            Wants::Closed => return tally,
            Wants::Bytes(_) => match input.recv_timeout(Duration::from_millis(1)) {
                Ok(bytes) => rx.push(&bytes),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => recv.close_input(),
            },
            _ => thread::yield_now(),
        }
    }
}

/// The sending thread: feeds the channel and moves the output, until the connection has ended.
fn send<S: PeerSend>(
    half: &Shared<S>,
    output: &Sender<Vec<u8>>,
    mut feed: impl FnMut(&mut S) -> bool,
) {
    loop {
        let mut bytes = Vec::new();
        let (busy, ended) = {
            let mut send = half.send.lock().expect("no panic");
            let busy = !send.has_ended() && feed(&mut send);
            send.take_output(&mut bytes);
            // It feeds again in any case.
            while send.poll_writable().is_some() {}
            (busy, send.has_ended())
        };
        let quiet = bytes.is_empty();
        if !quiet && output.send(bytes).is_err() && ended {
            return;
        }
        if quiet && ended {
            return;
        }
        if quiet && !busy {
            thread::sleep(Duration::from_micros(50));
        }
    }
}

/// Sends what there is to send, then the end; the client closes when the server has ended too.
fn feed<S: PeerSend>(
    send: &mut S,
    shared: &Shared<S>,
    data: &[u8],
    sent: &mut usize,
    role: Role,
) -> bool {
    let id = *shared.channel.lock().expect("no panic");
    let Some(mut channel) = id.and_then(|id| send.channel(id).ok()) else {
        return false;
    };
    if *sent > data.len() {
        if role == Role::Client && shared.eof.load(Ordering::SeqCst) {
            // Misuse once it is closed, which this test may ask for twice.
            let _ = channel.close();
        }
        return false;
    }
    let n = channel.send(&data[*sent..]).expect("open");
    *sent += n;
    if *sent == data.len() {
        channel.eof().expect("open");
        *sent += 1;
    }
    n > 0
}

/// What both sides do with an event of a channel.
fn on_channel<S: PeerSend>(
    send: &mut S,
    shared: &Shared<S>,
    event: ChannelEvent<'_>,
    tally: &mut Tally,
) {
    match event {
        ChannelEvent::OpenRequest { ticket, .. } => {
            shared.opened(send.accept_channel(ticket).expect("mine"));
        }
        ChannelEvent::Opened { channel } => shared.opened(channel),
        ChannelEvent::Data { channel, data, .. } => {
            tally.received.extend_from_slice(data);
            let mut channel = send.channel(channel).expect("open");
            channel.release(data.len()).expect("received");
        }
        ChannelEvent::Eof { .. } => shared.eof.store(true, Ordering::SeqCst),
        ChannelEvent::Closed { .. } if send.role() == Role::Client => {
            send.disconnect(DisconnectReason::BY_APPLICATION, "done");
        }
        _ => {}
    }
}

/// Who may write again is told on the half that writes, and nowhere else.
#[test]
fn where_the_halves_are_apart_the_one_that_receives_hears_of_no_room() {
    let mut bench = Bench::<Client>::at(Stage::Connected, true);
    bench.peer.open_session().expect("connected");
    bench.turn();
    bench.message(&ChannelOpenConfirmation {
        recipient_channel: 0,
        sender_channel: 0,
        initial_window_size: 10,
        maximum_packet_size: 1000,
    });
    let id = bench.seen.channels[0];
    let another = Client::new(ClientConfig::default(), Box::new(SeededRandom::new(1)));
    let client = mem::replace(&mut bench.peer, another.expect("a client"));
    let (mut recv, mut send) = client.split();
    let sent = send.channel(id).expect("open").send(&[0; 20]);
    assert_eq!(sent, Ok(10));
    bench.raw.message(&ChannelWindowAdjust {
        recipient_channel: 0,
        bytes_to_add: 10,
    });
    bench.rx.push(&bench.raw.take_output());
    send.begin_poll(&mut recv);
    assert!(send.pending_event(&mut recv, bench.now).is_none());
    let mut batch = bench.rx.batch();
    let Some(Opened::Control(control)) = recv.open(&mut batch) else {
        panic!("no message");
    };
    assert!(send.apply(control, &mut recv, bench.now).is_none());
    assert!(send.pending_event(&mut recv, bench.now).is_none());
    assert_eq!(send.poll_writable(), Some(id));
    assert_eq!(send.poll_writable(), None);
}

#[test]
fn two_threads_each_side_byte_exact_in_both_directions() {
    byte_exact(CompressionAlgorithm::None, SIZE);
}

#[test]
fn two_threads_each_side_byte_exact_in_both_directions_compressed() {
    byte_exact(CompressionAlgorithm::ZlibOpenSsh, SIZE / 2);
}

fn byte_exact(compression: CompressionAlgorithm, size: usize) {
    let (up, down) = (pattern(size, 1), pattern(size, 2));
    let (mut of_client, mut of_server) = (ClientConfig::default(), server_config());
    for t in [&mut of_client.transport, &mut of_server.transport] {
        t.algorithms.compression_client_to_server = vec![compression];
        t.algorithms.compression_server_to_client = vec![compression];
    }
    let client = Client::new(of_client, Box::new(SeededRandom::new(1)));
    let server = Server::new(of_server, Box::new(SeededRandom::new(2)));
    let (client_recv, client_send) = client.expect("client").split();
    let (server_recv, server_send) = server.expect("server").split();
    let (client, server) = (Shared::new(client_send), Shared::new(server_send));
    let (to_server, from_client) = channel();
    let (to_client, from_server) = channel();

    let (got_down, got_up) = thread::scope(|scope| {
        let client = &client;
        let server = &server;
        let got_down = scope.spawn(move || {
            receive(
                client,
                client_recv,
                &from_server,
                |send, event, tally| match event {
                    ClientEvent::HostKey { decision, .. } => send.trust(decision).expect("mine"),
                    ClientEvent::Authenticate { token, .. } => send
                        .authenticate(token, "alice", Credential::Password("secret"))
                        .expect("mine"),
                    ClientEvent::Authenticated { .. } => {
                        send.open_session().expect("connected");
                    }
                    ClientEvent::Channel(event) => on_channel(send, client, event, tally),
                    _ => {}
                },
            )
        });
        let got_up = scope.spawn(move || {
            receive(
                server,
                server_recv,
                &from_client,
                |send, event, tally| match event {
                    ServerEvent::Auth(AuthEvent::Password { decision, .. }) => {
                        send.accept(decision).expect("mine");
                    }
                    ServerEvent::Channel(event) => on_channel(send, server, event, tally),
                    _ => {}
                },
            )
        });
        let up = &up;
        let down = &down;
        scope.spawn(move || {
            let mut sent = 0;
            send(client, &to_server, |send| {
                feed(send, client, up, &mut sent, Role::Client)
            });
        });
        scope.spawn(move || {
            let mut sent = 0;
            send(server, &to_client, |send| {
                feed(send, server, down, &mut sent, Role::Server)
            });
        });
        (
            got_down.join().expect("the client's receiving thread"),
            got_up.join().expect("the server's receiving thread"),
        )
    });

    assert!(
        got_down.received == down,
        "{} bytes",
        got_down.received.len()
    );
    assert!(got_up.received == up, "{} bytes", got_up.received.len());
    for tally in [&got_down, &got_up] {
        println!(
            "{} packets without the lock, {} locks",
            tally.free, tally.locks
        );
        assert!(tally.free > 30, "data goes without the lock: {tally:?}");
    }
}
