//! The table against the numbers that the RFCs list.

use alloc::{format, vec::Vec};
use core::error::Error;

use crate::message::Direction::{Both, ClientToServer, ServerToClient};
use crate::message::{
    AuthMessages, Context, DecodeErrorKind, DisconnectReason, KexMessages, Message, Phase, TABLE,
    TerminalMode, direction, name, phase,
};
use crate::wire::WireError;

/// RFC 4250 section 4.1.2, RFC 4252 sections 7 and 8, RFC 4253 section 8, RFC 4256 section 5,
/// RFC 4419 section 5, RFC 4432 section 7, RFC 5656 section 7.1, RFC 8308 section 4.1, OpenSSH PROTOCOL 1.9.
#[test]
fn the_numbers_are_those_of_the_rfcs() {
    let expected = [
        (1, "SSH_MSG_DISCONNECT", Phase::Transport, Both),
        (2, "SSH_MSG_IGNORE", Phase::Transport, Both),
        (3, "SSH_MSG_UNIMPLEMENTED", Phase::Transport, Both),
        (4, "SSH_MSG_DEBUG", Phase::Transport, Both),
        (5, "SSH_MSG_SERVICE_REQUEST", Phase::Service, ClientToServer),
        (6, "SSH_MSG_SERVICE_ACCEPT", Phase::Service, ServerToClient),
        (7, "SSH_MSG_EXT_INFO", Phase::ExtInfo, Both),
        (8, "SSH_MSG_NEWCOMPRESS", Phase::NewCompress, ClientToServer),
        (20, "SSH_MSG_KEXINIT", Phase::KexInit, Both),
        (21, "SSH_MSG_NEWKEYS", Phase::NewKeys, Both),
        (30, "SSH_MSG_KEXDH_INIT", Phase::Kex, ClientToServer),
        (31, "SSH_MSG_KEXDH_REPLY", Phase::Kex, ServerToClient),
        (30, "SSH_MSG_KEX_ECDH_INIT", Phase::Kex, ClientToServer),
        (31, "SSH_MSG_KEX_ECDH_REPLY", Phase::Kex, ServerToClient),
        (
            30,
            "SSH_MSG_KEX_DH_GEX_REQUEST_OLD",
            Phase::Kex,
            ClientToServer,
        ),
        (31, "SSH_MSG_KEX_DH_GEX_GROUP", Phase::Kex, ServerToClient),
        (32, "SSH_MSG_KEX_DH_GEX_INIT", Phase::Kex, ClientToServer),
        (33, "SSH_MSG_KEX_DH_GEX_REPLY", Phase::Kex, ServerToClient),
        (34, "SSH_MSG_KEX_DH_GEX_REQUEST", Phase::Kex, ClientToServer),
        (30, "SSH_MSG_KEXRSA_PUBKEY", Phase::Kex, ServerToClient),
        (31, "SSH_MSG_KEXRSA_SECRET", Phase::Kex, ClientToServer),
        (32, "SSH_MSG_KEXRSA_DONE", Phase::Kex, ServerToClient),
        (50, "SSH_MSG_USERAUTH_REQUEST", Phase::Auth, ClientToServer),
        (51, "SSH_MSG_USERAUTH_FAILURE", Phase::Auth, ServerToClient),
        (52, "SSH_MSG_USERAUTH_SUCCESS", Phase::Auth, ServerToClient),
        (53, "SSH_MSG_USERAUTH_BANNER", Phase::Auth, ServerToClient),
        (60, "SSH_MSG_USERAUTH_PK_OK", Phase::Auth, ServerToClient),
        (
            60,
            "SSH_MSG_USERAUTH_PASSWD_CHANGEREQ",
            Phase::Auth,
            ServerToClient,
        ),
        (
            60,
            "SSH_MSG_USERAUTH_INFO_REQUEST",
            Phase::Auth,
            ServerToClient,
        ),
        (
            61,
            "SSH_MSG_USERAUTH_INFO_RESPONSE",
            Phase::Auth,
            ClientToServer,
        ),
        (80, "SSH_MSG_GLOBAL_REQUEST", Phase::Connection, Both),
        (81, "SSH_MSG_REQUEST_SUCCESS", Phase::Connection, Both),
        (82, "SSH_MSG_REQUEST_FAILURE", Phase::Connection, Both),
        (90, "SSH_MSG_CHANNEL_OPEN", Phase::Connection, Both),
        (
            91,
            "SSH_MSG_CHANNEL_OPEN_CONFIRMATION",
            Phase::Connection,
            Both,
        ),
        (92, "SSH_MSG_CHANNEL_OPEN_FAILURE", Phase::Connection, Both),
        (93, "SSH_MSG_CHANNEL_WINDOW_ADJUST", Phase::Connection, Both),
        (94, "SSH_MSG_CHANNEL_DATA", Phase::Connection, Both),
        (95, "SSH_MSG_CHANNEL_EXTENDED_DATA", Phase::Connection, Both),
        (96, "SSH_MSG_CHANNEL_EOF", Phase::Connection, Both),
        (97, "SSH_MSG_CHANNEL_CLOSE", Phase::Connection, Both),
        (98, "SSH_MSG_CHANNEL_REQUEST", Phase::Connection, Both),
        (99, "SSH_MSG_CHANNEL_SUCCESS", Phase::Connection, Both),
        (100, "SSH_MSG_CHANNEL_FAILURE", Phase::Connection, Both),
        (192, "SSH2_MSG_PING", Phase::Ping, Both),
        (193, "SSH2_MSG_PONG", Phase::Ping, Both),
    ];
    let table: Vec<_> = TABLE
        .iter()
        .map(|i| (i.number, i.name, i.phase, i.direction))
        .collect();
    assert_eq!(table, expected);
}

#[test]
fn a_number_and_what_it_needs_are_one_message() {
    for (i, a) in TABLE.iter().enumerate() {
        for b in &TABLE[i + 1..] {
            assert_ne!(
                (a.number, a.needs),
                (b.number, b.needs),
                "{} {}",
                a.name,
                b.name
            );
            assert_ne!(a.name, b.name);
            if a.number == b.number {
                // Else one meaning would hide the other.
                assert_ne!(Context::from(a.needs), Context::NONE);
                assert_eq!(a.phase, b.phase);
            }
        }
    }
}

#[test]
fn phases_keep_to_the_ranges_of_the_rfc() {
    for info in TABLE {
        let in_range = match info.phase {
            Phase::Transport => (1..=4).contains(&info.number),
            Phase::Service => (5..=6).contains(&info.number),
            Phase::ExtInfo => info.number == 7,
            Phase::NewCompress => info.number == 8,
            Phase::KexInit => info.number == 20,
            Phase::NewKeys => info.number == 21,
            Phase::Kex => (30..=49).contains(&info.number),
            Phase::Auth => (50..=79).contains(&info.number),
            Phase::Connection => (80..=127).contains(&info.number),
            Phase::Ping => (192..=193).contains(&info.number),
        };
        assert!(in_range, "{}", info.name);
        assert_eq!(phase(info.number), Some(info.phase));
    }
}

#[test]
fn lookups_by_number_know_exactly_the_table() {
    for number in 0..=255 {
        let row = TABLE.iter().find(|info| info.number == number);
        assert_eq!(name(number), row.map(|info| info.name));
        assert_eq!(phase(number), row.map(|info| info.phase));
        let Err(error) = Message::decode(&[number, 0xff, 0xff], Context::NONE) else {
            // Takes whatever is left.
            assert_eq!(number, 81);
            continue;
        };
        let of_method = (30..=49).contains(&number);
        let sender = row.filter(|_| !of_method).map(|info| info.direction);
        assert_eq!(direction(number), sender, "{number}");
        let unknown = error.kind() == DecodeErrorKind::UnknownMessage;
        assert_eq!(unknown, row.is_none(), "{number}");
        let out = error.kind() == DecodeErrorKind::OutOfContext;
        assert_eq!(out, matches!(number, 30..=34 | 60 | 61), "{number}");
        assert_eq!(error.number(), Some(number));
    }
}

#[test]
fn the_context_decides_what_a_number_means() {
    let payload = b"\x1e\0\0\0\x01\x05";
    let decoded = |context| Message::decode(payload, context).map(|m| m.name());
    assert_eq!(
        decoded(Context::kex(KexMessages::Dh)),
        Ok("SSH_MSG_KEXDH_INIT")
    );
    assert_eq!(
        decoded(Context::kex(KexMessages::Ecdh)),
        Ok("SSH_MSG_KEX_ECDH_INIT")
    );
    for context in [Context::NONE, Context::auth(AuthMessages::Password)] {
        let error = decoded(context).unwrap_err();
        assert_eq!(error.kind(), DecodeErrorKind::OutOfContext);
        let shown = "message 30 has no meaning in this key exchange or authentication method";
        assert_eq!(format!("{error}"), shown);
    }
    let error = Message::decode(b"\x3d\0\0\0\0", Context::auth(AuthMessages::Publickey));
    assert_eq!(error.unwrap_err().kind(), DecodeErrorKind::OutOfContext);
}

#[test]
fn an_error_names_the_message_that_was_meant() {
    for info in TABLE {
        let Err(error) = Message::decode(&[info.number], info.needs.into()) else {
            // It may be empty.
            assert!(
                matches!(info.number, 21 | 52 | 8 | 81 | 82),
                "{}",
                info.name
            );
            continue;
        };
        assert_eq!(error.name(), Some(info.name));
        assert_eq!(
            format!("{error}"),
            format!("{}: a field reaches past the end of the data", info.name)
        );
        let source = error.source().expect("what is wrong with it");
        assert_eq!(source.downcast_ref(), Some(&WireError::Truncated));
    }
    let unknown = Message::decode(&[255], Context::NONE).unwrap_err();
    assert!(unknown.source().is_none() && unknown.name().is_none());
}

#[test]
fn reasons_have_the_names_of_the_rfc() {
    assert_eq!(DisconnectReason::PROTOCOL_ERROR.0, 2);
    assert_eq!(
        DisconnectReason(11).name(),
        Some("SSH_DISCONNECT_BY_APPLICATION")
    );
    assert_eq!(
        (1..=15)
            .filter(|&n| DisconnectReason(n).name().is_some())
            .count(),
        15
    );
    assert_eq!(DisconnectReason(0).name(), None);
    assert_eq!(format!("{}", DisconnectReason(16)), "16");
    assert_eq!(
        format!("{:?}", DisconnectReason(16)),
        "DisconnectReason(16)"
    );
}

/// RFC 4254 section 8 and RFC 8160 section 3.
#[test]
fn terminal_modes_have_the_opcodes_of_the_rfc() {
    let listed = "1 VINTR, 2 VQUIT, 3 VERASE, 4 VKILL, 5 VEOF, 6 VEOL, 7 VEOL2, 8 VSTART, \
        9 VSTOP, 10 VSUSP, 11 VDSUSP, 12 VREPRINT, 13 VWERASE, 14 VLNEXT, 15 VFLUSH, 16 VSWTCH, \
        17 VSTATUS, 18 VDISCARD, 30 IGNPAR, 31 PARMRK, 32 INPCK, 33 ISTRIP, 34 INLCR, 35 IGNCR, \
        36 ICRNL, 37 IUCLC, 38 IXON, 39 IXANY, 40 IXOFF, 41 IMAXBEL, 42 IUTF8, 50 ISIG, \
        51 ICANON, 52 XCASE, 53 ECHO, 54 ECHOE, 55 ECHOK, 56 ECHONL, 57 NOFLSH, 58 TOSTOP, \
        59 IEXTEN, 60 ECHOCTL, 61 ECHOKE, 62 PENDIN, 70 OPOST, 71 OLCUC, 72 ONLCR, 73 OCRNL, \
        74 ONOCR, 75 ONLRET, 90 CS7, 91 CS8, 92 PARENB, 93 PARODD, 128 TTY_OP_ISPEED, \
        129 TTY_OP_OSPEED";
    let here: Vec<_> = TerminalMode::ALL
        .iter()
        .map(|m| format!("{} {m}", m.0))
        .collect();
    assert_eq!(here.join(", "), listed);
}
