//! Two connections of ours that talk to each other, while their applications do anything at all.
//!
//! ```text
//!   | config | turns | n | n bytes of policy of the client | m | m bytes of the server's | operations |
//! ```
//!
//! An operation is a call of one side's API, or moves some of what one has written to the other.
//! Unless bit 5 of `turns` lets somebody meddle with that, none of the two may accuse the other of
//! anything: whatever an application does, its connection keeps the protocol. Bits 6 and 7 part the
//! halves of the connections, and the low ones are how far both come before it begins.

use std::time::Duration;

use arbitrary::Unstructured;
use ssh_proto::error::Misuse;
use ssh_proto::message::{ChannelOpenFailureReason, DisconnectReason, Message};
use ssh_proto::{Client, Instant, Server};

use crate::bytes::finish;
use crate::policy::{AnyTicket, Policy, assert_strangers_ticket_is_refused};
use crate::roles::Driven;
use crate::side::Side;

/// More of them find nothing that fewer do not, and take longer.
const MAX_OPERATIONS: usize = 96;

/// The API of both roles, in any order, with tokens of the wrong connection.
pub fn api(data: &[u8]) {
    let [config, turns, rest @ ..] = data else {
        return;
    };
    let config = *config;
    let mut u = Unstructured::new(rest);
    let mut policy = || {
        let n = usize::from(u.arbitrary::<u8>().unwrap_or(0)).min(u.len());
        u.bytes(n).unwrap_or_default()
    };
    let policies = [policy(), policy()];
    let mut client = Side::<Client>::new(config, Policy::friendly());
    let mut server = Side::<Server>::new(config, Policy::friendly());
    let honest = turns & 0x20 == 0;
    client.peer_is_honest = honest;
    server.peer_is_honest = honest;
    if turns & 0x80 != 0 {
        client.part();
    }
    if turns & 0x40 != 0 {
        server.part();
    }
    for _ in 0..turns % 8 {
        flow(&mut client, &mut server, usize::MAX);
        flow(&mut server, &mut client, usize::MAX);
    }
    client.policy.choices = Unstructured::new(policies[0]);
    server.policy.choices = Unstructured::new(policies[1]);
    for _ in 0..MAX_OPERATIONS {
        if u.is_empty() || client.has_ended() && server.has_ended() {
            break;
        }
        let operation = u.arbitrary::<u8>().unwrap_or(0);
        match operation & 0x10 {
            0 => operate(operation, &mut client, &mut server, &mut u),
            _ => operate(operation, &mut server, &mut client, &mut u),
        }
    }
    flow(&mut client, &mut server, usize::MAX);
    flow(&mut server, &mut client, usize::MAX);
    finish(&mut client);
    finish(&mut server);
}

/// The first `most` bytes of what `near` has written arrive at `far`.
fn flow<N: Driven, F: Driven>(near: &mut Side<'_, N>, far: &mut Side<'_, F>, most: usize) {
    let output = near.peer.output();
    let n = most.min(output.len());
    far.arrive(&output[..n]);
    near.peer.consume_output(n);
    near.drive();
    far.drive();
}

fn operate<N: Driven, F: Driven>(
    operation: u8,
    near: &mut Side<'_, N>,
    far: &mut Side<'_, F>,
    u: &mut Unstructured<'_>,
) {
    match operation & 0x0f {
        0..=2 => flow(near, far, usize::MAX),
        3 => {
            let most = u.arbitrary::<u16>().unwrap_or(0).into();
            flow(near, far, most);
        }
        4 | 5 => near.act(),
        6 => near.pass_to_deadline(),
        7 => near.at(odd(near.now, u)),
        8 => near.part(),
        9 => {
            if let Some(ticket) = near.policy.tickets.pop() {
                assert_strangers_ticket_is_refused(far.send(), ticket);
            }
        }
        10 => {
            let _ = match near.policy.tickets.pop() {
                Some(AnyTicket::Open(ticket)) => {
                    let reason = ChannelOpenFailureReason::RESOURCE_SHORTAGE;
                    near.send().reject_channel(ticket, reason, "later")
                }
                Some(AnyTicket::Request(ticket)) => near.send().refuse_request(ticket),
                Some(AnyTicket::Global(ticket)) => near.send().refuse_global(ticket),
                None => Ok(()),
            };
        }
        11 if !far.peer_is_honest => {
            let n = usize::from(u.arbitrary::<u8>().unwrap_or(0)).min(u.len());
            far.arrive(u.bytes(n).unwrap_or_default());
            far.drive();
        }
        12 => {
            near.closed = true;
            near.drive();
        }
        13 => look(near, far),
        14 if !far.peer_is_honest => {
            let n = usize::from(u.arbitrary::<u8>().unwrap_or(0)).min(u.len());
            let mut made = Unstructured::new(u.bytes(n).unwrap_or_default());
            if let Ok(message) = made.arbitrary::<Message<'_>>() {
                let mut payload = Vec::new();
                message.encode(&mut payload);
                let _ = near.send().fuzz_send(&payload);
            }
        }
        _ => match u.arbitrary::<u8>().unwrap_or(0) % 8 {
            0 => near
                .send()
                .disconnect(DisconnectReason::BY_APPLICATION, "bye"),
            1 => near.policy.hoards = !near.policy.hoards,
            2 => near.chunk = 1 + usize::from(u.arbitrary::<u8>().unwrap_or(0)),
            _ => {
                let _ = near.send().rekey();
            }
        },
    }
}

/// An instant that no clock would give: earlier, the same, a little later, much later.
fn odd(now: Instant, u: &mut Unstructured<'_>) -> Instant {
    let by = Duration::from_millis(u.arbitrary::<u32>().unwrap_or(0).into());
    let now = now.since_epoch();
    Instant::new(match u.arbitrary::<u8>().unwrap_or(0) % 4 {
        0 => now.saturating_sub(by),
        1 => Duration::ZERO,
        2 => now.saturating_add(by),
        _ => now.saturating_add(by * 1000),
    })
}

/// What can be asked changes nothing, and what belongs to the other connection is not found or is
/// another one.
fn look<N: Driven, F: Driven>(near: &mut Side<'_, N>, far: &Side<'_, F>) {
    let ids: Vec<_> = near.peer.channel_ids().collect();
    assert!(ids.len() <= near.peer.channels());
    let had_output = near.peer.has_output();
    near.peer.consume_output(0);
    near.peer.give_back();
    assert!(near.peer.has_output() || !had_output);
    for id in &far.policy.channels {
        match near.peer.channel(*id).map(|channel| channel.sendable()) {
            Ok(sendable) => assert!(ids.contains(id) && sendable <= near.policy.window),
            Err(error) => assert!(matches!(error, Misuse::NoSuchChannel | Misuse::Ended)),
        }
    }
    while near.peer.poll_writable().is_some() {}
    assert!(!near.peer.has_ended() || !near.peer.is_waiting_for_answer());
}
