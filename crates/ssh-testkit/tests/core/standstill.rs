//! Row D7 on real connections: two of them with random work, random pipes, random settings, rekeys
//! at any time and applications that answer whenever they like.
//!
//! Time does not pass. When nothing moves any more all work must be done: whatever would have needed
//! a deadline to go on has been forgotten by somebody. An application here sends what was refused
//! only when it is told that it may, releases piecemeal, and lets everything that it is asked wait
//! for a few rounds. The driver here does what [`Wants`] says and nothing else, so that what a
//! connection forgets to ask for is not done by chance.
//!
//! In the other half of the tests somebody falls silent for good: an application that never answers,
//! or a transport on which nothing arrives. Then there must be a deadline, and it must lead on.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::time::Duration;

use ssh_proto::auth::SignRequest;
use ssh_proto::client::{AuthToken, Client, ClientEvent, Credential, HostKeyDecision, Probe};
use ssh_proto::config::{ClientConfig, HostKey, TransportConfig};
use ssh_proto::error::{End, Misuse, RequestError};
use ssh_proto::message::{
    ChannelOpenType, ChannelRequestType, DisconnectReason, GlobalRequestType,
};
use ssh_proto::mux::{GlobalTicket, OpenTicket, Reply, RequestTicket, Stream};
use ssh_proto::server::{AuthDecision, AuthEvent, KeyOffer, Server, ServerEvent};
use ssh_proto::{
    ChannelEvent, ChannelId, GlobalEvent, Instant, Peer, PeerEvent, RecvBuf, SendSide,
    TransportEvent, Wants,
};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{key, server_config};

/// What one side is to do with a channel, and has done.
#[derive(Debug, Default)]
struct Work {
    open: bool,
    /// Bytes still to be sent.
    to_send: usize,
    /// The last `send` was not taken whole: nothing is offered before `Writable`.
    blocked: bool,
    requests: usize,
    unanswered: usize,
    eof: bool,
    their_eof: bool,
    /// Received and not released.
    unreleased: usize,
    closed: bool,
    received: u64,
    sent: u64,
}

/// Something that the application was asked and has not answered.
#[derive(Debug)]
enum Asked {
    HostKey(HostKeyDecision),
    Credential(AuthToken),
    SignAsUser(SignRequest),
    SignAsHost(SignRequest),
    Login(AuthDecision),
    Offer(KeyOffer),
    Open(OpenTicket),
    Request(RequestTicket),
    Global(GlobalTicket),
}

/// The application of one side.
#[derive(Debug)]
struct Side {
    random: SeededRandom,
    channels: BTreeMap<ChannelId, Work>,
    /// What it was asked, and how many rounds it takes its time.
    asked: Vec<(u64, Asked)>,
    /// Channels still to be opened, global requests still to be made, rekeys still to be asked for.
    opens: usize,
    requests: usize,
    unanswered: usize,
    pings: usize,
    unechoed: usize,
    rekeys: usize,
    /// Never answers what it is asked.
    silent: bool,
    /// Never releases what it got.
    hoards: bool,
    /// How much a granted global request is answered with.
    says: usize,
    patience: u64,
    end: Option<End>,
    seen: Seen,
}

/// How much of what the tests are about has happened.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    bytes: u64,
    blocked: u64,
    /// Requests for which there was no room.
    busy: u64,
    exchanges: u64,
    /// Rounds in which nothing was read for want of room.
    stalled: u64,
    paused: u64,
}

impl std::ops::AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.blocked += other.blocked;
        self.busy += other.busy;
        self.exchanges += other.exchanges;
        self.stalled += other.stalled;
        self.paused += other.paused;
    }
}

impl Side {
    fn new(random: &mut SeededRandom) -> Self {
        let mut random = random.fork();
        let mut below = |n: usize| random.below(n as u64) as usize;
        let (opens, rekeys) = (below(4), below(4));
        let [requests, pings] = [(); 2].map(|()| {
            let most = [1, 6, 300][below(3)];
            below(most)
        });
        let patience = 1 + random.below(12);
        Self {
            random,
            channels: BTreeMap::new(),
            asked: Vec::new(),
            opens,
            requests,
            unanswered: 0,
            pings,
            unechoed: 0,
            rekeys,
            silent: false,
            hoards: false,
            says: 0,
            patience,
            end: None,
            seen: Seen::default(),
        }
    }

    fn later(&mut self, asked: Asked) {
        let rounds = self.random.below(self.patience);
        self.asked.push((rounds, asked));
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.random.below(n) == 0
    }

    fn work(&mut self) -> Work {
        let sizes = [0, 1, 100, 5_000, 40_000, 200_000];
        let most = sizes[self.random.below(6) as usize] + 1;
        Work {
            open: true,
            to_send: self.random.below(most) as usize,
            requests: self.random.below(5) as usize,
            ..Work::default()
        }
    }

    /// What both roles have in common.
    fn on(&mut self, peer: &mut SendSide, event: PeerEvent<'_>) {
        match event {
            PeerEvent::Ended(end) => self.end = Some(end),
            PeerEvent::Transport(TransportEvent::KeysExchanged) => self.seen.exchanges += 1,
            PeerEvent::Transport(TransportEvent::Pong { .. }) => self.unechoed -= 1,
            PeerEvent::Channel(event) => self.channel(peer, event),
            PeerEvent::Global(GlobalEvent::Request { ticket, .. }) => {
                peer.defer(&ticket).expect("fresh");
                self.later(Asked::Global(ticket));
            }
            PeerEvent::Global(GlobalEvent::Success { .. } | GlobalEvent::Failure { .. }) => {
                self.unanswered -= 1;
            }
            _ => {}
        }
    }

    fn channel(&mut self, peer: &mut SendSide, event: ChannelEvent<'_>) {
        match event {
            ChannelEvent::OpenRequest { ticket, .. } => {
                peer.defer(&ticket).expect("fresh");
                self.later(Asked::Open(ticket));
            }
            ChannelEvent::Opened { channel } => {
                let work = self.work();
                self.channels.insert(channel, work);
            }
            ChannelEvent::OpenFailed { channel, .. } | ChannelEvent::Closed { channel, .. } => {
                self.channels.remove(&channel);
            }
            ChannelEvent::Request { ticket, .. } => {
                peer.defer(&ticket).expect("fresh");
                self.later(Asked::Request(ticket));
            }
            ChannelEvent::Reply { channel, .. } => self.of(channel).unanswered -= 1,
            ChannelEvent::Eof { channel } => self.of(channel).their_eof = true,
            ChannelEvent::Writable { channel } => self.of(channel).blocked = false,
            ChannelEvent::Data { channel, data, .. } => {
                let work = self.of(channel);
                for byte in data {
                    assert_eq!(*byte, work.received as u8, "in order");
                    work.received += 1;
                }
                work.unreleased += data.len();
                self.seen.bytes += data.len() as u64;
            }
            _ => {}
        }
    }

    fn of(&mut self, channel: ChannelId) -> &mut Work {
        self.channels.get_mut(&channel).expect("a channel of ours")
    }

    /// One round of what no event asks for. Says whether anything was done.
    fn round(&mut self, peer: &mut SendSide) -> bool {
        if peer.has_ended() || !peer.is_authenticated() {
            return false;
        }
        let mut busy = false;
        if self.rekeys > 0 && self.one_in(6) {
            self.rekeys -= 1;
            peer.rekey().expect("authenticated");
            busy = true;
        }
        if self.opens > 0 {
            let x11 = ChannelOpenType::X11 {
                originator_address: b"::1",
                originator_port: 1,
            };
            if let Some(id) = self.made(peer.open_channel(x11)) {
                self.opens -= 1;
                self.channels.insert(id, Work::default());
                busy = true;
            }
        }
        while self.requests > 0 {
            let request = GlobalRequestType::Unknown {
                name: "work@example.com",
                data: b"",
            };
            if self
                .made(peer.global_request(request, Reply::Wanted))
                .is_some()
            {
                self.requests -= 1;
                self.unanswered += 1;
                busy = true;
            } else {
                break;
            }
        }
        while self.pings > 0 {
            if self.made(peer.ping(&[0; 1024])).is_none() {
                break;
            }
            self.pings -= 1;
            self.unechoed += 1;
            busy = true;
        }
        let ids: Vec<_> = self.channels.keys().copied().collect();
        for id in ids {
            busy |= self.go_on(peer, id);
        }
        // What is left to chance is not left undone.
        busy | (self.rekeys > 0)
    }

    fn go_on(&mut self, peer: &mut SendSide, id: ChannelId) -> bool {
        let chance = self.random.below(4);
        let piece = 1 + self.random.below(50_000) as usize;
        let (hoards, abrupt) = (self.hoards, self.one_in(400));
        let work = self.channels.get_mut(&id).expect("of ours");
        if !work.open || work.closed {
            return false;
        }
        let mut channel = peer.channel(id).expect("open");
        if abrupt {
            channel.close().expect("not yet");
            work.closed = true;
            return true;
        }
        let mut busy = false;
        if work.unreleased > 0 && !hoards {
            if chance == 0 {
                let n = work.unreleased.min(piece);
                channel.release(n).expect("it was received");
                work.unreleased -= n;
            }
            busy = true;
        }
        if work.requests > 0 {
            let request = ChannelRequestType::Unknown {
                name: "work@example.com",
                data: b"",
            };
            let made = channel.request(request, Reply::Wanted);
            if made == Err(RequestError::Busy) {
                self.seen.busy += 1;
            } else {
                made.expect("an open channel");
                work.requests -= 1;
                work.unanswered += 1;
                busy = true;
            }
        }
        if work.to_send > 0 && !work.blocked {
            let n = work.to_send.min(piece);
            let data: Vec<u8> = (work.sent..).map(|at| at as u8).take(n).collect();
            let taken = channel.send_on(Stream::Data, &data).expect("open");
            work.to_send -= taken;
            work.sent += taken as u64;
            work.blocked = taken < n;
            self.seen.blocked += u64::from(work.blocked);
            busy = true;
        }
        if work.to_send == 0 && work.requests == 0 && work.unanswered == 0 {
            if !work.eof {
                channel.eof().expect("once");
                work.eof = true;
                busy = true;
            } else if work.their_eof && work.unreleased == 0 {
                channel.close().expect("once");
                work.closed = true;
                busy = true;
            }
        }
        busy
    }

    /// What is due of what it was asked.
    fn due(&mut self) -> (bool, Vec<Asked>) {
        if self.silent || self.asked.is_empty() {
            return (false, Vec::new());
        }
        let mut due = Vec::new();
        for (rounds, asked) in std::mem::take(&mut self.asked) {
            match rounds.checked_sub(1) {
                Some(rest) => self.asked.push((rest, asked)),
                None => due.push(asked),
            }
        }
        (true, due)
    }

    /// A request that was made, unless there was no room for it: then it is made again later.
    fn made<T>(&mut self, result: Result<T, RequestError>) -> Option<T> {
        match result {
            Ok(made) => Some(made),
            Err(RequestError::Busy) => {
                self.seen.busy += 1;
                None
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    fn is_done(&self) -> bool {
        self.opens == 0
            && self.requests == 0
            && self.unanswered == 0
            && self.pings == 0
            && self.unechoed == 0
            && self.rekeys == 0
            && self.channels.is_empty()
            && self.asked.is_empty()
    }
}

/// Answers what both roles are asked; gives the rest back. A ticket may have gone with its channel.
fn answer(side: &mut Side, peer: &mut SendSide, asked: Asked) -> Option<Asked> {
    let yes = !side.one_in(5);
    let result = match asked {
        Asked::Open(ticket) if yes => match peer.accept_channel(ticket) {
            Ok(id) => {
                let work = side.work();
                side.channels.insert(id, work);
                Ok(())
            }
            Err(error) => Err(error),
        },
        Asked::Open(ticket) => peer.reject_channel(
            ticket,
            ssh_proto::message::ChannelOpenFailureReason::CONNECT_FAILED,
            "no",
        ),
        Asked::Request(ticket) if yes => peer.accept_request(ticket),
        Asked::Request(ticket) => peer.refuse_request(ticket),
        Asked::Global(ticket) if yes => peer.accept_global(ticket, &vec![0; side.says]),
        Asked::Global(ticket) => peer.refuse_global(ticket),
        other => return Some(other),
    };
    let gone = matches!(
        result,
        Err(Misuse::Token | Misuse::NoSuchChannel | Misuse::Ended)
    );
    assert!(result.is_ok() || gone, "{result:?}");
    None
}

/// Both applications.
#[derive(Debug)]
struct Both {
    client: Side,
    server: Side,
    /// The client leaves when all is done.
    left: bool,
}

impl Both {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>) {
        let side = &mut self.client;
        match event {
            ClientEvent::HostKey { decision, .. } => side.later(Asked::HostKey(decision)),
            ClientEvent::Authenticate { token, .. } => side.later(Asked::Credential(token)),
            ClientEvent::Sign(request) => side.later(Asked::SignAsUser(request)),
            other => side.on(client, other.into()),
        }
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>) {
        let side = &mut self.server;
        match event {
            ServerEvent::Sign(request) => side.later(Asked::SignAsHost(request)),
            ServerEvent::Auth(AuthEvent::KeyOffered { offer, .. }) => {
                side.later(Asked::Offer(offer));
            }
            ServerEvent::Auth(
                AuthEvent::None { decision, .. }
                | AuthEvent::Password { decision, .. }
                | AuthEvent::KeyProven { decision, .. },
            ) => side.later(Asked::Login(decision)),
            other => side.on(server, other.into()),
        }
    }

    /// One round of what no event asks for. Says whether anything was done or is still to be.
    fn round(&mut self, client: &mut Client, server: &mut Server) -> bool {
        let (mut busy, due) = self.client.due();
        for asked in due {
            if let Some(asked) = answer(&mut self.client, client, asked) {
                decide_as_client(&mut self.client, client, asked);
            }
        }
        busy |= self.client.round(client);
        let (waits, due) = self.server.due();
        for asked in due {
            if let Some(asked) = answer(&mut self.server, server, asked) {
                decide_as_server(server, asked);
            }
        }
        busy |= waits | self.server.round(server);
        let done = client.is_authenticated() && server.is_authenticated();
        if done && self.client.is_done() && self.server.is_done() && !self.left {
            self.left = true;
            client.disconnect(DisconnectReason::BY_APPLICATION, "done");
            return true;
        }
        busy
    }
}

fn decide_as_client(side: &mut Side, client: &mut Client, asked: Asked) {
    let user = key(7);
    let result = match asked {
        Asked::HostKey(decision) => client.trust(decision),
        Asked::SignAsUser(request) => {
            let nothing = &mut SeededRandom::new(0);
            let signature = user.sign(request.algorithm, &request.data, nothing);
            client.signed(request, &signature.expect("a signature"))
        }
        Asked::Credential(token) => {
            let credential = match side.random.below(3) {
                0 => Credential::Password("secret"),
                1 => Credential::PrivateKey(&user),
                _ => Credential::PublicKey {
                    key: user.public_key().clone(),
                    probe: if side.one_in(2) {
                        Probe::First
                    } else {
                        Probe::Skip
                    },
                },
            };
            client.authenticate(token, "alice", credential)
        }
        other => panic!("{other:?}"),
    };
    assert!(matches!(result, Ok(()) | Err(Misuse::Ended)), "{result:?}");
}

fn decide_as_server(server: &mut Server, asked: Asked) {
    let result = match asked {
        Asked::SignAsHost(request) => {
            let nothing = &mut SeededRandom::new(0);
            let signature = key(1).sign(request.algorithm, &request.data, nothing);
            server.signed(request, &signature.expect("a signature"))
        }
        Asked::Login(decision) => server.accept(decision),
        Asked::Offer(offer) => server.invite(offer),
        other => panic!("{other:?}"),
    };
    assert!(matches!(result, Ok(()) | Err(Misuse::Ended)), "{result:?}");
}

/// Settings that are small in random places.
fn settings(config: &mut TransportConfig, random: &mut SeededRandom) {
    fn pick<T: Copy>(random: &mut SeededRandom, of: &[T]) -> T {
        of[random.below(of.len() as u64) as usize]
    }
    let limits = &mut config.limits;
    limits.channels = pick(random, &[2, 8, 256]);
    limits.maximum_packet = pick(random, &[1024, 5000, 32 * 1024]);
    limits.window = limits.maximum_packet * pick(random, &[1, 2, 64]);
    limits.window_total = pick(random, &[256 * 1024, 1 << 20, 16 << 20]);
    limits.output = pick(random, &[2048, 10_000, 128 * 1024]);
    limits.requests_unanswered = pick(random, &[1, 2, 128]);
    limits.tickets = pick(random, &[1, 3, 64]);
    limits.rekey_bytes = pick(random, &[32 * 1024, 100_000, 1 << 30]);
    limits.rekey_packets = pick(random, &[64, 1 << 31]);
    config.algorithms.kex = vec![ssh_proto::algorithm::KexAlgorithm::Curve25519Sha256];
    config.guess = random.below(2) == 0;
}

/// One direction of the transport.
#[derive(Debug, Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    /// How many bytes it holds at the most, in this round.
    capacity: usize,
    passed: u64,
    /// From this byte on nothing arrives, and nothing ends.
    stalls_at: Option<u64>,
    closed: bool,
}

impl Pipe {
    /// Takes what fits and returns how much that was.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let room = self.capacity.saturating_sub(self.bytes.len());
        let taken = &bytes[..bytes.len().min(room)];
        let left = self
            .stalls_at
            .map_or(u64::MAX, |at| at.saturating_sub(self.passed));
        let arrives = taken.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.bytes.extend(&taken[..arrives]);
        self.passed += taken.len() as u64;
        taken.len()
    }

    fn read(&mut self, into: &mut [u8], most: usize) -> usize {
        let n = self.bytes.len().min(into.len()).min(most);
        for (place, byte) in into.iter_mut().zip(self.bytes.drain(..n)) {
            *place = byte;
        }
        n
    }

    fn is_at_end(&self) -> bool {
        self.closed && self.bytes.is_empty()
    }
}

/// A connection and the driver's part of it.
struct Driven<P> {
    peer: P,
    rx: RecvBuf,
    /// It was told that its input has ended.
    told: bool,
}

impl<P: Peer> Driven<P> {
    fn new(peer: P) -> Self {
        let rx = RecvBuf::new();
        let told = false;
        Self { peer, rx, told }
    }

    /// What a driver does in one turn, and nothing else: events are asked for when `wants` says so
    /// and after a read. Says whether anything was done.
    fn turn(
        &mut self,
        (out, input): (&mut Pipe, &mut Pipe),
        most: usize,
        now: Instant,
        mut on: impl FnMut(&mut P, P::Event<'_>),
    ) -> bool {
        let written = out.write(self.peer.output());
        self.peer.consume_output(written);
        let mut busy = written > 0;
        for _ in 0..100_000 {
            match self.peer.wants() {
                Wants::Batch => {}
                Wants::Bytes(need) => {
                    let n = input.read(self.rx.spare(need), most);
                    self.rx.filled(n);
                    if n == 0 && !self.ends(input) {
                        return busy;
                    }
                }
                Wants::Answer | Wants::Output if self.ends(input) => {}
                Wants::Closed => {
                    out.closed = !self.peer.has_output();
                    return busy;
                }
                _ => return busy,
            }
            busy = true;
            while let Some(event) = self.peer.poll_event(&mut self.rx.batch(), now) {
                on(&mut self.peer, event);
            }
        }
        panic!("for ever {:?}", self.peer.wants());
    }

    /// Tells it, once, that nothing more will come.
    fn ends(&mut self, input: &Pipe) -> bool {
        let news = input.is_at_end() && !self.told;
        if news {
            self.told = true;
            self.peer.close_input();
        }
        news
    }
}

struct World {
    client: Driven<Client>,
    server: Driven<Server>,
    /// What the client sends, and what the server does.
    up: Pipe,
    down: Pipe,
    now: Instant,
    app: Both,
    random: SeededRandom,
    /// What fits into the pipes when they are at their smallest.
    pipe: usize,
    /// The longest read.
    most: usize,
    /// Nothing has moved in the last round, with wide pipes or narrow ones.
    still: bool,
    seed: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = SeededRandom::new(seed);
        let mut client = ClientConfig::default();
        client.channel_types = vec!["x11".to_owned()];
        let mut server = server_config();
        settings(&mut client.transport, &mut random);
        settings(&mut server.transport, &mut random);
        if random.below(3) == 0 {
            server.host_keys = vec![HostKey::External(key(1).public_key().clone())];
        }
        server.transport.limits.held = 1 << 18;
        // So many answers that nothing more is read; of one side only, since two that answer each
        // other's requests like that would have to wait for the clock.
        let crowded = random.below(8) == 0;
        if crowded {
            client.transport.limits.requests_unanswered = 128;
            server.transport.limits.tickets = 64;
            server.transport.limits.output = 2048;
            server.transport.limits.control = 35_000;
        }
        let client = Client::new(client, Box::new(SeededRandom::new(seed))).expect("client");
        let server = Server::new(server, Box::new(SeededRandom::new(!seed))).expect("server");
        let mut app = Both {
            client: Side::new(&mut random),
            server: Side::new(&mut random),
            left: false,
        };
        app.server.says = [0, 100, 1024][random.below(3) as usize];
        if crowded {
            (app.client.requests, app.server.says) = (400, 1024);
        }
        Self {
            client: Driven::new(client),
            server: Driven::new(server),
            up: Pipe::default(),
            down: Pipe::default(),
            now: Instant::EPOCH,
            app,
            pipe: [1, 60, 1000, 40_000][random.below(4) as usize],
            most: [usize::MAX, 1 + random.below(40_000) as usize][random.below(2) as usize],
            random,
            still: false,
            seed,
        }
    }

    /// One round of everything. Says whether anything was done.
    fn round(&mut self) -> bool {
        let (app, now) = (&mut self.app, self.now);
        let mut busy = app.round(&mut self.client.peer, &mut self.server.peer);
        let most = self.most;
        busy |= self.client.turn(
            (&mut self.up, &mut self.down),
            most,
            now,
            |client, event| {
                app.client(client, event);
            },
        );
        busy |= self.server.turn(
            (&mut self.down, &mut self.up),
            most,
            now,
            |server, event| {
                app.server(server, event);
            },
        );
        busy
    }

    /// Until nothing moves although the clock stands still.
    fn settle(&mut self) {
        self.still = false;
        for _ in 0..2_000_000 {
            // Now and then a pipe takes nothing, for a round.
            let moving = !self.still;
            for pipe in [&mut self.up, &mut self.down] {
                let stuck = moving && self.random.below(4) == 0;
                let wide = self.random.below(2) == 0;
                pipe.capacity = match (stuck, wide) {
                    (true, _) => 0,
                    (_, true) => 1 << 17,
                    _ => self.pipe,
                };
            }
            self.still = !self.round();
            self.check();
            // Once more, since a pipe may have been stuck.
            if self.still && !moving {
                return;
            }
        }
        panic!("no standstill: {}", self.story());
    }

    /// D7: in no state is there output or work, and neither input that is wanted nor a deadline.
    fn check(&mut self) {
        let now = self.now;
        let sides: [(&mut dyn Watched, &mut Side); 2] = [
            (&mut self.client.peer, &mut self.app.client),
            (&mut self.server.peer, &mut self.app.server),
        ];
        for (peer, side) in sides {
            let (wants, deadline) = (peer.wants(), peer.deadline(now));
            side.seen.paused += u64::from(wants == Wants::Answer);
            side.seen.stalled += u64::from(wants == Wants::Output);
            let sound = match wants {
                Wants::Bytes(_) => true,
                // There are events, or output has moved: the next turn looks.
                Wants::Batch => !self.still,
                // Somebody was asked, or the other side takes nothing; and neither is for ever.
                Wants::Answer => !side.asked.is_empty() && deadline.is_some(),
                Wants::Output => peer.waits_to_write() && deadline.is_some(),
                Wants::Closed => deadline.is_none(),
                _ => false,
            };
            assert!(sound, "{:#x}: {wants:?} {deadline:?}", self.seed);
            let past = self.still && deadline.is_some_and(|at| at <= now);
            assert!(!past, "{:#x}: a deadline in the past", self.seed);
        }
    }

    fn is_over(&self) -> bool {
        self.app.client.end.is_some() && self.app.server.end.is_some()
    }

    fn seen(&self) -> Seen {
        let mut seen = self.app.client.seen;
        seen += self.app.server.seen;
        seen
    }

    fn story(&self) -> String {
        format!(
            "seed {:#x}: {:#?}\nclient {:?} {:?}\nserver {:?} {:?}",
            self.seed,
            self.app,
            self.client.peer.wants(),
            self.client.peer,
            self.server.peer.wants(),
            self.server.peer,
        )
    }
}

/// What is looked at when nothing moves.
trait Watched {
    fn wants(&self) -> Wants;
    fn deadline(&mut self, now: Instant) -> Option<Instant>;
    fn waits_to_write(&self) -> bool;
}

impl<P: Peer> Watched for P {
    fn wants(&self) -> Wants {
        Peer::wants(self)
    }

    fn deadline(&mut self, now: Instant) -> Option<Instant> {
        self.poll_timeout(now)
    }

    fn waits_to_write(&self) -> bool {
        self.has_output()
    }
}

/// Everything is done without a clock.
fn works_to_the_end(seed: u64) -> Seen {
    let mut world = World::new(seed);
    world.settle();
    let done = world.app.left && world.is_over();
    assert!(done, "standstill with work left: {}", world.story());
    assert_eq!(world.now, Instant::EPOCH);
    let ends = [&world.app.client.end, &world.app.server.end];
    assert!(
        matches!(ends, [Some(End::Disconnected), Some(End::ByPeer(_))]),
        "{}",
        world.story()
    );
    world.seen()
}

/// Somebody falls silent, and the deadlines end it or get the rest done.
fn comes_to_an_end(seed: u64) -> Seen {
    let mut world = World::new(seed);
    let mut random = SeededRandom::new(!seed);
    match random.below(6) {
        0 => world.app.client.silent = true,
        1 => world.app.server.silent = true,
        2 => world.up.stalls_at = Some(random.below(20_000)),
        3 => world.down.stalls_at = Some(random.below(20_000)),
        4 => world.app.client.hoards = true,
        _ => world.app.server.hoards = true,
    }
    for _ in 0..400 {
        world.settle();
        if world.is_over() {
            return world.seen();
        }
        let deadlines = [
            world.client.peer.poll_timeout(world.now),
            world.server.peer.poll_timeout(world.now),
        ];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            panic!("nobody has a deadline: {}", world.story());
        };
        world.now = next;
        world.client.peer.handle_timeout(next);
        world.server.peer.handle_timeout(next);
        // Credit that nobody gives back has no deadline, and holds up nothing but itself: keys are
        // still exchanged, every hour.
        let hoards = world.app.client.hoards || world.app.server.hoards;
        if hoards && world.now > Instant::EPOCH + Duration::from_secs(5 * 3600) {
            assert!(!world.client.peer.has_ended(), "{}", world.story());
            return world.seen();
        }
    }
    panic!("the clock runs and nothing comes of it: {}", world.story());
}

/// So many worlds, in which something of everything must have happened.
fn many(n: u64, of: impl Fn(u64) -> Seen) {
    let mut random = SeededRandom::from_env();
    let mut seen = Seen::default();
    for _ in 0..n {
        seen += of(random.next_u64());
    }
    println!("{n} worlds: {seen:?}");
    let Seen {
        bytes,
        blocked,
        busy,
        exchanges,
        stalled,
        paused,
    } = seen;
    assert!(bytes > n && blocked > n && busy > n && exchanges > n && paused > n);
    assert!(stalled > 0);
}

#[test]
fn d7_when_nothing_moves_all_work_is_done() {
    many(1_000, works_to_the_end);
}

#[test]
fn d7_where_somebody_is_silent_a_deadline_leads_on() {
    many(1_000, comes_to_an_end);
}

#[test]
#[ignore = "long"]
fn long_d7_when_nothing_moves_all_work_is_done() {
    many(50_000, works_to_the_end);
}

#[test]
#[ignore = "long"]
fn long_d7_where_somebody_is_silent_a_deadline_leads_on() {
    many(50_000, comes_to_an_end);
}
