//! The session with nothing else installed: a server in this process, on loopback, and a client
//! that connects to it over TCP.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ssh_blocking::{Client, Connect, ConnectOptions, Handler, Server, ServerOptions, Start};
use ssh_client::{Login, Trust};
use ssh_keys::PublicKeyLine;
use ssh_keys::SigningKey;
use ssh_keys::authorized_keys::AuthorizedKeys;
use ssh_keys::known_hosts::{HostField, KnownHosts, Verdict, entry_line};
use ssh_proto::algorithm::KeyType;
use ssh_proto::random::{Random, RandomError};
use ssh_server::{FixedUsers, HostKeys};

use crate::progress::Progress;
use crate::{Failure, Narrator, doubts};

const USER: &str = "alice";
/// How much the bulk transfer carries.
const BULK: u64 = 256 << 20;

struct Os;

impl Random for Os {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(out).map_err(|_| RandomError)
    }
}

pub(crate) fn run() -> Result<(), Failure> {
    println!("A server of this process, with keys made for this run:");
    let host_key = SigningKey::generate(KeyType::Ed25519, &mut Os)?;
    let user_key = SigningKey::generate(KeyType::Ed25519, &mut Os)?;
    let host_public = host_key.public_key().clone();
    let server = start_server(host_key, &user_key)?;
    let address = server.local_addr();
    println!("  listening on {address}");

    // What ssh-keyscan would write and an administrator would hand out.
    let entry = entry_line(
        &address.ip().to_string(),
        address.port(),
        &host_public,
        HostField::Plain,
    )?;
    let known = KnownHosts::parse(entry.as_bytes());

    println!("\nThe client connects and logs in:");
    let host = address.ip().to_string();
    let trust = Trust::known_hosts(known.clone(), &host, address.port());
    let login = Login::new(USER, trust.refuse_unknown()).key(user_key);
    let options = ConnectOptions::new(login)
        .keepalive(Duration::from_secs(15), 3)
        .observer(Narrator { verbose: true });
    let client = Client::connect(address, options)?;
    match client
        .host_key()
        .map(|key| known.lookup(&host, address.port(), key))
    {
        Some(Verdict::Known { line }) => {
            println!("  the host key stands in known_hosts, line {line}")
        }
        other => return Err(format!("connected to a host that is not known: {other:?}").into()),
    }
    println!("  logged in as {USER} by {}", client.authenticated_by());
    if let Some(agreed) = client.negotiated() {
        let not = |is: bool| if is { "" } else { "not " };
        println!(
            "  key exchange is {}strict and {}post-quantum",
            not(agreed.strict_kex),
            not(agreed.is_post_quantum()),
        );
        let doubts = doubts(&agreed);
        for doubt in &doubts {
            println!("  {doubt}");
        }
        if doubts.is_empty() {
            println!("  nothing that was agreed is known to be weak");
        }
    }

    println!("\nA command:");
    let output = client.exec("greet")?;
    print!("  stdout: {}", String::from_utf8_lossy(&output.stdout));
    print!("  stderr: {}", String::from_utf8_lossy(&output.stderr));
    println!("  {}", output.exit);

    tunnel(&client)?;
    bulk(&client)?;

    println!("\nThe end:");
    client.disconnect();
    if let Some(ended) = client.ended() {
        println!("  client: {ended}");
    }
    server.shutdown();
    println!("  server: stopped");
    Ok(())
}

/// A connection through the client's local port to a service that only the server can reach.
fn tunnel(client: &Client) -> Result<(), Failure> {
    println!("\nA tunnel:");
    let service = TcpListener::bind("127.0.0.1:0")?;
    let behind = service.local_addr()?;
    let shouting = thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = service.accept()?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        stream.write_all(said.to_uppercase().as_bytes())
    });
    let forward = client.forward_local("127.0.0.1:0", "127.0.0.1", behind.port())?;
    let entrance = forward.local_addr();
    println!("  {entrance} -> ssh -> {behind}");
    let mut stream = TcpStream::connect(entrance)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(b"through the tunnel and back")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    println!("  said: through the tunnel and back\n  came: {answer}");
    shouting.join().map_err(|_| "the service failed")??;
    if answer != "THROUGH THE TUNNEL AND BACK" {
        return Err("the tunnel changed the data".into());
    }
    Ok(())
}

/// Much data, with an exchange of keys in the middle of it.
fn bulk(client: &Client) -> Result<(), Failure> {
    println!(
        "\nA bulk transfer of {} MiB, with a rekey in the middle:",
        BULK >> 20
    );
    let mut channel = client.open_session()?;
    channel.exec(format!("bulk {BULK}"))?;
    let mut progress = Progress::new("bulk", BULK);
    let mut buffer = vec![0; 256 * 1024];
    let (mut done, mut rekeyed) = (0u64, false);
    loop {
        let n = channel.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        for (i, &byte) in buffer[..n].iter().enumerate() {
            if byte != pattern(done + i as u64) {
                return Err(format!("byte {} is wrong", done + i as u64).into());
            }
        }
        done += n as u64;
        progress.add(n);
        if done > BULK / 2 && !rekeyed {
            rekeyed = true;
            client.rekey()?;
        }
    }
    let exit = channel.wait()?;
    let rate = progress.finish();
    println!("  {done} bytes, each one checked, {rate:.0} MiB/s, {exit}");
    if done != BULK || !exit.success() {
        return Err("the transfer is incomplete".into());
    }
    Ok(())
}

/// What the byte at this place of the stream is.
fn pattern(at: u64) -> u8 {
    (at ^ (at >> 8) ^ (at >> 16)) as u8
}

fn start_server(host_key: SigningKey, user_key: &SigningKey) -> Result<Server, Failure> {
    let mut line = String::new();
    let public = PublicKeyLine {
        key: user_key.public_key().clone(),
        comment: "made for this run".to_owned(),
    };
    writeln!(line, "{public}")?;
    let keys = Arc::new(AuthorizedKeys::parse(line.as_bytes()));
    let users = move |_| FixedUsers::new().with_keys(USER, keys.clone());
    let options = ServerOptions::new(HostKeys::new([host_key])?, users);
    Ok(Server::bind("127.0.0.1:0", options, Commands)?)
}

/// What the server does for its users.
struct Commands;

impl Handler for Commands {
    fn exec(&self, request: Start, command: &[u8]) {
        let command = String::from_utf8_lossy(command).into_owned();
        let user = String::from_utf8_lossy(request.session().user()).into_owned();
        let Ok(mut channel) = request.accept() else {
            return;
        };
        let status = match command.split_once(' ') {
            None if command == "greet" => {
                let _ = writeln!(channel, "hello, {user}");
                let _ = writeln!(channel.stderr(), "(and this is standard error)");
                3
            }
            Some(("bulk", size)) => {
                let size = size.parse().unwrap_or(0);
                u32::from(send_pattern(&mut channel, size).is_err())
            }
            _ => 127,
        };
        let _ = channel.exit(status);
    }

    fn direct_tcpip(&self, request: Connect) {
        // Only services of this machine, and of them only what a user could reach anyway.
        let target = (request.host() == b"127.0.0.1")
            .then(|| TcpStream::connect(("127.0.0.1", request.port())));
        match target {
            Some(Ok(stream)) => drop(request.join(&stream)),
            Some(Err(error)) => request.refuse(&error.to_string()),
            None => request.refuse("only 127.0.0.1"),
        }
    }
}

fn send_pattern(channel: &mut impl Write, size: u64) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut done = 0;
    while done < size {
        let n = buffer
            .len()
            .min(usize::try_from(size - done).unwrap_or(usize::MAX));
        for (i, byte) in buffer[..n].iter_mut().enumerate() {
            *byte = pattern(done + i as u64);
        }
        channel.write_all(&buffer[..n])?;
        done += n as u64;
    }
    Ok(())
}
