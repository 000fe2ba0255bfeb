//! Which tests show that an algorithm is right. Whoever adds an algorithm adds it here.

/// One algorithm's tests, by their names anywhere in the workspace.
pub(super) struct Proof {
    /// The algorithm's name.
    pub(super) of: &'static str,
    /// Compare it with published vectors, or with numbers that somebody else has computed.
    pub(super) known: &'static [&'static str],
    /// Compare it with another implementation, which is not one of the matrix in
    /// `docs/interop.md`: all that works there is taken from it.
    pub(super) compared: &'static [&'static str],
}

const fn proof(
    of: &'static str,
    known: &'static [&'static str],
    compared: &'static [&'static str],
) -> Proof {
    Proof {
        of,
        known,
        compared,
    }
}

/// What has not been compared with any other implementation yet, in the order of the tables. Nothing
/// is to be added here.
pub(super) const NOT_COMPARED_YET: &[&str] = &[
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "mlkem768nistp256-sha256",
    "mlkem1024nistp384-sha384",
    "curve448-sha512",
    "rsa2048-sha256",
    "rsa1024-sha1",
];

const X25519: &str = "k5_wycheproof_x25519";
const ECDH: &[&str] = &["rfc5903_vectors", "k6_wycheproof_ecdh"];
const DH: &[&str] = &[
    "k4_the_named_primes_are_those_of_the_rfcs",
    "q6_derivation_vectors",
];
const POWERS: &[&str] = &["powers_are_those_of_another_implementation"];
const NTRU_PRIME: &[&str] = &["the_first_known_answer_of_nist", X25519];
const NTRU_PRIME_ELSEWHERE: &[&str] = &[
    "keys_and_ciphertexts_are_those_of_the_other_implementation",
    "k7_ciphertexts_are_opened_as_by_the_other_implementation",
];
const RSA: &[&str] = &["k1_wycheproof_oaep"];
const GCM: &[&str] = &["p7_gcm_packets_are_those_of_rfc5647"];
const CTR: &[&str] = &["sp800_38a_vectors"];
const HMAC: &[&str] = &["rfc4231_vectors"];
const RSA_SIGNATURES: &[&str] = &["h7_wycheproof_rsa_pkcs1"];
const DEFLATE: &[&str] = &["streams_of_zlib_unpack"];
const DEFLATE_ELSEWHERE: &[&str] = &[
    "what_is_packed_here_unpacks_elsewhere_packet_by_packet_at_every_level",
    "what_is_packed_elsewhere_unpacks_here_with_every_kind_of_flush",
];

#[rustfmt::skip]
pub(super) const PROOFS: &[Proof] = &[
    // Key exchange.
    proof("mlkem768x25519-sha256", &["k7_wycheproof_encapsulation", "k7_wycheproof_decapsulation", X25519], &[]),
    proof("sntrup761x25519-sha512", NTRU_PRIME, NTRU_PRIME_ELSEWHERE),
    proof("sntrup761x25519-sha512@openssh.com", NTRU_PRIME, NTRU_PRIME_ELSEWHERE),
    proof("curve25519-sha256", &["rfc7748_vectors", X25519], &[]),
    proof("curve25519-sha256@libssh.org", &["rfc7748_vectors", X25519], &[]),
    proof("ecdh-sha2-nistp256", ECDH, &[]),
    proof("ecdh-sha2-nistp384", ECDH, &[]),
    proof("ecdh-sha2-nistp521", ECDH, &[]),
    proof("diffie-hellman-group-exchange-sha256", DH, POWERS),
    proof("diffie-hellman-group16-sha512", DH, POWERS),
    proof("diffie-hellman-group18-sha512", DH, POWERS),
    proof("diffie-hellman-group14-sha256", DH, POWERS),
    proof("mlkem768nistp256-sha256", &["k7_wycheproof_encapsulation", "k7_wycheproof_decapsulation", "k6_wycheproof_ecdh"], &[]),
    proof("mlkem1024nistp384-sha384", &["k7_wycheproof_encapsulation", "k7_wycheproof_decapsulation", "k6_wycheproof_ecdh"], &[]),
    proof("curve448-sha512", &["rfc7748_vectors", "k5_wycheproof_x448"], &[]),
    proof("diffie-hellman-group15-sha512", DH, POWERS),
    proof("diffie-hellman-group17-sha512", DH, POWERS),
    proof("diffie-hellman-group14-sha1", DH, POWERS),
    proof("diffie-hellman-group-exchange-sha1", DH, POWERS),
    proof("rsa2048-sha256", RSA, &[]),
    proof("diffie-hellman-group1-sha1", DH, POWERS),
    proof("rsa1024-sha1", RSA, &[]),
    // Signatures.
    proof("ssh-ed25519", &["rfc8032_vectors", "h6_wycheproof_ed25519"], &[]),
    proof("ecdsa-sha2-nistp256", &["rfc6979_vectors", "h7_wycheproof_ecdsa_p256"], &[]),
    proof("rsa-sha2-512", RSA_SIGNATURES, &[]),
    proof("rsa-sha2-256", RSA_SIGNATURES, &[]),
    // Ciphers.
    proof("aes256-gcm@openssh.com", GCM, &[]),
    proof("aes128-gcm@openssh.com", GCM, &[]),
    proof("chacha20-poly1305@openssh.com", &["chacha_packets_are_those_of_openssh"], &[]),
    proof("aes256-ctr", CTR, &[]),
    proof("aes192-ctr", CTR, &[]),
    proof("aes128-ctr", CTR, &[]),
    // MACs.
    proof("hmac-sha2-256-etm@openssh.com", HMAC, &[]),
    proof("hmac-sha2-512-etm@openssh.com", HMAC, &[]),
    proof("hmac-sha2-256", HMAC, &[]),
    proof("hmac-sha2-512", HMAC, &[]),
    // Compression. That nothing is done to a packet is what every test of a cipher shows.
    proof("none", GCM, GCM),
    proof("zlib@openssh.com", DEFLATE, DEFLATE_ELSEWHERE),
    proof("zlib", DEFLATE, DEFLATE_ELSEWHERE),
];
