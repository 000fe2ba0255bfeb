//! Both sides of a session, with a fault in what one of them sends.

use ssh_testkit::sim::{Fault, Pair, Session, pattern};

use super::mode_configs;

fn session() -> Session {
    Session::new(vec![pattern(300, 1), pattern(20, 2)])
}

/// Runs a session with a fault in one direction.
pub(super) fn run(mode: usize, up: Fault, down: Fault) -> (Pair, Session) {
    let (client, server) = mode_configs(mode);
    let mut pair = Pair::with(1, client, server);
    pair.up.fault = up;
    pair.down.fault = down;
    let mut app = session();
    assert!(pair.run(&mut app), "{up:?} {down:?}: {app:#?}");
    (pair, app)
}

/// What was received is the beginning of what was sent, whatever happened.
pub(super) fn nothing_was_altered(app: &Session, what: Fault) {
    for (sent, received) in app.client.sends.iter().zip(&app.client.received) {
        assert!(sent.starts_with(&received.out), "{what:?}");
        let said = format!("{} bytes", sent.len());
        assert!(said.as_bytes().starts_with(&received.err), "{what:?}");
    }
    for log in [&app.client.log, &app.server.log] {
        let last = log.0.last().expect("an event");
        assert!(last.starts_with("Ended: "), "{what:?}: {last}");
    }
}

/// What was received is the beginning of what was sent.
pub(super) fn nothing_but_the_beginning(app: &Session) {
    for (sent, received) in app.client.sends.iter().zip(&app.client.received) {
        assert!(sent.starts_with(&received.out), "{app:#?}");
        let said = format!("{} bytes", sent.len());
        assert!(said.as_bytes().starts_with(&received.err), "{app:#?}");
    }
}
