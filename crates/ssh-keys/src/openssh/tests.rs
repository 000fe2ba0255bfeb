//! Files made by `ssh-keygen` are read, what is written is read back, and damaged files give
//! errors. The costly parts are bounded before they run; ids of attacks stand in the names.

use alloc::format;

use ssh_proto::algorithm::KeyType;

use super::*;
use crate::{
    PublicKeyLine,
    testing::{Broken, Counting, With, key_file},
};

const PASS: Option<&[u8]> = Some(b"correct horse");

fn read(file: &[u8], passphrase: Option<&[u8]>) -> Result<KeyPair, KeyFileError> {
    KeyPair::from_openssh(file, passphrase, Limits::default())
}

fn body(file: &[u8]) -> Vec<u8> {
    Armor::decode(file, BEGIN, END).unwrap().body.to_vec()
}

fn file_of(body: &[u8]) -> Vec<u8> {
    armor::encode(body, BEGIN, END).as_bytes().to_vec()
}

/// For damaged files: the number of rounds is among what is damaged.
fn read_damaged(file: &[u8]) -> Result<KeyPair, KeyFileError> {
    KeyPair::from_openssh(file, PASS, Limits::with_max_rounds(2))
}

const PLAIN: [&str; 6] = [
    "ed25519",
    "ecdsa_p256",
    "rsa2048",
    "rsa3072",
    "rsa4096",
    "no_comment",
];
const ENCRYPTED: [&str; 9] = [
    "ed25519_enc",
    "ecdsa_p256_enc",
    "rsa2048_enc",
    "ed25519_a1_aes128",
    "ed25519_a1_aes192",
    "ed25519_a1_aes256",
    "ecdsa_p256_a1",
    "rsa3072_a1",
    "rsa4096_a1",
];

#[test]
fn files_of_ssh_keygen_are_read() {
    for name in PLAIN.iter().chain(&ENCRYPTED) {
        let pair = read(&key_file(name), PASS).unwrap();
        let public = PublicKeyLine::parse(&key_file(&format!("{name}.pub"))).unwrap();
        assert_eq!(*pair.private.public_key(), public.key, "{name}");
        assert_eq!(pair.comment, public.comment, "{name}");
    }
}

/// With the check number and the salt of the file, writing gives the file again.
#[test]
fn files_of_ssh_keygen_are_written_byte_for_byte() {
    for name in PLAIN.iter().chain(&ENCRYPTED) {
        if name.contains("aes128") || name.contains("aes192") {
            continue;
        }
        let file = key_file(name);
        let armor = Armor::decode(&file, BEGIN, END).unwrap();
        let mut outer = Fields::new(&armor.body, 0, &armor);
        outer.read(|r| r.bytes(MAGIC.len())).unwrap();
        let encryption = Encryption::read(&mut outer).unwrap();
        let (_, _) = (outer.read(Reader::u32), outer.read(Reader::string));
        let mut section = outer.read(Reader::string).unwrap().to_vec();
        encryption
            .decrypt(&mut section, PASS, Limits::default())
            .unwrap();
        let (protection, salt) = match encryption {
            Encryption::None => (Protection::None, &[][..]),
            Encryption::Bcrypt { salt, rounds, .. } => {
                let passphrase = PASS.unwrap();
                (Protection::Passphrase { passphrase, rounds }, salt)
            }
        };
        let mut same = |out: &mut [u8]| match out.len() {
            4 => out.copy_from_slice(&section[..4]),
            _ => out.copy_from_slice(salt),
        };
        let pair = read(&file, PASS).unwrap();
        let written = pair.to_openssh(protection, &mut With(&mut same)).unwrap();
        assert_eq!(written.as_bytes(), file, "{name}");
    }
}

#[test]
fn an_encrypted_key_says_what_it_needs() {
    let file = key_file("ed25519_a1_aes192");
    let error = read(&file, None).unwrap_err();
    let (cipher, kdf) = ("aes192-ctr".into(), "bcrypt".into());
    assert_eq!(error, KeyFileError::Encrypted { cipher, kdf });
    for wrong in [&b"wrong"[..], b"", b"correct horse "] {
        assert_eq!(
            read(&file, Some(wrong)).unwrap_err(),
            KeyFileError::WrongPassphrase
        );
    }
    let error = read(&key_file("ed25519_a1_aes256cbc"), PASS).unwrap_err();
    let (cipher, kdf) = ("aes256-cbc".into(), "bcrypt".into());
    assert_eq!(error, KeyFileError::UnsupportedEncryption { cipher, kdf });
    let error = read(&key_file("ecdsa_p384"), None).unwrap_err();
    assert_eq!(
        error,
        KeyFileError::UnsupportedKeyType("ecdsa-sha2-nistp384".into())
    );
}

#[test]
fn f5_rounds_are_bounded_before_they_are_computed() {
    let body = body(&key_file("ed25519_a1_aes256"));
    // string salt, uint32 rounds: behind the 16 bytes of salt.
    let at = body
        .windows(10)
        .position(|w| w == b"\0\0\0\x06bcrypt")
        .unwrap()
        + 10
        + 4
        + 4
        + 16;
    assert_eq!(body[at..at + 4], [0, 0, 0, 1]);
    for rounds in [1025, 1 << 31, u32::MAX] {
        let mut body = body.clone();
        body[at..at + 4].copy_from_slice(&rounds.to_be_bytes());
        let error = read(&file_of(&body), PASS).unwrap_err();
        assert_eq!(error, KeyFileError::Rounds { rounds, max: 1024 });
    }
    let mut none = body.clone();
    none[at + 3] = 0;
    let error = read(&file_of(&none), PASS).unwrap_err();
    assert!(matches!(
        error,
        KeyFileError::Malformed {
            reason: Malformed::KdfOptions,
            ..
        }
    ));
    let strict = KeyPair::from_openssh(&key_file("ed25519_enc"), PASS, Limits::with_max_rounds(15));
    assert_eq!(
        strict.unwrap_err(),
        KeyFileError::Rounds {
            rounds: 16,
            max: 15
        }
    );
}

/// Every single byte of the decoded container: nothing but an error, or (in the comment and in
/// what ssh-keygen chose freely) the same key.
#[test]
fn f5_every_byte_flipped_gives_an_error_or_the_same_key() {
    for name in ["ed25519", "ecdsa_p256", "rsa2048", "ed25519_a1_aes128"] {
        let file = key_file(name);
        let (body, public) = (body(&file), read(&file, PASS).unwrap());
        for index in 0..body.len() {
            let mut body = body.clone();
            body[index] ^= 1 << (index % 8);
            if let Ok(pair) = read_damaged(&file_of(&body)) {
                let key = pair.private.public_key();
                assert_eq!(key, public.private.public_key(), "{name} {index}");
            }
        }
    }
}

#[test]
fn f5_every_character_flipped_or_cut_gives_an_answer() {
    for name in ["ed25519", "ecdsa_p256", "rsa2048", "ed25519_a1_aes256"] {
        let file = key_file(name);
        // The numbers of a long key are flipped one by one above.
        let step = if name == "rsa2048" { 7 } else { 1 };
        for index in (0..file.len()).step_by(step) {
            let mut flipped = file.clone();
            flipped[index] ^= 0x05;
            let _ = read_damaged(&flipped);
        }
        for length in 0..file.len() {
            // The last line end is the only thing that may be missing.
            let cut = read_damaged(&file[..length]);
            assert_eq!(cut.is_ok(), length + 1 == file.len(), "{name} {length}");
        }
        let body = body(&file);
        for length in 0..body.len() {
            assert!(read_damaged(&file_of(&body[..length])).is_err());
        }
    }
}

/// A container around a private section of one's own.
fn container(public: &[u8], section: &[u8], keys: u32, trailing: &[u8]) -> Vec<u8> {
    let mut body = MAGIC.to_vec();
    for name in [&b"none"[..], b"none", b""] {
        body.put_string(name);
    }
    body.put_u32(keys);
    body.put_string(public);
    body.put_string(section);
    body.put(trailing);
    file_of(&body)
}

fn section(check: [u32; 2], seed: &[u8; 32], padding: &[u8]) -> Vec<u8> {
    let key = SigningKey::ed25519(seed);
    let mut out = Vec::new();
    out.put_u32(check[0]);
    out.put_u32(check[1]);
    write_private(&key, &key.secret_parts().unwrap(), &mut out);
    out.put_string(b"abc");
    out.put(padding);
    out
}

#[test]
fn what_the_format_forbids_is_refused_with_its_line() {
    let key = SigningKey::ed25519(&[1; 32]);
    let public = key.public_key().blob();
    // 8 + 15 + 36 + 68 + 7 = 134, so two bytes of padding.
    let good = section([7, 7], &[1; 32], &[1, 2]);
    assert!(read(&container(public, &good, 1, b""), None).is_ok());
    let rsa = PublicKeyLine::parse(&key_file("rsa2048.pub")).unwrap().key;
    let other = SigningKey::ed25519(&[2; 32]);
    let mut long = vec![0; 10];
    long.iter_mut().zip(1..).for_each(|(b, n)| *b = n);
    for (file, reason) in [
        (container(public, &good, 0, b""), Malformed::KeyCount(0)),
        (container(public, &good, 2, b""), Malformed::KeyCount(2)),
        (
            container(public, &good, 1, b"x"),
            Malformed::Wire(WireError::TrailingBytes),
        ),
        (
            container(public, &section([7, 8], &[1; 32], &[1, 2]), 1, b""),
            Malformed::CheckNumbers,
        ),
        (
            container(public, &section([7, 7], &[1; 32], &[1, 3]), 1, b""),
            Malformed::Padding,
        ),
        (
            container(public, &section([7, 7], &[1; 32], &long), 1, b""),
            Malformed::Padding,
        ),
        (
            container(public, &section([7, 7], &[1; 32], &[1]), 1, b""),
            Malformed::SectionLength,
        ),
        (container(public, b"", 1, b""), Malformed::SectionLength),
        (
            container(other.public_key().blob(), &good, 1, b""),
            Malformed::HalvesDiffer,
        ),
        (
            container(rsa.blob(), &good, 1, b""),
            Malformed::HalvesDiffer,
        ),
        (
            container(b"", &good, 1, b""),
            Malformed::PublicKey(ssh_proto::key::KeyError::Malformed(WireError::Truncated)),
        ),
    ] {
        match read(&file, None).unwrap_err() {
            KeyFileError::Malformed {
                line,
                reason: found,
            } => {
                assert_eq!(found, reason);
                assert!((2..=12).contains(&line), "{found:?} {line}");
            }
            error => panic!("{error:?} instead of {reason:?}"),
        }
    }
    // Inside: the second half of an Ed25519 pair, and its public key.
    for at in [8 + 15 + 4, 8 + 15 + 36 + 4 + 32] {
        let mut wrong = good.clone();
        wrong[at] ^= 1;
        let error = read(&container(public, &wrong, 1, b""), None).unwrap_err();
        assert!(matches!(
            error,
            KeyFileError::Malformed {
                reason: Malformed::HalvesDiffer,
                ..
            }
        ));
    }
}

#[test]
fn what_is_written_is_read_back() {
    for key_type in [KeyType::Ed25519, KeyType::EcdsaP256] {
        for (seed, comment) in ["", "x", "user@host", "a comment with blanks"]
            .iter()
            .enumerate()
        {
            let random = &mut Counting::new(seed as u64);
            let pair = KeyPair {
                private: SigningKey::generate(key_type, random).unwrap(),
                comment: (*comment).into(),
            };
            let secret = Protection::Passphrase {
                passphrase: b"x",
                rounds: 1,
            };
            for protection in [Protection::None, secret] {
                let file = pair.to_openssh(protection, random).unwrap();
                let back = read(file.as_bytes(), Some(b"x")).unwrap();
                assert_eq!(back.private.public_key(), pair.private.public_key());
                assert_eq!(back.comment, *comment);
            }
        }
    }
}

#[test]
fn a_key_is_not_written_with_less_protection_than_was_asked_for() {
    let pair = read(&key_file("ed25519"), None).unwrap();
    let write = |passphrase, rounds, random: &mut dyn Random| {
        pair.to_openssh(Protection::Passphrase { passphrase, rounds }, random)
            .err()
    };
    let random = &mut Counting::new(1);
    assert_eq!(write(b"", 16, random), Some(KeyFileError::EmptyPassphrase));
    for rounds in [0, 1025] {
        let error = Some(KeyFileError::Rounds { rounds, max: 1024 });
        assert_eq!(write(b"x", rounds, random), error);
    }
    let error = Some(KeyFileError::Random(ssh_proto::random::RandomError));
    assert_eq!(write(b"x", 1, &mut Broken), error);
}
