//! [`Deadlines`]: how long is waited for what.

use core::time::Duration;

/// How long is waited for what. `Duration::MAX` is for ever.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Deadlines {
    /// The peer's identification line.
    pub identification: Duration,
    /// One key exchange, from our KEXINIT to the peer's NEWKEYS.
    pub key_exchange: Duration,
    /// Everything before the end of authentication, decisions of the application excepted.
    pub authentication: Duration,
    /// A decision of the application that holds up the connection (host key, signature,
    /// credential, authentication).
    pub decision: Duration,
    /// A ticket that was deferred. After it the request is refused.
    pub ticket: Duration,
    /// Output that the peer does not take, once nothing more can be read because of it.
    pub output_stalled: Duration,
    /// Time after which keys are exchanged (RFC 4253 section 9).
    pub rekey: Duration,
    /// Signs of life, `None` for none. Never before authentication.
    pub keepalive: Option<Keepalive>,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            identification: Duration::from_secs(20),
            key_exchange: Duration::from_secs(60),
            authentication: Duration::from_secs(120),
            decision: Duration::from_secs(120),
            ticket: Duration::from_secs(60),
            output_stalled: Duration::from_secs(60),
            rekey: Duration::from_secs(3600),
            keepalive: None,
        }
    }
}

/// When to ask a silent peer whether it is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence after which a request is sent. Anything that is received counts as an answer.
    pub interval: Duration,
    /// How many requests in a row may stay without an answer.
    pub count: u32,
}
