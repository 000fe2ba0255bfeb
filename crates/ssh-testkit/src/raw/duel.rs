//! Two connections of `ssh-proto` that have come up with one another, of which one is then made to
//! break rules: for what a [`Raw`](super::Raw) peer cannot do because it has one cipher.

use std::fmt::Debug;

use ssh_proto::error::{End, Error};
use ssh_proto::message::DisconnectReason;
use ssh_proto::{Instant, RecvBuf, Wants};

use super::{Seen, Subject, feeding};

/// A connection and what its application saw.
pub struct Fighter<P: Subject> {
    /// The connection.
    pub peer: P,
    /// What its application saw.
    pub seen: Seen,
    rx: RecvBuf,
    fed: usize,
}

impl<P: Subject> Fighter<P> {
    fn new(config: P::Config) -> Self {
        Self {
            peer: P::make(config),
            seen: Seen::default(),
            rx: RecvBuf::new(),
            fed: 0,
        }
    }

    /// Takes what arrives, cut as the test says, with an application that says yes to everything.
    pub fn take(&mut self, mut input: &[u8]) {
        loop {
            while let Some(event) = self.peer.poll_event(&mut self.rx.batch(), Instant::EPOCH) {
                assert!(self.seen.end.is_none(), "{event:?} after the last event");
                self.peer.agree(event, &mut self.seen);
            }
            if self.peer.wants() == Wants::Batch {
                continue;
            }
            if input.is_empty() {
                return;
            }
            let piece = feeding::next_piece(input.len(), self.fed, usize::MAX);
            let (piece, rest) = input.split_at(piece);
            self.rx.push(piece);
            self.fed += piece.len();
            input = rest;
        }
    }

    /// What waits to be sent.
    pub fn output(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        self.peer.take_output(&mut output);
        output
    }
}

/// Both.
pub struct Duel<V: Subject, A: Subject> {
    /// The connection under test.
    pub victim: Fighter<V>,
    /// Its peer.
    pub attacker: Fighter<A>,
}

impl<V: Subject, A: Subject> Duel<V, A> {
    /// Nothing has been said yet.
    pub fn new(victim: V::Config, attacker: A::Config) -> Self {
        Self {
            victim: Fighter::new(victim),
            attacker: Fighter::new(attacker),
        }
    }

    /// Lets both talk until neither has anything to say.
    pub fn settle(&mut self) {
        self.victim.take(&[]);
        self.attacker.take(&[]);
        loop {
            let (one, other) = (self.victim.output(), self.attacker.output());
            if one.is_empty() && other.is_empty() {
                return;
            }
            self.attacker.take(&one);
            self.victim.take(&other);
        }
    }

    /// Delivers these bytes to the victim, and so many bytes of junk behind them, and what it says
    /// to the attacker.
    pub fn strike(&mut self, bytes: &[u8], junk: usize) {
        self.victim.take(bytes);
        // Junk is not worth a read for each byte.
        let fed = std::mem::replace(&mut self.victim.fed, usize::MAX / 2);
        self.victim.take(&vec![0x5a; junk]);
        self.victim.fed = fed;
        let answer = self.victim.output();
        self.attacker.take(&answer);
    }

    /// The victim has given up with an error of this shape, has told its peer this reason, and
    /// takes nothing more.
    ///
    /// # Panics
    ///
    /// If it has not.
    #[track_caller]
    pub fn refused(
        &mut self,
        what: &dyn Debug,
        error: impl Fn(&Error) -> bool,
        reason: DisconnectReason,
    ) {
        let end = &self.victim.seen.end;
        let fits = matches!(end, Some(End::Error(e)) if error(e));
        assert!(fits, "{what:?}: {end:?}, {:#?}", self.victim.seen.log);
        let told = &self.attacker.seen.end;
        let fits = matches!(told, Some(End::ByPeer(bye)) if bye.reason == reason);
        assert!(fits, "{what:?}: {told:?}");
        assert_eq!(self.victim.peer.wants(), Wants::Closed, "{what:?}");
        self.victim.take(&[0; 100]);
        assert!(!self.victim.peer.has_output(), "{what:?}");
    }
}

/// What both did is compared with what they did when the input was cut in another way.
impl<V: Subject, A: Subject> Drop for Duel<V, A> {
    fn drop(&mut self) {
        for seen in [&mut self.victim.seen, &mut self.attacker.seen] {
            feeding::record(seen, &mut Vec::new());
        }
    }
}
