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
use ssh_proto::algorithm::KeyType;
use ssh_proto::auth::AuthenticatedBy;
use ssh_proto::error::{End, Error as CoreError, Stage};
use ssh_testkit::peers::{
    ClientOptions, Credential, KeyPair, Offer, Output, PATIENCE, PeerClient, PeerError, TempDir,
};
use ssh_testkit::sim::transient_rsa;

use super::columns::{Column, find, testkit_type};
use super::matrix::{Results, Row, Trouble, same};
use super::payload::{self, Echo, LONG, REKEY_BYTES, SIZE, STATUS};

const USER: &str = "tester";
/// So much is received, or sent, before keys are exchanged: about once each way in a cell.
const REKEY_IN_CELL: u64 = (SIZE / 4 * 3) as u64;

pub(crate) fn run(
    peer: &dyn PeerClient,
    column: Column,
    rows: &[Row],
    results: &Results,
) -> Result<(), String> {
    let keys = Keys::new(column).map_err(|trouble| trouble.to_string())?;
    let offer = keys.offer(peer).map_err(|error| error.to_string())?;
    results.fill(column, rows, &offer, |row| {
        match row {
            Row::RekeyByPeer if !column.takes_rekey_limit() => {
                return Err(Trouble::NotOffered("it cannot be told".to_owned()));
            }
            Row::Tunnel if !column.has_tunnels() => {
                return Err(Trouble::NotOffered("it has none".to_owned()));
            }
            _ => {}
        }
        let mut config = ServerConfig::default();
        config.transport.deadlines.key_exchange = PATIENCE;
        config.transport.deadlines.authentication = PATIENCE;
        column.adapt(&mut config.transport.limits);
        row.narrow(&mut config.transport.algorithms, &offer);
        config.transient_rsa = Some(transient_rsa());
        match row {
            Row::RekeyByUs => config.transport.limits.rekey_bytes = REKEY_BYTES,
            Row::RekeyByPeer | Row::Tunnel => {}
            // What is counted has been compressed.
            Row::Compression(_) => config.transport.limits.rekey_bytes = REKEY_IN_CELL / 2,
            _ => config.transport.limits.rekey_bytes = REKEY_IN_CELL,
        }
        let mut key_type = KeyType::Ed25519;
        if let Row::UserKey(signature) = row {
            config.user_signatures = vec![signature];
            key_type = signature.key_type();
        }
        let Some(user_key) = find(&keys.user, key_type) else {
            return Err(Trouble::NotOffered("it has no such keys".to_owned()));
        };
        let server = keys.server(config)?;
        let options = server.options(user_key);
        let result = match row {
            Row::Tunnel => tunnel(peer, options),
            Row::RekeyByUs | Row::RekeyByPeer => rekeys(peer, options, row),
            _ => works(peer, &options),
        };
        result.map_err(|trouble| server.explain(row, trouble))?;
        server.agreed(row)
    })
}

/// A command gets a mebibyte, and gives back its checksum, the mebibyte, and a status. Keys are
/// exchanged meanwhile: our side says no more until they are, so that what has come through has come
/// through that.
fn works(peer: &dyn PeerClient, options: &ClientOptions) -> Result<(), Trouble> {
    let input = payload::mixed(SIZE);
    let output = peer.run(options, "checksum", &input)?;
    let sum = payload::sha256(&input);
    check(&output, output.stderr.contains(&sum))?;
    check(&output, output.status.code() == Some(STATUS.into()))?;
    same(
        "checksum of the output",
        payload::sha256(&output.stdout),
        sum,
    )?;
    match peer.sign_of_exchange() {
        Some(sign) => check(&output, output.stderr.matches(sign).count() >= 2),
        None => Ok(()),
    }
}

/// Much goes there and back at the same time, while keys are exchanged.
fn rekeys(peer: &dyn PeerClient, mut options: ClientOptions, row: Row) -> Result<(), Trouble> {
    if row == Row::RekeyByPeer {
        options.rekey_limit = Some(REKEY_BYTES.to_string());
    }
    let input = payload::mixed(LONG);
    let output = peer.run(&options, "echo", &input)?;
    check(&output, output.status.success())?;
    same(
        "what came back",
        payload::sha256(&output.stdout),
        payload::sha256(&input),
    )?;
    // Where the client does not tell, that nothing was lost has to do.
    match peer.sign_of_exchange() {
        Some(sign) => payload::enough(output.stderr.matches(sign).count()),
        None => Ok(()),
    }
}

fn tunnel(peer: &dyn PeerClient, mut options: ClientOptions) -> Result<(), Trouble> {
    let echo = Echo::start()?;
    options.tunnel = Some(echo.address());
    let input = payload::mixed(LONG);
    let output = peer.run(&options, "", &input)?;
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

impl Keys {
    fn new(column: Column) -> Result<Self, Trouble> {
        let dir = TempDir::new()?;
        let make = |prefix: &str| {
            let types = column.keys().into_iter().map(testkit_type);
            types
                .enumerate()
                .map(|(n, kind)| KeyPair::generate(&dir, &format!("{prefix}_{n}"), kind))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            host: make("host")?,
            user: make("user")?,
            _dir: dir,
        })
    }

    /// What the client offers, to somebody who hangs up.
    fn offer(&self, peer: &dyn PeerClient) -> Result<Offer, PeerError> {
        Offer::of_client(|address| {
            let options = options(address, &self.host, &self.user[0]);
            peer.run(&options, "checksum", b"")
        })
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
            host_keys: self.host.clone(),
            seen,
        })
    }
}

/// A client that offers all that it has, and logs.
fn options(address: SocketAddr, host_keys: &[KeyPair], user_key: &KeyPair) -> ClientOptions {
    let credential = Credential::Key(user_key.private_path().to_owned());
    let lines = host_keys.iter().map(|key| key.public_line().to_owned());
    ClientOptions {
        host_keys: lines.collect(),
        everything: true,
        verbose: true,
        ..ClientOptions::new(address, USER, credential)
    }
}

struct OurServer {
    server: Server,
    host_keys: Vec<KeyPair>,
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
        options(self.server.local_addr(), &self.host_keys, user_key)
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
    // Not to the end: there are clients that do not say that it is.
    let mut input = vec![0; SIZE];
    channel.read_exact(&mut input)?;
    writeln!(channel.stderr(), "{}", payload::sha256(&input))?;
    channel.write_all(&input)?;
    channel.exit(STATUS.into())
}

fn echo(mut channel: ServerChannel) -> Result<(), Error> {
    let mut piece = vec![0; 32 * 1024];
    let mut left = LONG;
    while left > 0 {
        let n = channel.read(&mut piece)?;
        if n == 0 {
            break;
        }
        channel.write_all(&piece[..n])?;
        left -= n;
    }
    channel.exit(0)
}
