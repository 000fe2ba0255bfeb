//! The two roles as the targets drive them: how each is configured, and what its application does
//! when it is asked. A token is now and then shown to a connection that it is not of.

use std::time::Duration;

use ssh_proto::client::{Client, ClientEvent, ClientSend, Credential, Probe};
use ssh_proto::config::{ClientConfig, HostKey, Keepalive, Methods, ServerConfig, TransportConfig};
use ssh_proto::error::Misuse;
use ssh_proto::key::PrivateKey;
use ssh_proto::message::DisconnectReason;
use ssh_proto::server::{AuthEvent, Server, ServerEvent, ServerSend};
use ssh_proto::{Peer, PeerEvent, algorithm};

use crate::policy::Policy;
use crate::random::Fixed;

/// `Limits::window` and `Limits::window_total` where the limits are small.
const SMALL_WINDOW: u32 = 4096;
const SMALL_TOTAL: u16 = 8192;

/// A connection that can be fuzzed.
pub(crate) trait Driven: Peer {
    /// With the configuration that the bits of `config` stand for.
    fn make(config: u8) -> Self;
    /// Answers an event of its role.
    fn answer(send: &mut Self::Send, event: PeerEvent<'_>, policy: &mut Policy<'_>);
}

fn host_key() -> PrivateKey {
    PrivateKey::from_ed25519_seed(&[1; 32])
}

/// One that the server has, or one that signs elsewhere.
pub(crate) fn host_keys(config: u8) -> Vec<HostKey> {
    vec![match config & 64 {
        0 => HostKey::Private(host_key().into()),
        _ => HostKey::External(host_key().public_key().clone()),
    }]
}

fn user_key() -> PrivateKey {
    PrivateKey::from_ed25519_seed(&[2; 32])
}

impl Driven for Client {
    fn make(config: u8) -> Self {
        let mut client = ClientConfig::default();
        transport(&mut client.transport, config);
        client.require_credential = config & 64 != 0;
        client.channel_types = vec!["x11".into()];
        match Self::new(client, Box::new(Fixed(1))) {
            Ok(client) => client,
            Err(error) => panic!("{error}"),
        }
    }

    fn answer(send: &mut ClientSend, event: PeerEvent<'_>, policy: &mut Policy<'_>) {
        let event = match event {
            PeerEvent::Client(event) => event,
            common => return policy.on_common(send, common),
        };
        match event {
            ClientEvent::HostKey { decision, .. } => {
                let answered = match policy.choose(8) {
                    7 => return drop(decision),
                    6 => send.distrust(decision),
                    5 => return refused(Self::make(0).trust(decision)),
                    _ => send.trust(decision),
                };
                assert_eq!(answered, Ok(()));
            }
            ClientEvent::Authenticate { token, .. } => {
                let key = user_key();
                let credential = match policy.choose(9) {
                    0 => Credential::Password("secret"),
                    1 => {
                        return refused(Self::make(0).authenticate(token, "x", Credential::None));
                    }
                    2 => Credential::None,
                    3 => Credential::PrivateKey(&key),
                    4 => Credential::PublicKey {
                        key: key.public_key().clone(),
                        probe: Probe::First,
                    },
                    5 => Credential::PublicKey {
                        key: key.public_key().clone(),
                        probe: Probe::Skip,
                    },
                    6 => Credential::NewPassword {
                        old: "secret",
                        new: "secret2",
                    },
                    7 => return drop(token),
                    _ => return send.disconnect(DisconnectReason::BY_APPLICATION, "no more"),
                };
                assert_eq!(send.authenticate(token, "alice", credential), Ok(()));
            }
            ClientEvent::Sign(request) => {
                let answered = match policy.choose(5) {
                    0 => match user_key().sign(request.algorithm, &request.data, &mut Fixed(3)) {
                        Ok(signature) => send.signed(request, &signature),
                        Err(_) => send.not_signed(request),
                    },
                    1 => send.signed(request, b"no signature"),
                    2 => send.not_signed(request),
                    3 => return refused(Self::make(0).not_signed(request)),
                    _ => return drop(request),
                };
                assert_eq!(answered, Ok(()));
            }
            ClientEvent::Authenticated { .. } if policy.choose(2) == 0 => {
                policy.channels.extend(send.open_session());
            }
            _ => {}
        }
    }
}

impl Driven for Server {
    fn make(config: u8) -> Self {
        let mut server = ServerConfig::default();
        transport(&mut server.transport, config);
        server.banner = "hello\n".into();
        server.host_keys = host_keys(config);
        match Self::new(server, Box::new(Fixed(2))) {
            Ok(server) => server,
            Err(error) => panic!("{error}"),
        }
    }

    fn answer(send: &mut ServerSend, event: PeerEvent<'_>, policy: &mut Policy<'_>) {
        let event = match event {
            PeerEvent::Server(event) => event,
            common => return policy.on_common(send, common),
        };
        let answered = match event {
            ServerEvent::Sign(request) => match policy.choose(8) {
                7 => return drop(request),
                6 => send.not_signed(request),
                5 => send.signed(request, b"no signature"),
                4 => return refused(Self::make(0).not_signed(request)),
                _ => match host_key().sign(request.algorithm, &request.data, &mut Fixed(3)) {
                    Ok(signature) => send.signed(request, &signature),
                    Err(_) => send.not_signed(request),
                },
            },
            ServerEvent::Auth(AuthEvent::KeyOffered { offer, .. }) => match policy.choose(4) {
                0 => send.invite(offer),
                1 => return refused(Self::make(0).invite(offer)),
                2 => send.decline(offer),
                _ => return drop(offer),
            },
            ServerEvent::Auth(
                AuthEvent::None { decision, .. }
                | AuthEvent::Password { decision, .. }
                | AuthEvent::KeyProven { decision, .. },
            ) => match policy.choose(6) {
                0 => send.accept(decision),
                1 => send.reject(decision),
                2 => send.accept_partially(decision, Methods::PASSWORD),
                3 => send.accept_partially(decision, Methods::NONE),
                4 => return refused(Self::make(0).accept(decision)),
                _ => return drop(decision),
            },
            _ => return,
        };
        assert_eq!(answered, Ok(()));
    }
}

/// What a connection says to a token that is not its own.
fn refused(answered: Result<(), Misuse>) {
    assert_eq!(answered, Err(Misuse::Token));
}

/// Bit 0: small limits. 1: guess. 2: strict key exchange required. 3: keepalive. 4, 5: the cipher.
/// 6: depends on the role. 7: the post-quantum method, which is slow. 1 and 2 together: compression,
/// with 3 from the first NEWKEYS on.
fn transport(transport: &mut TransportConfig, config: u8) {
    use algorithm::{
        CipherAlgorithm as Cipher, CompressionAlgorithm as Compression, KexAlgorithm,
        MacAlgorithm as Mac,
    };
    if config & 1 != 0 {
        let limits = &mut transport.limits;
        limits.channels = 3;
        limits.window = SMALL_WINDOW;
        limits.window_total = SMALL_TOTAL.into();
        limits.maximum_packet = 1024;
        limits.tickets = 2;
        limits.requests_unanswered = 2;
        limits.held = 1024;
        limits.output = 2048;
        limits.control = 35_000;
        limits.banner = 8;
        limits.rekey_packets = 64;
        limits.rekey_bytes = 32 * 1024;
    }
    transport.guess = config & 2 != 0;
    transport.require_strict_kex = config & 4 != 0;
    if config & 8 != 0 {
        transport.deadlines.keepalive = Some(Keepalive {
            interval: Duration::from_secs(10),
            count: 2,
        });
    }
    let (cipher, mac) = match config >> 4 & 3 {
        0 => (Cipher::Aes256Gcm, Mac::HmacSha256),
        1 => (Cipher::ChaCha20Poly1305, Mac::HmacSha256),
        2 => (Cipher::Aes128Ctr, Mac::HmacSha256Etm),
        _ => (Cipher::Aes256Ctr, Mac::HmacSha512),
    };
    let algorithms = &mut transport.algorithms;
    algorithms.ciphers_client_to_server = vec![cipher];
    algorithms.ciphers_server_to_client = vec![cipher];
    algorithms.macs_client_to_server = vec![mac];
    algorithms.macs_server_to_client = vec![mac];
    if compresses(config) {
        let method = match config & 8 {
            0 => Compression::ZlibOpenSsh,
            _ => Compression::Zlib,
        };
        algorithms.compression_client_to_server = vec![method];
        algorithms.compression_server_to_client = vec![method];
    }
    if config & 128 == 0 {
        algorithms.kex = vec![KexAlgorithm::Curve25519Sha256];
    }
}

/// Whether a configuration has compression; it may start later.
pub(crate) const fn compresses(config: u8) -> bool {
    config & 6 == 6
}

/// `Limits::window_total` of a configuration: no window can grow further.
pub(crate) const fn window(config: u8) -> usize {
    if config & 1 != 0 {
        SMALL_TOTAL as usize
    } else {
        16 << 20
    }
}
