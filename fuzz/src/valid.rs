//! Connections whose peer has gone through the key exchange honestly and then sends anything.
//!
//! ```text
//!   | config | n | n bytes of policy | phase | operations |
//! ```
//!
//! Two connections talk to each other in memory up to the phase. Then operations put messages,
//! valid ones or any bytes, into the packets of one of them, and the other one has to live with
//! it. Both are held to everything that holds of a connection.

use std::mem;
use std::time::Duration;

use arbitrary::Unstructured;
use ssh_proto::message::Message;
use ssh_proto::{Client, Server};

use crate::bytes::{Header, finish};
use crate::policy::{Policy, assert_strangers_ticket_is_refused};
use crate::roles::Driven;
use crate::side::Side;

/// More of them find nothing that fewer do not, and take longer.
const MAX_OPERATIONS: usize = 64;

/// A client whose server sends any messages.
pub fn client_valid(data: &[u8]) {
    run::<Client, Server>(data);
}

/// A server whose client sends any messages.
pub fn server_valid(data: &[u8]) {
    run::<Server, Client>(data);
}

fn run<V: Driven, A: Driven>(data: &[u8]) {
    if let Some(mut pair) = Pair::<V, A>::play(data) {
        finish(&mut pair.victim);
    }
}

/// The connection under test and the one that attacks it.
pub(crate) struct Pair<'u, V: Driven, A: Driven> {
    pub(crate) victim: Side<'u, V>,
    pub(crate) attacker: Side<'static, A>,
    /// Everything that the victim was sent.
    pub(crate) sent: Vec<u8>,
    /// What the attacker has written and nobody has delivered.
    kept_back: Vec<u8>,
}

impl<'u, V: Driven, A: Driven> Pair<'u, V, A> {
    pub(crate) fn new(config: u8) -> Self {
        Self {
            victim: Side::new(config, Policy::friendly()),
            attacker: Side::new(config, Policy::friendly()),
            sent: Vec::new(),
            kept_back: Vec::new(),
        }
    }

    /// Does what the input says, `None` if it says nothing.
    pub(crate) fn play(data: &'u [u8]) -> Option<Self> {
        let header = Header::read(data)?;
        let mut u = Unstructured::new(header.rest);
        let mut pair = Self::new(header.config);
        pair.reach(u.arbitrary::<u8>().ok()? % 7);
        pair.victim.policy.choices = Unstructured::new(header.policy);
        pair.attacker.policy.hoards = true;
        for _ in 0..MAX_OPERATIONS {
            if u.is_empty() || pair.victim.has_ended() {
                break;
            }
            pair.operate(&mut u);
        }
        pair.deliver();
        Some(pair)
    }

    /// 0: nothing was sent. 1: the victim has keys. 2: authentication has begun. 3: connected, with
    /// a channel. 4: the victim has begun to exchange keys once more. 5: the victim knows who the
    /// other one is, and its KEXINIT was lost. 6: as 2, and the attacker decides nothing any more.
    fn reach(&mut self, phase: u8) {
        if phase == 5 {
            let mut output = self.attacker.take();
            let line = output.iter().position(|b| *b == b'\n');
            output.truncate(line.map_or(0, |end| end + 1));
            return self.hand_over(&output);
        }
        for _ in 0..20 {
            let there = match phase {
                0 => true,
                1 => self.victim.peer.session_id().is_some(),
                2 | 6 => self.attacker.peer.session_id().is_some(),
                _ => !self.victim.policy.channels.is_empty(),
            };
            if there {
                break;
            }
            self.turn();
        }
        if phase == 6 {
            // Whatever it is asked next, it lets go of the token.
            self.attacker.policy.choices = Unstructured::new(&[5; 32]);
        } else if phase >= 3 {
            for _ in 0..3 {
                self.turn();
            }
        }
        if phase == 4 {
            let _ = self.victim.send().rekey();
        }
    }

    /// Each takes what the other one has sent.
    pub(crate) fn turn(&mut self) {
        let output = self.victim.take();
        self.attacker.arrive(&output);
        self.attacker.drive();
        self.deliver();
    }

    fn deliver(&mut self) {
        let mut output = mem::take(&mut self.kept_back);
        output.append(&mut self.attacker.take());
        self.hand_over(&output);
    }

    fn hand_over(&mut self, output: &[u8]) {
        self.sent.extend_from_slice(output);
        self.victim.arrive(output);
        self.victim.drive();
    }

    fn operate(&mut self, u: &mut Unstructured<'_>) {
        match u.arbitrary::<u8>().unwrap_or(0) % 11 {
            0..=2 => self.send_message(u),
            3 => {
                let n = usize::from(u.arbitrary::<u16>().unwrap_or(0)).min(u.len());
                let payload = u.bytes(n).unwrap_or_default();
                let _ = self.attacker.send().fuzz_send(payload);
            }
            4 => self.turn(),
            5 => self.deliver(),
            6 => self.victim.act(),
            7 => {
                let choices: [u8; 5] = u.arbitrary().unwrap_or_default();
                let channels = mem::take(&mut self.attacker.policy.channels);
                let mut policy = Policy::new(&choices);
                policy.channels = channels;
                policy.compresses = self.attacker.policy.compresses;
                policy.act(self.attacker.send());
                self.attacker.policy.channels = policy.channels;
            }
            8 => match u.arbitrary::<u8>().unwrap_or(0) % 4 {
                0 => self.victim.pass_to_deadline(),
                n => self.victim.pass(Duration::from_secs(1 << (4 * n))),
            },
            9 => {
                let mut output = mem::take(&mut self.kept_back);
                output.append(&mut self.attacker.take());
                let n = usize::from(u.arbitrary::<u16>().unwrap_or(0)).min(output.len());
                self.kept_back = output.split_off(n);
                self.hand_over(&output);
            }
            _ => {
                if let Some(ticket) = self.attacker.policy.tickets.pop() {
                    assert_strangers_ticket_is_refused(self.victim.send(), ticket);
                }
            }
        }
    }

    fn send_message(&mut self, u: &mut Unstructured<'_>) {
        // The channel that is meant; numbers of the fuzzer's own would hardly ever be one.
        let channel: u8 = u.arbitrary().unwrap_or(0);
        let n = usize::from(u.arbitrary::<u8>().unwrap_or(0)).min(u.len());
        let mut made = Unstructured::new(u.bytes(n).unwrap_or_default());
        let Ok(message) = made.arbitrary::<Message<'_>>() else {
            return;
        };
        let mut payload = Vec::new();
        message.encode(&mut payload);
        if let [90..=100, id @ ..] = payload.as_mut_slice()
            && let Some(id) = id.first_chunk_mut::<4>()
            && message.number() != 90
            && channel < 240
        {
            *id = u32::from(channel % 4).to_be_bytes();
        }
        let _ = self.attacker.send().fuzz_send(&payload);
        if channel & 4 == 0 {
            self.deliver();
        }
    }
}
