//! A call that is dropped at any point has done nothing, or what it reported, and leaves nothing.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ssh_proto::config::{ClientConfig, ServerConfig};
use ssh_testkit::rng::SeededRandom;
use ssh_tokio::{Client, ConnectOptions, Error, Handler, Server, Start};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::Handle;

use crate::common::{noise, options, server_options, within};

/// Gives a future up when it has been polled so often and is not ready.
struct CancelAfter<F> {
    call: Pin<Box<F>>,
    polls: u64,
}

fn cancel_after<F: Future>(polls: u64, call: F) -> CancelAfter<F> {
    let call = Box::pin(call);
    CancelAfter { call, polls }
}

impl<F: Future> Future for CancelAfter<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls = self.polls.saturating_sub(1);
        match self.call.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Gives a future up after so many polls, or when it has waited: for something that may never come.
async fn give_up<F: Future>(polls: u64, call: F) -> Option<F::Output> {
    let patience = Duration::from_millis(2);
    let done = tokio::time::timeout(patience, cancel_after(polls, call)).await;
    done.unwrap_or(None)
}

/// Echoes, and counts the programs that run.
#[derive(Default)]
struct Echo {
    running: Arc<AtomicUsize>,
}

impl Handler for Echo {
    async fn exec(&self, request: Start, _command: Vec<u8>) {
        self.running.fetch_add(1, Ordering::SeqCst);
        if let Ok(mut channel) = request.accept() {
            let mut piece = vec![0; 5000];
            while let Ok(n @ 1..) = channel.read(&mut piece).await
                && channel.write_all(&piece[..n]).await.is_ok()
            {}
            let _ = channel.exit(0).await;
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Stage {
    server: Server<Echo>,
    running: Arc<AtomicUsize>,
}

impl Stage {
    fn new() -> Self {
        let handler = Echo::default();
        let running = handler.running.clone();
        // Windows are small, so that writes wait.
        let mut config = ServerConfig::default();
        config.transport.limits.window = 33_000;
        let server = Server::new(server_options().config(config), handler).unwrap();
        Self { server, running }
    }

    fn options() -> ConnectOptions {
        let mut config = ClientConfig::default();
        config.transport.limits.window = 33_000;
        config.transport.limits.channels = 20;
        options().config(config)
    }

    fn stream(&self, room: usize) -> impl AsyncRead + AsyncWrite + Send + 'static {
        let (ours, theirs) = tokio::io::duplex(room);
        self.server.serve(theirs, ([127, 0, 0, 1], 1).into());
        ours
    }

    async fn client(&self) -> Client {
        let connected = Client::connect(self.stream(3000), Self::options()).await;
        connected.unwrap()
    }

    async fn until(&self, what: impl Fn(&Self) -> bool) {
        within(10, async {
            while !what(self) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

/// Reads and writes that are given up at random, while keys are exchanged: byte for byte.
async fn reads_and_writes(seed: u64) {
    let mut random = SeededRandom::new(seed);
    let stage = Stage::new();
    let client = stage.client().await;
    let mut channel = client.open_session().await.unwrap();
    channel.exec("").await.unwrap();
    let all = noise(seed, 300_000);
    let (mut sent, mut back) = (0, Vec::new());
    let mut piece = vec![0; 8000];
    while back.len() < all.len() {
        if sent < all.len() {
            let n = (1 + random.below(9000) as usize).min(all.len() - sent);
            let write = channel.write(&all[sent..sent + n]);
            if let Some(n) = give_up(1 + random.below(3), write).await {
                sent += n.unwrap();
            }
        }
        let into = &mut piece[..1 + random.below(8000) as usize];
        if let Some(n) = give_up(1 + random.below(3), channel.read(into)).await {
            let n = n.unwrap();
            assert!(n > 0);
            back.extend_from_slice(&piece[..n]);
        }
        if random.below(40) == 0 {
            let _ = give_up(1 + random.below(4), client.rekey()).await;
        }
        if random.below(4) == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert!(back == all);
    channel.shutdown().await.unwrap();
    assert_eq!(channel.read(&mut piece).await.unwrap(), 0);
    assert!(channel.wait().await.unwrap().success());
}

#[tokio::test]
async fn d8_reads_and_writes_that_are_dropped_have_done_nothing() {
    for seed in 0..8 {
        within(20, reads_and_writes(seed)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn d8_reads_and_writes_that_are_dropped_have_done_nothing_on_several_threads() {
    for seed in 10..18 {
        within(20, reads_and_writes(seed)).await;
    }
}

/// Every call is given up after every number of polls until it comes through.
async fn every_call() {
    let stage = Stage::new();
    let client = stage.client().await;
    let witness = client.open_session().await.unwrap();
    witness.exec("").await.unwrap();
    let mut given_up = 0;
    for polls in 1.. {
        let mut through = true;
        // More often than there may be channels: none of them may be left.
        for _ in 0..25 {
            let opened = cancel_after(polls, client.open_session()).await;
            let Some(channel) = opened else {
                (through, given_up) = (false, given_up + 1);
                continue;
            };
            let channel = channel.unwrap();
            let executed = cancel_after(polls, channel.exec("")).await;
            let Some(executed) = executed else {
                (through, given_up) = (false, given_up + 1);
                continue;
            };
            executed.unwrap();
            channel.send_eof().unwrap();
            let waited = cancel_after(polls, channel.wait()).await;
            let rekeyed = cancel_after(polls, client.rekey()).await;
            match (waited, rekeyed) {
                (Some(waited), Some(rekeyed)) => {
                    assert!(waited.unwrap().success());
                    rekeyed.unwrap();
                }
                _ => (through, given_up) = (false, given_up + 1),
            }
        }
        let output = client.exec_with_input("", b"still usable").await.unwrap();
        assert_eq!(output.stdout, b"still usable");
        if through {
            break;
        }
        assert!(polls < 1000);
    }
    assert!(given_up > 10, "{given_up}");
    stage
        .until(|stage| stage.running.load(Ordering::SeqCst) == 1)
        .await;
    stage
        .until(|_| format!("{witness:?}").contains("Table(1 channels)"))
        .await;
    drop((witness, client));
    stage.until(|stage| stage.server.connections() == 0).await;
    assert_eq!(stage.running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn d8_a_call_that_is_dropped_leaves_a_usable_connection() {
    within(60, every_call()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn d8_a_call_that_is_dropped_leaves_a_usable_connection_on_several_threads() {
    within(60, every_call()).await;
}

/// A login that is given up after every number of polls leaves nothing.
async fn every_login() {
    let stage = Stage::new();
    let baseline = Handle::current().metrics().num_alive_tasks();
    let mut given_up = 0;
    for polls in 1.. {
        let connected = cancel_after(polls, Client::connect(stage.stream(50), Stage::options()));
        let connected = connected.await;
        let through = connected.is_some();
        drop(connected.transpose().unwrap());
        stage
            .until(|stage| {
                stage.server.connections() == 0
                    && Handle::current().metrics().num_alive_tasks() <= baseline
            })
            .await;
        if through {
            break;
        }
        given_up += 1;
        assert!(polls < 1000);
    }
    assert!(given_up > 3, "{given_up}");
}

#[tokio::test]
async fn d8_a_login_that_is_dropped_leaves_nothing() {
    within(60, every_login()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn d8_a_login_that_is_dropped_leaves_nothing_on_several_threads() {
    within(60, every_login()).await;
}

/// One task that reads and writes with `select!`, as programs do.
async fn select_loop(seed: u64) {
    let stage = Stage::new();
    let client = stage.client().await;
    let channel = client.open_session().await.unwrap();
    channel.exec("").await.unwrap();
    let (mut reader, mut writer) = channel.into_split();
    let all = noise(seed, 1 << 20);
    let (mut sent, mut back) = (0, Vec::new());
    let mut piece = vec![0; 3000];
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let mut rekeys = 0;
    while back.len() < all.len() {
        tokio::select! {
            n = reader.read(&mut piece) => {
                let n = n.unwrap();
                assert!(n > 0);
                back.extend_from_slice(&piece[..n]);
            }
            n = writer.write(&all[sent..]), if sent < all.len() => sent += n.unwrap(),
            _ = ticks.tick() => {}
            rekeyed = client.rekey(), if rekeys < 3 => {
                rekeyed.unwrap();
                rekeys += 1;
            }
        }
    }
    assert!(back == all);
    writer.shutdown().await.unwrap();
    assert_eq!(reader.read(&mut piece).await.unwrap(), 0);
}

#[tokio::test]
async fn d8_a_select_loop_loses_nothing() {
    within(30, select_loop(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn d8_a_select_loop_loses_nothing_on_several_threads() {
    within(30, select_loop(2)).await;
}

#[tokio::test]
async fn a_writer_that_is_given_up_does_not_keep_the_room_from_another() {
    let stage = Stage::new();
    let client = stage.client().await;
    let channel = client.open_session().await.unwrap();
    channel.exec("").await.unwrap();
    let mut stderr = channel.stderr_writer();
    let (mut reader, mut writer) = channel.into_split();
    // The window is used up: the server's echo waits for us.
    let data = noise(3, 100_000);
    let mut sent = 0;
    while let Ok(n) = tokio::time::timeout(Duration::from_millis(50), writer.write(&data)).await {
        sent += n.unwrap();
    }
    // Both wait, one is given up.
    {
        let mut first = pin!(writer.write(&data));
        assert!(once(first.as_mut()).await.is_none());
    }
    let other = tokio::spawn(async move { stderr.write(b"x").await.unwrap() });
    let mut piece = vec![0; 4096];
    let mut back = 0;
    within(10, async {
        while back < sent {
            back += reader.read(&mut piece).await.unwrap();
        }
    })
    .await;
    assert_eq!(within(10, other).await.unwrap(), 1);
}

/// Polls once, with the task's own waker.
async fn once<F: Future>(mut call: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| match call.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn one_channel_too_many_waits_for_its_turn_and_says_so() {
    let stage = Stage::new();
    let options = Stage::options().request_timeout(Some(Duration::from_millis(200)));
    let client = Client::connect(stage.stream(3000), options).await.unwrap();
    let mut held = Vec::new();
    // All channels are taken: one more waits, and says so.
    for _ in 0..20 {
        held.push(client.open_session().await.unwrap());
    }
    let more = within(10, client.open_session()).await;
    assert!(
        matches!(more, Err(Error::Busy | Error::Timeout)),
        "{more:?}"
    );
    held.pop();
    within(10, client.open_session()).await.unwrap();
}
