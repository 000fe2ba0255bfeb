//! Requests and forwards against the rules: rows X10, X11, X14 to X17 and C9.

use std::time::Duration;

use ssh_proto::error::{Error, LimitExceeded, Misuse, PeerMisbehaved, RequestError};
use ssh_proto::message::{
    ChannelOpen, ChannelOpenFailure, ChannelOpenFailureReason, ChannelOpenType, ChannelRequest,
    ChannelRequestType, DisconnectReason, GlobalRequest, GlobalRequestType, Wire,
};
use ssh_proto::mux::Reply;
use ssh_proto::{ChannelEvent, Client, ClientConfig, ClientEvent, Server, ServerEvent, Wants};
use ssh_testkit::raw::{Bench, Stage, Subject, in_every_way};

use super::common::{PROTOCOL, channel, connected, encoded, misbehaved, open_as};

both_roles! {
    x10_requests_from_a_peer_that_does_not_read => x10;
    x11_malformed_requests => x11;
}

fn x10<P: Subject>() {
    let requests = [
        encoded(&GlobalRequest {
            want_reply: true,
            request: GlobalRequestType::Keepalive,
        }),
        encoded(&ChannelRequest {
            recipient_channel: 0,
            want_reply: true,
            request: ChannelRequestType::Unknown {
                name: "x",
                data: b"",
            },
        }),
        open_as(7, 0, 0),
    ];
    for request in requests {
        let mut bench = connected::<P>();
        channel(&mut bench, 1000, 1000);
        bench.reads = false;
        let mut sent = 0;
        while matches!(bench.peer.wants(), Wants::Bytes(_)) {
            bench.send(&request);
            sent += 1;
            assert!(sent < 50_000, "it reads for ever");
        }
        assert_eq!(bench.peer.wants(), Wants::Output);
        let waiting = bench.peer.output().len();
        assert!(waiting < 300 * 1024, "{waiting}");
        let begin = bench.now.since_epoch();
        assert!(bench.wait());
        assert_eq!(bench.now.since_epoch() - begin, Duration::from_secs(60));
        bench.reads = true;
        bench.collect();
        bench.refused(&request, |_| true, DisconnectReason::CONNECTION_LOST);
    }
}

/// Replies that are due stand behind one that the application takes its time for. There may not
/// be any number of them.
#[test]
fn x10_replies_behind_a_deferred_ticket_are_bounded() {
    in_every_way(|| {
        let mut bench = connected::<Client>();
        channel(&mut bench, 1000, 1000);
        let unknown = ChannelRequest {
            recipient_channel: 0,
            want_reply: true,
            request: ChannelRequestType::Unknown {
                name: "wait-for-me",
                data: b"",
            },
        };
        let granted = ChannelRequest {
            recipient_channel: 0,
            want_reply: true,
            request: ChannelRequestType::ExitStatus { exit_status: 0 },
        };
        let refused = ChannelRequest {
            recipient_channel: 0,
            want_reply: true,
            request: ChannelRequestType::Keepalive,
        };
        bench.raw.message(&unknown);
        let mut tickets = Vec::new();
        bench.turn_with(|client, event, _| {
            if let ClientEvent::Channel(ChannelEvent::Request { ticket, .. }) = event {
                client.defer(&ticket).expect("mine");
                tickets.push(ticket);
            }
        });
        assert_eq!(tickets.len(), 1);
        // As many as anybody needs wait, and leave all at once.
        let got = bench.raw.got.len();
        for _ in 0..90 {
            bench.message(&granted);
            bench.message(&refused);
        }
        assert_eq!(bench.raw.got.len(), got, "one after the other");
        let first = tickets.pop().expect("one");
        bench.peer.refuse_request(first).expect("mine");
        bench.turn();
        let expected: Vec<u8> = [100].into_iter().chain([99, 100].repeat(90)).collect();
        assert_eq!(bench.raw.numbers(got), expected);

        for flood in [&[granted, refused][..], &[refused], &[granted]] {
            let mut bench = connected::<Client>();
            channel(&mut bench, 1000, 1000);
            bench.raw.message(&unknown);
            bench.turn_with(|client, event, _| {
                if let ClientEvent::Channel(ChannelEvent::Request { ticket, .. }) = event {
                    client.defer(&ticket).expect("mine");
                }
            });
            for _ in 0..50_000 {
                for request in flood {
                    bench.raw.message(request);
                }
            }
            bench.turn();
            let control = |e: &Error| matches!(e, Error::Limit(LimitExceeded::Control));
            bench.refused(&"replies", control, PROTOCOL);
        }
    });
}

/// As above, for the replies to global requests.
#[test]
fn x10_global_replies_behind_a_deferred_ticket_are_bounded() {
    in_every_way(|| {
        let mut bench = connected::<Server>();
        let forward = GlobalRequest {
            want_reply: true,
            request: GlobalRequestType::TcpipForward {
                address_to_bind: b"",
                port_number_to_bind: 0,
            },
        };
        bench.raw.message(&forward);
        let mut tickets = Vec::new();
        bench.turn_with(|server, event, _| {
            if let ServerEvent::Global(ssh_proto::GlobalEvent::Request { ticket, .. }) = event {
                server.defer(&ticket).expect("mine");
                tickets.push(ticket);
            }
        });
        for _ in 0..100_000 {
            for request in [
                GlobalRequestType::NoMoreSessions,
                GlobalRequestType::Keepalive,
            ] {
                bench.raw.message(&GlobalRequest {
                    want_reply: true,
                    request,
                });
            }
        }
        bench.turn();
        let control = |e: &Error| matches!(e, Error::Limit(LimitExceeded::Control));
        bench.refused(&"replies", control, PROTOCOL);
    });
}

fn x11<P: Subject>() {
    for (name, body) in [
        ("pty-req", &b"\0\0\0\x05xterm\0\0"[..]),
        ("env", b"\0\0\0\xffx"),
        ("exec", b"\xff\xff\xff\xff"),
        ("exit-status", b"\0\0\0"),
        ("exit-signal", b"\0\0\0\x03KIL"),
        ("signal", b""),
        ("window-change", b"\0\0\0\x01"),
        ("x11-req", b"\x01"),
        ("subsystem", b"\0\0\0\x04sft"),
    ] {
        let mut payload = vec![98, 0, 0, 0, 0];
        payload.extend_from_slice(&u32::try_from(name.len()).expect("short").to_be_bytes());
        payload.extend_from_slice(name.as_bytes());
        payload.push(1);
        payload.extend_from_slice(body);
        let mut bench = connected::<P>();
        channel(&mut bench, 1000, 1000);
        let events = bench.seen.events;
        bench.send(&payload);
        bench.refused(&name, |e| matches!(e, Error::Malformed(_)), PROTOCOL);
        assert_eq!(bench.seen.events, events + 1);
    }
    let mut bench = connected::<P>();
    channel(&mut bench, 1000, 1000);
    for _ in 0..1000 {
        bench.message(&ChannelRequest {
            recipient_channel: 0,
            want_reply: false,
            request: ChannelRequestType::ExitSignal {
                signal_name: b"KILL",
                core_dumped: true,
                error_message: b"",
                language_tag: b"",
            },
        });
    }
    bench.lives(&"1000 exit-signals");
}

#[test]
fn c9_a_server_opens_nothing_that_was_not_asked_for() {
    in_every_way(|| {
        let types = [
            ChannelOpenType::Session,
            ChannelOpenType::DirectTcpip {
                host_to_connect: b"h",
                port_to_connect: 22,
                originator_ip_address: b"",
                originator_port: 0,
            },
            ChannelOpenType::ForwardedTcpip {
                connected_address: b"",
                connected_port: 80,
                originator_ip_address: b"",
                originator_port: 0,
            },
            ChannelOpenType::AuthAgent,
            ChannelOpenType::Unknown {
                name: "tun@openssh.com",
                data: b"\0\0\0\x01",
            },
            ChannelOpenType::ForwardedStreamlocal {
                socket_path: b"/x",
                reserved: b"",
            },
        ];
        let mut bench = connected::<Client>();
        let events = bench.seen.events;
        for channel_type in types {
            bench.message(&ChannelOpen {
                sender_channel: 4,
                initial_window_size: 1000,
                maximum_packet_size: 1000,
                channel_type,
            });
            let answer = ChannelOpenFailure::decode(bench.raw.got.last().expect("an answer"));
            let answer = answer.expect("a failure");
            let prohibited = ChannelOpenFailureReason::ADMINISTRATIVELY_PROHIBITED;
            assert_eq!(
                (answer.recipient_channel, answer.reason_code),
                (4, prohibited)
            );
        }
        assert_eq!(bench.seen.events, events, "the application was not asked");
        bench.lives(&"refused");
    });
}

/// The types that a bench of a client names, and forwards that were asked for, are not in the way.
#[test]
fn c9_x14_not_even_x11_before_it_was_asked_for() {
    in_every_way(|| {
        let config = ClientConfig::default();
        let mut bench = Bench::<Client>::with(config, true).up_to(Stage::Connected);
        let events = bench.seen.events;
        let x11 = ChannelOpenType::X11 {
            originator_address: b"127.0.0.1",
            originator_port: 6010,
        };
        assert_eq!(opened(&mut bench, x11), PROHIBITED);
        let streamlocal = ChannelOpenType::DirectStreamlocal {
            socket_path: b"/x",
            reserved: b"",
            reserved_number: 0,
        };
        assert_eq!(opened(&mut bench, streamlocal), PROHIBITED);
        assert_eq!(bench.seen.events, events, "the application was not asked");
        bench.lives(&"refused");
    });
}

const PROHIBITED: Option<ChannelOpenFailureReason> =
    Some(ChannelOpenFailureReason::ADMINISTRATIVELY_PROHIBITED);

/// Opens a channel of this type and returns the reason of the failure, if it is one. The application
/// says yes to everything that it is asked.
fn opened<P: Subject>(
    bench: &mut Bench<P>,
    channel_type: ChannelOpenType<'_>,
) -> Option<ChannelOpenFailureReason> {
    bench.raw.message(&open_of(channel_type));
    bench.turn();
    failure(bench)
}

const fn open_of(channel_type: ChannelOpenType<'_>) -> ChannelOpen<'_> {
    ChannelOpen {
        sender_channel: 4,
        initial_window_size: 1000,
        maximum_packet_size: 1000,
        channel_type,
    }
}

fn failure<P: Subject>(bench: &Bench<P>) -> Option<ChannelOpenFailureReason> {
    let answer = bench.raw.got.last().expect("an answer");
    let failure = ChannelOpenFailure::decode(answer).ok()?;
    assert_eq!(failure.recipient_channel, 4);
    Some(failure.reason_code)
}

const fn forwarded(connected_port: u32) -> ChannelOpenType<'static> {
    ChannelOpenType::ForwardedTcpip {
        connected_address: b"",
        connected_port,
        originator_ip_address: b"127.0.0.1",
        originator_port: 5,
    }
}

const fn forward(port_number_to_bind: u32) -> GlobalRequestType<'static> {
    GlobalRequestType::TcpipForward {
        address_to_bind: b"",
        port_number_to_bind,
    }
}

const fn cancel(port_number_to_bind: u32) -> GlobalRequestType<'static> {
    GlobalRequestType::CancelTcpipForward {
        address_to_bind: b"",
        port_number_to_bind,
    }
}

/// A client's forward: granted, cancelled, cancelled again.
#[test]
fn x14_c9_a_forward_that_was_cancelled_is_gone_and_cancelling_it_again_is_harmless() {
    in_every_way(|| {
        let mut bench = connected::<Client>();
        let ask = |bench: &mut Bench<Client>, request, answer: &[u8]| {
            let asked = bench.peer.global_request(request, Reply::Wanted);
            assert!(asked.expect("connected").is_some());
            bench.turn();
            bench.send(answer);
        };
        assert_eq!(opened(&mut bench, forwarded(8080)), PROHIBITED, "not yet");
        ask(&mut bench, forward(8080), &[82]);
        assert_eq!(opened(&mut bench, forwarded(8080)), PROHIBITED, "refused");
        ask(&mut bench, forward(8080), &[81]);
        assert_eq!(opened(&mut bench, forwarded(8080)), None);
        for other in [8081, 8080 + 65536, 0] {
            assert_eq!(opened(&mut bench, forwarded(other)), PROHIBITED, "{other}");
        }
        ask(&mut bench, cancel(8080), &[82]);
        assert_eq!(opened(&mut bench, forwarded(8080)), None, "still there");
        ask(&mut bench, cancel(8080), &[81]);
        assert_eq!(opened(&mut bench, forwarded(8080)), PROHIBITED);
        ask(&mut bench, cancel(8080), &[81]);
        assert_eq!(opened(&mut bench, forwarded(8080)), PROHIBITED);
        bench.lives(&"cancelled twice");
        bench.send(&[81]);
        let unrequested = misbehaved(PeerMisbehaved::UnrequestedReply);
        bench.refused(&"a third answer", unrequested, PROTOCOL);
    });
}

/// The port that a server chose must be one.
#[test]
fn x16_a_server_chooses_a_port_that_exists() {
    in_every_way(|| {
        for (answer, right) in [
            (&[81, 0, 0, 0xff, 0xff][..], true),
            (&[81, 0, 1, 0, 0], false),
            (&[81, 0xff, 0xff, 0xff, 0xff], false),
            (&[81, 0, 0, 1], false),
            (&[81], false),
        ] {
            let mut bench = connected::<Client>();
            let asked = bench.peer.global_request(forward(0), Reply::Wanted);
            assert!(asked.expect("connected").is_some());
            bench.turn();
            bench.send(answer);
            if right {
                assert_eq!(opened(&mut bench, forwarded(0xffff)), None);
                bench.lives(&answer);
            } else {
                bench.refused(&answer, misbehaved(PeerMisbehaved::Value), PROTOCOL);
            }
        }
    });
}

const fn direct(host_to_connect: &[u8], port_to_connect: u32) -> ChannelOpenType<'_> {
    ChannelOpenType::DirectTcpip {
        host_to_connect,
        port_to_connect,
        originator_ip_address: b"",
        originator_port: 0,
    }
}

const fn path(socket_path: &[u8]) -> ChannelOpenType<'_> {
    ChannelOpenType::DirectStreamlocal {
        socket_path,
        reserved: b"",
        reserved_number: 0,
    }
}

/// Sends a request that wants a reply and returns the reply's number. What the application does,
/// `agrees` says.
fn replied(bench: &mut Bench<Server>, request: GlobalRequestType<'_>, agrees: bool) -> u8 {
    let got = bench.raw.got.len();
    bench.raw.message(&GlobalRequest {
        want_reply: true,
        request,
    });
    if agrees {
        bench.turn();
    } else {
        bench.turn_with(|_, _, _| {});
    }
    let numbers = bench.raw.numbers(got);
    assert_eq!(numbers.len(), 1, "{numbers:?}");
    numbers[0]
}

/// An application that looks at nothing has forwarded nothing.
#[test]
fn x16_every_kind_of_forward_is_refused_unless_somebody_grants_it() {
    in_every_way(|| {
        let mut bench = connected::<Server>();
        for channel_type in [
            ChannelOpenType::Session,
            direct(b"localhost", 22),
            path(b"/run/docker.sock"),
            forwarded(80),
            ChannelOpenType::ForwardedStreamlocal {
                socket_path: b"/x",
                reserved: b"",
            },
            ChannelOpenType::X11 {
                originator_address: b"",
                originator_port: 0,
            },
            ChannelOpenType::AuthAgent,
            ChannelOpenType::Unknown {
                name: "tun@openssh.com",
                data: b"\0\0\0\x01\x7f\xff\xff\xff",
            },
        ] {
            bench.raw.message(&open_of(channel_type));
            bench.turn_with(|_, _, _| {});
            assert_eq!(failure(&bench), PROHIBITED, "{channel_type:?}");
        }
        for request in [
            forward(8080),
            forward(0),
            cancel(8080),
            GlobalRequestType::StreamlocalForward { socket_path: b"/x" },
            GlobalRequestType::CancelStreamlocalForward { socket_path: b"/x" },
            GlobalRequestType::Unknown {
                name: "x@example.com",
                data: b"",
            },
        ] {
            assert_eq!(replied(&mut bench, request, false), 82, "{request:?}");
        }
        assert_eq!(bench.peer.channels(), 0);
        bench.lives(&"nothing was forwarded");
    });
}

/// A port that is none and a host that is none are refused whatever the policy.
#[test]
fn x16_j1_addresses_that_cannot_be_are_refused_without_asking() {
    in_every_way(|| {
        let mut bench = connected::<Server>();
        let events = bench.seen.events;
        let long = vec![b'a'; 64 * 1024];
        for (host, port) in [
            (&b"localhost"[..], 65536),
            (b"localhost", 65536 + 22),
            (b"localhost", u32::MAX),
            (b"local\0host", 22),
            (b"local\nhost", 22),
            (b"\x1b]0;x\x07", 22),
            (&long, 22),
        ] {
            assert_eq!(opened(&mut bench, direct(host, port)), PROHIBITED, "{port}");
            for request in [
                GlobalRequestType::TcpipForward {
                    address_to_bind: host,
                    port_number_to_bind: port,
                },
                GlobalRequestType::CancelTcpipForward {
                    address_to_bind: host,
                    port_number_to_bind: port,
                },
            ] {
                assert_eq!(replied(&mut bench, request, true), 82, "{port}");
            }
        }
        for socket_path in [&b"/tmp/x\0/y"[..], &long] {
            assert_eq!(opened(&mut bench, path(socket_path)), PROHIBITED);
            let request = GlobalRequestType::StreamlocalForward { socket_path };
            assert_eq!(replied(&mut bench, request, true), 82);
        }
        assert_eq!(bench.seen.events, events, "nobody was asked");
        assert_eq!(opened(&mut bench, direct(b"localhost", 65535)), None);
        bench.lives(&"refused");
    });
}

/// What a caller passes on from somebody else does not leave either.
#[test]
fn x16_j1_addresses_that_cannot_be_are_not_sent() {
    let value = RequestError::Misuse(Misuse::Value);
    let mut bench = connected::<Client>();
    let got = bench.raw.got.len();
    for host in ["local\0host", "local\nhost", "\x1b[2J"] {
        let opened = bench.peer.open_direct_tcpip(host, 22, ("", 0));
        assert_eq!(opened, Err(value), "{host:?}");
    }
    for port in [65536, u32::MAX] {
        let opened = bench.peer.open_channel(direct(b"localhost", port));
        assert_eq!(opened, Err(value));
        let asked = bench.peer.global_request(forward(port), Reply::Wanted);
        assert_eq!(asked, Err(value));
    }
    assert_eq!(bench.peer.open_channel(path(b"/tmp/\0")), Err(value));
    bench.turn();
    assert_eq!(bench.raw.got.len(), got);
    assert_eq!(bench.peer.channels(), 0);
}

const fn x11_req<'a>(protocol: &'a [u8], cookie: &'a [u8]) -> ChannelRequestType<'a> {
    ChannelRequestType::X11Req {
        single_connection: false,
        x11_authentication_protocol: protocol,
        x11_authentication_cookie: cookie,
        x11_screen_number: 0,
    }
}

#[test]
fn x15_what_is_no_cookie_reaches_neither_xauth_nor_the_wire() {
    in_every_way(|| {
        let mut server = connected::<Server>();
        channel(&mut server, 1000, 1000);
        let mut client = connected::<Client>();
        channel(&mut client, 1000, 1000);
        let id = client.seen.channels[0];
        for (protocol, cookie, fits) in [
            (&b"MIT-MAGIC-COOKIE-1"[..], &b"00aabb"[..], true),
            (b"MIT-MAGIC-COOKIE-1", b"", true),
            (b"MIT-MAGIC-COOKIE-1\nsource /etc/shadow", b"00", false),
            (b"\"MIT\"", b"00", false),
            (b"", b"00", false),
            (b"MIT-MAGIC-COOKIE-1", b"00\n", false),
            (b"MIT-MAGIC-COOKIE-1", b"0", false),
            (b"MIT-MAGIC-COOKIE-1", b"xyzw", false),
        ] {
            let (events, got) = (server.seen.events, server.raw.got.len());
            server.message(&ChannelRequest {
                recipient_channel: 0,
                want_reply: true,
                request: x11_req(protocol, cookie),
            });
            assert_eq!(server.seen.events > events, fits, "{protocol:?} {cookie:?}");
            assert_eq!(server.raw.numbers(got), [if fits { 99 } else { 100 }]);
            let mut handle = client.peer.channel(id).expect("open");
            let sent = handle.request(x11_req(protocol, cookie), Reply::NotWanted);
            assert_eq!(sent.is_ok(), fits, "{protocol:?} {cookie:?}");
        }
        server.lives(&"cookies");
    });
}

/// Variables and signals are told to the application, and refused unless it says something.
#[test]
fn x17_variables_and_signals_are_refused_unless_somebody_wants_them() {
    in_every_way(|| {
        let mut bench = connected::<Server>();
        channel(&mut bench, 1000, 1000);
        let env = |variable_name| ChannelRequestType::Env {
            variable_name,
            variable_value: b"/tmp/x.so",
        };
        for request in [
            env(b"LD_PRELOAD"),
            env(b"PATH"),
            env(b"A=B"),
            env(b""),
            env(b"A\0B"),
            ChannelRequestType::Signal {
                signal_name: b"KILL",
            },
            ChannelRequestType::Signal {
                signal_name: b"x\n; id",
            },
            ChannelRequestType::AuthAgentReq,
            ChannelRequestType::Break { break_length: 1 },
        ] {
            for want_reply in [true, false] {
                let got = bench.raw.got.len();
                bench.raw.message(&ChannelRequest {
                    recipient_channel: 0,
                    want_reply,
                    request,
                });
                let mut told = 0;
                bench.turn_with(|_, event, _| {
                    assert!(matches!(
                        event,
                        ServerEvent::Channel(ChannelEvent::Request { .. })
                    ));
                    told += 1;
                });
                assert_eq!(told, 1, "{request:?}");
                let expected: &[u8] = if want_reply { &[100] } else { &[] };
                assert_eq!(bench.raw.numbers(got), expected, "{request:?}");
            }
        }
        bench.lives(&"refused");
    });
}

/// Each of them a thousand times, with and without a reply.
#[test]
fn x11_requests_a_thousand_times_over() {
    in_every_way(|| {
        let mut bench = connected::<Server>();
        channel(&mut bench, 1000, 1000);
        let size = ssh_proto::message::TerminalSize::default();
        let requests = [
            ChannelRequestType::PtyReq {
                term: b"vt100",
                size,
                modes: ssh_proto::message::TerminalModes::EMPTY,
            },
            ChannelRequestType::WindowChange { size },
            x11_req(b"MIT-MAGIC-COOKIE-1", b"00"),
            ChannelRequestType::ExitStatus { exit_status: 0 },
            ChannelRequestType::Signal {
                signal_name: b"TERM",
            },
        ];
        let got = bench.raw.got.len();
        for n in 0..1000 {
            for request in requests {
                bench.raw.message(&ChannelRequest {
                    recipient_channel: 0,
                    want_reply: n % 2 == 0,
                    request,
                });
            }
        }
        bench.turn();
        bench.lives(&"5000 requests");
        // A server is told no exit status: that one is refused, the others were granted.
        let replies = bench.raw.numbers(got);
        assert_eq!(replies, [99, 99, 99, 100, 99].repeat(500));
    });
}
