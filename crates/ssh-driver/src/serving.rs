//! A server's side of a connection whose user is in: [`Serving`] notes what is asked, puts it to
//! user code, and holds the requests until that has decided: [`PendingStart`], [`PendingConnect`].
//!
//! Invariants: a request that is dropped is refused. Programs and forwards are counted for as long
//! as user code runs for them, whatever becomes of their channel. One program runs on a channel.

use std::fmt;
use std::sync::Arc;

use ssh_proto::error::Misuse;
use ssh_proto::message::ChannelOpenFailureReason;
use ssh_proto::mux::{OpenTicket, RequestTicket};
use ssh_proto::random::Random;
use ssh_proto::server::ServerEvent;
use ssh_proto::{ChannelId, PeerEvent};
use ssh_server::HostKeys;

use crate::core_state::Core;
use crate::error::Error;
use crate::intake::Host;
use crate::mailbox::Mailbox;
use crate::notes::{Asked, Handlers, Notes, Program, Running, Session, Setup, Terminal};
use crate::table::Shared;

/// A driver's connection, for code that changes it and does not care how it waits.
pub trait Driven: Host<Self::Slot> + Sized {
    /// Its mailboxes.
    type Slot: Shared;

    /// Changes the core and does what follows every change.
    fn settled<R>(&self, change: impl FnOnce(&mut Core<Self::Slot>) -> R) -> R;

    /// What a misuse means to whoever called.
    fn error(&self, misuse: Misuse) -> Error;
}

/// What user code decides at once, and what it is called for.
pub trait Serve<D: Driven, P> {
    /// Whether a program may have a terminal.
    fn pty(&mut self, session: &Session, terminal: &Terminal) -> bool;
    /// Whether a program may have an environment variable.
    fn env(&mut self, session: &Session, name: &[u8], value: &[u8]) -> bool;
    /// Runs a program. `running` is to live for as long as user code does.
    fn start(&mut self, program: Program, request: PendingStart<D>, running: Running<P>);
    /// Makes a connection. `running` is to live for as long as user code does.
    fn connect(&mut self, request: PendingConnect<D>, running: Running<P>);
}

/// What a server does with events of one connection.
pub struct Serving<D: Driven, P> {
    session: Arc<Session>,
    host_keys: HostKeys,
    notes: Notes<D::Slot>,
    handlers: Handlers<P>,
}

impl<D: Driven, P> Serving<D, P> {
    /// At most `handlers` programs and forwards at a time; `place` is kept until the last of them
    /// has returned.
    pub fn new(session: Arc<Session>, host_keys: HostKeys, handlers: usize, place: P) -> Self {
        Self {
            session,
            host_keys,
            notes: Notes::default(),
            handlers: Handlers::new(handlers, place),
        }
    }

    /// Whose connection it is.
    pub const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// An event, with the core locked.
    pub fn event(
        &mut self,
        core: &mut Core<D::Slot>,
        event: PeerEvent<'_>,
        random: &mut dyn Random,
    ) {
        match event {
            PeerEvent::Channel(event) => {
                let (send, table) = core.parts();
                self.notes.channel_event(send, table, event);
            }
            PeerEvent::Server(ServerEvent::Sign(request)) => {
                if let Some(server) = core.server() {
                    // Misuse is the end of the connection, and that is an event of its own.
                    let _ = self.host_keys.sign(request, server, random);
                }
            }
            // What is not answered is refused.
            _ => {}
        }
    }

    /// Whether there is something to put to user code.
    pub const fn has_asked(&self) -> bool {
        self.notes.has_asked()
    }

    /// Puts what was asked to user code, with nothing locked.
    pub fn ask(&mut self, driven: &Arc<D>, code: &mut impl Serve<D, P>) {
        for asked in self.notes.take_asked() {
            let (granted, ticket) = match asked {
                Asked::Pty(channel, slot, terminal, ticket) => {
                    let allow = |terminal: &Terminal| code.pty(&self.session, terminal);
                    (self.notes.pty(channel, &slot, terminal, allow), ticket)
                }
                Asked::Env(channel, name, value, ticket) => {
                    let allow = |name: &[u8], value: &[u8]| code.env(&self.session, name, value);
                    (self.notes.env(channel, name, value, allow), ticket)
                }
                Asked::Start(channel, slot, program, ticket) => {
                    let request = PendingStart::new(
                        driven.clone(),
                        self.session.clone(),
                        self.notes.setup(channel),
                        (channel, slot),
                        ticket,
                    );
                    // What is dropped here is refused.
                    if let Some((request, running)) = request.zip(self.handlers.take()) {
                        code.start(program, request, running);
                    }
                    continue;
                }
                Asked::Connect(host, port, ticket) => {
                    let mut request = PendingConnect {
                        driven: driven.clone(),
                        session: self.session.clone(),
                        host,
                        port,
                        ticket: Some(ticket),
                    };
                    match self.handlers.take() {
                        Some(running) => code.connect(request, running),
                        None => request.reject(ChannelOpenFailureReason::RESOURCE_SHORTAGE, ""),
                    }
                    continue;
                }
            };
            // The channel may be gone, and then nobody wants the answer.
            let _ = driven.settled(|core| {
                if granted {
                    core.send().accept_request(ticket)
                } else {
                    core.send().refuse_request(ticket)
                }
            });
        }
    }
}

impl<D: Driven, P> fmt::Debug for Serving<D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// A request to start a program. Dropped, it is refused.
#[must_use = "a request that is dropped is refused"]
pub struct PendingStart<D: Driven> {
    driven: Arc<D>,
    session: Arc<Session>,
    setup: Setup,
    channel: ChannelId,
    slot: Arc<D::Slot>,
    ticket: Option<RequestTicket>,
}

impl<D: Driven> PendingStart<D> {
    /// The channel is reserved for this program until it is refused. `None` if another one runs
    /// on it, has run, or is still being decided on: then it is refused here.
    fn new(
        driven: Arc<D>,
        session: Arc<Session>,
        setup: Setup,
        (channel, slot): (ChannelId, Arc<D::Slot>),
        ticket: RequestTicket,
    ) -> Option<Self> {
        //= rfc4254#section-6.5
        //# Only one of these requests can succeed per channel.
        if !slot.update(Mailbox::occupy) {
            let _ = driven.settled(|core| core.send().refuse_request(ticket));
            return None;
        }
        Some(Self {
            driven,
            session,
            setup,
            channel,
            slot,
            ticket: Some(ticket),
        })
    }

    /// Who asks.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What was granted before.
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The program runs: what its channel is made of.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the client has closed the channel, or if it took too long and was
    /// refused; [`Error::Ended`].
    pub fn accept(mut self) -> Result<Accepted<D>, Error> {
        let Some(ticket) = self.ticket.take() else {
            return Err(Error::Closed);
        };
        if let Err(misuse) = self
            .driven
            .settled(|core| core.send().accept_request(ticket))
        {
            self.slot.update(Mailbox::vacate);
            return Err(match misuse {
                // The ticket has gone with its channel, or with its time.
                Misuse::Token => Error::Closed,
                misuse => self.driven.error(misuse),
            });
        }
        Ok(Accepted {
            driven: self.driven.clone(),
            channel: self.channel,
            slot: self.slot.clone(),
        })
    }
}

impl<D: Driven> Drop for PendingStart<D> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            // Before the client knows, and asks for something else.
            self.slot.update(Mailbox::vacate);
            // Its time may be over: then it is refused already.
            let _ = self
                .driven
                .settled(|core| core.send().refuse_request(ticket));
        }
    }
}

impl<D: Driven> fmt::Debug for PendingStart<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingStart")
            .field("session", &self.session)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

/// What the channel of a request that was accepted is made of.
#[derive(Debug)]
pub struct Accepted<D: Driven> {
    /// The connection.
    pub driven: Arc<D>,
    /// The channel.
    pub channel: ChannelId,
    /// Its mailbox.
    pub slot: Arc<D::Slot>,
}

/// A request to connect to somewhere. Dropped, it is refused.
#[must_use = "a request that is dropped is refused"]
pub struct PendingConnect<D: Driven> {
    driven: Arc<D>,
    session: Arc<Session>,
    host: Vec<u8>,
    port: u16,
    ticket: Option<OpenTicket>,
}

impl<D: Driven> PendingConnect<D> {
    /// Who asks.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Where to, as the client wrote it: a name or an address.
    pub fn host(&self) -> &[u8] {
        &self.host
    }

    /// To which port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The connection is there: what its channel is made of.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] if it took too long; [`Error::Ended`].
    pub fn accept(mut self) -> Result<Accepted<D>, Error> {
        let Some(ticket) = self.ticket.take() else {
            return Err(Error::Closed);
        };
        // Settled also where it failed: the client may be owed a refusal.
        let opened = self.driven.settled(|core| {
            let (send, table) = core.parts();
            send.accept_channel(ticket)
                .map(|channel| (channel, table.insert(channel)))
        });
        let (channel, slot) = opened.map_err(|misuse| self.driven.error(misuse))?;
        Ok(Accepted {
            driven: self.driven.clone(),
            channel,
            slot,
        })
    }

    /// There is no such connection; `why` is for the client's user to read.
    pub fn refuse(mut self, why: &str) {
        self.reject(ChannelOpenFailureReason::CONNECT_FAILED, why);
    }

    fn reject(&mut self, reason: ChannelOpenFailureReason, why: &str) {
        if let Some(ticket) = self.ticket.take() {
            // Its time may be over: then it is refused already.
            let _ = self
                .driven
                .settled(|core| core.send().reject_channel(ticket, reason, why));
        }
    }
}

impl<D: Driven> Drop for PendingConnect<D> {
    fn drop(&mut self) {
        self.reject(ChannelOpenFailureReason::ADMINISTRATIVELY_PROHIBITED, "");
    }
}

impl<D: Driven> fmt::Debug for PendingConnect<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingConnect")
            .field("session", &self.session)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
