//! Local forwarding (RFC 4254 section 7.2): [`LocalForward`], and joining a socket with a channel.
//!
//! A joined pair has two threads. Where each may wait, and who wakes it:
//!
//! ```text
//!   up     read the socket     down shuts it down when the channel is over
//!          write the channel   the inbox: closed, or the connection has ended
//!   down   read the channel    the inbox
//!          write the socket    a tick: the channel is over and the socket takes nothing
//! ```
//!
//! Invariant of a [`LocalForward`]: `stop` is set before `connections` is emptied, and whoever adds
//! to it looks at `stop` with the lock held. What is cut is never joined afterwards.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ssh_driver::{Error, ForwardOptions, Take};
use ssh_proto::mux::Stream;

use crate::channel::{Channel, Line};
use crate::client::Client;
use crate::engine::lock;
use crate::socket::{WRITE_TICK, is_timeout};

/// How long a socket may take nothing of what is left of a channel that is over.
const GRACE: Duration = Duration::from_secs(5);

/// Listens here, and has the server connect for everyone who comes. Dropped, it stops listening
/// and cuts the connections that it has, those included that the server has not made yet.
#[derive(Debug)]
pub struct LocalForward {
    shared: Arc<Shared>,
    address: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    connections: Mutex<HashMap<u64, Forwarded>>,
    client: Client,
    host: String,
    port: u16,
    most: usize,
}

/// One connection, as far as it can be cut.
#[derive(Debug)]
struct Forwarded {
    stream: Arc<TcpStream>,
    /// As soon as the server was asked for it.
    channel: Option<Channel>,
}

impl LocalForward {
    pub(crate) fn start(
        client: Client,
        bind: impl ToSocketAddrs,
        host: &str,
        port: u16,
        options: &ForwardOptions,
    ) -> Result<Self, Error> {
        let addresses: Vec<SocketAddr> = bind.to_socket_addrs()?.collect();
        options.check(&addresses)?;
        let listener = TcpListener::bind(&*addresses)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            connections: Mutex::default(),
            client,
            host: host.to_owned(),
            port,
            most: options.connections,
        });
        let of_thread = shared.clone();
        thread::Builder::new()
            .name("ssh-forward".into())
            .spawn(move || of_thread.listen(&listener))?;
        Ok(Self { shared, address })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        lock(&self.shared.connections).len()
    }
}

impl Drop for LocalForward {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let connections = std::mem::take(&mut *lock(&self.shared.connections));
        for Forwarded { stream, channel } in connections.values() {
            // A far side that is silent does not answer the end of its input: the channel is
            // closed too, for whoever waits for it.
            if let Some(channel) = channel {
                let _ = channel.close();
            }
            let _ = stream.shutdown(Shutdown::Both);
        }
        wake(self.address);
    }
}

impl Shared {
    fn listen(self: Arc<Self>, listener: &TcpListener) {
        let mut next = 0;
        while let Some((stream, from)) = accept(listener, &self.stop) {
            if self.client.ended().is_some() {
                return;
            }
            let stream = Arc::new(stream);
            next += 1;
            let number = next;
            {
                let mut connections = lock(&self.connections);
                if self.stop.load(Ordering::SeqCst) {
                    return;
                }
                if connections.len() >= self.most {
                    continue;
                }
                let stream = stream.clone();
                let channel = None;
                connections.insert(number, Forwarded { stream, channel });
            }
            let shared = self.clone();
            let spawned = thread::Builder::new()
                .name("ssh-forwarded".into())
                .spawn(move || {
                    // Whoever came sees the end of the connection; there is nobody else to tell.
                    let _ = shared.forward(number, &stream, from);
                    let _ = stream.shutdown(Shutdown::Both);
                    lock(&shared.connections).remove(&number);
                });
            if spawned.is_err() {
                lock(&self.connections).remove(&number);
            }
        }
    }

    fn forward(&self, number: u64, stream: &TcpStream, from: SocketAddr) -> Result<(), Error> {
        stream.set_nodelay(true)?;
        let opening = self
            .client
            .begin_direct_tcpip(&self.host, self.port, from)?;
        match lock(&self.connections).get_mut(&number) {
            Some(forwarded) => forwarded.channel = Some(opening.channel()),
            // It was cut in the meantime.
            None => return Err(Error::Closed),
        }
        join(opening.wait()?.line(), stream)
    }
}

/// The next connection; `None` when it is time to stop.
pub(crate) fn accept(listener: &TcpListener, stop: &AtomicBool) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = listener.accept();
        if stop.load(Ordering::SeqCst) {
            return None;
        }
        match accepted {
            Ok(accepted) => return Some(accepted),
            // A peer that was gone again, or no more file descriptors: neither is solved by
            // asking again at once.
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Wakes a thread that waits in `accept`, by connecting to it.
pub(crate) fn wake(mut address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    // If its queue is full it is awake anyway.
    let _ = TcpStream::connect_timeout(&address, Duration::from_millis(50));
}

/// Moves data both ways until both have ended, or one has failed. Afterwards the socket is shut
/// down, and the channel closed.
pub(crate) fn join(line: &Line, stream: &TcpStream) -> Result<(), Error> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(WRITE_TICK))?;
    let ended = AtomicUsize::new(0);
    let end = || {
        // When both directions have ended nobody needs the channel.
        if ended.fetch_add(1, Ordering::SeqCst) == 1 {
            let _ = line.close();
        }
    };
    let close = || {
        let _ = line.close();
        let _ = stream.shutdown(Shutdown::Both);
    };
    let down = || {
        if down(line, stream).is_ok() {
            let _ = stream.shutdown(Shutdown::Write);
            end();
            // The other direction may go on for as long as it likes.
            let _ = line.wait(None, |mailbox| mailbox.closed_ready());
        }
        close();
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("ssh-relay".into());
        if let Err(error) = thread.spawn_scoped(scope, down) {
            close();
            return Err(error.into());
        }
        if up(line, stream).is_ok() {
            let _ = line.eof();
            end();
        } else {
            let _ = line.close();
        }
        Ok(())
    })
}

fn up(line: &Line, mut stream: &TcpStream) -> Result<(), Error> {
    let mut piece = vec![0; 32 * 1024];
    loop {
        let n = match stream.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let mut rest = piece.get(..n).unwrap_or_default();
        while !rest.is_empty() {
            let sent = line.write(Stream::Data, rest)?;
            rest = rest.get(sent..).unwrap_or_default();
        }
    }
}

fn down(line: &Line, stream: &TcpStream) -> Result<(), Error> {
    let mut piece = vec![0; 32 * 1024];
    while let Some((_, n)) = line.read(Take::Data, &mut piece)? {
        deliver(line, stream, piece.get(..n).unwrap_or_default())?;
    }
    Ok(())
}

/// Writes all of a piece, and waits for the socket as long as the channel lives. Afterwards nothing
/// on the other side pays for the wait any more: channel and window are free for the peer, which
/// could have threads wait here without end by closing and opening again.
fn deliver(line: &Line, mut stream: &TcpStream, mut rest: &[u8]) -> Result<(), Error> {
    // Since when the channel is over and nothing was taken.
    let mut since = None;
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(n) => {
                rest = rest.get(n..).unwrap_or_default();
                since = None;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => {
                if line.is_over() && since.get_or_insert_with(Instant::now).elapsed() >= GRACE {
                    return Err(Error::Timeout);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
