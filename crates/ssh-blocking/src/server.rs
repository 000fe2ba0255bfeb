//! The server: [`Server`] listens, lets users in by the rules of `ssh-server`, and hands what they
//! ask for to a [`Handler`].

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::SystemTime;

use ssh_driver::Error;
use ssh_keys::authorized_keys::AuthorizedKeys;
use ssh_proto::RecvBuf;
use ssh_proto::config::{Keepalive, ServerConfig};
use ssh_proto::server::ServerEvent;
use ssh_server::{
    Admission, Admitted, Clock as Today, HostKeys, PasswordCheck, Required, StartGate, StartLimits,
    StartPlace, Step, Users,
};

use crate::connect::KEEPALIVE;
use crate::engine::{Engine, lock};
use crate::forward::{accept, wake};
use crate::handler::{Handler, Session};
use crate::handshake;
use crate::server_role::ServerRole;
use crate::socket::{Clock, OsRandom, Socket};

/// Bytes that are read at a time.
const READ_SIZE: usize = 256 * 1024;

type MakeUsers = dyn Fn(SocketAddr) -> Box<dyn Users + Send> + Send + Sync;

/// How a [`Server`] works.
pub struct ServerOptions {
    config: ServerConfig,
    keepalive: Option<Keepalive>,
    host_keys: HostKeys,
    required: Required,
    connections: usize,
    starts: Option<StartLimits>,
    handlers: usize,
    users: Box<MakeUsers>,
}

impl ServerOptions {
    /// Shows these host keys, and lets in who proves to be one of the users by a key; 64
    /// connections at a time, of which 32 may be logging in and 10 of these from one address, and 64
    /// programs and forwards for each connection. `users` is called once for each connection, with the address that it
    /// comes from.
    pub fn new<U: Users + Send + 'static>(
        host_keys: HostKeys,
        users: impl Fn(SocketAddr) -> U + Send + Sync + 'static,
    ) -> Self {
        Self {
            config: ServerConfig::default(),
            keepalive: Some(KEEPALIVE),
            host_keys,
            required: Required::PUBLICKEY,
            connections: 64,
            starts: None,
            handlers: 64,
            users: Box::new(move |from| Box::new(users(from))),
        }
    }

    /// Sets the configuration of the protocol: algorithms, limits, deadlines, the banner. Host
    /// keys and methods are set by these options.
    #[must_use]
    pub fn config(mut self, config: ServerConfig) -> Self {
        self.config = config;
        self
    }

    /// Never asks silent clients for a sign of life, unless the configuration says so. By default
    /// one is asked after 30 seconds of silence, and given up after three questions.
    #[must_use]
    pub const fn without_keepalive(mut self) -> Self {
        self.keepalive = None;
        self
    }

    /// Sets what a user has to prove.
    #[must_use]
    pub const fn required(mut self, required: Required) -> Self {
        self.required = required;
        self
    }

    /// Sets how many connections there may be at a time, those included whose users are not in
    /// yet, and those that have ended while [`handlers`](Self::handlers) of theirs run on. One more
    /// is closed at once.
    #[must_use]
    pub const fn connections(mut self, most: usize) -> Self {
        self.connections = most;
        self
    }

    /// Sets how many connections may be logging in at a time, in all and from one address; one more
    /// is closed at once. By default it is half of all [`connections`](Self::connections), so that
    /// clients that never log in leave room for those that have, and 10 from one address; from half
    /// of that half on some are refused at random.
    ///
    /// Behind a proxy all clients have one address: set `per_source` accordingly.
    #[must_use]
    pub const fn starts(mut self, limits: StartLimits) -> Self {
        self.starts = Some(limits);
        self
    }

    /// Sets how many calls of a [`Handler`] for a program or a forward may run at a time for one
    /// connection: threads of its own, which count until the handler returns, also where their
    /// channel is closed. One more program or forward is refused. A server has no more than this
    /// times [`connections`](Self::connections) of them.
    #[must_use]
    pub const fn handlers(mut self, most: usize) -> Self {
        self.handlers = most;
        self
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("required", &self.required)
            .field("connections", &self.connections)
            .field("starts", &self.starts)
            .field("handlers", &self.handlers)
            .finish_non_exhaustive()
    }
}

/// Listens, in threads of its own. Dropped, it stops and ends its connections, without waiting.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
}

pub(crate) struct Shared {
    /// Set before `places` is emptied. Whoever takes a place looks at it with them locked.
    stop: AtomicBool,
    places: Mutex<Places>,
    options: ServerOptions,
    handler: Arc<dyn Handler>,
}

/// The connections that there are.
struct Places {
    connections: HashMap<u64, Connection>,
    gate: StartGate,
}

/// A connection, as far as the server can end it.
enum Connection {
    LoggingIn(Arc<Socket>),
    Running(Arc<Engine>),
}

impl Connection {
    fn end(&self) {
        match self {
            Self::LoggingIn(socket) => socket.shutdown(Shutdown::Both),
            Self::Running(engine) => engine.hang_up("the server is stopping"),
        }
    }
}

/// The place of one connection among those that there may be.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    number: u64,
    /// As long as it is logging in.
    start: Option<StartPlace>,
}

impl Place {
    /// The user is in.
    fn logged_in(&mut self) {
        if let Some(start) = self.start.take() {
            lock(&self.shared.places).gate.leave(start);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = lock(&self.shared.places);
        places.connections.remove(&self.number);
        if let Some(start) = self.start.take() {
            places.gate.leave(start);
        }
    }
}

impl Server {
    /// Listens at an address; port 0 is any that is free, see [`local_addr`](Self::local_addr).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot listen there, [`Error::Config`] if the configuration cannot
    /// work.
    pub fn bind(
        address: impl ToSocketAddrs,
        options: ServerOptions,
        handler: impl Handler,
    ) -> Result<Self, Error> {
        let starts = match options.starts {
            Some(limits) => limits,
            None => StartLimits::new((options.connections / 2).max(1)),
        };
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            places: Mutex::new(Places {
                connections: HashMap::new(),
                gate: StartGate::new(starts),
            }),
            options,
            handler: Arc::new(handler),
        });
        // What cannot work is said now, and not to the first client.
        shared.new_connection(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let of_thread = shared.clone();
        thread::Builder::new()
            .name("ssh-server".into())
            .spawn(move || of_thread.listen(&listener))?;
        Ok(Self { shared, address })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there are, those included that have ended while handlers of theirs run
    /// on.
    pub fn connections(&self) -> usize {
        lock(&self.shared.places).connections.len()
    }

    /// Stops listening and says goodbye to all clients, without waiting for them.
    pub fn shutdown(&self) {
        if self.shared.stop.swap(true, Ordering::SeqCst) {
            return;
        }
        // Not under the lock: a connection that ends wants it.
        let connections = std::mem::take(&mut lock(&self.shared.places).connections);
        for connection in connections.values() {
            connection.end();
        }
        wake(self.address);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Shared {
    fn listen(self: Arc<Self>, listener: &TcpListener) {
        let mut number = 0;
        while let Some((stream, from)) = accept(listener, &self.stop) {
            number += 1;
            // A client that cannot be served sees its connection closed.
            let _ = self.clone().serve(stream, from, number);
        }
    }

    /// Starts a thread for a connection, if there is a place for it.
    fn serve(self: Arc<Self>, stream: TcpStream, from: SocketAddr, number: u64) -> io::Result<()> {
        let socket = Arc::new(Socket::new(stream)?);
        let place = {
            let mut places = lock(&self.places);
            if self.stop.load(Ordering::SeqCst)
                || places.connections.len() >= self.options.connections
            {
                return Ok(());
            }
            let Ok(start) = places.gate.admit(from.ip(), &mut OsRandom) else {
                return Ok(());
            };
            let connection = Connection::LoggingIn(socket.clone());
            places.connections.insert(number, connection);
            Place {
                shared: self.clone(),
                number,
                start: Some(start),
            }
        };
        thread::Builder::new()
            .name("ssh-login".into())
            .spawn(move || {
                if let Err(error) = self.log_in(socket, from, place) {
                    self.handler.login_failed(from, &error);
                }
            })?;
        Ok(())
    }

    fn new_connection(
        &self,
        from: SocketAddr,
    ) -> Result<(ssh_proto::Server, Admission<AnyUsers>), Error> {
        let options = &self.options;
        let mut config = options.config.clone();
        let keepalive = &mut config.transport.deadlines.keepalive;
        *keepalive = keepalive.or(options.keepalive);
        config.host_keys = options.host_keys.for_config();
        let users = AnyUsers((options.users)(from));
        let mut admission = Admission::new(users, options.required).peer(from.ip(), None);
        if let Ok(since) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            // Local time is not known here: expiry times without a zone are taken as UTC.
            admission = admission.at(Today {
                now: since.as_secs(),
                local_offset: 0,
            });
        }
        admission.configure(&mut config);
        Ok((
            ssh_proto::Server::new(config, Box::new(OsRandom))?,
            admission,
        ))
    }

    fn log_in(&self, socket: Arc<Socket>, from: SocketAddr, place: Place) -> Result<(), Error> {
        let clock = Clock::new();
        let (mut server, mut admission) = self.new_connection(from)?;
        let mut rx = RecvBuf::with_size(READ_SIZE);
        let mut admitted = None;
        let ran = handshake::run(&mut server, &mut rx, &socket, clock, |server, event| {
            match admission.on(event, server) {
                Ok(Step::Admitted(who)) => admitted = Some(who),
                Ok(Step::Ask(question)) => {
                    let check = if self
                        .handler
                        .password(from, question.user, question.password)
                    {
                        PasswordCheck::Right
                    } else {
                        PasswordCheck::Wrong
                    };
                    if let Ok(Step::Admitted(who)) =
                        admission.answer(question.decision, check, server)
                    {
                        admitted = Some(who);
                    }
                }
                Ok(Step::Other(ServerEvent::Sign(request))) => {
                    // Misuse here is the end of the connection, and that is an event of its own.
                    let keys = &self.options.host_keys;
                    let _ = keys.sign(request, server, &mut OsRandom);
                }
                Ok(Step::Other(ServerEvent::Ended(end))) => return Some(end),
                _ => {}
            }
            None
        });
        ran.map_err(|ended| Error::Ended(Arc::new(ended)))?;
        let Some(admitted) = admitted else {
            socket.shutdown(Shutdown::Both);
            return Err(Error::Closed);
        };
        self.run(server, rx, socket, clock, from, *admitted, place)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "all that a login leaves behind, once"
    )]
    fn run(
        &self,
        server: ssh_proto::Server,
        rx: RecvBuf,
        socket: Arc<Socket>,
        clock: Clock,
        from: SocketAddr,
        admitted: Admitted,
        mut place: Place,
    ) -> Result<(), Error> {
        place.logged_in();
        let session = Arc::new(Session::new(from, admitted));
        self.handler.logged_in(&session);
        let number = place.number;
        let keys = self.options.host_keys.clone();
        let handler = self.handler.clone();
        let role = ServerRole::new(session, handler, keys, self.options.handlers, place);
        let engine = Engine::start(server, rx, socket, clock, role)?;
        if let Some(connection) = lock(&self.places).connections.get_mut(&number) {
            *connection = Connection::Running(engine);
            return Ok(());
        }
        // It is over already, or the server was told to stop in between.
        engine.hang_up("the server is stopping");
        Ok(())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Users of a type that only the options know.
struct AnyUsers(Box<dyn Users + Send>);

impl Users for AnyUsers {
    fn authorized_keys(&mut self, user: &[u8]) -> Option<Arc<AuthorizedKeys>> {
        self.0.authorized_keys(user)
    }

    fn check_password(&mut self, user: &[u8], password: &[u8]) -> PasswordCheck {
        self.0.check_password(user, password)
    }
}
