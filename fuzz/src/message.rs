//! Messages: decoding, encoding, and that one is the inverse of the other.

use arbitrary::Unstructured;
use ssh_proto::message::{Context, Message, TABLE};
use ssh_proto::wire::Counter;

use crate::side::assert_debug_is_one_line;

/// A payload, decoded in every context. What is decoded is encoded as something that decodes to
/// the same message.
pub fn messages(data: &[u8]) {
    let number = data.first().copied();
    // A number with one meaning has it in every context, and one with several in that of each.
    let rows = TABLE.iter().filter(|row| Some(row.number) == number);
    let contexts = rows.map(|row| Context::from(row.needs));
    for context in contexts.chain([Context::NONE]) {
        let Ok(message) = Message::decode(data, context) else {
            continue;
        };
        assert_eq!(data.first(), Some(&message.number()));
        let again = encoded(&message);
        assert_eq!(Message::decode(&again, context), Ok(message));
        assert_debug_is_one_line(&message);
    }
}

/// A valid message made of the bytes: encoded and decoded it is the same, one byte less is none
/// unless its last field is as long as the packet, and one byte more never is.
pub fn message_arbitrary(data: &[u8]) {
    let Ok(message) = Unstructured::new(data).arbitrary::<Message<'_>>() else {
        return;
    };
    let context = Context::from(message.info().needs);
    let mut payload = encoded(&message);
    assert_eq!(Message::decode(&payload, context), Ok(message));
    let whole = payload.len();
    // One that is still valid is another message.
    if let Some((_, short)) = payload.split_last() {
        assert_ne!(Message::decode(short, context), Ok(message));
    }
    payload.push(0);
    assert_ne!(Message::decode(&payload, context), Ok(message));
    let mut counter = Counter::default();
    message.encode(&mut counter);
    assert_eq!(counter.len(), whole);
    assert_debug_is_one_line(&message);
}

fn encoded(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out);
    out
}
