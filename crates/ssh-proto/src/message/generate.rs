//! Valid values out of a fuzzer's bytes: what the kinds of `field.rs` make up.
//!
//! Built for tests and with the feature `arbitrary`. What is made keeps every rule that decoding
//! checks, so that a parser that is fed with it meets valid messages only.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::auth::{AuthMethod, Response, UserauthRequest};
use super::connection::{ChannelOpen, ChannelRequest, GlobalRequest};
use super::field::{
    Blob, Boolean, Cookie, Counted, Integer, Name, Names, Nested, Rest, Secret, Text, ToEnd, Uint32,
};
use super::list::List;
use super::terminal::TerminalModes;
use crate::wire::{MAX_MPINT_LEN, MAX_NAME_LEN, Mpint, NameList};

/// Makes up a valid value of type `V` for a field of this kind.
pub(super) trait Generate<'a, V> {
    fn make(u: &mut Unstructured<'a>) -> Result<V>;
}

/// Any bytes.
pub(super) fn bytes<'a>(u: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    u.arbitrary()
}

/// Any valid name that is none of `known`.
pub(super) fn name_except<'a>(u: &mut Unstructured<'a>, known: &[&str]) -> Result<&'a str> {
    let name = Name::make(u)?;
    Ok(if known.contains(&name) {
        "unknown@example.com"
    } else {
        name
    })
}

macro_rules! generate {
    ($($kind:ident => $value:ty, $u:ident => $make:expr;)+) => { $(
        impl<'a> Generate<'a, $value> for $kind {
            fn make($u: &mut Unstructured<'a>) -> Result<$value> {
                $make
            }
        }
    )+ };
}

generate! {
    Boolean => bool, u => u.arbitrary();
    Uint32 => u32, u => u.arbitrary();
    Text => &'a [u8], u => bytes(u);
    Blob => &'a [u8], u => bytes(u);
    Secret => &'a [u8], u => bytes(u);
    Rest => &'a [u8], u => bytes(u);
    Integer => Mpint<'a>, u => integer(u);
    Name => &'a str, u => name(u);
    Names => NameList<'a>, u => names(u);
    Cookie => &'a [u8; 16], u => Ok(u.bytes(16)?.first_chunk().unwrap_or(&[0; 16]));
}

impl<'a, V: Arbitrary<'a>> Generate<'a, V> for Nested {
    fn make(u: &mut Unstructured<'a>) -> Result<V> {
        u.arbitrary()
    }
}

impl<'a, T: Arbitrary<'a>> Generate<'a, List<'a, T>> for Counted {
    fn make(u: &mut Unstructured<'a>) -> Result<List<'a, T>> {
        u.arbitrary()
    }
}

impl<'a, T: Arbitrary<'a>> Generate<'a, List<'a, T>> for ToEnd {
    fn make(u: &mut Unstructured<'a>) -> Result<List<'a, T>> {
        u.arbitrary()
    }
}

/// Any number that is not too long.
fn integer<'a>(u: &mut Unstructured<'a>) -> Result<Mpint<'a>> {
    let bytes = bytes(u)?;
    Ok(Mpint::from_unsigned(
        bytes.get(..MAX_MPINT_LEN).unwrap_or(bytes),
    ))
}

/// Mostly as many of the fuzzer's bytes as make a name, otherwise a name that is known.
fn name<'a>(u: &mut Unstructured<'a>) -> Result<&'a str> {
    const SOME: &[&str] = &[
        "ssh-userauth",
        "ssh-connection",
        "ssh-ed25519",
        "rsa-sha2-512",
        "server-sig-algs",
        "x",
        "name-of-sixty-four-characters-which-is-the-longest@example.com.x",
    ];
    let bytes = bytes(u)?;
    let end = bytes
        .iter()
        .position(|&b| !b.is_ascii_graphic() || b == b',');
    let end = end.unwrap_or(bytes.len()).min(MAX_NAME_LEN);
    match bytes.get(..end).map(str::from_utf8) {
        Some(Ok(name)) if !name.is_empty() => Ok(name),
        _ => u.choose(SOME).copied(),
    }
}

/// The fuzzer's bytes where they make a name-list, otherwise one that peers send.
fn names<'a>(u: &mut Unstructured<'a>) -> Result<NameList<'a>> {
    const SOME: &[&str] = &[
        "",
        "none",
        "none,zlib@openssh.com",
        "curve25519-sha256,ext-info-c,kex-strict-c-v00@openssh.com",
        "publickey,password,keyboard-interactive",
        "trailing,comma,",
    ];
    let bytes = bytes(u)?;
    let end = bytes
        .iter()
        .position(|b| !b.is_ascii_graphic())
        .unwrap_or(bytes.len());
    match bytes.get(..end).map(NameList::from_wire) {
        Some(Ok(names)) if !names.is_empty() => Ok(names),
        _ => Ok(NameList::new(u.choose(SOME)?).unwrap_or(NameList::EMPTY)),
    }
}

impl<'a> Arbitrary<'a> for TerminalModes<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let bytes = bytes(u)?;
        // The longest part that ends where a mode ends.
        let ends = (0..=bytes.len()).rev().filter_map(|end| bytes.get(..end));
        Ok(ends
            .map(Self::from_encoded)
            .find_map(core::result::Result::ok)
            .unwrap_or_default())
    }
}

impl<'a> Arbitrary<'a> for Response<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        bytes(u).map(Self)
    }
}

impl<'a> Arbitrary<'a> for UserauthRequest<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            user_name: bytes(u)?,
            service_name: name(u)?,
            method: u.arbitrary()?,
        })
    }
}

impl<'a> Arbitrary<'a> for AuthMethod<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=6)? {
            0 => Self::None,
            1 => Self::Publickey {
                algorithm: name(u)?,
                key: bytes(u)?,
                signature: u.arbitrary()?,
            },
            2 => Self::PublickeyHostbound {
                algorithm: name(u)?,
                key: bytes(u)?,
                host_key: bytes(u)?,
                signature: u.arbitrary()?,
            },
            3 => Self::Password {
                password: bytes(u)?,
                new_password: u.arbitrary()?,
            },
            4 => Self::KeyboardInteractive {
                language_tag: bytes(u)?,
                submethods: bytes(u)?,
            },
            5 => Self::Hostbased {
                algorithm: name(u)?,
                host_key: bytes(u)?,
                client_host_name: bytes(u)?,
                client_user_name: bytes(u)?,
                signature: bytes(u)?,
            },
            _ => Self::Unknown {
                name: name_except(u, Self::NAMES)?,
                data: bytes(u)?,
            },
        })
    }
}

// Written by hand, since the derive of `arbitrary` needs std.
impl<'a> Arbitrary<'a> for GlobalRequest<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            want_reply: u.arbitrary()?,
            request: u.arbitrary()?,
        })
    }
}

impl<'a> Arbitrary<'a> for ChannelOpen<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            sender_channel: u.arbitrary()?,
            initial_window_size: u.arbitrary()?,
            maximum_packet_size: u.arbitrary()?,
            channel_type: u.arbitrary()?,
        })
    }
}

impl<'a> Arbitrary<'a> for ChannelRequest<'a> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            recipient_channel: u.arbitrary()?,
            want_reply: u.arbitrary()?,
            request: u.arbitrary()?,
        })
    }
}
