//! The client.

use std::io::Write;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use russh::client::{self, Session};
use russh::keys::{
    PrivateKeyWithHashAlg, PublicKeyBase64, PublicKeyOrCertificate, load_secret_key,
};
use russh::{ChannelMsg, Names};

use crate::interop::{self, Failure, KEYS_EXCHANGED, Options};

/// Trusts these keys.
struct Known(Vec<String>);

impl client::Handler for Known {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        let blob = Base64::encode_string(&key.public_key_bytes());
        Ok(self.0.contains(&blob))
    }

    async fn kex_done(
        &mut self,
        _: Option<&[u8]>,
        _: &Names,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        eprintln!("{KEYS_EXCHANGED}");
        Ok(())
    }
}

pub(crate) async fn run(options: Options) -> Result<u8, Failure> {
    let given = interop::given()?;
    let mut preferred = crate::preferred(&options)?;
    if let Some(names) = crate::list(&options, "host-key-algorithms") {
        let key = names.iter().map(|name| name.parse());
        preferred.key = key.collect::<Result<Vec<_>, _>>()?.into();
    }
    let config = client::Config {
        preferred,
        limits: crate::limits(&options)?,
        channel_buffer_size: crate::CHANNEL_BUFFER,
        ..Default::default()
    };
    let known = Known(interop::blobs(options.one("known-hosts")?)?);
    let mut session = client::connect(Arc::new(config), options.server()?, known).await?;
    let hash = session.best_supported_rsa_hash().await?.flatten();
    let key = Arc::new(load_secret_key(options.one("key")?, None)?);
    let key = PrivateKeyWithHashAlg::new(key, hash);
    let user = options.one("user")?;
    if !session.authenticate_publickey(user, key).await?.success() {
        return Err("not let in".into());
    }

    let tunnel = options.has("tunnel");
    let channel = if tunnel {
        let (host, port) = options.one("tunnel")?.rsplit_once(':').ok_or("no port")?;
        let port = port.parse()?;
        session
            .channel_open_direct_tcpip(host, port, "127.0.0.1", 0)
            .await?
    } else {
        let channel = session.channel_open_session().await?;
        channel.exec(true, &*options.command).await?;
        channel
    };
    let (mut from, to) = channel.split();
    let writer = tokio::spawn(async move {
        to.data(&given[..]).await?;
        to.eof().await
    });
    let mut status = None;
    while let Some(message) = from.wait().await {
        match message {
            ChannelMsg::Data { data } => std::io::stdout().write_all(&data)?,
            ChannelMsg::ExtendedData { data, .. } => std::io::stderr().write_all(&data)?,
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            ChannelMsg::Eof if tunnel => break,
            _ => {}
        }
    }
    writer.await??;
    std::io::stdout().flush()?;
    match status {
        Some(status) => Ok(u8::try_from(status)?),
        None if tunnel => Ok(0),
        None => Err("no status".into()),
    }
}
