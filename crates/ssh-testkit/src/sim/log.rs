//! What one side saw, in words that do not depend on how the stream was cut.

use std::fmt::Debug;

use ssh_proto::{ChannelEvent, ClientEvent, GlobalEvent, ServerEvent};

/// What one side saw, in order. Data of channels and `Writable` are left out: how data is cut into
/// pieces is nobody's business, and the bytes themselves are collected elsewhere. Tokens are left
/// out because they are random numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log(pub Vec<String>);

impl Log {
    /// Notes an event of a client.
    pub fn client(&mut self, event: &ClientEvent<'_>) {
        match event {
            ClientEvent::Channel(event) => self.channel(event),
            ClientEvent::Global(event) => self.global(event),
            ClientEvent::Ended(end) => self.0.push(format!("Ended: {end}")),
            ClientEvent::HostKey { fingerprint, .. } => {
                self.0.push(format!("HostKey {fingerprint}"));
            }
            ClientEvent::Authenticate { reason, .. } => {
                self.0.push(format!("Authenticate {reason:?}"));
            }
            other => self.other(other),
        }
    }

    /// Notes an event of a server.
    pub fn server(&mut self, event: &ServerEvent<'_>) {
        match event {
            ServerEvent::Channel(event) => self.channel(event),
            ServerEvent::Global(event) => self.global(event),
            ServerEvent::Ended(end) => self.0.push(format!("Ended: {end}")),
            other => self.other(other),
        }
    }

    /// Whether a line begins with these words.
    pub fn has(&self, words: &str) -> bool {
        self.0.iter().any(|line| line.starts_with(words))
    }

    fn channel(&mut self, event: &ChannelEvent<'_>) {
        match event {
            ChannelEvent::Data { .. } | ChannelEvent::Writable { .. } => {}
            ChannelEvent::OpenRequest { channel_type, .. } => {
                self.0.push(format!("OpenRequest {channel_type:?}"));
            }
            ChannelEvent::Request {
                channel, request, ..
            } => self.0.push(format!("Request {channel}: {request:?}")),
            other => self.other(other),
        }
    }

    fn global(&mut self, event: &GlobalEvent<'_>) {
        match event {
            GlobalEvent::Request { request, .. } => {
                self.0.push(format!("Global request {request:?}"));
            }
            other => self.other(other),
        }
    }

    /// Up to where a token might begin.
    fn other(&mut self, event: &impl Debug) {
        let text = format!("{event:?}");
        let cut = ["decision:", "offer:", "nonce:"]
            .iter()
            .filter_map(|word| text.find(word))
            .min();
        self.0.push(text[..cut.unwrap_or(text.len())].to_owned());
    }
}
