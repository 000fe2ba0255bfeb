//! Whole sessions in simulation.

use ssh_testkit::sim::{Auth, Chunking, Pair, Session};

fn data(n: usize, seed: u8) -> Vec<u8> {
    (0..n)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed) ^ (i >> 8) as u8)
        .collect()
}

#[test]
fn a_client_logs_in_runs_a_command_and_leaves() {
    for auth in [
        Auth::Key,
        Auth::Outside,
        Auth::Password,
        Auth::NoneFirst,
        Auth::Both,
    ] {
        let mut app = Session::new(vec![data(100_000, 1)]);
        app.auth = auth;
        let ended = Pair::new(1).run(&mut app);
        assert!(
            ended,
            "{auth:?}\n{:#?}\n{:#?}",
            app.client_log, app.server_log
        );
        app.check();
    }
}
