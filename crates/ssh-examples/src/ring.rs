//! Operations that are submitted with a buffer and completed with the same buffer: the shape of
//! io_uring, and [`ThreadRing`], which needs no kernel for it.
//!
//! While an operation is going on, its buffer belongs to the [`Ring`]: nobody can look at it, change
//! it or free it. That is what makes this shape sound without unsafe code, and why everything here
//! is an owned `Vec`.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// Takes operations and gives completions, in whatever order they come to an end. Of each
/// connection one read and one write may be going on at a time.
pub trait Ring {
    /// Reads into `buffer`, all of whose length may be used.
    fn read(&mut self, connection: usize, buffer: Vec<u8>);

    /// Writes what is in `buffer` behind the first `from` bytes.
    fn write(&mut self, connection: usize, buffer: Vec<u8>, from: usize);

    /// Nothing will be written to the connection any more. The peer sees the end of the stream.
    fn shut(&mut self, connection: usize);

    /// Gives up a connection: what is going on is completed at once.
    fn abandon(&mut self, connection: usize);

    /// The next completion, unless there is none for so long.
    fn wait(&mut self, most: Duration) -> Option<Completion>;
}

/// An operation has come to an end, and its buffer comes back.
#[derive(Debug)]
pub struct Completion {
    /// Whose it was.
    pub connection: usize,
    /// What it was.
    pub operation: Operation,
    /// The buffer, as long as it was.
    pub buffer: Vec<u8>,
    /// How many bytes were read to its front, or written. Nothing was read at the end of the
    /// stream.
    pub result: io::Result<usize>,
}

/// What was to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// To read.
    Read,
    /// To write what lies behind the first `from` bytes.
    Write {
        /// Where that begins.
        from: usize,
    },
}

/// A ring over sockets and two threads for each of them. Slow, and the same everywhere.
#[derive(Debug)]
pub struct ThreadRing {
    sockets: Vec<Socket>,
    done: Receiver<Completion>,
    completed: Sender<Completion>,
}

#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    reads: Sender<Vec<u8>>,
    writes: Sender<(Vec<u8>, usize)>,
}

impl Default for ThreadRing {
    fn default() -> Self {
        let (completed, done) = channel();
        Self {
            sockets: Vec::new(),
            done,
            completed,
        }
    }
}

impl ThreadRing {
    /// Takes a connected socket, and says what its number is.
    ///
    /// # Errors
    ///
    /// What the operating system says when it has no descriptors to give.
    pub fn add(&mut self, stream: TcpStream) -> io::Result<usize> {
        stream.set_nodelay(true)?;
        let connection = self.sockets.len();

        let (reads, to_read) = channel::<Vec<u8>>();
        let (mut source, completed) = (stream.try_clone()?, self.completed.clone());
        thread::spawn(move || {
            for mut buffer in to_read {
                let result = source.read(&mut buffer);
                let operation = Operation::Read;
                let _ = completed.send(Completion {
                    connection,
                    operation,
                    buffer,
                    result,
                });
            }
        });

        let (writes, to_write) = channel::<(Vec<u8>, usize)>();
        let (mut sink, completed) = (stream.try_clone()?, self.completed.clone());
        thread::spawn(move || {
            for (buffer, from) in to_write {
                let result = sink.write(buffer.get(from..).unwrap_or_default());
                let operation = Operation::Write { from };
                let _ = completed.send(Completion {
                    connection,
                    operation,
                    buffer,
                    result,
                });
            }
        });

        self.sockets.push(Socket {
            stream,
            reads,
            writes,
        });
        Ok(connection)
    }
}

impl Ring for ThreadRing {
    fn read(&mut self, connection: usize, buffer: Vec<u8>) {
        if let Some(socket) = self.sockets.get(connection) {
            let _ = socket.reads.send(buffer);
        }
    }

    fn write(&mut self, connection: usize, buffer: Vec<u8>, from: usize) {
        if let Some(socket) = self.sockets.get(connection) {
            let _ = socket.writes.send((buffer, from));
        }
    }

    fn shut(&mut self, connection: usize) {
        if let Some(socket) = self.sockets.get(connection) {
            let _ = socket.stream.shutdown(Shutdown::Write);
        }
    }

    fn abandon(&mut self, connection: usize) {
        if let Some(socket) = self.sockets.get(connection) {
            let _ = socket.stream.shutdown(Shutdown::Both);
        }
    }

    fn wait(&mut self, most: Duration) -> Option<Completion> {
        self.done.recv_timeout(most).ok()
    }
}
