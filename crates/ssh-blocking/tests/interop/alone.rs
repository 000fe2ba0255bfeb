//! Rows that no peer offers, and what stands for them.
//!
//! An algorithm that nobody else has cannot be tried with anybody. What stands for such a row is a
//! test that compares what we compute with what other code computes, or with published answers; it is
//! named here, and must exist.

use std::fs;
use std::path::Path;

use crate::interop::matrix::Row;

/// A row that no peer offers.
pub(crate) struct Alone {
    /// As the matrix calls it.
    pub(crate) row: &'static str,
    /// The tests that stand for it together, and where each is, from the root of the repository.
    pub(crate) tests: &'static [(&'static str, &'static str)],
}

const PACKETS: &str = "crates/ssh-proto/src/crypto/cipher/tests.rs";
const MACS: &str = "crates/ssh-proto/src/crypto/mac/vectors.rs";

/// All of them.
pub(crate) const ALONE: &[Alone] = &[
    Alone {
        row: "cipher AEAD_AES_256_GCM",
        tests: &[("p7_gcm_packets_are_those_of_rfc5647", PACKETS)],
    },
    Alone {
        row: "cipher AEAD_AES_128_GCM",
        tests: &[("p7_gcm_packets_are_those_of_rfc5647", PACKETS)],
    },
    Alone {
        row: "MAC hmac-ripemd160-etm@openssh.com",
        tests: &[
            ("rfc2202_and_rfc2286_vectors", MACS),
            ("packets_with_a_mac_are_those_of_rfc4253_and_etm", PACKETS),
        ],
    },
    Alone {
        row: "MAC hmac-ripemd160-96",
        tests: &[
            ("rfc2202_and_rfc2286_vectors", MACS),
            ("packets_with_a_mac_are_those_of_rfc4253_and_etm", PACKETS),
        ],
    },
];

/// The algorithms that the library whose place this one can take has names for: each must be a row.
const REFERENCE: &[(&str, &[&str])] = &[
    (
        "key exchange",
        &[
            "curve25519-sha256",
            "curve25519-sha256@libssh.org",
            "diffie-hellman-group1-sha1",
            "diffie-hellman-group14-sha1",
            "diffie-hellman-group14-sha256",
            "diffie-hellman-group16-sha512",
            "diffie-hellman-group18-sha512",
            "diffie-hellman-group-exchange-sha1",
            "diffie-hellman-group-exchange-sha256",
            "ecdh-sha2-nistp256",
            "ecdh-sha2-nistp384",
            "ecdh-sha2-nistp521",
        ],
    ),
    (
        "cipher",
        &[
            "aes256-ctr",
            "aes192-ctr",
            "aes128-ctr",
            "aes256-cbc",
            "aes192-cbc",
            "aes128-cbc",
            "3des-ctr",
            "3des-cbc",
            "blowfish-cbc",
            "arcfour256",
            "arcfour128",
            "arcfour",
            "cast128-cbc",
            "aes256-gcm@openssh.com",
            "aes128-gcm@openssh.com",
            "chacha20-poly1305@openssh.com",
        ],
    ),
    (
        "MAC",
        &[
            "hmac-sha1",
            "hmac-md5",
            "hmac-sha1-96",
            "hmac-md5-96",
            "hmac-sha2-256",
            "hmac-sha2-256-96",
            "hmac-sha2-512",
            "hmac-sha2-512-96",
            "hmac-ripemd160",
            "hmac-ripemd160-96",
            "hmac-sha2-256-etm@openssh.com",
            "hmac-sha2-512-etm@openssh.com",
        ],
    ),
    ("compression", &["none", "zlib", "zlib@openssh.com"]),
];

/// Every algorithm of [`REFERENCE`] is a row, so that it is green in one of the two ways.
pub(crate) fn every_reference_is_a_row() -> Result<(), String> {
    let rows: Vec<String> = Row::all().iter().map(Row::to_string).collect();
    let wanted = REFERENCE
        .iter()
        .flat_map(|(family, names)| names.iter().map(move |name| format!("{family} {name}")));
    let lacking: Vec<String> = wanted.filter(|name| !rows.contains(name)).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(format!("there is no row {}", lacking.join(", no row ")))
}

/// Whatever is named is a row, and its tests exist.
pub(crate) fn every_test_exists() -> Result<(), String> {
    let rows: Vec<String> = Row::all().iter().map(Row::to_string).collect();
    for Alone { row, tests } in ALONE {
        if !rows.iter().any(|name| name == row) {
            return Err(format!("{row} is no row"));
        }
        if tests.is_empty() {
            return Err(format!("nothing stands for {row}"));
        }
        for (test, file) in *tests {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../..")
                .join(file);
            let text = fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
            if !text.contains(&format!("#[test]\nfn {test}() {{\n")) {
                return Err(format!(
                    "{file} has no test {test}, which is to stand for {row}"
                ));
            }
        }
    }
    Ok(())
}

/// What stands for a row.
pub(crate) fn stands_for(row: Row) -> Option<&'static Alone> {
    let name = row.to_string();
    ALONE.iter().find(|alone| alone.row == name)
}
