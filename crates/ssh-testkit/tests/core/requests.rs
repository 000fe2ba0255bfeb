//! What a peer asks for: which of it the application hears of, and what is answered without it.

use ssh_proto::error::Misuse;
use ssh_proto::message::{
    ChannelOpen, ChannelOpenConfirmation, ChannelOpenFailure, ChannelOpenFailureReason,
    ChannelOpenType, ChannelRequest, ChannelRequestType, GlobalRequest, GlobalRequestType, List,
    Wire, number,
};
use ssh_proto::mux::{GlobalTicket, OpenTicket};
use ssh_proto::{ChannelEvent, Client, GlobalEvent, PeerEvent, Role, Server};
use ssh_testkit::raw::{Bench, Stage, Subject};

const SUCCESS: [u8; 1] = [number::SSH_MSG_REQUEST_SUCCESS];
const FAILURE: [u8; 1] = [number::SSH_MSG_REQUEST_FAILURE];

fn connected<P: Subject>() -> Bench<P> {
    Bench::at(Stage::Connected, true)
}

/// Asks for it and wants a reply: whether the application hears of it and grants it, and the numbers
/// of what comes back.
fn asked<P: Subject>(bench: &mut Bench<P>, request: GlobalRequestType<'_>) -> (bool, Vec<u8>) {
    let (got, mut heard) = (bench.raw.got.len(), false);
    bench.raw.message(&GlobalRequest {
        want_reply: true,
        request,
    });
    bench.turn_with(|peer, event, _| match event.into() {
        PeerEvent::Global(GlobalEvent::Request { ticket, .. }) => {
            heard = true;
            peer.accept_global(ticket, b"").expect("mine");
        }
        other => panic!("{other:?}"),
    });
    (heard, bench.raw.numbers(got))
}

fn session(n: u32) -> ChannelOpen<'static> {
    open(n, ChannelOpenType::Session)
}

const fn open(n: u32, channel_type: ChannelOpenType<'_>) -> ChannelOpen<'_> {
    ChannelOpen {
        sender_channel: n,
        initial_window_size: 1000,
        maximum_packet_size: 1000,
        channel_type,
    }
}

#[test]
fn which_global_requests_are_heard_of_goes_with_the_role() {
    let forward = GlobalRequestType::TcpipForward {
        address_to_bind: b"",
        port_number_to_bind: 0,
    };
    let prove = GlobalRequestType::HostkeysProve { keys: List::EMPTY };
    let hostkeys = GlobalRequestType::Hostkeys { keys: List::EMPTY };
    let unknown = GlobalRequestType::Unknown {
        name: "x@example.com",
        data: b"",
    };
    for (request, by_client, by_server) in [
        (forward, false, true),
        (prove, false, true),
        (hostkeys, true, false),
        (unknown, true, true),
        (GlobalRequestType::Keepalive, false, false),
    ] {
        let answer = |heard| (heard, if heard { SUCCESS } else { FAILURE }.to_vec());
        let shown = format!("{request:?}");
        assert_eq!(
            asked(&mut connected::<Client>(), request),
            answer(by_client),
            "{shown}"
        );
        assert_eq!(
            asked(&mut connected::<Server>(), request),
            answer(by_server),
            "{shown}"
        );
    }
}

/// OpenSSH PROTOCOL 2.2: after that no session is opened any more, and everything else may be.
#[test]
fn x14_no_more_sessions_is_a_promise_that_the_server_keeps_its_client_to() {
    let request = GlobalRequestType::NoMoreSessions;
    let mut client = connected::<Client>();
    assert_eq!(
        asked(&mut client, request),
        (false, FAILURE.to_vec()),
        "of a server"
    );
    let mut bench = connected::<Server>();
    bench.message(&session(0));
    assert_eq!(bench.seen.channels.len(), 1, "not promised yet");
    assert_eq!(asked(&mut bench, request), (false, SUCCESS.to_vec()));
    bench.message(&session(1));
    let refused = bench.raw.got.last().expect("an answer");
    let refused = ChannelOpenFailure::decode(refused).expect("a failure");
    let prohibited = ChannelOpenFailureReason::ADMINISTRATIVELY_PROHIBITED;
    assert_eq!(
        (refused.recipient_channel, refused.reason_code),
        (1, prohibited)
    );
    bench.message(&open(
        1,
        ChannelOpenType::DirectTcpip {
            host_to_connect: b"localhost",
            port_to_connect: 80,
            originator_ip_address: b"",
            originator_port: 0,
        },
    ));
    assert_eq!(bench.seen.channels.len(), 2);
}

/// The requests on a channel of which the application hears, and what is answered.
fn on_channel<P: Subject>(request: ChannelRequestType<'_>) -> (String, Vec<u8>) {
    let mut bench = connected::<P>();
    if P::ROLE == Role::Client {
        bench.peer.open_session().expect("connected");
        bench.turn();
        bench.message(&ChannelOpenConfirmation {
            recipient_channel: 0,
            sender_channel: 0,
            initial_window_size: 0,
            maximum_packet_size: 1000,
        });
    } else {
        bench.message(&session(0));
    }
    let (got, mut heard) = (bench.raw.got.len(), String::new());
    bench.raw.message(&ChannelRequest {
        recipient_channel: 0,
        want_reply: true,
        request,
    });
    bench.turn_with(|peer, event, _| match event.into() {
        PeerEvent::Channel(ChannelEvent::Request { ticket, .. }) => {
            heard = "Request".into();
            peer.accept_request(ticket).expect("mine");
        }
        PeerEvent::Channel(event) => {
            let shown = format!("{event:?}");
            heard = shown.split(' ').next().unwrap_or_default().into();
        }
        other => panic!("{other:?}"),
    });
    (heard, bench.raw.numbers(got))
}

#[test]
fn which_requests_on_a_channel_are_heard_of_goes_with_the_role() {
    let signal = ChannelRequestType::ExitSignal {
        signal_name: b"KILL",
        core_dumped: true,
        error_message: b"",
        language_tag: b"",
    };
    let unknown = ChannelRequestType::Unknown {
        name: "x@example.com",
        data: b"",
    };
    let xon = ChannelRequestType::XonXoff {
        client_can_do: true,
    };
    for (request, by_client, by_server) in [
        (ChannelRequestType::Shell, "", "Request"),
        (ChannelRequestType::Break { break_length: 0 }, "", "Request"),
        (
            ChannelRequestType::ExitStatus { exit_status: 1 },
            "ExitStatus",
            "",
        ),
        (signal, "ExitSignal", ""),
        (xon, "Request", ""),
        (unknown, "Request", "Request"),
        (ChannelRequestType::Keepalive, "", ""),
        (ChannelRequestType::Eow, "", ""),
    ] {
        let shown = format!("{request:?}");
        for (answer, heard) in [
            (on_channel::<Client>(request), by_client),
            (on_channel::<Server>(request), by_server),
        ] {
            let number = if heard.is_empty() {
                number::SSH_MSG_CHANNEL_FAILURE
            } else {
                number::SSH_MSG_CHANNEL_SUCCESS
            };
            assert_eq!(answer, (heard.to_owned(), vec![number]), "{shown}");
        }
    }
}

#[test]
fn why_a_channel_is_refused_may_be_said_at_some_length() {
    // The last one is cut where a character begins.
    let long = format!("x{}", "\u{e9}".repeat(8192));
    for (description, said) in [("no", "no"), ("", ""), (&long, &long[..16 * 1024 - 1])] {
        let mut bench = connected::<Server>();
        bench.raw.message(&session(7));
        let mut ticket: Option<OpenTicket> = None;
        bench.turn_with(|server, event, _| {
            let PeerEvent::Channel(ChannelEvent::OpenRequest { ticket: t, .. }) = event.into()
            else {
                panic!("something else");
            };
            server.defer(&t).expect("mine");
            ticket = Some(t);
        });
        let reason = ChannelOpenFailureReason::CONNECT_FAILED;
        let ticket = ticket.expect("a ticket");
        bench
            .peer
            .reject_channel(ticket, reason, description)
            .expect("mine");
        bench.turn();
        let failure = bench.raw.got.last().expect("an answer");
        let failure = ChannelOpenFailure::decode(failure).expect("a failure");
        assert_eq!(
            (failure.recipient_channel, failure.reason_code),
            (7, reason)
        );
        assert_eq!(failure.description, said.as_bytes());
    }
}

#[test]
fn a_global_request_whose_reply_would_be_too_long_is_refused_at_once() {
    for (length, answer) in [(1024, SUCCESS), (1025, FAILURE)] {
        let mut bench = connected::<Server>();
        bench.raw.message(&GlobalRequest {
            want_reply: true,
            request: GlobalRequestType::TcpipForward {
                address_to_bind: b"",
                port_number_to_bind: 0,
            },
        });
        let mut ticket: Option<GlobalTicket> = None;
        bench.turn_with(|server, event, _| {
            let PeerEvent::Global(GlobalEvent::Request { ticket: t, .. }) = event.into() else {
                panic!("something else");
            };
            server.defer(&t).expect("mine");
            ticket = Some(t);
        });
        let got = bench.raw.got.len();
        let ticket = ticket.expect("a ticket");
        let granted = bench.peer.accept_global(ticket, &vec![1; length]);
        assert_eq!(
            granted,
            if answer == SUCCESS {
                Ok(())
            } else {
                Err(Misuse::Value)
            }
        );
        bench.turn();
        assert_eq!(bench.raw.numbers(got), answer, "{length}");
    }
}
