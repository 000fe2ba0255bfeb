//! The client.

use std::cell::Cell;
use std::io::Write as _;
use std::rc::Rc;

use embedded_io_async::{Read, Write};
use sunset::{CliEvent, CliSessionExit};
use sunset_async::{ChanIn, ChanInOut, ProgressHolder, SSHClient};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::interop::{self, Failure, Options};

/// What the loop of events knows.
struct Session {
    options: Options,
    given: Vec<u8>,
    known: Vec<String>,
    status: Rc<Cell<Option<u32>>>,
}

pub(crate) async fn run(options: Options) -> Result<u8, Failure> {
    options.refuse(&["tunnel", "host-key-algorithms"])?;
    let stream = TcpStream::connect(options.server()?).await?;
    let (mut reader, mut writer) = stream.into_split();
    // It lives as long as this process, so that tasks may use it.
    let client: &'static SSHClient<'static> = Box::leak(Box::new(SSHClient::new_owned()));
    let running =
        tokio::task::spawn_local(async move { client.run_tokio(&mut reader, &mut writer).await });
    let status = Rc::new(Cell::new(None));
    let (transferred, transfer) = oneshot::channel();
    let mut session = Session {
        known: interop::blobs(options.one("known-hosts")?)?,
        given: interop::given()?,
        options,
        status: status.clone(),
    };
    // The status comes before the channel is closed, which ends the transfer; after that there may be
    // no event any more.
    tokio::select! {
        ended = running => ended??,
        ended = session.events(client, transferred) => ended?,
        Ok(ended) = transfer => ended?,
    }
    match status.get() {
        Some(status) => Ok(u8::try_from(status)?),
        None => Err("no status".into()),
    }
}

impl Session {
    /// Answers until the connection ends.
    async fn events(
        &mut self,
        client: &'static SSHClient<'static>,
        transferred: oneshot::Sender<Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let mut key = Some(crate::load(self.options.one("key")?)?);
        let mut channel = None;
        let mut transferred = Some(transferred);
        loop {
            let (mut let_in, mut opened) = (false, false);
            let mut holder = ProgressHolder::new();
            match client.progress(&mut holder).await? {
                CliEvent::Hostkey(ask) => {
                    if self.known.contains(&crate::blob(&ask.hostkey()?)?) {
                        ask.accept()?;
                    } else {
                        ask.reject()?;
                    }
                }
                CliEvent::Username(ask) => ask.username(self.options.one("user")?)?,
                CliEvent::Pubkey(ask) => match key.take() {
                    Some(key) => ask.pubkey(key)?,
                    None => ask.skip()?,
                },
                CliEvent::Password(ask) => ask.skip()?,
                CliEvent::AgentSign(ask) => ask.skip()?,
                CliEvent::Authenticated => let_in = true,
                CliEvent::SessionOpened(mut opener) => {
                    opener.exec(&self.options.command)?;
                    opened = true;
                }
                CliEvent::SessionExit(CliSessionExit::Status(status)) => {
                    self.status.set(Some(status));
                }
                CliEvent::Defunct => return Ok(()),
                _ => {}
            };
            // Until then the client waits for whoever holds the event.
            drop(holder);
            if let_in {
                channel = Some(client.open_session_nopty().await?);
            }
            if opened {
                let (channel, stderr) = channel.take().ok_or("no channel")?;
                let given = std::mem::take(&mut self.given);
                let transferred = transferred.take().ok_or("a second session")?;
                tokio::task::spawn_local(async move {
                    // Nobody is there any more when the connection has ended first.
                    let _ = transferred.send(move_data(channel, stderr, given).await);
                });
            }
        }
    }
}

/// Sends what was given while it takes what comes, until the channel is closed.
async fn move_data(
    channel: ChanInOut<'static>,
    mut stderr: ChanIn<'static>,
    given: Vec<u8>,
) -> Result<(), Failure> {
    let (mut reader, mut writer) = channel.split();
    let sending = tokio::task::spawn_local(async move { writer.write_all(&given).await });
    let errors = tokio::task::spawn_local(async move {
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = stderr.read(&mut piece).await {
            std::io::stderr().write_all(&piece[..n])?;
        }
        Ok::<_, std::io::Error>(())
    });
    let mut piece = [0; 4096];
    while let Ok(n @ 1..) = reader.read(&mut piece).await {
        std::io::stdout().write_all(&piece[..n])?;
    }
    std::io::stdout().flush()?;
    errors.await??;
    // The status may come after the end of the output, and comes before this.
    channel.until_closed().await?;
    sending.abort();
    Ok(())
}
