//! The stream dies at any moment: every call that waits gets a typed error, and nothing is left.

use std::io;
use std::time::Duration;

use ssh_proto::config::ServerConfig;
use ssh_proto::message::{TerminalModes, TerminalSize};
use ssh_testkit::rng::SeededRandom;
use ssh_tokio::{
    Channel, Client, Error, ExitStatus, Handler, Pty, Server, Session, Start, Terminal,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime;
use tokio::task::JoinHandle;

use crate::common::{Programs, noise, options, server_options, within};
use crate::stream::{Control, Tapped};

/// How long any call may take to notice.
const NOTICED: u64 = 10;

/// An error of a read or a write says what happened, in our own words.
fn typed(error: &io::Error) {
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref());
    assert!(matches!(ours, Some(Error::Ended(_))), "{error:?}");
}

/// A call that nothing but the end of the connection ends.
fn pending(call: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(within(60, call))
}

async fn write_for_ever(mut channel: Channel) {
    let data = noise(1, 10_000);
    let error = loop {
        if let Err(error) = channel.write(&data).await {
            break error;
        }
    };
    typed(&error);
    // And so does every later call.
    typed(&channel.write(&data).await.unwrap_err());
    assert!(matches!(channel.wait().await, Err(Error::Ended(_))));
    assert!(matches!(channel.exec("echo").await, Err(Error::Ended(_))));
}

async fn read_for_ever(mut channel: Channel) {
    let mut piece = [0; 100];
    typed(&channel.read(&mut piece).await.unwrap_err());
    typed(&channel.stderr().read(&mut piece).await.unwrap_err());
    channel.closed().await;
}

/// A session in which calls of every kind wait. Ends with the connection at the latest.
async fn session(stream: Tapped<DuplexStream>, pieces: &mut Vec<JoinHandle<()>>) -> io::Result<()> {
    let client = Client::connect(stream, options()).await?;
    let hang = client.open_session().await?;
    hang.exec("hang").await?;
    pieces.push(pending(read_for_ever(hang)));
    let hang = client.open_session().await?;
    hang.exec("hang").await?;
    pieces.push(pending(write_for_ever(hang)));
    let hang = client.open_session().await?;
    hang.exec("hang").await?;
    pieces.push(pending(async move {
        assert!(matches!(hang.wait().await, Err(Error::Ended(_))));
    }));
    let watch = client.clone();
    pieces.push(pending(async move {
        watch.closed().await;
        let opened = watch.open_session().await;
        assert!(matches!(opened, Err(Error::Ended(_))), "{opened:?}");
        assert!(matches!(watch.rekey().await, Err(Error::Ended(_))));
    }));

    let mut echo = client.open_session().await?;
    echo.exec("echo").await?;
    let data = noise(2, 20_000);
    let mut back = vec![0; data.len()];
    echo.write_all(&data).await?;
    echo.read_exact(&mut back).await?;
    assert!(back == data);
    client.rekey().await?;
    assert_eq!(client.exec("greet 3").await?.stdout, b"hello\n");
    echo.write_all(&data).await?;
    echo.read_exact(&mut back).await?;
    assert!(back == data);
    let mut late = Vec::new();
    echo.shutdown().await?;
    echo.read_to_end(&mut late).await?;
    assert!(late.is_empty() && echo.wait().await?.success());
    client.disconnect().await;
    Ok(())
}

struct Stage {
    server: Server<Programs>,
    baseline: usize,
}

impl Stage {
    fn new() -> Self {
        let mut config = ServerConfig::default();
        config.transport.limits.window = 48 * 1024;
        Self {
            server: Server::new(server_options().config(config), Programs).unwrap(),
            baseline: runtime::Handle::current().metrics().num_alive_tasks(),
        }
    }

    /// One session over a stream with this much room, whose ends `cut` may prepare.
    async fn play(&self, room: usize, cut: impl FnOnce(&Control, &Control)) -> (bool, Control) {
        let (ours, theirs) = tokio::io::duplex(room);
        let (ours, our_end) = Tapped::new(ours);
        let (theirs, their_end) = Tapped::new(theirs);
        cut(&our_end, &their_end);
        self.server.serve(theirs, ([127, 0, 0, 1], 1).into());
        let mut pieces = Vec::new();
        let played = within(NOTICED, session(ours, &mut pieces)).await;
        for piece in pieces {
            within(NOTICED, piece).await.unwrap();
        }
        self.is_empty().await;
        (played.is_ok(), our_end)
    }

    async fn is_empty(&self) {
        until_alone(&self.server, self.baseline).await;
    }
}

/// Nothing is left of any connection.
async fn until_alone<H: Handler>(server: &Server<H>, baseline: usize) {
    within(NOTICED, async {
        while server.connections() > 0
            || runtime::Handle::current().metrics().num_alive_tasks() > baseline
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// A session is cut at `cuts` places, all over its length and in both directions, at either end.
async fn cut_anywhere(seed: u64, cuts: u64) {
    let mut random = SeededRandom::new(seed);
    let stage = Stage::new();
    let (played, control) = stage.play(64 * 1024, |_, _| {}).await;
    assert!(played);
    let (read, written) = control.counts();
    for number in 0..cuts {
        // The first third falls into the login, where there is less to read than later.
        let share = if number % 3 == 0 { 20 } else { 1 };
        let (reading, at_server) = (random.below(2) == 0, random.below(2) == 0);
        let room = [64, 1000, 64 * 1024][random.below(3) as usize];
        let at = random.below(if reading { read } else { written } / share);
        let (played, _) = stage
            .play(room, |ours, theirs| {
                // What the client reads is what the server writes.
                match (reading, at_server) {
                    (true, false) => ours.cut_after(Some(at), None),
                    (false, false) => ours.cut_after(None, Some(at)),
                    (true, true) => theirs.cut_after(None, Some(at)),
                    (false, true) => theirs.cut_after(Some(at), None),
                }
            })
            .await;
        // How much goes beyond the echo depends on who is first.
        assert!(
            !played || at > 40_000,
            "{number}: {at} of {read}, {written}"
        );
    }
}

#[tokio::test]
async fn d3_the_stream_dies_at_any_moment_on_one_thread() {
    cut_anywhere(1, 150).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn d3_the_stream_dies_at_any_moment_on_several_threads() {
    cut_anywhere(2, 150).await;
}

#[tokio::test]
async fn a_server_that_is_dropped_ends_its_connections() {
    let (server, address) = crate::common::server().await;
    let client = crate::common::connect(address).await;
    let hang = client.open_session().await.unwrap();
    hang.exec("hang").await.unwrap();
    let waits = pending(read_for_ever(hang));
    drop(server);
    within(NOTICED, waits).await.unwrap();
    within(NOTICED, client.closed()).await;
}

#[tokio::test]
async fn a_connection_lives_as_long_as_one_of_its_channels() {
    let stage = Stage::new();
    let (ours, theirs) = tokio::io::duplex(1000);
    stage.server.serve(theirs, ([127, 0, 0, 1], 1).into());
    let client = Client::connect(ours, options()).await.unwrap();
    let echo = client.open_session().await.unwrap();
    echo.exec("echo").await.unwrap();
    drop(client);
    let (mut reader, mut writer) = echo.into_split();
    writer.write_all(b"still here").await.unwrap();
    let mut back = [0; 10];
    within(NOTICED, reader.read_exact(&mut back)).await.unwrap();
    drop(writer);
    assert_eq!(stage.server.connections(), 1);
    drop(reader);
    stage.is_empty().await;
}

/// Panics where its users let it.
struct Panics;

impl Handler for Panics {
    async fn exec(&self, request: Start, command: Vec<u8>) {
        if command == b"at once" {
            panic!("as the test wants");
        }
        let _channel = request.accept();
        panic!("as the test wants");
    }

    fn pty(&self, _session: &Session, _terminal: &Terminal) -> bool {
        panic!("as the test wants")
    }
}

#[tokio::test]
async fn a_handler_that_panics_leaves_nothing() {
    let baseline = runtime::Handle::current().metrics().num_alive_tasks();
    let server = Server::new(server_options(), Panics).unwrap();
    let connect = async || {
        let (ours, theirs) = tokio::io::duplex(1000);
        server.serve(theirs, ([127, 0, 0, 1], 1).into());
        Client::connect(ours, options()).await.unwrap()
    };
    let (client, other) = (connect().await, connect().await);
    // More often than programs may run: none of them counts any more.
    for _ in 0..100 {
        let refused = within(NOTICED, client.exec("at once")).await;
        assert!(matches!(refused, Err(Error::RequestRefused)), "{refused:?}");
        let output = within(NOTICED, client.exec("later")).await.unwrap();
        assert_eq!(output.exit, ExitStatus::Unknown);
    }
    // In the task of the connection it is the end of that.
    let channel = client.open_session().await.unwrap();
    let pty = Pty {
        term: "vt100",
        size: TerminalSize::default(),
        modes: TerminalModes::EMPTY,
    };
    let ended = within(NOTICED, channel.pty(&pty)).await;
    assert!(matches!(ended, Err(Error::Ended(_))), "{ended:?}");
    let refused = within(NOTICED, other.exec("at once")).await;
    assert!(matches!(refused, Err(Error::RequestRefused)), "{refused:?}");
    drop((channel, client, other));
    until_alone(&server, baseline).await;
}

#[test]
fn a_runtime_that_is_gone_ends_its_connections() {
    let first = runtime::Runtime::new().unwrap();
    let second = runtime::Runtime::new().unwrap();
    let (_server, address) = first.block_on(crate::common::server());
    let client = first.block_on(crate::common::connect(address));
    let hang = first.block_on(client.open_session()).unwrap();
    first.block_on(hang.exec("hang")).unwrap();
    let waits = second.spawn(read_for_ever(hang));
    first.shutdown_timeout(Duration::from_secs(5));
    second.block_on(within(NOTICED, waits)).unwrap();
    second.block_on(within(NOTICED, client.disconnect()));
}
