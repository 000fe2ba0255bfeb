//! Connections that are fed any bytes.
//!
//! ```text
//!   | config | n | n bytes of policy | the stream |
//! ```
//!
//! The stream of a recorded session is taken to its end, since randomness is fixed: so the bytes
//! of the policy, of which nothing is encrypted, lead anywhere in it.

use std::time::Duration;

use ssh_proto::{Client, Server};

use crate::policy::Policy;
use crate::roles::Driven;
use crate::side::Side;

/// The least that a run reads of its input.
pub(crate) struct Header<'u> {
    pub(crate) config: u8,
    pub(crate) policy: &'u [u8],
    pub(crate) rest: &'u [u8],
}

impl<'u> Header<'u> {
    pub(crate) fn read(data: &'u [u8]) -> Option<Self> {
        let [config, n, rest @ ..] = data else {
            return None;
        };
        let (policy, rest) = rest.split_at(rest.len().min(usize::from(*n)));
        Some(Self {
            config: *config,
            policy,
            rest,
        })
    }
}

/// A client that is fed any bytes.
pub fn client_bytes(data: &[u8]) {
    feed::<Client>(data);
}

/// A server that is fed any bytes.
pub fn server_bytes(data: &[u8]) {
    feed::<Server>(data);
}

/// Both roles before the first packet: the same bytes, in one piece and byte by byte.
pub fn identification(data: &[u8]) {
    identify::<Client>(data);
    identify::<Server>(data);
}

fn identify<P: Driven>(data: &[u8]) {
    let run = |chunk| {
        let mut side = Side::<P>::new(0, Policy::friendly());
        side.log = Some(Vec::new());
        side.chunk = chunk;
        side.arrive(data);
        side.drive();
        side.closed = true;
        side.drive();
        let peer = side.peer.peer_identification().cloned();
        if let Some(peer) = &peer {
            assert!(peer.as_bytes().starts_with(b"SSH-"), "{peer:?}");
            // 255 bytes with the LF; the CR before it may be missing.
            assert!(peer.as_bytes().len() <= 254, "{peer:?}");
        }
        let output = side.take();
        (side.log, peer, output)
    };
    assert_eq!(run(usize::MAX), run(1));
}

fn feed<P: Driven>(data: &[u8]) {
    let Some(header) = Header::read(data) else {
        return;
    };
    let mut side = Side::<P>::new(header.config, Policy::new(header.policy));
    side.drive();
    let mut rest = header.rest;
    while !side.has_ended() {
        let choice = side.policy.choose(24);
        let n = match choice {
            0 => rest.len(),
            1..=9 => 1 << (choice - 1),
            10..=14 => {
                side.act();
                0
            }
            15 | 16 => {
                side.pass_to_deadline();
                0
            }
            17 | 18 => {
                side.pass(Duration::from_millis(
                    1 << (side.now.since_epoch().as_secs() % 20),
                ));
                0
            }
            19 => {
                side.chunk = 1 + usize::from(side.policy.choose(255));
                0
            }
            // Output is not always written at once.
            _ => {
                side.take();
                0
            }
        };
        let (now, later) = rest.split_at(n.min(rest.len()));
        rest = later;
        side.arrive(now);
        side.drive();
        if rest.is_empty() && side.policy.choices.is_empty() {
            break;
        }
        if choice == 0 && !rest.is_empty() {
            break;
        }
    }
    finish(&mut side);
}

/// The transport ends, and with it the connection, at once or when a decision is due; nothing
/// happens after that.
pub(crate) fn finish<P: Driven>(side: &mut Side<'_, P>) {
    side.take();
    side.drive();
    side.closed = true;
    for _ in 0..4 {
        side.drive();
        side.take();
        if side.has_ended() {
            break;
        }
        side.pass_to_deadline();
    }
    if side.has_ended() {
        side.arrive(b"SSH-2.0-more\r\n");
        side.pass(Duration::from_secs(100));
        assert!(side.take().is_empty(), "output after the end");
    }
}
