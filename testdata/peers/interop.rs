//! What the programs around Rust libraries that are tested have in common: their arguments, which
//! are those of the programs around Python libraries (`python/arguments.py` says what they do), and
//! how a server ends. Included by path.

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::thread;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Whoever has new keys in use writes this to standard error.
pub(crate) const KEYS_EXCHANGED: &str = "[keys exchanged]";

/// What a program is told.
pub(crate) struct Options {
    words: HashMap<String, Vec<String>>,
    /// What a client is to execute.
    pub(crate) command: String,
}

impl Options {
    /// Takes `--name value` again and again, `--everything`, and the command behind `--`.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut words = HashMap::<String, Vec<String>>::new();
        let mut command = String::new();
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                command = arguments.next().unwrap_or_default();
                break;
            }
            let name = argument.strip_prefix("--").ok_or("not an option")?;
            let value = match name {
                "everything" => String::new(),
                _ => arguments.next().ok_or("a value is missing")?,
            };
            words.entry(name.to_owned()).or_default().push(value);
        }
        Ok(Self { words, command })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.words.contains_key(name)
    }

    /// All values of that name.
    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.words.get(name).map_or(&[], Vec::as_slice)
    }

    /// The value of that name.
    pub(crate) fn one(&self, name: &str) -> Result<&str, Failure> {
        match self.all(name) {
            [value] => Ok(value),
            _ => Err(format!("--{name} is wanted once").into()),
        }
    }

    /// A server's name and port.
    pub(crate) fn server(&self) -> Result<SocketAddr, Failure> {
        Ok(format!("{}:{}", self.one("host")?, self.one("port")?).parse()?)
    }

    /// Refuses what this library cannot be told, rather than leave it out.
    pub(crate) fn refuse(&self, names: &[&str]) -> Result<(), Failure> {
        match names.iter().find(|name| self.has(name)) {
            Some(name) => Err(format!("it cannot be told --{name}").into()),
            None => Ok(()),
        }
    }
}

/// The keys in a file of authorized keys or known hosts, in base64: what begins as all do.
pub(crate) fn blobs(file: &str) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(file)?;
    let words = text
        .split_whitespace()
        .filter(|word| word.starts_with("AAAA"));
    Ok(words.map(str::to_owned).collect())
}

/// All that a client is to send.
pub(crate) fn given() -> Result<Vec<u8>, Failure> {
    let mut given = Vec::new();
    std::io::stdin().read_to_end(&mut given)?;
    Ok(given)
}

/// Ends this process when its standard input ends: the test is gone.
pub(crate) fn end_with_input() {
    thread::spawn(|| {
        let mut buffer = [0; 64];
        while std::io::stdin().read(&mut buffer).is_ok_and(|n| n > 0) {}
        std::process::exit(0);
    });
}
