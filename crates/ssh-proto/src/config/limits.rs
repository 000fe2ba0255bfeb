//! [`Limits`]: what a peer can push on, and how far; the memory that follows from it.

use crate::recv::{INFLATE_AHEAD, RECV_BUF_SIZE};
use crate::transport::{DEFLATE_MEMORY, INFLATE_MEMORY, deflate_bound};

/// Every bound that a peer can push on, for one connection. Sizes are in bytes. Each names the test
/// of this project that pushes on it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// A packet on the wire before authentication; at least 35,000 (RFC 4253 section 6.1). Also
    /// what may wait to be written then before nothing more is read, and at any time the largest
    /// message of a key exchange.
    ///
    /// Proved by `a_packet_before_authentication_may_be_so_long`,
    /// `before_authentication_nothing_is_read_while_a_packet_waits_to_be_written` and
    /// `a_key_exchange_has_no_larger_messages_later_than_at_first`.
    pub packet_before_auth: usize,
    /// A packet on the wire after authentication; at least 35,000.
    ///
    /// Proved by `a_packet_after_authentication_may_be_so_long`.
    pub packet: usize,
    /// What a compressed packet may inflate to after authentication; at least 35,000, and 1 KiB more than
    /// `maximum_packet`. Before authentication it is `packet_before_auth`. Room for it, and 128 KiB more,
    /// is in the [`RecvBuf`](crate::RecvBuf) from the first compressed packet on.
    ///
    /// Proved by `z1_a_small_packet_that_becomes_a_large_one` and
    /// `z2_a_packet_that_inflates_to_the_limit_is_intact`.
    pub inflated: usize,
    /// Packets received before authentication has ended.
    ///
    /// Proved by `packets_before_authentication_are_counted`.
    pub packets_before_auth: u64,
    /// Bytes received before authentication has ended.
    ///
    /// Proved by `bytes_before_authentication_are_counted`.
    pub bytes_before_auth: u64,
    /// Channels open or opening at a time, both sides' together.
    ///
    /// Proved by `so_many_channels_may_be_open`.
    pub channels: usize,
    /// The most that a new channel is granted. It gets a fair share of what is left of
    /// `window_total`, which may be less. The window grows from there where it limits the peer
    /// while the application releases what comes.
    ///
    /// Proved by `slow_reader_is_bounded`.
    pub window: u32,
    /// All windows granted on one connection, grown ones included, so also the most received data
    /// that is not released; at least 1024 for each of `channels`. One channel may grow to about
    /// three quarters of it; a link is filled by about 1.1 times what is under way in a round
    /// trip. An eighth is kept for channels that are not open yet.
    ///
    /// Proved by `all_windows_together_are_bounded`.
    pub window_total: u64,
    /// The largest data packet that the peer may send on a channel.
    ///
    /// Proved by `a_data_packet_may_be_so_long`.
    pub maximum_packet: u32,
    /// Decisions of the application that may be pending (channel opens and requests that were
    /// deferred). One more is refused at once. Three times as many replies that are decided, and
    /// 128 at the least, may wait behind them for their turn; one more ends the connection.
    ///
    /// Proved by `so_many_tickets_may_be_pending` and
    /// `x10_answers_do_not_pile_up_behind_one_that_is_deferred`.
    pub tickets: usize,
    /// Our own requests and channel opens that may be unanswered.
    ///
    /// Proved by `so_many_of_our_requests_may_be_unanswered`.
    pub requests_unanswered: usize,
    /// What is owed to the peer during a key exchange; a message counts for 16 at the least.
    ///
    /// Proved by `what_is_owed_during_a_key_exchange_is_bounded`.
    pub held: usize,
    /// Data that waits to be written: above it `send` accepts nothing.
    ///
    /// Proved by `send_accepts_nothing_above_the_mark`.
    pub output: usize,
    /// Replies that wait to be written, beyond `output`; at least `maximum_packet` and 16 KiB. When
    /// there may be no room for one more of the size of `maximum_packet`, nothing more is read.
    ///
    /// Proved by `above_its_mark_for_replies_nothing_is_read`.
    pub control: usize,
    /// Text of banners that is reported in all; further banners are dropped.
    ///
    /// Proved by `so_much_text_of_banners_is_reported`.
    pub banner: usize,
    /// Failed attempts to authenticate (server).
    ///
    /// Proved by `so_many_attempts_may_fail`.
    pub auth_failures: u32,
    /// Keys that may be offered without a signature (server).
    ///
    /// Proved by `so_many_keys_may_be_offered`.
    pub auth_probes: u32,
    /// Length of a user name (server).
    ///
    /// Proved by `a_user_name_may_be_so_long`.
    pub user_name: usize,
    /// Length of a password (server); a longer one fails without being looked at.
    ///
    /// Proved by `a_password_may_be_so_long`.
    pub password: usize,
    /// Bytes in one direction after which keys are exchanged (RFC 4253 section 9). Four times as
    /// many received end the connection, or twice `window_total` more if that is later: a peer
    /// may have filled its windows before it learns that keys are to be exchanged.
    ///
    /// A cipher may want less of both (RFC 4344 section 3.2), and then that is what counts: with
    /// blocks of 128 bits 32 GiB and 64 GiB, with blocks of 64 bits and with RC4 512 MiB and 1 GiB.
    ///
    /// Proved by `by_bytes_in_either_direction`, `p8_the_lesser_limit_wins` and
    /// `r7_a_peer_that_ignores_the_need_for_new_keys`.
    pub rekey_bytes: u64,
    /// Packets in one direction after which keys are exchanged (RFC 4344 section 3.1).
    ///
    /// Proved by `by_packets`.
    pub rekey_packets: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_before_auth: 35_000,
            packet: 256 * 1024,
            inflated: 256 * 1024,
            packets_before_auth: 1_000,
            bytes_before_auth: 1024 * 1024,
            channels: 256,
            window: 2 * 1024 * 1024,
            window_total: 16 * 1024 * 1024,
            maximum_packet: 32 * 1024,
            tickets: 64,
            requests_unanswered: 128,
            held: 32 * 1024,
            output: 128 * 1024,
            control: 64 * 1024,
            banner: 64 * 1024,
            auth_failures: 6,
            auth_probes: 20,
            user_name: 1024,
            password: 1024,
            rekey_bytes: 1 << 30,
            rekey_packets: 1 << 31,
        }
    }
}

/// What a connection holds whatever is asked of it: itself, its configuration, keys, and what a key
/// exchange computes with.
const MEMORY_BASE: usize = 14 * 1024;
/// Before authentication a signature by the largest RSA key is verified, a power modulo the largest
/// prime is computed, or the lists of KEXINIT are compared.
const MEMORY_BASE_BEFORE_AUTH: usize = 24 * 1024;

impl Limits {
    /// The most memory that a connection and its [`RecvBuf`](crate::RecvBuf) take before
    /// authentication, whatever the peer does, in bytes: about three packets. It leaves out what the
    /// application keeps, and what it sends by itself: names of algorithms, a banner.
    ///
    /// Proved, as [`memory`](Self::memory), by `no_peer_gets_more_memory_than_the_limits_say` and
    /// `other_limits_make_other_bounds`.
    ///
    /// ```
    /// # use ssh_proto::config::Limits;
    /// assert!(Limits::default().memory_before_auth() <= 128 * 1024);
    /// ```
    pub const fn memory_before_auth(&self) -> usize {
        let packet = self.largest_before_auth();
        let user = if self.user_name < packet {
            self.user_name
        } else {
            packet
        };
        packet
            .saturating_mul(3)
            .saturating_add(user)
            .saturating_add(MEMORY_BASE_BEFORE_AUTH)
    }

    /// The most memory that a connection with so many channels and its
    /// [`RecvBuf`](crate::RecvBuf) take after authentication, whatever the peer does, in bytes. It
    /// leaves out what the application keeps: received data that it has not released is at most
    /// [`window_total`](Self::window_total). Where the allocator cannot let a block grow in place,
    /// the old one is there as well for as long as it takes to copy it. Keys are those of AES with
    /// HMAC; one of UMAC takes 2 KiB, one of `blowfish-cbc` 4 KiB, and while keys are exchanged there
    /// are four of them.
    ///
    /// ```
    /// # use ssh_proto::config::Limits;
    /// assert!(Limits::default().memory(0) <= 512 * 1024);
    /// assert_eq!(Limits::default().memory(10), Limits::default().memory(0) + 10 * 2048);
    /// ```
    pub const fn memory(&self, channels: usize) -> usize {
        let waiting = self.output.saturating_add(self.above_output());
        // A packet that is not complete, all that may wait to be written, and all that is owed ...
        let reading = self.largest().saturating_add(self.held);
        // ... which makes several times as much of it when it is sealed; but then the packet is one
        // of a key exchange.
        let packet = self.largest_before_auth();
        let larger = if self.held > packet {
            self.held
        } else {
            packet
        };
        let sealing = packet
            .saturating_add(larger)
            .saturating_add(self.held.saturating_mul(25) / 4);
        let more = if reading > sealing { reading } else { sealing };
        waiting
            .saturating_add(more)
            .saturating_add(self.tickets.saturating_mul(160))
            .saturating_add(self.requests_unanswered.saturating_mul(64))
            .saturating_add(channels.saturating_mul(2048))
            .saturating_add(MEMORY_BASE)
    }

    /// What compression in both directions takes beside [`memory`](Self::memory), and beside
    /// [`memory_before_auth`](Self::memory_before_auth) where it begins before authentication, in bytes:
    /// 324 KiB and a packet for what is sent, 43 KiB and the room for what packets inflate to
    /// ([`inflated`](Self::inflated) and 128 KiB more) for what is received. None of it is there before
    /// the first packet that is compressed.
    ///
    /// Proved by `no_peer_gets_more_memory_with_compression_than_the_limits_say`.
    ///
    /// ```
    /// # use ssh_proto::config::Limits;
    /// assert!(Limits::default().memory_of_compression() <= 800 * 1024);
    /// ```
    pub const fn memory_of_compression(&self) -> usize {
        /// What stands before the data of a message.
        const HEAD: usize = 1024;
        let payload = if self.maximum_packet as usize > 32 * 1024 {
            self.maximum_packet as usize
        } else {
            32 * 1024
        };
        let inflated = if self.inflated > self.packet_before_auth {
            self.inflated
        } else {
            self.packet_before_auth
        };
        let packed = deflate_bound(payload.saturating_add(HEAD));
        DEFLATE_MEMORY
            .saturating_add(packed)
            .saturating_add(packed.saturating_sub(payload))
            .saturating_add(INFLATE_MEMORY)
            .saturating_add(inflated)
            .saturating_add(INFLATE_AHEAD)
    }

    /// Up to so much output requests of the application are taken: half of what is above the mark for
    /// data is for what the peer is owed, so that requests alone never keep this side from reading.
    pub(crate) const fn request_mark(&self) -> usize {
        let above = self.stall_mark().saturating_sub(self.output);
        self.output.saturating_add(above / 2)
    }

    /// Above so much output nothing is read after authentication.
    pub(crate) const fn stall_mark(&self) -> usize {
        let above = self.above_output();
        let all = self.output.saturating_add(above);
        all.saturating_sub(self.maximum_packet as usize)
    }

    /// Room for replies: for one of the largest, and for some more at the least.
    const fn above_output(&self) -> usize {
        const MORE: usize = 16 * 1024;
        let reply = (self.maximum_packet as usize).saturating_add(MORE);
        if self.control > reply {
            self.control
        } else {
            reply
        }
    }

    const fn largest_before_auth(&self) -> usize {
        if self.packet_before_auth > RECV_BUF_SIZE {
            self.packet_before_auth
        } else {
            RECV_BUF_SIZE
        }
    }

    const fn largest(&self) -> usize {
        if self.packet > RECV_BUF_SIZE {
            self.packet
        } else {
            RECV_BUF_SIZE
        }
    }
}
