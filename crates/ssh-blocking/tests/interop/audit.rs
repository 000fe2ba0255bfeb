//! What ssh-audit says of what we offer, in each preset and role.
//!
//! In `hardened` nothing fails. What else it finds fault with, in `default` as in `hardened`, is all of
//! it explained by a [`Rule`], and each rule must find exactly the algorithms that it is about. In
//! `legacy`, what fails is nothing that we recommend.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Failed, Trial};
use ssh_blocking::{
    Client, ConnectOptions, FixedUsers, Handler, HostKeys, Login, Server, ServerOptions, Trust,
};
use ssh_keys::known_hosts::KnownHosts;
use ssh_keys::load_private;
use ssh_proto::algorithm::{
    Algorithms, CipherAlgorithm, KexAlgorithm, KeyType, MacAlgorithm, Preset, SignatureAlgorithm,
    Standing,
};
use ssh_proto::{ClientConfig, Role, ServerConfig};
use ssh_testkit::harness::peer_test;
use ssh_testkit::peers::{self, KeyPair, Note, SshAudit, TempDir};

use crate::interop::columns::testkit_type;

/// Something that ssh-audit finds fault with, and why it stays.
struct Rule {
    level: &'static str,
    family: &'static str,
    text: &'static str,
    /// What it is about: `text` is said of all of these and of no others.
    of: fn(&str) -> bool,
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        level: "fail",
        family: "kex",
        text: "using elliptic curves that are suspected as being backdoored by the U.S. National \
               Security Agency",
        of: |name| name.starts_with("ecdh-sha2-nistp"),
        why: "A suspicion without evidence in twenty years, and what devices have that must keep \
              to FIPS 140. After everything else, and not in `hardened`.",
    },
    Rule {
        level: "fail",
        family: "key",
        text: "using elliptic curves that are suspected as being backdoored by the U.S. National \
               Security Agency",
        of: |name| name.starts_with("ecdsa-sha2-nistp"),
        why: "The same. A host that has no other key could not be talked to. Not in `hardened`.",
    },
    Rule {
        level: "warn",
        family: "key",
        text: "using weak random number generator could reveal the key",
        of: |name| name.starts_with("ecdsa-sha2-nistp"),
        why: "True of ECDSA. Ours are hedged: a nonce depends on the key, on the message and on \
              fresh randomness. Not in `hardened`.",
    },
    Rule {
        level: "warn",
        family: "kex",
        text: "does not provide protection against post-quantum attacks",
        of: |name| KexAlgorithm::from_name(name).is_some_and(|kex| !kex.is_post_quantum()),
        why: "True, and what is agreed on says so. Most servers have nothing else yet; the methods \
              that do go first.",
    },
    Rule {
        level: "warn",
        family: "kex",
        text: "2048-bit modulus only provides 112-bits of symmetric strength",
        of: |name| name == "diffie-hellman-group14-sha256",
        why: "The last that our client offers, because RFC 9142 has it as the one that must be \
              there. Our server does not offer it.",
    },
    Rule {
        level: "warn",
        family: "mac",
        text: "using encrypt-and-MAC mode",
        of: |name| MacAlgorithm::from_name(name).is_some_and(|mac| !mac.is_etm()),
        why: "What peers have that know no `-etm@openssh.com`. After those, and not in `hardened`.",
    },
];

/// How the note begins that ssh-audit adds for ciphers that a peer without strict key exchange makes
/// weak.
const TERRAPIN: &str = "Be aware that, while this target properly supports the strict key exchange";
const TERRAPIN_WHY: &str = "Strict key exchange is always offered. Whoever wants no connection without \
    it sets `require_strict_kex`; what is agreed on says whether it could be cut.";

/// What was found in the preset `default`, for the documentation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results(Arc<Mutex<Vec<OfRole>>>);

/// What was said of our implementation in this role.
type OfRole = (Role, Vec<Note>);

impl Results {
    fn add(&self, role: Role, notes: Vec<Note>) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.push((role, notes));
    }
}

pub(crate) fn tests(results: &Results) -> Vec<Trial> {
    let (of_server, of_client) = (results.clone(), results.clone());
    vec![
        peer_test(
            "ssh_audit_judges_our_server",
            SshAudit::find,
            move |audit| judge(Role::Server, &of_server, |preset| server(&audit, preset)),
        ),
        peer_test(
            "ssh_audit_judges_our_client",
            SshAudit::find,
            move |audit| judge(Role::Client, &of_client, |preset| client(&audit, preset)),
        ),
    ]
}

fn judge(
    role: Role,
    results: &Results,
    audit: impl Fn(Preset) -> Result<Vec<Note>, Failed>,
) -> Result<(), Failed> {
    let hardened = audit(Preset::hardened())?;
    if let Some(note) = hardened.iter().find(|note| note.level == "fail") {
        return Err(format!("{note:?} in hardened").into());
    }
    explained(&hardened, &Preset::hardened().algorithms(role))?;

    // The order is another, what there is is the same.
    let mut default = Vec::new();
    for aes in [true, false] {
        let preset = Preset::for_cpu(aes);
        default = audit(preset)?;
        explained(&default, &preset.algorithms(role))?;
    }
    results.add(role, default);

    let legacy = audit(Preset::legacy())?;
    let recommended = |note: &&Note| note.level == "fail" && is_recommended(&note.algorithm);
    if let Some(note) = legacy.iter().find(recommended) {
        return Err(format!("{note:?} of what we recommend").into());
    }
    // Otherwise it has seen nothing.
    if !legacy.iter().any(|note| note.level == "fail") {
        return Err("nothing fails in legacy".into());
    }
    Ok(())
}

fn is_recommended(name: &str) -> bool {
    let standing = KexAlgorithm::from_name(name)
        .map(KexAlgorithm::standing)
        .or_else(|| CipherAlgorithm::from_name(name).map(CipherAlgorithm::standing))
        .or_else(|| MacAlgorithm::from_name(name).map(MacAlgorithm::standing))
        .or_else(|| SignatureAlgorithm::from_name(name).map(SignatureAlgorithm::standing));
    standing == Some(Standing::Recommended)
}

/// Every note has a rule, and every rule finds what it is about.
fn explained(notes: &[Note], offered: &Algorithms) -> Result<(), Failed> {
    for note in notes {
        let by_rule = RULES.iter().any(|rule| rule.is_of(note));
        let known = note.level == "note" && note.text.starts_with(TERRAPIN);
        if !by_rule && !known {
            return Err(format!("nothing explains {note:?}").into());
        }
    }
    for rule in RULES {
        let said = notes.iter().filter(|note| rule.is_of(note));
        let said: BTreeSet<&str> = said.map(|note| &*note.algorithm).collect();
        let names: Vec<&str> = match rule.family {
            "kex" => offered.kex.iter().map(|kex| kex.name()).collect(),
            "key" => offered.host_key.iter().map(|key| key.name()).collect(),
            _ => {
                let macs = offered.macs_client_to_server.iter();
                macs.map(|mac| mac.name()).collect()
            }
        };
        let about: BTreeSet<&str> = names.into_iter().filter(|name| (rule.of)(name)).collect();
        if said != about {
            let text = rule.text;
            return Err(format!("{text:?} is said of {said:?}, and is about {about:?}").into());
        }
    }
    Ok(())
}

impl Rule {
    fn is_of(&self, note: &Note) -> bool {
        self.level == note.level && self.family == note.family && self.text == note.text
    }
}

/// A server of ours, with a key of each type.
fn server(audit: &SshAudit, preset: Preset) -> Result<Vec<Note>, Failed> {
    let dir = TempDir::new()?;
    let mut keys = Vec::new();
    for (n, key_type) in KeyType::ALL.iter().enumerate() {
        let kind = match testkit_type(*key_type) {
            peers::KeyType::Rsa(_) => peers::KeyType::Rsa(3072),
            kind => kind,
        };
        let key = KeyPair::generate(&dir, &format!("host_{n}"), kind)?;
        keys.push(load_private(&std::fs::read(key.private_path())?, None)?.private);
    }
    let mut config = ServerConfig::default();
    config.transport.algorithms = preset.algorithms(Role::Server);
    let users = |_: SocketAddr| FixedUsers::new();
    let options = ServerOptions::new(HostKeys::new(keys)?, users).config(config);
    let server = Server::bind(("127.0.0.1", 0), options, Nobody)?;
    Ok(audit.of_server(server.local_addr())?)
}

struct Nobody;

impl Handler for Nobody {}

/// A client of ours.
fn client(audit: &SshAudit, preset: Preset) -> Result<Vec<Note>, Failed> {
    let mut config = ClientConfig::default();
    config.transport.algorithms = preset.algorithms(Role::Client);
    let notes = audit.of_client(|address| {
        let (host, port) = (address.ip().to_string(), address.port());
        let trust = Trust::known_hosts(KnownHosts::parse(b""), &host, port).refuse_unknown();
        let options = ConnectOptions::new(Login::new("nobody", trust)).config(config);
        // It gets nowhere: ssh-audit has heard enough.
        let _ = Client::connect(address, options);
    })?;
    Ok(notes)
}

/// What is written about it.
pub(crate) fn section(results: &Results) -> Result<String, String> {
    let found = results.0.lock().unwrap_or_else(PoisonError::into_inner);
    let of = |role: Role| {
        let mut found = found.iter().filter(|(of, _)| *of == role);
        found.next().map(|(_, notes)| notes)
    };
    let (Some(client), Some(server)) = (of(Role::Client), of(Role::Server)) else {
        return Err("ssh-audit was not asked".to_owned());
    };
    let mut text = "
## ssh-audit

ssh-audit judges our client and our server in each preset. In `hardened` nothing fails, and all that it
warns of is what stands below. In `default` this remains:

| | says | of our client | of our server | |
|---|---|---|---|---|
"
    .to_owned();
    for rule in RULES {
        let names = |notes: &[Note]| {
            let of = notes.iter().filter(|note| rule.is_of(note));
            let names: Vec<String> = of.map(|note| format!("`{}`", note.algorithm)).collect();
            names.join(", ")
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            rule.level,
            rule.text,
            names(client),
            names(server),
            rule.why
        );
    }
    let _ = write!(
        text,
        "
It adds that ciphers with `chacha20-poly1305@openssh.com` are weak with a peer that has no strict key
exchange (CVE-2023-48795). {TERRAPIN_WHY}
"
    );
    Ok(text)
}
