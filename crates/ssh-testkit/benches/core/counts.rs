//! Instructions per packet and per login, counted by `valgrind --tool=callgrind` of this program.
//!
//! Valgrind shows a program an older CPU: no SHA-NI, no VAES. Nothing here can therefore be compared
//! with a time or with another program; what it is good for is this program before and after a
//! change, to the instruction and on a machine that is busy with other things.
//!
//! Only what runs within one function is counted. To whom an instruction belongs is told by the
//! source file it was compiled from, so inlining changes nothing; what comes from the standard
//! library counts for the function that it was inlined into.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, iter};

use super::pair::{Ends, Protection, Setup, open_all, prepare, reserve_all, send_all};

/// What is counted: a word for the child, a function, and how often it does what is counted.
struct Scenario {
    what: &'static str,
    protection: &'static str,
    size: usize,
}

/// The functions of [`pair`](super::pair) that are counted.
const FUNCTIONS: [(&str, &str); 5] = [
    ("opened", "open_all"),
    ("sent", "send_all"),
    ("reserved", "reserve_all"),
    ("client", "client_work"),
    ("server", "server_work"),
];
const GCM: &str = "aes128-gcm@openssh.com";
const LOGINS: usize = 4;

fn scenarios() -> Vec<Scenario> {
    let data = ["opened", "sent", "reserved"];
    let sizes = [64, 1024, 32 * 1024];
    let mut all: Vec<Scenario> = sizes
        .iter()
        .flat_map(|&size| data.map(|what| (what, GCM, size)))
        .chain(
            [
                "chacha20-poly1305@openssh.com",
                "aes128-ctr + hmac-sha2-256-etm@openssh.com",
            ]
            .iter()
            .flat_map(|name| ["opened", "sent"].map(|what| (what, *name, 1024))),
        )
        .chain(["client", "server"].map(|what| (what, GCM, 0)))
        .map(|(what, protection, size)| Scenario {
            what,
            protection,
            size,
        })
        .collect();
    all.sort_by_key(|scenario| scenario.size == 0);
    all
}

/// How many packets of a size.
const fn packets(size: usize) -> usize {
    if size > 4096 { 64 } else { 512 }
}

pub(crate) fn table() {
    let found = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !found.is_ok_and(|status| status.success()) {
        println!("\nInstructions: not counted, valgrind is not there");
        return;
    }
    println!("\nInstructions, on the CPU that valgrind shows\n");
    println!("| per | protection | the core | crypto crates | libc | all |");
    println!("|---|---|---|---|---|---|");
    for scenario in scenarios() {
        match scenario.count() {
            Ok(counts) => println!("{}", scenario.row(counts)),
            Err(error) => println!("not counted: {error}"),
        }
    }
}

/// What the child does.
pub(crate) fn scenario(words: &str) {
    let mut words = words.split(':');
    let mut word = || words.next().expect("what:protection:size");
    let (what, name, size) = (word(), word(), word().parse().expect("a size"));
    let protection = Protection::all()
        .into_iter()
        .find(|protection| protection.name() == name)
        .expect("a protection");
    let packets = packets(size);
    let setup = Setup::new(protection).classical();
    prepare();
    match what {
        "opened" => {
            let recording = Ends::connected(setup).record(size, packets);
            let mut client = recording.client();
            open_all(&mut client, &mut recording.data().to_vec());
        }
        "sent" | "reserved" => {
            let (mut server, id) = Ends::connected(setup.boundless()).sender();
            let per_drain = 1 + (65536 - size.max(256)) / protection.packet_len(size);
            // Each after the other: the buffer has grown by then.
            if what == "sent" {
                reserve_all(&mut server, id, size, packets, per_drain);
                send_all(&mut server, id, &vec![7; size], packets, per_drain);
            } else {
                send_all(&mut server, id, &vec![7; size], packets, per_drain);
                reserve_all(&mut server, id, size, packets, per_drain);
            }
        }
        _ => {
            for _ in 0..LOGINS {
                drop(Ends::connected(Setup::new(protection).login_only()));
            }
        }
    }
}

/// Instructions by owner.
#[derive(Clone, Copy, Default)]
struct Counts {
    core: u64,
    crypto: u64,
    libc: u64,
    /// Of the bench itself.
    bench: u64,
}

impl Scenario {
    fn row(&self, counts: Counts) -> String {
        let (per, times) = match self.size {
            0 => (format!("login of a {}", self.what), LOGINS),
            size => (
                format!("packet {} of {size} bytes", self.what),
                packets(size),
            ),
        };
        let [core, crypto, libc] = [counts.core, counts.crypto, counts.libc]
            .map(|count| (count as f64 / times as f64).round() as u64);
        let all = core + crypto + libc;
        format!(
            "| {per} | {} | {core} | {crypto} | {libc} | {all} |",
            self.protection
        )
    }

    fn count(&self) -> Result<Counts, Box<dyn std::error::Error>> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let out = target.join(format!("callgrind.{}", std::process::id()));
        let function = FUNCTIONS.iter().find(|(what, _)| *what == self.what);
        let (_, function) = function.ok_or("no such function")?;
        let status = Command::new("valgrind")
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--toggle-collect=*pair::{function}"))
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(env::current_exe()?)
            .arg("count")
            .arg(format!("{}:{}:{}", self.what, self.protection, self.size))
            .stderr(Stdio::null())
            .status()?;
        let report = fs::read_to_string(&out).unwrap_or_default();
        fs::remove_file(&out).ok();
        if !status.success() {
            return Err(format!("valgrind: {status}").into());
        }
        Ok(parse(&report))
    }
}

/// Sums the instructions of a report up by who they belong to.
fn parse(report: &str) -> Counts {
    let mut counts = Counts::default();
    let (mut files, mut functions) = (Names::default(), Names::default());
    let (mut file, mut function) = (String::new(), String::new());
    let mut lines = report.lines();
    while let Some(line) = lines.next() {
        if let Some((key, value)) = line.split_once('=') {
            match key {
                "fl" | "fi" | "fe" => file = files.take(value),
                "cfi" | "cfl" => drop(files.take(value)),
                "fn" => function = functions.take(value),
                "cfn" => drop(functions.take(value)),
                // The line after it is what the called function costs, which is counted there.
                "calls" => drop(lines.next()),
                _ => {}
            }
            continue;
        }
        let position = line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c));
        let cost = line
            .split(' ')
            .nth(1)
            .and_then(|cost| cost.parse::<u64>().ok());
        if let Some(cost) = cost.filter(|_| position) {
            *counts.owner(&file, &function) += cost;
        }
    }
    counts
}

impl Counts {
    fn owner(&mut self, file: &str, function: &str) -> &mut u64 {
        const LIBC: [&str; 8] = [
            "mem",
            "__mem",
            "malloc",
            "free",
            "_int",
            "realloc",
            "calloc",
            "unlink_chunk",
        ];
        if file.contains("/ssh-proto/src/") {
            &mut self.core
        } else if file.contains("/registry/src/") || function.contains("ring_core") {
            &mut self.crypto
        } else if file.contains("/benches/") {
            &mut self.bench
        } else if LIBC.iter().any(|name| function.starts_with(name)) {
            &mut self.libc
        } else if function.contains("ssh_proto") {
            &mut self.core
        } else if function.contains("pair::") || function.contains("ssh_testkit") {
            &mut self.bench
        } else if function.starts_with("__rust") || function.contains("alloc::alloc") {
            &mut self.libc
        } else {
            &mut self.crypto
        }
    }
}

/// Names are written out once, as `(3) name`, and then called `(3)`.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn take(&mut self, value: &str) -> String {
        let (id, name) = value.split_once(' ').unwrap_or((value, ""));
        if name.is_empty() {
            self.0.get(id).cloned().unwrap_or_default()
        } else {
            self.0.extend(iter::once((id.to_owned(), name.to_owned())));
            name.to_owned()
        }
    }
}
