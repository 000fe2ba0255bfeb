//! Many connections to `mio_server`, from one thread: each logs in, runs a command whose answer is
//! checked to the byte, and is then idle. Says how long that took and how much memory it takes.
//!
//! ```sh
//! cargo build --release -p ssh-examples --examples
//! cargo run --release -p ssh-examples --example mio_client -- --connections 10000
//! ```
//!
//! With `--server ADDRESS FINGERPRINT` it takes the server that is there, else it starts one of its
//! own: the `mio_server` that lies beside it. Two processes, because each may have only so many
//! descriptors.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ssh_examples::client::{CommandClient, Job, LogIn, Tally};
use ssh_examples::event_loop::EventLoop;
use ssh_examples::{os, server};
use ssh_proto::key::Fingerprint;
use ssh_proto::message::DisconnectReason;

const USAGE: &str = "mio_client [--server ADDRESS FINGERPRINT] [--connections N] \
    [--command 'echo TEXT' | 'count N' | 'sink N' | 'cat N'] [--password] [--idle SECONDS]";
/// Logins that may be going on at a time: more only wait in the backlog of the server.
const AT_A_TIME: usize = 200;

type Failure = Box<dyn std::error::Error>;

struct Options {
    server: Option<(SocketAddr, Fingerprint)>,
    connections: usize,
    job: Job,
    log_in: LogIn,
    idle: Duration,
}

fn main() -> Result<(), Failure> {
    let options = options()?;
    os::enough_descriptors(options.connections)?;
    let mut own = None;
    let (address, fingerprint) = match options.server {
        Some(server) => server,
        None => own.insert(OwnServer::start(options.connections)?).at,
    };
    let server_before = ask(address, fingerprint)?;
    let before = Usage::ours();

    let client = CommandClient::new(fingerprint, options.log_in, options.job);
    let mut clients = EventLoop::new(client, options.connections)?;
    let began = Instant::now();
    let mut started = 0;
    loop {
        let application = clients.application();
        let tally = application.tally();
        if tally.right + tally.failed >= options.connections {
            break;
        }
        if started < options.connections && tally.logging_in < AT_A_TIME {
            let (peer, seat) = application.start()?;
            clients.connect(address, peer, seat)?;
            started += 1;
            continue;
        }
        clients.round(Duration::from_secs(1))?;
    }
    let took = began.elapsed().as_secs_f64();
    report(clients.application().tally());
    let per_second = options.connections as f64 / took;
    println!("in {took:.2} s: {per_second:.0} logins with a command per second");
    // The one that asks is one too, but it was there both times.
    let server_busy = ask(address, fingerprint)?.busy - server_before.busy;
    for (who, busy) in [
        ("client", Usage::ours().busy - before.busy),
        ("server", server_busy),
    ] {
        let per_core = options.connections as f64 / busy.as_secs_f64();
        println!("{who}: {busy:.2?} of a core, {per_core:.0} logins per second of it");
    }

    // What is idle gives its buffers back.
    let idle = Instant::now() + options.idle;
    while let Some(left) = idle.checked_duration_since(Instant::now()) {
        clients.round(left)?;
    }
    println!("{} connections are idle", clients.len());
    memory("client", before, Usage::ours(), clients.len());
    let server_after = ask(address, fingerprint)?;
    memory("server", server_before, server_after, clients.len());

    clients.visit(|client, _| client.disconnect(DisconnectReason::BY_APPLICATION, "done"));
    let end = Instant::now() + Duration::from_secs(10);
    while !clients.is_empty() && Instant::now() < end {
        clients.round(Duration::from_millis(100))?;
    }
    match clients.application().tally().failed {
        0 => Ok(()),
        failed => Err(format!("{failed} failed").into()),
    }
}

fn report(tally: &Tally) {
    println!(
        "{} logged in, {} answers right to the byte, {} failures",
        tally.logged_in, tally.right, tally.failed
    );
    for note in &tally.notes {
        println!("  {note}");
    }
}

fn memory(who: &str, before: Usage, after: Usage, connections: usize) {
    let each = after.resident.saturating_sub(before.resident) as f64 / connections.max(1) as f64;
    println!(
        "{who}: {:.1} MiB resident, {:.2} KiB more for each idle connection",
        after.resident as f64 / f64::from(1 << 20),
        each / 1024.0
    );
}

/// What a process takes; zero where the system does not say.
#[derive(Clone, Copy)]
struct Usage {
    resident: u64,
    busy: Duration,
}

impl Usage {
    fn ours() -> Self {
        Self {
            resident: os::resident().unwrap_or(0),
            busy: os::processor_time().unwrap_or_default(),
        }
    }
}

/// Asks the server what it takes.
fn ask(address: SocketAddr, pin: Fingerprint) -> Result<Usage, Failure> {
    let client = CommandClient::new(pin, LogIn::Key, "memory".parse()?);
    let mut one = EventLoop::new(client, 1)?;
    let (peer, seat) = one.application().start()?;
    one.connect(address, peer, seat)?;
    let end = Instant::now() + Duration::from_secs(10);
    while one.application().tally().right == 0 {
        if one.application().tally().failed > 0 || Instant::now() > end {
            return Err(format!("no answer: {:?}", one.application().tally().notes).into());
        }
        one.round(Duration::from_millis(100))?;
    }
    let answer = one.application().tally().answer.clone();
    let mut numbers = answer.split_whitespace().map(str::parse);
    let mut number = || {
        numbers
            .next()
            .ok_or("the answer is too short")?
            .map_err(Failure::from)
    };
    let (resident, _connections, busy) = (number()?, number()?, number()?);
    let busy = Duration::from_millis(busy);
    Ok(Usage { resident, busy })
}

/// A server that ends with us, because its standard input does.
struct OwnServer {
    process: Child,
    at: (SocketAddr, Fingerprint),
}

impl OwnServer {
    fn start(connections: usize) -> Result<Self, Failure> {
        let program = std::env::current_exe()?.with_file_name("mio_server");
        let mut process = Command::new(&program)
            .args(["--port", "0", "--until-eof", "--connections"])
            // The one that asks for its memory is one more.
            .arg((connections + 1).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let output = process.stdout.take().ok_or("the server says nothing")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let (address, fingerprint) = line.trim().split_once(' ').ok_or("the server failed")?;
        let at = (address.parse()?, fingerprint.parse()?);
        Ok(Self { process, at })
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn options() -> Result<Options, Failure> {
    let mut options = Options {
        server: None,
        connections: 1000,
        job: "cat 2000".parse()?,
        log_in: LogIn::Key,
        idle: Duration::from_secs(3),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--server" => options.server = Some((value()?.parse()?, value()?.parse()?)),
            "--connections" => options.connections = value()?.parse()?,
            "--command" => options.job = value()?.parse()?,
            "--password" => options.log_in = LogIn::Password(server::PASSWORD.to_owned()),
            "--idle" => options.idle = Duration::from_secs(value()?.parse()?),
            _ => return Err(USAGE.into()),
        }
    }
    Ok(options)
}
