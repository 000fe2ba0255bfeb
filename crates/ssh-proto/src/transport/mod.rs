//! RFC 4253: identification, packets, and what may arrive when.
//!
//! ```text
//!   received bytes -> ExpectIdentification -> Opener (-> Inflater) -> Gate -> RecvSide / kex / auth / mux
//!   messages       -> SendBuf -> Sealer (and Deflater) -> bytes to send
//! ```

mod compression;
mod gate;
mod ident;
mod lifetime;
mod opener;
mod sealer;

pub(crate) use compression::{DEFLATE_MEMORY, INFLATE_MEMORY, Inflater, deflate_bound};
pub use gate::Role;
pub(crate) use gate::{Phase, Verdict, View};
pub use ident::Identification;
pub(crate) use ident::{ExpectIdentification, Line};
pub(crate) use lifetime::Lifetime;
pub(crate) use opener::{Opener, Packet, Payload, ResetSequence};
pub(crate) use sealer::{MAX_OVERHEAD, PAYLOAD_OFFSET, Sealer};

/// How far `length` reaches beyond a multiple of `block`, which is a power of two: a division would
/// be a good part of what framing costs.
pub(crate) const fn beyond(length: usize, block: usize) -> usize {
    debug_assert!(block.is_power_of_two());
    length & block.wrapping_sub(1)
}

/// How much one set of keys of one direction has been used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Usage {
    pub(crate) const fn count(&mut self, bytes: usize) {
        self.packets = self.packets.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }
}
