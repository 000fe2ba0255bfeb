//! What a peer or a secret's owner wrote must not act where it is shown, or be shown at all: rows J1,
//! J2, J3 and Q8.

use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use ssh_blocking::{ConnectOptions, FixedUsers, HostKeys, Login, ServerOptions, Trust};
use ssh_keys::{KeyPair, SigningKey};
use ssh_proto::client::{Credential, Probe};
use ssh_proto::config::{ClientConfig, HostKey, ServerConfig};
use ssh_proto::key::PrivateKey;
use ssh_proto::message::{
    AuthMethod, ChannelOpenFailure, ChannelOpenFailureReason, ChannelRequest, ChannelRequestType,
    DebugMessage, Disconnect, DisconnectReason, ExtInfo, Extension, GlobalRequest,
    GlobalRequestType, List, UserauthBanner, UserauthRequest, Wire,
};
use ssh_proto::{Client, RecvBuf, Server};
use ssh_testkit::raw::{Bench, Stage, Subject};
use ssh_testkit::rng::SeededRandom;

/// Everything that does something to a terminal or a log, as far as the field may hold it.
const NASTY: &[u8] = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\n2026-01-01 root logged in\t\u{202e}\u{200b}\u{9b}1m\u{2028}\u{0}"
    .as_bytes();

#[track_caller]
fn harmless(shown: &str) {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!shown.contains(acts), "{shown:?}");
}

/// What the application saw, and what it would write into a log.
#[track_caller]
fn all_harmless<P: Subject + Debug>(bench: &Bench<P>) {
    for line in &bench.seen.log.0 {
        harmless(line);
    }
    if let Some(end) = &bench.seen.end {
        harmless(&end.to_string());
        harmless(&format!("{end:?}"));
    }
    harmless(&format!("{:?}", bench.peer));
    if let Some(line) = bench.peer.peer_identification() {
        harmless(&line.to_string());
        harmless(&format!("{line:?}"));
    }
    if let Some(negotiated) = bench.peer.negotiated() {
        harmless(&format!("{negotiated:?}"));
    }
}

/// In every field of text that either side has, before and after authentication.
#[test]
fn j2_j3_whatever_a_peer_says_is_shown_on_one_line_without_effect() {
    fn transport<P: Subject + Debug>() {
        for stage in [Stage::Service, Stage::Auth, Stage::Connected] {
            let mut bench = Bench::<P>::at(stage, true);
            bench.message(&DebugMessage {
                always_display: true,
                message: NASTY,
                language_tag: NASTY,
            });
            bench.message(&Disconnect {
                reason_code: DisconnectReason::BY_APPLICATION,
                description: NASTY,
                language_tag: NASTY,
            });
            assert!(bench.seen.end.is_some());
            all_harmless(&bench);
        }
        // The software version is the peer's own words up to the end of the line.
        let mut bench = Bench::<P>::new(true);
        bench.turn();
        bench.raw.line = b"SSH-2.0-x \xff\xfe\xe2\x80\xae\xc2\x9b1m".to_vec();
        bench.raw.identify();
        bench.turn();
        all_harmless(&bench);
        // Names that are in no list of ours.
        let mut bench = Bench::<P>::at(Stage::KexInit, true);
        bench.raw.offer.lists[2] = "x\\[2J,$(reboot),`id`".to_owned();
        bench.raw.kexinit();
        bench.turn();
        assert!(bench.seen.end.is_some());
        all_harmless(&bench);
    }
    transport::<Client>();
    transport::<Server>();

    let mut server = Bench::<Server>::at(Stage::Auth, true);
    for method in [
        AuthMethod::None,
        AuthMethod::Password {
            password: NASTY,
            new_password: Some(NASTY),
        },
        AuthMethod::Unknown {
            name: "nasty@example.com",
            data: NASTY,
        },
    ] {
        server.message(&UserauthRequest {
            user_name: NASTY,
            service_name: "ssh-connection",
            method,
        });
    }
    assert!(server.seen.log.has("Auth(None"));
    all_harmless(&server);

    let mut client = Bench::<Client>::at(Stage::Service, true);
    let extensions = [Extension {
        name: "nasty@example.com",
        value: NASTY,
    }];
    client.message(&ExtInfo {
        extensions: List::new(&extensions),
    });
    client.proper(Stage::Service);
    client.turn();
    client.message(&UserauthBanner {
        message: NASTY,
        language_tag: NASTY,
    });
    client.proper(Stage::Auth);
    client.turn();
    client.peer.open_session().expect("connected");
    client.turn();
    client.message(&ChannelOpenFailure {
        recipient_channel: 0,
        reason_code: ChannelOpenFailureReason::CONNECT_FAILED,
        description: NASTY,
        language_tag: NASTY,
    });
    for request in [
        GlobalRequestType::Unknown {
            name: "nasty@example.com",
            data: NASTY,
        },
        GlobalRequestType::Keepalive,
    ] {
        client.message(&GlobalRequest {
            want_reply: true,
            request,
        });
    }
    client.lives(&"nasty");
    assert!(client.seen.log.has("Banner") && client.seen.log.has("OpenFailed"));
    all_harmless(&client);

    let mut server = Bench::<Server>::at(Stage::Connected, true);
    server.message(&ssh_proto::message::ChannelOpen {
        sender_channel: 0,
        initial_window_size: 1000,
        maximum_packet_size: 1000,
        channel_type: ssh_proto::message::ChannelOpenType::Session,
    });
    for request in [
        ChannelRequestType::Exec { command: NASTY },
        ChannelRequestType::Env {
            variable_name: NASTY,
            variable_value: NASTY,
        },
        ChannelRequestType::Subsystem {
            subsystem_name: NASTY,
        },
        ChannelRequestType::Signal { signal_name: NASTY },
        ChannelRequestType::Unknown {
            name: "nasty@example.com",
            data: NASTY,
        },
    ] {
        server.message(&ChannelRequest {
            recipient_channel: 0,
            want_reply: true,
            request,
        });
    }
    server.lives(&"nasty");
    assert!(server.seen.log.0.len() > 5, "{:#?}", server.seen.log);
    all_harmless(&server);
}

/// No host, user, command or path can reach a shell: none is ever started. What runs programs is an
/// example, and the tests.
#[test]
fn j1_no_library_starts_a_program() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = 0;
    for name in [
        "ssh-proto",
        "ssh-keys",
        "ssh-client",
        "ssh-server",
        "ssh-driver",
        "ssh-blocking",
        "ssh-tokio",
    ] {
        let mut dirs = vec![crates.join(name).join("src")];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    dirs.push(path);
                    continue;
                }
                let source = fs::read_to_string(&path).expect("a source");
                for word in [
                    "process::Command",
                    "Command::new",
                    "/bin/",
                    "libc::exec",
                    "posix_spawn",
                ] {
                    assert!(!source.contains(word), "{word} in {}", path.display());
                }
                files += 1;
            }
        }
    }
    assert!(files > 100, "{files}");
}

static MARK: &str = "hunter2-hunter2-hunter2-hunter2!";

/// Neither as text, nor as numbers, nor in hexadecimal.
#[track_caller]
fn keeps_quiet(value: &dyn Debug) {
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        let flat: String = shown.split_whitespace().collect();
        let lower = flat.to_lowercase();
        for word in [
            "hunter2",
            "104,117,110,116",
            "68756e746572",
            "68,75,6e,74",
            "0x68,0x75",
        ] {
            assert!(!lower.contains(word), "{word} in {shown}");
        }
    }
}

/// Every public type that holds a secret, and what contains one.
#[test]
fn q8_nothing_that_holds_a_secret_shows_it() {
    let seed: [u8; 32] = MARK.as_bytes().try_into().expect("32 bytes");
    let key = || PrivateKey::from_ed25519_seed(&seed);
    let scalar = || PrivateKey::from_ecdsa_p256_scalar(&seed).expect("a scalar");
    for key in [key(), scalar()] {
        keeps_quiet(&key);
        keeps_quiet(&Credential::PrivateKey(&key));
        let mut config = ServerConfig::default();
        config.host_keys = vec![HostKey::Private(Arc::new(key))];
        keeps_quiet(&config);
        keeps_quiet(&config.host_keys[0]);
        let server = Server::new(config, Box::new(SeededRandom::new(1))).expect("a server");
        keeps_quiet(&server);
    }
    keeps_quiet(&Credential::Password(MARK));
    keeps_quiet(&Credential::NewPassword {
        old: MARK,
        new: MARK,
    });
    keeps_quiet(&Credential::PublicKey {
        key: key().public_key().clone(),
        probe: Probe::First,
    });
    let password = MARK.as_bytes();
    for method in [
        AuthMethod::Password {
            password,
            new_password: None,
        },
        AuthMethod::Password {
            password,
            new_password: Some(password),
        },
    ] {
        keeps_quiet(&method);
        let request = UserauthRequest {
            user_name: b"alice",
            service_name: "ssh-connection",
            method,
        };
        keeps_quiet(&request);
        let mut payload = Vec::new();
        request.encode(&mut payload);
        keeps_quiet(&ssh_proto::message::Message::decode(
            &payload,
            Default::default(),
        ));
        // What a server tells its application, and what waits in the buffer.
        let mut bench = Bench::<Server>::at(Stage::Auth, true);
        bench.message(&request);
        assert!(bench.seen.log.has("Auth(Password"));
        keeps_quiet(&bench.seen.log);
        keeps_quiet(&bench.peer);
        keeps_quiet(&bench.rx);
    }
    keeps_quiet(&ChannelRequestType::X11Req {
        single_connection: true,
        x11_authentication_protocol: b"MIT-MAGIC-COOKIE-1",
        x11_authentication_cookie: password,
        x11_screen_number: 0,
    });
    let mut rx = RecvBuf::new();
    rx.push(password);
    keeps_quiet(&rx.batch());
    keeps_quiet(&rx);

    // A client that has shown a password.
    let mut bench = Bench::<Client>::with(ClientConfig::default(), true).up_to(Stage::Method);
    bench.proper(Stage::Method);
    bench.turn_with(|client, event, _| {
        keeps_quiet(&event);
        match event {
            ssh_proto::ClientEvent::HostKey { decision, .. } => {
                client.trust(decision).expect("mine")
            }
            ssh_proto::ClientEvent::Authenticate { token, .. } => {
                let shown = client.authenticate(token, "alice", Credential::Password(MARK));
                shown.expect("mine");
            }
            _ => {}
        }
        keeps_quiet(client);
    });
    // And the secrets that the peer by hand derived too are nowhere in what is printed.
    let shown = format!("{:?}", bench.peer);
    for secret in &bench.raw.secrets {
        let bytes = format!("{:?}", &secret[..8]);
        assert!(!shown.contains(bytes.trim_matches(['[', ']'])));
    }

    // Above the core.
    let signing = || SigningKey::ed25519(&seed);
    keeps_quiet(&signing());
    keeps_quiet(&KeyPair {
        private: signing(),
        comment: "mine".to_owned(),
    });
    let trust = || Trust::pinned([signing().public_key().fingerprint()]);
    let login = || {
        let login = Login::new("alice", trust()).key(signing());
        login.password(MARK.to_owned())
    };
    keeps_quiet(&login());
    keeps_quiet(&ConnectOptions::new(login()));
    keeps_quiet(&FixedUsers::new().with_password("alice", MARK.to_owned()));
    let keys = || HostKeys::new([signing()]).expect("a key");
    keeps_quiet(&keys());
    let users = |_| FixedUsers::new().with_password("alice", MARK.to_owned());
    keeps_quiet(&ServerOptions::new(keys(), users));
}
