//! Faults, at every place of a whole session: of the transport, of a peer that holds the keys, and of
//! what a connection is given (randomness, signatures). Both roles are the subject.
//!
//! | module | what goes wrong | rows |
//! |---|---|---|
//! | `splits` | nothing: the stream comes in other pieces | GI1 |
//! | `flips` | a bit is inverted | GI2, P5, P6 |
//! | `cuts` | the transport ends or falls silent | GI3, D3 |
//! | `packets` | somebody who holds the keys drops, repeats and swaps packets | GI4 |
//! | `sources` | the generator fails, the signer fails or lies | GI5 |
//! | `schedules` | the peer is slow, stalls, does not read, vanishes | GI6 |
//!
//! Memory that is refused has a program of its own, `tests/refused`, because it has an allocator of
//! its own.

mod cuts;
mod flips;
mod live;
mod packets;
mod replay;
mod schedules;
mod sources;
mod splits;

use ssh_proto::algorithm::{
    CipherAlgorithm, CompressionAlgorithm, KexAlgorithm, MacAlgorithm, SignatureAlgorithm,
};
use ssh_proto::config::{ClientConfig, ServerConfig};
use ssh_testkit::sim::{Auth, RekeyAt, Session, pattern, server_config};

/// One of each family and each order, with MACs of every kind.
const MODES: [(CipherAlgorithm, MacAlgorithm); 10] = [
    (CipherAlgorithm::Aes256Gcm, MacAlgorithm::HmacSha256),
    (CipherAlgorithm::ChaCha20Poly1305, MacAlgorithm::HmacSha256),
    (CipherAlgorithm::Aes128Ctr, MacAlgorithm::HmacSha256Etm),
    (CipherAlgorithm::Aes192Ctr, MacAlgorithm::HmacSha512),
    (CipherAlgorithm::Aes256Ctr, MacAlgorithm::HmacSha512Etm),
    (CipherAlgorithm::TdesCbc, MacAlgorithm::HmacSha1),
    (CipherAlgorithm::Aes128Cbc, MacAlgorithm::Umac128Etm),
    (CipherAlgorithm::Arcfour128, MacAlgorithm::HmacMd5_96),
    (CipherAlgorithm::Cast128Cbc, MacAlgorithm::Umac64),
    (CipherAlgorithm::AeadAes128Gcm, MacAlgorithm::HmacSha256),
];

/// The first of them, with compression from the end of authentication on.
const PACKED: usize = MODES.len();
/// How many there are with that one.
const COUNT: usize = MODES.len() + 1;

/// Everything that a session has, in few bytes: a password and then a key, three channels with data
/// both ways, standard error, an exit status, new keys in the middle of it, and the end.
fn session() -> Session {
    Session::new(vec![pattern(130, 1), pattern(0, 2), pattern(41, 3)])
        .auth(Auth::Both)
        .rekey(RekeyAt::Event(4), RekeyAt::Never)
}

/// Only what is used is offered, so that KEXINIT is short.
fn configs(cipher: CipherAlgorithm, mac: MacAlgorithm) -> (ClientConfig, ServerConfig) {
    let (mut client, mut server) = (ClientConfig::default(), server_config());
    for t in [&mut client.transport, &mut server.transport] {
        t.software = "faults".to_owned();
        let a = &mut t.algorithms;
        a.kex = vec![KexAlgorithm::Curve25519Sha256];
        a.host_key = vec![SignatureAlgorithm::Ed25519];
        a.ciphers_client_to_server = vec![cipher];
        a.ciphers_server_to_client = vec![cipher];
        a.macs_client_to_server = vec![mac];
        a.macs_server_to_client = vec![mac];
    }
    (client, server)
}

/// Whether nothing vouches for a length before all of its packet is there.
fn is_encrypt_and_mac(mode: usize) -> bool {
    // That with compression is the first of them.
    let (cipher, mac) = MODES[mode % PACKED];
    !cipher.is_aead() && !mac.is_etm()
}

fn mode_configs(mode: usize) -> (ClientConfig, ServerConfig) {
    let (cipher, mac) = MODES[mode % PACKED];
    let (mut client, mut server) = configs(cipher, mac);
    if mode == PACKED {
        for t in [&mut client.transport, &mut server.transport] {
            compress(&mut t.algorithms);
        }
    }
    (client, server)
}

fn compress(algorithms: &mut ssh_proto::algorithm::Algorithms) {
    algorithms.compression_client_to_server = vec![CompressionAlgorithm::ZlibOpenSsh];
    algorithms.compression_server_to_client = vec![CompressionAlgorithm::ZlibOpenSsh];
}
