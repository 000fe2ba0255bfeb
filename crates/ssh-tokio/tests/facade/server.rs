//! A server whose handlers block: each call has a thread of the runtime's pool.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::ops::Deref;
use std::sync::Arc;

use ssh_tokio::{Ended, Error, ServerOptions, Session, Terminal};

use super::channel::ServerChannel;
use super::{resolve, run};

/// What does not wait is the driver's own.
#[derive(Debug)]
pub(crate) struct Server {
    server: ssh_tokio::Server<Threads>,
    address: SocketAddr,
}

impl Deref for Server {
    type Target = ssh_tokio::Server<Threads>;

    fn deref(&self) -> &Self::Target {
        &self.server
    }
}

impl Server {
    pub(crate) fn bind(
        address: impl ToSocketAddrs,
        options: ServerOptions,
        handler: impl Handler,
    ) -> Result<Self, Error> {
        let addresses = resolve(address)?;
        let handler = Threads(Arc::new(handler));
        let (server, address) = run(ssh_tokio::Server::bind(&*addresses, options, handler))?;
        Ok(Self { server, address })
    }

    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

/// What is not overridden is refused.
pub(crate) trait Handler: Send + Sync + 'static {
    fn exec(&self, _request: Start, _command: &[u8]) {}

    fn shell(&self, _request: Start) {}

    fn subsystem(&self, _request: Start, _name: &[u8]) {}

    fn direct_tcpip(&self, _request: Connect) {}

    fn pty(&self, _session: &Session, _terminal: &Terminal) -> bool {
        false
    }

    fn env(&self, _session: &Session, _name: &[u8], _value: &[u8]) -> bool {
        false
    }

    fn logged_in(&self, _session: &Session) {}

    fn login_failed(&self, _from: SocketAddr, _error: &Error) {}

    fn ended(&self, _session: &Session, _ended: &Ended) {}
}

/// A handler that blocks, as one that does not.
pub(crate) struct Threads(Arc<dyn Handler>);

impl Threads {
    async fn call(&self, call: impl FnOnce(&dyn Handler) + Send + 'static) {
        let handler = self.0.clone();
        // What panics there has said so.
        let _ = tokio::task::spawn_blocking(move || call(&*handler)).await;
    }
}

impl ssh_tokio::Handler for Threads {
    async fn exec(&self, request: ssh_tokio::Start, command: Vec<u8>) {
        self.call(move |handler| handler.exec(Start(request), &command))
            .await;
    }

    async fn shell(&self, request: ssh_tokio::Start) {
        self.call(move |handler| handler.shell(Start(request)))
            .await;
    }

    async fn subsystem(&self, request: ssh_tokio::Start, name: Vec<u8>) {
        self.call(move |handler| handler.subsystem(Start(request), &name))
            .await;
    }

    async fn direct_tcpip(&self, request: ssh_tokio::Connect) {
        self.call(move |handler| handler.direct_tcpip(Connect(request)))
            .await;
    }

    fn pty(&self, session: &Session, terminal: &Terminal) -> bool {
        self.0.pty(session, terminal)
    }

    fn env(&self, session: &Session, name: &[u8], value: &[u8]) -> bool {
        self.0.env(session, name, value)
    }

    fn logged_in(&self, session: &Session) {
        self.0.logged_in(session);
    }

    fn login_failed(&self, from: SocketAddr, error: &Error) {
        self.0.login_failed(from, error);
    }

    fn ended(&self, session: &Session, ended: &Ended) {
        self.0.ended(session, ended);
    }
}

#[derive(Debug)]
pub(crate) struct Start(ssh_tokio::Start);

impl Deref for Start {
    type Target = ssh_tokio::Start;

    fn deref(&self) -> &ssh_tokio::Start {
        &self.0
    }
}

impl Start {
    pub(crate) fn accept(self) -> Result<ServerChannel, Error> {
        self.0.accept().map(ServerChannel::new)
    }

    pub(crate) fn refuse(self) {
        self.0.refuse();
    }
}

#[derive(Debug)]
pub(crate) struct Connect(ssh_tokio::Connect);

impl Deref for Connect {
    type Target = ssh_tokio::Connect;

    fn deref(&self) -> &ssh_tokio::Connect {
        &self.0
    }
}

impl Connect {
    pub(crate) fn join(self, stream: &TcpStream) -> Result<(), Error> {
        let stream = stream.try_clone()?;
        stream.set_nonblocking(true)?;
        run(async { self.0.join(tokio::net::TcpStream::from_std(stream)?).await })
    }

    pub(crate) fn refuse(self, why: &str) {
        self.0.refuse(why);
    }
}
