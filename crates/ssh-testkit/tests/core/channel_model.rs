//! Row X18: many channels at once, each of which does what a model of one channel does.
//!
//! A seed decides what the peer and the application do next: open, send on either stream, adjust,
//! release, end, close. The model knows no messages: it counts, for each channel and direction,
//! what was sent, what may be sent, and who has ended. What arrives is the n-th byte of its channel
//! and stream, in order, once.

use std::collections::BTreeMap;

use ssh_proto::message::{
    ChannelClose, ChannelData, ChannelEof, ChannelExtendedData, ChannelOpen,
    ChannelOpenConfirmation, ChannelOpenType, ChannelWindowAdjust, ExtendedDataType, Wire,
};
use ssh_proto::mux::Stream;
use ssh_proto::{ChannelEvent, ChannelId, Client, PeerEvent, Role, Server};
use ssh_testkit::raw::{Bench, Stage, Subject};
use ssh_testkit::rng::SeededRandom;

/// The byte at `at` of what this side of a channel sends.
fn byte(channel: u32, stream: Stream, ours: bool, at: u64) -> u8 {
    let salt = u64::from(channel) * 7 + u64::from(ours) * 3 + u64::from(stream != Stream::Data);
    (at.wrapping_mul(31) ^ (at >> 8) ^ salt) as u8
}

fn bytes(channel: u32, stream: Stream, ours: bool, at: u64, n: u64) -> Vec<u8> {
    (at..at + n)
        .map(|at| byte(channel, stream, ours, at))
        .collect()
}

/// What one side has done on a channel.
#[derive(Debug, Default)]
struct Side {
    /// Bytes sent, on each stream, and how many of them have arrived.
    sent: [u64; 2],
    arrived: [u64; 2],
    /// What may be sent altogether.
    allowed: u64,
    ended: bool,
    /// The other side has heard of the end.
    end_arrived: bool,
    closed: bool,
}

impl Side {
    fn credit(&self) -> u64 {
        self.allowed - self.sent[0] - self.sent[1]
    }
}

const fn stream(index: usize) -> Stream {
    match index {
        0 => Stream::Data,
        _ => Stream::Extended(1),
    }
}

#[derive(Debug)]
struct Model {
    id: ChannelId,
    /// The subject's number of it; the peer's is `name`.
    slot: u32,
    subject: Side,
    peer: Side,
    /// Delivered and not released.
    unread: u64,
}

/// By the peer's number, which is never used twice.
struct World<P: Subject> {
    bench: Bench<P>,
    channels: BTreeMap<u32, Model>,
    names: BTreeMap<ChannelId, u32>,
    next: u32,
    /// Where the payloads begin that the model has not seen.
    seen: usize,
    most: usize,
    rng: SeededRandom,
    counts: [u64; 10],
    sent: u64,
}

const WINDOW: u32 = 4096;
const PACKET: u32 = 2048;

impl<P: Subject> World<P> {
    fn new(seed: u64, most: usize) -> Self {
        let mut config = P::config();
        let limits = &mut P::transport(&mut config).limits;
        limits.channels = most;
        limits.window_total = limits.window_total.max(most as u64 * u64::from(WINDOW) * 2);
        limits.window = WINDOW;
        limits.maximum_packet = PACKET;
        limits.requests_unanswered = 8;
        let bench = Bench::with(config, true).up_to(Stage::Connected);
        Self {
            seen: bench.raw.got.len(),
            bench,
            channels: BTreeMap::new(),
            names: BTreeMap::new(),
            next: 0,
            most,
            rng: SeededRandom::new(seed),
            counts: [0; 10],
            sent: 0,
        }
    }

    fn pick(&mut self) -> Option<u32> {
        let n = self.rng.below(self.channels.len().max(1) as u64);
        let n = usize::try_from(n).expect("few");
        self.channels.keys().nth(n).copied()
    }

    fn step(&mut self) {
        let what = self.rng.below(10);
        if what == 0 || self.channels.len() < self.most / 2 {
            if self.channels.len() < self.most {
                self.counts[0] += 1;
                self.open();
            }
            return;
        }
        let Some(name) = self.pick() else { return };
        let n = self.rng.below(3000);
        let which = usize::from(self.rng.below(4) == 0);
        self.counts[usize::try_from(what).expect("ten")] += 1;
        let model = self.channels.get_mut(&name).expect("picked");
        let slot = model.slot;
        match what {
            1..=3 if !model.peer.ended && !model.peer.closed => {
                let n = n.min(model.peer.credit()).min(u64::from(PACKET));
                let data = bytes(name, stream(which), false, model.peer.sent[which], n);
                model.peer.sent[which] += n;
                if which == 0 {
                    self.bench.raw.message(&ChannelData {
                        recipient_channel: slot,
                        data: &data,
                    });
                } else {
                    self.bench.raw.message(&ChannelExtendedData {
                        recipient_channel: slot,
                        data_type_code: ExtendedDataType(1),
                        data: &data,
                    });
                }
            }
            4 | 5 if !model.subject.ended && !model.subject.closed => {
                let at = model.subject.sent[which];
                let data = bytes(name, stream(which), true, at, n);
                let mut handle = self.bench.peer.channel(model.id).expect("open");
                let sent = handle.send_on(stream(which), &data).expect("open") as u64;
                // Less, while others stand in line for the room there is.
                assert!(sent <= n.min(model.subject.credit()), "the window decides");
                model.subject.sent[which] += sent;
                self.sent += sent;
            }
            6 if !model.peer.closed => {
                let n = u32::try_from(n).expect("small");
                model.subject.allowed += u64::from(n);
                self.bench.raw.message(&ChannelWindowAdjust {
                    recipient_channel: slot,
                    bytes_to_add: n,
                });
            }
            7 if !model.subject.closed => {
                let n = n.min(model.unread);
                model.unread -= n;
                let mut handle = self.bench.peer.channel(model.id).expect("open");
                let n = usize::try_from(n).expect("small");
                handle.release(n).expect("delivered");
            }
            8 => self.end(name),
            9 if self.rng.below(3) == 0 => self.close(name),
            _ => {}
        }
    }

    fn open(&mut self) {
        self.deliver();
        let name = self.next;
        self.next += 1;
        let before = self.bench.seen.channels.len();
        let (slot, granted) = if P::ROLE == Role::Server {
            self.bench.message(&ChannelOpen {
                sender_channel: name,
                initial_window_size: WINDOW,
                maximum_packet_size: PACKET,
                channel_type: ChannelOpenType::Session,
            });
            let answer = self.answer(91);
            let answer = ChannelOpenConfirmation::decode(&answer).expect("a confirmation");
            assert_eq!(answer.recipient_channel, name);
            (answer.sender_channel, answer.initial_window_size)
        } else {
            self.bench.peer.open_session().expect("room");
            self.bench.turn();
            let open = self.answer(90);
            let open = ChannelOpen::decode(&open).expect("an open");
            self.bench.message(&ChannelOpenConfirmation {
                recipient_channel: open.sender_channel,
                sender_channel: name,
                initial_window_size: WINDOW,
                maximum_packet_size: PACKET,
            });
            (open.sender_channel, open.initial_window_size)
        };
        let id = self.bench.seen.channels.pop().expect("opened");
        assert_eq!(self.bench.seen.channels.len(), before);
        assert!(self.names.insert(id, name).is_none(), "an id is used once");
        let side = |allowed: u32| Side {
            allowed: u64::from(allowed),
            ..Side::default()
        };
        self.channels.insert(
            name,
            Model {
                id,
                slot,
                subject: side(WINDOW),
                peer: side(granted),
                unread: 0,
            },
        );
    }

    /// The last message, which is this one; the others before it are looked at too.
    fn answer(&mut self, number: u8) -> Vec<u8> {
        let answer = self.bench.raw.got.pop().expect("an answer");
        assert_eq!(answer[0], number);
        self.look();
        answer
    }

    fn end(&mut self, name: u32) {
        let model = self.channels.get_mut(&name).expect("picked");
        if self.rng.below(2) == 0 {
            if !model.peer.ended && !model.peer.closed {
                model.peer.ended = true;
                self.bench.raw.message(&ChannelEof {
                    recipient_channel: model.slot,
                });
            }
        } else if !model.subject.ended && !model.subject.closed {
            model.subject.ended = true;
            let mut handle = self.bench.peer.channel(model.id).expect("open");
            handle.eof().expect("open");
        }
    }

    fn close(&mut self, name: u32) {
        let model = self.channels.get_mut(&name).expect("picked");
        if self.rng.below(2) == 0 && !model.peer.closed {
            model.peer.closed = true;
            self.bench.raw.message(&ChannelClose {
                recipient_channel: model.slot,
            });
        } else if !model.subject.closed {
            model.subject.closed = true;
            let mut handle = self.bench.peer.channel(model.id).expect("open");
            handle.close().expect("open");
        }
        // Both hear of it now: a number may be used again afterwards.
        self.deliver();
    }

    /// Lets everything arrive and compares.
    fn deliver(&mut self) {
        let (channels, names) = (&mut self.channels, &mut self.names);
        self.bench.turn_with(|_, event, seen| match event.into() {
            PeerEvent::Channel(ChannelEvent::Data {
                channel,
                stream: on,
                data,
            }) => {
                let name = names[&channel];
                let model = channels.get_mut(&name).expect("it exists");
                assert!(!model.subject.closed, "we have closed it");
                assert!(!model.peer.end_arrived, "behind the end");
                let which = usize::from(on != Stream::Data);
                let at = model.peer.arrived[which];
                assert_eq!(data, bytes(name, on, false, at, data.len() as u64));
                model.peer.arrived[which] += data.len() as u64;
                model.unread += data.len() as u64;
            }
            PeerEvent::Channel(ChannelEvent::Eof { channel }) => {
                let model = channels.get_mut(&names[&channel]).expect("it exists");
                assert!(model.peer.ended && !model.peer.end_arrived);
                model.peer.end_arrived = true;
            }
            PeerEvent::Channel(ChannelEvent::Closed { channel, .. }) => {
                let name = names.remove(&channel).expect("closed once");
                assert!(channels[&name].peer.closed || channels[&name].subject.closed);
            }
            PeerEvent::Channel(ChannelEvent::Writable { .. }) => {}
            PeerEvent::Ended(end) => panic!("{end:?}"),
            _ => seen.events += 1,
        });
        self.look();
        self.compare();
    }

    /// What the peer was sent.
    fn look(&mut self) {
        let got: Vec<Vec<u8>> = self.bench.raw.got.drain(self.seen..).collect();
        for payload in got {
            if payload[0] == 80 {
                // A round trip is measured, because windows grow with what they carry.
                self.bench.raw.payload(&[82]);
                continue;
            }
            let name = u32::from_be_bytes(*payload[1..].first_chunk().expect("a number"));
            let model = self.channels.get_mut(&name).expect("it exists");
            assert!(
                !(model.subject.closed && model.subject.end_arrived),
                "{payload:?}"
            );
            match payload[0] {
                93 => {
                    let adjust = ChannelWindowAdjust::decode(&payload).expect("valid");
                    model.peer.allowed += u64::from(adjust.bytes_to_add);
                }
                94 | 95 => {
                    let which = usize::from(payload[0] == 95);
                    let data = if which == 0 {
                        ChannelData::decode(&payload).expect("valid").data
                    } else {
                        ChannelExtendedData::decode(&payload).expect("valid").data
                    };
                    assert!(data.len() <= PACKET as usize);
                    let at = model.subject.arrived[which];
                    let n = data.len() as u64;
                    assert_eq!(data, bytes(name, stream(which), true, at, n));
                    model.subject.arrived[which] += n;
                }
                96 => assert!(model.subject.ended, "{name}"),
                97 => {
                    // Ours, or the answer to the peer's.
                    assert!(model.subject.closed || model.peer.closed);
                    model.subject.closed = true;
                    model.subject.end_arrived = true;
                    if !model.peer.closed {
                        model.peer.closed = true;
                        self.bench.raw.message(&ChannelClose {
                            recipient_channel: model.slot,
                        });
                    }
                }
                other => panic!("{other} on channel {name}"),
            }
        }
    }

    fn compare(&mut self) {
        // The close that was the answer arrives too.
        if self
            .channels
            .values()
            .any(|m| m.subject.closed && m.peer.closed)
        {
            let names = &mut self.names;
            self.bench.turn_with(|_, event, _| {
                if let PeerEvent::Channel(ChannelEvent::Closed { channel, .. }) = event.into() {
                    names.remove(&channel);
                }
            });
        }
        for model in self.channels.values() {
            if !model.subject.closed {
                assert_eq!(model.peer.sent, model.peer.arrived, "nothing is lost");
                assert_eq!(model.peer.ended, model.peer.end_arrived);
            }
            assert_eq!(model.subject.sent, model.subject.arrived);
            assert!(model.peer.credit() <= u64::from(WINDOW) * 64);
        }
        self.channels
            .retain(|_, m| !(m.subject.closed && m.peer.closed));
        assert_eq!(self.bench.peer.channels(), self.channels.len());
        assert_eq!(self.names.len(), self.channels.len());
        self.bench.lives(&"equal");
    }
}

fn run<P: Subject>(seed: u64, most: usize, steps: usize) {
    let mut world = World::<P>::new(seed, most);
    for n in 0..steps {
        world.step();
        if n % 16 == 0 {
            world.deliver();
        }
    }
    world.deliver();
    let counts = world.counts;
    assert!(counts.iter().all(|n| *n > 0), "{counts:?}");
    assert!(world.sent > steps as u64 * 50, "{}", world.sent);
    assert!(world.channels.len() > most / 4, "{}", world.channels.len());
}

#[test]
fn x18_many_channels_do_what_the_model_does() {
    for seed in 0..4 {
        run::<Client>(seed, 300, 6000);
        run::<Server>(seed, 300, 6000);
    }
}

#[test]
#[ignore = "ten thousand of them"]
fn long_x18_ten_thousand_channels_do_what_the_model_does() {
    run::<Client>(1, 10_000, 200_000);
    run::<Server>(1, 10_000, 200_000);
}
