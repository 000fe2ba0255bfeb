//! The application of one side: what it is to do, what it was asked, and when it gets round to it.

use std::collections::BTreeMap;

use ssh_proto::auth::SignRequest;
use ssh_proto::client::{AuthToken, HostKeyDecision};
use ssh_proto::error::{End, Misuse, RequestError};
use ssh_proto::message::{
    ChannelOpenFailureReason, ChannelOpenType, ChannelRequestType, GlobalRequestType,
};
use ssh_proto::mux::{GlobalTicket, OpenTicket, Reply, RequestTicket, Stream};
use ssh_proto::server::{AuthDecision, KeyOffer};
use ssh_proto::{ChannelEvent, ChannelId, GlobalEvent, PeerEvent, SendSide, TransportEvent};
use ssh_testkit::rng::SeededRandom;

/// What one side is to do with a channel, and has done.
#[derive(Debug, Default)]
pub(super) struct Work {
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
pub(super) enum Asked {
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
pub(super) struct Side {
    pub(super) random: SeededRandom,
    pub(super) channels: BTreeMap<ChannelId, Work>,
    /// What it was asked, and how many rounds it takes its time.
    pub(super) asked: Vec<(u64, Asked)>,
    /// Channels still to be opened, global requests still to be made, rekeys still to be asked for.
    pub(super) opens: usize,
    pub(super) requests: usize,
    pub(super) unanswered: usize,
    pub(super) pings: usize,
    pub(super) unechoed: usize,
    pub(super) rekeys: usize,
    /// Never answers what it is asked.
    pub(super) silent: bool,
    /// Never releases what it got.
    pub(super) hoards: bool,
    /// How much a granted global request is answered with.
    pub(super) says: usize,
    pub(super) patience: u64,
    pub(super) end: Option<End>,
    pub(super) seen: Seen,
}

/// How much of what the tests are about has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) bytes: u64,
    pub(super) blocked: u64,
    /// Requests for which there was no room.
    pub(super) busy: u64,
    pub(super) exchanges: u64,
    /// Rounds in which nothing was read for want of room.
    pub(super) stalled: u64,
    pub(super) paused: u64,
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
    pub(super) fn new(random: &mut SeededRandom) -> Self {
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

    pub(super) fn later(&mut self, asked: Asked) {
        let rounds = self.random.below(self.patience);
        self.asked.push((rounds, asked));
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
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
    pub(super) fn on(&mut self, peer: &mut SendSide, event: PeerEvent<'_>) {
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
    pub(super) fn round(&mut self, peer: &mut SendSide) -> bool {
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
    pub(super) fn due(&mut self) -> (bool, Vec<Asked>) {
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

    pub(super) fn is_done(&self) -> bool {
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
pub(super) fn answer(side: &mut Side, peer: &mut SendSide, asked: Asked) -> Option<Asked> {
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
        Asked::Open(ticket) => {
            peer.reject_channel(ticket, ChannelOpenFailureReason::CONNECT_FAILED, "no")
        }
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
