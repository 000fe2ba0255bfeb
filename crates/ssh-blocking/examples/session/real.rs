//! The session with a real server.

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

use ssh_blocking::{AlgorithmList, Channel, Client, ConnectOptions, ExitStatus, Preset, Pty};
use ssh_client::{Login, Trust};
use ssh_keys::known_hosts::KnownHosts;
use ssh_keys::{KeyFileError, SigningKey, load_private};
use ssh_proto::key::Fingerprint;
use ssh_proto::message::TerminalModes;
use ssh_proto::mux::Stream;

use crate::terminal::{self, Raw};
use crate::{Failure, Narrator, doubts};

const USAGE: &str = "usage: session [-- user@host[:port] [-i key] [--known-hosts file] \
                     [--fingerprint SHA256:...] [--password-env name] [--preset name] \
                     [--set list=names]... [command...]]";

/// What the command line asks for.
pub(crate) struct Request {
    user: String,
    host: String,
    port: u16,
    key: Option<PathBuf>,
    known_hosts: Option<PathBuf>,
    fingerprint: Option<Fingerprint>,
    password_env: Option<String>,
    preset: Preset,
    lists: Vec<(AlgorithmList, String)>,
    command: String,
}

impl Request {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut words = arguments.iter().map(String::as_str).peekable();
        let target = words.next().ok_or(USAGE)?;
        let (user, address) = target.split_once('@').ok_or(USAGE)?;
        let (host, port) = split_port(address)?;
        if user.is_empty() || host.is_empty() || target.starts_with('-') {
            return Err(USAGE.into());
        }
        let mut request = Self {
            user: user.into(),
            host: host.into(),
            port,
            key: None,
            known_hosts: None,
            fingerprint: None,
            password_env: None,
            preset: Preset::default(),
            lists: Vec::new(),
            command: String::new(),
        };
        while let Some(option) = words.next_if(|word| word.starts_with('-')) {
            let value = words
                .next()
                .ok_or_else(|| format!("{option} needs a value"))?;
            match option {
                "-i" => request.key = Some(value.into()),
                "--known-hosts" => request.known_hosts = Some(value.into()),
                "--fingerprint" => {
                    let parsed = value.parse().map_err(|e| format!("--fingerprint: {e}"))?;
                    request.fingerprint = Some(parsed);
                }
                "--password-env" => request.password_env = Some(value.into()),
                "--preset" => {
                    request.preset = value.parse().map_err(|e| format!("--preset: {e}"))?;
                }
                "--set" => {
                    let (list, names) = value.split_once('=').ok_or(USAGE)?;
                    let list = list.parse().map_err(|e| format!("--set: {e}"))?;
                    request.lists.push((list, names.into()));
                }
                _ => return Err(format!("unknown option {option}; {USAGE}")),
            }
        }
        request.command = words.collect::<Vec<_>>().join(" ");
        Ok(request)
    }

    fn trust(&self) -> Result<Trust, Failure> {
        if let Some(fingerprint) = self.fingerprint {
            return Ok(Trust::pinned([fingerprint]));
        }
        let (path, required) = match &self.known_hosts {
            Some(path) => (path.clone(), true),
            None => (home()?.join(".ssh/known_hosts"), false),
        };
        let known = match fs::read(&path) {
            Ok(contents) => KnownHosts::parse(&contents),
            Err(error) if !required && error.kind() == io::ErrorKind::NotFound => {
                KnownHosts::parse(b"")
            }
            Err(error) => return Err(format!("{}: {error}", path.display()).into()),
        };
        Ok(Trust::known_hosts(known, &self.host, self.port).refuse_unknown())
    }

    fn keys(&self) -> Result<Vec<SigningKey>, Failure> {
        if let Some(path) = &self.key {
            return Ok(vec![read_key(path)?]);
        }
        let mut keys = Vec::new();
        for name in ["id_ed25519", "id_ecdsa", "id_rsa"] {
            let Ok(home) = home() else { break };
            let path = home.join(".ssh").join(name);
            // Keys that were not named are a convenience: what cannot be used is left out.
            if let Ok(contents) = fs::read(&path)
                && let Ok(pair) = load_private(&contents, None)
            {
                keys.push(pair.private);
            }
        }
        Ok(keys)
    }
}

fn split_port(address: &str) -> Result<(&str, u16), String> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(USAGE)?;
            (host, rest.strip_prefix(':'))
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = port.map_or(Ok(22), str::parse);
    Ok((
        host,
        port.map_err(|_| format!("{address}: the port is not a number below 65536"))?,
    ))
}

fn home() -> Result<PathBuf, Failure> {
    std::env::var_os("HOME")
        .map(PathBuf::from)
        .ok_or_else(|| "HOME is not set".into())
}

fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    let name = path.display();
    let contents = fs::read(path).map_err(|error| format!("{name}: {error}"))?;
    let pair = match load_private(&contents, None) {
        Err(KeyFileError::Encrypted { .. }) => {
            let passphrase = terminal::password(&format!("passphrase of {name}"))
                .ok_or_else(|| format!("{name}: the key needs a passphrase"))?;
            load_private(&contents, Some(passphrase.as_bytes()))
        }
        other => other,
    };
    Ok(pair.map_err(|error| format!("{name}: {error}"))?.private)
}

/// Runs the session; returns the exit status of what ran.
pub(crate) fn run(request: &Request) -> Result<u8, Failure> {
    let mut login = Login::new(request.user.as_str(), request.trust()?);
    for key in request.keys()? {
        login = login.key(key);
    }
    if let Some(name) = &request.password_env {
        let password = std::env::var(name).map_err(|_| format!("{name} is not set"))?;
        login = login.password(password);
    } else if io::stdin().is_terminal() {
        login = login.ask_password(3);
    }
    let who = format!("password of {}@{}", request.user, request.host);
    let mut options = ConnectOptions::new(login)
        .preset(request.preset)
        .connect_timeout(Some(Duration::from_secs(15)))
        .keepalive(Duration::from_secs(30), 3)
        .on_password(move |_| terminal::password(&who))
        .observer(Narrator { verbose: false });
    for (list, names) in &request.lists {
        options = options.algorithms(*list, names)?;
    }
    let client = Client::connect((request.host.as_str(), request.port), options)?;
    for doubt in client.negotiated().iter().flat_map(doubts) {
        eprintln!("warning: {doubt}");
    }
    let channel = client.open_session()?;
    let exit = if request.command.is_empty() {
        shell(&channel)?
    } else {
        channel.exec(&request.command)?;
        relay(&channel, None)?
    };
    client.disconnect();
    match exit {
        ExitStatus::Exited(status) => Ok(u8::try_from(status).unwrap_or(255)),
        ended => Err(ended.to_string().into()),
    }
}

fn shell(channel: &Channel) -> Result<ExitStatus, Failure> {
    let size = terminal::size();
    let raw = Raw::enter()?;
    if raw.is_some() {
        let term = std::env::var("TERM").unwrap_or_else(|_| "vt100".into());
        channel.pty(&Pty {
            term: &term,
            size,
            modes: TerminalModes::EMPTY,
        })?;
    }
    channel.shell()?;
    let exit = relay(channel, raw.is_some().then_some(size));
    drop(raw);
    exit
}

/// Carries standard input there and both outputs back until the program ends.
fn relay(
    channel: &Channel,
    mut size: Option<ssh_proto::message::TerminalSize>,
) -> Result<ExitStatus, Failure> {
    static DONE: AtomicBool = AtomicBool::new(false);
    let input = channel.clone();
    // Not joined: a read of standard input cannot be interrupted, and the program ends anyway.
    thread::spawn(move || {
        let mut buffer = vec![0; 32 * 1024];
        let mut stdin = io::stdin().lock();
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(n) => {
                    if (&input).write_all(&buffer[..n]).is_err() {
                        return;
                    }
                }
            }
        }
        let _ = input.send_eof();
    });
    if size.is_some() {
        let window = channel.clone();
        thread::spawn(move || {
            while !DONE.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(200));
                let now = terminal::size();
                if size != Some(now) && window.window_change(now).is_ok() {
                    size = Some(now);
                }
            }
        });
    }
    let mut buffer = vec![0; 64 * 1024];
    let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
    while let Some((stream, n)) = channel.read_any(&mut buffer)? {
        if stream == Stream::Data {
            stdout.write_all(&buffer[..n])?;
            stdout.flush()?;
        } else {
            stderr.write_all(&buffer[..n])?;
        }
    }
    let exit = channel.wait()?;
    DONE.store(true, Ordering::Relaxed);
    Ok(exit)
}
