//! The worst that a peer may do, or try to, as far as memory goes. Each leaves the connection at
//! its worst: what is freed later was there at the peak.

use num_bigint::BigUint;
use ssh_proto::Role;
use ssh_proto::Wants;
use ssh_proto::algorithm::{CompressionAlgorithm, KexAlgorithm};
use ssh_proto::config::Limits;
use ssh_proto::message::{
    AuthMethod, ChannelData, ChannelOpen, ChannelOpenType, ChannelRequest, ChannelRequestType,
    DebugMessage, ExtInfo, Extension, GlobalRequest, GlobalRequestType, Ignore, List, Ping,
    UserauthBanner, UserauthRequest, Wire,
};
use ssh_testkit::raw::{Group, Stage, key_blob};
use ssh_testkit::rng::SeededRandom;
use ssh_testkit::sim::{rsa_numbers, transient_rsa};

use super::victim::{Decides, Victim};

/// What is done, and to whom.
pub(crate) struct Hostile<P: Decides> {
    pub(crate) name: &'static str,
    pub(crate) act: fn(&mut Setup<'_>) -> Victim<P>,
}

/// The limits of the connection, and its compression.
pub(crate) struct Setup<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) compression: CompressionAlgorithm,
}

impl Setup<'_> {
    fn at<P: Decides>(&self, stage: Stage) -> Victim<P> {
        self.fresh().up_to(stage)
    }

    fn fresh<P: Decides>(&self) -> Victim<P> {
        Victim::compressed(|limits| *limits = self.limits.clone(), self.compression)
    }

    /// One that exchanges keys by this method, with the largest numbers that there may be.
    fn speaking<P: Decides>(&self, kex: KexAlgorithm) -> Victim<P> {
        // It outlives the connections of a server.
        let _ = transient_rsa();
        let mut v: Victim<P> = Victim::with(|| {
            let mut config = P::speaking(kex);
            let transport = P::transport(&mut config);
            transport.limits = self.limits.clone();
            transport.group_exchange.preferred = 8192;
            config
        });
        let names = &mut v.raw.offer.lists[0];
        *names = names.replace("curve25519-sha256", kex.name());
        let largest = (BigUint::from(1_u8) << 8192_u32) - 1_u8;
        v.raw.asks = [8192; 3];
        v.raw.group = Group::new(largest, 3);
        v.raw.rsa = Some(rsa_numbers());
        v
    }
}

/// A login with this password.
pub(crate) fn password(password: &[u8]) -> Vec<u8> {
    encoded(&UserauthRequest {
        user_name: b"alice",
        service_name: "ssh-connection",
        method: AuthMethod::Password {
            password,
            new_password: None,
        },
    })
}

fn encoded<'m, M: Wire<'m>>(message: &M) -> Vec<u8> {
    let mut payload = Vec::new();
    message.encode(&mut payload);
    payload
}

/// IGNORE in a packet of at most so many bytes, and at most 32 less.
fn ignore(longest: usize) -> Vec<u8> {
    encoded(&Ignore {
        data: &vec![0; longest - 45],
    })
}

const ALIVE: GlobalRequest<'_> = GlobalRequest {
    want_reply: true,
    request: GlobalRequestType::Keepalive,
};

// --- before authentication ----------------------------------------------------------------------

pub(crate) fn before_auth<P: Decides>() -> Vec<Hostile<P>> {
    let mut peers: Vec<Hostile<P>> = vec![
        Hostile {
            name: "V1 V2: lines that never end",
            act: |s| {
                let mut v = s.fresh();
                let line: &[u8] = if P::ROLE == Role::Client {
                    &[b'x'; 8190]
                } else {
                    b"SSH-2.0-"
                };
                for _ in 0..7 {
                    v.feed(line);
                    if P::ROLE == Role::Server {
                        break;
                    }
                    v.feed(b"\n");
                }
                v.feed(&[b'y'; 200]);
                v
            },
        },
        Hostile {
            name: "N1 N2: the largest KEXINIT, nothing but names",
            act: |s| {
                let mut v = s.at::<P>(Stage::KexInit);
                v.raw.offer.lists = lists(&v.raw.offer.lists, s.limits.packet_before_auth - 1000);
                v.raw.kexinit();
                v.deliver();
                assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
                v
            },
        },
        Hostile {
            name: "K9: the largest KEXINIT, then the largest group",
            act: |s| in_the_largest(s.speaking(CHOSEN), s),
        },
        Hostile {
            name: "K9: the same, of a method with that group in its name",
            act: |s| in_the_largest(s.speaking(FIXED), s),
        },
        Hostile {
            name: "K9: the same, with a secret that is encrypted by RSA",
            act: |s| in_the_largest(s.speaking(RSA), s),
        },
        Hostile {
            name: "half a packet in clear",
            act: |s| {
                let mut v = s.at::<P>(Stage::KexInit);
                v.raw.payload(&ignore(s.limits.packet_before_auth));
                v.deliver_all_but(1);
                v
            },
        },
        Hostile {
            name: "P1: lengths of nothing",
            act: |s| {
                let mut v = s.at::<P>(Stage::KexInit);
                v.feed(&[0x7f; 16]);
                assert!(v.app.ended.is_some());
                v
            },
        },
        Hostile {
            name: "unknown messages, replies not read, half a packet",
            act: |s| {
                let mut v = s.at::<P>(Stage::Auth);
                v.reads = false;
                while matches!(v.wants(), Wants::Bytes(_)) {
                    if v.waiting() + 80 > s.limits.packet_before_auth {
                        break;
                    }
                    v.raw.payload(&[200]);
                    v.deliver();
                    assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
                }
                v.raw.payload(&ignore(s.limits.packet_before_auth));
                v.deliver_all_but(1);
                v
            },
        },
        Hostile {
            name: "1 MiB, the largest packets",
            act: |s| {
                let mut v = s.at::<P>(Stage::Auth);
                while v.app.ended.is_none() {
                    v.raw.payload(&ignore(s.limits.packet_before_auth));
                    v.deliver();
                }
                v
            },
        },
        Hostile {
            name: "words for the user: DEBUG",
            act: |s| {
                let mut v = s.at::<P>(Stage::Auth);
                v.send(&DebugMessage {
                    always_display: true,
                    message: &vec![b'x'; s.limits.packet_before_auth - 60],
                    language_tag: b"",
                });
                assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
                v
            },
        },
    ];
    if P::ROLE == Role::Client {
        peers.push(Hostile {
            name: "C8: banners, and EXT_INFO as large as can be",
            act: |s| {
                let mut v = s.at::<P>(Stage::Auth);
                let names = ["ssh-ed25519"; 1000].join(",");
                let list = [Extension {
                    name: Extension::SERVER_SIG_ALGS,
                    value: names.as_bytes(),
                }; 2];
                v.send(&ExtInfo {
                    extensions: List::new(&list),
                });
                for _ in 0..8 {
                    v.send(&UserauthBanner {
                        message: &vec![b'x'; s.limits.packet_before_auth - 60],
                        language_tag: b"",
                    });
                }
                assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
                v
            },
        });
    } else {
        peers.push(Hostile {
            name: "the longest name, RSA keys of 8192 bits, wrong passwords, not read",
            act: |s| {
                let mut v = s.at::<P>(Stage::Auth);
                v.reads = false;
                let name = vec![b'x'; s.limits.user_name];
                let mut modulus = vec![0xff; 1024];
                modulus.insert(0, 0);
                let mut rsa = Vec::new();
                for part in [&b"ssh-rsa"[..], &[1, 0, 1], &modulus] {
                    rsa.extend_from_slice(&u32::try_from(part.len()).expect("short").to_be_bytes());
                    rsa.extend_from_slice(part);
                }
                for n in 0..s.limits.auth_probes {
                    let ed25519 = key_blob(&[n as u8; 32]);
                    let (algorithm, key) = if n == 0 {
                        ("ssh-ed25519", &ed25519)
                    } else {
                        ("rsa-sha2-512", &rsa)
                    };
                    v.send(&UserauthRequest {
                        user_name: &name,
                        service_name: "ssh-connection",
                        method: AuthMethod::Publickey {
                            algorithm,
                            key,
                            signature: None,
                        },
                    });
                }
                let wrong = vec![b'x'; s.limits.packet_before_auth - 200];
                for _ in 1..s.limits.auth_failures {
                    v.raw.payload(&password(&wrong));
                    v.deliver();
                }
                assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
                v
            },
        });
    }
    peers
}

const CHOSEN: KexAlgorithm = KexAlgorithm::DiffieHellmanGroupExchangeSha256;
const FIXED: KexAlgorithm = KexAlgorithm::DiffieHellmanGroup18Sha512;
const RSA: KexAlgorithm = KexAlgorithm::Rsa2048Sha256;

/// Keys are exchanged, behind a KEXINIT of which nothing is read.
fn in_the_largest<P: Decides>(v: Victim<P>, s: &Setup<'_>) -> Victim<P> {
    let mut v = v.up_to(Stage::KexInit);
    v.raw.offer.lists = lists(&v.raw.offer.lists, s.limits.packet_before_auth - 1000);
    v.raw.kexinit();
    v.deliver();
    v.agree();
    assert!(v.raw.has_agreed(), "{:?}", v.app.ended);
    assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
    v
}

/// Name-lists of `size` bytes together, each with the names that are there in front.
fn lists(proper: &[String; 10], size: usize) -> [String; 10] {
    let mut n = 0_u64;
    std::array::from_fn(|at| {
        let mut list = proper[at].clone();
        while list.len() + 66 < size / 10 {
            if !list.is_empty() {
                list.push(',');
            }
            list += &format!("{n:x<60}");
            n += 1;
        }
        list
    })
}

// --- after authentication -----------------------------------------------------------------------

/// Output at its cap: data to the mark, replies above it.
fn fill<P: Decides>(v: &mut Victim<P>, s: &Setup<'_>) {
    v.channel();
    v.reads = false;
    let channel = v.app.channels[0];
    v.act(|peer, _| {
        let mut handle = peer.channel(channel).expect("open");
        handle.set_interactive().expect("open");
        while handle.send(&[7; 32 * 1024]).expect("open") > 0 {}
    });
    flood(v, s);
}

/// Replies, until one more might be one too many.
fn flood<P: Decides>(v: &mut Victim<P>, s: &Setup<'_>) {
    let room = s
        .limits
        .control
        .max(s.limits.maximum_packet as usize + 16 * 1024);
    let stall = s.limits.output + room - s.limits.maximum_packet as usize;
    while v.waiting() + 100 < stall {
        v.send(&ALIVE);
        assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
    }
    assert!(matches!(v.wants(), Wants::Bytes(_)), "{:?}", v.wants());
}

fn half_a_packet<P: Decides>(v: &mut Victim<P>, s: &Setup<'_>) {
    v.raw.payload(&ignore(s.limits.packet));
    v.deliver_all_but(1);
    assert_eq!(v.wants(), Wants::Bytes(1));
}

pub(crate) fn after_auth<P: Decides>() -> Vec<Hostile<P>> {
    vec![
        Hostile {
            name: "idle, one channel",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                v.channel();
                v
            },
        },
        Hostile {
            name: "half a packet",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                half_a_packet(&mut v, s);
                v
            },
        },
        Hostile {
            name: "X4 X10: output at its cap, not read, half a packet",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                fill(&mut v, s);
                half_a_packet(&mut v, s);
                v
            },
        },
        Hostile {
            name: "the same, and the largest reply",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                fill(&mut v, s);
                v.send(&Ping {
                    data: &vec![7; s.limits.maximum_packet as usize],
                });
                assert_eq!(v.wants(), Wants::Output);
                v
            },
        },
        Hostile {
            name: "R1 R3: new keys asked for, output and what is held at their caps, half a packet",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                fill(&mut v, s);
                v.act(|peer, _| peer.rekey().expect("connected"));
                hold(&mut v, s);
                half_a_packet(&mut v, s);
                v
            },
        },
        Hostile {
            name: "the same, with the exchange brought to its end",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                fill(&mut v, s);
                v.act(|peer, _| peer.rekey().expect("connected"));
                hold(&mut v, s);
                v.raw.offer.lists = lists(&v.raw.offer.lists, s.limits.packet_before_auth - 1000);
                v.raw.kexinit();
                v.deliver();
                v.raw.method();
                v.deliver();
                v.raw.newkeys();
                v.deliver();
                assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
                v
            },
        },
        Hostile {
            name: "the same, in the largest group",
            act: |s| {
                let mut v = s.speaking::<P>(CHOSEN).up_to(Stage::Connected);
                fill(&mut v, s);
                v.act(|peer, _| peer.rekey().expect("connected"));
                hold(&mut v, s);
                v.raw.offer.lists = lists(&v.raw.offer.lists, s.limits.packet_before_auth - 1000);
                v.raw.kexinit();
                v.deliver();
                v.agree();
                v.raw.newkeys();
                v.deliver();
                assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
                v
            },
        },
        Hostile {
            name: "N1 R3: the largest KEXINIT, output at its cap, then silence",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                fill(&mut v, s);
                v.raw.offer.lists = lists(&v.raw.offer.lists, s.limits.packet_before_auth - 1000);
                v.raw.kexinit();
                v.deliver();
                assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
                let channel = v.app.channels[0];
                for _ in 0..1000 {
                    v.act(|peer, _| {
                        let mut handle = peer.channel(channel).expect("open");
                        assert_eq!(handle.send(&[1; 1000]), Ok(0));
                        let _ = handle.signal(b"USR1");
                    });
                }
                v
            },
        },
        Hostile {
            name: "a KEXINIT of the largest packet",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                v.raw.offer.lists = lists(&v.raw.offer.lists, s.limits.packet - 1000);
                v.raw.kexinit();
                v.deliver();
                let too_long = s.limits.packet > s.limits.packet_before_auth + 3000;
                assert_eq!(v.app.ended.is_some(), too_long);
                v
            },
        },
        Hostile {
            name: "output read at once, grown before, half a packet",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                fill(&mut v, s);
                v.send(&Ping {
                    data: &vec![7; s.limits.maximum_packet as usize],
                });
                v.reads = true;
                v.act(|_, _| {});
                half_a_packet(&mut v, s);
                v
            },
        },
        Hostile {
            name: "all channels, each window full and unread, output at its cap",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                let mut granted = Vec::new();
                for _ in 0..s.limits.channels {
                    granted.push(v.channel());
                }
                let most = s.limits.maximum_packet.min(32 * 1024);
                for (channel, mut left) in (0_u32..).zip(granted) {
                    while left > 0 {
                        let n = left.min(most);
                        v.raw.message(&ChannelData {
                            recipient_channel: channel,
                            data: &vec![7; n as usize],
                        });
                        left -= n;
                    }
                    v.deliver();
                }
                assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
                v.reads = false;
                flood(&mut v, s);
                half_a_packet(&mut v, s);
                v
            },
        },
        Hostile {
            name: "P13: all tickets out, for the longest texts, replies behind them, output at its cap",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                fill(&mut v, s);
                v.app.defers = true;
                let text = vec![b'x'; s.limits.packet - 200];
                for n in 0..s.limits.tickets {
                    match (P::ROLE, n % 3) {
                        (Role::Server, 0) => {
                            v.send(&request(ChannelRequestType::Exec { command: &text }))
                        }
                        (Role::Server, 1) => v.send(&request(ChannelRequestType::Env {
                            variable_name: b"LANG",
                            variable_value: &text,
                        })),
                        (Role::Server, _) => v.send(&GlobalRequest {
                            want_reply: true,
                            request: GlobalRequestType::Unknown {
                                name: "x",
                                data: &text,
                            },
                        }),
                        (Role::Client, _) => v.send(&request(ChannelRequestType::Unknown {
                            name: "x",
                            data: &text,
                        })),
                    }
                }
                let out = v.app.requests.len() + v.app.globals.len();
                assert_eq!(out, s.limits.tickets);
                for _ in 0..3 * s.limits.tickets {
                    v.send(&request(ChannelRequestType::Keepalive));
                }
                assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
                half_a_packet(&mut v, s);
                v
            },
        },
        Hostile {
            name: "X10: answers that pile up behind one that is deferred",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                fill(&mut v, s);
                let unknown = ChannelRequestType::Unknown {
                    name: "x",
                    data: b"",
                };
                v.app.defers = true;
                v.send(&request(unknown));
                v.app.defers = false;
                for _ in 0..100_000 {
                    v.send(&request(unknown));
                    if v.app.ended.is_some() {
                        return v;
                    }
                }
                panic!("no bound");
            },
        },
        Hostile {
            name: "X8: 20,000 channels refused",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                for _ in 0..20_000 {
                    v.send(&ChannelOpen {
                        sender_channel: 1,
                        initial_window_size: 1,
                        maximum_packet_size: 1,
                        channel_type: ChannelOpenType::ForwardedTcpip {
                            connected_address: b"",
                            connected_port: 1,
                            originator_ip_address: b"",
                            originator_port: 1,
                        },
                    });
                }
                assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
                v
            },
        },
    ]
}

const fn request(request: ChannelRequestType<'_>) -> ChannelRequest<'_> {
    ChannelRequest {
        recipient_channel: 0,
        want_reply: true,
        request,
    }
}

// --- with compression -----------------------------------------------------------------------------

/// What cannot be made any smaller.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SeededRandom::new(seed).fill(&mut bytes);
    bytes
}

/// IGNORE that inflates to so many bytes.
fn inflates_to<P: Decides>(v: &mut Victim<P>, size: usize) {
    v.send(&Ignore {
        data: &vec![7; size - 5],
    });
    assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
}

/// As [`fill`], with data that is not smaller when it is compressed.
fn fill_with_noise<P: Decides>(v: &mut Victim<P>, s: &Setup<'_>) {
    v.channel();
    v.reads = false;
    let channel = v.app.channels[0];
    let data = noise(32 * 1024, 1);
    v.act(|peer, _| {
        let mut handle = peer.channel(channel).expect("open");
        handle.set_interactive().expect("open");
        while handle.send(&data).expect("open") > 0 {}
    });
    flood(v, s);
}

/// Half of the largest packet, whatever it would inflate to.
fn half_of_any<P: Decides>(v: &mut Victim<P>, size: usize) {
    v.raw.packed(&noise(size - 45, 2));
    v.deliver_all_but(1);
    assert_eq!(v.wants(), Wants::Bytes(1));
}

/// Before authentication, where it begins before.
pub(crate) fn compressed_before_auth<P: Decides>() -> Vec<Hostile<P>> {
    vec![Hostile {
        name: "Z1: packets that inflate to the limit, replies not read, half a packet",
        act: |s| {
            let mut v = s.at::<P>(Stage::Auth);
            inflates_to(&mut v, s.limits.packet_before_auth);
            v.reads = false;
            while matches!(v.wants(), Wants::Bytes(_)) {
                if v.waiting() + 80 > s.limits.packet_before_auth {
                    break;
                }
                v.raw.payload(&[200]);
                v.deliver();
                assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
            }
            half_of_any(&mut v, s.limits.packet_before_auth);
            v
        },
    }]
}

pub(crate) fn compressed_after_auth<P: Decides>() -> Vec<Hostile<P>> {
    vec![
        Hostile {
            name: "idle, one channel",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                v.channel();
                v
            },
        },
        Hostile {
            name: "Z1: packets that inflate to the limit, output at its cap, half a packet",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                inflates_to(&mut v, s.limits.inflated);
                fill_with_noise(&mut v, s);
                half_of_any(&mut v, s.limits.packet);
                v
            },
        },
        Hostile {
            name: "the same, and the largest reply",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                inflates_to(&mut v, s.limits.inflated);
                fill_with_noise(&mut v, s);
                v.send(&Ping {
                    data: &noise(s.limits.maximum_packet as usize, 3),
                });
                assert_eq!(v.wants(), Wants::Output);
                v
            },
        },
        Hostile {
            name: "R1 R3: the same, with new keys asked for and what is held at its cap",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                inflates_to(&mut v, s.limits.inflated);
                fill_with_noise(&mut v, s);
                v.act(|peer, _| peer.rekey().expect("connected"));
                hold(&mut v, s);
                half_of_any(&mut v, s.limits.packet);
                v
            },
        },
        Hostile {
            name: "R8: the same, with the exchange brought to its end",
            act: |s| {
                let mut v = s.at::<P>(Stage::Connected);
                inflates_to(&mut v, s.limits.inflated);
                fill_with_noise(&mut v, s);
                v.act(|peer, _| peer.rekey().expect("connected"));
                hold(&mut v, s);
                v.raw.kexinit();
                v.deliver();
                v.raw.method();
                v.deliver();
                v.raw.newkeys();
                v.deliver();
                assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
                v
            },
        },
    ]
}

/// As many of the shortest answers as may be held.
fn hold<P: Decides>(v: &mut Victim<P>, s: &Setup<'_>) {
    for _ in 0..s.limits.held / 16 {
        v.raw.payload(&[200]);
    }
    v.deliver();
    assert!(v.app.ended.is_none(), "{:?}", v.app.ended);
}
