//! What comes from the peer and concerns both halves: messages of the transport, of the key
//! exchange and of the connection. Authentication is handed on to the role.
//!
//! An error on the way ends the connection: it becomes the last event and, where one can be sent,
//! the DISCONNECT. Whatever happens, both halves know the same afterwards.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Applied, SendSide, TransportEvent};
use crate::algorithm::SignatureAlgorithm;
use crate::error::{End, Error, MAX_DESCRIPTION, PeerDisconnect, PeerMisbehaved};
use crate::kex::Step;
use crate::message::{
    DebugMessage, Disconnect, ExtInfo, Extension, Ignore, List, Ping, Pong, Unimplemented, Wire,
    number,
};
use crate::mux::{ChannelEvent, Incoming};
use crate::recv_side::{Control, Kind, RecvSide};
use crate::time::{Instant, Timer};
use crate::transport::{Line, Payload, Phase, Role};
use crate::wire::NameList;

/// What the answer to a ping takes on the wire, generously.
pub(super) const fn pong_size(data: &[u8]) -> usize {
    data.len() + 64
}

impl SendSide {
    /// Applies what concerns both halves.
    pub(crate) fn apply<'b>(
        &mut self,
        control: Control<'b>,
        recv: &mut RecvSide,
        now: Instant,
    ) -> Applied<'b> {
        let applied = match self.try_apply(control, recv, now) {
            Ok(applied) => applied,
            Err(error) => {
                self.fail(error);
                Applied::Nothing
            }
        };
        if recv.keys_are_old() && self.is_authenticated() {
            self.start_kex();
        }
        self.sync(recv);
        applied
    }

    fn try_apply<'b>(
        &mut self,
        Control(kind): Control<'b>,
        recv: &mut RecvSide,
        now: Instant,
    ) -> Result<Applied<'b>, Error> {
        match kind {
            Kind::Message(payload) => self.message(payload, recv, now),
            Kind::Data {
                recipient_channel,
                stream,
                data,
            } => {
                let window = self.mux.receive_window(recipient_channel)?;
                recv.take_credit(window.id, window.granted, data.len())?;
                if window.closing {
                    recv.distrust(window.id.slot);
                    return Ok(Applied::Nothing);
                }
                let channel = window.id;
                self.mux.deliver(channel, data.len());
                Ok(Applied::Channel(ChannelEvent::Data {
                    channel,
                    stream,
                    data,
                }))
            }
            Kind::Line(Line::Notice(line)) => {
                Ok(Applied::Transport(TransportEvent::Notice { line }))
            }
            Kind::Line(Line::Identification(peer)) => {
                self.timers.stop(Timer::Identification);
                self.kex.identified(peer);
                Ok(Applied::Transport(TransportEvent::Identified))
            }
            Kind::Line(Line::NeedMore) => Ok(Applied::Nothing),
            Kind::Unknown(packet_sequence_number) => {
                // It may be sent during a key exchange, but then nothing would bound how many of them
                // wait for a peer that does not read.
                self.out.message(&Unimplemented {
                    packet_sequence_number,
                });
                Ok(Applied::Nothing)
            }
            Kind::Eof => {
                let stage = self.stage(recv);
                self.finish(End::Eof { stage }, None);
                Ok(Applied::Nothing)
            }
            Kind::Failed(error) => Err(error),
        }
    }

    fn message<'b>(
        &mut self,
        payload: Payload<'b>,
        recv: &mut RecvSide,
        now: Instant,
    ) -> Result<Applied<'b>, Error> {
        let bytes = payload.bytes;
        Ok(match payload.number {
            1..=4 => self.transport_message(payload)?,
            number::SSH_MSG_EXT_INFO => {
                Applied::Transport(TransportEvent::ExtInfo(self.ext_info(bytes)?))
            }
            number::SSH_MSG_KEXINIT => {
                self.start_kex();
                let report = self.kex.on_kexinit(bytes, payload.seq, &mut self.out)?;
                if self.phase == Phase::KexInit {
                    self.phase = Phase::Kex;
                }
                Applied::Transport(TransportEvent::Negotiated(report))
            }
            30..=49 if self.kex.skip_guess() => {
                self.kex.guess_skipped();
                Applied::Nothing
            }
            30..=49 => match self.kex.on_method(bytes, &mut self.out)? {
                Step::Continue => {
                    self.after_kex();
                    Applied::Nothing
                }
                Step::Decide(key) => Applied::Decide(key),
                Step::Sign {
                    algorithm,
                    key,
                    data,
                } => Applied::Sign {
                    algorithm,
                    key,
                    data,
                },
            },
            number::SSH_MSG_NEWKEYS => {
                let first = self.phase == Phase::Kex;
                let finished = self.kex.on_newkeys(bytes, first)?;
                let terms = self.kex.negotiated();
                let compression = terms.ok_or(Error::Internal("keys without terms"))?;
                let compression = compression.sent_by(self.role.peer()).compression;
                let limits = &self.config.limits;
                recv.switch(finished.opening, finished.reset, compression, limits);
                self.timers.stop(Timer::KeyExchange);
                self.timers.start(Timer::Rekey, self.config.deadlines.rekey);
                if finished.first {
                    self.phase = Phase::Service;
                }
                Applied::Transport(TransportEvent::KeysExchanged)
            }
            5 | 6 | 50..=79 => Applied::Auth(payload),
            80..=127 => self.connection_message(payload, recv, now)?,
            _ => self.ping_message(bytes)?,
        })
    }

    fn transport_message<'b>(&mut self, payload: Payload<'b>) -> Result<Applied<'b>, Error> {
        Ok(match payload.number {
            number::SSH_MSG_DISCONNECT => {
                let message = Disconnect::decode(payload.bytes)?;
                let description = message.description;
                let end = End::ByPeer(PeerDisconnect {
                    reason: message.reason_code,
                    description: description
                        .get(..MAX_DESCRIPTION)
                        .unwrap_or(description)
                        .to_vec(),
                });
                self.finish(end, None);
                Applied::Nothing
            }
            number::SSH_MSG_UNIMPLEMENTED => {
                let packet_sequence_number =
                    Unimplemented::decode(payload.bytes)?.packet_sequence_number;
                Applied::Transport(TransportEvent::Unimplemented {
                    packet_sequence_number,
                })
            }
            number::SSH_MSG_DEBUG => {
                let DebugMessage {
                    always_display,
                    message,
                    ..
                } = DebugMessage::decode(payload.bytes)?;
                Applied::Transport(TransportEvent::Debug {
                    always_display,
                    message,
                })
            }
            _ => {
                Ignore::decode(payload.bytes)?;
                Applied::Nothing
            }
        })
    }

    fn ext_info<'b>(&mut self, bytes: &'b [u8]) -> Result<ExtInfo<'b>, Error> {
        let info = ExtInfo::decode(bytes)?;
        for extension in info.extensions.iter() {
            match extension.name {
                Extension::SERVER_SIG_ALGS => {
                    // A list that is none is as good as an empty one: nothing it could allow.
                    let names = NameList::from_wire(extension.value).unwrap_or(NameList::EMPTY);
                    let known = names.iter().filter_map(SignatureAlgorithm::from_name);
                    let mut algorithms = Vec::new();
                    for algorithm in known {
                        if !algorithms.contains(&algorithm) {
                            algorithms.push(algorithm);
                        }
                    }
                    self.peer_extensions.server_sig_algs = Some(algorithms);
                }
                Extension::PING => self.peer_extensions.ping = extension.value == b"0",
                _ => {}
            }
        }
        Ok(info)
    }

    fn ping_message<'b>(&mut self, bytes: &'b [u8]) -> Result<Applied<'b>, Error> {
        if bytes.first() == Some(&Pong::NUMBER) {
            let data = Pong::decode(bytes)?.data;
            self.pings_unanswered = self.pings_unanswered.saturating_sub(pong_size(data));
            return Ok(Applied::Transport(TransportEvent::Pong { data }));
        }
        let data = Ping::decode(bytes)?.data;
        if data.len() > self.config.limits.maximum_packet as usize {
            return Err(PeerMisbehaved::Value.into());
        }
        self.out.message(&Pong { data });
        Ok(Applied::Nothing)
    }

    fn connection_message<'b>(
        &mut self,
        payload: Payload<'b>,
        recv: &mut RecvSide,
        now: Instant,
    ) -> Result<Applied<'b>, Error> {
        let Payload { number, bytes, .. } = payload;
        let out = &mut self.out;
        let incoming = match number {
            number::SSH_MSG_GLOBAL_REQUEST => self.mux.on_global_request(bytes, out, now)?,
            number::SSH_MSG_REQUEST_SUCCESS => self.mux.on_global_reply(bytes, true, out)?,
            number::SSH_MSG_REQUEST_FAILURE => self.mux.on_global_reply(bytes, false, out)?,
            number::SSH_MSG_CHANNEL_OPEN => self.mux.on_open(bytes, out, now)?,
            number::SSH_MSG_CHANNEL_OPEN_CONFIRMATION => self.mux.on_confirmation(bytes, out)?,
            number::SSH_MSG_CHANNEL_OPEN_FAILURE => self.mux.on_open_failure(bytes)?,
            number::SSH_MSG_CHANNEL_WINDOW_ADJUST => {
                self.mux.on_window_adjust(bytes)?;
                Incoming::Nothing
            }
            number::SSH_MSG_CHANNEL_EOF => self.mux.on_eof(bytes)?,
            number::SSH_MSG_CHANNEL_CLOSE => self.mux.on_close(bytes, out)?,
            number::SSH_MSG_CHANNEL_REQUEST => self.mux.on_request(bytes, out, now)?,
            number::SSH_MSG_CHANNEL_SUCCESS => self.mux.on_reply(bytes, true)?,
            number::SSH_MSG_CHANNEL_FAILURE => self.mux.on_reply(bytes, false)?,
            _ => return Err(PeerMisbehaved::UnexpectedMessage(number).into()),
        };
        Ok(match incoming {
            Incoming::Nothing => Applied::Nothing,
            Incoming::Channel(event) => Applied::Channel(event),
            Incoming::Global(event) => Applied::Global(event),
            Incoming::AtEnd(slot, event) => {
                recv.distrust(slot);
                event.map_or(Applied::Nothing, Applied::Channel)
            }
            Incoming::Gone(slot, event) => {
                recv.forget(slot);
                event.map_or(Applied::Nothing, Applied::Channel)
            }
        })
    }

    //= rfc8308#section-2.4
    //# As the next packet following the client's first SSH_MSG_NEWKEYS.
    //# As the next packet following the server's first SSH_MSG_NEWKEYS.
    pub(super) fn announce_extensions(&mut self) {
        if !self.kex.peer_takes_ext_info() {
            return;
        }
        let mut algorithms = String::new();
        for algorithm in &self.user_signatures {
            if !algorithms.is_empty() {
                algorithms.push(',');
            }
            algorithms.push_str(algorithm.name());
        }
        let ping = Extension {
            name: Extension::PING,
            value: b"0",
        };
        let server_sig_algs = Extension {
            name: Extension::SERVER_SIG_ALGS,
            value: algorithms.as_bytes(),
        };
        let of_server = [server_sig_algs, ping];
        let of_client = [ping];
        let extensions = match self.role {
            Role::Server => List::new(&of_server),
            Role::Client => List::new(&of_client),
        };
        self.out.transport(&ExtInfo { extensions });
    }
}
