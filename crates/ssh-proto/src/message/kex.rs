//! Messages of key exchange: RFC 4253 sections 7 and 8, RFC 4419 section 3, RFC 4432 section 4,
//! RFC 5656 section 4.
//!
//! What the numbers 30 to 49 mean depends on the method that was negotiated; see
//! [`KexMessages`](super::KexMessages).

use super::field::wire_struct;
use crate::wire::{Mpint, NameList};

wire_struct! {
    /// What a side can do, most preferred first (RFC 4253 section 7.1).
    KexInit<'a> {
        /// Random; makes sure that no side alone determines the keys.
        cookie: &'a [u8; 16] = Cookie,
        /// Key exchange methods.
        kex_algorithms: NameList<'a> = Names,
        /// Algorithms of host keys.
        server_host_key_algorithms: NameList<'a> = Names,
        /// Ciphers.
        encryption_algorithms_client_to_server: NameList<'a> = Names,
        /// Ciphers.
        encryption_algorithms_server_to_client: NameList<'a> = Names,
        /// MACs.
        mac_algorithms_client_to_server: NameList<'a> = Names,
        /// MACs.
        mac_algorithms_server_to_client: NameList<'a> = Names,
        /// Compression methods.
        compression_algorithms_client_to_server: NameList<'a> = Names,
        /// Compression methods.
        compression_algorithms_server_to_client: NameList<'a> = Names,
        /// Language tags.
        languages_client_to_server: NameList<'a> = Names,
        /// Language tags.
        languages_server_to_client: NameList<'a> = Names,
        /// Whether a message of a guessed method follows.
        first_kex_packet_follows: bool = Boolean,
        /// 0, for future extension. Kept as received, since the exchange hash covers it.
        reserved: u32 = Uint32,
    }
}

wire_struct! {
    /// From here on the new keys are used (RFC 4253 section 7.3).
    NewKeys;
}

wire_struct! {
    /// The client's half of a Diffie-Hellman exchange (RFC 4253 section 8).
    KexdhInit<'a> {
        /// g<sup>x</sup> mod p
        e: Mpint<'a> = Integer,
    }
}

wire_struct! {
    /// The server's half of a Diffie-Hellman exchange (RFC 4253 section 8).
    KexdhReply<'a> {
        /// K_S: public host key and certificates.
        host_key: &'a [u8] = Blob,
        /// g<sup>y</sup> mod p
        f: Mpint<'a> = Integer,
        /// Signature of the exchange hash H.
        signature: &'a [u8] = Blob,
    }
}

wire_struct! {
    /// The client's half of an elliptic curve or hybrid exchange (RFC 5656 section 4).
    KexEcdhInit<'a> {
        /// Q_C: the client's ephemeral public key, in the form that the method defines.
        client_public: &'a [u8] = Blob,
    }
}

wire_struct! {
    /// The server's half of an elliptic curve or hybrid exchange (RFC 5656 section 4).
    KexEcdhReply<'a> {
        /// K_S: the server's public host key.
        host_key: &'a [u8] = Blob,
        /// Q_S: the server's ephemeral public key, in the form that the method defines.
        server_public: &'a [u8] = Blob,
        /// Signature of the exchange hash H.
        signature: &'a [u8] = Blob,
    }
}

wire_struct! {
    /// The client asks for a group, in the form that was used before RFC 4419 (section 5). Nobody
    /// answers it any more: the smallest size cannot be said, so an attacker could.
    KexDhGexRequestOld {
        /// Preferred size in bits.
        n: u32 = Uint32,
    }
}

wire_struct! {
    /// The client asks for a group (RFC 4419 section 3).
    KexDhGexRequest {
        /// Smallest size in bits.
        min: u32 = Uint32,
        /// Preferred size in bits.
        n: u32 = Uint32,
        /// Largest size in bits.
        max: u32 = Uint32,
    }
}

wire_struct! {
    /// The group that the server has chosen (RFC 4419 section 3).
    KexDhGexGroup<'a> {
        /// A safe prime.
        p: Mpint<'a> = Integer,
        /// The generator.
        g: Mpint<'a> = Integer,
    }
}

wire_struct! {
    /// The client's half of an exchange in that group (RFC 4419 section 3).
    KexDhGexInit<'a> {
        /// g<sup>x</sup> mod p
        e: Mpint<'a> = Integer,
    }
}

wire_struct! {
    /// The server's half of an exchange in that group (RFC 4419 section 3).
    KexDhGexReply<'a> {
        /// K_S: public host key and certificates.
        host_key: &'a [u8] = Blob,
        /// g<sup>y</sup> mod p
        f: Mpint<'a> = Integer,
        /// Signature of the exchange hash H.
        signature: &'a [u8] = Blob,
    }
}

wire_struct! {
    /// The server begins an RSA key exchange (RFC 4432 section 4).
    KexRsaPubkey<'a> {
        /// K_S: public host key and certificates.
        host_key: &'a [u8] = Blob,
        /// K_T: an RSA key for this purpose alone, encoded as one of the type `ssh-rsa`.
        transient_key: &'a [u8] = Blob,
    }
}

wire_struct! {
    /// The client's secret, encrypted to the transient key (RFC 4432 section 4).
    KexRsaSecret<'a> {
        /// RSAES-OAEP-ENCRYPT(K_T, K)
        encrypted: &'a [u8] = Blob,
    }
}

wire_struct! {
    /// The server has read the secret (RFC 4432 section 4).
    KexRsaDone<'a> {
        /// Signature of the exchange hash H.
        signature: &'a [u8] = Blob,
    }
}
