//! Clients of others against our server.
//!
//! Our side offers one algorithm and the peer all that it has; a server of ours costs nothing, so
//! that every row has its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::driver::{
    Connect, Error, FixedUsers, Handler, HostKeys, Server, ServerChannel, ServerOptions, Session,
    Start,
};
use ssh_keys::authorized_keys::AuthorizedKeys;
use ssh_keys::load_private;
use ssh_proto::ServerConfig;
use ssh_proto::auth::AuthenticatedBy;
use ssh_proto::error::{End, Error as CoreError, Stage};
use ssh_testkit::peers::{
    AsyncSshClient, ClientOptions, Credential, Dbclient, KeyPair, KeyType, OpenSshClient, Output,
    PATIENCE, PeerError, TempDir,
};

use super::matrix::{Column, Peer, Results, Row, Trouble, same};
use super::payload::{self, Echo, LONG, REKEY_BYTES, SIZE, STATUS};

const USER: &str = "tester";

/// A client of somebody else.
pub(crate) enum PeerClient {
    OpenSsh(OpenSshClient),
    Dropbear(Dbclient),
    AsyncSsh(AsyncSshClient),
}

impl PeerClient {
    fn run(
        &self,
        options: &ClientOptions,
        command: &str,
        input: &[u8],
    ) -> Result<Output, PeerError> {
        match self {
            Self::OpenSsh(peer) => peer.run(options, command, input),
            Self::Dropbear(peer) => peer.run(options, command, input),
            Self::AsyncSsh(peer) => peer.run(options, command, input),
        }
    }

    /// Connects its input and output to `target`, by way of the server.
    fn tunnel(
        &self,
        options: &ClientOptions,
        target: SocketAddr,
        input: &[u8],
    ) -> Result<Output, PeerError> {
        let dir = TempDir::new()?;
        let mut options = options.clone();
        let mut add = |flag: &str| options.extra.extend([flag.to_owned(), target.to_string()]);
        match self {
            Self::OpenSsh(peer) => {
                add("-W");
                peer.spawn(&dir, &options, &[])?.communicate(input)
            }
            Self::Dropbear(peer) => {
                add("-B");
                peer.spawn(&dir, &options, &[])?.communicate(input)
            }
            Self::AsyncSsh(peer) => {
                add("--tunnel");
                peer.spawn(&dir, &options, "")?.communicate(input)
            }
        }
    }

    /// What it logs once for every exchange of keys, and how it is told to.
    const fn log_of_exchange(&self) -> (Option<&'static str>, &'static str) {
        match self {
            Self::OpenSsh(_) => (Some("-v"), "SSH2_MSG_NEWKEYS received"),
            // Only a build for debugging logs.
            Self::Dropbear(_) => (None, ""),
            Self::AsyncSsh(_) => (None, "Completed key exchange"),
        }
    }
}

pub(crate) fn run(peer: &PeerClient, column: Column, results: &Results) -> Result<(), String> {
    let keys = Keys::new().map_err(|trouble| trouble.to_string())?;
    results.fill(column, |row| {
        let mut config = ServerConfig::default();
        config.transport.deadlines.key_exchange = PATIENCE;
        config.transport.deadlines.authentication = PATIENCE;
        let mut user_key = KeyType::Ed25519;
        let algorithms = &mut config.transport.algorithms;
        match row {
            Row::Kex(kex) => {
                algorithms.kex = vec![kex];
                config.transient_rsa = Some(ssh_testkit::sim::transient_rsa());
            }
            Row::Protection(cipher, mac) => {
                algorithms.ciphers_client_to_server = vec![cipher];
                algorithms.ciphers_server_to_client = vec![cipher];
                if let Some(mac) = mac {
                    algorithms.macs_client_to_server = vec![mac];
                    algorithms.macs_server_to_client = vec![mac];
                }
            }
            Row::HostKey(signature) => algorithms.host_key = vec![signature],
            Row::UserKey(signature) => {
                config.user_signatures = vec![signature];
                user_key = testkit_type(signature.key_type());
            }
            Row::RekeyByUs => config.transport.limits.rekey_bytes = REKEY_BYTES,
            Row::RekeyByPeer if column.peer == Peer::Dropbear => {
                return Err(Trouble::NotOffered("it cannot be told".to_owned()));
            }
            Row::RekeyByPeer | Row::Tunnel => {}
        }
        let server = keys.server(config)?;
        let options = server.options(keys.user(user_key)?);
        let result = match row {
            Row::Tunnel => tunnel(peer, &options),
            Row::RekeyByUs | Row::RekeyByPeer => rekeys(peer, options, row),
            _ => works(peer, &options),
        };
        result.map_err(|trouble| server.explain(row, trouble))?;
        server.agreed(row)
    })
}

/// A command gets a mebibyte, and gives back its checksum, the mebibyte, and a status.
fn works(peer: &PeerClient, options: &ClientOptions) -> Result<(), Trouble> {
    let input = payload::noise(SIZE);
    let output = peer.run(options, "checksum", &input)?;
    let sum = payload::sha256(&input);
    check(&output, output.stderr.contains(&sum))?;
    check(&output, output.status.code() == Some(STATUS.into()))?;
    same(
        "checksum of the output",
        payload::sha256(&output.stdout),
        sum,
    )
}

/// Much goes there and back at the same time, while keys are exchanged.
fn rekeys(peer: &PeerClient, mut options: ClientOptions, row: Row) -> Result<(), Trouble> {
    let (flag, sign) = peer.log_of_exchange();
    options.extra.extend(flag.map(str::to_owned));
    if row == Row::RekeyByPeer {
        options.rekey_limit = Some(REKEY_BYTES.to_string());
    }
    let input = payload::noise(LONG);
    let output = peer.run(&options, "echo", &input)?;
    check(&output, output.status.success())?;
    same(
        "what came back",
        payload::sha256(&output.stdout),
        payload::sha256(&input),
    )?;
    // Where the client does not tell, that nothing was lost has to do.
    if sign.is_empty() {
        return Ok(());
    }
    let exchanges = output.stderr.matches(sign).count();
    payload::enough(exchanges)
}

fn tunnel(peer: &PeerClient, options: &ClientOptions) -> Result<(), Trouble> {
    let echo = Echo::start()?;
    let input = payload::noise(LONG);
    let output = peer.tunnel(options, echo.address(), &input)?;
    check(&output, output.status.success())?;
    same(
        "what came back",
        payload::sha256(&output.stdout),
        payload::sha256(&input),
    )?;
    same("connections", echo.connections(), 1)
}

fn check(output: &Output, holds: bool) -> Result<(), Trouble> {
    if holds {
        return Ok(());
    }
    Err(Trouble::Failed(format!(
        "the client ended with {}, {} bytes of output and\n{}",
        output.status,
        output.stdout.len(),
        output.stderr
    )))
}

/// A host key and a user key of each type.
struct Keys {
    host: Vec<KeyPair>,
    user: Vec<KeyPair>,
    _dir: TempDir,
}

const TYPES: [(KeyType, &str); 3] = [
    (KeyType::Ed25519, "ed25519"),
    (KeyType::EcdsaP256, "ecdsa"),
    (KeyType::Rsa(2048), "rsa"),
];

fn testkit_type(key_type: ssh_proto::algorithm::KeyType) -> KeyType {
    let at = match key_type {
        ssh_proto::algorithm::KeyType::EcdsaP256 => 1,
        ssh_proto::algorithm::KeyType::Rsa => 2,
        _ => 0,
    };
    TYPES[at].0
}

impl Keys {
    fn new() -> Result<Self, Trouble> {
        let dir = TempDir::new()?;
        let make = |prefix: &str| {
            TYPES
                .iter()
                .map(|(kind, name)| KeyPair::generate(&dir, &format!("{prefix}_{name}"), *kind))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            host: make("host")?,
            user: make("user")?,
            _dir: dir,
        })
    }

    fn user(&self, kind: KeyType) -> Result<&KeyPair, Trouble> {
        let mut keys = TYPES.iter().zip(&self.user);
        keys.find_map(|((of, _), key)| (*of == kind).then_some(key))
            .ok_or_else(|| Trouble::Failed(format!("no key {kind:?}")))
    }

    fn server(&self, config: ServerConfig) -> Result<OurServer, Trouble> {
        let mut host_keys = Vec::new();
        for key in &self.host {
            host_keys.push(load_private(&std::fs::read(key.private_path())?, None)?.private);
        }
        let authorized: String = self
            .user
            .iter()
            .map(|key| format!("{}\n", key.public_line()))
            .collect();
        let authorized = Arc::new(AuthorizedKeys::parse(authorized.as_bytes()));
        let host_keys = HostKeys::new(host_keys)?;
        let options = ServerOptions::new(host_keys, move |_| {
            FixedUsers::new().with_keys(USER, authorized.clone())
        })
        .config(config);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let programs = Programs(seen.clone());
        Ok(OurServer {
            server: Server::bind(("127.0.0.1", 0), options, programs)?,
            host_keys: self
                .host
                .iter()
                .map(|key| key.public_line().to_owned())
                .collect(),
            seen,
        })
    }
}

struct OurServer {
    server: Server,
    host_keys: Vec<String>,
    seen: Arc<Mutex<Seen>>,
}

/// What our server knows about its clients.
#[derive(Debug, Default)]
struct Seen {
    by: Vec<AuthenticatedBy>,
    /// Logins that failed: why, and whether for want of a common algorithm.
    failed: Vec<(String, bool)>,
}

impl OurServer {
    fn options(&self, user_key: &KeyPair) -> ClientOptions {
        let credential = Credential::Key(user_key.private_path().to_owned());
        ClientOptions {
            host_keys: self.host_keys.clone(),
            ..ClientOptions::new(self.server.local_addr(), USER, credential)
        }
    }

    /// The client has failed: says whether for want of something in common.
    fn explain(&self, row: Row, trouble: Trouble) -> Trouble {
        let seen = self.settled();
        let incompatible = seen.failed.iter().any(|(_, incompatible)| *incompatible);
        // A client that cannot sign as it was told has nothing left to try, and goes.
        let no_signature = matches!(row, Row::UserKey(_)) && seen.by.is_empty();
        let why = format!("{trouble}\nour server: {seen:?}");
        if incompatible || no_signature {
            return Trouble::NotOffered(why);
        }
        Trouble::Failed(why)
    }

    /// What is known once the login has come to an end: the client's process may be faster.
    fn settled(&self) -> MutexGuard<'_, Seen> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let seen = lock(&self.seen);
            if !seen.by.is_empty() || !seen.failed.is_empty() || Instant::now() > deadline {
                return seen;
            }
            drop(seen);
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The user is in by what was to be tried.
    fn agreed(&self, row: Row) -> Result<(), Trouble> {
        let seen = lock(&self.seen);
        match row {
            Row::UserKey(signature) => same(
                "logins",
                seen.by.clone(),
                vec![AuthenticatedBy::PublicKey(signature)],
            ),
            _ => same("logins", seen.by.len(), 1),
        }
    }
}

struct Programs(Arc<Mutex<Seen>>);

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handler for Programs {
    fn exec(&self, request: Start, command: &[u8]) {
        let program = match command {
            b"checksum" => checksum,
            b"echo" => echo,
            _ => return request.refuse(),
        };
        if let Ok(channel) = request.accept() {
            channel.set_read_timeout(Some(PATIENCE));
            channel.set_write_timeout(Some(PATIENCE));
            // A client that goes is seen by the test, as that client's failure.
            let _ = program(channel);
        }
    }

    fn direct_tcpip(&self, request: Connect) {
        let host = String::from_utf8_lossy(request.host()).into_owned();
        match TcpStream::connect((host, request.port())) {
            Ok(stream) => {
                let _ = request.join(&stream);
            }
            Err(error) => request.refuse(&error.to_string()),
        }
    }

    fn logged_in(&self, session: &Session) {
        lock(&self.0).by.extend(&session.admitted().by);
    }

    fn login_failed(&self, _from: SocketAddr, error: &Error) {
        // A client that finds nothing in common hangs up, perhaps before we have found the same.
        let incompatible = matches!(
            error.end(),
            Some(
                End::Error(CoreError::Incompatible(_))
                    | End::Eof {
                        stage: Stage::KeyExchange,
                    }
            )
        );
        lock(&self.0).failed.push((error.to_string(), incompatible));
    }
}

fn checksum(mut channel: ServerChannel) -> Result<(), Error> {
    let mut input = Vec::new();
    channel.read_to_end(&mut input)?;
    writeln!(channel.stderr(), "{}", payload::sha256(&input))?;
    channel.write_all(&input)?;
    channel.exit(STATUS.into())
}

fn echo(mut channel: ServerChannel) -> Result<(), Error> {
    let mut piece = vec![0; 32 * 1024];
    loop {
        let n = channel.read(&mut piece)?;
        if n == 0 {
            return channel.exit(0);
        }
        channel.write_all(&piece[..n])?;
    }
}
