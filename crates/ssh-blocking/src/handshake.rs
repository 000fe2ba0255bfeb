//! Everything before authentication has succeeded: one thread, which drives the whole connection.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use ssh_driver::Ended;
use ssh_proto::error::{End, Error as CoreError};
use ssh_proto::{Peer, RecvBuf, Wants};

use crate::socket::{Clock, Socket, is_timeout};

/// How long the peer may take to close after our last words.
const FAREWELL: Duration = Duration::from_secs(1);

/// Runs a connection until it is authenticated. `on` gets every event, answers what is to be
/// answered, and gives back how the connection ended, if that was the event.
///
/// The deadlines of the core bound every wait here.
pub(crate) fn run<P: Peer>(
    peer: &mut P,
    rx: &mut RecvBuf,
    socket: &Socket,
    clock: Clock,
    mut on: impl FnMut(&mut P, P::Event<'_>) -> Option<End>,
) -> Result<(), Ended> {
    let mut io = None;
    loop {
        if let Err(error) = write_all(peer, socket, clock) {
            io.get_or_insert(error);
            peer.close_input();
        }
        while let Some(event) = peer.poll_event(&mut rx.batch(), clock.now()) {
            if let Some(end) = on(peer, event) {
                say_goodbye(peer, socket, clock, &end);
                return Err(Ended::new(end, io));
            }
            if peer.is_authenticated() {
                // What was read beyond belongs to whoever goes on from here.
                return Ok(());
            }
        }
        if peer.has_output() && io.is_none() {
            continue;
        }
        match peer.wants() {
            Wants::Bytes(need) => {
                let now = clock.now();
                let due = peer.poll_timeout(now).map(|due| due.saturating_since(now));
                let spare = rx.try_spare(need);
                let spare = spare.map_err(|_| io::ErrorKind::OutOfMemory.into());
                let read = spare.and_then(|spare| {
                    socket.set_read_timeout(due)?;
                    socket.read(spare)
                });
                match read {
                    Ok(0) => peer.close_input(),
                    Ok(n) => rx.filled(n),
                    Err(error) if is_timeout(&error) => {}
                    Err(error) => {
                        io.get_or_insert(error);
                        peer.close_input();
                    }
                }
            }
            Wants::Batch | Wants::Output => {}
            // Whoever asks for an answer gets it at once; a question that was not answered is one
            // that nobody knows how to answer.
            _ => {
                let end = End::Error(CoreError::Internal("a question without an answer"));
                return Err(Ended::new(end, io));
            }
        }
        peer.handle_timeout(clock.now());
    }
}

/// Writes what waits. A peer that takes nothing runs into the deadlines of the core.
fn write_all<P: Peer>(peer: &mut P, socket: &Socket, clock: Clock) -> io::Result<()> {
    while peer.has_output() {
        match socket.write(peer.output()) {
            Ok(n) => peer.consume_output(n),
            Err(error) if is_timeout(&error) => {
                peer.poll_timeout(clock.now());
                peer.handle_timeout(clock.now());
                if peer.has_ended() {
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn say_goodbye<P: Peer>(peer: &mut P, socket: &Socket, clock: Clock, end: &End) {
    if write_all(peer, socket, clock).is_ok() && matches!(end, End::Error(_) | End::Disconnected) {
        socket.shutdown(Shutdown::Write);
        socket.drain(FAREWELL);
    }
    socket.shutdown(Shutdown::Both);
}
