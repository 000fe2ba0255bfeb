//! The application of a fuzzed connection: what it answers and does is decided by bytes. Where
//! they have run out it is friendly: it trusts, lets in, accepts and releases.

use arbitrary::Unstructured;
use ssh_proto::error::Misuse;
use ssh_proto::message::{
    ChannelOpenFailureReason, ChannelRequestType, DisconnectReason, GlobalRequestType,
    TerminalModes, TerminalSize,
};
use ssh_proto::mux::{Exit, GlobalTicket, OpenTicket, Reply, RequestTicket, Stream};
use ssh_proto::{ChannelEvent, ChannelId, GlobalEvent, PeerEvent, SendSide};
use std::collections::BTreeMap;

/// What an application decides with and remembers.
#[derive(Debug)]
pub(crate) struct Policy<'u> {
    pub(crate) choices: Unstructured<'u>,
    /// Ids of channels, the stale ones too.
    pub(crate) channels: Vec<ChannelId>,
    pub(crate) tickets: Vec<AnyTicket>,
    /// Keeps every ticket, to show it to another connection.
    pub(crate) hoards: bool,
    /// What was received on each channel and not released.
    unreleased: BTreeMap<ChannelId, usize>,
    /// What the window of a channel may grow to.
    pub(crate) window: usize,
    /// The halves of the connection are apart: nobody counts what is released, so more than was
    /// received must not be.
    pub(crate) apart: bool,
    /// What it sends is compressed: the room that data will need is not known before.
    pub(crate) compresses: bool,
}

#[derive(Debug)]
pub(crate) enum AnyTicket {
    Open(OpenTicket),
    Request(RequestTicket),
    Global(GlobalTicket),
}

impl<'u> Policy<'u> {
    pub(crate) fn new(choices: &'u [u8]) -> Self {
        Self {
            choices: Unstructured::new(choices),
            channels: Vec::new(),
            tickets: Vec::new(),
            hoards: false,
            unreleased: BTreeMap::new(),
            window: usize::MAX,
            apart: false,
            compresses: false,
        }
    }

    pub(crate) fn friendly() -> Self {
        Self::new(&[])
    }

    /// One of `n` choices; 0 is the friendly one.
    pub(crate) fn choose(&mut self, n: u8) -> u8 {
        self.choices.arbitrary::<u8>().unwrap_or(0) % n
    }

    /// To a ticket: 0 accept, 1 refuse, 2 keep it, 3 ignore it.
    fn choose_answer(&mut self) -> u8 {
        if self.hoards { 2 } else { self.choose(4) }
    }

    fn keep(&mut self, send: &mut SendSide, ticket: AnyTicket) {
        let _ = match &ticket {
            AnyTicket::Open(ticket) => send.defer(ticket),
            AnyTicket::Request(ticket) => send.defer(ticket),
            AnyTicket::Global(ticket) => send.defer(ticket),
        };
        self.tickets.push(ticket);
    }

    fn released(&mut self, channel: ChannelId, n: usize) {
        let unreleased = self.unreleased.entry(channel).or_default();
        *unreleased = unreleased.saturating_sub(n);
    }

    fn reply(&mut self) -> Reply {
        match self.choose(2) {
            0 => Reply::Wanted,
            _ => Reply::NotWanted,
        }
    }

    fn channel(&mut self) -> Option<ChannelId> {
        let n = usize::from(self.choose(255));
        let len = self.channels.len();
        (len > 0).then(|| self.channels[n % len])
    }

    fn on_channel(&mut self, send: &mut SendSide, event: ChannelEvent<'_>) {
        match event {
            ChannelEvent::OpenRequest { ticket, .. } => match self.choose_answer() {
                0 => self.answer_ticket(send, AnyTicket::Open(ticket)),
                1 => {
                    let reason = ChannelOpenFailureReason::ADMINISTRATIVELY_PROHIBITED;
                    let _ = send.reject_channel(ticket, reason, "no");
                }
                2 => {
                    self.keep(send, AnyTicket::Open(ticket));
                }
                _ => drop(ticket),
            },
            ChannelEvent::Request { ticket, .. } => match self.choose_answer() {
                0 => self.answer_ticket(send, AnyTicket::Request(ticket)),
                1 => {
                    let _ = send.refuse_request(ticket);
                }
                2 => {
                    self.keep(send, AnyTicket::Request(ticket));
                }
                _ => drop(ticket),
            },
            ChannelEvent::Opened { channel } => {
                self.channels.push(channel);
                if self.choose(2) == 0 {
                    let Ok(mut channel) = send.channel(channel) else {
                        panic!("a channel that has just been opened");
                    };
                    let _ = channel.exec(b"echo", Reply::Wanted);
                }
            }
            ChannelEvent::Data { channel, data, .. } => self.on_data(send, channel, data),
            ChannelEvent::Closed { channel, .. } => {
                self.unreleased.remove(&channel);
                let gone = send.channel(channel).map(drop);
                assert!(
                    matches!(gone, Err(Misuse::NoSuchChannel | Misuse::Ended)),
                    "{gone:?}"
                );
            }
            _ => {}
        }
    }

    fn on_data(&mut self, send: &mut SendSide, id: ChannelId, data: &[u8]) {
        let unreleased = self.unreleased.entry(id).or_default();
        *unreleased += data.len();
        assert!(*unreleased <= self.window, "{unreleased} bytes in a window");
        let choice = self.choose(4);
        let Ok(mut channel) = send.channel(id) else {
            return;
        };
        match choice {
            0 => {
                assert_eq!(channel.release(data.len()), Ok(()), "it was received");
                self.released(id, data.len());
            }
            1 => {
                let sent = channel.send(data).unwrap_or(0);
                assert_eq!(channel.release(sent), Ok(()), "it was received");
                self.released(id, sent);
            }
            2 if !self.apart => {
                assert_eq!(channel.release(usize::MAX), Err(Misuse::ReleasedTooMuch))
            }
            _ => {}
        }
    }

    fn on_global(&mut self, send: &mut SendSide, event: GlobalEvent<'_>) {
        let GlobalEvent::Request { ticket, .. } = event else {
            return;
        };
        match self.choose_answer() {
            0 => self.answer_ticket(send, AnyTicket::Global(ticket)),
            1 => {
                let _ = send.refuse_global(ticket);
            }
            2 => {
                self.keep(send, AnyTicket::Global(ticket));
            }
            _ => drop(ticket),
        }
    }

    /// Says yes, perhaps too late.
    fn answer_ticket(&mut self, send: &mut SendSide, ticket: AnyTicket) {
        match ticket {
            AnyTicket::Open(ticket) => {
                if let Ok(id) = send.accept_channel(ticket) {
                    self.channels.push(id);
                }
            }
            AnyTicket::Request(ticket) => {
                let _ = send.accept_request(ticket);
            }
            AnyTicket::Global(ticket) => {
                let _ = send.accept_global(ticket, b"\x00\x00\x00\x16");
            }
        }
    }

    /// Something that no event asks for.
    pub(crate) fn act(&mut self, send: &mut SendSide) {
        match self.choose(16) {
            0 => {
                if let Ok(id) = send.open_session() {
                    self.channels.push(id);
                }
            }
            1 => {
                let open = send.open_direct_tcpip("localhost", 80, ("::1", 1));
                self.channels.extend(open);
            }
            2 => {
                let _ = send.rekey();
            }
            3 => {
                let _ = send.ping(b"ping");
            }
            4 => {
                let _ = send.ignore(&[0; 100]);
            }
            5 => {
                let request = match self.choose(5) {
                    0 => GlobalRequestType::TcpipForward {
                        address_to_bind: b"",
                        port_number_to_bind: u32::from(self.choose(3)),
                    },
                    1 => GlobalRequestType::CancelTcpipForward {
                        address_to_bind: b"",
                        port_number_to_bind: u32::from(self.choose(3)),
                    },
                    2 => GlobalRequestType::Keepalive,
                    3 => GlobalRequestType::NoMoreSessions,
                    _ => GlobalRequestType::Unknown {
                        name: "ask@example.com",
                        data: b"",
                    },
                };
                let _ = send.global_request(request, self.reply());
            }
            6 => {
                if let Some(ticket) = self.tickets.pop() {
                    self.answer_ticket(send, ticket);
                }
            }
            7 if self.choose(4) == 3 => send.disconnect(DisconnectReason::BY_APPLICATION, "bye"),
            _ => self.act_on_channel(send),
        }
    }

    fn act_on_channel(&mut self, send: &mut SendSide) {
        let Some(id) = self.channel() else { return };
        let choice = self.choose(18);
        let reply = self.reply();
        let n = usize::from(self.choose(255));
        let unreleased = self.unreleased.get(&id).copied().unwrap_or(0);
        let Ok(mut channel) = send.channel(id) else {
            return;
        };
        let size = TerminalSize {
            columns: 80,
            rows: 24,
            ..TerminalSize::default()
        };
        match choice {
            0 => {
                let sendable = channel.sendable();
                let data = vec![1; n * n];
                if let Ok(sent) = channel.send(&data) {
                    assert!(sent <= data.len());
                    assert!(
                        sent <= sendable || self.compresses && sendable > 0,
                        "{sent} of {sendable}"
                    );
                }
            }
            1 => {
                let _ = channel.send_on(Stream::STDERR, &[2; 9][..n.min(9)]);
            }
            2 => {
                let _ = channel.eof();
            }
            3 => {
                let _ = channel.close();
            }
            4 => {
                let n = if self.apart { n.min(unreleased) } else { n };
                if channel.release(n).is_ok() {
                    self.released(id, n);
                }
            }
            5 => {
                let _ = channel.set_interactive();
            }
            6 => {
                let _ = channel.pty(b"xterm", size, TerminalModes::EMPTY, reply);
            }
            7 => {
                let _ = channel.env(b"LANG", b"C", reply);
            }
            8 => {
                let _ = channel.shell(reply);
            }
            9 => {
                let _ = channel.request(ChannelRequestType::Keepalive, reply);
            }
            10 => {
                let _ = channel.window_change(size);
            }
            11 => {
                let _ = channel.exit(Exit::Status(1));
            }
            13 => {
                let _ = channel.subsystem(b"sftp", reply);
            }
            14 => {
                let _ = channel.signal(b"TERM");
            }
            15 => {
                let core_dumped = n % 2 == 0;
                let exit = Exit::Signal {
                    signal_name: b"KILL",
                    core_dumped,
                    error_message: b"",
                };
                let _ = channel.exit(exit);
            }
            16 => {
                if let Ok(mut slot) = channel.reserve_on(Stream::STDERR, n) {
                    let room = slot.room().len();
                    assert!(room <= n, "{room} of {n}");
                    // More than was lent.
                    slot.commit(usize::MAX);
                }
            }
            12 => {
                // A slot that is dropped never was.
                if let Ok(mut slot) = channel.reserve(n) {
                    slot.room().fill(3);
                }
            }
            _ => {
                if let Ok(mut slot) = channel.reserve(n) {
                    slot.room().fill(4);
                    slot.commit(n / 2);
                }
            }
        }
    }

    /// Whatever concerns both roles.
    pub(crate) fn on_common(&mut self, send: &mut SendSide, event: PeerEvent<'_>) {
        match event {
            PeerEvent::Channel(event) => self.on_channel(send, event),
            PeerEvent::Global(event) => self.on_global(send, event),
            _ => {}
        }
    }
}

/// Tickets of another connection change nothing.
pub(crate) fn assert_strangers_ticket_is_refused(send: &mut SendSide, ticket: AnyTicket) {
    let answered = match ticket {
        AnyTicket::Open(ticket) => send.accept_channel(ticket).map(drop),
        AnyTicket::Request(ticket) => send.accept_request(ticket),
        AnyTicket::Global(ticket) => send.accept_global(ticket, b""),
    };
    assert!(
        matches!(answered, Err(Misuse::Token | Misuse::Ended)),
        "{answered:?}"
    );
}
