//! Seeds that take every kind of message past the gate of a connection, in every state in which it
//! may come: see [`reach`](crate::reach).

use std::collections::BTreeSet;

use arbitrary::Unstructured;
use ssh_proto::message::number::SSH_MSG_NEWKEYS;
use ssh_proto::message::{Message, TABLE};
use ssh_proto::random::Random as _;
use ssh_proto::{Client, Role, Server};

use crate::random::Fixed;
use crate::reach::{Cell, reachable, reached};
use crate::seeds::Seed;
use crate::valid::Pair;
use crate::{Target, client_valid, server_valid};

/// What leads to the states: the policy, a phase and operations, see `Pair::operate`.
const WAYS: &[(&str, &[u8])] = &[
    ("start", &[0, 5]),
    ("kex", &[0, 0, 5]),
    ("keys", &[0, 0, 5, 4]),
    ("service", &[0, 1]),
    ("service_late", &[0, 0, 5, 4, 4]),
    ("auth", &[0, 2]),
    // The server rejects what comes.
    ("auth_rejected", &[8, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 4]),
    // The server does not answer.
    ("auth_silence", &[0, 6, 4, 4]),
    ("connected", &[0, 3]),
    ("rekey", &[0, 4, 4]),
    ("rekey_attacker", &[0, 3, 7, 2, 0, 0, 0, 0, 5]),
    ("rekey_keys", &[0, 4, 4, 4]),
    ("rekey_attacker_keys", &[0, 3, 7, 2, 0, 0, 0, 0, 5, 4]),
];

/// One for every cell that is not reached by the others.
pub(crate) fn all(seeds: &mut Vec<Seed>) {
    disconnect_for_newkeys(seeds);
    let payloads = payloads();
    for (name, target, role) in [
        ("client_valid", client_valid as Target, Role::Client),
        ("server_valid", server_valid, Role::Server),
    ] {
        let mut missing = reachable(role);
        let reachable = missing.len();
        for (name_of_way, way) in WAYS {
            for payload in &payloads {
                // Nothing that was seen already need be tried again.
                let number = payload[0];
                if !missing.iter().any(|cell| cell.2 == number) {
                    continue;
                }
                let [low, high] = (payload.len() as u16).to_le_bytes();
                for config in [0, 64] {
                    let send = [3, low, high];
                    let bytes = [&[config], *way, &send[..], payload, &[5, 4]].concat();
                    let found = reached(target, [bytes.clone()]);
                    let found: BTreeSet<Cell> = missing.intersection(&found).cloned().collect();
                    if !found.is_empty() {
                        missing.retain(|cell| !found.contains(cell));
                        let nth = reachable - missing.len();
                        seeds.push((name, format!("cell_{name_of_way}_{number}_{nth}"), bytes));
                    }
                }
            }
        }
    }
}

/// The recorded beginning of a session, up to NEWKEYS, and a DISCONNECT in its place: in clear,
/// since keys are not in use.
fn disconnect_for_newkeys(seeds: &mut Vec<Seed>) {
    const DISCONNECT: &[u8] = &[
        0, 0, 0, 20, 6, 1, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let Some(pair) = Pair::<Client, Server>::play(&[0, 0, 3]) else {
        return;
    };
    let sent = &pair.sent;
    let mut at = sent
        .iter()
        .position(|b| *b == b'\n')
        .map_or(0, |end| end + 1);
    while let Some([a, b, c, d, _, number]) = sent.get(at..).and_then(|rest| rest.first_chunk()) {
        if *number == SSH_MSG_NEWKEYS {
            let stream = [&[0, 0][..], &sent[..at], DISCONNECT].concat();
            seeds.push(("client_bytes", "cell_keys_1".into(), stream));
            return;
        }
        at += 4 + u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    }
}

/// Messages of every kind with every name.
fn payloads() -> Vec<Vec<u8>> {
    let mut random = Fixed(2);
    let mut kinds = BTreeSet::new();
    let mut payloads = Vec::new();
    for _ in 0..40_000 {
        let mut bytes = vec![0; 60];
        let _ = random.fill(&mut bytes);
        let Ok(message) = Unstructured::new(&bytes).arbitrary::<Message<'_>>() else {
            continue;
        };
        let name = match &message {
            Message::UserauthRequest(message) => message.method.name(),
            Message::GlobalRequest(message) => message.request.name(),
            Message::ChannelOpen(message) => message.channel_type.name(),
            Message::ChannelRequest(message) => message.request.name(),
            _ => "",
        };
        let name = if name.ends_with("example.com") || name.len() > 40 {
            "?"
        } else {
            name
        };
        let row = TABLE.iter().position(|row| *row == message.info());
        if kinds.insert((row, name.to_owned())) {
            let mut payload = Vec::new();
            message.encode(&mut payload);
            payloads.push(payload);
        }
    }
    payloads
}
