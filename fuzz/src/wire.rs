//! Data types of RFC 4251 section 5, and the values that are made of them alone.

use ssh_proto::escape::Escaped;
use ssh_proto::key::{PublicKey, Signature};
use ssh_proto::message::{TerminalModes, TerminalModesBuf};
use ssh_proto::wire::{Mpint, NameList, Reader, Sink, WireError};

/// A sequence of (kind, value): what is read is written again as the same bytes, and what cannot
/// be read consumes nothing.
pub fn wire(data: &[u8]) {
    let mut r = Reader::new(data);
    while let Ok(kind) = r.u8() {
        let before = r.clone().rest();
        let mut again = Vec::new();
        let read = value(kind, &mut r, &mut again);
        let consumed = before.len() - r.remaining();
        match read {
            Ok(()) if kind % 10 == 1 => assert_eq!(consumed, 1, "a boolean has many forms"),
            Ok(()) => assert_eq!(again, before[..consumed], "kind {}", kind % 10),
            Err(_) => {
                assert_eq!(consumed, 0, "a field that is not there was consumed");
                return;
            }
        }
    }
}

fn value(kind: u8, r: &mut Reader<'_>, again: &mut Vec<u8>) -> Result<(), WireError> {
    match kind % 10 {
        0 => again.put_u8(r.u8()?),
        1 => again.put_boolean(r.boolean()?),
        2 => again.put_u32(r.u32()?),
        3 => again.put_u64(r.u64()?),
        4 => again.put_string(r.string()?),
        5 => {
            let mpint = r.mpint()?;
            let magnitude = mpint.as_unsigned();
            assert_ne!(magnitude.first(), Some(&0));
            assert_eq!(mpint.bits().div_ceil(8), magnitude.len());
            assert_eq!(Mpint::from_unsigned(magnitude), mpint);
            again.put_mpint(mpint);
        }
        6 => {
            let list = r.name_list()?;
            let names: Vec<&str> = list.iter().collect();
            assert!(names.iter().all(|name| list.contains(name)));
            assert_eq!(list.first(), names.first().copied());
            assert_eq!(NameList::new(list.as_str()), Ok(list));
            again.put_string(list.as_str().as_bytes());
        }
        7 => {
            let bytes = r.string()?;
            if let Ok(modes) = TerminalModes::from_encoded(bytes) {
                let mut buf = TerminalModesBuf::new();
                for (mode, value) in modes.iter() {
                    buf.push(mode, value);
                    assert!(modes.value(mode).is_some());
                }
                assert!(buf.as_modes().iter().eq(modes.iter()));
            }
            again.put_string(bytes);
        }
        8 => {
            let bytes = r.string()?;
            if let Ok(key) = PublicKey::from_blob(bytes) {
                assert_eq!(key.blob(), bytes, "a key has one form");
                let fingerprint = key.fingerprint();
                assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
            }
            if let Ok(signature) = Signature::from_blob(bytes) {
                assert_eq!(signature.to_blob(), bytes, "a signature has one form");
            }
            again.put_string(bytes);
        }
        _ => {
            let bytes = r.string()?;
            let shown = Escaped(bytes).to_string();
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            again.put_string(bytes);
        }
    }
    Ok(())
}
