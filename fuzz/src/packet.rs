//! Packets: sealing, opening, and what becomes of those that were altered on the way.

use arbitrary::{Result, Unstructured};
use ssh_proto::error::Error;
use ssh_proto::fuzzing::{Front, Packets};

/// The limit on the size of a packet.
const MAX: usize = 35_000;

/// A mode, payloads, and one alteration of the stream that they are sealed into. Every packet
/// before the alteration opens to what was sealed; with keys, nothing at or behind it does. A
/// packet that is not all there is left exactly as it was.
pub fn packets(data: &[u8]) {
    let _ = run(&mut Unstructured::new(data));
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let mode = usize::from(u.arbitrary::<u8>()?) % Packets::modes();
    let Some(mut packets) = Packets::new(mode, u.arbitrary()?) else {
        panic!("no mode {mode}");
    };
    // Bytes of the peer's own, where nothing is sealed yet or by somebody without the keys.
    if u.ratio(1, 4)? {
        let mut stream = u.bytes(u.len())?.to_vec();
        let opened = open_all(&mut packets, &mut stream, usize::MAX).0;
        assert!(mode == 0 || opened.is_empty(), "forged");
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
    let (opened, error) = open_all(&mut packets, &mut stream, chunk);
    assert!(opened.len() >= before, "mode {mode}: {error:?}");
    assert_eq!(opened[..before], payloads[..before]);
    assert!(!matches!(error, Some(Error::Internal(_))), "{error:?}");
    if mode > 0 {
        assert_eq!(opened.len(), before, "mode {mode}: altered and accepted");
    }
    if flip == 0 {
        assert!(error.is_none(), "mode {mode}: {error:?}");
    }
    Ok(())
}

/// Opens what can be opened of `stream`, which arrives in pieces of `chunk` bytes.
fn open_all(
    packets: &mut Packets,
    stream: &mut [u8],
    chunk: usize,
) -> (Vec<Vec<u8>>, Option<Error>) {
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
                    return (opened, Some(error));
                }
            }
        }
    }
    (opened, None)
}
