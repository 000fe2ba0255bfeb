//! Which algorithms two sides agree on, against the rule of RFC 4253 section 7.1 in ten lines.
//!
//! ```text
//!   | role | eight lists of ours | whether the peer is real | eight lists of the peer |
//! ```
//!
//! A peer that is not real has any names on its lists; a real one goes through the handshake, and
//! then both have agreed on the same.

use arbitrary::{Result, Unstructured};
use ssh_proto::algorithm::{
    Algorithms, CipherAlgorithm as Cipher, CompressionAlgorithm as Compression,
    KexAlgorithm as Kex, MacAlgorithm as Mac, SignatureAlgorithm as Signature,
};
use ssh_proto::config::{ClientConfig, ServerConfig};
use ssh_proto::error::{End, Error};
use ssh_proto::fuzzing::negotiate;
use ssh_proto::kex::{Negotiated, NegotiationReport, Remedy};
use ssh_proto::message::KexInit;
use ssh_proto::wire::NameList;
use ssh_proto::{Client, ClientEvent, Instant, RecvBuf, Role, Server, ServerEvent};

use crate::random::Fixed;
use crate::roles::host_keys;

/// A list of every kind from both sides: what comes of it is what the rule says.
pub fn negotiation(data: &[u8]) {
    let _ = run(&mut Unstructured::new(data));
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let role = match u.arbitrary::<bool>()? {
        false => Role::Client,
        true => Role::Server,
    };
    let ours = algorithms(u)?;
    if u.ratio(1, 8)? {
        let theirs = algorithms(u)?;
        handshake(&ours, &theirs);
        return Ok(());
    }
    let mut theirs = Vec::new();
    for slot in names(&ours) {
        let n = u.int_in_range(0..=4)?;
        let list = (0..n).map(|_| name(u, &slot)).collect::<Result<Vec<_>>>()?;
        theirs.push(list.join(","));
    }
    let mut lists = Vec::new();
    for list in &theirs {
        let Ok(list) = NameList::new(list) else {
            panic!("names: {list}");
        };
        lists.push(list);
    }
    let message = KexInit {
        cookie: &[7; 16],
        kex_algorithms: lists[0],
        server_host_key_algorithms: lists[1],
        encryption_algorithms_client_to_server: lists[2],
        encryption_algorithms_server_to_client: lists[3],
        mac_algorithms_client_to_server: lists[4],
        mac_algorithms_server_to_client: lists[5],
        compression_algorithms_client_to_server: lists[6],
        compression_algorithms_server_to_client: lists[7],
        languages_client_to_server: NameList::EMPTY,
        languages_server_to_client: NameList::EMPTY,
        first_kex_packet_follows: u.arbitrary()?,
        reserved: 0,
    };
    let (agreed, report) = negotiate(role, &ours, &message).expect("memory");
    let split = |list: &String| {
        let names = list.split(',').filter(|name| !name.is_empty());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let theirs: Vec<Vec<String>> = theirs.iter().map(split).collect();
    let expected = match role {
        Role::Client => by_the_rule(&names(&ours), &theirs),
        Role::Server => by_the_rule(&theirs, &names(&ours)),
    };
    let failed = expected.iter().filter(|name| name.is_none()).count();
    assert_eq!(report.failures().count(), failed, "{report}");
    assert_eq!(report.slots.len(), 8);
    match agreed {
        Some(agreed) => assert_eq!(shown(&agreed), expected),
        None => assert!(failed > 0, "{report}"),
    }
    follow(role, ours, &message, &report);
    Ok(())
}

/// What is recommended helps, and is all that is needed.
fn follow(role: Role, mut ours: Algorithms, theirs: &KexInit<'_>, report: &NegotiationReport) {
    // Of these a configuration alone does not help.
    let hopeless =
        |remedy: &Remedy| matches!(remedy, Remedy::Nothing { .. } | Remedy::Feature { .. });
    let remedies = report.remedy();
    for remedy in remedies.iter().filter(|remedy| !hopeless(remedy)) {
        let (list, text) = remedy.setting().expect("something to set");
        assert_eq!(ours.set(list, &text), Ok(()), "{report}");
    }
    let (agreed, again) = negotiate(role, &ours, theirs).expect("memory");
    let none = !remedies.iter().any(hopeless);
    assert_eq!(agreed.is_some(), none, "{report}; {again}");
    assert!(again.remedy().iter().all(hopeless), "{report}; {again}");
}

/// The first on the client's list that is on the server's too; `None` if there is none, and an
/// empty name for the MAC of a cipher that needs none. A cipher whose name is one of RFC 5647 must be
/// on both lists of MACs as well, and as a MAC it comes with the cipher only.
fn by_the_rule(client: &[Vec<String>], server: &[Vec<String>]) -> Vec<Option<String>> {
    let is_mac_too = |name: &str| name.starts_with("AEAD_AES_");
    let first = |slot: usize| {
        let macs = [client, server].map(|lists| lists.get(slot + 2));
        let mut common = client[slot]
            .iter()
            .filter(|name| server[slot].contains(name))
            .filter(|name| match slot {
                2 | 3 if is_mac_too(name) => macs.iter().flatten().all(|macs| macs.contains(name)),
                4 | 5 => !is_mac_too(name),
                _ => true,
            });
        common.next().cloned()
    };
    let mut agreed: Vec<_> = (0..8).map(first).collect();
    for (cipher, mac) in [(2, 4), (3, 5)] {
        let whole = ["gcm@openssh.com", "chacha20-poly1305@openssh.com"];
        let name = agreed[cipher].as_deref().unwrap_or_default();
        if is_mac_too(name) || whole.iter().any(|end| name.ends_with(end)) {
            agreed[mac] = Some(String::new());
        }
    }
    agreed
}

fn shown(agreed: &Negotiated) -> Vec<Option<String>> {
    let (c, s) = (agreed.client_to_server, agreed.server_to_client);
    let mac = |mac: Option<Mac>| mac.map_or("", Mac::name);
    [
        agreed.kex.name(),
        agreed.host_key.name(),
        c.cipher.name(),
        s.cipher.name(),
        mac(c.mac),
        mac(s.mac),
        c.compression.name(),
        s.compression.name(),
    ]
    .map(|name| Some(name.to_owned()))
    .to_vec()
}

/// Both roles with these lists agree on what the rule says, or both end because of it.
fn handshake(ours: &Algorithms, theirs: &Algorithms) {
    let mut client = ClientConfig::default();
    client.transport.algorithms = ours.clone();
    let mut server = ServerConfig::default();
    server.transport.algorithms = theirs.clone();
    server.host_keys = host_keys(0);
    // Empty lists, or keys that none of the algorithms can use, are refused before.
    let (Ok(mut client), Ok(mut server)) = (
        Client::new(client, Box::new(Fixed(1))),
        Server::new(server, Box::new(Fixed(2))),
    ) else {
        return;
    };
    // A server offers only what its keys can do.
    let mut offered = names(theirs);
    offered[0].retain(|name| !name.starts_with("rsa"));
    offered[1].retain(|name| name == "ssh-ed25519");
    let expected = by_the_rule(&names(ours), &offered);
    let (mut to_client, mut to_server) = (RecvBuf::new(), RecvBuf::new());
    let now = Instant::EPOCH;
    let mut ends = Vec::new();
    for _ in 0..8 {
        let mut output = Vec::new();
        client.take_output(&mut output);
        to_server.push(&output);
        while let Some(event) = server.poll_event(&mut to_server.batch(), now) {
            if let ServerEvent::Ended(end) = event {
                ends.push(end);
            }
        }
        server.take_output(&mut output);
        to_client.push(&output);
        while let Some(event) = client.poll_event(&mut to_client.batch(), now) {
            match event {
                ClientEvent::HostKey { decision, .. } => {
                    assert_eq!(client.trust(decision), Ok(()));
                }
                ClientEvent::Ended(end) => ends.push(end),
                _ => {}
            }
        }
    }
    if expected.iter().all(Option::is_some) {
        for agreed in [client.negotiated(), server.negotiated()] {
            assert_eq!(agreed.map(shown), Some(expected.clone()));
        }
        assert!(ends.is_empty(), "{ends:?}");
    } else {
        let incompatible = |end: &End| matches!(end, End::Error(Error::Incompatible(_)));
        assert!(ends.iter().any(incompatible), "{ends:?}");
        assert!(client.negotiated().is_none() && server.negotiated().is_none());
    }
}

/// Up to four algorithms for each slot.
fn algorithms(u: &mut Unstructured<'_>) -> Result<Algorithms> {
    let mut made = Algorithms::default();
    made.kex = some(u, Kex::ALL)?;
    made.host_key = some(u, Signature::ALL)?;
    made.ciphers_client_to_server = some(u, Cipher::ALL)?;
    made.ciphers_server_to_client = some(u, Cipher::ALL)?;
    made.macs_client_to_server = some(u, Mac::ALL)?;
    made.macs_server_to_client = some(u, Mac::ALL)?;
    made.compression_client_to_server = some(u, Compression::ALL)?;
    made.compression_server_to_client = some(u, Compression::ALL)?;
    Ok(made)
}

fn some<A: Copy>(u: &mut Unstructured<'_>, all: &[A]) -> Result<Vec<A>> {
    let n = u.int_in_range(0..=4)?;
    (0..n).map(|_| u.choose(all).copied()).collect()
}

fn names(of: &Algorithms) -> [Vec<String>; 8] {
    fn list<A: Copy>(of: &[A], name: impl Fn(A) -> &'static str) -> Vec<String> {
        of.iter().map(|a| name(*a).to_owned()).collect()
    }
    // Ciphers that are MACs too are offered as both; where among the MACs makes no difference.
    let macs = |macs: &[Mac], ciphers: &[Cipher]| {
        let both = ciphers.iter().filter(|cipher| cipher.is_mac_too());
        let both = both.map(|cipher| cipher.name().to_owned());
        [list(macs, Mac::name), both.collect()].concat()
    };
    [
        list(&of.kex, Kex::name),
        list(&of.host_key, Signature::name),
        list(&of.ciphers_client_to_server, Cipher::name),
        list(&of.ciphers_server_to_client, Cipher::name),
        macs(&of.macs_client_to_server, &of.ciphers_client_to_server),
        macs(&of.macs_server_to_client, &of.ciphers_server_to_client),
        list(&of.compression_client_to_server, Compression::name),
        list(&of.compression_server_to_client, Compression::name),
    ]
}

/// One of ours, another one, a marker, or nothing that anybody knows.
fn name(u: &mut Unstructured<'_>, ours: &[String]) -> Result<String> {
    const OTHERS: &[&str] = &[
        "none",
        "ext-info-c",
        "ext-info-s",
        "kex-strict-c-v00@openssh.com",
        "kex-strict-s-v00@openssh.com",
        "curve25519-sha256@libssh.org",
        "sntrup761x25519-sha512",
        "ssh-ed25519",
        "rsa-sha2-256",
        "aes128-ctr",
        "aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
        "hmac-sha2-256",
        "zlib@openssh.com",
        "x",
        "AEAD_AES_128_GCM",
        "AEAD_AES_256_GCM",
    ];
    Ok(if ours.is_empty() || u.ratio(1, 3)? {
        (*u.choose(OTHERS)?).to_owned()
    } else {
        u.choose(ours)?.clone()
    })
}
