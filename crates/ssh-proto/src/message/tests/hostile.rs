//! Messages that a peer has no business to send.

use alloc::{format, vec, vec::Vec};

use super::samples::samples;
use super::takes_the_rest;
use crate::message::*;
use crate::wire::WireError;

fn error_of(payload: &[u8], context: Context) -> DecodeErrorKind {
    Message::decode(payload, context).unwrap_err().kind()
}

const TRUNCATED: DecodeErrorKind = DecodeErrorKind::Malformed(WireError::Truncated);
const TRAILING: DecodeErrorKind = DecodeErrorKind::Malformed(WireError::TrailingBytes);
const INTERACTIVE: Context = Context::auth(AuthMessages::KeyboardInteractive);

#[test]
fn p10_an_empty_payload_is_refused() {
    assert_eq!(error_of(&[], Context::NONE), DecodeErrorKind::Empty);
    let error = decode::<NewKeys>(&[]).unwrap_err();
    assert_eq!((error.number(), error.name()), (None, None));
    assert_eq!(format!("{error}"), "a payload without a message number");
}

#[test]
fn p11_one_or_a_thousand_bytes_too_many_are_refused() {
    for sample in samples().iter().filter(|s| !takes_the_rest(&s.message)) {
        for more in [1, 1000] {
            let mut payload = sample.payload();
            payload.resize(payload.len() + more, 0);
            assert_eq!(
                error_of(&payload, sample.context()),
                TRAILING,
                "{:?}",
                sample.message
            );
        }
    }
}

#[test]
fn p12_every_message_cut_at_every_byte_is_refused() {
    for sample in samples() {
        let payload = sample.payload();
        // What takes the rest is complete without it.
        let cuts = match takes_the_rest(&sample.message) {
            true => sample.fields[..sample.fields.len() - 1].concat().len(),
            false => payload.len(),
        };
        // The host keys up to the last one are a shorter list.
        let lists_keys = sample.message.number() == 80 && sample.fields.len() == 5;
        for cut in 1..cuts {
            if !lists_keys || cut < sample.fields[..3].concat().len() {
                let error = error_of(&payload[..cut], sample.context());
                assert_eq!(error, TRUNCATED, "{:?} at {cut}", sample.message);
            }
        }
    }
}

#[test]
fn p13_every_length_past_the_end_is_refused() {
    for sample in samples() {
        for (i, field) in sample.fields.iter().enumerate() {
            let Some((length, content)) = field.split_first_chunk::<4>() else {
                continue;
            };
            if usize::try_from(u32::from_be_bytes(*length)) != Ok(content.len())
                || matches!(sample.message, Message::RequestSuccess(_))
            {
                continue;
            }
            let (before, after) = (sample.fields[..i].concat(), sample.fields[i + 1..].concat());
            let present = u32::try_from(content.len() + after.len()).unwrap();
            for length in [u32::MAX, u32::MAX - 3, present + 1] {
                let payload = [&before, &length.to_be_bytes()[..], content, &after].concat();
                let error = error_of(&payload, sample.context());
                assert_eq!(
                    error, TRUNCATED,
                    "{:?} field {i} := {length}",
                    sample.message
                );
            }
        }
    }
}

/// Count, then `items`, in the messages that have a count.
fn counted(count: u32, items: &[u8]) -> [(Vec<u8>, Context); 3] {
    let count = count.to_be_bytes();
    [
        ([b"\x07", &count[..], items].concat(), Context::NONE),
        (
            [&[0x3c; 1][..], &[0; 12], &count, items].concat(),
            INTERACTIVE,
        ),
        ([b"\x3d", &count[..], items].concat(), INTERACTIVE),
    ]
}

#[test]
fn c6_a6_c4_a_count_without_the_items_is_refused() {
    for count in [1, 2, u32::MAX] {
        for (payload, context) in counted(count, b"") {
            assert_eq!(error_of(&payload, context), TRUNCATED);
        }
        for (payload, context) in counted(count.max(2), b"\0\0\0\x01a\0\0\0") {
            assert_eq!(error_of(&payload, context), TRUNCATED);
        }
    }
    for (payload, context) in counted(0, b"") {
        assert!(Message::decode(&payload, context).is_ok());
    }
    for (payload, context) in counted(0, b"\0\0\0\x01a\0\0\0\0") {
        assert_eq!(error_of(&payload, context), TRAILING);
    }
}

#[test]
fn c6_the_same_extension_twice_keeps_its_order() {
    let payload = b"\x07\0\0\0\x02\0\0\0\x01a\0\0\0\x011\0\0\0\x01a\0\0\0\x012";
    let info: ExtInfo<'_> = decode(payload).unwrap();
    assert_eq!(info.extensions.len(), 2);
    assert_eq!(info.values("a").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(info.values("b").next(), None);
}

#[test]
fn names_must_be_printable_ascii_of_1_to_64_bytes() {
    let long = [b'x'; 65];
    for bad in [
        &b""[..],
        b"a,b",
        b"a,",
        b"a b",
        b"a\0",
        b"\xff",
        b"\x1b[31m",
        &long,
    ] {
        let length = u8::try_from(bad.len()).unwrap();
        let payload = [&b"\x05\0\0\0"[..], &[length], bad].concat();
        let error = error_of(&payload, Context::NONE);
        assert_eq!(
            error,
            DecodeErrorKind::Malformed(WireError::NameInvalid),
            "{bad:?}"
        );
    }
    let longest = [&b"\x05\0\0\0\x40"[..], &long[1..]].concat();
    assert!(Message::decode(&longest, Context::NONE).is_ok());
}

/// An unknown request may carry anything; a known one may not.
#[test]
fn a_known_request_with_wrong_fields_is_not_an_unknown_one() {
    let unknown = b"\x62\0\0\0\x01\0\0\0\x05shelL\x01\xff\xff";
    assert!(decode::<ChannelRequest<'_>>(unknown).is_ok());
    let known = b"\x62\0\0\0\x01\0\0\0\x05shell\x01\xff\xff";
    assert_eq!(error_of(known, Context::NONE), TRAILING);
    let exec = b"\x62\0\0\0\x01\0\0\0\x04exec\x01\xff\xff";
    assert_eq!(error_of(exec, Context::NONE), TRUNCATED);
    let open = b"\x5a\0\0\0\x07session\0\0\0\x01\0\0\0\x01\0\0\0\x01?";
    assert_eq!(error_of(open, Context::NONE), TRAILING);
    let auth = b"\x32\0\0\0\x01u\0\0\0\x01s\0\0\0\x04none\0";
    assert_eq!(error_of(auth, Context::NONE), TRAILING);
}

#[test]
fn another_message_than_the_expected_one_is_refused() {
    let error = decode::<NewKeys>(b"\x14").unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::Unexpected { expected: 21 });
    assert_eq!(
        format!("{error}"),
        "SSH_MSG_KEXINIT where SSH_MSG_NEWKEYS was expected"
    );
    let error = decode::<KexEcdhInit<'_>>(b"\xfa").unwrap_err();
    assert_eq!(
        format!("{error}"),
        "message 250 where message 30 was expected"
    );
}

#[test]
fn k2_a_negative_or_padded_mpint_is_refused() {
    let context = Context::kex(KexMessages::Dh);
    let negative = error_of(b"\x1e\0\0\0\x01\x80", context);
    assert_eq!(
        negative,
        DecodeErrorKind::Malformed(WireError::MpintNegative)
    );
    let padded = Message::decode(b"\x1e\0\0\0\x02\0\x01", context).unwrap_err();
    assert_eq!(
        padded.kind(),
        DecodeErrorKind::Malformed(WireError::MpintNotMinimal)
    );
    assert_eq!(padded.name(), Some("SSH_MSG_KEXDH_INIT"));
    assert!(format!("{padded}").starts_with("SSH_MSG_KEXDH_INIT: "));
}

#[test]
fn any_nonzero_boolean_is_true_and_is_written_as_one() {
    let failure: UserauthFailure<'_> = decode(b"\x33\0\0\0\0\x80").unwrap();
    assert!(failure.partial_success);
    let mut out = vec![];
    failure.encode(&mut out);
    assert_eq!(out, b"\x33\0\0\0\0\x01");
}
