//! How to connect: [`ConnectOptions`], and logging in.

use std::fmt;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ssh_client::{Login, PasswordReason, Question, Step};
use ssh_driver::{Ended, Error, Nobody, Observer, Seen};
use ssh_proto::auth::{AuthenticatedBy, SignRequest};
use ssh_proto::client::ClientEvent;
use ssh_proto::config::{ClientConfig, Keepalive};
use ssh_proto::error::End;
use ssh_proto::key::{Fingerprint, PublicKey};
use ssh_proto::{RecvBuf, TransportEvent};

use crate::handshake;
use crate::socket::{Clock, OsRandom, Socket};

/// Asked for unless told otherwise: a peer that vanished is noticed within two minutes.
pub(crate) const KEEPALIVE: Keepalive = Keepalive {
    interval: Duration::from_secs(30),
    count: 3,
};

/// Bytes that are read at a time.
const READ_SIZE: usize = 256 * 1024;

/// How a [`Client`](crate::Client) connects and logs in.
///
/// The [`Login`] says whom to trust and what to show. What it asks is answered by the callbacks
/// here; without one, an unknown host key is not trusted, and there is no password and no
/// signature.
pub struct ConnectOptions {
    pub(crate) login: Login,
    pub(crate) config: ClientConfig,
    keepalive: Option<Keepalive>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) exec_limit: usize,
    pub(crate) observer: Box<dyn Observer>,
    answers: Answers,
}

type OnHostKey = dyn FnMut(&PublicKey, &Fingerprint) -> bool + Send;
type OnPassword = dyn FnMut(PasswordReason<'_>) -> Option<String> + Send;
type OnSign = dyn FnMut(&SignRequest) -> Option<Vec<u8>> + Send;

struct Answers {
    host_key: Box<OnHostKey>,
    password: Box<OnPassword>,
    sign: Box<OnSign>,
}

impl ConnectOptions {
    /// Connects within 30 seconds, gives a request 2 minutes to be answered, asks a server that has
    /// been silent for 30 seconds for a sign of life and gives it up after three such questions, and
    /// collects at most 64 MiB of a command's output.
    pub fn new(login: Login) -> Self {
        Self {
            login,
            config: ClientConfig::default(),
            keepalive: Some(KEEPALIVE),
            connect_timeout: Some(Duration::from_secs(30)),
            request_timeout: Some(Duration::from_secs(120)),
            exec_limit: 64 * 1024 * 1024,
            observer: Box::new(Nobody),
            answers: Answers {
                host_key: Box::new(|_, _| false),
                password: Box::new(|_| None),
                sign: Box::new(|_| None),
            },
        }
    }

    /// Sets the configuration of the protocol: algorithms, limits, deadlines. How long logging in
    /// may take is `deadlines.authentication` there. A keepalive there goes before the one here.
    #[must_use]
    pub fn config(mut self, config: ClientConfig) -> Self {
        self.config = config;
        self
    }

    /// Sets how long connecting to all addresses may take together; `None` leaves it to the
    /// operating system, as it is in any case for finding the addresses of a name.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long opening a channel, a request on a channel (`exec`, `shell`, `pty`, ...) or
    /// [`Client::rekey`](crate::Client::rekey) may take; `None` is for ever, as long as the connection
    /// lives.
    #[must_use]
    pub const fn request_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Sets how many bytes of output [`Client::exec`](crate::Client::exec) collects.
    #[must_use]
    pub const fn exec_limit(mut self, bytes: usize) -> Self {
        self.exec_limit = bytes;
        self
    }

    /// Asks a silent server for a sign of life after `interval`, and gives it up after `count`
    /// questions without an answer.
    #[must_use]
    pub const fn keepalive(mut self, interval: Duration, count: u32) -> Self {
        self.keepalive = Some(Keepalive { interval, count });
        self
    }

    /// Never asks for a sign of life: a server that vanishes without a word is then noticed by
    /// timeouts only, where there are any.
    #[must_use]
    pub const fn without_keepalive(mut self) -> Self {
        self.keepalive = None;
        self
    }

    /// Sets who is told what happens.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// Decides whether a host key is trusted about which nothing is known. A key that has changed
    /// is never asked about.
    #[must_use]
    pub fn on_host_key(
        mut self,
        decide: impl FnMut(&PublicKey, &Fingerprint) -> bool + Send + 'static,
    ) -> Self {
        self.answers.host_key = Box::new(decide);
        self
    }

    /// Gives the password when [`Login::ask_password`] asks; `None` goes on without.
    #[must_use]
    pub fn on_password(
        mut self,
        ask: impl FnMut(PasswordReason<'_>) -> Option<String> + Send + 'static,
    ) -> Self {
        self.answers.password = Box::new(ask);
        self
    }

    /// Signs for [`Login::external_key`]; `None` goes on without.
    #[must_use]
    pub fn on_sign(
        mut self,
        sign: impl FnMut(&SignRequest) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        self.answers.sign = Box::new(sign);
        self
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("login", &self.login)
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .finish_non_exhaustive()
    }
}

/// Connects to the first address that answers.
pub(crate) fn tcp(
    addresses: impl ToSocketAddrs,
    timeout: Option<Duration>,
) -> Result<TcpStream, Error> {
    let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no address");
    for address in addresses.to_socket_addrs()? {
        let result = match end {
            None => TcpStream::connect(address),
            Some(end) => match end.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Err(Error::Timeout),
                left => TcpStream::connect_timeout(&address, left),
            },
        };
        match result {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    if last.kind() == io::ErrorKind::TimedOut && end.is_some_and(|end| end <= Instant::now()) {
        return Err(Error::Timeout);
    }
    Err(last.into())
}

/// A connection whose user is in.
pub(crate) struct LoggedIn {
    pub(crate) client: ssh_proto::Client,
    pub(crate) rx: RecvBuf,
    pub(crate) socket: Arc<Socket>,
    pub(crate) clock: Clock,
    pub(crate) by: AuthenticatedBy,
    pub(crate) observer: Box<dyn Observer>,
}

/// Logs in over a stream.
fn log_in(
    stream: TcpStream,
    mut login: Login,
    mut config: ClientConfig,
    mut observer: Box<dyn Observer>,
    mut answers: Answers,
) -> Result<LoggedIn, Error> {
    let socket = Arc::new(Socket::new(stream)?);
    let clock = Clock::new();
    login.configure(&mut config);
    let mut client = ssh_proto::Client::new(config, Box::new(OsRandom))?;
    let mut rx = RecvBuf::with_size(READ_SIZE);
    let mut by = AuthenticatedBy::None;
    let mut failed = None;
    let ran = handshake::run(&mut client, &mut rx, &socket, clock, |client, mut event| {
        if let Some(seen) = Seen::of(&mut event) {
            seen.tell(&mut *observer);
        }
        if let ClientEvent::Transport(TransportEvent::Identified) = &event
            && let Some(server) = client.peer_identification()
        {
            observer.identified(server);
        }
        let mut step = login.on(event, client, &mut OsRandom);
        loop {
            step = match step {
                Step::Done { by: how } => {
                    by = how;
                    return None;
                }
                Step::Failed(error) => {
                    failed.get_or_insert(error);
                    return None;
                }
                Step::Other(ClientEvent::Ended(end)) => return Some(end),
                Step::Ask(question) => match answers.answer(question, &mut login, client) {
                    Some(next) => next,
                    None => return None,
                },
                _ => return None,
            }
        }
    });
    match ran {
        Ok(()) => Ok(LoggedIn {
            client,
            rx,
            socket,
            clock,
            by,
            observer,
        }),
        Err(ended) => Err(match failed {
            Some(reason) => Error::Login(Box::new(reason)),
            None => not_in(ended, &login),
        }),
    }
}

/// The server has ended the connection, perhaps because of what was tried.
fn not_in(ended: Ended, login: &Login) -> Error {
    let report = login.report();
    if !report.tried.is_empty() && matches!(ended.end, End::ByPeer(_) | End::Eof { .. }) {
        return Error::LoginEnded {
            ended: Arc::new(ended),
            report: Box::new(report),
        };
    }
    Error::Ended(Arc::new(ended))
}

impl Answers {
    /// Answers a question. What is misused here has ended already, and that is an event of its own.
    fn answer(
        &mut self,
        question: Question<'_>,
        login: &mut Login,
        client: &mut ssh_proto::Client,
    ) -> Option<Step<'static>> {
        match question {
            Question::HostKey {
                key,
                fingerprint,
                decision,
                ..
            } => {
                let _ = if (self.host_key)(&key, &fingerprint) {
                    client.trust(decision)
                } else {
                    client.distrust(decision)
                };
            }
            Question::Password { reason, token } => match (self.password)(reason) {
                Some(password) => {
                    let _ = login.answer(token, password, client);
                }
                None => return Some(login.decline(token, client)),
            },
            Question::Sign(request) => {
                let _ = match (self.sign)(&request) {
                    Some(signature) => client.signed(request, &signature),
                    None => client.not_signed(request),
                };
            }
            _ => {}
        }
        None
    }
}

impl ConnectOptions {
    /// Logs in with these options.
    pub(crate) fn log_in(self, stream: TcpStream) -> Result<(LoggedIn, Defaults), Error> {
        let defaults = Defaults {
            request_timeout: self.request_timeout,
            exec_limit: self.exec_limit,
        };
        let mut config = self.config;
        let keepalive = &mut config.transport.deadlines.keepalive;
        *keepalive = keepalive.or(self.keepalive);
        let logged_in = log_in(stream, self.login, config, self.observer, self.answers)?;
        Ok((logged_in, defaults))
    }
}

/// What a client does unless it is told otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) exec_limit: usize,
}
