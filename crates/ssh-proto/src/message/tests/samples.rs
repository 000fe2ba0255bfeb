//! Every message as its fields on the wire, each field written by hand.
//!
//! A sample is a list of fields. In a `string` field the first four bytes are the length of the
//! rest; no number here looks like one, so that tests can find the strings.

use alloc::{collections::BTreeSet, vec::Vec};

use crate::message::*;
use crate::wire::{Mpint, NameList};

/// The payload in fields, and the message it must decode to.
pub(super) struct Sample {
    pub(super) fields: &'static [&'static [u8]],
    pub(super) message: Message<'static>,
}

impl Sample {
    pub(super) fn payload(&self) -> Vec<u8> {
        self.fields.concat()
    }

    pub(super) fn context(&self) -> Context {
        Context::from(self.message.info().needs)
    }
}

/// `message => its fields on the wire`
macro_rules! samples {
    ($($message:expr => [$($field:expr),+ $(,)?];)+) => {
        alloc::vec![$(Sample {
            fields: { const FIELDS: &[&[u8]] = &[$($field),+]; FIELDS },
            message: Message::from($message),
        }),+]
    };
}

fn names(text: &'static str) -> NameList<'static> {
    NameList::new(text).unwrap()
}

pub(super) fn samples() -> Vec<Sample> {
    let mut all = transport();
    all.extend(authentication());
    all.extend(connection());
    all.extend(channel_requests());
    all
}

fn transport() -> Vec<Sample> {
    samples! {
        Disconnect {
            reason_code: DisconnectReason::BY_APPLICATION,
            description: b"bye",
            language_tag: b"en",
        } => [b"\x01", b"\0\0\0\x0b", b"\0\0\0\x03bye", b"\0\0\0\x02en"];
        Ignore { data: b"x" } => [b"\x02", b"\0\0\0\x01x"];
        Unimplemented { packet_sequence_number: 0x01020304 } => [b"\x03", b"\x01\x02\x03\x04"];
        DebugMessage { always_display: true, message: b"hm", language_tag: b"" }
            => [b"\x04", b"\x01", b"\0\0\0\x02hm", b"\0\0\0\0"];
        ServiceRequest { service_name: "ssh-userauth" } => [b"\x05", b"\0\0\0\x0cssh-userauth"];
        ServiceAccept { service_name: "ssh-userauth" } => [b"\x06", b"\0\0\0\x0cssh-userauth"];
        ExtInfo {
            extensions: List::new(&[
                Extension { name: Extension::SERVER_SIG_ALGS, value: b"ssh-ed25519" },
                Extension { name: Extension::PING, value: b"0" },
            ]),
        } => [
            b"\x07", b"\0\0\0\x02",
            b"\0\0\0\x0fserver-sig-algs", b"\0\0\0\x0bssh-ed25519",
            b"\0\0\0\x10ping@openssh.com", b"\0\0\0\x010",
        ];
        NewCompress => [b"\x08"];
        KexInit {
            cookie: b"0123456789abcdef",
            kex_algorithms: names("curve25519-sha256,ext-info-c"),
            server_host_key_algorithms: names("ssh-ed25519"),
            encryption_algorithms_client_to_server: names("aes128-ctr"),
            encryption_algorithms_server_to_client: names("aes256-ctr"),
            mac_algorithms_client_to_server: names("hmac-sha2-256"),
            mac_algorithms_server_to_client: names("hmac-sha2-512"),
            compression_algorithms_client_to_server: names("none"),
            compression_algorithms_server_to_client: names("zlib,"),
            languages_client_to_server: names(""),
            languages_server_to_client: names("en"),
            first_kex_packet_follows: true,
            reserved: 0xff,
        } => [
            b"\x14", b"0123456789abcdef",
            b"\0\0\0\x1ccurve25519-sha256,ext-info-c", b"\0\0\0\x0bssh-ed25519",
            b"\0\0\0\x0aaes128-ctr", b"\0\0\0\x0aaes256-ctr",
            b"\0\0\0\x0dhmac-sha2-256", b"\0\0\0\x0dhmac-sha2-512",
            b"\0\0\0\x04none", b"\0\0\0\x05zlib,",
            b"\0\0\0\0", b"\0\0\0\x02en", b"\x01", b"\0\0\0\xff",
        ];
        NewKeys => [b"\x15"];
        KexdhInit { e: Mpint::from_unsigned(&[0x80]) } => [b"\x1e", b"\0\0\0\x02\0\x80"];
        KexdhReply { host_key: b"key", f: Mpint::from_unsigned(&[5]), signature: b"sig" }
            => [b"\x1f", b"\0\0\0\x03key", b"\0\0\0\x01\x05", b"\0\0\0\x03sig"];
        KexEcdhInit { client_public: b"Q_C" } => [b"\x1e", b"\0\0\0\x03Q_C"];
        KexEcdhReply { host_key: b"key", server_public: b"Q_S", signature: b"sig" }
            => [b"\x1f", b"\0\0\0\x03key", b"\0\0\0\x03Q_S", b"\0\0\0\x03sig"];
        KexDhGexRequestOld { n: 1024 } => [b"\x1e", b"\0\0\x04\0"];
        KexDhGexRequest { min: 2048, n: 3072, max: 8192 }
            => [b"\x22", b"\0\0\x08\0", b"\0\0\x0c\0", b"\0\0\x20\0"];
        KexDhGexGroup { p: Mpint::from_unsigned(&[0xfb]), g: Mpint::from_unsigned(&[2]) }
            => [b"\x1f", b"\0\0\0\x02\0\xfb", b"\0\0\0\x01\x02"];
        KexDhGexInit { e: Mpint::from_unsigned(&[0x80]) } => [b"\x20", b"\0\0\0\x02\0\x80"];
        KexDhGexReply { host_key: b"key", f: Mpint::from_unsigned(&[5]), signature: b"sig" }
            => [b"\x21", b"\0\0\0\x03key", b"\0\0\0\x01\x05", b"\0\0\0\x03sig"];
        KexRsaPubkey { host_key: b"key", transient_key: b"K_T" }
            => [b"\x1e", b"\0\0\0\x03key", b"\0\0\0\x03K_T"];
        KexRsaSecret { encrypted: b"oaep" } => [b"\x1f", b"\0\0\0\x04oaep"];
        KexRsaDone { signature: b"sig" } => [b"\x20", b"\0\0\0\x03sig"];
        Ping { data: b"p" } => [b"\xc0", b"\0\0\0\x01p"];
        Pong { data: b"p" } => [b"\xc1", b"\0\0\0\x01p"];
    }
}

fn authentication() -> Vec<Sample> {
    let request = |method| UserauthRequest {
        user_name: b"\xffuser",
        service_name: "ssh-connection",
        method,
    };
    const USER: &[u8] = b"\0\0\0\x05\xffuser";
    const SERVICE: &[u8] = b"\0\0\0\x0essh-connection";
    samples! {
        request(AuthMethod::None) => [b"\x32", USER, SERVICE, b"\0\0\0\x04none"];
        request(AuthMethod::Publickey { algorithm: "ssh-ed25519", key: b"blob", signature: None })
            => [
                b"\x32", USER, SERVICE, b"\0\0\0\x09publickey",
                b"\0", b"\0\0\0\x0bssh-ed25519", b"\0\0\0\x04blob",
            ];
        request(AuthMethod::Publickey {
            algorithm: "ssh-ed25519",
            key: b"blob",
            signature: Some(b"sig"),
        }) => [
            b"\x32", USER, SERVICE, b"\0\0\0\x09publickey",
            b"\x01", b"\0\0\0\x0bssh-ed25519", b"\0\0\0\x04blob", b"\0\0\0\x03sig",
        ];
        request(AuthMethod::PublickeyHostbound {
            algorithm: "ssh-ed25519",
            key: b"blob",
            host_key: b"host",
            signature: Some(b"sig"),
        }) => [
            b"\x32", USER, SERVICE, b"\0\0\0\x23publickey-hostbound-v00@openssh.com",
            b"\x01", b"\0\0\0\x0bssh-ed25519", b"\0\0\0\x04blob", b"\0\0\0\x04host",
            b"\0\0\0\x03sig",
        ];
        request(AuthMethod::Password { password: b"hunter2", new_password: None })
            => [b"\x32", USER, SERVICE, b"\0\0\0\x08password", b"\0", b"\0\0\0\x07hunter2"];
        request(AuthMethod::Password { password: b"hunter2", new_password: Some(b"hunter3") })
            => [
                b"\x32", USER, SERVICE, b"\0\0\0\x08password",
                b"\x01", b"\0\0\0\x07hunter2", b"\0\0\0\x07hunter3",
            ];
        request(AuthMethod::KeyboardInteractive { language_tag: b"", submethods: b"pam" })
            => [
                b"\x32", USER, SERVICE, b"\0\0\0\x14keyboard-interactive",
                b"\0\0\0\0", b"\0\0\0\x03pam",
            ];
        request(AuthMethod::Hostbased {
            algorithm: "ssh-ed25519",
            host_key: b"host",
            client_host_name: b"example.com.",
            client_user_name: b"me",
            signature: b"sig",
        }) => [
            b"\x32", USER, SERVICE, b"\0\0\0\x09hostbased",
            b"\0\0\0\x0bssh-ed25519", b"\0\0\0\x04host", b"\0\0\0\x0cexample.com.",
            b"\0\0\0\x02me", b"\0\0\0\x03sig",
        ];
        request(AuthMethod::Unknown { name: "x@example.com", data: b"\x01\x02" })
            => [b"\x32", USER, SERVICE, b"\0\0\0\x0dx@example.com", b"\x01\x02"];
        UserauthFailure {
            authentications_that_can_continue: names("publickey,password"),
            partial_success: false,
        } => [b"\x33", b"\0\0\0\x12publickey,password", b"\0"];
        UserauthSuccess => [b"\x34"];
        UserauthBanner { message: b"hi\r\n", language_tag: b"" }
            => [b"\x35", b"\0\0\0\x04hi\r\n", b"\0\0\0\0"];
        UserauthPkOk { algorithm: "ssh-ed25519", key: b"blob" }
            => [b"\x3c", b"\0\0\0\x0bssh-ed25519", b"\0\0\0\x04blob"];
        UserauthPasswdChangereq { prompt: b"New?", language_tag: b"" }
            => [b"\x3c", b"\0\0\0\x04New?", b"\0\0\0\0"];
        // RFC 4256 section 3.2, first example.
        UserauthInfoRequest {
            name: b"CRYPTOCard Authentication",
            instruction: b"The challenge is '14315716'",
            language_tag: b"en-US",
            prompts: List::new(&[Prompt { prompt: b"Response: ", echo: true }]),
        } => [
            b"\x3c", b"\0\0\0\x19CRYPTOCard Authentication",
            b"\0\0\0\x1bThe challenge is '14315716'", b"\0\0\0\x05en-US",
            b"\0\0\0\x01", b"\0\0\0\x0aResponse: ", b"\x01",
        ];
        UserauthInfoResponse { responses: List::new(&[Response(b"6d757575"), Response(b"")]) }
            => [b"\x3d", b"\0\0\0\x02", b"\0\0\0\x086d757575", b"\0\0\0\0"];
    }
}

fn connection() -> Vec<Sample> {
    let global = |want_reply, request| GlobalRequest {
        want_reply,
        request,
    };
    let open = |channel_type| ChannelOpen {
        sender_channel: 7,
        initial_window_size: 0x200000,
        maximum_packet_size: 0x8000,
        channel_type,
    };
    const NUMBERS: &[u8] = b"\0\0\0\x07\0\x20\0\0\0\0\x80\0";
    samples! {
        global(true, GlobalRequestType::TcpipForward {
            address_to_bind: b"localhost",
            port_number_to_bind: 0x1f90,
        }) => [
            b"\x50", b"\0\0\0\x0dtcpip-forward", b"\x01",
            b"\0\0\0\x09localhost", b"\0\0\x1f\x90",
        ];
        global(true, GlobalRequestType::CancelTcpipForward {
            address_to_bind: b"",
            port_number_to_bind: 22,
        }) => [
            b"\x50", b"\0\0\0\x14cancel-tcpip-forward", b"\x01", b"\0\0\0\0", b"\0\0\0\x16",
        ];
        global(true, GlobalRequestType::StreamlocalForward { socket_path: b"/s" }) => [
            b"\x50", b"\0\0\0\x1fstreamlocal-forward@openssh.com", b"\x01", b"\0\0\0\x02/s",
        ];
        global(false, GlobalRequestType::CancelStreamlocalForward { socket_path: b"/s" }) => [
            b"\x50", b"\0\0\0\x26cancel-streamlocal-forward@openssh.com", b"\0",
            b"\0\0\0\x02/s",
        ];
        global(true, GlobalRequestType::Keepalive)
            => [b"\x50", b"\0\0\0\x15keepalive@openssh.com", b"\x01"];
        global(false, GlobalRequestType::NoMoreSessions)
            => [b"\x50", b"\0\0\0\x1cno-more-sessions@openssh.com", b"\0"];
        global(false, GlobalRequestType::Hostkeys { keys: List::new(&[b"k1", b"key2"]) }) => [
            b"\x50", b"\0\0\0\x17hostkeys-00@openssh.com", b"\0",
            b"\0\0\0\x02k1", b"\0\0\0\x04key2",
        ];
        global(true, GlobalRequestType::HostkeysProve { keys: List::new(&[b"k1"]) }) => [
            b"\x50", b"\0\0\0\x1dhostkeys-prove-00@openssh.com", b"\x01", b"\0\0\0\x02k1",
        ];
        global(true, GlobalRequestType::Unknown { name: "x@example.com", data: b"?" })
            => [b"\x50", b"\0\0\0\x0dx@example.com", b"\x01", b"?"];
        RequestSuccess { data: b"\0\0\x1f\x90" } => [b"\x51", b"\0\0\x1f\x90"];
        RequestFailure => [b"\x52"];
        open(ChannelOpenType::Session) => [b"\x5a", b"\0\0\0\x07session", NUMBERS];
        open(ChannelOpenType::DirectTcpip {
            host_to_connect: b"example.com",
            port_to_connect: 80,
            originator_ip_address: b"192.0.2.1",
            originator_port: 0xabcd,
        }) => [
            b"\x5a", b"\0\0\0\x0cdirect-tcpip", NUMBERS,
            b"\0\0\0\x0bexample.com", b"\0\0\0\x50", b"\0\0\0\x09192.0.2.1", b"\0\0\xab\xcd",
        ];
        open(ChannelOpenType::ForwardedTcpip {
            connected_address: b"localhost",
            connected_port: 0x1f90,
            originator_ip_address: b"192.0.2.1",
            originator_port: 0xabcd,
        }) => [
            b"\x5a", b"\0\0\0\x0fforwarded-tcpip", NUMBERS,
            b"\0\0\0\x09localhost", b"\0\0\x1f\x90", b"\0\0\0\x09192.0.2.1", b"\0\0\xab\xcd",
        ];
        open(ChannelOpenType::X11 { originator_address: b"192.168.7.38", originator_port: 6010 })
            => [
                b"\x5a", b"\0\0\0\x03x11", NUMBERS,
                b"\0\0\0\x0c192.168.7.38", b"\0\0\x17\x7a",
            ];
        open(ChannelOpenType::DirectStreamlocal {
            socket_path: b"/s",
            reserved: b"",
            reserved_number: 9,
        }) => [
            b"\x5a", b"\0\0\0\x1edirect-streamlocal@openssh.com", NUMBERS,
            b"\0\0\0\x02/s", b"\0\0\0\0", b"\0\0\0\x09",
        ];
        open(ChannelOpenType::ForwardedStreamlocal { socket_path: b"/s", reserved: b"" }) => [
            b"\x5a", b"\0\0\0\x21forwarded-streamlocal@openssh.com", NUMBERS,
            b"\0\0\0\x02/s", b"\0\0\0\0",
        ];
        open(ChannelOpenType::AuthAgent)
            => [b"\x5a", b"\0\0\0\x16auth-agent@openssh.com", NUMBERS];
        open(ChannelOpenType::Unknown { name: "x@example.com", data: b"?" })
            => [b"\x5a", b"\0\0\0\x0dx@example.com", NUMBERS, b"?"];
        ChannelOpenConfirmation {
            recipient_channel: 1,
            sender_channel: 7,
            initial_window_size: 0x200000,
            maximum_packet_size: 0x8000,
        } => [b"\x5b", b"\0\0\0\x01", NUMBERS];
        ChannelOpenFailure {
            recipient_channel: 1,
            reason_code: ChannelOpenFailureReason::CONNECT_FAILED,
            description: b"no",
            language_tag: b"",
        } => [b"\x5c", b"\0\0\0\x01", b"\0\0\0\x02", b"\0\0\0\x02no", b"\0\0\0\0"];
        ChannelWindowAdjust { recipient_channel: 1, bytes_to_add: u32::MAX }
            => [b"\x5d", b"\0\0\0\x01", b"\xff\xff\xff\xff"];
        ChannelData { recipient_channel: 1, data: b"hello" }
            => [b"\x5e", b"\0\0\0\x01", b"\0\0\0\x05hello"];
        ChannelExtendedData {
            recipient_channel: 2,
            data_type_code: ExtendedDataType::STDERR,
            data: b"oops",
        } => [b"\x5f", b"\0\0\0\x02", b"\0\0\0\x01", b"\0\0\0\x04oops"];
        ChannelEof { recipient_channel: 1 } => [b"\x60", b"\0\0\0\x01"];
        ChannelClose { recipient_channel: 1 } => [b"\x61", b"\0\0\0\x01"];
        ChannelSuccess { recipient_channel: 1 } => [b"\x63", b"\0\0\0\x01"];
        ChannelFailure { recipient_channel: 1 } => [b"\x64", b"\0\0\0\x01"];
    }
}

fn channel_requests() -> Vec<Sample> {
    let yes = |request| ChannelRequest {
        recipient_channel: 3,
        want_reply: true,
        request,
    };
    let no = |request| ChannelRequest {
        recipient_channel: 3,
        want_reply: false,
        request,
    };
    let size = TerminalSize {
        columns: 80,
        rows: 24,
        width_pixels: 640,
        height_pixels: 480,
    };
    let modes = TerminalModes::from_encoded(b"\x35\0\0\0\x01\0").unwrap();
    const TO: &[u8] = b"\0\0\0\x03";
    const SIZE: &[u8] = b"\0\0\0\x50\0\0\0\x18\0\0\x02\x80\0\0\x01\xe0";
    samples! {
        yes(ChannelRequestType::PtyReq { term: b"vt100", size, modes }) => [
            b"\x62", TO, b"\0\0\0\x07pty-req", b"\x01",
            b"\0\0\0\x05vt100", SIZE, b"\0\0\0\x06\x35\0\0\0\x01\0",
        ];
        yes(ChannelRequestType::X11Req {
            single_connection: false,
            x11_authentication_protocol: b"MIT-MAGIC-COOKIE-1",
            x11_authentication_cookie: b"c00k1e",
            x11_screen_number: 1,
        }) => [
            b"\x62", TO, b"\0\0\0\x07x11-req", b"\x01",
            b"\0", b"\0\0\0\x12MIT-MAGIC-COOKIE-1", b"\0\0\0\x06c00k1e", b"\0\0\0\x01",
        ];
        no(ChannelRequestType::Env { variable_name: b"LANG", variable_value: b"C" }) => [
            b"\x62", TO, b"\0\0\0\x03env", b"\0", b"\0\0\0\x04LANG", b"\0\0\0\x01C",
        ];
        yes(ChannelRequestType::Shell) => [b"\x62", TO, b"\0\0\0\x05shell", b"\x01"];
        yes(ChannelRequestType::Exec { command: b"ls" })
            => [b"\x62", TO, b"\0\0\0\x04exec", b"\x01", b"\0\0\0\x02ls"];
        yes(ChannelRequestType::Subsystem { subsystem_name: b"sftp" })
            => [b"\x62", TO, b"\0\0\0\x09subsystem", b"\x01", b"\0\0\0\x04sftp"];
        no(ChannelRequestType::WindowChange { size })
            => [b"\x62", TO, b"\0\0\0\x0dwindow-change", b"\0", SIZE];
        no(ChannelRequestType::XonXoff { client_can_do: true })
            => [b"\x62", TO, b"\0\0\0\x08xon-xoff", b"\0", b"\x01"];
        no(ChannelRequestType::Signal { signal_name: b"TERM" })
            => [b"\x62", TO, b"\0\0\0\x06signal", b"\0", b"\0\0\0\x04TERM"];
        no(ChannelRequestType::ExitStatus { exit_status: 255 })
            => [b"\x62", TO, b"\0\0\0\x0bexit-status", b"\0", b"\0\0\0\xff"];
        no(ChannelRequestType::ExitSignal {
            signal_name: b"SEGV",
            core_dumped: true,
            error_message: b"boom",
            language_tag: b"en",
        }) => [
            b"\x62", TO, b"\0\0\0\x0bexit-signal", b"\0",
            b"\0\0\0\x04SEGV", b"\x01", b"\0\0\0\x04boom", b"\0\0\0\x02en",
        ];
        yes(ChannelRequestType::Break { break_length: 500 })
            => [b"\x62", TO, b"\0\0\0\x05break", b"\x01", b"\0\0\x01\xf4"];
        no(ChannelRequestType::Eow) => [b"\x62", TO, b"\0\0\0\x0feow@openssh.com", b"\0"];
        yes(ChannelRequestType::AuthAgentReq)
            => [b"\x62", TO, b"\0\0\0\x1aauth-agent-req@openssh.com", b"\x01"];
        yes(ChannelRequestType::Keepalive)
            => [b"\x62", TO, b"\0\0\0\x15keepalive@openssh.com", b"\x01"];
        yes(ChannelRequestType::Unknown { name: "x@example.com", data: b"?" })
            => [b"\x62", TO, b"\0\0\0\x0dx@example.com", b"\x01", b"?"];
    }
}

#[test]
fn known_bytes_decode_to_known_messages_and_back() {
    for sample in samples() {
        let payload = sample.payload();
        assert_eq!(
            Message::decode(&payload, sample.context()),
            Ok(sample.message)
        );
        let mut out = Vec::new();
        sample.message.encode(&mut out);
        assert_eq!(out, payload, "{:?}", sample.message);
    }
}

#[test]
fn every_message_and_every_kind_of_request_has_a_sample() {
    let samples = samples();
    let rows: BTreeSet<_> = samples.iter().map(|s| s.message.name()).collect();
    assert_eq!(rows, TABLE.iter().map(|info| info.name).collect());

    let names: BTreeSet<_> = samples
        .iter()
        .filter_map(|s| match s.message {
            Message::UserauthRequest(m) => Some((50, m.method.name())),
            Message::GlobalRequest(m) => Some((80, m.request.name())),
            Message::ChannelOpen(m) => Some((90, m.channel_type.name())),
            Message::ChannelRequest(m) => Some((98, m.request.name())),
            _ => None,
        })
        .filter(|&(_, name)| name != "x@example.com")
        .collect();
    let known = [
        (50, AuthMethod::NAMES),
        (80, GlobalRequestType::NAMES),
        (90, ChannelOpenType::NAMES),
        (98, ChannelRequestType::NAMES),
    ];
    let known = known
        .into_iter()
        .flat_map(|(n, names)| names.iter().map(move |&name| (n, name)));
    assert_eq!(names, known.collect());
}
