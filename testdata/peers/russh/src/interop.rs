//! russh as a client and as a server that are tested.

#[path = "../../interop.rs"]
mod interop;

mod client;
mod server;

use std::borrow::Cow;
use std::process::ExitCode;
use std::time::Duration;

use interop::{Failure, Options};
use russh::{Limits, Preferred, cipher, compression, kex, mac};

/// Messages of a channel that may wait to be read: more than there are in a test. When as many wait,
/// russh 0.65 stops to read, also when it waits for the answer to its own KEXINIT behind them.
const CHANNEL_BUFFER: usize = 1_000;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next();
    let result = Options::parse(arguments).and_then(|options| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        match role.as_deref() {
            Some("client") => runtime.block_on(client::run(options)),
            Some("server") => runtime.block_on(server::run(options)),
            _ => Err("a client or a server?".into()),
        }
    });
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(255)
        }
    }
}

/// The lists: what was given, or all that there is, or the default.
fn preferred(options: &Options) -> Result<Preferred, Failure> {
    let mut preferred = Preferred::DEFAULT.clone();
    let everything = options.has("everything");
    let markers = [
        kex::EXTENSION_SUPPORT_AS_CLIENT,
        kex::EXTENSION_SUPPORT_AS_SERVER,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
    ];
    let all = kex::ALL_KEX_ALGORITHMS;
    if let Some(mut names) = choose(list(options, "kex"), everything, all)? {
        names.retain(|name| *name != kex::NONE);
        names.extend(markers);
        preferred.kex = Cow::Owned(names);
    }
    let all = cipher::ALL_CIPHERS;
    if let Some(mut names) = choose(list(options, "ciphers"), everything, all)? {
        names.retain(|name| *name != cipher::NONE && *name != cipher::CLEAR);
        preferred.cipher = Cow::Owned(names);
    }
    let all = mac::ALL_MAC_ALGORITHMS;
    if let Some(mut names) = choose(list(options, "macs"), everything, all)? {
        names.retain(|name| *name != mac::NONE);
        preferred.mac = Cow::Owned(names);
    }
    let all = compression::ALL_COMPRESSION_ALGORITHMS;
    if let Some(names) = choose(None, everything, all)? {
        preferred.compression = Cow::Owned(names);
    }
    Ok(preferred)
}

fn choose<N: Copy + for<'a> TryFrom<&'a str>>(
    given: Option<Vec<&str>>,
    everything: bool,
    all: &[&N],
) -> Result<Option<Vec<N>>, Failure> {
    match given {
        Some(names) => {
            let name = |name: &str| N::try_from(name).map_err(|_| format!("no {name}"));
            Ok(Some(names.into_iter().map(name).collect::<Result<_, _>>()?))
        }
        None => Ok(everything.then(|| all.iter().map(|name| **name).collect())),
    }
}

/// When keys are exchanged.
fn limits(options: &Options) -> Result<Limits, Failure> {
    let limits = Limits::default();
    let bytes = number(options, "rekey-bytes")?;
    let bytes = bytes.unwrap_or(limits.rekey_write_limit);
    let seconds = number(options, "rekey-seconds")?;
    let time = seconds.map_or(limits.rekey_time_limit, |n| Duration::from_secs(n as u64));
    Ok(Limits::new(bytes, bytes, time))
}

/// The names of a list that was given.
fn list<'o>(options: &'o Options, name: &str) -> Option<Vec<&'o str>> {
    let value = options.all(name).first()?;
    Some(value.split(',').collect())
}

/// A number that was given.
fn number(options: &Options, name: &str) -> Result<Option<usize>, Failure> {
    let value = options.all(name).first().map(|value| value.parse());
    Ok(value.transpose()?)
}
