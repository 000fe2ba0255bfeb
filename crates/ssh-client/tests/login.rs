//! Logins against a simulated server that answers as the test says.

extern crate alloc;

use alloc::collections::VecDeque;

use ssh_client::{
    AuthenticationReport, HostKeyOrder, HostKeyRefused, Login, LoginError, Opening, Outcome,
    PasswordReason, Question, Step, Tried, Trust,
};
use ssh_keys::known_hosts::{HostField, KnownHosts, entry_line};
use ssh_keys::{SigningKey, load_private};
use ssh_proto::Instant;
use ssh_proto::algorithm::{KeyType, SignatureAlgorithm};
use ssh_proto::auth::AuthenticatedBy;
use ssh_proto::client::{Client, ClientEvent};
use ssh_proto::config::{ClientConfig, HostKey, Methods, ServerConfig};
use ssh_proto::key::PrivateKey;
use ssh_proto::server::{AuthEvent, Server, ServerEvent};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{App, Pair, key, server_config};

const HOST: &str = "host.example.org";

/// What the server is to answer to an attempt that counts.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Accept,
    Reject,
    Partial(Methods),
}

struct Play {
    login: Login,
    random: SeededRandom,
    /// Answers of the server, in order; then it rejects.
    answers: VecDeque<Answer>,
    /// Whether the server would take an offered key.
    invites: bool,
    /// What the person says to questions for passwords; `None` to decline.
    passwords: VecDeque<Option<&'static str>>,
    /// What the person says about host keys.
    trusts: bool,
    /// Signs outside.
    agent: Option<SigningKey>,
    /// What the person was asked.
    asked: Vec<String>,
    /// What the server saw.
    seen: Vec<String>,
    result: Option<Result<AuthenticatedBy, LoginError>>,
    ended: Option<String>,
}

impl Play {
    fn new(login: Login, answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            login,
            random: SeededRandom::new(3),
            answers: answers.into_iter().collect(),
            invites: true,
            passwords: VecDeque::new(),
            trusts: false,
            agent: None,
            asked: Vec::new(),
            seen: Vec::new(),
            result: None,
            ended: None,
        }
    }

    fn run(mut self) -> Self {
        self.run_on(server_config());
        self
    }

    fn run_on(&mut self, server: ServerConfig) {
        let mut config = ClientConfig::default();
        self.login.configure(&mut config);
        let mut pair = Pair::with(1, config, server);
        pair.run_until(self, |_, play| {
            matches!(play.result, Some(Ok(_))) || play.ended.is_some()
        });
    }

    fn report(&self) -> &AuthenticationReport {
        match &self.result {
            Some(Err(LoginError::Authentication(report))) => report,
            other => panic!("{other:?}"),
        }
    }

    fn refusal(&self) -> &HostKeyRefused {
        assert!(self.seen.is_empty(), "nothing is sent: {:?}", self.seen);
        match &self.result {
            Some(Err(LoginError::HostKey(refused))) => refused,
            other => panic!("{other:?}"),
        }
    }

    fn outcomes(&self) -> Vec<Outcome> {
        self.report().tried.iter().map(|a| a.outcome).collect()
    }

    fn step(&mut self, step: Step<'_>, client: &mut Client) {
        match step {
            Step::Done { by } => self.result = Some(Ok(by)),
            Step::Failed(error) => self.result = Some(Err(error)),
            Step::Other(ClientEvent::Ended(end)) => self.ended = Some(end.to_string()),
            Step::Ask(Question::HostKey { decision, .. }) => {
                self.asked.push("host key".into());
                if self.trusts {
                    client.trust(decision).unwrap();
                } else {
                    client.distrust(decision).unwrap();
                }
            }
            Step::Ask(Question::Password { reason, token }) => {
                self.asked.push(match reason {
                    PasswordReason::First => "first".into(),
                    PasswordReason::Again => "again".into(),
                    other => format!("{other:?}"),
                });
                match self.passwords.pop_front().flatten() {
                    Some(password) => self
                        .login
                        .answer(token, String::from(password), client)
                        .unwrap(),
                    None => {
                        let step = self.login.decline(token, client);
                        self.step(step, client);
                    }
                }
            }
            Step::Ask(Question::Sign(request)) => {
                self.asked.push("sign".into());
                let agent = self.agent.as_ref();
                match agent.map(|key| key.sign(request.algorithm, &request.data, &mut self.random))
                {
                    Some(signature) => client.signed(request, &signature.unwrap()).unwrap(),
                    None => client.not_signed(request).unwrap(),
                }
            }
            _ => {}
        }
    }
}

impl App for Play {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, _now: Instant) {
        let step = self.login.on(event, client, &mut self.random);
        self.step(step, client);
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, _now: Instant) {
        let ServerEvent::Auth(event) = event else {
            return;
        };
        let decision = match event {
            AuthEvent::None { decision, .. } => {
                self.seen.push("none".into());
                return server.reject(decision).unwrap();
            }
            AuthEvent::KeyOffered { offer, key, .. } => {
                self.seen.push(format!("offer {}", key.key_type()));
                if self.invites {
                    return server.invite(offer).unwrap();
                }
                return server.decline(offer).unwrap();
            }
            AuthEvent::KeyProven {
                decision,
                algorithm,
                ..
            } => {
                self.seen.push(format!("key {algorithm}"));
                decision
            }
            AuthEvent::Password {
                decision, password, ..
            } => {
                let password = String::from_utf8_lossy(password);
                self.seen.push(format!("password {password}"));
                decision
            }
            other => panic!("{other:?}"),
        };
        match self.answers.pop_front().unwrap_or(Answer::Reject) {
            Answer::Accept => server.accept(decision).unwrap(),
            Answer::Reject => server.reject(decision).unwrap(),
            Answer::Partial(methods) => server.accept_partially(decision, methods).unwrap(),
        }
    }
}

fn private(name: &str) -> SigningKey {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/keys/");
    let file = std::fs::read(format!("{dir}{name}")).unwrap();
    load_private(&file, None).unwrap().private
}

/// Somebody who trusts the host key of the simulated server.
fn alice() -> Login {
    Login::new("alice", Trust::pinned([key(1).public_key().fingerprint()]))
}

fn known(lines: &[String]) -> Trust {
    Trust::known_hosts(KnownHosts::parse(lines.concat().as_bytes()), HOST, 22)
}

fn line(key: &PrivateKey) -> String {
    entry_line(HOST, 22, key.public_key(), HostField::Plain).unwrap()
}

fn with_password(trust: Trust) -> Play {
    let login = Login::new("alice", trust).password(String::from("secret"));
    Play::new(login, [Answer::Accept])
}

fn only(methods: Methods) -> ServerConfig {
    let mut config = server_config();
    config.methods = methods;
    config
}

#[test]
fn a_known_host_is_trusted_without_asking() {
    let play = with_password(known(&[line(&key(1))])).run();
    assert_eq!(play.result, Some(Ok(AuthenticatedBy::Password)));
    assert!(play.asked.is_empty());
}

#[test]
fn an_unknown_host_is_asked_about() {
    let mut play = with_password(known(&[]));
    play.trusts = true;
    let play = play.run();
    assert_eq!(play.result, Some(Ok(AuthenticatedBy::Password)));
    assert_eq!(play.asked, ["host key"]);

    let play = with_password(Trust::ask()).run();
    assert_eq!((play.result, play.asked.len()), (None, 1));
    assert_eq!(play.seen, [""; 0], "no credential is shown");
    assert_eq!(
        play.ended.unwrap(),
        "the host key was not accepted: distrusted by the application"
    );
}

#[test]
fn an_unknown_host_is_refused_where_nobody_is_to_be_asked() {
    let play = with_password(known(&[]).refuse_unknown()).run();
    assert!(matches!(play.refusal(), HostKeyRefused::Unknown { .. }));
}

#[test]
fn a_changed_host_key_is_refused_and_the_reason_names_line_and_fingerprints() {
    let play = with_password(known(&["# hosts\n".into(), line(&key(2))])).run();
    assert!(play.asked.is_empty());
    let said = play.refusal().to_string();
    let (old, new) = (key(2), key(1));
    for part in [
        HOST,
        "has changed",
        "line 2 of known_hosts",
        &old.public_key().fingerprint().to_string(),
        &new.public_key().fingerprint().to_string(),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn h14_a_revoked_host_key_is_refused_though_known_and_pinned() {
    let trust = known(&[line(&key(1)), format!("@revoked {}", line(&key(1)))]);
    for trust in [trust.clone(), trust.pin(key(1).public_key().fingerprint())] {
        let play = with_password(trust).run();
        assert!(matches!(
            play.refusal(),
            HostKeyRefused::Revoked { line: 2, .. }
        ));
    }
}

#[test]
fn pins_decide_alone() {
    let pin = |n| key(n).public_key().fingerprint();
    let play = with_password(Trust::pinned([pin(2), pin(1)])).run();
    assert_eq!(play.result, Some(Ok(AuthenticatedBy::Password)));

    let trusts = [
        Trust::pinned([pin(2)]),
        known(&[line(&key(1))]).pin(pin(2)),
        Trust::dangerous_accept_any().pin(pin(2)),
    ];
    for trust in trusts {
        let play = with_password(trust).run();
        assert!(matches!(play.refusal(), HostKeyRefused::NotPinned { .. }));
    }
    let play = with_password(Trust::pinned([])).run();
    assert!(matches!(play.refusal(), HostKeyRefused::Unknown { .. }));
}

#[test]
fn any_key_is_trusted_only_by_its_dangerous_name() {
    let play = with_password(Trust::dangerous_accept_any()).run();
    assert_eq!(play.result, Some(Ok(AuthenticatedBy::Password)));
}

#[test]
fn h12_known_types_of_host_keys_are_asked_for_first_unless_switched_off() {
    let ecdsa = PrivateKey::from_ecdsa_p256_scalar(&[5; 32]).unwrap();
    let trust = known(&[line(&ecdsa)]);
    let server = || {
        let mut config = server_config();
        let key = PrivateKey::from_ecdsa_p256_scalar(&[5; 32]).unwrap();
        config.host_keys.push(HostKey::Private(key.into()));
        config
    };
    let mut play = with_password(trust.clone());
    play.run_on(server());
    assert_eq!(play.result, Some(Ok(AuthenticatedBy::Password)));

    let mut play = with_password(trust.order(HostKeyOrder::AsConfigured));
    play.run_on(server());
    assert!(matches!(play.refusal(), HostKeyRefused::Changed { .. }));
}

#[test]
fn h12_nothing_moves_if_the_first_algorithm_is_known() {
    use SignatureAlgorithm::{EcdsaSha2Nistp256, Ed25519, RsaSha2_256, RsaSha2_512};
    let rsa = private("rsa2048");
    let rsa = entry_line(HOST, 22, rsa.public_key(), HostField::Plain).unwrap();
    let ordered = |lines: &[String]| {
        let mut list = [Ed25519, EcdsaSha2Nistp256, RsaSha2_512, RsaSha2_256];
        known(lines).order_algorithms(&mut list);
        list
    };
    let usual = ordered(&[]);
    assert_eq!(ordered(&[rsa.clone(), line(&key(1))]), usual);
    assert_eq!(
        ordered(&[rsa]),
        [RsaSha2_512, RsaSha2_256, Ed25519, EcdsaSha2Nistp256]
    );
}

#[test]
fn every_kind_of_key_logs_in() {
    for (name, algorithm) in [
        ("ed25519", SignatureAlgorithm::Ed25519),
        ("ecdsa_p256", SignatureAlgorithm::EcdsaSha2Nistp256),
        ("rsa2048", SignatureAlgorithm::RsaSha2_512),
    ] {
        let by = AuthenticatedBy::PublicKey(algorithm);
        let play = Play::new(alice().key(private(name)), [Answer::Accept]).run();
        assert_eq!(play.result, Some(Ok(by)));
        assert_eq!(play.seen, [format!("key {algorithm}")], "at once");

        let outside = alice().external_key(private(name).public_key().clone());
        let mut play = Play::new(outside, [Answer::Accept]);
        play.agent = Some(private(name));
        let play = play.run();
        assert_eq!(play.result, Some(Ok(by)));
        assert_eq!(play.asked, ["sign"]);
        assert_eq!(play.seen.len(), 2, "asked first: {:?}", play.seen);
    }
}

#[test]
fn c7_the_algorithms_that_the_server_names_are_respected() {
    let mut config = server_config();
    config.user_signatures = vec![SignatureAlgorithm::RsaSha2_256];
    let login = alice().key(private("ed25519")).key(private("rsa2048"));
    let mut play = Play::new(login, [Answer::Accept]);
    play.run_on(config);
    let by = AuthenticatedBy::PublicKey(SignatureAlgorithm::RsaSha2_256);
    assert_eq!(play.result, Some(Ok(by)));
    assert_eq!(play.seen, ["offer ssh-rsa", "key rsa-sha2-256"]);
}

#[test]
fn c7_without_a_common_algorithm_no_key_is_shown() {
    let mut config = server_config();
    config.user_signatures = Vec::new();
    let mut play = Play::new(alice().key(private("rsa2048")), [Answer::Accept]);
    play.run_on(config);
    assert_eq!(play.outcomes(), [Outcome::Unusable]);
    assert_eq!(play.seen, [""; 0]);
}

#[test]
fn credentials_are_tried_in_the_order_given() {
    let login = alice()
        .password(String::from("one"))
        .key(private("ed25519"))
        .password(String::from("two"))
        .key(private("ecdsa_p256"));
    let play = Play::new(login, []).run();
    assert_eq!(
        play.seen,
        [
            "password one",
            "offer ssh-ed25519",
            "key ssh-ed25519",
            "password two",
            "offer ecdsa-sha2-nistp256",
            "key ecdsa-sha2-nistp256",
        ]
    );
    assert_eq!(play.outcomes(), [Outcome::Refused; 4]);
}

#[test]
fn c5_each_identity_is_tried_once_and_the_login_ends() {
    let mut login = alice();
    for n in 0..40 {
        login = login.key(SigningKey::ed25519(&[n % 20; 32]));
    }
    let mut play = Play::new(login, []);
    play.invites = false;
    let play = play.run();
    assert_eq!(play.seen.len(), 20, "the same key twice is one identity");
    assert_eq!(play.outcomes(), [Outcome::Refused; 20]);
}

#[test]
fn the_same_key_inside_and_outside_is_one_identity() {
    let key = private("ed25519");
    let public = key.public_key().clone();
    let play = Play::new(alice().key(key).external_key(public), []).run();
    assert_eq!(play.outcomes(), [Outcome::Refused]);
}

#[test]
fn partial_success_goes_on_with_what_is_left() {
    let login = alice()
        .key(private("ed25519"))
        .password(String::from("secret"));
    let answers = [Answer::Partial(Methods::PASSWORD), Answer::Accept];
    let play = Play::new(login, answers).run();
    assert_eq!(play.seen, ["key ssh-ed25519", "password secret"]);
    assert_eq!(play.result, Some(Ok(AuthenticatedBy::Password)));
    let tried = play.login.report().tried;
    assert!(tried.iter().all(|a| a.outcome == Outcome::Accepted));
}

#[test]
fn what_was_not_listed_at_first_is_tried_when_it_is() {
    let login = alice()
        .opening(Opening::AskMethods)
        .password(String::from("secret"))
        .key(private("ed25519"));
    let answers = [Answer::Partial(Methods::PASSWORD), Answer::Accept];
    let mut play = Play::new(login, answers);
    play.run_on(only(Methods::PUBLICKEY));
    assert_eq!(play.seen, ["none", "key ssh-ed25519", "password secret"]);
    assert_eq!(play.result, Some(Ok(AuthenticatedBy::Password)));
}

#[test]
fn an_accepted_password_is_not_asked_for_again() {
    let login = alice().ask_password(3);
    let mut play = Play::new(login, [Answer::Partial(Methods::PASSWORD)]);
    play.passwords = [Some("a"), Some("b")].into();
    let play = play.run();
    assert_eq!(play.seen, ["password a"]);
    assert_eq!(play.outcomes(), [Outcome::Accepted]);
}

#[test]
fn no_password_is_shown_to_a_server_that_does_not_list_it() {
    let login = alice()
        .opening(Opening::AskMethods)
        .password(String::from("secret"))
        .ask_password(3);
    let mut play = Play::new(login, []);
    play.run_on(only(Methods::PUBLICKEY));
    assert_eq!(play.seen, ["none"]);
    assert!(play.asked.is_empty());
    let report = play.report();
    assert_eq!(report.untried, [Tried::Password, Tried::Password]);
    assert_eq!(report.server_methods, Some(vec!["publickey".into()]));
    assert_eq!(
        report.to_string(),
        "not logged in: no credential refused; not tried: password, password; the server goes on \
         with publickey"
    );

    // Likewise after a key, without the question.
    let login = alice()
        .key(private("ed25519"))
        .password(String::from("secret"));
    let mut play = Play::new(login, []);
    play.run_on(only(Methods::PUBLICKEY));
    assert_eq!(play.seen, ["key ssh-ed25519"]);
}

#[test]
fn a_password_is_asked_for_three_times() {
    let mut play = Play::new(alice().ask_password(3), []);
    play.passwords = [Some("a"), Some("b"), Some("c"), Some("d")].into();
    let play = play.run();
    assert_eq!(play.asked, ["first", "again", "again"]);
    assert_eq!(play.seen, ["password a", "password b", "password c"]);
    assert_eq!(play.outcomes(), [Outcome::Refused; 3]);
}

#[test]
fn who_gives_no_password_is_not_asked_again() {
    let login = alice().ask_password(3).key(private("ed25519"));
    let play = Play::new(login, [Answer::Accept]).run();
    assert_eq!(play.asked, ["first"]);
    assert_eq!(play.seen, ["key ssh-ed25519"]);
    assert!(matches!(play.result, Some(Ok(_))));
}

#[test]
fn a_signature_that_is_declined_leads_to_the_next_credential() {
    let login = alice()
        .external_key(private("rsa2048").public_key().clone())
        .password(String::from("secret"));
    let play = Play::new(login, [Answer::Accept]).run();
    assert_eq!(play.seen, ["offer ssh-rsa", "password secret"]);
    let tried = play.login.report().tried;
    assert_eq!(tried[0].outcome, Outcome::Unusable);
    let Tried::Key { key_type, .. } = tried[0].tried else {
        panic!("{tried:?}");
    };
    assert_eq!(key_type, KeyType::Rsa);
}

#[test]
fn without_credentials_the_login_fails_and_says_so() {
    let play = Play::new(alice(), []).run();
    assert_eq!(
        play.report().to_string(),
        "not logged in: nothing was tried"
    );
}

#[test]
fn the_server_may_end_it_first_and_the_report_is_still_there() {
    let mut login = alice();
    for n in 0..10 {
        login = login.password(format!("guess {n}"));
    }
    let play = Play::new(login, []).run();
    assert_eq!(play.result, None);
    assert!(play.ended.unwrap().contains("disconnected by the peer"));
    let report = play.login.report();
    let answers: Vec<_> = report.tried.iter().map(|a| a.outcome).collect();
    assert_eq!(answers.len(), 6);
    assert_eq!(answers.last(), Some(&Outcome::Unanswered));
    assert_eq!(report.untried.len(), 4);
}

#[test]
fn nothing_secret_is_printed() {
    let login = alice()
        .password(String::from("hunter2"))
        .key(SigningKey::ed25519(&[0x5a; 32]));
    let shown = format!("{login:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("90, 90"));
}
