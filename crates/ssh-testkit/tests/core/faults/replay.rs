//! One side of a recorded session, played alone: what the other side sent is kept, and is given to a
//! new connection of the same seed as often as one likes, changed or not.

use std::fmt::{self, Debug, Formatter};

use ssh_proto::error::End;
use ssh_proto::mux::Stream;
use ssh_proto::{
    ChannelEvent, ChannelId, Client, ClientEvent, Instant, Peer, RecvBuf, Server, ServerEvent,
    Wants,
};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{Echo, Log, Pair, Script};

use super::{mode_configs, session};

const SEED: u64 = 1;

/// What both sides sent in a session of [`session`].
pub(super) struct Recording {
    pub(super) mode: usize,
    up: Vec<u8>,
    down: Vec<u8>,
}

impl Recording {
    pub(super) fn of(mode: usize) -> Self {
        let (client, server) = mode_configs(mode);
        let mut pair = Pair::with(SEED, client, server).recorded();
        let mut app = session();
        assert!(pair.run(&mut app), "{app:#?}");
        app.check();
        let exchanges = app.client.log.0.iter();
        assert_eq!(exchanges.filter(|l| l.contains("KeysExchanged")).count(), 2);
        let [up, down] = [pair.up, pair.down].map(|link| link.transcript.expect("recorded"));
        Self { mode, up, down }
    }
}

/// A role as the subject of a replay.
pub(super) trait Side: Peer + Sized {
    const NAME: &'static str;
    type App;

    /// A new connection, and the application that it had in the recording.
    fn begin(mode: usize) -> (Self, Self::App);
    /// What it heard in the recording.
    fn input(recording: &Recording) -> &[u8];
    fn on(&mut self, app: &mut Self::App, event: Self::Event<'_>);
    fn log(app: Self::App) -> Log;
    fn seen<'e>(event: &'e Self::Event<'_>) -> Seen<'e>;
}

/// What of an event is not in the log.
pub(super) enum Seen<'e> {
    Data(ChannelId, &'e Stream, &'e [u8]),
    Ended(&'e End),
    Other,
}

impl Side for Client {
    const NAME: &'static str = "client";
    type App = Script;

    fn begin(mode: usize) -> (Self, Script) {
        let random = Box::new(SeededRandom::new(SEED));
        let client = Self::new(mode_configs(mode).0, random).expect("a client");
        (client, session().client)
    }

    fn input(recording: &Recording) -> &[u8] {
        &recording.down
    }

    fn on(&mut self, app: &mut Script, event: ClientEvent<'_>) {
        app.on(self, event);
    }

    fn log(app: Script) -> Log {
        app.log
    }

    fn seen<'e>(event: &'e ClientEvent<'_>) -> Seen<'e> {
        match event {
            ClientEvent::Channel(ChannelEvent::Data {
                channel,
                stream,
                data,
            }) => Seen::Data(*channel, stream, data),
            ClientEvent::Ended(end) => Seen::Ended(end),
            _ => Seen::Other,
        }
    }
}

impl Side for Server {
    const NAME: &'static str = "server";
    type App = Echo;

    fn begin(mode: usize) -> (Self, Echo) {
        let random = Box::new(SeededRandom::new(!SEED));
        let server = Self::new(mode_configs(mode).1, random).expect("a server");
        (server, session().server)
    }

    fn input(recording: &Recording) -> &[u8] {
        &recording.up
    }

    fn on(&mut self, app: &mut Echo, event: ServerEvent<'_>) {
        app.on(self, event);
    }

    fn log(app: Echo) -> Log {
        app.log
    }

    fn seen<'e>(event: &'e ServerEvent<'_>) -> Seen<'e> {
        match event {
            ServerEvent::Channel(ChannelEvent::Data {
                channel,
                stream,
                data,
            }) => Seen::Data(*channel, stream, data),
            ServerEvent::Ended(end) => Seen::Ended(end),
            _ => Seen::Other,
        }
    }
}

/// What a replay amounted to.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Run {
    /// The events before the end, without data.
    pub(super) lines: Vec<String>,
    /// The data of each stream of each channel.
    pub(super) data: Vec<(ChannelId, Stream, Vec<u8>)>,
    /// How it ended.
    pub(super) end: Option<String>,
    /// Everything that was sent.
    pub(super) output: Vec<u8>,
}

impl Run {
    /// Nothing was seen here that was not seen there, in the same order.
    #[track_caller]
    pub(super) fn is_beginning_of(&self, whole: &Self, what: &str) {
        assert!(whole.lines.starts_with(&self.lines), "{what}: {self:#?}");
        for (channel, stream, data) in &self.data {
            let mut all = whole.data.iter();
            let same = all.find(|(c, s, _)| (c, s) == (channel, stream));
            let (.., same) = same.expect("a stream with data");
            assert!(same.starts_with(data), "{what}: {channel} {stream:?}");
        }
    }

    pub(super) fn has(&self, words: &str) -> bool {
        self.lines.iter().any(|line| line.starts_with(words))
    }
}

/// Without the output, of which nobody sees anything.
impl Debug for Run {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Run");
        shown.field("lines", &self.lines).field("data", &self.data);
        shown.field("end", &self.end).finish_non_exhaustive()
    }
}

/// A replay that is going on.
pub(super) struct Replay<S: Side> {
    pub(super) peer: S,
    app: S::App,
    rx: RecvBuf,
    run: Run,
    pub(super) now: Instant,
}

impl<S: Side> Replay<S> {
    pub(super) fn new(mode: usize) -> Self {
        let (peer, app) = S::begin(mode);
        Self {
            peer,
            app,
            rx: RecvBuf::new(),
            run: Run::default(),
            now: Instant::EPOCH,
        }
    }

    /// Hears `input`.
    pub(super) fn hear(&mut self, input: &[u8]) {
        self.rx.push(input);
        self.poll();
    }

    /// Hears that there will be nothing more.
    pub(super) fn close(&mut self) {
        self.peer.close_input();
        self.poll();
    }

    /// How many bytes at the end of the input are no whole packet.
    pub(super) fn left(&self) -> usize {
        self.rx.len()
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.run.end.is_some()
    }

    pub(super) fn poll(&mut self) {
        loop {
            while let Some(event) = self.peer.poll_event(&mut self.rx.batch(), self.now) {
                let run = &mut self.run;
                assert!(run.end.is_none(), "{event:?} after the end");
                match S::seen(&event) {
                    Seen::Data(channel, stream, data) => {
                        let known = run.data.iter_mut();
                        match { known }.find(|(c, s, _)| (*c, *s) == (channel, *stream)) {
                            Some((.., all)) => all.extend_from_slice(data),
                            None => run.data.push((channel, *stream, data.to_vec())),
                        }
                    }
                    Seen::Ended(end) => run.end = Some(format!("{end:?}")),
                    Seen::Other => {}
                }
                self.peer.on(&mut self.app, event);
            }
            match self.peer.wants() {
                Wants::Batch => {}
                Wants::Bytes(_) | Wants::Closed => return,
                other => panic!("{other:?}"),
            }
        }
    }

    /// The output is taken only now. Where the connection has ended, nothing moves it any more.
    pub(super) fn finish(mut self) -> Run {
        self.peer.take_output(&mut self.run.output);
        if self.has_ended() {
            assert_eq!(self.peer.wants(), Wants::Closed);
            assert_eq!(self.peer.poll_timeout(self.now), None);
            self.hear(&[0; 100]);
            self.close();
            assert!(self.peer.has_ended() && !self.peer.has_output());
        }
        self.run.lines = S::log(self.app).0;
        if self.run.end.is_some() {
            let last = self.run.lines.pop().expect("an end");
            assert!(last.starts_with("Ended"), "{last}");
        }
        self.run
    }
}

/// A subject of `mode` hears the pieces of `input` that end at `cuts`, and then its end.
pub(super) fn play<S: Side>(mode: usize, input: &[u8], cuts: impl Iterator<Item = usize>) -> Run {
    let mut replay = Replay::<S>::new(mode);
    let mut from = 0;
    for to in cuts.chain([input.len()]) {
        replay.hear(&input[from..to]);
        from = to;
    }
    if !replay.has_ended() {
        replay.close();
    }
    replay.finish()
}

/// As [`play`], in one piece.
pub(super) fn hear<S: Side>(mode: usize, input: &[u8]) -> Run {
    play::<S>(mode, input, std::iter::empty())
}
