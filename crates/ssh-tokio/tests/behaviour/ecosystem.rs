//! Channels are streams like any other: what is written for tokio's streams works over them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use ssh_tokio::{Channel, Client, Server};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::TcpListener;
use tokio_util::codec::{Decoder, Framed, LinesCodec};

use crate::common::{Programs, connect, noise, options, server, server_options, within};

async fn echo(client: &Client) -> Channel {
    let channel = client.open_session().await.unwrap();
    channel.exec("echo").await.unwrap();
    channel
}

/// Says back what it is sent, and its path.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut back = request.uri().path().as_bytes().to_vec();
    back.extend(request.into_body().collect().await.unwrap().to_bytes());
    Ok(Response::new(Full::new(back.into())))
}

async fn http_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(answer);
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

#[tokio::test]
async fn hyper_speaks_http_over_a_forwarded_connection() {
    within(30, async {
        let web = http_server().await;
        let (_server, address) = server().await;
        let client = connect(address).await;
        let channel = client.open_direct_tcpip("127.0.0.1", web.port()).await;
        let stream = TokioIo::new(channel.unwrap());
        let (mut requests, connection) =
            hyper::client::conn::http1::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        for round in 0..3 {
            let body = noise(round, 1 << 20);
            let request = Request::post(format!("/{round}"))
                .header("host", "example.org")
                .body(Full::<Bytes>::new(body.clone().into()))
                .unwrap();
            requests.ready().await.unwrap();
            let response = requests.send_request(request).await.unwrap();
            let back = response.into_body().collect().await.unwrap().to_bytes();
            assert!(back[..2] == *format!("/{round}").as_bytes() && back[2..] == body);
        }
        drop(requests);
        connection.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn copy_bidirectional_joins_a_channel_with_a_stream() {
    within(30, async {
        let (_server, address) = server().await;
        let client = connect(address).await;
        let mut channel = echo(&client).await;
        let (mut near, mut far) = tokio::io::duplex(10_000);
        let joined = tokio::spawn(async move { copy_bidirectional(&mut channel, &mut far).await });
        let data = noise(1, 1 << 20);
        let mut back = vec![0; data.len()];
        {
            let (mut reader, mut writer) = tokio::io::split(&mut near);
            let (wrote, read) = tokio::join!(writer.write_all(&data), reader.read_exact(&mut back));
            wrote.and(read).unwrap();
        }
        assert!(back == data);
        near.shutdown().await.unwrap();
        assert_eq!(near.read(&mut back).await.unwrap(), 0);
        let n = data.len() as u64;
        assert_eq!(joined.await.unwrap().unwrap(), (n, n));
    })
    .await;
}

#[tokio::test]
async fn a_channel_is_framed_by_a_codec() {
    within(30, async {
        let (_server, address) = server().await;
        let client = connect(address).await;
        let mut lines: Framed<Channel, LinesCodec> = LinesCodec::new().framed(echo(&client).await);
        for number in 0..1000 {
            lines.send(format!("line {number}")).await.unwrap();
        }
        for number in 0..1000 {
            let line = lines.next().await.unwrap().unwrap();
            assert_eq!(line, format!("line {number}"));
        }
        lines.get_mut().shutdown().await.unwrap();
        assert!(lines.next().await.is_none());
    })
    .await;
}

#[tokio::test]
async fn generic_split_and_lines_work() {
    within(30, async {
        let (_server, address) = server().await;
        let client = connect(address).await;
        let (reader, mut writer) = tokio::io::split(echo(&client).await);
        let writing = tokio::spawn(async move {
            for number in 0..20_000 {
                writer
                    .write_all(format!("line {number}\n").as_bytes())
                    .await
                    .unwrap();
            }
            writer.shutdown().await.unwrap();
        });
        let mut lines = BufReader::new(reader).lines();
        let mut number = 0;
        while let Some(line) = lines.next_line().await.unwrap() {
            assert_eq!(line, format!("line {number}"));
            number += 1;
        }
        assert_eq!(number, 20_000);
        writing.await.unwrap();
        // And without a buffer in between: a channel has one of its own.
        let mut channel = echo(&client).await;
        channel.write_all(b"one\ntwo\n").await.unwrap();
        channel.shutdown().await.unwrap();
        let mut lines = channel.lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("one"));
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("two"));
        assert_eq!(lines.next_line().await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_read_that_times_out_takes_nothing() {
    within(30, async {
        let (_server, address) = server().await;
        let client = connect(address).await;
        let mut channel = echo(&client).await;
        let mut piece = [0; 5];
        for _ in 0..3 {
            let early = tokio::time::timeout(Duration::from_millis(20), channel.read(&mut piece));
            assert!(early.await.is_err());
        }
        channel.write_all(b"there").await.unwrap();
        channel.read_exact(&mut piece).await.unwrap();
        assert_eq!(&piece, b"there");
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_pair_of_unix_sockets_is_a_transport() {
    within(30, async {
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        let server = Server::new(server_options(), Programs).unwrap();
        server.serve(theirs, ([127, 0, 0, 1], 1).into());
        let client = Client::connect(ours, options()).await.unwrap();
        let input = noise(5, 4 << 20);
        let output = client.exec_with_input("echo", &input).await.unwrap();
        assert!(output.stdout == input);
        client.disconnect().await;
        while server.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
