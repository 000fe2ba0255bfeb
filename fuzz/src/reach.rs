//! Which messages have gone past the gate of a connection, in each of its states: what the corpora
//! of the targets of connections are held to.

use std::collections::BTreeSet;

use ssh_proto::Role;
use ssh_proto::fuzzing::{Gate, Judged, record};
use ssh_proto::message::{
    AuthMethod, ChannelOpenType, ChannelRequestType, Context, GlobalRequestType, Message, TABLE,
};

use crate::Target;

/// The role that received it, its state, and what it was: a number, and where a name says more, the
/// name.
pub type Cell = (&'static str, &'static str, u8, String);

/// What no target reaches, because the attacker has the keys of one of ours: it sends NEWKEYS in one
/// piece with what stands before it (as a server) or behind it (as a client).
pub const OUT_OF_REACH: &[(&str, &str, u8)] = &[
    ("client", "rekey, keys", 1),
    ("client", "rekey, keys", 2),
    ("client", "rekey, keys", 3),
    ("client", "rekey, keys", 4),
    ("server", "service", 1),
    ("server", "service", 2),
    ("server", "service", 3),
    ("server", "service", 4),
];

/// What the inputs reach in this target.
pub fn reached(target: Target, inputs: impl IntoIterator<Item = Vec<u8>>) -> BTreeSet<Cell> {
    let mut reached = BTreeSet::new();
    for input in inputs {
        for Judged { gate, payload } in record(|| target(&input)) {
            reached.extend(cells(gate, &payload));
        }
    }
    reached
}

/// What can be reached: every number that the gate accepts, in every state, and when connected
/// every name of a channel, a request, and an authentication method.
pub fn reachable(role: Role) -> BTreeSet<Cell> {
    let mut cells = BTreeSet::new();
    for gate in Gate::all(role) {
        for row in TABLE.iter().filter(|row| gate.accepts(row.number)) {
            let mut cell = |name: &str| {
                cells.insert((role_name(role), gate.state(), row.number, name.to_owned()));
            };
            cell("");
            let names = match row.number {
                50 => AuthMethod::NAMES,
                80 => GlobalRequestType::NAMES,
                90 => ChannelOpenType::NAMES,
                98 => ChannelRequestType::NAMES,
                _ => continue,
            };
            names.iter().copied().chain(["unknown"]).for_each(&mut cell);
        }
    }
    cells
}

fn cells(gate: Gate, payload: &[u8]) -> Vec<Cell> {
    let Some(number) = payload.first().copied().filter(|n| gate.accepts(*n)) else {
        return Vec::new();
    };
    let name = match Message::decode(payload, Context::NONE) {
        Ok(Message::UserauthRequest(message)) => known(message.method.name(), AuthMethod::NAMES),
        Ok(Message::GlobalRequest(message)) => {
            known(message.request.name(), GlobalRequestType::NAMES)
        }
        Ok(Message::ChannelOpen(message)) => {
            known(message.channel_type.name(), ChannelOpenType::NAMES)
        }
        Ok(Message::ChannelRequest(message)) => {
            known(message.request.name(), ChannelRequestType::NAMES)
        }
        _ => None,
    };
    let cell = |name: &str| {
        (
            role_name(gate.role()),
            gate.state(),
            number,
            name.to_owned(),
        )
    };
    name.iter().copied().chain([""]).map(cell).collect()
}

fn known(name: &str, names: &[&'static str]) -> Option<&'static str> {
    let known = names.iter().find(|known| **known == name);
    Some(known.copied().unwrap_or("unknown"))
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Server => "server",
    }
}
