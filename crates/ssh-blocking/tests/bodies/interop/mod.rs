//! The interoperability matrix: both of our roles against three other implementations, with every
//! driver.
//!
//! Each peer in each role is one test that goes through all rows of [`matrix`]. The matrix is
//! printed at the end.

pub(crate) mod matrix;
mod our_client;
mod our_server;
mod payload;
pub(crate) mod table;

use libtest_mimic::{Failed, Trial};
use ssh_testkit::harness::peer_test;
use ssh_testkit::peers::{
    AsyncSshClient, AsyncSshServer, Dbclient, Dropbear, Missing, OpenSshClient, Sshd,
};

use self::matrix::{Column, Peer, Results, Side};
use self::our_client::PeerServer;
use self::our_server::PeerClient;

/// One test for each column.
pub(crate) fn tests(results: &Results) -> Vec<Trial> {
    vec![
        of_our_client(results, "our_client_with_sshd", Peer::OpenSsh, || {
            Ok(PeerServer::OpenSsh(Sshd::find()?))
        }),
        of_our_client(results, "our_client_with_dropbear", Peer::Dropbear, || {
            Ok(PeerServer::Dropbear(Dropbear::find()?))
        }),
        // `Column::must_have` demands mlkem768x25519-sha256 here.
        of_our_client(
            results,
            "our_client_with_asyncssh_and_ml_kem",
            Peer::AsyncSsh,
            || Ok(PeerServer::AsyncSsh(AsyncSshServer::find()?)),
        ),
        of_our_server(results, "our_server_with_ssh", Peer::OpenSsh, || {
            Ok(PeerClient::OpenSsh(OpenSshClient::find()?))
        }),
        of_our_server(results, "our_server_with_dbclient", Peer::Dropbear, || {
            Ok(PeerClient::Dropbear(Dbclient::find()?))
        }),
        of_our_server(
            results,
            "our_server_with_asyncssh_and_ml_kem",
            Peer::AsyncSsh,
            || Ok(PeerClient::AsyncSsh(AsyncSshClient::find()?)),
        ),
    ]
}

fn of_our_client(
    results: &Results,
    name: &str,
    peer: Peer,
    find: impl FnOnce() -> Result<PeerServer, Missing>,
) -> Trial {
    let results = results.clone();
    let side = Side::OurClient;
    peer_test(name, find, move |server| {
        our_client::run(&server, Column { side, peer }, &results).map_err(Failed::from)
    })
}

fn of_our_server(
    results: &Results,
    name: &str,
    peer: Peer,
    find: impl FnOnce() -> Result<PeerClient, Missing>,
) -> Trial {
    let results = results.clone();
    let side = Side::OurServer;
    peer_test(name, find, move |client| {
        our_server::run(&client, Column { side, peer }, &results).map_err(Failed::from)
    })
}
