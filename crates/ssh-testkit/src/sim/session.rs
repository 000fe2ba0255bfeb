//! A whole session that plays by itself: the client logs in, runs commands, and leaves; the server
//! echoes what it is sent.

use std::collections::BTreeMap;

use ssh_proto::auth::AuthenticatedBy;
use ssh_proto::client::{Ask, Client, ClientEvent, Credential, Probe};
use ssh_proto::config::Methods;
use ssh_proto::error::End;
use ssh_proto::key::PrivateKey;
use ssh_proto::message::{ChannelRequestType, DisconnectReason};
use ssh_proto::mux::{Exit, Reply, Stream};
use ssh_proto::server::{AuthEvent, Server, ServerEvent};
use ssh_proto::{ChannelEvent, ChannelId, Instant};

use super::App;
use super::key;

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
    /// With a password and then a key, both wanted.
    Both,
}

/// What one side saw, in order. Data of a channel is in [`Session::received`] instead, since how
/// it is cut into pieces is nobody's business.
pub type Log = Vec<String>;

/// A client that sends data over channels to a server that echoes it.
#[derive(Debug)]
pub struct Session {
    /// How the client logs in.
    pub auth: Auth,
    /// What each of the client's channels sends.
    pub sends: Vec<Vec<u8>>,
    /// What the client saw.
    pub client_log: Log,
    /// What the server saw.
    pub server_log: Log,
    /// What the client got back, by channel, standard output and standard error.
    pub received: BTreeMap<usize, (Vec<u8>, Vec<u8>)>,
    /// Calls `rekey` on this side whenever it gets data.
    pub rekey_on_data: bool,
    /// The server releases nothing while this is set.
    pub server_reads: bool,
    /// Stay connected when all is done.
    pub stay: bool,
    /// All channels have closed.
    pub done: bool,
    user_key: PrivateKey,
    channels: Vec<ClientChannel>,
    echo: BTreeMap<ChannelId, Echo>,
}

#[derive(Debug)]
struct ClientChannel {
    id: ChannelId,
    sent: usize,
    started: bool,
    eof: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Echo {
    pending: Vec<u8>,
    eof: bool,
    done: bool,
}

impl Session {
    /// A client that logs in with a key and sends `sends`, each over a channel of its own.
    pub fn new(sends: Vec<Vec<u8>>) -> Self {
        Self {
            auth: Auth::Key,
            sends,
            client_log: Vec::new(),
            server_log: Vec::new(),
            received: BTreeMap::new(),
            rekey_on_data: false,
            server_reads: true,
            stay: false,
            done: false,
            user_key: key(7),
            channels: Vec::new(),
            echo: BTreeMap::new(),
        }
    }

    /// Everything that was echoed is what was sent.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub fn check(&self) {
        for (n, sent) in self.sends.iter().enumerate() {
            let (out, err) = self
                .received
                .get(&n)
                .map_or((&[][..], &[][..]), |(o, e)| (o, e));
            assert!(
                out == sent,
                "channel {n}: {} of {} bytes",
                out.len(),
                sent.len()
            );
            assert_eq!(
                err,
                format!("{} bytes", sent.len()).as_bytes(),
                "stderr of channel {n}"
            );
        }
        assert!(self.done, "all channels closed: {:#?}", self.client_log);
    }

    fn open_all(&mut self, client: &mut Client) {
        for _ in 0..self.sends.len() {
            let id = client.open_session().expect("open");
            self.channels.push(ClientChannel {
                id,
                sent: 0,
                started: false,
                eof: false,
                closed: false,
            });
        }
        self.finish(client);
    }

    fn feed(&mut self, client: &mut Client, n: usize) {
        let channel = &mut self.channels[n];
        if !channel.started || channel.eof || channel.closed {
            return;
        }
        let data = &self.sends[n];
        let mut handle = client.channel(channel.id).expect("an open channel");
        channel.sent += handle.send(&data[channel.sent..]).expect("an open channel");
        if channel.sent == data.len() {
            handle.eof().expect("an open channel");
            channel.eof = true;
        }
    }

    fn index(&self, id: ChannelId) -> usize {
        self.channels
            .iter()
            .position(|channel| channel.id == id)
            .expect("a channel of ours")
    }

    fn finish(&mut self, client: &mut Client) {
        if self.channels.iter().all(|channel| channel.closed) {
            self.done = true;
            if !self.stay {
                client.disconnect(DisconnectReason::BY_APPLICATION, "done");
            }
        }
    }

    fn client_channel(&mut self, client: &mut Client, event: ChannelEvent<'_>) {
        match event {
            ChannelEvent::Opened { channel } => {
                let request = client
                    .channel(channel)
                    .unwrap()
                    .exec(b"echo", Reply::Wanted);
                request.unwrap().unwrap();
            }
            ChannelEvent::Reply {
                channel, success, ..
            } => {
                assert!(success);
                let n = self.index(channel);
                self.channels[n].started = true;
                self.feed(client, n);
            }
            ChannelEvent::Writable { channel } => {
                let n = self.index(channel);
                self.feed(client, n);
            }
            ChannelEvent::Data {
                channel,
                stream,
                data,
            } => {
                let n = self.index(channel);
                let (out, err) = self.received.entry(n).or_default();
                if stream == Stream::Data { out } else { err }.extend_from_slice(data);
                client
                    .channel(channel)
                    .unwrap()
                    .release(data.len())
                    .unwrap();
                if self.rekey_on_data {
                    client.rekey().unwrap();
                }
            }
            ChannelEvent::Closed { channel, .. } => {
                let n = self.index(channel);
                self.channels[n].closed = true;
                self.finish(client);
            }
            _ => {}
        }
    }

    fn echo(&mut self, server: &mut Server, id: ChannelId, total: &mut usize) {
        let Some(echo) = self.echo.get_mut(&id) else {
            return;
        };
        if echo.done {
            return;
        }
        let mut channel = server.channel(id).expect("an open channel");
        let sent = channel.send(&echo.pending).expect("an open channel");
        echo.pending.drain(..sent);
        // Only what was passed on is released.
        channel.release(sent).expect("it was received");
        *total += sent;
        if echo.pending.is_empty() && echo.eof {
            echo.done = true;
        }
    }

    fn server_channel(&mut self, server: &mut Server, event: ChannelEvent<'_>) {
        let id = match event {
            ChannelEvent::OpenRequest { ticket, .. } => {
                let id = server.accept_channel(ticket).expect("a slot");
                self.echo.insert(id, Echo::default());
                return;
            }
            ChannelEvent::Request {
                request, ticket, ..
            } => {
                if matches!(request, ChannelRequestType::Exec { .. }) {
                    server.accept_request(ticket).unwrap();
                } else {
                    server.refuse_request(ticket).unwrap();
                }
                return;
            }
            ChannelEvent::Data { channel, data, .. } => {
                self.echo
                    .get_mut(&channel)
                    .expect("open")
                    .pending
                    .extend_from_slice(data);
                if self.rekey_on_data {
                    server.rekey().unwrap();
                }
                channel
            }
            ChannelEvent::Eof { channel } => {
                self.echo.get_mut(&channel).expect("open").eof = true;
                channel
            }
            ChannelEvent::Writable { channel } => channel,
            ChannelEvent::Closed { channel, .. } => {
                self.echo.remove(&channel);
                return;
            }
            _ => return,
        };
        if self.server_reads {
            self.echo(server, id, &mut 0);
        }
        self.leave(server, id);
    }

    /// The server has echoed everything: standard error, status, end.
    fn leave(&mut self, server: &mut Server, id: ChannelId) {
        let Some(echo) = self.echo.get_mut(&id).filter(|echo| echo.done) else {
            return;
        };
        echo.done = false;
        let index = id_index(id);
        let said = format!("{} bytes", self.sends[index].len());
        let mut channel = server.channel(id).unwrap();
        let sent = channel.send_on(Stream::STDERR, said.as_bytes()).unwrap();
        assert_eq!(
            sent,
            said.len(),
            "a small window in this test would need a queue"
        );
        channel.eof().unwrap();
        channel.exit(Exit::Status(index as u32)).unwrap();
        channel.close().unwrap();
        self.echo.remove(&id);
    }

    fn authenticate(
        &self,
        client: &mut Client,
        reason: Ask<'_>,
        token: ssh_proto::client::AuthToken,
    ) {
        let key = &self.user_key;
        let credential = match (self.auth, reason) {
            (Auth::Key, Ask::First) => Credential::PrivateKey(key),
            (Auth::Outside, Ask::First) => Credential::PublicKey {
                key: key.public_key().clone(),
                probe: Probe::First,
            },
            (Auth::Password | Auth::Both, Ask::First) | (Auth::NoneFirst, Ask::Failed { .. }) => {
                Credential::Password("secret")
            }
            (Auth::NoneFirst, Ask::First) => Credential::None,
            (Auth::Both, Ask::PartialSuccess { .. }) => Credential::PrivateKey(key),
            (auth, reason) => panic!("{auth:?}: {reason:?}"),
        };
        client.authenticate(token, "alice", credential).unwrap();
    }
}

/// Channels of this session are opened in order and before any is closed, so the slots agree.
fn id_index(id: ChannelId) -> usize {
    id.to_string().rsplit(' ').next().unwrap().parse().unwrap()
}

impl App for Session {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, _now: Instant) {
        note_client(&mut self.client_log, &event);
        match event {
            ClientEvent::HostKey {
                key: host,
                decision,
                ..
            } => {
                assert_eq!(host, *key(1).public_key());
                client.trust(decision).unwrap();
            }
            ClientEvent::Authenticate { reason, token } => {
                self.authenticate(client, reason, token);
            }
            ClientEvent::Sign(request) => {
                let mut random = crate::rng::SeededRandom::new(0);
                let signature = self
                    .user_key
                    .sign(request.algorithm, &request.data, &mut random)
                    .unwrap();
                client.signed(request, &signature).unwrap();
            }
            ClientEvent::Authenticated { .. } => self.open_all(client),
            ClientEvent::Channel(event) => self.client_channel(client, event),
            _ => {}
        }
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, _now: Instant) {
        note_server(&mut self.server_log, &event);
        match event {
            ServerEvent::Auth(AuthEvent::None { decision, .. }) => {
                server.reject(decision).unwrap();
            }
            ServerEvent::Auth(AuthEvent::Password {
                user,
                password,
                decision,
                ..
            }) => {
                assert_eq!((user, password), (&b"alice"[..], &b"secret"[..]));
                if self.auth == Auth::Both {
                    server
                        .accept_partially(decision, Methods::PUBLICKEY)
                        .unwrap();
                } else {
                    server.accept(decision).unwrap();
                }
            }
            ServerEvent::Auth(AuthEvent::KeyOffered {
                key: offered,
                offer,
                ..
            }) => {
                assert_eq!(offered, *self.user_key.public_key());
                server.invite(offer).unwrap();
            }
            ServerEvent::Auth(AuthEvent::KeyProven {
                key: proven,
                decision,
                ..
            }) => {
                assert_eq!(proven, *self.user_key.public_key());
                let both = [AuthenticatedBy::Password];
                assert!(self.auth != Auth::Both || server.proven() == both);
                server.accept(decision).unwrap();
            }
            ServerEvent::Channel(event) => self.server_channel(server, event),
            _ => {}
        }
    }
}

/// Notes an event that is the same however the stream was cut.
fn note_client(log: &mut Log, event: &ClientEvent<'_>) {
    match event {
        ClientEvent::Channel(event) => note_channel(log, event),
        ClientEvent::Ended(end) => log.push(format!("Ended: {}", show(end))),
        other => log.push(show_event(other)),
    }
}

fn note_server(log: &mut Log, event: &ServerEvent<'_>) {
    match event {
        ServerEvent::Channel(event) => note_channel(log, event),
        ServerEvent::Ended(end) => log.push(format!("Ended: {}", show(end))),
        other => log.push(show_event(other)),
    }
}

fn show(end: &End) -> String {
    end.to_string()
}

fn show_event(event: &impl std::fmt::Debug) -> String {
    // The variants that carry tokens show random numbers: the name is enough.
    format!("{event:?}").chars().take(48).collect()
}

fn note_channel(log: &mut Log, event: &ChannelEvent<'_>) {
    match event {
        ChannelEvent::Data { .. } | ChannelEvent::Writable { .. } => {}
        ChannelEvent::OpenRequest { channel_type, .. } => log.push(format!("{channel_type:?}")),
        ChannelEvent::Request {
            channel, request, ..
        } => {
            log.push(format!("Request {channel}: {request:?}"));
        }
        other => log.push(format!("{other:?}")),
    }
}
