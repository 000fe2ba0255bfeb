//! The server: [`Server`] lets users in by the rules of `ssh-server`, and hands what they ask for to
//! a [`Handler`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ssh_driver::{Ended, Entered, Error, Place, Places, ServerOptions, Session};
use ssh_proto::error::End;
use ssh_proto::server::{AuthDecision, ServerEvent};
use ssh_server::{Admitted, PasswordCheck, StartStage, Step};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::task::AbortHandle;
use zeroize::Zeroizing;

use crate::engine::{Engine, lock};
use crate::handler::Handler;
use crate::handshake::{Done, Handshake, Turn};
use crate::server_role::ServerRole;
use crate::sys::{Link, OsRandom};

/// How long to look away when a connection cannot be accepted.
const PAUSE: Duration = Duration::from_millis(20);

/// Serves clients, in tasks of the runtime where it was made. Dropped, it stops and ends its
/// connections, without waiting.
pub struct Server<H: Handler> {
    shared: Arc<Shared<H>>,
    listeners: Mutex<Vec<AbortHandle>>,
}

struct Shared<H> {
    places: Arc<Mutex<Places<Connection>>>,
    options: ServerOptions,
    handler: Arc<H>,
}

/// A connection, as far as the server can end it.
enum Connection {
    /// The place is taken, and the task is about to start.
    Arriving,
    LoggingIn(AbortHandle),
    Running(Arc<Engine>),
}

impl Connection {
    fn end(&self) {
        match self {
            Self::Arriving => {}
            Self::LoggingIn(task) => task.abort(),
            Self::Running(engine) => engine.hang_up("the server is stopping"),
        }
    }
}

/// The place of one connection among those that there may be.
pub(crate) struct Seat {
    places: Arc<Mutex<Places<Connection>>>,
    place: Place,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let gone = lock(&self.places).leave(&mut self.place);
        drop(gone);
    }
}

impl<H: Handler> Server<H> {
    /// Listens at an address; port 0 is any that is free.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot listen there, [`Error::Config`] if the configuration cannot
    /// work.
    pub async fn bind(
        address: impl ToSocketAddrs,
        options: ServerOptions,
        handler: H,
    ) -> Result<(Self, SocketAddr), Error> {
        let server = Self::new(options, handler)?;
        let address = server.listen(address).await?;
        Ok((server, address))
    }

    /// A server that listens nowhere yet.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the configuration cannot work.
    pub fn new(options: ServerOptions, handler: H) -> Result<Self, Error> {
        // What cannot work is said now, and not to the first client.
        let nobody = SocketAddr::from(([127, 0, 0, 1], 0));
        options.connection(nobody, Box::new(OsRandom))?;
        let shared = Arc::new(Shared {
            places: Arc::new(Mutex::new(Places::new(&options))),
            options,
            handler: Arc::new(handler),
        });
        Ok(Self {
            shared,
            listeners: Mutex::default(),
        })
    }

    /// Listens at one more address, and says which it is.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot listen there.
    pub async fn listen(&self, address: impl ToSocketAddrs) -> Result<SocketAddr, Error> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = self.shared.clone();
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    // A client that cannot be served sees its connection closed.
                    Ok((stream, from)) => shared.serve(stream, from),
                    // A peer that was gone again, or no more file descriptors: neither is solved
                    // by asking again at once.
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        lock(&self.listeners).push(task.abort_handle());
        Ok(address)
    }

    /// Serves one client over a stream that was accepted elsewhere, in tasks of its own; `from` is
    /// where it comes from. Without a place for it, the stream is dropped.
    pub fn serve<S>(&self, stream: S, from: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        self.shared.serve(stream, from);
    }

    /// How many connections there are, those included that have ended while handlers of theirs run
    /// on.
    pub fn connections(&self) -> usize {
        lock(&self.shared.places).len()
    }

    /// Stops listening and says goodbye to all clients whose users are in, without waiting for
    /// them. The others are cut off, and `login_failed` is not told.
    pub fn shutdown(&self) {
        for listener in lock(&self.listeners).drain(..) {
            listener.abort();
        }
        // Not under the lock: a connection that ends wants it.
        let connections = lock(&self.shared.places).stop();
        for connection in connections {
            connection.end();
        }
    }
}

impl<H: Handler> Drop for Server<H> {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// A password that the handler is to check.
struct Check {
    user: Vec<u8>,
    password: Zeroizing<Vec<u8>>,
    decision: AuthDecision,
}

impl<H: Handler> Shared<H> {
    /// Starts a task for a connection, if there is a place for it.
    fn serve<S>(self: &Arc<Self>, stream: S, from: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let entered = lock(&self.places).enter(from.ip(), Connection::Arriving);
        let Some(Entered {
            place, displaced, ..
        }) = entered
        else {
            return;
        };
        if let Some(displaced) = displaced {
            displaced.end();
        }
        let number = place.number();
        let seat = Seat {
            places: self.places.clone(),
            place,
        };
        let shared = self.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = shared.log_in(stream, from, seat).await {
                shared.handler.login_failed(from, &error);
            }
        });
        self.put(number, Connection::LoggingIn(task.abort_handle()));
    }

    /// Puts a connection in its place. One that is running already is not put back.
    fn put(&self, number: u64, connection: Connection) {
        let mut places = lock(&self.places);
        let late = places.replace(number, connection, |old, new| {
            matches!(
                (old, new),
                (Connection::Arriving, _) | (_, Connection::Running(_))
            )
        });
        drop(places);
        if let Some(late) = late {
            // The server was told to stop in between.
            late.end();
        }
    }

    async fn log_in<S>(&self, stream: S, from: SocketAddr, mut seat: Seat) -> Result<(), Error>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let link = Link::new(stream)?;
        let (server, mut admission) = self.options.connection(from, Box::new(OsRandom))?;
        let mut handshake = Handshake::new(server, link);
        let mut admitted = None;
        loop {
            let ran = handshake.run(|server, event| {
                if let Some(stage) = StartStage::after(&event) {
                    lock(&self.places).advance(&seat.place, stage);
                }
                match admission.on(event, server) {
                    Ok(Step::Admitted(who)) => admitted = Some(who),
                    Ok(Step::Ask(question)) => {
                        return Turn::Ask(Check {
                            user: question.user.to_vec(),
                            password: Zeroizing::new(question.password.to_vec()),
                            decision: question.decision,
                        });
                    }
                    Ok(Step::Other(ServerEvent::Sign(request))) => {
                        // Misuse here is the end of the connection, and that is an event of its
                        // own.
                        let keys = self.options.host_keys();
                        let _ = keys.sign(request, server, &mut OsRandom);
                    }
                    Ok(Step::Other(ServerEvent::Ended(end))) => return Turn::Ended(end),
                    _ => {}
                }
                Turn::Going
            });
            let Check {
                user,
                password,
                decision,
            } = match ran.await {
                Ok(Some(check)) => check,
                Ok(None) => break,
                Err(ended) => return Err(Error::Ended(Arc::new(ended))),
            };
            if !lock(&self.places).ask(&seat.place) {
                break;
            }
            let right = self.handler.password(from, user, password);
            // Where the deadline comes first, the next event says so.
            let right = handshake.answer(right).await;
            lock(&self.places).answered(&seat.place);
            if let Some(right) = right {
                let check = if right {
                    PasswordCheck::Right
                } else {
                    PasswordCheck::Wrong
                };
                let server = &mut handshake.peer;
                if let Ok(Step::Admitted(who)) = admission.answer(decision, check, server) {
                    admitted = Some(who);
                }
                if handshake.peer.is_authenticated() {
                    break;
                }
            }
        }
        let Some(admitted) = admitted else {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        };
        if !lock(&self.places).logged_in(&mut seat.place) {
            return Err(Error::Ended(Arc::new(Ended::new(End::Disconnected, None))));
        }
        self.run(handshake.finish(), from, *admitted, seat);
        Ok(())
    }

    fn run(&self, done: Done<ssh_proto::Server>, from: SocketAddr, admitted: Admitted, seat: Seat) {
        let negotiated = done.peer.negotiated().cloned();
        let session = Arc::new(Session::new(from, admitted, negotiated));
        self.handler.logged_in(&session);
        let number = seat.place.number();
        let keys = self.options.host_keys().clone();
        let handlers = self.options.most_handlers();
        let role = ServerRole::new(session, self.handler.clone(), keys, handlers, seat);
        let engine = Engine::start(done.peer, done.carry, done.link, done.clock, role);
        self.put(number, Connection::Running(engine));
    }
}

impl<H: Handler> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("options", &self.shared.options)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
