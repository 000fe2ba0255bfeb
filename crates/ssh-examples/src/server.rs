//! A server over the [event loop](crate::event_loop): who may come in, and what for.
//!
//! Everybody knows its keys and its password, since they stand here: it is for loopback.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ssh_keys::authorized_keys::AuthorizedKeys;
use ssh_keys::{PublicKeyLine, SigningKey};
use ssh_proto::config::{Keepalive, Methods};
use ssh_proto::key::Fingerprint;
use ssh_proto::{Server, ServerConfig, ServerEvent};
use ssh_server::{Admission, FixedUsers, HostKeys, HostKeysError, Required, Step};

use crate::commands::{Commands, Memory};
use crate::event_loop::{Application, EventLoop};
use crate::os::{self, OsRandom};

/// The user.
pub const USER: &str = "alice";
/// Her password.
pub const PASSWORD: &str = "through the looking glass";

/// Her key.
pub fn user_key() -> SigningKey {
    SigningKey::ed25519(&[2; 32])
}

/// Lets the user in and runs her commands.
#[derive(Debug)]
pub struct CommandServer {
    config: ServerConfig,
    host_keys: HostKeys,
    fingerprint: Fingerprint,
    users: FixedUsers,
    connections: usize,
    admitted: usize,
}

/// What the server keeps for one connection.
#[derive(Debug)]
pub struct Seat {
    /// Until the user is in.
    admission: Option<Box<Admission<FixedUsers>>>,
    commands: Commands,
}

impl CommandServer {
    /// The server, with settings for many small connections; `adjust` may change them.
    ///
    /// # Errors
    ///
    /// [`HostKeysError`], which one key cannot cause.
    pub fn new(adjust: impl FnOnce(&mut ServerConfig)) -> Result<Self, HostKeysError> {
        let host_key = SigningKey::ed25519(&[1; 32]);
        let fingerprint = host_key.public_key().fingerprint();
        let host_keys = HostKeys::new([host_key])?;
        let line = PublicKeyLine {
            key: user_key().public_key().clone(),
            comment: USER.to_owned(),
        };
        let authorized = AuthorizedKeys::parse(format!("{line}\n").as_bytes());
        let users = FixedUsers::new()
            .with_keys(USER, Arc::new(authorized))
            .with_password(USER, PASSWORD.to_owned());

        let mut config = ServerConfig::default();
        config.host_keys = host_keys.for_config();
        let transport = &mut config.transport;
        // What a connection may hold of our memory: `cat` keeps a window at the most.
        transport.limits.channels = 8;
        transport.limits.window = 64 * 1024;
        transport.limits.window_total = 512 * 1024;
        transport.limits.output = 64 * 1024;
        // Who has vanished is found out.
        transport.deadlines.keepalive = Some(Keepalive {
            interval: Duration::from_secs(60),
            count: 3,
        });
        admission(&users).configure(&mut config);
        adjust(&mut config);
        Ok(Self {
            config,
            host_keys,
            fingerprint,
            users,
            connections: 0,
            admitted: 0,
        })
    }

    /// What the host key is known by.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// How often a user was let in.
    pub const fn admitted(&self) -> usize {
        self.admitted
    }

    /// A loop with this server listening at `address`, for so many connections at a time.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn listen(
        self,
        address: SocketAddr,
        most_connections: usize,
    ) -> io::Result<(EventLoop<Self>, SocketAddr)> {
        let mut server = EventLoop::new(self, most_connections)?;
        let address = server.listen(address)?;
        Ok((server, address))
    }
}

fn admission(users: &FixedUsers) -> Admission<FixedUsers> {
    let mut methods = Methods::PUBLICKEY;
    methods.password = true;
    Admission::new(users.clone(), Required::AnyOf(methods))
}

impl Application for CommandServer {
    type Peer = Server;
    type Seat = Seat;

    fn accepted(&mut self, from: SocketAddr) -> Option<(Server, Seat)> {
        let server = Server::new(self.config.clone(), Box::new(OsRandom)).ok()?;
        self.connections += 1;
        let seat = Seat {
            admission: Some(Box::new(admission(&self.users).peer(from.ip(), None))),
            commands: Commands::default(),
        };
        Some((server, seat))
    }

    fn on_event(&mut self, server: &mut Server, seat: &mut Seat, event: ServerEvent<'_>) {
        // First the one who guards the door, then everybody else.
        let event = match &mut seat.admission {
            None => event,
            Some(admission) => match admission.on(event, server) {
                Ok(Step::Other(event)) => event,
                Ok(Step::Admitted(_)) => {
                    self.admitted += 1;
                    seat.admission = None;
                    return;
                }
                _ => return,
            },
        };
        match event {
            ServerEvent::Sign(request) => {
                // Only for host keys that the core cannot use by itself, such as RSA.
                let _ = self.host_keys.sign(request, server, &mut OsRandom);
            }
            ServerEvent::Channel(event) => {
                let connections = self.connections;
                let memory = || Memory {
                    resident: os::resident().unwrap_or(0),
                    connections,
                    busy: os::processor_time().unwrap_or_default(),
                };
                seat.commands.on(event, server, memory);
            }
            _ => {}
        }
    }

    fn closed(&mut self, _: Seat) {
        self.connections -= 1;
    }
}
