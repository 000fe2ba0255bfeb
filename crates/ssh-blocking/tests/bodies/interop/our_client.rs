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
use ssh_testkit::peers::{KeyPair, Offer, PATIENCE, PeerServer, Server, ServerOptions, TempDir};

use super::columns::{Column, find, testkit_type};
use super::matrix::{COMMON_MAC, Results, Row, Trouble, cipher_for_macs, same};
use super::payload::{self, Echo, LONG, REKEY_BYTES, SIZE, STATUS};

/// Keeps the input in a file, so that its checksum comes first and is the peer's own.
fn command() -> String {
    format!(
        "f=$(mktemp) && head -c {SIZE} >\"$f\" && sha256sum <\"$f\" >&2; cat \"$f\"; rm \"$f\"; \
         exit {STATUS}"
    )
}

/// For servers that do not tell what ends: the checksum comes last, and is as long as it always is.
fn command_without_ends() -> String {
    format!("f=$(mktemp) && head -c {SIZE} >\"$f\" && cat \"$f\"; sha256sum <\"$f\"; rm \"$f\"")
}

pub(crate) fn run(
    peer: &dyn PeerServer,
    column: Column,
    rows: &[Row],
    results: &Results,
) -> Result<(), String> {
    let mut bench = Bench::new(peer, column).map_err(|trouble| trouble.to_string())?;
    let offer = bench.offer.clone();
    results.fill(column, rows, &offer, |row| {
        let mut config = ClientConfig::default();
        row.narrow(&mut config.transport.algorithms, &offer);
        let result = match row {
            Row::UserKey(signature) => bench.user_key(signature),
            Row::RekeyByUs => {
                config.transport.limits.rekey_bytes = REKEY_BYTES;
                bench.rekeys(&bench.server, config)
            }
            Row::RekeyByPeer if !column.takes_rekey_limit() => {
                Err(Trouble::NotOffered("it cannot be told".to_owned()))
            }
            Row::RekeyByPeer => {
                let server = peer.start(&ServerOptions {
                    rekey_limit: Some(REKEY_BYTES.to_string()),
                    ..ServerOptions::default()
                })?;
                bench.rekeys(&server, config)
            }
            Row::Tunnel if !column.has_tunnels() => {
                Err(Trouble::NotOffered("it has none".to_owned()))
            }
            Row::Tunnel => bench.connect(config).and_then(|client| tunnel(&client)),
            _ => bench.works(config, row),
        };
        result.map_err(|trouble| with_log(trouble, &bench.server))
    })
}

/// A server with a host key of each type, which knows a user by a key of each type.
struct Bench<'a> {
    peer: &'a dyn PeerServer,
    column: Column,
    server: Server,
    offer: Offer,
    user_keys: Vec<KeyPair>,
    /// One that takes `rsa-sha2-256` and not `rsa-sha2-512`, once it is needed.
    narrow: Option<Server>,
    _dir: TempDir,
}

impl<'a> Bench<'a> {
    fn new(peer: &'a dyn PeerServer, column: Column) -> Result<Self, Trouble> {
        let dir = TempDir::new()?;
        let types = column.keys().into_iter().map(testkit_type);
        let types = types.collect::<Vec<_>>();
        let user_keys = types
            .iter()
            .enumerate()
            .map(|(n, kind)| KeyPair::generate(&dir, &format!("user_{n}"), *kind))
            .collect::<Result<Vec<_>, _>>()?;
        let server = peer.start(&ServerOptions {
            host_keys: types,
            authorized_keys: lines(&user_keys),
            everything: true,
            ..ServerOptions::default()
        })?;
        Ok(Self {
            peer,
            column,
            offer: Offer::of_server(server.address())?,
            server,
            user_keys,
            narrow: None,
            _dir: dir,
        })
    }

    fn connect(&self, config: ClientConfig) -> Result<Client, Trouble> {
        self.connect_to(&self.server, config, None)
    }

    fn connect_to(
        &self,
        server: &Server,
        mut config: ClientConfig,
        observer: Option<Count>,
    ) -> Result<Client, Trouble> {
        patient(&mut config);
        self.column.adapt(&mut config.transport.limits);
        let mut options = ConnectOptions::new(login(server, server.client_key())?).config(config);
        if let Some(observer) = observer {
            options = options.observer(observer);
        }
        Client::connect(server.address(), options).map_err(trouble)
    }

    /// A command gets a mebibyte, with new keys in the middle of it, and gives back its checksum, the
    /// mebibyte, and a status.
    fn works(&self, config: ClientConfig, row: Row) -> Result<(), Trouble> {
        let count = Count::default();
        let client = self.connect_to(&self.server, config, Some(count.clone()))?;
        self.agreed(&client, row)?;
        self.transfers(&client)?;
        same("exchanges of keys", count.get(), 2)?;
        self.agreed(&client, row)
    }

    fn transfers(&self, client: &Client) -> Result<(), Trouble> {
        let input = payload::mixed(SIZE);
        let sum = payload::sha256(&input);
        let (first, second) = input.split_at(SIZE / 2);
        let command = match self.column.tells_ends() {
            true => command(),
            false => command_without_ends(),
        };
        let channel = session(client, &command)?;
        (&channel).write_all(first)?;
        client.rekey()?;
        (&channel).write_all(second)?;
        if !self.column.tells_ends() {
            let mut output = vec![0; SIZE];
            (&channel).read_exact(&mut output)?;
            same(
                "checksum of the output",
                payload::sha256(&output),
                sum.clone(),
            )?;
            let mut told = vec![0; sum.len()];
            (&channel).read_exact(&mut told)?;
            return same("checksum", String::from_utf8_lossy(&told).into_owned(), sum);
        }
        channel.send_eof()?;
        let output = channel.output(2 * SIZE)?;
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

    fn user_key(&mut self, signature: SignatureAlgorithm) -> Result<(), Trouble> {
        let Some(key) = find(&self.user_keys, signature.key_type()).cloned() else {
            return Err(Trouble::NotOffered("it has no such keys".to_owned()));
        };
        let second_choice = signature.key_type().preferred_signature() != signature;
        if second_choice && self.column.takes_user_signatures() {
            // Whoever takes both is shown the other one.
            let server = self.peer.start(&ServerOptions {
                authorized_keys: lines(&self.user_keys),
                user_signatures: Some(format!("{signature},ssh-ed25519")),
                ..ServerOptions::default()
            })?;
            self.narrow = Some(server);
        }
        let server = match &self.narrow {
            Some(narrow) if second_choice => narrow,
            _ => &self.server,
        };
        let mut config = ClientConfig::default();
        patient(&mut config);
        self.column.adapt(&mut config.transport.limits);
        let options = ConnectOptions::new(login(server, &key)?).config(config);
        let client = Client::connect(server.address(), options).map_err(|error| match error {
            Error::Login(why) => Trouble::NotOffered(why.to_string()),
            error => trouble(error),
        })?;
        let by = client.authenticated_by();
        if by != AuthenticatedBy::PublicKey(signature) {
            return Err(Trouble::NotOffered(format!("it took {by}")));
        }
        self.transfers(&client)
    }

    /// What was to be agreed on is what was agreed on.
    fn agreed(&self, client: &Client, row: Row) -> Result<(), Trouble> {
        let Some(negotiated) = client.negotiated() else {
            return Err(Trouble::Failed("nothing was negotiated".to_owned()));
        };
        let directions = [negotiated.client_to_server, negotiated.server_to_client];
        for protection in directions {
            match row {
                Row::Cipher(cipher) => {
                    same("cipher", protection.cipher, cipher)?;
                    let mac = (!cipher.is_aead()).then_some(COMMON_MAC);
                    same("MAC", protection.mac, mac)?;
                }
                Row::Mac(mac) => {
                    same(
                        "cipher",
                        Some(protection.cipher),
                        cipher_for_macs(&self.offer),
                    )?;
                    same("MAC", protection.mac, Some(mac))?;
                }
                Row::Compression(compression) => {
                    same("compression", protection.compression, compression)?;
                }
                _ => {}
            }
        }
        match row {
            Row::Kex(kex) => same("key exchange", negotiated.kex, kex),
            Row::HostKey(signature) => same("host key", negotiated.host_key, signature),
            _ => Ok(()),
        }
    }

    /// Much goes there and back at the same time, while keys are exchanged.
    fn rekeys(&self, server: &Server, config: ClientConfig) -> Result<(), Trouble> {
        let count = Count::default();
        let client = self.connect_to(server, config, Some(count.clone()))?;
        let command = format!("head -c {LONG}");
        let result = session(&client, &command)
            .and_then(|channel| round_trip(&channel, self.column.tells_ends()));
        result.map_err(|trouble| with_log(trouble, server))?;
        payload::enough(count.get())
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
fn patient(config: &mut ClientConfig) {
    config.transport.deadlines.key_exchange = PATIENCE;
    config.transport.deadlines.authentication = PATIENCE;
}

fn trouble(error: Error) -> Trouble {
    match error.end() {
        Some(End::Error(CoreError::Incompatible(report))) => {
            Trouble::NotOffered(report.to_string())
        }
        _ => Trouble::Failed(error.to_string()),
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

/// With the last that the server has logged, if it failed.
fn with_log(trouble: Trouble, server: &Server) -> Trouble {
    const LINES: usize = 40;
    let Trouble::Failed(why) = trouble else {
        return trouble;
    };
    let log = server.log();
    let tail = log.lines().count().saturating_sub(LINES);
    let tail = log.lines().skip(tail).collect::<Vec<_>>().join("\n");
    Trouble::Failed(format!("{why}\n--- the server's log\n{tail}"))
}

/// Counts exchanges of keys. Clones count together.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

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
    round_trip(&channel, true)?;
    same("connections", echo.connections(), 1)
}

/// Writes and reads at the same time, from somebody who sends back what comes, and who tells what
/// ends, or does not.
fn round_trip(channel: &Channel, ends: bool) -> Result<(), Trouble> {
    let input = payload::mixed(LONG);
    let mut back = Vec::new();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            (&*channel).write_all(&input)?;
            if ends { channel.send_eof() } else { Ok(()) }
        });
        let read = if ends {
            (&*channel).read_to_end(&mut back).map(drop)
        } else {
            back.resize(LONG, 0);
            (&*channel).read_exact(&mut back)
        };
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
