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
/// The layout of packets, put together by hand once more; the MAC itself has its vectors.
const PACKETS: &[&str] = &["packets_with_a_mac_are_those_of_rfc4253_and_etm"];
const GCM: &[&str] = &["wycheproof_aes_gcm"];
const GCM_ELSEWHERE: &[&str] = &["p7_gcm_packets_are_those_of_rfc5647"];
// Of the MAC: nobody has published vectors for the packets of OpenSSH.
const CHACHA: &[&str] = &["wycheproof_chacha20_poly1305"];
const CHACHA_ELSEWHERE: &[&str] = &["chacha_packets_are_those_of_openssh"];
const CTR: &[&str] = &["sp800_38a_vectors"];
const CBC: &[&str] = &["sp800_38a_vectors", "wycheproof_aes_cbc"];
const TDES: &[&str] = &["tdes_vectors"];
const BLOWFISH_AND_CAST: &[&str] = &["blowfish_and_cast_vectors"];
const CAST: &[&str] = &["blowfish_and_cast_vectors", "long_cast_maintenance_test"];
const RC4: &[&str] = &["rfc6229_vectors"];
const SHA2: &[&str] = &["rfc4231_vectors", "wycheproof_hmac"];
const SHA1: &[&str] = &["rfc2202_and_rfc2286_vectors", "wycheproof_hmac"];
const OLD_HMAC: &[&str] = &["rfc2202_and_rfc2286_vectors"];
const UMAC: &[&str] = &["rfc4418_vectors", "umac_of_packets_of_every_kind_of_length"];
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
    proof("aes256-gcm@openssh.com", GCM, GCM_ELSEWHERE),
    proof("aes128-gcm@openssh.com", GCM, GCM_ELSEWHERE),
    proof("chacha20-poly1305@openssh.com", CHACHA, CHACHA_ELSEWHERE),
    proof("aes256-ctr", CTR, &[]),
    proof("aes192-ctr", CTR, &[]),
    proof("aes128-ctr", CTR, &[]),
    proof("AEAD_AES_256_GCM", GCM, GCM_ELSEWHERE),
    proof("AEAD_AES_128_GCM", GCM, GCM_ELSEWHERE),
    proof("aes256-cbc", CBC, &[]),
    proof("aes192-cbc", CBC, &[]),
    proof("aes128-cbc", CBC, &[]),
    proof("3des-ctr", TDES, &[]),
    proof("3des-cbc", TDES, &[]),
    proof("blowfish-cbc", BLOWFISH_AND_CAST, &[]),
    proof("cast128-cbc", CAST, &[]),
    proof("arcfour256", RC4, &[]),
    proof("arcfour128", RC4, &[]),
    proof("arcfour", RC4, &[]),
    // MACs. A tag that is cut is the beginning of one that is not.
    proof("hmac-sha2-256-etm@openssh.com", SHA2, &[]),
    proof("hmac-sha2-512-etm@openssh.com", SHA2, &[]),
    proof("umac-128-etm@openssh.com", UMAC, &[]),
    proof("hmac-sha2-256", SHA2, &[]),
    proof("hmac-sha2-512", SHA2, &[]),
    proof("umac-128@openssh.com", UMAC, &[]),
    proof("hmac-sha1-etm@openssh.com", SHA1, &[]),
    proof("hmac-sha1", SHA1, &[]),
    proof("hmac-sha2-256-96", SHA2, &[]),
    proof("hmac-sha2-512-96", SHA2, &[]),
    proof("umac-64-etm@openssh.com", UMAC, &[]),
    proof("umac-64@openssh.com", UMAC, &[]),
    proof("hmac-sha1-96-etm@openssh.com", SHA1, &[]),
    proof("hmac-sha1-96", SHA1, &[]),
    proof("hmac-ripemd160-etm@openssh.com", OLD_HMAC, PACKETS),
    proof("hmac-ripemd160", OLD_HMAC, &[]),
    proof("hmac-ripemd160@openssh.com", OLD_HMAC, &[]),
    proof("hmac-ripemd160-96", OLD_HMAC, PACKETS),
    proof("hmac-md5-etm@openssh.com", OLD_HMAC, &[]),
    proof("hmac-md5", OLD_HMAC, &[]),
    proof("hmac-md5-96-etm@openssh.com", OLD_HMAC, &[]),
    proof("hmac-md5-96", OLD_HMAC, &[]),
    // Compression. That nothing is done to a packet is what every test of a cipher shows.
    proof("none", GCM, GCM_ELSEWHERE),
    proof("zlib@openssh.com", DEFLATE, DEFLATE_ELSEWHERE),
    proof("zlib", DEFLATE, DEFLATE_ELSEWHERE),
];
