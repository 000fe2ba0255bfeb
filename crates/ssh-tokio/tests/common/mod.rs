//! A server for tests, and what it does for its users.

use std::net::SocketAddr;
use std::time::Duration;

use ssh_keys::SigningKey;
use ssh_proto::config::Methods;
use ssh_tokio::{
    Channel, Client, Connect, ConnectOptions, FixedUsers, Handler, HostKeys, Login, Required,
    Server, ServerOptions, Session, Start, Terminal, Trust,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Runs its own small commands.
pub(crate) struct Programs;

impl Handler for Programs {
    async fn exec(&self, request: Start, command: Vec<u8>) {
        let command = String::from_utf8_lossy(&command).into_owned();
        let (name, argument) = command.split_once(' ').unwrap_or((&command, ""));
        if name == "refused" {
            return;
        }
        let terminal = request.terminal().map(|terminal| terminal.term.clone());
        let env = request.env().to_vec();
        let Ok(channel) = request.accept() else {
            return;
        };
        // A client may go at any time; the test sees what it gets.
        let _ = match name {
            "setup" => setup(channel, terminal, &env).await,
            name => run(channel, name, argument).await,
        };
    }

    fn pty(&self, _session: &Session, _terminal: &Terminal) -> bool {
        true
    }

    fn env(&self, _session: &Session, name: &[u8], _value: &[u8]) -> bool {
        name.starts_with(b"LC_")
    }

    async fn direct_tcpip(&self, request: Connect) {
        let host = String::from_utf8_lossy(request.host()).into_owned();
        match TcpStream::connect((host, request.port())).await {
            Ok(stream) => {
                let _ = request.join(stream).await;
            }
            Err(error) => request.refuse(&error.to_string()),
        }
    }
}

async fn setup(
    mut channel: Channel,
    terminal: Option<Vec<u8>>,
    env: &[(Vec<u8>, Vec<u8>)],
) -> std::io::Result<()> {
    let text = format!("{terminal:?} {env:?}");
    channel.write_all(text.as_bytes()).await?;
    Ok(channel.exit(0).await?)
}

async fn run(mut channel: Channel, name: &str, argument: &str) -> std::io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    match name {
        "greet" => {
            channel.write_all(b"hello\n").await?;
            channel.stderr_writer().write_all(b"problem\n").await?;
            channel.exit(argument.parse().unwrap()).await?;
        }
        "killed" => channel.exit_signal("TERM", "enough").await?,
        "echo" => loop {
            let n = channel.read(&mut piece).await?;
            if n == 0 {
                channel.exit(0).await?;
                break;
            }
            channel.write_all(&piece[..n]).await?;
        },
        "sink" => {
            let mut all = 0;
            loop {
                let n = channel.read(&mut piece).await?;
                if n == 0 {
                    channel.write_all(all.to_string().as_bytes()).await?;
                    channel.exit(0).await?;
                    break;
                }
                all += n;
            }
        }
        "zeros" => {
            let mut left: usize = argument.parse().unwrap();
            while left > 0 {
                let n = left.min(piece.len());
                channel.write_all(&piece[..n]).await?;
                left -= n;
            }
            channel.exit(0).await?;
        }
        "signals" => {
            let signal = channel.next_signal().await?;
            let text = format!("{signal} {:?}", channel.terminal_size());
            channel.write_all(text.as_bytes()).await?;
            channel.exit(0).await?;
        }
        // Neither reads nor ends.
        "hang" => {
            channel.next_signal().await?;
        }
        other => panic!("{other}"),
    }
    Ok(())
}

pub(crate) fn host_key() -> SigningKey {
    SigningKey::ed25519(&[7; 32])
}

pub(crate) fn server_options() -> ServerOptions {
    ServerOptions::new(HostKeys::new([host_key()]).unwrap(), |_| {
        FixedUsers::new().with_password("alice", String::from("secret"))
    })
    .required(Required::AnyOf(Methods::PASSWORD))
}

pub(crate) async fn server() -> (Server<Programs>, SocketAddr) {
    Server::bind("127.0.0.1:0", server_options(), Programs)
        .await
        .unwrap()
}

pub(crate) fn trust() -> Trust {
    Trust::pinned([host_key().public_key().fingerprint()])
}

pub(crate) fn options() -> ConnectOptions {
    ConnectOptions::new(Login::new("alice", trust()).password(String::from("secret")))
}

pub(crate) async fn connect(address: SocketAddr) -> Client {
    Client::connect_tcp(address, options()).await.unwrap()
}

pub(crate) fn noise(seed: u64, n: usize) -> Vec<u8> {
    let mut noise = vec![0; n];
    ssh_testkit::rng::SeededRandom::new(seed).fill(&mut noise);
    noise
}

/// No test waits for ever.
pub(crate) async fn within<T>(seconds: u64, test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), test)
        .await
        .expect("it takes too long")
}
