//! A thousand clients that never log in, beside fifty that want to: how long do these take, and how
//! much memory does the server? Server and load are a process each.
//!
//! ```text
//! cargo bench -p ssh-testkit --bench crowd [-- HOSTILE [HONEST]]
//! ```
//!
//! The hostile ones are of seven kinds in equal numbers, each from an address of its own in
//! 127.0.0.0/8 (where the system has all of it), or all from one; whoever is cut off comes back.
//! Both processes need a descriptor for each connection: `ulimit -n`.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use rustix::time::{ClockId, clock_gettime};
use ssh_keys::authorized_keys::AuthorizedKeys;
use ssh_keys::{PublicKeyLine, SigningKey};
use ssh_proto::client::{ClientEvent, Credential};
use ssh_proto::config::ClientConfig;
use ssh_proto::{Instant as CoreInstant, RecvBuf, Wants};
use ssh_testkit::rng::SeededRandom;
use ssh_tokio::{
    Client, ConnectOptions, FixedUsers, Handler, HostKeys, Login, Server, ServerOptions,
    StartLimits, Trust,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the process is told to be the server for: how many logins it takes at a time.
const SERVER: &str = "SSH_BENCH_SERVER";
/// One honest client begins after the other.
const PACE: Duration = Duration::from_millis(100);
/// Hostile ones are back after this.
const BACK: Duration = Duration::from_secs(2);
/// How long the hostile ones are alone, to take what they can get.
const SETTLE: Duration = Duration::from_secs(4);
/// How often an honest client tries, and when it tries again.
const TRIES: usize = 20;
const AGAIN: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let result = match env::var(SERVER) {
        Ok(limits) => serve(&limits),
        Err(_) => compare(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crowd: {error}");
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
fn serve(limits: &str) -> Result<(), Failure> {
    let line = PublicKeyLine {
        key: user_key().public_key().clone(),
        comment: String::new(),
    };
    let keys = Arc::new(AuthorizedKeys::parse(format!("{line}\n").as_bytes()));
    let users = move |_| FixedUsers::new().with_keys("alice", keys.clone());
    let mut options = ServerOptions::new(HostKeys::new([host_key()])?, users);
    if let Ok(most) = limits.parse() {
        let mut starts = StartLimits::new(most);
        starts.per_source = most;
        options = options.connections(2 * most).starts(starts);
    }
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

/// The server, as its clients see it.
struct Other {
    child: Child,
    answers: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Other {
    fn start(limits: &str) -> Result<Self, Failure> {
        let mut child = Command::new(env::current_exe()?)
            .env(SERVER, limits)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut answers = BufReader::new(stdout);
        let mut address = String::new();
        answers.read_line(&mut address)?;
        let address = address.trim().parse()?;
        Ok(Self {
            child,
            answers,
            address,
        })
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

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

// --- the clients -------------------------------------------------------------------------------

/// Where hostile clients come from.
#[derive(Clone, Copy, Debug)]
enum Sources {
    Many,
    One,
}

impl Sources {
    fn of(self, n: u32) -> Ipv4Addr {
        match self {
            Self::Many => Ipv4Addr::from(0x7f01_0000 + 1 + n),
            Self::One => Ipv4Addr::new(127, 9, 9, 9),
        }
    }
}

/// What became of hostile connections.
#[derive(Debug, Default)]
struct Tally {
    begun: std::cell::Cell<usize>,
    /// Cut off before the server had said a word.
    refused: std::cell::Cell<usize>,
    /// Cut off later.
    cut: std::cell::Cell<usize>,
}

fn add(cell: &std::cell::Cell<usize>) {
    cell.set(cell.get() + 1);
}

async fn connect_from(source: Ipv4Addr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((source, 0)))?;
    socket.connect(address).await
}

/// Comes, does what its kind does, waits until it is cut off, and comes back.
async fn hostile(n: u32, source: Ipv4Addr, address: SocketAddr, tally: Rc<Tally>) {
    sleep(Duration::from_millis(u64::from(n % 1000) * 2)).await;
    loop {
        if let Ok(mut stream) = connect_from(source, address).await {
            add(&tally.begun);
            let mut first = [0; 1];
            let heard = timeout(Duration::from_secs(30), stream.read(&mut first)).await;
            if matches!(heard, Ok(Ok(1))) {
                let _ = misbehave(n, &mut stream).await;
                let mut rest = [0; 4096];
                while matches!(stream.read(&mut rest).await, Ok(1..)) {}
                add(&tally.cut);
            } else {
                add(&tally.refused);
            }
        }
        sleep(BACK).await;
    }
}

/// One of seven ways.
async fn misbehave(n: u32, stream: &mut TcpStream) -> io::Result<()> {
    const LINE: &[u8] = b"SSH-2.0-crowd\r\n";
    match n % 7 {
        // Silent.
        0 => {}
        // A byte a second.
        1 => {
            for byte in LINE.iter().chain(&[0; 100]) {
                stream.write_all(&[*byte]).await?;
                sleep(Duration::from_secs(1)).await;
            }
        }
        // Stops after KEXINIT.
        2 => {
            let mut client = client(n);
            let output = client.output().to_vec();
            stream.write_all(&output).await?;
        }
        // Stops after the key exchange.
        3 => exchange(n, stream, 0).await?,
        // IGNORE without end: as many as it may.
        4 => {
            stream.write_all(LINE).await?;
            let mut packet = vec![0, 0, 0, 12, 6, 2, 0, 0, 0, 0];
            packet.resize(16, 0);
            loop {
                stream.write_all(&packet).await?;
                sleep(Duration::from_millis(20)).await;
            }
        }
        // Wrong passwords.
        5 => exchange(n, stream, usize::MAX).await?,
        // The largest packet but for its last byte.
        _ => {
            stream.write_all(LINE).await?;
            let mut packet = vec![0; 34_999];
            packet[..6].copy_from_slice(&[0, 0, 0x88, 0xac, 4, 2]);
            stream.write_all(&packet).await?;
        }
    }
    Ok(())
}

fn client(n: u32) -> ssh_proto::Client {
    let random = SeededRandom::new(u64::from(n));
    ssh_proto::Client::new(ClientConfig::default(), Box::new(random)).expect("a client")
}

/// Exchanges keys, and tries so many passwords. One byte of the server's line was read before.
async fn exchange(n: u32, stream: &mut TcpStream, passwords: usize) -> io::Result<()> {
    let mut client = client(n);
    let mut rx = RecvBuf::new();
    rx.push(b"S");
    let mut left = passwords;
    loop {
        let output = client.output().to_vec();
        stream.write_all(&output).await?;
        client.consume_output(output.len());
        while let Some(event) = client.poll_event(&mut rx.batch(), CoreInstant::EPOCH) {
            match event {
                ClientEvent::HostKey { decision, .. } => client.trust(decision).expect("mine"),
                ClientEvent::Authenticate { token, .. } if left > 0 => {
                    left -= 1;
                    let wrong = Credential::Password("wrong");
                    client.authenticate(token, "alice", wrong).expect("mine");
                }
                ClientEvent::Authenticate { .. } | ClientEvent::Ended(_) => return Ok(()),
                _ => {}
            }
        }
        if client.has_output() {
            continue;
        }
        match client.wants() {
            Wants::Bytes(need) => {
                let read = stream.read(rx.spare(need)).await?;
                if read == 0 {
                    return Ok(());
                }
                rx.filled(read);
            }
            Wants::Batch => {}
            _ => return Ok(()),
        }
    }
}

/// Logs in, however often it must try. Seconds and tries.
async fn honest(address: SocketAddr) -> (Option<Client>, f64, usize) {
    let began = Instant::now();
    for attempt in 1..=TRIES {
        let trust = Trust::pinned([host_key().public_key().fingerprint()]);
        let login = Login::new("alice", trust).key(user_key());
        let options = ConnectOptions::new(login);
        let client = Client::connect_tcp(address, options);
        if let Ok(Ok(client)) = timeout(Duration::from_secs(5), client).await {
            return (Some(client), began.elapsed().as_secs_f64(), attempt);
        }
        sleep(AGAIN).await;
    }
    (None, began.elapsed().as_secs_f64(), TRIES)
}

/// What the honest ones met with.
struct Outcome {
    seconds: Vec<f64>,
    tries: usize,
    shut_out: usize,
}

impl Outcome {
    async fn of(honest_ones: usize, address: SocketAddr) -> (Self, Vec<Client>) {
        let mut arriving = JoinSet::new();
        for n in 0..honest_ones {
            arriving.spawn(async move {
                sleep(PACE * u32::try_from(n).unwrap_or(0)).await;
                honest(address).await
            });
        }
        let (mut outcome, mut clients) = (
            Self {
                seconds: Vec::new(),
                tries: 0,
                shut_out: 0,
            },
            Vec::new(),
        );
        while let Some(Ok((client, seconds, tries))) = arriving.join_next().await {
            outcome.tries += tries;
            match client {
                Some(client) => {
                    outcome.seconds.push(seconds);
                    clients.push(client);
                }
                None => outcome.shut_out += 1,
            }
        }
        outcome.seconds.sort_by(f64::total_cmp);
        (outcome, clients)
    }

    fn at(&self, share: f64) -> f64 {
        let at = (self.seconds.len() as f64 * share) as usize;
        let last = self.seconds.len().saturating_sub(1);
        self.seconds.get(at.min(last)).map_or(f64::NAN, |s| s * 1e3)
    }
}

fn compare() -> Result<(), Failure> {
    let numbers: Vec<usize> = env::args().filter_map(|word| word.parse().ok()).collect();
    let crowd = numbers.first().copied().unwrap_or(1000);
    let honest_ones = numbers.get(1).copied().unwrap_or(50).max(1);
    println!(
        "| places for logins | hostile | in | tries each | ms to log in, p50 | p99 | hostile begun \
         | cut off before a word | server, KiB before | most | after | CPU s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let wide = (crowd + 100).to_string();
    for (limits, hostile, sources) in [
        ("default", 0, Sources::Many),
        ("default", crowd, Sources::One),
        ("default", crowd, Sources::Many),
        (&wide, crowd, Sources::Many),
    ] {
        scene(limits, hostile, sources, honest_ones)?;
    }
    Ok(())
}

fn scene(limits: &str, crowd: usize, sources: Sources, honest_ones: usize) -> Result<(), Failure> {
    let mut server = Other::start(limits)?;
    let address = server.address;
    let tally = Rc::new(Tally::default());
    let runtime = runtime()?;
    // One login, so that what is made once is there.
    let (_, first) = runtime.block_on(async {
        let (outcome, clients) = Outcome::of(1, address).await;
        (outcome, clients.len())
    });
    if first != 1 {
        return Err("nobody gets in".into());
    }
    let before = server.used()?;
    let mut most = before.0;
    let local = LocalSet::new();
    let outcome = local.block_on(&runtime, async {
        let mut bad = Vec::new();
        for n in 0..u32::try_from(crowd)? {
            let source = sources.of(n);
            let hostile = hostile(n, source, address, tally.clone());
            bad.push(tokio::task::spawn_local(hostile));
        }
        if crowd > 0 {
            sleep(SETTLE).await;
        }
        most = most.max(server.used()?.0);
        let (outcome, clients) = Outcome::of(honest_ones, address).await;
        most = most.max(server.used()?.0);
        let stay = clients.iter().filter(|c| c.ended().is_none()).count();
        if stay != clients.len() {
            return Err::<_, Failure>("one who was in was thrown out".into());
        }
        for task in bad {
            task.abort();
        }
        drop(clients);
        sleep(Duration::from_secs(3)).await;
        Ok(outcome)
    })?;
    let after = server.used()?;
    let hostile = match (crowd, sources) {
        (0, _) => "none".to_owned(),
        (n, Sources::One) => format!("{n} from one address"),
        (n, Sources::Many) => format!("{n} from as many addresses"),
    };
    println!(
        "| {limits} | {hostile} | {} of {honest_ones} | {:.2} | {:.1} | {:.1} | {} | {} | {:.0} | \
         {most:.0} | {:.0} | {:.1} |",
        outcome.seconds.len(),
        outcome.tries as f64 / honest_ones as f64,
        outcome.at(0.5),
        outcome.at(0.99),
        tally.begun.get(),
        tally.refused.get(),
        before.0,
        after.0,
        after.1 - before.1,
    );
    if outcome.shut_out > 0 {
        println!("({} gave up)", outcome.shut_out);
    }
    Ok(())
}
