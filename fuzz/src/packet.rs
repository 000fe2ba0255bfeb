//! Packets: sealing, opening, and what becomes of those that were altered on the way.

use arbitrary::{Result, Unstructured};
use ssh_proto::error::Error;
use ssh_proto::fuzzing::{self, Front, Packets};

/// The limit on the size of a packet: so low that what does not verify can be thrown away to its end.
const MAX: usize = 1000;

/// A mode, payloads, and one alteration of the stream that they are sealed into. Every packet
/// before the alteration opens to what was sealed; with keys, nothing at or behind it does, and where
/// nothing vouches for a length, as much is taken as the largest packet has, whatever was altered. A
/// packet that is not all there is left exactly as it was.
pub fn packets(data: &[u8]) {
    let _ = run(&mut Unstructured::new(data));
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let mode = usize::from(u.arbitrary::<u16>()?) % Packets::modes();
    let Some(mut packets) = Packets::new(mode, u.arbitrary()?) else {
        panic!("no mode {mode}");
    };
    // Bytes of the peer's own, where nothing is sealed yet or by somebody without the keys.
    if u.ratio(1, 4)? {
        let mut stream = u.bytes(u.len())?.to_vec();
        let all = open_all(&mut packets, &mut stream, usize::MAX);
        assert!(mode == 0 || all.opened.is_empty(), "forged");
        return Ok(());
    }
    let mut payloads = Vec::new();
    let mut stream = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..=u.int_in_range(0..=3)? {
        let mut payload = vec![u.arbitrary::<u8>()?];
        let n = usize::from(u.arbitrary::<u8>()?).min(u.len());
        payload.extend_from_slice(u.bytes(n)?);
        let Ok(sealed) = packets.seal(&payload) else {
            panic!("mode {mode}: a small payload is not sealed");
        };
        stream.extend_from_slice(&sealed);
        ends.push(stream.len());
        payloads.push(payload);
    }
    let chunk = 1 + usize::from(u.arbitrary::<u8>()?);
    let place = usize::from(u.arbitrary::<u16>()?) % stream.len();
    let flip: u8 = u.arbitrary()?;
    stream[place] ^= flip;
    let before = match flip {
        0 => payloads.len(),
        _ => ends.iter().filter(|end| **end <= place).count(),
    };
    if flip != 0 {
        // Enough for any length, and for all that is thrown away.
        stream.resize(stream.len() + MAX, flip);
    }
    let All {
        opened,
        error,
        taken,
    } = open_all(&mut packets, &mut stream, chunk);
    assert!(opened.len() >= before, "mode {mode}: {error:?}");
    assert_eq!(opened[..before], payloads[..before]);
    assert!(!matches!(error, Some(Error::Internal(_))), "{error:?}");
    if mode > 0 {
        assert_eq!(opened.len(), before, "mode {mode}: altered and accepted");
        assert_eq!(error.is_some(), flip != 0, "mode {mode}: {error:?}");
    }
    if flip == 0 {
        assert!(error.is_none(), "mode {mode}: {error:?}");
    } else if is_encrypt_and_mac(mode) {
        assert!(matches!(error, Some(Error::Integrity)), "{error:?}");
        let begin = ends[..before].last().copied().unwrap_or(0);
        assert_eq!(taken, begin + MAX, "mode {mode}");
    }
    Ok(())
}

/// Whether nothing vouches for a length before the whole packet is there.
fn is_encrypt_and_mac(mode: usize) -> bool {
    let modes = fuzzing::modes();
    let mode = mode.checked_sub(1).and_then(|mode| modes.get(mode));
    mode.is_some_and(|(_, mac)| mac.is_some_and(|mac| !mac.is_etm()))
}

/// What came of a stream.
struct All {
    opened: Vec<Vec<u8>>,
    /// What it ended with.
    error: Option<Error>,
    /// How much of it was used then.
    taken: usize,
}

/// Opens what can be opened of `stream`, which arrives in pieces of `chunk` bytes.
fn open_all(packets: &mut Packets, stream: &mut [u8], chunk: usize) -> All {
    let mut opened = Vec::new();
    let mut discarded = false;
    let (mut start, mut end) = (0, 0);
    while end < stream.len() {
        end = end.saturating_add(chunk).min(stream.len());
        loop {
            let there = stream[start..end].to_vec();
            match packets.open(&mut stream[start..end], MAX) {
                Ok(Front::Missing(n)) => {
                    assert!(n > 0 && there.len() + n <= MAX, "{n} bytes missing");
                    assert!(!discarded || there.is_empty(), "discarded and left");
                    assert_eq!(stream[start..end], there, "incomplete, and written to");
                    break;
                }
                Ok(Front::Discarded(n)) => {
                    assert_eq!(n, there.len());
                    let wiped = stream[start..end].iter().all(|b| *b == 0);
                    assert!(wiped, "unverified text");
                    discarded = true;
                    start += n;
                    break;
                }
                Ok(Front::Opened(payload, n)) => {
                    assert!(!discarded, "opened behind what was forged");
                    assert!(!payload.is_empty() && payload.len() < n && n <= there.len());
                    assert_eq!(stream[start + n..end], there[n..], "written behind the end");
                    start += n;
                    opened.push(payload);
                }
                Err(error) => {
                    let wiped = stream[start..end].iter().take(16).all(|b| *b == 0);
                    assert!(
                        wiped || discarded || !matches!(error, Error::Integrity),
                        "unverified text"
                    );
                    return All {
                        opened,
                        error: Some(error),
                        taken: packets.taken(),
                    };
                }
            }
        }
    }
    All {
        opened,
        error: None,
        taken: packets.taken(),
    }
}
