//! A peer that holds the keys and keeps no rules.
//!
//! [`Raw`] speaks the transport by hand: nothing is sent that the test does not send, in whatever
//! order. It shares the message codec with `ssh-proto` and nothing else: packets, exchange hash, key
//! derivation and signatures are written anew here on other primitives, so that whenever a
//! connection comes up two implementations have agreed. One suite: `curve25519-sha256`,
//! `ssh-ed25519`, `aes256-gcm@openssh.com`; of key exchange every other family as well, if the offer
//! names it first ([`Family`]). Compression, where it is offered, is that of zlib-rs.
//!
//! [`Bench`] puts one under each nose: a client or a server of `ssh-proto` is brought to a
//! [`Stage`] and then sent something. [`Middle`] puts two of them between a client and a server.

mod agreement;
mod bench;
mod duel;
mod feeding;
mod meddler;
mod middle;
mod packet;
mod packing;
mod strings;

use agreement::{Agreement, HashName, Place};
pub use agreement::{Family, Group, RsaNumbers, rsa_blob};
pub use bench::{Bench, Seen, Stage, Subject, with_seed};
pub use duel::{Duel, Fighter};
pub use feeding::in_every_way;
pub use flate2::FlushCompress;
pub use meddler::{Change, Meddler};
pub use middle::{Leg, Middle};
use num_bigint::BigUint;
pub use packet::{Framing, Gcm};
use packing::Packing;
use ring::signature::{Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use ssh_proto::Role;
use ssh_proto::message::{KexInit, NewKeys, Wire, number};
use ssh_proto::wire::{NameList, Reader, Sink};
pub use strings::Strings;

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

/// What is in the reply of a method.
#[derive(Clone, Debug)]
pub struct Reply {
    /// K_S.
    pub host_key: Vec<u8>,
    /// Q_S, or what is within the mpint f.
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
    pub secrets: Vec<Vec<u8>>,
    /// What each K of a hybrid was made of.
    pub parts: Vec<Vec<u8>>,
    /// Changes what a server's reply says, after it was signed.
    pub edit: Option<Edit>,
    /// How a compressed packet ends.
    pub flush: FlushCompress,
    packing: Packing,
    /// The sizes that a client asks for in group exchange: min, n, max.
    pub asks: [u32; 3],
    /// The group of a server in group exchange.
    pub group: Group,
    /// The transient key of a server in RSA key exchange.
    pub rsa: Option<RsaNumbers>,
    out: Vec<u8>,
    input: Vec<u8>,
    their_line: Option<Vec<u8>>,
    our_kexinit: Vec<u8>,
    their_kexinit: Option<Vec<u8>>,
    agreement: Agreement,
    secret: [u8; 32],
    strict: Option<bool>,
    session_id: Option<Vec<u8>>,
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
            parts: Vec::new(),
            edit: None,
            flush: FlushCompress::Partial,
            packing: Packing::new(),
            asks: [2048, 2048, 8192],
            group: Group::group14(),
            rsa: None,
            out: Vec::new(),
            input: Vec::new(),
            their_line: None,
            our_kexinit: Vec::new(),
            their_kexinit: None,
            agreement: Agreement::default(),
            secret: [0x5e; 32],
            strict: None,
            session_id: None,
            keys: None,
            sealing: None,
            opening: None,
        }
    }

    /// The session identifier, of a first exchange with SHA-256.
    pub fn session_id(&self) -> Option<[u8; 32]> {
        self.session_id.as_deref()?.try_into().ok()
    }

    /// What its method is.
    pub fn family(&self) -> Family {
        Family::of(&self.method_name())
    }

    /// The first of the client's names that is also the server's, once both are known.
    pub fn method_name(&self) -> String {
        let names = |payload: &[u8]| -> Vec<String> {
            let kexinit = KexInit::decode(payload).expect("KEXINIT");
            kexinit.kex_algorithms.iter().map(str::to_owned).collect()
        };
        let ours = self.offer.lists[0].split(',').map(str::to_owned).collect();
        let theirs = self.their_kexinit.as_deref().map(names);
        let (client, server) = match (theirs, self.role) {
            (None, _) => (ours, Vec::new()),
            (Some(theirs), Role::Client) => (ours, theirs),
            (Some(theirs), Role::Server) => (theirs, ours),
        };
        let agreed = client.iter().find(|name| server.contains(name));
        agreed
            .or_else(|| client.first())
            .cloned()
            .unwrap_or_default()
    }

    fn hash(&self) -> HashName {
        HashName::of(&self.method_name())
    }

    /// Whether the secret of the exchange that is going on is known: nothing of the method is left to
    /// be sent or to come.
    pub const fn has_agreed(&self) -> bool {
        self.keys.is_some()
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

    /// Sends the next message of the method, of those that are its to send.
    ///
    /// # Panics
    ///
    /// If the other side's message that it answers has not come.
    pub fn method(&mut self) {
        match (self.role, self.family()) {
            (Role::Client, Family::Curve | Family::Fixed) => self.init(30),
            (Role::Client, Family::GroupExchange) if self.agreement.asked.is_none() => {
                self.request()
            }
            (Role::Client, Family::GroupExchange) => self.init(32),
            (Role::Client, Family::Rsa) => self.encrypted(),
            (Role::Server, Family::Curve | Family::Fixed) => self.reply(31),
            (Role::Server, Family::GroupExchange) if self.agreement.group.is_none() => {
                self.send_group();
            }
            (Role::Server, Family::GroupExchange) => self.reply(33),
            (Role::Server, Family::Rsa) if self.agreement.keys.is_none() => self.send_transient(),
            (Role::Server, Family::Rsa) => self.done(),
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

    /// Keeps up with the key exchange.
    fn follow(&mut self, payload: &[u8]) {
        match payload[0] {
            number::SSH_MSG_KEXINIT => {
                self.their_kexinit = Some(payload.to_vec());
                self.decide_strict();
            }
            30..=49 => self.follow_method(payload),
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

    /// Where the exchange that is going on computes.
    fn place(&self) -> Place {
        let name = self.method_name();
        match (self.family(), &self.agreement.group) {
            (Family::Fixed, _) => Place::Group(Group::fixed(&name)),
            (_, Some(group)) => Place::Group(group.clone()),
            _ => Place::Strings(Strings::of(&name)),
        }
    }

    /// A public value as it is sent.
    fn put_value(&self, out: &mut Vec<u8>, value: &[u8]) {
        match self.family() {
            Family::Curve => string(out, value),
            _ => mpint(out, value),
        }
    }

    fn request(&mut self) {
        let mut payload = vec![34];
        payload.extend(self.asks.iter().flat_map(|bits| bits.to_be_bytes()));
        self.agreement.asked = Some(self.asks);
        self.payload(&payload);
    }

    fn send_group(&mut self) {
        assert!(self.agreement.asked.is_some(), "REQUEST has come");
        let mut payload = vec![31];
        mpint(&mut payload, &self.group.p.to_bytes_be());
        mpint(&mut payload, &self.group.g.to_bytes_be());
        self.agreement.group = Some(self.group.clone());
        self.payload(&payload);
    }

    fn init(&mut self, number: u8) {
        let ours = self.place().init(&self.secret);
        let mut payload = vec![number];
        self.put_value(&mut payload, &ours);
        self.payload(&payload);
    }

    fn reply(&mut self, number: u8) {
        self.secret = [0x77; 32];
        let theirs = self.agreement.theirs.clone().expect("INIT has come");
        let place = self.place();
        let (ours, shared) = place.reply(&self.secret, &theirs);
        let blob = self.host_key_blob();
        let middle = place.values(self.agreement.asked, &theirs, &ours);
        self.parts.extend(shared.parts);
        let hash = self.derive(&blob, &middle, &shared.k);
        let mut server_public = Vec::new();
        self.put_value(&mut server_public, &ours);
        let mut reply = Reply {
            host_key: blob,
            server_public: server_public.split_off(4),
            signature: self.signature(&hash),
        };
        if let Some(edit) = &self.edit {
            edit(&mut reply);
        }
        let mut payload = vec![number];
        for part in [&reply.host_key, &reply.server_public, &reply.signature] {
            string(&mut payload, part);
        }
        self.payload(&payload);
    }

    /// Over H, or over something else.
    fn signature(&self, hash: &[u8]) -> Vec<u8> {
        let mut hash = hash.to_vec();
        hash[0] ^= u8::from(self.lies);
        sign(&self.host_key, &hash)
    }

    fn send_transient(&mut self) {
        let key = self.rsa.as_ref().expect("a transient key");
        let keys = [self.host_key_blob(), rsa_blob(&key.n, &key.e)];
        let mut payload = vec![30];
        string(&mut payload, &keys[0]);
        string(&mut payload, &keys[1]);
        self.agreement.keys = Some(keys);
        self.payload(&payload);
    }

    fn encrypted(&mut self) {
        let [_, transient] = self.agreement.keys.as_ref().expect("PUBKEY has come");
        let k = self.secret.to_vec();
        let encrypted = agreement::oaep_encrypt(self.hash(), transient, &k);
        let mut payload = vec![31];
        string(&mut payload, &encrypted);
        self.agreement.encrypted = Some((k, encrypted));
        self.payload(&payload);
    }

    fn done(&mut self) {
        let hash = self.derive_rsa();
        let mut payload = vec![32];
        string(&mut payload, &self.signature(&hash));
        self.payload(&payload);
    }

    fn derive_rsa(&mut self) -> Vec<u8> {
        let [host_key, transient] = self.agreement.keys.clone().expect("PUBKEY");
        let (k, encrypted) = self.agreement.encrypted.clone().expect("SECRET");
        let mut middle = Vec::new();
        string(&mut middle, &transient);
        string(&mut middle, &encrypted);
        self.derive(&host_key, &middle, &k)
    }

    /// A message of the method has come, a right one.
    fn follow_method(&mut self, payload: &[u8]) {
        let mut r = Reader::new(&payload[1..]);
        let family = self.family();
        let value = |r: &mut Reader<'_>| match family {
            Family::Curve => r.string().expect("a value").to_vec(),
            _ => r.mpint().expect("a value").as_unsigned().to_vec(),
        };
        match (self.role, family, payload[0]) {
            (Role::Server, Family::GroupExchange, 34) => {
                self.agreement.asked = Some([(); 3].map(|()| r.u32().expect("a size")));
            }
            (Role::Client, Family::GroupExchange, 31) => {
                let [p, g] = [(); 2].map(|()| BigUint::from_bytes_be(&value(&mut r)));
                self.agreement.group = Some(Group { p, g });
            }
            (Role::Server, Family::Rsa, 31) => {
                let encrypted = r.string().expect("a secret").to_vec();
                let key = self.rsa.as_ref().expect("a transient key");
                let k = agreement::oaep_decrypt(self.hash(), key, &encrypted);
                self.agreement.encrypted = Some((k, encrypted));
            }
            (Role::Client, Family::Rsa, 30) => {
                let keys = [(); 2].map(|()| r.string().expect("a key").to_vec());
                self.agreement.keys = Some(keys);
            }
            (Role::Client, Family::Rsa, _) => {
                let signature = r.string().expect("a signature");
                let hash = self.derive_rsa();
                let [host_key, _] = self.agreement.keys.clone().expect("PUBKEY");
                verify(&host_key, signature, &hash);
            }
            (Role::Server, ..) => self.agreement.theirs = Some(value(&mut r)),
            (Role::Client, ..) => {
                let host_key = r.string().expect("a key").to_vec();
                let theirs = value(&mut r);
                let place = self.place();
                let ours = place.init(&self.secret);
                let middle = place.values(self.agreement.asked, &ours, &theirs);
                let shared = place.finish(&self.secret, &theirs);
                self.parts.extend(shared.parts);
                let hash = self.derive(&host_key, &middle, &shared.k);
                verify(&host_key, r.string().expect("a signature"), &hash);
            }
        }
    }

    /// RFC 4253 sections 7.2 and 8. `middle` is what H covers between K_S and K.
    fn derive(&mut self, host_key: &[u8], middle: &[u8], shared: &[u8]) -> Vec<u8> {
        let their_line = self.their_line.clone().expect("a line");
        let their_kexinit = self.their_kexinit.clone().expect("KEXINIT");
        let (v_c, v_s, i_c, i_s) = match self.role {
            Role::Client => (&self.line, &their_line, &self.our_kexinit, &their_kexinit),
            Role::Server => (&their_line, &self.line, &their_kexinit, &self.our_kexinit),
        };
        let mut k = Vec::new();
        if self.family() == Family::Curve && Strings::of(&self.method_name()).is_hybrid() {
            string(&mut k, shared);
        } else {
            mpint(&mut k, shared);
        }
        let mut all = Vec::new();
        for part in [v_c, v_s, i_c, i_s] {
            string(&mut all, part);
        }
        string(&mut all, host_key);
        all.extend_from_slice(middle);
        all.extend_from_slice(&k);
        let name = self.hash();
        let hash = name.digest(&all);
        let session_id = self.session_id.get_or_insert_with(|| hash.clone()).clone();
        let key = |letter: u8| -> [u8; 32] {
            let mut key = name.digest(&[&k[..], &hash, &[letter], &session_id].concat());
            if key.len() < 32 {
                key.extend(name.digest(&[&k[..], &hash, &key].concat()));
            }
            *key.first_chunk().expect("32 bytes")
        };
        self.secrets.push(shared.to_vec());
        self.secrets
            .extend((b'A'..=b'F').map(|letter| key(letter).to_vec()));
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
            self.agreement = Agreement::default();
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
