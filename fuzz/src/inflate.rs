//! Compressed packets of a peer, against an implementation of others (zlib-rs).
//!
//! ```text
//!   | limit | packets, each behind its length in two bytes |
//! ```

use flate2::{Decompress, FlushDecompress, Status};
use ssh_proto::error::{CompressionError, Error, LimitExceeded};
use ssh_proto::fuzzing::Inflating;

/// What a packet may inflate to, by the lowest two bits of the first byte.
const LIMITS: [usize; 4] = [1, 1000, 35_000, 256 * 1024];
/// Some packets are enough to refer back and forth.
const MAX_PACKETS: usize = 16;

/// Packets inflate to what they inflate to elsewhere, and to no more than the limit; what is refused
/// elsewhere is refused here, but for blocks without an end, which zlib looks for and nobody reaches.
pub fn inflate(data: &[u8]) {
    let Some((first, mut rest)) = data.split_first() else {
        return;
    };
    let limit = LIMITS[usize::from(first & 3)];
    // Bit 2: before authentication, where a packet may have more blocks.
    let authenticated = first & 4 == 0;
    let mut here = Inflating::new();
    let mut there = Decompress::new(true);
    let mut stream = Vec::new();
    for _ in 0..MAX_PACKETS {
        let Some((length, behind)) = rest.split_first_chunk() else {
            return;
        };
        let n = usize::from(u16::from_le_bytes(*length)).min(behind.len());
        let (packed, behind) = behind.split_at(n);
        rest = behind;
        stream.extend_from_slice(packed);
        match packet(&mut here, &mut there, packed, limit, authenticated) {
            Outcome::Goes => {}
            Outcome::Over => return,
            Outcome::DamagedOnlyHere => return assert!(is_doomed(&stream), "not damaged there"),
        }
    }
}

enum Outcome {
    /// It goes on behind this packet.
    Goes,
    Over,
    /// Something is wrong that is not noticed elsewhere yet.
    DamagedOnlyHere,
}

fn packet(
    here: &mut Inflating,
    there: &mut Decompress,
    packed: &[u8],
    limit: usize,
    authenticated: bool,
) -> Outcome {
    let (theirs, why) = inflated(there, packed, limit);
    match here.unpack(packed, limit, authenticated) {
        Ok(ours) => {
            assert!(ours.len() <= limit);
            match why {
                None => assert!(
                    ours == theirs,
                    "{} here, {} there",
                    ours.len(),
                    theirs.len()
                ),
                Some(why) if why.contains("missing end-of-block") => return Outcome::Over,
                Some(why) => panic!("refused there: {why}"),
            }
            Outcome::Goes
        }
        Err(Error::Limit(LimitExceeded::Inflated(n))) => {
            assert_eq!(n as usize, limit);
            // Elsewhere there is more as well, whatever stands behind it.
            assert!(theirs.len() > limit || why.is_some(), "{}", theirs.len());
            Outcome::Over
        }
        Err(Error::Compression(CompressionError::TooManyBlocks)) => {
            // Each has ten bits at the least.
            let least = if authenticated { 8 } else { 256 };
            assert!(packed.len() * 8 > least * 10 - 16);
            Outcome::Over
        }
        Err(Error::Compression(CompressionError::Ended)) => {
            assert!(why.is_some(), "it does not end there");
            Outcome::Over
        }
        Err(Error::Compression(CompressionError::Damaged)) => {
            if why.is_some() || theirs.len() > limit {
                Outcome::Over
            } else {
                Outcome::DamagedOnlyHere
            }
        }
        Err(error) => panic!("{error}"),
    }
}

/// Whether whatever follows is refused elsewhere too: zlib looks at codes that nothing can be decoded
/// with only when they are used.
fn is_doomed(stream: &[u8]) -> bool {
    [0x00, 0xff, 0x55, 0xaa, 0x92, 0x6d].iter().all(|more| {
        let bytes = [stream, &[*more; 600]].concat();
        let mut room = vec![0; 1 << 20];
        Decompress::new(true)
            .decompress(&bytes, &mut room, FlushDecompress::Sync)
            .is_err()
    })
}

/// What a packet inflates to elsewhere, one byte more than the limit at the most, and why it goes on no
/// further.
fn inflated(there: &mut Decompress, packed: &[u8], limit: usize) -> (Vec<u8>, Option<String>) {
    let mut room = vec![0; limit + 1];
    let before = there.total_out();
    let status = there.decompress(packed, &mut room, FlushDecompress::Sync);
    room.truncate(usize::try_from(there.total_out() - before).unwrap_or(0));
    let why = match status {
        Ok(Status::StreamEnd) => Some("the end".into()),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    (room, why)
}
