//! Somebody between an honest client and an honest server, who changes what both hash, and who
//! inserts and removes messages (Terrapin, CVE-2023-48795): rows K8 and S8.

use ssh_proto::algorithm::{
    CipherAlgorithm, KexAlgorithm, MacAlgorithm, Preset, SignatureAlgorithm,
};
use ssh_proto::error::{End, Error, KeyExchangeError, LimitExceeded, PeerMisbehaved};
use ssh_proto::message::DisconnectReason;
use ssh_proto::{Client, Role, Server};
use ssh_testkit::raw::{Bench, Duel, Fighter, Seen, Stage, Subject, in_every_way};

/// What goes over the wire, piece by piece: the line, each packet in clear, and what is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Line,
    /// A packet in clear, and the number of its message.
    Clear(u8),
    Encrypted,
}

/// Cuts one direction of an honest handshake into pieces.
#[derive(Default)]
struct Tap {
    lined: bool,
    encrypted: bool,
}

impl Tap {
    fn pieces(&mut self, mut bytes: Vec<u8>) -> Vec<(Piece, Vec<u8>)> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, length) = if self.encrypted {
                (Piece::Encrypted, bytes.len())
            } else if self.lined {
                let length = u32::from_be_bytes(*bytes.first_chunk().expect("a length"));
                self.encrypted = bytes[5] == 21;
                (Piece::Clear(bytes[5]), 4 + length as usize)
            } else {
                self.lined = true;
                let end = bytes.iter().position(|b| *b == b'\n').expect("a line");
                (Piece::Line, end + 1)
            };
            let rest = bytes.split_off(length);
            pieces.push((piece, std::mem::replace(&mut bytes, rest)));
        }
        pieces
    }
}

/// Two honest sides with one algorithm of each kind, so that there is little to change.
fn honest(cipher: CipherAlgorithm) -> Duel<Client, Server> {
    let (mut client, mut server) = (Client::config(), Server::config());
    for transport in [&mut client.transport, &mut server.transport] {
        let a = &mut transport.algorithms;
        a.kex = vec![KexAlgorithm::Curve25519Sha256];
        a.host_key = vec![SignatureAlgorithm::Ed25519];
        a.ciphers_client_to_server = vec![cipher];
        a.ciphers_server_to_client = vec![cipher];
        a.macs_client_to_server = vec![MacAlgorithm::HmacSha256Etm];
        a.macs_server_to_client = vec![MacAlgorithm::HmacSha256Etm];
    }
    Duel::new(client, server)
}

/// Lets both talk through `change`, which sees each piece with its sender, and says what arrives.
fn between(
    duel: &mut Duel<Client, Server>,
    mut change: impl FnMut(Role, Piece, Vec<u8>) -> Vec<u8>,
) {
    fn carry<A: Subject, B: Subject>(
        from: &mut Fighter<A>,
        to: &mut Fighter<B>,
        tap: &mut Tap,
        change: &mut impl FnMut(Role, Piece, Vec<u8>) -> Vec<u8>,
    ) -> bool {
        from.take(&[]);
        let output = from.output();
        let busy = !output.is_empty();
        for (piece, bytes) in tap.pieces(output) {
            to.take(&change(A::ROLE, piece, bytes));
        }
        busy
    }
    let (mut up, mut down) = (Tap::default(), Tap::default());
    loop {
        let (client, server) = (&mut duel.victim, &mut duel.attacker);
        let said = carry(client, server, &mut up, &mut change);
        let answered = carry(server, client, &mut down, &mut change);
        if !said && !answered {
            return;
        }
    }
}

/// A packet in clear.
fn packet(payload: &[u8]) -> Vec<u8> {
    let mut padding = 8 - (5 + payload.len()) % 8;
    if padding < 4 {
        padding += 8;
    }
    let length = u32::try_from(1 + payload.len() + padding).expect("short");
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).expect("short"));
    packet.extend_from_slice(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}

/// The bytes that are hashed, or are the signature over the hash.
fn hashed(piece: Piece, bytes: &[u8]) -> std::ops::Range<usize> {
    match piece {
        Piece::Line => 0..bytes.len() - 2,
        Piece::Clear(20 | 30 | 31) => 5..bytes.len() - usize::from(bytes[4]),
        _ => 0..0,
    }
}

#[test]
fn k8_every_byte_of_everything_that_is_hashed() {
    // What there is to change.
    let mut places = Vec::new();
    let mut duel = honest(CipherAlgorithm::Aes128Gcm);
    between(&mut duel, |from, piece, bytes| {
        places.extend(hashed(piece, &bytes).map(|at| (from, piece, at)));
        bytes
    });
    assert!(duel.victim.peer.is_authenticated(), "untouched it comes up");
    drop(duel);
    assert!(places.len() > 700, "{}", places.len());
    in_every_way(|| {
        let mut signatures = 0;
        for &(side, which, at) in &places {
            for bits in [0x01, 0x80] {
                let mut duel = honest(CipherAlgorithm::Aes128Gcm);
                between(&mut duel, |from, piece, mut bytes| {
                    if (from, piece) == (side, which) {
                        bytes[at] ^= bits;
                    }
                    bytes
                });
                let what = (side, which, at, bits);
                let (client, server) = (&duel.victim, &duel.attacker);
                assert!(!client.seen.log.has("HostKey"), "{what:?}: a question");
                assert!(!client.peer.is_authenticated(), "{what:?}");
                assert!(!server.peer.is_authenticated(), "{what:?}");
                let keys = "Transport(KeysExchanged";
                assert!(!client.seen.log.has(keys) && !server.seen.log.has(keys));
                let signature =
                    |e: &Error| matches!(e, Error::KeyExchange(KeyExchangeError::Signature));
                if matches!(&client.seen.end, Some(End::Error(e)) if signature(e)) {
                    let reason = DisconnectReason::KEY_EXCHANGE_FAILED;
                    duel.refused(&what, signature, reason);
                    signatures += 1;
                }
            }
        }
        // Cookies, reserved fields, versions, public values, and the signature itself.
        assert!(signatures > 400, "{signatures}");
    });
}

/// `(where, what)`: before the piece `where` of the server, or of the client, `what` is inserted.
fn inserted(from: Role, before: u8, payload: &[u8]) -> Duel<Client, Server> {
    let mut duel = honest(CipherAlgorithm::ChaCha20Poly1305);
    between(&mut duel, |sender, piece, bytes| {
        if (sender, piece) == (from, Piece::Clear(before)) {
            [packet(payload), bytes].concat()
        } else {
            bytes
        }
    });
    duel
}

/// The receiver of `from` ended with UnexpectedMessage, or with a KEXINIT that was not first. (The
/// other side may have come further: a client does not wait before it logs in.)
#[track_caller]
fn told_off(duel: &Duel<Client, Server>, from: Role, number: u8) {
    let (seen, authenticated) = receiver(duel, from);
    assert!(!authenticated, "{from:?} {number}");
    let rule = match &seen.end {
        Some(End::Error(Error::PeerMisbehaved(rule))) => *rule,
        end => panic!("{from:?} {number}: {end:?}"),
    };
    let fits = rule == PeerMisbehaved::StrictKexSequence
        || rule == PeerMisbehaved::UnexpectedMessage(number);
    assert!(fits, "{from:?} {number}: {rule}");
}

/// What the side saw to which `from` speaks, and whether it is past authentication.
fn receiver(duel: &Duel<Client, Server>, from: Role) -> (&Seen, bool) {
    let (client, server) = (&duel.victim, &duel.attacker);
    match from {
        Role::Client => (&server.seen, server.peer.is_authenticated()),
        Role::Server => (&client.seen, client.peer.is_authenticated()),
    }
}

#[test]
fn s8_whatever_is_inserted_into_the_handshake_ends_it() {
    in_every_way(|| {
        let payloads: [&[u8]; 6] = [
            b"\x02\0\0\0\0",
            b"\x03\0\0\0\0",
            b"\x04\0\0\0\0\0\0\0\0\0",
            b"\x07\0\0\0\0",
            b"\x05\0\0\0\x0cssh-userauth",
            b"\x32\0\0\0\x03eve\0\0\0\x0essh-connection\0\0\0\x04none",
        ];
        for payload in payloads {
            for (from, befores) in [(Role::Client, [20, 30, 21]), (Role::Server, [20, 31, 21])] {
                for before in befores {
                    let duel = inserted(from, before, payload);
                    told_off(&duel, from, payload[0]);
                }
            }
        }
    });
}

#[test]
fn s8_the_first_encrypted_messages_cannot_be_removed() {
    in_every_way(|| {
        let mut noticed = 0;
        for &cipher in CipherAlgorithm::ALL {
            for side in [Role::Client, Role::Server] {
                for insert in [false, true] {
                    let mut duel = honest(cipher);
                    let mut removed = false;
                    between(&mut duel, |from, piece, bytes| {
                        if from != side {
                            return bytes;
                        }
                        match piece {
                            // Its number would make up for the one that is removed.
                            Piece::Clear(21) if insert => {
                                [packet(&[2, 0, 0, 0, 0]), bytes].concat()
                            }
                            Piece::Encrypted if !removed => {
                                removed = true;
                                Vec::new()
                            }
                            _ => bytes,
                        }
                    });
                    if insert {
                        told_off(&duel, side, 2);
                        continue;
                    }
                    let (seen, authenticated) = receiver(&duel, side);
                    assert!(!authenticated, "{cipher} {side:?}");
                    let end = &seen.end;
                    // Under another number a length decrypts to something else.
                    let length = |e: &Error| {
                        matches!(
                            e,
                            Error::Limit(LimitExceeded::Packet(_))
                                | Error::PeerMisbehaved(PeerMisbehaved::PacketLength(_))
                        )
                    };
                    let integrity = |e: &Error| matches!(e, Error::Integrity) || length(e);
                    let integrity = matches!(end, Some(End::Error(e)) if integrity(e));
                    // Where nothing was to follow, it waits.
                    assert!(integrity || end.is_none(), "{cipher} {side:?}: {end:?}");
                    noticed += usize::from(integrity);
                }
            }
        }
        assert!(noticed >= CipherAlgorithm::ALL.len(), "{noticed}");
    });
}

/// A peer that knows nothing of strict key exchange: what that costs is said.
#[test]
fn s8_without_strict_key_exchange_the_weakness_is_reported() {
    fn report<P: Subject>(cipher: &str, mac: &str, strict: bool) -> bool {
        let mut config = P::config();
        P::transport(&mut config).algorithms = Preset::legacy().algorithms(P::ROLE);
        let mut bench = Bench::<P>::with(config, strict).up_to(Stage::KexInit);
        for slot in [2, 3] {
            bench.raw.offer.lists[slot] = cipher.to_owned();
            bench.raw.offer.lists[slot + 2] = mac.to_owned();
        }
        bench.proper(Stage::KexInit);
        bench.turn();
        // The raw peer does not have this cipher.
        bench.reads = false;
        bench.proper(Stage::Method);
        bench.turn();
        let negotiated = bench.peer.negotiated().expect("agreed");
        assert_eq!(negotiated.strict_kex, strict);
        negotiated.prefix_truncation_possible()
    }
    in_every_way(|| {
        for (cipher, mac, weak) in [
            ("chacha20-poly1305@openssh.com", "", true),
            ("aes256-gcm@openssh.com", "", false),
            ("aes256-ctr", "hmac-sha2-256", false),
            ("aes128-cbc", "hmac-sha2-256-etm@openssh.com", true),
            ("3des-cbc", "umac-128-etm@openssh.com", true),
            ("aes128-cbc", "hmac-sha2-256", false),
        ] {
            assert_eq!(report::<Client>(cipher, mac, false), weak, "{cipher}");
            assert_eq!(report::<Server>(cipher, mac, false), weak, "{cipher}");
            assert!(!report::<Client>(cipher, mac, true), "{cipher}");
            assert!(!report::<Server>(cipher, mac, true), "{cipher}");
        }
    });
}
