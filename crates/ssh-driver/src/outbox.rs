//! Output on its way from the core to the socket: [`Outbox`].

use ssh_proto::SendSide;

/// Bytes that were taken out of the core, and how many of them were written.
///
/// It changes its memory for that of the core, so that nothing is copied and nothing is allocated
/// once both have grown.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    at: usize,
}

impl Outbox {
    /// What is to be written.
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Says that `n` bytes were written.
    pub fn written(&mut self, n: usize) {
        self.at = self.at.saturating_add(n).min(self.bytes.len());
    }

    /// Takes the next output of the core where nothing is left of the last one. False if there is
    /// nothing to write.
    pub fn fill(&mut self, send: &mut SendSide) -> bool {
        if self.rest().is_empty() {
            if !send.has_output() {
                return false;
            }
            // As long as it is: the core would fill what it takes in exchange, again and again.
            send.take_output(&mut self.bytes);
            self.at = 0;
        }
        !self.rest().is_empty()
    }

    /// Gives the memory back if nothing is left to write.
    pub fn give_back(&mut self) {
        if self.rest().is_empty() {
            *self = Self::default();
        }
    }
}
