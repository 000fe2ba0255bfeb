//! The table of all messages (at the end of this file) and what is made from it.
//!
//! A number is one message once its `needs` are known: no two rows agree in both. The phase and
//! the direction are facts for the gate, which decides what may come; decoding does not look at
//! them.

use core::fmt;

use super::auth::*;
use super::connection::*;
use super::kex::*;
use super::transport::*;
use super::{Body, DecodeError, DecodeErrorKind};
use crate::wire::{Reader, Sink};

/// One row of the [`TABLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageInfo {
    /// The first byte of the payload.
    pub number: u8,
    /// The RFC's name of the number.
    pub name: &'static str,
    /// What must be known to give the number this meaning.
    pub needs: Needs,
    /// The part of the protocol that it belongs to.
    pub phase: Phase,
    /// Who may send it.
    pub direction: Direction,
}

/// The part of the protocol that a message belongs to, which decides when it may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG.
    Transport,
    /// Request and grant of a service.
    Service,
    /// EXT_INFO (RFC 8308).
    ExtInfo,
    /// NEWCOMPRESS (RFC 8308).
    NewCompress,
    /// KEXINIT.
    KexInit,
    /// NEWKEYS.
    NewKeys,
    /// Messages of one key exchange method (30 to 49).
    Kex,
    /// User authentication (50 to 79).
    Auth,
    /// Channels and global requests (80 to 127).
    Connection,
    /// OpenSSH's ping.
    Ping,
}

/// Who may send a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Either side.
    Both,
    /// The client only.
    ClientToServer,
    /// The server only.
    ServerToClient,
}

/// What gives a number its meaning, where it has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Needs {
    /// The number has one meaning only.
    Nothing,
    /// The method of the key exchange that is going on.
    Kex(KexMessages),
    /// The authentication method that is going on.
    Auth(AuthMessages),
}

/// What the numbers 30 to 49 mean, by family of key exchange methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KexMessages {
    /// KEXDH: Diffie-Hellman in a fixed group (RFC 4253 section 8).
    Dh,
    /// KEX_ECDH: elliptic curves and post-quantum hybrids (RFC 5656 section 4).
    Ecdh,
    /// KEX_DH_GEX: Diffie-Hellman in a group that the server chooses (RFC 4419).
    GroupExchange,
    /// KEXRSA: a secret that the client encrypts (RFC 4432).
    Rsa,
}

/// What the numbers 60 to 79 mean, by authentication method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthMessages {
    /// `publickey` and its host-bound form (RFC 4252 section 7).
    Publickey,
    /// `password` (RFC 4252 section 8).
    Password,
    /// `keyboard-interactive` (RFC 4256).
    KeyboardInteractive,
}

/// What is going on, for the numbers whose meaning depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Context {
    /// The key exchange that is going on.
    pub kex: Option<KexMessages>,
    /// The authentication method that is going on.
    pub auth: Option<AuthMessages>,
}

impl Context {
    /// Neither key exchange nor authentication: a number that depends on them is an error of the
    /// kind [`DecodeErrorKind::OutOfContext`].
    pub const NONE: Self = Self {
        kex: None,
        auth: None,
    };

    /// A key exchange.
    pub const fn kex(kex: KexMessages) -> Self {
        Self {
            kex: Some(kex),
            ..Self::NONE
        }
    }

    /// An authentication method.
    pub const fn auth(auth: AuthMessages) -> Self {
        Self {
            auth: Some(auth),
            ..Self::NONE
        }
    }

    fn satisfies(self, needs: Needs) -> bool {
        match needs {
            Needs::Nothing => true,
            Needs::Kex(kex) => self.kex == Some(kex),
            Needs::Auth(auth) => self.auth == Some(auth),
        }
    }
}

/// The context that a row of the table needs.
impl From<Needs> for Context {
    fn from(needs: Needs) -> Self {
        match needs {
            Needs::Nothing => Self::NONE,
            Needs::Kex(kex) => Self::kex(kex),
            Needs::Auth(auth) => Self::auth(auth),
        }
    }
}

/// A message: its [`Body`] and its row in the [`TABLE`].
pub trait Wire<'a>: Body<'a> {
    /// Its row.
    const INFO: MessageInfo;
    /// Its number.
    const NUMBER: u8 = Self::INFO.number;

    /// Decodes a payload that must be this message, to its last byte.
    fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let (&number, body) = payload.split_first().ok_or(DecodeError::EMPTY)?;
        if number != Self::NUMBER {
            let expected = Self::NUMBER;
            return Err(DecodeError::new(
                number,
                DecodeErrorKind::Unexpected { expected },
            ));
        }
        let mut r = Reader::new(body);
        Self::decode_body(&mut r)
            .and_then(|message| r.finish().map(|()| message))
            .map_err(|error| DecodeError::malformed(Self::INFO, error))
    }

    /// Writes the number and the body.
    fn encode<S: Sink + ?Sized>(&self, out: &mut S) {
        out.put_u8(Self::NUMBER);
        self.encode_body(out);
    }
}

/// Makes everything that depends on the set of messages.
macro_rules! messages {
    ($(
        $number:literal $name:ident $message:ident $(<$lt:lifetime>)?,
        $needs:ident $(($family:ident))?, $phase:ident, $direction:ident;
    )+) => {
        /// All messages. A number with several meanings has several rows.
        pub const TABLE: &[MessageInfo] = Message::ROWS;

        /// The numbers under the RFC's names.
        pub mod number {
            $(
                #[doc = concat!("[`", stringify!($message), "`](super::", stringify!($message), ")")]
                pub const $name: u8 = $number;
            )+
        }

        $(
            impl<'a> Wire<'a> for $message $(<$lt>)? {
                const INFO: MessageInfo = MessageInfo {
                    number: $number,
                    name: stringify!($name),
                    needs: Needs::$needs $((<messages!(@family $needs)>::$family))?,
                    phase: Phase::$phase,
                    direction: Direction::$direction,
                };
            }

            impl<'a> From<$message $(<$lt>)?> for Message<'a> {
                fn from(message: $message $(<$lt>)?) -> Self {
                    Self::$message(message)
                }
            }
        )+

        /// Any message.
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Message<'a> {
            $(
                #[doc = concat!("`", stringify!($name), "`, ", stringify!($number))]
                $message($message $(<$lt>)?),
            )+
        }

        impl<'a> Message<'a> {
            const ROWS: &'static [MessageInfo] = &[$(<$message $(<$lt>)? as Wire<'a>>::INFO),+];

            /// Decodes a payload to its last byte. `context` says what the numbers 30 to 49 and
            /// 60 to 79 mean.
            pub fn decode(payload: &'a [u8], context: Context) -> Result<Self, DecodeError> {
                let number = *payload.first().ok_or(DecodeError::EMPTY)?;
                match number {
                    $(
                        $number if context.satisfies(<$message $(<$lt>)? as Wire<'a>>::INFO.needs) => {
                            <$message $(<$lt>)? as Wire<'a>>::decode(payload).map(Self::$message)
                        }
                    )+
                    _ if phase(number).is_some() => {
                        Err(DecodeError::new(number, DecodeErrorKind::OutOfContext))
                    }
                    _ => Err(DecodeError::new(number, DecodeErrorKind::UnknownMessage)),
                }
            }

            /// Writes the number and the body.
            pub fn encode<S: Sink + ?Sized>(&self, out: &mut S) {
                match self {
                    $(Self::$message(message) => Wire::encode(message, out),)+
                }
            }

            /// Its row in the [`TABLE`].
            pub const fn info(&self) -> MessageInfo {
                match self {
                    $(Self::$message(_) => <$message $(<$lt>)? as Wire<'a>>::INFO,)+
                }
            }
        }

        impl fmt::Debug for Message<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$message(message) => message.fmt(f),)+
                }
            }
        }

        /// The RFC's name of a number; where it has several meanings, of the first one in the
        /// [`TABLE`].
        #[expect(unreachable_patterns, reason = "some numbers have several rows")]
        pub const fn name(number: u8) -> Option<&'static str> {
            match number {
                $($number => Some(stringify!($name)),)+
                _ => None,
            }
        }

        /// Who may send a number. `None` for those of key exchange (30 to 49), since that depends on
        /// the method: 30 is the client's to send in most of them, and the server's in one.
        #[expect(unreachable_patterns, reason = "some numbers have several rows")]
        pub const fn direction(number: u8) -> Option<Direction> {
            match number {
                30..=49 => None,
                $($number => Some(Direction::$direction),)+
                _ => None,
            }
        }

        /// The phase of a number, which is the same for all of its meanings.
        #[expect(unreachable_patterns, reason = "some numbers have several rows")]
        pub const fn phase(number: u8) -> Option<Phase> {
            match number {
                $($number => Some(Phase::$phase),)+
                _ => None,
            }
        }

        #[cfg(any(test, feature = "arbitrary"))]
        impl<'a> arbitrary::Arbitrary<'a> for Message<'a> {
            fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                const MAKE: &[for<'u> fn(
                    &mut arbitrary::Unstructured<'u>,
                ) -> arbitrary::Result<Message<'u>>] = &[$(|u| u.arbitrary().map(Message::$message)),+];
                u.choose(MAKE)?(u)
            }
        }
    };
    (@family Kex) => { KexMessages };
    (@family Auth) => { AuthMessages };
}

messages! {
//  number, name                       message                      needs                      phase        direction
    1   SSH_MSG_DISCONNECT                Disconnect<'a>,              Nothing,                   Transport,   Both;
    2   SSH_MSG_IGNORE                    Ignore<'a>,                  Nothing,                   Transport,   Both;
    3   SSH_MSG_UNIMPLEMENTED             Unimplemented,               Nothing,                   Transport,   Both;
    4   SSH_MSG_DEBUG                     DebugMessage<'a>,            Nothing,                   Transport,   Both;
    5   SSH_MSG_SERVICE_REQUEST           ServiceRequest<'a>,          Nothing,                   Service,     ClientToServer;
    6   SSH_MSG_SERVICE_ACCEPT            ServiceAccept<'a>,           Nothing,                   Service,     ServerToClient;
    7   SSH_MSG_EXT_INFO                  ExtInfo<'a>,                 Nothing,                   ExtInfo,     Both;
    8   SSH_MSG_NEWCOMPRESS               NewCompress,                 Nothing,                   NewCompress, ClientToServer;
    20  SSH_MSG_KEXINIT                   KexInit<'a>,                 Nothing,                   KexInit,     Both;
    21  SSH_MSG_NEWKEYS                   NewKeys,                     Nothing,                   NewKeys,     Both;
    30  SSH_MSG_KEXDH_INIT                KexdhInit<'a>,               Kex(Dh),                   Kex,         ClientToServer;
    31  SSH_MSG_KEXDH_REPLY               KexdhReply<'a>,              Kex(Dh),                   Kex,         ServerToClient;
    30  SSH_MSG_KEX_ECDH_INIT             KexEcdhInit<'a>,             Kex(Ecdh),                 Kex,         ClientToServer;
    31  SSH_MSG_KEX_ECDH_REPLY            KexEcdhReply<'a>,            Kex(Ecdh),                 Kex,         ServerToClient;
    30  SSH_MSG_KEX_DH_GEX_REQUEST_OLD    KexDhGexRequestOld,          Kex(GroupExchange),        Kex,         ClientToServer;
    31  SSH_MSG_KEX_DH_GEX_GROUP          KexDhGexGroup<'a>,           Kex(GroupExchange),        Kex,         ServerToClient;
    32  SSH_MSG_KEX_DH_GEX_INIT           KexDhGexInit<'a>,            Kex(GroupExchange),        Kex,         ClientToServer;
    33  SSH_MSG_KEX_DH_GEX_REPLY          KexDhGexReply<'a>,           Kex(GroupExchange),        Kex,         ServerToClient;
    34  SSH_MSG_KEX_DH_GEX_REQUEST        KexDhGexRequest,             Kex(GroupExchange),        Kex,         ClientToServer;
    30  SSH_MSG_KEXRSA_PUBKEY             KexRsaPubkey<'a>,            Kex(Rsa),                  Kex,         ServerToClient;
    31  SSH_MSG_KEXRSA_SECRET             KexRsaSecret<'a>,            Kex(Rsa),                  Kex,         ClientToServer;
    32  SSH_MSG_KEXRSA_DONE               KexRsaDone<'a>,              Kex(Rsa),                  Kex,         ServerToClient;
    50  SSH_MSG_USERAUTH_REQUEST          UserauthRequest<'a>,         Nothing,                   Auth,        ClientToServer;
    51  SSH_MSG_USERAUTH_FAILURE          UserauthFailure<'a>,         Nothing,                   Auth,        ServerToClient;
    52  SSH_MSG_USERAUTH_SUCCESS          UserauthSuccess,             Nothing,                   Auth,        ServerToClient;
    53  SSH_MSG_USERAUTH_BANNER           UserauthBanner<'a>,          Nothing,                   Auth,        ServerToClient;
    60  SSH_MSG_USERAUTH_PK_OK            UserauthPkOk<'a>,            Auth(Publickey),           Auth,        ServerToClient;
    60  SSH_MSG_USERAUTH_PASSWD_CHANGEREQ UserauthPasswdChangereq<'a>, Auth(Password),            Auth,        ServerToClient;
    60  SSH_MSG_USERAUTH_INFO_REQUEST     UserauthInfoRequest<'a>,     Auth(KeyboardInteractive), Auth,        ServerToClient;
    61  SSH_MSG_USERAUTH_INFO_RESPONSE    UserauthInfoResponse<'a>,    Auth(KeyboardInteractive), Auth,        ClientToServer;
    80  SSH_MSG_GLOBAL_REQUEST            GlobalRequest<'a>,           Nothing,                   Connection,  Both;
    81  SSH_MSG_REQUEST_SUCCESS           RequestSuccess<'a>,          Nothing,                   Connection,  Both;
    82  SSH_MSG_REQUEST_FAILURE           RequestFailure,              Nothing,                   Connection,  Both;
    90  SSH_MSG_CHANNEL_OPEN              ChannelOpen<'a>,             Nothing,                   Connection,  Both;
    91  SSH_MSG_CHANNEL_OPEN_CONFIRMATION ChannelOpenConfirmation,     Nothing,                   Connection,  Both;
    92  SSH_MSG_CHANNEL_OPEN_FAILURE      ChannelOpenFailure<'a>,      Nothing,                   Connection,  Both;
    93  SSH_MSG_CHANNEL_WINDOW_ADJUST     ChannelWindowAdjust,         Nothing,                   Connection,  Both;
    94  SSH_MSG_CHANNEL_DATA              ChannelData<'a>,             Nothing,                   Connection,  Both;
    95  SSH_MSG_CHANNEL_EXTENDED_DATA     ChannelExtendedData<'a>,     Nothing,                   Connection,  Both;
    96  SSH_MSG_CHANNEL_EOF               ChannelEof,                  Nothing,                   Connection,  Both;
    97  SSH_MSG_CHANNEL_CLOSE             ChannelClose,                Nothing,                   Connection,  Both;
    98  SSH_MSG_CHANNEL_REQUEST           ChannelRequest<'a>,          Nothing,                   Connection,  Both;
    99  SSH_MSG_CHANNEL_SUCCESS           ChannelSuccess,              Nothing,                   Connection,  Both;
    100 SSH_MSG_CHANNEL_FAILURE           ChannelFailure,              Nothing,                   Connection,  Both;
    192 SSH2_MSG_PING                     Ping<'a>,                    Nothing,                   Ping,        Both;
    193 SSH2_MSG_PONG                     Pong<'a>,                    Nothing,                   Ping,        Both;
}

impl Message<'_> {
    /// Its number.
    pub const fn number(&self) -> u8 {
        self.info().number
    }

    /// The RFC's name of its number.
    pub const fn name(&self) -> &'static str {
        self.info().name
    }
}
