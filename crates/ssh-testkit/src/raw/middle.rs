//! Somebody between a client and a server who holds the keys of both: [`Middle`].
//!
//! Towards the client it plays the server and towards the server the client, each with a
//! [`Raw`], and exchanges keys with each on its own. Everything else it hands on, opened and
//! sealed again, signatures of the user made anew. What its two halves send goes through their
//! [`Meddler`]s, so it can drop, repeat and swap packets with nothing about their
//! protection being wrong.

use std::collections::VecDeque;

use ssh_proto::message::{AuthMethod, UserauthRequest, Wire, number};
use ssh_proto::time::TimeoutReason;
use ssh_proto::wire::Sink;
use ssh_proto::{Client, Instant, Peer, RecvBuf, Role, Server, Wants};

use super::{Meddler, Raw, sign};
use crate::sim::App;

/// One side, and the one who pretends to be its peer.
pub struct Leg<P> {
    /// The connection.
    pub peer: P,
    /// Who talks to it.
    pub raw: Raw,
    rx: RecvBuf,
    /// How many of the payloads that came were looked at.
    seen: usize,
    /// Keys are being exchanged and our NEWKEYS has not gone: nothing else may be sent.
    holds: bool,
    /// Both NEWKEYS are awaited.
    exchanges: bool,
    /// What is to be handed on to the peer.
    waiting: VecDeque<Vec<u8>>,
    /// The peer has been told that there will be nothing more.
    closed: bool,
}

/// A client, a server, and somebody in the middle.
pub struct Middle {
    /// The client's side.
    pub client: Leg<Client>,
    /// The server's side.
    pub server: Leg<Server>,
    /// The virtual time.
    pub now: Instant,
    user_key: [u8; 32],
}

impl Middle {
    /// Between these two, whose settings must allow the one suite of [`Raw`]. `user_key` is the
    /// seed of the key with which the client logs in.
    pub fn new(client: Client, server: Server, user_key: [u8; 32]) -> Self {
        let (client, mut server) = (
            Leg::new(client, Role::Server),
            Leg::new(server, Role::Client),
        );
        server.raw.offer.lists[0] += ",ext-info-c";
        Self {
            client,
            server,
            now: Instant::EPOCH,
            user_key,
        }
    }

    /// Runs until both have ended or nothing is left to wait for but that keys grow old. Says
    /// whether both have ended.
    ///
    /// # Panics
    ///
    /// If there is no end of it, or somebody waits for something that never comes.
    pub fn run(&mut self, app: &mut impl App) -> bool {
        self.client.begin();
        self.server.begin();
        for _ in 0..10_000 {
            while self.work(app) {}
            if self.client.peer.wants() == Wants::Closed
                && self.server.peer.wants() == Wants::Closed
            {
                return true;
            }
            let times = [
                self.client.deadline(self.now),
                self.server.deadline(self.now),
            ];
            let Some(next) = times.into_iter().flatten().min() else {
                return false;
            };
            self.now = self.now.max(next);
            self.client.peer.handle_timeout(self.now);
            self.server.peer.handle_timeout(self.now);
        }
        panic!("no end after 10,000 deadlines");
    }

    /// Does what can be done now. Says whether it was anything.
    fn work(&mut self, app: &mut impl App) -> bool {
        let now = self.now;
        let mut busy = self
            .client
            .turn(now, |client, event| app.client(client, event, now));
        busy |= self
            .server
            .turn(now, |server, event| app.server(server, event, now));
        for payload in self.client.follow() {
            let payload = self.for_server(payload);
            self.server.waiting.push_back(payload);
        }
        self.client.waiting.extend(self.server.follow());
        busy |= self.client.hand_on();
        busy |= self.server.hand_on();
        // Behind the last words of one comes the end for the other.
        if self.client.peer.wants() == Wants::Closed && !self.server.has_input() {
            busy |= self.server.close();
        }
        if self.server.peer.wants() == Wants::Closed && !self.client.has_input() {
            busy |= self.client.close();
        }
        busy
    }

    /// A signature of the user is over the session identifier, and the server's is another one.
    fn for_server(&self, mut payload: Vec<u8>) -> Vec<u8> {
        if payload.first() != Some(&number::SSH_MSG_USERAUTH_REQUEST) {
            return payload;
        }
        let request = UserauthRequest::decode(&payload).expect("a request of our client");
        if let AuthMethod::Publickey {
            signature: Some(signature),
            ..
        } = request.method
        {
            payload.truncate(payload.len() - signature.len() - 4);
            let mut data = Vec::new();
            data.put_string(&self.server.raw.session_id().expect("keys"));
            data.put(&payload);
            payload.put_string(&sign(&self.user_key, &data));
        }
        payload
    }
}

impl<P: Peer> Leg<P> {
    fn new(peer: P, pretends: Role) -> Self {
        Self {
            peer,
            raw: Raw::new(pretends, true),
            rx: RecvBuf::new(),
            seen: 0,
            holds: true,
            exchanges: true,
            waiting: VecDeque::new(),
            closed: false,
        }
    }

    /// Who changes what is sent to this peer.
    pub fn meddler(&mut self) -> &mut Meddler {
        self.raw.meddler.get_or_insert_default()
    }

    /// Speaks without waiting for the peer, once.
    fn begin(&mut self) {
        if self.meddler().came.is_empty() {
            self.raw.identify();
            self.raw.kexinit();
        }
    }

    /// Delivers what waits in both directions.
    fn turn(&mut self, now: Instant, mut on: impl FnMut(&mut P, P::Event<'_>)) -> bool {
        let input = self.raw.take_output();
        let mut busy = !input.is_empty();
        self.rx.push(&input);
        loop {
            while let Some(event) = self.peer.poll_event(&mut self.rx.batch(), now) {
                busy = true;
                on(&mut self.peer, event);
            }
            if self.peer.wants() != Wants::Batch {
                break;
            }
        }
        let mut output = Vec::new();
        self.peer.take_output(&mut output);
        busy |= !output.is_empty();
        self.raw.receive(&output);
        busy
    }

    /// Keeps up with the exchange of keys, and returns what is for the other side.
    fn follow(&mut self) -> Vec<Vec<u8>> {
        let came = self.raw.got[self.seen..].to_vec();
        self.seen = self.raw.got.len();
        let mut others = Vec::new();
        for payload in came {
            match payload[0] {
                number::SSH_MSG_KEXINIT => {
                    if !self.exchanges {
                        (self.exchanges, self.holds) = (true, true);
                        self.raw.kexinit();
                    }
                    if self.raw.role == Role::Client {
                        self.raw.method();
                    }
                }
                number::SSH_MSG_KEX_ECDH_INIT => {
                    self.raw.method();
                    self.raw.newkeys();
                    self.holds = false;
                }
                number::SSH_MSG_KEX_ECDH_REPLY => {
                    self.raw.newkeys();
                    self.holds = false;
                }
                number::SSH_MSG_NEWKEYS => self.exchanges = false,
                _ => others.push(payload),
            }
        }
        others
    }

    fn hand_on(&mut self) -> bool {
        if self.holds || self.waiting.is_empty() {
            return false;
        }
        for payload in std::mem::take(&mut self.waiting) {
            self.raw.payload(&payload);
        }
        true
    }

    fn has_input(&self) -> bool {
        !self.holds && !self.waiting.is_empty()
    }

    fn close(&mut self) -> bool {
        if self.closed || self.peer.wants() == Wants::Closed {
            return false;
        }
        self.closed = true;
        self.peer.close_input();
        true
    }

    /// When something is due that does not come again and again for ever.
    fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let at = self.peer.poll_timeout(now)?;
        (self.peer.timeout_reason() != Some(TimeoutReason::Rekey)).then_some(at)
    }
}
