//! The data types of RFC 4251 section 5, decoded without copying and encoded into any [`Sink`].
//!
//! ```text
//!   byte      u8                     string     uint32 length, then that many bytes
//!   boolean   0 or 1 (non-zero = 1)  mpint      string holding a two's complement integer
//!   uint32    big endian             name-list  string holding names separated by commas
//!   uint64    big endian
//! ```
//!
//! [`Reader`] walks a slice and lends pieces of it. Its invariant is `consumed + remaining =
//! input`: a failed read consumes nothing. No length that a peer declares is ever used before it
//! has been compared with what is really there, and nothing is allocated on its word.

mod mpint;
mod name_list;
mod reader;
mod sink;

pub use mpint::{MAX_MPINT_LEN, Mpint};
#[cfg(test)]
pub(crate) use name_list::counting;
pub use name_list::{MAX_NAME_LEN, NameList, Names};
pub use reader::{Reader, WireError};
pub use sink::{Counter, Sink};
