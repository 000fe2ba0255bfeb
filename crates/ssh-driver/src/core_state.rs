//! The part of a connection that its users and its reader share: [`Core`]. A driver keeps it behind
//! a lock that is never held while anything waits.

use std::fmt;

use ssh_proto::server::ServerSend;
use ssh_proto::{PeerSend, SendSide};

use crate::half::Half;
use crate::table::Table;

/// The sending half of the connection, and its channels.
pub struct Core<S> {
    pub(crate) half: Box<dyn Half>,
    pub(crate) table: Table<S>,
    pub(crate) exchanges: u64,
}

impl<S> Core<S> {
    /// A connection whose user is in.
    pub fn new(half: impl PeerSend + Send + 'static) -> Self {
        Self {
            half: Box::new(half),
            table: Table::default(),
            exchanges: 0,
        }
    }

    /// The sending half.
    pub fn send(&mut self) -> &mut SendSide {
        self.half.side()
    }

    /// The channels.
    pub const fn table(&mut self) -> &mut Table<S> {
        &mut self.table
    }

    /// The sending half and the channels.
    pub fn parts(&mut self) -> (&mut SendSide, &mut Table<S>) {
        (self.half.side(), &mut self.table)
    }

    /// What only a server can do.
    pub fn server(&mut self) -> Option<&mut ServerSend> {
        self.half.as_any().downcast_mut()
    }

    /// How often keys were exchanged.
    pub const fn exchanges(&self) -> u64 {
        self.exchanges
    }
}

impl<S> fmt::Debug for Core<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("table", &self.table)
            .field("exchanges", &self.exchanges)
            .finish_non_exhaustive()
    }
}
