use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use ssh_client::{Login, Trust};
use ssh_driver::{Core, Ended, Error, Mailbox, Nobody, Observer, Shared, Take, Taken};
use ssh_keys::SigningKey;
use ssh_proto::PeerEvent;
use ssh_proto::config::{Methods, ServerConfig};
use ssh_proto::error::End;
use ssh_proto::key::PrivateKey;
use ssh_proto::mux::Stream;
use ssh_server::{FixedUsers, HostKeys, Required};

use super::super::{Engine, Role, State};
use super::*;
use crate::channel::{Line, Timeouts};
use crate::connect::LoggedIn;
use crate::{Channel, Client, ConnectOptions, Handler, Server, ServerOptions, Start};

const PATIENCE: Duration = Duration::from_secs(20);

// --- by itself ---------------------------------------------------------------------------------

/// Input that delivers what a test sends it.
struct Fake {
    inbox: Arc<Inbox>,
    from: Receiver<&'static [u8]>,
    led: Arc<AtomicUsize>,
    /// Whether whoever leads may go on.
    more: bool,
}

impl Input for Fake {
    fn lead(&mut self) -> bool {
        self.led.fetch_add(1, SeqCst);
        let data = self.from.recv_timeout(TICK).unwrap_or_default();
        assert_ne!(data, b"panic", "as the test wants it");
        self.more & self.inbox.deliver(Stream::Data, data)
    }

    fn go_on(&mut self) -> Next {
        Next::Over
    }
}

struct Bench {
    lead: Arc<Lead>,
    inbox: Arc<Inbox>,
    to: Sender<&'static [u8]>,
    led: Arc<AtomicUsize>,
    /// The reader's thread says so when it has the input back.
    back: Receiver<Box<dyn Input>>,
}

impl Bench {
    /// A reader that has handed its input over, and takes it back after two ticks.
    fn handed_over(tick: Duration, more: bool) -> Self {
        let lead = Arc::new(Lead::new(tick));
        let led = Arc::new(AtomicUsize::new(0));
        let inbox = Arc::new(Inbox::new(Mailbox::new()));
        let (to, from) = mpsc::channel();
        let (tell, back) = mpsc::channel();
        let input = Fake {
            inbox: inbox.clone(),
            from,
            led: led.clone(),
            more,
        };
        let of_reader = lead.clone();
        thread::spawn(move || tell.send(of_reader.hand_over(Box::new(input))));
        Self {
            lead,
            inbox,
            to,
            led,
            back,
        }
    }

    /// As above; it is free until it is asked for.
    fn free(more: bool) -> Self {
        let bench = Self::handed_over(PATIENCE, more);
        while bench.lead.lock().free.is_none() {
            thread::yield_now();
        }
        bench
    }

    fn read(&self, deadline: Option<Instant>) -> Result<Vec<u8>, Error> {
        let mut into = [0; 16];
        let taken = read(&self.inbox, &self.lead, &mut into, deadline)?;
        let (_, n) = taken.data.unwrap();
        Ok(into[..n].to_vec())
    }

    fn comes_back(&self) {
        self.back.recv_timeout(PATIENCE).unwrap();
    }
}

fn read(
    inbox: &Arc<Inbox>,
    lead: &Lead,
    into: &mut [u8],
    deadline: Option<Instant>,
) -> Result<Taken, Error> {
    inbox.wait_readable(lead, deadline, |mailbox| {
        mailbox.read_ready(Take::Data, into)
    })
}

#[test]
fn input_that_nobody_takes_is_back_with_the_reader() {
    let bench = Bench::handed_over(TICK, true);
    bench.comes_back();
    assert_eq!(bench.led.load(SeqCst), 0);
    assert!(bench.lead.lock().free.is_none());
}

#[test]
fn a_thread_that_waits_alone_reads_for_itself() {
    let bench = Bench::free(true);
    bench.to.send(b"one").unwrap();
    assert_eq!(bench.read(None).unwrap(), b"one");
    assert_eq!(bench.led.load(SeqCst), 1);
    // What is there already is not waited for.
    assert!(bench.inbox.deliver(Stream::Data, b"two"));
    assert_eq!(bench.read(None).unwrap(), b"two");
    assert_eq!(bench.led.load(SeqCst), 1);
    assert!(bench.lead.lock().free.is_some());
}

#[test]
fn a_thread_that_finds_nothing_to_read_leaves_it_to_the_reader() {
    let bench = Bench::free(false);
    let reader = thread::spawn({
        let (inbox, lead) = (bench.inbox.clone(), bench.lead.clone());
        move || read(&inbox, &lead, &mut [0; 16], None)
    });
    bench.comes_back();
    assert_eq!(bench.led.load(SeqCst), 1);
    bench.inbox.update(Mailbox::eof);
    assert_eq!(reader.join().unwrap().unwrap().data, None);
}

#[test]
fn a_second_thread_that_waits_has_the_reader_read() {
    for comes in [true, false] {
        let bench = Bench::free(true);
        let elsewhere = Arc::new(Inbox::new(Mailbox::new()));
        let second = if comes {
            bench.lead.enter(&elsewhere)
        } else {
            bench.lead.bind()
        };
        let first = bench.lead.enter(&bench.inbox);
        assert!(first.take().is_none(), "{comes}");
        bench.comes_back();
        assert!(!bench.lead.one_waits());
        drop(second);
        // Whoever has waited all along is known again when it waits anew.
        drop(first);
        let first = bench.lead.enter(&bench.inbox);
        assert!(bench.lead.one_waits());
        drop(first);
    }
}

#[test]
fn a_second_thread_has_input_that_is_in_hand_go_back() {
    let bench = Bench::free(true);
    let first = bench.lead.enter(&bench.inbox);
    let turn = first.take().unwrap();
    let _second = bench.lead.bind();
    assert!(bench.back.recv_timeout(3 * TICK).is_err(), "it is in hand");
    drop(turn);
    bench.comes_back();
}

#[test]
fn no_read_is_begun_that_a_deadline_could_end() {
    let bench = Bench::free(true);
    let soon = Some(Instant::now() + TICK / 2);
    assert!(matches!(bench.read(soon), Err(Error::Timeout)));
    assert_eq!(bench.led.load(SeqCst), 0);
    bench.comes_back();
}

#[test]
fn input_is_not_lost_where_a_turn_panics() {
    let bench = Bench::free(true);
    bench.to.send(b"panic").unwrap();
    let (inbox, lead) = (bench.inbox.clone(), bench.lead.clone());
    let panicked = thread::spawn(move || {
        let waiting = lead.enter(&inbox);
        waiting.take().unwrap().lead();
    });
    assert!(panicked.join().is_err());
    bench.comes_back();
    assert_eq!(bench.lead.lock().waiting, 0);
}

#[test]
fn one_that_sleeps_where_input_is_handed_over_is_woken_to_take_it() {
    let lead = Arc::new(Lead::new(Duration::from_millis(500)));
    let inbox = Arc::new(Inbox::new(Mailbox::new()));
    let reader = thread::spawn({
        let (inbox, lead) = (inbox.clone(), lead.clone());
        move || read(&inbox, &lead, &mut [0; 16], None)
    });
    while !lead.one_waits() {
        thread::yield_now();
    }
    let (to, from) = mpsc::channel();
    to.send(&b"data"[..]).unwrap();
    let led = Arc::new(AtomicUsize::new(0));
    let input = lead.hand_over(Box::new(Fake {
        inbox,
        from,
        led: led.clone(),
        more: true,
    }));
    assert_eq!(reader.join().unwrap().unwrap().release, 4);
    assert_eq!(led.load(SeqCst), 1);
    drop(input);
}

#[test]
fn only_a_row_of_reads_that_came_soon_and_without_need_is_handed_over() {
    let mut pace = Pace::new();
    let mut row = |n, needless| (0..n).filter(|_| pace.count(needless)).count();
    assert_eq!(row(STREAK - 1, true), 0);
    assert_eq!(row(1, true), 1);
    assert_eq!(row(STREAK - 1, true), 0, "it begins anew");
    assert_eq!(row(1, false), 0);
    assert_eq!(row(STREAK - 1, true), 0, "one was needed");
    assert_eq!(row(1, true), 1);
    assert_eq!(row(STREAK - 1, true), 0);
    thread::sleep(2 * TICK);
    assert_eq!(row(1, true), 0, "it came late");
}

// --- in a connection ---------------------------------------------------------------------------

/// Sends back what it gets.
struct Echo;

impl Handler for Echo {
    fn exec(&self, request: Start, _command: &[u8]) {
        let mut channel = request.accept().unwrap();
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = channel.read(&mut piece) {
            channel.write_all(&piece[..n]).unwrap();
        }
    }
}

/// Where it was told that there are new keys.
struct Told(Sender<Option<String>>);

impl Observer for Told {
    fn keys_exchanged(&mut self) {
        let name = thread::current().name().map(str::to_owned);
        let _ = self.0.send(name);
    }
}

fn served(rekey_bytes: u64) -> (Server, ConnectOptions) {
    let keys = HostKeys::new([SigningKey::ed25519(&[1; 32])]).unwrap();
    let users = |_: SocketAddr| FixedUsers::new().with_password("alice", String::from("secret"));
    let mut config = ServerConfig::default();
    config.transport.limits.rekey_bytes = rekey_bytes;
    let options = ServerOptions::new(keys, users)
        .config(config)
        .required(Required::AnyOf(Methods::PASSWORD));
    let server = Server::bind("127.0.0.1:0", options, Echo).unwrap();
    let key = PrivateKey::from_ed25519_seed(&[1; 32]);
    let trust = Trust::pinned([key.public_key().fingerprint()]);
    let login = Login::new("alice", trust).password(String::from("secret"));
    (server, ConnectOptions::new(login))
}

fn connected(rekey_bytes: u64, observer: impl Observer) -> (Server, Client, Channel) {
    let (server, options) = served(rekey_bytes);
    let options = options.observer(observer);
    let client = Client::connect(server.local_addr(), options).unwrap();
    let channel = client.open_session().unwrap();
    channel.exec("").unwrap();
    channel.set_read_timeout(Some(PATIENCE));
    (server, client, channel)
}

fn ping(mut channel: &Channel, bytes: u8) {
    let mut back = [0; 200];
    channel.write_all(&[bytes; 200]).unwrap();
    channel.read_exact(&mut back).unwrap();
    assert_eq!(back, [bytes; 200]);
}

/// Pings until this thread has read for itself.
fn ping_until_it_leads(channel: &Channel) {
    let began = Instant::now();
    while channel.line().lead().lock().free.is_none() {
        assert!(began.elapsed() < PATIENCE, "it never leads");
        ping(channel, 7);
    }
}

#[cfg(unix)]
#[test]
fn code_of_users_runs_in_the_readers_thread_whoever_reads() {
    let (told, hear) = mpsc::channel();
    let (_server, _client, channel) = connected(100_000, Told(told));
    assert!(hear.try_iter().count() > 0, "at the login");
    let mut turns = 0;
    for n in 0..3000 {
        ping(&channel, n as u8);
        turns += usize::from(channel.line().lead().lock().free.is_some());
    }
    assert!(turns > 0, "it never leads");
    let names: Vec<_> = hear.try_iter().collect();
    assert!(names.len() >= 4, "{} exchanges", names.len());
    let readers = |name: &Option<String>| name.as_deref() == Some("ssh-reader");
    assert!(names.iter().all(readers), "{names:?}");
}

#[cfg(unix)]
#[test]
fn while_a_thread_leads_others_get_what_is_theirs() {
    let (_server, client, channel) = connected(1 << 30, Nobody);
    let other = client.open_session().unwrap();
    other.exec("").unwrap();
    other.set_read_timeout(Some(PATIENCE));
    for _ in 0..20 {
        ping_until_it_leads(&channel);
        thread::scope(|scope| {
            scope.spawn(|| (0..50).for_each(|n| ping(&other, n)));
            (0..50).for_each(|n| ping(&channel, n));
        });
        // Keys are exchanged by whoever reads, and waited for by one who cannot.
        ping_until_it_leads(&channel);
        client.rekey().unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_thread_that_leads_learns_what_others_do_to_its_channel_and_to_the_connection() {
    for ends in [Channel::close, |channel: &Channel| {
        channel.line().inbox.update(Mailbox::eof);
        Ok(())
    }] {
        let (_server, _client, channel) = connected(1 << 30, Nobody);
        ping_until_it_leads(&channel);
        let mut of_reader = channel.clone();
        let reader = thread::spawn(move || of_reader.read(&mut [0]));
        ends(&channel).unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), 0);
    }
    let (_server, client, channel) = connected(1 << 30, Nobody);
    ping_until_it_leads(&channel);
    let mut of_reader = channel.clone();
    let reader = thread::spawn(move || of_reader.read(&mut [0]));
    client.disconnect();
    assert!(reader.join().unwrap().is_err());
}

#[cfg(unix)]
#[test]
fn a_channel_that_is_dropped_has_the_reader_read_on() {
    let (_server, client, channel) = connected(1 << 30, Nobody);
    let lead = client.engine().lead();
    ping_until_it_leads(&channel);
    drop(channel);
    assert!(lead.lock().recalled);
}

/// A role that must not be asked anywhere but in the reader's thread.
struct Brittle;

impl Role for Brittle {
    fn event(&mut self, _core: &mut Core<Inbox>, _event: PeerEvent<'_>) {
        assert_eq!(thread::current().name(), Some("ssh-reader"), "as wanted");
    }

    fn has_business(&self) -> bool {
        false
    }

    fn unlocked(&mut self, _engine: &Arc<Engine>) {}

    fn ended(&mut self, _ended: &Arc<Ended>) {}
}

#[cfg(unix)]
#[test]
fn a_connection_is_over_where_a_thread_that_leads_has_panicked() {
    let (server, options) = served(100_000);
    let stream = TcpStream::connect(server.local_addr()).unwrap();
    let (logged_in, _) = options.log_in(stream).unwrap();
    let LoggedIn {
        client,
        rx,
        socket,
        clock,
        ..
    } = logged_in;
    let engine = Engine::start(client, rx, socket, clock, Brittle).unwrap();
    let open = |state: &mut State| {
        let id = state.send().open_session()?;
        Ok((id, state.core.table().insert(id)))
    };
    let (id, inbox) = engine.attempt(None, open).unwrap();
    let line = Line::new(engine.clone(), id, inbox, Timeouts::default(), None);
    line.wait(None, |mailbox| mailbox.open_ready()).unwrap();
    let channel = Channel::new(line);
    channel.exec("").unwrap();
    let pings = thread::spawn(move || (0..5000).for_each(|n| ping(&channel, n as u8)));
    assert!(pings.join().is_err());
    let ended = engine.wait_ended().expect("it has ended");
    assert!(matches!(ended.end, End::Error(_)), "{ended:?}");
}

#[test]
fn a_socket_that_somebody_keeps_from_waiting_ends_the_connection() {
    let (_server, client, mut channel) = connected(1 << 30, Nobody);
    client.stream().set_nonblocking(true).unwrap();
    // What is on its way may still come; then the reader is at its next read.
    let _ = channel.write_all(&[7]);
    while channel.read(&mut [0]).is_ok() {}
    let ended = client.engine().wait_ended().expect("it has ended");
    assert!(ended.io.is_some(), "{ended:?}");
}
