//! A peer that holds the keys and keeps no rules.
//!
//! [`Raw`] speaks the transport by hand: nothing is sent that the test does not send, in whatever
//! order. It shares the message codec with `ssh-proto` and nothing else: packets, exchange hash, key
//! derivation and signatures are written anew here on other primitives, so that whenever a
//! connection comes up two implementations have agreed. One suite: `curve25519-sha256`,
//! `ssh-ed25519`, `aes256-gcm@openssh.com`; compression, where it is offered, is that of zlib-rs.
//!
//! [`Bench`] puts one under each nose: a client or a server of `ssh-proto` is brought to a
//! [`Stage`] and then sent something. [`Middle`] puts two of them between a client and a server.

mod bench;
mod duel;
mod feeding;
mod meddler;
mod middle;
mod packet;
mod packing;

pub use bench::{Bench, Seen, Stage, Subject, with_seed};
use curve25519_dalek::montgomery::MontgomeryPoint;
pub use duel::{Duel, Fighter};
pub use feeding::in_every_way;
pub use flate2::FlushCompress;
pub use meddler::{Change, Meddler};
pub use middle::{Leg, Middle};
pub use packet::{Framing, Gcm};
use packing::Packing;
use ring::signature::{Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use sha2::{Digest, Sha256};
use ssh_proto::Role;
use ssh_proto::message::{KexEcdhInit, KexEcdhReply, KexInit, NewKeys, Wire, number};
use ssh_proto::wire::{NameList, Reader, Sink};

/// The seed of the host key of a raw server.
const HOST_KEY: [u8; 32] = [1; 32];

/// What a raw peer's KEXINIT says.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The ten name-lists, in order.
    pub lists: [String; 10],
    /// `first_kex_packet_follows`.
    pub follows: bool,
    /// The field that is reserved.
    pub reserved: u32,
}

impl Offer {
    /// The one suite, with the markers of `role`; strict key exchange if wanted.
    pub fn new(role: Role, strict: bool) -> Self {
        let c = match role {
            Role::Client => 'c',
            Role::Server => 's',
        };
        let mut kex = "curve25519-sha256".to_owned();
        if strict {
            kex += &format!(",kex-strict-{c}-v00@openssh.com");
        }
        let lists = [
            &kex,
            "ssh-ed25519",
            "aes256-gcm@openssh.com",
            "aes256-gcm@openssh.com",
            "hmac-sha2-256",
            "hmac-sha2-256",
            "none",
            "none",
            "",
            "",
        ];
        Self {
            lists: lists.map(str::to_owned),
            follows: false,
            reserved: 0,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut payload = vec![number::SSH_MSG_KEXINIT];
        payload.extend_from_slice(&[0xc0; 16]);
        for list in &self.lists {
            payload.put_string(list.as_bytes());
        }
        payload.put_boolean(self.follows);
        payload.put_u32(self.reserved);
        payload
    }
}

/// What is in an ECDH_REPLY.
#[derive(Clone, Debug)]
pub struct Reply {
    /// K_S.
    pub host_key: Vec<u8>,
    /// Q_S.
    pub server_public: Vec<u8>,
    /// The signature over the exchange hash.
    pub signature: Vec<u8>,
}

/// Changes a [`Reply`].
pub type Edit = Box<dyn Fn(&mut Reply)>;

/// The keys of one exchange, until both sides use them.
struct Keys {
    sealing: Option<Gcm>,
    opening: Option<Gcm>,
}

/// A peer by hand.
pub struct Raw {
    /// Which side it plays.
    pub role: Role,
    /// What its next KEXINIT says.
    pub offer: Offer,
    /// Every payload that came, in order.
    pub got: Vec<Vec<u8>>,
    /// Its identification line, without the end of line.
    pub line: Vec<u8>,
    /// The seed of its host key.
    pub host_key: [u8; 32],
    /// The number of the next packet that it sends.
    pub send_seq: u32,
    /// The number of the next packet that comes.
    pub recv_seq: u32,
    /// The last payload that it sent.
    pub last: Vec<u8>,
    /// Signs something else than the exchange hash.
    pub lies: bool,
    /// What becomes of the payloads that it sends.
    pub meddler: Option<Meddler>,
    /// K and what was derived from it by the letters A to F, of each exchange so far.
    pub secrets: Vec<[u8; 32]>,
    /// Changes what a server's ECDH_REPLY says, after it was signed.
    pub edit: Option<Edit>,
    /// How a compressed packet ends.
    pub flush: FlushCompress,
    packing: Packing,
    out: Vec<u8>,
    input: Vec<u8>,
    their_line: Option<Vec<u8>>,
    our_kexinit: Vec<u8>,
    their_kexinit: Option<Vec<u8>>,
    their_public: Option<[u8; 32]>,
    secret: [u8; 32],
    strict: Option<bool>,
    session_id: Option<[u8; 32]>,
    keys: Option<Keys>,
    sealing: Option<Gcm>,
    opening: Option<Gcm>,
}

impl Raw {
    /// A peer that has said nothing yet.
    pub fn new(role: Role, strict: bool) -> Self {
        Self {
            role,
            offer: Offer::new(role, strict),
            got: Vec::new(),
            line: b"SSH-2.0-raw".to_vec(),
            host_key: HOST_KEY,
            send_seq: 0,
            recv_seq: 0,
            last: Vec::new(),
            lies: false,
            meddler: None,
            secrets: Vec::new(),
            edit: None,
            flush: FlushCompress::Partial,
            packing: Packing::new(),
            out: Vec::new(),
            input: Vec::new(),
            their_line: None,
            our_kexinit: Vec::new(),
            their_kexinit: None,
            their_public: None,
            secret: [0x5e; 32],
            strict: None,
            session_id: None,
            keys: None,
            sealing: None,
            opening: None,
        }
    }

    /// The session identifier.
    pub const fn session_id(&self) -> Option<[u8; 32]> {
        self.session_id
    }

    /// Whether both sides keep strict key exchange.
    pub fn is_strict(&self) -> bool {
        self.strict == Some(true)
    }

    /// What is to be delivered.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Sends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Sends the identification line.
    pub fn identify(&mut self) {
        let line = [&self.line[..], b"\r\n"].concat();
        self.bytes(&line);
    }

    /// Sends a payload in a packet of its own.
    pub fn payload(&mut self, payload: &[u8]) {
        let Some(meddler) = &mut self.meddler else {
            return self.framed(payload, Framing::Proper);
        };
        for payload in meddler.pass(payload) {
            self.framed(&payload, Framing::Proper);
        }
    }

    /// Sends a message.
    pub fn message<'m, M: Wire<'m>>(&mut self, message: &M) {
        let mut payload = Vec::new();
        message.encode(&mut payload);
        self.payload(&payload);
    }

    /// Sends a payload in a packet that breaks a rule, protected as it should be.
    pub fn framed(&mut self, payload: &[u8], framing: Framing) {
        self.last = payload.to_vec();
        let packed = self.packing.pack(payload, self.flush);
        self.sealed(&packed, framing);
        self.packing.sent(payload, self.role, &self.offer.lists);
    }

    /// Sends what a payload was compressed to, right or wrong. The stream of this side knows nothing of
    /// it.
    pub fn packed(&mut self, packed: &[u8]) {
        self.sealed(packed, Framing::Proper);
    }

    fn sealed(&mut self, packed: &[u8], framing: Framing) {
        let packet = packet::seal(packed, framing, self.sealing.as_mut());
        self.out.extend_from_slice(&packet);
        self.send_seq = self.send_seq.wrapping_add(1);
    }

    /// Sends KEXINIT.
    pub fn kexinit(&mut self) {
        self.our_kexinit = self.offer.encode();
        self.payload(&self.our_kexinit.clone());
        self.decide_strict();
    }

    /// Sends the message of the method: ECDH_INIT of a client, ECDH_REPLY of a server.
    ///
    /// # Panics
    ///
    /// On a server, if no ECDH_INIT has come.
    pub fn method(&mut self) {
        match self.role {
            Role::Client => {
                let client_public = self.public();
                self.message(&KexEcdhInit {
                    client_public: &client_public,
                });
            }
            Role::Server => self.reply(),
        }
    }

    /// Sends NEWKEYS and uses the new key, if there is one.
    pub fn newkeys(&mut self) {
        self.message(&NewKeys);
        if let Some(key) = self.keys.as_mut().and_then(|keys| keys.sealing.take()) {
            self.sealing = Some(key);
            if self.is_strict() {
                self.send_seq = 0;
            }
        }
        self.forget_if_done();
    }

    /// Takes what the other side sent.
    ///
    /// # Panics
    ///
    /// If it cannot be opened: the two implementations disagree.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        if self.their_line.is_none() {
            let Some(end) = self.input.iter().position(|&b| b == b'\n') else {
                return;
            };
            let line: Vec<u8> = self.input.drain(..=end).collect();
            self.their_line = Some(line[..end - 1].to_vec());
        }
        while let Some(payload) = packet::open(&mut self.input, self.opening.as_mut()) {
            self.recv_seq = self.recv_seq.wrapping_add(1);
            let payload = self.packing.unpack(payload);
            self.follow(&payload);
            self.packing
                .received(&payload, self.role, &self.offer.lists);
            self.got.push(payload);
        }
    }

    /// The message numbers that came, from `from` on.
    pub fn numbers(&self, from: usize) -> Vec<u8> {
        self.got[from..].iter().map(|payload| payload[0]).collect()
    }

    /// What `user` must sign to log in with its key over this session (RFC 4252 section 7).
    pub fn host_key_blob(&self) -> Vec<u8> {
        key_blob(&self.host_key)
    }

    fn public(&self) -> [u8; 32] {
        MontgomeryPoint::mul_base_clamped(self.secret).to_bytes()
    }

    /// Keeps up with the key exchange.
    fn follow(&mut self, payload: &[u8]) {
        match payload[0] {
            number::SSH_MSG_KEXINIT => {
                self.their_kexinit = Some(payload.to_vec());
                self.decide_strict();
            }
            number::SSH_MSG_KEX_ECDH_INIT => {
                let init = KexEcdhInit::decode(payload).expect("ECDH_INIT");
                self.their_public = init.client_public.try_into().ok();
            }
            number::SSH_MSG_KEX_ECDH_REPLY => {
                let reply = KexEcdhReply::decode(payload).expect("ECDH_REPLY");
                let theirs: [u8; 32] = reply.server_public.try_into().expect("a point");
                let hash = self.derive(reply.host_key, &self.public(), &theirs, &theirs);
                verify(reply.host_key, reply.signature, &hash);
            }
            number::SSH_MSG_NEWKEYS => {
                let key = self.keys.as_mut().and_then(|keys| keys.opening.take());
                self.opening = Some(key.expect("keys were derived before NEWKEYS"));
                if self.is_strict() {
                    self.recv_seq = 0;
                }
                self.forget_if_done();
            }
            _ => {}
        }
    }

    /// The markers of the first KEXINIT of both count for the whole connection.
    fn decide_strict(&mut self) {
        let Some(theirs) = self
            .their_kexinit
            .as_ref()
            .filter(|_| self.strict.is_none())
        else {
            return;
        };
        if self.our_kexinit.is_empty() {
            return;
        }
        let marker = |payload: &[u8], role| {
            let c = if role == Role::Client { "c" } else { "s" };
            let name = format!("kex-strict-{c}-v00@openssh.com");
            KexInit::decode(payload).is_ok_and(|k| k.kex_algorithms.contains(&name))
        };
        self.strict =
            Some(marker(&self.our_kexinit, self.role) && marker(theirs, self.role.peer()));
    }

    fn reply(&mut self) {
        self.secret = [0x77; 32];
        let theirs = self.their_public.expect("ECDH_INIT has come");
        let ours = self.public();
        let blob = self.host_key_blob();
        let mut hash = self.derive(&blob, &theirs, &ours, &theirs);
        if self.lies {
            hash[0] ^= 1;
        }
        let mut reply = Reply {
            host_key: blob,
            server_public: ours.to_vec(),
            signature: sign(&self.host_key, &hash),
        };
        if let Some(edit) = &self.edit {
            edit(&mut reply);
        }
        self.message(&KexEcdhReply {
            host_key: &reply.host_key,
            server_public: &reply.server_public,
            signature: &reply.signature,
        });
    }

    /// RFC 4253 sections 7.2 and 8, RFC 8731.
    fn derive(&mut self, host_key: &[u8], q_c: &[u8], q_s: &[u8], theirs: &[u8; 32]) -> [u8; 32] {
        let shared = MontgomeryPoint(*theirs).mul_clamped(self.secret).to_bytes();
        let their_line = self.their_line.clone().expect("a line");
        let their_kexinit = self.their_kexinit.clone().expect("KEXINIT");
        let (v_c, v_s, i_c, i_s) = match self.role {
            Role::Client => (&self.line, &their_line, &self.our_kexinit, &their_kexinit),
            Role::Server => (&their_line, &self.line, &their_kexinit, &self.our_kexinit),
        };
        let mut k = Vec::new();
        mpint(&mut k, &shared);
        let mut all = Vec::new();
        for part in [v_c, v_s, i_c, i_s] {
            string(&mut all, part);
        }
        for part in [host_key, q_c, q_s] {
            string(&mut all, part);
        }
        all.extend_from_slice(&k);
        let hash: [u8; 32] = Sha256::digest(&all).into();
        let session_id = *self.session_id.get_or_insert(hash);
        let key = |letter: u8| -> [u8; 32] {
            let parts = [&k[..], &hash, &[letter], &session_id].concat();
            Sha256::digest(&parts).into()
        };
        self.secrets.push(shared);
        self.secrets.extend((b'A'..=b'F').map(key));
        let up = Gcm::new(&key(b'C'), &key(b'A'));
        let down = Gcm::new(&key(b'D'), &key(b'B'));
        let (sealing, opening) = match self.role {
            Role::Client => (up, down),
            Role::Server => (down, up),
        };
        self.keys = Some(Keys {
            sealing: Some(sealing),
            opening: Some(opening),
        });
        hash
    }

    fn forget_if_done(&mut self) {
        if let Some(Keys {
            sealing: None,
            opening: None,
        }) = self.keys
        {
            self.keys = None;
            self.their_kexinit = None;
            self.their_public = None;
        }
    }
}

/// The blob of the public half of the Ed25519 key of this seed (RFC 8709 section 4).
pub fn key_blob(seed: &[u8; 32]) -> Vec<u8> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes");
    let mut blob = Vec::new();
    string(&mut blob, b"ssh-ed25519");
    string(&mut blob, pair.public_key().as_ref());
    blob
}

/// A signature blob by the Ed25519 key of this seed (RFC 8709 section 6).
pub fn sign(seed: &[u8; 32], data: &[u8]) -> Vec<u8> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes");
    let mut blob = Vec::new();
    string(&mut blob, b"ssh-ed25519");
    string(&mut blob, pair.sign(data).as_ref());
    blob
}

fn verify(blob: &[u8], signature: &[u8], data: &[u8]) {
    let second = |blob| {
        let mut r = Reader::new(blob);
        let name = r.string().expect("a name").to_vec();
        assert_eq!(name, b"ssh-ed25519");
        r.string().expect("a value").to_vec()
    };
    let key = UnparsedPublicKey::new(&ring::signature::ED25519, second(blob));
    key.verify(data, &second(signature))
        .expect("the signature over the exchange hash");
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).expect("short").to_be_bytes());
    out.extend_from_slice(bytes);
}

/// An unsigned big-endian number (RFC 4251 section 5).
fn mpint(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = bytes.iter().position(|&b| b != 0).unwrap_or(bytes.len());
    let mut value = bytes[start..].to_vec();
    if value.first().is_some_and(|&b| b >= 0x80) {
        value.insert(0, 0);
    }
    string(out, &value);
}

/// `names` as a list that is known to be valid.
///
/// # Panics
///
/// If it is not.
pub fn names(names: &str) -> NameList<'_> {
    NameList::new(names).expect("a name-list")
}
