//! Both roles against OpenSSH, on loopback, with every driver.

mod common;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::driver::{
    Client, ConnectOptions, Error, FixedUsers, HostKeys, Login, Observer, ServerOptions, Trust,
};
use common::noise;
use libtest_mimic::{Failed, Trial};
use ssh_keys::SigningKey;
use ssh_keys::authorized_keys::AuthorizedKeys;
use ssh_keys::known_hosts::KnownHosts;
use ssh_keys::load_private;
use ssh_proto::algorithm::CompressionAlgorithm;
use ssh_proto::config::TransportConfig;
use ssh_testkit::harness::peer_test;
use ssh_testkit::peers::{
    self, ClientOptions, Credential, KeyPair, KeyType, OpenSshClient, Server, Sshd, TempDir,
};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        peer_test("our_client_runs_commands_on_sshd", Sshd::find, |sshd| {
            let server = sshd.start(&peers::ServerOptions::default())?;
            let client = Client::connect(server.address(), options(&server))?;
            let output = client.exec("echo out; echo problem >&2; exit 7")?;
            same("stdout", &output.stdout[..], b"out\n")?;
            // sshd at this log level has its say there too.
            same("stderr", &output.stderr.ends_with(b"problem\n"), &true)?;
            same("exit", &output.exit.code(), &Some(7))?;
            let output = client.exec("kill -TERM $$")?;
            same("signal", &*output.exit.to_string(), "ended by signal TERM")?;
            client.disconnect();
            Ok(())
        }),
        peer_test(
            "our_client_moves_data_through_sshd_while_keys_change",
            Sshd::find,
            |sshd| {
                let server = sshd.start(&peers::ServerOptions::default())?;
                let exchanges = Arc::new(AtomicU32::new(0));
                let options = options(&server).observer(Count(exchanges.clone()));
                let client = Client::connect(server.address(), options)?;
                let input = noise(1, 1 << 20);
                let output = client.exec_with_input("cat", &input)?;
                same("echo", &(output.stdout == input), &true)?;

                let channel = client.open_session()?;
                channel.exec("cat")?;
                thread::scope(|scope| {
                    let writer = scope.spawn(|| {
                        for _ in 0..4 {
                            (&channel).write_all(&input)?;
                        }
                        channel.send_eof()
                    });
                    for _ in 0..3 {
                        client.rekey()?;
                    }
                    let mut back = Vec::new();
                    (&channel).read_to_end(&mut back)?;
                    writer.join().map_err(|_| "the writer panicked")??;
                    same("echo", &(back == input.repeat(4)), &true)?;
                    same("exit", &channel.wait()?.success(), &true)
                })?;
                let exchanges = exchanges.load(Ordering::SeqCst);
                same("exchanges of keys", &exchanges, &4)
            },
        ),
        peer_test(
            "sshd_changes_keys_while_our_client_reads",
            Sshd::find,
            |sshd| {
                let server = sshd.start(&peers::ServerOptions {
                    rekey_limit: Some("1M".to_owned()),
                    ..peers::ServerOptions::default()
                })?;
                let exchanges = Arc::new(AtomicU32::new(0));
                let options = options(&server).observer(Count(exchanges.clone()));
                let client = Client::connect(server.address(), options)?;
                let output = client.exec("head -c 8000000 /dev/zero")?;
                same("output", &(output.stdout == vec![0; 8_000_000]), &true)?;
                same("rekeyed", &(exchanges.load(Ordering::SeqCst) > 4), &true)
            },
        ),
        peer_test(
            "our_client_and_sshd_compress_while_both_change_keys",
            Sshd::find,
            |sshd| {
                let server = sshd.start(&peers::ServerOptions {
                    rekey_limit: Some("256K".to_owned()),
                    ..peers::ServerOptions::default()
                })?;
                let exchanges = Arc::new(AtomicU32::new(0));
                let mut config = ssh_proto::ClientConfig::default();
                compress(&mut config.transport);
                let options = options(&server).config(config);
                let options = options.observer(Count(exchanges.clone()));
                let client = Client::connect(server.address(), options)?;
                let input = letters_and_noise();
                for n in 0..3 {
                    let output = client.exec_with_input("cat", &input)?;
                    same("echo", &(output.stdout == input), &true)?;
                    if n == 1 {
                        client.rekey()?;
                    }
                }
                let terms = client.negotiated().ok_or("no terms")?;
                let wanted = CompressionAlgorithm::ZlibOpenSsh;
                same("up", &terms.client_to_server.compression, &wanted)?;
                same("down", &terms.server_to_client.compression, &wanted)?;
                let log = server.log();
                let sign = log.contains("Enabling compression at level");
                same("sshd compresses", &sign, &true)?;
                same("rekeyed", &(exchanges.load(Ordering::SeqCst) > 5), &true)
            },
        ),
        peer_test(
            "a_key_that_sshd_does_not_know_is_reported",
            Sshd::find,
            |sshd| {
                let server = sshd.start(&peers::ServerOptions::default())?;
                let dir = TempDir::new()?;
                let stranger = KeyPair::generate(&dir, "stranger", KeyType::Ed25519)?;
                let file = std::fs::read(stranger.private_path())?;
                let login = Login::new(server.user(), trust(&server))
                    .key(load_private(&file, None)?.private);
                match Client::connect(server.address(), ConnectOptions::new(login)) {
                    Err(Error::Login(error)) => {
                        same("report", &error.to_string().contains("publickey"), &true)
                    }
                    other => Err(format!("{other:?}").into()),
                }
            },
        ),
        peer_test(
            "ssh_runs_commands_on_our_server",
            OpenSshClient::find,
            |ssh| {
                let server = OurServer::start(false)?;
                let output = ssh.run(&server.client, "greet 7", b"")?;
                same("stdout", &output.stdout[..], b"hello\n")?;
                same("stderr", &output.stderr.contains("problem\n"), &true)?;
                same("exit", &output.status.code(), &Some(7))?;
                let input = noise(1, 1 << 20);
                let output = ssh.run(&server.client, "echo", &input)?;
                same("echo", &(output.stdout == input), &true)?;
                same("exit", &output.status.code(), &Some(0))?;
                let output = ssh.run(&server.client, "refused", b"")?;
                same("exit", &output.status.code(), &Some(255))
            },
        ),
        peer_test(
            "ssh_and_our_server_change_keys_while_data_flows",
            OpenSshClient::find,
            |ssh| {
                let mut server = OurServer::start(true)?;
                server.client.rekey_limit = Some("1M".to_owned());
                server.client.extra = vec!["-v".to_owned()];
                let input = noise(1, 8 << 20);
                let output = ssh.run(&server.client, "echo", &input)?;
                same("echo", &(output.stdout == input), &true)?;
                let exchanges = output.stderr.matches("SSH2_MSG_NEWKEYS received").count();
                same("rekeyed", &(exchanges > 8), &true)
            },
        ),
        peer_test(
            "ssh_and_our_server_compress_while_both_change_keys",
            OpenSshClient::find,
            |ssh| {
                let mut server = OurServer::with(|config| {
                    compress(&mut config.transport);
                    config.transport.limits.rekey_bytes = 1 << 20;
                })?;
                server.client.rekey_limit = Some("512K".to_owned());
                server.client.extra = ["-v", "-o", "Compression=yes"].map(str::to_owned).to_vec();
                let input = letters_and_noise().repeat(2);
                let output = ssh.run(&server.client, "echo", &input)?;
                same("echo", &(output.stdout == input), &true)?;
                let sign = "Enabling compression at level 6.";
                let begun = output.stderr.matches(sign).count();
                let exchanges = output.stderr.matches("SSH2_MSG_NEWKEYS received").count();
                same("rekeyed", &(exchanges > 4), &true)?;
                // After authentication, and for each direction at each exchange of keys.
                same("begun anew", &(begun >= exchanges), &true)
            },
        ),
        peer_test(
            "a_stranger_is_not_let_in_by_our_server",
            OpenSshClient::find,
            |ssh| {
                let mut server = OurServer::start(false)?;
                let stranger = KeyPair::generate(&server.dir, "stranger", KeyType::Ed25519)?;
                server.client.credential = Credential::Key(stranger.private_path().to_owned());
                let output = ssh.run(&server.client, "greet 0", b"")?;
                same("stdout", &output.stdout[..], b"")?;
                same(
                    "denied",
                    &output.stderr.contains("Permission denied"),
                    &true,
                )
            },
        ),
    ]
}

/// Our server, and how a client of somebody else logs in there.
struct OurServer {
    client: ClientOptions,
    dir: TempDir,
    _server: crate::driver::Server,
}

impl OurServer {
    fn start(rekey_often: bool) -> Result<Self, Failed> {
        Self::with(|config| {
            if rekey_often {
                config.transport.limits.rekey_bytes = 1 << 20;
            }
        })
    }

    fn with(adjust: impl FnOnce(&mut ssh_proto::ServerConfig)) -> Result<Self, Failed> {
        let dir = TempDir::new()?;
        let user_key = KeyPair::generate(&dir, "user", KeyType::Ed25519)?;
        let host_key = KeyPair::generate(&dir, "host", KeyType::Ed25519)?;
        let authorized = Arc::new(AuthorizedKeys::parse(user_key.public_line().as_bytes()));
        let file = std::fs::read(host_key.private_path())?;
        let keys: [SigningKey; 1] = [load_private(&file, None)?.private];
        let mut config = ssh_proto::ServerConfig::default();
        adjust(&mut config);
        let options = ServerOptions::new(HostKeys::new(keys)?, move |_| {
            FixedUsers::new().with_keys("alice", authorized.clone())
        })
        .config(config);
        let server = crate::driver::Server::bind("127.0.0.1:0", options, common::Programs)?;
        let credential = Credential::Key(user_key.private_path().to_owned());
        let mut client = ClientOptions::new(server.local_addr(), "alice", credential);
        client.host_keys = vec![host_key.public_line().to_owned()];
        Ok(Self {
            client,
            dir,
            _server: server,
        })
    }
}

fn compress(transport: &mut TransportConfig) {
    let algorithms = &mut transport.algorithms;
    algorithms.compression_client_to_server = vec![CompressionAlgorithm::ZlibOpenSsh];
    algorithms.compression_server_to_client = vec![CompressionAlgorithm::ZlibOpenSsh];
}

/// What is compressed a thousandfold, and what is not at all.
fn letters_and_noise() -> Vec<u8> {
    [
        vec![b'z'; 1 << 20],
        noise(1, 1 << 20),
        b"the end".repeat(10_000),
    ]
    .concat()
}

struct Count(Arc<AtomicU32>);

impl Observer for Count {
    fn keys_exchanged(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn trust(server: &Server) -> Trust {
    let address = server.address();
    let lines: String = server
        .host_keys()
        .iter()
        .map(|key| {
            format!(
                "[{}]:{} {}\n",
                address.ip(),
                address.port(),
                key.public_line()
            )
        })
        .collect();
    let known = KnownHosts::parse(lines.as_bytes());
    Trust::known_hosts(known, &address.ip().to_string(), address.port()).refuse_unknown()
}

fn options(server: &Server) -> ConnectOptions {
    let file = std::fs::read(server.client_key().private_path()).expect("its file");
    let key = load_private(&file, None).expect("a key of ssh-keygen");
    ConnectOptions::new(Login::new(server.user(), trust(server)).key(key.private))
}

fn same<T: PartialEq + std::fmt::Debug + ?Sized>(
    what: &str,
    got: &T,
    wanted: &T,
) -> Result<(), Failed> {
    if got == wanted {
        return Ok(());
    }
    Err(format!("{what}: {got:?}, not {wanted:?}").into())
}
