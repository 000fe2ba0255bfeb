//! What a server does with events: [`ServerRole`] notes them while the state is locked, and calls the
//! [`Handler`] afterwards.
//!
//! Invariants: programs and forwards run in threads that are counted for as long as they run,
//! whatever becomes of their channel, so that a client that opens, starts and closes again and again
//! runs into a limit. They keep the place of their connection, so that one that connects again and
//! again does too. A request for which there is no thread is refused.

use std::fmt;
use std::sync::Arc;
use std::thread;

use ssh_driver::{
    Core, Ended, PendingConnect, PendingStart, Program, Running, Serve, Serving, Session, Terminal,
};
use ssh_proto::PeerEvent;
use ssh_server::HostKeys;

use crate::engine::{Engine, Inbox, Role};
use crate::handler::{Connect, Handler, Start};
use crate::server::Seat;
use crate::socket::OsRandom;

/// What a server does with events of one connection.
pub(crate) struct ServerRole {
    handler: Code,
    serving: Serving<Engine, Seat>,
}

/// The code of users.
struct Code(Arc<dyn Handler>);

impl ServerRole {
    pub(crate) fn new(
        session: Arc<Session>,
        handler: Arc<dyn Handler>,
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

impl Serve<Engine, Seat> for Code {
    fn pty(&mut self, session: &Session, terminal: &Terminal) -> bool {
        self.0.pty(session, terminal)
    }

    fn env(&mut self, session: &Session, name: &[u8], value: &[u8]) -> bool {
        self.0.env(session, name, value)
    }

    fn start(&mut self, program: Program, request: PendingStart<Engine>, running: Running<Seat>) {
        let start = Start(request);
        self.spawn(running, move |handler| match program {
            Program::Command(command) => handler.exec(start, &command),
            Program::Shell => handler.shell(start),
            Program::Subsystem(name) => handler.subsystem(start, &name),
            _ => start.refuse(),
        });
    }

    fn connect(&mut self, request: PendingConnect<Engine>, running: Running<Seat>) {
        let connect = Connect(request);
        self.spawn(running, move |handler| handler.direct_tcpip(connect));
    }
}

impl Code {
    /// Runs the handler in a thread. What it was to answer is refused if there is none.
    fn spawn(&self, running: Running<Seat>, run: impl FnOnce(&dyn Handler) + Send + 'static) {
        let handler = self.0.clone();
        let spawned = thread::Builder::new()
            .name("ssh-program".into())
            .spawn(move || {
                let _running = running;
                run(&*handler);
            });
        drop(spawned);
    }
}

impl Role for ServerRole {
    fn event(&mut self, core: &mut Core<Inbox>, event: PeerEvent<'_>) {
        self.serving.event(core, event, &mut OsRandom);
    }

    fn has_business(&self) -> bool {
        self.serving.has_asked()
    }

    fn unlocked(&mut self, engine: &Arc<Engine>) {
        self.serving.ask(engine, &mut self.handler);
    }

    fn ended(&mut self, ended: &Arc<Ended>) {
        self.handler.0.ended(self.serving.session(), ended);
    }
}

impl fmt::Debug for ServerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerRole")
            .field("serving", &self.serving)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpStream};
    use std::time::{Duration, Instant};

    use ssh_client::{Login, Trust};
    use ssh_driver::MAX_ENV;
    use ssh_keys::SigningKey;
    use ssh_proto::client::ClientEvent;
    use ssh_proto::config::Methods;
    use ssh_proto::key::PrivateKey;
    use ssh_proto::message::ChannelRequestType;
    use ssh_proto::mux::Reply;
    use ssh_proto::{ChannelEvent, Wants};
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
