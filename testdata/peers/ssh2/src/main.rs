//! ssh2, that is libssh2, as a client that is measured: `measure.rs` says how it is called.

#[path = "../../measure.rs"]
mod measure;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use measure::{Failure, Job, PIECE, PING, Trips, What, bulk_report};
use ssh2::{MethodType, Session};

fn main() -> Result<(), Failure> {
    let job = Job::parse(std::env::args().skip(1))?;
    let stream = TcpStream::connect(&*job.address)?;
    stream.set_nodelay(true)?;
    let mut session = Session::new()?;
    for method in [MethodType::CryptCs, MethodType::CryptSc] {
        session.method_pref(method, &job.cipher)?;
    }
    if let Some(mac) = &job.mac {
        for method in [MethodType::MacCs, MethodType::MacSc] {
            session.method_pref(method, mac)?;
        }
    }
    session.set_tcp_stream(stream);
    session.handshake()?;
    session.userauth_pubkey_file(&job.user, None, Path::new(&job.key), None)?;
    let mut channel = session.channel_session()?;
    channel.exec(&job.command())?;
    let report = match job.what {
        What::Echo(trips) => {
            let mut trips = Trips::new(trips);
            let mut buffer = [0; PING.len()];
            while trips.more() {
                channel.write_all(&PING)?;
                channel.read_exact(&mut buffer)?;
                trips.back();
            }
            trips.report()
        }
        What::Down(bytes) => {
            let mut buffer = vec![0; PIECE.len()];
            let mut total = 0;
            loop {
                match channel.read(&mut buffer)? {
                    0 => break,
                    n => total += n,
                }
            }
            if total != bytes {
                return Err("bytes are missing".into());
            }
            bulk_report()
        }
        What::Up(bytes) => {
            for _ in 0..bytes / PIECE.len() {
                channel.write_all(&PIECE)?;
            }
            channel.send_eof()?;
            channel.wait_eof()?;
            channel.wait_close()?;
            bulk_report()
        }
    };
    println!("{report}");
    Ok(())
}
