//! What a server does for its users: [`Handler`], the requests that it gets, and the
//! [`ServerChannel`] that it answers on.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ssh_driver::{Accepted, Ended, Error, PendingConnect, PendingStart, Session, Take, Terminal};
use ssh_proto::message::TerminalSize;
use ssh_proto::mux::{Exit, Stream};

use crate::channel::{Line, Timeouts};
use crate::engine::Engine;
use crate::forward::join;

/// What a server does for its users. What is not overridden is refused.
///
/// Each [`exec`](Self::exec), [`shell`](Self::shell), [`subsystem`](Self::subsystem) and
/// [`direct_tcpip`](Self::direct_tcpip) runs in a thread of its own, of which there are at most
/// [`ServerOptions::handlers`](crate::ServerOptions::handlers) for a connection. Return when the
/// channel is closed: the thread counts for as long as it runs, and so does its connection. A request that is dropped without
/// being accepted is refused.
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

/// A request to start a program. Dropped, it is refused.
#[derive(Debug)]
#[must_use = "a request that is dropped is refused"]
pub struct Start(pub(crate) PendingStart<Engine>);

impl Start {
    /// Who asks.
    pub fn session(&self) -> &Session {
        self.0.session()
    }

    /// The terminal that was granted.
    pub const fn terminal(&self) -> Option<&Terminal> {
        self.0.setup().terminal.as_ref()
    }

    /// The environment variables that were granted, in order.
    pub fn env(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.0.setup().env
    }

    /// The program runs: its data goes over the channel.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the client has closed the channel, or if it took too long and was
    /// refused; [`Error::Ended`].
    pub fn accept(self) -> Result<ServerChannel, Error> {
        Ok(ServerChannel::new(self.0.accept()?))
    }

    /// The program does not run.
    pub fn refuse(self) {}
}

/// A request to connect to somewhere. Dropped, it is refused.
#[derive(Debug)]
#[must_use = "a request that is dropped is refused"]
pub struct Connect(pub(crate) PendingConnect<Engine>);

impl Connect {
    /// Who asks.
    pub fn session(&self) -> &Session {
        self.0.session()
    }

    /// Where to, as the client wrote it: a name or an address.
    pub fn host(&self) -> &[u8] {
        self.0.host()
    }

    /// To which port.
    pub const fn port(&self) -> u16 {
        self.0.port()
    }

    /// The connection is there: its data goes over the channel.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] if it took too long; [`Error::Ended`].
    pub fn accept(self) -> Result<ServerChannel, Error> {
        Ok(ServerChannel::new(self.0.accept()?))
    }

    /// Accepts, and moves data both ways: [`ServerChannel::join`].
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept) and [`ServerChannel::join`].
    pub fn join(self, stream: &TcpStream) -> Result<(), Error> {
        let channel = self.accept()?;
        join(&channel.line, stream)
    }

    /// There is no such connection; `why` is for the client's user to read.
    pub fn refuse(self, why: &str) {
        self.0.refuse(why);
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
    fn new(accepted: Accepted<Engine>) -> Self {
        let Accepted {
            driven,
            channel,
            slot,
        } = accepted;
        let line = Line::new(driven, channel, slot, Timeouts::default(), None);
        Self {
            line: Arc::new(line),
        }
    }

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
        // The status first: dbclient 2022.83 closes the channel at EOF, and then looks at no request.
        self.line.attempt(|channel| channel.exit(exit))?;
        // It may have been said already.
        let _ = self.line.eof();
        self.line.close()
    }

    /// The next signal that the client sends to the program, named without `SIG` and escaped;
    /// waits for it.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] after the read timeout, [`Error::Closed`], [`Error::Ended`].
    pub fn signal(&self) -> Result<String, Error> {
        let deadline = self.line.read_deadline();
        self.line.wait(deadline, |mailbox| mailbox.signal_ready())
    }

    /// The size of the terminal, as the client last said.
    pub fn terminal_size(&self) -> Option<TerminalSize> {
        self.line.inbox.terminal_size()
    }

    /// Moves data both ways between the channel and a socket until both directions have ended, or
    /// the channel or the connection has. Then a socket that takes nothing of what is left for 5
    /// seconds is given up. Afterwards the channel is closed and the socket shut down; it was made
    /// blocking, and its write timeout was changed.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no thread for it, or if the socket is none of a kind that blocks.
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
