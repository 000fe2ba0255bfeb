//! How a local forward listens: [`ForwardOptions`].

use std::io;
use std::net::SocketAddr;

/// How a forward listens.
#[derive(Clone, Debug)]
pub struct ForwardOptions {
    /// Who may connect.
    pub exposure: Exposure,
    /// How many connections there may be at a time; one more is closed at once.
    pub connections: usize,
}

impl Default for ForwardOptions {
    /// This machine alone, 64 connections.
    fn default() -> Self {
        Self {
            exposure: Exposure::default(),
            connections: 64,
        }
    }
}

impl ForwardOptions {
    /// Whether these addresses may be listened at.
    ///
    /// # Errors
    ///
    /// One of them is no loopback address, and the exposure is [`Exposure::Loopback`].
    pub fn check(&self, addresses: &[SocketAddr]) -> io::Result<()> {
        let outside = addresses.iter().any(|address| !address.ip().is_loopback());
        if outside && self.exposure == Exposure::Loopback {
            let why = "a forward listens on loopback unless its exposure is `Network`";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(())
    }
}

/// Who may connect to a forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exposure {
    /// Programs on this machine: other addresses to listen at are refused.
    #[default]
    Loopback,
    /// Everybody who can reach the address.
    Network,
}
