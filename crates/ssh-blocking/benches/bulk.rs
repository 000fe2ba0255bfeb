//! How much CPU a gibibyte costs: this driver and OpenSSH's `ssh`, in turns, against one local
//! sshd. Printed are user and system seconds of the client process alone, the best of the runs.
//!
//! ```text
//! cargo bench -p ssh-blocking --bench bulk [-- RUNS [MIB]]
//! ```

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use ssh_blocking::{Client, ConnectOptions};
use ssh_client::{Login, Trust};
use ssh_keys::load_private;
use ssh_proto::algorithm::{CipherAlgorithm, MacAlgorithm};
use ssh_proto::config::ClientConfig;
use ssh_testkit::peers::{OpenSshClient, Server, ServerOptions, Sshd};

type Failure = Box<dyn std::error::Error>;

/// What the process is told to be a client for.
const CHILD: &str = "SSH_BENCH_CLIENT";
/// What is compared: a cipher and, where it needs one, a MAC.
const PROTECTIONS: [(&str, Option<&str>); 4] = [
    ("aes128-gcm@openssh.com", None),
    ("aes256-gcm@openssh.com", None),
    ("chacha20-poly1305@openssh.com", None),
    ("aes128-ctr", Some("hmac-sha2-256-etm@openssh.com")),
];

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Down,
    Up,
}

fn main() -> ExitCode {
    let result = match env::var(CHILD) {
        Ok(job) => client(&job),
        Err(_) => compare(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bulk: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<(), Failure> {
    let numbers: Vec<u64> = env::args().filter_map(|word| word.parse().ok()).collect();
    let runs = numbers.first().copied().unwrap_or(3);
    let mib = numbers.get(1).copied().unwrap_or(1024);
    let (sshd, _) = match (Sshd::find(), OpenSshClient::find()) {
        (Ok(sshd), Ok(ssh)) => (sshd, ssh),
        (Err(missing), _) | (_, Err(missing)) => {
            println!("not measured: {missing}");
            return Ok(());
        }
    };
    let server = sshd.start(&ServerOptions::default())?;
    println!("{mib} MiB, client process alone, user + system seconds, best of {runs} in turns");
    println!("| protection | direction | ssh-blocking | ssh | ratio |");
    println!("|---|---|---|---|---|");
    for (cipher, mac) in PROTECTIONS {
        for direction in [Direction::Down, Direction::Up] {
            let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
            for _ in 0..runs {
                ours = ours.min(cpu(own_client(&server, cipher, mac, direction, mib)?, mib)?);
                theirs = theirs.min(cpu(openssh(&server, cipher, mac, direction, mib)?, mib)?);
            }
            let name = mac.map_or_else(|| cipher.to_owned(), |mac| format!("{cipher} + {mac}"));
            let way = if direction == Direction::Down {
                "down"
            } else {
                "up"
            };
            println!(
                "| {name} | {way} | {ours:.2} | {theirs:.2} | {:.2} |",
                ours / theirs
            );
        }
    }
    Ok(())
}

fn command(direction: Direction, mib: u64) -> String {
    match direction {
        Direction::Down => format!("head -c {mib}M /dev/zero"),
        Direction::Up => "cat > /dev/null".to_owned(),
    }
}

/// This program again, as a client.
fn own_client(
    server: &Server,
    cipher: &str,
    mac: Option<&str>,
    direction: Direction,
    mib: u64,
) -> Result<Child, Failure> {
    let way = if direction == Direction::Down {
        "down"
    } else {
        "up"
    };
    let key = server.client_key().private_path().display().to_string();
    let job = [
        server.address().to_string(),
        server.user().to_owned(),
        key,
        cipher.to_owned(),
        mac.unwrap_or_default().to_owned(),
        way.to_owned(),
        mib.to_string(),
    ];
    Ok(Command::new(env::current_exe()?)
        .env(CHILD, job.join("\n"))
        .stdin(Stdio::null())
        .spawn()?)
}

fn openssh(
    server: &Server,
    cipher: &str,
    mac: Option<&str>,
    direction: Direction,
    mib: u64,
) -> Result<Child, Failure> {
    let mut ssh = Command::new("ssh");
    ssh.args([
        "-F",
        "/dev/null",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=no",
    ])
    .args([
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
        "-T",
    ])
    .args([
        "-o",
        "IdentitiesOnly=yes",
        "-c",
        cipher,
        "-l",
        server.user(),
    ])
    .arg("-i")
    .arg(server.client_key().private_path())
    .args(["-p", &server.address().port().to_string()]);
    if let Some(mac) = mac {
        ssh.args(["-m", mac]);
    }
    ssh.arg("127.0.0.1")
        .arg(command(direction, mib))
        .stdout(Stdio::null());
    if direction == Direction::Down {
        return Ok(ssh.stdin(Stdio::null()).spawn()?);
    }
    let mut child = ssh.stdin(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or("no standard input")?;
    thread::spawn(move || {
        let zeros = vec![0; 1 << 20];
        for _ in 0..mib {
            if stdin.write_all(&zeros).is_err() {
                return;
            }
        }
    });
    Ok(child)
}

/// User and system seconds of a child when it has ended. Its entry under /proc outlives it until
/// it is waited for, and nothing else tells about one child alone without unsafe code.
fn cpu(mut child: Child, mib: u64) -> Result<f64, Failure> {
    const TICKS: f64 = 100.0;
    let path = format!("/proc/{}/stat", child.id());
    let patience = Instant::now() + Duration::from_secs(30 + mib / 4);
    loop {
        let stat = fs::read_to_string(&path)?;
        let fields = stat.rsplit_once(") ").ok_or("no fields in stat")?.1;
        let fields: Vec<&str> = fields.split(' ').collect();
        if fields.first() == Some(&"Z") {
            let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok());
            let (user, system) = ticks(11).zip(ticks(12)).ok_or("no times in stat")?;
            let status = child.wait()?;
            if !status.success() {
                return Err(format!("a client failed: {status}").into());
            }
            return Ok((user + system) / TICKS);
        }
        if Instant::now() > patience {
            child.kill()?;
            return Err("a client took too long".into());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn client(job: &str) -> Result<(), Failure> {
    let job: Vec<&str> = job.split('\n').collect();
    let [address, user, key, cipher, mac, way, mib] = job.as_slice() else {
        return Err("a malformed job".into());
    };
    let mib: u64 = mib.parse()?;
    let cipher = CipherAlgorithm::from_name(cipher).ok_or("an unknown cipher")?;
    let mut config = ClientConfig::default();
    let algorithms = &mut config.transport.algorithms;
    algorithms.ciphers_client_to_server = vec![cipher];
    algorithms.ciphers_server_to_client = vec![cipher];
    if let Some(mac) = MacAlgorithm::from_name(mac) {
        algorithms.macs_client_to_server = vec![mac];
        algorithms.macs_server_to_client = vec![mac];
    }
    let pair = load_private(&fs::read(key)?, None)?;
    let login = Login::new(*user, Trust::dangerous_accept_any()).key(pair.private);
    let client = Client::connect(*address, ConnectOptions::new(login).config(config))?;
    let mut channel = client.open_session()?;
    if *way == "down" {
        channel.exec(command(Direction::Down, mib))?;
        let mut buffer = vec![0; 256 * 1024];
        let mut total = 0;
        loop {
            match channel.read(&mut buffer)? {
                0 => break,
                n => total += n as u64,
            }
        }
        if total != mib << 20 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    } else {
        channel.exec(command(Direction::Up, mib))?;
        let zeros = vec![0; 256 * 1024];
        for _ in 0..mib * 4 {
            channel.write_all(&zeros)?;
        }
        channel.send_eof()?;
    }
    let exit = channel.wait()?;
    if !exit.success() {
        return Err(exit.to_string().into());
    }
    client.disconnect();
    Ok(())
}
