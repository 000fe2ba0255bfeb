//! The launchers, by peers that talk to each other: nothing of ours is in between.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use ssh_testkit::harness::{self, peer_test};
use ssh_testkit::peers::{
    AsyncSshClient, AsyncSshServer, ClientOptions, Credential, Dbclient, Dropbear, KeyPair,
    KeyType, OpenSshClient, Output, PeerError, Server, ServerOptions, Sshd, TempDir,
};

fn main() -> ExitCode {
    harness::run(tests()).exit_code()
}

fn tests() -> Vec<Trial> {
    let openssh = || Ok((Sshd::find()?, OpenSshClient::find()?));
    vec![
        peer_test("openssh_client_with_sshd", openssh, |(sshd, ssh)| {
            let server = sshd.start(&ServerOptions::default())?;
            executes(&server, |command, input| {
                ssh.run(&ClientOptions::to(&server), command, input)
            })
        }),
        peer_test(
            "dbclient_with_dropbear",
            || Ok((Dropbear::find()?, Dbclient::find()?)),
            |(dropbear, dbclient)| {
                let server = dropbear.start(&ServerOptions::default())?;
                executes(&server, |command, input| {
                    dbclient.run(&ClientOptions::to(&server), command, input)
                })
            },
        ),
        peer_test(
            "asyncssh_client_with_sshd",
            || Ok((Sshd::find()?, AsyncSshClient::find()?)),
            |(sshd, client)| {
                let server = sshd.start(&ServerOptions::default())?;
                executes(&server, |command, input| {
                    client.run(&ClientOptions::to(&server), command, input)
                })
            },
        ),
        peer_test(
            "openssh_client_with_asyncssh_server",
            || Ok((AsyncSshServer::find()?, OpenSshClient::find()?)),
            |(asyncssh, ssh)| {
                let server = asyncssh.start(&ServerOptions::default())?;
                executes(&server, |command, input| {
                    ssh.run(&ClientOptions::to(&server), command, input)
                })
            },
        ),
        peer_test(
            "asyncssh_agrees_with_itself_on_ml_kem",
            || Ok((AsyncSshServer::find()?, AsyncSshClient::find()?)),
            |(asyncssh, client)| {
                let server = asyncssh.start(&ServerOptions {
                    kex_algorithms: Some("mlkem768x25519-sha256".to_owned()),
                    ..ServerOptions::default()
                })?;
                executes(&server, |command, input| {
                    client.run(&ClientOptions::to(&server), command, input)
                })
            },
        ),
        peer_test(
            "every_client_types_a_password",
            || {
                Ok((
                    AsyncSshServer::find()?,
                    OpenSshClient::find()?,
                    Dbclient::find()?,
                    AsyncSshClient::find()?,
                ))
            },
            |(asyncssh, ssh, dbclient, client)| {
                let server = asyncssh.start(&ServerOptions {
                    password: Some("two words".to_owned()),
                    // dbclient sends a guess, and AsyncSSH 2.24 takes only one that is its own
                    // first choice.
                    kex_algorithms: Some("curve25519-sha256".to_owned()),
                    ..ServerOptions::default()
                })?;
                let with = |password: &str| ClientOptions {
                    credential: Credential::Password(password.to_owned()),
                    ..ClientOptions::to(&server)
                };
                let right = with("two words");
                let outputs = [
                    ssh.run(&right, "echo in", b"")?,
                    dbclient.run(&right, "echo in", b"")?,
                    client.run(&right, "echo in", b"")?,
                ];
                for output in outputs {
                    expect(output.stdout == b"in\n", &output, &server)?;
                }
                // Not dbclient: it gives the same wrong answer for ever.
                let wrong = with("two");
                let outputs = [
                    ssh.run(&wrong, "echo in", b"")?,
                    client.run(&wrong, "echo in", b"")?,
                ];
                for output in outputs {
                    expect(output.status.code() == Some(255), &output, &server)?;
                    expect(output.stdout.is_empty(), &output, &server)?;
                }
                Ok(())
            },
        ),
        peer_test("sshd_keeps_to_its_options", openssh, |(sshd, ssh)| {
            let server = sshd.start(&ServerOptions {
                host_keys: vec![KeyType::EcdsaP256, KeyType::Rsa(2048)],
                kex_algorithms: Some("ecdh-sha2-nistp256".to_owned()),
                host_key_algorithms: Some("rsa-sha2-256".to_owned()),
                ciphers: Some("aes128-ctr".to_owned()),
                macs: Some("hmac-sha2-512".to_owned()),
                rekey_limit: Some("64K".to_owned()),
                ..ServerOptions::default()
            })?;
            let options = ClientOptions {
                extra: vec!["-v".to_owned()],
                ..ClientOptions::to(&server)
            };
            let output = ssh.run(&options, "head -c 300000 /dev/zero", b"")?;
            expect(output.stdout == [0; 300_000], &output, &server)?;
            for agreed in [
                "kex: algorithm: ecdh-sha2-nistp256",
                "kex: host key algorithm: rsa-sha2-256",
                "cipher: aes128-ctr MAC: hmac-sha2-512",
            ] {
                expect(output.stderr.contains(agreed), &output, &server)?;
            }
            let exchanges = output.stderr.matches("SSH2_MSG_NEWKEYS received").count();
            expect(exchanges > 2, &output, &server)
        }),
        peer_test("a_stranger_is_not_let_in", openssh, |(sshd, ssh)| {
            let server = sshd.start(&ServerOptions::default())?;
            let dir = TempDir::new()?;
            let stranger = KeyPair::generate(&dir, "stranger", KeyType::Ed25519)?;
            let options = ClientOptions {
                credential: Credential::Key(stranger.private_path().to_owned()),
                ..ClientOptions::to(&server)
            };
            let output = ssh.run(&options, "echo in", b"")?;
            expect(output.stdout.is_empty(), &output, &server)?;
            expect(
                output.stderr.contains("Permission denied"),
                &output,
                &server,
            )
        }),
        peer_test(
            "every_client_refuses_another_host_key",
            || {
                Ok((
                    Sshd::find()?,
                    OpenSshClient::find()?,
                    Dbclient::find()?,
                    AsyncSshClient::find()?,
                ))
            },
            |(sshd, ssh, dbclient, client)| {
                let server = sshd.start(&ServerOptions::default())?;
                let options = ClientOptions {
                    host_keys: vec![server.client_key().public_line().to_owned()],
                    ..ClientOptions::to(&server)
                };
                let outputs = [
                    ssh.run(&options, "echo in", b"")?,
                    dbclient.run(&options, "echo in", b"")?,
                    client.run(&options, "echo in", b"")?,
                ];
                for output in outputs {
                    expect(!output.status.success(), &output, &server)?;
                    expect(output.stdout.is_empty(), &output, &server)?;
                }
                Ok(())
            },
        ),
        peer_test(
            "a_bad_option_is_an_error_with_the_log",
            Sshd::find,
            |sshd| {
                let began = Instant::now();
                let error = sshd
                    .start(&ServerOptions {
                        extra: vec!["Ciphers rot13".to_owned()],
                        ..ServerOptions::default()
                    })
                    .err()
                    .ok_or("sshd started with the cipher rot13")?;
                if !error.to_string().contains("rot13") || began.elapsed() > Duration::from_secs(10)
                {
                    return Err(error.into());
                }
                Ok(())
            },
        ),
        peer_test("a_server_stops_when_it_is_dropped", Sshd::find, |sshd| {
            let server = sshd.start(&ServerOptions::default())?;
            let (address, dir) = (server.address(), server.dir().to_owned());
            std::net::TcpStream::connect(address)?;
            drop(server);
            if dir.exists() {
                return Err(format!("{} is left", dir.display()).into());
            }
            // The child that sshd had made for the connection has the port for a moment more.
            let deadline = Instant::now() + Duration::from_secs(10);
            while std::net::TcpStream::connect(address).is_ok() {
                if Instant::now() > deadline {
                    return Err(format!("somebody still listens at {address}").into());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }),
    ]
}

/// Runs a command that uses all there is: input, output, standard error and a status.
fn executes(
    server: &Server,
    run: impl Fn(&str, &[u8]) -> Result<Output, PeerError>,
) -> Result<(), Failed> {
    let input = b"one\ntwo\n".repeat(20_000);
    let output = run("cat; echo problem >&2; exit 7", &input)?;
    expect(output.stdout == input, &output, server)?;
    expect(output.stderr.contains("problem"), &output, server)?;
    expect(output.status.code() == Some(7), &output, server)
}

fn expect(holds: bool, output: &Output, server: &Server) -> Result<(), Failed> {
    if holds {
        return Ok(());
    }
    Err(format!(
        "the client ended with {}, {} bytes of output and\n{}\n--- the server's log\n{}",
        output.status,
        output.stdout.len(),
        output.stderr,
        server.log()
    )
    .into())
}
