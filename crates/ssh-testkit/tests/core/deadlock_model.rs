//! Row D7 on an abstract machine: with key exchanges step by step, windows, credit that is withheld,
//! replies that are held back, and applications that take their time. Every state is visited.
//!
//! [`flow_control_model`](super::flow_control_model) is about how full an output may be. This one is
//! about who waits for whom, and so has everything in it that waits:
//!
//! ```text
//!   data       for credit, for room, for NEWKEYS; and then to be told that it may go on
//!   credit     for the application, which has not released; for NEWKEYS
//!   a reply    for the application, which has not decided; for NEWKEYS
//!   NEWKEYS    for KEXINIT, and the method, of the other side
//!   reading    for room in the output
//! ```
//!
//! Three things are asserted of every state:
//!
//! 1. If work is left, something can happen.
//! 2. If a key exchange has begun or something is under way, something can happen that no
//!    application has a hand in: the slow ones hold up themselves and nobody else.
//! 3. Nothing comes that the gate would refuse.
//!
//! Each rule that keeps this so is then broken, and the search finds the state in which all wait.

use std::collections::{HashSet, VecDeque};

/// Messages that one direction of the connection holds between the peers.
const PIPE: usize = 1;
/// Messages waiting to be sent at which no more data is taken.
const DATA_MARK: usize = 1;
/// Room above it, at the end of which reading stops: one request of ours and one reply to the other.
const CONTROL_ROOM: usize = 2;
/// Requests that may be unanswered.
const UNANSWERED: u8 = 1;
/// What may be sent before it is released.
const WINDOW: u8 = 1;
/// Tickets that the application may hold; one more is refused without asking.
const TICKETS: u8 = 1;

/// One rule of this implementation that is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Broken {
    Nothing,
    /// Credit that was withheld in a key exchange is not granted after it.
    CreditAfterNewKeys,
    /// Credit is not withheld in a key exchange.
    CreditIsWithheld,
    /// Nobody who was blocked by a key exchange is told that it is over.
    WritableAfterNewKeys,
    /// Credit that arrives in a key exchange wakes nobody.
    CreditInKex,
    /// Reading goes on while the application has data that it has not released.
    ReadsPastUnreleased,
    /// Reading goes on while the application has a ticket.
    ReadsPastTickets,
    /// Reading goes on in a key exchange, whatever waits.
    ReadsInKex,
    /// Replies wait for NEWKEYS.
    RepliesAreHeld,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Message {
    Data,
    Adjust,
    Request,
    Reply,
    KexInit,
    /// ECDH_INIT.
    Init,
    /// ECDH_REPLY.
    Answer,
    NewKeys,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
enum Kex {
    #[default]
    Idle,
    /// Our KEXINIT is out, the other one has not come.
    Sent,
    /// Both are known; the method is awaited.
    Method,
    /// Our NEWKEYS is out.
    NewKeys,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
enum Blocked {
    #[default]
    No,
    OnCredit,
    OnRoom,
}

/// What a peer is to do.
#[derive(Clone, Copy)]
struct Work {
    data: u8,
    requests: u8,
    rekeys: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Peer {
    data: u8,
    requests: u8,
    rekeys: u8,
    /// What the other side has granted and was not used.
    credit: u8,
    blocked: Blocked,
    /// Own requests without a reply.
    unanswered: u8,
    /// Data that the application has not released.
    unreleased: u8,
    /// Released, and not granted yet.
    owed: u8,
    /// Requests of the other side that the application has not answered.
    tickets: u8,
    output: VecDeque<Message>,
    /// What waits for NEWKEYS.
    held: VecDeque<Message>,
    kex: Kex,
}

/// `pipes[i]` is what peer `i` wrote and the other has not read. Peer 0 is the client.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    peers: [Peer; 2],
    pipes: [VecDeque<Message>; 2],
}

impl Peer {
    fn new(work: Work) -> Self {
        Self {
            data: work.data,
            requests: work.requests,
            rekeys: work.rekeys,
            credit: WINDOW,
            ..Self::default()
        }
    }

    /// Between our KEXINIT and our NEWKEYS.
    fn holds(&self) -> bool {
        matches!(self.kex, Kex::Sent | Kex::Method)
    }

    /// After the other side's KEXINIT and before its NEWKEYS.
    fn expects_kex(&self) -> bool {
        matches!(self.kex, Kex::Method | Kex::NewKeys)
    }

    fn reads(&self, broken: Broken) -> bool {
        let waits = match broken {
            Broken::ReadsPastUnreleased => self.unreleased > 0,
            Broken::ReadsPastTickets => self.tickets >= TICKETS,
            _ => false,
        };
        if waits {
            return false;
        }
        if self.holds() {
            return broken != Broken::ReadsInKex || self.held.is_empty();
        }
        self.output.len() < DATA_MARK + CONTROL_ROOM
    }

    fn has_room(&self) -> bool {
        !self.holds() && self.output.len() < DATA_MARK
    }

    /// Sends what is not of the exchange.
    fn send(&mut self, message: Message, broken: Broken) {
        let held = self.holds() && (message != Message::Reply || broken != Broken::RepliesAreHeld);
        if held {
            self.held.push_back(message);
        } else {
            self.output.push_back(message);
        }
    }

    fn start_kex(&mut self) {
        self.output.push_back(Message::KexInit);
        self.kex = Kex::Sent;
    }

    /// Our NEWKEYS goes out, and all that waited for it.
    fn finish_kex(&mut self, broken: Broken) {
        self.output.push_back(Message::NewKeys);
        self.kex = Kex::NewKeys;
        self.output.append(&mut self.held);
        if broken != Broken::CreditAfterNewKeys {
            self.grant(broken);
        }
        if broken == Broken::WritableAfterNewKeys && self.blocked == Blocked::OnRoom {
            self.blocked = Blocked::OnCredit;
        }
    }

    fn grant(&mut self, broken: Broken) {
        if self.holds() && broken != Broken::CreditIsWithheld {
            return;
        }
        for _ in 0..std::mem::take(&mut self.owed) {
            self.output.push_back(Message::Adjust);
        }
    }

    /// The other side's KEXINIT is here, and ours is out.
    fn both_kexinits(&mut self, is_client: bool) {
        if is_client {
            self.output.push_back(Message::Init);
        }
        self.kex = Kex::Method;
    }
}

/// Something that can happen.
struct Step {
    next: State,
    /// An application has a hand in it.
    by_application: bool,
}

impl State {
    fn first(work: [Work; 2]) -> Self {
        Self {
            peers: work.map(Peer::new),
            pipes: Default::default(),
        }
    }

    fn steps(&self, broken: Broken) -> Vec<Step> {
        let mut steps = Vec::new();
        for me in 0..2 {
            let core = [self.tell(me), self.write(me), self.read(me, broken)];
            let applications = [
                self.send_data(me),
                self.request(me),
                self.rekey(me),
                self.release(me, broken),
                self.answer(me, broken),
            ];
            for (next, by_application) in core
                .into_iter()
                .map(|next| (next, false))
                .chain(applications.into_iter().map(|next| (next, true)))
            {
                steps.extend(next.map(|next| Step {
                    next,
                    by_application,
                }));
            }
        }
        steps
    }

    fn with(&self, me: usize, change: impl FnOnce(&mut Peer)) -> Option<Self> {
        let mut next = self.clone();
        change(&mut next.peers[me]);
        Some(next)
    }

    /// The application offers data. What is not taken is offered again only when it is told.
    fn send_data(&self, me: usize) -> Option<Self> {
        let peer = &self.peers[me];
        if peer.data == 0 || peer.blocked != Blocked::No {
            return None;
        }
        self.with(me, |peer| {
            if peer.credit == 0 {
                peer.blocked = Blocked::OnCredit;
            } else if peer.has_room() {
                peer.data -= 1;
                peer.credit -= 1;
                peer.output.push_back(Message::Data);
            } else {
                peer.blocked = Blocked::OnRoom;
            }
        })
    }

    /// Whoever waited for room is told that there is some.
    fn tell(&self, me: usize) -> Option<Self> {
        let peer = &self.peers[me];
        if peer.blocked != Blocked::OnRoom || !peer.has_room() {
            return None;
        }
        self.with(me, |peer| peer.blocked = Blocked::No)
    }

    fn request(&self, me: usize) -> Option<Self> {
        let peer = &self.peers[me];
        let full = peer.holds() && !peer.held.is_empty() || peer.output.len() > DATA_MARK;
        if peer.requests == 0 || peer.unanswered >= UNANSWERED || full {
            return None;
        }
        self.with(me, |peer| {
            peer.requests -= 1;
            peer.unanswered += 1;
            peer.send(Message::Request, Broken::Nothing);
        })
    }

    fn rekey(&self, me: usize) -> Option<Self> {
        let peer = &self.peers[me];
        if peer.rekeys == 0 || peer.kex != Kex::Idle {
            return None;
        }
        self.with(me, |peer| {
            peer.rekeys -= 1;
            peer.start_kex();
        })
    }

    fn release(&self, me: usize, broken: Broken) -> Option<Self> {
        if self.peers[me].unreleased == 0 {
            return None;
        }
        self.with(me, |peer| {
            peer.unreleased -= 1;
            peer.owed += 1;
            peer.grant(broken);
        })
    }

    fn answer(&self, me: usize, broken: Broken) -> Option<Self> {
        if self.peers[me].tickets == 0 {
            return None;
        }
        self.with(me, |peer| {
            peer.tickets -= 1;
            peer.send(Message::Reply, broken);
        })
    }

    /// One message leaves for the pipe.
    fn write(&self, me: usize) -> Option<Self> {
        if self.pipes[me].len() >= PIPE || self.peers[me].output.is_empty() {
            return None;
        }
        let mut next = self.clone();
        next.pipes[me].extend(next.peers[me].output.pop_front());
        Some(next)
    }

    /// One message arrives, when the rules let the peer read.
    fn read(&self, me: usize, broken: Broken) -> Option<Self> {
        if !self.peers[me].reads(broken) {
            return None;
        }
        let mut next = self.clone();
        let message = next.pipes[1 - me].pop_front()?;
        let peer = &mut next.peers[me];
        match message {
            Message::Data => peer.unreleased += 1,
            Message::Adjust => {
                peer.credit += 1;
                let lost = broken == Broken::CreditInKex && peer.holds();
                if peer.blocked == Blocked::OnCredit && !lost {
                    peer.blocked = Blocked::OnRoom;
                }
            }
            Message::Request if peer.tickets < TICKETS => peer.tickets += 1,
            Message::Request => peer.send(Message::Reply, broken),
            Message::Reply => peer.unanswered -= 1,
            Message::KexInit => {
                assert!(matches!(peer.kex, Kex::Idle | Kex::Sent), "{self:#?}");
                if peer.kex == Kex::Idle {
                    peer.start_kex();
                }
                peer.both_kexinits(me == 0);
            }
            Message::Init => {
                assert!(me == 1 && peer.kex == Kex::Method, "{self:#?}");
                peer.output.push_back(Message::Answer);
                peer.finish_kex(broken);
            }
            Message::Answer => {
                assert!(me == 0 && peer.kex == Kex::Method, "{self:#?}");
                peer.finish_kex(broken);
            }
            Message::NewKeys => {
                assert_eq!(peer.kex, Kex::NewKeys, "{self:#?}");
                peer.kex = Kex::Idle;
            }
        }
        Some(next)
    }

    /// The next message would be refused: after KEXINIT only the exchange may come.
    fn is_refused(&self, me: usize) -> bool {
        use Message::{Answer, Init, KexInit, NewKeys};
        let of_kex = |message: &Message| matches!(message, KexInit | Init | Answer | NewKeys);
        let next = self.pipes[1 - me].front();
        self.peers[me].expects_kex() && next.is_some_and(|message| !of_kex(message))
    }

    /// Both have done what they were to do, and nothing is owed.
    fn is_finished(&self) -> bool {
        let done = |peer: &Peer| {
            peer.data == 0
                && peer.requests == 0
                && peer.unanswered == 0
                && peer.unreleased == 0
                && peer.tickets == 0
        };
        self.peers.iter().all(done) && !self.is_under_way()
    }

    /// A key exchange has begun, or something waits to be written or read.
    fn is_under_way(&self) -> bool {
        let busy =
            |peer: &Peer| peer.kex != Kex::Idle || !peer.output.is_empty() || !peer.held.is_empty();
        self.peers.iter().any(busy) || self.pipes.iter().any(|pipe| !pipe.is_empty())
    }
}

/// What a search found.
#[derive(Default)]
struct Found {
    states: usize,
    /// The most that any peer kept: output and what it held back.
    most_kept: usize,
    /// The first state in which nothing can happen although work is left.
    deadlock: Option<State>,
    /// The first in which only an application can free what is under way.
    hostage: Option<State>,
    /// The first in which a message comes that the gate refuses.
    refused: Option<State>,
}

fn search(work: [Work; 2], broken: Broken) -> Found {
    let first = State::first(work);
    let mut seen = HashSet::from([first.clone()]);
    let mut queue = VecDeque::from([first]);
    let mut found = Found::default();
    while let Some(state) = queue.pop_front() {
        found.states += 1;
        for peer in &state.peers {
            let kept = peer.output.len() + peer.held.len();
            found.most_kept = found.most_kept.max(kept);
        }
        if (0..2).any(|me| state.is_refused(me)) {
            // The connection is at its end.
            found.refused.get_or_insert(state);
            continue;
        }
        let steps = state.steps(broken);
        if steps.is_empty() && !state.is_finished() {
            found.deadlock.get_or_insert_with(|| state.clone());
        }
        if state.is_under_way() && steps.iter().all(|step| step.by_application) {
            found.hostage.get_or_insert_with(|| state.clone());
        }
        for Step { next, .. } in steps {
            if !seen.contains(&next) {
                seen.insert(next.clone());
                queue.push_back(next);
            }
        }
    }
    found
}

const fn work(data: u8, requests: u8, rekeys: u8) -> Work {
    Work {
        data,
        requests,
        rekeys,
    }
}

/// Data both ways, requests both ways, rekeys by either or both: as much of each as takes every
/// path through the machine, and as little as can be searched.
const RUNS: [[Work; 2]; 6] = [
    [work(2, 0, 1), work(2, 0, 1)],
    [work(0, 2, 1), work(0, 2, 1)],
    [work(2, 1, 1), work(0, 1, 1)],
    [work(0, 1, 2), work(2, 1, 0)],
    [work(1, 2, 0), work(2, 2, 0)],
    [work(2, 1, 1), work(1, 1, 1)],
];

#[test]
fn d7_in_every_state_with_work_left_something_can_happen_and_no_application_is_waited_for() {
    let (mut states, mut most_kept) = (0, 0);
    for run in RUNS {
        let found = search(run, Broken::Nothing);
        assert!(found.deadlock.is_none(), "{:#?}", found.deadlock);
        assert!(found.hostage.is_none(), "{:#?}", found.hostage);
        assert!(found.refused.is_none(), "{:#?}", found.refused);
        println!("{} states, {} kept", found.states, found.most_kept);
        states += found.states;
        most_kept = most_kept.max(found.most_kept);
    }
    // They pin the model: a rule that is changed by accident changes them.
    assert_eq!((states, most_kept), (348_983, 6));
}

/// The first of the runs in which a broken rule shows.
fn shows<T>(broken: Broken, what: impl Fn(Found) -> Option<T>) -> T {
    let found = RUNS.into_iter().find_map(|run| what(search(run, broken)));
    found.unwrap_or_else(|| panic!("{broken:?} does no harm: is it modelled?"))
}

#[test]
fn d7_credit_that_is_not_granted_after_newkeys_is_waited_for_for_ever() {
    let state = shows(Broken::CreditAfterNewKeys, |found| found.deadlock);
    let waits = |peer: &Peer| peer.data > 0 && peer.credit == 0;
    assert!(state.peers.iter().any(waits), "{state:#?}");
    assert!(state.peers.iter().any(|peer| peer.owed > 0), "{state:#?}");
}

#[test]
fn d7_whoever_is_blocked_in_a_key_exchange_must_be_told_of_its_end() {
    let state = shows(Broken::WritableAfterNewKeys, |found| found.deadlock);
    let asleep = |peer: &Peer| peer.data > 0 && peer.credit > 0 && peer.has_room();
    assert!(state.peers.iter().any(asleep), "{state:#?}");
}

#[test]
fn d7_credit_that_comes_in_a_key_exchange_must_wake_who_waits_for_it() {
    let state = shows(Broken::CreditInKex, |found| found.deadlock);
    let asleep = |peer: &Peer| peer.data > 0 && peer.credit > 0 && peer.has_room();
    assert!(state.peers.iter().any(asleep), "{state:#?}");
}

#[test]
fn d7_reading_must_not_stop_for_what_is_held_back() {
    let state = shows(Broken::ReadsInKex, |found| found.deadlock);
    let stuck = |peer: &Peer| peer.kex == Kex::Sent && !peer.held.is_empty();
    assert!(state.peers.iter().any(stuck), "{state:#?}");
}

#[test]
fn d7_reading_must_not_wait_for_an_application() {
    for (broken, at) in [
        (Broken::ReadsPastUnreleased, "unreleased"),
        (Broken::ReadsPastTickets, "tickets"),
    ] {
        let state = shows(broken, |found| found.hostage);
        let slow = |peer: &Peer| peer.unreleased > 0 || peer.tickets > 0;
        assert!(state.peers.iter().any(slow), "{at}: {state:#?}");
        assert!(state.is_under_way());
    }
}

#[test]
fn d7_what_is_not_of_the_exchange_must_wait_for_newkeys() {
    for broken in [Broken::RepliesAreHeld, Broken::CreditIsWithheld] {
        let state = shows(broken, |found| found.refused);
        assert!(state.peers.iter().any(Peer::expects_kex), "{state:#?}");
    }
}
