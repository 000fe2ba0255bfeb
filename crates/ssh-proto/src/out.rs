//! The one way out for messages: [`Out`] seals them, or holds them while keys are exchanged.
//!
//! Between our KEXINIT and our NEWKEYS only messages of the transport and of the key exchange may
//! be sent (RFC 4253 section 7.1). Data is refused in that time; everything else that we owe or
//! are asked to send is encoded, in order, into one bounded buffer and leaves right after NEWKEYS.
//! Reading never stops for it: the KEXINIT that we wait for may be behind.

use alloc::boxed::Box;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::error::{Error, LimitExceeded};
use crate::message::Wire;
use crate::random::{Purpose, Random, Streams};
use crate::send::{DataTo, SendBuf};
use crate::transport::Sealer;
use crate::wire::Sink;

pub(crate) struct Out {
    pub(crate) buf: SendBuf,
    pub(crate) sealer: Sealer,
    pub(crate) streams: Streams,
    source: Box<dyn Random + Send>,
    /// `Some` between our KEXINIT and our NEWKEYS: payloads, each behind its length.
    held: Option<Zeroizing<Vec<u8>>>,
    held_limit: usize,
    /// The first thing that went wrong. Nothing but a goodbye is sent after it.
    failure: Option<Error>,
    /// Nothing is sent any more.
    closed: bool,
}

impl Out {
    pub(crate) fn new(
        mut source: Box<dyn Random + Send>,
        mark: usize,
        held_limit: usize,
    ) -> Result<Self, Error> {
        let streams = Streams::new(&mut *source)?;
        Ok(Self {
            buf: SendBuf::new(mark),
            sealer: Sealer::new(),
            streams,
            source,
            held: None,
            held_limit,
            failure: None,
            closed: false,
        })
    }

    /// Mixes fresh randomness into the stream that ephemeral keys are drawn from.
    pub(crate) fn reseed(&mut self) -> Result<(), Error> {
        Ok(self.streams.reseed(&mut *self.source)?)
    }

    /// Draws the 64 bits that bind a token to this connection.
    pub(crate) fn nonce(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.streams.fill(Purpose::Token, &mut bytes);
        u64::from_be_bytes(bytes)
    }

    /// Sends bytes that are no packet: the identification line.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let written = self.buf.raw(bytes);
        self.note(written);
    }

    /// Sends a message of the transport or of the key exchange: never held.
    pub(crate) fn transport<'m, M: Wire<'m>>(&mut self, message: &M) {
        if self.closed {
            return;
        }
        let sealed = self
            .buf
            .message(&mut self.sealer, &mut self.streams, |sink| {
                message.encode(sink)
            });
        self.note(sealed);
    }

    /// Sends any other message, after NEWKEYS if keys are being exchanged.
    pub(crate) fn message<'m, M: Wire<'m>>(&mut self, message: &M) {
        let Some(held) = &mut self.held else {
            return self.transport(message);
        };
        if self.closed {
            return;
        }
        let kept = hold(held, self.held_limit, message);
        self.note(kept);
    }

    /// Whether messages are being held.
    pub(crate) const fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// How much more may be held.
    pub(crate) fn held_room(&self) -> usize {
        self.held_limit
            .saturating_sub(self.held.as_ref().map_or(0, |held| held.len()))
    }

    /// From our KEXINIT on.
    pub(crate) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// From our NEWKEYS on: what was held leaves now.
    pub(crate) fn release(&mut self) {
        let Some(held) = self.held.take() else { return };
        let mut rest = held.as_slice();
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some((payload, behind)) = behind.split_at_checked(length) else {
                break;
            };
            rest = behind;
            let sealed = self
                .buf
                .message(&mut self.sealer, &mut self.streams, |sink| {
                    sink.put(payload)
                });
            self.note(sealed);
        }
    }

    /// Lends room for data, see [`SendBuf::reserve`]; empty after a failure.
    pub(crate) fn reserve(&mut self, to: DataTo, want: usize) -> &mut [u8] {
        match self
            .buf
            .reserve(to, want, &mut self.sealer, &mut self.streams)
        {
            Ok(room) => room,
            Err(error) => {
                self.failure.get_or_insert(error);
                &mut []
            }
        }
    }

    /// Everything that waits to be written.
    pub(crate) fn output(&mut self) -> &[u8] {
        match self.buf.output(&mut self.sealer, &mut self.streams) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.failure.get_or_insert(error);
                &[]
            }
        }
    }

    pub(crate) fn take_output(&mut self, out: &mut Vec<u8>) {
        let taken = self.buf.take(out, &mut self.sealer, &mut self.streams);
        self.note(taken);
    }

    /// The first failure, once.
    pub(crate) const fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    pub(crate) const fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Nothing is sent from here on; what waits may still be written.
    pub(crate) fn close(&mut self) {
        let sealed = self.buf.seal_open(&mut self.sealer, &mut self.streams);
        self.note(sealed);
        self.held = None;
        self.closed = true;
    }

    fn note(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }
}

/// Puts a message behind those that are held, up to `limit` bytes of them all.
fn hold<'m>(held: &mut Vec<u8>, limit: usize, message: &impl Wire<'m>) -> Result<(), Error> {
    let start = held.len();
    if held.capacity() == 0 {
        // All of it at once: a reallocation would leave a copy behind that is not wiped.
        held.try_reserve_exact(limit)?;
    }
    let mut sink = Bounded {
        held,
        limit,
        full: false,
    };
    sink.put_u32(0);
    message.encode(&mut sink);
    if sink.full {
        held.truncate(start);
        return Err(LimitExceeded::Held.into());
    }
    let length = held.len().saturating_sub(start + 4);
    if let (Some(place), Ok(length)) = (held.get_mut(start..start + 4), u32::try_from(length)) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// Takes nothing beyond its limit, so that what is there never moves.
struct Bounded<'a> {
    held: &'a mut Vec<u8>,
    limit: usize,
    full: bool,
}

impl Sink for Bounded<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.full |= self.held.len().saturating_add(bytes.len()) > self.limit;
        if !self.full {
            self.held.extend_from_slice(bytes);
        }
    }
}

impl core::fmt::Debug for Out {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Out")
            .field("buf", &self.buf)
            .field("sealer", &self.sealer)
            .field("holding", &self.is_holding())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
