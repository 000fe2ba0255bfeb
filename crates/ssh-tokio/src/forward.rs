//! Local forwarding (RFC 4254 section 7.2): [`LocalForward`], and joining a socket with a channel.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use ssh_driver::{Error, ForwardOptions};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::channel::Channel;
use crate::client::Client;

/// How long a socket may take nothing of what is left of a channel that is over.
const GRACE: Duration = Duration::from_secs(5);
/// How long to look away when a connection cannot be accepted.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes that are moved at a time.
const PIECE: usize = 32 * 1024;

/// Listens here, and has the server connect for everyone who comes. Dropped, it stops listening
/// and cuts the connections that it has, those included that the server has not made yet.
#[derive(Debug)]
pub struct LocalForward {
    address: SocketAddr,
    task: AbortHandle,
}

impl LocalForward {
    pub(crate) async fn start(
        client: Client,
        addresses: &[SocketAddr],
        host: &str,
        port: u16,
        options: &ForwardOptions,
    ) -> Result<Self, Error> {
        let listener = TcpListener::bind(addresses).await?;
        let address = listener.local_addr()?;
        let (host, most) = (Arc::<str>::from(host), options.connections);
        let task = tokio::spawn(async move {
            // With this task they all end.
            let mut connections = JoinSet::new();
            let mut closed = pin!(client.closed());
            loop {
                let accepted = poll_fn(|cx| {
                    while let Poll::Ready(Some(_)) = connections.poll_join_next(cx) {}
                    if closed.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(None);
                    }
                    listener.poll_accept(cx).map(Some)
                })
                .await;
                match accepted {
                    None => break,
                    Some(Ok((stream, from))) if connections.len() < most => {
                        let (client, host) = (client.clone(), host.clone());
                        connections.spawn(async move {
                            // Whoever came sees the end of the connection; there is nobody else
                            // to tell.
                            let _ = forward(&client, stream, from, &host, port).await;
                        });
                    }
                    Some(Ok(_)) => {}
                    // No more file descriptors, perhaps: asking again at once does not help.
                    Some(Err(_)) => tokio::time::sleep(PAUSE).await,
                }
            }
            drop(listener);
            // The connection is over; what has come of it is still delivered.
            while connections.join_next().await.is_some() {}
        });
        Ok(Self {
            address,
            task: task.abort_handle(),
        })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for LocalForward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(
    client: &Client,
    stream: TcpStream,
    from: SocketAddr,
    host: &str,
    port: u16,
) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let channel = client.open_direct_tcpip_from(host, port, from).await?;
    relay(channel, stream).await
}

/// Moves data both ways until both directions have ended, or one has failed, or the channel is over
/// and the socket has taken all that came of it, or takes nothing any more.
pub(crate) async fn relay(channel: Channel, mut stream: TcpStream) -> Result<(), Error> {
    let watched = channel.another_writer();
    let (mut reader, mut writer) = channel.into_split();
    let (mut from, mut to) = stream.split();
    let taken = AtomicU64::new(0);
    let discarded = AtomicBool::new(false);
    let mut down = pin!(async {
        loop {
            let data = reader.fill_buf().await?;
            if data.is_empty() {
                return to.shutdown().await;
            }
            let n = to.write(data).await?;
            taken.fetch_add(n as u64, Ordering::Relaxed);
            reader.consume(n);
        }
    });
    let mut up = pin!(async {
        let mut piece = vec![0; PIECE];
        loop {
            let n = from.read(&mut piece).await?;
            if n == 0 {
                return writer.shutdown().await;
            }
            let sent = writer.write_all(piece.get(..n).unwrap_or_default()).await;
            if sent.is_err() {
                // The channel takes no more, but what has come of it is still wanted: a socket
                // that is closed over unread input takes that away from whoever writes on.
                discarded.store(true, Ordering::Relaxed);
            }
        }
    });
    let mut closed = pin!(watched.closed());
    let mut stalled = pin!(stalled(&taken));
    let (mut is_over, mut is_down, mut is_up) = (false, false, false);
    poll_fn(|cx| {
        if !is_down && let Poll::Ready(ended) = down.as_mut().poll(cx) {
            ended?;
            is_down = true;
        }
        is_over = is_over || closed.as_mut().poll(cx).is_ready();
        if !is_up && let Poll::Ready(ended) = up.as_mut().poll(cx) {
            ended?;
            is_up = true;
        }
        // What a silent socket may still say of a channel that is over has nobody to hear it. A
        // client that opens and closes channels to a silent far side must not have tasks left that
        // wait for that.
        let nobody_speaks = is_over && !discarded.load(Ordering::Relaxed);
        if is_down && (is_up || nobody_speaks) {
            return Poll::Ready(Ok::<(), Error>(()));
        }
        if is_over {
            return stalled.as_mut().poll(cx).map(Ok);
        }
        Poll::Pending
    })
    .await
}

/// Waits until nothing was taken for a while.
async fn stalled(taken: &AtomicU64) {
    loop {
        let before = taken.load(Ordering::Relaxed);
        tokio::time::sleep(GRACE).await;
        if taken.load(Ordering::Relaxed) == before {
            return;
        }
    }
}
