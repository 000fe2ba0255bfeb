//! The server.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use russh::keys::{PublicKeyBase64, load_secret_key};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::interop::{self, Failure, Options};

/// One connection.
struct Connection {
    user: String,
    authorized: Arc<Vec<String>>,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl server::Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let blob = Base64::encode_string(&key.public_key.public_key_bytes());
        if user == self.user && self.authorized.contains(&blob) {
            return Ok(Auth::Accept);
        }
        Ok(Auth::reject())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(channel) = self.channels.remove(&id) else {
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        let command = String::from_utf8_lossy(command).into_owned();
        tokio::spawn(async move {
            if let Err(error) = execute(channel, command).await {
                eprintln!("a command: {error}");
            }
        });
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let Ok(port) = u16::try_from(port) else {
            return Ok(());
        };
        // Dropped, the reply is a no.
        if let Ok(mut target) = TcpStream::connect((host, port)).await {
            reply.accept().await;
            tokio::spawn(async move {
                let mut stream = channel.into_stream();
                copy_bidirectional(&mut stream, &mut target).await
            });
        }
        Ok(())
    }
}

/// Runs a command with all three streams joined. The end of the output first, then the status.
async fn execute(channel: Channel<Msg>, command: String) -> Result<(), Failure> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", &command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (mut from, to) = channel.split();
    let stdin = child.stdin.take().ok_or("no input")?;
    let typing = tokio::spawn(async move { feed(from.make_reader(), stdin).await });
    let stdout = child.stdout.take().ok_or("no output")?;
    let stderr = child.stderr.take().ok_or("no standard error")?;
    let stdout = tokio::spawn(feed_on(stdout, to.make_writer()));
    let stderr = tokio::spawn(feed_on(stderr, to.make_writer_ext(Some(1))));
    stdout.await??;
    stderr.await??;
    let status = child.wait().await?;
    typing.abort();
    to.eof().await?;
    to.exit_status(status.code().unwrap_or(255).unsigned_abs())
        .await?;
    Ok(to.close().await?)
}

/// Copies, and then ends what it was copied to.
async fn feed(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

/// Copies, and leaves what it was copied to as it is: the channel ends when both streams have.
async fn feed_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    let mut piece = vec![0; 32 * 1024];
    loop {
        let n = from.read(&mut piece).await?;
        if n == 0 {
            return to.flush().await;
        }
        to.write_all(&piece[..n]).await?;
    }
}

pub(crate) async fn run(options: Options) -> Result<u8, Failure> {
    options.refuse(&["password"])?;
    let mut preferred = crate::preferred(&options)?;
    if let Some(names) = crate::list(&options, "user-signatures") {
        let key = names.iter().map(|name| name.parse());
        preferred.key = key.collect::<Result<Vec<_>, _>>()?.into();
    }
    let keys = options.all("host-key").iter();
    let keys = keys.map(|file| load_secret_key(file, None));
    let config = Arc::new(server::Config {
        keys: keys.collect::<Result<_, _>>()?,
        preferred,
        limits: crate::limits(&options)?,
        channel_buffer_size: crate::CHANNEL_BUFFER,
        auth_rejection_time: Duration::ZERO,
        ..Default::default()
    });
    let authorized = Arc::new(interop::blobs(options.one("authorized-keys")?)?);
    let user = options.one("user")?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("PORT {}", listener.local_addr()?.port());
    interop::end_with_input();
    loop {
        let (stream, _) = listener.accept().await?;
        let connection = Connection {
            user: user.to_owned(),
            authorized: authorized.clone(),
            channels: HashMap::new(),
        };
        let config = config.clone();
        tokio::spawn(async move {
            let result = match server::run_stream(config, stream, connection).await {
                Ok(running) => running.await,
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                eprintln!("a connection: {error}");
            }
        });
    }
}
