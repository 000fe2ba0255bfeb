//! What a peer offers, read off the wire.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use ssh_proto::message::{KexInit, Wire};
use ssh_proto::wire::NameList;

use super::{PATIENCE, PeerError};

/// How long a line or a packet of a peer may be.
const LONGEST: usize = 64 * 1024;

/// What a peer says in its first KEXINIT (RFC 4253 section 7.1), which is sent in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// How it calls itself: its line, without its end.
    pub identification: String,
    /// Key exchange methods, markers of extensions included.
    pub kex: Vec<String>,
    /// What host keys prove themselves with.
    pub host_key: Vec<String>,
    /// Ciphers for both directions.
    pub ciphers: Vec<String>,
    /// MACs for both directions.
    pub macs: Vec<String>,
    /// Compression of both directions.
    pub compression: Vec<String>,
}

impl Offer {
    /// Asks the server at `address`.
    ///
    /// # Errors
    ///
    /// When it is not there, is silent, or says something else.
    pub fn of_server(address: SocketAddr) -> Result<Self, PeerError> {
        Self::read(&TcpStream::connect(address)?)
    }

    /// Has `run` run a client that connects to the address that it is given, and there finds somebody
    /// who hangs up.
    ///
    /// # Errors
    ///
    /// When nobody comes, or says something else: with what `run` returned.
    pub fn of_client<T>(
        run: impl FnOnce(SocketAddr) -> Result<T, PeerError>,
    ) -> Result<Self, PeerError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        std::thread::scope(|scope| {
            let offer = scope.spawn(move || {
                let (stream, _) = listener.accept()?;
                Self::read(&stream)
            });
            let ran = run(address);
            // Whoever still waits for a client is told that there is none.
            drop(TcpStream::connect(address));
            let offer = offer.join();
            let offer = offer.map_err(|_| PeerError::new("whoever listened panicked"))?;
            match (offer, ran) {
                (Ok(offer), _) => Ok(offer),
                (Err(_), Err(error)) | (Err(error), Ok(_)) => Err(error),
            }
        })
    }

    fn read(stream: &TcpStream) -> Result<Self, PeerError> {
        stream.set_read_timeout(Some(PATIENCE))?;
        (&*stream).write_all(b"SSH-2.0-offer\r\n")?;
        let mut reader = BufReader::new(stream.take(LONGEST as u64));
        let identification = loop {
            let mut line = Vec::new();
            if reader.read_until(b'\n', &mut line)? == 0 {
                return Err(PeerError::new("the peer does not identify itself"));
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if line.starts_with("SSH-") {
                break line;
            }
        };
        let mut head = [0; 5];
        reader.read_exact(&mut head)?;
        let [a, b, c, d, padding] = head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let payload = length.checked_sub(1 + usize::from(padding));
        let Some(payload) = payload.filter(|_| length < LONGEST) else {
            return Err(PeerError::new("the peer's first packet is none"));
        };
        let mut bytes = vec![0; payload];
        reader.read_exact(&mut bytes)?;
        let kexinit = KexInit::decode(&bytes)
            .map_err(|error| PeerError::new(format!("the peer's first packet: {error}")))?;
        let both = |one: &NameList<'_>, other: &NameList<'_>| {
            let both = one.iter().filter(|name| other.contains(name));
            both.map(str::to_owned).collect()
        };
        let all = |list: &NameList<'_>| both(list, list);
        Ok(Self {
            identification,
            kex: all(&kexinit.kex_algorithms),
            host_key: all(&kexinit.server_host_key_algorithms),
            ciphers: both(
                &kexinit.encryption_algorithms_client_to_server,
                &kexinit.encryption_algorithms_server_to_client,
            ),
            macs: both(
                &kexinit.mac_algorithms_client_to_server,
                &kexinit.mac_algorithms_server_to_client,
            ),
            compression: both(
                &kexinit.compression_algorithms_client_to_server,
                &kexinit.compression_algorithms_server_to_client,
            ),
        })
    }
}
