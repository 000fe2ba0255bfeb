//! The server's half of a [`Session`](super::Session): lets alice in and echoes what it is sent.

use std::collections::BTreeMap;

use ssh_proto::auth::AuthenticatedBy;
use ssh_proto::config::Methods;
use ssh_proto::key::PublicKey;
use ssh_proto::message::ChannelRequestType;
use ssh_proto::mux::{Exit, Stream};
use ssh_proto::server::{AuthEvent, Server, ServerEvent};
use ssh_proto::{ChannelEvent, ChannelId};

use super::{Log, RekeyAt, key};

/// A server that echoes each channel's data. At the end of data it says on standard error how many
/// bytes there were, exits with the number in the command `echo <number>`, and closes.
#[derive(Debug)]
pub struct Echo {
    /// What it saw.
    pub log: Log,
    /// When it asks for new keys.
    pub rekey: RekeyAt,
    /// Neither echoes nor releases anything while this is false.
    pub reads: bool,
    /// A password is not enough; the key is wanted as well.
    pub wants_both: bool,
    /// The session identifiers seen, without repetition.
    pub session_ids: Vec<Vec<u8>>,
    user_key: PublicKey,
    channels: BTreeMap<ChannelId, EchoChannel>,
}

#[derive(Debug, Default)]
struct EchoChannel {
    status: u32,
    pending: Vec<u8>,
    total: usize,
    /// What is still to be said on standard error, once the end of data has come.
    parting: Option<Vec<u8>>,
}

impl Default for Echo {
    fn default() -> Self {
        Self {
            log: Log::default(),
            rekey: RekeyAt::Never,
            reads: true,
            wants_both: false,
            session_ids: Vec::new(),
            user_key: key(7).public_key().clone(),
            channels: BTreeMap::new(),
        }
    }
}

impl Echo {
    /// Takes one event.
    ///
    /// # Panics
    ///
    /// If the client is not the one of [`Script`](super::Script).
    pub fn on(&mut self, server: &mut Server, event: ServerEvent<'_>) {
        self.log.server(&event);
        let data = matches!(event, ServerEvent::Channel(ChannelEvent::Data { .. }));
        match event {
            ServerEvent::Auth(event) => self.authenticate(server, event),
            ServerEvent::Channel(event) => self.channel(server, event),
            _ => {}
        }
        if let Some(id) = server.session_id()
            && self.session_ids.last().map(Vec::as_slice) != Some(id)
        {
            self.session_ids.push(id.to_vec());
        }
        if server.is_authenticated() && !server.has_ended() && self.rekey.is_due(data) {
            server.rekey().expect("authenticated");
        }
    }

    /// How much data waits to be echoed.
    pub fn pending(&self) -> usize {
        self.channels.values().map(|c| c.pending.len()).sum()
    }

    /// Goes on with every channel, after `reads` has changed.
    pub fn resume(&mut self, server: &mut Server) {
        let ids: Vec<_> = self.channels.keys().copied().collect();
        for id in ids {
            self.echo(server, id);
        }
    }

    fn authenticate(&self, server: &mut Server, event: AuthEvent<'_>) {
        let done = match event {
            AuthEvent::None { decision, .. } => server.reject(decision),
            AuthEvent::Password {
                user,
                password,
                decision,
                ..
            } => {
                assert_eq!((user, password), (&b"alice"[..], &b"secret"[..]));
                if self.wants_both {
                    server.accept_partially(decision, Methods::PUBLICKEY)
                } else {
                    server.accept(decision)
                }
            }
            AuthEvent::KeyOffered { key, offer, .. } => {
                assert_eq!(key, self.user_key);
                server.invite(offer)
            }
            AuthEvent::KeyProven { key, decision, .. } => {
                assert_eq!(key, self.user_key);
                if self.wants_both {
                    assert_eq!(server.proven(), [AuthenticatedBy::Password]);
                }
                server.accept(decision)
            }
            other => panic!("{other:?}"),
        };
        done.expect("the decision of this connection");
    }

    fn channel(&mut self, server: &mut Server, event: ChannelEvent<'_>) {
        match event {
            ChannelEvent::OpenRequest { ticket, .. } => {
                let id = server.accept_channel(ticket).expect("a slot");
                self.channels.insert(id, EchoChannel::default());
            }
            ChannelEvent::Request {
                request: ChannelRequestType::Exec { command },
                channel,
                ticket,
            } => {
                let status = command
                    .strip_prefix(b"echo ")
                    .and_then(|n| std::str::from_utf8(n).ok()?.parse().ok());
                self.entry(channel).status = status.expect("echo <number>");
                server.accept_request(ticket).expect("of this connection");
            }
            ChannelEvent::Request { ticket, .. } => {
                server.refuse_request(ticket).expect("of this connection");
            }
            ChannelEvent::Data { channel, data, .. } => {
                let entry = self.entry(channel);
                entry.pending.extend_from_slice(data);
                entry.total += data.len();
                self.echo(server, channel);
            }
            ChannelEvent::Eof { channel } => {
                let entry = self.entry(channel);
                entry.parting = Some(format!("{} bytes", entry.total).into_bytes());
                self.echo(server, channel);
            }
            ChannelEvent::Writable { channel } => self.echo(server, channel),
            ChannelEvent::Closed { channel, .. } => {
                self.channels.remove(&channel);
            }
            _ => {}
        }
    }

    fn entry(&mut self, id: ChannelId) -> &mut EchoChannel {
        self.channels.get_mut(&id).expect("an open channel")
    }

    fn echo(&mut self, server: &mut Server, id: ChannelId) {
        let Some(entry) = self.channels.get_mut(&id).filter(|_| self.reads) else {
            return;
        };
        let mut channel = server.channel(id).expect("an open channel");
        let sent = channel.send(&entry.pending).expect("an open channel");
        entry.pending.drain(..sent);
        // Only what was passed on is released.
        channel.release(sent).expect("it was received");
        let Some(parting) = entry.parting.as_mut().filter(|_| entry.pending.is_empty()) else {
            return;
        };
        let sent = channel.send_on(Stream::STDERR, parting).expect("open");
        parting.drain(..sent);
        if parting.is_empty() {
            channel.eof().expect("open");
            channel.exit(Exit::Status(entry.status)).expect("open");
            channel.close().expect("open");
            self.channels.remove(&id);
        }
    }
}
