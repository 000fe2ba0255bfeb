//! Channels of either side, as `Read` and `Write` for any number of threads.

use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use ssh_proto::message::TerminalSize;
use ssh_tokio::{Error, ExitStatus, Output, Pty};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{lock, run, within};

/// A channel of either side, and how long its calls may take.
#[derive(Debug)]
struct Line {
    channel: Mutex<ssh_tokio::Channel>,
    read_timeout: Mutex<Option<Duration>>,
    write_timeout: Mutex<Option<Duration>>,
}

impl Line {
    fn new(channel: ssh_tokio::Channel) -> Arc<Self> {
        Arc::new(Self {
            channel: Mutex::new(channel),
            read_timeout: Mutex::default(),
            write_timeout: Mutex::default(),
        })
    }

    /// Waits with the channel locked for one poll at a time.
    fn wait<T, E: From<Error>>(
        &self,
        limit: &Mutex<Option<Duration>>,
        mut poll: impl FnMut(&mut ssh_tokio::Channel, &mut Context<'_>) -> Poll<Result<T, E>>,
    ) -> Result<T, E> {
        let limit = *lock(limit);
        let polled = poll_fn(|cx| poll(&mut lock(&self.channel), cx));
        run(within(limit, polled))
    }

    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.wait(&self.read_timeout, |channel, cx| {
            let mut buf = ReadBuf::new(into);
            let read = Pin::new(channel).poll_read(cx, &mut buf);
            read.map_ok(|()| buf.filled().len())
        })
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        self.wait(&self.write_timeout, |channel, cx| {
            Pin::new(channel).poll_write(cx, data)
        })
    }
}

/// The client's side.
#[derive(Clone, Debug)]
pub(crate) struct Channel(Arc<Line>);

impl Channel {
    pub(super) fn new(channel: ssh_tokio::Channel) -> Self {
        Self(Line::new(channel))
    }

    pub(crate) fn exec(&self, command: impl AsRef<[u8]>) -> Result<(), Error> {
        run(lock(&self.0.channel).exec(command))
    }

    pub(crate) fn shell(&self) -> Result<(), Error> {
        run(lock(&self.0.channel).shell())
    }

    pub(crate) fn pty(&self, pty: &Pty<'_>) -> Result<(), Error> {
        run(lock(&self.0.channel).pty(pty))
    }

    pub(crate) fn env(&self, name: &str, value: &str) -> Result<(), Error> {
        run(lock(&self.0.channel).env(name, value))
    }

    pub(crate) fn window_change(&self, size: TerminalSize) -> Result<(), Error> {
        run(lock(&self.0.channel).window_change(size))
    }

    pub(crate) fn signal(&self, name: &str) -> Result<(), Error> {
        run(lock(&self.0.channel).signal(name))
    }

    pub(crate) fn send_eof(&self) -> Result<(), Error> {
        lock(&self.0.channel).send_eof()
    }

    pub(crate) fn close(&self) -> Result<(), Error> {
        lock(&self.0.channel).close()
    }

    pub(crate) fn wait(&self) -> Result<ExitStatus, Error> {
        self.0.wait(&self.0.read_timeout, |channel, cx| {
            pin!(channel.wait()).poll(cx)
        })
    }

    /// The whole of it within the read timeout.
    pub(crate) fn output(&self, limit: usize) -> Result<Output, Error> {
        let timeout = *lock(&self.0.read_timeout);
        run(within(timeout, lock(&self.0.channel).output(limit)))
    }

    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) {
        *lock(&self.0.read_timeout) = timeout;
    }

    pub(crate) fn set_write_timeout(&self, timeout: Option<Duration>) {
        *lock(&self.0.write_timeout) = timeout;
    }
}

/// The server's side.
#[derive(Clone, Debug)]
pub(crate) struct ServerChannel(Arc<Line>);

impl ServerChannel {
    pub(super) fn new(channel: ssh_tokio::Channel) -> Self {
        Self(Line::new(channel))
    }

    pub(crate) fn stderr(&self) -> ServerStderr<'_> {
        ServerStderr {
            line: &self.0,
            writer: lock(&self.0.channel).stderr_writer(),
        }
    }

    pub(crate) fn exit(&self, status: u32) -> Result<(), Error> {
        run(lock(&self.0.channel).exit(status))
    }

    pub(crate) fn exit_signal(&self, signal: &str, message: &str) -> Result<(), Error> {
        run(lock(&self.0.channel).exit_signal(signal, message))
    }

    pub(crate) fn signal(&self) -> Result<String, Error> {
        self.0.wait(&self.0.read_timeout, |channel, cx| {
            pin!(channel.next_signal()).poll(cx)
        })
    }

    pub(crate) fn terminal_size(&self) -> Option<TerminalSize> {
        lock(&self.0.channel).terminal_size()
    }

    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) {
        *lock(&self.0.read_timeout) = timeout;
    }

    pub(crate) fn set_write_timeout(&self, timeout: Option<Duration>) {
        *lock(&self.0.write_timeout) = timeout;
    }
}

/// Standard error of the server's side.
#[derive(Debug)]
pub(crate) struct ServerStderr<'a> {
    line: &'a Line,
    writer: ssh_tokio::WriteHalf,
}

impl Write for ServerStderr<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let limit = *lock(&self.line.write_timeout);
        let writer = &mut self.writer;
        run(within(
            limit,
            poll_fn(|cx| Pin::new(&mut *writer).poll_write(cx, data)),
        ))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `Read` and `Write`, for whoever has the channel and for whoever borrows it.
macro_rules! stream {
    ($($channel:ty),*) => { $(
        impl Read for $channel {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                self.0.read(into)
            }
        }

        impl Write for $channel {
            fn write(&mut self, data: &[u8]) -> io::Result<usize> {
                self.0.write(data)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    )* };
}

stream!(Channel, &Channel, ServerChannel, &ServerChannel);
