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
use crate::wire::{Counter, Sink};

/// What a message that is held counts for at the least: sealed, a small one is several times as
/// long, and all of them leave at once.
pub(crate) const HELD_MIN: usize = 16;

/// Messages that wait for our NEWKEYS.
struct Held {
    /// Each behind its length.
    payloads: Zeroizing<Vec<u8>>,
    /// What is compared with the limit: at least the length of `payloads`.
    count: usize,
    limit: usize,
}

pub(crate) struct Out {
    pub(crate) buf: SendBuf,
    pub(crate) sealer: Sealer,
    pub(crate) streams: Streams,
    source: Box<dyn Random + Send>,
    /// `Some` between our KEXINIT and our NEWKEYS.
    held: Option<Held>,
    /// The first thing that went wrong. Nothing but a goodbye is sent after it.
    failure: Option<Error>,
    /// Nothing is sent any more.
    closed: bool,
}

impl Out {
    pub(crate) fn new(mut source: Box<dyn Random + Send>, mark: usize) -> Result<Self, Error> {
        let streams = Streams::new(&mut *source)?;
        Ok(Self {
            buf: SendBuf::new(mark),
            sealer: Sealer::new(),
            streams,
            source,
            held: None,
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
        if self.closed || self.has_failed() {
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
        if self.closed || self.failure.is_some() {
            return;
        }
        let kept = hold(held, message);
        self.note(kept);
    }

    /// Whether messages are being held.
    pub(crate) const fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// How much more may be held.
    pub(crate) fn held_room(&self) -> usize {
        let held = self.held.as_ref();
        held.map_or(0, |held| held.limit.saturating_sub(held.count))
    }

    /// From our KEXINIT on. What is held may count for `limit`.
    pub(crate) fn hold(&mut self, limit: usize) {
        self.held.get_or_insert_with(|| Held {
            payloads: Zeroizing::default(),
            count: 0,
            limit,
        });
    }

    /// From our NEWKEYS on: what was held leaves now.
    pub(crate) fn release(&mut self) {
        let Some(held) = self.held.take() else { return };
        let mut rest = held.payloads.as_slice();
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
        self.sealer.end();
    }

    fn note(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }
}

/// Puts a message behind those that are held.
fn hold<'m>(held: &mut Held, message: &impl Wire<'m>) -> Result<(), Error> {
    let length = encoded_len(message);
    let count = held.count + (length + 4).max(HELD_MIN);
    let prefix = u32::try_from(length).ok().filter(|_| count <= held.limit);
    let prefix = prefix.ok_or(LimitExceeded::Held)?;
    if held.payloads.capacity() == 0 {
        // All of it at once: a reallocation would leave a copy behind that is not wiped.
        held.payloads.try_reserve_exact(held.limit)?;
    }
    held.count = count;
    held.payloads.put_u32(prefix);
    message.encode(&mut *held.payloads);
    Ok(())
}

/// The size of an encoded message.
pub(crate) fn encoded_len<'m, M: Wire<'m>>(message: &M) -> usize {
    let mut counter = Counter::default();
    message.encode(&mut counter);
    counter.len()
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
