//! Local forwards: byte for byte, as many as there may be, and gone when they are dropped.

use std::net::SocketAddr;
use std::time::Duration;

use ssh_tokio::{Connect, Error, ForwardOptions, Handler, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use crate::common::{connect, noise, server, server_options, within};

/// Says back what it hears, to any number of clients.
async fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                let _ = writer.shutdown().await;
            });
        }
    });
    address
}

async fn exchange(stream: &mut TcpStream, data: &[u8]) {
    let mut back = vec![0; data.len()];
    let (mut reader, mut writer) = stream.split();
    let (wrote, read) = tokio::join!(writer.write_all(data), reader.read_exact(&mut back));
    wrote.unwrap();
    read.unwrap();
    assert!(back == data);
}

async fn is_cut(mut stream: TcpStream) {
    let mut piece = [0; 10];
    let read = within(10, stream.read(&mut piece)).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

async fn byte_for_byte() {
    let target = echo_server().await;
    let (_server, address) = server().await;
    let client = connect(address).await;
    let forward = client
        .forward_local("127.0.0.1:0", "127.0.0.1", target.port())
        .await
        .unwrap();
    // The forward keeps the connection alive.
    drop(client);
    let mut tasks = Vec::new();
    for number in 0..8 {
        let mut stream = TcpStream::connect(forward.local_addr()).await.unwrap();
        tasks.push(tokio::spawn(async move {
            exchange(&mut stream, &noise(number, 1 << 20)).await;
            // Our end comes out at the other side, and its end here.
            stream.shutdown().await.unwrap();
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        }));
    }
    for task in tasks {
        within(30, task).await.unwrap();
    }
}

#[tokio::test]
async fn a_forward_is_byte_for_byte() {
    byte_for_byte().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_forward_is_byte_for_byte_on_several_threads() {
    byte_for_byte().await;
}

#[tokio::test]
async fn a_forward_that_is_dropped_cuts_its_connections() {
    let target = echo_server().await;
    let (server, address) = server().await;
    let client = connect(address).await;
    let before = Handle::current().metrics().num_alive_tasks();
    let forward = client
        .forward_local("127.0.0.1:0", "127.0.0.1", target.port())
        .await
        .unwrap();
    let mut stream = TcpStream::connect(forward.local_addr()).await.unwrap();
    exchange(&mut stream, b"alive").await;
    let listened = forward.local_addr();
    drop(forward);
    is_cut(stream).await;
    assert!(within(10, TcpStream::connect(listened)).await.is_err());
    within(10, async {
        while Handle::current().metrics().num_alive_tasks() > before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    // The connection itself goes on.
    assert_eq!(client.exec("greet 0").await.unwrap().stdout, b"hello\n");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_forward_ends_with_its_connection() {
    let target = echo_server().await;
    let (_server, address) = server().await;
    let client = connect(address).await;
    let forward = client
        .forward_local("127.0.0.1:0", "127.0.0.1", target.port())
        .await
        .unwrap();
    let mut stream = TcpStream::connect(forward.local_addr()).await.unwrap();
    exchange(&mut stream, b"alive").await;
    within(10, client.disconnect()).await;
    is_cut(stream).await;
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let target = echo_server().await;
    let (_server, address) = server().await;
    let client = connect(address).await;
    let options = ForwardOptions {
        connections: 2,
        ..ForwardOptions::default()
    };
    let forward = client
        .forward_local_with("127.0.0.1:0", "127.0.0.1", target.port(), &options)
        .await
        .unwrap();
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(forward.local_addr()).await.unwrap();
        exchange(&mut stream, b"in").await;
        held.push(stream);
    }
    is_cut(TcpStream::connect(forward.local_addr()).await.unwrap()).await;
    exchange(&mut held[1], b"still in").await;
    // A place that is free again is given to the next.
    drop(held.pop());
    within(10, async {
        loop {
            let mut stream = TcpStream::connect(forward.local_addr()).await.unwrap();
            let _ = stream.write_all(b"x").await;
            if matches!(stream.read(&mut [0; 1]).await, Ok(1)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_target_that_refuses_closes_the_connection_and_nothing_else() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let (_server, address) = server().await;
    let client = connect(address).await;
    let forward = client
        .forward_local("127.0.0.1:0", "127.0.0.1", port)
        .await
        .unwrap();
    for _ in 0..3 {
        is_cut(TcpStream::connect(forward.local_addr()).await.unwrap()).await;
    }
    assert!(client.ended().is_none());
}

#[tokio::test]
async fn others_than_this_machine_are_let_in_only_on_request() {
    let (_server, address) = server().await;
    let client = connect(address).await;
    let refused = client.forward_local("0.0.0.0:0", "127.0.0.1", 1).await;
    assert!(matches!(refused, Err(Error::Io(_))), "{refused:?}");
}

/// Answers before it has heard everything, and closes.
struct Hasty;

impl Handler for Hasty {
    async fn direct_tcpip(&self, request: Connect) {
        if let Ok(mut channel) = request.accept() {
            // Somebody is there, and writes.
            let _ = channel.read_u8().await;
            let _ = channel.write_all(&noise(7, 400_000)).await;
        }
    }
}

#[tokio::test]
async fn what_came_of_a_closed_channel_is_delivered_to_whoever_still_writes() {
    within(30, async {
        let (_server, address) = Server::bind("127.0.0.1:0", server_options(), Hasty)
            .await
            .unwrap();
        let client = connect(address).await;
        let forward = client
            .forward_local("127.0.0.1:0", "nowhere", 1)
            .await
            .unwrap();
        let stream = TcpStream::connect(forward.local_addr()).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let writing = tokio::spawn(async move {
            // More than anybody takes.
            while writer.write_all(&[0; 16 * 1024]).await.is_ok() {}
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut back = Vec::new();
        let ended = reader.read_to_end(&mut back).await;
        assert!(back == noise(7, 400_000), "{} bytes, {ended:?}", back.len());
        writing.abort();
    })
    .await;
}
