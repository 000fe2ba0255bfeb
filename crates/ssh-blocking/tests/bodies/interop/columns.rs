//! With whom it is tried: the peers, their roles, and what each does in a way of its own.

use std::fmt;

use ssh_proto::algorithm::KeyType;
use ssh_proto::config::Limits;
use ssh_testkit::peers::{
    self, Dbclient, Dropbear, KeyPair, Library, LibraryClient, LibraryServer, Missing,
    OpenSshClient, PeerClient, PeerServer, Plink, Sshd, Tinysshd,
};

use super::matrix::Row;

/// Whose implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    OpenSsh,
    Dropbear,
    TinySsh,
    Putty,
    AsyncSsh,
    Paramiko,
    Conch,
    Russh,
    Sunset,
    LibSsh2,
}

impl Peer {
    pub(crate) const ALL: [Self; 10] = [
        Self::OpenSsh,
        Self::Dropbear,
        Self::TinySsh,
        Self::Putty,
        Self::AsyncSsh,
        Self::Paramiko,
        Self::Conch,
        Self::Russh,
        Self::Sunset,
        Self::LibSsh2,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OpenSsh => "OpenSSH",
            Self::Dropbear => "Dropbear",
            Self::TinySsh => "TinySSH",
            Self::Putty => "PuTTY",
            Self::AsyncSsh => Library::AsyncSsh.name(),
            Self::Paramiko => Library::Paramiko.name(),
            Self::Conch => Library::Conch.name(),
            Self::Russh => Library::Russh.name(),
            Self::Sunset => Library::Sunset.name(),
            Self::LibSsh2 => Library::LibSsh2.name(),
        }
    }
}

/// Who is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    OurClient,
    OurServer,
}

impl Side {
    pub(crate) const ALL: [Self; 2] = [Self::OurClient, Self::OurServer];
}

/// A peer in one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Column {
    pub(crate) side: Side,
    pub(crate) peer: Peer,
}

impl Column {
    /// Of one side: some peers have one role alone.
    pub(crate) fn of(side: Side) -> Vec<Self> {
        let has_role = |peer: &Peer| match side {
            Side::OurClient => !matches!(peer, Peer::Putty | Peer::LibSsh2),
            Side::OurServer => *peer != Peer::TinySsh,
        };
        let peers = Peer::ALL.into_iter().filter(has_role);
        peers.map(|peer| Self { side, peer }).collect()
    }

    pub(crate) fn all() -> Vec<Self> {
        Side::ALL.into_iter().flat_map(Self::of).collect()
    }

    /// What the test is called that goes through it.
    pub(crate) fn test(self) -> String {
        let (side, peer) = match self.side {
            Side::OurClient => ("client", self.to_string()),
            Side::OurServer => ("server", self.to_string()),
        };
        format!("our_{side}_with_{}", peer.to_lowercase())
    }

    /// Looks for the server of a column of our client.
    pub(crate) fn server(self) -> Result<Box<dyn PeerServer>, Missing> {
        Ok(match self.peer {
            Peer::OpenSsh => Box::new(Sshd::find()?),
            Peer::Dropbear => Box::new(Dropbear::find()?),
            Peer::TinySsh => Box::new(Tinysshd::find()?),
            Peer::AsyncSsh => Box::new(LibraryServer::find(Library::AsyncSsh)?),
            Peer::Paramiko => Box::new(LibraryServer::find(Library::Paramiko)?),
            Peer::Conch => Box::new(LibraryServer::find(Library::Conch)?),
            Peer::Russh => Box::new(LibraryServer::find(Library::Russh)?),
            Peer::Sunset => Box::new(LibraryServer::find(Library::Sunset)?),
            Peer::Putty | Peer::LibSsh2 => {
                return Err(Missing::new(self.peer.name(), "it has no server"));
            }
        })
    }

    /// Looks for the client of a column of our server.
    pub(crate) fn client(self) -> Result<Box<dyn PeerClient>, Missing> {
        Ok(match self.peer {
            Peer::OpenSsh => Box::new(OpenSshClient::find()?),
            Peer::Dropbear => Box::new(Dbclient::find()?),
            Peer::Putty => Box::new(Plink::find()?),
            Peer::AsyncSsh => Box::new(LibraryClient::find(Library::AsyncSsh)?),
            Peer::Paramiko => Box::new(LibraryClient::find(Library::Paramiko)?),
            Peer::Conch => Box::new(LibraryClient::find(Library::Conch)?),
            Peer::Russh => Box::new(LibraryClient::find(Library::Russh)?),
            Peer::Sunset => Box::new(LibraryClient::find(Library::Sunset)?),
            Peer::LibSsh2 => Box::new(LibraryClient::find(Library::LibSsh2)?),
            Peer::TinySsh => return Err(Missing::new(self.peer.name(), "it has no client")),
        })
    }

    /// The keys of its hosts and users.
    pub(crate) fn keys(self) -> Vec<KeyType> {
        match self.peer {
            Peer::TinySsh => vec![KeyType::Ed25519],
            Peer::Sunset => vec![KeyType::Ed25519, KeyType::Rsa],
            _ => KeyType::ALL.to_vec(),
        }
    }

    /// Whether a server can be told what users may sign with.
    pub(crate) const fn takes_user_signatures(self) -> bool {
        matches!(self.peer, Peer::OpenSsh | Peer::AsyncSsh | Peer::Russh)
    }

    /// Whether it can be told when to exchange keys. The others do it after a gigabyte or an hour, or
    /// never.
    pub(crate) const fn takes_rekey_limit(self) -> bool {
        !matches!(
            self.peer,
            Peer::Dropbear | Peer::TinySsh | Peer::Sunset | Peer::LibSsh2
        )
    }

    /// Whether it has tunnels.
    pub(crate) const fn has_tunnels(self) -> bool {
        !matches!(self.peer, Peer::TinySsh | Peer::Sunset)
    }

    /// Whether it says that it is done sending, how a command ended, and that a channel is closed.
    /// sunset closes a channel when the other side has, and says no more.
    pub(crate) const fn tells_ends(self) -> bool {
        !matches!(self.peer, Peer::Sunset)
    }

    /// What it offers and does wrong, and how one knows that it is not us.
    pub(crate) fn fault(self, row: Row) -> Option<&'static str> {
        // Its own signatures of that kind are right.
        let checked_by_peer = match self.side {
            Side::OurClient => matches!(row, Row::UserKey(_)),
            Side::OurServer => matches!(row, Row::HostKey(_)),
        };
        let rsa = checked_by_peer && row.name() == Some("rsa-sha2-256");
        (self.peer == Peer::Sunset && rsa)
            .then_some("sunset takes no RSA signature for a right one, those of OpenSSH neither")
    }

    /// Sets what it cannot do without.
    pub(crate) fn adapt(self, limits: &mut Limits) {
        // Paramiko answers requests while keys are exchanged, which RFC 4253 section 7.1 forbids,
        // and Conch says that it is done sending before it has sent what is over the window. So the
        // windows hold many times what is sent: no credit is granted then, nor is a window measured,
        // which takes requests.
        if matches!(self.peer, Peer::Paramiko | Peer::Conch) {
            limits.window = 128 * 1024 * 1024;
            limits.window_total = 4 * 1024 * 1024 * 1024;
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.side, self.peer) {
            (Side::OurClient, Peer::OpenSsh) => "sshd",
            (Side::OurClient, Peer::Dropbear) => "dropbear",
            (Side::OurClient, Peer::TinySsh) => "tinysshd",
            (Side::OurServer, Peer::OpenSsh) => "ssh",
            (Side::OurServer, Peer::Dropbear) => "dbclient",
            (Side::OurServer, Peer::Putty) => "plink",
            (_, peer) => peer.name(),
        })
    }
}

/// What the launchers call a type of keys.
pub(crate) fn testkit_type(key_type: KeyType) -> peers::KeyType {
    match key_type.name() {
        "ssh-ed25519" => peers::KeyType::Ed25519,
        "ecdsa-sha2-nistp256" => peers::KeyType::EcdsaP256,
        "ecdsa-sha2-nistp384" => peers::KeyType::EcdsaP384,
        "ecdsa-sha2-nistp521" => peers::KeyType::EcdsaP521,
        "ssh-rsa" => peers::KeyType::Rsa(2048),
        other => panic!("ssh-keygen makes no {other}"),
    }
}

/// The key of a type, if there is one.
pub(crate) fn find(keys: &[KeyPair], key_type: KeyType) -> Option<&KeyPair> {
    let begins = |key: &&KeyPair| key.public_line().starts_with(&format!("{key_type} "));
    keys.iter().find(begins)
}
