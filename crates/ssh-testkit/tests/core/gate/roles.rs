//! The application of a connection on the stand: it says yes to everything at once, except to what
//! the state is named after. That it keeps until it is told to answer.

use ssh_proto::ChannelEvent;
use ssh_proto::algorithm::KexAlgorithm;
use ssh_proto::auth::SignRequest;
use ssh_proto::client::{AuthToken, Client, ClientEvent, Credential, HostKeyDecision, Probe};
use ssh_proto::config::{HostKey, Methods};
use ssh_proto::server::{AuthDecision, AuthEvent, KeyOffer, Server, ServerEvent};
use ssh_testkit::raw::{Seen, Subject};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::key;

use super::states::State;

/// The server's host key and the user's, by their seeds.
const HOST: u8 = 1;
const USER: u8 = 7;

/// A role that can be put into every state.
pub(super) trait Stand: Subject {
    /// What its application knows.
    type App;

    fn settings(state: State) -> Self::Config;
    fn app(state: State) -> Self::App;
    /// An event. What is kept is not answered.
    fn on(app: &mut Self::App, peer: &mut Self, event: Self::Event<'_>, seen: &mut Seen);
    /// From here on nothing is kept any more.
    fn reached(app: &mut Self::App);
    /// Answers what was kept.
    fn answer(app: &mut Self::App, peer: &mut Self);
}

pub(super) struct App<K> {
    state: State,
    reached: bool,
    /// Credentials that a client was asked for, signatures that a server was.
    asked: usize,
    kept: Option<K>,
}

impl<K> App<K> {
    const fn new(state: State) -> Self {
        Self {
            state,
            reached: false,
            asked: 0,
            kept: None,
        }
    }

    /// Whether what is asked now, in a state with this name, is to be kept.
    fn keeps(&self, state: State) -> bool {
        self.state == state && !self.reached
    }
}

pub(super) enum KeptByClient {
    HostKey(HostKeyDecision),
    Credential(AuthToken),
    Signature(SignRequest),
}

impl Stand for Client {
    type App = App<KeptByClient>;

    fn settings(state: State) -> Self::Config {
        match state.kex() {
            // Whatever the default is.
            KexAlgorithm::Curve25519Sha256 => Self::config(),
            other => Self::speaking(other),
        }
    }

    fn app(state: State) -> Self::App {
        App::new(state)
    }

    fn on(app: &mut Self::App, client: &mut Self, event: ClientEvent<'_>, seen: &mut Seen) {
        let own = match &event {
            ClientEvent::HostKey { .. } => app.keeps(State::HostKey),
            ClientEvent::Channel(ChannelEvent::OpenRequest { .. }) => app.keeps(State::Ticket),
            ClientEvent::Authenticate { .. } | ClientEvent::Sign(_) => true,
            _ => false,
        };
        if !own {
            return client.agree(event, seen);
        }
        seen.log.client(&event);
        match event {
            ClientEvent::HostKey { decision, .. } => {
                app.kept = Some(KeptByClient::HostKey(decision));
            }
            ClientEvent::Authenticate { token, .. } => {
                app.asked += 1;
                if app.keeps(State::Credential) || app.keeps(State::Failed) && app.asked == 2 {
                    app.kept = Some(KeptByClient::Credential(token));
                    return;
                }
                show(client, token, app.state, app.asked);
            }
            ClientEvent::Sign(request) if app.keeps(State::Invited) => {
                app.kept = Some(KeptByClient::Signature(request));
            }
            ClientEvent::Sign(request) => sign_as_user(client, request),
            ClientEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) => {
                client.defer(&ticket).expect("mine");
            }
            _ => {}
        }
    }

    fn reached(app: &mut Self::App) {
        app.reached = true;
    }

    fn answer(app: &mut Self::App, client: &mut Self) {
        match app.kept.take().expect("a decision") {
            KeptByClient::HostKey(decision) => client.trust(decision).expect("mine"),
            KeptByClient::Credential(token) => show(client, token, app.state, app.asked),
            KeptByClient::Signature(request) => sign_as_user(client, request),
        }
    }
}

fn show(client: &mut Client, token: AuthToken, state: State, asked: usize) {
    let user = key(USER);
    let credential = match (state, asked) {
        (State::None, 1) => Credential::None,
        (State::Offered | State::Invited | State::Proven, 1) => Credential::PublicKey {
            key: user.public_key().clone(),
            probe: Probe::First,
        },
        (State::Partial, 2) => Credential::PrivateKey(&user),
        _ => Credential::Password("secret"),
    };
    client
        .authenticate(token, "alice", credential)
        .expect("mine");
}

fn sign_as_user(client: &mut Client, request: SignRequest) {
    let signature = key(USER)
        .sign(request.algorithm, &request.data, &mut SeededRandom::new(0))
        .expect("a signature");
    client.signed(request, &signature).expect("mine");
}

pub(super) enum KeptByServer {
    Signature(SignRequest),
    Decision(AuthDecision),
    Offer(KeyOffer),
}

impl Stand for Server {
    type App = App<KeptByServer>;

    fn settings(state: State) -> Self::Config {
        let mut config = match state.kex() {
            KexAlgorithm::Curve25519Sha256 => Self::config(),
            other => Self::speaking(other),
        };
        if matches!(state, State::HostKey | State::RekeyHostKey) {
            config.host_keys = vec![HostKey::External(key(HOST).public_key().clone())];
        }
        config
    }

    fn app(state: State) -> Self::App {
        App::new(state)
    }

    fn on(app: &mut Self::App, server: &mut Self, event: ServerEvent<'_>, seen: &mut Seen) {
        let own = match &event {
            ServerEvent::Sign(_) => true,
            ServerEvent::Auth(AuthEvent::Password { .. }) => {
                app.keeps(State::Password) || app.keeps(State::Partial)
            }
            ServerEvent::Auth(AuthEvent::KeyOffered { .. }) => app.keeps(State::Offered),
            ServerEvent::Auth(AuthEvent::KeyProven { .. }) => app.keeps(State::Proven),
            ServerEvent::Channel(ChannelEvent::OpenRequest { .. }) => app.keeps(State::Ticket),
            _ => false,
        };
        if !own {
            return server.agree(event, seen);
        }
        seen.log.server(&event);
        match event {
            ServerEvent::Sign(request) => {
                app.asked += 1;
                if app.keeps(State::HostKey) || app.keeps(State::RekeyHostKey) && app.asked == 2 {
                    app.kept = Some(KeptByServer::Signature(request));
                } else {
                    sign_as_host(server, request);
                }
            }
            ServerEvent::Auth(AuthEvent::Password { decision, .. })
                if app.state == State::Partial =>
            {
                server
                    .accept_partially(decision, Methods::PUBLICKEY)
                    .expect("mine");
            }
            ServerEvent::Auth(
                AuthEvent::Password { decision, .. } | AuthEvent::KeyProven { decision, .. },
            ) => app.kept = Some(KeptByServer::Decision(decision)),
            ServerEvent::Auth(AuthEvent::KeyOffered { offer, .. }) => {
                app.kept = Some(KeptByServer::Offer(offer));
            }
            ServerEvent::Channel(ChannelEvent::OpenRequest { ticket, .. }) => {
                server.defer(&ticket).expect("mine");
            }
            _ => {}
        }
    }

    fn reached(app: &mut Self::App) {
        app.reached = true;
    }

    fn answer(app: &mut Self::App, server: &mut Self) {
        match app.kept.take().expect("a decision") {
            KeptByServer::Signature(request) => sign_as_host(server, request),
            KeptByServer::Decision(decision) => server.accept(decision).expect("mine"),
            KeptByServer::Offer(offer) => server.invite(offer).expect("mine"),
        }
    }
}

fn sign_as_host(server: &mut Server, request: SignRequest) {
    let signature = key(HOST)
        .sign(request.algorithm, &request.data, &mut SeededRandom::new(0))
        .expect("a signature");
    server.signed(request, &signature).expect("mine");
}
