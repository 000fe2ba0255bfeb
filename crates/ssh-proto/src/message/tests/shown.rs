//! What `Debug` shows of a message, and what it must not show.

use alloc::{format, string::String, vec::Vec};

use super::samples::samples;
use crate::message::*;

fn shown<'a>(message: impl Into<Message<'a>>) -> String {
    format!("{:?}", message.into())
}

#[test]
fn secrets_are_not_shown() {
    let request = |method| UserauthRequest {
        user_name: b"me",
        service_name: "s",
        method,
    };
    let plain = shown(request(AuthMethod::Password {
        password: b"hunter2",
        new_password: None,
    }));
    let method = "Password { password: .., new_password: None }";
    assert!(plain.ends_with(&format!("method: {method} }}")), "{plain}");

    for sample in samples() {
        let text = format!("{:?} {:#?}", sample.message, sample.message);
        for secret in ["hunter", "6d757575", "c00k1e"] {
            assert!(!text.contains(secret), "{text}");
            // Nor as a list of bytes.
            let bytes: Vec<_> = secret.bytes().map(|b| format!("{b}")).collect();
            assert!(
                !text
                    .replace(char::is_whitespace, "")
                    .contains(&bytes.join(",")),
                "{text}"
            );
        }
    }
}

#[test]
fn a_password_shows_not_even_its_length() {
    let with = |password| {
        let method = AuthMethod::Password {
            password,
            new_password: Some(password),
        };
        shown(UserauthRequest {
            user_name: b"me",
            service_name: "s",
            method,
        })
    };
    assert_eq!(with(b"a"), with(b"a long one"));
    let with = |response| {
        shown(UserauthInfoResponse {
            responses: List::new(&[Response(response)]),
        })
    };
    assert_eq!(with(b"a"), with(b"a long one"));
}

#[test]
fn p14_j2_text_of_the_peer_is_shown_escaped_and_cut() {
    let text = shown(Disconnect {
        reason_code: DisconnectReason::BY_APPLICATION,
        description: b"\x1b[2Jbye\n\xff",
        language_tag: b"",
    });
    let expected = r#"Disconnect { reason_code: DisconnectReason(SSH_DISCONNECT_BY_APPLICATION), description: "\u{1b}[2Jbye\n\xff", language_tag: "" }"#;
    assert_eq!(text, expected);

    let long = [b'x'; 256 * 1024];
    assert!(
        shown(UserauthBanner {
            message: &long,
            language_tag: b""
        })
        .len()
            < 300
    );
    assert!(
        shown(ChannelData {
            recipient_channel: 1,
            data: &long
        })
        .len()
            < 100
    );
}

#[test]
fn lists_are_shown_item_by_item_and_what_is_binary_by_its_length() {
    let responses = List::new(&[Response(b"hunter2"), Response(b"")]);
    assert_eq!(
        shown(UserauthInfoResponse { responses }),
        "UserauthInfoResponse { responses: [Response(..), Response(..)] }"
    );
    let mut items = responses.iter();
    items.next();
    assert_eq!(format!("{items:?}"), "[Response(..)]");
    assert_eq!(shown(Ping { data: b"abc" }), "Ping { data: [3 bytes] }");
}

#[test]
fn terminal_modes_are_shown_by_name() {
    let modes = TerminalModes::from_encoded(b"\x35\0\0\0\x01\x9f\0\0\0\x02").unwrap();
    assert_eq!(
        format!("{modes:?}"),
        "{TerminalMode(ECHO): 1, TerminalMode(159): 2}"
    );
    let built = TerminalModesBuf::from_iter(modes);
    assert_eq!(format!("{built:?}"), format!("{modes:?}"));
}
