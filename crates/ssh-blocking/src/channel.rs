//! Channels as the standard library would have them: [`Channel`] is `Read` and `Write`, for one
//! thread or for several.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ssh_driver::{Collect, Error, ExitStatus, Mailbox, Output, Pty, Shared, Take};
use ssh_proto::ChannelId;
use ssh_proto::error::RequestError;
use ssh_proto::message::{ChannelRequestType, TerminalSize};
use ssh_proto::mux::{Reply, RequestId, Stream};

use crate::engine::{Engine, Inbox, Lead, lock};

/// A channel of a [`Client`](crate::Client): a program on the other side, or a connection that it
/// has made for us.
///
/// Clones are handles of the same channel, and `&Channel` is `Read` and `Write` too, so that one
/// thread may read while another one writes. The channel is closed when the last handle is
/// dropped, without waiting; the connection lives as long as one of its channels does.
///
/// What is not read stays within the channel's window and stops the peer on this channel alone.
/// Standard output and standard error share that window: a program that writes to both must have
/// both read, by [`read_any`](Self::read_any) or by two threads.
#[derive(Clone, Debug)]
pub struct Channel {
    line: Arc<Line>,
}

impl Channel {
    pub(crate) fn new(line: Line) -> Self {
        Self {
            line: Arc::new(line),
        }
    }

    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    /// Starts a command, and waits until the peer has agreed.
    ///
    /// # Errors
    ///
    /// [`Error::RequestRefused`], [`Error::Closed`], [`Error::Timeout`], [`Error::Ended`].
    pub fn exec(&self, command: impl AsRef<[u8]>) -> Result<(), Error> {
        self.line.ask(ChannelRequestType::Exec {
            command: command.as_ref(),
        })
    }

    /// Starts the user's shell. Errors as [`exec`](Self::exec).
    pub fn shell(&self) -> Result<(), Error> {
        self.line.ask(ChannelRequestType::Shell)
    }

    /// Starts a subsystem such as `sftp`. Errors as [`exec`](Self::exec).
    pub fn subsystem(&self, name: &str) -> Result<(), Error> {
        self.line.ask(ChannelRequestType::Subsystem {
            subsystem_name: name.as_bytes(),
        })
    }

    /// Asks for a terminal, before a program is started. Errors as [`exec`](Self::exec).
    pub fn pty(&self, pty: &Pty<'_>) -> Result<(), Error> {
        self.line.ask(pty.request())
    }

    /// Sets an environment variable for the program that is to be started. Servers refuse most of
    /// them. Errors as [`exec`](Self::exec).
    pub fn env(&self, name: &str, value: &str) -> Result<(), Error> {
        self.line.ask(ChannelRequestType::Env {
            variable_name: name.as_bytes(),
            variable_value: value.as_bytes(),
        })
    }

    /// Tells that the terminal has another size.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Ended`].
    pub fn window_change(&self, size: TerminalSize) -> Result<(), Error> {
        self.line.tell(ChannelRequestType::WindowChange { size })
    }

    /// Sends a signal to the program, named without `SIG`. Errors as
    /// [`window_change`](Self::window_change).
    pub fn signal(&self, name: &str) -> Result<(), Error> {
        self.line.tell(ChannelRequestType::Signal {
            signal_name: name.as_bytes(),
        })
    }

    /// Says that nothing more will be written; what the peer writes can still be read. Writing
    /// afterwards is [`Error::Closed`].
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], also if it was said before; [`Error::Ended`].
    pub fn send_eof(&self) -> Result<(), Error> {
        self.line.eof()
    }

    /// Closes the channel for all its handles, without waiting for the peer.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if it is closed already; [`Error::Ended`].
    pub fn close(&self) -> Result<(), Error> {
        self.line.close()
    }

    /// Waits until the program has ended and says how, [`ExitStatus::Unknown`] if the peer closes
    /// the channel without telling. Read its output first: a program that cannot write does not
    /// end.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] after the read timeout, [`Error::Ended`] if the connection ended first.
    pub fn wait(&self) -> Result<ExitStatus, Error> {
        let deadline = self.line.read_deadline();
        self.line.wait(deadline, |mailbox| mailbox.exit_ready())
    }

    /// Reads from standard error, where `Channel` itself reads from standard output.
    pub fn stderr(&self) -> Stderr<'_> {
        Stderr { line: &self.line }
    }

    /// Reads what comes first, from standard output or standard error, and says from which;
    /// `None` at the end of both.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] after the read timeout, [`Error::Ended`].
    pub fn read_any(&self, into: &mut [u8]) -> Result<Option<(Stream, usize)>, Error> {
        self.line.read(Take::Any, into)
    }

    /// Reads all output, at most `limit` bytes of it, and waits for the end of the program.
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooLong`]; as [`read_any`](Self::read_any) and [`wait`](Self::wait).
    pub fn output(&self, limit: usize) -> Result<Output, Error> {
        let mut all = Collect::new(limit);
        let mut piece = vec![0; 64 * 1024];
        while let Some((stream, n)) = self.read_any(&mut piece)? {
            all.push(stream, piece.get(..n).unwrap_or_default())?;
        }
        Ok(all.finish(self.wait()?))
    }

    /// How long a read, [`wait`](Self::wait) or a request may take; `None` is for ever, as long
    /// as the connection lives. For all handles of the channel.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) {
        lock(&self.line.timeouts).read = timeout;
    }

    /// How long a write may wait for the peer to take something; `None` is for ever, as long as
    /// the connection lives. For all handles of the channel.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) {
        lock(&self.line.timeouts).write = timeout;
    }
}

impl Read for &Channel {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.line.read_stream(Take::Data, into)
    }
}

impl Write for &Channel {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(self.line.write(Stream::Data, data)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Channel {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }
}

impl Write for Channel {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self).write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the standard error of a [`Channel`].
#[derive(Clone, Copy, Debug)]
pub struct Stderr<'a> {
    line: &'a Line,
}

impl Read for Stderr<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.line.read_stream(Take::Stderr, into)
    }
}

/// A channel of either role: what [`Channel`] and [`ServerChannel`](crate::ServerChannel) share.
/// Dropped, it closes the channel without waiting.
#[derive(Debug)]
pub(crate) struct Line {
    engine: Arc<Engine>,
    id: ChannelId,
    pub(crate) inbox: Arc<Inbox>,
    timeouts: Mutex<Timeouts>,
    /// Keeps a client's connection alive.
    _keep: Option<Arc<Handle>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timeouts {
    pub(crate) read: Option<Duration>,
    pub(crate) write: Option<Duration>,
    /// For requests on the channel.
    pub(crate) request: Option<Duration>,
}

/// Whoever uses a client's connection has one: the last one that is dropped ends it, without
/// waiting.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) engine: Arc<Engine>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.engine.hang_up("");
    }
}

impl Line {
    pub(crate) fn new(
        engine: Arc<Engine>,
        id: ChannelId,
        inbox: Arc<Inbox>,
        timeouts: Timeouts,
        keep: Option<Arc<Handle>>,
    ) -> Self {
        Self {
            engine,
            id,
            inbox,
            timeouts: Mutex::new(timeouts),
            _keep: keep,
        }
    }

    /// Who reads the socket.
    pub(crate) fn lead(&self) -> &Lead {
        self.engine.lead()
    }

    /// Waits for something that comes.
    pub(crate) fn wait<T>(
        &self,
        deadline: Option<Instant>,
        ready: impl FnMut(&mut Mailbox) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        self.inbox.wait_readable(self.lead(), deadline, ready)
    }

    pub(crate) fn read_deadline(&self) -> Option<Instant> {
        deadline(lock(&self.timeouts).read)
    }

    fn request_deadline(&self) -> Option<Instant> {
        deadline(lock(&self.timeouts).request)
    }

    pub(crate) fn set_timeouts(&self, change: impl FnOnce(&mut Timeouts)) {
        change(&mut lock(&self.timeouts));
    }

    pub(crate) fn read(
        &self,
        take: Take,
        into: &mut [u8],
    ) -> Result<Option<(Stream, usize)>, Error> {
        if into.is_empty() {
            return Ok(Some((Stream::Data, 0)));
        }
        let deadline = self.read_deadline();
        let taken = self.wait(deadline, |mailbox| mailbox.read_ready(take, into))?;
        if taken.release > 0 {
            // The channel may have closed in the meantime: then nobody wants the credit.
            let _ = self
                .engine
                .change(|send| send.channel(self.id)?.release(taken.release));
        }
        Ok(taken.data)
    }

    pub(crate) fn read_stream(&self, take: Take, into: &mut [u8]) -> io::Result<usize> {
        Ok(self.read(take, into)?.map_or(0, |(_, n)| n))
    }

    /// Sends as much as is taken, and waits only where that is nothing.
    pub(crate) fn write(&self, stream: Stream, data: &[u8]) -> Result<usize, Error> {
        if data.is_empty() {
            return Ok(0);
        }
        let deadline = deadline(lock(&self.timeouts).write);
        loop {
            let mut state = self.engine.lock();
            let sent = state
                .send()
                .channel(self.id)
                .and_then(|mut channel| channel.send_on(stream, data));
            let sent = match sent {
                Ok(sent) => sent,
                Err(misuse) => {
                    let error = state.error(misuse);
                    // It may have been this one's turn.
                    drop(self.engine.settle(state));
                    return Err(error);
                }
            };
            let on_credit = state.send().channel(self.id).is_ok_and(|c| c.credit() == 0);
            if sent == 0 {
                self.inbox.block();
            }
            drop(self.engine.settle(state));
            if sent > 0 {
                return Ok(sent);
            }
            if let Err(error) = self.inbox.wait_writable(self.lead(), on_credit, deadline) {
                drop(self.engine.settle(self.engine.lock()));
                return Err(error);
            }
        }
    }

    pub(crate) fn eof(&self) -> Result<(), Error> {
        self.engine.change(|send| send.channel(self.id)?.eof())?;
        // A writer on another handle learns that there is nothing to wait for.
        self.inbox.update(Mailbox::writable);
        Ok(())
    }

    pub(crate) fn close(&self) -> Result<(), Error> {
        self.engine.change(|send| send.channel(self.id)?.close())?;
        self.inbox.update(Mailbox::closed);
        Ok(())
    }

    /// Whether the channel is closed, or the connection has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.inbox.is_over()
    }

    /// A request that the peer must answer.
    pub(crate) fn ask(&self, request: ChannelRequestType<'_>) -> Result<(), Error> {
        let deadline = self.request_deadline();
        let Some(id) = self.request(request, Reply::Wanted, deadline)? else {
            return Ok(());
        };
        let result = self.wait(deadline, |mailbox| mailbox.reply_ready(id));
        self.inbox.forget(id);
        result
    }

    /// A request that the peer does not answer.
    pub(crate) fn tell(&self, request: ChannelRequestType<'_>) -> Result<(), Error> {
        self.request(request, Reply::NotWanted, self.request_deadline())
            .map(drop)
    }

    fn request(
        &self,
        request: ChannelRequestType<'_>,
        reply: Reply,
        deadline: Option<Instant>,
    ) -> Result<Option<RequestId>, Error> {
        self.engine.attempt(deadline, |state| {
            let id = state.send().channel(self.id)?.request(request, reply)?;
            id.inspect(|id| self.inbox.expect(*id));
            Ok(id)
        })
    }

    /// Does something to the channel, and waits a while where too much waits already.
    pub(crate) fn attempt<T>(
        &self,
        mut change: impl FnMut(&mut ssh_proto::mux::Channel<'_>) -> Result<T, RequestError>,
    ) -> Result<T, Error> {
        self.engine.attempt(None, |state| {
            let mut channel = state.send().channel(self.id)?;
            change(&mut channel)
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.inbox.abandon();
        let mut state = self.engine.lock();
        // It may be closed already, or gone.
        if let Ok(mut channel) = state.send().channel(self.id) {
            let _ = channel.close();
        }
        // Nobody is left to be told anything. A channel that is given up while it is opening is
        // closed by the core when it is answered, without another word.
        state.core.table().remove(self.id);
        drop(self.engine.settle(state));
        // What the peer asks for next waits for nobody here.
        self.lead().leave();
    }
}

pub(crate) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    // What is beyond the end of time is for ever.
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}
