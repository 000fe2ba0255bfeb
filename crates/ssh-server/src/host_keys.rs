//! Host keys: into a configuration, and signatures with those that the core does not sign with.

use alloc::{sync::Arc, vec::Vec};
use core::fmt;

use ssh_keys::SigningKey;
use ssh_proto::{
    algorithm::KeyType, auth::SignRequest, config::HostKey, error::Misuse, random::Random,
    server::ServerSend,
};

/// The host keys of a server, one of each type at the most. Clones share the keys.
///
/// ```
/// use ssh_keys::SigningKey;
/// use ssh_proto::config::ServerConfig;
/// use ssh_server::HostKeys;
///
/// let keys = HostKeys::new([SigningKey::ed25519(&[1; 32])])?;
/// let mut config = ServerConfig::default();
/// config.host_keys = keys.for_config();
/// # Ok::<(), ssh_server::HostKeysError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct HostKeys {
    keys: Vec<HostKey>,
    /// The private halves of the external ones.
    signers: Vec<Arc<SigningKey>>,
}

impl HostKeys {
    /// Takes the keys of a server.
    ///
    /// # Errors
    ///
    /// [`HostKeysError`] if two keys are of the same type: a client asks for a type, not for a key.
    pub fn new(keys: impl IntoIterator<Item = SigningKey>) -> Result<Self, HostKeysError> {
        let mut all = Self::default();
        for key in keys {
            let key_type = key.public_key().key_type();
            let mut types = all.keys.iter().map(|key| key.public_key().key_type());
            if types.any(|other| other == key_type) {
                return Err(HostKeysError { key_type });
            }
            match key.into_private() {
                Ok(key) => all.keys.push(HostKey::Private(Arc::new(key))),
                Err(key) => {
                    all.keys.push(HostKey::External(key.public_key().clone()));
                    all.signers.push(Arc::new(key));
                }
            }
        }
        Ok(all)
    }

    /// The keys for [`ServerConfig::host_keys`](ssh_proto::config::ServerConfig).
    pub fn for_config(&self) -> Vec<HostKey> {
        self.keys.clone()
    }

    /// Answers a [`ServerEvent::Sign`](ssh_proto::server::ServerEvent::Sign). Without the key, or
    /// if it fails to sign, the connection ends. An RSA signature takes milliseconds.
    ///
    /// # Errors
    ///
    /// [`Misuse::Token`] if the request is of another connection; [`Misuse::Ended`].
    pub fn sign(
        &self,
        request: SignRequest,
        server: &mut ServerSend,
        random: &mut dyn Random,
    ) -> Result<(), Misuse> {
        let mut signers = self.signers.iter();
        let key = signers.find(|key| *key.public_key() == request.key);
        let signature = key.map(|key| key.sign(request.algorithm, &request.data, random));
        match signature {
            Some(Ok(signature)) => server.signed(request, &signature),
            _ => server.not_signed(request),
        }
    }
}

/// Two host keys are of the same type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostKeysError {
    /// Which one.
    pub key_type: KeyType,
}

impl fmt::Display for HostKeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "two host keys of type {}", self.key_type)
    }
}

impl core::error::Error for HostKeysError {}
