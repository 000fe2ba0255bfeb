//! The launchers, by peers that talk to each other: nothing of ours is in between.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use ssh_testkit::harness::{self, peer_test};
use ssh_testkit::peers::{
    ClientOptions, Credential, Dbclient, Dropbear, KeyPair, KeyType, Library, LibraryClient,
    LibraryServer, Missing, Offer, OpenSshClient, Output, PATIENCE, PeerClient, PeerError,
    PeerServer, Plink, Server, ServerOptions, SshAudit, Sshd, TempDir, Tinysshd,
};

fn main() -> ExitCode {
    let mut tests = tests();
    tests.extend(servers());
    tests.extend(clients());
    harness::run(tests).exit_code()
}

/// Every server, with OpenSSH's client.
fn servers() -> Vec<Trial> {
    type Found = Result<Box<dyn PeerServer>, Missing>;
    fn library(library: Library) -> Found {
        Ok(Box::new(LibraryServer::find(library)?))
    }
    let servers: Vec<(&str, Found)> = vec![
        ("sshd", Sshd::find().map(|peer| Box::new(peer) as _)),
        ("dropbear", Dropbear::find().map(|peer| Box::new(peer) as _)),
        ("tinysshd", Tinysshd::find().map(|peer| Box::new(peer) as _)),
        ("asyncssh", library(Library::AsyncSsh)),
        ("paramiko", library(Library::Paramiko)),
        ("conch", library(Library::Conch)),
        ("russh", library(Library::Russh)),
    ];
    let test = |(name, found): (&str, Found)| {
        let name = format!("ssh_with_{name}");
        peer_test(
            &name,
            || Ok((found?, OpenSshClient::find()?)),
            |(server, ssh)| {
                let server = server.start(&ServerOptions::default())?;
                executes(&server, |command, input| {
                    ssh.run(&ClientOptions::to(&server), command, input)
                })
            },
        )
    };
    servers.into_iter().map(test).collect()
}

/// Every client, with OpenSSH's server.
fn clients() -> Vec<Trial> {
    type Found = Result<Box<dyn PeerClient>, Missing>;
    fn library(library: Library) -> Found {
        Ok(Box::new(LibraryClient::find(library)?))
    }
    let clients: Vec<(&str, Found)> = vec![
        ("dbclient", Dbclient::find().map(|peer| Box::new(peer) as _)),
        ("plink", Plink::find().map(|peer| Box::new(peer) as _)),
        ("asyncssh", library(Library::AsyncSsh)),
        ("paramiko", library(Library::Paramiko)),
        ("conch", library(Library::Conch)),
        ("russh", library(Library::Russh)),
        ("libssh2", library(Library::LibSsh2)),
    ];
    let test = |(name, found): (&str, Found)| {
        let name = format!("{name}_with_sshd");
        peer_test(
            &name,
            || Ok((found?, Sshd::find()?)),
            |(client, sshd)| {
                let server = sshd.start(&ServerOptions::default())?;
                let options = ClientOptions {
                    verbose: true,
                    ..ClientOptions::to(&server)
                };
                let seen = std::cell::RefCell::new(String::new());
                executes(&server, |command, input| {
                    let output = client.run(&options, command, input)?;
                    seen.borrow_mut().push_str(&output.stderr);
                    Ok(output)
                })?;
                match client.sign_of_exchange() {
                    Some(sign) if seen.borrow().matches(sign).count() != 1 => {
                        Err(format!("{sign:?} is not once in {}", seen.borrow()).into())
                    }
                    _ => Ok(()),
                }
            },
        )
    };
    clients.into_iter().map(test).collect()
}

fn tests() -> Vec<Trial> {
    let openssh = || Ok((Sshd::find()?, OpenSshClient::find()?));
    vec![
        peer_test(
            "sunset_talks_to_itself",
            || {
                Ok((
                    LibraryServer::find(Library::Sunset)?,
                    LibraryClient::find(Library::Sunset)?,
                ))
            },
            |(server, client)| {
                // It tells neither the end of its input nor how a command ended: what it is asked
                // for is so long, and then it is left alone.
                let server = server.start(&ServerOptions::default())?;
                let options = ClientOptions::to(&server);
                let dir = TempDir::new()?;
                let mut process = client.spawn(&dir, &options, "head -c 100000")?;
                let input = b"one\ntwo\n".repeat(12_500);
                let (stdin, stdout) = (process.take_stdin(), process.take_stdout());
                let (Some(mut stdin), Some(mut stdout)) = (stdin, stdout) else {
                    return Err("no pipes".into());
                };
                let (sender, back) = mpsc::channel();
                let sent = input.clone();
                std::thread::spawn(move || {
                    let mut back = vec![0; sent.len()];
                    if stdin.write_all(&sent).is_ok() {
                        drop(stdin);
                        let _ = stdout.read_exact(&mut back).map(|()| sender.send(back));
                    }
                });
                let back = back
                    .recv_timeout(PATIENCE)
                    .map_err(|error| format!("{error}\n{}\n{}", process.log(), server.log()))?;
                if back != input {
                    return Err("something else came back".into());
                }
                Ok(())
            },
        ),
        peer_test(
            "what_a_peer_offers_is_read_off_the_wire",
            || Ok((Sshd::find()?, OpenSshClient::find()?, Dbclient::find()?)),
            |(sshd, ssh, dbclient)| {
                let server = sshd.start(&ServerOptions {
                    host_keys: vec![KeyType::EcdsaP256],
                    kex_algorithms: Some("ecdh-sha2-nistp256".to_owned()),
                    ciphers: Some("aes128-ctr".to_owned()),
                    macs: Some("hmac-sha2-512,hmac-sha2-256".to_owned()),
                    ..ServerOptions::default()
                })?;
                let offer = Offer::of_server(server.address())?;
                let kex = &offer.kex[0];
                if !offer.identification.starts_with("SSH-2.0-OpenSSH")
                    || kex != "ecdh-sha2-nistp256"
                    || offer.host_key != ["ecdsa-sha2-nistp256"]
                    || offer.ciphers != ["aes128-ctr"]
                    || offer.macs != ["hmac-sha2-512", "hmac-sha2-256"]
                    || offer.compression != ["none", "zlib@openssh.com"]
                {
                    return Err(format!("{offer:?}").into());
                }
                let key = server.client_key().private_path().to_owned();
                let asked = |address| ClientOptions {
                    everything: true,
                    host_keys: vec![server.client_key().public_line().to_owned()],
                    ..ClientOptions::new(address, "tester", Credential::Key(key.clone()))
                };
                let offer = Offer::of_client(|address| ssh.run(&asked(address), "true", b""))?;
                if !offer.ciphers.iter().any(|name| name == "3des-cbc") {
                    return Err(format!("{offer:?}").into());
                }
                let offer = Offer::of_client(|address| dbclient.run(&asked(address), "true", b""))?;
                if !offer.identification.starts_with("SSH-2.0-dropbear") {
                    return Err(format!("{offer:?}").into());
                }
                Ok(())
            },
        ),
        peer_test(
            "ssh_audit_judges_both_roles",
            || Ok((SshAudit::find()?, Sshd::find()?, OpenSshClient::find()?)),
            |(audit, sshd, ssh)| {
                let server = sshd.start(&ServerOptions {
                    ciphers: Some("aes128-ctr,3des-cbc".to_owned()),
                    ..ServerOptions::default()
                })?;
                let of_server = audit.of_server(server.address())?;
                let key = server.client_key().private_path().to_owned();
                let of_client = audit.of_client(|address| {
                    let options = ClientOptions {
                        ciphers: Some("aes128-ctr,3des-cbc".to_owned()),
                        ..ClientOptions::new(address, "tester", Credential::Key(key))
                    };
                    // That it gets nowhere is as it should be.
                    let _ = ssh.run(&options, "true", b"");
                })?;
                for notes in [of_server, of_client] {
                    let of = |name: &str| {
                        let mut of = notes.iter().filter(|note| note.algorithm == name);
                        of.any(|note| note.level == "fail")
                    };
                    if !of("3des-cbc") || of("aes128-ctr") {
                        return Err(format!("{notes:?}").into());
                    }
                }
                Ok(())
            },
        ),
        peer_test(
            "asyncssh_agrees_with_itself_on_ml_kem",
            || {
                Ok((
                    LibraryServer::find(Library::AsyncSsh)?,
                    LibraryClient::find(Library::AsyncSsh)?,
                ))
            },
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
                    LibraryServer::find(Library::AsyncSsh)?,
                    OpenSshClient::find()?,
                    Dbclient::find()?,
                    LibraryClient::find(Library::AsyncSsh)?,
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
                    LibraryClient::find(Library::AsyncSsh)?,
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
