//! Which rules of backpressure can deadlock: an exhaustive search.
//!
//! Two peers are joined by two pipes (what the sockets hold). Both follow the same rules, both
//! send data and requests that want replies, and either may start a rekey at any moment. The search
//! visits every state that any order of events leads to. A state with work left in which nobody
//! can do anything is a deadlock.
//!
//! A peer answers to three pressures at once, and each has an obvious rule that is wrong:
//!
//! 1. Its output is full because the other does not read. Stop reading, so that no more replies
//!    come to be owed? When both ends do that, neither empties the other's pipe.
//! 2. It has sent KEXINIT and owes replies that may not leave before NEWKEYS (RFC 4253 section
//!    7.1). Stop reading when they are many? The KEXINIT that would let them go is behind.
//! 3. Its application pipelines requests. Let it? The other end owes as many replies.
//!
//! The rules of this implementation, `Rules::CHOSEN`, are shown here not to deadlock: own
//! unanswered requests are capped; control messages have room of their own above the mark at which
//! data is refused, enough for both ends' caps; reading stops only when that room is full too, and
//! never between our KEXINIT and the peer's. The requests with which windows are measured are own
//! requests like those of the application, and count under the same cap.
//!
//! The model is small on purpose (pipes of one message, marks of one), because a deadlock of
//! bounded queues shows with the smallest bounds. Message sizes, windows and the application's own
//! reading are not in it.

use std::collections::{HashSet, VecDeque};

/// Messages that one direction of the connection holds between the peers.
const PIPE: usize = 1;
/// Messages waiting to be sent at which a peer takes no more data from its application.
const DATA_MARK: usize = 1;
/// Own requests that may be unanswered, under the chosen rules. The peer owes no more than this.
const UNANSWERED: u8 = 1;
/// Control messages for which there is room above the mark: own requests, and replies to the peer's.
const CONTROL_ROOM: usize = 2 * UNANSWERED as usize;
/// Replies that may be held back in a rekey before reading stops, under the rule that it does.
const HELD: usize = 1;
/// Requests that each application wants to make: more than fit into output and pipe.
const REQUESTS: u8 = 4;
/// Data that each application wants to send: more than fits under the mark.
const DATA: u8 = 2;

#[derive(Clone, Copy)]
struct Rules {
    requests: Requests,
    full: WhenFull,
    rekey: InRekey,
}

impl Rules {
    const CHOSEN: Self = Self {
        requests: Requests::Capped,
        full: WhenFull::StopAtControlRoom,
        rekey: InRekey::ReadOn,
    };
}

/// How many own requests may be unanswered.
#[derive(Clone, Copy)]
enum Requests {
    Uncapped,
    Capped,
}

/// Where a full output stops reading.
#[derive(Clone, Copy)]
enum WhenFull {
    /// At the mark that also refuses data.
    StopAtDataMark,
    /// When the room for control messages above it is full too.
    StopAtControlRoom,
}

/// What replies that are held back until NEWKEYS do to reading.
#[derive(Clone, Copy)]
enum InRekey {
    StopAtHeld,
    ReadOn,
}

/// Whether rekeys happen in a run.
#[derive(Clone, Copy)]
enum Rekeys {
    None,
    ByTheFirst,
    ByBoth,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Message {
    Data,
    Request,
    Reply,
    /// KEXINIT and all that follows up to NEWKEYS, as one.
    Kex,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Peer {
    /// Data that the application has still to send.
    data: u8,
    /// Requests that it has still to make.
    requests: u8,
    /// Own requests without a reply.
    unanswered: u8,
    /// What waits to be written to the pipe.
    output: VecDeque<Message>,
    /// Own key exchange message is out, the other's is not in: replies are held back.
    rekeying: bool,
    /// How many.
    held: u8,
    /// Own rekeys that may still be started.
    rekeys: u8,
}

/// `pipes[i]` is what peer `i` wrote and the other has not read.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    peers: [Peer; 2],
    pipes: [VecDeque<Message>; 2],
}

impl State {
    fn first(rekeys: Rekeys) -> Self {
        let peer = |rekeys| Peer {
            data: DATA,
            requests: REQUESTS,
            rekeys,
            ..Peer::default()
        };
        Self {
            peers: match rekeys {
                Rekeys::None => [peer(0), peer(0)],
                Rekeys::ByTheFirst => [peer(2), peer(0)],
                Rekeys::ByBoth => [peer(1), peer(1)],
            },
            pipes: Default::default(),
        }
    }

    /// All that can happen next.
    fn successors(&self, rules: Rules) -> Vec<Self> {
        let mut next = Vec::new();
        for me in 0..2 {
            next.extend(self.send_data(me));
            next.extend(self.request(me, rules));
            next.extend(self.start_rekey(me));
            next.extend(self.write(me));
            next.extend(self.read(me, rules));
        }
        next
    }

    /// The application sends data.
    fn send_data(&self, me: usize) -> Option<Self> {
        let peer = &self.peers[me];
        if peer.data == 0 || peer.rekeying || peer.output.len() >= DATA_MARK {
            return None;
        }
        let mut next = self.clone();
        let peer = &mut next.peers[me];
        peer.data -= 1;
        peer.output.push_back(Message::Data);
        Some(next)
    }

    /// The application makes a request.
    fn request(&self, me: usize, rules: Rules) -> Option<Self> {
        let peer = &self.peers[me];
        let refused = match rules.requests {
            Requests::Capped => peer.unanswered >= UNANSWERED,
            Requests::Uncapped => peer.output.len() >= DATA_MARK + CONTROL_ROOM,
        };
        if peer.requests == 0 || peer.rekeying || refused {
            return None;
        }
        let mut next = self.clone();
        let peer = &mut next.peers[me];
        peer.requests -= 1;
        peer.unanswered += 1;
        peer.output.push_back(Message::Request);
        Some(next)
    }

    /// The peer decides to change the keys. One at a time: a second before the first is over
    /// would break RFC 4253 section 9.
    fn start_rekey(&self, me: usize) -> Option<Self> {
        let peer = &self.peers[me];
        let unfinished =
            peer.output.contains(&Message::Kex) || self.pipes[me].contains(&Message::Kex);
        if peer.rekeys == 0 || peer.rekeying || unfinished {
            return None;
        }
        let mut next = self.clone();
        let peer = &mut next.peers[me];
        peer.rekeys -= 1;
        peer.rekeying = true;
        peer.output.push_back(Message::Kex);
        Some(next)
    }

    /// One message leaves for the pipe.
    fn write(&self, me: usize) -> Option<Self> {
        if self.pipes[me].len() >= PIPE {
            return None;
        }
        let mut next = self.clone();
        let message = next.peers[me].output.pop_front()?;
        next.pipes[me].push_back(message);
        Some(next)
    }

    /// One message arrives, when the rules let the peer read.
    fn read(&self, me: usize, rules: Rules) -> Option<Self> {
        if !self.peers[me].reads(rules) {
            return None;
        }
        let mut next = self.clone();
        let message = next.pipes[1 - me].pop_front()?;
        let peer = &mut next.peers[me];
        match message {
            Message::Data => {}
            Message::Request if peer.rekeying => peer.held += 1,
            Message::Request => peer.output.push_back(Message::Reply),
            Message::Reply => peer.unanswered -= 1,
            Message::Kex => {
                if !peer.rekeying {
                    peer.output.push_back(Message::Kex);
                }
                peer.rekeying = false;
                for _ in 0..std::mem::take(&mut peer.held) {
                    peer.output.push_back(Message::Reply);
                }
            }
        }
        Some(next)
    }

    fn is_finished(&self) -> bool {
        let idle = |peer: &Peer| {
            peer.data == 0
                && peer.requests == 0
                && peer.unanswered == 0
                && peer.held == 0
                && !peer.rekeying
                && peer.output.is_empty()
        };
        self.peers.iter().all(idle) && self.pipes.iter().all(VecDeque::is_empty)
    }
}

impl Peer {
    fn reads(&self, rules: Rules) -> bool {
        if self.rekeying {
            return match rules.rekey {
                InRekey::ReadOn => true,
                InRekey::StopAtHeld => usize::from(self.held) < HELD,
            };
        }
        let mark = match rules.full {
            WhenFull::StopAtDataMark => DATA_MARK,
            WhenFull::StopAtControlRoom => DATA_MARK + CONTROL_ROOM,
        };
        self.output.len() < mark
    }
}

/// What a search found.
struct Found {
    states: usize,
    /// The most that any peer had to keep: output and held replies.
    most_kept: usize,
    /// The first deadlock in the order of a breadth-first search, so one that few steps reach.
    deadlock: Option<State>,
}

fn search(rules: Rules, rekeys: Rekeys) -> Found {
    let first = State::first(rekeys);
    let mut seen = HashSet::from([first.clone()]);
    let mut queue = VecDeque::from([first]);
    let mut found = Found {
        states: 0,
        most_kept: 0,
        deadlock: None,
    };
    while let Some(state) = queue.pop_front() {
        found.states += 1;
        for peer in &state.peers {
            let kept = peer.output.len() + usize::from(peer.held);
            found.most_kept = found.most_kept.max(kept);
        }
        let successors = state.successors(rules);
        if successors.is_empty() && !state.is_finished() && found.deadlock.is_none() {
            found.deadlock = Some(state);
        }
        for next in successors {
            if !seen.contains(&next) {
                seen.insert(next.clone());
                queue.push_back(next);
            }
        }
    }
    found
}

#[test]
fn the_chosen_rules_never_deadlock() {
    // The counts pin the model: a rule that is changed by accident changes them.
    for (rekeys, states, most_kept) in [
        (Rekeys::None, 21_968, 3),
        (Rekeys::ByTheFirst, 140_654, 4),
        (Rekeys::ByBoth, 287_517, 4),
    ] {
        let found = search(Rules::CHOSEN, rekeys);
        assert!(found.deadlock.is_none(), "{:#?}", found.deadlock);
        assert_eq!((found.states, found.most_kept), (states, most_kept));
    }
}

#[test]
fn stopping_to_read_with_full_output_on_both_ends_deadlocks() {
    let rules = Rules {
        full: WhenFull::StopAtDataMark,
        ..Rules::CHOSEN
    };
    let found = search(rules, Rekeys::None);
    assert_eq!(found.states, 16_528);
    both_ends_are_full(&found.deadlock.unwrap(), DATA_MARK);
}

#[test]
fn room_for_control_messages_is_no_help_when_requests_are_not_capped() {
    let rules = Rules {
        requests: Requests::Uncapped,
        ..Rules::CHOSEN
    };
    let found = search(rules, Rekeys::None);
    assert_eq!(found.states, 223_723);
    both_ends_are_full(&found.deadlock.unwrap(), DATA_MARK + CONTROL_ROOM);
}

#[test]
fn stopping_to_read_for_held_replies_in_a_rekey_deadlocks() {
    let rules = Rules {
        rekey: InRekey::StopAtHeld,
        ..Rules::CHOSEN
    };
    assert!(search(rules, Rekeys::None).deadlock.is_none());

    let found = search(rules, Rekeys::ByTheFirst);
    assert_eq!(found.states, 140_654);
    let state = found.deadlock.unwrap();
    assert!(state.peers[0].rekeying && usize::from(state.peers[0].held) == HELD);
    // What would end it cannot leave: the pipe that the first does not read is full.
    assert!(state.peers[1].output.contains(&Message::Kex));
    assert_eq!(state.pipes[1].len(), PIPE);
}

/// Each waits for the other to read.
fn both_ends_are_full(state: &State, mark: usize) {
    for (peer, pipe) in state.peers.iter().zip(&state.pipes) {
        assert_eq!((peer.output.len(), pipe.len()), (mark, PIPE));
    }
}
