//! What is sent is compressed here: [`Deflater`].
//!
//! ```text
//!   | packet_length | padding_length | payload             | room                |
//!                                      | miniz_oxide --> staging --.
//!                                      v                           |
//!   |               |                | compressed | wiped  | room   |
//!                                      ^---------- copied ---------'
//! ```
//!
//! Whatever can fail is done before the state of the stream moves. What fails later leaves both sides
//! with different windows: from then on nothing can be sent, not even a goodbye.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hint::black_box;

use miniz_oxide::DataFormat;
use miniz_oxide::deflate::core::{
    CompressionStrategy, CompressorOxide, TDEFLFlush, TDEFLStatus, compress,
    create_comp_flags_from_zip_params,
};
use zeroize::Zeroize;

use crate::algorithm::CompressionAlgorithm;
use crate::error::{Error, OutOfMemory};

/// What a `CompressorOxide` takes, rounded up: the window and two tables over it, symbols that are
/// collected, and a buffer of its own for blocks.
pub(super) const MEMORY: usize = 324 * 1024;

const FAILED: Error = Error::Internal("a payload was not compressed");

/// The most that a payload of `length` bytes is compressed to, with an end to it that the peer can
/// decode without the next one. Generous: where a block would grow it is stored as it is, which adds
/// five bytes to 31 KiB, and the flush is ten bits.
pub(crate) const fn bound(length: usize) -> usize {
    length.saturating_add(length / 64).saturating_add(128)
}

/// Compresses payloads of one direction, once it is on.
pub(crate) struct Deflater {
    method: CompressionAlgorithm,
    authenticated: bool,
    level: u8,
    /// Made for the first payload.
    stream: Option<Box<CompressorOxide>>,
    /// Always initialised in full; nothing in it between payloads.
    staging: Vec<u8>,
    /// The state of the stream is not what the peer knows.
    failed: bool,
}

impl Deflater {
    pub(crate) const fn new() -> Self {
        Self {
            method: CompressionAlgorithm::None,
            authenticated: false,
            level: 0,
            stream: None,
            staging: Vec::new(),
            failed: false,
        }
    }

    //= rfc4253#section-6.2
    //# The compression context is initialized after each key exchange, and is
    //# passed from one packet to the next, with only a partial flush being
    //# performed at the end of each packet.
    /// NEWKEYS has been sealed: a stream of this method begins behind it.
    pub(crate) fn begin(&mut self, method: CompressionAlgorithm, level: u8) {
        (self.method, self.level) = (method, level);
        if method.is_none() {
            self.end();
        } else if let Some(stream) = &mut self.stream {
            stream.reset();
        }
    }

    /// SSH_MSG_USERAUTH_SUCCESS has gone by.
    pub(crate) const fn authenticated(&mut self) {
        self.authenticated = true;
    }

    /// Nothing more will be compressed: wipes and gives back what there is.
    pub(crate) fn end(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            stream.reset();
            // Memory that is given back next may as well not be written to, for all the compiler knows.
            black_box(&mut *stream);
        }
        self.staging = Vec::new();
    }

    /// Whether payloads are compressed.
    pub(crate) const fn is_on(&self) -> bool {
        self.method.is_on(self.authenticated)
    }

    /// How much room must be behind a payload of `length` bytes.
    pub(crate) const fn growth(&self, length: usize) -> usize {
        if self.is_on() {
            bound(length) - length
        } else {
            0
        }
    }

    /// Nobody will see what was compressed last.
    pub(crate) const fn fail(&mut self) {
        self.failed = self.is_on();
    }

    /// Compresses the `length` bytes at the front of `room`, which reaches [`growth`](Self::growth)
    /// further, where they lie. Says how long they are now; what is left of the payload is wiped.
    pub(crate) fn pack(&mut self, room: &mut [u8], length: usize) -> Result<usize, Error> {
        if !self.is_on() {
            return Ok(length);
        }
        if self.failed {
            return Err(FAILED);
        }
        let bound = bound(length);
        if room.len() < bound {
            return Err(FAILED);
        }
        if let Some(missing) = bound.checked_sub(self.staging.len()) {
            self.staging.try_reserve_exact(missing)?;
            self.staging.resize(bound, 0);
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => self.stream.insert(new_stream(self.level)?),
        };
        let (Some(plain), Some(staging)) = (room.get(..length), self.staging.get_mut(..bound))
        else {
            return Err(FAILED);
        };
        // From here on the state moves.
        self.failed = true;
        let (status, taken, made) = compress(stream, plain, staging, TDEFLFlush::Partial);
        if status != TDEFLStatus::Okay || taken != length || made >= bound {
            staging.zeroize();
            return Err(FAILED);
        }
        if let (Some(place), Some(packed)) = (room.get_mut(..made), staging.get_mut(..made)) {
            place.copy_from_slice(packed);
            packed.zeroize();
        }
        room.get_mut(made..length).unwrap_or_default().zeroize();
        self.failed = false;
        Ok(made)
    }
}

/// What `miniz_oxide` allocates it does not ask for, so as much is asked for in its place, and given
/// back.
fn new_stream(level: u8) -> Result<Box<CompressorOxide>, OutOfMemory> {
    let mut asked = Vec::<u8>::new();
    asked.try_reserve_exact(MEMORY)?;
    // It would not be asked for if nobody looked at it.
    drop(black_box(asked));
    let flags = create_comp_flags_from_zip_params(
        i32::from(level),
        DataFormat::Zlib.to_window_bits(),
        CompressionStrategy::Default as i32,
    );
    Ok(Box::new(CompressorOxide::new(flags)))
}

/// Shows no contents: a window is plaintext.
impl core::fmt::Debug for Deflater {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Deflater")
            .field("method", &self.method)
            .field("on", &self.is_on())
            .finish_non_exhaustive()
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        self.end();
    }
}
