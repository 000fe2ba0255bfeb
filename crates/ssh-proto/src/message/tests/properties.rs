//! Properties of all messages, over values made up from random bytes.

use alloc::{collections::BTreeSet, format, vec::Vec};

use arbitrary::Unstructured;
use proptest::prelude::*;

use super::takes_the_rest;
use crate::message::{Context, DecodeErrorKind, Message, TABLE};
use crate::wire::{Counter, WireError};

fn encoded(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}

/// Calls `check` with the message that `bytes` make; few bytes make no message.
fn with_message(bytes: &[u8], check: impl FnOnce(Message<'_>, Context)) {
    if let Ok(message) = Unstructured::new(bytes).arbitrary::<Message<'_>>() {
        check(message, Context::from(message.info().needs));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_encoded_is_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        with_message(&bytes, |message, context| {
            let payload = encoded(&message);
            assert_eq!(payload[0], message.number());
            assert_eq!(Message::decode(&payload, context), Ok(message));
            let mut counter = Counter::default();
            message.encode(&mut counter);
            assert_eq!(counter.len(), payload.len());
        });
    }

    #[test]
    fn p11_bytes_behind_the_last_field_are_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        more in proptest::collection::vec(any::<u8>(), 1..9),
    ) {
        with_message(&bytes, |message, context| {
            let mut payload = encoded(&message);
            payload.extend(&more);
            let decoded = Message::decode(&payload, context);
            if !takes_the_rest(&message) {
                let error = decoded.unwrap_err().kind();
                assert_eq!(error, DecodeErrorKind::Malformed(WireError::TrailingBytes));
            }
        });
    }

    #[test]
    fn p12_messages_cut_anywhere_are_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        with_message(&bytes, |message, context| {
            let payload = encoded(&message);
            for cut in 0..payload.len() {
                let decoded = Message::decode(&payload[..cut], context);
                assert!(decoded.is_err() || takes_the_rest(&message), "{message:?} at {cut}");
            }
        });
    }

    #[test]
    fn any_bytes_decode_or_fail_and_never_change_meaning(
        row in 0..TABLE.len(),
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let info = TABLE[row];
        let context = Context::from(info.needs);
        let mut payload = Vec::from([info.number]);
        payload.extend(&body);
        if let Ok(message) = Message::decode(&payload, context) {
            let again = encoded(&message);
            prop_assert_eq!(Message::decode(&again, context), Ok(message));
        }
    }

    /// A fuzzer that changes one byte of something valid gets further than one that guesses.
    #[test]
    fn any_byte_changed_decodes_or_fails_and_never_changes_meaning(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        place in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        with_message(&bytes, |message, context| {
            let mut payload = encoded(&message);
            let place = place.index(payload.len());
            payload[place] ^= flip;
            if let Ok(message) = Message::decode(&payload, context) {
                assert_eq!(Message::decode(&encoded(&message), context), Ok(message));
            }
        });
    }

    #[test]
    fn j3_debug_is_one_line_without_controls(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        with_message(&bytes, |message, _| {
            assert!(!format!("{message:?}").chars().any(char::is_control));
        });
    }
}

#[test]
fn every_message_is_made_up() {
    let mut seen = BTreeSet::new();
    let mut state: u64 = 1;
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..200)
            .map(|_| {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                (state >> 56) as u8
            })
            .collect();
        with_message(&bytes, |message, _| {
            seen.insert(message.name());
        });
    }
    assert_eq!(seen, TABLE.iter().map(|info| info.name).collect());
}
