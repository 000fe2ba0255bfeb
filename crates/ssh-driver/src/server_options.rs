//! How a server works: [`ServerOptions`], the same for every driver.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use ssh_keys::authorized_keys::AuthorizedKeys;
use ssh_proto::algorithm::{self, AlgorithmList, ListError, Preset};
use ssh_proto::config::{ConfigError, Keepalive, ServerConfig};
use ssh_proto::random::Random;
use ssh_server::{Admission, Clock, HostKeys, PasswordCheck, Required, StartLimits, Users};

use crate::cpu::on_this_cpu;
use crate::settings::KEEPALIVE;

type MakeUsers = dyn Fn(SocketAddr) -> Box<dyn Users + Send> + Send + Sync;

/// How a server works.
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
    /// programs and forwards for each connection. `users` is called for each connection, with
    /// the address that it comes from, and once when the server is made, with 127.0.0.1:0, so that
    /// what cannot work is said then.
    pub fn new<U: Users + Send + 'static>(
        host_keys: HostKeys,
        users: impl Fn(SocketAddr) -> U + Send + Sync + 'static,
    ) -> Self {
        Self {
            config: on_this_cpu(Preset::default()).into(),
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
    /// keys and methods are set by these options. Algorithms that were set before are forgotten.
    #[must_use]
    pub fn config(mut self, config: ServerConfig) -> Self {
        self.config = config;
        self
    }

    /// Offers the algorithms of this preset, to users who sign as well, and requires strict key
    /// exchange where it does. Of what both offer the client's order decides. The default is
    /// `Preset::default()`.
    #[must_use]
    pub fn preset(mut self, preset: Preset) -> Self {
        self.config.set_preset(on_this_cpu(preset));
        self
    }

    /// Changes one list of algorithms, or both directions of one, in the syntax of OpenSSH: names
    /// instead of those that are there, `+` adds some, `-` takes some away, `^` puts some to the
    /// front; `*` and `?` are wildcards. `Algorithms::set` of `ssh-proto` says more.
    ///
    /// # Errors
    ///
    /// The text makes no list: an unknown name, for example.
    pub fn algorithms(mut self, list: AlgorithmList, text: &str) -> Result<Self, ListError> {
        self.config.transport.algorithms.set(list, text)?;
        Ok(self)
    }

    /// Changes in the same way how users may sign.
    ///
    /// # Errors
    ///
    /// As [`algorithms`](Self::algorithms).
    pub fn user_signatures(mut self, text: &str) -> Result<Self, ListError> {
        algorithm::change(&mut self.config.user_signatures, text)?;
        Ok(self)
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

    /// Sets how many connections may be logging in at a time, in all and from one address. By
    /// default it is half of all [`connections`](Self::connections), so that clients that never log
    /// in leave room for those that have, and 10 from one address. One more from an address is closed
    /// at once; where all places are taken, one more takes the place of the connection that has come
    /// least far, and of these of the oldest.
    ///
    /// Behind a proxy all clients have one address: set `per_source` accordingly.
    #[must_use]
    pub const fn starts(mut self, limits: StartLimits) -> Self {
        self.starts = Some(limits);
        self
    }

    /// Sets how many calls of a handler for a program or a forward may run at a time for one
    /// connection: they count until the handler returns, also where their channel is closed. One more program or forward is refused. A server has no more than this
    /// times [`connections`](Self::connections) of them.
    #[must_use]
    pub const fn handlers(mut self, most: usize) -> Self {
        self.handlers = most;
        self
    }

    /// The host keys.
    pub const fn host_keys(&self) -> &HostKeys {
        &self.host_keys
    }

    /// See [`connections`](Self::connections).
    pub const fn most_connections(&self) -> usize {
        self.connections
    }

    /// See [`handlers`](Self::handlers).
    pub const fn most_handlers(&self) -> usize {
        self.handlers
    }

    /// See [`starts`](Self::starts).
    pub fn start_limits(&self) -> StartLimits {
        let half = (self.connections / 2).max(1);
        self.starts.unwrap_or_else(|| StartLimits::new(half))
    }

    /// The core and the rules of admission for a connection from this address.
    ///
    /// # Errors
    ///
    /// The configuration cannot work.
    pub fn connection(
        &self,
        from: SocketAddr,
        random: Box<dyn Random + Send>,
    ) -> Result<(ssh_proto::Server, Admission<AnyUsers>), ConfigError> {
        let mut config = self.config.clone();
        let keepalive = &mut config.transport.deadlines.keepalive;
        *keepalive = keepalive.or(self.keepalive);
        config.host_keys = self.host_keys.for_config();
        let users = AnyUsers((self.users)(from));
        let mut admission = Admission::new(users, self.required).peer(from.ip(), None);
        if let Ok(since) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            // Local time is not known here: expiry times without a zone are taken as UTC.
            admission = admission.at(Clock {
                now: since.as_secs(),
                local_offset: 0,
            });
        }
        admission.configure(&mut config);
        Ok((ssh_proto::Server::new(config, random)?, admission))
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

/// Users of a type that only the options know.
pub struct AnyUsers(Box<dyn Users + Send>);

impl fmt::Debug for AnyUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyUsers")
    }
}

impl Users for AnyUsers {
    fn authorized_keys(&mut self, user: &[u8]) -> Option<Arc<AuthorizedKeys>> {
        self.0.authorized_keys(user)
    }

    fn check_password(&mut self, user: &[u8], password: &[u8]) -> PasswordCheck {
        self.0.check_password(user, password)
    }
}
