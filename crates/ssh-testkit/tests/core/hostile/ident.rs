//! Identification lines: rows V.

use ssh_proto::error::{Error, IdentificationError, PeerMisbehaved};
use ssh_proto::message::{Disconnect, DisconnectReason, Wire};
use ssh_proto::{Client, Role, Server};
use ssh_testkit::raw::{Bench, Stage, Subject, in_every_way};

const BAD_VERSION: DisconnectReason = DisconnectReason::PROTOCOL_VERSION_NOT_SUPPORTED;

/// A subject that has been sent these bytes.
fn told<P: Subject>(bytes: &[u8]) -> Bench<P> {
    let mut bench = Bench::<P>::at(Stage::Line, true);
    bench.raw.bytes(bytes);
    bench.turn();
    bench
}

/// It gave up without a word, because the other side may not speak SSH at all.
#[track_caller]
fn silent<P: Subject>(bytes: &[u8], why: IdentificationError) {
    let mut bench = told::<P>(bytes);
    let what = format!("{:.40?}", String::from_utf8_lossy(bytes));
    let error = bench.error();
    let wrong = matches!(
        error,
        Some(Error::PeerMisbehaved(PeerMisbehaved::Identification(e))) if *e == why
    );
    assert!(wrong, "{what}: {error:?}");
    // KEXINIT may have gone, because a client does not wait for the line.
    assert!(!bench.raw.numbers(0).contains(&1), "{what}");
    bench.closed(&what);
}

/// The connection comes up although, or because, the line was this.
fn comes_up<P: Subject>(line: &[u8], end: &[u8]) -> Bench<P> {
    let mut bench = Bench::<P>::at(Stage::Line, true);
    bench.raw.line = line.to_vec();
    bench.raw.bytes(&[line, end].concat());
    bench.turn();
    for stage in &Stage::ALL[1..6] {
        bench.proper(*stage);
        bench.turn();
    }
    let what = String::from_utf8_lossy(line);
    assert!(
        bench.peer.is_authenticated(),
        "{what}: {:?}",
        bench.seen.end
    );
    bench
}

both_roles! {
    v3_lines_that_are_none_or_too_long => lines;
    v4_the_line_is_hashed_byte_for_byte => hashed;
    v6_j3_a_line_is_shown_escaped_and_its_bytes_are_there => shown;
}

#[test]
fn v1_a_client_that_says_anything_else_first_is_cut_off() {
    in_every_way(|| {
        let not_first = IdentificationError::NotFirst;
        let id = "SSH-2.0-x\r\n";
        for first in [
            "hello\r\n",
            "\r\n",
            "\n",
            "GET / HTTP/1.1\r\n",
            "SSJ",
            " SSH-2.0-x",
        ] {
            silent::<Server>(format!("{first}{id}").as_bytes(), not_first);
        }
        // At the first byte that cannot belong to it, whatever would follow.
        silent::<Server>(b"x", not_first);
        // 255 bytes are looked at, and not one more is waited for.
        let mut line = b"SSH-2.0-".to_vec();
        line.resize(254, b'x');
        told::<Server>(&line).lives(&"it may still end");
        line.push(b'x');
        silent::<Server>(&line, IdentificationError::TooLong);
    });
}

#[test]
fn v2_so_much_may_come_before_a_servers_line_and_no_more() {
    in_every_way(|| {
        let with = |before: &str| format!("{before}SSH-2.0-raw\r\n");
        let many = IdentificationError::TooManyLines;
        for (before, lines) in [
            ("n\n".repeat(1024), 1024),
            ("\r\n".repeat(1024), 1024),
            ("n".repeat(8191) + "\n", 1),
            (("n".repeat(8191) + "\n").repeat(8), 8),
        ] {
            let mut bench = told::<Client>(with(&before).as_bytes());
            bench.lives(&lines);
            let log = bench.seen.log.0.iter();
            let notices = log.filter(|l| l.starts_with("Transport(Notice")).count();
            assert_eq!(notices, lines);
            assert!(bench.seen.log.has("Transport(Identified"));
        }
        silent::<Client>(with(&"n\n".repeat(1025)).as_bytes(), many);
        silent::<Client>("\n".repeat(2000).as_bytes(), many);
        let long = "n".repeat(8192);
        silent::<Client>(long.as_bytes(), IdentificationError::LineTooLong);
        let kilobytes = ("n".repeat(1023) + "\n").repeat(64);
        told::<Client>(kilobytes.as_bytes()).lives(&"64 KiB");
        silent::<Client>(with(&(kilobytes + "n")).as_bytes(), many);
    });
}

fn lines<P: Subject>() {
    let exactly = |n: usize| {
        let mut line = b"SSH-2.0-".to_vec();
        line.resize(n - 2, b'x');
        line
    };
    comes_up::<P>(&exactly(255), b"\r\n");
    comes_up::<P>(b"SSH-2.0-x", b"\n");
    let malformed = IdentificationError::Malformed;
    let crlf = |line: &[u8]| [line, b"\r\n"].concat();
    silent::<P>(&crlf(&exactly(256)), IdentificationError::TooLong);
    silent::<P>(b"SSH-2.0-a\0b\r\n", malformed);
    silent::<P>(b"SSH-2.0-\r\n", malformed);
    silent::<P>(b"SSH-2.0-\n", malformed);
    // Bytes beyond ASCII are nobody's business but the hash's.
    comes_up::<P>(b"SSH-2.0-caf\xc3\xa9\xff", b"\r\n");
    let mut others = vec!["SSH-1.5-x", "SSH-3.0-x", "SSH-2.1-x", "SSH-2.0", "SSH--"];
    if P::ROLE == Role::Client {
        comes_up::<P>(b"SSH-1.99-x", b"\r\n");
    } else {
        others.push("SSH-1.99-x");
        silent::<P>(b"ssh-2.0-x\r\n", IdentificationError::NotFirst);
    }
    for other in others {
        let mut bench = told::<P>(&crlf(other.as_bytes()));
        let version = |e: &Error| matches!(e, Error::PeerMisbehaved(PeerMisbehaved::Version));
        assert!(bench.error().is_some_and(version), "{other}");
        let last = bench.raw.got.last().expect("a message");
        let bye = Disconnect::decode(last).expect("a goodbye");
        assert_eq!(bye.reason_code, BAD_VERSION);
        bench.closed(&other);
    }
}

/// The other side computes the hash on its own: one byte more or less, and nobody agrees.
fn hashed<P: Subject>() {
    for line in [
        &b"SSH-2.0-x comment"[..],
        b"SSH-2.0-x  two  spaces  ",
        b"SSH-2.0-x\t\x0b ",
        b"SSH-2.0-x-y-z -- ",
        b"SSH-2.0-x \r",
    ] {
        for end in [&b"\r\n"[..], b"\n"] {
            if line.ends_with(b"\r") && end == b"\n" {
                continue; // That is the end of the line.
            }
            let bench = comes_up::<P>(line, end);
            let seen = bench.peer.peer_identification().expect("it came");
            assert_eq!(seen.as_bytes(), line);
        }
    }
}

fn shown<P: Subject>() {
    let line = "SSH-2.0-x\x1b]0;owned\x07 \u{202e}evil\u{2066} \x7f\u{9b}2J".as_bytes();
    let bench = comes_up::<P>(line, b"\r\n");
    let seen = bench.peer.peer_identification().expect("it came");
    assert_eq!(seen.as_bytes(), line, "as it came, for those who ask");
    for text in [
        seen.to_string(),
        format!("{seen:?}"),
        seen.software().to_string(),
        bench.seen.log.0.concat(),
    ] {
        let harmless = |c: char| !c.is_control() && !('\u{2000}'..'\u{2070}').contains(&c);
        assert!(text.chars().all(harmless), "{text}");
    }
    if P::ROLE == Role::Client {
        let notice = b"\x1b[2Jroot logged in \xff\xe2\x80\xae\r\nSSH-2.0-raw\r\n";
        let bench = told::<P>(notice);
        let shown = bench.seen.log.0.concat();
        assert!(shown.contains("Notice"), "{shown}");
        assert!(
            !shown.contains('\x1b') && !shown.contains('\u{202e}'),
            "{shown}"
        );
    }
}
