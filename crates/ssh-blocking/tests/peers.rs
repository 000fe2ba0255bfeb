//! Both roles against OpenSSH, on loopback.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use libtest_mimic::{Failed, Trial};
use ssh_blocking::{Client, ConnectOptions, Error, Login, Observer, Trust};
use ssh_keys::known_hosts::KnownHosts;
use ssh_keys::load_private;
use ssh_testkit::harness::{self, peer_test};
use ssh_testkit::peers::{KeyPair, Server, ServerOptions, Sshd};

fn main() -> ExitCode {
    harness::run(tests()).exit_code()
}

fn tests() -> Vec<Trial> {
    vec![
        peer_test("our_client_runs_commands_on_sshd", Sshd::find, |sshd| {
            let server = sshd.start(&ServerOptions::default())?;
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
                let server = sshd.start(&ServerOptions::default())?;
                let exchanges = Arc::new(AtomicU32::new(0));
                let options = options(&server).observer(Count(exchanges.clone()));
                let client = Client::connect(server.address(), options)?;
                let input = noise(1 << 20);
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
                let server = sshd.start(&ServerOptions {
                    rekey_limit: Some("1M".to_owned()),
                    ..ServerOptions::default()
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
            "a_key_that_sshd_does_not_know_is_reported",
            Sshd::find,
            |sshd| {
                let server = sshd.start(&ServerOptions::default())?;
                let dir = ssh_testkit::peers::TempDir::new()?;
                let stranger =
                    KeyPair::generate(&dir, "stranger", ssh_testkit::peers::KeyType::Ed25519)?;
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
    ]
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

fn noise(n: usize) -> Vec<u8> {
    let mut noise = vec![0; n];
    ssh_testkit::rng::SeededRandom::new(7).fill(&mut noise);
    noise
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
