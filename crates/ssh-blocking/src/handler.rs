//! What a server does for its users: [`Handler`], the requests that it gets, and the
//! [`ServerChannel`] that it answers on.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ssh_driver::{Ended, Error, Shared, Take, shown};
use ssh_proto::message::{
    ChannelOpenFailureReason, ChannelOpenType, ChannelRequestType, TerminalSize,
};
use ssh_proto::mux::{Exit, OpenTicket, RequestTicket, Stream};
use ssh_proto::server::ServerEvent;
use ssh_proto::{ChannelEvent, ChannelId, PeerEvent};
use ssh_server::{Admitted, HostKeys};

use crate::channel::{Line, Timeouts};
use crate::engine::{Engine, Inbox, Role, State};
use crate::forward::join;
use crate::server::Place;
use crate::socket::OsRandom;

/// How many environment variables of a channel are kept, and how long one may be in all.
const MAX_ENV: usize = 64;
const MAX_ENV_LEN: usize = 4096;

/// What a server does for its users. What is not overridden is refused.
///
/// Each [`exec`](Self::exec), [`shell`](Self::shell), [`subsystem`](Self::subsystem) and
/// [`direct_tcpip`](Self::direct_tcpip) runs in a thread of its own. A request that is dropped
/// without being accepted is refused.
#[expect(unused_variables, reason = "the names say what an implementation gets")]
pub trait Handler: Send + Sync + 'static {
    /// A command.
    fn exec(&self, request: Start, command: &[u8]) {}

    /// The user's shell.
    fn shell(&self, request: Start) {}

    /// A subsystem, such as `sftp`.
    fn subsystem(&self, request: Start, name: &[u8]) {}

    /// A connection to a host and port (RFC 4254 section 7.2). The host is the client's word: it
    /// may be a name or an address, and be meant to reach what only this machine can reach.
    fn direct_tcpip(&self, request: Connect) {}

    /// Whether a program may have a terminal. Called by the thread that reads: it must not wait.
    fn pty(&self, session: &Session, terminal: &Terminal) -> bool {
        false
    }

    /// Whether a program may have this environment variable. Called by the thread that reads: it
    /// must not wait.
    fn env(&self, session: &Session, name: &[u8], value: &[u8]) -> bool {
        false
    }

    /// Whether a password is right, where the users said
    /// [`PasswordCheck::Outside`](ssh_server::PasswordCheck). May take its time.
    fn password(&self, from: SocketAddr, user: &[u8], password: &[u8]) -> bool {
        false
    }

    /// A user is in.
    fn logged_in(&self, session: &Session) {}

    /// Somebody came and did not get in.
    fn login_failed(&self, from: SocketAddr, error: &Error) {}

    /// The connection of a user has ended.
    fn ended(&self, session: &Session, ended: &Ended) {}
}

/// A connection whose user is in.
#[derive(Debug)]
pub struct Session {
    from: SocketAddr,
    admitted: Admitted,
}

impl Session {
    pub(crate) const fn new(from: SocketAddr, admitted: Admitted) -> Self {
        Self { from, admitted }
    }

    /// Where the connection comes from.
    pub const fn peer_addr(&self) -> SocketAddr {
        self.from
    }

    /// Who it is, by what proof, and with which restrictions.
    pub const fn admitted(&self) -> &Admitted {
        &self.admitted
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
    /// Its size when it was asked for; see [`ServerChannel::terminal_size`].
    pub size: TerminalSize,
    /// Its modes, encoded (RFC 4254 section 8).
    pub modes: Vec<u8>,
}

/// What was asked for before a program was started.
#[derive(Clone, Debug, Default)]
struct Setup {
    terminal: Option<Terminal>,
    env: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A request to start a program. Dropped, it is refused.
#[derive(Debug)]
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
    /// [`Error::Closed`] if the client has closed the channel, or runs something on it already;
    /// [`Error::Misuse`] if it took too long; [`Error::Ended`].
    pub fn accept(mut self) -> Result<ServerChannel, Error> {
        let Some(ticket) = self.ticket.take() else {
            return Err(Error::Closed);
        };
        //= rfc4254#section-6.5
        //# Only one of these requests can succeed per channel.
        if !self.inbox.occupy() {
            let _ = self.engine.change(|send| send.refuse_request(ticket));
            return Err(Error::Closed);
        }
        self.engine.change(|send| send.accept_request(ticket))?;
        let line = Line::new(
            self.engine.clone(),
            self.channel,
            self.inbox.clone(),
            Timeouts::default(),
            None,
        );
        Ok(ServerChannel {
            line: Arc::new(line),
        })
    }

    /// The program does not run.
    pub fn refuse(self) {}
}

impl Drop for Start {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            // Its time may be over: then it is refused already.
            let _ = self.engine.change(|send| send.refuse_request(ticket));
        }
    }
}

/// A request to connect to somewhere. Dropped, it is refused.
#[derive(Debug)]
#[must_use = "a request that is dropped is refused"]
pub struct Connect {
    engine: Arc<Engine>,
    session: Arc<Session>,
    host: Vec<u8>,
    port: u16,
    ticket: Option<OpenTicket>,
}

impl Connect {
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
    pub fn accept(mut self) -> Result<ServerChannel, Error> {
        let Some(ticket) = self.ticket.take() else {
            return Err(Error::Closed);
        };
        let mut state = self.engine.lock();
        let opened = state.send().accept_channel(ticket);
        let id = opened.map_err(|misuse| state.error(misuse))?;
        let inbox = state.inboxes.insert(id);
        drop(self.engine.settle(state));
        let line = Line::new(self.engine.clone(), id, inbox, Timeouts::default(), None);
        Ok(ServerChannel {
            line: Arc::new(line),
        })
    }

    /// Accepts, and moves data both ways until both have ended.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn join(self, stream: &TcpStream) -> Result<(), Error> {
        let channel = self.accept()?;
        join(&channel.line, stream)
    }

    /// There is no such connection; `why` is for the client's user to read.
    pub fn refuse(mut self, why: &str) {
        self.reject(ChannelOpenFailureReason::CONNECT_FAILED, why);
    }

    fn reject(&mut self, reason: ChannelOpenFailureReason, why: &str) {
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

/// A channel on the server's side: what the client types is read, what is written it shows.
///
/// Clones are handles of the same channel; it is closed when the last one is dropped. Tell how the
/// program ended with [`exit`](Self::exit).
#[derive(Clone, Debug)]
pub struct ServerChannel {
    line: Arc<Line>,
}

impl ServerChannel {
    /// Writes to standard error, where `ServerChannel` itself writes to standard output.
    pub fn stderr(&self) -> ServerStderr<'_> {
        ServerStderr { line: &self.line }
    }

    /// Says that nothing more will be written.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], also if it was said before; [`Error::Ended`].
    pub fn send_eof(&self) -> Result<(), Error> {
        self.line.eof()
    }

    /// Tells that the program has ended with a status, and closes the channel.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Ended`], [`Error::Busy`].
    pub fn exit(&self, status: u32) -> Result<(), Error> {
        self.finish(Exit::Status(status))
    }

    /// Tells that the program was ended by a signal, named without `SIG`, and closes the channel.
    ///
    /// # Errors
    ///
    /// As [`exit`](Self::exit).
    pub fn exit_signal(&self, signal: &str, message: &str) -> Result<(), Error> {
        self.finish(Exit::Signal {
            signal_name: signal.as_bytes(),
            core_dumped: false,
            error_message: message.as_bytes(),
        })
    }

    fn finish(&self, exit: Exit<'_>) -> Result<(), Error> {
        // It may have been said already.
        let _ = self.line.eof();
        self.line.attempt(|channel| channel.exit(exit))?;
        self.line.close()
    }

    /// The next signal that the client sends to the program, named without `SIG` and escaped;
    /// waits for it.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] after the read timeout, [`Error::Closed`], [`Error::Ended`].
    pub fn signal(&self) -> Result<String, Error> {
        self.line.inbox.wait_signal(self.line.read_deadline())
    }

    /// The size of the terminal, as the client last said.
    pub fn terminal_size(&self) -> Option<TerminalSize> {
        self.line.inbox.terminal_size()
    }

    /// Moves data both ways between the channel and a socket until both have ended.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no thread for it.
    pub fn join(&self, stream: &TcpStream) -> Result<(), Error> {
        join(&self.line, stream)
    }

    /// How long a read may take; `None` is for ever, as long as the connection lives.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) {
        self.line.set_timeouts(|timeouts| timeouts.read = timeout);
    }

    /// How long a write may wait for the client to take something; `None` is for ever, as long as
    /// the connection lives.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) {
        self.line.set_timeouts(|timeouts| timeouts.write = timeout);
    }
}

impl Read for &ServerChannel {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.line.read_stream(Take::Data, into)
    }
}

impl Write for &ServerChannel {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(self.line.write(Stream::Data, data)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for ServerChannel {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }
}

impl Write for ServerChannel {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self).write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to the standard error of a [`ServerChannel`].
#[derive(Clone, Copy, Debug)]
pub struct ServerStderr<'a> {
    line: &'a Line,
}

impl Write for ServerStderr<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(self.line.write(Stream::STDERR, data)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a server does with events: it takes notes while the state is locked, and asks the handler
/// afterwards.
pub(crate) struct ServerRole {
    session: Arc<Session>,
    handler: Arc<dyn Handler>,
    host_keys: HostKeys,
    setups: HashMap<ChannelId, Setup>,
    asked: Vec<Asked>,
    /// Free again when the connection has ended.
    _place: Place,
}

/// What the handler is to be asked.
enum Asked {
    Pty(ChannelId, Terminal, RequestTicket),
    Env(ChannelId, Vec<u8>, Vec<u8>, RequestTicket),
    Start(ChannelId, Arc<Inbox>, Program, RequestTicket),
    Connect(Vec<u8>, u16, OpenTicket),
}

enum Program {
    Command(Vec<u8>),
    Shell,
    Subsystem(Vec<u8>),
}

impl ServerRole {
    pub(crate) fn new(
        session: Arc<Session>,
        handler: Arc<dyn Handler>,
        host_keys: HostKeys,
        place: Place,
    ) -> Self {
        Self {
            session,
            handler,
            host_keys,
            setups: HashMap::new(),
            asked: Vec::new(),
            _place: place,
        }
    }

    fn opening(&mut self, state: &mut State, kind: ChannelOpenType<'_>, ticket: OpenTicket) {
        match kind {
            ChannelOpenType::Session => {
                if let Ok(id) = state.send().accept_channel(ticket) {
                    state.inboxes.insert(id);
                    self.setups.insert(id, Setup::default());
                }
            }
            ChannelOpenType::DirectTcpip {
                host_to_connect,
                port_to_connect,
                ..
            } => {
                if let Ok(port) = u16::try_from(port_to_connect)
                    && state.send().defer(&ticket).is_ok()
                {
                    self.asked
                        .push(Asked::Connect(host_to_connect.to_vec(), port, ticket));
                }
            }
            // What is not answered is refused.
            _ => {}
        }
    }

    fn request(
        &mut self,
        state: &mut State,
        channel: ChannelId,
        request: ChannelRequestType<'_>,
        ticket: RequestTicket,
    ) {
        let Some(inbox) = state.inboxes.get(channel).cloned() else {
            return;
        };
        let asked = match request {
            ChannelRequestType::Exec { command } => {
                let program = Program::Command(command.to_vec());
                Asked::Start(channel, inbox, program, ticket)
            }
            ChannelRequestType::Shell => Asked::Start(channel, inbox, Program::Shell, ticket),
            ChannelRequestType::Subsystem { subsystem_name } => {
                let program = Program::Subsystem(subsystem_name.to_vec());
                Asked::Start(channel, inbox, program, ticket)
            }
            ChannelRequestType::PtyReq { term, size, modes } => {
                let (term, modes) = (term.to_vec(), modes.as_encoded().to_vec());
                Asked::Pty(channel, Terminal { term, size, modes }, ticket)
            }
            ChannelRequestType::Env {
                variable_name,
                variable_value,
            } => Asked::Env(
                channel,
                variable_name.to_vec(),
                variable_value.to_vec(),
                ticket,
            ),
            ChannelRequestType::WindowChange { size } => {
                inbox.update(|mailbox| mailbox.resized(size));
                // Nobody waits for the answer.
                let _ = state.send().accept_request(ticket);
                return;
            }
            ChannelRequestType::Signal { signal_name } => {
                inbox.update(|mailbox| mailbox.signalled(shown(signal_name)));
                let _ = state.send().accept_request(ticket);
                return;
            }
            _ => return,
        };
        let ticket = match &asked {
            Asked::Pty(.., ticket) | Asked::Env(.., ticket) | Asked::Start(.., ticket) => ticket,
            Asked::Connect(..) => return,
        };
        if state.send().defer(ticket).is_ok() {
            self.asked.push(asked);
        }
    }

    fn pty(&mut self, channel: ChannelId, terminal: Terminal) -> bool {
        let Some(setup) = self.setups.get_mut(&channel) else {
            return false;
        };
        let granted = setup.terminal.is_none() && self.handler.pty(&self.session, &terminal);
        if granted {
            setup.terminal = Some(terminal);
        }
        granted
    }

    fn env(&mut self, channel: ChannelId, name: Vec<u8>, value: Vec<u8>) -> bool {
        let Some(setup) = self.setups.get_mut(&channel) else {
            return false;
        };
        let fits = setup.env.len() < MAX_ENV && name.len() + value.len() <= MAX_ENV_LEN;
        let granted = fits && self.handler.env(&self.session, &name, &value);
        if granted {
            setup.env.push((name, value));
        }
        granted
    }
}

/// Runs the handler in a thread. What it was to answer is refused if there is none.
fn spawn(handler: &Arc<dyn Handler>, run: impl FnOnce(&dyn Handler) + Send + 'static) {
    let handler = handler.clone();
    let spawned = thread::Builder::new()
        .name("ssh-program".into())
        .spawn(move || run(&*handler));
    drop(spawned);
}

impl Role for ServerRole {
    fn event(&mut self, _engine: &Arc<Engine>, state: &mut State, event: PeerEvent<'_>) {
        match event {
            PeerEvent::Channel(ChannelEvent::OpenRequest {
                channel_type,
                ticket,
            }) => self.opening(state, channel_type, ticket),
            PeerEvent::Channel(ChannelEvent::Request {
                channel,
                request,
                ticket,
            }) => self.request(state, channel, request, ticket),
            PeerEvent::Channel(ChannelEvent::Closed { channel, .. }) => {
                self.setups.remove(&channel);
            }
            PeerEvent::Server(ServerEvent::Sign(request)) => {
                if let Some(server) = state.server() {
                    // Misuse is the end of the connection, and that is an event of its own.
                    let _ = self.host_keys.sign(request, server, &mut OsRandom);
                }
            }
            // What is not answered is refused.
            _ => {}
        }
    }

    fn unlocked(&mut self, engine: &Arc<Engine>) {
        for asked in std::mem::take(&mut self.asked) {
            let (granted, ticket) = match asked {
                Asked::Pty(channel, terminal, ticket) => {
                    let size = terminal.size;
                    let granted = self.pty(channel, terminal);
                    if granted && let Some(inbox) = engine.lock().inboxes.get(channel) {
                        inbox.update(|mailbox| mailbox.resized(size));
                    }
                    (granted, ticket)
                }
                Asked::Env(channel, name, value, ticket) => {
                    (self.env(channel, name, value), ticket)
                }
                Asked::Start(channel, inbox, program, ticket) => {
                    let request = Start {
                        engine: engine.clone(),
                        session: self.session.clone(),
                        setup: self.setups.get(&channel).cloned().unwrap_or_default(),
                        channel,
                        inbox,
                        ticket: Some(ticket),
                    };
                    spawn(&self.handler, move |handler| match program {
                        Program::Command(command) => handler.exec(request, &command),
                        Program::Shell => handler.shell(request),
                        Program::Subsystem(name) => handler.subsystem(request, &name),
                    });
                    continue;
                }
                Asked::Connect(host, port, ticket) => {
                    let request = Connect {
                        engine: engine.clone(),
                        session: self.session.clone(),
                        host,
                        port,
                        ticket: Some(ticket),
                    };
                    spawn(&self.handler, move |handler| handler.direct_tcpip(request));
                    continue;
                }
            };
            // The channel may be gone, and then nobody wants the answer.
            let _ = engine.change(|send| {
                if granted {
                    send.accept_request(ticket)
                } else {
                    send.refuse_request(ticket)
                }
            });
        }
    }

    fn ended(&mut self, ended: &Arc<Ended>) {
        self.handler.ended(&self.session, ended);
    }
}

impl fmt::Debug for ServerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerRole")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
