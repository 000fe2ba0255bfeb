//! What the operating system gives: the socket, the clock, and randomness.
//!
//! One socket is read by one thread and written by several in turn, so nothing here changes how
//! it blocks: reads wait, and [`Socket::try_write`] asks for one write that does not.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant as SystemInstant};

use ssh_proto::Instant;
use ssh_proto::random::{Random, RandomError};

/// The longest that one write of [`Socket::write`] waits: timers are looked at in between.
pub(crate) const WRITE_TICK: Duration = Duration::from_millis(250);

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        // A keystroke is a packet of its own; what belongs together is written together anyway.
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_TICK))?;
        Ok(Self { stream })
    }

    pub(crate) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Waits for input. `None` is for ever.
    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        // Zero would mean for ever.
        let timeout = timeout.map(|timeout| timeout.max(Duration::from_millis(1)));
        self.stream.set_read_timeout(timeout)
    }

    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.read_once(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// As [`read`](Self::read), until it is interrupted: trying again would begin a timeout anew.
    pub(crate) fn read_once(&self, into: &mut [u8]) -> io::Result<usize> {
        (&self.stream).read(into)
    }

    /// Writes, and waits for room until [`WRITE_TICK`] is over: then it is
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) here as well.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match (&self.stream).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                result => return result,
            }
        }
    }

    /// Writes what the system takes at once.
    #[cfg(unix)]
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        use rustix::net::SendFlags;

        #[cfg(not(target_vendor = "apple"))]
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        // There std has set SO_NOSIGPIPE on the socket.
        #[cfg(target_vendor = "apple")]
        let flags = SendFlags::DONTWAIT;
        loop {
            match rustix::net::send(&self.stream, bytes, flags) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(rustix::io::Errno::INTR) => {}
                result => return result.map_err(io::Error::from),
            }
        }
    }

    /// Writes what the system takes at once; where that cannot be asked for, nothing.
    #[cfg(not(unix))]
    pub(crate) fn try_write(&self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Ends one direction or both, also for a thread that waits in it.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        // It fails only where the peer was faster.
        let _ = self.stream.shutdown(how);
    }

    /// Reads what still comes and forgets it, until the peer closes or `patience` is over: closing
    /// over unread input would take our last words away from the peer.
    pub(crate) fn drain(&self, patience: Duration) {
        let end = SystemInstant::now() + patience;
        let mut sink = [0; 4096];
        while let Some(left) = end.checked_duration_since(SystemInstant::now()) {
            if self.set_read_timeout(Some(left)).is_err()
                || !matches!(self.read(&mut sink), Ok(1..))
            {
                return;
            }
        }
    }
}

/// Whether a wait was over before anything happened.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// The clock of one connection.
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
}

/// The operating system's randomness.
#[derive(Debug)]
pub(crate) struct OsRandom;

impl Random for OsRandom {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(out).map_err(|_| RandomError)
    }
}
