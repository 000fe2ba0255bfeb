//! Keys, signatures and fingerprints as values in wire form.
//!
//! A [`PublicKey`] that exists has passed every check that does not need a signature, and keeps
//! the bytes that it came as, because signatures and the exchange hash cover those. Its type says
//! what it is; what it may be used for is asked again at every use: a signature is verified under
//! the algorithm that was agreed on, never under the one that the signature names.
//!
//! Text and container formats of keys are not here.

mod fingerprint;
mod private;
mod public;
mod signature;

pub use fingerprint::{Fingerprint, FingerprintError};
pub use private::PrivateKey;
pub use public::{KeyError, PublicKey};
pub use signature::{Signature, SignatureError};
