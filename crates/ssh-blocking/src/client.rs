//! The client: [`Client`].

use std::fmt;
use std::io::Write;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use ssh_driver::{Core, Ended, Error, ForwardOptions, Output, Watch};
use ssh_proto::auth::AuthenticatedBy;
use ssh_proto::error::RequestError;
use ssh_proto::kex::Negotiated;
use ssh_proto::key::PublicKey;
use ssh_proto::{ChannelId, Identification, PeerEvent, SendSide};

use crate::channel::{Channel, Handle, Line, Timeouts, deadline};
use crate::connect::{self, ConnectOptions, Defaults, LoggedIn};
use crate::engine::{Engine, Inbox, Role};
use crate::forward::LocalForward;

/// A connection to a server that has let us in.
///
/// Clones are handles of the same connection. It ends when the last of its handles, channels and
/// forwards is dropped, without waiting; [`disconnect`](Self::disconnect) waits until the goodbye
/// is written.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
    facts: Arc<Facts>,
    defaults: Defaults,
}

#[derive(Debug)]
struct Facts {
    by: AuthenticatedBy,
    host_key: Option<PublicKey>,
    server: Option<Identification>,
}

impl Client {
    /// Connects by TCP and logs in.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no connection, [`Error::Timeout`], [`Error::Config`];
    /// [`Error::Login`] if the host key is not trusted or no credential is left,
    /// [`Error::LoginEnded`] if the server has ended the connection before that, and
    /// [`Error::Ended`] for everything else that ends a connection.
    pub fn connect(address: impl ToSocketAddrs, options: ConnectOptions) -> Result<Self, Error> {
        let stream = connect::tcp(address, options.settings.connect_timeout)?;
        Self::from_stream(stream, options)
    }

    /// Logs in over a stream that is connected already.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn from_stream(stream: TcpStream, options: ConnectOptions) -> Result<Self, Error> {
        let (logged_in, defaults) = options.log_in(stream)?;
        let LoggedIn {
            client,
            rx,
            socket,
            clock,
            by,
            observer,
        } = logged_in;
        let facts = Arc::new(Facts {
            by,
            host_key: client.host_key().cloned(),
            server: client.peer_identification().cloned(),
        });
        let role = Watch::new(observer);
        let engine = Engine::start(client, rx, socket, clock, role)?;
        Ok(Self {
            handle: Arc::new(Handle { engine }),
            facts,
            defaults,
        })
    }

    /// Runs a command without input, and waits for its end.
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooLong`] if it writes more than the limit in the options;
    /// [`Error::RequestRefused`], and as [`open_session`](Self::open_session).
    pub fn exec(&self, command: impl AsRef<[u8]>) -> Result<Output, Error> {
        let channel = self.open_session()?;
        channel.exec(command)?;
        // A command that closes its input early is none the worse for it.
        let _ = channel.send_eof();
        channel.output(self.defaults.exec_limit)
    }

    /// Runs a command with this input, and waits for its end. A command that does not read all of
    /// it is no error.
    ///
    /// # Errors
    ///
    /// As [`exec`](Self::exec).
    pub fn exec_with_input(
        &self,
        command: impl AsRef<[u8]>,
        input: &[u8],
    ) -> Result<Output, Error> {
        let channel = self.open_session()?;
        channel.exec(command)?;
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("ssh-input".into());
            thread.spawn_scoped(scope, || {
                if (&channel).write_all(input).is_ok() {
                    let _ = channel.send_eof();
                }
            })?;
            let output = channel.output(self.defaults.exec_limit);
            // The writer may still wait for a program that is gone, or for a reader that has
            // given up.
            let _ = channel.close();
            output
        })
    }

    /// Opens a session, for one command, shell or subsystem.
    ///
    /// # Errors
    ///
    /// [`Error::OpenRefused`], [`Error::Timeout`], [`Error::Busy`], [`Error::Ended`].
    pub fn open_session(&self) -> Result<Channel, Error> {
        self.begin(SendSide::open_session)?.wait()
    }

    /// Has the server connect to a host and port.
    ///
    /// # Errors
    ///
    /// [`Error::OpenRefused`] if it does not want to or cannot, [`Error::Misuse`] if `host` is too
    /// long; [`Error::Timeout`], [`Error::Busy`], [`Error::Ended`].
    pub fn open_direct_tcpip(&self, host: &str, port: u16) -> Result<Channel, Error> {
        let originator = SocketAddr::from(([127, 0, 0, 1], 0));
        self.open_direct_tcpip_from(host, port, originator)
    }

    /// As [`open_direct_tcpip`](Self::open_direct_tcpip), and says for whom.
    ///
    /// # Errors
    ///
    /// As [`open_direct_tcpip`](Self::open_direct_tcpip).
    pub fn open_direct_tcpip_from(
        &self,
        host: &str,
        port: u16,
        originator: SocketAddr,
    ) -> Result<Channel, Error> {
        self.begin_direct_tcpip(host, port, originator)?.wait()
    }

    pub(crate) fn begin_direct_tcpip(
        &self,
        host: &str,
        port: u16,
        originator: SocketAddr,
    ) -> Result<Opening, Error> {
        let address = originator.ip().to_string();
        self.begin(|send| send.open_direct_tcpip(host, port, (&address, originator.port())))
    }

    /// Listens at a loopback address and has the server connect to `host` and `port` for everyone
    /// who comes. It stops when what is returned is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot listen there, or if `bind` is no loopback address.
    pub fn forward_local(
        &self,
        bind: impl ToSocketAddrs,
        host: &str,
        port: u16,
    ) -> Result<LocalForward, Error> {
        self.forward_local_with(bind, host, port, &ForwardOptions::default())
    }

    /// As [`forward_local`](Self::forward_local), with options.
    ///
    /// # Errors
    ///
    /// As [`forward_local`](Self::forward_local).
    pub fn forward_local_with(
        &self,
        bind: impl ToSocketAddrs,
        host: &str,
        port: u16,
        options: &ForwardOptions,
    ) -> Result<LocalForward, Error> {
        LocalForward::start(self.clone(), bind, host, port, options)
    }

    /// Exchanges keys, and waits until the new ones are in use. Transfers go on meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`], [`Error::Ended`].
    pub fn rekey(&self) -> Result<(), Error> {
        self.engine().rekey(deadline(self.defaults.request_timeout))
    }

    /// Says goodbye and waits until that is written, two seconds at the most. Every call that
    /// waits returns, every later one fails.
    pub fn disconnect(&self) {
        self.engine().hang_up("");
        self.engine().wait_ended();
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

    /// The socket, to look at. Whoever reads or writes it destroys the connection.
    pub fn stream(&self) -> &TcpStream {
        self.engine().stream()
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.handle.engine
    }

    /// Asks for a channel.
    fn begin(
        &self,
        mut open: impl FnMut(&mut SendSide) -> Result<ChannelId, RequestError>,
    ) -> Result<Opening, Error> {
        let deadline = deadline(self.defaults.request_timeout);
        let (id, inbox) = self.engine().attempt(deadline, |state| {
            let id = open(state.send())?;
            Ok((id, state.core.table().insert(id)))
        })?;
        let line = Line::new(
            self.engine().clone(),
            id,
            inbox,
            Timeouts {
                request: self.defaults.request_timeout,
                ..Timeouts::default()
            },
            Some(self.handle.clone()),
        );
        Ok(Opening {
            channel: Channel::new(line),
            deadline,
        })
    }
}

/// A channel that the server was asked for. Dropped, it is given up.
pub(crate) struct Opening {
    channel: Channel,
    deadline: Option<Instant>,
}

impl Opening {
    /// A handle by which it can be closed while somebody waits: the wait is
    /// [`Error::Closed`] then.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Waits until the channel is open.
    pub(crate) fn wait(self) -> Result<Channel, Error> {
        let line = self.channel.line();
        line.wait(self.deadline, |mailbox| mailbox.open_ready())?;
        Ok(self.channel)
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

    fn has_business(&self) -> bool {
        self.has_seen()
    }

    fn unlocked(&mut self, _engine: &Arc<Engine>) {
        <Self as ssh_driver::Role<Inbox>>::unlocked(self);
    }

    fn ended(&mut self, ended: &Arc<Ended>) {
        Self::ended(self, ended);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    use ssh_client::Trust;
    use ssh_keys::SigningKey;
    use ssh_proto::config::Methods;
    use ssh_proto::key::PrivateKey;
    use ssh_server::{FixedUsers, HostKeys, Required};

    use super::*;
    use crate::{Connect, Handler, Login, Server, ServerOptions};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Accepts connections when it is told to, and says when the channel is over.
    struct Late {
        go: Mutex<mpsc::Receiver<()>>,
        over: mpsc::Sender<()>,
    }

    impl Handler for Late {
        fn direct_tcpip(&self, request: Connect) {
            self.go.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            let mut channel = request.accept().unwrap();
            let _ = channel.read(&mut [0]);
            self.over.send(()).unwrap();
        }
    }

    #[test]
    fn a_channel_that_is_opened_too_late_is_closed_and_leaves_nothing_behind() {
        let (go, of_handler) = mpsc::channel();
        let (over, wait) = mpsc::channel();
        let handler = Late {
            go: Mutex::new(of_handler),
            over,
        };
        let keys = HostKeys::new([SigningKey::ed25519(&[1; 32])]).unwrap();
        let users =
            |_: SocketAddr| FixedUsers::new().with_password("alice", String::from("secret"));
        let options = ServerOptions::new(keys, users).required(Required::AnyOf(Methods::PASSWORD));
        let server = Server::bind("127.0.0.1:0", options, handler).unwrap();

        let key = PrivateKey::from_ed25519_seed(&[1; 32]);
        let trust = Trust::pinned([key.public_key().fingerprint()]);
        let login = Login::new("alice", trust).password(String::from("secret"));
        let options = ConnectOptions::new(login).request_timeout(Some(Duration::from_millis(200)));
        let client = Client::connect(server.local_addr(), options).unwrap();
        let inboxes = || client.engine().lock().core.table().len();

        let opened = client.open_direct_tcpip("127.0.0.1", 1);
        assert!(matches!(opened, Err(Error::Timeout)), "{opened:?}");
        assert_eq!(inboxes(), 0);
        go.send(()).unwrap();
        wait.recv_timeout(PATIENCE).unwrap();
        assert_eq!(inboxes(), 0);
        let open = client.open_session().unwrap();
        assert_eq!(inboxes(), 1);
        drop(open);
        assert_eq!(inboxes(), 0);
    }
}
