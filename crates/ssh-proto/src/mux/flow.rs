//! One channel: its windows and its end (RFC 4254 sections 5.2 and 5.3).
//!
//! Windows are totals that only grow, so that the two halves of a connection may look at them at
//! different times without ever being wrong in the dangerous direction:
//!
//! ```text
//!   sending:    sent <= allowed              credit = allowed - sent
//!   receiving:  released <= received <= granted   (`received` is kept by the receive side; where
//!                                                 the halves are apart only released <= granted)
//!               granted <= released + window   (while a window falls back, by less and less more)
//! ```
//!
//! The end, for each direction on its own:
//!
//! ```text
//!   Open --EOF--> Eof --CLOSE--> Closed          (CLOSE may come without EOF)
//!   the slot is freed once both directions are Closed
//! ```

use alloc::collections::VecDeque;

use super::RequestId;
use super::replies::Replies;
use crate::send::Share;

/// How much credit is worth a message, of a window of so many bytes.
///
/// What is owed but not granted yet is as good as a smaller window, so a large one is granted in
/// sixteen steps. But each message costs both sides a system call and perhaps a wake-up: where a
/// window is small, which it is because more makes no difference or because there is no more, a
/// message is not spent on less than a quarter of it, or half of a very small one.
fn grant_step(window: u32) -> u32 {
    let half = (window / 2).min(64 * 1024);
    let quarter = (window / 4).min(256 * 1024);
    (window / 16).max(quarter).max(half).max(1)
}

/// How far one direction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Half {
    Open,
    Eof,
    Closed,
}

/// Why a channel that wanted to send is not sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    No,
    /// The peer's window is used up.
    OnCredit,
    /// It stands in a queue for room in the output.
    OnRoom,
}

#[derive(Debug)]
pub(crate) struct Flow {
    /// `None` until the peer has confirmed.
    remote: Option<Remote>,
    allowed: u64,
    sent: u64,
    granted: u64,
    released: u64,
    /// How much may be granted and not released: `window.rs` moves it.
    window: u32,
    /// Where it started, and what it falls back to.
    base: u32,
    /// It gave half of its window to another channel and does not take it back at once.
    yielded: bool,
    /// The total of `released` from which on its consumption is measured again.
    next_measure: u64,
    /// What the application was handed, where both halves have one owner.
    delivered: Option<u64>,
    pub(super) sending: Half,
    pub(super) receiving: Half,
    pub(super) share: Share,
    pub(super) blocked: Blocked,
    quantum: u64,
    /// Replies that we owe to the peer's requests.
    pub(super) replies: Replies,
    /// Our requests that have no reply yet.
    pub(super) asked: VecDeque<RequestId>,
    /// It was given up while opening, or the open failed here although the peer confirmed: the
    /// application has heard the last of it, and the peer's answer or close is not news.
    pub(super) stillborn: bool,
}

#[derive(Clone, Copy, Debug)]
struct Remote {
    channel: u32,
    maximum_packet: u32,
}

impl Flow {
    /// A channel that we ask for, granting `window`.
    pub(super) const fn opening(window: u32) -> Self {
        Self {
            remote: None,
            allowed: 0,
            sent: 0,
            granted: window as u64,
            released: 0,
            window,
            base: window,
            yielded: false,
            next_measure: 0,
            delivered: Some(0),
            sending: Half::Open,
            receiving: Half::Open,
            share: Share::Half,
            blocked: Blocked::No,
            quantum: 0,
            replies: Replies::new(),
            asked: VecDeque::new(),
            stillborn: false,
        }
    }

    /// The peer's number, window and maximum are known.
    pub(super) fn confirm(&mut self, channel: u32, window: u32, maximum_packet: u32) {
        self.remote = Some(Remote {
            channel,
            maximum_packet,
        });
        self.allowed = u64::from(window);
    }

    pub(super) const fn is_opening(&self) -> bool {
        self.remote.is_none()
    }

    /// Whether data may be sent at all.
    pub(super) fn may_send(&self) -> bool {
        !self.is_opening() && self.sending == Half::Open
    }

    /// The peer's number of the channel.
    pub(super) const fn remote(&self) -> u32 {
        match self.remote {
            Some(remote) => remote.channel,
            None => 0,
        }
    }

    /// The most data in one packet, both sides considered.
    pub(super) fn maximum_packet(&self, ours: u32) -> usize {
        self.remote
            .map_or(0, |remote| remote.maximum_packet.min(ours)) as usize
    }

    pub(super) const fn window(&self) -> u32 {
        self.window
    }

    /// What the receive side may let through in all.
    pub(crate) const fn granted(&self) -> u64 {
        self.granted
    }

    /// How much may be sent.
    pub(super) const fn credit(&self) -> u64 {
        self.allowed.saturating_sub(self.sent)
    }

    pub(super) const fn sent(&mut self, n: usize) {
        self.sent = self.sent.saturating_add(n as u64);
        self.quantum = self.quantum.saturating_sub(n as u64);
    }

    /// WINDOW_ADJUST: false if the window would exceed 2^32 - 1.
    //= rfc4254#section-5.2
    //# Implementations MUST correctly handle window sizes of up to 2^32 - 1 bytes. The window
    //# MUST NOT be increased above 2^32 - 1 bytes.
    #[must_use]
    pub(super) const fn allow(&mut self, bytes_to_add: u32) -> bool {
        self.allowed = self.allowed.saturating_add(bytes_to_add as u64);
        self.credit() <= u32::MAX as u64
    }

    /// The application is done with `n` bytes: false if it never got so many.
    #[must_use]
    pub(super) fn release(&mut self, n: usize) -> bool {
        let released = self.released.saturating_add(n as u64);
        if released > self.granted.min(self.delivered.unwrap_or(u64::MAX)) {
            return false;
        }
        self.released = released;
        true
    }

    /// The application was handed `n` bytes; `None`: nobody can tell any more, since the halves are
    /// apart.
    pub(super) const fn deliver(&mut self, n: Option<usize>) {
        self.delivered = match (self.delivered, n) {
            (Some(delivered), Some(n)) => Some(delivered.saturating_add(n as u64)),
            _ => None,
        };
    }

    /// What it takes of `Limits::window_total`: its window, or the credit that is still out from
    /// when its window was larger. After the peer's EOF nothing more can come, whatever was
    /// granted.
    pub(super) fn held(&self) -> u64 {
        let (end, least) = match self.receiving {
            Half::Open => (self.granted, self.window),
            Half::Eof | Half::Closed => (self.delivered.unwrap_or(self.granted), self.base),
        };
        end.saturating_sub(self.released).max(u64::from(least))
    }

    pub(super) const fn released(&self) -> u64 {
        self.released
    }

    /// Whether the application is behind with what it was handed. Where nobody can tell what that
    /// is, what it releases in a round trip must do.
    pub(super) fn lags(&self) -> bool {
        let delivered = self.delivered.unwrap_or(self.released);
        delivered.saturating_sub(self.released) > u64::from(self.window / 4)
    }

    /// Whether credit is worth sending: not when no data can follow anyway.
    fn takes_credit(&self) -> bool {
        self.remote.is_some() && self.receiving == Half::Open && self.sending != Half::Closed
    }

    /// Whether data may still come.
    #[cfg(test)]
    pub(super) fn receives(&self) -> bool {
        self.receiving == Half::Open
    }

    /// Credit that may be granted, if it is enough for a message.
    fn owed(&self) -> Option<u64> {
        let owed = (self.released + u64::from(self.window)).checked_sub(self.granted)?;
        let step = grant_step(self.window);
        (self.takes_credit() && owed >= u64::from(step)).then_some(owed)
    }

    /// Whether credit is due, and with it a new measure of what it is used for.
    pub(super) fn measure_is_due(&self) -> bool {
        self.owed().is_some() && self.released >= self.next_measure
    }

    /// Takes the credit to grant now.
    pub(super) fn take_owed(&mut self) -> Option<u32> {
        let owed = self.owed()?;
        self.granted += owed;
        u32::try_from(owed).ok()
    }

    /// Moves the window, and measures again once a new one makes a difference: when as much has
    /// been consumed as the smaller of both. Less is never revoked: the window falls to its new
    /// size as data is released.
    pub(super) fn resize(&mut self, window: u32) {
        self.next_measure = self.released + u64::from(self.window.min(window));
        self.window = window.max(self.base);
    }

    /// Whether its window has grown.
    pub(super) const fn may_yield(&self) -> bool {
        self.window > self.base
    }

    /// Gives half of the window away, as far as it has grown.
    pub(super) fn give_half(&mut self) {
        self.window = (self.window / 2).max(self.base);
        self.yielded = true;
    }

    /// Whether it gave way since it was last asked.
    pub(super) const fn has_yielded(&mut self) -> bool {
        core::mem::replace(&mut self.yielded, false)
    }

    /// Its turn after waiting: so much before the next one.
    pub(super) const fn turn(&mut self, quantum: u64) {
        self.blocked = Blocked::No;
        self.quantum = quantum;
    }

    pub(super) const fn quantum(&self) -> u64 {
        self.quantum
    }

    /// How many of our requests wait for a reply here, the open included.
    pub(super) fn awaiting(&self) -> usize {
        self.asked.len() + usize::from(self.is_opening())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u32 = 1 << 20;

    /// Open, with nothing on its way.
    fn open(window: u32) -> Flow {
        let mut flow = Flow::opening(window);
        flow.confirm(0, 1000, 1000);
        flow
    }

    /// Hands the application `n` bytes, which is done with them.
    fn consume(flow: &mut Flow, n: u32) {
        flow.deliver(Some(n as usize));
        assert!(flow.release(n as usize));
    }

    #[test]
    fn credit_is_granted_in_steps_that_are_worth_a_message() {
        // A sixteenth of a large window, a quarter of a smaller one, and half of a small one.
        for (window, step) in [
            (16 * MIB, MIB),
            (4 * MIB, 256 * 1024),
            (MIB, 256 * 1024),
            (400 * 1024, 100 * 1024),
            (256 * 1024, 64 * 1024),
            (128 * 1024, 64 * 1024),
            (100_000, 50_000),
            (1, 1),
        ] {
            let mut flow = open(window);
            consume(&mut flow, step - 1);
            assert_eq!(flow.take_owed(), None, "{window}");
            consume(&mut flow, 1);
            assert_eq!(flow.take_owed(), Some(step), "{window}");
            assert_eq!(flow.granted(), u64::from(window) + u64::from(step));
            assert_eq!(flow.take_owed(), None, "once");
        }
    }

    #[test]
    fn no_credit_is_granted_where_no_data_can_follow() {
        let mut flow = Flow::opening(MIB);
        flow.granted = 0;
        assert_eq!(flow.take_owed(), None, "the peer has not confirmed");
        flow.confirm(0, 0, 0);
        assert!(flow.takes_credit() && flow.measure_is_due());
        for (sending, receiving, takes) in [
            (Half::Eof, Half::Open, true),
            (Half::Closed, Half::Open, false),
            (Half::Open, Half::Eof, false),
            (Half::Open, Half::Closed, false),
        ] {
            (flow.sending, flow.receiving) = (sending, receiving);
            assert_eq!(flow.owed().is_some(), takes, "{sending:?} {receiving:?}");
        }
    }

    #[test]
    fn an_application_lags_when_more_than_a_quarter_of_the_window_waits_for_it() {
        let mut flow = open(1000);
        flow.deliver(Some(250));
        assert!(!flow.lags());
        flow.deliver(Some(1));
        assert!(flow.lags());
        assert!(flow.release(1));
        assert!(!flow.lags());
        flow.deliver(None);
        assert!(!flow.lags(), "nobody can tell");
    }

    #[test]
    fn only_what_has_grown_gives_way_and_only_as_far_as_it_has() {
        let mut flow = open(MIB);
        assert!(!flow.may_yield());
        flow.resize(5 * MIB);
        assert!(flow.may_yield() && !flow.has_yielded());
        flow.give_half();
        assert_eq!(flow.window(), 5 * MIB / 2);
        assert!(flow.has_yielded());
        assert!(!flow.has_yielded(), "it was asked");
        flow.give_half();
        assert_eq!(flow.window(), 5 * MIB / 4);
        flow.give_half();
        assert_eq!(flow.window(), MIB, "where it began");
        assert!(!flow.may_yield());
    }

    #[test]
    fn what_is_sent_counts_against_credit_and_against_the_turn() {
        let mut flow = open(MIB);
        flow.turn(300);
        assert_eq!((flow.credit(), flow.quantum()), (1000, 300));
        flow.sent(200);
        assert_eq!((flow.credit(), flow.quantum()), (800, 100));
        flow.sent(800);
        assert_eq!((flow.credit(), flow.quantum()), (0, 0));
        assert!(flow.allow(u32::MAX) && flow.credit() == u64::from(u32::MAX));
        assert!(!flow.allow(1), "beyond 2^32 - 1");
    }

    #[test]
    fn data_may_be_sent_on_a_channel_that_is_open_and_has_not_said_its_end() {
        let mut flow = Flow::opening(MIB);
        assert!(!flow.may_send() && flow.awaiting() == 1);
        flow.confirm(0, 0, 0);
        assert!(flow.may_send() && flow.awaiting() == 0);
        for sending in [Half::Eof, Half::Closed] {
            flow.sending = sending;
            assert!(!flow.may_send(), "{sending:?}");
        }
        flow.asked.extend([RequestId(1), RequestId(2)]);
        assert_eq!(flow.awaiting(), 2);
    }
}
