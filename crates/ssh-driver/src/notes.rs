//! What a server notes down while its state is locked, to ask user code about it afterwards:
//! [`Notes`]; and how many calls of user code run for a connection: [`Handlers`].
//!
//! Sessions are let in at once, since they do nothing; what is asked on them waits in [`Asked`].
//! What is neither noted nor answered is refused by the core. Invariants: `asked` is bounded by the
//! tickets that the core gives out, a channel's environment by [`MAX_ENV`] and [`MAX_ENV_LEN`].

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ssh_proto::kex::Negotiated;
use ssh_proto::message::{ChannelOpenType, ChannelRequestType, TerminalSize};
use ssh_proto::mux::{OpenTicket, RequestTicket};
use ssh_proto::{ChannelEvent, ChannelId, SendSide};
use ssh_server::Admitted;

use crate::error::shown;
use crate::table::{Shared, Table};

/// How many environment variables of a channel are kept.
pub const MAX_ENV: usize = 64;
/// How long one of them may be, name and value together.
const MAX_ENV_LEN: usize = 4096;

/// A connection whose user is in.
#[derive(Debug)]
pub struct Session {
    from: SocketAddr,
    admitted: Admitted,
    negotiated: Option<Negotiated>,
}

impl Session {
    /// Who came from where, over what.
    pub const fn new(from: SocketAddr, admitted: Admitted, negotiated: Option<Negotiated>) -> Self {
        Self {
            from,
            admitted,
            negotiated,
        }
    }

    /// Where the connection comes from.
    pub const fn peer_addr(&self) -> SocketAddr {
        self.from
    }

    /// Who it is, by what proof, and with which restrictions.
    pub const fn admitted(&self) -> &Admitted {
        &self.admitted
    }

    /// Which algorithms were agreed on before the user logged in. A later exchange of keys may have
    /// agreed on others.
    pub const fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    /// The user's name as the client wrote it; show it escaped.
    pub fn user(&self) -> &[u8] {
        &self.admitted.user
    }
}

/// The terminal that a client has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terminal {
    /// The value of TERM; the client's word.
    pub term: Vec<u8>,
    /// Its size when it was asked for; it may have changed since.
    pub size: TerminalSize,
    /// Its modes, encoded (RFC 4254 section 8).
    pub modes: Vec<u8>,
}

/// What was asked for before a program was started.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Setup {
    /// The terminal that was granted.
    pub terminal: Option<Terminal>,
    /// The environment variables that were granted, in order.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A program that a client wants to run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// A command.
    Command(Vec<u8>),
    /// The user's shell.
    Shell,
    /// A subsystem, by its name.
    Subsystem(Vec<u8>),
}

/// What user code is to be asked.
#[derive(Debug)]
pub(crate) enum Asked<S> {
    /// Whether a program may have a terminal: [`Notes::pty`].
    Pty(ChannelId, Arc<S>, Terminal, RequestTicket),
    /// Whether a program may have an environment variable: [`Notes::env`].
    Env(ChannelId, Vec<u8>, Vec<u8>, RequestTicket),
    /// To run a program.
    Start(ChannelId, Arc<S>, Program, RequestTicket),
    /// To connect to a host and port.
    Connect(Vec<u8>, u16, OpenTicket),
}

/// The notes of one connection.
#[derive(Debug)]
pub(crate) struct Notes<S> {
    setups: HashMap<ChannelId, Setup>,
    asked: Vec<Asked<S>>,
}

impl<S> Default for Notes<S> {
    fn default() -> Self {
        Self {
            setups: HashMap::new(),
            asked: Vec::new(),
        }
    }
}

impl<S: Shared> Notes<S> {
    /// An event that does not concern the users of one channel alone.
    pub(crate) fn channel_event(
        &mut self,
        send: &mut SendSide,
        table: &mut Table<S>,
        event: ChannelEvent<'_>,
    ) {
        match event {
            ChannelEvent::OpenRequest {
                channel_type,
                ticket,
            } => self.opening(send, table, channel_type, ticket),
            ChannelEvent::Request {
                channel,
                request,
                ticket,
            } => self.request(send, table, channel, request, ticket),
            ChannelEvent::Closed { channel, .. } => {
                self.setups.remove(&channel);
            }
            // What is not answered is refused.
            _ => {}
        }
    }

    fn opening(
        &mut self,
        send: &mut SendSide,
        table: &mut Table<S>,
        kind: ChannelOpenType<'_>,
        ticket: OpenTicket,
    ) {
        match kind {
            ChannelOpenType::Session => {
                if let Ok(id) = send.accept_channel(ticket) {
                    table.insert(id);
                    self.setups.insert(id, Setup::default());
                }
            }
            ChannelOpenType::DirectTcpip {
                host_to_connect,
                port_to_connect,
                ..
            } => {
                if let Ok(port) = u16::try_from(port_to_connect)
                    && send.defer(&ticket).is_ok()
                {
                    let host = host_to_connect.to_vec();
                    self.asked.push(Asked::Connect(host, port, ticket));
                }
            }
            _ => {}
        }
    }

    fn request(
        &mut self,
        send: &mut SendSide,
        table: &Table<S>,
        channel: ChannelId,
        request: ChannelRequestType<'_>,
        ticket: RequestTicket,
    ) {
        let Some(slot) = table.get(channel).cloned() else {
            return;
        };
        let program = match request {
            ChannelRequestType::Exec { command } => Program::Command(command.to_vec()),
            ChannelRequestType::Shell => Program::Shell,
            ChannelRequestType::Subsystem { subsystem_name } => {
                Program::Subsystem(subsystem_name.to_vec())
            }
            ChannelRequestType::PtyReq { term, size, modes } => {
                if send.defer(&ticket).is_ok() {
                    let (term, modes) = (term.to_vec(), modes.as_encoded().to_vec());
                    let terminal = Terminal { term, size, modes };
                    self.asked.push(Asked::Pty(channel, slot, terminal, ticket));
                }
                return;
            }
            ChannelRequestType::Env {
                variable_name,
                variable_value,
            } => {
                let long = variable_name.len() + variable_value.len() > MAX_ENV_LEN;
                if !long && send.defer(&ticket).is_ok() {
                    let (name, value) = (variable_name.to_vec(), variable_value.to_vec());
                    self.asked.push(Asked::Env(channel, name, value, ticket));
                }
                return;
            }
            ChannelRequestType::WindowChange { size } => {
                slot.update(|mailbox| mailbox.resized(size));
                // Nobody waits for the answer.
                let _ = send.accept_request(ticket);
                return;
            }
            ChannelRequestType::Signal { signal_name } => {
                slot.update(|mailbox| mailbox.signalled(shown(signal_name)));
                let _ = send.accept_request(ticket);
                return;
            }
            _ => return,
        };
        if send.defer(&ticket).is_ok() {
            self.asked
                .push(Asked::Start(channel, slot, program, ticket));
        }
    }

    /// Whether something is to be asked.
    pub(crate) const fn has_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// What is to be asked since this was called last.
    pub(crate) fn take_asked(&mut self) -> Vec<Asked<S>> {
        std::mem::take(&mut self.asked)
    }

    /// Whether the terminal is granted: one for a channel, and only where `allow` says so.
    pub(crate) fn pty(
        &mut self,
        channel: ChannelId,
        slot: &S,
        terminal: Terminal,
        allow: impl FnOnce(&Terminal) -> bool,
    ) -> bool {
        let Some(setup) = self.setups.get_mut(&channel) else {
            return false;
        };
        let granted = setup.terminal.is_none() && allow(&terminal);
        if granted {
            slot.update(|mailbox| mailbox.resized(terminal.size));
            setup.terminal = Some(terminal);
        }
        granted
    }

    /// Whether the variable is granted: within the limits, and only where `allow` says so.
    pub(crate) fn env(
        &mut self,
        channel: ChannelId,
        name: Vec<u8>,
        value: Vec<u8>,
        allow: impl FnOnce(&[u8], &[u8]) -> bool,
    ) -> bool {
        let Some(setup) = self.setups.get_mut(&channel) else {
            return false;
        };
        let granted = setup.env.len() < MAX_ENV && allow(&name, &value);
        if granted {
            setup.env.push((name, value));
        }
        granted
    }

    /// What was granted on a channel so far.
    pub(crate) fn setup(&self, channel: ChannelId) -> Setup {
        self.setups.get(&channel).cloned().unwrap_or_default()
    }
}

/// The calls of user code that run for one connection. `P` is what they keep until the last of them
/// has returned: the place of the connection, so that a client that connects again and again runs
/// into a limit too.
#[derive(Debug)]
pub(crate) struct Handlers<P> {
    most: usize,
    running: Arc<AtomicUsize>,
    place: Arc<P>,
}

/// One call that runs. It counts until this is dropped.
#[derive(Debug)]
pub struct Running<P> {
    count: Arc<AtomicUsize>,
    _place: Arc<P>,
}

impl<P> Drop for Running<P> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<P> Handlers<P> {
    /// At most so many at a time.
    pub(crate) fn new(most: usize, place: P) -> Self {
        Self {
            most,
            running: Arc::default(),
            place: Arc::new(place),
        }
    }

    /// A place for one more.
    pub(crate) fn take(&self) -> Option<Running<P>> {
        let one_more = |running| (running < self.most).then_some(running + 1);
        self.running
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
            .ok()?;
        Some(Running {
            count: self.running.clone(),
            _place: self.place.clone(),
        })
    }
}
