//! Decisions that take their time, and peers that take too much of it. The clock is the test's own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ssh_client::LoginError;
use ssh_proto::config::Methods;
use ssh_proto::error::{End, Error as CoreError};
use ssh_proto::time::TimeoutReason;
use ssh_server::{PasswordCheck, Users};
use ssh_tokio::{
    Client, ConnectOptions, Error, Handler, HostKeys, Login, Required, Server, ServerOptions,
    Start, Trust,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::common::{host_key, options, trust};
use crate::stream::{Control, Tapped};

const HOUR: Duration = Duration::from_secs(3600);

/// Users whose passwords the handler knows.
struct Outside;

impl Users for Outside {
    fn check_password(&mut self, _user: &[u8], _password: &[u8]) -> PasswordCheck {
        PasswordCheck::Outside
    }
}

/// Thinks before it decides.
#[derive(Clone, Default)]
struct Thinker {
    takes: Duration,
    failed: Arc<Mutex<Vec<String>>>,
}

impl Thinker {
    fn new(takes: Duration) -> Self {
        Self {
            takes,
            failed: Arc::default(),
        }
    }

    /// A connection to a server that never asks for signs of life.
    fn serve(
        &self,
    ) -> (
        Server<Self>,
        impl AsyncRead + AsyncWrite + Send + 'static,
        Control,
    ) {
        let keys = HostKeys::new([host_key()]).unwrap();
        let options = ServerOptions::new(keys, |_| Outside)
            .required(Required::AnyOf(Methods::PASSWORD))
            .without_keepalive();
        let server = Server::new(options, self.clone()).unwrap();
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        server.serve(theirs, ([127, 0, 0, 1], 1).into());
        let (ours, control) = Tapped::new(ours);
        (server, ours, control)
    }
}

impl Handler for Thinker {
    async fn password(
        &self,
        _from: SocketAddr,
        _user: Vec<u8>,
        password: Zeroizing<Vec<u8>>,
    ) -> bool {
        sleep(self.takes).await;
        *password == b"secret"
    }

    async fn exec(&self, request: Start, command: Vec<u8>) {
        if command == b"think" {
            sleep(HOUR).await;
        }
        let Ok(channel) = request.accept() else {
            return;
        };
        channel.closed().await;
    }

    fn login_failed(&self, _from: SocketAddr, error: &Error) {
        self.failed.lock().unwrap().push(format!("{error:?}"));
    }
}

fn asking(takes: Duration, trusted: bool) -> ConnectOptions {
    let login = Login::new("alice", Trust::ask()).password(String::from("secret"));
    ConnectOptions::new(login).on_host_key(move |key, fingerprint| async move {
        assert_eq!(key.fingerprint(), fingerprint);
        sleep(takes).await;
        trusted
    })
}

#[tokio::test(start_paused = true)]
async fn a_host_key_may_be_thought_about() {
    let (_server, stream, _) = Thinker::default().serve();
    let begin = Instant::now();
    let client = Client::connect(stream, asking(Duration::from_secs(2), true)).await;
    client.unwrap().disconnect().await;
    assert!(begin.elapsed() >= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_host_key_may_be_distrusted_after_thinking() {
    let (_server, stream, _) = Thinker::default().serve();
    let client = Client::connect(stream, asking(Duration::from_secs(2), false)).await;
    distrusted(client);
}

#[tokio::test(start_paused = true)]
async fn a_host_key_is_not_trusted_when_nobody_is_asked() {
    let (_server, stream, _) = Thinker::default().serve();
    let login = Login::new("alice", Trust::ask()).password(String::from("secret"));
    distrusted(Client::connect(stream, ConnectOptions::new(login)).await);
}

/// The error says which key it was.
fn distrusted(client: Result<Client, Error>) {
    let Err(Error::Login(error)) = client else {
        panic!("{client:?}");
    };
    let LoginError::HostKey(refused) = *error else {
        panic!("{error:?}");
    };
    let fingerprint = host_key().public_key().fingerprint();
    assert!(refused.to_string().contains(&fingerprint.to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_host_key_that_is_thought_about_for_too_long_ends_the_connection() {
    let (_server, stream, _) = Thinker::default().serve();
    let begin = Instant::now();
    let client = Client::connect(stream, asking(HOUR, true)).await;
    let error = client.unwrap_err();
    // Whichever side loses its patience first.
    assert!(error.end().is_some(), "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(130));
}

#[tokio::test(start_paused = true)]
async fn a_password_may_be_asked_for_and_thought_about_on_both_sides() {
    let (_server, stream, _) = Thinker::new(Duration::from_secs(30)).serve();
    let asked = Arc::new(Mutex::new(0));
    let count = asked.clone();
    let login = Login::new("alice", trust()).ask_password(3);
    let options = ConnectOptions::new(login).on_password(move |_| {
        *count.lock().unwrap() += 1;
        let right = *count.lock().unwrap() == 2;
        async move {
            sleep(Duration::from_secs(10)).await;
            Some(String::from(if right { "secret" } else { "wrong" }))
        }
    });
    let begin = Instant::now();
    let client = Client::connect(stream, options).await.unwrap();
    assert_eq!(*asked.lock().unwrap(), 2);
    assert!(begin.elapsed() >= Duration::from_secs(80));
    client.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_password_that_nobody_gives_is_a_login_that_failed() {
    let (_server, stream, _) = Thinker::default().serve();
    let login = Login::new("alice", trust()).ask_password(3);
    let client = Client::connect(stream, ConnectOptions::new(login)).await;
    assert!(matches!(client, Err(Error::Login(_))), "{client:?}");
}

#[tokio::test(start_paused = true)]
async fn a17_a_password_that_is_checked_for_too_long_lets_nobody_in() {
    let thinker = Thinker::new(HOUR);
    let (server, stream, _) = thinker.serve();
    let begin = Instant::now();
    let client = Client::connect(stream, options()).await;
    let error = client.unwrap_err();
    assert!(error.end().is_some(), "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(130));
    while server.connections() > 0 {
        sleep(Duration::from_millis(100)).await;
    }
    let failed = thinker.failed.lock().unwrap();
    assert!(failed.len() == 1, "{failed:?}");
    // The check itself was given up with it.
    assert!(begin.elapsed() < HOUR / 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_vanishes_is_noticed_while_nobody_is_in_a_call() {
    let (_server, stream, control) = Thinker::default().serve();
    let client = Client::connect(stream, options()).await.unwrap();
    sleep(Duration::from_secs(600)).await;
    assert!(client.ended().is_none(), "it answers");
    control.mute();
    // Silence counts from a question on: it may have spoken right before.
    sleep(Duration::from_secs(150)).await;
    let ended = client.ended().expect("nobody noticed");
    let why = &ended.end;
    let silent = matches!(
        why,
        End::Error(CoreError::Timeout(TimeoutReason::Keepalive))
    );
    assert!(silent, "{why:?}");
    assert!(matches!(client.open_session().await, Err(Error::Ended(_))));
}

#[tokio::test(start_paused = true)]
async fn a_read_ends_when_the_server_vanishes() {
    let (_server, stream, control) = Thinker::default().serve();
    let client = Client::connect(stream, options()).await.unwrap();
    let mut channel = client.open_session().await.unwrap();
    channel.exec("wait").await.unwrap();
    control.mute();
    let begin = Instant::now();
    let error = channel.read(&mut [0; 10]).await.unwrap_err();
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref());
    assert!(matches!(ours, Some(Error::Ended(_))), "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(151));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_answers_has_a_time_limit() {
    let (_server, stream, control) = Thinker::default().serve();
    let options = options()
        .without_keepalive()
        .request_timeout(Some(Duration::from_secs(7)));
    let client = Client::connect(stream, options).await.unwrap();
    let channel = client.open_session().await.unwrap();
    let begin = Instant::now();
    assert!(matches!(channel.exec("think").await, Err(Error::Timeout)));
    assert_eq!(begin.elapsed().as_secs(), 7);
    control.mute();
    assert!(matches!(channel.exec("any").await, Err(Error::Timeout)));
    assert!(matches!(client.open_session().await, Err(Error::Timeout)));
    assert!(matches!(
        client.open_direct_tcpip("localhost", 1).await,
        Err(Error::Timeout)
    ));
    assert!(matches!(client.rekey().await, Err(Error::Timeout)));
    assert_eq!(begin.elapsed().as_secs(), 5 * 7);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_is_decided_on_for_too_long_is_refused() {
    let (_server, stream, _) = Thinker::default().serve();
    let client = Client::connect(stream, options()).await.unwrap();
    let channel = client.open_session().await.unwrap();
    let begin = Instant::now();
    let refused = channel.exec("think").await;
    assert!(matches!(refused, Err(Error::RequestRefused)), "{refused:?}");
    assert!(begin.elapsed() < Duration::from_secs(70));
}
