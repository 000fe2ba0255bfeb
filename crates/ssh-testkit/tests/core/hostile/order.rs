//! Messages at the wrong time, from the wrong side, or in the wrong order: rows S and R5. One message
//! alone, whatever it is and in whatever state, is in `gate`.

use ssh_proto::error::{End, Error, PeerMisbehaved};
use ssh_proto::message::{
    ChannelOpen, ChannelOpenType, DebugMessage, Disconnect, DisconnectReason, Ignore,
    Unimplemented, Wire, number,
};
use ssh_proto::{Client, Server};
use ssh_testkit::raw::{Bench, Offer, Stage, Subject, in_every_way};

const PROTOCOL: DisconnectReason = DisconnectReason::PROTOCOL_ERROR;

fn encoded<'m, M: Wire<'m>>(message: &M) -> Vec<u8> {
    let mut payload = Vec::new();
    message.encode(&mut payload);
    payload
}

fn unexpected(number: u8) -> impl Fn(&Error) -> bool {
    move |error| match error {
        Error::PeerMisbehaved(PeerMisbehaved::UnexpectedMessage(n)) => *n == number,
        // A KEXINIT out of turn has errors of its own.
        Error::PeerMisbehaved(
            PeerMisbehaved::KexInitTwice | PeerMisbehaved::RekeyBeforeAuthentication,
        ) => number == 20,
        _ => false,
    }
}

/// Something well-formed for the numbers that are tolerated, the bare number for the others.
fn sample(n: u8) -> Vec<u8> {
    match n {
        1 => encoded(&Disconnect {
            reason_code: DisconnectReason::BY_APPLICATION,
            description: b"",
            language_tag: b"",
        }),
        2 => encoded(&Ignore { data: b"x" }),
        3 => encoded(&Unimplemented {
            packet_sequence_number: 0,
        }),
        4 => encoded(&DebugMessage {
            always_display: true,
            message: b"x",
            language_tag: b"",
        }),
        n => vec![n],
    }
}

/// S10: before our first NEWKEYS nothing leaves that is worth anything.
fn nothing_leaks<P: Subject>(bench: &Bench<P>, what: &str) {
    let numbers = bench.raw.numbers(0);
    let before = numbers.iter().take_while(|&&n| n != 21);
    for n in before {
        assert!(
            matches!(n, 1..=4 | 20 | 30..=49),
            "{what}: sent {n} in clear"
        );
    }
}

fn s1<P: Subject>() {
    for n in 2..=4 {
        let mut bench = Bench::<P>::at(Stage::KexInit, true);
        bench.send(&sample(n));
        bench.lives(&n);
        bench.proper(Stage::KexInit);
        bench.turn();
        let strict =
            |e: &Error| matches!(e, Error::PeerMisbehaved(PeerMisbehaved::StrictKexSequence));
        bench.refused(&n, strict, PROTOCOL);

        let mut bench = Bench::<P>::at(Stage::KexInit, false);
        bench.send(&sample(n));
        for stage in &Stage::ALL[1..6] {
            bench.proper(*stage);
            bench.turn();
        }
        assert!(
            bench.peer.is_authenticated(),
            "not strict: it is no offence"
        );
    }
}

#[test]
fn s1_a_message_before_kexinit_is_found_out_by_its_number() {
    in_every_way(|| {
        s1::<Client>();
        s1::<Server>();
    });
}

fn s2<P: Subject>(number: u8) {
    for strict in [false, true] {
        for rekey in [false, true] {
            let stage = if rekey {
                Stage::RekeyMethod
            } else {
                Stage::Method
            };
            let mut bench = Bench::<P>::at(stage, strict);
            bench.proper(stage);
            let again = bench.raw.last.clone();
            bench.turn();
            bench.send(&again);
            bench.refused(&stage, unexpected(number), PROTOCOL);
        }
    }
}

#[test]
fn s2_a_method_message_twice() {
    in_every_way(|| {
        s2::<Server>(30);
        s2::<Client>(31);
    });
}

fn s3<P: Subject>() {
    let open = encoded(&ChannelOpen {
        sender_channel: 0,
        initial_window_size: 1 << 20,
        maximum_packet_size: 1 << 15,
        channel_type: ChannelOpenType::Session,
    });
    for strict in [false, true] {
        for stage in [Stage::Method, Stage::NewKeys] {
            let mut bench = Bench::<P>::at(stage, strict);
            // In one flight with all that would follow.
            bench.raw.payload(&open);
            bench.proper(stage);
            bench.turn();
            bench.refused(&stage, unexpected(90), PROTOCOL);
            assert!(bench.seen.channels.is_empty());
            assert!(!bench.seen.log.has("OpenRequest"));
        }
    }
}

#[test]
fn s3_s4_a_channel_open_in_the_key_exchange_is_neither_kept_nor_replayed() {
    in_every_way(|| {
        s3::<Server>();
        s3::<Client>();
    });
}

fn rekey<P: Subject>(bench: &mut Bench<P>) {
    for stage in [Stage::Connected, Stage::RekeyMethod, Stage::RekeyNewKeys] {
        bench.proper(stage);
        bench.turn();
    }
}

/// What number the subject gives to the next packet.
fn seq_seen<P: Subject>(bench: &mut Bench<P>) -> u32 {
    let got = bench.raw.got.len();
    bench.send(&[200]);
    let answer = Unimplemented::decode(&bench.raw.got[got]).expect("UNIMPLEMENTED");
    answer.packet_sequence_number
}

fn s6<P: Subject>() {
    for strict in [true, false] {
        let mut bench = Bench::<P>::at(Stage::Connected, strict);
        let mut before = 0;
        for _ in 0..5 {
            rekey(&mut bench);
            let expected = bench.raw.send_seq;
            let seen = seq_seen(&mut bench);
            assert_eq!(seen, expected);
            assert_eq!(seen == 0, strict, "{seen}");
            assert!(strict || seen > before, "never reset");
            before = seen;
        }
        bench.lives(&strict);
    }
}

#[test]
fn s6_numbers_start_again_at_each_newkeys_if_strict_and_never_otherwise() {
    in_every_way(|| {
        s6::<Client>();
        s6::<Server>();
    });
}

fn s7<P: Subject>() {
    let mut bench = Bench::<P>::at(Stage::Connected, false);
    bench.raw.offer = Offer::new(P::ROLE.peer(), true);
    bench.proper(Stage::Connected);
    bench.turn();
    bench.send(&sample(2));
    bench.lives(&"IGNORE in a rekey");
    for stage in [Stage::RekeyMethod, Stage::RekeyNewKeys] {
        bench.proper(stage);
        bench.turn();
    }
    assert!(!bench.peer.negotiated().expect("keys").strict_kex);
    assert_ne!(seq_seen(&mut bench), 0, "the numbers go on");

    // The other way round: it stays on although the marker is not repeated.
    let mut bench = Bench::<P>::at(Stage::Connected, true);
    bench.raw.offer = Offer::new(P::ROLE.peer(), false);
    rekey(&mut bench);
    assert!(bench.peer.negotiated().expect("keys").strict_kex);
    assert_eq!(seq_seen(&mut bench), 0);
}

#[test]
fn s7_the_marker_counts_in_the_first_kexinit_only() {
    in_every_way(|| {
        s7::<Client>();
        s7::<Server>();
    });
}

#[test]
fn s9_a_server_is_no_client() {
    in_every_way(|| {
        for number in [31, 33, 51, 52, 53, 60, 61, 81, 82] {
            for stage in [Stage::Method, Stage::NewKeys] {
                let mut bench = Bench::<Server>::at(stage, true);
                let got = bench.raw.got.len();
                bench.send(&[number, 0, 0, 0, 1, 2]);
                bench.refused(&number, unexpected(number), PROTOCOL);
                assert_eq!(bench.raw.numbers(got), [1], "nothing was computed");
            }
        }
    });
}

#[test]
fn s9_a_client_is_no_server() {
    in_every_way(|| {
        for number in [30, 32, 34, 5, 50, 61] {
            for stage in [Stage::Method, Stage::NewKeys] {
                let mut bench = Bench::<Client>::at(stage, true);
                let got = bench.raw.got.len();
                bench.send(&[number, 0, 0, 0, 1, 2]);
                bench.refused(&number, unexpected(number), PROTOCOL);
                assert_eq!(bench.raw.numbers(got), [1], "nothing was computed");
            }
        }
    });
}

fn s11<P: Subject>() {
    for strict in [false, true] {
        let mut bench = Bench::<P>::at(Stage::NewKeys, strict);
        bench.raw.payload(&[number::SSH_MSG_NEWKEYS, 0]);
        bench.turn();
        bench.refused(&"payload", |e| matches!(e, Error::Malformed(_)), PROTOCOL);

        let mut bench = Bench::<P>::at(Stage::Service, strict);
        bench.send(&[number::SSH_MSG_NEWKEYS]);
        bench.refused(&"twice", unexpected(21), PROTOCOL);

        for early in [
            Stage::KexInit,
            Stage::Method,
            Stage::Connected,
            Stage::RekeyMethod,
        ] {
            let mut bench = Bench::<P>::at(early, strict);
            bench.send(&[number::SSH_MSG_NEWKEYS]);
            bench.refused(&early, unexpected(21), PROTOCOL);
        }
    }
}

#[test]
fn s11_newkeys_with_a_payload_or_twice_or_early() {
    in_every_way(|| {
        s11::<Client>();
        s11::<Server>();
    });
}

#[test]
fn s10_a_liar_gets_no_credentials() {
    in_every_way(|| {
        for strict in [false, true] {
            let mut bench = Bench::<Client>::at(Stage::Method, strict);
            bench.raw.lies = true;
            bench.proper(Stage::Method);
            bench.turn();
            let kex = |e: &Error| matches!(e, Error::KeyExchange(_));
            bench.refused(&"signature", kex, DisconnectReason::KEY_EXCHANGE_FAILED);
            assert!(!bench.seen.log.has("HostKey"), "it was never in question");
            nothing_leaks(&bench, "a signature over something else");
        }
    });
}

#[test]
fn r5_no_second_exchange_before_authentication_with_a_server() {
    in_every_way(|| {
        for strict in [false, true] {
            for stage in [Stage::Service, Stage::Auth] {
                let mut bench = Bench::<Server>::at(stage, strict);
                bench.raw.kexinit();
                bench.turn();
                let early = |e: &Error| {
                    matches!(
                        e,
                        Error::PeerMisbehaved(PeerMisbehaved::RekeyBeforeAuthentication)
                    )
                };
                bench.refused(&stage, early, PROTOCOL);
            }
        }
    });
}

#[test]
fn r8_a_client_serves_a_second_exchange_in_the_middle_of_authentication() {
    in_every_way(|| {
        for strict in [false, true] {
            for stage in [Stage::Service, Stage::Auth] {
                let mut bench = Bench::<Client>::at(stage, strict);
                rekey(&mut bench);
                for next in [Stage::Service, Stage::Auth] {
                    if next >= stage {
                        bench.proper(next);
                        bench.turn();
                    }
                }
                assert!(bench.peer.is_authenticated(), "{:?}", bench.seen.end);
            }
        }
    });
}

#[test]
fn h11_another_host_key_in_a_rekey() {
    in_every_way(|| {
        let mut bench = Bench::<Client>::at(Stage::Connected, true);
        bench.raw.host_key = [9; 32];
        rekey(&mut bench);
        let reason = DisconnectReason::HOST_KEY_NOT_VERIFIABLE;
        bench.refused(&"key", |e| matches!(e, Error::HostKey(_)), reason);
    });
}

#[test]
fn p14_a_disconnect_ends_it_in_every_state_and_nothing_is_sent_back() {
    in_every_way(|| {
        fn with<P: Subject>() {
            for stage in Stage::ALL.into_iter().skip(1) {
                let mut bench = Bench::<P>::at(stage, true);
                let got = bench.raw.got.len();
                bench.message(&Disconnect {
                    reason_code: DisconnectReason::TOO_MANY_CONNECTIONS,
                    description: b"\x1b[2J\xff",
                    language_tag: b"",
                });
                let Some(End::ByPeer(peer)) = &bench.seen.end else {
                    panic!("{stage:?}: {:?}", bench.seen.end);
                };
                assert_eq!(peer.reason, DisconnectReason::TOO_MANY_CONNECTIONS);
                assert!(!peer.to_string().contains('\x1b'));
                assert_eq!(bench.raw.got.len(), got);
                bench.closed(&stage);
            }
        }
        with::<Client>();
        with::<Server>();
    });
}
