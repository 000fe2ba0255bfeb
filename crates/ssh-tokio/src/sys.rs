//! What the runtime and the operating system give: the clock, randomness, streams, time limits.

use std::any::Any;
use std::future::Future;
use std::io;
use std::time::Duration;

use ssh_driver::Error;
use ssh_proto::Instant;
use ssh_proto::random::{Random, RandomError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant as SystemInstant;

/// The clock of one connection; the runtime's, so that tests may turn it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: SystemInstant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            epoch: SystemInstant::now(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::new(self.epoch.elapsed())
    }

    /// As the runtime counts. A time beyond what it can say never comes.
    pub(crate) fn at(&self, instant: Instant) -> Option<SystemInstant> {
        self.epoch.checked_add(instant.since_epoch())
    }
}

/// The operating system's randomness.
#[derive(Debug)]
pub(crate) struct OsRandom;

impl Random for OsRandom {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(out).map_err(|_| RandomError)
    }
}

/// The two directions of a stream.
pub(crate) struct Link {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Link {
    /// Parts a stream. A TCP stream is parted without a lock, and loses Nagle's delay: a keystroke
    /// is a packet of its own, and what belongs together is written together anyway.
    pub(crate) fn new<S>(stream: S) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let mut slot = Some(stream);
        if let Some(tcp) = (&mut slot as &mut dyn Any).downcast_mut::<Option<TcpStream>>()
            && let Some(tcp) = tcp.take()
        {
            tcp.set_nodelay(true)?;
            let (reader, writer) = tcp.into_split();
            return Ok(Self {
                reader: Box::new(reader),
                writer: Box::new(writer),
            });
        }
        let Some(stream) = slot else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let (reader, writer) = tokio::io::split(Box::pin(stream));
        Ok(Self {
            reader: Box::new(reader),
            writer: Box::new(writer),
        })
    }
}

/// Gives a call a time limit; `None` is for ever.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match limit {
        None => call.await,
        Some(limit) => tokio::time::timeout(limit, call)
            .await
            .unwrap_or(Err(Error::Timeout)),
    }
}
