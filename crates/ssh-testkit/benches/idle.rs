//! What connections over tokio cost that do nothing: memory of each, and logins per second. A
//! server and a client, each a process with one thread.
//!
//! ```text
//! cargo bench -p ssh-testkit --bench idle [-- CONNECTIONS]
//! ```
//!
//! Each connection exchanges keys, logs in with an Ed25519 key, and is idle. Both processes need a
//! descriptor for each connection: `ulimit -n`.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use rustix::time::{ClockId, clock_gettime};
use ssh_keys::authorized_keys::AuthorizedKeys;
use ssh_keys::{PublicKeyLine, SigningKey};
use ssh_tokio::{
    Client, ConnectOptions, FixedUsers, Handler, HostKeys, Login, Server, ServerOptions,
    StartLimits, Trust,
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the process is told to be the server for.
const SERVER: &str = "SSH_BENCH_SERVER";
/// How many log in at a time.
const AT_A_TIME: usize = 32;
/// After so long everybody has given back what an idle connection does not need.
const SETTLE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let mut numbers = env::args().filter_map(|word| word.parse().ok());
    let connections = numbers.next_back().unwrap_or(10_000);
    let result = match env::var_os(SERVER) {
        Some(_) => serve(connections),
        None => compare(connections),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle: {error}");
            ExitCode::FAILURE
        }
    }
}

fn host_key() -> SigningKey {
    SigningKey::ed25519(&[7; 32])
}

fn user_key() -> SigningKey {
    SigningKey::ed25519(&[8; 32])
}

fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// Resident KiB and CPU seconds of this process.
fn used() -> Result<(f64, f64), Failure> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).ok_or("no pages in statm")?;
    let resident = pages.parse::<f64>()? * rustix::param::page_size() as f64 / 1024.0;
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    Ok((resident, cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9))
}

// --- the server --------------------------------------------------------------------------------

struct Nothing;

impl Handler for Nothing {}

/// Tells its address, and then, for each line that it reads, what it uses.
fn serve(connections: usize) -> Result<(), Failure> {
    let line = PublicKeyLine {
        key: user_key().public_key().clone(),
        comment: String::new(),
    };
    let keys = Arc::new(AuthorizedKeys::parse(format!("{line}\n").as_bytes()));
    let users = move |_| FixedUsers::new().with_keys("alice", keys.clone());
    let mut starts = StartLimits::new(2 * AT_A_TIME);
    starts.per_source = starts.full;
    let options = ServerOptions::new(HostKeys::new([host_key()])?, users)
        .connections(connections + 1)
        .starts(starts);
    runtime()?.block_on(async {
        let (server, address) = Server::bind("127.0.0.1:0", options, Nothing).await?;
        println!("{address}");
        loop {
            let asked = tokio::task::spawn_blocking(|| {
                let mut line = String::new();
                io::stdin().read_line(&mut line).is_ok_and(|n| n > 0)
            });
            if !asked.await? {
                return Ok(());
            }
            let (resident, cpu) = used()?;
            println!("{resident} {cpu} {}", server.connections());
        }
    })
}

// --- the client --------------------------------------------------------------------------------

struct Other {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Other {
    fn start(connections: usize) -> Result<(Self, SocketAddr), Failure> {
        let mut child = Command::new(env::current_exe()?)
            .env(SERVER, "1")
            .arg(connections.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut answers = BufReader::new(stdout);
        let mut address = String::new();
        answers.read_line(&mut address)?;
        let address = address.trim().parse()?;
        Ok((Self { child, answers }, address))
    }

    /// Resident KiB, CPU seconds, connections.
    fn used(&mut self) -> Result<(f64, f64, usize), Failure> {
        let stdin = self.child.stdin.as_mut().ok_or("no standard input")?;
        stdin.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let [resident, cpu, connections] = words.as_slice() else {
            return Err("the server has gone".into());
        };
        Ok((resident.parse()?, cpu.parse()?, connections.parse()?))
    }
}

fn compare(connections: usize) -> Result<(), Failure> {
    let (mut server, address) = Other::start(connections)?;
    let runtime = runtime()?;
    let one = runtime.block_on(connect(address))?;
    let before = (server.used()?, used()?);
    let began = Instant::now();
    let clients = runtime.block_on(connect_all(address, connections))?;
    let took = began.elapsed().as_secs_f64();
    let busy = (server.used()?, used()?);
    runtime.block_on(async { tokio::time::sleep(SETTLE).await });
    let after = (server.used()?, used()?);
    if after.0.2 != connections + 1 || clients.iter().any(|client| client.ended().is_some()) {
        return Err("a connection has ended".into());
    }
    let many = connections as f64;
    println!(
        "{connections} connections, {:.0} logins a second together\n",
        many / took
    );
    println!("| connections | side | logins per second of a core | idle, KiB each |");
    println!("|---|---|---|---|");
    let line = |side: &str, cpu: f64, memory: f64| {
        println!(
            "| {connections} | {side} | {:.0} | {:.1} |",
            many / cpu,
            memory / many
        );
    };
    line("server", busy.0.1 - before.0.1, after.0.0 - before.0.0);
    line("client", busy.1.1 - before.1.1, after.1.0 - before.1.0);
    drop((one, clients));
    drop(server.child.stdin.take());
    server.child.wait()?;
    Ok(())
}

async fn connect(address: SocketAddr) -> Result<Client, Failure> {
    let trust = Trust::pinned([host_key().public_key().fingerprint()]);
    let login = Login::new("alice", trust).key(user_key());
    Ok(Client::connect_tcp(address, ConnectOptions::new(login)).await?)
}

async fn connect_all(address: SocketAddr, connections: usize) -> Result<Vec<Client>, Failure> {
    let mut clients = Vec::with_capacity(connections);
    let mut arriving = JoinSet::new();
    for _ in 0..connections {
        if arriving.len() == AT_A_TIME
            && let Some(client) = arriving.join_next().await
        {
            clients.push(client??);
        }
        arriving.spawn(connect(address));
    }
    while let Some(client) = arriving.join_next().await {
        clients.push(client??);
    }
    Ok(clients)
}
