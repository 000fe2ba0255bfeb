//! The server.

use std::process::Stdio;
use std::rc::Rc;

use embedded_io_async::{Read, Write};
use sunset::{ServEvent, SignKey};
use sunset_async::{ChanInOut, ChanOut, ProgressHolder, SSHServer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::interop::{self, Failure, Options};

struct Settings {
    user: String,
    authorized: Vec<String>,
    keys: Vec<SignKey>,
}

pub(crate) async fn run(options: Options) -> Result<u8, Failure> {
    options.refuse(&["user-signatures"])?;
    let keys = options.all("host-key").iter().map(|file| crate::load(file));
    let settings = Rc::new(Settings {
        user: options.one("user")?.to_owned(),
        authorized: interop::blobs(options.one("authorized-keys")?)?,
        keys: keys.collect::<Result<_, _>>()?,
    });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("PORT {}", listener.local_addr()?.port());
    interop::end_with_input();
    loop {
        let (stream, _) = listener.accept().await?;
        let settings = settings.clone();
        tokio::task::spawn_local(async move {
            if let Err(error) = serve(stream, &settings).await {
                eprintln!("a connection: {error}");
            }
        });
    }
}

async fn serve(stream: TcpStream, settings: &Settings) -> Result<(), Failure> {
    let (mut reader, mut writer) = stream.into_split();
    // It lives as long as this process, so that tasks may use it.
    let server: &'static SSHServer<'static> = Box::leak(Box::new(SSHServer::new_owned()));
    tokio::select! {
        ended = server.run_tokio(&mut reader, &mut writer) => Ok(ended?),
        ended = events(server, settings) => ended,
    }
}

async fn events(server: &'static SSHServer<'static>, settings: &Settings) -> Result<(), Failure> {
    let keys: Vec<&SignKey> = settings.keys.iter().collect();
    let mut channel = None;
    loop {
        let mut command = None;
        let mut holder = ProgressHolder::new();
        match server.progress(&mut holder).await? {
            ServEvent::Hostkeys(ask) => ask.hostkeys(&keys)?,
            ServEvent::PubkeyAuth(ask) => {
                let known = settings.authorized.contains(&crate::blob(&ask.pubkey()?)?);
                if known && ask.username()? == settings.user {
                    ask.allow()?;
                }
            }
            ServEvent::OpenSession(ask) => channel = Some(ask.accept()?),
            ServEvent::SessionExec(ask) => {
                command = Some(ask.command()?.to_owned());
                ask.succeed()?;
            }
            ServEvent::Defunct => return Ok(()),
            // Dropped, an event is a no.
            _ => {}
        };
        // Until then the server waits for whoever holds the event.
        drop(holder);
        if let Some(command) = command {
            let channel = channel.take().ok_or("no channel")?;
            let (channel, stderr) = server.stdio_stderr(channel).await?;
            tokio::task::spawn_local(async move {
                if let Err(error) = execute(channel, stderr, command).await {
                    eprintln!("a command: {error}");
                }
            });
        }
    }
}

/// Runs a command with all three streams joined. How it ended there is no way to tell.
async fn execute(
    channel: ChanInOut<'static>,
    stderr: ChanOut<'static>,
    command: String,
) -> Result<(), Failure> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", &command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (mut input, output) = channel.split();
    let mut stdin = child.stdin.take().ok_or("no input")?;
    let typing = tokio::task::spawn_local(async move {
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = input.read(&mut piece).await {
            // What the command does not want must be taken all the same: the session waits for it.
            let _ = stdin.write_all(&piece[..n]).await;
        }
    });
    let errors = child.stderr.take().ok_or("no standard error")?;
    let errors = tokio::task::spawn_local(feed(errors, stderr));
    feed(child.stdout.take().ok_or("no output")?, output).await?;
    errors.await??;
    child.wait().await?;
    // The channel is the client's to close.
    channel.until_closed().await?;
    typing.abort();
    Ok(())
}

async fn feed(mut from: impl AsyncRead + Unpin, mut to: ChanOut<'static>) -> Result<(), Failure> {
    let mut piece = [0; 4096];
    loop {
        let n = from.read(&mut piece).await?;
        if n == 0 {
            return Ok(());
        }
        to.write_all(&piece[..n]).await?;
    }
}
