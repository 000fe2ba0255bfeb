//! A valid body for every message there is, put together by hand from the RFCs.

use ssh_proto::Role;
use ssh_proto::wire::Sink;
use ssh_testkit::raw::{Raw, key_blob, sign};

/// The seed of the key that the user logs in with.
const USER_KEY: [u8; 32] = [7; 32];
const ALGORITHM: &[u8] = b"ssh-ed25519";

/// A payload of `number` that decodes, and means something where the state gives it a meaning: for
/// channel 0, of alice, with her password or her key. `None` where no message has the number.
/// KEXINIT, NEWKEYS and the peer's half of the method depend on the exchange and are made elsewhere.
pub(super) fn valid(role: Role, number: u8, proves: bool, raw: &Raw) -> Option<Vec<u8>> {
    let mut p = vec![number];
    match number {
        1 => return Some(disconnect()),
        2 => p.put_string(b"x"),
        3 => p.put_u32(0),
        4 => {
            p.put_boolean(true);
            p.put_string(b"x");
            p.put_string(b"");
        }
        5 | 6 => p.put_string(b"ssh-userauth"),
        7 => {
            p.put_u32(1);
            p.put_string(b"ping@openssh.com");
            p.put_string(b"0");
        }
        8 | 20 | 21 | 52 | 82 => {}
        30 => p.put_string(&[9; 32]),
        31 => {
            p.put_string(&key_blob(&USER_KEY));
            p.put_string(&[9; 32]);
            p.put_string(&sign(&USER_KEY, b""));
        }
        // Of group exchange: e, the reply with f, and a request.
        32 => p.put_string(&[9; 256]),
        33 => {
            p.put_string(&key_blob(&USER_KEY));
            p.put_string(&[9; 256]);
            p.put_string(&sign(&USER_KEY, b""));
        }
        34 => {
            for bits in [2048, 2048, 8192] {
                p.put_u32(bits);
            }
        }
        50 if proves => return Some(key_proven(raw)),
        50 => return Some(password(b"secret")),
        51 => return Some(failure(false)),
        53 => {
            p.put_string(b"welcome");
            p.put_string(b"");
        }
        60 if proves => return Some(pk_ok()),
        60 => {
            p.put_string(b"new password?");
            p.put_string(b"");
        }
        61 => p.put_u32(0),
        80 => {
            p.put_string(b"x@example.com");
            p.put_boolean(true);
        }
        81 => p.put_string(b"x"),
        90 => return Some(channel_open(role)),
        91 => return Some(confirmation()),
        92 => {
            p.put_u32(0);
            p.put_u32(1);
            p.put_string(b"");
            p.put_string(b"");
        }
        93 => {
            p.put_u32(0);
            p.put_u32(1);
        }
        94 => {
            p.put_u32(0);
            p.put_string(b"x");
        }
        95 => {
            p.put_u32(0);
            p.put_u32(1);
            p.put_string(b"x");
        }
        96 | 97 | 99 | 100 => return Some(of_channel(number)),
        98 => {
            p.put_u32(0);
            if role == Role::Server {
                p.put_string(b"exec");
                p.put_boolean(true);
                p.put_string(b"true");
            } else {
                p.put_string(b"exit-status");
                p.put_boolean(false);
                p.put_u32(0);
            }
        }
        192 | 193 => p.put_string(b"x"),
        _ => return None,
    }
    Some(p)
}

pub(super) fn disconnect() -> Vec<u8> {
    let mut p = vec![1];
    p.put_u32(11);
    p.put_string(b"");
    p.put_string(b"");
    p
}

/// CHANNEL_OPEN to a client or a server, of a type that it can decide on.
pub(super) fn channel_open(role: Role) -> Vec<u8> {
    let mut p = vec![90];
    let of_client = role == Role::Client;
    p.put_string(if of_client { b"x11" } else { b"session" });
    for n in [3, 1000, 1000] {
        p.put_u32(n);
    }
    if of_client {
        p.put_string(b"::1");
        p.put_u32(1);
    }
    p
}

pub(super) fn confirmation() -> Vec<u8> {
    let mut p = vec![91];
    for n in [0, 7, 1000, 1000] {
        p.put_u32(n);
    }
    p
}

/// A message with nothing in it but the number of the channel.
pub(super) fn of_channel(number: u8) -> Vec<u8> {
    vec![number, 0, 0, 0, 0]
}

pub(super) fn failure(partial_success: bool) -> Vec<u8> {
    let mut p = vec![51];
    p.put_string(b"publickey,password");
    p.put_boolean(partial_success);
    p
}

pub(super) fn pk_ok() -> Vec<u8> {
    let mut p = vec![60];
    p.put_string(ALGORITHM);
    p.put_string(&key_blob(&USER_KEY));
    p
}

pub(super) fn password(password: &[u8]) -> Vec<u8> {
    let mut p = request(b"password");
    p.put_boolean(false);
    p.put_string(password);
    p
}

pub(super) fn key_offered() -> Vec<u8> {
    let mut p = request(b"publickey");
    p.put_boolean(false);
    p.put_string(ALGORITHM);
    p.put_string(&key_blob(&USER_KEY));
    p
}

pub(super) fn key_proven(raw: &Raw) -> Vec<u8> {
    let mut p = request(b"publickey");
    p.put_boolean(true);
    p.put_string(ALGORITHM);
    p.put_string(&key_blob(&USER_KEY));
    let mut signed = Vec::new();
    signed.put_string(&raw.session_id().unwrap_or_default());
    signed.extend_from_slice(&p);
    p.put_string(&sign(&USER_KEY, &signed));
    p
}

fn request(method: &[u8]) -> Vec<u8> {
    let mut p = vec![50];
    p.put_string(b"alice");
    p.put_string(b"ssh-connection");
    p.put_string(method);
    p
}
