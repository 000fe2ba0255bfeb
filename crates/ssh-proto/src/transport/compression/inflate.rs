//! What the peer compressed is inflated here: [`Inflater`].
//!
//! ```text
//!                                     at
//!   window   | newest ............... | oldest ............. |   a ring of 32 KiB: matches reach back
//!                         written here ^                          into what earlier packets held
//!                                      `--> copied to the room of this packet
//! ```
//!
//! The input is hostile until it is inflated. What it can ask for has two bounds: the room, beyond
//! which not a byte more than one is written anywhere, and the number of blocks. A block may be ten
//! bits long and has its tables built: without the second bound a packet of 256 KiB keeps a core busy
//! for 0.3 s and inflates to nothing.
//!
//! Every way to end a packet is taken, whatever kind of flush it comes from: nothing of what it inflates
//! to waits for the next one, because a decoder gives all that its input determines. A stream that ends,
//! with its last block, is an error there and then, so its checksum is nobody's concern.

use alloc::vec::Vec;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_IGNORE_ADLER32, TINFL_FLAG_PARSE_ZLIB_HEADER,
    TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress_with_limit};
use zeroize::Zeroize;

use crate::algorithm::CompressionAlgorithm;
use crate::error::{CompressionError, Error, LimitExceeded, OutOfMemory};

/// How far a match may reach back (RFC 1951 section 2).
const WINDOW: usize = 32 * 1024;
/// What a stream takes, rounded up.
pub(super) const MEMORY: usize = WINDOW + size_of::<Stream>() + 256;

/// Blocks that a packet may have after authentication, whatever its size: its data, the one or two empty
/// ones of a flush, and some for a peer that compresses it in parts.
const BLOCKS: usize = 8;
/// Before authentication a packet may have more, as far as it is counted how many packets there are:
/// clients put empty blocks behind a password to hide how long it is (PuTTY, up to 256 bytes of them).
const BLOCKS_BEFORE_AUTH: usize = 256;
/// One more for so many bytes. Compressors begin another block when they have collected thousands of
/// symbols.
const BYTES_FOR_A_BLOCK: usize = 32;

/// How many blocks a packet of `length` bytes may have.
const fn most_blocks(length: usize, authenticated: bool) -> usize {
    let some = if authenticated {
        BLOCKS
    } else {
        BLOCKS_BEFORE_AUTH
    };
    some.saturating_add(length / BYTES_FOR_A_BLOCK)
}

/// Inflates payloads of one direction, once it is on.
pub(crate) struct Inflater {
    method: CompressionAlgorithm,
    /// None or one. A box cannot be asked for where the answer may be no.
    stream: Vec<Stream>,
}

struct Stream {
    state: DecompressorOxide,
    window: Vec<u8>,
    at: usize,
    /// Nothing has been overwritten: a match cannot reach back further than the beginning.
    young: bool,
    /// How many blocks of the packet at hand have ended.
    blocks: usize,
}

impl Inflater {
    pub(crate) const fn new() -> Self {
        Self {
            method: CompressionAlgorithm::None,
            stream: Vec::new(),
        }
    }

    /// NEWKEYS has been received: a stream of this method begins behind it.
    pub(crate) fn begin(&mut self, method: CompressionAlgorithm) {
        self.method = method;
        if method.is_none() {
            self.end();
        } else if let Some(stream) = self.stream.first_mut() {
            stream.restart();
        }
    }

    /// Nothing more will be inflated: wipes and gives back what there is.
    pub(crate) fn end(&mut self) {
        self.stream = Vec::new();
    }

    /// Whether payloads are compressed, before or after the end of authentication.
    pub(crate) const fn is_on(&self, authenticated: bool) -> bool {
        self.method.is_on(authenticated)
    }

    /// Inflates one payload into the front of `room`, which is as long as it may become, and says how
    /// long it is. After an error nothing can be inflated any more.
    pub(crate) fn unpack(
        &mut self,
        packed: &[u8],
        room: &mut [u8],
        authenticated: bool,
    ) -> Result<usize, Error> {
        if self.stream.is_empty() {
            self.stream.try_reserve_exact(1)?;
            self.stream.push(Stream::new()?);
        }
        let Some(stream) = self.stream.first_mut() else {
            return Err(Error::Internal("no stream to inflate"));
        };
        stream.unpack(packed, room, most_blocks(packed.len(), authenticated))
    }

    /// How many blocks of the latest packet have ended.
    #[cfg(test)]
    pub(super) fn blocks(&self) -> usize {
        self.stream.first().map_or(0, |stream| stream.blocks)
    }
}

impl Stream {
    fn new() -> Result<Self, OutOfMemory> {
        let mut window = Vec::new();
        window.try_reserve_exact(WINDOW)?;
        window.resize(WINDOW, 0);
        Ok(Self {
            state: DecompressorOxide::new(),
            window,
            at: 0,
            young: true,
            blocks: 0,
        })
    }

    fn restart(&mut self) {
        self.state = DecompressorOxide::new();
        self.window.as_mut_slice().zeroize();
        (self.at, self.young) = (0, true);
    }

    fn unpack(
        &mut self,
        mut packed: &[u8],
        room: &mut [u8],
        most_blocks: usize,
    ) -> Result<usize, Error> {
        const ROOM: Error = Error::Internal("no room to inflate");
        let limit = room.len();
        let mut rest = room;
        self.blocks = 0;
        loop {
            if self.at == WINDOW {
                (self.at, self.young) = (0, false);
            }
            let mut flags = TINFL_FLAG_PARSE_ZLIB_HEADER
                | TINFL_FLAG_HAS_MORE_INPUT
                | TINFL_FLAG_IGNORE_ADLER32
                | TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;
            if self.young {
                flags |= TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
            }
            // One more than fits, to see whether there would be more.
            let most = rest.len().saturating_add(1);
            let (status, taken, made) = decompress_with_limit(
                &mut self.state,
                packed,
                &mut self.window,
                self.at,
                most,
                flags,
            );
            if made > rest.len() {
                return Err(
                    LimitExceeded::Inflated(u32::try_from(limit).unwrap_or(u32::MAX)).into(),
                );
            }
            let (place, behind) = core::mem::take(&mut rest)
                .split_at_mut_checked(made)
                .ok_or(ROOM)?;
            let output = self.window.get(self.at..self.at + made).ok_or(ROOM)?;
            place.copy_from_slice(output);
            rest = behind;
            self.at += made;
            packed = packed.get(taken..).ok_or(ROOM)?;
            match status {
                TINFLStatus::NeedsMoreInput => return Ok(limit - rest.len()),
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::BlockBoundary => {
                    self.blocks += 1;
                    if self.blocks > most_blocks {
                        return Err(CompressionError::TooManyBlocks.into());
                    }
                }
                TINFLStatus::Done => return Err(CompressionError::Ended.into()),
                _ => return Err(CompressionError::Damaged.into()),
            }
        }
    }
}

/// Shows no contents: a window is plaintext.
impl core::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Inflater")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A few bytes of input, and tables made of others.
        self.state = DecompressorOxide::new();
        core::hint::black_box(&mut self.state);
        self.window.zeroize();
    }
}
