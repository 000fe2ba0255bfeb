//! Messages of the connection protocol: RFC 4254, RFC 4335 and OpenSSH's extensions of it.
//!
//! Requests and channel types that are not known here decode to `Unknown`, which is answered
//! with a refusal; a known one with wrong fields is an error.

use super::Body;
use super::code::u32_newtype;
use super::field::{Kind, Name, named_enum, wire_struct};
use super::list::List;
use super::terminal::TerminalModes;
use crate::wire::{Reader, Sink, WireError};

/// Asks for something that concerns the whole connection (RFC 4254 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlobalRequest<'a> {
    /// Whether [`RequestSuccess`] or [`RequestFailure`] must answer.
    pub want_reply: bool,
    /// What is asked for.
    pub request: GlobalRequestType<'a>,
}

impl<'a> Body<'a> for GlobalRequest<'a> {
    fn decode_body(r: &mut Reader<'a>) -> Result<Self, WireError> {
        let name = Name::read(r)?;
        let want_reply = r.boolean()?;
        Ok(Self {
            want_reply,
            request: GlobalRequestType::read(name, r)?,
        })
    }

    fn encode_body<S: Sink + ?Sized>(&self, out: &mut S) {
        out.put_string(self.request.name().as_bytes());
        out.put_boolean(self.want_reply);
        self.request.write(out);
    }
}

named_enum! {
    /// What a [`GlobalRequest`] asks for.
    GlobalRequestType<'a> {
        /// listen and forward connections (RFC 4254 section 7.1).
        "tcpip-forward" => TcpipForward {
            /// Address to bind.
            address_to_bind: &'a [u8] = Text,
            /// Port to bind; 0 lets the server choose and tell in the reply.
            port_number_to_bind: u32 = Uint32,
        },
        /// stop listening (RFC 4254 section 7.1).
        "cancel-tcpip-forward" => CancelTcpipForward {
            /// As in the request that it cancels.
            address_to_bind: &'a [u8] = Text,
            /// As in the request that it cancels, or the port that the server chose.
            port_number_to_bind: u32 = Uint32,
        },
        /// listen on a Unix socket (OpenSSH PROTOCOL 2.4).
        "streamlocal-forward@openssh.com" => StreamlocalForward {
            /// Path on the server.
            socket_path: &'a [u8] = Text,
        },
        /// stop listening on a Unix socket (OpenSSH PROTOCOL 2.4).
        "cancel-streamlocal-forward@openssh.com" => CancelStreamlocalForward {
            /// As in the request that it cancels.
            socket_path: &'a [u8] = Text,
        },
        /// is the peer still there? Any answer will do.
        "keepalive@openssh.com" => Keepalive,
        /// no session will be opened any more (OpenSSH PROTOCOL 2.2).
        "no-more-sessions@openssh.com" => NoMoreSessions,
        /// all host keys of the server (OpenSSH PROTOCOL 2.5).
        "hostkeys-00@openssh.com" => Hostkeys {
            /// Public key blobs.
            keys: List<'a, &'a [u8]> = ToEnd,
        },
        /// asks to prove possession of host keys (OpenSSH PROTOCOL 2.5).
        "hostkeys-prove-00@openssh.com" => HostkeysProve {
            /// Public key blobs.
            keys: List<'a, &'a [u8]> = ToEnd,
        },
    }
}

impl<'a> Body<'a> for &'a [u8] {
    fn decode_body(r: &mut Reader<'a>) -> Result<Self, WireError> {
        r.string()
    }

    fn encode_body<S: Sink + ?Sized>(&self, out: &mut S) {
        out.put_string(self);
    }
}

wire_struct! {
    /// Grants the oldest unanswered [`GlobalRequest`] (RFC 4254 section 4).
    RequestSuccess<'a> {
        /// Defined by the request; the port where `tcpip-forward` asked for port 0.
        data: &'a [u8] = Rest,
    }
}

wire_struct! {
    /// Refuses the oldest unanswered [`GlobalRequest`] (RFC 4254 section 4).
    RequestFailure;
}

/// Asks for a channel (RFC 4254 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelOpen<'a> {
    /// The channel's number at the sender.
    pub sender_channel: u32,
    /// Bytes that may be sent to the sender before it grants more.
    pub initial_window_size: u32,
    /// Most bytes of data in one message to the sender.
    pub maximum_packet_size: u32,
    /// What for. On the wire its name comes first.
    pub channel_type: ChannelOpenType<'a>,
}

impl<'a> Body<'a> for ChannelOpen<'a> {
    fn decode_body(r: &mut Reader<'a>) -> Result<Self, WireError> {
        let name = Name::read(r)?;
        Ok(Self {
            sender_channel: r.u32()?,
            initial_window_size: r.u32()?,
            maximum_packet_size: r.u32()?,
            channel_type: ChannelOpenType::read(name, r)?,
        })
    }

    fn encode_body<S: Sink + ?Sized>(&self, out: &mut S) {
        out.put_string(self.channel_type.name().as_bytes());
        out.put_u32(self.sender_channel);
        out.put_u32(self.initial_window_size);
        out.put_u32(self.maximum_packet_size);
        self.channel_type.write(out);
    }
}

named_enum! {
    /// What a [`ChannelOpen`] asks for.
    ChannelOpenType<'a> {
        /// a program, a shell or a subsystem (RFC 4254 section 6.1).
        "session" => Session,
        /// a connection from the server to somewhere (RFC 4254 section 7.2).
        "direct-tcpip" => DirectTcpip {
            /// Where to connect to: name or address.
            host_to_connect: &'a [u8] = Text,
            /// Where to connect to.
            port_to_connect: u32 = Uint32,
            /// Where the connection came from.
            originator_ip_address: &'a [u8] = Text,
            /// Where the connection came from.
            originator_port: u32 = Uint32,
        },
        /// a connection to a port that the server listens on (RFC 4254 section 7.2).
        "forwarded-tcpip" => ForwardedTcpip {
            /// What the client asked to bind.
            connected_address: &'a [u8] = Text,
            /// The port that was connected to.
            connected_port: u32 = Uint32,
            /// Where the connection came from.
            originator_ip_address: &'a [u8] = Text,
            /// Where the connection came from.
            originator_port: u32 = Uint32,
        },
        /// a connection to the X11 display (RFC 4254 section 6.3.2).
        "x11" => X11 {
            /// Where the connection came from.
            originator_address: &'a [u8] = Text,
            /// Where the connection came from.
            originator_port: u32 = Uint32,
        },
        /// a connection from the server to a Unix socket (OpenSSH PROTOCOL 2.4).
        "direct-streamlocal@openssh.com" => DirectStreamlocal {
            /// Path on the server.
            socket_path: &'a [u8] = Text,
            /// Ignored.
            reserved: &'a [u8] = Text,
            /// Ignored.
            reserved_number: u32 = Uint32,
        },
        /// a connection to a Unix socket that the server listens on (OpenSSH PROTOCOL 2.4).
        "forwarded-streamlocal@openssh.com" => ForwardedStreamlocal {
            /// What the client asked to bind.
            socket_path: &'a [u8] = Text,
            /// Ignored.
            reserved: &'a [u8] = Text,
        },
        /// a connection to the client's agent.
        "auth-agent@openssh.com" => AuthAgent,
    }
}

wire_struct! {
    /// Opens the channel that was asked for (RFC 4254 section 5.1).
    ///
    /// None of the channel types here defines data of its own at the end, so there is none.
    ChannelOpenConfirmation {
        /// The number that was in the request.
        recipient_channel: u32 = Uint32,
        /// The channel's number at the sender.
        sender_channel: u32 = Uint32,
        /// Bytes that may be sent to the sender before it grants more.
        initial_window_size: u32 = Uint32,
        /// Most bytes of data in one message to the sender.
        maximum_packet_size: u32 = Uint32,
    }
}

wire_struct! {
    /// Refuses the channel that was asked for (RFC 4254 section 5.1).
    ChannelOpenFailure<'a> {
        /// The number that was in the request.
        recipient_channel: u32 = Uint32,
        /// Why.
        reason_code: ChannelOpenFailureReason = Nested,
        /// For a person to read.
        description: &'a [u8] = Text,
        /// Language of `description` (RFC 3066).
        language_tag: &'a [u8] = Text,
    }
}

u32_newtype! {
    /// Why a channel is refused (RFC 4254 section 5.1).
    ChannelOpenFailureReason {
        1 ADMINISTRATIVELY_PROHIBITED "SSH_OPEN_ADMINISTRATIVELY_PROHIBITED",
        2 CONNECT_FAILED "SSH_OPEN_CONNECT_FAILED",
        3 UNKNOWN_CHANNEL_TYPE "SSH_OPEN_UNKNOWN_CHANNEL_TYPE",
        4 RESOURCE_SHORTAGE "SSH_OPEN_RESOURCE_SHORTAGE",
    }
}

wire_struct! {
    /// Lets the recipient send more (RFC 4254 section 5.2).
    ChannelWindowAdjust {
        /// The channel's number at the recipient.
        recipient_channel: u32 = Uint32,
        /// How many bytes more.
        bytes_to_add: u32 = Uint32,
    }
}

wire_struct! {
    /// Data of a channel (RFC 4254 section 5.2).
    ChannelData<'a> {
        /// The channel's number at the recipient.
        recipient_channel: u32 = Uint32,
        /// At most what the window and the maximum packet size allow.
        data: &'a [u8] = Blob,
    }
}

wire_struct! {
    /// Data of another stream of a channel (RFC 4254 section 5.2).
    ChannelExtendedData<'a> {
        /// The channel's number at the recipient.
        recipient_channel: u32 = Uint32,
        /// Which stream.
        data_type_code: ExtendedDataType = Nested,
        /// At most what the window and the maximum packet size allow.
        data: &'a [u8] = Blob,
    }
}

u32_newtype! {
    /// The stream that [`ChannelExtendedData`] belongs to (RFC 4254 section 5.2).
    ExtendedDataType {
        1 STDERR "SSH_EXTENDED_DATA_STDERR",
    }
}

wire_struct! {
    /// The sender will send no more data (RFC 4254 section 5.3).
    ChannelEof {
        /// The channel's number at the recipient.
        recipient_channel: u32 = Uint32,
    }
}

wire_struct! {
    /// The sender is done with the channel (RFC 4254 section 5.3).
    ChannelClose {
        /// The channel's number at the recipient.
        recipient_channel: u32 = Uint32,
    }
}

/// Asks for something that concerns one channel (RFC 4254 section 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelRequest<'a> {
    /// The channel's number at the recipient.
    pub recipient_channel: u32,
    /// Whether [`ChannelSuccess`] or [`ChannelFailure`] must answer.
    pub want_reply: bool,
    /// What is asked for. On the wire its name comes before `want_reply`.
    pub request: ChannelRequestType<'a>,
}

impl<'a> Body<'a> for ChannelRequest<'a> {
    fn decode_body(r: &mut Reader<'a>) -> Result<Self, WireError> {
        let recipient_channel = r.u32()?;
        let name = Name::read(r)?;
        let want_reply = r.boolean()?;
        Ok(Self {
            recipient_channel,
            want_reply,
            request: ChannelRequestType::read(name, r)?,
        })
    }

    fn encode_body<S: Sink + ?Sized>(&self, out: &mut S) {
        out.put_u32(self.recipient_channel);
        out.put_string(self.request.name().as_bytes());
        out.put_boolean(self.want_reply);
        self.request.write(out);
    }
}

named_enum! {
    /// What a [`ChannelRequest`] asks for or tells.
    ChannelRequestType<'a> {
        /// a pseudo-terminal (RFC 4254 section 6.2).
        "pty-req" => PtyReq {
            /// The value of TERM, such as `vt100`.
            term: &'a [u8] = Text,
            /// Its size.
            size: TerminalSize = Nested,
            /// Its modes.
            modes: TerminalModes<'a> = Nested,
        },
        /// forwarding of X11 (RFC 4254 section 6.3.1).
        "x11-req" => X11Req {
            /// Forward one connection only.
            single_connection: bool = Boolean,
            /// Such as `MIT-MAGIC-COOKIE-1`.
            x11_authentication_protocol: &'a [u8] = Text,
            /// In hexadecimal; a secret of the display, or one made up in its place.
            x11_authentication_cookie: &'a [u8] = Secret,
            /// The screen.
            x11_screen_number: u32 = Uint32,
        },
        /// an environment variable (RFC 4254 section 6.4).
        "env" => Env {
            /// Its name.
            variable_name: &'a [u8] = Text,
            /// Its value.
            variable_value: &'a [u8] = Text,
        },
        /// the user's shell (RFC 4254 section 6.5).
        "shell" => Shell,
        /// a command (RFC 4254 section 6.5).
        "exec" => Exec {
            /// The command line.
            command: &'a [u8] = Text,
        },
        /// a subsystem such as `sftp` (RFC 4254 section 6.5).
        "subsystem" => Subsystem {
            /// Its name. Servers let their administrator choose it, so it is not checked.
            subsystem_name: &'a [u8] = Text,
        },
        /// the terminal has another size now (RFC 4254 section 6.7).
        "window-change" => WindowChange {
            /// The new size.
            size: TerminalSize = Nested,
        },
        /// who may do flow control of the terminal (RFC 4254 section 6.8).
        "xon-xoff" => XonXoff {
            /// Whether the client may stop and start output by itself.
            client_can_do: bool = Boolean,
        },
        /// a signal for the program (RFC 4254 section 6.9).
        "signal" => Signal {
            /// Without `SIG`: `TERM`, `INT`, ...
            signal_name: &'a [u8] = Text,
        },
        /// the program ended (RFC 4254 section 6.10).
        "exit-status" => ExitStatus {
            /// 0 usually means success.
            exit_status: u32 = Uint32,
        },
        /// the program was ended by a signal (RFC 4254 section 6.10).
        "exit-signal" => ExitSignal {
            /// Without `SIG`: `TERM`, `SEGV`, ...
            signal_name: &'a [u8] = Text,
            /// Whether a core was dumped.
            core_dumped: bool = Boolean,
            /// For a person to read.
            error_message: &'a [u8] = Text,
            /// Language of `error_message` (RFC 3066).
            language_tag: &'a [u8] = Text,
        },
        /// a BREAK on a serial line (RFC 4335 section 3).
        "break" => Break {
            /// Milliseconds; 0 for the default.
            break_length: u32 = Uint32,
        },
        /// the sender's reader is gone, so send no more (OpenSSH PROTOCOL 2.1).
        "eow@openssh.com" => Eow,
        /// forwarding of the agent.
        "auth-agent-req@openssh.com" => AuthAgentReq,
        /// is the peer still there? Any answer will do.
        "keepalive@openssh.com" => Keepalive,
    }
}

wire_struct! {
    /// The size of a terminal (RFC 4254 section 6.2). Zero means unknown; characters count
    /// before pixels where both are known.
    #[derive(Default, Hash)]
    TerminalSize {
        /// Width in characters.
        columns: u32 = Uint32,
        /// Height in characters.
        rows: u32 = Uint32,
        /// Width in pixels.
        width_pixels: u32 = Uint32,
        /// Height in pixels.
        height_pixels: u32 = Uint32,
    }
}

wire_struct! {
    /// Grants the channel's oldest unanswered [`ChannelRequest`] (RFC 4254 section 5.4).
    ChannelSuccess {
        /// The channel's number at the recipient.
        recipient_channel: u32 = Uint32,
    }
}

wire_struct! {
    /// Refuses the channel's oldest unanswered [`ChannelRequest`] (RFC 4254 section 5.4).
    ChannelFailure {
        /// The channel's number at the recipient.
        recipient_channel: u32 = Uint32,
    }
}
