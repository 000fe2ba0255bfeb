//! Files: private keys, `known_hosts`, `authorized_keys`.

use std::net::{IpAddr, Ipv4Addr};

use ssh_keys::authorized_keys::{AuthorizedKeys, Right};
use ssh_keys::known_hosts::{HostField, KnownHosts, Verdict, entry_line};
use ssh_keys::openssh::{Limits, Protection};
use ssh_keys::{FileFormat, KeyPair, load_private};
use ssh_proto::key::PublicKey;

use crate::random::Fixed;

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";

/// A private key file, or its body, which is then put into the armour here. What is read is
/// written, and read again as the same key.
pub fn private_key(data: &[u8]) {
    let armoured;
    let file = if data.starts_with(b"-") || FileFormat::sniff(data).is_some() {
        data
    } else {
        armoured = format!("{BEGIN}\n{}{END}\n", base64(data));
        armoured.as_bytes()
    };
    // Few rounds: how slow bcrypt is need not be found out here.
    let limits = Limits::with_max_rounds(1);
    let _ = KeyPair::from_openssh(file, Some(b"passphrase"), limits);
    let Ok(pair) = load_private(file, None) else {
        return;
    };
    let Ok(again) = pair.to_openssh(Protection::None, &mut Fixed(1)) else {
        return;
    };
    let Ok(again) = load_private(again.as_bytes(), None) else {
        panic!("what was written cannot be read");
    };
    assert_eq!(again.private.public_key(), pair.private.public_key());
    assert_eq!(again.comment, pair.comment);
}

/// A file. No line is lost without a word, and a key that a line was added for is known, unless it
/// is revoked.
pub fn known_hosts(data: &[u8]) {
    let key = PublicKey::new_ed25519(&[7; 32]);
    let host = "host.example.org";
    let known = KnownHosts::parse(data);
    let lines = data.split(|b| *b == b'\n').count();
    assert!(known.warnings().len() <= lines);
    for port in [22, 2222] {
        let types = known.key_types(host, port);
        match known.lookup(host, port, &key) {
            Verdict::Known { line } | Verdict::Revoked { line } => {
                assert!((1..=lines).contains(&line));
            }
            Verdict::Changed { expected } => assert!(!expected.is_empty()),
            Verdict::Unknown => assert!(types.is_empty(), "a host with keys is not unknown"),
        }
    }
    for warning in known.warnings() {
        let shown = warning.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
    }
    let Ok(line) = entry_line(host, 2222, &key, HostField::Plain) else {
        panic!("a plain name");
    };
    let longer = [data, b"\n", line.as_bytes(), b"\n"].concat();
    let verdict = KnownHosts::parse(&longer).lookup(host, 2222, &key);
    assert!(
        matches!(verdict, Verdict::Known { .. } | Verdict::Revoked { .. }),
        "{verdict:?}"
    );
}

/// A file. Every key in it is found by itself, and what options say can be asked.
pub fn authorized_keys(data: &[u8]) {
    let keys = AuthorizedKeys::parse(data);
    let lines = data.split(|b| *b == b'\n').count();
    assert!(keys.entries().len() + keys.warnings().len() <= lines);
    for entry in keys.entries() {
        assert!((1..=lines).contains(&entry.line));
        if !entry.is_cert_authority() {
            assert!(keys.matching(&entry.key).any(|found| found == entry));
        }
        for right in [Right::Pty, Right::PortForwarding, Right::AgentForwarding] {
            let _ = entry.permits(right);
        }
        let _ = (entry.command(), entry.expiry().map(|e| e.is_past(0, 0)));
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let _ = entry.allows_from(Some("host.example.org"), address);
    }
    for warning in keys.warnings() {
        let shown = warning.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
    }
}

/// In lines of 70 characters, as ssh-keygen writes.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut digits = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0, |word, i| {
            word << 8 | usize::from(chunk.get(i).copied().unwrap_or(0))
        });
        for i in 0..4 {
            let digit = DIGITS[word >> (18 - 6 * i) & 63];
            digits.push(if i <= chunk.len() { digit.into() } else { '=' });
        }
    }
    let mut text = String::new();
    for line in digits.as_bytes().chunks(70) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text
}
