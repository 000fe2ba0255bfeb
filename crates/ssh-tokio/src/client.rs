//! The client: [`Client`].

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ssh_driver::{Core, Ended, Error, ForwardOptions, Output, Watch};
use ssh_proto::auth::AuthenticatedBy;
use ssh_proto::error::RequestError;
use ssh_proto::kex::Negotiated;
use ssh_proto::key::PublicKey;
use ssh_proto::{ChannelId, Identification, PeerEvent, SendSide};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};

use crate::channel::Channel;
use crate::connect::{ConnectOptions, LoggedIn};
use crate::engine::{Engine, Inbox, Role};
use crate::forward::LocalForward;
use crate::line::{Handle, Line};
use crate::sys::within;

/// A connection to a server that has let us in.
///
/// Clones are handles of the same connection. It ends when the last of its handles, channels and
/// forwards is dropped, without waiting; [`disconnect`](Self::disconnect) waits until the goodbye
/// is written. It lives in a task of its own, on the runtime where it was connected.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
    facts: Arc<Facts>,
}

#[derive(Debug)]
struct Facts {
    by: AuthenticatedBy,
    host_key: Option<PublicKey>,
    server: Option<Identification>,
    request_timeout: Option<Duration>,
    exec_limit: usize,
}

impl Client {
    /// Logs in over anything that is a stream: a TCP connection, a Unix socket, or a [`Channel`] of
    /// another connection, so that a jump through a host is
    /// `Client::connect(jump.open_direct_tcpip(host, 22).await?, options)`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`]; [`Error::Login`] if the host key is not trusted or no credential is left,
    /// [`Error::LoginEnded`] if the server has ended the connection before that, and
    /// [`Error::Ended`] for everything else that ends a connection.
    pub async fn connect<S>(stream: S, options: ConnectOptions) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let request_timeout = options.settings.request_timeout;
        let exec_limit = options.settings.exec_limit;
        let LoggedIn { done, by, observer } = options.log_in(stream).await?;
        let facts = Arc::new(Facts {
            by,
            host_key: done.peer.host_key().cloned(),
            server: done.peer.peer_identification().cloned(),
            request_timeout,
            exec_limit,
        });
        let role = Watch::new(observer);
        let engine = Engine::start(done.peer, done.carry, done.link, done.clock, role);
        Ok(Self {
            handle: Arc::new(Handle { engine }),
            facts,
        })
    }

    /// Connects by TCP and logs in.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no connection, [`Error::Timeout`]; as [`connect`](Self::connect).
    pub async fn connect_tcp(
        address: impl ToSocketAddrs,
        options: ConnectOptions,
    ) -> Result<Self, Error> {
        let limit = options.settings.connect_timeout;
        let stream = within(limit, async { Ok(TcpStream::connect(address).await?) }).await?;
        Self::connect(stream, options).await
    }

    /// Runs a command without input, and waits for its end.
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooLong`] if it writes more than the limit in the options;
    /// [`Error::RequestRefused`], and as [`open_session`](Self::open_session).
    pub async fn exec(&self, command: impl AsRef<[u8]>) -> Result<Output, Error> {
        let mut channel = self.open_session().await?;
        channel.exec(command).await?;
        // A command that closes its input early is none the worse for it.
        let _ = channel.send_eof();
        channel.output(self.facts.exec_limit).await
    }

    /// Runs a command with this input, and waits for its end. A command that does not read all of
    /// it is no error.
    ///
    /// # Errors
    ///
    /// As [`exec`](Self::exec).
    pub async fn exec_with_input(
        &self,
        command: impl AsRef<[u8]>,
        input: &[u8],
    ) -> Result<Output, Error> {
        let mut channel = self.open_session().await?;
        channel.exec(command).await?;
        let mut writer = channel.another_writer();
        let mut write = pin!(async {
            if writer.write_all(input).await.is_ok() {
                let _ = writer.send_eof();
            }
        });
        let mut output = pin!(channel.output(self.facts.exec_limit));
        let mut writing = true;
        poll_fn(|cx| {
            writing = writing && write.as_mut().poll(cx).is_pending();
            output.as_mut().poll(cx)
        })
        .await
    }

    /// Opens a session, for one command, shell or subsystem.
    ///
    /// # Errors
    ///
    /// [`Error::OpenRefused`], [`Error::Timeout`], [`Error::Busy`], [`Error::Ended`].
    pub async fn open_session(&self) -> Result<Channel, Error> {
        self.open(SendSide::open_session).await
    }

    /// Opens a session and starts a subsystem such as `sftp` on it.
    ///
    /// # Errors
    ///
    /// [`Error::RequestRefused`], and as [`open_session`](Self::open_session).
    pub async fn subsystem(&self, name: &str) -> Result<Channel, Error> {
        let channel = self.open_session().await?;
        channel.subsystem(name).await?;
        Ok(channel)
    }

    /// Has the server connect to a host and port.
    ///
    /// # Errors
    ///
    /// [`Error::OpenRefused`] if it does not want to or cannot, [`Error::Misuse`] if `host` is too
    /// long; [`Error::Timeout`], [`Error::Busy`], [`Error::Ended`].
    pub async fn open_direct_tcpip(&self, host: &str, port: u16) -> Result<Channel, Error> {
        let originator = SocketAddr::from(([127, 0, 0, 1], 0));
        self.open_direct_tcpip_from(host, port, originator).await
    }

    /// As [`open_direct_tcpip`](Self::open_direct_tcpip), and says for whom.
    ///
    /// # Errors
    ///
    /// As [`open_direct_tcpip`](Self::open_direct_tcpip).
    pub async fn open_direct_tcpip_from(
        &self,
        host: &str,
        port: u16,
        originator: SocketAddr,
    ) -> Result<Channel, Error> {
        let address = originator.ip().to_string();
        let from = (&*address, originator.port());
        let channel = self
            .open(|send| send.open_direct_tcpip(host, port, from))
            .await?;
        channel.ignore_stderr();
        Ok(channel)
    }

    /// Listens at a loopback address and has the server connect to `host` and `port` for everyone
    /// who comes. It stops when what is returned is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot listen there, or if `bind` is no loopback address.
    pub async fn forward_local(
        &self,
        bind: impl ToSocketAddrs,
        host: &str,
        port: u16,
    ) -> Result<LocalForward, Error> {
        let options = ForwardOptions::default();
        self.forward_local_with(bind, host, port, &options).await
    }

    /// As [`forward_local`](Self::forward_local), with options.
    ///
    /// # Errors
    ///
    /// As [`forward_local`](Self::forward_local).
    pub async fn forward_local_with(
        &self,
        bind: impl ToSocketAddrs,
        host: &str,
        port: u16,
        options: &ForwardOptions,
    ) -> Result<LocalForward, Error> {
        let addresses: Vec<_> = tokio::net::lookup_host(bind).await?.collect();
        options.check(&addresses)?;
        if addresses.is_empty() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput).into());
        }
        LocalForward::start(self.clone(), &addresses, host, port, options).await
    }

    /// Exchanges keys, and waits until the new ones are in use. Transfers go on meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`], [`Error::Ended`].
    pub async fn rekey(&self) -> Result<(), Error> {
        within(self.facts.request_timeout, self.engine().rekey()).await
    }

    /// Says goodbye and waits until it is written, for 2 seconds at the most. Every call that waits
    /// returns, every later one fails.
    pub async fn disconnect(&self) {
        self.engine().hang_up("");
        self.engine().wait_left().await;
    }

    /// Waits until the connection has ended, and says how.
    pub async fn closed(&self) -> Arc<Ended> {
        self.engine().wait_ended().await
    }

    /// How the connection has ended, if it has.
    pub fn ended(&self) -> Option<Arc<Ended>> {
        self.engine().lock().ended.clone()
    }

    /// What the last exchange of keys agreed on, and what is weak of it.
    pub fn negotiated(&self) -> Option<Negotiated> {
        self.engine().lock().send().negotiated().cloned()
    }

    /// The server's host key, which was trusted.
    pub fn host_key(&self) -> Option<&PublicKey> {
        self.facts.host_key.as_ref()
    }

    /// What convinced the server.
    pub fn authenticated_by(&self) -> AuthenticatedBy {
        self.facts.by
    }

    /// How the server identified itself.
    pub fn peer_identification(&self) -> Option<&Identification> {
        self.facts.server.as_ref()
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.handle.engine
    }

    async fn open(
        &self,
        mut open: impl FnMut(&mut SendSide) -> Result<ChannelId, RequestError>,
    ) -> Result<Channel, Error> {
        let limit = self.facts.request_timeout;
        within(limit, async {
            let line = self
                .engine()
                .attempt(limit, |state| {
                    let id = open(state.send())?;
                    let inbox = state.core.table().insert(id);
                    // From here on it is closed again if this call is given up.
                    Ok(Line::new(
                        self.engine().clone(),
                        id,
                        inbox,
                        limit,
                        Some(self.handle.clone()),
                    ))
                })
                .await?;
            line.inbox.wait(|mailbox| mailbox.open_ready()).await?;
            Ok(Channel::new(line))
        })
        .await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

impl Role for Watch {
    fn event(&mut self, core: &mut Core<Inbox>, event: PeerEvent<'_>) {
        ssh_driver::Role::event(self, core, event);
    }

    fn unlocked(&mut self, _engine: &Arc<Engine>) {
        <Self as ssh_driver::Role<Inbox>>::unlocked(self);
    }

    fn ended(&mut self, ended: &Arc<Ended>) {
        Self::ended(self, ended);
    }
}
