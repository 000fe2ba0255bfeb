//! Messages of the transport layer: RFC 4253, RFC 8308 and OpenSSH's ping.
//!
//! KEXINIT and the messages of the methods of key exchange have a file of their own. Texts are the
//! peer's words and stay bytes; `Debug` escapes them.

use super::code::u32_newtype;
use super::field::wire_struct;
use super::list::List;

wire_struct! {
    /// Ends the connection at once (RFC 4253 section 11.1).
    Disconnect<'a> {
        /// Why.
        reason_code: DisconnectReason = Nested,
        /// For a person to read.
        description: &'a [u8] = Text,
        /// Language of `description` (RFC 3066).
        language_tag: &'a [u8] = Text,
    }
}

wire_struct! {
    /// Carries nothing that matters (RFC 4253 section 11.2).
    Ignore<'a> {
        /// To be ignored.
        data: &'a [u8] = Blob,
    }
}

wire_struct! {
    /// Says that a message was not recognised (RFC 4253 section 11.4).
    Unimplemented {
        /// The sequence number of the packet that carried it.
        packet_sequence_number: u32 = Uint32,
    }
}

wire_struct! {
    /// Tells something that may help to find an error (RFC 4253 section 11.3).
    DebugMessage<'a> {
        /// Whether the peer wants it to be shown in any case.
        always_display: bool = Boolean,
        /// For a person to read.
        message: &'a [u8] = Text,
        /// Language of `message` (RFC 3066).
        language_tag: &'a [u8] = Text,
    }
}

wire_struct! {
    /// Asks for a service (RFC 4253 section 10).
    ServiceRequest<'a> {
        /// `ssh-userauth` or `ssh-connection`.
        service_name: &'a str = Name,
    }
}

wire_struct! {
    /// Grants the service that was asked for (RFC 4253 section 10).
    ServiceAccept<'a> {
        /// The name that was in the request.
        service_name: &'a str = Name,
    }
}

wire_struct! {
    /// Announces what a side can do beyond the RFCs of 2006 (RFC 8308 section 2.3).
    ///
    /// The same extension may come twice; RFC 8308 section 2.5 says which one counts.
    ExtInfo<'a> {
        /// The extensions in the order in which they were sent.
        extensions: List<'a, Extension<'a>> = Counted,
    }
}

impl<'a> ExtInfo<'a> {
    /// The values of the extension `name`, in order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.extensions
            .iter()
            .filter(move |extension| extension.name == name)
            .map(|extension| extension.value)
    }
}

wire_struct! {
    /// One extension of [`ExtInfo`].
    Extension<'a> {
        /// What the value means: one of the constants of this type, or unknown and to be ignored.
        name: &'a str = Name,
        /// Defined by the extension.
        value: &'a [u8] = Text,
    }
}

impl Extension<'_> {
    /// Signature algorithms that the server accepts, as a name-list (RFC 8308 section 3.1).
    pub const SERVER_SIG_ALGS: &'static str = "server-sig-algs";
    /// Compression that starts after authentication (RFC 8308 section 3.2).
    pub const DELAY_COMPRESSION: &'static str = "delay-compression";
    /// One channel without flow control (RFC 8308 section 3.3).
    pub const NO_FLOW_CONTROL: &'static str = "no-flow-control";
    /// Whether the session should run with elevated rights (RFC 8308 section 3.4).
    pub const ELEVATION: &'static str = "elevation";
    /// The server answers [`Ping`] (OpenSSH PROTOCOL 1.9).
    pub const PING: &'static str = "ping@openssh.com";
    /// The server knows `publickey-hostbound-v00@openssh.com` (OpenSSH PROTOCOL 3.1).
    pub const PUBLICKEY_HOSTBOUND: &'static str = "publickey-hostbound@openssh.com";
    /// A client takes another EXT_INFO during authentication (OpenSSH PROTOCOL 1.11).
    pub const EXT_INFO_IN_AUTH: &'static str = "ext-info-in-auth@openssh.com";
}

wire_struct! {
    /// From here on the client compresses (RFC 8308 section 3.2).
    NewCompress;
}

wire_struct! {
    /// To be answered at once with a [`Pong`] (OpenSSH PROTOCOL 1.9).
    Ping<'a> {
        /// To be sent back.
        data: &'a [u8] = Blob,
    }
}

wire_struct! {
    /// Answers a [`Ping`].
    Pong<'a> {
        /// What the ping carried.
        data: &'a [u8] = Blob,
    }
}

u32_newtype! {
    /// Why a connection ends (RFC 4253 section 11.1).
    DisconnectReason {
        1 HOST_NOT_ALLOWED_TO_CONNECT "SSH_DISCONNECT_HOST_NOT_ALLOWED_TO_CONNECT",
        2 PROTOCOL_ERROR "SSH_DISCONNECT_PROTOCOL_ERROR",
        3 KEY_EXCHANGE_FAILED "SSH_DISCONNECT_KEY_EXCHANGE_FAILED",
        4 RESERVED "SSH_DISCONNECT_RESERVED",
        5 MAC_ERROR "SSH_DISCONNECT_MAC_ERROR",
        6 COMPRESSION_ERROR "SSH_DISCONNECT_COMPRESSION_ERROR",
        7 SERVICE_NOT_AVAILABLE "SSH_DISCONNECT_SERVICE_NOT_AVAILABLE",
        8 PROTOCOL_VERSION_NOT_SUPPORTED "SSH_DISCONNECT_PROTOCOL_VERSION_NOT_SUPPORTED",
        9 HOST_KEY_NOT_VERIFIABLE "SSH_DISCONNECT_HOST_KEY_NOT_VERIFIABLE",
        10 CONNECTION_LOST "SSH_DISCONNECT_CONNECTION_LOST",
        11 BY_APPLICATION "SSH_DISCONNECT_BY_APPLICATION",
        12 TOO_MANY_CONNECTIONS "SSH_DISCONNECT_TOO_MANY_CONNECTIONS",
        13 AUTH_CANCELLED_BY_USER "SSH_DISCONNECT_AUTH_CANCELLED_BY_USER",
        14 NO_MORE_AUTH_METHODS_AVAILABLE "SSH_DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE",
        15 ILLEGAL_USER_NAME "SSH_DISCONNECT_ILLEGAL_USER_NAME",
    }
}
