//! How often a login crosses the network: from the client's first byte to the first byte that a
//! command prints, in virtual time over links that have a latency and nothing else.
//!
//! ```text
//!   1  line, KEXINIT            -->   <-- line, KEXINIT
//!   2  ECDH_INIT                -->   <-- ECDH_REPLY, NEWKEYS, EXT_INFO
//!   3  NEWKEYS, SERVICE_REQUEST,
//!      USERAUTH_REQUEST         -->   <-- SERVICE_ACCEPT, USERAUTH_SUCCESS
//!   4  CHANNEL_OPEN             -->   <-- CHANNEL_OPEN_CONFIRMATION
//!   5  exec                     -->   <-- CHANNEL_DATA
//! ```
//!
//! With a guess that is right (RFC 4253 section 7) the first two are one. Nothing else can leave
//! earlier: a channel may be asked for only after USERAUTH_SUCCESS, and a request names the number
//! that the confirmation brings.

use std::time::Duration;

use ssh_client::{Login, Step, Trust};
use ssh_keys::SigningKey;
use ssh_proto::algorithm::{KexAlgorithm, SignatureAlgorithm};
use ssh_proto::client::{Client, ClientEvent};
use ssh_proto::config::{ClientConfig, HostKey};
use ssh_proto::message::ChannelRequestType;
use ssh_proto::mux::Reply;
use ssh_proto::server::{AuthEvent, Server, ServerEvent};
use ssh_proto::{ChannelEvent, Instant};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{App, Pair, key, server_config};

const ROUND_TRIP: Duration = Duration::from_millis(100);

/// A client that runs one command as the drivers do, and a server that prints one byte for it.
struct Exec {
    login: Login,
    printed: Option<Instant>,
}

impl Exec {
    fn new() -> Self {
        let trust = Trust::dangerous_accept_any();
        Self {
            login: Login::new("alice", trust).key(SigningKey::from(key(7))),
            printed: None,
        }
    }
}

impl App for Exec {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, now: Instant) {
        match self.login.on(event, client, &mut SeededRandom::new(3)) {
            Step::Handled => {}
            Step::Done { .. } => drop(client.open_session().expect("room")),
            Step::Other(ClientEvent::Channel(ChannelEvent::Opened { channel })) => {
                let mut channel = client.channel(channel).expect("open");
                channel.exec(b"true", Reply::Wanted).expect("open");
            }
            Step::Other(ClientEvent::Channel(ChannelEvent::Data { .. })) => {
                self.printed.get_or_insert(now);
            }
            Step::Other(ClientEvent::Ended(end)) => panic!("client: {end}"),
            Step::Other(_) => {}
            other => panic!("{other:?}"),
        }
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, _: Instant) {
        match event {
            ServerEvent::Auth(AuthEvent::KeyProven { decision, .. }) => {
                server.accept(decision).expect("mine");
            }
            ServerEvent::Auth(other) => panic!("a key that is known is not offered: {other:?}"),
            ServerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) => {
                server.accept_channel(ticket).expect("mine");
            }
            ServerEvent::Channel(ChannelEvent::Request {
                channel,
                request: ChannelRequestType::Exec { .. },
                ticket,
            }) => {
                server.accept_request(ticket).expect("mine");
                let mut channel = server.channel(channel).expect("open");
                assert_eq!(channel.send(b"x"), Ok(1));
            }
            ServerEvent::Ended(end) => panic!("server: {end}"),
            _ => {}
        }
    }
}

/// Round trips until the command has printed, with a server that says nothing before the client.
fn round_trips(client: impl FnOnce(&mut ClientConfig)) -> f64 {
    let mut config = ClientConfig::default();
    client(&mut config);
    let mut server = server_config();
    let ecdsa = ssh_proto::key::PrivateKey::from_ecdsa_p256_scalar(&[5; 32]).expect("a scalar");
    server.host_keys.push(HostKey::Private(ecdsa.into()));
    let mut pair = Pair::with(1, config, server).latency(ROUND_TRIP / 2);
    let mut app = Exec::new();
    // What it says of itself arrives as if the client's first byte had made it speak.
    pair.down.latency = ROUND_TRIP;
    pair.work(&mut app);
    pair.down.latency = ROUND_TRIP / 2;
    assert!(pair.run_until(&mut app, |_, app| app.printed.is_some()));
    let printed = app.printed.expect("just said").since_epoch();
    printed.as_secs_f64() / ROUND_TRIP.as_secs_f64()
}

#[test]
fn a_command_prints_after_five_round_trips() {
    let trips = round_trips(|_| {});
    println!("round trips to the first byte of output: {trips}");
    assert_eq!(trips, 5.0);
}

#[test]
fn a_guess_that_is_right_saves_one_round_trip() {
    let trips = round_trips(|config| config.transport.guess = true);
    println!("with a right guess: {trips}");
    assert_eq!(trips, 4.0);
}

/// RFC 4253 section 7.1: a guess is wrong if either of the two first choices differs, and then
/// costs nothing but its bytes.
#[test]
fn a_guess_that_is_wrong_costs_no_round_trip() {
    let by_method = round_trips(|config| {
        config.transport.guess = true;
        let kex = &mut config.transport.algorithms.kex;
        kex.retain(|kex| *kex != KexAlgorithm::Mlkem768X25519Sha256);
    });
    let by_host_key = round_trips(|config| {
        config.transport.guess = true;
        let host_key = &mut config.transport.algorithms.host_key;
        host_key.retain(|algorithm| *algorithm != SignatureAlgorithm::EcdsaSha2Nistp256);
        host_key.insert(0, SignatureAlgorithm::EcdsaSha2Nistp256);
    });
    println!("with a wrong guess: {by_method}, {by_host_key}");
    assert_eq!((by_method, by_host_key), (5.0, 5.0));
}
