//! A whole session that plays by itself: [`Script`] on the client, [`Echo`] on the server.

use ssh_proto::Instant;
use ssh_proto::client::{Client, ClientEvent};
use ssh_proto::server::{Server, ServerEvent};

use super::{App, Auth, Echo, Script};

/// When a side asks for new keys, counted in its own events after authentication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RekeyAt {
    /// Never.
    #[default]
    Never,
    /// With every event that is data.
    Data,
    /// Once, after so many more events.
    Event(u64),
}

impl RekeyAt {
    /// Called once for each event.
    pub(super) fn is_due(&mut self, data: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Data => data,
            Self::Event(0) => {
                *self = Self::Never;
                true
            }
            Self::Event(n) => {
                *n -= 1;
                false
            }
        }
    }
}

/// A client that sends data over channels, and a server that echoes it.
#[derive(Debug)]
pub struct Session {
    /// The client's application.
    pub client: Script,
    /// The server's application.
    pub server: Echo,
}

impl Session {
    /// A client that logs in with a key and sends `sends`, each over a channel of its own.
    pub fn new(sends: Vec<Vec<u8>>) -> Self {
        Self {
            client: Script::new(sends),
            server: Echo::default(),
        }
    }

    /// Another way of logging in.
    pub fn auth(mut self, auth: Auth) -> Self {
        self.client.auth = auth;
        self.server.wants_both = auth == Auth::Both;
        self
    }

    /// Both sides ask for new keys at these times.
    pub const fn rekey(mut self, client: RekeyAt, server: RekeyAt) -> Self {
        self.client.rekey = client;
        self.server.rekey = server;
        self
    }

    /// The client does not leave when it is done.
    pub const fn stay(mut self) -> Self {
        self.client.stays = true;
        self
    }

    /// Everything that was echoed is what was sent.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub fn check(&self) {
        self.client.check();
    }
}

impl App for Session {
    fn client(&mut self, client: &mut Client, event: ClientEvent<'_>, _now: Instant) {
        self.client.on(client, event);
    }

    fn server(&mut self, server: &mut Server, event: ServerEvent<'_>, _now: Instant) {
        self.server.on(server, event);
    }
}
