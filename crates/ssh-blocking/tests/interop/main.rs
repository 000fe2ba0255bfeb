//! The interoperability matrix: both of our roles against three other implementations.
//!
//! Each peer in each role is one test that goes through all rows of [`matrix`]; the matrix is
//! printed at the end. `UPDATE_DOCS=1` writes it into `docs/interop.md`; without it that file is
//! only compared in shape, because what another machine's peers offer is another matter.

mod docs;
mod matrix;
mod our_client;
mod our_server;
mod payload;

use std::process::ExitCode;

use libtest_mimic::{Failed, Trial};
use ssh_testkit::harness::{self, peer_test};
use ssh_testkit::peers::{
    AsyncSshClient, AsyncSshServer, Dbclient, Dropbear, Missing, OpenSshClient, Sshd,
};

use crate::matrix::{Column, Peer, Results, Side};
use crate::our_client::PeerServer;
use crate::our_server::PeerClient;

fn main() -> ExitCode {
    let results = Results::default();
    let conclusion = harness::run(tests(&results));
    if !results.is_empty() {
        println!("{}", docs::table(&results));
    }
    if docs::to_be_updated()
        && !conclusion.has_failed()
        && let Err(error) = docs::update(&results)
    {
        eprintln!("docs/interop.md is not updated: {error}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn tests(results: &Results) -> Vec<Trial> {
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
        Trial::test("the_documentation_has_this_matrix", || {
            docs::compare_shape().map_err(Failed::from)
        })
        .with_ignored_flag(docs::to_be_updated()),
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
