//! What the unit tests share: generators that are not random, and the fixtures.

use alloc::{format, string::String, vec::Vec};

use ssh_proto::random::{Random, RandomError};

/// The directory of the fixtures.
pub(crate) const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata");

/// Gives numbers that differ and mean nothing.
pub(crate) struct Counting(u64);

impl Counting {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Random for Counting {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        for byte in out {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = self.0.to_be_bytes()[0];
        }
        Ok(())
    }
}

/// Fails always.
pub(crate) struct Broken;

impl Random for Broken {
    fn fill(&mut self, _: &mut [u8]) -> Result<(), RandomError> {
        Err(RandomError)
    }
}

/// Gives what a closure writes.
pub(crate) struct With<'a>(pub(crate) &'a mut dyn FnMut(&mut [u8]));

impl Random for With<'_> {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        (self.0)(out);
        Ok(())
    }
}

/// A file of `testdata/keys`.
pub(crate) fn key_file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{TESTDATA}/keys/{name}")).unwrap()
}

/// n, e, d, iqmp, p, q of an RSA key that is not encrypted, dug out without the code under test.
pub(crate) fn rsa_file(name: &str) -> [Vec<u8>; 6] {
    use base64ct::{Base64, Encoding as _};

    let file = String::from_utf8(key_file(name)).unwrap();
    let body: String = file.lines().filter(|l| !l.starts_with('-')).collect();
    let body = Base64::decode_vec(&body).unwrap();
    // The private section is the last time that the type is named.
    let at = body.windows(7).rposition(|w| w == b"ssh-rsa").unwrap() + 7;
    let mut reader = ssh_proto::wire::Reader::new(&body[at..]);
    core::array::from_fn(|_| reader.mpint().unwrap().as_unsigned().to_vec())
}
