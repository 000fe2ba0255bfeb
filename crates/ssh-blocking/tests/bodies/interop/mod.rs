//! The interoperability matrix: both of our roles against other implementations, with every driver.
//!
//! Each peer in each role is one test that goes through the rows of [`matrix`]. The matrix is
//! printed at the end.

pub(crate) mod columns;
pub(crate) mod matrix;
pub(crate) mod offers;
mod our_client;
mod our_server;
mod payload;
pub(crate) mod table;

use libtest_mimic::{Failed, Trial};
use ssh_testkit::harness::peer_test;

use self::columns::{Column, Side};
use self::matrix::{Results, Row};

/// One test for each column, all of which try `rows`.
pub(crate) fn tests(results: &Results, rows: &[Row]) -> Vec<Trial> {
    let test = |column: Column| {
        let (results, rows) = (results.clone(), rows.to_vec());
        let name = column.test();
        match column.side {
            Side::OurClient => peer_test(
                &name,
                || column.server(),
                move |peer| our_client::run(&*peer, column, &rows, &results).map_err(Failed::from),
            ),
            Side::OurServer => peer_test(
                &name,
                || column.client(),
                move |peer| our_server::run(&*peer, column, &rows, &results).map_err(Failed::from),
            ),
        }
    };
    Column::all().into_iter().map(test).collect()
}
