//! The hashes of the exchange hash, of key derivation and of fingerprints (FIPS 180-4). SHA-1 is there
//! for old peers.
//!
//! Fields are encoded straight into a hash. States and values are wiped when they are dropped and
//! values are compared in constant time, because keys are cut from them.

use core::fmt;

use sha2::Digest as _;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use crate::wire::Sink;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HashAlgorithm {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl HashAlgorithm {
    /// Bytes of a digest.
    pub(crate) const fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// As the names of algorithms have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The digest of `bytes`.
    pub(crate) fn digest(self, bytes: &[u8]) -> Digest {
        let mut hash = Hash::new(self);
        hash.put(bytes);
        hash.finish()
    }
}

/// SHA-256 of something public.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(bytes).into()
}

/// A hash in the making. Fields are encoded straight into it. Wiped when dropped.
#[derive(Clone)]
pub(crate) struct Hash {
    state: State,
}

#[derive(Clone)]
enum State {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Hash {
    pub(crate) fn new(algorithm: HashAlgorithm) -> Self {
        Self {
            state: match algorithm {
                HashAlgorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
                HashAlgorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
                HashAlgorithm::Sha384 => State::Sha384(sha2::Sha384::new()),
                HashAlgorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
            },
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self.state {
            State::Sha1(hash) => Digest::take(hash.finalize().as_mut_slice()),
            State::Sha256(hash) => Digest::take(hash.finalize().as_mut_slice()),
            State::Sha384(hash) => Digest::take(hash.finalize().as_mut_slice()),
            State::Sha512(hash) => Digest::take(hash.finalize().as_mut_slice()),
        }
    }
}

impl Sink for Hash {
    fn put(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha1(hash) => hash.update(bytes),
            State::Sha256(hash) => hash.update(bytes),
            State::Sha384(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash")
    }
}

/// The value of a hash. Compared in constant time and wiped when dropped, since keys are cut from
/// such values.
#[derive(Clone)]
pub(crate) struct Digest {
    bytes: [u8; Self::MAX_LEN],
    len: usize,
}

impl Digest {
    /// The longest one, of SHA-512.
    pub(crate) const MAX_LEN: usize = 64;

    /// Moves the bytes, at most [`MAX_LEN`](Self::MAX_LEN), out of a library's array.
    pub(super) fn take(from: &mut [u8]) -> Self {
        let mut bytes = [0; Self::MAX_LEN];
        let len = from.len().min(Self::MAX_LEN);
        if let (Some(to), Some(from)) = (bytes.get_mut(..len), from.get(..len)) {
            to.copy_from_slice(from);
        }
        from.zeroize();
        Self { bytes, len }
    }

    /// Leaves the first `len` bytes of it.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref().ct_eq(other.as_ref()).into()
    }
}

impl Eq for Digest {}

impl Drop for Digest {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4 examples, "abc".
    #[test]
    fn fips180_abc() {
        for (algorithm, digest) in [
            (
                HashAlgorithm::Sha1,
                "a9993e364706816aba3e25717850c26c9cd0d89d",
            ),
            (
                HashAlgorithm::Sha384,
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
                 8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                HashAlgorithm::Sha256,
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                HashAlgorithm::Sha512,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            let mut hash = Hash::new(algorithm);
            hash.put(b"a");
            hash.put_u8(b'b');
            hash.put(b"c");
            let value = hash.finish();
            assert_eq!(hex::encode(value.as_ref()), digest);
            assert_eq!(value, algorithm.digest(b"abc"));
            assert_ne!(value, algorithm.digest(b"abd"));
            assert_eq!(value.as_ref().len(), algorithm.output_len());
        }
    }
}
