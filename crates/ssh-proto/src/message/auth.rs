//! Messages of authentication: RFC 4252, RFC 4256 and OpenSSH's host-bound public keys.
//!
//! Passwords and answers are not shown by `Debug`, not even their length.

use core::fmt;

use super::Body;
use super::field::{Blob, Boolean, Bytes, Kind, Name, Redacted, Secret, Text, wire_struct};
use super::list::List;
use super::table::Wire;
use crate::escape::Escaped;
use crate::wire::{NameList, Reader, Sink, WireError};

/// Asks to be let in (RFC 4252 section 5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UserauthRequest<'a> {
    /// Who. The RFC wants UTF-8; what came may be anything.
    pub user_name: &'a [u8],
    /// The service to start after authentication: `ssh-connection`.
    pub service_name: &'a str,
    /// How.
    pub method: AuthMethod<'a>,
}

/// The method of a [`UserauthRequest`] with its fields.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthMethod<'a> {
    /// `none`: asks which methods there are (RFC 4252 section 5.2).
    None,
    /// `publickey`: asks whether a key would do, or proves its possession (RFC 4252 section 7).
    Publickey {
        /// The signature algorithm.
        algorithm: &'a str,
        /// The public key blob, or a certificate.
        key: &'a [u8],
        /// The proof. Without it, it is a question that [`UserauthPkOk`] answers.
        signature: Option<&'a [u8]>,
    },
    /// `publickey-hostbound-v00@openssh.com`: the same with the server's host key in what is
    /// signed (OpenSSH PROTOCOL 3.1).
    PublickeyHostbound {
        /// The signature algorithm.
        algorithm: &'a str,
        /// The public key blob, or a certificate.
        key: &'a [u8],
        /// The host key that the client saw during key exchange.
        host_key: &'a [u8],
        /// The proof. Without it, it is a question that [`UserauthPkOk`] answers.
        signature: Option<&'a [u8]>,
    },
    /// `password` (RFC 4252 section 8).
    Password {
        /// The password, UTF-8. The old one if there is a new one.
        password: &'a [u8],
        /// The password to be set instead.
        new_password: Option<&'a [u8]>,
    },
    /// `keyboard-interactive` (RFC 4256 section 3.1).
    KeyboardInteractive {
        /// Deprecated; empty.
        language_tag: &'a [u8],
        /// Hints for the server, separated by commas.
        submethods: &'a [u8],
    },
    /// `hostbased`: the client's host vouches for the user (RFC 4252 section 9).
    Hostbased {
        /// The signature algorithm of the client's host key.
        algorithm: &'a str,
        /// The public host key and certificates of the client's host.
        host_key: &'a [u8],
        /// The client's host name, fully qualified.
        client_host_name: &'a [u8],
        /// The user name on the client's host.
        client_user_name: &'a [u8],
        /// Made with the client's host key.
        signature: &'a [u8],
    },
    /// A method that is not known here. Not an error: the server refuses the attempt.
    Unknown {
        /// The name; none of the known ones.
        name: &'a str,
        /// What follows the name, to the end of the packet.
        data: &'a [u8],
    },
}

const PUBLICKEY: &str = "publickey";
const PUBLICKEY_HOSTBOUND: &str = "publickey-hostbound-v00@openssh.com";

impl<'a> AuthMethod<'a> {
    /// The names that are known here.
    pub const NAMES: &'static [&'static str] = &[
        "none",
        PUBLICKEY,
        PUBLICKEY_HOSTBOUND,
        "password",
        "keyboard-interactive",
        "hostbased",
    ];

    /// The name on the wire.
    pub const fn name(&self) -> &'a str {
        match self {
            Self::None => "none",
            Self::Publickey { .. } => PUBLICKEY,
            Self::PublickeyHostbound { .. } => PUBLICKEY_HOSTBOUND,
            Self::Password { .. } => "password",
            Self::KeyboardInteractive { .. } => "keyboard-interactive",
            Self::Hostbased { .. } => "hostbased",
            Self::Unknown { name, .. } => name,
        }
    }

    fn read(name: &'a str, r: &mut Reader<'a>) -> Result<Self, WireError> {
        Ok(match name {
            "none" => Self::None,
            PUBLICKEY => {
                let signed = Boolean::read(r)?;
                Self::Publickey {
                    algorithm: Name::read(r)?,
                    key: r.string()?,
                    signature: signed.then(|| r.string()).transpose()?,
                }
            }
            PUBLICKEY_HOSTBOUND => {
                let signed = Boolean::read(r)?;
                Self::PublickeyHostbound {
                    algorithm: Name::read(r)?,
                    key: r.string()?,
                    host_key: r.string()?,
                    signature: signed.then(|| r.string()).transpose()?,
                }
            }
            "password" => {
                let change = r.boolean()?;
                Self::Password {
                    password: r.string()?,
                    new_password: change.then(|| r.string()).transpose()?,
                }
            }
            "keyboard-interactive" => Self::KeyboardInteractive {
                language_tag: r.string()?,
                submethods: r.string()?,
            },
            "hostbased" => Self::Hostbased {
                algorithm: Name::read(r)?,
                host_key: r.string()?,
                client_host_name: r.string()?,
                client_user_name: r.string()?,
                signature: r.string()?,
            },
            name => Self::Unknown {
                name,
                data: r.rest(),
            },
        })
    }

    /// The signature at the end, for the methods that have one.
    const fn signature(&self) -> Option<&'a [u8]> {
        match self {
            Self::Publickey { signature, .. } | Self::PublickeyHostbound { signature, .. } => {
                *signature
            }
            Self::Hostbased { signature, .. } => Some(signature),
            _ => None,
        }
    }

    /// Everything but the signature; `signed` is the flag that announces it.
    fn write_unsigned<S: Sink + ?Sized>(&self, out: &mut S, signed: bool) {
        match self {
            Self::None => {}
            Self::Publickey {
                algorithm,
                key,
                signature: _,
            } => {
                out.put_boolean(signed);
                out.put_string(algorithm.as_bytes());
                out.put_string(key);
            }
            Self::PublickeyHostbound {
                algorithm,
                key,
                host_key,
                signature: _,
            } => {
                out.put_boolean(signed);
                out.put_string(algorithm.as_bytes());
                out.put_string(key);
                out.put_string(host_key);
            }
            Self::Password {
                password,
                new_password,
            } => {
                out.put_boolean(new_password.is_some());
                out.put_string(password);
                if let Some(new_password) = new_password {
                    out.put_string(new_password);
                }
            }
            Self::KeyboardInteractive {
                language_tag,
                submethods,
            } => {
                out.put_string(language_tag);
                out.put_string(submethods);
            }
            Self::Hostbased {
                algorithm,
                host_key,
                client_host_name,
                client_user_name,
                signature: _,
            } => {
                out.put_string(algorithm.as_bytes());
                out.put_string(host_key);
                out.put_string(client_host_name);
                out.put_string(client_user_name);
            }
            Self::Unknown { data, .. } => out.put(data),
        }
    }
}

impl UserauthRequest<'_> {
    /// Writes what a signature covers in `publickey`, its host-bound form and `hostbased`: the
    /// session identifier, then this message up to the signature. Whether a signature is set
    /// here makes no difference.
    //= rfc4252#section-7
    //# The value of 'signature' is a signature by the corresponding private key over the
    //# following data
    pub fn encode_signed_data<S: Sink + ?Sized>(&self, session_identifier: &[u8], out: &mut S) {
        out.put_string(session_identifier);
        out.put_u8(Self::NUMBER);
        self.encode_unsigned(out, true);
    }

    fn encode_unsigned<S: Sink + ?Sized>(&self, out: &mut S, signed: bool) {
        out.put_string(self.user_name);
        out.put_string(self.service_name.as_bytes());
        out.put_string(self.method.name().as_bytes());
        self.method.write_unsigned(out, signed);
    }
}

impl<'a> Body<'a> for UserauthRequest<'a> {
    fn decode_body(r: &mut Reader<'a>) -> Result<Self, WireError> {
        let user_name = r.string()?;
        let service_name = Name::read(r)?;
        let method = Name::read(r)?;
        Ok(Self {
            user_name,
            service_name,
            method: AuthMethod::read(method, r)?,
        })
    }

    fn encode_body<S: Sink + ?Sized>(&self, out: &mut S) {
        let signature = self.method.signature();
        self.encode_unsigned(out, signature.is_some());
        if let Some(signature) = signature {
            out.put_string(signature);
        }
    }
}

impl fmt::Debug for UserauthRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserauthRequest")
            .field("user_name", &Escaped(self.user_name))
            .field("service_name", &self.service_name)
            .field("method", &self.method)
            .finish()
    }
}

impl fmt::Debug for AuthMethod<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Publickey {
                algorithm,
                key,
                signature,
            } => f
                .debug_struct("Publickey")
                .field("algorithm", algorithm)
                .field("key", &Blob::show(key))
                .field("signature", &signature.as_ref().map(Blob::show))
                .finish(),
            Self::PublickeyHostbound {
                algorithm,
                key,
                host_key,
                signature,
            } => f
                .debug_struct("PublickeyHostbound")
                .field("algorithm", algorithm)
                .field("key", &Blob::show(key))
                .field("host_key", &Blob::show(host_key))
                .field("signature", &signature.as_ref().map(Blob::show))
                .finish(),
            Self::Password {
                password,
                new_password,
            } => f
                .debug_struct("Password")
                .field("password", &Secret::show(password))
                .field("new_password", &new_password.as_ref().map(Secret::show))
                .finish(),
            Self::KeyboardInteractive {
                language_tag,
                submethods,
            } => f
                .debug_struct("KeyboardInteractive")
                .field("language_tag", &Text::show(language_tag))
                .field("submethods", &Text::show(submethods))
                .finish(),
            Self::Hostbased {
                algorithm,
                host_key,
                client_host_name,
                client_user_name,
                signature,
            } => f
                .debug_struct("Hostbased")
                .field("algorithm", algorithm)
                .field("host_key", &Blob::show(host_key))
                .field("client_host_name", &Text::show(client_host_name))
                .field("client_user_name", &Text::show(client_user_name))
                .field("signature", &Blob::show(signature))
                .finish(),
            Self::Unknown { name, data } => f
                .debug_struct("Unknown")
                .field("name", &Name::show(name))
                .field("data", &Bytes(data.len()))
                .finish(),
        }
    }
}

wire_struct! {
    /// Refuses an attempt (RFC 4252 section 5.1).
    UserauthFailure<'a> {
        /// The methods that may bring the client further.
        authentications_that_can_continue: NameList<'a> = Names,
        /// Whether the attempt succeeded but was not enough.
        partial_success: bool = Boolean,
    }
}

wire_struct! {
    /// The user is let in (RFC 4252 section 5.1).
    UserauthSuccess;
}

wire_struct! {
    /// Text to be shown before authentication (RFC 4252 section 5.4).
    UserauthBanner<'a> {
        /// For a person to read, lines separated by CR LF.
        message: &'a [u8] = Text,
        /// Language of `message` (RFC 3066).
        language_tag: &'a [u8] = Text,
    }
}

wire_struct! {
    /// The key would do (RFC 4252 section 7).
    UserauthPkOk<'a> {
        /// The algorithm that was in the request.
        algorithm: &'a str = Name,
        /// The key that was in the request.
        key: &'a [u8] = Blob,
    }
}

wire_struct! {
    /// The password has expired (RFC 4252 section 8).
    UserauthPasswdChangereq<'a> {
        /// For a person to read.
        prompt: &'a [u8] = Text,
        /// Language of `prompt` (RFC 3066).
        language_tag: &'a [u8] = Text,
    }
}

wire_struct! {
    /// Questions for the user (RFC 4256 section 3.2).
    UserauthInfoRequest<'a> {
        /// Title of the dialog.
        name: &'a [u8] = Text,
        /// Text above the prompts.
        instruction: &'a [u8] = Text,
        /// Deprecated; empty.
        language_tag: &'a [u8] = Text,
        /// Any number of prompts; zero is allowed.
        prompts: List<'a, Prompt<'a>> = Counted,
    }
}

wire_struct! {
    /// One question of a [`UserauthInfoRequest`].
    Prompt<'a> {
        /// The question, never empty where the server keeps to the RFC.
        prompt: &'a [u8] = Text,
        /// Whether the answer may be shown while it is typed.
        echo: bool = Boolean,
    }
}

wire_struct! {
    /// The user's answers (RFC 4256 section 3.4).
    UserauthInfoResponse<'a> {
        /// As many as there were prompts, in their order.
        responses: List<'a, Response<'a>> = Counted,
    }
}

/// One answer of a [`UserauthInfoResponse`]: a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Response<'a>(
    /// UTF-8 as the user typed it.
    pub &'a [u8],
);

impl fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Response").field(&Redacted).finish()
    }
}

impl<'a> Body<'a> for Response<'a> {
    fn decode_body(r: &mut Reader<'a>) -> Result<Self, WireError> {
        r.string().map(Self)
    }

    fn encode_body<S: Sink + ?Sized>(&self, out: &mut S) {
        out.put_string(self.0);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// RFC 4252 section 7: the session identifier as a string, then the request with TRUE.
    #[test]
    fn a7_the_signature_covers_the_session_and_the_whole_request() {
        let expected = b"\0\0\0\x02id\x32\0\0\0\x01u\0\0\0\x0essh-connection\
            \0\0\0\x09publickey\x01\0\0\0\x0bssh-ed25519\0\0\0\x04blob";
        for signature in [None, Some(&b"sig"[..])] {
            let request = UserauthRequest {
                user_name: b"u",
                service_name: "ssh-connection",
                method: AuthMethod::Publickey {
                    algorithm: "ssh-ed25519",
                    key: b"blob",
                    signature,
                },
            };
            let mut out = Vec::new();
            request.encode_signed_data(b"id", &mut out);
            assert_eq!(out, expected);
        }
    }

    /// RFC 4252 section 9 has no flag before the algorithm.
    #[test]
    fn hostbased_signs_everything_before_the_signature() {
        let request = UserauthRequest {
            user_name: b"u",
            service_name: "s",
            method: AuthMethod::Hostbased {
                algorithm: "a",
                host_key: b"k",
                client_host_name: b"h",
                client_user_name: b"c",
                signature: b"sig",
            },
        };
        let mut signed = Vec::new();
        request.encode_signed_data(b"id", &mut signed);
        let mut message = Vec::new();
        request.encode(&mut message);
        assert_eq!(
            signed,
            [
                b"\0\0\0\x02id",
                message.strip_suffix(b"\0\0\0\x03sig").unwrap()
            ]
            .concat()
        );
    }
}
