//! Row D9: a token is good for the connection that minted it, once, while its time has not passed.

use std::time::Duration;

use ssh_proto::auth::SignRequest;
use ssh_proto::client::{AuthToken, ClientEvent, Credential, HostKeyDecision, Probe};
use ssh_proto::config::{HostKey, ServerConfig};
use ssh_proto::error::{Error, HostKeyError, Misuse};
use ssh_proto::key::PublicKey;
use ssh_proto::message::{
    AuthMethod, ChannelClose, ChannelOpen, ChannelOpenFailureReason, ChannelOpenType,
    ChannelRequest, ChannelRequestType, DisconnectReason, GlobalRequest, GlobalRequestType,
    UserauthPkOk, UserauthRequest,
};
use ssh_proto::mux::{GlobalTicket, OpenTicket, RequestTicket};
use ssh_proto::server::{AuthDecision, AuthEvent, KeyOffer, ServerEvent};
use ssh_proto::time::TimeoutReason;
use ssh_proto::{ChannelEvent, Client, GlobalEvent, Instant, Server, Wants};
use ssh_testkit::raw::{Bench, Stage, Subject, key_blob, sign, with_seed};
use ssh_testkit::sim::key;

/// Lets one flight take effect and keeps what `take` takes out of the events.
fn held<P: Subject, T>(bench: &mut Bench<P>, mut take: impl FnMut(P::Event<'_>) -> Option<T>) -> T {
    let mut held = None;
    bench.turn_with(|_, event, _| {
        if let Some(token) = take(event) {
            assert!(held.replace(token).is_none(), "one token");
        }
    });
    held.expect("a token")
}

fn host_key() -> (Bench<Client>, HostKeyDecision) {
    let mut bench = Bench::<Client>::at(Stage::Method, true);
    bench.proper(Stage::Method);
    let token = held(&mut bench, |event| match event {
        ClientEvent::HostKey { decision, .. } => Some(decision),
        _ => None,
    });
    (bench, token)
}

fn auth_token() -> (Bench<Client>, AuthToken) {
    let (mut bench, decision) = host_key();
    bench.peer.trust(decision).expect("mine");
    let token = held(&mut bench, |event| match event {
        ClientEvent::Authenticate { token, .. } => Some(token),
        _ => None,
    });
    (bench, token)
}

fn client_sign() -> (Bench<Client>, SignRequest) {
    let (mut bench, token) = auth_token();
    let credential = Credential::PublicKey {
        key: key(7).public_key().clone(),
        probe: Probe::First,
    };
    bench
        .peer
        .authenticate(token, "alice", credential)
        .expect("mine");
    bench.turn();
    for stage in [Stage::NewKeys, Stage::Service] {
        bench.proper(stage);
        bench.turn();
    }
    bench.raw.message(&UserauthPkOk {
        algorithm: "ssh-ed25519",
        key: &key_blob(&[7; 32]),
    });
    let request = held(&mut bench, |event| match event {
        ClientEvent::Sign(request) => Some(request),
        _ => None,
    });
    (bench, request)
}

fn external_config() -> ServerConfig {
    let mut config = ServerConfig::default();
    let public = PublicKey::from_blob(&key_blob(&[1; 32])).expect("a key");
    config.host_keys = vec![HostKey::External(public)];
    config
}

fn server_sign() -> (Bench<Server>, SignRequest) {
    let mut bench = Bench::<Server>::with(external_config(), true).up_to(Stage::Method);
    bench.proper(Stage::Method);
    let request = held(&mut bench, |event| match event {
        ServerEvent::Sign(request) => Some(request),
        _ => None,
    });
    (bench, request)
}

fn decision() -> (Bench<Server>, AuthDecision) {
    let mut bench = Bench::<Server>::at(Stage::Auth, true);
    bench.proper(Stage::Auth);
    let token = held(&mut bench, |event| match event {
        ServerEvent::Auth(AuthEvent::Password { decision, .. }) => Some(decision),
        _ => None,
    });
    (bench, token)
}

fn key_offer() -> (Bench<Server>, KeyOffer) {
    let mut bench = Bench::<Server>::at(Stage::Auth, true);
    bench.raw.message(&UserauthRequest {
        user_name: b"alice",
        service_name: "ssh-connection",
        method: AuthMethod::Publickey {
            algorithm: "ssh-ed25519",
            key: &key_blob(&[7; 32]),
            signature: None,
        },
    });
    let token = held(&mut bench, |event| match event {
        ServerEvent::Auth(AuthEvent::KeyOffered { offer, .. }) => Some(offer),
        _ => None,
    });
    (bench, token)
}

const SESSION: ChannelOpen<'_> = ChannelOpen {
    sender_channel: 3,
    initial_window_size: 1000,
    maximum_packet_size: 1000,
    channel_type: ChannelOpenType::Session,
};

const SHELL: ChannelRequest<'_> = ChannelRequest {
    recipient_channel: 0,
    want_reply: true,
    request: ChannelRequestType::Shell,
};

const FORWARD: GlobalRequest<'_> = GlobalRequest {
    want_reply: true,
    request: GlobalRequestType::TcpipForward {
        address_to_bind: b"",
        port_number_to_bind: 80,
    },
};

fn open_ticket(defer: bool) -> (Bench<Server>, OpenTicket) {
    let mut bench = Bench::<Server>::at(Stage::Connected, true);
    bench.raw.message(&SESSION);
    let mut ticket = None;
    bench.turn_with(|server, event, _| {
        if let ServerEvent::Channel(ChannelEvent::OpenRequest { ticket: t, .. }) = event {
            if defer {
                server.defer(&t).expect("mine");
            }
            ticket = Some(t);
        }
    });
    (bench, ticket.expect("a ticket"))
}

fn request_ticket(defer: bool) -> (Bench<Server>, RequestTicket) {
    let mut bench = Bench::<Server>::at(Stage::Connected, true);
    bench.message(&SESSION);
    bench.raw.message(&SHELL);
    let mut ticket = None;
    bench.turn_with(|server, event, _| {
        if let ServerEvent::Channel(ChannelEvent::Request { ticket: t, .. }) = event {
            if defer {
                server.defer(&t).expect("mine");
            }
            ticket = Some(t);
        }
    });
    (bench, ticket.expect("a ticket"))
}

fn global_ticket(defer: bool) -> (Bench<Server>, GlobalTicket) {
    let mut bench = Bench::<Server>::at(Stage::Connected, true);
    bench.raw.message(&FORWARD);
    let mut ticket = None;
    bench.turn_with(|server, event, _| {
        if let ServerEvent::Global(GlobalEvent::Request { ticket: t, .. }) = event {
            if defer {
                server.defer(&t).expect("mine");
            }
            ticket = Some(t);
        }
    });
    (bench, ticket.expect("a ticket"))
}

/// A token of another connection changes nothing: not here, where it is refused, and not there,
/// where the right answer could still have been given.
fn untouched<P: Subject>(bench: &mut Bench<P>, waits: bool) {
    let (events, got) = (bench.seen.events, bench.raw.got.len());
    bench.turn();
    assert_eq!((bench.seen.events, bench.raw.got.len()), (events, got));
    bench.lives(&"untouched");
    assert_eq!(bench.peer.wants() == Wants::Answer, waits);
    assert_eq!(bench.peer.is_waiting_for_answer(), waits);
}

/// Both connections get the other one's token. They differ in their seeds.
macro_rules! swapped {
    ($(
        $(#[$meta:meta])*
        fn $name:ident() = $make:expr, |$bench:ident, $token:ident| $answer:expr, waits: $waits:literal;
    )+) => {$(
        $(#[$meta])*
        fn $name() {
            let (mut one, _lost) = $make;
            let (mut other, foreign) = with_seed(99, || $make);
            {
                let ($bench, $token) = (&mut one, foreign);
                assert_eq!($answer.err(), Some(Misuse::Token));
            }
            untouched(&mut one, $waits);
            untouched(&mut other, $waits);
        }
    )+};
}

swapped! {
    #[test]
    fn d9_host_key_decision() = host_key(), |b, t| b.peer.trust(t), waits: true;

    #[test]
    fn d9_host_key_distrust() = host_key(), |b, t| b.peer.distrust(t), waits: true;

    #[test]
    fn d9_auth_token() = auth_token(), |b, t|
        b.peer.authenticate(t, "alice", Credential::Password("secret")),
        waits: true;

    #[test]
    fn d9_client_sign_request() = client_sign(), |b, t|
        { let s = sign(&[7; 32], &t.data); b.peer.signed(t, &s) },
        waits: true;

    #[test]
    fn d9_client_not_signed() = client_sign(), |b, t| b.peer.not_signed(t), waits: true;

    #[test]
    fn d9_server_sign_request() = server_sign(), |b, t|
        { let s = sign(&[1; 32], &t.data); b.peer.signed(t, &s) },
        waits: true;

    #[test]
    fn d9_server_not_signed() = server_sign(), |b, t| b.peer.not_signed(t), waits: true;

    #[test]
    fn d9_auth_decision_accept() = decision(), |b, t| b.peer.accept(t), waits: true;

    #[test]
    fn d9_auth_decision_reject() = decision(), |b, t| b.peer.reject(t), waits: true;

    #[test]
    fn d9_auth_decision_partially() = decision(), |b, t|
        b.peer.accept_partially(t, ssh_proto::config::Methods::PUBLICKEY),
        waits: true;

    #[test]
    fn d9_key_offer_invite() = key_offer(), |b, t| b.peer.invite(t), waits: true;

    #[test]
    fn d9_key_offer_decline() = key_offer(), |b, t| b.peer.decline(t), waits: true;

    #[test]
    fn d9_open_ticket_accept() = open_ticket(true), |b, t| b.peer.accept_channel(t), waits: false;

    #[test]
    fn d9_open_ticket_reject() = open_ticket(true), |b, t|
        b.peer.reject_channel(t, ChannelOpenFailureReason::CONNECT_FAILED, ""),
        waits: false;

    #[test]
    fn d9_open_ticket_defer() = open_ticket(true), |b, t| b.peer.defer(&t), waits: false;

    #[test]
    fn d9_request_ticket() = request_ticket(true), |b, t| b.peer.accept_request(t), waits: false;

    #[test]
    fn d9_request_ticket_refuse() = request_ticket(true), |b, t|
        b.peer.refuse_request(t),
        waits: false;

    #[test]
    fn d9_global_ticket() = global_ticket(true), |b, t| b.peer.accept_global(t, b""), waits: false;

    #[test]
    fn d9_global_ticket_refuse() = global_ticket(true), |b, t|
        b.peer.refuse_global(t),
        waits: false;
}

/// A ticket that was dropped is refused when the next event is asked for; one that was deferred,
/// when its time is over; and an answer after that is misuse.
macro_rules! tickets {
    ($name:ident, $make:ident, $failure:literal, |$bench:ident, $token:ident| $answer:expr) => {
        #[test]
        fn $name() {
            let (mut bench, ticket) = $make(false);
            assert_eq!(bench.raw.got.last().map(|p| p[0]), Some($failure));
            {
                let ($bench, $token) = (&mut bench, ticket);
                assert_eq!($answer.err(), Some(Misuse::Token), "too late");
            }
            bench.lives(&"dropped");

            let (mut bench, ticket) = $make(true);
            let got = bench.raw.got.len();
            bench.turn();
            assert_eq!(bench.raw.got.len(), got, "deferred");
            let begin = bench.now.since_epoch();
            while bench.raw.got.len() == got {
                assert!(bench.wait());
            }
            assert_eq!(bench.raw.numbers(got), [$failure]);
            assert_eq!(bench.now.since_epoch() - begin, Duration::from_secs(60));
            {
                let ($bench, $token) = (&mut bench, ticket);
                assert_eq!($answer.err(), Some(Misuse::Token), "too late");
            }
            bench.lives(&"expired");

            let (mut bench, ticket) = $make(true);
            let got = bench.raw.got.len();
            bench.now = ssh_proto::Instant::new(Duration::from_secs(59));
            bench.peer.handle_timeout(bench.now);
            bench.turn();
            {
                let ($bench, $token) = (&mut bench, ticket);
                assert!($answer.is_ok(), "in time");
            }
            bench.turn();
            assert_eq!(bench.raw.numbers(got), [$failure - 1]);
        }
    };
}

tickets!(
    an_open_ticket_dropped_deferred_and_late,
    open_ticket,
    92,
    |b, t| b.peer.accept_channel(t)
);
tickets!(
    a_request_ticket_dropped_deferred_and_late,
    request_ticket,
    100,
    |b, t| b.peer.accept_request(t)
);
tickets!(
    a_global_ticket_dropped_deferred_and_late,
    global_ticket,
    82,
    |b, t| b.peer.accept_global(t, b"")
);

/// Nobody answers: the clock of the decision runs, and only that one.
fn never<P: Subject, T>(gate: (Bench<P>, T)) -> (Bench<P>, T) {
    let late = |e: &Error| matches!(e, Error::Timeout(TimeoutReason::Decision));
    never_with(gate, late, DisconnectReason::BY_APPLICATION)
}

fn never_with<P: Subject, T>(
    (mut bench, token): (Bench<P>, T),
    late: impl Fn(&Error) -> bool,
    reason: DisconnectReason,
) -> (Bench<P>, T) {
    let begin = bench.now.since_epoch();
    let mut waits = 0;
    while bench.seen.end.is_none() {
        assert!(bench.wait());
        waits += 1;
        assert!(waits < 4);
    }
    assert_eq!(bench.now.since_epoch() - begin, Duration::from_secs(120));
    bench.refused(&"never answered", late, reason);
    (bench, token)
}

#[test]
fn a_gate_that_nobody_answers_ends_the_connection_and_a_late_answer_is_misuse() {
    // H1: whatever is not trusted is distrusted, and the server is told so.
    let undecided = |e: &Error| matches!(e, Error::HostKey(HostKeyError::Undecided));
    let (mut bench, token) = never_with(
        host_key(),
        undecided,
        DisconnectReason::HOST_KEY_NOT_VERIFIABLE,
    );
    assert_eq!(bench.peer.trust(token), Err(Misuse::Ended));
    let (mut bench, token) = never(auth_token());
    let late = bench.peer.authenticate(token, "alice", Credential::None);
    assert_eq!(late, Err(Misuse::Ended));
    let (mut bench, token) = never(client_sign());
    assert_eq!(bench.peer.signed(token, b""), Err(Misuse::Ended));
    let (mut bench, token) = never(server_sign());
    assert_eq!(bench.peer.not_signed(token), Err(Misuse::Ended));
    let (mut bench, token) = never(decision());
    assert_eq!(bench.peer.accept(token), Err(Misuse::Ended));
    assert!(!bench.peer.is_authenticated());
    let (mut bench, token) = never(key_offer());
    assert_eq!(bench.peer.invite(token), Err(Misuse::Ended));
}

#[test]
fn the_clock_of_the_peer_stands_still_while_a_gate_is_out() {
    let (mut bench, token) = decision();
    // 119 s of thinking, of which none counts as the client's.
    bench.now = Instant::new(Duration::from_secs(119));
    assert!(bench.peer.poll_timeout(bench.now) > Some(bench.now));
    bench.peer.handle_timeout(bench.now);
    bench.turn();
    bench.lives(&"thinking");
    bench.peer.reject(token).expect("in time");
    bench.turn();
    let at = bench.peer.poll_timeout(bench.now).expect("a deadline");
    assert_eq!(at.since_epoch(), Duration::from_secs(239));
}

#[test]
fn nothing_is_read_while_a_gate_is_out() {
    let (mut bench, _token) = decision();
    for _ in 0..5 {
        bench.proper(Stage::Auth);
        bench.turn_with(|_, event, _| panic!("{event:?}"));
    }
    assert_eq!(bench.peer.wants(), Wants::Answer);
}

#[test]
fn after_the_end_a_ticket_that_is_out_is_no_deadline() {
    let (mut bench, ticket) = open_ticket(true);
    bench.peer.disconnect(DisconnectReason::BY_APPLICATION, "");
    bench.peer.handle_timeout(Instant::EPOCH);
    assert_eq!(bench.peer.timeout_reason(), None);
    assert_eq!(bench.peer.poll_timeout(Instant::EPOCH), None);
    assert_eq!(bench.peer.accept_channel(ticket), Err(Misuse::Ended));
}

/// What the server's application does with the next tickets: it answers none and defers those that it
/// is told to.
fn tickets(bench: &mut Bench<Server>, defer: &[bool]) -> Vec<OpenTicket> {
    let (mut tickets, mut defer) = (Vec::new(), defer.iter());
    bench.turn_with(|server, event, _| {
        if let ServerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) = event {
            if *defer.next().expect("so many") {
                server.defer(&ticket).expect("mine");
            }
            tickets.push(ticket);
        }
    });
    tickets
}

/// Whatever is done with an older ticket, one that was dropped is refused.
#[test]
fn d9_another_ticket_that_is_answered_or_deferred_is_not_this_one() {
    for answered in [false, true] {
        let mut bench = Bench::<Server>::at(Stage::Connected, true);
        bench.raw.message(&SESSION);
        let mut older = tickets(&mut bench, &[true]);
        let older = older.pop().expect("a ticket");
        let got = bench.raw.got.len();
        bench.raw.message(&SESSION);
        let mut older = Some(older);
        bench.turn_with(|server, event, _| {
            if let ServerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) = event {
                drop(ticket);
                let older = older.take().expect("once");
                if answered {
                    server.accept_channel(older).expect("mine");
                } else {
                    server.defer(&older).expect("mine");
                }
            }
        });
        let expected: &[u8] = if answered { &[91, 92] } else { &[92] };
        assert_eq!(bench.raw.numbers(got), expected, "{answered}");
    }
}

#[test]
fn d9_the_tickets_of_a_channel_end_with_it_and_no_others() {
    let mut config = ssh_testkit::sim::server_config();
    config.transport.limits.tickets = 2;
    let mut bench = Bench::<Server>::with(config, true).up_to(Stage::Connected);
    bench.message(&SESSION);
    // One for the channel, one for another channel.
    let mut request = None;
    bench.raw.message(&SHELL);
    bench.turn_with(|server, event, _| {
        if let ServerEvent::Channel(ChannelEvent::Request { ticket, .. }) = event {
            server.defer(&ticket).expect("mine");
            request = Some(ticket);
        }
    });
    bench.raw.message(&SESSION);
    let open = tickets(&mut bench, &[true]).pop().expect("a ticket");
    bench.message(&ChannelClose {
        recipient_channel: 0,
    });
    assert_eq!(bench.peer.channels(), 0);
    let request = request.expect("a ticket");
    assert_eq!(bench.peer.accept_request(request), Err(Misuse::Token));
    // Its place is free again.
    bench.raw.message(&SESSION);
    assert_eq!(tickets(&mut bench, &[true]).len(), 1);
    bench.raw.message(&SESSION);
    assert_eq!(tickets(&mut bench, &[]).len(), 0, "refused without asking");
    bench.peer.accept_channel(open).expect("still there");
}
