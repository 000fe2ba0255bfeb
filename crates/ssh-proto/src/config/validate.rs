//! What cannot work: [`ConfigError`].

use alloc::boxed::Box;
use core::fmt;

use super::TransportConfig;
use crate::algorithm::CipherAlgorithm;

/// A configuration that cannot work: which field, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: Box<str>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "configuration: `{}` {}", self.field, self.reason)
    }
}

impl core::error::Error for ConfigError {}

impl TransportConfig {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let a = &self.algorithms;
        /// Far beyond what makes sense, and far from where arithmetic ends.
        const MUCH: usize = 1 << 30;
        let aead = |ciphers: &[CipherAlgorithm]| ciphers.iter().all(|cipher| cipher.is_aead());
        let macs_c2s = !a.macs_client_to_server.is_empty() || aead(&a.ciphers_client_to_server);
        let macs_s2c = !a.macs_server_to_client.is_empty() || aead(&a.ciphers_server_to_client);
        let compression = !a.compression_client_to_server.is_empty()
            && !a.compression_server_to_client.is_empty();
        let compresses = a
            .compression_client_to_server
            .iter()
            .chain(&a.compression_server_to_client)
            .any(|method| !method.is_none());
        let window_floor = limits.channels as u64 * 1024;
        let rules = [
            (
                "limits.packet_before_auth",
                limits.packet_before_auth >= 35_000,
                "is below 35000",
            ),
            ("limits.packet", limits.packet >= 35_000, "is below 35000"),
            ("limits.packet", limits.packet <= MUCH, "is above 2^30"),
            (
                "limits.inflated",
                (35_000..=MUCH).contains(&limits.inflated),
                "is not 35000 to 2^30",
            ),
            (
                "limits.maximum_packet",
                !compresses
                    || limits.maximum_packet as usize <= limits.inflated.saturating_sub(1024),
                "does not fit into limits.inflated",
            ),
            (
                "compression_level",
                self.compression_level <= 9,
                "is not 0 to 9",
            ),
            (
                "limits.maximum_packet",
                limits.maximum_packet >= 1024,
                "is below 1024",
            ),
            (
                "limits.maximum_packet",
                limits.maximum_packet as usize <= limits.packet.saturating_sub(1024),
                "does not fit into limits.packet",
            ),
            (
                "limits.window",
                limits.window >= limits.maximum_packet,
                "is below maximum_packet",
            ),
            (
                "limits.channels",
                (1..=1 << 20).contains(&limits.channels),
                "is not 1 to 2^20",
            ),
            (
                "limits.window_total",
                limits.window_total >= window_floor,
                "is below 1024 for each of limits.channels",
            ),
            (
                "limits.requests_unanswered",
                limits.requests_unanswered > 0,
                "leaves nothing to be asked",
            ),
            (
                "limits.output",
                (2048..=MUCH).contains(&limits.output),
                "is not 2048 to 2^30",
            ),
            (
                "limits.control",
                (35_000..=MUCH).contains(&limits.control),
                "is not 35000 to 2^30",
            ),
            (
                "limits.held",
                (1024..=1 << 24).contains(&limits.held),
                "is not 1024 to 2^24",
            ),
            (
                "limits.rekey_bytes",
                limits.rekey_bytes >= 32 * 1024,
                "is below 32768",
            ),
            (
                "limits.rekey_packets",
                limits.rekey_packets >= 64,
                "is below 64",
            ),
            (
                "limits.rekey_packets",
                limits.rekey_packets <= 1 << 31,
                "is above 2^31",
            ),
            ("algorithms.kex", !a.kex.is_empty(), "is empty"),
            ("algorithms.host_key", !a.host_key.is_empty(), "is empty"),
            (
                "algorithms.ciphers",
                !a.ciphers_client_to_server.is_empty() && !a.ciphers_server_to_client.is_empty(),
                "is empty",
            ),
            (
                "algorithms.macs",
                macs_c2s && macs_s2c,
                "is empty, and not every cipher is an AEAD",
            ),
            (
                "algorithms.compression",
                compression,
                "is empty: `none` is a method too",
            ),
        ];
        for (field, holds, reason) in rules.into_iter().chain(self.group_exchange.rules()) {
            if !holds {
                return Err(ConfigError {
                    field,
                    reason: reason.into(),
                });
            }
        }
        Ok(())
    }
}
