//! Both drivers, over loopback.

use std::sync::Arc;

use ssh_blocking::{FixedUsers, Login, Required, Trust};
use ssh_keys::authorized_keys::AuthorizedKeys;
use ssh_keys::{PublicKeyLine, SigningKey};
use ssh_proto::config::Methods;
use ssh_testkit::alloc::watch;

use super::{HOST_SEED, PASSWORD, USER_SEED, alone};

const EITHER: Required = {
    let mut methods = Methods::PASSWORD;
    methods.publickey = true;
    Required::AnyOf(methods)
};

/// Logs in over loopback, runs a command that nobody serves, and leaves.
fn over_blocking(users: impl Fn() -> FixedUsers + Send + Sync + 'static, login: Login) {
    use ssh_blocking::{Client, ConnectOptions, Handler, HostKeys, Server, ServerOptions};
    struct Nobody;
    impl Handler for Nobody {}
    let keys = HostKeys::new([SigningKey::ed25519(&HOST_SEED)]).unwrap();
    let options = ServerOptions::new(keys, move |_| users()).required(EITHER);
    let server = Server::bind("127.0.0.1:0", options, Nobody).unwrap();
    let client = Client::connect(server.local_addr(), ConnectOptions::new(login)).unwrap();
    assert!(client.exec("nothing").is_err());
    drop(client);
    drop(server);
}

fn over_tokio(users: impl Fn() -> FixedUsers + Send + Sync + 'static, login: Login) {
    use ssh_tokio::{Client, ConnectOptions, Handler, HostKeys, Server, ServerOptions};
    struct Nobody;
    impl Handler for Nobody {}
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let keys = HostKeys::new([SigningKey::ed25519(&HOST_SEED)]).unwrap();
        let options = ServerOptions::new(keys, move |_| users()).required(EITHER);
        let bound = Server::bind("127.0.0.1:0", options, Nobody).await;
        let (server, address) = bound.unwrap();
        let client = Client::connect_tcp(address, ConnectOptions::new(login)).await;
        let client = client.unwrap();
        assert!(client.exec("nothing").await.is_err());
        drop(client);
        server.shutdown();
    });
    drop(runtime);
}

/// Everything above the core: options, logins, users, the threads and tasks of the drivers.
#[test]
fn q3_drivers_leave_no_secret_in_freed_memory() {
    let _alone = alone();
    let trust = || Trust::pinned([SigningKey::ed25519(&HOST_SEED).public_key().fingerprint()]);
    for (name, key) in [("password", false), ("key", true)] {
        for tokio in [false, true] {
            let watch = watch(PASSWORD.as_bytes());
            watch.also(&HOST_SEED);
            watch.also(&USER_SEED);
            let login = Login::new("alice", trust());
            let login = if key {
                login.key(SigningKey::ed25519(&USER_SEED))
            } else {
                login.password(String::from(PASSWORD))
            };
            let user = SigningKey::ed25519(&USER_SEED);
            let line = PublicKeyLine {
                key: user.public_key().clone(),
                comment: String::new(),
            };
            let keys = Arc::new(AuthorizedKeys::parse(line.to_string().as_bytes()));
            drop(user);
            let users = move || {
                let users = FixedUsers::new();
                if key {
                    users.with_keys("alice", Arc::clone(&keys))
                } else {
                    users.with_password("alice", String::from(PASSWORD))
                }
            };
            if tokio {
                over_tokio(users, login);
            } else {
                over_blocking(users, login);
            }
            let (hits, which, size) = (watch.hits(), watch.last_secret(), watch.last_block());
            assert_eq!(hits, 0, "{name}, tokio {tokio}: {which:?} in {size:?}");
        }
    }
}
