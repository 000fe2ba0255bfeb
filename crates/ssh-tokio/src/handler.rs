//! What a server does for its users: [`Handler`], and the requests that it gets.

use std::future::Future;
use std::net::SocketAddr;

use ssh_driver::{Accepted, Ended, Error, PendingConnect, PendingStart, Session, Terminal};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::channel::Channel;
use crate::engine::Engine;
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

    /// Somebody came and did not get in. Not told of those who had to make room for others.
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
    pub fn accept(self) -> Result<Channel, Error> {
        Ok(channel(self.0.accept()?))
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
    pub fn accept(self) -> Result<Channel, Error> {
        Ok(channel(self.0.accept()?))
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
    pub fn refuse(self, why: &str) {
        self.0.refuse(why);
    }
}

/// The channel of a request that was accepted. Clients send nothing but data on theirs.
fn channel(accepted: Accepted<Engine>) -> Channel {
    let Accepted {
        driven,
        channel,
        slot,
    } = accepted;
    let channel = Channel::new(Line::new(driven, channel, slot, None, None));
    channel.ignore_stderr();
    channel
}
