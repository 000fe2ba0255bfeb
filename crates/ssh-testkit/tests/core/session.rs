//! Whole sessions in simulation.

use ssh_testkit::sim::{Auth, Pair, Session, pattern};

#[test]
fn a_client_logs_in_runs_a_command_and_leaves() {
    for auth in [
        Auth::Key,
        Auth::Outside,
        Auth::Password,
        Auth::NoneFirst,
        Auth::Both,
    ] {
        let mut app = Session::new(vec![pattern(100_000, 1)]).auth(auth);
        let ended = Pair::new(1).run(&mut app);
        assert!(ended, "{auth:?}\n{app:#?}");
        app.check();
    }
}
