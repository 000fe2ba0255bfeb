//! The reader: owns the receiving half, the receive buffer and the input of the socket.
//!
//! Data goes from the receive buffer into the inbox of its channel under no other lock. Everything
//! else is applied with the state locked. It never waits for a write.

use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant as SystemInstant};

use ssh_proto::error::{End, Error as CoreError};
use ssh_proto::{
    ChannelEvent, ChannelId, Opened, PeerEvent, RecvBuf, RecvSide, TransportEvent, Wants,
};

use super::{Engine, Inbox, Role, State};
use crate::channel::ExitStatus;
use crate::error::{Ended, shown};

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
                            let found = engine.lock().inboxes.get(&channel).cloned();
                            let Some(inbox) = found else { continue };
                            known.entry(channel).or_insert(inbox)
                        }
                    };
                    if !inbox.deliver(stream, data) {
                        controls = true;
                        let mut state = engine.lock();
                        release(&mut state, channel, data.len());
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
        let ended = Arc::new(Ended { end, io });
        state.ended = Some(ended.clone());
        for (_, inbox) in state.inboxes.drain() {
            inbox.ended(&ended);
        }
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
        PeerEvent::Channel(event) => match channel_event(state, touched, event) {
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

/// An event that concerns the users of one channel; gives back what concerns the role.
fn channel_event<'b>(
    state: &mut State,
    touched: &mut Vec<Arc<Inbox>>,
    event: ChannelEvent<'b>,
) -> Option<ChannelEvent<'b>> {
    match event {
        ChannelEvent::Opened { channel } => {
            if !state.inboxes.get(&channel)?.opened() {
                let closed = state.send().channel(channel).and_then(|mut c| c.close());
                debug_assert!(closed.is_ok(), "a channel that was just opened");
            }
        }
        ChannelEvent::OpenFailed {
            channel,
            reason,
            description,
        } => {
            let inbox = state.inboxes.remove(&channel)?;
            inbox.refused(reason, shown(description));
        }
        ChannelEvent::Data {
            channel,
            stream,
            data,
        } => {
            let inbox = state.inboxes.get(&channel)?.clone();
            if inbox.deliver(stream, data) {
                touched.push(inbox);
            } else {
                release(state, channel, data.len());
            }
        }
        ChannelEvent::Writable { channel } => state.inboxes.get(&channel)?.writable(),
        ChannelEvent::Eof { channel } => state.inboxes.get(&channel)?.eof(),
        ChannelEvent::Reply {
            channel,
            request,
            success,
        } => state.inboxes.get(&channel)?.replied(request, success),
        ChannelEvent::ExitStatus {
            channel,
            exit_status,
        } => state
            .inboxes
            .get(&channel)?
            .exited(ExitStatus::Exited(exit_status)),
        ChannelEvent::ExitSignal {
            channel,
            signal_name,
            core_dumped,
            error_message,
        } => state.inboxes.get(&channel)?.exited(ExitStatus::Signaled {
            signal: shown(signal_name),
            core_dumped,
            message: shown(error_message),
        }),
        ChannelEvent::Closed { channel, by } => {
            if let Some(inbox) = state.inboxes.remove(&channel) {
                inbox.closed();
            }
            // The role may have notes about it.
            return Some(ChannelEvent::Closed { channel, by });
        }
        other => return Some(other),
    }
    None
}

/// Data that nobody will read is done with at once.
fn release(state: &mut State, channel: ChannelId, n: usize) {
    if let Ok(mut channel) = state.send().channel(channel) {
        // The channel exists and has received this much: it cannot be too much.
        let _ = channel.release(n);
    }
}
