//! Who is let in: a simulated client that shows what the test says.

extern crate alloc;

use alloc::sync::Arc;

use ssh_client::{Login, LoginError, Opening, Step as LoginStep, Trust};
use ssh_keys::authorized_keys::{AuthorizedKeys, Right};
use ssh_keys::{SigningKey, load_private};
use ssh_proto::Instant;
use ssh_proto::algorithm::SignatureAlgorithm;
use ssh_proto::auth::AuthenticatedBy;
use ssh_proto::client::{Ask, AuthToken, Client, ClientEvent, Credential, Probe};
use ssh_proto::config::{ClientConfig, Methods, ServerConfig};
use ssh_proto::server::{Server, ServerEvent};
use ssh_server::{
    Admission, Admitted, Clock, FixedUsers, HostKeys, PasswordCheck, Required, Step, Users,
};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{App, Pair};

/// Both methods.
const BOTH: fn() -> Methods = Methods::default;

/// How the client logs in.
enum Guest {
    Login(Box<Login>),
    /// Shows these one after the other.
    Script(Vec<Show>),
}

enum Show {
    None,
    Password(&'static str, &'static str),
    Change(&'static str, &'static str),
    Key(&'static str, SigningKey),
    Offer(&'static str, SigningKey),
}

struct Play<U> {
    guest: Guest,
    signer: Option<SigningKey>,
    admission: Admission<U>,
    host_keys: HostKeys,
    random: SeededRandom,
    /// What the one outside says to a password.
    outside: PasswordCheck,
    admitted: Option<Box<Admitted>>,
    failed: Option<LoginError>,
    /// What the client was told.
    told: Vec<String>,
    client_ended: Option<String>,
    server_ended: Option<String>,
    host_algorithm: Option<SignatureAlgorithm>,
    /// How many bytes the server sent.
    sent: u64,
}

impl<U: Users> Play<U> {
    fn new(guest: Guest, admission: Admission<U>) -> Self {
        Self {
            guest,
            signer: None,
            admission,
            host_keys: HostKeys::new([SigningKey::ed25519(&[1; 32])]).unwrap(),
            random: SeededRandom::new(4),
            outside: PasswordCheck::Wrong,
            admitted: None,
            failed: None,
            told: Vec::new(),
            client_ended: None,
            server_ended: None,
            host_algorithm: None,
            sent: 0,
        }
    }

    fn run(mut self) -> Self {
        let mut config = ServerConfig::default();
        config.host_keys = self.host_keys.for_config();
        self.admission.configure(&mut config);
        let mut pair = Pair::with(1, ClientConfig::default(), config);
        pair.run_until(&mut self, |_, play| {
            play.admitted.is_some() && play.told.last().is_some_and(|told| told == "in")
                || play.client_ended.is_some() && play.server_ended.is_some()
        });
        self.host_algorithm = pair.server.peer.negotiated().map(|terms| terms.host_key);
        self.sent = pair.down.sent;
        self
    }

    fn by(&self) -> &[AuthenticatedBy] {
        &self.admitted.as_ref().expect("a user is in").by
    }

    fn show(&mut self, reason: Ask<'_>, token: AuthToken, client: &mut Client) {
        self.told.push(match reason {
            Ask::Failed { methods } => format!("no, {}", methods.as_str()),
            Ask::PartialSuccess { methods } => format!("go on, {}", methods.as_str()),
            other => format!("{other:?}"),
        });
        let Guest::Script(script) = &mut self.guest else {
            unreachable!();
        };
        if script.is_empty() {
            return client.disconnect(
                ssh_proto::message::DisconnectReason::BY_APPLICATION,
                "nothing left",
            );
        }
        let (user, credential) = match &script.remove(0) {
            Show::None => ("alice", Credential::None),
            Show::Password(user, password) => (*user, Credential::Password(password)),
            Show::Change(old, new) => ("alice", Credential::NewPassword { old, new }),
            Show::Key(user, key) => {
                self.signer = Some(copy(key));
                let key = key.public_key().clone();
                let probe = Probe::Skip;
                (*user, Credential::PublicKey { key, probe })
            }
            // The one that is told to sign does not.
            Show::Offer(user, key) => {
                self.signer = None;
                let key = key.public_key().clone();
                let probe = Probe::First;
                (*user, Credential::PublicKey { key, probe })
            }
        };
        client.authenticate(token, user, credential).unwrap();
    }
}

/// Test keys are known by their seed.
fn copy(key: &SigningKey) -> SigningKey {
    (0..=255)
        .map(|n| SigningKey::ed25519(&[n; 32]))
        .find(|other| other.public_key() == key.public_key())
        .expect("made by ed()")
}

impl<U: Users> App for Play<U> {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, _now: Instant) {
        if let Guest::Login(login) = &mut self.guest {
            match login.on(event, client, &mut self.random) {
                LoginStep::Done { .. } => self.told.push("in".into()),
                LoginStep::Failed(error) => self.failed = Some(error),
                LoginStep::Other(ClientEvent::Ended(end)) => {
                    self.client_ended = Some(end.to_string());
                }
                LoginStep::Ask(question) => panic!("{question:?}"),
                _ => {}
            }
            return;
        }
        match event {
            ClientEvent::HostKey { decision, .. } => client.trust(decision).unwrap(),
            ClientEvent::Authenticate { reason, token } => self.show(reason, token, client),
            ClientEvent::Sign(request) => match &self.signer {
                Some(key) => {
                    let signature = key.sign(request.algorithm, &request.data, &mut self.random);
                    client.signed(request, &signature.unwrap()).unwrap();
                }
                None => {
                    self.told.push("invited".into());
                    client.not_signed(request).unwrap();
                }
            },
            ClientEvent::Authenticated { .. } => self.told.push("in".into()),
            ClientEvent::Ended(end) => self.client_ended = Some(end.to_string()),
            _ => {}
        }
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, _now: Instant) {
        let mut step = self.admission.on(event, server).unwrap();
        if let Step::Ask(question) = step {
            assert!(!format!("{question:?}").contains("secret"));
            let answer = self.outside;
            step = self
                .admission
                .answer(question.decision, answer, server)
                .unwrap();
        }
        match step {
            Step::Admitted(admitted) => self.admitted = Some(admitted),
            Step::Other(ServerEvent::Sign(request)) => {
                let random = &mut self.random;
                self.host_keys.sign(request, server, random).unwrap();
            }
            Step::Other(ServerEvent::Ended(end)) => self.server_ended = Some(end.to_string()),
            _ => {}
        }
    }
}

fn ed(n: u8) -> SigningKey {
    SigningKey::ed25519(&[n; 32])
}

fn file(name: &str) -> SigningKey {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/keys/");
    let file = std::fs::read(format!("{dir}{name}")).unwrap();
    load_private(&file, None).unwrap().private
}

/// A file with one line for each key, behind its options.
fn authorized(lines: &[(&str, &SigningKey)]) -> Arc<AuthorizedKeys> {
    let mut file = String::new();
    for (options, key) in lines {
        let line = ssh_keys::known_hosts::entry_line(
            "x",
            22,
            key.public_key(),
            ssh_keys::known_hosts::HostField::Plain,
        );
        let line = line.unwrap();
        let key = line.strip_prefix("x ").unwrap();
        file.push_str(&format!("{options} {key}"));
    }
    let keys = AuthorizedKeys::parse(file.as_bytes());
    assert!(keys.warnings().is_empty(), "{:?}", keys.warnings());
    Arc::new(keys)
}

/// Alice with key 7 and the password `secret`, bob with key 8 and `hidden`.
fn users() -> FixedUsers {
    FixedUsers::new()
        .with_keys("alice", authorized(&[("", &ed(7))]))
        .with_password("alice", String::from("secret"))
        .with_keys("bob", authorized(&[("", &ed(8))]))
        .with_password("bob", String::from("hidden"))
}

fn login(user: &str) -> Login {
    Login::new(user, Trust::dangerous_accept_any())
}

fn play(login: Login, users: FixedUsers, required: Required) -> Play<FixedUsers> {
    let guest = Guest::Login(Box::new(login));
    Play::new(guest, Admission::new(users, required)).run()
}

fn script(shows: Vec<Show>, required: Required) -> Play<FixedUsers> {
    Play::new(Guest::Script(shows), Admission::new(users(), required)).run()
}

#[test]
fn keys_of_every_type_let_in_and_give_their_line() {
    for name in ["ed25519", "ecdsa_p256", "rsa2048"] {
        let key = file(name);
        let users = FixedUsers::new().with_keys(
            "alice",
            authorized(&[("", &ed(9)), ("restrict,pty,command=\"top\"", &key)]),
        );
        let play = play(login("alice").key(key), users, Required::PUBLICKEY);
        let admitted = play.admitted.expect("in");
        assert_eq!(admitted.user, b"alice");
        let entry = admitted.entry.unwrap();
        assert_eq!((entry.line, entry.command()), (2, Some("top")));
        assert!(entry.permits(Right::Pty) && !entry.permits(Right::PortForwarding));
    }
}

#[test]
fn host_keys_of_every_type_sign() {
    for name in ["ed25519", "ecdsa_p256", "rsa2048"] {
        let guest = Guest::Login(Box::new(login("alice").key(ed(7))));
        let mut play = Play::new(guest, Admission::new(users(), Required::PUBLICKEY));
        play.host_keys = HostKeys::new([file(name)]).unwrap();
        let play = play.run();
        assert!(play.admitted.is_some(), "{name}: {:?}", play.server_ended);
        let used = play.host_algorithm.unwrap();
        assert_eq!(used.key_type(), file(name).public_key().key_type());
    }
}

#[test]
fn two_host_keys_of_one_type_are_refused() {
    let error = HostKeys::new([ed(1), file("rsa2048"), ed(2)]).unwrap_err();
    assert_eq!(error.to_string(), "two host keys of type ssh-ed25519");
}

#[test]
fn passwords_let_in() {
    let required = Required::AnyOf(Methods::PASSWORD);
    let play = play(
        login("alice").password(String::from("secret")),
        users(),
        required,
    );
    assert_eq!(play.by(), [AuthenticatedBy::Password]);
    assert!(play.admitted.unwrap().entry.is_none());
}

#[test]
fn the_key_and_the_password_of_somebody_else_do_not_let_in() {
    for user in ["bob", "carol", "", "Alice", "alice\0", "../alice"] {
        let login = login(user).key(ed(7)).password(String::from("secret"));
        let play = play(login, users(), Required::AnyOf(BOTH()));
        assert!(play.admitted.is_none());
        let Some(LoginError::Authentication(report)) = play.failed else {
            panic!("{user}: {:?}", play.server_ended);
        };
        assert_eq!(report.tried.len(), 2);
    }
}

#[test]
fn a17_nobody_is_let_in_by_default() {
    struct Nobody;
    impl Users for Nobody {}
    let shows = || {
        vec![
            Show::None,
            Show::Password("alice", ""),
            Show::Offer("alice", ed(7)),
            Show::Key("alice", ed(7)),
        ]
    };
    let admission = Admission::new(Nobody, Required::AnyOf(BOTH()));
    let play = Play::new(Guest::Script(shows()), admission).run();
    assert!(play.admitted.is_none() && !play.told.iter().any(|told| told == "invited"));

    for required in [
        Required::AnyOf(Methods::NONE),
        Required::AllOf(Methods::NONE),
    ] {
        let mut shows = shows();
        shows.push(Show::Password("alice", "secret"));
        let play = script(shows, required);
        assert!(play.admitted.is_none() && !play.told.iter().any(|told| told == "invited"));
    }
}

#[test]
fn a14_users_that_do_not_exist_are_answered_with_the_same_bytes() {
    let attempts = |user| {
        script(
            vec![
                Show::None,
                Show::Offer(user, ed(9)),
                Show::Key(user, ed(9)),
                Show::Password(user, "wrong"),
                Show::Change("wrong", "new"),
            ],
            Required::AnyOf(BOTH()),
        )
    };
    let (bob, eve) = (attempts("bob"), attempts("eve"));
    assert_eq!(bob.told.len(), 6);
    assert_eq!(bob.told, eve.told);
    assert_eq!(bob.sent, eve.sent);
}

#[test]
fn the_required_combination_is_taken_in_either_order_and_no_half_of_it() {
    let both = Required::AllOf(BOTH());
    let of_key = AuthenticatedBy::PublicKey(SignatureAlgorithm::Ed25519);
    let key_first = login("alice").key(ed(7)).password(String::from("secret"));
    let in_by_key = play(key_first, users(), both);
    assert_eq!(in_by_key.by(), [of_key, AuthenticatedBy::Password]);
    let password_first = login("alice").password(String::from("secret")).key(ed(7));
    let in_by_password = play(password_first, users(), both);
    assert_eq!(in_by_password.by(), [AuthenticatedBy::Password, of_key]);

    for half in [
        login("alice").key(ed(7)),
        login("alice").password(String::from("secret")),
    ] {
        assert!(play(half, users(), both).admitted.is_none());
    }
    let shows = vec![
        Show::Password("alice", "secret"),
        Show::Password("alice", "secret"),
        Show::Offer("alice", ed(7)),
    ];
    let twice = script(shows, both);
    assert!(twice.admitted.is_none());
    assert_eq!(
        twice.told,
        [
            "First",
            "go on, publickey",
            "no, publickey",
            "invited",
            "Unusable"
        ]
    );
}

#[test]
fn a4_what_alice_has_proven_does_not_help_bob() {
    let shows = vec![
        Show::Key("alice", ed(7)),
        Show::Password("bob", "hidden"),
        Show::Password("alice", "secret"),
    ];
    let play = script(shows, Required::AllOf(BOTH()));
    assert!(play.admitted.is_none());
    assert_eq!(
        play.told,
        [
            "First",
            "go on, password",
            "go on, publickey",
            "go on, publickey"
        ]
    );
}

#[test]
fn a5_the_decision_is_made_for_the_key_that_signs() {
    let shows = vec![Show::Offer("alice", ed(7)), Show::Key("alice", ed(9))];
    let play = script(shows, Required::PUBLICKEY);
    assert!(play.admitted.is_none());
    assert_eq!(play.told, ["First", "invited", "Unusable", "no, publickey"]);
}

#[test]
fn a11_the_restrictions_of_the_key_survive_the_second_factor() {
    let users = || {
        FixedUsers::new()
            .with_keys("alice", authorized(&[("restrict", &ed(7))]))
            .with_password("alice", String::from("secret"))
    };
    let secret = || String::from("secret");
    for login in [
        login("alice").key(ed(7)).password(secret()),
        login("alice").password(secret()).key(ed(7)),
    ] {
        let play = play(login, users(), Required::AllOf(BOTH()));
        let entry = play.admitted.expect("in").entry.expect("a key was proven");
        assert!(!entry.permits(Right::Pty));
    }
}

#[test]
fn keys_with_from_and_expiry_let_in_only_where_and_while_they_say() {
    let time = |now| Clock {
        now,
        local_offset: 0,
    };
    let here = "192.0.2.7".parse().unwrap();
    let there = "198.51.100.7".parse().unwrap();
    let options = "from=\"192.0.2.0/24\",expiry-time=\"20300101Z\"";
    let try_with = |set: &dyn Fn(Admission<FixedUsers>) -> Admission<FixedUsers>| {
        let users = FixedUsers::new().with_keys("alice", authorized(&[(options, &ed(7))]));
        let admission = set(Admission::new(users, Required::PUBLICKEY));
        let guest = Guest::Login(Box::new(login("alice").key(ed(7))));
        Play::new(guest, admission).run().admitted.is_some()
    };
    // 2030-01-01 00:00:00 UTC.
    let end = 1_893_456_000;
    assert!(try_with(&|a| a.peer(here, None).at(time(end - 1))));
    assert!(!try_with(&|a| a.peer(here, None).at(time(end))));
    assert!(!try_with(&|a| a.peer(there, None).at(time(end - 1))));
    assert!(!try_with(&|a| a.peer(here, None)), "no clock");
    assert!(!try_with(&|a| a.at(time(end - 1))), "no address");
}

#[test]
fn a_password_that_is_to_be_changed_is_refused() {
    let play = script(
        vec![Show::Change("secret", "new")],
        Required::AnyOf(Methods::PASSWORD),
    );
    assert!(play.admitted.is_none());
}

#[test]
fn passwords_can_be_checked_outside() {
    struct Outside;
    impl Users for Outside {
        fn check_password(&mut self, _: &[u8], _: &[u8]) -> PasswordCheck {
            PasswordCheck::Outside
        }
    }
    for (answer, is_in) in [
        (PasswordCheck::Right, true),
        (PasswordCheck::Wrong, false),
        (PasswordCheck::Outside, false),
    ] {
        let login = login("alice").password(String::from("secret"));
        let admission = Admission::new(Outside, Required::AnyOf(Methods::PASSWORD));
        let mut play = Play::new(Guest::Login(Box::new(login)), admission);
        play.outside = answer;
        assert_eq!(play.run().admitted.is_some(), is_in);
    }
}

#[test]
fn a15_too_many_attempts_end_with_no_more_methods() {
    let shows = (0..10).map(|_| Show::Password("alice", "guess")).collect();
    let play = script(shows, Required::AnyOf(BOTH()));
    assert_eq!(play.told.len(), 6, "the sixth failure ends it");
    let reason = ssh_proto::message::DisconnectReason::NO_MORE_AUTH_METHODS_AVAILABLE;
    let ended = play.client_ended.unwrap();
    assert!(ended.contains(&reason.to_string()), "{ended}");
    assert_eq!(
        play.server_ended.unwrap(),
        "authentication failed: too many attempts"
    );
}

#[test]
fn the_methods_are_named_as_required() {
    let login = login("alice")
        .opening(Opening::AskMethods)
        .password(String::from("secret"));
    let play = play(login, users(), Required::PUBLICKEY);
    let Some(LoginError::Authentication(report)) = play.failed else {
        panic!("not in");
    };
    assert_eq!(report.server_methods, Some(vec!["publickey".into()]));
}
