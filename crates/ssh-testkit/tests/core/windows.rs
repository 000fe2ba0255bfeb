//! Windows that grow with what a round trip takes, and fall back: bulk data over simulated links.
//! All times are virtual.

use std::collections::BTreeMap;
use std::time::Duration;

use ssh_proto::client::Credential;
use ssh_proto::server::AuthEvent;
use ssh_proto::{
    ChannelEvent, ChannelId, Client, ClientEvent, Instant, SendSide, Server, ServerEvent,
};
use ssh_testkit::sim::{App, Pair, server_config};

/// What a consumer does with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    AtOnce,
    /// Keeps it.
    Not,
}

/// Channels of one connection that carry data one way, as fast as they may.
struct Bulk {
    /// How many there are to be.
    channels: usize,
    down: bool,
    /// How many of them send by themselves.
    busy: usize,
    /// What consumers do that are not told otherwise.
    reading: Reading,
    opening: usize,
    sending: Vec<ChannelId>,
    receiving: BTreeMap<ChannelId, Consumer>,
    source: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Consumer {
    reading: Reading,
    received: u64,
    kept: usize,
}

impl Bulk {
    fn new(channels: usize, down: bool) -> Self {
        Self {
            channels,
            down,
            busy: channels,
            reading: Reading::AtOnce,
            opening: 0,
            sending: Vec::new(),
            receiving: BTreeMap::new(),
            source: vec![0x5a; 256 * 1024],
        }
    }

    fn received(&self) -> u64 {
        self.receiving.values().map(|c| c.received).sum()
    }

    fn kept(&self) -> usize {
        self.receiving.values().map(|c| c.kept).sum()
    }

    fn stop_reading(&mut self) {
        self.reading = Reading::Not;
        for consumer in self.receiving.values_mut() {
            consumer.reading = Reading::Not;
        }
    }

    /// Everybody sends.
    fn all_busy(&mut self, pair: &mut Pair) {
        self.busy = self.channels;
        for id in &self.sending {
            if self.down {
                self.feed(&mut pair.server.peer, *id);
            } else {
                self.feed(&mut pair.client.peer, *id);
            }
        }
    }

    fn open(&mut self, client: &mut Client) {
        while self.receiving.len() + self.opening < self.channels && self.opening < 50 {
            client.open_session().expect("room");
            self.opening += 1;
        }
    }

    /// Both ends handle channels in the same way.
    fn channel(&mut self, side: &mut SendSide, sends: bool, event: &ChannelEvent<'_>) {
        match event {
            ChannelEvent::Data { channel, data, .. } => {
                let consumer = self.receiving.get_mut(channel).expect("a channel of ours");
                consumer.received += data.len() as u64;
                match consumer.reading {
                    Reading::AtOnce => {
                        let mut channel = side.channel(*channel).expect("open");
                        channel.release(data.len()).expect("received");
                    }
                    Reading::Not => consumer.kept += data.len(),
                }
            }
            ChannelEvent::Writable { channel } if sends => self.feed(side, *channel),
            _ => {}
        }
    }

    fn joined(&mut self, side: &mut SendSide, sends: bool, id: ChannelId) {
        if sends {
            self.sending.push(id);
            if self.sending.len() <= self.busy {
                self.feed(side, id);
            }
        } else {
            let consumer = Consumer {
                reading: self.reading,
                received: 0,
                kept: 0,
            };
            self.receiving.insert(id, consumer);
        }
    }

    fn feed(&self, side: &mut SendSide, id: ChannelId) {
        let mut channel = side.channel(id).expect("open");
        while channel.send(&self.source).expect("open") > 0 {}
    }
}

impl App for Bulk {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, _now: Instant) {
        match event {
            ClientEvent::HostKey { decision, .. } => client.trust(decision).expect("ours"),
            ClientEvent::Authenticate { token, .. } => client
                .authenticate(token, "alice", Credential::None)
                .expect("ours"),
            ClientEvent::Authenticated { .. } => self.open(client),
            ClientEvent::Channel(ChannelEvent::Opened { channel }) => {
                self.opening -= 1;
                self.joined(client, !self.down, channel);
                self.open(client);
            }
            ClientEvent::Channel(event) => self.channel(client, !self.down, &event),
            ClientEvent::Ended(end) => panic!("client: {end}"),
            _ => {}
        }
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, _now: Instant) {
        match event {
            ServerEvent::Auth(AuthEvent::None { decision, .. }) => {
                server.accept(decision).expect("ours");
            }
            ServerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) => {
                let id = server.accept_channel(ticket).expect("room");
                self.joined(server, self.down, id);
            }
            ServerEvent::Channel(event) => self.channel(server, self.down, &event),
            ServerEvent::Ended(end) => panic!("server: {end}"),
            _ => {}
        }
    }
}

/// A link each way of so many bytes a second, with a round trip and as much in its buffers.
fn link(bytes_per_second: u64, round_trip: Duration, buffer: usize) -> Pair {
    let mut pair = Pair::with(1, Default::default(), server_config()).latency(round_trip / 2);
    for link in [&mut pair.up, &mut pair.down] {
        link.bandwidth = Some(bytes_per_second);
        link.capacity = buffer;
    }
    pair
}

/// Lets so much time pass.
fn pass(pair: &mut Pair, app: &mut Bulk, time: Duration) {
    let end = pair.now + time;
    while pair.now < end {
        let soon = (pair.now + Duration::from_secs(1)).min(end);
        let moves = pair.run_until(app, |pair, _| pair.now >= soon);
        assert!(moves, "not even a deadline");
    }
}

const GIGABIT: u64 = 125_000_000;
const FAR: Duration = Duration::from_millis(100);

/// The share of the link that bulk data takes between the third and the thirteenth second.
fn share_of_the_link(down: bool) -> f64 {
    let mut pair = link(GIGABIT, FAR, 64 << 20);
    let mut app = Bulk::new(1, down);
    pass(&mut pair, &mut app, Duration::from_secs(3));
    let (before, began) = (app.received(), pair.now);
    pass(&mut pair, &mut app, Duration::from_secs(10));
    let took = pair.now.since_epoch() - began.since_epoch();
    (app.received() - before) as f64 / took.as_secs_f64() / GIGABIT as f64
}

#[test]
fn a_download_fills_a_long_fat_link() {
    let share = share_of_the_link(true);
    println!("download: {share:.3} of 1 Gb/s at 100 ms");
    assert!(share >= 0.9, "{share}");
}

#[test]
fn an_upload_fills_a_long_fat_link() {
    let share = share_of_the_link(false);
    println!("upload: {share:.3} of 1 Gb/s at 100 ms");
    assert!(share >= 0.9, "{share}");
}

/// With a sender whose buffers hold little more than what is under way: a round trip through them
/// takes not quite 2 MB.
#[test]
fn a_window_grows_no_further_than_a_round_trip_needs() {
    let mut pair = link(GIGABIT / 12, FAR, 1_250_000);
    let mut app = Bulk::new(1, true);
    pass(&mut pair, &mut app, Duration::from_secs(5));
    let before = app.received();
    pass(&mut pair, &mut app, Duration::from_secs(5));
    let share = (app.received() - before) as f64 / 5.0 / (GIGABIT / 12) as f64;
    app.stop_reading();
    pass(&mut pair, &mut app, Duration::from_secs(5));
    println!("{share:.3} of 83 Mb/s with a window of {}", app.kept());
    assert!(share >= 0.9, "{share}");
    assert!(
        (1_040_000..8_000_000).contains(&app.kept()),
        "{}",
        app.kept()
    );
}

#[test]
fn a_channel_that_is_not_read_never_grows() {
    let mut pair = link(GIGABIT, FAR, 64 << 20);
    let mut app = Bulk::new(2, false);
    app.reading = Reading::Not;
    // Until both are open: then one of them is read.
    pair.run_until(&mut app, |_, app| app.receiving.len() == 2);
    let first = *app.receiving.keys().next().expect("two");
    app.receiving.get_mut(&first).expect("it").reading = Reading::AtOnce;
    pass(&mut pair, &mut app, Duration::from_secs(3));
    let kept = app.kept();
    assert!((32 * 1024..1024 * 1024).contains(&kept), "{kept}");
    let before = app.received();
    pass(&mut pair, &mut app, Duration::from_secs(3));
    assert_eq!(app.kept(), kept);
    let share = (app.received() - before) as f64 / 3.0 / GIGABIT as f64;
    assert!(share >= 0.8, "the other one: {share}");
}

/// One has grown to nearly everything when others begin.
#[test]
fn channels_that_need_it_get_their_part_of_what_another_has_grown() {
    for down in [true, false] {
        let mut pair = link(GIGABIT, FAR, 64 << 20);
        let mut app = Bulk::new(4, down);
        app.busy = 1;
        pass(&mut pair, &mut app, Duration::from_secs(3));
        app.all_busy(&mut pair);
        pass(&mut pair, &mut app, Duration::from_secs(10));
        let before: Vec<_> = app.receiving.values().map(|c| c.received).collect();
        pass(&mut pair, &mut app, Duration::from_secs(10));
        let after = app.receiving.values().map(|c| c.received);
        let moved: Vec<_> = after.zip(before).map(|(now, then)| now - then).collect();
        let all: u64 = moved.iter().sum();
        println!("{moved:?}");
        assert!(all as f64 / 10.0 / GIGABIT as f64 >= 0.8, "{moved:?}");
        assert!(moved.iter().all(|n| *n >= all / 12), "{moved:?}");
        app.stop_reading();
        pass(&mut pair, &mut app, Duration::from_secs(3));
        assert!(app.kept() <= 16 << 20, "{}", app.kept());
    }
}

#[test]
fn a_channel_that_has_become_slow_falls_back() {
    let mut pair = link(GIGABIT, FAR, 64 << 20);
    let mut app = Bulk::new(1, true);
    pass(&mut pair, &mut app, Duration::from_secs(3));
    // What had been granted must be used up before the window can be small.
    pair.down.bandwidth = Some(1_000_000);
    pair.down.capacity = 256 * 1024;
    pass(&mut pair, &mut app, Duration::from_secs(60));
    app.stop_reading();
    pass(&mut pair, &mut app, Duration::from_secs(20));
    println!("{} are left of it", app.kept());
    assert!(app.kept() <= 2 << 20, "{}", app.kept());
}

#[test]
fn a_thousand_channels_each_have_a_window_and_together_no_more_than_the_limit() {
    let mut server = server_config();
    let mut client = ssh_proto::ClientConfig::default();
    for limits in [&mut client.transport.limits, &mut server.transport.limits] {
        limits.channels = 1000;
    }
    let mut pair = Pair::with(1, client, server).latency(FAR / 2);
    pair.down.bandwidth = Some(GIGABIT);
    pair.down.capacity = 64 << 20;
    let mut app = Bulk::new(1, true);
    pass(&mut pair, &mut app, Duration::from_secs(3));
    app.channels = 1000;
    app.reading = Reading::Not;
    app.open(&mut pair.client.peer);
    pair.run_until(&mut app, |_, app| app.receiving.len() == 1000);
    app.all_busy(&mut pair);
    pass(&mut pair, &mut app, Duration::from_secs(3));
    app.stop_reading();
    pass(&mut pair, &mut app, Duration::from_secs(3));
    let kept = app.receiving.values().map(|c| c.kept);
    let (least, most) = (kept.clone().min(), kept.max());
    println!("{least:?} to {most:?}, together {}", app.kept());
    assert!(least >= Some(2048), "{least:?}");
    assert!(app.kept() <= 16 << 20, "{}", app.kept());
}
