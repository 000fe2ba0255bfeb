//! The client's half of a [`Session`](super::Session): logs in, sends data over channels, collects
//! what comes back, and leaves.

use ssh_proto::client::{Ask, AuthToken, Client, ClientEvent, Credential, Probe};
use ssh_proto::key::PrivateKey;
use ssh_proto::message::DisconnectReason;
use ssh_proto::mux::{Reply, Stream};
use ssh_proto::{ChannelEvent, ChannelId};

use super::{Log, RekeyAt, key};
use crate::rng::SeededRandom;

/// How the client logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// With a key that signs in the core.
    Key,
    /// With a key that signs outside, after asking.
    Outside,
    /// With a password.
    Password,
    /// First `none`, then a password.
    NoneFirst,
    /// With a password and then a key; the server wants both.
    Both,
}

/// A client that logs in as alice and runs one `echo` for each of `sends`.
#[derive(Debug)]
pub struct Script {
    /// How it logs in.
    pub auth: Auth,
    /// What it sends, a channel for each.
    pub sends: Vec<Vec<u8>>,
    /// What came back.
    pub received: Vec<Received>,
    /// What it saw.
    pub log: Log,
    /// When it asks for new keys.
    pub rekey: RekeyAt,
    /// Does not disconnect when all channels have closed.
    pub stays: bool,
    /// Disconnects where it does not know what to answer, in place of a panic: for servers that
    /// are no [`Echo`](super::Echo).
    pub tolerant: bool,
    /// All channels have closed.
    pub done: bool,
    /// The session identifiers seen, without repetition.
    pub session_ids: Vec<Vec<u8>>,
    user_key: PrivateKey,
    channels: Vec<ScriptChannel>,
}

/// What one channel of a [`Script`] got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Standard output.
    pub out: Vec<u8>,
    /// Standard error.
    pub err: Vec<u8>,
    /// The exit status.
    pub status: Option<u32>,
}

#[derive(Debug)]
struct ScriptChannel {
    id: ChannelId,
    sent: usize,
    started: bool,
    eof: bool,
    closed: bool,
}

impl Script {
    /// One that logs in with a key.
    pub fn new(sends: Vec<Vec<u8>>) -> Self {
        Self {
            auth: Auth::Key,
            received: vec![Received::default(); sends.len()],
            sends,
            log: Log::default(),
            rekey: RekeyAt::Never,
            stays: false,
            tolerant: false,
            done: false,
            session_ids: Vec::new(),
            user_key: key(7),
            channels: Vec::new(),
        }
    }

    /// Takes one event.
    ///
    /// # Panics
    ///
    /// If the server is not an [`Echo`](super::Echo).
    pub fn on(&mut self, client: &mut Client, event: ClientEvent<'_>) {
        self.log.client(&event);
        let data = matches!(event, ClientEvent::Channel(ChannelEvent::Data { .. }));
        match event {
            ClientEvent::HostKey {
                key: host,
                decision,
                ..
            } => {
                assert_eq!(host, *key(1).public_key());
                client.trust(decision).expect("of this connection");
            }
            ClientEvent::Authenticate { reason, token } => {
                self.authenticate(client, reason, token);
            }
            ClientEvent::Sign(request) => {
                let signature = self
                    .user_key
                    .sign(request.algorithm, &request.data, &mut SeededRandom::new(0))
                    .expect("a signature");
                client
                    .signed(request, &signature)
                    .expect("of this connection");
            }
            ClientEvent::Authenticated { .. } => self.open_all(client),
            ClientEvent::Channel(event) => self.channel(client, event),
            _ => {}
        }
        if let Some(id) = client.session_id()
            && self.session_ids.last().map(Vec::as_slice) != Some(id)
        {
            self.session_ids.push(id.to_vec());
        }
        if client.is_authenticated() && !client.has_ended() && self.rekey.is_due(data) {
            client.rekey().expect("authenticated");
        }
    }

    /// Everything came back as it was sent.
    ///
    /// # Panics
    ///
    /// If it did not.
    pub fn check(&self) {
        for (n, (sent, received)) in self.sends.iter().zip(&self.received).enumerate() {
            let (got, all) = (received.out.len(), sent.len());
            assert!(received.out == *sent, "channel {n}: {got} of {all} bytes");
            let said = format!("{all} bytes");
            assert_eq!(
                received.err,
                said.as_bytes(),
                "standard error of channel {n}"
            );
            assert_eq!(received.status, u32::try_from(n).ok(), "status of {n}");
        }
        assert!(self.done, "not all channels closed: {:#?}", self.log);
    }

    fn authenticate(&self, client: &mut Client, reason: Ask<'_>, token: AuthToken) {
        let key = &self.user_key;
        let credential = match (self.auth, reason) {
            (Auth::Key, Ask::First) | (Auth::Both, Ask::PartialSuccess { .. }) => {
                Credential::PrivateKey(key)
            }
            (Auth::Outside, Ask::First) => Credential::PublicKey {
                key: key.public_key().clone(),
                probe: Probe::First,
            },
            (Auth::Password | Auth::Both, Ask::First) | (Auth::NoneFirst, Ask::Failed { .. }) => {
                Credential::Password("secret")
            }
            (Auth::NoneFirst, Ask::First) => Credential::None,
            _ if self.tolerant => {
                return client.disconnect(DisconnectReason::BY_APPLICATION, "at a loss");
            }
            (auth, reason) => panic!("{auth:?}: {reason:?}"),
        };
        client
            .authenticate(token, "alice", credential)
            .expect("of this connection");
    }

    fn open_all(&mut self, client: &mut Client) {
        for _ in 0..self.sends.len() {
            self.channels.push(ScriptChannel {
                id: client.open_session().expect("room for a channel"),
                sent: 0,
                started: false,
                eof: false,
                closed: false,
            });
        }
        self.leave_if_done(client);
    }

    fn channel(&mut self, client: &mut Client, event: ChannelEvent<'_>) {
        match event {
            ChannelEvent::Opened { channel } => {
                let command = format!("echo {}", self.index(channel));
                let mut channel = client.channel(channel).expect("just opened");
                let request = channel.exec(command.as_bytes(), Reply::Wanted);
                assert!(request.expect("room for a request").is_some());
            }
            ChannelEvent::Reply {
                channel, success, ..
            } => {
                assert!(success);
                let n = self.index(channel);
                self.channels[n].started = true;
                self.feed(client, n);
            }
            ChannelEvent::Writable { channel } => self.feed(client, self.index(channel)),
            ChannelEvent::Data {
                channel,
                stream,
                data,
            } => {
                let received = &mut self.received[index(&self.channels, channel)];
                match stream {
                    Stream::Data => received.out.extend_from_slice(data),
                    _ => received.err.extend_from_slice(data),
                }
                let mut channel = client.channel(channel).expect("it has data");
                channel.release(data.len()).expect("it was received");
            }
            ChannelEvent::ExitStatus {
                channel,
                exit_status,
            } => self.received[index(&self.channels, channel)].status = Some(exit_status),
            ChannelEvent::Closed { channel, .. } => {
                let n = self.index(channel);
                self.channels[n].closed = true;
                self.leave_if_done(client);
            }
            _ => {}
        }
    }

    fn feed(&mut self, client: &mut Client, n: usize) {
        let channel = &mut self.channels[n];
        if !channel.started || channel.eof || channel.closed {
            return;
        }
        let mut handle = client.channel(channel.id).expect("an open channel");
        let rest = &self.sends[n][channel.sent..];
        channel.sent += handle.send(rest).expect("an open channel");
        if channel.sent == self.sends[n].len() {
            handle.eof().expect("an open channel");
            channel.eof = true;
        }
    }

    fn leave_if_done(&mut self, client: &mut Client) {
        if self.channels.iter().all(|channel| channel.closed) {
            self.done = true;
            if !self.stays {
                client.disconnect(DisconnectReason::BY_APPLICATION, "done");
            }
        }
    }

    fn index(&self, id: ChannelId) -> usize {
        index(&self.channels, id)
    }
}

/// The latest channel of that id: a slot that was freed is used again under another id.
fn index(channels: &[ScriptChannel], id: ChannelId) -> usize {
    channels
        .iter()
        .rposition(|channel| channel.id == id)
        .expect("a channel of ours")
}
