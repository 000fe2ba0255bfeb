//! A server that speaks on its standard input and output, as under inetd(8): somebody else listens
//! and starts it for each connection.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::PeerError;

/// Listens on a port of its own. Dropped, it stops, and with it every process that it started; should
/// the test process be killed, their connections end and so do they.
#[derive(Debug)]
pub(super) struct Inetd {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
    log: PathBuf,
}

impl Inetd {
    /// Has `program` with `arguments` serve every connection. All of them log to the file `log`.
    pub(super) fn start(
        program: PathBuf,
        arguments: Vec<String>,
        log: &Path,
    ) -> Result<Self, PeerError> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        let file = File::create(log)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let listener = thread::spawn(move || {
            let mut children = Vec::new();
            for stream in socket.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                children.retain_mut(|child: &mut Child| matches!(child.try_wait(), Ok(None)));
                // What cannot be started closes its connection, which the test sees.
                children.extend(serve(&program, &arguments, stream, &file));
            }
            for mut child in children {
                let _ = child.kill();
                let _ = child.wait();
            }
        });
        Ok(Self {
            address,
            stop,
            listener: Some(listener),
            log: log.to_owned(),
        })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has been logged so far.
    pub(super) fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn serve(program: &Path, arguments: &[String], stream: TcpStream, log: &File) -> io::Result<Child> {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::from(OwnedFd::from(stream.try_clone()?)))
        .stdout(Stdio::from(OwnedFd::from(stream)))
        .stderr(log.try_clone()?)
        .spawn()
}

impl Drop for Inetd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes it. If it cannot be reached it is gone already.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}
