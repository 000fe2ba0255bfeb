//! What the server does for its users: a few commands that run inside of the process, written as
//! state machines because nobody may wait here.
//!
//! | command | what it does |
//! |---|---|
//! | `echo TEXT` | answers with TEXT and a line feed |
//! | `count N` | writes N bytes of a [pattern], at the pace of the one who reads |
//! | `sink` | reads everything and answers with the number of bytes |
//! | `cat` | writes back what it reads |
//! | `memory` | answers with what [`Memory`] says |
//!
//! Backpressure is the same for all of them: what `send` does not accept is kept until `Writable`,
//! and credit for what was read is given back only when the command is done with it. So `cat` never
//! holds more than the one window that was granted.

use std::collections::VecDeque;
use std::time::Duration;

use ssh_proto::error::Misuse;
use ssh_proto::message::{ChannelOpenType, ChannelRequestType};
use ssh_proto::mux::{Channel, Exit};
use ssh_proto::{ChannelEvent, ChannelId, SendSide};

/// What the byte at this place of a stream is.
pub const fn pattern(at: u64) -> u8 {
    (at ^ (at >> 8) ^ (at >> 16)) as u8
}

/// What `memory` answers, as numbers with spaces between.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Bytes of the process that are in memory.
    pub resident: u64,
    /// Connections that are there.
    pub connections: usize,
    /// How long the process has kept cores busy.
    pub busy: Duration,
}

/// The channels of one connection, each with the command that runs on it. Few enough to be looked
/// through.
#[derive(Debug, Default)]
pub struct Commands {
    running: Vec<(ChannelId, Option<Command>)>,
}

impl Commands {
    /// Takes an event of a channel. What is not answered here is refused by the core.
    pub fn on(
        &mut self,
        event: ChannelEvent<'_>,
        server: &mut SendSide,
        memory: impl FnOnce() -> Memory,
    ) {
        // A `Misuse` says that the channel or the connection is gone: then there is nothing to do.
        let _ = self.try_on(event, server, memory);
    }

    fn try_on(
        &mut self,
        event: ChannelEvent<'_>,
        server: &mut SendSide,
        memory: impl FnOnce() -> Memory,
    ) -> Result<(), Misuse> {
        match event {
            ChannelEvent::OpenRequest {
                channel_type: ChannelOpenType::Session,
                ticket,
            } => {
                let id = server.accept_channel(ticket)?;
                self.running.push((id, None));
            }
            ChannelEvent::Request {
                channel,
                request: ChannelRequestType::Exec { command },
                ticket,
            } => {
                let Some(place @ None) = self.find(channel) else {
                    return Ok(());
                };
                let Some(command) = Command::parse(command, memory) else {
                    return Ok(());
                };
                server.accept_request(ticket)?;
                place.insert(command).go_on(server, channel)?;
            }
            ChannelEvent::Data { channel, data, .. } => {
                if let Some(Some(command)) = self.find(channel) {
                    command.take(data, server.channel(channel)?)?;
                }
            }
            ChannelEvent::Eof { channel } => {
                if let Some(Some(command)) = self.find(channel) {
                    command.no_more(server, channel)?;
                }
            }
            ChannelEvent::Writable { channel } => {
                if let Some(Some(command)) = self.find(channel) {
                    command.go_on(server, channel)?;
                }
            }
            ChannelEvent::Closed { channel, .. } => {
                self.running.retain(|(id, _)| *id != channel);
                if self.running.is_empty() {
                    self.running = Vec::new();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn find(&mut self, channel: ChannelId) -> Option<&mut Option<Command>> {
        let place = self.running.iter_mut().find(|(id, _)| *id == channel);
        place.map(|(_, command)| command)
    }
}

#[derive(Debug)]
enum Command {
    /// Says the rest of this, and ends.
    Say(VecDeque<u8>),
    /// Writes the pattern from one place to another, and ends.
    Count { at: u64, end: u64 },
    /// Counts what comes.
    Sink { bytes: u64 },
    /// Writes back what comes.
    Cat { held: VecDeque<u8>, ended: bool },
    /// Has ended.
    Over,
}

impl Command {
    fn parse(line: &[u8], memory: impl FnOnce() -> Memory) -> Option<Self> {
        let line = str::from_utf8(line).ok()?;
        let (name, argument) = line.split_once(' ').unwrap_or((line, ""));
        Some(match name {
            "echo" => Self::say(format!("{argument}\n")),
            "count" => Self::Count {
                at: 0,
                end: argument.parse().ok()?,
            },
            "sink" => Self::Sink { bytes: 0 },
            "cat" => Self::Cat {
                held: VecDeque::new(),
                ended: false,
            },
            "memory" => {
                let Memory {
                    resident,
                    connections,
                    busy,
                } = memory();
                let busy = busy.as_millis();
                Self::say(format!("{resident} {connections} {busy}\n"))
            }
            _ => return None,
        })
    }

    fn say(text: String) -> Self {
        Self::Say(text.into_bytes().into())
    }

    /// Data has come.
    fn take(&mut self, data: &[u8], mut channel: Channel<'_>) -> Result<(), Misuse> {
        let kept = match self {
            Self::Sink { bytes } => {
                *bytes += data.len() as u64;
                0
            }
            Self::Cat { held, .. } => {
                // In order: what is held goes first, and it is only held while nothing can be sent.
                let sent = if held.is_empty() {
                    channel.send(data)?
                } else {
                    0
                };
                held.extend(data.get(sent..).unwrap_or_default());
                data.len() - sent
            }
            Self::Say(_) | Self::Count { .. } | Self::Over => 0,
        };
        channel.release(data.len() - kept)
    }

    /// The last data has come.
    fn no_more(&mut self, server: &mut SendSide, id: ChannelId) -> Result<(), Misuse> {
        match self {
            Self::Sink { bytes } => *self = Self::say(format!("{bytes}\n")),
            Self::Cat { ended, .. } => *ended = true,
            Self::Say(_) | Self::Count { .. } | Self::Over => return Ok(()),
        }
        self.go_on(server, id)
    }

    /// Sends what can be sent; what is left waits for `Writable`.
    fn go_on(&mut self, server: &mut SendSide, id: ChannelId) -> Result<(), Misuse> {
        match self {
            Self::Say(rest) => {
                drain(rest, &mut server.channel(id)?)?;
                if !rest.is_empty() {
                    return Ok(());
                }
            }
            Self::Count { at, end } => {
                while at < end {
                    // Made where it will be encrypted. `reserve` is for one packet.
                    let most = usize::try_from(*end - *at).unwrap_or(usize::MAX);
                    let mut slot = server.channel(id)?.reserve(most)?;
                    let room = slot.room();
                    let n = room.len();
                    for (place, at) in room.iter_mut().zip(*at..) {
                        *place = pattern(at);
                    }
                    if n == 0 {
                        return Ok(());
                    }
                    slot.commit(n);
                    *at += n as u64;
                }
            }
            Self::Cat { held, ended } => {
                let mut channel = server.channel(id)?;
                let sent = drain(held, &mut channel)?;
                channel.release(sent)?;
                if !held.is_empty() || !*ended {
                    return Ok(());
                }
            }
            Self::Sink { .. } | Self::Over => return Ok(()),
        }
        *self = Self::Over;
        let mut channel = server.channel(id)?;
        channel.eof()?;
        // It fails while more is owed to this client than may wait: then it is told no status.
        let _ = channel.exit(Exit::Status(0));
        channel.close()
    }
}

/// Sends from the front of `bytes`, and says how much.
fn drain(bytes: &mut VecDeque<u8>, channel: &mut Channel<'_>) -> Result<usize, Misuse> {
    let mut sent = 0;
    while !bytes.is_empty() {
        let n = channel.send(bytes.as_slices().0)?;
        if n == 0 {
            return Ok(sent);
        }
        bytes.drain(..n);
        sent += n;
    }
    *bytes = VecDeque::new();
    Ok(sent)
}
