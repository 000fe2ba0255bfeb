//! Every method of key exchange, and a peer that has sent an honest KEXINIT and then says anything.
//!
//! ```text
//!   | settings | method | operations |
//! ```
//!
//! Two connections exchange keys by one method. Operations put messages of its family, bytes, and
//! altered copies of honest packets in between.

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};
use ssh_proto::algorithm::KexAlgorithm;
use ssh_proto::config::{ClientConfig, ServerConfig, TransientRsaKey, TransportConfig};
use ssh_proto::fuzzing::powers;
use ssh_proto::message::{
    KexDhGexGroup, KexDhGexInit, KexDhGexReply, KexDhGexRequest, KexDhGexRequestOld, KexEcdhInit,
    KexEcdhReply, KexRsaDone, KexRsaPubkey, KexRsaSecret, KexdhInit, KexdhReply, Wire,
};
use ssh_proto::{Client, Server};

use crate::bytes::finish;
use crate::policy::Policy;
use crate::random::Fixed;
use crate::roles::{Driven, host_keys};
use crate::side::Side;

/// More of them find nothing that fewer do not.
const MAX_OPERATIONS: usize = 24;

/// A client or a server whose peer sends anything after KEXINIT.
pub fn kex_methods(data: &[u8]) {
    let [settings, method, rest @ ..] = data else {
        return;
    };
    let all = KexAlgorithm::ALL;
    let kex = all[usize::from(*method) % all.len()];
    let (client, server) = (client(kex, *settings), server(kex, *settings));
    if settings & 1 == 0 {
        run(client, server, rest);
    } else {
        run(server, client, rest);
    }
}

/// Bit 0: who is the victim. 1: the client guesses. 2: any group that there is. 3: the server's host
/// key signs elsewhere.
fn set(transport: &mut TransportConfig, kex: KexAlgorithm, settings: u8) {
    transport.algorithms.kex = vec![kex];
    transport.guess = settings & 2 != 0;
    let sizes = &mut transport.group_exchange;
    if settings & 4 != 0 {
        sizes.min = 1024;
    }
    // The smallest that a server has: larger ones only take longer.
    sizes.preferred = 2048;
}

fn client(kex: KexAlgorithm, settings: u8) -> Client {
    let mut config = ClientConfig::default();
    set(&mut config.transport, kex, settings);
    match Client::new(config, Box::new(Fixed(1))) {
        Ok(client) => client,
        Err(error) => panic!("{error}"),
    }
}

fn server(kex: KexAlgorithm, settings: u8) -> Server {
    let mut config = ServerConfig::default();
    set(&mut config.transport, kex, settings);
    config.host_keys = host_keys(settings << 3);
    config.transient_rsa = Some(transient_rsa());
    match Server::new(config, Box::new(Fixed(2))) {
        Ok(server) => server,
        Err(error) => panic!("{error}"),
    }
}

fn transient_rsa() -> TransientRsaKey {
    static KEY: OnceLock<TransientRsaKey> = OnceLock::new();
    let read = || {
        let file = include_bytes!("../../testdata/keys/rsa2048");
        let pair = ssh_keys::load_private(file, None).ok();
        pair.and_then(|pair| pair.private.to_transient_rsa())
    };
    match KEY.get() {
        Some(key) => key.clone(),
        None => {
            let Some(key) = read() else {
                panic!("a key file of this project");
            };
            KEY.get_or_init(|| key).clone()
        }
    }
}

fn run<V: Driven, A: Driven>(victim: V, attacker: A, operations: &[u8]) {
    let before = powers();
    let mut victim = Side::of(victim, Policy::friendly());
    let mut attacker = Side::of(attacker, Policy::friendly());
    let mut u = Unstructured::new(operations);
    // Lines and KEXINITs cross, and whatever a guess is with them.
    exchange(&mut victim, &mut attacker);
    for _ in 0..MAX_OPERATIONS {
        if u.is_empty() || victim.has_ended() {
            break;
        }
        operate(&mut victim, &mut attacker, &mut u);
    }
    exchange(&mut victim, &mut attacker);
    // Nobody can have either of them compute more than its exponents are for, once each.
    let computed = powers() - before;
    assert!(computed <= 4, "{computed} powers in one exchange");
    // H covers all that was said: who has a session has the same as the other one.
    let ids = (victim.peer.session_id(), attacker.peer.session_id());
    if let (Some(one), Some(other)) = ids {
        assert_eq!(one, other, "two sessions");
    }
    finish(&mut victim);
}

/// Each takes what the other one has sent.
fn exchange<V: Driven, A: Driven>(victim: &mut Side<'_, V>, attacker: &mut Side<'_, A>) {
    let (up, down) = (victim.take(), attacker.take());
    attacker.arrive(&up);
    victim.arrive(&down);
    attacker.drive();
    victim.drive();
}

fn operate<V: Driven, A: Driven>(
    victim: &mut Side<'_, V>,
    attacker: &mut Side<'_, A>,
    u: &mut Unstructured<'_>,
) {
    match u.arbitrary::<u8>().unwrap_or(0) % 5 {
        0 => exchange(victim, attacker),
        // What the attacker has to say, altered in one place. Nothing of it is protected yet.
        1 => {
            let mut output = attacker.take();
            let at = usize::from(u.arbitrary::<u16>().unwrap_or(0));
            let flip = u.arbitrary::<u8>().unwrap_or(0);
            if let Some(byte) = output.get_mut(at) {
                *byte ^= flip;
            }
            victim.arrive(&output);
            victim.drive();
        }
        // A message of a method.
        2 | 3 => {
            if let Ok(payload) = message(u) {
                let _ = attacker.send().fuzz_send(&payload);
            }
        }
        // A number of a method, and anything behind it.
        _ => {
            let number = 29 + u.arbitrary::<u8>().unwrap_or(0) % 22;
            let n = usize::from(u.arbitrary::<u16>().unwrap_or(0)).min(u.len());
            let body = u.bytes(n).unwrap_or_default();
            let _ = attacker.send().fuzz_send(&[&[number][..], body].concat());
        }
    }
}

/// A valid message of any family.
fn message(u: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    fn of<'a, M: Wire<'a> + Arbitrary<'a>>(u: &mut Unstructured<'a>) -> arbitrary::Result<Vec<u8>> {
        let message: M = u.arbitrary()?;
        let mut payload = Vec::new();
        message.encode(&mut payload);
        Ok(payload)
    }
    let which = u.arbitrary::<u8>()? % 12;
    let n = usize::from(u.arbitrary::<u16>()?).min(u.len());
    let mut u = Unstructured::new(u.bytes(n)?);
    match which {
        0 => of::<KexdhInit<'_>>(&mut u),
        1 => of::<KexdhReply<'_>>(&mut u),
        2 => of::<KexEcdhInit<'_>>(&mut u),
        3 => of::<KexEcdhReply<'_>>(&mut u),
        4 => of::<KexDhGexRequestOld>(&mut u),
        5 => of::<KexDhGexRequest>(&mut u),
        6 => of::<KexDhGexGroup<'_>>(&mut u),
        7 => of::<KexDhGexInit<'_>>(&mut u),
        8 => of::<KexDhGexReply<'_>>(&mut u),
        9 => of::<KexRsaPubkey<'_>>(&mut u),
        10 => of::<KexRsaSecret<'_>>(&mut u),
        _ => of::<KexRsaDone<'_>>(&mut u),
    }
}

/// What every method says when all goes well, with each of its messages altered, repeated, and in
/// the place of another.
pub(crate) fn seeds(add: &mut dyn FnMut(String, Vec<u8>)) {
    for (number, kex) in (0_u8..).zip(KexAlgorithm::ALL) {
        for settings in 0..16 {
            let name = |what: &str| format!("{what}_{number:02}_{settings:02}");
            let honest = [&[settings, number][..], &[0; 6]].concat();
            // The large groups take long, and say no more than the small ones.
            let long = kex.name().contains("group17") || kex.name().contains("group18");
            if settings < 2 {
                add(name("honest"), honest);
            }
            if long || settings > 5 {
                continue;
            }
            for at in [6, 12, 200] {
                let altered = [settings, number, 1, at, 0, 0x41, 0, 0];
                add(name(&format!("altered_{at}")), altered.to_vec());
            }
            let group = [&[6, 2, 1][..], &[0xf1; 300]].concat();
            let value = [&[7, 44, 1][..], &[0x77; 300]].concat();
            for (what, made) in [("group", group), ("value", value)] {
                let bytes = [&[settings, number, 0, 2][..], &made, &[0, 0]].concat();
                add(name(what), bytes);
            }
        }
    }
}
