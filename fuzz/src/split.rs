//! The same input, however it is split, gives the same events and the same output.
//!
//! ```text
//!   | what | config | n | n bytes of policy | a stream, or phase and operations |
//! ```

use ssh_proto::{Client, Server};

use crate::bytes::Header;
use crate::policy::Policy;
use crate::roles::Driven;
use crate::side::Side;
use crate::valid::Pair;

/// `what`: bit 0 is the role, bit 1 whether the stream is recorded from a session, the rest the
/// size of the pieces.
pub fn any_split(data: &[u8]) {
    let Some((what, data)) = data.split_first() else {
        return;
    };
    match what & 3 {
        0 => given::<Client>(*what, data),
        1 => given::<Server>(*what, data),
        2 => recorded::<Client, Server>(*what, data),
        _ => recorded::<Server, Client>(*what, data),
    }
}

fn given<P: Driven>(what: u8, data: &[u8]) {
    if let Some(header) = Header::read(data) {
        compare::<P>(what, &header, header.rest);
    }
}

fn recorded<V: Driven, A: Driven>(what: u8, data: &[u8]) {
    if let (Some(header), Some(pair)) = (Header::read(data), Pair::<V, A>::play(data)) {
        compare::<V>(what, &header, &pair.sent);
    }
}

fn compare<P: Driven>(what: u8, header: &Header<'_>, stream: &[u8]) {
    let whole = replay::<P>(header, stream, usize::MAX);
    let pieces = replay::<P>(header, stream, 1 + usize::from(what >> 2));
    assert_eq!(whole.0, pieces.0, "other events");
    assert_eq!(whole.1, pieces.1, "other output");
}

/// Output is collected only when nothing else is possible: when it is written decides when
/// channels are writable again.
fn replay<P: Driven>(
    header: &Header<'_>,
    stream: &[u8],
    chunk: usize,
) -> (Option<Vec<String>>, Vec<u8>) {
    let mut side = Side::<P>::new(header.config, Policy::new(header.policy));
    side.log = Some(Vec::new());
    side.chunk = chunk;
    side.chunk_grows = 64;
    side.arrive(stream);
    let mut output = Vec::new();
    for _ in 0..100 {
        side.drive();
        let more = side.take();
        if more.is_empty() {
            break;
        }
        output.extend_from_slice(&more);
    }
    (side.log, output)
}
