//! What a server does with events: [`ServerRole`] takes notes while the state is locked, and asks
//! the [`Handler`] afterwards.
//!
//! Invariants: programs and forwards run in tasks that are counted for as long as they run, whatever
//! becomes of their channel. They keep the place of their connection.

use std::sync::Arc;

use ssh_driver::{Asked, Core, Ended, Handlers, Notes, Program, Running, Session, Terminal};
use ssh_proto::message::ChannelOpenFailureReason;
use ssh_proto::mux::{OpenTicket, RequestTicket};
use ssh_proto::server::ServerEvent;
use ssh_proto::{ChannelId, PeerEvent};
use ssh_server::HostKeys;

use crate::engine::{Engine, Inbox, Role};
use crate::handler::{Connect, Handler, Start};
use crate::server::Seat;
use crate::sys::OsRandom;

/// What a server does with events of one connection.
pub(crate) struct ServerRole<H> {
    session: Arc<Session>,
    handler: Arc<H>,
    host_keys: HostKeys,
    notes: Notes<Inbox>,
    handlers: Handlers<Seat>,
}

impl<H: Handler> ServerRole<H> {
    pub(crate) fn new(
        session: Arc<Session>,
        handler: Arc<H>,
        host_keys: HostKeys,
        handlers: usize,
        seat: Seat,
    ) -> Self {
        Self {
            session,
            handler,
            host_keys,
            notes: Notes::default(),
            handlers: Handlers::new(handlers, seat),
        }
    }

    fn start(
        &mut self,
        engine: &Arc<Engine>,
        channel: ChannelId,
        inbox: Arc<Inbox>,
        program: Program,
        ticket: RequestTicket,
    ) {
        let (engine, session) = (engine.clone(), self.session.clone());
        let setup = self.notes.setup(channel);
        let start = Start::new(engine, session, setup, channel, inbox, ticket);
        // What is dropped here is refused.
        let Some((start, running)) = start.zip(self.handlers.take()) else {
            return;
        };
        let handler = self.handler.clone();
        spawn(running, async move {
            match program {
                Program::Command(command) => handler.exec(start, command).await,
                Program::Shell => handler.shell(start).await,
                Program::Subsystem(name) => handler.subsystem(start, name).await,
                _ => start.refuse(),
            }
        });
    }

    fn connect(&mut self, engine: &Arc<Engine>, host: Vec<u8>, port: u16, ticket: OpenTicket) {
        let (engine, session) = (engine.clone(), self.session.clone());
        let mut connect = Connect::new(engine, session, host, port, ticket);
        let Some(running) = self.handlers.take() else {
            connect.reject(ChannelOpenFailureReason::RESOURCE_SHORTAGE, "");
            return;
        };
        let handler = self.handler.clone();
        spawn(running, async move { handler.direct_tcpip(connect).await });
    }
}

/// Runs a handler in a task that counts.
fn spawn(running: Running<Seat>, call: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async move {
        let _running = running;
        call.await;
    });
}

impl<H: Handler> Role for ServerRole<H> {
    fn event(&mut self, core: &mut Core<Inbox>, event: PeerEvent<'_>) {
        match event {
            PeerEvent::Channel(event) => {
                let (send, table) = core.parts();
                self.notes.channel_event(send, table, event);
            }
            PeerEvent::Server(ServerEvent::Sign(request)) => {
                if let Some(server) = core.server() {
                    // Misuse is the end of the connection, and that is an event of its own.
                    let _ = self.host_keys.sign(request, server, &mut OsRandom);
                }
            }
            // What is not answered is refused.
            _ => {}
        }
    }

    fn unlocked(&mut self, engine: &Arc<Engine>) {
        for asked in self.notes.take_asked() {
            let (granted, ticket) = match asked {
                Asked::Pty(channel, inbox, terminal, ticket) => {
                    let ask = |terminal: &Terminal| self.handler.pty(&self.session, terminal);
                    (self.notes.pty(channel, &inbox, terminal, ask), ticket)
                }
                Asked::Env(channel, name, value, ticket) => {
                    let ask =
                        |name: &[u8], value: &[u8]| self.handler.env(&self.session, name, value);
                    (self.notes.env(channel, name, value, ask), ticket)
                }
                Asked::Start(channel, inbox, program, ticket) => {
                    self.start(engine, channel, inbox, program, ticket);
                    continue;
                }
                Asked::Connect(host, port, ticket) => {
                    self.connect(engine, host, port, ticket);
                    continue;
                }
                _ => continue,
            };
            // The channel may be gone, and then nobody wants the answer.
            let _ = engine.change(|send| {
                if granted {
                    send.accept_request(ticket)
                } else {
                    send.refuse_request(ticket)
                }
            });
        }
    }

    fn ended(&mut self, ended: &Arc<Ended>) {
        self.handler.ended(&self.session, ended);
    }
}
