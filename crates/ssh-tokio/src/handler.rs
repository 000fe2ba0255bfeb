//! What a server does for its users: [`Handler`], and the requests that it gets.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use ssh_driver::{Ended, Error, Mailbox, Session, Setup, Terminal};
use ssh_proto::ChannelId;
use ssh_proto::error::Misuse;
use ssh_proto::message::ChannelOpenFailureReason;
use ssh_proto::mux::{OpenTicket, RequestTicket};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::channel::Channel;
use crate::engine::{Engine, Inbox};
use crate::forward::relay;
use crate::line::Line;

/// What a server does for its users. What is not overridden is refused.
///
/// Each [`exec`](Self::exec), [`shell`](Self::shell), [`subsystem`](Self::subsystem) and
/// [`direct_tcpip`](Self::direct_tcpip) runs in a task of its own, of which there are at most
/// [`ServerOptions::handlers`](crate::ServerOptions::handlers) for a connection. Return when the
/// channel is closed: the task counts for as long as it runs, and so does its connection. A request
/// that is dropped without being accepted is refused.
#[expect(unused_variables, reason = "the names say what an implementation gets")]
pub trait Handler: Send + Sync + 'static {
    /// A command.
    fn exec(&self, request: Start, command: Vec<u8>) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// The user's shell.
    fn shell(&self, request: Start) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// A subsystem, such as `sftp`.
    fn subsystem(&self, request: Start, name: Vec<u8>) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// A connection to a host and port (RFC 4254 section 7.2). The host is the client's word: it
    /// may be a name or an address, and be meant to reach what only this machine can reach.
    fn direct_tcpip(&self, request: Connect) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Whether a program may have a terminal. Called by the task of the connection.
    fn pty(&self, session: &Session, terminal: &Terminal) -> bool {
        false
    }

    /// Whether a program may have this environment variable. Called by the task of the connection.
    fn env(&self, session: &Session, name: &[u8], value: &[u8]) -> bool {
        false
    }

    /// Whether a password is right, where the users said
    /// [`PasswordCheck::Outside`](ssh_server::PasswordCheck). May take its time.
    fn password(
        &self,
        from: SocketAddr,
        user: Vec<u8>,
        password: Zeroizing<Vec<u8>>,
    ) -> impl Future<Output = bool> + Send {
        async { false }
    }

    /// A user is in.
    fn logged_in(&self, session: &Session) {}

    /// Somebody came and did not get in.
    fn login_failed(&self, from: SocketAddr, error: &Error) {}

    /// The connection of a user has ended.
    fn ended(&self, session: &Session, ended: &Ended) {}
}

/// A request to start a program. Dropped, it is refused.
#[must_use = "a request that is dropped is refused"]
pub struct Start {
    engine: Arc<Engine>,
    session: Arc<Session>,
    setup: Setup,
    channel: ChannelId,
    inbox: Arc<Inbox>,
    ticket: Option<RequestTicket>,
}

impl Start {
    /// The channel is reserved for this program until it is refused. `None` if another one runs
    /// on it, has run, or is still being decided on: then it is refused here.
    pub(crate) fn new(
        engine: Arc<Engine>,
        session: Arc<Session>,
        setup: Setup,
        channel: ChannelId,
        inbox: Arc<Inbox>,
        ticket: RequestTicket,
    ) -> Option<Self> {
        //= rfc4254#section-6.5
        //# Only one of these requests can succeed per channel.
        if !inbox.with(Mailbox::occupy) {
            let _ = engine.change(|send| send.refuse_request(ticket));
            return None;
        }
        Some(Self {
            engine,
            session,
            setup,
            channel,
            inbox,
            ticket: Some(ticket),
        })
    }

    /// Who asks.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The terminal that was granted.
    pub const fn terminal(&self) -> Option<&Terminal> {
        self.setup.terminal.as_ref()
    }

    /// The environment variables that were granted, in order.
    pub fn env(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.setup.env
    }

    /// The program runs: its data goes over the channel.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the client has closed the channel, or if it took too long and was
    /// refused; [`Error::Ended`].
    pub fn accept(mut self) -> Result<Channel, Error> {
        let Some(ticket) = self.ticket.take() else {
            return Err(Error::Closed);
        };
        if let Err(error) = self.engine.change(|send| send.accept_request(ticket)) {
            self.inbox.with(Mailbox::vacate);
            return Err(match error {
                // The ticket has gone with its channel, or with its time.
                Error::Misuse(Misuse::Token) => Error::Closed,
                error => error,
            });
        }
        let (engine, inbox) = (self.engine.clone(), self.inbox.clone());
        let channel = Channel::new(Line::new(engine, self.channel, inbox, None, None));
        channel.ignore_stderr();
        Ok(channel)
    }

    /// The program does not run.
    pub fn refuse(self) {}
}

impl Drop for Start {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.inbox.with(Mailbox::vacate);
            // Its time may be over: then it is refused already.
            let _ = self.engine.change(|send| send.refuse_request(ticket));
        }
    }
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start")
            .field("session", &self.session)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

/// A request to connect to somewhere. Dropped, it is refused.
#[must_use = "a request that is dropped is refused"]
pub struct Connect {
    engine: Arc<Engine>,
    session: Arc<Session>,
    host: Vec<u8>,
    port: u16,
    ticket: Option<OpenTicket>,
}

impl Connect {
    pub(crate) const fn new(
        engine: Arc<Engine>,
        session: Arc<Session>,
        host: Vec<u8>,
        port: u16,
        ticket: OpenTicket,
    ) -> Self {
        Self {
            engine,
            session,
            host,
            port,
            ticket: Some(ticket),
        }
    }

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

    /// The connection is there: its data goes over the channel.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] if it took too long; [`Error::Ended`].
    pub fn accept(mut self) -> Result<Channel, Error> {
        let Some(ticket) = self.ticket.take() else {
            return Err(Error::Closed);
        };
        let mut state = self.engine.lock();
        let opened = state.send().accept_channel(ticket);
        let opened = opened
            .map(|id| (id, state.core.table().insert(id)))
            .map_err(|misuse| state.error(misuse));
        // Also where it failed: the client may be owed a refusal.
        self.engine.settle(state);
        let (id, inbox) = opened?;
        let channel = Channel::new(Line::new(self.engine.clone(), id, inbox, None, None));
        channel.ignore_stderr();
        Ok(channel)
    }

    /// Accepts, and moves data both ways until both directions have ended, or the channel or the
    /// connection has. Then a socket that takes nothing of what is left for 5 seconds is given up.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept); [`Error::Io`] if a direction failed.
    pub async fn join(self, stream: TcpStream) -> Result<(), Error> {
        stream.set_nodelay(true)?;
        relay(self.accept()?, stream).await
    }

    /// There is no such connection; `why` is for the client's user to read.
    pub fn refuse(mut self, why: &str) {
        self.reject(ChannelOpenFailureReason::CONNECT_FAILED, why);
    }

    pub(crate) fn reject(&mut self, reason: ChannelOpenFailureReason, why: &str) {
        if let Some(ticket) = self.ticket.take() {
            // Its time may be over: then it is refused already.
            let _ = self
                .engine
                .change(|send| send.reject_channel(ticket, reason, why));
        }
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        self.reject(ChannelOpenFailureReason::ADMINISTRATIVELY_PROHIBITED, "");
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("session", &self.session)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
