//! Clients beside each other, in turns, against one local sshd: 64 bytes there and back, and a
//! gibibyte each way. Ours over std and over tokio, OpenSSH's `ssh`, `russh` and `ssh2` (libssh2).
//!
//! ```text
//! cargo bench -p ssh-testkit --bench peers [-- [echo] [bulk] [all | NAME...] [no-ssh2] [RUNS [TRIPS [MIB]]]]
//! ```
//!
//! With `all`, every cipher and MAC that ours and russh both have, or those of these names; otherwise
//! two protections.
//! Each client is a process of its own. Those of other people are workspaces of their own under
//! `testdata/peers/`, built here; one that cannot be built is left out with a note. `ssh` is
//! measured through the pipes of its standard input and output, which is how a program uses it: its
//! round trips hold two hops more than those of the others, its CPU does not.

#[path = "../../../testdata/peers/measure.rs"]
mod measure;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, iter, thread};

use measure::{Failure, Job, PIECE, PING, Trips, What, bulk_report};
use ssh_client::{Login, Trust};
use ssh_keys::load_private;
use ssh_proto::algorithm::{CipherAlgorithm, MacAlgorithm};
use ssh_proto::config::ClientConfig;
use ssh_testkit::peers::{OpenSshClient, Server, ServerOptions, Sshd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Which of ours this process is to be.
const CHILD: &str = "SSH_BENCH_CLIENT";
/// What is compared: a cipher and, where it needs one, a MAC.
const PROTECTIONS: [(&str, &str); 2] = [
    ("aes128-gcm@openssh.com", "-"),
    ("aes128-ctr", "hmac-sha2-256-etm@openssh.com"),
];
const AEADS: [&str; 3] = [
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
];
const CIPHERS: [&str; 3] = ["aes128-ctr", "aes192-ctr", "aes256-ctr"];
const MACS: [&str; 4] = [
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-512",
];
/// How long one client may take.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let result = match env::var(CHILD).as_deref() {
        Ok("blocking") => Job::parse(env::args().skip(1)).and_then(|job| blocking(&job)),
        Ok(_) => Job::parse(env::args().skip(1)).and_then(tokio),
        Err(_) => compare(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

// --- the comparison ----------------------------------------------------------------------------

struct Contestant {
    name: &'static str,
    kind: Kind,
}

enum Kind {
    /// This program again.
    Ours(&'static str),
    Ssh,
    Built(PathBuf),
}

fn compare() -> Result<(), Failure> {
    let words: Vec<String> = env::args().skip(1).collect();
    let numbers: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let number = |n: usize, default| numbers.get(n).copied().unwrap_or(default);
    let (runs, trips, mib) = (number(0, 5), number(1, 20_000), number(2, 1024));
    let said = |what: &str| words.iter().any(|word| word == what);
    let wanted = |what: &str| {
        let other = if what == "echo" { "bulk" } else { "echo" };
        said(what) || !said(other)
    };
    let mut protections = PROTECTIONS.to_vec();
    let named =
        |(cipher, mac): &(&str, &str)| words.iter().any(|word| word == cipher || word == mac);
    let mut every = AEADS.map(|cipher| (cipher, "-")).to_vec();
    every.extend(
        MACS.iter()
            .flat_map(|mac| CIPHERS.map(|cipher| (cipher, *mac))),
    );
    if said("all") {
        protections = every;
    } else if every.iter().any(named) {
        every.retain(named);
        protections = every;
    }
    let (sshd, _) = match (Sshd::find(), OpenSshClient::find()) {
        (Ok(sshd), Ok(ssh)) => (sshd, ssh),
        (Err(missing), _) | (_, Err(missing)) => {
            println!("not measured: {missing}");
            return Ok(());
        }
    };
    let mut all = vec![
        Contestant {
            name: "ssh-blocking",
            kind: Kind::Ours("blocking"),
        },
        Contestant {
            name: "ssh-tokio",
            kind: Kind::Ours("tokio"),
        },
        Contestant {
            name: "ssh",
            kind: Kind::Ssh,
        },
    ];
    let without = if said("no-ssh2") { 1 } else { 2 };
    for name in ["russh", "ssh2"].into_iter().take(without) {
        match build(name) {
            Ok(program) => all.push(Contestant {
                name,
                kind: Kind::Built(program),
            }),
            Err(error) => println!("{name} is left out: {error}"),
        }
    }
    let server = sshd.start(&ServerOptions::default())?;
    if wanted("echo") {
        println!(
            "64 bytes there and back, {trips} times, best (and median) of {runs} runs in turns\n"
        );
        println!("| protection | client | median us | p99 us | CPU us of the client |");
        println!("|---|---|---|---|---|");
        for protection in protections.iter().copied() {
            round(&all, &server, protection, What::Echo(trips), runs);
        }
    }
    if wanted("bulk") {
        println!(
            "\n{mib} MiB, CPU seconds of the client for each GiB, best of {runs} runs in turns\n"
        );
        let names: Vec<&str> = all.iter().map(|contestant| contestant.name).collect();
        println!("| protection | direction | {} |", names.join(" | "));
        println!("|---|---|{}", "---|".repeat(names.len()));
        for protection in protections {
            for what in [What::Down(mib << 20), What::Up(mib << 20)] {
                round(&all, &server, protection, what, runs);
            }
        }
    }
    Ok(())
}

/// All contestants in turns, and a line for each.
fn round(all: &[Contestant], server: &Server, protection: (&str, &str), what: What, runs: usize) {
    let mut results: Vec<Vec<Vec<f64>>> = all.iter().map(|_| Vec::new()).collect();
    for _ in 0..runs {
        for (contestant, results) in all.iter().zip(&mut results) {
            match contestant.run(server, protection, what) {
                Ok(numbers) => results.push(numbers),
                Err(error) => eprintln!("{}: {error}", contestant.name),
            }
        }
    }
    let name = match protection {
        (cipher, "-") => cipher.to_owned(),
        (cipher, mac) => format!("{cipher} + {mac}"),
    };
    let column = |results: &[Vec<f64>], n: usize| {
        let mut column: Vec<f64> = results.iter().filter_map(|r| r.get(n).copied()).collect();
        column.sort_by(f64::total_cmp);
        column
    };
    let (way, bytes) = match what {
        What::Echo(_) => {
            for (contestant, results) in all.iter().zip(&results) {
                // Other work on the machine only adds: the best run says most, the median how much
                // it was.
                let shown = [0, 1, 2].map(|n| match &*column(results, n) {
                    [] => "-".to_owned(),
                    column => format!("{:.1} ({:.1})", column[0], column[column.len() / 2]),
                });
                println!("| {name} | {} | {} |", contestant.name, shown.join(" | "));
            }
            return;
        }
        What::Down(bytes) => ("down", bytes),
        What::Up(bytes) => ("up", bytes),
    };
    let gibibytes = bytes as f64 / f64::from(1 << 30);
    let cells = results.iter().map(|results| match &*column(results, 0) {
        [] => "-".to_owned(),
        [best, ..] => format!("{:.2}", best / gibibytes),
    });
    let cells: Vec<String> = cells.collect();
    println!("| {name} | {way} | {} |", cells.join(" | "));
}

/// Builds a client that other people wrote the better part of.
fn build(name: &str) -> Result<PathBuf, Failure> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata/peers")
        .join(name)
        .join("Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers");
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--locked",
            "--quiet",
            "--manifest-path",
        ])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .status()?;
    if !status.success() {
        return Err(format!("its build failed: {status}").into());
    }
    Ok(target.join("release").join(format!("peer-{name}")))
}

impl Contestant {
    fn run(
        &self,
        server: &Server,
        (cipher, mac): (&str, &str),
        what: What,
    ) -> Result<Vec<f64>, Failure> {
        let (way, number) = match what {
            What::Echo(n) => ("echo", n),
            What::Down(n) => ("down", n),
            What::Up(n) => ("up", n),
        };
        let job: [String; 7] = [
            server.address().to_string(),
            server.user().to_owned(),
            server.client_key().private_path().display().to_string(),
            cipher.to_owned(),
            mac.to_owned(),
            way.to_owned(),
            number.to_string(),
        ];
        let mut command = match &self.kind {
            Kind::Ours(which) => {
                let mut command = Command::new(env::current_exe()?);
                command.env(CHILD, which);
                command
            }
            Kind::Ssh => {
                let report = ssh(&Job::parse(job.into_iter())?)?;
                return Ok(report);
            }
            Kind::Built(program) => Command::new(program),
        };
        let child = command
            .args(job)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        numbers(&finish(child)?)
    }
}

fn numbers(report: &str) -> Result<Vec<f64>, Failure> {
    let words = report.split_whitespace();
    Ok(words.map(str::parse).collect::<Result<_, _>>()?)
}

/// What it has printed, when it has ended.
fn finish(mut child: Child) -> Result<String, Failure> {
    let patience = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        if Instant::now() > patience {
            child.kill()?;
            child.wait()?;
            return Err("it took too long".into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("it failed: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

// --- OpenSSH -----------------------------------------------------------------------------------

/// CPU time of a process with one thread; nothing else tells about one child to the microsecond.
fn cpu_of(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/schedstat")).unwrap_or_default();
    let nanos = stat
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn ssh(job: &Job) -> Result<Vec<f64>, Failure> {
    let (address, port) = job.address.rsplit_once(':').ok_or("no port")?;
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "/dev/null", "-T", "-o", "BatchMode=yes"])
        .args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .args([
            "-o",
            "LogLevel=ERROR",
            "-o",
            "IdentitiesOnly=yes",
            "-c",
            &job.cipher,
        ])
        .args(["-l", &job.user, "-p", port, "-i", &job.key]);
    if let Some(mac) = &job.mac {
        ssh.args(["-m", mac]);
    }
    ssh.arg(address).arg(job.command());
    match job.what {
        What::Down(_) => ssh.stdin(Stdio::null()).stdout(Stdio::null()),
        What::Up(_) => ssh.stdin(Stdio::piped()).stdout(Stdio::null()),
        What::Echo(_) => ssh.stdin(Stdio::piped()).stdout(Stdio::piped()),
    };
    // What the server says at its log level of tests.
    let mut child = ssh.stderr(Stdio::null()).spawn()?;
    let id = child.id();
    if let Some((stdin, stdout)) = child.stdin.as_mut().zip(child.stdout.as_mut())
        && let What::Echo(trips) = job.what
    {
        let mut trips = Trips::of(trips, || cpu_of(id));
        let mut buffer = [0; PING.len()];
        while trips.more() {
            stdin.write_all(&PING)?;
            stdout.read_exact(&mut buffer)?;
            trips.back();
        }
        let report = trips.report();
        drop(child.stdin.take());
        finish(child)?;
        return numbers(&report);
    }
    if let (Some(mut stdin), What::Up(bytes)) = (child.stdin.take(), job.what) {
        for _ in 0..bytes / PIECE.len() {
            stdin.write_all(&PIECE)?;
        }
    }
    // Its entry under /proc outlives it until it is waited for.
    let patience = Instant::now() + PATIENCE;
    while !is_zombie(id) {
        if Instant::now() > patience {
            child.kill()?;
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    let used = cpu_of(id).as_secs_f64();
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("it failed: {status}").into());
    }
    Ok(vec![used])
}

fn is_zombie(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_none_or(|(_, rest)| rest.starts_with('Z'))
}

// --- ours --------------------------------------------------------------------------------------

fn config(job: &Job) -> Result<ClientConfig, Failure> {
    let cipher = CipherAlgorithm::from_name(&job.cipher).ok_or("an unknown cipher")?;
    let mut config = ClientConfig::default();
    let algorithms = &mut config.transport.algorithms;
    algorithms.ciphers_client_to_server = vec![cipher];
    algorithms.ciphers_server_to_client = vec![cipher];
    if let Some(mac) = &job.mac {
        let mac = MacAlgorithm::from_name(mac).ok_or("an unknown MAC")?;
        algorithms.macs_client_to_server = vec![mac];
        algorithms.macs_server_to_client = vec![mac];
    }
    Ok(config)
}

fn login(job: &Job) -> Result<Login, Failure> {
    let pair = load_private(&fs::read(&job.key)?, None)?;
    Ok(Login::new(&*job.user, Trust::dangerous_accept_any()).key(pair.private))
}

fn blocking(job: &Job) -> Result<(), Failure> {
    let options = ssh_blocking::ConnectOptions::new(login(job)?).config(config(job)?);
    let client = ssh_blocking::Client::connect(&*job.address, options)?;
    let mut channel = client.open_session()?;
    channel.exec(job.command())?;
    match job.what {
        What::Echo(trips) => {
            let mut trips = Trips::new(trips);
            let mut buffer = [0; PING.len()];
            while trips.more() {
                channel.write_all(&PING)?;
                channel.read_exact(&mut buffer)?;
                trips.back();
            }
            println!("{}", trips.report());
        }
        What::Down(bytes) => {
            let mut buffer = vec![0; PIECE.len()];
            let mut total = 0;
            while total < bytes {
                match channel.read(&mut buffer)? {
                    0 => return Err("bytes are missing".into()),
                    n => total += n,
                }
            }
            println!("{}", bulk_report());
        }
        What::Up(bytes) => {
            for piece in iter::repeat_n(&PIECE, bytes / PIECE.len()) {
                channel.write_all(piece)?;
            }
            channel.send_eof()?;
            channel.wait()?;
            println!("{}", bulk_report());
        }
    }
    client.disconnect();
    Ok(())
}

/// In a task, as services are: the future of `block_on` is polled a round later than its wake-up.
fn tokio(job: Job) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(runtime.spawn(async move {
        let options = ssh_tokio::ConnectOptions::new(login(&job)?).config(config(&job)?);
        let client = ssh_tokio::Client::connect_tcp(&*job.address, options).await?;
        let mut channel = client.open_session().await?;
        channel.exec(job.command()).await?;
        match job.what {
            What::Echo(trips) => {
                let mut trips = Trips::new(trips);
                let mut buffer = [0; PING.len()];
                while trips.more() {
                    channel.write_all(&PING).await?;
                    channel.read_exact(&mut buffer).await?;
                    trips.back();
                }
                println!("{}", trips.report());
            }
            What::Down(bytes) => {
                let mut buffer = vec![0; PIECE.len()];
                let mut total = 0;
                while total < bytes {
                    match channel.read(&mut buffer).await? {
                        0 => return Err("bytes are missing".into()),
                        n => total += n,
                    }
                }
                println!("{}", bulk_report());
            }
            What::Up(bytes) => {
                for piece in iter::repeat_n(&PIECE, bytes / PIECE.len()) {
                    channel.write_all(piece).await?;
                }
                channel.send_eof()?;
                channel.wait().await?;
                println!("{}", bulk_report());
            }
        }
        client.disconnect().await;
        Ok(())
    }))?
}
