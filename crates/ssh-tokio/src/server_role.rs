//! What a server does with events: [`ServerRole`] notes them while the state is locked, and calls the
//! [`Handler`] afterwards.
//!
//! Invariants: programs and forwards run in tasks that are counted for as long as they run, whatever
//! becomes of their channel. They keep the place of their connection.

use std::sync::Arc;

use ssh_driver::{
    Core, Ended, PendingConnect, PendingStart, Program, Running, Serve, Serving, Session, Terminal,
};
use ssh_proto::PeerEvent;
use ssh_server::HostKeys;

use crate::engine::{Engine, Inbox, Role};
use crate::handler::{Connect, Handler, Start};
use crate::server::Seat;
use crate::sys::OsRandom;

/// What a server does with events of one connection.
pub(crate) struct ServerRole<H> {
    handler: Code<H>,
    serving: Serving<Engine, Seat>,
}

/// The code of users.
struct Code<H>(Arc<H>);

impl<H: Handler> ServerRole<H> {
    pub(crate) fn new(
        session: Arc<Session>,
        handler: Arc<H>,
        host_keys: HostKeys,
        handlers: usize,
        seat: Seat,
    ) -> Self {
        Self {
            handler: Code(handler),
            serving: Serving::new(session, host_keys, handlers, seat),
        }
    }
}

impl<H: Handler> Serve<Engine, Seat> for Code<H> {
    fn pty(&mut self, session: &Session, terminal: &Terminal) -> bool {
        self.0.pty(session, terminal)
    }

    fn env(&mut self, session: &Session, name: &[u8], value: &[u8]) -> bool {
        self.0.env(session, name, value)
    }

    fn start(&mut self, program: Program, request: PendingStart<Engine>, running: Running<Seat>) {
        let (handler, start) = (self.0.clone(), Start(request));
        spawn(running, async move {
            match program {
                Program::Command(command) => handler.exec(start, command).await,
                Program::Shell => handler.shell(start).await,
                Program::Subsystem(name) => handler.subsystem(start, name).await,
                _ => start.refuse(),
            }
        });
    }

    fn connect(&mut self, request: PendingConnect<Engine>, running: Running<Seat>) {
        let (handler, connect) = (self.0.clone(), Connect(request));
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
        self.serving.event(core, event, &mut OsRandom);
    }

    fn unlocked(&mut self, engine: &Arc<Engine>) {
        self.serving.ask(engine, &mut self.handler);
    }

    fn ended(&mut self, ended: &Arc<Ended>) {
        self.handler.0.ended(self.serving.session(), ended);
    }
}
