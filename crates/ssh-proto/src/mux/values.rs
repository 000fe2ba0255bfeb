//! Values that no honest peer sends, where they would reach a resolver, a listener, a file system or
//! another program: refused here, before anybody is asked (RFC 4254 sections 6.3.1 and 7).
//!
//! A NUL ends a C string: what was checked is then not what is used. A port above 65535 is another
//! port to whoever cuts it off. What stands in the X11 fields was once written into the command
//! language of xauth as it came (CVE-2016-3115). The same rules hold for what this side sends, so
//! that a value of somebody else's that is passed through is noticed where it comes in.

use crate::message::{ChannelOpenType, ChannelRequestType, GlobalRequestType};

/// Longer than any name that resolves, with a scope behind it.
const MAX_HOST: usize = 1024;
/// Longer than any path that can be opened.
const MAX_PATH: usize = 4096;
/// Of a cookie, in hexadecimal; those in use have 32.
const MAX_COOKIE: usize = 1024;

/// Whether the addresses in `open` can be any.
pub(super) fn open_is_possible(open: &ChannelOpenType<'_>) -> bool {
    match *open {
        ChannelOpenType::DirectTcpip {
            host_to_connect,
            port_to_connect,
            ..
        } => is_host(host_to_connect) && is_port(port_to_connect),
        ChannelOpenType::ForwardedTcpip {
            connected_address,
            connected_port,
            ..
        } => is_host(connected_address) && is_port(connected_port),
        ChannelOpenType::DirectStreamlocal { socket_path, .. }
        | ChannelOpenType::ForwardedStreamlocal { socket_path, .. } => is_path(socket_path),
        _ => true,
    }
}

/// Whether the addresses in `request` can be any.
pub(super) fn global_is_possible(request: &GlobalRequestType<'_>) -> bool {
    match *request {
        GlobalRequestType::TcpipForward {
            address_to_bind,
            port_number_to_bind,
        }
        | GlobalRequestType::CancelTcpipForward {
            address_to_bind,
            port_number_to_bind,
        } => is_host(address_to_bind) && is_port(port_number_to_bind),
        GlobalRequestType::StreamlocalForward { socket_path }
        | GlobalRequestType::CancelStreamlocalForward { socket_path } => is_path(socket_path),
        _ => true,
    }
}

/// Whether the values in `request` can be any.
pub(super) fn request_is_possible(request: &ChannelRequestType<'_>) -> bool {
    match *request {
        ChannelRequestType::X11Req {
            x11_authentication_protocol: protocol,
            x11_authentication_cookie: cookie,
            ..
        } => {
            let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
            !protocol.is_empty()
                && protocol.len() <= MAX_COOKIE
                && protocol.iter().all(name)
                && cookie.len() <= MAX_COOKIE
                && cookie.len().is_multiple_of(2)
                && cookie.iter().all(u8::is_ascii_hexdigit)
        }
        _ => true,
    }
}

/// A port of TCP, in a field that has room for more.
pub(super) const fn is_port(number: u32) -> bool {
    number <= u16::MAX as u32
}

fn is_host(name: &[u8]) -> bool {
    name.len() <= MAX_HOST && !name.iter().any(u8::is_ascii_control)
}

fn is_path(path: &[u8]) -> bool {
    path.len() <= MAX_PATH && !path.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x15_a_cookie_is_hexadecimal_and_its_protocol_a_word() {
        let possible = |x11_authentication_protocol, x11_authentication_cookie| {
            request_is_possible(&ChannelRequestType::X11Req {
                single_connection: false,
                x11_authentication_protocol,
                x11_authentication_cookie,
                x11_screen_number: 0,
            })
        };
        assert!(possible(
            b"MIT-MAGIC-COOKIE-1",
            b"00112233445566778899aabbccddeeff"
        ));
        assert!(possible(b"XDM-AUTHORIZATION-1", b"AB"));
        for protocol in [
            &b""[..],
            b"a b",
            b"a\n",
            b"a\"",
            b"a'",
            b"a\\",
            b"$(a)",
            b"a\0",
            b"\xff",
        ] {
            assert!(!possible(protocol, b"00"), "{protocol:?}");
        }
        for cookie in [&b"0"[..], b"0g", b"00\n0", b"\"0\"0", b" 00 ", b"0\0"] {
            assert!(!possible(b"MIT-MAGIC-COOKIE-1", cookie), "{cookie:?}");
        }
        let most = [b'0'; MAX_COOKIE];
        assert!(possible(b"x", &most) && possible(&most, b""));
        assert!(!possible(b"x", &[b'0'; MAX_COOKIE + 2]));
        assert!(!possible(&[b'0'; MAX_COOKIE + 1], b""));
    }

    #[test]
    fn j1_a_host_has_no_controls_and_a_path_no_nul() {
        for host in [
            &b"a\0b"[..],
            b"a\nb",
            b"\x1b[2J",
            b"a\x7f",
            &[b'a'; MAX_HOST + 1],
        ] {
            assert!(!is_host(host), "{host:?}");
        }
        for host in [
            &b""[..],
            b"localhost",
            b"fe80::1%eth0",
            "b\u{fc}cher".as_bytes(),
        ] {
            assert!(is_host(host), "{host:?}");
        }
        for (host, port, possible) in [
            (&b"localhost"[..], 80, true),
            (b"", 0, true),
            (b"localhost", 65536, false),
            (b"local\nhost", 80, false),
        ] {
            let opens = [
                ChannelOpenType::DirectTcpip {
                    host_to_connect: host,
                    port_to_connect: port,
                    originator_ip_address: b"\n",
                    originator_port: u32::MAX,
                },
                ChannelOpenType::ForwardedTcpip {
                    connected_address: host,
                    connected_port: port,
                    originator_ip_address: b"\n",
                    originator_port: u32::MAX,
                },
            ];
            assert!(opens.iter().all(|open| open_is_possible(open) == possible));
            let requests = [
                GlobalRequestType::TcpipForward {
                    address_to_bind: host,
                    port_number_to_bind: port,
                },
                GlobalRequestType::CancelTcpipForward {
                    address_to_bind: host,
                    port_number_to_bind: port,
                },
            ];
            assert!(requests.iter().all(|r| global_is_possible(r) == possible));
        }
        for (socket_path, possible) in [(&b"/tmp/x"[..], true), (b"/tmp\0/x", false)] {
            let opens = [
                ChannelOpenType::DirectStreamlocal {
                    socket_path,
                    reserved: b"\0",
                    reserved_number: 0,
                },
                ChannelOpenType::ForwardedStreamlocal {
                    socket_path,
                    reserved: b"\0",
                },
            ];
            assert!(opens.iter().all(|open| open_is_possible(open) == possible));
            let requests = [
                GlobalRequestType::StreamlocalForward { socket_path },
                GlobalRequestType::CancelStreamlocalForward { socket_path },
            ];
            assert!(requests.iter().all(|r| global_is_possible(r) == possible));
        }
        assert!(is_host(&[b'a'; MAX_HOST]) && is_path(&[b'/'; MAX_PATH]));
        assert!(is_path(b"/tmp/a b\n") && !is_path(b"/tmp\0/x") && !is_path(&[b'/'; MAX_PATH + 1]));
        assert!(is_port(65535) && !is_port(65536) && !is_port(u32::MAX));
    }
}
