//! What the tests of this directory share.

use ssh_proto::Role;
use ssh_proto::error::{Error, PeerMisbehaved};
use ssh_proto::message::{
    ChannelData, ChannelOpen, ChannelOpenConfirmation, ChannelOpenType, ChannelWindowAdjust,
    DisconnectReason, Wire,
};
use ssh_testkit::raw::{Bench, Stage, Subject};

pub(super) const PROTOCOL: DisconnectReason = DisconnectReason::PROTOCOL_ERROR;

pub(super) fn misbehaved(rule: PeerMisbehaved) -> impl Fn(&Error) -> bool {
    move |error| matches!(error, Error::PeerMisbehaved(broken) if *broken == rule)
}

pub(super) fn encoded<'m, M: Wire<'m>>(message: &M) -> Vec<u8> {
    let mut payload = Vec::new();
    message.encode(&mut payload);
    payload
}

/// What the peer says of its side of channel `n`.
pub(super) fn open_as(n: u32, window: u32, max: u32) -> Vec<u8> {
    encoded(&ChannelOpen {
        sender_channel: n,
        initial_window_size: window,
        maximum_packet_size: max,
        channel_type: ChannelOpenType::Session,
    })
}

/// Opens a channel whose peer grants `window` and takes packets of `max`, and returns the window
/// that the subject grants.
pub(super) fn channel<P: Subject>(bench: &mut Bench<P>, window: u32, max: u32) -> u32 {
    let before = bench.seen.channels.len();
    let slot = u32::try_from(before).expect("few");
    let granted = if P::ROLE == Role::Server {
        bench.send(&open_as(slot, window, max));
        let answer = bench.raw.got.last().expect("an answer");
        let answer = ChannelOpenConfirmation::decode(answer).expect("a confirmation");
        assert_eq!(answer.sender_channel, slot);
        answer.initial_window_size
    } else {
        bench.peer.open_session().expect("connected");
        bench.turn();
        let open = bench.raw.got.last().expect("a message").clone();
        let open = ChannelOpen::decode(&open).expect("an open");
        bench.message(&ChannelOpenConfirmation {
            recipient_channel: open.sender_channel,
            sender_channel: slot,
            initial_window_size: window,
            maximum_packet_size: max,
        });
        open.initial_window_size
    };
    assert_eq!(bench.seen.channels.len(), before + 1);
    granted
}

pub(super) fn connected<P: Subject>() -> Bench<P> {
    Bench::at(Stage::Connected, true)
}

/// The subject asks for a channel, which the peer does not confirm.
pub(super) fn opening<P: Subject>() -> Bench<P> {
    let mut bench = connected::<P>();
    let kind = if P::ROLE == Role::Client {
        ChannelOpenType::Session
    } else {
        ChannelOpenType::AuthAgent
    };
    bench.peer.open_channel(kind).expect("connected");
    bench.turn();
    bench
}

pub(super) const fn adjust(bytes_to_add: u32) -> ChannelWindowAdjust {
    ChannelWindowAdjust {
        recipient_channel: 0,
        bytes_to_add,
    }
}

pub(super) const fn data(data: &[u8]) -> ChannelData<'_> {
    ChannelData {
        recipient_channel: 0,
        data,
    }
}
