//! Compression of payloads (RFC 4253 section 6.2; RFC 1950, RFC 1951): one stream for each direction.
//!
//! ```text
//!   out:  payload, where it lies --> Deflater --> the same place, then padding and encryption
//!
//!   in:   payload, opened where it lies --> Inflater --> room beside the receive buffer
//!                                              |
//!                                           window: what later packets refer to (32 KiB)
//! ```
//!
//! A stream begins with its direction's NEWKEYS or, for `zlib@openssh.com`, behind
//! SSH_MSG_USERAUTH_SUCCESS: the server compresses what it sends after that message, the client what it
//! sends after having received it. At each later NEWKEYS it begins anew, as it does in OpenSSH.
//!
//! Invariants: nothing is allocated before the first packet that is to be compressed; nothing but a
//! packet that is sealed moves the state of its stream, or the connection is over; what a packet
//! inflates to and the work that it makes are bounded before it is begun; windows, which hold
//! plaintext, are wiped.
//!
//! Only this directory names `miniz_oxide`. Its `stream::deflate` turns a partial flush into a
//! synchronising one without a word; what is used here is the layer below, which does what it is told.

mod deflate;
mod inflate;

pub(crate) use deflate::Deflater;
pub(crate) use inflate::Inflater;

/// What the state of one direction takes, in bytes: what is sent, and what is received. Without the
/// place for the packet itself.
pub(crate) const DEFLATE_MEMORY: usize = deflate::MEMORY;
pub(crate) const INFLATE_MEMORY: usize = inflate::MEMORY;
pub(crate) use deflate::bound as deflate_bound;

#[cfg(test)]
mod tests;
