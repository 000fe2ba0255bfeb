//! Two implementations of the transport that share no code agree.

use ssh_proto::{Client, Server};
use ssh_testkit::raw::{Bench, Stage, Subject};

fn comes_up<P: Subject>() {
    for strict in [false, true] {
        for piece in [usize::MAX, 1, 7] {
            let mut bench = Bench::<P>::new(strict);
            bench.piece = piece;
            let mut bench = bench.up_to(Stage::Connected);
            assert!(bench.peer.is_authenticated(), "{:#?}", bench.seen.log);
            assert_eq!(bench.raw.is_strict(), strict);
            let id = bench.raw.session_id().expect("a session");
            for _ in 0..3 {
                for stage in [Stage::Connected, Stage::RekeyMethod, Stage::RekeyNewKeys] {
                    bench.proper(stage);
                    bench.turn();
                }
                bench.lives(&"after a rekey");
                assert_eq!(bench.peer.session_id(), Some(&id[..]), "r6");
            }
            let exchanged = bench.seen.log.0.iter();
            let exchanged = exchanged.filter(|line| line.contains("KeysExchanged"));
            assert_eq!(exchanged.count(), 4);
        }
    }
}

#[test]
fn a_client_comes_up_and_exchanges_keys() {
    comes_up::<Client>();
}

#[test]
fn a_server_comes_up_and_exchanges_keys() {
    comes_up::<Server>();
}
