//! sunset as a client and as a server that are tested.
//!
//! A client of sunset never says that it is done sending, and a server of sunset neither that, nor how
//! a command ended, nor that the channel is closed: commands know how much they get, and whoever asks
//! for one knows how much it answers.

#[path = "../../interop.rs"]
mod interop;

mod client;
mod server;

use std::process::ExitCode;

use base64ct::{Base64, Encoding};
use interop::{Failure, KEYS_EXCHANGED, Options};
use sunset::packets::PubKey;
use sunset::{SignKey, sshwire};
use tokio::task::LocalSet;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next();
    // What neither role can be told. There is one list of each, with all that sunset has.
    let lists = [
        "password",
        "kex",
        "ciphers",
        "macs",
        "rekey-bytes",
        "rekey-seconds",
    ];
    let result = Options::parse(arguments).and_then(|options| {
        options.refuse(&lists)?;
        log::set_logger(&Log)?;
        log::set_max_level(log::LevelFilter::Debug);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let local = LocalSet::new();
        match role.as_deref() {
            Some("client") => local.block_on(&runtime, client::run(options)),
            Some("server") => local.block_on(&runtime, server::run(options)),
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

/// Standard error.
struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let text = record.args().to_string();
        eprintln!("{}: {text}", record.target());
        // Once for every exchange; nothing is said of NEWKEYS.
        if text == "Hostkey signature is valid" {
            eprintln!("{KEYS_EXCHANGED}");
        }
    }

    fn flush(&self) {}
}

/// As in a line of authorized_keys.
fn blob(key: &PubKey<'_>) -> Result<String, sunset::Error> {
    let mut blob = Vec::new();
    sshwire::ssh_push_vec(&mut blob, key)?;
    Ok(Base64::encode_string(&blob))
}

fn load(file: &str) -> Result<SignKey, Failure> {
    SignKey::from_openssh(std::fs::read(file)?).map_err(|error| format!("{file}: {error}").into())
}
