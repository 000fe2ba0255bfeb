//! Who owns received bytes: [`RecvBuf`], [`Batch`] and [`Carry`].
//!
//! The caller owns the receive buffer; the connection splits packets off its front, decrypts them
//! where they lie and lends the payload inside the event. An event therefore borrows the buffer
//! and never the connection.
//!
//! ```text
//!                 head                 tail              storage.len()
//!   | consumed    | not yet consumed   | spare           |
//!   +-------------+--------------------+-----------------+     head <= tail <= storage.len()
//!   ^ wiped, if    ^ batch() lends this ^ spare(n) lends this
//!     it was secret
//! ```
//!
//! The connection writes only to bytes that it consumes: what is left is exactly as it arrived, so
//! it may be moved ([`RecvBuf::spare`] compacts), put aside ([`RecvBuf::park`]) or offered again in
//! another buffer ([`Batch::over`]).
//!
//! What a compressed packet inflates to does not fit into its place. It goes into room beside it, which
//! belongs to whoever owns the buffer (it is in [`Consumed`]) and has no memory before the first such
//! packet:
//!
//! ```text
//!                 lent    begun                        limit + AHEAD
//!   | 1st | 2nd | 3rd     | as much as one packet may be | ...  |
//!   +-----+-----+---------+------------------------------+------+
//!   ^     ^ each event of one batch lends its own part
//!   `------ a new batch, which ends all loans, begins again here
//! ```
//!
//! A packet is begun only while there is room for the largest; where there is not, another batch is
//! wanted ([`Wants::Batch`]), though more may lie in this one. A connection that compresses nothing has
//! no such room, and its packets are lent where they lie.

use alloc::alloc::handle_alloc_error;
use alloc::vec::Vec;
use core::alloc::Layout;

use zeroize::Zeroize;

use crate::error::OutOfMemory;

/// How far a buffer grows before the size of a packet is known and accepted, in bytes.
pub const RECV_BUF_SIZE: usize = 16 * 1024;

/// How much room there is for what packets inflate to beyond that for one of the largest, in bytes: so
/// that a batch holds several of the usual size.
pub(crate) const INFLATE_AHEAD: usize = 128 * 1024;

/// What the connection needs next. The answer to why `poll_event` returned `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wants {
    /// At least this many bytes beyond those that the last batch held.
    Bytes(usize),
    /// Another batch of what is there already; do not read.
    Batch,
    /// An answer of the application to a decision; do not read.
    Answer,
    /// That output is written first: so much of it waits that nothing more can be answered.
    Output,
    /// Nothing, ever again. `output()` may still hold the last words.
    Closed,
}

/// What becomes of the bytes of a [`Batch`]: how much of it was consumed, whether that may have held
/// secrets, and the room for what compressed packets in it inflate to.
///
/// It is made without memory. Whoever uses [`Batch::over`] on a connection with compression keeps one
/// and uses it again, because with it goes the room.
#[derive(Default)]
pub struct Consumed {
    counts: Counts,
    room: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    bytes: usize,
    secret: bool,
    /// So much of the room may hold something.
    inflated: usize,
}

impl Consumed {
    const fn new() -> Self {
        Self {
            counts: Counts {
                bytes: 0,
                secret: false,
                inflated: 0,
            },
            room: Vec::new(),
        }
    }

    /// The number of bytes consumed from the front.
    pub const fn bytes(&self) -> usize {
        self.counts.bytes
    }

    /// Whether they may have held a password or the like (everything before the end of
    /// authentication): whoever owns the memory should wipe it. What is in here is wiped by itself.
    pub const fn secret(&self) -> bool {
        self.counts.secret
    }

    /// The bytes of memory held, for what packets inflate to.
    pub const fn capacity(&self) -> usize {
        self.room.capacity()
    }

    /// Wipes what packets inflated to, if that may have been secret.
    fn wipe(&mut self) {
        if self.counts.secret {
            let inflated = self.room.get_mut(..self.counts.inflated);
            inflated.unwrap_or_default().zeroize();
        }
        (self.counts.secret, self.counts.inflated) = (false, 0);
    }
}

impl core::fmt::Debug for Consumed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Consumed")
            .field("bytes", &self.counts.bytes)
            .field("secret", &self.counts.secret)
            .finish_non_exhaustive()
    }
}

impl Drop for Consumed {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Received bytes, lent to the connection. It takes whole packets from the front.
pub struct Batch<'b> {
    rest: &'b mut [u8],
    counts: &'b mut Counts,
    room: Room<'b>,
    /// How much of the room is lent.
    lent: usize,
}

/// Where packets are inflated to.
enum Room<'b> {
    /// Nothing is lent: it may be replaced by a larger one.
    Whole(&'b mut Vec<u8>),
    /// What is left.
    Rest(&'b mut [u8]),
}

impl<'b> Batch<'b> {
    /// Lends `bytes`, which lie in a buffer of the caller's (a provided buffer of completion I/O,
    /// say). What is consumed is counted in `consumed`, which is reset first; the remainder must
    /// be offered again, in front of what arrives next.
    pub fn over(bytes: &'b mut [u8], consumed: &'b mut Consumed) -> Self {
        consumed.wipe();
        consumed.counts.bytes = 0;
        Self::new(bytes, consumed)
    }

    const fn new(rest: &'b mut [u8], consumed: &'b mut Consumed) -> Self {
        Self {
            rest,
            counts: &mut consumed.counts,
            room: Room::Whole(&mut consumed.room),
            lent: 0,
        }
    }

    /// Everything not yet consumed.
    pub(crate) fn rest(&self) -> &[u8] {
        self.rest
    }

    /// Consumes `n` bytes and lends them for as long as the buffer is borrowed.
    pub(crate) fn take(&mut self, n: usize, secret: bool) -> Option<&'b mut [u8]> {
        if n > self.rest.len() {
            return None;
        }
        let (front, rest) = core::mem::take(&mut self.rest).split_at_mut_checked(n)?;
        self.rest = rest;
        self.counts.bytes += n;
        self.counts.secret |= secret;
        Some(front)
    }

    /// Whether a packet may be begun that inflates to `n` bytes. A batch from which none was taken has
    /// room for any.
    pub(crate) const fn has_room(&self, n: usize) -> bool {
        match &self.room {
            Room::Whole(_) => true,
            Room::Rest(rest) => n <= rest.len(),
        }
    }

    /// The room for a packet that inflates to `n` bytes at the most, where there is
    /// [some](Self::has_room).
    pub(crate) fn room(&mut self, n: usize) -> Result<&mut [u8], OutOfMemory> {
        self.room = match core::mem::replace(&mut self.room, Room::Rest(&mut [])) {
            Room::Whole(room) => {
                let size = n.saturating_add(INFLATE_AHEAD);
                if room.len() < size {
                    // It would be copied only for what is in it to be forgotten.
                    room.get_mut(..self.counts.inflated)
                        .unwrap_or_default()
                        .zeroize();
                    *room = Vec::new();
                    room.try_reserve_exact(size)?;
                    room.resize(size, 0);
                }
                Room::Rest(room)
            }
            rest @ Room::Rest(_) => rest,
        };
        self.counts.inflated = self.counts.inflated.max(self.lent.saturating_add(n));
        match &mut self.room {
            Room::Rest(rest) => Ok(rest.get_mut(..n).unwrap_or_default()),
            Room::Whole(_) => Ok(&mut []),
        }
    }

    /// Lends the first `n` bytes of the room for as long as the buffer is borrowed.
    pub(crate) fn lend(&mut self, n: usize) -> &'b [u8] {
        let Room::Rest(rest) = &mut self.room else {
            return &[];
        };
        let all = core::mem::take(rest);
        let Some((front, behind)) = all.split_at_mut_checked(n) else {
            return &[];
        };
        *rest = behind;
        self.lent += n;
        front
    }
}

impl core::fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Batch({} bytes)", self.rest.len())
    }
}

/// What one connection keeps between turns when it shares a [`RecvBuf`] with others: an empty
/// vector between packets, else a partial packet or, while it waits for an answer, unread input.
#[derive(Default)]
pub struct Carry {
    bytes: Vec<u8>,
}

impl Carry {
    /// Nothing carried; no heap.
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// How many bytes are carried.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is carried.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl core::fmt::Debug for Carry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Carry({} bytes)", self.bytes.len())
    }
}

/// A receive buffer, for one connection or, with [`load`](Self::load) and [`park`](Self::park),
/// for any number of them in turn.
///
/// It starts without memory, grows to its size (16 KiB unless told otherwise) and beyond only for
/// a packet whose declared length was accepted.
pub struct RecvBuf {
    /// Always initialised in full, so that `spare` lends it without filling it first.
    storage: Vec<u8>,
    /// `consumed.bytes()` is the head.
    consumed: Consumed,
    tail: usize,
    size: usize,
}

impl Default for RecvBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl RecvBuf {
    /// An empty buffer of [`RECV_BUF_SIZE`]; allocates nothing yet.
    pub const fn new() -> Self {
        Self::with_size(RECV_BUF_SIZE)
    }

    /// As [`new`](Self::new), but grows to `size` bytes without being asked for more: reads of
    /// bulk data then take more per system call.
    pub const fn with_size(size: usize) -> Self {
        Self {
            storage: Vec::new(),
            consumed: Consumed::new(),
            tail: 0,
            size: if size == 0 { 1 } else { size },
        }
    }

    /// From now on grows to `size` bytes without being asked for more, as
    /// [`with_size`](Self::with_size): for a peer that has earned it by logging in.
    pub const fn set_size(&mut self, size: usize) {
        self.size = if size == 0 { 1 } else { size };
    }

    /// Room to read into: at least `need` bytes and never empty. `need` is what
    /// [`Wants::Bytes`] said.
    ///
    /// Ends the process where there is no memory, as collections do;
    /// [`try_spare`](Self::try_spare) says so instead.
    pub fn spare(&mut self, need: usize) -> &mut [u8] {
        self.make_room_or_abort(need);
        self.storage.get_mut(self.tail..).unwrap_or_default()
    }

    /// As [`spare`](Self::spare), where memory may be refused. With less memory than for its size
    /// the buffer goes on with what `need` asks for.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`]; the buffer and what waits in it are as before.
    pub fn try_spare(&mut self, need: usize) -> Result<&mut [u8], OutOfMemory> {
        self.make_room(need)?;
        Ok(self.storage.get_mut(self.tail..).unwrap_or_default())
    }

    /// Says that the first `n` bytes of [`spare`](Self::spare) now hold input. More than was lent
    /// counts as all of it.
    pub fn filled(&mut self, n: usize) {
        self.tail = self.tail.saturating_add(n).min(self.storage.len());
    }

    /// Appends `bytes`, as if they had been read into [`spare`](Self::spare).
    pub fn push(&mut self, bytes: &[u8]) {
        let spare = self.spare(bytes.len());
        if let Some(room) = spare.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            self.filled(bytes.len());
        }
    }

    /// Lends what has been read and not yet consumed.
    pub fn batch(&mut self) -> Batch<'_> {
        let head = self.head();
        let rest = self.storage.get_mut(head..self.tail).unwrap_or_default();
        Batch::new(rest, &mut self.consumed)
    }

    /// How many bytes wait to be consumed.
    pub fn len(&self) -> usize {
        self.tail - self.head()
    }

    /// Whether nothing waits to be consumed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes what `carry` holds into this buffer, which must be empty, with room for all of the
    /// packet at its front, whose size on the wire is `need` (the connection's `need()`).
    ///
    /// # Errors
    ///
    /// [`NotParked`] if another connection's bytes are still in the buffer: nothing has changed.
    pub fn load(&mut self, carry: &mut Carry, need: usize) -> Result<(), NotParked> {
        if !self.is_empty() {
            return Err(NotParked);
        }
        self.wipe();
        (self.consumed.counts.bytes, self.tail) = (0, 0);
        // Not for both together: what is carried would grow with each turn in which it fills the
        // buffer.
        self.make_room_or_abort(carry.len().max(need));
        let bytes = core::mem::take(&mut carry.bytes);
        self.push(&bytes);
        // Input that waited for an answer of authentication may hold a password in clear only
        // once it is decrypted, and that happens in this buffer: the carry needs no wiping.
        Ok(())
    }

    /// Moves what is not consumed into `carry` and leaves the buffer empty for the next
    /// connection. Ends the process where there is no memory.
    pub fn park(&mut self, carry: &mut Carry) {
        let head = self.head();
        if let Some(rest) = self.storage.get(head..self.tail)
            && !rest.is_empty()
        {
            carry.bytes.extend_from_slice(rest);
        }
        self.wipe();
        (self.consumed.counts.bytes, self.tail) = (0, 0);
    }

    /// Gives the memory back if nothing is in it. For a buffer that is idle.
    pub fn give_back(&mut self) {
        if self.is_empty() {
            self.wipe();
            (self.consumed.counts.bytes, self.tail) = (0, 0);
            self.storage = Vec::new();
            self.consumed.room = Vec::new();
        }
    }

    /// The bytes of memory held.
    pub const fn capacity(&self) -> usize {
        self.storage.capacity() + self.consumed.capacity()
    }

    fn head(&self) -> usize {
        self.consumed.counts.bytes.min(self.tail)
    }

    fn make_room_or_abort(&mut self, need: usize) {
        if self.make_room(need).is_err() {
            handle_alloc_error(Layout::array::<u8>(need).unwrap_or(Layout::new::<u8>()));
        }
    }

    fn make_room(&mut self, need: usize) -> Result<(), OutOfMemory> {
        self.wipe();
        let (head, waiting) = (self.head(), self.len());
        let wanted = waiting.saturating_add(need.max(1)).max(self.size);
        let spare = self.storage.len() - self.tail;
        // Moved only when it must be or costs next to nothing.
        if head > 0 && (waiting == 0 || spare < need.max(1) || waiting < spare / 8) {
            self.storage.copy_within(head..self.tail, 0);
            (self.consumed.counts.bytes, self.tail) = (0, waiting);
        }
        if waiting == 0 && self.storage.len() > wanted {
            // One packet was larger than the rest: its memory is not kept.
            self.storage.truncate(wanted);
            self.storage.shrink_to_fit();
        }
        if self.storage.len() < wanted && self.storage.len() - self.tail < need.max(1) {
            let least = self.tail.saturating_add(need.max(1));
            let length = match self.grow(wanted) {
                Err(_) if least < wanted => {
                    self.grow(least)?;
                    least
                }
                grown => grown.map(|()| wanted)?,
            };
            self.storage.resize(length, 0);
        }
        Ok(())
    }

    /// Gets the memory for `length` bytes in all.
    fn grow(&mut self, length: usize) -> Result<(), OutOfMemory> {
        let more = length.saturating_sub(self.storage.len());
        Ok(self.storage.try_reserve_exact(more)?)
    }

    /// Wipes consumed bytes that may have been secret.
    fn wipe(&mut self) {
        if self.consumed.secret() {
            let head = self.head();
            self.storage.get_mut(..head).unwrap_or_default().zeroize();
        }
        self.consumed.wipe();
    }
}

impl core::fmt::Debug for RecvBuf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RecvBuf({} of {} bytes)", self.len(), self.storage.len())
    }
}

impl Drop for RecvBuf {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// [`RecvBuf::load`] was called while another connection's bytes were in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotParked;

impl core::fmt::Display for NotParked {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the receive buffer still holds bytes: park them first")
    }
}

impl core::error::Error for NotParked {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_without_memory_and_gives_it_back() {
        let mut rx = RecvBuf::new();
        assert_eq!(rx.capacity(), 0);
        assert_eq!(rx.spare(0).len(), RECV_BUF_SIZE);
        rx.give_back();
        assert_eq!(rx.capacity(), 0);
        rx.push(b"x");
        rx.give_back();
        assert_eq!(rx.len(), 1, "what waits is never given away");
    }

    #[test]
    fn spare_is_never_empty_and_what_waits_survives_every_move() {
        let mut rx = RecvBuf::with_size(8);
        let mut next = 0u8;
        let mut expect = 0u8;
        for round in 0..200usize {
            let spare = rx.spare(round % 5);
            assert!(!spare.is_empty() && spare.len() >= round % 5);
            let n = spare.len().min(round % 7);
            for place in &mut spare[..n] {
                *place = next;
                next = next.wrapping_add(1);
            }
            rx.filled(n);
            let take = rx.len().min(round % 4);
            for byte in rx.batch().take(take, false).unwrap() {
                assert_eq!(*byte, expect);
                expect = expect.wrapping_add(1);
            }
        }
    }

    #[test]
    fn grows_beyond_its_size_only_for_what_is_needed() {
        let mut rx = RecvBuf::with_size(16);
        rx.push(&[7; 10]);
        assert!(rx.spare(100).len() >= 100);
        assert_eq!(rx.capacity(), 110);
        assert_eq!(rx.batch().rest(), [7; 10]);
    }

    #[test]
    fn secret_bytes_are_wiped_before_the_memory_is_used_again() {
        let mut rx = RecvBuf::new();
        rx.push(b"password");
        rx.push(b"next");
        assert_eq!(rx.batch().take(8, true).unwrap(), b"password");
        let mut carry = Carry::new();
        rx.park(&mut carry);
        assert_eq!(&rx.storage[..8], [0; 8]);
        assert_eq!(carry.len(), 4);
        rx.load(&mut carry, 0).unwrap();
        assert_eq!(rx.batch().rest(), b"next");
        assert_eq!(rx.load(&mut carry, 0), Err(NotParked));
    }
}
