//! What a server does with events: [`ServerRole`] takes notes while the state is locked, and asks
//! the [`Handler`] afterwards.
//!
//! Invariants: programs and forwards run in threads that are counted for as long as they run,
//! whatever becomes of their channel, so that a client that opens, starts and closes again and again
//! runs into a limit. They keep the place of their connection, so that one that connects again and
//! again does too. A request for which there is no thread is refused.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ssh_proto::message::{ChannelOpenFailureReason, ChannelOpenType, ChannelRequestType};
use ssh_proto::mux::{OpenTicket, RequestTicket};
use ssh_proto::server::ServerEvent;
use ssh_proto::{ChannelEvent, ChannelId, PeerEvent};
use ssh_server::HostKeys;

use crate::engine::{Engine, Inbox, Role, State};
use crate::handler::{Connect, Handler, Session, Setup, Start, Terminal};
use crate::server::Place;
use crate::socket::OsRandom;
use ssh_driver::{Ended, Shared, shown};

/// How many environment variables of a channel are kept, and how long one may be in all.
const MAX_ENV: usize = 64;
const MAX_ENV_LEN: usize = 4096;

/// What a server does with events of one connection.
pub(crate) struct ServerRole {
    session: Arc<Session>,
    handler: Arc<dyn Handler>,
    host_keys: HostKeys,
    setups: HashMap<ChannelId, Setup>,
    asked: Vec<Asked>,
    handlers: Handlers,
}

/// What the handler is to be asked.
enum Asked {
    Pty(ChannelId, Terminal, RequestTicket),
    Env(ChannelId, Vec<u8>, Vec<u8>, RequestTicket),
    Start(ChannelId, Arc<Inbox>, Program, RequestTicket),
    Connect(Vec<u8>, u16, OpenTicket),
}

enum Program {
    Command(Vec<u8>),
    Shell,
    Subsystem(Vec<u8>),
}

impl ServerRole {
    pub(crate) fn new(
        session: Arc<Session>,
        handler: Arc<dyn Handler>,
        host_keys: HostKeys,
        handlers: usize,
        place: Place,
    ) -> Self {
        Self {
            session,
            handler,
            host_keys,
            setups: HashMap::new(),
            asked: Vec::new(),
            handlers: Handlers {
                most: handlers,
                running: Arc::default(),
                place: Arc::new(place),
            },
        }
    }

    fn opening(&mut self, state: &mut State, kind: ChannelOpenType<'_>, ticket: OpenTicket) {
        match kind {
            ChannelOpenType::Session => {
                if let Ok(id) = state.send().accept_channel(ticket) {
                    state.inboxes.insert(id);
                    self.setups.insert(id, Setup::default());
                }
            }
            ChannelOpenType::DirectTcpip {
                host_to_connect,
                port_to_connect,
                ..
            } => {
                if let Ok(port) = u16::try_from(port_to_connect)
                    && state.send().defer(&ticket).is_ok()
                {
                    self.asked
                        .push(Asked::Connect(host_to_connect.to_vec(), port, ticket));
                }
            }
            // What is not answered is refused.
            _ => {}
        }
    }

    fn request(
        &mut self,
        state: &mut State,
        channel: ChannelId,
        request: ChannelRequestType<'_>,
        ticket: RequestTicket,
    ) {
        let Some(inbox) = state.inboxes.get(channel).cloned() else {
            return;
        };
        let asked = match request {
            ChannelRequestType::Exec { command } => {
                let program = Program::Command(command.to_vec());
                Asked::Start(channel, inbox, program, ticket)
            }
            ChannelRequestType::Shell => Asked::Start(channel, inbox, Program::Shell, ticket),
            ChannelRequestType::Subsystem { subsystem_name } => {
                let program = Program::Subsystem(subsystem_name.to_vec());
                Asked::Start(channel, inbox, program, ticket)
            }
            ChannelRequestType::PtyReq { term, size, modes } => {
                let (term, modes) = (term.to_vec(), modes.as_encoded().to_vec());
                Asked::Pty(channel, Terminal { term, size, modes }, ticket)
            }
            ChannelRequestType::Env {
                variable_name,
                variable_value,
            } => Asked::Env(
                channel,
                variable_name.to_vec(),
                variable_value.to_vec(),
                ticket,
            ),
            ChannelRequestType::WindowChange { size } => {
                inbox.update(|mailbox| mailbox.resized(size));
                // Nobody waits for the answer.
                let _ = state.send().accept_request(ticket);
                return;
            }
            ChannelRequestType::Signal { signal_name } => {
                inbox.update(|mailbox| mailbox.signalled(shown(signal_name)));
                let _ = state.send().accept_request(ticket);
                return;
            }
            _ => return,
        };
        let ticket = match &asked {
            Asked::Pty(.., ticket) | Asked::Env(.., ticket) | Asked::Start(.., ticket) => ticket,
            Asked::Connect(..) => return,
        };
        if state.send().defer(ticket).is_ok() {
            self.asked.push(asked);
        }
    }

    fn pty(&mut self, channel: ChannelId, terminal: Terminal) -> bool {
        let Some(setup) = self.setups.get_mut(&channel) else {
            return false;
        };
        let granted = setup.terminal.is_none() && self.handler.pty(&self.session, &terminal);
        if granted {
            setup.terminal = Some(terminal);
        }
        granted
    }

    fn env(&mut self, channel: ChannelId, name: Vec<u8>, value: Vec<u8>) -> bool {
        let Some(setup) = self.setups.get_mut(&channel) else {
            return false;
        };
        let fits = setup.env.len() < MAX_ENV && name.len() + value.len() <= MAX_ENV_LEN;
        let granted = fits && self.handler.env(&self.session, &name, &value);
        if granted {
            setup.env.push((name, value));
        }
        granted
    }

    fn start(
        &self,
        engine: &Arc<Engine>,
        channel: ChannelId,
        inbox: Arc<Inbox>,
        program: Program,
        ticket: RequestTicket,
    ) {
        let (engine, session) = (engine.clone(), self.session.clone());
        let setup = self.setups.get(&channel).cloned().unwrap_or_default();
        let start = Start::new(engine, session, setup, channel, inbox, ticket);
        // What is dropped here is refused.
        let Some((start, running)) = start.zip(self.handlers.take()) else {
            return;
        };
        spawn(&self.handler, running, move |handler| match program {
            Program::Command(command) => handler.exec(start, &command),
            Program::Shell => handler.shell(start),
            Program::Subsystem(name) => handler.subsystem(start, &name),
        });
    }

    fn connect(&self, engine: &Arc<Engine>, host: Vec<u8>, port: u16, ticket: OpenTicket) {
        let (engine, session) = (engine.clone(), self.session.clone());
        let mut connect = Connect::new(engine, session, host, port, ticket);
        match self.handlers.take() {
            Some(running) => spawn(&self.handler, running, move |handler| {
                handler.direct_tcpip(connect);
            }),
            None => connect.reject(ChannelOpenFailureReason::RESOURCE_SHORTAGE, ""),
        }
    }
}

/// The threads of handlers that run.
struct Handlers {
    most: usize,
    running: Arc<AtomicUsize>,
    /// Free again when the connection has ended and the last handler has returned.
    place: Arc<Place>,
}

/// One of them. It goes with the thread, however that ends.
struct Running {
    count: Arc<AtomicUsize>,
    _place: Arc<Place>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Handlers {
    /// A place for one more. Only the reader takes places.
    fn take(&self) -> Option<Running> {
        if self.running.load(Ordering::SeqCst) >= self.most {
            return None;
        }
        self.running.fetch_add(1, Ordering::SeqCst);
        Some(Running {
            count: self.running.clone(),
            _place: self.place.clone(),
        })
    }
}

/// Runs the handler in a thread. What it was to answer is refused if there is none.
fn spawn(
    handler: &Arc<dyn Handler>,
    running: Running,
    run: impl FnOnce(&dyn Handler) + Send + 'static,
) {
    let handler = handler.clone();
    let spawned = thread::Builder::new()
        .name("ssh-program".into())
        .spawn(move || {
            let _running = running;
            run(&*handler);
        });
    drop(spawned);
}

impl Role for ServerRole {
    fn event(&mut self, _engine: &Arc<Engine>, state: &mut State, event: PeerEvent<'_>) {
        match event {
            PeerEvent::Channel(ChannelEvent::OpenRequest {
                channel_type,
                ticket,
            }) => self.opening(state, channel_type, ticket),
            PeerEvent::Channel(ChannelEvent::Request {
                channel,
                request,
                ticket,
            }) => self.request(state, channel, request, ticket),
            PeerEvent::Channel(ChannelEvent::Closed { channel, .. }) => {
                self.setups.remove(&channel);
            }
            PeerEvent::Server(ServerEvent::Sign(request)) => {
                if let Some(server) = state.server() {
                    // Misuse is the end of the connection, and that is an event of its own.
                    let _ = self.host_keys.sign(request, server, &mut OsRandom);
                }
            }
            // What is not answered is refused.
            _ => {}
        }
    }

    fn unlocked(&mut self, engine: &Arc<Engine>) {
        for asked in std::mem::take(&mut self.asked) {
            let (granted, ticket) = match asked {
                Asked::Pty(channel, terminal, ticket) => {
                    let size = terminal.size;
                    let granted = self.pty(channel, terminal);
                    if granted && let Some(inbox) = engine.lock().inboxes.get(channel) {
                        inbox.update(|mailbox| mailbox.resized(size));
                    }
                    (granted, ticket)
                }
                Asked::Env(channel, name, value, ticket) => {
                    (self.env(channel, name, value), ticket)
                }
                Asked::Start(channel, inbox, program, ticket) => {
                    self.start(engine, channel, inbox, program, ticket);
                    continue;
                }
                Asked::Connect(host, port, ticket) => {
                    self.connect(engine, host, port, ticket);
                    continue;
                }
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

impl fmt::Debug for ServerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerRole")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpStream};
    use std::time::{Duration, Instant};

    use ssh_client::{Login, Trust};
    use ssh_keys::SigningKey;
    use ssh_proto::Wants;
    use ssh_proto::client::ClientEvent;
    use ssh_proto::config::Methods;
    use ssh_proto::key::PrivateKey;
    use ssh_proto::mux::Reply;
    use ssh_server::{FixedUsers, Required};

    use super::*;
    use crate::connect::LoggedIn;
    use crate::{ConnectOptions, Server, ServerOptions};

    struct Granting;

    impl Handler for Granting {
        fn env(&self, _session: &Session, _name: &[u8], _value: &[u8]) -> bool {
            true
        }

        fn exec(&self, request: Start, _command: &[u8]) {
            assert_eq!(request.env().len(), MAX_ENV);
            drop(request.accept());
        }
    }

    #[test]
    fn more_requests_in_one_go_than_may_wait_are_all_answered_by_the_handler() {
        let keys = HostKeys::new([SigningKey::ed25519(&[1; 32])]).unwrap();
        let users =
            |_: SocketAddr| FixedUsers::new().with_password("alice", String::from("secret"));
        let options = ServerOptions::new(keys, users).required(Required::AnyOf(Methods::PASSWORD));
        let server = Server::bind("127.0.0.1:0", options, Granting).unwrap();

        let key = PrivateKey::from_ed25519_seed(&[1; 32]);
        let trust = Trust::pinned([key.public_key().fingerprint()]);
        let login = Login::new("alice", trust).password(String::from("secret"));
        let stream = TcpStream::connect(server.local_addr()).unwrap();
        let (logged_in, _) = ConnectOptions::new(login).log_in(stream).unwrap();
        let LoggedIn {
            mut client,
            mut rx,
            socket,
            clock,
            ..
        } = logged_in;
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();

        let channel = client.open_session().unwrap();
        let mut answers = Vec::new();
        let began = Instant::now();
        while answers.len() < 101 {
            assert!(began.elapsed() < Duration::from_secs(20));
            let mut opened = false;
            while let Some(event) = client.poll_event(&mut rx.batch(), clock.now()) {
                match event {
                    ClientEvent::Channel(ChannelEvent::Opened { .. }) => opened = true,
                    ClientEvent::Channel(ChannelEvent::Reply { success, .. }) => {
                        answers.push(success);
                    }
                    _ => {}
                }
            }
            if opened {
                // All of these leave in one write.
                let mut channel = client.channel(channel).unwrap();
                for _ in 0..100 {
                    let request = ChannelRequestType::Env {
                        variable_name: b"LC_ALL",
                        variable_value: b"C",
                    };
                    channel.request(request, Reply::Wanted).unwrap();
                }
                let request = ChannelRequestType::Exec { command: b"x" };
                channel.request(request, Reply::Wanted).unwrap();
            }
            while client.has_output() {
                let n = socket.write(client.output()).unwrap();
                client.consume_output(n);
            }
            if answers.len() < 101
                && let Wants::Bytes(need) = client.wants()
            {
                let n = socket.read(rx.spare(need)).unwrap();
                rx.filled(n);
            }
        }
        let (program, env) = answers.split_last().unwrap();
        assert!(program, "the program was refused");
        // What is kept of an environment has a limit of its own.
        let granted = env.iter().filter(|granted| **granted).count();
        assert_eq!(granted, MAX_ENV);
    }
}
