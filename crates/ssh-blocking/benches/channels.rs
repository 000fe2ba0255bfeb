//! What many channels cost: the same amount over one channel and over eight of one connection, in
//! turns. Client and server are this process, so their processor time is counted together; every
//! byte is compared where it arrives. Printed is the median of the ratios of the runs.
//!
//! ```text
//! cargo bench -p ssh-blocking --bench channels [-- RUNS [MIB]]
//! ```

#[path = "../tests/bodies/transfer.rs"]
mod transfer;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use ssh_blocking::{
    Client, ConnectOptions, FixedUsers, HostKeys, Login, Required, Server, ServerOptions, Trust,
};
use ssh_keys::SigningKey;
use ssh_proto::config::Methods;
use transfer::{Direction, Patterns, carry};

/// What the body knows of the driver.
mod driver {
    pub(crate) use ssh_blocking::{Client, Handler, Start};
}

type Failure = Box<dyn std::error::Error>;

const MANY: u8 = 8;

fn main() -> ExitCode {
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("channels: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<(), Failure> {
    let numbers: Vec<usize> = env::args().filter_map(|word| word.parse().ok()).collect();
    let runs = numbers.first().copied().unwrap_or(5).max(1);
    let mib = numbers.get(1).copied().unwrap_or(1024).max(1);
    if cpu_time().is_none() {
        println!("not measured: this system does not tell the processor time of a process");
        return Ok(());
    }

    let host_key = SigningKey::ed25519(&[1; 32]);
    let trust = Trust::pinned([host_key.public_key().fingerprint()]);
    let users = |_: SocketAddr| FixedUsers::new().with_password("alice", String::from("secret"));
    let options = ServerOptions::new(HostKeys::new([host_key])?, users)
        .required(Required::AnyOf(Methods::PASSWORD));
    let server = Server::bind("127.0.0.1:0", options, Patterns)?;
    let login = Login::new("alice", trust).password(String::from("secret"));
    let client = Client::connect(server.local_addr(), ConnectOptions::new(login))?;

    println!("{mib} MiB, client and server together, user + system seconds, {runs} runs in turns");
    println!("| direction | one channel | {MANY} channels | ratio | MiB/s of one | of {MANY} |");
    println!("|---|---|---|---|---|---|");
    for (way, direction) in [("up", Direction::Up), ("down", Direction::Down)] {
        let (mut one, mut many, mut ratios) = (Sample::default(), Sample::default(), Vec::new());
        for _ in 0..runs {
            let of_one = one.take(&client, direction, 1, mib)?;
            let of_many = many.take(&client, direction, MANY, mib)?;
            ratios.push(of_many / of_one);
        }
        println!(
            "| {way} | {:.2} | {:.2} | {:.2} | {:.0} | {:.0} |",
            median(one.processor),
            median(many.processor),
            median(ratios),
            median(one.rate),
            median(many.rate),
        );
    }
    Ok(())
}

/// What was measured of one number of channels.
#[derive(Default)]
struct Sample {
    /// Seconds.
    processor: Vec<f64>,
    /// MiB/s.
    rate: Vec<f64>,
}

impl Sample {
    /// One run. Returns its processor time.
    fn take(
        &mut self,
        client: &Client,
        direction: Direction,
        channels: u8,
        mib: usize,
    ) -> Result<f64, Failure> {
        let (began, before) = (Instant::now(), cpu_time());
        carry(client, direction, channels, mib << 20);
        let took = began.elapsed().as_secs_f64();
        let (before, after) = before.zip(cpu_time()).ok_or("no processor time")?;
        let processor = after.saturating_sub(before).as_secs_f64();
        self.processor.push(processor);
        self.rate.push(mib as f64 / took);
        Ok(processor)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

/// What this process has used so far, user and system, in hundredths of a second. `None` where
/// there is no /proc.
fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}
