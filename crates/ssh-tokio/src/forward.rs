//! Local forwarding (RFC 4254 section 7.2): [`LocalForward`], and joining a socket with a channel.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ssh_driver::{Error, ForwardOptions};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
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
                    None => return,
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
pub(crate) async fn relay(mut channel: Channel, stream: TcpStream) -> Result<(), Error> {
    let progress = Progress::default();
    let mut stream = Counted {
        stream,
        progress: &progress,
    };
    let watched = channel.another_writer();
    let mut closed = pin!(watched.closed());
    let mut is_over = false;
    let mut stalled = pin!(progress.stalled());
    let copy = copy_bidirectional_with_sizes(&mut channel, &mut stream, PIECE, PIECE);
    let mut copy = pin!(copy);
    poll_fn(|cx| {
        if let Poll::Ready(copied) = copy.as_mut().poll(cx) {
            return Poll::Ready(copied.map(drop));
        }
        is_over = is_over || closed.as_mut().poll(cx).is_ready();
        if !is_over {
            return Poll::Pending;
        }
        // What the socket may still say has nobody to hear it. A client that opens and closes
        // channels to a silent far side must not have tasks left that wait for that.
        if progress.all.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        stalled.as_mut().poll(cx).map(Ok)
    })
    .await?;
    Ok(())
}

/// What a socket has taken.
#[derive(Default)]
struct Progress {
    taken: AtomicU64,
    /// It was also told that there is no more.
    all: AtomicBool,
}

impl Progress {
    /// Waits until nothing was taken for a while.
    async fn stalled(&self) {
        loop {
            let before = self.taken.load(Ordering::Relaxed);
            tokio::time::sleep(GRACE).await;
            if self.taken.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}

/// A stream that counts what it takes.
struct Counted<'a> {
    stream: TcpStream,
    progress: &'a Progress,
}

impl AsyncRead for Counted<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, data);
        if let Poll::Ready(Ok(n)) = written {
            self.progress.taken.fetch_add(n as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        if shut.is_ready() {
            self.progress.all.store(true, Ordering::Relaxed);
        }
        shut
    }
}
