//! A client over the [event loop](crate::event_loop): each connection logs in, runs one command,
//! checks every byte of the answer, and stays until it is told to go.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use ssh_client::{Login, Step, Trust};
use ssh_proto::config::ConfigError;
use ssh_proto::error::RequestError;
use ssh_proto::key::Fingerprint;
use ssh_proto::mux::Reply;
use ssh_proto::{ChannelEvent, ChannelId, Client, ClientConfig, ClientEvent, SendSide};

use crate::commands::pattern;
use crate::event_loop::Application;
use crate::os::OsRandom;
use crate::server;

/// How many failures are told in words.
const MOST_NOTES: usize = 10;
/// How much of an answer is kept, where it is wanted.
const MOST_ANSWER: usize = 256;

/// A command and what must come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What the server is told.
    command: String,
    /// How many bytes of the pattern it is sent.
    input: u64,
    expected: Expected,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    Text(String),
    Pattern(u64),
    Anything,
}

impl FromStr for Job {
    type Err = String;

    /// Reads `echo TEXT`, `count N`, `sink N`, `cat N` or `memory`; the N of the latter is how many
    /// bytes to send.
    fn from_str(line: &str) -> Result<Self, String> {
        let (name, argument) = line.split_once(' ').unwrap_or((line, ""));
        let n = argument
            .parse()
            .map_err(|_| format!("`{line}`: no number of bytes"));
        let (command, input, expected) = match name {
            "echo" => (line, 0, Expected::Text(format!("{argument}\n"))),
            "count" => (line, 0, Expected::Pattern(n?)),
            "sink" => {
                let n = n?;
                (name, n, Expected::Text(format!("{n}\n")))
            }
            "cat" => {
                let n = n?;
                (name, n, Expected::Pattern(n))
            }
            "memory" => (line, 0, Expected::Anything),
            _ => return Err(format!("`{line}`: no such command")),
        };
        Ok(Self {
            command: command.to_owned(),
            input,
            expected,
        })
    }
}

/// With what the client logs in.
#[derive(Clone, Debug)]
pub enum LogIn {
    /// The key of the user.
    Key,
    /// This password.
    Password(String),
}

/// What has come of all connections so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Logins that have not ended yet.
    pub logging_in: usize,
    /// Logins that succeeded.
    pub logged_in: usize,
    /// Commands whose answer was right, to the byte.
    pub right: usize,
    /// Connections that failed in any way, and commands whose answer was wrong.
    pub failed: usize,
    /// The first few failures.
    pub notes: Vec<String>,
    /// The beginning of the last answer.
    pub answer: String,
}

impl Tally {
    fn fail(&mut self, why: &dyn fmt::Display) {
        self.failed += 1;
        if self.notes.len() < MOST_NOTES {
            self.notes.push(why.to_string());
        }
    }
}

/// Connects, logs in, runs a command, checks the answer.
#[derive(Debug)]
pub struct CommandClient {
    config: ClientConfig,
    fingerprint: Fingerprint,
    log_in: LogIn,
    job: Job,
    tally: Tally,
}

/// What the client keeps for one connection.
#[derive(Debug)]
pub struct Seat {
    /// Until the user is in.
    login: Option<Box<Login>>,
    /// While the command runs.
    run: Option<Box<Run>>,
    /// The command was right, or its failure was counted.
    settled: bool,
}

#[derive(Debug)]
struct Run {
    channel: ChannelId,
    /// How much was sent of what is to be sent.
    sent: u64,
    ended: bool,
    received: u64,
    /// Everything that was received is as expected.
    right: bool,
    exit_status: Option<u32>,
    /// The beginning of what was received.
    answer: Vec<u8>,
}

impl CommandClient {
    /// A client that trusts the host key with this fingerprint.
    pub fn new(fingerprint: Fingerprint, log_in: LogIn, job: Job) -> Self {
        let mut config = ClientConfig::default();
        config.transport.limits.channels = 8;
        config.transport.limits.window = 256 * 1024;
        config.transport.limits.output = 64 * 1024;
        Self {
            config,
            fingerprint,
            log_in,
            job,
            tally: Tally::default(),
        }
    }

    /// The settings of connections that have not begun yet.
    pub const fn config(&mut self) -> &mut ClientConfig {
        &mut self.config
    }

    /// What has come of all connections so far.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A connection that is about to begin.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the random source fails.
    pub fn start(&mut self) -> Result<(Client, Seat), ConfigError> {
        let login = Login::new(server::USER, Trust::pinned([self.fingerprint]));
        let login = match &self.log_in {
            LogIn::Key => login.key(server::user_key()),
            LogIn::Password(password) => login.password(password.clone()),
        };
        let mut config = self.config.clone();
        login.configure(&mut config);
        let client = Client::new(config, Box::new(OsRandom))?;
        self.tally.logging_in += 1;
        let seat = Seat {
            login: Some(Box::new(login)),
            run: None,
            settled: false,
        };
        Ok((client, seat))
    }

    fn on_channel(
        &mut self,
        event: ChannelEvent<'_>,
        client: &mut SendSide,
        seat: &mut Seat,
    ) -> Result<(), RequestError> {
        let Some(run) = &mut seat.run else {
            return Ok(());
        };
        match event {
            ChannelEvent::Opened { channel } => {
                let mut channel = client.channel(channel)?;
                channel.exec(self.job.command.as_bytes(), Reply::Wanted)?;
            }
            // Granted: the command runs, and reads.
            ChannelEvent::Reply { success: true, .. } | ChannelEvent::Writable { .. } => {
                run.send(self.job.input, client)?;
            }
            ChannelEvent::Data { channel, data, .. } => {
                run.check(data, &self.job.expected);
                client.channel(channel)?.release(data.len())?;
            }
            ChannelEvent::ExitStatus { exit_status, .. } => run.exit_status = Some(exit_status),
            ChannelEvent::Reply { success: false, .. } => client.channel(run.channel)?.close()?,
            ChannelEvent::Closed { .. } | ChannelEvent::OpenFailed { .. } => {
                seat.settled = true;
                if run.is_right(&self.job.expected) {
                    self.tally.right += 1;
                } else {
                    self.tally.fail(&format!(
                        "`{}`: {} bytes came, exit status {:?}",
                        self.job.command, run.received, run.exit_status
                    ));
                }
                self.tally.answer = String::from_utf8_lossy(&run.answer).into_owned();
                seat.run = None;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Run {
    /// Sends what can be sent of the input; `Writable` says when to go on.
    fn send(&mut self, input: u64, client: &mut SendSide) -> Result<(), RequestError> {
        while self.sent < input {
            let most = usize::try_from(input - self.sent).unwrap_or(usize::MAX);
            let mut slot = client.channel(self.channel)?.reserve(most)?;
            let room = slot.room();
            let n = room.len();
            for (place, at) in room.iter_mut().zip(self.sent..) {
                *place = pattern(at);
            }
            if n == 0 {
                return Ok(());
            }
            slot.commit(n);
            self.sent += n as u64;
        }
        if !self.ended {
            self.ended = true;
            client.channel(self.channel)?.eof()?;
        }
        Ok(())
    }

    fn check(&mut self, data: &[u8], expected: &Expected) {
        let is = |at: u64, byte: u8| match expected {
            Expected::Pattern(_) => pattern(at) == byte,
            Expected::Text(text) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                text.as_bytes().get(at) == Some(&byte)
            }
            Expected::Anything => true,
        };
        self.right &= (self.received..).zip(data).all(|(at, &byte)| is(at, byte));
        self.received += data.len() as u64;
        let left = MOST_ANSWER - self.answer.len().min(MOST_ANSWER);
        self.answer.extend(data.iter().take(left));
    }

    fn is_right(&self, expected: &Expected) -> bool {
        let complete = match expected {
            Expected::Pattern(n) => self.received == *n,
            Expected::Text(text) => self.received == text.len() as u64,
            Expected::Anything => true,
        };
        self.right && complete && self.exit_status == Some(0)
    }
}

impl Application for CommandClient {
    type Peer = Client;
    type Seat = Seat;

    /// Nobody connects to a client.
    fn accepted(&mut self, _: SocketAddr) -> Option<(Client, Seat)> {
        None
    }

    fn on_event(&mut self, client: &mut Client, seat: &mut Seat, event: ClientEvent<'_>) {
        let event = match &mut seat.login {
            None => event,
            Some(login) => match login.on(event, client, &mut OsRandom) {
                Step::Other(event) => event,
                Step::Done { .. } => {
                    seat.login = None;
                    self.tally.logging_in -= 1;
                    self.tally.logged_in += 1;
                    match client.open_session() {
                        Ok(channel) => seat.run = Some(Box::new(Run::on(channel))),
                        Err(error) => {
                            seat.settled = true;
                            self.tally.fail(&error);
                        }
                    }
                    return;
                }
                Step::Failed(error) => {
                    // The connection was ended by the login: `Ended` follows.
                    seat.settled = true;
                    self.tally.fail(&error);
                    return;
                }
                _ => return,
            },
        };
        match event {
            ClientEvent::Channel(event) => {
                if let Err(error) = self.on_channel(event, client, seat) {
                    seat.settled = true;
                    seat.run = None;
                    self.tally.fail(&error);
                }
            }
            ClientEvent::Ended(end) if !seat.settled => {
                seat.settled = true;
                self.tally.fail(&end);
            }
            _ => {}
        }
    }

    fn closed(&mut self, seat: Seat) {
        self.tally.logging_in -= usize::from(seat.login.is_some());
        if !seat.settled {
            self.tally.fail(&"the connection is gone");
        }
    }
}

impl Run {
    const fn on(channel: ChannelId) -> Self {
        Self {
            channel,
            sent: 0,
            ended: false,
            received: 0,
            right: true,
            exit_status: None,
            answer: Vec::new(),
        }
    }
}
