//! Tickets: requests of the peer that the application decides on while input goes on.
//!
//! A ticket is bound to its connection by 64 random bits and cannot be cloned. One that was
//! neither answered nor deferred when the next event is asked for is refused: an ignored event is
//! a refusal, not a hang. One that was deferred is refused when its deadline passes.

use alloc::vec::Vec;

use super::ChannelId;
use crate::time::Instant;

mod sealed {
    #[expect(unnameable_types, reason = "this is what seals the trait")]
    pub trait Sealed {
        fn token(&self) -> super::Token;
    }
}

/// A request of the peer that waits for the application. Sealed.
pub trait Ticket: sealed::Sealed {}

impl<T: sealed::Sealed> Ticket for T {}

/// Which entry of the table, and the proof that it is of this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(unnameable_types, reason = "only the sealed trait mentions it")]
pub struct Token {
    index: usize,
    nonce: u64,
}

macro_rules! ticket {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, PartialEq, Eq)]
        #[must_use = "a ticket that is neither answered nor deferred is refused"]
        pub struct $name(Token);

        impl sealed::Sealed for $name {
            fn token(&self) -> Token {
                self.0
            }
        }

        impl $name {
            pub(crate) const fn new(token: Token) -> Self {
                Self(token)
            }
        }
    };
}

ticket! {
    /// The peer wants to open a channel: `accept_channel` or `reject_channel`.
    OpenTicket
}
ticket! {
    /// The peer requests something of a channel: `accept_request` or `refuse_request`.
    RequestTicket
}
ticket! {
    /// The peer requests something of the connection: `accept_global` or `refuse_global`.
    GlobalTicket
}

pub(super) fn token(ticket: &impl Ticket) -> Token {
    ticket.token()
}

/// What a ticket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TicketKind {
    Open {
        sender_channel: u32,
        initial_window_size: u32,
        maximum_packet_size: u32,
    },
    Request {
        channel: ChannelId,
        want_reply: bool,
    },
    Global {
        want_reply: bool,
    },
}

#[derive(Debug)]
struct Entry {
    nonce: u64,
    kind: TicketKind,
    deadline: Instant,
}

#[derive(Debug)]
pub(crate) struct Tickets {
    entries: Vec<Option<Entry>>,
    count: usize,
    /// Of these, for channels to be opened.
    opens: usize,
    /// The one that was handed out by the last event.
    fresh: Option<Token>,
}

impl Tickets {
    pub(super) const fn new() -> Self {
        Self {
            entries: Vec::new(),
            count: 0,
            opens: 0,
            fresh: None,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.count
    }

    pub(super) const fn opens(&self) -> usize {
        self.opens
    }

    /// Hands one out, if there is memory for it. The caller has checked `Limits::tickets`.
    pub(super) fn mint(
        &mut self,
        nonce: u64,
        kind: TicketKind,
        deadline: Instant,
    ) -> Option<Token> {
        let free = self.entries.iter().position(Option::is_none);
        let index = match free {
            Some(index) => index,
            None => {
                self.entries.try_reserve(1).ok()?;
                self.entries.push(None);
                self.entries.len() - 1
            }
        };
        if let Some(entry) = self.entries.get_mut(index) {
            *entry = Some(Entry {
                nonce,
                kind,
                deadline,
            });
            self.count += 1;
            self.opens += usize::from(matches!(kind, TicketKind::Open { .. }));
        }
        let token = Token { index, nonce };
        self.fresh = Some(token);
        Some(token)
    }

    /// The application takes its time. False if the ticket is not of this connection.
    #[must_use]
    pub(super) fn defer(&mut self, token: Token) -> bool {
        let known = self.entry(token).is_some();
        if known && self.fresh == Some(token) {
            self.fresh = None;
        }
        known
    }

    /// Takes a ticket back, for its answer.
    pub(super) fn redeem(&mut self, token: Token) -> Option<TicketKind> {
        let kind = self.entry(token)?.kind;
        if let Some(entry) = self.entries.get_mut(token.index) {
            *entry = None;
        }
        self.count = self.count.saturating_sub(1);
        self.opens -= usize::from(matches!(kind, TicketKind::Open { .. })).min(self.opens);
        if self.fresh == Some(token) {
            self.fresh = None;
        }
        Some(kind)
    }

    /// The one that nobody answered before the next event was asked for.
    pub(super) const fn take_fresh(&mut self) -> Option<Token> {
        self.fresh.take()
    }

    /// One whose deadline has passed.
    pub(super) fn expired(&self, now: Instant) -> Option<Token> {
        self.entries.iter().enumerate().find_map(|(index, entry)| {
            let entry = entry.as_ref()?;
            (entry.deadline <= now).then_some(Token {
                index,
                nonce: entry.nonce,
            })
        })
    }

    /// When the next deadline passes.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if self.count == 0 {
            return None;
        }
        self.entries
            .iter()
            .flatten()
            .map(|entry| entry.deadline)
            .min()
    }

    /// The channel is gone, and with it all that was asked of it.
    pub(super) fn forget_channel(&mut self, slot: u32) {
        for entry in &mut self.entries {
            let of_channel = entry.as_ref().is_some_and(|entry| {
                matches!(entry.kind, TicketKind::Request { channel, .. } if channel.slot == slot)
            });
            if of_channel {
                *entry = None;
                self.count = self.count.saturating_sub(1);
            }
        }
    }

    pub(super) fn give_back(&mut self) {
        if self.count == 0 {
            self.entries = Vec::new();
        }
    }

    fn entry(&self, token: Token) -> Option<&Entry> {
        let entry = self.entries.get(token.index)?.as_ref()?;
        (entry.nonce == token.nonce).then_some(entry)
    }
}

impl Token {
    pub(super) const fn nonce(self) -> u64 {
        self.nonce
    }
}
