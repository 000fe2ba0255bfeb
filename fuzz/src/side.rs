//! One connection with its receive buffer and its clock, and what must hold whatever it is fed.

use std::time::Duration;

use ssh_proto::error::{End, Error};
use ssh_proto::{Instant, PeerEvent, RecvBuf, SendSide, Wants};

use crate::policy::{Driven, Policy, after, window};

/// More events than any input of a fuzzer makes without going round in circles.
const MAX_EVENTS: usize = 200_000;
/// What may wait to be written beyond the limits: the held messages and a reply or two.
const SLACK: usize = 2 * 64 * 1024 + 4 * 40_000;
/// The largest `Limits::output` and `Limits::control` that are configured here.
const MOST_OUTPUT: usize = 192 * 1024;
/// `Limits::packet`.
const MOST_PACKET: usize = 256 * 1024;

/// A connection under test.
#[derive(Debug)]
pub(crate) struct Side<'u, P> {
    pub(crate) peer: P,
    pub(crate) policy: Policy<'u>,
    pub(crate) now: Instant,
    /// Reads give no more than this at a time.
    pub(crate) chunk: usize,
    /// Whether the peer has closed the transport.
    pub(crate) closed: bool,
    /// What happened, if it is to be kept.
    pub(crate) log: Option<Vec<String>>,
    rx: RecvBuf,
    inbox: Vec<u8>,
    read: usize,
    events: usize,
    /// `Ended` has been reported.
    ended: bool,
}

impl<'u, P: Driven> Side<'u, P> {
    pub(crate) fn new(config: u8, mut policy: Policy<'u>) -> Self {
        policy.window = window(config);
        Self {
            peer: P::make(config),
            policy,
            now: Instant::EPOCH,
            chunk: usize::MAX,
            closed: false,
            log: None,
            rx: RecvBuf::new(),
            inbox: Vec::new(),
            read: 0,
            events: 0,
            ended: false,
        }
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
        self.now = after(self.now, by);
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
                    if self.read == self.inbox.len() {
                        (self.read, self.inbox) = (0, Vec::new());
                    }
                }
                Wants::Batch => {}
                _ => return,
            }
            assert!(
                self.rx.capacity() <= 2 * MOST_PACKET,
                "a large receive buffer"
            );
        }
    }

    fn event(&mut self) -> bool {
        let event = self.peer.poll_event(&mut self.rx.batch(), self.now);
        let Some(event) = event else { return false };
        let event: PeerEvent<'_> = event.into();
        assert!(!self.ended, "after the end: {event:?}");
        self.events += 1;
        assert!(self.events < MAX_EVENTS, "round in circles: {event:?}");
        if let Some(log) = &mut self.log {
            log.push(format!("{event:?}"));
        }
        if let PeerEvent::Ended(end) = &event {
            self.ended = true;
            assert!(self.peer.has_ended());
            let shown = end.to_string();
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            if let End::Error(Error::Internal(what)) = end {
                panic!("internal: {what}");
            }
        }
        self.peer.answer(event, &mut self.policy);
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
