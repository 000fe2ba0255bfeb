//! A whole SSH session, and what happens in it.
//!
//! ```text
//! session                                        against a server in this very process
//! session -- user@host[:port] [options] [command...]
//!     -i FILE             a private key
//!     --known-hosts FILE  instead of ~/.ssh/known_hosts
//!     --fingerprint F     trust exactly this host key (SHA256:...)
//!     --password-env NAME take the password from this environment variable
//!     --preset NAME       which algorithms are offered: hardened, default, legacy
//!     --set LIST=NAMES    changes a list, as in --set ciphers=^aes128-gcm@openssh.com
//! ```
//!
//! Without a command it starts a shell on a terminal. What goes wrong is one line on standard
//! error, and the exit status is not zero; otherwise the status is that of the command.

mod demo;
mod progress;
mod real;
mod terminal;

use std::process::ExitCode;

use ssh_blocking::Observer;
use ssh_proto::Identification;
use ssh_proto::escape::Escaped;
use ssh_proto::kex::{Choice, Negotiated, NegotiationReport};
use ssh_proto::key::{Fingerprint, PublicKey};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = if arguments.is_empty() {
        demo::run().map(|()| 0)
    } else {
        real::Request::parse(&arguments)
            .map_err(Into::into)
            .and_then(|request| real::run(&request))
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("session: {error}");
            ExitCode::from(255)
        }
    }
}

/// Anything that ends the program with one line.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is to be said against what was agreed.
pub(crate) fn doubts(agreed: &Negotiated) -> Vec<String> {
    let weak = agreed
        .deprecated()
        .map(|(slot, name)| format!("{slot}: {name} is known to be weak"));
    let truncation = agreed.prefix_truncation_possible().then(|| {
        "messages may have been removed from the handshake (CVE-2023-48795): the server does not \
         know strict key exchange"
            .to_owned()
    });
    weak.chain(truncation).collect()
}

/// Tells the user what happens on the connection.
pub(crate) struct Narrator {
    /// Also what was agreed, and the keys.
    pub(crate) verbose: bool,
}

impl Observer for Narrator {
    fn identified(&mut self, server: &Identification) {
        if self.verbose {
            println!("  server: {server}");
        }
    }

    fn negotiated(&mut self, report: &NegotiationReport) {
        if !self.verbose {
            return;
        }
        for slot in &report.slots {
            let choice = match slot.choice {
                Choice::BothPrefer(name) => format!("{name} (both prefer it)"),
                Choice::ClientPrefers(name) => {
                    format!("{name} (the client's first that the server has)")
                }
                Choice::CipherIsAead => "none needed, the cipher checks integrity".into(),
                other => format!("{other:?}"),
            };
            println!("  {:>28}: {choice}", slot.slot.to_string());
        }
    }

    fn host_key(&mut self, key: &PublicKey, fingerprint: &Fingerprint) {
        if self.verbose {
            println!("  host key: {} {fingerprint}", key.key_type());
        }
    }

    fn keys_exchanged(&mut self) {
        if self.verbose {
            println!("  new keys are in use");
        }
    }

    fn banner(&mut self, message: &[u8]) {
        for line in message.split(|&byte| byte == b'\n') {
            if !line.is_empty() {
                eprintln!("{}", Escaped(line.strip_suffix(b"\r").unwrap_or(line)));
            }
        }
    }

    fn debug(&mut self, message: &[u8]) {
        if self.verbose {
            println!("  the server says: {}", Escaped(message));
        }
    }
}
