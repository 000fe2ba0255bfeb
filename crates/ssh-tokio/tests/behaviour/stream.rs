//! Streams that a test has in its hands: cut, held up, and counted.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is done before each write.
type Hook = dyn FnMut(&mut Context<'_>) -> Poll<()> + Send;

/// A stream with a switch for each direction, in the hands of a [`Control`].
pub(crate) struct Tapped<S> {
    stream: S,
    control: Control,
    _drop: DropNote,
}

/// Notes that the stream was dropped.
struct DropNote(Control);

impl Drop for DropNote {
    fn drop(&mut self) {
        self.0.with(|shared| shared.dropped = true);
    }
}

/// What a test does with a stream while others use it.
#[derive(Clone, Default)]
pub(crate) struct Control {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    read: u64,
    written: u64,
    shut: bool,
    dropped: bool,
    /// So many bytes, and then the stream is broken.
    read_limit: Option<u64>,
    write_limit: Option<u64>,
    dead: bool,
    held: bool,
    muted: bool,
    wakers: Vec<Waker>,
    hook: Option<Box<Hook>>,
}

impl Shared {
    fn register(&mut self, cx: &Context<'_>) {
        if !self.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.wakers.push(cx.waker().clone());
        }
    }
}

impl Control {
    fn with<R>(&self, work: impl FnOnce(&mut Shared) -> R) -> R {
        work(&mut self.shared.lock().unwrap())
    }

    /// Breaks the stream in both directions once so many bytes went in one of them.
    pub(crate) fn cut_after(&self, read: Option<u64>, written: Option<u64>) {
        self.with(|shared| (shared.read_limit, shared.write_limit) = (read, written));
    }

    /// Takes nothing until it is released.
    pub(crate) fn hold(&self) {
        self.with(|shared| shared.held = true);
    }

    pub(crate) fn release(&self) {
        self.with(|shared| {
            shared.held = false;
            shared.wakers.drain(..).for_each(Waker::wake);
        });
    }

    /// The peer has vanished without a word: what is written goes nowhere, and nothing comes.
    pub(crate) fn mute(&self) {
        self.with(|shared| shared.muted = true);
    }

    fn is_muted(&self) -> bool {
        self.with(|shared| shared.muted)
    }

    /// Is called before each write. `Pending` is what the write then says; waking is its business.
    pub(crate) fn before_writes(
        &self,
        hook: impl FnMut(&mut Context<'_>) -> Poll<()> + Send + 'static,
    ) {
        self.with(|shared| shared.hook = Some(Box::new(hook)));
    }

    /// Bytes that were read and written.
    pub(crate) fn counts(&self) -> (u64, u64) {
        self.with(|shared| (shared.read, shared.written))
    }

    /// Whether the output has ended.
    pub(crate) fn is_shut(&self) -> bool {
        self.with(|shared| shared.shut)
    }

    /// Whether nobody has the stream any more.
    pub(crate) fn is_dropped(&self) -> bool {
        self.with(|shared| shared.dropped)
    }

    fn die(&self) {
        self.with(|shared| {
            shared.dead = true;
            shared.wakers.drain(..).for_each(Waker::wake);
        });
    }
}

impl<S> Tapped<S> {
    pub(crate) fn new(stream: S) -> (Self, Control) {
        let control = Control::default();
        let tapped = Self {
            stream,
            control: control.clone(),
            _drop: DropNote(control.clone()),
        };
        (tapped, control)
    }

    fn check(&self) -> io::Result<()> {
        if self.control.with(|shared| shared.dead) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        let left = self.control.with(|shared| {
            shared.register(cx);
            shared.read_limit.map(|limit| limit - shared.read)
        });
        if self.control.is_muted() {
            return Poll::Pending;
        }
        if left == Some(0) {
            self.control.die();
            return Poll::Ready(self.check());
        }
        let most = (buf.remaining() as u64).min(left.unwrap_or(u64::MAX)) as usize;
        let mut piece = vec![0; most];
        let mut part = ReadBuf::new(&mut piece);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        let filled = part.filled();
        buf.put_slice(filled);
        self.control
            .with(|shared| shared.read += filled.len() as u64);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let hook = self.control.with(|shared| shared.hook.take());
        if let Some(mut hook) = hook {
            let turn = hook(cx);
            self.control.with(|shared| shared.hook = Some(hook));
            if turn.is_pending() {
                return Poll::Pending;
            }
        }
        let (held, left) = self.control.with(|shared| {
            shared.register(cx);
            let left = shared.write_limit.map(|limit| limit - shared.written);
            (shared.held, left)
        });
        if held {
            return Poll::Pending;
        }
        if self.control.is_muted() {
            return Poll::Ready(Ok(data.len()));
        }
        if left == Some(0) {
            self.control.die();
            self.check()?;
        }
        let most = (data.len() as u64).min(left.unwrap_or(u64::MAX)) as usize;
        let written = Pin::new(&mut self.stream).poll_write(cx, &data[..most]);
        if let Poll::Ready(Ok(n)) = written {
            self.control.with(|shared| shared.written += n as u64);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        if shut.is_ready() {
            self.control.with(|shared| shared.shut = true);
        }
        shut
    }
}
