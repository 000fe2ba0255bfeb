//! How to connect: [`ConnectOptions`], and logging in.

use std::fmt;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ssh_client::{Login, PasswordReason};
use ssh_driver::{Ask, Error, Heard, LoggingIn, Observer, Settings};
use ssh_proto::RecvBuf;
use ssh_proto::auth::{AuthenticatedBy, SignRequest};
use ssh_proto::client::ClientSend;
use ssh_proto::key::{Fingerprint, PublicKey};

use crate::handshake;
use crate::socket::{Clock, OsRandom, Socket};

/// Bytes that are read at a time.
const READ_SIZE: usize = 256 * 1024;

/// How a [`Client`](crate::Client) connects and logs in.
///
/// The [`Login`] says whom to trust and what to show. What it asks is answered by the callbacks
/// here; without one, an unknown host key is not trusted, and there is no password and no
/// signature.
#[derive(Debug)]
pub struct ConnectOptions {
    pub(crate) settings: Settings,
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
            settings: Settings::new(login),
            answers: Answers {
                host_key: Box::new(|_, _| false),
                password: Box::new(|_| None),
                sign: Box::new(|_| None),
            },
        }
    }

    ssh_driver::settings_methods!();

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

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers")
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

impl Answers {
    fn answer(&mut self, ask: Ask, login: &mut LoggingIn, client: &mut ClientSend) -> Heard {
        match ask {
            Ask::HostKey {
                key,
                fingerprint,
                decision,
            } => {
                let trusted = (self.host_key)(&key, &fingerprint);
                login.answer_host_key(decision, trusted, client);
            }
            Ask::Password { reason, token } => {
                let password = (self.password)(reason.borrowed());
                return login.answer_password(token, password, client);
            }
            Ask::Sign(request) => {
                let signature = (self.sign)(&request);
                login.answer_signature(request, signature.as_deref(), client);
            }
            _ => {}
        }
        Heard::Nothing
    }
}

impl ConnectOptions {
    /// Logs in with these options, over a stream.
    pub(crate) fn log_in(mut self, stream: TcpStream) -> Result<(LoggedIn, Defaults), Error> {
        let defaults = Defaults {
            request_timeout: self.settings.request_timeout,
            exec_limit: self.settings.exec_limit,
        };
        let socket = Arc::new(Socket::new(stream)?);
        let clock = Clock::new();
        let config = self.settings.client_config();
        let mut client = ssh_proto::Client::new(config, Box::new(OsRandom))?;
        let mut rx = RecvBuf::with_size(READ_SIZE);
        let mut login = LoggingIn::new(self.settings.login, self.settings.observer);
        let mut answers = self.answers;
        let ran = handshake::run(&mut client, &mut rx, &socket, clock, |client, event| {
            let mut heard = login.on(event, client, &mut OsRandom);
            while let Heard::Ask(ask) = heard {
                heard = answers.answer(ask, &mut login, client);
            }
            match heard {
                Heard::Ended(end) => Some(end),
                _ => None,
            }
        });
        if let Err(ended) = ran {
            return Err(login.failed(ended));
        }
        let (by, observer) = login.finish();
        let logged_in = LoggedIn {
            client,
            rx,
            socket,
            clock,
            by,
            observer,
        };
        Ok((logged_in, defaults))
    }
}

/// What a client does unless it is told otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) exec_limit: usize,
}
