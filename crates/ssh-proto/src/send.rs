//! Who owns bytes to be sent: [`SendBuf`].
//!
//! ```text
//!      head          len    len + open packet            storage.len()
//!   | written | sealed | open packet (plaintext) | unused |
//!   +---------+--------+-------------------------+--------+   head <= len <= storage.len()
//!             ^ output() lends head..len, after sealing the open packet
//! ```
//!
//! The newest data packet stays open until somebody looks at the output or something else must be
//! sent: small writes to one channel become one packet, with no timer and no delay. Data is
//! accepted while `len` is below the high-water mark, then refused until everything has been
//! written, then accepted from offset 0: bytes are never moved. Control messages have room of
//! their own above the mark, and the memory for it goes back when all is written.

use alloc::vec::Vec;
use core::ops::Range;

use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, OutOfMemory};
use crate::message::{ChannelData, ChannelExtendedData, Wire};
use crate::mux::Stream;
use crate::random::Streams;
use crate::transport::{MAX_OVERHEAD, PAYLOAD_OFFSET, Sealer};
use crate::wire::Sink;

/// Room below this is not worth a packet; and as much goes to the framing of a few large ones.
pub(crate) const MIN_ROOM: usize = 256;
/// The first size of the storage; it doubles up to the mark.
const MIN_STORAGE: usize = 4 * 1024;
/// Above the mark it grows by little: there a peer decides how much is owed to it.
const STEP: usize = 4 * 1024;

/// A data packet in the making, at `len`.
#[derive(Clone, Copy, Debug)]
struct Open {
    recipient: u32,
    stream: Stream,
    data: usize,
}

impl Open {
    /// byte, recipient channel, (data type,) length.
    const fn header(stream: Stream) -> usize {
        match stream {
            Stream::Data => 9,
            Stream::Extended(_) => 13,
        }
    }

    const fn payload(&self) -> usize {
        Self::header(self.stream) + self.data
    }
}

pub(crate) struct SendBuf {
    /// Always initialised in full: room inside a packet is lent without being filled first.
    storage: Vec<u8>,
    head: usize,
    len: usize,
    open: Option<Open>,
    /// Data is refused from here on.
    mark: usize,
}

impl SendBuf {
    pub(crate) const fn new(mark: usize) -> Self {
        Self {
            storage: Vec::new(),
            head: 0,
            len: 0,
            open: None,
            mark,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.head == self.len && self.open.is_none()
    }

    /// How far the storage is filled: what the marks are compared with.
    pub(crate) fn filled(&self) -> usize {
        self.len + self.open.map_or(0, |open| open.payload() + MAX_OVERHEAD)
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.storage.capacity()
    }

    /// How many bytes of data there is room for below `share` of the mark.
    pub(crate) fn room(&self, share: Share) -> usize {
        let mark = match share {
            Share::All => self.mark,
            // With the framing: data of that size, which is a usual one, leaves no tail behind.
            Share::Half => (self.mark / 2 + MIN_ROOM).min(self.mark),
        };
        mark.saturating_sub(self.filled())
    }

    /// Seals the open packet and lends everything that waits.
    pub(crate) fn output(
        &mut self,
        sealer: &mut Sealer,
        streams: &mut Streams,
    ) -> Result<&[u8], Error> {
        self.seal_open(sealer, streams)?;
        Ok(self.storage.get(self.head..self.len).unwrap_or_default())
    }

    /// Forgets `n` bytes of output, more than there is counts as all, and says whether there was any.
    pub(crate) fn consume(&mut self, n: usize) -> bool {
        let before = self.head;
        self.head = self.head.saturating_add(n).min(self.len);
        let moved = self.head != before;
        if self.head == self.len && self.open.is_none() {
            (self.head, self.len) = (0, 0);
            trim(&mut self.storage, self.mark);
        }
        moved
    }

    /// Puts the output into `out`, in place of what is there. Its memory is taken in exchange
    /// where that saves a copy.
    pub(crate) fn take(
        &mut self,
        out: &mut Vec<u8>,
        sealer: &mut Sealer,
        streams: &mut Streams,
    ) -> Result<(), Error> {
        self.seal_open(sealer, streams)?;
        if self.head == 0 && self.len > 0 {
            core::mem::swap(out, &mut self.storage);
            out.truncate(self.len);
            trim(&mut self.storage, self.mark);
        } else {
            out.clear();
            let waiting = self.storage.get(self.head..self.len).unwrap_or_default();
            out.try_reserve(waiting.len())?;
            out.extend_from_slice(waiting);
        }
        (self.head, self.len) = (0, 0);
        Ok(())
    }

    /// Gives the memory back. For a connection that is idle.
    pub(crate) fn give_back(&mut self) {
        if self.is_empty() {
            (self.head, self.len) = (0, 0);
            self.storage = Vec::new();
        }
    }

    /// Writes bytes that are no packet.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut sink = self.sink(self.len);
        sink.put(bytes);
        self.len = sink.finish()?;
        Ok(())
    }

    /// Writes to the storage from `at` on.
    const fn sink(&mut self, at: usize) -> PacketSink<'_> {
        PacketSink {
            sealed: self.len,
            mark: self.mark,
            storage: &mut self.storage,
            start: at,
            at,
            failed: None,
        }
    }

    /// Writes one message, whose payload `encode` puts, as a packet of its own.
    pub(crate) fn message(
        &mut self,
        sealer: &mut Sealer,
        streams: &mut Streams,
        encode: impl FnOnce(&mut PacketSink<'_>),
    ) -> Result<(), Error> {
        self.seal_open(sealer, streams)?;
        let start = self.len + PAYLOAD_OFFSET;
        let mut sink = self.sink(start);
        encode(&mut sink);
        let payload = sink.finish()? - start;
        self.seal(payload, sealer, streams)
    }

    /// Lends room for data of one channel and stream: an extension of the open packet or, if that
    /// is another's or full, the place in a new one. At most `max` bytes go into one packet.
    pub(crate) fn reserve(
        &mut self,
        to: DataTo,
        want: usize,
        sealer: &mut Sealer,
        streams: &mut Streams,
    ) -> Result<&mut [u8], Error> {
        let extends = self.open.is_some_and(|open| {
            open.recipient == to.recipient && open.stream == to.stream && open.data < to.max
        });
        if !extends {
            self.seal_open(sealer, streams)?;
        }
        let data = self.open.map_or(0, |open| open.data);
        let n = want.min(to.max.saturating_sub(data));
        let start = self.len + PAYLOAD_OFFSET + Open::header(to.stream) + data;
        let size = start + n + MAX_OVERHEAD;
        grow(&mut self.storage, self.len..start, size, self.mark)?;
        Ok(self.storage.get_mut(start..start + n).unwrap_or_default())
    }

    /// The first `n` bytes of what [`reserve`](Self::reserve) has just lent are data now.
    pub(crate) fn commit(&mut self, to: DataTo, n: usize) {
        if n > 0 {
            let data = self.open.map_or(0, |open| open.data) + n;
            self.open = Some(Open {
                recipient: to.recipient,
                stream: to.stream,
                data,
            });
        }
    }

    /// Finishes the open packet.
    pub(crate) fn seal_open(
        &mut self,
        sealer: &mut Sealer,
        streams: &mut Streams,
    ) -> Result<(), Error> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let mut header = self.sink(self.len + PAYLOAD_OFFSET);
        match open.stream {
            Stream::Data => {
                header.put_u8(ChannelData::NUMBER);
                header.put_u32(open.recipient);
            }
            Stream::Extended(data_type_code) => {
                header.put_u8(ChannelExtendedData::NUMBER);
                header.put_u32(open.recipient);
                header.put_u32(data_type_code);
            }
        }
        header.put_u32(u32::try_from(open.data).unwrap_or(u32::MAX));
        self.seal(open.payload(), sealer, streams)
    }

    /// Nothing is left in clear of a packet that could not be sealed.
    fn seal(
        &mut self,
        payload: usize,
        sealer: &mut Sealer,
        streams: &mut Streams,
    ) -> Result<(), Error> {
        let sealed = self.try_seal(payload, sealer, streams);
        if sealed.is_err() {
            self.wipe();
        }
        sealed
    }

    fn try_seal(
        &mut self,
        payload: usize,
        sealer: &mut Sealer,
        streams: &mut Streams,
    ) -> Result<(), Error> {
        let end = self.len + PAYLOAD_OFFSET + payload;
        grow(
            &mut self.storage,
            self.len..end,
            end + MAX_OVERHEAD + sealer.growth(payload),
            self.mark,
        )?;
        let room = self.storage.get_mut(self.len..).unwrap_or_default();
        self.len += sealer.seal(room, payload, streams)?;
        Ok(())
    }

    /// Wipes what has not been encrypted where it lies.
    fn wipe(&mut self) {
        let clear = self.storage.get_mut(self.len..);
        clear.unwrap_or_default().zeroize();
    }
}

/// Shows sizes only: an open packet is in clear.
impl core::fmt::Debug for SendBuf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SendBuf")
            .field("waiting", &(self.len - self.head))
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl Drop for SendBuf {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Whose data a packet carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataTo {
    /// The peer's number of the channel.
    pub(crate) recipient: u32,
    pub(crate) stream: Stream,
    /// The most data that one packet may carry.
    pub(crate) max: usize,
}

/// How much of the room below the mark a channel may fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// Interactive channels.
    All,
    /// Bulk channels: so that a keystroke still finds room.
    Half,
}

/// Writes a payload to its final place.
pub(crate) struct PacketSink<'a> {
    storage: &'a mut Vec<u8>,
    /// Where the payload's packet begins: before it everything is encrypted.
    sealed: usize,
    start: usize,
    at: usize,
    mark: usize,
    /// There was no memory: nothing has been written since.
    failed: Option<OutOfMemory>,
}

impl PacketSink<'_> {
    /// How far the storage is filled now. Of a message that did not fit nothing is left.
    fn finish(self) -> Result<usize, OutOfMemory> {
        let Some(failed) = self.failed else {
            return Ok(self.at);
        };
        let begun = self.storage.get_mut(self.start..self.at);
        begun.unwrap_or_default().zeroize();
        Err(failed)
    }
}

impl Sink for PacketSink<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        if self.failed.is_some() {
            return;
        }
        self.failed = grow(self.storage, self.sealed..self.at, end, self.mark).err();
        if self.failed.is_some() {
            return;
        }
        if let Some(room) = self.storage.get_mut(self.at..end) {
            room.copy_from_slice(bytes);
            self.at = end;
        }
    }
}

/// Makes `storage` at least `size` long. Its callers are bounded by the marks and by the size of
/// one message. A reallocation may leave a copy behind, so what is in `clear` steps aside and is
/// wiped meanwhile; there is never more of it than one packet, where a second storage would be as
/// much again. Without memory for what is ample, what is needed does.
#[inline]
fn grow(
    storage: &mut Vec<u8>,
    clear: Range<usize>,
    size: usize,
    mark: usize,
) -> Result<(), OutOfMemory> {
    if storage.len() >= size {
        return Ok(());
    }
    grow_to(storage, clear, size, mark)
}

#[cold]
fn grow_to(
    storage: &mut Vec<u8>,
    clear: Range<usize>,
    size: usize,
    mark: usize,
) -> Result<(), OutOfMemory> {
    if storage.capacity() >= size {
        // No further: where output is taken in exchange for other memory, this is done each time.
        storage.resize(size, 0);
        return Ok(());
    }
    let ample = if size > mark {
        size + STEP
    } else {
        let doubled = storage.len().saturating_mul(2);
        size.max(doubled.min(mark))
    };
    let ample = ample.max(MIN_STORAGE);
    let bytes = storage.get(clear.clone()).unwrap_or_default();
    let mut aside = Zeroizing::new(Vec::new());
    aside.try_reserve_exact(bytes.len())?;
    aside.extend_from_slice(bytes);
    storage.get_mut(clear.start..).unwrap_or_default().zeroize();
    let length = storage.len();
    let mut reserve = |size: usize| storage.try_reserve_exact(size - length).map(|()| size);
    let reserved = reserve(ample).or_else(|_| reserve(size));
    if let Ok(size) = reserved {
        storage.resize(size, 0);
    }
    if let Some(place) = storage.get_mut(clear)
        && place.len() == aside.len()
    {
        place.copy_from_slice(&aside);
    }
    reserved?;
    Ok(())
}

/// Gives a storage back in which nothing waits and which is larger than data makes use of.
fn trim(storage: &mut Vec<u8>, mark: usize) {
    // What a packet at the mark goes beyond it, and the credit that is granted beside it.
    if storage.capacity() > mark.saturating_add(2 * STEP).max(MIN_STORAGE) {
        // There is nothing in it, and to shrink it might fail.
        *storage = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::random::testing::SeededRandom;
    use crate::recv::RecvBuf;
    use crate::transport::{Opener, Packet};

    const TO: DataTo = DataTo {
        recipient: 5,
        stream: Stream::Data,
        max: 1000,
    };

    struct Fixture {
        buf: SendBuf,
        sealer: Sealer,
        streams: Streams,
    }

    impl Fixture {
        fn new(mark: usize) -> Self {
            let streams = Streams::new(&mut SeededRandom::new(1)).unwrap();
            Self {
                buf: SendBuf::new(mark),
                sealer: Sealer::new(),
                streams,
            }
        }

        fn send(&mut self, to: DataTo, data: &[u8]) -> usize {
            let room = self
                .buf
                .reserve(to, data.len(), &mut self.sealer, &mut self.streams);
            let room = room.unwrap();
            let n = room.len();
            room.copy_from_slice(&data[..n]);
            self.buf.commit(to, n);
            n
        }

        /// Takes all output and returns the payloads in it.
        fn payloads(&mut self) -> Vec<Vec<u8>> {
            let mut rx = RecvBuf::new();
            let output = self
                .buf
                .output(&mut self.sealer, &mut self.streams)
                .unwrap();
            rx.push(output);
            let n = output.len();
            self.buf.consume(n);
            let mut opener = Opener::new();
            let mut payloads = Vec::new();
            while let Packet::Payload(payload) =
                opener.next(&mut rx.batch(), 35_000, false).unwrap()
            {
                payloads.push(payload.bytes.to_vec());
            }
            assert!(rx.is_empty());
            payloads
        }
    }

    #[test]
    fn small_writes_to_one_channel_become_one_packet() {
        let mut f = Fixture::new(1 << 16);
        for piece in [&b"ab"[..], b"c", b"def"] {
            assert_eq!(f.send(TO, piece), piece.len());
        }
        assert_eq!(f.payloads(), [b"\x5e\0\0\0\x05\0\0\0\x06abcdef"]);
        assert!(f.buf.is_empty());
    }

    #[test]
    fn another_channel_or_stream_or_a_full_packet_begins_a_new_one() {
        let mut f = Fixture::new(1 << 16);
        f.send(TO, b"a");
        f.send(
            DataTo {
                stream: Stream::STDERR,
                ..TO
            },
            b"b",
        );
        f.send(DataTo { recipient: 6, ..TO }, b"c");
        assert_eq!(
            f.send(TO, &[b'd'; 1500]),
            1000,
            "no more than fits into a packet"
        );
        f.send(TO, b"e");
        let payloads = f.payloads();
        assert_eq!(payloads.len(), 5);
        assert_eq!(payloads[1], b"\x5f\0\0\0\x05\0\0\0\x01\0\0\0\x01b");
        assert_eq!(payloads[4], b"\x5e\0\0\0\x05\0\0\0\x01e");
    }

    #[test]
    fn a_room_that_is_not_committed_never_was() {
        let mut f = Fixture::new(1 << 16);
        f.buf
            .reserve(TO, 100, &mut f.sealer, &mut f.streams)
            .unwrap()
            .fill(b'x');
        assert!(f.buf.is_empty());
        f.send(TO, b"a");
        f.buf
            .reserve(TO, 100, &mut f.sealer, &mut f.streams)
            .unwrap()
            .fill(b'x');
        assert_eq!(f.payloads(), [b"\x5e\0\0\0\x05\0\0\0\x01a"]);
    }

    #[test]
    fn data_is_refused_above_the_mark_until_all_is_written() {
        let mut f = Fixture::new(4000);
        while f.buf.room(Share::All) > 0 {
            f.send(TO, &[0; 1000]);
        }
        let (len, capacity) = {
            let output = f.buf.output(&mut f.sealer, &mut f.streams).unwrap();
            (output.len(), f.buf.capacity())
        };
        f.buf.consume(len - 1);
        assert_eq!(f.buf.room(Share::All), 0, "one byte still waits");
        f.buf.consume(1);
        assert_eq!(f.buf.room(Share::All), 4000);
        assert_eq!(f.buf.room(Share::Half), 2000 + MIN_ROOM);
        f.buf.give_back();
        assert!(capacity > 0 && f.buf.capacity() == 0);
    }

    #[test]
    fn q3_what_is_in_clear_is_wiped_and_never_shown() {
        let mut f = Fixture::new(4000);
        f.send(TO, b"sent");
        let written = f.buf.output(&mut f.sealer, &mut f.streams).unwrap().len();
        f.buf.consume(1);
        f.send(TO, b"hunter2");
        let shown = format!("{:?}", f.buf);
        assert!(
            shown.contains(&format!("waiting: {}", written - 1)),
            "{shown}"
        );
        assert!(
            shown.contains("data: 7") && !shown.contains("104"),
            "{shown}"
        );
        let clear = |f: &Fixture| f.buf.storage.windows(7).any(|bytes| bytes == b"hunter2");
        assert!(clear(&f));
        f.buf.wipe();
        assert!(!clear(&f) && f.buf.storage[..written].iter().any(|byte| *byte != 0));
    }

    /// What is made of a storage so long, when it must be of that size.
    fn grown(before: usize, size: usize, mark: usize) -> usize {
        let mut storage = Vec::new();
        if before > 0 {
            grow(&mut storage, 0..0, before, before).unwrap();
            storage.truncate(before);
            storage.shrink_to_fit();
        }
        grow(&mut storage, 0..0, size, mark).unwrap();
        assert_eq!(storage.capacity(), storage.len(), "no more is asked for");
        storage.len()
    }

    #[test]
    fn storage_doubles_up_to_the_mark_and_grows_by_little_above_it() {
        let mark = 40_000;
        for (before, size, after) in [
            (0, 1, MIN_STORAGE),
            (0, MIN_STORAGE + 1, MIN_STORAGE + 1),
            (10_000, 10_001, 20_000),
            (10_000, 30_000, 30_000),
            (30_000, 30_001, mark),
            (30_000, mark, mark),
            (30_000, mark + 1, mark + 1 + STEP),
            (50_000, 50_001, 50_001 + STEP),
            (50_000, 50_000, 50_000),
        ] {
            assert_eq!(grown(before, size, mark), after, "{before} {size}");
        }
        let mut f = Fixture::new(mark);
        f.send(TO, &[0; 1000]);
        assert_eq!(
            f.buf.capacity(),
            MIN_STORAGE,
            "a packet and what is around it"
        );
    }

    #[test]
    fn storage_for_more_than_data_is_given_back_when_all_is_written() {
        let most = 40_000 + 2 * STEP;
        for (capacity, mark, kept) in [
            (most, 40_000, true),
            (most + 1, 40_000, false),
            (MIN_STORAGE, 0, true),
            (2 * STEP, 0, true),
            (2 * STEP + 1, 0, false),
        ] {
            let mut storage = Vec::new();
            storage.reserve_exact(capacity);
            assert_eq!(storage.capacity(), capacity);
            trim(&mut storage, mark);
            assert_eq!(storage.capacity() > 0, kept, "{capacity} {mark}");
        }
    }

    #[test]
    fn no_data_is_no_packet() {
        let mut f = Fixture::new(4000);
        assert_eq!(f.send(TO, b""), 0);
        assert!(f.buf.is_empty() && f.payloads().is_empty());
    }

    #[test]
    fn what_moves_is_output_that_there_is() {
        let mut f = Fixture::new(4000);
        assert!(!f.buf.consume(1));
        f.send(TO, b"a");
        f.buf.output(&mut f.sealer, &mut f.streams).unwrap();
        assert!(!f.buf.consume(0));
        assert!(f.buf.consume(1));
        assert!(f.buf.consume(usize::MAX) && f.buf.is_empty());
        // Where there is nothing to take, nothing is given in exchange.
        let capacity = f.buf.capacity();
        let mut out = Vec::new();
        f.buf.take(&mut out, &mut f.sealer, &mut f.streams).unwrap();
        assert_eq!((f.buf.capacity(), out.capacity()), (capacity, 0));
    }

    #[test]
    fn output_that_is_taken_is_not_copied() {
        let mut f = Fixture::new(1 << 16);
        f.send(TO, b"a");
        let storage = f.buf.storage.as_ptr();
        let mut out = Vec::new();
        f.buf.take(&mut out, &mut f.sealer, &mut f.streams).unwrap();
        assert_eq!(out.as_ptr(), storage);
        assert!(f.buf.is_empty() && !out.is_empty());
        f.send(TO, b"b");
        let (n, taken) = (out.len(), out.as_ptr());
        f.buf.take(&mut out, &mut f.sealer, &mut f.streams).unwrap();
        assert_eq!(out.len(), n, "in place of what was there");
        f.send(TO, b"c");
        assert_eq!(f.buf.storage.as_ptr(), taken, "its memory is used again");
    }
}
