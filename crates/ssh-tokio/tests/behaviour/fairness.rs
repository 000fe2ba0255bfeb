//! Channels do not stop each other, and what nobody reads stays within bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ssh_proto::config::{ClientConfig, ServerConfig};
use ssh_testkit::alloc;
use ssh_tokio::{Channel, Client, Handler, Server, Start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{Programs, noise, options, server_options, within};

/// Writes without end, and counts what is taken.
#[derive(Default)]
struct Flood {
    taken: Arc<AtomicUsize>,
}

impl Handler for Flood {
    async fn exec(&self, request: Start, command: Vec<u8>) {
        let Ok(mut channel) = request.accept() else {
            return;
        };
        if command == b"echo" {
            let mut piece = vec![0; 64 * 1024];
            while let Ok(n @ 1..) = channel.read(&mut piece).await
                && channel.write_all(&piece[..n]).await.is_ok()
            {}
            let _ = channel.exit(0).await;
            return;
        }
        let data = noise(1, 10_000);
        let mut writer = channel.stderr_writer();
        loop {
            let written = match &*command {
                b"stderr" => writer.write(&data).await,
                _ => channel.write(&data).await,
            };
            let Ok(n) = written else { return };
            self.taken.fetch_add(n, Ordering::SeqCst);
        }
    }
}

/// A client and a server over TCP on loopback.
async fn pair<H: Handler>(
    client: ClientConfig,
    server: ServerConfig,
    handler: H,
) -> (Client, Server<H>) {
    let server = Server::new(server_options().config(server).handlers(2000), handler).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (theirs, from) = listener.accept().await.unwrap();
    server.serve(theirs, from);
    let client = Client::connect(stream.unwrap(), options().config(client)).await;
    (client.unwrap(), server)
}

async fn program(client: &Client, command: &str) -> Channel {
    let channel = client.open_session().await.unwrap();
    channel.exec(command).await.unwrap();
    channel
}

async fn busy_beside_unread() {
    const TOTAL: u64 = 4 << 20;
    let mut config = ClientConfig::default();
    config.transport.limits.window = 1 << 20;
    config.transport.limits.window_total = TOTAL;
    let flood = Flood::default();
    let taken = flood.taken.clone();
    let (client, _server) = pair(config, ServerConfig::default(), flood).await;
    let mut unread = Vec::new();
    for number in 0..20 {
        let command = if number % 2 == 0 { "stdout" } else { "stderr" };
        unread.push(program(&client, command).await);
    }
    let input = noise(2, 32 << 20);
    let output = client.exec_with_input("echo", &input).await.unwrap();
    assert!(output.stdout == input);
    let taken = taken.load(Ordering::SeqCst) as u64;
    // Everything that the windows allow, and not a byte more.
    assert!(taken <= TOTAL, "{taken}");
    assert!(taken >= 20 * 1024, "{taken}");
}

#[tokio::test]
async fn a_busy_channel_does_not_wait_for_those_that_nobody_reads() {
    within(120, busy_beside_unread()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_busy_channel_does_not_wait_for_those_that_nobody_reads_on_several_threads() {
    within(120, busy_beside_unread()).await;
}

#[tokio::test]
async fn a_reader_that_is_dropped_gives_its_room_back() {
    within(60, async {
        let flood = Flood::default();
        let taken = flood.taken.clone();
        let (client, _server) = pair(ClientConfig::default(), ServerConfig::default(), flood).await;
        // Of a program that writes for ever: more than a window passes by.
        let (mut reader, _writer) = program(&client, "stdout").await.into_split();
        let mut piece = vec![0; 10_000];
        reader.read_exact(&mut piece).await.unwrap();
        drop(reader);
        let passed = async {
            while taken.load(Ordering::SeqCst) < 10 << 20 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within(20, passed).await;
        // Of one whose standard error stands in the way of nobody.
        let channel = program(&client, "stderr").await;
        let mut stderr = channel.stderr();
        let mut all = 0;
        while all < 5 << 20 {
            all += stderr.read(&mut piece).await.unwrap();
        }
        drop(stderr);
        assert_eq!(
            client
                .exec_with_input("echo", b"alive")
                .await
                .unwrap()
                .stdout,
            b"alive"
        );
    })
    .await;
}

async fn a_thousand_channels() {
    let mut theirs = ServerConfig::default();
    theirs.transport.limits.channels = 1000;
    theirs.transport.limits.tickets = 1000;
    let mut ours = ClientConfig::default();
    ours.transport.limits.channels = 1000;
    let (client, _server) = pair(ours, theirs, Programs).await;
    let all_open = Arc::new(tokio::sync::Barrier::new(1000));
    let mut tasks = Vec::new();
    for number in 0..1000 {
        let (client, all_open) = (client.clone(), all_open.clone());
        tasks.push(tokio::spawn(async move {
            let mut channel = program(&client, "echo").await;
            all_open.wait().await;
            for round in 0..3 {
                let data = noise(number * 3 + round, 4096);
                channel.write_all(&data).await.unwrap();
                let mut back = vec![0; data.len()];
                channel.read_exact(&mut back).await.unwrap();
                assert!(back == data);
            }
            channel.shutdown().await.unwrap();
            assert!(channel.wait().await.unwrap().success());
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    client.disconnect().await;
}

#[tokio::test]
async fn a_thousand_channels_share_a_connection() {
    within(120, a_thousand_channels()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_thousand_channels_share_a_connection_on_several_threads() {
    within(120, a_thousand_channels()).await;
}

async fn open_and_close(client: &Client, times: u32) {
    for number in 0..times {
        match number % 3 {
            // Read to its end, left alone, and never used.
            0 => {
                assert_eq!(client.exec("greet 0").await.unwrap().stdout, b"hello\n");
            }
            1 => drop(program(client, "echo").await),
            _ => drop(client.open_session().await.unwrap()),
        }
    }
    // What was closed last may still be on its way.
    client.rekey().await.unwrap();
    client.exec("greet 0").await.unwrap();
}

#[test]
fn ten_thousand_channels_one_after_the_other_leave_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let connected = pair(ClientConfig::default(), ServerConfig::default(), Programs);
    let (client, server) = runtime.block_on(connected);
    let tasks = || runtime.handle().metrics().num_alive_tasks();
    runtime.block_on(within(60, open_and_close(&client, 1000)));
    let before = tasks();
    let ((), usage) =
        alloc::measure(|| runtime.block_on(within(120, open_and_close(&client, 10_000))));
    assert!(usage.allocations > 10_000, "nothing was counted");
    // Both sides live on this thread: less than a byte for each channel.
    assert!(usage.live < 10_000, "{usage:?}");
    assert!(tasks() <= before, "{} tasks, {before} before", tasks());
    let witness = runtime.block_on(client.open_session()).unwrap();
    assert!(format!("{witness:?}").contains("Table(1 channels)"));
    drop((client, server));
}
