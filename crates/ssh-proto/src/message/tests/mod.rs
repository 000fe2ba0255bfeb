//! Tests of all messages together. `samples` has every message and every kind of request as
//! bytes written by hand from the RFCs.

mod hostile;
mod properties;
mod samples;
mod shown;
mod table;

use super::{
    AuthMethod, ChannelOpenType, ChannelRequestType, GlobalRequestType, Message, UserauthRequest,
};

/// Whether a message ends with a field that takes whatever is left, so that it may be cut or
/// grow without being wrong.
fn takes_the_rest(message: &Message<'_>) -> bool {
    match message {
        Message::RequestSuccess(_) => true,
        Message::GlobalRequest(m) => matches!(
            m.request,
            GlobalRequestType::Unknown { .. }
                | GlobalRequestType::Hostkeys { .. }
                | GlobalRequestType::HostkeysProve { .. }
        ),
        Message::ChannelOpen(m) => matches!(m.channel_type, ChannelOpenType::Unknown { .. }),
        Message::ChannelRequest(m) => matches!(m.request, ChannelRequestType::Unknown { .. }),
        Message::UserauthRequest(UserauthRequest { method, .. }) => {
            matches!(method, AuthMethod::Unknown { .. })
        }
        _ => false,
    }
}
