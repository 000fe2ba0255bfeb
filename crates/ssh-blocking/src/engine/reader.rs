//! The reader: owns the receiving half, the receive buffer and the input of the socket.
//!
//! Data goes from the receive buffer into the inbox of its channel under no other lock. Everything
//! else is applied with the state locked. It never waits for a write.

use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant as SystemInstant};

use ssh_driver::{Ended, Shared, release};
use ssh_proto::error::{End, Error as CoreError};
use ssh_proto::{
    ChannelEvent, ChannelId, Opened, PeerEvent, RecvBuf, RecvSide, TransportEvent, Wants,
};

use super::{Engine, Inbox, Role, State};

/// How long the reader looks away when the core takes no input for now.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the peer may take to close after our last words.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) struct Reader<R: Role> {
    engine: Arc<Engine>,
    recv: RecvSide,
    rx: RecvBuf,
    role: R,
    /// Inboxes that data went to: no lock is needed to find them.
    known: HashMap<ChannelId, Arc<Inbox>>,
    /// Those that were delivered to since they were last notified.
    touched: Vec<Arc<Inbox>>,
    /// What the socket said.
    io: Option<io::Error>,
    done: bool,
}

impl<R: Role> Reader<R> {
    pub(super) fn new(engine: Arc<Engine>, recv: RecvSide, rx: RecvBuf, role: R) -> Self {
        Self {
            engine,
            recv,
            rx,
            role,
            known: HashMap::new(),
            touched: Vec::new(),
            io: None,
            done: false,
        }
    }

    pub(super) fn run(mut self) {
        while !self.done {
            self.round();
            self.role.unlocked(&self.engine);
            match self.recv.wants() {
                _ if self.done => break,
                Wants::Bytes(need) => self.read(need),
                Wants::Batch => {}
                Wants::Answer | Wants::Output => {
                    let state = self.engine.lock();
                    if state.io.is_some() {
                        // Nothing can be written any more: what was read already is all there is.
                        self.recv.close_input();
                        continue;
                    }
                    let until = SystemInstant::now() + PAUSE;
                    drop(self.engine.wait(state, Some(until)));
                }
                _ => break,
            }
        }
    }

    fn read(&mut self, need: usize) {
        match self.engine.socket.read(self.rx.spare(need)) {
            Ok(0) => self.recv.close_input(),
            Ok(n) => self.rx.filled(n),
            Err(error) => {
                self.io.get_or_insert(error);
                self.recv.close_input();
            }
        }
    }

    /// Everything that can be done with what was read.
    fn round(&mut self) {
        let Self {
            engine,
            recv,
            rx,
            role,
            known,
            touched,
            ..
        } = self;
        let mut end = None;
        let mut batch = rx.batch();
        {
            let mut state = engine.lock();
            state.half.begin_poll(recv);
            while let Some(event) = state.half.pending_event(recv, engine.clock.now()) {
                dispatch(engine, &mut state, role, touched, &mut end, event);
            }
            drop(engine.settle(state));
        }
        let mut controls = false;
        while let Some(opened) = recv.open(&mut batch) {
            match opened {
                Opened::Data {
                    channel,
                    stream,
                    data,
                } => {
                    let inbox = match known.get(&channel) {
                        Some(inbox) => inbox,
                        None => {
                            let found = engine.lock().inboxes.get(channel).cloned();
                            let Some(inbox) = found else { continue };
                            known.entry(channel).or_insert(inbox)
                        }
                    };
                    if !inbox.deliver(stream, data) {
                        controls = true;
                        let mut state = engine.lock();
                        release(state.send(), channel, data.len());
                    }
                    if !touched.last().is_some_and(|last| Arc::ptr_eq(last, inbox)) {
                        touched.push(inbox.clone());
                    }
                }
                Opened::Control(control) => {
                    controls = true;
                    let now = engine.clock.now();
                    let mut state = engine.lock();
                    // A question that nobody answered is refused.
                    state.half.begin_poll(recv);
                    if let Some(event) = state.half.apply(control, recv, now) {
                        if let PeerEvent::Channel(ChannelEvent::Closed { channel, .. }) = &event {
                            known.remove(channel);
                        }
                        dispatch(engine, &mut state, role, touched, &mut end, event);
                    }
                    while let Some(event) = state.half.pending_event(recv, now) {
                        dispatch(engine, &mut state, role, touched, &mut end, event);
                    }
                    drop(state);
                    // Now, and not after everything that was read: what the peer sends in one go
                    // may ask for more than may wait for an answer at a time.
                    role.unlocked(engine);
                }
                _ => {}
            }
        }
        for inbox in touched.drain(..) {
            inbox.notify();
        }
        if controls {
            drop(engine.settle(engine.lock()));
        }
        if let Some(end) = end {
            self.finish(end);
        }
    }

    /// Tells everybody that the connection has ended, and goes.
    fn finish(&mut self, end: End) {
        self.done = true;
        let by_us = matches!(end, End::Error(_));
        let mut state = self.engine.lock();
        let io = state.io.take().or_else(|| self.io.take());
        let ended = Arc::new(Ended::new(end, io));
        state.ended = Some(ended.clone());
        state.inboxes.end(&ended);
        self.engine.pump.notify_one();
        self.engine.progress.notify_all();
        drop(state);
        if !std::thread::panicking() {
            // Code of users: a panic in it while another one unwinds would end the process.
            self.role.ended(&ended);
        }
        if by_us {
            self.engine.socket.drain(FAREWELL);
            self.engine.socket.shutdown(Shutdown::Both);
        }
    }
}

impl<R: Role> Drop for Reader<R> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        // It could not be started, or code of users has panicked in it.
        self.engine.hang_up("");
        self.finish(End::Error(CoreError::Internal("the reader has stopped")));
    }
}

/// What an event means to those who wait.
fn dispatch(
    engine: &Arc<Engine>,
    state: &mut State,
    role: &mut impl Role,
    touched: &mut Vec<Arc<Inbox>>,
    end: &mut Option<End>,
    event: PeerEvent<'_>,
) {
    let event = match event {
        PeerEvent::Ended(how) => {
            *end = Some(how);
            return;
        }
        PeerEvent::Channel(event) => match state.inboxes.event(state.half.side(), touched, event) {
            Some(event) => PeerEvent::Channel(event),
            None => return,
        },
        PeerEvent::Transport(TransportEvent::KeysExchanged) => {
            state.exchanges += 1;
            PeerEvent::Transport(TransportEvent::KeysExchanged)
        }
        other => other,
    };
    role.event(engine, state, event);
}
