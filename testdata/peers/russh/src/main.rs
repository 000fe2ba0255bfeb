//! russh as a client that is measured: `measure.rs` says how it is called.
//!
//! Everything is as cheap as its interface allows: one thread, no wakeups across threads, data
//! handed over without a copy, `nodelay` on.

#[path = "../../measure.rs"]
mod measure;

use std::borrow::Cow;
use std::sync::Arc;

use measure::{Failure, Job, PIECE, PING, Trips, What, bulk_report};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key};
use russh::{ChannelMsg, Preferred, cipher, client, mac};

struct Anybody;

impl client::Handler for Anybody {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

fn main() -> Result<(), Failure> {
    let job = Job::parse(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    println!("{}", runtime.block_on(runtime.spawn(run(job)))??);
    Ok(())
}

/// In a task, as services are: the future of `block_on` is polled a round later than its wake-up.
async fn run(job: Job) -> Result<String, Failure> {
    let mut preferred = Preferred::DEFAULT.clone();
    preferred.cipher = Cow::Owned(vec![
        cipher::Name::try_from(&*job.cipher).map_err(|()| "cipher")?,
    ]);
    if let Some(mac) = &job.mac {
        preferred.mac = Cow::Owned(vec![mac::Name::try_from(&**mac).map_err(|()| "mac")?]);
    }
    let config = client::Config {
        preferred,
        nodelay: true,
        ..Default::default()
    };
    let mut session = client::connect(Arc::new(config), &*job.address, Anybody).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::new(load_secret_key(&job.key, None)?), None);
    if !session
        .authenticate_publickey(&*job.user, key)
        .await?
        .success()
    {
        return Err("not let in".into());
    }
    let mut channel = session.channel_open_session().await?;
    channel.exec(true, job.command()).await?;
    match job.what {
        What::Echo(trips) => {
            let mut trips = Trips::new(trips);
            while trips.more() {
                channel.data_bytes(&PING[..]).await?;
                let mut back = 0;
                while back < PING.len() {
                    match channel.wait().await.ok_or("the channel has ended")? {
                        ChannelMsg::Data { data } => back += data.len(),
                        _ => {}
                    }
                }
                trips.back();
            }
            Ok(trips.report())
        }
        What::Down(bytes) => {
            let mut total = 0;
            while let Some(message) = channel.wait().await {
                if let ChannelMsg::Data { data } = message {
                    total += data.len();
                }
            }
            if total != bytes {
                return Err("bytes are missing".into());
            }
            Ok(bulk_report())
        }
        What::Up(bytes) => {
            for _ in 0..bytes / PIECE.len() {
                channel.data_bytes(&PIECE[..]).await?;
            }
            channel.eof().await?;
            while channel.wait().await.is_some() {}
            Ok(bulk_report())
        }
    }
}
