//! How large the windows are that we grant (RFC 4254 section 5.2), and when they change.
//!
//! A window must cover what arrives while credit is on its way. How much that is can be counted
//! without a clock: along with credit goes a request that any peer answers at once
//! (`keepalive@openssh.com`), and what the application has released when the answer comes is what
//! a round trip takes, through all queues that credit and data go through. A clock would not do:
//! releases come without the time, and no other order of messages tells a peer that waits for
//! credit from one whose data is under way. The answer to the request moves the window:
//!
//! ```text
//!   window < 2 * consumed   it limits the peer: grow to that, at most to 7/8 of what this channel
//!                           and nobody holds; is that too little, the largest gives half
//!   window > 4 * consumed   too large by far: half of it, not below where it started
//! ```
//!
//! It does not grow while a quarter of it waits for the application, which is then what limits the
//! peer: more would only wait longer, in memory that no cache holds any more.
//!
//! A window that is not consumed is not credited and so neither measured nor moved. Credit cannot
//! be taken back; a window that has become smaller falls to its size as data is released.
//!
//! Invariants: what all channels hold and [`floor`](Mux::floor) for each that may still be opened
//! are together at most `Limits::window_total`; `granted - released <= held` for each channel; one
//! measure is under way at a time, and counts among our unanswered requests.

use super::flow::Flow;
use super::{Asked, ChannelId, Mux};
use crate::error::Misuse;
use crate::message::{ChannelWindowAdjust, GlobalRequest, GlobalRequestType};
use crate::out::Out;

/// What a channel is granted at least.
const MIN_WINDOW: u64 = 1024;
/// The part of `Limits::window_total` that growth leaves for channels that are not open yet.
const FLOORS: u64 = 8;
/// The part of what is left over that a new channel gets beyond its share.
const BOOST: u64 = 16;
/// The size of a request that measures, generously.
const MEASURE_LEN: usize = 64;

/// The consumption of a channel, counted from a request of ours to its answer.
#[derive(Debug)]
pub(super) struct Measure {
    id: ChannelId,
    /// What had been released when the request was sent.
    from: u64,
}

impl Mux {
    /// What is kept for each channel that may still be opened.
    fn floor(&self) -> u64 {
        let limits = self.limits();
        let each = limits.window_total / limits.channels.max(1) as u64;
        (each / FLOORS)
            .max(MIN_WINDOW.min(each))
            .min(u64::from(limits.maximum_packet))
    }

    /// What growth may draw on.
    fn free(&self) -> u64 {
        let to_come = self.limits().channels.saturating_sub(self.open) as u64;
        self.limits()
            .window_total
            .saturating_sub(self.windows_held)
            .saturating_sub(self.floor().saturating_mul(to_come))
    }

    /// A channel's share where all that `Limits::channels` allows are open.
    fn share(&self) -> u64 {
        let limits = self.limits();
        (limits.window_total / limits.channels.max(1) as u64).min(u64::from(limits.maximum_packet))
    }

    /// The window for one more channel: its share, and of what is left when all others have theirs
    /// a small part, so that a few idle channels do not hold everything.
    pub(super) fn next_window(&mut self) -> u32 {
        let limits = self.limits();
        let left = limits.window_total.saturating_sub(self.windows_held);
        let to_come = limits.channels.saturating_sub(self.open) as u64;
        let spare = left.saturating_sub(self.share().saturating_mul(to_come));
        let fair = (self.share() + spare / BOOST).min(u64::from(limits.window));
        let window = fair.min(self.free() + self.floor());
        let window = u32::try_from(window).unwrap_or(u32::MAX);
        if u64::from(window) < fair.min(self.share()) {
            self.reclaim(None, window);
        }
        window
    }

    /// The application is done with `n` bytes.
    pub(super) fn release(&mut self, id: ChannelId, n: usize, out: &mut Out) -> Result<(), Misuse> {
        let released = self.change(id, |flow| flow.release(n));
        if !released.ok_or(Misuse::NoSuchChannel)? {
            return Err(Misuse::ReleasedTooMuch);
        }
        self.grant(id, out);
        Ok(())
    }

    /// Credit that was withheld while messages were held.
    pub(crate) fn flush_credit(&mut self, out: &mut Out) {
        for slot in 0..self.slots.len() {
            let id = u32::try_from(slot).ok().and_then(|slot| self.id(slot));
            if let Some(id) = id {
                self.grant(id, out);
            }
        }
    }

    /// Grants what is owed once it is worth a message, and has it measured what comes of it.
    fn grant(&mut self, id: ChannelId, out: &mut Out) {
        if out.is_holding() {
            return;
        }
        if self.measure.is_none() && self.flow(id).is_some_and(Flow::measure_is_due) {
            self.measure(id, out);
        }
        if let Some(flow) = self.flow_mut(id)
            && let Some(bytes_to_add) = flow.take_owed()
        {
            out.message(&ChannelWindowAdjust {
                recipient_channel: flow.remote(),
                bytes_to_add,
            });
        }
    }

    /// Begins a measure, unless the application's own requests leave no room for it.
    fn measure(&mut self, id: ChannelId, out: &mut Out) {
        let Some(from) = self.flow(id).map(Flow::released) else {
            return;
        };
        // The last place is the application's: a peer that never answers must not have it.
        let leaves_room = self.unanswered + 1 < self.limits().requests_unanswered;
        if !leaves_room || self.may_send(MEASURE_LEN, out).is_err() {
            return;
        }
        if let Ok(request) = self.ask() {
            self.asked.push_back((request, Asked::Measure));
            self.measure = Some(Measure { id, from });
            out.message(&GlobalRequest {
                want_reply: true,
                request: GlobalRequestType::Keepalive,
            });
        }
    }

    /// The answer has come: a round trip has passed.
    pub(super) fn measured(&mut self, out: &mut Out) {
        let Some(Measure { id, from }) = self.measure.take() else {
            return;
        };
        let free = self.free();
        let Some(flow) = self.flow_mut(id) else {
            return;
        };
        let window = flow.window();
        // Whoever answers at once has had no more than a window: an answer that was held back must
        // not be a jump to the limit.
        let consumed = (flow.released() - from).min(u64::from(window));
        let wish = u32::try_from(consumed.saturating_mul(2)).unwrap_or(u32::MAX);
        let mut unmet = false;
        let next = if wish > window && !flow.lags() && !flow.has_yielded() {
            let most = (flow.held() + free) / 8 * 7;
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            unmet = most < wish;
            wish.min(most).max(window)
        } else if wish < window / 2 {
            window / 2
        } else {
            window
        };
        self.change(id, |flow| flow.resize(next));
        if unmet {
            self.reclaim(Some(id), next);
        }
        self.grant(id, out);
    }

    /// A channel with a window of `window` needs more than there is: the largest of the others
    /// gives half of its window, if that leaves it no smaller than this one.
    fn reclaim(&mut self, needy: Option<ChannelId>, window: u32) {
        let largest = self
            .ids()
            .filter(|id| Some(*id) != needy)
            .filter_map(|id| Some((self.flow(id)?, id)))
            .filter(|(flow, _)| flow.may_yield())
            .map(|(flow, id)| (flow.window(), id))
            .max();
        if let Some((largest, id)) = largest
            && largest / 2 >= window
        {
            self.change(id, Flow::give_half);
        }
    }

    /// Changes what decides how much a channel holds, and keeps the sum.
    pub(super) fn change<T>(
        &mut self,
        id: ChannelId,
        change: impl FnOnce(&mut Flow) -> T,
    ) -> Option<T> {
        let flow = self.flow_mut(id)?;
        let before = flow.held();
        let result = change(flow);
        let after = flow.held();
        self.windows_held = self.windows_held.saturating_sub(before) + after;
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::config::TransportConfig;
    use crate::message::{
        ChannelEof, ChannelOpenConfirmation, ChannelOpenType, RequestFailure, Wire,
    };
    use crate::random::testing::SeededRandom;
    use crate::transport::Role;

    /// What the peer and the application do.
    #[derive(Clone, Debug)]
    enum Do {
        Open,
        /// So much of the credit is used; `u16::MAX` is all.
        Send(usize, u16),
        /// So much of what was received is released.
        Release(usize, u16),
        /// The measure under way is answered.
        Answer,
        Eof(usize),
        Close(usize),
    }

    fn action() -> impl Strategy<Value = Do> {
        let part = prop_oneof![Just(u16::MAX), any::<u16>()];
        let channel = 0usize..8;
        prop_oneof![
            2 => Just(Do::Open),
            8 => (channel.clone(), part.clone()).prop_map(|(n, part)| Do::Send(n, part)),
            8 => (channel.clone(), part).prop_map(|(n, part)| Do::Release(n, part)),
            4 => Just(Do::Answer),
            1 => channel.clone().prop_map(Do::Eof),
            1 => channel.prop_map(Do::Close),
        ]
    }

    struct Bench {
        mux: Mux,
        out: Out,
        /// What was received and released, of each channel.
        channels: Vec<(ChannelId, u64, u64)>,
    }

    impl Bench {
        fn new(channels: usize, window_total: u64) -> Self {
            let mut config = TransportConfig::default();
            config.limits.channels = channels;
            config.limits.window_total = window_total;
            let random = Box::new(SeededRandom::new(1));
            Self {
                mux: Mux::new(Role::Client, Arc::new(config), Vec::new()),
                out: Out::new(random, 1 << 20).unwrap(),
                channels: Vec::new(),
            }
        }

        fn open(&mut self) {
            let Ok(id) = self.mux.open(ChannelOpenType::Session, &mut self.out) else {
                assert!(self.channels.len() >= self.mux.limits().channels);
                return;
            };
            let mut confirmation = Vec::new();
            ChannelOpenConfirmation {
                recipient_channel: id.slot,
                sender_channel: id.slot,
                initial_window_size: 0,
                maximum_packet_size: 1024,
            }
            .encode(&mut confirmation);
            self.mux
                .on_confirmation(&confirmation, &mut self.out)
                .unwrap();
            self.channels.push((id, 0, 0));
        }

        fn send(&mut self, n: usize, part: u16) {
            let (id, received, _) = &mut self.channels[n];
            let flow = self.mux.flow(*id).unwrap();
            if flow.receives() {
                let bytes = share_of(flow.granted() - *received, part);
                *received += bytes;
                self.mux.deliver(*id, usize::try_from(bytes).unwrap());
            }
        }

        fn release(&mut self, n: usize, part: u16) {
            let (id, received, released) = &mut self.channels[n];
            let bytes = share_of(*received - *released, part);
            *released += bytes;
            let bytes = usize::try_from(bytes).unwrap();
            self.mux.release(*id, bytes, &mut self.out).unwrap();
        }

        fn answer(&mut self) {
            if self.mux.measure.is_some() {
                let mut failure = Vec::new();
                RequestFailure.encode(&mut failure);
                self.mux
                    .on_global_reply(&failure, false, &mut self.out)
                    .unwrap();
            }
        }

        fn act(&mut self, action: &Do) {
            let n = self.channels.len();
            match *action {
                Do::Open => self.open(),
                Do::Answer => self.answer(),
                _ if n == 0 => {}
                Do::Send(to, part) => self.send(to % n, part),
                Do::Release(of, part) => self.release(of % n, part),
                Do::Eof(of) => {
                    let id = self.channels[of % n].0;
                    if self.mux.flow(id).unwrap().receives() {
                        let mut eof = Vec::new();
                        ChannelEof {
                            recipient_channel: id.slot,
                        }
                        .encode(&mut eof);
                        self.mux.on_eof(&eof).unwrap();
                    }
                }
                Do::Close(which) => {
                    let (id, ..) = self.channels.swap_remove(which % n);
                    self.mux.remove(id.slot);
                }
            }
            let written = self.out.output().len();
            self.out.buf.consume(written);
        }

        fn check(&self) {
            let limits = self.mux.limits();
            let flows = || {
                self.channels
                    .iter()
                    .map(|(id, ..)| self.mux.flow(*id).unwrap())
            };
            let held: u64 = flows().map(Flow::held).sum();
            assert_eq!(held, self.mux.windows_held);
            let to_come = (limits.channels - self.channels.len()) as u64;
            assert!(held + self.mux.floor() * to_come <= limits.window_total);
            let mut out = 0;
            for (flow, (_, received, released)) in flows().zip(&self.channels) {
                assert!(*released <= *received && *received <= flow.granted());
                out += if flow.receives() {
                    flow.granted()
                } else {
                    *received
                } - released;
                assert!(flow.window() >= 1024);
            }
            assert!(out <= limits.window_total, "{out}");
        }

        /// As with a peer that is limited by nothing but its window: all credit that was out when
        /// the measure began is used when its answer comes.
        fn round_trip(&mut self, n: usize) {
            for _ in 0..100 {
                if self.mux.measure.is_some() {
                    break;
                }
                self.send(n, u16::MAX / 16);
                self.release(n, u16::MAX);
            }
            self.send(n, u16::MAX);
            self.release(n, u16::MAX);
            self.answer();
            let written = self.out.output().len();
            self.out.buf.consume(written);
            self.check();
        }

        /// Lets a window have been moved to this size, and its credit granted.
        fn set_window(&mut self, n: usize, window: u32) {
            let id = self.channels[n].0;
            self.mux.change(id, |flow| flow.resize(window));
            self.mux.grant(id, &mut self.out);
        }

        /// In a round trip so much is received and released.
        fn consume(&mut self, n: usize, bytes: u32) {
            let id = self.channels[n].0;
            let flow = self.mux.flow(id).unwrap();
            let from = flow.released();
            let count = usize::try_from(bytes).unwrap();
            self.mux.measure = Some(Measure { id, from });
            self.mux.deliver(id, count);
            assert_eq!(self.mux.change(id, |flow| flow.release(count)), Some(true));
            self.mux.measured(&mut self.out);
        }

        fn windows<const N: usize>(&self) -> [u32; N] {
            core::array::from_fn(|n| self.window(n))
        }

        fn window(&self, n: usize) -> u32 {
            self.mux.flow(self.channels[n].0).unwrap().window()
        }
    }

    fn share_of(all: u64, part: u16) -> u64 {
        all * u64::from(part) / u64::from(u16::MAX)
    }

    proptest! {
        /// Small enough for everything to be scarce.
        #[test]
        fn the_windows_stay_within_the_total(
            channels in 1usize..8,
            total in prop_oneof![Just(8192u64), 8192u64..1 << 20, Just(16 << 20)],
            actions in proptest::collection::vec(action(), 0..400),
        ) {
            let mut bench = Bench::new(channels, total);
            for action in &actions {
                bench.act(action);
                bench.check();
            }
        }
    }

    #[test]
    fn a_peer_that_uses_its_window_up_gets_most_of_the_total_and_no_more() {
        let mut bench = Bench::new(256, 16 << 20);
        bench.open();
        let first = bench.window(0);
        assert!((512 * 1024..1 << 20).contains(&first), "{first}");
        for _ in 0..20 {
            bench.round_trip(0);
        }
        let window = bench.window(0);
        assert!((12 << 20..14 << 20).contains(&window), "{window}");
        // Another one starts with its share of what is left, and grows at the cost of the first.
        bench.open();
        assert!(bench.window(1) >= 32 * 1024, "{}", bench.window(1));
        for _ in 0..40 {
            bench.round_trip(1);
        }
        assert!(bench.window(0) < window / 2, "{}", bench.window(0));
        for _ in 0..200 {
            bench.round_trip(0);
            bench.round_trip(1);
        }
        let (one, other) = (bench.window(0), bench.window(1));
        assert!(one.min(other) > 1 << 20, "{one} {other}");
    }

    #[test]
    fn an_answer_that_is_held_back_doubles_a_window_and_no_more() {
        let mut bench = Bench::new(256, 16 << 20);
        bench.open();
        let first = bench.window(0);
        for _ in 0..1000 {
            bench.send(0, u16::MAX / 4);
            bench.release(0, u16::MAX);
            let written = bench.out.output().len();
            bench.out.buf.consume(written);
        }
        assert!(bench.mux.measure.is_some());
        bench.answer();
        assert!(bench.window(0) <= 2 * first, "{}", bench.window(0));
    }

    #[test]
    fn a_window_does_not_grow_while_much_of_it_waits_for_the_application() {
        let mut bench = Bench::new(256, 16 << 20);
        bench.open();
        let first = bench.window(0);
        for _ in 0..20 {
            while bench.mux.measure.is_none() {
                bench.send(0, u16::MAX / 16);
                bench.release(0, u16::MAX);
            }
            bench.send(0, u16::MAX);
            bench.release(0, u16::MAX);
            // What the credit for that brought is still there when the answer comes.
            bench.send(0, u16::MAX);
            bench.answer();
            assert_eq!(bench.window(0), first);
            bench.release(0, u16::MAX);
            let written = bench.out.output().len();
            bench.out.buf.consume(written);
        }
        bench.round_trip(0);
        assert!(bench.window(0) > first, "it has caught up");
    }

    #[test]
    fn a_window_that_is_used_slowly_falls_back_to_where_it_began() {
        let mut bench = Bench::new(256, 16 << 20);
        bench.open();
        let first = bench.window(0);
        for _ in 0..20 {
            bench.round_trip(0);
        }
        let mut consumed = 0;
        while bench.window(0) > first {
            bench.channels[0].1 += 1024;
            let id = bench.channels[0].0;
            bench.mux.deliver(id, 1024);
            bench.release(0, u16::MAX);
            bench.answer();
            consumed += 1024;
            assert!(consumed < 32 << 20, "{}", bench.window(0));
        }
        assert_eq!(bench.window(0), first);
    }

    #[test]
    fn every_channel_has_a_window_when_one_has_grown_to_everything() {
        for channels in [8, 256, 1000, 16 * 1024] {
            let mut bench = Bench::new(channels, 16 << 20);
            bench.open();
            for _ in 0..20 {
                bench.round_trip(0);
            }
            // Nothing that the first one yields comes back: it is idle, and holds its credit.
            while bench.channels.len() < channels.min(1000) {
                bench.open();
                let n = bench.channels.len() - 1;
                assert!(bench.window(n) >= 1024, "channel {n} of {channels}");
            }
            bench.check();
        }
    }

    #[test]
    fn a_share_and_what_is_kept_for_a_channel_go_with_how_many_there_may_be() {
        for (channels, share, floor) in [
            // No more than a packet, of which an eighth is kept.
            (1, 32 * 1024, 32 * 1024),
            (64, 32 * 1024, 32 * 1024),
            (256, 32 * 1024, 8192),
            (1000, 16777, 2097),
            // But so much that data goes on.
            (4096, 4096, 1024),
            (16 * 1024, 1024, 1024),
            (64 * 1024, 256, 256),
        ] {
            let bench = Bench::new(channels, 16 << 20);
            assert_eq!(bench.mux.share(), share, "{channels}");
            assert_eq!(bench.mux.floor(), floor, "{channels}");
            let kept = floor * channels as u64;
            assert_eq!(bench.mux.free(), (16 << 20) - kept, "{channels}");
        }
    }

    #[test]
    fn a_window_moves_where_its_limits_say() {
        const MIB: u32 = 1 << 20;
        for (consumed, next) in [
            (MIB - 1, 2 * MIB),
            (MIB, 4 * MIB),
            (MIB + MIB / 2, 4 * MIB),
            (2 * MIB, 4 * MIB),
            (2 * MIB + 1, 4 * MIB + 2),
            (4 * MIB, 8 * MIB),
        ] {
            let mut bench = Bench::new(256, 16 << 20);
            bench.open();
            bench.set_window(0, 4 * MIB);
            bench.consume(0, consumed);
            assert_eq!(bench.window(0), next, "{consumed}");
        }
    }

    #[test]
    fn the_largest_gives_half_where_there_is_too_little_and_it_stays_the_larger_one() {
        const MIB: u32 = 1 << 20;
        // Of 16 MiB, 2 are kept for channels that may come; 7/8 of what is left may be taken.
        for (windows, consumed, next) in [
            // There is enough.
            ([6, 1], 1, Some([6 * MIB, 2 * MIB])),
            // There is not.
            ([10, 2], 2, None),
            // There is not, but half of the other one is less than this one gets.
            ([6, 5], 5, Some([6 * MIB, 0])),
            // It needs no more than it has.
            ([10, 4], 2, Some([10 * MIB, 4 * MIB])),
        ] {
            let mut bench = Bench::new(256, 16 << 20);
            for (n, window) in windows.into_iter().enumerate() {
                bench.open();
                bench.set_window(n, window * MIB);
            }
            bench.consume(1, consumed * MIB);
            let after: [u32; 2] = bench.windows();
            match next {
                Some([one, 0]) => assert!(after[0] == one && after[1] > 6 * MIB, "{after:?}"),
                Some(next) => assert_eq!(after, next),
                None => assert!(after[0] == 5 * MIB && after[1] > 3 * MIB, "{after:?}"),
            }
        }
    }

    #[test]
    fn what_is_left_is_enough_where_it_is_exactly_what_is_wished_for() {
        const MIB: u32 = 1 << 20;
        let mut bench = Bench::new(256, 16 << 20);
        bench.open();
        bench.open();
        bench.set_window(1, 3 * MIB);
        let mut largest = 10 * MIB;
        let most = loop {
            bench.set_window(0, largest);
            let held = bench.mux.flow(bench.channels[1].0).unwrap().held();
            let most = (held + bench.mux.free()) / 8 * 7;
            if most.is_multiple_of(2) {
                break u32::try_from(most).unwrap();
            }
            largest -= 8;
        };
        assert!((3 * MIB..4 * MIB).contains(&most), "{most}");
        bench.consume(1, most / 2);
        assert_eq!(bench.windows(), [largest, most]);
    }

    #[test]
    fn a_new_channel_takes_from_the_largest_only_what_its_share_lacks() {
        let mut bench = Bench::new(256, 16 << 20);
        bench.open();
        for _ in 0..20 {
            bench.round_trip(0);
        }
        let largest = bench.window(0);
        loop {
            let n = bench.channels.len();
            bench.open();
            if u64::from(bench.window(n)) < bench.mux.share() {
                break;
            }
            assert_eq!(bench.window(0), largest, "channel {n} has its share");
        }
        assert_eq!(bench.window(0), largest / 2);
    }

    #[test]
    fn a_measure_leaves_the_last_place_to_the_application() {
        for (places, begins) in [(2, false), (3, true)] {
            let mut bench = Bench::new(256, 16 << 20);
            let mut config = TransportConfig::default();
            config.limits.requests_unanswered = places;
            bench.mux.config = Arc::new(config);
            bench.open();
            bench.mux.ask().unwrap();
            bench.send(0, u16::MAX / 2);
            bench.release(0, u16::MAX);
            assert_eq!(bench.mux.measure.is_some(), begins, "{places}");
            assert!(bench.mux.ask().is_ok(), "{places}");
            assert!(bench.mux.ask().is_err(), "{places}");
        }
    }
}
