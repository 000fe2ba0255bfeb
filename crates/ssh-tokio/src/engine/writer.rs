//! The stream's output, and what is on its way there: [`Writer`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use ssh_driver::Outbox;
use ssh_proto::SendSide;
use tokio::io::AsyncWrite;

pub(super) struct Writer {
    stream: Box<dyn AsyncWrite + Send + Unpin>,
    outbox: Outbox,
    /// The stream took nothing: the driver is woken when it does.
    blocked: bool,
    /// Written, and not flushed.
    dirty: bool,
}

impl Writer {
    pub(super) fn new(stream: Box<dyn AsyncWrite + Send + Unpin>) -> Self {
        Self {
            stream,
            outbox: Outbox::default(),
            // Until the driver runs, nobody would be woken.
            blocked: true,
            dirty: false,
        }
    }

    /// It is worth trying again.
    pub(super) const fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Whether there is something to write, counting what `waits` in the core, and nothing in the
    /// way.
    pub(super) fn is_idle_with(&self, waits: bool) -> bool {
        !self.blocked && (waits || !self.is_done())
    }

    /// Takes output of the core. False if there is nothing to do.
    pub(super) fn fill(&mut self, send: &mut SendSide) -> bool {
        !self.blocked && (self.outbox.fill(send) || self.dirty)
    }

    /// Writes what is there. Where the stream does not take it at once, `cx` is woken later.
    pub(super) fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.outbox.rest().is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, self.outbox.rest()) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => {
                    self.outbox.written(n);
                    self.dirty = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {
                    self.blocked = true;
                    return Ok(());
                }
            }
        }
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => self.dirty = false,
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => self.blocked = true,
        }
        Ok(())
    }

    /// Whether everything that was taken out of the core has left.
    pub(super) fn is_done(&self) -> bool {
        self.outbox.rest().is_empty() && !self.dirty
    }

    /// Gives memory back. For a connection that is idle.
    pub(super) fn give_back(&mut self) {
        self.outbox.give_back();
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
