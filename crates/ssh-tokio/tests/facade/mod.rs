//! The driver as the bodies of the shared tests know it: the names and shapes of `ssh-blocking`, and
//! `ssh-tokio` underneath. Nothing here knows the protocol.
//!
//! All connections live on one runtime with two worker threads. Whoever calls waits in `block_on`,
//! which is a thread of a test or of a handler, never a worker. A channel is behind a lock that is
//! held for one poll of a read, a write or a wait, so that threads can do these at the same time.

mod channel;
mod server;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use ssh_proto::ClientConfig;
use ssh_proto::key::{Fingerprint, PublicKey};
// What is not told apart below has no shape of its own.
pub(crate) use ssh_tokio::*;
use tokio::runtime::{Builder, Runtime};

pub(crate) use self::channel::{Channel, ServerChannel};
pub(crate) use self::server::{Connect, Handler, Server, Start};

/// Waits for a call. It is polled here, in no task.
fn run<T>(call: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut runtime = Builder::new_multi_thread();
        runtime.worker_threads(2).enable_all().build().unwrap()
    });
    runtime.block_on(call)
}

/// Gives a call a time limit; `None` is for ever.
async fn within<T, E: From<Error>>(
    limit: Option<Duration>,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match limit {
        None => call.await,
        Some(limit) => tokio::time::timeout(limit, call)
            .await
            .unwrap_or_else(|_| Err(Error::Timeout.into())),
    }
}

fn resolve(address: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    Ok(address.to_socket_addrs()?.collect())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct ConnectOptions(ssh_tokio::ConnectOptions);

impl ConnectOptions {
    pub(crate) fn new(login: Login) -> Self {
        Self(ssh_tokio::ConnectOptions::new(login))
    }

    pub(crate) fn config(self, config: ClientConfig) -> Self {
        Self(self.0.config(config))
    }

    pub(crate) fn preset(self, preset: Preset) -> Self {
        Self(self.0.preset(preset))
    }

    pub(crate) fn algorithms(self, list: AlgorithmList, text: &str) -> Result<Self, ListError> {
        self.0.algorithms(list, text).map(Self)
    }

    pub(crate) fn request_timeout(self, timeout: Option<Duration>) -> Self {
        Self(self.0.request_timeout(timeout))
    }

    pub(crate) fn keepalive(self, interval: Duration, count: u32) -> Self {
        Self(self.0.keepalive(interval, count))
    }

    pub(crate) fn observer(self, observer: impl Observer) -> Self {
        Self(self.0.observer(observer))
    }

    pub(crate) fn on_host_key(
        self,
        mut decide: impl FnMut(&PublicKey, &Fingerprint) -> bool + Send + 'static,
    ) -> Self {
        Self(
            self.0
                .on_host_key(move |key, print| std::future::ready(decide(&key, &print))),
        )
    }

    pub(crate) fn on_password(
        self,
        mut ask: impl FnMut(Reason) -> Option<String> + Send + 'static,
    ) -> Self {
        Self(
            self.0
                .on_password(move |reason| std::future::ready(ask(reason))),
        )
    }
}

/// What does not wait is the driver's own.
#[derive(Clone, Debug)]
pub(crate) struct Client(ssh_tokio::Client);

impl Deref for Client {
    type Target = ssh_tokio::Client;

    fn deref(&self) -> &ssh_tokio::Client {
        &self.0
    }
}

impl Client {
    pub(crate) fn connect(
        address: impl ToSocketAddrs,
        options: ConnectOptions,
    ) -> Result<Self, Error> {
        let addresses = resolve(address)?;
        run(ssh_tokio::Client::connect_tcp(&*addresses, options.0)).map(Self)
    }

    pub(crate) fn exec(&self, command: impl AsRef<[u8]>) -> Result<Output, Error> {
        run(self.0.exec(command))
    }

    pub(crate) fn exec_with_input(
        &self,
        command: impl AsRef<[u8]>,
        input: &[u8],
    ) -> Result<Output, Error> {
        run(self.0.exec_with_input(command, input))
    }

    pub(crate) fn open_session(&self) -> Result<Channel, Error> {
        run(self.0.open_session()).map(Channel::new)
    }

    pub(crate) fn open_direct_tcpip(&self, host: &str, port: u16) -> Result<Channel, Error> {
        run(self.0.open_direct_tcpip(host, port)).map(Channel::new)
    }

    pub(crate) fn forward_local(
        &self,
        bind: impl ToSocketAddrs,
        host: &str,
        port: u16,
    ) -> Result<LocalForward, Error> {
        let addresses = resolve(bind)?;
        run(self.0.forward_local(&*addresses, host, port))
    }

    pub(crate) fn rekey(&self) -> Result<(), Error> {
        run(self.0.rekey())
    }

    pub(crate) fn disconnect(&self) {
        run(self.0.disconnect());
    }
}
