//! In which order a server says things, by a client that looks at every message.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::driver::{FixedUsers, Handler, HostKeys, Required, Server, ServerOptions, Start};
use ssh_keys::SigningKey;
use ssh_proto::Role;
use ssh_proto::config::Methods;
use ssh_proto::message::number;
use ssh_proto::wire::Sink;
use ssh_testkit::raw::Raw;

/// A client that knows no more than its next message.
struct Line {
    stream: TcpStream,
    raw: Raw,
}

impl Line {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        let mut line = Self {
            stream,
            raw: Raw::new(Role::Client, true),
        };
        line.raw.identify();
        line.raw.kexinit();
        line.until(number::SSH_MSG_KEXINIT);
        line.raw.method();
        line.until(number::SSH_MSG_NEWKEYS);
        line.raw.newkeys();
        line
    }

    /// Sends what there is to send, and reads until a message of this number has come.
    fn until(&mut self, number: u8) {
        let output = self.raw.take_output();
        self.stream.write_all(&output).unwrap();
        let mut piece = [0; 4096];
        while !self.raw.numbers(0).contains(&number) {
            let n = self.stream.read(&mut piece).unwrap();
            assert_ne!(n, 0, "only {:?} came", self.raw.numbers(0));
            self.raw.receive(&piece[..n]);
        }
    }

    /// Sends a message of strings and numbers.
    fn say(&mut self, number: u8, body: impl FnOnce(&mut Vec<u8>)) {
        let mut payload = vec![number];
        body(&mut payload);
        self.raw.payload(&payload);
    }
}

/// Says two words and how it ended.
struct Words;

impl Handler for Words {
    fn exec(&self, request: Start, _: &[u8]) {
        let mut channel = request.accept().unwrap();
        channel.write_all(b"two words").unwrap();
        channel.exit(7).unwrap();
    }
}

/// dbclient closes a channel when its EOF has come, and looks at no request for it after that.
#[test]
fn the_status_goes_before_the_end_of_the_output() {
    let keys = HostKeys::new([SigningKey::ed25519(&[1; 32])]).unwrap();
    let users = |_: SocketAddr| FixedUsers::new().with_password("alice", String::from("secret"));
    let options = ServerOptions::new(keys, users).required(Required::AnyOf(Methods::PASSWORD));
    let server = Server::bind("127.0.0.1:0", options, Words).unwrap();

    let mut line = Line::connect(server.local_addr());
    line.say(number::SSH_MSG_SERVICE_REQUEST, |body| {
        body.put_string(b"ssh-userauth");
    });
    line.say(number::SSH_MSG_USERAUTH_REQUEST, |body| {
        body.put_string(b"alice");
        body.put_string(b"ssh-connection");
        body.put_string(b"password");
        body.put_boolean(false);
        body.put_string(b"secret");
    });
    line.until(number::SSH_MSG_USERAUTH_SUCCESS);
    line.say(number::SSH_MSG_CHANNEL_OPEN, |body| {
        body.put_string(b"session");
        body.put_u32(0);
        body.put_u32(100_000);
        body.put_u32(32_768);
    });
    line.until(number::SSH_MSG_CHANNEL_OPEN_CONFIRMATION);
    let opened = line.raw.got.last().unwrap();
    let channel = u32::from_be_bytes(*opened[5..].first_chunk().unwrap());
    let before = line.raw.got.len();
    line.say(number::SSH_MSG_CHANNEL_REQUEST, |body| {
        body.put_u32(channel);
        body.put_string(b"exec");
        body.put_boolean(false);
        body.put_string(b"words");
    });
    line.until(number::SSH_MSG_CHANNEL_CLOSE);
    let of_channel: Vec<u8> = line
        .raw
        .numbers(before)
        .into_iter()
        .filter(|number| (90..=100).contains(number))
        .collect();
    assert_eq!(
        of_channel,
        [
            number::SSH_MSG_CHANNEL_DATA,
            number::SSH_MSG_CHANNEL_REQUEST,
            number::SSH_MSG_CHANNEL_EOF,
            number::SSH_MSG_CHANNEL_CLOSE,
        ]
    );
}
