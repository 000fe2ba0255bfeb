//! Our client against servers of others.
//!
//! Our side offers one algorithm and the peer all that it has, so that one server serves nearly
//! all rows.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::driver::{Channel, Client, ConnectOptions, Error, Login, Observer, Trust};
use ssh_keys::known_hosts::KnownHosts;
use ssh_keys::load_private;
use ssh_proto::ClientConfig;
use ssh_proto::algorithm::SignatureAlgorithm;
use ssh_proto::auth::AuthenticatedBy;
use ssh_proto::error::{End, Error as CoreError};
use ssh_testkit::peers::{
    AsyncSshServer, Dropbear, KeyPair, KeyType, PATIENCE, PeerError, Server, ServerOptions, Sshd,
    TempDir,
};

use super::matrix::{Column, Peer, Results, Row, Trouble, same};
use super::payload::{self, Echo, LONG, REKEY_BYTES, SIZE, STATUS};

/// Keeps the input in a file, so that its checksum comes first and is the peer's own.
const COMMAND: &str =
    "f=$(mktemp) && cat >\"$f\" && sha256sum <\"$f\" >&2; cat \"$f\"; rm \"$f\"; exit 7";

/// A server of somebody else.
pub(crate) enum PeerServer {
    OpenSsh(Sshd),
    Dropbear(Dropbear),
    AsyncSsh(AsyncSshServer),
}

impl PeerServer {
    fn start(&self, options: &ServerOptions) -> Result<Server, PeerError> {
        match self {
            Self::OpenSsh(peer) => peer.start(options),
            Self::Dropbear(peer) => peer.start(options),
            Self::AsyncSsh(peer) => peer.start(options),
        }
    }

    /// Has it take this signature of users alone, where it can be told.
    fn only_signature(&self, signature: SignatureAlgorithm, options: &mut ServerOptions) {
        let name = signature.name();
        match self {
            Self::OpenSsh(_) => {
                let line = format!("PubkeyAcceptedAlgorithms {name}");
                options.extra.push(line);
            }
            // Its launcher sets by this what users may sign with.
            Self::AsyncSsh(_) => {
                options.host_key_algorithms = Some(format!("{name},ssh-ed25519"));
            }
            Self::Dropbear(_) => {}
        }
    }
}

pub(crate) fn run(peer: &PeerServer, column: Column, results: &Results) -> Result<(), String> {
    let mut bench = Bench::new(peer).map_err(|trouble| trouble.to_string())?;
    let client = bench
        .connect(ClientConfig::default())
        .map_err(|trouble| trouble.to_string())?;
    if let Some(server) = client.peer_identification() {
        let line = String::from_utf8_lossy(server.as_bytes()).into_owned();
        results.version(column.peer, line);
    }
    results.fill(column, |row| {
        let mut config = ClientConfig::default();
        let algorithms = &mut config.transport.algorithms;
        match row {
            Row::Kex(kex) => algorithms.kex = vec![kex],
            Row::Protection(cipher, mac) => {
                algorithms.ciphers_client_to_server = vec![cipher];
                algorithms.ciphers_server_to_client = vec![cipher];
                if let Some(mac) = mac {
                    algorithms.macs_client_to_server = vec![mac];
                    algorithms.macs_server_to_client = vec![mac];
                }
            }
            Row::HostKey(signature) => algorithms.host_key = vec![signature],
            Row::UserKey(signature) => return bench.user_key(signature),
            Row::RekeyByUs => {
                config.transport.limits.rekey_bytes = REKEY_BYTES;
                return rekeys(&bench.server, bench.login(), config);
            }
            Row::RekeyByPeer if column.peer == Peer::Dropbear => {
                return Err(Trouble::NotOffered("it cannot be told".to_owned()));
            }
            Row::RekeyByPeer => {
                let server = bench.peer.start(&ServerOptions {
                    rekey_limit: Some(REKEY_BYTES.to_string()),
                    ..ServerOptions::default()
                })?;
                let login = login(&server, server.client_key())?;
                return rekeys(&server, Ok(login), config);
            }
            Row::Tunnel => return tunnel(&bench.connect(config)?),
        }
        let client = bench.connect(config)?;
        agreed(&client, row)?;
        works(&client)
    })
}

/// A server with a host key of each type, which knows a user by a key of each type.
struct Bench<'a> {
    peer: &'a PeerServer,
    server: Server,
    user_keys: Vec<KeyPair>,
    /// One that takes `rsa-sha2-256` and not `rsa-sha2-512`, once it is needed.
    narrow: Option<Server>,
    _dir: TempDir,
}

impl<'a> Bench<'a> {
    fn new(peer: &'a PeerServer) -> Result<Self, Trouble> {
        let dir = TempDir::new()?;
        let types = [KeyType::Ed25519, KeyType::EcdsaP256, KeyType::Rsa(2048)];
        let user_keys = types
            .iter()
            .zip(["ed25519", "ecdsa", "rsa"])
            .map(|(kind, name)| KeyPair::generate(&dir, name, *kind))
            .collect::<Result<Vec<_>, _>>()?;
        let server = peer.start(&ServerOptions {
            host_keys: types.to_vec(),
            authorized_keys: lines(&user_keys),
            ..ServerOptions::default()
        })?;
        Ok(Self {
            peer,
            server,
            user_keys,
            narrow: None,
            _dir: dir,
        })
    }

    fn login(&self) -> Result<Login, Trouble> {
        login(&self.server, self.server.client_key())
    }

    fn connect(&self, config: ClientConfig) -> Result<Client, Trouble> {
        let options = ConnectOptions::new(self.login()?).config(patient(config));
        Client::connect(self.server.address(), options).map_err(trouble)
    }

    fn user_key(&mut self, signature: SignatureAlgorithm) -> Result<(), Trouble> {
        let key_type = signature.key_type().name();
        let key = self
            .user_keys
            .iter()
            .find(|key| key.public_line().starts_with(key_type))
            .ok_or_else(|| Trouble::Failed(format!("no key {key_type}")))?;
        let server = if signature == SignatureAlgorithm::RsaSha2_256 {
            // Whoever takes both is shown the other one.
            let mut options = ServerOptions {
                authorized_keys: lines(&self.user_keys),
                ..ServerOptions::default()
            };
            self.peer.only_signature(signature, &mut options);
            self.narrow.insert(self.peer.start(&options)?)
        } else {
            &self.server
        };
        let options =
            ConnectOptions::new(login(server, key)?).config(patient(ClientConfig::default()));
        let client = Client::connect(server.address(), options).map_err(|error| match error {
            Error::Login(why) => Trouble::NotOffered(why.to_string()),
            error => trouble(error),
        })?;
        let by = client.authenticated_by();
        if by != AuthenticatedBy::PublicKey(signature) {
            return Err(Trouble::NotOffered(format!("it took {by}")));
        }
        works(&client)
    }
}

fn lines(keys: &[KeyPair]) -> Vec<String> {
    keys.iter()
        .map(|key| key.public_line().to_owned())
        .collect()
}

/// Trusts the server's keys and no other.
fn login(server: &Server, user_key: &KeyPair) -> Result<Login, Trouble> {
    let (host, port) = (server.address().ip().to_string(), server.address().port());
    let known: String = server
        .host_keys()
        .iter()
        .map(|key| format!("[{host}]:{port} {}\n", key.public_line()))
        .collect();
    let known = KnownHosts::parse(known.as_bytes());
    let trust = Trust::known_hosts(known, &host, port).refuse_unknown();
    let key = load_private(&std::fs::read(user_key.private_path())?, None)?;
    Ok(Login::new(server.user(), trust).key(key.private))
}

/// No wait of a test is longer than that of a launcher.
fn patient(mut config: ClientConfig) -> ClientConfig {
    config.transport.deadlines.key_exchange = PATIENCE;
    config.transport.deadlines.authentication = PATIENCE;
    config
}

fn trouble(error: Error) -> Trouble {
    match error.end() {
        Some(End::Error(CoreError::Incompatible(report))) => {
            Trouble::NotOffered(report.to_string())
        }
        _ => Trouble::Failed(error.to_string()),
    }
}

/// What was to be agreed on is what was agreed on.
fn agreed(client: &Client, row: Row) -> Result<(), Trouble> {
    let Some(negotiated) = client.negotiated() else {
        return Err(Trouble::Failed("nothing was negotiated".to_owned()));
    };
    match row {
        Row::Kex(kex) => same("key exchange", negotiated.kex, kex),
        Row::HostKey(signature) => same("host key", negotiated.host_key, signature),
        Row::Protection(cipher, mac) => {
            for protection in [negotiated.client_to_server, negotiated.server_to_client] {
                same("cipher", protection.cipher, cipher)?;
                same("MAC", protection.mac, mac)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn session(client: &Client, command: &str) -> Result<Channel, Trouble> {
    let channel = client.open_session()?;
    bound(&channel);
    channel.exec(command)?;
    Ok(channel)
}

fn bound(channel: &Channel) {
    channel.set_read_timeout(Some(PATIENCE));
    channel.set_write_timeout(Some(PATIENCE));
}

/// A command gets a mebibyte, and gives back its checksum, the mebibyte, and a status.
fn works(client: &Client) -> Result<(), Trouble> {
    let input = payload::noise(SIZE);
    let channel = session(client, COMMAND)?;
    (&channel).write_all(&input)?;
    channel.send_eof()?;
    let output = channel.output(2 * SIZE)?;
    let sum = payload::sha256(&input);
    same(
        "checksum of the output",
        payload::sha256(&output.stdout),
        sum.clone(),
    )?;
    // sshd, told to log, has its say on standard error too.
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !stderr.contains(&sum) {
        return Err(Trouble::Failed(format!("{sum} is not in {stderr:?}")));
    }
    same("exit status", output.exit.code(), Some(STATUS.into()))
}

/// Much goes there and back at the same time, while keys are exchanged.
fn rekeys(
    server: &Server,
    login: Result<Login, Trouble>,
    config: ClientConfig,
) -> Result<(), Trouble> {
    let exchanges = Arc::new(AtomicUsize::new(0));
    let options = ConnectOptions::new(login?)
        .config(patient(config))
        .observer(Count(exchanges.clone()));
    let client = Client::connect(server.address(), options).map_err(trouble)?;
    let result = session(&client, "cat").and_then(|channel| round_trip(&channel));
    result.map_err(|trouble| with_log(trouble, server))?;
    let exchanges = exchanges.load(Ordering::SeqCst);
    payload::enough(exchanges)
}

/// With the last that the server has logged.
fn with_log(trouble: Trouble, server: &Server) -> Trouble {
    const LINES: usize = 40;
    let log = server.log();
    let tail = log.lines().count().saturating_sub(LINES);
    let tail = log.lines().skip(tail).collect::<Vec<_>>().join("\n");
    Trouble::Failed(format!("{trouble}\n--- the server's log\n{tail}"))
}

struct Count(Arc<AtomicUsize>);

impl Observer for Count {
    fn keys_exchanged(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn tunnel(client: &Client) -> Result<(), Trouble> {
    let echo = Echo::start()?;
    let host = echo.address().ip().to_string();
    let channel = client.open_direct_tcpip(&host, echo.address().port())?;
    bound(&channel);
    round_trip(&channel)?;
    same("connections", echo.connections(), 1)
}

/// Writes and reads at the same time, from somebody who sends back what comes.
fn round_trip(channel: &Channel) -> Result<(), Trouble> {
    let input = payload::noise(LONG);
    let mut back = Vec::new();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            (&*channel).write_all(&input)?;
            channel.send_eof()
        });
        let read = (&*channel).read_to_end(&mut back);
        // Whoever cannot write any more knows more about it than whoever reads.
        match writer.join() {
            Ok(written) => written?,
            Err(_) => return Err(Trouble::Failed("the writer panicked".to_owned())),
        }
        read?;
        Ok(())
    })?;
    same(
        "what came back",
        payload::sha256(&back),
        payload::sha256(&input),
    )
}
