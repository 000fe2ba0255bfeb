//! Nobody sleeps while there is something to do, and nobody is awake while there is nothing.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use ssh_testkit::rng::SeededRandom;
use ssh_tokio::{Client, Handler, Server, Start, WriteHalf};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::common::{Programs, noise, options, server_options, within};
use crate::stream::{Control, Tapped};

/// Counts what it gets, and says nothing.
#[derive(Default)]
struct Silent {
    got: Arc<AtomicUsize>,
}

impl Handler for Silent {
    async fn exec(&self, request: Start, _command: Vec<u8>) {
        let Ok(mut channel) = request.accept() else {
            return;
        };
        let mut piece = vec![0; 4096];
        while let Ok(n @ 1..) = channel.read(&mut piece).await {
            self.got.fetch_add(n, Ordering::SeqCst);
        }
    }
}

async fn silent() -> (Server<Silent>, Arc<AtomicUsize>, Client, Control) {
    let handler = Silent::default();
    let got = handler.got.clone();
    let server = Server::new(server_options(), handler).unwrap();
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    server.serve(theirs, ([127, 0, 0, 1], 1).into());
    let (ours, control) = Tapped::new(ours);
    let client = Client::connect(ours, options()).await.unwrap();
    (server, got, client, control)
}

async fn until(what: impl Fn() -> bool) {
    within(10, async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_stream_that_has_room_while_another_task_has_the_writer_is_written_to() {
    let (_server, got, client, control) = silent().await;
    let mut channel = client.open_session().await.unwrap();
    channel.exec("").await.unwrap();
    for round in 1..=5 {
        // Nothing is owed any more, and the driver sleeps.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut first = true;
        control.before_writes(move |cx| {
            if !std::mem::take(&mut first) {
                return Poll::Ready(());
            }
            // There is room at once, and the driver learns it before we return.
            cx.waker().wake_by_ref();
            std::thread::sleep(Duration::from_millis(100));
            Poll::Pending
        });
        channel.write_all(b"one byte too few?").await.unwrap();
        until(|| got.load(Ordering::SeqCst) == round * 17).await;
    }
}

#[tokio::test]
async fn what_others_send_while_the_driver_writes_is_written() {
    let (_server, got, client, control) = silent().await;
    let channel = client.open_session().await.unwrap();
    channel.exec("").await.unwrap();
    let (_reader, mut writer) = channel.into_split();
    let another = client.open_session().await.unwrap();
    another.exec("").await.unwrap();
    let (_other_reader, other) = another.into_split();
    tokio::time::sleep(Duration::from_millis(20)).await;
    // Each write finds that something was sent while it had the stream, four hundred times in a row.
    let other: Arc<Mutex<WriteHalf>> = Arc::new(Mutex::new(other));
    let mut left = 400;
    control.before_writes(move |cx| {
        if left > 0 {
            left -= 1;
            let mut other = other.lock().unwrap();
            let sent = Pin::new(&mut *other).poll_write(cx, b"more");
            assert!(matches!(sent, Poll::Ready(Ok(4))));
        }
        Poll::Ready(())
    });
    writer.write_all(b"first").await.unwrap();
    until(|| got.load(Ordering::SeqCst) == 5 + 400 * 4).await;
}

/// A stream that often has no room, and then has it again at once, or from another thread, or later.
fn capricious(control: &Control, seed: u64) {
    let mut random = SeededRandom::new(seed);
    control.before_writes(move |cx| {
        let waker = cx.waker().clone();
        match random.below(4) {
            0 => waker.wake(),
            1 => drop(tokio::spawn(async move { waker.wake() })),
            2 => {
                let pause = Duration::from_micros(random.below(1500));
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    waker.wake();
                });
            }
            _ => return Poll::Ready(()),
        }
        Poll::Pending
    });
}

async fn busy_over_capricious_streams(seed: u64) {
    let server = Server::new(server_options(), Programs).unwrap();
    let (ours, theirs) = tokio::io::duplex(20_000);
    let (theirs, control) = Tapped::new(theirs);
    capricious(&control, seed);
    server.serve(theirs, ([127, 0, 0, 1], 1).into());
    let (ours, control) = Tapped::new(ours);
    capricious(&control, seed + 1);
    let client = Client::connect(ours, options()).await.unwrap();
    let mut tasks = Vec::new();
    for number in 0..6 {
        let client = client.clone();
        tasks.push(tokio::spawn(async move {
            let input = noise(seed + number, 1 << 20);
            let output = client.exec_with_input("echo", &input).await.unwrap();
            assert!(output.stdout == input);
        }));
    }
    client.rekey().await.unwrap();
    for task in tasks {
        within(60, task).await.unwrap();
    }
}

#[tokio::test]
async fn a_capricious_stream_loses_nothing_and_stops_nobody() {
    busy_over_capricious_streams(10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_capricious_stream_loses_nothing_and_stops_nobody_on_several_threads() {
    for seed in 20..24 {
        busy_over_capricious_streams(seed).await;
    }
}

#[tokio::test]
async fn many_tasks_wait_without_waking_each_other_for_ever() {
    let (_server, _, client, _) = silent().await;
    let polls = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..500 {
        let (client, polls) = (client.clone(), polls.clone());
        tasks.push(tokio::spawn(async move {
            let mut closed = std::pin::pin!(client.closed());
            poll_fn(|cx| {
                polls.fetch_add(1, Ordering::SeqCst);
                closed.as_mut().poll(cx)
            })
            .await
        }));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = polls.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(before, polls.load(Ordering::SeqCst));
    within(10, client.disconnect()).await;
    for task in tasks {
        within(10, task).await.unwrap();
    }
}

#[tokio::test]
async fn an_idle_connection_sleeps() {
    let (_server, _, client, _) = silent().await;
    let channel = client.open_session().await.unwrap();
    channel.exec("").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let handle = tokio::runtime::Handle::current();
    let before = handle.metrics().worker_park_count(0);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(handle.metrics().worker_park_count(0) - before < 10);
}

#[tokio::test]
async fn disconnecting_waits_until_the_last_words_are_written() {
    let (_server, got, client, control) = silent().await;
    let mut channel = client.open_session().await.unwrap();
    channel.exec("").await.unwrap();
    control.hold();
    let data = noise(1, 50_000);
    channel.write_all(&data).await.unwrap();
    let mut goodbye = std::pin::pin!(client.disconnect());
    let early = tokio::time::timeout(Duration::from_millis(200), goodbye.as_mut()).await;
    assert!(early.is_err() && !control.is_shut());
    control.release();
    within(10, goodbye).await;
    assert!(control.is_shut());
    until(|| got.load(Ordering::SeqCst) == data.len()).await;
}

#[tokio::test(start_paused = true)]
async fn disconnecting_does_not_wait_for_ever_for_a_stream_that_takes_nothing() {
    let (_server, _, client, control) = silent().await;
    control.hold();
    let begin = tokio::time::Instant::now();
    within(10, client.disconnect()).await;
    assert_eq!(begin.elapsed().as_secs(), 2);
}

/// In virtual time, which passes only while everybody sleeps: a wait for a timer would show.
#[tokio::test(start_paused = true)]
async fn a_key_exchange_waits_for_no_timer() {
    let (_server, _got, client, _control) = silent().await;
    for round in 0..4 {
        if round == 2 {
            // What is due from the first ones is over.
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        let began = tokio::time::Instant::now();
        client.rekey().await.unwrap();
        let took = began.elapsed();
        assert!(took < Duration::from_millis(50), "{round}: {took:?}");
    }
}

#[tokio::test]
async fn the_stream_ends_with_the_connection_whoever_still_has_a_handle() {
    within(20, async {
        let (_server, _got, client, control) = silent().await;
        let channel = client.open_session().await.unwrap();
        client.disconnect().await;
        until(|| control.is_dropped()).await;
        // They outlive it, and know.
        assert!(client.ended().is_some());
        channel.closed().await;
    })
    .await;
}
