//! What happens on a connection besides the calls that are made: [`Observer`].

use ssh_proto::client::ClientEvent;
use ssh_proto::kex::NegotiationReport;
use ssh_proto::key::{Fingerprint, PublicKey};
use ssh_proto::{Identification, TransportEvent};

use crate::error::Ended;

/// Is told what happens on a connection. Everything is ignored unless it is overridden.
///
/// It is called by whoever connects while the user logs in, and later by what reads the socket: what
/// takes long here holds up all channels. It may use the client, but not wait for it.
#[expect(unused_variables, reason = "the names say what an implementation gets")]
pub trait Observer: Send + 'static {
    /// The server sent a line of text before it identified itself; show it escaped.
    fn notice(&mut self, line: &[u8]) {}

    /// The server has identified itself.
    fn identified(&mut self, server: &Identification) {}

    /// Algorithms were agreed on: at the beginning, and again with every exchange of keys.
    fn negotiated(&mut self, report: &NegotiationReport) {}

    /// The server has proven that it holds this key. Whether it is trusted is decided afterwards.
    fn host_key(&mut self, key: &PublicKey, fingerprint: &Fingerprint) {}

    /// New keys are in use.
    fn keys_exchanged(&mut self) {}

    /// The server shows a text to the user; it may have several lines, show it escaped.
    fn banner(&mut self, message: &[u8]) {}

    /// The server says something that may help to find an error; show it escaped.
    fn debug(&mut self, message: &[u8]) {}

    /// The connection has ended. Not called for connections that never were authenticated.
    fn ended(&mut self, ended: &Ended) {}
}

/// Observes nothing.
#[derive(Debug)]
pub struct Nobody;

impl Observer for Nobody {}

/// What an observer is told later, when nothing is locked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Seen {
    /// [`Observer::notice`].
    Notice(Vec<u8>),
    /// [`Observer::negotiated`].
    Negotiated(Box<NegotiationReport>),
    /// [`Observer::host_key`].
    HostKey(PublicKey, Fingerprint),
    /// [`Observer::keys_exchanged`].
    KeysExchanged,
    /// [`Observer::banner`].
    Banner(Vec<u8>),
    /// [`Observer::debug`].
    Debug(Vec<u8>),
}

impl Seen {
    /// What there is to see in an event.
    pub fn of(event: &mut ClientEvent<'_>) -> Option<Self> {
        Some(match event {
            ClientEvent::Transport(event) => return Self::of_transport(event),
            ClientEvent::HostKey {
                key, fingerprint, ..
            } => Self::HostKey(key.clone(), *fingerprint),
            ClientEvent::Banner { message } => Self::Banner(message.to_vec()),
            _ => return None,
        })
    }

    /// What there is to see in an event of the transport.
    pub fn of_transport(event: &mut TransportEvent<'_>) -> Option<Self> {
        Some(match event {
            TransportEvent::Notice { line } => Self::Notice(std::mem::take(line)),
            TransportEvent::Negotiated(report) => Self::Negotiated(report.clone()),
            TransportEvent::KeysExchanged => Self::KeysExchanged,
            TransportEvent::Debug { message, .. } => Self::Debug(message.to_vec()),
            _ => return None,
        })
    }

    /// Tells it.
    pub fn tell(&self, observer: &mut dyn Observer) {
        match self {
            Self::Notice(line) => observer.notice(line),
            Self::Negotiated(report) => observer.negotiated(report),
            Self::HostKey(key, fingerprint) => observer.host_key(key, fingerprint),
            Self::KeysExchanged => observer.keys_exchanged(),
            Self::Banner(message) => observer.banner(message),
            Self::Debug(message) => observer.debug(message),
        }
    }
}
