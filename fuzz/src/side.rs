//! One connection with its receive buffer and its clock, and what must hold whatever it is fed.

use std::fmt::{self, Debug, Display, Write as _};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use ssh_proto::error::{End, Error};
use ssh_proto::{
    Batch, ChannelEvent, Instant, Opened, Peer, PeerEvent, PeerSend as _, RecvBuf, RecvSide,
    SendSide, Wants,
};

use crate::policy::Policy;
use crate::roles::{Driven, compresses, window};

/// More events than any input of a fuzzer makes without going round in circles.
const MAX_EVENTS: usize = 200_000;
/// What may wait to be written beyond the limits: the held messages and a reply or two.
const SLACK: usize = 2 * 64 * 1024 + 4 * 40_000;
/// The largest `Limits::output` and `Limits::control` that are configured here.
const MOST_OUTPUT: usize = 192 * 1024;
/// `Limits::packet`.
const MOST_PACKET: usize = 256 * 1024;
/// What compressed packets inflate to.
const MOST_ROOM: usize = (256 + 128) * 1024;

/// A connection under test.
pub(crate) struct Side<'u, P: Peer> {
    pub(crate) peer: Joint<P>,
    pub(crate) policy: Policy<'u>,
    pub(crate) now: Instant,
    /// Reads give no more than this at a time.
    pub(crate) chunk: usize,
    /// Every so many reads they give one byte more, so that a long stream in small pieces takes no
    /// time to speak of; 0 for never.
    pub(crate) chunk_grows: usize,
    /// Whether the peer has closed the transport.
    pub(crate) closed: bool,
    /// What happened, if it is to be kept.
    pub(crate) log: Option<Vec<String>>,
    /// The peer is one of ours as well, and nobody has meddled with what it sends: then it breaks
    /// no rule.
    pub(crate) peer_is_honest: bool,
    rx: RecvBuf,
    inbox: Vec<u8>,
    read: usize,
    reads: usize,
    events: usize,
    /// `Ended` has been reported.
    ended: bool,
}

impl<'u, P: Driven> Side<'u, P> {
    pub(crate) fn new(config: u8, mut policy: Policy<'u>) -> Self {
        policy.window = window(config);
        policy.compresses = compresses(config);
        Self::of(P::make(config), policy)
    }

    /// Of a connection with other settings.
    pub(crate) fn of(peer: P, policy: Policy<'u>) -> Self {
        Self {
            peer: Joint::Whole(peer),
            policy,
            now: Instant::EPOCH,
            chunk: usize::MAX,
            chunk_grows: 0,
            closed: false,
            log: None,
            peer_is_honest: false,
            rx: RecvBuf::new(),
            inbox: Vec::new(),
            read: 0,
            reads: 0,
            events: 0,
            ended: false,
        }
    }

    /// Parts with the two halves: they are driven apart from now on.
    pub(crate) fn part(&mut self) {
        // What stands in its place meanwhile is never driven.
        let joint = std::mem::replace(&mut self.peer, Joint::Whole(P::make(0)));
        self.policy.apart = true;
        self.peer = match joint {
            Joint::Whole(peer) => {
                let (recv, send) = peer.split();
                Joint::Apart(recv, send)
            }
            apart => apart,
        };
    }

    pub(crate) fn send(&mut self) -> &mut SendSide {
        &mut self.peer
    }

    /// Does something that no event asks for.
    pub(crate) fn act(&mut self) {
        self.policy.act(&mut self.peer);
        self.drive();
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Lets bytes arrive at the transport.
    pub(crate) fn arrive(&mut self, bytes: &[u8]) {
        self.inbox.extend_from_slice(bytes);
    }

    /// Takes everything that waits to be written.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.peer.take_output(&mut out);
        if self.peer.has_output() {
            // Room may have let something more go out: old keys are exchanged when output moves.
            let mut more = Vec::new();
            self.peer.take_output(&mut more);
            out.append(&mut more);
        }
        assert!(
            out.len() <= MOST_OUTPUT + SLACK,
            "{} bytes of output",
            out.len()
        );
        assert!(!self.peer.has_output());
        out
    }

    /// Lets the clock go on.
    pub(crate) fn pass(&mut self, by: Duration) {
        self.at(Instant::new(self.now.since_epoch().saturating_add(by)));
    }

    /// Lets it be `now`, which may be earlier than it was.
    pub(crate) fn at(&mut self, now: Instant) {
        self.now = now;
        self.peer.handle_timeout(self.now);
        let next = self.peer.poll_timeout(self.now);
        assert_eq!(next.is_some(), self.peer.timeout_reason().is_some());
        if let Some(next) = next {
            assert!(next > self.now, "the same deadline again");
        }
        self.drive();
    }

    /// Lets the clock go on to the next deadline.
    pub(crate) fn pass_to_deadline(&mut self) {
        if let Some(next) = self.peer.poll_timeout(self.now) {
            let by = next.saturating_since(self.now);
            // No more of nothing than somebody would wait for.
            if by <= Duration::from_secs(1 << 24) {
                self.pass(by);
            }
        }
    }

    /// Does everything that can be done with what has arrived.
    pub(crate) fn drive(&mut self) {
        loop {
            while self.event() {}
            self.assert_none_is_explained();
            match self.peer.wants() {
                Wants::Bytes(n) => {
                    let unread = &self.inbox[self.read..];
                    if unread.is_empty() {
                        if !self.closed {
                            return;
                        }
                        self.peer.close_input();
                        continue;
                    }
                    let spare = self.rx.spare(n);
                    assert!(n > 0 && spare.len() >= n, "spare({n})");
                    let n = spare.len().min(unread.len()).min(self.chunk);
                    spare[..n].copy_from_slice(&unread[..n]);
                    self.rx.filled(n);
                    self.read += n;
                    self.reads += 1;
                    if self.chunk_grows > 0 && self.reads.is_multiple_of(self.chunk_grows) {
                        self.chunk = self.chunk.saturating_add(1);
                    }
                    if self.read == self.inbox.len() {
                        (self.read, self.inbox) = (0, Vec::new());
                    }
                }
                Wants::Batch => {}
                _ => return,
            }
            assert!(
                self.rx.capacity() <= 2 * MOST_PACKET + MOST_ROOM,
                "a large receive buffer"
            );
        }
    }

    fn event(&mut self) -> bool {
        let event = self.peer.poll_event(&mut self.rx.batch(), self.now);
        let Some(event) = event else { return false };
        assert!(!self.ended, "after the end: {event:?}");
        self.events += 1;
        assert!(self.events < MAX_EVENTS, "round in circles: {event:?}");
        if let Some(log) = &mut self.log {
            log.push(format!("{event:?}"));
        }
        if let PeerEvent::Ended(end) = &event {
            self.ended = true;
            assert!(self.peer.has_ended());
            assert_one_line(end);
            match end {
                End::Error(Error::Internal(what)) => panic!("internal: {what}"),
                End::Error(
                    error @ (Error::PeerMisbehaved(_) | Error::Malformed(_) | Error::Integrity),
                ) if self.peer_is_honest => panic!("an honest peer is blamed: {error}"),
                _ => {}
            }
        }
        P::answer(&mut self.peer, event, &mut self.policy);
        true
    }

    /// `wants()` says why there is no event.
    fn assert_none_is_explained(&mut self) {
        let wants = self.peer.wants();
        assert_eq!(wants == Wants::Closed, self.ended, "{wants:?}");
        match wants {
            Wants::Bytes(n) => {
                assert!(n > 0 && n <= MOST_PACKET, "{wants:?}");
                assert!(!self.peer.is_waiting_for_answer(), "{wants:?}");
                if self.peer.peer_identification().is_some() {
                    assert_eq!(self.rx.len() + n, self.peer.need());
                }
            }
            Wants::Answer => assert!(self.peer.is_waiting_for_answer()),
            Wants::Output => assert!(self.peer.has_output()),
            Wants::Batch => self.events += 1,
            Wants::Closed => {
                assert_eq!(self.peer.poll_timeout(self.now), None);
                assert!(!self.peer.is_waiting_for_answer());
            }
            _ => panic!("{wants:?}"),
        }
        assert!(self.events < MAX_EVENTS, "round in circles: {wants:?}");
    }
}

/// A connection with one owner, or its two halves.
#[expect(
    clippy::large_enum_variant,
    reason = "there are two of them, which stay where they are"
)]
pub(crate) enum Joint<P: Peer> {
    Whole(P),
    Apart(RecvSide, P::Send),
}

impl<P: Peer> Joint<P> {
    fn poll_event<'b>(&mut self, batch: &mut Batch<'b>, now: Instant) -> Option<PeerEvent<'b>> {
        let (recv, send) = match self {
            Self::Whole(peer) => return peer.poll_event(batch, now).map(Into::into),
            Self::Apart(recv, send) => (recv, send),
        };
        send.begin_poll(recv);
        loop {
            if let Some(event) = send.pending_event(recv, now) {
                return Some(event.into());
            }
            match recv.open(batch) {
                Some(Opened::Data {
                    channel,
                    stream,
                    data,
                }) => {
                    return Some(PeerEvent::Channel(ChannelEvent::Data {
                        channel,
                        stream,
                        data,
                    }));
                }
                Some(Opened::Control(control)) => {
                    if let Some(event) = send.apply(control, recv, now) {
                        return Some(event.into());
                    }
                }
                Some(other) => panic!("{other:?}"),
                None => {
                    let channel = send.poll_writable()?;
                    return Some(PeerEvent::Channel(ChannelEvent::Writable { channel }));
                }
            }
        }
    }

    pub(crate) fn wants(&self) -> Wants {
        match self {
            Self::Whole(peer) => peer.wants(),
            Self::Apart(recv, _) => recv.wants(),
        }
    }

    fn need(&self) -> usize {
        match self {
            Self::Whole(peer) => peer.need(),
            Self::Apart(recv, _) => recv.need(),
        }
    }

    fn close_input(&mut self) {
        match self {
            Self::Whole(peer) => peer.close_input(),
            Self::Apart(recv, _) => recv.close_input(),
        }
    }
}

impl<P: Peer> Deref for Joint<P> {
    type Target = P::Send;

    fn deref(&self) -> &P::Send {
        match self {
            Self::Whole(peer) => peer,
            Self::Apart(_, send) => send,
        }
    }
}

impl<P: Peer> DerefMut for Joint<P> {
    fn deref_mut(&mut self) -> &mut P::Send {
        match self {
            Self::Whole(peer) => peer,
            Self::Apart(_, send) => send,
        }
    }
}

/// What is shown to people holds no control characters.
pub(crate) fn assert_one_line(shown: &impl Display) {
    assert_printable(format_args!("{shown}"));
}

/// The same of what is shown to programmers.
pub(crate) fn assert_debug_is_one_line(shown: &impl Debug) {
    assert_printable(format_args!("{shown:?}"));
}

fn assert_printable(shown: fmt::Arguments<'_>) {
    struct Printable;

    impl fmt::Write for Printable {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            assert!(!text.chars().any(char::is_control), "{text:?}");
            Ok(())
        }
    }

    assert_eq!(Printable.write_fmt(shown), Ok(()));
}
