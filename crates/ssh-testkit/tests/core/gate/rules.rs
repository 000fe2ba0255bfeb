//! What should become of every message in every state, written from the RFCs and not from the code.
//!
//! | word | what it stands for |
//! |---|---|
//! | `end 2` | the connection is given up and the peer is told with this reason |
//! | `end -` | given up without a word, since there is no protocol yet |
//! | `by peer` | the peer has ended it |
//! | `dead` | it had ended before, and nothing happens |
//! | `unimplemented` | answered with UNIMPLEMENTED and the number of the packet |
//! | `ignored` | nothing has changed |
//! | `ok` | taken, which shows only in what may come next |
//! | `later` | the same, after our NEWKEYS |
//! | `Data,Eof >93,97` | taken: events of the application, numbers of the messages that answer it |

use ssh_proto::Role;
use ssh_testkit::raw::{Family, Stage};

use super::states::State;

/// What a message is made of besides its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing.
    Empty,
    /// Bytes that are no body of any message.
    Junk,
    /// What the RFC says, with values that make sense in the state.
    Valid,
}

enum Fate {
    Refused,
    Unknown,
    /// Whatever is in it.
    Ignored,
    /// With a valid body this comes of it.
    Meant(&'static str),
}

use Fate::{Ignored, Meant, Refused, Unknown};

/// What should come of a message.
pub(super) fn expected(role: Role, state: State, strict: bool, n: u8, body: Body) -> String {
    if state.is_over() {
        return "dead".to_owned();
    }
    if let Some(answered) = state.answered(role) {
        return expected(role, answered, strict, n, body);
    }
    if state == State::Line {
        //= rfc4253#section-4.2
        //# The server MAY send other lines of data before sending the version string.
        let word = if role == Role::Client {
            "Notice"
        } else {
            "end -"
        };
        return word.to_owned();
    }
    let word = match fate(role, state, strict, n) {
        Refused => "end 2",
        Unknown if state == State::RekeyKexInit => "later unimplemented",
        Unknown => "unimplemented",
        Ignored => "ignored",
        Meant(word) if decodes(state, n, body) => word,
        Meant(_) => "end 2",
    };
    // Strict key exchange is agreed with KEXINIT, and then that must have been the first packet.
    let late =
        strict && state == State::KexInit && !word.starts_with("end") && (2..=4).contains(&n);
    if late {
        format!("{word}, then end 2")
    } else {
        word.to_owned()
    }
}

/// Whether this is a body of the message, to its last byte.
fn decodes(state: State, n: u8, body: Body) -> bool {
    match body {
        Body::Valid => true,
        // NEWKEYS, SUCCESS, REQUEST_FAILURE have none; REQUEST_SUCCESS takes any.
        Body::Empty => matches!(n, 21 | 52 | 81 | 82) || dropped(state, n),
        Body::Junk => n == 81 || dropped(state, n),
    }
}

/// The packet of a wrong guess is not looked at.
fn dropped(state: State, n: u8) -> bool {
    state == State::Guess && (30..=49).contains(&n)
}

fn fate(role: Role, state: State, strict: bool, n: u8) -> Fate {
    let due = state.due(role).filter(|_| state.stage() == Stage::Method);
    let first_exchange = due.is_some() || state == State::NewKeys;
    match n {
        0 => return Refused,
        1 => return Meant("by peer"),
        // draft-miller-sshm-strict-kex: nothing but the exchange until NEWKEYS.
        2..=4 if strict && first_exchange => return Refused,
        2 => return Meant("ignored"),
        3 => return Meant("Unimplemented"),
        4 => return Meant("Debug"),
        _ => {}
    }
    let server = role == Role::Server;
    match state {
        //= rfc4253#section-7.1
        //# Once a party has sent a SSH_MSG_KEXINIT message for key exchange or re-exchange, until
        //# it has sent a SSH_MSG_NEWKEYS message, it MUST NOT send any messages other than
        State::KexInit => match n {
            20 if server => Meant("Negotiated"),
            20 => Meant("Negotiated >30"),
            _ => Refused,
        },
        State::Guess if dropped(state, n) => Meant("ok"),
        State::Guess => Refused,
        State::Method => match n {
            30 if server => Meant(">31,21"),
            // The client has nothing to wait for: NEWKEYS, SERVICE_REQUEST and the first attempt.
            31 if !server => Meant("HostKey,Authenticate >21,5,50"),
            _ => Refused,
        },
        // RFC 4419 section 3 and RFC 4432 section 4. A request in the old form is not answered.
        State::GroupRequest if n == 34 => Meant(">31"),
        State::Group if n == 31 => Meant(">32"),
        State::GroupInit if n == 32 => Meant(">33,21"),
        State::GroupReply if n == 33 => Meant("HostKey,Authenticate >21,5,50"),
        State::RsaPubkey if n == 30 => Meant(">31"),
        State::RsaSecret if n == 31 => Meant(">32,21"),
        State::RsaDone if n == 32 => Meant("HostKey,Authenticate >21,5,50"),
        State::GroupRequest | State::Group | State::GroupInit | State::GroupReply => Refused,
        State::RsaPubkey | State::RsaSecret | State::RsaDone => Refused,
        State::AuthRekeyMethod | State::RekeyMethod => match n {
            30 if server => Meant(">31,21"),
            31 if !server => Meant(">21"),
            _ => Refused,
        },
        State::NewKeys | State::AuthRekeyNewKeys | State::RekeyNewKeys => match n {
            21 => Meant("KeysExchanged"),
            _ => Refused,
        },
        _ => between_exchanges(role, state, n),
    }
}

/// Keys are in use, and the peer has not sent KEXINIT.
fn between_exchanges(role: Role, state: State, n: u8) -> Fate {
    let server = role == Role::Server;
    // Who may send what: RFC 4253 section 12, RFC 4252 section 6, RFC 8308 section 3.2.
    let of_clients = matches!(n, 5 | 8 | 50 | 61);
    let of_servers = matches!(n, 6 | 51..=53 | 60);
    if (server && of_servers) || (!server && of_clients) {
        return Refused;
    }
    let service = state == State::Service;
    let connected = is_connected(state);
    match n {
        20 => match (server, connected) {
            // Nobody who has not logged in may have keys exchanged on the server's time.
            (true, false) => Refused,
            (true, true) if state == State::RekeyKexInit => Meant("Negotiated"),
            (true, true) => Meant("Negotiated >20"),
            (false, _) if state == State::RekeyKexInit => Meant("Negotiated >30"),
            (false, _) => Meant("Negotiated >20,30"),
        },
        21 | 30..=49 => Refused,
        // Once granted, the service may be asked for again before each attempt.
        5 if !connected => Meant(">6"),
        6 if service => Meant("ok"),
        5 | 6 => Refused,
        //= rfc8308#section-2.4
        //# As the next packet following the client's first SSH_MSG_NEWKEYS.
        7 if service => Meant("ExtInfo"),
        // Of a server also directly before SUCCESS.
        7 if !server && !connected => Meant("ExtInfo"),
        7 => Refused,
        //= rfc4252#section-5.1
        //# any further authentication requests received after that SHOULD be silently ignored.
        50 if connected => Ignored,
        50..=79 if service || connected => Refused,
        50..=79 => authentication(role, state, n),
        //= rfc4252#section-6
        //# Receiving them before authentication is complete is an error, to which the server MUST
        //# respond by disconnecting
        80..=127 if !connected => Refused,
        80..=127 => connection(role, state, n),
        192 if state == State::RekeyKexInit => Meant("later >193"),
        192 if connected => Meant(">193"),
        193 if connected => Meant("Pong"),
        //= rfc4253#section-11.4
        //# An implementation MUST respond to all unrecognized messages with an
        //# SSH_MSG_UNIMPLEMENTED message
        _ => Unknown,
    }
}

fn authentication(role: Role, state: State, n: u8) -> Fate {
    if role == Role::Server {
        return match n {
            50 if matches!(state, State::Invited | State::Partial) => Meant("KeyProven >52"),
            50 => Meant("Password >52"),
            // No method that asks back is offered.
            61 => Refused,
            _ => Unknown,
        };
    }
    match n {
        51 => Meant("Authenticate >50"),
        // An offer alone lets nobody in.
        52 if state == State::Offered => Refused,
        52 => Meant("Authenticated"),
        53 => Meant("Banner"),
        // What it means depends on what was tried.
        60 if state == State::Password => Meant("Authenticate >50"),
        60 if state == State::Offered => Meant("Sign >50"),
        60 => Refused,
        _ => Unknown,
    }
}

fn connection(role: Role, state: State, n: u8) -> Fate {
    // Between our KEXINIT and our NEWKEYS answers wait.
    let held = state == State::RekeyKexInit;
    let answer = |now, later| Meant(if held { later } else { now });
    let closing = state == State::Closing;
    let has_channel = is_open(state);
    match n {
        80 => answer("Global >81", "Global, later >81"),
        // Nobody answers what was not asked.
        81 if state == State::Asked => Meant("Success"),
        82 if state == State::Asked => Meant("Failure"),
        81 | 82 => Refused,
        90 => answer("OpenRequest >91", "OpenRequest, later >91"),
        91 if state == State::Opening => Meant("Opened"),
        92 if state == State::Opening => Meant("OpenFailed"),
        91 | 92 => Refused,
        99 | 100 if state == State::Asked => Meant("Reply"),
        99 | 100 => Refused,
        //= rfc4254#section-5.1
        // A channel is there from its confirmation on.
        93..=98 if !has_channel => Refused,
        // After our CLOSE the peer may not know of it yet; after our EOF credit is of no use.
        93..=96 | 98 if closing => Meant("ignored"),
        93 if state == State::OurEof => Meant("ignored"),
        93 => Meant("ok"),
        //= rfc4254#section-5.3
        //# When a party will no longer send more data to a channel, it SHOULD send
        //# SSH_MSG_CHANNEL_EOF.
        94..=96 if state == State::TheirEof => Refused,
        94 | 95 => Meant("Data"),
        96 => Meant("Eof"),
        97 if closing => Meant("Closed"),
        97 => answer("Closed >97", "Closed, later >97"),
        98 if role == Role::Client => Meant("ExitStatus"),
        98 => answer("Request >99", "Request, later >99"),
        _ => Unknown,
    }
}

const fn is_open(state: State) -> bool {
    matches!(
        state,
        State::Open
            | State::Asked
            | State::OurEof
            | State::TheirEof
            | State::Closing
            | State::RekeyKexInit
    )
}

const fn is_connected(state: State) -> bool {
    is_open(state) || matches!(state, State::Connected | State::Ticket | State::Opening)
}

/// What may leave a connection: the numbers that it sent from its beginning, in order.
pub(super) fn may_send(
    role: Role,
    state: State,
    sent: &[u8],
    authenticated: bool,
) -> Result<(), String> {
    let server = role == Role::Server;
    let of_method: &[u8] = match (Family::of(state.kex().name()), server) {
        (Family::Curve | Family::Fixed, false) => &[30],
        (Family::Curve | Family::Fixed, true) => &[31],
        (Family::GroupExchange, false) => &[34, 32],
        (Family::GroupExchange, true) => &[31, 33],
        (Family::Rsa, false) => &[31],
        (Family::Rsa, true) => &[30, 32],
    };
    let (mut exchanging, mut keys, mut granted) = (false, false, false);
    for (at, n) in sent.iter().enumerate() {
        let wrong = |why| Err(format!("sent {n} at {at}: {why}: {sent:?}"));
        if at == 0 && *n != 20 {
            return wrong("KEXINIT goes first");
        }
        if sent[..at].contains(&1) {
            return wrong("after DISCONNECT");
        }
        let of_servers = matches!(n, 6 | 51..=53 | 60);
        let of_clients = matches!(n, 5 | 8 | 50 | 61);
        if server && of_clients || !server && of_servers {
            return wrong("it is the peer's to send");
        }
        match n {
            1..=4 => {}
            20 if exchanging => return wrong("twice"),
            20 => exchanging = true,
            30..=49 if exchanging && of_method.contains(n) => {}
            21 if exchanging => (exchanging, keys) = (false, true),
            //= rfc4253#section-7.1
            _ if exchanging => return wrong("between KEXINIT and NEWKEYS"),
            _ if !keys => return wrong("in clear"),
            5..=7 | 50..=53 | 60 | 61 => granted |= *n == 52,
            80..=82 | 90..=100 | 192 | 193 => {
                let may = if server { granted } else { authenticated };
                if !may {
                    return wrong("before SUCCESS");
                }
            }
            _ => return wrong("no such message"),
        }
    }
    Ok(())
}
