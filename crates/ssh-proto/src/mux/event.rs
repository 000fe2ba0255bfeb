//! What happens on channels and to the connection as a whole, as the application sees it.
//!
//! What an event lends lies in the receive buffer. Texts of the peer are bytes, to be shown
//! escaped. `Debug` shows no data: it may be a password that somebody types.

use core::fmt;

use super::{ChannelId, GlobalTicket, OpenTicket, RequestId, RequestTicket, Stream};
use crate::escape::Escaped;
use crate::message::{
    ChannelOpenFailureReason, ChannelOpenType, ChannelRequestType, GlobalRequestType,
};

/// Something happened on a channel. Data is lent from the receive buffer, and `Debug` does not show
/// it: it may be a password that somebody types.
#[non_exhaustive]
pub enum ChannelEvent<'b> {
    /// The peer wants to open a channel.
    OpenRequest {
        /// What kind of channel, with its parameters. They are the peer's words.
        channel_type: ChannelOpenType<'b>,
        /// Answers: `accept_channel` or `reject_channel`.
        ticket: OpenTicket,
    },
    /// A channel that we asked for is open.
    Opened {
        /// Which one.
        channel: ChannelId,
    },
    /// A channel that we asked for was refused. Its id is not valid any more.
    OpenFailed {
        /// Which one.
        channel: ChannelId,
        /// Why (RFC 4254 section 5.1).
        reason: ChannelOpenFailureReason,
        /// The peer's words; show them escaped.
        description: &'b [u8],
    },
    /// Data. Its credit goes back to the peer when the application
    /// [`release`](super::Channel::release)s it.
    Data {
        /// On which channel.
        channel: ChannelId,
        /// On which of its streams.
        stream: Stream,
        /// The bytes, in the receive buffer.
        data: &'b [u8],
    },
    /// Data can be sent again after `send` accepted less than all.
    Writable {
        /// On which channel.
        channel: ChannelId,
    },
    /// The peer will send no more data. The other direction stays open.
    Eof {
        /// On which channel.
        channel: ChannelId,
    },
    /// The peer requests something.
    Request {
        /// On which channel.
        channel: ChannelId,
        /// What.
        request: ChannelRequestType<'b>,
        /// Answers: `accept_request` or `refuse_request`; sends nothing if the peer wants no
        /// reply.
        ticket: RequestTicket,
    },
    /// A request of ours was answered.
    Reply {
        /// On which channel.
        channel: ChannelId,
        /// Which request.
        request: RequestId,
        /// Whether it was granted.
        success: bool,
    },
    /// The program ended with a status (RFC 4254 section 6.10).
    ExitStatus {
        /// On which channel.
        channel: ChannelId,
        /// The status.
        exit_status: u32,
    },
    /// The program was ended by a signal (RFC 4254 section 6.10).
    ExitSignal {
        /// On which channel.
        channel: ChannelId,
        /// Without `SIG`.
        signal_name: &'b [u8],
        /// Whether a core was dumped.
        core_dumped: bool,
        /// The peer's words; show them escaped.
        error_message: &'b [u8],
    },
    /// The channel is gone; its id is not valid any more.
    Closed {
        /// Which one.
        channel: ChannelId,
        /// Who closed it first.
        by: ClosedBy,
    },
}

impl fmt::Debug for ChannelEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, channel) = match self {
            Self::OpenRequest { channel_type, .. } => {
                return f
                    .debug_struct("OpenRequest")
                    .field("channel_type", channel_type)
                    .finish_non_exhaustive();
            }
            Self::Opened { channel } => ("Opened", channel),
            Self::OpenFailed { channel, .. } => ("OpenFailed", channel),
            Self::Data { channel, .. } => ("Data", channel),
            Self::Writable { channel } => ("Writable", channel),
            Self::Eof { channel } => ("Eof", channel),
            Self::Request { channel, .. } => ("Request", channel),
            Self::Reply { channel, .. } => ("Reply", channel),
            Self::ExitStatus { channel, .. } => ("ExitStatus", channel),
            Self::ExitSignal { channel, .. } => ("ExitSignal", channel),
            Self::Closed { channel, .. } => ("Closed", channel),
        };
        let mut shown = f.debug_struct(name);
        shown.field("channel", channel);
        match self {
            Self::OpenFailed {
                reason,
                description,
                ..
            } => shown
                .field("reason", reason)
                .field("description", &Escaped(description)),
            Self::Data { stream, data, .. } => {
                shown.field("stream", stream).field("bytes", &data.len())
            }
            Self::Request { request, .. } => shown.field("request", request),
            Self::Reply {
                request, success, ..
            } => shown.field("request", request).field("success", success),
            Self::ExitStatus { exit_status, .. } => shown.field("exit_status", exit_status),
            Self::ExitSignal {
                signal_name,
                core_dumped,
                error_message,
                ..
            } => shown
                .field("signal_name", &Escaped(signal_name))
                .field("core_dumped", core_dumped)
                .field("error_message", &Escaped(error_message)),
            Self::Closed { by, .. } => shown.field("by", by),
            _ => &mut shown,
        };
        shown.finish()
    }
}

/// Who closed a channel first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClosedBy {
    /// This side.
    Us,
    /// The peer.
    Peer,
}

/// Something that concerns the whole connection (RFC 4254 section 4).
#[derive(Debug)]
#[non_exhaustive]
pub enum GlobalEvent<'b> {
    /// The peer requests something.
    Request {
        /// What.
        request: GlobalRequestType<'b>,
        /// Answers: `accept_global` or `refuse_global`; sends nothing if the peer wants no reply.
        ticket: GlobalTicket,
    },
    /// A request of ours was granted.
    Success {
        /// Which one.
        request: RequestId,
        /// What the reply carries: the port, where a forward asked for port 0.
        data: &'b [u8],
    },
    /// A request of ours was refused.
    Failure {
        /// Which one.
        request: RequestId,
    },
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::super::tickets::{TicketKind, Tickets};
    use super::*;
    use crate::time::Instant;

    #[test]
    fn j2_what_happened_is_printed_with_the_peers_words_escaped() {
        let channel = ChannelId {
            slot: 3,
            generation: 0,
        };
        let kind = TicketKind::Global { want_reply: false };
        let token = Tickets::new().mint(1, kind, Instant::EPOCH).unwrap();
        for (event, name, fields) in [
            (
                ChannelEvent::OpenFailed {
                    channel,
                    reason: ChannelOpenFailureReason(9),
                    description: b"\x1b[2J",
                },
                "OpenFailed",
                r#", reason: ChannelOpenFailureReason(9), description: "\u{1b}[2J""#,
            ),
            (
                ChannelEvent::Request {
                    channel,
                    request: ChannelRequestType::Signal { signal_name: b"\n" },
                    ticket: RequestTicket::new(token),
                },
                "Request",
                r#", request: Signal { signal_name: "\n" }"#,
            ),
            (
                ChannelEvent::Reply {
                    channel,
                    request: RequestId(7),
                    success: true,
                },
                "Reply",
                ", request: RequestId(7), success: true",
            ),
            (
                ChannelEvent::ExitStatus {
                    channel,
                    exit_status: 9,
                },
                "ExitStatus",
                ", exit_status: 9",
            ),
            (
                ChannelEvent::ExitSignal {
                    channel,
                    signal_name: b"KILL\n",
                    core_dumped: true,
                    error_message: b"\x07",
                },
                "ExitSignal",
                r#", signal_name: "KILL\n", core_dumped: true, error_message: "\u{7}""#,
            ),
            (
                ChannelEvent::Closed {
                    channel,
                    by: ClosedBy::Us,
                },
                "Closed",
                ", by: Us",
            ),
            (ChannelEvent::Opened { channel }, "Opened", ""),
            (ChannelEvent::Writable { channel }, "Writable", ""),
            (ChannelEvent::Eof { channel }, "Eof", ""),
        ] {
            let shown = format!("{name} {{ channel: {channel:?}{fields} }}");
            assert_eq!(format!("{event:?}"), shown);
        }
        let event = ChannelEvent::OpenRequest {
            channel_type: ChannelOpenType::Session,
            ticket: OpenTicket::new(token),
        };
        assert_eq!(
            format!("{event:?}"),
            "OpenRequest { channel_type: Session, .. }"
        );
    }

    #[test]
    fn q8_data_is_not_printed() {
        let channel = ChannelId {
            slot: 1,
            generation: 0,
        };
        let event = ChannelEvent::Data {
            channel,
            stream: Stream::Data,
            data: b"hunter2",
        };
        let shown = format!("{event:?}");
        assert!(shown.contains("bytes: 7"), "{shown}");
        assert!(
            !shown.contains("hunter") && !shown.contains("104"),
            "{shown}"
        );
    }
}
