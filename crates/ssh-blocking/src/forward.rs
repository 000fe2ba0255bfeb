//! Local forwarding (RFC 4254 section 7.2): [`LocalForward`], and joining a socket with a channel.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ssh_driver::{Error, Take};
use ssh_proto::mux::Stream;

use crate::channel::Line;
use crate::client::Client;
use crate::engine::lock;

/// How a forward listens.
#[derive(Clone, Debug)]
pub struct ForwardOptions {
    /// Who may connect.
    pub exposure: Exposure,
    /// How many connections there may be at a time; one more is closed at once.
    pub connections: usize,
}

impl Default for ForwardOptions {
    /// This machine alone, 64 connections.
    fn default() -> Self {
        Self {
            exposure: Exposure::default(),
            connections: 64,
        }
    }
}

/// Who may connect to a forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exposure {
    /// Programs on this machine: other addresses to listen at are refused.
    #[default]
    Loopback,
    /// Everybody who can reach the address.
    Network,
}

/// Listens here, and has the server connect for everyone who comes. Dropped, it stops listening
/// and cuts the connections that it has.
#[derive(Debug)]
pub struct LocalForward {
    shared: Arc<Shared>,
    address: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    connections: Mutex<HashMap<u64, Arc<TcpStream>>>,
    client: Client,
    host: String,
    port: u16,
    most: usize,
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
        let outside = addresses.iter().any(|address| !address.ip().is_loopback());
        if outside && options.exposure == Exposure::Loopback {
            let why = "a forward listens on loopback unless its exposure is `Network`";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why).into());
        }
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
        for stream in lock(&self.shared.connections).values() {
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
                if connections.len() >= self.most {
                    continue;
                }
                connections.insert(number, stream.clone());
            }
            let shared = self.clone();
            let spawned = thread::Builder::new()
                .name("ssh-forwarded".into())
                .spawn(move || {
                    // Whoever came sees the end of the connection; there is nobody else to tell.
                    let _ = shared.forward(&stream, from);
                    let _ = stream.shutdown(Shutdown::Both);
                    lock(&shared.connections).remove(&number);
                });
            if spawned.is_err() {
                lock(&self.connections).remove(&number);
            }
        }
    }

    fn forward(&self, stream: &TcpStream, from: SocketAddr) -> Result<(), Error> {
        stream.set_nodelay(true)?;
        let channel = self
            .client
            .open_direct_tcpip_from(&self.host, self.port, from)?;
        join(channel.line(), stream)
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

/// Moves data both ways until both have ended, or one has failed.
pub(crate) fn join(line: &Line, stream: &TcpStream) -> Result<(), Error> {
    let ended = AtomicUsize::new(0);
    let end = || {
        // When both directions have ended nobody needs the channel.
        if ended.fetch_add(1, Ordering::SeqCst) == 1 {
            let _ = line.close();
        }
    };
    thread::scope(|scope| {
        let down = thread::Builder::new().spawn_scoped(scope, || {
            if down(line, stream).is_ok() {
                let _ = stream.shutdown(Shutdown::Write);
                end();
                let _ = line.inbox.wait_closed(None);
            } else {
                let _ = line.close();
            }
            let _ = stream.shutdown(Shutdown::Both);
        });
        if down.is_err() {
            let _ = line.close();
            return;
        }
        if up(line, stream).is_ok() {
            let _ = line.eof();
            end();
        } else {
            let _ = line.close();
        }
    });
    Ok(())
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

fn down(line: &Line, mut stream: &TcpStream) -> Result<(), Error> {
    let mut piece = vec![0; 32 * 1024];
    while let Some((_, n)) = line.read(Take::Data, &mut piece)? {
        stream.write_all(piece.get(..n).unwrap_or_default())?;
    }
    Ok(())
}
