//! What a hostile peer may try, by the layer that it tries it on. Names carry the ids of the attacks,
//! and each runs with its input in one piece, cut at every byte, and in random pieces.

/// Tests of a generic function, against a client and against a server.
macro_rules! both_roles {
    ($($(#[$meta:meta])* $name:ident => $generic:ident;)+) => {$(
        $(#[$meta])*
        #[test]
        fn $name() {
            ssh_testkit::raw::in_every_way(|| {
                $generic::<ssh_proto::Client>();
                $generic::<ssh_proto::Server>();
            });
        }
    )+};
}

mod auth_client;
mod auth_server;
mod channel_data;
mod channel_end;
mod channel_requests;
mod common;
mod compression;
mod families;
mod fields;
mod groups;
mod ident;
mod kex;
mod mitm;
mod modes;
mod order;
mod packet;
mod policy;
mod rekey;
