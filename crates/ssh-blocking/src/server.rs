//! The server: [`Server`] listens, lets users in by the rules of `ssh-server`, and hands what they
//! ask for to a [`Handler`].

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use ssh_driver::{Ended, Entered, Error, Place, Places, ServerOptions, Session};
use ssh_proto::RecvBuf;
use ssh_proto::error::End;
use ssh_proto::server::ServerEvent;
use ssh_server::{Admitted, PasswordCheck, StartStage, Step};

use crate::engine::{Engine, lock};
use crate::forward::{accept, wake};
use crate::handler::Handler;
use crate::handshake;
use crate::server_role::ServerRole;
use crate::socket::{Clock, OsRandom, Socket};

/// Bytes that are read at a time.
const READ_SIZE: usize = 256 * 1024;

/// Listens, in threads of its own. Dropped, it stops and ends its connections, without waiting.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
}

pub(crate) struct Shared {
    /// Set before `places` is emptied. Whoever takes a place looks at it with them locked.
    stop: AtomicBool,
    places: Mutex<Places<Connection>>,
    options: ServerOptions,
    handler: Arc<dyn Handler>,
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
pub(crate) struct Seat {
    shared: Arc<Shared>,
    place: Place,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let gone = lock(&self.shared.places).leave(&mut self.place);
        drop(gone);
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
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            places: Mutex::new(Places::new(&options)),
            options,
            handler: Arc::new(handler),
        });
        // What cannot work is said now, and not to the first client.
        let nobody = SocketAddr::from(([127, 0, 0, 1], 0));
        shared.options.connection(nobody, Box::new(OsRandom))?;
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
        lock(&self.shared.places).len()
    }

    /// Stops listening and says goodbye to all clients, without waiting for them.
    pub fn shutdown(&self) {
        if self.shared.stop.swap(true, Ordering::SeqCst) {
            return;
        }
        // Not under the lock: a connection that ends wants it.
        let connections = lock(&self.shared.places).stop();
        for connection in connections {
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
        while let Some((stream, from)) = accept(listener, &self.stop) {
            // A client that cannot be served sees its connection closed.
            let _ = self.clone().serve(stream, from);
        }
    }

    /// Starts a thread for a connection, if there is a place for it.
    fn serve(self: Arc<Self>, stream: TcpStream, from: SocketAddr) -> io::Result<()> {
        let socket = Arc::new(Socket::new(stream)?);
        let connection = Connection::LoggingIn(socket.clone());
        let entered = lock(&self.places).enter(from.ip(), connection);
        let Some(Entered {
            place, displaced, ..
        }) = entered
        else {
            return Ok(());
        };
        let seat = Seat {
            shared: self.clone(),
            place,
        };
        if let Some(displaced) = displaced {
            displaced.end();
        }
        thread::Builder::new()
            .name("ssh-login".into())
            .spawn(move || {
                if let Err(error) = self.log_in(socket, from, seat) {
                    self.handler.login_failed(from, &error);
                }
            })?;
        Ok(())
    }

    fn log_in(&self, socket: Arc<Socket>, from: SocketAddr, seat: Seat) -> Result<(), Error> {
        let clock = Clock::new();
        let (mut server, mut admission) = self.options.connection(from, Box::new(OsRandom))?;
        let mut rx = RecvBuf::new();
        let mut admitted = None;
        let ran = handshake::run(&mut server, &mut rx, &socket, clock, |server, event| {
            if let Some(stage) = StartStage::after(&event) {
                lock(&self.places).advance(&seat.place, stage);
            }
            match admission.on(event, server) {
                Ok(Step::Admitted(who)) => admitted = Some(who),
                Ok(Step::Ask(question)) => {
                    if !lock(&self.places).ask(&seat.place) {
                        return Some(End::Disconnected);
                    }
                    let check = if self
                        .handler
                        .password(from, question.user, question.password)
                    {
                        PasswordCheck::Right
                    } else {
                        PasswordCheck::Wrong
                    };
                    lock(&self.places).answered(&seat.place);
                    if let Ok(Step::Admitted(who)) =
                        admission.answer(question.decision, check, server)
                    {
                        admitted = Some(who);
                    }
                }
                Ok(Step::Other(ServerEvent::Sign(request))) => {
                    // Misuse here is the end of the connection, and that is an event of its own.
                    let keys = self.options.host_keys();
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
        self.run(server, rx, socket, clock, from, *admitted, seat)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "all that a login leaves behind, once"
    )]
    fn run(
        &self,
        server: ssh_proto::Server,
        mut rx: RecvBuf,
        socket: Arc<Socket>,
        clock: Clock,
        from: SocketAddr,
        admitted: Admitted,
        mut seat: Seat,
    ) -> Result<(), Error> {
        if !lock(&self.places).logged_in(&mut seat.place) {
            socket.shutdown(Shutdown::Both);
            return Err(Error::Ended(Arc::new(Ended::new(End::Disconnected, None))));
        }
        rx.set_size(READ_SIZE);
        let session = Arc::new(Session::new(from, admitted, server.negotiated().cloned()));
        self.handler.logged_in(&session);
        let number = seat.place.number();
        let keys = self.options.host_keys().clone();
        let handler = self.handler.clone();
        let role = ServerRole::new(session, handler, keys, self.options.most_handlers(), seat);
        let engine = Engine::start(server, rx, socket, clock, role)?;
        let running = Connection::Running(engine);
        // The lock is given back before anything is ended: a connection that ends wants it.
        let late = lock(&self.places).replace(number, running, |_, _| true);
        if let Some(late) = late {
            // It is over already, or the server was told to stop in between.
            late.end();
        }
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
