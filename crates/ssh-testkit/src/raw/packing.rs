//! Compression of [`Raw`](super::Raw), by an implementation of others (zlib-rs).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use ssh_proto::Role;
use ssh_proto::message::number::{SSH_MSG_NEWKEYS, SSH_MSG_USERAUTH_SUCCESS};

/// The most that one packet may inflate to.
const MOST: usize = 300_000;

/// The streams of both directions, as far as they have begun.
pub(super) struct Packing {
    sending: Direction<Compress>,
    receiving: Direction<Decompress>,
}

struct Direction<S> {
    /// What was agreed: the one name that is offered.
    method: String,
    authenticated: bool,
    stream: Option<S>,
}

impl<S> Direction<S> {
    const fn new() -> Self {
        Self {
            method: String::new(),
            authenticated: false,
            stream: None,
        }
    }

    /// A message has gone by with which a stream may begin, or begin anew.
    fn follow(&mut self, number: u8, offered: &str, fresh: impl FnOnce() -> S) {
        let begins = match number {
            SSH_MSG_NEWKEYS => {
                offered.clone_into(&mut self.method);
                self.method == "zlib" || self.method == "zlib@openssh.com" && self.authenticated
            }
            SSH_MSG_USERAUTH_SUCCESS => {
                self.authenticated = true;
                self.method == "zlib@openssh.com" && self.stream.is_none()
            }
            _ => return,
        };
        if begins {
            self.stream = Some(fresh());
        } else if number == SSH_MSG_NEWKEYS {
            self.stream = None;
        }
    }
}

impl Packing {
    pub(super) const fn new() -> Self {
        Self {
            sending: Direction::new(),
            receiving: Direction::new(),
        }
    }

    /// What goes into a packet in place of `payload`.
    pub(super) fn pack(&mut self, payload: &[u8], flush: FlushCompress) -> Vec<u8> {
        let Some(stream) = &mut self.sending.stream else {
            return payload.to_vec();
        };
        let mut packed = vec![0; 2 * payload.len() + 200];
        let before = stream.total_out();
        stream
            .compress(payload, &mut packed, flush)
            .expect("compressed");
        packed.truncate(usize::try_from(stream.total_out() - before).expect("small"));
        packed
    }

    /// What has come in a packet as `payload`.
    pub(super) fn unpack(&mut self, payload: Vec<u8>) -> Vec<u8> {
        let Some(stream) = &mut self.receiving.stream else {
            return payload;
        };
        let mut unpacked = vec![0; MOST];
        let before = (stream.total_in(), stream.total_out());
        let status = stream.decompress(&payload, &mut unpacked, FlushDecompress::Sync);
        assert_ne!(status.expect("a stream"), Status::StreamEnd);
        assert_eq!(stream.total_in() - before.0, payload.len() as u64);
        unpacked.truncate(usize::try_from(stream.total_out() - before.1).expect("small"));
        assert!(!unpacked.is_empty() && unpacked.len() < MOST);
        unpacked
    }

    /// A message was sent by `role`, which is its own.
    pub(super) fn sent(&mut self, payload: &[u8], role: Role, offered: &[String; 10]) {
        if payload.first() == Some(&SSH_MSG_USERAUTH_SUCCESS) {
            self.receiving
                .follow(payload[0], "", || Decompress::new(true));
        }
        let offered = &offered[if role == Role::Client { 6 } else { 7 }];
        let number = payload.first().copied().unwrap_or_default();
        let fresh = || Compress::new(Compression::new(6), true);
        self.sending.follow(number, offered, fresh);
    }

    /// A message was received by `role`.
    pub(super) fn received(&mut self, payload: &[u8], role: Role, offered: &[String; 10]) {
        if payload.first() == Some(&SSH_MSG_USERAUTH_SUCCESS) {
            let fresh = || Compress::new(Compression::new(6), true);
            self.sending.follow(payload[0], "", fresh);
        }
        let offered = &offered[if role == Role::Client { 7 } else { 6 }];
        let number = payload.first().copied().unwrap_or_default();
        self.receiving
            .follow(number, offered, || Decompress::new(true));
    }
}
