//! How to connect: [`ConnectOptions`], and logging in.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use ssh_client::Login;
use ssh_driver::{Ask, Error, Heard, LoggingIn, Observer, Reason, Settings};
use ssh_proto::auth::{AuthenticatedBy, SignRequest};
use ssh_proto::client::ClientSend;
use ssh_proto::key::{Fingerprint, PublicKey};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::handshake::{Done, Handshake, Turn};
use crate::sys::{Link, OsRandom};

/// How a [`Client`](crate::Client) connects and logs in.
///
/// The [`Login`] says whom to trust and what to show. What it asks is answered by the callbacks
/// here, which may take their time: the connection is looked after meanwhile. Without a callback an
/// unknown host key is not trusted, and there is no password and no signature.
#[derive(Debug)]
pub struct ConnectOptions {
    pub(crate) settings: Settings,
    answers: Answers,
}

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type OnHostKey = dyn FnMut(PublicKey, Fingerprint) -> Answer<bool> + Send;
type OnPassword = dyn FnMut(Reason) -> Answer<Option<String>> + Send;
type OnSign = dyn FnMut(&SignRequest) -> Answer<Option<Vec<u8>>> + Send;

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
                host_key: Box::new(|_, _| Box::pin(async { false })),
                password: Box::new(|_| Box::pin(async { None })),
                sign: Box::new(|_| Box::pin(async { None })),
            },
        }
    }

    ssh_driver::settings_methods!();

    /// Decides whether a host key is trusted about which nothing is known. A key that has changed
    /// is never asked about.
    #[must_use]
    pub fn on_host_key<F>(
        mut self,
        mut decide: impl FnMut(PublicKey, Fingerprint) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        self.answers.host_key = Box::new(move |key, print| Box::pin(decide(key, print)));
        self
    }

    /// Gives the password when [`Login::ask_password`] asks; `None` goes on without.
    #[must_use]
    pub fn on_password<F>(mut self, mut ask: impl FnMut(Reason) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Option<String>> + Send + 'static,
    {
        self.answers.password = Box::new(move |reason| Box::pin(ask(reason)));
        self
    }

    /// Signs for [`Login::external_key`]; `None` goes on without.
    #[must_use]
    pub fn on_sign<F>(mut self, mut sign: impl FnMut(&SignRequest) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Option<Vec<u8>>> + Send + 'static,
    {
        self.answers.sign = Box::new(move |request| Box::pin(sign(request)));
        self
    }

    /// Logs in with these options, over a stream.
    pub(crate) async fn log_in<S>(mut self, stream: S) -> Result<LoggedIn, Error>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let link = Link::new(stream)?;
        let config = self.settings.client_config();
        let client = ssh_proto::Client::new(config, Box::new(OsRandom))?;
        let mut handshake = Handshake::new(client, link);
        let mut login = LoggingIn::new(self.settings.login, self.settings.observer);
        let mut answers = self.answers;
        loop {
            let ran = handshake.run(
                |client, event| match login.on(event, client, &mut OsRandom) {
                    Heard::Ask(ask) => Turn::Ask(ask),
                    Heard::Ended(end) => Turn::Ended(end),
                    _ => Turn::Going,
                },
            );
            let mut ask = match ran.await {
                Ok(Some(ask)) => ask,
                Ok(None) => break,
                Err(ended) => return Err(login.failed(ended)),
            };
            // An answer may lead to the next question.
            while let Some(next) = answers.answer(ask, &mut login, &mut handshake).await {
                ask = next;
            }
        }
        let (by, observer) = login.finish();
        Ok(LoggedIn {
            done: handshake.finish(),
            by,
            observer,
        })
    }
}

/// A connection whose user is in.
pub(crate) struct LoggedIn {
    pub(crate) done: Done<ssh_proto::Client>,
    pub(crate) by: AuthenticatedBy,
    pub(crate) observer: Box<dyn Observer>,
}

impl Answers {
    /// Answers a question, and gives back the next one. Where the deadline comes first, the next
    /// event says so.
    async fn answer(
        &mut self,
        ask: Ask,
        login: &mut LoggingIn,
        handshake: &mut Handshake<ssh_proto::Client>,
    ) -> Option<Ask> {
        match ask {
            Ask::HostKey {
                key,
                fingerprint,
                decision,
            } => {
                let decide = (self.host_key)(key, fingerprint);
                let trusted = handshake.answer(decide).await?;
                login.answer_host_key(decision, trusted, send(handshake));
            }
            Ask::Password { reason, token } => {
                let password = handshake.answer((self.password)(reason)).await?;
                if let Heard::Ask(ask) = login.answer_password(token, password, send(handshake)) {
                    return Some(ask);
                }
            }
            Ask::Sign(request) => {
                let signature = handshake.answer((self.sign)(&request)).await?;
                login.answer_signature(request, signature.as_deref(), send(handshake));
            }
            _ => {}
        }
        None
    }
}

fn send(handshake: &mut Handshake<ssh_proto::Client>) -> &mut ClientSend {
    &mut handshake.peer
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers")
    }
}
