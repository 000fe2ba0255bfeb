//! Channels as tokio would have them: [`Channel`] is `AsyncRead`, `AsyncBufRead` and `AsyncWrite`,
//! whole or in two halves.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ssh_driver::{Collect, Error, ExitStatus, Mailbox, Output, Pty, Take};
use ssh_proto::message::{ChannelRequestType, TerminalSize};
use ssh_proto::mux::{Exit, Stream};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::line::{Line, Reader};

/// A channel: a program on the other side or on this one, or a connection.
///
/// It is the same type on both sides, whoever opened it. Reading gives what the peer writes to
/// standard output (on a server: what the user types), writing the other way round; for standard
/// error there is [`stderr`](Self::stderr) and [`stderr_writer`](Self::stderr_writer).
///
/// A read or a write that is dropped before it is ready has taken or sent nothing. The channel is
/// closed when the last of its parts is dropped, without waiting; the connection lives as long as
/// one of its channels does.
///
/// What is not read stays within the channel's window and stops the peer on this channel alone.
/// Standard output and standard error share that window: of a program that writes much to both,
/// both must be read, by [`read_any`](Self::read_any) or by two tasks, or one must be given up by
/// [`ignore_stderr`](Self::ignore_stderr).
#[derive(Debug)]
pub struct Channel {
    reader: ReadHalf,
    writer: WriteHalf,
}

/// The reading half of a [`Channel`]. Dropped, it lets what still comes be forgotten.
#[derive(Debug)]
pub struct ReadHalf {
    reader: Reader,
}

/// The writing half of a [`Channel`]. Dropping it does not say that nothing more comes:
/// `shutdown` does.
#[derive(Debug)]
pub struct WriteHalf {
    line: Arc<Line>,
    stream: Stream,
}

impl Channel {
    pub(crate) fn new(line: Line) -> Self {
        let line = Arc::new(line);
        Self {
            reader: ReadHalf {
                reader: Reader::new(line.clone(), Stream::Data),
            },
            writer: WriteHalf {
                line,
                stream: Stream::Data,
            },
        }
    }

    fn line(&self) -> &Line {
        &self.writer.line
    }

    /// Starts a command, and waits until the peer has agreed.
    ///
    /// # Errors
    ///
    /// [`Error::RequestRefused`], [`Error::Closed`], [`Error::Timeout`], [`Error::Busy`],
    /// [`Error::Ended`].
    pub async fn exec(&self, command: impl AsRef<[u8]>) -> Result<(), Error> {
        let command = command.as_ref();
        self.line().ask(ChannelRequestType::Exec { command }).await
    }

    /// Starts the user's shell. Errors as [`exec`](Self::exec).
    pub async fn shell(&self) -> Result<(), Error> {
        self.line().ask(ChannelRequestType::Shell).await
    }

    /// Starts a subsystem such as `sftp`. Errors as [`exec`](Self::exec).
    pub async fn subsystem(&self, name: &str) -> Result<(), Error> {
        let subsystem_name = name.as_bytes();
        self.line()
            .ask(ChannelRequestType::Subsystem { subsystem_name })
            .await
    }

    /// Asks for a terminal, before a program is started. Errors as [`exec`](Self::exec).
    pub async fn pty(&self, pty: &Pty<'_>) -> Result<(), Error> {
        self.line().ask(pty.request()).await
    }

    /// Sets an environment variable for the program that is to be started. Servers refuse most of
    /// them. Errors as [`exec`](Self::exec).
    pub async fn env(&self, name: &str, value: &str) -> Result<(), Error> {
        self.line()
            .ask(ChannelRequestType::Env {
                variable_name: name.as_bytes(),
                variable_value: value.as_bytes(),
            })
            .await
    }

    /// Tells that the terminal has another size.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Busy`], [`Error::Ended`].
    pub async fn window_change(&self, size: TerminalSize) -> Result<(), Error> {
        self.writer.window_change(size).await
    }

    /// Sends a signal to the program, named without `SIG`. Errors as
    /// [`window_change`](Self::window_change).
    pub async fn signal(&self, name: &str) -> Result<(), Error> {
        self.writer.signal(name).await
    }

    /// Says that nothing more will be written, as `shutdown` does; what the peer writes can still
    /// be read.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], also if it was said before; [`Error::Ended`].
    pub fn send_eof(&self) -> Result<(), Error> {
        self.line().eof()
    }

    /// Closes the channel for all its parts, without waiting for the peer.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if it is closed already; [`Error::Ended`].
    pub fn close(&self) -> Result<(), Error> {
        self.writer.close()
    }

    /// Waits until the channel or the connection is gone.
    pub async fn closed(&self) {
        self.writer.closed().await;
    }

    /// Waits until the program has ended and says how, [`ExitStatus::Unknown`] if the peer closes
    /// the channel without telling. Read its output first: a program that cannot write does not
    /// end.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] if the connection ended first.
    pub async fn wait(&self) -> Result<ExitStatus, Error> {
        self.writer.wait().await
    }

    /// Reads what comes first, from standard output or standard error, and says from which;
    /// `None` at the end of both.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`].
    pub async fn read_any(&mut self, into: &mut [u8]) -> Result<Option<(Stream, usize)>, Error> {
        let lent = self.reader.reader.lent();
        if !lent.is_empty() {
            // A read before this one has left something.
            let n = lent.len().min(into.len());
            if let (Some(to), Some(from)) = (into.get_mut(..n), lent.get(..n)) {
                to.copy_from_slice(from);
            }
            self.reader.reader.consume(n);
            return Ok(Some((Stream::Data, n)));
        }
        let line = self.line();
        let taken = line
            .inbox
            .wait(|mailbox| mailbox.read_ready(Take::Any, into))
            .await?;
        line.release(taken.release);
        Ok(taken.data)
    }

    /// Reads all output, at most `limit` bytes of it, and waits for the end of the program.
    ///
    /// # Errors
    ///
    /// [`Error::OutputTooLong`]; as [`read_any`](Self::read_any) and [`wait`](Self::wait).
    pub async fn output(&mut self, limit: usize) -> Result<Output, Error> {
        let mut all = Collect::new(limit);
        let mut piece = vec![0; 64 * 1024];
        while let Some((stream, n)) = self.read_any(&mut piece).await? {
            all.push(stream, piece.get(..n).unwrap_or_default())?;
        }
        Ok(all.finish(self.wait().await?))
    }

    /// A reader of standard error, for a task of its own. What is left when it is dropped, and what
    /// comes afterwards, is forgotten.
    pub fn stderr(&self) -> ReadHalf {
        ReadHalf {
            reader: Reader::new(self.writer.line.clone(), Stream::STDERR),
        }
    }

    /// Forgets what comes on standard error.
    pub fn ignore_stderr(&self) {
        self.line().discard(Stream::STDERR);
    }

    /// A writer for another task, or for another branch of this one.
    pub(crate) fn another_writer(&self) -> WriteHalf {
        WriteHalf {
            line: self.writer.line.clone(),
            stream: Stream::Data,
        }
    }

    /// A writer to standard error: the server's side.
    pub fn stderr_writer(&self) -> WriteHalf {
        WriteHalf {
            line: self.writer.line.clone(),
            stream: Stream::STDERR,
        }
    }

    /// Parts with the two halves, which may live in different tasks. The channel is closed when
    /// both are dropped.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        (self.reader, self.writer)
    }

    /// Server: tells that the program has ended with a status, and closes the channel.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Ended`], [`Error::Busy`].
    pub async fn exit(&self, status: u32) -> Result<(), Error> {
        self.writer.exit(status).await
    }

    /// Server: tells that the program was ended by a signal, named without `SIG`, and closes the
    /// channel. Errors as [`exit`](Self::exit).
    pub async fn exit_signal(&self, signal: &str, message: &str) -> Result<(), Error> {
        self.writer.exit_signal(signal, message).await
    }

    /// Server: the next signal that the client sends to the program, named without `SIG` and
    /// escaped; waits for it.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Ended`].
    pub async fn next_signal(&self) -> Result<String, Error> {
        self.writer.next_signal().await
    }

    /// Server: the size of the terminal, as the client last said.
    pub fn terminal_size(&self) -> Option<TerminalSize> {
        self.writer.terminal_size()
    }
}

impl WriteHalf {
    /// Says that nothing more will be written, as `shutdown` does. Errors as
    /// [`Channel::send_eof`].
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], also if it was said before; [`Error::Ended`].
    pub fn send_eof(&self) -> Result<(), Error> {
        self.line.eof()
    }

    /// Server: tells that the program has ended with a status, and closes the channel. Errors as
    /// [`Channel::exit`].
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Ended`], [`Error::Busy`].
    pub async fn exit(&self, status: u32) -> Result<(), Error> {
        self.finish(Exit::Status(status)).await
    }

    /// Server: as [`Channel::exit_signal`].
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Ended`], [`Error::Busy`].
    pub async fn exit_signal(&self, signal: &str, message: &str) -> Result<(), Error> {
        let exit = Exit::Signal {
            signal_name: signal.as_bytes(),
            core_dumped: false,
            error_message: message.as_bytes(),
        };
        self.finish(exit).await
    }

    /// Server: as [`Channel::next_signal`].
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Ended`].
    pub async fn next_signal(&self) -> Result<String, Error> {
        self.line.inbox.wait(Mailbox::signal_ready).await
    }

    /// Server: the size of the terminal, as the client last said.
    pub fn terminal_size(&self) -> Option<TerminalSize> {
        self.line.inbox.with(|mailbox| mailbox.terminal_size())
    }

    /// Tells that the terminal has another size.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Busy`], [`Error::Ended`].
    pub async fn window_change(&self, size: TerminalSize) -> Result<(), Error> {
        let request = ChannelRequestType::WindowChange { size };
        self.line.tell(request).await
    }

    /// Sends a signal to the program, named without `SIG`.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Busy`], [`Error::Ended`].
    pub async fn signal(&self, name: &str) -> Result<(), Error> {
        let signal_name = name.as_bytes();
        let request = ChannelRequestType::Signal { signal_name };
        self.line.tell(request).await
    }

    /// As [`Channel::wait`].
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] if the connection ended first.
    pub async fn wait(&self) -> Result<ExitStatus, Error> {
        self.line.inbox.wait(|mailbox| mailbox.exit_ready()).await
    }

    /// Closes the channel for all its parts, without waiting for the peer.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if it is closed already; [`Error::Ended`].
    pub fn close(&self) -> Result<(), Error> {
        self.line.close()
    }

    /// Waits until the channel or the connection is gone.
    pub async fn closed(&self) {
        // That the connection has ended is the same to whoever waits here.
        let _ = self.line.inbox.wait(|mailbox| mailbox.closed_ready()).await;
    }

    async fn finish(&self, exit: Exit<'_>) -> Result<(), Error> {
        // The status first: dbclient 2022.83 closes the channel at EOF, and then looks at no request.
        self.line
            .attempt(|channel| channel.exit(exit), |_, ()| {})
            .await?;
        // It may have been said already.
        let _ = self.line.eof();
        self.line.close()
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let reader = &mut self.get_mut().reader;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let n = match reader.poll_fill(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(data)) => {
                let n = data.len().min(buf.remaining());
                buf.put_slice(data.get(..n).unwrap_or_default());
                n
            }
        };
        reader.consume(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for ReadHalf {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.get_mut().reader.poll_fill(cx)
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        self.get_mut().reader.consume(n);
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.line
            .poll_write(cx, self.stream, data)
            .map_err(io::Error::from)
    }

    /// What was written is on its way already.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more will be written.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match self.line.eof() {
            // It was said already, or nobody is there to hear it.
            Ok(()) | Err(Error::Closed) => Ok(()),
            Err(error) => Err(error.into()),
        })
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().reader).poll_read(cx, buf)
    }
}

impl AsyncBufRead for Channel {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().reader).poll_fill_buf(cx)
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        Pin::new(&mut self.get_mut().reader).consume(n);
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().writer).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().writer).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().writer).poll_shutdown(cx)
    }
}
