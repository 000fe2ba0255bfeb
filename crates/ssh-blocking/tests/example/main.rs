//! The main job with a real server: the example `session` against sshd, as a person would run it.
//! `cargo test` builds the example; before `cargo test --test example` do that with
//! `cargo build --example session`, or an older one is tested.

mod shell;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Output, Stdio};

use libtest_mimic::Trial;
use ssh_testkit::harness::{self, peer_test};
use ssh_testkit::peers::{PeerError, Server, ServerOptions, Sshd, TempDir};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    harness::run(tests()).exit_code()
}

fn tests() -> Vec<Trial> {
    vec![
        peer_test("a_command_on_sshd", Sshd::find, |sshd| Ok(command(&sshd)?)),
        peer_test("algorithms_are_chosen_by_name", Sshd::find, |sshd| {
            Ok(algorithms(&sshd)?)
        }),
        peer_test("what_goes_wrong_is_one_line", Sshd::find, |sshd| {
            Ok(wrong(&sshd)?)
        }),
        peer_test("a_shell_on_sshd", shell::find, |sshd| {
            Ok(shell::test(&sshd)?)
        }),
    ]
}

/// `target/PROFILE/examples/session`, seen from `target/PROFILE/deps/example-...`.
fn program() -> PathBuf {
    let mut path = std::env::current_exe().expect("a test is a file");
    path.pop();
    path.pop();
    path.join("examples").join("session")
}

struct Setup {
    server: Server,
    home: TempDir,
}

impl Setup {
    fn new(sshd: &Sshd) -> Result<Self, PeerError> {
        Self::with(sshd, &ServerOptions::default())
    }

    fn with(sshd: &Sshd, options: &ServerOptions) -> Result<Self, PeerError> {
        Ok(Self {
            server: sshd.start(options)?,
            home: TempDir::new()?,
        })
    }

    fn target(&self) -> String {
        format!("{}@{}", self.server.user(), self.server.address())
    }

    /// A line of known_hosts for the server.
    fn known_hosts(&self) -> Result<PathBuf, std::io::Error> {
        let address = self.server.address();
        let key = self.server.host_keys()[0].public_line();
        let line = format!("[{}]:{} {key}\n", address.ip(), address.port());
        let path = self.home.path().join("known_hosts");
        std::fs::write(&path, line)?;
        Ok(path)
    }

    /// The arguments of somebody who may log in.
    fn welcome(&self) -> Result<Vec<String>, std::io::Error> {
        let key = self.server.client_key().private_path();
        Ok(vec![
            self.target(),
            "-i".into(),
            key.display().to_string(),
            "--known-hosts".into(),
            self.known_hosts()?.display().to_string(),
        ])
    }

    /// Runs the example without a terminal.
    fn run(&self, arguments: &[String]) -> Result<Output, std::io::Error> {
        Command::new(program())
            .args(arguments)
            .env("HOME", self.home.path())
            .env("SECRET", "wrong")
            .stdin(Stdio::null())
            .output()
    }
}

fn command(sshd: &Sshd) -> Outcome {
    let setup = Setup::new(sshd)?;
    let mut arguments = setup.welcome()?;
    arguments.push("echo out; echo err >&2; exit 7".into());
    let output = setup.run(&arguments)?;
    assert_eq!(output.stdout, b"out\n", "{output:?}");
    // Before it sshd has noise of its own there.
    assert!(output.stderr.ends_with(b"err\n"), "{output:?}");
    assert_eq!(output.status.code(), Some(7));
    Ok(())
}

/// What is asked for is spoken: sshd says so in its log.
fn algorithms(sshd: &Sshd) -> Outcome {
    let setup = Setup::new(sshd)?;
    let cases: [(&[&str], &str); 3] = [
        (
            &["--preset", "hardened", "--set", "kex=curve25519-sha256"],
            "kex: algorithm: curve25519-sha256 ",
        ),
        (
            &["--set", "kex=^*@libssh.org", "--preset", "legacy"],
            "kex: algorithm: curve25519-sha256@libssh.org ",
        ),
        (
            &["--set", "ciphers=aes192-ctr", "--set", "macs=hmac-sha2-512"],
            "kex: client->server cipher: aes192-ctr MAC: hmac-sha2-512 compression: none ",
        ),
    ];
    for (options, spoken) in cases {
        let mut arguments = setup.welcome()?;
        arguments.extend(options.iter().map(|&word| word.to_owned()));
        arguments.push("true".into());
        let output = setup.run(&arguments)?;
        assert_eq!(output.status.code(), Some(0), "{options:?}: {output:?}");
        let log = setup.server.log();
        assert!(log.contains(spoken), "{options:?}: {log}");
    }
    Ok(())
}

fn wrong(sshd: &Sshd) -> Outcome {
    let setup = Setup::new(sshd)?;
    let welcome = setup.welcome()?;
    let with = |change: fn(&mut Vec<String>)| {
        let mut arguments = welcome.clone();
        change(&mut arguments);
        arguments.push("true".into());
        arguments
    };
    let cases = [
        (
            "not logged in",
            with(|a| {
                a.splice(1..3, ["--password-env".to_owned(), "SECRET".to_owned()]);
            }),
        ),
        ("is not known", with(|a| a[4] = "/dev/null".into())),
        ("No such file", with(|a| a[2] = "/nonexistent".into())),
        ("refused", with(|a| a[0] = "nobody@127.0.0.1:1".into())),
        (
            "\"aes265-ctr\" is no cipher",
            with(|a| a.extend(["--set".into(), "ciphers=+aes265-ctr".into()])),
        ),
        (
            "there is no list \"cypher\"",
            with(|a| a.extend(["--set".into(), "cypher=aes256-ctr".into()])),
        ),
        (
            "\"harder\" is no preset",
            with(|a| a.extend(["--preset".into(), "harder".into()])),
        ),
        (
            "nothing would be left",
            with(|a| a.extend(["--set".into(), "compression=-none".into()])),
        ),
        ("usage", vec!["nobody".into()]),
    ];
    for (what, arguments) in cases {
        let output = setup.run(&arguments)?;
        let line = String::from_utf8_lossy(&output.stderr);
        assert!(line.contains(what), "{what}: {line}");
        assert_eq!(line.lines().count(), 1, "{what}: {line}");
        assert_eq!(output.status.code(), Some(255), "{what}");
        assert!(output.stdout.is_empty(), "{what}");
    }
    Ok(())
}
